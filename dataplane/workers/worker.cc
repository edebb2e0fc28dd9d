#include "dataplane/workers/worker.h"

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_pause.h>
#include <rte_rcu_qsbr.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "conntrack/expectation.h"
#include "conntrack/state_budget.h"
#include "conntrack/state_table.h"
#include "dataplane/base/allocation_guard.h"
#include "pftable/engine/generation.h"
#include "pftable/store/policy_store.h"

namespace sluice {
namespace {

// What a port does not take at once is offered again so often.
constexpr int kTransmitRetries = 16;

// States looked at for their end in a round, beside two for each packet of
// it, so that ends keep up with beginnings.
constexpr uint32_t kExpiryBudget = 64;
constexpr uint32_t kExpectationBudget = 16;

// Rounds without packets before a worker that may sleep does, and before it
// sleeps longer.
constexpr uint32_t kSpinRounds = 256;
constexpr uint32_t kShortRounds = 20000;
constexpr long kShortSleep = 20'000;  // nanoseconds
constexpr long kLongSleep = 200'000;

// In an mbuf's port number, on its way between workers: it belongs to a worker
// that does not run.
constexpr uint16_t kOrphan = 0x8000;
static_assert(kMaxPorts <= kOrphan);

constexpr uint32_t PackPorts(uint16_t arrival, uint16_t departure) {
  return uint32_t{arrival} << 16 | departure;
}

}  // namespace

Plane::Plane(uint16_t workers, uint32_t handoff_ring) : steering(workers) {
  if (workers == 1) return;
  handoff = std::make_unique<Handoff>(workers, handoff_ring);
  transmit = std::make_unique<Handoff>(workers, handoff_ring);
  receive_tokens = std::make_unique<QueueTokens>(kMaxPorts, kMaxQueues);
  transmit_tokens = std::make_unique<QueueTokens>(kMaxPorts, kMaxQueues);
}

TransmitPath PathOf(uint16_t worker, const PortDevice& device) {
  if (device.tx_queues == 0) return {.via = worker};
  const auto via = static_cast<uint16_t>(worker % device.tx_queues);
  return {.ethdev = device.ethdev,
          .queue = via,
          .via = via,
          .sends_segments = device.sends_segments};
}

uint16_t SubstituteOf(uint16_t worker, uint16_t workers, uint32_t stalled) {
  for (uint16_t i = 1; i < workers; ++i) {
    const auto next = static_cast<uint16_t>((worker + i) % workers);
    if ((stalled & 1u << next) == 0) return next;
  }
  return worker;
}

Worker::Worker(Options options, Plane* plane,
               std::unique_ptr<StateTable> states, StateSink* sink)
    : options_(std::move(options)),
      plane_(*plane),
      workers_(plane->steering.workers()),
      states_(std::move(states)),
      counter_storage_(std::make_unique<PortCounters[]>(kMaxPorts)),
      counters_(counter_storage_.get(), kMaxPorts),
      pipeline_({.parse = {.verify_checksums = options_.verify_checksums},
                 .pool = options_.pool,
                 .log = options_.log,
                 .random_seed = options_.random_seed},
                *states_, *plane->expectations, counters_),
      parse_({.verify_checksums = options_.verify_checksums}),
      filters_(kMaxFilters),
      seen_(kMaxFilters),
      gate_(options_.index) {
  queues_.reserve(kMaxPorts * kMaxQueues);
  states_->SetSink(sink);
  states_->SetExpectations(plane_.expectations);
}

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
    while (AbandonHeld() > 0) {
    }
  }
  rte_rcu_qsbr_thread_offline(plane_.quiescence, options_.index);
  rte_rcu_qsbr_thread_unregister(plane_.quiescence, options_.index);
}

void Worker::BeginRound() {
  ++round_;
  now_ = plane_.clock.Now();
  topology_ = plane_.topology.load(std::memory_order_acquire);
  const uint32_t stalled = plane_.stalled.load(std::memory_order_acquire);
  if (topology_->serial != topology_serial_ || stalled != stalled_) {
    stalled_ = stalled;
    AdoptTopology();
  }
  // The states of filters that have no packets follow `set timeout` too.
  if (next_seen_ >= plane_.filters.end()) next_seen_ = 0;
  See(next_seen_++);
}

