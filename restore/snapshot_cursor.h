// Reading values from bytes that may be anything. A read beyond the end yields
// zero and marks the cursor, so that a record is decoded whole and then judged
// once.
#ifndef SLUICE_RESTORE_SNAPSHOT_CURSOR_H_
#define SLUICE_RESTORE_SNAPSHOT_CURSOR_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "packet/address.h"
#include "restore/snapshot_format.h"

namespace sluice {

class SnapshotCursor {
 public:
  // `offset` is where `bytes` begins in the snapshot, for messages.
  explicit SnapshotCursor(std::span<const uint8_t> bytes, size_t offset = 0)
      : bytes_(bytes), offset_(offset) {}

  template <typename T>
  T Get() {
    if (bytes_.size() - at_ < sizeof(T)) {
      failed_ = true;
      at_ = bytes_.size();
      return T{};
    }
    uint64_t value = 0;
    for (size_t i = 0; i < sizeof(T); ++i) {
      value |= uint64_t{bytes_[at_ + i]} << (8 * i);
    }
    at_ += sizeof(T);
    return static_cast<T>(value);
  }
  std::span<const uint8_t> GetBytes(size_t length) {
    if (bytes_.size() - at_ < length) {
      failed_ = true;
      at_ = bytes_.size();
      return {};
    }
    at_ += length;
    return bytes_.subspan(at_ - length, length);
  }
  std::string_view GetString() {
    const auto bytes = GetBytes(Get<uint16_t>());
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  std::string_view GetRest() {
    const auto bytes = GetBytes(bytes_.size() - at_);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  // A family other than 4 and 6 fails.
  Address GetAddress(uint8_t family) {
    if (family != 4 && family != 6) {
      failed_ = true;
      return {};
    }
    const auto kind = static_cast<Family>(family);
    const auto bytes = GetBytes(static_cast<size_t>(AddressBits(kind)) / 8);
    return bytes.empty() ? Address{} : Address::FromBytes(kind, bytes.data());
  }
  // Bytes that are reserved: anything but zero fails.
  void GetZero(size_t length) {
    for (const uint8_t byte : GetBytes(length)) failed_ |= byte != 0;
  }

  size_t left() const { return bytes_.size() - at_; }
  size_t offset() const { return offset_ + at_; }
  bool failed() const { return failed_; }
  // Everything was there, and nothing is left.
  bool done() const { return !failed_ && left() == 0; }

 private:
  std::span<const uint8_t> bytes_;
  size_t offset_;
  size_t at_ = 0;
  bool failed_ = false;
};

// A type-length-value with its padding checked.
struct SnapshotTlv {
  uint16_t type = 0;
  uint8_t version = 0;
  uint8_t flags = 0;
  std::span<const uint8_t> value;
  size_t offset = 0;        // of the whole
  size_t value_offset = 0;

  bool critical() const { return (type & kCriticalType) != 0; }
  // Nobody that wrote this version used it otherwise.
  bool IsKnownForm() const { return version == kRecordVersion && flags == 0; }
};

// False if the bytes do not hold one, or its padding is not zero.
inline bool GetTlv(SnapshotCursor& from, SnapshotTlv* tlv) {
  tlv->offset = from.offset();
  tlv->type = from.Get<uint16_t>();
  tlv->version = from.Get<uint8_t>();
  tlv->flags = from.Get<uint8_t>();
  const auto length = from.Get<uint32_t>();
  tlv->value_offset = from.offset();
  tlv->value = from.GetBytes(length);
  from.GetZero(PaddedBytes(length) - length);
  return !from.failed();
}

}  // namespace sluice

#endif  // SLUICE_RESTORE_SNAPSHOT_CURSOR_H_
