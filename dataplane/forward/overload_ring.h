// What workers ask the control side to do with a source that has opened too
// many connections, or too fast: `overload` and `flush` of its rule. A full
// ring costs orders, which are counted, and never a packet: the source's next
// connection above the limit is dropped all the same, and asks again. So do source
// limiters with a table: what found no room is said again with the source's next
// state that begins or ends.
#ifndef SLUICE_DATAPLANE_FORWARD_OVERLOAD_RING_H_
#define SLUICE_DATAPLANE_FORWARD_OVERLOAD_RING_H_

#include <array>
#include <atomic>
#include <cstdint>

#include "packet/address.h"
#include "packet/counter.h"

namespace sluice {

struct OverloadOrder {
  uint64_t filter_serial = 0;
  uint16_t filter = 0;
  uint32_t rule_slot = 0;
  Address source{};
  // Not 0: this source limiter's table is to have the source, or not any more.
  uint8_t limiter = 0;
  bool above = false;
};

// One writer, a worker; one reader.
class OverloadRing {
 public:
  static constexpr uint32_t kCapacity = 1024;

  OverloadRing() = default;
  OverloadRing(const OverloadRing&) = delete;
  OverloadRing& operator=(const OverloadRing&) = delete;

  bool Push(const OverloadOrder& order) {
    const uint32_t head = head_.load(std::memory_order_relaxed);
    if (head - tail_.load(std::memory_order_acquire) == kCapacity) {
      lost_.Add(1);
      return false;
    }
    orders_[head % kCapacity] = order;
    head_.store(head + 1, std::memory_order_release);
    return true;
  }
  bool Pop(OverloadOrder* order) {
    const uint32_t tail = tail_.load(std::memory_order_relaxed);
    if (tail == head_.load(std::memory_order_acquire)) return false;
    *order = orders_[tail % kCapacity];
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }
  // Orders that found no room. Any lcore.
  uint64_t lost() const { return lost_.value(); }

 private:
  std::array<OverloadOrder, kCapacity> orders_;
  alignas(128) std::atomic<uint32_t> head_{0};  // the writer's
  Counter lost_;
  alignas(128) std::atomic<uint32_t> tail_{0};  // the reader's
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FORWARD_OVERLOAD_RING_H_
