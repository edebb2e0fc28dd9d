#include "packet/parse.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <cstddef>

#include "packet/checksum.h"
#include "packet/fragment.h"
#include "packet/headers.h"
#include "packet/icmp.h"
#include "packet/sctp_sound.h"

namespace sluice {
namespace {

constexpr uint8_t kIpv4OptionEnd = 0;
constexpr uint8_t kIpv4OptionNop = 1;
constexpr uint8_t kIpv4OptionRouterAlert = 148;
constexpr uint8_t kIpv6OptionPad1 = 0;
constexpr uint8_t kIpv6OptionPadN = 1;
constexpr uint8_t kIpv6OptionRouterAlert = 5;
constexpr uint8_t kIpv6OptionJumbo = 0xc2;

bool IsMld(uint8_t type) {
  return (type >= 130 && type <= 132) || type == 143;
}

// ICMP messages that carry the packet which they are about.
bool IsIcmpError(Family family, uint8_t type) {
  if (family == Family::kIpv6) return type >= 1 && type <= 4;
  return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

constexpr uint32_t kIpv6NextHeader = offsetof(wire::Ipv6, next_header);
constexpr std::array<uint8_t, 4> kAllHosts = {224, 0, 0, 1};

bool IsNeighborDiscovery(uint8_t type) { return type >= 133 && type <= 137; }

bool IsLinkLocal(const std::array<uint8_t, 16>& address) {
  return address[0] == 0xfe && (address[1] & 0xc0) == 0x80;
}

bool Drop(PacketInfo* info, DropReason reason) {
  info->kind = Kind::kMalformed;
  info->drop = reason;
  return false;
}

// Flags that no TCP of good faith sends together.
bool TcpFlagsAreSound(uint8_t flags) {
  if (flags & kTcpSyn) return !(flags & (kTcpRst | kTcpFin));
  if (!(flags & (kTcpAck | kTcpRst))) return false;
  if (!(flags & kTcpAck)) return !(flags & (kTcpFin | kTcpPush | kTcpUrg));
  return true;
}

void FillTcp(const wire::Tcp& tcp, PacketInfo* info) {
  info->source_port = tcp.source_port;
  info->destination_port = tcp.destination_port;
  info->sequence = tcp.sequence.host();
  info->acknowledgment = tcp.acknowledgment.host();
  info->window = tcp.window.host();
  info->tcp_flags = tcp.flags;
  info->l4_header_length = static_cast<uint8_t>((tcp.data_offset >> 4) * 4);
  if (info->l4_header_length > sizeof tcp) info->flags |= kTcpOptions;
  if ((tcp.data_offset & wire::kTcpReserved) != 0 ||
      (tcp.urgent != Be16(0) && (tcp.flags & kTcpUrg) == 0)) [[unlikely]] {
    info->flags |= kUnclean;
  }
}

// Walks one packet of any shape. Every header is taken through Read(), which
// checks it against the end of the data.
class Walk {
 public:
  Walk(const rte_mbuf& mbuf, PacketInfo* info)
      : mbuf_(mbuf), info_(info), end_(mbuf.pkt_len) {}

  // Everything but checksums. False when the packet is malformed or not IP.
  bool Run() {
    wire::Ethernet ethernet;
    if (!Read(0, &ethernet)) return Drop(info_, DropReason::kShort);
    uint32_t offset = sizeof ethernet;
    uint16_t type = ethernet.type.host();
    for (uint32_t tags = 0;
         type == wire::ethertype::kVlan || type == wire::ethertype::kQinq;
         ++tags) {
      if (tags == kMaxVlanTags) return Drop(info_, DropReason::kNormalize);
      wire::Vlan vlan;
      if (!Read(offset, &vlan)) return Drop(info_, DropReason::kShort);
      info_->flags |= kVlanTagged;
      if (tags == 0) {
        info_->SetVlanPriority(
            static_cast<uint8_t>(vlan.control.host() >> 13));
      }
      offset += sizeof vlan;
      type = vlan.type.host();
    }
    info_->l3_offset = static_cast<uint8_t>(offset);
    if (type == wire::ethertype::kIpv4) return Ipv4(offset);
    if (type == wire::ethertype::kIpv6) return Ipv6(offset);
    info_->kind = Kind::kNonIp;
    return false;
  }

 private:
  template <typename Header>
  bool Read(uint32_t offset, Header* header) const {
    if (offset > end_ || end_ - offset < sizeof *header) return false;
    const void* at =
        rte_pktmbuf_read(&mbuf_, offset, sizeof *header, header);
    if (at == nullptr) return false;
    if (at != header) std::memcpy(header, at, sizeof *header);
    return true;
  }

  bool Ipv4(uint32_t offset) {
    info_->family = Family::kIpv4;
    wire::Ipv4 ip;
    if (!Read(offset, &ip)) return Drop(info_, DropReason::kShort);
    if (ip.version_length >> 4 != 4) {
      return Drop(info_, DropReason::kNormalize);
    }
    const uint32_t header_length = (ip.version_length & 0xf) * 4u;
    const uint32_t total_length = ip.total_length.host();
    if (header_length < sizeof ip || total_length < header_length ||
        total_length > end_ - offset) {
      return Drop(info_, DropReason::kShort);
    }
    end_ = offset + total_length;
    info_->ip_length = static_cast<uint16_t>(total_length);
    std::copy(ip.source.begin(), ip.source.end(), info_->source.begin());
    std::copy(ip.destination.begin(), ip.destination.end(),
              info_->destination.begin());
    info_->tos = ip.tos;
    info_->ttl = ip.ttl;
    info_->proto = ip.proto;
    bool alert = false;
    if (header_length > sizeof ip) {
      if (!Ipv4Options(offset + sizeof ip, offset + header_length, &alert)) {
        return Drop(info_, DropReason::kIpOption);
      }
      if (!(alert && ip.proto == protocol::kIgmp)) info_->flags |= kIpOptions;
    }
    const uint16_t fragment = ip.fragment.host();
    if (fragment & wire::kIpv4DontFragment) info_->flags |= kDontFragment;
    const uint32_t l4_offset = offset + header_length;
    if (fragment & (wire::kIpv4MoreFragments | wire::kIpv4OffsetMask)) {
      info_->acknowledgment = ip.id.host();
      return Fragment(l4_offset, (fragment & wire::kIpv4OffsetMask) * 8u,
                      (fragment & wire::kIpv4MoreFragments) != 0);
    }
    return Upper(l4_offset, 0);
  }

  // `only_alert` is set when there is a router alert and else only padding.
  bool Ipv4Options(uint32_t offset, uint32_t end, bool* only_alert) const {
    bool alert = false, other = false;
    while (offset < end) {
      uint8_t type, length;
      if (!Read(offset, &type)) return false;
      if (type == kIpv4OptionEnd) break;
      if (type == kIpv4OptionNop) {
        ++offset;
        continue;
      }
      if (end - offset < 2 || !Read(offset + 1, &length) || length < 2 ||
          length > end - offset) {
        return false;
      }
      (type == kIpv4OptionRouterAlert ? alert : other) = true;
      offset += length;
    }
    *only_alert = alert && !other;
    return true;
  }

  bool Ipv6(uint32_t offset) {
    info_->family = Family::kIpv6;
    wire::Ipv6 ip;
    if (!Read(offset, &ip)) return Drop(info_, DropReason::kShort);
    const uint32_t first_word = ip.version_class_flow.host();
    if (first_word >> 28 != 6) return Drop(info_, DropReason::kNormalize);
    const uint32_t payload_length = ip.payload_length.host();
    if (payload_length > end_ - offset - sizeof ip) {
      return Drop(info_, DropReason::kShort);
    }
    const uint32_t total_length = sizeof ip + payload_length;
    if (total_length > 0xffff) return Drop(info_, DropReason::kShort);
    end_ = offset + total_length;
    info_->ip_length = static_cast<uint16_t>(total_length);
    info_->source = ip.source;
    info_->destination = ip.destination;
    info_->tos = static_cast<uint8_t>(first_word >> 20);
    info_->ttl = ip.hop_limit;
    info_->proto = ip.next_header;
    return Upper(offset + sizeof ip, 0, /*first=*/true);
  }

  // From the first byte behind the IP header through extension headers to the
  // transport header. `headers` have been walked.
  bool Upper(uint32_t offset, int headers, bool first = false) {
    bool routing_seen = false;
    bool alert = false, options = false;
    // Where the byte is that names the header at `offset`.
    uint32_t name = info_->l3_offset + kIpv6NextHeader;
    for (;; ++headers, first = false) {
      if (headers == kMaxExtensionHeaders) {
        return Drop(info_, DropReason::kIpOption);
      }
      const bool v6 = info_->family == Family::kIpv6;
      const uint8_t proto = info_->proto;
      const bool walks =
          proto == protocol::kAh ||
          (v6 && (proto == protocol::kHopByHop ||
                  proto == protocol::kRouting ||
                  proto == protocol::kDestinationOptions ||
                  proto == protocol::kIpv6Fragment));
      if (!walks) break;
      if (proto == protocol::kIpv6Fragment) {
        wire::Ipv6Fragment fragment;
        if (!Read(offset, &fragment)) return Drop(info_, DropReason::kShort);
        if (fragment_seen_) return Drop(info_, DropReason::kFragment);
        fragment_seen_ = true;
        info_->proto = fragment.next_header;
        const uint32_t here = offset;
        offset += sizeof fragment;
        const uint16_t bits = fragment.offset_flags.host();
        const bool more = (bits & wire::kIpv6MoreFragments) != 0;
        // An atomic fragment (RFC 6946) is a whole packet.
        if ((bits & wire::kIpv6OffsetMask) == 0 && !more) {
          name = here;
          continue;
        }
        if (options) info_->flags |= kIpOptions;
        info_->acknowledgment = fragment.id.host();
        info_->window = static_cast<uint16_t>(name);
        return Fragment(offset, bits & wire::kIpv6OffsetMask, more);
      }
      wire::Ipv6Extension extension;
      if (!Read(offset, &extension)) return Drop(info_, DropReason::kShort);
      const uint32_t length = proto == protocol::kAh
                                  ? (extension.length + 2u) * 4
                                  : (extension.length + 1u) * 8;
      if (length > end_ - offset) return Drop(info_, DropReason::kShort);
      if (proto == protocol::kHopByHop && !first) {
        return Drop(info_, DropReason::kIpOption);
      }
      if (proto == protocol::kRouting) {
        if (routing_seen || extension.routing_type == 0) {
          return Drop(info_, DropReason::kIpOption);
        }
        routing_seen = true;
        info_->flags |= kRoutingHeader;
      } else if (proto != protocol::kAh) {
        bool only_alert = false;
        if (!Ipv6Options(offset + 2, offset + length, &only_alert)) {
          return Drop(info_, DropReason::kIpOption);
        }
        if (proto == protocol::kHopByHop && only_alert) {
          alert = true;
        } else {
          options = true;
        }
      }
      info_->proto = extension.next_header;
      name = offset;
      offset += length;
    }
    if (!Transport(offset)) return false;
    const bool mld = info_->family == Family::kIpv6 &&
                     info_->proto == protocol::kIcmp6 &&
                     IsMld(info_->icmp_type);
    if (options || (alert && !mld)) info_->flags |= kIpOptions;
    return true;
  }

  bool Ipv6Options(uint32_t offset, uint32_t end, bool* only_alert) const {
    bool alert = false, other = false;
    while (offset < end) {
      uint8_t type, length;
      if (!Read(offset, &type)) return false;
      if (type == kIpv6OptionPad1) {
        ++offset;
        continue;
      }
      if (end - offset < 2 || !Read(offset + 1, &length) ||
          length > end - offset - 2) {
        return false;
      }
      if (type == kIpv6OptionJumbo) return false;
      if (type == kIpv6OptionRouterAlert) {
        alert = true;
      } else if (type != kIpv6OptionPadN) {
        other = true;
      }
      offset += 2u + length;
    }
    *only_alert = alert && !other;
    return true;
  }

  // `position` is the byte of the unfragmented payload that this one starts
  // at.
  bool Fragment(uint32_t offset, uint32_t position, bool more) {
    info_->flags |= kFragment;
    if (position == 0) info_->flags |= kFirstFragment;
    if (more) info_->flags |= kMoreFragments;
    info_->sequence = position;
    const uint32_t length = end_ - offset;
    if (length == 0 || (more && length % 8 != 0)) {
      return Drop(info_, DropReason::kFragment);
    }
    if (position + length > 0xffff) {
      return Drop(info_, DropReason::kBadOffset);
    }
    SetTransport(offset);
    info_->l4_header_length = 0;
    return true;
  }

  void SetTransport(uint32_t offset) {
    info_->l4_offset = static_cast<uint16_t>(offset);
    info_->l4_length = static_cast<uint16_t>(end_ - offset);
  }

  bool Transport(uint32_t offset) {
    SetTransport(offset);
    switch (info_->proto) {
      case protocol::kTcp: {
        wire::Tcp tcp;
        if (!Read(offset, &tcp)) return Drop(info_, DropReason::kShort);
        FillTcp(tcp, info_);
        if (tcp.destination_port == Be16(0)) {
          return Drop(info_, DropReason::kShort);
        }
        if (info_->l4_header_length < sizeof tcp) {
          return Drop(info_, DropReason::kNormalize);
        }
        if (info_->l4_header_length > info_->l4_length) {
          return Drop(info_, DropReason::kShort);
        }
        if (!TcpFlagsAreSound(tcp.flags)) {
          return Drop(info_, DropReason::kNormalize);
        }
        return true;
      }
      case protocol::kUdp: {
        wire::Udp udp;
        if (!Read(offset, &udp)) return Drop(info_, DropReason::kShort);
        const uint16_t length = udp.length.host();
        if (length < sizeof udp || length > info_->l4_length ||
            udp.destination_port == Be16(0)) {
          return Drop(info_, DropReason::kShort);
        }
        info_->source_port = udp.source_port;
        info_->destination_port = udp.destination_port;
        info_->l4_header_length = sizeof udp;
        info_->l4_length = length;
        return true;
      }
      case protocol::kSctp: {
        wire::Sctp sctp;
        if (!Read(offset, &sctp)) return Drop(info_, DropReason::kShort);
        info_->source_port = sctp.source_port;
        info_->destination_port = sctp.destination_port;
        info_->sequence = sctp.verification_tag.host();
        info_->l4_header_length = sizeof sctp;
        if (!SctpIsSound(mbuf_, *info_)) info_->flags |= kUnclean;
        return true;
      }
      case protocol::kIgmp:
        // RFC 1112: whoever asks all hosts asks those on its link.
        if (info_->family == Family::kIpv4 && info_->ttl != 1 &&
            std::equal(kAllHosts.begin(), kAllHosts.end(),
                       info_->destination.begin())) {
          return Drop(info_, DropReason::kIpOption);
        }
        return true;
      case protocol::kIcmp:
      case protocol::kIcmp6:
        // The one's messages mean nothing in the other's family.
        if ((info_->proto == protocol::kIcmp) !=
            (info_->family == Family::kIpv4)) {
          return Drop(info_, DropReason::kNormalize);
        }
        return Icmp(offset);
      default:
        return true;
    }
  }

  bool Icmp(uint32_t offset) {
    wire::Icmp icmp;
    if (!Read(offset, &icmp)) return Drop(info_, DropReason::kShort);
    info_->icmp_type = icmp.type;
    info_->icmp_code = icmp.code;
    info_->l4_header_length = sizeof icmp;
    if (IsIcmpError(info_->family, icmp.type)) {
      info_->flags |= kIcmpError;
      return true;
    }
    if (info_->family == Family::kIpv6) {
      // As in pf: what may come from a neighbour only has come from there, and
      // is as long as it has to be.
      if (IsNeighborDiscovery(icmp.type) && info_->ttl != 255) {
        return Drop(info_, DropReason::kNormalize);
      }
      if (IsMld(icmp.type) &&
          (info_->ttl != 1 || !IsLinkLocal(info_->source))) {
        return Drop(info_, DropReason::kIpOption);
      }
      if (HasIcmp6Target(icmp.type) && info_->l4_length < kIcmp6TargetEnd) {
        return Drop(info_, DropReason::kShort);
      }
    }
    info_->source_port = IcmpIdentifier(mbuf_, *info_, icmp.id);
    return true;
  }

  const rte_mbuf& mbuf_;
  PacketInfo* const info_;
  // One past the last byte that belongs to the packet.
  uint32_t end_;
  bool fragment_seen_ = false;
};

bool Ipv4ChecksumIsRight(const rte_mbuf& mbuf, const PacketInfo& info) {
  uint8_t buffer[60];
  const uint8_t* first =
      static_cast<const uint8_t*>(
          rte_pktmbuf_read(&mbuf, info.l3_offset, 1, buffer));
  const uint32_t length = (*first & 0xf) * 4u;
  const void* at = rte_pktmbuf_read(&mbuf, info.l3_offset, length, buffer);
  return FoldSum(PartialSum(at, length)) == 0xffff;
}

// Whether the packet has no checksum and needs none: UDP, over IPv6 for tunnels
// (RFC 6935), and SCTP between peers that have agreed on it (RFC 9653). NICs
// differ in what they say of it, so that their word does not count.
bool HasNoChecksum(const rte_mbuf& mbuf, const PacketInfo& info) {
  if (info.proto == protocol::kSctp) {
    uint32_t sum;
    const void* at = rte_pktmbuf_read(
        &mbuf, info.l4_offset + sizeof(wire::Sctp) - sizeof sum, sizeof sum,
        &sum);
    if (at != &sum) std::memcpy(&sum, at, sizeof sum);
    return sum == 0;
  }
  if (info.proto != protocol::kUdp) return false;
  wire::Udp udp;
  const void* at = rte_pktmbuf_read(&mbuf, info.l4_offset, sizeof udp, &udp);
  if (at != &udp) std::memcpy(&udp, at, sizeof udp);
  return udp.checksum == Be16(0);
}

// The NIC's word where it gave one, else our own sum.
void VerifyChecksums(const rte_mbuf& mbuf, PacketInfo* info) {
  const uint64_t ip = mbuf.ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;
  const uint64_t l4 = mbuf.ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
  if (info->family == Family::kIpv4 &&
      (ip == RTE_MBUF_F_RX_IP_CKSUM_BAD ||
       (ip == RTE_MBUF_F_RX_IP_CKSUM_UNKNOWN &&
        !Ipv4ChecksumIsRight(mbuf, *info)))) {
    Drop(info, DropReason::kProtoCksum);
    return;
  }
  if (info->has(kFragment)) return;
  if (HasNoChecksum(mbuf, *info)) return;
  if (l4 == RTE_MBUF_F_RX_L4_CKSUM_BAD ||
      (l4 == RTE_MBUF_F_RX_L4_CKSUM_UNKNOWN &&
       !TransportChecksumIsRight(mbuf, *info))) {
    Drop(info, DropReason::kProtoCksum);
  }
}

// The common shapes: one segment, at most one VLAN tag, IPv4 without options
// or IPv6 without extension headers, a whole TCP or UDP packet. False, with
// `info` undefined, for all others and for whatever looks wrong: the walk then
// finds out what it is.
inline bool ParseCommon(const rte_mbuf& mbuf, bool verify, PacketInfo* info) {
  if (mbuf.nb_segs != 1 || mbuf.data_len < 42) return false;
  const auto* frame = rte_pktmbuf_mtod(&mbuf, const uint8_t*);
  uint32_t l3 = 14;
  uint16_t type, flags = 0;
  std::memcpy(&type, frame + 12, 2);
  if (type == Be16(wire::ethertype::kVlan).raw()) {
    std::memcpy(&type, frame + 16, 2);
    l3 = 18;
    flags = static_cast<uint16_t>(kVlanTagged |
                                  (frame[14] >> 5) << kVlanPriorityShift);
  }
  uint32_t l4, ip_length;
  uint8_t proto;
  uint64_t pseudo;
  *info = PacketInfo{};
  if (type == Be16(wire::ethertype::kIpv4).raw()) {
    wire::Ipv4 ip;
    std::memcpy(&ip, frame + l3, sizeof ip);
    ip_length = ip.total_length.host();
    const uint16_t fragment = ip.fragment.host();
    l4 = l3 + sizeof ip;
    if (ip.version_length != 0x45 || l3 + ip_length > mbuf.data_len ||
        (fragment & (wire::kIpv4MoreFragments | wire::kIpv4OffsetMask))) {
      return false;
    }
    if (fragment & wire::kIpv4DontFragment) flags |= kDontFragment;
    info->family = Family::kIpv4;
    std::memcpy(info->source.data(), &ip.source, 4);
    std::memcpy(info->destination.data(), &ip.destination, 4);
    info->tos = ip.tos;
    info->ttl = ip.ttl;
    proto = ip.proto;
    if (verify &&
        (mbuf.ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) !=
            RTE_MBUF_F_RX_IP_CKSUM_GOOD &&
        FoldSum(PartialSum(&ip, sizeof ip)) != 0xffff) {
      return false;
    }
    pseudo = PartialSum(ip.source.data(), 8);
  } else if (type == Be16(wire::ethertype::kIpv6).raw()) {
    if (mbuf.data_len < l3 + sizeof(wire::Ipv6)) return false;
    wire::Ipv6 ip;
    std::memcpy(&ip, frame + l3, sizeof ip);
    ip_length = sizeof ip + ip.payload_length.host();
    l4 = l3 + sizeof ip;
    const uint32_t first_word = ip.version_class_flow.host();
    if (first_word >> 28 != 6 || l3 + ip_length > mbuf.data_len ||
        ip_length > 0xffff) {
      return false;
    }
    info->family = Family::kIpv6;
    info->source = ip.source;
    info->destination = ip.destination;
    info->tos = static_cast<uint8_t>(first_word >> 20);
    info->ttl = ip.hop_limit;
    proto = ip.next_header;
    pseudo = verify ? PartialSum(ip.source.data(), 32) : 0;
  } else {
    return false;
  }
  const uint32_t end = l3 + ip_length;
  info->kind = Kind::kIp;
  info->proto = proto;
  info->l3_offset = static_cast<uint8_t>(l3);
  info->l4_offset = static_cast<uint16_t>(l4);
  info->ip_length = static_cast<uint16_t>(ip_length);
  uint32_t l4_length;
  if (proto == protocol::kTcp) {
    if (l4 + sizeof(wire::Tcp) > end) return false;
    wire::Tcp tcp;
    std::memcpy(&tcp, frame + l4, sizeof tcp);
    l4_length = end - l4;
    info->flags = flags;
    FillTcp(tcp, info);
    if (info->l4_header_length < sizeof tcp ||
        info->l4_header_length > l4_length || !TcpFlagsAreSound(tcp.flags) ||
        tcp.destination_port == Be16(0)) {
      return false;
    }
  } else if (proto == protocol::kUdp) {
    if (l4 + sizeof(wire::Udp) > end) return false;
    wire::Udp udp;
    std::memcpy(&udp, frame + l4, sizeof udp);
    l4_length = udp.length.host();
    if (l4_length < sizeof udp || l4 + l4_length > end ||
        udp.destination_port == Be16(0)) {
      return false;
    }
    info->flags = flags;
    info->source_port = udp.source_port;
    info->destination_port = udp.destination_port;
    info->l4_header_length = sizeof udp;
    if (udp.checksum == Be16(0)) verify = false;
  } else {
    return false;
  }
  info->l4_length = static_cast<uint16_t>(l4_length);
  if (verify && (mbuf.ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) !=
                    RTE_MBUF_F_RX_L4_CKSUM_GOOD) {
    pseudo += Be32(l4_length).raw() + Be16(proto).raw();
    if (FoldSum(pseudo + PartialSum(frame + l4, l4_length)) != 0xffff) {
      return false;
    }
  }
  return true;
}

}  // namespace

void ParsePacket(const rte_mbuf& mbuf, const ParseOptions& options,
                 PacketInfo* info) {
  *info = PacketInfo{};
  if ((mbuf.ol_flags & kFragmentMark) != 0) info->flags |= kReassembled;
  Walk walk(mbuf, info);
  if (!walk.Run()) return;
  info->kind = Kind::kIp;
  if (info->has(kReassembled) && info->has(kFragment)) {
    // A fragment of a fragment.
    Drop(info, DropReason::kFragment);
    return;
  }
  if (options.verify_checksums) VerifyChecksums(mbuf, info);
}

void ParseBurst(PacketBurst& burst, const ParseOptions& options) {
  // Far enough ahead for a frame to arrive from memory, near enough to be
  // still in the first-level cache when its turn comes.
  constexpr uint32_t kPrefetchAhead = 4;
  for (uint32_t i = 0; i < std::min(burst.count, kPrefetchAhead); ++i) {
    rte_prefetch0(rte_pktmbuf_mtod(burst.mbufs[i], void*));
  }
  for (uint32_t i = 0; i < burst.count; ++i) {
    if (i + kPrefetchAhead < burst.count) {
      rte_prefetch0(
          rte_pktmbuf_mtod(burst.mbufs[i + kPrefetchAhead], void*));
    }
    if (!ParseCommon(*burst.mbufs[i], options.verify_checksums,
                     &burst.infos[i])) {
      ParsePacket(*burst.mbufs[i], options, &burst.infos[i]);
    }
  }
}

}  // namespace sluice
