// Exports: those of clients, each in a lane of its own, and those of whoever
// has a builder of their own.
#ifndef SLUICE_DATAPLANE_TRANSFER_EXPORT_DESK_H_
#define SLUICE_DATAPLANE_TRANSFER_EXPORT_DESK_H_

#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/base/builder.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/control/api/transfer_control.h"
#include "dataplane/transfer/known_filter.h"
#include "dataplane/transfer/snapshot_export.h"
#include "dataplane/transfer/transfer_lanes.h"

namespace sluice {

// Control lcore.
class ExportDesk {
 public:
  using Done = TransferControl::Done<ExportReport>;

  // Nothing is owned.
  ExportDesk(const TransferPlane* plane, const KnownFilters* filters,
             TransferLanes* lanes, TransferLedger* ledger);
  ExportDesk(const ExportDesk&) = delete;
  ExportDesk& operator=(const ExportDesk&) = delete;

  // Writes the filter's snapshot to a client's descriptor.
  void Export(std::string_view filter, UniqueFd out,
              const TransferClient& client, Done done);
  // By a builder that has nothing else to do. NotFound.
  absl::StatusOr<std::shared_ptr<const SnapshotExport>> Begin(
      std::string_view filter, Builder* builder, ExportOrder order,
      SnapshotExport::Finish done);

  bool is_busy() const { return !exports_.empty(); }
  // Ends those of a filter, soon.
  void Cancel(const FilterPlane& plane);
  bool Uses(const FilterPlane& plane) const;

 private:
  std::shared_ptr<SnapshotExport> BeginOne(const KnownFilter& filter,
                                           Builder* builder,
                                           ExportOrder order,
                                           SnapshotExport::Finish done);

  const TransferPlane& plane_;
  const KnownFilters& filters_;
  TransferLanes& lanes_;
  TransferLedger& ledger_;
  std::vector<std::shared_ptr<SnapshotExport>> exports_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_TRANSFER_EXPORT_DESK_H_
