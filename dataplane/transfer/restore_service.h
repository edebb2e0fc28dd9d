// The transfers of a process: the restore queue with those who work for it,
// exports, and what the control socket asks of both.
//
// A snapshot is validated on a thread and committed by orders to the workers;
// nothing here waits for either. What the queue says is law: this only carries
// it out, answers who waits, and keeps what came of it.
//
//   service.AddFilter({...});            // when a filter is made
//   service.Enable("vm1", true);         // with its first port
//   service.Poll();                      // from the control loop
//   service.Disable("vm1", done);        // with its last port
//   service.RemoveFilter("vm1", done);   // before it is freed
#ifndef SLUICE_DATAPLANE_TRANSFER_RESTORE_SERVICE_H_
#define SLUICE_DATAPLANE_TRANSFER_RESTORE_SERVICE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/base/builder.h"
#include "dataplane/control/api/transfer_control.h"
#include "dataplane/transfer/directory_watch.h"
#include "dataplane/forward/filter_plane.h"
#include "dataplane/base/thread_watch.h"
#include "dataplane/transfer/restore_task.h"
#include "dataplane/transfer/snapshot_export.h"
#include "dataplane/transfer/snapshot_sources.h"
#include "dataplane/transfer/transfer_plane.h"
#include "restore/restore_queue.h"

namespace sluice {

struct RestoreServiceOptions {
  TransferPlane plane;
  RestoreLimits limits;  // `validating` is also the number of threads
  size_t max_snapshot = size_t{256} << 20;  // bytes
  // Of deadlines. Null: the steady clock.
  std::function<RestoreTime()> clock = nullptr;
};

// A filter whose restores the service is to see to.
struct RestoreFilterOptions {
  TransferFilter filter;
  // A file, or a directory with or without NAME.snap in it. Empty: orders
  // bring the snapshot.
  std::string source{};
  // In place of `source`, from whoever makes the filter.
  std::shared_ptr<TransferSource> own_source = nullptr;
  // What is done with what the source has.
  ImportChoice choice{};
  // Without a snapshot the restore has failed, instead of being skipped.
  bool snapshot_required = false;
};

struct RestoreOrder {
  uint32_t incarnation = 0;  // 0: the present one
  RequestSource source = RequestSource::kOrder;
  SnapshotId snapshot = kNoSnapshotId;  // none: whatever the source has
  std::shared_ptr<TransferSource> snapshot_source = nullptr;  // its own
  std::optional<uint64_t> replace_generation = std::nullopt;
};

// Belongs to the control lcore.
class RestoreService final : public TransferControl {
 public:
  // Exports that may wait for their turn.
  static constexpr size_t kMaxWaitingExports = 16;

  explicit RestoreService(RestoreServiceOptions options);
  // Workers may still have orders; those hold what they need, and the filters
  // outlive them.
  ~RestoreService() override;
  RestoreService(const RestoreService&) = delete;
  RestoreService& operator=(const RestoreService&) = delete;

  // AlreadyExists. The filter's plane stays until RemoveFilter() is done. Of a
  // watched directory that cannot be watched: what is wrong with it.
  absl::Status AddFilter(RestoreFilterOptions options);
  // FailedPrecondition while it is enabled; NotFound. `done` is called in
  // Poll(), when no worker and no thread has anything of the filter.
  absl::Status RemoveFilter(std::string_view name, std::function<void()> done);

  // Begins an incarnation. With `expect` nothing is judged before its restore
  // has ended, and the restore is asked for at once if there is a source:
  // `once`, for this incarnation alone, or the filter's own.
  absl::StatusOr<FilterStatus> Enable(
      std::string_view name, bool expect,
      std::shared_ptr<TransferSource> once = nullptr);
  // Ends it. `done` is called now, or in Poll() if a commit has to end first.
  void Disable(std::string_view name,
               std::function<void(absl::StatusOr<FilterStatus>)> done);

  // As RestoreQueue::Submit(): kStarted and kJoined mean that `done` is called
  // in a later Poll(), everything else is the answer.
  RestoreAnswer Submit(std::string_view name, const RestoreOrder& order,
                       std::function<void(const RestoreAnswer&)> done);

