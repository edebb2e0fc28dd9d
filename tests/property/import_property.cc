// Random filters with random states, exported, imported elsewhere and exported
// again: the bytes are the same but for the generation's number. And what is
// cut short by a random refusal leaves the other filter as it was.
// SLUICE_PROPERTY_STEPS and SLUICE_PROPERTY_SEED change the work.
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "pftable/store/invariants.h"
#include "pftable/store/policy_listing.h"
#include "tests/unit/restore/import_node.h"

namespace sluice {
namespace {

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

class Runner {
 public:
  Runner(uint64_t seed, Family family)
      : random_(seed), family_(family), bound_(OneIn(3)) {}

  void Run() {
    ImportNode from(family_);
    AddPorts(from);
    ASSERT_TRUE(LoadText(from.store, RandomRules()).ok());
    Live(from);
    const Snapshot snapshot = from.Export();
    const auto bytes = WriteSnapshot(snapshot);
    ASSERT_TRUE(bytes.ok()) << bytes.status();

    // One that finds no room for the last state. (The ids that were set aside
    // for them there stay so.)
    if (from.states() > 0) {
      ImportNode full(family_);
      AddPorts(full);
      ASSERT_TRUE(LoadText(full.store, "pass\n").ok());
      const Snapshot before = full.Export();
      full.shard().budget.SetLimit(static_cast<uint32_t>(from.states()) - 1);
      ASSERT_FALSE(full.ImportBytes(*bytes, WithPolicy(true)).ok());
      ASSERT_EQ(full.Export(), before);
      ASSERT_EQ(full.shard().budget.used(), 0u);
    }
    ImportNode to(family_);
    AddPorts(to);
    ASSERT_TRUE(LoadText(to.store, "pass\n").ok());
    const auto report = to.ImportBytes(*bytes, WithPolicy(true));
    ASSERT_TRUE(report.ok()) << report.status();
    ASSERT_EQ(report->states_imported, snapshot.parents.size() +
                                           snapshot.children.size());
    Snapshot again = to.Export();
    again.header.generation = snapshot.header.generation;
    ASSERT_EQ(again.parents, snapshot.parents);
    ASSERT_EQ(again.children, snapshot.children);
    ASSERT_EQ(*WriteSnapshot(again), *bytes);
    ASSERT_TRUE(CheckInvariants(to.store).ok());
    states_ += from.states();
  }
  uint64_t states() const { return states_; }

 private:
  uint32_t Below(uint32_t n) { return static_cast<uint32_t>(random_() % n); }
  bool OneIn(uint32_t n) { return Below(n) == 0; }

  static void AddPorts(ImportNode& node) {
    ASSERT_TRUE(node.interfaces.AddPort("em0").ok());
    ASSERT_TRUE(node.interfaces.AddPort("em1").ok());
  }

  std::string RandomRules() {
    std::string text = absl::StrCat("set limit states ", 1000 + Below(9), "\n");
    absl::StrAppend(&text, "table <t> persist { 10.0.0.0/8, !10.1.0.", Below(9),
                    ", 2001:db8::/", 32 + Below(9), " }\n");
    const uint32_t rules = 1 + Below(6);
    for (uint32_t i = 0; i < rules; ++i) {
      absl::StrAppend(&text, OneIn(3) ? "block return in" : "pass in",
                      OneIn(2) ? " proto tcp" : " proto udp",
                      OneIn(2) ? " from <t>" : "",
                      OneIn(2) ? absl::StrCat(" to port ", 1 + Below(9)) : "",
                      OneIn(3) ? absl::StrCat(" tag T", Below(3)) : "", "\n");
    }
    absl::StrAppend(&text, "pass keep state (udp.multiple ", 30 + Below(60),
                    ", tcp.established ", 100 + Below(900), ")\n",
                    "match out all\n");
    if (OneIn(2)) text += "anchor a {\n pass in quick proto icmp\n}\n";
    return text;
  }

