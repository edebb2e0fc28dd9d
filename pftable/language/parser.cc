#include "pftable/language/parser.h"

#include <algorithm>
#include <optional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "pftable/language/check_limits.h"
#include "pftable/language/messages.h"
#include "pftable/language/parse_statement.h"
#include "pftable/language/policy_draft.h"
#include "pftable/language/source_files.h"
#include "pftable/language/token_reader.h"

namespace sluice {
namespace {

const HostFacts& OrNone(const HostFacts* facts, const HostFacts& none) {
  return facts != nullptr ? *facts : none;
}

ParseInput WithName(ParseInput input) {
  if (input.file_name.empty() || input.file_name == "-") {
    input.file_name = "stdin";
  }
  return input;
}

// One ruleset, from its text to its policy.
class RulesetParser {
 public:
  explicit RulesetParser(ParseInput input);
  RulesetParser(const RulesetParser&) = delete;
  RulesetParser& operator=(const RulesetParser&) = delete;

  ParseResult Run();

 private:
  void LoadPendingAnchors();
  // Rules name systems as their fingerprints do.
  void CheckSystems();
  void CheckSystems(const OsNames& names, Anchor& anchor);
  void FinishRules();

  ParseInput input_;
  const HostFacts no_facts_;
  const HostFacts& facts_;
  ParseResult result_;
  Messages messages_;
  TokenReader in_;
  SourceFiles files_;
  PolicyDraft draft_;
  StatementParser statements_;
};

RulesetParser::RulesetParser(ParseInput input)
    : input_(WithName(std::move(input))),
      facts_(OrNone(input_.facts, no_facts_)),
      result_{.policy = Policy(input_.dialect),
              .diagnostics = {},
              .truncated = false},
      messages_(input_, result_),
      in_(input_, messages_),
      files_(input_, in_, input_.text.size()),
      draft_(input_, result_.policy, in_),
      statements_(in_, draft_, files_, facts_) {
  if (input_.base_options != nullptr) {
    statements_.settings().TakeOptions(*input_.base_options);
  }
}

ParseResult RulesetParser::Run() {
  draft_.BeginFile("");
  if (input_.text.size() > input_.limits.file_bytes) {
    const uint32_t file = messages_.AddFile(input_.file_name, "");
    in_.Error({.file = file, .line = 0, .column = 0},
              "the file is larger than " +
                  std::to_string(input_.limits.file_bytes) + " bytes");
    return std::move(result_);
  }
  in_.Begin(messages_.AddFile(input_.file_name, std::move(input_.text)));
  statements_.ParseStatements(/*in_anchor=*/false);
  LoadPendingAnchors();
  statements_.settings().FinishOptions();
  CheckLimits(draft_, in_);
  statements_.names().Check();
  statements_.queues().Finish();
  CheckSystems();
  if (messages_.errors() == 0) FinishRules();
  result_.policy.texts = messages_.TakeTexts();
  return std::move(result_);
}

// Each file is a ruleset of its own, with its own macros, read after the main
// one.
void RulesetParser::LoadPendingAnchors() {
  constexpr size_t kMostLoads = 512;
  draft_.LoadAnchors();
  const std::vector<AnchorParser::Load>& loads = statements_.anchors().loads();
  for (size_t i = 0; i < loads.size() && !messages_.truncated(); ++i) {
    // Reading it may move them.
    const AnchorParser::Load load = loads[i];
    if (i >= kMostLoads) {
      in_.Error(load.place, "too many anchors to load, at most 512",
                "a file may load itself");
      return;
    }
    std::string text;
    if (!files_.Read(load.file, load.place, text)) continue;
    draft_.MakeAnchor(load.path, load.place);
    result_.policy.loaded_anchors.push_back(load.path);
    draft_.BeginFile(load.path);
    in_.Restart(messages_.AddFile(load.file, std::move(text)));
    statements_.ParseStatements(/*in_anchor=*/false);
  }
}

// An anchor's text goes by the fingerprints of the main ruleset, which is not
// here, as a snapshot's: CompilePolicy() says what is wrong there.
void RulesetParser::CheckSystems() {
  if (!input_.anchor.empty() || input_.unnamed_by_number) return;
  // Most rulesets name none.
  const auto any = [](const auto& self, const Anchor& anchor) -> bool {
    for (const std::vector<Rule>* list :
         {&anchor.rules.filter, &anchor.rules.scrub, &anchor.rules.nat,
          &anchor.rules.rdr, &anchor.rules.binat}) {
      for (const Rule& rule : *list) {
        if (!rule.os.empty()) return true;
      }
    }
    return std::any_of(
        anchor.children.begin(), anchor.children.end(),
        [&](const Anchor& child) { return self(self, child); });
  };
  if (!any(any, result_.policy.main)) return;
  CheckSystems(OsNames(FingerprintsOf(result_.policy)), result_.policy.main);
}

void RulesetParser::CheckSystems(const OsNames& names, Anchor& anchor) {
  for (std::vector<Rule>* list :
       {&anchor.rules.filter, &anchor.rules.scrub, &anchor.rules.nat,
        &anchor.rules.rdr, &anchor.rules.binat}) {
    for (Rule& rule : *list) {
      if (rule.os.empty()) continue;
      const std::optional<OsName> name = names.Find(rule.os);
      if (!name) {
        in_.Error(rule.place, "no fingerprint is of \"" + rule.os + "\"",
                  "`sluicectl -s osfp` shows those in force, set fingerprints "
                  "takes a file of others");
        continue;
      }
      rule.os = names.Print(*name);
    }
  }
  for (Anchor& child : anchor.children) CheckSystems(names, child);
}

// What looks at the rules all together, as pfctl does it before a load.
void RulesetParser::FinishRules() {
  Policy& policy = result_.policy;
  AutomaticTables tables(policy, input_.table_naming);
  if (in_.InDialect(Dialect::kOpenBsd)) PoolsToTables(policy, tables);
  if (input_.optimize) {
    OptimizePolicy(
        policy,
        input_.optimization.value_or(policy.options.ruleset_optimization),
        input_.profile, tables);
  }
  statements_.expander().NumberLabels(policy.main);
}

}  // namespace

bool ParseResult::ok() const {
  return std::none_of(diagnostics.begin(), diagnostics.end(),
                      [](const Diagnostic& d) {
                        return d.severity == Severity::kError;
                      });
}

ParseResult ParsePolicy(ParseInput input) {
  return RulesetParser(std::move(input)).Run();
}

}  // namespace sluice
