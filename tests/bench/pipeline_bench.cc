// Packets through one worker's pipeline, from parsed to forwarded, without any
// packet I/O: established flows, new flows, stateless rules.
#include <benchmark/benchmark.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/replay/simulation.h"
#include "packet/checksum.h"
#include "packet/headers.h"
#include "pftable/language/parser.h"
#include "tests/support/plain_mbuf.h"

namespace sluice {
namespace {

constexpr uint16_t kOutside = 0;

std::vector<uint8_t> UdpFrame(Family family, uint32_t flow) {
  std::vector<uint8_t> frame = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
  const bool v6 = family == Family::kIpv6;
  wire::Udp udp{.source_port = Be16(static_cast<uint16_t>(1024 + flow % 50000)),
                .destination_port = Be16(53),
                .length = Be16(18),
                .checksum = Be16(0)};
  const auto add = [&frame](const auto& header) {
    const size_t at = frame.size();
    frame.resize(at + sizeof header);
    std::memcpy(frame.data() + at, &header, sizeof header);
  };
  const uint32_t host = flow / 50000;
  uint64_t pseudo;
  if (v6) {
    wire::Ipv6 ip{};
    ip.version_class_flow = Be32(0x60000000);
    ip.payload_length = Be16(18);
    ip.next_header = protocol::kUdp;
    ip.hop_limit = 64;
    ip.source = {0x20, 1, 0xd, 0xb8};
    ip.destination = ip.source;
    std::memcpy(&ip.source[12], &host, 4);
    ip.destination[15] = 1;
    add(Be16(wire::ethertype::kIpv6));
    add(ip);
    pseudo = PseudoHeaderSum(family, ip.source.data(), ip.destination.data(),
                             protocol::kUdp, 18);
  } else {
    wire::Ipv4 ip{};
    ip.version_length = 0x45;
    ip.total_length = Be16(38);
    ip.ttl = 64;
    ip.proto = protocol::kUdp;
    ip.source = {10, static_cast<uint8_t>(host >> 16),
                 static_cast<uint8_t>(host >> 8), static_cast<uint8_t>(host)};
    ip.destination = {192, 0, 2, 1};
    ip.checksum = Be16::FromRaw(
        static_cast<uint16_t>(~FoldSum(PartialSum(&ip, sizeof ip))));
    add(Be16(wire::ethertype::kIpv4));
    add(ip);
    pseudo = PseudoHeaderSum(family, ip.source.data(), ip.destination.data(),
                             protocol::kUdp, 18);
  }
  const std::vector<uint8_t> payload(10, 0x61);
  udp.checksum = Be16::FromRaw(static_cast<uint16_t>(
      ~FoldSum(pseudo + PartialSum(&udp, sizeof udp) +
               PartialSum(payload.data(), payload.size()))));
  // Zero means "no checksum" (RFC 768).
  if (udp.checksum == Be16(0)) udp.checksum = Be16(0xffff);
  add(udp);
  frame.insert(frame.end(), payload.begin(), payload.end());
  return frame;
}

// All frames of a run and the firewall that they go through.
class Run {
 public:
  Run(const std::string& rules, Family family, uint32_t flows) {
    SimulationOptions options;
    options.ports = {{.name = "outside"}, {.name = "inside"}};
    options.wires = {{.first = 0, .second = 1}};
    options.state_capacity = 2 * flows + 1000;
    auto built = Simulation::Build(options);
    simulation_ = std::move(built).value();
    const HostFacts facts = simulation_->Facts();
    ParseInput input;
    input.text = rules;
    input.facts = &facts;
    ParseResult parsed = ParsePolicy(std::move(input));
    if (!parsed.ok() ||
        !simulation_->Load(std::move(parsed.policy)).ok()) {
      std::abort();
    }
    frames_.reserve(flows);
    for (uint32_t flow = 0; flow < flows; ++flow) {
      const std::vector<uint8_t> frame = UdpFrame(family, flow);
      frames_.push_back(std::make_unique<PlainMbuf>(frame));
      frame_bytes_ = frame.size();
      std::copy(frame.begin(), frame.end(), originals_.emplace_back().begin());
    }
  }

  // As from a wire: a burst that was translated does not come back translated.
  void FreshBurst() {
    for (size_t i = 0, at = next_; i < kMaxBurst; ++i) {
      std::memcpy(rte_pktmbuf_mtod(frames_[at]->get(), void*),
                  originals_[at].data(), frame_bytes_);
      if (++at == frames_.size()) at = 0;
    }
    Burst();
  }

  void Burst() {
    burst_.count = kMaxBurst;
    for (uint32_t i = 0; i < kMaxBurst; ++i) {
      burst_.mbufs[i] = frames_[next_]->get();
      if (++next_ == frames_.size()) next_ = 0;
    }
    simulation_->Process(kOutside, burst_, result_);
    // A benchmark that drops measures something else.
    if (result_.forward_count != kMaxBurst) std::abort();
  }

