#include "packet/front.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>

#include "packet/fragment.h"

namespace sluice {
namespace {

void DropSegmentAfter(rte_mbuf& before, rte_mbuf& head) {
  rte_mbuf* gone = before.next;
  before.next = gone->next;
  gone->next = nullptr;
  gone->nb_segs = 1;
  --head.nb_segs;
  rte_pktmbuf_free_seg(gone);
}

// Moves what a segment holds, so that `bytes` fit before it. False: the buffer
// is too small.
bool MakeHeadroom(rte_mbuf& mbuf, uint32_t bytes) {
  if (rte_pktmbuf_headroom(&mbuf) >= bytes) return true;
  if (uint32_t{mbuf.data_len} + bytes > mbuf.buf_len) return false;
  auto* base = static_cast<uint8_t*>(mbuf.buf_addr);
  std::memmove(base + bytes, base + mbuf.data_off, mbuf.data_len);
  mbuf.data_off = static_cast<uint16_t>(bytes);
  return true;
}

// A new first segment, with nothing in it yet.
rte_mbuf* NewHead(rte_mbuf* old, uint32_t bytes, rte_mempool* pool) {
  rte_mbuf* head = pool != nullptr ? rte_pktmbuf_alloc(pool) : nullptr;
  if (head == nullptr) return nullptr;
  if (!MakeHeadroom(*head, bytes)) {
    rte_pktmbuf_free(head);
    return nullptr;
  }
  head->port = old->port;
  head->ol_flags = old->ol_flags;
  head->packet_type = old->packet_type;
  head->vlan_tci = old->vlan_tci;
  head->vlan_tci_outer = old->vlan_tci_outer;
  head->hash = old->hash;
  head->tx_offload = old->tx_offload;
  head->pkt_len = old->pkt_len;
  head->nb_segs = static_cast<uint16_t>(old->nb_segs + 1);
  head->next = old;
  old->ol_flags &= ~kFragmentMark;
  return head;
}

}  // namespace

bool ReplaceFront(rte_mbuf** packet, uint32_t cut,
                  std::span<const uint8_t> front, rte_mempool* pool) {
  rte_mbuf* head = *packet;
  head->pkt_len -= cut;
  const uint32_t here = std::min<uint32_t>(cut, head->data_len);
  head->data_off = static_cast<uint16_t>(head->data_off + here);
  head->data_len = static_cast<uint16_t>(head->data_len - here);
  cut -= here;
  while (cut > 0) {
    rte_mbuf* next = head->next;
    const uint32_t part = std::min<uint32_t>(cut, next->data_len);
    next->data_off = static_cast<uint16_t>(next->data_off + part);
    next->data_len = static_cast<uint16_t>(next->data_len - part);
    cut -= part;
    if (next->data_len == 0) DropSegmentAfter(*head, *head);
  }
  const auto bytes = static_cast<uint32_t>(front.size());
  if (!MakeHeadroom(*head, bytes)) {
    rte_mbuf* made = NewHead(head, bytes, pool);
    if (made == nullptr) return false;
    head = *packet = made;
  }
  head->data_off = static_cast<uint16_t>(head->data_off - bytes);
  head->data_len = static_cast<uint16_t>(head->data_len + bytes);
  head->pkt_len += bytes;
  std::memcpy(rte_pktmbuf_mtod(head, uint8_t*), front.data(), bytes);
  return true;
}

void CutBack(rte_mbuf& packet, uint32_t length) {
  if (packet.pkt_len <= length) return;
  packet.pkt_len = length;
  rte_mbuf* segment = &packet;
  while (segment->data_len < length) {
    length -= segment->data_len;
    segment = segment->next;
  }
  segment->data_len = static_cast<uint16_t>(length);
  while (segment->next != nullptr) DropSegmentAfter(*segment, packet);
}

}  // namespace sluice
