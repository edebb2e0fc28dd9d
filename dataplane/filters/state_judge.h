// What rules would say of states that are there already: of the packet that
// made each of them, as it came. For changes of rules that are to end, or to
// show, what they would not let begin.
#ifndef SLUICE_DATAPLANE_FILTERS_STATE_JUDGE_H_
#define SLUICE_DATAPLANE_FILTERS_STATE_JUDGE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "conntrack/state.h"
#include "dataplane/ports/port_set.h"
#include "pftable/classify/verdict_cache.h"
#include "pftable/engine/generation.h"
#include "pftable/engine/interface_registry.h"
#include "pftable/engine/scratch_counters.h"

namespace sluice {

// One thread. Counts nothing, and takes no place of a rule's `max`.
class StateJudge {
 public:
  // Wires and groups are those of now.
  StateJudge(std::shared_ptr<const Generation> generation,
             const PortSet& ports);

  // Whether that packet would be blocked: in its direction, at the port that
  // made the state, with its first addresses, the state's tag and, of TCP, a
  // SYN alone. Where rules translate it becomes what it became then. What a
  // helper expected stays as long as its parent: never blocked. Where a packet
  // that left by a port of a segment or a router had come in nobody knows any
  // more: it is blocked if it were from wherever it may have come.
  bool Blocks(const StateRecord& state);

 private:
  using Arrivals = std::vector<InterfaceView>;
  struct Place {
    InterfaceView interface;
    // Where what leaves by it may have come in; null: by no port.
    std::shared_ptr<const Arrivals> arrivals;
  };

  bool BlocksFrom(const StateRecord& state, const Place& place,
                  InterfaceView received_on);

  const std::shared_ptr<const Generation> generation_;
  // Whether some rule asks where a packet has come in.
  bool asks_arrival_ = false;
  std::map<uint16_t, Place> places_;  // by the interface's number
  ScratchCounters scratch_;
  VerdictCache cache_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FILTERS_STATE_JUDGE_H_
