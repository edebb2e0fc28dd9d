#include "dataplane/filters/commit_set.h"

#include <unistd.h>

#include <algorithm>
#include <optional>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "dataplane/filters/filter_rules.h"
#include "dataplane/filters/load_build.h"
#include "dataplane/filters/policy_source.h"

namespace sluice {

std::string CommitSet::Names() const {
  return absl::StrJoin(members, ", ",
                       [](std::string* out, const Member& member) {
                         out->append(member.filter);
                       });
}

// A commit, or the way back from one.
class CommitSetJob final : public BuildJob<CommitSetResult> {
 public:
  struct Options {
    const char* what = "load";
    bool dry_run = false;
    bool judge_states = false;
    uint32_t confirm_within = 0;
    uint32_t uid = 0;
    int32_t pid = 0;
    // That it takes back, and whether because nobody has confirmed it.
    std::shared_ptr<const CommitSet> back_from = nullptr;
    bool is_revert = false;
  };

  explicit CommitSetJob(Options options) : options_(std::move(options)) {}
  ~CommitSetJob() override { EndTickets(); }

  void Add(const std::string& filter, std::shared_ptr<FilterRules> rules,
           FilterCommit change) {
    Member member;
    member.filter = filter;
    member.change = std::move(change);
    Take(std::move(member), std::move(rules));
  }
  void AddBack(const CommitSet::Member& from,
               std::shared_ptr<FilterRules> rules) {
    Member member;
    member.filter = from.filter;
    // Of some it has changed no more than tables: their rules stay as they are.
    if (rules != nullptr && rules->core_->store.policy() != from.before) {
      member.earlier = from.before;
    }
    member.put_back = from.tables;
    Take(std::move(member), std::move(rules));
  }
  void Refuse(absl::Status status) { refusal_.Update(std::move(status)); }

  void Build() override {
    if (!refusal_.ok()) return;
    for (Member& member : members_) {
      if (member.rules == nullptr) continue;
      const BuildTime time(&member.build_ms);
      if (!DefineRules(member)) continue;
      member.status = Stage(member);
    }
  }

  bool Outdated() const override {
    if (options_.dry_run || Failed()) return false;
    return std::ranges::any_of(members_, [](const Member& member) {
      const PolicyStore& store = StoreOf(member);
      return store.IsOutdated(member.ticket) ||
             (!member.change.tables.empty() &&
              !store.IsUpToDate(member.staged));
    });
  }

  absl::StatusOr<CommitSetResult> Publish() override {
    if (options_.is_revert) EndRevertSet(*options_.back_from);
    if (!refusal_.ok()) return refusal_;
    for (Member& member : members_) Check(member);
    if (!Failed() && !options_.dry_run) PublishAll();
    CommitSetResult result;
    const bool failed = Failed();
    for (Member& member : members_) {
      FilterOutcome outcome = {.filter = member.filter,
                               .load = std::move(member.load),
                               .status = member.status};
      if (!failed) {
        outcome.load.rules = member.rules_count;
        if (options_.judge_states) {
          outcome.load.judge =
              options_.dry_run
                  ? std::shared_ptr<const Generation>(
                        std::move(member.staged.next))
                  : StoreOf(member).generation();
        }
      }
      if (member.rules != nullptr) {
        outcome.load.generation = StoreOf(member).generation()->number;
      }
      result.filters.push_back(std::move(outcome));
    }
    EndTickets();
    return result;
  }

 private:
  struct Member {
    std::string filter;
    std::shared_ptr<FilterRules> rules;
    FilterCommit change;
    // With a way back.
    std::shared_ptr<const Policy> earlier;
    std::vector<TableBefore> put_back;

    Ticket ticket = 0;  // 0: its rules stay
    // What the rules were defined on; null: they are not yet.
    std::shared_ptr<const Policy> defined_on;
    StagedGeneration staged;
    std::vector<TableBefore> tables;  // as they were
    std::vector<UnroutedPort> unrouted;
    LoadResult load;
    absl::Status status;
    uint64_t rules_count = 0;
    uint64_t build_ms = 0;
  };

