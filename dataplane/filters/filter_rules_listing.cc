// What is listed of a running filter's rules, and what logs say of them.
#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/filters/filter_rules.h"
#include "pftable/print/printer.h"

namespace sluice {
namespace {

void CollectAnchors(const Anchor& anchor, const std::string& path, bool below,
                    std::set<std::string>* paths) {
  for (const Anchor& child : anchor.children) {
    const std::string at = path.empty() ? child.name
                                        : absl::StrCat(path, "/", child.name);
    // Of one that has had no more than tables, these say whether it is there.
    const bool tables_only = !child.tables.empty() && child.children.empty() &&
                             child.rules == Ruleset();
    if (!tables_only) paths->insert(at);
    if (below) CollectAnchors(child, at, below, paths);
  }
}

bool IsUnnamedCall(std::string_view call) {
  const size_t slash = call.rfind('/');
  return call.substr(slash == call.npos ? 0 : slash + 1).starts_with('_');
}

// How many addresses a table, or an interface in brackets, has; none: there is
// none.
std::optional<uint64_t> MembersOf(const Generation& generation,
                                  const RuleStatus& status,
                                  const AddressMatch& match) {
  if (match.kind == AddressKind::kTable) {
    for (const std::string& anchor : {status.rule.anchor, std::string()}) {
      const GenerationTable* const table =
          generation.FindTable({.anchor = anchor, .name = match.name});
      if (table != nullptr && table->active) return table->contents.size();
    }
    return std::nullopt;
  }
  const CompiledPolicy& policy = *generation.policy;
  if (status.index >= policy.rules.size()) return std::nullopt;
  const CompiledRule& rule = policy.rules[status.index];
  const AddressCondition& condition =
      &match == &status.rule.rule->destination.address ? rule.destination
                                                       : rule.source;
  if (condition.kind != AddressCondition::Kind::kList) return std::nullopt;
  uint64_t members = 0;
  for (const Prefix& prefix : generation.addresses[condition.index]) {
    const Family family = prefix.address.family;
    if (rule.family == Family::kNone || rule.family == family) ++members;
  }
  if (members == 0) return std::nullopt;
  return members;
}

// Those of layer 2, all at once: there are few.
absl::StatusOr<RuleSlice> ListEtherRules(const PolicyStore& store,
                                         const RuleQuery& query) {
  const PolicyListing listing(store);
  if (listing.policy()->main.Find(query.anchor) == nullptr) {
    return absl::NotFoundError(
        absl::StrCat("anchor \"", query.anchor, "\" does not exist"));
  }
  RuleSlice slice;
  slice.generation = listing.generation().number;
  const PrintOptions print = {.dialect = listing.policy()->options.dialect};
  for (const ListedEtherRule& listed :
       listing.generation().policy->listed_ether) {
    const EtherRule& rule = *listed.rule;
    if (listed.anchor != query.anchor ||
        (!query.interface.empty() && rule.on.IsSet() &&
         rule.on.name != query.interface)) {
      continue;
    }
    const RuleCounts counts = store.rule_slots().Counts(listed.slot);
    slice.rules.push_back(
        {.number = listed.number,
         .text = PrintEtherRule(rule, print),
         .labels = rule.labels,
         .counters = {.evaluations = counts.evaluations,
                      .packets = counts.packets,
                      .bytes = counts.bytes},
         .calls = rule.anchor_path,
         .calls_below = rule.anchor_wildcard,
         .calls_unnamed = IsUnnamedCall(rule.anchor_call)});
  }
  return slice;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> FilterRules::ListAnchors(
    const std::string& anchor, bool below) {
  const PolicyListing listing(core_->store);
  const Anchor* const top = listing.policy()->main.Find(anchor);
  std::set<std::string> paths;
  if (top != nullptr) CollectAnchors(*top, anchor, below, &paths);
  // Those that have no more than a table.
  bool known = top != nullptr;
  for (const GenerationTable& table : listing.generation().table_states) {
    if (!table.active) continue;
    std::string_view path = table.key.anchor;
    known = known || path == anchor;
    if (!anchor.empty()) {
      if (!path.starts_with(anchor) || path.size() <= anchor.size() ||
          path[anchor.size()] != '/') {
        continue;
      }
      known = true;
    } else if (path.empty()) {
      continue;
    }
    const size_t start = anchor.empty() ? 0 : anchor.size() + 1;
    for (size_t slash = path.find('/', start);;
         slash = path.find('/', slash + 1)) {
      paths.emplace(path.substr(0, slash));
      if (!below || slash == path.npos) break;
    }
  }
  if (!known) {
    return absl::NotFoundError(
        absl::StrCat("anchor \"", anchor, "\" does not exist"));
  }
  return std::vector<std::string>(paths.begin(), paths.end());
}

absl::StatusOr<RuleSlice> FilterRules::ListRules(const RuleQuery& query,
                                                const std::string& cursor,
                                                size_t limit) {
  if (query.ether) {
    absl::StatusOr<RuleSlice> slice = ListEtherRules(core_->store, query);
    if (slice.ok()) {
      slice->uid = loader_uid_;
      slice->pid = loader_pid_;
    }
    return slice;
  }
  const PolicyListing listing(core_->store);
  const uint64_t generation = listing.generation().number;
  size_t begin = 0;
  if (cursor.empty()) {
    absl::StatusOr<std::vector<RuleStatus>> rules =
        query.translation ? listing.TranslationRules(query.anchor)
                          : listing.Rules(query.anchor);
    if (!rules.ok()) return rules.status();
    rule_cache_ = {.generation = generation,
                   .anchor = query.anchor,
                   .translation = query.translation,
                   .policy = listing.policy(),
                   .rules = *std::move(rules)};
  } else {
    uint64_t of = 0;
    const char* const end = cursor.data() + cursor.size();
    auto [middle, error] = std::from_chars(cursor.data(), end, of);
    if (error != std::errc() || middle == end || *middle != ':' ||
        std::from_chars(middle + 1, end, begin).ptr != end) {
      return absl::InvalidArgumentError("not a cursor of this filter");
    }
    if (of != generation || !rule_cache_ ||
        rule_cache_->generation != generation ||
        rule_cache_->anchor != query.anchor ||
        rule_cache_->translation != query.translation) {
      return absl::AbortedError(
          "the rules have changed since the listing began");
    }
  }
  const std::shared_ptr<const HostFacts> facts =
      core_->environment.ports->facts();
  PrintOptions print = {.dialect = rule_cache_->policy->options.dialect,
                        .facts = facts.get(),
                        .flip_port_names = query.flip_port_names,
                        .as_pfctl = true};
  const RuleStatus* printed = nullptr;
  if (query.members) {
    print.members = [&](const AddressMatch& match) {
      return MembersOf(listing.generation(), *printed, match);
    };
  }
  RuleSlice slice;
  slice.generation = generation;
  slice.uid = loader_uid_;
  slice.pid = loader_pid_;
  const std::vector<RuleStatus>& rules = rule_cache_->rules;
  size_t i = std::min(begin, rules.size());
  for (; i < rules.size() && slice.rules.size() < limit; ++i) {
    const RuleStatus& status = rules[i];
    const Rule& rule = *status.rule.rule;
    printed = &status;
    if (!query.interface.empty() && rule.on.IsSet() &&
        rule.on.name != query.interface) {
      continue;
    }
    slice.rules.push_back(
        {.number = status.rule.number,
         .text = PrintRule(rule, print),
         .labels = status.rule.labels,
         .counters = {.evaluations = status.counts.evaluations,
                      .packets = status.counts.packets,
                      .bytes = status.counts.bytes,
                      .states = status.counts.states,
                      .state_creations = status.counts.states_created,
                      .state_mismatches = status.counts.mismatches},
         .calls = rule.anchor_path,
         .calls_below = rule.anchor_wildcard,
         .calls_unnamed = IsUnnamedCall(rule.anchor_call),
         .expired = status.expired});
  }
  if (i < rules.size()) slice.next = absl::StrCat(generation, ":", i);
  return slice;
}

absl::StatusOr<SystemSlice> FilterRules::ListSystems(const std::string& cursor,
                                                     size_t limit) {
  const std::shared_ptr<const Generation> generation =
      core_->store.generation();
  uint64_t of = generation->number;
  size_t begin = 0;
  if (!cursor.empty()) {
    const char* const end = cursor.data() + cursor.size();
    const auto first = std::from_chars(cursor.data(), end, of);
    const bool more = first.ptr != end && *first.ptr == ':';
    if (!more || std::from_chars(first.ptr + 1, end, begin).ptr != end) {
      return absl::InvalidArgumentError("a cursor that none was given out as");
    }
    if (of != generation->number) {
      return absl::AbortedError("the policy has changed: list it again");
    }
  }
  const OsNames names(FingerprintsOf(*generation->policy->source));
  const std::vector<OsRow> rows = ListOsNames(names);
  SystemSlice slice;
  slice.fingerprints = names.entries().size();
  size_t i = std::min(begin, rows.size());
  for (; i < rows.size() && slice.systems.size() < limit; ++i) {
    slice.systems.push_back({.class_name = rows[i].class_name,
                             .version = rows[i].version,
                             .subtype = rows[i].subtype});
  }
  if (i < rows.size()) slice.next = absl::StrCat(of, ":", i);
  return slice;
}

uint8_t FilterRules::Describe(const LogRecord& record, PflogContext* context) {
  context->dialect = core_->store.policy()->options.dialect;
  context->loader_uid = loader_uid_;
  context->loader_pid = loader_pid_;
  context->rule = kNoPflogRule;
  context->subrule = kNoPflogRule;
  const RuleIndex::Entry* const rule =
      core_->rules_by_slot.Find(record.rule_slot);
  if (rule == nullptr) return 0;
  context->rule_identifier = rule->identifier;
  const RuleIndex::Entry* const taker =
      core_->rules_by_slot.Find(record.log_slot);
  const uint8_t pflog = taker != nullptr ? taker->pflog : rule->pflog;
  if (rule->anchor.empty()) {
    context->rule = rule->number;
    return pflog;
  }
  context->anchor = rule->anchor;
  context->subrule = rule->number;
  const RuleIndex::Entry* const call =
      core_->rules_by_slot.Find(record.anchor_slot);
  if (call != nullptr) context->rule = call->number;
  return pflog;
}

void FilterRules::Describe(const FlowRecord& record, SessionContext* context) {
  const RuleIndex::Entry* const rule =
      core_->rules_by_slot.Find(record.rule_slot);
  if (rule == nullptr) return;
  context->anchor = rule->anchor;
  context->rule = rule->number;
}

}  // namespace sluice
