// Random routes, nested in each other, against a walk over all of them: the
// longest prefix that has the address decides.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "dataplane/routing/routing_tables.h"

namespace sluice {
namespace {

// Addresses that have much in common, so that prefixes of all lengths nest: the
// bits of one of a few, cut anywhere, with some turned.
Address RandomAddress(Family family, std::mt19937_64& random) {
  static const std::vector<Address> kStems4 = {
      *ParseAddress("10.1.2.3"), *ParseAddress("10.1.255.255"),
      *ParseAddress("192.0.2.77"), *ParseAddress("0.0.0.0"),
      *ParseAddress("223.255.255.255"), *ParseAddress("224.1.2.3")};
  static const std::vector<Address> kStems6 = {
      *ParseAddress("2001:db8:1:2:3:4:5:6"), *ParseAddress("2001:db8::"),
      *ParseAddress("fe80::1"), *ParseAddress("::"),
      *ParseAddress("2001:dff:ffff:ffff:ffff:ffff:ffff:ffff"),
      *ParseAddress("ff02::1")};
  const auto& stems = family == Family::kIpv4 ? kStems4 : kStems6;
  Address address = stems[random() % stems.size()];
  const int bits = AddressBits(family);
  for (uint64_t turned = random() % 4; turned > 0; --turned) {
    const int bit = static_cast<int>(random() % bits);
    address.bytes[bit / 8] ^= static_cast<uint8_t>(0x80 >> bit % 8);
  }
  return address;
}

bool IsGroupAddress(const Address& address) {
  if (address.family == Family::kIpv6) return address.bytes[0] == 0xff;
  return address.bytes[0] >> 4 == 0xe || address == Address::V4(0xffffffff);
}

class Model {
 public:
  void Set(const Route& route) { routes_[route.prefix] = route; }
  bool Remove(const Prefix& prefix) { return routes_.erase(prefix) > 0; }
  void SetAddresses(uint16_t port, const std::vector<Prefix>& addresses) {
    addresses_[port] = addresses;
  }

  const Route* Longest(const Address& address) const {
    const Route* longest = nullptr;
    for (const auto& [prefix, route] : routes_) {
      if (!prefix.Contains(address)) continue;
      if (longest == nullptr || longest->prefix.length < prefix.length) {
        longest = &route;
      }
    }
    return longest;
  }
  bool IsOwn(const Address& address) const {
    for (const auto& [port, prefixes] : addresses_) {
      for (const Prefix& prefix : prefixes) {
        if (prefix.address == address) return true;
      }
    }
    return false;
  }
  bool IsBroadcast(const Address& address) const {
    if (address.family != Family::kIpv4) return false;
    for (const auto& [port, prefixes] : addresses_) {
      for (const Prefix& prefix : prefixes) {
        if (prefix.length > 30 || !prefix.Contains(address)) continue;
        bool ones = true;
        for (int i = prefix.length; i < 32; ++i) ones = ones && address.bit(i);
        if (ones) return true;
      }
    }
    return false;
  }
  const std::map<Prefix, Route>& routes() const { return routes_; }
  const std::vector<Prefix>& addresses(uint16_t port) {
    return addresses_[port];
  }

