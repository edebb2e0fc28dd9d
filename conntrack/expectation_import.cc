// The parts of ExpectationTable that list and take in what lives elsewhere.
#include <algorithm>
#include <mutex>

#include "conntrack/expectation.h"
#include "conntrack/expectation_store.h"

namespace sluice {

using internal::Expectation;
using internal::FamilyRecord;
using internal::kNone;

bool ExpectationTable::List(uint32_t* cursor, uint32_t budget, Tick now,
                            std::vector<ExpectationRecord>* records) const {
  const auto places = static_cast<uint32_t>(impl_->entries.size());
  const auto end = static_cast<uint32_t>(
      std::min<uint64_t>(uint64_t{*cursor} + budget, places));
  // Nothing is allocated under the lock.
  records->reserve(records->size() + (end - std::min(*cursor, end)));
  const std::lock_guard guard(impl_->lock);
  // Places do not say whether they are free, but their family's list does.
  for (; *cursor < end; ++*cursor) {
    const Expectation& e = impl_->entries[*cursor];
    if (e.record >= impl_->records.size() || e.pending) continue;
    const FamilyRecord& family = impl_->records[e.record];
    if (!family.parent.IsSet()) continue;
    uint32_t i = family.first;
    while (i != kNone && i != *cursor) i = impl_->entries[i].sibling;
    const int32_t remaining = TickDiff(e.expires, now);
    if (i == kNone || remaining <= 0) continue;
    const internal::Target& target = e.target;
    records->push_back(
        {.parent = family.parent,
         .filter = family.filter,
         .direction = family.direction,
         .interface = e.interface,
         .vlan = target.vlan,
         .proto = target.proto,
         .client = Address::FromBytes(target.family, target.client.data()),
         .server =
             Address::FromBytes(target.family, e.server.address.data()),
         .client_port = Be16::FromRaw(target.client_port).host(),
         .server_port = Be16::FromRaw(target.proto == protocol::kSctp
                                          ? e.server.port
                                          : e.server.parent_port)
                            .host(),
         .child_direction = target.direction,
         .tag = e.tag,
         .owner = e.owner,
         .after = e.after,
         .expires_in = static_cast<uint32_t>(remaining),
         .values = e.values});
  }
  return *cursor < places;
}

ExpectResult ExpectationTable::ReserveFamily(const ParentReference& parent,
                                             uint8_t proto, uint32_t children,
                                             uint16_t* record) {
  if (!parent.handle.IsSet()) return ExpectResult::kBadParent;
  if (parent.has_parent) return ExpectResult::kGrandchild;
  if (children > impl_->MostChildren(proto)) {
    return ExpectResult::kChildLimit;
  }
  const std::lock_guard guard(impl_->lock);
  if (!impl_->HasRecordFor(parent.filter)) return ExpectResult::kFull;
  *record = impl_->MakeRecord(parent, proto);
  FamilyRecord& family = impl_->records[*record];
  if (!family.has_seats()) {
    family.counted = children;
    return ExpectResult::kArmed;
  }
  for (uint32_t i = 0; i < children; ++i) family.seats[i].taken = true;
  return ExpectResult::kArmed;
}

ExpectResult ExpectationTable::ReserveExpectation(
    const ExpectationRecord& expected, uint16_t record) {
  const std::lock_guard guard(impl_->lock);
  FamilyRecord* family = impl_->RecordOf(record, expected.parent.id);
  if (family == nullptr || expected.proto != family->proto ||
      expected.client.family != expected.server.family) {
    return ExpectResult::kBadParent;
  }
  const bool udp = expected.proto == protocol::kUdp;
  const internal::Target target = {
      .client = expected.client.bytes,
      .vlan = expected.vlan,
      .client_port = Be16(expected.client_port).raw(),
      .filter = family->filter,
      .family = expected.client.family,
      .direction = udp ? Opposite(family->direction)
                       : expected.child_direction,
      .proto = expected.proto};
  internal::Server server = {.address = expected.server.bytes};
  (expected.proto == protocol::kSctp ? server.port : server.parent_port) =
      Be16(expected.server_port).raw();
  for (uint32_t i = family->first; i != kNone; i = impl_->entries[i].sibling) {
    const Expectation& e = impl_->entries[i];
    if (e.target == target && (udp || e.server == server)) {
      return ExpectResult::kRearmed;
    }
  }
  if (expected.proto == protocol::kTcp &&
      expected.after.family != Family::kNone &&
      impl_->IsTaken(target, server, {.handle = family->parent})) {
    return ExpectResult::kTaken;
  }
  const Impl::Owner owner = {.address = udp ? target.client : expected.owner,
                             .vlan = target.vlan,
                             .family = target.family,
                             .filter = target.filter};
  const ExpectResult room = impl_->MakeRoom(owner, expected.proto, false);
  if (room != ExpectResult::kArmed) return room;
  const uint32_t i = impl_->Place(target, server, owner, expected.interface,
                                  expected.values, record);
  // What remains, until it is known from when on.
  impl_->entries[i].expires =
      std::min(expected.expires_in, impl_->LifeOf(target));
  impl_->entries[i].pending = true;
  impl_->entries[i].tag = expected.tag;
  impl_->entries[i].after = expected.after;
  return ExpectResult::kArmed;
}

void ExpectationTable::CommitFamily(uint16_t record, StateId parent,
                                    Tick now) {
  const std::lock_guard guard(impl_->lock);
  FamilyRecord* family = impl_->RecordOf(record, parent);
  if (family == nullptr) return;
  for (uint32_t i = family->first; i != kNone; i = impl_->entries[i].sibling) {
    Expectation& e = impl_->entries[i];
    if (!e.pending) continue;
    e.pending = false;
    e.expires += now;
    impl_->InsertByAge(i);
    impl_->shares.Add(i, Impl::OwnerOf(e));
    impl_->At(e.target.filter, e.target.proto).in_use.Add(1);
    ++impl_->live;
  }
  // What it was reserved for may have been left out.
  impl_->FreeRecordIfUnused(record);
  Publish();
}

void ExpectationTable::CancelFamily(uint16_t record, StateId parent) {
  const std::lock_guard guard(impl_->lock);
  FamilyRecord* family = impl_->RecordOf(record, parent);
  if (family == nullptr) return;
  // As a child of its own, so that the record is there to the end.
  family->seats = {};
  family->seats[0].taken = true;
  impl_->FreeAllOf(record);
  family->seats = {};
  family->counted = 0;  // none of them has come
  impl_->FreeRecordIfUnused(record);
}

}  // namespace sluice
