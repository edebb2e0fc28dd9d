// Filters and ports.
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "dataplane/sluicectl/format.h"
#include "dataplane/sluicectl/format_time.h"
#include "dataplane/sluicectl/json_read.h"

namespace sluice {
namespace {

using nlohmann::json;

// The texts of an array, with something between them; "-" for none.
std::string Join(const json& list, const char* separator) {
  std::string text;
  for (const json& element : list) {
    if (!element.is_string()) continue;
    const auto word = element.get<std::string>();
    absl::StrAppend(&text, text.empty() ? "" : separator,
                    word.empty() ? "-" : word);
  }
  return text.empty() ? "-" : text;
}

std::string TimeOf(const json& object, const char* name) {
  const uint64_t time = Number(object, name);
  return time == 0 ? "never" : FormatTime(time);
}

void Line(std::string* text, const char* name, const std::string& value) {
  absl::StrAppendFormat(text, "  %-14s %s\n", absl::StrCat(name, ":"), value);
}

void AppendRestore(const json& filter, std::string* text) {
  std::string status = Text(filter, "restore_state");
  if (Number(filter, "attempt") > 1) {
    absl::StrAppend(&status, ", attempt ", Number(filter, "attempt"));
  }
  if (Truth(filter, "expects_restore")) absl::StrAppend(&status, ", expected");
  Line(text, "Restore", status);
  const json& last = Member(filter, "restore");
  if (last.is_null()) return;
  std::string result = absl::StrCat(Text(last, "code"), ", incarnation ",
                                    Number(last, "incarnation"));
  if (Has(last, "failure")) {
    absl::StrAppend(&result, ", ", Text(last, "failure"));
  }
  if (Has(last, "detail")) absl::StrAppend(&result, ": ", Text(last, "detail"));
  Line(text, "Last restore", result);
  const json& report = Member(last, "report");
  Line(text, "Restored",
       absl::StrCat(Number(report, "states_imported"), " states, ",
                    Number(report, "states_merged"), " merged, ",
                    Number(report, "states_orphaned"), " orphaned, ",
                    Number(report, "states_refused"), " refused, ",
                    Number(report, "tables"), " tables, ",
                    Number(report, "rules"), " rules"));
  if (Has(last, "snapshot")) Line(text, "Snapshot", Text(last, "snapshot"));
}

// Columns of a terminal, at least.
constexpr size_t kTerminal = 80;

}  // namespace

std::string FormatFilterTitle() {
  return absl::StrFormat("%-16s %-22s %8s %6s %6s  %s\n", "FILTER", "STATE",
                         "STATES", "RULES", "TABLES", "PORTS");
}

std::string FormatFilterLine(const json& filter) {
  std::string line = absl::StrFormat(
      "%-16s %-22s %8d %6d %6d  ", Text(filter, "name"), Text(filter, "state"),
      Number(filter, "states"), Number(filter, "rules"),
      Number(filter, "tables"));
  // Ports that a terminal's line has no room for go below the first ones.
  const size_t begin = line.size();
  size_t used = begin;
  bool first = true;
  for (const json& port : Member(filter, "ports")) {
    const std::string name = port.is_string() ? port.get<std::string>() : "";
    if (!first && used + 1 + name.size() >= kTerminal) {
      absl::StrAppend(&line, ",\n", std::string(begin, ' '));
      used = begin;
    } else if (!first) {
      line += ',';
      ++used;
    }
    first = false;
    line += name;
    used += name.size();
  }
  return line + "\n";
}

std::string FormatFilter(const json& filter) {
  std::string text = absl::StrCat("filter ", Text(filter, "name"), "\n");
  Line(&text, "State", Text(filter, "state"));
  Line(&text, "Ports", Join(Member(filter, "ports"), " "));
  Line(&text, "MAC", Join(Member(filter, "macs"), " "));
  Line(&text, "Incarnation", absl::StrCat(Number(filter, "incarnation")));
  AppendRestore(filter, &text);
  if (Has(filter, "source")) Line(&text, "Source", Text(filter, "source"));
  Line(&text, "Fail policy", Text(filter, "fail"));
  Line(&text, "States", absl::StrCat(Number(filter, "states")));
  Line(&text, "Rules", absl::StrCat(Number(filter, "rules")));
  Line(&text, "Tables",
       absl::StrCat(Number(filter, "tables"), " with ",
                    Number(filter, "table_addresses"), " addresses"));
  Line(&text, "Generation", absl::StrCat(Number(filter, "generation")));
  Line(&text, "Hash", OrDash(Text(filter, "hash")));
  Line(&text, "Created", TimeOf(filter, "created"));
  Line(&text, "Last purge", TimeOf(filter, "last_purge"));
  const json& hold = Member(filter, "hold");
  Line(&text, "Held",
       absl::StrCat(Number(hold, "held"), " packets, ", Number(hold, "waiting"),
                    " waiting, ", Number(hold, "replayed"), " replayed, ",
                    Number(hold, "dropped"), " dropped, longest ",
                    Number(hold, "longest_ms"), " ms"));
  Line(&text, "Not held",
       absl::StrCat(Number(hold, "bypassed"), " bypassed, ",
                    Number(hold, "refused"), " without room"));
  return text;
}

// "5", of a pair "7.42" with the outer one first.
std::string VlanText(const json& port) {
  const uint64_t inner = Number(port, "inner_vlan");
  return absl::StrCat(Number(port, "vlan"),
                      inner != 0 ? absl::StrCat(".", inner) : "");
}

std::string FormatPortTitle() {
  return absl::StrFormat("%-15s %-12s %-15s %-8s %-4s %4s  %s\n", "PORT",
                         "FILTER", "WIRE", "STATE", "LINK", "INC.",
                         "DEVICE");
}

std::string FormatPortLine(const json& port) {
  const char* const state = !Truth(port, "enabled")   ? "disabled"
                            : Truth(port, "excluded") ? "excluded"
                                                      : "enabled";
  const bool present = Truth(port, "present");
  const std::string parent = Text(port, "parent");
  const std::string segment = Text(port, "segment");
  const std::string router = Text(port, "router");
  const std::string device =
      !parent.empty() ? absl::StrCat("VLAN ", VlanText(port), " of ", parent)
      : !present      ? "-"
      : Has(port, "vhost")
          ? absl::StrCat("vhost ", Text(port, "vhost"),
                         Truth(port, "vhost_client") ? " (client)" : "")
          : Text(port, "device");
  return absl::StrFormat(
      "%-15s %-12s %-15s %-8s %-4s %4d  %s\n", Text(port, "name"),
      OrDash(Text(port, "filter")),
      !segment.empty()  ? segment
      : !router.empty() ? router
                        : OrDash(Text(port, "wire")),
      state,
      !present                 ? "-"
      : Truth(port, "link_up") ? "up"
                               : "down",
      Number(port, "incarnation"), device);
}

std::string FormatSegmentTitle() {
  return absl::StrFormat("%-15s %5s %14s %8s %8s %8s  %s\n", "SEGMENT", "PORTS",
                         "ADDRESSES", "MOVED", "AGED", "REFUSED", "FLOODS");
}

std::string FormatSegmentLine(const json& segment) {
  const json& refused = Member(segment, "refused");
  const std::string flood = Join(Member(segment, "flood"), " ");
  return absl::StrFormat(
      "%-15s %5d %14s %8d %8d %8d  %s\n", Text(segment, "name"),
      Member(segment, "ports").size(),
      absl::StrCat(Number(segment, "macs"), "/", Number(segment, "capacity")),
      Number(segment, "moved"), Number(segment, "aged"),
      Number(refused, "full") + Number(refused, "limit") +
          Number(refused, "fixed"),
      flood.empty() ? "nothing" : flood);
}

std::string FormatMacTitle() {
  return absl::StrFormat("%-17s %-15s %s\n", "ADDRESS", "PORT", "HEARD OF");
}

std::string FormatMacLine(const json& mac) {
  return absl::StrFormat(
      "%-17s %-15s %s\n", Text(mac, "mac"), OrDash(Text(mac, "port")),
      Truth(mac, "fixed")
          ? std::string("fixed")
          : absl::StrCat(Number(mac, "age_ms") / 1000, " s ago"));
}

std::string FormatPortBindings(const std::string& name, const json& bound) {
  std::string text = absl::StrCat("port ", name, "\n");
  for (const json& binding : Member(bound, "bindings")) {
    absl::StrAppend(&text, "  ", binding.get<std::string>(), "\n");
  }
  for (const json& binding : Member(bound, "learned")) {
    absl::StrAppend(&text, "  ", binding.get<std::string>(), " (learned)\n");
  }
  if (const uint64_t learn = Number(bound, "learn"); learn != 0) {
    absl::StrAppend(&text, "  up to ", learn,
                    " addresses of each family are learned\n");
  }
  absl::StrAppend(&text, "  ", Number(bound, "spoofed"),
                  " frames dropped as spoofed\n");
  return text;
}

std::string FormatPortCounter(const json& counter) {
  return absl::StrFormat("  %-32s %14d\n", Text(counter, "name"),
                         Number(counter, "value"));
}

}  // namespace sluice
