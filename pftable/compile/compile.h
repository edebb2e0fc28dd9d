// From a parsed policy to what workers read. Everything slow about a commit
// happens here, off the packet path and without touching what is in force.
#ifndef SLUICE_PFTABLE_COMPILE_COMPILE_H_
#define SLUICE_PFTABLE_COMPILE_COMPILE_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "pftable/compile/enforce.h"
#include "pftable/compile/policy_pool.h"
#include "pftable/engine/generation.h"
#include "pftable/engine/interface_registry.h"
#include "pftable/engine/rule_slots.h"
#include "pftable/engine/table_slots.h"
#include "pftable/engine/tag_registry.h"

namespace sluice {

// Where a filter's names get their numbers. None is owned.
struct CompileContext {
  const InterfaceRegistry* interfaces = nullptr;
  TagRegistry* tags = nullptr;
  RuleSlots* rule_slots = nullptr;
  TableSlots* table_slots = nullptr;
  PolicyPool* pool = nullptr;  // null: nothing is shared with other filters
  bool classifier = true;  // false: rules are walked one by one
  // What is in force: tables with `counters` go on from it. Null: nothing.
  const Generation* in_force = nullptr;
  // What is in force, whose rules with `once` go on: all of them if that is
  // compiled `again`, else those of Anchor::rules_in_force. Null: nothing.
  const CompiledPolicy* before = nullptr;
  bool again = false;
};

// The most rules that one packet may meet, anchors called several times
// counting several times: what bounds the time of an evaluation.
inline constexpr uint64_t kMaxEvaluationSteps = 4'000'000;

// What this engine carries out; everything else is refused by name. On a wire
// no address has a route and no packet a socket: conditions on them are
// carried out by never holding.
inline constexpr EngineCapabilities kEngineCapabilities = {
    .anchors = true,
    .translation = true,
    .translation_rules = true,
    .sticky_addresses = true,
    .least_states = true,
    .endpoint_independence = true,
    .port_sets = true,
    .port_blocks = true,
    .address_families = true,
    .routing = true,
    .scrub = true,
    .sequence_rewriting = true,
    .synproxy = true,
    .source_tracking = true,
    .limiters = true,
    .packet_rates = true,
    .packet_sizes = true,
    .priorities = true,
    .set_tos = true,
    .once = true,
    .received_on = true,
    .fingerprints = true,
    .sockets = true,
    .routes = true,
    .if_bound = true,
    .flow_export = true,
    .sctp_multihoming = true,
    .layer2 = true,
    .dynamic_interfaces = true,
    .probability = true,
    .reassembly = true,
    .fail_policy = true,
    .keep_counters = true,
    .address_counters = true,
};

// The policy without the contents of its tables. Fails, with all errors as
// "file:line:column: what", one a line, on
// - something of the language that the engine does not carry out,
// - loops of anchors, nesting above kMaxAnchorDepth, too many steps,
// - limits: anchors, tables, table-entries, rule slots, tags.
absl::StatusOr<std::shared_ptr<const CompiledPolicy>> CompilePolicy(
    std::shared_ptr<const Policy> policy, const CompileContext& context);

// Both.
absl::StatusOr<std::unique_ptr<Generation>> Compile(
    const Policy& policy, const Generation* base,
    const CompileContext& context);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_COMPILE_COMPILE_H_
