// Rules by the classifier: cycles a packet in bursts of 32, for packets whose
// classes the verdict cache knows, for packets with classes of their own, and
// for a flood of random addresses; the plain interpreter beside it. And what a
// classifier takes to build.
#include <benchmark/benchmark.h>

#include <x86intrin.h>

#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "pftable/classify/classify.h"
#include "pftable/engine/evaluate.h"
#include "pftable/engine/reclaimer.h"
#include "pftable/store/policy_store.h"

namespace sluice {
namespace {

enum Style { kAcl, kFirewall, kChain };
enum Traffic { kHits, kMisses, kFlood };

// Rulesets with the structure of real ones. Access lists: mostly a
// destination with a port. Firewalls: many wide sources and port ranges.
// Chains: pairs of networks.
class Maker {
 public:
  explicit Maker(Style style) : style_(style), random_(7) {}

  Policy Make(uint32_t rules) {
    Policy policy;
    policy.options.limits[static_cast<size_t>(Limit::kStates)] = 1000;
    for (uint32_t i = 0; i + 1 < rules; ++i) {
      Rule& rule = policy.main.rules.filter.emplace_back();
      rule.action = Below(3) == 0 ? RuleAction::kBlock : RuleAction::kPass;
      rule.quick = true;
      rule.direction = Direction::kIn;
      rule.family = Family::kIpv4;
      rule.protocol = Below(4) == 0 ? protocol::kUdp : protocol::kTcp;
      const uint32_t kind = Below(10);
      switch (style_) {
        case kAcl:
          if (kind < 3) Network(rule.source, 16, 32);
          Network(rule.destination, kind < 8 ? 32 : 24, 32);
          if (kind < 9) Port(rule.destination.port, false);
          break;
        case kFirewall:
          if (kind < 6) Network(rule.source, 8, 24);
          if (kind > 1) Network(rule.destination, 20, 32);
          if (kind < 4) Port(rule.source.port, true);
          Port(rule.destination.port, kind < 6);
          break;
        case kChain:
          Network(rule.source, 16, 28);
          Network(rule.destination, 20, 32);
          if (kind < 3) Port(rule.destination.port, false);
          break;
      }
    }
    Rule& last = policy.main.rules.filter.emplace_back();
    last.action = RuleAction::kPass;
    last.state = StateKind::kKeep;
    return policy;
  }

  // Packets that rules of the policy are for.
  std::vector<PacketInfo> Packets(const Policy& policy, Traffic traffic,
                                  size_t count) {
    const std::vector<Rule>& rules = policy.main.rules.filter;
    const size_t different = traffic == kHits ? 64 : count;
    std::vector<PacketInfo> packets;
    for (size_t i = 0; i < different; ++i) {
      const Rule& rule = rules[random_() % rules.size()];
      PacketInfo info{};
      info.kind = Kind::kIp;
      info.family = Family::kIpv4;
      info.proto = rule.protocol != 0 ? rule.protocol : protocol::kTcp;
      info.tcp_flags = info.proto == protocol::kTcp ? kTcpSyn : 0;
      info.source = In(rule.source.address, traffic).bytes;
      info.destination = In(rule.destination.address, traffic).bytes;
      info.source_port = Be16(static_cast<uint16_t>(1024 + Below(60000)));
      info.destination_port = Be16(
          rule.destination.port.op != CompareOperator::kNone
              ? rule.destination.port.low
              : static_cast<uint16_t>(Below(65536)));
      info.ip_length = 60;
      packets.push_back(info);
    }
    for (size_t i = different; i < count; ++i) {
      packets.push_back(packets[i % different]);
    }
    return packets;
  }

 private:
  uint32_t Below(uint32_t n) { return static_cast<uint32_t>(random_()) % n; }

  Address In(const AddressMatch& match, Traffic traffic) {
    if (traffic == kFlood) return Address::V4(static_cast<uint32_t>(random_()));
    if (match.kind != AddressKind::kPrefix) {
      return Address::V4(0x0a000000 | Below(1 << 24));
    }
    const uint32_t mask = match.mask.v4().host();
    return Address::V4((match.address.v4().host() & mask) |
                       (static_cast<uint32_t>(random_()) & ~mask));
  }
  void Network(Endpoint& end, uint32_t least, uint32_t most) {
    AddressMatch& match = end.address;
    match.kind = AddressKind::kPrefix;
    const int length = static_cast<int>(least + Below(most - least + 1));
    match.mask = MaskOf(Family::kIpv4, length);
    // Some networks are in use more than others.
    const uint32_t base = Below(4) == 0 ? Below(1 << 24) : Below(1 << 18) * 3;
    match.address = And(Address::V4(0x0a000000 | base), match.mask);
  }
  void Port(PortMatch& match, bool range) {
    static constexpr uint16_t kUsual[] = {22, 25, 53, 80, 110, 143, 443, 445,
                                          993, 1433, 3306, 3389, 5432, 8080};
    if (range && Below(2) == 0) {
      match = {.op = CompareOperator::kRange, .low = 1024, .high = 65535};
    } else {
      match = {.op = CompareOperator::kEqual,
               .low = Below(4) == 0 ? static_cast<uint16_t>(Below(65536))
                                    : kUsual[Below(std::size(kUsual))],
               .high = 0};
    }
  }

