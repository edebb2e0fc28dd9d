#include "dataplane/workers/worker.h"

#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <rte_pause.h>
#include <rte_rcu_qsbr.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "conntrack/expectation.h"
#include "conntrack/state_table.h"
#include "dataplane/base/allocation_guard.h"
#include "dataplane/forward/router_exchange.h"

namespace sluice {
namespace {

// States looked at for their end in a round, beside two for each packet of
// it, so that ends keep up with beginnings.
constexpr uint32_t kExpiryBudget = 64;
constexpr uint32_t kExpectationBudget = 16;
constexpr uint32_t kFragmentBudget = 64;

// Rounds without packets before a worker that may sleep does, and before it
// sleeps longer.
constexpr uint32_t kSpinRounds = 256;
constexpr uint32_t kShortRounds = 20000;
constexpr long kShortSleep = 20'000;  // nanoseconds
constexpr long kLongSleep = 200'000;

}  // namespace

Worker::Worker(Options options, Plane* plane,
               std::unique_ptr<WorkerShard> shard)
    : options_(std::move(options)),
      plane_(*plane),
      workers_(plane->steering.workers()),
      shard_(std::move(shard)),
      transmitter_(options_.index, plane, shard_->counters(), &totals_),
      views_(options_.index, &round_, &plane->filters, &shard_->states()),
      judge_(options_.index, {.verify_checksums = options_.verify_checksums},
             &round_, &views_, &shard_->pipeline(), &transmitter_, &totals_,
             plane),
      steerer_(options_.index, {.verify_checksums = options_.verify_checksums},
               plane, &round_, &judge_, &transmitter_, &totals_),
      queues_(options_.index, plane),
      vhosts_(options_.index, plane),
      speaker_(options_.speech) {}

Worker::~Worker() = default;

void Worker::Run() {
  if (options_.may_sleep) {
    // The kernel adds 50 us to short sleeps otherwise.
    prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL);
  }
  thread_id_.store(gettid(), std::memory_order_release);
  rte_rcu_qsbr_thread_register(plane_.quiescence, options_.index);
  rte_rcu_qsbr_thread_online(plane_.quiescence, options_.index);
  {
    const ForbidAllocations guard;
    uint32_t idle_rounds = 0;
    for (;;) {
      const RunState run = plane_.run.load(std::memory_order_acquire);
      if (run == RunState::kStop) break;
      receiving_ = run == RunState::kRun;
      if (Round() > 0) {
        idle_rounds = 0;
        drained_.store(false, std::memory_order_release);
        continue;
      }
      if (++idle_rounds > 2 && !receiving_) {
        drained_.store(true, std::memory_order_release);
      }
      Rest(idle_rounds);
    }
    // Without a drain, or by the last packets of one.
    while (judge_.AbandonHeld(plane_.filters) > 0) {
    }
    shard_->pipeline().ClearFragments();
    shard_->pipeline().ClearWaiting();
  }
  rte_rcu_qsbr_thread_offline(plane_.quiescence, options_.index);
  rte_rcu_qsbr_thread_unregister(plane_.quiescence, options_.index);
}

void Worker::BeginRound() {
  ++round_.number;
  round_.now = plane_.clock.Now();
  round_.topology = plane_.topology.load(std::memory_order_acquire);
  // Behind it: a filter that the topology names is seen with its rules.
  round_.policy_epoch = plane_.publication.epoch();
  const uint32_t stalled = plane_.stalled.load(std::memory_order_acquire);
  if (round_.topology->serial != round_.topology_serial ||
      stalled != round_.stalled) {
    round_.topology_serial = round_.topology->serial;
    round_.stalled = stalled;
    // The bit of a worker that has come back is its own affair: it polls what
    // is its own, and the tokens keep it apart from who stands in for it.
    const uint32_t others = stalled & ~(1u << options_.index);
    ports_ = std::max(ports_, round_.topology->end);
    queues_.Adopt(*round_.topology, others);
    vhosts_.Adopt(*round_.topology, others);
    if (!shard_->pipeline().fragments().empty()) {
      shard_->pipeline().ClearFragmentsOf(*round_.topology);
    }
    transmitter_.Adopt(*round_.topology, others);
    speaker_.Adopt(*round_.topology, round_.now);
  }
  views_.SeeNext();
}

uint32_t Worker::Round() {
  BeginRound();
  uint32_t packets = 0;
  // Before new ones, which would overtake them.
  if (judge_.holds_any()) [[unlikely]] {
    packets += receiving_ ? judge_.ReleaseHeld()
                          : judge_.AbandonHeld(plane_.filters);
  }
  if (receiving_) {
    packets += Poll();
    if (!vhosts_.empty()) [[unlikely]] packets += PollVhosts();
    if (!round_.topology->routers.empty()) [[unlikely]] packets += PollHost();
  }
  if (shard_->pipeline().has_waiting()) [[unlikely]] judge_.ResumeWaiting();
  if (workers_ > 1) {
    for (uint16_t from = 0; from < workers_; ++from) {
      if (from == options_.index) continue;
      packets += steerer_.Receive(from, burst_);
      packets += transmitter_.Receive(from);
    }
  }
  // Nothing comes any more that they could wait for.
  if (!receiving_ && !shard_->pipeline().fragments().empty()) [[unlikely]] {
    shard_->pipeline().ClearFragments();
  }
  if (!receiving_ && shard_->pipeline().has_waiting()) [[unlikely]] {
    shard_->pipeline().ClearWaiting();
  }
  Housekeeping(packets);
  totals_.rounds.Add(1);
  idle_ = packets == 0;
  if (packets == 0) totals_.idle_rounds.Add(1);
  if (options_.measure_load) Measure(packets > 0);
  // Nothing of this round is held any more.
  rte_rcu_qsbr_quiescent(plane_.quiescence, options_.index);
  return packets;
}

