// Sets of numbers as sorted intervals: what a condition on an address or a
// port holds for. Control side.
#ifndef SLUICE_PFTABLE_CLASSIFY_INTERVAL_SET_H_
#define SLUICE_PFTABLE_CLASSIFY_INTERVAL_SET_H_

#include <algorithm>
#include <iterator>
#include <span>
#include <utility>
#include <vector>

namespace sluice::classify {

// An address or a port in host order.
using Number = unsigned __int128;

struct Interval {
  Number low;
  Number high;  // within it
};

// Of the numbers from 0 to some `top` that its user knows. The set of all of
// them takes no memory.
class IntervalSet {
 public:
  // All.
  IntervalSet() = default;
  static IntervalSet None() { return IntervalSet(std::vector<Interval>{}); }
  // Nothing if low > high.
  static IntervalSet Of(Number low, Number high) {
    std::vector<Interval> intervals;
    if (low <= high) intervals.push_back({low, high});
    return IntervalSet(std::move(intervals));
  }
  // In any order, overlapping as they like.
  static IntervalSet Union(std::vector<Interval> intervals) {
    std::ranges::sort(intervals, {}, &Interval::low);
    size_t kept = 0;
    for (const Interval& next : intervals) {
      if (kept > 0 && (next.low <= intervals[kept - 1].high ||
                       next.low == intervals[kept - 1].high + 1)) {
        Number& high = intervals[kept - 1].high;
        high = std::max(high, next.high);
      } else {
        intervals[kept++] = next;
      }
    }
    intervals.resize(kept);
    return IntervalSet(std::move(intervals));
  }

  bool all() const { return all_; }
  bool empty() const { return !all_ && intervals_.empty(); }
  // Not of the set of all.
  std::span<const Interval> intervals() const { return intervals_; }

  bool Contains(Number number) const {
    if (all_) return true;
    const auto after = std::ranges::upper_bound(intervals_, number, {},
                                                &Interval::low);
    return after != intervals_.begin() && number <= std::prev(after)->high;
  }

  IntervalSet Complement(Number top) const {
    if (all_) return None();
    std::vector<Interval> rest;
    Number next = 0;
    for (const Interval& interval : intervals_) {
      if (interval.low > next) rest.push_back({next, interval.low - 1});
      if (interval.high == top) return IntervalSet(std::move(rest));
      next = interval.high + 1;
    }
    if (intervals_.empty()) return IntervalSet();
    rest.push_back({next, top});
    return IntervalSet(std::move(rest));
  }

  IntervalSet And(const IntervalSet& other) const {
    if (all_) return other;
    if (other.all_) return *this;
    std::vector<Interval> both;
    auto a = intervals_.begin();
    auto b = other.intervals_.begin();
    while (a != intervals_.end() && b != other.intervals_.end()) {
      const Number low = std::max(a->low, b->low);
      const Number high = std::min(a->high, b->high);
      if (low <= high) both.push_back({low, high});
      a->high < b->high ? ++a : ++b;
    }
    return IntervalSet(std::move(both));
  }

 private:
  explicit IntervalSet(std::vector<Interval> intervals)
      : all_(false), intervals_(std::move(intervals)) {}

  bool all_ = true;
  std::vector<Interval> intervals_;
};

}  // namespace sluice::classify

#endif  // SLUICE_PFTABLE_CLASSIFY_INTERVAL_SET_H_