// Its own queues, and those of workers that do not run and that it stands in
// for. The bit of a worker that has come back is its own affair: it polls what
// is its own, and the tokens keep it apart from who stands in for it.
void Worker::AdoptTopology() {
  topology_serial_ = topology_->serial;
  const uint32_t others = stalled_ & ~(1u << options_.index);
  const auto polls = [&](uint16_t poller) {
    return poller == options_.index ||
           ((others & 1u << poller) != 0 &&
            SubstituteOf(poller, workers_, others) == options_.index);
  };
  queues_.clear();
  for (uint16_t port = 0; port < kMaxPorts; ++port) {
    const PortDevice& device = topology_->devices[port];
    TransmitPath& path = transmit_[port];
    path = PathOf(options_.index, device);
    if (device.tx_queues != 0 && device.tx_queues < workers_) {
      if ((others & 1u << path.via) != 0) {
        path.via = SubstituteOf(path.via, workers_, others);
      }
      path.token = plane_.transmit_tokens->at(port, path.queue);
    }
    for (uint16_t queue = 0; queue < device.rx_queues; ++queue) {
      if (!polls(device.pollers[queue])) continue;
      queues_.push_back(
          {.ethdev = device.ethdev,
           .port = port,
           .queue = queue,
           .token = workers_ > 1 ? plane_.receive_tokens->at(port, queue)
                                 : nullptr});
    }
  }
}

void Worker::SeeAnew(uint16_t number) {
  SeenFilter& seen = seen_[number];
  seen.round = round_;
  FilterView& view = filters_[number];
  FilterPlane* filter = plane_.filters.at(number);
  seen.gate.filter = filter;
  if (filter == nullptr) {
    view = {.number = number};
    seen.gated = false;
    return;
  }
  // Before the policy: with a status that says so, the restored one is there.
  seen.gate.status = filter->status.Load();
  view.number = number;
  view.enabled = filter->enabled.load(std::memory_order_acquire);
  view.counters = &filter->policy->worker_counters(options_.index);
  view.generation = filter->loaded.load(std::memory_order_acquire)
                        ? filter->policy->current()
                        : nullptr;
  if (view.generation != nullptr &&
      (view.generation->number != seen.generation ||
       filter->serial != seen.serial)) {
    seen.generation = view.generation->number;
    seen.serial = filter->serial;
    states_->SetFilter(number, filter->budget,
                       view.generation->options().timeouts);
  }
  seen.gate.enabled = view.enabled;
  seen.gated = !seen.gate.open() || gate_.Holds(number);
  if (seen.gate.emergency()) [[unlikely]] {
    // It has no emergency of its own: this goes no deeper.
    const uint16_t emergency = filter->emergency->number;
    See(emergency);
    view = filters_[emergency];
  }
}

uint32_t Worker::Round() {
  BeginRound();
  uint32_t packets = 0;
  // Before new ones, which would overtake them.
  if (!gate_.holding().empty()) [[unlikely]] {
    packets += receiving_ ? ReleaseHeld() : AbandonHeld();
  }
  if (receiving_) {
    for (const Queue& queue : queues_) {
      packets += PollQueue(queue);
    }
  }
  if (workers_ > 1) {
    for (uint16_t from = 0; from < workers_; ++from) {
      if (from == options_.index) continue;
      packets += ReceiveHandedOver(from);
      packets += ReceiveForTransmission(from);
    }
  }
  Housekeeping(packets);
  totals_.rounds.Add(1);
  if (packets == 0) totals_.idle_rounds.Add(1);
  // Nothing of this round is held any more.
  rte_rcu_qsbr_quiescent(plane_.quiescence, options_.index);
  return packets;
}

uint32_t Worker::PollQueue(const Queue& queue) {
  if (queue.token != nullptr && !queue.token->TryTake(options_.index)) {
    return 0;
  }
  const uint16_t count = rte_eth_rx_burst(queue.ethdev, queue.queue,
                                          burst_.mbufs.data(), kMaxBurst);
  if (queue.token != nullptr) queue.token->Release();
  if (count == 0) return 0;
  burst_.count = count;
  pipeline_.Parse(queue.port, burst_);
  if (workers_ > 1) Steer(queue.port);
  if (burst_.count > 0) JudgeAndTransmit(queue.port, burst_);
  return count;
}

