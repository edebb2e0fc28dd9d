// Floods into the whole pipeline: first fragments that nothing follows, and
// requests that a helper follows. What has to hold: a flow that is there loses
// nothing, honest hosts get through, no cap is passed, every buffer comes back.
//
// SLUICE_FLOOD_PACKETS is how many packets each flood has.
#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "conntrack/expectation.h"
#include "conntrack/fragment_cache.h"
#include "dataplane/replay/simulation.h"
#include "pftable/language/parser.h"
#include "tests/support/mbuf_pool.h"
#include "tests/support/packet_text.h"

namespace sluice {
namespace {

constexpr uint16_t kOutside = 0;
constexpr uint16_t kInside = 1;

uint32_t Packets() {
  const char* text = std::getenv("SLUICE_FLOOD_PACKETS");
  return text == nullptr
             ? 12'000
             : static_cast<uint32_t>(std::strtoul(text, nullptr, 10));
}

class FloodProperty : public testing::TestWithParam<Family> {
 protected:
  FloodProperty() : pool_(8191) {}

  void Start(const std::string& rules, uint32_t expectations = 0) {
    auto built = Simulation::Build({.ports = {{.name = "outside"},
                                              {.name = "inside"}},
                                    .wires = {{kOutside, kInside}},
                                    .state_capacity = 4000,
                                    .expectations = expectations,
                                    .pool = pool_.get()});
    ASSERT_TRUE(built.ok()) << built.status();
    simulation_ = *std::move(built);
    ParseInput input;
    input.text = rules;
    const HostFacts facts = simulation_->Facts();
    input.facts = &facts;
    input.no_dns = true;
    ParseResult parsed = ParsePolicy(std::move(input));
    ASSERT_TRUE(parsed.ok()) << FormatDiagnostics(parsed.diagnostics);
    const absl::Status loaded = simulation_->Load(std::move(parsed.policy));
    ASSERT_TRUE(loaded.ok()) << loaded;
    ASSERT_TRUE(Flow());
  }

  // A host that is none of the honest ones; each has a network of its own.
  std::string Source(uint32_t number) const {
    const uint32_t n = number % 60'000;
    return GetParam() == Family::kIpv4
               ? absl::StrCat("10.77.", n / 250, ".", n % 250 + 1)
               : absl::StrCat("[2001:db8:", absl::Hex(n + 1), "::7]");
  }
  std::string Host(const char* v4, const char* v6) const {
    return GetParam() == Family::kIpv4 ? v4 : absl::StrCat("[", v6, "]");
  }
  std::string Server() const { return Host("10.0.0.1", "2001:db8::1"); }
  std::string Client() const { return Host("10.0.0.2", "2001:db8::2"); }
  std::string Honest() const { return Host("10.0.1.9", "2001:db9::9"); }

  // How many packets leave on the other side. What is dropped is counted.
  uint32_t Pass(uint16_t port, const std::string& text) {
    PacketBurst burst;
    burst.count = 1;
    burst.mbufs[0] = pool_.Make(FrameFromText(text));
    BurstResult result;
    simulation_->Process(port, burst, result);
    uint32_t left = 0;
    simulation_->Send(port, result, [&](uint16_t by, rte_mbuf* mbuf) {
      left += by != port;
      rte_pktmbuf_free(mbuf);
    });
    return left;
  }
  // The flow that was there before, forth and back.
  bool Flow() {
    return Pass(kOutside, absl::StrCat("udp ", Client(), ":1025 > ", Server(),
                                       ":53 data 20")) == 1 &&
           Pass(kInside, absl::StrCat("udp ", Server(), ":53 > ", Client(),
                                      ":1025 data 20")) == 1;
  }
  // One half of a datagram in two fragments.
  uint32_t Half(const std::string& from, uint32_t id, int which) {
    return Pass(kOutside,
                absl::StrCat("udp ", from, ":2000 > ", Server(), ":53 ipid ",
                             id % 65'535 + 1, " data 100 part ",
                             which == 0 ? "0 48" : "48 60"));
  }
  uint64_t Displaced() const {
    return simulation_->fragments().statistics().displaced.value();
  }

