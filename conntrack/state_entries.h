// The states of a shard as they lie in memory. A slot is the same number in
// some arrays: StateHot (one line, all that a packet of an IPv4 flow touches),
// StateCold (creation, aging, listings) and StateExtra (IPv6 addresses, match
// rules), and of few states StateSide. Both families share the slots. A slot number has 31 bits: the top bit
// of an index entry is kept for the second key of a translated flow.
//
// What a state is now is read here; what happens to it is StateTable's.
#ifndef SLUICE_CONNTRACK_STATE_ENTRIES_H_
#define SLUICE_CONNTRACK_STATE_ENTRIES_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "conntrack/action_sets.h"
#include "conntrack/expectation.h"
#include "conntrack/memory.h"
#include "conntrack/state.h"
#include "conntrack/tcp_scrub.h"

namespace sluice {

// Belongs to one worker.
class StateEntries {
 public:
  StateEntries() = default;
  StateEntries(const StateEntries&) = delete;
  StateEntries& operator=(const StateEntries&) = delete;

  // Errors: no memory (the message says how much).
  absl::Status Build(uint32_t capacity, bool huge_pages, bool prefault);
  // Bytes that Build() takes, before they are rounded to whole pages, without
  // what StateSide takes when states have one.
  static size_t BytesFor(uint32_t capacity) {
    return capacity *
           (sizeof(StateHot) + sizeof(StateCold) + sizeof(StateExtra));
  }
  size_t memory() const {
    return hot_memory_.size() + cold_memory_.size() + extra_memory_.size();
  }
  bool uses_huge_pages() const { return hot_memory_.huge(); }

  const StateHot& hot(StateIndex state) const { return hot_[state]; }
  const StateCold& cold(StateIndex state) const { return cold_[state]; }
  const StateExtra& extra(StateIndex state) const { return extra_[state]; }
  const StateSide& side(StateIndex state) const { return side_[state]; }
  StateHot& hot(StateIndex state) { return hot_[state]; }
  StateCold& cold(StateIndex state) { return cold_[state]; }
  StateExtra& extra(StateIndex state) { return extra_[state]; }
  // Of a translated state, the family of its second key.
  Family SecondFamily(StateIndex state) const {
    const StateExtra& extra = extra_[state];
    return static_cast<Family>((hot_[state].family() == Family::kIpv4
                                    ? extra.key.family
                                    : extra.second_key.family) &
                               kFamilyMask);
  }
  // Valid with StateHot::has_side(); writing it takes memory.
  StateSide& side(StateIndex state) { return side_[state]; }

  // Of a translated state. Nothing is known of one that has never been told.
  LinkPeers LinksOf(StateIndex state) const {
    const StateLinks& links = links_[state];
    return links.id == cold_[state].id ? links.peers : LinkPeers();
  }
  void SetLinks(StateIndex state, const LinkPeers& peers) {
    links_[state] = {.id = cold_[state].id, .peers = peers};
  }

  // A slot that is free, or kNoState.
  StateIndex Take() {
    if (free_ != kNoState) {
      const StateIndex state = free_;
      free_ = hot_[state].last_seen;
      // For who takes the next one.
      if (free_ != kNoState) {
        __builtin_prefetch(&hot_[free_], 1);
        __builtin_prefetch(&cold_[free_], 1);
      }
      return state;
    }
    return used_ < capacity_ ? used_++ : kNoState;
  }
  void GiveBack(StateIndex state) {
    action_sets_.GiveBack(hot_[state].action_set);
    hot_[state].action_set = ActionSets::kNone;
    hot_[state].flags = 0;
    hot_[state].key.family = 0;
    hot_[state].last_seen = free_;
    free_ = state;
  }

  // Calls visit(StateIndex) for the states in at most `budget` slots from
  // *cursor on, which starts at 0. `visit` may remove that state. False at the
  // end. States that are made meanwhile may or may not be seen; one that lives
  // from first to last slice is seen once.
  template <typename Visitor>
  bool Visit(uint32_t* cursor, uint32_t budget, Visitor&& visit) const {
    const uint64_t end =
        std::min<uint64_t>(uint64_t{*cursor} + budget, used_);
    for (; *cursor < end; ++*cursor) {
      if (hot_[*cursor].in_use()) visit(StateIndex{*cursor});
    }
    return *cursor < used_;
  }

  // The slot if the handle's state is here and alive, else kNoState.
  StateIndex Resolve(const StateHandle& handle) const {
    if (!handle.IsSet() || handle.slot >= used_ ||
        cold_[handle.slot].id != handle.id || !hot_[handle.slot].in_use()) {
      return kNoState;
    }
    return handle.slot;
  }
  StateHandle HandleOf(StateIndex state) const {
    return {cold_[state].id, state};
  }
  // What is done to the packets of a state that has an action set.
  const PacketActions& ActionsOf(StateIndex state) const {
    const uint8_t set = hot_[state].action_set;
    return set == ActionSets::kOwn ? own_actions_[state]
                                   : action_sets_.at(set);
  }
  // Once, of a state that is being made.
  void SetActions(StateIndex state, const PacketActions& actions) {
    if (actions.empty()) return;
    const uint8_t set = action_sets_.Take(actions);
    hot_[state].action_set = set & ActionSets::kOwn;
    if (set == ActionSets::kOwn) own_actions_[state] = actions;
    if (actions.has(PacketActions::kScrubTcp)) scrubs_[state] = TcpScrub{};
  }
  // Of states whose actions have kRoute.
  const StateRoute& route(StateIndex state) const { return routes_[state]; }
  StateRoute& route(StateIndex state) { return routes_[state]; }
  bool IsRouted(StateIndex state) const {
    return hot_[state].action_set != ActionSets::kNone &&
           ActionsOf(state).has(PacketActions::kRoute);
  }
  // Of TCP states whose actions have kScrubTcp.
  TcpScrub& scrub(StateIndex state) { return scrubs_[state]; }
  const TcpScrub& scrub(StateIndex state) const { return scrubs_[state]; }
  bool IsScrubbed(StateIndex state) const {
    return hot_[state].action_set != ActionSets::kNone &&
           hot_[state].key.proto == protocol::kTcp &&
           ActionsOf(state).has(PacketActions::kScrubTcp);
  }
  // What an expectation has to know of this state.
  ParentReference ReferenceTo(StateIndex state) const;
  // What the state copied from its rules, and would hand to a child.
  StateTemplate TemplateOf(StateIndex state) const;
  // Moves the hot counters to the cold ones, on their way to the rule.
  TrafficDelta TakeCounters(StateIndex state);

 private:
  uint32_t capacity_ = 0;
  StateHot* hot_ = nullptr;
  StateCold* cold_ = nullptr;
  StateExtra* extra_ = nullptr;
  StateSide* side_ = nullptr;
  uint32_t used_ = 0;  // slots that have ever held a state
  StateIndex free_ = kNoState;  // list through StateHot::last_seen
  TableMemory hot_memory_;
  TableMemory cold_memory_;
  TableMemory extra_memory_;
  TableMemory side_memory_;
  ActionSets action_sets_;
  // Of states whose set found no place; pages that nobody has written take no
  // memory.
  PacketActions* own_actions_ = nullptr;
  TableMemory own_actions_memory_;
  StateLinks* links_ = nullptr;
  TableMemory links_memory_;
  TcpScrub* scrubs_ = nullptr;
  TableMemory scrubs_memory_;
  StateRoute* routes_ = nullptr;
  TableMemory routes_memory_;
};

}  // namespace sluice

#endif  // SLUICE_CONNTRACK_STATE_ENTRIES_H_
