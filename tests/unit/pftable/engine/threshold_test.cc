#include "pftable/engine/threshold.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "pftable/engine/rule_slots.h"

namespace sluice {
namespace {

constexpr RateLimit kThreeInTen = {.count = 3, .seconds = 10};

TEST(ThresholdTest, AllowsUpToTheRate) {
  Threshold threshold;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(threshold.Add(kThreeInTen, 1000));
  EXPECT_FALSE(threshold.WouldAllow(kThreeInTen, 1000));
  EXPECT_FALSE(threshold.Add(kThreeInTen, 1000));
}

TEST(ThresholdTest, WearsOffEvenly) {
  Threshold threshold;
  for (int i = 0; i < 4; ++i) {
    static_cast<void>(threshold.Add(kThreeInTen, 1000));
  }
  EXPECT_EQ(threshold.Value(kThreeInTen, 1000), 4000u);
  EXPECT_EQ(threshold.Value(kThreeInTen, 6000), 2000u);
  EXPECT_EQ(threshold.Value(kThreeInTen, 11000), 0u);
  EXPECT_TRUE(threshold.WouldAllow(kThreeInTen, 6000));
  EXPECT_FALSE(threshold.WouldAllow(kThreeInTen, 3000));
}

// The tick of another worker may be behind.
TEST(ThresholdTest, ATickBackwardsIsNone) {
  Threshold threshold;
  static_cast<void>(threshold.Add(kThreeInTen, 1000));
  static_cast<void>(threshold.Add(kThreeInTen, 998));
  EXPECT_EQ(threshold.Value(kThreeInTen, 998), 2000u);
}

TEST(ThresholdTest, GoesOnWithWhatItIsGiven) {
  Threshold threshold;
  threshold.Set(2500, 77);
  EXPECT_FALSE(threshold.Add(kThreeInTen, 77));
  threshold.Set(2000, 77);
  EXPECT_TRUE(threshold.Add(kThreeInTen, 77));
}

TEST(ThresholdTest, NeverOverflows) {
  Threshold threshold;
  threshold.Set(UINT32_MAX, 5);
  EXPECT_FALSE(threshold.Add({.count = UINT32_MAX, .seconds = 1}, 5) &&
               threshold.Value({.count = 1, .seconds = 1}, 5) < kRateUnit);
  EXPECT_EQ(threshold.Value({.count = 1, .seconds = 1}, 5), UINT32_MAX);
}

constexpr int kThreads = 4;
constexpr int kRounds = 20000;

void InThreads(const std::function<void()>& act) {
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back(act);
  for (std::thread& thread : threads) thread.join();
}

TEST(ThresholdTest, IsExactAmongWorkers) {
  constexpr RateLimit kRate = {.count = 1000, .seconds = 1};
  Threshold threshold;
  std::atomic<int> allowed{0};
  InThreads([&] {
    for (int i = 0; i < kRounds; ++i) {
      if (threshold.Add(kRate, 42)) allowed.fetch_add(1);
    }
  });
  EXPECT_EQ(allowed.load(), 1000);
  EXPECT_EQ(threshold.Value(kRate, 42),
            uint32_t{kThreads} * kRounds * kRateUnit);
}

TEST(RuleLifeTest, OnePacketOfAllWorkersEndsIt) {
  RuleRecord record;
  for (uint32_t life = 1; life <= 300; ++life) {
    EXPECT_FALSE(record.HasEnded(life));
    std::atomic<int> ended{0};
    InThreads([&] {
      if (record.EndLife(life)) ended.fetch_add(1);
    });
    EXPECT_EQ(ended.load(), 1);
    EXPECT_TRUE(record.HasEnded(life));
  }
  // A worker that still has the ruleset of before.
  EXPECT_TRUE(record.HasEnded(17));
  EXPECT_FALSE(record.EndLife(17));
}

}  // namespace
}  // namespace sluice
