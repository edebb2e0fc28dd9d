#include "pftable/classify/rows.h"

#include <utility>

#include "pftable/policy/stable_hash.h"

namespace sluice::classify {
namespace {

template <typename T>
size_t BytesOf(const std::vector<T>& v) {
  return v.capacity() * sizeof(T);
}

}  // namespace

size_t DimensionRows::MemoryUse() const {
  size_t bytes = BytesOf(blocks);
  for (const GroupRows& group : groups) {
    bytes += BytesOf(group.wild) + BytesOf(group.wild_mask) +
             BytesOf(group.rows) + BytesOf(group.ids);
  }
  return bytes;
}

RowBuilder::RowBuilder(const Layout& layout, const std::vector<bool>& wild)
    : layout_(layout),
      result_{.groups = std::vector<GroupRows>(layout.sizes.size()),
              .blocks = {},
              .classes = 0},
      current_(layout.sizes.size()) {
  for (size_t g = 0; g < layout.sizes.size(); ++g) {
    const uint32_t blocks = (layout.sizes[g] + kBlockBits - 1) / kBlockBits;
    GroupRows& group = result_.groups[g];
    group.words = (blocks + 63) / 64;
    group.wild.resize(blocks);
    group.wild_mask.resize(group.words);
    Current& current = current_[g];
    current.blocks.resize(blocks);
    current.counts.resize(blocks);
    current.mask.resize(group.words);
    current.ids.resize(blocks);
    current.changed.resize(blocks);
  }
  for (size_t rule = 0; rule < layout.places.size(); ++rule) {
    const auto [g, bit] = layout.places[rule];
    GroupRows& group = result_.groups[g];
    if (!wild[rule]) {
      group.wild_only = false;
      continue;
    }
    const uint32_t b = bit / kBlockBits;
    group.wild[b].words[bit % kBlockBits / 64] |= uint64_t{1} << (bit % 64);
    group.wild_mask[b / 64] |= uint64_t{1} << (b % 64);
  }
}

void RowBuilder::Toggle(uint32_t rule) {
  const auto [g, bit] = layout_.places[rule];
  Current& current = current_[g];
  const uint32_t b = bit / kBlockBits;
  const uint64_t mask = uint64_t{1} << (bit % 64);
  uint64_t& word = current.blocks[b].words[bit % kBlockBits / 64];
  word ^= mask;
  const uint64_t block_bit = uint64_t{1} << (b % 64);
  if ((word & mask) != 0) {
    if (current.counts[b]++ == 0) {
      current.mask[b / 64] |= block_bit;
      ++cost_;
    }
  } else if (--current.counts[b] == 0) {
    current.mask[b / 64] &= ~block_bit;
    --cost_;
  }
  if (!current.changed[b]) {
    current.changed[b] = true;
    changed_.push_back({g, b});
  }
  hash_ ^= MixBits(rule + uint64_t{1});
}

uint32_t RowBuilder::Intern(const Block& block) {
  uint64_t hash = 0;
  for (const uint64_t word : block.words) hash = MixBits(hash ^ word);
  const auto [begin, end] = interned_.equal_range(hash);
  for (auto it = begin; it != end; ++it) {
    if (result_.blocks[it->second] == block) return it->second;
  }
  const uint32_t id = static_cast<uint32_t>(result_.blocks.size());
  result_.blocks.push_back(block);
  interned_.emplace(hash, id);
  return id;
}

void RowBuilder::Flush() {
  for (const auto& [g, b] : changed_) {
    Current& current = current_[g];
    current.changed[b] = false;
    if (current.counts[b] == 0) continue;
    Block block = current.blocks[b];
    const Block& wild = result_.groups[g].wild[b];
    for (size_t w = 0; w < block.words.size(); ++w) {
      block.words[w] |= wild.words[w];
    }
    current.ids[b] = Intern(block);
  }
  changed_.clear();
}

bool RowBuilder::IsClass(uint32_t number) const {
  for (size_t g = 0; g < current_.size(); ++g) {
    const GroupRows& group = result_.groups[g];
    const Current& current = current_[g];
    const uint64_t* row = group.row(number);
    size_t id = row[group.words];
    for (uint32_t w = 0; w < group.words; ++w) {
      if (row[w] != current.mask[w]) return false;
    }
    for (uint32_t w = 0; w < group.words; ++w) {
      for (uint64_t bits = row[w]; bits != 0; bits &= bits - 1) {
        if (group.ids[id++] != current.ids[w * 64 + std::countr_zero(bits)]) {
          return false;
        }
      }
    }
  }
  return true;
}

uint32_t RowBuilder::Class() {
  Flush();
  const auto [begin, end] = classes_.equal_range(hash_);
  for (auto it = begin; it != end; ++it) {
    if (IsClass(it->second)) return it->second;
  }
  const uint32_t number = result_.classes++;
  classes_.emplace(hash_, number);
  for (size_t g = 0; g < current_.size(); ++g) {
    GroupRows& group = result_.groups[g];
    const Current& current = current_[g];
    group.rows.insert(group.rows.end(), current.mask.begin(),
                      current.mask.end());
    group.rows.push_back(group.ids.size());
    for (uint32_t w = 0; w < group.words; ++w) {
      for (uint64_t bits = current.mask[w]; bits != 0; bits &= bits - 1) {
        group.ids.push_back(current.ids[w * 64 + std::countr_zero(bits)]);
      }
    }
  }
  return number;
}

DimensionRows RowBuilder::Finish() && {
  for (GroupRows& group : result_.groups) {
    if (group.wild_only) {
      // Nobody asks.
      group.rows = {};
      group.wild = {};
      group.wild_mask = {};
    }
    group.rows.shrink_to_fit();
    group.ids.shrink_to_fit();
  }
  result_.blocks.shrink_to_fit();
  return std::move(result_);
}

}  // namespace sluice::classify
