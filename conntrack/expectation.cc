#include "conntrack/expectation.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "conntrack/expectation_store.h"

namespace sluice {

using internal::Arrival;
using internal::Expectation;
using internal::FamilyRecord;
using internal::kNone;
using internal::Server;
using internal::Target;
using internal::Widen;

namespace {

// The packets that an expectation may be about at all.
bool MayBeExpected(const PacketInfo& info) {
  if (info.has(kFragment)) return false;
  return info.proto == protocol::kTcp
             ? (info.tcp_flags & (kTcpSyn | kTcpAck | kTcpRst | kTcpFin)) ==
                   kTcpSyn
             : info.proto == protocol::kUdp || info.proto == protocol::kSctp;
}

// Of SCTP the ends are those of the flow's key, so that either peer's packet
// has the same.
Arrival ArrivalOf(const PacketInfo& info, VlanId vlan,
                  const JudgePoint& where) {
  Arrival arrival = {
      .target = {.client = info.destination,
                 .vlan = vlan,
                 .client_port = info.destination_port.raw(),
                 .filter = where.filter,
                 .family = info.family,
                 .direction = where.direction,
                 .proto = info.proto},
      .from = info.source,
      .from_port = info.source_port.raw(),
      .interface = where.interface};
  if (info.proto != protocol::kSctp) return arrival;
  arrival.target.direction = Direction::kBoth;
  arrival.sender = where.direction == Direction::kIn ? 0 : 1;
  arrival.tag = info.sequence;
  if (arrival.sender == 0) {
    std::swap(arrival.target.client, arrival.from);
    std::swap(arrival.target.client_port, arrival.from_port);
  }
  return arrival;
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
  if (proto != protocol::kUdp) {
    impl_->At(parent.filter, protocol::kUdp).refused_parent.Add(1);
    return ExpectResult::kBadParent;
  }
  return ArmLocked({.proto = proto,
                    .family = family,
                    .direction = Opposite(parent.direction),
                    .source = server,
                    .destination = client,
                    .destination_port = client_port,
                    .not_from = server_port,
                    .owner = client},
                   parent, values, now, record);
}

ExpectResult ExpectationTable::Arm(const ExpectedFlow& flow,
                                   const ParentReference& parent,
                                   const StateTemplate& values, Tick now,
                                   uint16_t* record) {
  const std::lock_guard guard(impl_->lock);
  return ArmLocked(flow, parent, values, now, record);
}

ExpectResult ExpectationTable::ArmLocked(const ExpectedFlow& flow,
                                         const ParentReference& parent,
                                         const StateTemplate& values, Tick now,
                                         uint16_t* record) {
  if (!parent.handle.IsSet()) {
    impl_->At(parent.filter, flow.proto).refused_parent.Add(1);
    return ExpectResult::kBadParent;
  }
  if (parent.has_parent) {
    impl_->At(parent.filter, flow.proto).refused_grandchild.Add(1);
    return ExpectResult::kGrandchild;
  }
  Target target = {.client = flow.destination,
                   .vlan = parent.vlan,
                   .client_port = flow.destination_port,
                   .filter = parent.filter,
                   .family = flow.family,
                   .direction = flow.direction,
                   .proto = flow.proto};
  Server server = {.address = flow.source,
                   .port = flow.source_port,
                   .parent_port = flow.not_from};
  std::array<uint32_t, 2> tag{};
  if (flow.proto == protocol::kSctp) {
    const bool in = flow.direction == Direction::kIn;
    target.direction = Direction::kBoth;
    tag = in ? flow.tag : std::array{flow.tag[1], flow.tag[0]};
    if (in) {
      std::swap(target.client, server.address);
      std::swap(target.client_port, server.port);
    }
  }
  if (flow.alone && impl_->IsTaken(target, server, parent)) {
    return ExpectResult::kTaken;
  }
  const ExpectResult result =
      impl_->Arm(target, server, flow, tag, parent, values, now, record);
  Publish();
  return result;
}

uint32_t ExpectationTable::AddressesOf(
    uint16_t record, StateId parent, int end,
    std::span<std::array<uint8_t, 16>> addresses) {
  const std::lock_guard guard(impl_->lock);
  const FamilyRecord* found = impl_->RecordOf(record, parent);
  if (found == nullptr) return 0;
  uint32_t count = 0;
  for (uint32_t i = found->first; i != kNone && count < addresses.size();
       i = impl_->entries[i].sibling) {
    const auto& address = impl_->entries[i].AtEnd(end);
    const auto known = addresses.first(count);
    if (std::find(known.begin(), known.end(), address) == known.end()) {
      addresses[count++] = address;
    }
  }
  return count;
}

void ExpectationTable::LearnTag(uint16_t record, StateId parent, int end,
                                uint32_t tag) {
  const std::lock_guard guard(impl_->lock);
  const FamilyRecord* found = impl_->RecordOf(record, parent);
  if (found == nullptr) return;
  for (uint32_t i = found->first; i != kNone; i = impl_->entries[i].sibling) {
    impl_->entries[i].tag[static_cast<size_t>(end)] = tag;
  }
}

void ExpectationTable::Forget(uint16_t record, StateId parent, int end,
                              const std::array<uint8_t, 16>& address) {
  const std::lock_guard guard(impl_->lock);
  const FamilyRecord* found = impl_->RecordOf(record, parent);
  if (found == nullptr) return;
  uint32_t i = found->first;
  while (i != kNone) {
    const uint32_t next = impl_->entries[i].sibling;
    if (impl_->entries[i].AtEnd(end) == address) {
      impl_->At(found->filter, found->proto).dropped_early.Add(1);
      impl_->Free(i);
    }
    i = next;
  }
  Publish();
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
  const std::lock_guard guard(impl_->lock);
  const Arrival arrival = ArrivalOf(info, vlan, where);
  const uint32_t i = impl_->Find(arrival, now);
  if (i != kNone) {
    const Expectation& e = impl_->entries[i];
    FamilyRecord& record = impl_->records[e.record];
    child->parent = {.handle = record.parent,
                     .filter = record.filter,
                     .direction = record.direction,
                     .has_parent = false,
                     .record = e.record};
    child->values = e.values;
    child->after = e.after;
    child->tag = {e.tag[arrival.sender], e.tag[arrival.sender ^ 1]};
    if (record.has_seats()) {
      *record.FreeSeat(impl_->options.children_per_parent) = {
          .taken = true, .child = 0, .active = now};
    } else {
      ++record.counted;
    }
    impl_->Free(i);
    impl_->At(where.filter, info.proto).matched.Add(1);
  }
  Publish();
  return i != kNone;
}

bool ExpectationTable::Expects(const PacketInfo& info, VlanId vlan,
                               const JudgePoint& where, Tick now) {
  if (empty() || !MayBeExpected(info)) return false;
  const std::lock_guard guard(impl_->lock);
  const bool found = impl_->Find(ArrivalOf(info, vlan, where), now) != kNone;
  Publish();
  return found;
}

void ExpectationTable::Disarm(uint16_t record, StateId parent) {
  const std::lock_guard guard(impl_->lock);
  const FamilyRecord* found = impl_->RecordOf(record, parent);
  if (found == nullptr) return;
  impl_->At(found->filter, found->proto).dropped_early.Add(impl_->FreeAllOf(record));
  Publish();
}

void ExpectationTable::ParentGone(uint16_t record, StateId parent) {
  const std::lock_guard guard(impl_->lock);
  const FamilyRecord* found = impl_->RecordOf(record, parent);
  if (found == nullptr) return;
  impl_->At(found->filter, found->proto).parent_gone.Add(impl_->FreeAllOf(record));
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
  if (found->has_seats()) {
    internal::ChildSeat* seat = found->SeatOf(child);
    if (seat == nullptr) return;
    *seat = {};
  } else if (found->counted > 0) {
    --found->counted;
  }
  impl_->FreeRecordIfUnused(record);
}

void ExpectationTable::Expire(Tick now, uint32_t budget) {
  if (empty()) return;
  const std::lock_guard guard(impl_->lock);
  for (const internal::AgeList& list : impl_->ages) {
    for (; budget > 0 && list.oldest != kNone; --budget) {
      const Expectation& e = impl_->entries[list.oldest];
      if (TickDiff(now, e.expires) < 0) break;
      impl_->At(e.target.filter, e.target.proto).expired.Add(1);
      impl_->Free(list.oldest);
    }
  }
  Publish();
}

void ExpectationTable::CountMalformed(uint16_t filter, uint8_t proto) {
  const std::lock_guard guard(impl_->lock);
  impl_->At(filter, proto).malformed.Add(1);
}

void ExpectationTable::CountFull(uint16_t filter, uint8_t proto) {
  const std::lock_guard guard(impl_->lock);
  impl_->At(filter, proto).refused_full.Add(1);
}

ExpectationStatistics ExpectationTable::statistics(uint16_t filter,
                                                   uint8_t proto) const {
  const ExpectationCounts<Counter>& counters = impl_->At(filter, proto);
  constexpr auto kFrom = ExpectationCounts<Counter>::Fields();
  constexpr auto kTo = ExpectationStatistics::Fields();
  ExpectationStatistics statistics;
  for (size_t i = 0; i < kTo.size(); ++i) {
    statistics.*kTo[i].value = (counters.*kFrom[i].value).value();
  }
  return statistics;
}

ExpectationStatistics ExpectationTable::StatisticsOfAll(uint8_t proto) const {
  ExpectationStatistics sum;
  const size_t filters = impl_->statistics[Impl::HelperOf(proto)].size();
  for (size_t filter = 0; filter < filters; ++filter) {
    const ExpectationStatistics one =
        statistics(static_cast<uint16_t>(filter), proto);
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
