// One immutable, compiled version of a filter's policy. A packet is judged by
// exactly one.
//
// Workers read CompiledPolicy's first part and Generation::tables; the rest is
// for the control side. Generations that differ only in the contents of their
// tables share the CompiledPolicy.
#ifndef SLUICE_PFTABLE_GENERATION_H_
#define SLUICE_PFTABLE_GENERATION_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "pftable/address_table.h"
#include "pftable/compiled_rule.h"
#include "pftable/policy.h"
#include "pftable/table_slots.h"
#include "pftable/timeouts.h"

namespace sluice {

// Rules [begin, end) of CompiledPolicy::rules.
struct CompiledRuleset {
  uint32_t begin = 0;
  uint32_t end = 0;
};

// Networks of a dynamic interface address: [begin, end) of
// CompiledPolicy::list_prefixes.
struct CompiledAddressList {
  uint32_t begin = 0;
  uint32_t end = 0;
};

// How deep calls of anchors may nest, as in OpenBSD.
inline constexpr uint32_t kMaxAnchorDepth = 64;

// What `set` decides for the packet path.
struct EngineOptions {
  TimeoutProfile timeouts;
  std::array<uint32_t, kLimitCount> limits{};
  BlockReturn fail_policy = BlockReturn::kDrop;
  Reassembly reassemble = Reassembly::kNo;
  // FreeBSD: `block return` answers SCTP with an ABORT; else as other
  // protocols, with an ICMP error.
  bool aborts_sctp = false;

  uint32_t limit(Limit l) const { return limits[static_cast<size_t>(l)]; }
};

// A rule as listings want it.
struct ListedRule {
  std::string anchor;  // path of the ruleset that it is in
  // Into CompiledPolicy::source.
  const Rule* rule = nullptr;
  uint32_t number = 0;  // in its ruleset, from 0
  uint32_t slot = 0;
  std::vector<std::string> labels;
};

struct CompiledPolicy {
  // Workers.
  std::vector<CompiledRule> rules;
  std::vector<CompiledRuleset> rulesets;  // the first is the main one
  std::vector<uint32_t> calls;            // indexes of rulesets
  std::vector<CompiledAddressList> address_lists;
  std::vector<Prefix> list_prefixes;
  std::vector<InterfaceCondition> skip;
  EngineOptions options;

  // Control side.
  std::shared_ptr<const Policy> source;
  RuleSlotLease slots;
  std::vector<ListedRule> listed;  // as `rules`
  // AddressCondition::index of kTable counts these.
  std::vector<TableKey> referenced_tables;
  // Number of rules that name each of them.
  std::vector<uint32_t> table_references;
  // The tables that the text defines, contents built.
  struct DefinedTable {
    TableKey key;
    bool persist = false;
    bool is_const = false;
    bool counters = false;
    bool has_contents = false;
    AddressTable contents;
  };
  std::vector<DefinedTable> defined_tables;
  uint64_t interface_version = 0;  // InterfaceRegistry::version()
  uint64_t hash = 0;               // of rules and options
};

// A table as workers see it.
struct TableView {
  AddressTable::View addresses;
  uint16_t slot = kNoTableSlot;
};

// A table as the control side keeps it.
struct GenerationTable {
  TableKey key;
  bool active = false;  // defined or made by the tool; else only referenced
  bool persist = false;
  bool is_const = false;
  bool counters = false;
  uint32_t references = 0;  // CountReferences()
  AddressTable contents;
  TableHandlePtr handle;
};

struct Generation {
  // Workers: by AddressCondition::index.
  std::vector<TableView> tables;
  // Never null.
  std::shared_ptr<const CompiledPolicy> policy;

  // Control side. The first are those that rules name, in the order of
  // CompiledPolicy::referenced_tables; then the others, ascending by key.
  std::vector<GenerationTable> table_states;
  uint64_t number = 0;
  uint64_t hash = 0;  // of rules, options and tables

  const std::vector<CompiledRule>& rules() const { return policy->rules; }
  const EngineOptions& options() const { return policy->options; }
  // `set skip on`: nothing at all is done on that interface.
  bool Skips(InterfaceView port) const {
    for (const InterfaceCondition& condition : policy->skip) {
      if (condition.Matches(port)) return true;
    }
    return false;
  }
  // Null if there is none.
  const GenerationTable* FindTable(const TableKey& key) const;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_GENERATION_H_
