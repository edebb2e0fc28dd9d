// The records of a snapshot's sections: what snapshot_reader.cc hands on once
// the frame around them is known to be sound.
#ifndef SLUICE_RESTORE_SNAPSHOT_RECORDS_H_
#define SLUICE_RESTORE_SNAPSHOT_RECORDS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "restore/snapshot.h"
#include "restore/snapshot_cursor.h"
#include "restore/snapshot_reader.h"

namespace sluice {

class SnapshotRecords {
 public:
  SnapshotRecords(const SnapshotLimits& limits, ReadResult* result)
      : limits_(limits), result_(result) {}

  // `count` records in all of `bytes`.
  absl::Status Read(SectionKind kind, uint32_t count, SnapshotCursor bytes);
  // After the last section.
  absl::Status Finish();

 private:
  absl::Status Reserve(SectionKind kind, uint32_t count,
                       const SnapshotCursor& bytes);
  absl::Status ReadOne(SectionKind kind, const SnapshotTlv& tlv, size_t left);

  // snapshot_policy_records.cc
  absl::Status ReadMeta(const SnapshotTlv& tlv);
  absl::Status ReadDialect(const SnapshotTlv& tlv);
  absl::Status ReadLimit(const SnapshotTlv& tlv);
  absl::Status ReadTable(const SnapshotTlv& tlv, size_t left);
  absl::Status ReadEntry(const SnapshotTlv& tlv);
  absl::Status ReadRuleset(const SnapshotTlv& tlv, size_t left);
  absl::Status ReadOption(const SnapshotTlv& tlv);
  absl::Status ReadRule(const SnapshotTlv& tlv);
  absl::Status ReadRuleCounters(const SnapshotTlv& tlv);
  absl::Status ReadTableCounters(const SnapshotTlv& tlv);

  // Of states and expectations.
  absl::Status ReadState(const SnapshotTlv& tlv, bool child);
  absl::Status ReadExpectation(const SnapshotTlv& tlv);
  absl::Status ReadExpectedFlow(const SnapshotTlv& tlv);
  // That it fits its parent, and its neighbours.
  absl::Status CheckExpectation(size_t offset);
  // snapshot_source_nodes.cc
  absl::Status ReadSourceNode(const SnapshotTlv& tlv);
  absl::Status ReadAttributes(SnapshotCursor& from, uint16_t count,
                              std::string* interface,
                              SnapshotBinding* binding,
                              SnapshotState* state = nullptr);
  // What is announced and has not come yet.
  absl::Status CheckComplete(size_t offset) const;
  absl::Status CheckFlows() const;
  absl::Status CheckTranslations() const;

  static absl::Status Bad(size_t offset, std::string_view what);
  // More than the filter that receives it takes.
  static absl::Status TooMany(std::string_view what, uint64_t limit);

  const SnapshotLimits& limits_;
  ReadResult* const result_;
  bool has_meta_ = false;
  uint32_t entries_left_ = 0;  // of the last table
  uint32_t options_left_ = 0;  // of the last ruleset
  uint32_t rules_left_ = 0;
  uint64_t entries_ = 0;
  uint64_t rules_ = 0;
  uint32_t since_asked_ = 0;
  uint32_t expected_of_parent_ = 0;  // of the last one
  std::vector<uint8_t> children_of_;  // by index of the parent
};

}  // namespace sluice

#endif  // SLUICE_RESTORE_SNAPSHOT_RECORDS_H_
