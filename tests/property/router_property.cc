// Random packets through a router of a simulation, against a walk over all of
// its routes: where each leaves, as what, or who hears why not.
#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "dataplane/replay/simulation.h"
#include "packet/neighbor.h"
#include "packet/parse.h"
#include "tests/support/mbuf_pool.h"
#include "tests/support/packet_text.h"

namespace sluice {
namespace {

constexpr uint16_t kPorts = 4;
constexpr int kSteps = 3000;
constexpr std::array<uint16_t, kPorts> kMtus = {1500, 1280, 1300, 1500};

using Frames = std::vector<std::pair<uint16_t, std::vector<uint8_t>>>;

// What is to become of a packet.
struct Fate {
  enum class Kind { kHost, kPort, kDrop } kind = Kind::kDrop;
  uint16_t port = 0;
  Address hop;
  DropReason reason = DropReason::kNoRoute;
  bool told = false;  // its sender
  bool parts = false;
};

class RouterProperty : public ::testing::TestWithParam<Family> {
 protected:
  bool v6() const { return GetParam() == Family::kIpv6; }
  std::string Text(int net, int host) const {
    return v6() ? absl::StrCat("2001:db8:", net, "::", host)
                : absl::StrCat("10.", net, ".0.", host);
  }
  Address Host(int net, int host) const {
    return *ParseAddress(Text(net, host));
  }
  int Below(int end) { return static_cast<int>(random_() % end); }
  static MacAddress MacOfHop(const Address& hop, uint16_t port) {
    return {2, 1, static_cast<uint8_t>(port), hop.bytes[1], hop.bytes[5],
            std::max(hop.bytes[3], hop.bytes[15])};
  }

  void Start() {
    SimulationOptions options;
    for (uint16_t port = 0; port < kPorts; ++port) {
      options.ports.push_back(
          {.name = absl::StrCat("p", port), .mtu = kMtus[port]});
    }
    options.routers = {{.ports = {0, 1, 2, 3}}};
    options.pool = pool_.get();
    options.state_capacity = 10;
    simulation_ = Simulation::Build(options).value();
    for (uint16_t port = 0; port < kPorts; ++port) {
      // Port 3 has no address, and tells nobody anything.
      if (port == 3) continue;
      const Prefix own = {.address = Host(port, 1),
                          .length = static_cast<uint8_t>(v6() ? 48 : 16)};
      own_.push_back(own.address);
      tables().SetAddresses(port, std::span(&own, 1));
      Set({.prefix = own.Masked(), .hops = {{.port = port}}});
    }
  }
  RoutingTables& tables() { return simulation_->tables(0); }
  void Set(const Route& route) {
    ASSERT_TRUE(tables().SetRoute(route).ok());
    routes_[route.prefix] = route;
  }

  void ChangeRoute() {
    const int bits = v6() ? 128 : 32;
    const int net = Below(8);
    const int length = std::array{0, v6() ? 48 : 16, bits - 2, bits}[Below(4)];
    const Prefix prefix =
        Prefix{.address = Host(net, Below(8)),
               .length = static_cast<uint8_t>(length)}
            .Masked();
    if (Below(4) == 0) {
      EXPECT_EQ(tables().RemoveRoute(prefix), routes_.erase(prefix) == 1);
      return;
    }
    Route route = {.prefix = prefix};
    route.type = std::array{RouteType::kForward, RouteType::kForward,
                            RouteType::kForward, RouteType::kBlackhole,
                            RouteType::kUnreachable,
                            RouteType::kProhibit}[Below(6)];
    if (route.type == RouteType::kForward) {
      route.hops.push_back({.port = static_cast<uint16_t>(Below(kPorts))});
      if (Below(2) == 0) route.hops[0].gateway = Host(Below(4), 5 + Below(3));
    }
    Set(route);
  }

