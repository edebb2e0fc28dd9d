#include "restore/restore_queue.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

constexpr std::array<std::string_view, kRestoreFailureCount> kFailureNames = {
    "none",
    "snapshot refused",
    "no snapshot",
    "snapshot could not be read",
    "queue deadline",
    "validation deadline",
    "commit deadline",
    "total deadline",
    "builder lost",
    "policy changed meanwhile",
};

constexpr std::array<std::string_view, kRestoreCodeCount> kCodeNames = {
    "started",  "joined", "restored", "failed",   "skipped",
    "cancelled", "already applied", "conflict", "busy", "stale",
    "disabled", "generation moved", "unknown port",
};

// The end of a restore, as an answer to those who waited for it.
RestoreCode CodeOfEnd(RestoreState state) {
  switch (state) {
    case RestoreState::kRestored: return RestoreCode::kRestored;
    case RestoreState::kSkipped: return RestoreCode::kSkipped;
    case RestoreState::kCancelled: return RestoreCode::kCancelled;
    default: return RestoreCode::kFailed;
  }
}

bool IsPast(RestoreTime now, RestoreTime since, RestoreTime limit) {
  return now >= since && now - since >= limit;
}

RestoreAnswer Plain(RestoreCode code, const FilterStatus& status = {}) {
  RestoreAnswer answer;
  answer.code = code;
  answer.status = status;
  return answer;
}

}  // namespace

std::string_view Name(RestoreFailure failure) {
  return kFailureNames[static_cast<size_t>(failure)];
}

std::string_view Name(RestoreCode code) {
  return kCodeNames[static_cast<size_t>(code)];
}

RestoreQueue::RestoreQueue(const RestoreLimits& limits,
                           RestoreValidator* validator,
                           RestoreCommitter* committer,
                           RestoreListener* listener)
    : limits_(limits),
      validator_(validator),
      committer_(committer),
      listener_(listener) {}

RestoreQueue::~RestoreQueue() {
  for (const RestoreFilterId id : jobs_) {
    Job& job = *Find(id)->job;
    if (job.seen.state == RestoreState::kCommitting) {
      committer_->Abandon(job.job);
    }
    LeaveValidator(job);
  }
}

RestoreQueue::Filter* RestoreQueue::Find(RestoreFilterId filter) {
  const auto found = filters_.find(filter);
  return found == filters_.end() ? nullptr : found->second.get();
}

const RestoreQueue::Filter* RestoreQueue::Find(RestoreFilterId filter) const {
  const auto found = filters_.find(filter);
  return found == filters_.end() ? nullptr : found->second.get();
}

RestoreFilterId RestoreQueue::AddFilter(const QueuedFilterOptions& options) {
  auto filter = std::make_unique<Filter>();
  filter->id = next_filter_++;
  filter->options = options;
  // It may have been enabled before.
  Watch(*filter);
  const RestoreFilterId id = filter->id;
  filters_.emplace(id, std::move(filter));
  return id;
}

absl::Status RestoreQueue::RemoveFilter(RestoreFilterId id, RestoreTime now) {
  Filter* filter = Find(id);
  if (filter == nullptr) {
    return absl::NotFoundError(absl::StrCat("there is no filter ", id));
  }
  if (filter->options.word->Load().enabled()) {
    return absl::FailedPreconditionError(
        absl::StrCat("filter ", id, " is enabled: disable it first"));
  }
  Step(id, now);
  DropDeadJob(*filter);
  std::erase(watched_, id);
  filters_.erase(id);
  return absl::OkStatus();
}

absl::StatusOr<FilterStatus> RestoreQueue::Enable(RestoreFilterId id,
                                                bool expect_restore) {
  Filter* filter = Find(id);
  if (filter == nullptr) {
    return absl::NotFoundError(absl::StrCat("there is no filter ", id));
  }
  const FilterStatus status = filter->options.word->Load();
  if (status.enabled()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "filter ", id, " is enabled already, in incarnation ",
        status.incarnation,
        filter->disable_pending
            ? "; it is disabled when the commit under way has ended"
            : ""));
  }
  const FilterStatus next = filter->options.word->Enable(expect_restore);
  if (expect_restore) Watch(*filter);
  return next;
}

