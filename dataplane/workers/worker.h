// One worker: its queues, its shard of the states, its counters, its loop.
//
// A worker shares nothing with another one but rings, and nothing with the
// control lcore but what Plane holds. In its loop it neither allocates, locks,
// logs nor throws, and makes no system call while there are packets.
//
// Its parts, in the order in which a packet meets them, each in its own file:
// ReceiveQueues, Steerer, BurstJudge (with the pipeline of its WorkerShard, and
// FilterViews for what it sees of filters), Transmitter. This one is the round.
#ifndef SLUICE_DATAPLANE_WORKERS_WORKER_H_
#define SLUICE_DATAPLANE_WORKERS_WORKER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "dataplane/forward/own_address_speaker.h"
#include "dataplane/forward/worker_shard.h"
#include "dataplane/workers/burst_judge.h"
#include "dataplane/forward/filter_views.h"
#include "dataplane/workers/mailbox.h"
#include "dataplane/workers/plane.h"
#include "dataplane/workers/receive_queues.h"
#include "dataplane/forward/round_context.h"
#include "dataplane/forward/tag_sorter.h"
#include "dataplane/workers/steerer.h"
#include "dataplane/workers/transmitter.h"
#include "dataplane/workers/vhost_queues.h"
#include "dataplane/workers/worker_totals.h"

namespace sluice {

class Worker {
 public:
  struct Options {
    uint16_t index = 0;
    bool may_sleep = false;  // when no packets come
    bool verify_checksums = true;
    // For what this worker says of the firewall's own addresses; null: nothing.
    rte_mempool* speech = nullptr;
    bool measure_load = false;  // the time of its rounds
  };

  // `plane` outlives the worker.
  Worker(Options options, Plane* plane, std::unique_ptr<WorkerShard> shard);
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
  std::span<const PortCounters> counters() const {
    return std::as_const(*shard_).counters();
  }
  const WorkerTotals& totals() const { return totals_; }
  const StateTable& states() const { return shard_->states(); }
  const FragmentStatistics& fragments() const {
    return std::as_const(*shard_).pipeline().fragments().statistics();
  }
  OverloadRing& overloads() { return shard_->overloads(); }
  // Of its thread, 0 before it runs: for /proc.
  int thread_id() const { return thread_id_.load(std::memory_order_acquire); }
  // With RunState::kDrain: whether its last rounds found nothing more to do.
  bool drained() const { return drained_.load(std::memory_order_acquire); }

 private:
  void BeginRound();
  uint32_t Poll();
  uint32_t PollHost();
  uint32_t PollVhosts();
  // Of a burst that has arrived at a port, what is not a logical port's.
  void TakeSorted(uint16_t port);
  // Packets that have arrived at a port.
  void Take(uint16_t port, PacketBurst& burst);
  void Measure(bool busy);
  void Housekeeping(uint32_t packets);
  void Rest(uint32_t idle_rounds);

  const Options options_;
  Plane& plane_;
  const uint16_t workers_;
  const std::unique_ptr<WorkerShard> shard_;
  Mailbox mailbox_;
  WorkerTotals totals_;
  alignas(128) std::atomic<bool> drained_{false};
  std::atomic<int> thread_id_{0};

  alignas(128) RoundContext round_;
  Transmitter transmitter_;
  FilterViews views_;
  BurstJudge judge_;
  Steerer steerer_;
  ReceiveQueues queues_;
  VhostQueues vhosts_;
  OwnAddressSpeaker speaker_;
  PacketBurst burst_;
  TagSorter tags_;
  uint16_t ports_ = 0;  // of the topologies so far, the largest end
  Tick last_expiry_ = 0;
  bool expiry_behind_ = false;
  bool has_order_ = false;  // worked on one in the round
  bool receiving_ = true;
  bool idle_ = false;  // the round before had no packets
  uint64_t round_end_ = 0;  // of the last one, in cycles, if that is measured
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_WORKERS_WORKER_H_
