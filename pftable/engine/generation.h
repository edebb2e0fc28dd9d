// One immutable, compiled version of a filter's policy. A packet is judged by
// exactly one.
//
// Workers read CompiledPolicy's first part and Generation::tables; the rest is
// for the control side. Generations that differ only in the contents of their
// tables share the CompiledPolicy.
#ifndef SLUICE_PFTABLE_ENGINE_GENERATION_H_
#define SLUICE_PFTABLE_ENGINE_GENERATION_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "pftable/engine/compiled_ether.h"
#include "pftable/engine/compiled_rule.h"
#include "pftable/engine/dynamic_addresses.h"
#include "pftable/engine/entry_counters.h"
#include "pftable/engine/fingerprint_table.h"
#include "pftable/engine/indexed_tables.h"
#include "pftable/engine/interface_registry.h"
#include "pftable/engine/pool.h"
#include "pftable/engine/rule_slots.h"
#include "pftable/engine/table_slots.h"
#include "pftable/policy/policy.h"
#include "pftable/policy/timeouts.h"
#include "pftable/tables/address_table.h"

namespace sluice {

class Classifier;

// Rules [begin, end) of CompiledPolicy::rules.
struct CompiledRuleset {
  uint32_t begin = 0;
  uint32_t end = 0;
};

// How deep calls of anchors may nest, as in OpenBSD.
inline constexpr uint32_t kMaxAnchorDepth = 64;

// FreeBSD's rulesets that are asked before the filter's; the first rule that
// matches decides.
enum class TranslationKind : uint8_t { kNat, kRdr, kBinat };
inline constexpr size_t kTranslationKinds = 3;

// What `set` decides for the packet path.
struct EngineOptions {
  TimeoutProfile timeouts;
  std::array<uint32_t, kLimitCount> limits{};
  BlockReturn fail_policy = BlockReturn::kDrop;
  Reassembly reassemble = Reassembly::kNo;
  Syncookies syncookies = Syncookies::kNever;
  // Adaptive: with more half open connections than this share of the limit of
  // states they begin, with fewer than that they end.
  uint8_t syncookies_start_percent = 25;
  uint8_t syncookies_end_percent = 12;
  // FreeBSD: a match rule counts for its tables without a state, too, and as
  // what was decided if that was to block.
  bool counts_stateless_matches = false;
  // FreeBSD: `block return` answers SCTP with an ABORT; else as other
  // protocols, with an ICMP error.
  bool aborts_sctp = false;
  // OpenBSD: `block return` answers ICMP, too, errors and redirects aside.
  bool answers_icmp = false;
  // FreeBSD: only an INIT makes the state of an SCTP association.
  bool sctp_begins_with_init = false;
  // FreeBSD: SCTP that no host would read is dropped (sctp_sound.h).
  bool checks_sctp = false;
  // FreeBSD: other addresses of an SCTP association have states, too.
  bool follows_sctp = false;
  // A neighbour advertisement belongs to the state of its solicitation.
  bool pairs_neighbors = false;
  bool helpers = true;  // `set helpers`
  // `set state-policy if-bound`, for states that no rule of the filter makes.
  bool if_bound_states = false;
  // OpenBSD: an IPv6 routing header needs `allow-opts`, too.
  bool routing_is_option = false;
  // OpenBSD: a fragment that says "do not fragment" is dropped, whether
  // fragments are put together or not, unless `no-df` takes it.
  bool drops_unfragmentable = false;

  // Adaptive timeouts follow the room for states.
  bool adaptive_by_room = false;

