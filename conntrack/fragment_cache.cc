#include "conntrack/fragment_cache.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "packet/fragment.h"
#include "packet/headers.h"
#include "packet/rewrite.h"
#include "pftable/policy/stable_hash.h"

namespace sluice {
namespace {

// Of all the room, what one source may have.
constexpr uint32_t kSourceShare = 8;
// Less than this is never a source's share: a datagram of full size.
constexpr uint32_t kLeastShare = 64;
constexpr uint32_t kPartBytes = 4096;
constexpr uint32_t kMaxPacket = 65535;

}  // namespace

FragmentCache::FragmentCache(uint32_t capacity, const HashSecret& secret,
                             DropFunction drop, void* context)
    : capacity_(capacity),
      secret_(secret),
      drop_(drop),
      context_(context),
      entries_(capacity),
      datagrams_(capacity),
      buckets_(std::bit_ceil(std::max<uint32_t>(capacity, 1)), kNone) {
  for (uint32_t i = capacity; i-- > 0;) {
    entries_[i].next = free_entry_;
    free_entry_ = i;
    datagrams_[i] = Datagram{};
    datagrams_[i].chain = free_datagram_;
    free_datagram_ = i;
  }
}

FragmentCache::~FragmentCache() {
  while (!Clear(capacity_)) {
  }
}

FragmentCache::Key FragmentCache::KeyOf(const rte_mbuf& mbuf,
                                        const PacketInfo& info,
                                        const FragmentPlace& place) const {
  Key key{};
  key.source = info.source;
  key.destination = info.destination;
  key.id = info.acknowledgment;
  key.port = place.port;
  key.filter = place.filter;
  key.family = info.family;
  if (info.family == Family::kIpv4) key.proto = info.proto;
  key.vlan = VlanOf(mbuf, info);
  return key;
}

uint64_t FragmentCache::HashKey(const Key& key) const {
  FlowKey6 words{};
  words.end0 = key.source;
  words.end1 = key.destination;
  words.port0 = static_cast<uint16_t>(key.id);
  words.port1 = static_cast<uint16_t>(key.id >> 16);
  words.proto = key.proto;
  words.filter = key.filter;
  return MixBits(Hash(words, secret_).value ^
                 (uint64_t{key.vlan.value} << 16 | key.port));
}

uint32_t FragmentCache::Find(const Key& key, uint32_t bucket) const {
  uint32_t i = buckets_[bucket];
  while (i != kNone && !(datagrams_[i].key == key)) i = datagrams_[i].chain;
  return i;
}

uint32_t FragmentCache::Make(const Key& key, uint32_t bucket, uint32_t source,
                             Tick now, uint32_t life) {
  const uint32_t index = free_datagram_;
  if (index == kNone) return kNone;
  Datagram& d = datagrams_[index];
  free_datagram_ = d.chain;
  d = Datagram{.key = key,
               .first = kNone,
               .last = kNone,
               .bytes = 0,
               .made = now,
               .life = life,
               .chain = buckets_[bucket],
               .bucket = bucket,
               .source = source,
               .older = newest_,
               .newer = kNone,
               .source_older = sources_[source].newest,
               .source_newer = kNone,
               .in_use = true,
               .dead = false,
               .in_part = {}};
  buckets_[bucket] = index;
  (newest_ != kNone ? datagrams_[newest_].newer : oldest_) = index;
  newest_ = index;
  Source& its = sources_[source];
  (its.newest != kNone ? datagrams_[its.newest].source_newer : its.oldest) =
      index;
  its.newest = index;
  ++datagrams_in_use_;
  return index;
}

void FragmentCache::Free(uint32_t index) {
  Datagram& d = datagrams_[index];
  uint32_t* link = &buckets_[d.bucket];
  while (*link != index) link = &datagrams_[*link].chain;
  *link = d.chain;
  (d.older != kNone ? datagrams_[d.older].newer : oldest_) = d.newer;
  (d.newer != kNone ? datagrams_[d.newer].older : newest_) = d.older;
  Source& its = sources_[d.source];
  (d.source_older != kNone ? datagrams_[d.source_older].source_newer
                           : its.oldest) = d.source_newer;
  (d.source_newer != kNone ? datagrams_[d.source_newer].source_older
                           : its.newest) = d.source_older;
  d.in_use = false;
  d.chain = free_datagram_;
  free_datagram_ = index;
  --datagrams_in_use_;
}

void FragmentCache::Charge(uint32_t source, rte_mbuf* mbuf) {
  sources_[source].segments += mbuf->nb_segs;
  segments_in_use_ += mbuf->nb_segs;
}

void FragmentCache::Refund(uint32_t source, rte_mbuf* mbuf) {
  sources_[source].segments -= mbuf->nb_segs;
  segments_in_use_ -= mbuf->nb_segs;
}

void FragmentCache::FreeEntry(uint32_t index) {
  entries_[index].next = free_entry_;
  free_entry_ = index;
  --entries_in_use_;
  statistics_.held.TakeBack(1);
}

void FragmentCache::DropEntry(uint32_t index, uint32_t source,
                              Counter& counter) {
  rte_mbuf* mbuf = entries_[index].mbuf;
  Refund(source, mbuf);
  FreeEntry(index);
  counter.Add(1);
  drop_(context_, mbuf);
}

void FragmentCache::DropEntries(Datagram& d, Counter& counter) {
  for (uint32_t i = d.first; i != kNone;) {
    const uint32_t next = entries_[i].next;
    DropEntry(i, d.source, counter);
    i = next;
  }
  d.first = d.last = kNone;
}

void FragmentCache::Evict(uint32_t index, Counter& counter) {
  DropEntries(datagrams_[index], counter);
  Free(index);
}

void FragmentCache::Expire(Tick now, uint32_t budget) {
  budget = std::min(budget, capacity_);
  for (; budget > 0 && datagrams_in_use_ > 0; --budget) {
    if (++sweep_ >= capacity_) sweep_ = 0;
    const Datagram& d = datagrams_[sweep_];
    if (d.in_use && TickDiff(now, d.made + d.life) >= 0) {
      Evict(sweep_, statistics_.expired);
    }
  }
}

bool FragmentCache::Clear(uint32_t budget) {
  for (; budget > 0 && oldest_ != kNone; --budget) {
    Evict(oldest_, statistics_.expired);
  }
  return oldest_ == kNone;
}

bool FragmentCache::MakeRoom(uint32_t segments, uint32_t source,
                             uint32_t limit, uint32_t spared) {
  const uint32_t share = std::max(capacity_ / kSourceShare, kLeastShare);
  const auto evict = [&](uint32_t oldest, bool of_source) {
    if (oldest == spared && oldest != kNone) {
      oldest = of_source ? datagrams_[oldest].source_newer
                         : datagrams_[oldest].newer;
    }
    if (oldest == kNone) return false;
    Evict(oldest, statistics_.displaced);
    return true;
  };
  while (sources_[source].segments + segments > share) {
    if (!evict(sources_[source].oldest, true)) return false;
  }
  while (entries_in_use_ >= std::min(limit, capacity_) ||
         segments_in_use_ + segments > capacity_ ||
         (spared == kNone && datagrams_in_use_ >= capacity_)) {
    if (!evict(oldest_, false)) return false;
  }
  return true;
}

FragmentResult FragmentCache::Add(rte_mbuf* mbuf, const PacketInfo& info,
                                  const FragmentPlace& place, Tick now) {
  FragmentResult dropped{.kind = FragmentResult::Kind::kDropped};
  if (!TidyFragment(*mbuf, info)) {
    dropped.reason = DropReason::kMemory;
    return dropped;
  }
  mbuf->port = place.port;
  const Key key = KeyOf(*mbuf, info, place);
  const uint32_t bucket =
      static_cast<uint32_t>(HashKey(key)) & (buckets_.size() - 1);
  uint32_t index = Find(key, bucket);
  if (index != kNone &&
      TickDiff(now, datagrams_[index].made + datagrams_[index].life) >= 0) {
    Evict(index, statistics_.expired);
    index = kNone;
  }
  if (index != kNone && datagrams_[index].dead) {
    statistics_.overlapping.Add(1);
    return dropped;
  }
  Key source_key{};
  source_key.source = key.source;
  source_key.family = key.family;
  source_key.vlan = key.vlan;
  const uint32_t source =
      static_cast<uint32_t>(HashKey(source_key) >> 32) % kSources;
  if (!MakeRoom(mbuf->nb_segs, source, place.limit, index)) {
    statistics_.displaced.Add(1);
    return dropped;
  }
  if (index == kNone) index = Make(key, bucket, source, now, place.life);
  if (index == kNone) return dropped;
  const FragmentResult result =
      Insert(index, {.mbuf = mbuf,
                     .next = kNone,
                     .offset = static_cast<uint16_t>(info.sequence),
                     .length = info.l4_length,
                     .header = info.l4_offset,
                     .name_offset = info.window,
                     .l3_offset = info.l3_offset,
                     .more = info.has(kMoreFragments)});
  Datagram& d = datagrams_[index];
  if (d.in_use && d.first == kNone && !d.dead) Free(index);
  return result;
}

FragmentResult FragmentCache::Insert(uint32_t index, const Entry& fragment) {
  Datagram& d = datagrams_[index];
  const bool v6 = d.key.family == Family::kIpv6;
  Entry added = fragment;
  uint32_t end = uint32_t{added.offset} + added.length;
  const auto bad = [&](bool all) {
    // Of an IPv6 datagram whose fragments contradict each other nothing is to
    // be believed.
    if (all && v6) {
      DropEntries(d, statistics_.overlapping);
      d.bytes = 0;
      d.dead = true;
    }
    statistics_.overlapping.Add(1);
    return FragmentResult{.kind = FragmentResult::Kind::kDropped};
  };

  // The neighbours; entries do not overlap.
  uint32_t before = kNone;
  uint32_t after = d.first;
  while (after != kNone && entries_[after].offset <= added.offset) {
    before = after;
    after = entries_[after].next;
  }
  if (v6 && before != kNone && entries_[before].offset == added.offset &&
      entries_[before].length == added.length &&
      entries_[before].more == added.more &&
      SameData(*entries_[before].mbuf, entries_[before].header, *added.mbuf,
               added.header, added.length)) {
    return bad(false);
  }

  // Where the datagram ends is said once.
  if (d.first != kNone) {
    const Entry& last = entries_[d.last];
    const uint32_t total = uint32_t{last.offset} + last.length;
    if (end < total && !added.more) return bad(true);
    if (!last.more) {
      if (end > total || (end == total && added.more)) return bad(true);
    } else if (end == total && !added.more) {
      return bad(true);
    }
  }

  if (before != kNone) {
    const Entry& b = entries_[before];
    const uint32_t b_end = uint32_t{b.offset} + b.length;
    if (b_end > added.offset) {
      if (v6) return bad(true);
      const uint32_t cut = b_end - added.offset;
      if (cut >= added.length) return bad(false);
      CutFront(*added.mbuf, added.header, cut);
      added.offset = static_cast<uint16_t>(added.offset + cut);
      added.length = static_cast<uint16_t>(added.length - cut);
    }
  }
  while (after != kNone && end > entries_[after].offset) {
    if (v6) return bad(true);
    Entry& a = entries_[after];
    const uint32_t cut = end - a.offset;
    if (cut < a.length) {
      Refund(d.source, a.mbuf);
      CutFront(*a.mbuf, a.header, cut);
      Charge(d.source, a.mbuf);
      --d.in_part[a.offset / kPartBytes];
      a.offset = static_cast<uint16_t>(a.offset + cut);
      ++d.in_part[a.offset / kPartBytes];
      a.length = static_cast<uint16_t>(a.length - cut);
      d.bytes -= cut;
      break;
    }
    // Covered whole.
    const uint32_t next = a.next;
    d.bytes -= a.length;
    --d.in_part[a.offset / kPartBytes];
    if (d.last == after) d.last = before;
    DropEntry(after, d.source, statistics_.overlapping);
    after = next;
    (before != kNone ? entries_[before].next : d.first) = after;
  }
  uint8_t& in_part = d.in_part[added.offset / kPartBytes];
  if (in_part == kMostInPart || free_entry_ == kNone) return bad(false);

  const uint32_t place = free_entry_;
  free_entry_ = entries_[place].next;
  ++entries_in_use_;
  statistics_.held.Add(1);
  ++in_part;
  added.next = after;
  entries_[place] = added;
  (before != kNone ? entries_[before].next : d.first) = place;
  if (after == kNone) d.last = place;
  d.bytes += added.length;
  Charge(d.source, added.mbuf);

  const Entry& last = entries_[d.last];
  if (last.more || d.bytes != uint32_t{last.offset} + last.length) {
    return {};
  }
  FragmentResult result{.kind = FragmentResult::Kind::kWhole};
  result.whole = Join(index, &result.reason);
  if (result.whole == nullptr) {
    // The one that just came is the caller's to drop.
    uint32_t* link = &d.first;
    while (*link != place) link = &entries_[*link].next;
    *link = entries_[place].next;
    Refund(d.source, added.mbuf);
    FreeEntry(place);
    DropEntries(d, statistics_.overlapping);
    Free(index);
    result.kind = FragmentResult::Kind::kDropped;
  }
  return result;
}

rte_mbuf* FragmentCache::Join(uint32_t index, DropReason* reason) {
  Datagram& d = datagrams_[index];
  const bool v6 = d.key.family == Family::kIpv6;
  const Entry& first = entries_[d.first];
  const uint32_t headers = first.header - first.l3_offset -
                           (v6 ? sizeof(wire::Ipv6Fragment) : 0);
  uint32_t segments = 0;
  for (uint32_t i = d.first; i != kNone; i = entries_[i].next) {
    segments += entries_[i].mbuf->nb_segs;
  }
  if (headers + d.bytes > kMaxPacket || segments > UINT16_MAX ||
      entries_[d.first].next == kNone) {
    *reason = DropReason::kShort;
    return nullptr;
  }
  uint32_t next = d.first;
  rte_mbuf* whole = JoinFragments(d.key.family, d.bytes, [&] {
    FragmentPiece piece;
    if (next == kNone) return piece;
    const uint32_t taken = next;
    const Entry& entry = entries_[taken];
    piece = {.mbuf = entry.mbuf,
             .header = entry.header,
             .l3_offset = entry.l3_offset,
             .name_offset = entry.name_offset};
    next = entry.next;
    Refund(d.source, entry.mbuf);
    FreeEntry(taken);
    return piece;
  });
  d.first = d.last = kNone;
  Free(index);
  statistics_.datagrams.Add(1);
  return whole;
}

}  // namespace sluice