  const Style style_;
  std::mt19937 random_;
};

struct Loaded {
  Loaded(Style style, uint32_t rules) : maker(style) {
    port = *interfaces.AddPort("outside");
    policy = maker.Make(rules);
    store = std::make_unique<PolicyStore>(
        PolicyStoreConfig{.workers = 1, .rule_slots = 1 << 18}, &interfaces,
        &reclaimer);
    ok = store->Load(policy).ok();
    classifier = store->current()->policy->classifier.get();
  }

  Maker maker;
  InterfaceRegistry interfaces;
  InterfaceView port;
  ImmediateReclaimer reclaimer;
  Policy policy;
  std::unique_ptr<PolicyStore> store;
  const Classifier* classifier = nullptr;
  bool ok = false;
};

constexpr size_t kPackets = 1 << 15;

void Report(benchmark::State& state, uint64_t cycles) {
  state.counters["cycles/packet"] = static_cast<double>(cycles) /
                                    static_cast<double>(state.iterations()) /
                                    kMaxBurst;
}

void BM_Classifier(benchmark::State& state) {
  Loaded loaded(static_cast<Style>(state.range(0)),
                static_cast<uint32_t>(state.range(1)));
  if (!loaded.ok || loaded.classifier == nullptr) {
    state.SkipWithError("the policy was not loaded");
    return;
  }
  const std::vector<PacketInfo> packets = loaded.maker.Packets(
      loaded.policy, static_cast<Traffic>(state.range(2)), kPackets);
  std::vector<const PacketInfo*> pointers;
  for (const PacketInfo& packet : packets) pointers.push_back(&packet);
  VerdictCache cache;
  std::array<Candidates, kMaxBurst> candidates;
  WorkerCounters& counters = loaded.store->worker_counters(0);
  size_t i = 0;
  uint64_t cycles = 0;
  for (auto _ : state) {
    const uint64_t began = __rdtsc();
    FindCandidates(*loaded.classifier, Direction::kIn, loaded.port,
                   {&pointers[i], kMaxBurst}, cache, candidates);
    PrefetchCandidates(*loaded.store->current(), candidates);
    for (uint32_t k = 0; k < kMaxBurst; ++k) {
      Verdict verdict =
          EvaluateCandidates(*loaded.store->current(),
                             {.packet = packets[i + k],
                              .interface = loaded.port,
                              .received_on = loaded.port},
                             candidates[k], counters);
      benchmark::DoNotOptimize(verdict);
    }
    cycles += __rdtsc() - began;
    i = (i + kMaxBurst) % kPackets;
  }
  Report(state, cycles);
  const Classifier::Report& report = loaded.classifier->report();
  state.counters["MB"] = static_cast<double>(report.bytes) / 1e6;
  state.counters["listed"] = static_cast<double>(report.listed);
  state.counters["classes"] = static_cast<double>(report.classes);
}
BENCHMARK(BM_Classifier)
    ->ArgNames({"style", "rules", "traffic"})
    ->ArgsProduct({{kAcl, kFirewall, kChain},
                   {10, 1000, 10000, 100000},
                   {kHits, kMisses, kFlood}});

void BM_Interpreter(benchmark::State& state) {
  Loaded loaded(static_cast<Style>(state.range(0)),
                static_cast<uint32_t>(state.range(1)));
  const std::vector<PacketInfo> packets =
      loaded.maker.Packets(loaded.policy, kMisses, kPackets);
  WorkerCounters& counters = loaded.store->worker_counters(0);
  size_t i = 0;
  uint64_t cycles = 0;
  for (auto _ : state) {
    const uint64_t began = __rdtsc();
    for (uint32_t k = 0; k < kMaxBurst; ++k) {
      Verdict verdict = Evaluate(*loaded.store->current(),
                                 {.packet = packets[i + k],
                                  .interface = loaded.port,
                                  .received_on = loaded.port},
                                 counters);
      benchmark::DoNotOptimize(verdict);
    }
    cycles += __rdtsc() - began;
    i = (i + kMaxBurst) % kPackets;
  }
  Report(state, cycles);
}
BENCHMARK(BM_Interpreter)
    ->ArgNames({"style", "rules"})
    ->ArgsProduct({{kAcl, kFirewall, kChain}, {10, 1000}});

void BM_Build(benchmark::State& state) {
  Loaded loaded(static_cast<Style>(state.range(0)),
                static_cast<uint32_t>(state.range(1)));
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        Classifier::Build(*loaded.store->current()->policy,
                          loaded.interfaces.Views()));
  }
}
BENCHMARK(BM_Build)
    ->ArgNames({"style", "rules"})
    ->ArgsProduct({{kAcl, kFirewall, kChain}, {1000, 10000, 100000}})
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace sluice

BENCHMARK_MAIN();
