// The states of a running filter: orders to one worker after the other.
#ifndef SLUICE_DATAPLANE_FILTERS_FILTER_STATES_H_
#define SLUICE_DATAPLANE_FILTERS_FILTER_STATES_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/control/api/state_control.h"
#include "dataplane/filters/filter_core.h"

namespace sluice {

// Control lcore.
class FilterStates final : public StateControl {
 public:
  explicit FilterStates(std::shared_ptr<FilterCore> core)
      : core_(std::move(core)) {}

  void CollectCounters(std::function<void()> done) override;
  void ListStates(const StateQuery& query, const std::string& cursor,
                  size_t limit, Done<StateSlice> done) override;
  void TopStates(const StateQuery& query, StateOrder order, size_t limit,
                 Done<std::vector<StateListing>> done) override;
  void CountStates(const StateQuery& query, Done<StateCount> done) override;
  void KillStates(const StateQuery& query, Done<uint64_t> done) override;
  void FindBlocked(std::shared_ptr<const Generation> rules, bool kill,
                   size_t most, Done<BlockedStates> done) override;
  absl::StatusOr<SourceSlice> ListSources(const std::string& cursor,
                                          size_t limit) override;
  std::vector<LimiterListing> ListLimiters() override;
  uint64_t KillSources(const std::optional<Prefix>& source,
                       const std::optional<Prefix>& target) override;

 private:
  class BlockedSearch;

  const std::shared_ptr<FilterCore> core_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FILTERS_FILTER_STATES_H_
