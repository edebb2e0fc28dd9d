// A second packet like the first.
#ifndef SLUICE_PACKET_COPY_H_
#define SLUICE_PACKET_COPY_H_

struct rte_mbuf;
struct rte_mempool;

namespace sluice {

// With buffers of its own, all of it: also what a datagram that was put
// together needs to be taken apart (fragment.h). Null: the pool has too few
// buffers, or too small ones.
rte_mbuf* CopyPacket(const rte_mbuf& packet, rte_mempool* pool);

}  // namespace sluice

#endif  // SLUICE_PACKET_COPY_H_
