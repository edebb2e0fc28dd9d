#include "pftable/engine/rule_slots.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

// Of a rule that gets one; no slot's number.
constexpr uint32_t kNoSlot = 0xffffffff;

std::string IdentityKey(std::string_view identity, uint32_t occurrence) {
  return absl::StrCat(absl::string_view(identity.data(), identity.size()),
                      " ", occurrence);
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
                     Reclaimer* reclaimer, RuleBudget* budget)
    : capacity_(capacity),
      counters_(counters),
      reclaimer_(reclaimer),
      budget_(budget),
      record_memory_(capacity * sizeof(RuleRecord)),
      records_(record_memory_.ArrayAt<RuleRecord>(0)),
      slots_(1) {
  slots_[kDefaultRuleSlot].use = Use::kInUse;
  slots_[kDefaultRuleSlot].generations = 1;
}

RuleSlots::~RuleSlots() {
  if (budget_ != nullptr) budget_->Give(used());
}

uint32_t RuleSlots::end() const {
  const std::lock_guard lock(mutex_);
  return static_cast<uint32_t>(slots_.size());
}

std::unordered_map<std::string, uint32_t>::iterator RuleSlots::FindOrphan(
    const RuleSlotRequest& request) {
  if (orphans_ == 0 || request.orphan || request.occurrence != 0) {
    return by_identity_.end();
  }
  const auto found = by_identity_.find(IdentityKey(
      std::string_view(request.identity).substr(0, kOrphanIdentityLength), 0));
  if (found == by_identity_.end()) return found;
  // What workers may be reading must be the rule's already.
  const RuleRecord& record = records_[found->second];
  const bool same = slots_[found->second].orphan &&
                    record.timeouts == request.timeouts &&
                    (record.state_limit() != 0) == (request.max_states != 0);
  return same ? found : by_identity_.end();
}

absl::StatusOr<RuleSlotLease> RuleSlots::Acquire(
    std::span<const RuleSlotRequest> requests) {
  // What could fail comes first: no slot is taken before everything is there.
  std::vector<uint32_t> result;
  result.reserve(requests.size());
  std::vector<std::string> keys;
  keys.reserve(requests.size());
  for (const RuleSlotRequest& request : requests) {
    keys.push_back(IdentityKey(request.identity, request.occurrence));
  }

  const std::lock_guard lock(mutex_);
  std::unordered_map<std::string, uint32_t> added;
  // By request: where its slot stands or will stand, in one of both maps; null:
  // in that of an adopted one, whose key is to change. Elements of a map stay
  // where they are when they go to another.
  using Known = std::pair<const std::string, uint32_t>;
  std::vector<Known*> known(requests.size());
  std::vector<RuleSlotInfo> infos;
  // How many there will be is known only for those that are there already.
  if (by_identity_.size() < requests.size()) {
    added.reserve(requests.size() - by_identity_.size());
    infos.reserve(requests.size() - by_identity_.size());
  }
  struct Adopted {
    size_t request;
    uint32_t slot;
    RuleSlotInfo info;
  };
  std::vector<Adopted> adopted;
  for (size_t i = 0; i < requests.size(); ++i) {
    if (const auto found = by_identity_.find(keys[i]);
        found != by_identity_.end()) {
      known[i] = &*found;
      continue;
    }
    const RuleSlotRequest& request = requests[i];
    RuleSlotInfo info{.anchor = request.anchor,
                      .identity = request.identity,
                      .occurrence = request.occurrence,
                      .labels = request.labels,
                      .overload_table = request.overload_table};
    if (const auto orphan = FindOrphan(request);
        orphan != by_identity_.end()) {
      adopted.push_back({i, orphan->second, std::move(info)});
      continue;
    }
    const auto [place, fresh] = added.try_emplace(keys[i], kNoSlot);
    known[i] = &*place;
    if (fresh) infos.push_back(std::move(info));
  }
  const size_t missing = infos.size();
  const size_t never_used = capacity_ - slots_.size();
  if (missing > free_.size() + never_used) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "no room for ", missing, " new rules beside those in force: ",
        free_.size() + never_used, " of ", capacity_ - 1,
        " rule slots are free ([memory] rule_slots)"));
  }
  if (missing > free_.size()) {
    const size_t all = slots_.size() + (missing - free_.size());
    if (all > slots_.capacity()) {
      const size_t room = std::max(all, slots_.size() * 2);
      free_.reserve(room);
      draining_.reserve(room);
      slots_.reserve(room);
    }
  }
  by_identity_.reserve(by_identity_.size() + missing);
  if (budget_ != nullptr && !budget_->Take(missing)) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "no room for ", missing, " new rules: the filters have ",
        budget_->used(), " of ", budget_->limit(),
        " together ([memory] all_rule_slots)"));
  }

  for (Adopted& one : adopted) {
    Slot& slot = slots_[one.slot];
    // The same rule may have been asked for twice.
    if (!slot.orphan) continue;
    slot.orphan = false;
    --orphans_;
    slot.info = std::move(one.info);
    records_[one.slot].max_states.store(requests[one.request].max_states,
                                        std::memory_order_relaxed);
    // No state of it reads this before the policy is published.
    records_[one.slot].tracking = requests[one.request].tracking;
    records_[one.slot].allow_related = requests[one.request].allow_related;
    records_[one.slot].packet_rate = requests[one.request].packet_rate;
    records_[one.slot].pflow = requests[one.request].pflow;
    auto node = by_identity_.extract(*slot.key);
    node.key() = keys[one.request];
    slot.key = &by_identity_.insert(std::move(node)).position->first;
  }
  by_identity_.merge(added);
  auto info = infos.begin();
  for (size_t i = 0; i < requests.size(); ++i) {
    if (known[i] == nullptr) known[i] = &*by_identity_.find(keys[i]);
    if (known[i]->second == kNoSlot) {
      uint32_t index = static_cast<uint32_t>(slots_.size());
      if (free_.empty()) {
        slots_.emplace_back();
      } else {
        index = free_.back();
        free_.pop_back();
      }
      known[i]->second = index;
      Slot& slot = slots_[index];
      slot.info = std::move(*info++);
      slot.key = &known[i]->first;
      slot.baseline = counters_->Rule(index);
      RuleRecord& record = records_[index];
      record.timeouts = requests[i].timeouts;
      record.has_timeouts = requests[i].timeouts != TimeoutProfile();
      record.max_states.store(requests[i].max_states,
                              std::memory_order_relaxed);
      record.tracking = requests[i].tracking;
      record.allow_related = requests[i].allow_related;
      record.packet_rate = requests[i].packet_rate;
      record.pflow = requests[i].pflow;
      record.packets.Set(0, 0);
      slot.orphan = requests[i].orphan;
      if (slot.orphan) ++orphans_;
    }
    Slot& slot = slots_[known[i]->second];
    slot.use = Use::kInUse;
    slot.grace_started = false;
    ++slot.generations;
    result.push_back(known[i]->second);
  }
  std::erase_if(draining_, [this](uint32_t slot) {
    return slots_[slot].use == Use::kInUse;
  });
  draining_count_.store(draining_.size(), std::memory_order_relaxed);
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
  draining_count_.store(draining_.size(), std::memory_order_relaxed);
}

