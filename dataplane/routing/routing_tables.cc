#include "dataplane/routing/routing_tables.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <map>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/build_limits.h"
#include "dataplane/routing/family_tables.h"
#include "dataplane/routing/freed_list.h"
#include "dataplane/routing/neighbor_cells.h"
#include "dataplane/routing/route_targets.h"
#include "pftable/engine/lazy_memory.h"
#include "pftable/policy/no_memory.h"

namespace sluice {
namespace {

// What one call may add to the list of what is freed.
constexpr size_t kMaxFreed = 128;
static_assert(Tables4::Trie::kMaxFreed + 2 * RoutingTables::kMaxHops + 2 <=
              kMaxFreed);
static_assert(Tables6::Trie::kMaxFreed + 2 * RoutingTables::kMaxHops + 2 <=
              kMaxFreed);
constexpr size_t kMiB = 1 << 20;
// Nodes for routes of the worst kind: far from each other, and to single
// addresses. An IPv4 one has three nodes of its own, an IPv6 one 18.
constexpr size_t kNodeBytes4 = 160;
constexpr size_t kNodeBytes6 = 640;
// What changes has its new target beside the old one, for as long as workers may
// read that.
constexpr size_t kMoreTargets = 65'536;
// Addresses of ports and broadcast addresses of their networks.
constexpr size_t kMaxOwn = 65'536;
// An address may become a broadcast one before it goes: twice what there is of
// them can be taken out.
constexpr size_t kMoreRemovals = 2 * kMaxOwn;
static_assert(kMaxRoutes + kMoreTargets <= TrieWord::kMaxNumber);
constexpr size_t kBurst = 32;

Address BestSource(std::span<const Prefix> addresses, Family family) {
  Address best;
  for (const Prefix& prefix : addresses) {
    const Address& address = prefix.address;
    if (address.family != family) continue;
    const bool link_local = family == Family::kIpv6 &&
                            address.bytes[0] == 0xfe &&
                            (address.bytes[1] & 0xc0) == 0x80;
    if (!link_local) return address;
    if (best.family == Family::kNone) best = address;
  }
  return best;
}

Prefix HostPrefix(const Address& address) {
  return {address, static_cast<uint8_t>(AddressBits(address.family))};
}

// Of the network of an IPv4 address; kNone where there is none.
Address BroadcastOf(const Prefix& address) {
  if (address.address.family != Family::kIpv4 || address.length > 30) return {};
  return Address::V4(address.address.v4().host() |
                     static_cast<uint32_t>(0xffffffffULL >> address.length));
}

absl::Status CheckRoute(const Route& route) {
  const auto wrong = [&](auto... what) {
    return absl::InvalidArgumentError(
        absl::StrCat("route ", ToString(route.prefix), ": ", what...));
  };
  const int bits = AddressBits(route.prefix.address.family);
  if (bits == 0) return absl::InvalidArgumentError("route: it has no prefix");
  if (route.prefix.length > bits) {
    return wrong("a prefix of this family has at most ", bits, " bits");
  }
  if (route.prefix.Masked() != route.prefix) {
    return wrong("it has host bits: write ", ToString(route.prefix.Masked()));
  }
  if (route.type == RouteType::kNone) return wrong("it has no type");
  if (route.type != RouteType::kForward) {
    return route.hops.empty() ? absl::OkStatus()
                              : wrong("its type has no next hops");
  }
  if (route.hops.empty()) return wrong("it has no next hop");
  if (route.hops.size() > RoutingTables::kMaxHops) {
    return wrong(route.hops.size(), " next hops, of which there may be ",
                 RoutingTables::kMaxHops);
  }
  for (const NextHop& hop : route.hops) {
    if (hop.weight == 0) return wrong("a next hop's weight is 1 to 255");
  }
  return absl::OkStatus();
}

}  // namespace

struct RoutingTables::Parts {
  // What workers know of a port's addresses.
  struct PortAddresses {
    std::vector<Prefix> all;
    Address source4, source6;
  };

