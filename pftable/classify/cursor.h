// The candidates of one packet, one after the other in their order: rules of
// the lists of its classes whose records fit, and the bits that the rows of
// all of its classes have. Worker side.
#ifndef SLUICE_PFTABLE_CLASSIFY_CURSOR_H_
#define SLUICE_PFTABLE_CLASSIFY_CURSOR_H_

#ifdef __SSE4_1__
#include <smmintrin.h>
#endif

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

#include "pftable/classify/classifier.h"

namespace sluice::classify {

class ListCursor {
 public:
  // The first that fits and is not above `limit`.
  void Start(const Part& part, std::span<const Record> list,
             const Classes& classes, uint32_t limit) {
    part_ = &part;
    next_ = list.data();
    end_ = next_ + list.size();
    Advance(classes, limit);
  }
  // The entry that it stands at; kNoIndex: there are no more.
  uint32_t entry() const { return entry_; }

  void Advance(const Classes& classes, uint32_t limit) {
    entry_ = kNoIndex;
    while (next_ != end_) {
      const Record& record = *next_++;
      if (record.entry > limit) {
        next_ = end_;
        return;
      }
      if (Fits(record, classes)) {
        entry_ = record.entry;
        return;
      }
    }
  }

 private:
  static bool Inside(const Record& record,
                     const std::array<uint32_t, kCompared>& compared) {
#ifdef __SSE4_1__
    static_assert(kCompared == 4);
    const auto load = [](const uint32_t* numbers) {
      return _mm_loadu_si128(reinterpret_cast<const __m128i*>(numbers));
    };
    const __m128i at = load(compared.data());
    // What lies between two numbers is both the greater of it and the low one,
    // and the lesser of it and the high one.
    const __m128i inside = _mm_and_si128(
        _mm_cmpeq_epi32(_mm_max_epu32(at, load(record.low.data())), at),
        _mm_cmpeq_epi32(_mm_min_epu32(at, load(record.high.data())), at));
    return _mm_movemask_epi8(inside) == 0xffff;
#else
    uint32_t outside = 0;
    for (size_t i = 0; i < kCompared; ++i) {
      outside += compared[i] < record.low[i];
      outside += compared[i] > record.high[i];
    }
    return outside == 0;
#endif
  }

  bool Fits(const Record& record, const Classes& classes) const {
    return Inside(record, classes.compared) &&
           part_->transport.holds().Get(classes.numbers[kTransport],
                                        record.transport) &&
           part_->link.holds.Get(classes.numbers[kLink], record.link);
  }

  const Part* part_;
  const Record* next_;
  const Record* end_;
  uint32_t entry_ = kNoIndex;
};

class RowCursor {
 public:
  void Start(const Part& part, const Classes& classes, uint32_t limit) {
    part_ = &part;
    classes_ = &classes;
    word_ = 0;
    mask_ = part.words == 0 ? 0 : Mask(0);
    bits_ = {};
    bits_word_ = kBlockWords;
    Advance(limit);
  }

  uint32_t entry() const { return entry_; }

  void Advance(uint32_t limit) {
    while (true) {
      while (bits_word_ < kBlockWords) {
        uint64_t& bits = bits_[bits_word_];
        if (bits != 0) {
          const uint32_t bit = bits_word_ * 64 +
                               static_cast<uint32_t>(std::countr_zero(bits));
          bits &= bits - 1;
          entry_ = part_->bits[block_ * kBlockBits + bit];
          if (entry_ > limit) Stop();
          return;
        }
        ++bits_word_;
      }
      if (!NextBlock(limit)) {
        Stop();
        return;
      }
    }
  }

 private:
  static constexpr uint32_t kBlockWords = kBlockBits / 64;

  void Stop() {
    entry_ = kNoIndex;
    bits_word_ = kBlockWords;
    mask_ = 0;
    word_ = part_->words;
  }

  const uint64_t* Row(Dimension d) const {
    return part_->rows[d].row(classes_->numbers[d]);
  }

  // Blocks that no dimension rules out.
  uint64_t Mask(uint32_t word) const {
    uint64_t mask = ~uint64_t{0};
    for (const Dimension d : part_->active) {
      mask &= part_->rows[d].wild_mask[word] | Row(d)[word];
    }
    if (!part_->active.empty()) return mask;
    // No conditions at all: every block there is.
    const size_t blocks =
        (part_->bits.size() + kBlockBits - 1) / kBlockBits - word * 64;
    return blocks >= 64 ? mask : (uint64_t{1} << blocks) - 1;
  }

