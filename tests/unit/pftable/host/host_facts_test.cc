#include "pftable/host/host_facts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice {
namespace {

using testing::Contains;
using testing::Not;

TEST(HostFactsTest, NamesAsTheSystemListsThem) {
  HostFacts facts;
  facts.AddServices(
      "# a comment\n"
      "gate 4711/tcp door portal # and another\n"
      "gate\t4711/udp\n"
      "last 65535/sctp");
  for (const char* name : {"gate", "door", "portal"}) {
    EXPECT_EQ(facts.Service(name), 4711) << name;
  }
  EXPECT_EQ(facts.Service("last"), 65535);
  EXPECT_EQ(facts.ServiceName(4711, 6), "gate");
  EXPECT_EQ(facts.ServiceName(4711, 17), "gate");
  facts.AddProtocols("skip 57 SKIP\n");
  EXPECT_EQ(facts.Protocol("skip"), 57);
  EXPECT_EQ(facts.Protocol("SKIP"), 57);
  EXPECT_EQ(facts.ProtocolName(57), "skip");
}

// A number is all digits and in range, or the line is none.
TEST(HostFactsTest, LinesThatAreNone) {
  HostFacts facts;
  facts.AddServices(
      "alone\n"
      "bare 4711\n"
      "word x/tcp\n"
      "none /tcp\n"
      "tail 4711x/tcp\n"
      "minus -1/tcp\n"
      "above 65536/tcp\n"
      "round 4294967376/tcp\n"
      "huge 99999999999999999999/tcp\n");
  for (const char* name : {"alone", "bare", "word", "none", "tail", "minus",
                           "above", "round", "huge"}) {
    EXPECT_EQ(facts.Service(name), std::nullopt) << name;
    EXPECT_THAT(facts.ServiceNames(), Not(Contains(name)));
  }
  facts.AddProtocols(
      "word x\n"
      "tail 6x\n"
      "minus -1\n"
      "above 256\n"
      "round 4294967302\n");
  for (const char* name : {"word", "tail", "minus", "above", "round"}) {
    EXPECT_EQ(facts.Protocol(name), std::nullopt) << name;
  }
}

}  // namespace
}  // namespace sluice
