// Where rules send the packets of states: what an export says of it, and what
// an import makes of that.
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "conntrack/translator.h"
#include "tests/unit/restore/import_node.h"

namespace sluice {
namespace {

// A firewall with two ways out, which has one rule.
struct TwoWays : ImportNode {
  explicit TwoWays(bool turned = false, std::string_view options = "",
                   std::string_view more = "")
      : ImportNode(Family::kIpv4) {
    // Interfaces have other numbers on another machine.
    EXPECT_TRUE(interfaces.AddPort(turned ? "wan2" : "wan1").ok());
    EXPECT_TRUE(interfaces.AddPort(turned ? "wan1" : "wan2").ok());
    ParseInput input;
    input.dialect = Dialect::kFreeBsd;
    input.text = absl::StrCat(
        "pass in route-to { (wan1 192.0.2.1), (wan2 198.51.100.1)",
        absl::string_view(more.data(), more.size()), " } round-robin ",
        absl::string_view(options.data(), options.size()),
        " inet keep state (src.track 60)\n");
    ParseResult parsed = ParsePolicy(std::move(input));
    EXPECT_TRUE(parsed.ok()) << FormatDiagnostics(parsed.diagnostics);
    EXPECT_TRUE(store.Load(std::move(parsed.policy)).ok());
    sources = *SourceNodes::Build(
        {.capacity = 4096, .secret = HashSecret::FromSeed(4)}, &reclaimer);
    source_budget.nodes.SetLimit(1000);
    shard().table->SetSourceNodes(sources.get());
    shard().table->SetFilter(0, &shard().budget, kDefaultTimeoutProfile,
                             &source_budget);
    translator = std::make_unique<Translator>(*shard().table, nullptr, 0, 77);
  }
  ~TwoWays() {
    RemoveStates();
    sources->RemoveAllOf(0);
    EXPECT_EQ(source_budget.nodes.used(), 0u);
  }

  void RemoveStates() {
    uint32_t cursor = 0;
    shard().table->entries().Visit(&cursor, 4096, [&](StateIndex state) {
      shard().table->Remove(state);
    });
  }
  std::string Text(const PacketRoute& route) {
    return absl::StrCat(ToString(route.gateway), "@",
                        interfaces.NameOf(route.interface));
  }
  std::string Open(std::string_view text) {
    const TestPacket packet(Family::kIpv4, text);
    const JudgePoint where{.direction = Direction::kIn};
    translator->Begin(*packet.mbuf, where, shard().now);
    const TranslatorTurn turn(*translator);
    const Generation& generation = *store.generation();
    const CompiledRule& rule = generation.policy->rules[0];
    StateTemplate values;
    values.rule_slot = rule.slot;
    values.actions.flags = PacketActions::kRoute;
    values.route.kind = rule.route;
    if (!translator->ChooseRoute(generation, rule, packet.info, Family::kIpv4,
                                 &values.route)) {
      return "";
    }
    const InsertResult made =
        shard().table->Insert(packet.info, *packet.mbuf, where, values,
                              shard().now, nullptr, nullptr,
                              translator->holds());
    EXPECT_NE(made.state, kNoState);
    return Text(values.route);
  }
  std::string RoutesOfStates() {
    std::string text;
    uint32_t cursor = 0;
    shard().table->entries().Visit(&cursor, 4096, [&](StateIndex state) {
      const StateRecord record = shard().Record(state);
      if (!record.values.actions.has(PacketActions::kRoute)) return;
      absl::StrAppend(&text, record.port[0], " ", Text(record.values.route),
                      "\n");
    });
    return text;
  }
  uint32_t StatesOfSources() const {
    uint32_t states = 0;
    uint32_t cursor = 0;
    sources->Visit(&cursor, ~0u, 0, [&](const SourceRecord& node) {
      states += node.states;
    });
    return states;
  }

