// dataplane/routing/ is what workers know of routes: where packets of routed
// ports go. It is plain memory with one writer and any number of readers; it
// may use packet/, pftable/engine/ and dataplane/base/, and knows neither the
// kernel, of which dataplane/router/ copies it, nor ports beside their numbers.
//
// This header: the routes, addresses and neighbours of one router. Beside it:
// prefix_trie.h, in which workers look destinations up, prefix_list.h, what the
// writer knows of prefixes, route_targets.h, where routes lead to, and
// neighbor_cells.h.
#ifndef SLUICE_DATAPLANE_ROUTING_ROUTING_TABLES_H_
#define SLUICE_DATAPLANE_ROUTING_ROUTING_TABLES_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "packet/address.h"
#include "packet/neighbor.h"

namespace sluice {

// What becomes of a packet to a destination.
enum class RouteType : uint8_t {
  kNone,         // there is no route
  kLocal,        // it is for the router itself: an address of its own, a group
                 // or a broadcast address of one of its links
  kForward,      // it leaves by a port
  kBlackhole,    // dropped, nobody is told
  kUnreachable,  // dropped, the sender is told (RFC 1812 5.2.7.1 code 1,
                 // RFC 4443 3.1 code 0)
  kProhibit,     // the same: administratively prohibited
};

struct NextHop {
  uint16_t port = 0;
  Address gateway{};  // kNone: the destination is on the link itself
  uint8_t weight = 1;

  friend bool operator==(const NextHop&, const NextHop&) = default;
};

struct Route {
  Prefix prefix;  // without host bits
  RouteType type = RouteType::kForward;
  std::vector<NextHop> hops{};  // with kForward: 1 to kMaxHops

  friend bool operator==(const Route&, const Route&) = default;
};

struct RouteAnswer {
  RouteType type = RouteType::kNone;
  uint16_t port = 0;  // with kForward
  // With kForward: whose link address is wanted. The gateway, or the
  // destination.
  Address next_hop;
  // The gateway's place among the neighbours, for FindNeighbor(); 0: it has
  // none. Good until the worker's next quiescent state, not for packets that
  // wait.
  uint32_t neighbor = 0;
};

enum class NeighborState : uint8_t {
  kUnknown,  // nobody has asked for it yet
  kPending,  // it is being asked for
  kKnown,
  kFailed,   // it was asked for and has not answered
};

class RoutingTables {
 public:
  static constexpr size_t kMaxHops = 32;

  struct Options {
    size_t max_routes = 4'000'000;
    size_t max_neighbors = 65'536;
    // Frees when no worker reads it any more. Null: at once, for simulations.
    // Called by the writer, once a grace period at most. `free` may be called
    // on any thread, never being called is no harm, and it outlives the tables.
    std::function<void(std::function<void()> free)> retire = nullptr;
  };
  // Groups and the broadcast address 255.255.255.255 are the router's from the
  // beginning. Throws std::bad_alloc.
  explicit RoutingTables(Options options);
  ~RoutingTables();
  RoutingTables(const RoutingTables&) = delete;
  RoutingTables& operator=(const RoutingTables&) = delete;

  // Workers: wait-free, no allocation.

  // `flow_hash` chooses among several next hops; a flow stays on its hop when
  // others come and go, as far as its own remains.
  RouteAnswer Find(const Address& destination, uint32_t flow_hash) const;
  // The same of many, all as long, whose cache misses wait beside each other.
  void Find(std::span<const Address> destinations,
            std::span<const uint32_t> flow_hashes,
            std::span<RouteAnswer> answers) const;
  // Whether there is a route that leads anywhere or is the router's own: for
  // `no-route`. Blackhole, unreachable and prohibit routes are routes.
  bool HasRoute(const Address& destination) const;
  // Whether a route to `source` leads out by `port`, all hops considered (RFC
  // 3704 strict mode): for `urpf-failed`.
  bool LeadsTo(const Address& source, uint16_t port) const;
  // Whether the address is one of the router's own, which groups and broadcast
  // addresses of its links are not.
  bool IsLocal(const Address& address) const;
  // The link address of a neighbour. `mac` is written with kKnown.
  NeighborState FindNeighbor(uint16_t port, const Address& address,
                             MacAddress* mac) const;
  // Of a kForward answer's next hop, without a search if it is a gateway.
  NeighborState FindNeighbor(const RouteAnswer& answer, MacAddress* mac) const;
  // An address of the port of that family, for errors of ours (RFC 1812
  // 4.3.2.4, RFC 4443 2.2); IPv6 prefers one that is not link-local. kNone:
  // it has none.
  Address SourceAt(uint16_t port, Family family) const;

  // The writer, one thread.

  // Replaces the route of the prefix, if there was one. Errors leave all as it
  // was: kInvalidArgument for host bits, too many hops or none; kResourceExhausted
  // with the limit in the text, which names the option that raises it. Routes
  // into groups are listed and have no effect.
  absl::Status SetRoute(const Route& route);
  // Whether it was there.
  bool RemoveRoute(const Prefix& prefix);
  absl::Status SetNeighbor(uint16_t port, const Address& address,
                           NeighborState state, const MacAddress& mac);
  bool RemoveNeighbor(uint16_t port, const Address& address);
  // Whether a worker has read where this neighbour is since the last call.
  bool TakeNeighborUse(uint16_t port, const Address& address);
  // The addresses of a port, each with the length of its network: they and
  // their networks' IPv4 broadcast addresses are the router's, whatever routes
  // say. Their networks get no routes by that. Throws std::bad_alloc, and has
  // changed nothing then; for want of room in the tables only if there are new
  // ones among them.
  void SetAddresses(uint16_t port, std::span<const Prefix> addresses);

  // The writer again: what is there, in order of prefix, for listings and for
  // comparing with a new dump.
  size_t route_count() const;
  size_t neighbor_count() const;
  std::vector<Route> Routes(size_t from, size_t count) const;
  // The first `count` behind this prefix, which need not be there. Both take
  // a time that depends on `count` only. IPv4 comes before IPv6.
  std::vector<Route> RoutesAfter(const Prefix& prefix, size_t count) const;
  // The route of exactly this prefix.
  std::optional<Route> RouteOf(const Prefix& prefix) const;
  struct Neighbor {
    uint16_t port = 0;
    Address address;
    NeighborState state = NeighborState::kUnknown;
    MacAddress mac{};

    friend bool operator==(const Neighbor&, const Neighbor&) = default;
  };
  std::vector<Neighbor> Neighbors(size_t from, size_t count) const;
  std::vector<Prefix> AddressesOf(uint16_t port) const;
  // Bytes that it has allocated.
  size_t memory() const;

 private:
  struct Parts;
  const std::unique_ptr<Parts> parts_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_ROUTING_ROUTING_TABLES_H_
