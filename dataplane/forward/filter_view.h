// A filter as a worker sees it for the length of a round: what becomes of its
// packets, and the one generation that judges them, so that no packet is judged
// by halves of two.
//
// Made by ReadFilter() once a round and filter. The worker, the gate before the
// judgement and the pipeline have this one; who wants a packet treated
// otherwise (past the hold, or by the emergency ruleset for a worker that does
// not run) hands the pipeline another view.
#ifndef SLUICE_DATAPLANE_FORWARD_FILTER_VIEW_H_
#define SLUICE_DATAPLANE_FORWARD_FILTER_VIEW_H_

#include <array>
#include <cstdint>

#include "packet/packet.h"
#include "pftable/store/publication.h"
#include "restore/filter_status.h"

namespace sluice {

struct FilterPlane;
struct Generation;
class WorkerCounters;

// What becomes of the packets of a filter.
enum class Disposition : uint8_t {
  kJudge,       // by the policy in force
  kEmergency,   // by the emergency ruleset: the restore has failed
  kHold,        // until the restore has ended
  kDrop,        // the restore has failed, or the filter's ports are disabled
  kUnfiltered,  // `sluicectl -d`: nothing is judged, so nothing waits
};

struct FilterView {
  // Whose states it makes and meets.
  uint16_t number = 0;
  Disposition disposition = Disposition::kJudge;
  // With kDrop.
  DropReason drop_reason = DropReason::kHeld;
  // Null: nothing has been loaded, and nothing passes (kMatch).
  const Generation* generation = nullptr;
  // This worker's counters of the filter's rules and tables. Never null with a
  // generation.
  WorkerCounters* counters = nullptr;
  // Null: there is none, and nothing passes. With kEmergency the one whose
  // restore has failed; the three above are the emergency ruleset's then.
  FilterPlane* filter = nullptr;
  // As it was before the policy was read.
  FilterStatus status{};

  // Whether packets go on to the pipeline.
  bool open() const {
    return disposition != Disposition::kHold &&
           disposition != Disposition::kDrop;
  }
  // Has the emergency ruleset judge in place of the policy; one that is
  // switched off lets everything pass.
  void JudgeBy(const FilterView& emergency) {
    number = emergency.number;
    generation = emergency.generation;
    counters = emergency.counters;
    disposition = emergency.disposition == Disposition::kUnfiltered
                      ? Disposition::kUnfiltered
                      : Disposition::kEmergency;
  }
};

// At the port of arrival and at that of departure. Neither is null.
using FilterEnds = std::array<const FilterView*, 2>;

// The filter as it is now for that worker, status before policy: with a status
// that says so, the restored policy is there. With kEmergency the ruleset that
// judges is still to be said (JudgeBy). Its policy is that of the epoch
// (pftable/store/publication.h), and what the status says of later ones waits
// for the next round.
FilterView ReadFilter(FilterPlane& filter, uint16_t worker,
                      uint64_t policy_epoch = kNewestEpoch);
// The first half of it: all but the policy.
FilterView ReadStatus(FilterPlane& filter,
                      uint64_t policy_epoch = kNewestEpoch);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FORWARD_FILTER_VIEW_H_