DisableResult RestoreQueue::Disable(RestoreFilterId id) {
  Filter* filter = Find(id);
  if (filter == nullptr) return DisableResult::kUnknownFilter;
  FilterStatus status;
  if (!filter->options.word->DisableUnlessCommitting(&status)) {
    if (!filter->disable_pending) ++metrics_.disables_deferred;
    filter->disable_pending = true;
    return DisableResult::kDeferred;
  }
  return DisableResult::kDone;
}

void RestoreQueue::Watch(Filter& filter) {
  if (filter.watched || filter.job.has_value()) return;
  filter.watched = true;
  watched_.push_back(filter.id);
}

void RestoreQueue::DropDeadJob(Filter& filter) {
  if (filter.job.has_value() && filter.job->job.IsDead()) Cancel(filter);
}

RestoreAnswer RestoreQueue::Submit(const RestoreRequest& request,
                                   RestoreTime now) {
  ++metrics_.requests[static_cast<size_t>(request.source)];
  Filter* found = Find(request.filter);
  if (found == nullptr) return Plain(RestoreCode::kUnknownFilter);
  Filter& filter = *found;
  const FilterStatus status = filter.options.word->Load();
  if (request.incarnation != 0 && request.incarnation != status.incarnation) {
    ++metrics_.stale;
    return Plain(RestoreCode::kStale, status);
  }
  if (!status.enabled()) return Plain(RestoreCode::kDisabled, status);
  DropDeadJob(filter);
  if (!filter.job.has_value() && status.state == RestoreState::kQueued) {
    // A packet was first.
    Begin(filter, status, RequestSource::kPacket, now);
  }
  if (filter.job.has_value()) return JoinJob(filter, request);
  if (request.replace_generation.has_value() &&
      *request.replace_generation != committer_->Generation(filter.id)) {
    return Plain(RestoreCode::kGenerationMoved, status);
  }
  if (IsFinal(status.state)) {
    return request.replace_generation.has_value()
               ? Replace(filter, request, status, now)
               : AnswerLatched(filter, request, status);
  }
  return Start(filter, request, status, now);
}

RestoreAnswer RestoreQueue::JoinJob(Filter& filter,
                                    const RestoreRequest& request) {
  Job& job = *filter.job;
  if (NeedsSource(filter) && request.snapshot_source != nullptr) {
    job.job.snapshot = request.snapshot;
    job.job.source = request.snapshot_source;
  } else if (request.snapshot != kNoSnapshotId &&
             request.snapshot != job.job.snapshot) {
    ++metrics_.busy;
    return Plain(RestoreCode::kBusy, job.seen);
  }
  return Join(filter, request, RestoreCode::kJoined);
}

bool RestoreQueue::NeedsSource(const Filter& filter) {
  return !filter.options.has_source && filter.job->job.source == nullptr;
}

RestoreAnswer RestoreQueue::Join(Filter& filter, const RestoreRequest& request,
                                 RestoreCode code) {
  Job& job = *filter.job;
  if (request.waiter != 0) {
    if (job.waiter_count == kMaxRestoreWaiters) {
      ++metrics_.busy;
      return Plain(RestoreCode::kBusy, job.seen);
    }
    job.waiters[job.waiter_count++] = request.waiter;
  }
  if (code == RestoreCode::kJoined) ++metrics_.joined;
  return Plain(code, job.seen);
}

RestoreAnswer RestoreQueue::AnswerLatched(Filter& filter,
                                          const RestoreRequest& request,
                                          const FilterStatus& status) {
  RestoreAnswer answer = Result(filter.id);
  answer.status = status;
  if (answer.code != RestoreCode::kRestored) {
    ++metrics_.late_duplicates;
    return answer;
  }
  if (request.snapshot != kNoSnapshotId &&
      request.snapshot != answer.snapshot) {
    ++metrics_.conflicts;
    answer.code = RestoreCode::kConflict;
  } else {
    ++metrics_.late_duplicates;
    answer.code = RestoreCode::kAlreadyApplied;
  }
  return answer;
}

