#include "pftable/tables/address_classes.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace sluice::search {
namespace {

uint32_t Be32At(const uint8_t* bytes) {
  uint32_t raw;
  std::memcpy(&raw, bytes, sizeof raw);
  return __builtin_bswap32(raw);
}
uint64_t Be64At(const uint8_t* bytes) {
  uint64_t raw;
  std::memcpy(&raw, bytes, sizeof raw);
  return __builtin_bswap64(raw);
}

// Levels of nodes over sorted keys: a key of a level above is the first of a
// node below. What is left of the last node is filled with the largest key.
template <typename Node, typename Signed, typename Key>
void BuildLevels(std::span<const Key> starts, std::vector<Node>& nodes,
                 std::vector<SearchLevel>& levels) {
  constexpr uint32_t kFanout = Node::kFanout;
  constexpr Key kFlip = Key{1} << (sizeof(Key) * 8 - 1);
  std::vector<std::vector<Node>> built;  // the leaves first
  std::vector<uint32_t> lasts;
  std::vector<Key> keys(starts.begin(), starts.end());
  while (true) {
    std::vector<Node>& level = built.emplace_back();
    lasts.push_back(static_cast<uint32_t>(keys.size() - 1));
    std::vector<Key> above;
    for (size_t i = 0; i < keys.size(); ++i) {
      if (i % kFanout == 0) {
        level.emplace_back().keys.fill(std::numeric_limits<Signed>::max());
        above.push_back(keys[i]);
      }
      level.back().keys[i % kFanout] = static_cast<Signed>(keys[i] ^ kFlip);
    }
    if (level.size() == 1) break;
    keys = std::move(above);
  }
  nodes.clear();
  levels.clear();
  for (size_t i = built.size(); i-- > 0;) {
    levels.push_back({static_cast<uint32_t>(nodes.size()), lasts[i]});
    nodes.insert(nodes.end(), built[i].begin(), built[i].end());
  }
}

}  // namespace

void Search32::Build(std::span<const uint32_t> starts, Vectors vectors) {
  find_ = Find32By(vectors);
  BuildLevels<Node, int32_t>(starts, nodes_, levels_);
}

void Search64::Build(std::span<const uint64_t> starts, Vectors vectors) {
  find_ = Find64By(vectors);
  BuildLevels<Node, int64_t>(starts, nodes_, levels_);
}

void AddressClasses::Build(Family family, const Intervals& intervals) {
  family_ = family;
  classes_ = intervals.classes;
  if (family == Family::kIpv4) {
    std::vector<uint32_t> starts;
    for (const Number start : intervals.starts) {
      starts.push_back(static_cast<uint32_t>(start));
    }
    search32_.Build(starts);
    return;
  }
  for (size_t i = 0; i < intervals.starts.size(); ++i) {
    const uint64_t high = static_cast<uint64_t>(intervals.starts[i] >> 64);
    if (highs_.empty() || highs_.back() != high) {
      highs_.push_back(high);
      firsts_.push_back(static_cast<uint32_t>(i));
    }
    lows_.push_back(static_cast<uint64_t>(intervals.starts[i]));
  }
  firsts_.push_back(static_cast<uint32_t>(lows_.size()));
  search64_.Build(highs_);
}

size_t AddressClasses::MemoryUse() const {
  return classes_.capacity() * sizeof(uint32_t) + search32_.MemoryUse() +
         search64_.MemoryUse() + (highs_.capacity() + lows_.capacity()) * 8 +
         firsts_.capacity() * sizeof(uint32_t);
}

// --- lookups: worker side ---------------------------------------------------

void AddressClasses::FindV4(const std::array<uint8_t, 16>* const* addresses,
                            uint32_t count, uint32_t* intervals) const {
  uint32_t keys[kMaxBurst] = {};
  for (uint32_t i = 0; i < count; ++i) keys[i] = Be32At(addresses[i]->data());
  search32_.Find(keys, count, intervals);
}

void AddressClasses::FindV6(const std::array<uint8_t, 16>* const* addresses,
                            uint32_t count, uint32_t* intervals) const {
  uint64_t keys[kMaxBurst] = {};
  uint32_t found[kMaxBurst];
  for (uint32_t i = 0; i < count; ++i) keys[i] = Be64At(addresses[i]->data());
  search64_.Find(keys, count, found);
  for (uint32_t i = 0; i < count; ++i) {
    uint32_t low = firsts_[found[i]];
    uint32_t size = firsts_[found[i] + 1] - low;
    if (highs_[found[i]] != keys[i]) {
      intervals[i] = low + size - 1;
      continue;
    }
    // The last start that is not above; the one before all of them if none.
    const uint64_t key = Be64At(addresses[i]->data() + 8);
    if (lows_[low] > key) {
      intervals[i] = low - 1;
      continue;
    }
    while (size > 1) {
      const uint32_t half = size / 2;
      low = lows_[low + half] <= key ? low + half : low;
      size -= half;
    }
    intervals[i] = low;
  }
}

void AddressClasses::Find(const std::array<uint8_t, 16>* const* addresses,
                          uint32_t count, uint32_t* intervals) const {
  if (classes_.size() == 1) {
    for (uint32_t i = 0; i < count; ++i) intervals[i] = 0;
  } else if (family_ == Family::kIpv4) {
    FindV4(addresses, count, intervals);
  } else {
    FindV6(addresses, count, intervals);
  }
}

}  // namespace sluice::search
