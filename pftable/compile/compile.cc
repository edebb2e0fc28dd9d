#include "pftable/compile/compile.h"

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "pftable/classify/classifier.h"
#include "pftable/engine/limiters.h"
#include "pftable/compile/call_checker.h"
#include "pftable/compile/compile_ether.h"
#include "pftable/compile/compile_rule.h"
#include "pftable/policy/source_lines.h"
#include "pftable/policy/stable_hash.h"
#include "pftable/print/printer.h"

namespace sluice {
namespace {

constexpr size_t kMaxMessages = 100;

// The message as the parser's are: place, line and caret around it.
absl::Status AtPlace(const Policy& policy, const SourcePlace& place,
                     const absl::Status& status) {
  if (place.line == 0 || place.file >= policy.files.size()) return status;
  Diagnostic d;
  d.file = policy.files[place.file];
  d.line = place.line;
  d.column = place.column;
  d.message = std::string(status.message());
  if (policy.texts != nullptr && place.file < policy.texts->size()) {
    d.source_line =
        SourceLines((*policy.texts)[place.file]).Line(place.line);
  }
  const std::string text = FormatDiagnostic(d);
  return absl::Status(status.code(), absl::StripSuffix(text, "\n"));
}

uint64_t HashOptions(const Options& o) {
  uint64_t hash = HashText("options");
  for (const uint32_t value : o.timeouts) hash = CombineHash(hash, value);
  for (const uint32_t value : o.limits) hash = CombineHash(hash, value);
  hash = CombineHash(hash, static_cast<uint64_t>(o.dialect));
  hash = CombineHash(hash, static_cast<uint64_t>(o.fail_policy));
  hash = CombineHash(hash, static_cast<uint64_t>(o.reassemble));
  for (const Options::Given& given : o.given) {
    hash = CombineHash(hash, HashText(given.text));
  }
  for (const InterfaceMatch& skip : o.skip) {
    hash = CombineHash(hash, HashText(skip.name) + skip.negated);
  }
  return hash;
}

class PolicyCompiler {
 public:
  PolicyCompiler(std::shared_ptr<const Policy> source,
                 const CompileContext& context)
      : source_(std::move(source)),
        context_(context),
        result_(std::make_shared<CompiledPolicy>()),
        rules_(context_, result_.get()) {}

  absl::StatusOr<std::shared_ptr<const CompiledPolicy>> Run() {
    result_->source = source_;
    result_->interfaces = context_.interfaces->Hold();
    result_->tags = context_.tags->Hold();
    result_->interface_version = result_->interfaces->version;
    std::vector<Diagnostic> unenforced =
        UnenforcedConstructs(*source_, kEngineCapabilities, kMaxMessages);
    std::erase_if(unenforced, [](const Diagnostic& d) {
      return d.severity == Severity::kWarning;
    });
    if (!unenforced.empty()) {
      const std::string text = FormatDiagnostics(unenforced);
      return absl::InvalidArgumentError(absl::StripSuffix(text, "\n"));
    }
    result_->not_carried_out = NotCarriedOut(*source_, kEngineCapabilities);
    CollectRulesets(source_->main, "");
    if (absl::Status s = CheckLimits(); !s.ok()) return s;
    if (absl::Status s = CollectLimiters(); !s.ok()) return s;
    if (absl::Status s = CompileRules(); !s.ok()) return s;
    if (absl::Status s = LinkCalls(); !s.ok()) return s;
    if (absl::Status s = AcquireSlots(); !s.ok()) return s;
    CompileOptions();
    result_->pool_cursors =
        std::make_unique<std::atomic<uint64_t>[]>(result_->pools.size());
    DefineTables();
    if (context_.classifier) {
      const auto build = [&] {
        return Classifier::Build(*result_, context_.interfaces->Views());
      };
      result_->classifier =
          context_.pool != nullptr
              ? context_.pool->Share(source_, result_->interface_version, build)
              : build();
    }
    return std::shared_ptr<const CompiledPolicy>(std::move(result_));
  }

