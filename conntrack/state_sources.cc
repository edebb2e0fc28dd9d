// The parts of StateTable that deal with the sources of its states.
#include "conntrack/state_table.h"
#include "pftable/engine/rule_slots.h"

namespace sluice {
namespace {

// What a rule may ask for other protocols, too, and means nothing there.
constexpr uint32_t kTcpSides = kSideModulate | kSideSynproxy;

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
                          Tick now) {
  StateHot& hot = entries_.hot(state);
  StateSide& side = entries_.side(state);
  side = StateSide{};
  side.flags = values.side & ~uint32_t{kSideConnection};
  if (hot.key.proto != protocol::kTcp) side.flags &= ~kTcpSides;
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
  if ((side.flags & kSideSource) == 0) return;
  TrackSource(state, now, /*enforce=*/false);
  if (side.source == kNoSourceNode || !IsOpen(entries_.hot(state))) return;
  source_nodes_->AddConnection(side.source, 0, {}, now);
  side.flags |= kSideConnection;
}

void StateTable::CountForSource(StateIndex state,
                                const TrafficDelta& traffic) {
  const StateSide& side = entries_.side(state);
  if (side.source == kNoSourceNode) return;
  source_nodes_->AddTraffic(side.source,
                            traffic.packets[0] + traffic.packets[1],
                            traffic.bytes[0] + traffic.bytes[1]);
}

void StateTable::ForgetSource(StateIndex state) {
  const StateHot& hot = entries_.hot(state);
  StateSide& side = entries_.side(state);
  if (side.source == kNoSourceNode) return;
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
  source_nodes_->Release(side.source, (side.flags & kSideConnection) != 0,
                         life, now_);
  side.source = kNoSourceNode;
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

}  // namespace sluice
