// The nodes of AddressTable: a persistent trie that looks at six bits a node.
// For address_table.cc only.
//
// A node at depth d (a multiple of six) stands for all entries that share its
// first d bits. Those of length d..d+5 are bits in `internal`; longer ones are
// below the child that their next six bits choose. Paths are compressed: a
// child that stands for one entry is a leaf, and a node's depth is the largest
// that its entries allow. So a set of entries has one shape, whatever order it
// grew in.
//
// Nodes never change once another thread can see them. Reference counts are
// the control side's; lookups do not touch them.
#ifndef SLUICE_PFTABLE_TABLES_ADDRESS_TRIE_H_
#define SLUICE_PFTABLE_TABLES_ADDRESS_TRIE_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace sluice::trie {

inline constexpr int kStride = 6;

// Of an entry in a node's `internal`, whose length is depth + l and whose next
// l bits have the value v: entries that are longer have higher indexes.
constexpr int InternalIndex(int l, unsigned v) {
  return (1 << l) - 1 + static_cast<int>(v);
}

// By the upper five of the next six bits: the indexes that cover them.
inline constexpr std::array<uint64_t, 32> kCovering = [] {
  std::array<uint64_t, 32> masks{};
  for (unsigned v = 0; v < 32; ++v) {
    for (int l = 0; l < kStride; ++l) {
      masks[v] |= uint64_t{1} << InternalIndex(l, v >> (kStride - 1 - l));
    }
  }
  return masks;
}();

template <typename Key>
inline constexpr int kBits = sizeof(Key) * 8;

template <typename Key>
struct Entry {
  Key key;
  uint8_t length;
  bool negated;
};

template <typename Key>
struct Edit {
  Key key;
  uint8_t length;
  bool negated;
  bool erase;
};

// What edits did.
struct Delta {
  int64_t size = 0;
  uint64_t hash = 0;  // the sum of those added less those removed
};

template <typename Key>
constexpr Key MaskBits(int length) {
  return length == 0 ? Key{0} : static_cast<Key>(~Key{0})
                                    << (kBits<Key> - length);
}

template <typename Key>
constexpr bool SamePrefix(Key a, Key b, int length) {
  return ((a ^ b) & MaskBits<Key>(length)) == 0;
}

template <typename Key>
constexpr int CommonBits(Key a, Key b) {
  const Key x = a ^ b;
  if constexpr (sizeof(Key) == 4) {
    return std::countl_zero(x);
  } else {
    const uint64_t high = static_cast<uint64_t>(x >> 64);
    return high != 0 ? std::countl_zero(high)
                     : 64 + std::countl_zero(static_cast<uint64_t>(x));
  }
}

// The six bits after `depth`, padded with zeros at the key's end.
template <typename Key>
constexpr unsigned StrideBits(Key key, int depth) {
  const int shift = kBits<Key> - depth - kStride;
  return static_cast<unsigned>(shift >= 0 ? key >> shift : key << -shift) &
         63;
}

// A word that is empty (0), a leaf (odd) or the address of a node.
using Word = uint64_t;

template <typename Key>
struct Node {
  std::atomic<uint32_t> references;
  uint8_t depth;
  uint64_t internal;
  uint64_t negated;   // of `internal`
  uint64_t children;  // which of the 64 there are
  Key prefix;         // the first `depth` bits
  Word words[];       // one a child, ascending

  static size_t Size(size_t count) {
    return sizeof(Node) + count * sizeof(Word);
  }
  Word Child(unsigned v) const {
    const uint64_t below = children & ((uint64_t{1} << v) - 1);
    return (children >> v & 1) != 0 ? words[std::popcount(below)] : 0;
  }
};

// A leaf of IPv6 has no room in a word.
struct Leaf6 {
  std::atomic<uint32_t> references;
  Entry<unsigned __int128> entry;
};

