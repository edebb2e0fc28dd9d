#include "pftable/tables/address_table.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "packet/byte_order.h"
#include "pftable/policy/policy.h"
#include "pftable/policy/stable_hash.h"
#include "pftable/tables/address_trie.h"

namespace sluice {
namespace trie {

uint64_t HashEntry(const Entry<uint32_t>& entry) {
  return CombineHash(CombineHash(4, entry.key),
                     uint64_t{entry.length} * 2 + entry.negated);
}

uint64_t HashEntry(const Entry<unsigned __int128>& entry) {
  return CombineHash(
      CombineHash(CombineHash(6, static_cast<uint64_t>(entry.key >> 64)),
                  static_cast<uint64_t>(entry.key)),
      uint64_t{entry.length} * 2 + entry.negated);
}

}  // namespace trie

namespace {

using trie::Word;
using Key4 = uint32_t;
using Key6 = unsigned __int128;

template <typename Key>
Key LoadKey(const uint8_t* bytes) {
  if constexpr (sizeof(Key) == 4) {
    uint32_t raw;
    std::memcpy(&raw, bytes, sizeof raw);
    return Be32::FromRaw(raw).host();
  } else {
    uint64_t raw[2];
    std::memcpy(raw, bytes, sizeof raw);
    return static_cast<Key6>(Be64::FromRaw(raw[0]).host()) << 64 |
           Be64::FromRaw(raw[1]).host();
  }
}

template <typename Key>
Address ToAddress(Key key) {
  if constexpr (sizeof(Key) == 4) {
    return Address::V4(key);
  } else {
    const uint64_t raw[2] = {Be64(static_cast<uint64_t>(key >> 64)).raw(),
                             Be64(static_cast<uint64_t>(key)).raw()};
    return Address::FromBytes(Family::kIpv6, raw);
  }
}

template <typename Key>
bool Contains(Word word, Key key) {
  bool found = false;
  while (word != 0) {
    if (trie::IsLeaf(word)) {
      const trie::Entry<Key> leaf = trie::LeafEntry<Key>(word);
      if (trie::SamePrefix(key, leaf.key, leaf.length)) found = !leaf.negated;
      break;
    }
    const trie::Node<Key>* node = trie::AsNode<Key>(word);
    if (!trie::SamePrefix(key, node->prefix, node->depth)) break;
    const unsigned v = trie::StrideBits(key, node->depth);
    if (const uint64_t covering = node->internal & trie::kCovering[v >> 1]) {
      found = (node->negated >> (std::bit_width(covering) - 1) & 1) == 0;
    }
    word = node->Child(v);
  }
  return found;
}

template <typename Key>
std::optional<bool> FindExact(Word word, Key key, int length) {
  while (word != 0) {
    if (trie::IsLeaf(word)) {
      const trie::Entry<Key> leaf = trie::LeafEntry<Key>(word);
      if (leaf.key == key && leaf.length == length) return leaf.negated;
      break;
    }
    const trie::Node<Key>* node = trie::AsNode<Key>(word);
    if (length < node->depth ||
        !trie::SamePrefix(key, node->prefix, node->depth)) {
      break;
    }
    const unsigned v = trie::StrideBits(key, node->depth);
    const int l = length - node->depth;
    if (l < trie::kStride) {
      const int index = trie::InternalIndex(l, v >> (trie::kStride - l));
      if ((node->internal >> index & 1) == 0) break;
      return (node->negated >> index & 1) != 0;
    }
    word = node->Child(v);
  }
  return std::nullopt;
}

template <typename Key>
std::optional<trie::Entry<Key>> LongestMatch(Word word, Key key) {
  std::optional<trie::Entry<Key>> found;
  while (word != 0) {
    if (trie::IsLeaf(word)) {
      const trie::Entry<Key> leaf = trie::LeafEntry<Key>(word);
      if (trie::SamePrefix(key, leaf.key, leaf.length)) found = leaf;
      break;
    }
    const trie::Node<Key>* node = trie::AsNode<Key>(word);
    if (!trie::SamePrefix(key, node->prefix, node->depth)) break;
    const unsigned v = trie::StrideBits(key, node->depth);
    if (const uint64_t covering = node->internal & trie::kCovering[v >> 1]) {
      const int index = std::bit_width(covering) - 1;
      found = trie::EntryAt(node->depth, node->prefix, index,
                            (node->negated >> index & 1) != 0);
    }
    word = node->Child(v);
  }
  return found;
}

// Where a walk begins: behind this entry.
template <typename Key>
struct Start {
  Key key;
  int length;
  bool IsBefore(const trie::Entry<Key>& e) const {
    return key != e.key ? key < e.key : length < e.length;
  }
};

// Calls `f` with each entry behind `start` (null: all), ascending by key and
// length, until it returns false; then the result is false, too. Nodes that
// hold only what comes before are passed over.
template <typename Key, typename F>
bool ForEachAfter(Word word, const Start<Key>* start, F&& f) {
  if (word == 0) return true;
  const auto visit = [&](const trie::Entry<Key>& entry) {
    return start != nullptr && !start->IsBefore(entry) ? true : f(entry);
  };
  if (trie::IsLeaf(word)) return visit(trie::LeafEntry<Key>(word));
  const trie::Node<Key>* node = trie::AsNode<Key>(word);
  // The last key that can be below the node.
  const Key last = node->prefix |
                   static_cast<Key>(~trie::MaskBits<Key>(node->depth));
  if (start != nullptr && last < start->key) return true;
  for (unsigned v = 0; v < 64; ++v) {
    for (int l = 0; l < trie::kStride; ++l) {
      const int rest = trie::kStride - l;
      if ((v & ((1u << rest) - 1)) != 0) continue;
      const int index = trie::InternalIndex(l, v >> rest);
      if ((node->internal >> index & 1) == 0) continue;
      if (!visit(trie::EntryAt(node->depth, node->prefix, index,
                               (node->negated >> index & 1) != 0))) {
        return false;
      }
    }
    if (!ForEachAfter(node->Child(v), start, f)) return false;
  }
  return true;
}

// The same with all of them.
template <typename Key, typename F>
void ForEach(Word word, F&& f) {
  ForEachAfter<Key>(word, nullptr, [&f](const trie::Entry<Key>& entry) {
    f(entry);
    return true;
  });
}

template <typename Key>
TableEntry ToTableEntry(const trie::Entry<Key>& entry) {
  return {.prefix = {ToAddress(entry.key), entry.length},
          .negated = entry.negated};
}

template <typename Key>
size_t Bytes(Word word) {
  if (word == 0) return 0;
  if (trie::IsLeaf(word)) return sizeof(Key) == 4 ? 0 : sizeof(trie::Leaf6);
  const trie::Node<Key>* node = trie::AsNode<Key>(word);
  const int count = std::popcount(node->children);
  size_t bytes = trie::Node<Key>::Size(count);
  for (int i = 0; i < count; ++i) bytes += Bytes<Key>(node->words[i]);
  return bytes;
}

// A set of entries has one shape.
template <typename Key>
bool Same(Word a, Word b) {
  if (a == b) return true;
  if (a == 0 || b == 0 || trie::IsLeaf(a) != trie::IsLeaf(b)) return false;
  if (trie::IsLeaf(a)) {
    const trie::Entry<Key> x = trie::LeafEntry<Key>(a);
    const trie::Entry<Key> y = trie::LeafEntry<Key>(b);
    return x.key == y.key && x.length == y.length && x.negated == y.negated;
  }
  const trie::Node<Key>* x = trie::AsNode<Key>(a);
  const trie::Node<Key>* y = trie::AsNode<Key>(b);
  if (x->depth != y->depth || x->prefix != y->prefix ||
      x->internal != y->internal || x->negated != y->negated ||
      x->children != y->children) {
    return false;
  }
  const int count = std::popcount(x->children);
  for (int i = 0; i < count; ++i) {
    if (!Same<Key>(x->words[i], y->words[i])) return false;
  }
  return true;
}

template <typename Key>
Word ApplySorted(Word root, std::vector<trie::Edit<Key>>& edits,
                 trie::Delta& delta) {
  std::stable_sort(edits.begin(), edits.end(),
                   [](const trie::Edit<Key>& a, const trie::Edit<Key>& b) {
                     return std::pair(a.key, a.length) <
                            std::pair(b.key, b.length);
                   });
  // Of several edits of one prefix the last counts.
  size_t kept = 0;
  for (size_t i = 0; i < edits.size(); ++i) {
    if (kept > 0 && edits[kept - 1].key == edits[i].key &&
        edits[kept - 1].length == edits[i].length) {
      edits[kept - 1] = edits[i];
    } else {
      edits[kept++] = edits[i];
    }
  }
  const std::span<const trie::Edit<Key>> unique(edits.data(), kept);
  return trie::Apply<Key>(root, unique, delta).Detach();
}

}  // namespace

bool AddressTable::View::Contains(Family family, const uint8_t* bytes) const {
  switch (family) {
    case Family::kIpv4:
      return sluice::Contains<Key4>(root4, LoadKey<Key4>(bytes));
    case Family::kIpv6:
      return sluice::Contains<Key6>(root6, LoadKey<Key6>(bytes));
    case Family::kNone:
      break;
  }
  return false;
}

bool AddressTable::View::Longest(Family family, const uint8_t* bytes,
                                 Prefix* entry, bool* negated) const {
  const auto give = [&](const auto& found) {
    if (!found) return false;
    *entry = {.address = ToAddress(found->key), .length = found->length};
    *negated = found->negated;
    return true;
  };
  switch (family) {
    case Family::kIpv4:
      return give(LongestMatch<Key4>(root4, LoadKey<Key4>(bytes)));
    case Family::kIpv6:
      return give(LongestMatch<Key6>(root6, LoadKey<Key6>(bytes)));
    case Family::kNone:
      break;
  }
  return false;
}

AddressTable::AddressTable(const AddressTable& other)
    : view_{.root4 = trie::Ref<Key4>::Share(other.view_.root4).Detach(),
            .root6 = trie::Ref<Key6>::Share(other.view_.root6).Detach()},
      size_(other.size_),
      hash_(other.hash_),
      original_(other.original_) {}

AddressTable::AddressTable(AddressTable&& other) noexcept
    : view_(std::exchange(other.view_, View())),
      size_(std::exchange(other.size_, 0)),
      hash_(std::exchange(other.hash_, 0)),
      original_(std::move(other.original_)) {}

AddressTable& AddressTable::operator=(AddressTable other) noexcept {
  std::swap(view_, other.view_);
  std::swap(size_, other.size_);
  std::swap(hash_, other.hash_);
  std::swap(original_, other.original_);
  return *this;
}

AddressTable AddressTable::Shared(
    std::shared_ptr<const AddressTable> original) {
  AddressTable copy = *original;
  copy.original_ = std::move(original);
  return copy;
}

uint64_t AddressTable::HashOf(const Prefix& prefix, bool negated) {
  const uint8_t* bytes = prefix.address.bytes.data();
  switch (prefix.address.family) {
    case Family::kIpv4:
      return trie::HashEntry(trie::Entry<Key4>{LoadKey<Key4>(bytes),
                                               prefix.length, negated});
    case Family::kIpv6:
      return trie::HashEntry(trie::Entry<Key6>{LoadKey<Key6>(bytes),
                                               prefix.length, negated});
    case Family::kNone:
      break;
  }
  return 0;
}

bool operator==(const AddressTable& a, const AddressTable& b) {
  return a.size_ == b.size_ && a.hash_ == b.hash_ &&
         Same<Key4>(a.view_.root4, b.view_.root4) &&
         Same<Key6>(a.view_.root6, b.view_.root6);
}

bool AddressTable::IsSound() const {
  size_t count = 0;
  uint64_t hash = 0;
  auto add = [&](const auto& entry) {
    ++count;
    hash += trie::HashEntry(entry);
  };
  ForEach<Key4>(view_.root4, add);
  ForEach<Key6>(view_.root6, add);
  return count == size_ && hash == hash_;
}

AddressTable::~AddressTable() {
  trie::Ref<Key4>::Drop(view_.root4);
  trie::Ref<Key6>::Drop(view_.root6);
}

AddressTable AddressTable::With(std::span<const Edit> edits) const {
  std::vector<trie::Edit<Key4>> edits4;
  std::vector<trie::Edit<Key6>> edits6;
  for (const Edit& edit : edits) {
    const uint8_t* bytes = edit.prefix.address.bytes.data();
    if (edit.prefix.address.family == Family::kIpv4) {
      edits4.push_back({LoadKey<Key4>(bytes), edit.prefix.length,
                        edit.negated, edit.erase});
    } else if (edit.prefix.address.family == Family::kIpv6) {
      edits6.push_back({LoadKey<Key6>(bytes), edit.prefix.length,
                        edit.negated, edit.erase});
    }
  }
  trie::Delta delta;
  AddressTable result;
  result.view_.root4 = ApplySorted<Key4>(view_.root4, edits4, delta);
  result.view_.root6 = ApplySorted<Key6>(view_.root6, edits6, delta);
  result.size_ = size_ + delta.size;
  result.hash_ = hash_ + delta.hash;
  return result;
}

std::optional<bool> AddressTable::Find(const Prefix& prefix) const {
  const uint8_t* bytes = prefix.address.bytes.data();
  switch (prefix.address.family) {
    case Family::kIpv4:
      return FindExact<Key4>(view_.root4, LoadKey<Key4>(bytes), prefix.length);
    case Family::kIpv6:
      return FindExact<Key6>(view_.root6, LoadKey<Key6>(bytes), prefix.length);
    case Family::kNone:
      break;
  }
  return std::nullopt;
}

std::optional<TableEntry> AddressTable::Longest(const Address& address) const {
  TableEntry entry;
  if (!view_.Longest(address.family, address.bytes.data(), &entry.prefix,
                     &entry.negated)) {
    return std::nullopt;
  }
  return entry;
}

std::vector<TableEntry> AddressTable::Entries() const {
  std::vector<TableEntry> entries;
  entries.reserve(size_);
  auto append = [&entries](const auto& entry) {
    entries.push_back(ToTableEntry(entry));
  };
  ForEach<Key4>(view_.root4, append);
  ForEach<Key6>(view_.root6, append);
  return entries;
}

std::vector<TableEntry> AddressTable::EntriesAfter(const Prefix* after,
                                                   size_t limit) const {
  std::vector<TableEntry> entries;
  entries.reserve(std::min(limit, size_));
  const auto append = [&entries, limit](const auto& entry) {
    if (entries.size() == limit) return false;
    entries.push_back(ToTableEntry(entry));
    return true;
  };
  const bool in_ipv6 =
      after != nullptr && after->address.family == Family::kIpv6;
  const auto start_of = [after]<typename Key>(Family family) {
    std::optional<Start<Key>> start;
    if (after != nullptr && after->address.family == family) {
      start = {LoadKey<Key>(after->address.bytes.data()), after->length};
    }
    return start;
  };
  if (!in_ipv6) {
    const auto start = start_of.operator()<Key4>(Family::kIpv4);
    ForEachAfter(view_.root4, start ? &*start : nullptr, append);
  }
  const auto start = start_of.operator()<Key6>(Family::kIpv6);
  ForEachAfter(view_.root6, start ? &*start : nullptr, append);
  return entries;
}

size_t AddressTable::MemoryUse() const {
  return Bytes<Key4>(view_.root4) + Bytes<Key6>(view_.root6);
}

}  // namespace sluice
