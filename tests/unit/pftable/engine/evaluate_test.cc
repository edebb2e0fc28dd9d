#include "pftable/engine/evaluate.h"
#include "pftable/store/policy_listing.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/pftable/engine/engine_fixture.h"

namespace sluice {
namespace {

class EvaluateTest : public EngineTest {};

constexpr uint8_t kUnreachable = 3;

struct WinnerCase {
  const char* what;
  const char* rules;
  TestPacket packet;
  int winner;  // the rule's number, -1: none
  Direction direction = Direction::kIn;
};

TEST_F(EvaluateTest, Winners) {
  const WinnerCase cases[] = {
      {"no rule: pf's default", "", Tcp(), -1},
      {"the last match wins", "block\npass\n", Tcp(), 1},
      {"the last match wins, not the last rule",
       "block\npass\nblock proto udp\n", Tcp(), 1},
      {"quick ends the scan", "block quick\npass\n", Tcp(), 0},
      {"quick that does not match does not", "block quick proto udp\npass\n",
       Tcp(), 1},
      {"match decides nothing", "match\n", Tcp(), -1},
      {"match after the winner leaves it", "block\nmatch\n", Tcp(), 0},
      {"match quick ends the scan with the winner so far",
       "block\nmatch quick\npass\n", Tcp(), 0},
      {"match quick alone leaves the default", "match quick\nblock\n", Tcp(),
       -1},
      {"direction in", "block in\n", Tcp(), 0},
      {"direction out", "block out\n", Tcp(), -1},
      {"direction of the packet", "block out\n", Tcp(), 0, Direction::kOut},
      {"interface", "block on outside\n", Tcp(), 0},
      {"another interface", "block on inside\n", Tcp(), -1},
      {"no such interface", "block on nowhere\n", Tcp(), -1},
      {"not that interface", "block on ! inside\n", Tcp(), 0},
      {"group", "block on edge\n", Tcp(), 0},
      {"not in the group", "block on edge\n", Tcp(), -1, Direction::kOut},
      {"any interface", "block on any\n", Tcp(), 0},
      {"received-on", "block out received-on outside\n", Tcp(), 0,
       Direction::kOut},
      {"received-on another", "block out received-on inside\n", Tcp(), -1,
       Direction::kOut},
      {"not received-on", "block out ! received-on inside\n", Tcp(), 0,
       Direction::kOut},
      {"family", "block inet6\n", Tcp(), -1},
      {"family 6", "block inet6\n", Tcp6(), 0},
      {"family 4", "block inet\n", Tcp6(), -1},
      {"protocol", "block proto udp\n", Udp(), 0},
      {"other protocol", "block proto udp\n", Tcp(), -1},
      {"source", "block from 192.0.2.0/24\n", Tcp(), 0},
      {"other source", "block from 192.0.3.0/24\n", Tcp(), -1},
      {"not the source", "block from ! 192.0.2.0/24\n", Tcp(), -1},
      {"destination", "block to 198.51.100.2\n", Tcp(), 0},
      {"an IPv4 address is not in ::/0", "block from ::/0\n", Tcp(), -1},
      {"source 6", "block from 2001:db8::/64\n", Tcp6(), 0},
      {"other source 6", "block from 2001:db8:2::/64\n", Tcp6(), -1},
      {"range", "block from 192.0.2.1 - 192.0.2.5\n", Tcp(), 0},
      {"range's end", "block from 192.0.1.1 - 192.0.2.1\n", Tcp(), 0},
      {"outside of the range", "block from 192.0.2.2 - 192.0.2.5\n", Tcp(),
       -1},
      {"range 6", "block from 2001:db8::1 - 2001:db8::f\n", Tcp6(), 0},
      {"no-route matches nothing on a wire", "block from no-route\n", Tcp(),
       -1},
      {"urpf-failed matches nothing on a wire", "block from urpf-failed\n",
       Tcp(), -1},
      {"table", "table <t> { 192.0.2.0/24 }\nblock from <t>\n", Tcp(), 0},
      {"negated entry", "table <t> { 192.0.2.0/24 ! 192.0.2.1 }\n"
       "block from <t>\n", Tcp(), -1},
      {"negated table", "table <t> { 192.0.2.0/24 ! 192.0.2.1 }\n"
       "block from ! <t>\n", Tcp(), 0},
      {"table that nothing defines", "block from <t>\n", Tcp(), -1},
      {"table 6", "table <t> { 2001:db8::/32 }\nblock from <t>\n", Tcp6(), 0},
      {"port", "block proto tcp to port 80\n", Tcp(), 0},
      {"port and another protocol", "block proto udp to port 80\n", Tcp(),
       -1},
      {"tos", "block tos 0x10\n",
       {.tos = 0x10}, 0},
      {"another tos", "block tos 0x10\n", Tcp(), -1},
      {"flags", "block proto tcp flags S/SA\n", Tcp(), 0},
      {"other flags", "block proto tcp flags S/SA\n",
       {.tcp_flags = kTcpSyn | kTcpAck}, -1},
      {"flags of a keep-state rule are S/SA", "block\npass proto tcp\n",
       {.tcp_flags = kTcpAck}, 0},
      {"flags any", "block\npass proto tcp flags any\n",
       {.tcp_flags = kTcpAck}, 1},
      {"icmp-type", "block inet proto icmp icmp-type echoreq\n", Icmp(8), 0},
      {"another icmp-type", "block inet proto icmp icmp-type echoreq\n",
       Icmp(0), -1},
      {"icmp code", "block inet proto icmp icmp-type 3 code 1\n",
       Icmp(3, 1), 0},
      {"another icmp code", "block inet proto icmp icmp-type 3 code 1\n",
       Icmp(3, 0), -1},
      {"a reply makes no state", "block\npass inet proto icmp\n", Icmp(0), 0},
      {"unless sloppy",
       "block\npass inet proto icmp keep state (sloppy)\n", Icmp(0), 1},
      {"a reply passes without state",
       "block\npass inet proto icmp no state\n", Icmp(0), 1},
      {"a request makes one", "block\npass inet proto icmp\n", Icmp(8), 1},
      {"reply 6", "block\npass inet6 proto icmp6\n",
       {.from = "2001:db8::1", .to = "2001:db8:1::2",
        .proto = protocol::kIcmp6, .icmp_type = 129}, 0},
      {"neighbour advertisement", "block\npass inet6 proto icmp6\n",
       {.from = "2001:db8::1", .to = "2001:db8:1::2",
        .proto = protocol::kIcmp6, .icmp_type = 136}, 1},
      {"fragments do not meet ports", "block proto udp to port 80\n",
       {.proto = protocol::kUdp, .flags = kFragment}, -1},
      {"fragments do not meet flags", "block proto tcp flags S/SA\n",
       {.flags = kFragment}, -1},
      {"fragments do not meet types",
       "block inet proto icmp icmp-type echoreq\n",
       {.proto = protocol::kIcmp, .flags = kFragment}, -1},
      {"fragments meet the rest", "block proto udp\n",
       {.proto = protocol::kUdp, .flags = kFragment}, 0},
      {"fragment rules want fragments", "block fragment\n", Udp(), -1},
      {"fragment rules get them", "block fragment\n",
       {.proto = protocol::kUdp, .flags = kFragment}, 0},
  };
  for (const WinnerCase& c : cases) {
    SCOPED_TRACE(c.what);
    ASSERT_TRUE(Load(c.rules).ok());
    EXPECT_EQ(Winner(c.packet, c.direction), c.winner);
  }
}

TEST_F(EvaluateTest, PortOperators) {
  struct {
    const char* condition;
    std::vector<uint16_t> matching;
    std::vector<uint16_t> others;
  } const cases[] = {
      {"= 80", {80}, {79, 81}},
      {"!= 80", {79, 81, 0}, {80}},
      {"< 80", {0, 79}, {80, 65535}},
      {"<= 80", {0, 80}, {81}},
      {"> 80", {81, 65535}, {80, 0}},
      {">= 80", {80, 65535}, {79}},
      {"80:90", {80, 85, 90}, {79, 91}},
      {"80 >< 90", {81, 89}, {80, 90, 65535}},
      {"80 <> 90", {79, 91, 0, 65535}, {80, 85, 90}},
      {"80 >< 81", {}, {80, 81, 0, 65535}},
      {"> 65535", {}, {65535, 0, 1}},
      {"< 0", {}, {0, 1, 65535}},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.condition);
    for (const bool source : {true, false}) {
      ASSERT_TRUE(Load(std::string("block proto tcp ") +
                       (source ? "from any" : "to any") + " port " +
                       c.condition + "\n")
                      .ok());
      auto packet = [&](uint16_t port) {
        TestPacket p = Tcp();
        (source ? p.source_port : p.destination_port) = port;
        return p;
      };
      for (uint16_t port : c.matching) EXPECT_FALSE(Passes(packet(port)));
      for (uint16_t port : c.others) EXPECT_TRUE(Passes(packet(port)));
    }
  }
}

TEST_F(EvaluateTest, TagsOfLosersCount) {
  ASSERT_TRUE(Load("block\n"
                   "pass tagged FOO\n"
                   "match tag FOO\n"
                   "pass tagged FOO\n")
                  .ok());
  const Verdict verdict = Judge(Tcp());
  EXPECT_EQ(verdict.action, VerdictAction::kPass);
  ASSERT_NE(verdict.rule, nullptr);
  EXPECT_EQ(verdict.rule->number, 3u);
  EXPECT_EQ(store_->tags().NameOf(verdict.state.tag), "FOO");
}

TEST_F(EvaluateTest, TheLastTagWins) {
  ASSERT_TRUE(Load("pass tag ONE\npass tag TWO\npass ! tagged ONE\n").ok());
  const Verdict verdict = Judge(Tcp());
  EXPECT_EQ(verdict.rule->number, 2u);
  EXPECT_EQ(store_->tags().NameOf(verdict.state.tag), "TWO");
}

TEST_F(EvaluateTest, ATagComesWithThePacket) {
  ASSERT_TRUE(Load("block out\npass out tagged LAN\n").ok());
  const uint16_t lan = store_->tags().Find("LAN");
  ASSERT_NE(lan, kNoTag);
  EXPECT_EQ(Judge(Tcp(), Direction::kOut, lan).action, VerdictAction::kPass);
  EXPECT_EQ(Judge(Tcp(), Direction::kOut).action, VerdictAction::kBlock);
  EXPECT_EQ(Judge(Tcp(), Direction::kOut, lan).state.tag, lan);
}

TEST_F(EvaluateTest, DefaultRuleKeepsNoStateAndNoOptions) {
  ASSERT_TRUE(Load("").ok());
  const Verdict verdict = Judge(Tcp());
  EXPECT_EQ(verdict.rule, nullptr);
  EXPECT_EQ(verdict.action, VerdictAction::kPass);
  EXPECT_FALSE(verdict.keep_state);
  EXPECT_FALSE(verdict.allow_options);
  EXPECT_EQ(verdict.state.rule_slot, kDefaultRuleSlot);
}

TEST_F(EvaluateTest, StateDecision) {
  ASSERT_TRUE(Load("pass\n").ok());
  EXPECT_TRUE(Judge(Tcp()).keep_state);
  EXPECT_TRUE(Judge(Udp()).keep_state);
  TestPacket error = Icmp(kUnreachable, 1);
  error.flags = kIcmpError;
  EXPECT_EQ(Judge(error).action, VerdictAction::kPass);
  EXPECT_FALSE(Judge(error).keep_state);
  EXPECT_FALSE(
      Judge({.proto = protocol::kUdp, .flags = kFragment}).keep_state);

  ASSERT_TRUE(Load("pass no state\n").ok());
  EXPECT_FALSE(Judge(Tcp()).keep_state);
}

TEST_F(EvaluateTest, StateTemplateHasWhatTheRuleSays) {
  ASSERT_TRUE(Load("pass log (all) proto tcp allow-opts keep state "
                   "(sloppy, no-sync, if-bound, max 7, tcp.first 5)\n")
                  .ok());
  const Verdict verdict = Judge(Tcp());
  for (const StateFlag flag :
       {kStateSloppy, kStateNoSync, kStateIfBound, kStateRuleLimit,
        kStateRuleTimeouts, kStateAllowOptions, kStateLog, kStateLogAll}) {
    EXPECT_TRUE(verdict.state.has(flag)) << flag;
  }
  EXPECT_TRUE(verdict.log);
  EXPECT_TRUE(verdict.allow_options);
  const RuleRecord& record =
      store_->rule_slots().record(verdict.state.rule_slot);
  EXPECT_EQ(record.state_limit(), 7u);
  ASSERT_NE(record.rule_timeouts(), nullptr);
  EXPECT_EQ((*record.rule_timeouts())[Timeout::kTcpFirst], 5u);

  ASSERT_TRUE(Load("pass proto tcp\n").ok());
  EXPECT_EQ(Judge(Tcp()).state.flags, 0);
  EXPECT_FALSE(Judge(Tcp()).log);
}

TEST_F(EvaluateTest, MaxStatesIsCheckedAfterTheWinnerIsChosen) {
  ASSERT_TRUE(Load("pass proto tcp\n"
                   "pass proto tcp to port 80 keep state (max 2)\n")
                  .ok());
  const uint32_t slot = Judge(Tcp()).state.rule_slot;
  const RuleRecord& record = store_->rule_slots().record(slot);
  EXPECT_TRUE(record.AcquireState());
  EXPECT_TRUE(Passes(Tcp()));
  EXPECT_TRUE(record.AcquireState());
  EXPECT_FALSE(record.AcquireState());
  // The first rule would have taken it, but the choice is made.
  const Verdict verdict = Judge(Tcp());
  EXPECT_EQ(verdict.action, VerdictAction::kBlock);
  EXPECT_EQ(verdict.reason, DropReason::kStateLimit);
  EXPECT_FALSE(verdict.keep_state);
  EXPECT_EQ(verdict.answer, BlockAnswer::kNone);
  record.ReleaseState();
  EXPECT_TRUE(Passes(Tcp()));
}

TEST_F(EvaluateTest, FailPolicyAnswersForALimit) {
  ASSERT_TRUE(Load("set fail-policy return\npass keep state (max 1)\n",
                   Dialect::kFreeBsd)
                  .ok());
  EXPECT_TRUE(store_->rule_slots()
                  .record(Judge(Tcp()).state.rule_slot)
                  .AcquireState());
  EXPECT_EQ(Judge(Tcp()).answer, BlockAnswer::kTcpReset);
  EXPECT_EQ(Judge(Udp()).answer, BlockAnswer::kIcmpUnreachable);
}

struct AnswerCase {
  const char* what;
  const char* rule;
  TestPacket packet;
  BlockAnswer answer;
  uint8_t code = 0;
};

TEST_F(EvaluateTest, Answers) {
  const TestPacket udp6 = {.from = "2001:db8::1", .to = "2001:db8:1::2",
                           .proto = protocol::kUdp};
  const AnswerCase cases[] = {
      {"drop", "block drop\n", Tcp(), BlockAnswer::kNone},
      {"return, TCP", "block return\n", Tcp(), BlockAnswer::kTcpReset},
      {"return, TCP 6", "block return\n", Tcp6(), BlockAnswer::kTcpReset},
      {"return, UDP", "block return\n", Udp(),
       BlockAnswer::kIcmpUnreachable, 3},
      {"return, UDP 6", "block return\n", udp6,
       BlockAnswer::kIcmpUnreachable, 4},
      {"return, echo request", "block return\n", Icmp(8),
       BlockAnswer::kIcmpUnreachable, 3},
      {"return, ICMP error", "block return\n",
       {.proto = protocol::kIcmp, .icmp_type = 3, .flags = kIcmpError},
       BlockAnswer::kNone},
      {"a reset is not answered", "block return\n", {.tcp_flags = kTcpRst},
       BlockAnswer::kNone},
      {"return, fragment", "block return\n",
       {.proto = protocol::kUdp, .flags = kFragment}, BlockAnswer::kNone},
      {"return, multicast", "block return\n",
       {.to = "224.0.0.251", .proto = protocol::kUdp}, BlockAnswer::kNone},
      {"return, broadcast", "block return\n",
       {.to = "255.255.255.255", .proto = protocol::kUdp},
       BlockAnswer::kNone},
      {"return, multicast 6", "block return\n",
       {.from = "2001:db8::1", .to = "ff02::1", .proto = protocol::kUdp},
       BlockAnswer::kNone},
      {"return, from nobody", "block return\n",
       {.from = "::", .to = "2001:db8::1", .proto = protocol::kUdp},
       BlockAnswer::kNone},
      {"return-rst", "block return-rst proto tcp\n", Tcp(),
       BlockAnswer::kTcpReset},
      {"return-icmp, TCP", "block return-icmp (host-unr) proto tcp\n", Tcp(),
       BlockAnswer::kIcmpUnreachable, 1},
      {"return-icmp, both codes",
       "block return-icmp (host-unr, admin-unr)\n", udp6,
       BlockAnswer::kIcmpUnreachable, 1},
      {"block-policy", "set block-policy return\nblock\n", Tcp(),
       BlockAnswer::kTcpReset},
  };
  for (const AnswerCase& c : cases) {
    SCOPED_TRACE(c.what);
    ASSERT_TRUE(Load(c.rule).ok());
    const Verdict verdict = Judge(c.packet);
    EXPECT_EQ(verdict.action, VerdictAction::kBlock);
    EXPECT_EQ(verdict.reason, DropReason::kMatch);
    EXPECT_EQ(verdict.answer, c.answer);
    if (c.answer == BlockAnswer::kIcmpUnreachable) {
      EXPECT_EQ(verdict.icmp_code, c.code);
    }
  }
  ASSERT_TRUE(Load("block return-rst (ttl 9) proto tcp\n").ok());
  EXPECT_EQ(Judge(Tcp()).rst_ttl, 9);
}

TEST_F(EvaluateTest, SctpIsAbortedInFreeBsdsDialectOnly) {
  const TestPacket sctp4 = {.proto = protocol::kSctp};
  const TestPacket sctp6 = {.from = "2001:db8::1", .to = "2001:db8:1::2",
                            .proto = protocol::kSctp};
  const struct {
    const char* rules;
    BlockAnswer openbsd, freebsd;
  } cases[] = {
      {"block return\n", BlockAnswer::kIcmpUnreachable,
       BlockAnswer::kSctpAbort},
      {"set block-policy return\nblock\n", BlockAnswer::kIcmpUnreachable,
       BlockAnswer::kSctpAbort},
      {"block return-icmp\n", BlockAnswer::kIcmpUnreachable,
       BlockAnswer::kIcmpUnreachable},
      {"block drop\n", BlockAnswer::kNone, BlockAnswer::kNone},
  };
  for (const auto& c : cases) {
    for (const TestPacket& packet : {sctp4, sctp6}) {
      ASSERT_TRUE(Load(c.rules).ok());
      EXPECT_EQ(Judge(packet).answer, c.openbsd) << c.rules;
      ASSERT_TRUE(Load(c.rules, Dialect::kFreeBsd).ok());
      EXPECT_EQ(Judge(packet).answer, c.freebsd) << c.rules;
    }
  }
}

// A reply of ICMP asks for `no state` or `sloppy` in both dialects: sluice
// makes no state of an answer whose question it has not seen.
TEST_F(EvaluateTest, IcmpRepliesWithoutAStateInBothDialects) {
  for (const Dialect dialect : {Dialect::kOpenBsd, Dialect::kFreeBsd}) {
    for (const uint8_t type : {uint8_t{0}, uint8_t{14}}) {
      ASSERT_TRUE(Load("block\npass\n", dialect).ok());
      EXPECT_FALSE(Passes(Icmp(type)));
      ASSERT_TRUE(Load("block\npass no state\n", dialect).ok());
      EXPECT_TRUE(Passes(Icmp(type)));
      ASSERT_TRUE(Load("block\npass keep state (sloppy)\n", dialect).ok());
      EXPECT_TRUE(Passes(Icmp(type)));
    }
    ASSERT_TRUE(Load("block\npass\n", dialect).ok());
    EXPECT_TRUE(Passes(Icmp(8)));
  }
}

TEST_F(EvaluateTest, MatchRulesAreListedAndCounted) {
  ASSERT_TRUE(Load("match in\nmatch out\nmatch proto tcp\npass\n").ok());
  const Verdict verdict = Judge(Tcp());
  ASSERT_EQ(verdict.state.match_count, 2);
  const auto rules = *PolicyListing(*store_).Rules("");
  EXPECT_EQ(verdict.state.match_slots[0], rules[0].rule.slot);
  EXPECT_EQ(verdict.state.match_slots[1], rules[2].rule.slot);

  CountPacket(*store_->current(), verdict, Direction::kIn,
              TestPacket{.ip_length = 100}.Info(), true, counters());
  EXPECT_EQ(Counts(0).packets[0], 1u);
  EXPECT_EQ(Counts(0).bytes[0], 100u);
  EXPECT_EQ(Counts(1).packets[0], 0u);
  EXPECT_EQ(Counts(1).evaluations, 1u);
  EXPECT_EQ(Counts(2).packets[0], 1u);
  EXPECT_EQ(Counts(3).packets[0], 1u);
  EXPECT_EQ(Counts(3).packets[1], 0u);
}

TEST_F(EvaluateTest, MoreMatchRulesThanFitAreReported) {
  std::string rules;
  for (uint32_t i = 0; i <= kMaxMatchRules; ++i) {
    rules += "match proto tcp to port >= " + std::to_string(i) + "\n";
  }
  ASSERT_TRUE(Load(rules + "block\n").ok());
  const Verdict verdict = Judge(Tcp());
  EXPECT_EQ(verdict.state.match_count, kMaxMatchRules);
  EXPECT_EQ(verdict.action, VerdictAction::kBlock);
  EXPECT_EQ(counters().match_rules_lost.value(), 1u);
}

TEST_F(EvaluateTest, LogOfMatchRules) {
  ASSERT_TRUE(Load("match log\npass\n").ok());
  EXPECT_TRUE(Judge(Tcp()).log);
  ASSERT_TRUE(Load("match log (matches)\npass\n").ok());
  EXPECT_TRUE(Judge(Tcp()).log);
  EXPECT_TRUE(Judge(Tcp()).state.has(kStateLogMatches));
}

TEST_F(EvaluateTest, FoldedTrafficCountsForRuleAndTables) {
  ASSERT_TRUE(Load("table <t> { 192.0.2.0/24 }\npass from <t>\n").ok());
  const Verdict verdict = Judge(Tcp());
  CountStateCreated(verdict.state, counters());
  EXPECT_EQ(Counts(0).states, 1u);
  const PacketInfo first = Tcp().Info();
  FoldTraffic(*store_->current(), store_->rule_slots(), verdict.state,
              {.packets = {3, 2},
               .bytes = {300, 200},
               .family = first.family,
               .source = first.source,
               .destination = first.destination},
              counters());
  CountStateEnded(verdict.state, counters());
  const RuleCounts counts = Counts(0);
  EXPECT_EQ(counts.packets[0], 3u);
  EXPECT_EQ(counts.packets[1], 2u);
  EXPECT_EQ(counts.bytes[0], 300u);
  EXPECT_EQ(counts.bytes[1], 200u);
  EXPECT_EQ(counts.states, 0u);
  EXPECT_EQ(counts.states_created, 1u);
  const TableStatus table = PolicyListing(*store_).Tables().at(0);
  EXPECT_EQ(table.counts.match, 1u);
  EXPECT_EQ(table.counts.no_match, 0u);
  EXPECT_EQ(table.counts.packets[0][1], 3u);
  EXPECT_EQ(table.counts.bytes[1][1], 200u);
  EXPECT_EQ(table.counts.packets[0][0], 0u);
}

TEST_F(EvaluateTest, TableCountsOfStatelessPackets) {
  ASSERT_TRUE(Load("table <t> { 192.0.2.0/24 }\nblock from <t>\n").ok());
  Verdict verdict = Judge(Tcp());
  CountPacket(*store_->current(), verdict, Direction::kIn, Tcp().Info(), false,
              counters());
  verdict = Judge({.from = "203.0.113.9"});
  CountPacket(*store_->current(), verdict, Direction::kIn,
              TestPacket{.from = "203.0.113.9"}.Info(), true, counters());
  const TableCounts counts = PolicyListing(*store_).Tables().at(0).counts;
  EXPECT_EQ(counts.match, 1u);
  EXPECT_EQ(counts.no_match, 1u);
  EXPECT_EQ(counts.packets[0][0], 1u);
  EXPECT_EQ(counts.packets[0][1], 0u);
  EXPECT_EQ(counts.bytes[0][0], 60u);
}

TEST_F(EvaluateTest, Probability) {
  ASSERT_TRUE(Load("block probability 25%\n").ok());
  int blocked = 0;
  for (uint64_t random = 0; random < 20000; ++random) {
    blocked += JudgeAt(Tcp(), Direction::kIn, outside_, outside_, kNoTag,
                       random * 0x9e3779b97f4a7c15)
                   .action == VerdictAction::kBlock;
  }
  EXPECT_GT(blocked, 4600);
  EXPECT_LT(blocked, 5400);
}

TEST_F(EvaluateTest, MaxPacketSizeIsNoCondition) {
  ASSERT_TRUE(Load("block max-pkt-size 100\n", Dialect::kFreeBsd).ok());
  EXPECT_FALSE(Passes({.ip_length = 100}));
  EXPECT_FALSE(Passes({.ip_length = 101}));
}

TEST_F(EvaluateTest, ActionsAddUp) {
  ASSERT_TRUE(Load("match scrub (no-df, min-ttl 7) set tos 0x20\n"
                   "match scrub (max-mss 1400)\n"
                   "match scrub (min-ttl 8) set prio (1, 4)\n"
                   "pass scrub (random-id) set tos 0x40\n"
                   "pass proto icmp scrub (min-ttl 99)\n")
                  .ok());
  const PacketActions actions =
      JudgeAt(Tcp(), Direction::kIn, outside_, outside_).state.actions;
  EXPECT_EQ(actions.flags,
            PacketActions::kClearDontFragment | PacketActions::kRandomId |
                PacketActions::kSetTos | PacketActions::kSetPriority);
  EXPECT_EQ(actions.min_ttl, 8);
  EXPECT_EQ(actions.max_mss, 1400);
  EXPECT_EQ(actions.tos, 0x40);
  EXPECT_EQ(actions.priority, (std::array<uint8_t, 2>{0, 4}));
  EXPECT_EQ(actions.max_packet_size, 0);
}

TEST_F(EvaluateTest, SkipIsAskedOfTheGeneration) {
  ASSERT_TRUE(Load("set skip on inside\nblock\n").ok());
  EXPECT_TRUE(store_->current()->Skips(inside_));
  EXPECT_FALSE(store_->current()->Skips(outside_));
  ASSERT_TRUE(Load("set skip on edge\nblock\n").ok());
  EXPECT_TRUE(store_->current()->Skips(outside_));
  EXPECT_FALSE(store_->current()->Skips(inside_));
}

}  // namespace
}  // namespace sluice
