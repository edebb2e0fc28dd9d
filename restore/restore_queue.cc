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

RestoreAnswer Plain(RestoreCode code, const PortStatus& status = {}) {
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
  for (const RestorePort id : jobs_) {
    Job& job = *Find(id)->job;
    if (job.seen.state == RestoreState::kCommitting) {
      committer_->Abandon(job.job);
    }
    LeaveValidator(job);
  }
}

RestoreQueue::Port* RestoreQueue::Find(RestorePort port) {
  const auto found = ports_.find(port);
  return found == ports_.end() ? nullptr : found->second.get();
}

const RestoreQueue::Port* RestoreQueue::Find(RestorePort port) const {
  const auto found = ports_.find(port);
  return found == ports_.end() ? nullptr : found->second.get();
}

RestorePort RestoreQueue::AddPort(const RestorePortOptions& options) {
  auto port = std::make_unique<Port>();
  port->id = next_port_++;
  port->options = options;
  // It may have been enabled before.
  Watch(*port);
  const RestorePort id = port->id;
  ports_.emplace(id, std::move(port));
  return id;
}

absl::Status RestoreQueue::RemovePort(RestorePort id, RestoreTime now) {
  Port* port = Find(id);
  if (port == nullptr) {
    return absl::NotFoundError(absl::StrCat("there is no port ", id));
  }
  if (port->options.word->Load().enabled()) {
    return absl::FailedPreconditionError(
        absl::StrCat("port ", id, " is enabled: disable it first"));
  }
  Step(id, now);
  DropDeadJob(*port);
  std::erase(watched_, id);
  ports_.erase(id);
  return absl::OkStatus();
}

absl::StatusOr<PortStatus> RestoreQueue::Enable(RestorePort id,
                                                bool expect_restore) {
  Port* port = Find(id);
  if (port == nullptr) {
    return absl::NotFoundError(absl::StrCat("there is no port ", id));
  }
  const PortStatus status = port->options.word->Load();
  if (status.enabled()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "port ", id, " is enabled already, in incarnation ",
        status.incarnation,
        port->disable_pending
            ? "; it is disabled when the commit under way has ended"
            : ""));
  }
  const PortStatus next = port->options.word->Enable(expect_restore);
  if (expect_restore) Watch(*port);
  return next;
}

DisableResult RestoreQueue::Disable(RestorePort id) {
  Port* port = Find(id);
  if (port == nullptr) return DisableResult::kUnknownPort;
  PortStatus status;
  if (!port->options.word->DisableUnlessCommitting(&status)) {
    if (!port->disable_pending) ++metrics_.disables_deferred;
    port->disable_pending = true;
    return DisableResult::kDeferred;
  }
  return DisableResult::kDone;
}

void RestoreQueue::Watch(Port& port) {
  if (port.watched || port.job.has_value()) return;
  port.watched = true;
  watched_.push_back(port.id);
}

void RestoreQueue::DropDeadJob(Port& port) {
  if (port.job.has_value() && port.job->job.IsDead()) Cancel(port);
}

RestoreAnswer RestoreQueue::Submit(const RestoreRequest& request,
                                   RestoreTime now) {
  ++metrics_.requests[static_cast<size_t>(request.source)];
  Port* found = Find(request.port);
  if (found == nullptr) return Plain(RestoreCode::kUnknownPort);
  Port& port = *found;
  const PortStatus status = port.options.word->Load();
  if (request.incarnation != 0 && request.incarnation != status.incarnation) {
    ++metrics_.stale;
    return Plain(RestoreCode::kStale, status);
  }
  if (!status.enabled()) return Plain(RestoreCode::kDisabled, status);
  DropDeadJob(port);
  if (!port.job.has_value() && status.state == RestoreState::kQueued) {
    // A packet was first.
    Begin(port, status, RequestSource::kPacket, now);
  }
  if (port.job.has_value()) return JoinJob(port, request);
  if (request.replace_generation.has_value() &&
      *request.replace_generation != committer_->Generation(port.id)) {
    return Plain(RestoreCode::kGenerationMoved, status);
  }
  if (IsFinal(status.state)) {
    return request.replace_generation.has_value()
               ? Replace(port, request, status, now)
               : AnswerLatched(port, request, status);
  }
  return Start(port, request, status, now);
}

