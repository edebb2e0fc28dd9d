#include "dataplane/transfer/restore_service.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/text.h"
#include "dataplane/transfer/restore_service_internal.h"
#include "pftable/store/policy_store.h"

namespace sluice {
uint64_t RestoreService::Desk::Generation(RestoreFilterId port) {
  const Filter* filter = service_.Find(port);
  return filter == nullptr ? 0 : filter->plane().policy->generation_number();
}

RestoreService::RestoreService(RestoreServiceOptions options)
    : options_(std::move(options)),
      desk_(std::make_unique<Desk>(this)),
      watch_([this](const std::string& directory, const std::string& file) {
        Appeared(directory, file);
      }),
      queue_(options_.limits, desk_.get(), desk_.get(), desk_.get()) {
  for (uint32_t i = 0; i < std::max(options_.limits.validating, 1u); ++i) {
    validators_.push_back(std::make_unique<Validator>());
  }
}

RestoreService::~RestoreService() {
  stopping_ = true;
  for (const auto& task : leaving_) task->Abandon();
  for (const auto& [port, task] : tasks_) task->Abandon();
  // The queue would abandon them again.
  tasks_.clear();
}

RestoreService::Filter* RestoreService::Find(std::string_view name) const {
  const auto found = filters_.find(name);
  return found == filters_.end() ? nullptr : found->second.get();
}

RestoreService::Filter* RestoreService::Find(RestoreFilterId port) const {
  const auto found = ports_.find(port);
  return found == ports_.end() ? nullptr : found->second;
}

// ---- Filters ---------------------------------------------------------------

absl::Status RestoreService::AddFilter(RestoreFilterOptions options) {
  const std::string name = options.filter.name;
  if (filters_.contains(name)) {
    return absl::AlreadyExistsError(
        absl::StrCat("there is a filter ", name, " already"));
  }
  auto filter = std::make_unique<Filter>();
  std::error_code error;
  if (options.own_source == nullptr && !options.source.empty()) {
    if (std::filesystem::is_directory(options.source, error)) {
      if (absl::Status status = watch_.Add(options.source); !status.ok()) {
        return status;
      }
      filter->directory = options.source;
    } else {
      options.own_source =
          std::make_shared<FileSource>(options.source, options.choice);
    }
  }
  filter->port = queue_.AddFilter(
      {.word = &options.filter.plane->status,
       .fail_policy = options.filter.plane->fail_policy,
       .has_source = options.own_source != nullptr,
       .snapshot_required = options.snapshot_required});
  filter->options = std::move(options);
  ports_[filter->port] = filter.get();
  filters_.emplace(name, std::move(filter));
  return absl::OkStatus();
}

absl::Status RestoreService::RemoveFilter(std::string_view name,
                                          std::function<void()> done) {
  Filter* filter = Find(name);
  if (filter == nullptr || filter->removed) return NoFilter(name);
  if (absl::Status status = queue_.RemoveFilter(filter->port, Now());
      !status.ok()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "filter ", filter->name(), " is enabled: disable it first"));
  }
  for (const auto& under_way : exports_) {
    if (under_way->filter().plane == &filter->plane()) under_way->Cancel();
  }
  filter->removed = std::move(done);
  return absl::OkStatus();
}

bool RestoreService::IsUsed(const Filter& filter) const {
  const auto uses = [&](const auto& transfer) {
    return transfer->filter().plane == &filter.plane();
  };
  return tasks_.contains(filter.port) ||
         std::ranges::any_of(leaving_, uses) ||
         std::ranges::any_of(exports_, uses);
}

absl::StatusOr<FilterStatus> RestoreService::Enable(
    std::string_view name, bool expect, std::shared_ptr<TransferSource> once) {
  Filter* filter = Find(name);
  if (filter == nullptr || filter->removed) return NoFilter(name);
  absl::StatusOr<FilterStatus> status = queue_.Enable(filter->port, expect);
  if (!status.ok() || !expect) return status;
  if (once == nullptr && !filter->directory.empty()) {
    LookIntoDirectory(*filter, RequestSource::kEnable);
  } else if (once != nullptr || filter->options.own_source != nullptr) {
    queue_.Submit({.filter = filter->port,
                   .incarnation = status->incarnation,
                   .source = RequestSource::kEnable,
                   .snapshot_source = std::move(once)},
                  Now());
  }
  return filter->plane().status.Load();
}

void RestoreService::Disable(
    std::string_view name,
    std::function<void(absl::StatusOr<FilterStatus>)> done) {
  Filter* filter = Find(name);
  if (filter == nullptr) return done(NoFilter(name));
  if (queue_.Disable(filter->port) == DisableResult::kDeferred) {
    filter->disabling.push_back(std::move(done));
    return;
  }
  done(filter->plane().status.Load());
}

// ---- Directories -----------------------------------------------------------

