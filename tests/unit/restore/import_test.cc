// A filter's snapshot into another filter.
#include "pftable/store/invariants.h"
#include "pftable/store/policy_listing.h"
#include "pftable/store/table_edits.h"
#include "restore/import.h"

#include <gtest/gtest.h>

#include "tests/unit/restore/import_node.h"

namespace sluice {
namespace {

constexpr char kImportRules[] =
    "set limit states 5000\n"
    "table <bad> persist { 10.9.0.0/16, !10.9.1.0/24, 2001:db8:9::/48 }\n"
    "block in from <bad>\n"
    "pass in proto udp keep state (udp.multiple 77)\n"
    "pass out keep state\n"
    "anchor inner {\n pass in proto udp to port 69\n}\n";

// A filter with a worker.
struct Node : ImportNode {
  explicit Node(Family family, const char* rules = kImportRules,
                uint8_t workers = 1)
      : ImportNode(family, workers) {
    const absl::Status loaded = LoadText(store, rules);
    EXPECT_TRUE(loaded.ok()) << loaded;
    if (PolicyListing(store).AllRules().size() > 1) {
      shard().values.rule_slot =
          PolicyListing(store).AllRules().at(1).rule.slot;
      shard().values.flags = kStateRuleTimeouts;
    }
  }
};

class ImportTest : public testing::TestWithParam<Family> {
 protected:
  ImportTest() : from_(GetParam()) {
    from_.shard().In("udp $C:5000 > $S:69 tftp rrq \"f\" octet");
    from_.shard().Out("udp $S:3000 > $C:5000 tftp oack blksize 1024");
    from_.shard().In("udp $C:5000 > $S:69 tftp rrq \"f\" octet");
    from_.shard().In("tcp $C:4000 > $S:80 S seq 1000 win 4000 <wscale 2>");
    from_.shard().Out(
        "tcp $S:80 > $C:4000 SA seq 9000 ack 1001 win 4000 <wscale 3>");
    EXPECT_EQ(from_.shard().table->size(), 3u);
    from_.shard().Advance(3000);
    EXPECT_EQ(from_.shard().table->size(), 3u);
    snapshot_ = from_.Export();
  }
  // What a refused import may not change.
  void ExpectUntouched(Node& node, const Snapshot& before) {
    EXPECT_EQ(node.Export(), before);
    EXPECT_EQ(node.shard().budget.used(), node.shard().table->size());
    EXPECT_TRUE(CheckInvariants(node.store).ok());
  }

