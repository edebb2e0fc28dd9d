// The incident as a load: filters are enabled and disabled while workers see
// packets from the first moment, operators and agents ask early, late and
// twice, and a builder on its own thread succeeds, fails, stalls.
//
// SLUICE_TRIGGERS and SLUICE_INCARNATIONS set the size of the run.
#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "restore/hold_queue.h"
#include "restore/restore_queue.h"
#include "stress_parts.h"

namespace sluice {
namespace {

constexpr int kFilters = 4;
constexpr int kWorkers = 2;
constexpr int kAgents = 2;

// What agents send; the incarnation is the one that they saw.
struct Order {
  int filter;
  uint32_t incarnation;
  RestoreWaiter waiter;
};

struct Shared {
  std::array<FilterStatusWord, kFilters> words;
  HoldBudget budget{512};
  std::atomic<bool> stop{false};
  // How many packets and orders there may be by now: they keep pace with the
  // lives of the filters, whatever the machine does.
  std::atomic<uint64_t> allowed{1000};
  std::atomic<uint64_t> packets{0};
  std::atomic<uint64_t> requests{0};  // exchanges that won
  std::mutex mutex;
  std::vector<Order> orders;
  std::atomic<uint64_t> given{0};
};

struct WorkerResult {
  uint64_t forwarded = 0;
  uint64_t dropped = 0;
  uint64_t held = 0;
  uint64_t released = 0;  // of those held: replayed or dropped
  uint64_t overtaken = 0;
};

void WorkerLoop(Shared* shared, int number, WorkerResult* result) {
  std::mt19937_64 random(static_cast<uint64_t>(number) + 100);
  std::array<std::unique_ptr<HoldQueue>, kFilters> holds;
  for (auto& hold : holds) hold = std::make_unique<HoldQueue>(&shared->budget);
  std::array<rte_mbuf*, 32> out;
  static rte_mbuf packet;  // never looked into
  Tick tick = 0;
  const auto drain = [&](int p, const FilterStatus& status) {
    HoldQueue& hold = *holds[p];
    while (true) {
      const HoldEnd end = hold.EndOf(status, false);
      if (end == HoldEnd::kWait) break;
      result->released += end == HoldEnd::kReplay
                              ? hold.TakeReplayed(out, tick)
                              : hold.TakeDropped(status, out, tick);
    }
    result->released += hold.TakeExpired(out, tick);
  };
  while (!shared->stop.load(std::memory_order_relaxed)) {
    ++tick;
    const int p = static_cast<int>(random() % kFilters);
    FilterStatus status = shared->words[p].Load();
    drain(p, status);
    shared->packets.fetch_add(1, std::memory_order_relaxed);
    switch (DispositionOf(status)) {
      case FilterDisposition::kRequest:
        if (shared->words[p].RequestRestore()) {
          shared->requests.fetch_add(1, std::memory_order_relaxed);
        }
        [[fallthrough]];
      case FilterDisposition::kHold:
        if (holds[p]->Hold(&packet, status.incarnation, tick)) {
          ++result->held;
        } else {
          ++result->dropped;
        }
        break;
      case FilterDisposition::kJudge:
        ++result->forwarded;
        if (!holds[p]->empty()) ++result->overtaken;
        break;
      case FilterDisposition::kFail:
      case FilterDisposition::kDrop:
        ++result->dropped;
        break;
    }
    if (shared->packets.load(std::memory_order_relaxed) >
        shared->allowed.load(std::memory_order_relaxed)) {
      Pause();
    }
  }
  for (int p = 0; p < kFilters; ++p) {
    const FilterStatus over = {.incarnation = UINT32_MAX};
    while (!holds[p]->empty()) {
      result->released += holds[p]->TakeDropped(over, out, tick);
    }
  }
}

void AgentLoop(Shared* shared, int number) {
  std::mt19937_64 random(static_cast<uint64_t>(number) + 200);
  RestoreWaiter waiter = static_cast<RestoreWaiter>(number + 1) << 40;
  std::vector<Order> late;  // decided, not yet sent
  while (!shared->stop.load(std::memory_order_relaxed)) {
    const int p = static_cast<int>(random() % kFilters);
    const FilterStatus status = shared->words[p].Load();
    if (status.enabled()) late.push_back({p, status.incarnation, 0});
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
    if (shared->given.load(std::memory_order_relaxed) * 8 >
        shared->allowed.load(std::memory_order_relaxed)) {
      Pause();
    }
  }
}

TEST(RestoreStress, OneCommitAnIncarnationUnderEveryTrigger) {
  const uint64_t triggers = FromEnvironment("SLUICE_TRIGGERS", 1'000'000);
  const uint64_t lives = FromEnvironment("SLUICE_INCARNATIONS", 10'000);
  Shared shared;
  ThreadedValidator validator;
  CountingCommitter committer;
  CountingListener listener;
  // Waiters by how often they were answered at once.
  std::map<RestoreWaiter, int> at_once;
  uint64_t orders = 0;
  uint64_t enables = 0;
  std::set<std::pair<RestoreFilterId, uint32_t>> alive;
  std::array<WorkerResult, kWorkers> results;
  {
    RestoreQueue queue({.retry_delays = {100, 200, 300}}, &validator,
                       &committer, &listener);
    std::array<RestoreFilterId, kFilters> ids;
    for (int p = 0; p < kFilters; ++p) {
      ids[p] = queue.AddFilter({.word = &shared.words[p]});
    }
    std::vector<std::thread> threads;
    for (int i = 0; i < kWorkers; ++i) {
      threads.emplace_back(WorkerLoop, &shared, i, &results[i]);
    }
    for (int i = 0; i < kAgents; ++i) {
      threads.emplace_back(AgentLoop, &shared, i);
    }
    std::mt19937_64 random(1);
    std::vector<Order> batch;
    while (enables < lives ||
           shared.packets.load() + shared.given.load() < triggers) {
      const int p = static_cast<int>(random() % kFilters);
      if (random() % 4 != 0) {
        const WantResult result =
            queue.Want(ids[p], {.enabled = true, .expects = true});
        if (result == WantResult::kDone) {
          ++enables;
          shared.allowed.store(1000 + (enables + 1) * triggers / lives);
          alive.insert({ids[p], shared.words[p].Load().incarnation});
          // Enabling asks too.
          if (random() % 2 == 0) {
            queue.Submit({.filter = ids[p], .source = RequestSource::kEnable},
                         Now());
          }
        }
      } else {
        // Most lives are long enough to see the end of their restore.
        const RestoreState state = shared.words[p].Load().state;
        const uint64_t patience = IsFinal(state)                      ? 2
                                  : state == RestoreState::kCommitting ? 4
                                                                       : 16;
        if (random() % patience == 0) queue.Want(ids[p], {.enabled = false});
      }
      {
        const std::lock_guard lock(shared.mutex);
        batch.swap(shared.orders);
      }
      for (const Order& order : batch) {
        const RestoreCode code =
            queue.Submit({.filter = ids[order.filter],
                          .incarnation = order.incarnation,
                          .waiter = order.waiter},
                         Now())
                .code;
        ++orders;
        if (code == RestoreCode::kStarted || code == RestoreCode::kJoined) {
          at_once[order.waiter] = 0;
        } else {
          at_once[order.waiter] = 1;
        }
      }
      batch.clear();
      queue.Poll(Now());
      // The builder is to get through while the filter lives.
      if (random() % 4 == 0) Pause();
    }
    shared.stop.store(true);
    for (std::thread& thread : threads) thread.join();
    // Ends everything that is under way.
    for (int p = 0; p < kFilters; ++p) {
      queue.Want(ids[p], {.enabled = false});
    }
    while (queue.jobs() > 0) queue.Poll(Now());

    const RestoreMetrics& metrics = queue.metrics();
    std::printf(
        "%llu triggers (%llu packets, %llu orders, %llu enables) over %llu "
        "incarnations:\n  %llu restores started, %llu commits, %llu joined, "
        "%llu late, %llu stale, %llu busy, %llu cancelled, %llu failed, "
        "%llu retries, %llu disables held up by a commit\n",
        static_cast<unsigned long long>(shared.packets + orders +
                                        metrics.requests[1]),
        static_cast<unsigned long long>(shared.packets.load()),
        static_cast<unsigned long long>(orders),
        static_cast<unsigned long long>(metrics.requests[1]),
        static_cast<unsigned long long>(enables),
        static_cast<unsigned long long>(metrics.started),
        static_cast<unsigned long long>(metrics.commits),
        static_cast<unsigned long long>(metrics.joined),
        static_cast<unsigned long long>(metrics.late_duplicates),
        static_cast<unsigned long long>(metrics.stale),
        static_cast<unsigned long long>(metrics.busy),
        static_cast<unsigned long long>(
            metrics.ends[static_cast<size_t>(RestoreState::kCancelled)]),
        static_cast<unsigned long long>(
            metrics.ends[static_cast<size_t>(RestoreState::kFailed)]),
        static_cast<unsigned long long>(metrics.retries),
        static_cast<unsigned long long>(metrics.disables_deferred));
    // Every restore that was started has ended, once.
    uint64_t ends = 0;
    for (const uint64_t count : metrics.ends) ends += count;
    EXPECT_EQ(ends, metrics.started);
    EXPECT_EQ(listener.ends, metrics.started);
    EXPECT_EQ(metrics.commits, committer.commits.size());
  }

  EXPECT_GE(enables, lives);
  EXPECT_GT(committer.commits.size(), enables / 10);
  for (const auto& [key, count] : committer.commits) {
    EXPECT_EQ(count, 1) << "filter " << key.first << " incarnation "
                        << key.second;
    EXPECT_TRUE(alive.contains(key) || listener.late_lives.contains(key))
        << "a filter that was not enabled";
  }
  EXPECT_EQ(committer.into_dead, 0u);
  EXPECT_EQ(validator.strangers, 0u);

  // Every waiter is answered exactly once, at once or later.
  EXPECT_EQ(at_once.size(), orders);
  uint64_t waited = 0;
  for (const auto& [waiter, count] : at_once) {
    const auto later = listener.answers.find(waiter);
    const int all =
        count + (later == listener.answers.end() ? 0 : later->second);
    EXPECT_EQ(all, 1) << "waiter " << waiter;
    waited += count == 0;
  }
  EXPECT_EQ(listener.answers.size(), waited);

  uint64_t packets = 0;
  for (const WorkerResult& result : results) {
    EXPECT_EQ(result.held, result.released);
    EXPECT_EQ(result.overtaken, 0u);
    packets += result.forwarded + result.dropped + result.held;
  }
  EXPECT_EQ(packets, shared.packets.load());
  EXPECT_EQ(shared.budget.used(), 0u);
  std::printf("  %llu waited and were told, %llu packets held and released\n",
              static_cast<unsigned long long>(waited),
              static_cast<unsigned long long>(results[0].held +
                                              results[1].held));
}

}  // namespace
}  // namespace sluice