  // Moves everything as far as it goes, and calls back.
  void Poll();
  // Whether Poll() is to be called every millisecond or so.
  bool busy() const;
  // Readable while Poll() has something to do.
  std::vector<int> event_fds() const;

  // What the last restore of the filter came to, if there was one.
  std::optional<RestoreAnswer> Last(std::string_view name) const;
  const RestoreMetrics& queue_metrics() const { return queue_.metrics(); }

  // For others than clients: to a sink, of the policy alone if `states` is
  // false, by a builder of their own (which outlives the service) or by that
  // of the service (null).
  absl::Status BeginExport(std::string_view name, bool states,
                           Builder* builder, SnapshotExport::Sink sink,
                           SnapshotExport::Finish done);

  void Export(std::string_view filter, UniqueFd out,
              Done<ExportReport> done) override;
  void Import(ImportRequest request, Done<ImportReport> done) override;
  absl::StatusOr<std::vector<RestoreListing>> Restores(
      std::string_view filter) override;
  TransferMetrics Metrics() override;

 private:
  // What the queue calls.
  class Desk;
  struct Filter;
  // A thread that validates, and whom it works for.
  struct Validator {
    Builder builder;
    BuilderWatch watch;
    std::shared_ptr<RestoreTask> task;
  };
  struct WaitingExport {
    std::string filter;
    UniqueFd out;
    Done<ExportReport> done;
  };

  RestoreTime Now() const;
  Filter* Find(std::string_view name) const;
  Filter* Find(RestoreFilterId port) const;
  bool IsUsed(const Filter& filter) const;

  // By the Desk.
  bool Start(const RestoreJob& job);
  ValidateResult PollTask(const RestoreJob& job);
  CommitResult StepCommit(const RestoreJob& job);
  void Abandon(const RestoreJob& job);
  void Answer(RestoreWaiter waiter, const RestoreAnswer& answer);
  void Ended(RestoreFilterId port, const RestoreAnswer& answer);
  void Disabled(RestoreFilterId port, const FilterStatus& status);

  // A snapshot of the filter is, or may be, in its directory.
  void LookIntoDirectory(Filter& filter, RequestSource source);
  void Appeared(const std::string& directory, const std::string& file);
  void SubmitRead(ImportRequest& request, std::vector<uint8_t> bytes,
                  Done<ImportReport> done);
  void StartExports();
  void NoteStep(const TransferTime& time);
  void AddHolds(const FilterPlane& plane, TransferMetrics* metrics) const;
  void RunCalls();

  const RestoreServiceOptions options_;
  std::unique_ptr<Desk> desk_;
  std::map<std::string, std::unique_ptr<Filter>, std::less<>> filters_;
  std::map<RestoreFilterId, Filter*> ports_;
  std::map<RestoreFilterId, std::shared_ptr<RestoreTask>> tasks_;
  // Those that the queue is done with and workers are not.
  std::vector<std::shared_ptr<RestoreTask>> leaving_;
  std::vector<std::shared_ptr<SnapshotExport>> exports_;
  std::deque<WaitingExport> waiting_exports_;
  bool exporting_ = false;  // for a client
  uint32_t intakes_ = 0;    // descriptors that are being read
  // Set at the end, for threads that wait for a client.
  std::atomic<bool> stopping_{false};
  RestoreWaiter next_waiter_ = 1;
  std::map<RestoreWaiter, std::function<void(const RestoreAnswer&)>> waiters_;
  // Callbacks that wait until the queue is not at work.
  std::vector<absl::AnyInvocable<void()>> calls_;
  TransferMetrics metrics_;  // what is counted here, and of removed filters
  DirectoryWatch watch_;
  RestoreQueue queue_;
  // Last, so that no thread works on what is gone.
  Builder intake_;
  Builder outlet_;
  std::vector<std::unique_ptr<Validator>> validators_;
  uint64_t last_look_ = 0;  // at them, milliseconds
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_TRANSFER_RESTORE_SERVICE_H_
