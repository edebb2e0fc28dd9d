// The candidates of one packet, one after the other in their order: the bits
// that all rows of its classes have, of all groups. Worker side.
#ifndef SLUICE_PFTABLE_CLASSIFY_CURSOR_H_
#define SLUICE_PFTABLE_CLASSIFY_CURSOR_H_

#include <array>
#include <bit>
#include <cstdint>

#include "pftable/classify/classifier.h"

namespace sluice::classify {

// Of all groups together, kMostRules bits of blocks.
inline constexpr uint32_t kMostGroups = 8;
inline constexpr uint32_t kMaskWords = 32;  // 2^20 rules / 512 / 64

using Classes = std::array<uint32_t, kDimensions>;

// Of one group.
class GroupCursor {
 public:
  void Start(const Part& part, uint32_t group, const Classes& classes) {
    part_ = &part;
    group_ = &part.groups[group];
    number_ = group;
    classes_ = &classes;
    word_ = 0;
    mask_ = Mask(0);
    bits_ = {};
    bits_word_ = kBlockWords;
    Advance();
  }

  // The entry that it stands at; kNoIndex: there are no more.
  uint32_t entry() const { return entry_; }

  void Advance() {
    while (true) {
      while (bits_word_ < kBlockWords) {
        uint64_t& bits = bits_[bits_word_];
        if (bits != 0) {
          const uint32_t bit = bits_word_ * 64 +
                               static_cast<uint32_t>(std::countr_zero(bits));
          bits &= bits - 1;
          entry_ = group_->entries[block_ * kBlockBits + bit];
          return;
        }
        ++bits_word_;
      }
      if (!NextBlock()) {
        entry_ = kNoIndex;
        return;
      }
    }
  }

 private:
  static constexpr uint32_t kBlockWords = kBlockBits / 64;

  const uint64_t* Row(Dimension d) const {
    return part_->rows[d].groups[number_].row((*classes_)[d]);
  }

  // Blocks that no dimension rules out.
  uint64_t Mask(uint32_t word) const {
    uint64_t mask = ~uint64_t{0};
    for (const Dimension d : group_->active) {
      mask &= part_->rows[d].groups[number_].wild_mask[word] | Row(d)[word];
    }
    if (!group_->active.empty()) return mask;
    // No conditions at all: every block there is.
    const size_t blocks =
        (group_->entries.size() + kBlockBits - 1) / kBlockBits - word * 64;
    return blocks >= 64 ? mask : (uint64_t{1} << blocks) - 1;
  }

  const Block& BlockOf(Dimension d, uint32_t word, uint64_t bit) const {
    const GroupRows& rows = part_->rows[d].groups[number_];
    const uint64_t* row = Row(d);
    if ((row[word] & bit) == 0) return rows.wild[block_];
    size_t id = row[rows.words] + std::popcount(row[word] & (bit - 1));
    for (uint32_t w = 0; w < word; ++w) id += std::popcount(row[w]);
    return part_->rows[d].blocks[rows.ids[id]];
  }

  bool NextBlock() {
    while (true) {
      while (mask_ == 0) {
        if (++word_ >= group_->words) return false;
        mask_ = Mask(word_);
      }
      const uint64_t bit = mask_ & -mask_;
      mask_ ^= bit;
      block_ = word_ * 64 + static_cast<uint32_t>(std::countr_zero(bit));
      uint64_t any = ~uint64_t{0};
      bool first = true;
      for (const Dimension d : group_->active) {
        const Block& block = BlockOf(d, word_, bit);
        any = 0;
        for (uint32_t w = 0; w < kBlockWords; ++w) {
          bits_[w] = first ? block.words[w] : bits_[w] & block.words[w];
          any |= bits_[w];
        }
        first = false;
        if (any == 0) break;
      }
      if (any == 0) continue;
      if (first) {
        const uint32_t size = static_cast<uint32_t>(group_->entries.size());
        for (uint32_t w = 0; w < kBlockWords; ++w) {
          const uint32_t begin = block_ * kBlockBits + w * 64;
          bits_[w] = begin + 64 <= size ? ~uint64_t{0}
                     : begin >= size ? 0
                                     : (uint64_t{1} << (size - begin)) - 1;
        }
      }
      bits_word_ = 0;
      return true;
    }
  }

  const Part* part_;
  const Group* group_;
  const Classes* classes_;
  uint32_t number_;
  uint32_t word_;    // of the mask of blocks
  uint64_t mask_;    // blocks of this word to come
  uint32_t block_ = 0;
  uint32_t bits_word_;
  std::array<uint64_t, kBlockWords> bits_;  // of this block, to come
  uint32_t entry_ = kNoIndex;
};

// Of all groups, merged.
class Cursor {
 public:
  Cursor(const Part& part, const Classes& classes) : part_(part) {
    const uint32_t count = static_cast<uint32_t>(part.groups.size());
    for (uint32_t g = 0; g < count; ++g) {
      groups_[g].Start(part, g, classes);
    }
  }

  // The next one, or kNoIndex.
  uint32_t Next() {
    const uint32_t count = static_cast<uint32_t>(part_.groups.size());
    uint32_t first = 0;
    for (uint32_t g = 1; g < count; ++g) {
      if (groups_[g].entry() < groups_[first].entry()) first = g;
    }
    const uint32_t entry = groups_[first].entry();
    if (entry != kNoIndex) groups_[first].Advance();
    return entry;
  }

 private:
  const Part& part_;
  std::array<GroupCursor, kMostGroups> groups_;
};

}  // namespace sluice::classify

#endif  // SLUICE_PFTABLE_CLASSIFY_CURSOR_H_
