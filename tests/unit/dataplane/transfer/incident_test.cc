// The incident, whole: real workers judge packets that arrive from the first
// microsecond on all of them, while ports are enabled and disabled, operators
// and agents ask early, late and twice, and a builder on its own thread
// succeeds, fails and stalls.
//
// Until its restore has ended a filter has rules that block, and what the
// restore brings lets everything pass: whatever leaves was judged after it.
//
// SLUICE_TRIGGERS and SLUICE_INCARNATIONS set the size of the run.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "dataplane/engine/engine.h"
#include "pftable/language/parser.h"
#include "pftable/store/policy_store.h"
#include "restore/restore_queue.h"
#include "tests/support/memory_port.h"
#include "tests/support/packet_text.h"
#include "tests/support/test_engine.h"
#include "tests/unit/restore/stress_parts.h"

namespace sluice {
namespace {

constexpr uint16_t kWorkers = 2;
constexpr uint16_t kPorts = 4;  // two wires; a filter each
// The filters from this one on fail open: emergency rules of their own, with a
// filter's number each, hold after a restore that failed.
constexpr uint16_t kFirstOpen = 2;
constexpr uint16_t kFilters = kPorts + (kPorts - kFirstOpen);
constexpr int kAgents = 2;
constexpr uint32_t kMbufs = 4096;
constexpr uint16_t kFirstEthdev = RTE_MAX_ETHPORTS - kPorts;

Policy PolicyOf(const std::string& text) {
  ParseInput input;
  input.text = text;
  ParseResult parsed = ParsePolicy(std::move(input));
  EXPECT_TRUE(parsed.ok()) << FormatDiagnostics(parsed.diagnostics);
  return std::move(parsed.policy);
}

// An engine over ports in memory. Main judges at none of them; the filters are
// the test's, as their restores are.
class IncidentPlane {
 public:
  IncidentPlane()
      : pool_(kMbufs),
        before_(PolicyOf("block all\n")),
        after_(PolicyOf("pass all\n")) {
    Engine::Options options = TestEngineOptions(nullptr);
    options.workers = kWorkers;
    options.handoff_ring = 512;
    options.may_hold = HoldBudget::ShareOf(kMbufs);
    options.states = 8192 * kWorkers;
    options.rule_slots = 64;
    engine_ = StartTestEngine(std::move(options));
    if (engine_ == nullptr) std::abort();
    for (uint16_t i = kFilters; i-- > 0;) {
      const bool open = i >= kFirstOpen && i < kPorts;
      filters_[i] = std::make_shared<LiveFilter>(
          &engine_->environment(),
          LiveFilter::Options{
              .name = std::to_string(i),
              .number = NumberOf(i),
              .serial = 100u + i,
              .fail_policy = open ? FailPolicy::kOpen : FailPolicy::kClosed,
              .emergency =
                  open ? filters_[kPorts + i - kFirstOpen] : nullptr});
      filter(i).loaded.store(true);
      Load(i, i >= kPorts);
      plane().filters.Publish(&filter(i));
    }
    topology_.serial = plane().topology.load()->serial + 1;
    for (uint16_t i = 0; i < kPorts; ++i) {
      ports_.push_back(std::make_unique<MemoryPort>(
          static_cast<uint16_t>(kFirstEthdev + i), kWorkers, 256));
      topology_.ports[i] = {
          .interface =
              *engine_->interfaces().AddPort("p" + std::to_string(i)),
          .peer = static_cast<uint16_t>(i ^ 1),
          .port = i,
          .filter = NumberOf(i)};
      PortDevice& device = topology_.devices[i];
      device.ethdev = ports_.back()->ethdev();
      device.rx_queues = kWorkers;
      device.tx_queues = 1;  // so that packets cross by the rings too
      for (uint8_t worker = 0; worker < kWorkers; ++worker) {
        device.pollers[worker] = worker;
      }
    }
    plane().topology.store(&topology_);
  }

  // Control thread: the rules of a filter before or after its restore.
  void Load(uint16_t filter, bool restored) {
    PolicyStore& store = filters_[filter]->store();
    ASSERT_TRUE(store.Load(restored ? after_ : before_).ok());
    store.Poll();
  }
  FilterPlane& filter(size_t i) { return filters_[i]->plane(); }
  // Packets that were looked up for a filter.
  uint64_t Searches(size_t i) const {
    uint64_t sum = 0;
    for (uint16_t worker = 0; worker < kWorkers; ++worker) {
      sum += filters_[i]->store().worker_counters(worker).searches.value();
    }
    return sum;
  }
  Worker& worker(size_t i) { return engine_->worker(i); }
  MemoryPort& port(size_t i) { return *ports_[i]; }
  Plane& plane() { return engine_->plane(); }
  LockedPool& pool() { return pool_; }
  HoldBudget& hold_budget() { return engine_->hold_budget(); }

