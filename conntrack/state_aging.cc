// The parts of StateTable that deal with time, counters and listings.
#include <algorithm>

#include "conntrack/ftp.h"
#include "conntrack/state_table.h"

namespace sluice {
namespace {

// A state may have been touched by a burst whose tick was read a moment later
// than the one of the sweep.
constexpr uint32_t kClockSlack = 1 << 16;

// States that are looked at together.
constexpr uint32_t kSweep = 16;

Address AddressOf(uint32_t raw) {
  return Address::FromBe32(Be32::FromRaw(raw));
}

}  // namespace

uint32_t StateTable::Idle(const StateHot& hot, Tick now) {
  const uint32_t idle = now - hot.last_seen;
  return idle > ~kClockSlack ? 0 : idle;
}

uint32_t StateTable::Lifetime(const StateHot& hot,
                              const StateCold& cold) const {
  const Filter& filter = filters_[hot.key.filter];
  const TimeoutProfile* rule = nullptr;
  uint32_t rule_states = 0;
  if ((hot.flags & kStateRuleTimeouts) != 0 && sink_ != nullptr) {
    rule = sink_->RuleTimeouts(hot.key.filter, cold.rule_slot);
    if (rule != nullptr && (*rule)[Timeout::kAdaptiveStart] != 0) {
      rule_states = sink_->RuleStates(hot.key.filter, cold.rule_slot);
    }
  }
  const uint32_t life = TimeoutTicks(filter.timeouts, rule, hot.timeout,
                                     filter.budget->used(), rule_states);
  return (hot.flags & kEntryFinished) != 0 ? std::min(life, kFinishedLife)
                                           : life;
}

uint32_t StateTable::TimeoutOf(StateIndex state, Timeout timeout) const {
  const StateHot& hot = entries_.hot(state);
  if ((hot.flags & kStateRuleTimeouts) != 0 && sink_ != nullptr) {
    const TimeoutProfile* rule = sink_->RuleTimeouts(
        hot.key.filter, entries_.cold(state).rule_slot);
    if (rule != nullptr && (*rule)[timeout] != 0) return (*rule)[timeout];
  }
  return filters_[hot.key.filter].timeouts[timeout];
}

void StateTable::Requeue(StateIndex state, Tick now) {
  const Tick due = now + Lifetime(entries_.hot(state), entries_.cold(state));
  // What comes up too early is queued again then.
  if (!wheel_.ComesLaterThan(state, due)) return;
  wheel_.Unqueue(state);
  wheel_.Queue(state, due);
}

bool StateTable::Expire(Tick now, uint32_t budget) {
  wheel_.Start(now);
  now_ = now;
  while (budget > 0) {
    const uint32_t swept = Sweep(now, std::min(budget, kSweep));
    if (swept == 0) return true;
    budget -= swept;
  }
  return wheel_.NextDue(now) == kNoState;
}

// A step for all before the next one, so that their misses are waited for
// together.
uint32_t StateTable::Sweep(Tick now, uint32_t most) {
  std::array<StateIndex, kSweep> states;
  uint32_t count = 0;
  for (StateIndex state = wheel_.NextDue(now);
       state != kNoState && count < most;
       state = entries_.cold(state).wheel_next) {
    states[count++] = state;
    __builtin_prefetch(&entries_.hot(state), 1);
  }
  std::array<StateIndex, kSweep> over;
  uint32_t over_count = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const StateIndex state = states[i];
    const StateHot& hot = entries_.hot(state);
    if (QueueAgain(state, now)) continue;
    over[over_count++] = state;
    if (hot.family() == Family::kIpv6) {
      __builtin_prefetch(&entries_.extra(state));
    }
  }
  std::array<FlowHash, kSweep> hashes;
  for (uint32_t i = 0; i < over_count; ++i) {
    hashes[i] = HashOf(over[i]);
    __builtin_prefetch(index_.BucketOf(hashes[i]), 1);
  }
  for (uint32_t i = 0; i < over_count; ++i) {
    // With those before it gone, adaptive timeouts may let it live.
    if (i != 0 && QueueAgain(over[i], now)) continue;
    RemoveHashed(over[i], hashes[i], EndOfAged(entries_.hot(over[i])));
  }
  return count;
}

// Unless its time is over.
bool StateTable::QueueAgain(StateIndex state, Tick now) {
  const uint32_t life = Lifetime(entries_.hot(state), entries_.cold(state));
  const uint32_t idle = Idle(entries_.hot(state), now);
  if (idle >= life) return false;
  wheel_.Unqueue(state);
  wheel_.Queue(state, now + (life - idle));
  return true;
}

