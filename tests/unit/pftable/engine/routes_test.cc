// `no-route` and `urpf-failed`, which ask the routes of the packet's port.
#include <array>
#include <memory>
#include <set>
#include <string>

#include "pftable/classify/classify.h"
#include "pftable/engine/explain.h"
#include "pftable/engine/route_view.h"
#include "pftable/engine/translation.h"
#include "tests/unit/pftable/engine/engine_fixture.h"

namespace sluice {
namespace {

class FixedRoutes final : public RouteView {
 public:
  bool HasRoute(const Address& address) const override {
    return there.contains(ToString(address));
  }
  bool LeadsBack(const Address& address) const override {
    return back.contains(ToString(address));
  }

  std::set<std::string> there;
  std::set<std::string> back;
};

class RoutesTest : public EngineTest {
 protected:
  EvaluationInput Input(const PacketInfo& packet, Direction direction) {
    return {.packet = packet,
            .direction = direction,
            .interface = direction == Direction::kIn ? outside_ : inside_,
            .received_on = outside_,
            .routes = routed_ ? &routes_ : nullptr};
  }
  // The number of the rule that wins, by the interpreter, the classifier and
  // the explanation.
  int WinnerOf(const TestPacket& packet,
               Direction direction = Direction::kIn) {
    const PacketInfo info = packet.Info();
    const EvaluationInput input = Input(info, direction);
    const auto number = [](const Verdict& verdict) {
      return verdict.rule == nullptr ? -1
                                     : static_cast<int>(verdict.rule->number);
    };
    const Generation& generation = *store_->current();
    const int winner = number(Evaluate(generation, input, counters()));
    EXPECT_EQ(number(Explain(generation, input, 0).verdict), winner);
    // Rules are few: the store would have them walked.
    const std::shared_ptr<const Classifier> classifier = Classifier::Build(
        *generation.policy, interfaces_.Views(), {.least_rules = 1});
    const std::array<const PacketInfo*, 1> packets = {&info};
    std::array<Candidates, 1> candidates;
    FindCandidates(*classifier, direction, input.interface, packets, cache_,
                   candidates);
    EXPECT_NE(candidates[0].part, nullptr);
    EXPECT_EQ(number(EvaluateCandidates(generation, input, candidates[0],
                                        counters())),
              winner);
    return winner;
  }

  FixedRoutes routes_;
  bool routed_ = true;
  VerdictCache cache_;
};

TEST_F(RoutesTest, NoRoute) {
  ASSERT_TRUE(Load("pass\n"
                   "block from no-route\n"
                   "pass to no-route\n")
                  .ok());
  EXPECT_EQ(WinnerOf(Tcp()), 2);
  routes_.there = {"198.51.100.2"};
  EXPECT_EQ(WinnerOf(Tcp()), 1);
  routes_.there = {"192.0.2.1", "198.51.100.2"};
  EXPECT_EQ(WinnerOf(Tcp()), 0);
  EXPECT_EQ(WinnerOf(Tcp6()), 2);
  routes_.there.insert("2001:db8:1::2");
  EXPECT_EQ(WinnerOf(Tcp6()), 1);
  routes_.there.insert("2001:db8::1");
  EXPECT_EQ(WinnerOf(Tcp6(), Direction::kOut), 0);
}

TEST_F(RoutesTest, ReversePath) {
  ASSERT_TRUE(Load("pass\nblock in from urpf-failed\n").ok());
  // Another interface has it.
  routes_.there = {"192.0.2.1", "2001:db8::1"};
  EXPECT_EQ(WinnerOf(Tcp()), 1);
  EXPECT_EQ(WinnerOf(Tcp6()), 1);
  routes_.back = {"192.0.2.1", "2001:db8::1"};
  EXPECT_EQ(WinnerOf(Tcp()), 0);
  EXPECT_EQ(WinnerOf(Tcp6()), 0);
}

TEST_F(RoutesTest, AddressesOfOneLinkNeedNoRoute) {
  ASSERT_TRUE(Load("pass\n"
                   "block from no-route\n"
                   "block from urpf-failed\n"
                   "block to no-route\n")
                  .ok());
  routes_.there = {"2001:db8::1"};
  routes_.back = {"2001:db8::1"};
  EXPECT_EQ(WinnerOf({.from = "fe80::1", .to = "fe80::2"}), 0);
  EXPECT_EQ(WinnerOf({.from = "fe80::1", .to = "ff02::1"}), 0);
  EXPECT_EQ(WinnerOf({.from = "febf::1", .to = "ff01::1"}), 0);
  EXPECT_EQ(WinnerOf({.from = "fe80::1", .to = "ff05::1"}), 3);
  EXPECT_EQ(WinnerOf({.from = "fec0::1", .to = "ff02::1"}), 2);
  EXPECT_EQ(WinnerOf({.from = "2001:db8::1", .to = "fe80::2"}), 0);
}

TEST_F(RoutesTest, NothingIsRoutedWithoutARouter) {
  ASSERT_TRUE(Load("pass\n"
                   "block from no-route\n"
                   "block from urpf-failed\n")
                  .ok());
  EXPECT_EQ(WinnerOf(Tcp()), 2);
  routed_ = false;
  EXPECT_EQ(WinnerOf(Tcp()), 0);
  EXPECT_EQ(WinnerOf(Tcp6()), 0);
}

TEST_F(RoutesTest, TheExplanationNamesTheCondition) {
  ASSERT_TRUE(Load("pass\nblock from no-route\nblock to no-route\n").ok());
  routes_.there = {"192.0.2.1", "198.51.100.2"};
  const PacketInfo info = Tcp().Info();
  const Explanation told =
      Explain(*store_->current(), Input(info, Direction::kIn), 10);
  ASSERT_EQ(told.rules.size(), 3u);
  EXPECT_EQ(told.rules[0].failed, RuleCondition::kNone);
  EXPECT_EQ(told.rules[1].failed, RuleCondition::kSource);
  EXPECT_EQ(told.rules[2].failed, RuleCondition::kDestination);
}

// Of a living state its rule is known to have been for it, whatever the routes
// are by now; others are not asked of routes.
TEST_F(RoutesTest, LivingStates) {
  ASSERT_TRUE(Load("block\n"
                   "pass from no-route\n"
                   "pass from urpf-failed to no-route\n")
                  .ok());
  const PacketInfo info = Tcp().Info();
  const auto winner = [&](int made_by) {
    EvaluationInput input = {
        .packet = info,
        .interface = outside_,
        .received_on = outside_,
        .rehearsal = Rehearsal::kOfState,
        .made_by = store_->current()->rules()[made_by].slot};
    return Evaluate(*store_->current(), input, counters()).rule->number;
  };
  EXPECT_EQ(winner(0), 0u);
  EXPECT_EQ(winner(1), 1u);
  EXPECT_EQ(winner(2), 2u);
}

// FreeBSD's translation rules are asked with the same routes, and with their
// addresses as they came.
TEST_F(RoutesTest, TranslationRules) {
  ASSERT_TRUE(Load("no rdr from no-route to any\n"
                   "rdr proto tcp from any to any -> 10.0.0.1\n"
                   "pass\n",
                   Dialect::kFreeBsd)
                  .ok());
  const auto redirects = [&] {
    const PacketInfo info = Tcp().Info();
    return Explain(*store_->current(), Input(info, Direction::kIn), 0)
        .translated;
  };
  EXPECT_FALSE(redirects());
  routes_.there = {"192.0.2.1"};
  EXPECT_TRUE(redirects());
}

}  // namespace
}  // namespace sluice
