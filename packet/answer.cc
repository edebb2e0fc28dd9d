#include "packet/answer.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "packet/checksum.h"
#include "packet/headers.h"
#include "packet/icmp.h"
#include "packet/rewrite.h"
#include "packet/tcp_options.h"

namespace sluice {
namespace {

constexpr uint8_t kIcmpUnreachable = 3;
constexpr uint8_t kIcmpNeedsFragments = 4;  // a code of it
constexpr uint8_t kIcmp6Unreachable = 1;
constexpr uint8_t kIcmp6TooBig = 2;
// RFC 8200 section 5.
constexpr uint32_t kIpv6MinimumMtu = 1280;
constexpr uint16_t kDefaultMss = 536;
constexpr uint16_t kLeastMss = 64;
// More are not looked at: an answer costs no more than its question.
constexpr int kMaxChunks = 16;
constexpr uint32_t kMaxLinkLayerLength =
    sizeof(wire::Ethernet) + kMaxVlanTags * sizeof(wire::Vlan);

uint32_t IpHeaderLength(Family family) {
  return family == Family::kIpv6 ? sizeof(wire::Ipv6) : sizeof(wire::Ipv4);
}

// Room for the link layer, an IP header and `l4_length` bytes behind it. The
// link layer and IP headers are filled in; the caller writes the rest, which
// starts at the returned address. Null when it does not fit.
uint8_t* Begin(const rte_mbuf& packet, const PacketInfo& info, uint8_t proto,
               uint8_t ttl, uint32_t l4_length, rte_mbuf* answer) {
  const uint32_t l3 = info.l3_offset;
  const uint32_t ip_length = IpHeaderLength(info.family);
  const uint32_t total = l3 + ip_length + l4_length;
  std::array<uint8_t, kMaxLinkLayerLength> buffer;
  if (total > rte_pktmbuf_tailroom(answer) || l3 > buffer.size()) {
    return nullptr;
  }
  const auto* asked = static_cast<const uint8_t*>(
      rte_pktmbuf_read(&packet, 0, l3, buffer.data()));
  if (asked == nullptr) return nullptr;
  auto* frame =
      reinterpret_cast<uint8_t*>(rte_pktmbuf_append(answer, total));
  std::memcpy(frame, asked + 6, 6);
  std::memcpy(frame + 6, asked, 6);
  std::memcpy(frame + 12, asked + 12, l3 - 12);

  if (info.family == Family::kIpv6) {
    wire::Ipv6 ip{};
    ip.version_class_flow = Be32(0x60000000);
    ip.payload_length = Be16(static_cast<uint16_t>(l4_length));
    ip.next_header = proto;
    ip.hop_limit = ttl;
    ip.source = info.destination;
    ip.destination = info.source;
    std::memcpy(frame + l3, &ip, sizeof ip);
  } else {
    wire::Ipv4 ip{};
    ip.version_length = 0x45;
    ip.total_length = Be16(static_cast<uint16_t>(ip_length + l4_length));
    // An atomic datagram needs no identification (RFC 6864 section 4).
    ip.fragment = Be16(wire::kIpv4DontFragment);
    ip.ttl = ttl;
    ip.proto = proto;
    std::copy_n(info.destination.begin(), 4, ip.source.begin());
    std::copy_n(info.source.begin(), 4, ip.destination.begin());
    ip.checksum = Be16::FromRaw(
        static_cast<uint16_t>(~FoldSum(PartialSum(&ip, sizeof ip))));
    std::memcpy(frame + l3, &ip, sizeof ip);
  }
  return frame + l3 + ip_length;
}

// The checksum over `length` bytes whose own checksum field is still zero.
Be16 Checksum(const PacketInfo& info, uint8_t proto, const uint8_t* l4,
              uint32_t length) {
  uint64_t sum = PartialSum(l4, length);
  if (proto != protocol::kIcmp) {
    // Source and destination are swapped, which no sum can tell.
    sum += PseudoHeaderSum(info.family, info.source.data(),
                           info.destination.data(), proto, length);
  }
  return Be16::FromRaw(static_cast<uint16_t>(~FoldSum(sum)));
}

bool BuildTcp(const rte_mbuf& packet, const PacketInfo& info, uint8_t ttl,
              uint32_t sequence, uint32_t acknowledgment, uint8_t flags,
              rte_mbuf* answer) {
  uint8_t* at = Begin(packet, info, protocol::kTcp, ttl, sizeof(wire::Tcp),
                      answer);
  if (at == nullptr) return false;
  wire::Tcp tcp{};
  tcp.source_port = info.destination_port;
  tcp.destination_port = info.source_port;
  tcp.sequence = Be32(sequence);
  tcp.acknowledgment = Be32(acknowledgment);
  tcp.data_offset = (sizeof tcp / 4) << 4;
  tcp.flags = flags;
  std::memcpy(at, &tcp, sizeof tcp);
  tcp.checksum = Checksum(info, protocol::kTcp, at, sizeof tcp);
  std::memcpy(at, &tcp, sizeof tcp);
  return true;
}

template <typename T>
bool ReadAt(const rte_mbuf& packet, uint32_t offset, T* out) {
  const void* data = rte_pktmbuf_read(&packet, offset, sizeof *out, out);
  if (data == nullptr) return false;
  if (data != out) std::memcpy(out, data, sizeof *out);
  return true;
}

// What the ABORT that answers a packet bears.
struct AbortTag {
  uint32_t tag = 0;
  uint8_t flags = 0;
};

bool FindAbortTag(const rte_mbuf& packet, const PacketInfo& info,
                  AbortTag* abort) {
  *abort = {.tag = info.sequence, .flags = wire::kSctpReflectedTag};
  const uint32_t end = info.l4_offset + uint32_t{info.l4_length};
  uint32_t at = info.payload_offset();
  for (int i = 0; i < kMaxChunks; ++i) {
    wire::SctpChunk chunk;
    if (at + sizeof chunk > end) return i != 0;
    if (!ReadAt(packet, at, &chunk)) return false;
    const uint32_t length = chunk.length.host();
    if (length < sizeof chunk || at + length > end) return false;
    switch (chunk.type) {
      case wire::kSctpAbort:
      case wire::kSctpError:
      case wire::kSctpCookieAck:
      case wire::kSctpShutdownComplete:
        return false;
      case wire::kSctpInit: {
        // Alone in its packet, and its tag is never zero.
        Be32 tag;
        if (i != 0 || length < sizeof chunk + sizeof tag ||
            !ReadAt(packet, at + sizeof chunk, &tag)) {
          return false;
        }
        *abort = {.tag = tag.host(), .flags = 0};
        return abort->tag != 0;
      }
      default:
        break;
    }
    at += (length + 3) & ~3u;
  }
  return true;
}

bool IsGroupAddress(const PacketInfo& info, const uint8_t* frame) {
  // A multicast or broadcast frame, whatever the IP address says.
  if (frame[0] & 1) return true;
  if (info.family == Family::kIpv6) return info.destination[0] == 0xff;
  return info.destination[0] >= 224 || info.source[0] >= 224 ||
         info.source[0] == 0;
}

}  // namespace

bool BuildTcpReset(const rte_mbuf& packet, const PacketInfo& info, uint8_t ttl,
                   rte_mbuf* answer) {
  if (info.proto != protocol::kTcp || info.has(kFragment) ||
      (info.tcp_flags & kTcpRst)) {
    return false;
  }
  uint32_t acknowledgment = info.sequence + info.payload_length();
  if (info.tcp_flags & kTcpSyn) ++acknowledgment;
  if (info.tcp_flags & kTcpFin) ++acknowledgment;
  const uint32_t sequence =
      (info.tcp_flags & kTcpAck) ? info.acknowledgment : 0;
  return BuildTcp(packet, info, ttl != 0 ? ttl : kDefaultTtl, sequence,
                  acknowledgment, kTcpRst | kTcpAck, answer);
}

bool BuildTcpSegment(const rte_mbuf& packet, const PacketInfo& info,
                     uint8_t flags, uint32_t sequence, uint32_t acknowledgment,
                     rte_mbuf* answer) {
  if (info.proto != protocol::kTcp || info.has(kFragment)) return false;
  return BuildTcp(packet, info, kDefaultTtl, sequence, acknowledgment, flags,
                  answer);
}

bool BuildProxied(const rte_mbuf& packet, const PacketInfo& info,
                  const TcpSegment& segment, rte_mbuf* answer) {
  if (info.proto != protocol::kTcp || info.has(kFragment)) return false;
  PacketInfo asked = info;
  if (segment.onward) {
    std::swap(asked.source, asked.destination);
    std::swap(asked.source_port, asked.destination_port);
  }
  struct {
    wire::Tcp tcp{};
    std::array<uint8_t, 4> mss{};
  } out;
  static_assert(sizeof out == sizeof(wire::Tcp) + 4);
  const uint32_t length =
      static_cast<uint32_t>(segment.mss != 0 ? sizeof out : sizeof out.tcp);
  uint8_t* at =
      Begin(packet, asked, protocol::kTcp, kDefaultTtl, length, answer);
  if (at == nullptr) return false;
  if (segment.onward) {
    auto* frame = rte_pktmbuf_mtod(answer, uint8_t*);
    std::swap_ranges(frame, frame + 6, frame + 6);
  }
  out.tcp.source_port = asked.destination_port;
  out.tcp.destination_port = asked.source_port;
  out.tcp.sequence = Be32(segment.sequence);
  out.tcp.acknowledgment = Be32(segment.acknowledgment);
  out.tcp.data_offset = static_cast<uint8_t>(length / 4 << 4);
  out.tcp.flags = segment.flags;
  out.tcp.window = Be16(segment.window);
  out.mss = {kTcpOptionMss, 4, static_cast<uint8_t>(segment.mss >> 8),
             static_cast<uint8_t>(segment.mss)};
  std::memcpy(at, &out, length);
  out.tcp.checksum = Checksum(asked, protocol::kTcp, at, length);
  std::memcpy(at, &out, length);
  return true;
}

uint16_t ReadMss(const rte_mbuf& packet, const PacketInfo& info) {
  uint16_t mss = kDefaultMss;
  ForEachTcpOption(packet, info, [&](const TcpOption& option) {
    if (option.kind != kTcpOptionMss || option.value.size() != 2) return true;
    mss = std::max(
        static_cast<uint16_t>(option.value[0] << 8 | option.value[1]),
        kLeastMss);
    return false;
  });
  return mss;
}

bool BuildSctpAbort(const rte_mbuf& packet, const PacketInfo& info,
                    rte_mbuf* answer) {
  AbortTag abort;
  if (info.proto != protocol::kSctp || info.has(kFragment) ||
      !FindAbortTag(packet, info, &abort)) {
    return false;
  }
  struct {
    wire::Sctp sctp{};
    wire::SctpChunk chunk{};
  } out;
  uint8_t* at = Begin(packet, info, protocol::kSctp, kDefaultTtl, sizeof out,
                      answer);
  if (at == nullptr) return false;
  out.sctp.source_port = info.destination_port;
  out.sctp.destination_port = info.source_port;
  out.sctp.verification_tag = Be32(abort.tag);
  out.chunk.type = wire::kSctpAbort;
  out.chunk.flags = abort.flags;
  out.chunk.length = Be16(sizeof out.chunk);
  out.sctp.checksum = Be32::FromRaw(~Crc32c(0xffffffff, &out, sizeof out));
  std::memcpy(at, &out, sizeof out);
  return true;
}

namespace {

// What the sender of a packet is told about it.
struct IcmpMessage {
  uint8_t type;
  uint8_t code;
  uint32_t mtu = 0;  // of "too big"
};

bool BuildIcmpError(const rte_mbuf& packet, const PacketInfo& info,
                    const IcmpMessage& message, rte_mbuf* answer) {
  const bool v6 = info.family == Family::kIpv6;
  if ((info.has(kFragment) && !info.has(kFirstFragment)) ||
      IsGroupAddress(info, rte_pktmbuf_mtod(&packet, const uint8_t*))) {
    return false;
  }
  const uint32_t ip_bytes = info.ip_length;
  uint32_t quoted;
  if (v6) {
    quoted = std::min<uint32_t>(
        ip_bytes, kIpv6MinimumMtu - sizeof(wire::Ipv6) - sizeof(wire::Icmp));
  } else {
    const uint32_t header = info.l4_offset - info.l3_offset;
    quoted = std::min(ip_bytes, header + 8u);
  }
  const uint32_t length = sizeof(wire::Icmp) + quoted;
  const uint8_t proto = v6 ? protocol::kIcmp6 : protocol::kIcmp;
  if (info.l3_offset + IpHeaderLength(info.family) + length >
      rte_pktmbuf_tailroom(answer)) {
    return false;
  }
  uint8_t* at = Begin(packet, info, proto, kDefaultTtl, length, answer);
  if (at == nullptr) return false;
  wire::Icmp icmp{};
  icmp.type = message.type;
  icmp.code = message.code;
  icmp.id = Be16(static_cast<uint16_t>(message.mtu >> 16));
  icmp.sequence = Be16(static_cast<uint16_t>(message.mtu));
  const void* original = rte_pktmbuf_read(&packet, info.l3_offset, quoted,
                                          at + sizeof icmp);
  if (original != at + sizeof icmp) {
    std::memcpy(at + sizeof icmp, original, quoted);
  }
  std::memcpy(at, &icmp, sizeof icmp);
  icmp.checksum = Checksum(info, proto, at, length);
  std::memcpy(at, &icmp, sizeof icmp);
  return true;
}

}  // namespace

bool BuildUnreachable(const rte_mbuf& packet, const PacketInfo& info,
                      uint8_t code, rte_mbuf* answer) {
  const bool v6 = info.family == Family::kIpv6;
  if (info.proto == (v6 ? protocol::kIcmp6 : protocol::kIcmp) &&
      !IsIcmpInformation(info)) {
    return false;
  }
  return BuildIcmpError(
      packet, info,
      {.type = v6 ? kIcmp6Unreachable : kIcmpUnreachable, .code = code},
      answer);
}

bool BuildTooBig(const rte_mbuf& packet, const PacketInfo& info, uint32_t mtu,
                 rte_mbuf* answer) {
  if (info.has(kIcmpError)) return false;
  return info.family == Family::kIpv6
             ? BuildIcmpError(packet, info,
                              {.type = kIcmp6TooBig, .code = 0, .mtu = mtu},
                              answer)
             : BuildIcmpError(packet, info,
                              {.type = kIcmpUnreachable,
                               .code = kIcmpNeedsFragments,
                               .mtu = mtu},
                              answer);
}

bool BuildRouterError(const rte_mbuf& packet, const PacketInfo& info,
                      const RouterError& error, rte_mbuf* answer) {
  if (info.has(kIcmpError)) return false;
  if (info.family == Family::kIpv6) {
    // The unspecified address, a group, the loopback address.
    constexpr std::array<uint8_t, 15> kZero{};
    if (info.source[0] == 0xff ||
        (info.source[15] <= 1 &&
         std::memcmp(info.source.data(), kZero.data(), kZero.size()) == 0)) {
      return false;
    }
  } else if (info.source[0] == 127) {
    return false;
  }
  return BuildIcmpError(
      packet, info,
      {.type = error.type, .code = error.code, .mtu = error.mtu}, answer);
}

}  // namespace sluice
