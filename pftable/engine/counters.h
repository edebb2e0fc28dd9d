// Counters of rules and tables. Each worker writes its own set and no other;
// the control side reads all of them with relaxed loads and adds them up.
// They are indexed by slot (rule_slots.h, table_slots.h), which outlives the
// generations of a policy, and never go back, but for states that were created
// in vain: the control side subtracts what
// they were when the slot was given out or zeroed.
#ifndef SLUICE_PFTABLE_ENGINE_COUNTERS_H_
#define SLUICE_PFTABLE_ENGINE_COUNTERS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "packet/counter.h"
#include "packet/packet.h"
#include "pftable/engine/lazy_memory.h"

namespace sluice {

// Where packets count that no rule decided, and where lookups of a table
// count that does not exist.
inline constexpr uint32_t kDefaultRuleSlot = 0;
inline constexpr uint16_t kNoTableSlot = 0;
// Stands for "none" where a slot is optional.
inline constexpr uint32_t kNoRuleSlot = 0xffffffff;

// Indexed by Direction::kIn and kOut.
struct alignas(64) RuleCounters {
  std::array<Counter, 2> packets;
  std::array<Counter, 2> bytes;
  Counter states_created;
  Counter states_ended;
  // Packets that its states dropped: out of their window, or of no phase that
  // they were in.
  Counter mismatches;
};
static_assert(sizeof(RuleCounters) == 64);

// What a packet of a rule that names a table counts as.
enum class TableOp : uint8_t {
  kBlock,
  kPass,
  kMatch,  // of a match rule
  // Its address is not, or not any more, what the rule asks for: of a state
  // whose address has left the table, or was translated.
  kXPass,
};
inline constexpr size_t kTableOpCount = 4;

struct alignas(64) TableCounters {
  Counter match;     // lookups that found the address in the table
  Counter no_match;  // and those that did not
  // [direction][TableOp]: packets that a rule naming the table decided.
  std::array<std::array<Counter, kTableOpCount>, 2> packets;
  std::array<std::array<Counter, kTableOpCount>, 2> bytes;
};
static_assert(sizeof(TableCounters) == 192);

// pf's limit counters, in the order and with the names of `pfctl -vsi`.
enum class LimitCounter : uint8_t {
  kMaxStates,
  kMaxSourceStates,
  kMaxSourceNodes,
  kMaxSourceConnections,
  kMaxSourceRate,
  kOverloadTable,
  kOverloadFlush,
  kSynFloods,
  kSyncookiesSent,
  kSyncookiesValidated,
};
inline constexpr size_t kLimitCounterCount = 10;
inline constexpr std::array<std::string_view, kLimitCounterCount>
    kLimitCounterNames = {
        "max states per rule",  "max-src-states",
        "max-src-nodes",        "max-src-conn",
        "max-src-conn-rate",    "overload table insertion",
        "overload flush states", "synfloods detected",
        "syncookies sent",      "syncookies validated"};

// The counters of one worker for one filter, in the memory of PolicyCounters.
class WorkerCounters {
 public:
  WorkerCounters(uint32_t worker, Counter* evaluations, RuleCounters* rules,
                 TableCounters* tables)
      : worker_(worker),
        evaluations_(evaluations),
        rules_(rules),
        tables_(tables) {}

  // Whose they are.
  uint32_t worker() const { return worker_; }

  Counter& evaluations(uint32_t slot) { return evaluations_[slot]; }
  RuleCounters& rule(uint32_t slot) { return rules_[slot]; }
  TableCounters& table(uint16_t slot) { return tables_[slot]; }
  const Counter& evaluations(uint32_t slot) const {
    return evaluations_[slot];
  }
  const RuleCounters& rule(uint32_t slot) const { return rules_[slot]; }
  const TableCounters& table(uint16_t slot) const { return tables_[slot]; }

  // Match rules beyond what a verdict can carry (kMaxMatchRules): their
  // packets were not counted.
  Counter match_rules_lost;
  // Packets that the rules were asked about.
  Counter decided;
  // Of the filter's states: packets looked up, states made and ended.
  Counter searches;
  Counter inserts;
  Counter removals;
  Counter& limit(LimitCounter which) {
    return limits_[static_cast<size_t>(which)];
  }
  const Counter& limit(LimitCounter which) const {
    return limits_[static_cast<size_t>(which)];
  }

 private:
  const uint32_t worker_;
  Counter* const evaluations_;
  RuleCounters* const rules_;
  TableCounters* const tables_;
  std::array<Counter, kLimitCounterCount> limits_;
};

// Plain sums, as the control side works with them.
struct RuleCounts {
  uint64_t evaluations = 0;
  std::array<uint64_t, 2> packets{};
  std::array<uint64_t, 2> bytes{};
  uint64_t states_created = 0;
  uint64_t states = 0;  // live, whatever was zeroed
  uint64_t mismatches = 0;
  friend bool operator==(const RuleCounts&, const RuleCounts&) = default;
};

struct TableCounts {
  uint64_t match = 0;
  uint64_t no_match = 0;
  // [direction][TableOp]
  std::array<std::array<uint64_t, kTableOpCount>, 2> packets{};
  std::array<std::array<uint64_t, kTableOpCount>, 2> bytes{};

  friend bool operator==(const TableCounts&, const TableCounts&) = default;
};

// What `a` has more than the earlier `b`; the live states are those of `a`.
RuleCounts operator-(const RuleCounts& a, const RuleCounts& b);
TableCounts operator-(const TableCounts& a, const TableCounts& b);

// The counters of all workers of one filter. What was never counted in takes no
// memory, but for the rest of a page.
class PolicyCounters {
 public:
  PolicyCounters(uint32_t workers, uint32_t rule_slots, uint32_t table_slots);

  WorkerCounters& worker(uint32_t i) { return *workers_[i]; }
  uint32_t worker_count() const {
    return static_cast<uint32_t>(workers_.size());
  }

  // Ended states are read before created ones, so that `states` is never
  // below the truth while a worker counts.
  RuleCounts Rule(uint32_t slot) const;
  TableCounts Table(uint16_t slot) const;
  // Bytes in use, by whole pages.
  size_t MemoryUse() const { return memory_.Resident(); }

 private:
  LazyMemory memory_;
  std::vector<std::unique_ptr<WorkerCounters>> workers_;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_ENGINE_COUNTERS_H_
