// Rows of bits: for each class of a dimension, which rules its members may
// match. Two values are of one class when the conditions of all rules in that
// dimension hold for both or for neither.
//
// Rules are in groups, each with its own bits, 512 of them a block. A row
// stores the blocks that differ from those of a value that nothing but rules
// without a condition matches; equal blocks are stored once.
#ifndef SLUICE_PFTABLE_CLASSIFY_ROWS_H_
#define SLUICE_PFTABLE_CLASSIFY_ROWS_H_

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

namespace sluice::classify {

inline constexpr uint32_t kBlockBits = 512;

struct alignas(64) Block {
  std::array<uint64_t, kBlockBits / 64> words{};
  friend bool operator==(const Block&, const Block&) = default;
};

// The rows of one group in one dimension.
struct GroupRows {
  // No rule of the group has a condition: all of its bits are always set.
  bool wild_only = true;
  uint32_t words = 0;  // of a mask of blocks
  // Blocks of rules without a condition, and which of them have any.
  std::vector<Block> wild;
  std::vector<uint64_t> wild_mask;
  // A class's: the mask of blocks that it stores, then the index in `ids` of
  // the first of them.
  std::vector<uint64_t> rows;
  std::vector<uint32_t> ids;  // of DimensionRows::blocks

  const uint64_t* row(uint32_t number) const {
    return &rows[size_t{number} * (words + 1)];
  }
};

struct DimensionRows {
  std::vector<GroupRows> groups;
  std::vector<Block> blocks;
  uint32_t classes = 0;

  size_t MemoryUse() const;
};

// Which group a rule is in, and which of its bits it has.
struct Place {
  uint32_t group = 0;
  uint32_t bit = 0;
};
struct Layout {
  std::vector<Place> places;     // by rule
  std::vector<uint32_t> sizes;   // rules, by group
};

// Makes the rows of a dimension. Starts with the rules that have no condition
// in it; Toggle() takes others in and out, and Class() is asked for each
// combination that there is.
class RowBuilder {
 public:
  // `wild`: by rule, whether it has no condition.
  RowBuilder(const Layout& layout, const std::vector<bool>& wild);

  void Toggle(uint32_t rule);
  // The number of the class for which just these rules match.
  uint32_t Class();
  // Blocks that a row would store now.
  size_t cost() const { return cost_; }

  DimensionRows Finish() &&;

 private:
  struct Current {
    std::vector<Block> blocks;
    std::vector<uint32_t> counts;  // rules with a condition, by block
    std::vector<uint64_t> mask;
    std::vector<uint32_t> ids;
    std::vector<bool> changed;
  };

  void Flush();
  bool IsClass(uint32_t number) const;
  uint32_t Intern(const Block& block);

  const Layout& layout_;
  DimensionRows result_;
  std::vector<Current> current_;  // by group
  std::vector<Place> changed_;    // bit: the block's number
  size_t cost_ = 0;
  uint64_t hash_ = 0;
  std::unordered_multimap<uint64_t, uint32_t> classes_;
  std::unordered_multimap<uint64_t, uint32_t> interned_;
};

}  // namespace sluice::classify

#endif  // SLUICE_PFTABLE_CLASSIFY_ROWS_H_
