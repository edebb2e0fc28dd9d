// IPv4 addresses inside of IPv6 ones (RFC 6052): behind a prefix of 32, 40, 48,
// 56, 64 or 96 bits, with eight zero bits in the place of bits 64 to 71. As in
// both pfs a longer prefix counts as one of 96 bits, of whose 32 bits behind it
// the first ones are the prefix's own.
#ifndef SLUICE_PACKET_EMBEDDED_ADDRESS_H_
#define SLUICE_PACKET_EMBEDDED_ADDRESS_H_

#include <array>
#include <cstdint>

#include "packet/address.h"

namespace sluice {

using AddressBytes = std::array<uint8_t, 16>;

// Whether a prefix may be so long.
constexpr bool IsEmbeddingLength(uint8_t length) {
  return length == 32 || length == 40 || length == 48 || length == 56 ||
         length == 64 || (length >= 96 && length <= 128);
}

// The IPv6 address that an IPv4 one has behind a prefix, and back, of a length
// that may be. IPv4 is in the first four bytes, the rest zero.
AddressBytes EmbedIpv4(const AddressBytes& prefix, uint8_t length,
                       const AddressBytes& ipv4);
AddressBytes ExtractIpv4(const AddressBytes& ipv6, uint8_t length);

// The IPv4 address whose first `length` bits are those of `network`, and the
// rest the last ones of an IPv6 address.
AddressBytes TruncateToIpv4(const AddressBytes& network, uint8_t length,
                            const AddressBytes& ipv6);

// An address with its last 32 bits, which are all of an IPv4 one, where the
// other family has them, and the rest zero. `from` is the address's family.
AddressBytes HostBitsAcross(Family from, const AddressBytes& address);

// The length of the prefix behind which `ipv6` has `ipv4`, the longest that
// fits; 0: none.
uint8_t FindEmbedding(const AddressBytes& ipv6, const AddressBytes& ipv4);

}  // namespace sluice

#endif  // SLUICE_PACKET_EMBEDDED_ADDRESS_H_
