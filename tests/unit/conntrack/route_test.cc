// Where rules send packets: what their pools choose, and what states keep.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "conntrack/state_import.h"
#include "conntrack/translator.h"
#include "pftable/engine/evaluate.h"
#include "pftable/engine/explain.h"
#include "pftable/engine/reclaimer.h"
#include "pftable/language/parser.h"
#include "pftable/store/policy_store.h"
#include "pftable/store/table_edits.h"
#include "tests/unit/conntrack/shard.h"

namespace sluice {
namespace {

class RouteTest : public testing::Test {
 protected:
  explicit RouteTest(Family family = Family::kIpv4)
      : family_(family), shard_(family) {
    const InterfaceRegistry::PortAddress none[] = {
        {*ParsePrefix("10.9.0.1/24")}};
    lan_ = *interfaces_.AddPort("lan", {}, none);
    wan1_ = *interfaces_.AddPort("wan1");
    wan2_ = *interfaces_.AddPort("wan2");
    sources_ = *SourceNodes::Build(
        {.capacity = 4096, .secret = HashSecret::FromSeed(4)}, &reclaimer_);
    source_budget_.nodes.SetLimit(4096);
    shard_.table->SetSourceNodes(sources_.get());
    shard_.table->SetFilter(0, &shard_.budget, kDefaultTimeoutProfile,
                            &source_budget_);
    translator_ = std::make_unique<Translator>(*shard_.table, nullptr,
                                               /*worker=*/0, /*seed=*/77);
    store_ = std::make_unique<PolicyStore>(
        PolicyStoreConfig{.workers = 1, .rule_slots = 256, .table_slots = 64},
        &interfaces_, &reclaimer_);
  }

  void Load(std::string text, Dialect dialect = Dialect::kFreeBsd) {
    ParseInput input;
    input.file_name = "pf.conf";
    input.text = std::move(text);
    input.dialect = dialect;
    ParseResult result = ParsePolicy(std::move(input));
    ASSERT_TRUE(result.ok()) << FormatDiagnostics(result.diagnostics);
    const absl::Status loaded = store_->Load(std::move(result.policy));
    ASSERT_TRUE(loaded.ok()) << loaded.message();
  }

  void Replace(const std::string& table,
               const std::vector<TableEntry>& entries) {
    absl::StatusOr<StagedEdit> staged =
        StageReplaceAddresses(*store_, {.anchor = "", .name = table}, entries);
    ASSERT_TRUE(staged.ok()) << staged.status().message();
    ASSERT_TRUE(store_->Publish(std::move(staged->generation)).ok());
  }

  struct Judged {
    Verdict verdict;
    StateIndex state = kNoState;
  };
  // A packet that is judged and, if it passes, makes its state.
  Judged Open(const std::string& text, Direction direction = Direction::kIn) {
    TestPacket packet(family_, text);
    const InterfaceView at = direction == Direction::kIn ? lan_ : wan1_;
    const JudgePoint where{.direction = direction, .interface = at.id};
    translator_->Begin(*packet.mbuf, where, shard_.now);
    const TranslatorTurn turn(*translator_);
    Translation translation;
    translation.chooser = translator_.get();
    Judged judged;
    judged.verdict = Evaluate(*store_->current(),
                              {.packet = packet.info,
                               .direction = direction,
                               .interface = at,
                               .received_on = lan_,
                               .translation = &translation},
                              store_->worker_counters(0));
    if (judged.verdict.keep_state) {
      judged.state =
          shard_.table
              ->Insert(packet.info, *packet.mbuf, where, judged.verdict.state,
                       shard_.now, nullptr, nullptr, translator_->holds())
              .state;
    }
    return judged;
  }
  // "route-to 192.0.2.1@wan2", "": it has none.
  std::string Text(const PacketRoute& route) const {
    if (!route.IsSet()) return "";
    return absl::StrCat(
        route.kind == RouteKind::kRouteTo   ? "route-to"
        : route.kind == RouteKind::kReplyTo ? "reply-to"
                                            : "dup-to",
        " ",
        route.gateway.family == Family::kNone ? "-" : ToString(route.gateway),
        route.by_interface ? "@" : "",
        route.by_interface ? interfaces_.NameOf(route.interface) : "");
  }
  std::string RouteOf(StateIndex state) {
    const StateRecord record = shard_.Record(state);
    EXPECT_EQ(record.values.actions.has(PacketActions::kRoute),
              record.values.route.IsSet());
    return Text(record.values.route);
  }
  std::string RouteOf(const std::string& packet,
                      Direction direction = Direction::kIn) {
    const Judged judged = Open(packet, direction);
    EXPECT_NE(judged.state, kNoState);
    if (judged.state == kNoState) return "dropped";
    EXPECT_EQ(Text(judged.verdict.state.route), RouteOf(judged.state));
    return RouteOf(judged.state);
  }
  std::map<std::string, int> Spread(int packets) {
    std::map<std::string, int> counts;
    for (int i = 1; i <= packets; ++i) {
      ++counts[RouteOf(absl::StrCat("udp $C:", 1000 + i, " > $S:53"))];
    }
    return counts;
  }
  uint32_t nodes() const { return sources_->unlimited()->nodes.used(); }
  void RemoveAll() {
    uint32_t cursor = 0;
    shard_.table->entries().Visit(&cursor, 65536, [&](StateIndex state) {
      shard_.table->Remove(state);
    });
  }