  static PolicyStore& StoreOf(const Member& member) {
    return member.rules->core_->store;
  }

  void Take(Member member, std::shared_ptr<FilterRules> rules) {
    member.rules = std::move(rules);
    if (member.rules == nullptr) {
      member.status = absl::NotFoundError("there is no such filter");
    } else if (member.earlier != nullptr || !member.change.rulesets.empty()) {
      member.unrouted = UnroutedPortsOf(*member.rules->core_);
      member.ticket =
          StoreOf(member).Begin(/*comes_back=*/member.earlier != nullptr);
    }
    members_.push_back(std::move(member));
  }

  bool Failed() const {
    return !refusal_.ok() ||
           std::ranges::any_of(members_, [](const Member& member) {
             return !member.status.ok() || member.load.HasErrors();
           });
  }

  // Parses, compiles and defines what is new, unless it is so already: an edit
  // of a table meanwhile makes nobody parse anew. False: there are errors.
  bool DefineRules(Member& member) {
    PolicyStore& store = StoreOf(member);
    const std::shared_ptr<const Policy> old = store.policy();
    if (member.ticket == 0) {
      member.rules_count = CountRules(old->main);
      return true;
    }
    if (member.defined_on == old && !store.IsOutdated(member.ticket)) {
      return true;
    }
    member.load = {};
    member.defined_on = nullptr;
    std::string name;
    std::optional<Policy> policy;
    if (member.earlier != nullptr) {
      policy = *member.earlier;
      LoadAnew(&*policy, *old);
    } else {
      for (const LoadRequest& request : member.change.rulesets) {
        name = request.name;
        const Standing standing =
            policy ? Standing::kInTheMaking : Standing::kInForce;
        policy = BuildPolicy(*member.rules->core_, request,
                             /*from_file=*/false, policy ? *policy : *old,
                             member.unrouted, &member.load, standing);
        if (!policy) return false;
      }
    }
    member.rules_count = CountRules(policy->main);
    const absl::Status status =
        store.Define(member.ticket, *std::move(policy));
    if (absl::IsAborted(status)) {
      member.status = status;
    } else if (!status.ok()) {
      AddDiagnostics(status, name, &member.load);
    }
    if (!status.ok()) return false;
    member.defined_on = old;
    return true;
  }

  absl::Status Stage(Member& member) {
    PolicyStore& store = StoreOf(member);
    // What tables were is what they are where it begins, whoever edits them at
    // the same time, and before its rulesets define them.
    std::shared_ptr<const Generation> now;
    if (member.ticket != 0) {
      absl::StatusOr<StagedGeneration> staged =
          store.StageLoad(member.ticket, &now);
      if (!staged.ok()) return staged.status();
      member.staged = *std::move(staged);
    } else {
      now = store.generation();
      member.staged = StagedGeneration(*now);
    }
    member.tables.clear();
    std::vector<StagedTableEdit> edits;
    for (const TableEdit& edit : member.change.tables) {
      const TableKey key = {.anchor = edit.anchor, .name = edit.table};
      member.tables.push_back(TableNow(*now, key));
      edits.push_back({.kind = edit.command == TableCommand::kAdd
                                   ? TableEditKind::kAdd
                               : edit.command == TableCommand::kDelete
                                   ? TableEditKind::kDelete
                                   : TableEditKind::kReplace,
                       .key = key,
                       .entries = edit.entries});
    }
    for (const TableBefore& table : member.put_back) {
      member.tables.push_back(TableNow(*now, table.key));
    }
    if (!edits.empty()) {
      if (absl::Status s = EditStaged(store, &member.staged, edits); !s.ok()) {
        return s;
      }
    }
    if (member.put_back.empty()) return absl::OkStatus();
    return PutBack(store, &member.staged, member.put_back);
  }

