// The tables that the rules of a generation name, asked at once
// (table_index.h): which of them have a bit, and when it is time for another
// index.
//
// Generations that follow one another share it. A table whose contents are not
// those that the index was made of has no bit and is asked by itself; when
// there are many of these, or when most of what the index was made of is held
// by nobody else any more, somebody makes another index aside
// (PolicyStore::StageIndex()). So no edit and no load waits for one.
#ifndef SLUICE_PFTABLE_ENGINE_INDEXED_TABLES_H_
#define SLUICE_PFTABLE_ENGINE_INDEXED_TABLES_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "pftable/tables/address_table.h"
#include "pftable/tables/table_index.h"

namespace sluice {

struct Generation;

class IndexedTables {
 public:
  // Fewer are asked one by one.
  static constexpr size_t kLeastTables = 8;
  // With so few entries a load makes the index itself: some milliseconds.
  static constexpr size_t kMostAtOnce = 1 << 15;
  // So many tables are asked by themselves for an address before the index is:
  // a search of it takes as long as some of them, and most packets meet few.
  static constexpr uint8_t kAlone = 4;

  // `index` was made of tables that equal `tables`, in this order; these are
  // held here, so that no other ones can come to lie where they are.
  IndexedTables(std::shared_ptr<const TableIndex> index,
                std::vector<AddressTable> tables, uint8_t alone = kAlone);

  const TableIndex& index() const { return *index_; }
  uint8_t alone() const { return alone_; }
  // kNoBit: these contents have none.
  uint16_t BitOf(const AddressTable::View& view) const;
  // Whether the index was made of them, bit or not.
  bool Knows(const AddressTable::View& view) const;
  // Of all contents that it was made of and that are held here.
  size_t entries() const { return entries_; }

 private:
  struct Place {
    AddressTable::View view;
    uint16_t table;
  };
  const Place* Find(const AddressTable::View& view) const;

  const std::shared_ptr<const TableIndex> index_;
  const std::vector<AddressTable> tables_;
  const uint8_t alone_;
  size_t entries_ = 0;
  std::vector<Place> places_;  // ascending by view
};

// The contents that an index of the generation is made of: of the tables that
// its rules name, each once. Empty if there are too few tables.
std::vector<AddressTable> ContentsToIndex(const Generation& generation);

// Gives the generation's tables the bits that they have in its index, lets go
// of one that is of no use, and says whether another one is due
// (Generation::wants_index). FinishGeneration() has done it.
void BindIndex(Generation& generation);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_ENGINE_INDEXED_TABLES_H_
