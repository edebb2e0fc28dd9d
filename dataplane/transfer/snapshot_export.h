// One export: a filter's states as its workers record them, slice by slice
// while packets flow, and its policy, made into a snapshot on a thread.
#ifndef SLUICE_DATAPLANE_TRANSFER_SNAPSHOT_EXPORT_H_
#define SLUICE_DATAPLANE_TRANSFER_SNAPSHOT_EXPORT_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/base/builder.h"
#include "dataplane/control/api/transfer_control.h"
#include "dataplane/transfer/transfer_orders.h"
#include "dataplane/transfer/transfer_plane.h"
#include "restore/export.h"
#include "restore/snapshot.h"

namespace sluice {

// Belongs to the control lcore; kept alive by its orders and jobs.
class SnapshotExport : public std::enable_shared_from_this<SnapshotExport> {
 public:
  // On the builder's thread, once: puts the bytes where they belong.
  using Sink = std::function<absl::Status(std::span<const uint8_t>)>;
  using Finish = std::function<void(absl::StatusOr<ExportReport>)>;

  // `plane` and `builder` outlive it; `done` is called once, on the control
  // lcore, unless the builder goes first. `states` false: of the policy alone.
  static std::shared_ptr<SnapshotExport> Begin(const TransferPlane* plane,
                                               TransferFilter filter,
                                               Builder* builder, bool states,
                                               Sink sink, Finish done);

  // It is to end soon, with Cancelled.
  void Cancel() { cancelled_ = true; }
  // `done` was called.
  bool is_over() const { return done_ == nullptr; }
  const TransferFilter& filter() const { return filter_; }

 private:
  SnapshotExport(const TransferPlane* plane, TransferFilter filter,
                 Builder* builder, Sink sink, Finish done);

  void Record(size_t worker, std::vector<StateRecord> storage);
  void Recorded(size_t worker, RecordOrder::Chunk chunk);
  void ChunkAdded(size_t worker, std::vector<StateRecord> storage);
  void ChunkDone();
  void FinishRecording();
  // On the thread.
  absl::Status Encode();
  void AddExpectations();
  void End(absl::Status status);

  const TransferPlane* const plane_;
  const TransferFilter filter_;
  Builder* const builder_;
  const Sink sink_;
  Finish done_;
  const uint64_t begun_;  // microseconds

  std::vector<std::shared_ptr<RecordCursor>> cursors_;  // by worker
  std::vector<OrderTime> times_;                        // by worker
  uint32_t outstanding_ = 0;  // chunks with a worker or the thread
  bool failed_ = false;       // no room in the builder
  std::atomic<bool> cancelled_{false};
  // The thread's, one job after the other.
  StateExporter exporter_;
  ExportReport report_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_TRANSFER_SNAPSHOT_EXPORT_H_
