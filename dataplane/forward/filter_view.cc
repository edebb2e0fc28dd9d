#include "dataplane/forward/filter_view.h"

#include "dataplane/forward/filter_plane.h"
#include "pftable/store/policy_store.h"

namespace sluice {
namespace {

// What the status says, for a filter that is switched on or not.
Disposition DispositionIn(const FilterPlane& filter, const FilterStatus& status,
                          bool enabled) {
  const FilterDisposition wanted = DispositionOf(status);
  // Whoever switches the filter off does not mean what holds in its place.
  if (wanted == FilterDisposition::kFail && filter.emergency != nullptr &&
      filter.fail_policy == FailPolicy::kOpen) {
    return Disposition::kEmergency;
  }
  if (!enabled) return Disposition::kUnfiltered;
  switch (wanted) {
    case FilterDisposition::kJudge:
      return Disposition::kJudge;
    case FilterDisposition::kRequest:
    case FilterDisposition::kHold:
      return Disposition::kHold;
    case FilterDisposition::kFail:
    case FilterDisposition::kDrop:
      return Disposition::kDrop;
  }
  return Disposition::kDrop;
}

}  // namespace

FilterView ReadStatus(FilterPlane& filter, uint64_t policy_epoch) {
  FilterView view{.number = filter.number, .filter = &filter};
  view.status = filter.status.Load();
  // The load is an acquire: with this state the epoch of its policy is there.
  if (view.status.state == RestoreState::kRestored &&
      filter.restored_from.load(std::memory_order_relaxed) > policy_epoch)
      [[unlikely]] {
    view.status.state = RestoreState::kCommitting;
  }
  view.disposition =
      DispositionIn(filter, view.status,
                    filter.enabled.load(std::memory_order_acquire));
  if (DispositionOf(view.status) == FilterDisposition::kDrop) {
    view.drop_reason = DropReason::kPortDown;
  }
  return view;
}

FilterView ReadFilter(FilterPlane& filter, uint16_t worker,
                      uint64_t policy_epoch) {
  // Its acquire load keeps what follows behind it.
  FilterView view = ReadStatus(filter, policy_epoch);
  view.counters = &filter.policy->worker_counters(worker);
  if (filter.loaded.load(std::memory_order_acquire) &&
      filter.loaded_from.load(std::memory_order_relaxed) <= policy_epoch) {
    view.generation = filter.policy->At(policy_epoch);
  }
  return view;
}

}  // namespace sluice
