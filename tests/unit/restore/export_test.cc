#include "pftable/store/policy_listing.h"
#include "restore/export.h"

#include <gmock/gmock.h>

#include "restore/snapshot_reader.h"
#include "restore/snapshot_writer.h"
#include "tests/unit/restore/whole_snapshot.h"
#include "tests/support/table_changes.h"
#include "tests/unit/pftable/engine/engine_fixture.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

class ExportTest : public EngineTest {
 protected:
  ExportTest() {
    snapshot_.header.id[0] = 1;
    snapshot_.meta = {.filter = "main", .creator = "test"};
  }

  // A UDP flow in its middle.
  StateRecord Flow(StateId id, uint16_t port) {
    StateRecord record;
    record.id = id;
    record.family = Family::kIpv4;
    record.proto = protocol::kUdp;
    record.address = {*ParseAddress("10.0.0.2"), *ParseAddress("10.0.0.1")};
    record.port = {port, 69};
    record.phase = {2, 2};
    record.packets = {3, 4};
    record.timeout = Timeout::kUdpMultiple;
    record.age = 500;
    record.idle = 20;
    record.expires_in = 59980;
    return record;
  }
  void ExpectReadable() {
    const auto bytes = WriteSnapshot(snapshot_);
    ASSERT_TRUE(bytes.ok()) << bytes.status();
    const auto read = ReadSnapshot(*bytes);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(read->snapshot, snapshot_);
  }

  Snapshot snapshot_;
};

TEST_F(ExportTest, APolicyWithTablesAndAnchors) {
  ASSERT_TRUE(Load("set limit states 5000\n"
                   "table <bad> persist { 10.0.0.0/8, !10.1.0.0/16, "
                   "2001:db8::/32 }\n"
                   "block in from <bad>\n"
                   "pass out keep state\n"
                   "pass out keep state\n"
                   "anchor inner {\n pass in proto udp to port 69\n}\n")
                  .ok());
  const TableEntry added = {.prefix = *ParsePrefix("192.0.2.0/24")};
  ASSERT_TRUE(AddAddresses(*store_, {"", "bad"}, {&added, 1}).ok());
  ASSERT_TRUE(ExportPolicy(store_.get(), 0, &snapshot_).ok());
  ExpectReadable();
  ASSERT_THAT(snapshot_.tables, SizeIs(1));
  const SnapshotTable& table = snapshot_.tables[0];
  EXPECT_EQ(table.flags, kSnapshotTablePersist | kSnapshotTableActive);
  ASSERT_THAT(table.entries, SizeIs(4));
  EXPECT_EQ(table.entries[0].flags, 0);
  EXPECT_EQ(table.entries[1].flags, kSnapshotEntryNegated);
  EXPECT_EQ(table.entries[2].flags, kSnapshotEntryRunTime);
  EXPECT_EQ(table.entries[3].flags, 0);
  ASSERT_THAT(snapshot_.rulesets, SizeIs(2));
  EXPECT_THAT(snapshot_.rulesets[0].rules, SizeIs(4));
  EXPECT_THAT(snapshot_.rulesets[0].options, SizeIs(1));
  EXPECT_EQ(snapshot_.rulesets[1].anchor, "inner");
  // Equal rules have one identity and counters of their own.
  EXPECT_EQ(snapshot_.rulesets[0].rules[1].id,
            snapshot_.rulesets[0].rules[2].id);
  EXPECT_THAT(snapshot_.rule_counters, SizeIs(5));
  EXPECT_EQ(snapshot_.limits[0].value, 5000u);
  EXPECT_EQ(snapshot_.header.policy_hash, store_->generation()->hash);
}

TEST_F(ExportTest, WhatIsNotForOthersIsForTheSameMachine) {
  ASSERT_TRUE(Load("pass\n").ok());
  StateRecord secret = Flow(0x501, 7000);
  secret.values.flags = kStateNoSync | kStateSloppy;
  for (const bool all : {false, true}) {
    StateExporter exporter(store_.get(), &interfaces_, all);
    exporter.Add(Flow(0x401, 6000));
    exporter.Add(secret);
    exporter.Finish(&snapshot_);
    ASSERT_TRUE(ExportPolicy(store_.get(), 0, &snapshot_).ok());
    const Snapshot whole = *WholeSnapshot(snapshot_, exporter);
    ASSERT_THAT(whole.parents, SizeIs(all ? 2 : 1));
    EXPECT_EQ(exporter.statistics().no_sync, all ? 0u : 1u);
    if (all) {
      EXPECT_EQ(whole.parents[1].binding.flags,
                uint32_t{kSnapshotStateNoSync} | kSnapshotStateSloppy);
    }
  }
}

TEST_F(ExportTest, StatesWithTheirRulesAndParents) {
  ASSERT_TRUE(Load("pass out proto udp keep state (udp.multiple 77)\n").ok());
  const uint32_t slot = PolicyListing(*store_).AllRules().at(0).rule.slot;
  StateExporter exporter(store_.get(), &interfaces_);
  StateRecord child = Flow(0x301, 5000);
  child.port = {3000, 5000};
  child.parent = {.id = 0x101, .slot = 7};
  StateRecord orphan = Flow(0x401, 6000);
  orphan.parent = {.id = 0x102, .slot = 8};
  StateRecord parent = Flow(0x101, 5000);
  parent.flags = kEntryHelper;
  parent.values.rule_slot = slot;
  parent.values.flags = kStateRuleTimeouts | kStateIfBound | kStateSloppy;
  parent.interface = outside_.id;
  StateRecord secret = Flow(0x501, 7000);
  secret.values.flags = kStateNoSync;
  StateRecord odd = Flow(0x601, 8000);
  odd.address[0] = *ParseAddress("224.0.0.5");
  for (const StateRecord& record : {child, orphan, secret, odd, parent}) {
    exporter.Add(record);
  }
  exporter.Finish(&snapshot_);
  ASSERT_TRUE(ExportPolicy(store_.get(), 0, &snapshot_).ok());
  snapshot_ = *WholeSnapshot(snapshot_, exporter);
  ExpectReadable();
  ASSERT_THAT(snapshot_.parents, SizeIs(2));
  ASSERT_THAT(snapshot_.children, SizeIs(1));
  EXPECT_EQ(snapshot_.children[0].parent, 0x101u);
  EXPECT_EQ(snapshot_.parents[0].interface, "outside");
  EXPECT_EQ(snapshot_.parents[0].remaining, 59980u);
  const SnapshotBinding& binding = snapshot_.parents[0].binding;
  EXPECT_EQ(binding.rule, snapshot_.rulesets[0].rules[0].id);
  EXPECT_EQ(binding.flags, kSnapshotStateSloppy);
  EXPECT_THAT(binding.timeouts,
              ElementsAre(SnapshotTimeout{Timeout::kUdpMultiple, 77}));
  EXPECT_EQ(snapshot_.parents[1].parent, 0u);
  EXPECT_EQ(exporter.statistics().states, 3u);
  EXPECT_EQ(exporter.statistics().no_sync, 1u);
  EXPECT_EQ(exporter.statistics().not_portable, 1u);
  EXPECT_EQ(exporter.statistics().ties_cut, 1u);
}

}  // namespace
}  // namespace sluice
