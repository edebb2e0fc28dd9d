// Who has how many of a filter's expectations, so that what is full gives way
// fairly. A source is an IPv4 address or an IPv6 /64, whose addresses its
// owner, or whoever forges them, can take at will, in one VLAN. Two ways to flood a filter,
// and what gives way:
// - From few sources: the one that has most loses its oldest to one that has no
//   more than it. Who has most and asks for more gets nothing.
// - From many, each with a few. Whoever has more than those would then lose
//   first, and that is a site with many clients. So all that have no more than
//   a floor count as alike, and the oldest of the filter gives way: as an
//   answer comes within milliseconds, it is one that nobody answers.
//
// For ExpectationTable's sources only, under its lock. Memory is taken at the
// start; every call is bounded by a few steps, however many there are.
#ifndef SLUICE_CONNTRACK_EXPECTATION_SHARES_H_
#define SLUICE_CONNTRACK_EXPECTATION_SHARES_H_

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <vector>

#include "conntrack/flow_key.h"
#include "packet/address.h"

namespace sluice {
namespace internal {

class ExpectationShares {
 public:
  static constexpr uint32_t kNone = 0xffffffff;

  // Whose an expectation is.
  struct Owner {
    std::array<uint8_t, 16> address{};
    VlanId vlan{};
    Family family = Family::kNone;
    uint16_t filter = 0;

    friend bool operator==(const Owner&, const Owner&) = default;
  };

  // For expectations with numbers below `capacity`, of filters below
  // `filters`.
  ExpectationShares(uint32_t capacity, uint32_t filters, uint32_t floor,
                    const HashSecret& secret)
      : floor_(floor),
        secret_(secret),
        items_(capacity),
        sources_(capacity),
        levels_(capacity + 1),
        filters_(filters),
        heads_(std::bit_ceil(capacity | 16u), kNone) {
    for (uint32_t i = 0; i < capacity; ++i) {
      sources_[i].next = i + 1 < capacity ? i + 1 : kNone;
    }
    for (uint32_t i = 0; i <= capacity; ++i) {
      levels_[i].above = i < capacity ? i + 1 : kNone;
    }
    free_source_ = capacity == 0 ? kNone : 0;
    free_level_ = 0;
  }

  void Add(uint32_t item, const Owner& owner) {
    uint32_t s = Find(SourceOf(owner));
    if (s == kNone) s = Make(SourceOf(owner));
    items_[item].owner = owner;
    items_[item].source = s;
    Append(item);
    Move(s, +1);
  }
  // The item counts as new again.
  void Renew(uint32_t item) {
    Unlink(item);
    Append(item);
  }
  void Remove(uint32_t item) {
    const uint32_t s = items_[item].source;
    Unlink(item);
    Move(s, -1);
    if (sources_[s].oldest == kNone) Forget(s);
  }

  // The item that gives way to one more of that owner, or kNone.
  uint32_t Victim(const Owner& owner) const {
    if (owner.filter >= filters_.size()) return kNone;
    const PerFilter& filter = filters_[owner.filter];
    if (filter.top == kNone) return kNone;
    const uint32_t own = Find(SourceOf(owner));
    const uint32_t own_share = own == kNone ? 0 : ShareOf(own);
    if (own_share < floor_ && levels_[filter.top].share <= floor_) {
      return filter.oldest;
    }
    uint32_t most = levels_[filter.top].first;
    if (most == own) {
      most = sources_[own].after;
      const uint32_t below = levels_[filter.top].below;
      if (most == kNone && below != kNone) most = levels_[below].first;
    }
    if (most != kNone && ShareOf(most) >= own_share) {
      return sources_[most].oldest;
    }
    // The owner's source alone has most: another of its addresses gives way.
    return items_[sources_[own].oldest].owner == owner ? kNone
                                                       : sources_[own].oldest;
  }

 private:
  struct Item {
    Owner owner;
    uint32_t source = kNone;
    uint32_t older = kNone;  // of the same source
    uint32_t newer = kNone;
    uint32_t filter_older = kNone;
    uint32_t filter_newer = kNone;
  };
  struct PerFilter {
    uint32_t top = kNone;     // the level of those that have most
    uint32_t bottom = kNone;
    uint32_t oldest = kNone;  // item
    uint32_t newest = kNone;
  };
  struct Source {
    Owner owner;
    uint32_t oldest = kNone;
    uint32_t newest = kNone;
    uint32_t next = kNone;    // of the same hash; free ones too
    uint32_t level = kNone;
    uint32_t before = kNone;  // in the level: came there earlier
    uint32_t after = kNone;
  };
  // The sources of one filter that have the same share.
  struct Level {
    uint32_t share = 0;
    uint32_t first = kNone;
    uint32_t last = kNone;
    uint32_t above = kNone;  // more of the same filter; free ones too
    uint32_t below = kNone;
  };