  SourceBudget source_budget;
  std::unique_ptr<SourceNodes> sources;
  std::unique_ptr<Translator> translator;
};

TEST(ImportRoutesTest, StatesGoOnTheirWay) {
  TwoWays from;
  ASSERT_EQ(from.Open("udp $C:1 > $S:53"), "192.0.2.1@wan1");
  ASSERT_EQ(from.Open("udp $C:2 > $S:53"), "198.51.100.1@wan2");
  const Snapshot snapshot = from.Export();
  ASSERT_EQ(snapshot.parents.size(), 2u);
  ASSERT_TRUE(snapshot.parents[1].binding.route.has_value());
  EXPECT_EQ(snapshot.parents[1].binding.route->interface, "wan2");
  EXPECT_EQ(snapshot.parents[1].pool_marks, 0);
  TwoWays to(/*turned=*/true);
  const auto report = to.Import(snapshot, WithPolicy(false));
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(to.RoutesOfStates(), from.RoutesOfStates());
}

TEST(ImportRoutesTest, ASourceStaysOnItsWay) {
  TwoWays from(false, "sticky-address");
  const std::string way = from.Open("udp $C:1 > $S:53");
  ASSERT_EQ(from.Open("udp $C:2 > $S:53"), way);
  const Snapshot snapshot = from.Export();
  EXPECT_EQ(snapshot.parents[0].pool_marks, 1 << kStickyRoute);
  EXPECT_EQ(snapshot.parents[0].binding.route->sticky_rule,
            snapshot.parents[0].binding.rule);
  TwoWays to(/*turned=*/true, "sticky-address");
  ASSERT_TRUE(to.Import(snapshot, WithPolicy(false)).ok());
  EXPECT_EQ(to.StatesOfSources(), 2u);
  for (int i = 10; i < 14; ++i) {
    EXPECT_EQ(to.Open(absl::StrCat("udp $C:", i, " > $S:53")), way);
  }
  EXPECT_EQ(to.Export().parents[0].pool_marks, 1 << kStickyRoute);
}

// Without a state, too, and if the gateway is of the other family.
TEST(ImportRoutesTest, ASourceWithoutStatesStaysOnItsWay) {
  for (const bool across : {false, true}) {
    const auto with = [across](bool turned) {
      auto node = across
                      ? std::make_unique<TwoWays>(
                            turned, "sticky-address prefer-ipv6-nexthop",
                            ", (wan1 2001:db8::1), (wan2 2001:db8::2)")
                      : std::make_unique<TwoWays>(turned, "sticky-address");
      node->source_nodes = node->sources.get();
      node->node_budget = &node->source_budget;
      return node;
    };
    const auto from = with(false);
    // The first takes the first one.
    ASSERT_NE(from->Open("udp 10.1.0.9:1 > $S:53"), "");
    const std::string way = from->Open("udp $C:1 > $S:53");
    ASSERT_EQ(way, across ? "2001:db8::2@wan2" : "198.51.100.1@wan2");
    from->RemoveStates();
    const Snapshot snapshot = from->Export();
    ASSERT_EQ(snapshot.source_nodes.size(), 2u);
    for (const SnapshotSourceNode& node : snapshot.source_nodes) {
      EXPECT_EQ(node.target.family, across ? Family::kIpv6 : Family::kIpv4);
    }
    const auto to = with(/*turned=*/true);
    const auto report = to->Import(snapshot, WithPolicy(false));
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_EQ(report->sources_imported, 2u);
    EXPECT_EQ(to->Export().source_nodes, snapshot.source_nodes);
    for (int i = 10; i < 14; ++i) {
      EXPECT_EQ(to->Open(absl::StrCat("udp $C:", i, " > $S:53")), way);
    }
  }
}

TEST(ImportRoutesTest, AnInterfaceThatIsNotHereIsNamed) {
  TwoWays from;
  ASSERT_NE(from.Open("udp $C:1 > $S:53"), "");
  const Snapshot snapshot = from.Export();
  TwoWays to;
  ASSERT_TRUE(to.interfaces.RemovePort("wan1").ok());
  const auto report = to.Import(snapshot, WithPolicy(false));
  ASSERT_FALSE(report.ok());
  EXPECT_NE(std::string(report.status().message())
                .find("is sent by interface wan1, which is not here"),
            std::string::npos)
      << report.status();
  EXPECT_EQ(to.states(), 0u);
}

// Elsewhere it would go by the routes, which its rule did not want.
TEST(ImportRoutesTest, WhatGoesNowhereIsNotExported) {
  TwoWays from;
  ASSERT_NE(from.Open("udp $C:1 > $S:53"), "");
  uint32_t cursor = 0;
  StateTable& table = *from.shard().table;
  table.entries().Visit(&cursor, 16, [&](StateIndex state) {
    table.mutable_entries().route(state).route.interface = 0;
  });
  EXPECT_TRUE(from.Export().parents.empty());
}

}  // namespace
}  // namespace sluice
