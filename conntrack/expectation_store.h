// The memory of ExpectationTable, for its own sources only.
#ifndef SLUICE_CONNTRACK_EXPECTATION_STORE_H_
#define SLUICE_CONNTRACK_EXPECTATION_STORE_H_

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <mutex>
#include <vector>

#include "conntrack/expectation.h"
#include "conntrack/expectation_entry.h"
#include "conntrack/expectation_shares.h"
#include "packet/counter.h"

namespace sluice {

struct ExpectationTable::Impl {
  using Spinlock = internal::Spinlock;
  using Target = internal::Target;
  using Server = internal::Server;
  using Arrival = internal::Arrival;
  using AgeList = internal::AgeList;
  using Owner = internal::ExpectationShares::Owner;
  using Expectation = internal::Expectation;
  using FamilyRecord = internal::FamilyRecord;
  using Source = internal::Source;
  using Use = internal::Use;
  using ChildSeat = internal::ChildSeat;
  static constexpr uint32_t kNone = internal::kNone;
  static constexpr uint32_t kMaxRecords = internal::kMaxRecords;

  Impl(const ExpectationOptions& o, const HashSecret& s)
      : options(o),
        secret(s),
        entries(o.capacity * 2),
        records(std::min<uint32_t>(o.capacity * 4, kMaxRecords)),
        sources(entries.size()),
        uses(o.filters),
        heads(std::bit_ceil(std::max(o.capacity, 16u)), kNone),
        source_heads(heads.size(), kNone),
        shares(o.capacity * 2, o.filters, FloorOf(o), s),
        statistics{std::vector<ExpectationCounts<Counter>>(o.filters + 1),
                   std::vector<ExpectationCounts<Counter>>(o.filters + 1),
                   std::vector<ExpectationCounts<Counter>>(o.filters + 1)} {
    for (uint32_t i = 0; i < entries.size(); ++i) {
      entries[i].hash_next = i + 1 < entries.size() ? i + 1 : kNone;
      sources[i].next = entries[i].hash_next;
    }
    for (uint32_t i = 0; i < records.size(); ++i) {
      records[i].next_free = i + 1 < records.size() ? i + 1 : kNone;
    }
    free_entry = free_source = entries.empty() ? kNone : 0;
    free_record = records.empty() ? kNone : 0;
  }

  // The counters of a helper are apart from the others'.
  ExpectationCounts<Counter>& At(uint16_t filter, uint8_t proto) {
    std::vector<ExpectationCounts<Counter>>& all =
        statistics[HelperOf(proto)];
    return all[std::min<size_t>(filter, all.size() - 1)];
  }
  static size_t HelperOf(uint8_t proto) {
    return proto == protocol::kTcp ? 1 : proto == protocol::kSctp ? 2 : 0;
  }

  // What a source may have and count as one that has little: two judgements of
  // as many requests as one address may have, but in a small table less.
  static uint32_t FloorOf(const ExpectationOptions& o) {
    return std::min(o.per_source * 2, o.capacity / 8);
  }

  uint32_t Slot(const std::array<uint8_t, 16>& address, uint64_t rest) const {
    uint64_t words[2];
    std::memcpy(words, address.data(), sizeof words);
    const uint64_t digest = internal::Mix(words[0] ^ secret.words[0],
                                          words[1] ^ secret.words[1]);
    return static_cast<uint32_t>(
        internal::Mix(digest ^ rest, secret.words[2]) & (heads.size() - 1));
  }
  uint32_t SlotOf(const Target& t) const {
    return Slot(t.client, uint64_t{t.client_port} |
                              uint64_t{t.filter} << 16 |
                              static_cast<uint64_t>(t.family) << 32 |
                              static_cast<uint64_t>(t.direction) << 36 |
                              static_cast<uint64_t>(HelperOf(t.proto)) << 38 |
                              static_cast<uint64_t>(t.vlan.value) << 40);
  }
  uint32_t SourceSlot(const Owner& o) const {
    return Slot(o.address, uint64_t{o.filter} << 16 |
                               static_cast<uint64_t>(o.family) << 32 |
                               static_cast<uint64_t>(o.vlan.value) << 40);
  }

