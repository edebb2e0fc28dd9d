// What an import takes over besides the states themselves: counters, tags,
// timeouts, interfaces, entries of the run-time tool; and to which worker a
// state goes.
#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "dataplane/forward/flow_ring.h"
#include "pftable/store/policy_listing.h"
#include "tests/support/table_changes.h"
#include "tests/unit/restore/import_node.h"

namespace sluice {
namespace {

constexpr char kValueRules[] =
    "table <bad> persist counters { 10.9.0.0/16, 2001:db8:9::/48 }\n"
    "block in from <bad>\n"
    "pass in proto udp tag WEB keep state (udp.multiple 77)\n"
    "pass in proto udp tag WEB keep state (udp.multiple 77)\n"
    "pass out keep state (max 10)\n";

class ImportValuesTest : public testing::TestWithParam<Family> {
 protected:
  static std::unique_ptr<ImportNode> Make(const char* rules = kValueRules,
                                          uint8_t workers = 1) {
    auto node = std::make_unique<ImportNode>(GetParam(), workers);
    const absl::Status loaded = LoadText(node->store, rules);
    EXPECT_TRUE(loaded.ok()) << loaded;
    return node;
  }
  static uint32_t SlotOf(ImportNode& node, size_t number) {
    return PolicyListing(node.store).AllRules().at(number).rule.slot;
  }
  // A state of the second rule.
  static StateIndex AddFlow(ImportNode& node, std::string_view packet) {
    Shard& shard = node.shard();
    shard.values.rule_slot = SlotOf(node, 1);
    shard.values.flags = kStateRuleTimeouts;
    shard.values.tag = *node.store.tags().Intern("WEB");
    return shard.In(packet).state;
  }
};

INSTANTIATE_TEST_SUITE_P(Families, ImportValuesTest,
                         testing::Values(Family::kIpv4, Family::kIpv6),
                         [](const auto& info) {
                           return info.param == Family::kIpv4 ? "v4" : "v6";
                         });

TEST_P(ImportValuesTest, CountersGoOn) {
  const auto from = Make();
  AddFlow(*from, "udp $C:5000 > $S:53");
  WorkerCounters& counted = from->store.worker_counters(0);
  counted.rule(SlotOf(*from, 2)).packets[0].Add(5);
  counted.evaluations(SlotOf(*from, 0)).Add(77);
  const uint16_t table =
      from->store.current()->FindTable({"", "bad"})->handle->slot();
  counted.table(table).match.Add(9);
  counted.table(table).bytes[1][0].Add(900);
  const Snapshot snapshot = from->Export();
  const auto to = Make("pass\n");
  ASSERT_TRUE(to->Import(snapshot, WithPolicy(true)).ok());
  const auto rules = PolicyListing(to->store).AllRules();
  ASSERT_EQ(rules.size(), 4u);
  EXPECT_EQ(rules[0].counts.evaluations, 77u);
  // Equal rules have their own.
  EXPECT_EQ(rules[1].counts.packets[0], 1u);
  EXPECT_EQ(rules[1].counts.states_created, 1u);
  EXPECT_EQ(rules[1].counts.states, 1u);
  EXPECT_EQ(rules[2].counts.packets[0], 5u);
  EXPECT_EQ(PolicyListing(to->store).Tables().at(0).counts.match, 9u);
  EXPECT_EQ(PolicyListing(to->store).Tables()[0].counts.bytes[1][0], 900u);
  EXPECT_EQ(to->Export().rule_counters, snapshot.rule_counters);
  EXPECT_EQ(to->Export().table_counters, snapshot.table_counters);
  // From there they count on, and a second time is no other than the first.
  to->store.worker_counters(0).rule(rules[2].rule.slot).packets[0].Add(2);
  ASSERT_TRUE(to->Import(snapshot, WithPolicy(true)).ok());
  EXPECT_EQ(PolicyListing(to->store).AllRules()[2].counts.packets[0], 7u);
  EXPECT_EQ(PolicyListing(to->store).AllRules()[1].counts.states_created, 1u);
  EXPECT_EQ(PolicyListing(to->store).Tables()[0].counts.match, 9u);
}

TEST_P(ImportValuesTest, CountersOfThePolicyInForceStay) {
  const auto from = Make();
  from->store.worker_counters(0).rule(SlotOf(*from, 2)).packets[0].Add(5);
  const auto to = Make();
  ASSERT_TRUE(to->Import(from->Export()).ok());
  EXPECT_EQ(PolicyListing(to->store).AllRules()[2].counts.packets[0], 0u);
}

TEST_P(ImportValuesTest, PflowGoesOnWithoutItsRule) {
  const auto from = Make();
  from->shard().values.side = kSidePflow;
  const StateIndex told = AddFlow(*from, "udp $C:5000 > $S:53");
  ASSERT_TRUE(from->shard().table->entries().hot(told).has_side());
  from->shard().values.side = 0;
  AddFlow(*from, "udp $C:5001 > $S:53");
  // What a TFTP request expects has the word from it.
  from->shard().values.side = kSidePflow;
  AddFlow(*from, "udp $C:5002 > $S:69 tftp rrq \"f\" octet");
  const Snapshot snapshot = from->Export();
  ASSERT_EQ(snapshot.parents.size(), 3u);
  EXPECT_EQ(snapshot.parents[0].binding.marks, kSnapshotMarkPflow);
  EXPECT_EQ(snapshot.parents[1].binding.marks, 0);
  const auto to = Make("pass\n");
  ASSERT_TRUE(to->Import(snapshot).ok());
  EXPECT_EQ(to->Export().parents, snapshot.parents);

  FlowRing flows(16);
  to->shard().table->SetFlows(&flows, /*all=*/false);
  const Outcome data = to->shard().Judge("udp $S:3000 > $C:5002 tftp data 1 9",
                                         Direction::kOut);
  EXPECT_EQ(data.kind, Outcome::kChild);
  to->shard().Advance(200'000);
  ASSERT_EQ(to->states(), 0u);
  std::vector<uint16_t> ports;
  while (const FlowRecord* const record = flows.Front()) {
    EXPECT_TRUE(record->exported);
    ports.push_back(record->port[0]);
    flows.Pop();
  }
  std::ranges::sort(ports);
  EXPECT_EQ(ports, (std::vector<uint16_t>{3000, 5000, 5002}));
}

// Snapshots of before minor version 6 do not say it of states.
TEST_P(ImportValuesTest, PflowOfOldSnapshotsIsTheRules) {
  constexpr char kRules[] =
      "pass in proto udp keep state (pflow)\n"
      "pass out keep state\n";
  const auto from = Make(kRules);
  for (const size_t rule : {size_t{0}, size_t{1}}) {
    from->shard().values.rule_slot = SlotOf(*from, rule);
    ASSERT_EQ(from->shard()
                  .In(absl::StrCat("udp $C:", 5000 + rule, " > $S:53"))
                  .kind,
              Outcome::kCreated);
  }
  const Snapshot old = from->Export();
  ASSERT_EQ(old.parents.size(), 2u);
  ASSERT_EQ(old.parents[0].binding.marks, 0);
  for (const bool policy : {false, true}) {
    const auto to = Make(policy ? "pass\n" : kRules);
    ASSERT_TRUE(to->Import(old, WithPolicy(policy)).ok());
    const Snapshot now = to->Export();
    ASSERT_EQ(now.parents.size(), 2u);
    EXPECT_EQ(now.parents[0].binding.marks, kSnapshotMarkPflow);
    EXPECT_EQ(now.parents[1].binding.marks, 0);
  }
}

TEST_P(ImportValuesTest, WhatNoHelperFollowsIsNotFollowedElsewhere) {
  const auto from = Make();
  Shard& shard = from->shard();
  for (const uint32_t side : {0u, uint32_t{kSideNoHelpers}}) {
    shard.values.side = side;
    const std::string client = side == 0 ? "tcp $C:5000" : "tcp $C:5001";
    const StateIndex state = shard.In(client + " > $S:21 S seq 1").state;
    EXPECT_EQ(shard.table->ftp_session(state) != nullptr, side == 0);
    // Where the ports say so, the mark would be for nothing.
    const StateIndex other = shard.In(client + " > $S:22 S seq 1").state;
    EXPECT_FALSE(shard.table->entries().hot(other).has_side());
  }
  const Snapshot snapshot = from->Export();
  ASSERT_EQ(snapshot.parents.size(), 4u);
  const auto to = Make("pass\n");
  ASSERT_TRUE(to->Import(snapshot).ok());
  EXPECT_EQ(to->Export().parents, snapshot.parents);
  uint32_t cursor = 0;
  int followed = 0;
  const StateTable& table = *to->shard().table;
  table.entries().Visit(&cursor, 100, [&](StateIndex state) {
    if (table.ftp_session(state) == nullptr) return;
    ++followed;
    EXPECT_EQ(to->shard().Record(state).port[0], 5000);
  });
  EXPECT_EQ(followed, 1);
}

TEST_P(ImportValuesTest, TagsAreKnownByName) {
  const auto from = Make();
  AddFlow(*from, "udp $C:5000 > $S:53");
  const auto to = Make("pass tag OTHER\npass tagged OTHER\n");
  ASSERT_EQ(to->store.tags().Find("WEB"), kNoTag);
  ASSERT_TRUE(to->Import(from->Export()).ok());
  EXPECT_EQ(to->Export().parents.at(0).binding.tag, "WEB");
  EXPECT_NE(to->store.tags().Find("WEB"), to->store.tags().Find("OTHER"));
}

TEST_P(ImportValuesTest, AStateWithoutItsRuleKeepsItsTimeouts) {
  const auto from = Make();
  AddFlow(*from, "udp $C:5000 > $S:53");
  from->shard().Out("udp $S:53 > $C:5000");
  from->shard().In("udp $C:5000 > $S:53");
  const Snapshot snapshot = from->Export();
  ASSERT_EQ(snapshot.parents.at(0).timeout, Timeout::kUdpMultiple);
  ASSERT_EQ(snapshot.parents[0].remaining, 77000u);
  const auto to = Make("pass\n");
  const uint32_t used = to->store.rule_slots().used();
  const auto report = to->Import(snapshot);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->states_orphaned, 1u);
  EXPECT_EQ(to->Export().parents, snapshot.parents);
  EXPECT_EQ(to->store.rule_slots().used(), used + 1);
  // Its place goes with its last state.
  to->shard().Advance(78000);
  EXPECT_EQ(to->states(), 0u);
  for (int i = 0; i < 3; ++i) to->store.Poll();
  EXPECT_EQ(to->store.rule_slots().used(), used);
}

TEST_P(ImportValuesTest, ExpectationsKeepTheirRuleAndInterface) {
  const auto from = Make();
  Shard& shard = from->shard();
  const InterfaceView outside = *from->interfaces.AddPort("outside", {}, {});
  ASSERT_TRUE(from->interfaces.AddPort("inside", {}, {}).ok());
  shard.values.rule_slot = SlotOf(*from, 3);
  // A limit brings adaptive timeouts.
  shard.values.flags = kStateIfBound | kStateRuleLimit | kStateRuleTimeouts;
  shard.Judge("udp $C:5000 > $S:69 tftp rrq \"f\" octet", Direction::kIn, 0,
              outside.id);
  const Snapshot snapshot = from->Export();
  ASSERT_EQ(snapshot.expectations.size(), 1u);
  EXPECT_EQ(snapshot.expectations[0].interface, "outside");
  EXPECT_EQ(snapshot.expectations[0].binding.rule,
            snapshot.rulesets[0].rules[3].id);

  // Numbers of interfaces are another matter there.
  const auto to = Make();
  const InterfaceView inside = *to->interfaces.AddPort("inside", {}, {});
  const InterfaceView there = *to->interfaces.AddPort("outside", {}, {});
  ASSERT_TRUE(to->Import(snapshot).ok());
  EXPECT_EQ(to->Export().expectations, snapshot.expectations);
  constexpr const char* kData = "udp $S:3000 > $C:5000 tftp data 1 512";
  EXPECT_NE(to->shard().Judge(kData, Direction::kOut, 0, inside.id).kind,
            Outcome::kChild);
  to->shard().table->Remove(
      to->shard().Judge(kData, Direction::kOut, 0, inside.id).state);
  EXPECT_EQ(to->shard().Judge(kData, Direction::kOut, 0, there.id).kind,
            Outcome::kChild);

  const auto nowhere = Make();
  EXPECT_EQ(nowhere->Import(snapshot).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(nowhere->states(), 0u);
}

TEST_P(ImportValuesTest, EntriesOfTheToolStayItsOwn) {
  const auto from = Make();
  const TableEntry added = {.prefix = *ParsePrefix("192.0.2.0/24")};
  ASSERT_TRUE(AddAddresses(from->store, {"", "bad"}, {&added, 1}).ok());
  const Snapshot snapshot = from->Export();
  const auto to = Make("pass\n");
  ASSERT_TRUE(to->Import(snapshot, WithPolicy(true)).ok());
  EXPECT_EQ(to->Export().tables, snapshot.tables);
  EXPECT_EQ(PolicyListing(to->store).Addresses({"", "bad"})->size(), 3u);
  // They are not of the text: loading that takes them away.
  ASSERT_TRUE(LoadText(to->store, kValueRules).ok());
  EXPECT_EQ(PolicyListing(to->store).Addresses({"", "bad"})->size(), 2u);
}

TEST_P(ImportValuesTest, StatesGoToTheirWorkers) {
  const auto from = Make();
  for (int i = 0; i < 30; ++i) {
    AddFlow(*from, absl::StrCat("udp $C:", 5000 + i, " > $S:53"));
  }
  // A family over two workers.
  from->shard().In("udp $C:6000 > $S:69 tftp rrq \"f\" octet");
  from->shard().Out("udp $S:3001 > $C:6000 tftp oack blksize 1024");
  const Snapshot snapshot = from->Export();
  ASSERT_EQ(snapshot.children.size(), 1u);
  const auto to = Make(kValueRules, 3);
  to->owner = [](const SnapshotState& state) {
    return static_cast<uint8_t>((state.peers[0].port + state.peers[1].port) %
                                3);
  };
  to->shard(1).In("udp $A:1 > $B:2");  // ids are in use
  ASSERT_TRUE(to->Import(snapshot).ok());
  EXPECT_EQ(to->states(), 33u);
  for (int i = 0; i < 30; ++i) {
    const std::string reply = absl::StrCat("udp $S:53 > $C:", 5000 + i);
    const size_t owner = static_cast<size_t>(5053 + i) % 3;
    for (size_t worker = 0; worker < 3; ++worker) {
      TestPacket packet(GetParam(), reply);
      const StateIndex found = to->shard(worker).table->Find(
          packet.info, *packet.mbuf, {.direction = Direction::kOut});
      EXPECT_EQ(found != kNoState, worker == owner) << reply;
      if (found == kNoState) continue;
      EXPECT_EQ(WorkerOf(to->shard(worker).Record(found).id), worker);
    }
  }
  const Snapshot again = to->Export();
  ASSERT_EQ(again.children.size(), 1u);
  const uint64_t parent = again.children[0].parent;
  EXPECT_EQ(WorkerOf(parent), (6000 + 69) % 3);
  EXPECT_EQ(WorkerOf(again.children[0].id), (6000 + 3001) % 3);
  EXPECT_NE(WorkerOf(parent), WorkerOf(again.children[0].id));
  EXPECT_LT(parent, again.children[0].id);
  // A worker that is not there.
  to->owner = [](const SnapshotState&) { return uint8_t{3}; };
  EXPECT_FALSE(to->Import(snapshot).ok());
  EXPECT_EQ(to->states(), 33u);
}

TEST_P(ImportValuesTest, ARuleThatIsNotWhatItSaysIsRefused) {
  const auto from = Make();
  const Snapshot good = from->Export();
  const auto to = Make("pass\n");
  const Snapshot before = to->Export();
  const auto refused = [&](auto&& change) {
    Snapshot bad = good;
    change(bad.rulesets[0]);
    const auto report = to->Import(bad, WithPolicy(true));
    EXPECT_EQ(report.status().code(), absl::StatusCode::kInvalidArgument)
        << report.status();
    EXPECT_EQ(to->Export(), before);
  };
  refused([](SnapshotRuleset& r) { std::swap(r.rules[0].id, r.rules[1].id); });
  refused([](SnapshotRuleset& r) {
    r.rules[0].text = "block in from { 10.0.0.1, 10.0.0.2 }";
  });
  refused([](SnapshotRuleset& r) { r.rules[0].text = "set skip on lo"; });
  refused([](SnapshotRuleset& r) { r.rules[0].text = "x = \"y\""; });
  refused([](SnapshotRuleset& r) { r.rules[0].text = "table <t> { 1.1.1.1 }"; });
  refused([](SnapshotRuleset& r) {
    r.rules[0].text = "anchor \"x\" { pass }";
  });
  refused([](SnapshotRuleset& r) { r.rules[0].text = "include \"/x\""; });
  refused([](SnapshotRuleset& r) { r.options = {"limit states  7"}; });
  refused([](SnapshotRuleset& r) {
    r.rules[0].kind = SnapshotRuleKind::kScrub;
  });
  ASSERT_TRUE(to->Import(good, WithPolicy(true)).ok());
}

}  // namespace
}  // namespace sluice
