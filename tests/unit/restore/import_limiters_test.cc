// States that count for limiters, into another filter.
#include <gtest/gtest.h>

#include "pftable/engine/limiters.h"
#include "pftable/store/policy_listing.h"
#include "tests/unit/restore/import_node.h"

namespace sluice {
namespace {

constexpr char kLimitedRules[] =
    "set limit states 5000\n"
    "state limiter \"all\" id 4 limit 9 rate 7/8\n"
    "source limiter \"each\" id 5 entries 3 limit 2 inet mask 24 "
    "inet6 mask 64\n"
    "pass in proto udp state limiter \"all\" source limiter \"each\" (block)\n";

struct LimitedNode : ImportNode {
  LimitedNode(Family family, const char* rules)
      : ImportNode(family),
        sources(*SourceNodes::Build(
            {.capacity = 64, .secret = HashSecret::FromSeed(4)},
            &reclaimer)) {
    const absl::Status loaded = LoadText(store, rules);
    EXPECT_TRUE(loaded.ok()) << loaded;
    shard().table->SetSourceNodes(sources.get());
    StateTemplate& values = shard().values;
    values.rule_slot = PolicyListing(store).AllRules().at(0).rule.slot;
    if (store.limiters() == nullptr) return;
    values.state_limiter = 4;
    values.source_limiter = 5;
  }
  ~LimitedNode() {
    uint32_t cursor = 0;
    shard().table->entries().Visit(&cursor, 4096, [&](StateIndex state) {
      shard().table->Remove(state);
    });
    EXPECT_EQ(store.limiters()->states[4].in_use(), 0u);
    EXPECT_EQ(store.limiters()->sources[5].states(), 0u);
  }
  std::unique_ptr<SourceNodes> sources;
};

class ImportLimitersTest : public testing::TestWithParam<Family> {};

INSTANTIATE_TEST_SUITE_P(Families, ImportLimitersTest,
                         testing::Values(Family::kIpv4, Family::kIpv6),
                         [](const auto& info) {
                           return info.param == Family::kIpv4 ? "v4" : "v6";
                         });

TEST_P(ImportLimitersTest, StatesCountWhereTheyCome) {
  LimitedNode from(GetParam(), kLimitedRules);
  ASSERT_EQ(from.shard().In("udp $C:1 > $S:53").kind, Outcome::kCreated);
  ASSERT_EQ(from.shard().In("udp $X:1 > $S:53").kind, Outcome::kCreated);
  // One network has all of them.
  ASSERT_EQ(from.shard().In("udp $A:1 > $S:53").kind, Outcome::kRefused);
  const Snapshot snapshot = from.Export();
  ASSERT_EQ(snapshot.parents.size(), 2u);
  EXPECT_EQ(snapshot.parents[0].state_limiter, 4);
  EXPECT_EQ(snapshot.parents[0].source_limiter, 5);

  LimitedNode to(GetParam(), "pass\n");
  ASSERT_EQ(to.store.limiters(), nullptr);
  const auto report = to.Import(snapshot, WithPolicy(true));
  ASSERT_TRUE(report.ok()) << report.status();
  Limiters& limiters = *to.store.limiters();
  EXPECT_TRUE(limiters.states[4].defined());
  EXPECT_EQ(limiters.states[4].in_use(), 2u);
  EXPECT_EQ(limiters.states[4].limit(), 9u);
  EXPECT_EQ(limiters.states[4].rate(), (RateLimit{.count = 7, .seconds = 8}));
  EXPECT_EQ(limiters.sources[5].states(), 2u);
  EXPECT_EQ(limiters.sources[5].sources(), 1u);
  // They were admitted elsewhere.
  EXPECT_EQ(limiters.states[4].counts().admitted, 0u);
  EXPECT_EQ(to.Export().rulesets, snapshot.rulesets);
  EXPECT_EQ(to.Export().parents, snapshot.parents);
  to.shard().values.state_limiter = 4;
  to.shard().values.source_limiter = 5;
  EXPECT_EQ(to.shard().In("udp $A:1 > $S:53").kind, Outcome::kRefused);
}

}  // namespace
}  // namespace sluice