  explicit Parts(Options given)
      : max_routes(std::clamp<size_t>(given.max_routes, 1, kMaxRoutes)),
        v4(max_routes + kMaxOwn, max_routes + kMoreRemovals,
           max_routes * kNodeBytes4 + 64 * kMiB, FreedKind::kNode4),
        v6(max_routes + kMaxOwn, max_routes + kMoreRemovals,
           max_routes * kNodeBytes6 + 64 * kMiB, FreedKind::kNode6),
        neighbors(given.max_neighbors),
        targets(max_routes + kMoreTargets, &neighbors),
        port_memory(65'536 * sizeof(std::atomic<const PortAddresses*>)),
        ports(port_memory.ArrayAt<std::atomic<const PortAddresses*>>(0)),
        freed(std::move(given.retire)) {
    freed.Reserve(kMaxFreed);
    for (const char* const group : {"224.0.0.0/4", "255.255.255.255/32"}) {
      v4.Set(*ParsePrefix(group), {.own = RouteTargets::kGroup}, &freed);
    }
    v6.Set(*ParsePrefix("ff00::/8"), {.own = RouteTargets::kGroup}, &freed);
    Flush();
  }
  ~Parts() {
    freed.FreeEverything([this](const FreedList::Item& item) { Free(item); });
    for (const auto& [port, addresses] : port_addresses) delete addresses;
  }

  // What f(tables, key type) of the prefix's family gives.
  template <typename F>
  auto Of(Family family, F&& f) const {
    return family == Family::kIpv4 ? f(v4, Key4{}) : f(v6, Key6{});
  }
  template <typename F>
  auto Of(Family family, F&& f) {
    return family == Family::kIpv4 ? f(v4, Key4{}) : f(v6, Key6{});
  }

  uint32_t NumberFor(const Address& address) const {
    switch (address.family) {
      case Family::kIpv4:
        return TrieWord::NumberOf(v4.trie.Find(KeyOf<Key4>(address)));
      case Family::kIpv6:
        return TrieWord::NumberOf(v6.trie.Find(KeyOf<Key6>(address)));
      case Family::kNone:
        break;
    }
    return 0;
  }
  RouteAnswer AnswerOf(uint32_t number, const Address& destination,
                       uint32_t flow_hash) const {
    RouteAnswer answer;
    if (number == 0) return answer;
    const RouteTarget& target = targets[number];
    answer.type = target.type;
    if (target.type != RouteType::kForward) return answer;
    const TargetHop& hop = target.HopOf(flow_hash);
    answer.port = hop.port;
    answer.neighbor = hop.cell;
    answer.next_hop = hop.cell != 0 ? hop.gateway : destination;
    return answer;
  }

  Route Named(const Prefix& prefix, uint32_t number) const {
    return {.prefix = prefix,
            .type = targets[number].type,
            .hops = targets.HopsOf(number)};
  }

  // What is freed of the last call.
  void Flush() {
    freed.Flush([this](const FreedList::Item& item) { Free(item); });
  }
  void Free(const FreedList::Item& item) {
    switch (item.kind) {
      case FreedKind::kNode4:
        v4.trie.Free(item.number);
        break;
      case FreedKind::kNode6:
        v6.trie.Free(item.number);
        break;
      case FreedKind::kTarget:
        targets.Free(item.number);
        break;
      case FreedKind::kHopSet:
        RouteTargets::FreeSet(item.number);
        break;
      case FreedKind::kCell:
        neighbors.Free(item.number);
        break;
      case FreedKind::kPortAddresses:
        delete reinterpret_cast<const PortAddresses*>(item.number);
        break;
    }
  }

  // How many ports have an address, or its network for a broadcast one.
  struct OwnUse {
    uint32_t own = 0;
    uint32_t group = 0;

    uint32_t number() const {
      return own > 0     ? RouteTargets::kOwn
             : group > 0 ? RouteTargets::kGroup
                         : 0;
    }
  };
  void CountOwn(std::span<const Prefix> addresses, int change);
  void ShowOwn(const Address& address);

  const size_t max_routes;
  Tables4 v4;
  Tables6 v6;
  NeighborCells neighbors;
  RouteTargets targets;
  const LazyMemory port_memory;
  std::atomic<const PortAddresses*>* const ports;  // by number, null: none
  std::map<uint16_t, const PortAddresses*> port_addresses;
  std::map<Address, OwnUse> own;
  FreedList freed;
};

RoutingTables::RoutingTables(Options options)
    : parts_(std::make_unique<Parts>(std::move(options))) {}

RoutingTables::~RoutingTables() = default;

// ---- Workers

RouteAnswer RoutingTables::Find(const Address& destination,
                                uint32_t flow_hash) const {
  return parts_->AnswerOf(parts_->NumberFor(destination), destination,
                          flow_hash);
}

void RoutingTables::Find(std::span<const Address> destinations,
                         std::span<const uint32_t> flow_hashes,
                         std::span<RouteAnswer> answers) const {
  const Parts& parts = *parts_;
  for (size_t from = 0; from < destinations.size(); from += kBurst) {
    const size_t count = std::min(kBurst, destinations.size() - from);
    const Address* const some = &destinations[from];
    Tables4::Trie::Walk walks4[kBurst];
    Tables6::Trie::Walk walks6[kBurst];
    uint32_t going4 = 0, going6 = 0;
    for (size_t i = 0; i < count; ++i) {
      if (some[i].family == Family::kIpv4) {
        parts.v4.trie.Fetch(KeyOf<Key4>(some[i]));
      } else {
        parts.v6.trie.Fetch(KeyOf<Key6>(some[i]));
      }
    }
    for (size_t i = 0; i < count; ++i) {
      if (some[i].family == Family::kIpv4) {
        const bool more =
            parts.v4.trie.Begin(KeyOf<Key4>(some[i]), &walks4[i]);
        going4 |= uint32_t{more} << i;
      } else {
        const bool more =
            parts.v6.trie.Begin(KeyOf<Key6>(some[i]), &walks6[i]);
        going6 |= uint32_t{more} << i;
      }
    }
    while (going4 != 0) {
      for (uint32_t rest = going4; rest != 0; rest &= rest - 1) {
        const int i = std::countr_zero(rest);
        if (!parts.v4.trie.Step(&walks4[i])) going4 ^= 1u << i;
      }
    }
    while (going6 != 0) {
      for (uint32_t rest = going6; rest != 0; rest &= rest - 1) {
        const int i = std::countr_zero(rest);
        if (!parts.v6.trie.Step(&walks6[i])) going6 ^= 1u << i;
      }
    }
    for (size_t i = 0; i < count; ++i) {
      const Family family = some[i].family;
      const uint32_t word = family == Family::kIpv4   ? walks4[i].word
                            : family == Family::kIpv6 ? walks6[i].word
                                                      : 0;
      answers[from + i] = parts.AnswerOf(TrieWord::NumberOf(word), some[i],
                                         flow_hashes[from + i]);
    }
  }
}

bool RoutingTables::HasRoute(const Address& destination) const {
  return parts_->NumberFor(destination) != 0;
}

bool RoutingTables::LeadsTo(const Address& source, uint16_t port) const {
  const RouteTarget& target = parts_->targets[parts_->NumberFor(source)];
  if (target.type != RouteType::kForward) return false;
  for (const TargetHop& hop : target.hops()) {
    if (hop.port == port) return true;
  }
  return false;
}

bool RoutingTables::IsLocal(const Address& address) const {
  const uint32_t number = parts_->NumberFor(address);
  return number != RouteTargets::kGroup &&
         parts_->targets[number].type == RouteType::kLocal;
}

NeighborState RoutingTables::FindNeighbor(uint16_t port,
                                          const Address& address,
                                          MacAddress* mac) const {
  return parts_->neighbors.Find(port, address, mac);
}

NeighborState RoutingTables::FindNeighbor(const RouteAnswer& answer,
                                          MacAddress* mac) const {
  return answer.neighbor != 0
             ? parts_->neighbors.Read(answer.neighbor, mac)
             : parts_->neighbors.Find(answer.port, answer.next_hop, mac);
}

Address RoutingTables::SourceAt(uint16_t port, Family family) const {
  const Parts::PortAddresses* const addresses =
      parts_->ports[port].load(std::memory_order_acquire);
  if (addresses == nullptr) return {};
  return family == Family::kIpv4   ? addresses->source4
         : family == Family::kIpv6 ? addresses->source6
                                   : Address();
}

// ---- The writer

absl::Status RoutingTables::SetRoute(const Route& route) {
  if (const absl::Status wrong = CheckRoute(route); !wrong.ok()) return wrong;
  Parts& parts = *parts_;
  const auto set = [&](auto& tables, auto type) -> absl::Status {
    using Key = decltype(type);
    const Key key = KeyOf<Key>(route.prefix.address);
    auto entry = tables.list.Get(key, route.prefix.length);
    const uint32_t old = entry.route;
    if (old == 0 && route_count() >= parts.max_routes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("route ", ToString(route.prefix), ": there are ",
                       parts.max_routes, " already: raise max_routes"));
    }
    if (!tables.HasRoom(1)) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "route ", ToString(route.prefix),
          ": the tables for routes are full: raise max_routes (",
          parts.max_routes, ")"));
    }
    parts.freed.Reserve(kMaxFreed);
    const absl::StatusOr<uint32_t> number =
        parts.targets.Acquire(route.type, route.hops, &parts.freed);
    if (!number.ok()) {
      return absl::Status(number.status().code(),
                          absl::StrCat("route ", ToString(route.prefix), ": ",
                                       number.status().message()));
    }
    entry.route = *number;
    tables.Set(route.prefix, entry, &parts.freed);
    if (old != 0) parts.targets.Release(old, &parts.freed);
    return absl::OkStatus();
  };
  const absl::Status done = OrNoMemory("set a route", [&] {
    return parts.Of(route.prefix.address.family, set);
  });
  parts.Flush();
  return done;
}

