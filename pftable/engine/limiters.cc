#include "pftable/engine/limiters.h"

namespace sluice {
namespace {

void Clear(LimiterCounts& counts) {
  for (std::atomic<uint64_t>* count :
       {&counts.admitted, &counts.no_address, &counts.full,
        &counts.too_fast}) {
    count->store(0, std::memory_order_relaxed);
  }
}

void Set(std::atomic<uint32_t>& to, uint32_t value) {
  to.store(value, std::memory_order_relaxed);
}

}  // namespace

void StateLimiter::Define(const LimiterDefinition& definition) {
  Set(limit_, definition.limit);
  rate_.store(uint64_t{definition.rate.count} << 32 | definition.rate.seconds,
              std::memory_order_relaxed);
  // With a new rate all its tokens are there.
  tokens_.store(0, std::memory_order_relaxed);
  defined_.store(true, std::memory_order_relaxed);
}

void StateLimiter::Undefine() {
  if (!defined_.exchange(false, std::memory_order_relaxed)) return;
  uint64_t states = states_.load(std::memory_order_relaxed);
  while (!states_.compare_exchange_weak(states, ((states >> 32) + 1) << 32,
                                        std::memory_order_relaxed)) {
  }
  Clear(counts_);
}

LimiterAnswer StateLimiter::Ask(Tick now) {
  if (!defined() || in_use() >= limit()) {
    counts_.full.fetch_add(1, std::memory_order_relaxed);
    return LimiterAnswer::kFull;
  }
  const RateLimit given = rate();
  if (given.IsSet() && !TokenBucket::Has(tokens_, given, now)) {
    counts_.too_fast.fetch_add(1, std::memory_order_relaxed);
    return LimiterAnswer::kTooFast;
  }
  return LimiterAnswer::kAdmits;
}

bool StateLimiter::Take(Tick now, bool enforce, uint32_t* life) {
  uint64_t states = states_.load(std::memory_order_relaxed);
  do {
    if (enforce && (!defined() || static_cast<uint32_t>(states) >= limit())) {
      counts_.full.fetch_add(1, std::memory_order_relaxed);
      return false;
    }
  } while (!states_.compare_exchange_weak(states, states + 1,
                                          std::memory_order_relaxed));
  *life = static_cast<uint32_t>(states >> 32);
  if (!enforce) return true;
  const RateLimit given = rate();
  if (given.IsSet() && !TokenBucket::Take(tokens_, given, now)) {
    GiveBack(*life);
    counts_.too_fast.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  counts_.admitted.fetch_add(1, std::memory_order_relaxed);
  return true;
}

void StateLimiter::GiveBack(uint32_t life) {
  uint64_t states = states_.load(std::memory_order_relaxed);
  while (static_cast<uint32_t>(states >> 32) == life &&
         !states_.compare_exchange_weak(states, states - 1,
                                        std::memory_order_relaxed)) {
  }
}

void SourceLimiter::Define(const LimiterDefinition& definition) {
  Set(entries_, definition.entries);
  Set(limit_, definition.limit);
  rate_.store(uint64_t{definition.rate.count} << 32 | definition.rate.seconds,
              std::memory_order_relaxed);
  Set(above_, definition.above);
  Set(below_, definition.below);
  mask4_.store(definition.mask4, std::memory_order_relaxed);
  mask6_.store(definition.mask6, std::memory_order_relaxed);
  defined_.store(true, std::memory_order_relaxed);
}

void SourceLimiter::Undefine() {
  if (!defined_.exchange(false, std::memory_order_relaxed)) return;
  life_.store((life() + 1) & 0xffffff, std::memory_order_relaxed);
  Clear(counts_);
}

void Limiters::Define(std::span<const LimiterDefinition> definitions) {
  std::array<bool, kLimiterIds> by_state{}, by_source{};
  for (const LimiterDefinition& definition : definitions) {
    if (definition.by_source) {
      by_source[definition.id] = true;
      sources[definition.id].Define(definition);
    } else {
      by_state[definition.id] = true;
      states[definition.id].Define(definition);
    }
  }
  for (size_t id = 0; id < kLimiterIds; ++id) {
    if (!by_state[id]) states[id].Undefine();
    if (!by_source[id]) sources[id].Undefine();
  }
}

void Limiters::Announce(std::span<const LimiterDefinition> definitions) {
  for (const LimiterDefinition& definition : definitions) {
    if (definition.by_source) {
      SourceLimiter& limiter = sources[definition.id];
      if (!limiter.defined()) limiter.Define(definition);
    } else {
      StateLimiter& limiter = states[definition.id];
      if (!limiter.defined()) limiter.Define(definition);
    }
  }
}

}  // namespace sluice