 private:
  struct Named {
    std::string path;
    const Anchor* anchor;
  };

  void CollectRulesets(const Anchor& anchor, const std::string& path) {
    indexes_[&anchor] = static_cast<uint32_t>(anchors_.size());
    anchors_.push_back({path, &anchor});
    for (const Anchor& child : anchor.children) {
      CollectRulesets(child, path.empty() ? child.name
                                          : absl::StrCat(path, "/",
                                                         child.name));
    }
  }

  absl::Status CollectLimiters() {
    for (const ForeignDefinition& foreign : source_->foreign) {
      if (!foreign.limiter.has_value()) continue;
      const LimiterDefinition& made = *foreign.limiter;
      if (made.rate.count > kMaxLimiterRate) {
        return AtPlace(*source_, foreign.place,
                       absl::InvalidArgumentError(absl::StrCat(
                           foreign.kind, " \"", made.name, "\": a rate of ",
                           made.rate.count, " is above ", kMaxLimiterRate,
                           ": give both numbers of it smaller")));
      }
      for (const LimiterDefinition& other : result_->limiters) {
        if (other.by_source != made.by_source) continue;
        const bool name = other.name == made.name;
        if (!name && other.id != made.id) continue;
        return AtPlace(
            *source_, foreign.place,
            absl::InvalidArgumentError(absl::StrCat(
                foreign.kind, " \"", made.name, "\": ",
                name ? "defined twice"
                     : absl::StrCat("id ", made.id, " is that of \"",
                                    other.name, "\""))));
      }
      result_->limiters.push_back(made);
      result_->hash = CombineHash(result_->hash, HashText(foreign.text));
    }
    return absl::OkStatus();
  }

  absl::Status CheckLimits() const {
    const Options& options = source_->options;
    if (anchors_.size() - 1 > options.limit(Limit::kAnchors)) {
      return absl::ResourceExhaustedError(absl::StrCat(
          anchors_.size() - 1, " anchors, limit ",
          options.limit(Limit::kAnchors), " (set limit anchors)"));
    }
    const auto frames = std::count_if(
        anchors_.begin() + 1, anchors_.end(), [](const Named& named) {
          return !named.anchor->rules.ether.empty();
        });
    if (static_cast<uint64_t>(frames) >
        options.limit(Limit::kEthernetAnchors)) {
      return absl::ResourceExhaustedError(absl::StrCat(
          frames, " anchors with ether rules, limit ",
          options.limit(Limit::kEthernetAnchors), " (set limit eth-anchors)"));
    }
    size_t tables = 0;
    uint64_t entries = 0;
    for (const Named& named : anchors_) {
      tables += named.anchor->tables.size();
      for (const TableDefinition& table : named.anchor->tables) {
        entries += table.entries.size() + table.run_time_entries.size();
        if (entries > options.limit(Limit::kTableEntries)) {
          return AtPlace(
              *source_, table.place,
              absl::ResourceExhaustedError(absl::StrCat(
                  "table <", table.name, ">: more than ",
                  options.limit(Limit::kTableEntries),
                  " addresses in all tables (set limit table-entries)")));
        }
      }
    }
    if (tables > options.limit(Limit::kTables)) {
      return absl::ResourceExhaustedError(
          absl::StrCat(tables, " tables, limit ",
                       options.limit(Limit::kTables), " (set limit tables)"));
    }
    return absl::OkStatus();
  }

