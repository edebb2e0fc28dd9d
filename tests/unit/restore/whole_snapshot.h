// What an exporter has collected, as values: written and read back.
#ifndef SLUICE_TESTS_UNIT_RESTORE_WHOLE_SNAPSHOT_H_
#define SLUICE_TESTS_UNIT_RESTORE_WHOLE_SNAPSHOT_H_

#include <vector>

#include "absl/status/statusor.h"
#include "restore/export.h"
#include "restore/snapshot_reader.h"
#include "restore/snapshot_writer.h"

namespace sluice {

class VectorSink final : public SnapshotSink {
 public:
  absl::Status Write(std::span<const uint8_t> bytes) override {
    written.insert(written.end(), bytes.begin(), bytes.end());
    return absl::OkStatus();
  }
  std::vector<uint8_t> written;
};

// Of an exporter after Finish(), with what else is in the snapshot.
inline absl::StatusOr<Snapshot> WholeSnapshot(const Snapshot& rest,
                                              const StateExporter& exporter) {
  VectorSink sink;
  const absl::StatusOr<uint64_t> written =
      WriteSnapshot(rest, exporter.states(), &sink);
  if (!written.ok()) return written.status();
  absl::StatusOr<ReadResult> read = ReadSnapshot(sink.written);
  if (!read.ok()) return read.status();
  return std::move(read->snapshot);
}

}  // namespace sluice

#endif  // SLUICE_TESTS_UNIT_RESTORE_WHOLE_SNAPSHOT_H_
