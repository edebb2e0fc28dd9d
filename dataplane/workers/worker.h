// One worker: its queues, its shard of the states, its counters, its loop.
//
// A worker shares nothing with another one but rings, and nothing with the
// control lcore but what Plane holds. In its loop it neither allocates, locks,
// logs nor throws, and makes no system call while there are packets.
#ifndef SLUICE_DATAPLANE_WORKERS_WORKER_H_
#define SLUICE_DATAPLANE_WORKERS_WORKER_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "dataplane/base/clock.h"
#include "dataplane/base/build_limits.h"
#include "dataplane/forward/filter_plane.h"
#include "dataplane/workers/handoff.h"
#include "dataplane/workers/mailbox.h"
#include "dataplane/forward/pipeline.h"
#include "dataplane/ports/port.h"
#include "dataplane/workers/queue_token.h"
#include "dataplane/forward/restore_gate.h"
#include "dataplane/forward/steering.h"

struct rte_mempool;
struct rte_rcu_qsbr;

namespace sluice {

class ExpectationTable;
class StateSink;
class StateTable;

// What workers are to do.
enum class RunState : uint8_t {
  kRun,
  kDrain,  // take no packets from ports, empty the rings
  kStop,
};

// What all workers of the process share. Made by the control lcore before
// they start, gone after they have ended.
struct Plane {
  Plane(uint16_t workers, uint32_t handoff_ring);

  const Steering steering;
  // Packets for the owner of their flow; null with one worker.
  std::unique_ptr<Handoff> handoff;
  // Packets for a worker that has a transmit queue where another one has
  // none; null with one worker.
  std::unique_ptr<Handoff> transmit;
  // Of receive queues, and of transmit queues that may have to do for several
  // workers; null with one worker.
  std::unique_ptr<QueueTokens> receive_tokens;
  std::unique_ptr<QueueTokens> transmit_tokens;
  TickClock clock;
  rte_rcu_qsbr* quiescence = nullptr;
  ExpectationTable* expectations = nullptr;
  FilterTable filters;

  // Writer of both: the control lcore, release. Readers: workers, acquire,
  // once a round.
  alignas(128) std::atomic<const Topology*> topology{nullptr};
  std::atomic<RunState> run{RunState::kRun};
  // Bit i: worker i does not run. The others poll its queues, and judge its
  // flows by the fail policy of their filters. Written and read as the two
  // above.
  std::atomic<uint32_t> stalled{0};
};

// Beside the counters of ports, all since the start. At any time between two
// rounds:
//   sum of ports' received + handed_in + transmit_in
//     == sum of ports' forwarded and drops + handed_out + transmit_out
//        + what the worker holds
struct alignas(128) WorkerTotals {
  Counter handed_out;  // to the owner of their flow
  Counter handed_in;
  Counter transmit_out;  // to a worker with a transmit queue; answers apart
  Counter transmit_in;
  Counter rounds;
  Counter idle_rounds;
  Counter orphans;  // packets judged or dropped for a worker that does not run
};

// How a worker leaves by a port.
struct TransmitPath {
  uint16_t ethdev = kNoPort;  // none: the port is not there
  uint16_t queue = 0;  // its own, if `via` is itself
  uint16_t via = 0;    // the worker that transmits for it
  QueueToken* token = nullptr;  // to be taken for it
  bool sends_segments = true;
};
TransmitPath PathOf(uint16_t worker, const PortDevice& device);

// The worker that stands in for `worker`: the next one whose bit in `stalled`
// is not set.
uint16_t SubstituteOf(uint16_t worker, uint16_t workers, uint32_t stalled);

class Worker {
 public:
  struct Options {
    uint16_t index = 0;
    bool may_sleep = false;  // when no packets come
    bool verify_checksums = true;
    rte_mempool* pool = nullptr;
    LogRing* log = nullptr;  // for packets of `log` rules; null: not wanted
    uint64_t random_seed = 1;
  };

  // All outlive the worker.
  Worker(Options options, Plane* plane, std::unique_ptr<StateTable> states,
         StateSink* sink);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // The loop, on the worker's lcore, until RunState::kStop.
  void Run();
  // One round of it, for tests. Returns packets received, from ports or
  // rings.
  uint32_t Round();

