// Whether an SCTP packet is one that a host would read (RFC 9260): its chunks
// fill it, what has to be alone in its packet is, and what begins an association
// says what it has to.
#ifndef SLUICE_PACKET_SCTP_SOUND_H_
#define SLUICE_PACKET_SCTP_SOUND_H_

#include "packet/packet.h"

namespace sluice {

// `info` has the offsets, ports and verification tag of a whole packet. Any
// worker. More than 512 chunks are never sound.
bool SctpIsSound(const rte_mbuf& mbuf, const PacketInfo& info);

}  // namespace sluice

#endif  // SLUICE_PACKET_SCTP_SOUND_H_
