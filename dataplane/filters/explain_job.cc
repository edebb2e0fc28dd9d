#include "dataplane/filters/explain_job.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/filters/policy_source.h"
#include "packet/drop_reason.h"
#include "pftable/compile/enforce.h"
#include "pftable/engine/explain.h"
#include "pftable/engine/reclaimer.h"
#include "pftable/print/printer.h"

namespace sluice {
namespace {

absl::StatusOr<InterfaceView> ViewOf(const InterfaceRegistry& interfaces,
                                     const std::string& name) {
  if (name.empty()) return InterfaceView();
  const uint16_t id = interfaces.Resolve(name).id;
  for (const InterfaceView& view : interfaces.Views()) {
    if (id != 0 && view.id == id) return view;
  }
  return absl::NotFoundError(
      absl::StrCat("there is no interface \"", name,
                   "\"; port list shows those there are"));
}

class ExplainJob final : public BuildJob<ExplainResult> {
 public:
  ExplainJob(std::shared_ptr<FilterCore> core, ExplainRequest request)
      : core_(std::move(core)), request_(std::move(request)) {}

  void Build() override { status_ = Run(); }

  absl::StatusOr<ExplainResult> Publish() override {
    status_.Update(core_->CheckAlive());
    if (!status_.ok()) return status_;
    return std::move(result_);
  }

 private:
  absl::Status Run() {
    result_ = {};
    const FilterEnvironment& environment = core_->environment;
    facts_ = environment.ports->facts();
    if (!request_.ruleset) {
      const std::shared_ptr<const Generation> generation =
          core_->store.generation();
      result_.generation = generation->number;
      return Ask(*generation, core_->store.tags());
    }
    ParseResult parsed =
        ParseRequest(*request_.ruleset, environment.dialect, *facts_);
    result_.diagnostics = std::move(parsed.diagnostics);
    for (Diagnostic& d :
         CheckEnforced(&parsed.policy, request_.ruleset->without,
                       kEngineCapabilities)) {
      result_.diagnostics.push_back(std::move(d));
    }
    for (const Diagnostic& d : result_.diagnostics) {
      if (d.severity == Severity::kError) return absl::OkStatus();
    }
    ImmediateReclaimer reclaimer;
    PolicyStore store({.workers = 1,
                       .rule_slots = environment.store.rule_slots,
                       .table_slots = environment.store.table_slots,
                       .classifier = false},
                      environment.interfaces, &reclaimer);
    const absl::Status loaded = store.Load(std::move(parsed.policy));
    if (!loaded.ok()) {
      for (Diagnostic& d : DiagnosticsOf(loaded, request_.ruleset->name)) {
        result_.diagnostics.push_back(std::move(d));
      }
      return absl::OkStatus();
    }
    return Ask(*store.generation(), store.tags());
  }

  absl::Status Ask(const Generation& generation, const TagRegistry& tags) {
    const InterfaceRegistry& interfaces = *core_->environment.interfaces;
    absl::StatusOr<InterfaceView> at = ViewOf(interfaces, request_.interface);
    if (!at.ok()) return at.status();
    absl::StatusOr<InterfaceView> arrival =
        request_.direction == Direction::kIn
            ? at
            : ViewOf(interfaces, request_.received_on);
    if (!arrival.ok()) return arrival.status();
    if (generation.Skips(*at)) {
      result_.skipped = true;
      return absl::OkStatus();
    }
    const EvaluationInput input{
        .packet = request_.packet,
        .direction = request_.direction,
        .interface = *at,
        .received_on = *arrival,
        .tag = request_.tag.empty() ? kNoTag : tags.Find(request_.tag),
        .now = static_cast<Tick>(core_->SinceStart()),
        .syn = request_.syn ? &*request_.syn : nullptr};
    const Explanation explanation = Explain(generation, input, request_.near);
    Tell(generation, tags, explanation);
    return absl::OkStatus();
  }

  void Tell(const Generation& generation, const TagRegistry& tags,
            const Explanation& explanation) {
    const Verdict& verdict = explanation.verdict;
    result_.passes = verdict.action == VerdictAction::kPass;
    if (!result_.passes) {
      result_.reason = std::string(Name(verdict.reason));
    } else if (request_.packet.has(kIpOptions) && !verdict.allow_options) {
      result_.passes = false;
      result_.reason = std::string(Name(DropReason::kIpOption));
    }
    result_.keeps_state = result_.passes && verdict.keep_state;
    result_.tag = tags.NameOf(verdict.state.tag);
    result_.translated = explanation.translated;
    result_.one_of_several = explanation.one_of_several;
    result_.met = explanation.met;
    result_.left_out = explanation.left_out;
    const CompiledPolicy& policy = *generation.policy;
    const PrintOptions print = {.dialect = policy.source->options.dialect,
                                .facts = facts_.get()};
    for (const ExplainedRule& rule : explanation.rules) {
      const ListedRule& listed = policy.listed[rule.rule];
      ExplainedRuleListing& told = result_.rules.emplace_back();
      told.anchor = listed.anchor;
      told.number = listed.number;
      told.depth = rule.depth;
      told.text = PrintRule(*listed.rule, print);
      told.failed = std::string(Name(rule.failed));
      told.decides = verdict.rule == &policy.rules[rule.rule] &&
                     rule.failed == RuleCondition::kNone;
      told.tag = tags.NameOf(rule.tag);
      for (const ExplainedTable& table : rule.tables) {
        const TableKey& key = generation.table_states[table.table].key;
        told.tables.push_back({.table = key.name,
                               .anchor = key.anchor,
                               .is_source = table.is_source,
                               .entry = table.entry});
      }
    }
    // An anchor may be called twice: the last time decides.
    bool seen = false;
    for (size_t i = result_.rules.size(); i-- > 0;) {
      if (!result_.rules[i].decides) continue;
      result_.rules[i].decides = !seen;
      seen = true;
    }
  }

  const std::shared_ptr<FilterCore> core_;
  const ExplainRequest request_;
  std::shared_ptr<const HostFacts> facts_;
  absl::Status status_;
  ExplainResult result_;
};

}  // namespace

std::unique_ptr<BuildJob<ExplainResult>> MakeExplainJob(
    std::shared_ptr<FilterCore> core, ExplainRequest request) {
  return std::make_unique<ExplainJob>(std::move(core), std::move(request));
}

}  // namespace sluice
