#include "dataplane/transfer/restore_service.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/workers/mailbox.h"
#include "restore/hold_queue.h"

namespace sluice {
namespace {

// What has gone through the hold queues of a filter.
void AddHolds(const FilterPlane& plane, TransferMetrics* metrics) {
  for (const auto& queue : plane.holds) {
    if (queue == nullptr) continue;
    const HoldStatistics& counts = queue->statistics();
    const auto read = [](const std::atomic<uint64_t>& count) {
      return count.load(std::memory_order_relaxed);
    };
    // What has left first, so that the difference is not negative.
    const uint64_t replayed = read(counts.replayed);
    const uint64_t expired = read(counts.dropped_expired);
    const uint64_t failed = read(counts.dropped_failed);
    const uint64_t cancelled = read(counts.dropped_cancelled);
    const uint64_t held = read(counts.held);
    metrics->replayed += replayed;
    metrics->dropped_expired += expired;
    metrics->dropped_failed += failed;
    metrics->dropped_cancelled += cancelled;
    metrics->held += held;
    metrics->waiting += held - replayed - expired - failed - cancelled;
    metrics->bypassed += read(counts.bypassed);
    metrics->refused +=
        read(counts.refused_full) + read(counts.refused_budget);
    metrics->longest_hold =
        std::max(metrics->longest_hold, read(counts.longest));
  }
}

}  // namespace

RestoreService::RestoreService(RestoreServiceOptions options)
    : options_(std::move(options)),
      folders_(&filters_,
               [this](KnownFilter& filter) {
                 restores_.SubmitFolder(filter, RequestSource::kOrder);
               }),
      restores_(&options_, &ledger_),
      exports_(&options_.plane, &filters_, &lanes_, &ledger_),
      lanes_(options_.transfers) {}

RestoreService::~RestoreService() = default;

// ---- Filters ---------------------------------------------------------------

absl::Status RestoreService::AddFilter(RestoreFilterOptions options) {
  const std::string name = options.filter.name;
  if (filters_.contains(name)) {
    return absl::AlreadyExistsError(
        absl::StrCat("there is a filter ", name, " already"));
  }
  auto filter = std::make_unique<KnownFilter>();
  std::error_code error;
  if (options.own_source == nullptr && !options.source.empty()) {
    if (std::filesystem::is_directory(options.source, error)) {
      if (absl::Status status = folders_.Add(options.source); !status.ok()) {
        return status;
      }
      filter->directory = options.source;
    } else {
      if (!options.source_may_be_absent &&
          !std::filesystem::exists(options.source, error)) {
        return absl::NotFoundError(absl::StrCat(
            "the snapshot ", options.source, " is not there",
            error ? absl::StrCat(" (", error.message(), ")") : "",
            ": one that comes later is taken from a folder, as ",
            name,
            ".snap, or brought by `state import`"));
      }
      options.own_source =
          std::make_shared<FileSource>(options.source, options.choice,
                                       options_.transfers);
    }
  }
  filter->options = std::move(options);
  filter->options.pace = options_.transfers;
  restores_.AddFilter(filter.get());
  filters_.emplace(name, std::move(filter));
  return absl::OkStatus();
}

absl::Status RestoreService::RemoveFilter(std::string_view name,
                                          std::function<void()> done) {
  KnownFilter* filter = Find(name);
  if (filter == nullptr || filter->removed) return NoKnownFilter(name);
  if (!restores_.RemoveFilter(*filter).ok()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "filter ", filter->name(), " is enabled: disable it first"));
  }
  exports_.Cancel(filter->plane());
  lanes_.Cancel(filter->plane());
  filter->removed = std::move(done);
  return absl::OkStatus();
}

void RestoreService::SetFailPolicy(std::string_view name, FailPolicy policy) {
  const KnownFilter* const filter = Find(name);
  if (filter != nullptr) restores_.SetFailPolicy(*filter, policy);
}

