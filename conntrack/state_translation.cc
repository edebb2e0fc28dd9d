// The parts of StateTable that know of translated flows.
#include <rte_mbuf.h>

#include <cstring>
#include <utility>

#include "conntrack/state_table.h"
#include "conntrack/translation_directory.h"

namespace sluice {
namespace {

// The originator is at end 0 of a state that was made inwards.
StateEnds ByPeer(StateEnds ends, Direction direction) {
  if (direction == Direction::kOut) {
    std::swap(ends.address[0], ends.address[1]);
    std::swap(ends.port[0], ends.port[1]);
  }
  return ends;
}

StateEnds PeersOf(const FlowKey4& key, Direction direction) {
  StateEnds ends = {.family = Family::kIpv4, .port = {key.port0, key.port1}};
  std::memcpy(ends.address[0].data(), &key.end0, sizeof key.end0);
  std::memcpy(ends.address[1].data(), &key.end1, sizeof key.end1);
  return ByPeer(ends, direction);
}

StateEnds PeersOf(const FlowKey6& key, Direction direction) {
  return ByPeer({.family = Family::kIpv6,
                 .address = {key.end0, key.end1},
                 .port = {key.port0, key.port1}},
                direction);
}

}  // namespace

bool StateTable::IsFree(const PacketInfo& translated, const rte_mbuf& mbuf,
                        const JudgePoint& where) const {
  if (translations_ == nullptr) return false;
  const VlanId vlan = VlanOf(mbuf, translated);
  // Both ways: a flow that is not translated has its key in both.
  if (translated.family == Family::kIpv4) {
    const FlowKey4 key =
        MakeKey4(translated, where.direction, where.filter, vlan);
    return Find4(key, vlan, where.Reversed()) == kNoState &&
           Find4(key, vlan, where) == kNoState &&
           translations_->IsFree(translations_->FlowOf(key, vlan));
  }
  const FlowKey6 key =
      MakeKey6(translated, mbuf, where.direction, where.filter, vlan);
  return Find6(key, vlan, where.Reversed()) == kNoState &&
         Find6(key, vlan, where) == kNoState &&
         translations_->IsFree(translations_->FlowOf(key, vlan));
}

FlowHash StateTable::HashOfSecond(StateIndex state) const {
  const VlanId vlan = entries_.hot(state).vlan();
  return entries_.SecondFamily(state) == Family::kIpv4
             ? Hash(entries_.extra(state).SecondKey4(), options_.secret, vlan)
             : Hash(entries_.extra(state).second_key, options_.secret, vlan);
}

bool StateTable::AddSecondKey(StateIndex state, const PacketInfo& translated,
                              const rte_mbuf& mbuf, const JudgePoint& where) {
  const StateHot& hot = entries_.hot(state);
  StateExtra& extra = entries_.extra(state);
  if (translated.family == Family::kIpv4) {
    const FlowKey4 key =
        MakeKey4(translated, where.direction, where.filter, hot.vlan());
    if (hot.family() == Family::kIpv4 && key == hot.key) return true;
    extra.SetSecondKey4(hot.family(), key);
  } else {
    const FlowKey6 key =
        MakeKey6(translated, mbuf, where.direction, where.filter, hot.vlan());
    if (hot.family() == Family::kIpv6 && key == extra.key) return true;
    extra.SetSecondKey6(hot.family(), key);
  }
  return PlaceSecondKey(state, translated, where);
}

bool StateTable::PlaceSecondKey(StateIndex state, const PacketInfo& translated,
                                const JudgePoint& where) {
  if (translations_ == nullptr) return false;
  StateHot& hot = entries_.hot(state);
  const StateExtra& extra = entries_.extra(state);
  const VlanId vlan = hot.vlan();
  TranslatedFlow flow;
  bool taken;
  if (translated.family == Family::kIpv4) {
    const FlowKey4 key = extra.SecondKey4();
    flow = translations_->FlowOf(key, vlan);
    taken = Find4(key, vlan, where.Reversed()) != kNoState ||
            Find4(key, vlan, where) != kNoState;
  } else {
    const FlowKey6& key = extra.second_key;
    flow = translations_->FlowOf(key, vlan);
    taken = Find6(key, vlan, where.Reversed()) != kNoState ||
            Find6(key, vlan, where) != kNoState;
  }
  if (taken || !translations_->Take(
                   flow, options_.worker,
                   !translations_->IsHome(translated, options_.worker))) {
    return false;
  }
  hot.more |= kMoreSecond;
  if (!index_.Insert(HashOfSecond(state), state | kSecondKeyEntry)) {
    hot.more &= static_cast<uint8_t>(~kMoreSecond);
    translations_->GiveBack(flow);
    return false;
  }
  ++second_keys_;
  return true;
}

void StateTable::RemoveSecondKey(StateIndex state) {
  StateHot& hot = entries_.hot(state);
  if (!hot.translated()) return;
  const StateExtra& extra = entries_.extra(state);
  index_.Remove(HashOfSecond(state), state | kSecondKeyEntry);
  translations_->GiveBack(
      entries_.SecondFamily(state) == Family::kIpv4
          ? translations_->FlowOf(extra.SecondKey4(), hot.vlan())
          : translations_->FlowOf(extra.second_key, hot.vlan()));
  hot.more &= static_cast<uint8_t>(~kMoreSecond);
  --second_keys_;
}

StateEnds StateTable::EndsOf(StateIndex state) const {
  const StateHot& hot = entries_.hot(state);
  const StateExtra& extra = entries_.extra(state);
  return hot.family() == Family::kIpv4 ? PeersOf(hot.key, hot.direction())
                                       : PeersOf(extra.key, hot.direction());
}

StateEnds StateTable::EndsBeyond(StateIndex state) const {
  const StateHot& hot = entries_.hot(state);
  const StateExtra& extra = entries_.extra(state);
  if (!hot.translated()) return EndsOf(state);
  return entries_.SecondFamily(state) == Family::kIpv4
             ? PeersOf(extra.SecondKey4(), hot.direction())
             : PeersOf(extra.second_key, hot.direction());
}

PacketEnds StateTable::EndsAcross(StateIndex state, Direction side,
                                  Direction direction) const {
  const StateHot& hot = entries_.hot(state);
  const StateExtra& extra = entries_.extra(state);
  const bool second = side == hot.direction();
  std::array<std::array<uint8_t, 16>, 2> addresses{};
  std::array<uint16_t, 2> ports;
  const Family family =
      second ? entries_.SecondFamily(state) : hot.family();
  if (family == Family::kIpv4) {
    const FlowKey4 key = second ? extra.SecondKey4() : hot.key;
    std::memcpy(addresses[0].data(), &key.end0, sizeof key.end0);
    std::memcpy(addresses[1].data(), &key.end1, sizeof key.end1);
    ports = {key.port0, key.port1};
  } else {
    const FlowKey6& key = second ? extra.second_key : extra.key;
    addresses = {key.end0, key.end1};
    ports = {key.port0, key.port1};
  }
  const size_t source = direction == Direction::kIn ? 0 : 1;
  PacketEnds ends;
  ends.source = addresses[source];
  ends.destination = addresses[source ^ 1];
  if (hot.key.proto == protocol::kIcmp || hot.key.proto == protocol::kIcmp6) {
    // The identifier is the requester's port.
    const size_t requester = hot.direction() == Direction::kIn ? 0 : 1;
    ends.source_port = Be16::FromRaw(ports[requester]);
  } else {
    ends.source_port = Be16::FromRaw(ports[source]);
    ends.destination_port = Be16::FromRaw(ports[source ^ 1]);
  }
  return ends;
}

void StateTable::Translate(StateIndex state, rte_mbuf& mbuf, PacketInfo* info,
                           Direction direction) const {
  RewritePacket(mbuf, info, EndsAcross(state, direction, direction));
}

CrossResult StateTable::Cross(StateIndex state, rte_mbuf** packet,
                              PacketInfo* info, Direction direction,
                              Crossing crossing, CrossedForm* form) const {
  crossing.ends = EndsAcross(state, direction, direction);
  return CrossFamilies(packet, info, crossing, form);
}

CrossResult StateTable::CrossError(StateIndex state, rte_mbuf** packet,
                                   PacketInfo* info, const PacketInfo& inner,
                                   Direction direction,
                                   Crossing crossing) const {
  crossing.ends = EndsAcross(state, direction, Opposite(direction));
  return CrossIcmpError(packet, info, inner, crossing);
}

void StateTable::TranslateError(StateIndex state, rte_mbuf& mbuf,
                                PacketInfo* info, const PacketInfo& inner,
                                Direction direction) const {
  RewriteIcmpError(mbuf, info, inner,
                   EndsAcross(state, direction, Opposite(direction)));
}

}  // namespace sluice
