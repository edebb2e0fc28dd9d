// The table of sources against a map, and by several threads at once.
#include "conntrack/source_nodes.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <map>
#include <random>
#include <set>
#include <thread>
#include <tuple>
#include <vector>

#include "conntrack/pool_nodes.h"
#include "tests/support/manual_reclaimer.h"

namespace sluice {
namespace {

SourceKey KeyOf(uint32_t address, uint32_t rule = kNoRuleSlot,
                uint16_t filter = 0) {
  const Address source = Address::V4(address);
  return {.address = source.bytes,
          .rule_slot = rule,
          .filter = filter,
          .family = Family::kIpv4};
}

std::unique_ptr<SourceNodes> Make(uint32_t capacity, Reclaimer* reclaimer) {
  return *SourceNodes::Build(
      {.capacity = capacity, .secret = HashSecret::FromSeed(3)}, reclaimer);
}

TEST(SourceNodes, OptionsAreChecked) {
  ImmediateReclaimer reclaimer;
  EXPECT_FALSE(SourceNodes::Build({.capacity = 0}, &reclaimer).ok());
  EXPECT_FALSE(SourceNodes::Build({.capacity = 1u << 27}, &reclaimer).ok());
}

TEST(SourceNodes, KeysAreApart) {
  ImmediateReclaimer reclaimer;
  const auto table = Make(16, &reclaimer);
  SourceBudget budget;
  budget.nodes.SetLimit(16);
  const SourceOwner owner = {.budget = &budget};
  std::set<SourceNodeIndex> nodes;
  SourceKey six = KeyOf(1);
  six.family = Family::kIpv6;
  SourceKey pool = KeyOf(1);
  pool.use = SourceUse::kNat;
  for (const SourceKey& key :
       {KeyOf(1), KeyOf(2), KeyOf(1, 7), KeyOf(1, 0x10007), KeyOf(1, 7, 1),
        six, pool}) {
    nodes.insert(table->Take(key, owner, 0, 0).node);
    EXPECT_EQ(table->Find(key), table->Take(key, owner, 0, 0).node);
  }
  EXPECT_EQ(nodes.size(), 7u);
}

TEST(SourceNodes, AnExpiredNodeIsAnotherOneAfterwards) {
  ImmediateReclaimer reclaimer;
  const auto table = Make(1, &reclaimer);
  SourceBudget budget;
  budget.nodes.SetLimit(10);
  std::atomic<uint32_t> of_rule{0};
  const SourceOwner owner = {
      .budget = &budget, .rule_nodes = &of_rule, .max_nodes = 5};
  const SourceNodeIndex node = table->Take(KeyOf(1, 4), owner, 0, 0).node;
  table->Release(node, false, 1000, 0);
  EXPECT_EQ(of_rule, 1u);
  // There is no second place.
  EXPECT_EQ(table->Take(KeyOf(2, 4), owner, 0, 0).refusal,
            SourceRefusal::kLimit);
  table->Purge(999, 10);
  EXPECT_EQ(budget.nodes.used(), 1u);
  table->Purge(1000, 10);
  EXPECT_EQ(budget.nodes.used(), 0u);
  EXPECT_EQ(of_rule, 0u);
  EXPECT_NE(table->Take(KeyOf(2, 4), owner, 0, 1000).node, kNoSourceNode);
}

TEST(SourceNodes, ThePoolsAddressIsThatOfWhoCameFirst) {
  ImmediateReclaimer reclaimer;
  const auto table = Make(4, &reclaimer);
  SourceBudget budget;
  budget.nodes.SetLimit(4);
  const SourceOwner owner = {.budget = &budget};
  const Address first = Address::V4(100), second = Address::V4(200);
  EXPECT_EQ(table->Find(KeyOf(1)), kNoSourceNode);
  const SourceNodeIndex a =
      table->Take(KeyOf(1), owner, 0, 0, &first).node;
  const SourceNodeIndex b =
      table->Take(KeyOf(1), owner, 0, 0, &second).node;
  EXPECT_EQ(a, b);
  EXPECT_EQ(table->target(b), first);
}

// Limiters' nodes and pools' are no sources to Remove(), but what they count
// for goes with their filter all the same.
TEST(SourceNodes, AFilterLeavesNoNodeOfAnyUse) {
  ImmediateReclaimer reclaimer;
  const auto table = Make(32, &reclaimer);
  std::atomic<uint32_t> of_filter{0}, of_other{0};
  uint32_t made = 0;
  for (int use = 0; use <= static_cast<int>(SourceUse::kLimiter); ++use) {
    for (const uint16_t filter : {3, 4}) {
      SourceKey key = KeyOf(1, 7, filter);
      key.use = static_cast<SourceUse>(use);
      const SourceOwner owner = {
          .budget = table->unlimited(),
          .rule_nodes = filter == 3 ? &of_filter : &of_other};
      const SourceNodeIndex node = table->Take(key, owner, 0, 0).node;
      ASSERT_NE(node, kNoSourceNode);
      table->Release(node, /*connection=*/false, 1000, 0);
      made += filter == 3;
    }
  }
  EXPECT_EQ(of_filter, made);
  EXPECT_EQ(table->RemoveAllOf(3), made);
  EXPECT_EQ(of_filter, 0u);
  EXPECT_EQ(of_other, made);
  for (int use = 0; use <= static_cast<int>(SourceUse::kLimiter); ++use) {
    SourceKey key = KeyOf(1, 7, 3);
    key.use = static_cast<SourceUse>(use);
    EXPECT_EQ(table->Peek(key), kNoSourceNode) << use;
  }
  table->Purge(1000, 32);
  EXPECT_EQ(of_filter, 0u) << "nothing is counted out twice";
  EXPECT_EQ(table->unlimited()->nodes.used(), 0u);
}

TEST(SourceNodes, APlaceIsGivenOutAgainAfterItsGracePeriodOnly) {
  ManualReclaimer reclaimer;
  const auto table = Make(1, &reclaimer);
  SourceBudget budget;
  budget.nodes.SetLimit(10);
  const SourceOwner owner = {.budget = &budget};
  table->Release(table->Take(KeyOf(1), owner, 0, 0).node, false, 0, 0);
  EXPECT_EQ(budget.nodes.used(), 0u);
  table->Purge(0, 10);
  EXPECT_EQ(table->Take(KeyOf(2), owner, 0, 0).node, kNoSourceNode);
  reclaimer.PassAll();
  table->Purge(0, 10);
  EXPECT_NE(table->Take(KeyOf(2), owner, 0, 0).node, kNoSourceNode);
}

// The same rules, on a map and without any structure.
struct Model {
  struct Node {
    uint32_t states = 0;
    uint32_t connections = 0;
    Tick expires = 0;
    double rate = 0;
    Tick rated = 0;
  };
  using Key = std::tuple<uint32_t, uint32_t>;
  std::map<Key, Node> nodes;
};

TEST(SourceNodes, ActsAsAMap) {
  constexpr uint32_t kMaxStates = 4, kMaxNodes = 6, kLimit = 20;
  constexpr RateLimit kRate = {.count = 3, .seconds = 4};
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    ImmediateReclaimer reclaimer;
    // Some places more than nodes may be: the dead wait in them.
    const auto table = Make(4096, &reclaimer);
    SourceBudget budget;
    budget.nodes.SetLimit(kLimit);
    std::array<std::atomic<uint32_t>, 3> of_rule{};
    Model model;
    struct Held {
      Model::Key key;
      SourceNodeIndex node;
      bool open = false;
      bool detached = false;
    };
    std::vector<Held> held;
    std::mt19937_64 random(seed);
    Tick now = 0xfffff000;
    for (int step = 0; step < 4000; ++step) {
      now += static_cast<Tick>(random() % 300);
      // What has run out counts until somebody comes by: here at once.
      table->Purge(now, 4096);
      for (auto at = model.nodes.begin(); at != model.nodes.end();) {
        const bool ended =
            at->second.states == 0 &&
            static_cast<int32_t>(at->second.expires - now) <= 0;
        at = ended ? model.nodes.erase(at) : std::next(at);
      }
      const uint32_t dice = random() % 100;
      if (dice < 45) {
        const uint32_t rule = random() % 4;
        const Model::Key key = {random() % 12, rule};
        SourceOwner owner = {.budget = &budget};
        if (rule < 3) {
          owner.rule_nodes = &of_rule[rule];
          owner.max_nodes = kMaxNodes;
        }
        SourceRefusal expected = SourceRefusal::kNone;
        const auto found = model.nodes.find(key);
        if (found != model.nodes.end()) {
          if (found->second.states >= kMaxStates) {
            expected = SourceRefusal::kStates;
          }
        } else if (model.nodes.size() >= kLimit) {
          expected = SourceRefusal::kLimit;
        } else if (rule < 3 &&
                   std::count_if(model.nodes.begin(), model.nodes.end(),
                                 [&](const auto& node) {
                                   return std::get<1>(node.first) == rule;
                                 }) >= kMaxNodes) {
          expected = SourceRefusal::kNodes;
        }
        const SourceResult result = table->Take(
            KeyOf(std::get<0>(key), rule < 3 ? rule : kNoRuleSlot), owner,
            kMaxStates, now);
        ASSERT_EQ(result.refusal, expected);
        ASSERT_EQ(result.node == kNoSourceNode,
                  expected != SourceRefusal::kNone);
        if (expected != SourceRefusal::kNone) continue;
        Model::Node& node = model.nodes[key];
        if (++node.states == 1 && found == model.nodes.end()) {
          node.rated = now;
        }
        held.push_back({key, result.node});
      } else if (dice < 60 && !held.empty()) {
        Held& which = held[random() % held.size()];
        if (which.open) continue;
        which.open = true;
        const ConnectionVerdict verdict =
            table->AddConnection(which.node, 2, kRate, now);
        if (which.detached) {
          ASSERT_FALSE(verdict.too_many || verdict.too_fast);
          continue;
        }
        Model::Node& node = model.nodes[which.key];
        ++node.connections;
        const double idle = (now - node.rated) / 4000.0;
        node.rate = (idle >= 1 ? 0 : node.rate * (1 - idle)) + 1;
        node.rated = now;
        ASSERT_EQ(verdict.too_many, node.connections > 2);
        // Thousandths are rounded up a little at each step.
        if (std::abs(node.rate - 3) > 0.02) {
          ASSERT_EQ(verdict.too_fast, node.rate > 3) << node.rate;
        }
      } else if (dice < 98 && !held.empty()) {
        const size_t at = random() % held.size();
        const uint32_t life = random() % 2 == 0 ? 0 : 700;
        table->Release(held[at].node, held[at].open, life, now);
        if (!held[at].detached) {
          Model::Node& node = model.nodes[held[at].key];
          if (held[at].open) --node.connections;
          node.expires = now + life;
          if (--node.states == 0 && life == 0) {
            model.nodes.erase(held[at].key);
          }
        }
        held.erase(held.begin() + static_cast<long>(at));
      } else if (dice == 98) {
        const uint32_t address = random() % 12;
        uint32_t expected = 0;
        for (auto node = model.nodes.begin(); node != model.nodes.end();) {
          const bool goes = std::get<0>(node->first) == address;
          expected += goes;
          node = goes ? model.nodes.erase(node) : std::next(node);
        }
        for (Held& which : held) {
          if (std::get<0>(which.key) == address) which.detached = true;
        }
        ASSERT_EQ(table->Remove(
                      [&](const SourceRecord& node) {
                        return node.key.address ==
                               Address::V4(address).bytes;
                      },
                      now),
                  expected);
      }
      std::map<Model::Key, std::pair<uint32_t, uint32_t>> listed;
      uint32_t cursor = 0;
      table->Visit(&cursor, ~0u, now, [&](const SourceRecord& node) {
        const uint32_t rule =
            node.key.rule_slot == kNoRuleSlot ? 3 : node.key.rule_slot;
        const Address source =
            Address::FromBytes(Family::kIpv4, node.key.address.data());
        listed[{source.v4().host(), rule}] = {node.states, node.connections};
      });
      ASSERT_EQ(listed.size(), model.nodes.size());
      for (const auto& [key, node] : model.nodes) {
        ASSERT_EQ(listed[key], std::make_pair(node.states, node.connections));
      }
      ASSERT_EQ(budget.nodes.used(), model.nodes.size());
    }
  }
}

// Counts workers' rounds, as quiescent states do.
class RoundReclaimer final : public Reclaimer {
 public:
  explicit RoundReclaimer(size_t workers)
      : rounds_(workers), offline_(workers) {}
  void Offline(size_t worker) {
    offline_[worker].store(true, std::memory_order_release);
  }
  void Quiescent(size_t worker) {
    rounds_[worker].fetch_add(1, std::memory_order_acq_rel);
  }
  uint64_t StartGracePeriod() override {
    starts_.emplace_back();
    for (const auto& rounds : rounds_) {
      starts_.back().push_back(rounds.load(std::memory_order_acquire));
    }
    return starts_.size() - 1;
  }
  bool HasPassed(uint64_t grace) override {
    for (size_t i = 0; i < rounds_.size(); ++i) {
      if (!offline_[i].load(std::memory_order_acquire) &&
          rounds_[i].load(std::memory_order_acquire) == starts_[grace][i]) {
        return false;
      }
    }
    return true;
  }