RestoreAnswer RestoreQueue::JoinJob(Port& port,
                                    const RestoreRequest& request) {
  Job& job = *port.job;
  if (NeedsSource(port) && request.snapshot_source != nullptr) {
    job.job.snapshot = request.snapshot;
    job.job.source = request.snapshot_source;
  } else if (request.snapshot != kNoSnapshotId &&
             request.snapshot != job.job.snapshot) {
    ++metrics_.busy;
    return Plain(RestoreCode::kBusy, job.seen);
  }
  return Join(port, request, RestoreCode::kJoined);
}

bool RestoreQueue::NeedsSource(const Port& port) {
  return !port.options.has_source && port.job->job.source == nullptr;
}

RestoreAnswer RestoreQueue::Join(Port& port, const RestoreRequest& request,
                                 RestoreCode code) {
  Job& job = *port.job;
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

RestoreAnswer RestoreQueue::AnswerLatched(Port& port,
                                          const RestoreRequest& request,
                                          const PortStatus& status) {
  RestoreAnswer answer = Result(port.id);
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

RestoreAnswer RestoreQueue::Replace(Port& port, const RestoreRequest& request,
                                    const PortStatus& status,
                                    RestoreTime now) {
  // A port that judges nothing now is to judge nothing until the commit.
  const bool expects =
      DispositionOf(status) != PortDisposition::kJudge;
  ++metrics_.replaced;
  const RestoreAnswer answer =
      Start(port, request, port.options.word->Enable(expects), now);
  if (port.job.has_value()) port.job->job.replace = true;
  return answer;
}

RestoreAnswer RestoreQueue::Start(Port& port, const RestoreRequest& request,
                                  PortStatus status, RestoreTime now) {
  if (!port.options.word->Advance(&status, RestoreState::kQueued)) {
    status = port.options.word->Load();
    if (status.state != RestoreState::kQueued) {
      return Plain(RestoreCode::kStale, status);
    }
    // A packet asks at this moment; the restore is the same.
    Begin(port, status, RequestSource::kPacket, now);
    return JoinJob(port, request);
  }
  Begin(port, status, request.source, now);
  port.job->job.snapshot = request.snapshot;
  port.job->job.source = request.snapshot_source;
  return Join(port, request, RestoreCode::kStarted);
}

void RestoreQueue::Begin(Port& port, const PortStatus& status,
                         RequestSource source, RestoreTime now) {
  Job& job = port.job.emplace();
  job.seen = status;
  job.asked_at = now;
  job.entered_at = now;
  job.not_before = now;
  job.job.port = port.id;
  job.job.incarnation = status.incarnation;
  job.job.attempt = status.attempt;
  job.job.word = port.options.word;
  job.place = jobs_.insert(jobs_.end(), port.id);
  // Requests of the other sources are counted when they are made.
  if (source == RequestSource::kPacket) {
    ++metrics_.requests[static_cast<size_t>(source)];
  }
  ++metrics_.started;
}

bool RestoreQueue::Withdraw(RestorePort id, RestoreWaiter waiter) {
  Port* port = Find(id);
  if (port == nullptr || !port->job.has_value()) return false;
  Job& job = *port->job;
  const auto end = job.waiters.begin() + job.waiter_count;
  const auto kept = std::remove(job.waiters.begin(), end, waiter);
  job.waiter_count = static_cast<size_t>(kept - job.waiters.begin());
  return kept != end;
}

void RestoreQueue::Poll(RestoreTime now) {
  // Ports that still wait for a packet stay on the list; those with a job, and
  // those that do not wait any more, leave it.
  std::erase_if(watched_, [&](RestorePort id) {
    Port& port = *Find(id);
    if (!port.job.has_value()) Step(id, now);
    const RestoreState state = port.options.word->Load().state;
    port.watched = !port.job.has_value() &&
                   (state == RestoreState::kExpect ||
                    state == RestoreState::kQueued);
    return !port.watched;
  });
  // A step may end its own job, or move it to the end of the list: that one
  // has been served.
  for (size_t left = jobs_.size(); left > 0 && !jobs_.empty(); --left) {
    const RestorePort id = jobs_.front();
    Port& port = *Find(id);
    StepJob(port, now);
    if (port.job.has_value() && !jobs_.empty() && jobs_.front() == id) {
      jobs_.splice(jobs_.end(), jobs_, jobs_.begin());
    }
  }
}

void RestoreQueue::FailQueued(const std::string& detail) {
  const std::vector<RestorePort> all(jobs_.begin(), jobs_.end());
  for (const RestorePort id : all) {
    Port& port = *Find(id);
    if (!port.job.has_value() ||
        port.job->seen.state != RestoreState::kQueued) {
      continue;
    }
    Fail(port, RestoreFailure::kBuilderLost, detail);
  }
}

void RestoreQueue::Step(RestorePort id, RestoreTime now) {
  Port* port = Find(id);
  if (port == nullptr) return;
  if (port->job.has_value()) {
    StepJob(*port, now);
    return;
  }
  const PortStatus status = port->options.word->Load();
  if (status.state == RestoreState::kQueued) {
    Begin(*port, status, RequestSource::kPacket, now);
  }
}

void RestoreQueue::StepJob(Port& port, RestoreTime now) {
  Job& job = *port.job;
  if (job.job.IsDead()) {
    Cancel(port);
    return;
  }
  if (IsPast(now, job.asked_at, limits_.total)) {
    Fail(port, RestoreFailure::kTotalDeadline,
         absl::StrCat("not done after ", limits_.total / 1000, " ms"));
    return;
  }
  switch (job.seen.state) {
    case RestoreState::kQueued: StepQueued(port, now); break;
    case RestoreState::kValidating: StepValidating(port, now); break;
    default: StepCommitting(port, now); break;
  }
}

bool RestoreQueue::Enter(Job& job, RestoreState next, RestoreTime now) {
  auto* word = const_cast<PortStatusWord*>(job.job.word);
  if (!word->Advance(&job.seen, next)) return false;
  job.entered_at = now;
  job.job.attempt = job.seen.attempt;
  return true;
}

void RestoreQueue::StepQueued(Port& port, RestoreTime now) {
  Job& job = *port.job;
  if (now < job.not_before) return;
  if (IsPast(now, job.not_before, limits_.queue)) {
    Fail(port, RestoreFailure::kQueueDeadline,
         absl::StrCat(NeedsSource(port) ? "nobody brought a snapshot"
                                        : "no builder was free",
                      " within ", limits_.queue / 1000, " ms"));
    return;
  }
  if (NeedsSource(port)) return;
  if (validating_ >= limits_.validating || !validator_->Start(job.job)) return;
  job.at_validator = true;
  ++validating_;
  metrics_.queue_time.Add(now - job.not_before);
  if (!Enter(job, RestoreState::kValidating, now)) Cancel(port);
}

void RestoreQueue::StepValidating(Port& port, RestoreTime now) {
  Job& job = *port.job;
  ValidateResult result = validator_->Poll(job.job);
  if (result.outcome == ValidateOutcome::kRunning) {
    if (IsPast(now, job.entered_at, limits_.validate)) {
      Fail(port, RestoreFailure::kValidateDeadline,
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
      Cancel(port);
      return;
    }
    job.at_validator = false;
    --validating_;
    StepCommitting(port, now);
    return;
  }
  // It has nothing of ours any more.
  job.at_validator = false;
  --validating_;
  switch (result.outcome) {
    case ValidateOutcome::kTransient:
      Retry(port, result.detail, now);
      break;
    case ValidateOutcome::kAbsent:
      if (port.options.snapshot_required) {
        Fail(port, RestoreFailure::kAbsent, std::move(result.detail));
      } else {
        End(port, RestoreState::kSkipped, RestoreFailure::kNone,
            std::move(result.detail));
      }
      break;
    case ValidateOutcome::kLost:
      Fail(port, RestoreFailure::kBuilderLost, std::move(result.detail));
      break;
    default:
      Fail(port, RestoreFailure::kRefused, std::move(result.detail));
      break;
  }
}

void RestoreQueue::Retry(Port& port, const std::string& detail,
                         RestoreTime now) {
  Job& job = *port.job;
  const size_t done = job.seen.attempt;
  if (done > kRestoreRetries) {
    Fail(port, RestoreFailure::kRetriesSpent,
         absl::StrCat("after ", done, " attempts: ", detail));
    return;
  }
  if (!Enter(job, RestoreState::kQueued, now)) {
    Cancel(port);
    return;
  }
  ++metrics_.retries;
  job.not_before = now + limits_.retry_delays[done - 1];
}

void RestoreQueue::StepCommitting(Port& port, RestoreTime now) {
  Job& job = *port.job;
  // Looked at first: a step may publish, after which there is no way back.
  if (IsPast(now, job.entered_at, limits_.commit)) {
    Fail(port, RestoreFailure::kCommitDeadline,
         absl::StrCat("not committed within ", limits_.commit / 1000, " ms"));
    return;
  }
  CommitResult result = committer_->Step(job.job);
  if (result.failed) {
    Fail(port, RestoreFailure::kPolicyMoved, std::move(result.detail));
    return;
  }
  if (!result.done) return;
  ++metrics_.commits;
  metrics_.commit_time.Add(now - job.entered_at);
  metrics_.total_time.Add(now - job.asked_at);
  End(port, RestoreState::kRestored, RestoreFailure::kNone, {}, result.report);
}

void RestoreQueue::LeaveValidator(Job& job) {
  if (!job.at_validator) return;
  validator_->Abandon(job.job);
  job.at_validator = false;
  --validating_;
}

void RestoreQueue::Fail(Port& port, RestoreFailure failure,
                        std::string detail) {
  End(port, RestoreState::kFailed, failure, std::move(detail));
}

void RestoreQueue::End(Port& port, RestoreState state, RestoreFailure failure,
                       std::string detail, const RestoreReport& report) {
  Job& job = *port.job;
  const bool undo = job.seen.state == RestoreState::kCommitting &&
                    state != RestoreState::kRestored;
  job.published = state == RestoreState::kRestored;
  if (!Enter(job, state, 0)) {
    // The incarnation has ended at this moment.
    Cancel(port);
    return;
  }
  if (undo) committer_->Abandon(job.job);
  LeaveValidator(job);
  if (failure != RestoreFailure::kNone) {
    ++metrics_.failures[static_cast<size_t>(failure)];
  }
  if (state == RestoreState::kFailed && job.seen.expects()) {
    ++(port.options.fail_policy == FailPolicy::kClosed ? metrics_.fail_closed
                                                       : metrics_.fail_open);
  }
  RestoreAnswer answer = Plain(CodeOfEnd(state), job.seen);
  if (state == RestoreState::kRestored) answer.snapshot = job.job.snapshot;
  answer.failure = failure;
  answer.detail = std::move(detail);
  answer.report = report;
  Finish(port, std::move(answer));
}

void RestoreQueue::Cancel(Port& port) {
  Job& job = *port.job;
  if (job.seen.state == RestoreState::kCommitting && !job.published) {
    committer_->Abandon(job.job);
  }
  LeaveValidator(job);
  RestoreAnswer answer = Plain(RestoreCode::kCancelled, job.seen);
  answer.status.state = RestoreState::kCancelled;
  answer.detail = "the port was disabled";
  Finish(port, std::move(answer));
}

void RestoreQueue::Finish(Port& port, RestoreAnswer answer) {
  const auto waiters = port.job->waiters;
  const size_t count = port.job->waiter_count;
  ++metrics_.ends[static_cast<size_t>(answer.status.state)];
  metrics_.report.states_imported += answer.report.states_imported;
  metrics_.report.states_merged += answer.report.states_merged;
  metrics_.report.states_orphaned += answer.report.states_orphaned;
  metrics_.report.states_refused += answer.report.states_refused;
  metrics_.report.tables += answer.report.tables;
  metrics_.report.rules += answer.report.rules;
  jobs_.erase(port.job->place);
  port.job.reset();
  port.latch = {.incarnation = answer.status.incarnation, .answer = answer};
  // A packet of the next incarnation may have asked already.
  Watch(port);
  for (size_t i = 0; i < count; ++i) listener_->Answer(waiters[i], answer);
  listener_->Ended(port.id, answer);
  if (port.disable_pending) {
    port.disable_pending = false;
    listener_->Disabled(port.id, port.options.word->Disable());
  }
}

RestoreAnswer RestoreQueue::Result(RestorePort id) const {
  const Port* port = Find(id);
  if (port == nullptr) return Plain(RestoreCode::kUnknownPort);
  const PortStatus status = port->options.word->Load();
  if (!status.enabled()) return Plain(RestoreCode::kDisabled, status);
  if (status.under_way()) return Plain(RestoreCode::kBusy, status);
  if (IsFinal(status.state) &&
      port->latch.incarnation == status.incarnation) {
    return port->latch.answer;
  }
  return Plain(RestoreCode::kStale, status);
}

}  // namespace sluice
