#include "packet/readdress.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>

#include "packet/checksum.h"
#include "packet/headers.h"
#include "packet/rewrite.h"

namespace sluice {
namespace {

constexpr uint8_t kDccp = 33;
constexpr uint8_t kUdpLite = 136;

// Offsets in headers.
constexpr uint32_t kIpv4Checksum = 10;
constexpr uint32_t kIpv4Source = 12;
constexpr uint32_t kIpv6Source = 8;
constexpr uint32_t kIcmpChecksum = 2;
constexpr uint32_t kIcmpId = 4;
// RFC 792 and RFC 4443 put so much before what they quote.
constexpr uint32_t kQuoteOffset = 8;

// Writes into a packet and adds up what that does to a sum over it. All
// offsets are even from the start of the IP header, so that words are.
class Editor {
 public:
  // Nothing at or behind `end` is touched.
  Editor(rte_mbuf& mbuf, uint32_t end) : mbuf_(mbuf), end_(end) {}

  bool Has(uint32_t offset, uint32_t length) const {
    return offset + length <= end_;
  }

  void Read(uint32_t offset, void* to, uint32_t length) const {
    CopyFromPacket(mbuf_, offset, to, length);
  }

  void Write(uint32_t offset, const void* from, uint32_t length) {
    CopyToPacket(mbuf_, offset, from, length);
  }

  // Puts `length` bytes (even, 16 at most) in place of what is there. Returns
  // what this adds to a one's complement sum over them.
  uint64_t Replace(uint32_t offset, const void* bytes, uint32_t length) {
    std::array<uint8_t, 16> old;
    Read(offset, old.data(), length);
    if (std::memcmp(old.data(), bytes, length) == 0) return 0;
    Write(offset, bytes, length);
    // ~x is -x in one's complement, word by word.
    return PartialSum(bytes, length) +
           uint64_t{0xffff} * (length / 2) - SumOfWords(old.data(), length);
  }

  // Applies such a change to the checksum at `offset`. Returns what that adds
  // to a sum over the checksum itself.
  uint64_t Adjust(uint32_t offset, uint64_t delta, bool is_udp) {
    if (delta == 0) return 0;
    uint16_t sum;
    Read(offset, &sum, sizeof sum);
    if (is_udp && sum == 0) return 0;  // there is none
    auto changed =
        static_cast<uint16_t>(~FoldSum(uint64_t{uint16_t(~sum)} + delta));
    if (is_udp && changed == 0) changed = 0xffff;
    return Replace(offset, &changed, sizeof changed);
  }

 private:
  static uint64_t SumOfWords(const uint8_t* bytes, uint32_t length) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < length; i += 2) {
      uint16_t word;
      std::memcpy(&word, bytes + i, sizeof word);
      sum += word;
    }
    return sum;
  }

  rte_mbuf& mbuf_;
  const uint32_t end_;
};

// Where a protocol has its checksum over a pseudo header, from its header's
// start; 0: it has none.
uint32_t PseudoChecksum(const PacketInfo& info) {
  switch (info.proto) {
    case protocol::kTcp:
      return 16;
    case protocol::kUdp:
    case kUdpLite:
    case kDccp:
      return 6;
    case protocol::kIcmp6:
      return info.family == Family::kIpv6 ? kIcmpChecksum : 0;
    default:
      return 0;
  }
}

struct Changes {
  uint64_t addresses = 0;  // of the IP header
  uint64_t all = 0;        // of all bytes that were written
};

// Rewrites the headers at l3 and info.l4_offset, as far as they are there.
Changes RewriteHeaders(Editor& edit, const PacketInfo& info, uint32_t l3,
                       const PacketEnds& ends) {
  Changes changes;
  const bool v4 = info.family == Family::kIpv4;
  const uint32_t bytes = v4 ? 4 : 16;
  const uint32_t source = l3 + (v4 ? kIpv4Source : kIpv6Source);
  if (info.source != ends.source) {
    changes.addresses += edit.Replace(source, ends.source.data(), bytes);
  }
  if (info.destination != ends.destination) {
    changes.addresses +=
        edit.Replace(source + bytes, ends.destination.data(), bytes);
  }
  changes.all = changes.addresses;
  if (v4 && changes.addresses != 0) {
    changes.all += edit.Adjust(l3 + kIpv4Checksum, changes.addresses, false);
  }

  const uint32_t l4 = info.l4_offset;
  uint64_t ports = 0;
  switch (info.proto) {
    case protocol::kTcp:
    case protocol::kUdp:
    case protocol::kSctp: {
      if (!edit.Has(l4, 4)) return changes;
      const std::array<uint16_t, 2> both = {ends.source_port.raw(),
                                            ends.destination_port.raw()};
      ports = edit.Replace(l4, both.data(), sizeof both);
      break;
    }
    case protocol::kIcmp:
    case protocol::kIcmp6: {
      if (ends.source_port == info.source_port || !edit.Has(l4, 8)) break;
      const uint16_t id = ends.source_port.raw();
      ports = edit.Replace(l4 + kIcmpId, &id, sizeof id);
      break;
    }
    default:
      break;
  }
  changes.all += ports;
  if (info.proto == protocol::kIcmp) {
    if (v4 && edit.Has(l4 + kIcmpChecksum, 2)) {
      changes.all += edit.Adjust(l4 + kIcmpChecksum, ports, false);
    }
  } else if (const uint32_t field = PseudoChecksum(info);
             field != 0 && edit.Has(l4 + field, 2)) {
    // Zero is "none" in UDP over IPv4; over IPv6 there is always one.
    changes.all += edit.Adjust(l4 + field, changes.addresses + ports,
                               info.proto == protocol::kUdp);
  }
  return changes;
}

