// The gate before the judgement: packets of a filter whose restore is awaited
// are held, let past or dropped here, and come back from here, in order, when
// the restore has ended.
//
// One gate a worker, used by that worker alone. It has no I/O and no clock,
// never allocates after its construction, and frees no packet: what is to be
// dropped is handed back with its reason. What happens when:
//
//   the port's status     packets                       those already held
//   EXPECT                ask for the restore, held     wait
//   QUEUED to COMMITTING  held                          wait
//   RESTORED, SKIPPED     judged, after those held      judged, in order
//   FAILED, fail-open     judged by the emergency       the same
//                         ruleset
//   FAILED, fail-closed   dropped (kHeld)               dropped (kHeld)
//   disabled              dropped (kPortDown)           dropped (kHeld)
//
// Those that have waited for kMaxHoldTime are dropped (kHeld), and so are new
// ones while there is no room. A packet is judged as a whole or not at all: it
// waits for the filter of the port of arrival first, then for that of the port
// of departure, and is then judged from the start.
#ifndef SLUICE_DATAPLANE_FORWARD_RESTORE_GATE_H_
#define SLUICE_DATAPLANE_FORWARD_RESTORE_GATE_H_

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/forward/filter_plane.h"
#include "packet/packet.h"
#include "restore/hold_queue.h"
#include "restore/filter_status.h"

namespace sluice {

// A filter as a worker has seen it at the beginning of its round. The status
// was read before the policy: with a status that says judge, the policy is the
// one that the restore has published.
struct GateView {
  FilterPlane* filter = nullptr;  // null: there is none, and nothing passes
  FilterStatus status;
  // `sluicectl -d`: nothing is judged by it, so nothing waits for it.
  bool enabled = true;

  // Whether packets go on to be judged, by the policy in force or, after a
  // failure, by the emergency ruleset.
  bool open() const {
    return filter == nullptr || !enabled ||
           DispositionOf(status) == FilterDisposition::kJudge || emergency();
  }
  // Whether the emergency ruleset is in force.
  bool emergency() const {
    return filter != nullptr && filter->emergency != nullptr &&
           filter->fail_policy == FailPolicy::kOpen &&
           DispositionOf(status) == FilterDisposition::kFail;
  }
};

// The ends of a wire at which a packet is judged: port of arrival, port of
// departure. Null: nothing is judged there (excluded, disabled, no such port).
using GateEnds = std::array<GateView*, 2>;

enum class GateAction : uint8_t { kJudge, kHold, kDrop };

struct GateDecision {
  GateAction action = GateAction::kJudge;
  DropReason reason = DropReason::kHeld;  // with kDrop
  uint8_t end = 0;                        // with kHold: whose queue
  // Bit i: end i would have held it and lets it past unjudged.
  uint8_t bypassed = 0;

  friend bool operator==(const GateDecision&, const GateDecision&) = default;
};

// What becomes of a packet now. `bypasses`: MayBypassHold() says so of it.
GateDecision Decide(const GateEnds& ends, bool bypasses);

// What Admit() has taken out of a burst.
struct GateResult {
  // To be judged as if the filters at the bypassed ends were disabled.
  PacketBurst bypass;
  uint8_t bypassed = 0;
  // To be dropped by the caller.
  uint32_t drop_count = 0;
  std::array<rte_mbuf*, kMaxBurst> drops;
  std::array<DropReason, kMaxBurst> reasons;
};

class RestoreGate {
 public:
  explicit RestoreGate(uint16_t worker);
  RestoreGate(const RestoreGate&) = delete;
  RestoreGate& operator=(const RestoreGate&) = delete;

  // Takes out of a parsed burst that has arrived at `port` what is not to be
  // judged now; the rest stays in it, in order. Asks for restores that are
  // due, and says so in the views. What is held keeps the port
  // of arrival in its mbuf. `pass_non_ip` is the wire's.
  void Admit(uint16_t port, bool pass_non_ip, const GateEnds& ends, Tick now,
             PacketBurst& burst, GateResult& result);

  // Takes up to out.size() of the packets that the filter holds here, oldest
  // first, if they are not to wait any longer. kWait: nothing to do.
  // kReplay, kEmergency: *count of them are to be judged. kDrop: to be dropped
  // as kHeld.
  HoldEnd Release(const GateView& view, Tick now, std::span<rte_mbuf*> out,
                  uint32_t* count);
  // The same, whatever the status says, to be dropped as kHeld: the worker
  // stops.
  uint32_t Abandon(FilterPlane& filter, Tick now, std::span<rte_mbuf*> out);

  // Numbers of the filters that hold packets here; some may have none left.
  std::span<const uint16_t> holding() const { return holding_; }
  // Whether it may be in that list.
  bool Holds(uint16_t filter) const { return listed_[filter] != 0; }
  bool IsEmpty(const FilterPlane& filter) const {
    const HoldQueue* queue = QueueOf(filter);
    return queue == nullptr || queue->empty();
  }
  // Takes one that holds none off the list that it is in.
  void Forget(uint16_t filter);
  // Packets that are held here.
  uint32_t held() const { return held_; }

 private:
  HoldQueue* QueueOf(const FilterPlane& filter) const {
    return worker_ < filter.holds.size() ? filter.holds[worker_].get()
                                         : nullptr;
  }
  bool Hold(rte_mbuf* mbuf, const GateView& view, Tick now);

  const uint16_t worker_;
  uint32_t held_ = 0;
  std::vector<uint16_t> holding_;  // reserved, so that it never grows
  std::vector<uint8_t> listed_;    // by number
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FORWARD_RESTORE_GATE_H_
