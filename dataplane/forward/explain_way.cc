#include "dataplane/forward/explain_way.h"

#include <algorithm>

#include "dataplane/forward/route_amend.h"
#include "dataplane/forward/steering.h"

namespace sluice {
namespace {

Address DestinationIn(const PacketInfo& packet) {
  return {.family = packet.family, .bytes = packet.destination};
}

// The tables only answer where to.
std::optional<Prefix> LongestRoute(const RoutingTables& tables,
                                   const Address& address) {
  for (int length = AddressBits(address.family); length >= 0; --length) {
    const Prefix prefix =
        Prefix{address, static_cast<uint8_t>(length)}.Masked();
    if (tables.RouteOf(prefix)) return prefix;
  }
  return std::nullopt;
}

bool LeadsBy(const ExplainedWay& way, const WayRequest& request) {
  return way.answer.type == RouteType::kForward &&
         std::any_of(request.ports.begin(), request.ports.end(),
                     [&](const WayPort& port) {
                       return port.number == way.answer.port;
                     });
}

void NotePrefix(const RoutingTables& tables, const Address& address,
                ExplainedWay* way) {
  if (way->answer.type == RouteType::kNone ||
      way->answer.type == RouteType::kLocal) {
    return;
  }
  way->prefix = LongestRoute(tables, address);
}

void NoteHop(const RoutingTables& tables, ExplainedWay* way) {
  if (way->answer.type != RouteType::kForward) return;
  way->neighbor = tables.FindNeighbor(way->answer.port, way->answer.next_hop,
                                      &way->mac);
}

ExplainedWay WayByRule(const RoutingTables& tables,
                       const WayRequest& request) {
  ExplainedWay way;
  const PacketRoute& route = *request.route;
  if (!route.by_interface) {
    const RouteAnswer answer =
        tables.Find(route.gateway, SymmetricHash(request.packet));
    if (answer.type == RouteType::kForward) way.answer = answer;
    NotePrefix(tables, route.gateway, &way);
    return way;
  }
  for (const WayPort& port : request.ports) {
    if (port.interface != route.interface) continue;
    way.answer = {.type = RouteType::kForward,
                  .port = port.number,
                  .next_hop = route.gateway.family == Family::kNone
                                  ? DestinationIn(request.packet)
                                  : route.gateway};
    break;
  }
  return way;
}

ExplainedWay WayByRoutes(const RoutingTables& tables,
                         const WayRequest& request) {
  ExplainedWay way;
  const PacketInfo& packet = request.packet;
  const Address to = DestinationIn(packet);
  way.answer = tables.Find(to, SymmetricHash(packet));
  if (way.answer.type != RouteType::kLocal) {
    const RouteType type = way.answer.type;
    AmendRoute(packet, request.arrival, tables, &way.answer);
    if (way.answer.type != type) return way;  // by no route
  }
  NotePrefix(tables, to, &way);
  return way;
}

}  // namespace

ExplainedWay WayIn(const RoutingTables& tables, const WayRequest& request) {
  const bool by_rule =
      request.route != nullptr && request.route->kind != RouteKind::kDupTo;
  ExplainedWay way = by_rule ? WayByRule(tables, request)
                             : WayByRoutes(tables, request);
  if (way.answer.type == RouteType::kLocal) return way;
  if (!LeadsBy(way, request)) {
    way.drop = DropReason::kNoRoute;
    return way;
  }
  if (!request.crosses && request.packet.ttl <= 1) {
    way.drop = DropReason::kTtlExceeded;
  }
  NoteHop(tables, &way);
  return way;
}

ExplainedWay WayMoved(const RoutingTables& tables, const WayRequest& request) {
  ExplainedWay way = WayByRule(tables, request);
  if (!LeadsBy(way, request)) way.drop = DropReason::kNoRoute;
  NoteHop(tables, &way);
  return way;
}

ExplainedWay WayOfCopy(const RoutingTables& tables, const WayRequest& request,
                       bool hop) {
  ExplainedWay way = WayMoved(tables, request);
  if (!way.drop && hop && request.packet.ttl <= 1) {
    way.drop = DropReason::kTtlExceeded;
  }
  return way;
}

ExplainedWay WayFollowed(const RoutingTables& tables,
                         const WayRequest& request, uint16_t departure) {
  ExplainedWay way;
  const Address to = DestinationIn(request.packet);
  way.answer = tables.Find(to, SymmetricHash(request.packet));
  NotePrefix(tables, to, &way);
  if (way.answer.type != RouteType::kForward ||
      way.answer.port != departure) {
    way.drop = DropReason::kNoRoute;
  }
  NoteHop(tables, &way);
  return way;
}

}  // namespace sluice
