// What filters share, and that they do not notice.
#include "pftable/compile/policy_pool.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "pftable/classify/classify.h"
#include "pftable/store/invariants.h"
#include "pftable/store/policy_listing.h"
#include "pftable/store/policy_store.h"
#include "tests/support/table_changes.h"
#include "tests/unit/pftable/engine/engine_fixture.h"

namespace sluice {
namespace {

constexpr uint32_t kEntries = 1000;

std::vector<TableEntry> Entries(Family family, uint32_t count,
                                uint32_t first = 0) {
  std::vector<TableEntry> entries;
  for (uint32_t i = first; i < first + count; ++i) {
    Address address = family == Family::kIpv4 ? *ParseAddress("10.0.0.0")
                                              : *ParseAddress("2001:db8::");
    address.bytes[1] = static_cast<uint8_t>(i >> 16);
    address.bytes[2] = static_cast<uint8_t>(i >> 8);
    address.bytes[3] = static_cast<uint8_t>(i);
    const int bits = AddressBits(family);
    entries.push_back({.prefix = {address, static_cast<uint8_t>(bits)},
                       .negated = i % 7 == 0});
  }
  return entries;
}

Policy WithTable(Family family, uint32_t count) {
  Policy policy = Parsed("block in from <bad>\npass\n");
  TableDefinition table;
  table.name = "bad";
  table.persist = true;
  table.has_contents = true;
  table.entries = Entries(family, count);
  policy.main.tables.push_back(table);
  return policy;
}

class PolicyPoolTest : public testing::TestWithParam<Family> {
 protected:
  std::unique_ptr<PolicyStore> Store() {
    return std::make_unique<PolicyStore>(
        PolicyStoreConfig{.workers = 2, .pool = &pool_}, &interfaces_,
        &reclaimer_);
  }
  static const AddressTable& TableOf(const PolicyStore& store) {
    return store.current()->FindTable({"", "bad"})->contents;
  }

