// Frames that guards have dropped, in the log.
#include "dataplane/ports/spoof_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

using Lines = std::vector<std::pair<uint16_t, std::string>>;

Lines Drain(SpoofLog& log, uint64_t now) {
  Lines lines;
  log.Drain(now, [&](uint16_t port, const std::string& text) {
    lines.emplace_back(port, text);
  });
  return lines;
}

void Put(SpoofRing* ring, const SpoofRecord& record) {
  if (SpoofRecord* const out = ring->Begin()) {
    *out = record;
    ring->Commit();
  }
}

TEST(SpoofLogTest, SaysWhatWasClaimed) {
  SpoofLog log(2);
  SpoofRecord record = {.mac = 0x090000000002,
                        .address = *ParseAddress("10.0.0.9"),
                        .vlan = VlanId::Of(7, 42),
                        .port = 3,
                        .fault = SpoofFault::kArp};
  Put(log.ring(1), record);
  record = {.mac = 0x090000000002, .port = 4, .fault = SpoofFault::kMac};
  Put(log.ring(0), record);
  EXPECT_THAT(
      Drain(log, 5000),
      ElementsAre(
          Pair(4, "a frame from 02:00:00:00:00:09 was dropped: its MAC address "
                  "is not what the port is bound to"),
          Pair(3, "a frame from 02:00:00:00:00:09 in VLAN 7.42 was dropped: "
                  "what it says in ARP (10.0.0.9) is not what the port is "
                  "bound to")));
  EXPECT_THAT(Drain(log, 5001), IsEmpty());
}

TEST(SpoofLogTest, SomeASecondAndTheRestAsANumber) {
  SpoofLog log(1);
  EXPECT_THAT(Drain(log, 7000), IsEmpty());
  for (int i = 0; i < 300; ++i) {
    Put(log.ring(0), {.mac = 2, .port = 1, .fault = SpoofFault::kMac});
  }
  EXPECT_THAT(Drain(log, 7001), SizeIs(SpoofLog::kLinesASecond));
  Put(log.ring(0), {.mac = 2, .port = 1, .fault = SpoofFault::kMac});
  EXPECT_THAT(Drain(log, 7999), IsEmpty());
  const Lines lines = Drain(log, 8000);
  ASSERT_THAT(lines, SizeIs(1));
  // 300 and one less ten, of which the ring had no room for 44.
  EXPECT_EQ(lines[0].second, "291 more frames were dropped as spoofed");
  EXPECT_THAT(Drain(log, 9000), IsEmpty());
}

}  // namespace
}  // namespace sluice
