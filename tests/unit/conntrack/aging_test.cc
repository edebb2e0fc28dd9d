// Time: timeouts of phases, the wheel, adaptive timeouts, the wrap of ticks.
#include <gtest/gtest.h>

#include <random>

#include "absl/strings/str_cat.h"
#include "tests/unit/conntrack/shard.h"

namespace sluice {
namespace {

constexpr uint32_t kSecond = 1000;
// Never early, and late by a slot of the wheel at most.
constexpr uint32_t kGrain = TimerWheel::kSlotTicks;

class Aging : public testing::TestWithParam<Family> {
 protected:
  // Ticks until the table is empty, looked at each millisecond near the end.
  uint64_t TicksToEmpty(uint64_t limit) {
    const Tick start = shard.now;
    while (shard.table->size() != 0) {
      shard.Advance(kGrain / 4, kGrain / 4);
      if (shard.now - start > limit) return ~uint64_t{0};
    }
    return shard.now - start;
  }
  void ExpectEndsAfter(uint32_t seconds) {
    const uint64_t ticks = TicksToEmpty((seconds + 100) * kSecond);
    EXPECT_GE(ticks, seconds * kSecond);
    EXPECT_LT(ticks, seconds * kSecond + 2 * kGrain);
  }
  Shard shard{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Families, Aging,
                         testing::Values(Family::kIpv4, Family::kIpv6));

TEST_P(Aging, UdpFirst) {
  shard.In("udp $C:1 > $S:2 data 4");
  ExpectEndsAfter(60);
}

TEST_P(Aging, UdpSingleIsShorterThanFirst) {
  shard.In("udp $C:1 > $S:2 data 4");
  shard.In("udp $C:1 > $S:2 data 4");
  ExpectEndsAfter(30);
}

TEST_P(Aging, UdpMultiple) {
  shard.In("udp $C:1 > $S:2 data 4");
  shard.Out("udp $S:2 > $C:1 data 4");
  shard.In("udp $C:1 > $S:2 data 4");
  ExpectEndsAfter(60);
}

TEST_P(Aging, IcmpAnswered) {
  shard.In("icmp $C > $S echo id 1 seq 1");
  shard.Out("icmp $S > $C echoreply id 1 seq 1");
  ExpectEndsAfter(10);
}

TEST_P(Aging, TcpFirstAndClosed) {
  shard.In("tcp $C:1 > $S:2 S seq 1 win 100");
  shard.Advance(100 * kSecond);
  EXPECT_EQ(shard.table->size(), 1u);
  ExpectEndsAfter(20);
  shard.In("tcp $C:1 > $S:2 S seq 1 win 100");
  shard.Out("tcp $S:2 > $C:1 RA seq 0 ack 2");
  ExpectEndsAfter(90);
}

// A day, far beyond the wheel's own reach.
TEST_P(Aging, TcpEstablishedLivesADayAndPacketsProlongIt) {
  shard.In("tcp $C:1 > $S:2 S seq 1 win 100");
  shard.Out("tcp $S:2 > $C:1 SA seq 5 ack 2 win 100");
  shard.In("tcp $C:1 > $S:2 A seq 2 ack 6 win 100");
  shard.Advance(86000 * kSecond, 10 * kSecond);
  ASSERT_EQ(shard.table->size(), 1u);
  shard.In("tcp $C:1 > $S:2 A seq 2 ack 6 win 100");
  shard.Advance(86399 * kSecond, 10 * kSecond);
  EXPECT_EQ(shard.table->size(), 1u);
  ExpectEndsAfter(1);
}

TEST_P(Aging, PacketsProlongWithoutMovingAnything) {
  const StateIndex s = shard.In("udp $C:1 > $S:2 data 4").state;
  for (int i = 0; i < 20; ++i) {
    shard.Advance(29 * kSecond);
    ASSERT_EQ(shard.In("udp $C:1 > $S:2 data 4").state, s);
  }
  ExpectEndsAfter(30);
}

TEST_P(Aging, AChangeOfTimeoutsReachesLivingStates) {
  shard.In("udp $C:1 > $S:2 data 4");
  TimeoutProfile shorter = kDefaultTimeoutProfile;
  shorter[Timeout::kUdpFirst] = 7;
  shard.table->SetFilter(0, &shard.budget, shorter);
  // At the latest when the wheel comes to it.
  shard.Advance(TimerWheel::kHorizon + kGrain, kGrain);
  EXPECT_EQ(shard.table->size(), 0u);
}

TEST_P(Aging, ARulesOwnTimeoutsGoBeforeTheFilters) {
  shard.values.rule_slot = 3;
  shard.values.flags = kStateRuleTimeouts;
  shard.sink.timeouts[3][Timeout::kUdpFirst] = 5;
  shard.In("udp $C:1 > $S:2 data 4");
  ExpectEndsAfter(5);
}

// pf: between start and end the timeouts shrink in proportion, at end nothing
// lives on.
TEST_P(Aging, AdaptiveTimeoutsFollowTheNumberOfStates) {
  TimeoutProfile profile = kDefaultTimeoutProfile;
  profile[Timeout::kAdaptiveStart] = 100;
  profile[Timeout::kAdaptiveEnd] = 300;
  shard.table->SetFilter(0, &shard.budget, profile);
  const StateIndex s = shard.In("udp $C:1 > $S:2 data 4").state;
  EXPECT_EQ(shard.Record(s).expires_in, 60 * kSecond);
  for (int i = 0; i < 199; ++i) {
    shard.In(absl::StrCat("udp $C:", 1000 + i, " > $S:2 data 4"));
  }
  ASSERT_EQ(shard.budget.used(), 200u);
  EXPECT_EQ(shard.Record(s).expires_in, 30 * kSecond);
  // At 30 s the count begins to fall, and with it the pressure.
  shard.Advance(29 * kSecond);
  EXPECT_EQ(shard.table->size(), 200u);
  shard.Advance(4 * kSecond);
  EXPECT_LT(shard.table->size(), 200u);
  EXPECT_GT(shard.table->size(), 90u);
  shard.Advance(60 * kSecond);
  EXPECT_EQ(shard.table->size(), 0u);
}

TEST_P(Aging, AtAdaptiveEndEverythingIsDue) {
  TimeoutProfile profile = kDefaultTimeoutProfile;
  profile[Timeout::kAdaptiveStart] = 10;
  profile[Timeout::kAdaptiveEnd] = 20;
  shard.table->SetFilter(0, &shard.budget, profile);
  const StateIndex s = shard.In("udp $C:1 > $S:2 data 4").state;
  for (int i = 0; i < 19; ++i) {
    shard.In(absl::StrCat("udp $C:", 1000 + i, " > $S:2 data 4"));
  }
  EXPECT_EQ(shard.Record(s).expires_in, 0u);
}

// A rule that sets adaptive.start counts its own states.
TEST_P(Aging, ARulesAdaptiveTimeoutsCountItsOwnStates) {
  shard.values.rule_slot = 3;
  shard.values.flags = kStateRuleTimeouts;
  TimeoutProfile& rule = shard.sink.timeouts[3];
  rule[Timeout::kAdaptiveStart] = 1;
  rule[Timeout::kAdaptiveEnd] = 3;
  const StateIndex s = shard.In("udp $C:1 > $S:2 data 4").state;
  EXPECT_EQ(shard.Record(s).expires_in, 60 * kSecond);
  shard.values = {};
  for (int i = 0; i < 5; ++i) {
    shard.In(absl::StrCat("udp $C:", 1000 + i, " > $S:2 data 4"));
  }
  EXPECT_EQ(shard.Record(s).expires_in, 60 * kSecond);
  shard.values.rule_slot = 3;
  shard.values.flags = kStateRuleTimeouts;
  shard.In("udp $C:2 > $S:2 data 4");
  EXPECT_EQ(shard.Record(s).expires_in, 30 * kSecond);
}

TEST_P(Aging, TicksWrap) {
  shard.now = 0xffffffff - 20 * kSecond;
  shard.In("udp $C:1 > $S:2 data 4");
  shard.Advance(10 * kSecond);
  shard.In("udp $C:7 > $S:2 data 4");  // crosses the wrap
  shard.Advance(49 * kSecond);
  EXPECT_EQ(shard.table->size(), 2u);
  shard.Advance(2 * kSecond);
  EXPECT_EQ(shard.table->size(), 1u);
  ExpectEndsAfter(9);
}

// Idle for more than half of the ticks' range: nothing may come to life again.
TEST_P(Aging, LongIdleStatesEndHoweverTheClockMoves) {
  for (const uint64_t jump :
       {uint64_t{1} << 20, uint64_t{1} << 30, (uint64_t{1} << 31) + 5,
        (uint64_t{1} << 32) - 100000}) {
    Shard fresh(GetParam());
    fresh.In("tcp $C:1 > $S:2 S seq 1 win 100");
    fresh.now += static_cast<Tick>(jump);
    while (!fresh.table->Expire(fresh.now, 100)) {
    }
    EXPECT_EQ(fresh.table->size(), 0u) << jump;
  }
}

// Timeouts beyond the range of ticks are cut, not wrapped.
TEST_P(Aging, HugeTimeoutsLiveLongAndEnd) {
  TimeoutProfile profile = kDefaultTimeoutProfile;
  profile[Timeout::kUdpFirst] = 0xffffffff;
  shard.table->SetFilter(0, &shard.budget, profile);
  shard.In("udp $C:1 > $S:2 data 4");
  shard.Advance(kMaxTimeoutTicks - kSecond, 20 * kSecond);
  EXPECT_EQ(shard.table->size(), 1u);
  shard.Advance(2 * kSecond);
  EXPECT_EQ(shard.table->size(), 0u);
}

TEST_P(Aging, OneCallDoesABoundedAmountOfWork) {
  for (int i = 0; i < 100; ++i) {
    shard.In(absl::StrCat("udp $C:", 1000 + i, " > $S:2 data 4"));
  }
  shard.now += 61 * kSecond;
  for (uint32_t left = 100; left > 0; left -= 10) {
    EXPECT_EQ(shard.table->size(), left);
    EXPECT_EQ(shard.table->Expire(shard.now, 10), left == 10);
  }
  EXPECT_EQ(shard.table->size(), 0u);
  EXPECT_TRUE(shard.table->Expire(shard.now, 10));
  EXPECT_EQ(shard.budget.used(), 0u);
}

// Random lives against plain arithmetic: each state ends within a slot of the
// wheel after its time, never before it.
TEST_P(Aging, RandomLivesEndOnTime) {
  std::mt19937 random(3);
  shard.now = 0xffff0000;
  std::map<int, Tick> last_seen;
  for (int step = 0; step < 4000; ++step) {
    shard.Advance(1 + random() % 300, 1000);
    for (auto it = last_seen.begin(); it != last_seen.end();) {
      const uint32_t idle = shard.now - it->second;
      TestPacket probe(GetParam(),
                       absl::StrCat("udp $C:", it->first, " > $S:2 data 4"));
      const bool found = shard.table->Find(probe.info, *probe.mbuf, {}) != kNoState;
      // udp.first: no flow of this test sends twice without an answer, and
      // udp.single applies from the second packet on.
      if (idle < 30 * kSecond) {
        ASSERT_TRUE(found) << it->first;
      }
      if (idle >= 60 * kSecond + kGrain) {
        ASSERT_FALSE(found) << it->first;
      }
      it = found ? std::next(it) : last_seen.erase(it);
    }
    const int port = 1 + static_cast<int>(random() % 60);
    shard.In(absl::StrCat("udp $C:", port, " > $S:2 data 4"));
    last_seen[port] = shard.now;
  }
}

}  // namespace
}  // namespace sluice