  // One after the other, the longest that has it.
  const Route* RouteTo(const Address& to) const {
    const Route* best = nullptr;
    for (const auto& [prefix, route] : routes_) {
      if (prefix.Contains(to) &&
          (best == nullptr || prefix.length >= best->prefix.length)) {
        best = &route;
      }
    }
    return best;
  }
  Fate FateOf(const Address& to, uint16_t arrival, int ttl, uint32_t length,
              bool df) const {
    using Kind = Fate::Kind;
    const bool tells = arrival != 3;
    if (std::find(own_.begin(), own_.end(), to) != own_.end()) {
      return {.kind = Kind::kHost, .hop = {}};
    }
    const Route* const route = RouteTo(to);
    Fate fate = {.hop = {}, .told = tells};
    if (route == nullptr) return fate;
    if (route->type != RouteType::kForward) {
      fate.told = tells && route->type != RouteType::kBlackhole;
      return fate;
    }
    if (ttl <= 1) {
      fate.reason = DropReason::kTtlExceeded;
      return fate;
    }
    const NextHop& hop = route->hops[0];
    fate.port = hop.port;
    fate.hop = hop.gateway.family == Family::kNone ? to : hop.gateway;
    if (length > kMtus[hop.port]) {
      if (v6() || df) {
        fate.reason = DropReason::kTooBig;
        return fate;
      }
      fate.parts = true;
    }
    fate.kind = Kind::kPort;
    fate.told = false;
    return fate;
  }

  uint64_t Drops(uint16_t port, DropReason reason) const {
    return simulation_->counters(port)
        .drops[static_cast<size_t>(reason)]
        .value();
  }
  Simulation::Take Into(Frames& frames) {
    return [&frames](uint16_t by, rte_mbuf* mbuf) {
      frames.emplace_back(by, BytesOf(mbuf));
      rte_pktmbuf_free(mbuf);
    };
  }
  PacketInfo Parsed(const std::vector<uint8_t>& frame) {
    rte_mbuf* const mbuf = pool_.Make(frame);
    PacketInfo info;
    ParsePacket(*mbuf, {.verify_checksums = true}, &info);
    rte_pktmbuf_free(mbuf);
    return info;
  }

  // The frames of one packet as it leaves.
  void ExpectParts(const Frames& left, const Fate& fate,
                   const std::vector<uint8_t>& sent) {
    const PacketInfo was = Parsed(sent);
    const MacAddress to = MacOfHop(fate.hop, fate.port);
    const MacAddress from = Simulation::MacOf(fate.port);
    std::vector<uint8_t> data;
    for (const auto& [port, frame] : left) {
      EXPECT_EQ(port, fate.port);
      EXPECT_TRUE(std::equal(to.begin(), to.end(), frame.begin()));
      EXPECT_TRUE(std::equal(from.begin(), from.end(), frame.begin() + 6));
      const PacketInfo info = Parsed(frame);
      ASSERT_EQ(info.kind, Kind::kIp);
      EXPECT_EQ(info.ttl, was.ttl - 1);
      EXPECT_EQ(info.source, was.source);
      EXPECT_EQ(info.destination, was.destination);
      EXPECT_LE(info.ip_length, kMtus[port]);
      EXPECT_EQ(info.has(kFragment), fate.parts);
      if (fate.parts) {
        EXPECT_EQ(info.sequence, data.size());
        EXPECT_EQ(info.has(kMoreFragments), &frame != &left.back().second);
      }
      data.insert(data.end(), frame.begin() + info.l4_offset,
                  frame.begin() + info.l4_offset + info.l4_length);
    }
    EXPECT_TRUE(std::equal(data.begin(), data.end(),
                           sent.begin() + was.l4_offset, sent.end()));
  }

