// The parts of StateTable that deal with the limiters of its states.
#include <algorithm>

#include "conntrack/limiter_gate.h"
#include "conntrack/state_table.h"
#include "pftable/engine/limiters.h"

namespace sluice {
namespace {

// pf keeps a source for the time of its rate after its last state, and as long
// again and a second before it looks.
uint32_t LifeWithoutStates(const SourceLimiter& limiter) {
  const uint64_t seconds = 2 * uint64_t{limiter.rate().seconds} + 1;
  return static_cast<uint32_t>(
      std::min<uint64_t>(seconds * 1000, kMaxTimeoutTicks));
}

}  // namespace

bool StateTable::TakeLimits(StateIndex state, const StateTemplate& values,
                            Tick now, bool enforce, StateSide* side,
                            DropReason* reason) {
  const uint16_t filter = entries_.hot(state).key.filter;
  Limiters* const limiters = LimitersOf(filter);
  if (limiters == nullptr) {
    *reason = DropReason::kStateLimit;
    return !enforce;
  }
  if (values.state_limiter != 0) {
    *reason = DropReason::kStateLimit;
    if (!limiters->states[values.state_limiter].Take(now, enforce,
                                                     &side->limiter_life)) {
      return false;
    }
    side->state_limiter = values.state_limiter;
  }
  if (values.source_limiter == 0 || source_nodes_ == nullptr) return true;
  SourceLimiter& limiter = limiters->sources[values.source_limiter];
  const Address source = OriginatorOf(state);
  const SourceResult taken = source_nodes_->Take(
      LimiterKey(limiter, values.source_limiter, filter,
                 entries_.hot(state).vlan(), source),
      {.budget = source_nodes_->unlimited(),
       .rule_nodes = &limiter.sources(),
       .max_nodes = enforce ? limiter.entries() : 0},
      enforce ? limiter.limit() : 0, now);
  // Read once: a load may take the rate away at any moment.
  const RateLimit rate = limiter.rate();
  const bool too_fast =
      enforce && taken.node != kNoSourceNode && rate.IsSet() &&
      !source_nodes_->TakeToken(taken.node, rate, now);
  if (taken.node != kNoSourceNode && !too_fast) {
    side->source_limiter = values.source_limiter;
    side->limited_source = taken.node;
    limiter.states().fetch_add(1, std::memory_order_relaxed);
    if (enforce) {
      limiter.counts().admitted.fetch_add(1, std::memory_order_relaxed);
    }
    const uint32_t above = limiter.above();
    if (above != 0 && source_nodes_->StatesOf(taken.node) > above &&
        source_nodes_->Mark(taken.node, true) &&
        !sink_->LimitSource(filter, values.source_limiter, source, true)) {
      // Its next state says it again.
      source_nodes_->Mark(taken.node, false);
    }
    return true;
  }
  if (!enforce) return true;
  if (taken.node != kNoSourceNode) source_nodes_->GiveBack(taken.node, now);
  (too_fast                                   ? limiter.counts().too_fast
   : taken.refusal == SourceRefusal::kStates ? limiter.counts().full
                                              : limiter.counts().no_address)
      .fetch_add(1, std::memory_order_relaxed);
  if (side->state_limiter != 0) {
    limiters->states[side->state_limiter].GiveBack(side->limiter_life);
    side->state_limiter = 0;
  }
  *reason = DropReason::kSrcLimit;
  return false;
}

void StateTable::GiveBackLimits(StateIndex state, const StateSide& side) {
  const uint16_t filter = entries_.hot(state).key.filter;
  Limiters* const limiters = LimitersOf(filter);
  if (limiters == nullptr) return;
  if (side.state_limiter != 0) {
    limiters->states[side.state_limiter].GiveBack(side.limiter_life);
  }
  const SourceNodeIndex node = side.limited_source;
  if (node == kNoSourceNode) return;
  SourceLimiter& limiter = limiters->sources[side.source_limiter];
  limiter.states().fetch_sub(1, std::memory_order_relaxed);
  const uint32_t left = source_nodes_->StatesOf(node) - 1;
  // One of a life that is over has nothing in a table of now.
  if (left < limiter.below() && source_nodes_->Mark(node, false) &&
      source_nodes_->key(node).rule_slot >> 8 == limiter.life() &&
      !sink_->LimitSource(filter, side.source_limiter, OriginatorOf(state),
                          false)) {
    source_nodes_->Mark(node, true);
  }
  source_nodes_->Release(node, /*connection=*/false,
                         LifeWithoutStates(limiter), now_);
}

void StateTable::HoldLimits(StateIndex state, const StateSide& limits) {
  StateHot& hot = entries_.hot(state);
  StateSide& side = entries_.side(state);
  if (!hot.has_side()) side = StateSide{};
  hot.more |= kMoreSide;
  side.flags |= kSideLimited;
  side.state_limiter = limits.state_limiter;
  side.source_limiter = limits.source_limiter;
  side.limited_source = limits.limited_source;
  side.limiter_life = limits.limiter_life;
}

// Of a state that comes from elsewhere: it counts, whatever there is already.
void StateTable::LimitAgain(StateIndex state, Tick now) {
  StateSide& side = entries_.side(state);
  StateTemplate values;
  values.state_limiter = side.state_limiter;
  values.source_limiter = side.source_limiter;
  StateSide limits;
  DropReason reason;
  side.flags &= ~uint32_t{kSideLimited};
  TakeLimits(state, values, now, /*enforce=*/false, &limits, &reason);
  HoldLimits(state, limits);
}

}  // namespace sluice
