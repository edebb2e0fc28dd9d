// Interval sets and searches against sets and walks that are plainly right.
#include "pftable/classify/intervals.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bitset>
#include <map>
#include <random>
#include <set>

namespace sluice::classify {
namespace {

using search::IsSupported;
using search::Search32;
using search::Search64;
using search::Vectors;

using Bits64 = std::bitset<64>;
constexpr Number kTop = 63;

Bits64 BitsOf(const IntervalSet& set) {
  Bits64 bits;
  for (int i = 0; i < 64; ++i) bits[i] = set.Contains(i);
  return bits;
}

class IntervalsTest : public testing::Test {
 protected:
  uint32_t Below(uint32_t n) { return static_cast<uint32_t>(random_()) % n; }

  IntervalSet RandomSet(Bits64* bits) {
    std::vector<Interval> intervals;
    bits->reset();
    for (uint32_t n = Below(4); n > 0; --n) {
      const uint32_t low = Below(64);
      const uint32_t high = std::min(63u, low + Below(20));
      intervals.push_back({low, high});
      for (uint32_t i = low; i <= high; ++i) bits->set(i);
    }
    return IntervalSet::Union(std::move(intervals));
  }

  std::mt19937 random_{5};
};

TEST_F(IntervalsTest, SetsAreAsSetsOfBits) {
  EXPECT_EQ(BitsOf(IntervalSet()), ~Bits64());
  EXPECT_EQ(BitsOf(IntervalSet::None()), Bits64());
  EXPECT_TRUE(IntervalSet().Complement(kTop).empty());
  EXPECT_TRUE(IntervalSet::None().Complement(kTop).all());
  EXPECT_TRUE(IntervalSet::Of(3, 2).empty());
  for (int round = 0; round < 5000; ++round) {
    Bits64 a, b;
    const IntervalSet first = RandomSet(&a), second = RandomSet(&b);
    ASSERT_EQ(BitsOf(first), a);
    ASSERT_EQ(BitsOf(first.And(second)), a & b);
    ASSERT_EQ(BitsOf(first.Complement(kTop)), ~a);
    ASSERT_EQ(BitsOf(first.And(IntervalSet())), a);
  }
}

// Against what a map says, for numbers of every width.
TEST_F(IntervalsTest, CutsAreWhereSetsBeginAndEnd) {
  const Number all = ~Number{0};
  for (const Number top : {Number{63}, Number{65535}, Number{0xffffffff},
                           all}) {
    for (int round = 0; round < 100; ++round) {
      const auto number = [&] {
        const Number wide = Number{random_()} << 96 | Number{random_()} << 64 |
                            Number{random_()} << 32 | random_();
        return Below(8) == 0 ? top : (Below(2) == 0 ? wide >> 61 : wide) & top;
      };
      std::vector<IntervalSet> sets(1 + Below(30));
      std::vector<const IntervalSet*> pointers;
      std::map<Number, std::multiset<uint32_t>> changes = {{0, {}}};
      for (uint32_t i = 0; i < sets.size(); ++i) {
        pointers.push_back(&sets[i]);
        if (Below(5) == 0) continue;
        std::vector<Interval> intervals;
        for (uint32_t n = Below(4); n > 0; --n) {
          // By value: of temporaries minmax() gives references.
          const auto [low, high] = std::minmax({number(), number()});
          intervals.push_back({low, high});
        }
        sets[i] = IntervalSet::Union(std::move(intervals));
        for (const Interval& interval : sets[i].intervals()) {
          changes[interval.low].insert(i);
          if (interval.high != top) changes[interval.high + 1].insert(i);
        }
      }
      Cuts cuts(pointers, top);
      ASSERT_EQ(cuts.size(), changes.size());
      size_t at = 0;
      for (const auto& [start, rules] : changes) {
        EXPECT_TRUE(cuts.starts()[at] == start);
        const auto told = cuts.changes(at++);
        EXPECT_EQ(std::multiset<uint32_t>(told.begin(), told.end()), rules);
      }
      for (uint32_t i = 0; i < sets.size(); ++i) {
        EXPECT_EQ(cuts.IsAll(i), sets[i].all());
        std::vector<bool> in(cuts.size(), sets[i].all());
        for (const Cuts::Range& range : cuts.ranges(i)) {
          for (uint32_t n = range.first; n < range.end; ++n) in[n] = true;
        }
        uint32_t span = 0;
        for (size_t n = 0; n < cuts.size(); ++n) {
          EXPECT_EQ(in[n], sets[i].Contains(cuts.starts()[n]));
          span += in[n];
        }
        EXPECT_EQ(cuts.span(i), span);
        cuts.MakeAll(i);
        EXPECT_TRUE(cuts.IsAll(i) && cuts.ranges(i).empty());
        EXPECT_EQ(cuts.span(i), cuts.size());
      }
    }
  }
}

// A sweep over random sets: each value has the class of those with the same
// members, and no other.
TEST_F(IntervalsTest, ClassesAreTheCombinations) {
  for (int round = 0; round < 300; ++round) {
    std::vector<IntervalSet> sets(1 + Below(12));
    std::vector<Bits64> bits(sets.size());
    std::vector<const IntervalSet*> pointers;
    for (size_t i = 0; i < sets.size(); ++i) {
      if (Below(5) == 0) {
        bits[i].set();
      } else {
        sets[i] = RandomSet(&bits[i]);
      }
      pointers.push_back(&sets[i]);
    }
    std::vector<bool> wild;
    for (const IntervalSet& set : sets) wild.push_back(set.all());
    Bits places(sets.size());
    for (uint32_t i = 0; i < places.size(); ++i) places[i] = i;
    RowBuilder rows(places, static_cast<uint32_t>(sets.size()), wild);
    Intervals intervals;
    std::vector<uint32_t> numbers;
    ASSERT_TRUE(Sweep(Cuts(pointers, kTop), 1000, rows, &intervals, &numbers));
    const auto class_of = [&](uint32_t value) {
      size_t i = 0;
      while (i + 1 < intervals.starts.size() &&
             intervals.starts[i + 1] <= value) {
        ++i;
      }
      return intervals.classes[i];
    };
    for (uint32_t x = 0; x < 64; ++x) {
      for (uint32_t y = 0; y < 64; ++y) {
        bool same = true;
        for (const Bits64& set : bits) same = same && set[x] == set[y];
        ASSERT_EQ(class_of(x) == class_of(y), same) << x << " " << y;
      }
    }
  }
}

TEST_F(IntervalsTest, StopsWhenRowsWouldStoreTooMuch) {
  const IntervalSet one = IntervalSet::Of(3, 5), two = IntervalSet::Of(9, 9);
  const IntervalSet* sets[] = {&one, &two};
  const Bits places = {0, 1};
  RowBuilder rows(places, 2, {false, false});
  Intervals intervals;
  std::vector<uint32_t> numbers;
  EXPECT_FALSE(Sweep(Cuts(sets, kTop), 1, rows, &intervals, &numbers));
}

Intervals Spread(const std::vector<Number>& starts) {
  Intervals intervals;
  for (size_t i = 0; i < starts.size(); ++i) {
    intervals.starts.push_back(starts[i]);
    intervals.classes.push_back(static_cast<uint32_t>(i * 3));
  }
  return intervals;
}

void ExpectFound(Family family, const Intervals& intervals,
                 const std::vector<Number>& values) {
  AddressClasses classes;
  classes.Build(family, intervals);
  for (const Number value : values) {
    std::array<uint8_t, 16> bytes{};
    for (int i = 0; i < AddressBits(family) / 8; ++i) {
      bytes[i] =
          static_cast<uint8_t>(value >> (AddressBits(family) - 8 - 8 * i));
    }
    const std::array<uint8_t, 16>* address = &bytes;
    uint32_t found = 0;
    classes.Find(&address, 1, &found);
    uint32_t expected = 0;
    while (expected + 1 < intervals.starts.size() &&
           intervals.starts[expected + 1] <= value) {
      ++expected;
    }
    ASSERT_EQ(found, expected) << static_cast<uint64_t>(value);
    ASSERT_EQ(classes.ClassOf(found), expected * 3);
  }
}

// Whatever the processor has, the result is the same.
TEST_F(IntervalsTest, VectorsOfAnyWidthFindTheSame) {
  int widths = 0;
  for (const Vectors vectors :
       {Vectors::kNone, Vectors::kAvx2, Vectors::kAvx512}) {
    if (!IsSupported(vectors)) continue;
    ++widths;
    for (const uint32_t size : {1, 7, 8, 9, 15, 16, 17, 300, 5000}) {
      std::vector<uint32_t> starts32 = {0};
      std::vector<uint64_t> starts64 = {0};
      for (uint32_t i = 1; i < size; ++i) {
        starts32.push_back(random_());
        starts64.push_back(uint64_t{random_()} << 32 | random_());
      }
      std::ranges::sort(starts32);
      std::ranges::sort(starts64);
      Search32 search32;
      Search64 search64;
      search32.Build(starts32, vectors);
      search64.Build(starts64, vectors);
      for (int round = 0; round < 40; ++round) {
        uint32_t keys32[32], found[32];
        uint64_t keys64[32];
        for (int i = 0; i < 32; ++i) {
          keys32[i] = starts32[Below(size)] + Below(3) - 1;
          keys64[i] = starts64[Below(size)] + Below(3) - 1;
          if (Below(9) == 0) keys32[i] = ~0u;
          if (Below(9) == 0) keys64[i] = ~uint64_t{0};
        }
        const uint32_t count = 1 + Below(32);
        search32.Find(keys32, count, found);
        for (uint32_t i = 0; i < count; ++i) {
          EXPECT_EQ(starts32.begin() + found[i],
                    std::ranges::upper_bound(starts32, keys32[i]) - 1);
        }
        search64.Find(keys64, count, found);
        for (uint32_t i = 0; i < count; ++i) {
          EXPECT_EQ(starts64.begin() + found[i],
                    std::ranges::upper_bound(starts64, keys64[i]) - 1);
        }
      }
    }
  }
  EXPECT_GE(widths, 1);
}

TEST_F(IntervalsTest, AddressesAreInTheirIntervals) {
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    const Number top =
        family == Family::kIpv4 ? Number{0xffffffff} : ~Number{0};
    for (const size_t count : {1, 2, 8, 9, 16, 17, 255, 256, 257, 5000}) {
      std::vector<Number> starts = {0};
      if (count > 1) starts.push_back(top);
      while (starts.size() < count) {
        Number start = (Number{random_()} << 96 | Number{random_()} << 64 |
                        Number{random_()} << 32 | random_()) &
                       top;
        // Many of one network.
        if (Below(2) == 0) start = (top >> 3) << 40 | Below(5000);
        starts.push_back(start & top);
      }
      std::ranges::sort(starts);
      starts.erase(std::unique(starts.begin(), starts.end()), starts.end());
      std::vector<Number> values = {0, 1, top, top - 1};
      for (const Number start : starts) {
        values.push_back(start);
        values.push_back((start - 1) & top);
        values.push_back((start + 1) & top);
      }
      ExpectFound(family, Spread(starts), values);
    }
  }
}

TEST_F(IntervalsTest, PortsAreInTheirIntervals) {
  std::vector<Number> starts = {0, 1, 255, 256, 257, 1024, 65535};
  for (int i = 0; i < 300; ++i) starts.push_back(Below(65536));
  std::ranges::sort(starts);
  starts.erase(std::unique(starts.begin(), starts.end()), starts.end());
  const Intervals intervals = Spread(starts);
  PortClasses classes;
  classes.Build(intervals);
  size_t interval = 0;
  for (uint32_t port = 0; port < 65536; ++port) {
    if (interval + 1 < starts.size() && starts[interval + 1] == port) {
      ++interval;
    }
    ASSERT_EQ(classes.Find(static_cast<uint16_t>(port)), interval * 3);
  }
}

}  // namespace
}  // namespace sluice::classify
