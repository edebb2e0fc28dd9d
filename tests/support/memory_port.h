// Ports and packets that the thread sanitizer understands: nothing of what
// synchronises them is in a driver that it does not see.
#ifndef SLUICE_TESTS_SUPPORT_MEMORY_PORT_H_
#define SLUICE_TESTS_SUPPORT_MEMORY_PORT_H_

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_mempool.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "dataplane/workers/handoff.h"
#include "tests/support/mbuf_pool.h"

namespace sluice {

// An ethdev whose wire is a ring for each queue: it exists for the burst
// functions only.
class MemoryPort {
 public:
  MemoryPort(uint16_t ethdev, uint16_t queues, uint32_t size)
      : ethdev_(ethdev), callbacks_(queues), before_(rte_eth_fp_ops[ethdev]) {
    for (uint16_t i = 0; i < queues; ++i) {
      rx_.push_back(std::make_unique<PointerRing>(size));
      tx_.push_back(std::make_unique<PointerRing>(size));
      rx_data_.push_back(rx_.back().get());
      tx_data_.push_back(tx_.back().get());
    }
    struct rte_eth_fp_ops& ops = rte_eth_fp_ops[ethdev];
    ops.rx_pkt_burst = [](void* queue, rte_mbuf** mbufs, uint16_t count) {
      return static_cast<uint16_t>(static_cast<PointerRing*>(queue)->Pop(
          {reinterpret_cast<void**>(mbufs), count}));
    };
    ops.tx_pkt_burst = [](void* queue, rte_mbuf** mbufs, uint16_t count) {
      return static_cast<uint16_t>(static_cast<PointerRing*>(queue)->Push(
          {reinterpret_cast<void**>(mbufs), count}));
    };
    ops.rxq = {.data = rx_data_.data(), .clbk = callbacks_.data()};
    ops.txq = {.data = tx_data_.data(), .clbk = callbacks_.data()};
  }
  ~MemoryPort() {
    rte_eth_fp_ops[ethdev_] = before_;
    Drain();
    for (const auto& ring : rx_) Empty(*ring);
  }
  MemoryPort(const MemoryPort&) = delete;
  MemoryPort& operator=(const MemoryPort&) = delete;

  uint16_t ethdev() const { return ethdev_; }
  // One thread at a time. False: full, the mbuf is still the caller's.
  bool Arrive(rte_mbuf* mbuf, uint16_t queue) {
    void* pointer = mbuf;
    return rx_[queue]->Push({&pointer, 1}) == 1;
  }
  // Frees what has left; one thread at a time. Returns how many.
  uint32_t Drain() {
    uint32_t count = 0;
    for (const auto& ring : tx_) count += Empty(*ring);
    return count;
  }
  // Frees what has not been received. Returns how many.
  uint32_t Forget(uint16_t queue) { return Empty(*rx_[queue]); }

 private:
  static uint32_t Empty(PointerRing& ring) {
    uint32_t count = 0;
    void* pointer;
    while (ring.Pop({&pointer, 1}) == 1) {
      rte_pktmbuf_free(static_cast<rte_mbuf*>(pointer));
      ++count;
    }
    return count;
  }

  const uint16_t ethdev_;
  std::vector<std::unique_ptr<PointerRing>> rx_, tx_;
  std::vector<void*> rx_data_, tx_data_;
  std::vector<void*> callbacks_;
  const struct rte_eth_fp_ops before_;
};

namespace internal {

// The free elements of a mempool: a stack under a mutex.
struct LockedStack {
  std::mutex mutex;
  std::vector<void*> elements;
};

inline LockedStack& StackOf(const rte_mempool* pool) {
  return *static_cast<LockedStack*>(pool->pool_data);
}

// Registers the kind of pool once; its name.
inline const char* LockedPoolOps() {
  static const int registered = [] {
    static rte_mempool_ops ops = {};
    rte_strscpy(ops.name, "locked_stack", sizeof ops.name);
    ops.alloc = [](rte_mempool* pool) {
      auto* stack = new LockedStack;
      stack->elements.reserve(pool->size);
      pool->pool_data = stack;
      return 0;
    };
    ops.free = [](rte_mempool* pool) { delete &StackOf(pool); };
    ops.enqueue = [](rte_mempool* pool, void* const* objects, unsigned n) {
      LockedStack& stack = StackOf(pool);
      const std::lock_guard lock(stack.mutex);
      stack.elements.insert(stack.elements.end(), objects, objects + n);
      return 0;
    };
    ops.dequeue = [](rte_mempool* pool, void** objects, unsigned n) {
      LockedStack& stack = StackOf(pool);
      const std::lock_guard lock(stack.mutex);
      if (stack.elements.size() < n) return -ENOBUFS;
      for (unsigned i = 0; i < n; ++i) {
        objects[i] = stack.elements.back();
        stack.elements.pop_back();
      }
      return 0;
    };
    ops.get_count = [](const rte_mempool* pool) {
      LockedStack& stack = StackOf(pool);
      const std::lock_guard lock(stack.mutex);
      return static_cast<unsigned>(stack.elements.size());
    };
    return rte_mempool_register_ops(&ops);
  }();
  return registered >= 0 ? "locked_stack" : nullptr;
}

}  // namespace internal

// Mbufs for any thread.
class LockedPool {
 public:
  explicit LockedPool(uint32_t count) {
    StartEalForTests();
    pool_ = rte_pktmbuf_pool_create_by_ops(
        "locked", count, 0, 0, 512, SOCKET_ID_ANY, internal::LockedPoolOps());
    if (pool_ == nullptr) std::abort();
  }
  ~LockedPool() { rte_mempool_free(pool_); }
  LockedPool(const LockedPool&) = delete;
  LockedPool& operator=(const LockedPool&) = delete;

  // Null: empty.
  rte_mbuf* Make(std::span<const uint8_t> bytes) {
    rte_mbuf* mbuf = rte_pktmbuf_alloc(pool_);
    if (mbuf == nullptr) return nullptr;
    char* data = rte_pktmbuf_append(mbuf, static_cast<uint16_t>(bytes.size()));
    std::copy(bytes.begin(), bytes.end(), data);
    return mbuf;
  }
  uint32_t InUse() const { return rte_mempool_in_use_count(pool_); }

 private:
  rte_mempool* pool_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_SUPPORT_MEMORY_PORT_H_
