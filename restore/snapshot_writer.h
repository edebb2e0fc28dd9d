// Writes snapshots. The bytes depend on the values alone: equal snapshots are
// equal byte for byte.
#ifndef SLUICE_RESTORE_SNAPSHOT_WRITER_H_
#define SLUICE_RESTORE_SNAPSHOT_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "restore/snapshot.h"
#include "restore/snapshot_bytes.h"
#include "restore/snapshot_format.h"
#include "restore/snapshot_states.h"

namespace sluice {

// Puts a snapshot together, section by section in the order of the format.
// Values are taken as they are: whoever wants to be understood sees to their
// order and their soundness (snapshot_check.h).
class SnapshotWriter {
 public:
  explicit SnapshotWriter(const SnapshotHeader& header);

  void Begin(SectionKind kind);
  void Add(const SnapshotMeta& meta);
  void Add(const SnapshotLimit& limit);
  void Add(const SnapshotTable& table);  // with its entries
  void Add(const SnapshotRuleset& ruleset);
  void Add(const SnapshotState& state);
  void Add(const SnapshotExpectation& expectation);
  void Add(const SnapshotSourceNode& node);
  void Add(const SnapshotRuleCounters& counters);
  void Add(const SnapshotTableCounters& counters);
  // Of a section or record of another version, for tests and converters.
  void AddRaw(uint16_t type, std::string_view value);
  void End();

  // Ends the snapshot. The writer is spent.
  std::vector<uint8_t> Finish();

 private:
  friend class SnapshotStream;
  // Of sections that stand behind others.
  SnapshotWriter() = default;

  size_t BeginRecord(RecordType type);
  void EndRecord(size_t begin);
  void AddFlow(const SnapshotExpectation& expectation);
  void PutEndOf(const SnapshotExpectation& expectation, size_t attributes);

  SnapshotBytes out_;
  size_t section_ = 0;  // where the open one begins
  uint32_t section_records_ = 0;
  uint32_t sections_ = 0;
  uint64_t records_ = 0;
};

// Where a snapshot goes, piece by piece in the order of its bytes.
class SnapshotSink {
 public:
  virtual ~SnapshotSink() = default;
  // An error ends the writing with it.
  virtual absl::Status Write(std::span<const uint8_t> bytes) = 0;
};

struct SnapshotWriting {
  // Of the records of one section of states; more make another one.
  uint64_t section_bytes = kMaxSectionBytes;
};

// The whole of it: `rest` without its states, and `states`, after Finish().
// Nothing is taken in memory that grows with the states. Returns the bytes
// that were written. InvalidArgument, with what and where, before the first
// byte, if the reader would refuse `rest`; each state was looked at by whoever
// added it. ResourceExhausted: no memory, or more than the format can say.
// Errors of the sink.
absl::StatusOr<uint64_t> WriteSnapshot(const Snapshot& rest,
                                       const SnapshotStates& states,
                                       SnapshotSink* sink,
                                       const SnapshotWriting& how = {});

// A snapshot whose states are values. InvalidArgument if the reader would
// refuse any of it.
absl::StatusOr<std::vector<uint8_t>> WriteSnapshot(
    const Snapshot& snapshot, const SnapshotWriting& how = {});

// Sets what only the finished bytes decide: total length, number of sections
// (END included), the header's checksum, the digest at the end.
void FinishSnapshot(std::vector<uint8_t>& bytes, uint32_t sections);

}  // namespace sluice

#endif  // SLUICE_RESTORE_SNAPSHOT_WRITER_H_
