#include "conntrack/state_accounting.h"

#include "pftable/counters.h"
#include "pftable/evaluate.h"

namespace sluice {

bool StateAccounting::StateInserted(uint16_t, const StateTemplate& values) {
  if ((values.flags & kStateRuleLimit) != 0 &&
      !slots_.record(values.rule_slot).AcquireState()) {
    return false;
  }
  CountStateCreated(values, counters_);
  return true;
}

void StateAccounting::AddTraffic(uint16_t, const StateTemplate& values,
                                 const TrafficDelta& traffic) {
  FoldTraffic(slots_, values, {traffic.packets, traffic.bytes}, counters_);
}

void StateAccounting::StateRemoved(uint16_t, const StateTemplate& values) {
  if ((values.flags & kStateRuleLimit) != 0) {
    slots_.record(values.rule_slot).ReleaseState();
  }
  CountStateEnded(values, counters_);
}

const TimeoutProfile* StateAccounting::RuleTimeouts(uint16_t,
                                                    uint32_t rule_slot) const {
  return slots_.record(rule_slot).rule_timeouts();
}

uint32_t StateAccounting::RuleStates(uint16_t, uint32_t rule_slot) const {
  if (all_ != nullptr) {
    return static_cast<uint32_t>(all_->Rule(rule_slot).states);
  }
  const RuleCounters& own = counters_.rule(rule_slot);
  return static_cast<uint32_t>(own.states_created.value() -
                               own.states_ended.value());
}

}  // namespace sluice
