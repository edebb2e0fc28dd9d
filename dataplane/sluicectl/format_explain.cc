// Why a packet would pass or not.
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "dataplane/sluicectl/format.h"
#include "dataplane/sluicectl/json_read.h"

namespace sluice {
namespace {

using nlohmann::json;

void AppendRule(const json& rule, std::string* text) {
  const bool matched = Truth(rule, "matched");
  const char* const what = Truth(rule, "decides") ? "decides"
                           : matched              ? "matches"
                                                  : "misses";
  const std::string anchor = Text(rule, "anchor");
  absl::StrAppendFormat(text, "  %-8s %s%s@%d %s", what,
                        std::string(2 * Number(rule, "depth"), ' '), anchor,
                        Number(rule, "number"), Text(rule, "text"));
  if (!matched) {
    absl::StrAppend(text, "  # ", Text(rule, "failed"));
  } else if (Has(rule, "tag")) {
    absl::StrAppend(text, "  # tag ", Text(rule, "tag"));
  }
  absl::StrAppend(text, "\n");
  for (const json& table : Member(rule, "tables")) {
    const std::string entry = Text(table, "entry");
    absl::StrAppendFormat(text, "           %s in <%s>: %s\n",
                          Text(table, "of"), Text(table, "table"),
                          entry.empty() ? "no entry" : entry);
  }
}

std::string FormatEnd(const json& ends, const char* address,
                      const char* port) {
  const std::string host = Text(ends, address);
  if (!Has(ends, port)) return host;
  const bool v6 = host.find(':') != host.npos;
  return absl::StrCat(v6 ? "[" : "", host, v6 ? "]" : "", ":",
                      Number(ends, port));
}

void AppendTranslation(const json& ends, std::string* text) {
  absl::StrAppend(text, "  becomes  ",
                  FormatEnd(ends, "source", "source_port"), " > ",
                  FormatEnd(ends, "destination", "destination_port"),
                  Truth(ends, "one_of_several") ? ", for example" : "", "\n");
}

}  // namespace

std::string FormatExplanation(const json& end) {
  std::string text =
      absl::StrFormat("%s on %s, filter %s: ", Text(end, "direction"),
                      Text(end, "port"), Text(end, "filter"));
  if (Truth(end, "excluded") || Truth(end, "skipped")) {
    absl::StrAppend(&text, "passes, nothing is judged here (",
                    Truth(end, "excluded") ? "port exclude" : "set skip",
                    ")\n");
    return text;
  }
  const json& states = Member(end, "states");
  if (!states.empty()) {
    absl::StrAppend(&text, "a state decides\n");
    for (const json& state : states) {
      absl::StrAppend(&text, "  ", FormatState(state, Detail()));
    }
    absl::StrAppend(&text, "without it: ");
  }
  if (Truth(end, "passes")) {
    absl::StrAppend(&text, "passes",
                    Truth(end, "keeps_state") ? ", makes a state"
                                              : ", without state");
  } else {
    absl::StrAppend(&text, "dropped, ", Text(end, "reason"));
  }
  if (Has(end, "tag")) absl::StrAppend(&text, ", tag ", Text(end, "tag"));
  absl::StrAppend(&text, "\n");
  bool decided = false;
  for (const json& rule : Member(end, "rules")) {
    AppendRule(rule, &text);
    decided = decided || Truth(rule, "decides");
  }
  if (Has(end, "translated")) AppendTranslation(end["translated"], &text);
  if (!decided) absl::StrAppend(&text, "  no rule decides: it passes\n");
  if (Number(end, "left_out") > 0) {
    absl::StrAppendFormat(&text, "  and %d more that miss one condition\n",
                          Number(end, "left_out"));
  }
  return text;
}

}  // namespace sluice
