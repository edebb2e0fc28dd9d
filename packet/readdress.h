// Puts other addresses and ports into a packet, and keeps its checksums right
// (RFC 1624): of a packet itself, and of one that an ICMP error quotes. The
// bytes may lie in any segments of the mbuf, which must not be shared.
#ifndef SLUICE_PACKET_READDRESS_H_
#define SLUICE_PACKET_READDRESS_H_

#include <array>
#include <cstdint>

#include "packet/packet.h"

struct rte_mbuf;

namespace sluice {

// The two ends of a packet as PacketInfo has them: of ICMP queries and answers
// `source_port` is the identifier, and ports that the protocol has not are
// ignored.
struct PacketEnds {
  std::array<uint8_t, 16> source{};
  std::array<uint8_t, 16> destination{};
  Be16 source_port;
  Be16 destination_port;

  friend bool operator==(const PacketEnds&, const PacketEnds&) = default;
};

inline PacketEnds EndsOf(const PacketInfo& info) {
  return {info.source, info.destination, info.source_port,
          info.destination_port};
}

// Rewrites a parsed packet that is no fragment and no ICMP error, and *info
// with it. A UDP checksum of 0 over IPv4 stays 0; SCTP's checksum is computed
// anew if a port changes. Of protocols without ports only addresses change:
// those whose checksum covers them and which are not known here (UDP-Lite and
// DCCP are) come out as they went in.
void RewritePacket(rte_mbuf& mbuf, PacketInfo* info, const PacketEnds& ends);

// Rewrites an ICMP error (`info`, kIcmpError) about a packet of a translated
// flow: the packet that it quotes (`inner`, as ParseInner() has read it) gets
// the ends `quoted`, and the error goes to whoever sent that. An error that
// comes from the quoted packet's destination itself comes from its new address
// afterwards; a router in between keeps its own (RFC 5508 section 4.2). A
// checksum that the quotation was cut before is left alone.
void RewriteIcmpError(rte_mbuf& mbuf, PacketInfo* info,
                      const PacketInfo& inner, const PacketEnds& quoted);

}  // namespace sluice

#endif  // SLUICE_PACKET_READDRESS_H_
