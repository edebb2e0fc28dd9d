// TCP sequence numbers of packets that are passed on with others: modulated
// states, and connections that a proxy has begun.
//
// Worker side: no allocation, no lock, no exception.
#ifndef SLUICE_PACKET_SEQUENCE_H_
#define SLUICE_PACKET_SEQUENCE_H_

#include <cstdint>

#include "packet/packet.h"

struct rte_mbuf;

namespace sluice {

// What is added to a segment's sequence number, and to what it acknowledges:
// the acknowledgment and the edges of its SACK blocks (RFC 2018). Modulo 2^32.
struct SequenceShift {
  uint32_t sequence = 0;
  uint32_t acknowledgment = 0;

  bool IsSet() const { return (sequence | acknowledgment) != 0; }
};

// Changes a TCP segment and its PacketInfo; its checksum follows.
void ShiftSequence(rte_mbuf& mbuf, PacketInfo& info,
                   const SequenceShift& shift);

// Adds `shift` to the sequence number of the TCP segment that an ICMP error
// quotes; `inner` is what ParseInner() made of it. The error's checksum
// follows; that of the quoted segment covers bytes which are not there.
void ShiftInnerSequence(rte_mbuf& mbuf, const PacketInfo& info,
                        const PacketInfo& inner, uint32_t shift);

}  // namespace sluice

#endif  // SLUICE_PACKET_SEQUENCE_H_
