// RestoreService as the control socket meets it.
#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/file_io.h"
#include "dataplane/transfer/restore_service_internal.h"
#include "restore/hold_queue.h"
#include "restore/snapshot_reader.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;

// A pipe with a snapshot in it has to end in this time, and a reader of one
// may take nothing for this long.
constexpr milliseconds kIntakeTime{5'000};
constexpr milliseconds kOutletPatience{10'000};
// Descriptors that wait to be read.
constexpr uint32_t kMaxIntakes = 16;

}  // namespace

// ---- Exports ---------------------------------------------------------------

void RestoreService::Export(std::string_view filter, UniqueFd out,
                            Done<ExportReport> done) {
  const Filter* found = Find(filter);
  if (found == nullptr || found->removed) return done(NoFilter(filter));
  if (waiting_exports_.size() >= kMaxWaitingExports) {
    return done(absl::ResourceExhaustedError(
        "too many exports are waiting; try again"));
  }
  waiting_exports_.push_back(
      {std::string(filter), std::move(out), std::move(done)});
  StartExports();
}

void RestoreService::StartExports() {
  while (!exporting_ && !waiting_exports_.empty()) {
    WaitingExport next = std::move(waiting_exports_.front());
    waiting_exports_.pop_front();
    auto out = std::make_shared<UniqueFd>(std::move(next.out));
    auto sink = [this, out](std::span<const uint8_t> bytes) {
      absl::Status status =
          WriteDescriptor(out->get(), bytes, kOutletPatience, &stopping_);
      out->Reset();
      return status;
    };
    auto finish = [this, done = next.done](absl::StatusOr<ExportReport> report) {
      exporting_ = false;
      done(std::move(report));
    };
    exporting_ = true;
    const absl::Status status =
        BeginExport(next.filter, true, &outlet_, sink, finish);
    if (status.ok()) continue;
    exporting_ = false;
    next.done(status);
  }
}

absl::Status RestoreService::BeginExport(std::string_view name, bool states,
                                         Builder* builder,
                                         SnapshotExport::Sink sink,
                                         SnapshotExport::Finish done) {
  const Filter* filter = Find(name);
  if (filter == nullptr || filter->removed) return NoFilter(name);
  // Known before it can end.
  auto self = std::make_shared<std::weak_ptr<SnapshotExport>>();
  auto finish = [this, states, self, done = std::move(done)](
                    absl::StatusOr<ExportReport> report) {
    const std::shared_ptr<SnapshotExport> ended = self->lock();
    std::erase(exports_, ended);
    if (!report.ok()) {
      ++metrics_.exports_failed;
    } else if (states) {
      ++metrics_.exports;
      metrics_.exported_states += report->states;
      NoteStep(report->time);
    }
    // It may ask for the next one.
    calls_.push_back([done, report = std::move(report)] { done(report); });
  };
  std::shared_ptr<SnapshotExport> made = SnapshotExport::Begin(
      &options_.plane, filter->options.filter,
      builder != nullptr ? builder : &outlet_, states, std::move(sink),
      std::move(finish));
  *self = made;
  if (!made->is_over()) exports_.push_back(std::move(made));
  return absl::OkStatus();
}

// ---- Imports ---------------------------------------------------------------

void RestoreService::Import(ImportRequest request, Done<ImportReport> done) {
  const Filter* filter = Find(request.filter);
  if (filter == nullptr || filter->removed) {
    return done(NoFilter(request.filter));
  }
  if (intakes_ >= kMaxIntakes) {
    return done(absl::ResourceExhaustedError(
        "too many snapshots are waiting to be read; try again"));
  }
  struct Intake {
    ImportRequest request;
    Done<ImportReport> done;
    absl::StatusOr<std::vector<uint8_t>> bytes =
        absl::UnknownError("not read");
  };
  auto intake = std::make_shared<Intake>();
  intake->request = std::move(request);
  intake->done = std::move(done);
  const bool submitted = intake_.Submit(
      [this, intake] {
        intake->bytes =
            ReadDescriptor(intake->request.snapshot.get(),
                           options_.max_snapshot, kIntakeTime, &stopping_);
        intake->request.snapshot.Reset();
      },
      [this, intake] {
        --intakes_;
        if (!intake->bytes.ok()) {
          return intake->done(absl::Status(
              intake->bytes.status().code(),
              absl::StrCat("the snapshot cannot be read: ",
                           intake->bytes.status().message())));
        }
        SubmitRead(intake->request, *std::move(intake->bytes),
                   std::move(intake->done));
      });
  if (submitted) {
    ++intakes_;
  } else {
    intake->done(absl::ResourceExhaustedError("too much work; try again"));
  }
}

void RestoreService::SubmitRead(ImportRequest& request,
                                std::vector<uint8_t> bytes,
                                Done<ImportReport> done) {
  // What is no snapshot at all ends no expectation.
  const absl::StatusOr<SnapshotHeader> header = ReadSnapshotHeader(bytes);
  if (!header.ok()) return done(header.status());
  const ImportChoice choice = {.policy = request.policy,
                               .orphans = request.keep_orphans
                                              ? OrphanPolicy::kKeep
                                              : OrphanPolicy::kDrop};
  const RestoreOrder order = {
      .incarnation = 0,
      .source = RequestSource::kOrder,
      .snapshot = header->id,
      .snapshot_source =
          std::make_shared<MemorySource>(std::move(bytes), choice),
      .replace_generation = request.replace_generation};
  auto joined = std::make_shared<bool>(false);
  const std::string name = request.filter;
  const RestoreAnswer answer = Submit(
      name, order, [this, name, joined, done](const RestoreAnswer& end) {
        const Filter* filter = Find(name);
        done(ImportReport{
            .answer = end,
            .joined = *joined,
            .time = filter != nullptr && end.code == RestoreCode::kRestored
                        ? filter->last_time
                        : TransferTime{}});
      });
  *joined = answer.code == RestoreCode::kJoined;
  if (answer.code == RestoreCode::kStarted || *joined) return;
  done(ImportReport{.answer = answer, .joined = false, .time = {}});
}

// ---- Listings --------------------------------------------------------------

absl::StatusOr<std::vector<RestoreListing>> RestoreService::Restores(
    std::string_view name) {
  if (!name.empty() && Find(name) == nullptr) return NoFilter(name);
  std::vector<RestoreListing> list;
  for (const auto& [key, filter] : filters_) {
    if (!name.empty() && key != name) continue;
    list.push_back(
        {.filter = key,
         .status = filter->plane().status.Load(),
         .source = filter->options.source,
         .snapshot_required = filter->options.snapshot_required,
         .fail_closed = filter->plane().fail_policy == FailPolicy::kClosed,
         .last = filter->last,
         .time = filter->last_time});
  }
  return list;
}

void RestoreService::NoteStep(const TransferTime& time) {
  metrics_.longest_step = std::max(metrics_.longest_step, time.longest_step);
}

void RestoreService::AddHolds(const FilterPlane& plane,
                              TransferMetrics* metrics) const {
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

TransferMetrics RestoreService::Metrics() {
  TransferMetrics metrics = metrics_;
  metrics.queue = queue_.metrics();
  for (const auto& [name, filter] : filters_) {
    AddHolds(filter->plane(), &metrics);
    ++metrics.filters[static_cast<size_t>(
        filter->plane().status.Load().state)];
  }
  return metrics;
}

}  // namespace sluice
