#include "dataplane/rule_sink.h"

#include "pftable/evaluate.h"
#include "pftable/policy_store.h"

namespace sluice {

bool RuleSink::StateInserted(uint16_t filter, const StateTemplate& values) {
  PolicyStore& store = *filters_[filter];
  if (values.has(kStateRuleLimit) &&
      !store.rule_slots().record(values.rule_slot).AcquireState()) {
    return false;
  }
  CountStateCreated(values, store.worker_counters(worker_));
  return true;
}

void RuleSink::AddTraffic(uint16_t filter, const StateTemplate& values,
                          const TrafficDelta& traffic) {
  PolicyStore& store = *filters_[filter];
  FoldTraffic(store.rule_slots(), values,
              {.packets = traffic.packets, .bytes = traffic.bytes},
              store.worker_counters(worker_));
}

void RuleSink::StateRemoved(uint16_t filter, const StateTemplate& values) {
  PolicyStore& store = *filters_[filter];
  if (values.has(kStateRuleLimit)) {
    store.rule_slots().record(values.rule_slot).ReleaseState();
  }
  CountStateEnded(values, store.worker_counters(worker_));
}

const TimeoutProfile* RuleSink::RuleTimeouts(uint16_t filter,
                                             uint32_t rule_slot) const {
  return filters_[filter]->rule_slots().record(rule_slot).rule_timeouts();
}

uint32_t RuleSink::RuleStates(uint16_t filter, uint32_t rule_slot) const {
  return static_cast<uint32_t>(
      filters_[filter]->counters().Rule(rule_slot).states);
}

}  // namespace sluice
