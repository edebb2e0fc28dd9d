// Cycles of the state table: hits with 500, 50 000 and 500 000 connections of
// each family and protocol (hash, lookup and step; the burst is parsed
// already), creation, expiry. cycles/packet is the time-stamp counter's.
#include <benchmark/benchmark.h>
#include <x86intrin.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "conntrack/state_table.h"
#include "tests/support/plain_mbuf.h"

namespace sluice {
namespace {

PacketInfo MakePacket(Family family, uint8_t proto, uint32_t flow) {
  PacketInfo info{};
  info.kind = Kind::kIp;
  info.family = family;
  info.proto = proto;
  const uint32_t source = Be32(0x0a000000 + flow / 16).raw();
  const uint32_t destination = Be32(0xc0000200 + flow % 16).raw();
  const size_t at = family == Family::kIpv4 ? 0 : 12;
  std::memcpy(&info.source[at], &source, 4);
  std::memcpy(&info.destination[at], &destination, 4);
  if (family == Family::kIpv6) info.source[0] = info.destination[0] = 0x20;
  info.source_port = Be16(static_cast<uint16_t>(1024 + flow % 60000));
  info.destination_port = Be16(53);
  info.ip_length = 46;
  if (proto == protocol::kTcp) {
    info.l4_header_length = 20;
    info.l4_length = 20;
    info.window = 1000;
    info.sequence = flow;
    info.tcp_flags = kTcpSyn;
  } else {
    info.l4_header_length = 8;
    info.l4_length = 26;
  }
  return info;
}

PacketInfo Reversed(const PacketInfo& original) {
  PacketInfo info = original;
  std::swap(info.source, info.destination);
  std::swap(info.source_port, info.destination_port);
  std::swap(info.sequence, info.acknowledgment);
  return info;
}

struct Bench {
  Bench(uint32_t capacity, bool huge) : budget(1u << 30) {
    table = *StateTable::Build({.capacity = capacity,
                                .secret = HashSecret::FromSeed(1),
                                .huge_pages = huge});
    TimeoutProfile profile = kDefaultTimeoutProfile;
    profile[Timeout::kAdaptiveStart] = profile[Timeout::kAdaptiveEnd] = 0;
    table->SetFilter(0, &budget, profile);
  }
  // An open connection.
  void Open(const PacketInfo& first) {
    PacketInfo info = first;
    const StateIndex state =
        table->Insert(info, *mbuf, {}, {}, now).state;
    if (info.proto == protocol::kTcp) {
      PacketInfo answer = Reversed(info);
      answer.sequence = 7000;
      answer.acknowledgment = info.sequence + 1;
      answer.tcp_flags = kTcpSyn | kTcpAck;
      table->Step(state, answer, *mbuf, Direction::kOut, now);
      info.tcp_flags = kTcpAck;
      ++info.sequence;
      info.acknowledgment = 7001;
      table->Step(state, info, *mbuf, Direction::kIn, now);
    } else {
      table->Step(state, Reversed(info), *mbuf, Direction::kOut, now);
      table->Step(state, info, *mbuf, Direction::kIn, now);
    }
  }
  StateBudget budget;
  std::unique_ptr<StateTable> table;
  PlainMbuf mbuf{std::vector<uint8_t>(64)};
  Tick now = 1;
};

void Hit(benchmark::State& state, Family family, uint8_t proto, bool huge) {
  const auto flows = static_cast<uint32_t>(state.range(0));
  Bench bench(flows + 1000, huge);
  for (uint32_t i = 0; i < flows; ++i) {
    bench.Open(MakePacket(family, proto, i));
  }
  // The order of arrival has nothing to do with the order of creation. Each
  // burst is made just before it is timed, as the parser leaves it.
  std::mt19937 random(3);
  PacketBurst burst;
  burst.count = kMaxBurst;
  burst.mbufs.fill(bench.mbuf.get());
  std::array<uint8_t, kMaxBurst> indices;
  std::iota(indices.begin(), indices.end(), uint8_t{0});
  std::array<StateIndex, kMaxBurst> states;
  uint64_t passed = 0;
  std::vector<uint32_t> samples;
  for (auto _ : state) {
    for (PacketInfo& info : burst.infos) {
      info = MakePacket(family, proto, random() % flows);
      if (proto == protocol::kTcp) {
        info.tcp_flags = kTcpAck;
        ++info.sequence;
        info.acknowledgment = 7001;
      }
    }
    const uint64_t begin = __rdtsc();
    bench.table->Lookup(burst, indices, {}, states);
    for (uint32_t i = 0; i < kMaxBurst; ++i) {
      passed += bench.table
                    ->Step(states[i], burst.infos[i], *burst.mbufs[i],
                           Direction::kIn, bench.now)
                    .verdict == StepVerdict::kPass;
    }
    samples.push_back(static_cast<uint32_t>(__rdtsc() - begin));
  }
  if (passed != samples.size() * kMaxBurst) {
    state.SkipWithError("a packet was refused");
  }
  // The median: other work on the core does not count.
  std::nth_element(samples.begin(), samples.begin() + samples.size() / 2,
                   samples.end());
  state.counters["cycles/packet"] =
      static_cast<double>(samples[samples.size() / 2]) / kMaxBurst;
  state.counters["huge"] = bench.table->entries().uses_huge_pages();
}

// New flows into a table that has room, then all of them expire.
void CreateAndExpire(benchmark::State& state, Family family) {
  const auto flows = static_cast<uint32_t>(state.range(0));
  Bench bench(flows, true);
  std::vector<PacketInfo> infos;
  for (uint32_t i = 0; i < flows; ++i) {
    infos.push_back(MakePacket(family, protocol::kUdp, i));
  }
  std::vector<uint64_t> create, expire;
  for (auto _ : state) {
    uint64_t begin = __rdtsc();
    for (size_t i = 0; i < infos.size(); ++i) {
      benchmark::DoNotOptimize(
          bench.table->Insert(infos[i], *bench.mbuf, {}, {}, bench.now));
      if (i % 256 != 255) continue;
      create.push_back(__rdtsc() - begin);
      begin = __rdtsc();
    }
    bench.now += 61000;
    begin = __rdtsc();
    while (!bench.table->Expire(bench.now, 256)) {
      expire.push_back(__rdtsc() - begin);
      begin = __rdtsc();
    }
    if (bench.table->size() != 0) state.SkipWithError("something lives");
  }
  const auto median = [](std::vector<uint64_t>& v) {
    std::nth_element(v.begin(), v.begin() + v.size() / 2, v.end());
    return static_cast<double>(v[v.size() / 2]) / 256;
  };
  state.counters["cycles/create"] = median(create);
  state.counters["cycles/expire"] = median(expire);
  state.counters["bytes/state"] =
      static_cast<double>(bench.table->memory()) / flows;
}

void Sizes(benchmark::internal::Benchmark* b) {
  b->Arg(500)->Arg(50000)->Arg(500000);
}
BENCHMARK_CAPTURE(Hit, udp4, Family::kIpv4, protocol::kUdp, true)
    ->Apply(Sizes);
BENCHMARK_CAPTURE(Hit, udp6, Family::kIpv6, protocol::kUdp, true)
    ->Apply(Sizes);
BENCHMARK_CAPTURE(Hit, tcp4, Family::kIpv4, protocol::kTcp, true)
    ->Apply(Sizes);
BENCHMARK_CAPTURE(Hit, tcp6, Family::kIpv6, protocol::kTcp, true)
    ->Apply(Sizes);
BENCHMARK_CAPTURE(Hit, udp4_small_pages, Family::kIpv4, protocol::kUdp, false)
    ->Apply(Sizes);
BENCHMARK_CAPTURE(CreateAndExpire, v4, Family::kIpv4)->Arg(50000);
BENCHMARK_CAPTURE(CreateAndExpire, v6, Family::kIpv6)->Arg(50000);

}  // namespace
}  // namespace sluice

BENCHMARK_MAIN();