  uint32_t FindSource(const Owner& o) const {
    uint32_t i = source_heads[SourceSlot(o)];
    while (i != kNone && !(sources[i].address == o.address &&
                           sources[i].vlan == o.vlan &&
                           sources[i].family == o.family &&
                           sources[i].filter == o.filter)) {
      i = sources[i].next;
    }
    return i;
  }
  // There are as many source nodes as expectations, so one is free.
  uint32_t MakeSource(const Owner& o) {
    const uint32_t i = free_source;
    free_source = sources[i].next;
    uint32_t& head = source_heads[SourceSlot(o)];
    sources[i] = {.address = o.address,
                  .vlan = o.vlan,
                  .family = o.family,
                  .filter = o.filter,
                  .count = 0,
                  .next = head};
    head = i;
    return i;
  }
  void DropFromSource(const Expectation& e) {
    Source& source = sources[e.source];
    if (--source.count != 0) return;
    uint32_t* link = &source_heads[SourceSlot(OwnerOf(e))];
    while (*link != e.source) link = &sources[*link].next;
    *link = source.next;
    source.next = free_source;
    free_source = e.source;
  }

  AgeList& AgesOf(const Expectation& e) {
    return ages[e.target.proto == protocol::kSctp ? 1 : 0];
  }
  uint32_t LifeOf(const Target& target) const {
    return target.proto == protocol::kSctp ? kSctpTimeToLive
                                           : options.time_to_live;
  }
  void Append(uint32_t i) {
    AgeList& list = AgesOf(entries[i]);
    entries[i].older = list.newest;
    entries[i].newer = kNone;
    (list.newest == kNone ? list.oldest : entries[list.newest].newer) = i;
    list.newest = i;
  }
  void Unlink(uint32_t i) {
    const Expectation& e = entries[i];
    AgeList& list = AgesOf(e);
    (e.older == kNone ? list.oldest : entries[e.older].newer) = e.newer;
    (e.newer == kNone ? list.newest : entries[e.newer].older) = e.older;
  }

  FamilyRecord* RecordOf(uint16_t number, StateId parent) {
    if (number >= records.size() || parent == 0 ||
        records[number].parent.id != parent) {
      return nullptr;
    }
    return &records[number];
  }
  void FreeRecordIfUnused(uint16_t number) {
    FamilyRecord& record = records[number];
    if (record.first != kNone || record.children() != 0) return;
    record.parent = {};
    record.next_free = free_record;
    free_record = number;
    --uses[record.filter].records;
    At(record.filter, record.proto).families.TakeBack(1);
    --used_records;
  }

  void Free(uint32_t i) {
    Expectation& e = entries[i];
    uint32_t* link = &heads[SlotOf(e.target)];
    while (*link != i) link = &entries[*link].hash_next;
    *link = e.hash_next;
    link = &records[e.record].first;
    while (*link != i) link = &entries[*link].sibling;
    *link = e.sibling;
    if (!e.pending) {
      Unlink(i);
      shares.Remove(i);
      At(e.target.filter, e.target.proto).in_use.TakeBack(1);
      --live;
    }
    --uses[e.target.filter].entries;
    --used_entries;
    DropFromSource(e);
    FreeRecordIfUnused(e.record);
    e.hash_next = free_entry;
    free_entry = i;
  }
  // All of a parent's; the record may be gone afterwards.
  uint64_t FreeAllOf(uint16_t number) {
    uint64_t count = 0;
    while (records[number].first != kNone) {
      Free(records[number].first);
      ++count;
    }
    return count;
  }

  uint32_t MostChildren(uint8_t proto) const {
    return proto == protocol::kSctp  ? kMaxSctpPaths
           : proto == protocol::kTcp ? kMaxFtpTransfers
                                     : options.children_per_parent;
  }

  // Whether another parent's first packet could look the same.
  bool IsTaken(const Target& target, const Server& server,
               const ParentReference& parent) const {
    for (uint32_t i = heads[SlotOf(target)]; i != kNone;
         i = entries[i].hash_next) {
      const Expectation& e = entries[i];
      if (e.target == target && e.server.address == server.address &&
          records[e.record].parent.id != parent.handle.id) {
        return true;
      }
    }
    return false;
  }

