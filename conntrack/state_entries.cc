#include "conntrack/state_entries.h"

#include <array>
#include <cstring>
#include <utility>

namespace sluice {

absl::Status StateEntries::Build(uint32_t capacity, bool huge_pages,
                                 bool prefault) {
  const size_t slots = capacity;
  const std::array<std::pair<TableMemory*, size_t>, 3> parts = {{
      {&hot_memory_, slots * sizeof(StateHot)},
      {&cold_memory_, slots * sizeof(StateCold)},
      {&extra_memory_, slots * sizeof(StateExtra)},
  }};
  for (const auto& [memory, bytes] : parts) {
    auto allocated = TableMemory::Allocate(bytes, huge_pages, prefault);
    if (!allocated.ok()) return allocated.status();
    *memory = std::move(*allocated);
  }
  auto side = TableMemory::Allocate(slots * sizeof(StateSide),
                                    /*huge=*/false, /*prefault=*/false);
  if (!side.ok()) return side.status();
  side_memory_ = *std::move(side);
  const std::array<std::pair<TableMemory*, size_t>, 4> seldom = {{
      {&own_actions_memory_, slots * sizeof(PacketActions)},
      {&links_memory_, slots * sizeof(StateLinks)},
      {&scrubs_memory_, slots * sizeof(TcpScrub)},
      {&routes_memory_, slots * sizeof(StateRoute)},
  }};
  for (const auto& [memory, bytes] : seldom) {
    auto allocated = TableMemory::Allocate(bytes, /*huge_pages=*/false,
                                           /*prefault=*/false);
    if (!allocated.ok()) return allocated.status();
    *memory = *std::move(allocated);
  }
  own_actions_ = static_cast<PacketActions*>(own_actions_memory_.data());
  links_ = static_cast<StateLinks*>(links_memory_.data());
  scrubs_ = static_cast<TcpScrub*>(scrubs_memory_.data());
  routes_ = static_cast<StateRoute*>(routes_memory_.data());
  capacity_ = capacity;
  hot_ = static_cast<StateHot*>(hot_memory_.data());
  cold_ = static_cast<StateCold*>(cold_memory_.data());
  extra_ = static_cast<StateExtra*>(extra_memory_.data());
  side_ = static_cast<StateSide*>(side_memory_.data());
  return absl::OkStatus();
}

TrafficDelta StateEntries::TakeCounters(StateIndex state) {
  StateHot& hot = hot_[state];
  StateCold& cold = cold_[state];
  StateExtra& extra = extra_[state];
  if ((hot.flags & kEntryFolded) == 0) {
    hot.flags |= kEntryFolded;
    cold.folded_bytes = {};
    extra.folded_packets = {};
  }
  TrafficDelta delta;
  for (size_t peer = 0; peer < 2; ++peer) {
    const uint32_t packets = hot.packet_count(peer);
    hot.packets[peer] -= packets;
    const uint32_t bytes = std::exchange(hot.bytes[peer], 0);
    extra.folded_packets[peer] += packets;
    cold.folded_bytes[peer] += bytes;
    // The originator's packets go the way of the first one.
    const size_t direction =
        static_cast<size_t>(hot.direction()) ^ peer;
    delta.packets[direction] = packets;
    delta.bytes[direction] = bytes;
  }
  // pf takes the addresses behind a translation. Those of another family no
  // rule has seen: of a flow that crosses, entries of the tables that its rule
  // names count for what the rule saw.
  delta.family = hot.family();
  const bool behind =
      hot.translated() && SecondFamily(state) == delta.family;
  const bool in = hot.direction() == Direction::kIn;
  const auto ends = [&](const auto& key) {
    // The originator is at end 0 of a state that was made inwards.
    std::memcpy(delta.source.data(), in ? &key.end0 : &key.end1,
                sizeof key.end0);
    std::memcpy(delta.destination.data(), in ? &key.end1 : &key.end0,
                sizeof key.end1);
  };
  if (delta.family == Family::kIpv6) {
    ends(behind ? extra.second_key : extra.key);
  } else if (behind) {
    ends(extra.SecondKey4());
  } else {
    ends(hot.key);
  }
  return delta;
}

ParentReference StateEntries::ReferenceTo(StateIndex state) const {
  const StateHot& hot = hot_[state];
  const StateCold& cold = cold_[state];
  ParentReference parent;
  parent.handle = HandleOf(state);
  parent.filter = hot.key.filter;
  parent.direction = hot.direction();
  parent.interface = cold.interface;
  parent.vlan = hot.vlan();
  parent.has_parent = cold.parent_id != 0;
  if (!parent.has_parent) parent.record = cold.family_record;
  return parent;
}

StateTemplate StateEntries::TemplateOf(StateIndex state) const {
  const StateHot& hot = hot_[state];
  const StateCold& cold = cold_[state];
  StateTemplate values;
  values.rule_slot = cold.rule_slot;
  values.anchor_slot = cold.anchor_slot;
  values.flags = hot.flags & kTemplateFlags;
  values.tag = cold.tag;
  values.match_count = static_cast<uint8_t>(hot.match_count());
  if (hot.match_count() != 0) values.match_slots = extra_[state].match_slots;
  if (hot.has_side()) {
    values.side = side_[state].flags;
    if ((values.side & kSideLimited) != 0) {
      values.state_limiter = side_[state].state_limiter;
      values.source_limiter = side_[state].source_limiter;
    }
  }
  if (hot.action_set != ActionSets::kNone) values.actions = ActionsOf(state);
  if (values.actions.has(PacketActions::kRoute)) {
    values.route = routes_[state].route;
  }
  return values;
}

}  // namespace sluice
