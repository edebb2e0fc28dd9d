#include "restore/restore_queue.h"

#include <gtest/gtest.h>

#include <deque>
#include <vector>

#include "tests/unit/restore/restore_fakes.h"

namespace sluice {
namespace {

using enum RestoreState;

constexpr SnapshotId kFirst = {1};
constexpr SnapshotId kSecond = {2};
// Somebody looks whenever the test says that time has gone by.
constexpr RestoreLimits kLimits = {.longest_gap = UINT64_MAX};

class Source : public SnapshotSource {
 public:
  absl::StatusOr<SharedBytes> Read(const SnapshotReading&) override {
    return std::make_shared<const std::vector<uint8_t>>();
  }
};

class RestoreQueueTest : public ::testing::Test {
 protected:
  RestoreQueueTest() {
    filter_ = queue_.AddFilter({.word = &word_});
    queue_.Poll(now_);
  }

  void Outcome(ValidateOutcome outcome, SnapshotId snapshot = kFirst) {
    validator_.next[filter_] = {outcome, snapshot, "a reason"};
  }
  RestoreAnswer Ask(RestoreWaiter waiter, SnapshotId snapshot = kNoSnapshotId,
                    uint32_t incarnation = 0) {
    return queue_.Submit({.filter = filter_,
                          .incarnation = incarnation,
                          .snapshot = snapshot,
                          .waiter = waiter},
                         now_);
  }
  void Enable(RestoreFilterId filter, bool expects = true) {
    ASSERT_EQ(queue_.Want(filter, {.enabled = true, .expects = expects}),
              WantResult::kDone);
  }
  WantResult Disable(RestoreFilterId filter) {
    return queue_.Want(filter, {.enabled = false});
  }
  // Enabled, asked for by a packet, with the validator.
  void Validate() {
    Enable(filter_);
    ASSERT_TRUE(word_.RequestRestore());
    queue_.Poll(now_);
    ASSERT_EQ(word_.Load().state, kValidating);
  }
  void Restore() {
    Validate();
    Outcome(ValidateOutcome::kReady);
    queue_.Poll(now_);
    ASSERT_EQ(word_.Load().state, kRestored);
  }
  RestoreCode OnlyAnswer(RestoreWaiter waiter) {
    EXPECT_EQ(listener_.answers[waiter].size(), 1u);
    return listener_.answers[waiter].empty()
               ? RestoreCode::kUnknownFilter
               : listener_.answers[waiter].front().code;
  }