  absl::Status CompileRules() {
    size_t total = 0;
    bool translates = false;
    for (const Named& named : anchors_) {
      const Ruleset& rules = named.anchor->rules;
      const size_t translations =
          rules.nat.size() + rules.rdr.size() + rules.binat.size();
      translates |= translations != 0;
      total += rules.filter.size() + rules.scrub.size() +
               rules.ether.size() + translations;
      if (!rules.scrub.empty()) result_->has_scrub = true;
    }
    if (total >= context_.rule_slots->capacity()) {
      return absl::ResourceExhaustedError(absl::StrCat(
          total, " rules, room for ", context_.rule_slots->capacity() - 1,
          " ([memory] rule_slots)"));
    }
    result_->rules.reserve(total);
    result_->listed.reserve(total);
    requests_.reserve(total);
    result_->hash = HashOptions(source_->options);
    if (source_->fingerprints) {
      for (const Fingerprint& fingerprint : *source_->fingerprints) {
        result_->hash = CombineHash(result_->hash,
                                    HashText(PrintFingerprint(fingerprint)));
      }
    }
    for (const Named& named : anchors_) {
      if (absl::Status s = CompileRuleset(named, named.anchor->rules.filter,
                                          std::nullopt, &result_->rulesets);
          !s.ok()) {
        return s;
      }
    }
    if (translates) {
      if (absl::Status s = CompileTranslations(); !s.ok()) return s;
    }
    for (const Named& named : anchors_) {
      if (absl::Status s = CompileRuleset(named, named.anchor->rules.scrub,
                                          std::nullopt,
                                          &result_->scrub_rulesets,
                                          /*scrub=*/true);
          !s.ok()) {
        return s;
      }
    }
    return CompileEtherRules();
  }

  absl::Status CompileTranslations() {
    for (const TranslationKind kind :
         {TranslationKind::kNat, TranslationKind::kRdr,
          TranslationKind::kBinat}) {
      for (const Named& named : anchors_) {
        const Ruleset& rules = named.anchor->rules;
        const std::vector<Rule>& list =
            kind == TranslationKind::kNat   ? rules.nat
            : kind == TranslationKind::kRdr ? rules.rdr
                                            : rules.binat;
        if (absl::Status s = CompileRuleset(
                named, list, kind,
                &result_->translations[static_cast<size_t>(kind)]);
            !s.ok()) {
          return s;
        }
      }
    }
    return absl::OkStatus();
  }

  absl::Status CompileRuleset(const Named& named,
                              const std::vector<Rule>& rules,
                              std::optional<TranslationKind> translation,
                              std::vector<CompiledRuleset>* rulesets,
                              bool scrub = false) {
    CompiledRuleset ruleset;
    ruleset.begin = static_cast<uint32_t>(result_->rules.size());
    uint64_t hash = CombineHash(result_->hash, HashText(named.path));
    // Counts equal rules of this ruleset, by text that their requests have.
    std::unordered_map<std::string_view, uint32_t> occurrences;
    occurrences.reserve(rules.size());
    for (const Rule& rule : rules) {
      CompiledRule& compiled = result_->rules.emplace_back();
      if (absl::Status s = rules_.Compile(rule, named.path, &compiled);
          !s.ok()) {
        return AtPlace(*source_, rule.place, s);
      }
      compiled.number =
          static_cast<uint32_t>(result_->rules.size() - 1 - ruleset.begin);

      RuleSlotRequest& request = requests_.emplace_back();
      request.anchor = named.path;
      request.identity = RuleIdentity(rule, named.path);
      request.occurrence = occurrences[request.identity]++;
      request.labels = rule.labels;
      request.timeouts = RuleTimeouts(rule);
      request.max_states = rule.state_options.max_states;
      request.tracking = RuleTracking(rule);
      request.allow_related = rule.state_options.allow_related;
      request.packet_rate = rule.max_pkt_rate;
      request.pflow = rule.state_options.pflow;
      request.overload_table = rule.state_options.overload_table;
      hash = CombineHash(hash, HashText(request.identity));
      result_->listed.push_back(ListedRule{.anchor = named.path,
                                           .rule = &rule,
                                           .number = compiled.number,
                                           .scrub = scrub,
                                           .labels = rule.labels,
                                           .translation = translation});
    }
    ruleset.end = static_cast<uint32_t>(result_->rules.size());
    rulesets->push_back(ruleset);
    result_->hash = hash;
    return absl::OkStatus();
  }

