// The sink of a filter's policy: states count for the rules that made them.
#ifndef SLUICE_CONNTRACK_STATE_ACCOUNTING_H_
#define SLUICE_CONNTRACK_STATE_ACCOUNTING_H_

#include <cstdint>

#include "conntrack/state.h"
#include "pftable/rule_slots.h"
#include "pftable/timeouts.h"

namespace sluice {

class PolicyCounters;
class WorkerCounters;

// Of one filter on one worker.
class StateAccounting final : public StateSink {
 public:
  // `counters` are the worker's own, `all` those of all workers, or null if
  // there is one only. All outlive this.
  StateAccounting(const RuleSlots& slots, WorkerCounters& counters,
                  const PolicyCounters* all = nullptr)
      : slots_(slots), counters_(counters), all_(all) {}

  bool StateInserted(uint16_t filter, const StateTemplate& values) override;
  void AddTraffic(uint16_t filter, const StateTemplate& values,
                  const TrafficDelta& traffic) override;
  void StateRemoved(uint16_t filter, const StateTemplate& values) override;
  const TimeoutProfile* RuleTimeouts(uint16_t filter,
                                     uint32_t rule_slot) const override;
  uint32_t RuleStates(uint16_t filter, uint32_t rule_slot) const override;

 private:
  const RuleSlots& slots_;
  WorkerCounters& counters_;
  const PolicyCounters* all_;
};

}  // namespace sluice

#endif  // SLUICE_CONNTRACK_STATE_ACCOUNTING_H_