  ExpectResult Arm(const Target& target, const Server& server,
                   const ExpectedFlow& flow,
                   const std::array<uint32_t, 2>& tag,
                   const ParentReference& parent, const StateTemplate& values,
                   Tick now, uint16_t* number) {
    FamilyRecord* record = RecordOf(parent.record, parent.handle.id);
    *number = parent.record;
    uint32_t siblings = 0;
    if (record != nullptr) {
      for (uint32_t i = record->first; i != kNone; i = entries[i].sibling) {
        ++siblings;
        if (!(entries[i].target == target) ||
            !(entries[i].server == server)) {
          continue;
        }
        entries[i].expires = now + LifeOf(target);
        entries[i].tag = tag;
        entries[i].after = flow.after;
        if (entries[i].pending) {
          entries[i].pending = false;
          shares.Add(i, OwnerOf(entries[i]));
          At(target.filter, target.proto).in_use.Add(1);
          ++live;
        } else {
          Unlink(i);
          shares.Renew(i);
        }
        Append(i);
        At(parent.filter, target.proto).rearmed.Add(1);
        return ExpectResult::kRearmed;
      }
      // Who names one port after the other means the last ones.
      if (target.proto == protocol::kTcp && siblings >= kMaxFtpExpected) {
        uint32_t oldest = record->first;
        while (entries[oldest].sibling != kNone) {
          oldest = entries[oldest].sibling;
        }
        At(target.filter, target.proto).displaced.Add(1);
        // The others keep the record.
        Free(oldest);
      }
      const bool full = target.proto == protocol::kSctp &&
                        siblings >= kMaxSctpPaths;
      if (full || (record->children() >= MostChildren(target.proto) &&
                   !LetIdleChildGo(record, now))) {
        At(parent.filter, target.proto).refused_children.Add(1);
        return ExpectResult::kChildLimit;
      }
    }
    const Owner who = {.address = flow.owner,
                       .vlan = target.vlan,
                       .family = target.family,
                       .filter = target.filter};
    const ExpectResult room = MakeRoom(who, target.proto, record == nullptr);
    // What gave way may have been all that this family had.
    record = RecordOf(parent.record, parent.handle.id);
    if (room != ExpectResult::kArmed) {
      if (record != nullptr) FreeRecordIfUnused(parent.record);
      return room;
    }
    // One that is gone since has left its place to the next.
    if (record == nullptr) *number = MakeRecord(parent, target.proto);
    const uint32_t i = Place(target, server, who, parent.interface, values,
                             *number);
    entries[i].expires = now + LifeOf(target);
    entries[i].pending = false;
    entries[i].tag = tag;
    entries[i].after = flow.after;
    Append(i);
    shares.Add(i, who);
    At(target.filter, target.proto).in_use.Add(1);
    ++live;
    At(parent.filter, target.proto).armed.Add(1);
    return ExpectResult::kArmed;
  }
  // The client asks for another transfer from the same port: of its transfers
  // the one that it has left alone for longest has ended without a word.
  bool LetIdleChildGo(FamilyRecord* record, Tick now) {
    ChildSeat* idlest = nullptr;
    for (ChildSeat& seat : record->seats) {
      if (!seat.taken || seat.child == 0 ||
          TickDiff(now, seat.active) < static_cast<int32_t>(kChildIdle)) {
        continue;
      }
      if (idlest == nullptr || TickDiff(idlest->active, seat.active) > 0) {
        idlest = &seat;
      }
    }
    if (idlest == nullptr) return false;
    *idlest = {};
    At(record->filter, record->proto).children_replaced.Add(1);
    return true;
  }
  static Owner OwnerOf(const Expectation& e) {
    return {.address = e.owner,
            .vlan = e.target.vlan,
            .family = e.target.family,
            .filter = e.target.filter};
  }

