#include "pftable/table_slots.h"

#include <ctime>

#include "absl/strings/str_cat.h"

namespace sluice {

TableHandle::~TableHandle() { owner_->Release(slot_); }

TableSlots::TableSlots(uint16_t capacity, const PolicyCounters* counters)
    : capacity_(capacity), counters_(counters), slots_(capacity) {
  for (uint16_t slot = capacity; slot-- > kNoTableSlot + 1;) {
    free_.push_back(slot);
  }
}

absl::StatusOr<TableHandlePtr> TableSlots::Acquire(const TableKey& key) {
  const std::lock_guard lock(mutex_);
  if (const auto known = by_key_.find(key); known != by_key_.end()) {
    // The handle may be on its way out: its destructor waits for the lock,
    // and the name gets another slot.
    if (TableHandlePtr handle = slots_[known->second].handle.lock()) {
      return handle;
    }
  }
  if (free_.empty()) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "table <", key.name, ">: all ", capacity_ - 1,
        " places of tables are taken"));
  }
  const uint16_t slot = free_.back();
  free_.pop_back();
  auto handle = std::make_shared<const TableHandle>(this, slot);
  slots_[slot] = Slot{.key = key,
                      .handle = handle,
                      .baseline = counters_->Table(slot),
                      .cleared_at = std::time(nullptr)};
  by_key_[key] = slot;
  return handle;
}

void TableSlots::Release(uint16_t slot) {
  const std::lock_guard lock(mutex_);
  const auto known = by_key_.find(slots_[slot].key);
  if (known != by_key_.end() && known->second == slot) by_key_.erase(known);
  slots_[slot] = Slot();
  free_.push_back(slot);
}

TableCounts TableSlots::Counts(uint16_t slot) const {
  const std::lock_guard lock(mutex_);
  return counters_->Table(slot) - slots_[slot].baseline;
}

void TableSlots::Zero(uint16_t slot) {
  const std::lock_guard lock(mutex_);
  slots_[slot].baseline = counters_->Table(slot);
  slots_[slot].cleared_at = std::time(nullptr);
}

int64_t TableSlots::cleared_at(uint16_t slot) const {
  const std::lock_guard lock(mutex_);
  return slots_[slot].cleared_at;
}

uint16_t TableSlots::used() const {
  const std::lock_guard lock(mutex_);
  return static_cast<uint16_t>(capacity_ - 1 - free_.size());
}

}  // namespace sluice
