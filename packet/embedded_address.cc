#include "packet/embedded_address.h"

#include <algorithm>

namespace sluice {
namespace {

// Bits 64 to 71 of every such address.
constexpr size_t kZeroByte = 8;
constexpr size_t kLastWord = 12;
constexpr uint8_t kLengths[] = {96, 64, 56, 48, 40, 32};

// Where the IPv4 address's bytes lie.
std::array<size_t, 4> PlacesOf(uint8_t length) {
  std::array<size_t, 4> places;
  size_t at = std::min<uint8_t>(length, 96) / 8;
  for (size_t& place : places) {
    if (at == kZeroByte) ++at;
    place = at++;
  }
  return places;
}

// The first `bits` of one byte string, behind them another's.
uint8_t MaskOfByte(size_t byte, uint8_t bits) {
  const int left = bits - static_cast<int>(byte) * 8;
  if (left <= 0) return 0;
  return left >= 8 ? 0xff : static_cast<uint8_t>(0xff << (8 - left));
}

}  // namespace

AddressBytes EmbedIpv4(const AddressBytes& prefix, uint8_t length,
                       const AddressBytes& ipv4) {
  AddressBytes address = prefix;
  if (length > 96) {
    for (size_t i = 0; i < 4; ++i) {
      const uint8_t mask = MaskOfByte(i, static_cast<uint8_t>(length - 96));
      address[kLastWord + i] = static_cast<uint8_t>(
          (prefix[kLastWord + i] & mask) | (ipv4[i] & ~mask));
    }
    return address;
  }
  std::fill(address.begin() + length / 8, address.end(), uint8_t{0});
  address[kZeroByte] = 0;
  const std::array<size_t, 4> places = PlacesOf(length);
  for (size_t i = 0; i < 4; ++i) address[places[i]] = ipv4[i];
  return address;
}

AddressBytes ExtractIpv4(const AddressBytes& ipv6, uint8_t length) {
  AddressBytes address{};
  const std::array<size_t, 4> places = PlacesOf(length);
  for (size_t i = 0; i < 4; ++i) address[i] = ipv6[places[i]];
  return address;
}

AddressBytes TruncateToIpv4(const AddressBytes& network, uint8_t length,
                            const AddressBytes& ipv6) {
  AddressBytes address{};
  for (size_t i = 0; i < 4; ++i) {
    const uint8_t mask = MaskOfByte(i, length);
    address[i] = static_cast<uint8_t>((network[i] & mask) |
                                      (ipv6[kLastWord + i] & ~mask));
  }
  return address;
}

uint8_t FindEmbedding(const AddressBytes& ipv6, const AddressBytes& ipv4) {
  for (const uint8_t length : kLengths) {
    if (EmbedIpv4(ipv6, length, ipv4) == ipv6) return length;
  }
  return 0;
}

AddressBytes HostBitsAcross(Family from, const AddressBytes& address) {
  AddressBytes bits{};
  if (from == Family::kIpv4) {
    std::copy_n(address.begin(), 4, bits.begin() + 12);
  } else {
    std::copy_n(address.begin() + 12, 4, bits.begin());
  }
  return bits;
}

}  // namespace sluice