bool RoutingTables::RemoveRoute(const Prefix& prefix) {
  Parts& parts = *parts_;
  if (prefix.address.family == Family::kNone) return false;
  const bool was_there =
      parts.Of(prefix.address.family, [&](auto& tables, auto type) {
        using Key = decltype(type);
        const Key key = KeyOf<Key>(prefix.address);
        auto entry = tables.list.Get(key, prefix.length);
        if (entry.route == 0) return false;
        parts.freed.Reserve(kMaxFreed);
        const uint32_t old = std::exchange(entry.route, 0);
        tables.Set(prefix, entry, &parts.freed);
        parts.targets.Release(old, &parts.freed);
        return true;
      });
  if (was_there) parts.Flush();
  return was_there;
}

absl::Status RoutingTables::SetNeighbor(uint16_t port, const Address& address,
                                        NeighborState state,
                                        const MacAddress& mac) {
  if (address.family == Family::kNone) {
    return absl::InvalidArgumentError("neighbor: it has no address");
  }
  const absl::Status set = OrNoMemory("enter a neighbor", [&] {
    return parts_->neighbors.Set(port, address, state, mac);
  });
  parts_->Flush();
  return set;
}

bool RoutingTables::RemoveNeighbor(uint16_t port, const Address& address) {
  parts_->freed.Reserve(kMaxFreed);
  const bool was_there =
      parts_->neighbors.Remove(port, address, &parts_->freed);
  parts_->Flush();
  return was_there;
}

