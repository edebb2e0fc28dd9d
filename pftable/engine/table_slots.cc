#include "pftable/engine/table_slots.h"

#include <ctime>

#include "absl/strings/str_cat.h"

namespace sluice {

TableHandle::~TableHandle() {
  if (owner_ != nullptr) owner_->Release(slot_);
}

uint32_t TableHandle::workers() const { return owner_->workers(); }

TableSlots::TableSlots(uint16_t capacity, const PolicyCounters* counters)
    : capacity_(capacity), counters_(counters), slots_(kNoTableSlot + 1) {}

absl::StatusOr<TableHandlePtr> TableSlots::Acquire(const TableKey& key) {
  const std::lock_guard lock(mutex_);
  if (const auto known = by_key_.find(key); known != by_key_.end()) {
    // The handle may be on its way out: its destructor waits for the lock,
    // and the name gets another slot.
    if (TableHandlePtr handle = slots_[known->second].handle.lock()) {
      return handle;
    }
  }
  if (free_.empty() && slots_.size() >= capacity_) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "table <", key.name, ">: all ", capacity_ - 1,
        " places of tables are taken"));
  }
  // What could fail comes first.
  if (free_.empty() && slots_.size() == slots_.capacity()) {
    free_.reserve(slots_.size() * 2);
    slots_.reserve(slots_.size() * 2);
  }
  const uint16_t slot = free_.empty() ? static_cast<uint16_t>(slots_.size())
                                      : free_.back();
  auto handle = std::make_shared<TableHandle>(slot);
  Slot taken{.key = key,
             .handle = handle,
             .baseline = counters_->Table(slot),
             .cleared_at = std::time(nullptr)};
  by_key_[key] = slot;
  if (free_.empty()) {
    slots_.emplace_back();
  } else {
    free_.pop_back();
  }
  slots_[slot] = std::move(taken);
  handle->owner_ = this;
  return TableHandlePtr(std::move(handle));
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

void TableSlots::Raise(uint16_t slot, const TableCounts& least,
                       int64_t cleared_at) {
  const std::lock_guard lock(mutex_);
  TableCounts& base = slots_[slot].baseline;
  const TableCounts now = counters_->Table(slot) - base;
  bool raised = false;
  const auto raise = [&raised](uint64_t is, uint64_t wanted,
                               uint64_t* baseline) {
    if (wanted <= is) return;
    // Modulo 2^64, as they are subtracted.
    *baseline -= wanted - is;
    raised = true;
  };
  raise(now.match, least.match, &base.match);
  raise(now.no_match, least.no_match, &base.no_match);
  for (size_t i = 0; i < 2; ++i) {
    for (size_t j = 0; j < kTableOpCount; ++j) {
      raise(now.packets[i][j], least.packets[i][j], &base.packets[i][j]);
      raise(now.bytes[i][j], least.bytes[i][j], &base.bytes[i][j]);
    }
  }
  if (raised || now == least) slots_[slot].cleared_at = cleared_at;
}

int64_t TableSlots::cleared_at(uint16_t slot) const {
  const std::lock_guard lock(mutex_);
  return slots_[slot].cleared_at;
}

uint16_t TableSlots::used() const {
  const std::lock_guard lock(mutex_);
  return static_cast<uint16_t>(slots_.size() - 1 - free_.size());
}

}  // namespace sluice