template <typename Key>
const Node<Key>* AsNode(Word word) {
  return reinterpret_cast<const Node<Key>*>(word);
}
inline const Leaf6* AsLeaf6(Word word) {
  return reinterpret_cast<const Leaf6*>(word - 1);
}
inline bool IsLeaf(Word word) { return (word & 1) != 0; }

template <typename Key>
Entry<Key> LeafEntry(Word word) {
  if constexpr (sizeof(Key) == 4) {
    return {.key = static_cast<uint32_t>(word >> 32),
            .length = static_cast<uint8_t>(word >> 8),
            .negated = (word & 2) != 0};
  } else {
    return AsLeaf6(word)->entry;
  }
}

// One reference to what a word stands for.
template <typename Key>
class Ref {
 public:
  Ref() = default;
  explicit Ref(Word word) : word_(word) {}
  Ref(Ref&& other) noexcept : word_(std::exchange(other.word_, 0)) {}
  Ref& operator=(Ref&& other) noexcept {
    std::swap(word_, other.word_);
    return *this;
  }
  ~Ref() { Drop(word_); }

  static Ref Share(Word word) {
    if (std::atomic<uint32_t>* count = Count(word)) {
      count->fetch_add(1, std::memory_order_relaxed);
    }
    return Ref(word);
  }
  Word word() const { return word_; }
  Word Detach() { return std::exchange(word_, 0); }

  static void Drop(Word word) {
    std::atomic<uint32_t>* count = Count(word);
    if (count == nullptr ||
        count->fetch_sub(1, std::memory_order_acq_rel) != 1) {
      return;
    }
    if (!IsLeaf(word)) {
      const Node<Key>* node = AsNode<Key>(word);
      const int children = std::popcount(node->children);
      for (int i = 0; i < children; ++i) Drop(node->words[i]);
    }
    // Of either kind: plain data in storage from ::operator new.
    ::operator delete(count);
  }

 private:
  // Null for words that own nothing. The count is a node's and a leaf's first
  // member.
  static std::atomic<uint32_t>* Count(Word word) {
    if (word == 0) return nullptr;
    if (!IsLeaf(word)) {
      return const_cast<std::atomic<uint32_t>*>(
          &AsNode<Key>(word)->references);
    }
    if constexpr (sizeof(Key) == 4) {
      return nullptr;
    } else {
      return const_cast<std::atomic<uint32_t>*>(&AsLeaf6(word)->references);
    }
  }

  Word word_ = 0;
};

template <typename Key>
Ref<Key> MakeLeaf(const Entry<Key>& e) {
  if constexpr (sizeof(Key) == 4) {
    return Ref<Key>(static_cast<Word>(e.key) << 32 |
                    static_cast<Word>(e.length) << 8 |
                    (e.negated ? Word{2} : Word{0}) | 1);
  } else {
    Leaf6* leaf = new (::operator new(sizeof(Leaf6))) Leaf6{{1}, e};
    return Ref<Key>(reinterpret_cast<Word>(leaf) | 1);
  }
}

// A node in the making.
template <typename Key>
struct Draft {
  int depth = 0;
  Key prefix{};
  uint64_t internal = 0;
  uint64_t negated = 0;
  std::array<Ref<Key>, 64> children;

  int Index(Key key, int length) const {
    const int l = length - depth;
    return InternalIndex(l, StrideBits(key, depth) >> (kStride - l));
  }
  void Set(int index, bool is_negated) {
    internal |= uint64_t{1} << index;
    negated &= ~(uint64_t{1} << index);
    negated |= uint64_t{is_negated} << index;
  }
  void Clear(int index) {
    internal &= ~(uint64_t{1} << index);
    negated &= ~(uint64_t{1} << index);
  }
  // The one shape that these contents have.
  Ref<Key> Finish();
};

