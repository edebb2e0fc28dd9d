// What `max-pkt-rate` and `once` have counted, into another filter.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pftable/engine/generation.h"
#include "pftable/language/parser.h"
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

// What was in the file of `set fingerprints` is in the snapshot, which is read
// where there is no file.
TEST_P(ImportLivesTest, FingerprintsGoAlong) {
  LivesNode from(GetParam(), kLivesRules);
  ParseInput input;
  input.text =
      "set fingerprints \"/some.os\"\n"
      "pass in proto tcp from any os \"odd 1.1\"\n"
      "pass in proto tcp from any os \"Odd\"\n";
  input.load_file = [](std::string_view, size_t) {
    return std::string("%8192:64:1:*:M*,N,W%2:Odd:1.0-1.2::odd # one\n"
                       "S4:64:0:48:.:@Even:::even\n");
  };
  ParseResult parsed = ParsePolicy(std::move(input));
  ASSERT_TRUE(parsed.ok()) << FormatDiagnostics(parsed.diagnostics);
  ASSERT_TRUE(from.store.Load(std::move(parsed.policy)).ok());
  const Snapshot snapshot = from.Export();
  EXPECT_EQ(snapshot.rulesets.at(0).options,
            (std::vector<std::string>{
                "fingerprints \"/some.os\"",
                "fingerprint \"%8192:64:1:*:M*,N,W%2:Odd:1.0-1.2::Odd\"",
                "fingerprint \"S4:64:0:48:.:@Even:::Even\""}));

  LivesNode to(GetParam(), "pass\n");
  const auto report = to.Import(snapshot, WithPolicy(true));
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(to.store.policy()->fingerprints, from.store.policy()->fingerprints);
  EXPECT_EQ(to.store.generation()->hash, from.store.generation()->hash);
  EXPECT_EQ(to.Export().rulesets, snapshot.rulesets);
  EXPECT_NE(to.rule(0).os, 0);
  EXPECT_NE(to.store.current()->policy->fingerprints, nullptr);

  // Not in canonical form, in no file's place, of no system.
  for (const char* const wrong :
       {"fingerprint \"S4:64:0:48:.:@Even:::something\"",
        "fingerprint \"S4:64:0:48:.\"", "fingerprint \"\""}) {
    Snapshot other = snapshot;
    other.rulesets[0].options[1] = wrong;
    EXPECT_FALSE(to.Import(other, WithPolicy(true)).ok()) << wrong;
  }
  Snapshot without = snapshot;
  without.rulesets[0].options.erase(without.rulesets[0].options.begin());
  EXPECT_FALSE(to.Import(without, WithPolicy(true)).ok());
  Snapshot unnamed = snapshot;
  unnamed.rulesets[0].options.erase(unnamed.rulesets[0].options.begin() + 1);
  EXPECT_FALSE(to.Import(unnamed, WithPolicy(true)).ok());
}

}  // namespace
}  // namespace sluice
