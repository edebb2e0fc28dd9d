// Evaluation of anchors.
#include <string>

#include <gtest/gtest.h>

#include "pftable/store/invariants.h"
#include "pftable/store/policy_listing.h"
#include "tests/support/table_changes.h"
#include "tests/unit/pftable/engine/engine_fixture.h"

namespace sluice {
namespace {

class AnchorTest : public EngineTest {
 protected:
  // "anchor:number" of the winning rule, "" for the default.
  std::string Where(const TestPacket& packet) {
    const Verdict verdict = Judge(packet);
    if (verdict.rule == nullptr) return "";
    for (const RuleStatus& status : PolicyListing(*store_).AllRules()) {
      if (status.rule.slot == verdict.state.rule_slot) {
        return status.rule.anchor + ":" + std::to_string(status.rule.number);
      }
    }
    return "?";
  }
};

TEST_F(AnchorTest, InlineRulesAreEvaluatedInPlace) {
  ASSERT_TRUE(
      Load("block\nanchor in proto tcp { pass proto tcp to port 80 }\n").ok());
  EXPECT_TRUE(Passes(Tcp()));
  EXPECT_FALSE(Passes(Udp()));
  TestPacket other = Tcp();
  other.destination_port = 81;
  EXPECT_FALSE(Passes(other));
}

TEST_F(AnchorTest, ALaterRuleStillWins) {
  ASSERT_TRUE(Load("anchor { pass }\nblock\n").ok());
  EXPECT_EQ(Where(Tcp()), ":1");
}

TEST_F(AnchorTest, QuickInsideStopsEverything) {
  ASSERT_TRUE(Load("anchor { anchor { pass quick } }\nblock\n").ok());
  EXPECT_TRUE(Passes(Tcp()));
}

TEST_F(AnchorTest, QuickAnchorStopsIfSomethingInItMatched) {
  ASSERT_TRUE(
      Load("anchor quick { pass proto tcp }\nblock\n").ok());
  EXPECT_TRUE(Passes(Tcp()));
  EXPECT_FALSE(Passes(Udp()));
  // A match rule is no decision.
  ASSERT_TRUE(Load("anchor quick { match proto tcp }\nblock\n").ok());
  EXPECT_FALSE(Passes(Tcp()));
  // A decision before the anchor is none of the anchor.
  ASSERT_TRUE(Load("pass\nanchor quick { block proto udp }\nblock\n").ok());
  EXPECT_FALSE(Passes(Tcp()));
}

TEST_F(AnchorTest, NamedOnesAreFilledByPath) {
  ASSERT_TRUE(Load("block\n"
                   "anchor \"a\" { anchor \"b\" { pass } }\n")
                  .ok());
  EXPECT_EQ(Where(Tcp()), "a/b:0");
  EXPECT_TRUE(PolicyListing(*store_).Rules("a/b").ok());
  EXPECT_EQ(PolicyListing(*store_).Rules("b").status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(AnchorTest, OneThatIsEmptyMatchesNothing) {
  ASSERT_TRUE(Load("anchor \"later\"\nblock proto udp\n").ok());
  EXPECT_EQ(Where(Tcp()), "");
}

TEST_F(AnchorTest, WildcardsCallChildrenInOrderOfName) {
  ASSERT_TRUE(Load("block\n"
                   "anchor \"x/*\"\n"
                   "anchor \"x\" proto 253 {\n"
                   "  block quick proto tcp\n"
                   "  anchor \"b\" { pass }\n"
                   "  anchor \"a\" { block }\n"
                   "}\n")
                  .ok());
  // Not x itself; a before b, so that b's pass is the last.
  EXPECT_EQ(Where(Tcp()), "x/b:0");
}

TEST_F(AnchorTest, CallsCountAndAreWithTheState) {
  ASSERT_TRUE(Load("anchor proto tcp { pass }\n").ok());
  const Verdict verdict = Judge(Tcp());
  const auto rules = *PolicyListing(*store_).Rules("");
  EXPECT_EQ(verdict.state.anchor_slot, rules[0].rule.slot);
  CountPacket(*store_->current(), verdict, Direction::kIn, Tcp().Info(),
              true, counters());
  Judge(Udp());
  EXPECT_EQ(Counts(0).evaluations, 2u);
  EXPECT_EQ(Counts(0).packets[0], 1u);
  EXPECT_EQ(Judge(Udp()).state.anchor_slot, kNoRuleSlot);
}

TEST_F(AnchorTest, OwnTablesComeBeforeTheMainOnes) {
  ASSERT_TRUE(Load("table <t> { 192.0.2.1 }\n"
                   "table <u> { 192.0.2.1 }\n"
                   "pass\n"
                   "anchor \"a\" {\n"
                   "  table <t> { 203.0.113.1 }\n"
                   "  block from <t>\n"
                   "  block proto udp from <u>\n"
                   "}\n")
                  .ok());
  EXPECT_TRUE(Passes(Tcp()));
  EXPECT_FALSE(Passes({.from = "203.0.113.1"}));
  EXPECT_FALSE(Passes(Udp()));
  EXPECT_TRUE(CheckInvariants(*store_).ok())
      << CheckInvariants(*store_).message();
}

TEST_F(AnchorTest, ATableMadeLaterInTheAnchorTakesOver) {
  ASSERT_TRUE(Load("table <t> { 192.0.2.1 }\n"
                   "anchor \"a\" { block from <t> }\n")
                  .ok());
  EXPECT_FALSE(Passes(Tcp()));
  const TableEntry entry = {.prefix = *ParsePrefix("203.0.113.1")};
  ASSERT_TRUE(AddAddresses(*store_, {.anchor = "a", .name = "t"},
                                 std::span(&entry, 1))
                  .ok());
  EXPECT_TRUE(Passes(Tcp()));
  EXPECT_FALSE(Passes({.from = "203.0.113.1"}));
  EXPECT_TRUE(CheckInvariants(*store_).ok());
  ASSERT_TRUE(KillTable(*store_, {.anchor = "a", .name = "t"}).ok());
  EXPECT_FALSE(Passes(Tcp()));
  EXPECT_TRUE(CheckInvariants(*store_).ok());
}

TEST_F(AnchorTest, LoopsAreRefused) {
  const uint64_t hash = store_->generation()->hash;
  const absl::Status status =
      Load("anchor \"a\" {\n  anchor \"/a\"\n}\n");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(std::string(status.message()).find("pf.conf:2:"),
            std::string::npos)
      << status.message();
  EXPECT_EQ(store_->generation()->hash, hash);
}

Policy Nested(uint32_t depth, uint32_t calls) {
  Policy policy;
  Anchor* at = &policy.main;
  std::string path;
  for (uint32_t i = 0; i < depth; ++i) {
    path += (path.empty() ? "" : "/") + std::string("n");
    Rule call;
    call.action = RuleAction::kPass;
    call.anchor_call = "n";
    call.anchor_path = path;
    for (uint32_t c = 0; c < calls; ++c) at->rules.filter.push_back(call);
    at->children.emplace_back().name = "n";
    at = &at->children.back();
  }
  Rule block;
  block.action = RuleAction::kBlock;
  at->rules.filter.push_back(block);
  return policy;
}

TEST_F(AnchorTest, DepthIsBounded) {
  ASSERT_TRUE(store_->Load(Nested(kMaxAnchorDepth, 1)).ok());
  EXPECT_FALSE(Passes(Tcp()));
  EXPECT_EQ(store_->Load(Nested(kMaxAnchorDepth + 1, 1)).code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(AnchorTest, CallsThatMultiplyAreRefused) {
  EXPECT_TRUE(store_->Load(Nested(4, 10)).ok());
  EXPECT_EQ(store_->Load(Nested(12, 10)).code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(AnchorTest, TheLimitOfAnchorsHolds) {
  EXPECT_EQ(LoadWithLimit(Limit::kAnchors, 1,
                          "anchor \"a\" { anchor \"b\" }\n"
                          "anchor \"c\" { pass }\n")
                .code(),
            absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace sluice