void Worker::Steer(uint16_t port) {
  uint32_t others = 0;
  orphan_burst_.count = 0;
  uint32_t kept = 0;
  for (uint32_t i = 0; i < burst_.count; ++i) {
    rte_mbuf* mbuf = burst_.mbufs[i];
    const PacketInfo& info = burst_.infos[i];
    uint16_t owner = info.kind == Kind::kIp
                         ? plane_.steering.Owner(*mbuf, info)
                         : options_.index;
    if (owner == options_.index) {
      if (kept != i) {
        burst_.mbufs[kept] = mbuf;
        burst_.infos[kept] = info;
      }
      ++kept;
      continue;
    }
    mbuf->port = port;
    if ((stalled_ & 1u << owner) != 0) [[unlikely]] {
      // Both directions of a flow meet at one worker all the same.
      owner = SubstituteOf(owner, workers_,
                           stalled_ & ~(1u << options_.index));
      if (owner == options_.index) {
        orphan_burst_.mbufs[orphan_burst_.count] = mbuf;
        orphan_burst_.infos[orphan_burst_.count++] = info;
        continue;
      }
      mbuf->port = static_cast<uint16_t>(port | kOrphan);
    }
    foreign_[owner][foreign_count_[owner]++] = mbuf;
    others |= 1u << owner;
  }
  burst_.count = kept;
  static_assert(kMaxWorkers <= 32);
  for (; others != 0; others &= others - 1) {
    const auto owner = static_cast<uint16_t>(std::countr_zero(others));
    const std::span<rte_mbuf*> list(foreign_[owner].data(),
                                    foreign_count_[owner]);
    foreign_count_[owner] = 0;
    const uint32_t sent = plane_.handoff->Send(options_.index, owner, list);
    totals_.handed_out.Add(sent);
    if (sent < list.size()) {
      Drop(port, list.subspan(sent), DropReason::kHandoffFull);
    }
  }
  if (orphan_burst_.count > 0) [[unlikely]] JudgeOrphans(port, orphan_burst_);
}

uint32_t Worker::ReceiveHandedOver(uint16_t from) {
  std::array<rte_mbuf*, kMaxBurst> mbufs;
  const uint32_t count =
      plane_.handoff->Receive(options_.index, from, mbufs);
  if (count == 0) return 0;
  totals_.handed_in.Add(count);
  // One burst for each port of arrival; they were counted as received there.
  uint32_t left = count == kMaxBurst ? ~0u : (1u << count) - 1;
  while (left != 0) {
    const uint16_t port = mbufs[std::countr_zero(left)]->port;
    burst_.count = 0;
    for (uint32_t rest = left; rest != 0; rest &= rest - 1) {
      const int i = std::countr_zero(rest);
      if (mbufs[i]->port != port) continue;
      burst_.mbufs[burst_.count++] = mbufs[i];
      left &= ~(1u << i);
    }
    ParseBurst(burst_, parse_);
    if ((port & kOrphan) == 0) [[likely]] {
      JudgeAndTransmit(port, burst_);
    } else {
      JudgeOrphans(static_cast<uint16_t>(port & ~kOrphan), burst_);
    }
  }
  return count;
}

uint32_t Worker::ReceiveForTransmission(uint16_t from) {
  std::array<rte_mbuf*, kMaxBurst> mbufs;
  const uint32_t count =
      plane_.transmit->Receive(options_.index, from, mbufs);
  // Runs of packets with the same way.
  for (uint32_t begin = 0; begin < count;) {
    const uint32_t ports = mbufs[begin]->hash.usr;
    uint32_t end = begin + 1;
    while (end < count && mbufs[end]->hash.usr == ports) ++end;
    const auto arrival = static_cast<uint16_t>(ports >> 16);
    const auto departure = static_cast<uint16_t>(ports);
    if (arrival != departure) totals_.transmit_in.Add(end - begin);
    Transmit(transmit_[departure], arrival, departure,
             std::span(mbufs).subspan(begin, end - begin));
    begin = end;
  }
  return count;
}

void Worker::JudgeAndTransmit(uint16_t port, PacketBurst& burst) {
  const PortContext& arrival = topology_->ports[port];
  See(arrival.filter);
  bool gated = seen_[arrival.filter].gated;
  if (arrival.peer != kNoPort) {
    const uint16_t filter = topology_->ports[arrival.peer].filter;
    See(filter);
    gated |= seen_[filter].gated;
  }
  if (gated) [[unlikely]] {
    PassGate(port, burst);
    if (burst.count == 0) return;
  }
  Judge(port, burst);
}

void Worker::Judge(uint16_t port, PacketBurst& burst) {
  pipeline_.Judge(port, burst, *topology_, filters_, now_, result_);
  if (result_.forward_count > 0) {
    Send(port, topology_->ports[port].peer,
         std::span(result_.forward).first(result_.forward_count));
  }
  if (result_.answer_count > 0) {
    Send(port, port, std::span(result_.answers).first(result_.answer_count));
  }
}

