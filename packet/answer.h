// Packets that the firewall itself sends: a RST, an ABORT or an ICMP error for
// a blocked packet, a challenge ACK. Each is built from the packet that it
// answers and goes back where that one came from: link-layer addresses swapped,
// VLAN tags kept, source and destination swapped, so that a firewall without
// addresses of its own answers in the name of the host that was asked for.
//
// All of them return false, with `answer` unchanged, when there is nothing
// that may be answered (see each one) or when the answer does not fit into
// the mbuf. `answer` must be empty and of one segment.
#ifndef SLUICE_PACKET_ANSWER_H_
#define SLUICE_PACKET_ANSWER_H_

#include "packet/packet.h"

struct rte_mbuf;

namespace sluice {

// What answers are sent with when a rule names no TTL.
inline constexpr uint8_t kDefaultTtl = 64;

// A RST|ACK that acknowledges all that the segment holds (RFC 9293 section
// 3.5.2). A RST is not answered.
bool BuildTcpReset(const rte_mbuf& packet, const PacketInfo& info, uint8_t ttl,
                   rte_mbuf* answer);

// A bare segment with these flags (TcpFlag bits), sequence and acknowledgment
// (host order): a challenge ACK (RFC 5961 sections 3.2 and 4.2), a plain RST.
bool BuildTcpSegment(const rte_mbuf& packet, const PacketInfo& info,
                     uint8_t flags, uint32_t sequence, uint32_t acknowledgment,
                     rte_mbuf* answer);

// What a proxy says in the name of one host to the other one.
struct TcpSegment {
  uint8_t flags = 0;  // TcpFlag bits
  uint32_t sequence = 0;  // host order
  uint32_t acknowledgment = 0;
  uint16_t window = 0;
  uint16_t mss = 0;  // the option's; 0: without it
  // It goes on in place of the packet, and not back.
  bool onward = false;
};
bool BuildProxied(const rte_mbuf& packet, const PacketInfo& info,
                  const TcpSegment& segment, rte_mbuf* answer);

// The MSS option of a SYN; 536 (RFC 9293 section 3.7.1) without one.
uint16_t ReadMss(const rte_mbuf& packet, const PacketInfo& info);

// An SCTP packet with an ABORT, as for a packet that is out of the blue (RFC
// 9260 section 8.4): with the initiate tag of an INIT, else with the tag of
// the packet, reflected. Never answered: packets without a chunk, and those
// with an ABORT, ERROR, COOKIE ACK or SHUTDOWN COMPLETE in them.
bool BuildSctpAbort(const rte_mbuf& packet, const PacketInfo& info,
                    rte_mbuf* answer);

// Destination unreachable (ICMP type 3, ICMPv6 type 1) with `code`. Quotes the
// IP header and 8 bytes (RFC 792), over IPv6 as much as fits into 1280 bytes
// (RFC 4443 section 2.4 c). Never answered: ICMP and ICMPv6 but for what asks or
// tells something, fragments but the first, multicast and broadcast (RFC 1122
// section 3.2.2, RFC 4443 section 2.4 e).
bool BuildUnreachable(const rte_mbuf& packet, const PacketInfo& info,
                      uint8_t code, rte_mbuf* answer);

// That a packet is larger than the `mtu` of the way on: "fragmentation needed"
// (RFC 1191), or "packet too big" (RFC 4443 section 3.2). Never answered: ICMP
// errors, fragments but the first, multicast and broadcast.
bool BuildTooBig(const rte_mbuf& packet, const PacketInfo& info, uint32_t mtu,
                 rte_mbuf* answer);

// What a router says of a packet that it does not send on: an ICMP or ICMPv6
// error of that type and code, with the MTU where the type has one. It quotes
// as much as BuildUnreachable(). Never answered: ICMP errors, fragments but the
// first, multicast and broadcast, and what no one host has sent (RFC 1812
// section 4.3.2.7, RFC 4443 section 2.4 e).
struct RouterError {
  uint8_t type = 0;
  uint8_t code = 0;
  uint32_t mtu = 0;
};
bool BuildRouterError(const rte_mbuf& packet, const PacketInfo& info,
                      const RouterError& error, rte_mbuf* answer);

}  // namespace sluice

#endif  // SLUICE_PACKET_ANSWER_H_
