#include "packet/sequence.h"

#include <rte_mbuf.h>

#include <cstring>

#include "packet/rewrite.h"
#include "packet/tcp_options.h"

namespace sluice {
namespace {

constexpr uint32_t kTcpHeaderSize = 20;
constexpr uint32_t kSequenceOffset = 4;
constexpr uint32_t kAcknowledgmentOffset = 8;

void Put(rte_mbuf& mbuf, const PacketInfo& info, uint32_t offset,
         uint32_t value) {
  const uint32_t raw = Be32(value).raw();
  ReplaceInTransport(mbuf, info, offset, &raw, sizeof raw);
}

void ShiftSack(rte_mbuf& mbuf, const PacketInfo& info, uint32_t shift) {
  ForEachTcpOption(mbuf, info, [&](const TcpOption& option) {
    if (option.kind != kTcpOptionSack) return true;
    Be32 edge;
    for (size_t at = 0; at + sizeof edge <= option.value.size();
         at += sizeof edge) {
      std::memcpy(&edge, &option.value[at], sizeof edge);
      Put(mbuf, info, option.offset + static_cast<uint32_t>(at),
          edge.host() + shift);
    }
    return true;
  });
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
