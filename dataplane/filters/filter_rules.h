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
#include "dataplane/filters/filter_core.h"
#include "dataplane/packetlog/pflog.h"
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
  // What a commit changes beside the policy: to be called after that of a
  // restore.
  void AfterCommit();
  // For the packet log: which pflog the record goes to, and what is known of
  // its rule.
  uint8_t Describe(const LogRecord& record, PflogContext* context);

  std::unique_ptr<BuildJob<LoadResult>> BeginLoad(
      LoadRequest request) override;
  std::unique_ptr<BuildJob<uint64_t>> BeginFlushRules(
      PolicyFlush flush) override;
  absl::StatusOr<std::vector<std::string>> ListAnchors(
      const std::string& anchor, bool below) override;
  absl::StatusOr<RuleSlice> ListRules(const RuleQuery& query,
                                      const std::string& cursor,
                                      size_t limit) override;
  void ClearRuleCounters() override;
  void ClearLoadedCounters() override;

 private:
  class LoadJob;
  class FlushRulesJob;

  const std::shared_ptr<FilterCore> core_;
  // Who loaded the ruleset in force.
  uint32_t loader_uid_ = 0;
  int32_t loader_pid_ = 0;

  // Rules as a listing began with them, so that its slices fit together.
  struct RuleCache {
    uint64_t generation = 0;
    std::string anchor;
    std::shared_ptr<const Policy> policy;  // that `rules` point into
    std::vector<RuleStatus> rules;
  };
  std::optional<RuleCache> rule_cache_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FILTERS_FILTER_RULES_H_