  StateTemplate RandomTemplate(ImportNode& node) {
    StateTemplate values;
    if (bound_) values.flags |= kStateIfBound;
    const auto rules = PolicyListing(node.store).AllRules();
    if (OneIn(4)) return values;
    const RuleStatus& rule = rules[Below(static_cast<uint32_t>(rules.size()))];
    values.rule_slot = rule.rule.slot;
    const RuleRecord& record =
        node.store.rule_slots().record(values.rule_slot);
    if (record.has_timeouts) values.flags |= kStateRuleTimeouts;
    if (OneIn(5)) values.flags |= kStateSloppy;
    if (OneIn(5)) values.flags |= kStateLog;
    if (OneIn(4)) values.tag = *node.store.tags().Intern("STATE");
    // Equal rules have one identity: the first of them comes back.
    const auto info = node.store.rule_slots().Info(values.rule_slot);
    if (info.ok() && info->occurrence != 0) {
      values.rule_slot = kDefaultRuleSlot;
      values.flags &= static_cast<uint16_t>(~kStateRuleTimeouts);
    }
    if (OneIn(4)) {
      values.match_slots[0] = rules.back().rule.slot;
      values.match_count = 1;
      const auto match = node.store.rule_slots().Info(rules.back().rule.slot);
      if (match.ok() && match->occurrence != 0) values.match_count = 0;
    }
    return values;
  }

  void Live(ImportNode& node) {
    Shard& shard = node.shard();
    const uint32_t packets = Below(120);
    for (uint32_t i = 0; i < packets; ++i) {
      shard.values = RandomTemplate(node);
      const JudgePoint where = {
          OneIn(2) ? Direction::kIn : Direction::kOut, 0,
          node.interfaces.Resolve(OneIn(2) ? "em0" : "em1").id};
      const char* hosts = "CSXAB";
      const char a = hosts[Below(5)];
      const char b = hosts[Below(5)];
      if (a == b) continue;
      const uint32_t port = 1000 + Below(20);
      static constexpr const char* kVlans[] = {"", "", "", " vlan 5",
                                               " qinq 7 vlan 5"};
      const std::string vlan = kVlans[Below(5)];
      std::string packet;
      switch (Below(5)) {
        case 0:
          packet = absl::StrCat("tcp $", std::string(1, a), ":", port, " > $",
                                std::string(1, b), ":80 S seq ", Below(1000),
                                " win 4000", vlan);
          break;
        case 1:
          packet = absl::StrCat("tcp $", std::string(1, b), ":80 > $",
                                std::string(1, a), ":", port,
                                " SA seq 9000 ack ", Below(1000),
                                " win 4000 <wscale 3>", vlan);
          break;
        case 2:
          packet = absl::StrCat("udp $", std::string(1, a), ":", port, " > $",
                                std::string(1, b),
                                ":69", vlan, " tftp rrq \"f\" octet");
          break;
        case 3:
          packet = absl::StrCat("udp $", std::string(1, b), ":",
                                3000 + Below(3), " > $", std::string(1, a),
                                ":", port, vlan, " tftp data 1 512");
          break;
        default:
          packet = absl::StrCat("udp $", std::string(1, a), ":", port, " > $",
                                std::string(1, b), ":", 1000 + Below(20),
                                vlan);
      }
      TestPacket made(family_, packet);
      shard.Judge(made, where);
      if (OneIn(4)) shard.Advance(Below(3000));
      if (OneIn(10) && node.states() > 0) {
        uint32_t cursor = 0;
        bool first = true;
        const StateEntries& entries = shard.table->entries();
        entries.Visit(&cursor, UINT32_MAX, [&](StateIndex state) {
          if (first) shard.table->Remove(state);
          first = false;
        });
      }
    }
  }

  std::mt19937_64 random_;
  const Family family_;
  const bool bound_;  // `set state-policy if-bound`
  uint64_t states_ = 0;
};

TEST(ImportProperty, WhatGoesInComesOut) {
  const uint64_t runs = FromEnvironment("SLUICE_PROPERTY_STEPS", 500);
  const uint64_t first = FromEnvironment("SLUICE_PROPERTY_SEED", 1);
  uint64_t states = 0;
  for (uint64_t seed = first; seed < first + runs; ++seed) {
    SCOPED_TRACE(testing::Message() << "SLUICE_PROPERTY_SEED=" << seed);
    for (const Family family : {Family::kIpv4, Family::kIpv6}) {
      Runner runner(seed, family);
      runner.Run();
      states += runner.states();
      if (testing::Test::HasFailure()) return;
    }
  }
  std::cout << runs << " filters of each family, " << states << " states\n";
  EXPECT_GT(states, runs * 10);
}

}  // namespace
}  // namespace sluice