  Node from_;
  Snapshot snapshot_;
};

INSTANTIATE_TEST_SUITE_P(Families, ImportTest,
                         testing::Values(Family::kIpv4, Family::kIpv6),
                         [](const auto& info) {
                           return info.param == Family::kIpv4 ? "v4" : "v6";
                         });

TEST_P(ImportTest, ExportedAgainItIsTheSame) {
  ASSERT_EQ(snapshot_.parents.size(), 2u);
  ASSERT_EQ(snapshot_.children.size(), 1u);
  ASSERT_EQ(snapshot_.expectations.size(), 1u);
  Node to(GetParam(), "pass\n");
  const auto report = to.Import(snapshot_, WithPolicy(true));
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->states_imported, 3u);
  EXPECT_EQ(report->states_orphaned, 0u);
  Snapshot again = to.Export();
  // Generations are counted by each filter for itself.
  again.header.generation = snapshot_.header.generation;
  EXPECT_EQ(again.header, snapshot_.header);
  EXPECT_EQ(again.limits, snapshot_.limits);
  EXPECT_EQ(again.tables, snapshot_.tables);
  EXPECT_EQ(again.rulesets, snapshot_.rulesets);
  EXPECT_EQ(again.parents, snapshot_.parents);
  EXPECT_EQ(again.children, snapshot_.children);
  EXPECT_EQ(again.expectations, snapshot_.expectations);
  EXPECT_EQ(again.rule_counters, snapshot_.rule_counters);
  EXPECT_EQ(again.table_counters, snapshot_.table_counters);
  EXPECT_EQ(*WriteSnapshot(again), *WriteSnapshot(snapshot_));
}

TEST_P(ImportTest, ATransferGoesOn) {
  Node to(GetParam());
  ASSERT_TRUE(to.Import(snapshot_).ok());
  EXPECT_EQ(to.shard().In("udp $C:5000 > $S:3000 tftp ack 0").kind,
            Outcome::kPassed);
  EXPECT_EQ(to.shard().Out("udp $S:3001 > $C:5000 tftp data 1 512").kind,
            Outcome::kChild);
}

// Known by its port: it is followed from its next line on, whatever its
// numbers are. What belonged to it lives on for itself.
TEST_P(ImportTest, AnFtpConnectionGoesOn) {
  const bool v4 = GetParam() == Family::kIpv4;
  const std::string named =
      v4 ? "PORT 10,0,0,2,8,0\\r\\n" : "EPRT |2|2001:db8::2|2048|\\r\\n";
  Node from(GetParam());
  from.shard().In("tcp $C:4000 > $S:21 S seq 1000");
  from.shard().Out("tcp $S:21 > $C:4000 SA seq 9000 ack 1001");
  from.shard().In("tcp $C:4000 > $S:21 A seq 1001 ack 9001");
  from.shard().In("tcp $C:4000 > $S:21 PA seq 1001 ack 9001 data \"" + named +
                  "\"");
  ASSERT_EQ(from.shard().Out("tcp $S:20 > $C:2048 S seq 1").kind,
            Outcome::kChild);
  const Snapshot snapshot = from.Export();
  Node to(GetParam());
  ASSERT_TRUE(to.Import(snapshot).ok());
  EXPECT_EQ(to.states(), 2u);
  EXPECT_EQ(to.shard().In("tcp $C:2048 > $S:20 SA seq 5 ack 2").kind,
            Outcome::kPassed);
  const std::string next = std::to_string(v4 ? 1020 : 1028);
  EXPECT_EQ(to.shard().In("tcp $C:4000 > $S:21 PA seq " + next +
                          " ack 9001 data \"" + named + "\"").kind,
            Outcome::kPassed);
  EXPECT_EQ(to.shard().Out("tcp $S:30 > $C:2048 S seq 1").kind,
            Outcome::kChild);
}

TEST_P(ImportTest, IdsInUseAreGivenAnew) {
  Node to(GetParam());
  to.shard().In("udp $A:1 > $B:2");
  ASSERT_TRUE(to.Import(snapshot_).ok());
  const Snapshot again = to.Export();
  ASSERT_EQ(again.parents.size(), 3u);
  ASSERT_EQ(again.children.size(), 1u);
  EXPECT_EQ(again.children[0].parent, again.parents[1].id);
  EXPECT_EQ(again.expectations.size(), 1u);
}

TEST_P(ImportTest, OrphansAreKeptOrDropped) {
  Node keeps(GetParam(), "pass\n");
  auto report = keeps.Import(snapshot_);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->states_orphaned, 3u);
  EXPECT_EQ(keeps.shard().table->size(), 3u);
  Node drops(GetParam(), "pass\n");
  report = drops.Import(snapshot_, WithPolicy(false, OrphanPolicy::kDrop));
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->states_orphaned, 3u);
  EXPECT_EQ(drops.shard().table->size(), 0u);
  EXPECT_TRUE(drops.shard().expectations->empty());
}

// States first, and the ruleset that they come from later: by an import, or
// because somebody loads it.
TEST_P(ImportTest, RulesComeToStatesThatWereThereBefore) {
  constexpr char kRules[] =
      "block\n"
      "pass in proto udp keep state (max 7, udp.multiple 77) label \"boot\"\n";
  Node from(GetParam(), kRules);
  from.shard().values.flags = kStateRuleTimeouts | kStateRuleLimit;
  from.shard().In("udp $A:1 > $B:2");
  from.shard().In("udp $A:2 > $B:2");
  ASSERT_EQ(from.shard().table->size(), 2u);
  const Snapshot snapshot = from.Export();
  for (const bool load : {false, true}) {
    Node to(GetParam(), "pass\n");
    ASSERT_TRUE(to.Import(snapshot).ok());
    ASSERT_EQ(to.shard().table->size(), 2u);
    if (load) {
      ASSERT_TRUE(LoadText(to.store, kRules).ok());
    } else {
      const auto report = to.Import(snapshot, WithPolicy(true));
      ASSERT_TRUE(report.ok()) << report.status();
      EXPECT_EQ(report->states_merged, 2u);
      EXPECT_EQ(report->states_orphaned, 0u);
    }
    RuleSlots& slots = to.store.rule_slots();
    const std::vector<uint32_t> labelled = slots.WithLabel("boot");
    ASSERT_EQ(labelled.size(), 1u);
    EXPECT_EQ(slots.Info(labelled[0])->identity.size(), 32u);
    for (uint32_t cursor = 0, more = 1; more != 0;) {
      more = to.shard().table->entries().Visit(
          &cursor, 16, [&](StateIndex state) {
            EXPECT_EQ(to.shard().Record(state).values.rule_slot, labelled[0]);
          });
    }
    EXPECT_EQ(slots.record(labelled[0]).state_limit(), 7u);
    const Snapshot again = to.Export();
    EXPECT_EQ(again.parents.size(), 2u);
    EXPECT_EQ(again.parents[0].binding.rule, snapshot.parents[0].binding.rule);
  }
}

