// Rules by the classifier: cycles a packet in bursts of 32, for packets whose
// classes the verdict cache knows, for packets with classes of their own, and
// for a flood of random addresses; beside it the plain interpreter, and DPDK's
// rte_acl, which can express all that these rules ask. And what a
// classifier takes to build. Cycles are the median of the bursts, so that what
// else a machine does meanwhile hardly counts.
#include <benchmark/benchmark.h>
#include <rte_acl.h>
#include <rte_eal.h>
#include <x86intrin.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
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

// Cycles of bursts.
class Meter {
 public:
  Meter() { bursts_.reserve(kMost); }
  void Begin() { began_ = __rdtsc(); }
  void End() {
    const uint64_t cycles = __rdtsc() - began_;
    if (bursts_.size() < kMost) bursts_.push_back(cycles);
  }
  void Report(benchmark::State& state) {
    if (bursts_.empty()) return;
    const auto middle =
        bursts_.begin() + static_cast<ptrdiff_t>(bursts_.size() / 2);
    std::nth_element(bursts_.begin(), middle, bursts_.end());
    state.counters["cycles/packet"] =
        static_cast<double>(*middle) / kMaxBurst;
  }

 private:
  static constexpr size_t kMost = 1 << 20;
  std::vector<uint64_t> bursts_;
  uint64_t began_ = 0;
};

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
  Meter meter;
  for (auto _ : state) {
    meter.Begin();
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
    meter.End();
    i = (i + kMaxBurst) % kPackets;
  }
  meter.Report(state);
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
  Meter meter;
  for (auto _ : state) {
    meter.Begin();
    for (uint32_t k = 0; k < kMaxBurst; ++k) {
      Verdict verdict = Evaluate(*loaded.store->current(),
                                 {.packet = packets[i + k],
                                  .interface = loaded.port,
                                  .received_on = loaded.port},
                                 counters);
      benchmark::DoNotOptimize(verdict);
    }
    meter.End();
    i = (i + kMaxBurst) % kPackets;
  }
  meter.Report(state);
}
BENCHMARK(BM_Interpreter)
    ->ArgNames({"style", "rules"})
    ->ArgsProduct({{kAcl, kFirewall, kChain}, {10, 1000, 10000}});

// What rte_acl reads of a packet: network order.
struct AclKey {
  uint8_t protocol;
  uint8_t unused[3];
  std::array<uint8_t, 4> source;
  std::array<uint8_t, 4> destination;
  uint16_t source_port;
  uint16_t destination_port;
};
constexpr uint32_t kAclFields = 5;
RTE_ACL_RULE_DEF(AclRule, kAclFields);

// Not thread-safe, as EAL is not.
bool StartEal() {
  static const bool started = [] {
    const char* arguments[] = {"bench_classify", "--no-huge", "--no-pci",
                               "--no-shconf", "--no-telemetry", "-m", "3000",
                               "-l", "0", "--log-level=error",
                               "--force-max-simd-bitwidth=512"};
    return rte_eal_init(static_cast<int>(std::size(arguments)),
                        const_cast<char**>(arguments)) >= 0;
  }();
  return started;
}

AclRule AclRuleOf(const Rule& rule, uint32_t number, uint32_t count) {
  AclRule made{};
  made.data.category_mask = 1;
  made.data.priority = static_cast<int32_t>(count - number);
  made.data.userdata = number + 1;
  made.field[0].value.u8 = rule.protocol;
  made.field[0].mask_range.u8 = rule.protocol == 0 ? 0 : 0xff;
  const Endpoint* const ends[] = {&rule.source, &rule.destination};
  for (uint32_t end = 0; end < 2; ++end) {
    const AddressMatch& address = ends[end]->address;
    if (address.kind == AddressKind::kPrefix) {
      made.field[1 + end].value.u32 = address.address.v4().host();
      made.field[1 + end].mask_range.u32 =
          static_cast<uint32_t>(std::popcount(address.mask.v4().host()));
    }
    const PortMatch& port = ends[end]->port;
    made.field[3 + end].mask_range.u16 = 65535;
    if (port.op == CompareOperator::kNone) continue;
    made.field[3 + end].value.u16 = port.low;
    made.field[3 + end].mask_range.u16 =
        port.op == CompareOperator::kRange ? port.high : port.low;
  }
  return made;
}

