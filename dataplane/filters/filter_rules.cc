#include "dataplane/filters/filter_rules.h"

#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "dataplane/filters/explain_job.h"
#include "dataplane/filters/commit_set.h"
#include "dataplane/filters/load_build.h"
#include "dataplane/filters/policy_source.h"
#include "pftable/policy/merge_policy.h"
#include "pftable/policy/names.h"

namespace sluice {
namespace {

bool HasErrors(const std::vector<Diagnostic>& diagnostics) {
  return std::ranges::any_of(diagnostics, [](const Diagnostic& d) {
    return d.severity == Severity::kError;
  });
}

}  // namespace

class FilterRules::LoadJob final : public BuildJob<LoadResult> {
 public:
  // `from_file`: the request's name is a path, and there is no text.
  LoadJob(std::shared_ptr<FilterRules> rules, LoadRequest request,
          bool from_file)
      : rules_(std::move(rules)),
        request_(std::move(request)),
        from_file_(from_file),
        unrouted_(UnroutedPortsOf(*rules_->core_)),
        ticket_(rules_->core_->store.Begin()) {}

  ~LoadJob() override {
    if (!ended_) static_cast<void>(rules_->core_->store.Rollback(ticket_));
  }

  void Build() override {
    const BuildTime time(&build_ms_);
    result_ = {};
    PolicyStore& store = rules_->core_->store;
    const std::shared_ptr<const Policy> old = store.policy();
    std::optional<Policy> policy =
        BuildPolicy(*rules_->core_, request_, from_file_, *old, unrouted_,
                    &result_);
    if (!policy) return;
    const absl::Status status = store.Define(ticket_, *std::move(policy));
    if (!status.ok()) AddDiagnostics(status, request_.name, &result_);
  }

  bool Outdated() const override {
    return !request_.dry_run && !result_.HasErrors() &&
           rules_->core_->store.IsOutdated(ticket_);
  }

  absl::StatusOr<LoadResult> Publish() override {
    ended_ = true;
    PolicyStore& store = rules_->core_->store;
    if (const absl::Status status = rules_->core_->CheckAlive(); !status.ok()) {
      static_cast<void>(store.Rollback(ticket_));
      return status;
    }
    if (!request_.dry_run && !HasErrors(result_.diagnostics)) {
      if (absl::Status s = rules_->history_.CheckAlone(); !s.ok()) {
        static_cast<void>(store.Rollback(ticket_));
        return s;
      }
    }
    if (request_.dry_run || HasErrors(result_.diagnostics)) {
      if (request_.judge_states && !HasErrors(result_.diagnostics)) {
        absl::StatusOr<std::shared_ptr<const Generation>> preview =
            store.Preview(ticket_);
        if (!preview.ok()) {
          static_cast<void>(store.Rollback(ticket_));
          return preview.status();
        }
        result_.judge = *std::move(preview);
      }
      static_cast<void>(store.Rollback(ticket_));
    } else {
      const std::shared_ptr<const Generation> before = store.generation();
      if (request_.only_if && *request_.only_if != before->number) {
        static_cast<void>(store.Rollback(ticket_));
        return absl::FailedPreconditionError(absl::StrCat(
            "generation ", before->number, " is in force, and not ",
            *request_.only_if, ": look at it, then load again"));
      }
      const absl::Status status = store.Commit(ticket_);
      if (!status.ok()) return status;
      rules_->loader_uid_ = request_.uid;
      rules_->loader_pid_ = request_.pid;
      // Who loads without asking for a confirmation is sure.
      if (request_.confirm_within == 0) {
        rules_->history_.Confirm();
      } else {
        rules_->history_.Expect(rules_->core_->SinceStart(),
                                request_.confirm_within,
                                before->policy->source);
      }
      rules_->Committed({.what = "load",
                         .uid = request_.uid,
                         .pid = request_.pid,
                         .rules = result_.rules,
                         .build_ms = build_ms_});
      if (request_.judge_states) result_.judge = store.generation();
    }
    result_.generation = store.generation()->number;
    return std::move(result_);
  }

