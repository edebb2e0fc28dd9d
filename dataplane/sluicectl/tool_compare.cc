// --diff and --show-blocked: what a load would change, from the daemon that
// would do it. Nothing is loaded.
#include "absl/strings/str_cat.h"
#include "dataplane/sluicectl/json_read.h"
#include "dataplane/sluicectl/tool.h"

namespace sluice {

using nlohmann::json;

bool Tool::Compare() {
  const auto params = RulesetParams(*arguments_.file);
  if (params == nullptr) return false;
  (*params)["dry_run"] = true;
  if (arguments_.diff) (*params)["diff"] = true;
  if (arguments_.show_blocked) (*params)["blocked"] = "show";
  const auto result = Ask("ruleset.load", std::move(*params));
  if (result == nullptr) return false;
  output_.Put("compare", *result);
  ShowWarnings(*result);
  if (output_.json()) return true;
  if (arguments_.diff) {
    if (Has(*result, "diff")) {
      output_.Print(absl::StrCat("--- in force, generation ",
                                 Number(*result, "generation"), "\n+++ ",
                                 *arguments_.file, "\n",
                                 Text(Member(*result, "diff"), "text")));
    } else {
      output_.Say("nothing in the ruleset would change");
    }
  }
  if (!arguments_.show_blocked) return true;
  const json& blocked = Member(*result, "blocked");
  const json& states = Member(blocked, "states");
  std::string text;
  for (const json& state : states) text += FormatState(state, detail_);
  output_.Print(text);
  const uint64_t count = Number(blocked, "blocked");
  std::string line =
      absl::StrCat(count, " of ", Number(blocked, "looked_at"),
                   " states would be blocked by these rules");
  if (count > states.size()) {
    absl::StrAppend(&line, ", of which the first ", states.size(),
                    " are shown");
  }
  output_.Say(line);
  return true;
}

}  // namespace sluice
