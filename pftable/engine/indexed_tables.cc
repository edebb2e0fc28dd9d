#include "pftable/engine/indexed_tables.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "pftable/engine/generation.h"

namespace sluice {
namespace {

auto KeyOf(const AddressTable::View& view) {
  return std::tuple(view.root4, view.root6);
}

// Tables without a bit among so many, from which on another index is due: it
// costs time for all of their entries.
bool AreMany(size_t missing, size_t tables) {
  return missing >= 2 && missing * 8 > tables;
}

// Entries that no table has any more among those that an index holds, from
// which on another one is due: one large table that is replaced again and again
// is never many, and its former contents would stay until the next load.
bool IsMuch(size_t stale, size_t held) {
  return stale > IndexedTables::kMostAtOnce && stale * 2 > held;
}

// Indexes of the rules' tables, each once.
std::vector<size_t> DifferentTables(const Generation& generation) {
  std::vector<size_t> different;
  std::vector<std::pair<uint16_t, size_t>> by_slot;
  for (size_t i = 0; i < generation.tables.size(); ++i) {
    if (generation.tables[i].slot != kNoTableSlot) {
      by_slot.emplace_back(generation.tables[i].slot, i);
    }
  }
  std::ranges::sort(by_slot);
  for (size_t i = 0; i < by_slot.size(); ++i) {
    if (i == 0 || by_slot[i].first != by_slot[i - 1].first) {
      different.push_back(by_slot[i].second);
    }
  }
  std::ranges::sort(different);
  return different;
}

}  // namespace

IndexedTables::IndexedTables(std::shared_ptr<const TableIndex> index,
                             std::vector<AddressTable> tables, uint8_t alone)
    : index_(std::move(index)), tables_(std::move(tables)), alone_(alone) {
  places_.reserve(tables_.size());
  for (size_t t = 0; t < tables_.size(); ++t) {
    places_.push_back({tables_[t].view(), static_cast<uint16_t>(t)});
    entries_ += tables_[t].size();
  }
  std::ranges::sort(places_, {},
                    [](const Place& place) { return KeyOf(place.view); });
}

const IndexedTables::Place* IndexedTables::Find(
    const AddressTable::View& view) const {
  const auto at =
      std::ranges::lower_bound(places_, KeyOf(view), {}, [](const Place& p) {
        return KeyOf(p.view);
      });
  return at == places_.end() || at->view != view ? nullptr : &*at;
}

uint16_t IndexedTables::BitOf(const AddressTable::View& view) const {
  const Place* const place = Find(view);
  return place == nullptr || !index_->Has(place->table) ? TableIndex::kNoBit
                                                        : place->table;
}

bool IndexedTables::Knows(const AddressTable::View& view) const {
  return Find(view) != nullptr;
}

std::vector<AddressTable> ContentsToIndex(const Generation& generation) {
  std::vector<AddressTable> contents;
  const std::vector<size_t> different = DifferentTables(generation);
  if (different.size() < IndexedTables::kLeastTables ||
      different.size() >= TableIndex::kNoBit) {
    return contents;
  }
  for (const size_t i : different) {
    const GenerationTable* const table = generation.Resolve(i);
    if (table != nullptr) contents.push_back(table->contents);
  }
  return contents;
}

void BindIndex(Generation& generation) {
  const std::vector<size_t> different = DifferentTables(generation);
  const bool pays = different.size() >= IndexedTables::kLeastTables &&
                    different.size() < TableIndex::kNoBit;
  if (!pays) generation.index = nullptr;
  const IndexedTables* const index = generation.index.get();
  for (TableView& table : generation.tables) {
    table.bit = index == nullptr ? TableIndex::kNoBit
                                 : index->BitOf(table.addresses);
  }
  generation.wants_index = pays && index == nullptr;
  if (index == nullptr) return;
  size_t missing = 0;
  size_t stale = index->entries();
  for (const size_t i : different) {
    if (!index->Knows(generation.tables[i].addresses)) {
      ++missing;
    } else if (const GenerationTable* const table = generation.Resolve(i)) {
      stale -= std::min(stale, table->contents.size());
    }
  }
  generation.wants_index = AreMany(missing, different.size()) ||
                           IsMuch(stale, index->entries());
}

}  // namespace sluice