  uint32_t limit(Limit l) const { return limits[static_cast<size_t>(l)]; }
  // What they are where there is room for so many states.
  TimeoutProfile TimeoutsFor(uint32_t room) const {
    TimeoutProfile result = timeouts;
    if (adaptive_by_room) {
      result.values[static_cast<size_t>(Timeout::kAdaptiveStart)] =
          static_cast<uint32_t>(uint64_t{room} * 6 / 10);
      result.values[static_cast<size_t>(Timeout::kAdaptiveEnd)] =
          static_cast<uint32_t>(
              std::min<uint64_t>(uint64_t{room} * 12 / 10, UINT32_MAX));
    }
    return result;
  }
};

// A rule as listings want it.
struct ListedRule {
  std::string anchor;  // path of the ruleset that it is in
  // Into CompiledPolicy::source.
  const Rule* rule = nullptr;
  uint32_t number = 0;  // in its ruleset, from 0
  bool scrub = false;   // in the anchor's scrub rules
  uint32_t slot = 0;
  std::vector<std::string> labels;
  // Of the rulesets of an anchor: its filter's, or one of those before it.
  std::optional<TranslationKind> translation;
};

struct ListedEtherRule {
  std::string anchor;
  const EtherRule* rule = nullptr;
  uint32_t number = 0;
  uint32_t slot = 0;
};

struct CompiledPolicy {
  // Workers.
  std::vector<CompiledRule> rules;
  std::vector<CompiledRuleset> rulesets;  // the first is the main one
  // FreeBSD's translation rules, by TranslationKind and as `rulesets`; empty
  // if there are none at all.
  std::array<std::vector<CompiledRuleset>, kTranslationKinds> translations;
  std::vector<uint32_t> calls;            // indexes of rulesets
  // FreeBSD's scrub rules, by the same indexes; they stand behind all others
  // in `rules`.
  std::vector<CompiledRuleset> scrub_rulesets;
  bool has_scrub = false;
  // Of layer 2, as the three above; all empty if there are none.
  std::vector<CompiledEtherRule> ether;
  std::vector<CompiledRuleset> ether_rulesets;
  std::vector<uint32_t> ether_calls;
  std::vector<InterfaceCondition> skip;
  EngineOptions options;
  std::vector<CompiledPool> pools;
  // Of each pool, the next number of round-robin. Any worker.
  std::unique_ptr<std::atomic<uint64_t>[]> pool_cursors;
  // Null: no rule has `os`. A rule that has it is for SYNs of the groups whose
  // bits are in its set; sets have `os_words` words each.
  std::shared_ptr<const FingerprintTable> fingerprints;
  std::vector<uint64_t> os_sets;
  uint32_t os_words = 0;
  bool IsOfSystem(uint16_t os, FingerprintTable::Group group) const {
    return (os_sets[(os - 1u) * os_words + group / 64] >> (group % 64) & 1) !=
           0;
  }
  // Null: rules are walked one by one.
  std::shared_ptr<const Classifier> classifier;

  // Control side.
  std::shared_ptr<const Policy> source;
  RuleSlotLease slots;
  std::vector<ListedRule> listed;  // as `rules`
  std::vector<ListedEtherRule> listed_ether;  // as `ether`
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
    // As it is in the generation before, if it is there at all.
    bool in_force = false;
    AddressTable contents;
    // With `counters`, for a commit that takes `contents`, so that it need not
    // make them: they go on from `counted_before`, which was in force.
    std::shared_ptr<const EntryCounters> counted;
    std::shared_ptr<const EntryCounters> counted_before;
  };
  std::vector<DefinedTable> defined_tables;
  // Of tables whose text gives any; addresses that are not here weigh 1.
  std::map<TableKey, std::map<Prefix, uint16_t>> table_weights;
  // AddressCondition::index of kList counts these.
  std::vector<DynamicAddress> dynamic_addresses;
  std::vector<LimiterDefinition> limiters;
  // What of the text is not carried out, in words.
  std::vector<std::string> not_carried_out;
  uint64_t interface_version = 0;  // InterfaceRegistry::version()
  // The same: no number that the rules have becomes another name's meanwhile.
  std::shared_ptr<const Epoch> interfaces;
  std::shared_ptr<const Epoch> tags;
  uint64_t hash = 0;               // of rules and options
};

