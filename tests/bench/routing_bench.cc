// Routes: what a look-up costs with ten of them and with a million, how many
// change in a second, what they take of memory.
#include <benchmark/benchmark.h>

#include <map>
#include <memory>
#include <random>
#include <vector>

#include "dataplane/routing/routing_tables.h"

namespace sluice {
namespace {

constexpr int64_t kFew = 10;
constexpr int64_t kFull = 1'000'000;
constexpr size_t kBurst = 32;

// As in the tables of the Internet: most IPv4 routes are a /24, the others
// down to a /16; of IPv6 half are a /48, in the /32 of some ten thousand
// providers.
Prefix RandomPrefix(Family family, std::mt19937_64& random) {
  const uint64_t some = random() % 100;
  Prefix prefix;
  if (family == Family::kIpv4) {
    // 1.0.0.0 to 223.255.255.255
    prefix.address = Address::V4(
        static_cast<uint32_t>((1 + random() % 223) << 24 | random() % (1 << 24)));
    prefix.length = static_cast<uint8_t>(some < 60   ? 24
                                         : some < 70 ? 23
                                         : some < 82 ? 22
                                                     : 16 + some % 6);
  } else {
    prefix.address = *ParseAddress("2000::");
    const uint64_t provider = random() % 16384;
    const uint64_t rest = random();
    prefix.address.bytes[0] |= static_cast<uint8_t>(provider & 1 ? 4 : 10);
    prefix.address.bytes[2] = static_cast<uint8_t>(provider >> 8);
    prefix.address.bytes[3] = static_cast<uint8_t>(provider);
    for (int i = 0; i < 8; ++i) {
      prefix.address.bytes[4 + i] = static_cast<uint8_t>(rest >> (8 * i));
    }
    prefix.length = static_cast<uint8_t>(some < 50   ? 48
                                         : some < 65 ? 44
                                         : some < 80 ? 40
                                                     : 32 + some % 15);
  }
  return prefix.Masked();
}

Route RandomRoute(Family family, std::mt19937_64& random) {
  Route route{.prefix = RandomPrefix(family, random)};
  const uint32_t gateway = static_cast<uint32_t>(random() % 64);
  route.hops.push_back({.port = static_cast<uint16_t>(gateway % 4),
                        .gateway = Address::V4(0xc0000200u + gateway)});
  return route;
}

Family FamilyOf(int64_t number) {
  return number == 4 ? Family::kIpv4 : Family::kIpv6;
}

struct Full {
  Full(Family family, int64_t count) : tables({}) {
    std::mt19937_64 random(1);
    while (static_cast<int64_t>(tables.route_count()) < count) {
      routes.push_back(RandomRoute(family, random));
      if (!tables.SetRoute(routes.back()).ok()) std::abort();
    }
  }
  RoutingTables tables;
  std::vector<Route> routes;
};

// Made once each.
Full& FullOf(int64_t family, int64_t count) {
  static std::map<std::pair<int64_t, int64_t>, std::unique_ptr<Full>> all;
  std::unique_ptr<Full>& full = all[{family, count}];
  if (full == nullptr) {
    all.clear();
    all[{family, count}] = std::make_unique<Full>(FamilyOf(family), count);
  }
  return *all[{family, count}];
}

// Each packet goes to another route: nothing of it is in a near cache. Half of
// the cost of few routes is the list of destinations itself.
std::vector<Address> Destinations(const Full& full) {
  std::mt19937_64 random(3);
  std::vector<Address> destinations(1 << 16);
  for (Address& address : destinations) {
    const Prefix& prefix = full.routes[random() % full.routes.size()].prefix;
    address = prefix.address;
    const uint64_t rest = random();
    const int bits = AddressBits(address.family);
    for (int bit = prefix.length; bit < bits; ++bit) {
      if ((rest >> bit % 64 & 1) != 0) {
        address.bytes[bit / 8] |= static_cast<uint8_t>(0x80 >> bit % 8);
      }
    }
  }
  return destinations;
}

void BM_Find(benchmark::State& state) {
  const Full& full = FullOf(state.range(1), state.range(0));
  const auto destinations = Destinations(full);
  size_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        full.tables.Find(destinations[i++ % destinations.size()], 7));
  }
}

// As workers do: 32 at once, and each one's neighbour.
void BM_FindBurst(benchmark::State& state) {
  const Full& full = FullOf(state.range(1), state.range(0));
  const auto destinations = Destinations(full);
  const std::vector<uint32_t> hashes(kBurst, 7);
  std::vector<RouteAnswer> answers(kBurst);
  size_t i = 0;
  for (auto _ : state) {
    full.tables.Find(std::span(destinations).subspan(i, kBurst), hashes,
                     answers);
    MacAddress mac{};
    for (const RouteAnswer& answer : answers) {
      benchmark::DoNotOptimize(full.tables.FindNeighbor(answer, &mac));
    }
    i = (i + kBurst) % destinations.size();
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kBurst));
}

void BM_Load(benchmark::State& state) {
  size_t bytes = 0;
  for (auto _ : state) {
    const Full full(FamilyOf(state.range(1)), state.range(0));
    bytes = full.tables.memory();
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.counters["MiB"] = static_cast<double>(bytes >> 20);
}

// One route goes and comes again.
void BM_Flap(benchmark::State& state) {
  Full& full = FullOf(state.range(1), state.range(0));
  std::mt19937_64 random(5);
  for (auto _ : state) {
    const Route& route = full.routes[random() % full.routes.size()];
    full.tables.RemoveRoute(route.prefix);
    if (!full.tables.SetRoute(route).ok()) std::abort();
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * 2));
}

// The shortest prefix of all, which lies below all others.
void BM_FlapDefault(benchmark::State& state) {
  Full& full = FullOf(state.range(1), state.range(0));
  Route route{.prefix = *ParsePrefix(state.range(1) == 4 ? "0.0.0.0/0" : "::/0"),
              .hops = {{.port = 1}}};
  for (auto _ : state) {
    if (!full.tables.SetRoute(route).ok()) std::abort();
    full.tables.RemoveRoute(route.prefix);
  }
}

#define EACH_TABLE \
  ->ArgNames({"routes", "family"})->ArgsProduct({{kFew, kFull}, {4, 6}})
BENCHMARK(BM_Find) EACH_TABLE;
BENCHMARK(BM_FindBurst) EACH_TABLE;
BENCHMARK(BM_Flap) EACH_TABLE;
BENCHMARK(BM_FlapDefault) EACH_TABLE->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_Load)
    ->ArgNames({"routes", "family"})
    ->ArgsProduct({{kFull}, {4, 6}})
    ->Unit(benchmark::kMillisecond)
    ->Iterations(1);

}  // namespace
}  // namespace sluice

BENCHMARK_MAIN();
