// Why rules match and why they do not. That the explanation decides as the
// interpreter does is tested by tests/property/classify_property.cc.
#include "pftable/engine/explain.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/unit/pftable/engine/engine_fixture.h"

namespace sluice {
namespace {

class ExplainTest : public EngineTest {
 protected:
  Explanation Explained(const TestPacket& packet, size_t near,
                        uint16_t tag = kNoTag) {
    const PacketInfo info = packet.Info();
    return Explain(*store_->current(),
                   {.packet = info,
                    .interface = outside_,
                    .received_on = outside_,
                    .tag = tag},
                   near);
  }
  // "0:" matched, "3:from" did not for its source; the number is the policy's.
  std::string Told(const TestPacket& packet, size_t near = 100) {
    std::string text;
    for (const ExplainedRule& rule : Explained(packet, near).rules) {
      absl::StrAppend(&text, text.empty() ? "" : " ", rule.rule, ":",
                      std::string(Name(rule.failed)));
    }
    return text;
  }
};

TEST_F(ExplainTest, SaysWhichRulesMatchedAndWhichNearly) {
  ASSERT_TRUE(Load("block all\n"
                   "pass in on outside proto tcp to any port 80\n"
                   "pass in on inside proto tcp to any port 80\n"
                   "pass out proto udp to any port 80\n"
                   "pass in quick proto tcp to any port 80\n"
                   "block in proto tcp\n")
                  .ok());
  TestPacket packet = Tcp();
  packet.destination_port = 80;
  // The fourth misses two conditions, the last one is never met.
  EXPECT_EQ(Told(packet), "0: 1: 2:on 4:");
  const Explanation told = Explained(packet, 100);
  EXPECT_EQ(told.met, 5u);
  EXPECT_EQ(told.verdict.rule->number, 4u);
  EXPECT_EQ(Told(packet, 0), "0: 1: 4:");
}

TEST_F(ExplainTest, BoundsWhatIsToldOfThoseThatDoNotMatch) {
  std::string text = "pass\n";
  for (int i = 0; i < 10; ++i) {
    absl::StrAppend(&text, "block from 10.9.9.", i, "\n");
  }
  ASSERT_TRUE(Load(text).ok());
  const Explanation told = Explained(Tcp(), 3);
  EXPECT_EQ(told.rules.size(), 4u);
  EXPECT_EQ(told.left_out, 7u);
}

// Each line misses by what its comment says, and by nothing else.
TEST_F(ExplainTest, NamesTheCondition) {
  const struct {
    const char* rule;
    const char* condition;
  } kRules[] = {
      {"pass in on inside", "on"},
      {"pass out", "direction"},
      {"pass inet6", "address family"},
      {"pass proto udp", "proto"},
      {"pass from 203.0.113.9", "from"},
      {"pass to ! 198.51.100.2", "to"},
      {"pass proto tcp from any port 1", "from port"},
      {"pass proto tcp to any port 1", "to port"},
      {"pass proto tcp flags A/A", "flags"},
      {"pass in fragment", "fragment"},
      {"pass tos 0x04", "tos"},
      {"pass tagged NONE", "tagged"},
      {"pass received-on inside", "received-on"},
  };
  TestPacket packet = Tcp();
  packet.to = "198.51.100.2";
  for (const auto& [rule, condition] : kRules) {
    ASSERT_TRUE(Load(absl::StrCat(rule, " no state\n")).ok()) << rule;
    EXPECT_EQ(Told(packet), absl::StrCat("0:", condition)) << rule;
  }
}

TEST_F(ExplainTest, FollowsAnchorsTagsAndTables) {
  ASSERT_TRUE(Load("table <good> { 192.0.2.0/24, !192.0.2.128/25 }\n"
                   "match in tag SEEN\n"
                   "anchor in {\n"
                   "  pass from <good> tagged SEEN\n"
                   "}\n")
                  .ok());
  TestPacket packet = Tcp();
  packet.from = "192.0.2.1";
  const Explanation told = Explained(packet, 100);
  ASSERT_EQ(told.rules.size(), 3u);
  EXPECT_EQ(told.rules[0].depth, 0u);
  EXPECT_EQ(told.rules[2].depth, 1u);
  EXPECT_EQ(store_->tags().NameOf(told.rules[0].tag), "SEEN");
  ASSERT_EQ(told.rules[2].tables.size(), 1u);
  EXPECT_TRUE(told.rules[2].tables[0].is_source);
  EXPECT_EQ(told.rules[2].tables[0].entry->prefix,
            *ParsePrefix("192.0.2.0/24"));
  packet.from = "192.0.2.200";
  const Explanation negated = Explained(packet, 100);
  EXPECT_EQ(negated.rules[2].failed, RuleCondition::kSource);
  EXPECT_TRUE(negated.rules[2].tables[0].entry->negated);
}

TEST_F(ExplainTest, CountsNothing) {
  ASSERT_TRUE(Load("table <t> { 192.0.2.1 }\nblock from <t>\npass\n").ok());
  Explained(Tcp(), 100);
  EXPECT_EQ(Counts(0).evaluations, 0u);
  EXPECT_EQ(Counts(1).evaluations, 0u);
}

// What a packet has become, or "as it is".
std::string Becomes(const Explanation& told) {
  if (!told.translated) return "as it is";
  const PacketInfo& p = told.packet;
  return absl::StrCat(ToString(p.source_address()), ":", p.source_port.host(),
                      " > ", ToString(p.destination_address()), ":",
                      p.destination_port.host(),
                      told.guessed_address || told.guessed_port ? " or another" : "");
}

TEST_F(ExplainTest, RulesSeeWhatThoseBeforeThemHaveTranslated) {
  ASSERT_TRUE(Load("block all\n"
                   "match in inet proto tcp to any port 80 rdr-to 10.0.0.9 "
                   "port 8080\n"
                   "pass in proto tcp to 10.0.0.9 port 8080\n"
                   "pass in quick proto tcp to any port 80\n")
                  .ok());
  TestPacket packet = Tcp();
  EXPECT_EQ(Told(packet), "0: 1: 2: 3:to port");
  EXPECT_EQ(Becomes(Explained(packet, 0)),
            "192.0.2.1:40000 > 10.0.0.9:8080");
}

TEST_F(ExplainTest, APoolOfManyIsShownByOne) {
  ASSERT_TRUE(Load("pass in inet proto udp nat-to 203.0.113.0/28 "
                   "round-robin\n"
                   "pass in inet proto tcp nat-to 203.0.113.7 static-port\n")
                  .ok());
  EXPECT_EQ(Becomes(Explained(Udp(), 0)),
            "203.0.113.0:50001 > 198.51.100.2:80 or another");
  EXPECT_EQ(Becomes(Explained(Tcp(), 0)),
            "203.0.113.7:40000 > 198.51.100.2:80");
  EXPECT_EQ(Becomes(Explained(Icmp(8), 0)), "as it is");
}

TEST_F(ExplainTest, TheOtherFamily) {
  ASSERT_TRUE(Load("pass in inet6 to 64:ff9b::/96 af-to inet from 192.0.2.9\n")
                  .ok());
  TestPacket packet = Tcp6();
  packet.to = "64:ff9b::c633:6402";
  const Explanation told = Explained(packet, 0);
  EXPECT_EQ(told.verdict.action, VerdictAction::kPass);
  EXPECT_EQ(Becomes(told),
            "192.0.2.9:50001 > 198.51.100.2:80 or another");
}

TEST_F(ExplainTest, TranslationRulesComeBeforeTheFilter) {
  const absl::Status loaded = store_->Load(
      Parsed("rdr on outside inet proto tcp to any port 80 -> 10.0.0.9\n"
             "rdr pass on outside inet proto udp to any port 80 -> 10.0.0.8\n"
             "block all\n"
             "pass in proto tcp to 10.0.0.9\n",
             Dialect::kFreeBsd));
  ASSERT_TRUE(loaded.ok()) << loaded;
  const Explanation told = Explained(Tcp(), 0);
  EXPECT_EQ(Becomes(told), "192.0.2.1:40000 > 10.0.0.9:80");
  EXPECT_EQ(told.verdict.action, VerdictAction::kPass);
  ASSERT_EQ(told.rules.size(), 3u);
  EXPECT_TRUE(store_->current()
                  ->policy->listed[told.rules[0].rule]
                  .translation.has_value());
  // One with `pass` decides alone.
  const Explanation passed = Explained(Udp(), 0);
  EXPECT_EQ(passed.rules.size(), 1u);
  EXPECT_EQ(passed.verdict.action, VerdictAction::kPass);
  EXPECT_TRUE(passed.verdict.keep_state);
  EXPECT_EQ(Becomes(passed), "192.0.2.1:40000 > 10.0.0.8:80");
}

TEST_F(ExplainTest, RatesAndLivesAreAskedAndLeft) {
  ASSERT_TRUE(Load("block all\n"
                   "pass in proto tcp max-pkt-rate 1/10\n"
                   "pass in proto tcp once\n")
                  .ok());
  EXPECT_EQ(Told(Tcp()), "0: 1: 2:");
  EXPECT_EQ(Told(Tcp()), "0: 1: 2:");
  const CompiledRule* const rules = store_->current()->rules().data();
  static_cast<void>(rules[1].record->AcquirePacket(0));
  ASSERT_TRUE(rules[2].record->EndLife(rules[2].once));
  EXPECT_EQ(Told(Tcp()), "0: 1:max-pkt-rate 2:once, which has expired");
}

// The conditions of a rule are asked one by one then, these too.
TEST_F(ExplainTest, RatesAndLivesOfRulesThatNearlyMatchAreLeft) {
  ASSERT_TRUE(Load("block all\n"
                   "pass in proto udp once\n"
                   "pass in proto udp max-pkt-rate 1/10\n"
                   "pass in proto udp to any max-pkt-rate 1/10 once\n")
                  .ok());
  for (int i = 0; i < 3; ++i) {
    for (const TestPacket& packet : {Tcp(), Tcp6()}) {
      EXPECT_EQ(Told(packet), "0: 1:proto 2:proto 3:proto") << i;
    }
  }
  const CompiledRule* const rules = store_->current()->rules().data();
  EXPECT_FALSE(rules[1].record->HasEnded(rules[1].once));
  EXPECT_TRUE(rules[2].record->WouldAcquirePacket(0));
  EXPECT_FALSE(rules[3].record->HasEnded(rules[3].once));
  EXPECT_TRUE(rules[3].record->WouldAcquirePacket(0));
  for (size_t i = 1; i < 4; ++i) {
    EXPECT_EQ(rules[i].record->packets.Value(rules[i].record->packet_rate, 0),
              0u)
        << i;
  }
  // The first packets that do match are the rules' own.
  EXPECT_EQ(Winner(Udp()), 3);
  EXPECT_TRUE(rules[1].record->HasEnded(rules[1].once));
  EXPECT_FALSE(rules[2].record->WouldAcquirePacket(0));
}

// A rate that is used up at the time of the packet is one condition more.
TEST_F(ExplainTest, RulesNearlyMatchAtTheTimeOfThePacket) {
  ASSERT_TRUE(Load("block all\npass in proto udp max-pkt-rate 1/10\n").ok());
  const CompiledRule* const rules = store_->current()->rules().data();
  ASSERT_TRUE(rules[1].record->AcquirePacket(1000));
  const PacketInfo info = Tcp().Info();
  const auto told_at = [&](Tick now) {
    return Explain(*store_->current(),
                   {.packet = info,
                    .interface = outside_,
                    .received_on = outside_,
                    .now = now},
                   100)
        .rules;
  };
  EXPECT_EQ(told_at(1001).size(), 1u);
  const std::vector<ExplainedRule> later = told_at(20'000);
  ASSERT_EQ(later.size(), 2u);
  EXPECT_EQ(later[1].failed, RuleCondition::kProtocol);
}

TEST_F(ExplainTest, APacketHasOneDrawForAllThatIsSaid) {
  ASSERT_TRUE(Load("pass\nblock in probability 50%\n").ok());
  const PacketInfo info = Tcp().Info();
  int blocked = 0;
  for (uint64_t random = 0; random < 64; ++random) {
    const Explanation told = Explain(*store_->current(),
                                     {.packet = info,
                                      .interface = outside_,
                                      .received_on = outside_,
                                      .random = random},
                                     100);
    ASSERT_EQ(told.rules.size(), 2u);
    const bool blocks = told.verdict.action == VerdictAction::kBlock;
    EXPECT_EQ(told.rules[1].failed,
              blocks ? RuleCondition::kNone : RuleCondition::kProbability)
        << random;
    blocked += blocks ? 1 : 0;
  }
  EXPECT_GT(blocked, 10);
  EXPECT_LT(blocked, 54);
}

TEST_F(ExplainTest, RulesBehindOneThatTranslatesSeeWhatItHasMade) {
  ASSERT_TRUE(Load("block\n"
                   "match in proto tcp to any port 80 rdr-to 10.0.0.5 port 8080\n"
                   "pass in proto tcp to 10.0.0.5 port 8080\n"
                   "pass in proto tcp to any port 80 tag LATE\n")
                  .ok());
  const Explanation told = Explained(Tcp(), 100);
  EXPECT_EQ(told.verdict.rule->number, 2u);
  EXPECT_TRUE(told.translated);
  EXPECT_FALSE(told.guessed_address || told.guessed_port);
  EXPECT_EQ(told.packet.destination_address(), *ParseAddress("10.0.0.5"));
  EXPECT_EQ(told.packet.destination_port.host(), 8080);
  // The last one misses the packet by its port: as it is by then.
  EXPECT_EQ(told.rules.back().failed, RuleCondition::kDestinationPort);
}

}  // namespace
}  // namespace sluice
