// Changes to headers of a packet that keep its checksums right without a look
// at the rest of it (RFC 1624, equation 3).
//
// What changes a packet keeps its PacketInfo true: nobody parses it again. The
// caller has made sure that `info` describes `mbuf`, so that all offsets lie in
// the packet; headers may lie in any number of segments. A checksum that was
// wrong before is wrong afterwards, and an absent one stays absent.
//
// Worker side: no allocation, no lock, no exception.
#ifndef SLUICE_PACKET_REWRITE_H_
#define SLUICE_PACKET_REWRITE_H_

#include <cstdint>

#include "packet/byte_order.h"
#include "packet/checksum.h"
#include "packet/packet.h"

struct rte_mbuf;

namespace sluice {

// The checksum after bytes with the sum `removed` have given way to others with
// the sum `added`, both as PartialSum() has them.
constexpr Be16 AdjustChecksum(Be16 checksum, uint64_t removed,
                              uint64_t added) {
  const uint64_t sum = uint64_t{static_cast<uint16_t>(~checksum.raw())} +
                       static_cast<uint16_t>(~FoldSum(removed)) +
                       FoldSum(added);
  return Be16::FromRaw(static_cast<uint16_t>(~FoldSum(sum)));
}

// Bytes of a packet, wherever its segments begin. They have to be there.
void CopyFromPacket(const rte_mbuf& mbuf, uint32_t offset, void* to,
                    uint32_t length);
void CopyToPacket(rte_mbuf& mbuf, uint32_t offset, const void* from,
                  uint32_t length);

// Of the IP header; a value that is there already writes nothing.
void SetTos(rte_mbuf& mbuf, PacketInfo& info, uint8_t tos);  // ECN bits too
void SetTtl(rte_mbuf& mbuf, PacketInfo& info, uint8_t ttl);
void ClearDontFragment(rte_mbuf& mbuf, PacketInfo& info);  // IPv4
void SetIpId(rte_mbuf& mbuf, const PacketInfo& info, Be16 id);  // IPv4

enum class AddressEnd : uint8_t { kSource, kDestination };
// `address` has 4 or 16 bytes. The transport checksum follows, if the packet
// has its transport header and a checksum that covers addresses.
void SetAddress(rte_mbuf& mbuf, PacketInfo& info, AddressEnd end,
                const uint8_t* address);

// Of the transport header's own checksum: TCP, UDP, ICMP, ICMPv6. What has
// none, or has a fragment's header only, or SCTP's CRC, stays as it is.
void AdjustTransportChecksum(rte_mbuf& mbuf, const PacketInfo& info,
                             uint64_t removed, uint64_t added);
// Replaces `length` bytes that begin `offset` bytes behind the start of the
// transport header, none of which belong to its checksum. `offset` may be odd.
void ReplaceInTransport(rte_mbuf& mbuf, const PacketInfo& info,
                        uint32_t offset, const void* bytes, uint32_t length);

// Clears what kUnclean says of a TCP header: reserved bits, and an urgent pointer
// without URG.
void CleanTcp(rte_mbuf& mbuf, PacketInfo& info);

// Lowers the MSS option of a TCP segment with SYN to `most`, if it is higher.
// Options that make no sense end the search.
void ClampMss(rte_mbuf& mbuf, const PacketInfo& info, uint16_t most);

// The packet's priority (PCP), and that of its outermost VLAN tag, if there is
// one.
void SetVlanPriority(rte_mbuf& mbuf, PacketInfo& info, uint8_t pcp);

}  // namespace sluice

#endif  // SLUICE_PACKET_REWRITE_H_
