// Routes in memory that is too small for them.
#include "dataplane/routing/prefix_trie.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <type_traits>
#include <utility>
#include <vector>

#include "dataplane/routing/family_tables.h"

namespace sluice {
namespace {

template <typename Key>
class SmallMemory {
 public:
  using Tables = std::conditional_t<sizeof(Key) == 4, Tables4, Tables6>;

  void Run(Key base) {
    FreedList freed(nullptr);  // nobody ever comes by
    // The nodes are full before the list is.
    const size_t node_bytes =
        kNodeBytes + Tables::Trie::kDepth * NodeMemory::kSizes.back();
    Tables tables(kPrefixes, kPrefixes, node_bytes, FreedKind::kNode4);
    std::mt19937_64 random(1);
    while (tables.HasRoom(1)) {
      const int length = kKeyBits<Key> - static_cast<int>(random() % 9);
      const Key key = Masked(base | random() % 16'384, length);
      // Few numbers: neighbours have the same ones, and runs with each other.
      const auto number = static_cast<uint32_t>(1 + random() % 2);
      freed.Reserve(Tables::Trie::kMaxFreed);
      tables.Set({AddressOf(key), static_cast<uint8_t>(length)},
                 {.route = number}, &freed);
      model_[{key, length}] = number;
    }
    ASSERT_GT(model_.size(), 20u);
    ASSERT_TRUE(tables.list.HasRoom(1));
    const size_t full = tables.trie.memory();
    const size_t count = model_.size();
    std::vector<std::pair<Key, int>> prefixes;
    for (const auto& [prefix, number] : model_) prefixes.push_back(prefix);
    std::shuffle(prefixes.begin(), prefixes.end(), random);
    for (const auto& [key, length] : prefixes) {
      freed.Reserve(Tables::Trie::kMaxFreed);
      tables.Set({AddressOf(key), static_cast<uint8_t>(length)}, {}, &freed);
      model_.erase({key, length});
      for (const auto& [first, bits] : prefixes) {
        for (const Key at : {first, Key(first - 1), Last(first, bits)}) {
          ASSERT_EQ(TrieWord::NumberOf(tables.trie.Find(at)), Longest(at));
        }
      }
    }
    // Some needed more, but most stayed where they were, and what was put aside
    // is as good as whole.
    EXPECT_GT(tables.trie.memory(), full);
    EXPECT_LE(tables.trie.memory() - full,
              count * NodeMemory::kSizes.back() / 8);
  }

 private:
  static constexpr size_t kPrefixes = 2000;
  static constexpr size_t kNodeBytes = 24 * 1024;

  static Key Masked(Key key, int length) {
    const int rest = kKeyBits<Key> - length;
    return key >> rest << rest;
  }
  static Key Last(Key key, int length) {
    return key + ((Key{1} << (kKeyBits<Key> - length)) - 1);
  }
  uint32_t Longest(Key key) const {
    for (int length = kKeyBits<Key>; length >= kKeyBits<Key> - 8; --length) {
      const auto found = model_.find({Masked(key, length), length});
      if (found != model_.end()) return found->second;
    }
    return 0;
  }

  std::map<std::pair<Key, int>, uint32_t> model_;
};

TEST(PrefixTrieTest, TakingOutNeedsNoRoom4) {
  SmallMemory<Key4>().Run(0x0a000000);
}

TEST(PrefixTrieTest, TakingOutNeedsNoRoom6) {
  SmallMemory<Key6>().Run(Key6{0x20010db8} << 96);
}

TEST(NodeMemoryTest, WhatIsPutAsideIsNoRoom) {
  constexpr size_t kLargest = NodeMemory::kSizes.back();
  NodeMemory memory(LazyMemory::kPage, LazyMemory::kPage / 2);
  while (memory.HasRoom(1)) memory.Allocate(64);
  EXPECT_LE(memory.used(), LazyMemory::kPage / 2);
  // Beyond its beginning there is none, which does not wrap either.
  memory.Allocate(64);
  EXPECT_GT(memory.used(), LazyMemory::kPage / 2);
  EXPECT_FALSE(memory.HasRoom(1));
  EXPECT_LE(memory.used() + kLargest, LazyMemory::kPage);
}

}  // namespace
}  // namespace sluice
