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

// Where it goes behind a router, and how its next hop is.
std::string WayText(const json& way) {
  std::string text;
  const std::string type = Text(way, "type");
  const std::string by = Text(way, "by");
  if (by != "routes") absl::StrAppend(&text, ", by ", by);
  if (Has(way, "prefix")) {
    absl::StrAppend(&text, ", route ", Text(way, "prefix"));
  }
  if (type == "local") {
    absl::StrAppend(&text, ", for the router itself, to the kernel");
  } else if (type == "none") {
    absl::StrAppend(&text, ", there is no route");
  } else if (type != "forward") {
    absl::StrAppend(&text, ", ", type);
  }
  if (Has(way, "port")) {
    const std::string neighbor = Text(way, "neighbor");
    absl::StrAppend(&text, ", by ", Text(way, "port"), " to ",
                    Truth(way, "gateway") ? "gateway " : "",
                    Text(way, "next_hop"), " (",
                    neighbor == "known"    ? Text(way, "mac")
                    : neighbor == "failed" ? "which has not answered"
                                           : "it waits until that answers",
                    ")");
  }
  if (Has(way, "reason")) {
    absl::StrAppend(&text, ", dropped, ", Text(way, "reason"));
  }
  return absl::StrCat("router ", Text(way, "router"), ": ",
                      text.size() > 2 ? text.substr(2) : text, "\n");
}

void AppendWays(const json& end, std::string* text) {
  if (Has(end, "way")) {
    absl::StrAppend(text, "  ", WayText(Member(end, "way")));
  }
  if (Has(end, "copy")) {
    absl::StrAppend(text, "  a copy, ", WayText(Member(end, "copy")));
  }
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
    AppendWays(end, &text);
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
  if (!decided) absl::StrAppend(&text, "  no rule decides: it passes\n");
  if (Has(end, "translated")) {
    const json& packet = Member(end, "translated");
    const auto side = [&](const char* address, const char* port) {
      const std::string host = Text(packet, address);
      const bool v6 = host.find(':') != std::string::npos;
      return Has(packet, port)
                 ? absl::StrCat(v6 ? "[" : "", host, v6 ? "]:" : ":",
                                Number(packet, port))
                 : host;
    };
    absl::StrAppend(&text, "  goes on as ", side("source", "source_port"),
                    " > ", side("destination", "destination_port"),
                    Truth(packet, "guessed_address")
                        ? ", or another address of the pool"
                    : Truth(packet, "guessed_port") ? ", or another port"
                                                    : "",
                    "\n");
  }
  if (Number(end, "left_out") > 0) {
    absl::StrAppendFormat(&text, "  and %d more that miss one condition\n",
                          Number(end, "left_out"));
  }
  AppendWays(end, &text);
  return text;
}

}  // namespace sluice