  // Control lcore.
  uint16_t index() const { return options_.index; }
  Mailbox& mailbox() { return mailbox_; }
  std::span<const PortCounters> counters() const { return counters_; }
  const WorkerTotals& totals() const { return totals_; }
  const StateTable& states() const { return *states_; }
  // Of its thread, 0 before it runs: for /proc.
  int thread_id() const { return thread_id_.load(std::memory_order_acquire); }
  // With RunState::kDrain: whether its last rounds found nothing more to do.
  bool drained() const { return drained_.load(std::memory_order_acquire); }

 private:
  // A queue that it polls.
  struct Queue {
    uint16_t ethdev = 0;
    uint16_t port = 0;
    uint16_t queue = 0;
    QueueToken* token = nullptr;
  };
  // Of a filter, what has to be known to see that it has changed.
  struct SeenFilter {
    uint64_t round = 0;
    uint64_t serial = 0;
    uint64_t generation = 0;  // whose timeouts the states have
    GateView gate;
    // Whether its packets need the gate: it is not open, or holds some.
    bool gated = false;
  };

  // What a round works with: read once, the same for all of its bursts.
  void BeginRound();
  void AdoptTopology();
  // Brings filters_[number] up to this round.
  void See(uint16_t number) {
    if (seen_[number].round != round_) [[unlikely]] SeeAnew(number);
  }
  void SeeAnew(uint16_t number);
  uint32_t PollQueue(const Queue& queue);
  void Steer(uint16_t port);
  uint32_t ReceiveHandedOver(uint16_t from);
  uint32_t ReceiveForTransmission(uint16_t from);
  void JudgeAndTransmit(uint16_t port, PacketBurst& burst);
  void Judge(uint16_t port, PacketBurst& burst);
  // The gate, in worker_hold.cc.
  void PassGate(uint16_t port, PacketBurst& burst);
  uint32_t ReleaseHeld();
  uint32_t ReleaseFilter(uint16_t number);
  uint32_t AbandonHeld();
  void Replay(std::span<rte_mbuf*> mbufs);
  void DropHeld(std::span<rte_mbuf*> mbufs);
  void JudgeUnfiltered(uint16_t port, PacketBurst& burst, uint8_t ends);
  // Packets of a worker that does not run.
  void JudgeOrphans(uint16_t port, PacketBurst& burst);
  std::array<uint16_t, 2> JudgingFilters(uint16_t port) const;
  void Send(uint16_t arrival, uint16_t departure,
            std::span<rte_mbuf*> mbufs);
  void Transmit(const TransmitPath& path, uint16_t arrival,
                uint16_t departure, std::span<rte_mbuf*> mbufs);
  std::span<rte_mbuf*> Join(uint16_t arrival, std::span<rte_mbuf*> mbufs);
  void Drop(uint16_t port, std::span<rte_mbuf*> mbufs, DropReason reason);
  void Housekeeping(uint32_t packets);
  void Rest(uint32_t idle_rounds);

  const Options options_;
  Plane& plane_;
  const uint16_t workers_;
  std::unique_ptr<StateTable> states_;
  std::unique_ptr<PortCounters[]> counter_storage_;
  std::span<PortCounters> counters_;
  Pipeline pipeline_;
  const ParseOptions parse_;
  Mailbox mailbox_;
  WorkerTotals totals_;
  alignas(128) std::atomic<bool> drained_{false};
  std::atomic<int> thread_id_{0};

  // Of the round.
  alignas(128) Tick now_ = 0;
  uint64_t round_ = 0;
  const Topology* topology_ = nullptr;
  uint64_t topology_serial_ = 0;
  uint32_t stalled_ = 0;
  std::vector<Queue> queues_;  // reserved, so that it never grows
  std::array<TransmitPath, kMaxPorts> transmit_;  // by port
  // By number; those that the round has met are of this round.
  std::vector<FilterView> filters_;
  std::vector<SeenFilter> seen_;
  uint16_t next_seen_ = 0;
  Tick last_expiry_ = 0;
  bool expiry_behind_ = false;
  bool has_order_ = false;  // worked on one in the round
  bool receiving_ = true;
  PacketBurst burst_;
  BurstResult result_;
  RestoreGate gate_;
  size_t next_held_ = 0;  // of the gate's list, the one to begin with
  bool releasing_ = false;
  GateResult gate_result_;
  PacketBurst held_burst_;    // replayed
  PacketBurst orphan_burst_;  // of Steer()
  // By owner, packets of the burst that are not this worker's.
  std::array<std::array<rte_mbuf*, kMaxBurst>, kMaxWorkers> foreign_;
  std::array<uint8_t, kMaxWorkers> foreign_count_{};
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_WORKERS_WORKER_H_