 private:
  std::vector<std::atomic<uint64_t>> rounds_;
  std::vector<std::atomic<bool>> offline_;
  std::vector<std::vector<uint64_t>> starts_;
};

TEST(SourceNodes, LimitsAreExactWithSeveralWorkers) {
  constexpr size_t kWorkers = 4;
  constexpr uint32_t kMaxStates = 5, kMaxNodes = 3, kSources = 8;
  RoundReclaimer reclaimer(kWorkers);
  const auto table = Make(4096, &reclaimer);
  SourceBudget budget;
  budget.nodes.SetLimit(1000);
  std::atomic<uint32_t> of_rule{0};
  const SourceOwner owner = {
      .budget = &budget, .rule_nodes = &of_rule, .max_nodes = kMaxNodes};
  // What the workers hold by their own count.
  std::array<std::atomic<uint32_t>, kSources> states{};
  std::atomic<bool> wrong{false};
  std::atomic<size_t> running{kWorkers};
  std::vector<std::thread> workers;
  for (size_t worker = 0; worker < kWorkers; ++worker) {
    workers.emplace_back([&, worker] {
      std::mt19937_64 random(worker);
      std::vector<std::pair<uint32_t, SourceNodeIndex>> held;
      for (int step = 0; step < 40000; ++step) {
        if (random() % 2 == 0 && held.size() < 4) {
          const uint32_t source = random() % kSources;
          const SourceResult result =
              table->Take(KeyOf(source, 1), owner, kMaxStates, 0);
          if (result.node != kNoSourceNode) {
            if (states[source].fetch_add(1) >= kMaxStates) wrong = true;
            held.emplace_back(source, result.node);
          }
        } else if (!held.empty()) {
          states[held.back().first].fetch_sub(1);
          table->Release(held.back().second, false, 0, 0);
          held.pop_back();
        }
        reclaimer.Quiescent(worker);
      }
      for (const auto& [source, node] : held) {
        states[source].fetch_sub(1);
        table->Release(node, false, 0, 0);
      }
      reclaimer.Offline(worker);
      running.fetch_sub(1);
    });
  }
  while (running > 0) {
    table->Purge(0, 4096);
    uint32_t cursor = 0;
    uint32_t nodes = 0;
    table->Visit(&cursor, ~0u, 0, [&](const SourceRecord& node) {
      ++nodes;
      if (node.states > kMaxStates) wrong = true;
    });
    // A listing is not of one moment, a counter is.
    if (of_rule > kMaxNodes + kWorkers) wrong = true;
  }
  for (std::thread& worker : workers) worker.join();
  EXPECT_FALSE(wrong);
  EXPECT_EQ(budget.nodes.used(), 0u);
  EXPECT_EQ(of_rule, 0u);
  EXPECT_EQ(budget.inserts, budget.removals);
}

// Threads that map a few insides to a few ports at once: each port is one
// inside's at any moment, and an inside has one port.
TEST(SourceNodes, MappingsAreOneToOneAmongThreads) {
  constexpr size_t kThreads = 4;
  ImmediateReclaimer reclaimer;
  const auto nodes = Make(1 << 17, &reclaimer);
  // By outside port: the inside that somebody has it for, and how many have.
  std::array<std::atomic<uint64_t>, 8> owners{};
  std::atomic<bool> wrong{false};
  std::atomic<uint32_t> made{0};
  const auto claim = [&](uint16_t outside, uint16_t inside) {
    std::atomic<uint64_t>& owner = owners[outside];
    uint64_t before = owner.load();
    for (;;) {
      const uint64_t count = before & 0xffffffff;
      if (count != 0 && before >> 32 != inside) wrong = true;
      if (owner.compare_exchange_weak(before, uint64_t{inside} << 32 |
                                                  (count + 1))) {
        return;
      }
    }
  };
  std::vector<std::thread> threads;
  for (size_t thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      std::mt19937_64 random(thread);
      for (int step = 0; step < 3000; ++step) {
        PoolMapping mapping = {.inside = Address::V4(7),
                               .outside = Address::V4(9)};
        mapping.inside_port = static_cast<uint16_t>(random() % 6);
        mapping.outside_port = static_cast<uint16_t>(random() % 8);
        PoolHolds holds;
        if (!FindMapping(*nodes, 0, 0, &mapping, &holds)) {
          mapping.outside = Address::V4(9);
          mapping.outside_port = static_cast<uint16_t>(random() % 8);
          if (!TakeMapping(*nodes, mapping, 0, 0, &holds)) continue;
        }
        made.fetch_add(1);
        claim(mapping.outside_port, mapping.inside_port);
        if (random() % 4 == 0) std::this_thread::yield();
        owners[mapping.outside_port].fetch_sub(1);
        // As a state's end: the inside first.
        nodes->Release(holds.nodes[kMappedInside], false, 0, 0);
        nodes->Release(holds.nodes[kMappedOutside], false, 0, 0);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(wrong);
  EXPECT_GT(made, 1000u);
  EXPECT_EQ(nodes->unlimited()->nodes.used(), 0u);
}

TEST(StateLimiterTest, LimitsAreExactAmongThreads) {
  constexpr size_t kThreads = 4;
  constexpr uint32_t kLimit = 3;
  StateLimiter limiter;
  LimiterDefinition definition;
  definition.id = 1;
  definition.limit = kLimit;
  definition.rate = {.count = 5000, .seconds = 1000000};
  limiter.Define(definition);
  std::atomic<uint32_t> held{0}, taken{0};
  std::atomic<bool> wrong{false};
  std::vector<std::thread> threads;
  for (size_t thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&] {
      for (int step = 0; step < 20000; ++step) {
        uint32_t life = 0;
        if (!limiter.Take(0, /*enforce=*/true, &life)) continue;
        if (held.fetch_add(1) >= kLimit) wrong = true;
        taken.fetch_add(1);
        if (step % 4 == 0) std::this_thread::yield();
        held.fetch_sub(1);
        limiter.GiveBack(life);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(wrong);
  EXPECT_EQ(limiter.in_use(), 0u);
  // All of its tokens and no more, since none comes back.
  EXPECT_EQ(taken, 5000u);
  EXPECT_EQ(limiter.counts().admitted, 5000u);
  EXPECT_EQ(limiter.Ask(0), LimiterAnswer::kTooFast);
}

TEST(StateLimiterTest, AnEarlierLifeGivesNothingBack) {
  StateLimiter limiter;
  LimiterDefinition definition;
  definition.limit = 2;
  EXPECT_EQ(limiter.Ask(0), LimiterAnswer::kFull);
  limiter.Define(definition);
  uint32_t first = 0, second = 0;
  ASSERT_TRUE(limiter.Take(0, true, &first));
  limiter.Undefine();
  EXPECT_EQ(limiter.in_use(), 0u);
  limiter.Define(definition);
  ASSERT_TRUE(limiter.Take(0, true, &second));
  limiter.GiveBack(first);
  EXPECT_EQ(limiter.in_use(), 1u);
  limiter.GiveBack(second);
  EXPECT_EQ(limiter.in_use(), 0u);
}

}  // namespace
}  // namespace sluice
