#include "dataplane/transfer/restore_desk.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/log.h"
#include "dataplane/transfer/folder_watch.h"
#include "dataplane/transfer/transfer_orders.h"
#include "dataplane/workers/mailbox.h"
#include "pftable/store/policy_store.h"

namespace sluice {

RestoreDesk::RestoreDesk(const RestoreServiceOptions* options,
                         TransferLedger* ledger)
    : options_(*options),
      ledger_(*ledger),
      queue_(options_.limits, this, this, this) {
  for (uint32_t i = 0; i < std::max(options_.limits.validating, 1u); ++i) {
    validators_.push_back(std::make_unique<Validator>());
  }
}

RestoreDesk::~RestoreDesk() {
  for (const auto& task : leaving_) task->Abandon();
  for (const auto& [id, task] : tasks_) task->Abandon();
  // The queue would abandon them again.
  tasks_.clear();
}

RestoreTime RestoreDesk::Now() const {
  if (options_.clock) return options_.clock();
  return static_cast<RestoreTime>(
      std::chrono::duration_cast<std::chrono::microseconds>(
          std::chrono::steady_clock::now().time_since_epoch())
          .count());
}

KnownFilter* RestoreDesk::Find(RestoreFilterId id) const {
  const auto found = filters_.find(id);
  return found == filters_.end() ? nullptr : found->second;
}

// ---- Filters ---------------------------------------------------------------

void RestoreDesk::AddFilter(KnownFilter* filter) {
  const RestoreFilterOptions& options = filter->options;
  filter->id =
      queue_.AddFilter({.word = &filter->plane().status,
                        .fail_policy = filter->plane().fail_policy,
                        .has_source = options.own_source != nullptr,
                        .snapshot_required = options.snapshot_required,
                        .give_up = options.give_up});
  filters_[filter->id] = filter;
}

absl::Status RestoreDesk::RemoveFilter(const KnownFilter& filter) {
  return queue_.RemoveFilter(filter.id, Now());
}

bool RestoreDesk::Uses(const KnownFilter& filter) const {
  return tasks_.contains(filter.id) ||
         std::ranges::any_of(leaving_, [&filter](const auto& task) {
           return task->filter().plane == &filter.plane();
         });
}

FilterStatus RestoreDesk::Enable(KnownFilter& filter, bool expect,
                                 std::shared_ptr<TransferSource> once) {
  const WantResult result =
      queue_.Want(filter.id, {.enabled = true, .expects = expect});
  if (result == WantResult::kDone || result == WantResult::kDeferred) {
    if (once != nullptr) filter.once = std::move(once);
  }
  const FilterStatus status = filter.plane().status.Load();
  if (result == WantResult::kDone) AskFor(filter, status.incarnation);
  return filter.plane().status.Load();
}

void RestoreDesk::AskFor(KnownFilter& filter, uint32_t incarnation) {
  std::shared_ptr<TransferSource> once = std::exchange(filter.once, nullptr);
  if (!filter.plane().status.Load().expects()) return;
  if (once == nullptr && !filter.directory.empty()) {
    SubmitFolder(filter, RequestSource::kEnable);
  } else if (once != nullptr || filter.options.own_source != nullptr) {
    queue_.Submit({.filter = filter.id,
                   .incarnation = incarnation,
                   .source = RequestSource::kEnable,
                   .snapshot_source = std::move(once)},
                  Now());
  }
}

void RestoreDesk::Disable(
    KnownFilter& filter,
    std::function<void(absl::StatusOr<FilterStatus>)> done) {
  if (queue_.Want(filter.id, {.enabled = false}) == WantResult::kDeferred) {
    filter.disabling.push_back(std::move(done));
    return;
  }
  done(filter.plane().status.Load());
}

// What has waited for a commit. The queue is at work: the rest comes after it.
void RestoreDesk::Disabled(RestoreFilterId id, const FilterStatus& status) {
  for (auto& done : std::exchange(Find(id)->disabling, {})) {
    ledger_.calls.push_back(
        [done = std::move(done), status] { done(status); });
  }
}

void RestoreDesk::Enabled(RestoreFilterId id, const FilterStatus& status) {
  ledger_.calls.push_back([this, id, incarnation = status.incarnation] {
    if (KnownFilter* filter = Find(id)) AskFor(*filter, incarnation);
  });
}

// ---- Orders ----------------------------------------------------------------

RestoreAnswer RestoreDesk::Submit(
    const KnownFilter& filter, const RestoreOrder& order,
    std::function<void(const RestoreAnswer&)> done) {
  const RestoreWaiter waiter = next_waiter_++;
  RestoreAnswer answer =
      queue_.Submit({.filter = filter.id,
                     .incarnation = order.incarnation,
                     .source = order.source,
                     .snapshot = order.snapshot,
                     .snapshot_source = order.snapshot_source,
                     .waiter = done ? waiter : 0,
                     .replace_generation = order.replace_generation},
                    Now());
  if (done && (answer.code == RestoreCode::kStarted ||
               answer.code == RestoreCode::kJoined)) {
    waiters_[waiter] = std::move(done);
  }
  return answer;
}

void RestoreDesk::SubmitFolder(KnownFilter& filter, RequestSource source) {
  const std::optional<RestoreOrder> order = OrderFromFolder(filter, source);
  if (!order.has_value()) return;
  const RestoreAnswer answer = Submit(filter, *order, nullptr);
  if (answer.code == RestoreCode::kStarted ||
      answer.code == RestoreCode::kJoined) {
    filter.tried = order->snapshot;
  } else if (answer.code == RestoreCode::kBusy) {
    LogInfo("filter {}: {}/{} waits for the end of another snapshot's restore",
            filter.name(), filter.directory, filter.snapshot_file());
  } else {
    LogInfo("filter {}: {}/{} is not restored: {}", filter.name(),
                 filter.directory, filter.snapshot_file(), Name(answer.code));
  }
}

void RestoreDesk::Answer(RestoreWaiter waiter, const RestoreAnswer& answer) {
  const auto found = waiters_.find(waiter);
  if (found == waiters_.end()) return;
  ledger_.calls.push_back(
      [call = std::move(found->second), answer] { call(answer); });
  waiters_.erase(found);
}

void RestoreDesk::Retried(RestoreFilterId id, const FilterStatus& status,
                          RestoreFailure failure, const std::string& detail) {
  KnownFilter& filter = *Find(id);
  // The same each second for a minute says no more than once.
  if (std::exchange(filter.retried, detail) == detail) return;
  LogWarning("filter {}, incarnation {}: attempt {} has failed: {}: {}; it is "
             "tried again",
             filter.name(), status.incarnation, status.attempt - 1,
             Name(failure), detail);
}

void RestoreDesk::Adopt(const FilterPlane& plane) {
  if (plane.emergency == nullptr) return;
  // What the commit has copied goes on from where it is now.
  for (Mailbox* mailbox : options_.plane.mailboxes) {
    mailbox->Post(std::make_unique<AdoptOrder>(plane.emergency->number,
                                               plane.number));
  }
}

void RestoreDesk::LookInFolder(RestoreFilterId id) {
  KnownFilter* filter = Find(id);
  if (filter == nullptr || filter->removed || filter->directory.empty() ||
      !IsOpenEnd(filter->plane().status.Load().state)) {
    return;
  }
  const std::optional<RestoreOrder> order =
      OrderFromFolder(*filter, RequestSource::kOrder);
  if (order.has_value() && order->snapshot != filter->tried) {
    SubmitFolder(*filter, RequestSource::kOrder);
  }
}

void RestoreDesk::Ended(RestoreFilterId id, const RestoreAnswer& answer) {
  KnownFilter& filter = *Find(id);
  filter.last = answer;
  filter.last_ended = std::time(nullptr);
  filter.retried.clear();
  if (!filter.directory.empty()) {
    // Another one may have appeared while this one was tried.
    ledger_.calls.push_back([this, id] { LookInFolder(id); });
  }
  const uint32_t incarnation = answer.status.incarnation;
  switch (answer.code) {
    case RestoreCode::kRestored:
      filter.applied = answer.snapshot;
      if (answer.status.emergency()) Adopt(filter.plane());
      LogInfo(
          "filter {}, incarnation {}: restored: {} states imported, {} merged, "
          "{} without their rule, {} refused; {} sources; a worker was away "
          "for {} ns at most",
          filter.name(), incarnation, answer.report.states_imported,
          answer.report.states_merged, answer.report.states_orphaned,
          answer.report.states_refused, answer.report.sources_imported,
          filter.last_time.longest_step);
      if (answer.report.sources_left_out != 0) {
        LogWarning(
            "filter {}, incarnation {}: {} sources of the snapshot were left "
            "out, whose rules, pools or states are not there",
            filter.name(), incarnation, answer.report.sources_left_out);
      }
      return;
    case RestoreCode::kFailed: {
      const bool closed = filter.plane().fail_policy == FailPolicy::kClosed;
      const char* holds =
          !answer.status.expects() ? "nothing was changed"
          : closed ? "nothing passes (fail closed) until a snapshot comes"
                   : "the emergency ruleset holds (fail open) until a snapshot "
                     "comes";
      LogError("filter {}, incarnation {}: not restored: {}: {}; {}",
                    filter.name(), incarnation, Name(answer.failure),
                    answer.detail, holds);
      return;
    }
    default:
      LogInfo("filter {}, incarnation {}: {}: {}", filter.name(),
                   incarnation, Name(answer.code), answer.detail);
      return;
  }
}

// ---- Work for the queue ----------------------------------------------------

bool RestoreDesk::Start(const RestoreJob& job) {
  const KnownFilter* filter = Find(job.filter);
  if (std::ranges::any_of(leaving_, [filter](const auto& task) {
        return task->filter().plane == &filter->plane() &&
               task->gives_back_room();
      })) {
    return false;
  }
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

ValidateResult RestoreDesk::Poll(const RestoreJob& job) {
  const auto found = tasks_.find(job.filter);
  ValidateResult result = found->second->Poll();
  const auto its = std::ranges::find(validators_, found->second,
                                     [](const auto& v) { return v->task; });
  if (result.outcome == ValidateOutcome::kRunning &&
      its != validators_.end()) {
    // Also what cannot be told by what it has done: large tables are built in
    // one piece, and processors may be scarce.
    result.progress += (*its)->watch.moves();
    if ((*its)->watch.lost()) {
      found->second->Abandon();
      result = {.outcome = ValidateOutcome::kLost,
                .snapshot = kNoSnapshotId,
                .detail = "the thread that validates it is gone",
                .progress = 0};
    }
  }
  if (result.outcome != ValidateOutcome::kRunning &&
      result.outcome != ValidateOutcome::kReady) {
    leaving_.push_back(std::move(found->second));
    tasks_.erase(found);
  }
  return result;
}

CommitResult RestoreDesk::Step(const RestoreJob& job) {
  const auto found = tasks_.find(job.filter);
  CommitResult result = found->second->StepCommit();
  if (result.done) {
    KnownFilter& filter = *Find(job.filter);
    filter.last_time = found->second->time();
    ledger_.NoteStep(filter.last_time);
    tasks_.erase(found);
  }
  return result;
}

void RestoreDesk::Abandon(const RestoreJob& job) {
  const auto found = tasks_.find(job.filter);
  if (found == tasks_.end()) return;
  std::shared_ptr<RestoreTask> task = std::move(found->second);
  tasks_.erase(found);
  task->Abandon();
  leaving_.push_back(std::move(task));
}

uint64_t RestoreDesk::Generation(RestoreFilterId id) {
  const KnownFilter* filter = Find(id);
  return filter == nullptr ? 0 : filter->plane().policy->generation()->number;
}

void RestoreDesk::Poll() {
  for (const auto& validator : validators_) validator->builder.Finish();
  // Every few milliseconds would be too often for the kernel's files.
  if (const uint64_t now = Now() / 1000; now - last_look_ >= kLookInterval) {
    last_look_ = now;
    for (const auto& validator : validators_) {
      validator->watch.Look(validator->builder.beacon());
    }
  }
  queue_.Poll(Now());
  for (const auto& task : leaving_) task->StepBack();
  std::erase_if(leaving_,
                [](const auto& task) { return task->is_over(); });
}

}  // namespace sluice