  // kArmed: there is room for one more of that source, if need be because
  // another source's oldest has given way.
  ExpectResult MakeRoom(const Owner& owner, uint8_t proto, bool new_record) {
    const uint32_t source = FindSource(owner);
    if (source != kNone && sources[source].count >= options.per_source) {
      At(owner.filter, proto).refused_source.Add(1);
      return ExpectResult::kSourceLimit;
    }
    // The victim takes an entry along, and its record if that is all that the
    // family had.
    for (int victims = 0; !HasRoomFor(owner.filter, new_record); ++victims) {
      const uint32_t victim = owner.filter < uses.size() && victims < 2
                                  ? shares.Victim(owner)
                                  : kNone;
      if (victim == kNone) {
        At(owner.filter, proto).refused_full.Add(1);
        return ExpectResult::kFull;
      }
      Free(victim);
      At(owner.filter, proto).displaced.Add(1);
    }
    return ExpectResult::kArmed;
  }
  bool HasRoomFor(uint16_t filter, bool new_record) const {
    return filter < uses.size() &&
           uses[filter].entries < entries.size() - used_entries &&
           (!new_record || HasRecordFor(filter));
  }
  bool HasRecordFor(uint16_t filter) const {
    return filter < uses.size() &&
           uses[filter].records < records.size() - used_records;
  }
  // There is a free one.
  uint16_t MakeRecord(const ParentReference& parent, uint8_t proto) {
    const auto number = static_cast<uint16_t>(free_record);
    FamilyRecord& record = records[number];
    free_record = record.next_free;
    record = {.parent = parent.handle,
              .filter = parent.filter,
              .direction = parent.direction,
              .proto = proto};
    ++uses[parent.filter].records;
    At(parent.filter, proto).families.Add(1);
    ++used_records;
    return number;
  }
  // Puts a new one where packets look; there is room. Neither its time nor its
  // place by age is set.
  uint32_t Place(const Target& target, const Server& server,
                 const Owner& owner, uint16_t interface,
                 const StateTemplate& values, uint16_t number) {
    uint32_t source = FindSource(owner);
    if (source == kNone) source = MakeSource(owner);
    ++sources[source].count;
    const uint32_t i = free_entry;
    Expectation& e = entries[i];
    free_entry = e.hash_next;
    uint32_t& head = heads[SlotOf(target)];
    e.target = target;
    e.server = server;
    e.owner = owner.address;
    e.tag = {};
    e.after = {};
    e.record = number;
    e.source = source;
    e.hash_next = head;
    e.sibling = records[number].first;
    e.interface = interface;
    e.values = values;
    head = i;
    records[number].first = i;
    ++uses[target.filter].entries;
    ++used_entries;
    return i;
  }
  // Into the list by age, which ascends by the end of their time.
  void InsertByAge(uint32_t i) {
    AgeList& list = AgesOf(entries[i]);
    uint32_t before = list.newest;
    while (before != kNone &&
           TickDiff(entries[before].expires, entries[i].expires) > 0) {
      before = entries[before].older;
    }
    const uint32_t after =
        before == kNone ? list.oldest : entries[before].newer;
    entries[i].older = before;
    entries[i].newer = after;
    (before == kNone ? list.oldest : entries[before].newer) = i;
    (after == kNone ? list.newest : entries[after].older) = i;
  }

  // The expectation that this packet fulfils.
  uint32_t Find(const Arrival& arrival, Tick now) {
    const Target& target = arrival.target;
    bool stranger = false;
    uint32_t i = heads[SlotOf(target)];
    while (i != kNone) {
      const Expectation& e = entries[i];
      const uint32_t next = e.hash_next;
      if (e.target == target && !e.pending) {
        if (TickDiff(now, e.expires) >= 0) {
          Free(i);
          At(target.filter, target.proto).expired.Add(1);
        } else if (e.server.address != arrival.from ||
                   (e.server.port != 0 && e.server.port != arrival.from_port) ||
                   (e.tag[arrival.sender] != 0 &&
                    e.tag[arrival.sender] != arrival.tag) ||
                   (e.values.has(kStateIfBound) &&
                    e.interface != arrival.interface)) {
          stranger = true;
        } else if (e.server.parent_port == 0 ||
                   e.server.parent_port != arrival.from_port) {
          if (records[e.record].children() < MostChildren(target.proto)) {
            return i;
          }
          At(target.filter, target.proto).refused_children.Add(1);
        }
      }
      i = next;
    }
    if (stranger) At(target.filter, target.proto).unrelated.Add(1);
    return kNone;
  }

  const ExpectationOptions options;
  const HashSecret secret;
  Spinlock lock;
  std::vector<Expectation> entries;
  std::vector<FamilyRecord> records;
  std::vector<Source> sources;
  std::vector<Use> uses;  // by filter
  std::vector<uint32_t> heads;
  std::vector<uint32_t> source_heads;
  internal::ExpectationShares shares;  // of those that are not pending
  uint32_t free_entry = kNone;
  uint32_t free_record = kNone;
  uint32_t free_source = kNone;
  std::array<AgeList, 2> ages;
  uint32_t used_entries = 0;  // the pending ones too
  uint32_t used_records = 0;
  uint32_t live = 0;
  // By filter, and one for numbers that are out of range.
  std::array<std::vector<ExpectationCounts<Counter>>, 3> statistics;
};

}  // namespace sluice

#endif  // SLUICE_CONNTRACK_EXPECTATION_STORE_H_