  const Block& BlockOf(Dimension d, uint32_t word, uint64_t bit) const {
    const DimensionRows& rows = part_->rows[d];
    const uint64_t* row = Row(d);
    if ((row[word] & bit) == 0) return rows.wild[block_];
    size_t id = row[rows.words] + std::popcount(row[word] & (bit - 1));
    for (uint32_t w = 0; w < word; ++w) id += std::popcount(row[w]);
    return rows.blocks[rows.ids[id]];
  }

  bool NextBlock(uint32_t limit) {
    while (true) {
      while (mask_ == 0) {
        if (++word_ >= part_->words) return false;
        mask_ = Mask(word_);
      }
      const uint64_t bit = mask_ & -mask_;
      mask_ ^= bit;
      block_ = word_ * 64 + static_cast<uint32_t>(std::countr_zero(bit));
      if (part_->bits[block_ * kBlockBits] > limit) return false;
      if (ReadBlock(bit)) return true;
    }
  }

  // False: no bit is left in it.
  bool ReadBlock(uint64_t bit) {
    bits_word_ = 0;
    uint64_t any = 0;
    bool first = true;
    for (const Dimension d : part_->active) {
      const Block& block = BlockOf(d, word_, bit);
      any = 0;
      for (uint32_t w = 0; w < kBlockWords; ++w) {
        bits_[w] = first ? block.words[w] : bits_[w] & block.words[w];
        any |= bits_[w];
      }
      first = false;
      if (any == 0) return false;
    }
    if (!first) return true;
    const uint32_t size = static_cast<uint32_t>(part_->bits.size());
    for (uint32_t w = 0; w < kBlockWords; ++w) {
      const uint32_t begin = block_ * kBlockBits + w * 64;
      bits_[w] = begin + 64 <= size ? ~uint64_t{0}
                 : begin >= size    ? 0
                                    : (uint64_t{1} << (size - begin)) - 1;
    }
    return true;
  }

  const Part* part_;
  const Classes* classes_;
  uint32_t word_;    // of the mask of blocks
  uint64_t mask_;    // blocks of this word to come
  uint32_t block_ = 0;
  uint32_t bits_word_;
  std::array<uint64_t, kBlockWords> bits_;  // of this block, to come
  uint32_t entry_ = kNoIndex;
};

// All of them, merged, up to the first certain one. Those before `from` may be
// among them, and end nothing.
class Cursor {
 public:
  Cursor(const Part& part, const Classes& classes, uint32_t from = 0)
      : part_(part), classes_(classes), from_(from) {
    for (const Dimension d : part.listed) {
      ListCursor& list = lists_[count_++];
      list.Start(part, part.lists[d].list(classes.numbers[d]), classes,
                 limit_);
      Bound(list.entry());
    }
    rows_.Start(part, classes, limit_);
    Bound(rows_.entry());
  }

  // The next one, or kNoIndex.
  uint32_t Next() {
    ListCursor* first = nullptr;
    uint32_t entry = rows_.entry();
    for (uint32_t i = 0; i < count_; ++i) {
      if (lists_[i].entry() < entry) {
        first = &lists_[i];
        entry = first->entry();
      }
    }
    if (entry == kNoIndex) return entry;
    if (entry >= limit_) {
      // Nothing after it matters.
      limit_ = 0;
      count_ = 0;
      rows_ = RowCursor();
      return entry;
    }
    if (first != nullptr) {
      first->Advance(classes_, limit_);
      Bound(first->entry());
    } else {
      rows_.Advance(limit_);
      Bound(rows_.entry());
    }
    return entry;
  }

 private:
  void Bound(uint32_t entry) {
    if (entry != kNoIndex && entry >= from_ && entry < limit_ &&
        part_.entries[entry].certain) {
      limit_ = entry;
    }
  }

  const Part& part_;
  const Classes& classes_;
  const uint32_t from_;
  uint32_t limit_ = kNoIndex;
  uint32_t count_ = 0;
  std::array<ListCursor, kCompared> lists_;
  RowCursor rows_;
};

}  // namespace sluice::classify

#endif  // SLUICE_PFTABLE_CLASSIFY_CURSOR_H_
