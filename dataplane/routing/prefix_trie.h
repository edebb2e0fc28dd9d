// What workers look destinations up in: for each address a word, that of the
// longest prefix that has it.
//
// The first kRootBits of an address index an array of words, each next six bits
// a node. A word is the answer, or names the node that goes on. A node is made
// of runs: a bit for each of its 64 places at which the word is another than
// before, and the words, so that most nodes are one cache line, and a full
// table of the Internet stays in a cache. Answers are written into all places
// that a prefix covers; with them goes the prefix's length, by which the writer
// knows what belongs to a longer one.
//
// One writer, any number of readers. Words are atomic: stored with release
// after what they name is filled, loaded with acquire. The runs of a node never
// change; where they have to, a new node takes its place by one store of the
// word above, and the old one goes to the list of what is freed.
#ifndef SLUICE_DATAPLANE_ROUTING_PREFIX_TRIE_H_
#define SLUICE_DATAPLANE_ROUTING_PREFIX_TRIE_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "dataplane/routing/address_key.h"
#include "dataplane/routing/freed_list.h"
#include "dataplane/routing/node_memory.h"

namespace sluice {

// A number, 0 for none, and the length of the prefix that it is of.
struct TrieWord {
  static constexpr uint32_t kNumberBits = 23;
  static constexpr uint32_t kMaxNumber = (1u << kNumberBits) - 1;
  static constexpr uint32_t kNode = 1u << 31;

  static constexpr uint32_t Make(uint32_t number, int length) {
    return static_cast<uint32_t>(length) << kNumberBits | number;
  }
  static constexpr uint32_t NumberOf(uint32_t word) {
    return word & kMaxNumber;
  }
  static constexpr int LengthOf(uint32_t word) {
    return static_cast<int>(word >> kNumberBits & 0xff);
  }
  static constexpr bool IsNode(uint32_t word) { return (word & kNode) != 0; }
};

template <typename Key, int kRootBits>
class PrefixTrie {
 public:
  static constexpr int kStride = 6;
  static constexpr size_t kPlaces = 1 << kStride;
  static constexpr int kBits = kKeyBits<Key>;
  static constexpr size_t kRootWords = size_t{1} << kRootBits;
  static constexpr int kDepth = (kBits - kRootBits + kStride - 1) / kStride;
  // What one Assign() may free.
  static constexpr size_t kMaxFreed = kDepth;

  // `node_bytes` is the address space for nodes, and that for `removals` comes
  // on top of it: so many Assign() that only take out may be made without room.
  // `kind` is that of nodes in the list of what is freed.
  PrefixTrie(size_t node_bytes, size_t removals, FreedKind kind)
      : kind_(kind),
        root_memory_(kRootWords * sizeof(uint32_t)),
        root_(root_memory_.ArrayAt<std::atomic<uint32_t>>(0)),
        nodes_(node_bytes + removals * NodeMemory::kSizes.back(),
               removals * NodeMemory::kSizes.back()) {}

  // Workers.
  uint32_t Find(Key key) const {
    uint32_t word =
        root_[key >> (kBits - kRootBits)].load(std::memory_order_acquire);
    key <<= kRootBits;
    while (TrieWord::IsNode(word)) {
      word = At(word, TopOf(key)).load(std::memory_order_acquire);
      key <<= kStride;
    }
    return word;
  }
  // The same in steps, for several addresses beside each other: Begin() has
  // the cache fetch the word; Step() goes on from it, fetches what comes next
  // and says whether there is more.
  struct Walk {
    Key key = 0;
    uint32_t word = 0;
  };
  void Fetch(Key key) const {
    __builtin_prefetch(&root_[key >> (kBits - kRootBits)]);
  }
  bool Begin(Key key, Walk* walk) const {
    walk->word =
        root_[key >> (kBits - kRootBits)].load(std::memory_order_acquire);
    walk->key = key << kRootBits;
    return FetchNode(walk->word);
  }
  bool Step(Walk* walk) const {
    walk->word =
        At(walk->word, TopOf(walk->key)).load(std::memory_order_acquire);
    walk->key <<= kStride;
    return FetchNode(walk->word);
  }

  // The writer.

  // Whether there is room for so many Assign(), whatever they are.
  bool HasRoom(size_t times) const { return nodes_.HasRoom(times * kDepth); }
  // Gives `word` to all places of the prefix that are not of a longer one.
  // `freed` has room for kMaxFreed.
  void Assign(Key key, int length, uint32_t word, FreedList* freed) {
    if (length > kRootBits) {
      std::atomic<uint32_t>& place = root_[key >> (kBits - kRootBits)];
      const uint32_t old = place.load(std::memory_order_relaxed);
      const uint32_t put = Put(old, key << kRootBits, kRootBits, length, word,
                               freed);
      if (put != old) place.store(put, std::memory_order_release);
      return;
    }
    std::atomic<uint32_t>* const first = &root_[key >> (kBits - kRootBits)];
    CoverAll(first, size_t{1} << (kRootBits - length), length, word);
  }
  void Free(uint64_t node) { nodes_.Free(static_cast<uint32_t>(node)); }

