// The kernel's links, addresses, neighbours and routes of one network
// namespace, copied into a router's tables by netlink (rtnetlink(7)) and kept
// like them.
//
// All of it comes by one socket: what has changed, and the dumps that are asked
// for at the start and whenever something may have been missed, in the order in
// which it happened. After a gap the dump is made beside what is known; only
// where the two differ the tables change.
//
// Of routes the tables `local` and `main` count, the first before the second,
// and the lowest metric of each prefix. Rules for other tables (ip-rule(8)) and
// routes for some types of service only are not followed. What leads to an
// interface that is no port of the router is not forwarded: its destinations
// are unreachable, as a longer prefix that must not be left to a shorter one.
// What leads to a link that is down is not there.
//
// One thread; nothing blocks.
#ifndef SLUICE_DATAPLANE_ROUTER_ROUTE_MIRROR_H_
#define SLUICE_DATAPLANE_ROUTER_ROUTE_MIRROR_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/forward/router_exchange.h"
#include "dataplane/routing/routing_tables.h"
#include "packet/address.h"

namespace sluice {

class RouteMirror {
 public:
  struct Options {
    // Not owned; this is its writer.
    RoutingTables* tables = nullptr;
    // Routes of the kernel that are remembered, whether they are for the tables
    // or not.
    size_t max_routes = 4'000'000;

    // What is told of ports, out of Step(), SetPort() and RemovePort(). May be
    // null. What they call must not call back.
    // The interface of a port was deleted. The port has none until SetPort().
    std::function<void(uint16_t port)> link_gone = nullptr;
    // The tables have them already.
    std::function<void(uint16_t port, std::span<const Prefix> addresses)>
        addresses_changed = nullptr;
  };

  struct Statistics {
    uint64_t messages = 0;
    uint64_t malformed = 0;  // messages that were not understood
    uint64_t gaps = 0;       // messages were lost, and all was asked for again
    uint64_t dumps = 0;      // that are complete
    uint64_t failed_dumps = 0;
    uint64_t questions = 0;  // the kernel was asked for a neighbour
    uint64_t questions_refused = 0;  // too many at once
    uint64_t refreshed = 0;  // it was asked to confirm one that is used
    uint64_t routes_refused = 0;  // there was no room
    uint64_t neighbors_refused = 0;
    // Now: prefixes of the kernel, and those of them that are not followed (see
    // Skipped()).
    size_t routes = 0;
    size_t routes_skipped = 0;
    // The last thing that the tables or the kernel refused; empty: none.
    std::string last_error;
  };

  // A socket in the calling thread's network namespace, for the constructor.
  // Errors say what could not be done.
  static absl::StatusOr<UniqueFd> OpenSocket();

  // Throws std::bad_alloc.
  RouteMirror(UniqueFd socket, Options options);
  ~RouteMirror();
  RouteMirror(const RouteMirror&) = delete;
  RouteMirror& operator=(const RouteMirror&) = delete;

  // The interface with this index is (from now on) the router's port. Before
  // Start() or at any time; an index has one port and a port one index, the
  // last one said.
  void SetPort(uint32_t link_index, uint16_t port);
  // The port has no interface: its routes, addresses and neighbours go.
  void RemovePort(uint16_t port);

  // Joins the groups and asks for the first dump. `now` is in milliseconds of
  // any clock that does not go back, here and below.
  absl::Status Start(uint64_t now);
  // Call Step() when it is readable, ...
  int descriptor() const;
  // ... when it has said that there is more, and ten times a second.
  //
  // Does a piece of what is to be done, about a millisecond or what
  // `max_messages` take; true: there is more.
  bool Step(uint64_t now, size_t max_messages = 1024);
  // The tables are what the kernel has, as far as it has told. False before the
  // end of the first dump, and after a gap until it is mended.
  bool synced() const;

  // Has the kernel find out where a neighbour is. It is kPending in the tables
  // until an answer has come or there is none. Asking again is no harm. False:
  // it cannot be asked now (too many questions are open, the port has no
  // interface).
  bool Ask(const NeighborQuestion& question, uint64_t now);

  // Whether the kernel knows of a neighbour, or has been asked for it.
  bool Knows(uint16_t port, const Address& address) const;

  Statistics statistics() const;
  // The first `count` of those that are not followed, in order of prefix, IPv4
  // first, behind `after` (kNone: from the beginning). For tests.
  std::vector<Prefix> Skipped(const Prefix& after, size_t count) const;
  size_t memory() const;

 private:
  struct Parts;
  const std::unique_ptr<Parts> parts_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_ROUTER_ROUTE_MIRROR_H_