void RestoreService::LookIntoDirectory(Filter& filter, RequestSource source) {
  const std::string path =
      absl::StrCat(filter.directory, "/", filter.snapshot_file());
  const absl::StatusOr<SnapshotHeader> header = PeekSnapshotHeader(path);
  if (!header.ok()) {
    if (!absl::IsNotFound(header.status())) {
      spdlog::warn("filter {}: {}: {}", filter.name(), path,
                   Text(header.status()));
    }
    return;
  }
  if (header->id == filter.applied) {
    spdlog::info("filter {}: {} was restored before; it waits for another one",
                 filter.name(), path);
    return;
  }
  const RestoreAnswer answer = queue_.Submit(
      {.filter = filter.port,
       .source = source,
       .snapshot = header->id,
       .snapshot_source =
           std::make_shared<FileSource>(path, filter.options.choice)},
      Now());
  if (answer.code != RestoreCode::kStarted &&
      answer.code != RestoreCode::kJoined) {
    spdlog::info("filter {}: {} is not restored: {}", filter.name(), path,
                 Name(answer.code));
  }
}

void RestoreService::Appeared(const std::string& directory,
                              const std::string& file) {
  if (file.empty()) {
    // Whatever has gone wrong, another watch sees what comes from now on.
    if (absl::Status status = watch_.Add(directory); !status.ok()) {
      spdlog::warn("snapshots are not looked for any more: {}", Text(status));
    }
  }
  for (const auto& [name, filter] : filters_) {
    if (filter->directory != directory || filter->removed) continue;
    if (!file.empty() && file != filter->snapshot_file()) continue;
    if (!filter->plane().status.Load().enabled()) continue;
    LookIntoDirectory(*filter, RequestSource::kOrder);
  }
}

// ---- Orders ----------------------------------------------------------------

RestoreAnswer RestoreService::Submit(
    std::string_view name, const RestoreOrder& order,
    std::function<void(const RestoreAnswer&)> done) {
  Filter* filter = Find(name);
  if (filter == nullptr || filter->removed) return {};
  const RestoreWaiter waiter = next_waiter_++;
  RestoreAnswer answer =
      queue_.Submit({.filter = filter->port,
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

std::optional<RestoreAnswer> RestoreService::Last(
    std::string_view name) const {
  const Filter* filter = Find(name);
  return filter == nullptr ? std::nullopt : filter->last;
}

// ---- The loop --------------------------------------------------------------

RestoreTime RestoreService::Now() const {
  if (options_.clock) return options_.clock();
  return static_cast<RestoreTime>(
      std::chrono::duration_cast<std::chrono::microseconds>(
          std::chrono::steady_clock::now().time_since_epoch())
          .count());
}

void RestoreService::Poll() {
  for (Mailbox* mailbox : options_.plane.mailboxes) mailbox->Collect();
  for (const auto& validator : validators_) validator->builder.Finish();
  intake_.Finish();
  outlet_.Finish();
  watch_.Poll();
  // Every few milliseconds would be too often for the kernel's files.
  if (const uint64_t now = Now() / 1000; now - last_look_ >= kLookInterval) {
    last_look_ = now;
    for (const auto& validator : validators_) {
      validator->watch.Look(validator->builder.beacon(), now);
    }
  }
  queue_.Poll(Now());
  if (std::ranges::all_of(validators_, [](const auto& validator) {
        return validator->watch.lost();
      })) {
    queue_.FailQueued("no thread that validates snapshots gets on");
  }
  std::erase_if(leaving_,
                [](const auto& task) { return task->is_over(); });
  StartExports();
  for (auto it = filters_.begin(); it != filters_.end();) {
    Filter& filter = *it->second;
    if (!filter.removed || IsUsed(filter)) {
      ++it;
      continue;
    }
    AddHolds(filter.plane(), &metrics_);
    calls_.push_back(std::move(filter.removed));
    ports_.erase(filter.port);
    it = filters_.erase(it);
  }
  RunCalls();
}

void RestoreService::RunCalls() {
  // They may ask for more.
  for (auto& call : std::exchange(calls_, {})) call();
}

bool RestoreService::busy() const {
  if (queue_.jobs() > 0 || !leaving_.empty() || !exports_.empty() ||
      !waiting_exports_.empty() || intakes_ > 0 || !calls_.empty()) {
    return true;
  }
  return std::ranges::any_of(filters_, [](const auto& entry) {
    const FilterStatus status = entry.second->plane().status.Load();
    return entry.second->removed || status.state == RestoreState::kExpect ||
           status.under_way();
  });
}

std::vector<int> RestoreService::event_fds() const {
  std::vector<int> fds = {intake_.event_fd(), outlet_.event_fd()};
  for (const auto& validator : validators_) {
    fds.push_back(validator->builder.event_fd());
  }
  return fds;
}

}  // namespace sluice
