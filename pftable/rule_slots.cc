#include "pftable/rule_slots.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

std::string IdentityKey(std::string_view identity, uint32_t occurrence) {
  return absl::StrCat(std::string(identity), " ", occurrence);
}

}  // namespace

RuleSlotLease& RuleSlotLease::operator=(RuleSlotLease&& other) noexcept {
  std::swap(owner_, other.owner_);
  std::swap(slots_, other.slots_);
  return *this;
}

RuleSlotLease::~RuleSlotLease() {
  if (owner_ != nullptr) owner_->Release(slots_);
}

RuleSlots::RuleSlots(uint32_t capacity, const PolicyCounters* counters,
                     Reclaimer* reclaimer)
    : capacity_(capacity),
      counters_(counters),
      reclaimer_(reclaimer),
      records_(std::make_unique<RuleRecord[]>(capacity)),
      slots_(capacity) {
  slots_[kDefaultRuleSlot].use = Use::kInUse;
  slots_[kDefaultRuleSlot].generations = 1;
  for (uint32_t slot = capacity; slot-- > kDefaultRuleSlot + 1;) {
    free_.push_back(slot);
  }
}

RuleSlots::~RuleSlots() = default;

absl::StatusOr<RuleSlotLease> RuleSlots::Acquire(
    std::span<const RuleSlotRequest> requests) {
  std::vector<std::string> keys;
  keys.reserve(requests.size());
  for (const RuleSlotRequest& request : requests) {
    keys.push_back(IdentityKey(request.identity, request.occurrence));
  }

  const std::lock_guard lock(mutex_);
  size_t missing = 0;
  for (const std::string& key : keys) missing += !by_identity_.contains(key);
  if (missing > free_.size()) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "no room for ", missing, " new rules beside those in force: ",
        free_.size(), " of ", capacity_ - 1, " rule slots are free"));
  }

  std::vector<uint32_t> result;
  result.reserve(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto [known, fresh] = by_identity_.try_emplace(keys[i], 0);
    if (fresh) {
      const uint32_t index = free_.back();
      free_.pop_back();
      known->second = index;
      const RuleSlotRequest& request = requests[i];
      Slot& slot = slots_[index];
      slot.info = RuleSlotInfo{.anchor = request.anchor,
                               .identity = request.identity,
                               .occurrence = request.occurrence,
                               .labels = request.labels};
      slot.baseline = counters_->Rule(index);
      RuleRecord& record = records_[index];
      record.timeouts = request.timeouts;
      record.has_timeouts = request.timeouts != TimeoutProfile();
      record.max_states = request.max_states;
    }
    Slot& slot = slots_[known->second];
    slot.use = Use::kInUse;
    slot.grace_started = false;
    ++slot.generations;
    result.push_back(known->second);
  }
  std::erase_if(draining_, [this](uint32_t slot) {
    return slots_[slot].use == Use::kInUse;
  });
  return RuleSlotLease(this, std::move(result));
}

void RuleSlots::Release(std::span<const uint32_t> slots) {
  const std::lock_guard lock(mutex_);
  for (const uint32_t index : slots) {
    Slot& slot = slots_[index];
    if (--slot.generations == 0) {
      slot.use = Use::kDraining;
      slot.grace_started = false;
      draining_.push_back(index);
    }
  }
}

void RuleSlots::BindTables(uint32_t slot, TableHandlePtr source,
                           TableHandlePtr destination) {
  RuleRecord& record = records_[slot];
  record.source_table.store(source ? source->slot() : kNoTableSlot,
                            std::memory_order_relaxed);
  record.destination_table.store(
      destination ? destination->slot() : kNoTableSlot,
      std::memory_order_relaxed);
  // The old handles go after the lock: their end takes that of TableSlots.
  const std::lock_guard lock(mutex_);
  std::swap(slots_[slot].source_table, source);
  std::swap(slots_[slot].destination_table, destination);
}

absl::StatusOr<RuleSlotInfo> RuleSlots::Info(uint32_t slot) const {
  const std::lock_guard lock(mutex_);
  if (slot >= capacity_ || slots_[slot].use == Use::kFree) {
    return absl::NotFoundError(absl::StrCat("no rule in slot ", slot));
  }
  return slots_[slot].info;
}

RuleCounts RuleSlots::Counts(uint32_t slot) const {
  const std::lock_guard lock(mutex_);
  return counters_->Rule(slot) - slots_[slot].baseline;
}

void RuleSlots::Zero(uint32_t slot) {
  const std::lock_guard lock(mutex_);
  slots_[slot].baseline = counters_->Rule(slot);
}

std::vector<uint32_t> RuleSlots::WithLabel(std::string_view label) const {
  const std::lock_guard lock(mutex_);
  std::vector<uint32_t> result;
  for (uint32_t i = 0; i < capacity_; ++i) {
    const std::vector<std::string>& labels = slots_[i].info.labels;
    if (slots_[i].use != Use::kFree &&
        std::find(labels.begin(), labels.end(), label) != labels.end()) {
      result.push_back(i);
    }
  }
  return result;
}

uint32_t RuleSlots::used() const {
  const std::lock_guard lock(mutex_);
  return static_cast<uint32_t>(capacity_ - 1 - free_.size());
}

void RuleSlots::Poll() {
  std::vector<TableHandlePtr> released;
  const std::lock_guard lock(mutex_);
  std::erase_if(draining_, [&](uint32_t index) {
    Slot& slot = slots_[index];
    if (counters_->Rule(index).states != 0) {
      slot.grace_started = false;
      return false;
    }
    // A worker may be between the end of a parent and the birth of its child:
    // the count must be zero before and after a grace period.
    if (!slot.grace_started) {
      slot.grace = reclaimer_->StartGracePeriod();
      slot.grace_started = true;
      return false;
    }
    if (!reclaimer_->HasPassed(slot.grace)) return false;
    by_identity_.erase(
        IdentityKey(slot.info.identity, slot.info.occurrence));
    released.push_back(std::move(slot.source_table));
    released.push_back(std::move(slot.destination_table));
    slot = Slot();
    free_.push_back(index);
    return true;
  });
}

}  // namespace sluice
