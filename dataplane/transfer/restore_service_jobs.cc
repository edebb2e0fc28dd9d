// RestoreService as the queue's validator, committer and listener.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/transfer/restore_service_internal.h"

namespace sluice {

bool RestoreService::Start(const RestoreJob& job) {
  Filter* filter = Find(job.filter);
  const auto free = std::ranges::find_if(validators_, [](const auto& v) {
    return v->task == nullptr || v->task->has_left_builder();
  });
  if (free == validators_.end()) return false;
  // Whatever is in the queue was put there by Submit(), with such a source.
  auto source = std::static_pointer_cast<TransferSource>(job.source);
  if (source == nullptr) source = filter->options.own_source;
  auto task = std::make_shared<RestoreTask>(
      &options_.plane, filter->options.filter, &(*free)->builder, job,
      std::move(source), options_.max_snapshot);
  (*free)->task = task;
  tasks_[job.filter] = task;
  task->Begin();
  return true;
}

ValidateResult RestoreService::PollTask(const RestoreJob& job) {
  const auto found = tasks_.find(job.filter);
  ValidateResult result = found->second->Poll();
  const auto its = std::ranges::find(validators_, found->second,
                                     [](const auto& v) { return v->task; });
  if (result.outcome == ValidateOutcome::kRunning &&
      its != validators_.end() && (*its)->watch.lost()) {
    // What the thread still has of it goes when it gets on, if it does.
    found->second->Abandon();
    result = {.outcome = ValidateOutcome::kLost,
              .snapshot = kNoSnapshotId,
              .detail = "the thread that validates it does not get on"};
  }
  if (result.outcome != ValidateOutcome::kRunning &&
      result.outcome != ValidateOutcome::kReady) {
    leaving_.push_back(std::move(found->second));
    tasks_.erase(found);
  }
  return result;
}

CommitResult RestoreService::StepCommit(const RestoreJob& job) {
  const auto found = tasks_.find(job.filter);
  CommitResult result = found->second->StepCommit();
  if (result.done) {
    Filter& filter = *Find(job.filter);
    filter.last_time = found->second->time();
    NoteStep(filter.last_time);
    tasks_.erase(found);
  }
  return result;
}

void RestoreService::Abandon(const RestoreJob& job) {
  const auto found = tasks_.find(job.filter);
  if (found == tasks_.end()) return;
  std::shared_ptr<RestoreTask> task = std::move(found->second);
  tasks_.erase(found);
  task->Abandon();
  leaving_.push_back(std::move(task));
}

void RestoreService::Answer(RestoreWaiter waiter,
                            const RestoreAnswer& answer) {
  const auto found = waiters_.find(waiter);
  if (found == waiters_.end()) return;
  calls_.push_back([call = std::move(found->second), answer] { call(answer); });
  waiters_.erase(found);
}

void RestoreService::Ended(RestoreFilterId port, const RestoreAnswer& answer) {
  Filter& filter = *Find(port);
  filter.last = answer;
  const uint32_t incarnation = answer.status.incarnation;
  switch (answer.code) {
    case RestoreCode::kRestored:
      filter.applied = answer.snapshot;
      spdlog::info(
          "filter {}, incarnation {}: restored: {} states imported, {} merged, "
          "{} without their rule, {} refused; a worker was away for {} ns at "
          "most",
          filter.name(), incarnation, answer.report.states_imported,
          answer.report.states_merged, answer.report.states_orphaned,
          answer.report.states_refused, filter.last_time.longest_step);
      return;
    case RestoreCode::kFailed: {
      const bool closed = filter.plane().fail_policy == FailPolicy::kClosed;
      const char* holds = !answer.status.expects()
                              ? "nothing was changed"
                          : closed ? "nothing passes (fail closed)"
                                   : "the emergency ruleset holds (fail open)";
      spdlog::error("filter {}, incarnation {}: not restored: {}: {}; {}",
                    filter.name(), incarnation, Name(answer.failure),
                    answer.detail, holds);
      return;
    }
    default:
      spdlog::info("filter {}, incarnation {}: {}: {}", filter.name(),
                   incarnation, Name(answer.code), answer.detail);
      return;
  }
}

void RestoreService::Disabled(RestoreFilterId port,
                              const FilterStatus& status) {
  Filter& filter = *Find(port);
  for (auto& done : std::exchange(filter.disabling, {})) {
    calls_.push_back([done = std::move(done), status] { done(status); });
  }
}

}  // namespace sluice