// Puts `to` in place of the four bytes there. Returns what this adds to a one's
// complement sum over them.
inline uint64_t ReplaceWord(uint8_t* at, const void* to) {
  uint32_t before;
  uint32_t after;
  std::memcpy(&before, at, sizeof before);
  std::memcpy(&after, to, sizeof after);
  std::memcpy(at, &after, sizeof after);
  // ~x is -x in one's complement, of two words too.
  return before == after ? 0 : uint64_t{after} + uint32_t{~before};
}

// Applies such a change to a checksum: RFC 1624, equation 3.
inline void AdjustSum(uint8_t* at, uint64_t delta, bool is_udp) {
  uint16_t sum;
  std::memcpy(&sum, at, sizeof sum);
  if (is_udp && sum == 0) return;  // there is none
  sum = static_cast<uint16_t>(~FoldSum(uint64_t{uint16_t(~sum)} + delta));
  if (is_udp && sum == 0) sum = 0xffff;
  std::memcpy(at, &sum, sizeof sum);
}

// RewriteHeaders() of nearly all packets: TCP or UDP, whose headers lie in the
// first segment. False: it is another one, and nothing was changed.
bool RewriteInPlace(rte_mbuf& mbuf, const PacketInfo& info,
                    const PacketEnds& ends) {
  const bool udp = info.proto == protocol::kUdp;
  if (!udp && info.proto != protocol::kTcp) return false;
  const uint32_t field = PseudoChecksum(info);
  if (mbuf.data_len < info.l4_offset + field + sizeof(uint16_t)) return false;
  auto* const frame = rte_pktmbuf_mtod(&mbuf, uint8_t*);
  uint8_t* const ip = frame + info.l3_offset;
  uint64_t delta = 0;
  if (info.family == Family::kIpv4) {
    delta = ReplaceWord(ip + kIpv4Source, ends.source.data()) +
            ReplaceWord(ip + kIpv4Source + 4, ends.destination.data());
    if (delta != 0) AdjustSum(ip + kIpv4Checksum, delta, false);
  } else {
    for (uint32_t i = 0; i < ends.source.size(); i += 4) {
      delta += ReplaceWord(ip + kIpv6Source + i, ends.source.data() + i) +
               ReplaceWord(ip + kIpv6Source + 16 + i,
                           ends.destination.data() + i);
    }
  }
  uint8_t* const l4 = frame + info.l4_offset;
  const std::array<uint16_t, 2> ports = {ends.source_port.raw(),
                                         ends.destination_port.raw()};
  delta += ReplaceWord(l4, ports.data());
  if (delta != 0) AdjustSum(l4 + field, delta, udp);
  return true;
}

}  // namespace

void RewritePacket(rte_mbuf& mbuf, PacketInfo* info, const PacketEnds& ends) {
  if (RewriteInPlace(mbuf, *info, ends)) [[likely]] {
    info->source = ends.source;
    info->destination = ends.destination;
    info->source_port = ends.source_port;
    info->destination_port = ends.destination_port;
    return;
  }
  Editor edit(mbuf, mbuf.pkt_len);
  const bool sctp_ports =
      info->proto == protocol::kSctp &&
      (ends.source_port != info->source_port ||
       ends.destination_port != info->destination_port);
  RewriteHeaders(edit, *info, info->l3_offset, ends);
  info->source = ends.source;
  info->destination = ends.destination;
  info->source_port = ends.source_port;
  info->destination_port = ends.destination_port;
  if (sctp_ports) WriteTransportChecksum(mbuf, *info);
}

void RewriteIcmpError(rte_mbuf& mbuf, PacketInfo* info,
                      const PacketInfo& inner, const PacketEnds& quoted) {
  const uint32_t end = std::min<uint32_t>(
      uint32_t{info->l4_offset} + info->l4_length, mbuf.pkt_len);
  Editor edit(mbuf, end);
  // The quoted header begins right behind the error's.
  const Changes changes = RewriteHeaders(
      edit, inner, info->l4_offset + kQuoteOffset, quoted);

  PacketEnds outer = EndsOf(*info);
  if (info->source == inner.destination) outer.source = quoted.destination;
  outer.destination = quoted.source;
  const bool v4 = info->family == Family::kIpv4;
  const uint32_t bytes = v4 ? 4 : 16;
  const uint32_t source =
      info->l3_offset + (v4 ? kIpv4Source : kIpv6Source);
  const uint64_t addresses =
      edit.Replace(source, outer.source.data(), bytes) +
      edit.Replace(source + bytes, outer.destination.data(), bytes);
  if (v4) edit.Adjust(info->l3_offset + kIpv4Checksum, addresses, false);
  edit.Adjust(info->l4_offset + kIcmpChecksum,
              changes.all + (v4 ? 0 : addresses), false);
  info->source = outer.source;
  info->destination = outer.destination;
}

}  // namespace sluice
