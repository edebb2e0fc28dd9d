// Exports: one at a time for clients, and those of whoever has a builder of
// their own.
#ifndef SLUICE_DATAPLANE_TRANSFER_EXPORT_DESK_H_
#define SLUICE_DATAPLANE_TRANSFER_EXPORT_DESK_H_

#include <atomic>
#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "dataplane/base/builder.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/control/api/transfer_control.h"
#include "dataplane/transfer/known_filter.h"
#include "dataplane/transfer/snapshot_export.h"

namespace sluice {

// Control lcore.
class ExportDesk {
 public:
  using Done = TransferControl::Done<ExportReport>;
  // Of clients, that may wait for their turn.
  static constexpr size_t kMaxWaiting = 16;

  // Nothing is owned.
  ExportDesk(const TransferPlane* plane, const KnownFilters* filters,
             TransferLedger* ledger);
  ~ExportDesk();
  ExportDesk(const ExportDesk&) = delete;
  ExportDesk& operator=(const ExportDesk&) = delete;

  // Writes the filter's snapshot to a client's descriptor.
  void Export(std::string_view filter, UniqueFd out, Done done);
  // To a sink, by a builder (null: the desk's own).
  absl::Status Begin(std::string_view filter, bool states, Builder* builder,
                     SnapshotExport::Sink sink, SnapshotExport::Finish done);

  // Ends what has been done, begins what waits.
  void Poll();
  bool is_busy() const { return !exports_.empty() || !waiting_.empty(); }
  // Ends those of a filter, soon.
  void Cancel(const FilterPlane& plane);
  bool Uses(const FilterPlane& plane) const;

 private:
  struct Waiting {
    std::string filter;
    UniqueFd out;
    Done done;
  };

  void StartNext();

  const TransferPlane& plane_;
  const KnownFilters& filters_;
  TransferLedger& ledger_;
  std::vector<std::shared_ptr<SnapshotExport>> exports_;
  std::deque<Waiting> waiting_;
  bool exporting_ = false;  // for a client
  // Set at the end, for a thread that waits for a client.
  std::atomic<bool> stopping_{false};
  // Last, so that its thread works on nothing that is gone.
  Builder outlet_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_TRANSFER_EXPORT_DESK_H_
