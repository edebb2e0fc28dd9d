// Counters that nobody reads, for evaluations that are nobody's packet.
#ifndef SLUICE_PFTABLE_ENGINE_SCRATCH_COUNTERS_H_
#define SLUICE_PFTABLE_ENGINE_SCRATCH_COUNTERS_H_

#include <algorithm>
#include <cstdint>

#include "pftable/engine/counters.h"
#include "pftable/engine/generation.h"

namespace sluice {

// Control side. Has room for the rules and tables of one generation.
class ScratchCounters {
 public:
  explicit ScratchCounters(const Generation& generation)
      : counters_(1, SlotsOf(generation), TablesOf(generation)) {}
  WorkerCounters& get() { return counters_.worker(0); }

 private:
  static uint32_t SlotsOf(const Generation& generation) {
    uint32_t most = kDefaultRuleSlot;
    for (const CompiledRule& rule : generation.rules()) {
      most = std::max(most, rule.slot);
    }
    return most + 1;
  }
  static uint32_t TablesOf(const Generation& generation) {
    uint32_t most = kNoTableSlot;
    for (const TableView& table : generation.tables) {
      most = std::max<uint32_t>(most, table.slot);
    }
    return most + 1;
  }

  PolicyCounters counters_;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_ENGINE_SCRATCH_COUNTERS_H_
