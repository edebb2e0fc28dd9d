// The parts of StateImporter that deal with the policy.
#include <algorithm>
#include <limits>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "pftable/language/parser.h"
#include "pftable/print/printer.h"
#include "pftable/store/policy_listing.h"
#include "pftable/store/table_edits.h"
#include "restore/export.h"
#include "restore/import.h"

namespace sluice {
namespace {

std::string NameOf(const SnapshotRuleset& ruleset) {
  return absl::StrCat("snapshot, ruleset \"", ruleset.anchor, "\"");
}

absl::Status NotCanonical(const SnapshotRuleset& ruleset,
                          std::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat(NameOf(ruleset), ": ",
                   absl::string_view(what.data(), what.size())));
}

struct Made {
  SnapshotRuleKind kind;
  std::string text;
  std::string identity;
};

// The rules of one ruleset in the order of a snapshot.
std::vector<Made> RulesOf(const Ruleset& rules, std::string_view anchor,
                          const PrintOptions& print) {
  std::vector<Made> made;
  const auto add = [&](SnapshotRuleKind kind, const std::vector<Rule>& list) {
    for (const Rule& rule : list) {
      made.push_back(
          {kind, PrintRule(rule, print), RuleIdentity(rule, anchor)});
    }
  };
  add(SnapshotRuleKind::kFilter, rules.filter);
  for (const auto& [kind, list] : OtherRules(rules)) add(kind, *list);
  for (const EtherRule& rule : rules.ether) {
    made.push_back({SnapshotRuleKind::kEther, PrintEtherRule(rule, print),
                    RuleIdentity(rule, anchor)});
  }
  return made;
}

bool IsLimiter(std::string_view option) {
  return option.rfind("state limiter ", 0) == 0 ||
         option.rfind("source limiter ", 0) == 0;
}

// Whether the text was what it claims to be: options, then rules, one a line,
// each in the one form that a printer gives it and with its own identity. A
// snapshot whose texts meant more or something else could not be written
// again as it was.
absl::Status CheckCanonical(const SnapshotRuleset& ruleset,
                            const Policy& policy, Dialect dialect) {
  const std::vector<Options::Given>& given = policy.options.given;
  if (!ruleset.anchor.empty() && !ruleset.options.empty()) {
    return NotCanonical(ruleset, "options in an anchor");
  }
  // Behind what is set the limiters, and then what was in a file.
  std::vector<std::string> options;
  for (const Options::Given& option : given) options.push_back(option.text);
  for (const ForeignDefinition& foreign : policy.foreign) {
    options.push_back(foreign.text);
  }
  if (policy.fingerprints) {
    for (const Fingerprint& fingerprint : *policy.fingerprints) {
      options.push_back(FingerprintOption(fingerprint));
    }
  }
  const bool same = options == ruleset.options;
  if (!same) return NotCanonical(ruleset, "options not in canonical form");
  const bool foreign = std::any_of(
      policy.foreign.begin(), policy.foreign.end(),
      [](const ForeignDefinition& d) { return !d.limiter.has_value(); });
  if (!policy.main.tables.empty() || foreign || !policy.macros.empty()) {
    return NotCanonical(ruleset, "a text that is no rule");
  }
  const std::vector<Made> made =
      RulesOf(policy.main.rules, ruleset.anchor, SnapshotPrintOptions(dialect));
  if (made.size() != ruleset.rules.size()) {
    return NotCanonical(ruleset, "a text that is not one rule");
  }
  for (size_t i = 0; i < ruleset.rules.size(); ++i) {
    const SnapshotRule& rule = ruleset.rules[i];
    if (made[i].kind != rule.kind) {
      return NotCanonical(ruleset,
                          absl::StrCat("of another kind: ", rule.text));
    }
    if (made[i].text != rule.text) {
      return NotCanonical(
          ruleset, absl::StrCat("not in canonical form: ", rule.text));
    }
    if (RuleIdOf(made[i].identity) != rule.id) {
      return NotCanonical(
          ruleset, absl::StrCat("another rule's identity: ", rule.text));
    }
  }
  return absl::OkStatus();
}

// Anchors that the text of a call opened with a body.
bool HasBodies(const Anchor& anchor) {
  for (const Anchor& child : anchor.children) {
    if (!(child.rules == Ruleset()) || !child.tables.empty() ||
        HasBodies(child)) {
      return true;
    }
  }
  return false;
}

absl::StatusOr<Policy> ParsedRuleset(const SnapshotRuleset& ruleset,
                                     Dialect dialect) {
  ParseInput input;
  input.file_name = NameOf(ruleset);
  input.dialect = dialect;
  input.anchor = ruleset.anchor;
  input.unnamed_by_number = true;
  input.no_dns = true;
  // One a text: a list in it is refused before it is multiplied out.
  input.limits.rules = ruleset.rules.size();
  input.limits.table_entries = 0;
  // Definitions of limiters stand where FreeBSD's pf wants queues.
  std::string limiters;
  for (const std::string& option : ruleset.options) {
    if (IsLimiter(option)) {
      absl::StrAppend(&limiters, option, "\n");
    } else {
      absl::StrAppend(&input.text, "set ", option, "\n");
    }
  }
  // `set require-order` wants them so.
  for (const SnapshotRuleKind kind :
       {SnapshotRuleKind::kEther, SnapshotRuleKind::kScrub,
        SnapshotRuleKind::kNat, SnapshotRuleKind::kRdr,
        SnapshotRuleKind::kBinat, SnapshotRuleKind::kFilter}) {
    if (kind == SnapshotRuleKind::kNat) input.text += limiters;
    for (const SnapshotRule& rule : ruleset.rules) {
      if (rule.kind == kind) absl::StrAppend(&input.text, rule.text, "\n");
    }
  }
  ParseResult result = ParsePolicy(std::move(input));
  if (!result.ok()) {
    return absl::InvalidArgumentError(FormatDiagnostics(result.diagnostics));
  }
  absl::Status status = CheckCanonical(ruleset, result.policy, dialect);
  if (!status.ok()) return status;
  if (HasBodies(result.policy.main)) {
    return NotCanonical(ruleset, "an anchor's body in the text of its call");
  }
  return std::move(result.policy);
}

TableDefinition DefinitionOf(const SnapshotTable& table) {
  TableDefinition definition;
  definition.name = table.name;
  definition.is_const = (table.flags & kSnapshotTableConst) != 0;
  definition.persist = (table.flags & kSnapshotTablePersist) != 0;
  definition.counters = (table.flags & kSnapshotTableCounters) != 0;
  definition.has_contents = true;
  for (const SnapshotTableEntry& entry : table.entries) {
    TableEntry made;
    made.prefix = entry.prefix;
    made.negated = (entry.flags & kSnapshotEntryNegated) != 0;
    made.weight = entry.weight;
    auto& entries = (entry.flags & kSnapshotEntryRunTime) != 0
                        ? definition.run_time_entries
                        : definition.entries;
    entries.push_back(made);
  }
  return definition;
}

}  // namespace

