// IPv4 and IPv6 addresses and prefixes.
#ifndef SLUICE_PACKET_ADDRESS_H_
#define SLUICE_PACKET_ADDRESS_H_

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "packet/byte_order.h"

namespace sluice {

enum class Family : uint8_t { kNone = 0, kIpv4 = 4, kIpv6 = 6 };

// Bits in an address of the family: 32, 128, or 0 for kNone.
constexpr int AddressBits(Family family) {
  return family == Family::kIpv4 ? 32 : family == Family::kIpv6 ? 128 : 0;
}

// An address of either family, in network order. An IPv4 address lies in the
// first four bytes; the rest is zero, so that equality is that of the bytes.
struct Address {
  Family family = Family::kNone;
  std::array<uint8_t, 16> bytes{};

  static constexpr Address V4(uint32_t host_order) {
    Address a;
    a.family = Family::kIpv4;
    for (int i = 0; i < 4; ++i) {
      a.bytes[i] = static_cast<uint8_t>(host_order >> (24 - 8 * i));
    }
    return a;
  }
  static Address FromBe32(Be32 v4) {
    Address a;
    a.family = Family::kIpv4;
    const uint32_t raw = v4.raw();
    std::memcpy(a.bytes.data(), &raw, sizeof raw);
    return a;
  }
  // `data` points at 4 or 16 readable bytes, after the family.
  static Address FromBytes(Family family, const void* data) {
    Address a;
    a.family = family;
    std::memcpy(a.bytes.data(), data, AddressBits(family) / 8);
    return a;
  }

  Be32 v4() const {
    uint32_t raw;
    std::memcpy(&raw, bytes.data(), sizeof raw);
    return Be32::FromRaw(raw);
  }
  // Bit `i`, counted from the most significant one.
  bool bit(int i) const { return (bytes[i / 8] >> (7 - i % 8)) & 1; }

  friend bool operator==(const Address&, const Address&) = default;
  friend auto operator<=>(const Address&, const Address&) = default;
};

// All addresses that share the first `length` bits of `address`. Bits after
// them are kept as they were given; Masked() clears them.
struct Prefix {
  Address address;
  uint8_t length = 0;

  bool Contains(const Address& other) const;
  Prefix Masked() const;
  bool IsHost() const { return length == AddressBits(address.family); }

  friend bool operator==(const Prefix&, const Prefix&) = default;
  friend auto operator<=>(const Prefix&, const Prefix&) = default;
};

// "192.0.2.1" or "2001:db8::1". Nothing for any other text: no prefix length,
// no scope, no short form.
std::optional<Address> ParseAddress(std::string_view text);
// An address with an optional "/length" (0..32 or 0..128). Without a length it
// is a host's prefix. Host bits are kept.
std::optional<Prefix> ParsePrefix(std::string_view text);

// IPv4 dotted, IPv6 after RFC 5952. A prefix prints its length unless it is a
// host's.
std::string ToString(const Address& address);
std::string ToString(const Prefix& prefix);

// The mask of `length` leading bits in that family.
Address MaskOf(Family family, int length);
// The bitwise AND of two addresses of one family.
Address And(const Address& a, const Address& b);

}  // namespace sluice

#endif  // SLUICE_PACKET_ADDRESS_H_
