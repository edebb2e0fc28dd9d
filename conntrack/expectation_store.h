// The memory of ExpectationTable, for its own sources only.
#ifndef SLUICE_CONNTRACK_EXPECTATION_STORE_H_
#define SLUICE_CONNTRACK_EXPECTATION_STORE_H_

#include <emmintrin.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstring>
#include <mutex>
#include <vector>

#include "conntrack/expectation.h"
#include "conntrack/expectation_shares.h"
#include "packet/counter.h"

namespace sluice {
namespace internal {

inline constexpr uint32_t kNone = 0xffffffff;
inline constexpr uint32_t kMaxRecords = kNoFamilyRecord;

// Held for tens of instructions; nothing inside it waits or calls out.
class Spinlock {
 public:
  void lock() {
    while (flag_.test_and_set(std::memory_order_acquire)) {
      while (flag_.test(std::memory_order_relaxed)) _mm_pause();
    }
  }
  void unlock() { flag_.clear(std::memory_order_release); }

 private:
  std::atomic_flag flag_;
};

// What a child's first packet has in common with its expectation, but for the
// server's address: packets from elsewhere fall into the same chain and can be
// counted.
struct Target {
  std::array<uint8_t, 16> client{};
  VlanId vlan{};
  uint16_t client_port = 0;  // network order, as all ports here
  uint16_t filter = 0;
  Family family = Family::kNone;
  Direction direction = Direction::kIn;  // of the child

  friend bool operator==(const Target&, const Target&) = default;
};

struct Server {
  std::array<uint8_t, 16> address{};
  uint16_t parent_port = 0;  // not to come from there
};

struct Expectation {
  Target target;
  Server server;
  Tick expires = 0;
  uint16_t record = kNoFamilyRecord;
  uint32_t source = kNone;
  uint32_t hash_next = kNone;  // free entries too
  uint32_t sibling = kNone;    // the next of the same parent
  uint32_t older = kNone;
  uint32_t newer = kNone;
  StateTemplate values;
  uint16_t interface = 0;  // with kStateIfBound
  // Reserved: not in the list by age, and met by nobody.
  bool pending = false;
};

// The place of one child among those that its parent may have.
struct ChildSeat {
  bool taken = false;
  StateId child = 0;  // 0: of one that is not a state yet
  Tick active = 0;    // its client's last packet, as far as is known
};

struct FamilyRecord {
  StateHandle parent;  // id 0: free
  uint16_t filter = 0;
  Direction direction = Direction::kIn;
  uint32_t first = kNone;
  uint32_t next_free = kNone;
  std::array<ChildSeat, kMaxFamilyChildren> seats{};

  // A taken seat with this id, or nullptr.
  ChildSeat* SeatOf(StateId child) {
    for (ChildSeat& seat : seats) {
      if (seat.taken && seat.child == child) return &seat;
    }
    return nullptr;
  }
  uint32_t children() const {
    uint32_t count = 0;
    for (const ChildSeat& seat : seats) count += seat.taken ? 1 : 0;
    return count;
  }
  ChildSeat* FreeSeat(uint32_t limit) {
    if (children() >= limit) return nullptr;
    for (ChildSeat& seat : seats) {
      if (!seat.taken) return &seat;
    }
    return nullptr;
  }
};

// What one filter has.
struct Use {
  uint32_t entries = 0;
  uint32_t records = 0;
};

// How many expectations one client has in one filter.
struct Source {
  std::array<uint8_t, 16> address{};
  VlanId vlan{};
  Family family = Family::kNone;
  uint16_t filter = 0;
  uint32_t count = 0;
  uint32_t next = kNone;
};

inline std::array<uint8_t, 16> Widen(uint32_t address) {
  std::array<uint8_t, 16> bytes{};
  std::memcpy(bytes.data(), &address, sizeof address);
  return bytes;
}

}  // namespace internal

struct ExpectationTable::Impl {
  using Spinlock = internal::Spinlock;
  using Target = internal::Target;
  using Server = internal::Server;
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
        statistics(o.filters + 1) {
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

  ExpectationCounts<Counter>& At(uint16_t filter) {
    return statistics[std::min<size_t>(filter, statistics.size() - 1)];
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
                              static_cast<uint64_t>(t.direction) << 38 |
                              static_cast<uint64_t>(t.vlan.value) << 40);
  }
  uint32_t SourceSlot(const Target& t) const {
    return Slot(t.client, uint64_t{t.filter} << 16 |
                              static_cast<uint64_t>(t.family) << 32 |
                              static_cast<uint64_t>(t.vlan.value) << 40);
  }

