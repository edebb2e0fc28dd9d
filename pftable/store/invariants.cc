#include "pftable/store/invariants.h"

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

absl::Status Broken(std::string_view what) {
  return absl::InternalError(std::string(what));
}

// References as the rules have them, without the counts of the compiler.
std::map<TableKey, uint32_t> WalkReferences(const CompiledPolicy& policy) {
  std::map<TableKey, uint32_t> references;
  const auto name = [&](const std::string& anchor, const std::string& table) {
    ++references[{.anchor = anchor, .name = table}];
    if (!anchor.empty()) ++references[{.anchor = "", .name = table}];
  };
  const auto count = [&](const std::string& anchor,
                         const AddressMatch& address) {
    if (address.kind == AddressKind::kTable) name(anchor, address.name);
  };
  for (const ListedRule& listed : policy.listed) {
    count(listed.anchor, listed.rule->source.address);
    count(listed.anchor, listed.rule->destination.address);
    for (const std::optional<Pool>* pool :
         {&listed.rule->nat, &listed.rule->rdr}) {
      if (!pool->has_value()) continue;
      for (const PoolAddress& member : (*pool)->addresses) {
        count(listed.anchor, member.address);
      }
    }
    const std::string& overload = listed.rule->state_options.overload_table;
    if (!overload.empty()) name(listed.anchor, overload);
  }
  for (const ListedEtherRule& listed : policy.listed_ether) {
    count(listed.anchor, listed.rule->l3_source);
    count(listed.anchor, listed.rule->l3_destination);
  }
  return references;
}

absl::Status CheckIndexes(const Generation& generation) {
  const CompiledPolicy& policy = *generation.policy;
  for (const CompiledRuleset& ruleset : policy.rulesets) {
    if (ruleset.begin > ruleset.end || ruleset.end > policy.rules.size()) {
      return Broken("a ruleset reaches beyond the rules");
    }
  }
  for (const CompiledRuleset& ruleset : policy.scrub_rulesets) {
    if (ruleset.begin > ruleset.end || ruleset.end > policy.rules.size()) {
      return Broken("a scrub ruleset reaches beyond the rules");
    }
  }
  for (const uint32_t call : policy.calls) {
    if (call >= policy.rulesets.size()) {
      return Broken("a call of a ruleset that is not there");
    }
  }
  for (const CompiledRule& rule : policy.rules) {
    if (rule.call_end > policy.calls.size()) {
      return Broken("a rule calls beyond the list of calls");
    }
    for (const AddressCondition* condition :
         {&rule.source, &rule.destination}) {
      if (condition->kind == AddressCondition::Kind::kTable &&
          condition->index >= generation.tables.size()) {
        return Broken("a rule names a table that is not there");
      }
      if (condition->kind == AddressCondition::Kind::kList &&
          condition->index >= generation.addresses.size()) {
        return Broken("a rule names a list that is not there");
      }
    }
  }
  return absl::OkStatus();
}

// Each rule has a slot of its own, which knows it.
absl::Status CheckSlots(const Generation& generation,
                        const RuleSlots& rule_slots) {
  const CompiledPolicy& policy = *generation.policy;
  std::set<uint32_t> seen;
  for (size_t i = 0; i < policy.rules.size(); ++i) {
    const uint32_t slot = policy.listed[i].slot;
    const auto info = rule_slots.Info(slot);
    if (!info.ok() || info->anchor != policy.listed[i].anchor) {
      return Broken(absl::StrCat("slot ", slot, " is not its rule's"));
    }
    if (!seen.insert(slot).second) {
      return Broken(absl::StrCat("slot ", slot, " has two rules"));
    }
    if (policy.rules[i].slot != slot ||
        policy.rules[i].record != &rule_slots.record(slot)) {
      return Broken(absl::StrCat("a rule counts beside its slot ", slot));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckTables(const Generation& generation) {
  const std::map<TableKey, uint32_t> references =
      WalkReferences(*generation.policy);
  std::set<TableKey> seen;
  std::set<uint16_t> slots;
  for (const GenerationTable& table : generation.table_states) {
    const std::string name = absl::StrCat(table.key.anchor, "<",
                                          table.key.name, ">");
    if (!seen.insert(table.key).second) {
      return Broken(absl::StrCat(name, " is there twice"));
    }
    const auto counted = references.find(table.key);
    const uint32_t walked =
        counted == references.end() ? 0 : counted->second;
    if (walked != table.references) {
      return Broken(absl::StrCat(name, " has ", table.references,
                                 " references, the rules have ", walked));
    }
    if (walked == 0 && !table.persist) {
      return Broken(absl::StrCat(name, " is there without a reason"));
    }
    if (!table.active && (table.persist || !table.contents.empty())) {
      return Broken(absl::StrCat(name, " is inactive and holds something"));
    }
    if (table.handle == nullptr) {
      return Broken(absl::StrCat(name, " has no place for its counters"));
    }
    if (!slots.insert(table.handle->slot()).second) {
      return Broken(absl::StrCat(name, " has another's place"));
    }
    // Whoever shares it: nobody has written into it.
    if (!table.contents.IsSound()) {
      return Broken(absl::StrCat(name, " has changed in its place"));
    }
  }
  for (size_t i = 0; i < generation.tables.size(); ++i) {
    const TableKey& key = generation.policy->referenced_tables[i];
    if (generation.table_states[i].key != key) {
      return Broken(absl::StrCat("<", key.name, "> is not at its index"));
    }
    const GenerationTable* table = &generation.table_states[i];
    if (!table->active) {
      table = generation.FindTable({.anchor = "", .name = key.name});
    }
    const bool active = table != nullptr && table->active;
    const AddressTable::View expected =
        active ? table->contents.view() : AddressTable::View();
    const AddressTable::View& view = generation.tables[i].addresses;
    if (view.root4 != expected.root4 || view.root6 != expected.root6) {
      return Broken(absl::StrCat("workers see another <", key.name, ">"));
    }
    const uint16_t bit = generation.tables[i].bit;
    if (bit != TableIndex::kNoBit &&
        (generation.index == nullptr ||
         generation.index->BitOf(expected) != bit)) {
      return Broken(absl::StrCat("<", key.name, "> has another's bit"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckInvariants(const PolicyStore& store) {
  const std::shared_ptr<const Generation> generation = store.generation();
  if (store.current() != generation.get()) {
    return Broken("workers see another generation");
  }
  if (absl::Status s = CheckIndexes(*generation); !s.ok()) return s;
  if (absl::Status s = CheckSlots(*generation, store.rule_slots()); !s.ok()) {
    return s;
  }
  return CheckTables(*generation);
}

}  // namespace sluice
