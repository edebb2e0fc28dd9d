// Writes snapshots. The bytes depend on the values alone: equal snapshots are
// equal byte for byte.
#ifndef SLUICE_RESTORE_SNAPSHOT_WRITER_H_
#define SLUICE_RESTORE_SNAPSHOT_WRITER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "restore/snapshot.h"
#include "restore/snapshot_format.h"

namespace sluice {

// The bytes of a section or record while it grows. Little-endian.
class SnapshotBytes {
 public:
  template <typename T>
  void Put(T value) {
    std::array<uint8_t, sizeof(T)> raw;
    for (size_t i = 0; i < sizeof(T); ++i) {
      raw[i] = static_cast<uint8_t>(static_cast<uint64_t>(value) >> (8 * i));
    }
    PutBytes(raw.data(), raw.size());
  }
  void PutBytes(const void* data, size_t length) {
    const size_t at = bytes_.size();
    bytes_.resize(at + length);
    if (length > 0) std::memcpy(bytes_.data() + at, data, length);
  }
  // Its length in two bytes, then the text.
  void PutString(std::string_view text) {
    Put(static_cast<uint16_t>(text.size()));
    PutBytes(text.data(), text.size());
  }
  // The bytes of the address without the family.
  void PutAddress(const Address& address) {
    PutBytes(address.bytes.data(),
             static_cast<size_t>(AddressBits(address.family)) / 8);
  }
  // A type-length-value; EndTlv(BeginTlv()) pads it to 8 bytes.
  size_t BeginTlv(uint16_t type);
  void EndTlv(size_t begin);
  void Patch32(size_t offset, uint32_t value);

  size_t size() const { return bytes_.size(); }
  std::vector<uint8_t>& bytes() { return bytes_; }

 private:
  std::vector<uint8_t> bytes_;
};

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
  void Add(const SnapshotRuleCounters& counters);
  void Add(const SnapshotTableCounters& counters);
  // Of a section or record of another version, for tests and converters.
  void AddRaw(uint16_t type, std::string_view value);
  void End();

  // Ends the snapshot. The writer is spent.
  std::vector<uint8_t> Finish();

 private:
  size_t BeginRecord(RecordType type);
  void EndRecord(size_t begin);

  SnapshotBytes out_;
  size_t section_ = 0;  // where the open one begins
  uint32_t section_records_ = 0;
  uint32_t sections_ = 0;
  uint64_t records_ = 0;
};

// The whole of it. InvalidArgument, with what and where, if the reader would
// refuse it: nothing is written that nobody can read. ResourceExhausted: no
// memory.
absl::StatusOr<std::vector<uint8_t>> WriteSnapshot(const Snapshot& snapshot);

// Sets what only the finished bytes decide: total length, number of sections
// (END included), the header's checksum, the digest at the end.
void FinishSnapshot(std::vector<uint8_t>& bytes, uint32_t sections);

}  // namespace sluice

#endif  // SLUICE_RESTORE_SNAPSHOT_WRITER_H_
