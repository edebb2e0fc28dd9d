// What a worker's states leave to the rules that made them: limits, own
// timeouts, and counters when a state is folded or ends.
#ifndef SLUICE_DATAPLANE_FORWARD_RULE_SINK_H_
#define SLUICE_DATAPLANE_FORWARD_RULE_SINK_H_

#include <cstdint>

#include "conntrack/state.h"
#include "dataplane/forward/overload_ring.h"

namespace sluice {

class FilterTable;
class PolicyStore;

// One a worker. `filters` outlives the sink; a filter stays in it for as long
// as it has states.
class RuleSink final : public StateSink {
 public:
  RuleSink(uint32_t worker, const FilterTable* filters)
      : worker_(worker), filters_(*filters) {}

  bool StateInserted(uint16_t filter, const StateTemplate& values) override;
  void AddTraffic(uint16_t filter, const StateTemplate& values,
                  const TrafficDelta& traffic) override;
  void StateRemoved(uint16_t filter, const StateTemplate& values) override;
  void StateCancelled(uint16_t filter, const StateTemplate& values) override;
  const RuleRecord* RuleOf(uint16_t filter,
                           uint32_t rule_slot) const override;
  void CountLimit(uint16_t filter, LimitCounter which) override;
  void CountMismatch(uint16_t filter, uint32_t rule_slot) override;
  Limiters* LimitersOf(uint16_t filter) const override;
  bool LimitSource(uint16_t filter, uint8_t limiter, const Address& source,
                   bool above) override;
  void Overload(uint16_t filter, uint32_t rule_slot,
                const Address& source) override;
  const TimeoutProfile* RuleTimeouts(uint16_t filter,
                                     uint32_t rule_slot) const override;
  uint32_t RuleStates(uint16_t filter, uint32_t rule_slot) const override;

  // What the control side takes out.
  OverloadRing& overloads() { return overloads_; }

 private:
  PolicyStore& PolicyOf(uint16_t filter) const;

  const uint32_t worker_;
  const FilterTable& filters_;
  OverloadRing overloads_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FORWARD_RULE_SINK_H_
