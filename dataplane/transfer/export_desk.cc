#include "dataplane/transfer/export_desk.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/file_io.h"
#include "dataplane/base/text.h"

namespace sluice {
namespace {

// A reader of a pipe may take nothing for this long.
constexpr std::chrono::milliseconds kOutletPatience{10'000};

}  // namespace

ExportDesk::ExportDesk(const TransferPlane* plane, const KnownFilters* filters,
                       TransferLedger* ledger)
    : plane_(*plane), filters_(*filters), ledger_(*ledger) {}

ExportDesk::~ExportDesk() { stopping_ = true; }

void ExportDesk::Export(std::string_view filter, UniqueFd out, Done done) {
  const KnownFilter* found = FindKnown(filters_, filter);
  if (found == nullptr || found->removed) {
    return done(NoKnownFilter(filter));
  }
  if (waiting_.size() >= kMaxWaiting) {
    return done(absl::ResourceExhaustedError(
        "too many exports are waiting; try again"));
  }
  waiting_.push_back({std::string(filter), std::move(out), std::move(done)});
  StartNext();
}

void ExportDesk::StartNext() {
  while (!exporting_ && !waiting_.empty()) {
    Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    auto out = std::make_shared<UniqueFd>(std::move(next.out));
    auto sink = [this, out](std::span<const uint8_t> bytes) {
      absl::Status status =
          WriteDescriptor(out->get(), bytes, kOutletPatience, &stopping_);
      out->Reset();
      return status;
    };
    auto finish = [this,
                   done = next.done](absl::StatusOr<ExportReport> report) {
      exporting_ = false;
      done(std::move(report));
    };
    exporting_ = true;
    const absl::Status status =
        Begin(next.filter, true, &outlet_, sink, finish);
    if (status.ok()) continue;
    exporting_ = false;
    next.done(status);
  }
}

absl::Status ExportDesk::Begin(std::string_view name, bool states,
                               Builder* builder, SnapshotExport::Sink sink,
                               SnapshotExport::Finish done) {
  const KnownFilter* filter = FindKnown(filters_, name);
  if (filter == nullptr || filter->removed) return NoKnownFilter(name);
  // Known before it can end.
  auto self = std::make_shared<std::weak_ptr<SnapshotExport>>();
  auto finish = [this, states, self, done = std::move(done)](
                    absl::StatusOr<ExportReport> report) {
    const std::shared_ptr<SnapshotExport> ended = self->lock();
    std::erase(exports_, ended);
    TransferMetrics& metrics = ledger_.metrics;
    if (!report.ok()) {
      ++metrics.exports_failed;
    } else if (states) {
      ++metrics.exports;
      metrics.exported_states += report->states;
      ledger_.NoteStep(report->time);
    }
    // It may ask for the next one.
    ledger_.calls.push_back(
        [done, report = std::move(report)] { done(report); });
  };
  std::shared_ptr<SnapshotExport> made = SnapshotExport::Begin(
      &plane_, filter->options.filter,
      builder != nullptr ? builder : &outlet_, states, std::move(sink),
      std::move(finish));
  *self = made;
  if (!made->is_over()) exports_.push_back(std::move(made));
  return absl::OkStatus();
}

void ExportDesk::Poll() {
  outlet_.Finish();
  StartNext();
}

void ExportDesk::Cancel(const FilterPlane& plane) {
  for (const auto& under_way : exports_) {
    if (under_way->filter().plane == &plane) under_way->Cancel();
  }
}

bool ExportDesk::Uses(const FilterPlane& plane) const {
  return std::ranges::any_of(exports_, [&plane](const auto& under_way) {
    return under_way->filter().plane == &plane;
  });
}

}  // namespace sluice