bool RoutingTables::TakeNeighborUse(uint16_t port, const Address& address) {
  return parts_->neighbors.TakeUse(port, address);
}

void RoutingTables::Parts::CountOwn(std::span<const Prefix> addresses,
                                    int change) {
  for (const Prefix& prefix : addresses) {
    own[prefix.address].own += change;
    const Address broadcast = BroadcastOf(prefix);
    if (broadcast.family != Family::kNone) own[broadcast].group += change;
  }
}

void RoutingTables::Parts::ShowOwn(const Address& address) {
  const auto use = own.find(address);
  const uint32_t number = use == own.end() ? 0 : use->second.number();
  if (use != own.end() && number == 0) own.erase(use);
  // Groups and 255.255.255.255 are always the router's.
  if (IsGroup(address) || address == Address::V4(0xffffffff)) return;
  const Prefix prefix = HostPrefix(address);
  Of(address.family, [&](auto& tables, auto type) {
    using Key = decltype(type);
    auto entry = tables.list.Get(KeyOf<Key>(address), prefix.length);
    entry.own = number;
    tables.Set(prefix, entry, &freed);
    return true;
  });
}

void RoutingTables::SetAddresses(uint16_t port,
                                 std::span<const Prefix> addresses) {
  Parts& parts = *parts_;
  auto next = std::make_unique<Parts::PortAddresses>();
  next->all.assign(addresses.begin(), addresses.end());
  std::erase_if(next->all, [](const Prefix& prefix) {
    return AddressBits(prefix.address.family) == 0 ||
           prefix.length > AddressBits(prefix.address.family);
  });
  next->source4 = BestSource(next->all, Family::kIpv4);
  next->source6 = BestSource(next->all, Family::kIpv6);
  const Parts::PortAddresses*& place = parts.port_addresses[port];
  const Parts::PortAddresses* const last = place;
  const std::vector<Prefix> before =
      last == nullptr ? std::vector<Prefix>() : last->all;
  // Those of the new ones that are not known have places made for them, before
  // anything changes.
  std::vector<Address> changed;
  for (const std::vector<Prefix>* const list :
       {&before, const_cast<const std::vector<Prefix>*>(&next->all)}) {
    for (const Prefix& prefix : *list) {
      changed.push_back(prefix.address);
      const Address broadcast = BroadcastOf(prefix);
      if (broadcast.family != Family::kNone) changed.push_back(broadcast);
    }
  }
  std::sort(changed.begin(), changed.end());
  changed.erase(std::unique(changed.begin(), changed.end()), changed.end());
  for (const Address& address : changed) parts.own[address];
  parts.freed.Reserve(kMaxFreed + changed.size() * kMaxFreed);
  bool any_new = false;
  for (const Prefix& prefix : next->all) {
    any_new = any_new || parts.own[prefix.address].own == 0;
    const Address broadcast = BroadcastOf(prefix);
    if (broadcast.family == Family::kNone) continue;
    any_new = any_new || parts.own[broadcast].number() == 0;
  }
  // What only goes needs no room, which it could not give back otherwise.
  if (any_new &&
      (parts.own.size() > kMaxOwn || !parts.v4.HasRoom(changed.size()) ||
       !parts.v6.HasRoom(changed.size()))) {
    for (const Address& address : changed) {
      const auto use = parts.own.find(address);
      if (use->second.number() == 0) parts.own.erase(use);
    }
    throw std::bad_alloc();
  }
  parts.CountOwn(next->all, 1);
  parts.CountOwn(before, -1);
  place = next.release();
  parts.ports[port].store(place, std::memory_order_release);
  for (const Address& address : changed) parts.ShowOwn(address);
  if (last != nullptr) {
    parts.freed.Add(FreedKind::kPortAddresses, reinterpret_cast<uint64_t>(last));
  }
  parts.Flush();
}