using Acl = std::unique_ptr<rte_acl_ctx, decltype(&rte_acl_free)>;
Acl MakeAcl(const std::vector<Rule>& rules) {
  static constexpr auto field = [](uint8_t type, uint8_t size, uint8_t number,
                                   uint8_t input, size_t offset) {
    return rte_acl_field_def{.type = type,
                             .size = size,
                             .field_index = number,
                             .input_index = input,
                             .offset = static_cast<uint32_t>(offset)};
  };
  const uint32_t count = static_cast<uint32_t>(rules.size());
  const rte_acl_param param = {.name = "bench",
                               .socket_id = SOCKET_ID_ANY,
                               .rule_size = RTE_ACL_RULE_SZ(kAclFields),
                               .max_rule_num = count};
  Acl acl(rte_acl_create(&param), &rte_acl_free);
  if (acl == nullptr) return acl;
  for (uint32_t i = 0; i < count; ++i) {
    const AclRule rule = AclRuleOf(rules[i], i, count);
    if (rte_acl_add_rules(acl.get(),
                          reinterpret_cast<const rte_acl_rule*>(&rule),
                          1) != 0) {
      return Acl(nullptr, &rte_acl_free);
    }
  }
  rte_acl_config config{};
  config.num_categories = 1;
  config.num_fields = kAclFields;
  config.defs[0] = field(RTE_ACL_FIELD_TYPE_BITMASK, 1, 0, 0,
                         offsetof(AclKey, protocol));
  config.defs[1] =
      field(RTE_ACL_FIELD_TYPE_MASK, 4, 1, 1, offsetof(AclKey, source));
  config.defs[2] =
      field(RTE_ACL_FIELD_TYPE_MASK, 4, 2, 2, offsetof(AclKey, destination));
  config.defs[3] = field(RTE_ACL_FIELD_TYPE_RANGE, 2, 3, 3,
                         offsetof(AclKey, source_port));
  config.defs[4] = field(RTE_ACL_FIELD_TYPE_RANGE, 2, 4, 3,
                         offsetof(AclKey, destination_port));
  if (rte_acl_build(acl.get(), &config) != 0) acl = nullptr;
  return acl;
}

// The winner alone: no counters, no verdict. That both find the same rule is
// asked before it is measured.
void BM_RteAcl(benchmark::State& state) {
  Loaded loaded(static_cast<Style>(state.range(0)),
                static_cast<uint32_t>(state.range(1)));
  if (!loaded.ok || !StartEal()) {
    state.SkipWithError("no policy or no EAL");
    return;
  }
  const uint64_t began = __rdtsc();
  const Acl acl = MakeAcl(loaded.policy.main.rules.filter);
  if (acl == nullptr) {
    state.SkipWithError("rte_acl refuses the rules");
    return;
  }
  state.counters["build Mcycles"] =
      static_cast<double>(__rdtsc() - began) / 1e6;
  const std::vector<PacketInfo> packets = loaded.maker.Packets(
      loaded.policy, static_cast<Traffic>(state.range(2)), kPackets);
  std::vector<AclKey> keys(packets.size());
  std::vector<const uint8_t*> pointers;
  for (size_t k = 0; k < keys.size(); ++k) {
    keys[k] = {.protocol = packets[k].proto,
               .unused = {},
               .source = {},
               .destination = {},
               .source_port = packets[k].source_port.raw(),
               .destination_port = packets[k].destination_port.raw()};
    std::copy_n(packets[k].source.begin(), 4, keys[k].source.begin());
    std::copy_n(packets[k].destination.begin(), 4,
                keys[k].destination.begin());
    pointers.push_back(reinterpret_cast<const uint8_t*>(&keys[k]));
  }
  uint32_t found[kMaxBurst];
  VerdictCache cache;
  for (size_t k = 0; k + kMaxBurst <= 2048; k += kMaxBurst) {
    rte_acl_classify(acl.get(), &pointers[k], found, kMaxBurst, 1);
    for (uint32_t p = 0; p < kMaxBurst; ++p) {
      const Verdict verdict =
          Classify(*loaded.store->current(),
                   {.packet = packets[k + p],
                    .interface = loaded.port,
                    .received_on = loaded.port},
                   cache, loaded.store->worker_counters(0));
      if (verdict.rule == nullptr || verdict.rule->number + 1 != found[p]) {
        state.SkipWithError("it finds another rule");
        return;
      }
    }
  }
  size_t i = 0;
  Meter meter;
  for (auto _ : state) {
    meter.Begin();
    rte_acl_classify(acl.get(), &pointers[i], found, kMaxBurst, 1);
    benchmark::DoNotOptimize(found);
    meter.End();
    i = (i + kMaxBurst) % kPackets;
  }
  meter.Report(state);
}
// More rules of other styles take it minutes, and gigabytes, to build.
BENCHMARK(BM_RteAcl)
    ->ArgNames({"style", "rules", "traffic"})
    ->ArgsProduct({{kAcl}, {1000, 10000, 100000}, {kHits, kMisses, kFlood}})
    ->ArgsProduct({{kFirewall, kChain}, {1000}, {kHits, kMisses, kFlood}});

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
