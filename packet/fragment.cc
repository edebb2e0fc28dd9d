#include "packet/fragment.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

#include "packet/checksum.h"
#include "packet/headers.h"

namespace sluice {
namespace {

// What is kept of a fragment, in the offload fields of its first segment,
// which nothing else uses while it is part of a datagram.
struct Kept {
  uint16_t header;
  uint16_t l3_offset;
  uint16_t name_offset;
  uint8_t proto;  // IPv6: what follows the fragment header
  uint8_t first;
};
static_assert(sizeof(Kept) == sizeof(rte_mbuf::tx_offload));

void Keep(rte_mbuf& mbuf, const Kept& kept) {
  mbuf.ol_flags |= kFragmentMark;
  std::memcpy(&mbuf.tx_offload, &kept, sizeof kept);
}

Kept KeptOf(const rte_mbuf& mbuf) {
  Kept kept;
  std::memcpy(&kept, &mbuf.tx_offload, sizeof kept);
  return kept;
}

bool IsMarked(const rte_mbuf& mbuf) {
  return (mbuf.ol_flags & kFragmentMark) != 0;
}

rte_mbuf* LastSegment(rte_mbuf* mbuf) {
  while (mbuf->next != nullptr) mbuf = mbuf->next;
  return mbuf;
}

// Bytes from `segment` up to the next fragment's, and that one.
uint32_t LengthOfPiece(rte_mbuf* segment, rte_mbuf** last, uint16_t* segments) {
  uint32_t length = 0;
  *segments = 0;
  for (;;) {
    length += segment->data_len;
    ++*segments;
    *last = segment;
    segment = segment->next;
    if (segment == nullptr || IsMarked(*segment)) return length;
  }
}

void FreeSegmentAfter(rte_mbuf& before, rte_mbuf& head) {
  rte_mbuf* gone = before.next;
  before.next = gone->next;
  gone->next = nullptr;
  gone->nb_segs = 1;
  --head.nb_segs;
  rte_pktmbuf_free_seg(gone);
}

uint8_t* Frame(rte_mbuf& mbuf) { return rte_pktmbuf_mtod(&mbuf, uint8_t*); }

void WriteIpv4(uint8_t* at, uint32_t length, uint16_t fragment) {
  wire::Ipv4 ip;
  std::memcpy(&ip, at, sizeof ip);
  ip.total_length = Be16(static_cast<uint16_t>(length));
  ip.fragment = Be16(fragment);
  ip.checksum = Be16(0);
  std::memcpy(at, &ip, sizeof ip);
  ip.checksum = Be16::FromRaw(static_cast<uint16_t>(
      ~FoldSum(PartialSum(at, (ip.version_length & 0xf) * 4u))));
  std::memcpy(at, &ip, sizeof ip);
}

void SetPayloadLength(uint8_t* at, uint32_t length) {
  const Be16 field(static_cast<uint16_t>(length));
  std::memcpy(at + offsetof(wire::Ipv6, payload_length), &field, sizeof field);
}

// What the headers of a fragment have from those of the whole: all that may
// have been rewritten. What routers have marked (ECN) each fragment keeps.
constexpr uint32_t kEcn = 3;
constexpr size_t kMacPair = 12;  // a frame's first bytes

void CopyIpv4(const wire::Ipv4& whole, uint8_t* at) {
  wire::Ipv4 ip;
  std::memcpy(&ip, at, sizeof ip);
  ip.tos = static_cast<uint8_t>((whole.tos & ~kEcn) | (ip.tos & kEcn));
  ip.id = whole.id;
  ip.ttl = whole.ttl;
  ip.source = whole.source;
  ip.destination = whole.destination;
  std::memcpy(at, &ip, sizeof ip);
}

void CopyIpv6(const wire::Ipv6& whole, uint8_t* at) {
  wire::Ipv6 ip;
  std::memcpy(&ip, at, sizeof ip);
  constexpr uint32_t kEcnOfWord = kEcn << 20;
  ip.version_class_flow =
      Be32((whole.version_class_flow.host() & ~kEcnOfWord) |
           (ip.version_class_flow.host() & kEcnOfWord));
  ip.hop_limit = whole.hop_limit;
  ip.source = whole.source;
  ip.destination = whole.destination;
  std::memcpy(at, &ip, sizeof ip);
}

// Of Ethernet: whom the whole has been sent to and by whom, and what rules may
// have written to tags.
void CopyLink(const uint8_t* whole, uint32_t whole_l3, uint8_t* frame,
              uint32_t l3) {
  if (std::min(whole_l3, l3) < sizeof(wire::Ethernet)) return;
  std::memcpy(frame, whole, kMacPair);
  if (whole_l3 != l3 || l3 == sizeof(wire::Ethernet)) return;
  std::memcpy(frame + sizeof(wire::Ethernet), whole + sizeof(wire::Ethernet),
              2);
}

}  // namespace

bool TidyFragment(rte_mbuf& mbuf, const PacketInfo& info) {
  // Whoever had its segments before may have left marks.
  for (rte_mbuf* s = &mbuf; s != nullptr; s = s->next) {
    s->ol_flags &= ~kFragmentMark;
  }
  // Padding of the link layer goes.
  uint32_t surplus = mbuf.pkt_len - (uint32_t{info.l3_offset} + info.ip_length);
  mbuf.pkt_len -= surplus;
  while (surplus > 0) {
    rte_mbuf* before = &mbuf;
    rte_mbuf* last = &mbuf;
    while (last->next != nullptr) {
      before = last;
      last = last->next;
    }
    const uint32_t part = std::min<uint32_t>(surplus, last->data_len);
    last->data_len = static_cast<uint16_t>(last->data_len - part);
    surplus -= part;
    if (last == &mbuf) break;
    if (last->data_len == 0) FreeSegmentAfter(*before, mbuf);
  }
  const uint32_t header = info.l4_offset;
  if (mbuf.data_len >= header) return true;
  const uint32_t missing = header - mbuf.data_len;
  if (rte_pktmbuf_headroom(&mbuf) + rte_pktmbuf_tailroom(&mbuf) < missing) {
    return false;
  }
  if (rte_pktmbuf_tailroom(&mbuf) < missing) {
    auto* base = static_cast<uint8_t*>(mbuf.buf_addr);
    std::memmove(base, base + mbuf.data_off, mbuf.data_len);
    mbuf.data_off = 0;
  }
  while (mbuf.data_len < header) {
    rte_mbuf* next = mbuf.next;
    const uint32_t part =
        std::min<uint32_t>(header - mbuf.data_len, next->data_len);
    std::memcpy(Frame(mbuf) + mbuf.data_len, Frame(*next), part);
    mbuf.data_len = static_cast<uint16_t>(mbuf.data_len + part);
    next->data_off = static_cast<uint16_t>(next->data_off + part);
    next->data_len = static_cast<uint16_t>(next->data_len - part);
    if (next->data_len == 0) FreeSegmentAfter(mbuf, mbuf);
  }
  return true;
}

void CutFront(rte_mbuf& mbuf, uint32_t header, uint32_t bytes) {
  mbuf.pkt_len -= bytes;
  const uint32_t here = std::min<uint32_t>(bytes, mbuf.data_len - header);
  if (here > 0) {
    std::memmove(Frame(mbuf) + here, Frame(mbuf), header);
    mbuf.data_off = static_cast<uint16_t>(mbuf.data_off + here);
    mbuf.data_len = static_cast<uint16_t>(mbuf.data_len - here);
    bytes -= here;
  }
  while (bytes > 0) {
    rte_mbuf* next = mbuf.next;
    const uint32_t part = std::min<uint32_t>(bytes, next->data_len);
    next->data_off = static_cast<uint16_t>(next->data_off + part);
    next->data_len = static_cast<uint16_t>(next->data_len - part);
    bytes -= part;
    if (next->data_len == 0) FreeSegmentAfter(mbuf, mbuf);
  }
}

bool SameData(const rte_mbuf& a, uint32_t a_header, const rte_mbuf& b,
              uint32_t b_header, uint32_t length) {
  std::array<uint8_t, 256> first;
  std::array<uint8_t, 256> second;
  for (uint32_t at = 0; at < length; at += first.size()) {
    const uint32_t part = std::min<uint32_t>(length - at, first.size());
    const void* x = rte_pktmbuf_read(&a, a_header + at, part, first.data());
    const void* y = rte_pktmbuf_read(&b, b_header + at, part, second.data());
    if (x == nullptr || y == nullptr || std::memcmp(x, y, part) != 0) {
      return false;
    }
  }
  return true;
}

void BeginDatagram(Family family, uint32_t total, const FragmentPiece& first) {
  rte_mbuf& mbuf = *first.mbuf;
  Kept kept = {.header = first.header,
               .l3_offset = first.l3_offset,
               .name_offset = first.name_offset,
               .proto = 0,
               .first = 1};
  uint8_t* frame = Frame(mbuf);
  if (family == Family::kIpv4) {
    WriteIpv4(frame + first.l3_offset, first.header - first.l3_offset + total,
              0);
  } else {
    constexpr uint32_t kHeader = sizeof(wire::Ipv6Fragment);
    const uint32_t before = first.header - kHeader;
    kept.proto = frame[before];
    frame[first.name_offset] = kept.proto;
    std::memmove(frame + kHeader, frame, before);
    mbuf.data_off = static_cast<uint16_t>(mbuf.data_off + kHeader);
    mbuf.data_len = static_cast<uint16_t>(mbuf.data_len - kHeader);
    mbuf.pkt_len -= kHeader;
    SetPayloadLength(frame + kHeader + first.l3_offset,
                     before - first.l3_offset - sizeof(wire::Ipv6) + total);
  }
  // What the NIC said was about a fragment.
  mbuf.ol_flags &= ~uint64_t{RTE_MBUF_F_RX_L4_CKSUM_MASK};
  if (family == Family::kIpv4) {
    mbuf.ol_flags = (mbuf.ol_flags & ~uint64_t{RTE_MBUF_F_RX_IP_CKSUM_MASK}) |
                    RTE_MBUF_F_RX_IP_CKSUM_GOOD;
  }
  Keep(mbuf, kept);
}

void AppendFragment(rte_mbuf& whole, rte_mbuf** last,
                    const FragmentPiece& piece) {
  rte_mbuf& mbuf = *piece.mbuf;
  Keep(mbuf, {.header = piece.header,
              .l3_offset = piece.l3_offset,
              .name_offset = piece.name_offset,
              .proto = 0,
              .first = 0});
  rte_mbuf* end = LastSegment(*last);
  mbuf.data_off = static_cast<uint16_t>(mbuf.data_off + piece.header);
  mbuf.data_len = static_cast<uint16_t>(mbuf.data_len - piece.header);
  end->next = &mbuf;
  whole.pkt_len += mbuf.pkt_len - piece.header;
  whole.nb_segs = static_cast<uint16_t>(whole.nb_segs + mbuf.nb_segs);
  *last = &mbuf;
}

uint32_t CountFragments(const rte_mbuf& mbuf) {
  if (!IsMarked(mbuf)) return 1;
  uint32_t count = 0;
  for (const rte_mbuf* s = &mbuf; s != nullptr; s = s->next) {
    if (IsMarked(*s)) ++count;
  }
  return count;
}

uint32_t LargestFragment(const rte_mbuf& mbuf, uint32_t whole) {
  if (!IsMarked(mbuf)) return whole;
  const bool v6 =
      *rte_pktmbuf_mtod_offset(&mbuf, const uint8_t*, KeptOf(mbuf).l3_offset) >>
          4 ==
      6;
  uint32_t largest = 0;
  uint32_t bytes = 0;
  for (const rte_mbuf* s = &mbuf; s != nullptr; s = s->next) {
    if (IsMarked(*s)) {
      const Kept kept = KeptOf(*s);
      // The headers of the first are there, but for a fragment header of IPv6.
      const uint32_t missing = kept.first == 0 ? kept.header
                               : v6            ? sizeof(wire::Ipv6Fragment)
                                               : 0;
      bytes = missing - kept.l3_offset;
    }
    bytes += s->data_len;
    largest = std::max(largest, bytes);
  }
  return largest;
}

FragmentSplitter::FragmentSplitter(rte_mbuf* mbuf) : rest_(mbuf) {
  const Kept first = KeptOf(*mbuf);
  uint8_t* frame = Frame(*mbuf);
  const bool v4 = frame[first.l3_offset] >> 4 == 4;
  wire::Ipv4 whole4{};
  wire::Ipv6 whole6{};
  if (v4) {
    std::memcpy(&whole4, frame + first.l3_offset, sizeof whole4);
  } else {
    std::memcpy(&whole6, frame + first.l3_offset, sizeof whole6);
  }
  std::array<uint8_t, sizeof(wire::Ethernet) + sizeof(wire::Vlan)> link;
  std::memcpy(link.data(), frame,
              std::min<size_t>(link.size(), first.header));
  Be32 id(0);
  if (!v4) {
    // The fragment header of the first was written over; its number is that of
    // every other.
    rte_mbuf* second = mbuf->next;
    while (!IsMarked(*second)) second = second->next;
    std::memcpy(&id, Frame(*second) - sizeof id, sizeof id);
  }

  const uint32_t own = v4 ? whole4.fragment.host() : 0u;
  uint32_t offset = (own & wire::kIpv4OffsetMask) * 8;
  for (rte_mbuf* piece = mbuf; piece != nullptr;) {
    const Kept kept = KeptOf(*piece);
    rte_mbuf* last;
    uint16_t segments;
    uint32_t length = LengthOfPiece(piece, &last, &segments);
    rte_mbuf* following = last->next;
    const bool more = following != nullptr;
    if (kept.first != 0) {
      const uint32_t now = v4 ? kept.header
                              : kept.header - sizeof(wire::Ipv6Fragment);
      length -= now;
      if (!v4) {
        uint8_t* moved = frame - sizeof(wire::Ipv6Fragment);
        std::memmove(moved, frame, now);
        moved[kept.name_offset] = protocol::kIpv6Fragment;
        piece->data_off = static_cast<uint16_t>(piece->data_off -
                                                sizeof(wire::Ipv6Fragment));
        piece->data_len = static_cast<uint16_t>(piece->data_len +
                                                sizeof(wire::Ipv6Fragment));
      }
    } else {
      piece->data_off = static_cast<uint16_t>(piece->data_off - kept.header);
      piece->data_len = static_cast<uint16_t>(piece->data_len + kept.header);
    }
    uint8_t* at = Frame(*piece);
    CopyLink(link.data(), first.l3_offset, at, kept.l3_offset);
    uint8_t* ip = at + kept.l3_offset;
    const uint32_t headers = kept.header - kept.l3_offset;
    if (v4) {
      CopyIpv4(whole4, ip);
      const uint32_t bits =
          (whole4.fragment.host() & wire::kIpv4DontFragment) |
          (more ? wire::kIpv4MoreFragments
                : own & wire::kIpv4MoreFragments) |
          offset / 8;
      WriteIpv4(ip, headers + length, static_cast<uint16_t>(bits));
    } else {
      CopyIpv6(whole6, ip);
      SetPayloadLength(ip, headers - sizeof(wire::Ipv6) + length);
      wire::Ipv6Fragment fragment;
      uint8_t* place = at + kept.header - sizeof fragment;
      std::memcpy(&fragment, place, sizeof fragment);
      if (kept.first != 0) {
        fragment = {};
        fragment.next_header = kept.proto;
        fragment.id = id;
      }
      fragment.offset_flags = Be16(static_cast<uint16_t>(
          offset | (more ? wire::kIpv6MoreFragments : 0)));
      std::memcpy(place, &fragment, sizeof fragment);
    }
    piece->pkt_len = kept.header + length;
    piece->nb_segs = segments;
    offset += length;
    piece = following;
  }
}

rte_mbuf* FragmentSplitter::Next() {
  rte_mbuf* const piece = rest_;
  if (piece == nullptr) return nullptr;
  rte_mbuf* last;
  uint16_t segments;
  LengthOfPiece(piece, &last, &segments);
  rest_ = last->next;
  last->next = nullptr;
  piece->ol_flags &= ~kFragmentMark;
  piece->tx_offload = 0;
  return piece;
}

}  // namespace sluice
