#include "restore/filter_status.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>
#include <vector>

namespace sluice {
namespace {

using enum RestoreState;

constexpr uint16_t kExpecting = kFilterEnabled | kFilterExpects;
constexpr RestoreState kAll[] = {kNone,       kExpect,   kQueued,
                                 kValidating, kCommitting, kRestored,
                                 kFailed,     kSkipped,  kCancelled};

TEST(FilterStatusTest, BeginsDisabledInIncarnationZero) {
  const FilterStatusWord word;
  EXPECT_EQ(word.Load(), (FilterStatus{}));
  EXPECT_FALSE(word.Load().enabled());
}

TEST(FilterStatusTest, EachEnableAndDisableIsAnotherIncarnation) {
  FilterStatusWord word;
  EXPECT_EQ(word.Enable(false),
            (FilterStatus{.incarnation = 1, .flags = kFilterEnabled}));
  EXPECT_EQ(word.Enable(true), (FilterStatus{.incarnation = 2,
                                           .state = kExpect,
                                           .flags = kExpecting}));
  EXPECT_EQ(word.Disable(),
            (FilterStatus{.incarnation = 3, .state = kCancelled}));
  EXPECT_EQ(word.Disable(), (FilterStatus{.incarnation = 4}));
  EXPECT_EQ(word.Load(), (FilterStatus{.incarnation = 4}));
}

TEST(FilterStatusTest, WalksFromExpectToRestored) {
  FilterStatusWord word;
  word.Enable(true);
  ASSERT_TRUE(word.RequestRestore());
  FilterStatus seen = word.Load();
  EXPECT_EQ(seen, (FilterStatus{.incarnation = 1,
                              .state = kQueued,
                              .attempt = 1,
                              .flags = kExpecting}));
  EXPECT_TRUE(word.Advance(&seen, kValidating));
  EXPECT_TRUE(word.Advance(&seen, kQueued));  // a transient error
  EXPECT_EQ(seen.attempt, 2);
  EXPECT_TRUE(word.Advance(&seen, kValidating));
  EXPECT_TRUE(word.Advance(&seen, kCommitting));
  EXPECT_TRUE(word.Advance(&seen, kRestored));
  EXPECT_EQ(word.Load(), seen);
}

TEST(FilterStatusTest, ACommitLatches) {
  FilterStatusWord word;
  word.Enable(true);
  word.RequestRestore();
  FilterStatus seen = word.Load();
  ASSERT_TRUE(word.Advance(&seen, kValidating));
  ASSERT_TRUE(word.Advance(&seen, kCommitting));
  ASSERT_TRUE(word.Advance(&seen, kRestored));
  EXPECT_FALSE(word.RequestRestore());
  for (const RestoreState next : kAll) {
    EXPECT_FALSE(word.Advance(&seen, next)) << Name(next);
  }
  EXPECT_EQ(word.Load().state, kRestored);
}

TEST(FilterStatusTest, AFailureIsTriedAgainButNotByAPacket) {
  FilterStatusWord word;
  word.Enable(true);
  word.RequestRestore();
  FilterStatus seen = word.Load();
  ASSERT_TRUE(word.Advance(&seen, kFailed));
  EXPECT_FALSE(word.RequestRestore());
  // An emergency ruleset that has come into force stays in force meanwhile.
  ASSERT_TRUE(word.Advance(&seen, kQueued, kFilterEmergency));
  EXPECT_EQ(seen.attempt, 2);
  for (const RestoreState next : {kValidating, kCommitting}) {
    EXPECT_EQ(DispositionOf(seen), FilterDisposition::kFail);
    ASSERT_TRUE(word.Advance(&seen, next));
  }
  EXPECT_EQ(DispositionOf(seen), FilterDisposition::kFail);
  ASSERT_TRUE(word.Advance(&seen, kRestored));
  EXPECT_EQ(DispositionOf(seen), FilterDisposition::kJudge);
  // The next incarnation knows nothing of it.
  EXPECT_FALSE(word.Enable(true).emergency());
}

TEST(FilterStatusTest, AFilterThatJudgesForWantOfASnapshotGoesOnJudging) {
  FilterStatusWord word;
  word.Enable(true);
  word.RequestRestore();
  FilterStatus seen = word.Load();
  ASSERT_TRUE(word.Advance(&seen, kSkipped));
  for (const RestoreState next : {kQueued, kValidating, kCommitting, kFailed}) {
    ASSERT_TRUE(word.Advance(&seen, next));
    EXPECT_EQ(DispositionOf(seen), FilterDisposition::kJudge) << Name(next);
  }
}

TEST(FilterStatusTest, NothingLeavesALatchedState) {
  for (const RestoreState from : kAll) {
    for (const RestoreState to : kAll) {
      if ((from == kNone && to != kQueued) ||
          (IsOpenEnd(from) && to != kQueued) || from == kRestored ||
          from == kCancelled || to == kNone || to == kExpect ||
          to == kCancelled || (from == to && to != kQueued)) {
        EXPECT_FALSE(IsAllowed(from, to)) << Name(from) << " " << Name(to);
      }
    }
  }
  EXPECT_FALSE(IsAllowed(kExpect, kCommitting));
  EXPECT_FALSE(IsAllowed(kQueued, kCommitting));
  EXPECT_FALSE(IsAllowed(kValidating, kRestored));
  EXPECT_TRUE(IsAllowed(kCommitting, kQueued));
}

TEST(FilterStatusTest, OnlyAnOrderLeavesNoneAndOnlyOnAnEnabledPort) {
  FilterStatusWord word;
  FilterStatus seen = word.Load();
  EXPECT_FALSE(word.Advance(&seen, kQueued));
  seen = word.Enable(false);
  EXPECT_FALSE(word.RequestRestore());
  EXPECT_EQ(word.Load(), seen);
  EXPECT_TRUE(word.Advance(&seen, kQueued));
  EXPECT_EQ(seen.state, kQueued);
  EXPECT_EQ(DispositionOf(seen), FilterDisposition::kJudge);
}

TEST(FilterStatusTest, ACommitHoldsADisableUp) {
  FilterStatusWord word;
  word.Enable(true);
  word.RequestRestore();
  FilterStatus seen = word.Load();
  ASSERT_TRUE(word.Advance(&seen, kValidating));
  ASSERT_TRUE(word.Advance(&seen, kCommitting));
  FilterStatus status;
  EXPECT_FALSE(word.DisableUnlessCommitting(&status));
  EXPECT_EQ(status, seen);
  EXPECT_EQ(word.Load(), seen);
  ASSERT_TRUE(word.Advance(&seen, kRestored));
  EXPECT_TRUE(word.DisableUnlessCommitting(&status));
  EXPECT_EQ(status, (FilterStatus{.incarnation = 2}));
  EXPECT_EQ(word.Load(), status);
}

TEST(FilterStatusTest, DispositionsHoldUntilTheEnd) {
  using enum FilterDisposition;
  constexpr FilterDisposition kExpected[] = {kJudge, kRequest, kHold,
                                           kHold,  kHold,    kJudge,
                                           kFail,  kJudge,   kDrop};
  for (const RestoreState state : kAll) {
    FilterStatus status = {.state = state, .flags = kExpecting};
    EXPECT_EQ(DispositionOf(status), kExpected[static_cast<size_t>(state)])
        << Name(state);
    status.flags = kFilterEnabled;
    EXPECT_EQ(DispositionOf(status), kJudge) << Name(state);
    status.flags = 0;
    EXPECT_EQ(DispositionOf(status), kDrop) << Name(state);
  }
}

TEST(FilterStatusTest, ADisabledPortRefusesItsOldRestore) {
  FilterStatusWord word;
  word.Enable(true);
  word.RequestRestore();
  FilterStatus seen = word.Load();
  ASSERT_TRUE(word.Advance(&seen, kValidating));
  EXPECT_EQ(word.Disable().state, kCancelled);
  EXPECT_FALSE(word.Advance(&seen, kCommitting));
  // Neither does the next life take it, although it is in the same state.
  word.Enable(true);
  word.RequestRestore();
  FilterStatus now = word.Load();
  ASSERT_TRUE(word.Advance(&now, kValidating));
  EXPECT_FALSE(word.Advance(&seen, kCommitting));
  EXPECT_EQ(word.Load(), now);
}

TEST(FilterStatusTest, AttemptsDoNotWrap) {
  FilterStatusWord word;
  word.Enable(true);
  word.RequestRestore();
  FilterStatus seen = word.Load();
  for (int attempt = 1; attempt < 255; ++attempt) {
    ASSERT_TRUE(word.Advance(&seen, kValidating));
    ASSERT_TRUE(word.Advance(&seen, kQueued));
  }
  EXPECT_EQ(seen.attempt, 255);
  ASSERT_TRUE(word.Advance(&seen, kValidating));
  EXPECT_TRUE(word.Advance(&seen, kQueued));
  EXPECT_EQ(seen.attempt, 255);
  EXPECT_EQ(word.Load(), seen);
}

// Of many threads that see the first packet, one posts the request, in each
// of many incarnations that another thread begins meanwhile.
TEST(FilterStatusTest, OneRequestAnIncarnation) {
  constexpr int kThreads = 3;
  constexpr uint32_t kIncarnations = 5000;
  FilterStatusWord word;
  std::atomic<bool> stop{false};
  std::vector<int> won(kThreads, 0);
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      while (!stop.load(std::memory_order_relaxed)) {
        if (word.RequestRestore()) {
          ++won[i];
        } else {
          std::this_thread::yield();
        }
      }
    });
  }
  for (uint32_t i = 0; i < kIncarnations; ++i) {
    word.Enable(true);
    // The next life begins only when this one's request was made, so that
    // the sum is known.
    while (word.Load().state == kExpect) std::this_thread::yield();
  }
  stop.store(true, std::memory_order_relaxed);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(won[0] + won[1] + won[2], static_cast<int>(kIncarnations));
  EXPECT_EQ(word.Load().incarnation, kIncarnations);
}

