#include "packet/sequence.h"

#include <rte_mbuf.h>

#include "packet/rewrite.h"

namespace sluice {
namespace {

constexpr uint32_t kSequenceOffset = 4;
constexpr uint32_t kAcknowledgmentOffset = 8;

void Put(rte_mbuf& mbuf, const PacketInfo& info, uint32_t offset,
         uint32_t value) {
  const uint32_t raw = Be32(value).raw();
  ReplaceInTransport(mbuf, info, offset, &raw, sizeof raw);
}

}  // namespace

void ShiftHeader(rte_mbuf& mbuf, PacketInfo& info,
                 const SequenceShift& shift) {
  if (shift.sequence != 0) {
    info.sequence += shift.sequence;
    Put(mbuf, info, kSequenceOffset, info.sequence);
  }
  if (shift.acknowledgment == 0 || (info.tcp_flags & kTcpAck) == 0) return;
  info.acknowledgment += shift.acknowledgment;
  Put(mbuf, info, kAcknowledgmentOffset, info.acknowledgment);
}

void ShiftSequence(rte_mbuf& mbuf, PacketInfo& info,
                   const SequenceShift& shift) {
  if (shift.acknowledgment == 0 || (info.tcp_flags & kTcpAck) == 0) {
    ShiftHeader(mbuf, info, shift);
    return;
  }
  ShiftSequence(mbuf, info, shift, [&](uint32_t edge) {
    return edge + shift.acknowledgment;
  });
}

void ShiftInnerSequence(rte_mbuf& mbuf, const PacketInfo& info,
                        const PacketInfo& inner, uint32_t shift) {
  if (shift == 0) return;
  Put(mbuf, info, inner.l4_offset - info.l4_offset + kSequenceOffset,
      inner.sequence + shift);
}

}  // namespace sluice
