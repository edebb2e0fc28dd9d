// The limiters of one filter: `state limiter` and `source limiter`. Rules share
// them by number, and they outlive rulesets: a load changes what a limiter
// allows and leaves what it counts, as pf does.
//
// Workers ask before a rule matches (LimiterGate) and take when the state is
// made; each of the two numbers that are limited, states and tokens, is one
// compare-and-swap, so that the limits are exact among workers. Configuration
// is the control side's, relaxed: a worker may judge a packet by the numbers of
// just before a load.
#ifndef SLUICE_PFTABLE_ENGINE_LIMITERS_H_
#define SLUICE_PFTABLE_ENGINE_LIMITERS_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <span>

#include "packet/packet.h"
#include "pftable/engine/compiled_rule.h"
#include "pftable/policy/policy.h"

namespace sluice {

inline constexpr size_t kLimiterIds = 256;  // 0 is none
// Tokens of a rate, so that thousandths of them have 32 bits.
inline constexpr uint32_t kMaxLimiterRate = 4000000;

enum class LimiterAnswer : uint8_t {
  kAdmits,
  kFull,     // as many states, or sources, as there may be
  kTooFast,
};

// Whether a rule that names limiters matches, for the evaluation.
class LimiterGate {
 public:
  virtual ~LimiterGate() = default;
  // Counts for the limiter that does not admit; *by_source says which it is.
  virtual LimiterAnswer Ask(const CompiledRule& rule, bool* by_source) = 0;
};

// Tokens of a rate N/S in thousandths that are used up: N is the most there
// are, and they come back evenly over S seconds.
class TokenBucket {
 public:
  static constexpr uint32_t kToken = 1000;

  // Whether there is one more at `now`.
  static bool Has(const std::atomic<uint64_t>& used, RateLimit rate,
                  Tick now) {
    return Used(used.load(std::memory_order_relaxed), rate, now) + kToken <=
           uint64_t{rate.count} * kToken;
  }
  static bool Take(std::atomic<uint64_t>& used, RateLimit rate, Tick now) {
    uint64_t before = used.load(std::memory_order_relaxed);
    for (;;) {
      const uint64_t after = Used(before, rate, now) + kToken;
      if (after > uint64_t{rate.count} * kToken) return false;
      if (used.compare_exchange_weak(before, after << 32 | now,
                                     std::memory_order_relaxed)) {
        return true;
      }
    }
  }

 private:
  static uint64_t Used(uint64_t word, RateLimit rate, Tick now) {
    const uint32_t ticks = now - static_cast<Tick>(word);
    // Ticks of two lcores may be a burst apart.
    if (ticks > ~uint32_t{0} - (1u << 16)) return word >> 32;
    const uint64_t back = uint64_t{ticks} * rate.count / rate.seconds;
    const uint64_t used = word >> 32;
    return used > back ? used - back : 0;
  }
};

struct LimiterCounts {
  std::atomic<uint64_t> admitted{0};
  std::atomic<uint64_t> no_address{0};  // `entries`, of source limiters
  std::atomic<uint64_t> full{0};
  std::atomic<uint64_t> too_fast{0};
};

class alignas(128) StateLimiter {
 public:
  // Control side.
  void Define(const LimiterDefinition& definition);
  // Nobody has it any more: its states do not count when it is back.
  void Undefine();
  bool defined() const { return defined_.load(std::memory_order_relaxed); }
  uint32_t limit() const { return limit_.load(std::memory_order_relaxed); }
  RateLimit rate() const {
    const uint64_t both = rate_.load(std::memory_order_relaxed);
    return {.count = static_cast<uint32_t>(both >> 32),
            .seconds = static_cast<uint32_t>(both)};
  }
  uint32_t in_use() const {
    return static_cast<uint32_t>(states_.load(std::memory_order_relaxed));
  }
  const LimiterCounts& counts() const { return counts_; }

  // Workers. One that is not defined admits nothing.
  LimiterAnswer Ask(Tick now);
  // One state more. *life: for GiveBack(). Without `enforce` it is none that is
  // admitted, and there is always room.
  bool Take(Tick now, bool enforce, uint32_t* life);
  void GiveBack(uint32_t life);

 private:
  std::atomic<bool> defined_{false};
  std::atomic<uint32_t> limit_{0};
  std::atomic<uint64_t> rate_{0};  // count above, seconds below
  // How often it was undefined above, states below.
  std::atomic<uint64_t> states_{0};
  std::atomic<uint64_t> tokens_{0};
  LimiterCounts counts_;
};

// The sources themselves lie among the source nodes (conntrack), which this
// says how to find.
class alignas(128) SourceLimiter {
 public:
  // Control side.
  void Define(const LimiterDefinition& definition);
  void Undefine();
  bool defined() const { return defined_.load(std::memory_order_relaxed); }
  uint32_t entries() const { return entries_.load(std::memory_order_relaxed); }
  // 0: none.
  uint32_t limit() const { return limit_.load(std::memory_order_relaxed); }
  RateLimit rate() const {
    const uint64_t both = rate_.load(std::memory_order_relaxed);
    return {.count = static_cast<uint32_t>(both >> 32),
            .seconds = static_cast<uint32_t>(both)};
  }
  uint8_t mask(Family family) const {
    return (family == Family::kIpv4 ? mask4_ : mask6_)
        .load(std::memory_order_relaxed);
  }
  // 0: it has no table.
  uint32_t above() const { return above_.load(std::memory_order_relaxed); }
  // 0: an address stays in the table.
  uint32_t below() const { return below_.load(std::memory_order_relaxed); }
  // How often it was undefined, in 24 bits.
  uint32_t life() const { return life_.load(std::memory_order_relaxed); }
  std::atomic<uint32_t>& sources() { return sources_; }
  const std::atomic<uint32_t>& sources() const { return sources_; }
  std::atomic<uint32_t>& states() { return states_; }
  const std::atomic<uint32_t>& states() const { return states_; }
  LimiterCounts& counts() { return counts_; }
  const LimiterCounts& counts() const { return counts_; }

 private:
  std::atomic<bool> defined_{false};
  std::atomic<uint8_t> mask4_{32};
  std::atomic<uint8_t> mask6_{128};
  std::atomic<uint32_t> entries_{0};
  std::atomic<uint32_t> limit_{0};
  std::atomic<uint64_t> rate_{0};  // count above, seconds below
  std::atomic<uint32_t> above_{0};
  std::atomic<uint32_t> below_{0};
  std::atomic<uint32_t> life_{0};
  alignas(64) std::atomic<uint32_t> sources_{0};
  std::atomic<uint32_t> states_{0};
  LimiterCounts counts_;
};

struct Limiters {
  std::array<StateLimiter, kLimiterIds> states;
  std::array<SourceLimiter, kLimiterIds> sources;

  // What a load does: those that are not among `definitions` are no more.
  void Define(std::span<const LimiterDefinition> definitions);
  // Before a load: only those that nobody has now.
  void Announce(std::span<const LimiterDefinition> definitions);
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_ENGINE_LIMITERS_H_
