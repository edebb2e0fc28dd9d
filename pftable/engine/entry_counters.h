// Packets and bytes by entry of a table with `counters`.
//
// Each worker has cells of its own, which it alone writes. Which cell is an
// entry's says an EntryCounters, made with the contents that it fits and never
// changed: tables without `counters` have none and pay nothing. An edit makes
// a new one that goes on with the cells of the entries that stay. A cell
// is given to another entry only when no EntryCounters names it any more, and
// those live as long as their generations: whoever counts late counts where
// nobody looks.
#ifndef SLUICE_PFTABLE_ENGINE_ENTRY_COUNTERS_H_
#define SLUICE_PFTABLE_ENGINE_ENTRY_COUNTERS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "packet/address.h"
#include "pftable/engine/counters.h"
#include "pftable/tables/address_table.h"

namespace sluice {

// What an entry counts of: all of TableOp but kXPass.
inline constexpr size_t kEntryOpCount = 3;

// By direction and TableOp.
struct EntryCounts {
  std::array<std::array<uint64_t, kEntryOpCount>, 2> packets{};
  std::array<std::array<uint64_t, kEntryOpCount>, 2> bytes{};

  bool IsZero() const { return *this == EntryCounts(); }
  friend bool operator==(const EntryCounts&, const EntryCounts&) = default;
};

class EntryCells;

class EntryCounters {
 public:
  // For the entries of `contents`. Those that `before` (which may be null) has
  // as they are go on counting; others, and those whose negation changed,
  // begin at zero. Takes time and memory for all entries. Control side; throws
  // std::bad_alloc and has then changed nothing.
  static std::shared_ptr<const EntryCounters> Make(
      const AddressTable& contents, uint32_t workers,
      const EntryCounters* before);
  ~EntryCounters();
  EntryCounters(const EntryCounters&) = delete;
  EntryCounters& operator=(const EntryCounters&) = delete;

  // Whether it was made for these very contents.
  bool Fits(const AddressTable& contents) const {
    return made_for_ == contents.view() && keys_.size() == contents.size();
  }

  // Worker side. An entry that is not here counts nowhere.
  void Count(uint32_t worker, const Prefix& entry, size_t direction,
             TableOp op, uint64_t packets, uint64_t bytes) const;

  // Control side, safe from several threads. Of an entry that is not here, and
  // of one that nothing was counted for: zeros.
  EntryCounts Counts(const Prefix& entry) const;
  // Whether there was such an entry.
  bool Zero(const Prefix& entry) const;
  void ZeroAll() const;

 private:
  struct Key {
    Prefix prefix;
    bool negated = false;
    uint32_t cell = 0;
  };

  EntryCounters() = default;
  const Key* Find(const Prefix& prefix) const;

  std::shared_ptr<EntryCells> cells_;
  AddressTable::View made_for_;
  std::vector<Key> keys_;
  // Open addressing: 0 is empty, else the place in keys_ plus one.
  std::vector<uint32_t> buckets_;
  // Where the chunks of cells begin; a worker's part of each follows that of
  // the one before it.
  std::vector<char*> chunks_;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_ENGINE_ENTRY_COUNTERS_H_