template <typename Key>
Entry<Key> EntryAt(int depth, Key prefix, int index, bool negated) {
  const int l = std::bit_width(static_cast<unsigned>(index + 1)) - 1;
  const Key v = static_cast<Key>(index + 1 - (1 << l));
  const int length = depth + l;
  const Key bits = length == 0 ? Key{0} : v << (kBits<Key> - length);
  return {.key = static_cast<Key>(prefix | bits),
          .length = static_cast<uint8_t>(length),
          .negated = negated};
}

template <typename Key>
Ref<Key> Draft<Key>::Finish() {
  uint64_t present = 0;
  for (int v = 0; v < 64; ++v) {
    present |= uint64_t{children[v].word() != 0} << v;
  }
  const int count = std::popcount(present);
  if (internal == 0 && count <= 1) {
    return count == 0 ? Ref<Key>()
                      : std::move(children[std::countr_zero(present)]);
  }
  if (count == 0 && std::has_single_bit(internal)) {
    return MakeLeaf(EntryAt(depth, prefix, std::countr_zero(internal),
                            negated != 0));
  }
  void* storage = ::operator new(Node<Key>::Size(count));
  auto* node = new (storage) Node<Key>{{1},      static_cast<uint8_t>(depth),
                                       internal, negated,
                                       present,  prefix};
  Word* next = node->words;
  for (Ref<Key>& child : children) {
    if (child.word() != 0) *next++ = child.Detach();
  }
  return Ref<Key>(reinterpret_cast<Word>(node));
}

// Entries ascending by key and length, each prefix once.
template <typename Key>
Ref<Key> Build(std::span<const Entry<Key>> entries) {
  if (entries.empty()) return Ref<Key>();
  if (entries.size() == 1) return MakeLeaf(entries[0]);
  int shared = CommonBits(entries.front().key, entries.back().key);
  for (const Entry<Key>& e : entries) {
    shared = std::min<int>(shared, e.length);
  }
  Draft<Key> draft;
  draft.depth = shared / kStride * kStride;
  draft.prefix = entries.front().key & MaskBits<Key>(draft.depth);
  for (size_t i = 0; i < entries.size();) {
    const Entry<Key>& e = entries[i];
    if (e.length < draft.depth + kStride) {
      draft.Set(draft.Index(e.key, e.length), e.negated);
      ++i;
      continue;
    }
    const unsigned v = StrideBits(e.key, draft.depth);
    size_t end = i + 1;
    while (end < entries.size() &&
           StrideBits(entries[end].key, draft.depth) == v) {
      ++end;
    }
    draft.children[v] = Build(entries.subspan(i, end - i));
    i = end;
  }
  return draft.Finish();
}

uint64_t HashEntry(const Entry<uint32_t>& entry);
uint64_t HashEntry(const Entry<unsigned __int128>& entry);

template <typename Key>
void CountAdded(const Entry<Key>& e, Delta& delta) {
  ++delta.size;
  delta.hash += HashEntry(e);
}
template <typename Key>
void CountRemoved(const Entry<Key>& e, Delta& delta) {
  --delta.size;
  delta.hash -= HashEntry(e);
}

// The edits on nothing, or on one entry.
template <typename Key>
Ref<Key> ApplyToLeaf(Word old, std::span<const Edit<Key>> edits,
                     Delta& delta) {
  std::vector<Entry<Key>> entries;
  entries.reserve(edits.size() + 1);
  std::optional<Entry<Key>> leaf;
  if (old != 0) leaf = LeafEntry<Key>(old);
  for (const Edit<Key>& edit : edits) {
    if (leaf && std::pair(leaf->key, leaf->length) <=
                    std::pair(edit.key, edit.length)) {
      if (leaf->key != edit.key || leaf->length != edit.length) {
        entries.push_back(*leaf);
      } else if (!edit.erase && leaf->negated == edit.negated) {
        entries.push_back(*leaf);
        leaf.reset();
        continue;
      } else {
        CountRemoved(*leaf, delta);
      }
      leaf.reset();
    }
    if (edit.erase) continue;
    entries.push_back({edit.key, edit.length, edit.negated});
    CountAdded(entries.back(), delta);
  }
  if (leaf) entries.push_back(*leaf);
  if (entries.size() == 1 && old != 0) {
    const Entry<Key> before = LeafEntry<Key>(old);
    if (entries[0].key == before.key && entries[0].length == before.length &&
        entries[0].negated == before.negated) {
      return Ref<Key>::Share(old);
    }
  }
  return Build(std::span<const Entry<Key>>(entries));
}

