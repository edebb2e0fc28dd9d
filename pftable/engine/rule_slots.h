// Where rules live for longer than a generation: a fixed array of records,
// one a rule. A rule is known by its identity (printer.h: a digest of anchor
// and canonical text) and its occurrence among equal ones; a rule that a
// commit leaves as it was keeps its slot, and with it its counters. A record
// stays until no generation and no state names it. States may come before their
// rule does (an import without its policy): the slot that they got becomes the
// rule's when one with that identity is acquired.
#ifndef SLUICE_PFTABLE_ENGINE_RULE_SLOTS_H_
#define SLUICE_PFTABLE_ENGINE_RULE_SLOTS_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "pftable/engine/counters.h"
#include "pftable/engine/lazy_memory.h"
#include "pftable/engine/reclaimer.h"
#include "pftable/engine/table_slots.h"
#include "pftable/engine/threshold.h"
#include "pftable/policy/rule.h"
#include "pftable/policy/timeouts.h"

namespace sluice {

// What `keep state (...)` asks of the sources of its states. A zero is no
// limit.
struct SourceTracking {
  bool enabled = false;
  bool by_rule = false;  // else the rule shares nodes with others
  bool overload = false;  // RuleSlotInfo::overload_table gets the address
  bool flush = false;         // ... and the source's states end: the rule's
  bool flush_global = false;  // ... or all of them
  uint32_t max_nodes = 0;
  uint32_t max_states = 0;
  uint32_t max_connections = 0;
  RateLimit rate;  // of connections

  friend bool operator==(const SourceTracking&,
                         const SourceTracking&) = default;
};

// The part that workers read. Written by the control side before the first
// generation with the rule is published, then unchanged for as long as
// anything names the slot, atomics aside.
struct RuleRecord {
  // Of `keep state (...)`; zero: the filter's value holds.
  TimeoutProfile timeouts;
  bool has_timeouts = false;
  // `max`; zero is no limit. Relaxed: a rule that comes to states which were
  // there before it writes its own.
  std::atomic<uint32_t> max_states{0};
  SourceTracking tracking;
  // `allow-related`: other paths of its SCTP associations need no rule.
  bool allow_related = false;
  RateLimit packet_rate;  // `max-pkt-rate`
  bool pflow = false;     // the ends of its states are told
  // The tables that `from` and `to` name, for their counters. Written by the
  // control side when the table that a name stands for changes; relaxed.
  std::atomic<uint16_t> source_table{kNoTableSlot};
  std::atomic<uint16_t> destination_table{kNoTableSlot};
  // `! <table>`. A rule with another one has another slot.
  std::atomic<bool> source_negated{false};
  std::atomic<bool> destination_negated{false};

  // States of the rule over all workers. Counted only for rules with a limit:
  // all workers write it, so the others are spared (WorkerCounters has
  // theirs).
  alignas(64) mutable std::atomic<uint32_t> limited_states{0};
  // Source nodes that are the rule's own. They may outlive its states.
  mutable std::atomic<uint32_t> source_nodes{0};
  // Packets of the rule and of its states, against `packet_rate`.
  mutable Threshold packets;
  // `once`: the last of the rule's lives that a packet has ended
  // (CompiledRule::once).
  mutable std::atomic<uint32_t> ended_life{0};

