#include "dataplane/sluicectl/ruleset_file.h"

#include <map>
#include <sstream>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "pftable/host/text_file.h"
#include "pftable/policy/diagnostic.h"

namespace sluice {
namespace {

constexpr size_t kMaxEntries = 10'000'000;

absl::StatusOr<std::string> ReadAll(std::istream& in, size_t max_bytes) {
  std::string text;
  char bytes[64 * 1024];
  while (in.read(bytes, sizeof bytes) || in.gcount() > 0) {
    text.append(bytes, static_cast<size_t>(in.gcount()));
    if (text.size() > max_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("more than ", max_bytes, " bytes"));
    }
  }
  if (in.bad()) return absl::UnavailableError("read error");
  return text;
}

absl::StatusOr<std::string> ReadNamed(const std::string& name,
                                      std::istream& standard_input,
                                      size_t max_bytes) {
  const bool standard = name == "-";
  absl::StatusOr<std::string> text = standard
                                         ? ReadAll(standard_input, max_bytes)
                                         : ReadTextFile(name, max_bytes);
  if (text.ok()) return text;
  return absl::Status(text.status().code(),
                      absl::StrCat(standard ? "stdin" : name, ": ",
                                   text.status().message()));
}

}  // namespace

absl::StatusOr<HostFacts> ReadFacts(const Arguments& arguments,
                                    const std::string& configuration) {
  std::istringstream nothing;
  if (arguments.facts.empty()) {
    absl::StatusOr<HostFacts> facts = HostFacts::FromSystem();
    const auto ports = ReadNamed(configuration, nothing, 1u << 20);
    if (facts.ok() && ports.ok()) facts->AddPorts(*ports);
    return facts;
  }
  absl::StatusOr<std::string> text =
      ReadNamed(arguments.facts, nothing, 4u << 20);
  if (!text.ok()) return text.status();
  return HostFacts::FromToml(*text, arguments.facts);
}

absl::StatusOr<RulesetFile> ReadRuleset(const std::string& path,
                                        const Arguments& arguments,
                                        const HostFacts& facts,
                                        std::istream& standard_input) {
  ParseInput input;
  absl::StatusOr<std::string> text =
      ReadNamed(path, standard_input, input.limits.file_bytes);
  if (!text.ok()) return text.status();

  RulesetFile ruleset;
  ruleset.name = path == "-" ? "stdin" : path;
  ruleset.text = *std::move(text);
  // A file may be named more than once; it is sent once.
  std::map<std::string, std::string> files;
  const FileLoader system = SystemFileLoader(path == "-" ? "" : path);
  input.file_name = ruleset.name;
  input.text = ruleset.text;
  input.macros = arguments.macros;
  input.load_file = [&](std::string_view name,
                        size_t max_bytes) -> absl::StatusOr<std::string> {
    absl::StatusOr<std::string> content = system(name, max_bytes);
    if (content.ok()) {
      files[std::string(name)] = *content;
    } else {
      ruleset.incomplete = true;
    }
    return content;
  };
  input.dialect = arguments.dialect.value_or(Dialect::kOpenBsd);
  input.facts = &facts;
  input.anchor = arguments.anchor;
  // What is only sent to the daemon is optimised there.
  input.optimize = arguments.no_action ||
                   (arguments.command &&
                    arguments.command->verb == Verb::kTest);
  input.optimization = arguments.optimization;
  input.no_dns = arguments.no_dns;
  ruleset.parsed = ParsePolicy(std::move(input));
  for (auto& [name, content] : files) {
    ruleset.files.push_back({name, std::move(content)});
  }
  return ruleset;
}

absl::StatusOr<PolicyTest> ReadPolicyTest(const std::string& path,
                                          const Arguments& arguments,
                                          const HostFacts& facts,
                                          std::istream& standard_input) {
  constexpr size_t kMostBytes = 16u << 20;
  absl::StatusOr<std::string> text =
      ReadNamed(path, standard_input, kMostBytes);
  if (!text.ok()) return text.status();
  ParseInput input;
  input.file_name = path;
  input.text = *std::move(text);
  input.macros = arguments.macros;
  input.dialect = arguments.dialect.value_or(Dialect::kOpenBsd);
  input.facts = &facts;
  return ParsePolicyTest(std::move(input));
}

absl::StatusOr<std::vector<TableEntry>> ReadEntries(
    const Arguments& arguments, std::istream& standard_input) {
  absl::StatusOr<HostFacts> facts = ReadFacts(arguments);
  if (!facts.ok()) return facts.status();
  // The operands first, then the file, as pfctl takes them.
  std::vector<std::pair<std::string, std::string>> sources;
  if (!arguments.operands.empty()) {
    sources.emplace_back("arguments", absl::StrJoin(arguments.operands, "\n"));
  }
  if (arguments.file) {
    absl::StatusOr<std::string> text =
        ReadNamed(*arguments.file, standard_input, 256u << 20);
    if (!text.ok()) return text.status();
    sources.emplace_back(*arguments.file, *std::move(text));
  }
  std::vector<TableEntry> entries;
  for (const auto& [name, text] : sources) {
    TableFileResult result =
        ParseTableFile(name, text, *facts, arguments.no_dns, kMaxEntries,
                       /*keep_repetitions=*/true);
    if (!result.diagnostics.empty()) {
      std::string message = FormatDiagnostics(result.diagnostics);
      if (message.ends_with('\n')) message.pop_back();
      return absl::InvalidArgumentError(message);
    }
    entries.insert(entries.end(), result.entries.begin(), result.entries.end());
  }
  return entries;
}

}  // namespace sluice
