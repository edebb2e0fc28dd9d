#include "packet/copy.h"

#include <rte_mbuf.h>

#include <cstring>

#include "packet/fragment.h"

namespace sluice {
namespace {

// With what lies before its data: headers of fragments do.
rte_mbuf* CopySegment(const rte_mbuf& from, rte_mempool* pool) {
  rte_mbuf* const to = rte_pktmbuf_alloc(pool);
  if (to == nullptr) return nullptr;
  const uint32_t end = uint32_t{from.data_off} + from.data_len;
  if (end > to->buf_len) {
    rte_pktmbuf_free(to);
    return nullptr;
  }
  std::memcpy(to->buf_addr, from.buf_addr, end);
  to->data_off = from.data_off;
  to->data_len = from.data_len;
  to->pkt_len = from.pkt_len;
  to->nb_segs = from.nb_segs;
  to->port = from.port;
  to->ol_flags = from.ol_flags & ~(RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL);
  to->packet_type = from.packet_type;
  to->vlan_tci = from.vlan_tci;
  to->hash = from.hash;
  to->tx_offload = from.tx_offload;
  return to;
}

}  // namespace

rte_mbuf* CopyPacket(const rte_mbuf& packet, rte_mempool* pool) {
  if (pool == nullptr) return nullptr;
  if ((packet.ol_flags & kFragmentMark) == 0) [[likely]] {
    return rte_pktmbuf_copy(&packet, pool, 0, UINT32_MAX);
  }
  rte_mbuf* head = nullptr;
  rte_mbuf** next = &head;
  for (const rte_mbuf* s = &packet; s != nullptr; s = s->next) {
    rte_mbuf* const copy = CopySegment(*s, pool);
    if (copy == nullptr) {
      // What there is so far has fewer segments than it says.
      while (head != nullptr) {
        rte_mbuf* const rest = head->next;
        head->next = nullptr;
        head->nb_segs = 1;
        rte_pktmbuf_free_seg(head);
        head = rest;
      }
      return nullptr;
    }
    *next = copy;
    next = &copy->next;
  }
  return head;
}

}  // namespace sluice
