#include "dataplane/filters/load_build.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "dataplane/base/line_diff.h"
#include "dataplane/filters/policy_source.h"
#include "pftable/compile/enforce.h"
#include "pftable/compile/lint.h"
#include "pftable/engine/reclaimer.h"
#include "pftable/policy/name.h"
#include "pftable/print/printer.h"

namespace sluice {
namespace {

constexpr size_t kMostWarnings = 100;

// Compiled for this alone: what comes into force is the store's own.
void Lint(const FilterEnvironment& environment, const Policy& policy,
          LoadResult* result) {
  ImmediateReclaimer reclaimer;
  PolicyStore store({.workers = 1,
                     .rule_slots = environment.store.rule_slots,
                     .table_slots = environment.store.table_slots},
                    environment.interfaces, &reclaimer);
  if (!store.Load(policy).ok()) return;  // the real one will say why
  std::ranges::move(
      LintPolicy(*store.current()->policy, environment.interfaces->Views(),
                 kMostWarnings),
      std::back_inserter(result->diagnostics));
}

// Both as they print, whoever's dialect they are in.
void Compare(const Policy& old, const Policy& policy, const HostFacts& facts,
             LoadResult* result) {
  const PrintOptions print = {.dialect = policy.options.dialect,
                              .facts = &facts,
                              .loaded_anchors = true};
  LineDiff diff = DiffLines(PrintPolicy(old, print), PrintPolicy(policy, print));
  result->diff += diff.text;
  result->diff_removed += diff.removed;
  result->diff_added += diff.added;
}

// As `pfctl -v -f` prints what it loads.
std::string Printed(const LoadRequest& request, const Policy& policy,
                    const HostFacts& facts) {
  PrintParts parts;
  if (!request.anchor.empty()) parts.options = parts.queues = false;
  return PrintPolicy(policy, {.dialect = policy.options.dialect,
                              .facts = &facts,
                              .flip_port_names = request.flip_port_names,
                              .rule_numbers = request.print > 1,
                              .parts = parts,
                              .loaded_anchors = true});
}

}  // namespace

std::vector<UnroutedPort> UnroutedPortsOf(const FilterCore& core) {
  std::vector<UnroutedPort> unrouted;
  for (const auto& [name, port] : core.environment.ports->entries()) {
    if (port.filter != core.number || port.excluded || !port.router.empty() ||
        (port.wire.empty() && port.segment.empty())) {
      continue;
    }
    unrouted.push_back({.name = name, .interface = port.interface});
  }
  return unrouted;
}

std::optional<Policy> BuildPolicy(FilterCore& core, const LoadRequest& request,
                                  bool from_file, const Policy& old,
                                  std::span<const UnroutedPort> unrouted,
                                  LoadResult* result, Standing standing) {
  const FilterEnvironment& environment = core.environment;
  const std::shared_ptr<const HostFacts> facts = environment.ports->facts();
  // Asked only if the rules or the request want their profile.
  RulePackets known;
  const RulePackets profile = [&](const Rule& rule, std::string_view path) {
    if (!known) known = ProfileOf(core.store);
    return known(rule, path);
  };
  const sluice::Options* const base =
      request.merge_options ? &old.options : nullptr;
  const auto fail = [&](std::string message) {
    Diagnostic diagnostic;
    diagnostic.file = request.name;
    diagnostic.message = std::move(message);
    result->diagnostics.push_back(std::move(diagnostic));
    return std::nullopt;
  };
  if (!IsAnchorPath(request.anchor)) {
    return fail(
        absl::StrCat("\"", request.anchor, "\" is no path of an anchor"));
  }
  absl::StatusOr<ParseResult> parsed =
      from_file
          ? ParseFile(request.name, environment.dialect, *facts, profile)
          : ParseRequest(request, environment.dialect, *facts, profile, base);
  if (!parsed.ok()) {
    return fail(absl::StrCat("cannot be read: ", parsed.status().message()));
  }
  std::ranges::move(parsed->diagnostics,
                    std::back_inserter(result->diagnostics));
  CheckStateLimit(parsed->policy, environment.state_capacity,
                  &result->diagnostics);
  if (!result->HasErrors()) {
    std::ranges::move(
        CheckEnforced(&parsed->policy,
                      from_file ? environment.without : request.without,
                      kEngineCapabilities),
        std::back_inserter(result->diagnostics));
  }
  result->rules += CountRules(parsed->policy.main);
  if (result->HasErrors()) return std::nullopt;
  std::ranges::move(LintRoutes(parsed->policy, *environment.interfaces,
                               unrouted, kMostWarnings),
                    std::back_inserter(result->diagnostics));
  if (request.print > 0) {
    result->text += Printed(request, parsed->policy, *facts);
  }
  if (request.lint) Lint(environment, parsed->policy, result);
  if (request.parts != LoadParts()) {
    KeepParts(&parsed->policy, old, request.parts, standing);
  }
  KeepAnchors(&parsed->policy, old, request.anchor, standing);
  if (request.diff) Compare(old, parsed->policy, *facts, result);
  return std::move(parsed->policy);
}

void AddDiagnostics(const absl::Status& status, const std::string& name,
                    LoadResult* result) {
  std::ranges::move(DiagnosticsOf(status, name.empty() ? "stdin" : name),
                    std::back_inserter(result->diagnostics));
}

}  // namespace sluice
