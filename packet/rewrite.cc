#include "packet/rewrite.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <cstddef>

#include "packet/headers.h"
#include "packet/tcp_options.h"

namespace sluice {
namespace {

// Where the checksum lies in the transport header; 0: there is none that could
// be adjusted.
uint32_t ChecksumOffset(const PacketInfo& info) {
  if (info.has(kFragment)) return 0;
  switch (info.proto) {
    case protocol::kTcp:
      return offsetof(wire::Tcp, checksum);
    case protocol::kUdp:
      return offsetof(wire::Udp, checksum);
    case protocol::kIcmp:
      return info.family == Family::kIpv4 ? offsetof(wire::Icmp, checksum) : 0;
    case protocol::kIcmp6:
      return info.family == Family::kIpv6 ? offsetof(wire::Icmp, checksum) : 0;
    default:
      return 0;
  }
}

bool CoversAddresses(const PacketInfo& info) {
  return info.proto != protocol::kIcmp;
}

// Writes the 16-bit word at `offset` of an IPv4 header.
void SetIpv4Word(rte_mbuf& mbuf, const PacketInfo& info, uint32_t offset,
                 Be16 from, Be16 to) {
  if (from == to) return;
  CopyToPacket(mbuf, info.l3_offset + offset, &to, sizeof to);
  const uint32_t at = info.l3_offset + offsetof(wire::Ipv4, checksum);
  Be16 checksum;
  CopyFromPacket(mbuf, at, &checksum, sizeof checksum);
  checksum = AdjustChecksum(checksum, from.raw(), to.raw());
  CopyToPacket(mbuf, at, &checksum, sizeof checksum);
}

// The same, of the bits of `mask`.
void SetIpv4Bits(rte_mbuf& mbuf, const PacketInfo& info, uint32_t offset,
                 uint16_t mask, uint16_t bits) {
  Be16 word;
  CopyFromPacket(mbuf, info.l3_offset + offset, &word, sizeof word);
  SetIpv4Word(mbuf, info, offset, word,
              Be16(static_cast<uint16_t>((word.host() & ~mask) | bits)));
}

// A sum of bytes that begin at an odd place of what is summed.
uint64_t SumAt(uint32_t offset, const void* bytes, uint32_t length) {
  const uint64_t sum = PartialSum(bytes, length);
  return offset % 2 == 0 ? sum : SwapBytes(FoldSum(sum));
}

}  // namespace

void CopyFromPacket(const rte_mbuf& mbuf, uint32_t offset, void* to,
                    uint32_t length) {
  const void* at = rte_pktmbuf_read(&mbuf, offset, length, to);
  if (at != nullptr && at != to) std::memcpy(to, at, length);
}

void CopyToPacket(rte_mbuf& mbuf, uint32_t offset, const void* from,
                  uint32_t length) {
  const auto* bytes = static_cast<const uint8_t*>(from);
  for (rte_mbuf* segment = &mbuf; segment != nullptr && length > 0;
       segment = segment->next) {
    if (offset >= segment->data_len) {
      offset -= segment->data_len;
      continue;
    }
    const uint32_t part =
        std::min<uint32_t>(length, segment->data_len - offset);
    std::memcpy(rte_pktmbuf_mtod_offset(segment, uint8_t*, offset), bytes,
                part);
    bytes += part;
    length -= part;
    offset = 0;
  }
}

void SetTos(rte_mbuf& mbuf, PacketInfo& info, uint8_t tos) {
  if (info.tos == tos) return;
  info.tos = tos;
  if (info.family == Family::kIpv4) {
    SetIpv4Bits(mbuf, info, 0, 0x00ff, tos);
    return;
  }
  Be32 word;
  CopyFromPacket(mbuf, info.l3_offset, &word, sizeof word);
  word = Be32((word.host() & ~(0xffu << 20)) | uint32_t{tos} << 20);
  CopyToPacket(mbuf, info.l3_offset, &word, sizeof word);
}

void SetTtl(rte_mbuf& mbuf, PacketInfo& info, uint8_t ttl) {
  if (info.ttl == ttl) return;
  info.ttl = ttl;
  if (info.family == Family::kIpv4) {
    SetIpv4Bits(mbuf, info, offsetof(wire::Ipv4, ttl), 0xff00,
                static_cast<uint16_t>(ttl << 8));
    return;
  }
  CopyToPacket(mbuf, info.l3_offset + offsetof(wire::Ipv6, hop_limit), &ttl,
               sizeof ttl);
}

void ClearDontFragment(rte_mbuf& mbuf, PacketInfo& info) {
  if (!info.has(kDontFragment)) return;
  info.flags &= static_cast<uint16_t>(~kDontFragment);
  SetIpv4Bits(mbuf, info, offsetof(wire::Ipv4, fragment),
              wire::kIpv4DontFragment, 0);
}

void SetIpId(rte_mbuf& mbuf, const PacketInfo& info, Be16 id) {
  SetIpv4Bits(mbuf, info, offsetof(wire::Ipv4, id), 0xffff, id.host());
}

void SetAddress(rte_mbuf& mbuf, PacketInfo& info, AddressEnd end,
                const uint8_t* address) {
  const bool v4 = info.family == Family::kIpv4;
  const bool source = end == AddressEnd::kSource;
  const uint32_t length = v4 ? 4 : 16;
  uint8_t* known = source ? info.source.data() : info.destination.data();
  const uint64_t removed = PartialSum(known, length);
  const uint64_t added = PartialSum(address, length);
  std::memcpy(known, address, length);
  uint32_t offset;
  if (v4) {
    offset = source ? offsetof(wire::Ipv4, source)
                    : offsetof(wire::Ipv4, destination);
    const uint32_t at = info.l3_offset + offsetof(wire::Ipv4, checksum);
    Be16 checksum;
    CopyFromPacket(mbuf, at, &checksum, sizeof checksum);
    checksum = AdjustChecksum(checksum, removed, added);
    CopyToPacket(mbuf, at, &checksum, sizeof checksum);
  } else {
    offset = source ? offsetof(wire::Ipv6, source)
                    : offsetof(wire::Ipv6, destination);
  }
  CopyToPacket(mbuf, info.l3_offset + offset, address, length);
  if (CoversAddresses(info)) {
    AdjustTransportChecksum(mbuf, info, removed, added);
  }
}

void AdjustTransportChecksum(rte_mbuf& mbuf, const PacketInfo& info,
                             uint64_t removed, uint64_t added) {
  const uint32_t offset = ChecksumOffset(info);
  if (offset == 0) return;
  Be16 checksum;
  CopyFromPacket(mbuf, info.l4_offset + offset, &checksum, sizeof checksum);
  const bool udp = info.proto == protocol::kUdp;
  if (udp && checksum == Be16(0)) return;
  checksum = AdjustChecksum(checksum, removed, added);
  // Zero would say that there is none.
  if (udp && checksum == Be16(0)) checksum = Be16(0xffff);
  CopyToPacket(mbuf, info.l4_offset + offset, &checksum, sizeof checksum);
}

void ReplaceInTransport(rte_mbuf& mbuf, const PacketInfo& info,
                        uint32_t offset, const void* bytes, uint32_t length) {
  const auto* next = static_cast<const uint8_t*>(bytes);
  while (length > 0) {
    std::array<uint8_t, 64> old;
    const uint32_t part = std::min<uint32_t>(length, old.size());
    CopyFromPacket(mbuf, info.l4_offset + offset, old.data(), part);
    CopyToPacket(mbuf, info.l4_offset + offset, next, part);
    AdjustTransportChecksum(mbuf, info, SumAt(offset, old.data(), part),
                            SumAt(offset, next, part));
    next += part;
    offset += part;
    length -= part;
  }
}

void CleanTcp(rte_mbuf& mbuf, PacketInfo& info) {
  info.flags &= static_cast<uint16_t>(~kUnclean);
  constexpr uint32_t kAt = offsetof(wire::Tcp, data_offset);
  uint8_t offset;
  CopyFromPacket(mbuf, info.l4_offset + kAt, &offset, sizeof offset);
  if ((offset & wire::kTcpReserved) != 0) {
    offset = static_cast<uint8_t>(offset & ~wire::kTcpReserved);
    ReplaceInTransport(mbuf, info, kAt, &offset, sizeof offset);
  }
  if ((info.tcp_flags & kTcpUrg) == 0) {
    const Be16 none(0);
    ReplaceInTransport(mbuf, info, offsetof(wire::Tcp, urgent), &none,
                       sizeof none);
  }
}

void ClampMss(rte_mbuf& mbuf, const PacketInfo& info, uint16_t most) {
  if (info.proto != protocol::kTcp || info.has(kFragment) ||
      (info.tcp_flags & kTcpSyn) == 0 || !info.has(kTcpOptions)) {
    return;
  }
  ForEachTcpOption(mbuf, info, [&](const TcpOption& option) {
    Be16 mss;
    if (option.kind != kTcpOptionMss || option.value.size() != sizeof mss) {
      return true;
    }
    std::memcpy(&mss, option.value.data(), sizeof mss);
    if (mss.host() > most) {
      const Be16 lower(most);
      ReplaceInTransport(mbuf, info, option.offset, &lower, sizeof lower);
    }
    return true;
  });
}

void SetVlanPriority(rte_mbuf& mbuf, PacketInfo& info, uint8_t pcp) {
  const bool same = info.vlan_priority() == pcp;
  info.SetVlanPriority(pcp);
  info.flags |= kPrioritySet;
  if (!info.has(kVlanTagged) || same) return;
  constexpr uint32_t kControl = sizeof(wire::Ethernet);
  uint8_t first;
  CopyFromPacket(mbuf, kControl, &first, sizeof first);
  first = static_cast<uint8_t>((first & 0x1f) | pcp << 5);
  CopyToPacket(mbuf, kControl, &first, sizeof first);
}

}  // namespace sluice
