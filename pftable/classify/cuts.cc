#include "pftable/classify/cuts.h"

#include <algorithm>
#include <array>
#include <utility>

namespace sluice::classify {
namespace {

// An end of a range: an even `what` is where the range what / 2 begins, an odd
// one where it has ended.
struct End {
  Number at;
  uint32_t what;
};
// Numbers of 32 bits, with what they are the ends of in the lower half: half
// as long, and sorted by counting.
using ShortEnd = uint64_t;

Number At(const End& end) { return end.at; }
Number At(ShortEnd end) { return end >> 32; }
uint32_t What(const End& end) { return end.what; }
uint32_t What(ShortEnd end) { return static_cast<uint32_t>(end); }

void Sort(std::vector<End>& ends, Number) {
  std::ranges::sort(ends, {}, &End::at);
}

// Eleven bits a turn, from the lowest that count.
void Sort(std::vector<ShortEnd>& ends, Number top) {
  constexpr int kBits = 11;
  constexpr uint64_t kMask = (1 << kBits) - 1;
  std::vector<ShortEnd> next(ends.size());
  for (int shift = 32; shift < 64 && (top >> (shift - 32)) != 0;
       shift += kBits) {
    std::array<uint32_t, kMask + 1> counts{};
    for (const ShortEnd end : ends) ++counts[end >> shift & kMask];
    uint32_t before = 0;
    for (uint32_t& count : counts) before += std::exchange(count, before);
    for (const ShortEnd end : ends) {
      next[counts[end >> shift & kMask]++] = end;
    }
    ends.swap(next);
  }
}

void Append(std::vector<End>& ends, Number at, uint32_t what) {
  ends.push_back({at, what});
}
void Append(std::vector<ShortEnd>& ends, Number at, uint32_t what) {
  ends.push_back(static_cast<uint64_t>(at) << 32 | what);
}

template <typename AnyEnd>
std::vector<AnyEnd> EndsOf(std::span<const IntervalSet* const> sets,
                           Number top) {
  size_t count = 0;
  for (const IntervalSet* set : sets) {
    if (!set->all()) count += 2 * set->intervals().size();
  }
  std::vector<AnyEnd> ends;
  ends.reserve(count);
  uint32_t what = 0;
  for (const IntervalSet* set : sets) {
    if (set->all()) continue;
    for (const Interval& interval : set->intervals()) {
      Append(ends, interval.low, what);
      if (interval.high != top) Append(ends, interval.high + 1, what + 1);
      what += 2;
    }
  }
  Sort(ends, top);
  return ends;
}

}  // namespace

Cuts::Cuts(std::span<const IntervalSet* const> sets, Number top)
    : sets_(sets.size()) {
  std::vector<uint32_t> rules;  // by range
  for (uint32_t rule = 0; rule < sets.size(); ++rule) {
    Set& set = sets_[rule];
    set.all = sets[rule]->all();
    set.begin = static_cast<uint32_t>(rules.size());
    if (set.all) continue;
    set.count = static_cast<uint32_t>(sets[rule]->intervals().size());
    rules.insert(rules.end(), set.count, rule);
  }
  // One more, so that a rule without any may point to the end.
  ranges_.resize(rules.size() + 1);

  const auto take = [&](const auto& ends) {
    starts_.push_back(0);
    offsets_.push_back(0);
    changes_.reserve(ends.size() + 1);
    for (const auto& end : ends) {
      if (At(end) != starts_.back()) {
        starts_.push_back(At(end));
        offsets_.push_back(static_cast<uint32_t>(changes_.size()));
      }
      const uint32_t range = What(end) / 2;
      const uint32_t here = static_cast<uint32_t>(starts_.size() - 1);
      (What(end) % 2 == 0 ? ranges_[range].first : ranges_[range].end) = here;
      changes_.push_back(rules[range]);
    }
    offsets_.push_back(static_cast<uint32_t>(changes_.size()));
    changes_.push_back(0);
  };
  if (top <= 0xffffffff) {
    take(EndsOf<ShortEnd>(sets, top));
  } else {
    take(EndsOf<End>(sets, top));
  }

  const uint32_t all = static_cast<uint32_t>(starts_.size());
  for (uint32_t rule = 0; rule < sets.size(); ++rule) {
    Set& set = sets_[rule];
    if (set.all) {
      set.span = all;
      continue;
    }
    for (uint32_t i = set.begin; i < set.begin + set.count; ++i) {
      // Up to the top nothing says where it ends.
      if (ranges_[i].end == 0) ranges_[i].end = all;
      set.span += ranges_[i].end - ranges_[i].first;
    }
  }
}

}  // namespace sluice::classify
