// Tables of up to a million addresses: building, one edit, replacing,
// lookups.
#include <benchmark/benchmark.h>

#include <random>
#include <vector>

#include "pftable/tables/address_table.h"

namespace sluice {
namespace {

constexpr uint32_t kSmall = 1000;
constexpr uint32_t kLarge = 1'000'000;

// Hosts for the most part, all over the space; IPv6 in /64 networks of a few
// thousand providers.
Address RandomAddress(Family family, std::mt19937_64& random) {
  if (family == Family::kIpv4) {
    return Address::V4(static_cast<uint32_t>(random()));
  }
  Address a = *ParseAddress("2001::");
  const uint64_t provider = random() % 4096;
  const uint64_t rest = random();
  a.bytes[2] = static_cast<uint8_t>(provider >> 8);
  a.bytes[3] = static_cast<uint8_t>(provider);
  for (int i = 0; i < 8; ++i) {
    a.bytes[4 + i] = static_cast<uint8_t>(rest >> (8 * i));
  }
  return a;
}

std::vector<AddressTable::Edit> Edits(Family family, uint32_t count,
                                      uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<AddressTable::Edit> edits(count);
  const int bits = AddressBits(family);
  for (AddressTable::Edit& edit : edits) {
    const int length = random() % 4 == 0 ? bits - 8 : bits;
    edit.prefix = Prefix{RandomAddress(family, random),
                         static_cast<uint8_t>(length)}
                      .Masked();
  }
  return edits;
}

Family FamilyOf(int64_t number) {
  return number == 4 ? Family::kIpv4 : Family::kIpv6;
}

void BM_Build(benchmark::State& state) {
  const auto edits = Edits(FamilyOf(state.range(1)),
                           static_cast<uint32_t>(state.range(0)), 1);
  size_t bytes = 0;  // an entry
  for (auto _ : state) {
    const AddressTable table = AddressTable().With(edits);
    bytes = table.MemoryUse() / table.size();
  }
  state.counters["bytes"] =
      benchmark::Counter(static_cast<double>(bytes));
}

void BM_AddOne(benchmark::State& state) {
  const Family family = FamilyOf(state.range(1));
  const AddressTable table = AddressTable().With(
      Edits(family, static_cast<uint32_t>(state.range(0)), 1));
  const auto more = Edits(family, 4096, 2);
  size_t i = 0;
  for (auto _ : state) {
    const AddressTable next =
        table.With(std::span(&more[i++ % more.size()], 1));
    benchmark::DoNotOptimize(next.view());
  }
}

// Half of the addresses looked up are in the table.
void BM_Lookup(benchmark::State& state) {
  const Family family = FamilyOf(state.range(1));
  const auto edits = Edits(family, static_cast<uint32_t>(state.range(0)), 1);
  const AddressTable table = AddressTable().With(edits);
  std::mt19937_64 random(3);
  std::vector<Address> addresses(1 << 16);
  for (size_t i = 0; i < addresses.size(); ++i) {
    addresses[i] = i % 2 == 0 ? edits[random() % edits.size()].prefix.address
                              : RandomAddress(family, random);
  }
  const AddressTable::View view = table.view();
  size_t i = 0;
  uint64_t found = 0;
  for (auto _ : state) {
    found += view.Contains(addresses[i++ % addresses.size()]);
  }
  benchmark::DoNotOptimize(found);
}

BENCHMARK(BM_Build)
    ->ArgNames({"entries", "family"})
    ->ArgsProduct({{kSmall, kLarge}, {4, 6}})
    ->Unit(benchmark::kMillisecond);
BENCHMARK(BM_AddOne)
    ->ArgNames({"entries", "family"})
    ->ArgsProduct({{kSmall, kLarge}, {4, 6}});
BENCHMARK(BM_Lookup)
    ->ArgNames({"entries", "family"})
    ->ArgsProduct({{kSmall, kLarge}, {4, 6}});

}  // namespace
}  // namespace sluice

BENCHMARK_MAIN();
