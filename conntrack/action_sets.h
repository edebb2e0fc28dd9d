// Which actions (packet_actions.h) the states of a shard have. Nearly all have
// one of a few sets, so that a state names its set by a number in its hot line
// and a packet finds it in a cache line that all share. What finds no place
// among them has its actions in a record of its own.
#ifndef SLUICE_CONNTRACK_ACTION_SETS_H_
#define SLUICE_CONNTRACK_ACTION_SETS_H_

#include <array>
#include <cstdint>

#include "pftable/engine/packet_actions.h"

namespace sluice {

// One worker's.
class ActionSets {
 public:
  static constexpr uint8_t kNone = 0;
  // Its actions are elsewhere.
  static constexpr uint8_t kOwn = 7;

  // The number of the set, which has one state more.
  uint8_t Take(const PacketActions& actions) {
    uint8_t free = kOwn;
    for (uint8_t i = 1; i < kOwn; ++i) {
      if (uses_[i] == 0) {
        if (free == kOwn) free = i;
      } else if (sets_[i] == actions) {
        ++uses_[i];
        return i;
      }
    }
    if (free != kOwn) {
      sets_[free] = actions;
      uses_[free] = 1;
    }
    return free;
  }
  void GiveBack(uint8_t set) {
    if (set != kNone && set != kOwn) --uses_[set];
  }
  // Neither kNone nor kOwn.
  const PacketActions& at(uint8_t set) const { return sets_[set]; }

 private:
  std::array<PacketActions, kOwn> sets_;
  std::array<uint32_t, kOwn> uses_{};
};

}  // namespace sluice

#endif  // SLUICE_CONNTRACK_ACTION_SETS_H_
