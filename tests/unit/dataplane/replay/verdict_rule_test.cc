// Which rule is told of a packet: one of the judgement that was the last, and
// none of an earlier one.
#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "dataplane/replay/simulation.h"
#include "pftable/language/parser.h"
#include "tests/support/mbuf_pool.h"
#include "tests/support/packet_text.h"

namespace sluice {
namespace {

struct LastTold {
  std::optional<Direction> judged;
  uint32_t rule = kNoRule;
  bool passed = false;
};

void KeepTold(void* context, uint32_t, const PacketVerdict& verdict) {
  *static_cast<LastTold*>(context) = {.judged = verdict.judged,
                                      .rule = verdict.rule,
                                      .passed = verdict.passed};
}

class VerdictRuleTest : public ::testing::TestWithParam<bool> {
 protected:
  // Over a wire, or through a router.
  void Start(const std::string& rules) {
    SimulationOptions options;
    options.ports = {{.name = "outside"}, {.name = "inside"}};
    if (GetParam()) {
      options.routers = {{.ports = {0, 1}}};
    } else {
      options.wires = {{0, 1}};
    }
    options.pool = pool_.get();
    options.state_capacity = 100;
    options.on_verdict = &KeepTold;
    options.on_verdict_context = &told_;
    simulation_ = Simulation::Build(options).value();
    if (GetParam()) {
      ASSERT_TRUE(simulation_->tables(0)
                      .SetRoute({.prefix = *ParsePrefix("10.2.0.0/16"),
                                 .hops = {{.port = 1}}})
                      .ok());
      ASSERT_TRUE(simulation_->tables(0)
                      .SetNeighbor(1, *ParseAddress("10.2.0.2"),
                                   NeighborState::kKnown, {2, 0, 0, 0, 0, 9})
                      .ok());
    }
    ParseInput input;
    input.text = rules;
    ParseResult parsed = ParsePolicy(std::move(input));
    ASSERT_TRUE(parsed.ok()) << FormatDiagnostics(parsed.diagnostics);
    ASSERT_TRUE(simulation_->Load(std::move(parsed.policy)).ok());
  }
  LastTold Send() {
    rte_mbuf* const mbuf = pool_.Make(
        FrameFromText("udp 10.1.0.2:1000 > 10.2.0.2:53 data 5"));
    const MacAddress mac = Simulation::MacOf(0);
    std::copy(mac.begin(), mac.end(), rte_pktmbuf_mtod(mbuf, uint8_t*));
    PacketBurst burst;
    burst.count = 1;
    burst.mbufs[0] = mbuf;
    told_ = {};
    simulation_->Deliver(0, burst,
                         [](uint16_t, rte_mbuf* m) { rte_pktmbuf_free(m); });
    return told_;
  }

  MbufPool pool_{16};
  LastTold told_;
  std::unique_ptr<Simulation> simulation_;
};

INSTANTIATE_TEST_SUITE_P(Ways, VerdictRuleTest, testing::Values(false, true),
                         [](const auto& info) {
                           return info.param ? "Router" : "Wire";
                         });

TEST_P(VerdictRuleTest, AStateDecidesBehindARule) {
  Start("pass in on outside proto udp no state\n"
        "pass out on \"inside\" proto udp\n");
  LastTold first = Send();
  EXPECT_TRUE(first.passed);
  EXPECT_EQ(first.judged, Direction::kOut);
  EXPECT_EQ(first.rule, 1u);
  LastTold second = Send();
  EXPECT_TRUE(second.passed);
  EXPECT_EQ(second.judged, Direction::kOut);
  EXPECT_EQ(second.rule, kNoRule) << "no rule was asked there";
}

TEST_P(VerdictRuleTest, ARuleDecidesBehindAState) {
  Start("pass in on outside proto udp\n"
        "pass out on \"inside\" proto udp no state\n");
  Send();
  const LastTold second = Send();
  EXPECT_EQ(second.judged, Direction::kOut);
  EXPECT_EQ(second.rule, 1u);
}

TEST_P(VerdictRuleTest, WhereNothingIsJudgedTheFirstRuleHasDecided) {
  Start("set skip on \"inside\"\npass in on outside proto udp no state\n");
  const LastTold told = Send();
  EXPECT_TRUE(told.passed);
  EXPECT_EQ(told.judged, Direction::kIn);
  EXPECT_EQ(told.rule, 0u);
}

}  // namespace
}  // namespace sluice
