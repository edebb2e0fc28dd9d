// When states are looked at again.
//
// 512 slots of 64 ms, each a doubly linked list through StateCold. A state is
// queued for the tick at which it may be over, or for the end of the wheel if
// that is further away: whoever takes it out decides whether it has to be
// queued again. Never early: what is due at tick t comes up in [t, t + 64).
#ifndef SLUICE_CONNTRACK_TIMER_WHEEL_H_
#define SLUICE_CONNTRACK_TIMER_WHEEL_H_

#include <array>
#include <cstdint>

#include "conntrack/state.h"
#include "packet/packet.h"

namespace sluice {

class TimerWheel {
 public:
  static constexpr uint32_t kSlots = 512;
  static constexpr uint32_t kSlotShift = 6;
  static constexpr uint32_t kSlotTicks = 1 << kSlotShift;
  // The furthest that a state is queued ahead.
  static constexpr uint32_t kHorizon = (kSlots - 1) * kSlotTicks;

  // The links are in `states`, indexed by StateIndex.
  explicit TimerWheel(StateCold* states = nullptr) : states_(states) {
    heads_.fill(kNoState);
  }

  // Starts the clock unless it runs.
  void Start(Tick now) {
    if (started_) return;
    started_ = true;
    unit_ = now >> kSlotShift;
  }

  void Queue(StateIndex state, Tick due) {
    const uint32_t slot = SlotFor(due);
    StateCold& cold = states_[state];
    cold.wheel_slot = static_cast<uint16_t>(slot);
    cold.wheel_previous = kNoState;
    cold.wheel_next = heads_[slot];
    if (heads_[slot] != kNoState) states_[heads_[slot]].wheel_previous = state;
    heads_[slot] = state;
  }

  void Unqueue(StateIndex state) {
    const StateCold& cold = states_[state];
    if (cold.wheel_previous == kNoState) {
      heads_[cold.wheel_slot] = cold.wheel_next;
    } else {
      states_[cold.wheel_previous].wheel_next = cold.wheel_next;
    }
    if (cold.wheel_next != kNoState) {
      states_[cold.wheel_next].wheel_previous = cold.wheel_previous;
    }
  }

  // Whether a queued state would come up after `due`.
  bool ComesLaterThan(StateIndex state, Tick due) const {
    return Ahead(states_[state].wheel_slot) > Ahead(SlotFor(due));
  }

  // The next state whose slot has come up by `now`, not taken out, or kNoState.
  StateIndex NextDue(Tick now) {
    const uint32_t target = now >> kSlotShift;
    while (true) {
      const StateIndex head = heads_[unit_ % kSlots];
      if (head != kNoState) return head;
      // A clock that seems to have gone back by a little has not moved; by
      // much, it has gone forward by more than half of its range.
      const uint32_t behind = (target - unit_) & kUnitMask;
      if (behind == 0 || behind > kUnitMask - kBackward) return kNoState;
      // Further behind than a turn: every slot comes up once.
      if (behind > kSlots) unit_ = target - kSlots;
      ++unit_;
    }
  }

 private:
  static constexpr uint32_t kUnitMask = ~uint32_t{0} >> kSlotShift;
  static constexpr uint32_t kBackward = 1024;

  // Units wrap together with the 32 bits of a tick.
  static int32_t UnitDiff(uint32_t a, uint32_t b) {
    return static_cast<int32_t>((a - b) << kSlotShift) >>
           static_cast<int>(kSlotShift);
  }
  uint32_t Ahead(uint32_t slot) const { return (slot - unit_) % kSlots; }
  // The slot that comes up at or right after `due`, but after the one that is
  // being emptied and within the wheel.
  uint32_t SlotFor(Tick due) const {
    const uint32_t unit = (due + (kSlotTicks - 1)) >> kSlotShift;
    int32_t ahead = UnitDiff(unit, unit_);
    if (ahead < 1) ahead = 1;
    if (ahead > static_cast<int32_t>(kSlots - 1)) ahead = kSlots - 1;
    return (unit_ + static_cast<uint32_t>(ahead)) % kSlots;
  }

  StateCold* states_;
  std::array<StateIndex, kSlots> heads_;
  uint32_t unit_ = 0;  // the slot that is being emptied, in units of 64 ms
  bool started_ = false;
};

}  // namespace sluice

#endif  // SLUICE_CONNTRACK_TIMER_WHEEL_H_
