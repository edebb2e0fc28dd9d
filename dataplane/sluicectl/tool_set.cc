// Several --filter: one commit of all of them.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "dataplane/sluicectl/json_read.h"
#include "dataplane/sluicectl/ruleset_file.h"
#include "dataplane/sluicectl/tool.h"

namespace sluice {

using nlohmann::json;

namespace {

// Each once, in the order of the command line.
std::vector<std::string> NamesOf(const std::vector<FilterPart>& set) {
  std::vector<std::string> names;
  for (const FilterPart& part : set) {
    if (std::ranges::find(names, part.filter) == names.end()) {
      names.push_back(part.filter);
    }
  }
  return names;
}

}  // namespace

Arguments Tool::ArgumentsOf(const FilterPart& part) const {
  Arguments arguments = arguments_;
  arguments.set.clear();
  arguments.filter = part.filter;
  arguments.anchor = part.anchor;
  arguments.file = part.file;
  arguments.only_if = part.only_if;
  arguments.table = part.table;
  arguments.table_action = part.table_action;
  return arguments;
}

bool Tool::RunSet() {
  if (arguments_.no_action) return CheckSet();
  if (arguments_.rollback) return RollbackSet();
  if (!arguments_.confirm_commit) return LoadSet();
  // That of one is that of all.
  const auto result =
      Ask("ruleset.confirm", {{"filter", arguments_.set.front().filter}});
  if (result == nullptr) return false;
  output_.Put("ruleset.confirm", *result);
  output_.Say("the rulesets are confirmed");
  return true;
}

bool Tool::CheckSet() {
  bool ok = true;
  for (const FilterPart& part : arguments_.set) {
    const Arguments arguments = ArgumentsOf(part);
    if (!part.table_action) {
      ok = CheckOf(arguments) && ok;
      continue;
    }
    const auto entries = ReadEntries(arguments, in_);
    if (!entries.ok()) ok = Fail(std::string(entries.status().message()));
  }
  return ok;
}

bool Tool::AddPart(const FilterPart& part, json* filters) {
  const Arguments arguments = ArgumentsOf(part);
  json* filter = nullptr;
  for (json& one : *filters) {
    if (one["filter"] == part.filter) filter = &one;
  }
  if (filter == nullptr) {
    filters->push_back({{"filter", part.filter}});
    filter = &filters->back();
  }
  if (part.only_if) (*filter)["only_if"] = *part.only_if;
  if (!part.table_action) {
    auto ruleset = RulesetParams(arguments, *part.file);
    if (ruleset == nullptr) return false;
    if (arguments_.diff) (*ruleset)["diff"] = true;
    if (arguments_.verbose > 0) {
      (*ruleset)["lint"] = true;
      (*ruleset)["print"] = arguments_.verbose;
      if (arguments_.flip_port_names) (*ruleset)["flip_port_names"] = true;
    }
    (*filter)["rulesets"].push_back(std::move(*ruleset));
    return true;
  }
  const auto entries = ReadEntries(arguments, in_);
  if (!entries.ok()) return Fail(std::string(entries.status().message()));
  const char* const verb = part.table_action == TableAction::kAdd ? "add"
                           : part.table_action == TableAction::kDelete
                               ? "delete"
                               : "replace";
  json table = {{"table", part.table},
                {"do", verb},
                {"addresses", EntryTexts(*entries)}};
  if (!part.anchor.empty()) table["anchor"] = part.anchor;
  (*filter)["tables"].push_back(std::move(table));
  return true;
}

bool Tool::LoadSet() {
  const bool compares = arguments_.diff || arguments_.show_blocked;
  json params = {{"filters", json::array()}};
  for (const FilterPart& part : arguments_.set) {
    if (AddPart(part, &params["filters"])) continue;
    return Fail("nothing was changed, the old rules stay in force at all of "
                "the filters");
  }
  if (compares) params["dry_run"] = true;
  if (arguments_.show_blocked) params["blocked"] = "show";
  if (arguments_.kill_blocked) params["blocked"] = "kill";
  if (arguments_.confirm) params["confirm_within"] = *arguments_.confirm;
  const auto result = Ask("commit.load", std::move(params));
  if (result == nullptr) return false;
  output_.Put(compares ? "compare" : "commit", *result);
  for (const json& filter : Member(*result, "filters")) {
    const std::string name = Text(filter, "filter");
    ShowWarnings(filter);
    output_.Print(Text(filter, "text"));
    if (output_.json()) continue;
    if (arguments_.diff && Has(filter, "diff")) {
      output_.Print(absl::StrCat("--- filter ", name, " in force, generation ",
                                 Number(filter, "generation"), "\n+++ filter ",
                                 name, "\n",
                                 Text(Member(filter, "diff"), "text")));
    } else if (arguments_.diff) {
      output_.Say(absl::StrCat("filter ", name,
                               ": nothing in the ruleset would change"));
    }
    const json& blocked = Member(filter, "blocked");
    if (arguments_.show_blocked) {
      std::string text;
      for (const json& state : Member(blocked, "states")) {
        text += FormatState(state, detail_);
      }
      output_.Print(text);
      output_.Say(absl::StrCat("filter ", name, ": ",
                               Number(blocked, "blocked"), " of ",
                               Number(blocked, "looked_at"),
                               " states would be blocked by these rules"));
    }
    if (compares) continue;
    output_.Say(absl::StrCat("filter ", name, ": ", Number(filter, "rules"),
                             " rules, generation ",
                             Number(filter, "generation")));
    if (arguments_.kill_blocked) {
      output_.Say(absl::StrCat("filter ", name, ": ",
                               Number(blocked, "killed"),
                               " states killed that these rules block"));
    }
  }
  if (arguments_.confirm) {
    output_.Say(absl::StrCat("unless --confirm-commit follows within ",
                             *arguments_.confirm,
                             " seconds, the rules before come back at all of "
                             "them"));
  }
  return true;
}

bool Tool::RollbackSet() {
  const std::vector<std::string> names = NamesOf(arguments_.set);
  const auto result = Ask("commit.rollback", {{"filters", names}});
  if (result == nullptr) return false;
  output_.Put("rollback", *result);
  output_.Say(absl::StrCat("what was in force before the last commit of ",
                           absl::StrJoin(names, ", "), " is so again"));
  return true;
}

}  // namespace sluice
