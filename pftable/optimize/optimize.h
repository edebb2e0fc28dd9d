// pfctl's ruleset optimiser: fewer rules and tables instead of long lists,
// with the meaning unchanged. It works on adjacent rules that do the same to a
// packet (a block), where it does not matter which of them matched:
//   1. rules that another one contains are dropped;
//   2. six or more rules that differ in one address become one with a table;
//   3. rules with a common field are put beside each other, or, for quick
//      rules and by a profile, those first that packets have met most.
// Only the filter rules are touched, each anchor's by themselves.
//
// Where pfctl takes two rules for alike though they are not (timeouts of the
// states, codes of the answers, addresses that are negated, rates, `once`),
// they are kept apart here.
#ifndef SLUICE_PFTABLE_OPTIMIZE_OPTIMIZE_H_
#define SLUICE_PFTABLE_OPTIMIZE_OPTIMIZE_H_

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "pftable/optimize/automatic_tables.h"
#include "pftable/policy/policy.h"

namespace sluice {

// How many packets a rule of the anchor at `path` has met so far; 0 if no
// such rule is in force. A rule's `place` and number mean nothing here.
using RulePackets =
    std::function<uint64_t(const Rule& rule, std::string_view path)>;

// `profile` is asked with kProfile only and may be null: then blocks are
// ordered as with kBasic.
void OptimizePolicy(Policy& policy, RulesetOptimization level,
                    const RulePackets& profile, AutomaticTables& tables);

// Step 3 of one block: the order that groups common fields.
std::vector<Rule> OrderByCommonFields(std::vector<Rule> rules);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_OPTIMIZE_OPTIMIZE_H_
