#include "packet/neighbor.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>

#include "packet/checksum.h"
#include "packet/headers.h"
#include "packet/icmp.h"
#include "packet/rewrite.h"

namespace sluice {
namespace {

constexpr uint16_t kArpRequest = 1;
constexpr uint16_t kArpReply = 2;
constexpr uint8_t kSourceLink = 1;  // options of neighbour discovery
constexpr uint8_t kTargetLink = 2;
// Flags of an advertisement: it was asked for, it replaces what was known.
constexpr uint8_t kSolicited = 0x40;
constexpr uint8_t kOverride = 0x20;
constexpr uint8_t kNdHopLimit = 255;
constexpr MacAddress kBroadcast = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
// Options that are looked at: the one that counts stands in front.
constexpr int kMaxOptions = 8;

#pragma pack(push, 1)
struct Arp {
  Be16 hardware;
  Be16 protocol;
  uint8_t hardware_length;
  uint8_t protocol_length;
  Be16 operation;
  MacAddress sender_link;
  std::array<uint8_t, 4> sender;
  MacAddress target_link;
  std::array<uint8_t, 4> target;
};
static_assert(sizeof(Arp) == 28);

// Solicitation and advertisement, with the one option that they have here.
struct Discovery {
  uint8_t type;
  uint8_t code;
  Be16 checksum;
  std::array<uint8_t, 4> flags;
  std::array<uint8_t, 16> target;
  uint8_t option;
  uint8_t option_length;  // in units of eight bytes
  MacAddress link;
};
static_assert(sizeof(Discovery) == 32);
constexpr uint32_t kLinkOption = 8;
#pragma pack(pop)

template <typename T>
bool CopyOut(const rte_mbuf& frame, uint32_t offset, T* out) {
  const void* data = rte_pktmbuf_read(&frame, offset, sizeof *out, out);
  if (data == nullptr) return false;
  if (data != out) std::memcpy(out, data, sizeof *out);
  return true;
}

// Where the frame's payload begins, and its type.
bool FindPayload(const rte_mbuf& frame, const PacketInfo& info,
                 uint32_t* offset, uint16_t* type) {
  *offset = info.has(kVlanTagged) ? info.l3_offset
                                  : static_cast<uint32_t>(sizeof(wire::Ethernet));
  Be16 value;
  if (!CopyOut(frame, *offset - sizeof value, &value)) return false;
  *type = value.host();
  return true;
}

Address V4(const std::array<uint8_t, 4>& bytes) {
  return Address::FromBytes(Family::kIpv4, bytes.data());
}

bool IsUnspecified(const Address& address) {
  return std::ranges::all_of(address.bytes,
                             [](uint8_t byte) { return byte == 0; });
}

bool ReadArp(const rte_mbuf& frame, uint32_t offset, NeighborMessage* message) {
  Arp arp;
  if (!CopyOut(frame, offset, &arp) || arp.hardware.host() != 1 ||
      arp.protocol.host() != wire::ethertype::kIpv4 ||
      arp.hardware_length != sizeof(MacAddress) || arp.protocol_length != 4) {
    return false;
  }
  const uint16_t operation = arp.operation.host();
  if (operation != kArpRequest && operation != kArpReply) return false;
  message->sender = V4(arp.sender);
  message->target = V4(arp.target);
  message->link = arp.sender_link;
  if (!IsHost(message->link)) return false;
  message->asks = operation == kArpRequest && arp.sender != arp.target;
  if (!message->asks) message->target = message->sender;
  if (IsUnspecified(message->target)) return false;
  if (IsUnspecified(message->sender)) message->sender = Address();
  return true;
}

bool ReadDiscovery(const rte_mbuf& frame, const PacketInfo& info,
                   NeighborMessage* message) {
  if (info.proto != protocol::kIcmp6 || info.has(kFragment) ||
      info.icmp_code != 0 || info.ttl != kNdHopLimit ||
      (info.icmp_type != icmp6::kNeighborSolicitation &&
       info.icmp_type != icmp6::kNeighborAdvertisement)) {
    return false;
  }
  std::array<uint8_t, 16> target;
  if (info.l4_length < kIcmp6TargetEnd ||
      !CopyOut(frame, info.l4_offset + uint32_t{8}, &target)) {
    return false;
  }
  message->asks = info.icmp_type == icmp6::kNeighborSolicitation;
  message->target = Address::FromBytes(Family::kIpv6, target.data());
  message->sender = info.source_address();
  if (IsUnspecified(message->sender)) message->sender = Address();
  message->link = LinkSource(frame);
  // What its option says; a message without one says the frame's own.
  const uint8_t wanted = message->asks ? kSourceLink : kTargetLink;
  uint32_t at = info.l4_offset + kIcmp6TargetEnd;
  const uint32_t end = info.l4_offset + uint32_t{info.l4_length};
  for (int i = 0; i < kMaxOptions && at + kLinkOption <= end; ++i) {
    std::array<uint8_t, kLinkOption> option;
    if (!CopyOut(frame, at, &option) || option[1] == 0) return false;
    if (option[0] == wanted) {
      std::copy_n(option.begin() + 2, message->link.size(),
                  message->link.begin());
      break;
    }
    at += uint32_t{option[1]} * kLinkOption;
  }
  return IsHost(message->link) && target[0] != 0xff &&
         !IsUnspecified(message->target);
}

// A frame's header; what it carries, `length` bytes, begins at the returned
// address. Null: there is no room.
uint8_t* Begin(const MacAddress& to, const MacAddress& from,
               const LinkTags& tags, uint16_t type, uint32_t length,
               rte_mbuf* mbuf) {
  const uint32_t header =
      static_cast<uint32_t>(sizeof(wire::Ethernet)) + tags.length;
  if (header + length > rte_pktmbuf_tailroom(mbuf)) return nullptr;
  auto* at = reinterpret_cast<uint8_t*>(
      rte_pktmbuf_append(mbuf, static_cast<uint16_t>(header + length)));
  std::memcpy(at, to.data(), to.size());
  std::memcpy(at + 6, from.data(), from.size());
  std::memcpy(at + 12, tags.bytes.data(), tags.length);
  const Be16 last(type);
  std::memcpy(at + 12 + tags.length, &last, sizeof last);
  return at + header;
}

bool BuildArp(uint16_t operation, const MacAddress& to,
              const MacAddress& from, const LinkTags& tags,
              const Address& sender, const MacAddress& target_link,
              const Address& target, rte_mbuf* mbuf) {
  uint8_t* at =
      Begin(to, from, tags, wire::ethertype::kArp, sizeof(Arp), mbuf);
  if (at == nullptr) return false;
  Arp arp{};
  arp.hardware = Be16(1);
  arp.protocol = Be16(wire::ethertype::kIpv4);
  arp.hardware_length = sizeof(MacAddress);
  arp.protocol_length = 4;
  arp.operation = Be16(operation);
  arp.sender_link = from;
  std::copy_n(sender.bytes.begin(), 4, arp.sender.begin());
  arp.target_link = target_link;
  std::copy_n(target.bytes.begin(), 4, arp.target.begin());
  std::memcpy(at, &arp, sizeof arp);
  return true;
}

struct DiscoveryText {
  uint8_t type;
  uint8_t flags;
  Address source;  // kNone: unspecified
  Address destination;
  Address target;
};

bool BuildDiscovery(const DiscoveryText& text, const MacAddress& to,
                    const MacAddress& from, const LinkTags& tags,
                    rte_mbuf* mbuf) {
  const bool asks = text.type == icmp6::kNeighborSolicitation;
  // A solicitation without a source has no option (RFC 4861 section 4.3).
  const auto length = static_cast<uint32_t>(
      asks && text.source.family == Family::kNone
          ? sizeof(Discovery) - kLinkOption
          : sizeof(Discovery));
  uint8_t* at = Begin(to, from, tags, wire::ethertype::kIpv6,
                      static_cast<uint32_t>(sizeof(wire::Ipv6)) + length, mbuf);
  if (at == nullptr) return false;
  wire::Ipv6 ip{};
  ip.version_class_flow = Be32(0x60000000);
  ip.payload_length = Be16(static_cast<uint16_t>(length));
  ip.next_header = protocol::kIcmp6;
  ip.hop_limit = kNdHopLimit;
  ip.source = text.source.bytes;
  ip.destination = text.destination.bytes;
  std::memcpy(at, &ip, sizeof ip);
  Discovery body{};
  body.type = text.type;
  body.flags[0] = text.flags;
  body.target = text.target.bytes;
  body.option = asks ? kSourceLink : kTargetLink;
  body.option_length = 1;
  body.link = from;
  const uint64_t sum =
      PartialSum(&body, length) +
      PseudoHeaderSum(Family::kIpv6, ip.source.data(), ip.destination.data(),
                      protocol::kIcmp6, length);
  body.checksum = Be16::FromRaw(static_cast<uint16_t>(~FoldSum(sum)));
  std::memcpy(at + sizeof ip, &body, length);
  return true;
}

Address AllNodes() {
  Address address;
  address.family = Family::kIpv6;
  address.bytes[0] = 0xff;
  address.bytes[1] = 0x02;
  address.bytes[15] = 1;
  return address;
}

// ff02::1:ff00:0/104 with the last 24 bits of the address.
Address SolicitedNode(const Address& address) {
  Address group = AllNodes();
  group.bytes[11] = 1;
  group.bytes[12] = 0xff;
  std::copy_n(address.bytes.begin() + 13, 3, group.bytes.begin() + 13);
  return group;
}

MacAddress GroupLink(const Address& group) {
  return {0x33,           0x33,           group.bytes[12],
          group.bytes[13], group.bytes[14], group.bytes[15]};
}

}  // namespace

bool ReadNeighborMessage(const rte_mbuf& frame, const PacketInfo& info,
                         NeighborMessage* message) {
  *message = {};
  if (info.kind == Kind::kIp) {
    return info.family == Family::kIpv6 && ReadDiscovery(frame, info, message);
  }
  uint32_t offset;
  uint16_t type;
  return info.kind == Kind::kNonIp &&
         FindPayload(frame, info, &offset, &type) &&
         type == wire::ethertype::kArp && ReadArp(frame, offset, message);
}

LinkTags ReadLinkTags(const rte_mbuf& frame, const PacketInfo& info) {
  LinkTags tags;
  if (!info.has(kVlanTagged)) return tags;
  const uint32_t length =
      info.l3_offset - static_cast<uint32_t>(sizeof(wire::Ethernet));
  if (length > tags.bytes.size()) return tags;
  CopyFromPacket(frame, 12, tags.bytes.data(), length);
  tags.length = static_cast<uint8_t>(length);
  return tags;
}

bool BuildNeighborAnswer(const rte_mbuf& frame, const PacketInfo& info,
                         const NeighborMessage& message, const MacAddress& own,
                         rte_mbuf* answer) {
  const LinkTags tags = ReadLinkTags(frame, info);
  const bool nameless = message.sender.family == Family::kNone;
  if (message.target.family == Family::kIpv4) {
    Address to = message.sender;
    to.family = Family::kIpv4;
    return BuildArp(kArpReply, message.link, own, tags, message.target,
                    message.link, to, answer);
  }
  const Address to = nameless ? AllNodes() : message.sender;
  return BuildDiscovery(
      {.type = icmp6::kNeighborAdvertisement,
       .flags = static_cast<uint8_t>(kOverride | (nameless ? 0 : kSolicited)),
       .source = message.target,
       .destination = to,
       .target = message.target},
      nameless ? GroupLink(to) : message.link, own, tags, answer);
}

bool BuildNeighborProbe(const Address& target, const MacAddress& own,
                        const LinkTags& tags, rte_mbuf* probe) {
  if (target.family == Family::kIpv4) {
    return BuildArp(kArpRequest, kBroadcast, own, tags,
                    Address::V4(0), MacAddress{}, target, probe);
  }
  const Address group = SolicitedNode(target);
  return BuildDiscovery({.type = icmp6::kNeighborSolicitation,
                         .flags = 0,
                         .source = Address(),
                         .destination = group,
                         .target = target},
                        GroupLink(group), own, tags, probe);
}

bool BuildNeighborAnnouncement(const Address& address, const MacAddress& own,
                               const LinkTags& tags, rte_mbuf* announcement) {
  if (address.family == Family::kIpv4) {
    return BuildArp(kArpRequest, kBroadcast, own, tags, address,
                    MacAddress{}, address, announcement);
  }
  const Address group = AllNodes();
  return BuildDiscovery({.type = icmp6::kNeighborAdvertisement,
                         .flags = kOverride,
                         .source = address,
                         .destination = group,
                         .target = address},
                        GroupLink(group), own, tags, announcement);
}

MacAddress LinkSource(const rte_mbuf& frame) {
  MacAddress address;
  CopyFromPacket(frame, 6, address.data(), address.size());
  return address;
}

MacAddress LinkDestination(const rte_mbuf& frame) {
  MacAddress address;
  CopyFromPacket(frame, 0, address.data(), address.size());
  return address;
}

void SetLinkSource(rte_mbuf& frame, const MacAddress& address) {
  CopyToPacket(frame, 6, address.data(), address.size());
}

void SetLinkDestination(rte_mbuf& frame, const MacAddress& address) {
  CopyToPacket(frame, 0, address.data(), address.size());
}

}  // namespace sluice
