#include "dataplane/forward/rule_sink.h"

#include "dataplane/forward/filter_plane.h"
#include "pftable/engine/evaluate.h"
#include "pftable/store/policy_store.h"

namespace sluice {

PolicyStore& RuleSink::PolicyOf(uint16_t filter) const {
  return *filters_.at(filter)->policy;
}

bool RuleSink::StateInserted(uint16_t filter, const StateTemplate& values) {
  PolicyStore& store = PolicyOf(filter);
  if (values.has(kStateRuleLimit) &&
      !store.rule_slots().record(values.rule_slot).AcquireState()) {
    CountLimit(filter, LimitCounter::kMaxStates);
    return false;
  }
  store.worker_counters(worker_).inserts.Add(1);
  CountStateCreated(values, store.worker_counters(worker_));
  return true;
}

void RuleSink::AddTraffic(uint16_t filter, const StateTemplate& values,
                          const TrafficDelta& traffic) {
  PolicyStore& store = PolicyOf(filter);
  FoldTraffic(*store.current(), store.rule_slots(), values,
              {.packets = traffic.packets,
               .bytes = traffic.bytes,
               .family = traffic.family,
               .source = traffic.source,
               .destination = traffic.destination},
              store.worker_counters(worker_));
}

void RuleSink::StateRemoved(uint16_t filter, const StateTemplate& values) {
  PolicyStore& store = PolicyOf(filter);
  if (values.has(kStateRuleLimit)) {
    store.rule_slots().record(values.rule_slot).ReleaseState();
  }
  store.worker_counters(worker_).removals.Add(1);
  CountStateEnded(values, store.worker_counters(worker_));
}

void RuleSink::StateCancelled(uint16_t filter, const StateTemplate& values) {
  PolicyStore& store = PolicyOf(filter);
  if (values.has(kStateRuleLimit)) {
    store.rule_slots().record(values.rule_slot).ReleaseState();
  }
  store.worker_counters(worker_).inserts.TakeBack(1);
  CountStateCancelled(values, store.worker_counters(worker_));
}

const RuleRecord* RuleSink::RuleOf(uint16_t filter, uint32_t rule_slot) const {
  return &PolicyOf(filter).rule_slots().record(rule_slot);
}

void RuleSink::CountLimit(uint16_t filter, LimitCounter which) {
  PolicyOf(filter).worker_counters(worker_).limit(which).Add(1);
}

void RuleSink::CountMismatch(uint16_t filter, uint32_t rule_slot) {
  PolicyOf(filter).worker_counters(worker_).rule(rule_slot).mismatches.Add(1);
}

Limiters* RuleSink::LimitersOf(uint16_t filter) const {
  return PolicyOf(filter).limiters();
}

bool RuleSink::LimitSource(uint16_t filter, uint8_t limiter,
                           const Address& source, bool above) {
  return overloads_.Push({.filter_serial = filters_.at(filter)->serial,
                          .filter = filter,
                          .source = source,
                          .limiter = limiter,
                          .above = above});
}

void RuleSink::Overload(uint16_t filter, uint32_t rule_slot,
                        const Address& source) {
  const RuleRecord* const rule = RuleOf(filter, rule_slot);
  CountLimit(filter, LimitCounter::kOverloadTable);
  if (rule->tracking.flush) CountLimit(filter, LimitCounter::kOverloadFlush);
  static_cast<void>(
      overloads_.Push({.filter_serial = filters_.at(filter)->serial,
                       .filter = filter,
                       .rule_slot = rule_slot,
                       .source = source}));
}

const TimeoutProfile* RuleSink::RuleTimeouts(uint16_t filter,
                                             uint32_t rule_slot) const {
  return PolicyOf(filter).rule_slots().record(rule_slot).rule_timeouts();
}

uint32_t RuleSink::RuleStates(uint16_t filter, uint32_t rule_slot) const {
  return static_cast<uint32_t>(
      PolicyOf(filter).counters().Rule(rule_slot).states);
}

}  // namespace sluice
