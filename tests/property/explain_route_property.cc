// What explain says of a packet that arrives at a router is what then becomes of
// it: random routes of all kinds, neighbours known or not, and rules that filter,
// translate, ask the routes and send packets other ways, in both dialects and
// families. Beside explain_property.cc, which is of wires.
#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "dataplane/forward/explain_way.h"
#include "dataplane/replay/simulation.h"
#include "packet/neighbor.h"
#include "packet/parse.h"
#include "pftable/engine/explain.h"
#include "pftable/engine/route_view.h"
#include "pftable/language/parser.h"
#include "tests/support/mbuf_pool.h"
#include "tests/support/packet_text.h"

namespace sluice {
namespace {

constexpr uint16_t kRoutedPorts = 4;
constexpr uint32_t kMoves = 3;

// What becomes of a packet, in words: where it leaves, to which host, as what.
struct Becomes {
  std::string what = "dropped";
  bool loose_port = false;  // a source port of a pool
  std::string copy;
  bool has_copy = false;
};

class SeenRoutes final : public RouteView {
 public:
  SeenRoutes(const RoutingTables& tables, uint16_t port)
      : tables_(tables), port_(port) {}
  bool HasRoute(const Address& address) const override {
    return tables_.HasRoute(address);
  }
  bool LeadsBack(const Address& address) const override {
    return tables_.LeadsTo(address, port_);
  }

 private:
  const RoutingTables& tables_;
  const uint16_t port_;
};

class RoutedRunner {
 public:
  RoutedRunner(uint32_t seed, MbufPool& pool)
      : random_(seed), v4_(Below(2) == 0), freebsd_(Below(2) == 0),
        pool_(pool) {}

  void Run(int packets) {
    SimulationOptions options;
    for (uint16_t port = 0; port < kRoutedPorts; ++port) {
      options.ports.push_back({.name = absl::StrCat("p", port)});
    }
    options.routers = {{.ports = {0, 1, 2, 3}}};
    options.state_capacity = 4000;
    options.pool = pool_.get();
    options.seed = random_();
    auto built = Simulation::Build(options);
    ASSERT_TRUE(built.ok());
    simulation_ = *std::move(built);
    MakeRoutes();
    ParseInput input;
    input.text = text_ = Ruleset();
    input.dialect = freebsd_ ? Dialect::kFreeBsd : Dialect::kOpenBsd;
    ParseResult parsed = ParsePolicy(std::move(input));
    ASSERT_TRUE(parsed.ok()) << FormatDiagnostics(parsed.diagnostics) << text_;
    const absl::Status loaded = simulation_->Load(std::move(parsed.policy));
    ASSERT_TRUE(loaded.ok()) << loaded << text_;
    for (uint16_t port = 0; port < kRoutedPorts; ++port) {
      const uint16_t id =
          simulation_->interfaces().Resolve(absl::StrCat("p", port)).id;
      ports_.push_back({.number = port, .interface = id});
    }
    for (int i = 0; i < packets && !testing::Test::HasFailure(); ++i) {
      simulation_->Advance(Below(2000));
      Step();
    }
  }

  std::map<std::string, uint64_t> seen;  // kinds of fates

 private:
  uint32_t Below(uint32_t n) { return static_cast<uint32_t>(random_() % n); }
  bool OneIn(uint32_t n) { return Below(n) == 0; }
  RoutingTables& tables() { return simulation_->tables(0); }

  std::string Host(uint32_t net, uint32_t host) const {
    return v4_ ? absl::StrCat("10.", net, ".0.", host)
               : absl::StrCat("2001:db8:", net, "::", host);
  }
  std::string AnyHost() { return Host(Below(7), 1 + Below(4)); }
  static MacAddress HopMac(uint16_t port, const Address& hop) {
    return {2, 1, static_cast<uint8_t>(port), hop.bytes[1], hop.bytes[5],
            std::max(hop.bytes[3], hop.bytes[15])};
  }

