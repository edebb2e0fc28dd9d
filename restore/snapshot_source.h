// Where a snapshot comes from: a file descriptor that a client passed, a file,
// a directory in which `NAME.snap` appears.
#ifndef SLUICE_RESTORE_SNAPSHOT_SOURCE_H_
#define SLUICE_RESTORE_SNAPSHOT_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"

namespace sluice {

class SnapshotSource {
 public:
  virtual ~SnapshotSource() = default;

  // Every byte of the snapshot, at most `max_bytes`. Called by the builder
  // thread, once an attempt; may block.
  //
  // Errors: NotFound: there is no snapshot. Unavailable: there may be one
  // later, another attempt makes sense. ResourceExhausted: it is longer. All
  // others are final too.
  virtual absl::StatusOr<std::vector<uint8_t>> Read(size_t max_bytes) = 0;
};

}  // namespace sluice

#endif  // SLUICE_RESTORE_SNAPSHOT_SOURCE_H_