  // For TimeoutTicks().
  const TimeoutProfile* rule_timeouts() const {
    return has_timeouts ? &timeouts : nullptr;
  }
  uint32_t state_limit() const {
    return max_states.load(std::memory_order_relaxed);
  }
  bool StateLimitReached() const {
    const uint32_t limit = state_limit();
    return limit != 0 &&
           limited_states.load(std::memory_order_relaxed) >= limit;
  }
  // For the worker that is about to insert a state: takes one place of the
  // limit, or returns false. Each success is given back by one
  // ReleaseState(), from any worker.
  bool AcquireState() const {
    const uint32_t limit = state_limit();
    if (limit == 0) return true;
    if (limited_states.fetch_add(1, std::memory_order_relaxed) < limit) {
      return true;
    }
    limited_states.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  // One packet more; false: there are more than `packet_rate` allows.
  bool AcquirePacket(Tick now) const { return packets.Add(packet_rate, now); }
  bool WouldAcquirePacket(Tick now) const {
    return packets.WouldAllow(packet_rate, now);
  }
  bool HasEnded(uint32_t life) const {
    return ended_life.load(std::memory_order_relaxed) >= life;
  }
  // For exactly one packet of all workers true.
  bool EndLife(uint32_t life) const {
    uint32_t ended = ended_life.load(std::memory_order_relaxed);
    while (ended < life) {
      if (ended_life.compare_exchange_weak(ended, life,
                                           std::memory_order_relaxed)) {
        return true;
      }
    }
    return false;
  }
  void ReleaseState() const {
    if (state_limit() != 0) {
      limited_states.fetch_sub(1, std::memory_order_relaxed);
    }
  }
};

// What the control side wants of a rule's slot.
struct RuleSlotRequest {
  std::string anchor;  // the path, "" for the main ruleset
  std::string identity;  // RuleIdentity(), the same in every process
  uint32_t occurrence = 0;  // among equal rules of the anchor, from 0
  std::vector<std::string> labels;
  TimeoutProfile timeouts;
  uint32_t max_states = 0;
  SourceTracking tracking;
  bool allow_related = false;
  RateLimit packet_rate;
  bool pflow = false;
  std::string overload_table;  // a name that the anchor knows
  // Of states whose rule is not there: `identity` is as much of it as they
  // carry, kOrphanIdentityLength digits.
  bool orphan = false;
};
inline constexpr size_t kOrphanIdentityLength = 16;

// What is known of a slot, for listings and state dumps.
struct RuleSlotInfo {
  std::string anchor;
  std::string identity;
  uint32_t occurrence = 0;
  std::vector<std::string> labels;
  std::string overload_table;
};

class RuleSlots;

// The slots of one generation's rules; gives them back when it goes.
class RuleSlotLease {
 public:
  RuleSlotLease() = default;
  RuleSlotLease(RuleSlots* owner, std::vector<uint32_t> slots)
      : owner_(owner), slots_(std::move(slots)) {}
  RuleSlotLease(RuleSlotLease&& other) noexcept { *this = std::move(other); }
  RuleSlotLease& operator=(RuleSlotLease&& other) noexcept;
  ~RuleSlotLease();

  const std::vector<uint32_t>& slots() const { return slots_; }
  // Null: nothing was leased.
  const RuleSlots* owner() const { return owner_; }

 private:
  RuleSlots* owner_ = nullptr;
  std::vector<uint32_t> slots_;
};

// Slots that all filters may have together. Safe from several threads.
class RuleBudget {
 public:
  explicit RuleBudget(uint64_t limit) : limit_(limit) {}
  // False, and nothing taken, if so many are not there.
  bool Take(uint64_t count) {
    uint64_t used = used_.load(std::memory_order_relaxed);
    do {
      if (count > limit_ - used) return false;
    } while (!used_.compare_exchange_weak(used, used + count,
                                          std::memory_order_relaxed));
    return true;
  }
  void Give(uint64_t count) {
    used_.fetch_sub(count, std::memory_order_relaxed);
  }
  uint64_t limit() const { return limit_; }
  uint64_t used() const { return used_.load(std::memory_order_relaxed); }

 private:
  const uint64_t limit_;
  std::atomic<uint64_t> used_{0};
};

// Control side, safe from several threads; record() is for workers too. Takes
// memory for slots that were given out, not for its capacity.
class RuleSlots {
 public:
  // `capacity` counts the default rule's slot 0. No pointer is owned; without a
  // budget there may be as many as there are places.
  RuleSlots(uint32_t capacity, const PolicyCounters* counters,
            Reclaimer* reclaimer, RuleBudget* budget = nullptr);
  ~RuleSlots();