  uint32_t FindSource(const Target& t) const {
    uint32_t i = source_heads[SourceSlot(t)];
    while (i != kNone && !(sources[i].address == t.client &&
                           sources[i].vlan == t.vlan &&
                           sources[i].family == t.family &&
                           sources[i].filter == t.filter)) {
      i = sources[i].next;
    }
    return i;
  }
  // There are as many source nodes as expectations, so one is free.
  uint32_t MakeSource(const Target& t) {
    const uint32_t i = free_source;
    free_source = sources[i].next;
    uint32_t& head = source_heads[SourceSlot(t)];
    sources[i] = {.address = t.client,
                  .vlan = t.vlan,
                  .family = t.family,
                  .filter = t.filter,
                  .count = 0,
                  .next = head};
    head = i;
    return i;
  }
  void DropFromSource(const Expectation& e) {
    Source& source = sources[e.source];
    if (--source.count != 0) return;
    uint32_t* link = &source_heads[SourceSlot(e.target)];
    while (*link != e.source) link = &sources[*link].next;
    *link = source.next;
    source.next = free_source;
    free_source = e.source;
  }

  void Append(uint32_t i) {
    entries[i].older = newest;
    entries[i].newer = kNone;
    (newest == kNone ? oldest : entries[newest].newer) = i;
    newest = i;
  }
  void Unlink(uint32_t i) {
    const Expectation& e = entries[i];
    (e.older == kNone ? oldest : entries[e.older].newer) = e.newer;
    (e.newer == kNone ? newest : entries[e.newer].older) = e.older;
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
    At(record.filter).families.TakeBack(1);
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
      At(e.target.filter).in_use.TakeBack(1);
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

  ExpectResult Arm(const Target& target, const Server& server,
                   const ParentReference& parent, const StateTemplate& values,
                   Tick now, uint16_t* number) {
    FamilyRecord* record = RecordOf(parent.record, parent.handle.id);
    *number = parent.record;
    if (record != nullptr) {
      for (uint32_t i = record->first; i != kNone; i = entries[i].sibling) {
        if (!(entries[i].target == target)) continue;
        entries[i].expires = now + options.time_to_live;
        if (entries[i].pending) {
          entries[i].pending = false;
          shares.Add(i, OwnerOf(target));
          At(target.filter).in_use.Add(1);
          ++live;
        } else {
          Unlink(i);
          shares.Renew(i);
        }
        Append(i);
        At(parent.filter).rearmed.Add(1);
        return ExpectResult::kRearmed;
      }
      if (record->children() >= options.children_per_parent &&
          !LetIdleChildGo(record, now)) {
        At(parent.filter).refused_children.Add(1);
        return ExpectResult::kChildLimit;
      }
    }
    const ExpectResult room = MakeRoom(target, record == nullptr);
    if (room != ExpectResult::kArmed) {
      if (record != nullptr) FreeRecordIfUnused(parent.record);
      return room;
    }
    if (record == nullptr) *number = MakeRecord(parent);
    const uint32_t i = Place(target, server, parent.interface, values,
                             *number);
    entries[i].expires = now + options.time_to_live;
    entries[i].pending = false;
    Append(i);
    shares.Add(i, OwnerOf(target));
    At(target.filter).in_use.Add(1);
    ++live;
    At(parent.filter).armed.Add(1);
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
    At(record->filter).children_replaced.Add(1);
    return true;
  }
  static internal::ExpectationShares::Owner OwnerOf(const Target& target) {
    return {.address = target.client,
            .vlan = target.vlan,
            .family = target.family,
            .filter = target.filter};
  }

  // kArmed: there is room for one more of that source, if need be because
  // another source's oldest has given way.
  ExpectResult MakeRoom(const Target& target, bool new_record) {
    const uint32_t source = FindSource(target);
    if (source != kNone && sources[source].count >= options.per_source) {
      At(target.filter).refused_source.Add(1);
      return ExpectResult::kSourceLimit;
    }
    // The victim takes an entry along, and its record if that is all that the
    // family had.
    for (int victims = 0; !HasRoomFor(target.filter, new_record); ++victims) {
      const uint32_t victim = target.filter < uses.size() && victims < 2
                                  ? shares.Victim(OwnerOf(target))
                                  : kNone;
      if (victim == kNone) {
        At(target.filter).refused_full.Add(1);
        return ExpectResult::kFull;
      }
      Free(victim);
      At(target.filter).displaced.Add(1);
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
  uint16_t MakeRecord(const ParentReference& parent) {
    const auto number = static_cast<uint16_t>(free_record);
    FamilyRecord& record = records[number];
    free_record = record.next_free;
    record = {.parent = parent.handle,
              .filter = parent.filter,
              .direction = parent.direction};
    ++uses[parent.filter].records;
    At(parent.filter).families.Add(1);
    ++used_records;
    return number;
  }
  // Puts a new one where packets look; there is room. Neither its time nor its
  // place by age is set.
  uint32_t Place(const Target& target, const Server& server,
                 uint16_t interface, const StateTemplate& values,
                 uint16_t number) {
    uint32_t source = FindSource(target);
    if (source == kNone) source = MakeSource(target);
    ++sources[source].count;
    const uint32_t i = free_entry;
    Expectation& e = entries[i];
    free_entry = e.hash_next;
    uint32_t& head = heads[SlotOf(target)];
    e.target = target;
    e.server = server;
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
    uint32_t before = newest;
    while (before != kNone &&
           TickDiff(entries[before].expires, entries[i].expires) > 0) {
      before = entries[before].older;
    }
    const uint32_t after = before == kNone ? oldest : entries[before].newer;
    entries[i].older = before;
    entries[i].newer = after;
    (before == kNone ? oldest : entries[before].newer) = i;
    (after == kNone ? newest : entries[after].older) = i;
  }

  // The expectation that this packet fulfils.
  uint32_t Find(const Target& target, const PacketInfo& info,
                uint16_t interface, Tick now) {
    bool stranger = false;
    uint32_t i = heads[SlotOf(target)];
    while (i != kNone) {
      const Expectation& e = entries[i];
      const uint32_t next = e.hash_next;
      if (e.target == target && !e.pending) {
        if (TickDiff(now, e.expires) >= 0) {
          Free(i);
          At(target.filter).expired.Add(1);
        } else if (e.server.address != info.source ||
                   (e.values.has(kStateIfBound) && e.interface != interface)) {
          stranger = true;
        } else if (e.server.parent_port != info.source_port.raw()) {
          if (records[e.record].children() < options.children_per_parent) {
            return i;
          }
          At(target.filter).refused_children.Add(1);
        }
      }
      i = next;
    }
    if (stranger) At(target.filter).unrelated.Add(1);
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
  uint32_t oldest = kNone;
  uint32_t newest = kNone;
  uint32_t used_entries = 0;  // the pending ones too
  uint32_t used_records = 0;
  uint32_t live = 0;
  // By filter, and one for numbers that are out of range.
  std::vector<ExpectationCounts<Counter>> statistics;
};

}  // namespace sluice

#endif  // SLUICE_CONNTRACK_EXPECTATION_STORE_H_