  absl::Status CompileEtherRules() {
    EtherCompiler ether(*source_, &rules_, result_.get());
    for (const Named& named : anchors_) {
      const absl::Status added =
          ether.Add(named.path, *named.anchor, &requests_);
      if (!added.ok()) return AtPlace(*source_, ether.place(), added);
    }
    const absl::Status linked = ether.Link(indexes_);
    return linked.ok() ? linked : AtPlace(*source_, ether.place(), linked);
  }

  absl::Status LinkCalls() {
    for (size_t i = 0; i < result_->rules.size(); ++i) {
      const Rule& rule = *result_->listed[i].rule;
      if (!rule.IsAnchorCall()) continue;
      CompiledRule& compiled = result_->rules[i];
      compiled.is_call = true;
      compiled.call_begin = static_cast<uint32_t>(result_->calls.size());
      const Anchor* callee = source_->main.Find(rule.anchor_path);
      if (callee != nullptr && !rule.anchor_wildcard) {
        result_->calls.push_back(indexes_.at(callee));
      } else if (callee != nullptr) {
        for (const Anchor& child : callee->children) {
          result_->calls.push_back(indexes_.at(&child));
        }
      }
      compiled.call_end = static_cast<uint32_t>(result_->calls.size());
    }
    for (const std::vector<CompiledRuleset>* rulesets :
         {&result_->rulesets, &result_->scrub_rulesets,
          &result_->translations[0], &result_->translations[1],
          &result_->translations[2]}) {
      CallChecker checker(*rulesets, result_->rules, result_->calls);
      for (uint32_t i = 0; i < rulesets->size(); ++i) {
        uint32_t place = 0;
        if (absl::Status s = checker.Check(i, &place); !s.ok()) {
          return AtPlace(*source_, result_->listed[place].rule->place, s);
        }
      }
    }
    return absl::OkStatus();
  }

  absl::Status AcquireSlots() {
    absl::StatusOr<RuleSlotLease> lease =
        context_.rule_slots->Acquire(requests_);
    if (!lease.ok()) return lease.status();
    for (size_t i = 0; i < result_->rules.size(); ++i) {
      const uint32_t slot = lease->slots()[i];
      result_->rules[i].slot = slot;
      result_->rules[i].record = &context_.rule_slots->record(slot);
      result_->listed[i].slot = slot;
    }
    BeginLives();
    for (size_t i = 0; i < result_->ether.size(); ++i) {
      const uint32_t slot = lease->slots()[result_->rules.size() + i];
      result_->ether[i].slot = slot;
      result_->listed_ether[i].slot = slot;
    }
    result_->slots = *std::move(lease);
    return absl::OkStatus();
  }

  // Each rule with `once` may match once again, unless it is not loaded anew.
  void BeginLives() {
    std::unordered_map<uint32_t, uint32_t> lives;  // by slot, of those before
    if (context_.before != nullptr) {
      for (const CompiledRule& rule : context_.before->rules) {
        if (rule.once != 0) lives[rule.slot] = rule.once;
      }
    }
    uint32_t next = 0;
    for (size_t i = 0; i < result_->rules.size(); ++i) {
      const ListedRule& listed = result_->listed[i];
      if (!listed.rule->once) continue;
      CompiledRule& rule = result_->rules[i];
      const Anchor* const anchor = source_->main.Find(listed.anchor);
      const bool kept = context_.again || anchor->rules_in_force;
      const auto before = kept ? lives.find(rule.slot) : lives.end();
      if (before == lives.end() && next == 0) {
        next = context_.rule_slots->NextLife();
      }
      rule.once = before == lives.end() ? next : before->second;
    }
  }

