// The front of a packet, replaced by one of another length.
#ifndef SLUICE_PACKET_FRONT_H_
#define SLUICE_PACKET_FRONT_H_

#include <cstdint>
#include <span>

struct rte_mbuf;
struct rte_mempool;

namespace sluice {

// Takes the first `cut` bytes of a packet away, which has more, and puts `front`
// before the rest. *packet is another mbuf if the first one's buffer has no
// room. False: there was no buffer, and the packet has lost its front.
bool ReplaceFront(rte_mbuf** packet, uint32_t cut,
                  std::span<const uint8_t> front, rte_mempool* pool);

// Takes all behind the first `length` bytes away; one byte is left at least.
void CutBack(rte_mbuf& packet, uint32_t length);

}  // namespace sluice

#endif  // SLUICE_PACKET_FRONT_H_
