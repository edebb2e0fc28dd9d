#include "conntrack/state_import.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "conntrack/ftp.h"
#include "conntrack/state_table.h"
#include "conntrack/tcp_tracker.h"

namespace sluice {
namespace {

// How many states ahead of the one in hand memory is fetched.
constexpr uint32_t kAhead = 8;

// Of a state that another filter takes in.
constexpr uint16_t kAdoptedFlags =
    kStateSloppy | kStateAllowOptions | kStateIfBound;
constexpr uint32_t kAdoptedSide = kSideModulate;

uint32_t RawV4(const Address& address) {
  uint32_t raw;
  std::memcpy(&raw, address.bytes.data(), sizeof raw);
  return raw;
}

// The ends as the key has them: the originator's is end 0 of a state that was
// made inwards.
template <typename Key>
void SetPorts(const StateRecord& record, Key* key) {
  const int first = record.direction == Direction::kIn ? 0 : 1;
  key->port0 = Be16(record.port[first]).raw();
  key->port1 = Be16(record.port[first ^ 1]).raw();
  key->proto = record.proto;
  key->filter = record.filter;
}

FlowKey4 Key4(const StateRecord& record) {
  const int first = record.direction == Direction::kIn ? 0 : 1;
  FlowKey4 key;
  key.family = internal::KeyFamily(Family::kIpv4, record.vlan);
  key.end0 = RawV4(record.address[first]);
  key.end1 = RawV4(record.address[first ^ 1]);
  SetPorts(record, &key);
  return key;
}

FlowKey6 Key6(const StateRecord& record) {
  const int first = record.direction == Direction::kIn ? 0 : 1;
  FlowKey6 key;
  key.family = internal::KeyFamily(Family::kIpv6, record.vlan);
  key.end0 = record.address[first].bytes;
  key.end1 = record.address[first ^ 1].bytes;
  SetPorts(record, &key);
  return key;
}

bool IsAhead(const StateHot& live, const StateRecord& record, int peer) {
  if (record.phase[peer] < live.phase[peer]) return false;
  if (record.proto != protocol::kTcp) {
    return record.phase[peer] > live.phase[peer];
  }
  const auto difference = static_cast<int32_t>(record.window[peer].low -
                                               live.window[peer].low);
  return difference > 0 ||
         (difference == 0 && record.phase[peer] > live.phase[peer]);
}

}  // namespace

FlowHash StateIntake::HashOf(const StateRecord& record) const {
  const HashSecret& secret = table_.options_.secret;
  return record.family == Family::kIpv4
             ? Hash(Key4(record), secret, record.vlan)
             : Hash(Key6(record), secret, record.vlan);
}

StateIntake::StateIntake(StateTable* table)
    : table_(*table), entries_(table->entries_) {}

uint64_t StateIntake::last_id() const { return table_.last_id_; }

ReserveResult StateIntake::Begin(StateImport* import) {
  const std::vector<ImportedState>& states = import->states;
  if (import->slots.size() != states.size()) return ReserveResult::kSlots;
  if (import->filter >= table_.filters_.size() ||
      table_.filters_[import->filter].budget == nullptr) {
    return ReserveResult::kFilter;
  }
  if (!states.empty()) {
    const StateId first = states.front().record.id;
    const StateId last = states.back().record.id;
    if (last >> 8 >= kMaxImportedCount || first >> 8 <= table_.last_id_ ||
        first > last) {
      return ReserveResult::kIds;
    }
    // What is made from here on is younger than all of them.
    table_.last_id_ = last >> 8;
  }
  import->begun = true;
  return ReserveResult::kMore;
}

void StateIntake::Write(const StateRecord& record, StateIndex state) {
  const StateTemplate& values = record.values;
  StateHot& hot = entries_.hot(state);
  StateCold& cold = entries_.cold(state);
  StateExtra& extra = entries_.extra(state);
  hot = StateHot{};
  cold = StateCold{};
  if (record.family == Family::kIpv4) {
    hot.key = Key4(record);
  } else {
    extra.key = Key6(record);
    SetPorts(record, &hot.key);
    hot.key.family = extra.key.family;
  }
  hot.key.family |= kReservedFamily;
  hot.SetVlan(record.vlan);
  const bool crosses = record.translated_family != Family::kNone &&
                       record.translated_family != record.family;
  // Not in use: no listing and no sweep sees it.
  hot.flags = static_cast<uint16_t>(
      kEntryFolded | (values.flags & kTemplateFlags) |
      (record.direction == Direction::kOut ? kEntryOut : 0) |
      (values.tag != kNoTag ? kEntryTagged : 0) |
      (table_.options_.tftp_helper && !crosses ? record.flags & kEntryHelper
                                               : 0));
  hot.last_seen = record.expires_in;
  hot.window = record.window;
  hot.max_window = record.max_window;
  hot.phase = record.phase;
  hot.scale = record.scale;
  hot.timeout = record.timeout;
  hot.more = static_cast<uint8_t>(
      std::min<uint32_t>(values.match_count, kMaxMatchRules));
  const bool shifted = (record.offset[0] | record.offset[1]) != 0;
  if (values.side != 0 || shifted) {
    hot.more |= kMoreSide;
    if (shifted) hot.more |= kMoreShift;
    StateSide& side = entries_.side(state);
    side = StateSide{};
    side.flags = values.side & ~uint32_t{kSideConnection};
    side.offset = record.offset;
    side.state_limiter = values.state_limiter;
    side.source_limiter = values.source_limiter;
    // Rules in place of nodes, which it gets when it is published.
    if ((values.side & kSidePools) != 0) {
      side.pools[kStickySource] = record.sticky_rules[0];
      side.pools[kStickyTarget] = record.sticky_rules[1];
    }
  }
  if (hot.match_count() != 0) extra.match_slots = values.match_slots;
  entries_.SetActions(state, values.actions);
  if (values.actions.has(PacketActions::kScrubTcp)) {
    entries_.scrub(state) = record.scrub;
  }
  if (values.actions.has(PacketActions::kRoute)) {
    StateRoute& kept = entries_.route(state);
    kept = StateRoute{.route = values.route};
    if ((values.side & kSidePools) != 0) {
      kept.nodes[kStickyRoute - kSidePoolNodes] = record.sticky_route_rule;
    }
  }
  // Its rule has counted them where it comes from, so they count as handed
  // over.
  cold.folded_bytes = record.bytes;
  extra.folded_packets = record.packets;
  cold.id = record.id;
  cold.created = record.age;
  cold.parent_slot = kNoState;
  cold.family_record = kNoFamilyRecord;
  cold.rule_slot = values.rule_slot;
  cold.anchor_slot = values.anchor_slot;
  cold.interface = record.interface;
  cold.tag = values.tag;
  if (record.links.any()) entries_.SetLinks(state, record.links);
}

bool StateIntake::ReserveSecond(const StateRecord& record, StateIndex state) {
  StateRecord behind = record;
  behind.family = record.translated_family;
  behind.address = record.translated_address;
  behind.port = record.translated_port;
  if (behind.family != record.family) {
    behind.proto = ProtocolAcross(record.proto);
  }
  PacketInfo packet{};
  packet.family = behind.family;
  packet.proto = behind.proto;
  packet.source = behind.address[0].bytes;
  packet.destination = behind.address[1].bytes;
  packet.source_port = Be16(behind.port[0]);
  packet.destination_port = Be16(behind.port[1]);
  if (behind.family == Family::kIpv4) {
    entries_.extra(state).SetSecondKey4(record.family, Key4(behind));
  } else {
    entries_.extra(state).SetSecondKey6(record.family, Key6(behind));
  }
  return table_.PlaceSecondKey(state, packet,
                               {.direction = record.direction,
                                .filter = record.filter,
                                .interface = record.interface});
}

ReserveResult StateIntake::ReserveOne(StateRecord* record) {
  StateBudget& budget = *table_.filters_[record->filter].budget;
  if (!budget.Take()) return ReserveResult::kStateLimit;
  const StateIndex state = entries_.Take();
  if (state == kNoState) {
    budget.GiveBack();
    return ReserveResult::kSlots;
  }
  Write(*record, state);
  const FlowHash hash = HashOf(*record);
  const auto give_back = [&] {
    entries_.cold(state).id = 0;
    entries_.GiveBack(state);
    budget.GiveBack();
  };
  if (!table_.index_.Insert(hash, state)) {
    give_back();
    return ReserveResult::kIndex;
  }
  if (record->translated_family != Family::kNone &&
      FindLive(*record) == kNoState && !ReserveSecond(*record, state)) {
    table_.index_.Remove(hash, state);
    give_back();
    return ReserveResult::kTranslated;
  }
  if (table_.sink_ != nullptr &&
      !table_.sink_->StateInserted(record->filter, record->values)) {
    table_.RemoveSecondKey(state);
    table_.index_.Remove(hash, state);
    give_back();
    return ReserveResult::kRuleLimit;
  }
  if (table_.Contest(state, hash)) {
    entries_.hot(state).key.family |= kContestedFamily;
  }
  ++table_.reserved_;
  record->slot = state;
  return ReserveResult::kReady;
}

ReserveResult StateIntake::Reserve(StateImport* import, uint32_t budget) {
  if (!import->begun) {
    const ReserveResult begun = Begin(import);
    if (begun != ReserveResult::kMore) return begun;
  }
  const size_t count = import->states.size();
  for (; budget > 0 && import->reserved < count; --budget) {
    if (import->reserved + kAhead < count) {
      const StateRecord& later =
          import->states[import->reserved + kAhead].record;
      __builtin_prefetch(table_.index_.BucketOf(HashOf(later)), 1);
    }
    StateRecord& record = import->states[import->reserved].record;
    const bool ascends =
        import->reserved == 0 ||
        import->states[import->reserved - 1].record.id < record.id;
    if (!ascends || WorkerOf(record.id) != table_.options_.worker ||
        record.id >> 8 > table_.last_id_) {
      return ReserveResult::kIds;
    }
    if (record.filter != import->filter) return ReserveResult::kFilter;
    const ReserveResult result = ReserveOne(&record);
    if (result != ReserveResult::kReady) return result;
    import->slots[import->reserved++] = record.slot;
  }
  return import->reserved < count ? ReserveResult::kMore
                                  : ReserveResult::kReady;
}

void StateIntake::Release(const ImportedState& imported) {
  const StateRecord& record = imported.record;
  table_.RemoveSecondKey(record.slot);
  table_.index_.Remove(HashOf(record), record.slot);
  if (table_.sink_ != nullptr) {
    table_.sink_->StateCancelled(record.filter, record.values);
  }
  table_.filters_[record.filter].budget->GiveBack();
  // One that was tied has its place in the family under its id.
  const StateId seated =
      entries_.cold(record.slot).parent_id != 0 ? record.id : 0;
  entries_.cold(record.slot).id = 0;
  entries_.GiveBack(record.slot);
  --table_.reserved_;
  if (imported.family_record == kNoFamilyRecord ||
      table_.expectations_ == nullptr) {
    return;
  }
  if (record.parent.IsSet()) {
    table_.expectations_->ChildGone(imported.family_record, record.parent.id,
                                    seated);
  } else {
    table_.expectations_->ParentGone(imported.family_record, record.id);
  }
}

StateIndex StateIntake::FindLive(const StateRecord& record) const {
  const FlowHash hash = HashOf(record);
  const FlowIndex& index = table_.index_;
  const auto meets = [&](StateIndex candidate) {
    const bool both_bound =
        record.values.has(kStateIfBound) &&
        (entries_.hot(candidate).flags & kStateIfBound) != 0;
    return entries_.hot(candidate).vlan() == record.vlan &&
           (!both_bound ||
            entries_.cold(candidate).interface == record.interface);
  };
  if (record.family == Family::kIpv4) {
    const FlowKey4 key = Key4(record);
    return index.Find(index.BucketOf(hash), FlowIndex::TagOf(hash),
                      [&](uint32_t candidate) {
                        return candidate < kSecondKeyEntry &&
                               entries_.hot(candidate).key == key &&
                               meets(candidate);
                      });
  }
  const FlowKey6 key = Key6(record);
  return index.Find(index.BucketOf(hash), FlowIndex::TagOf(hash),
                    [&](uint32_t candidate) {
                      return candidate < kSecondKeyEntry &&
                             entries_.hot(candidate).key.family ==
                                 key.family &&
                             entries_.extra(candidate).key == key &&
                             meets(candidate);
                    });
}

bool StateIntake::Advance(StateIndex state, const StateRecord& record,
                          Tick now) {
  StateHot& hot = entries_.hot(state);
  bool taken = false;
  std::array<bool, 2> ahead{};
  for (int peer = 0; peer < 2; ++peer) {
    if (!IsAhead(hot, record, peer)) continue;
    taken = ahead[static_cast<size_t>(peer)] = true;
    hot.phase[peer] = record.phase[peer];
    if (record.proto != protocol::kTcp) continue;
    hot.window[peer] = record.window[peer];
    hot.max_window[peer] = record.max_window[peer];
    hot.scale[peer] = record.scale[peer];
  }
  if (!taken) return false;
  // Each side's numbers are one matter with its windows.
  if ((record.offset[0] | record.offset[1]) != 0) {
    if (!hot.has_side()) entries_.side(state) = StateSide{};
    hot.more |= kMoreSide | kMoreShift;
    // A record's offsets have the texts that were replaced in them, which those
    // of a live state have apart.
    const FtpSession* const ftp = table_.ftp_session(state);
    for (size_t peer = 0; peer < 2; ++peer) {
      const bool own = ftp != nullptr && ftp->edits[peer].any();
      if (own && !ahead[peer]) continue;
      entries_.side(state).offset[peer] =
          record.offset[peer] - (own ? ftp->edits[peer].total() : 0);
    }
  }
  // The timeouts of the other protocols ascend with their phases.
  hot.timeout = record.proto == protocol::kTcp
                    ? TcpTimeout(hot)
                    : std::max(hot.timeout, record.timeout);
  table_.Requeue(state, now);
  return true;
}

void StateIntake::TieFamily(const ImportedState& imported, Tick now) {
  const StateRecord& record = imported.record;
  StateCold& cold = entries_.cold(record.slot);
  if (record.parent.IsSet()) {
    const ParentReference parent = {.handle = record.parent,
                                    .filter = record.filter,
                                    .record = imported.family_record};
    if (LinkToParent(&cold, record.filter, parent) == LinkResult::kLinked) {
      table_.TieChild(record.slot, now);
    } else {
      table_.statistics_.links_refused.Add(1);
    }
    return;
  }
  cold.family_record = imported.family_record;
  if (cold.family_record != kNoFamilyRecord) {
    entries_.hot(record.slot).flags |= kEntryRelated;
  }
}

void StateIntake::Publish(StateIndex state, Tick now) {
  StateHot& hot = entries_.hot(state);
  StateCold& cold = entries_.cold(state);
  hot.key.family &= kKeyFamilyMask;
  hot.flags |= kEntryInUse;
  if (entries_.IsScrubbed(state)) {
    for (TcpScrubPeer& peer : entries_.scrub(state).peers) {
      peer.last = now - peer.last;
    }
  }
  const uint32_t life = table_.Lifetime(hot, cold);
  const uint32_t remaining = std::min(hot.last_seen, life);
  const uint32_t idle = life - remaining;
  hot.last_seen = now - idle;
  cold.created = now - std::max(cold.created, idle);
  table_.wheel_.Queue(state, now + remaining);
  --table_.reserved_;
  table_.FollowFtp(state);
  // What a helper expects is not its source's own doing.
  if (hot.has_side()) [[unlikely]] {
    if (cold.parent_id == 0) {
      table_.TrackAgain(state, now);
    } else {
      StateSide& side = entries_.side(state);
      side.pools = kNoSidePools;
      if (entries_.IsRouted(state)) {
        entries_.route(state).nodes = StateRoute().nodes;
      }
      side.flags &= ~uint32_t{kSideLimited};
    }
  }
}

void StateIntake::CommitContested(StateImport* import,
                                  const ImportedState& imported, Tick now) {
  const StateRecord& record = imported.record;
  const StateIndex live = FindLive(record);
  // The live state has ended meanwhile. What it gave out may be somebody's by
  // now: then the flow is over.
  const bool whole = record.translated_family == Family::kNone ||
                     entries_.hot(record.slot).translated() ||
                     (live == kNoState && ReserveSecond(record, record.slot));
  if (live == kNoState && whole) {
    Publish(record.slot, now);
    ++import->inserted;
    return;
  }
  if (live != kNoState && Advance(live, record, now)) ++import->advanced;
  Release(imported);
  ++import->merged;
}

bool StateIntake::Commit(StateImport* import, Tick now, uint32_t budget) {
  table_.wheel_.Start(now);
  const uint32_t end = static_cast<uint32_t>(
      std::min<uint64_t>(uint64_t{import->done} + budget, import->reserved));
  const uint64_t before = import->inserted;
  const StateIndex* const slots = import->slots.data();
  for (uint32_t i = import->done; i < end; ++i) {
    if (i + kAhead < end) {
      __builtin_prefetch(&entries_.hot(slots[i + kAhead]), 1);
      __builtin_prefetch(&entries_.cold(slots[i + kAhead]), 1);
    }
    if (import->tied < import->ties.size() &&
        import->ties[import->tied] == i) {
      TieFamily(import->states[import->ties[import->tied++]], now);
    }
    if ((entries_.hot(slots[i]).key.family & kContestedFamily) != 0) {
      CommitContested(import, import->states[i], now);
    } else {
      Publish(slots[i], now);
      ++import->inserted;
    }
  }
  import->done = end;
  table_.statistics_.inserts.Add(import->inserted - before);
  table_.statistics_.states.Add(import->inserted - before);
  return import->done == import->reserved;
}

bool StateIntake::Cancel(StateImport* import, uint32_t budget) {
  for (; budget > 0 && import->reserved > import->done; --budget) {
    Release(import->states[--import->reserved]);
  }
  return import->reserved == import->done;
}

void StateIntake::AdoptOne(StateAdoption* adoption, StateIndex state,
                           Tick now) {
  StateRecord record = table_.Record(state, now);
  if (adoption->moves) table_.Remove(state, FlowEnd::kReplaced);
  record.filter = adoption->to;
  record.parent = {};
  // What it has from its rules means nothing to the other filter.
  StateTemplate values;
  values.flags = static_cast<uint16_t>(record.values.flags & kAdoptedFlags);
  values.rule_slot = kDefaultRuleSlot;
  values.side = record.values.side & kAdoptedSide;
  // The way that it takes is no rule's any more.
  values.route = record.values.route;
  if (values.route.IsSet()) values.actions.flags |= PacketActions::kRoute;
  record.values = values;
  const StateIndex live = FindLive(record);
  if (live != kNoState) {
    Advance(live, record, now);
    ++adoption->merged;
    return;
  }
  record.id = ++table_.last_id_ << 8 | table_.options_.worker;
  if (ReserveOne(&record) != ReserveResult::kReady) {
    ++adoption->refused;
    return;
  }
  Publish(record.slot, now);
  ++adoption->made;
  table_.statistics_.inserts.Add(1);
  table_.statistics_.states.Add(1);
}

bool StateIntake::Adopt(StateAdoption* adoption, Tick now, uint32_t budget) {
  table_.wheel_.Start(now);
  if (!adoption->begun) {
    adoption->begun = true;
    adoption->first_id = table_.last_id_ + 1;
  }
  const bool more =
      entries_.Visit(&adoption->slot, budget, [&](StateIndex state) {
        const StateHot& hot = entries_.hot(state);
        if (hot.key.filter != adoption->from) return;
        AdoptOne(adoption, state, now);
      });
  adoption->last_id = table_.last_id_;
  return !more;
}

bool StateIntake::Disown(const StateAdoption& adoption, uint32_t* slot,
                         uint32_t budget) {
  if (!adoption.begun || adoption.made == 0) return true;
  return !entries_.Visit(slot, budget, [&](StateIndex state) {
    const uint64_t count = entries_.cold(state).id >> 8;
    if (entries_.hot(state).key.filter == adoption.to &&
        count >= adoption.first_id && count <= adoption.last_id) {
      table_.Remove(state);
    }
  });
}

}  // namespace sluice
