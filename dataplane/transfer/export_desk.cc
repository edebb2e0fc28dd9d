#include "dataplane/transfer/export_desk.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/descriptor_io.h"

namespace sluice {
namespace {

// A client's descriptor, at the end of a lane.
class DescriptorSink final : public ExportSink {
 public:
  DescriptorSink(UniqueFd out, std::shared_ptr<LaneIo> io)
      : out_(std::move(out)), io_(std::move(io)) {}

  absl::Status Write(std::span<const uint8_t> bytes) override {
    io_->Enter();
    absl::Status status = WriteDescriptor(
        out_.get(), bytes, [this](uint64_t moved) { return io_->Guard(moved); },
        &moved_);
    io_->Leave();
    if (status.ok()) return status;
    out_.Reset();
    return absl::Status(
        status.code(),
        absl::StrCat(status.message(), ", after ", moved_,
                     " bytes; what was written is no whole snapshot and every "
                     "import refuses it"));
  }
  absl::Status End() override {
    out_.Reset();
    return absl::OkStatus();
  }

 private:
  UniqueFd out_;
  const std::shared_ptr<LaneIo> io_;
  uint64_t moved_ = 0;
};

}  // namespace

ExportDesk::ExportDesk(const TransferPlane* plane, const KnownFilters* filters,
                       TransferLanes* lanes, TransferLedger* ledger)
    : plane_(*plane), filters_(*filters), lanes_(*lanes), ledger_(*ledger) {}

void ExportDesk::Export(std::string_view name, UniqueFd out,
                        const TransferClient& client, Done done) {
  const KnownFilter* filter = FindKnown(filters_, name);
  if (filter == nullptr || filter->removed) return done(NoKnownFilter(name));
  // Known once it has begun.
  auto begun = std::make_shared<std::weak_ptr<SnapshotExport>>();
  const absl::StatusOr<TransferLanes::Lane*> lane = lanes_.Take(
      client, filter->plane(), name,
      [begun] {
        if (const auto self = begun->lock()) self->Cancel();
      },
      [begun](const absl::Status& why) {
        if (const auto self = begun->lock()) self->Lose(why);
      });
  if (!lane.ok()) return done(lane.status());
  const std::shared_ptr<LaneIo> io = (*lane)->io();
  *begun = BeginOne(
      *filter, &(*lane)->builder(),
      {.content = ExportContent::kForOthers,
       .sink = std::make_shared<DescriptorSink>(std::move(out), io),
       .lease = io->lease()},
      [this, lane = *lane, io,
       done = std::move(done)](absl::StatusOr<ExportReport> report) {
        // What it was stopped for says more than that it was.
        if (absl::Status why = io->why(); !report.ok() && !why.ok() &&
                                          absl::IsCancelled(report.status())) {
          report = why;
        }
        if (lane->io() == io) lanes_.Release(lane);
        done(std::move(report));
      });
}

absl::StatusOr<std::shared_ptr<const SnapshotExport>> ExportDesk::Begin(
    std::string_view name, Builder* builder, ExportOrder order,
    SnapshotExport::Finish done) {
  const KnownFilter* filter = FindKnown(filters_, name);
  if (filter == nullptr || filter->removed) return NoKnownFilter(name);
  return BeginOne(*filter, builder, std::move(order), std::move(done));
}

std::shared_ptr<SnapshotExport> ExportDesk::BeginOne(
    const KnownFilter& filter, Builder* builder, ExportOrder order,
    SnapshotExport::Finish done) {
  const bool states = order.content != ExportContent::kPolicy;
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
  std::shared_ptr<SnapshotExport> made =
      SnapshotExport::Begin(&plane_, filter.options.filter, builder,
                            std::move(order), std::move(finish));
  *self = made;
  if (!made->is_over()) exports_.push_back(made);
  return made;
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