// What `old` becomes by the edits, which are ascending by key and length, each
// prefix once, and lie within the part of the space that `old` stands for.
template <typename Key>
Ref<Key> Apply(Word old, std::span<const Edit<Key>> edits, Delta& delta) {
  if (edits.empty()) return Ref<Key>::Share(old);
  if (old == 0 || IsLeaf(old)) return ApplyToLeaf(old, edits, delta);

  const Node<Key>* node = AsNode<Key>(old);
  int depth = node->depth;
  for (const Edit<Key>& edit : edits) {
    if (edit.erase) continue;
    depth = std::min({depth, CommonBits(edit.key, node->prefix),
                      static_cast<int>(edit.length)});
  }
  depth = depth / kStride * kStride;

  Draft<Key> draft;
  draft.depth = depth;
  draft.prefix = node->prefix & MaskBits<Key>(depth);
  // An entry that the old node cannot hold goes into a new one above it.
  const bool above = depth < node->depth;
  const uint64_t children =
      above ? uint64_t{1} << StrideBits(node->prefix, depth) : node->children;
  auto old_child = [&](unsigned v) {
    if (!above) return node->Child(v);
    return (children >> v & 1) != 0 ? old : Word{0};
  };
  if (!above) {
    draft.internal = node->internal;
    draft.negated = node->negated;
  }

  uint64_t touched = 0;
  for (size_t i = 0; i < edits.size();) {
    const Edit<Key>& edit = edits[i];
    // Erasing what cannot be here.
    if (edit.length < depth || !SamePrefix(edit.key, draft.prefix, depth)) {
      ++i;
      continue;
    }
    if (edit.length < depth + kStride) {
      const int index = draft.Index(edit.key, edit.length);
      const bool there = (draft.internal >> index & 1) != 0;
      const Entry<Key> before{edit.key, edit.length,
                              (draft.negated >> index & 1) != 0};
      const Entry<Key> after{edit.key, edit.length, edit.negated};
      if (there) CountRemoved(before, delta);
      if (edit.erase) {
        draft.Clear(index);
      } else {
        draft.Set(index, edit.negated);
        CountAdded(after, delta);
      }
      ++i;
      continue;
    }
    const unsigned v = StrideBits(edit.key, depth);
    size_t end = i + 1;
    while (end < edits.size() &&
           SamePrefix(edits[end].key, draft.prefix, depth) &&
           StrideBits(edits[end].key, depth) == v) {
      ++end;
    }
    draft.children[v] = Apply(old_child(v), edits.subspan(i, end - i), delta);
    touched |= uint64_t{1} << v;
    i = end;
  }

  bool same = !above && draft.internal == node->internal &&
              draft.negated == node->negated;
  for (uint64_t bits = touched; same && bits != 0; bits &= bits - 1) {
    const unsigned v = std::countr_zero(bits);
    same = draft.children[v].word() == old_child(v);
  }
  if (same) return Ref<Key>::Share(old);
  for (uint64_t bits = children & ~touched; bits != 0; bits &= bits - 1) {
    const unsigned v = std::countr_zero(bits);
    draft.children[v] = Ref<Key>::Share(old_child(v));
  }
  return draft.Finish();
}

}  // namespace sluice::trie

#endif  // SLUICE_PFTABLE_TABLES_ADDRESS_TRIE_H_
