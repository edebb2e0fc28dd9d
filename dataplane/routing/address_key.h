// Addresses as integers of their family's width, the most significant bit
// first, as tries take them apart.
#ifndef SLUICE_DATAPLANE_ROUTING_ADDRESS_KEY_H_
#define SLUICE_DATAPLANE_ROUTING_ADDRESS_KEY_H_

#include <bit>
#include <cstdint>
#include <cstring>

#include "packet/address.h"
#include "packet/byte_order.h"

namespace sluice {

using Key4 = uint32_t;
using Key6 = unsigned __int128;

inline uint64_t HighHalf(const Address& address) {
  uint64_t raw;
  std::memcpy(&raw, address.bytes.data(), sizeof raw);
  return Be64::FromRaw(raw).host();
}
inline uint64_t LowHalf(const Address& address) {
  uint64_t raw;
  std::memcpy(&raw, address.bytes.data() + 8, sizeof raw);
  return Be64::FromRaw(raw).host();
}

template <typename Key>
Key KeyOf(const Address& address);
template <>
inline Key4 KeyOf<Key4>(const Address& address) {
  return address.v4().host();
}
template <>
inline Key6 KeyOf<Key6>(const Address& address) {
  return Key6{HighHalf(address)} << 64 | LowHalf(address);
}

inline Address AddressOf(Key4 key) { return Address::V4(key); }
inline Address AddressOf(Key6 key) {
  Address address;
  address.family = Family::kIpv6;
  const uint64_t halves[] = {Be64(static_cast<uint64_t>(key >> 64)).raw(),
                             Be64(static_cast<uint64_t>(key)).raw()};
  std::memcpy(address.bytes.data(), halves, sizeof halves);
  return address;
}

template <typename Key>
inline constexpr int kKeyBits = sizeof(Key) * 8;

template <typename Key>
constexpr bool BitOf(Key key, int i) {
  return (key >> (kKeyBits<Key> - 1 - i) & 1) != 0;
}
// How many bits from the first one are the same.
inline int CommonBits(Key4 a, Key4 b) { return std::countl_zero(a ^ b); }
inline int CommonBits(Key6 a, Key6 b) {
  const Key6 difference = a ^ b;
  const auto high = static_cast<uint64_t>(difference >> 64);
  return high != 0 ? std::countl_zero(high)
                   : 64 + std::countl_zero(static_cast<uint64_t>(difference));
}

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_ROUTING_ADDRESS_KEY_H_
