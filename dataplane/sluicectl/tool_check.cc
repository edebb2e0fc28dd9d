// -n -f: what a load would make of a ruleset, without any daemon.
#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "dataplane/control/socket/json_rpc.h"
#include "dataplane/sluicectl/json_read.h"
#include "dataplane/sluicectl/ruleset_file.h"
#include "dataplane/sluicectl/tool.h"
#include "pftable/compile/compile.h"
#include "pftable/compile/enforce.h"
#include "pftable/policy/diagnostic.h"
#include "pftable/print/printer.h"
#include "pftable/store/policy_store.h"

namespace sluice {

using nlohmann::json;

namespace {

// A text for an anchor sets no options.
PrintParts PartsToPrint(const Arguments& arguments) {
  PrintParts parts = arguments.parts.value_or(PrintParts());
  if (!arguments.anchor.empty()) parts.options = parts.queues = false;
  return parts;
}

bool HasErrors(const std::vector<Diagnostic>& diagnostics) {
  return std::any_of(diagnostics.begin(), diagnostics.end(),
                     [](const Diagnostic& d) {
                       return d.severity == Severity::kError;
                     });
}

// What a load would say beyond that: limits, anchors that call themselves.
// Empty: nothing.
std::string Refusal(const Policy& policy) {
  const InterfaceRegistry interfaces;
  ImmediateReclaimer reclaimer;
  PolicyStore store(PolicyStoreConfig(), &interfaces, &reclaimer);
  const absl::Status status = store.Load(policy);
  return status.ok() ? std::string() : absl::StrCat(status.message(), "\n");
}

}  // namespace

bool Tool::Check() { return CheckOf(arguments_); }

bool Tool::CheckOf(const Arguments& arguments) {
  absl::StatusOr<HostFacts> facts = ReadFacts(arguments);
  if (!facts.ok()) return Fail(std::string(facts.status().message()));
  facts->KeepResolved();
  absl::StatusOr<RulesetFile> ruleset =
      ReadRuleset(*arguments.file, arguments, *facts, in_);
  if (!ruleset.ok()) return Fail(std::string(ruleset.status().message()));
  ParseResult& parsed = ruleset->parsed;
  PrintOptions options = {
      .dialect = parsed.policy.options.dialect,
      .facts = &*facts,
      .flip_port_names = arguments.flip_port_names,
      .rule_numbers = arguments.verbose > 1,
      .anchor_names = arguments.debug,
      .parts = PartsToPrint(arguments),
      .loaded_anchors = true,
  };
  if (arguments.verbose > 1) {
    // As in pfctl, which has no tables and no kernel to ask with -n.
    options.members = [](const AddressMatch& match) {
      return match.kind == AddressKind::kTable ? std::optional<uint64_t>(0)
                                               : std::nullopt;
    };
  }
  const bool right = parsed.ok();
  std::vector<Diagnostic> diagnostics = parsed.diagnostics;
  std::string refusal;
  if (right && !arguments.language_only) {
    for (Diagnostic& d : CheckEnforced(&parsed.policy, arguments.without,
                                       kEngineCapabilities)) {
      diagnostics.push_back(std::move(d));
    }
    if (!HasErrors(diagnostics)) refusal = Refusal(parsed.policy);
  }
  SayResolved(*facts);
  output_.Complain(FormatDiagnostics(diagnostics) + refusal);
  std::string text;
  if (right && arguments.verbose > 0) text = PrintPolicy(parsed.policy, options);
  output_.Print(text);
  if (output_.json()) {
    json listed = json::array();
    for (const Diagnostic& d : diagnostics) listed.push_back(ToJson(d));
    if (!refusal.empty()) {
      Diagnostic d;
      d.file = ruleset->name;
      d.message = refusal.substr(0, refusal.find('\n'));
      listed.push_back(ToJson(d));
    }
    json check = {{"ok", right && !HasErrors(diagnostics) && refusal.empty()}, {"diagnostics", std::move(listed)}};
    if (!text.empty()) check["text"] = text;
    output_.Put("check", check);
  }
  if (right) {
    if (refusal.empty() && !HasErrors(diagnostics)) return true;
    return Fail(absl::StrCat(ruleset->name,
                             ": the language is right, but a load would be "
                             "refused (--language-only: do not ask)"));
  }
  const auto errors = std::count_if(
      parsed.diagnostics.begin(), parsed.diagnostics.end(),
      [](const Diagnostic& d) { return d.severity == Severity::kError; });
  return Fail(absl::StrCat(ruleset->name, ": ", errors,
                           parsed.truncated ? " errors and more" : "",
                           !parsed.truncated && errors == 1 ? " error" : "",
                           !parsed.truncated && errors != 1 ? " errors" : "",
                           ", the rules can not be loaded"));
}

}  // namespace sluice
