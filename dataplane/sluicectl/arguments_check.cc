// What of a command line only makes sense together.
#include <algorithm>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "dataplane/sluicectl/arguments.h"
#include "dataplane/sluicectl/commands.h"

namespace sluice {
namespace {

// Several filters are changed at once, and nothing else.
absl::Status CheckSet(const Arguments& a) {
  const auto wrong = [](const char* what) {
    return absl::InvalidArgumentError(what);
  };
  if (a.command || a.show || a.flush || !a.kill.empty() ||
      !a.kill_sources.empty() || a.zero || a.enable || a.disable || a.below ||
      !a.debug_level.empty() || !a.operands.empty()) {
    return wrong("several --filter go with -f, -t -T add, delete and replace, "
                 "--confirm-commit and --rollback only: one commit of all of "
                 "them");
  }
  if (a.rollback || a.confirm_commit) {
    for (const FilterPart& part : a.set) {
      if (part.file || part.table_action || part.only_if ||
          !part.anchor.empty()) {
        return wrong("-f, --rollback and --confirm-commit contradict each "
                     "other");
      }
    }
    if (a.rollback && *a.rollback != 1) {
      return wrong("of several filters the last commit can be taken back: "
                   "--rollback 1");
    }
    return absl::OkStatus();
  }
  size_t from_standard_input = 0;
  for (const FilterPart& part : a.set) {
    if (part.filter.empty() || !part.file) {
      return absl::InvalidArgumentError(absl::StrCat(
          "filter ", part.filter, ": there is no -f for it between its "
          "--filter and the next"));
    }
    if (part.table.empty() == part.table_action.has_value()) {
      return wrong("-T needs -t table, and -t needs -T command");
    }
    if (part.table_action && *part.table_action != TableAction::kAdd &&
        *part.table_action != TableAction::kDelete &&
        *part.table_action != TableAction::kReplace) {
      return wrong("of several filters tables are edited by -T add, -T delete "
                   "and -T replace, each with -f file");
    }
    if (part.anchor.starts_with('_') ||
        part.anchor.find("/_") != part.anchor.npos) {
      return wrong("anchor names beginning with '_' cannot be modified from "
                   "the command line");
    }
    if (*part.file == "-") ++from_standard_input;
  }
  if (from_standard_input > 1) {
    return wrong("standard input can be one of the files only");
  }
  if (a.no_action && (a.confirm || a.diff || a.show_blocked || a.kill_blocked)) {
    return wrong("--confirm, --diff, --show-blocked and --kill-blocked do not "
                 "go with -n");
  }
  if ((a.diff || a.show_blocked) && (a.confirm || a.kill_blocked)) {
    return wrong("--diff and --show-blocked load nothing: --confirm and "
                 "--kill-blocked do not go with them");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckTogether(const Arguments& a) {
  if (a.help || a.version) return absl::OkStatus();
  if (std::ranges::any_of(a.operands, &std::string::empty)) {
    return absl::InvalidArgumentError("an address is empty");
  }
  if (!a.set.empty()) return CheckSet(a);
  if (a.command) return CheckCommand(a);
  const auto wrong = [](const char* what) {
    return absl::InvalidArgumentError(what);
  };
  if (a.states.any()) {
    if (a.show != Show::kStates) {
      return wrong("--host, --sort and their like go with -s states");
    }
    if (!a.states.interface.empty() && !a.interface.empty()) {
      return wrong("--interface is -i: say it once");
    }
    absl::Status status = CheckStateConditions(a.states);
    if (!status.ok()) return status;
  }
  const bool loads_tables = a.table_action == TableAction::kLoad;
  if (loads_tables && !a.file) return wrong("-T load needs -f file");
  if (a.table_action && !loads_tables && a.table.empty()) {
    return wrong("-T needs -t table");
  }
  if (!a.table.empty() && !a.table_action) return wrong("-t needs -T command");
  if (!a.table_action && !a.operands.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("unknown command line argument: ", a.operands.front(),
                     DidYouMeanCommand(a.operands.front())));
  }
  const bool anchored = !a.anchor.empty() || a.below;
  if (anchored && !a.file && !a.flush && !a.show && !a.table_action) {
    return wrong("anchors apply to -f, -F, -s, and -T only");
  }
  const bool modifies = a.file || a.flush;
  if (modifies && !a.table_action &&
      (a.anchor.starts_with('_') || a.anchor.find("/_") != a.anchor.npos)) {
    return wrong(
        "anchor names beginning with '_' cannot be modified from the command "
        "line");
  }
  if (anchored && a.flush &&
      (*a.flush == Flush::kStates || *a.flush == Flush::kSources ||
       *a.flush == Flush::kInfo ||
       *a.flush == Flush::kReset)) {
    return wrong("-a goes with -F ethernet, nat, rules, Tables and all only");
  }
  if (a.kill_match && a.kill.empty()) return wrong("-M goes with -k");
  if (a.parts && !a.file) return wrong("-A, -N, -O and -R go with -f");
  if (a.parts && !a.no_action && !a.anchor.empty()) {
    return wrong("into an anchor a load is whole: -N, -O, -R and -T load do "
                 "not go with -a");
  }
  if (a.optimization && !a.file) return wrong("-o goes with -f");
  if ((a.confirm || a.only_if) && (!a.file || a.no_action)) {
    return wrong("--confirm and --only-if go with -f, and not with -n");
  }
  if ((a.diff || a.show_blocked || a.kill_blocked) &&
      (!a.file || a.no_action || a.table_action || a.command)) {
    return wrong("--diff, --show-blocked and --kill-blocked go with -f, and "
                 "not with -n or -T");
  }
  if ((a.diff || a.show_blocked) && (a.confirm || a.only_if)) {
    return wrong("--diff and --show-blocked load nothing: --confirm and "
                 "--only-if do not go with them");
  }
  if (a.kill_blocked && (a.diff || a.show_blocked)) {
    return wrong("--diff and --show-blocked load nothing: --kill-blocked does "
                 "not go with them");
  }
  if (a.file && (a.rollback || a.confirm_commit)) {
    return wrong("-f, --rollback and --confirm-commit contradict each other");
  }
  if (a.rollback && a.confirm_commit) {
    return wrong("--rollback and --confirm-commit contradict each other");
  }
  if (a.merge_options && !a.file) return wrong("-m goes with -f");
  if (!a.without.empty() && !a.file) return wrong("--without goes with -f");
  if (a.language_only && !(a.no_action && a.file)) {
    return wrong("--language-only goes with -n -f");
  }
  if (a.rule_number && a.show != Show::kRules) return wrong("-R goes with -sr");
  if (a.kill.size() == 1 &&
      (a.kill[0] == "label" || a.kill[0] == "id" || a.kill[0] == "key" ||
       a.kill[0] == "gateway" || a.kill[0] == "nat" || a.kill[0] == "vlan" ||
       a.kill[0] == "tag" || a.kill[0] == "age" || a.kill[0] == "helper")) {
    return absl::InvalidArgumentError(absl::StrCat(
        "-k ", a.kill[0], " needs a second -k that names the ", a.kill[0]));
  }
  if (!a.facts.empty() && !(a.no_action && a.file)) {
    return wrong("--facts goes with -n -f only: the daemon has its own");
  }
  if (a.enable && a.disable) return wrong("-e and -d contradict each other");
  if (!a.file && !a.show && !a.flush && !a.table_action && a.kill.empty() &&
      a.kill_sources.empty() && !a.zero && !a.enable && !a.disable &&
      !a.rollback && !a.confirm_commit && a.debug_level.empty()) {
    return wrong("nothing to do");
  }
  return absl::OkStatus();
}

}  // namespace sluice
