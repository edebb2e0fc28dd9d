#include "conntrack/expectation.h"

#include <emmintrin.h>

#include <algorithm>
#include <bit>
#include <mutex>
#include <vector>

namespace sluice {
namespace {

constexpr uint32_t kNone = 0xffffffff;
constexpr uint32_t kMaxRecords = kNoFamilyRecord;

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
};

struct FamilyRecord {
  StateHandle parent;  // id 0: free
  uint16_t filter = 0;
  Direction direction = Direction::kIn;
  bool alive = false;
  uint32_t children = 0;
  uint32_t first = kNone;
  uint32_t next_free = kNone;
};

// How many expectations one client has in one filter.
struct Source {
  std::array<uint8_t, 16> address{};
  Family family = Family::kNone;
  uint16_t filter = 0;
  uint32_t count = 0;
  uint32_t next = kNone;
};

std::array<uint8_t, 16> Widen(uint32_t address) {
  std::array<uint8_t, 16> bytes{};
  std::memcpy(bytes.data(), &address, sizeof address);
  return bytes;
}

}  // namespace

struct ExpectationTable::Impl {
  Impl(const ExpectationOptions& o, const HashSecret& s)
      : options(o),
        secret(s),
        entries(o.capacity),
        records(std::min<uint32_t>(o.capacity * 2, kMaxRecords)),
        sources(o.capacity),
        heads(std::bit_ceil(std::max(o.capacity, 16u)), kNone),
        source_heads(heads.size(), kNone) {
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
                              static_cast<uint64_t>(t.direction) << 40);
  }
  uint32_t SourceSlot(const Target& t) const {
    return Slot(t.client, uint64_t{t.filter} << 16 |
                              static_cast<uint64_t>(t.family) << 32);
  }

  uint32_t FindSource(const Target& t) const {
    uint32_t i = source_heads[SourceSlot(t)];
    while (i != kNone && !(sources[i].address == t.client &&
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
    if (record.first != kNone || record.children != 0) return;
    record.parent = {};
    record.next_free = free_record;
    free_record = number;
  }

  void Free(uint32_t i) {
    Expectation& e = entries[i];
    uint32_t* link = &heads[SlotOf(e.target)];
    while (*link != i) link = &entries[*link].hash_next;
    *link = e.hash_next;
    link = &records[e.record].first;
    while (*link != i) link = &entries[*link].sibling;
    *link = e.sibling;
    Unlink(i);
    DropFromSource(e);
    FreeRecordIfUnused(e.record);
    e.hash_next = free_entry;
    free_entry = i;
    --live;
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
        Unlink(i);
        Append(i);
        ++statistics.rearmed;
        return ExpectResult::kRearmed;
      }
      if (record->children >= options.children_per_parent) {
        ++statistics.refused_children;
        return ExpectResult::kChildLimit;
      }
    }
    uint32_t source = FindSource(target);
    if (source != kNone && sources[source].count >= options.per_source) {
      ++statistics.refused_source;
      return ExpectResult::kSourceLimit;
    }
    if (free_entry == kNone || (record == nullptr && free_record == kNone)) {
      ++statistics.refused_full;
      return ExpectResult::kFull;
    }
    if (record == nullptr) {
      *number = static_cast<uint16_t>(free_record);
      record = &records[free_record];
      free_record = record->next_free;
      *record = {.parent = parent.handle,
                 .filter = parent.filter,
                 .direction = parent.direction,
                 .alive = true};
    }
    if (source == kNone) source = MakeSource(target);
    ++sources[source].count;
    const uint32_t i = free_entry;
    Expectation& e = entries[i];
    free_entry = e.hash_next;
    uint32_t& head = heads[SlotOf(target)];
    e.target = target;
    e.server = server;
    e.expires = now + options.time_to_live;
    e.record = *number;
    e.source = source;
    e.hash_next = head;
    e.sibling = record->first;
    e.values = values;
    e.interface = parent.interface;
    head = i;
    record->first = i;
    Append(i);
    ++live;
    ++statistics.armed;
    return ExpectResult::kArmed;
  }

  // The expectation that this packet fulfils.
  uint32_t Find(const Target& target, const PacketInfo& info,
                uint16_t interface, Tick now) {
    bool stranger = false;
    uint32_t i = heads[SlotOf(target)];
    while (i != kNone) {
      const Expectation& e = entries[i];
      const uint32_t next = e.hash_next;
      if (e.target == target) {
        if (TickDiff(now, e.expires) >= 0) {
          Free(i);
          ++statistics.expired;
        } else if (e.server.address != info.source ||
                   (e.values.has(kStateIfBound) && e.interface != interface)) {
          stranger = true;
        } else if (e.server.parent_port != info.source_port.raw()) {
          if (records[e.record].children < options.children_per_parent) {
            return i;
          }
          ++statistics.refused_children;
        }
      }
      i = next;
    }
    if (stranger) ++statistics.unrelated;
    return kNone;
  }

  const ExpectationOptions options;
  const HashSecret secret;
  Spinlock lock;
  std::vector<Expectation> entries;
  std::vector<FamilyRecord> records;
  std::vector<Source> sources;
  std::vector<uint32_t> heads;
  std::vector<uint32_t> source_heads;
  uint32_t free_entry = kNone;
  uint32_t free_record = kNone;
  uint32_t free_source = kNone;
  uint32_t oldest = kNone;
  uint32_t newest = kNone;
  uint32_t live = 0;
  ExpectationStatistics statistics;
};

