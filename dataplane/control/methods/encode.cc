#include "dataplane/control/methods/encode.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "dataplane/control/methods/params.h"
#include "nlohmann/json.hpp"
#include "pftable/policy/names.h"

namespace sluice {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, kTableCounterCount> kTableCounterNames =
    {"block", "match", "pass", "xpass"};

// Numbers of 64 bits that are not counts go as hexadecimal text: many JSON
// readers keep 53 bits only.
std::string Hex64(uint64_t value) { return absl::StrFormat("%016x", value); }
std::string Hex32(uint32_t value) { return absl::StrFormat("%08x", value); }

json Count(uint64_t packets, uint64_t bytes) {
  return {{"packets", packets}, {"bytes", bytes}};
}

json ToJson(const TableTraffic& traffic) {
  json value;
  for (size_t direction = 0; direction < 2; ++direction) {
    json& side = value[direction == 0 ? "in" : "out"];
    for (size_t i = 0; i < kTableCounterCount; ++i) {
      side[std::string(kTableCounterNames[i])] =
          Count(traffic.packets[direction][i], traffic.bytes[direction][i]);
    }
  }
  return value;
}

json ToJson(const InterfaceTraffic& traffic) {
  json value;
  for (size_t family = 0; family < 2; ++family) {
    for (size_t direction = 0; direction < 2; ++direction) {
      json& side =
          value[family == 0 ? "inet" : "inet6"][direction == 0 ? "in" : "out"];
      for (size_t verdict = 0; verdict < 2; ++verdict) {
        side[verdict == 0 ? "pass" : "block"] =
            Count(traffic.packets[family][direction][verdict],
                  traffic.bytes[family][direction][verdict]);
      }
    }
  }
  return value;
}

json ToJson(const StateEndpoints& endpoints) {
  return {{"source", ToString(endpoints.source)},
          {"source_port", endpoints.source_port},
          {"destination", ToString(endpoints.destination)},
          {"destination_port", endpoints.destination_port}};
}

json ToJson(const StatePeerListing& peer, bool tcp) {
  json value = {{"state", peer.state}};
  if (tcp) {
    value["sequence_low"] = peer.sequence_low;
    value["sequence_high"] = peer.sequence_high;
    value["sequence_difference"] = peer.sequence_difference;
    value["window_scale"] = peer.window_scale;
  }
  return value;
}

std::string_view Name(TableFeedback change) {
  switch (change) {
    case TableFeedback::kNone:
      return "none";
    case TableFeedback::kAdded:
      return "added";
    case TableFeedback::kDeleted:
      return "deleted";
    case TableFeedback::kChanged:
      return "changed";
    case TableFeedback::kCleared:
      return "cleared";
    case TableFeedback::kDuplicate:
      return "duplicate";
    case TableFeedback::kConflict:
      return "conflict";
  }
  return "none";
}

}  // namespace

json ToJson(const std::vector<NamedCounter>& counters) {
  json value = json::array();
  for (const NamedCounter& counter : counters) {
    value.push_back({{"name", counter.name}, {"value", counter.value}});
  }
  return value;
}

json ToJson(const RuleListing& rule) {
  const RuleCounterValues& c = rule.counters;
  json value = {{"number", rule.number},
                {"text", rule.text},
                {"evaluations", c.evaluations},
                {"in", Count(c.packets[0], c.bytes[0])},
                {"out", Count(c.packets[1], c.bytes[1])},
                {"states", c.states},
                {"state_creations", c.state_creations},
                {"state_mismatches", c.state_mismatches}};
  if (!rule.labels.empty()) value["labels"] = rule.labels;
  if (!rule.calls.empty()) {
    value["calls"] = rule.calls;
    if (rule.calls_below) value["calls_below"] = true;
    if (rule.calls_unnamed) value["calls_unnamed"] = true;
  }
  if (rule.expired) value["expired"] = true;
  return value;
}

namespace {

json ToJson(const StateRouteListing& route) {
  json value = {{"kind", Name(route.kind)}};
  if (route.gateway.family != Family::kNone) {
    value["gateway"] = ToString(route.gateway);
  }
  if (!route.interface.empty()) value["interface"] = route.interface;
  return value;
}

}  // namespace

json ToJson(const StateListing& state) {
  constexpr uint8_t kTcp = 6;
  json value = {
      {"id", Hex64(state.id)},
      {"creator", Hex32(state.creator_id)},
      {"interface", state.interface},
      {"protocol", state.protocol},
      {"direction", state.direction == Direction::kIn ? "in" : "out"},
      {"before", ToJson(state.before)},
      {"source", ToJson(state.source, state.protocol == kTcp)},
      {"destination", ToJson(state.destination, state.protocol == kTcp)},
      {"age", state.age},
      {"expires", state.expires},
      {"forward", Count(state.packets[0], state.bytes[0])},
      {"backward", Count(state.packets[1], state.bytes[1])}};
  if (state.vlan.IsSet()) value["vlan"] = ToString(state.vlan);
  if (state.after != state.before) value["after"] = ToJson(state.after);
  if (state.rule) value["rule"] = *state.rule;
  if (!state.tag.empty()) value["tag"] = state.tag;
  if (state.sloppy) value["sloppy"] = true;
  if (state.no_sync) value["no_sync"] = true;
  if (state.route) value["route"] = ToJson(*state.route);
  if (state.parent_id != 0) value["parent"] = Hex64(state.parent_id);
  for (const ExpectedListing& expected : state.expected) {
    value["expected"].push_back(
        {{"source", ToString(expected.source)},
         {"source_port", expected.source_port},
         {"destination", ToString(expected.destination)},
         {"destination_port", expected.destination_port},
         {"expires", expected.expires}});
  }
  return value;
}

