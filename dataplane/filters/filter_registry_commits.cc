// Commits of several filters, and rulesets that nobody has confirmed.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "dataplane/base/log.h"
#include "dataplane/filters/commit_set.h"
#include "dataplane/filters/filter_registry.h"

namespace sluice {

void FilterRegistry::RevertOverdue(const std::shared_ptr<LiveFilter>& filter) {
  if (!filter->Rules().IsOverdue()) return;
  if (const auto set = filter->Rules().OverdueSet()) return RevertSet(set);
  const std::shared_ptr<BuildJob<LoadResult>> job =
      filter->Rules().BeginRevert();
  if (job == nullptr) return;  // under way
  // What is not done now is tried again in a second.
  auto finish = [job, filter] {
    const absl::StatusOr<LoadResult> result = job->Publish();
    if (result.ok()) {
      LogWarning("filter {}: nobody confirmed the ruleset in time: the one "
                   "before is in force again, {} rules, generation {}",
                   filter->name(), result->rules, result->generation);
    } else if (absl::IsCancelled(result.status())) {
      LogInfo("filter {}: the ruleset stays after all: {}", filter->name(),
              std::string(result.status().message()));
    } else {
      LogError("filter {}: nobody confirmed the ruleset in time, and the one "
                 "before cannot come back: {}",
                 filter->name(), result.status().ToString());
    }
  };
  if (!builder_.Submit([job] { job->Build(); }, std::move(finish))) {
    filter->Rules().EndRevert();
  }
}

void FilterRegistry::RevertSet(const std::shared_ptr<const CommitSet>& set) {
  const std::shared_ptr<BuildJob<CommitSetResult>> job = BeginRevertSet(set);
  if (job == nullptr) return;  // under way
  // What is not done now is tried again in a second.
  auto finish = [job, set] {
    const absl::StatusOr<CommitSetResult> result = job->Publish();
    if (result.ok() && !result->Failed()) {
      LogWarning("filters {}: nobody confirmed their rulesets in time: those "
                 "before are in force again", set->Names());
      return;
    }
    std::string why(result.status().message());
    bool stays = result.ok();
    if (result.ok()) {
      for (const FilterOutcome& outcome : result->filters) {
        stays = stays && absl::IsCancelled(outcome.status);
        if (outcome.status.ok()) continue;
        absl::StrAppend(&why, "filter ", outcome.filter, ": ",
                        outcome.status.message(), "; ");
      }
    }
    if (stays) {
      LogInfo("filters {}: their rulesets stay after all: {}", set->Names(),
              why);
      return;
    }
    LogError("filters {}: nobody confirmed their rulesets in time, and those "
             "before cannot come back: {}", set->Names(), why);
  };
  if (!builder_.Submit([job] { job->Build(); }, std::move(finish))) {
    EndRevertSet(*set);
  }
}

std::shared_ptr<FilterRules> FilterRegistry::RulesOf(std::string_view name) {
  auto* const filter = static_cast<LiveFilter*>(Find(name));
  return filter != nullptr ? filter->shared_rules() : nullptr;
}

std::unique_ptr<BuildJob<CommitSetResult>> FilterRegistry::BeginCommit(
    CommitSetRequest request) {
  std::vector<RulesOfFilter> filters;
  for (const FilterCommit& change : request.filters) {
    filters.emplace_back(change.filter, RulesOf(change.filter));
  }
  return BeginCommitSet(std::move(filters), std::move(request));
}

std::unique_ptr<BuildJob<CommitSetResult>> FilterRegistry::BeginRollbackTogether(
    std::vector<std::string> filters, uint32_t uid, int32_t pid) {
  std::vector<RulesOfFilter> named;
  for (const std::string& name : filters) {
    named.emplace_back(name, RulesOf(name));
  }
  return BeginRollbackSet(std::move(named), uid, pid);
}

}  // namespace sluice
