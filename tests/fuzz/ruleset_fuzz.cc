// Ruleset text from anywhere: no crash, bounded time, and what is accepted
// prints to text that reads back to the same rules, also what the optimiser
// has made of it. The first byte chooses the dialect (bit 0) and the level of
// the optimiser (bits 1 and 2).
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "pftable/compile/enforce.h"
#include "pftable/language/parser.h"
#include "pftable/print/printer.h"

namespace sluice {
namespace {

constexpr char kFacts[] = R"(
[[interface]]
name = "em0"
groups = ["egress"]
addresses = [{address="10.0.0.1", prefix=24, broadcast="10.0.0.255"},
             {address="2001:db8::1", prefix=64},
             {address="fe80::1", prefix=64}]
[[interface]]
name = "lo0"
addresses = [{address="127.0.0.1", prefix=8}, {address="::1", prefix=128}]
[hosts]
www = ["192.0.2.80", "2001:db8::80"]
[services]
"ssh/tcp" = 22
[users]
root = 0
[groups]
wheel = 0
)";

const HostFacts& Facts() {
  static const HostFacts& facts =
      *new HostFacts(*HostFacts::FromToml(kFacts, "facts"));
  return facts;
}

ParseResult Parse(std::string text, Dialect dialect,
                  std::optional<RulesetOptimization> level = std::nullopt) {
  ParseInput input;
  input.optimize = level.has_value();
  input.optimization = level;
  input.profile = [](const Rule& rule, std::string_view path) {
    return std::hash<std::string>()(RuleIdentity(rule, path)) % 5;
  };
  input.text = std::move(text);
  input.dialect = dialect;
  input.facts = &Facts();
  input.no_dns = true;
  // Small enough that the product of a few lists is soon too large.
  input.limits.rules = 2000;
  input.limits.table_entries = 2000;
  input.load_file = [](std::string_view path,
                       size_t) -> absl::StatusOr<std::string> {
    // A file that includes itself, one with a table's entries, and one for
    // anchors.
    if (path == "self") return std::string("include \"self\"\npass\n");
    if (path == "rules") {
      return std::string(
          "table <t> { 10.0.0.1 }\nblock in from <t>\nanchor \"b\" {\n"
          "match out tag X\n}\npass label \"$nr\"\n");
    }
    if (path == "list") return std::string("10.0.0.1 !10.0.0.2 ; x\n::1");
    return absl::NotFoundError("no such file");
  };
  return ParsePolicy(std::move(input));
}

void Differ(const std::string& what, const std::string& first,
            const std::string& second) {
  std::fprintf(stderr, "%s\n--- first\n%s--- second\n%s", what.c_str(),
               first.c_str(), second.c_str());
  std::abort();
}

void Check(const std::string& text, Dialect dialect,
           std::optional<RulesetOptimization> level) {
  const ParseResult parsed = Parse(text, dialect, level);
  FormatDiagnostics(parsed.diagnostics);
  if (!parsed.ok()) return;
  UnenforcedConstructs(parsed.policy, {});
  const PrintOptions options = {.dialect = dialect, .facts = &Facts()};
  const std::string printed = PrintPolicy(parsed.policy, options);
  const ParseResult again = Parse(printed, dialect);
  if (!again.ok()) {
    Differ("printed text is refused", printed,
           FormatDiagnostics(again.diagnostics));
  }
  const std::string second = PrintPolicy(again.policy, options);
  if (second != printed) Differ("printing is no fixed point", printed, second);
  // Anchors that files were loaded into need not have a call to stand behind.
  if (text.find("load") != text.npos) return;
  if (RulesetChecksum(again.policy) != RulesetChecksum(parsed.policy)) {
    Differ("the checksum changed", printed, second);
  }
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const sluice::Dialect dialect = data[0] & 1 ? sluice::Dialect::kFreeBsd
                                              : sluice::Dialect::kOpenBsd;
  constexpr std::optional<sluice::RulesetOptimization> kLevels[] = {
      std::nullopt, sluice::RulesetOptimization::kBasic,
      sluice::RulesetOptimization::kProfile,
      sluice::RulesetOptimization::kNone};
  sluice::Check(std::string(reinterpret_cast<const char*>(data) + 1,
                            size - 1),
                dialect, kLevels[data[0] >> 1 & 3]);
  return 0;
}
