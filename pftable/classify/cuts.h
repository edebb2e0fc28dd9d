// Where the sets of a dimension begin and end: the numbers at which the
// members change, sorted once, and each set as numbers of the intervals
// between them. Control side.
#ifndef SLUICE_PFTABLE_CLASSIFY_CUTS_H_
#define SLUICE_PFTABLE_CLASSIFY_CUTS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "pftable/classify/interval_set.h"

namespace sluice::classify {

// Interval i goes from starts()[i] to before starts()[i + 1]; starts()[0] is 0.
class Cuts {
 public:
  // Intervals one after the other.
  struct Range {
    uint32_t first;
    uint32_t end;  // the one behind the last
  };

  Cuts() = default;
  // `sets`: by rule, with numbers up to `top`.
  Cuts(std::span<const IntervalSet* const> sets, Number top);

  size_t size() const { return starts_.size(); }
  const std::vector<Number>& starts() const { return starts_; }

  // The set of all, by which nothing is cut.
  bool IsAll(uint32_t rule) const { return sets_[rule].all; }
  // A rule's, ascending; nothing if it is the set of all.
  std::span<const Range> ranges(uint32_t rule) const {
    return {&ranges_[sets_[rule].begin], sets_[rule].count};
  }
  // How many intervals a rule's set has.
  uint32_t span(uint32_t rule) const { return sets_[rule].span; }
  // The rules whose sets begin or have ended at interval `i`.
  std::span<const uint32_t> changes(size_t i) const {
    return {&changes_[offsets_[i]], &changes_[offsets_[i + 1]]};
  }

  // The rule has no condition any more. The cuts stay where they are.
  void MakeAll(uint32_t rule) {
    sets_[rule] = {.begin = 0, .count = 0, .span = 0, .all = true};
    sets_[rule].span = static_cast<uint32_t>(size());
  }

 private:
  struct Set {
    uint32_t begin = 0;  // of ranges_
    uint32_t count = 0;
    uint32_t span = 0;
    bool all = false;
  };

  std::vector<Number> starts_;
  std::vector<uint32_t> offsets_;  // by interval, into changes_; and its end
  std::vector<uint32_t> changes_;
  std::vector<Set> sets_;
  std::vector<Range> ranges_;
};

}  // namespace sluice::classify

#endif  // SLUICE_PFTABLE_CLASSIFY_CUTS_H_
