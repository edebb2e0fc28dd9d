#include "dataplane/base/turn_watch.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace sluice {
namespace {

constexpr uint64_t kMs = 1'000'000;

class TurnWatchTest : public ::testing::Test {
 protected:
  uint64_t now_ = 5;
  uint64_t starved_ = 7;
  TurnWatch watch_{TurnWatch::Clocks{.now = [this] { return now_; },
                                     .starved = [this] { return starved_; }}};
};

TEST_F(TurnWatchTest, TheLongestTurnIsKeptWithWhatTookIt) {
  watch_.Begin();
  {
    const TurnWatch::Part part(&watch_, "short");
    now_ += 2 * kMs;
  }
  {
    const TurnWatch::Part part(&watch_, "long");
    now_ += 9 * kMs;
  }
  now_ += kMs;
  watch_.End();
  EXPECT_EQ(watch_.totals().longest, 12 * kMs);
  EXPECT_EQ(watch_.totals().operation, "long");
  // What lies between turns does not count, and a shorter one changes nothing.
  now_ += 5000 * kMs;
  watch_.Begin();
  now_ += 11 * kMs;
  watch_.End();
  EXPECT_EQ(watch_.totals().longest, 12 * kMs);
  EXPECT_EQ(watch_.totals().operation, "long");
  EXPECT_EQ(watch_.totals().turns, 2u);
  EXPECT_EQ(watch_.totals().slow, 0u);
}

TEST_F(TurnWatchTest, APartIsChargedForItsOwnTimeOnly) {
  watch_.Begin();
  {
    const TurnWatch::Part outer(&watch_, "outer");
    now_ += 3 * kMs;
    {
      const TurnWatch::Part inner(&watch_, "inner");
      now_ += 150 * kMs;
    }
    now_ += 3 * kMs;
  }
  watch_.End();
  EXPECT_EQ(watch_.totals().operation, "inner");
  EXPECT_EQ(watch_.totals().slow, 1u);
}

TEST_F(TurnWatchTest, WaitingForAProcessorIsNotBeingBusy) {
  watch_.Begin();
  now_ += 500 * kMs;
  starved_ += 450 * kMs;
  watch_.End();
  EXPECT_EQ(watch_.totals().longest, 50 * kMs);
  EXPECT_EQ(watch_.totals().slow, 0u);
  // A kernel that counts in another way cannot make it negative.
  watch_.Begin();
  now_ += 200 * kMs;
  starved_ += 900 * kMs;
  watch_.End();
  EXPECT_EQ(watch_.totals().longest, 50 * kMs);
}

TEST_F(TurnWatchTest, WithoutAWatchNothingIsMeasured) {
  const TurnWatch::Part part(nullptr, "alone");
  watch_.End();
  EXPECT_EQ(watch_.totals().turns, 0u);
}

TEST(RealTurnWatchTest, ReadsTheKernelsClocks) {
  TurnWatch watch;
  watch.Begin();
  volatile uint64_t sum = 0;
  for (int i = 0; i < 1000; ++i) sum = sum + 1;
  watch.End();
  EXPECT_GT(watch.totals().longest, 0u);
}

}  // namespace
}  // namespace sluice
