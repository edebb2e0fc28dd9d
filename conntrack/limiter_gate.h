// Asks a filter's limiters for the evaluation of one packet. One a worker.
#ifndef SLUICE_CONNTRACK_LIMITER_GATE_H_
#define SLUICE_CONNTRACK_LIMITER_GATE_H_

#include <cstdint>

#include "conntrack/source_nodes.h"
#include "pftable/engine/limiters.h"

namespace sluice {

class StateTable;

// Of a source limiter: the node of a source in its life of now.
SourceKey LimiterKey(const SourceLimiter& limiter, uint8_t id, uint16_t filter,
                     VlanId vlan, const Address& source);

class StateLimiterGate final : public LimiterGate {
 public:
  explicit StateLimiterGate(const StateTable& states) : states_(states) {}

  // What is asked about next: a flow of `source` in `vlan`, whatever rules have
  // made of its packet.
  void Begin(uint16_t filter, VlanId vlan, const Address& source, Tick now) {
    filter_ = filter;
    vlan_ = vlan;
    source_ = source;
    now_ = now;
  }
  LimiterAnswer Ask(const CompiledRule& rule, bool* by_source) override;

 private:
  const StateTable& states_;
  uint16_t filter_ = 0;
  VlanId vlan_;
  Address source_;
  Tick now_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_CONNTRACK_LIMITER_GATE_H_
