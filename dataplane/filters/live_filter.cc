#include "dataplane/filters/live_filter.h"

#include <utility>

namespace sluice {

LiveFilter::LiveFilter(const FilterEnvironment* environment, Options options)
    : core_(std::make_shared<FilterCore>(
          environment, std::move(options.name), options.number)),
      emergency_(std::move(options.emergency)),
      rules_(std::make_shared<FilterRules>(core_)),
      states_(core_),
      tables_(core_),
      overview_(core_) {
  FilterPlane& plane = core_->plane;
  plane.serial = options.serial;
  plane.fail_policy = options.fail_policy;
  if (emergency_ != nullptr) plane.emergency = &emergency_->plane();
  plane.bypass_hold = options.bypass_hold;
}

}  // namespace sluice