RestoreAnswer RestoreQueue::Replace(Filter& filter,
                                    const RestoreRequest& request,
                                    const FilterStatus& status,
                                    RestoreTime now) {
  // A filter that judges nothing now is to judge nothing until the commit.
  const bool expects =
      DispositionOf(status) != FilterDisposition::kJudge;
  ++metrics_.replaced;
  const RestoreAnswer answer =
      Start(filter, request, filter.options.word->Enable(expects), now);
  if (filter.job.has_value()) filter.job->job.replace = true;
  return answer;
}

RestoreAnswer RestoreQueue::Start(Filter& filter, const RestoreRequest& request,
                                  FilterStatus status, RestoreTime now) {
  if (!filter.options.word->Advance(&status, RestoreState::kQueued)) {
    status = filter.options.word->Load();
    if (status.state != RestoreState::kQueued) {
      return Plain(RestoreCode::kStale, status);
    }
    // A packet asks at this moment; the restore is the same.
    Begin(filter, status, RequestSource::kPacket, now);
    return JoinJob(filter, request);
  }
  Begin(filter, status, request.source, now);
  filter.job->job.snapshot = request.snapshot;
  filter.job->job.source = request.snapshot_source;
  return Join(filter, request, RestoreCode::kStarted);
}

void RestoreQueue::Begin(Filter& filter, const FilterStatus& status,
                         RequestSource source, RestoreTime now) {
  Job& job = filter.job.emplace();
  job.seen = status;
  job.asked_at = now;
  job.entered_at = now;
  job.not_before = now;
  job.job.filter = filter.id;
  job.job.incarnation = status.incarnation;
  job.job.attempt = status.attempt;
  job.job.word = filter.options.word;
  job.place = jobs_.insert(jobs_.end(), filter.id);
  // Requests of the other sources are counted when they are made.
  if (source == RequestSource::kPacket) {
    ++metrics_.requests[static_cast<size_t>(source)];
  }
  ++metrics_.started;
}

bool RestoreQueue::Withdraw(RestoreFilterId id, RestoreWaiter waiter) {
  Filter* filter = Find(id);
  if (filter == nullptr || !filter->job.has_value()) return false;
  Job& job = *filter->job;
  const auto end = job.waiters.begin() + job.waiter_count;
  const auto kept = std::remove(job.waiters.begin(), end, waiter);
  job.waiter_count = static_cast<size_t>(kept - job.waiters.begin());
  return kept != end;
}

void RestoreQueue::Poll(RestoreTime now) {
  // Filters that still wait for a packet stay on the list; those with a job,
  // and those that do not wait any more, leave it.
  std::erase_if(watched_, [&](RestoreFilterId id) {
    Filter& filter = *Find(id);
    if (!filter.job.has_value()) Step(id, now);
    const RestoreState state = filter.options.word->Load().state;
    filter.watched = !filter.job.has_value() &&
                   (state == RestoreState::kExpect ||
                    state == RestoreState::kQueued);
    return !filter.watched;
  });
  // A step may end its own job, or move it to the end of the list: that one
  // has been served.
  for (size_t left = jobs_.size(); left > 0 && !jobs_.empty(); --left) {
    const RestoreFilterId id = jobs_.front();
    Filter& filter = *Find(id);
    StepJob(filter, now);
    if (filter.job.has_value() && !jobs_.empty() && jobs_.front() == id) {
      jobs_.splice(jobs_.end(), jobs_, jobs_.begin());
    }
  }
}

void RestoreQueue::FailQueued(const std::string& detail) {
  const std::vector<RestoreFilterId> all(jobs_.begin(), jobs_.end());
  for (const RestoreFilterId id : all) {
    Filter& filter = *Find(id);
    if (!filter.job.has_value() ||
        filter.job->seen.state != RestoreState::kQueued) {
      continue;
    }
    Fail(filter, RestoreFailure::kBuilderLost, detail);
  }
}

void RestoreQueue::Step(RestoreFilterId id, RestoreTime now) {
  Filter* filter = Find(id);
  if (filter == nullptr) return;
  if (filter->job.has_value()) {
    StepJob(*filter, now);
    return;
  }
  const FilterStatus status = filter->options.word->Load();
  if (status.state == RestoreState::kQueued) {
    Begin(*filter, status, RequestSource::kPacket, now);
  }
}

