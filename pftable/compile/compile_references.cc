// What rules name that stands elsewhere: systems of the fingerprints, limiters.
// A part of RuleCompiler.
#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "pftable/compile/compile_rule.h"

namespace sluice {
namespace {

// Different names of `os` in all rules: a set of groups each.
constexpr size_t kMostSystems = 4096;

}  // namespace

absl::Status RuleCompiler::CompileSystem(const Rule& rule,
                                         CompiledRule* compiled) {
  if (rule.os.empty()) return absl::OkStatus();
  if (!os_names_) {
    os_names_.emplace(FingerprintsOf(*policy_->source));
    policy_->fingerprints = std::make_shared<const FingerprintTable>(*os_names_);
    policy_->os_words =
        static_cast<uint32_t>((policy_->fingerprints->count() + 63) / 64);
  }
  const auto [known, fresh] = os_numbers_.try_emplace(
      rule.os, static_cast<uint16_t>(os_numbers_.size() + 1));
  if (fresh) {
    const std::optional<OsName> name = os_names_->Find(rule.os);
    if (!name) {
      return absl::InvalidArgumentError(
          absl::StrCat("no fingerprint is of \"", rule.os, "\""));
    }
    if (os_numbers_.size() > kMostSystems) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "rules name more than ", kMostSystems, " systems"));
    }
    const std::vector<uint64_t> set = policy_->fingerprints->GroupsOf(*name);
    policy_->os_sets.insert(policy_->os_sets.end(), set.begin(), set.end());
  }
  compiled->os = known->second;
  return absl::OkStatus();
}

absl::Status RuleCompiler::CompileLimiters(const Rule& rule,
                                           CompiledRule* compiled) const {
  const ForeignOptions& f = rule.foreign;
  if (f.state_limiter.empty() && f.source_limiter.empty()) {
    return absl::OkStatus();
  }
  if (rule.action != RuleAction::kPass || rule.state == StateKind::kNone) {
    return absl::InvalidArgumentError(
        "a limiter limits states: it stands on pass rules that keep state");
  }
  compiled->state_limiter_blocks = f.state_limiter_blocks;
  compiled->source_limiter_blocks = f.source_limiter_blocks;
  for (const bool by_source : {false, true}) {
    const std::string& name = by_source ? f.source_limiter : f.state_limiter;
    if (name.empty()) continue;
    const auto found = std::find_if(
        policy_->limiters.begin(), policy_->limiters.end(),
        [&](const LimiterDefinition& limiter) {
          return limiter.by_source == by_source && limiter.name == name;
        });
    if (found == policy_->limiters.end()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "no ", by_source ? "source" : "state", " limiter \"", name,
          "\" is defined: define it in the main ruleset"));
    }
    (by_source ? compiled->source_limiter : compiled->state_limiter) =
        found->id;
  }
  return absl::OkStatus();
}

}  // namespace sluice
