#include "conntrack/flow_index.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace sluice {
namespace {

FlowHash HashFor(uint64_t bucket, uint16_t tag) {
  return {bucket | uint64_t{tag} << 50, false};
}

uint32_t Find(const FlowIndex& index, const FlowHash& hash, uint32_t slot) {
  return index.Find(index.BucketOf(hash), FlowIndex::TagOf(hash),
                    [slot](uint32_t candidate) { return candidate == slot; });
}

TEST(FlowIndex, FindsWhatWasInsertedAndNothingElse) {
  FlowIndex index;
  ASSERT_TRUE(index.Build(1000, false, false).ok());
  const FlowHash hash = HashFor(3, 5);
  EXPECT_EQ(Find(index, hash, 1), FlowIndex::kNone);
  EXPECT_TRUE(index.Insert(hash, 1));
  EXPECT_TRUE(index.Insert(hash, 2));
  EXPECT_EQ(Find(index, hash, 1), 1u);
  EXPECT_EQ(Find(index, hash, 2), 2u);
  EXPECT_EQ(Find(index, HashFor(3, 6), 1), FlowIndex::kNone);
  index.Remove(hash, 1);
  EXPECT_EQ(Find(index, hash, 1), FlowIndex::kNone);
  EXPECT_EQ(Find(index, hash, 2), 2u);
}

// One bucket takes far more than a line; when the pool is used up it refuses,
// and all of it comes back.
TEST(FlowIndex, OverflowIsBoundedAndComesBack) {
  FlowIndex index;
  ASSERT_TRUE(index.Build(64, false, false).ok());  // 16 buckets, 8 in the pool
  std::mt19937 random(1);
  for (int round = 0; round < 3; ++round) {
    std::vector<uint32_t> slots;
    for (uint32_t slot = 0;; ++slot) {
      if (!index.Insert(HashFor(7, slot % 5), slot)) break;
      slots.push_back(slot);
    }
    ASSERT_EQ(slots.size(), 9u * FlowIndex::kPlaces);
    // Another full bucket cannot overflow either, but an empty one takes its
    // eight.
    for (uint32_t i = 0; i < FlowIndex::kPlaces; ++i) {
      ASSERT_TRUE(index.Insert(HashFor(8, 1), 1000 + i));
    }
    EXPECT_FALSE(index.Insert(HashFor(8, 1), 2000));
    for (uint32_t i = 0; i < FlowIndex::kPlaces; ++i) {
      index.Remove(HashFor(8, 1), 1000 + i);
    }
    std::shuffle(slots.begin(), slots.end(), random);
    while (!slots.empty()) {
      const uint32_t gone = slots.back();
      slots.pop_back();
      index.Remove(HashFor(7, gone % 5), gone);
      ASSERT_EQ(Find(index, HashFor(7, gone % 5), gone), FlowIndex::kNone);
      for (const uint32_t slot : slots) {
        ASSERT_EQ(Find(index, HashFor(7, slot % 5), slot), slot);
      }
    }
  }
}

}  // namespace
}  // namespace sluice
