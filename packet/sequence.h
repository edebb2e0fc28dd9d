// TCP sequence numbers of packets that are passed on with others: modulated
// states, and connections that a proxy has begun.
//
// Worker side: no allocation, no lock, no exception.
#ifndef SLUICE_PACKET_SEQUENCE_H_
#define SLUICE_PACKET_SEQUENCE_H_

#include <cstdint>
#include <cstring>

#include "packet/packet.h"
#include "packet/rewrite.h"
#include "packet/tcp_options.h"

struct rte_mbuf;

namespace sluice {

// What is added to a segment's sequence number, and to what it acknowledges:
// the acknowledgment and the edges of its SACK blocks (RFC 2018). Modulo 2^32.
struct SequenceShift {
  uint32_t sequence = 0;
  uint32_t acknowledgment = 0;

  bool IsSet() const { return (sequence | acknowledgment) != 0; }
};

// The numbers of the header alone.
void ShiftHeader(rte_mbuf& mbuf, PacketInfo& info, const SequenceShift& shift);
// Changes a TCP segment and its PacketInfo; its checksum follows.
void ShiftSequence(rte_mbuf& mbuf, PacketInfo& info,
                   const SequenceShift& shift);

// The same, but edges of SACK blocks become what `edge` says, whether the
// acknowledgment changes or not.
template <typename Edge>
void ShiftSequence(rte_mbuf& mbuf, PacketInfo& info,
                   const SequenceShift& shift, Edge edge) {
  ShiftHeader(mbuf, info, shift);
  ForEachTcpOption(mbuf, info, [&](const TcpOption& option) {
    if (option.kind != kTcpOptionSack) return true;
    for (size_t at = 0; at + sizeof(Be32) <= option.value.size();
         at += sizeof(Be32)) {
      Be32 known;
      std::memcpy(&known, &option.value[at], sizeof known);
      const Be32 changed(edge(known.host()));
      ReplaceInTransport(mbuf, info, option.offset + static_cast<uint32_t>(at),
                         &changed, sizeof changed);
    }
    return true;
  });
}

// Adds `shift` to the sequence number of the TCP segment that an ICMP error
// quotes; `inner` is what ParseInner() made of it. The error's checksum
// follows; that of the quoted segment covers bytes which are not there.
void ShiftInnerSequence(rte_mbuf& mbuf, const PacketInfo& info,
                        const PacketInfo& inner, uint32_t shift);

}  // namespace sluice

#endif  // SLUICE_PACKET_SEQUENCE_H_
