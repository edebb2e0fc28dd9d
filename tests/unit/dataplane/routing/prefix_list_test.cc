#include "dataplane/routing/prefix_list.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <utility>
#include <vector>

namespace sluice {
namespace {

// Against a map in the same order.
template <typename Key>
void RunBesideAMap(uint64_t seed) {
  constexpr int kBits = kKeyBits<Key>;
  std::mt19937_64 random(seed);
  PrefixList<Key> list(2000);
  std::map<std::pair<Key, int>, uint32_t> model;
  for (int step = 0; step < 6'000; ++step) {
    // Few bits that differ, at all lengths: prefixes nest and branch.
    const int length = static_cast<int>(random() % (kBits + 1));
    Key key = 0;
    for (int i = 0; i < 6; ++i) {
      key |= static_cast<Key>(random() & 1) << random() % kBits;
    }
    key = length == 0 ? 0 : key >> (kBits - length) << (kBits - length);
    if (model.size() < 1000 && random() % 3 != 0) {
      const auto route = static_cast<uint32_t>(1 + random() % 1000);
      list.Set(key, length, {.route = route});
      model[{key, length}] = route;
    } else if (!model.empty()) {
      auto victim = model.lower_bound({key, length});
      if (victim == model.end()) victim = model.begin();
      list.Set(victim->first.first, victim->first.second, {});
      model.erase(victim);
    }
    if (step % 150 != 0) continue;
    ASSERT_EQ(list.routes(), model.size());
    std::vector<std::pair<std::pair<Key, int>, uint32_t>> listed;
    list.Each(0, [&](Key at, int bits, uint32_t route) {
      listed.push_back({{at, bits}, route});
      return true;
    });
    ASSERT_EQ(listed.size(), model.size());
    size_t number = 0;
    for (const auto& [prefix, route] : model) {
      ASSERT_TRUE(listed[number].first == prefix);
      ASSERT_EQ(listed[number].second, route);
      ++number;
      ASSERT_EQ(list.NumberAfter(prefix.first, prefix.second), number);
    }
    const auto behind = model.upper_bound({key, length});
    ASSERT_EQ(list.NumberAfter(key, length),
              static_cast<size_t>(std::distance(model.begin(), behind)));
    // The longest shorter one.
    uint32_t above = 0;
    int above_length = 0;
    for (int bits = 0; bits < length; ++bits) {
      const Key start =
          bits == 0 ? 0 : key >> (kBits - bits) << (kBits - bits);
      const auto found = model.find({start, bits});
      if (found == model.end()) continue;
      above = found->second;
      above_length = bits;
    }
    int found_length = -1;
    ASSERT_EQ(list.Above(key, length, &found_length), above);
    ASSERT_EQ(found_length, above_length);
  }
  while (!model.empty()) {
    const auto [key, length] = model.begin()->first;
    list.Set(key, length, {});
    model.erase(model.begin());
  }
  EXPECT_EQ(list.routes(), 0u);
  // All places are free again.
  EXPECT_TRUE(list.HasRoom(2000));
}

TEST(PrefixListTest, IsAMapInOrder) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    RunBesideAMap<Key4>(seed);
    RunBesideAMap<Key6>(seed);
  }
}

TEST(PrefixListTest, OwnEntriesAreNoRoutesAndDecide) {
  PrefixList<Key4> list(10);
  list.Set(0x0a000000, 8, {.route = 7});
  list.Set(0x0a010000, 16, {.route = 8, .own = 2});
  list.Set(0x0a010100, 24, {.own = 3});
  EXPECT_EQ(list.routes(), 2u);
  EXPECT_EQ(list.Get(0x0a010000, 16).chosen(), 2u);
  int length = 0;
  EXPECT_EQ(list.Above(0x0a010101, 32, &length), 3u);
  EXPECT_EQ(length, 24);
  list.Set(0x0a010100, 24, {});
  EXPECT_EQ(list.Above(0x0a010101, 32, &length), 2u);
  list.Set(0x0a010000, 16, {.own = 2});
  EXPECT_EQ(list.routes(), 1u);
  EXPECT_EQ(list.Above(0x0a010101, 32, &length), 2u);
}

}  // namespace
}  // namespace sluice
