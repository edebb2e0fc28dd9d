// The part of Pipeline for packets that rules send another way than the routes
// do: `route-to`, `reply-to` and `dup-to`.
#include <rte_mbuf.h>

#include <bit>
#include <utility>

#include "conntrack/state_table.h"
#include "dataplane/forward/pipeline.h"
#include "dataplane/forward/steering.h"
#include "dataplane/routing/routing_tables.h"
#include "packet/rewrite.h"

namespace sluice {
namespace {

// Judgements where it leaves after which a packet is in a loop, as in pf.
constexpr uint8_t kMostMoves = 3;

// Whether it leads out by a port of that router.
bool Leads(const RouteAnswer& answer, const Topology& topology,
           uint16_t router) {
  return answer.type == RouteType::kForward && answer.port < kMaxPorts &&
         topology.ports[answer.port].router == router;
}

}  // namespace

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

void Pipeline::ForgetRerouting() {
  route_.left = 0;
  route_.settled = 0;
  route_.moved = 0;
  route_.from_host = false;
  route_.copies = false;
  duplicates_.burst.count = 0;
  duplicates_.left = 0;
}

void Pipeline::FindHop(uint32_t i) {
  const RouteAnswer& answer = route_.answers[i];
  const bool known =
      TablesOf(RoutedArrival())
          .FindNeighbor(answer.port, answer.next_hop, &route_.macs[i]) ==
      NeighborState::kKnown;
  route_.unresolved = (route_.unresolved & ~Bit(i)) | (known ? 0 : Bit(i));
  route_.on_link &= ~Bit(i);
}

void Pipeline::Reroute(Passage& passage) {
  const uint16_t router = passage.departure.router;
  for (Mask left = routed_ & passage.alive; left != 0; left &= left - 1) {
    const auto i = static_cast<uint32_t>(std::countr_zero(left));
    if (packet_routes_[i].kind == RouteKind::kDupTo) {
      Duplicate(i, packet_routes_[i], /*hop=*/false);
      continue;
    }
    const RouteAnswer answer = AnswerOf(packet_routes_[i], burst_->infos[i],
                                        passage.topology, router);
    const bool leads = Leads(answer, passage.topology, router);
    if (leads && answer.port == passage.departure.port) {
      route_.answers[i] = answer;
      FindHop(i);
      continue;
    }
    passage.alive &= ~Bit(i);
    if ((route_.moved & Bit(i)) == 0) route_.moves[i] = 0;
    route_.moved |= Bit(i);
    if (!leads || route_.moves[i]++ == kMostMoves) {
      Drop(i, DropReason::kNoRoute);
      continue;
    }
    route_.answers[i] = answer;
    route_.left |= Bit(i);
  }
  routed_ = 0;
}

void Pipeline::RerouteFromHost(PacketBurst& burst, const Topology& topology,
                               const FilterView& filter, Passage& passage) {
  route_.burst = &burst;
  route_.topology = &topology;
  route_.filter = &filter;
  route_.port = passage.departure.port;
  route_.now = passage.now;
  route_.flags = passage.flags;
  route_.groups = 0;
  route_.from_host = true;
  const uint16_t router = passage.departure.router;
  for (Mask left = routed_ & passage.alive; left != 0; left &= left - 1) {
    const auto i = static_cast<uint32_t>(std::countr_zero(left));
    if (packet_routes_[i].kind == RouteKind::kDupTo) {
      Duplicate(i, packet_routes_[i], /*hop=*/false);
      continue;
    }
    passage.alive &= ~Bit(i);
    route_.answers[i] = AnswerOf(packet_routes_[i], burst.infos[i], topology,
                                 router);
    if (!Leads(route_.answers[i], topology, router)) {
      Drop(i, DropReason::kNoRoute);
      continue;
    }
    route_.left |= Bit(i);
    // It was judged there, and has the kernel's next hop.
    if (route_.answers[i].port == passage.departure.port) {
      route_.settled |= Bit(i);
    }
  }
  routed_ = 0;
}

void Pipeline::Duplicate(uint32_t i, const PacketRoute& route, bool hop) {
  const PacketInfo& info = burst_->infos[i];
  const Topology& topology = *route_.topology;
  const uint16_t router = RoutedArrival().router;
  const RouteAnswer answer = AnswerOf(route, info, topology, router);
  if (!Leads(answer, topology, router) || (hop && info.ttl <= 1)) return;
  PacketBurst& copies = duplicates_.burst;
  if (copies.count == kMaxBurst) {
    port_->copies_lost.Add(CountFragments(*burst_->mbufs[i]));
    return;
  }
  rte_mbuf* const copy = Copy(*burst_->mbufs[i], route_.now);
  if (copy == nullptr) return;
  const uint32_t k = copies.count++;
  copies.mbufs[k] = copy;
  copies.infos[k] = info;
  if (hop) {
    SetTtl(*copy, copies.infos[k], static_cast<uint8_t>(info.ttl - 1));
  }
  duplicates_.answers[k] = answer;
  duplicates_.left |= Bit(k);
}

void Pipeline::TurnToCopies() {
  if (route_.left != 0 || duplicates_.left == 0) [[likely]] return;
  route_.burst = &duplicates_.burst;
  route_.answers = duplicates_.answers;
  route_.left = std::exchange(duplicates_.left, 0);
  route_.settled = route_.left;
  route_.groups = 0;
  route_.copies = true;
  // They are what they are.
  crossed_ = 0;
  translated_ = 0;
}

}  // namespace sluice
