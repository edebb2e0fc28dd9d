// Pools of mbufs.
#ifndef SLUICE_DATAPLANE_PORTS_PACKET_POOL_H_
#define SLUICE_DATAPLANE_PORTS_PACKET_POOL_H_

#include <cstdint>

struct rte_mempool;

namespace sluice {

struct PacketPoolOptions {
  uint32_t mbufs = 0;
  uint32_t cache = 0;      // of each lcore
  uint32_t data_room = 0;  // bytes, without the headroom
  // A thread that has no processor to itself takes mbufs and gives them back,
  // too, and nobody waits for it.
  bool shared = false;
};

// Null: rte_errno says why.
rte_mempool* MakePacketPool(const char* name, const PacketPoolOptions& options);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_PORTS_PACKET_POOL_H_
