// What a RestoreService is told: of the process, of filters, and by orders.
#ifndef SLUICE_DATAPLANE_TRANSFER_RESTORE_OPTIONS_H_
#define SLUICE_DATAPLANE_TRANSFER_RESTORE_OPTIONS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "dataplane/transfer/snapshot_sources.h"
#include "dataplane/transfer/transfer_limits.h"
#include "dataplane/transfer/transfer_plane.h"
#include "restore/restore_queue.h"

namespace sluice {

struct RestoreServiceOptions {
  TransferPlane plane;
  RestoreLimits limits;  // `validating` is also the number of threads
  uint64_t max_snapshot = uint64_t{256} << 20;  // bytes
  TransferLimits transfers;
  // Of deadlines. Null: the steady clock.
  std::function<RestoreTime()> clock = nullptr;
};

// A filter whose restores the service is to see to.
struct RestoreFilterOptions {
  TransferFilter filter;
  // A file, or a directory with or without NAME.snap in it. Empty: orders
  // bring the snapshot.
  std::string source{};
  // If it is a file: that it is not there is no error yet.
  bool source_may_be_absent = false;
  // In place of `source`, from whoever makes the filter.
  std::shared_ptr<TransferSource> own_source = nullptr;
  // What is done with what the source has.
  ImportChoice choice{};
  // How fast its source has to move; the service's own.
  TransferLimits pace{};
  // Without a snapshot the restore has failed, instead of being skipped.
  bool snapshot_required = false;
  // After so long its restore is given up; nothing: as in the limits.
  std::optional<RestoreTime> give_up = std::nullopt;
};

struct RestoreOrder {
  uint32_t incarnation = 0;  // 0: the present one
  RequestSource source = RequestSource::kOrder;
  SnapshotId snapshot = kNoSnapshotId;  // none: whatever the source has
  std::shared_ptr<TransferSource> snapshot_source = nullptr;  // its own
  std::optional<uint64_t> replace_generation = std::nullopt;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_TRANSFER_RESTORE_OPTIONS_H_