void RestoreQueue::StepJob(Filter& filter, RestoreTime now) {
  Job& job = *filter.job;
  if (job.job.IsDead()) {
    Cancel(filter);
    return;
  }
  if (IsPast(now, job.asked_at, limits_.total)) {
    Fail(filter, RestoreFailure::kTotalDeadline,
         absl::StrCat("not done after ", limits_.total / 1000, " ms"));
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
  job.job.attempt = job.seen.attempt;
  return true;
}

void RestoreQueue::StepQueued(Filter& filter, RestoreTime now) {
  Job& job = *filter.job;
  if (now < job.not_before) return;
  if (IsPast(now, job.not_before, limits_.queue)) {
    Fail(filter, RestoreFailure::kQueueDeadline,
         absl::StrCat(NeedsSource(filter) ? "nobody brought a snapshot"
                                        : "no builder was free",
                      " within ", limits_.queue / 1000, " ms"));
    return;
  }
  if (NeedsSource(filter)) return;
  if (validating_ >= limits_.validating || !validator_->Start(job.job)) return;
  job.at_validator = true;
  ++validating_;
  metrics_.queue_time.Add(now - job.not_before);
  if (!Enter(job, RestoreState::kValidating, now)) Cancel(filter);
}

void RestoreQueue::StepValidating(Filter& filter, RestoreTime now) {
  Job& job = *filter.job;
  ValidateResult result = validator_->Poll(job.job);
  if (result.outcome == ValidateOutcome::kRunning) {
    if (IsPast(now, job.entered_at, limits_.validate)) {
      Fail(filter, RestoreFailure::kValidateDeadline,
           absl::StrCat("not validated within ", limits_.validate / 1000,
                        " ms"));
    }
    return;
  }
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
      Retry(filter, result.detail, now);
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
      Fail(filter, RestoreFailure::kBuilderLost, std::move(result.detail));
      break;
    default:
      Fail(filter, RestoreFailure::kRefused, std::move(result.detail));
      break;
  }
}

void RestoreQueue::Retry(Filter& filter, const std::string& detail,
                         RestoreTime now) {
  Job& job = *filter.job;
  const size_t done = job.seen.attempt;
  if (done > kRestoreRetries) {
    Fail(filter, RestoreFailure::kRetriesSpent,
         absl::StrCat("after ", done, " attempts: ", detail));
    return;
  }
  if (!Enter(job, RestoreState::kQueued, now)) {
    Cancel(filter);
    return;
  }
  ++metrics_.retries;
  job.not_before = now + limits_.retry_delays[done - 1];
}

void RestoreQueue::StepCommitting(Filter& filter, RestoreTime now) {
  Job& job = *filter.job;
  // Looked at first: a step may publish, after which there is no way back.
  if (IsPast(now, job.entered_at, limits_.commit)) {
    Fail(filter, RestoreFailure::kCommitDeadline,
         absl::StrCat("not committed within ", limits_.commit / 1000, " ms"));
    return;
  }
  CommitResult result = committer_->Step(job.job);
  if (result.failed) {
    Fail(filter, RestoreFailure::kPolicyMoved, std::move(result.detail));
    return;
  }
  if (!result.done) return;
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
  answer.detail = "the port was disabled";
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
  filter.latch = {.incarnation = answer.status.incarnation, .answer = answer};
  // A packet of the next incarnation may have asked already.
  Watch(filter);
  for (size_t i = 0; i < count; ++i) listener_->Answer(waiters[i], answer);
  listener_->Ended(filter.id, answer);
  if (filter.disable_pending) {
    filter.disable_pending = false;
    listener_->Disabled(filter.id, filter.options.word->Disable());
  }
}

RestoreAnswer RestoreQueue::Result(RestoreFilterId id) const {
  const Filter* filter = Find(id);
  if (filter == nullptr) return Plain(RestoreCode::kUnknownFilter);
  const FilterStatus status = filter->options.word->Load();
  if (!status.enabled()) return Plain(RestoreCode::kDisabled, status);
  if (status.under_way()) return Plain(RestoreCode::kBusy, status);
  if (IsFinal(status.state) &&
      filter->latch.incarnation == status.incarnation) {
    return filter->latch.answer;
  }
  return Plain(RestoreCode::kStale, status);
}

}  // namespace sluice
