// A filter without a process around it: its policy, its budget of states, and
// what workers have of it, tied together.
#ifndef SLUICE_DATAPLANE_FORWARD_BARE_FILTER_H_
#define SLUICE_DATAPLANE_FORWARD_BARE_FILTER_H_

#include <algorithm>
#include <cstdint>

#include "conntrack/source_nodes.h"
#include "conntrack/state_budget.h"
#include "dataplane/forward/filter_plane.h"
#include "pftable/store/policy_store.h"

namespace sluice {

struct BareFilter {
  // What `config`, `interfaces` and `reclaimer` refer to outlives it. Room for
  // `state_capacity` states is in the workers' tables.
  BareFilter(uint16_t number, const PolicyStoreConfig& config,
             const InterfaceRegistry* interfaces, Reclaimer* reclaimer,
             uint32_t state_capacity)
      : state_capacity(state_capacity), store(config, interfaces, reclaimer) {
    plane.number = number;
    plane.policy = &store;
    plane.budget = &budget;
    plane.sources = &sources;
    plane.handshakes = &handshakes;
    SetLimits(*store.policy());
  }

  // The workers' tables do not hold more states, whatever a ruleset says.
  void SetLimits(const Policy& policy) {
    budget.SetLimit(
        std::min(policy.options.limit(Limit::kStates), state_capacity));
    sources.nodes.SetLimit(policy.options.limit(Limit::kSourceNodes));
  }

  const uint32_t state_capacity;
  StateBudget budget{0};
  SourceBudget sources;
  HandshakeLoad handshakes;
  PolicyStore store;
  FilterPlane plane;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FORWARD_BARE_FILTER_H_
