// A restore on its way: the steps from the queue through the validator and the
// commit, and its ends.
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "restore/restore_queue.h"

namespace sluice {

using internal::Plain;

namespace {

// The end of a restore, as an answer to those who waited for it.
RestoreCode CodeOfEnd(RestoreState state) {
  switch (state) {
    case RestoreState::kRestored: return RestoreCode::kRestored;
    case RestoreState::kSkipped: return RestoreCode::kSkipped;
    case RestoreState::kCancelled: return RestoreCode::kCancelled;
    default: return RestoreCode::kFailed;
  }
}

}  // namespace

void RestoreQueue::StepJob(Filter& filter, RestoreTime now) {
  Job& job = *filter.job;
  if (job.job.IsDead()) {
    Cancel(filter);
    return;
  }
  switch (job.seen.state) {
    case RestoreState::kQueued: StepQueued(filter, now); break;
    case RestoreState::kValidating: StepValidating(filter, now); break;
    default: StepCommitting(filter, now); break;
  }
}

bool RestoreQueue::Enter(Job& job, RestoreState next, RestoreTime now) {
  auto* word = const_cast<FilterStatusWord*>(job.job.word);
  if (!word->Advance(&job.seen, next)) return false;
  job.entered_at = now;
  job.moved = looked_;
  job.progress = 0;
  job.job.attempt = job.seen.attempt;
  return true;
}

void RestoreQueue::NoteProgress(Job& job, uint64_t progress) {
  if (progress == job.progress) return;
  job.progress = progress;
  job.moved = looked_;
  ++turn_;
}

void RestoreQueue::StepQueued(Filter& filter, RestoreTime now) {
  Job& job = *filter.job;
  if (looked_ < job.not_before) return;
  if (NeedsSource(filter)) {
    if (filter.arriving > 0) {
      job.moved = looked_;
    } else if (QuietOf(job) >= limits_.queue) {
      Fail(filter, RestoreFailure::kNotBrought,
           absl::StrCat("nobody brought a snapshot within ",
                        limits_.queue / 1000,
                        " ms; one that comes later is taken"));
    }
    return;
  }
  if (validating_ >= limits_.validating || !validator_->Start(job.job)) {
    // The builders are at others' jobs, and get on with them: neither has its
    // own time to give up begun.
    if (job.turn != turn_) {
      job.turn = turn_;
      job.moved = looked_;
      if (job.retries == 0) job.begun = looked_;
    }
    if (QuietOf(job) >= limits_.queue) {
      FailAttempt(filter, RestoreFailure::kQueueDeadline,
                  absl::StrCat("no builder was free, and none got on, for ",
                               limits_.queue / 1000, " ms"),
                  now);
    }
    return;
  }
  job.at_validator = true;
  ++validating_;
  ++turn_;
  metrics_.queue_time.Add(now - job.entered_at);
  if (!Enter(job, RestoreState::kValidating, now)) Cancel(filter);
}

void RestoreQueue::StepValidating(Filter& filter, RestoreTime now) {
  Job& job = *filter.job;
  ValidateResult result = validator_->Poll(job.job);
  if (result.outcome == ValidateOutcome::kRunning) {
    NoteProgress(job, result.progress);
    if (QuietOf(job) >= limits_.validate) {
      FailAttempt(filter, RestoreFailure::kValidateDeadline,
                  absl::StrCat("its validation did not move for ",
                               limits_.validate / 1000, " ms"),
                  now);
    }
    return;
  }
  ++turn_;
  metrics_.validate_time.Add(now - job.entered_at);
  if (result.outcome == ValidateOutcome::kReady) {
    job.job.snapshot = result.snapshot;
    // The last look at the incarnation: from here on a disable waits.
    if (!Enter(job, RestoreState::kCommitting, now)) {
      Cancel(filter);
      return;
    }
    job.at_validator = false;
    --validating_;
    StepCommitting(filter, now);
    return;
  }
  // It has nothing of ours any more.
  job.at_validator = false;
  --validating_;
  switch (result.outcome) {
    case ValidateOutcome::kTransient:
      FailAttempt(filter, RestoreFailure::kTransient,
                  std::move(result.detail), now);
      break;
    case ValidateOutcome::kAbsent:
      if (filter.options.snapshot_required) {
        Fail(filter, RestoreFailure::kAbsent, std::move(result.detail));
      } else {
        End(filter, RestoreState::kSkipped, RestoreFailure::kNone,
            std::move(result.detail));
      }
      break;
    case ValidateOutcome::kLost:
      FailAttempt(filter, RestoreFailure::kBuilderLost,
                  std::move(result.detail), now);
      break;
    default:
      Fail(filter, RestoreFailure::kRefused, std::move(result.detail));
      break;
  }
}

void RestoreQueue::FailAttempt(Filter& filter, RestoreFailure failure,
                               std::string detail, RestoreTime now) {
  Job& job = *filter.job;
  const RestoreTime give_up = GiveUpOf(filter);
  if (looked_ - job.begun >= give_up) {
    Fail(filter, failure,
         absl::StrCat("given up after ", job.retries + 1, " attempts in ",
                      give_up / 1000, " ms: ", detail));
    return;
  }
  const bool undo = job.seen.state == RestoreState::kCommitting;
  if (!Enter(job, RestoreState::kQueued, now)) {
    Cancel(filter);
    return;
  }
  if (undo) committer_->Abandon(job.job);
  LeaveValidator(job);
  job.job.snapshot = job.asked_for;
  const RestoreTime delay = job.retries < limits_.retry_delays.size()
                                ? limits_.retry_delays[job.retries]
                                : limits_.last_retry_delay;
  // One attempt is made when the time is over.
  job.not_before = std::min(looked_ + delay, job.begun + give_up);
  ++job.retries;
  ++metrics_.retries;
  job.failure = failure;
  job.detail = std::move(detail);
  listener_->Retried(filter.id, job.seen, failure, job.detail);
  if (!undo) return;
  // A disable may have waited for the commit's end, and this was it.
  Settle(filter);
  DropDeadJob(filter);
}

void RestoreQueue::StepCommitting(Filter& filter, RestoreTime now) {
  Job& job = *filter.job;
  // Looked at last: who has answered meanwhile was not late.
  CommitResult result = committer_->Step(job.job);
  if (result.failed) {
    FailAttempt(filter, RestoreFailure::kPolicyMoved,
                std::move(result.detail), now);
    return;
  }
  if (!result.done) {
    NoteProgress(job, result.progress);
    if (QuietOf(job) >= limits_.commit) {
      FailAttempt(filter, RestoreFailure::kCommitDeadline,
                  absl::StrCat("no worker got on with its commit for ",
                               limits_.commit / 1000, " ms"),
                  now);
    }
    return;
  }
  ++metrics_.commits;
  metrics_.commit_time.Add(now - job.entered_at);
  metrics_.total_time.Add(now - job.asked_at);
  End(filter, RestoreState::kRestored, RestoreFailure::kNone, {},
      result.report);
}

void RestoreQueue::LeaveValidator(Job& job) {
  if (!job.at_validator) return;
  validator_->Abandon(job.job);
  job.at_validator = false;
  --validating_;
}

void RestoreQueue::Fail(Filter& filter, RestoreFailure failure,
                        std::string detail) {
  End(filter, RestoreState::kFailed, failure, std::move(detail));
}

void RestoreQueue::End(Filter& filter, RestoreState state,
                       RestoreFailure failure, std::string detail,
                       const RestoreReport& report) {
  Job& job = *filter.job;
  const bool undo = job.seen.state == RestoreState::kCommitting &&
                    state != RestoreState::kRestored;
  job.published = state == RestoreState::kRestored;
  if (!Enter(job, state, 0)) {
    // The incarnation has ended at this moment.
    Cancel(filter);
    return;
  }
  if (undo) committer_->Abandon(job.job);
  LeaveValidator(job);
  if (failure != RestoreFailure::kNone) {
    ++metrics_.failures[static_cast<size_t>(failure)];
  }
  if (state == RestoreState::kFailed && job.seen.expects()) {
    ++(filter.options.fail_policy == FailPolicy::kClosed ? metrics_.fail_closed
                                                       : metrics_.fail_open);
  }
  RestoreAnswer answer = Plain(CodeOfEnd(state), job.seen);
  if (state == RestoreState::kRestored) answer.snapshot = job.job.snapshot;
  answer.failure = failure;
  answer.detail = std::move(detail);
  answer.report = report;
  Finish(filter, std::move(answer));
}

void RestoreQueue::Cancel(Filter& filter) {
  Job& job = *filter.job;
  if (job.seen.state == RestoreState::kCommitting && !job.published) {
    committer_->Abandon(job.job);
  }
  LeaveValidator(job);
  RestoreAnswer answer = Plain(RestoreCode::kCancelled, job.seen);
  answer.status.state = RestoreState::kCancelled;
  answer.detail = "the filter was disabled";
  Finish(filter, std::move(answer));
}

void RestoreQueue::Finish(Filter& filter, RestoreAnswer answer) {
  const auto waiters = filter.job->waiters;
  const size_t count = filter.job->waiter_count;
  ++metrics_.ends[static_cast<size_t>(answer.status.state)];
  metrics_.report.states_imported += answer.report.states_imported;
  metrics_.report.states_merged += answer.report.states_merged;
  metrics_.report.states_orphaned += answer.report.states_orphaned;
  metrics_.report.states_refused += answer.report.states_refused;
  metrics_.report.tables += answer.report.tables;
  metrics_.report.rules += answer.report.rules;
  jobs_.erase(filter.job->place);
  filter.job.reset();
  filter.last = {.incarnation = answer.status.incarnation, .answer = answer};
  // A packet of the next incarnation may have asked already.
  Watch(filter);
  for (size_t i = 0; i < count; ++i) listener_->Answer(waiters[i], answer);
  listener_->Ended(filter.id, answer);
  Settle(filter);
}

}  // namespace sluice
