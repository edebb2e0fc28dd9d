// A counter with one writer that anyone may read.
#ifndef SLUICE_PACKET_COUNTER_H_
#define SLUICE_PACKET_COUNTER_H_

#include <atomic>
#include <cstdint>

namespace sluice {

// Written by the one lcore that owns it, read by any. The order is relaxed: a
// reader sees some recent value, and sums of several counters may be a packet
// apart. The addition is no atomic read-modify-write, because there is only
// one writer: it costs what a plain one costs.
class Counter {
 public:
  void Add(uint64_t n) {
    value_.store(value_.load(std::memory_order_relaxed) + n,
                 std::memory_order_relaxed);
  }
  // What was added and turned out not to have happened.
  void TakeBack(uint64_t n) { Add(~n + 1); }
  void Reset() { value_.store(0, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};
static_assert(sizeof(Counter) == 8);

}  // namespace sluice

#endif  // SLUICE_PACKET_COUNTER_H_
