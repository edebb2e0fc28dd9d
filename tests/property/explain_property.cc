// What explain says of a packet is what then becomes of it: random rules that
// filter, tag, translate, count and look at systems, in both dialects and
// families, and new flows through them.
// SLUICE_PROPERTY_FACTOR multiplies the work.
#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include <cstdlib>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "dataplane/replay/simulation.h"
#include "packet/parse.h"
#include "packet/syn_signature.h"
#include "pftable/engine/explain.h"
#include "pftable/language/parser.h"
#include "tests/support/mbuf_pool.h"
#include "tests/support/packet_text.h"

namespace sluice {
namespace {

constexpr uint16_t kOutside = 0;
constexpr uint16_t kInside = 1;

class Runner {
 public:
  Runner(uint32_t seed, MbufPool& pool)
      : random_(seed), v4_(Below(2) == 0), freebsd_(Below(2) == 0),
        pool_(pool) {}

  void Run(int packets) {
    auto built = Simulation::Build({.ports = {{.name = "outside"},
                                              {.name = "inside"}},
                                    .wires = {{kOutside, kInside}},
                                    .state_capacity = 4000,
                                    .pool = pool_.get(),
                                    .seed = random_()});
    ASSERT_TRUE(built.ok());
    simulation_ = *std::move(built);
    ParseInput input;
    input.text = text_ = Ruleset();
    input.dialect = freebsd_ ? Dialect::kFreeBsd : Dialect::kOpenBsd;
    ParseResult parsed = ParsePolicy(std::move(input));
    ASSERT_TRUE(parsed.ok()) << FormatDiagnostics(parsed.diagnostics) << text_;
    const absl::Status loaded = simulation_->Load(std::move(parsed.policy));
    ASSERT_TRUE(loaded.ok()) << loaded << text_;
    for (int i = 0; i < packets && !testing::Test::HasFailure(); ++i) {
      simulation_->Advance(Below(2000));
      Step();
    }
  }

  uint64_t passed() const { return passed_; }
  uint64_t dropped() const { return dropped_; }
  uint64_t translated() const { return translated_; }

 private:
  uint32_t Below(uint32_t n) { return static_cast<uint32_t>(random_() % n); }
  bool OneIn(uint32_t n) { return Below(n) == 0; }

  std::string Host(uint32_t n) {
    return absl::StrCat(v4_ ? "10.0.0." : "2001:db8::", n);
  }
  std::string Port() { return absl::StrCat(" port ", 80 + Below(3)); }
  std::string Proto() { return OneIn(2) ? " proto tcp" : " proto udp"; }

  // Where and which packets; `from` is what `os` stands behind.
  std::string Conditions(const std::string& place, bool system) {
    std::string text = place + (v4_ ? " inet" : " inet6");
    const std::string proto = Proto();
    text += proto + " from " + (OneIn(2) ? "any" : Host(1 + Below(3)));
    if (system && proto == " proto tcp" && OneIn(3)) {
      text += OneIn(2) ? " os Linux" : " os unknown";
    }
    return text + " to " + (OneIn(2) ? "any" : Host(5 + Below(4))) +
           (OneIn(3) ? "" : Port());
  }
  std::string Place() {
    return OneIn(2) ? " in on outside" : " out on inside";
  }
  // `quick` stands between direction and interface.
  std::string Quickly(std::string place) {
    if (OneIn(4)) place.insert(place.find(" on "), " quick");
    return place;
  }
  std::string Target() {
    return Host(5 + Below(4)) + (OneIn(2) ? Port() : "");
  }

  std::string Ruleset() {
    std::string text;
    if (freebsd_) {
      text += "set require-order no\n";
      for (uint32_t i = Below(3); i-- > 0;) {
        const std::string rule =
            Conditions(OneIn(2) ? "" : " on outside", false);
        text += "rdr" + std::string(OneIn(3) ? " pass" : "") + rule + " -> " +
                Target() + "\n";
      }
      for (uint32_t i = Below(3); i-- > 0;) {
        text += "nat" + std::string(OneIn(3) ? " pass" : "") +
                Conditions(" on inside", false) + " -> " + Host(90) +
                (OneIn(2) ? " static-port" : "") + "\n";
      }
    }
    if (OneIn(2)) text += "block all\n";
    for (uint32_t i = 2 + Below(8); i-- > 0;) text += Rule();
    return text;
  }

  std::string Rule() {
    const std::string place = Place();
    const uint32_t kind = Below(10);
    if (kind < 2) {
      return "block" + Conditions(Quickly(place), true) + "\n";
    }
    const bool is_match = kind < 4;
    std::string text = is_match ? "match" : "pass";
    text += Conditions(is_match ? place : Quickly(place), true);
    if (OneIn(5)) text += " tag T";
    if (OneIn(6)) text += " tagged T";
    if (!is_match && OneIn(6)) text += " once";
    if (OneIn(6)) text += " max-pkt-rate 2/3";
    // FreeBSD's filter rules have the same words, since its version 15.
    if (OneIn(3)) {
      text += place == " in on outside"
                  ? " rdr-to " + Target()
                  : " nat-to " + Host(90 + Below(2)) +
                        (OneIn(2) ? " static-port" : "");
    } else if (!is_match && OneIn(5)) {
      text += " no state";
    }
    return text + "\n";
  }

