// The plain interpreter and commits: the time a packet takes when the last of
// N rules matches, that when the optimiser has made a table of them, and the
// time from a parsed policy to its publication.
#include <benchmark/benchmark.h>

#include <string>
#include <utility>
#include <vector>

#include "pftable/engine/evaluate.h"
#include "pftable/language/parser.h"
#include "pftable/store/policy_store.h"

namespace sluice {
namespace {

// `block in` rules for ports of networks that no packet comes from, then a
// pass that matches.
Policy PolicyOf(uint32_t rules, Family family) {
  Policy policy;
  for (uint32_t i = 0; i + 1 < rules; ++i) {
    Rule& rule = policy.main.rules.filter.emplace_back();
    rule.action = RuleAction::kBlock;
    rule.direction = Direction::kIn;
    rule.family = family;
    rule.protocol = protocol::kTcp;
    AddressMatch& source = rule.source.address;
    source.kind = AddressKind::kPrefix;
    if (family == Family::kIpv4) {
      source.address = Address::V4(0xac100000 + (i << 8));
      source.mask = MaskOf(family, 24);
    } else {
      source.address = *ParseAddress("fd00::");
      source.address.bytes[4] = static_cast<uint8_t>(i >> 8);
      source.address.bytes[5] = static_cast<uint8_t>(i);
      source.mask = MaskOf(family, 48);
    }
    rule.destination.port = {.op = CompareOperator::kEqual,
                             .low = static_cast<uint16_t>(i % 1024),
                             .high = 0};
  }
  Rule& last = policy.main.rules.filter.emplace_back();
  last.state = StateKind::kKeep;
  return policy;
}

std::vector<PacketInfo> Packets(Family family) {
  std::vector<PacketInfo> packets(64);
  for (size_t i = 0; i < packets.size(); ++i) {
    PacketInfo& info = packets[i];
    info = PacketInfo{};
    info.kind = Kind::kIp;
    info.family = family;
    info.source =
        family == Family::kIpv4
            ? Address::V4(0x0a000000 + static_cast<uint32_t>(i) * 77).bytes
            : ParseAddress("2001:db8::1")->bytes;
    info.source[15] = static_cast<uint8_t>(family == Family::kIpv6 ? i : 0);
    info.destination = info.source;
    info.proto = protocol::kTcp;
    info.tcp_flags = kTcpSyn;
    info.source_port = Be16(static_cast<uint16_t>(1024 + i));
    info.destination_port = Be16(443);
    info.ip_length = 60;
  }
  return packets;
}

void BM_LastRuleMatches(benchmark::State& state) {
  const Family family = state.range(1) == 4 ? Family::kIpv4 : Family::kIpv6;
  InterfaceRegistry interfaces;
  const InterfaceView port = *interfaces.AddPort("outside");
  ImmediateReclaimer reclaimer;
  PolicyStore store({}, &interfaces, &reclaimer);
  const uint32_t rules = static_cast<uint32_t>(state.range(0));
  if (!store.Load(PolicyOf(rules, family)).ok()) {
    state.SkipWithError("the policy was not loaded");
    return;
  }
  const std::vector<PacketInfo> packets = Packets(family);
  WorkerCounters& counters = store.worker_counters(0);
  size_t i = 0;
  for (auto _ : state) {
    Verdict verdict =
        Evaluate(*store.current(),
                 {.packet = packets[i++ % packets.size()],
                  .interface = port,
                  .received_on = port},
                 counters);
    benchmark::DoNotOptimize(verdict);
  }
}
BENCHMARK(BM_LastRuleMatches)
    ->ArgNames({"rules", "family"})
    ->ArgsProduct({{1, 10, 1000, 10000}, {4, 6}});

// Rules that differ in a source that no packet has, as they are written (0)
// or as the one rule with a table that the optimiser makes of them (1).
void BM_AutomaticTable(benchmark::State& state) {
  const bool v4 = state.range(1) == 4;
  std::string text;
  for (int64_t i = 0; i < state.range(0); ++i) {
    text += "block in quick proto tcp from " +
            (v4 ? "172.16." + std::to_string(i / 256) + "." +
                      std::to_string(i % 256)
                : "fd00::" + std::to_string(i)) +
            " to any port 443\n";
  }
  ParseInput input;
  input.text = text + "pass\n";
  input.optimize = true;
  input.optimization = state.range(2) == 0 ? RulesetOptimization::kNone
                                           : RulesetOptimization::kBasic;
  const ParseResult parsed = ParsePolicy(std::move(input));
  InterfaceRegistry interfaces;
  const InterfaceView port = *interfaces.AddPort("outside");
  ImmediateReclaimer reclaimer;
  PolicyStore store({}, &interfaces, &reclaimer);
  if (!parsed.ok() || !store.Load(parsed.policy).ok()) {
    state.SkipWithError("the policy was not loaded");
    return;
  }
  const std::vector<PacketInfo> packets =
      Packets(v4 ? Family::kIpv4 : Family::kIpv6);
  WorkerCounters& counters = store.worker_counters(0);
  size_t i = 0;
  for (auto _ : state) {
    Verdict verdict = Evaluate(*store.current(),
                               {.packet = packets[i++ % packets.size()],
                                .interface = port,
                                .received_on = port},
                               counters);
    benchmark::DoNotOptimize(verdict);
  }
  state.counters["rules-left"] =
      static_cast<double>(parsed.policy.main.rules.filter.size());
}
BENCHMARK(BM_AutomaticTable)
    ->ArgNames({"rules", "family", "optimised"})
    ->ArgsProduct({{6, 100, 1000, 10000}, {4, 6}, {0, 1}});

// Two policies in turn that have no rule in common but the last.
void BM_Commit(benchmark::State& state) {
  InterfaceRegistry interfaces;
  ImmediateReclaimer reclaimer;
  PolicyStore store({}, &interfaces, &reclaimer);
  const uint32_t rules = static_cast<uint32_t>(state.range(0));
  const Policy policies[] = {PolicyOf(rules, Family::kIpv4),
                             PolicyOf(rules, Family::kIpv6)};
  size_t i = 0;
  for (auto _ : state) {
    if (!store.Load(policies[i++ % 2]).ok()) {
      state.SkipWithError("the policy was not loaded");
      return;
    }
  }
}
BENCHMARK(BM_Commit)
    ->ArgName("rules")
    ->Arg(10)
    ->Arg(1000)
    ->Arg(10000)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace sluice

BENCHMARK_MAIN();
