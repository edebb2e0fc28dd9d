#include "restore/restore_queue.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace sluice {

using internal::Plain;

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
  const RestoreFilterId id = next_filter_++;
  auto filter = std::make_unique<Filter>(id, options);
  // It may have been enabled before.
  Watch(*filter);
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

WantResult RestoreQueue::Want(RestoreFilterId id, const WantedFilter& wanted) {
  Filter* filter = Find(id);
  if (filter == nullptr) return WantResult::kUnknownFilter;
  const bool was_ending = filter->lives.is_ending();
  const FilterSwitch::Moves moves = filter->lives.Want(wanted);
  if (moves.begun.has_value() && moves.begun->expects()) Watch(*filter);
  if (!filter->lives.is_settled()) {
    if (!was_ending) ++metrics_.disables_deferred;
    return WantResult::kDeferred;
  }
  return moves.ended.has_value() || moves.begun.has_value()
             ? WantResult::kDone
             : WantResult::kUnchanged;
}

void RestoreQueue::Settle(Filter& filter) {
  const FilterSwitch::Moves moves = filter.lives.Move();
  if (moves.ended.has_value()) listener_->Disabled(filter.id, *moves.ended);
  if (!moves.begun.has_value()) return;
  if (moves.begun->expects()) Watch(filter);
  listener_->Enabled(filter.id, *moves.begun);
}

void RestoreQueue::Watch(Filter& filter) {
  if (filter.watched || filter.job.has_value()) return;
  filter.watched = true;
  watched_.push_back(filter.id);
}

void RestoreQueue::DropDeadJob(Filter& filter) {
  if (filter.job.has_value() && filter.job->job.IsDead()) Cancel(filter);
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
