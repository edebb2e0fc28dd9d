// packet/: what a packet is. Network-order types, addresses, headers, the
// burst parser, checksums, reasons for drops. The vocabulary of all other
// rooms: it depends on none of them, keeps no state, and touches nothing but
// the packet that it is given.
//
// A burst is parsed once into `PacketInfo`s, one cache line a packet. Nothing
// after the parser reads headers by hand.
#ifndef SLUICE_PACKET_PACKET_H_
#define SLUICE_PACKET_PACKET_H_

#include <array>
#include <cstdint>
#include <cstring>

#include "packet/address.h"
#include "packet/byte_order.h"
#include "packet/drop_reason.h"

struct rte_mbuf;

namespace sluice {

inline constexpr uint32_t kMaxBurst = 32;

// Providers stack two; more than these no device makes.
inline constexpr uint32_t kMaxVlanTags = 8;

// Milliseconds of a monotonic clock that the caller owns. It wraps after 49
// days: compare by signed difference only.
using Tick = uint32_t;
constexpr int32_t TickDiff(Tick later, Tick earlier) {
  return static_cast<int32_t>(later - earlier);
}

// As seen by the filter: kIn when the packet arrives at a port, kOut when it
// is about to leave by one. kBoth exists for rules only: a packet always goes
// one way.
enum class Direction : uint8_t { kIn = 0, kOut = 1, kBoth = 2 };
constexpr Direction Opposite(Direction d) {
  return d == Direction::kIn ? Direction::kOut : Direction::kIn;
}

enum class Kind : uint8_t {
  kIp,         // IPv4 or IPv6, fields below are valid
  kNonIp,      // some other ethertype: only the mbuf means something
  kMalformed,  // `drop` says why
  kTaken,      // somebody has taken its mbuf out of the burst
};

// Bits of PacketInfo::flags.
enum PacketFlag : uint16_t {
  // Any fragment, the first one too; ports and flags are then not filled,
  // as pf judges all fragments of an unassembled packet alike.
  kFragment = 1 << 0,
  // Fragment offset 0 (with kFragment).
  kFirstFragment = 1 << 1,
  kMoreFragments = 1 << 2,
  // IPv4 options or IPv6 hop-by-hop or destination options that need
  // `allow-opts`. The router alert of IGMP and MLD does not count (pf).
  kIpOptions = 1 << 3,
  kVlanTagged = 1 << 4,
  // The TCP header has options.
  kTcpOptions = 1 << 5,
  // IPv4 "do not fragment".
  kDontFragment = 1 << 6,
  // ICMP or ICMPv6 with a packet inside that it complains about.
  kIcmpError = 1 << 7,
  // A rule has given the packet a priority, whether it has a tag or not.
  kPrioritySet = 1 << 8,
  // An IPv6 routing header. Whether it is an option that needs `allow-opts`
  // is the dialect's affair.
  kRoutingHeader = 1 << 9,
  // Put together from fragments (fragment.h).
  kReassembled = 1 << 10,
  // TCP with reserved bits, or an urgent pointer that its flags do not announce,
  // both of which pf clears (CleanTcp()); SCTP that no host would read
  // (sctp_sound.h), which is FreeBSD's affair.
  kUnclean = 1 << 11,
};
// The highest three bits are the priority (PCP) of the outermost VLAN tag, or 0.
inline constexpr int kVlanPriorityShift = 13;

// ECN's bits of the type of service (RFC 3168), which rules neither compare nor
// write.
inline constexpr uint8_t kEcnBits = 0x03;

// TCP flag bits as they lie in the header.
enum TcpFlag : uint8_t {
  kTcpFin = 0x01,
  kTcpSyn = 0x02,
  kTcpRst = 0x04,
  kTcpPush = 0x08,
  kTcpAck = 0x10,
  kTcpUrg = 0x20,
  kTcpEce = 0x40,
  kTcpCwr = 0x80,
};

namespace protocol {
inline constexpr uint8_t kHopByHop = 0;
inline constexpr uint8_t kIcmp = 1;
inline constexpr uint8_t kIgmp = 2;
inline constexpr uint8_t kTcp = 6;
inline constexpr uint8_t kUdp = 17;
inline constexpr uint8_t kIpv6 = 41;
inline constexpr uint8_t kRouting = 43;
inline constexpr uint8_t kIpv6Fragment = 44;
inline constexpr uint8_t kEsp = 50;
inline constexpr uint8_t kAh = 51;
inline constexpr uint8_t kIcmp6 = 58;
inline constexpr uint8_t kNoNext = 59;
inline constexpr uint8_t kDestinationOptions = 60;
inline constexpr uint8_t kSctp = 132;
}  // namespace protocol

// What the parser found in one packet. Offsets count from the first byte of
// the frame; every offset with its header lies inside the packet's data.
struct alignas(64) PacketInfo {
  // Network order; IPv4 in the first four bytes, the rest zero.
  std::array<uint8_t, 16> source;
  std::array<uint8_t, 16> destination;

  // TCP, UDP, SCTP. For ICMP and ICMPv6 queries (echo, timestamp, ...)
  // source_port holds the query's identifier and destination_port is zero;
  // otherwise both are zero.
  Be16 source_port;
  Be16 destination_port;
  // TCP only, host order. For SCTP `sequence` holds the verification tag. For
  // fragments it is where in the datagram they begin, in bytes,
  // `acknowledgment` is the datagram's identification, and `window`, in IPv6,
  // where the byte is that says that a fragment header follows.
  uint32_t sequence;
  uint32_t acknowledgment;
  uint16_t window;

  uint16_t l4_offset;     // of the transport header
  uint16_t l4_length;     // transport header and payload, bytes, from the IP
                          // header's lengths; link-layer padding is not in it
  uint16_t ip_length;     // whole IP packet, bytes
  uint16_t flags;         // PacketFlag bits

  uint8_t l3_offset;      // of the IP header: 14, and 4 for each VLAN tag
  uint8_t l4_header_length;  // of the transport header, options included
  Family family;
  uint8_t proto;          // first upper-layer protocol after extensions
  uint8_t tcp_flags;      // TcpFlag bits
  uint8_t icmp_type;      // ICMP and ICMPv6 only
  uint8_t icmp_code;
  uint8_t tos;            // IPv4 TOS or IPv6 traffic class
  uint8_t ttl;            // or hop limit

  Kind kind : 2;
  DropReason drop : 6;    // valid when kind is kMalformed

  Address source_address() const {
    return Address::FromBytes(family, source.data());
  }
  Address destination_address() const {
    return Address::FromBytes(family, destination.data());
  }
  // Bytes behind the transport header.
  uint16_t payload_length() const {
    return static_cast<uint16_t>(l4_length - l4_header_length);
  }
  uint16_t payload_offset() const {
    return static_cast<uint16_t>(l4_offset + l4_header_length);
  }
  bool has(PacketFlag flag) const { return (flags & flag) != 0; }
  uint8_t vlan_priority() const {
    return static_cast<uint8_t>(flags >> kVlanPriorityShift);
  }
  void SetVlanPriority(uint8_t pcp) {
    flags = static_cast<uint16_t>((flags & ((1 << kVlanPriorityShift) - 1)) |
                                  pcp << kVlanPriorityShift);
  }
};
static_assert(sizeof(PacketInfo) == 64);

// A burst as it came from one port.
struct PacketBurst {
  uint32_t count = 0;
  std::array<rte_mbuf*, kMaxBurst> mbufs;
  std::array<PacketInfo, kMaxBurst> infos;
};

}  // namespace sluice

#endif  // SLUICE_PACKET_PACKET_H_
