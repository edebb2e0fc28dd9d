// dataplane/ is the process: ports, lcores, the pipeline, the control lcore
// and its socket, and the three programs. It is the only room that does I/O,
// reads a clock or owns a thread.
//
// This header: one worker's pipeline, from a received burst to what has to be
// transmitted. Parse, judge at the port of arrival (direction in), judge at
// the port of departure (direction out), act. It has no I/O, no clock and no
// globals in it: workers, sluice-replay, scenario tests and fuzzers call the
// same code with a Tick passed in. It never allocates (answers come from the
// mempool that it was given), locks, logs or throws.
//
// A pipeline belongs to one worker and is not shared.
#ifndef SLUICE_DATAPLANE_FORWARD_PIPELINE_H_
#define SLUICE_DATAPLANE_FORWARD_PIPELINE_H_

#include <array>
#include <cstdint>
#include <span>

#include "conntrack/flow_key.h"
#include "conntrack/state.h"
#include "dataplane/forward/filter_view.h"
#include "dataplane/forward/port_counters.h"
#include "dataplane/forward/topology.h"
#include "packet/packet.h"
#include "packet/parse.h"
#include "pftable/classify/classify.h"
#include "pftable/engine/evaluate.h"

struct rte_mempool;

namespace sluice {

class ExpectationTable;
class LogRing;
class StateTable;
struct ExpectedChild;
struct StepResult;

// What a verdict hook is told of one packet.
struct PacketVerdict {
  const PacketInfo* info;
  bool passed;
  DropReason reason;   // when it did not pass
  // Of the last judgement: the number of the rule that decided, as in
  // `sluicectl -vv -s rules`, or kNoRule (a state, the default rule, none).
  uint32_t rule;
};
inline constexpr uint32_t kNoRule = 0xffffffff;

// What is left of a burst: mbufs that the caller now owns. All others have
// been freed and counted.
struct BurstResult {
  // To leave by the peer of the port of arrival, in order.
  uint32_t forward_count = 0;
  std::array<rte_mbuf*, kMaxBurst> forward;
  // Made by the firewall, to leave by the port of arrival.
  uint32_t answer_count = 0;
  std::array<rte_mbuf*, kMaxBurst> answers;
};

class Pipeline {
 public:
  struct Config {
    ParseOptions parse;
    // For answers. Null: nothing is answered (counted as answers_lost).
    rte_mempool* pool = nullptr;
    // For packets of `log` rules. Null: none is logged.
    LogRing* log = nullptr;
    // `probability` draws from a generator with this seed.
    uint64_t random_seed = 1;
    // Told of each packet, in order, if set: for replays and tests.
    void (*on_verdict)(void* context, uint32_t index,
                       const PacketVerdict& verdict) = nullptr;
    void* on_verdict_context = nullptr;
  };

  // `states` is this worker's shard, `expectations` are all workers';
  // `counters` has an element for each port that the topology may name. All
  // outlive the pipeline.
  Pipeline(const Config& config, StateTable& states,
           ExpectationTable& expectations, std::span<PortCounters> counters);
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  // Parses burst.mbufs[0, count) into burst.infos. Counts them as received.
  void Parse(uint16_t port, PacketBurst& burst);

  // Judges a parsed burst that arrived at `port` and takes its mbufs: each is
  // in `result` afterwards, or freed and counted. What a filter holds or drops
  // has been taken out before (RestoreGate).
  void Judge(uint16_t port, PacketBurst& burst, const Topology& topology,
             const FilterEnds& filters, Tick now, BurstResult& result);

  // Parse and Judge.
  void Process(uint16_t port, PacketBurst& burst, const Topology& topology,
               const FilterEnds& filters, Tick now, BurstResult& result) {
    Parse(port, burst);
    Judge(port, burst, topology, filters, now, result);
  }

 private:
  using Mask = uint32_t;  // bit i: the packet at index i
  static_assert(kMaxBurst == 32);

  // A judgement in progress.
  struct Judgement {
    const PortContext& at;
    const PortContext& arrival;
    const FilterView& filter;
    JudgePoint where;
    Tick now;
  };

  // Each returns the packets of `alive` that passed.
  Mask JudgeFrames(Mask frames, const Judgement& judgement);
  Mask JudgeAt(Mask alive, const Judgement& judgement);
  bool JudgeHit(uint32_t i, StateIndex state, const Judgement& judgement);
  bool JudgeMiss(uint32_t i, const Judgement& judgement);
  // For those that will probably ask the rules.
  void FindCandidates(Mask misses, const Judgement& judgement);
  Verdict AskRules(uint32_t i, const Judgement& judgement);
  // What a packet gets from its state besides its way: tag and log record.
  void PassByState(uint32_t i, StateIndex state, bool log,
                   const Judgement& judgement);
  bool StatesHaveChanged() const;
  bool ApplyRules(uint32_t i, const Judgement& judgement);
  bool Admit(uint32_t i, const StateTemplate& values,
             const ExpectedChild* child, const Judgement& judgement);

  // A packet's record for one rule. `reason` is kMatch for one that passes.
  void Log(uint32_t i, const LoggedRule& rule, DropReason reason,
           const Judgement& judgement);
  // Those of a verdict; the last one says what became of the packet.
  void LogVerdict(uint32_t i, const Verdict& verdict, bool passed,
                  DropReason reason, const Judgement& judgement);
  void Drop(uint32_t i, DropReason reason);
  void DropAll(Mask packets, DropReason reason);
  template <typename Build>
  void Answer(Build build);
  void AnswerBlocked(uint32_t i, const AnswerChoice& choice);
  void AnswerState(uint32_t i, const StepResult& step);
  uint64_t Random();

  const Config config_;
  StateTable& states_;
  ExpectationTable& expectations_;
  const std::span<PortCounters> counters_;
  uint64_t random_;

  // Of the burst that is being judged.
  PacketBurst* burst_ = nullptr;
  PortCounters* port_ = nullptr;
  BurstResult* result_ = nullptr;
  uint64_t changes_at_lookup_ = 0;  // states made and ended until then
  std::array<uint16_t, kMaxBurst> tags_;
  std::array<DropReason, kMaxBurst> reasons_;
  std::array<uint32_t, kMaxBurst> rules_;
  // Of this judgement: which packets have candidates.
  Mask classified_ = 0;
  std::array<Candidates, kMaxBurst> candidates_;
  VerdictCache verdict_cache_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FORWARD_PIPELINE_H_
