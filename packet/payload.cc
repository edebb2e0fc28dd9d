#include "packet/payload.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <cstddef>

#include "packet/checksum.h"
#include "packet/headers.h"
#include "packet/rewrite.h"

namespace sluice {
namespace {

constexpr uint32_t kEthernetPayload = 1500;

// Leaves the first `length` bytes of a chain, which has them.
void Shorten(rte_mbuf& mbuf, uint32_t length) {
  mbuf.pkt_len = length;
  uint16_t segments = 0;
  for (rte_mbuf* segment = &mbuf; segment != nullptr;
       segment = segment->next) {
    ++segments;
    if (segment->data_len < length) {
      length -= segment->data_len;
      continue;
    }
    segment->data_len = static_cast<uint16_t>(length);
    if (segment->next != nullptr) rte_pktmbuf_free(segment->next);
    segment->next = nullptr;
  }
  mbuf.nb_segs = segments;
}

void SetLength(rte_mbuf& mbuf, const PacketInfo& info) {
  if (info.family == Family::kIpv6) {
    const Be16 length(
        static_cast<uint16_t>(info.ip_length - sizeof(wire::Ipv6)));
    CopyToPacket(mbuf, info.l3_offset + offsetof(wire::Ipv6, payload_length),
                 &length, sizeof length);
    return;
  }
  const uint32_t at = info.l3_offset + offsetof(wire::Ipv4, total_length);
  const uint32_t sum = info.l3_offset + offsetof(wire::Ipv4, checksum);
  const Be16 length(info.ip_length);
  Be16 before;
  Be16 checksum;
  CopyFromPacket(mbuf, at, &before, sizeof before);
  CopyFromPacket(mbuf, sum, &checksum, sizeof checksum);
  checksum = AdjustChecksum(checksum, before.raw(), length.raw());
  CopyToPacket(mbuf, at, &length, sizeof length);
  CopyToPacket(mbuf, sum, &checksum, sizeof checksum);
}

}  // namespace

bool ReplacePayload(rte_mbuf& mbuf, PacketInfo& info, uint32_t offset,
                    uint32_t length, std::string_view with) {
  const uint32_t payload = info.payload_length();
  if (info.has(kReassembled) || offset > payload ||
      length > payload - offset) {
    return false;
  }
  const uint32_t moved = payload - offset - length;
  const size_t longer = size_t{info.ip_length} + with.size() - length;
  if (moved > kMaxMovedPayload || longer > 0xffff ||
      (longer > kEthernetPayload && longer > info.ip_length)) {
    return false;
  }
  const uint32_t end = info.l3_offset + static_cast<uint32_t>(longer);
  if (end > mbuf.pkt_len &&
      rte_pktmbuf_append(&mbuf, static_cast<uint16_t>(end - mbuf.pkt_len)) ==
          nullptr) {
    return false;
  }
  std::array<uint8_t, kMaxMovedPayload> rest;
  const uint32_t at = info.payload_offset() + offset;
  // rte_pktmbuf_read() runs past the last segment for no bytes at its end.
  if (moved > 0) CopyFromPacket(mbuf, at + length, rest.data(), moved);
  CopyToPacket(mbuf, at, with.data(), static_cast<uint32_t>(with.size()));
  CopyToPacket(mbuf, at + static_cast<uint32_t>(with.size()), rest.data(),
               moved);
  if (end < mbuf.pkt_len) Shorten(mbuf, end);
  const auto change = static_cast<uint16_t>(longer - info.ip_length);
  info.ip_length = static_cast<uint16_t>(info.ip_length + change);
  info.l4_length = static_cast<uint16_t>(info.l4_length + change);
  SetLength(mbuf, info);
  WriteTransportChecksum(mbuf, info);
  return true;
}

}  // namespace sluice
