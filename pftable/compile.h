// From a parsed policy to what workers read. Everything slow about a commit
// happens here, off the packet path and without touching what is in force.
#ifndef SLUICE_PFTABLE_COMPILE_H_
#define SLUICE_PFTABLE_COMPILE_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "pftable/enforce.h"
#include "pftable/generation.h"
#include "pftable/interface_registry.h"
#include "pftable/policy_pool.h"
#include "pftable/rule_slots.h"
#include "pftable/table_slots.h"
#include "pftable/tag_registry.h"

namespace sluice {

// Where a filter's names get their numbers. None is owned.
struct CompileContext {
  const InterfaceRegistry* interfaces = nullptr;
  TagRegistry* tags = nullptr;
  RuleSlots* rule_slots = nullptr;
  TableSlots* table_slots = nullptr;
  PolicyPool* pool = nullptr;  // null: nothing is shared with other filters
};

// The most rules that one packet may meet, anchors called several times
// counting several times: what bounds the time of an evaluation.
inline constexpr uint64_t kMaxEvaluationSteps = 4'000'000;

// What this engine carries out; everything else is refused by name. On a wire
// no address has a route and no packet a socket: conditions on them are
// carried out by never holding.
inline constexpr EngineCapabilities kEngineCapabilities = {
    .anchors = true,
    .packet_sizes = true,
    .received_on = true,
    .sockets = true,
    .routes = true,
    .if_bound = true,
    .dynamic_interfaces = true,
    .probability = true,
    .fail_policy = true,
    .keep_counters = true,
};

// The policy without the contents of its tables. Fails, with all errors as
// "file:line:column: what", one a line, on
// - something of the language that the engine does not carry out,
// - loops of anchors, nesting above kMaxAnchorDepth, too many steps,
// - limits: anchors, tables, table-entries, rule slots, tags.
absl::StatusOr<std::shared_ptr<const CompiledPolicy>> CompilePolicy(
    std::shared_ptr<const Policy> policy, const CompileContext& context);

// The generation after `base` (null: there is none) under `compiled`: the
// tables that it defines or names, and those of `base` that live on. Limits
// are checked before anything is made: the number of tables, and the entries
// of all tables, those that are replaced counted with those that replace them.
absl::StatusOr<std::unique_ptr<Generation>> MakeGeneration(
    std::shared_ptr<const CompiledPolicy> compiled, const Generation* base,
    const CompileContext& context);

// Both.
absl::StatusOr<std::unique_ptr<Generation>> Compile(
    const Policy& policy, const Generation* base,
    const CompileContext& context);

// Rules that name the table. A rule of an anchor counts for the main table of
// that name too, which it falls back to.
uint32_t CountReferences(const CompiledPolicy& compiled, const TableKey& key);

// Sorts the tables, resolves names to them (an anchor's own table before the
// main one), fills Generation::tables and the hash. For what edits tables;
// MakeGeneration() has done it.
void FinishGeneration(Generation& generation);

// Tells the rules' records which tables count for them. When the generation
// is published, not before: records are shared with the one in force.
void BindRecords(const Generation& generation, RuleSlots& rule_slots);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_COMPILE_H_
