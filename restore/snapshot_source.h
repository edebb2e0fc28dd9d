// Where a snapshot comes from: a file descriptor that a client passed, a file,
// a directory in which `NAME.snap` appears.
#ifndef SLUICE_RESTORE_SNAPSHOT_SOURCE_H_
#define SLUICE_RESTORE_SNAPSHOT_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace sluice {

struct SnapshotReading {
  size_t max_bytes = 0;
  // Asked by the thread that reads, with the bytes read so far, at each piece
  // and every few milliseconds of a wait: who waits for it sees that it goes
  // on. An error ends the reading with it. Null: nobody minds.
  std::function<absl::Status(uint64_t bytes)> guard = nullptr;
};

using SharedBytes = std::shared_ptr<const std::vector<uint8_t>>;

class SnapshotSource {
 public:
  virtual ~SnapshotSource() = default;

  // Every byte of the snapshot. Called by the builder thread, once an attempt;
  // may block.
  //
  // Errors: NotFound: there is no snapshot. Unavailable: there may be one
  // later, another attempt makes sense. ResourceExhausted: it is longer than
  // is allowed. Those of the guard. All others are final too.
  virtual absl::StatusOr<SharedBytes> Read(const SnapshotReading& reading) = 0;
};

}  // namespace sluice

#endif  // SLUICE_RESTORE_SNAPSHOT_SOURCE_H_