void StateTable::Fold(StateIndex state) {
  const TrafficDelta delta = entries_.TakeCounters(state);
  if (entries_.hot(state).has_side()) CountForSource(state, delta);
  if (sink_ != nullptr) {
    sink_->AddTraffic(entries_.hot(state).key.filter,
                      entries_.TemplateOf(state), delta);
  }
}

StateRecord StateTable::Record(StateIndex state, Tick now) const {
  const StateHot& hot = entries_.hot(state);
  const StateCold& cold = entries_.cold(state);
  const StateExtra& extra = entries_.extra(state);
  StateRecord record;
  record.id = cold.id;
  record.slot = state;
  record.family = hot.family();
  record.proto = hot.key.proto;
  record.direction = hot.direction();
  record.filter = hot.key.filter;
  record.interface = cold.interface;
  record.vlan = hot.vlan();
  record.flags = hot.flags;
  std::array<Address, 2> ends;
  if (record.family == Family::kIpv4) {
    ends = {AddressOf(hot.key.end0), AddressOf(hot.key.end1)};
  } else {
    ends = {Address::FromBytes(Family::kIpv6, extra.key.end0.data()),
            Address::FromBytes(Family::kIpv6, extra.key.end1.data())};
  }
  const std::array<uint16_t, 2> ports = {
      Be16::FromRaw(hot.key.port0).host(), Be16::FromRaw(hot.key.port1).host()};
  // The originator is at end 0 of a state that was made inwards.
  const int originator = record.direction == Direction::kIn ? 0 : 1;
  record.address = {ends[originator], ends[originator ^ 1]};
  record.port = {ports[originator], ports[originator ^ 1]};
  if (hot.translated()) {
    record.translated_family = entries_.SecondFamily(state);
    std::array<uint16_t, 2> second_ports;
    if (record.translated_family == Family::kIpv4) {
      const FlowKey4 second = extra.SecondKey4();
      ends = {AddressOf(second.end0), AddressOf(second.end1)};
      second_ports = {second.port0, second.port1};
    } else {
      ends = {Address::FromBytes(Family::kIpv6, extra.second_key.end0.data()),
              Address::FromBytes(Family::kIpv6, extra.second_key.end1.data())};
      second_ports = {extra.second_key.port0, extra.second_key.port1};
    }
    record.translated_address = {ends[originator], ends[originator ^ 1]};
    record.links = entries_.LinksOf(state);
    for (const int peer : {0, 1}) {
      record.translated_port[peer] =
          Be16::FromRaw(second_ports[originator ^ peer]).host();
    }
  }
  if (hot.has_side() && source_nodes_ != nullptr) {
    const StateSide& side = entries_.side(state);
    for (const PoolNode sticky : {kStickySource, kStickyTarget}) {
      const SourceNodeIndex node = side.pools[sticky];
      if (node == kNoSourceNode) continue;
      record.sticky_rules[sticky] = source_nodes_->key(node).rule_slot;
    }
  }
  if (source_nodes_ != nullptr && entries_.IsRouted(state)) {
    const SourceNodeIndex node =
        entries_.route(state).nodes[kStickyRoute - kSidePoolNodes];
    if (node != kNoSourceNode) {
      record.sticky_route_rule = source_nodes_->key(node).rule_slot;
    }
  }
  record.phase = hot.phase;
  record.window = hot.window;
  record.max_window = hot.max_window;
  record.scale = hot.scale;
  if ((hot.more & kMoreShift) != 0) {
    const StateSide& side = entries_.side(state);
    record.proxy = side.proxy;
    if (side.proxy == ProxyPhase::kNone) record.offset = side.offset;
    if (const FtpSession* ftp = ftp_session(state)) {
      for (size_t peer = 0; peer < 2; ++peer) {
        record.offset[peer] += ftp->edits[peer].total();
      }
    }
  }
  for (int i = 0; i < 2; ++i) {
    record.packets[i] = hot.packet_count(static_cast<size_t>(i));
    record.bytes[i] = hot.bytes[i];
    if ((hot.flags & kEntryFolded) != 0) {
      record.packets[i] += extra.folded_packets[i];
      record.bytes[i] += cold.folded_bytes[i];
    }
  }
  record.timeout = hot.timeout;
  record.age = now - cold.created;
  record.idle = Idle(hot, now);
  const uint32_t life = Lifetime(hot, cold);
  record.expires_in = life > record.idle ? life - record.idle : 0;
  record.values = entries_.TemplateOf(state);
  if (entries_.IsScrubbed(state)) {
    record.scrub = entries_.scrub(state);
    for (TcpScrubPeer& peer : record.scrub.peers) {
      peer.last = peer.flags != 0 ? now - peer.last : 0;
    }
  }
  record.parent = {cold.parent_id, cold.parent_slot};
  return record;
}

}  // namespace sluice
