// Other bytes in a TCP segment's payload: texts that name addresses.
//
// Worker side: no allocation, no lock, no exception.
#ifndef SLUICE_PACKET_PAYLOAD_H_
#define SLUICE_PACKET_PAYLOAD_H_

#include <cstdint>
#include <string_view>

#include "packet/packet.h"

struct rte_mbuf;

namespace sluice {

// What may lie behind the bytes that are replaced.
inline constexpr uint32_t kMaxMovedPayload = 2048;

// Puts `with` in the place of `length` bytes that begin `offset` bytes behind
// the payload's start; what follows moves. Lengths and checksums follow, and
// link-layer padding goes. False, and nothing has changed: they are not there,
// the packet would become too long for an Ethernet frame that it fitted into,
// the buffer has no room, or it was put together from fragments.
bool ReplacePayload(rte_mbuf& mbuf, PacketInfo& info, uint32_t offset,
                    uint32_t length, std::string_view with);

}  // namespace sluice

#endif  // SLUICE_PACKET_PAYLOAD_H_