  uint32_t capacity() const { return capacity_; }
  // Slots from here on were never given out.
  uint32_t end() const;
  const RuleRecord& record(uint32_t slot) const { return records_[slot]; }
  // For the control side, before the slot is published or for the atomics.

  // A slot for each request, in order: the one that the rule has, or a new
  // one. ResourceExhausted, and nothing taken, when there are too few.
  absl::StatusOr<RuleSlotLease> Acquire(
      std::span<const RuleSlotRequest> requests);

  // Keeps what `tables` are counted by alive as long as the record is.
  void BindTables(uint32_t slot, TableHandlePtr source,
                  TableHandlePtr destination, bool source_negated,
                  bool destination_negated);

  // Nothing for a slot that is free.
  absl::StatusOr<RuleSlotInfo> Info(uint32_t slot) const;
  // Since the slot was given out or zeroed; the live states in any case.
  RuleCounts Counts(uint32_t slot) const;
  void Zero(uint32_t slot);
  // Counters that came from elsewhere: each goes on from the greater of what it
  // is and `least`. The live states are what they are.
  void Raise(uint32_t slot, const RuleCounts& least);
  // Slots of rules with that label that are in use, by generations or by
  // states alone; ascending.
  std::vector<uint32_t> WithLabel(std::string_view label) const;
  uint32_t used() const;
  // Bytes of the records, by whole pages.
  size_t MemoryUse() const { return record_memory_.Resident(); }

  // The next life of rules with `once`: each load of their ruleset is one.
  uint32_t NextLife() {
    return lives_.fetch_add(1, std::memory_order_relaxed) + 1;
  }

  // Frees what no generation and no state names any more, some thousand slots
  // at most. Waits for nobody; to be called now and then.
  void Poll();

 private:
  friend class RuleSlotLease;
  void Release(std::span<const uint32_t> slots);
  // The slot of states that came before the rule, or end() of `by_identity_`.
  std::unordered_map<std::string, uint32_t>::iterator FindOrphan(
      const RuleSlotRequest& request);

  enum class Use : uint8_t { kFree, kInUse, kDraining };
  struct Slot {
    Use use = Use::kFree;
    uint32_t generations = 0;
    // kDraining: readers that might have begun a state before this are gone
    // once it has passed.
    bool grace_started = false;
    uint64_t grace = 0;
    RuleSlotInfo info;
    // In `by_identity_`, whose nodes stay where they are.
    const std::string* key = nullptr;
    bool orphan = false;
    RuleCounts baseline;
    TableHandlePtr source_table;
    TableHandlePtr destination_table;
  };
  // Slots that one Poll() looks at: some milliseconds.
  static constexpr size_t kDrainsAPoll = 8192;
  // Looks at up to `*left` slots, and subtracts them; frees up to
  // `handles.size()` / 2 and moves their handles there. Whether it freed any.
  bool FreeDrained(std::span<TableHandlePtr> handles, size_t* left);

  const uint32_t capacity_;
  const PolicyCounters* const counters_;
  Reclaimer* const reclaimer_;
  RuleBudget* const budget_;
  std::atomic<uint32_t> lives_{0};
  const LazyMemory record_memory_;
  RuleRecord* const records_;

  mutable std::mutex mutex_;
  std::vector<Slot> slots_;  // those that were ever given out
  // Both have room for all of them, so that giving back cannot fail.
  std::vector<uint32_t> free_;  // the next one last
  std::vector<uint32_t> draining_;
  std::atomic<size_t> draining_count_{0};  // for Poll(), which asks often
  size_t orphans_ = 0;  // slots that are one
  size_t drain_at_ = 0;  // of them, the one that is looked at next
  std::unordered_map<std::string, uint32_t> by_identity_;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_ENGINE_RULE_SLOTS_H_
