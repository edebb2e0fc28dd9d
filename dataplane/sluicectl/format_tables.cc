// Tables and their addresses.
#include <map>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "dataplane/sluicectl/format.h"
#include "dataplane/sluicectl/format_time.h"
#include "dataplane/sluicectl/json_read.h"

namespace sluice {
namespace {

using nlohmann::json;

struct TrafficLine {
  const char* name;
  const char* way;
  const char* kind;
};
constexpr TrafficLine kTrafficLines[] = {
    {"In/Block:", "in", "block"},   {"In/Match:", "in", "match"},
    {"In/Pass:", "in", "pass"},     {"In/XPass:", "in", "xpass"},
    {"Out/Block:", "out", "block"}, {"Out/Match:", "out", "match"},
    {"Out/Pass:", "out", "pass"},   {"Out/XPass:", "out", "xpass"},
};

void AppendTraffic(const json& traffic, Dialect dialect, bool of_address,
                   std::string* text) {
  const bool own_match = dialect == Dialect::kOpenBsd;
  for (const TrafficLine& line : kTrafficLines) {
    const std::string_view kind = line.kind;
    if (kind == "match" && !own_match) continue;
    // What an address is not in the table for does not count for it.
    if (kind == "xpass" && of_address) continue;
    const json& way = Member(traffic, line.way);
    const auto sum = [&](const char* of) {
      uint64_t number = Number(Member(way, line.kind), of);
      if (kind == "pass" && !own_match) {
        number += Number(Member(way, "match"), of);
      }
      return number;
    };
    absl::StrAppendFormat(text, "\t%-12s [ Packets: %-18d Bytes: %-18d ]\n",
                          line.name, sum("packets"), sum("bytes"));
  }
}

bool HasCounted(const json& traffic) {
  for (const TrafficLine& line : kTrafficLines) {
    const json& count = Member(Member(traffic, line.way), line.kind);
    if (Number(count, "packets") != 0) return true;
  }
  return false;
}

// An address after the letter for what became of it: "A  10.0.0.1" or
// "   !10.0.0.0/8".
std::string AddressText(char letter, const std::string& address) {
  const bool negated = !address.empty() && address[0] == '!';
  return absl::StrCat(std::string(1, letter), " ", negated ? "" : " ", address);
}

}  // namespace

std::string FormatTable(const json& table, const Detail& detail) {
  const bool active = Truth(table, "active");
  if (!active && !detail.debug) return "";
  const std::string name = Text(table, "name");
  if (detail.verbose == 0) return absl::StrCat(name, "\n");
  const bool referenced = Truth(table, "referenced");
  const auto flag = [](bool on, const char* letter) {
    return on ? letter : "-";
  };
  std::string text = absl::StrCat(
      flag(Truth(table, "const"), "c"), flag(Truth(table, "persist"), "p"),
      flag(active, "a"), "-", flag(referenced, "r"), "-",
      flag(Truth(table, "counters"), "C"), "\t");
  absl::StrAppend(&text, name);
  if (Has(table, "anchor")) {
    absl::StrAppend(&text, "\t", Text(table, "anchor"));
  }
  absl::StrAppend(&text, "\n");
  if (detail.verbose < 2) return text;
  absl::StrAppendFormat(&text, "\tAddresses:   %d\n",
                        Number(table, "addresses"));
  AppendCleared(table, &text);
  absl::StrAppendFormat(&text,
                        "\tReferences:  [ Anchors: %-18d Rules: %-18d ]\n", 0,
                        Number(table, "rules"));
  absl::StrAppendFormat(&text,
                        "\tEvaluations: [ NoMatch: %-18d Match: %-18d ]\n",
                        Number(table, "no_match"), Number(table, "match"));
  AppendTraffic(Member(table, "traffic"), detail.dialect,
                /*of_address=*/false, &text);
  return text;
}

std::string FormatTableAddress(const json& address, const Detail& detail) {
  std::string text = AddressText(' ', Text(address, "address"));
  absl::StrAppend(&text, "\n");
  if (detail.verbose == 0) return text;
  AppendCleared(address, &text);
  if (Has(address, "weight")) {
    absl::StrAppendFormat(&text, "\tWeight:             %d\n",
                          Number(address, "weight"));
  }
  // OpenBSD's pf has counters for an address from its first packet on.
  if (Has(address, "traffic") && (detail.dialect == Dialect::kFreeBsd ||
                                  HasCounted(Member(address, "traffic")))) {
    AppendTraffic(Member(address, "traffic"), detail.dialect,
                  /*of_address=*/true, &text);
  }
  return text;
}

std::string FormatTableChange(const json& change) {
  static const auto* const letters = new std::map<std::string, char>{
      {"added", 'A'}, {"deleted", 'D'},   {"changed", 'C'},
      {"cleared", 'Z'},
      {"none", ' '},  {"duplicate", 'X'}, {"conflict", 'Y'},
  };
  const auto it = letters->find(Text(change, "change"));
  const char letter = it == letters->end() ? '?' : it->second;
  return absl::StrCat(AddressText(letter, Text(change, "address")), "\n");
}

std::string FormatTableTest(const json& result, const Detail& detail) {
  const bool match = Truth(result, "match");
  if (detail.verbose == 0 || (detail.verbose == 1 && !match)) return "";
  std::string text = AddressText(match ? 'M' : ' ', Text(result, "address"));
  if (detail.verbose > 1 && Has(result, "entry")) {
    absl::StrAppend(&text, "\t",
                    AddressText(' ', Text(result, "entry")).substr(2));
  }
  absl::StrAppend(&text, "\n");
  return text;
}

}  // namespace sluice