namespace {

// The packets that an expectation may be about at all.
bool MayBeExpected(const PacketInfo& info) {
  return info.proto == protocol::kUdp && !info.has(kFragment);
}

Target TargetOf(const PacketInfo& info, const JudgePoint& where) {
  return {.client = info.destination,
          .client_port = info.destination_port.raw(),
          .filter = where.filter,
          .family = info.family,
          .direction = where.direction};
}

}  // namespace

ExpectationTable::ExpectationTable(const ExpectationOptions& options,
                                   const HashSecret& secret)
    : impl_(std::make_unique<Impl>(options, secret)) {}

ExpectationTable::~ExpectationTable() = default;

ExpectResult ExpectationTable::ArmTarget(
    const std::array<uint8_t, 16>& client, uint16_t client_port,
    const std::array<uint8_t, 16>& server, uint16_t server_port, Family family,
    uint8_t proto, const ParentReference& parent, const StateTemplate& values,
    Tick now, uint16_t* record) {
  const std::lock_guard guard(impl_->lock);
  if (!parent.handle.IsSet() || proto != protocol::kUdp) {
    ++impl_->statistics.refused_parent;
    return ExpectResult::kBadParent;
  }
  if (parent.has_parent) {
    ++impl_->statistics.refused_grandchild;
    return ExpectResult::kGrandchild;
  }
  const Target target = {.client = client,
                         .client_port = client_port,
                         .filter = parent.filter,
                         .family = family,
                         .direction = Opposite(parent.direction)};
  const ExpectResult result =
      impl_->Arm(target, {.address = server, .parent_port = server_port},
                 parent, values, now, record);
  Publish();
  return result;
}

ExpectResult ExpectationTable::Arm(const FlowKey4& key, int server_end,
                                   const ParentReference& parent,
                                   const StateTemplate& values, Tick now,
                                   uint16_t* record) {
  const bool server_first = server_end == 0;
  return ArmTarget(Widen(server_first ? key.end1 : key.end0),
                   server_first ? key.port1 : key.port0,
                   Widen(server_first ? key.end0 : key.end1),
                   server_first ? key.port0 : key.port1, Family::kIpv4,
                   key.proto, parent, values, now, record);
}

ExpectResult ExpectationTable::Arm(const FlowKey6& key, int server_end,
                                   const ParentReference& parent,
                                   const StateTemplate& values, Tick now,
                                   uint16_t* record) {
  const bool server_first = server_end == 0;
  return ArmTarget(server_first ? key.end1 : key.end0,
                   server_first ? key.port1 : key.port0,
                   server_first ? key.end0 : key.end1,
                   server_first ? key.port0 : key.port1, Family::kIpv6,
                   key.proto, parent, values, now, record);
}

bool ExpectationTable::Take(const PacketInfo& info, const JudgePoint& where,
                            Tick now, ExpectedChild* child) {
  if (empty() || !MayBeExpected(info)) return false;
  const std::lock_guard guard(impl_->lock);
  const uint32_t i =
      impl_->Find(TargetOf(info, where), info, where.interface, now);
  if (i != kNone) {
    const Expectation& e = impl_->entries[i];
    FamilyRecord& record = impl_->records[e.record];
    child->parent = {.handle = record.parent,
                     .filter = record.filter,
                     .direction = record.direction,
                     .has_parent = false,
                     .record = e.record};
    child->values = e.values;
    ++record.children;
    impl_->Free(i);
    ++impl_->statistics.matched;
  }
  Publish();
  return i != kNone;
}

bool ExpectationTable::Matches(const PacketInfo& info,
                               const JudgePoint& where, Tick now) {
  if (empty() || !MayBeExpected(info)) return false;
  const std::lock_guard guard(impl_->lock);
  const bool found =
      impl_->Find(TargetOf(info, where), info, where.interface, now) !=
      kNone;
  Publish();
  return found;
}

void ExpectationTable::Disarm(uint16_t record, StateId parent) {
  const std::lock_guard guard(impl_->lock);
  if (impl_->RecordOf(record, parent) == nullptr) return;
  impl_->statistics.dropped_early += impl_->FreeAllOf(record);
  Publish();
}

void ExpectationTable::ParentGone(uint16_t record, StateId parent) {
  const std::lock_guard guard(impl_->lock);
  FamilyRecord* found = impl_->RecordOf(record, parent);
  if (found == nullptr) return;
  found->alive = false;
  impl_->statistics.parent_gone += impl_->FreeAllOf(record);
  Publish();
}

void ExpectationTable::ChildGone(uint16_t record, StateId parent) {
  const std::lock_guard guard(impl_->lock);
  FamilyRecord* found = impl_->RecordOf(record, parent);
  if (found == nullptr || found->children == 0) return;
  --found->children;
  impl_->FreeRecordIfUnused(record);
}

bool ExpectationTable::ParentAlive(uint16_t record, StateId parent) const {
  const std::lock_guard guard(impl_->lock);
  const FamilyRecord* found = impl_->RecordOf(record, parent);
  return found != nullptr && found->alive;
}

void ExpectationTable::Expire(Tick now, uint32_t budget) {
  if (empty()) return;
  const std::lock_guard guard(impl_->lock);
  for (; budget > 0 && impl_->oldest != kNone; --budget) {
    if (TickDiff(now, impl_->entries[impl_->oldest].expires) < 0) break;
    impl_->Free(impl_->oldest);
    ++impl_->statistics.expired;
  }
  Publish();
}

void ExpectationTable::CountMalformed() {
  const std::lock_guard guard(impl_->lock);
  ++impl_->statistics.malformed;
}

ExpectationStatistics ExpectationTable::statistics() const {
  const std::lock_guard guard(impl_->lock);
  return impl_->statistics;
}

void ExpectationTable::Publish() {
  live_.store(impl_->live, std::memory_order_relaxed);
}

}  // namespace sluice
