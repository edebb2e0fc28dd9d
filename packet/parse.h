// The burst parser: from mbufs to PacketInfos.
//
// Understands Ethernet with up to eight VLAN tags (802.1Q, 802.1ad), IPv4 with
// options, IPv6 with extension headers, AH, TCP, UDP, SCTP, ICMP, ICMPv6 and
// fragments, over any number of segments. Every read is bounded by the bytes
// that are there; the link layer's padding behind the IP length is ignored.
//
// What becomes of a packet:
// - kNonIp: any other ethertype. It is the wire's policy that decides.
// - kMalformed with a reason:
//   kShort       a header or length that the data does not hold; an Ethernet
//                frame under 14 bytes
//   kBadOffset   a fragment that would end beyond 65535 bytes
//   kFragment    a second fragment header; a fragment, not the last one, whose
//                data is no multiple of 8; an empty fragment
//   kNormalize   more than eight VLAN tags; a version that does not fit the ethertype; neighbour discovery
//                with a hop limit other than 255; TCP flags that no
//                connection uses (none of SYN, ACK, RST; SYN with RST or FIN;
//                FIN, PSH or URG without ACK); a TCP header under 20 bytes
//   kIpOption    malformed IPv4 or IPv6 options; routing header type 0 or a
//                second routing header; hop-by-hop options that are not first;
//                a jumbogram; 20 extension headers or more; IGMP to all hosts
//                with a TTL other than 1; MLD with another hop limit than 1 or
//                from no link-local address
//   kProtoCksum  a wrong IPv4 header or transport checksum, unless it is not
//                to be verified. What the NIC says of it is trusted. A checksum
//                of 0 of UDP or SCTP is none, and right.
// - kIp: all else.
#ifndef SLUICE_PACKET_PARSE_H_
#define SLUICE_PACKET_PARSE_H_

#include "packet/packet.h"

namespace sluice {

struct ParseOptions {
  // Whether checksums that no NIC has looked at are computed. Captures taken
  // on a sending host often hold checksums that its NIC was to fill in.
  bool verify_checksums = true;
};

// Fills infos[0, count) from mbufs[0, count).
void ParseBurst(PacketBurst& burst, const ParseOptions& options);

// The same for one packet.
void ParsePacket(const rte_mbuf& mbuf, const ParseOptions& options,
                 PacketInfo* info);

// A packet with so many extension headers is dropped, as in pf.
inline constexpr int kMaxExtensionHeaders = 20;

}  // namespace sluice

#endif  // SLUICE_PACKET_PARSE_H_