void RuleSlots::BindTables(uint32_t slot, TableHandlePtr source,
                           TableHandlePtr destination, bool source_negated,
                           bool destination_negated) {
  RuleRecord& record = records_[slot];
  record.source_negated.store(source_negated, std::memory_order_relaxed);
  record.destination_negated.store(destination_negated,
                                   std::memory_order_relaxed);
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
  if (slot >= slots_.size() || slots_[slot].use == Use::kFree) {
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

void RuleSlots::Raise(uint32_t slot, const RuleCounts& least) {
  const std::lock_guard lock(mutex_);
  RuleCounts& base = slots_[slot].baseline;
  const RuleCounts now = counters_->Rule(slot) - base;
  const auto raise = [](uint64_t is, uint64_t wanted, uint64_t* baseline) {
    // Modulo 2^64, as they are subtracted.
    if (wanted > is) *baseline -= wanted - is;
  };
  raise(now.evaluations, least.evaluations, &base.evaluations);
  raise(now.states_created, least.states_created, &base.states_created);
  for (size_t i = 0; i < 2; ++i) {
    raise(now.packets[i], least.packets[i], &base.packets[i]);
    raise(now.bytes[i], least.bytes[i], &base.bytes[i]);
  }
}

std::vector<uint32_t> RuleSlots::WithLabel(std::string_view label) const {
  const std::lock_guard lock(mutex_);
  std::vector<uint32_t> result;
  for (uint32_t i = 0; i < slots_.size(); ++i) {
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
  return static_cast<uint32_t>(slots_.size() - 1 - free_.size());
}

void RuleSlots::Poll() {
  if (draining_count_.load(std::memory_order_relaxed) == 0) return;
  size_t left = kDrainsAPoll;
  // Handles go after the lock: their end takes that of TableSlots.
  std::array<TableHandlePtr, 64> handles;
  while (FreeDrained(handles, &left)) {
    for (TableHandlePtr& handle : handles) handle = nullptr;
  }
}

bool RuleSlots::FreeDrained(std::span<TableHandlePtr> handles, size_t* left) {
  // Whoever has it may be a thread that takes thousands of slots, and does not
  // run just now. There will be another call.
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock()) return false;
  *left = std::min(*left, draining_.size());
  size_t used = 0;
  while (*left > 0 && used < handles.size()) {
    --*left;
    if (drain_at_ >= draining_.size()) drain_at_ = 0;
    const uint32_t index = draining_[drain_at_];
    Slot& slot = slots_[index];
    if (counters_->Rule(index).states != 0 ||
        records_[index].source_nodes.load(std::memory_order_acquire) != 0) {
      slot.grace_started = false;
      ++drain_at_;
      continue;
    }
    // A worker may be between the end of a parent and the birth of its child:
    // the count must be zero before and after a grace period.
    if (!slot.grace_started) {
      slot.grace = reclaimer_->StartGracePeriod();
      slot.grace_started = true;
      ++drain_at_;
      continue;
    }
    if (!reclaimer_->HasPassed(slot.grace)) {
      ++drain_at_;
      continue;
    }
    by_identity_.erase(by_identity_.find(*slot.key));
    handles[used++] = std::move(slot.source_table);
    handles[used++] = std::move(slot.destination_table);
    if (slot.orphan) --orphans_;
    slot = Slot();
    free_.push_back(index);
    if (budget_ != nullptr) budget_->Give(1);
    draining_[drain_at_] = draining_.back();
    draining_.pop_back();
  }
  draining_count_.store(draining_.size(), std::memory_order_relaxed);
  return used > 0;
}

}  // namespace sluice