json ToJson(const TableListing& table) {
  json value = {{"name", table.name},
                {"const", table.is_const},
                {"persist", table.persist},
                {"active", table.active},
                {"referenced", table.referenced},
                {"counters", table.counters},
                {"addresses", table.addresses},
                {"rules", table.rules},
                {"cleared", table.cleared},
                {"match", table.match},
                {"no_match", table.no_match},
                {"traffic", ToJson(table.traffic)}};
  if (!table.anchor.empty()) value["anchor"] = table.anchor;
  return value;
}

json ToJson(const TableAddressListing& address) {
  json value = {{"address", ToString(address.entry)}};
  if (address.entry.weight != 0) value["weight"] = address.entry.weight;
  if (address.cleared != 0) value["cleared"] = address.cleared;
  if (address.traffic) value["traffic"] = ToJson(*address.traffic);
  return value;
}

json ToJson(const TableEditResult& result) {
  json value = {{"added", result.added},
                {"deleted", result.deleted},
                {"changed", result.changed},
                {"table_created", result.table_created},
                {"tables_deleted", result.tables_deleted},
                {"tables_zeroed", result.tables_zeroed},
                {"addresses_zeroed", result.addresses_zeroed},
                {"addresses", result.addresses}};
  if (!result.changes.empty()) {
    json& changes = value["changes"] = json::array();
    for (const auto& [entry, change] : result.changes) {
      changes.push_back({{"address", ToString(entry)},
                         {"change", std::string(Name(change))}});
    }
  }
  return value;
}

json ToJson(const SourceListing& source) {
  json value = {{"source", ToString(source.source)},
                {"target", ToString(source.target)},
                {"use", source.use},
                {"states", source.states},
                {"connections", source.connections},
                {"rate", source.rate},
                {"rate_seconds", source.rate_seconds},
                {"age", source.age},
                {"expires", source.expires},
                {"packets", source.packets},
                {"bytes", source.bytes}};
  if (source.vlan.IsSet()) value["vlan"] = ToString(source.vlan);
  if (source.rule) value["rule"] = *source.rule;
  return value;
}

json ToJson(const LimiterListing& limiter) {
  json value = {{"name", limiter.name},
                {"kind", limiter.by_source ? "source" : "state"},
                {"id", limiter.id},
                {"limit", limiter.limit},
                {"rate", limiter.rate},
                {"rate_seconds", limiter.rate_seconds},
                {"states", limiter.states},
                {"admitted", limiter.admitted},
                {"hardlimited", limiter.full},
                {"ratelimited", limiter.too_fast}};
  if (limiter.by_source) {
    value["entries"] = limiter.entries;
    value["sources"] = limiter.sources;
    value["addrlimited"] = limiter.no_address;
  }
  return value;
}

json ToJson(const TableMatch& result) {
  json value = {{"address", ToString(result.address)}, {"match", result.match}};
  if (result.entry) value["entry"] = ToString(*result.entry);
  return value;
}

json ToJson(const CommitListing& commit) {
  json value = {{"generation", commit.generation}, {"when", commit.when},
          {"what", commit.what},             {"uid", commit.uid},
          {"pid", commit.pid},               {"hash", commit.hash},
          {"rules", commit.rules},           {"build_ms", commit.build_ms},
          {"kept", commit.is_kept}};
  if (!commit.together.empty()) value["together"] = commit.together;
  return value;
}

namespace {

json ToJson(const ExplainedWayListing& way) {
  json value = {{"router", way.router}, {"by", way.by}, {"type", way.type}};
  if (!way.prefix.empty()) value["prefix"] = way.prefix;
  if (!way.reason.empty()) value["reason"] = way.reason;
  if (way.port.empty()) return value;
  value["port"] = way.port;
  value["next_hop"] = way.next_hop;
  value["gateway"] = way.gateway;
  value["neighbor"] = way.neighbor;
  if (!way.mac.empty()) value["mac"] = way.mac;
  return value;
}

}  // namespace