  std::string Packet() {
    ++port_;
    const auto end = [&](const std::string& host, uint32_t port) {
      return v4_ ? absl::StrCat(host, ":", port)
                 : absl::StrCat("[", host, "]:", port);
    };
    const std::string ends =
        end(Host(1 + Below(3)), port_) + " > " +
        end(Host(5 + Below(4)), 80 + Below(3));
    if (OneIn(2)) return "udp " + ends + " data 5";
    std::string text = "tcp " + ends + " S seq 7 win 64240";
    if (v4_) text += " df";
    if (OneIn(3)) return text;
    return text + " <mss 1460,sackok,ts 1 0,nop,wscale 7>";
  }

  InterfaceView View(const char* name) const {
    const uint16_t id = simulation_->interfaces().Resolve(name).id;
    for (const InterfaceView& view : simulation_->interfaces().Views()) {
      if (view.id == id) return view;
    }
    return InterfaceView();
  }

  static std::string EndsOf(const PacketInfo& info, bool source_port = true) {
    return absl::StrCat(ToString(info.source_address()), " ",
                        source_port ? info.source_port.host() : 0, " > ",
                        ToString(info.destination_address()), " ",
                        info.destination_port.host());
  }

  void Step() {
    const std::string packet = Packet();
    rte_mbuf* const mbuf = pool_.Make(FrameFromText(packet));
    PacketInfo info;
    ParsePacket(*mbuf, {}, &info);
    ASSERT_EQ(info.kind, Kind::kIp);
    SynSignature syn;
    const bool is_syn = ReadSyn(*mbuf, info, &syn);
    const Generation& generation = *simulation_->store().current();
    const EvaluationInput in{.packet = info,
                             .direction = Direction::kIn,
                             .interface = View("outside"),
                             .received_on = View("outside"),
                             .now = simulation_->now(),
                             .syn = is_syn ? &syn : nullptr};
    const Explanation first = Explain(generation, in, 0);
    bool passes = first.verdict.action == VerdictAction::kPass;
    PacketInfo beyond = first.translated ? first.packet : info;
    bool several = first.guessed_port;
    if (passes) {
      const EvaluationInput out{.packet = beyond,
                                .direction = Direction::kOut,
                                .interface = View("inside"),
                                .received_on = View("outside"),
                                .tag = first.verdict.state.tag,
                                .now = simulation_->now(),
                                .syn = is_syn ? &syn : nullptr};
      const Explanation second = Explain(generation, out, 0);
      passes = second.verdict.action == VerdictAction::kPass;
      several |= second.guessed_port;
      if (second.translated) beyond = second.packet;
    }
    PacketBurst burst;
    burst.count = 1;
    burst.mbufs[0] = mbuf;
    BurstResult result;
    simulation_->Process(kOutside, burst, result);
    std::optional<PacketInfo> left;
    simulation_->Send(kOutside, result, [&](uint16_t by, rte_mbuf* sent) {
      if (by == kInside) ParsePacket(*sent, {}, &left.emplace());
      rte_pktmbuf_free(sent);
    });
    ASSERT_EQ(left.has_value(), passes)
        << packet << "\n" << text_ << "reason at the first port "
        << static_cast<int>(first.verdict.reason);
    ++(passes ? passed_ : dropped_);
    if (!passes) return;
    translated_ += EndsOf(beyond) != EndsOf(info);
    EXPECT_EQ(EndsOf(*left, !several), EndsOf(beyond, !several))
        << packet << "\n" << text_;
  }

  std::mt19937 random_;
  const bool v4_;
  const bool freebsd_;
  MbufPool& pool_;
  std::unique_ptr<Simulation> simulation_;
  std::string text_;
  uint16_t port_ = 10000;
  uint64_t passed_ = 0;
  uint64_t dropped_ = 0;
  uint64_t translated_ = 0;
};

TEST(ExplainPropertyTest, SaysWhatThenHappens) {
  MbufPool pool(64);
  const char* const factor = std::getenv("SLUICE_PROPERTY_FACTOR");
  const uint32_t rounds = 250 * (factor == nullptr
                                     ? 1
                                     : static_cast<uint32_t>(std::atoi(factor)));
  uint64_t passed = 0, dropped = 0, translated = 0;
  for (uint32_t seed = 1; seed <= rounds; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    Runner runner(seed, pool);
    runner.Run(40);
    if (testing::Test::HasFailure()) return;
    passed += runner.passed();
    dropped += runner.dropped();
    translated += runner.translated();
  }
  // 10 000 packets, of each kind enough.
  EXPECT_EQ(passed + dropped, uint64_t{rounds} * 40);
  EXPECT_GT(passed, rounds * 5u);
  EXPECT_GT(dropped, rounds * 5u);
  EXPECT_GT(translated, rounds * 2u);
}

}  // namespace
}  // namespace sluice
