// The rules of a running filter: loads, listings, and what the packet log says
// of them.
#ifndef SLUICE_DATAPLANE_FILTERS_FILTER_RULES_H_
#define SLUICE_DATAPLANE_FILTERS_FILTER_RULES_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/control/api/rule_control.h"
#include "dataplane/filters/commit_history.h"
#include "dataplane/filters/filter_core.h"
#include "dataplane/packetlog/pflog.h"
#include "dataplane/packetlog/session_text.h"
#include "pftable/store/policy_listing.h"

namespace sluice {

// Belongs to the control lcore; only BuildJob::Build() runs elsewhere.
class FilterRules final : public RuleControl,
                          public std::enable_shared_from_this<FilterRules> {
 public:
  explicit FilterRules(std::shared_ptr<FilterCore> core)
      : core_(std::move(core)) {}

  // A load of a file of this machine, whose includes are read from it too: at
  // the start and on SIGHUP.
  std::unique_ptr<BuildJob<LoadResult>> BeginLoadFile(std::string path);
  // What a commit changes beside the policy: to be called after one that this
  // has not made, a restore's or that of a kept policy. `what` is for the
  // history.
  void AfterCommit(std::string what);
  // Whether a ruleset was not confirmed in time and has to go; then
  // BeginRevert() brings back what was before; null: that is under way. Its
  // result is Cancelled if somebody has confirmed the ruleset meanwhile.
  bool IsOverdue() const;
  std::unique_ptr<BuildJob<LoadResult>> BeginRevert();
  // The same of one that has to go with those of other filters, by
  // BeginRevertSet() (commit_set.h); null: there is none.
  std::shared_ptr<const CommitSet> OverdueSet() const;
  // If that is not built after all.
  void EndRevert() { reverting_ = false; }
  // For the packet log: which pflog the record goes to, and what is known of
  // its rule.
  uint8_t Describe(const LogRecord& record, PflogContext* context);
  void Describe(const FlowRecord& record, SessionContext* context);

  std::unique_ptr<BuildJob<LoadResult>> BeginLoad(
      LoadRequest request) override;
  std::unique_ptr<BuildJob<ExplainResult>> BeginExplain(
      ExplainRequest request) override;
  std::unique_ptr<BuildJob<uint64_t>> BeginFlushRules(
      PolicyFlush flush) override;
  absl::StatusOr<std::vector<std::string>> ListAnchors(
      const std::string& anchor, bool below) override;
  absl::StatusOr<RuleSlice> ListRules(const RuleQuery& query,
                                      const std::string& cursor,
                                      size_t limit) override;
  absl::StatusOr<SystemSlice> ListSystems(const std::string& cursor,
                                          size_t limit) override;
  void ClearRuleCounters() override;
  std::unique_ptr<BuildJob<LoadResult>> BeginRollback(size_t back, uint32_t uid,
                                                      int32_t pid) override;
  absl::Status ConfirmCommit() override;
  std::vector<std::string> PendingTogether() override;
  std::vector<CommitListing> Commits() override { return history_.List(); }
  std::optional<uint64_t> ConfirmLeft() override {
    return history_.Left(core_->SinceStart());
  }
  void ClearLoadedCounters() override;

 private:
  friend class CommitSetJob;
  class LoadJob;
  class FlushRulesJob;
  class EarlierJob;

  // After each commit.
  void Committed(CommitListing commit,
                 std::shared_ptr<const CommitSet> set = nullptr);

  const std::shared_ptr<FilterCore> core_;
  CommitHistory history_;
  bool reverting_ = false;
  // Who loaded the ruleset in force.
  uint32_t loader_uid_ = 0;
  int32_t loader_pid_ = 0;

  // Rules as a listing began with them, so that its slices fit together.
  struct RuleCache {
    uint64_t generation = 0;
    std::string anchor;
    bool translation = false;
    std::shared_ptr<const Policy> policy;  // that `rules` point into
    std::vector<RuleStatus> rules;
  };
  std::optional<RuleCache> rule_cache_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FILTERS_FILTER_RULES_H_
