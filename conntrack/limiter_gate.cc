#include "conntrack/limiter_gate.h"

#include "conntrack/state_table.h"

namespace sluice {

SourceKey LimiterKey(const SourceLimiter& limiter, uint8_t id, uint16_t filter,
                     VlanId vlan, const Address& source) {
  const Prefix network =
      Prefix{.address = source, .length = limiter.mask(source.family)}
          .Masked();
  return {.address = network.address.bytes,
          .vlan = vlan,
          .rule_slot = limiter.life() << 8 | id,
          .filter = filter,
          .family = source.family,
          .use = SourceUse::kLimiter};
}

LimiterAnswer StateLimiterGate::Ask(const CompiledRule& rule,
                                    bool* by_source) {
  Limiters* const limiters = states_.LimitersOf(filter_);
  *by_source = false;
  if (rule.state_limiter != 0) {
    if (limiters == nullptr) return LimiterAnswer::kFull;
    const LimiterAnswer answer =
        limiters->states[rule.state_limiter].Ask(now_);
    if (answer != LimiterAnswer::kAdmits) return answer;
  }
  if (rule.source_limiter == 0) return LimiterAnswer::kAdmits;
  *by_source = true;
  SourceNodes* const nodes = states_.source_nodes();
  if (limiters == nullptr || nodes == nullptr) return LimiterAnswer::kFull;
  SourceLimiter& limiter = limiters->sources[rule.source_limiter];
  const SourceNodeIndex node = nodes->Peek(
      LimiterKey(limiter, rule.source_limiter, filter_, vlan_, source_));
  if (node == kNoSourceNode) {
    if (limiter.defined() &&
        limiter.sources().load(std::memory_order_relaxed) <
            limiter.entries()) {
      return LimiterAnswer::kAdmits;
    }
    limiter.counts().no_address.fetch_add(1, std::memory_order_relaxed);
    return LimiterAnswer::kFull;
  }
  const bool full =
      limiter.limit() != 0 && nodes->StatesOf(node) >= limiter.limit();
  // Read once: a load may take the rate away at any moment.
  const RateLimit rate = limiter.rate();
  const bool too_fast =
      !full && rate.IsSet() && !nodes->HasToken(node, rate, now_);
  if (!full && !too_fast) return LimiterAnswer::kAdmits;
  (full ? limiter.counts().full : limiter.counts().too_fast)
      .fetch_add(1, std::memory_order_relaxed);
  return full ? LimiterAnswer::kFull : LimiterAnswer::kTooFast;
}

}  // namespace sluice
