// The parts of StateTable that deal with the sources of its states.
#include <utility>

#include "conntrack/pool_nodes.h"
#include "conntrack/state_table.h"
#include "pftable/engine/rule_slots.h"

namespace sluice {
namespace {

// What a rule may ask for other protocols, too, and means nothing there.
constexpr uint32_t kTcpSides =
    kSideModulate | kSideSynproxy | kSideNoHelpers;

constexpr bool IsOpen(const StateHot& hot) {
  constexpr auto kOpen = static_cast<uint8_t>(TcpPhase::kEstablished);
  return hot.key.proto == protocol::kTcp && hot.phase[0] == kOpen &&
         hot.phase[1] == kOpen;
}

LimitCounter CounterOf(SourceRefusal refusal) {
  return refusal == SourceRefusal::kStates ? LimitCounter::kMaxSourceStates
                                           : LimitCounter::kMaxSourceNodes;
}

}  // namespace

Address StateTable::OriginatorOf(StateIndex state) const {
  const StateHot& hot = entries_.hot(state);
  const bool in = hot.direction() == Direction::kIn;
  if (hot.family() == Family::kIpv4) {
    return Address::FromBytes(Family::kIpv4,
                              in ? &hot.key.end0 : &hot.key.end1);
  }
  const FlowKey6& key = entries_.extra(state).key;
  return Address::FromBytes(Family::kIpv6,
                            in ? key.end0.data() : key.end1.data());
}

bool StateTable::GiveSide(StateIndex state, const StateTemplate& values,
                          Tick now, bool child) {
  const uint32_t wanted = child ? values.side & kChildSide : values.side;
  if (wanted == 0) return true;
  StateHot& hot = entries_.hot(state);
  StateSide& side = entries_.side(state);
  side = StateSide{};
  side.flags = wanted & ~uint32_t{kSideConnection};
  if (hot.key.proto != protocol::kTcp) side.flags &= ~kTcpSides;
  if ((side.flags & kSideNoHelpers) != 0 && !IsFtp(state)) {
    side.flags &= ~uint32_t{kSideNoHelpers};
  }
  if (side.flags == 0) return true;
  hot.more |= kMoreSide;
  return (side.flags & kSideSource) == 0 ||
         TrackSource(state, now, /*enforce=*/true);
}

bool StateTable::TrackSource(StateIndex state, Tick now, bool enforce) {
  StateSide& side = entries_.side(state);
  const uint16_t number = entries_.hot(state).key.filter;
  const uint32_t rule_slot = entries_.cold(state).rule_slot;
  const RuleRecord* const rule =
      sink_ != nullptr ? sink_->RuleOf(number, rule_slot) : nullptr;
  if (rule == nullptr || source_nodes_ == nullptr) return true;
  const SourceTracking& tracking = rule->tracking;
  const Address source = OriginatorOf(state);
  SourceKey key;
  key.address = source.bytes;
  key.family = source.family;
  key.vlan = entries_.hot(state).vlan();
  key.filter = number;
  SourceOwner owner = {.budget = filters_[number].sources};
  if (tracking.by_rule) {
    key.rule_slot = rule_slot;
    owner.rule_nodes = &rule->source_nodes;
    if (enforce) owner.max_nodes = tracking.max_nodes;
  }
  const SourceResult taken = source_nodes_->Take(
      key, owner, enforce ? tracking.max_states : 0, now);
  side.source = taken.node;
  if (taken.node == kNoSourceNode && enforce) {
    sink_->CountLimit(number, CounterOf(taken.refusal));
    return false;
  }
  return true;
}

void StateTable::TrackAgain(StateIndex state, Tick now) {
  StateSide& side = entries_.side(state);
  if ((side.flags & kSidePools) != 0) HoldPoolsAgain(state, now);
  if ((side.flags & kSideLimited) != 0) LimitAgain(state, now);
  if ((side.flags & kSideSource) == 0) return;
  TrackSource(state, now, /*enforce=*/false);
  if (side.source == kNoSourceNode || !IsOpen(entries_.hot(state))) return;
  source_nodes_->AddConnection(side.source, 0, {}, now);
  side.flags |= kSideConnection;
}

SourceOwner StateTable::OwnerOfSticky(uint16_t filter,
                                      uint32_t rule_slot) const {
  SourceOwner owner;
  if (filter < filters_.size()) owner.budget = filters_[filter].sources;
  const RuleRecord* const rule =
      sink_ != nullptr ? sink_->RuleOf(filter, rule_slot) : nullptr;
  if (rule != nullptr) owner.rule_nodes = &rule->source_nodes;
  return owner;
}

void StateTable::HoldPools(StateIndex state, PoolHolds* holds) {
  StateHot& hot = entries_.hot(state);
  StateSide& side = entries_.side(state);
  if (!hot.has_side()) side = StateSide{};
  hot.more |= kMoreSide;
  side.flags |= kSidePools;
  for (size_t i = 0; i < kPoolNodes; ++i) {
    if (holds->nodes[i] == kNoSourceNode) continue;
    side.flags |= kSideFirstPool << i;
    // The others are for GiveRoute().
    if (i >= kSidePoolNodes) continue;
    side.pools[i] = std::exchange(holds->nodes[i], kNoSourceNode);
  }
  holds->any = false;
}

void StateTable::GiveRoute(StateIndex state, const PacketRoute& route,
                           const ExpectedChild* child, PoolHolds* holds) {
  StateRoute& kept = entries_.route(state);
  kept = StateRoute{.route = route};
  if (child != nullptr &&
      child->parent.direction != entries_.hot(state).direction()) {
    // What goes back by the parent's way goes forth by the child's.
    if (route.kind == RouteKind::kRouteTo) {
      kept.route.kind = RouteKind::kReplyTo;
    } else if (route.kind == RouteKind::kReplyTo) {
      kept.route.kind = RouteKind::kRouteTo;
    }
  }
  for (size_t i = 0; holds != nullptr && i < kRouteNodes; ++i) {
    kept.nodes[i] =
        std::exchange(holds->nodes[kSidePoolNodes + i], kNoSourceNode);
  }
}

// Of a state that comes from elsewhere, which says what it had: nodes that
// remember something else by now, or would refuse it, it goes on without.
void StateTable::HoldPoolsAgain(StateIndex state, Tick now) {
  const StateHot& hot = entries_.hot(state);
  StateSide& side = entries_.side(state);
  // In which address of the other family the pool's own is does not show.
  if (source_nodes_ == nullptr || (hot.translated() && Crosses(state))) {
    side.pools = kNoSidePools;
    if (entries_.IsRouted(state)) {
      entries_.route(state).nodes = StateRoute().nodes;
    }
    return;
  }
  const PacketEnds before =
      EndsAcross(state, Opposite(hot.direction()), hot.direction());
  const PacketEnds after =
      hot.translated() ? EndsAcross(state, hot.direction(), hot.direction())
                       : before;
  const Family family = hot.family();
  const auto address = [family](const std::array<uint8_t, 16>& bytes) {
    return Address::FromBytes(family, bytes.data());
  };
  const uint16_t filter = hot.key.filter;
  const SourceOwner free = {.budget = source_nodes_->unlimited()};
  const auto wants = [&](PoolNode which) {
    return (side.flags & kSideFirstPool << which) != 0;
  };
  StateRoute unrouted;
  StateRoute& routed =
      entries_.IsRouted(state) ? entries_.route(state) : unrouted;
  const auto place = [&](PoolNode which) -> SourceNodeIndex& {
    return which < kSidePoolNodes ? side.pools[which]
                                  : routed.nodes[which - kSidePoolNodes];
  };
  const auto stick = [&](PoolNode which, SourceUse use,
                         const Address& target) {
    // Until now it was the rule's slot (StateIntake::Write).
    const uint32_t slot = std::exchange(place(which), kNoSourceNode);
    if (!wants(which) || slot == kNoRuleSlot) return;
    const SourceNodeIndex node =
        source_nodes_
            ->Take({.address = before.source,
                    .vlan = hot.vlan(),
                    .rule_slot = slot,
                    .filter = filter,
                    .family = family,
                    .use = use},
                   OwnerOfSticky(filter, slot), 0, now, &target)
            .node;
    if (node == kNoSourceNode) return;
    if (source_nodes_->target(node) == target) {
      place(which) = node;
    } else {
      source_nodes_->GiveBack(node, now);
    }
  };
  stick(kStickySource, SourceUse::kNat, address(after.source));
  stick(kStickyTarget, SourceUse::kRedirect, address(after.destination));
  const auto load = [&](PoolNode which, const Address& of) {
    if (!wants(which)) return;
    place(which) =
        source_nodes_->Take(LoadKey(filter, of), free, 0, now).node;
  };
  load(kLoadOfSource, address(after.source));
  load(kLoadOfTarget, address(after.destination));
  if (routed.route.IsSet()) {
    stick(kStickyRoute, SourceUse::kRoute, routed.route.gateway);
    load(kLoadOfRoute, routed.route.gateway);
  }
  if (!wants(kMappedInside)) return;
  const PoolMapping mapping = {
      .inside = address(before.source),
      .outside = address(after.source),
      .inside_port = before.source_port.host(),
      .outside_port = after.source_port.host(),
      .vlan = hot.vlan()};
  PoolHolds holds;
  if (TakeMapping(*source_nodes_, mapping, filter, now, &holds)) {
    side.pools[kMappedInside] = holds.nodes[kMappedInside];
    side.pools[kMappedOutside] = holds.nodes[kMappedOutside];
  }
}

void StateTable::CountForSource(StateIndex state,
                                const TrafficDelta& traffic) {
  const StateSide& side = entries_.side(state);
  for (const SourceNodeIndex node :
       {side.source, side.pools[kStickySource], side.pools[kStickyTarget]}) {
    if (node == kNoSourceNode) continue;
    source_nodes_->AddTraffic(node, traffic.packets[0] + traffic.packets[1],
                              traffic.bytes[0] + traffic.bytes[1]);
  }
  if (!entries_.IsRouted(state)) return;
  const SourceNodeIndex node =
      entries_.route(state).nodes[kStickyRoute - kSidePoolNodes];
  if (node == kNoSourceNode) return;
  source_nodes_->AddTraffic(node, traffic.packets[0] + traffic.packets[1],
                            traffic.bytes[0] + traffic.bytes[1]);
}

void StateTable::ForgetSource(StateIndex state) {
  const StateHot& hot = entries_.hot(state);
  StateSide& side = entries_.side(state);
  if ((side.flags & kSideLimited) != 0) {
    GiveBackLimits(state, side);
    side.flags &= ~uint32_t{kSideLimited};
  }
  const bool pools = (side.flags & kSidePools) != 0;
  if (side.source == kNoSourceNode && !pools) return;
  const RuleRecord* const rule =
      sink_ != nullptr
          ? sink_->RuleOf(hot.key.filter, entries_.cold(state).rule_slot)
          : nullptr;
  uint32_t seconds =
      rule != nullptr ? rule->timeouts[Timeout::kSourceTrack] : 0;
  if (seconds == 0) {
    seconds = filters_[hot.key.filter].timeouts[Timeout::kSourceTrack];
  }
  const auto life = static_cast<uint32_t>(
      std::min<uint64_t>(uint64_t{seconds} * 1000, kMaxTimeoutTicks));
  if (side.source != kNoSourceNode) {
    source_nodes_->Release(side.source, (side.flags & kSideConnection) != 0,
                           life, now_);
    side.source = kNoSourceNode;
  }
  if (!pools) return;
  const auto release = [&](SourceNodeIndex& place, bool sticky) {
    const SourceNodeIndex node = std::exchange(place, kNoSourceNode);
    if (node == kNoSourceNode) return;
    source_nodes_->Release(node, /*connection=*/false, sticky ? life : 0,
                           now_);
  };
  for (size_t i = 0; i < kSidePoolNodes; ++i) {
    release(side.pools[i], i == kStickySource || i == kStickyTarget);
  }
  if (!entries_.IsRouted(state)) return;
  auto& nodes = entries_.route(state).nodes;
  for (size_t i = 0; i < kRouteNodes; ++i) {
    release(nodes[i], i + kSidePoolNodes == kStickyRoute);
  }
}

bool StateTable::CountConnection(StateIndex state, Tick now) {
  return !IsOpen(entries_.hot(state)) || CountOpened(state, now);
}

bool StateTable::CountOpened(StateIndex state, Tick now) {
  const StateHot& hot = entries_.hot(state);
  StateSide& side = entries_.side(state);
  if ((side.flags & kSideConnection) != 0 || side.source == kNoSourceNode) {
    return true;
  }
  const RuleRecord* const rule =
      sink_->RuleOf(hot.key.filter, entries_.cold(state).rule_slot);
  if (rule == nullptr) return true;
  const SourceTracking& tracking = rule->tracking;
  side.flags |= kSideConnection;
  const ConnectionVerdict verdict = source_nodes_->AddConnection(
      side.source, tracking.max_connections, tracking.rate, now);
  if (!verdict.too_many && !verdict.too_fast) return true;
  if (verdict.too_many) {
    sink_->CountLimit(hot.key.filter, LimitCounter::kMaxSourceConnections);
  }
  if (verdict.too_fast) {
    sink_->CountLimit(hot.key.filter, LimitCounter::kMaxSourceRate);
  }
  if (tracking.overload) {
    sink_->Overload(hot.key.filter, entries_.cold(state).rule_slot,
                    OriginatorOf(state));
  }
  return false;
}

bool StateTable::CountForRate(StateIndex state, Direction direction,
                              Tick now) const {
  const StateHot& hot = entries_.hot(state);
  if (direction != hot.direction() || sink_ == nullptr ||
      !entries_.ActionsOf(state).has(PacketActions::kPacketRate)) {
    return true;
  }
  const RuleRecord* const rule =
      sink_->RuleOf(hot.key.filter, entries_.cold(state).rule_slot);
  return rule == nullptr || rule->AcquirePacket(now);
}

}  // namespace sluice