// A restore that runs while its filter is disabled and enabled all the time
// commits at most once in an incarnation, and only in a live one.
TEST(FilterStatusTest, AtMostOneCommitAnIncarnation) {
  constexpr int kThreads = 2;
  FilterStatusWord word;
  std::atomic<bool> stop{false};
  std::vector<std::vector<uint32_t>> commits(kThreads);
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      while (!stop.load(std::memory_order_relaxed)) {
        word.RequestRestore();
        FilterStatus seen = word.Load();
        if (seen.state == kQueued) word.Advance(&seen, kValidating);
        if (seen.state == kValidating && word.Advance(&seen, kCommitting)) {
          commits[i].push_back(seen.incarnation);
          word.Advance(&seen, kRestored);
        } else {
          std::this_thread::yield();
        }
      }
    });
  }
  std::set<uint32_t> enabled;
  for (int i = 0; i < 5000; ++i) {
    enabled.insert(word.Enable(true).incarnation);
    if (i % 8 == 0) std::this_thread::yield();
    word.Disable();
  }
  stop.store(true, std::memory_order_relaxed);
  for (std::thread& thread : threads) thread.join();
  std::set<uint32_t> seen;
  for (const auto& list : commits) {
    for (const uint32_t incarnation : list) {
      EXPECT_TRUE(seen.insert(incarnation).second) << incarnation;
      EXPECT_TRUE(enabled.contains(incarnation)) << incarnation;
    }
  }
}

}  // namespace
}  // namespace sluice
