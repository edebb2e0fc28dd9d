// The transfers of a process, by the names of filters: restores (RestoreDesk),
// exports (ExportDesk), the directories in which snapshots appear
// (FolderWatch), and what the control socket asks of them.
//
// A snapshot is validated on a thread and committed by orders to the workers;
// nothing here waits for either.
//
//   service.AddFilter({...});            // when a filter is made
//   service.Enable("vm1", true);         // with its first port
//   service.Poll();                      // from the control loop
//   service.Disable("vm1", done);        // with its last port
//   service.RemoveFilter("vm1", done);   // before it is freed
#ifndef SLUICE_DATAPLANE_TRANSFER_RESTORE_SERVICE_H_
#define SLUICE_DATAPLANE_TRANSFER_RESTORE_SERVICE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/base/builder.h"
#include "dataplane/control/api/transfer_control.h"
#include "dataplane/transfer/export_desk.h"
#include "dataplane/transfer/folder_watch.h"
#include "dataplane/transfer/known_filter.h"
#include "dataplane/transfer/restore_desk.h"
#include "dataplane/transfer/restore_options.h"
#include "dataplane/transfer/transfer_lanes.h"

namespace sluice {

// Belongs to the control lcore.
class RestoreService final : public TransferControl {
 public:
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
  // What its plane has been told already; nothing for a filter that is unknown.
  void SetFailPolicy(std::string_view name, FailPolicy policy);

  // The filter is to be enabled from now on. If it is not, an incarnation
  // begins: now, or when the commit has ended that its disabling waits for.
  // With `expect` nothing is judged in it before its restore has ended, and
  // the restore is asked for at once if there is a source: `once`, for this
  // incarnation alone, or the filter's own. Returns what it is now. NotFound.
  absl::StatusOr<FilterStatus> Enable(
      std::string_view name, bool expect,
      std::shared_ptr<TransferSource> once = nullptr);
  // It is to be disabled. `done` is called when its incarnation has ended:
  // now, or in Poll() if a commit has to end first.
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

  // What the last restore of the filter came to, if there was one.
  std::optional<RestoreAnswer> Last(std::string_view name) const;
  const RestoreMetrics& queue_metrics() const { return restores_.metrics(); }

  // For others than clients, by a builder of their own, which outlives the
  // service. NotFound. What it returns shows how far it is.
  absl::StatusOr<std::shared_ptr<const SnapshotExport>> BeginExport(
      std::string_view name, Builder* builder, ExportOrder order,
      SnapshotExport::Finish done) {
    return exports_.Begin(name, builder, std::move(order), std::move(done));
  }
  // Counted by who keeps the state directory.
  KeepMetrics& keep_metrics() { return ledger_.metrics.keep; }

  void Export(std::string_view filter, UniqueFd out,
              const TransferClient& client, Done<ExportReport> done) override;
  void Import(ImportRequest request, Done<ImportReport> done) override;
  absl::StatusOr<std::vector<RestoreListing>> Restores(
      std::string_view filter) override;
  RestoreLimits Limits() const override { return options_.limits; }
  const TransferLimits& transfer_limits() const { return options_.transfers; }
  TransferMetrics Metrics() override;

 private:
  KnownFilter* Find(std::string_view name) const {
    return FindKnown(filters_, name);
  }
  void SubmitRead(ImportRequest& request, std::vector<uint8_t> bytes,
                  std::shared_ptr<const void> lease, Done<ImportReport> done);
  // Lets go of filters that are to go and that nobody works on any more.
  void DropRemoved();
  void RunCalls();

  const RestoreServiceOptions options_;
  KnownFilters filters_;
  TransferLedger ledger_;
  FolderWatch folders_;
  RestoreDesk restores_;
  ExportDesk exports_;
  // Last, so that its threads work on nothing that is gone.
  TransferLanes lanes_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_TRANSFER_RESTORE_SERVICE_H_
