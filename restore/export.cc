#include "restore/export.h"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "absl/status/statusor.h"
#include "pftable/policy/no_memory.h"
#include "pftable/print/printer.h"
#include "pftable/store/policy_listing.h"
#include "restore/snapshot_check.h"
#include "restore/state_flags.h"

namespace sluice {
namespace {

uint16_t FlagsOf(const TableStatus& table) {
  return static_cast<uint16_t>(
      (table.persist ? kSnapshotTablePersist : 0) |
      (table.is_const ? kSnapshotTableConst : 0) |
      (table.counters ? kSnapshotTableCounters : 0) |
      (table.active ? kSnapshotTableActive : 0));
}

// The entries that the loaded text lists, ascending, of tables that the tool
// may have changed.
std::vector<Prefix> LoadedEntries(const Policy& policy, const TableKey& key) {
  std::vector<Prefix> loaded;
  const Anchor* anchor = policy.main.Find(key.anchor);
  if (anchor == nullptr) return loaded;
  for (const TableDefinition& table : anchor->tables) {
    if (table.name != key.name) continue;
    loaded.reserve(table.entries.size());
    for (const TableEntry& entry : table.entries) {
      loaded.push_back(entry.prefix);
    }
  }
  std::sort(loaded.begin(), loaded.end());
  return loaded;
}

absl::Status ExportTables(PolicyStore* store, Snapshot* snapshot) {
  const std::shared_ptr<const Policy> policy = store->policy();
  for (const TableStatus& status : PolicyListing(*store).Tables()) {
    SnapshotTable table = {.anchor = status.key.anchor,
                           .name = status.key.name,
                           .flags = FlagsOf(status),
                           .entries = {}};
    if (status.active) {
      const auto entries = PolicyListing(*store).Addresses(status.key);
      if (!entries.ok()) return entries.status();
      const std::vector<Prefix> loaded = LoadedEntries(*policy, status.key);
      table.entries.reserve(entries->size());
      for (const TableEntry& entry : *entries) {
        const bool run_time =
            !std::binary_search(loaded.begin(), loaded.end(), entry.prefix);
        table.entries.push_back(
            {.prefix = entry.prefix,
             .flags = static_cast<uint8_t>(
                 (entry.negated ? kSnapshotEntryNegated : 0) |
                 (run_time ? kSnapshotEntryRunTime : 0)),
             .weight = entry.weight});
      }
      std::sort(table.entries.begin(), table.entries.end(),
                [](const auto& a, const auto& b) {
                  return a.prefix < b.prefix;
                });
    }
    snapshot->tables.push_back(std::move(table));
    SnapshotTableCounters counters = {.anchor = status.key.anchor,
                                      .name = status.key.name,
                                      .match = status.counts.match,
                                      .no_match = status.counts.no_match,
                                      .cleared_at = status.cleared_at};
    for (size_t i = 0; i < 4; ++i) {
      counters.packets[i] = status.counts.packets[i / 2][i % 2];
      counters.bytes[i] = status.counts.bytes[i / 2][i % 2];
    }
    snapshot->table_counters.push_back(std::move(counters));
  }
  const auto by_key = [](const auto& a, const auto& b) {
    return std::tie(a.anchor, a.name) < std::tie(b.anchor, b.name);
  };
  std::sort(snapshot->tables.begin(), snapshot->tables.end(), by_key);
  std::sort(snapshot->table_counters.begin(), snapshot->table_counters.end(),
            by_key);
  return absl::OkStatus();
}

using Rulesets = std::map<std::string, SnapshotRuleset>;

// The rules of an anchor that are not pass, block, match or calls of them, and
// those of the anchors below it.
void AddOtherRules(const Anchor& anchor, const std::string& path,
                   const PrintOptions& print, Rulesets& rulesets) {
  const auto add = [&](SnapshotRuleKind kind, std::string_view identity,
                       std::string text) {
    rulesets[path].rules.push_back({kind, RuleIdOf(identity), std::move(text)});
  };
  for (const auto& [kind, rules] : OtherRules(anchor.rules)) {
    for (const Rule& rule : *rules) {
      add(kind, RuleIdentity(rule, path), PrintRule(rule, print));
    }
  }
  for (const EtherRule& rule : anchor.rules.ether) {
    add(SnapshotRuleKind::kEther, RuleIdentity(rule, path),
        PrintEtherRule(rule, print));
  }
  for (const Anchor& child : anchor.children) {
    AddOtherRules(child,
                  path.empty() ? child.name
                               : absl::StrCat(path, "/", child.name),
                  print, rulesets);
  }
}

absl::Status ExportRules(PolicyStore* store, Tick now, Snapshot* snapshot) {
  Rulesets rulesets;
  rulesets[""];
  // Listed rules point into it.
  const std::shared_ptr<const Policy> policy = store->policy();
  const PrintOptions print = SnapshotPrintOptions(policy->options.dialect);
  const auto count = [&](const RuleSlotInfo& info, const RuleCounts& counts,
                         uint32_t packet_rate = 0, bool expired = false) {
    snapshot->rule_counters.push_back({.rule = RuleIdOf(info.identity),
                                       .occurrence = info.occurrence,
                                       .evaluations = counts.evaluations,
                                       .packets = counts.packets,
                                       .bytes = counts.bytes,
                                       .states_created =
                                           counts.states_created,
                                       .packet_rate = packet_rate,
                                       .expired = expired});
  };
  const PolicyListing listing(*store);
  for (const RuleStatus& status : listing.AllRules()) {
    const absl::StatusOr<RuleSlotInfo> info =
        store->rule_slots().Info(status.rule.slot);
    if (!info.ok()) return info.status();
    const CompiledRule& compiled =
        listing.generation().rules()[status.index];
    count(*info, status.counts,
          compiled.rated ? compiled.record->packets.Value(
                               compiled.record->packet_rate, now)
                         : 0,
          compiled.expired());
    // Those are among the others below.
    if (status.rule.translation.has_value() || status.rule.scrub) continue;
    // Rules come in order of evaluation within their anchor.
    rulesets[status.rule.anchor].rules.push_back(
        {SnapshotRuleKind::kFilter, RuleIdOf(info->identity),
         PrintRule(*status.rule.rule, print)});
  }
  for (const ListedEtherRule& rule :
       listing.generation().policy->listed_ether) {
    const absl::StatusOr<RuleSlotInfo> info =
        store->rule_slots().Info(rule.slot);
    if (!info.ok()) return info.status();
    count(*info, store->rule_slots().Counts(rule.slot));
  }
  AddOtherRules(policy->main, "", print, rulesets);
  for (const Options::Given& given : policy->options.given) {
    rulesets[""].options.push_back(given.text);
  }
  for (const ForeignDefinition& foreign : policy->foreign) {
    if (foreign.limiter.has_value()) {
      rulesets[""].options.push_back(foreign.text);
    }
  }
  if (policy->fingerprints) {
    for (const Fingerprint& fingerprint : *policy->fingerprints) {
      rulesets[""].options.push_back(
          FingerprintOption(fingerprint));
    }
  }
  for (auto& [anchor, ruleset] : rulesets) {
    ruleset.anchor = anchor;
    snapshot->rulesets.push_back(std::move(ruleset));
  }
  std::sort(snapshot->rule_counters.begin(), snapshot->rule_counters.end(),
            [](const auto& a, const auto& b) {
              return std::tie(a.rule, a.occurrence) <
                     std::tie(b.rule, b.occurrence);
            });
  return absl::OkStatus();
}

void ExportLimits(const Options& options, Snapshot* snapshot) {
  for (size_t i = 0; i < kLimitCount; ++i) {
    snapshot->limits.push_back(
        {static_cast<uint16_t>(i), options.limits[i]});
  }
  for (size_t i = 0; i < kTimeoutCount; ++i) {
    snapshot->limits.push_back(
        {static_cast<uint16_t>(kTimeoutLimitCode + i), options.timeouts[i]});
  }
}

}  // namespace

std::string FingerprintOption(const Fingerprint& fingerprint) {
  return absl::StrCat("fingerprint \"", PrintFingerprint(fingerprint), "\"");
}

PrintOptions SnapshotPrintOptions(Dialect dialect) {
  return {.dialect = dialect, .anchor_names = true};
}

std::array<std::pair<SnapshotRuleKind, const std::vector<Rule>*>, 4>
OtherRules(const Ruleset& rules) {
  return {{{SnapshotRuleKind::kScrub, &rules.scrub},
           {SnapshotRuleKind::kNat, &rules.nat},
           {SnapshotRuleKind::kRdr, &rules.rdr},
           {SnapshotRuleKind::kBinat, &rules.binat}}};
}

RuleId RuleIdOf(std::string_view identity) {
  RuleId id = 0;
  for (const char c : identity.substr(0, 16)) {
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                             : 0;
    id = id << 4 | static_cast<RuleId>(digit);
  }
  return id == 0 ? 1 : id;
}

RuleId StateExporter::IdOf(uint32_t slot) {
  if (slot == kDefaultRuleSlot || slot == kNoRuleSlot) return 0;
  const auto known = rule_ids_.find(slot);
  if (known != rule_ids_.end()) return known->second;
  const absl::StatusOr<RuleSlotInfo> info = store_->rule_slots().Info(slot);
  const RuleId id = info.ok() ? RuleIdOf(info->identity) : 0;
  rule_ids_.emplace(slot, id);
  return id;
}

SnapshotBinding StateExporter::BindingOf(const StateTemplate& values) {
  SnapshotBinding binding;
  binding.rule = IdOf(values.rule_slot);
  binding.anchor_rule = IdOf(values.anchor_slot);
  for (const auto& [flag, bit] : kCarriedStateFlags) {
    if (values.has(flag)) binding.flags |= bit;
  }
  if ((values.side & kSidePflow) != 0) binding.marks |= kSnapshotMarkPflow;
  if ((values.side & kSideNoHelpers) != 0) {
    binding.marks |= kSnapshotMarkNoHelpers;
  }
  // Said, and not taken: the rule that an import finds has its own limit.
  if (values.has(kStateRuleLimit)) binding.flags |= kSnapshotStateRuleLimit;
  if (values.tag != kNoTag) binding.tag = store_->tags().NameOf(values.tag);
  for (size_t i = 0; i < values.match_count; ++i) {
    const RuleId id = IdOf(values.match_slots[i]);
    if (id != 0) binding.match_rules.push_back(id);
  }
  binding.actions = values.actions;
  // An import has it of the rule that it finds.
  binding.actions.flags &=
      static_cast<uint8_t>(~PacketActions::kPacketRate);
  // It says itself where it leads.
  binding.actions.flags &= static_cast<uint8_t>(~PacketActions::kRoute);
  if (values.actions.has(PacketActions::kRoute)) {
    SnapshotRoute& route = binding.route.emplace();
    route.kind = values.route.kind;
    route.gateway = values.route.gateway;
    if (values.route.by_interface) {
      route.interface = interfaces_->NameOf(values.route.interface);
      // What goes nowhere here would go by the routes elsewhere.
      if (route.interface.empty()) route.kind = RouteKind::kNone;
    }
  }
  if (values.has(kStateRuleTimeouts)) {
    const RuleRecord& rule = store_->rule_slots().record(values.rule_slot);
    for (size_t i = 0; i < kTimeoutCount; ++i) {
      if (rule.timeouts.values[i] == 0) continue;
      binding.timeouts.push_back(
          {static_cast<Timeout>(i), rule.timeouts.values[i]});
    }
  }
  return binding;
}

// A rule that is gone binds nobody any more.
void StateExporter::AddPools(const StateRecord& record, SnapshotState* state) {
  uint32_t marks =
      record.values.side / kSideFirstPool & ((1u << kPoolNodes) - 1);
  for (const PoolNode sticky : {kStickySource, kStickyTarget}) {
    if ((marks >> sticky & 1) == 0) continue;
    const RuleId rule = IdOf(record.sticky_rules[sticky]);
    if (rule == 0) marks &= ~(1u << sticky);
    state->sticky_rules[sticky] = rule;
  }
  if ((marks >> kStickyRoute & 1) != 0) {
    const RuleId rule = IdOf(record.sticky_route_rule);
    if (rule == 0 || !state->binding.route) {
      marks &= ~(1u << kStickyRoute);
    } else {
      state->binding.route->sticky_rule = rule;
    }
  }
  state->pool_marks = static_cast<uint8_t>(marks);
}

void StateExporter::AddState(const StateRecord& record) {
  if (record.values.has(kStateNoSync) && !no_sync_) {
    ++statistics_.no_sync;
    return;
  }
  SnapshotState state;
  state.id = record.id;
  // A transfer that is over is nobody's child any more.
  if ((record.flags & kEntryFinished) == 0) state.parent = record.parent.id;
  state.age = record.age;
  state.remaining = record.expires_in;
  state.idle = record.idle;
  state.proto = record.proto;
  state.direction = record.direction;
  state.vlan = record.vlan;
  state.timeout = record.timeout;
  // FTP's needs no word: it is known by its port.
  if ((record.flags & kEntryHelper) != 0 && !record.parent.IsSet() &&
      record.proto == protocol::kUdp) {
    state.helper = SnapshotHelper::kTftp;
  }
  const bool tcp = record.proto == protocol::kTcp;
  for (size_t i = 0; i < 2; ++i) {
    SnapshotPeer& peer = state.peers[i];
    peer.packets = record.packets[i];
    peer.bytes = record.bytes[i];
    peer.phase = record.phase[i];
    peer.port = record.port[i];
    peer.address = record.address[i];
    if (!tcp) continue;
    peer.sequence_low = record.window[i].low;
    peer.sequence_high = record.window[i].high;
    peer.max_window = record.max_window[i];
    // That a peer was seen shows in its packets.
    peer.scale = record.scale[i] & (kScaleMask | kScaleKnown);
  }
  if (record.translated_family != Family::kNone) {
    state.translated = record.translated_address;
    state.translated_port = record.translated_port;
    state.links = record.links;
  }
  if (tcp) state.sequence_offset = record.offset;
  const StateTemplate& values = record.values;
  if ((values.side & kSideLimited) != 0) {
    state.state_limiter = values.state_limiter;
    state.source_limiter = values.source_limiter;
  }
  if (values.has(kStateIfBound)) {
    state.interface = interfaces_->NameOf(record.interface);
  }
  state.binding = BindingOf(values);
  // What a pool gave in one family does not show in the other.
  if ((values.side & kSidePools) != 0 && !state.translates_family()) {
    AddPools(record, &state);
  }
  if (tcp && values.actions.has(PacketActions::kScrubTcp)) {
    state.binding.scrub = record.scrub;
    for (TcpScrubPeer& peer : state.binding.scrub->peers) {
      peer.last = std::min<Tick>(peer.last, kMaxTimeoutTicks);
    }
  }
  const bool bound_nowhere =
      values.has(kStateIfBound) && state.interface.empty();
  // A handshake that is under way begins anew.
  const bool proxied = record.proxy != ProxyPhase::kNone;
  if (bound_nowhere || proxied || WhatIsWrong(state) != nullptr) {
    ++statistics_.not_portable;
    return;
  }
  states_.Add(state);
}

void StateExporter::AddExpectation(const ExpectationRecord& record) {
  SnapshotExpectation expectation;
  expectation.parent = record.parent.id;
  expectation.remaining = record.expires_in;
  expectation.proto = record.proto;
  switch (record.proto) {
    case protocol::kTcp:
      expectation.helper = SnapshotHelper::kFtp;
      expectation.direction = record.child_direction;
      if (record.after.family != Family::kNone) {
        expectation.port_behind =
            Be16::FromRaw(record.after.destination_port).host();
      }
      break;
    case protocol::kSctp:
      expectation.helper = SnapshotHelper::kSctp;
      expectation.server_port = record.server_port;
      expectation.tag = record.tag;
      break;
    default: expectation.helper = SnapshotHelper::kTftp;
  }
  expectation.client_port = record.client_port;
  expectation.client = record.client;
  expectation.server = record.server;
  expectation.binding = BindingOf(record.values);
  bool bound_nowhere = false;
  if (record.values.has(kStateIfBound)) {
    expectation.interface = interfaces_->NameOf(record.interface);
    bound_nowhere = expectation.interface.empty();
  }
  if (!bound_nowhere && WhatIsWrong(expectation) == nullptr) {
    expectations_.push_back(std::move(expectation));
  }
}

void StateExporter::Add(const StateRecord& record) {
  try {
    AddState(record);
  } catch (const std::bad_alloc&) {
    status_ = NoMemory("export a state");
  }
}

void StateExporter::Add(const ExpectationRecord& record) {
  try {
    AddExpectation(record);
  } catch (const std::bad_alloc&) {
    status_ = NoMemory("export an expectation");
  }
}

void StateExporter::Finish(Snapshot* snapshot) {
  try {
    HandOver(snapshot);
  } catch (const std::bad_alloc&) {
    status_ = NoMemory("export the states");
  }
}

void StateExporter::HandOver(Snapshot* snapshot) {
  statistics_.ties_cut += states_.Finish();
  statistics_.states += states_.parents() + states_.children();
  HandOverSources(snapshot);
  snapshot->expectations.clear();
  std::sort(expectations_.begin(), expectations_.end(),
            [](const auto& a, const auto& b) { return IsBefore(a, b); });
  uint32_t of_parent = 0;
  for (SnapshotExpectation& expectation : expectations_) {
    SnapshotState parent;
    const bool found = states_.FindParent(expectation.parent, &parent);
    if (WhatIsWrongWithLink(expectation, found ? &parent : nullptr) !=
        nullptr) {
      continue;
    }
    // Listed in slices, one that was armed anew meanwhile may be there twice,
    // and a parent's be more than it ever had at once.
    const bool first = snapshot->expectations.empty();
    if (!first && !IsBefore(snapshot->expectations.back(), expectation)) {
      continue;
    }
    of_parent = !first &&
                        snapshot->expectations.back().parent ==
                            expectation.parent &&
                        snapshot->expectations.back().helper ==
                            expectation.helper
                    ? of_parent + 1
                    : 1;
    if (of_parent > MostExpected(expectation)) continue;
    ++statistics_.expectations;
    snapshot->expectations.push_back(std::move(expectation));
  }
  expectations_.clear();
}

absl::Status ExportPolicy(PolicyStore* store, Tick now,
                          Snapshot* snapshot) {
  return OrNoMemory("export the policy", [&]() -> absl::Status {
    const uint64_t generation = store->generation()->number;
    snapshot->header.generation = generation;
    snapshot->header.policy_hash = store->generation()->hash;
    snapshot->limits.clear();
    snapshot->tables.clear();
    snapshot->rulesets.clear();
    snapshot->rule_counters.clear();
    snapshot->table_counters.clear();
    const std::shared_ptr<const Policy> policy = store->policy();
    snapshot->meta.dialect = policy->options.dialect;
    ExportLimits(policy->options, snapshot);
    absl::Status status = ExportTables(store, snapshot);
    if (status.ok()) status = ExportRules(store, now, snapshot);
    if (store->generation()->number != generation) {
      return absl::AbortedError(
          "the policy changed while it was exported: export it again");
    }
    return status;
  });
}

}  // namespace sluice
