// What the parts of FilterStates share: queries as workers compare them, and
// states as people read them.
#ifndef SLUICE_DATAPLANE_FILTERS_STATE_LISTING_H_
#define SLUICE_DATAPLANE_FILTERS_STATE_LISTING_H_

#include <map>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "conntrack/state.h"
#include "dataplane/control/api/state_control.h"
#include "dataplane/filters/filter_core.h"
#include "dataplane/workers/state_orders.h"
#include "dataplane/workers/state_ranking.h"

namespace sluice {

absl::StatusOr<std::shared_ptr<const StateMatcher>> Resolve(
    const FilterCore& core, const StateQuery& query);
StateListing ToListing(FilterCore& core, const StateRecord& state);
// With what their helpers wait for.
std::vector<StateListing> ToListings(FilterCore& core,
                                     std::span<const StateRecord> states);
std::vector<StateCount::OfPhase> PhasesOf(const StateTally& tally);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FILTERS_STATE_LISTING_H_