 private:
  std::map<Prefix, Route> routes_;
  std::map<uint16_t, std::vector<Prefix>> addresses_;
};

Route RandomRoute(const Prefix& prefix, std::mt19937_64& random) {
  Route route{.prefix = prefix};
  constexpr RouteType kOthers[] = {RouteType::kLocal, RouteType::kBlackhole,
                                   RouteType::kUnreachable,
                                   RouteType::kProhibit};
  if (random() % 4 == 0) {
    route.type = kOthers[random() % 4];
    return route;
  }
  for (uint64_t hops = random() % 8 == 0 ? 1 + random() % 5 : 1; hops > 0;
       --hops) {
    NextHop hop{.port = static_cast<uint16_t>(random() % 4),
                .weight = static_cast<uint8_t>(1 + random() % 3)};
    if (random() % 2 == 0) {
      hop.gateway = random() % 2 == 0
                        ? Address::V4(0xc0000200u + random() % 4)
                        : *ParseAddress("fe80::9");
    }
    route.hops.push_back(hop);
  }
  return route;
}

void Check(const RoutingTables& tables, const Model& model,
           const Address& address, uint32_t hash) {
  const std::string name = ToString(address);
  const RouteAnswer answer = tables.Find(address, hash);
  RouteAnswer several[1];
  tables.Find(std::span(&address, 1), std::span(&hash, 1), several);
  ASSERT_EQ(several[0].type, answer.type) << name;
  ASSERT_EQ(several[0].next_hop, answer.next_hop) << name;
  const Route* const route = model.Longest(address);
  if (IsGroupAddress(address) || model.IsOwn(address) ||
      model.IsBroadcast(address)) {
    ASSERT_EQ(answer.type, RouteType::kLocal) << name;
    ASSERT_EQ(tables.IsLocal(address),
              !IsGroupAddress(address) && model.IsOwn(address))
        << name;
    ASSERT_TRUE(tables.HasRoute(address));
    ASSERT_FALSE(tables.LeadsTo(address, 0));
    return;
  }
  ASSERT_EQ(tables.HasRoute(address), route != nullptr) << name;
  if (route == nullptr) {
    ASSERT_EQ(answer.type, RouteType::kNone) << name;
    return;
  }
  ASSERT_EQ(answer.type, route->type) << name;
  for (uint16_t port = 0; port < 4; ++port) {
    const bool leads = std::any_of(
        route->hops.begin(), route->hops.end(),
        [port](const NextHop& hop) { return hop.port == port; });
    ASSERT_EQ(tables.LeadsTo(address, port), leads) << name << " " << port;
  }
  if (route->type != RouteType::kForward) return;
  const bool is_hop = std::any_of(
      route->hops.begin(), route->hops.end(), [&](const NextHop& hop) {
        return hop.port == answer.port &&
               answer.next_hop == (hop.gateway.family == Family::kNone
                                       ? address
                                       : hop.gateway);
      });
  ASSERT_TRUE(is_hop) << name << " by " << answer.port << " to "
                      << ToString(answer.next_hop);
}

void RunOne(uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::function<void()>> waiting;
  RoutingTables::Options options;
  if (seed % 2 == 0) {
    options.retire = [&](std::function<void()> free) {
      waiting.push_back(std::move(free));
    };
  }
  RoutingTables tables(options);
  Model model;
  const size_t most = 20 + random() % 400;
  for (int step = 0; step < 2000; ++step) {
    const Family family = random() % 2 == 0 ? Family::kIpv4 : Family::kIpv6;
    const int bits = AddressBits(family);
    const Prefix prefix =
        Prefix{RandomAddress(family, random),
               static_cast<uint8_t>(random() % (bits + 1))}
            .Masked();
    if (random() % 64 == 0) {
      const auto port = static_cast<uint16_t>(random() % 4);
      std::vector<Prefix> addresses;
      for (uint64_t i = random() % 3; i > 0; --i) {
        addresses.push_back({RandomAddress(family, random),
                             static_cast<uint8_t>(random() % (bits + 1))});
      }
      tables.SetAddresses(port, addresses);
      model.SetAddresses(port, addresses);
    } else if (model.routes().size() < most && random() % 3 != 0) {
      const Route route = RandomRoute(prefix, random);
      ASSERT_TRUE(tables.SetRoute(route).ok());
      model.Set(route);
    } else if (!model.routes().empty()) {
      auto victim = model.routes().lower_bound(prefix);
      if (victim == model.routes().end()) victim = model.routes().begin();
      const Prefix gone = victim->first;
      ASSERT_TRUE(tables.RemoveRoute(gone));
      ASSERT_TRUE(model.Remove(gone));
      ASSERT_FALSE(tables.RemoveRoute(gone));
    }
    for (; !waiting.empty() && random() % 4 != 0; waiting.pop_back()) {
      waiting.back()();
    }
    for (int i = 0; i < 3; ++i) {
      Check(tables, model, RandomAddress(family, random),
            static_cast<uint32_t>(random()));
      if (::testing::Test::HasFatalFailure()) return;
    }
    // The edges of what has just changed.
    Address last = prefix.address;
    for (int bit = prefix.length; bit < bits; ++bit) {
      last.bytes[bit / 8] |= static_cast<uint8_t>(0x80 >> bit % 8);
    }
    Check(tables, model, prefix.address, 1);
    Check(tables, model, last, 2);
    if (::testing::Test::HasFatalFailure()) return;
  }
  // All of them are listed in order.
  std::vector<Route> listed;
  Prefix after;
  while (true) {
    const std::vector<Route> some = tables.RoutesAfter(after, 7);
    if (some.empty()) break;
    listed.insert(listed.end(), some.begin(), some.end());
    after = some.back().prefix;
  }
  std::vector<Route> expected;
  for (const auto& [prefix, route] : model.routes()) {
    expected.push_back(route);
  }
  ASSERT_EQ(listed, expected);
  ASSERT_EQ(tables.route_count(), expected.size());
  // When all have gone, nothing is left.
  for (const Route& route : expected) {
    ASSERT_TRUE(tables.RemoveRoute(route.prefix));
    model.Remove(route.prefix);
  }
  for (int i = 0; i < 200; ++i) {
    Check(tables, model,
          RandomAddress(i % 2 == 0 ? Family::kIpv4 : Family::kIpv6, random),
          3);
    if (::testing::Test::HasFatalFailure()) return;
  }
}

TEST(RoutingProperty, TheLongestPrefixDecides) {
  for (uint64_t seed = 1; seed <= 16; ++seed) {
    RunOne(seed);
    ASSERT_FALSE(::testing::Test::HasFailure()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace sluice
