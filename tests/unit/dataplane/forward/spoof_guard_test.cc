// What a port may claim to be: the texts of bindings, and what several workers
// learn at once. What passes is in tests/scenarios/spoof/.
#include "dataplane/forward/spoof_guard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "packet/parse.h"
#include "tests/support/packet_text.h"
#include "tests/support/plain_mbuf.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

SpoofFault CheckFrame(SpoofGuard& guard, const std::string& text) {
  PlainMbuf mbuf(FrameFromText(text));
  PacketInfo info;
  ParsePacket(*mbuf, {}, &info);
  SpoofRecord record;
  return guard.Check(*mbuf, info, &record);
}

TEST(SpoofBindingTest, TextsAreReadAndPrinted) {
  for (const char* text :
       {"02:00:00:00:00:01", "10.0.0.2", "10.0.0.0/8", "2001:db8::/32",
        "02:00:00:00:00:01 10.0.0.2", "02:ab:cd:ef:00:01 2001:db8::2",
        "02:00:00:00:00:01 vlan 42", "10.0.0.2 vlan 7.42",
        "02:00:00:00:00:01 10.0.0.0/24 vlan 4095"}) {
    const std::optional<SpoofBinding> binding = ParseSpoofBinding(text);
    ASSERT_TRUE(binding.has_value()) << text;
    EXPECT_EQ(ToString(*binding), text);
  }
  EXPECT_EQ(ToString(*ParseSpoofBinding("  02:AB:00:00:00:01   10.0.0.2/32 ")),
            "02:ab:00:00:00:01 10.0.0.2");
  for (const char* wrong :
       {"", " ", "vlan 42", "02:00:00:00:00:01 02:00:00:00:00:02",
        "10.0.0.2 02:00:00:00:00:01", "03:00:00:00:00:01",
        "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "02:00:00:00:00",
        "02:00:00:00:00:0g", "02-00-00-00-00-01", "10.0.0.2/33", "10.0.0.2/8",
        "10.0.0.2 vlan", "10.0.0.2 vlan 0", "10.0.0.2 vlan 4096",
        "10.0.0.2 vlan 42 x", "10.0.0.2 10.0.0.3", "host"}) {
    EXPECT_FALSE(ParseSpoofBinding(wrong).has_value()) << wrong;
  }
}

TEST(SpoofGuardTest, SaysWhatWasWrong) {
  SpoofGuard guard({.bindings = {*ParseSpoofBinding(
                        "02:04:0a:00:00:02 10.0.0.2")}});
  EXPECT_EQ(CheckFrame(guard, "udp 10.0.0.2:1 > 10.0.0.1:2"),
            SpoofFault::kNone);
  EXPECT_EQ(CheckFrame(guard, "udp 10.0.0.9:1 > 10.0.0.1:2"),
            SpoofFault::kMac);
  EXPECT_EQ(
      CheckFrame(guard,
                 "udp 10.0.0.9:1 > 10.0.0.1:2 ethsrc 02:04:0a:00:00:02"),
      SpoofFault::kAddress);
  EXPECT_EQ(CheckFrame(guard,
                       "hex ffffffffffff02040a00000208060001080006040001"
                       "02040a0000020a0000090000000000000a000001"),
            SpoofFault::kArp);
  EXPECT_EQ(CheckFrame(guard,
                       "icmp fe80::4:aff:fe00:2 > ff02::1 136 ttl 255 data "
                       "0x20010db8000000000000000000000009 ethsrc "
                       "02:04:0a:00:00:02"),
            SpoofFault::kNeighbor);
  // Cut off anywhere: nothing is read that is not there.
  for (int length = 14; length < 42; ++length) {
    CheckFrame(guard, "hex " + std::string("ffffffffffff02040a0000020806"
                                           "000108000604000102040a0000020a0000"
                                           "020000000000000a000001")
                                   .substr(0, static_cast<size_t>(2 * length)));
  }
}

TEST(SpoofGuardTest, LearnsForEver) {
  SpoofGuard guard({.bindings = {}, .learn = 1});
  EXPECT_THAT(guard.Learned(), SizeIs(0));
  EXPECT_EQ(CheckFrame(guard, "arp request 10.0.0.2 > 10.0.0.1"),
            SpoofFault::kNone);
  EXPECT_EQ(CheckFrame(guard, "udp 10.0.0.9:1 > 10.0.0.1:2"),
            SpoofFault::kMac);
  std::vector<std::string> texts;
  for (const SpoofBinding& binding : guard.Learned()) {
    texts.push_back(ToString(binding));
  }
  EXPECT_THAT(texts, ElementsAre("02:04:0a:00:00:02 10.0.0.2"));
}

TEST(SpoofGuardTest, AWrittenMacAndLearnedAddresses) {
  SpoofGuard guard(
      {.bindings = {*ParseSpoofBinding("02:04:0a:00:00:02 10.9.0.0/16")},
       .learn = 1});
  EXPECT_EQ(CheckFrame(guard, "udp 10.0.0.9:1 > 10.0.0.1:2"),
            SpoofFault::kMac);
  EXPECT_EQ(CheckFrame(guard, "udp 10.0.0.2:1 > 10.0.0.1:2"),
            SpoofFault::kNone);
  EXPECT_EQ(
      CheckFrame(guard,
                 "udp 10.0.0.3:1 > 10.0.0.1:2 ethsrc 02:04:0a:00:00:02"),
      SpoofFault::kAddress);
  EXPECT_EQ(
      CheckFrame(guard,
                 "udp 10.9.0.3:1 > 10.0.0.1:2 ethsrc 02:04:0a:00:00:02"),
      SpoofFault::kNone);
}

// Never more than there is room for, none twice, whoever comes first.
TEST(SpoofGuardTest, WorkersLearnTogether) {
  constexpr int kWorkers = 4;
  for (int round = 0; round < 50; ++round) {
    SpoofGuard guard({.bindings = {}, .learn = 3});
    std::atomic<int> ready{0};
    std::array<std::atomic<int>, 8> passed{};
    std::vector<std::thread> workers;
    for (int worker = 0; worker < kWorkers; ++worker) {
      workers.emplace_back([&, worker] {
        ++ready;
        while (ready.load() < kWorkers) {
        }
        for (int i = 0; i < 8; ++i) {
          const int host = (i + 2 * worker) % 8;
          if (CheckFrame(guard, "udp 10.0.0." + std::to_string(host + 1) +
                                    ":1 > 10.0.1.1:2 ethsrc "
                                    "02:00:00:00:00:07") ==
              SpoofFault::kNone) {
            ++passed[static_cast<size_t>(host)];
          }
        }
      });
    }
    for (std::thread& worker : workers) worker.join();
    const std::vector<SpoofBinding> learned = guard.Learned();
    EXPECT_THAT(learned, SizeIs(3));
    int bound = 0;
    for (const std::atomic<int>& one : passed) bound += one.load() > 0;
    EXPECT_EQ(bound, 3);
    for (size_t i = 0; i < learned.size(); ++i) {
      for (size_t j = 0; j < i; ++j) EXPECT_NE(learned[i], learned[j]);
    }
  }
}

}  // namespace
}  // namespace sluice
