// What a worker's round works with.
#ifndef SLUICE_DATAPLANE_FORWARD_ROUND_CONTEXT_H_
#define SLUICE_DATAPLANE_FORWARD_ROUND_CONTEXT_H_

#include <cstdint>

#include "packet/packet.h"

namespace sluice {

struct Topology;

// Read once, the same for all bursts of the round. The worker writes it at the
// beginning of each; its parts read it.
struct RoundContext {
  uint64_t number = 0;
  Tick now = 0;
  const Topology* topology = nullptr;
  uint64_t topology_serial = 0;
  // Publication::epoch(), read after the topology: policies of later ones are
  // not seen in this round, whichever filter it meets when.
  uint64_t policy_epoch = UINT64_MAX;
  // Bit i: worker i does not run.
  uint32_t stalled = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FORWARD_ROUND_CONTEXT_H_
