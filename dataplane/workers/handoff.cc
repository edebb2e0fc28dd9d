#include "dataplane/workers/handoff.h"

#include <rte_mbuf.h>
#include <rte_ring.h>

#include <cstdlib>
#include <new>

namespace sluice {

PointerRing::PointerRing(uint32_t capacity) {
  // One slot stays empty, which RING_F_EXACT_SZ accounts for.
  const uint32_t slots = rte_align32pow2(capacity + 1);
  const ssize_t bytes = rte_ring_get_memsize(slots);
  const size_t rounded = (static_cast<size_t>(bytes) + 63) / 64 * 64;
  void* memory = std::aligned_alloc(RTE_CACHE_LINE_SIZE, rounded);
  if (memory == nullptr) throw std::bad_alloc();
  ring_.reset(static_cast<rte_ring*>(memory));
  rte_ring_init(ring_.get(), "sluice", capacity,
                RING_F_SP_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ);
}

void PointerRing::Free::operator()(rte_ring* ring) const { std::free(ring); }

uint32_t PointerRing::Push(std::span<void* const> pointers) {
  return rte_ring_sp_enqueue_burst(ring_.get(), pointers.data(),
                                   static_cast<unsigned>(pointers.size()),
                                   nullptr);
}

uint32_t PointerRing::Pop(std::span<void*> pointers) {
  return rte_ring_sc_dequeue_burst(ring_.get(), pointers.data(),
                                   static_cast<unsigned>(pointers.size()),
                                   nullptr);
}

Handoff::Handoff(uint16_t workers, uint32_t capacity) : workers_(workers) {
  rings_.resize(size_t{workers} * workers);
  for (uint16_t from = 0; from < workers; ++from) {
    for (uint16_t to = 0; to < workers; ++to) {
      if (from == to) continue;
      rings_[size_t{from} * workers + to] =
          std::make_unique<PointerRing>(capacity);
    }
  }
}

Handoff::~Handoff() {
  for (const auto& ring : rings_) {
    if (ring == nullptr) continue;
    void* pointer;
    while (ring->Pop({&pointer, 1}) == 1) {
      rte_pktmbuf_free(static_cast<rte_mbuf*>(pointer));
    }
  }
}

uint32_t Handoff::Send(uint16_t from, uint16_t to,
                       std::span<rte_mbuf* const> mbufs) {
  return Ring(from, to).Push(
      {reinterpret_cast<void* const*>(mbufs.data()), mbufs.size()});
}

uint32_t Handoff::Receive(uint16_t to, uint16_t from,
                          std::span<rte_mbuf*> mbufs) {
  return Ring(from, to).Pop(
      {reinterpret_cast<void**>(mbufs.data()), mbufs.size()});
}

}  // namespace sluice
