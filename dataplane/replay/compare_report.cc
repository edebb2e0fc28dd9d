// What sluice-replay says of two rulesets.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "conntrack/state_names.h"
#include "dataplane/replay/compare.h"
#include "pftable/print/printer.h"
#include "pftable/store/policy_listing.h"

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

// Of a group, flows that the summary names.
constexpr size_t kMostShown = 3;

bool IsPorted(uint8_t proto) {
  return proto == protocol::kTcp || proto == protocol::kUdp ||
         proto == protocol::kSctp;
}

std::string EndOfFlow(Family family, const std::array<uint8_t, 16>& bytes,
                      std::optional<uint16_t> port) {
  const std::string host = ToString(Address::FromBytes(family, bytes.data()));
  if (!port) return host;
  return family == Family::kIpv6 ? absl::StrCat("[", host, "]:", *port)
                                 : absl::StrCat(host, ":", *port);
}

std::string FlowText(const PacketInfo& info) {
  if (info.kind != Kind::kIp) return "frames that are no IP packets";
  const bool ports = IsPorted(info.proto) && !info.has(kFragment);
  const auto port = [&](Be16 value) {
    return ports ? std::optional(value.host()) : std::nullopt;
  };
  return absl::StrCat(
      ProtocolName(info.proto), " ",
      EndOfFlow(info.family, info.source, port(info.source_port)), " > ",
      EndOfFlow(info.family, info.destination, port(info.destination_port)),
      info.has(kFragment) ? " fragments" : "");
}

std::string Counted(uint64_t count, const char* what) {
  return absl::StrCat(count, " ", what, count == 1 ? "" : "s");
}

}  // namespace

uint64_t Comparison::changed() const {
  return static_cast<uint64_t>(
      std::count_if(flows_.begin(), flows_.end(), [](const auto& entry) {
        return entry.second.changed_packets > 0;
      }));
}

std::string Comparison::PortName(uint16_t port) const {
  return sides_[0].simulation->ports()[port].name;
}

std::map<uint32_t, Comparison::RuleText> Comparison::RulesOf(
    size_t side) const {
  std::map<uint32_t, RuleText> rules;
  const PolicyListing listing(sides_[side].simulation->store());
  for (const RuleStatus& status : listing.AllRules()) {
    rules[status.rule.slot] = {.anchor = status.rule.anchor,
                               .number = status.rule.number,
                               .text = PrintRule(*status.rule.rule)};
  }
  return rules;
}

// The largest first, then in the order of the captures.
std::vector<Comparison::Group> Comparison::Groups() const {
  std::map<std::tuple<Fate, Fate, bool>, Group> groups;
  for (const auto& [key, flow] : flows_) {
    if (flow.changed_packets == 0) continue;
    const bool readdressed = flow.fates[0].passed && flow.fates[1].passed;
    Group& group = groups[{flow.fates[0], flow.fates[1], readdressed}];
    group.fates = flow.fates;
    group.readdressed = readdressed;
    group.flows.push_back(&flow);
    group.packets += flow.changed_packets;
  }
  std::vector<Group> sorted;
  for (auto& [key, group] : groups) {
    std::sort(group.flows.begin(), group.flows.end(),
              [](const Flow* a, const Flow* b) {
                return a->changed_at < b->changed_at;
              });
    sorted.push_back(std::move(group));
  }
  std::sort(sorted.begin(), sorted.end(), [](const Group& a, const Group& b) {
    return std::tuple(b.flows.size(), a.flows[0]->changed_at) <
           std::tuple(a.flows.size(), b.flows[0]->changed_at);
  });
  return sorted;
}

