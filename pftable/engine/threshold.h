// pf's threshold: how many things happened lately, for limits of the kind "so
// many in so many seconds". Any number of workers count in one.
#ifndef SLUICE_PFTABLE_ENGINE_THRESHOLD_H_
#define SLUICE_PFTABLE_ENGINE_THRESHOLD_H_

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "packet/packet.h"
#include "pftable/policy/rule.h"

namespace sluice {

// What happened counts for a thousand, which wears off evenly over the period.
inline constexpr uint32_t kRateUnit = 1000;
// The value after `ticks` more, before anything is added.
constexpr uint32_t WornOff(uint32_t value, uint32_t ticks, uint32_t seconds) {
  const uint64_t period = uint64_t{seconds} * 1000;
  if (ticks >= period) return 0;
  return static_cast<uint32_t>(value - value * uint64_t{ticks} / period);
}

// Ticks of two lcores may be a burst apart.
constexpr uint32_t TicksSince(Tick then, Tick now) {
  const uint32_t ticks = now - then;
  return ticks > ~uint32_t{0} - (1u << 16) ? 0 : ticks;
}

class Threshold {
 public:
  // Counts one more; whether there are no more than `rate` allows. Exact among
  // workers: it is one compare-and-swap.
  bool Add(RateLimit rate, Tick now) {
    uint64_t before = word_.load(std::memory_order_relaxed);
    uint64_t sum;
    do {
      sum = Left(before, rate, now) + kRateUnit;
    } while (!word_.compare_exchange_weak(
        before, std::min<uint64_t>(sum, UINT32_MAX) << 32 | now,
        std::memory_order_relaxed));
    return Allows(rate, sum);
  }
  // What Add() would say.
  bool WouldAllow(RateLimit rate, Tick now) const {
    return Allows(rate, Left(word_.load(std::memory_order_relaxed), rate,
                             now) +
                            kRateUnit);
  }
  // What is there now, and what another process had: in thousandths.
  uint32_t Value(RateLimit rate, Tick now) const {
    return static_cast<uint32_t>(
        Left(word_.load(std::memory_order_relaxed), rate, now));
  }
  void Set(uint32_t value, Tick now) {
    word_.store(uint64_t{value} << 32 | now, std::memory_order_relaxed);
  }

 private:
  static bool Allows(RateLimit rate, uint64_t value) {
    return value <= uint64_t{rate.count} * kRateUnit;
  }
  static uint64_t Left(uint64_t word, RateLimit rate, Tick now) {
    return WornOff(static_cast<uint32_t>(word >> 32),
                   TicksSince(static_cast<Tick>(word), now), rate.seconds);
  }

  std::atomic<uint64_t> word_{0};  // the value above, when it was that below
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_ENGINE_THRESHOLD_H_