  void MakeRoutes() {
    const auto set = [&](const Route& route) {
      ASSERT_TRUE(tables().SetRoute(route).ok());
    };
    const auto length = static_cast<uint8_t>(v4_ ? 16 : 48);
    for (uint16_t port = 0; port < kRoutedPorts; ++port) {
      const Prefix own = {*ParseAddress(Host(port, 1)), length};
      tables().SetAddresses(port, std::span(&own, 1));
      set({.prefix = own.Masked(), .hops = {{.port = port}}});
      for (uint32_t host = 2; host < 8; ++host) {
        if (OneIn(4)) continue;
        const Address hop = *ParseAddress(Host(port, host));
        ASSERT_TRUE(tables()
                        .SetNeighbor(port, hop,
                                     OneIn(8) ? NeighborState::kFailed
                                              : NeighborState::kKnown,
                                     HopMac(port, hop))
                        .ok());
      }
    }
    for (uint32_t i = Below(10); i-- > 0;) {
      const int lengths[] = {0, v4_ ? 16 : 48, v4_ ? 31 : 127, v4_ ? 32 : 128};
      Route route;
      route.prefix = Prefix{*ParseAddress(Host(1 + Below(6), 1 + Below(4))),
                            static_cast<uint8_t>(lengths[Below(4)])}
                         .Masked();
      route.type = std::array{RouteType::kForward, RouteType::kForward,
                              RouteType::kForward, RouteType::kBlackhole,
                              RouteType::kUnreachable,
                              RouteType::kProhibit}[Below(6)];
      for (uint32_t k = route.type == RouteType::kForward ? 1 + Below(2) : 0;
           k > 0; --k) {
        const auto port = static_cast<uint16_t>(Below(kRoutedPorts));
        route.hops.push_back({.port = port});
        if (OneIn(2)) {
          route.hops.back().gateway = *ParseAddress(Host(port, 5 + Below(3)));
        }
      }
      set(route);
    }
  }

  std::string Way() {
    const uint32_t port = Below(kRoutedPorts);
    const std::string gateway = Host(port, 5 + Below(3));
    const std::string word = OneIn(3) ? " dup-to " : " route-to ";
    return word + (freebsd_ ? absl::StrCat("(p", port, " ", gateway, ")")
                            : gateway);
  }

  std::string Rule() {
    const bool in = OneIn(2);
    const bool is_block = OneIn(4);
    std::string text = is_block ? "block" : "pass";
    text += in ? " in" : " out";
    if (OneIn(4)) text += " quick";
    text += absl::StrCat(" on p", in ? 0 : Below(kRoutedPorts));
    // FreeBSD has them before the addresses.
    const bool sends = !is_block && OneIn(3);
    if (sends && freebsd_) text += Way();
    text += v4_ ? " inet proto udp from " : " inet6 proto udp from ";
    text += in && OneIn(5)  ? OneIn(2) ? "urpf-failed" : "no-route"
            : OneIn(2) ? "any"
                       : AnyHost();
    text += " to " + (OneIn(8) ? "no-route" : OneIn(2) ? "any" : AnyHost());
    if (sends && !freebsd_) text += Way();
    if (!is_block && OneIn(3)) {
      text += in ? " rdr-to " + AnyHost()
                 : OneIn(2) ? " rdr-to " + AnyHost()
                            : " nat-to " + Host(9, 9) + " static-port";
    } else if (!is_block && !sends && OneIn(4)) {
      text += " no state";
    }
    return text + "\n";
  }
  std::string Ruleset() {
    std::string text = freebsd_ ? "set require-order no\n" : "";
    if (OneIn(4)) text += "block in all\n";
    for (uint32_t i = 2 + Below(6); i-- > 0;) text += Rule();
    return text;
  }

  std::string Packet() {
    const std::string from = Host(OneIn(3) ? Below(7) : 0, 1 + Below(4));
    const std::string to = OneIn(20) ? v4_ ? "127.0.0.1" : "fe80::1"
                                     : AnyHost();
    const auto end = [&](const std::string& host, uint32_t port) {
      return v4_ ? absl::StrCat(host, ":", port)
                 : absl::StrCat("[", host, "]:", port);
    };
    std::string text = absl::StrCat("udp ", end(from, ++port_), " > ",
                                    end(to, 80 + Below(3)), " data 5");
    if (OneIn(8)) text += absl::StrCat(" ttl ", 1 + Below(2));
    return text;
  }