  size_t memory() const { return root_memory_.Resident() + nodes_.used(); }

 private:
  using Node = NodeMemory::Node;
  using Words = std::array<uint32_t, kPlaces>;

  static unsigned TopOf(Key key) {
    return static_cast<unsigned>(key >> (kBits - kStride));
  }
  const Node& NodeOf(uint32_t word) const {
    return nodes_.At(word & ~TrieWord::kNode);
  }
  std::atomic<uint32_t>& At(uint32_t word, unsigned place) const {
    const Node& node = NodeOf(word);
    // Bit 0 is always set.
    return node.words()[std::popcount(node.runs << (63 - place)) - 1];
  }
  bool FetchNode(uint32_t word) const {
    if (!TrieWord::IsNode(word)) return false;
    __builtin_prefetch(&NodeOf(word));
    return true;
  }

  void CoverAll(std::atomic<uint32_t>* words, size_t count, int length,
                uint32_t word) {
    for (size_t i = 0; i < count; ++i) {
      const uint32_t old = words[i].load(std::memory_order_relaxed);
      if (TrieWord::IsNode(old)) {
        const Node& node = NodeOf(old);
        CoverAll(node.words(), std::popcount(node.runs), length, word);
      } else if (TrieWord::LengthOf(old) <= length) {
        words[i].store(word, std::memory_order_release);
      }
    }
  }

  void Expand(uint32_t word, Words* words) const {
    if (!TrieWord::IsNode(word)) {
      words->fill(word);
      return;
    }
    const Node& node = NodeOf(word);
    size_t run = 0;
    for (size_t i = 0; i < kPlaces; ++i) {
      run += node.runs >> i & 1;
      (*words)[i] = node.words()[run - 1].load(std::memory_order_relaxed);
    }
  }

  // What is to stand where `old` does, which covers the addresses whose first
  // `base` bits are those of the prefix; the other bits of it are in `key`.
  uint32_t Put(uint32_t old, Key key, int base, int length, uint32_t word,
               FreedList* freed) {
    Words words;
    Expand(old, &words);
    const unsigned first = TopOf(key);
    if (length > base + kStride) {
      const uint32_t below =
          Put(words[first], key << kStride, base + kStride, length, word,
              freed);
      if (below == words[first]) return old;
      words[first] = below;
    } else {
      const size_t count = size_t{1} << (base + kStride - length);
      for (size_t i = first; i < first + count; ++i) {
        if (TrieWord::IsNode(words[i])) {
          const Node& node = NodeOf(words[i]);
          CoverAll(node.words(), std::popcount(node.runs), length, word);
        } else if (TrieWord::LengthOf(words[i]) <= length) {
          words[i] = word;
        }
      }
    }
    return Write(old, words, base, freed);
  }

  uint32_t Write(uint32_t old, const Words& words, int base,
                 FreedList* freed) {
    uint64_t runs = 1;
    for (size_t i = 1; i < kPlaces; ++i) {
      runs |= uint64_t{words[i] != words[i - 1]} << i;
    }
    const bool was_node = TrieWord::IsNode(old);
    // Nothing of it is longer than what is above: no node is needed.
    if (runs == 1 && !TrieWord::IsNode(words[0]) &&
        TrieWord::LengthOf(words[0]) <= base) {
      if (was_node) freed->Add(kind_, old & ~TrieWord::kNode);
      return words[0];
    }
    const uint64_t old_runs = was_node ? NodeOf(old).runs : 0;
    // Without room a node that has more boundaries than are needed does. What
    // is taken out mostly needs none that was not there; only where it had one
    // run with a neighbour of its length and number a node is needed for the
    // boundary between them, one for all of the prefix, out of the reserve.
    const bool in_place =
        was_node && (runs == old_runs ||
                     ((runs & ~old_runs) == 0 && !nodes_.HasRoom(1)));
    if (in_place) runs = old_runs;
    const uint32_t number = in_place
                                ? old & ~TrieWord::kNode
                                : nodes_.Allocate(std::popcount(runs));
    Node& node = nodes_.At(number);
    if (!in_place) node.runs = runs;
    size_t run = 0;
    for (uint64_t rest = runs; rest != 0; rest &= rest - 1, ++run) {
      const uint32_t word = words[std::countr_zero(rest)];
      if (!in_place ||
          node.words()[run].load(std::memory_order_relaxed) != word) {
        node.words()[run].store(word, std::memory_order_release);
      }
    }
    if (was_node && !in_place) freed->Add(kind_, old & ~TrieWord::kNode);
    return number | TrieWord::kNode;
  }

  const FreedKind kind_;
  const LazyMemory root_memory_;
  std::atomic<uint32_t>* const root_;
  NodeMemory nodes_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_ROUTING_PREFIX_TRIE_H_
