// Counters of the filter, timeouts, limits and interfaces.
#include <ctime>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "dataplane/sluicectl/format.h"
#include "dataplane/sluicectl/format_time.h"
#include "dataplane/sluicectl/json_read.h"

namespace sluice {
namespace {

using nlohmann::json;

const json& Traffic(const json& traffic, const char* family, const char* way,
                    const char* verdict) {
  return Member(Member(Member(traffic, family), way), verdict);
}

void AppendCounters(const json& counters, uint64_t runtime, std::string* text) {
  for (const json& counter : counters) {
    absl::StrAppendFormat(text, "  %-25s %14d ", Text(counter, "name"),
                          Number(counter, "value"));
    if (runtime > 0) {
      absl::StrAppendFormat(text, "%14.1f/s\n",
                            static_cast<double>(Number(counter, "value")) /
                                static_cast<double>(runtime));
    } else {
      absl::StrAppendFormat(text, "%14s\n", "");
    }
  }
}

// How long clients may have waited for the daemon's control lcore.
void AppendControl(const json& control, std::string* text) {
  absl::StrAppend(text, "Control\n");
  const uint64_t longest = Number(control, "longest_turn_us");
  absl::StrAppendFormat(text, "  %-25s %11d.%02d %s\n", "longest turn, ms",
                        longest / 1000, longest % 1000 / 10,
                        Text(control, "operation"));
  absl::StrAppendFormat(text, "  %-25s %14d\n", "turns above 100 ms",
                        Number(control, "slow_turns"));
}

// How rules are asked, and which of them are not asked fast.
void AppendClassifier(const json& classifier, std::string* text) {
  absl::StrAppend(text, "Classifier\n");
  if (!Truth(classifier, "compiled")) {
    absl::StrAppend(text, "  off, rules are walked one by one\n");
    return;
  }
  for (const json& counter : Member(classifier, "counters")) {
    absl::StrAppendFormat(text, "  %-25s %14d %14s\n", Text(counter, "name"),
                          Number(counter, "value"), "");
  }
  for (const json& part : Member(classifier, "parts")) {
    if (!Truth(part, "slow")) continue;
    absl::StrAppendFormat(text, "  %s %s: walked one by one: %s\n",
                          Text(part, "direction"), Text(part, "family"),
                          Text(part, "why"));
  }
}

// What the ruleset has and no packet meets.
void AppendNotCarriedOut(const json& notes, std::string* text) {
  if (notes.empty()) return;
  absl::StrAppend(text, "Not Carried Out\n");
  for (const json& note : notes) {
    if (note.is_string()) {
      absl::StrAppend(text, "  ", note.get<std::string>(), "\n");
    }
  }
}

// What is now has no rate.
void AppendHelper(const char* title, const json& counters, uint64_t runtime,
                  std::string* text) {
  if (counters.empty()) return;
  absl::StrAppend(text, title, "\n");
  json events = json::array();
  for (const json& counter : counters) {
    const std::string name = Text(counter, "name");
    if (name != "in_use" && name != "families") {
      events.push_back(counter);
      continue;
    }
    absl::StrAppendFormat(text, "  %-25s %14d %14s\n", name,
                          Number(counter, "value"), "");
  }
  AppendCounters(events, runtime, text);
}

// What waits stands first.
void AppendFragments(const json& counters, uint64_t runtime,
                     std::string* text) {
  if (counters.empty()) return;
  absl::StrAppend(text, "Fragments\n");
  json events = json::array();
  for (const json& counter : counters) {
    if (Text(counter, "name") == "held") {
      absl::StrAppendFormat(text, "  %-25s %14d %14s\n", "held",
                            Number(counter, "value"), "");
    } else {
      events.push_back(counter);
    }
  }
  AppendCounters(events, runtime, text);
}

void AppendLogInterface(const json& log, std::string* text) {
  const json& traffic = Member(log, "traffic");
  absl::StrAppendFormat(text, "Interface Stats for %-16s %5s %16s\n",
                        Text(log, "name"), "IPv4", "IPv6");
  const auto line = [&](const char* name, auto value) {
    absl::StrAppendFormat(text, "  %-25s %14d %16d\n", name, value("inet"),
                          value("inet6"));
  };
  for (const char* way : {"in", "out"}) {
    line(way == std::string("in") ? "Bytes In" : "Bytes Out",
         [&](const char* family) {
           return Number(Traffic(traffic, family, way, "pass"), "bytes") +
                  Number(Traffic(traffic, family, way, "block"), "bytes");
         });
  }
  for (const char* way : {"in", "out"}) {
    absl::StrAppend(
        text, way == std::string("in") ? "  Packets In\n" : "  Packets Out\n");
    line("  Passed", [&](const char* family) {
      return Number(Traffic(traffic, family, way, "pass"), "packets");
    });
    line("  Blocked", [&](const char* family) {
      return Number(Traffic(traffic, family, way, "block"), "packets");
    });
  }
  absl::StrAppend(text, "\n");
}

}  // namespace

std::string FormatClock(uint64_t time_us) {
  const auto seconds = static_cast<std::time_t>(time_us / 1'000'000);
  std::tm local{};
  ::localtime_r(&seconds, &local);
  return absl::StrFormat("%02d:%02d:%02d.%03d", local.tm_hour, local.tm_min,
                         local.tm_sec, time_us / 1000 % 1000);
}

std::string FormatTime(uint64_t unix_time) {
  const auto time = static_cast<std::time_t>(unix_time);
  char text[64];
  // A year of more than four digits does not fit in what ctime_r() promises.
  std::tm broken{};
  if (::localtime_r(&time, &broken) == nullptr ||
      std::strftime(text, sizeof text, "%a %b %e %H:%M:%S %Y", &broken) == 0) {
    return absl::StrCat(unix_time);
  }
  return text;
}

void AppendCleared(const json& counted, std::string* text) {
  if (const uint64_t cleared = Number(counted, "cleared"); cleared != 0) {
    absl::StrAppendFormat(text, "\tCleared:     %s\n", FormatTime(cleared));
  }
}

// pf's `match` is what rules have decided, passed or blocked.
json DropsAsPf(const json& info) {
  json drops = Member(info, "drop_counters");
  if (!Has(info, "decided")) return drops;
  for (json& drop : drops) {
    if (Text(drop, "name") == "match") drop["value"] = Number(info, "decided");
  }
  return drops;
}

// As pfctl prints it: FreeBSD's words begin with a capital.
std::string DebugWord(std::string word) {
  for (const char* freebsd : {"none", "urgent", "misc", "loud"}) {
    if (word == freebsd) word[0] = static_cast<char>(word[0] - 'a' + 'A');
  }
  return word;
}

std::string FormatInfo(const json& info, const Detail& detail) {
  const uint64_t runtime = Number(info, "since");
  std::string status =
      absl::StrCat("Status: ", Truth(info, "enabled") ? "Enabled" : "Disabled");
  if (Has(info, "since")) {
    absl::StrAppendFormat(&status, " for %d days %02d:%02d:%02d",
                          runtime / 86400, runtime / 3600 % 24,
                          runtime / 60 % 60, runtime % 60);
  }
  std::string text = absl::StrFormat(
      "%-44s%15s\n\n", status, absl::StrCat("Debug: ", DebugWord(Text(info, "debug"))));
  if (detail.verbose > 0) {
    absl::StrAppend(&text, "Hostid:   0x", Text(info, "host_id"), "\n");
    absl::StrAppend(&text, "Checksum: 0x", Text(info, "checksum"), "\n\n");
  }
  if (Has(info, "log_interface")) {
    AppendLogInterface(Member(info, "log_interface"), &text);
  }
  absl::StrAppendFormat(&text, "%-27s %14s %16s\n", "State Table", "Total",
                        "Rate");
  absl::StrAppendFormat(&text, "  %-25s %14d %14s\n", "current entries",
                        Number(info, "states"), "");
  absl::StrAppendFormat(&text, "  %-25s %14d %14s\n", "half-open tcp",
                        Number(info, "half_open_states"), "");
  AppendCounters(Member(info, "state_counters"), runtime, &text);
  if (detail.verbose > 0) {
    absl::StrAppend(&text, "Source Tracking Table\n");
    absl::StrAppendFormat(&text, "  %-25s %14d %14s\n", "current entries",
                          Number(info, "source_nodes"), "");
    AppendCounters(Member(info, "source_counters"), runtime, &text);
  }
  AppendHelper("TFTP Helper", Member(info, "tftp_counters"), runtime, &text);
  AppendHelper("FTP Helper", Member(info, "ftp_counters"), runtime, &text);
  if (detail.verbose > 0) {
    AppendHelper("SCTP Paths", Member(info, "sctp_counters"), runtime, &text);
  }
  AppendNotCarriedOut(Member(info, "not_carried_out"), &text);
  absl::StrAppend(&text, "Counters\n");
  AppendCounters(DropsAsPf(info), runtime, &text);
  if (detail.verbose > 0) {
    if (Has(info, "control")) AppendControl(Member(info, "control"), &text);
    if (Has(info, "classifier")) {
      AppendClassifier(Member(info, "classifier"), &text);
    }
    AppendFragments(Member(info, "fragment_counters"), runtime, &text);
    AppendHelper("Sessions and Flows", Member(info, "flow_counters"), runtime,
                 &text);
    absl::StrAppend(&text, "Limit Counters\n");
    AppendCounters(Member(info, "limit_counters"), runtime, &text);
  }
  return text;
}

std::string FormatStateCount(const json& count) {
  std::string text = absl::StrFormat(
      "%d states, %d packets, %d bytes\n", Number(count, "states"),
      Number(count, "packets"), Number(count, "bytes"));
  for (const json& phase : Member(count, "phases")) {
    const uint64_t protocol = Number(phase, "protocol");
    // Without a machine of their own they are counted together.
    absl::StrAppendFormat(&text, "  %-10s %-12s %14d\n",
                          protocol == 255 ? "other" : ProtocolName(protocol),
                          Text(phase, "phase"), Number(phase, "states"));
  }
  return text;
}

std::string FormatCommits(const json& commits) {
  std::string text;
  if (Has(commits, "confirm_left")) {
    absl::StrAppendFormat(&text,
                          "to be confirmed (--confirm-commit) within %d "
                          "seconds\n",
                          Number(commits, "confirm_left"));
  }
  absl::StrAppendFormat(&text, "%4s %10s  %-24s  %-13s %7s %8s %8s  %s\n",
                        "back", "generation", "when", "what", "rules",
                        "build ms", "uid", "hash");
  uint64_t back = 0;
  for (const json& commit : Member(commits, "commits")) {
    absl::StrAppendFormat(
        &text, "%4s %10d  %-24s  %-13s %7d %8d %8d  %s\n",
        Truth(commit, "kept") ? absl::StrCat(back) : "-",
        Number(commit, "generation"), FormatTime(Number(commit, "when")),
        Text(commit, "what"), Number(commit, "rules"),
        Number(commit, "build_ms"), Number(commit, "uid"),
        Text(commit, "hash"));
    if (Has(commit, "together")) {
      // Behind the line that it belongs to.
      text.pop_back();
      std::string names;
      for (const json& name : Member(commit, "together")) {
        if (!name.is_string()) continue;
        absl::StrAppend(&names, names.empty() ? "" : ", ",
                        name.get<std::string>());
      }
      absl::StrAppend(&text, "  together: ", names, "\n");
    }
    ++back;
  }
  return text;
}

std::string FormatTimeout(const json& timeout) {
  return absl::StrFormat("%-20s %10d%s\n", Text(timeout, "name"),
                         Number(timeout, "value"),
                         Text(timeout, "unit") == "states" ? " states" : "s");
}

std::string FormatLimit(const json& limit) {
  std::string text = absl::StrFormat("%-13s ", Text(limit, "name"));
  const uint64_t value = Number(limit, "value");
  if (value == UINT32_MAX) {
    absl::StrAppend(&text, "unlimited\n");
  } else {
    absl::StrAppendFormat(&text, "hard limit %8d\n", value);
  }
  return text;
}

std::string FormatInterface(const json& interface, const Detail& detail) {
  std::string text = Text(interface, "name");
  if (detail.verbose > 0) {
    if (Truth(interface, "skip")) absl::StrAppend(&text, " (skip)");
    if (Has(interface, "link_up") && !Truth(interface, "link_up")) {
      absl::StrAppend(&text, " (no link)");
    }
    if (Has(interface, "incarnation")) {
      absl::StrAppendFormat(&text, " (incarnation %d)",
                            Number(interface, "incarnation"));
    }
  }
  absl::StrAppend(&text, "\n");
  if (detail.verbose < 2) return text;
  AppendCleared(interface, &text);
  absl::StrAppendFormat(
      &text, "\tReferences:  [ States:  %-18d Rules: %-18d ]\n",
      Number(interface, "states"), Number(interface, "rules"));
  const json& traffic = Member(interface, "traffic");
  for (const char* family : {"inet", "inet6"}) {
    for (const char* way : {"in", "out"}) {
      for (const char* verdict : {"pass", "block"}) {
        const json& count = Traffic(traffic, family, way, verdict);
        const std::string name =
            absl::StrCat(way == std::string("in") ? "In" : "Out",
                         family == std::string("inet") ? "4/" : "6/",
                         verdict == std::string("pass") ? "Pass:" : "Block:");
        absl::StrAppendFormat(&text,
                              "\t%-12s [ Packets: %-18d Bytes: %-18d ]\n", name,
                              Number(count, "packets"), Number(count, "bytes"));
      }
    }
  }
  return text;
}

}  // namespace sluice
