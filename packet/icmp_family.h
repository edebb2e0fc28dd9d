// What an ICMP message is called in the other family (RFC 7915, sections 4.2,
// 4.3, 5.2 and 5.3): the first eight bytes of echo messages and of errors.
#ifndef SLUICE_PACKET_ICMP_FAMILY_H_
#define SLUICE_PACKET_ICMP_FAMILY_H_

#include <cstdint>

#include "packet/address.h"
#include "packet/headers.h"

namespace sluice {

// RFC 8200 section 5: no link of IPv6 has less.
inline constexpr uint32_t kIpv6LeastMtu = 1280;
// What an IPv6 header has more than one of IPv4.
inline constexpr uint32_t kFamilyGrowth = 20;

// Type, code and what stands in the place of an echo's identifier and number:
// an MTU, a pointer. The checksum is left as it is. `from` is the message's
// family; `quoted_length` is what the packet that an error quotes says of its
// own length, which a router that names no MTU (RFC 1191 section 5) leaves.
// False: the other family has no such message.
bool TranslateIcmp(Family from, uint32_t quoted_length, wire::Icmp* icmp);

}  // namespace sluice

#endif  // SLUICE_PACKET_ICMP_FAMILY_H_
