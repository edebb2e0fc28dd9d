#include "dataplane/filters/filter_core.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/workers/worker.h"

namespace sluice {

FilterCore::FilterCore(const FilterEnvironment* environment, std::string name,
                       uint16_t number)
    : environment(*environment),
      name(std::move(name)),
      number(number),
      budget(0),
      store(environment->store, environment->interfaces,
            environment->reclaimer),
      rules_by_slot(&store),
      snapshots(environment->store.workers) {
  plane.number = number;
  plane.policy = &store;
  plane.budget = &budget;
  plane.MakeHolds(environment->store.workers, environment->hold_budget);
  SetStateLimit(*store.policy());
}

absl::Status FilterCore::CheckAlive() const {
  if (!destroyed) return absl::OkStatus();
  return absl::NotFoundError(
      absl::StrCat("filter '", name, "' was destroyed meanwhile"));
}

uint64_t FilterCore::SinceStart() const {
  return environment.plane->clock.Milliseconds();
}

void FilterCore::SetStateLimit(const Policy& policy) {
  budget.SetLimit(std::min(policy.options.limit(Limit::kStates),
                           environment.state_capacity));
}

}  // namespace sluice
