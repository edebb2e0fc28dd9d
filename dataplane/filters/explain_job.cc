#include "dataplane/filters/explain_job.h"

#include <utility>

#include "dataplane/control/api/explain_answer.h"
#include "dataplane/filters/policy_source.h"
#include "pftable/compile/enforce.h"
#include "pftable/engine/reclaimer.h"

namespace sluice {
namespace {

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
    return AnswerExplain(generation, *core_->environment.interfaces, tags,
                         *facts_, request_,
                         static_cast<Tick>(core_->SinceStart()), &result_);
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