 private:
  const std::shared_ptr<FilterRules> rules_;
  const LoadRequest request_;
  const bool from_file_;
  const std::vector<UnroutedPort> unrouted_;
  const Ticket ticket_;
  bool ended_ = false;
  uint64_t build_ms_ = 0;
  LoadResult result_;
};

// Loads a policy that was in force before.
class FilterRules::EarlierJob final : public BuildJob<LoadResult> {
 public:
  EarlierJob(std::shared_ptr<FilterRules> rules,
             absl::StatusOr<std::shared_ptr<const Policy>> policy,
             CommitListing commit, bool is_revert = false)
      : rules_(std::move(rules)),
        is_revert_(is_revert),
        policy_(std::move(policy)),
        commit_(std::move(commit)),
        ticket_(rules_->core_->store.Begin(/*comes_back=*/true)) {}

  ~EarlierJob() override {
    if (!ended_) static_cast<void>(rules_->core_->store.Rollback(ticket_));
  }

  void Build() override {
    const BuildTime time(&commit_.build_ms);
    status_ = policy_.status();
    if (!status_.ok()) return;
    commit_.rules = CountRules((*policy_)->main);
    PolicyStore& store = rules_->core_->store;
    Policy policy = **policy_;
    LoadAnew(&policy, *store.policy());
    status_ = store.Define(ticket_, std::move(policy));
  }

  bool Outdated() const override {
    return status_.ok() && rules_->core_->store.IsOutdated(ticket_);
  }

  absl::StatusOr<LoadResult> Publish() override {
    PolicyStore& store = rules_->core_->store;
    status_.Update(rules_->core_->CheckAlive());
    if (is_revert_) {
      rules_->EndRevert();
      status_.Update(CheckOverdue());
    } else {
      status_.Update(rules_->history_.CheckAlone());
    }
    if (!status_.ok()) return status_;
    ended_ = true;
    if (const absl::Status status = store.Commit(ticket_); !status.ok()) {
      return status;
    }
    rules_->history_.Confirm();
    rules_->loader_uid_ = commit_.uid;
    rules_->loader_pid_ = commit_.pid;
    const uint64_t count = commit_.rules;
    rules_->Committed(std::move(commit_));
    return LoadResult{.diagnostics = {},
                      .generation = store.generation()->number,
                      .rules = count};
  }

 private:
  // Somebody may have confirmed the ruleset while this was built, and has been
  // told that it stays; or have given it more time.
  absl::Status CheckOverdue() const {
    const FilterRules& rules = *rules_;
    if (rules.history_.pending_set() == nullptr &&
        rules.history_.Overdue(rules.core_->SinceStart()) == *policy_) {
      return absl::OkStatus();
    }
    return absl::CancelledError("it was confirmed, or replaced, meanwhile");
  }

  const std::shared_ptr<FilterRules> rules_;
  const bool is_revert_;
  const absl::StatusOr<std::shared_ptr<const Policy>> policy_;
  CommitListing commit_;
  const Ticket ticket_;
  bool ended_ = false;
  absl::Status status_;
};

class FilterRules::FlushRulesJob final : public BuildJob<uint64_t> {
 public:
  FlushRulesJob(std::shared_ptr<FilterRules> rules, PolicyFlush flush)
      : rules_(std::move(rules)),
        flush_(std::move(flush)),
        ticket_(rules_->core_->store.Begin()) {}

  ~FlushRulesJob() override {
    if (!ended_) static_cast<void>(rules_->core_->store.Rollback(ticket_));
  }

  void Build() override {
    PolicyStore& store = rules_->core_->store;
    const std::shared_ptr<const Policy> old = store.policy();
    if (old->main.Find(flush_.anchor) == nullptr) {
      status_ = absl::NotFoundError(
          absl::StrCat("anchor \"", flush_.anchor, "\" does not exist"));
      return;
    }
    if (!flush_.debug.empty() &&
        std::ranges::find(DebugWords(old->options.dialect), flush_.debug) ==
            DebugWords(old->options.dialect).end()) {
      status_ = absl::InvalidArgumentError(absl::StrCat(
          "unknown debug level '", flush_.debug, "'"));
      return;
    }
    status_ = store.Define(ticket_, Flushed(*old, flush_));
  }

  absl::StatusOr<uint64_t> Publish() override {
    PolicyStore& store = rules_->core_->store;
    status_.Update(rules_->core_->CheckAlive());
    status_.Update(rules_->history_.CheckAlone());
    if (!status_.ok()) return status_;
    ended_ = true;
    if (const absl::Status status = store.Commit(ticket_); !status.ok()) {
      return status;
    }
    rules_->history_.Confirm();
    rules_->Committed({.what = "flush"});
    return store.generation()->number;
  }

