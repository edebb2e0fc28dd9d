// What -s shows.
#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "dataplane/sluicectl/json_read.h"
#include "dataplane/sluicectl/tool.h"

namespace sluice {

using nlohmann::json;

// What --sort shows without --limit.
constexpr uint32_t kSortedStates = 100;

json Tool::RuleParams(const std::string& anchor) const {
  json params = json::object();
  if (!anchor.empty()) params["anchor"] = anchor;
  if (!arguments_.interface.empty()) {
    params["interface"] = arguments_.interface;
  }
  if (arguments_.flip_port_names) params["flip_port_names"] = true;
  if (detail_.verbose > 1) params["members"] = true;
  return params;
}

std::unique_ptr<json> Tool::Anchors(const std::string& anchor, bool below) {
  json params = json::object();
  if (!anchor.empty()) params["anchor"] = anchor;
  if (below) params["below"] = true;
  return Ask("anchors.show", std::move(params));
}

bool Tool::ShowRules() {
  output_.Title("FILTER RULES:");
  output_.BeginList("rules");
  const bool ok = ShowRulesOf(arguments_.anchor, 0, arguments_.children);
  output_.EndList();
  return ok;
}

bool Tool::ShowEther() {
  output_.Title("ETHERNET RULES:");
  output_.BeginList("ether");
  const bool ok =
      ShowRulesOf(arguments_.anchor, 0, arguments_.children, /*ether=*/true);
  output_.EndList();
  return ok;
}

// Unnamed anchors stand in braces behind their call, others if all below is
// asked for.
bool Tool::ShowRulesOf(const std::string& anchor, int depth, bool children,
                       bool ether) {
  // As deep as they may be nested, whatever the daemon says.
  if (depth > 64) return Fail("anchors are nested more than 64 deep");
  // All of it first: what is in braces is asked for in between.
  std::vector<json> rules;
  uint64_t uid = 0, pid = 0;
  json params = RuleParams(anchor);
  if (ether) params["ether"] = true;
  for (;;) {
    const auto page = Ask("rules.show", params);
    if (page == nullptr) return false;
    uid = Number(*page, "uid");
    pid = Number(*page, "pid");
    for (const json& rule : Member(*page, "rules")) rules.push_back(rule);
    std::string next = Text(*page, "next");
    if (next.empty()) break;
    params["cursor"] = std::move(next);
  }
  const std::string indent(
      detail_.verbose > 0 ? 0 : 2 * static_cast<size_t>(depth), ' ');
  for (json& rule : rules) {
    if (depth == 0 && arguments_.rule_number &&
        Number(rule, "number") != *arguments_.rule_number) {
      continue;
    }
    if (!Truth(rule, "calls_below")) children = false;
    const std::string calls = Text(rule, "calls");
    const bool braces = !calls.empty() && (Truth(rule, "calls_unnamed") ||
                                           arguments_.below);
    if (depth > 0) rule["anchor"] = anchor;
    output_.Element(rule);
    // As pfctl, which shows it where it is asked for details.
    const bool expired = Truth(rule, "expired");
    if (expired && detail_.verbose < 2) continue;
    std::string text = FormatRule(rule, detail_, uid, pid);
    if (expired) text.insert(text.find('\n'), " # expired");
    if (braces) text.insert(text.find('\n'), " {");
    output_.Print(indent + text);
    if (!braces) continue;
    if (!ShowRulesOf(calls, depth + 1, Truth(rule, "calls_below"), ether)) {
      return false;
    }
    output_.Print(indent + "}\n");
  }
  if (!children || !arguments_.below) return true;
  const auto below = Anchors(anchor, /*below=*/false);
  if (below == nullptr) return false;
  for (const json& child : Member(*below, "anchors")) {
    const std::string path = child.is_string() ? child.get<std::string>() : "";
    output_.Print(absl::StrCat(indent, "anchor \"",
                               path.substr(path.rfind('/') + 1), "\" all {\n"));
    if (!ShowRulesOf(path, depth + 1, false, ether)) return false;
    output_.Print(indent + "}\n");
  }
  return true;
}

// FreeBSD's rulesets before the filter's: nat, rdr, binat.
bool Tool::ShowNat() {
  json params = RuleParams(arguments_.anchor);
  params["translation"] = true;
  bool titled = false;
  return List("rules.show", params, "rules",
              [this, &titled](const json& rule, const json& page) {
                // OpenBSD's rulesets have none: no title for nothing.
                if (!std::exchange(titled, true)) {
                  output_.Title("TRANSLATION RULES:");
                }
                output_.Print(FormatRule(rule, detail_, Number(page, "uid"),
                                         Number(page, "pid")));
              });
}

bool Tool::ShowLabels() {
  output_.Title("LABEL COUNTERS:");
  output_.BeginList("labels");
  bool ok = ShowLabelsOf(arguments_.anchor);
  if (ok && arguments_.below) {
    const auto below = Anchors(arguments_.anchor, /*below=*/true);
    ok = below != nullptr;
    for (const json& path : below == nullptr ? json() : Member(*below, "anchors")) {
      ok = ok && path.is_string() && ShowLabelsOf(path.get<std::string>());
    }
  }
  output_.EndList();
  return ok;
}

bool Tool::ShowLabelsOf(const std::string& anchor) {
  json params = RuleParams(anchor);
  for (;;) {
    const auto page = Ask("labels.show", params);
    if (page == nullptr) return false;
    for (json label : Member(*page, "labels")) {
      if (anchor != arguments_.anchor) label["anchor"] = anchor;
      output_.Element(label);
      output_.Print(FormatLabel(label));
    }
    std::string next = Text(*page, "next");
    if (next.empty()) return true;
    params["cursor"] = std::move(next);
  }
}

bool Tool::ShowAnchors() {
  const bool below = arguments_.verbose > 0 || arguments_.below;
  const auto result = Anchors(arguments_.anchor, below);
  if (result == nullptr) return false;
  output_.Put("anchors", Member(*result, "anchors"));
  for (const json& path : Member(*result, "anchors")) {
    const std::string text = path.is_string() ? path.get<std::string>() : "";
    // Unnamed ones are the ruleset's own affair.
    if (text.starts_with('_') && arguments_.verbose == 0) continue;
    output_.Print(absl::StrCat("  ", text, "\n"));
  }
  return true;
}

// The status says it too, for scripts: 0 if it is.
bool Tool::ShowRunning() {
  const auto info = Ask("info.show", json::object());
  if (info == nullptr) return false;
  const bool enabled = Truth(*info, "enabled");
  output_.Put("running", enabled);
  output_.Print(enabled ? "Enabled\n" : "Disabled\n");
  if (!enabled) status_ = 1;
  return true;
}

bool Tool::ShowStates() {
  output_.Title("STATES:");
  const StateConditions& conditions = arguments_.states;
  json params = StateParams(conditions);
  if (!arguments_.interface.empty()) {
    params["interface"] = arguments_.interface;
  }
  if (conditions.count) {
    const auto count = Ask("states.count", std::move(params));
    if (count == nullptr) return false;
    output_.Put("states_count", *count);
    output_.Print(FormatStateCount(*count));
    return true;
  }
  if (!conditions.sort.empty()) {
    params["sort"] = conditions.sort;
    params["limit"] = conditions.limit.value_or(kSortedStates);
  }
  return List("states.show", std::move(params), "states",
              [this](const json& state, const json&) {
                output_.Print(FormatState(state, detail_));
              },
              conditions.limit);
}

bool Tool::ShowSources() {
  output_.Title("SOURCE TRACKING NODES:");
  return List("sources.show", json::object(), "sources",
              [this](const json& source, const json&) {
                output_.Print(FormatSource(source, detail_));
              });
}

bool Tool::ShowLimiters(bool by_source) {
  output_.Title(by_source ? "SOURCE LIMITERS:" : "STATE LIMITERS:");
  bool first = true;
  return List("limiters.show", json::object(), "limiters",
              [&](const json& limiter, const json&) {
                if ((Text(limiter, "kind") == "source") != by_source) return;
                if (std::exchange(first, false)) {
                  output_.Print(LimiterTitle(by_source));
                }
                output_.Print(FormatLimiter(limiter));
              });
}

bool Tool::ShowFingerprints() {
  output_.Title("OS FINGERPRINTS:");
  bool first = true;
  return List("fingerprints.show", json::object(), "systems",
              [&](const json& system, const json& page) {
                const bool begins = std::exchange(first, false);
                // Among others, only how many there are.
                if (arguments_.show == Show::kAll) {
                  if (!begins) return;
                  output_.Print(absl::StrCat(Number(page, "fingerprints"),
                                             " fingerprints loaded\n"));
                  return;
                }
                if (begins) {
                  output_.Print("Class\tVersion\tSubtype(subversion)\n"
                                "-----\t-------\t-------------------\n");
                }
                std::string line;
                for (const char* part : {"class", "version", "subtype"}) {
                  const std::string name = Text(system, part);
                  if (!name.empty()) absl::StrAppend(&line, name, "\t");
                }
                output_.Print(line + "\n");
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
                const std::string anchor = Text(table, "anchor");
                const std::string& wanted = arguments_.anchor;
                const bool below =
                    wanted.empty() || anchor.starts_with(wanted + "/");
                if (anchor != wanted && !(arguments_.below && below)) return;
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
    case Show::kEther:
      return ShowEther();
    case Show::kNat:
      return ShowNat();
    case Show::kRules:
      return ShowRules();
    case Show::kStates:
      return ShowStates();
    case Show::kSources:
      return ShowSources();
    case Show::kLimiterStates:
      return ShowLimiters(/*by_source=*/false);
    case Show::kLimiterSources:
      return ShowLimiters(/*by_source=*/true);
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
    case Show::kFingerprints:
      return ShowFingerprints();
    case Show::kCommits:
      return ShowCommits();
    case Show::kAnchors:
      return ShowAnchors();
    case Show::kRunning:
      return ShowRunning();
    case Show::kAll:
      return ShowAll();
  }
  return false;
}

bool Tool::ShowAll() {
  output_.set_titles();
  bool ok = true;
  for (Show show : {Show::kNat, Show::kRules, Show::kStates, Show::kSources,
                    Show::kInfo, Show::kLabels, Show::kTimeouts, Show::kMemory, Show::kTables,
                    Show::kFingerprints}) {
    ok = ShowOne(show) && ok;
  }
  return ok;
}

}  // namespace sluice