  uint64_t Sum(Counter PortCounters::*counter) const {
    uint64_t sum = 0;
    for (const Worker* worker : engine_->environment().workers) {
      for (const PortCounters& port : worker->counters()) {
        sum += (port.*counter).value();
      }
    }
    return sum;
  }
  uint64_t Drops(DropReason reason) const {
    uint64_t sum = 0;
    for (const Worker* worker : engine_->environment().workers) {
      for (const PortCounters& port : worker->counters()) {
        sum += port.drops[static_cast<size_t>(reason)].value();
      }
    }
    return sum;
  }
  uint64_t AllDrops() const {
    uint64_t sum = 0;
    for (size_t i = 0; i < kDropReasonCount; ++i) {
      sum += Drops(static_cast<DropReason>(i));
    }
    return sum;
  }

 private:
  // Main's is 0.
  static constexpr uint16_t NumberOf(size_t filter) {
    return static_cast<uint16_t>(filter + 1);
  }

  LockedPool pool_;
  Policy before_, after_;
  Topology topology_;
  std::vector<std::unique_ptr<MemoryPort>> ports_;
  std::unique_ptr<Engine> engine_;
  std::array<std::shared_ptr<LiveFilter>, kFilters> filters_;
};

// Publishes the restored rules, in two steps so that disables fall between.
class PublishingCommitter final : public CountingCommitter {
 public:
  explicit PublishingCommitter(IncidentPlane* plane) : plane_(*plane) {}
  CommitResult Step(const RestoreJob& job) override {
    const CommitResult result = CountingCommitter::Step(job);
    if (result.done) plane_.Load(filters.at(job.filter), true);
    return result;
  }
  std::map<RestoreFilterId, uint16_t> filters;