  void Check(Member& member) {
    if (member.rules == nullptr || !member.status.ok()) return;
    member.status = member.rules->core_->CheckAlive();
    if (!member.status.ok()) return;
    PolicyStore& store = StoreOf(member);
    const uint64_t number = store.generation()->number;
    if (member.change.only_if && *member.change.only_if != number) {
      member.status = absl::FailedPreconditionError(absl::StrCat(
          "generation ", number, " is in force, and not ",
          *member.change.only_if, ": look at it, then load again"));
      return;
    }
    if (options_.dry_run) return;
    const CommitHistory& history = member.rules->history_;
    if (options_.is_revert) {
      // It was built on another thread, while it could be confirmed.
      if (history.pending_set() != options_.back_from) {
        member.status =
            absl::CancelledError("it was confirmed, or replaced, meanwhile");
      }
    } else if (options_.back_from == nullptr) {
      member.status = history.CheckAlone();
      if (member.status.ok() && options_.confirm_within > 0 &&
          history.IsExpected()) {
        member.status = absl::FailedPreconditionError(
            "its ruleset waits to be confirmed: confirm it or roll it back "
            "first");
      }
    } else if (history.last_set() != options_.back_from) {
      member.status = absl::FailedPreconditionError(
          "its rules were changed alone meanwhile");
    }
    if (!member.status.ok() || member.load.HasErrors()) return;
    // Whoever edits tables meanwhile is not waited for, as with a load alone.
    // Edits of this commit's own are in the builder's hands: Outdated().
    const bool is_outdated = store.IsOutdated(member.ticket);
    if (is_outdated ? DefineRules(member)
                    : member.change.tables.empty() &&
                          !store.IsUpToDate(member.staged)) {
      member.status = Stage(member);
    }
  }

  void PublishAll() {
    std::vector<StagedCommit> commits;
    auto set = std::make_shared<CommitSet>();
    for (Member& member : members_) {
      PolicyStore& store = StoreOf(member);
      set->members.push_back({.filter = member.filter,
                              .rules = member.rules,
                              .before = store.policy(),
                              .tables = member.tables});
      commits.push_back({.store = &store,
                         .ticket = member.ticket,
                         .generation = std::move(member.staged)});
    }
    size_t culprit = 0;
    const absl::Status status = PublishTogether(commits, &culprit);
    if (!status.ok()) {
      members_[culprit].status = status;
      return;
    }
    std::vector<std::string> names;
    for (const Member& member : members_) names.push_back(member.filter);
    for (Member& member : members_) {
      FilterRules& rules = *member.rules;
      member.ticket = 0;  // ended with it
      if (options_.confirm_within == 0) {
        rules.history_.Confirm();
      } else {
        rules.history_.Expect(rules.core_->SinceStart(),
                              options_.confirm_within,
                              set->members[&member - members_.data()].before,
                              set);
      }
      rules.loader_uid_ = options_.uid;
      rules.loader_pid_ = options_.pid;
      rules.Committed({.what = options_.what,
                       .uid = options_.uid,
                       .pid = options_.pid,
                       .rules = member.rules_count,
                       .build_ms = member.build_ms,
                       .together = names},
                      set);
    }
  }

  void EndTickets() {
    for (Member& member : members_) {
      if (member.ticket == 0) continue;
      static_cast<void>(StoreOf(member).Rollback(member.ticket));
      member.ticket = 0;
    }
  }

  friend void EndRevertSet(const CommitSet& set);
  friend std::unique_ptr<BuildJob<CommitSetResult>> BeginRevertSet(
      const std::shared_ptr<const CommitSet>& set);
  friend std::unique_ptr<BuildJob<CommitSetResult>> BeginRollbackSet(
      std::vector<RulesOfFilter> filters, uint32_t uid, int32_t pid);

  static const CommitHistory& HistoryOf(const FilterRules& rules) {
    return rules.history_;
  }
  static bool& RevertingOf(FilterRules& rules) { return rules.reverting_; }