  MbufPool pool_{512};
  std::unique_ptr<Simulation> simulation_;
  std::mt19937 random_{GetParam() == Family::kIpv6 ? 6u : 4u};
  std::map<Prefix, Route> routes_;
  std::vector<Address> own_;
};

INSTANTIATE_TEST_SUITE_P(Families, RouterProperty,
                         ::testing::Values(Family::kIpv4, Family::kIpv6));

TEST_P(RouterProperty, DoesWhatItsRoutesSay) {
  Start();
  std::map<Fate::Kind, int> seen;
  std::map<DropReason, int> reasons;
  for (int step = 0; step < kSteps; ++step) {
    SCOPED_TRACE(absl::StrCat("step ", step));
    if (Below(4) == 0) ChangeRoute();
    const auto arrival = static_cast<uint16_t>(Below(kPorts));
    const int net = Below(8), host = 1 + Below(7);
    const int ttl = std::array{1, 2, 64, 255}[Below(4)];
    const int size = std::array{8, 1240, 1260, 1440}[Below(4)];
    const bool df = !v6() && Below(2) == 0;
    const std::string text = absl::StrCat(
        "udp ", v6() ? "[" : "", Text(arrival, 9), v6() ? "]" : "", ":5 > ",
        v6() ? "[" : "", Text(net, host), v6() ? "]" : "", ":6 ttl ", ttl,
        df ? " df" : "", " data ", size, " ethdst 02:00:00:00:ff:0", arrival);
    const std::vector<uint8_t> sent = FrameFromText(text);
    const Fate fate =
        FateOf(Host(net, host), arrival, ttl, Parsed(sent).ip_length, df);
    const bool known = Below(3) != 0;
    if (fate.kind == Fate::Kind::kPort && known) {
      ASSERT_TRUE(tables()
                      .SetNeighbor(fate.port, fate.hop, NeighborState::kKnown,
                                   MacOfHop(fate.hop, fate.port))
                      .ok());
    }
    const uint64_t drops = Drops(arrival, fate.reason);
    PacketBurst burst;
    burst.count = 1;
    burst.mbufs[0] = pool_.Make(sent, Below(2) == 0 ? 0 : 64);
    Frames left;
    simulation_->Deliver(arrival, burst, Into(left));
    ++seen[fate.kind];
    switch (fate.kind) {
      case Fate::Kind::kHost:
        ASSERT_EQ(left.size(), 1u) << text;
        EXPECT_EQ(left[0].first, Simulation::kHost);
        EXPECT_EQ(left[0].second, sent) << "as it came";
        break;
      case Fate::Kind::kDrop: {
        ++reasons[fate.reason];
        EXPECT_EQ(Drops(arrival, fate.reason), drops + 1) << text;
        ASSERT_EQ(left.size(), fate.told ? 1u : 0u) << text;
        if (!fate.told) break;
        EXPECT_EQ(left[0].first, arrival);
        const PacketInfo error = Parsed(left[0].second);
        ASSERT_EQ(error.kind, Kind::kIp) << "its checksum is right";
        EXPECT_TRUE(error.has(kIcmpError));
        EXPECT_EQ(error.source_address(), own_[arrival]);
        EXPECT_EQ(error.destination_address(), Host(arrival, 9));
        break;
      }
      case Fate::Kind::kPort:
        if (!known) {
          ASSERT_EQ(left.size(), 0u) << text;
          ASSERT_GT(simulation_->waiting(), 0u);
          ASSERT_TRUE(tables()
                          .SetNeighbor(fate.port, fate.hop,
                                       NeighborState::kKnown,
                                       MacOfHop(fate.hop, fate.port))
                          .ok());
          simulation_->ResumeRouted(Into(left));
        }
        ExpectParts(left, fate, sent);
        EXPECT_EQ(left.size() > 1, fate.parts);
        EXPECT_TRUE(tables().RemoveNeighbor(fate.port, fate.hop));
        break;
    }
    ASSERT_EQ(simulation_->waiting(), 0u);
    ASSERT_EQ(pool_.InUse(), 0u);
    if (HasFailure()) FAIL() << text;
    simulation_->Advance(5);
  }
  EXPECT_EQ(seen.size(), 3u);
  EXPECT_EQ(reasons.size(), 3u);
}

// A hundred errors at once, then one a millisecond.
TEST_P(RouterProperty, ErrorsAreLimited) {
  Start();
  const std::vector<uint8_t> sent = FrameFromText(absl::StrCat(
      "udp ", v6() ? "[" : "", Text(0, 9), v6() ? "]" : "", ":5 > ",
      v6() ? "[" : "", Text(1, 9), v6() ? "]" : "",
      ":6 ttl 1 data 8 ethdst 02:00:00:00:ff:00"));
  const auto answers = [&](int packets) {
    Frames left;
    for (int i = 0; i < packets; ++i) {
      PacketBurst burst;
      burst.count = 1;
      burst.mbufs[0] = pool_.Make(sent);
      simulation_->Deliver(0, burst, Into(left));
    }
    return left.size();
  };
  EXPECT_EQ(answers(250), 100u);
  EXPECT_EQ(simulation_->counters(0).errors_limited.value(), 150u);
  simulation_->Advance(30);
  EXPECT_EQ(answers(50), 30u);
  simulation_->Advance(100'000);
  EXPECT_EQ(answers(250), 100u);
  EXPECT_EQ(Drops(0, DropReason::kTtlExceeded), 550u);
  EXPECT_EQ(pool_.InUse(), 0u);
}

}  // namespace
}  // namespace sluice
