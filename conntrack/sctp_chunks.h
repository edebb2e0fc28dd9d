// What an SCTP packet says of its association: the kinds of its chunks, the tag
// that it announces, the addresses that its sender takes and gives up (RFC 9260
// section 3, RFC 5061).
//
// Reading ends at the packet's end, after `kMaxSctpChunks` chunks and
// `kMaxSctpParameters` parameters, whatever lengths are written there. What
// lies behind something that is malformed is not read: hosts drop it, too.
// Worker side: no allocation, no recursion.
#ifndef SLUICE_CONNTRACK_SCTP_CHUNKS_H_
#define SLUICE_CONNTRACK_SCTP_CHUNKS_H_

#include <array>
#include <cstdint>

#include "packet/packet.h"

namespace sluice {

inline constexpr uint32_t kMaxSctpChunks = 32;
inline constexpr uint32_t kMaxSctpParameters = 64;
// Of one packet; FreeBSD's pf takes as many of an association.
inline constexpr uint32_t kMaxSctpAddresses = 8;

struct SctpChunks {
  // Bit n: there is a chunk of type n, below 32.
  uint32_t kinds = 0;
  bool asconf = false;
  // The T bit of an ABORT or SHUTDOWN COMPLETE.
  bool reflected = false;
  // Of an INIT or INIT ACK; 0: none that is whole.
  uint32_t initiate_tag = 0;
  // Where the parameters of an INIT, INIT ACK or ASCONF are in the frame.
  uint32_t parameters = 0;
  uint32_t parameters_length = 0;

  bool has(uint8_t type) const { return (kinds >> type & 1) != 0; }
};
SctpChunks ReadSctpChunks(const PacketInfo& info, const rte_mbuf& mbuf);

// An address of the packet's family that its sender has from now on, or not
// any more. All zero stands for the packet's own source.
struct SctpAddressChange {
  bool added = true;
  std::array<uint8_t, 16> address{};
};
struct SctpAddressChanges {
  uint32_t count = 0;
  std::array<SctpAddressChange, kMaxSctpAddresses> changes;
};
SctpAddressChanges ReadSctpAddresses(const SctpChunks& chunks,
                                     const PacketInfo& info,
                                     const rte_mbuf& mbuf);

}  // namespace sluice

#endif  // SLUICE_CONNTRACK_SCTP_CHUNKS_H_
