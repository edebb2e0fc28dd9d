// A change of several filters that takes effect at once: rulesets, anchors and
// tables of each.
#ifndef SLUICE_DATAPLANE_CONTROL_API_COMMIT_CONTROL_H_
#define SLUICE_DATAPLANE_CONTROL_API_COMMIT_CONTROL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "dataplane/control/api/build_job.h"
#include "dataplane/control/api/rule_control.h"
#include "dataplane/control/api/table_control.h"
#include "pftable/policy/policy.h"

namespace sluice {

struct FilterCommit {
  std::string filter;
  // One after the other, each on what the one before has made; main rulesets,
  // anchors, parts.
  std::vector<LoadRequest> rulesets{};
  // The same, on the tables of these. kAdd, kDelete and kReplace.
  std::vector<TableEdit> tables{};
  // Refused unless this generation of the filter is in force.
  std::optional<uint64_t> only_if{};
};

struct CommitSetRequest {
  std::vector<FilterCommit> filters;
  bool dry_run = false;
  // The rules come back with the results, to judge living states by.
  bool judge_states = false;
  // Unless the set is confirmed within so many seconds, what was in force
  // before comes back at all of them. 0: it stays.
  uint32_t confirm_within = 0;
  uint32_t uid = 0;
  int32_t pid = 0;
};

struct FilterOutcome {
  std::string filter;
  // Errors in its diagnostics, or a status that is not ok: nothing was changed
  // at any of the filters.
  LoadResult load{};
  absl::Status status{};
};

struct CommitSetResult {
  std::vector<FilterOutcome> filters;  // in the order of the request

  bool Failed() const {
    for (const FilterOutcome& outcome : filters) {
      if (!outcome.status.ok() || outcome.load.HasErrors()) return true;
    }
    return false;
  }
};

class CommitControl {
 public:
  virtual ~CommitControl() = default;

  virtual std::unique_ptr<BuildJob<CommitSetResult>> BeginCommit(
      CommitSetRequest request) = 0;
  // What was in force before the last commit of these filters comes back,
  // tables that it edited included. FailedPrecondition, as the job's result,
  // unless it was the last commit of each, and of no other filter.
  virtual std::unique_ptr<BuildJob<CommitSetResult>> BeginRollbackTogether(
      std::vector<std::string> filters, uint32_t uid, int32_t pid) = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONTROL_API_COMMIT_CONTROL_H_
