// What -s shows.
#include <algorithm>
#include <utility>

#include "dataplane/sluicectl/json_read.h"
#include "dataplane/sluicectl/tool.h"

namespace sluice {

using nlohmann::json;

json Tool::RuleParams() const {
  json params = json::object();
  if (!arguments_.anchor.empty()) params["anchor"] = arguments_.anchor;
  if (!arguments_.interface.empty()) {
    params["interface"] = arguments_.interface;
  }
  if (arguments_.flip_port_names) params["flip_port_names"] = true;
  return params;
}

bool Tool::ShowRules() {
  output_.Title("FILTER RULES:");
  return List("rules.show", RuleParams(), "rules",
              [this](const json& rule, const json& page) {
                if (arguments_.rule_number &&
                    Number(rule, "number") != *arguments_.rule_number) {
                  return;
                }
                output_.Print(FormatRule(rule, detail_, Number(page, "uid"),
                                         Number(page, "pid")));
              });
}

bool Tool::ShowLabels() {
  output_.Title("LABEL COUNTERS:");
  return List("labels.show", RuleParams(), "labels",
              [this](const json& label, const json&) {
                output_.Print(FormatLabel(label));
              });
}

bool Tool::ShowStates() {
  output_.Title("STATES:");
  json params = json::object();
  if (!arguments_.interface.empty()) {
    params["interface"] = arguments_.interface;
  }
  return List("states.show", std::move(params), "states",
              [this](const json& state, const json&) {
                output_.Print(FormatState(state, detail_));
              });
}

bool Tool::ShowSources() {
  output_.Title("SOURCE TRACKING NODES:");
  return List("sources.show", json::object(), "sources",
              [this](const json& source, const json&) {
                output_.Print(FormatSource(source, detail_));
              });
}

bool Tool::ShowInfo() {
  output_.Title("INFO:");
  const auto info = Ask("info.show", json::object());
  if (info == nullptr) return false;
  output_.Put("info", *info);
  output_.Print(FormatInfo(*info, detail_));
  return true;
}

bool Tool::ShowInterfaces() {
  const auto result = Ask("interfaces.show", json::object());
  if (result == nullptr) return false;
  const std::string& wanted = arguments_.interface;
  output_.BeginList("interfaces");
  for (const json& interface : Member(*result, "interfaces")) {
    const json& groups = Member(interface, "groups");
    const bool in_group =
        std::find(groups.begin(), groups.end(), json(wanted)) != groups.end();
    if (!wanted.empty() && Text(interface, "name") != wanted && !in_group) {
      continue;
    }
    output_.Element(interface);
    output_.Print(FormatInterface(interface, detail_));
  }
  output_.EndList();
  return true;
}

bool Tool::ShowTables() {
  output_.Title("TABLES:");
  return List("tables.list", json::object(), "tables",
              [this](const json& table, const json&) {
                if (!arguments_.anchor.empty() &&
                    Text(table, "anchor") != arguments_.anchor) {
                  return;
                }
                output_.Print(FormatTable(table, detail_));
              });
}

bool Tool::ShowCommits() {
  output_.Title("COMMITS:");
  const auto result = Ask("commits.show", json::object());
  if (result == nullptr) return false;
  output_.Put("commits", *result);
  output_.Print(FormatCommits(*result));
  return true;
}

bool Tool::ShowOne(Show show) {
  switch (show) {
    case Show::kRules:
      return ShowRules();
    case Show::kStates:
      return ShowStates();
    case Show::kSources:
      return ShowSources();
    case Show::kInfo:
      return ShowInfo();
    case Show::kInterfaces:
      return ShowInterfaces();
    case Show::kLabels:
      return ShowLabels();
    case Show::kTimeouts:
      output_.Title("TIMEOUTS:");
      return List("timeouts.show", json::object(), "timeouts",
                  [this](const json& timeout, const json&) {
                    output_.Print(FormatTimeout(timeout));
                  });
    case Show::kMemory:
      output_.Title("LIMITS:");
      return List("limits.show", json::object(), "limits",
                  [this](const json& limit, const json&) {
                    output_.Print(FormatLimit(limit));
                  });
    case Show::kTables:
      return ShowTables();
    case Show::kCommits:
      return ShowCommits();
    case Show::kAll:
      return ShowAll();
  }
  return false;
}

bool Tool::ShowAll() {
  output_.set_titles();
  bool ok = true;
  for (Show show : {Show::kRules, Show::kStates, Show::kSources, Show::kInfo,
                    Show::kLabels, Show::kTimeouts, Show::kMemory, Show::kTables}) {
    ok = ShowOne(show) && ok;
  }
  return ok;
}

}  // namespace sluice
