// The packet inside an ICMP or ICMPv6 error.
#ifndef SLUICE_PACKET_INNER_H_
#define SLUICE_PACKET_INNER_H_

#include <cstdint>

#include "packet/packet.h"

namespace sluice {

// Reads the packet that an ICMP error complains about, as far as it is there:
// RFC 792 promises eight bytes of transport header, more is not needed. `info`
// is the error's own PacketInfo, with kIcmpError.
//
// Fills of *inner: family (the outer one), addresses, proto, ports as
// PacketInfo says, sequence (TCP), icmp_type and icmp_code, tos, ttl,
// ip_length as the inner header claims it, l3_offset and l4_offset in the
// outer frame; the rest is zero. Lengths claimed by the inner header are not
// compared with the data: it is cut short by design.
//
// Returns false, with the reason in *drop, for data that does not hold the
// headers (kShort), a fragment that is not the first (kFragment), a header that
// contradicts itself (kNormalize), or more than kMaxExtensionHeaders extension
// headers (kIpOption).
bool ParseInner(const rte_mbuf& mbuf, const PacketInfo& info,
                PacketInfo* inner, DropReason* drop);

}  // namespace sluice

#endif  // SLUICE_PACKET_INNER_H_
