// Headers as they lie on the wire. All members have alignment one or are read
// by copying, so a header may stand at any offset.
#ifndef SLUICE_PACKET_HEADERS_H_
#define SLUICE_PACKET_HEADERS_H_

#include <array>
#include <cstdint>

#include "packet/byte_order.h"

namespace sluice::wire {

#pragma pack(push, 1)

struct Ethernet {
  std::array<uint8_t, 6> destination;
  std::array<uint8_t, 6> source;
  Be16 type;
};
static_assert(sizeof(Ethernet) == 14);

struct Vlan {
  Be16 control;
  Be16 type;
};
static_assert(sizeof(Vlan) == 4);

struct Ipv4 {
  uint8_t version_length;
  uint8_t tos;
  Be16 total_length;
  Be16 id;
  Be16 fragment;
  uint8_t ttl;
  uint8_t proto;
  Be16 checksum;
  std::array<uint8_t, 4> source;
  std::array<uint8_t, 4> destination;
};
static_assert(sizeof(Ipv4) == 20);

struct Ipv6 {
  Be32 version_class_flow;
  Be16 payload_length;
  uint8_t next_header;
  uint8_t hop_limit;
  std::array<uint8_t, 16> source;
  std::array<uint8_t, 16> destination;
};
static_assert(sizeof(Ipv6) == 40);

// The start of hop-by-hop, routing, destination options and AH headers.
struct Ipv6Extension {
  uint8_t next_header;
  uint8_t length;
  uint8_t routing_type;
  uint8_t segments_left;
};
static_assert(sizeof(Ipv6Extension) == 4);

struct Ipv6Fragment {
  uint8_t next_header;
  uint8_t reserved;
  Be16 offset_flags;
  Be32 id;
};
static_assert(sizeof(Ipv6Fragment) == 8);

struct Tcp {
  Be16 source_port;
  Be16 destination_port;
  Be32 sequence;
  Be32 acknowledgment;
  uint8_t data_offset;  // high four bits, in words of four bytes
  uint8_t flags;
  Be16 window;
  Be16 checksum;
  Be16 urgent;
};
static_assert(sizeof(Tcp) == 20);
// The three bits of data_offset that mean nothing; the lowest is ECN's
// (RFC 9768).
inline constexpr uint8_t kTcpReserved = 0x0e;

struct Udp {
  Be16 source_port;
  Be16 destination_port;
  Be16 length;
  Be16 checksum;
};
static_assert(sizeof(Udp) == 8);

struct Sctp {
  Be16 source_port;
  Be16 destination_port;
  Be32 verification_tag;
  Be32 checksum;
};
static_assert(sizeof(Sctp) == 12);

// Types of chunks, RFC 9260 section 3.2.
enum SctpChunkType : uint8_t {
  kSctpData = 0,
  kSctpInit = 1,
  kSctpInitAck = 2,
  kSctpHeartbeatAck = 5,
  kSctpAbort = 6,
  kSctpShutdown = 7,
  kSctpShutdownAck = 8,
  kSctpError = 9,
  kSctpCookieEcho = 10,
  kSctpCookieAck = 11,
  kSctpShutdownComplete = 14,
};
// Flag of ABORT and SHUTDOWN COMPLETE: the tag is that of the other direction.
inline constexpr uint8_t kSctpReflectedTag = 0x01;

struct SctpChunk {
  uint8_t type;
  uint8_t flags;
  Be16 length;  // with these four bytes, without the padding to four
};
static_assert(sizeof(SctpChunk) == 4);

struct Icmp {
  uint8_t type;
  uint8_t code;
  Be16 checksum;
  Be16 id;
  Be16 sequence;
};
static_assert(sizeof(Icmp) == 8);

#pragma pack(pop)

namespace ethertype {
inline constexpr uint16_t kIpv4 = 0x0800;
inline constexpr uint16_t kArp = 0x0806;
inline constexpr uint16_t kVlan = 0x8100;
inline constexpr uint16_t kIpv6 = 0x86dd;
inline constexpr uint16_t kQinq = 0x88a8;
}  // namespace ethertype

inline constexpr uint16_t kIpv4DontFragment = 0x4000;
inline constexpr uint16_t kIpv4MoreFragments = 0x2000;
inline constexpr uint16_t kIpv4OffsetMask = 0x1fff;
inline constexpr uint16_t kIpv6MoreFragments = 0x0001;
inline constexpr uint16_t kIpv6OffsetMask = 0xfff8;

}  // namespace sluice::wire

#endif  // SLUICE_PACKET_HEADERS_H_
