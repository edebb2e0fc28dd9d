#include "dataplane/forward/filter_views.h"

#include "conntrack/state_table.h"
#include "dataplane/forward/filter_plane.h"
#include "pftable/engine/generation.h"

namespace sluice {

FilterViews::FilterViews(uint16_t worker, const RoundContext* round,
                         const FilterTable* filters, StateTable* states,
                         uint16_t count)
    : worker_(worker),
      round_(*round),
      filters_(*filters),
      states_(*states),
      seen_(count) {}

void FilterViews::SeeNext() {
  if (next_ >= filters_.end()) next_ = 0;
  See(next_++);
}

void FilterViews::SeeAnew(uint16_t number) {
  Seen& seen = seen_[number];
  seen.round = round_.number;
  FilterPlane* filter = filters_.at(number);
  if (filter == nullptr) {
    seen.view = {.number = number};
    return;
  }
  seen.view = ReadFilter(*filter, worker_, round_.policy_epoch);
  const Generation* generation = seen.view.generation;
  if (generation != nullptr && (generation->number != seen.generation ||
                                filter->serial != seen.serial)) {
    seen.generation = generation->number;
    seen.serial = filter->serial;
    states_.SetFilter(
        number, filter->budget,
        generation->options().TimeoutsFor(filter->budget->limit()),
        filter->sources, filter->handshakes,
        filter->handshakes != nullptr &&
            generation->options().syncookies == Syncookies::kAdaptive);
    states_.SetHelpers(number, generation->options().helpers);
  }
  // The emergency ruleset has no emergency of its own: this goes no deeper.
  if (seen.view.disposition == Disposition::kEmergency) [[unlikely]] {
    seen.view.JudgeBy(See(filter->emergency->number));
  }
}

}  // namespace sluice
