// A filter of a running daemon: assembles what it consists of, and hands out
// the parts that the control socket asks.
//
// Belongs to the control lcore. Its jobs keep alive what they need of it, so
// that a filter may be destroyed while they are under way.
#ifndef SLUICE_DATAPLANE_FILTERS_LIVE_FILTER_H_
#define SLUICE_DATAPLANE_FILTERS_LIVE_FILTER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "dataplane/control/api/filter_control.h"
#include "dataplane/filters/filter_core.h"
#include "dataplane/filters/filter_overview.h"
#include "dataplane/filters/filter_rules.h"
#include "dataplane/filters/filter_states.h"
#include "dataplane/filters/filter_tables.h"

namespace sluice {

class LiveFilter final : public FilterControl,
                         public std::enable_shared_from_this<LiveFilter> {
 public:
  struct Options {
    std::string name;
    uint16_t number = kMainFilter;
    uint64_t serial = 1;
    FailPolicy fail_policy = FailPolicy::kClosed;
    // With FailPolicy::kOpen: the filter that holds then.
    std::shared_ptr<LiveFilter> emergency = nullptr;
    bool bypass_hold = true;
  };
  // Any thread. Nothing passes until a ruleset is loaded. The workers get to
  // know it by plane(), when somebody publishes that.
  LiveFilter(const FilterEnvironment* environment, Options options);

  const std::string& name() const { return core_->name; }
  uint16_t number() const { return core_->number; }
  LiveFilter* emergency() const { return emergency_.get(); }
  std::shared_ptr<LiveFilter> shared_emergency() const { return emergency_; }
  FilterPlane& plane() { return core_->plane; }
  PolicyStore& store() { return core_->store; }
  const StateBudget& budget() const { return core_->budget; }

  // Jobs that are still under way end with an error.
  void MarkDestroyed() { core_->destroyed = true; }

  FilterRules& Rules() override { return *rules_; }
  std::shared_ptr<FilterRules> shared_rules() const { return rules_; }
  FilterStates& States() override { return states_; }
  FilterTables& Tables() override { return tables_; }
  FilterOverview& Status() override { return overview_; }

 private:
  const std::shared_ptr<FilterCore> core_;
  const std::shared_ptr<LiveFilter> emergency_;
  const std::shared_ptr<FilterRules> rules_;
  FilterStates states_;
  FilterTables tables_;
  FilterOverview overview_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FILTERS_LIVE_FILTER_H_