absl::StatusOr<Policy> StateImporter::BuildPolicy() const {
  const Dialect dialect = snapshot_.meta.dialect.value_or(options_.dialect);
  Policy policy(dialect);
  // Ascending by anchor: the main ruleset is the first, if there is one.
  for (const SnapshotRuleset& ruleset : snapshot_.rulesets) {
    absl::StatusOr<Policy> parsed = ParsedRuleset(ruleset, dialect);
    if (!parsed.ok()) return parsed.status();
    if (ruleset.anchor.empty()) {
      policy = std::move(*parsed);
    } else {
      policy.main.FindOrCreate(ruleset.anchor).rules =
          std::move(parsed->main.rules);
    }
  }
  for (const SnapshotTable& table : snapshot_.tables) {
    if ((table.flags & kSnapshotTableActive) == 0) continue;
    policy.main.FindOrCreate(table.anchor)
        .tables.push_back(DefinitionOf(table));
  }
  return policy;
}

void StateImporter::FindRules() {
  RuleSlots& rules = target_.store->rule_slots();
  if (!options_.policy) {
    for (const RuleStatus& rule : PolicyListing(*target_.store).AllRules()) {
      const auto info = rules.Info(rule.rule.slot);
      // The first of equal ones.
      if (info.ok()) slots_.emplace(RuleIdOf(info->identity), rule.rule.slot);
    }
    return;
  }
  // Those of a policy that is not published yet are in no listing, but their
  // slots are taken.
  std::unordered_map<RuleId, uint32_t> wanted;
  for (const SnapshotRuleset& ruleset : snapshot_.rulesets) {
    for (const SnapshotRule& rule : ruleset.rules) wanted[rule.id] = 0;
  }
  std::map<std::pair<RuleId, uint32_t>, uint32_t> counted;
  const uint32_t end = rules.end();
  for (uint32_t slot = kDefaultRuleSlot + 1; slot < end; ++slot) {
    const auto info = rules.Info(slot);
    if (!info.ok()) continue;
    const RuleId id = RuleIdOf(info->identity);
    if (!wanted.contains(id)) continue;
    if (info->occurrence == 0) slots_.emplace(id, slot);
    counted.emplace(std::pair(id, info->occurrence), slot);
  }
  for (const SnapshotRuleCounters& counters : snapshot_.rule_counters) {
    const auto slot = counted.find({counters.rule, counters.occurrence});
    if (slot == counted.end()) continue;
    rule_counters_.push_back(
        {slot->second, RuleCounts{.evaluations = counters.evaluations,
                                  .packets = counters.packets,
                                  .bytes = counters.bytes,
                                  .states_created = counters.states_created}});
    if (counters.packet_rate == 0 && !counters.expired) continue;
    rule_lives_.push_back({.slot = slot->second,
                           .packet_rate = counters.packet_rate,
                           .expired = counters.expired});
  }
  for (const SnapshotTableCounters& counters : snapshot_.table_counters) {
    TableCounter& made = table_counters_.emplace_back();
    made.key = {.anchor = counters.anchor, .name = counters.name};
    made.cleared_at = counters.cleared_at;
    made.counts.match = counters.match;
    made.counts.no_match = counters.no_match;
    for (size_t i = 0; i < 4; ++i) {
      made.counts.packets[i / 2][i % 2] = counters.packets[i];
      made.counts.bytes[i / 2][i % 2] = counters.bytes[i];
    }
  }
}