  Simulation& simulation() { return *simulation_; }
  size_t size() const { return frames_.size(); }

 private:
  std::unique_ptr<Simulation> simulation_;
  std::vector<std::unique_ptr<PlainMbuf>> frames_;
  std::vector<std::array<uint8_t, 72>> originals_;
  size_t frame_bytes_ = 0;
  size_t next_ = 0;
  PacketBurst burst_;
  BurstResult result_;
};

constexpr char kStateful[] =
    "set skip on inside\n"
    "set limit states 4000000\n"
    "set timeout { adaptive.start 0, adaptive.end 0 }\n"
    "block all\n"
    "pass in proto { tcp, udp } from any to any port 53\n";
constexpr char kBothSides[] =
    "set limit states 4000000\n"
    "set timeout { adaptive.start 0, adaptive.end 0 }\n"
    "pass all\n";
constexpr char kStateless[] = "set skip on inside\npass all no state\n";

void Count(benchmark::State& state) {
  state.SetItemsProcessed(state.iterations() * kMaxBurst);
}

// range(0): flows; range(1): 4 or 6.
void EstablishedUdp(benchmark::State& state, const char* rules) {
  Run run(rules, static_cast<Family>(state.range(1)),
          static_cast<uint32_t>(state.range(0)));
  for (size_t i = 0; i <= run.size() / kMaxBurst; ++i) run.Burst();
  for (auto _ : state) run.Burst();
  Count(state);
}
BENCHMARK_CAPTURE(EstablishedUdp, one_judgement, kStateful)
    ->ArgsProduct({{500, 50000, 500000}, {4, 6}});
BENCHMARK_CAPTURE(EstablishedUdp, two_judgements, kBothSides)
    ->ArgsProduct({{500, 50000}, {4, 6}});
BENCHMARK_CAPTURE(EstablishedUdp, no_state, kStateless)
    ->ArgsProduct({{500}, {4, 6}});

// What is judged out alone, translated and not: the difference is what a
// translation costs. Both write each packet anew beforehand.
#define SLUICE_BENCH_OUT                                  \
  "set skip on outside\n"                                 \
  "set limit states 4000000\n"                            \
  "set timeout { adaptive.start 0, adaptive.end 0 }\n"    \
  "block all\n"
constexpr char kPlainOut[] =
    SLUICE_BENCH_OUT "pass out on inside proto udp to port 53\n";
constexpr char kTranslatedOut[] =
    SLUICE_BENCH_OUT
    "pass out on inside inet proto udp to port 53 "
    "nat-to 198.18.0.0/24 port 1024:65535 round-robin\n"
    "pass out on inside inet6 proto udp to port 53 "
    "nat-to 2001:db8:1::/120 port 1024:65535 round-robin\n";
#undef SLUICE_BENCH_OUT

void EstablishedOut(benchmark::State& state, const char* rules) {
  Run run(rules, static_cast<Family>(state.range(1)),
          static_cast<uint32_t>(state.range(0)));
  for (size_t i = 0; i <= run.size() / kMaxBurst; ++i) run.FreshBurst();
  for (auto _ : state) run.FreshBurst();
  Count(state);
}
BENCHMARK_CAPTURE(EstablishedOut, plain, kPlainOut)
    ->ArgsProduct({{500, 50000}, {4, 6}});
BENCHMARK_CAPTURE(EstablishedOut, translated, kTranslatedOut)
    ->ArgsProduct({{500, 50000}, {4, 6}});

void NewOut(benchmark::State& state, const char* rules) {
  Run run(rules, static_cast<Family>(state.range(1)),
          static_cast<uint32_t>(state.range(0)));
  size_t sent = 0;
  for (auto _ : state) {
    if (sent + kMaxBurst > run.size()) {
      state.PauseTiming();
      run.simulation().Advance(100000);
      state.ResumeTiming();
      sent = 0;
    }
    run.FreshBurst();
    sent += kMaxBurst;
  }
  Count(state);
}
BENCHMARK_CAPTURE(NewOut, plain, kPlainOut)->ArgsProduct({{64000}, {4, 6}});
BENCHMARK_CAPTURE(NewOut, translated, kTranslatedOut)
    ->ArgsProduct({{64000}, {4, 6}});

// Every packet makes a state; they end between rounds.
void NewUdpFlows(benchmark::State& state) {
  Run run(kStateful, static_cast<Family>(state.range(1)),
          static_cast<uint32_t>(state.range(0)));
  size_t sent = 0;
  for (auto _ : state) {
    if (sent + kMaxBurst > run.size()) {
      state.PauseTiming();
      run.simulation().Advance(100000);
      state.ResumeTiming();
      sent = 0;
    }
    run.Burst();
    sent += kMaxBurst;
  }
  Count(state);
}
BENCHMARK(NewUdpFlows)->ArgsProduct({{64000}, {4, 6}});

// ---- Wires, segments, VLANs, routes -------------------------------------------------

enum class Join : int {
  kWire,
  kSegment,  // of three ports; the receiver is known
  kVlans,    // a wire between two VLANs of a port: a tag off, another one on
  kRoute,    // a router of two ports; a gateway, whose address is known
};

void BeginRouter(Family family, RoutingTables& tables) {
  const bool v6 = family == Family::kIpv6;
  Address gateway = *ParseAddress(v6 ? "2001:db8:1::9" : "198.51.100.9");
  Address zero;
  zero.family = family;
  const MacAddress mac = {2, 0, 0, 0, 0, 9};
  if (!tables.SetRoute({.prefix = {.address = zero, .length = 0},
                        .hops = {{.port = 1, .gateway = gateway}}})
           .ok() ||
      !tables.SetNeighbor(1, gateway, NeighborState::kKnown, mac).ok()) {
    std::abort();
  }
}

// Established flows of one host, delivered as a worker does it, by each kind
// of port; the wire is what the others are to be compared with.
void Joined(benchmark::State& state) {
  const auto join = static_cast<Join>(state.range(0));
  const auto family = static_cast<Family>(state.range(1));
  const bool vlans = join == Join::kVlans;
  constexpr uint32_t kFlows = 512;
  SimulationOptions options;
  options.ports = {{.name = "outside"}, {.name = "inside"}, {.name = "third"}};
  if (vlans) {
    for (uint16_t i = 0; i < 2; ++i) {
      options.ports[i].parent = 2;
      options.ports[i].tags = {.outer = static_cast<uint16_t>(5 + i)};
    }
  }
  if (join == Join::kSegment) {
    SimulatedSegment& segment = options.segments.emplace_back();
    segment.ports = {0, 1, 2};
  } else if (join == Join::kRoute) {
    options.routers = {{.ports = {0, 1}}};
  } else {
    options.wires = {{.first = 0, .second = 1}};
  }
  options.state_capacity = 4 * kFlows + 1000;
  std::unique_ptr<Simulation> simulation =
      Simulation::Build(options).value();
  const HostFacts facts = simulation->Facts();
  ParseInput input;
  input.text = kBothSides;
  input.facts = &facts;
  ParseResult parsed = ParsePolicy(std::move(input));
  if (!simulation->Load(std::move(parsed.policy)).ok()) std::abort();
  if (join == Join::kSegment) {
    simulation->macs(0).Learn({.value = 0x010000000002}, 1, 0);
  }
  const bool routed = join == Join::kRoute;
  if (routed) BeginRouter(family, simulation->tables(0));
  std::vector<std::unique_ptr<PlainMbuf>> frames;
  constexpr size_t kTag = 12;
  // Up to the end of the shorter of both headers.
  std::array<uint8_t, 34> front{};
  for (uint32_t flow = 0; flow < kFlows; ++flow) {
    std::vector<uint8_t> frame = UdpFrame(family, flow);
    if (vlans) {
      const std::array<uint8_t, 4> tag = {0x81, 0, 0, 5};
      frame.insert(frame.begin() + kTag, tag.begin(), tag.end());
    }
    if (routed) {
      const MacAddress mac = Simulation::MacOf(0);
      std::copy(mac.begin(), mac.end(), frame.begin());
      std::copy_n(frame.begin(), front.size(), front.begin());
    }
    frames.push_back(std::make_unique<PlainMbuf>(frame));
  }
  size_t next = 0;
  PacketBurst burst;
  uint32_t left = 0;
  const Simulation::Take take = [&](uint16_t, rte_mbuf* mbuf) {
    ++left;
    // As the next one that arrives.
    if (vlans) *rte_pktmbuf_mtod_offset(mbuf, uint8_t*, kTag + 3) = 5;
    // All have these bytes in common.
    if (routed) {
      std::memcpy(rte_pktmbuf_mtod(mbuf, void*), front.data(), front.size() - 8);
    }
  };
  const auto deliver = [&] {
    burst.count = kMaxBurst;
    for (uint32_t i = 0; i < kMaxBurst; ++i) {
      burst.mbufs[i] = frames[next]->get();
      next = (next + 1) % frames.size();
    }
    left = 0;
    simulation->Deliver(vlans ? 2 : 0, burst, take);
    if (left != kMaxBurst) std::abort();
  };
  for (uint32_t i = 0; i < kFlows / kMaxBurst; ++i) deliver();
  for (auto _ : state) deliver();
  Count(state);
}
BENCHMARK(Joined)
    ->ArgsProduct({{static_cast<int>(Join::kWire),
                    static_cast<int>(Join::kSegment),
                    static_cast<int>(Join::kVlans),
                    static_cast<int>(Join::kRoute)},
                   {4, 6}})
    ->ArgNames({"join", "family"});

}  // namespace
}  // namespace sluice

BENCHMARK_MAIN();