  InterfaceView View(uint16_t port) const {
    for (const InterfaceView& view : simulation_->interfaces().Views()) {
      if (view.id == ports_[port].interface) return view;
    }
    return InterfaceView();
  }

  static std::string EndsOf(const PacketInfo& info) {
    return absl::StrCat(ToString(info.source_address()), " ",
                        info.source_port.host(), " > ",
                        ToString(info.destination_address()), " ",
                        info.destination_port.host());
  }
  static std::string Leaving(uint16_t port, const MacAddress& mac,
                             const PacketInfo& info) {
    std::string text = absl::StrCat("by p", port, " to");
    for (const uint8_t byte : mac) absl::StrAppend(&text, " ", byte);
    return absl::StrCat(text, " as ", EndsOf(info));
  }

  Explanation Judge(Direction direction, uint16_t port, const PacketInfo& info,
                    uint16_t tag) {
    const SeenRoutes routes(tables(), port);
    return Explain(*simulation_->store().current(),
                   {.packet = info,
                    .direction = direction,
                    .interface = View(port),
                    .received_on = View(0),
                    .tag = tag,
                    .now = simulation_->now(),
                    .routes = &routes},
                   0);
  }
  static const PacketRoute* RouteOf(const Explanation& told,
                                    Direction direction) {
    const StateTemplate& state = told.verdict.state;
    return state.actions.has(PacketActions::kRoute) &&
                   state.route.AppliesTo(direction, direction)
               ? &state.route
               : nullptr;
  }

  void TakeCopy(const WayRequest& request, bool hop, Becomes* becomes) {
    if (request.route == nullptr ||
        request.route->kind != RouteKind::kDupTo) {
      return;
    }
    becomes->has_copy = true;
    const ExplainedWay way = WayOfCopy(tables(), request, hop);
    // A second copy is not looked at.
    if (!becomes->copy.empty()) return;
    if (!way.drop && way.neighbor == NeighborState::kKnown) {
      becomes->copy = Leaving(way.answer.port, way.mac, request.packet);
    }
  }

  Becomes Told(PacketInfo info) {
    Becomes becomes;
    const Explanation in = Judge(Direction::kIn, 0, info, kNoTag);
    if (in.verdict.action != VerdictAction::kPass) return becomes;
    if (in.translated) info = in.packet;
    WayRequest request{.packet = info, .arrival = 0, .ports = ports_,
                       .route = RouteOf(in, Direction::kIn)};
    TakeCopy(request, true, &becomes);
    ExplainedWay way = WayIn(tables(), request);
    if (way.drop) {
      becomes.what = *way.drop == DropReason::kTtlExceeded ? "too old"
                                                           : "no route";
      return becomes;
    }
    if (way.answer.type == RouteType::kLocal) {
      becomes.what = "host as " + EndsOf(info);
      return becomes;
    }
    uint16_t tag = in.verdict.state.tag;
    for (uint32_t moves = 0;;) {
      const uint16_t port = way.answer.port;
      const bool on_link = way.answer.next_hop == info.destination_address();
      const Explanation out = Judge(Direction::kOut, port, info, tag);
      if (out.verdict.action != VerdictAction::kPass) return becomes;
      tag = out.verdict.state.tag;
      const Address before = info.destination_address();
      if (out.translated) info = out.packet;
      request.route = RouteOf(out, Direction::kOut);
      TakeCopy(request, false, &becomes);
      if (request.route != nullptr &&
          request.route->kind == RouteKind::kRouteTo) {
        way = WayMoved(tables(), request);
        if (way.drop) return becomes;
        if (way.answer.port != port) {
          if (moves++ == kMoves) return becomes;
          moved_ = true;
          // Its new state, which floats, decides there.
          if (out.verdict.keep_state) break;
          continue;
        }
      } else if (on_link && before != info.destination_address()) {
        way = WayFollowed(tables(), request, port);
        if (way.drop) return becomes;
      }
      break;
    }
    if (way.neighbor != NeighborState::kKnown) {
      becomes.what = "waits";
    } else {
      becomes.what = Leaving(way.answer.port, way.mac, info);
    }
    return becomes;
  }

