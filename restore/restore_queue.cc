#include "restore/restore_queue.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace sluice {

using internal::Plain;

std::string_view Name(RestoreAwaits awaits) {
  static constexpr std::array<std::string_view, 8> kNames = {
      "nothing",      "the first packet",   "a snapshot",
      "the snapshot that is being read",    "the next attempt",
      "a free builder", "the validation",   "the workers' commit"};
  return kNames[static_cast<size_t>(awaits)];
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

bool RestoreQueue::SetFailPolicy(RestoreFilterId id, FailPolicy policy) {
  Filter* const filter = Find(id);
  if (filter == nullptr) return false;
  filter->options.fail_policy = policy;
  return true;
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
  Look(now);
  // Filters that still wait for a packet stay on the list; those with a job,
  // and those that do not wait any more, leave it.
  std::erase_if(watched_, [&](RestoreFilterId id) {
    Filter& filter = *Find(id);
    if (!filter.job.has_value()) Notice(filter, now);
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

void RestoreQueue::Arriving(RestoreFilterId id, bool begins) {
  Filter* filter = Find(id);
  if (filter == nullptr) return;
  filter->arriving += begins ? 1 : -1;
  // Who was waited for has until now been on the way.
  if (filter->job.has_value()) filter->job->moved = looked_;
}

void RestoreQueue::Look(RestoreTime now) {
  const RestoreTime gap =
      last_look_.has_value() && now > *last_look_ ? now - *last_look_ : 0;
  last_look_ = now;
  looked_ += std::min(gap, limits_.longest_gap);
}

void RestoreQueue::Step(RestoreFilterId id, RestoreTime now) {
  Look(now);
  Filter* filter = Find(id);
  if (filter == nullptr) return;
  if (filter->job.has_value()) {
    StepJob(*filter, now);
  } else {
    Notice(*filter, now);
  }
}

void RestoreQueue::Notice(Filter& filter, RestoreTime now) {
  const FilterStatus status = filter.options.word->Load();
  if (status.state == RestoreState::kQueued) {
    Begin(filter, status, RequestSource::kPacket, now);
  }
}

RestoreAnswer RestoreQueue::Result(RestoreFilterId id) const {
  const Filter* filter = Find(id);
  if (filter == nullptr) return Plain(RestoreCode::kUnknownFilter);
  const FilterStatus status = filter->options.word->Load();
  if (!status.enabled()) return Plain(RestoreCode::kDisabled, status);
  if (status.under_way()) return Plain(RestoreCode::kBusy, status);
  if (IsFinal(status.state) &&
      filter->last.incarnation == status.incarnation) {
    return filter->last.answer;
  }
  return Plain(RestoreCode::kStale, status);
}

RestoreWait RestoreQueue::Waiting(RestoreFilterId id) const {
  using enum RestoreAwaits;
  RestoreWait wait;
  const Filter* filter = Find(id);
  if (filter == nullptr) return wait;
  wait.give_up = GiveUpOf(*filter);
  const FilterStatus status = filter->options.word->Load();
  if (!filter->job.has_value()) {
    if (!status.enabled()) return wait;
    if (status.state == RestoreState::kExpect) {
      wait.awaits = filter->options.has_source ? kFirstPacket : kSnapshot;
    } else if (IsOpenEnd(status.state)) {
      wait.awaits = kSnapshot;
    }
    if (wait.awaits == kSnapshot && filter->arriving > 0) {
      wait.awaits = kReading;
    }
    return wait;
  }
  const Job& job = *filter->job;
  const RestoreTime spent = looked_ - job.begun;
  wait.until_give_up = wait.give_up > spent ? wait.give_up - spent : 0;
  wait.failure = job.failure;
  wait.detail = job.detail;
  wait.quiet = QuietOf(job);
  if (job.seen.state == RestoreState::kValidating) {
    wait.awaits = kValidation;
    wait.deadline = limits_.validate;
  } else if (job.seen.state == RestoreState::kCommitting) {
    wait.awaits = kCommit;
    wait.deadline = limits_.commit;
  } else if (looked_ < job.not_before) {
    wait.awaits = kRetry;
    wait.deadline = job.not_before - looked_;
  } else if (NeedsSource(*filter)) {
    wait.awaits = filter->arriving > 0 ? kReading : kSnapshot;
    wait.deadline = filter->arriving > 0 ? 0 : limits_.queue;
  } else {
    wait.awaits = kBuilder;
    wait.deadline = limits_.queue;
  }
  return wait;
}

}  // namespace sluice
