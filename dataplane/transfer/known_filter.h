// What a RestoreService keeps of a filter, and what its desks write into.
#ifndef SLUICE_DATAPLANE_TRANSFER_KNOWN_FILTER_H_
#define SLUICE_DATAPLANE_TRANSFER_KNOWN_FILTER_H_

#include <algorithm>
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
#include "absl/strings/str_cat.h"
#include "dataplane/base/text.h"
#include "dataplane/control/api/transfer_control.h"
#include "dataplane/forward/filter_plane.h"
#include "dataplane/transfer/restore_options.h"

namespace sluice {

struct KnownFilter {
  RestoreFilterOptions options;
  RestoreFilterId id = 0;  // in the restore queue
  // Not empty: the directory in which its snapshot appears.
  std::string directory;
  std::optional<RestoreAnswer> last;
  TransferTime last_time;
  int64_t last_ended = 0;  // Unix time
  SnapshotId applied = kNoSnapshotId;  // the last one, in any incarnation
  SnapshotId tried = kNoSnapshotId;    // the last one from its directory
  std::string retried;                 // why, the last time
  // Who waits for the end of an incarnation, and what the one after it is to
  // be restored from; without it from where the filter always is.
  std::vector<std::function<void(absl::StatusOr<FilterStatus>)>> disabling;
  std::shared_ptr<TransferSource> once;
  // Set when it is to go.
  std::function<void()> removed;

  const std::string& name() const { return options.filter.name; }
  FilterPlane& plane() const { return *options.filter.plane; }
  std::string snapshot_file() const { return name() + ".snap"; }
};

using KnownFilters =
    std::map<std::string, std::unique_ptr<KnownFilter>, std::less<>>;

inline KnownFilter* FindKnown(const KnownFilters& filters,
                              std::string_view name) {
  const auto found = filters.find(name);
  return found == filters.end() ? nullptr : found->second.get();
}

inline absl::Status NoKnownFilter(std::string_view name) {
  return absl::NotFoundError(
      absl::StrCat("there is no filter ", View(name)));
}

struct TransferLedger {
  // What the desks have counted, and of filters that are gone.
  TransferMetrics metrics;
  // Callbacks that wait until none of the desks is at work.
  std::vector<absl::AnyInvocable<void()>> calls;

  void NoteStep(const TransferTime& time) {
    metrics.longest_step = std::max(metrics.longest_step, time.longest_step);
  }
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_TRANSFER_KNOWN_FILTER_H_