TEST_P(ImportTest, WithoutRoomNothingChanges) {
  Node to(GetParam());
  to.shard().In("udp $A:1 > $B:2");
  const Snapshot before = to.Export();
  to.shard().budget.SetLimit(3);
  EXPECT_FALSE(to.Import(snapshot_, WithPolicy(true)).ok());
  ExpectUntouched(to, before);
  ImportOptions few;
  few.limits.states = 2;
  EXPECT_EQ(to.Import(snapshot_, few).status().code(),
            absl::StatusCode::kResourceExhausted);
  ExpectUntouched(to, before);
}

TEST_P(ImportTest, APolicyThatMovedIsNotReplaced) {
  Node to(GetParam());
  to.meanwhile = [&] {
    ParseInput input;
    input.text = "pass\n";
    ASSERT_TRUE(to.store.Load(ParsePolicy(std::move(input)).policy).ok());
  };
  EXPECT_EQ(to.Import(snapshot_, WithPolicy(true)).status().code(),
            absl::StatusCode::kAborted);
  EXPECT_EQ(to.shard().table->size(), 0u);
  EXPECT_EQ(to.shard().budget.used(), 0u);
  EXPECT_TRUE(to.shard().expectations->empty());
  EXPECT_EQ(PolicyListing(to.store).AllRules().size(), 1u);
}

// With rules of its own, a filter gets what tables had been given at run time.
TEST_P(ImportTest, RunTimeEntriesGoIntoTablesThatAreHere) {
  const auto entry = [](const char* text, bool negated = false) {
    return TableEntry{.prefix = *ParsePrefix(text), .negated = negated};
  };
  const TableKey bad = {.anchor = "", .name = "bad"};
  const std::vector<TableEntry> added = {entry("192.0.2.7/32"),
                                         entry("2001:db8::7/128", true)};
  absl::StatusOr<StagedEdit> edit = StageAddAddresses(from_.store, bad, added);
  ASSERT_TRUE(edit.ok() &&
              from_.store.Publish(std::move(edit->generation)).ok());
  const TableEntry gone = entry("10.9.0.0/16");
  edit = StageDeleteAddresses(from_.store, bad, std::span(&gone, 1));
  ASSERT_TRUE(edit.ok() &&
              from_.store.Publish(std::move(edit->generation)).ok());
  const Snapshot snapshot = from_.Export();
  ImportOptions options;
  options.run_time_tables = true;
  const auto entries_of = [&](Node& node) {
    return PolicyListing(node.store).AddressesAfter(bad, nullptr, 100);
  };
  {
    Node to(GetParam(), "table <bad> persist { 10.1.0.0/16, 192.0.2.7 }\n"
                        "block in from <bad>\npass in proto udp\n");
    ASSERT_TRUE(to.Import(snapshot, options).ok());
    const auto entries = entries_of(to);
    ASSERT_TRUE(entries.ok());
    // Its own, and what is new of the others; what the other ruleset had
    // listed is not.
    ASSERT_EQ(entries->size(), 3u);
    EXPECT_TRUE((*entries)[2].negated);
    EXPECT_EQ(to.shard().table->size(), 3u);
    EXPECT_TRUE(CheckInvariants(to.store).ok());
  }
  // Neither made nor changed where the ruleset does not want it.
  for (const char* rules :
       {"pass in proto udp\n",
        "table <bad> const { 10.1.0.0/16 }\nblock in from <bad>\n"}) {
    Node to(GetParam(), rules);
    ASSERT_TRUE(to.Import(snapshot, options).ok());
    const auto entries = entries_of(to);
    EXPECT_EQ(entries.ok() ? entries->size() : 0,
              std::string(rules).find("const") == std::string::npos ? 0u : 1u);
  }
  // Nothing is half done if somebody edits meanwhile.
  Node to(GetParam(), "table <bad> persist\nblock in from <bad>\n");
  to.meanwhile = [&] {
    const TableEntry other = entry("198.51.100.1/32");
    auto mine = StageAddAddresses(to.store, bad, std::span(&other, 1));
    ASSERT_TRUE(mine.ok() && to.store.Publish(std::move(mine->generation)).ok());
  };
  EXPECT_EQ(to.Import(snapshot, options).status().code(),
            absl::StatusCode::kAborted);
  EXPECT_EQ(entries_of(to)->size(), 1u);
  EXPECT_EQ(to.shard().table->size(), 0u);
}

TEST_P(ImportTest, LiveStatesWin) {
  Node to(GetParam());
  to.meanwhile = [&] {
    to.shard().In("tcp $C:4000 > $S:80 S seq 1000 win 4000 <wscale 2>");
  };
  const auto report = to.Import(snapshot_);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->states_merged, 1u);
  EXPECT_EQ(report->states_imported, 2u);
}

}  // namespace
}  // namespace sluice
