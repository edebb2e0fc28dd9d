// restore/: the transfer of a filter's policy and states between processes
// and machines, and its application to a filter exactly once. Called by
// dataplane/; it knows the rooms below it (conntrack/, pftable/, packet/) and
// touches no port and no lcore.
//
// This header: which life of a filter this is, and how far its restore has
// come.
#ifndef SLUICE_RESTORE_FILTER_STATUS_H_
#define SLUICE_RESTORE_FILTER_STATUS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice {

// How far the restore of one incarnation of a filter has come. From kRestored
// on it has ended. Only what was committed is latched: kFailed and kSkipped are
// left when something to restore comes later, the others by another incarnation
// alone.
enum class RestoreState : uint8_t {
  kNone,        // nothing to restore, or none asked for
  kExpect,      // the first packet, or an order, will ask for it
  kQueued,      // asked for, exactly once
  kValidating,  // parsed and built beside what is live
  kCommitting,  // being published; cannot be called off any more
  kRestored,
  kFailed,
  kSkipped,     // there was no snapshot
  kCancelled,   // the filter was disabled first
};
inline constexpr size_t kRestoreStateCount = 9;

// "NONE", "EXPECT", ...
std::string_view Name(RestoreState state);
constexpr bool IsFinal(RestoreState state) {
  return state >= RestoreState::kRestored;
}
// The end of a restore without a commit, in an incarnation that goes on.
constexpr bool IsOpenEnd(RestoreState state) {
  return state == RestoreState::kFailed || state == RestoreState::kSkipped;
}
// Whether a restore may go from one state to the other. An attempt that has
// failed and may do better goes back to kQueued. Only an order, or a snapshot
// that has appeared, leaves kNone, kFailed and kSkipped, and only on an enabled
// filter.
bool IsAllowed(RestoreState from, RestoreState to);

// Bits of FilterStatus::flags.
enum FilterStatusFlag : uint16_t {
  kFilterEnabled = 1 << 0,
  // Nothing is judged before the restore has ended. A filter without it goes on
  // under the policy in force while an order restores it, and is not subject
  // to the fail policy.
  kFilterExpects = 1 << 1,
  // Its emergency ruleset has come into force in this incarnation, and stays in
  // force while further attempts are made.
  kFilterEmergency = 1 << 2,
};

struct FilterStatus {
  uint32_t incarnation = 0;  // grows with each enable and each disable
  RestoreState state = RestoreState::kNone;
  uint8_t attempt = 0;  // 1 from the first time in kQueued on; 255: or more
  uint16_t flags = 0;   // FilterStatusFlag bits

  constexpr bool enabled() const { return (flags & kFilterEnabled) != 0; }
  constexpr bool expects() const { return (flags & kFilterExpects) != 0; }
  constexpr bool emergency() const { return (flags & kFilterEmergency) != 0; }
  // Asked for, and not at its end.
  constexpr bool under_way() const {
    return state >= RestoreState::kQueued && !IsFinal(state);
  }

  friend bool operator==(const FilterStatus&, const FilterStatus&) = default;
};

// What a worker does with the packets of a filter.
enum class FilterDisposition : uint8_t {
  kJudge,    // by the policy in force
  kRequest,  // RequestRestore(), then as kHold
  kHold,     // in the filter's HoldQueue
  kFail,     // as the fail policy says: drop, or the emergency ruleset
  kDrop,     // the filter is disabled
};
constexpr FilterDisposition DispositionOf(const FilterStatus& status) {
  if (!status.enabled()) return FilterDisposition::kDrop;
  if (!status.expects()) return FilterDisposition::kJudge;
  switch (status.state) {
    case RestoreState::kExpect: return FilterDisposition::kRequest;
    case RestoreState::kQueued:
    case RestoreState::kValidating:
    case RestoreState::kCommitting:
      return status.emergency() ? FilterDisposition::kFail
                                : FilterDisposition::kHold;
    case RestoreState::kFailed: return FilterDisposition::kFail;
    case RestoreState::kCancelled: return FilterDisposition::kDrop;
    case RestoreState::kNone:
    case RestoreState::kRestored:
    case RestoreState::kSkipped: return FilterDisposition::kJudge;
  }
  return FilterDisposition::kDrop;
}

// The status of a filter in one 64-bit word, which moves only by
// compare-and-swap.
//
// Writers: the control lcore (enable, disable, the restore's steps), and any
// worker (RequestRestore, at most one exchange a call). Readers: all of them.
// Order: every read is an acquire, every exchange an acquire and a release, so
// that who sees a state sees what was done before it was entered.
class FilterStatusWord {
 public:
  FilterStatusWord() = default;
  FilterStatusWord(const FilterStatusWord&) = delete;
  FilterStatusWord& operator=(const FilterStatusWord&) = delete;

  FilterStatus Load() const;

  // Begins a new incarnation, in kExpect if a restore is due and in kNone
  // otherwise. A restore of the one before can no longer commit: its next
  // step finds another incarnation. Returns the new status.
  FilterStatus Enable(bool expect_restore);
  // Ends the incarnation by the next number: kCancelled if its restore was
  // under way, kNone otherwise. Returns the new status.
  FilterStatus Disable();
  // The same, unless a commit is being published: then nothing has changed,
  // *status is the present one, and the result false.
  bool DisableUnlessCommitting(FilterStatus* status);

  // Packet path: kExpect -> kQueued. True for exactly one caller in an
  // incarnation; that one posts the request.
  bool RequestRestore();

  // One step of the restore that `seen` describes. False, and nothing has
  // changed, if the word is not `seen` any more or the step is not allowed.
  // On success `*seen` becomes the new status, with the bits of `set` added to
  // its flags. Entering kQueued counts an attempt. From kSkipped on the filter
  // judges, and goes on doing so: it expects nothing any more.
  bool Advance(FilterStatus* seen, RestoreState next, uint16_t set = 0);

 private:
  bool Exchange(uint64_t* expected, const FilterStatus& next);

  std::atomic<uint64_t> word_{0};
};

}  // namespace sluice

#endif  // SLUICE_RESTORE_FILTER_STATUS_H_