  MbufPool pool_;
  std::unique_ptr<Simulation> simulation_;
};

INSTANTIATE_TEST_SUITE_P(Families, FloodProperty,
                         testing::Values(Family::kIpv4, Family::kIpv6),
                         [](const auto& info) {
                           return info.param == Family::kIpv4 ? "inet"
                                                              : "inet6";
                         });

// From as many sources as there are packets: the oldest datagrams make room, so
// whoever sends the rest of his before another thousand have come gets through.
TEST_P(FloodProperty, FirstFragmentsFromEverywhere) {
  constexpr uint32_t kLimit = 1000;
  constexpr uint32_t kGap = 400;
  Start(absl::StrCat("set limit frags ", kLimit,
                     "\nblock all\npass proto udp keep state\n"));
  uint32_t honest = 0, through = 0;
  for (uint32_t i = 0; i < Packets(); ++i) {
    ASSERT_EQ(Half(Source(i), i, 0), 0u);
    ASSERT_LE(simulation_->fragments().held(), kLimit);
    if (i % 50 == 0) {
      ASSERT_TRUE(Flow()) << "after " << i;
    }
    if (i % kGap == 0) {
      // Of the one before the rest comes now.
      if (honest > 0) through += Half(Honest(), honest, 1) == 2;
      ASSERT_EQ(Half(Honest(), ++honest, 0), 0u);
    }
  }
  through += Half(Honest(), honest, 1) == 2;
  EXPECT_GE(through * 10, honest * 9) << honest;
  EXPECT_GT(Displaced(), 0u);
  // No fragment makes a state.
  EXPECT_LE(simulation_->states().size(), 4u);
  simulation_->Advance(61'000);
  EXPECT_TRUE(simulation_->fragments().empty());
  EXPECT_EQ(pool_.InUse(), 0u);
}

// From one source: it has its share, and what it sends beyond that costs it its
// own. Whoever else takes long gets through all the same.
TEST_P(FloodProperty, FirstFragmentsFromOneSource) {
  Start("set limit frags 1000\nblock all\npass proto udp keep state\n");
  ASSERT_EQ(Half(Honest(), 1, 0), 0u);
  for (uint32_t i = 0; i < Packets(); ++i) {
    ASSERT_EQ(Half(Source(1), i, 0), 0u);
    // An eighth of the room, and the honest one.
    ASSERT_LE(simulation_->fragments().held(), 4096u / 8 + 1);
    if (i % 50 == 0) {
      ASSERT_TRUE(Flow()) << "after " << i;
    }
  }
  EXPECT_EQ(Half(Honest(), 1, 1), 2u);
  EXPECT_GT(Displaced(), 0u);
  simulation_->Advance(61'000);
  EXPECT_EQ(pool_.InUse(), 0u);
}

// Requests for files, of which each may have an answer from any port: the table
// keeps its size, and an honest client gets its answer.
TEST_P(FloodProperty, RequestsThatAHelperFollows) {
  constexpr uint32_t kExpectations = 64;
  Start("set timeout udp.first 1\nblock all\n"
        "pass proto udp to port { 53 69 } keep state\n",
        kExpectations);
  uint32_t honest = 0, answered = 0;
  uint16_t port = 3000;
  for (uint32_t i = 0; i < Packets(); ++i) {
    ASSERT_EQ(Pass(kOutside,
                   absl::StrCat("udp ", Source(i), ":2000 > ", Server(),
                                ":69 tftp rrq \"f\" octet")),
              1u);
    ASSERT_LE(simulation_->expectations().size(), kExpectations);
    if (i % 50 == 0) {
      ASSERT_TRUE(Flow()) << "after " << i;
    }
    if (i % 100 == 0) {
      ++honest;
      ++port;
      ASSERT_EQ(Pass(kOutside, absl::StrCat("udp ", Honest(), ":", port, " > ",
                                            Server(),
                                            ":69 tftp rrq \"f\" octet")),
                1u);
    }
    // Its answer takes ten requests of others.
    if (i % 100 == 10) {
      answered += Pass(kInside, absl::StrCat("udp ", Server(), ":4000 > ",
                                             Honest(), ":", port,
                                             " tftp data 1 512"));
    }
    // And nobody else is answered who has not asked.
    if (i % 100 == 20) {
      ASSERT_EQ(Pass(kInside,
                     absl::StrCat("udp ", Server(), ":4000 > ", Honest(), ":",
                                  port + 1, " tftp data 1 512")),
                0u);
    }
    // States of requests go soon, here.
    if (i % 500 == 499) simulation_->Advance(1'500);
  }
  EXPECT_GE(answered * 10, honest * 9) << honest;
  EXPECT_GT(simulation_->expectations().statistics().displaced, 0u);
  simulation_->Advance(uint64_t{3} * 86'400 * 1000);
  EXPECT_TRUE(simulation_->expectations().empty());
  EXPECT_EQ(simulation_->states().size(), 0u);
  EXPECT_EQ(pool_.InUse(), 0u);
}

}  // namespace
}  // namespace sluice