inline void Worker::Take(uint16_t port, PacketBurst& burst) {
  shard_->pipeline().Parse(port, burst);
  if (SpoofGuard* const guard = round_.topology->ports[port].guard)
      [[unlikely]] {
    shard_->pipeline().CheckSources(port, *guard, burst);
  }
  if (workers_ > 1) steerer_.Steer(port, burst);
  if (burst.count > 0) judge_.Judge(port, burst);
}

// A burst of what the host sends.
uint32_t Worker::PollHost() {
  if (plane_.router_exchange == nullptr) return 0;
  std::array<rte_mbuf*, kMaxBurst> mbufs;
  const uint32_t count =
      plane_.router_exchange->FromHost(options_.index, mbufs);
  // By runs of one port.
  for (uint32_t begin = 0; begin < count;) {
    const uint16_t port = mbufs[begin]->port;
    burst_.count = 0;
    for (; begin < count && mbufs[begin]->port == port; ++begin) {
      burst_.mbufs[burst_.count++] = mbufs[begin];
    }
    shard_->pipeline().ParseFromHost(port, burst_);
    if (workers_ > 1) steerer_.Steer(port, burst_, kFromHostPort);
    if (burst_.count > 0) judge_.JudgeFromHost(port, burst_);
  }
  return count;
}

// With the rest before it, if there was one.
void Worker::Measure(bool busy) {
  const uint64_t now = rte_rdtsc();
  const uint64_t cycles = round_end_ == 0 ? 0 : now - round_end_;
  round_end_ = now;
  totals_.cycles.Add(cycles);
  if (busy) totals_.busy_cycles.Add(cycles);
}

inline void Worker::TakeSorted(uint16_t port) {
  const PortContext& arrival = round_.topology->ports[port];
  if (arrival.children != nullptr) [[unlikely]] {
    tags_.Sort(arrival, shard_->counters(), burst_);
    uint16_t child;
    while (tags_.Next(&child)) Take(child, tags_.group());
    if (burst_.count == 0) return;
  }
  Take(port, burst_);
}

// A burst of each queue.
uint32_t Worker::Poll() {
  uint32_t packets = 0;
  for (const ReceiveQueues::Queue& queue : queues_.all()) {
    const uint32_t count = queues_.Receive(queue, burst_);
    if (count == 0) continue;
    packets += count;
    TakeSorted(queue.port);
  }
  return packets;
}

// The same of virtual machines.
uint32_t Worker::PollVhosts() {
  uint32_t packets = 0;
  vhosts_.BeginRound(idle_, rte_rdtsc());
  uint16_t port;
  while (vhosts_.Next(&port, burst_)) {
    packets += burst_.count;
    TakeSorted(port);
  }
  return packets;
}

void Worker::Housekeeping(uint32_t packets) {
  if (round_.now != last_expiry_ || expiry_behind_) {
    last_expiry_ = round_.now;
    expiry_behind_ = !shard_->states().Expire(round_.now, kExpiryBudget + 2 * packets);
    if (!shard_->pipeline().fragments().empty()) {
      shard_->pipeline().ExpireFragments(round_.now, kFragmentBudget);
    }
    if (receiving_) {
      speaker_.Speak(*round_.topology, round_.now,
                     [this](uint16_t port, rte_mbuf* frame) {
                       shard_->counters()[port].answers.Add(1);
                       transmitter_.Send(port, port, std::span(&frame, 1));
                     });
    }
    // One worker is enough for what all share.
    if (options_.index == 0 && !plane_.expectations->empty()) {
      plane_.expectations->Expire(round_.now, kExpectationBudget);
    }
  }
  has_order_ = mailbox_.Step({.worker = options_.index,
                              .states = &shard_->states(),
                              .pipeline = &shard_->pipeline(),
                              .ports = counters().first(ports_),
                              .totals = &totals_,
                              .held = judge_.held() +
                                      shard_->pipeline().fragments().held() +
                                      shard_->pipeline().waiting(),
                              .packets = packets,
                              .now = round_.now});
}

void Worker::Rest(uint32_t idle_rounds) {
  if (!options_.may_sleep || idle_rounds < kSpinRounds || expiry_behind_ ||
      has_order_) {
    rte_pause();
    return;
  }
  const timespec time = {
      .tv_sec = 0,
      .tv_nsec = idle_rounds < kShortRounds ? kShortSleep : kLongSleep};
  nanosleep(&time, nullptr);
}

}  // namespace sluice