  void Step() {
    const std::string packet = Packet();
    rte_mbuf* const mbuf = pool_.Make(FrameFromText(packet));
    const MacAddress mac = Simulation::MacOf(0);
    std::copy(mac.begin(), mac.end(), rte_pktmbuf_mtod(mbuf, uint8_t*));
    PacketInfo info;
    ParsePacket(*mbuf, {}, &info);
    ASSERT_EQ(info.kind, Kind::kIp);
    moved_ = false;
    const Becomes told = Told(info);
    PacketBurst burst;
    burst.count = 1;
    burst.mbufs[0] = mbuf;
    std::vector<std::string> left;
    std::string error;
    simulation_->Deliver(0, burst, [&](uint16_t by, rte_mbuf* sent) {
      PacketInfo out;
      ParsePacket(*sent, {}, &out);
      MacAddress to;
      std::copy_n(rte_pktmbuf_mtod(sent, const uint8_t*), to.size(),
                  to.begin());
      if (by == Simulation::kHost) {
        left.push_back("host as " + EndsOf(out));
      } else if (out.proto == protocol::kUdp) {
        left.push_back(Leaving(by, to, out));
      } else {
        error = out.icmp_type == (out.family == Family::kIpv4 ? 11 : 3)
                    ? "too old"
                    : "no route";
      }
      rte_pktmbuf_free(sent);
    });
    const std::string about = packet + "\n" + text_;
    if (!told.copy.empty()) {
      EXPECT_NE(std::find(left.begin(), left.end(), told.copy), left.end())
          << "no copy " << told.copy << "\n" << about;
    }
    const bool leaves = told.what.starts_with("by ") ||
                        told.what.starts_with("host");
    if (leaves) {
      EXPECT_NE(std::find(left.begin(), left.end(), told.what), left.end())
          << told.what << ", but "
          << (left.empty() ? "nothing" : left.front()) << "\n" << about;
    } else if (!told.has_copy) {
      EXPECT_TRUE(left.empty())
          << told.what << ", but " << left.front() << "\n" << about;
    }
    // Of what is too old the sender hears, and of nothing else so.
    if (told.what == "too old") ++seen["heard " + error];
    EXPECT_FALSE(error == "too old" && told.what != "too old") << about;
    ++seen[leaves ? told.what.substr(0, 2) : told.what];
    if (told.has_copy) ++seen["copy"];
    if (moved_) ++seen["moved"];
  }

  std::mt19937 random_;
  const bool v4_;
  const bool freebsd_;
  MbufPool& pool_;
  std::unique_ptr<Simulation> simulation_;
  std::vector<WayPort> ports_;
  std::string text_;
  uint16_t port_ = 10000;
  bool moved_ = false;
};

TEST(ExplainRoutePropertyTest, SaysWhatTheRouterThenDoes) {
  MbufPool pool(4096);
  const char* const factor = std::getenv("SLUICE_PROPERTY_FACTOR");
  const uint32_t rounds = 250 * (factor == nullptr
                                     ? 1
                                     : static_cast<uint32_t>(std::atoi(factor)));
  std::map<std::string, uint64_t> seen;
  for (uint32_t seed = 1; seed <= rounds; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    RoutedRunner runner(seed, pool);
    runner.Run(40);
    if (testing::Test::HasFailure()) return;
    for (const auto& [kind, count] : runner.seen) seen[kind] += count;
  }
  // 10 000 packets, of each kind enough.
  for (const char* kind : {"by", "ho", "dropped", "no route", "waits", "copy",
                           "moved", "too old", "heard too old"}) {
    EXPECT_GT(seen[kind], rounds / 5u) << kind;
  }
}

}  // namespace
}  // namespace sluice