void RestoreService::DropRemoved() {
  for (auto it = filters_.begin(); it != filters_.end();) {
    KnownFilter& filter = *it->second;
    if (!filter.removed || restores_.Uses(filter) ||
        exports_.Uses(filter.plane()) || lanes_.Uses(filter.plane())) {
      ++it;
      continue;
    }
    AddHolds(filter.plane(), &ledger_.metrics);
    ledger_.calls.push_back(std::move(filter.removed));
    restores_.Forget(filter);
    it = filters_.erase(it);
  }
}

// ---- Orders ----------------------------------------------------------------

absl::StatusOr<FilterStatus> RestoreService::Enable(
    std::string_view name, bool expect, std::shared_ptr<TransferSource> once) {
  KnownFilter* filter = Find(name);
  if (filter == nullptr || filter->removed) return NoKnownFilter(name);
  return restores_.Enable(*filter, expect, std::move(once));
}

void RestoreService::Disable(
    std::string_view name,
    std::function<void(absl::StatusOr<FilterStatus>)> done) {
  KnownFilter* filter = Find(name);
  if (filter == nullptr) return done(NoKnownFilter(name));
  restores_.Disable(*filter, std::move(done));
}

RestoreAnswer RestoreService::Submit(
    std::string_view name, const RestoreOrder& order,
    std::function<void(const RestoreAnswer&)> done) {
  const KnownFilter* filter = Find(name);
  if (filter == nullptr || filter->removed) return {};
  return restores_.Submit(*filter, order, std::move(done));
}

void RestoreService::Export(std::string_view filter, UniqueFd out,
                            const TransferClient& client,
                            Done<ExportReport> done) {
  exports_.Export(filter, std::move(out), client, std::move(done));
}

// ---- The loop --------------------------------------------------------------

void RestoreService::Poll() {
  for (Mailbox* mailbox : options_.plane.mailboxes) mailbox->Collect();
  lanes_.Poll();
  folders_.Poll();
  restores_.Poll();
  DropRemoved();
  RunCalls();
}

void RestoreService::RunCalls() {
  // They may ask for more.
  for (auto& call : std::exchange(ledger_.calls, {})) call();
}

bool RestoreService::busy() const {
  if (restores_.is_busy() || exports_.is_busy() || lanes_.busy() > 0 ||
      !ledger_.calls.empty()) {
    return true;
  }
  return std::ranges::any_of(filters_, [](const auto& entry) {
    const FilterStatus status = entry.second->plane().status.Load();
    // One that expects a restore waits for a packet, an order or a file: what
    // a packet asks for is noticed at the next turn.
    return entry.second->removed || status.under_way();
  });
}

// ---- Listings --------------------------------------------------------------

std::optional<RestoreAnswer> RestoreService::Last(
    std::string_view name) const {
  const KnownFilter* filter = Find(name);
  return filter == nullptr ? std::nullopt : filter->last;
}

absl::StatusOr<std::vector<RestoreListing>> RestoreService::Restores(
    std::string_view name) {
  if (!name.empty() && Find(name) == nullptr) return NoKnownFilter(name);
  std::vector<RestoreListing> list;
  for (const auto& [key, filter] : filters_) {
    if (!name.empty() && key != name) continue;
    list.push_back(
        {.filter = key,
         .status = filter->plane().status.Load(),
         .source = filter->options.source,
         .in_folder = !filter->directory.empty(),
         .snapshot_required = filter->options.snapshot_required,
         .fail_closed = filter->plane().fail_policy == FailPolicy::kClosed,
         .wait = restores_.Waiting(*filter),
         .last = filter->last,
         .time = filter->last_time,
         .ended = filter->last_ended});
  }
  return list;
}

TransferMetrics RestoreService::Metrics() {
  TransferMetrics metrics = ledger_.metrics;
  metrics.queue = restores_.metrics();
  metrics.under_way = lanes_.busy();
  metrics.transfer_bytes = lanes_.memory().used();
  metrics.over_limits = lanes_.counts().over_limits;
  metrics.too_slow = lanes_.counts().too_slow;
  metrics.abandoned = lanes_.counts().abandoned;
  for (const auto& [name, filter] : filters_) {
    AddHolds(filter->plane(), &metrics);
    ++metrics.filters[static_cast<size_t>(
        filter->plane().status.Load().state)];
  }
  return metrics;
}

}  // namespace sluice
