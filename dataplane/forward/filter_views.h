// All filters as a worker sees them in its round. Each is read when the round
// meets it first and stays as it was until the next.
#ifndef SLUICE_DATAPLANE_FORWARD_FILTER_VIEWS_H_
#define SLUICE_DATAPLANE_FORWARD_FILTER_VIEWS_H_

#include <cstdint>
#include <vector>

#include "dataplane/base/build_limits.h"
#include "dataplane/forward/filter_view.h"
#include "dataplane/forward/round_context.h"

namespace sluice {

class FilterTable;
class StateTable;

// Belongs to one worker, whose states follow the timeouts and limits of the
// filters that are seen.
class FilterViews {
 public:
  // All outlive it. There is room for `count` filters.
  FilterViews(uint16_t worker, const RoundContext* round,
              const FilterTable* filters, StateTable* states,
              uint16_t count = kMaxFilters);
  FilterViews(const FilterViews&) = delete;
  FilterViews& operator=(const FilterViews&) = delete;

  // The filter with that number, of this round. Valid until the next.
  FilterView& See(uint16_t number) {
    Seen& seen = seen_[number];
    if (seen.round != round_.number) [[unlikely]] SeeAnew(number);
    return seen.view;
  }
  // Sees one a call, in turn: states of filters that have no packets follow
  // `set timeout` too.
  void SeeNext();

 private:
  struct Seen {
    uint64_t round = 0;
    FilterView view;
    // Whose timeouts the states have.
    uint64_t serial = 0;
    uint64_t generation = 0;
  };

  void SeeAnew(uint16_t number);

  const uint16_t worker_;
  const RoundContext& round_;
  const FilterTable& filters_;
  StateTable& states_;
  std::vector<Seen> seen_;  // by number
  uint16_t next_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FORWARD_FILTER_VIEWS_H_
