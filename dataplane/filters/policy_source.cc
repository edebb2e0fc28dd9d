#include "dataplane/filters/policy_source.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <memory>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "pftable/print/printer.h"
#include "pftable/store/policy_listing.h"

namespace sluice {
namespace {

// ":LINE:COLUMN: " at `at`; both are 0 where it is not so.
struct Place {
  uint32_t line = 0;
  uint32_t column = 0;
  size_t end = 0;
};
Place ReadPlace(std::string_view text, size_t at) {
  Place place;
  const char* const last = text.data() + text.size();
  auto [colon, error] = std::from_chars(text.data() + at + 1, last, place.line);
  if (error != std::errc() || colon == last || *colon != ':') return {};
  auto [end, error2] = std::from_chars(colon + 1, last, place.column);
  if (error2 != std::errc() || last - end < 2 || end[0] != ':' ||
      end[1] != ' ') {
    return {};
  }
  place.end = static_cast<size_t>(end - text.data()) + 2;
  return place;
}

}  // namespace

RulePackets ProfileOf(const PolicyStore& store) {
  auto packets = std::make_shared<absl::flat_hash_map<std::string, uint64_t>>();
  const std::shared_ptr<const Policy> policy = store.policy();
  for (const RuleStatus& status : PolicyListing(store).AllRules()) {
    if (status.rule.rule == nullptr) continue;
    (*packets)[RuleIdentity(*status.rule.rule, status.rule.anchor)] +=
        status.counts.packets[0] + status.counts.packets[1];
  }
  return [packets](const Rule& rule, std::string_view path) -> uint64_t {
    const auto found = packets->find(RuleIdentity(rule, path));
    return found == packets->end() ? 0 : found->second;
  };
}

ParseResult ParseRequest(const LoadRequest& request, Dialect dialect,
                         const HostFacts& facts, const RulePackets& profile,
                         const Options* base) {
  ParseInput input;
  HostFacts with_hosts;
  if (!request.hosts.empty()) {
    with_hosts = facts;
    for (const auto& [name, addresses] : request.hosts) {
      with_hosts.AddHost(name, addresses);
    }
  }
  input.base_options = base;
  input.optimize = true;
  input.optimization = request.optimization;
  input.profile = profile;
  input.table_naming = TableNaming::kByContents;
  input.file_name = request.name;
  input.text = request.text;
  input.macros = request.macros;
  input.dialect = request.dialect.value_or(dialect);
  input.anchor = request.anchor;
  input.facts = request.hosts.empty() ? &facts : &with_hosts;
  // The daemon asks no resolver for a client: it would wait for the network
  // whose rules are about to change.
  input.no_dns = true;
  input.load_file = [&request](std::string_view path, size_t max_bytes)
      -> absl::StatusOr<std::string> {
    const auto file =
        std::ranges::find(request.files, path, &SourceFile::name);
    if (file == request.files.end()) {
      return absl::NotFoundError("the file did not come with the ruleset");
    }
    if (file->text.size() > max_bytes) {
      return absl::ResourceExhaustedError("the file is too large");
    }
    return file->text;
  };
  return ParsePolicy(std::move(input));
}

absl::StatusOr<ParseResult> ParseFile(const std::string& path, Dialect dialect,
                                      const HostFacts& facts,
                                      const RulePackets& profile) {
  ParseInput input;
  input.optimize = true;
  input.profile = profile;
  input.table_naming = TableNaming::kByContents;
  input.load_file = SystemFileLoader(path);
  absl::StatusOr<std::string> text =
      input.load_file(path, input.limits.file_bytes);
  if (!text.ok()) return text.status();
  input.file_name = path;
  input.text = *std::move(text);
  input.dialect = dialect;
  input.facts = &facts;
  return ParsePolicy(std::move(input));
}

uint64_t CountRules(const Anchor& anchor) {
  uint64_t count = anchor.rules.filter.size();
  for (const Anchor& child : anchor.children) count += CountRules(child);
  return count;
}

void CheckStateLimit(const Policy& policy, uint32_t capacity,
                     std::vector<Diagnostic>* diagnostics) {
  if (policy.options.limit(Limit::kStates) <= capacity) return;
  for (const Options::Given& given : policy.options.given) {
    if (!given.text.starts_with("limit states")) continue;
    Diagnostic diagnostic;
    diagnostic.file = given.place.file < policy.files.size()
                          ? policy.files[given.place.file]
                          : "";
    diagnostic.line = given.place.line;
    diagnostic.column = given.place.column;
    diagnostic.message =
        absl::StrCat("the state tables hold ", capacity, " states, not ",
                     policy.options.limit(Limit::kStates));
    diagnostic.hint = "lower the limit, or raise `states` of [memory] in the "
                      "daemon's configuration and restart it";
    diagnostics->push_back(std::move(diagnostic));
    return;
  }
}

constexpr std::string_view kHint = "hint: ";

std::vector<Diagnostic> DiagnosticsOf(const absl::Status& status,
                                      const std::string& file) {
  std::vector<Diagnostic> diagnostics;
  std::string_view rest(status.message().data(), status.message().size());
  while (!rest.empty()) {
    const size_t newline = rest.find('\n');
    const std::string_view line = rest.substr(0, newline);
    rest.remove_prefix(newline == std::string_view::npos ? rest.size()
                                                         : newline + 1);
    if (line.empty()) continue;
    Diagnostic diagnostic;
    diagnostic.file = file;
    diagnostic.message = std::string(line);
    // Below a message with a place stand the line, a caret and a hint, as
    // FormatDiagnostic() writes them.
    Diagnostic* const above =
        diagnostics.empty() || diagnostics.back().line == 0
            ? nullptr
            : &diagnostics.back();
    for (size_t colon = line.find(':'); colon != std::string_view::npos;
         colon = line.find(':', colon + 1)) {
      const Place place = ReadPlace(line, colon);
      if (place.end == 0) continue;
      diagnostic.file = std::string(line.substr(0, colon));
      diagnostic.line = place.line;
      diagnostic.column = place.column;
      diagnostic.message = std::string(line.substr(place.end));
      break;
    }
    if (above != nullptr && diagnostic.line == 0) {
      if (line.find_first_not_of(" \t") == line.find('^') &&
          line.ends_with('^')) {
        continue;
      }
      if (line.starts_with(kHint)) {
        above->hint = std::string(line.substr(kHint.size()));
        continue;
      }
      if (above->source_line.empty()) {
        above->source_line = std::string(line);
        continue;
      }
    }
    diagnostics.push_back(std::move(diagnostic));
  }
  return diagnostics;
}

}  // namespace sluice
