#include "pftable/store/policy_listing.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "pftable/policy/no_memory.h"
#include "pftable/store/table_name.h"

namespace sluice {
namespace {

RuleStatus StatusOf(const CompiledPolicy& policy, const ListedRule& listed,
                    const RuleSlots& slots) {
  return RuleStatus{
      .rule = listed,
      .index = static_cast<uint32_t>(&listed - policy.listed.data()),
      .counts = slots.Counts(listed.slot),
      .expired = policy.rules[&listed - policy.listed.data()].expired()};
}

}  // namespace

absl::StatusOr<std::vector<RuleStatus>> PolicyListing::Rules(
    std::string_view anchor) const {
  return RulesOf(anchor, /*translation=*/false);
}

absl::StatusOr<std::vector<RuleStatus>> PolicyListing::TranslationRules(
    std::string_view anchor) const {
  return RulesOf(anchor, /*translation=*/true);
}

absl::StatusOr<std::vector<RuleStatus>> PolicyListing::RulesOf(
    std::string_view anchor, bool translation) const {
  using Rules = absl::StatusOr<std::vector<RuleStatus>>;
  return OrNoMemory("list the rules", [&]() -> Rules {
    const CompiledPolicy& policy = *generation_->policy;
    if (policy.source->main.Find(anchor) == nullptr) {
      return absl::NotFoundError(
          absl::StrCat("anchor \"", std::string(anchor), "\" does not exist"));
    }
    std::vector<RuleStatus> result;
    for (const bool scrub : {true, false}) {
      for (const ListedRule& listed : policy.listed) {
        if (listed.anchor != anchor || listed.scrub != scrub ||
            listed.translation.has_value() != translation) {
          continue;
        }
        result.push_back(StatusOf(policy, listed, store_.rule_slots()));
      }
    }
    return result;
  });
}

std::vector<RuleStatus> PolicyListing::AllRules() const {
  std::vector<RuleStatus> result;
  for (const ListedRule& listed : generation_->policy->listed) {
    result.push_back(
        StatusOf(*generation_->policy, listed, store_.rule_slots()));
  }
  return result;
}

std::vector<TableStatus> PolicyListing::Tables() const {
  const TableSlots& slots = store_.table_slots();
  std::vector<TableStatus> result;
  for (const GenerationTable& table : generation_->table_states) {
    const uint16_t slot = table.handle->slot();
    result.push_back(TableStatus{.key = table.key,
                                 .active = table.active,
                                 .persist = table.persist,
                                 .is_const = table.is_const,
                                 .counters = table.counters,
                                 .references = table.references,
                                 .addresses = table.contents.size(),
                                 .cleared_at = slots.cleared_at(slot),
                                 .counts = slots.Counts(slot)});
  }
  std::ranges::sort(result, {}, &TableStatus::key);
  return result;
}

absl::StatusOr<const GenerationTable*> PolicyListing::FindActive(
    const TableKey& key) const {
  const GenerationTable* const table = generation_->FindTable(key);
  if (table == nullptr || !table->active) return NoSuchTable(key);
  return table;
}

absl::StatusOr<std::vector<TableEntry>> PolicyListing::Addresses(
    const TableKey& key) const {
  using Entries = absl::StatusOr<std::vector<TableEntry>>;
  return OrNoMemory("show the table", [&]() -> Entries {
    const absl::StatusOr<const GenerationTable*> table = FindActive(key);
    if (!table.ok()) return table.status();
    return (*table)->contents.Entries();
  });
}

absl::StatusOr<std::vector<TableEntry>> PolicyListing::AddressesAfter(
    const TableKey& key, const Prefix* after, size_t limit) const {
  using Entries = absl::StatusOr<std::vector<TableEntry>>;
  return OrNoMemory("show the table", [&]() -> Entries {
    const absl::StatusOr<const GenerationTable*> table = FindActive(key);
    if (!table.ok()) return table.status();
    return (*table)->contents.EntriesAfter(after, limit);
  });
}

absl::StatusOr<std::vector<std::optional<TableEntry>>> PolicyListing::Longest(
    const TableKey& key, std::span<const Address> addresses) const {
  using Result = absl::StatusOr<std::vector<std::optional<TableEntry>>>;
  return OrNoMemory("test the addresses", [&]() -> Result {
    const absl::StatusOr<const GenerationTable*> table = FindActive(key);
    if (!table.ok()) return table.status();
    std::vector<std::optional<TableEntry>> found;
    found.reserve(addresses.size());
    for (const Address& address : addresses) {
      found.push_back((*table)->contents.Longest(address));
    }
    return found;
  });
}

absl::StatusOr<TableTestResult> PolicyListing::Match(
    const TableKey& key, std::span<const Prefix> hosts) const {
  using Result = absl::StatusOr<TableTestResult>;
  return OrNoMemory("test the addresses", [&]() -> Result {
    const absl::StatusOr<const GenerationTable*> table = FindActive(key);
    if (!table.ok()) return table.status();
    TableTestResult result;
    for (const Prefix& host : hosts) {
      if (host.address.family == Family::kNone || !host.IsHost()) {
        return absl::InvalidArgumentError(absl::StrCat(
            ToString(host), " is a network: only hosts can be tested"));
      }
      const bool matches = (*table)->contents.Contains(host.address);
      ++result.total;
      result.matched += matches;
      result.matches.push_back(matches);
    }
    return result;
  });
}

void ZeroRules(PolicyStore& store) {
  const std::shared_ptr<const Generation> generation = store.generation();
  store.rule_slots().Zero(kDefaultRuleSlot);
  for (const ListedRule& listed : generation->policy->listed) {
    store.rule_slots().Zero(listed.slot);
  }
  for (const ListedEtherRule& listed : generation->policy->listed_ether) {
    store.rule_slots().Zero(listed.slot);
  }
}

void ZeroLoadedRules(PolicyStore& store) {
  const std::shared_ptr<const Generation> generation = store.generation();
  if (generation->policy->source->options.keep_counters) return;
  for (const ListedRule& listed : generation->policy->listed) {
    // What stayed has no place in the text.
    if (listed.rule->place.line != 0) store.rule_slots().Zero(listed.slot);
  }
  for (const ListedEtherRule& listed : generation->policy->listed_ether) {
    if (listed.rule->place.line != 0) store.rule_slots().Zero(listed.slot);
  }
}

absl::Status ZeroTable(PolicyStore& store, const TableKey& key) {
  const std::shared_ptr<const Generation> generation = store.generation();
  const GenerationTable* const table = generation->FindTable(key);
  if (table == nullptr) return NoSuchTable(key);
  store.table_slots().Zero(table->handle->slot());
  return absl::OkStatus();
}

void RaiseTable(PolicyStore& store, const TableKey& key,
                const TableCounts& least, int64_t cleared_at) {
  const std::shared_ptr<const Generation> generation = store.generation();
  const GenerationTable* const table = generation->FindTable(key);
  if (table == nullptr) return;
  store.table_slots().Raise(table->handle->slot(), least, cleared_at);
}

}  // namespace sluice
