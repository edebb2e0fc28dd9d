// Any bytes as what the kernel says of links, addresses, neighbours and routes:
// first as single messages, then by a socket to a mirror, which must stay one
// of whatever it took them for.
#include <sys/socket.h>

#include <cstdint>
#include <cstdlib>
#include <span>
#include <utility>
#include <vector>

#include "dataplane/base/unique_fd.h"
#include "dataplane/router/netlink_message.h"
#include "dataplane/router/route_mirror.h"
#include "dataplane/routing/routing_tables.h"

namespace sluice {
namespace {

constexpr uint16_t kPorts = 4;

void Require(bool condition) {
  if (!condition) std::abort();
}

bool IsWhole(const Prefix& prefix) {
  const int bits = AddressBits(prefix.address.family);
  return bits > 0 && prefix.length <= bits;
}

void ReadAll(NetlinkBytes bytes) {
  size_t left = bytes.size();
  while (const auto message = NextNetlinkMessage(&bytes)) {
    Require(bytes.size() < left);
    left = bytes.size();
    const NetlinkBytes payload = message->payload;
    ReadNetlinkError(payload);
    if (const auto link = ReadLinkNews(payload)) {
      Require(link->index > 0 && !link->name.empty() &&
              link->name.size() < 16);
    }
    if (const auto address = ReadAddressNews(payload)) {
      Require(IsWhole(address->address));
    }
    if (const auto neighbor = ReadNeighborNews(payload)) {
      Require(neighbor->address.family != Family::kNone);
    }
    if (const auto route = ReadRouteNews(payload)) {
      Require(IsWhole(route->prefix) &&
              route->prefix == route->prefix.Masked() &&
              route->hops.size() <= kMaxKernelHops);
    }
    if (const auto object = ReadNextHopNews(payload)) {
      Require(object->id != 0 && object->members.size() <= kMaxKernelHops);
    }
  }
}

void Mirror(NetlinkBytes bytes) {
  RoutingTables tables({.max_routes = 100, .max_neighbors = 50});
  int ends[2];
  Require(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends) == 0);
  const UniqueFd kernel(ends[0]);
  RouteMirror mirror(UniqueFd(ends[1]),
                     {.tables = &tables, .max_routes = 120});
  for (uint16_t port = 0; port < kPorts; ++port) {
    mirror.SetPort(port + 1u, port);
  }
  uint64_t now = 0;
  // In pieces, as a socket gives them: a piece begins with a message.
  while (!bytes.empty()) {
    NetlinkBytes rest = bytes;
    for (int i = 0; i < 16 && NextNetlinkMessage(&rest); ++i) {
    }
    const size_t size =
        rest.size() == bytes.size() ? bytes.size() : bytes.size() - rest.size();
    if (send(kernel.get(), bytes.data(), size, 0) < 0) break;
    bytes = bytes.subspan(size);
    for (int i = 0; i < 100 && mirror.Step(now); ++i) {
    }
    mirror.Ask({.port = 1, .address = Address::V4(0xc0000202)}, now);
    now += 700;
  }
  const std::vector<Route> routes = tables.Routes(0, 1000);
  Require(routes.size() == tables.route_count() && routes.size() <= 100);
  const RouteMirror::Statistics statistics = mirror.statistics();
  Require(statistics.routes <= 240);
  for (const Route& route : routes) {
    Require(tables.RouteOf(route.prefix) == route);
    Require(tables.HasRoute(route.prefix.address));
    for (const NextHop& hop : route.hops) Require(hop.port < kPorts);
  }
  Require(mirror.Skipped({}, 1000).size() == statistics.routes_skipped);
  // Without ports nothing leads anywhere.
  for (uint16_t port = 0; port < kPorts; ++port) mirror.RemovePort(port);
  for (int i = 0; i < 100 && mirror.Step(now); ++i) {
  }
  for (const Route& route : tables.Routes(0, 1000)) {
    Require(route.type != RouteType::kForward);
  }
  Require(tables.neighbor_count() == 0);
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 60'000) return 0;
  sluice::ReadAll({data, size});
  sluice::Mirror({data, size});
  return 0;
}
