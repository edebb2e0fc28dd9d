// Rules by the classifier: what Evaluate() says, for a burst of packets that
// are judged at one port. Worker side: no allocation, no lock, no exception.
#ifndef SLUICE_PFTABLE_CLASSIFY_CLASSIFY_H_
#define SLUICE_PFTABLE_CLASSIFY_CLASSIFY_H_

#include <array>
#include <cstdint>
#include <span>

#include "packet/packet.h"
#include "pftable/classify/classifier.h"
#include "pftable/classify/verdict_cache.h"
#include "pftable/engine/evaluate.h"

namespace sluice {

// What the rows say of one packet.
struct Candidates {
  // Null: there is no classifier for it, all rules are to be walked.
  const classify::Part* part = nullptr;
  // `list` is up to a certain one, or all of them.
  bool complete = false;
  CandidateList list;
  classify::Classes classes;  // if not complete
};

// Finds the candidates of packets that are judged at one port in one
// direction. packets.size() == out.size() <= kMaxBurst.
void FindCandidates(const Classifier& classifier, Direction direction,
                    InterfaceView interface,
                    std::span<const PacketInfo* const> packets,
                    VerdictCache& cache, std::span<Candidates> out);

// What their evaluation reads first. candidates.size() <= kMaxBurst.
void PrefetchCandidates(const Generation& generation,
                        std::span<const Candidates> candidates);

// The verdict of a packet with these candidates, which were found for the
// direction and interface of `input`. As Evaluate(), but for
// `counters.evaluations`, which counts candidates, and tables' lookups, of
// which there are none for rules that are no candidates.
Verdict EvaluateCandidates(const Generation& generation,
                           const EvaluationInput& input,
                           const Candidates& candidates,
                           WorkerCounters& counters);

// Both for one packet; Evaluate() if the policy has no classifier.
Verdict Classify(const Generation& generation, const EvaluationInput& input,
                 VerdictCache& cache, WorkerCounters& counters);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_CLASSIFY_CLASSIFY_H_
