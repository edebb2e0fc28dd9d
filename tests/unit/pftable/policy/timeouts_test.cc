#include "pftable/policy/timeouts.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

uint32_t Ticks(Timeout timeout, uint32_t states,
               const TimeoutProfile* rule = nullptr,
               uint32_t rule_states = 0) {
  return TimeoutTicks(kDefaultTimeoutProfile, rule, timeout, states,
                      rule_states);
}

TEST(Timeouts, DefaultsArePfs) {
  EXPECT_EQ(kDefaultTimeoutProfile[Timeout::kTcpFirst], 120u);
  EXPECT_EQ(kDefaultTimeoutProfile[Timeout::kTcpEstablished], 86400u);
  EXPECT_EQ(kDefaultTimeoutProfile[Timeout::kTcpTsDiff], 30u);
  EXPECT_EQ(kDefaultTimeoutProfile[Timeout::kSctpClosed], 90u);
  EXPECT_EQ(kDefaultTimeoutProfile[Timeout::kUdpMultiple], 60u);
  EXPECT_EQ(kDefaultTimeoutProfile[Timeout::kIcmpError], 10u);
  EXPECT_EQ(kDefaultTimeoutProfile[Timeout::kAdaptiveStart], 60000u);
  EXPECT_EQ(kDefaultTimeoutProfile[Timeout::kAdaptiveEnd], 120000u);
  EXPECT_EQ(kDefaultTimeoutProfile[Timeout::kSourceTrack], 0u);
  EXPECT_EQ(kTimeoutNames[static_cast<size_t>(Timeout::kTcpFinWait)],
            "tcp.finwait");
  EXPECT_EQ(kTimeoutNames.back(), "src.track");
}

TEST(Timeouts, ShrinkBetweenAdaptiveStartAndEnd) {
  EXPECT_EQ(Ticks(Timeout::kUdpMultiple, 0), 60000u);
  EXPECT_EQ(Ticks(Timeout::kUdpMultiple, 60000), 60000u);
  EXPECT_EQ(Ticks(Timeout::kUdpMultiple, 90000), 30000u);
  EXPECT_EQ(Ticks(Timeout::kUdpMultiple, 119999), 1u);
  EXPECT_EQ(Ticks(Timeout::kUdpMultiple, 120000), 0u);
  EXPECT_EQ(Ticks(Timeout::kUdpMultiple, 4000000000u), 0u);
  EXPECT_EQ(Ticks(Timeout::kTcpEstablished, 90000), 43200000u);
}

TEST(Timeouts, ZeroOrTurnedRoundSwitchesScalingOff) {
  TimeoutProfile filter = kDefaultTimeoutProfile;
  filter[Timeout::kAdaptiveStart] = 0;
  filter[Timeout::kAdaptiveEnd] = 0;
  EXPECT_EQ(TimeoutTicks(filter, nullptr, Timeout::kUdpFirst, 1u << 31, 0),
            60000u);
  filter[Timeout::kAdaptiveStart] = 10;
  filter[Timeout::kAdaptiveEnd] = 10;
  EXPECT_EQ(TimeoutTicks(filter, nullptr, Timeout::kUdpFirst, 1u << 31, 0),
            60000u);
}

TEST(Timeouts, ARulesValueComesFirst) {
  TimeoutProfile rule;
  rule[Timeout::kUdpFirst] = 5;
  EXPECT_EQ(Ticks(Timeout::kUdpFirst, 0, &rule), 5000u);
  EXPECT_EQ(Ticks(Timeout::kUdpSingle, 0, &rule), 30000u);
  // The filter's scaling applies to it.
  EXPECT_EQ(Ticks(Timeout::kUdpFirst, 90000, &rule), 2500u);
}

TEST(Timeouts, ARuleWithAdaptiveStartCountsItsOwnStates) {
  TimeoutProfile rule;
  rule[Timeout::kAdaptiveStart] = 100;
  rule[Timeout::kAdaptiveEnd] = 200;
  EXPECT_EQ(Ticks(Timeout::kUdpFirst, 200000, &rule, 50), 60000u);
  EXPECT_EQ(Ticks(Timeout::kUdpFirst, 0, &rule, 150), 30000u);
  EXPECT_EQ(Ticks(Timeout::kUdpFirst, 0, &rule, 200), 0u);
}

TEST(Timeouts, LongOnesAreCut) {
  TimeoutProfile rule;
  rule[Timeout::kTcpEstablished] = 0xffffffff;
  EXPECT_EQ(Ticks(Timeout::kTcpEstablished, 0, &rule), kMaxTimeoutTicks);
}

}  // namespace
}  // namespace sluice
