// Requests: each starts a restore, joins the one that is under way, or is
// answered by how the last one has ended.
#include "restore/restore_queue.h"

namespace sluice {

using internal::Plain;

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
  if (status.state == RestoreState::kRestored) {
    return request.replace_generation.has_value()
               ? Replace(filter, request, status, now)
               : AnswerLatched(filter, request, status);
  }
  if (IsOpenEnd(status.state) && !filter.options.has_source &&
      request.snapshot_source == nullptr) {
    // It brings nothing to try.
    ++metrics_.late_duplicates;
    return Result(filter.id);
  }
  return Start(filter, request, status, now);
}

RestoreAnswer RestoreQueue::JoinJob(Filter& filter,
                                    const RestoreRequest& request) {
  Job& job = *filter.job;
  if (NeedsSource(filter) && request.snapshot_source != nullptr) {
    job.asked_for = request.snapshot;
    job.job.snapshot = request.snapshot;
    job.job.source = request.snapshot_source;
  } else if (request.snapshot != kNoSnapshotId &&
             request.snapshot != job.job.snapshot) {
    if (job.seen.state != RestoreState::kQueued || job.retries == 0 ||
        request.snapshot_source == nullptr) {
      ++metrics_.busy;
      return Plain(RestoreCode::kBusy, job.seen);
    }
    Supersede(filter, request);
  }
  return Join(filter, request, RestoreCode::kJoined);
}

void RestoreQueue::Supersede(Filter& filter, const RestoreRequest& request) {
  Job& job = *filter.job;
  RestoreAnswer answer = Plain(RestoreCode::kFailed, job.seen);
  answer.failure = job.failure;
  answer.detail = job.detail + "; another snapshot has taken its place";
  for (size_t i = 0; i < job.waiter_count; ++i) {
    listener_->Answer(job.waiters[i], answer);
  }
  job.waiter_count = 0;
  job.asked_for = request.snapshot;
  job.job.snapshot = request.snapshot;
  job.job.source = request.snapshot_source;
  job.begun = job.moved = job.not_before = looked_;
  job.retries = 0;
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
  return Start(filter, request, filter.options.word->Enable(expects), now);
}

RestoreAnswer RestoreQueue::Start(Filter& filter, const RestoreRequest& request,
                                  FilterStatus status, RestoreTime now) {
  // What holds goes on to hold, until something was committed.
  const bool emergency = status.state == RestoreState::kFailed &&
                         status.expects() &&
                         filter.options.fail_policy == FailPolicy::kOpen;
  if (!filter.options.word->Advance(&status, RestoreState::kQueued,
                                    emergency ? kFilterEmergency : 0)) {
    status = filter.options.word->Load();
    if (status.state != RestoreState::kQueued) {
      return Plain(RestoreCode::kStale, status);
    }
    // A packet asks at this moment; the restore is the same.
    Begin(filter, status, RequestSource::kPacket, now);
    return JoinJob(filter, request);
  }
  Begin(filter, status, request.source, now);
  filter.job->asked_for = request.snapshot;
  filter.job->job.replace = request.replace_generation.has_value();
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
  job.begun = job.moved = job.not_before = looked_;
  job.turn = turn_;
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

}  // namespace sluice
