// The parts of StateTable that find states: for a burst, for one packet, for what
// an ICMP error quotes.
#include <rte_mbuf.h>

#include "conntrack/state_table.h"

namespace sluice {
namespace {

bool SameKey(const FlowKey4& a, const FlowKey4& b) {
  const __m128i x = _mm_load_si128(reinterpret_cast<const __m128i*>(&a));
  const __m128i y = _mm_load_si128(reinterpret_cast<const __m128i*>(&b));
  return _mm_movemask_epi8(_mm_cmpeq_epi8(x, y)) == 0xffff;
}

bool SameKey(const FlowKey6& a, const FlowKey6& b) {
  const auto* x = reinterpret_cast<const __m128i*>(&a);
  const auto* y = reinterpret_cast<const __m128i*>(&b);
  const __m128i ends =
      _mm_and_si128(_mm_cmpeq_epi8(_mm_loadu_si128(x), _mm_loadu_si128(y)),
                    _mm_cmpeq_epi8(_mm_loadu_si128(x + 1),
                                   _mm_loadu_si128(y + 1)));
  const __m128i tail = _mm_cmpeq_epi8(_mm_loadl_epi64(x + 2),
                                      _mm_loadl_epi64(y + 2));
  return _mm_movemask_epi8(_mm_and_si128(ends, tail)) == 0xffff;
}

// The slot of an entry of the index; kNoState stays what it is.
StateIndex StateOf(uint32_t entry) {
  return entry == FlowIndex::kNone ? kNoState : entry & ~kSecondKeyEntry;
}

}  // namespace

inline bool StateTable::IsWanted(uint32_t entry, const FlowKey4& key,
                                 VlanId vlan, const JudgePoint& where) const {
  const StateIndex state = StateOf(entry);
  if (entry == state) {
    return SameKey(entries_.hot(state).key, key) &&
           IsInVlan(state, key, vlan) && !NotMeant(state, where);
  }
  return entries_.hot(state).translated() &&
         entries_.SecondFamily(state) == Family::kIpv4 &&
         SameKey(entries_.extra(state).SecondKey4(), key) &&
         IsInVlan(state, key, vlan) && MeansSecond(state, where);
}

inline bool StateTable::IsWanted(uint32_t entry, const FlowKey6& key,
                                 VlanId vlan, const JudgePoint& where) const {
  const StateIndex state = StateOf(entry);
  if (entry == state) {
    return entries_.hot(state).key.family == key.family &&
           SameKey(entries_.extra(state).key, key) &&
           IsInVlan(state, key, vlan) && !NotMeant(state, where);
  }
  return entries_.hot(state).translated() &&
         entries_.SecondFamily(state) == Family::kIpv6 &&
         SameKey(entries_.extra(state).second_key, key) &&
         IsInVlan(state, key, vlan) && MeansSecond(state, where);
}

template <Direction kDirection>
void StateTable::LookupToward(const PacketBurst& burst,
                              std::span<const uint8_t> indices,
                              const JudgePoint& where,
                              std::span<StateIndex> states) {
  struct Wanted {
    const FlowIndex::Bucket* bucket;
    uint16_t tag;
    uint8_t packet;
    StateIndex candidate;
  };
  std::array<FlowKey4, kMaxBurst> keys4;
  std::array<FlowKey6, kMaxBurst> keys6;
  std::array<Wanted, kMaxBurst> wanted4;
  std::array<Wanted, kMaxBurst> wanted6;
  std::array<VlanId, kMaxBurst> vlans;  // by packet
  uint32_t count4 = 0;
  uint32_t count6 = 0;

  // Hash all and fetch their buckets.
  for (const uint8_t i : indices) {
    const PacketInfo& info = burst.infos[i];
    states[i] = kNoState;
    VlanId vlan;
    if ((info.flags & (kNotLookedUp | kVlanTagged)) != 0) {
      if ((info.flags & kNotLookedUp) != 0) continue;
      vlans[i] = vlan = VlanOf(*burst.mbufs[i], info);
    }
    FlowHash hash;
    Wanted* wanted;
    if (info.family == Family::kIpv4) {
      keys4[count4] = MakeKey4(info, kDirection, where.filter, vlan);
      hash = Hash(keys4[count4], options_.secret, vlan);
      wanted = &wanted4[count4++];
    } else {
      if (IsNeighborAdvertisement(info) && !where.pairs_neighbors) continue;
      keys6[count6] =
          MakeKey6(info, *burst.mbufs[i], kDirection, where.filter, vlan);
      hash = Hash(keys6[count6], options_.secret, vlan);
      wanted = &wanted6[count6++];
    }
    wanted->bucket = index_.BucketOf(hash);
    wanted->tag = FlowIndex::TagOf(hash);
    wanted->packet = i;
    __builtin_prefetch(wanted->bucket);
  }

  // Look at the tags, and fetch the first state that may be it.
  for (uint32_t n = 0; n < count4; ++n) {
    Wanted& w = wanted4[n];
    const uint32_t match = FlowIndex::Match(*w.bucket, w.tag);
    w.candidate = kNoState;
    if (match != 0) {
      w.candidate = w.bucket->slots[std::countr_zero(match)];
      const StateIndex state = w.candidate & ~kSecondKeyEntry;
      __builtin_prefetch(&entries_.hot(state), 1);
      if (state != w.candidate) __builtin_prefetch(&entries_.extra(state));
    }
  }
  for (uint32_t n = 0; n < count6; ++n) {
    Wanted& w = wanted6[n];
    const uint32_t match = FlowIndex::Match(*w.bucket, w.tag);
    w.candidate = kNoState;
    if (match != 0) {
      w.candidate = w.bucket->slots[std::countr_zero(match)];
      const StateIndex state = w.candidate & ~kSecondKeyEntry;
      __builtin_prefetch(&entries_.hot(state), 1);
      __builtin_prefetch(&entries_.extra(state));
      if (state != w.candidate) {
        __builtin_prefetch(&entries_.extra(state).folded_packets);
      }
    }
  }

  // Compare whole keys. What a translated flow needs besides is fetched until
  // its packet is rewritten.
  for (uint32_t n = 0; n < count4; ++n) {
    const Wanted& w = wanted4[n];
    const FlowKey4& key = keys4[n];
    if (w.candidate < kSecondKeyEntry) [[likely]] {
      const StateHot& hot = entries_.hot(w.candidate);
      if (SameKey(hot.key, key) && (hot.marks() & kChoosyMarks) == 0 &&
          !key.has_vlan()) [[likely]] {
        states[w.packet] = w.candidate;
        continue;
      }
    }
    if (w.candidate != kNoState &&
        IsWanted(w.candidate, key, vlans[w.packet], where)) {
      states[w.packet] = StateOf(w.candidate);
      if (entries_.hot(states[w.packet]).translated()) {
        __builtin_prefetch(&entries_.extra(states[w.packet]));
      }
    } else if (w.candidate != kNoState || w.bucket->next != 0) {
      states[w.packet] =
          StateOf(index_.Find(w.bucket, w.tag, [&](uint32_t entry) {
            return IsWanted(entry, key, vlans[w.packet], where);
          }));
    }
  }
  for (uint32_t n = 0; n < count6; ++n) {
    const Wanted& w = wanted6[n];
    const FlowKey6& key = keys6[n];
    if (w.candidate != kNoState &&
        IsWanted(w.candidate, key, vlans[w.packet], where)) [[likely]] {
      states[w.packet] = StateOf(w.candidate);
    } else if (w.candidate != kNoState || w.bucket->next != 0) {
      states[w.packet] =
          StateOf(index_.Find(w.bucket, w.tag, [&](uint32_t entry) {
            return IsWanted(entry, key, vlans[w.packet], where);
          }));
    }
    if (states[w.packet] == kNoState &&
        burst.infos[w.packet].proto == protocol::kIcmp6) [[unlikely]] {
      states[w.packet] = FindAskedOfAll(burst.infos[w.packet], key,
                                        vlans[w.packet], where);
    }
  }
}

void StateTable::Lookup(const PacketBurst& burst,
                        std::span<const uint8_t> indices,
                        const JudgePoint& where,
                        std::span<StateIndex> states) {
  statistics_.searches.Add(indices.size());
  if (where.direction == Direction::kIn) {
    LookupToward<Direction::kIn>(burst, indices, where, states);
  } else {
    LookupToward<Direction::kOut>(burst, indices, where, states);
  }
}

template <typename Key>
StateIndex StateTable::FindKey(const Key& key, VlanId vlan,
                               const JudgePoint& where) const {
  const FlowHash hash = Hash(key, options_.secret, vlan);
  return StateOf(index_.Find(
      index_.BucketOf(hash), FlowIndex::TagOf(hash),
      [&](uint32_t entry) { return IsWanted(entry, key, vlan, where); }));
}

StateIndex StateTable::Find4(const FlowKey4& key, VlanId vlan,
                             const JudgePoint& where) const {
  return FindKey(key, vlan, where);
}

StateIndex StateTable::Find6(const FlowKey6& key, VlanId vlan,
                             const JudgePoint& where) const {
  return FindKey(key, vlan, where);
}

StateIndex StateTable::FindAskedOfAll(const PacketInfo& info, FlowKey6 key,
                                      VlanId vlan,
                                      const JudgePoint& where) const {
  if (!MapIcmp(Family::kIpv6, info.icmp_type).reply ||
      IsNeighborAdvertisement(info)) {
    return kNoState;
  }
  (where.direction == Direction::kIn ? key.end0 : key.end1) = kAllNodes;
  return Find6(key, vlan, where);
}

StateIndex StateTable::Find(const PacketInfo& info, const rte_mbuf& mbuf,
                            const JudgePoint& where) {
  if ((info.flags & kNotLookedUp) != 0 ||
      (IsNeighborAdvertisement(info) && !where.pairs_neighbors)) {
    return kNoState;
  }
  const VlanId vlan = VlanOf(mbuf, info);
  if (info.family == Family::kIpv4) {
    return Find4(MakeKey4(info, where.direction, where.filter, vlan), vlan,
                 where);
  }
  const FlowKey6 key =
      MakeKey6(info, mbuf, where.direction, where.filter, vlan);
  const StateIndex state = Find6(key, vlan, where);
  return state != kNoState || info.proto != protocol::kIcmp6
             ? state
             : FindAskedOfAll(info, key, vlan, where);
}

StateIndex StateTable::FindQuoted(const PacketInfo& inner,
                                  const rte_mbuf& mbuf, VlanId vlan,
                                  const JudgePoint& where) const {
  if ((inner.flags & kNotLookedUp) != 0 ||
      (IsNeighborAdvertisement(inner) && !where.pairs_neighbors)) {
    return kNoState;
  }
  const Direction went = Opposite(where.direction);
  if (inner.family == Family::kIpv4) {
    return Find4(MakeKey4(inner, went, where.filter, vlan), vlan, where);
  }
  const FlowKey6 key = MakeKey6(inner, mbuf, went, where.filter, vlan);
  const StateIndex state = Find6(key, vlan, where);
  return state != kNoState || inner.proto != protocol::kIcmp6
             ? state
             : FindAskedOfAll(inner, key, vlan, where.Reversed());
}

FlowHash StateTable::HashOf(StateIndex state) const {
  const StateHot& hot = entries_.hot(state);
  return hot.family() == Family::kIpv4
             ? Hash(hot.key, options_.secret, hot.vlan())
             : Hash(entries_.extra(state).key, options_.secret, hot.vlan());
}

}  // namespace sluice
