// Integers in network byte order, as types that do not mix with host integers.
#ifndef SLUICE_PACKET_BYTE_ORDER_H_
#define SLUICE_PACKET_BYTE_ORDER_H_

#include <bit>
#include <concepts>
#include <cstdint>

namespace sluice {

template <std::unsigned_integral T>
constexpr T SwapBytes(T value) {
  if constexpr (sizeof(T) == 2) {
    return __builtin_bswap16(value);
  } else if constexpr (sizeof(T) == 4) {
    return __builtin_bswap32(value);
  } else {
    static_assert(sizeof(T) == 8);
    return __builtin_bswap64(value);
  }
}

// An unsigned integer as it lies on the wire. It can be compared for equality
// as it is; for order and arithmetic it has to be taken to the host first.
template <std::unsigned_integral T>
class BigEndian {
 public:
  constexpr BigEndian() = default;
  // From a host integer.
  explicit constexpr BigEndian(T host) : raw_(ToWire(host)) {}
  // From the bytes as they were read.
  static constexpr BigEndian FromRaw(T raw) {
    BigEndian value;
    value.raw_ = raw;
    return value;
  }

  constexpr T host() const { return ToWire(raw_); }
  constexpr T raw() const { return raw_; }

  friend constexpr bool operator==(BigEndian, BigEndian) = default;

 private:
  static constexpr T ToWire(T value) {
    return std::endian::native == std::endian::little ? SwapBytes(value)
                                                      : value;
  }

  T raw_ = 0;
};

using Be16 = BigEndian<uint16_t>;
using Be32 = BigEndian<uint32_t>;
using Be64 = BigEndian<uint64_t>;

static_assert(sizeof(Be16) == 2 && sizeof(Be32) == 4 && sizeof(Be64) == 8);

}  // namespace sluice

#endif  // SLUICE_PACKET_BYTE_ORDER_H_