 private:
  IncidentPlane& plane_;
};

struct Order {
  uint16_t filter;
  uint32_t incarnation;  // that the agent saw
  RestoreWaiter waiter;
};

struct Shared {
  std::atomic<bool> stop{false};
  // How many packets and orders there may be by now: they keep pace with the
  // lives of the ports, whatever the machine does.
  std::atomic<uint64_t> allowed{1000};
  std::atomic<uint64_t> packets{0};
  std::atomic<uint64_t> left{0};
  std::mutex mutex;
  std::vector<Order> orders;
  std::atomic<uint64_t> given{0};
};

// Packets of many flows of both families, on every queue of every port.
void FeederLoop(IncidentPlane* plane, Shared* shared) {
  std::vector<std::vector<uint8_t>> frames;
  for (int i = 2; i < 42; ++i) {
    const std::string n = std::to_string(i);
    frames.push_back(FrameFromText("udp 10.0.0." + n +
                                   ":1000 > 10.1.0.1:53 data 8"));
    frames.push_back(FrameFromText("udp 2001:db8::" + n +
                                   ":1000 > 2001:db8:1::1:53 data 8"));
  }
  frames.push_back(FrameFromText("arp request 10.0.0.2 > 10.1.0.1"));
  frames.push_back(
      FrameFromText("icmp fe80::1 > ff02::1:ff00:1 neighbrsol ttl 255 "
                    "data 0x20010db8000000000000000000000001"));
  std::mt19937_64 random(100);
  while (!shared->stop.load(std::memory_order_relaxed)) {
    for (uint16_t i = 0; i < kPorts; ++i) {
      shared->left.fetch_add(plane->port(i).Drain(),
                             std::memory_order_relaxed);
    }
    for (int i = 0; i < 16; ++i) {
      rte_mbuf* mbuf = plane->pool().Make(frames[random() % frames.size()]);
      if (mbuf == nullptr) break;
      if (plane->port(random() % kPorts)
              .Arrive(mbuf, static_cast<uint16_t>(random() % kWorkers))) {
        shared->packets.fetch_add(1, std::memory_order_relaxed);
      } else {
        rte_pktmbuf_free(mbuf);
        break;
      }
    }
    while (!shared->stop.load(std::memory_order_relaxed) &&
           shared->packets.load(std::memory_order_relaxed) >
               shared->allowed.load(std::memory_order_relaxed)) {
      Pause();
    }
  }
}

void AgentLoop(IncidentPlane* plane, Shared* shared, int number) {
  std::mt19937_64 random(static_cast<uint64_t>(number) + 200);
  RestoreWaiter waiter = static_cast<RestoreWaiter>(number + 1) << 40;
  std::vector<Order> late;  // decided, not yet sent
  while (!shared->stop.load(std::memory_order_relaxed)) {
    const auto filter = static_cast<uint16_t>(random() % kPorts);
    const FilterStatus status = plane->filter(filter).status.Load();
    if (status.enabled()) late.push_back({filter, status.incarnation, 0});
    while (late.size() > random() % 8) {
      Order order = late.front();
      late.erase(late.begin());
      order.waiter = ++waiter;
      const std::lock_guard lock(shared->mutex);
      if (shared->orders.size() < 256) {
        shared->orders.push_back(order);
        shared->given.fetch_add(1, std::memory_order_relaxed);
      }
    }
    while (!shared->stop.load(std::memory_order_relaxed) &&
           shared->given.load(std::memory_order_relaxed) * 8 >
               shared->allowed.load(std::memory_order_relaxed)) {
      Pause();
    }
  }
}

TEST(IncidentTest, OneCommitAnIncarnationOverRealWorkers) {
  const uint64_t triggers = FromEnvironment("SLUICE_TRIGGERS", 1'000'000);
  const uint64_t lives = FromEnvironment("SLUICE_INCARNATIONS", 10'000);
  IncidentPlane plane;
  Shared shared;
  ThreadedValidator validator;
  PublishingCommitter committer(&plane);
  CountingListener listener;
  std::map<RestoreWaiter, int> at_once;
  std::set<std::pair<RestoreFilterId, uint32_t>> alive;
  uint64_t orders = 0, enables = 0, asked = 0;
  RestoreMetrics metrics;
  {
    RestoreQueue queue({.retry_delays = {100, 200, 300}}, &validator,
                       &committer, &listener);
    std::array<RestoreFilterId, kPorts> ids;
    for (uint16_t i = 0; i < kPorts; ++i) {
      ids[i] = queue.AddFilter({.word = &plane.filter(i).status,
                              .fail_policy = plane.filter(i).fail_policy});
      committer.filters[ids[i]] = i;
    }
    std::vector<std::thread> workers, others;
    for (uint16_t i = 0; i < kWorkers; ++i) {
      workers.emplace_back([&plane, i] { plane.worker(i).Run(); });
    }
    others.emplace_back(FeederLoop, &plane, &shared);
    for (int i = 0; i < kAgents; ++i) {
      others.emplace_back(AgentLoop, &plane, &shared, i);
    }
    std::mt19937_64 random(1);
    std::vector<Order> batch;
    while (enables < lives ||
           shared.packets.load() + shared.given.load() + asked < triggers) {
      const auto p = static_cast<uint16_t>(random() % kPorts);
      const FilterStatus status = plane.filter(p).status.Load();
      if (!status.enabled()) {
        plane.Load(p, false);
        if (queue.Want(ids[p], {.enabled = true, .expects = true}) ==
            WantResult::kDone) {
          ++enables;
          shared.allowed.store(1000 + (enables + 1) * triggers / lives);
          alive.insert({ids[p], plane.filter(p).status.Load().incarnation});
          // Enabling asks too.
          if (random() % 2 == 0) {
            ++asked;
            queue.Submit({.filter = ids[p], .source = RequestSource::kEnable},
                         Now());
          }
        }
      } else {
        // Most lives are long enough to see the end of their restore.
        const uint64_t patience =
            IsFinal(status.state)                         ? 4
            : status.state == RestoreState::kCommitting ? 16
                                                          : 256;
        if (random() % patience == 0) queue.Want(ids[p], {.enabled = false});
      }
      {
        const std::lock_guard lock(shared.mutex);
        batch.swap(shared.orders);
      }
      for (const Order& order : batch) {
        const RestoreCode code = queue.Submit({.filter = ids[order.filter],
                                               .incarnation = order.incarnation,
                                               .waiter = order.waiter},
                                              Now()).code;
        ++orders;
        at_once[order.waiter] = code != RestoreCode::kStarted &&
                                code != RestoreCode::kJoined;
      }
      batch.clear();
      queue.Poll(Now());
      if (random() % 4 == 0) Pause();
    }
    shared.stop.store(true);
    for (std::thread& thread : others) thread.join();
    for (uint16_t i = 0; i < kPorts; ++i) {
      queue.Want(ids[i], {.enabled = false});
    }
    while (queue.jobs() > 0) queue.Poll(Now());
    plane.plane().run.store(RunState::kDrain);
    for (uint16_t i = 0; i < kWorkers; ++i) {
      while (!plane.worker(i).drained()) std::this_thread::yield();
    }
    plane.plane().run.store(RunState::kStop);
    for (std::thread& thread : workers) thread.join();
    metrics = queue.metrics();
  }

  // Commits: never two in an incarnation, never one into a dead one.
  EXPECT_GE(enables, lives);
  EXPECT_GT(committer.commits.size(), enables / 10);
  uint64_t twice = 0;
  for (const auto& [key, count] : committer.commits) {
    twice += count != 1;
    EXPECT_TRUE(alive.contains(key)) << "a port that was not enabled";
  }
  EXPECT_EQ(twice, 0u);
  EXPECT_EQ(committer.into_dead, 0u);
  EXPECT_EQ(validator.strangers, 0u);
  uint64_t ends = 0;
  for (const uint64_t count : metrics.ends) ends += count;
  EXPECT_EQ(ends, metrics.started);

  // After a failure some filters let nothing pass, others have their emergency
  // rules.
  EXPECT_GT(metrics.fail_open, 0u);
  EXPECT_GT(metrics.fail_closed, 0u);
  // One that judged for want of a snapshot, and was brought one later, judges
  // on.
  EXPECT_LE(metrics.fail_open + metrics.fail_closed,
            metrics.ends[static_cast<size_t>(RestoreState::kFailed)]);
  uint64_t by_emergency = 0;
  for (size_t i = kPorts; i < kFilters; ++i) by_emergency += plane.Searches(i);
  EXPECT_GT(by_emergency, 0u);

  // Every waiter is told once, at once or later.
  EXPECT_EQ(at_once.size(), orders);
  uint64_t waited = 0;
  for (const auto& [waiter, now] : at_once) {
    const auto later = listener.answers.find(waiter);
    EXPECT_EQ(now + (later == listener.answers.end() ? 0 : later->second), 1)
        << "waiter " << waiter;
    waited += now == 0;
  }
  EXPECT_EQ(listener.answers.size(), waited);

  // Every packet has left or is counted, and nothing is held any more. What
  // the feeder left in the rings was never received.
  const uint64_t received = plane.Sum(&PortCounters::received_packets);
  const uint64_t forwarded = plane.Sum(&PortCounters::forwarded_packets);
  EXPECT_LE(received, shared.packets.load());
  EXPECT_EQ(received, forwarded + plane.AllDrops());
  EXPECT_GT(forwarded, 0u);
  uint64_t held = 0, replayed = 0, bypassed = 0, expired = 0, failed = 0,
           cancelled = 0;
  for (size_t i = 0; i < kPorts; ++i) {
    for (const auto& queue : plane.filter(i).holds) {
      const HoldStatistics& s = queue->statistics();
      EXPECT_TRUE(queue->empty());
      held += s.held;
      replayed += s.replayed;
      bypassed += s.bypassed;
      expired += s.dropped_expired;
      failed += s.dropped_failed;
      cancelled += s.dropped_cancelled;
    }
  }
  EXPECT_EQ(held, replayed + expired + failed + cancelled);
  EXPECT_GT(replayed, 0u);
  EXPECT_GT(bypassed, 0u);
  EXPECT_EQ(plane.hold_budget().used(), 0u);
  uint64_t queued = 0;
  for (size_t i = 0; i < kPorts; ++i) plane.port(i).Drain();
  for (size_t i = 0; i < kPorts; ++i) {
    for (uint16_t queue = 0; queue < kWorkers; ++queue) {
      queued += plane.port(i).Forget(queue);
    }
  }
  EXPECT_EQ(received + queued, shared.packets.load());
  EXPECT_EQ(plane.pool().InUse(), 0u);

  std::printf(
      "%" PRIu64 " triggers (%" PRIu64 " packets, %" PRIu64 " orders, %" PRIu64
      " by enabling) over %" PRIu64 " incarnations: %" PRIu64
      " restores started, %zu commits, %" PRIu64
      " incarnations with two, %" PRIu64 " into dead ones\n  %" PRIu64
      " joined, %" PRIu64 " late, %" PRIu64 " stale, %" PRIu64
      " cancelled, %" PRIu64 " failed, %" PRIu64 " waited and were told\n  %"
      PRIu64 " packets held = %" PRIu64 " replayed + %" PRIu64
      " cancelled + %" PRIu64 " failed + %" PRIu64 " expired; %" PRIu64
      " passed by; %" PRIu64 " forwarded, %" PRIu64 " dropped\n  %" PRIu64
      " failed open, %" PRIu64 " closed; %" PRIu64
      " packets were judged by emergency rules\n",
      shared.packets + orders + asked, shared.packets.load(), orders, asked,
      enables, metrics.started, committer.commits.size(), twice,
      committer.into_dead, metrics.joined, metrics.late_duplicates,
      metrics.stale,
      metrics.ends[static_cast<size_t>(RestoreState::kCancelled)],
      metrics.ends[static_cast<size_t>(RestoreState::kFailed)], waited, held,
      replayed, cancelled, failed, expired, bypassed, forwarded,
      plane.AllDrops(), metrics.fail_open, metrics.fail_closed, by_emergency);
}

}  // namespace
}  // namespace sluice
