// Sets of numbers as sorted intervals: what a condition on an address or a
// port holds for. Control side.
#ifndef SLUICE_PFTABLE_CLASSIFY_INTERVAL_SET_H_
#define SLUICE_PFTABLE_CLASSIFY_INTERVAL_SET_H_

#include <algorithm>
#include <iterator>
#include <span>
#include <utility>
#include <vector>

#include "pftable/tables/address_classes.h"

namespace sluice::classify {

using search::Number;

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
    IntervalSet set = None();
    if (low <= high) {
      set.is_one_ = true;
      set.one_ = {low, high};
    }
    return set;
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
  bool empty() const { return !all_ && intervals().empty(); }
  // Not of the set of all.
  std::span<const Interval> intervals() const {
    if (is_one_) return {&one_, 1};
    return intervals_;
  }

  bool Contains(Number number) const {
    if (all_) return true;
    const std::span<const Interval> own = intervals();
    const auto after =
        std::ranges::upper_bound(own, number, {}, &Interval::low);
    return after != own.begin() && number <= std::prev(after)->high;
  }

  IntervalSet Complement(Number top) const {
    if (all_) return None();
    std::vector<Interval> rest;
    Number next = 0;
    for (const Interval& interval : intervals()) {
      if (interval.low > next) rest.push_back({next, interval.low - 1});
      if (interval.high == top) return IntervalSet(std::move(rest));
      next = interval.high + 1;
    }
    if (empty()) return IntervalSet();
    rest.push_back({next, top});
    return IntervalSet(std::move(rest));
  }

  IntervalSet And(const IntervalSet& other) const {
    if (all_) return other;
    if (other.all_) return *this;
    if (is_one_ && other.is_one_) {
      return Of(std::max(one_.low, other.one_.low),
                std::min(one_.high, other.one_.high));
    }
    std::vector<Interval> both;
    const std::span<const Interval> own = intervals();
    const std::span<const Interval> others = other.intervals();
    auto a = own.begin();
    auto b = others.begin();
    while (a != own.end() && b != others.end()) {
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
  // Most sets are one interval: it stands here, and nothing in the vector.
  bool is_one_ = false;
  Interval one_{};
  std::vector<Interval> intervals_;
};

}  // namespace sluice::classify

#endif  // SLUICE_PFTABLE_CLASSIFY_INTERVAL_SET_H_
