// The part of Pipeline for packets that rules send another way than the routes
// do: `route-to`, `reply-to` and `dup-to`.
#include "conntrack/state_table.h"
#include "dataplane/forward/pipeline.h"
#include "dataplane/forward/steering.h"
#include "dataplane/routing/routing_tables.h"

namespace sluice {

void Pipeline::NoteRoute(uint32_t i, const PacketRoute& route, Direction made,
                         const Judgement& judgement) {
  // Where nothing is routed, replies of such a state go nowhere either.
  if (judgement.at.router != kNoRouter &&
      !route.AppliesTo(made, judgement.where.direction)) {
    return;
  }
  routed_ |= Bit(i);
  packet_routes_[i] = route;
}

void Pipeline::NoteRouteOf(StateIndex state, uint32_t i,
                           const Judgement& judgement) {
  const StateEntries& entries = states_.entries();
  if (!entries.IsRouted(state)) [[likely]] return;
  NoteRoute(i, entries.route(state).route, entries.hot(state).direction(),
            judgement);
}

Pipeline::Mask Pipeline::DropUnrouted(Mask passed) {
  DropAll(passed & routed_, DropReason::kNoRoute);
  passed &= ~routed_;
  routed_ = 0;
  return passed;
}

RouteAnswer Pipeline::AnswerOf(const PacketRoute& route,
                               const PacketInfo& info,
                               const Topology& topology, uint16_t router) {
  const Router& of = topology.routers[router];
  if (!route.by_interface) {
    const RouteAnswer answer =
        of.tables->Find(route.gateway, SymmetricHash(info));
    return answer.type == RouteType::kForward ? answer : RouteAnswer();
  }
  for (const uint16_t port : of.ports) {
    if (topology.ports[port].interface.id != route.interface) continue;
    const bool on_link = route.gateway.family == Family::kNone;
    return {.type = RouteType::kForward,
            .port = port,
            .next_hop = on_link ? Address{.family = info.family,
                                          .bytes = info.destination}
                                : route.gateway};
  }
  return RouteAnswer();
}

}  // namespace sluice
