// Commits of several filters, which come into force, wait for a confirmation
// and go back as one.
//
// While a set waits, its filters are changed by nothing else but a restore,
// after which the filter is not of the set any more. Control lcore.
#ifndef SLUICE_DATAPLANE_FILTERS_COMMIT_SET_H_
#define SLUICE_DATAPLANE_FILTERS_COMMIT_SET_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "dataplane/control/api/commit_control.h"
#include "pftable/store/table_edits.h"

namespace sluice {

class FilterRules;

// What a commit has changed, and the way back.
struct CommitSet {
  struct Member {
    std::string filter;
    std::weak_ptr<FilterRules> rules;
    std::shared_ptr<const Policy> before;
    std::vector<TableBefore> tables;  // that it has edited
  };
  std::vector<Member> members;

  // "a, b"
  std::string Names() const;
};

using RulesOfFilter = std::pair<std::string, std::shared_ptr<FilterRules>>;

// `filters` are those of the request, in its order; null for one that is not
// there.
std::unique_ptr<BuildJob<CommitSetResult>> BeginCommitSet(
    std::vector<RulesOfFilter> filters, CommitSetRequest request);
// Takes the last commit of these filters back.
std::unique_ptr<BuildJob<CommitSetResult>> BeginRollbackSet(
    std::vector<RulesOfFilter> filters, uint32_t uid, int32_t pid);
// The same of one that nobody has confirmed; null: that is under way. Members
// that do not wait any more when it is published are Cancelled, and nothing is
// changed then.
std::unique_ptr<BuildJob<CommitSetResult>> BeginRevertSet(
    const std::shared_ptr<const CommitSet>& set);
// If that is not built after all.
void EndRevertSet(const CommitSet& set);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FILTERS_COMMIT_SET_H_
