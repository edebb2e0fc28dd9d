// What a classifier is made of, and where it leaves rules to the interpreter.
// That both decide alike is tested by tests/property/classify_property.cc.
#include "pftable/classify/classifier.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "pftable/classify/classify.h"
#include "pftable/classify/rule_fields.h"
#include "pftable/store/table_edits.h"
#include "tests/unit/pftable/engine/engine_fixture.h"

namespace sluice {
namespace {

class ClassifierTest : public EngineTest {
 protected:
  const Classifier* Loaded(const std::string& text) {
    EXPECT_TRUE(Load(text).ok());
    return store_->current()->policy->classifier.get();
  }
  Verdict Classified(const TestPacket& packet, InterfaceView at) {
    const PacketInfo info = packet.Info();
    return Classify(*store_->current(),
                    {.packet = info, .interface = at, .received_on = at},
                    cache_, counters());
  }

  VerdictCache cache_;
};

std::string ManyRules(int count) {
  std::string text = "block all\n";
  for (int i = 0; i < count; ++i) {
    absl::StrAppend(&text, "pass in quick inet proto tcp from any to 10.", i / 250,
                    ".0.", i % 250, " port 80\n");
  }
  return text;
}

TEST_F(ClassifierTest, FewRulesAreWalked) {
  const Classifier* classifier = Loaded("block all\npass in inet proto tcp\n");
  EXPECT_EQ(classifier->part(Direction::kIn, Family::kIpv4), nullptr);
  EXPECT_EQ(classifier->report().walked, 0u);
}

TEST_F(ClassifierTest, OnlyRulesOfADirectionAndFamilyAreInItsPart) {
  const Classifier* classifier = Loaded(ManyRules(20));
  ASSERT_NE(classifier->part(Direction::kIn, Family::kIpv4), nullptr);
  EXPECT_EQ(classifier->part(Direction::kIn, Family::kIpv4)->entries.size(),
            21u);
  EXPECT_EQ(classifier->part(Direction::kOut, Family::kIpv4), nullptr);
  EXPECT_EQ(classifier->part(Direction::kIn, Family::kIpv6), nullptr);
}

TEST_F(ClassifierTest, DirectionsShareAPartWhereNoRuleNamesOne) {
  std::string text = "block all\n";
  for (int i = 0; i < 20; ++i) {
    absl::StrAppend(&text, "pass inet proto tcp from any to any port ", i + 70,
                    "\n");
  }
  const Classifier* shared = Loaded(text);
  ASSERT_NE(shared->part(Direction::kIn, Family::kIpv4), nullptr);
  EXPECT_EQ(shared->part(Direction::kIn, Family::kIpv4),
            shared->part(Direction::kOut, Family::kIpv4));
  EXPECT_EQ(shared->report().parts[1][0].rules, 21u);
  const Classifier* own = Loaded(text + "block out inet proto udp\n");
  EXPECT_NE(own->part(Direction::kIn, Family::kIpv4),
            own->part(Direction::kOut, Family::kIpv4));
  EXPECT_EQ(own->part(Direction::kIn, Family::kIpv4)->entries.size(), 21u);
  EXPECT_EQ(own->part(Direction::kOut, Family::kIpv4)->entries.size(), 22u);
}

TEST_F(ClassifierTest, ManyRulesStandInLists) {
  const Classifier* classifier = Loaded(ManyRules(2000));
  EXPECT_EQ(classifier->report().listed, 2000u);
  EXPECT_EQ(classifier->report().records, 2000u);
}

TEST_F(ClassifierTest, AnInterfaceThatCameLaterIsWalked) {
  std::string text = "block all\n";
  for (int i = 0; i < 20; ++i) {
    absl::StrAppend(&text, "pass on ! outside proto tcp from any to any port ",
                    i + 70, "\n");
  }
  const Classifier* classifier = Loaded(text);
  ASSERT_NE(classifier->part(Direction::kIn, Family::kIpv4), nullptr);
  const InterfaceView later = *interfaces_.AddPort("later");
  EXPECT_EQ(classifier->part(Direction::kIn, Family::kIpv4)->link.Find(later),
            nullptr);
  EXPECT_NE(
      classifier->part(Direction::kIn, Family::kIpv4)->link.Find(inside_),
      nullptr);
  EXPECT_EQ(Classified(Tcp(), later).action, VerdictAction::kPass);
  EXPECT_EQ(Classified(Tcp(), outside_).action, VerdictAction::kBlock);
}

TEST_F(ClassifierTest, AnchorsThatMultiplyTooMuchAreWalked) {
  ASSERT_TRUE(Load(ManyRules(20)).ok());
  const auto classifier = Classifier::Build(
      *store_->current()->policy, interfaces_.Views(), {.most_rules = 10});
  EXPECT_EQ(classifier->part(Direction::kIn, Family::kIpv4), nullptr);
  EXPECT_GT(classifier->report().walked, 0u);
  EXPECT_EQ(classifier->report().parts[0][0].walked,
            classify::WalkReason::kAnchors);
}

// A part says why it is walked, or that it is not.
TEST_F(ClassifierTest, ReportsEachPart) {
  const auto& parts = Loaded(ManyRules(20))->report().parts;
  const size_t in = static_cast<size_t>(Direction::kIn);
  const size_t out = static_cast<size_t>(Direction::kOut);
  EXPECT_EQ(parts[in][0].walked, classify::WalkReason::kNone);
  EXPECT_EQ(parts[in][0].rules, 21u);
  EXPECT_EQ(parts[in][1].walked, classify::WalkReason::kFew);
  EXPECT_EQ(parts[out][0].walked, classify::WalkReason::kFew);
  const auto narrow = Classifier::Build(
      *store_->current()->policy, interfaces_.Views(),
      {.blocks_per_rule = 0, .least_blocks = 0});
  EXPECT_GT(narrow->report().demoted + narrow->report().walked, 0u);
}

// The second packet of a kind is found in the cache, and an edit of a table is
// seen all the same.
TEST_F(ClassifierTest, WhatTablesHoldIsNotRemembered) {
  ASSERT_TRUE(Load(ManyRules(20) +
                   "table <bad> { 203.0.113.1 }\n"
                   "block in quick from <bad>\npass in\n")
                  .ok());
  EXPECT_EQ(Classified(Tcp(), outside_).action, VerdictAction::kPass);
  const TableKey bad{.anchor = "", .name = "bad"};
  const TableEntry entry{.prefix = *ParsePrefix("192.0.2.1")};
  auto edit = StageAddAddresses(*store_, bad, {&entry, 1});
  ASSERT_TRUE(edit.ok());
  ASSERT_TRUE(store_->Publish(std::move(edit->generation)).ok());
  EXPECT_EQ(Classified(Tcp(), outside_).action, VerdictAction::kBlock);
}

// What the classifier has not been told of is verified: each field of a rule
// is a dimension, an action or a reason to look again.
TEST(RuleFieldsTest, EveryConditionIsKnown) {
  const auto with = [](auto change) {
    CompiledRule rule;
    change(rule);
    return classify::FieldsOf(rule);
  };
  const auto compared = with([](CompiledRule& r) {
    r.direction = Direction::kIn;
    r.family = Family::kIpv6;
    r.any_protocol = false;
    r.protocol = protocol::kTcp;
    r.flags_set = r.flags_mask = kTcpSyn;
    r.has_icmp_type = r.has_icmp_code = true;
    r.icmp_type = r.icmp_code = 3;
    r.fragments_only = r.never = r.owner = true;
    r.source_port = {.low = 1, .high = 2, .is_set = true};
    r.destination_port = r.source_port;
    r.on.kind = InterfaceCondition::Kind::kAny;
    r.source.kind = AddressCondition::Kind::kTable;
    r.destination.kind = AddressCondition::Kind::kPrefix;
    r.action = RuleAction::kMatch;
    r.quick = r.allow_options = r.log = r.log_all = r.log_matches = true;
    r.tag = 1;
    r.state = StateKind::kKeep;
    r.state_flags = kStateSloppy;
    r.slot = 7;
    r.is_call = true;
    r.call_end = 2;
  });
  EXPECT_FALSE(compared.verified);
  EXPECT_FALSE(compared.unknown);
  void (*const verified[])(CompiledRule&) = {
      [](CompiledRule& r) { r.has_tos = true; },
      [](CompiledRule& r) { r.tos = 1; },
      [](CompiledRule& r) { r.tagged = 1; },
      [](CompiledRule& r) { r.tagged_negated = true; },
      [](CompiledRule& r) { r.has_priority = true; },
      [](CompiledRule& r) { r.probability = 1; },
      [](CompiledRule& r) {
        r.received_on.kind = InterfaceCondition::Kind::kAny;
      }};
  for (size_t i = 0; i < std::size(verified); ++i) {
    const classify::RuleFields fields = with(verified[i]);
    EXPECT_TRUE(fields.verified) << i;
    EXPECT_FALSE(fields.unknown) << i;
  }
}

TEST_F(ClassifierTest, CountsCandidates) {
  ASSERT_TRUE(Load(ManyRules(20)).ok());
  TestPacket packet = Tcp();
  packet.to = "10.0.0.7";
  EXPECT_EQ(Classified(packet, outside_).rule->number, 8u);
  EXPECT_EQ(Counts(8).evaluations, 1u);
  EXPECT_EQ(Counts(7).evaluations, 0u);
}

}  // namespace
}  // namespace sluice