  const Options options_;
  std::vector<Member> members_;
  absl::Status refusal_;
};

std::unique_ptr<BuildJob<CommitSetResult>> BeginCommitSet(
    std::vector<RulesOfFilter> filters, CommitSetRequest request) {
  auto job = std::make_unique<CommitSetJob>(
      CommitSetJob::Options{.dry_run = request.dry_run,
                            .judge_states = request.judge_states,
                            .confirm_within = request.confirm_within,
                            .uid = request.uid,
                            .pid = request.pid});
  std::set<std::string> seen;
  for (size_t i = 0; i < filters.size(); ++i) {
    auto& [name, rules] = filters[i];
    if (!seen.insert(name).second) {
      job->Refuse(absl::InvalidArgumentError(
          absl::StrCat("filter ", name, " is named twice")));
      break;
    }
    job->Add(name, std::move(rules), std::move(request.filters[i]));
  }
  return job;
}

std::unique_ptr<BuildJob<CommitSetResult>> BeginRollbackSet(
    std::vector<RulesOfFilter> filters, uint32_t uid, int32_t pid) {
  CommitSetJob::Options options = {
      .what = "rollback", .uid = uid, .pid = pid};
  absl::Status refusal;
  std::set<std::string> names;
  for (const auto& [name, rules] : filters) {
    names.insert(name);
    if (rules == nullptr) {
      refusal.Update(absl::NotFoundError(
          absl::StrCat("filter ", name, ": there is no such filter")));
      continue;
    }
    const std::shared_ptr<const CommitSet>& last =
        CommitSetJob::HistoryOf(*rules).last_set();
    if (last == nullptr) {
      refusal.Update(absl::FailedPreconditionError(absl::StrCat(
          "filter ", name, ": its last commit was of it alone; -s commits "
          "shows it")));
    } else if (options.back_from == nullptr) {
      options.back_from = last;
    } else if (last != options.back_from) {
      refusal.Update(absl::FailedPreconditionError(
          absl::StrCat("filter ", name, ": its last commit was another one; "
                       "-s commits shows it")));
    }
  }
  const std::shared_ptr<const CommitSet> set = options.back_from;
  auto job = std::make_unique<CommitSetJob>(std::move(options));
  if (refusal.ok() && set != nullptr && set->members.size() != names.size()) {
    refusal = absl::FailedPreconditionError(absl::StrCat(
        "the last commit was of ", set->Names(), ": name all of them"));
  }
  if (!refusal.ok() || set == nullptr) {
    job->Refuse(std::move(refusal));
    return job;
  }
  for (const CommitSet::Member& member : set->members) {
    job->AddBack(member, member.rules.lock());
  }
  return job;
}

std::unique_ptr<BuildJob<CommitSetResult>> BeginRevertSet(
    const std::shared_ptr<const CommitSet>& set) {
  CommitSetJob::Options options = {.what = "not confirmed",
                                   .uid = geteuid(),
                                   .pid = getpid(),
                                   .back_from = set,
                                   .is_revert = true};
  std::vector<std::pair<const CommitSet::Member*,
                        std::shared_ptr<FilterRules>>> waiting;
  for (const CommitSet::Member& member : set->members) {
    // Those that were destroyed, or restored, are not of it any more.
    std::shared_ptr<FilterRules> rules = member.rules.lock();
    if (rules == nullptr ||
        CommitSetJob::HistoryOf(*rules).pending_set() != set) {
      continue;
    }
    if (CommitSetJob::RevertingOf(*rules)) return nullptr;
    waiting.emplace_back(&member, std::move(rules));
  }
  auto job = std::make_unique<CommitSetJob>(std::move(options));
  for (auto& [member, rules] : waiting) {
    CommitSetJob::RevertingOf(*rules) = true;
    job->AddBack(*member, std::move(rules));
  }
  return job;
}

void EndRevertSet(const CommitSet& set) {
  for (const CommitSet::Member& member : set.members) {
    if (const std::shared_ptr<FilterRules> rules = member.rules.lock()) {
      CommitSetJob::RevertingOf(*rules) = false;
    }
  }
}

}  // namespace sluice
