// Bytes of a snapshot while it is written.
#ifndef SLUICE_RESTORE_SNAPSHOT_BYTES_H_
#define SLUICE_RESTORE_SNAPSHOT_BYTES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "packet/address.h"
#include "restore/snapshot.h"

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

  void Clear() { bytes_.clear(); }

  size_t size() const { return bytes_.size(); }
  std::vector<uint8_t>& bytes() { return bytes_; }

 private:
  std::vector<uint8_t> bytes_;
};

// The record of a state, as it stands in a section.
void PutState(SnapshotBytes& out, const SnapshotState& state);

}  // namespace sluice

#endif  // SLUICE_RESTORE_SNAPSHOT_BYTES_H_
