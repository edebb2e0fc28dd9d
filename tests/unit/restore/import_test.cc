// A filter's snapshot into another filter.
#include "restore/import.h"

#include <gtest/gtest.h>

#include "pftable/parser.h"
#include "pftable/reclaimer.h"
#include "restore/export.h"
#include "restore/snapshot_writer.h"
#include "tests/unit/conntrack/shard.h"

namespace sluice {
namespace {

constexpr char kRules[] =
    "set limit states 5000\n"
    "table <bad> persist { 10.9.0.0/16, !10.9.1.0/24, 2001:db8:9::/48 }\n"
    "block in from <bad>\n"
    "pass in proto udp keep state (udp.multiple 77)\n"
    "pass out keep state\n"
    "anchor inner {\n pass in proto udp to port 69\n}\n";

ImportOptions With(bool policy, OrphanPolicy orphans = OrphanPolicy::kKeep) {
  ImportOptions options;
  options.policy = policy;
  options.orphans = orphans;
  return options;
}

// A filter with a worker.
struct Node {
  explicit Node(Family family, const char* rules = kRules)
      : store({.workers = 1, .rule_slots = 1024, .table_slots = 64},
              &interfaces, &reclaimer),
        shard(family) {
    ParseInput input;
    input.text = rules;
    ParseResult parsed = ParsePolicy(std::move(input));
    EXPECT_TRUE(parsed.ok()) << FormatDiagnostics(parsed.diagnostics);
    EXPECT_TRUE(store.Load(std::move(parsed.policy)).ok());
    if (store.ListAllRules().size() > 1) {
      shard.values.rule_slot = store.ListAllRules().at(1).rule.slot;
      shard.values.flags = kStateRuleTimeouts;
    }
  }

  Snapshot Export() {
    Snapshot snapshot;
    snapshot.header.id[0] = 1;
    snapshot.meta = {.filter = "main", .creator = "test"};
    StateExporter exporter(&store, &interfaces);
    uint32_t cursor = 0;
    while (shard.table->Visit(&cursor, 16, [&](StateIndex state) {
      exporter.Add(shard.Record(state));
    })) {
    }
    std::vector<ExpectationRecord> expected;
    cursor = 0;
    while (shard.expectations->List(&cursor, 64, shard.now, &expected)) {
    }
    for (const ExpectationRecord& record : expected) exporter.Add(record);
    exporter.Finish(&snapshot);
    EXPECT_TRUE(ExportPolicy(&store, &snapshot).ok());
    return snapshot;
  }
  absl::StatusOr<RestoreReport> Import(const Snapshot& snapshot,
                                       ImportOptions options = {}) {
    const auto bytes = WriteSnapshot(snapshot);
    if (!bytes.ok()) return bytes.status();
    return ImportBytes(*bytes, std::move(options));
  }
  absl::StatusOr<RestoreReport> ImportBytes(std::span<const uint8_t> bytes,
                                            ImportOptions options = {}) {
    StateImporter importer({.store = &store,
                            .interfaces = &interfaces,
                            .expectations = shard.expectations,
                            .last_id = shard.table->last_id()},
                           std::move(options));
    absl::Status status = importer.Prepare(bytes);
    if (!status.ok()) return status;
    ReserveResult reserved;
    do {
      reserved = shard.table->Reserve(importer.arena(0), 4);
    } while (reserved == ReserveResult::kMore);
    status = reserved == ReserveResult::kReady
                 ? importer.Tie()
                 : absl::ResourceExhaustedError("no room in the shard");
    if (status.ok() && meanwhile) meanwhile();
    if (status.ok()) status = importer.PublishPolicy();
    if (!status.ok()) {
      while (!shard.table->Cancel(importer.arena(0), 4)) {
      }
      return status;
    }
    while (!shard.table->Commit(importer.arena(0), shard.now, 4)) {
    }
    return importer.Finish(shard.now);
  }

