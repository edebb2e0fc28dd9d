// The counters' places of tables. A table keeps its slot over commits and
// edits for as long as it exists, or a rule that counts for it.
#ifndef SLUICE_PFTABLE_ENGINE_TABLE_SLOTS_H_
#define SLUICE_PFTABLE_ENGINE_TABLE_SLOTS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "pftable/engine/counters.h"

namespace sluice {

// A table's full name. `anchor` is the path, "" for the main anchor.
struct TableKey {
  std::string anchor;
  std::string name;

  friend bool operator==(const TableKey&, const TableKey&) = default;
  friend auto operator<=>(const TableKey&, const TableKey&) = default;
};

class TableSlots;

// Holds a slot; the last one to go gives it back.
class TableHandle {
 public:
  explicit TableHandle(uint16_t slot) : slot_(slot) {}
  ~TableHandle();
  TableHandle(const TableHandle&) = delete;
  TableHandle& operator=(const TableHandle&) = delete;

  uint16_t slot() const { return slot_; }
  // Those that count.
  uint32_t workers() const;

 private:
  friend class TableSlots;
  TableSlots* owner_ = nullptr;  // null: nobody has the slot yet
  const uint16_t slot_;
};
using TableHandlePtr = std::shared_ptr<const TableHandle>;

// Control side, safe from several threads. Must outlive its handles. Takes
// memory for slots that were given out, not for its capacity.
class TableSlots {
 public:
  // `capacity` counts slot 0, which is kNoTableSlot.
  TableSlots(uint16_t capacity, const PolicyCounters* counters);

  uint16_t capacity() const { return capacity_; }
  uint32_t workers() const { return counters_->worker_count(); }

  // The slot of that table, the same for as long as a handle to it lives.
  // ResourceExhausted when all are taken.
  absl::StatusOr<TableHandlePtr> Acquire(const TableKey& key);

  // Since the slot was given out or zeroed.
  TableCounts Counts(uint16_t slot) const;
  void Zero(uint16_t slot);
  // Counters that came from elsewhere: each goes on from the greater of what it
  // is and `least`, and all are since `cleared_at` unless they were ahead.
  void Raise(uint16_t slot, const TableCounts& least, int64_t cleared_at);
  // Seconds since the epoch of the last Zero() or of the first Acquire().
  int64_t cleared_at(uint16_t slot) const;
  uint16_t used() const;

 private:
  friend class TableHandle;
  void Release(uint16_t slot);

  struct Slot {
    TableKey key;
    std::weak_ptr<const TableHandle> handle;
    TableCounts baseline;
    int64_t cleared_at = 0;
  };

  const uint16_t capacity_;
  const PolicyCounters* const counters_;

  mutable std::mutex mutex_;
  std::vector<Slot> slots_;     // those that were ever given out
  std::vector<uint16_t> free_;  // the next one last; has room for all
  std::map<TableKey, uint16_t> by_key_;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_ENGINE_TABLE_SLOTS_H_