  const Family family_;
  ImmediateReclaimer reclaimer_;
  InterfaceRegistry interfaces_;
  InterfaceView lan_, wan1_, wan2_;
  SourceBudget source_budget_;
  std::unique_ptr<SourceNodes> sources_;
  Shard shard_;
  std::unique_ptr<Translator> translator_;
  std::unique_ptr<PolicyStore> store_;
};

class RouteTest6 : public RouteTest {
 protected:
  RouteTest6() : RouteTest(Family::kIpv6) {}
};

TEST_F(RouteTest, OneGateway) {
  Load("pass in route-to (wan2 192.0.2.1) inet proto udp\n"
       "pass in reply-to (wan1 192.0.2.9) inet proto icmp\n"
       "pass out dup-to (wan2 192.0.2.5) inet\n");
  EXPECT_EQ(RouteOf("udp $C:1 > $S:53"), "route-to 192.0.2.1@wan2");
  EXPECT_EQ(RouteOf("icmp $C > $S echo id 1 seq 1"), "reply-to 192.0.2.9@wan1");
  EXPECT_EQ(RouteOf("udp $A:1 > $S:53", Direction::kOut),
            "dup-to 192.0.2.5@wan2");
}

TEST_F(RouteTest, AnInterfaceAlone) {
  // As `route-to wan2` is read where the machine has it.
  ParseInput input;
  input.text = "pass in route-to (wan2 192.0.2.1) inet proto udp\n";
  input.dialect = Dialect::kFreeBsd;
  ParseResult result = ParsePolicy(std::move(input));
  ASSERT_TRUE(result.ok());
  result.policy.main.rules.filter[0].route_pool->addresses[0].address =
      AddressMatch();
  ASSERT_TRUE(store_->Load(std::move(result.policy)).ok());
  EXPECT_EQ(RouteOf("udp $C:1 > $S:53"), "route-to -@wan2");
}

TEST_F(RouteTest, AnAddressAloneAsInOpenBsd) {
  Load("pass in route-to 192.0.2.1\n", Dialect::kOpenBsd);
  EXPECT_EQ(RouteOf("udp $C:1 > $S:53"), "route-to 192.0.2.1");
}

// An interface that nothing has is not the same as none.
TEST_F(RouteTest, AnInterfaceThatIsNotThere) {
  Load("pass in route-to (wan9 192.0.2.1) inet\n");
  const Judged judged = Open("udp $C:1 > $S:53");
  EXPECT_TRUE(judged.verdict.state.route.by_interface);
  EXPECT_EQ(judged.verdict.state.route.interface, 0);
}

TEST_F(RouteTest, RoundRobinGoesByInterfacesToo) {
  Load("pass in route-to { (wan1 192.0.2.1), (wan2 198.51.100.1) } "
       "round-robin inet\n");
  const std::map<std::string, int> expected = {
      {"route-to 192.0.2.1@wan1", 5}, {"route-to 198.51.100.1@wan2", 5}};
  EXPECT_EQ(Spread(10), expected);
}

TEST_F(RouteTest, RandomGivesAll) {
  Load("pass in route-to { (wan1 192.0.2.1), (wan2 198.51.100.1) } random "
       "inet\n");
  const auto spread = Spread(200);
  ASSERT_EQ(spread.size(), 2u);
  for (const auto& [route, count] : spread) EXPECT_GT(count, 50) << route;
}

TEST_F(RouteTest, SourceHashIsTheSourcesOwn) {
  Load("pass in route-to { (wan1 192.0.2.1), (wan2 198.51.100.1) } "
       "source-hash inet\n");
  EXPECT_EQ(Spread(20).size(), 1u);
  std::set<std::string> routes;
  for (int i = 1; i < 60; ++i) {
    routes.insert(RouteOf(absl::StrCat("udp 10.1.0.", i, ":5 > $S:53")));
  }
  EXPECT_EQ(routes.size(), 2u);
}

// As in pf, the host bits are the source's.
TEST_F(RouteTest, Bitmask) {
  Load("pass in route-to (wan2 192.0.2.0/24) bitmask inet\n");
  EXPECT_EQ(RouteOf("udp 10.1.7.77:1 > $S:53"), "route-to 192.0.2.77@wan2");
}

TEST_F(RouteTest, TablesMayChange) {
  Load("table <gw> { 192.0.2.1 }\n"
       "pass in route-to (wan1 <gw>) round-robin inet\n");
  EXPECT_EQ(RouteOf("udp $C:1 > $S:53"), "route-to 192.0.2.1@wan1");
  Replace("gw", {{.prefix = *ParsePrefix("192.0.2.9")}});
  EXPECT_EQ(RouteOf("udp $C:2 > $S:53"), "route-to 192.0.2.9@wan1");
  Replace("gw", {});
  const Judged none = Open("udp $C:3 > $S:53");
  EXPECT_EQ(none.verdict.action, VerdictAction::kBlock);
  EXPECT_EQ(none.verdict.reason, DropReason::kNoRoute);
  EXPECT_EQ(none.state, kNoState);
}

TEST_F(RouteTest, StickyAddressRemembersTheInterfaceToo) {
  Load("pass in route-to { (wan1 192.0.2.1), (wan2 198.51.100.1) } "
       "round-robin sticky-address inet\n");
  std::set<std::string> routes;
  for (int host = 1; host < 9; ++host) {
    std::set<std::string> of_host;
    for (int port = 1; port < 5; ++port) {
      of_host.insert(
          RouteOf(absl::StrCat("udp 10.1.0.", host, ":", port, " > $S:53")));
    }
    EXPECT_EQ(of_host.size(), 1u);
    routes.insert(of_host.begin(), of_host.end());
  }
  EXPECT_EQ(routes.size(), 2u);
  EXPECT_EQ(source_budget_.nodes.used(), 8u);
  uint32_t states = 0;
  uint32_t cursor = 0;
  sources_->Visit(&cursor, ~0u, 0, [&](const SourceRecord& node) {
    EXPECT_EQ(node.key.use, SourceUse::kRoute);
    states += node.states;
  });
  EXPECT_EQ(states, 32u);
  RemoveAll();
  cursor = 0;
  sources_->Visit(&cursor, ~0u, 0, [&](const SourceRecord& node) {
    EXPECT_EQ(node.states, 0u);
  });
}

// Who is bound to an address that comes behind very many.
TEST_F(RouteTest, StickyAddressBehindALargeTable) {
  Load("set limit table-entries 10000\n"
       "table <gws> { 192.0.2.1 }\n"
       "pass in route-to { (wan1 <gws>), (wan2 203.0.113.1) } round-robin "
       "sticky-address inet\n");
  std::string client;
  for (int host = 1; host < 9 && client.empty(); ++host) {
    const std::string from = absl::StrCat("udp 10.1.0.", host, ":");
    if (RouteOf(absl::StrCat(from, "1 > $S:53")) ==
        "route-to 203.0.113.1@wan2") {
      client = from;
    }
  }
  ASSERT_NE(client, "");
  std::vector<TableEntry> many;
  for (uint32_t i = 0; i < 3000; ++i) {
    many.push_back(
        {.prefix = {.address = Address::V4(0xcb007200 + 2 * i), .length = 32}});
  }
  Replace("gws", many);
  EXPECT_EQ(RouteOf(absl::StrCat(client, "2 > $S:53")),
            "route-to 203.0.113.1@wan2");
}

TEST(PoolSpaceTest, TheBlockOfAnAddressHasIt) {
  uint32_t random = 1;
  const auto next = [&random](uint32_t below) {
    random = random * 1664525 + 1013904223;
    return (random >> 8) % below;
  };
  for (int round = 0; round < 50; ++round) {
    PoolSpace space;
    if (round % 3 == 0) space.AddNone();
    for (uint32_t i = 0; i < 1 + next(40); ++i) {
      const auto weight = static_cast<uint16_t>(1 + next(3));
      const uint32_t first = 0x0a000000 + next(500);
      if (next(2) == 0) {
        space.Add(Prefix{.address = Address::V4(first),
                         .length = static_cast<uint8_t>(32 - next(5))},
                  weight);
      } else {
        space.Add(Address::V4(first), Address::V4(first + next(20)), weight);
      }
    }
    space.Finish(/*search=*/true);
    const auto has = [](const PoolBlock& block, const Address& address) {
      if (block.first.family != address.family) return false;
      const uint32_t at = address.v4().host() - block.first.v4().host();
      return at < block.count;
    };
    for (uint32_t i = 0; i < 600; ++i) {
      const Address address = Address::V4(0x09ffffd0 + i);
      const bool contains =
          std::ranges::any_of(space.blocks, [&](const PoolBlock& block) {
            return has(block, address);
          });
      ASSERT_EQ(space.Contains(address), contains) << ToString(address);
      const PoolBlock& block = space.BlockWith(address);
      if (contains) {
        ASSERT_TRUE(has(block, address)) << ToString(address);
      } else {
        ASSERT_EQ(&block, &space.blocks.front());
      }
    }
  }
}

TEST_F(RouteTest, LeastStates) {
  Load("pass in inet route-to { 192.0.2.1 192.0.2.2 192.0.2.3 } "
       "least-states\n",
       Dialect::kOpenBsd);
  const Judged first = Open("udp $X:1 > $S:53");
  const auto spread = Spread(8);
  ASSERT_EQ(spread.size(), 3u);
  EXPECT_EQ(nodes(), 3u);
  shard_.table->Remove(first.state);
  EXPECT_EQ(RouteOf("udp $X:2 > $S:53"),
            Text(first.verdict.state.route));
  RemoveAll();
  EXPECT_EQ(nodes(), 0u);
}

TEST_F(RouteTest, Ipv4ByAnIpv6Neighbour) {
  Load("pass in route-to { (wan1 192.0.2.1), (wan2 2001:db8::1) } "
       "prefer-ipv6-nexthop inet\n");
  EXPECT_EQ(RouteOf("udp $C:1 > $S:53"), "route-to 2001:db8::1@wan2");
  Load("pass in route-to { (wan1 192.0.2.1), (wan2 192.0.2.2) } "
       "prefer-ipv6-nexthop inet\n");
  EXPECT_NE(RouteOf("udp $C:2 > $S:53").find("192.0.2."), std::string::npos);
}

TEST_F(RouteTest6, EachFamilyItsOwn) {
  Load("pass in route-to (wan2 2001:db8:9::1) inet6\n");
  EXPECT_EQ(RouteOf("udp $C:1 > $S:53"), "route-to 2001:db8:9::1@wan2");
  Load("table <gw> { 192.0.2.1 2001:db8:9::2 }\n"
       "pass in route-to (wan1 <gw>) round-robin\n");
  for (int i = 2; i < 6; ++i) {
    EXPECT_EQ(RouteOf(absl::StrCat("udp $C:", i, " > $S:53")),
              "route-to 2001:db8:9::2@wan1");
  }
}

// What FreeBSD's pf binds to an interface is bound to the route's.
TEST_F(RouteTest, IfBound) {
  Load("set state-policy if-bound\n"
       "pass in reply-to (wan2 192.0.2.1) inet proto udp\n"
       "pass out route-to (wan2 192.0.2.1) inet proto udp\n"
       "pass in route-to (wan2 192.0.2.1) inet proto icmp\n");
  const StateRecord reply = shard_.Record(Open("udp $C:1 > $S:53").state);
  EXPECT_FALSE(reply.values.has(kStateIfBound));
  const StateRecord out =
      shard_.Record(Open("udp $A:1 > $S:53", Direction::kOut).state);
  EXPECT_TRUE(out.values.has(kStateIfBound));
  EXPECT_EQ(out.interface, wan1_.id);
  EXPECT_EQ(BoundByRoute(out.values.route, out.direction), wan2_.id);
  const StateRecord in = shard_.Record(Open("icmp $C > $S echo id 1 seq 1").state);
  EXPECT_TRUE(in.values.has(kStateIfBound));
  EXPECT_EQ(in.interface, lan_.id);
}
TEST_F(RouteTest, IfBoundInOpenBsd) {
  Load("set state-policy if-bound\n"
       "pass in reply-to 192.0.2.1\n"
       "pass out route-to 192.0.2.1\n",
       Dialect::kOpenBsd);
  const StateRecord reply = shard_.Record(Open("udp $C:1 > $S:53").state);
  EXPECT_TRUE(reply.values.has(kStateIfBound));
  EXPECT_EQ(reply.interface, lan_.id);
  const StateRecord out =
      shard_.Record(Open("udp $A:1 > $S:53", Direction::kOut).state);
  EXPECT_EQ(out.interface, wan1_.id);
}

// A slot that is used again does not keep the way of who had it.
TEST_F(RouteTest, SlotsAreUsedAgain) {
  Load("pass in\npass in route-to (wan2 192.0.2.1) inet proto udp\n");
  const Judged first = Open("udp $C:1 > $S:53");
  shard_.table->Remove(first.state);
  const Judged second = Open("icmp $C > $S echo id 1 seq 1");
  ASSERT_EQ(second.state, first.state);
  EXPECT_EQ(RouteOf(second.state), "");
}

// What a control connection's child goes by: the parent's way, or back by it.
TEST_F(RouteTest, ChildrenGoTheirParentsWay) {
  StateTemplate values;
  values.actions.flags = PacketActions::kRoute;
  values.route = {.kind = RouteKind::kRouteTo,
                  .by_interface = true,
                  .interface = wan2_.id,
                  .gateway = *ParseAddress("192.0.2.1")};
  shard_.values = values;
  const Outcome parent = shard_.In("udp $C:4000 > $S:69 tftp rrq \"f\" octet");
  ASSERT_EQ(parent.kind, Outcome::kCreated);
  const Outcome child = shard_.Out("udp $S:5000 > $C:4000 tftp data 1 5");
  ASSERT_EQ(child.kind, Outcome::kChild);
  EXPECT_EQ(RouteOf(parent.state), "route-to 192.0.2.1@wan2");
  EXPECT_EQ(RouteOf(child.state), "reply-to 192.0.2.1@wan2");
}

TEST_F(RouteTest, TheDirectionInWhichItApplies) {
  PacketRoute route;
  route.kind = RouteKind::kRouteTo;
  EXPECT_TRUE(route.AppliesTo(Direction::kIn, Direction::kIn));
  EXPECT_FALSE(route.AppliesTo(Direction::kIn, Direction::kOut));
  EXPECT_TRUE(route.AppliesTo(Direction::kOut, Direction::kOut));
  route.kind = RouteKind::kReplyTo;
  EXPECT_FALSE(route.AppliesTo(Direction::kIn, Direction::kIn));
  EXPECT_TRUE(route.AppliesTo(Direction::kIn, Direction::kOut));
  route.kind = RouteKind::kDupTo;
  EXPECT_TRUE(route.AppliesTo(Direction::kIn, Direction::kIn));
  EXPECT_TRUE(route.AppliesTo(Direction::kIn, Direction::kOut));
}

// An explanation chooses too, and takes nothing.
TEST_F(RouteTest, Explained) {
  Load("pass in route-to { (wan1 192.0.2.1), (wan2 198.51.100.1) } "
       "round-robin inet\n");
  TestPacket packet(family_, "udp $C:1 > $S:53");
  for (int i = 0; i < 3; ++i) {
    const Explanation told =
        Explain(*store_->current(),
                {.packet = packet.info, .interface = lan_, .received_on = lan_},
                0);
    EXPECT_EQ(Text(told.verdict.state.route), "route-to 192.0.2.1@wan1");
    EXPECT_FALSE(told.translated);
  }
}

}  // namespace
}  // namespace sluice
