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
#include "dataplane/base/build_limits.h"
#include "packet/counter.h"
#include "packet/packet.h"
#include "packet/parse.h"
#include "pftable/engine/evaluate.h"

struct rte_mempool;

namespace sluice {

class ExpectationTable;
class LogRing;
struct Generation;
class StateTable;
class WorkerCounters;
struct ExpectedChild;
struct StepResult;

inline constexpr uint16_t kNoPort = 0xffff;

// What the pipeline knows of a port.
struct PortContext {
  // How rules see it: `on outside`, and the groups it is in.
  InterfaceView interface;
  // The other end of its wire, or kNoPort: then all that arrives is dropped as
  // kNoWire.
  uint16_t peer = kNoPort;
  // Its own number: counters are indexed by it.
  uint16_t port = 0;
  // The filter that judges what passes this port, by index.
  uint16_t filter = 0;
  // Frames that are not IP cross the wire unjudged, or are dropped (kNonIp).
  bool pass_non_ip = true;
  // What leaves by it is dropped as kPortDown while this is false.
  bool up = true;
  // The same, and what arrives by it too.
  bool enabled = true;
  // Nothing is judged at it, as with `set skip on`.
  bool excluded = false;
};

// How workers reach a port.
struct PortDevice {
  uint16_t ethdev = kNoPort;  // none: it is not there
  uint16_t rx_queues = 0;
  uint16_t tx_queues = 0;
  // Whether it takes packets of several mbufs.
  bool sends_segments = true;
  // By receive queue, the worker that polls it.
  std::array<uint8_t, kMaxWorkers> pollers{};
};

// All ports. Immutable once the workers have it: a change is a new one,
// published like a generation.
struct Topology {
  std::array<PortContext, kMaxPorts> ports;
  std::array<PortDevice, kMaxPorts> devices;
  // Never given out twice.
  uint64_t serial = 1;
};

// One filter as a worker sees it for the length of a burst: one generation, so
// that no packet is judged by halves of two.
struct FilterView {
  // Whose states it makes and meets.
  uint16_t number = 0;
  // Null: nothing has been loaded, and nothing passes (kMatch).
  const Generation* generation = nullptr;
  // This worker's counters of the filter's rules and tables. Never null with a
  // generation.
  WorkerCounters* counters = nullptr;
  // `sluicectl -d`: everything passes unjudged.
  bool enabled = true;
  // Whether a flow that a helper expects passes a `block quick` rule too. It
  // passes other block rules in any case.
  bool related_beats_quick = false;
};

// Counters of one port on one worker. For packets that arrived by the port:
//   received == forwarded + sum of drops
// once they have been transmitted (kPortDown, kTransmitFull and kHandoffFull
// are counted by whoever finds that out).
struct alignas(64) PortCounters {
  Counter received_packets;
  Counter received_bytes;
  Counter forwarded_packets;  // arrived here, left by the peer
  Counter forwarded_bytes;
  Counter transmitted_packets;  // left by this port, answers included
  Counter transmitted_bytes;
  Counter answers;              // made here: RST, ICMP errors, ACKs
  Counter answers_lost;         // no mbuf, or the port did not take it
  Counter non_ip;               // frames that are not IP and passed
  std::array<Counter, kDropReasonCount> drops;

  // What pf counts for an interface: [direction][0: IPv4, 1: IPv6][0: passed,
  // 1: blocked], with IP lengths as bytes.
  struct Judged {
    Counter packets;
    Counter bytes;
  };
  std::array<std::array<std::array<Judged, 2>, 2>, 2> judged;
};

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
  // in `result` afterwards, or freed and counted. `filters` is indexed by
  // PortContext::filter.
  void Judge(uint16_t port, PacketBurst& burst, const Topology& topology,
             std::span<const FilterView> filters, Tick now,
             BurstResult& result);

  // Parse and Judge.
  void Process(uint16_t port, PacketBurst& burst, const Topology& topology,
               std::span<const FilterView> filters, Tick now,
               BurstResult& result) {
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
  Mask JudgeAt(Mask alive, const Judgement& judgement);
  bool JudgeHit(uint32_t i, StateIndex state, const Judgement& judgement);
  bool JudgeMiss(uint32_t i, const Judgement& judgement);
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
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FORWARD_PIPELINE_H_
