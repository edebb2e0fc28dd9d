#include "pftable/engine/counters.h"

#include <atomic>

namespace sluice {

namespace {

// Where the arrays of one worker begin in its part of the memory.
struct Layout {
  Layout(uint32_t rule_slots, uint32_t table_slots)
      : rules(LazyMemory::BytesFor<Counter>(rule_slots)),
        tables(rules + LazyMemory::BytesFor<RuleCounters>(rule_slots)),
        bytes(tables + LazyMemory::BytesFor<TableCounters>(table_slots)) {}
  size_t rules;
  size_t tables;
  size_t bytes;
};

}  // namespace

RuleCounts operator-(const RuleCounts& a, const RuleCounts& b) {
  RuleCounts d = a;
  d.evaluations -= b.evaluations;
  for (int i = 0; i < 2; ++i) {
    d.packets[i] -= b.packets[i];
    d.bytes[i] -= b.bytes[i];
  }
  d.mismatches -= b.mismatches;
  d.states_created -= b.states_created;
  // States that were counted when it was zeroed, and then taken back.
  if (static_cast<int64_t>(d.states_created) < 0) d.states_created = 0;
  return d;
}

TableCounts operator-(const TableCounts& a, const TableCounts& b) {
  TableCounts d = a;
  d.match -= b.match;
  d.no_match -= b.no_match;
  for (int direction = 0; direction < 2; ++direction) {
    for (size_t op = 0; op < kTableOpCount; ++op) {
      d.packets[direction][op] -= b.packets[direction][op];
      d.bytes[direction][op] -= b.bytes[direction][op];
    }
  }
  return d;
}

PolicyCounters::PolicyCounters(uint32_t workers, uint32_t rule_slots,
                               uint32_t table_slots)
    : memory_(workers * Layout(rule_slots, table_slots).bytes) {
  const Layout layout(rule_slots, table_slots);
  workers_.reserve(workers);
  for (size_t i = 0; i < workers; ++i) {
    const size_t begin = i * layout.bytes;
    workers_.push_back(std::make_unique<WorkerCounters>(
        static_cast<uint32_t>(i), memory_.ArrayAt<Counter>(begin),
        memory_.ArrayAt<RuleCounters>(begin + layout.rules),
        memory_.ArrayAt<TableCounters>(begin + layout.tables)));
  }
}

RuleCounts PolicyCounters::Rule(uint32_t slot) const {
  RuleCounts sum;
  uint64_t ended = 0;
  for (const auto& worker : workers_) {
    ended += worker->rule(slot).states_ended.value();
  }
  std::atomic_thread_fence(std::memory_order_acquire);
  for (const auto& worker : workers_) {
    const RuleCounters& rule = worker->rule(slot);
    sum.states_created += rule.states_created.value();
    sum.mismatches += rule.mismatches.value();
    sum.evaluations += worker->evaluations(slot).value();
    for (int i = 0; i < 2; ++i) {
      sum.packets[i] += rule.packets[i].value();
      sum.bytes[i] += rule.bytes[i].value();
    }
  }
  sum.states = sum.states_created - ended;
  return sum;
}

TableCounts PolicyCounters::Table(uint16_t slot) const {
  TableCounts sum;
  for (const auto& worker : workers_) {
    const TableCounters& table = worker->table(slot);
    sum.match += table.match.value();
    sum.no_match += table.no_match.value();
    for (int direction = 0; direction < 2; ++direction) {
      for (size_t op = 0; op < kTableOpCount; ++op) {
        sum.packets[direction][op] += table.packets[direction][op].value();
        sum.bytes[direction][op] += table.bytes[direction][op].value();
      }
    }
  }
  return sum;
}

}  // namespace sluice
