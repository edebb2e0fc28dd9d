// One export: a filter's states as its workers record them, slice by slice
// while packets flow, and its policy, made into a snapshot on a thread.
#ifndef SLUICE_DATAPLANE_TRANSFER_SNAPSHOT_EXPORT_H_
#define SLUICE_DATAPLANE_TRANSFER_SNAPSHOT_EXPORT_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/base/builder.h"
#include "dataplane/control/api/transfer_control.h"
#include "dataplane/transfer/transfer_lanes.h"
#include "dataplane/transfer/transfer_orders.h"
#include "dataplane/transfer/transfer_plane.h"
#include "restore/export.h"
#include "restore/snapshot.h"
#include "restore/snapshot_writer.h"

namespace sluice {

// What of a filter goes into a snapshot.
enum class ExportContent : uint8_t {
  kPolicy,
  kForOthers,  // the states, too, but for those that are `no-sync`
  kAll,        // those as well: for this machine itself
};

// Where an export goes, on the builder's thread: pieces, then their end.
class ExportSink : public SnapshotSink {
 public:
  // All has been written.
  virtual absl::Status End() { return absl::OkStatus(); }
};

struct ExportOrder {
  ExportContent content = ExportContent::kForOthers;
  std::shared_ptr<ExportSink> sink;
  // The memory that it may take. Null: as much as it needs.
  std::shared_ptr<MemoryLease> lease = nullptr;
};

// Belongs to the control lcore; kept alive by its orders and jobs.
class SnapshotExport : public std::enable_shared_from_this<SnapshotExport> {
 public:
  using Finish = std::function<void(absl::StatusOr<ExportReport>)>;

  // `plane` and `builder` outlive it; `done` is called once, on the control
  // lcore, unless the builder goes first.
  static std::shared_ptr<SnapshotExport> Begin(const TransferPlane* plane,
                                               TransferFilter filter,
                                               Builder* builder,
                                               ExportOrder order, Finish done);

  // It is to end soon, with Cancelled.
  void Cancel() { cancelled_ = true; }
  // Its thread will not come back from the sink: it ends now. What the thread
  // still has is its own.
  void Lose(const absl::Status& why);
  // States recorded so far; the thread's count.
  uint64_t recorded() const {
    return recorded_.load(std::memory_order_relaxed);
  }
  // `done` was called.
  bool is_over() const { return done_ == nullptr; }
  const TransferFilter& filter() const { return filter_; }

 private:
  SnapshotExport(const TransferPlane* plane, TransferFilter filter,
                 Builder* builder, ExportOrder order, Finish done);

  void Record(size_t worker, std::vector<StateRecord> storage);
  void Recorded(size_t worker, RecordOrder::Chunk chunk);
  void ChunkAdded(size_t worker, std::vector<StateRecord> storage);
  void ChunkDone();
  void FinishRecording();
  // A slice of the sources, which the control lcore alone may look at.
  void RecordSources();
  void EncodeAll();
  // On the thread.
  void AddRecords(const std::vector<StateRecord>& records);
  void AddSources(const std::vector<SourceRecord>& records);
  absl::Status Encode();
  void AddExpectations();
  void End(absl::Status status);

  const TransferPlane* const plane_;
  TransferFilter filter_;
  Builder* const builder_;
  const ExportOrder order_;
  Finish done_;
  const uint64_t begun_;  // microseconds

  std::vector<std::shared_ptr<RecordCursor>> cursors_;  // by worker
  std::vector<OrderTime> times_;                        // by worker
  uint32_t outstanding_ = 0;  // chunks with a worker or the thread
  bool failed_ = false;       // no room in the builder
  uint32_t source_cursor_ = 0;
  std::atomic<bool> cancelled_{false};
  std::atomic<uint64_t> recorded_{0};
  // The thread's, one job after the other.
  StateExporter exporter_;
  absl::Status memory_;  // whether there was enough
  ExportReport report_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_TRANSFER_SNAPSHOT_EXPORT_H_
