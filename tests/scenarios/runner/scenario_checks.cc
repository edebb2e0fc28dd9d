#include "tests/scenarios/runner/scenario_checks.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "pftable/engine/counters.h"
#include "pftable/engine/entry_counters.h"
#include "pftable/language/parser.h"
#include "pftable/store/invariants.h"
#include "pftable/store/policy_listing.h"
#include "tests/support/packet_words.h"
#include "tests/support/table_changes.h"

namespace sluice {
namespace {

// Long enough for whatever has a timeout of up to twelve days.
constexpr uint64_t kVeryLong = uint64_t{13} * 86'400'000;

// What pf counts for an interface: `in4-passed`, `out6-blocked-bytes`.
std::optional<uint64_t> JudgedCounter(const PortCounters& counters,
                                      const std::string& name) {
  for (const size_t out : {0, 1}) {
    for (const size_t v6 : {0, 1}) {
      for (const size_t blocked : {0, 1}) {
        const std::string known =
            absl::StrCat(out ? "out" : "in", v6 ? "6" : "4",
                         blocked ? "-blocked" : "-passed");
        const auto& judged = counters.judged[out][v6][blocked];
        if (name == known) return judged.packets.value();
        if (name == known + "-bytes") return judged.bytes.value();
      }
    }
  }
  return std::nullopt;
}

absl::StatusOr<uint64_t> PortCounter(const PortCounters& counters,
                                     const std::string& name) {
  if (name == "received") return counters.received_packets.value();
  if (name == "forwarded") return counters.forwarded_packets.value();
  if (name == "transmitted") return counters.transmitted_packets.value();
  if (name == "answers") return counters.answers.value();
  if (name == "copies") return counters.copies.value();
  if (name == "copies-lost") return counters.copies_lost.value();
  if (name == "to-host") return counters.to_host.value();
  if (name == "from-host") return counters.from_host.value();
  if (name == "errors-limited") return counters.errors_limited.value();
  if (name == "fragments-made") return counters.fragments_made.value();
  if (name == "fragments-joined") return counters.fragments_joined.value();
  if (name == "answers-lost") return counters.answers_lost.value();
  if (name == "non-ip-passed") return counters.non_ip.value();
  if (name == "address-conflicts") return counters.address_conflicts.value();
  if (const auto reason = ParseDropReason(name)) {
    return counters.drops[static_cast<size_t>(*reason)].value();
  }
  if (const auto judged = JudgedCounter(counters, name)) return *judged;
  return absl::NotFoundError(absl::StrCat("no counter `", name, "`"));
}

absl::StatusOr<uint64_t> RuleCounter(const RuleCounts& counts,
                                     const std::string& name) {
  if (name == "packets") return counts.packets[0] + counts.packets[1];
  if (name == "bytes") return counts.bytes[0] + counts.bytes[1];
  if (name == "packets-in") return counts.packets[0];
  if (name == "packets-out") return counts.packets[1];
  if (name == "states") return counts.states;
  if (name == "created") return counts.states_created;
  if (name == "evaluations") return counts.evaluations;
  if (name == "mismatches") return counts.mismatches;
  return absl::NotFoundError(absl::StrCat("no counter `", name, "`"));
}

absl::StatusOr<uint64_t> HelperCounter(const ExpectationTable& table,
                                       const std::string& helper,
                                       const std::string& name) {
  const ExpectationStatistics s = table.StatisticsOfAll(
      helper == "ftp"    ? protocol::kTcp
      : helper == "sctp" ? protocol::kSctp
                         : protocol::kUdp);
  const std::map<std::string, uint64_t> values = {
      {"expectations", s.in_use},
      {"armed", s.armed},
      {"rearmed", s.rearmed},
      {"matched", s.matched},
      {"expired", s.expired},
      {"dropped-early", s.dropped_early},
      {"parent-gone", s.parent_gone},
      {"displaced", s.displaced},
      {"children-replaced", s.children_replaced},
      {"refused-full", s.refused_full},
      {"refused-source", s.refused_source},
      {"refused-children", s.refused_children},
      {"refused-grandchild", s.refused_grandchild},
      {"refused-parent", s.refused_parent},
      {"malformed", s.malformed},
      {"unrelated", s.unrelated},
  };
  const auto found = values.find(name);
  if (found != values.end()) return found->second;
  return absl::NotFoundError(absl::StrCat("no counter `", name, "`"));
}

// With a '-' for each blank of its name.
absl::StatusOr<uint64_t> LimitCounterOf(Simulation& simulation,
                                        const std::string& name) {
  for (size_t i = 0; i < kLimitCounterCount; ++i) {
    std::string known(kLimitCounterNames[i]);
    std::replace(known.begin(), known.end(), ' ', '-');
    if (known == name) {
      return simulation.limit_counter(static_cast<LimitCounter>(i));
    }
  }
  return absl::NotFoundError(absl::StrCat("no limit `", name, "`"));
}

// States hold what they have counted until somebody asks.
void FoldAll(Simulation& simulation) {
  uint32_t cursor = 0;
  const StateEntries& entries = simulation.states().entries();
  entries.Visit(&cursor, ~uint32_t{0}, [&](StateIndex index) {
    simulation.states().Fold(index);
  });
}

// What is taken back from a counter has been counted there before.
absl::Status CheckJudged(const std::string& port,
                         const PortCounters& counters) {
  constexpr uint64_t kBelowZero = uint64_t{1} << 63;
  for (const auto& direction : counters.judged) {
    for (const auto& family : direction) {
      for (const PortCounters::Judged& judged : family) {
        if (judged.packets.value() < kBelowZero &&
            judged.bytes.value() < kBelowZero) {
          continue;
        }
        return absl::InternalError(
            absl::StrCat(port, ": less than nothing was judged: ",
                         static_cast<int64_t>(judged.packets.value()),
                         " packets, ",
                         static_cast<int64_t>(judged.bytes.value()),
                         " bytes"));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status CheckPorts(const Simulation& simulation) {
  uint64_t transmitted = 0, caused = 0;
  uint64_t missing = 0;  // packets that nothing has become of so far
  for (uint16_t i = 0; i < simulation.ports().size(); ++i) {
    const PortCounters& counters = simulation.counters(i);
    if (absl::Status s = CheckJudged(simulation.ports()[i].name, counters);
        !s.ok()) {
      return s;
    }
    const uint64_t received = counters.received_packets.value() +
                              counters.fragments_made.value() +
                              counters.copies.value() +
                              counters.from_host.value();
    uint64_t accounted = counters.forwarded_packets.value() +
                         counters.fragments_joined.value() +
                         counters.to_host.value();
    for (const uint64_t drops : Drops(simulation, i)) accounted += drops;
    missing += received - accounted;
    if (received < accounted) {
      return absl::InternalError(absl::StrCat(
          simulation.ports()[i].name, ": ", received,
          " packets received, but ", accounted, " forwarded or dropped"));
    }
    // Who sent what to a port of a segment, or to one of `bridge-to`, only all
    // together say.
    transmitted += counters.transmitted_packets.value();
    caused += counters.answers.value() + counters.forwarded_packets.value();
    if (simulation.segments() + simulation.routers() + simulation.bridged() >
        0) {
      continue;
    }
    const uint16_t peer = simulation.peer(i);
    const uint64_t sent =
        counters.answers.value() + counters.returned_packets.value() +
        (peer == kNoPort
             ? 0
             : simulation.counters(peer).forwarded_packets.value() -
                   simulation.counters(peer).returned_packets.value());
    if (counters.transmitted_packets.value() != sent) {
      return absl::InternalError(absl::StrCat(
          simulation.ports()[i].name, ": ",
          counters.transmitted_packets.value(), " packets transmitted, but ",
          sent, " forwarded to it or answered"));
    }
  }
  if (transmitted + simulation.answers_to_host() != caused) {
    return absl::InternalError(
        absl::StrCat(transmitted, " packets transmitted, but ", caused,
                     " forwarded or answered"));
  }
  const uint64_t held = simulation.fragments().held() + simulation.waiting();
  if (missing != held) {
    return absl::InternalError(absl::StrCat(
        missing, " packets were neither forwarded nor dropped, but ", held,
        " are held"));
  }
  return absl::OkStatus();
}

absl::Status CheckStates(Simulation& simulation) {
  StateTable& states = simulation.states();
  std::map<uint32_t, uint64_t> of_rule;
  uint32_t listed = 0;
  std::string wrong;
  uint32_t cursor = 0;
  states.entries().Visit(&cursor, ~uint32_t{0}, [&](StateIndex index) {
    ++listed;
    const StateRecord record = states.Record(index, simulation.now());
    ++of_rule[record.values.rule_slot];
    if (states.entries().Resolve(states.entries().HandleOf(index)) != index) {
      wrong = "a state's own handle does not lead to it";
    }
    if (!record.parent.IsSet()) return;
    if (record.parent.id >= record.id) {
      wrong = "a parent is not older than its child";
    }
    const StateIndex parent = states.entries().Resolve(record.parent);
    if (parent != kNoState &&
        states.Record(parent, simulation.now()).parent.IsSet()) {
      wrong = "a child has a child";
    }
  });
  if (!wrong.empty()) return absl::InternalError(wrong);
  const StateStatistics& statistics = states.statistics();
  const uint64_t made =
      statistics.inserts.value() - statistics.removals.value();
  if (listed != states.size() || listed != simulation.budget().used() ||
      listed != made) {
    return absl::InternalError(absl::StrCat(
        listed, " states listed, ", states.size(), " counted, ",
        simulation.budget().used(), " taken from the budget, ", made,
        " inserted and not removed"));
  }
  for (const auto& [rule, count] : of_rule) {
    const uint64_t counted =
        simulation.store().rule_slots().Counts(rule).states;
    if (counted != count) {
      return absl::InternalError(
          absl::StrCat("the rule in slot ", rule, " counts ", counted,
                       " states and has ", count));
    }
  }
  return absl::OkStatus();
}

// What nodes count is what states hold, and all limits are given back.
absl::Status CheckSources(Simulation& simulation) {
  const StateEntries& entries = simulation.states().entries();
  uint64_t held = 0, open = 0, of_pools = 0;
  uint32_t cursor = 0;
  entries.Visit(&cursor, ~uint32_t{0}, [&](StateIndex index) {
    if (!entries.hot(index).has_side()) return;
    const StateSide& side = entries.side(index);
    for (const PoolNode sticky : {kStickySource, kStickyTarget}) {
      if (side.pools[sticky] != kNoSourceNode) ++held;
    }
    for (const PoolNode other : {kLoadOfSource, kLoadOfTarget, kMappedInside,
                                 kMappedOutside}) {
      if (side.pools[other] != kNoSourceNode) ++of_pools;
    }
    if ((side.flags & kSideLimited) != 0 &&
        side.limited_source != kNoSourceNode) {
      ++of_pools;
    }
    if (side.source == kNoSourceNode) return;
    ++held;
    if ((side.flags & kSideConnection) != 0) ++open;
  });
  uint64_t nodes = 0, states = 0, connections = 0;
  std::map<uint32_t, uint32_t> of_rule;
  cursor = 0;
  simulation.sources().Visit(&cursor, ~uint32_t{0}, simulation.now(),
                             [&](const SourceRecord& node) {
                               ++nodes;
                               states += node.states;
                               connections += node.connections;
                               ++of_rule[node.key.rule_slot];
                             });
  if (of_pools != 0 && simulation.sources().unlimited()->nodes.used() == 0) {
    return absl::InternalError(absl::StrCat(
        "states hold ", of_pools, " times what is not there any more"));
  }
  // States go on without a node that was taken out.
  if (nodes != simulation.source_budget().nodes.used() || states > held ||
      connections > open) {
    return absl::InternalError(absl::StrCat(
        nodes, " source nodes listed, ",
        simulation.source_budget().nodes.used(), " counted; with ", states,
        " of ", held, " states and ", connections, " of ", open,
        " connections"));
  }
  for (const auto& [slot, count] : of_rule) {
    if (slot == kNoRuleSlot) continue;
    const uint32_t counted =
        simulation.store().rule_slots().record(slot).source_nodes;
    if (counted != count) {
      return absl::InternalError(
          absl::StrCat("the rule in slot ", slot, " counts ", counted,
                       " source nodes and has ", count));
    }
  }
  return absl::OkStatus();
}

}  // namespace

DropCounts Drops(const Simulation& simulation, uint16_t port) {
  DropCounts drops;
  for (size_t i = 0; i < kDropReasonCount; ++i) {
    drops[i] = simulation.counters(port).drops[i].value();
  }
  return drops;
}

DropCounts AllDrops(const Simulation& simulation) {
  DropCounts all{};
  for (uint16_t port = 0; port < simulation.ports().size(); ++port) {
    const DropCounts some = Drops(simulation, port);
    for (size_t i = 0; i < all.size(); ++i) all[i] += some[i];
  }
  return all;
}

static absl::StatusOr<uint64_t> LimiterCounter(Simulation& simulation,
                                               const CountersStep& step,
                                               const std::string& name) {
  const auto number = ParseNumber(step.subject);
  const Limiters* const limiters = simulation.store().limiters();
  if (limiters == nullptr || !number || *number < 1 || *number > 255) {
    return absl::NotFoundError(absl::StrCat("no limiter ", step.subject));
  }
  const auto id = static_cast<size_t>(*number);
  const bool by_source = step.kind == CountersStep::Kind::kSourceLimiter;
  const SourceLimiter& source = limiters->sources[id];
  const LimiterCounts& counts =
      by_source ? source.counts() : limiters->states[id].counts();
  if (name == "states") {
    return by_source ? source.states().load() : limiters->states[id].in_use();
  }
  if (name == "sources") return source.sources().load();
  if (name == "admitted") return counts.admitted.load();
  if (name == "no-address") return counts.no_address.load();
  if (name == "full") return counts.full.load();
  if (name == "too-fast") return counts.too_fast.load();
  return absl::NotFoundError(absl::StrCat("no counter ", name));
}

absl::StatusOr<uint64_t> ReadCounter(Simulation& simulation,
                                     const CountersStep& step, uint16_t port,
                                     const std::string& name) {
  switch (step.kind) {
    case CountersStep::Kind::kPort:
      if (port == kNoPort) return absl::NotFoundError("no such port");
      return PortCounter(simulation.counters(port), name);
    case CountersStep::Kind::kHelper:
      return HelperCounter(simulation.expectations(), step.subject, name);
    case CountersStep::Kind::kLimit:
      return LimitCounterOf(simulation, name);
    case CountersStep::Kind::kStateLimiter:
    case CountersStep::Kind::kSourceLimiter:
      return LimiterCounter(simulation, step, name);
    case CountersStep::Kind::kRule:
      break;
  }
  FoldAll(simulation);
  const auto rules = PolicyListing(simulation.store()).Rules("");
  const auto number = ParseNumber(step.subject);
  if (!rules.ok() || !number || *number < 0 ||
      static_cast<size_t>(*number) >= rules->size()) {
    return absl::NotFoundError(absl::StrCat("no rule ", step.subject));
  }
  const RuleStatus& rule = (*rules)[static_cast<size_t>(*number)];
  if (name == "expired") return rule.expired;
  return RuleCounter(rule.counts, name);
}

// What an entry of a table with `counters` has counted, but for zeros.
static absl::StatusOr<std::string> CountsOfEntry(Simulation& simulation,
                                                 const TableKey& key,
                                                 const Prefix& entry) {
  constexpr std::array<const char*, kEntryOpCount> kOps = {"block", "pass",
                                                           "match"};
  FoldAll(simulation);
  const auto generation = simulation.store().generation();
  const GenerationTable* const table = generation->FindTable(key);
  if (table == nullptr || table->entries == nullptr) {
    return absl::NotFoundError("it has no counters");
  }
  const EntryCounts counts = table->entries->Counts(entry);
  std::vector<std::string> texts;
  for (const size_t out : {0, 1}) {
    for (size_t op = 0; op < kEntryOpCount; ++op) {
      if (counts.packets[out][op] == 0) continue;
      texts.push_back(absl::StrCat(out ? "out " : "in ", kOps[op], " ",
                                   counts.packets[out][op], "/",
                                   counts.bytes[out][op]));
    }
  }
  return texts.empty() ? "nothing" : absl::StrJoin(texts, " ");
}

absl::StatusOr<std::string> EditTable(
    Simulation& simulation, const std::string& table, const std::string& verb,
    const std::vector<std::string>& arguments) {
  PolicyStore& store = simulation.store();
  const TableKey key{.anchor = "", .name = table};
  const TableFileResult parsed =
      ParseTableFile("arguments", absl::StrJoin(arguments, " "),
                     simulation.Facts(), /*no_dns=*/true, 100000);
  if (!parsed.diagnostics.empty()) {
    return absl::InvalidArgumentError(parsed.diagnostics[0].message);
  }
  const auto counts = [](const absl::StatusOr<TableChange>& change)
      -> absl::StatusOr<std::string> {
    if (!change.ok()) return change.status();
    std::string text = change->table_created ? "created " : "";
    if (change->added) absl::StrAppend(&text, "added ", change->added, " ");
    if (change->deleted) {
      absl::StrAppend(&text, "deleted ", change->deleted, " ");
    }
    if (change->changed) {
      absl::StrAppend(&text, "changed ", change->changed, " ");
    }
    return text.empty() ? "no change" : text;
  };
  if (verb == "add") return counts(AddAddresses(store, key, parsed.entries));
  if (verb == "delete") {
    return counts(DeleteAddresses(store, key, parsed.entries));
  }
  if (verb == "replace") {
    return counts(ReplaceAddresses(store, key, parsed.entries));
  }
  if (verb == "flush") return counts(FlushTable(store, key));
  if (verb == "kill") {
    if (absl::Status s = KillTable(store, key); !s.ok()) return s;
    return "killed";
  }
  if (verb == "test") {
    std::vector<Prefix> hosts;
    for (const TableEntry& entry : parsed.entries) {
      hosts.push_back(entry.prefix);
    }
    const auto result = PolicyListing(store).Match(key, hosts);
    if (!result.ok()) return result.status();
    return absl::StrCat(result->matched, "/", result->total, " match");
  }
  if (verb == "counters" && parsed.entries.size() == 1) {
    return CountsOfEntry(simulation, key, parsed.entries[0].prefix);
  }
  if (verb == "show") {
    const auto entries = PolicyListing(store).Addresses(key);
    if (!entries.ok()) return entries.status();
    std::vector<std::string> texts;
    for (const TableEntry& entry : *entries) {
      texts.push_back(
          absl::StrCat(entry.negated ? "!" : "", ToString(entry.prefix)));
    }
    return texts.empty() ? "empty" : absl::StrJoin(texts, " ");
  }
  return absl::InvalidArgumentError(absl::StrCat("no verb `", verb, "`"));
}

absl::Status CheckConsistency(Simulation& simulation) {
  if (absl::Status s = CheckPorts(simulation); !s.ok()) return s;
  if (absl::Status s = CheckStates(simulation); !s.ok()) return s;
  if (absl::Status s = CheckSources(simulation); !s.ok()) return s;
  return CheckInvariants(simulation.store());
}

absl::Status CheckEnding(Simulation& simulation) {
  simulation.Advance(kVeryLong);
  if (simulation.states().size() != 0 || !simulation.expectations().empty()) {
    return absl::InternalError(absl::StrCat(
        simulation.states().size(), " states and ",
        simulation.expectations().size(), " expectations never end"));
  }
  if (simulation.source_budget().nodes.used() != 0) {
    return absl::InternalError("source nodes never end");
  }
  return CheckConsistency(simulation);
}

}  // namespace sluice