  InterfaceRegistry interfaces_;
  ImmediateReclaimer reclaimer_;
  PolicyPool pool_;
};

INSTANTIATE_TEST_SUITE_P(Families, PolicyPoolTest,
                         testing::Values(Family::kIpv4, Family::kIpv6),
                         [](const auto& info) {
                           return info.param == Family::kIpv4 ? "v4" : "v6";
                         });

TEST_P(PolicyPoolTest, EqualTablesAreOne) {
  const std::vector<TableEntry> entries = Entries(GetParam(), 100);
  const AddressTable a = pool_.Build(entries);
  const AddressTable b = pool_.Build(entries);
  EXPECT_EQ(a.view(), b.view());
  EXPECT_EQ(pool_.Share(BuildTable(entries)).view(), a.view());
  EXPECT_EQ(pool_.tables(), 1u);
  // Other entries, or one of them the other way round.
  EXPECT_NE(pool_.Build(Entries(GetParam(), 100, 1)).view(), a.view());
  std::vector<TableEntry> turned = entries;
  turned[50].negated = !turned[50].negated;
  const AddressTable c = pool_.Build(turned);
  EXPECT_NE(c.view(), a.view());
  EXPECT_FALSE(c == a);
  EXPECT_EQ(pool_.tables(), 2u);
  // A prefix that comes twice makes neither.
  std::vector<TableEntry> twice = entries;
  twice[1] = twice[0];
  EXPECT_EQ(pool_.Build(twice).size(), 99u);
}

TEST_P(PolicyPoolTest, HoldsNothingItself) {
  {
    const AddressTable table = pool_.Build(Entries(GetParam(), 100));
    const AddressTable copy = table;
    const auto policy = pool_.Share(WithTable(GetParam(), 20));
    EXPECT_EQ(pool_.Share(WithTable(GetParam(), 20)), policy);
    EXPECT_NE(pool_.Share(WithTable(GetParam(), 21)), policy);
    EXPECT_EQ(pool_.tables(), 1u);
    EXPECT_EQ(pool_.policies(), 1u);
  }
  EXPECT_EQ(pool_.tables(), 0u);
  EXPECT_EQ(pool_.policies(), 0u);
}

TEST_P(PolicyPoolTest, MayGoBeforeWhatItGaveOut) {
  auto pool = std::make_unique<PolicyPool>();
  const AddressTable table = pool->Build(Entries(GetParam(), 100));
  const auto policy = pool->Share(WithTable(GetParam(), 20));
  pool = nullptr;
  EXPECT_TRUE(table.IsSound());
  EXPECT_EQ(policy->main.tables.size(), 1u);
}

TEST_P(PolicyPoolTest, AnEditIsOneFiltersOwn) {
  std::vector<std::unique_ptr<PolicyStore>> stores;
  for (int i = 0; i < 3; ++i) {
    stores.push_back(Store());
    ASSERT_TRUE(stores[i]->Load(WithTable(GetParam(), 100)).ok());
  }
  EXPECT_EQ(TableOf(*stores[0]).view(), TableOf(*stores[2]).view());
  EXPECT_EQ(stores[0]->policy(), stores[2]->policy());
  const std::vector<TableEntry> more = Entries(GetParam(), 5, 200);
  const uint64_t hash = stores[1]->generation()->hash;
  ASSERT_TRUE(AddAddresses(*stores[0], {"", "bad"}, more).ok());
  EXPECT_EQ(PolicyListing(*stores[0]).Addresses({"", "bad"})->size(), 105u);
  EXPECT_EQ(PolicyListing(*stores[1]).Addresses({"", "bad"})->size(), 100u);
  EXPECT_EQ(stores[1]->generation()->hash, hash);
  EXPECT_TRUE(TableOf(*stores[0]).Contains(more[1].prefix.address));
  EXPECT_FALSE(TableOf(*stores[1]).Contains(more[1].prefix.address));
  EXPECT_EQ(TableOf(*stores[1]).view(), TableOf(*stores[2]).view());
  // The same edit elsewhere makes the same table.
  ASSERT_TRUE(AddAddresses(*stores[2], {"", "bad"}, more).ok());
  EXPECT_EQ(TableOf(*stores[0]).view(), TableOf(*stores[2]).view());
  for (const auto& store : stores) {
    EXPECT_TRUE(CheckInvariants(*store).ok()) << CheckInvariants(*store);
  }
  stores[0]->Poll();
  stores.erase(stores.begin());
  EXPECT_EQ(PolicyListing(*stores[1]).Addresses({"", "bad"})->size(), 105u);
  stores.clear();
  EXPECT_EQ(pool_.tables(), 0u);
  EXPECT_EQ(pool_.policies(), 0u);
}

// Rules are compiled once for all filters that have them; slots are each
// filter's own.
TEST_P(PolicyPoolTest, EqualRulesAreClassifiedOnce) {
  const auto text = [](int port) {
    std::string rules = "anchor in {\n";
    for (int i = 0; i < 20; ++i) {
      absl::StrAppend(&rules, "pass proto tcp to port ", port + i, "\n");
    }
    return rules + "}\n";
  };
  const auto a = Store();
  auto b = Store();
  // So that its slots differ.
  ASSERT_TRUE(b->Load(Parsed("pass proto tcp\npass proto udp\n")).ok());
  ASSERT_TRUE(a->Load(Parsed(text(80))).ok());
  ASSERT_TRUE(b->Load(Parsed(text(80))).ok());
  const auto classifier = [](const PolicyStore& store) {
    return store.generation()->policy->classifier;
  };
  ASSERT_NE(classifier(*a), nullptr);
  EXPECT_EQ(classifier(*a), classifier(*b));
  const InterfaceView port = *interfaces_.AddPort("in0");
  TestPacket packet = Tcp();
  packet.destination_port = 85;
  const PacketInfo info = packet.Info();
  uint32_t slots[2];
  size_t i = 0;
  VerdictCache cache;
  for (const PolicyStore* store : {&*a, &*b}) {
    const EvaluationInput input{
        .packet = info, .interface = port, .received_on = port};
    WorkerCounters& counters =
        const_cast<PolicyStore*>(store)->worker_counters(0);
    const Verdict expected = Evaluate(*store->current(), input, counters);
    const Verdict found = Classify(*store->current(), input, cache, counters);
    EXPECT_EQ(found.rule, expected.rule);
    EXPECT_EQ(found.state.anchor_slot, expected.state.anchor_slot);
    EXPECT_EQ(found.state.rule_slot, expected.state.rule_slot);
    slots[i++] = found.state.anchor_slot;
  }
  EXPECT_NE(slots[0], slots[1]);
  // Interfaces that come are others' classes, and the text is compared whole.
  ASSERT_TRUE(Refresh(*b).ok());
  EXPECT_NE(classifier(*a), classifier(*b));
  ASSERT_TRUE(Refresh(*a).ok());
  EXPECT_EQ(classifier(*a), classifier(*b));
  ASSERT_TRUE(b->Load(Parsed(text(81))).ok());
  EXPECT_NE(classifier(*a), classifier(*b));
  EXPECT_EQ(pool_.classifiers(), 2u);
  b = nullptr;
  EXPECT_EQ(pool_.classifiers(), 1u);
}

TEST_P(PolicyPoolTest, AThousandFiltersCostAboutOneTable) {
  std::vector<std::unique_ptr<PolicyStore>> stores;
  for (int i = 0; i < 1000; ++i) {
    stores.push_back(Store());
    ASSERT_TRUE(stores[i]->Load(WithTable(GetParam(), kEntries)).ok());
    ASSERT_EQ(TableOf(*stores[i]).view(), TableOf(*stores[0]).view());
    ASSERT_EQ(stores[i]->policy(), stores[0]->policy());
  }
  EXPECT_EQ(pool_.tables(), 1u);
  EXPECT_EQ(pool_.policies(), 1u);
}

TEST_P(PolicyPoolTest, ManyThreadsFindTheSame) {
  constexpr int kThreads = 4;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([this] {
      for (uint32_t i = 0; i < 400; ++i) {
        // Let go of at once, so that ends and finds meet.
        const AddressTable a = pool_.Build(Entries(GetParam(), 20, i % 3));
        EXPECT_TRUE(a.IsSound());
        EXPECT_EQ(a.size(), 20u);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(pool_.tables(), 0u);
}

TEST_P(PolicyPoolTest, AStoreCostsWhatItUses) {
  PolicyStore store({.workers = 4, .rule_slots = 65536, .pool = &pool_},
                    &interfaces_, &reclaimer_);
  const size_t empty =
      store.counters().MemoryUse() + store.rule_slots().MemoryUse();
  EXPECT_LE(empty, 16 * LazyMemory::kPage);
  std::string text;
  for (int i = 0; i < 100; ++i) {
    absl::StrAppend(&text, "pass in proto tcp to port ", i + 1, "\n");
  }
  ASSERT_TRUE(store.Load(Parsed(text)).ok());
  const uint32_t last = PolicyListing(store).AllRules().back().rule.slot;
  store.worker_counters(3).rule(last).packets[0].Add(5);
  EXPECT_EQ(PolicyListing(store).AllRules().back().counts.packets[0], 5u);
  EXPECT_LE(store.counters().MemoryUse() + store.rule_slots().MemoryUse(),
            empty + 32 * LazyMemory::kPage);
}

TEST_P(PolicyPoolTest, CountersGoOnFromTheGreater) {
  const auto store = Store();
  ASSERT_TRUE(store->Load(WithTable(GetParam(), 20)).ok());
  const uint32_t slot = PolicyListing(*store).AllRules()[0].rule.slot;
  RuleCounters& rule = store->worker_counters(1).rule(slot);
  rule.packets[0].Add(7);
  rule.bytes[0].Add(700);
  const RuleCounts least = {.evaluations = 9, .packets = {5, 6},
                            .bytes = {900, 1}, .states_created = 2};
  // Twice is once.
  for (int i = 0; i < 2; ++i) {
    store->rule_slots().Raise(slot, least);
    EXPECT_EQ(store->rule_slots().Counts(slot),
              (RuleCounts{.evaluations = 9, .packets = {7, 6},
                          .bytes = {900, 1}, .states_created = 2}));
  }
  rule.packets[0].Add(1);
  EXPECT_EQ(store->rule_slots().Counts(slot).packets[0], 8u);
  EXPECT_EQ(store->rule_slots().Counts(slot).states, 0u);
}

}  // namespace
}  // namespace sluice
