// Texts of snapshots and of what the restore queue says.
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "conntrack/state_names.h"
#include "dataplane/base/text.h"
#include "dataplane/sluicectl/format_time.h"
#include "dataplane/sluicectl/json_read.h"
#include "dataplane/sluicectl/transfer.h"
#include "packet/packet.h"
#include "pftable/policy/names.h"
#include "pftable/policy/policy.h"
#include "pftable/policy/timeouts.h"

namespace sluice {
namespace {

using nlohmann::json;

std::string Hex(uint64_t value) { return absl::StrFormat("%016x", value); }

std::string EndOf(const Address& address, uint16_t port) {
  return address.family == Family::kIpv6
             ? absl::StrCat(ToString(address), "[", port, "]")
             : absl::StrCat(ToString(address), ":", port);
}

std::string LimitName(uint16_t code) {
  if (code < kLimitCount) return std::string(kLimitNames[code]);
  const size_t timeout = size_t{code} - kTimeoutLimitCode;
  return code >= kTimeoutLimitCode && timeout < kTimeoutCount
             ? std::string(kTimeoutNames[timeout])
             : absl::StrCat(code);
}

// As -s states says it; of what has no words for it, the number.
std::string PhaseOf(const SnapshotState& state, size_t peer) {
  const uint8_t phase = state.peers[peer].phase;
  const std::string_view name = PhaseName(state.proto, phase);
  return name.empty() ? absl::StrCat(phase) : std::string(name);
}

// "route-to: 192.0.2.9@em1", as -s states -vv has it.
std::string RouteText(const SnapshotRoute& route) {
  std::string text = absl::StrCat(
      absl::string_view(Name(route.kind).data(), Name(route.kind).size()),
      ": ");
  if (route.gateway.family != Family::kNone) {
    absl::StrAppend(&text, ToString(route.gateway));
  }
  if (!route.interface.empty()) absl::StrAppend(&text, "@", route.interface);
  return text;
}

std::string FormatState(const SnapshotState& state) {
  const SnapshotPeer& from = state.peers[0];
  const SnapshotPeer& to = state.peers[1];
  std::string text = absl::StrFormat(
      "%s %s %s %s %s   %s:%s\n   age %d ms, expires in %d ms, %d:%d pkts, "
      "%d:%d bytes, rule %s, id %s",
      state.interface.empty() ? "all" : state.interface,
      ProtocolName(state.proto), EndOf(from.address, from.port),
      state.direction == Direction::kIn ? "->" : "<-",
      EndOf(to.address, to.port), PhaseOf(state, 0), PhaseOf(state, 1),
      state.age,
      state.remaining, from.packets, to.packets, from.bytes, to.bytes,
      Hex(state.binding.rule), Hex(state.id));
  if (state.proto == protocol::kTcp) {
    absl::StrAppendFormat(&text, "\n   [%d + %d] wscale %d  [%d + %d] wscale "
                          "%d",
                          from.sequence_low,
                          from.sequence_high - from.sequence_low,
                          from.scale & 0xf, to.sequence_low,
                          to.sequence_high - to.sequence_low, to.scale & 0xf);
  }
  if (state.parent != 0) {
    absl::StrAppend(&text, ", child of ", Hex(state.parent));
  }
  if (state.vlan.IsSet()) {
    absl::StrAppend(&text, ", vlan ", ToString(state.vlan));
  }
  if (state.helper == SnapshotHelper::kTftp) absl::StrAppend(&text, ", tftp");
  if (state.binding.route) {
    absl::StrAppend(&text, ", ", RouteText(*state.binding.route));
  }
  if (!state.binding.tag.empty()) {
    absl::StrAppend(&text, ", tag ", state.binding.tag);
  }
  return text + "\n";
}

json StateToJson(const SnapshotState& state) {
  json peers = json::array();
  for (size_t i = 0; i < state.peers.size(); ++i) {
    const SnapshotPeer& peer = state.peers[i];
    json one = {{"address", ToString(peer.address)},
                {"port", peer.port},
                {"phase", peer.phase},
                {"phase_name", PhaseOf(state, i)},
                {"packets", peer.packets},
                {"bytes", peer.bytes}};
    if (state.proto == protocol::kTcp) {
      one.update({{"sequence_low", peer.sequence_low},
                  {"sequence_high", peer.sequence_high},
                  {"max_window", peer.max_window},
                  {"scale", peer.scale}});
    }
    peers.push_back(std::move(one));
  }
  json result = {{"id", Hex(state.id)},
                 {"protocol", ProtocolName(state.proto)},
                 {"direction",
                  state.direction == Direction::kIn ? "in" : "out"},
                 {"age_ms", state.age},
                 {"remaining_ms", state.remaining},
                 {"idle_ms", state.idle},
                 {"rule", Hex(state.binding.rule)},
                 {"peers", std::move(peers)}};
  if (state.parent != 0) result["parent"] = Hex(state.parent);
  if (state.helper == SnapshotHelper::kTftp) result["helper"] = "tftp";
  if (!state.interface.empty()) result["interface"] = state.interface;
  if (state.vlan.IsSet()) result["vlan"] = ToString(state.vlan);
  if (state.binding.route) {
    const SnapshotRoute& route = *state.binding.route;
    json told = {{"kind", Name(route.kind)}};
    if (route.gateway.family != Family::kNone) {
      told["gateway"] = ToString(route.gateway);
    }
    if (!route.interface.empty()) told["interface"] = route.interface;
    result["route"] = std::move(told);
  }
  if (!state.binding.tag.empty()) result["tag"] = state.binding.tag;
  return result;
}

std::string TableName(const SnapshotTable& table) {
  return table.anchor.empty() ? table.name
                              : absl::StrCat(table.anchor, "/", table.name);
}

// "a.b" -> the number there.
uint64_t NumberAt(const json& value, std::string_view path) {
  const size_t dot = path.find('.');
  if (dot == std::string_view::npos) {
    return Number(value, std::string(path).c_str());
  }
  return NumberAt(Member(value, std::string(path.substr(0, dot)).c_str()),
            path.substr(dot + 1));
}

// In the order in which they are printed.
constexpr std::array<std::string_view, 38> kTransferMetrics = {
    "started", "joined", "late_duplicates", "stale", "conflicts", "busy",
    "replaced", "retries", "commits", "fail_closed", "fail_open",
    "disables_deferred", "report.states_imported", "report.states_merged",
    "report.states_orphaned", "report.states_refused", "exports",
    "exports_failed", "exported_states", "longest_step_ns", "hold.held",
    "hold.waiting", "hold.replayed", "hold.bypassed", "hold.refused",
    "hold.longest_ms", "report.rules", "transfers.under_way",
    "transfers.memory", "transfers.over_limits", "transfers.too_slow",
    "transfers.abandoned", "state_directory.saved.policy",
    "state_directory.saved.states", "state_directory.saved.filters",
    "state_directory.failed.policy", "state_directory.failed.states",
    "state_directory.failed.filters"};
// Members that have a number for each of several names.
constexpr std::array<std::string_view, 4> kLabelled = {
    "requests", "ends", "failures", "filters"};
constexpr std::array<std::string_view, 4> kTimes = {
    "queue_time", "validate_time", "commit_time", "total_time"};

const json& Object(const json& metrics, std::string_view name) {
  return Member(metrics, std::string(name).c_str());
}

}  // namespace

std::string SummarizeSnapshot(const Snapshot& snapshot) {
  size_t rules = 0;
  for (const SnapshotRuleset& ruleset : snapshot.rulesets) {
    rules += ruleset.rules.size();
  }
  return absl::StrCat(
      "whole: filter ", snapshot.meta.filter, ", incarnation ",
      snapshot.header.incarnation, ", generation ",
      snapshot.header.generation, ": ",
      snapshot.parents.size() + snapshot.children.size(), " states (",
      snapshot.children.size(), " children), ", snapshot.expectations.size(),
      " expectations, ", rules, " rules, ", snapshot.tables.size(),
      " tables");
}

std::string FormatSnapshot(const ReadResult& read, size_t bytes) {
  const Snapshot& s = read.snapshot;
  std::string text = absl::StrCat(
      "snapshot ", Hex(s.header.id), ", format 1.", read.minor, ", ", bytes,
      " bytes\nfilter ", s.meta.filter, " (", Hex(s.header.filter_id),
      "), incarnation ", s.header.incarnation, "\ngeneration ",
      s.header.generation, ", hash ", Hex(s.header.policy_hash),
      "\nwritten by ", s.meta.creator, ", ",
      FormatTime(static_cast<uint64_t>(s.header.wall_time / 1'000'000)),
      "\n");
  if (read.skips != SnapshotSkips()) {
    absl::StrAppend(&text, "not understood and skipped: ", read.skips.sections,
                    " sections, ", read.skips.records, " records, ",
                    read.skips.attributes, " attributes\n");
  }
  absl::StrAppend(&text, "\nLIMITS:\n");
  for (const SnapshotLimit& limit : s.limits) {
    absl::StrAppendFormat(&text, "  %-20s %10d\n", LimitName(limit.code),
                          limit.value);
  }
  absl::StrAppend(&text, "\nTABLES:\n");
  for (const SnapshotTable& table : s.tables) {
    absl::StrAppend(&text, "<", TableName(table), ">",
                    table.flags & kSnapshotTablePersist ? " persist" : "",
                    table.flags & kSnapshotTableConst ? " const" : "",
                    table.flags & kSnapshotTableActive ? "" : " not active",
                    "\n");
    for (const SnapshotTableEntry& entry : table.entries) {
      absl::StrAppend(
          &text, "   ", entry.flags & kSnapshotEntryNegated ? "!" : "",
          ToString(entry.prefix),
          entry.flags & kSnapshotEntryRunTime ? " (run time)" : "", "\n");
    }
  }
  absl::StrAppend(&text, "\nRULES:\n");
  for (const SnapshotRuleset& ruleset : s.rulesets) {
    if (!ruleset.anchor.empty()) {
      absl::StrAppend(&text, "anchor \"", ruleset.anchor, "\":\n");
    }
    for (const std::string& option : ruleset.options) {
      absl::StrAppend(&text, "set ", option, "\n");
    }
    for (const SnapshotRule& rule : ruleset.rules) {
      absl::StrAppend(&text, rule.text, "\n");
    }
  }
  absl::StrAppend(&text, "\nSTATES:\n");
  for (const auto* states : {&s.parents, &s.children}) {
    for (const SnapshotState& state : *states) text += FormatState(state);
  }
  absl::StrAppend(&text, "\nEXPECTATIONS:\n");
  for (const SnapshotExpectation& e : s.expectations) {
    absl::StrAppend(&text, ProtocolName(e.proto), " ", ToString(e.server),
                    " -> ", EndOf(e.client, e.client_port), ", child of ",
                    Hex(e.parent), ", expires in ", e.remaining, " ms\n");
  }
  return text;
}

json SnapshotToJson(const ReadResult& read, size_t bytes) {
  const Snapshot& s = read.snapshot;
  json limits = json::object();
  for (const SnapshotLimit& limit : s.limits) {
    limits[LimitName(limit.code)] = limit.value;
  }
  json tables = json::array();
  for (const SnapshotTable& table : s.tables) {
    json entries = json::array();
    for (const SnapshotTableEntry& entry : table.entries) {
      entries.push_back(
          {{"address", (entry.flags & kSnapshotEntryNegated ? "!" : "") +
                           ToString(entry.prefix)},
           {"run_time", (entry.flags & kSnapshotEntryRunTime) != 0}});
    }
    tables.push_back(
        {{"name", table.name},
         {"anchor", table.anchor},
         {"persist", (table.flags & kSnapshotTablePersist) != 0},
         {"const", (table.flags & kSnapshotTableConst) != 0},
         {"active", (table.flags & kSnapshotTableActive) != 0},
         {"addresses", std::move(entries)}});
  }
  json rulesets = json::array();
  for (const SnapshotRuleset& ruleset : s.rulesets) {
    json rules = json::array();
    for (const SnapshotRule& rule : ruleset.rules) {
      rules.push_back({{"id", Hex(rule.id)}, {"text", rule.text}});
    }
    rulesets.push_back({{"anchor", ruleset.anchor},
                        {"options", ruleset.options},
                        {"rules", std::move(rules)}});
  }
  json states = json::array();
  for (const auto* list : {&s.parents, &s.children}) {
    for (const SnapshotState& state : *list) {
      states.push_back(StateToJson(state));
    }
  }
  json expectations = json::array();
  for (const SnapshotExpectation& e : s.expectations) {
    expectations.push_back({{"parent", Hex(e.parent)},
                            {"protocol", ProtocolName(e.proto)},
                            {"server", ToString(e.server)},
                            {"client", ToString(e.client)},
                            {"client_port", e.client_port},
                            {"remaining_ms", e.remaining}});
  }
  return {{"id", Hex(s.header.id)},
          {"minor", read.minor},
          {"bytes", bytes},
          {"filter", s.meta.filter},
          {"filter_id", Hex(s.header.filter_id)},
          {"creator", s.meta.creator},
          {"incarnation", s.header.incarnation},
          {"generation", s.header.generation},
          {"hash", Hex(s.header.policy_hash)},
          {"wall_time_us", s.header.wall_time},
          {"limits", std::move(limits)},
          {"tables", std::move(tables)},
          {"rulesets", std::move(rulesets)},
          {"states", std::move(states)},
          {"expectations", std::move(expectations)}};
}

std::string FormatRestoreLimits(const json& limits) {
  return absl::StrFormat(
      "an attempt fails without movement for: snapshot and builder %d ms, "
      "validation %d ms, commit %d ms\n"
      "failures are tried again for %d s; packets are held for %d ms at most\n",
      Number(limits, "queue_ms"), Number(limits, "validate_ms"),
      Number(limits, "commit_ms"), Number(limits, "give_up_ms") / 1000,
      Number(limits, "hold_ms"));
}

namespace {

// "a snapshot (vm1.snap in /srv, from then on), deadline 1000 ms, ..."
std::string WaitedFor(const json& restore, const json& waits) {
  const std::string what = Text(waits, "for");
  std::string text = what;
  if (what == "a snapshot") {
    if (Truth(restore, "in_folder")) {
      absl::StrAppend(&text, ", ", Text(restore, "filter"), ".snap in ",
                      Text(restore, "source"));
    } else {
      absl::StrAppend(&text, ", by `state import`");
    }
  }
  if (Has(waits, "in_ms")) {
    absl::StrAppend(&text, " in ", Number(waits, "in_ms"), " ms");
  }
  if (Has(waits, "deadline_ms")) {
    absl::StrAppend(&text, ", quiet for ", Number(waits, "quiet_ms"), " of ",
                    Number(waits, "deadline_ms"), " ms");
  }
  if (Has(waits, "gives_up_in_ms")) {
    absl::StrAppend(&text, ", gives up in ",
                    (Number(waits, "gives_up_in_ms") + 999) / 1000, " s");
  }
  return text;
}

}  // namespace

std::string FormatRestore(const json& restore) {
  std::string text = absl::StrFormat(
      "%s: incarnation %d, %s%s, fail %s%s\n", Text(restore, "filter"),
      Number(restore, "incarnation"), Text(restore, "state"),
      Truth(restore, "enabled") ? "" : ", disabled", Text(restore, "fail"),
      Has(restore, "source") ? ", source " + Text(restore, "source") : "");
  const json& waits = Member(restore, "waits");
  if (!waits.is_null()) {
    absl::StrAppend(&text, "   waits for ", WaitedFor(restore, waits), "\n");
    const json& before = Member(waits, "failed_before");
    if (!before.is_null()) {
      absl::StrAppend(&text, "   attempt ", Number(restore, "attempt") - 1,
                      " failed: ", Text(before, "failure"), ": ",
                      Text(before, "detail"), "\n");
    }
  }
  const json& last = Member(restore, "last");
  if (last.is_null()) return text;
  absl::StrAppend(&text, "   last: ", Text(last, "code"), " in incarnation ",
                  Number(last, "incarnation"));
  for (const char* member : {"failure", "detail"}) {
    if (Has(last, member)) absl::StrAppend(&text, ": ", Text(last, member));
  }
  const json& report = Member(last, "report");
  if (!report.is_null()) {
    absl::StrAppend(&text, ": ", Number(report, "states_imported"),
                    " states imported, ", Number(report, "states_merged"),
                    " merged, ", Number(report, "states_orphaned"),
                    " without their rule, ", Number(report, "states_refused"),
                    " refused");
  }
  return text + "\n";
}

std::string FormatMetrics(const json& metrics) {
  std::string text;
  for (const std::string_view path : kTransferMetrics) {
    absl::StrAppendFormat(&text, "%-28s %14d\n", std::string(path),
                          NumberAt(metrics, path));
  }
  for (const char* reason : {"expired", "failed", "cancelled"}) {
    absl::StrAppendFormat(
        &text, "%-28s %14d\n", absl::StrCat("hold.dropped.", reason),
        NumberAt(metrics, absl::StrCat("hold.dropped.", reason)));
  }
  for (const std::string_view path : kLabelled) {
    const json& counts = Object(metrics, path);
    for (const auto& [key, value] : counts.items()) {
      absl::StrAppendFormat(&text, "%-28s %14d\n",
                            absl::StrCat(std::string(path), ".", key),
                            Number(counts, key.c_str()));
    }
  }
  for (const std::string_view name : kTimes) {
    const json& time = Object(metrics, name);
    const uint64_t count = Number(time, "count");
    absl::StrAppendFormat(
        &text, "%-28s %14d, mean %d us, longest %d us\n", std::string(name),
        count, count == 0 ? 0 : Number(time, "sum_us") / count,
        Number(time, "longest_us"));
  }
  return text;
}

}  // namespace sluice
