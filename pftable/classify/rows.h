// Classes of a dimension's values, and rows of bits for them. Two values are
// of one class when the conditions of all rules in that dimension hold for
// both or for neither. A class's row says which rules these are, of those that
// are in no list (lists.h): 512 of them a block. A row stores the blocks that
// differ from those of a value that nothing but rules without a condition
// matches; equal blocks are stored once.
#ifndef SLUICE_PFTABLE_CLASSIFY_ROWS_H_
#define SLUICE_PFTABLE_CLASSIFY_ROWS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace sluice::classify {

inline constexpr uint32_t kNoIndex = 0xffffffff;
inline constexpr uint32_t kBlockBits = 512;

struct alignas(64) Block {
  std::array<uint64_t, kBlockBits / 64> words{};
  friend bool operator==(const Block&, const Block&) = default;
};

struct DimensionRows {
  // No rule has a condition: all bits are always set.
  bool wild_only = true;
  uint32_t words = 0;  // of a mask of blocks
  // Blocks of rules without a condition, and which of them have any.
  std::vector<Block> wild;
  std::vector<uint64_t> wild_mask;
  // A class's: the mask of blocks that it stores, then the index in `ids` of
  // the first of them.
  std::vector<uint64_t> rows;
  std::vector<uint32_t> ids;  // of `blocks`
  std::vector<Block> blocks;
  uint32_t classes = 0;

  const uint64_t* row(uint32_t number) const {
    return &rows[size_t{number} * (words + 1)];
  }
  size_t MemoryUse() const;
};

// Which bit a rule has, or kNoIndex: it has none.
using Bits = std::vector<uint32_t>;

// Makes classes and rows of a dimension. Starts with the rules that have no
// condition in it; Toggle() takes others in and out, and Class() is asked for
// each combination that there is.
//
// Combinations are told apart by 128 bits of a hash with a secret of the
// process: nobody can choose rules that make two of them meet.
class RowBuilder {
 public:
  // `wild`: by rule, whether it has no condition. `count`: of bits.
  RowBuilder(const Bits& bits, uint32_t count, const std::vector<bool>& wild);

  // So many combinations may come: room for them at once.
  void Expect(size_t combinations);
  void Toggle(uint32_t rule);
  // The number of the class for which just these rules match.
  uint32_t Class();
  // Blocks that a row would store now.
  size_t cost() const { return cost_; }

  DimensionRows Finish() &&;

 private:
  struct Hash {
    uint64_t low = 0;
    uint64_t high = 0;
    friend bool operator==(const Hash&, const Hash&) = default;
  };

  // Where the combination is in `places_`, or belongs.
  size_t PlaceOf(const Hash& hash) const;
  void MakeRoom(size_t combinations);
  void Flush();
  uint32_t Intern(const Block& block);

  const Bits& bits_;
  DimensionRows result_;
  std::vector<Block> blocks_;
  std::vector<uint32_t> counts_;  // rules with a condition, by block
  std::vector<uint64_t> mask_;
  std::vector<uint32_t> ids_;
  std::vector<bool> is_changed_;
  std::vector<uint32_t> changed_;
  size_t cost_ = 0;
  Hash hash_;
  // By class: its combination; and where each is found, by its hash. A power
  // of two of places, half of them kNoIndex at least: free.
  std::vector<Hash> combinations_;
  std::vector<uint32_t> places_;
  std::unordered_multimap<uint64_t, uint32_t> interned_;
};

}  // namespace sluice::classify

#endif  // SLUICE_PFTABLE_CLASSIFY_ROWS_H_