void Worker::Send(uint16_t arrival, uint16_t departure,
                  std::span<rte_mbuf*> mbufs) {
  const TransmitPath& path = transmit_[departure];
  if (path.via == options_.index) [[likely]] {
    Transmit(path, arrival, departure, mbufs);
    return;
  }
  for (rte_mbuf* mbuf : mbufs) mbuf->hash.usr = PackPorts(arrival, departure);
  const uint32_t sent =
      plane_.transmit->Send(options_.index, path.via, mbufs);
  if (arrival != departure) totals_.transmit_out.Add(sent);
  if (sent == mbufs.size()) return;
  const std::span<rte_mbuf*> rest = mbufs.subspan(sent);
  if (arrival != departure) {
    Drop(arrival, rest, DropReason::kTransmitFull);
  } else {
    counters_[arrival].answers_lost.Add(rest.size());
    rte_pktmbuf_free_bulk(rest.data(), static_cast<unsigned>(rest.size()));
  }
}

void Worker::Transmit(const TransmitPath& path, uint16_t arrival,
                      uint16_t departure, std::span<rte_mbuf*> mbufs) {
  if (path.ethdev == kNoPort) {
    // The port went away while they were on their way to it.
    if (arrival != departure) {
      Drop(arrival, mbufs, DropReason::kPortDown);
    } else {
      counters_[arrival].answers_lost.Add(mbufs.size());
      rte_pktmbuf_free_bulk(mbufs.data(), static_cast<unsigned>(mbufs.size()));
    }
    return;
  }
  if (!path.sends_segments) mbufs = Join(arrival, mbufs);
  uint64_t bytes = 0;
  for (const rte_mbuf* mbuf : mbufs) bytes += mbuf->pkt_len;
  const auto count = static_cast<uint16_t>(mbufs.size());
  uint16_t sent = 0;
  for (int retry = 0; sent < count && retry <= kTransmitRetries; ++retry) {
    if (retry > 0) rte_pause();
    if (path.token != nullptr && !path.token->TryTake(options_.index)) {
      continue;
    }
    sent = static_cast<uint16_t>(
        sent + rte_eth_tx_burst(path.ethdev, path.queue, mbufs.data() + sent,
                                static_cast<uint16_t>(count - sent)));
    if (path.token != nullptr) path.token->Release();
  }
  const std::span<rte_mbuf*> rest = mbufs.subspan(sent);
  for (const rte_mbuf* mbuf : rest) bytes -= mbuf->pkt_len;
  counters_[departure].transmitted_packets.Add(sent);
  counters_[departure].transmitted_bytes.Add(bytes);
  if (arrival != departure) {
    counters_[arrival].forwarded_packets.Add(sent);
    counters_[arrival].forwarded_bytes.Add(bytes);
    if (!rest.empty()) Drop(arrival, rest, DropReason::kTransmitFull);
  } else if (!rest.empty()) {
    counters_[arrival].answers_lost.Add(rest.size());
    rte_pktmbuf_free_bulk(rest.data(), static_cast<unsigned>(rest.size()));
  }
}

// For ports that take no chains of mbufs: chains that fit into their first one
// are put there, others dropped. What is left.
std::span<rte_mbuf*> Worker::Join(uint16_t arrival,
                                  std::span<rte_mbuf*> mbufs) {
  size_t kept = 0;
  for (rte_mbuf* mbuf : mbufs) {
    if (rte_pktmbuf_linearize(mbuf) == 0) {
      mbufs[kept++] = mbuf;
    } else {
      Drop(arrival, std::span(&mbuf, 1), DropReason::kMemory);
    }
  }
  return mbufs.first(kept);
}

void Worker::Drop(uint16_t port, std::span<rte_mbuf*> mbufs,
                  DropReason reason) {
  counters_[port].drops[static_cast<size_t>(reason)].Add(mbufs.size());
  rte_pktmbuf_free_bulk(mbufs.data(), static_cast<unsigned>(mbufs.size()));
}

void Worker::Housekeeping(uint32_t packets) {
  if (now_ != last_expiry_ || expiry_behind_) {
    last_expiry_ = now_;
    expiry_behind_ = !states_->Expire(now_, kExpiryBudget + 2 * packets);
    // One worker is enough for what all share.
    if (options_.index == 0 && !plane_.expectations->empty()) {
      plane_.expectations->Expire(now_, kExpectationBudget);
    }
  }
  has_order_ = mailbox_.Step({.worker = options_.index,
                              .states = states_.get(),
                              .ports = counters_,
                              .totals = &totals_,
                              .held = gate_.held(),
                              .packets = packets,
                              .now = now_});
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