  InterfaceRegistry interfaces;
  ImmediateReclaimer reclaimer;
  PolicyStore store;
  Shard shard;
  std::function<void()> meanwhile;  // between the phases
};

class ImportTest : public testing::TestWithParam<Family> {
 protected:
  ImportTest() : from_(GetParam()) {
    from_.shard.In("udp $C:5000 > $S:69 tftp rrq \"f\" octet");
    from_.shard.Out("udp $S:3000 > $C:5000 tftp oack blksize 1024");
    from_.shard.In("udp $C:5000 > $S:69 tftp rrq \"f\" octet");
    from_.shard.In("tcp $C:4000 > $S:80 S seq 1000 win 4000 <wscale 2>");
    from_.shard.Out(
        "tcp $S:80 > $C:4000 SA seq 9000 ack 1001 win 4000 <wscale 3>");
    EXPECT_EQ(from_.shard.table->size(), 3u);
    from_.shard.Advance(3000);
    EXPECT_EQ(from_.shard.table->size(), 3u);
    snapshot_ = from_.Export();
  }
  // What a refused import may not change.
  void ExpectUntouched(Node& node, const Snapshot& before) {
    EXPECT_EQ(node.Export(), before);
    EXPECT_EQ(node.shard.budget.used(), node.shard.table->size());
    EXPECT_TRUE(node.store.CheckInvariants().ok());
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
  const auto report = to.Import(snapshot_, With(true));
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->states_imported, 3u);
  EXPECT_EQ(report->states_orphaned, 0u);
  Snapshot again = to.Export();
  // Generations are counted by each filter for itself.
  again.header.generation = snapshot_.header.generation;
  again.rule_counters = snapshot_.rule_counters;
  again.table_counters = snapshot_.table_counters;
  EXPECT_EQ(again.header, snapshot_.header);
  EXPECT_EQ(again.limits, snapshot_.limits);
  EXPECT_EQ(again.tables, snapshot_.tables);
  EXPECT_EQ(again.rulesets, snapshot_.rulesets);
  EXPECT_EQ(again.parents, snapshot_.parents);
  EXPECT_EQ(again.children, snapshot_.children);
  EXPECT_EQ(again.expectations, snapshot_.expectations);
}

TEST_P(ImportTest, ATransferGoesOn) {
  Node to(GetParam());
  ASSERT_TRUE(to.Import(snapshot_).ok());
  EXPECT_EQ(to.shard.In("udp $C:5000 > $S:3000 tftp ack 0").kind,
            Outcome::kPassed);
  EXPECT_EQ(to.shard.Out("udp $S:3001 > $C:5000 tftp data 1 512").kind,
            Outcome::kChild);
}

TEST_P(ImportTest, IdsInUseAreGivenAnew) {
  Node to(GetParam());
  to.shard.In("udp $A:1 > $B:2");
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
  EXPECT_EQ(keeps.shard.table->size(), 3u);
  Node drops(GetParam(), "pass\n");
  report = drops.Import(snapshot_, With(false, OrphanPolicy::kDrop));
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->states_orphaned, 3u);
  EXPECT_EQ(drops.shard.table->size(), 0u);
  EXPECT_TRUE(drops.shard.expectations->empty());
}

TEST_P(ImportTest, PoisonedParentsAreRefused) {
  Node to(GetParam());
  to.shard.In("udp $A:1 > $B:2");
  const Snapshot before = to.Export();
  const uint64_t child = snapshot_.children[0].id;
  // Itself, younger, unknown.
  for (const uint64_t parent : {child, child + 0x100, uint64_t{0x42}}) {
    Snapshot bad = snapshot_;
    bad.children[0].parent = parent;
    SnapshotWriter writer(bad.header);
    writer.Begin(SectionKind::kMeta);
    writer.Add(bad.meta);
    writer.End();
    for (const auto kind :
         {SectionKind::kLimits, SectionKind::kTables, SectionKind::kRules,
          SectionKind::kParentStates, SectionKind::kChildStates,
          SectionKind::kExpectations, SectionKind::kCounters}) {
      writer.Begin(kind);
      if (kind == SectionKind::kParentStates) {
        for (const auto& state : bad.parents) writer.Add(state);
      } else if (kind == SectionKind::kChildStates) {
        for (const auto& state : bad.children) writer.Add(state);
      }
      writer.End();
    }
    const auto report = to.ImportBytes(writer.Finish());
    EXPECT_EQ(report.status().code(), absl::StatusCode::kInvalidArgument)
        << report.status();
    EXPECT_NE(report.status().message().find("parent"), std::string::npos)
        << report.status();
    ExpectUntouched(to, before);
  }
}

TEST_P(ImportTest, WithoutRoomNothingChanges) {
  Node to(GetParam());
  to.shard.In("udp $A:1 > $B:2");
  const Snapshot before = to.Export();
  to.shard.budget.SetLimit(3);
  EXPECT_FALSE(to.Import(snapshot_, With(true)).ok());
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
  EXPECT_EQ(to.Import(snapshot_, With(true)).status().code(),
            absl::StatusCode::kAborted);
  EXPECT_EQ(to.shard.table->size(), 0u);
  EXPECT_EQ(to.shard.budget.used(), 0u);
  EXPECT_TRUE(to.shard.expectations->empty());
  EXPECT_EQ(to.store.ListAllRules().size(), 1u);
}

TEST_P(ImportTest, LiveStatesWin) {
  Node to(GetParam());
  to.meanwhile = [&] {
    to.shard.In("tcp $C:4000 > $S:80 S seq 1000 win 4000 <wscale 2>");
  };
  const auto report = to.Import(snapshot_);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->states_merged, 1u);
  EXPECT_EQ(report->states_imported, 2u);
}

}  // namespace
}  // namespace sluice
