// From one rule of a policy to its compiled form. For compile.cc only.
#ifndef SLUICE_PFTABLE_COMPILE_COMPILE_RULE_H_
#define SLUICE_PFTABLE_COMPILE_COMPILE_RULE_H_

#include <cstdint>
#include <map>
#include <string>
#include <tuple>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "pftable/compile/compile.h"
#include "pftable/engine/generation.h"
#include "pftable/policy/policy.h"
#include "pftable/policy/rule.h"

namespace sluice {

// Compiles the conditions and actions of rules into the lists of one
// CompiledPolicy. Slots, records and calls are the caller's.
class RuleCompiler {
 public:
  RuleCompiler(const CompileContext& context, CompiledPolicy* policy)
      : context_(context), policy_(policy) {}

  // `anchor` is the path of the rule's anchor. ResourceExhausted when tags or
  // tables run out.
  absl::Status Compile(const Rule& rule, const std::string& anchor,
                       CompiledRule* compiled);
  absl::Status Compile(const EtherRule& rule, const std::string& anchor,
                       CompiledEtherRule* compiled);
  InterfaceCondition CompileInterface(const InterfaceMatch& match) const;

 private:
  absl::Status CompileAddress(const AddressMatch& match,
                              const std::string& anchor,
                              AddressCondition* condition);
  // The index of a table that a rule names.
  absl::StatusOr<uint16_t> ReferTo(const std::string& table,
                                   const std::string& anchor);
  // The list of an interface in brackets, the same for all that say the same.
  absl::StatusOr<uint16_t> AddressList(const AddressMatch& match);
  absl::Status CompileSystem(const Rule& rule, CompiledRule* compiled);
  absl::Status CompileLimiters(const Rule& rule,
                               CompiledRule* compiled) const;
  absl::Status CompilePool(const Pool& pool, const Rule& rule,
                           const std::string& anchor, uint16_t* index);
  // kNoTag for no name. ResourceExhausted when there are too many.
  absl::StatusOr<uint16_t> TagOf(const std::string& name);

  const CompileContext& context_;
  CompiledPolicy* const policy_;
  std::map<TableKey, uint16_t> table_indexes_;
  // Once a rule has `os`: names of the fingerprints, and their sets by name.
  std::optional<OsNames> os_names_;
  std::map<std::string, uint16_t> os_numbers_;
  // By name, modifiers and length: thousands of rules may name one interface.
  std::map<std::tuple<std::string, uint8_t, uint8_t>, uint16_t> list_indexes_;
};

// The values that the rule's `keep state (...)` gives.
TimeoutProfile RuleTimeouts(const Rule& rule);
SourceTracking RuleTracking(const Rule& rule);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_COMPILE_COMPILE_RULE_H_