  RestoreTime now_ = 1'000'000;
  FilterStatusWord word_;
  FakeValidator validator_;
  FakeCommitter committer_;
  FakeListener listener_;
  RestoreQueue queue_{kLimits, &validator_, &committer_, &listener_};
  RestoreFilterId filter_ = 0;
};

TEST_F(RestoreQueueTest, APacketsExchangeIsTheWholeRequest) {
  Restore();
  EXPECT_EQ(committer_.commits.size(), 1u);
  EXPECT_EQ(queue_.metrics().requests[0], 1u);
  EXPECT_EQ(queue_.metrics().commits, 1u);
  EXPECT_EQ(queue_.metrics().report.states_imported, 3u);
  EXPECT_EQ(queue_.jobs(), 0u);
  ASSERT_EQ(listener_.ends.size(), 1u);
  EXPECT_EQ(listener_.ends[0].second.snapshot, kFirst);
}

TEST_F(RestoreQueueTest, ALateRequestMeetsTheLatch) {
  Restore();
  EXPECT_EQ(Ask(9).code, RestoreCode::kAlreadyApplied);
  EXPECT_EQ(Ask(9, kFirst).code, RestoreCode::kAlreadyApplied);
  EXPECT_EQ(Ask(9, kSecond).code, RestoreCode::kConflict);
  EXPECT_FALSE(word_.RequestRestore());
  for (int i = 0; i < 5; ++i) queue_.Poll(now_ += 1000);
  EXPECT_EQ(queue_.metrics().commits, 1u);
  EXPECT_EQ(queue_.metrics().late_duplicates, 2u);
  EXPECT_EQ(queue_.metrics().conflicts, 1u);
  EXPECT_TRUE(listener_.answers.empty());
}

TEST_F(RestoreQueueTest, RequestsJoinAndAreAnsweredOnce) {
  Enable(filter_);
  EXPECT_EQ(Ask(100, kFirst).code, RestoreCode::kStarted);
  EXPECT_EQ(Ask(101, kFirst).code, RestoreCode::kJoined);
  EXPECT_EQ(Ask(102).code, RestoreCode::kJoined);
  EXPECT_EQ(Ask(103, kSecond).code, RestoreCode::kBusy);
  queue_.Poll(now_);
  EXPECT_EQ(validator_.running[filter_].snapshot, kFirst);
  Outcome(ValidateOutcome::kReady);
  queue_.Poll(now_);
  for (const RestoreWaiter waiter : {100, 101, 102}) {
    EXPECT_EQ(OnlyAnswer(waiter), RestoreCode::kRestored);
  }
  EXPECT_FALSE(listener_.answers.contains(103));
  EXPECT_EQ(queue_.metrics().joined, 2u);
}

TEST_F(RestoreQueueTest, TheSeventeenthWaiterIsToPoll) {
  Enable(filter_);
  for (RestoreWaiter i = 1; i <= kMaxRestoreWaiters; ++i) {
    const RestoreCode code = Ask(i).code;
    EXPECT_TRUE(code == RestoreCode::kStarted || code == RestoreCode::kJoined);
  }
  EXPECT_EQ(Ask(17).code, RestoreCode::kBusy);
  EXPECT_TRUE(queue_.Withdraw(filter_, 5));
  EXPECT_FALSE(queue_.Withdraw(filter_, 5));
  EXPECT_EQ(Ask(18).code, RestoreCode::kJoined);
  queue_.Poll(now_);
  Outcome(ValidateOutcome::kRefused);
  queue_.Poll(now_);
  EXPECT_EQ(listener_.answers.size(), kMaxRestoreWaiters);
  EXPECT_FALSE(listener_.answers.contains(5));
  EXPECT_FALSE(listener_.answers.contains(17));
  EXPECT_EQ(OnlyAnswer(18), RestoreCode::kFailed);
}

TEST_F(RestoreQueueTest, ADisableCancelsWhateverIsUnderWay) {
  Validate();
  EXPECT_EQ(Ask(7).code, RestoreCode::kJoined);
  EXPECT_EQ(Disable(filter_), WantResult::kDone);
  EXPECT_TRUE(validator_.running[filter_].IsDead());
  Outcome(ValidateOutcome::kReady);  // too late
  queue_.Poll(now_);
  EXPECT_EQ(OnlyAnswer(7), RestoreCode::kCancelled);
  EXPECT_EQ(validator_.abandoned, 1);
  EXPECT_TRUE(committer_.commits.empty());
  EXPECT_EQ(word_.Load().state, kCancelled);
  EXPECT_EQ(Ask(8).code, RestoreCode::kDisabled);
  EXPECT_EQ(Ask(8, kNoSnapshotId, 1).code, RestoreCode::kStale);
}

TEST_F(RestoreQueueTest, TheNextLifeIsRestoredForItself) {
  Validate();
  ASSERT_EQ(Disable(filter_), WantResult::kDone);
  Enable(filter_);
  ASSERT_TRUE(word_.RequestRestore());
  // An order for this life arrives before the old job has seen its end.
  EXPECT_EQ(Ask(7).code, RestoreCode::kJoined);
  queue_.Poll(now_);
  queue_.Poll(now_);
  EXPECT_EQ(word_.Load().state, kValidating);
  Outcome(ValidateOutcome::kReady);
  queue_.Poll(now_);
  EXPECT_EQ(OnlyAnswer(7), RestoreCode::kRestored);
  EXPECT_EQ(committer_.commits.size(), 1u);
  EXPECT_EQ((committer_.commits[{filter_, 3}]), 1);
  EXPECT_EQ(committer_.dead_commits, 0);
}

TEST_F(RestoreQueueTest, ADisableWaitsForTheEndOfACommit) {
  Validate();
  committer_.steps_left = 2;
  Outcome(ValidateOutcome::kReady);
  queue_.Poll(now_);
  ASSERT_EQ(word_.Load().state, kCommitting);
  EXPECT_EQ(Disable(filter_), WantResult::kDeferred);
  EXPECT_EQ(Disable(filter_), WantResult::kDeferred);
  EXPECT_EQ(word_.Load().state, kCommitting);
  queue_.Poll(now_);
  queue_.Poll(now_);
  EXPECT_EQ((committer_.commits[{filter_, 1}]), 1);
  ASSERT_EQ(listener_.disabled.size(), 1u);
  EXPECT_EQ(listener_.disabled[0].second,
            (FilterStatus{.incarnation = 2, .state = kNone}));
  EXPECT_EQ(queue_.metrics().disables_deferred, 1u);
  EXPECT_TRUE(listener_.enabled.empty());
  Enable(filter_);
}

TEST_F(RestoreQueueTest, WhatIsWantedDuringACommitIsWhatComesOfIt) {
  struct Case {
    std::vector<WantedFilter> wanted;
    uint32_t incarnation;  // that the filter comes to
    RestoreState state;
  };
  constexpr WantedFilter kOff = {.enabled = false};
  constexpr WantedFilter kOn = {.enabled = true};
  constexpr WantedFilter kExpecting = {.enabled = true, .expects = true};
  const std::vector<Case> cases = {
      {{kOn}, 1, kRestored},
      {{kOff}, 2, kNone},
      {{kOff, kOff}, 2, kNone},
      {{kOff, kOn}, 3, kNone},
      {{kOff, kExpecting}, 3, kExpect},
      // Whose enabling comes second finds it wanted.
      {{kOff, kExpecting, kOn}, 3, kExpect},
      {{kOff, kExpecting, kOff}, 2, kNone},
      {{kOff, kExpecting, kOff, kOn}, 3, kNone},
  };
  std::deque<FilterStatusWord> words;
  for (const bool published : {true, false}) {
    for (size_t i = 0; i < cases.size(); ++i) {
      SCOPED_TRACE(i);
      FilterStatusWord& word = words.emplace_back();
      const RestoreFilterId id = queue_.AddFilter({.word = &word});
      Enable(id);
      ASSERT_TRUE(word.RequestRestore());
      queue_.Poll(now_);
      validator_.next[id] = {ValidateOutcome::kReady, kFirst, ""};
      committer_.steps_left = 1;
      queue_.Poll(now_);
      ASSERT_EQ(word.Load().state, kCommitting);
      listener_ = {};
      const auto& wanted = cases[i].wanted;
      for (const WantedFilter& now : wanted) {
        EXPECT_EQ(queue_.Want(id, now),
                  cases[i].incarnation == 1 ? WantResult::kUnchanged
                                            : WantResult::kDeferred);
      }
      EXPECT_EQ(word.Load().incarnation, 1u);
      EXPECT_TRUE(listener_.disabled.empty());
      if (!published) {
        // Its deadline, and what waits for its end does not wait for another
        // attempt.
        now_ += kLimits.commit;
        committer_.steps_left = 1;
      }
      queue_.Poll(now_);
      const FilterStatus status = word.Load();
      EXPECT_EQ(status.enabled(), wanted.back().enabled);
      EXPECT_EQ(status.incarnation, cases[i].incarnation);
      if (cases[i].incarnation == 1 && !published) {
        EXPECT_EQ(status.state, kQueued);
        ASSERT_EQ(Disable(id), WantResult::kDone);
        queue_.Poll(now_);
        continue;
      }
      // What was undone is cancelled.
      EXPECT_EQ(status.state, published || cases[i].incarnation != 2
                                  ? cases[i].state
                                  : kCancelled);
      EXPECT_EQ(status.expects(),
                status.state == kExpect || cases[i].incarnation == 1);
      // Whoever waits is told once.
      EXPECT_EQ(listener_.disabled.size(),
                cases[i].incarnation > 1 ? 1u : 0u);
      EXPECT_EQ(listener_.enabled.size(),
                cases[i].incarnation == 3 ? 1u : 0u);
      if (status.state != kExpect) continue;
      // Its first packet is heard, although nobody asks but that.
      ASSERT_TRUE(word.RequestRestore());
      queue_.Poll(now_);
      queue_.Poll(now_);
      EXPECT_EQ(word.Load().state, kValidating);
      validator_.next[id] = {ValidateOutcome::kReady, kFirst, ""};
      queue_.Poll(now_);
      EXPECT_EQ((committer_.commits[{id, 3}]), 1);
    }
  }
  EXPECT_EQ(committer_.dead_commits, 0);
  EXPECT_EQ(queue_.metrics().disables_deferred, 2 * (cases.size() - 1));
}

TEST_F(RestoreQueueTest, ACommitThatOverrunsIsUndoneAndTriedAgain) {
  Validate();
  committer_.steps_left = 3;
  Outcome(ValidateOutcome::kReady);
  queue_.Poll(now_);
  queue_.Poll(now_ += 49'999);
  EXPECT_EQ(word_.Load().state, kCommitting);
  queue_.Poll(now_ += 1);
  EXPECT_EQ(word_.Load().state, kQueued);
  EXPECT_EQ(committer_.abandoned, 1);
  EXPECT_TRUE(committer_.commits.empty());
  EXPECT_EQ(queue_.metrics().fail_closed, 0u);
  EXPECT_EQ(listener_.retries.at(0).second, RestoreFailure::kCommitDeadline);
  queue_.Poll(now_ += 50'000);
  EXPECT_EQ(word_.Load().state, kValidating);
  // Whatever its source has, as the first time.
  EXPECT_EQ(validator_.running[filter_].snapshot, kNoSnapshotId);
  Outcome(ValidateOutcome::kReady);
  queue_.Poll(now_);
  EXPECT_EQ(word_.Load().state, kRestored);
  EXPECT_EQ((committer_.commits[{filter_, 1}]), 1);
}

// Who has answered by the time that somebody looks was not late.
TEST_F(RestoreQueueTest, ADeadlineIsLookedAtAfterTheAnswer) {
  Validate();
  committer_.steps_left = 1;
  Outcome(ValidateOutcome::kReady);
  queue_.Poll(now_);
  ASSERT_EQ(word_.Load().state, kCommitting);
  queue_.Poll(now_ += 10 * kLimits.commit);
  EXPECT_EQ(word_.Load().state, kRestored);
}

TEST_F(RestoreQueueTest, WhatMovesIsNotLate) {
  Validate();
  for (int i = 0; i < 100; ++i) {
    ++validator_.progress;
    queue_.Poll(now_ += kLimits.validate - 1);
    ASSERT_EQ(word_.Load().state, kValidating) << i;
  }
  committer_.steps_left = 101;
  Outcome(ValidateOutcome::kReady);
  queue_.Poll(now_);
  for (int i = 0; i < 100; ++i) {
    ++committer_.progress;
    queue_.Poll(now_ += kLimits.commit - 1);
    ASSERT_EQ(word_.Load().state, kCommitting) << i;
  }
  queue_.Poll(now_ += 1);
  EXPECT_EQ(word_.Load().state, kRestored);
  EXPECT_EQ(queue_.metrics().retries, 0u);
}

// A process that was stopped for six seconds, a control lcore that was busy for
// half of one: nobody has looked, and nobody was late.
TEST_F(RestoreQueueTest, TimeInWhichNobodyLooksDoesNotCount) {
  RestoreQueue queue(RestoreLimits{}, &validator_, &committer_, &listener_);
  FilterStatusWord word;
  const RestoreFilterId id = queue.AddFilter({.word = &word});
  ASSERT_EQ(queue.Want(id, {.enabled = true, .expects = true}),
            WantResult::kDone);
  ASSERT_TRUE(word.RequestRestore());
  queue.Poll(now_);
  queue.Poll(now_ += 6'000'000);
  ASSERT_EQ(word.Load().state, kValidating);
  queue.Poll(now_ += 6'000'000);
  ASSERT_EQ(word.Load().state, kValidating);
  committer_.steps_left = 1000;
  validator_.next[id] = {ValidateOutcome::kReady, kFirst, ""};
  queue.Poll(now_);
  for (int i = 0; i < 4; ++i) {
    queue.Poll(now_ += 500'000);
    ASSERT_EQ(word.Load().state, kCommitting) << i;
  }
  // But who is looked at often enough and does not move is late.
  for (int i = 0; i < 9; ++i) queue.Poll(now_ += 1'000);
  ASSERT_EQ(word.Load().state, kCommitting);
  queue.Poll(now_ += 1'000);
  EXPECT_EQ(word.Load().state, kQueued);
}

TEST_F(RestoreQueueTest, AttemptsAreSpacedUntilItIsGivenUp) {
  Validate();
  const RestoreTime began = now_;
  RestoreTime delays[] = {50'000, 200'000, 800'000, 1'000'000, 1'000'000};
  for (const RestoreTime delay : delays) {
    Outcome(ValidateOutcome::kTransient);
    queue_.Poll(now_);
    ASSERT_EQ(word_.Load().state, kQueued) << delay;
    queue_.Poll(now_ += delay - 1);
    EXPECT_EQ(word_.Load().state, kQueued) << delay;
    queue_.Poll(now_ += 1);
    ASSERT_EQ(word_.Load().state, kValidating) << delay;
  }
  EXPECT_EQ(word_.Load().attempt, 6);
  while (word_.Load().state != kFailed) {
    Outcome(ValidateOutcome::kTransient);
    queue_.Poll(now_);
    if (word_.Load().state == kQueued) {
      queue_.Poll(now_ += kLimits.last_retry_delay);
    }
    ASSERT_LE(now_, began + kLimits.give_up + kLimits.last_retry_delay);
  }
  // The last attempt was made when the time was over, and not before.
  EXPECT_GE(now_, began + kLimits.give_up);
  EXPECT_EQ(listener_.ends.at(0).second.failure, RestoreFailure::kTransient);
  EXPECT_EQ(queue_.metrics().retries, listener_.retries.size());
  EXPECT_EQ(queue_.metrics().fail_closed, 1u);
  EXPECT_EQ(DispositionOf(word_.Load()), FilterDisposition::kFail);
}

TEST_F(RestoreQueueTest, AFilterMayHaveAnotherTimeToGiveUp) {
  FilterStatusWord word;
  const RestoreFilterId id =
      queue_.AddFilter({.word = &word, .give_up = 2'000'000});
  Enable(id);
  ASSERT_TRUE(word.RequestRestore());
  queue_.Poll(now_);
  const RestoreTime began = now_;
  while (word.Load().state != kFailed) {
    validator_.next[id] = {ValidateOutcome::kTransient, {}, "no memory"};
    queue_.Poll(now_ += 10'000);
    ASSERT_LE(now_, began + 2'100'000);
  }
  EXPECT_GE(now_, began + 2'000'000);
  EXPECT_EQ(queue_.Waiting(id).give_up, 2'000'000u);
  EXPECT_EQ(queue_.Waiting(filter_).give_up, kLimits.give_up);
}

// An attempt that moves is not cut by the time to give up: that ends retries.
TEST_F(RestoreQueueTest, GivingUpEndsRetriesAndNoAttempt) {
  Validate();
  for (int i = 0; i < 100; ++i) {
    ++validator_.progress;
    queue_.Poll(now_ += 1'000'000);
  }
  ASSERT_EQ(word_.Load().state, kValidating);
  Outcome(ValidateOutcome::kReady);
  queue_.Poll(now_);
  EXPECT_EQ(word_.Load().state, kRestored);
}

// The latch is on the commit: what comes later is tried.
TEST_F(RestoreQueueTest, AfterABadSnapshotTheGoodOne) {
  Validate();
  Outcome(ValidateOutcome::kRefused);
  queue_.Poll(now_);
  ASSERT_EQ(word_.Load().state, kFailed);
  EXPECT_EQ(queue_.Waiting(filter_).awaits, RestoreAwaits::kSnapshot);
  EXPECT_EQ(Ask(3, kSecond).code, RestoreCode::kStarted);
  EXPECT_EQ(word_.Load().incarnation, 1u);
  queue_.Poll(now_);
  Outcome(ValidateOutcome::kReady, kSecond);
  queue_.Poll(now_);
  EXPECT_EQ(OnlyAnswer(3), RestoreCode::kRestored);
  EXPECT_EQ((committer_.commits[{filter_, 1}]), 1);
  EXPECT_EQ(Ask(4, kFirst).code, RestoreCode::kConflict);
}

TEST_F(RestoreQueueTest, AnEmergencyRulesetHoldsUntilTheCommit) {
  FilterStatusWord word;
  const RestoreFilterId id =
      queue_.AddFilter({.word = &word, .fail_policy = FailPolicy::kOpen});
  Enable(id);
  ASSERT_TRUE(word.RequestRestore());
  queue_.Poll(now_);
  EXPECT_EQ(DispositionOf(word.Load()), FilterDisposition::kHold);
  validator_.next[id] = {ValidateOutcome::kRefused, {}, "bad"};
  queue_.Poll(now_);
  ASSERT_EQ(DispositionOf(word.Load()), FilterDisposition::kFail);
  ASSERT_EQ(queue_.Submit({.filter = id}, now_).code, RestoreCode::kStarted);
  EXPECT_EQ(DispositionOf(word.Load()), FilterDisposition::kFail);
  queue_.Poll(now_);
  EXPECT_EQ(DispositionOf(word.Load()), FilterDisposition::kFail);
  validator_.next[id] = {ValidateOutcome::kReady, kFirst, ""};
  queue_.Poll(now_);
  EXPECT_EQ(DispositionOf(word.Load()), FilterDisposition::kJudge);
  EXPECT_EQ(queue_.metrics().fail_open, 1u);
}

// One that waits to be tried again makes room for another.
TEST_F(RestoreQueueTest, ABetterSnapshotTakesThePlaceOfOneThatIsTriedAgain) {
  Enable(filter_);
  EXPECT_EQ(Ask(1, kFirst).code, RestoreCode::kStarted);
  queue_.Poll(now_);
  Outcome(ValidateOutcome::kTransient);
  queue_.Poll(now_);
  const auto source = std::make_shared<Source>();
  const RestoreRequest request = {.filter = filter_, .snapshot = kSecond,
                                  .snapshot_source = source, .waiter = 2};
  EXPECT_EQ(queue_.Submit(request, now_).code, RestoreCode::kJoined);
  EXPECT_EQ(OnlyAnswer(1), RestoreCode::kFailed);
  queue_.Poll(now_);
  ASSERT_EQ(word_.Load().state, kValidating);
  EXPECT_EQ(validator_.running[filter_].source, source);
  Outcome(ValidateOutcome::kReady, kSecond);
  queue_.Poll(now_);
  EXPECT_EQ(OnlyAnswer(2), RestoreCode::kRestored);
}

TEST_F(RestoreQueueTest, APolicyThatMovedDuringTheCommitIsTriedAgain) {
  Validate();
  committer_.fails = true;
  Outcome(ValidateOutcome::kReady);
  queue_.Poll(now_);
  EXPECT_EQ(word_.Load().state, kQueued);
  EXPECT_EQ(committer_.abandoned, 1);
  EXPECT_EQ(listener_.retries.at(0).second, RestoreFailure::kPolicyMoved);
}

TEST_F(RestoreQueueTest, OnlyTransientErrorsAreTriedAgain) {
  Validate();
  Outcome(ValidateOutcome::kRefused);
  queue_.Poll(now_);
  EXPECT_EQ(word_.Load().state, kFailed);
  EXPECT_EQ(listener_.ends.at(0).second.detail, "a reason");
  EXPECT_EQ(queue_.metrics().retries, 0u);
}

TEST_F(RestoreQueueTest, DeadlinesAreOfWhatDoesNotMove) {
  validator_.has_room = false;
  Enable(filter_);
  EXPECT_EQ(Ask(1).code, RestoreCode::kStarted);
  queue_.Poll(now_ += 999'999);
  EXPECT_TRUE(listener_.retries.empty());
  const RestoreWait wait = queue_.Waiting(filter_);
  EXPECT_EQ(wait.awaits, RestoreAwaits::kBuilder);
  EXPECT_EQ(wait.quiet, 999'999u);
  EXPECT_EQ(wait.deadline, kLimits.queue);
  EXPECT_EQ(wait.until_give_up, kLimits.give_up - 999'999);
  queue_.Poll(now_ += 1);
  EXPECT_EQ(word_.Load().state, kQueued);
  EXPECT_EQ(word_.Load().attempt, 2);
  EXPECT_EQ(listener_.retries.at(0).second, RestoreFailure::kQueueDeadline);
  EXPECT_EQ(queue_.Waiting(filter_).awaits, RestoreAwaits::kRetry);
  EXPECT_EQ(queue_.Waiting(filter_).failure, RestoreFailure::kQueueDeadline);

  validator_.has_room = true;
  queue_.Poll(now_ += 50'000);
  ASSERT_EQ(word_.Load().state, kValidating);
  queue_.Poll(now_ += 4'999'999);
  EXPECT_EQ(word_.Load().state, kValidating);
  queue_.Poll(now_ += 1);
  EXPECT_EQ(word_.Load().state, kQueued);
  EXPECT_EQ(validator_.abandoned, 1);
  EXPECT_EQ(listener_.retries.at(1).second,
            RestoreFailure::kValidateDeadline);
}

// Who waits for a builder that is at others' jobs is not late while it gets on.
TEST_F(RestoreQueueTest, ALongQueueThatMovesIsNoFailure) {
  FilterStatusWord words[2];
  RestoreFilterId ids[2];
  for (int i = 0; i < 2; ++i) {
    ids[i] = queue_.AddFilter({.word = &words[i]});
    Enable(ids[i]);
    ASSERT_TRUE(words[i].RequestRestore());
  }
  queue_.Poll(now_);
  for (int i = 0; i < 100; ++i) {
    ++validator_.progress;
    queue_.Poll(now_ += kLimits.queue - 1);
  }
  EXPECT_EQ(words[0].Load().state, kValidating);
  EXPECT_EQ(words[1].Load().state, kQueued);
  EXPECT_TRUE(listener_.retries.empty());
  // And one that does not get on holds the other up no longer than that.
  queue_.Poll(now_ += kLimits.queue);
  for (int i = 0; i < 2; ++i) queue_.Poll(now_ += kLimits.queue);
  EXPECT_GE(listener_.retries.size(), 1u);
}

TEST_F(RestoreQueueTest, WithoutASnapshotItIsSkippedOrFails) {
  Validate();
  Outcome(ValidateOutcome::kAbsent);
  queue_.Poll(now_);
  EXPECT_EQ(word_.Load().state, kSkipped);
  EXPECT_EQ(queue_.Result(filter_).code, RestoreCode::kSkipped);
  // What comes later is restored while the filter goes on judging.
  EXPECT_EQ(Ask(1).code, RestoreCode::kStarted);
  EXPECT_EQ(DispositionOf(word_.Load()), FilterDisposition::kJudge);
  queue_.Poll(now_);
  Outcome(ValidateOutcome::kReady);
  queue_.Poll(now_);
  EXPECT_EQ(OnlyAnswer(1), RestoreCode::kRestored);

  FilterStatusWord strict;
  const RestoreFilterId id =
      queue_.AddFilter({.word = &strict, .fail_policy = FailPolicy::kOpen,
                      .snapshot_required = true});
  Enable(id);
  ASSERT_TRUE(strict.RequestRestore());
  queue_.Poll(now_);
  validator_.next[id] = {ValidateOutcome::kAbsent, {}, ""};
  queue_.Poll(now_);
  EXPECT_EQ(strict.Load().state, kFailed);
  EXPECT_EQ(queue_.metrics().fail_open, 1u);
}

TEST_F(RestoreQueueTest, AFilterWithoutASourceWaitsForAnOrderThatBringsOne) {
  FilterStatusWord word;
  const RestoreFilterId id =
      queue_.AddFilter({.word = &word, .has_source = false});
  Enable(id);
  ASSERT_TRUE(word.RequestRestore());
  queue_.Poll(now_);
  queue_.Poll(now_ += 500'000);
  EXPECT_EQ(word.Load().state, kQueued);
  const auto source = std::make_shared<Source>();
  EXPECT_EQ(queue_.Submit({.filter = id, .snapshot = kSecond,
                           .snapshot_source = source, .waiter = 4},
                          now_).code,
            RestoreCode::kJoined);
  queue_.Poll(now_);
  EXPECT_EQ(validator_.running[id].source, source);
  validator_.next[id] = {ValidateOutcome::kReady, kSecond, ""};
  queue_.Poll(now_);
  EXPECT_EQ(OnlyAnswer(4), RestoreCode::kRestored);
  // And if nobody does, it fails.
  ASSERT_EQ(Disable(id), WantResult::kDone);
  Enable(id);
  ASSERT_TRUE(word.RequestRestore());
  queue_.Poll(now_);
  EXPECT_EQ(queue_.Waiting(id).awaits, RestoreAwaits::kSnapshot);
  EXPECT_EQ(queue_.Waiting(id).deadline, kLimits.queue);
  queue_.Poll(now_ += 1'000'000);
  EXPECT_EQ(word.Load().state, kFailed);
  EXPECT_EQ(listener_.ends.back().second.failure,
            RestoreFailure::kNotBrought);
  // Who asks and brings nothing is told so; who brings one later starts an
  // attempt.
  EXPECT_EQ(queue_.Submit({.filter = id, .waiter = 5}, now_).code,
            RestoreCode::kFailed);
  EXPECT_EQ(queue_.Submit({.filter = id, .snapshot = kSecond,
                           .snapshot_source = source, .waiter = 5},
                          now_).code,
            RestoreCode::kStarted);
  queue_.Poll(now_);
  validator_.next[id] = {ValidateOutcome::kReady, kSecond, ""};
  queue_.Poll(now_);
  EXPECT_EQ(OnlyAnswer(5), RestoreCode::kRestored);
}

TEST_F(RestoreQueueTest, ASnapshotOnItsWayIsNoMissingOne) {
  FilterStatusWord word;
  const RestoreFilterId id =
      queue_.AddFilter({.word = &word, .has_source = false});
  Enable(id);
  ASSERT_TRUE(word.RequestRestore());
  queue_.Poll(now_);
  queue_.Arriving(id, true);
  queue_.Poll(now_ += 20'000'000);
  EXPECT_EQ(word.Load().state, kQueued);
  EXPECT_EQ(queue_.Waiting(id).awaits, RestoreAwaits::kReading);
  // It was none, and nobody brings another one.
  queue_.Arriving(id, false);
  queue_.Poll(now_ += 999'999);
  EXPECT_EQ(word.Load().state, kQueued);
  queue_.Poll(now_ += 1);
  EXPECT_EQ(word.Load().state, kFailed);
}

TEST_F(RestoreQueueTest, AReplaceNamesTheGenerationAndBeginsAnotherLife) {
  Restore();  // generation 8
  RestoreRequest request = {.filter = filter_, .snapshot = kSecond, .waiter = 6,
                            .replace_generation = 7};
  EXPECT_EQ(queue_.Submit(request, now_).code, RestoreCode::kGenerationMoved);
  EXPECT_EQ(word_.Load().incarnation, 1u);
  request.replace_generation = 8;
  EXPECT_EQ(queue_.Submit(request, now_).code, RestoreCode::kStarted);
  // It goes on judging meanwhile.
  EXPECT_EQ(word_.Load().incarnation, 2u);
  EXPECT_EQ(DispositionOf(word_.Load()), FilterDisposition::kJudge);
  queue_.Poll(now_);
  EXPECT_TRUE(validator_.running[filter_].replace);
  Outcome(ValidateOutcome::kReady, kSecond);
  queue_.Poll(now_);
  EXPECT_EQ(OnlyAnswer(6), RestoreCode::kRestored);
  EXPECT_EQ((committer_.commits[{filter_, 1}]), 1);
  EXPECT_EQ((committer_.commits[{filter_, 2}]), 1);
}

TEST_F(RestoreQueueTest, AReplaceThatFailsLeavesThePolicyInForce) {
  Restore();
  EXPECT_EQ(queue_.Submit({.filter = filter_, .snapshot = kSecond,
                           .replace_generation = 8}, now_).code,
            RestoreCode::kStarted);
  queue_.Poll(now_);
  Outcome(ValidateOutcome::kRefused);
  queue_.Poll(now_);
  EXPECT_EQ(word_.Load().state, kFailed);
  EXPECT_EQ(DispositionOf(word_.Load()), FilterDisposition::kJudge);
  EXPECT_EQ(queue_.metrics().fail_closed, 0u);
}

TEST_F(RestoreQueueTest, AReplaceAfterAFailureHoldsPacketsAgain) {
  Validate();
  Outcome(ValidateOutcome::kRefused);
  queue_.Poll(now_);
  ASSERT_EQ(DispositionOf(word_.Load()), FilterDisposition::kFail);
  EXPECT_EQ(
      queue_.Submit({.filter = filter_, .replace_generation = 7}, now_).code,
      RestoreCode::kStarted);
  EXPECT_EQ(DispositionOf(word_.Load()), FilterDisposition::kHold);
  queue_.Poll(now_);
  Outcome(ValidateOutcome::kReady);
  queue_.Poll(now_);
  EXPECT_EQ(DispositionOf(word_.Load()), FilterDisposition::kJudge);
}

TEST_F(RestoreQueueTest, TheValidatorIsReachedInTheOrderOfRequests) {
  FilterStatusWord words[3];
  RestoreFilterId ids[3];
  for (int i = 0; i < 3; ++i) {
    ids[i] = queue_.AddFilter({.word = &words[i]});
    Enable(ids[i]);
  }
  for (const int i : {2, 0, 1}) {
    EXPECT_EQ(queue_.Submit({.filter = ids[i]}, now_).code,
              RestoreCode::kStarted);
  }
  for (const int i : {2, 0, 1}) {
    queue_.Poll(now_ += 10);
    ASSERT_EQ(validator_.running.size(), 1u);
    EXPECT_TRUE(validator_.running.contains(ids[i]));
    validator_.next[ids[i]] = {ValidateOutcome::kReady, kFirst, ""};
    queue_.Poll(now_);
  }
  EXPECT_EQ(queue_.metrics().commits, 3u);
  EXPECT_EQ(validator_.unknown, 0);
}

// A dead builder is no deadline's affair: another one is tried soon, and a
// commit goes on without it.
TEST_F(RestoreQueueTest, WhatALostBuilderHadIsTriedAgain) {
  FilterStatusWord words[2];
  RestoreFilterId ids[2];
  for (int i = 0; i < 2; ++i) {
    ids[i] = queue_.AddFilter({.word = &words[i]});
    Enable(ids[i]);
  }
  committer_.steps_left = 1;
  Validate();
  Outcome(ValidateOutcome::kReady);
  queue_.Poll(now_);
  ASSERT_EQ(word_.Load().state, kCommitting);
  for (int i = 0; i < 2; ++i) {
    queue_.Submit({.filter = ids[i], .waiter = RestoreWaiter(i + 1)}, now_);
  }
  queue_.Poll(now_);
  EXPECT_EQ(word_.Load().state, kRestored);
  ASSERT_EQ(words[0].Load().state, kValidating);
  ASSERT_EQ(words[1].Load().state, kQueued);

  validator_.next[ids[0]] = {ValidateOutcome::kLost, kNoSnapshotId, "hangs"};
  queue_.Poll(now_);
  EXPECT_EQ(words[0].Load().state, kQueued);
  EXPECT_EQ(words[0].Load().attempt, 2);
  EXPECT_EQ(listener_.retries.at(0).second, RestoreFailure::kBuilderLost);
  EXPECT_EQ(Name(RestoreFailure::kBuilderLost), "builder lost");
  // The other one has waited for it, and now has the builder.
  queue_.Poll(now_ += 50'000);
  EXPECT_EQ(words[1].Load().state, kValidating);
  EXPECT_EQ(queue_.metrics().fail_closed, 0u);
  for (const int i : {1, 0}) {
    validator_.next[ids[i]] = {ValidateOutcome::kReady, kFirst, ""};
    queue_.Poll(now_);
    queue_.Poll(now_);
    EXPECT_EQ(words[i].Load().state, kRestored);
  }
  EXPECT_EQ(OnlyAnswer(1), RestoreCode::kRestored);
  EXPECT_EQ(OnlyAnswer(2), RestoreCode::kRestored);
  EXPECT_EQ(queue_.jobs(), 0u);
}

TEST_F(RestoreQueueTest, FiltersComeAndGo) {
  EXPECT_EQ(queue_.Submit({.filter = 99}, now_).code,
            RestoreCode::kUnknownFilter);
  Validate();
  EXPECT_FALSE(queue_.RemoveFilter(filter_, now_).ok());
  EXPECT_EQ(Ask(3).code, RestoreCode::kJoined);
  ASSERT_EQ(Disable(filter_), WantResult::kDone);
  EXPECT_TRUE(queue_.RemoveFilter(filter_, now_).ok());
  EXPECT_EQ(OnlyAnswer(3), RestoreCode::kCancelled);
  EXPECT_EQ(Ask(4).code, RestoreCode::kUnknownFilter);
  EXPECT_NE(queue_.AddFilter({.word = &word_}), filter_);
  EXPECT_TRUE(absl::IsNotFound(queue_.RemoveFilter(filter_, now_)));
  queue_.Poll(now_);
}

TEST_F(RestoreQueueTest, AnOrderRestoresAFilterThatDoesNotExpect) {
  Enable(filter_, false);
  EXPECT_EQ(queue_.Result(filter_).code, RestoreCode::kStale);
  EXPECT_EQ(Ask(2, kFirst).code, RestoreCode::kStarted);
  EXPECT_EQ(DispositionOf(word_.Load()), FilterDisposition::kJudge);
  EXPECT_EQ(queue_.Result(filter_).code, RestoreCode::kBusy);
  queue_.Poll(now_);
  Outcome(ValidateOutcome::kReady);
  queue_.Poll(now_);
  EXPECT_EQ(OnlyAnswer(2), RestoreCode::kRestored);
  EXPECT_EQ(queue_.Result(filter_).code, RestoreCode::kRestored);
  EXPECT_EQ(queue_.Result(filter_).report.states_imported, 3u);
}

}  // namespace
}  // namespace sluice