json ToJson(const ExplainResult& result) {
  json rules = json::array();
  for (const ExplainedRuleListing& rule : result.rules) {
    json one = {{"anchor", rule.anchor}, {"number", rule.number},
                {"depth", rule.depth},   {"text", rule.text},
                {"matched", rule.failed.empty()},
                {"decides", rule.decides}};
    if (!rule.failed.empty()) one["failed"] = rule.failed;
    if (!rule.tag.empty()) one["tag"] = rule.tag;
    if (!rule.labels.empty()) one["labels"] = rule.labels;
    for (const ExplainedTableListing& table : rule.tables) {
      json told = {{"table", table.table},
                   {"anchor", table.anchor},
                   {"of", table.is_source ? "source" : "destination"}};
      if (table.entry) told["entry"] = ToString(*table.entry);
      one["tables"].push_back(std::move(told));
    }
    rules.push_back(std::move(one));
  }
  json value = {{"passes", result.passes},
                {"skipped", result.skipped},
                {"keeps_state", result.keeps_state},
                {"rules", std::move(rules)},
                {"met", result.met},
                {"left_out", result.left_out}};
  if (result.generation != 0) value["generation"] = result.generation;
  if (!result.reason.empty()) value["reason"] = result.reason;
  if (!result.tag.empty()) value["tag"] = result.tag;
  if (result.way) value["way"] = ToJson(*result.way);
  if (result.copy) value["copy"] = ToJson(*result.copy);
  if (result.translated) {
    const PacketInfo& packet = *result.translated;
    json told = {{"source", ToString(packet.source_address())},
                 {"destination", ToString(packet.destination_address())},
                 {"protocol", packet.proto},
                 {"guessed_address", result.guessed_address},
                 {"guessed_port", result.guessed_port}};
    const bool ports = packet.proto == protocol::kTcp ||
                       packet.proto == protocol::kUdp ||
                       packet.proto == protocol::kSctp;
    if (ports) {
      told["source_port"] = packet.source_port.host();
      told["destination_port"] = packet.destination_port.host();
    }
    if (packet.proto == protocol::kIcmp || packet.proto == protocol::kIcmp6) {
      told["icmp_type"] = packet.icmp_type;
      told["icmp_code"] = packet.icmp_code;
    }
    value["translated"] = std::move(told);
  }
  return value;
}

json ToJson(const ClassifierInfo& info) {
  json value = {{"compiled", info.compiled},
                {"counters", ToJson(info.counters)},
                {"parts", json::array()}};
  for (const ClassifierInfo::Part& part : info.parts) {
    json one = {
        {"direction", part.direction == Direction::kIn ? "in" : "out"},
        {"family", part.family == Family::kIpv4 ? "inet" : "inet6"},
        {"compiled", part.compiled}};
    if (!part.compiled) {
      one["why"] = part.why;
      one["slow"] = part.is_slow;
    }
    value["parts"].push_back(std::move(one));
  }
  return value;
}

json ToJson(const FilterInfo& info) {
  json value = {{"enabled", info.enabled},
                {"debug", info.debug},
                {"host_id", Hex32(info.host_id)},
                {"checksum", info.checksum},
                {"generation", info.generation},
                {"states", info.states},
                {"half_open_states", info.half_open_states},
                {"state_counters", ToJson(info.state_counters)},
                {"source_nodes", info.source_nodes},
                {"source_counters", ToJson(info.source_counters)},
                {"drop_counters", ToJson(info.drop_counters)},
                {"limit_counters", ToJson(info.limit_counters)},
                {"decided", info.decided},
                {"tftp_counters", ToJson(info.tftp_counters)},
                {"ftp_counters", ToJson(info.ftp_counters)},
                {"sctp_counters", ToJson(info.sctp_counters)},
                {"fragment_counters", ToJson(info.fragment_counters)},
                {"flow_counters", ToJson(info.flow_counters)},
                {"packet_counters", ToJson(info.packet_counters)},
                {"classifier", ToJson(info.classifier)}};
  if (info.since) value["since"] = *info.since;
  if (!info.not_carried_out.empty()) {
    value["not_carried_out"] = info.not_carried_out;
  }
  if (!info.log_interface.empty()) {
    value["log_interface"] = {{"name", info.log_interface},
                              {"traffic", ToJson(info.log_traffic)}};
  }
  return value;
}

json ToJson(const InterfaceListing& interface) {
  json value = {
      {"name", interface.name},       {"groups", interface.groups},
      {"skip", interface.skip},       {"is_group", interface.is_group},
      {"cleared", interface.cleared}, {"states", interface.states},
      {"rules", interface.rules},     {"traffic", ToJson(interface.traffic)}};
  if (interface.link_up) value["link_up"] = *interface.link_up;
  if (interface.incarnation) value["incarnation"] = *interface.incarnation;
  return value;
}

json ToJson(const TimeoutListing& timeout) {
  const bool states = timeout.timeout == Timeout::kAdaptiveStart ||
                      timeout.timeout == Timeout::kAdaptiveEnd;
  return {{"name",
           std::string(kTimeoutNames[static_cast<size_t>(timeout.timeout)])},
          {"value", timeout.value},
          {"unit", states ? "states" : "s"}};
}

json ToJson(const LimitListing& limit) {
  return {{"name", std::string(kLimitNames[static_cast<size_t>(limit.limit)])},
          {"value", limit.value},
          {"in_use", limit.in_use},
          {"alarms", limit.alarms}};
}

}  // namespace sluice
