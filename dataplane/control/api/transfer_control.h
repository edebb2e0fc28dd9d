// What the control socket asks of the transfer of states: exports, imports,
// and how the restores of filters stand. A test has a fake of it.
//
// Everything is called on the control lcore and returns within a few
// milliseconds; `done` is called once, there, maybe before the call returns.
#ifndef SLUICE_DATAPLANE_CONTROL_API_TRANSFER_CONTROL_H_
#define SLUICE_DATAPLANE_CONTROL_API_TRANSFER_CONTROL_H_

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/base/unique_fd.h"
#include "restore/filter_status.h"
#include "restore/restore_job.h"
#include "restore/restore_metrics.h"
#include "restore/restore_queue.h"

namespace sluice {

// What a transfer cost the workers, in nanoseconds.
struct TransferTime {
  uint64_t longest_step = 0;  // so long one worker looked at no packet
  uint64_t busiest = 0;       // all steps of the worker that had most of it

  friend bool operator==(const TransferTime&, const TransferTime&) = default;
};

// Who asks for a transfer, and for how long.
struct TransferClient {
  uint32_t uid = 0;
  // Expires when the client is gone: then nobody wants what is read from its
  // descriptor or written to it. None at all: somebody who does not go.
  std::optional<std::weak_ptr<const void>> connection = std::nullopt;

  bool is_gone() const {
    return connection.has_value() && connection->expired();
  }
};

struct ExportReport {
  SnapshotId id = kNoSnapshotId;
  uint64_t bytes = 0;
  uint64_t generation = 0;
  uint64_t states = 0;
  uint64_t expectations = 0;
  // What is not in it: `no-sync`, what no reader would take, and ties to
  // parents that are not there.
  uint64_t no_sync = 0;
  uint64_t not_portable = 0;
  uint64_t ties_cut = 0;
  uint64_t duration = 0;  // microseconds
  TransferTime time;
};

struct ImportRequest {
  std::string filter;
  UniqueFd snapshot;  // a file, or a pipe that ends
  TransferClient client;
  // Of the policy that is in force: replace what was restored before.
  std::optional<uint64_t> replace_generation;
  bool keep_orphans = true;
  bool policy = false;
  // Whose snapshot it is; empty: the filter's own.
  std::string from_filter{};
};

struct ImportReport {
  RestoreAnswer answer;
  bool joined = false;  // somebody else's restore of the same snapshot
  TransferTime time;
};

// How a filter's restore stands.
struct RestoreListing {
  std::string filter;
  FilterStatus status;
  std::string source;  // empty: orders bring it
  bool in_folder = false;  // `source` is a folder in which it appears
  bool snapshot_required = false;
  bool fail_closed = true;
  RestoreWait wait;
  std::optional<RestoreAnswer> last;  // of any incarnation
  TransferTime time;                  // of that
  int64_t ended = 0;                  // that, in Unix time
};

// Of the state directory: files that were written, and attempts that failed.
struct KeepMetrics {
  uint64_t policies_saved = 0;
  uint64_t policies_failed = 0;
  uint64_t states_saved = 0;
  uint64_t states_failed = 0;
  uint64_t manifests_saved = 0;
  uint64_t manifests_failed = 0;

  friend bool operator==(const KeepMetrics&, const KeepMetrics&) = default;
};

struct TransferMetrics {
  RestoreMetrics queue;
  uint64_t exports = 0;  // that ended well
  uint64_t exports_failed = 0;
  uint64_t exported_states = 0;
  uint64_t longest_step = 0;  // nanoseconds, of all transfers
  // Of clients: under way now, and by what they were ended or not begun.
  uint64_t under_way = 0;
  uint64_t transfer_bytes = 0;  // of memory, now
  uint64_t over_limits = 0;     // of their number, or of memory
  uint64_t too_slow = 0;        // the minimal rate, or the total time
  uint64_t abandoned = 0;       // the client or the filter went away
  KeepMetrics keep;
  // Of the hold queues of all filters.
  uint64_t held = 0;
  uint64_t waiting = 0;
  uint64_t replayed = 0;
  uint64_t bypassed = 0;
  uint64_t dropped_expired = 0;
  uint64_t dropped_failed = 0;
  uint64_t dropped_cancelled = 0;
  uint64_t refused = 0;
  uint64_t longest_hold = 0;  // milliseconds
  // Filters by the state of their restore.
  std::array<uint64_t, kRestoreStateCount> filters{};
};

class TransferControl {
 public:
  template <typename T>
  using Done = std::function<void(absl::StatusOr<T>)>;

  virtual ~TransferControl() = default;

  // Writes the filter's snapshot to `out`. NotFound; ResourceExhausted: one of
  // the limits of transfers, which the message names; else what went wrong
  // with the descriptor, and then what it has got is no whole snapshot.
  virtual void Export(std::string_view filter, UniqueFd out,
                      const TransferClient& client,
                      Done<ExportReport> done) = 0;
  // The deadlines of all restores.
  virtual RestoreLimits Limits() const = 0;
  // Through the restore queue. An error is one of the descriptor, of its first
  // bytes or of the limits of transfers, and then no restore was asked for.
  virtual void Import(ImportRequest request, Done<ImportReport> done) = 0;
  // Ascending by name. NotFound if `filter` is not empty and not there.
  virtual absl::StatusOr<std::vector<RestoreListing>> Restores(
      std::string_view filter) = 0;
  virtual TransferMetrics Metrics() = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONTROL_API_TRANSFER_CONTROL_H_