size_t RoutingTables::route_count() const {
  return parts_->v4.list.routes() + parts_->v6.list.routes();
}

size_t RoutingTables::neighbor_count() const {
  return parts_->neighbors.count();
}

std::vector<Route> RoutingTables::Routes(size_t from, size_t count) const {
  const Parts& parts = *parts_;
  std::vector<Route> routes;
  const auto add = [&](auto key, int length, const auto& entry) {
    if (routes.size() == count) return false;
    routes.push_back(parts.Named(
        {AddressOf(key), static_cast<uint8_t>(length)}, entry.route));
    return true;
  };
  const size_t first6 = parts.v4.list.routes();
  parts.v4.list.Each(from, add);
  parts.v6.list.Each(from < first6 ? 0 : from - first6, add);
  return routes;
}

std::vector<Route> RoutingTables::RoutesAfter(const Prefix& prefix,
                                              size_t count) const {
  const Parts& parts = *parts_;
  size_t from = 0;
  if (prefix.address.family != Family::kNone) {
    from = parts.Of(prefix.address.family, [&](auto& tables, auto type) {
      return tables.list.NumberAfter(KeyOf<decltype(type)>(prefix.address),
                                     prefix.length);
    });
  }
  if (prefix.address.family == Family::kIpv6) from += parts.v4.list.routes();
  return Routes(from, count);
}

std::optional<Route> RoutingTables::RouteOf(const Prefix& prefix) const {
  const Parts& parts = *parts_;
  if (prefix.address.family == Family::kNone) return std::nullopt;
  const uint32_t number =
      parts.Of(prefix.address.family, [&](auto& tables, auto type) {
        return tables.list
            .Get(KeyOf<decltype(type)>(prefix.address), prefix.length)
            .route;
      });
  if (number == 0) return std::nullopt;
  return parts.Named(prefix, number);
}

std::vector<RoutingTables::Neighbor> RoutingTables::Neighbors(
    size_t from, size_t count) const {
  return parts_->neighbors.List(from, count);
}

std::vector<Prefix> RoutingTables::AddressesOf(uint16_t port) const {
  const auto found = parts_->port_addresses.find(port);
  if (found == parts_->port_addresses.end() || found->second == nullptr) {
    return {};
  }
  return found->second->all;
}

size_t RoutingTables::memory() const {
  const Parts& parts = *parts_;
  return parts.v4.trie.memory() + parts.v4.list.memory() +
         parts.v6.trie.memory() + parts.v6.list.memory() +
         parts.neighbors.memory() + parts.targets.memory() +
         parts.port_memory.Resident() + parts.freed.memory();
}

}  // namespace sluice
