// What `max-pkt-rate` and `once` have counted, into another filter.
#include <gtest/gtest.h>

#include <algorithm>

#include "pftable/engine/generation.h"
#include "tests/unit/restore/import_node.h"

namespace sluice {
namespace {

constexpr char kLivesRules[] =
    "pass in proto udp max-pkt-rate 3/10\n"
    "block in proto tcp from any to port 1 once\n"
    "block in proto tcp from any to port 2 once\n";

struct LivesNode : ImportNode {
  LivesNode(Family family, const char* rules) : ImportNode(family) {
    const absl::Status loaded = LoadText(store, rules);
    EXPECT_TRUE(loaded.ok()) << loaded;
  }
  const CompiledRule& rule(size_t i) const {
    return store.current()->rules().at(i);
  }
  uint32_t Rate() {
    return rule(0).record->packets.Value(rule(0).record->packet_rate,
                                         shard().now);
  }
};

class ImportLivesTest : public testing::TestWithParam<Family> {};

INSTANTIATE_TEST_SUITE_P(Families, ImportLivesTest,
                         testing::Values(Family::kIpv4, Family::kIpv6),
                         [](const auto& info) {
                           return info.param == Family::kIpv4 ? "v4" : "v6";
                         });

TEST_P(ImportLivesTest, RatesAndExpiryGoAlong) {
  LivesNode from(GetParam(), kLivesRules);
  from.shard().values.rule_slot = from.rule(0).slot;
  from.shard().values.actions = from.rule(0).actions;
  ASSERT_EQ(from.shard().In("udp $C:1 > $S:53").kind, Outcome::kCreated);
  for (int i = 0; i < 3; ++i) {
    static_cast<void>(from.rule(0).record->AcquirePacket(from.shard().now));
  }
  ASSERT_TRUE(from.rule(1).record->EndLife(from.rule(1).once));
  const Snapshot snapshot = from.Export();
  ASSERT_EQ(snapshot.rule_counters.size(), 3u);
  EXPECT_EQ(std::count_if(snapshot.rule_counters.begin(),
                          snapshot.rule_counters.end(),
                          [](const auto& c) { return c.expired; }),
            1);
  // It is no action that packets see.
  ASSERT_EQ(snapshot.parents.size(), 1u);
  EXPECT_TRUE(snapshot.parents[0].binding.actions.empty());

  LivesNode to(GetParam(), "pass\n");
  const auto report = to.Import(snapshot, WithPolicy(true));
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(to.Rate(), 3000u);
  EXPECT_TRUE(to.rule(1).expired());
  EXPECT_FALSE(to.rule(2).expired());
  const Snapshot again = to.Export();
  EXPECT_EQ(again.rule_counters, snapshot.rule_counters);
  EXPECT_EQ(again.parents, snapshot.parents);
  // Its state counts for the rule that is here.
  StateTable& table = *to.shard().table;
  uint32_t cursor = 0;
  StateIndex state = kNoState;
  table.entries().Visit(&cursor, 4096, [&](StateIndex at) { state = at; });
  ASSERT_NE(state, kNoState);
  EXPECT_FALSE(table.CountForRate(state, Direction::kIn, to.shard().now));
  EXPECT_EQ(to.Rate(), 4000u);
  EXPECT_TRUE(table.CountForRate(state, Direction::kOut, to.shard().now));
  EXPECT_EQ(to.Rate(), 4000u);
}

// A load of the same text is a new life, in the filter that it came from, too.
TEST_P(ImportLivesTest, ALoadBeginsAnew) {
  LivesNode node(GetParam(), kLivesRules);
  ASSERT_TRUE(node.rule(1).record->EndLife(node.rule(1).once));
  ASSERT_TRUE(node.rule(1).expired());
  ASSERT_TRUE(LoadText(node.store, kLivesRules).ok());
  EXPECT_FALSE(node.rule(1).expired());
}

TEST_P(ImportLivesTest, EachAloneIsWritten) {
  LivesNode from(GetParam(), kLivesRules);
  Snapshot snapshot = from.Export();
  ASSERT_EQ(snapshot.rule_counters.size(), 3u);
  snapshot.rule_counters[0].packet_rate = 7;
  snapshot.rule_counters[1].expired = true;
  const auto bytes = WriteSnapshot(snapshot);
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  const auto read = ReadSnapshot(*bytes);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->snapshot.rule_counters, snapshot.rule_counters);
}

}  // namespace
}  // namespace sluice
