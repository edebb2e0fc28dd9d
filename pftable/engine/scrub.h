// FreeBSD's scrub rules: a ruleset of its own, the first rule that matches
// counts, before anything else is asked. A rule's ports are asked of what it
// does to TCP only; what it does to IP headers it does to all packets of its
// addresses and protocol.
#ifndef SLUICE_PFTABLE_ENGINE_SCRUB_H_
#define SLUICE_PFTABLE_ENGINE_SCRUB_H_

#include "pftable/engine/evaluate.h"

namespace sluice {

struct ScrubVerdict {
  // Null: none, or `no scrub`. Then nothing is normalised.
  const CompiledRule* ip = nullptr;
  PacketActions actions;
};

// For policies that have scrub rules (CompiledPolicy::has_scrub). Counts
// evaluations, and the packet for the rule that matches if `count` is set.
ScrubVerdict EvaluateScrub(const Generation& generation,
                           const EvaluationInput& input, bool count,
                           WorkerCounters& counters);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_ENGINE_SCRUB_H_