  static Owner SourceOf(Owner owner) {
    if (owner.family == Family::kIpv6) {
      std::memset(owner.address.data() + 8, 0, 8);
    }
    return owner;
  }
  uint32_t Slot(const Owner& source) const {
    uint64_t words[2];
    std::memcpy(words, source.address.data(), sizeof words);
    const uint64_t digest =
        Mix(words[0] ^ secret_.words[0], words[1] ^ secret_.words[1]);
    const uint64_t rest = uint64_t{source.filter} << 16 |
                          static_cast<uint64_t>(source.family) |
                          static_cast<uint64_t>(source.vlan.value) << 32;
    return static_cast<uint32_t>(Mix(digest ^ rest, secret_.words[2]) &
                                 (heads_.size() - 1));
  }
  uint32_t ShareOf(uint32_t s) const {
    return sources_[s].level == kNone ? 0 : levels_[sources_[s].level].share;
  }

  uint32_t Find(const Owner& source) const {
    uint32_t s = heads_[Slot(source)];
    while (s != kNone && !(sources_[s].owner == source)) s = sources_[s].next;
    return s;
  }
  // There are as many sources as items, so one is free.
  uint32_t Make(const Owner& source) {
    const uint32_t s = free_source_;
    free_source_ = sources_[s].next;
    uint32_t& head = heads_[Slot(source)];
    sources_[s] = Source{};
    sources_[s].owner = source;
    sources_[s].next = head;
    head = s;
    return s;
  }
  void Forget(uint32_t s) {
    uint32_t* link = &heads_[Slot(sources_[s].owner)];
    while (*link != s) link = &sources_[*link].next;
    *link = sources_[s].next;
    sources_[s].next = free_source_;
    free_source_ = s;
  }

  void Append(uint32_t i) {
    Source& source = sources_[items_[i].source];
    items_[i].older = source.newest;
    items_[i].newer = kNone;
    (source.newest == kNone ? source.oldest : items_[source.newest].newer) = i;
    source.newest = i;
    PerFilter& filter = filters_[source.owner.filter];
    items_[i].filter_older = filter.newest;
    items_[i].filter_newer = kNone;
    (filter.newest == kNone ? filter.oldest
                            : items_[filter.newest].filter_newer) = i;
    filter.newest = i;
  }
  void Unlink(uint32_t i) {
    Source& source = sources_[items_[i].source];
    const Item& item = items_[i];
    (item.older == kNone ? source.oldest : items_[item.older].newer) =
        item.newer;
    (item.newer == kNone ? source.newest : items_[item.newer].older) =
        item.older;
    PerFilter& filter = filters_[source.owner.filter];
    (item.filter_older == kNone ? filter.oldest
                                : items_[item.filter_older].filter_newer) =
        item.filter_newer;
    (item.filter_newer == kNone ? filter.newest
                                : items_[item.filter_newer].filter_older) =
        item.filter_older;
  }

  // One level up or down; levels that nobody is in are freed.
  void Move(uint32_t s, int step) {
    Source& source = sources_[s];
    uint32_t& top = filters_[source.owner.filter].top;
    const uint32_t old = source.level;
    const uint32_t share = (old == kNone ? 0 : levels_[old].share) +
                           static_cast<uint32_t>(step);
    // Between which two it belongs: its neighbours, as shares change by one.
    uint32_t above, below;
    if (step > 0) {
      below = old;
      above = old == kNone ? filters_[source.owner.filter].bottom : levels_[old].above;
    } else {
      above = old;
      below = levels_[old].below;
    }
    if (old != kNone) Leave(s);
    if (share != 0) {
      uint32_t level = step > 0 ? above : below;
      if (level == kNone || levels_[level].share != share) {
        level = free_level_;
        free_level_ = levels_[level].above;
        levels_[level] = {.share = share, .above = above, .below = below};
        if (above != kNone) levels_[above].below = level;
        if (below != kNone) levels_[below].above = level;
        if (above == kNone) top = level;
        if (below == kNone) filters_[source.owner.filter].bottom = level;
      }
      Enter(s, level);
    } else {
      source.level = kNone;
    }
    if (old != kNone && levels_[old].first == kNone) Free(old, source.owner);
  }
  void Leave(uint32_t s) {
    const Source& source = sources_[s];
    Level& level = levels_[source.level];
    (source.before == kNone ? level.first : sources_[source.before].after) =
        source.after;
    (source.after == kNone ? level.last : sources_[source.after].before) =
        source.before;
  }
  void Enter(uint32_t s, uint32_t number) {
    Level& level = levels_[number];
    sources_[s].level = number;
    sources_[s].before = level.last;
    sources_[s].after = kNone;
    (level.last == kNone ? level.first : sources_[level.last].after) = s;
    level.last = s;
  }
  void Free(uint32_t number, const Owner& owner) {
    Level& level = levels_[number];
    (level.above == kNone ? filters_[owner.filter].top : levels_[level.above].below) =
        level.below;
    (level.below == kNone ? filters_[owner.filter].bottom
                          : levels_[level.below].above) = level.above;
    level.above = free_level_;
    free_level_ = number;
  }
  const uint32_t floor_;
  const HashSecret secret_;
  std::vector<Item> items_;
  std::vector<Source> sources_;
  std::vector<Level> levels_;
  std::vector<PerFilter> filters_;
  std::vector<uint32_t> heads_;
  uint32_t free_source_ = kNone;
  uint32_t free_level_ = kNone;
};

}  // namespace internal
}  // namespace sluice

#endif  // SLUICE_CONNTRACK_EXPECTATION_SHARES_H_
