#include "dataplane/ports/packet_pool.h"

#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

namespace sluice {

rte_mempool* MakePacketPool(const char* name,
                            const PacketPoolOptions& options) {
  rte_mempool* const pool = rte_pktmbuf_pool_create_by_ops(
      name, options.mbufs, options.cache, 0,
      static_cast<uint16_t>(RTE_PKTMBUF_HEADROOM + options.data_room),
      SOCKET_ID_ANY, options.shared ? "ring_mt_rts" : nullptr);
  if (pool == nullptr || !options.shared) return pool;
  // Who is stopped amid a ring of this kind leaves the others that many places
  // before they wait for him: all, in place of an eighth.
  auto* const ring = static_cast<rte_ring*>(pool->pool_data);
  rte_ring_set_prod_htd_max(ring, rte_ring_get_capacity(ring));
  rte_ring_set_cons_htd_max(ring, rte_ring_get_capacity(ring));
  return pool;
}

}  // namespace sluice