// A table as workers see it.
struct TableView {
  AddressTable::View addresses;
  uint16_t slot = kNoTableSlot;
  // Of rules' tables: in Generation::index; kNoBit: it is asked by itself.
  uint16_t bit = TableIndex::kNoBit;
  const EntryCounters* entries = nullptr;  // null: it has no `counters`
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
  // With `counters`: those of `contents`.
  std::shared_ptr<const EntryCounters> entries;
  TableHandlePtr handle;
};

struct Generation {
  // Workers: by AddressCondition::index.
  std::vector<TableView> tables;
  // All that are active, ascending by slot: of states whose rules are gone.
  std::vector<TableView> tables_by_slot;
  // What CompiledPolicy::dynamic_addresses stand for.
  AddressLists addresses;
  // Null: all tables are asked one by one.
  std::shared_ptr<const IndexedTables> index;
  // By number of a pool: what it has to give out.
  std::vector<PoolSpaces> pools;
  // Never null.
  std::shared_ptr<const CompiledPolicy> policy;
  // Since when it is in force, and what was so before, which is good for who
  // has read an earlier epoch (PolicyStore::At()). Fixed when it is published.
  uint64_t epoch = 0;
  const Generation* before = nullptr;

  // Control side. The first are those that rules name, in the order of
  // CompiledPolicy::referenced_tables; then the others, ascending by key.
  std::vector<GenerationTable> table_states;
  // Of `addresses`: InterfaceRegistry::address_version().
  uint64_t address_version = 0;
  uint64_t number = 0;
  uint64_t hash = 0;  // of rules, options and tables
  bool wants_index = false;  // BindIndex()

  const std::vector<CompiledRule>& rules() const { return policy->rules; }
  const EngineOptions& options() const { return policy->options; }
  // `set skip on`: nothing at all is done on that interface.
  bool Skips(InterfaceView port) const {
    for (const InterfaceCondition& condition : policy->skip) {
      if (condition.Matches(port)) return true;
    }
    return false;
  }
  // Workers. Null: there is no such table, or it is not active.
  const TableView* TableOfSlot(uint16_t slot) const;
  // Null if there is none.
  const GenerationTable* FindTable(const TableKey& key) const;
  // What a name of CompiledPolicy::referenced_tables stands for: an anchor's
  // own table before the main one; null if neither is active.
  const GenerationTable* Resolve(size_t referenced) const;
};

// The generation after `base` (null: there is none) under `compiled`: the
// tables that it defines or names, and those of `base` that live on. Limits
// are checked before anything is made: the number of tables, and the entries
// of all tables, those that are replaced counted with those that replace them.
// What was in force before and `comes_back` has passed the latter already: the
// way back must not depend on what has been added since.
absl::StatusOr<std::unique_ptr<Generation>> MakeGeneration(
    std::shared_ptr<const CompiledPolicy> compiled, const Generation* base,
    TableSlots& table_slots, const InterfaceRegistry& interfaces,
    bool comes_back = false);

// What dynamic addresses stand for now; before FinishGeneration().
void TakeAddresses(Generation& generation,
                   const InterfaceRegistry& interfaces);

// Rules that name the table. A rule of an anchor counts for the main table of
// that name too, which it falls back to.
uint32_t CountReferences(const CompiledPolicy& compiled, const TableKey& key);

// Sorts the tables, resolves names to them (an anchor's own table before the
// main one), fills Generation::tables and the hash, and lets tables with
// `counters` go on counting. For what edits tables;
// MakeGeneration() has done it.
void FinishGeneration(Generation& generation);

// Tells the rules' records which tables count for them. When the generation
// is published, not before: records are shared with the one in force, which is
// `before`, if there is any. Takes no memory.
void BindRecords(const Generation& generation, const Generation* before,
                 RuleSlots& rule_slots);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_ENGINE_GENERATION_H_
