#include "dataplane/filters/limit_alarm.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace sluice {
namespace {

using Change = LimitAlarm::Change;

TEST(LimitAlarmTest, IsRaisedAndClearedOnce) {
  LimitAlarm alarm;
  EXPECT_EQ(alarm.Look(79, 100), Change::kNone);
  EXPECT_EQ(alarm.Look(80, 100), Change::kRaised);
  EXPECT_TRUE(alarm.on());
  for (const uint32_t in_use : {80u, 100u, 79u, 70u, 81u}) {
    EXPECT_EQ(alarm.Look(in_use, 100), Change::kNone) << in_use;
  }
  EXPECT_EQ(alarm.Look(69, 100), Change::kCleared);
  EXPECT_EQ(alarm.Look(79, 100), Change::kNone);
  EXPECT_EQ(alarm.Look(150, 100), Change::kRaised);
  EXPECT_EQ(alarm.raised(), 2u);
}

TEST(LimitAlarmTest, LimitsOfAllSizes) {
  LimitAlarm none;
  EXPECT_EQ(none.Look(0, 0), Change::kNone);
  EXPECT_EQ(none.Look(1, 0), Change::kRaised);
  EXPECT_EQ(none.Look(0, 0), Change::kCleared);
  LimitAlarm one;
  EXPECT_EQ(one.Look(0, 1), Change::kNone);
  EXPECT_EQ(one.Look(1, 1), Change::kRaised);
  LimitAlarm most;
  EXPECT_EQ(most.Look(3'435'973'835u, UINT32_MAX), Change::kNone);
  EXPECT_EQ(most.Look(3'435'973'836u, UINT32_MAX), Change::kRaised);
  EXPECT_EQ(most.Look(UINT32_MAX, UINT32_MAX), Change::kNone);
}

// A limit that a commit has changed.
TEST(LimitAlarmTest, TheLimitMayMove) {
  LimitAlarm alarm;
  EXPECT_EQ(alarm.Look(50, 100), Change::kNone);
  EXPECT_EQ(alarm.Look(50, 60), Change::kRaised);
  EXPECT_EQ(alarm.Look(50, 1000), Change::kCleared);
}

}  // namespace
}  // namespace sluice
