// Several tables asked at once: one search of an address says which of them
// contain it. Made of what the tables hold at one time, and never changed: a
// table that has been edited since is asked by itself until the next index is
// made, so that an edit costs what it costs without one.
//
// The ends of all entries cut the space into intervals; each has the set of
// the tables that contain its addresses, by longest prefix and negation in each
// table for itself. Equal sets are stored once.
#ifndef SLUICE_PFTABLE_TABLES_TABLE_INDEX_H_
#define SLUICE_PFTABLE_TABLES_TABLE_INDEX_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "pftable/tables/address_classes.h"
#include "pftable/tables/address_table.h"

namespace sluice {

// What bounds an index.
struct TableIndexBounds {
  // Of one table, and of all of them.
  size_t most_entries_each = 1 << 20;
  size_t most_entries = 4 << 20;
  // Words of all sets.
  size_t most_words = 4 << 20;
};

class TableIndex {
 public:
  static constexpr uint16_t kNoBit = 0xffff;

  // Control side. Bits are places in `tables`, of which there are fewer than
  // kNoBit. Tables above a bound have no bit; if there are more
  // different sets than the bound has room for, none has. Never null.
  static std::shared_ptr<const TableIndex> Build(
      std::vector<AddressTable> tables, const TableIndexBounds& bounds = {});

  // What it was made of, and whether that table has its bit.
  const std::vector<AddressTable>& tables() const { return tables_; }
  bool Has(size_t table) const { return has_[table]; }
  // Of all tables that have one.
  size_t entries() const { return entries_; }
  size_t sets() const { return words_ == 0 ? 0 : bits_.size() / words_; }
  size_t MemoryUse() const;

  // Worker side. The set of the tables that contain an address in network
  // order, for InSet(). Not for Family::kNone.
  const uint64_t* Find(Family family,
                       const std::array<uint8_t, 16>& address) const {
    const search::AddressClasses& classes =
        family == Family::kIpv4 ? v4_ : v6_;
    return &bits_[classes.FindClass(address) * words_];
  }
  static bool InSet(const uint64_t* set, uint16_t bit) {
    return (set[bit / 64] >> (bit % 64) & 1) != 0;
  }

 private:
  TableIndex() = default;

  std::vector<AddressTable> tables_;
  std::vector<bool> has_;
  size_t entries_ = 0;
  size_t words_ = 0;  // of a set
  std::vector<uint64_t> bits_;
  search::AddressClasses v4_, v6_;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_TABLES_TABLE_INDEX_H_
