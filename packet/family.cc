#include "packet/family.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "packet/checksum.h"
#include "packet/embedded_address.h"
#include "packet/fragment.h"
#include "packet/front.h"
#include "packet/headers.h"
#include "packet/icmp.h"
#include "packet/icmp_family.h"
#include "packet/parse.h"
#include "packet/rewrite.h"

namespace sluice {
namespace {

constexpr uint8_t kDccpProtocol = 33;
constexpr uint8_t kUdpLiteProtocol = 136;
// Ethernet and two VLAN tags.
constexpr size_t kMostLinkBytes = 22;
constexpr uint32_t kMostIpv4Bytes = 0xffff;
constexpr uint32_t kMostPayload6 = 0xffff;
// Larger ones say "do not fragment" in IPv4 (RFC 7915 section 5.1).
constexpr uint32_t kLargestFragmentable = kIpv6LeastMtu - kFamilyGrowth;
// Multiples of 8 that fit behind IPv6 and fragment headers.
constexpr uint32_t kFragmentData6 = (kIpv6LeastMtu - 48) & ~7u;

constexpr bool IsIcmpProtocol(uint8_t proto) {
  return proto == protocol::kIcmp || proto == protocol::kIcmp6;
}

// The front of the new frame.
class Front {
 public:
  explicit Front(const rte_mbuf& mbuf, uint32_t l3) : size_(l3) {
    CopyFromPacket(mbuf, 0, bytes_.data(), l3);
  }
  void SetEthertype(Family family) {
    const Be16 type(family == Family::kIpv4 ? wire::ethertype::kIpv4
                                            : wire::ethertype::kIpv6);
    std::memcpy(bytes_.data() + size_ - sizeof type, &type, sizeof type);
  }
  template <typename Header>
  void Add(const Header& header) {
    std::memcpy(bytes_.data() + size_, &header, sizeof header);
    size_ += sizeof header;
  }
  std::span<const uint8_t> bytes() const {
    return std::span(bytes_).first(size_);
  }

