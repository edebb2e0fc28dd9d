#include "pftable/classify/rows.h"

#include <algorithm>
#include <bit>
#include <random>
#include <utility>

#include "pftable/policy/stable_hash.h"

namespace sluice::classify {
namespace {

template <typename T>
size_t BytesOf(const std::vector<T>& v) {
  return v.capacity() * sizeof(T);
}

std::array<uint64_t, 2> MakeSecret() {
  std::random_device random;
  std::array<uint64_t, 2> secret;
  for (uint64_t& word : secret) word = uint64_t{random()} << 32 | random();
  return secret;
}

const std::array<uint64_t, 2>& Secret() {
  static const std::array<uint64_t, 2> secret = MakeSecret();
  return secret;
}

}  // namespace

size_t DimensionRows::MemoryUse() const {
  return BytesOf(wild) + BytesOf(wild_mask) + BytesOf(rows) + BytesOf(ids) +
         BytesOf(blocks);
}

RowBuilder::RowBuilder(const Bits& bits, uint32_t count,
                       const std::vector<bool>& wild)
    : bits_(bits) {
  const uint32_t blocks = (count + kBlockBits - 1) / kBlockBits;
  result_.words = (blocks + 63) / 64;
  result_.wild.resize(blocks);
  result_.wild_mask.resize(result_.words);
  blocks_.resize(blocks);
  counts_.resize(blocks);
  mask_.resize(result_.words);
  ids_.resize(blocks);
  is_changed_.resize(blocks);
  for (size_t rule = 0; rule < bits.size(); ++rule) {
    const uint32_t bit = bits[rule];
    if (bit == kNoIndex) continue;
    if (!wild[rule]) {
      result_.wild_only = false;
      continue;
    }
    const uint32_t b = bit / kBlockBits;
    result_.wild[b].words[bit % kBlockBits / 64] |= uint64_t{1} << (bit % 64);
    result_.wild_mask[b / 64] |= uint64_t{1} << (b % 64);
  }
}

void RowBuilder::Toggle(uint32_t rule) {
  hash_.low ^= MixBits(Secret()[0] + rule);
  hash_.high ^= MixBits(Secret()[1] + rule);
  const uint32_t bit = bits_[rule];
  if (bit == kNoIndex) return;
  const uint32_t b = bit / kBlockBits;
  const uint64_t mask = uint64_t{1} << (bit % 64);
  uint64_t& word = blocks_[b].words[bit % kBlockBits / 64];
  word ^= mask;
  const uint64_t block_bit = uint64_t{1} << (b % 64);
  if ((word & mask) != 0) {
    if (counts_[b]++ == 0) {
      mask_[b / 64] |= block_bit;
      ++cost_;
    }
  } else if (--counts_[b] == 0) {
    mask_[b / 64] &= ~block_bit;
    --cost_;
  }
  if (!is_changed_[b]) {
    is_changed_[b] = true;
    changed_.push_back(b);
  }
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
  for (const uint32_t b : changed_) {
    is_changed_[b] = false;
    if (counts_[b] == 0) continue;
    Block block = blocks_[b];
    const Block& wild = result_.wild[b];
    for (size_t w = 0; w < block.words.size(); ++w) {
      block.words[w] |= wild.words[w];
    }
    ids_[b] = Intern(block);
  }
  changed_.clear();
}

size_t RowBuilder::PlaceOf(const Hash& hash) const {
  const size_t mask = places_.size() - 1;
  size_t place = hash.low & mask;
  while (places_[place] != kNoIndex && combinations_[places_[place]] != hash) {
    place = (place + 1) & mask;
  }
  return place;
}

void RowBuilder::MakeRoom(size_t combinations) {
  if (2 * combinations <= places_.size()) return;
  places_.assign(std::bit_ceil(2 * combinations), kNoIndex);
  for (uint32_t i = 0; i < combinations_.size(); ++i) {
    places_[PlaceOf(combinations_[i])] = i;
  }
}

void RowBuilder::Expect(size_t combinations) {
  combinations_.reserve(combinations);
  MakeRoom(combinations);
}

uint32_t RowBuilder::Class() {
  if (2 * (combinations_.size() + 1) > places_.size()) {
    MakeRoom(std::max<size_t>(16, 2 * combinations_.size()));
  }
  uint32_t& known = places_[PlaceOf(hash_)];
  if (known != kNoIndex) return known;
  known = result_.classes;
  combinations_.push_back(hash_);
  Flush();
  result_.rows.insert(result_.rows.end(), mask_.begin(), mask_.end());
  result_.rows.push_back(result_.ids.size());
  for (uint32_t w = 0; w < result_.words; ++w) {
    for (uint64_t bits = mask_[w]; bits != 0; bits &= bits - 1) {
      result_.ids.push_back(ids_[w * 64 + std::countr_zero(bits)]);
    }
  }
  return result_.classes++;
}

DimensionRows RowBuilder::Finish() && {
  if (result_.wild_only) {
    // Nobody asks.
    result_.rows = {};
    result_.wild = {};
    result_.wild_mask = {};
  }
  result_.rows.shrink_to_fit();
  result_.ids.shrink_to_fit();
  result_.blocks.shrink_to_fit();
  return std::move(result_);
}

}  // namespace sluice::classify