  void CompileOptions() {
    const Options& options = source_->options;
    EngineOptions& engine = result_->options;
    engine.timeouts.values = options.timeouts;
    for (size_t i = 0; i < kLimitCount; ++i) {
      engine.limits[i] = options.limit(static_cast<Limit>(i));
    }
    engine.adaptive_by_room = options.adaptive_by_room;
    engine.fail_policy = options.fail_policy;
    engine.reassemble = options.reassemble;
    engine.syncookies = options.syncookies;
    engine.syncookies_start_percent = options.syncookies_start_percent;
    engine.syncookies_end_percent = options.syncookies_end_percent;
    engine.aborts_sctp = options.dialect == Dialect::kFreeBsd;
    engine.answers_icmp = options.dialect == Dialect::kOpenBsd;
    engine.checks_sctp = options.dialect == Dialect::kFreeBsd;
    engine.sctp_begins_with_init = options.dialect == Dialect::kFreeBsd;
    engine.counts_stateless_matches = options.dialect == Dialect::kFreeBsd;
    engine.follows_sctp = options.dialect == Dialect::kFreeBsd;
    engine.if_bound_states = options.state_policy_if_bound;
    engine.pairs_neighbors = options.dialect == Dialect::kFreeBsd;
    engine.helpers = options.helpers;
    engine.drops_unfragmentable = options.dialect == Dialect::kOpenBsd;
    engine.routing_is_option = options.dialect == Dialect::kOpenBsd;
    for (const InterfaceMatch& skip : options.skip) {
      if (skip.IsSet()) {
        result_->skip.push_back(rules_.CompileInterface(skip));
      }
    }
  }

  void DefineTables() {
    for (const Named& named : anchors_) {
      for (const TableDefinition& table : named.anchor->tables) {
        result_->defined_tables.push_back(CompiledPolicy::DefinedTable{
            .key = {.anchor = named.path, .name = table.name},
            .persist = table.persist,
            .is_const = table.is_const,
            .counters = table.counters,
            .has_contents = table.has_contents,
            .in_force = table.in_force,
            .contents =
                table.in_force ? AddressTable() : ContentsOf(table),
            .counted = nullptr,
            .counted_before = nullptr});
        PrepareCounters(result_->defined_tables.back());
        for (const TableEntry& entry : table.entries) {
          if (entry.weight != 0) {
            result_->table_weights[result_->defined_tables.back().key]
                                  [entry.prefix] = entry.weight;
          }
        }
      }
    }
  }

  void PrepareCounters(CompiledPolicy::DefinedTable& table) const {
    if (!table.counters || !table.has_contents || table.in_force) return;
    const GenerationTable* const old =
        context_.in_force != nullptr ? context_.in_force->FindTable(table.key)
                                     : nullptr;
    if (old != nullptr && old->entries != nullptr) {
      if (old->contents == table.contents) return;  // they stay
      table.counted_before = old->entries;
    }
    table.counted =
        EntryCounters::Make(table.contents, context_.table_slots->workers(),
                            table.counted_before.get());
  }

  AddressTable ContentsOf(const TableDefinition& table) const {
    std::span<const TableEntry> entries = table.entries;
    std::vector<TableEntry> all;
    if (!table.run_time_entries.empty()) {
      all = table.entries;
      all.insert(all.end(), table.run_time_entries.begin(),
                 table.run_time_entries.end());
      entries = all;
    }
    return context_.pool != nullptr ? context_.pool->Build(entries)
                                    : BuildTable(entries);
  }

  const std::shared_ptr<const Policy> source_;
  const CompileContext context_;
  std::shared_ptr<CompiledPolicy> result_;
  RuleCompiler rules_;
  std::vector<Named> anchors_;  // as CompiledPolicy::rulesets
  std::unordered_map<const Anchor*, uint32_t> indexes_;
  std::vector<RuleSlotRequest> requests_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const CompiledPolicy>> CompilePolicy(
    std::shared_ptr<const Policy> policy, const CompileContext& context) {
  return PolicyCompiler(std::move(policy), context).Run();
}

absl::StatusOr<std::unique_ptr<Generation>> Compile(
    const Policy& policy, const Generation* base,
    const CompileContext& context) {
  absl::StatusOr<std::shared_ptr<const CompiledPolicy>> compiled =
      CompilePolicy(std::make_shared<const Policy>(policy), context);
  if (!compiled.ok()) return compiled.status();
  return MakeGeneration(*std::move(compiled), base, *context.table_slots,
                        *context.interfaces);
}

}  // namespace sluice
