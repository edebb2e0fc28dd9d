#include "packet/sequence.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <array>

#include "packet/rewrite.h"

namespace sluice {
namespace {

constexpr uint32_t kTcpHeaderSize = 20;
constexpr uint32_t kSequenceOffset = 4;
constexpr uint32_t kAcknowledgmentOffset = 8;
constexpr uint8_t kOptionEnd = 0;
constexpr uint8_t kOptionNop = 1;
constexpr uint8_t kOptionSack = 5;

void Put(rte_mbuf& mbuf, const PacketInfo& info, uint32_t offset,
         uint32_t value) {
  const uint32_t raw = Be32(value).raw();
  ReplaceInTransport(mbuf, info, offset, &raw, sizeof raw);
}

void ShiftSack(rte_mbuf& mbuf, const PacketInfo& info, uint32_t shift) {
  std::array<uint8_t, 60> options;
  const uint32_t length =
      std::min<uint32_t>(info.l4_header_length, options.size()) -
      kTcpHeaderSize;
  CopyFromPacket(mbuf, info.l4_offset + kTcpHeaderSize, options.data(),
                 length);
  uint32_t at = 0;
  while (at < length && options[at] != kOptionEnd) {
    if (options[at] == kOptionNop) {
      ++at;
      continue;
    }
    if (length - at < 2) return;
    const uint8_t size = options[at + 1];
    if (size < 2 || size > length - at) return;
    if (options[at] == kOptionSack) {
      for (uint32_t edge = at + 2; edge + 4 <= at + size; edge += 4) {
        const uint32_t value = uint32_t{options[edge]} << 24 |
                               uint32_t{options[edge + 1]} << 16 |
                               uint32_t{options[edge + 2]} << 8 |
                               options[edge + 3];
        Put(mbuf, info, kTcpHeaderSize + edge, value + shift);
      }
    }
    at += size;
  }
}

}  // namespace

void ShiftSequence(rte_mbuf& mbuf, PacketInfo& info,
                   const SequenceShift& shift) {
  if (shift.sequence != 0) {
    info.sequence += shift.sequence;
    Put(mbuf, info, kSequenceOffset, info.sequence);
  }
  if (shift.acknowledgment == 0 || (info.tcp_flags & kTcpAck) == 0) return;
  info.acknowledgment += shift.acknowledgment;
  Put(mbuf, info, kAcknowledgmentOffset, info.acknowledgment);
  if (info.l4_header_length > kTcpHeaderSize) {
    ShiftSack(mbuf, info, shift.acknowledgment);
  }
}

void ShiftInnerSequence(rte_mbuf& mbuf, const PacketInfo& info,
                        const PacketInfo& inner, uint32_t shift) {
  if (shift == 0) return;
  Put(mbuf, info, inner.l4_offset - info.l4_offset + kSequenceOffset,
      inner.sequence + shift);
}

}  // namespace sluice
