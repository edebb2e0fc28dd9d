#include "dataplane/forward/router_exchange.h"

#include <rte_mbuf.h>

#include <vector>

#include "dataplane/forward/record_ring.h"

namespace sluice {
namespace {

// Questions beside packets: what waits for a neighbour asks once.
constexpr uint32_t kQuestionRoom = 256;

using MbufRing = RecordRing<rte_mbuf*>;

uint32_t Put(MbufRing& ring, std::span<rte_mbuf* const> mbufs) {
  uint32_t count = 0;
  for (rte_mbuf* const mbuf : mbufs) {
    rte_mbuf** const place = ring.Begin();
    if (place == nullptr) break;
    *place = mbuf;
    ring.Commit();
    ++count;
  }
  return count;
}

uint32_t Take(MbufRing& ring, std::span<rte_mbuf*> mbufs) {
  uint32_t count = 0;
  while (count < mbufs.size()) {
    rte_mbuf* const* const front = ring.Front();
    if (front == nullptr) break;
    mbufs[count++] = *front;
    ring.Pop();
  }
  return count;
}

}  // namespace

struct RouterExchange::Parts {
  // Of one worker.
  struct Rings {
    explicit Rings(uint32_t capacity)
        : to_host(capacity), from_host(capacity), questions(kQuestionRoom) {}

    MbufRing to_host;
    MbufRing from_host;
    RecordRing<NeighborQuestion> questions;
  };
  std::vector<std::unique_ptr<Rings>> workers;
};

RouterExchange::RouterExchange(uint16_t workers, uint32_t capacity)
    : parts_(std::make_unique<Parts>()) {
  for (uint16_t worker = 0; worker < workers; ++worker) {
    parts_->workers.push_back(std::make_unique<Parts::Rings>(capacity));
  }
}

RouterExchange::~RouterExchange() {
  rte_mbuf* mbuf = nullptr;
  for (const auto& rings : parts_->workers) {
    while (Take(rings->to_host, {&mbuf, 1}) == 1) rte_pktmbuf_free(mbuf);
    while (Take(rings->from_host, {&mbuf, 1}) == 1) rte_pktmbuf_free(mbuf);
  }
}

uint32_t RouterExchange::ToHost(uint16_t worker,
                                std::span<rte_mbuf* const> mbufs) {
  return Put(parts_->workers[worker]->to_host, mbufs);
}

uint32_t RouterExchange::FromHost(uint16_t worker,
                                  std::span<rte_mbuf*> mbufs) {
  return Take(parts_->workers[worker]->from_host, mbufs);
}

bool RouterExchange::Ask(uint16_t worker, const NeighborQuestion& question) {
  auto& ring = parts_->workers[worker]->questions;
  NeighborQuestion* const place = ring.Begin();
  if (place == nullptr) return false;
  *place = question;
  ring.Commit();
  return true;
}

uint32_t RouterExchange::TakeForHost(uint16_t worker,
                                     std::span<rte_mbuf*> mbufs) {
  return Take(parts_->workers[worker]->to_host, mbufs);
}

uint32_t RouterExchange::SendToWorker(uint16_t worker,
                                      std::span<rte_mbuf* const> mbufs) {
  return Put(parts_->workers[worker]->from_host, mbufs);
}

bool RouterExchange::NextQuestion(uint16_t worker,
                                  NeighborQuestion* question) {
  auto& ring = parts_->workers[worker]->questions;
  const NeighborQuestion* const front = ring.Front();
  if (front == nullptr) return false;
  *question = *front;
  ring.Pop();
  return true;
}

uint16_t RouterExchange::workers() const {
  return static_cast<uint16_t>(parts_->workers.size());
}

}  // namespace sluice