 private:
  std::array<uint8_t, kMostLinkBytes + 2 * sizeof(wire::Ipv6) +
                          sizeof(wire::Icmp)>
      bytes_;
  size_t size_;
};

struct IpFields {
  uint8_t tos = 0;
  uint8_t ttl = 0;
  uint8_t proto = 0;
  uint16_t id = 0;
  bool dont_fragment = false;
  uint32_t payload = 0;
};

void AddIp(Front& front, Family family, const IpFields& fields,
           const std::array<uint8_t, 16>& source,
           const std::array<uint8_t, 16>& destination) {
  if (family == Family::kIpv6) {
    wire::Ipv6 ip{};
    ip.version_class_flow = Be32(0x60000000 | uint32_t{fields.tos} << 20);
    ip.payload_length = Be16(static_cast<uint16_t>(fields.payload));
    ip.next_header = fields.proto;
    ip.hop_limit = fields.ttl;
    ip.source = source;
    ip.destination = destination;
    front.Add(ip);
    return;
  }
  wire::Ipv4 ip{};
  ip.version_length = 0x45;
  ip.tos = fields.tos;
  ip.total_length = Be16(static_cast<uint16_t>(sizeof ip + fields.payload));
  ip.id = Be16(fields.id);
  ip.fragment = Be16(fields.dont_fragment ? wire::kIpv4DontFragment : 0);
  ip.ttl = fields.ttl;
  ip.proto = fields.proto;
  std::copy_n(source.begin(), 4, ip.source.begin());
  std::copy_n(destination.begin(), 4, ip.destination.begin());
  ip.checksum = Be16::FromRaw(
      static_cast<uint16_t>(~FoldSum(PartialSum(&ip, sizeof ip))));
  front.Add(ip);
}

// Identification and "do not fragment" of an IPv4 header that is made.
void SetFragmentation(uint32_t id, IpFields* fields) {
  fields->dont_fragment =
      sizeof(wire::Ipv4) + fields->payload > kLargestFragmentable;
  if (!fields->dont_fragment) fields->id = static_cast<uint16_t>(id);
}

// Whether all that lies between the IP header and the transport's may be left
// out.
bool CanStrip4(const rte_mbuf& mbuf, const PacketInfo& info) {
  constexpr uint8_t kEnd = 0;
  constexpr uint8_t kNothing = 1;
  constexpr uint8_t kLooseRoute = 131;
  constexpr uint8_t kStrictRoute = 137;
  wire::Ipv4 ip;
  CopyFromPacket(mbuf, info.l3_offset, &ip, sizeof ip);
  const uint32_t header = (ip.version_length & 0xf) * 4u;
  if (ip.proto != info.proto ||
      info.l3_offset + header != info.l4_offset) {
    return false;
  }
  std::array<uint8_t, 40> options;
  const uint32_t length = header - sizeof ip;
  if (length == 0) return true;
  CopyFromPacket(mbuf, info.l3_offset + sizeof ip, options.data(), length);
  for (uint32_t at = 0; at < length && options[at] != kEnd;) {
    if (options[at] == kNothing) {
      ++at;
      continue;
    }
    if (at + 3 > length || options[at + 1] < 2) return at + 2 <= length;
    const bool route =
        options[at] == kLooseRoute || options[at] == kStrictRoute;
    // It is used up once its pointer is behind it.
    if (route && options[at + 2] <= options[at + 1]) return false;
    at += options[at + 1];
  }
  return true;
}

bool CanStrip6(const rte_mbuf& mbuf, const PacketInfo& info) {
  wire::Ipv6 ip;
  CopyFromPacket(mbuf, info.l3_offset, &ip, sizeof ip);
  uint8_t proto = ip.next_header;
  uint32_t offset = info.l3_offset + sizeof ip;
  while (offset < info.l4_offset) {
    wire::Ipv6Extension extension;
    CopyFromPacket(mbuf, offset, &extension, sizeof extension);
    if (proto == protocol::kAh ||
        (proto == protocol::kRouting && extension.segments_left != 0)) {
      return false;
    }
    offset += proto == protocol::kIpv6Fragment
                  ? sizeof(wire::Ipv6Fragment)
                  : (extension.length + 1u) * 8;
    proto = extension.next_header;
  }
  return offset == info.l4_offset && proto == info.proto;
}

bool IsForwarded(Family family, const std::array<uint8_t, 16>& address) {
  if (family == Family::kIpv4) {
    return address[0] != 0 && address[0] != 127 && address[0] < 224;
  }
  const bool link_local = address[0] == 0xfe && (address[1] & 0xc0) == 0x80;
  // The unspecified address and the host's own.
  const bool own = std::all_of(address.begin(), address.end() - 1,
                               [](uint8_t byte) { return byte == 0; });
  return address[0] != 0xff && !link_local && !own;
}

// Whether the other family has such a transport, or message.
bool TransportCrosses(const PacketInfo& info) {
  const bool v4 = info.family == Family::kIpv4;
  switch (info.proto) {
    case protocol::kIcmp:
      return v4 && (info.icmp_type == 0 || info.icmp_type == 8);
    case protocol::kIcmp6:
      return !v4 && (info.icmp_type == 128 || info.icmp_type == 129);
    case protocol::kHopByHop:
    case protocol::kIgmp:
    case protocol::kRouting:
    case protocol::kIpv6Fragment:
    case protocol::kAh:
    case protocol::kNoNext:
    case protocol::kDestinationOptions:
      return false;
    default:
      return true;
  }
}

uint64_t AddressSum(Family family, const std::array<uint8_t, 16>& source,
                    const std::array<uint8_t, 16>& destination) {
  const size_t bytes = AddressBits(family) / 8;
  return PartialSum(source.data(), bytes) +
         PartialSum(destination.data(), bytes);
}

// Where a transport has its checksum over a pseudo header; 0: it has none.
uint32_t ChecksumField(uint8_t proto) {
  switch (proto) {
    case protocol::kTcp:
      return 16;
    case protocol::kUdp:
    case kDccpProtocol:
    case kUdpLiteProtocol:
      return 6;
    default:
      return 0;
  }
}

struct TransportPart {
  uint32_t end;       // what is there of it ends here
  uint32_t length;    // what its headers say that it has
  bool rewritten = true;  // false: it is nothing in the other family
  bool ports = false;     // SCTP's have changed
  bool no_checksum = false;
};

// Rewrites a transport header that lies at info.l4_offset, in place: ports, an
// echo's type and identifier, and its checksum, as far as they are there.
void RewriteTransport(rte_mbuf& mbuf, const PacketInfo& info,
                      const PacketEnds& ends, TransportPart* transport) {
  const Family to = Across(info.family);
  const uint32_t l4 = info.l4_offset;
  const auto has = [&](uint32_t length) {
    return l4 + length <= transport->end;
  };
  uint64_t removed = AddressSum(info.family, info.source, info.destination);
  uint64_t added = AddressSum(to, ends.source, ends.destination);
  if (IsIcmpProtocol(info.proto)) {
    wire::Icmp icmp;
    if (!has(sizeof icmp)) {
      transport->rewritten = false;
      return;
    }
    CopyFromPacket(mbuf, l4, &icmp, sizeof icmp);
    const Be16 checksum = icmp.checksum;
    icmp.checksum = Be16(0);
    // Only that of ICMPv6 covers addresses.
    const uint64_t pseudo =
        Be32(transport->length).raw() + Be16(protocol::kIcmp6).raw();
    removed = PartialSum(&icmp, sizeof icmp) +
              (to == Family::kIpv4 ? removed + pseudo : 0);
    transport->rewritten = TranslateIcmp(info.family, 0, &icmp);
    icmp.id = ends.source_port;
    added = PartialSum(&icmp, sizeof icmp) +
            (to == Family::kIpv6 ? added + pseudo : 0);
    icmp.checksum = AdjustChecksum(checksum, removed, added);
    CopyToPacket(mbuf, l4, &icmp, sizeof icmp);
    return;
  }
  const bool ports = info.proto == protocol::kTcp ||
                     info.proto == protocol::kUdp ||
                     info.proto == protocol::kSctp;
  if (ports && has(4)) {
    const std::array<uint16_t, 2> old = {info.source_port.raw(),
                                         info.destination_port.raw()};
    const std::array<uint16_t, 2> both = {ends.source_port.raw(),
                                          ends.destination_port.raw()};
    CopyToPacket(mbuf, l4, both.data(), sizeof both);
    removed += PartialSum(old.data(), sizeof old);
    added += PartialSum(both.data(), sizeof both);
    transport->ports = old != both;
  }
  const uint32_t field = ChecksumField(info.proto);
  if (field == 0 || !has(field + 2)) return;
  Be16 checksum;
  CopyFromPacket(mbuf, l4 + field, &checksum, sizeof checksum);
  const bool udp = info.proto == protocol::kUdp;
  if (udp && checksum == Be16(0)) {
    transport->no_checksum = true;
    return;
  }
  checksum = AdjustChecksum(checksum, removed, added);
  if (udp && checksum == Be16(0)) checksum = Be16(0xffff);
  CopyToPacket(mbuf, l4 + field, &checksum, sizeof checksum);
}

// What a NIC has said was of another packet; what a rule has said stays.
void ReadAnew(rte_mbuf& mbuf, PacketInfo* info) {
  mbuf.ol_flags =
      (mbuf.ol_flags & ~uint64_t{RTE_MBUF_F_RX_IP_CKSUM_MASK |
                                 RTE_MBUF_F_RX_L4_CKSUM_MASK}) |
      RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
  const bool set = info->has(kPrioritySet);
  const uint8_t priority = info->vlan_priority();
  ParsePacket(mbuf, {.verify_checksums = false}, info);
  if (set) {
    info->flags |= kPrioritySet;
    info->SetVlanPriority(priority);
  }
}

}  // namespace

bool MayCross(const PacketInfo& info) {
  return info.kind == Kind::kIp && !info.has(kFragment) &&
         info.l3_offset <= kMostLinkBytes &&
         IsForwarded(info.family, info.source) &&
         IsForwarded(info.family, info.destination) && TransportCrosses(info);
}

CrossResult CrossFamilies(rte_mbuf** packet, PacketInfo* info,
                          const Crossing& crossing, CrossedForm* form) {
  const Family to = Across(info->family);
  const bool v4 = info->family == Family::kIpv4;
  rte_mbuf& mbuf = **packet;
  if (!MayCross(*info) || info->ttl <= 1 ||
      !(v4 ? CanStrip4(mbuf, *info) : CanStrip6(mbuf, *info))) {
    return CrossResult::kRefused;
  }
  IpFields fields = {.tos = info->tos,
                     .ttl = static_cast<uint8_t>(info->ttl - 1),
                     .proto = ProtocolAcross(info->proto),
                     .payload = info->l4_length};
  *form = {.id = crossing.id};
  const bool reassembled = info->has(kReassembled);
  const uint32_t length =
      fields.payload + (v4 ? sizeof(wire::Ipv6) : sizeof(wire::Ipv4));
  if (v4) {
    if (fields.payload > kMostPayload6 - sizeof(wire::Ipv4)) {
      return CrossResult::kRefused;
    }
    if (info->has(kDontFragment) && !reassembled) {
      if (length > crossing.mtu) return CrossResult::kTooBig;
    } else if (length > kIpv6LeastMtu) {
      wire::Ipv4 ip;
      CopyFromPacket(mbuf, info->l3_offset, &ip, sizeof ip);
      form->id = ip.id.host();
      form->fragment_data = kFragmentData6;
    }
  } else {
    if (length > kMostIpv4Bytes) return CrossResult::kRefused;
    SetFragmentation(crossing.id, &fields);
    if (reassembled) {
      fields.dont_fragment = false;
      fields.id = static_cast<uint16_t>(crossing.id);
    }
    if (length > crossing.mtu) {
      if (!reassembled) return CrossResult::kTooBig;
      form->fragment_data = static_cast<uint16_t>(
          (crossing.mtu - sizeof(wire::Ipv4)) & ~size_t{7});
    }
  }

  TransportPart transport = {.end = uint32_t{info->l4_offset} + info->l4_length,
                         .length = info->l4_length};
  CutBack(mbuf, transport.end);
  RewriteTransport(mbuf, *info, crossing.ends, &transport);
  if (!transport.rewritten) return CrossResult::kRefused;
  Front front(mbuf, info->l3_offset);
  front.SetEthertype(to);
  AddIp(front, to, fields, crossing.ends.source, crossing.ends.destination);
  if (!ReplaceFront(packet, info->l4_offset, front.bytes(), crossing.pool)) {
    return CrossResult::kMemory;
  }
  ReadAnew(**packet, info);
  if (info->kind != Kind::kIp) return CrossResult::kRefused;
  // IPv6 has no UDP without a checksum (RFC 8200 section 8.1).
  if ((transport.no_checksum && v4) ||
      (transport.ports && info->proto == protocol::kSctp)) {
    WriteTransportChecksum(**packet, *info);
  }
  return CrossResult::kDone;
}

namespace {

// Where the quotation ends, without the extensions that RFC 4884 puts behind
// it.
uint32_t EndOfQuotation(const PacketInfo& info, const uint8_t* error) {
  const uint32_t end = uint32_t{info.l4_offset} + info.l4_length;
  uint32_t quoted = 0;
  if (info.family == Family::kIpv4) {
    const bool extended = error[0] == 3 || error[0] == 11 || error[0] == 12;
    if (extended) quoted = error[5] * 4u;
  } else {
    const bool extended = error[0] == 1 || error[0] == 3;
    if (extended) quoted = error[4] * 8u;
  }
  if (quoted == 0) return end;
  return std::min<uint32_t>(end, info.l4_offset + sizeof(wire::Icmp) + quoted);
}

// Who an error comes from, on the other side.
std::array<uint8_t, 16> SourceAcross(const PacketInfo& info,
                                     const PacketInfo& inner,
                                     const PacketEnds& quoted) {
  if (info.family == Family::kIpv6 || info.source == inner.destination) {
    return quoted.destination;
  }
  const uint8_t length = FindEmbedding(quoted.destination, inner.destination);
  return length == 0 ? quoted.destination
                     : EmbedIpv4(quoted.destination, length, info.source);
}

}  // namespace

CrossResult CrossIcmpError(rte_mbuf** packet, PacketInfo* info,
                           const PacketInfo& inner, const Crossing& crossing) {
  const Family to = Across(info->family);
  const bool v4 = info->family == Family::kIpv4;
  rte_mbuf& mbuf = **packet;
  const uint32_t quote = info->l4_offset + sizeof(wire::Icmp);
  if (info->ttl <= 1 || info->l3_offset > kMostLinkBytes ||
      inner.l4_offset < quote || !TransportCrosses(inner)) {
    return CrossResult::kRefused;
  }
  std::array<uint8_t, sizeof(wire::Icmp)> error;
  CopyFromPacket(mbuf, info->l4_offset, error.data(), error.size());
  wire::Icmp icmp;
  std::memcpy(&icmp, error.data(), sizeof icmp);
  if (!TranslateIcmp(info->family, inner.ip_length, &icmp)) {
    return CrossResult::kRefused;
  }
  icmp.checksum = Be16(0);

  const uint32_t old_header = inner.l4_offset - quote;
  const uint32_t claimed =
      inner.ip_length > old_header ? inner.ip_length - old_header : 0u;
  const uint32_t end = EndOfQuotation(*info, error.data());
  if (end < inner.l4_offset) return CrossResult::kRefused;
  TransportPart transport = {.end = end, .length = claimed};
  if (IsIcmpProtocol(inner.proto) && end < inner.l4_offset + 8u) {
    return CrossResult::kRefused;
  }
  RewriteTransport(mbuf, inner, crossing.ends, &transport);
  if (!transport.rewritten) return CrossResult::kRefused;

  // What is left of the quoted packet's transport.
  uint32_t rest = end - inner.l4_offset;
  const uint32_t headers =
      (v4 ? 2 * sizeof(wire::Ipv6) : 2 * sizeof(wire::Ipv4)) +
      sizeof(wire::Icmp);
  // An error of ICMPv6 fits everywhere (RFC 4443 section 2.4).
  if (v4) rest = std::min<uint32_t>(rest, kIpv6LeastMtu - headers);
  CutBack(mbuf, std::max<uint32_t>(inner.l4_offset + rest, 1));

  Front front(mbuf, info->l3_offset);
  front.SetEthertype(to);
  IpFields fields = {
      .tos = info->tos,
      .ttl = static_cast<uint8_t>(info->ttl - 1),
      .proto = v4 ? protocol::kIcmp6 : protocol::kIcmp,
      .payload = headers - static_cast<uint32_t>(v4 ? sizeof(wire::Ipv6)
                                                    : sizeof(wire::Ipv4)) +
                 rest};
  if (!v4) SetFragmentation(crossing.id, &fields);
  const PacketEnds& ends = crossing.ends;
  const std::array<uint8_t, 16> source =
      SourceAcross(*info, inner, ends);
  AddIp(front, to, fields, source, ends.source);
  const size_t error_at = front.bytes().size();
  front.Add(icmp);
  IpFields quoted = {.tos = inner.tos,
                     .ttl = inner.ttl,
                     .proto = ProtocolAcross(inner.proto),
                     .payload = claimed};
  if (!v4) SetFragmentation(0, &quoted);
  AddIp(front, to, quoted, ends.source, ends.destination);
  const uint32_t cut = inner.l4_offset;
  if (!ReplaceFront(packet, cut, front.bytes(), crossing.pool)) {
    return CrossResult::kMemory;
  }
  rte_mbuf& made = **packet;
  for (rte_mbuf* s = &made; s != nullptr; s = s->next) {
    s->ol_flags &= ~kFragmentMark;
  }
  const PacketInfo written = [&] {
    PacketInfo error_info{};
    error_info.family = to;
    error_info.source = source;
    error_info.destination = ends.source;
    error_info.proto = fields.proto;
    error_info.l4_offset = static_cast<uint16_t>(error_at);
    error_info.l4_length = static_cast<uint16_t>(fields.payload);
    return error_info;
  }();
  WriteTransportChecksum(made, written);
  ReadAnew(made, info);
  return info->kind == Kind::kIp ? CrossResult::kDone : CrossResult::kRefused;
}

}  // namespace sluice
