// One attempt to restore a filter: its snapshot on the way from a source to
// the workers' shards, or back.
//
//   ids     the workers say which state ids are taken
//   build   on a thread: reads, checks and compiles the snapshot
//   reserve each worker takes a place for each of its states
//   tie     on the thread: children to parents
//   ready
//   commit  each worker makes them states; then, in one step on the control
//           lcore, the policy is published
//   finish  the sources, so many at each step
//   undo    instead of any of these: each worker gives back what it has
//   return  then the sources are given back, so many at each step
#ifndef SLUICE_DATAPLANE_TRANSFER_RESTORE_TASK_H_
#define SLUICE_DATAPLANE_TRANSFER_RESTORE_TASK_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "dataplane/base/builder.h"
#include "dataplane/control/api/transfer_control.h"
#include "dataplane/transfer/snapshot_sources.h"
#include "dataplane/transfer/transfer_orders.h"
#include "dataplane/transfer/transfer_plane.h"
#include "restore/import.h"
#include "restore/restore_job.h"

namespace sluice {

// Belongs to the control lcore; kept alive by its orders and jobs.
class RestoreTask : public std::enable_shared_from_this<RestoreTask> {
 public:
  // `plane` and `builder` outlive it, and the builder has nothing else to do.
  RestoreTask(const TransferPlane* plane, TransferFilter filter,
              Builder* builder, const RestoreJob& job,
              std::shared_ptr<TransferSource> source, size_t max_bytes);

  void Begin();
  ValidateResult Poll();
  CommitResult StepCommit();
  // From any phase: is_over() after a while.
  void Abandon();
  // To be called now and then of one that is on its way back, until is_over().
  void StepBack();

  // No worker and no thread has anything of it.
  bool is_over() const { return phase_ == Phase::kOver; }
  // Another attempt would not find the room that this one's families and sources
  // have.
  bool gives_back_room() const {
    return phase_ == Phase::kReturn ||
           (phase_ == Phase::kUndo && importer_->has_more());
  }
  // The builder is not needed any more.
  bool has_left_builder() const { return left_builder_; }
  const TransferFilter& filter() const { return filter_; }
  // So far.
  TransferTime time() const;
  // Grows as records are checked and states get their places, and when workers
  // answer.
  uint64_t progress() const;

 private:
  enum class Phase : uint8_t {
    kIds,
    kBuild,
    kReserve,
    kTie,
    kReady,
    kCommit,
    kFinish,
    kUndo,
    kReturn,
    kOver,
  };

  void IdKnown(uint64_t newest);
  // On the thread.
  absl::Status Build();
  absl::Status ReadAndPrepare();
  absl::Status Prepare(SharedBytes bytes);
  void Built(absl::Status status);
  void Reserved(size_t worker, ReserveResult result, const OrderTime& time);
  void AllReserved();
  void Tied(absl::Status status);
  void Committed(size_t worker, bool all, const OrderTime& time);
  void Undo();
  void UndoneAt(size_t worker, const OrderTime& time);
  void Over();

  void Submit(absl::Status (RestoreTask::*work)(),
              void (RestoreTask::*finish)(absl::Status));
  absl::Status Tie() { return importer_->Tie(); }
  // The result of the validation, and the way back.
  void Refuse(ValidateOutcome outcome, std::string detail);
  void RaiseLimits();
  void RaiseSourceLimit();
  CommitResult Moving() const;
  CommitResult Publish();
  CommitResult StepFinish();
  ImportOrderParts PartsOf(size_t worker);
  StateAdoption* AdoptionOf(size_t worker) {
    return adoptions_.empty() ? nullptr : &adoptions_[worker];
  }

  const TransferPlane* const plane_;
  const TransferFilter filter_;
  Builder* const builder_;
  const RestoreJob job_;
  const std::shared_ptr<TransferSource> source_;
  const size_t max_bytes_;

  Phase phase_ = Phase::kIds;
  std::atomic<bool> stop_{false};
  // Records, or thousands of states, that the thread has done with.
  std::atomic<uint64_t> checked_{0};
  std::vector<std::atomic<uint64_t>> steps_;  // by worker, its own
  uint64_t answers_ = 0;                      // of workers and of the thread
  bool left_builder_ = false;
  uint32_t waiting_ = 0;    // orders that are not done
  uint64_t newest_id_ = 0;  // of all workers
  std::unique_ptr<StateImporter> importer_;
  SnapshotId snapshot_ = kNoSnapshotId;
  bool reserved_ = false;  // workers may have something of it
  ReserveResult refusal_ = ReserveResult::kReady;
  bool all_committed_ = true;
  ValidateResult result_;
  std::optional<uint32_t> limit_before_;  // of the filter's states, if raised
  std::optional<uint32_t> source_limit_before_;  // of its sources
  uint32_t raised_source_limit_ = 0;
  uint32_t raised_limit_ = 0;
  std::vector<OrderTime> times_;  // by worker
  // By worker, of what the filter's emergency ruleset has let through; empty if
  // that does not hold.
  std::vector<StateAdoption> adoptions_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_TRANSFER_RESTORE_TASK_H_
