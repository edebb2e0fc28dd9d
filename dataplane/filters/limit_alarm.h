// Says once that a limit comes near, and once that it does not any more.
#ifndef SLUICE_DATAPLANE_FILTERS_LIMIT_ALARM_H_
#define SLUICE_DATAPLANE_FILTERS_LIMIT_ALARM_H_

#include <cstdint>

namespace sluice {

class LimitAlarm {
 public:
  // In percent of the limit. Between them nothing changes, so that a number
  // that goes up and down at the threshold is spoken of once.
  static constexpr uint64_t kRaisedAt = 80;
  static constexpr uint64_t kClearedBelow = 70;

  enum class Change : uint8_t { kNone, kRaised, kCleared };

  // `in_use` may be above `limit`, which may be any number.
  Change Look(uint32_t in_use, uint32_t limit) {
    const uint64_t share = uint64_t{in_use} * 100;
    if (!on_ && in_use > 0 && share >= kRaisedAt * limit) {
      on_ = true;
      ++raised_;
      return Change::kRaised;
    }
    if (on_ && (in_use == 0 || share < kClearedBelow * limit)) {
      on_ = false;
      return Change::kCleared;
    }
    return Change::kNone;
  }
  bool on() const { return on_; }
  // How often it was raised.
  uint64_t raised() const { return raised_; }

 private:
  bool on_ = false;
  uint64_t raised_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FILTERS_LIMIT_ALARM_H_
