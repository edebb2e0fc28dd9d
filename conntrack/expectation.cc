#include "conntrack/expectation.h"

#include <mutex>

#include "conntrack/expectation_store.h"

namespace sluice {

using internal::Expectation;
using internal::FamilyRecord;
using internal::kNone;
using internal::Target;
using internal::Widen;

namespace {

// The packets that an expectation may be about at all.
bool MayBeExpected(const PacketInfo& info) {
  return info.proto == protocol::kUdp && !info.has(kFragment);
}

Target TargetOf(const PacketInfo& info, VlanId vlan,
                const JudgePoint& where) {
  return {.client = info.destination,
          .vlan = vlan,
          .client_port = info.destination_port.raw(),
          .filter = where.filter,
          .family = info.family,
          .direction = where.direction};
}

}  // namespace

ExpectationTable::ExpectationTable(const ExpectationOptions& options,
                                   const HashSecret& secret)
    : impl_(std::make_unique<Impl>(options, secret)) {}

ExpectationTable::~ExpectationTable() = default;

ExpectResult ExpectationTable::ArmTarget(
    const std::array<uint8_t, 16>& client, uint16_t client_port,
    const std::array<uint8_t, 16>& server, uint16_t server_port, Family family,
    uint8_t proto, const ParentReference& parent, const StateTemplate& values,
    Tick now, uint16_t* record) {
  const std::lock_guard guard(impl_->lock);
  if (!parent.handle.IsSet() || proto != protocol::kUdp) {
    impl_->At(parent.filter).refused_parent.Add(1);
    return ExpectResult::kBadParent;
  }
  if (parent.has_parent) {
    impl_->At(parent.filter).refused_grandchild.Add(1);
    return ExpectResult::kGrandchild;
  }
  const Target target = {.client = client,
                         .vlan = parent.vlan,
                         .client_port = client_port,
                         .filter = parent.filter,
                         .family = family,
                         .direction = Opposite(parent.direction)};
  const ExpectResult result =
      impl_->Arm(target, {.address = server, .parent_port = server_port},
                 parent, values, now, record);
  Publish();
  return result;
}

ExpectResult ExpectationTable::Arm(const FlowKey4& key, int server_end,
                                   const ParentReference& parent,
                                   const StateTemplate& values, Tick now,
                                   uint16_t* record) {
  const bool server_first = server_end == 0;
  return ArmTarget(Widen(server_first ? key.end1 : key.end0),
                   server_first ? key.port1 : key.port0,
                   Widen(server_first ? key.end0 : key.end1),
                   server_first ? key.port0 : key.port1, Family::kIpv4,
                   key.proto, parent, values, now, record);
}

ExpectResult ExpectationTable::Arm(const FlowKey6& key, int server_end,
                                   const ParentReference& parent,
                                   const StateTemplate& values, Tick now,
                                   uint16_t* record) {
  const bool server_first = server_end == 0;
  return ArmTarget(server_first ? key.end1 : key.end0,
                   server_first ? key.port1 : key.port0,
                   server_first ? key.end0 : key.end1,
                   server_first ? key.port0 : key.port1, Family::kIpv6,
                   key.proto, parent, values, now, record);
}

bool ExpectationTable::Take(const PacketInfo& info, VlanId vlan,
                            const JudgePoint& where, Tick now,
                            ExpectedChild* child) {
  if (empty() || !MayBeExpected(info)) return false;
  const Target target = TargetOf(info, vlan, where);
  const std::lock_guard guard(impl_->lock);
  const uint32_t i = impl_->Find(target, info, where.interface, now);
  if (i != kNone) {
    const Expectation& e = impl_->entries[i];
    FamilyRecord& record = impl_->records[e.record];
    child->parent = {.handle = record.parent,
                     .filter = record.filter,
                     .direction = record.direction,
                     .has_parent = false,
                     .record = e.record};
    child->values = e.values;
    *record.FreeSeat(impl_->options.children_per_parent) = {
        .taken = true, .child = 0, .active = now};
    impl_->Free(i);
    impl_->At(where.filter).matched.Add(1);
  }
  Publish();
  return i != kNone;
}

bool ExpectationTable::Expects(const PacketInfo& info, VlanId vlan,
                               const JudgePoint& where, Tick now) {
  if (empty() || !MayBeExpected(info)) return false;
  const Target target = TargetOf(info, vlan, where);
  const std::lock_guard guard(impl_->lock);
  const bool found =
      impl_->Find(target, info, where.interface, now) != kNone;
  Publish();
  return found;
}

void ExpectationTable::Disarm(uint16_t record, StateId parent) {
  const std::lock_guard guard(impl_->lock);
  const FamilyRecord* found = impl_->RecordOf(record, parent);
  if (found == nullptr) return;
  impl_->At(found->filter).dropped_early.Add(impl_->FreeAllOf(record));
  Publish();
}

void ExpectationTable::ParentGone(uint16_t record, StateId parent) {
  const std::lock_guard guard(impl_->lock);
  const FamilyRecord* found = impl_->RecordOf(record, parent);
  if (found == nullptr) return;
  impl_->At(found->filter).parent_gone.Add(impl_->FreeAllOf(record));
  Publish();
}

void ExpectationTable::ChildMade(uint16_t record, StateId parent,
                                 StateId child, Tick now) {
  const std::lock_guard guard(impl_->lock);
  FamilyRecord* found = impl_->RecordOf(record, parent);
  if (found == nullptr) return;
  if (internal::ChildSeat* seat = found->SeatOf(0)) {
    *seat = {.taken = true, .child = child, .active = now};
  }
}

bool ExpectationTable::ChildActive(uint16_t record, StateId parent,
                                   StateId child, Tick now) {
  const std::lock_guard guard(impl_->lock);
  FamilyRecord* found = impl_->RecordOf(record, parent);
  if (found == nullptr) return false;
  internal::ChildSeat* seat = found->SeatOf(child);
  if (seat == nullptr) {
    seat = found->FreeSeat(impl_->options.children_per_parent);
    if (seat == nullptr) return false;
  }
  *seat = {.taken = true, .child = child, .active = now};
  return true;
}

void ExpectationTable::ChildGone(uint16_t record, StateId parent,
                                 StateId child) {
  const std::lock_guard guard(impl_->lock);
  FamilyRecord* found = impl_->RecordOf(record, parent);
  if (found == nullptr) return;
  internal::ChildSeat* seat = found->SeatOf(child);
  if (seat == nullptr) return;
  *seat = {};
  impl_->FreeRecordIfUnused(record);
}

void ExpectationTable::Expire(Tick now, uint32_t budget) {
  if (empty()) return;
  const std::lock_guard guard(impl_->lock);
  for (; budget > 0 && impl_->oldest != kNone; --budget) {
    if (TickDiff(now, impl_->entries[impl_->oldest].expires) < 0) break;
    impl_->At(impl_->entries[impl_->oldest].target.filter).expired.Add(1);
    impl_->Free(impl_->oldest);
  }
  Publish();
}

void ExpectationTable::CountMalformed(uint16_t filter) {
  const std::lock_guard guard(impl_->lock);
  impl_->At(filter).malformed.Add(1);
}

ExpectationStatistics ExpectationTable::statistics(uint16_t filter) const {
  const ExpectationCounts<Counter>& counters = impl_->At(filter);
  constexpr auto kFrom = ExpectationCounts<Counter>::Fields();
  constexpr auto kTo = ExpectationStatistics::Fields();
  ExpectationStatistics statistics;
  for (size_t i = 0; i < kTo.size(); ++i) {
    statistics.*kTo[i].value = (counters.*kFrom[i].value).value();
  }
  return statistics;
}

ExpectationStatistics ExpectationTable::statistics() const {
  ExpectationStatistics sum;
  for (size_t filter = 0; filter < impl_->statistics.size(); ++filter) {
    const ExpectationStatistics one = statistics(static_cast<uint16_t>(filter));
    for (const auto& field : ExpectationStatistics::Fields()) {
      sum.*field.value += one.*field.value;
    }
  }
  return sum;
}

void ExpectationTable::Publish() {
  live_.store(impl_->live, std::memory_order_relaxed);
}

}  // namespace sluice