absl::Status StateImporter::InternTags() {
  TagRegistry& tags = target_.store->tags();
  const auto intern = [&tags](const SnapshotBinding& binding) {
    if (binding.tag.empty() || tags.Find(binding.tag) != kNoTag) {
      return absl::OkStatus();
    }
    return tags.Intern(binding.tag).status();
  };
  for (const auto* states : {&snapshot_.parents, &snapshot_.children}) {
    for (const SnapshotState& state : *states) {
      if (absl::Status s = intern(state.binding); !s.ok()) return s;
    }
  }
  for (const SnapshotExpectation& expectation : snapshot_.expectations) {
    if (absl::Status s = intern(expectation.binding); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::Status StateImporter::KeepOrphanRules() {
  if (options_.orphans != OrphanPolicy::kKeep) return absl::OkStatus();
  std::vector<RuleSlotRequest> requests;
  std::unordered_map<RuleId, uint32_t> orphans;
  const auto add = [&](const SnapshotBinding& binding) {
    if (binding.rule == 0 || slots_.contains(binding.rule) ||
        !orphans.emplace(binding.rule, 0).second) {
      return;
    }
    RuleSlotRequest& request = requests.emplace_back();
    request.orphan = true;
    // How many they may be is not said; they are counted for when it is.
    if ((binding.flags & kSnapshotStateRuleLimit) != 0) {
      request.max_states = std::numeric_limits<uint32_t>::max();
    }
    request.identity = absl::StrCat(absl::Hex(binding.rule, absl::kZeroPad16));
    for (const SnapshotTimeout& timeout : binding.timeouts) {
      request.timeouts[timeout.timeout] = timeout.value;
    }
  };
  for (const auto* states : {&snapshot_.parents, &snapshot_.children}) {
    for (const SnapshotState& state : *states) add(state.binding);
  }
  for (const SnapshotExpectation& expectation : snapshot_.expectations) {
    add(expectation.binding);
  }
  if (requests.empty()) return absl::OkStatus();
  absl::StatusOr<RuleSlotLease> lease =
      target_.store->rule_slots().Acquire(requests);
  if (!lease.ok()) return lease.status();
  orphan_rules_ = *std::move(lease);
  size_t i = 0;
  for (const RuleSlotRequest& request : requests) {
    orphan_slots_.emplace(RuleIdOf(request.identity),
                          orphan_rules_.slots()[i++]);
  }
  return absl::OkStatus();
}

absl::Status StateImporter::StageRunTimeTables() {
  std::vector<TableAddition> additions;
  for (const SnapshotTable& table : snapshot_.tables) {
    if ((table.flags & kSnapshotTableActive) == 0) continue;
    TableDefinition definition = DefinitionOf(table);
    if (definition.run_time_entries.empty()) continue;
    additions.push_back({.key = {.anchor = table.anchor, .name = table.name},
                         .entries = std::move(definition.run_time_entries)});
  }
  if (additions.empty()) return absl::OkStatus();
  absl::StatusOr<StagedAdditions> staged =
      StageAdditions(*target_.store, additions);
  if (!staged.ok()) return staged.status();
  report_.tables = staged->tables;
  additions_ = std::move(staged->generation);
  return absl::OkStatus();
}

absl::Status StateImporter::PublishPolicy() {
  if (additions_.next != nullptr) {
    return target_.store->Publish(
        std::exchange(additions_, StagedGeneration()));
  }
  if (!ticket_.has_value()) return absl::OkStatus();
  const absl::Status status = target_.store->Commit(*ticket_);
  // Committed or not, the ticket has ended.
  ticket_.reset();
  if (!status.ok()) return status;
  for (const auto& [slot, counts] : rule_counters_) {
    target_.store->rule_slots().Raise(slot, counts);
  }
  if (!rule_lives_.empty()) {
    std::unordered_map<uint32_t, const CompiledRule*> rules;
    const std::shared_ptr<const Generation> generation =
        target_.store->generation();
    for (const CompiledRule& rule : generation->rules()) {
      rules[rule.slot] = &rule;
    }
    for (const RuleLife& life : rule_lives_) {
      const auto rule = rules.find(life.slot);
      if (rule == rules.end() || !life.expired || rule->second->once == 0) {
        continue;
      }
      static_cast<void>(rule->second->record->EndLife(rule->second->once));
    }
  }
  for (const TableCounter& table : table_counters_) {
    RaiseTable(*target_.store, table.key, table.counts, table.cleared_at);
  }
  return absl::OkStatus();
}

}  // namespace sluice
