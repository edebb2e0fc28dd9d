#include "dataplane/filters/filter_core.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/workers/worker.h"

namespace sluice {

FilterCore::FilterCore(const FilterEnvironment* environment, std::string name,
                       uint16_t number)
    : BareFilter(number, environment->store, environment->interfaces,
                 environment->reclaimer, environment->state_capacity),
      environment(*environment),
      name(std::move(name)),
      number(number),
      rules_by_slot(&store),
      snapshots(environment->store.workers) {
  plane.MakeHolds(environment->store.workers, environment->hold_budget);
}

absl::Status FilterCore::CheckAlive() const {
  if (!destroyed) return absl::OkStatus();
  return absl::NotFoundError(
      absl::StrCat("filter '", name, "' was destroyed meanwhile"));
}

uint64_t FilterCore::SinceStart() const {
  return environment.plane->clock.Milliseconds();
}

}  // namespace sluice