 private:
  const std::shared_ptr<FilterRules> rules_;
  const PolicyFlush flush_;
  const Ticket ticket_;
  bool ended_ = false;
  absl::Status status_;
};

void FilterRules::Committed(CommitListing commit,
                            std::shared_ptr<const CommitSet> set) {
  const std::shared_ptr<const Generation> now = core_->store.generation();
  core_->SetLimits(*now->policy->source);
  rule_cache_.reset();
  // Workers that see this see the generation too: it was published before.
  core_->plane.NoteLoaded(now->epoch);
  if (!core_->switched_at) core_->switched_at = core_->SinceStart();
  commit.generation = now->number;
  commit.when = std::time(nullptr);
  commit.hash = absl::StrFormat("%016x", now->hash);
  history_.Add(std::move(commit), now->policy->source, std::move(set));
}

std::unique_ptr<BuildJob<LoadResult>> FilterRules::BeginRollback(size_t back,
                                                                 uint32_t uid,
                                                                 int32_t pid) {
  return std::make_unique<EarlierJob>(
      shared_from_this(), history_.Before(back),
      CommitListing{.what = "rollback", .uid = uid, .pid = pid});
}

bool FilterRules::IsOverdue() const {
  return history_.Overdue(core_->SinceStart()) != nullptr;
}

std::shared_ptr<const CommitSet> FilterRules::OverdueSet() const {
  return IsOverdue() ? history_.pending_set() : nullptr;
}

std::unique_ptr<BuildJob<LoadResult>> FilterRules::BeginRevert() {
  if (std::exchange(reverting_, true)) return nullptr;
  return std::make_unique<EarlierJob>(
      shared_from_this(), history_.Overdue(core_->SinceStart()),
      CommitListing{.what = "not confirmed",
                    .uid = geteuid(),
                    .pid = getpid()},
      /*is_revert=*/true);
}

std::vector<std::string> FilterRules::PendingTogether() {
  std::vector<std::string> names;
  if (const std::shared_ptr<const CommitSet> set = history_.pending_set()) {
    for (const CommitSet::Member& member : set->members) {
      names.push_back(member.filter);
    }
  }
  return names;
}

absl::Status FilterRules::ConfirmCommit() {
  if (const std::shared_ptr<const CommitSet> set = history_.pending_set()) {
    for (const CommitSet::Member& member : set->members) {
      const std::shared_ptr<FilterRules> rules = member.rules.lock();
      if (rules != nullptr && rules->history_.pending_set() == set) {
        rules->history_.Confirm();
      }
    }
    return absl::OkStatus();
  }
  if (history_.Confirm()) return absl::OkStatus();
  return absl::FailedPreconditionError("no commit waits to be confirmed");
}

void FilterRules::AfterCommit(std::string what) {
  history_.Confirm();
  Committed({.what = std::move(what),
             .uid = geteuid(),
             .pid = getpid(),
             .rules = CountRules(core_->store.policy()->main)});
}

std::unique_ptr<BuildJob<LoadResult>> FilterRules::BeginLoad(
    LoadRequest request) {
  return std::make_unique<LoadJob>(shared_from_this(), std::move(request),
                                   /*from_file=*/false);
}

std::unique_ptr<BuildJob<LoadResult>> FilterRules::BeginLoadFile(
    std::string path) {
  LoadRequest request;
  request.name = std::move(path);
  request.uid = geteuid();
  request.pid = getpid();
  return std::make_unique<LoadJob>(shared_from_this(), std::move(request),
                                   /*from_file=*/true);
}

std::unique_ptr<BuildJob<uint64_t>> FilterRules::BeginFlushRules(
    PolicyFlush flush) {
  return std::make_unique<FlushRulesJob>(shared_from_this(),
                                         std::move(flush));
}

std::unique_ptr<BuildJob<ExplainResult>> FilterRules::BeginExplain(
    ExplainRequest request) {
  return MakeExplainJob(core_, std::move(request));
}

void FilterRules::ClearRuleCounters() {
  ZeroRules(core_->store);
  rule_cache_.reset();
}

void FilterRules::ClearLoadedCounters() {
  ZeroLoadedRules(core_->store);
  rule_cache_.reset();
}

}  // namespace sluice
