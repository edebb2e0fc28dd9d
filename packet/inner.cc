#include "packet/inner.h"

#include <rte_mbuf.h>

#include <algorithm>

#include "packet/headers.h"
#include "packet/icmp.h"
#include "packet/parse.h"

namespace sluice {
namespace {

// What RFC 792 and RFC 4443 put before the packet that they quote.
constexpr uint32_t kErrorHeader = 8;

class InnerWalk {
 public:
  InnerWalk(const rte_mbuf& mbuf, const PacketInfo& outer, PacketInfo* inner,
            DropReason* drop)
      : mbuf_(mbuf),
        inner_(inner),
        drop_(drop),
        end_(std::min<uint32_t>(uint32_t{outer.l4_offset} + outer.l4_length,
                                mbuf.pkt_len)) {}

  bool Run(const PacketInfo& outer) {
    const uint32_t offset = outer.l4_offset + kErrorHeader;
    if (offset > 0xff) {
      // l3_offset cannot say it; nobody reads the inner header again.
      inner_->l3_offset = 0xff;
    } else {
      inner_->l3_offset = static_cast<uint8_t>(offset);
    }
    inner_->kind = Kind::kIp;
    inner_->family = outer.family;
    return outer.family == Family::kIpv4 ? Ipv4(offset) : Ipv6(offset);
  }

 private:
  template <typename Header>
  bool Read(uint32_t offset, Header* header) const {
    if (offset > end_ || end_ - offset < sizeof *header) return false;
    const void* at = rte_pktmbuf_read(&mbuf_, offset, sizeof *header, header);
    if (at == nullptr) return false;
    if (at != header) std::memcpy(header, at, sizeof *header);
    return true;
  }

  bool Fail(DropReason reason) {
    *drop_ = reason;
    return false;
  }

  bool Ipv4(uint32_t offset) {
    wire::Ipv4 ip;
    if (!Read(offset, &ip)) return Fail(DropReason::kShort);
    const uint32_t header_length = (ip.version_length & 0xf) * 4u;
    if (header_length < sizeof ip) return Fail(DropReason::kShort);
    if ((ip.fragment.host() & wire::kIpv4OffsetMask) != 0) {
      return Fail(DropReason::kFragment);
    }
    std::copy(ip.source.begin(), ip.source.end(), inner_->source.begin());
    std::copy(ip.destination.begin(), ip.destination.end(),
              inner_->destination.begin());
    inner_->ip_length = ip.total_length.host();
    inner_->tos = ip.tos;
    inner_->ttl = ip.ttl;
    inner_->proto = ip.proto;
    return Upper(offset + header_length);
  }

  bool Ipv6(uint32_t offset) {
    wire::Ipv6 ip;
    if (!Read(offset, &ip)) return Fail(DropReason::kShort);
    const uint32_t first_word = ip.version_class_flow.host();
    inner_->source = ip.source;
    inner_->destination = ip.destination;
    inner_->ip_length = static_cast<uint16_t>(
        std::min<uint32_t>(sizeof ip + ip.payload_length.host(), 0xffff));
    inner_->tos = static_cast<uint8_t>(first_word >> 20);
    inner_->ttl = ip.hop_limit;
    inner_->proto = ip.next_header;
    return Upper(offset + sizeof ip);
  }

  // Over extension headers to the transport header.
  bool Upper(uint32_t offset) {
    const bool v6 = inner_->family == Family::kIpv6;
    for (int headers = 0; headers < kMaxExtensionHeaders; ++headers) {
      const uint8_t proto = inner_->proto;
      if (v6 && proto == protocol::kIpv6Fragment) {
        wire::Ipv6Fragment fragment;
        if (!Read(offset, &fragment)) return Fail(DropReason::kShort);
        if ((fragment.offset_flags.host() & wire::kIpv6OffsetMask) != 0) {
          return Fail(DropReason::kFragment);
        }
        inner_->proto = fragment.next_header;
        offset += sizeof fragment;
      } else if (proto == protocol::kAh ||
                 (v6 && (proto == protocol::kHopByHop ||
                         proto == protocol::kRouting ||
                         proto == protocol::kDestinationOptions))) {
        wire::Ipv6Extension extension;
        if (!Read(offset, &extension)) return Fail(DropReason::kShort);
        inner_->proto = extension.next_header;
        offset += proto == protocol::kAh ? (extension.length + 2u) * 4
                                         : (extension.length + 1u) * 8;
      } else {
        return Transport(offset);
      }
    }
    return Fail(DropReason::kIpOption);
  }

  bool Transport(uint32_t offset) {
    if (offset > end_) return Fail(DropReason::kShort);
    inner_->l4_offset = static_cast<uint16_t>(offset);
    inner_->l4_length = static_cast<uint16_t>(end_ - offset);
    switch (inner_->proto) {
      case protocol::kTcp:
      case protocol::kUdp:
      case protocol::kSctp: {
        struct Promised {
          Be16 source_port;
          Be16 destination_port;
          Be32 next;
        } header;
        if (!Read(offset, &header)) return Fail(DropReason::kShort);
        inner_->source_port = header.source_port;
        inner_->destination_port = header.destination_port;
        if (inner_->proto != protocol::kUdp) {
          inner_->sequence = header.next.host();
        }
        return true;
      }
      case protocol::kIcmp:
      case protocol::kIcmp6: {
        wire::Icmp icmp;
        if (!Read(offset, &icmp)) return Fail(DropReason::kShort);
        inner_->icmp_type = icmp.type;
        inner_->icmp_code = icmp.code;
        inner_->source_port = IcmpIdentifier(mbuf_, *inner_, icmp.id);
        return true;
      }
      default:
        return true;
    }
  }

  const rte_mbuf& mbuf_;
  PacketInfo* const inner_;
  DropReason* const drop_;
  const uint32_t end_;
};

}  // namespace

bool ParseInner(const rte_mbuf& mbuf, const PacketInfo& info,
                PacketInfo* inner, DropReason* drop) {
  *inner = PacketInfo{};
  return InnerWalk(mbuf, info, inner, drop).Run(info);
}

}  // namespace sluice
