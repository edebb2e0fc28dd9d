// Routers, as the control socket asks for them.
#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/text.h"
#include "dataplane/filters/filter_registry.h"
#include "dataplane/filters/route_words.h"
#include "dataplane/router/router_host.h"

namespace sluice {
namespace {

// Of one page, whatever of them is wanted: the thread of the routers waits.
constexpr size_t kRoutesLookedAt = 4096;

absl::Status NoCursor(std::string_view cursor) {
  return absl::InvalidArgumentError(
      absl::StrCat("parameter \"cursor\": '", PrintableName(cursor),
                   "' was no `next` of an answer"));
}

absl::StatusOr<size_t> PlaceOf(std::string_view cursor) {
  if (cursor.empty()) return size_t{0};
  size_t place = 0;
  const auto [end, error] =
      std::from_chars(cursor.data(), cursor.data() + cursor.size(), place);
  if (error == std::errc() && end == cursor.data() + cursor.size()) {
    return place;
  }
  return NoCursor(cursor);
}

bool Overlap(const Prefix& one, const Prefix& other) {
  return one.address.family == other.address.family &&
         (one.length <= other.length ? one.Contains(other.address)
                                     : other.Contains(one.address));
}

RouterListing RouterListingOf(const RouterStatus& status) {
  RouterListing listing = {.name = status.name,
                           .netns = status.netns,
                           .routes = status.routes,
                           .max_routes = status.max_routes,
                           .neighbors = status.neighbors,
                           .max_neighbors = status.max_neighbors,
                           .memory = status.memory,
                           .synced = status.synced,
                           .questions = status.questions,
                           .dumps = status.dumps,
                           .lost_events = status.lost_events,
                           .skipped = status.skipped,
                           .refused = status.refused};
  const auto limited = [](const RouterPortCounts& counts, HostKind kind) {
    return counts.limited[static_cast<size_t>(kind)];
  };
  for (const RouterPortStatus& port : status.ports) {
    const RouterPortCounts& counts = port.counts;
    RouterPortListing& of = listing.ports.emplace_back(RouterPortListing{
        .port = port.name,
        .tap = port.tap,
        .present = port.present,
        .carrier = port.carrier,
        .to_host = counts.to_host,
        .from_host = counts.from_host,
        .limited_arp = limited(counts, HostKind::kArp),
        .limited_discovery = limited(counts, HostKind::kNeighborDiscovery),
        .limited_other = limited(counts, HostKind::kOther),
        .refused = counts.refused,
        .lost = counts.lost,
        .taken_away = counts.taken});
    for (const Prefix& address : port.addresses) {
      of.addresses.push_back(absl::StrCat(ToString(address.address), "/",
                                          int{address.length}));
    }
  }
  return listing;
}

absl::Status NoRouters() {
  return absl::NotFoundError(
      "there are no routers; they are made in sluice.toml ([[router]])");
}

}  // namespace

std::vector<RouterListing> FilterRegistry::Routers(std::string_view after,
                                                   size_t limit) {
  std::vector<RouterListing> listings;
  if (environment_.routers == nullptr) return listings;
  for (const std::string& name : environment_.routers->Names()) {
    if (name <= after || listings.size() == limit) continue;
    absl::StatusOr<RouterListing> router = Router(name);
    if (router.ok()) listings.push_back(*std::move(router));
  }
  return listings;
}

absl::StatusOr<RouterListing> FilterRegistry::Router(std::string_view name) {
  if (environment_.routers == nullptr) return NoRouters();
  const absl::StatusOr<RouterStatus> status =
      environment_.routers->Status(name);
  if (!status.ok()) return status.status();
  return RouterListingOf(*status);
}

absl::StatusOr<RoutePage> FilterRegistry::Routes(const RouteQuery& query) {
  if (environment_.routers == nullptr) return NoRouters();
  std::optional<Prefix> after;
  if (!query.after.empty()) {
    after = ParsePrefix(query.after);
    if (!after) return NoCursor(query.after);
  }
  // One more says whether there are any after it.
  const absl::StatusOr<std::vector<Route>> routes =
      environment_.routers->Routes(query.router, after, kRoutesLookedAt + 1);
  if (!routes.ok()) return routes.status();
  RoutePage page;
  size_t looked = 0;
  for (; looked < std::min(routes->size(), kRoutesLookedAt) &&
         page.routes.size() < query.limit;
       ++looked) {
    const Route& route = (*routes)[looked];
    if (query.family && route.prefix.address.family != *query.family) continue;
    if (query.overlaps && !Overlap(route.prefix, *query.overlaps)) continue;
    RouteListing& listing = page.routes.emplace_back(RouteListing{
        .prefix = ToString(route.prefix), .type = WordOf(route.type)});
    for (const NextHop& hop : route.hops) {
      listing.hops.push_back(
          {.port = ports_.NameOf(hop.port),
           .gateway = hop.gateway.family == Family::kNone
                          ? std::string()
                          : ToString(hop.gateway),
           .weight = hop.weight});
    }
  }
  if (looked < routes->size()) {
    page.next = ToString((*routes)[looked - 1].prefix);
  }
  return page;
}

absl::StatusOr<RouterNeighborPage> FilterRegistry::RouterNeighbors(
    std::string_view name, std::string_view after, size_t limit) {
  if (environment_.routers == nullptr) return NoRouters();
  const absl::StatusOr<size_t> from = PlaceOf(after);
  if (!from.ok()) return from.status();
  absl::StatusOr<std::vector<RoutingTables::Neighbor>> neighbors =
      environment_.routers->Neighbors(name, *from, limit + 1);
  if (!neighbors.ok()) return neighbors.status();
  RouterNeighborPage page;
  for (size_t i = 0; i < std::min(neighbors->size(), limit); ++i) {
    const RoutingTables::Neighbor& neighbor = (*neighbors)[i];
    page.neighbors.push_back(
        {.port = ports_.NameOf(neighbor.port),
         .address = ToString(neighbor.address),
         .state = WordOf(neighbor.state),
         .mac = neighbor.state == NeighborState::kKnown
                    ? LinkAddressText(neighbor.mac)
                    : std::string()});
  }
  if (neighbors->size() > limit) page.next = absl::StrCat(*from + limit);
  return page;
}

}  // namespace sluice