std::string Comparison::JsonReport() const {
  Json groups = Json::array();
  const std::map<uint32_t, RuleText> rules[2] = {RulesOf(0), RulesOf(1)};
  for (const Group& group : Groups()) {
    const auto side = [&](size_t i) {
      const Fate& fate = group.fates[i];
      Json told = {{"fate", fate.passed ? "pass" : fate.held ? "hold"
                                                             : "drop"}};
      if (!fate.passed && !fate.held) {
        told["reason"] = std::string(Name(fate.reason));
      }
      if (!fate.rule) return told;
      told["judged"] = absl::StrCat(fate.rule->out ? "out@" : "in@",
                                    PortName(fate.rule->port));
      const auto rule = rules[i].find(fate.rule->rule_slot);
      if (rule == rules[i].end()) return told;
      told["rule"] = {{"anchor", rule->second.anchor},
                      {"number", rule->second.number},
                      {"text", rule->second.text}};
      return told;
    };
    Json named = Json::array();
    for (size_t i = 0; i < std::min(group.flows.size(), kMaxNamed); ++i) {
      const Flow& flow = *group.flows[i];
      Json one = {{"flow", FlowText(flow.first)},
                  {"first_packet", flow.first_packet},
                  {"packets", flow.packets},
                  {"changed_packets", flow.changed_packets},
                  {"changed_at", flow.changed_at}};
      if (group.readdressed) {
        for (const size_t k : {0, 1}) {
          const Leaving& as = flow.leaving[k];
          one[k == 0 ? "old_leaves" : "new_leaves"] = absl::StrCat(
              EndOfFlow(as.family, as.source, std::nullopt), " > ",
              EndOfFlow(as.family, as.destination, as.destination_port));
        }
      }
      named.push_back(std::move(one));
    }
    groups.push_back({{"old", side(0)},
                      {"new", side(1)},
                      {"readdressed", group.readdressed},
                      {"flows", group.flows.size()},
                      {"changed_packets", group.packets},
                      {"named", std::move(named)}});
  }
  const Json report = {{"old", options_.rules_file},
                       {"new", options_.compare_file},
                       {"packets", packets_},
                       {"cut", cut_},
                       {"flows", flows_.size()},
                       {"changed_flows", changed()},
                       {"groups", std::move(groups)}};
  return report.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string Comparison::Summary() const {
  std::string text = absl::StrCat(
      Counted(flows_.size(), "flow"), " of ", Counted(packets_, "packet"),
      ": ", changed(), changed() == 1 ? " changes its" : " change their",
      " fate\n");
  const std::map<uint32_t, RuleText> rules[2] = {RulesOf(0), RulesOf(1)};
  for (const Group& group : Groups()) {
    const auto fate = [&](size_t i) {
      const Fate& f = group.fates[i];
      return f.passed ? std::string("pass")
             : f.held ? std::string("hold")
                      : absl::StrCat("drop ", std::string(Name(f.reason)));
    };
    absl::StrAppend(&text, "\n", Counted(group.flows.size(), "flow"), ", ",
                    Counted(group.packets, "packet"), ": ",
                    group.readdressed ? "pass, with other addresses"
                                      : absl::StrCat(fate(0), " -> ", fate(1)),
                    "\n");
    for (const size_t i : {0, 1}) {
      const std::optional<Decision>& rule = group.fates[i].rule;
      absl::StrAppend(&text, i == 0 ? "  old: " : "  new: ");
      const auto found = rule ? rules[i].find(rule->rule_slot)
                              : rules[i].end();
      if (found == rules[i].end()) {
        absl::StrAppend(&text, "no rule\n");
        continue;
      }
      absl::StrAppend(&text, found->second.anchor, "@", found->second.number,
                      " ", found->second.text, "  # ",
                      rule->out ? "out@" : "in@", PortName(rule->port), "\n");
    }
    for (size_t i = 0; i < std::min(group.flows.size(), kMostShown); ++i) {
      const Flow& flow = *group.flows[i];
      absl::StrAppend(&text, "    ", FlowText(flow.first), ", ",
                      Counted(flow.changed_packets, "packet"), " from packet ",
                      flow.changed_at, "\n");
    }
    if (group.flows.size() > kMostShown) {
      absl::StrAppend(&text, "    and ", group.flows.size() - kMostShown,
                      " more\n");
    }
  }
  if (cut_ != 0) {
    absl::StrAppend(&text, "\n", Counted(cut_, "packet"),
                    " of which the capture has only the beginning: left out\n");
  }
  return text;
}

}  // namespace sluice
