// Reads snapshots from anybody. Whatever the bytes are, the answer is a sound
// snapshot or an error that says where and why; nothing is allocated that the
// length of the input does not pay for (at most eight times as much in all),
// and no live object is touched.
#ifndef SLUICE_RESTORE_SNAPSHOT_READER_H_
#define SLUICE_RESTORE_SNAPSHOT_READER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "restore/snapshot.h"

namespace sluice {

// What the receiving filter takes.
struct SnapshotLimits {
  uint64_t bytes = UINT64_MAX;
  uint32_t states = UINT32_MAX;
  uint32_t tables = UINT32_MAX;
  uint32_t table_entries = UINT32_MAX;  // of all tables
  uint32_t rulesets = UINT32_MAX;
  uint32_t rules = UINT32_MAX;  // of all rulesets
  uint32_t expectations = UINT32_MAX;
  uint32_t source_nodes = UINT32_MAX;
  uint32_t children_of_parent = 4;
  // Asked every few thousand records; false stops the work (Cancelled).
  std::function<bool()> go_on = nullptr;
};

// What a newer minor version had and this one does not know.
struct SnapshotSkips {
  uint32_t sections = 0;
  uint32_t records = 0;
  uint32_t attributes = 0;

  friend bool operator==(const SnapshotSkips&, const SnapshotSkips&) = default;
};

struct ReadResult {
  Snapshot snapshot;
  SnapshotSkips skips;
  uint16_t minor = 0;  // of the format it was written in
  // States of a kind stand in several sections: as one they would be equal.
  bool divided = false;
};

// The header alone, of the first 96 bytes or more: for messages, and to know a
// snapshot's id before it is read. Its checksum is verified.
absl::StatusOr<SnapshotHeader> ReadSnapshotHeader(
    std::span<const uint8_t> bytes);

// Whether the bytes are as long as their header says and end with their
// digest: not torn, not damaged. Less than ReadSnapshot(), and cheap.
absl::Status CheckWhole(std::span<const uint8_t> bytes);

// Errors: InvalidArgument: not a snapshot, damaged, truncated, not allowed;
// with the offset. ResourceExhausted: more than the limits allow, or no
// memory.
// Unimplemented: another major version, or something critical that is not
// known. Cancelled: `go_on` said no.
absl::StatusOr<ReadResult> ReadSnapshot(std::span<const uint8_t> bytes,
                                        const SnapshotLimits& limits = {});

}  // namespace sluice

#endif  // SLUICE_RESTORE_SNAPSHOT_READER_H_
