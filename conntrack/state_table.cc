#include "conntrack/state_table.h"

#include <new>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "conntrack/ftp.h"
#include "conntrack/tcp_tracker.h"
#include "conntrack/tftp.h"

namespace sluice {
namespace {

constexpr uint32_t kMaxCapacity = 1u << 30;

Timeout FirstTimeout(uint8_t proto) {
  switch (proto) {
    case protocol::kTcp:
      return Timeout::kTcpFirst;
    case protocol::kSctp:
      return Timeout::kSctpFirst;
    case protocol::kUdp:
      return Timeout::kUdpFirst;
    case protocol::kIcmp:
    case protocol::kIcmp6:
      return Timeout::kIcmpFirst;
    default:
      return Timeout::kOtherFirst;
  }
}

bool IsIcmp(uint8_t proto) {
  return proto == protocol::kIcmp || proto == protocol::kIcmp6;
}

}  // namespace

LinkResult LinkToParent(StateCold* child, uint16_t child_filter,
                        const ParentReference& parent) {
  if (!parent.handle.IsSet()) return LinkResult::kNoParent;
  if (parent.handle.id == child->id) return LinkResult::kSelf;
  if (parent.handle.id > child->id) return LinkResult::kNotOlder;
  if (child->parent_id != 0) return LinkResult::kAlreadyLinked;
  if (parent.has_parent) return LinkResult::kGrandchild;
  if (parent.filter != child_filter) return LinkResult::kOtherFilter;
  child->parent_id = parent.handle.id;
  child->parent_slot = parent.handle.slot;
  child->family_record = parent.record;
  return LinkResult::kLinked;
}

StateTable::StateTable(const StateTableOptions& options)
    : options_(options), filters_(options.filters) {}

StateTable::~StateTable() = default;

absl::StatusOr<std::unique_ptr<StateTable>> StateTable::Build(
    const StateTableOptions& options) {
  if (options.capacity == 0 || options.capacity > kMaxCapacity) {
    return absl::InvalidArgumentError(
        absl::StrCat("state table: ", options.capacity,
                     " states a worker: must be 1 to ", kMaxCapacity));
  }
  if (options.filters == 0) {
    return absl::InvalidArgumentError("state table: needs at least one filter");
  }
  std::unique_ptr<StateTable> table(new StateTable(options));
  absl::Status status = table->entries_.Build(
      options.capacity, options.huge_pages, options.prefault);
  if (!status.ok()) return status;
  status = table->index_.Build(options.capacity, options.huge_pages,
                               options.prefault);
  if (!status.ok()) return status;
  if (options.ftp_helper) {
    const uint32_t sessions = std::min(options.ftp_sessions, options.capacity);
    try {
      table->ftp_ = std::make_unique<FtpSessions>(sessions);
    } catch (const std::bad_alloc&) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "state table: no memory for ", sessions, " FTP connections"));
    }
  }
  table->wheel_ = TimerWheel(&table->entries_.cold(0));
  return table;
}

size_t StateTable::BytesFor(uint32_t capacity) {
  return StateEntries::BytesFor(capacity) + FlowIndex::BytesFor(capacity);
}

void StateTable::SetFilter(uint16_t filter, StateBudget* budget,
                           const TimeoutProfile& timeouts,
                           SourceBudget* sources, HandshakeLoad* handshakes,
                           bool counts_handshakes) {
  if (filter >= filters_.size()) return;
  filters_[filter] = {budget,     timeouts,          sources,
                      handshakes, counts_handshakes,
                      budget == nullptr || filters_[filter].helpers};
}

StateId StateTable::NextId(StateId above) {
  last_id_ = std::max(last_id_, above >> 8) + 1;
  return last_id_ << 8 | options_.worker;
}

InsertResult StateTable::Insert(const PacketInfo& info, const rte_mbuf& mbuf,
                                const JudgePoint& where,
                                const StateTemplate& values, Tick now,
                                const ExpectedChild* child,
                                const PacketInfo* translated,
                                PoolHolds* holds) {
  InsertResult result;
  InsertState(info, mbuf, where, values, now, child, translated, holds,
              &result);
  if (result.state == kNoState && child != nullptr &&
      expectations_ != nullptr) {
    expectations_->ChildGone(child->parent.record, child->parent.handle.id, 0);
  }
  return result;
}

void StateTable::InsertState(const PacketInfo& info,
                            const rte_mbuf& mbuf,
                            const JudgePoint& where,
                            const StateTemplate& values, Tick now,
                            const ExpectedChild* child,
                            const PacketInfo* translated,
                            PoolHolds* holds, InsertResult* made) {
  InsertResult& result = *made;
  Filter* filter = where.filter < filters_.size() ? &filters_[where.filter]
                                                  : nullptr;
  if (filter == nullptr || filter->budget == nullptr ||
      (info.flags & kNotLookedUp) != 0) {
    statistics_.refused_insert.Add(1);
    result.reason = DropReason::kStateInsert;
    return;
  }
  if (!filter->budget->Take()) {
    statistics_.refused_limit.Add(1);
    return;
  }
  const StateIndex state = entries_.Take();
  if (state == kNoState) {
    filter->budget->GiveBack();
    statistics_.refused_limit.Add(1);
    return;
  }
  const auto give_back = [&] {
    entries_.GiveBack(state);
    filter->budget->GiveBack();
  };

  StateHot& hot = entries_.hot(state);
  StateCold& cold = entries_.cold(state);
  hot = StateHot{};
  cold = StateCold{};
  now_ = now;
  const bool v4 = info.family == Family::kIpv4;
  const VlanId vlan = VlanOf(mbuf, info);
  hot.SetVlan(vlan);
  bool taken;
  if (v4) {
    hot.key = MakeKey4(info, where.direction, where.filter, vlan);
    taken = Find4(hot.key, vlan, where) != kNoState ||
            (second_keys_ != 0 &&
             Find4(hot.key, vlan, where.Reversed()) != kNoState);
  } else {
    const FlowKey6 key =
        MakeKey6(info, mbuf, where.direction, where.filter, vlan);
    entries_.extra(state).key = key;
    hot.key = {.port0 = key.port0,
               .port1 = key.port1,
               .proto = key.proto,
               .family = key.family,
               .filter = key.filter};
    taken = Find6(key, vlan, where) != kNoState ||
            (second_keys_ != 0 &&
             Find6(key, vlan, where.Reversed()) != kNoState);
  }
  if (taken || !index_.Insert(HashOf(state), state)) {
    give_back();
    statistics_.refused_insert.Add(1);
    result.reason = DropReason::kStateInsert;
    return;
  }
  hot.flags = where.direction == Direction::kOut ? kEntryOut : 0;
  if (translated != nullptr &&
      !AddSecondKey(state, *translated, mbuf, where)) {
    index_.Remove(HashOf(state), state);
    give_back();
    statistics_.refused_insert.Add(1);
    result.reason = DropReason::kMapFailed;
    return;
  }
  if (reserved_ != 0) Contest(state, HashOf(state));
  if (sink_ != nullptr && !sink_->StateInserted(where.filter, values)) {
    RemoveSecondKey(state);
    index_.Remove(HashOf(state), state);
    give_back();
    statistics_.refused_limit.Add(1);
    return;
  }

  hot.flags = static_cast<uint16_t>(
      kEntryInUse | (values.flags & kTemplateFlags) |
      (where.direction == Direction::kOut ? kEntryOut : 0) |
      (values.tag != kNoTag ? kEntryTagged : 0));
  cold.rule_slot = values.rule_slot;
  const auto refuse = [&](DropReason reason) {
    if (sink_ != nullptr) sink_->StateCancelled(where.filter, values);
    RemoveSecondKey(state);
    index_.Remove(HashOf(state), state);
    give_back();
    statistics_.refused_limit.Add(1);
    result.reason = reason;
  };
  const bool limited =
      (values.state_limiter | values.source_limiter) != 0 && child == nullptr;
  std::optional<StateSide> limits;  // if it is limited
  if (limited) [[unlikely]] {
    DropReason reason;
    if (!TakeLimits(state, values, now, /*enforce=*/true, &limits.emplace(),
                    &reason)) {
      return refuse(reason);
    }
  }
  if (values.side != 0 &&
      !GiveSide(state, values, now, child != nullptr)) [[unlikely]] {
    if (limited) GiveBackLimits(state, *limits);
    return refuse(DropReason::kSrcLimit);
  }
  if (limited) [[unlikely]] HoldLimits(state, *limits);
  if (holds != nullptr && holds->any) [[unlikely]] HoldPools(state, holds);
  hot.last_seen = now;
  ++hot.packets[0];
  hot.bytes[0] = info.ip_length;
  hot.timeout = FirstTimeout(info.proto);
  if (info.proto == protocol::kTcp) {
    InitTcp(info, mbuf, &hot);
    if (filter->counts_handshakes && (info.tcp_flags & kTcpSyn) != 0)
        [[unlikely]] {
      hot.more |= kMoreHalfOpen;
      filter->handshakes->half_open.fetch_add(1, std::memory_order_relaxed);
    }
    if (hot.has_side() &&
        (entries_.side(state).flags & kSideSynproxy) != 0 &&
        where.direction == Direction::kIn &&
        (info.tcp_flags & (kTcpSyn | kTcpAck)) == kTcpSyn) {
      result.answer = BeginProxy(state, info, ReadMss(mbuf, info), now);
    }
    // Who is met amid a connection has its numbers already.
    if (hot.has_side() && (entries_.side(state).flags & kSideModulate) != 0 &&
        (info.tcp_flags & (kTcpSyn | kTcpAck)) == kTcpSyn) {
      hot.more |= kMoreShift;
      result.shift.sequence = entries_.side(state).offset[0] =
          NewOffset(state, 0, info.sequence, now);
    }
  } else if (info.proto == protocol::kSctp) {
    result.addresses = InitSctp(info, mbuf, &hot);
    for (size_t peer = 0; child != nullptr && peer < 2; ++peer) {
      if (child->tag[peer] == 0) continue;
      hot.window[peer].low = child->tag[peer];
      hot.scale[peer] |= kPeerSeen;
    }
  } else if (!IsIcmp(info.proto)) {
    hot.phase[0] = static_cast<uint8_t>(DatagramPhase::kSingle);
  }

  cold.id = NextId(child != nullptr ? child->parent.handle.id : 0);
  cold.parent_slot = kNoState;
  cold.family_record = kNoFamilyRecord;
  cold.created = now;
  cold.rule_slot = values.rule_slot;
  cold.anchor_slot = values.anchor_slot;
  cold.interface = where.interface;
  cold.tag = values.tag;
  hot.more |= static_cast<uint8_t>(
      std::min<uint32_t>(values.match_count, kMaxMatchRules));
  if (hot.match_count() != 0) {
    entries_.extra(state).match_slots = values.match_slots;
  }
  entries_.SetActions(state, values.actions);
  if (values.actions.has(PacketActions::kRoute)) [[unlikely]] {
    GiveRoute(state, values.route, child, holds);
  }
  if (child != nullptr) {
    if (LinkToParent(&cold, where.filter, child->parent) ==
        LinkResult::kLinked) {
      TieChild(state, now);
    } else {
      statistics_.links_refused.Add(1);
      if (expectations_ != nullptr) {
        expectations_->ChildGone(child->parent.record,
                                 child->parent.handle.id, 0);
      }
    }
  } else if (!filter->helpers || (values.side & kSideNoHelpers) != 0)
      [[unlikely]] {
    // Nobody follows it.
  } else if (options_.tftp_helper && info.proto == protocol::kUdp &&
             (translated == nullptr || translated->family == info.family) &&
             (info.destination_port == Be16(kTftpPort) ||
              (translated != nullptr &&
               translated->destination_port == Be16(kTftpPort)))) {
    hot.flags |= kEntryHelper;
  } else if (info.proto == protocol::kTcp &&
             (translated == nullptr || translated->family == info.family) &&
             (info.tcp_flags & (kTcpSyn | kTcpAck)) == kTcpSyn &&
             (info.destination_port == Be16(kFtpPort) ||
              (translated != nullptr &&
               translated->destination_port == Be16(kFtpPort)))) {
    FollowFtp(state);
  }

  wheel_.Start(now);
  wheel_.Queue(state, now + Lifetime(hot, cold));
  statistics_.inserts.Add(1);
  statistics_.states.Add(1);
  if (flows_ != nullptr) [[unlikely]] RecordFlow(state, FlowEnd::kNone);
  result.state = state;
}

bool StateTable::Contest(StateIndex state, const FlowHash& hash) {
  const StateHot& hot = entries_.hot(state);
  const auto plain = [](const StateHot& entry) {
    FlowKey4 key = entry.key;
    key.family &= kKeyFamilyMask;
    return key;
  };
  const FlowKey4 key = plain(hot);
  const bool v6 = hot.family() == Family::kIpv6;
  bool others = false;
  index_.Find(index_.BucketOf(hash), FlowIndex::TagOf(hash),
              [&](StateIndex candidate) {
                if ((candidate & kSecondKeyEntry) != 0) return false;
                StateHot& other = entries_.hot(candidate);
                if (candidate == state || !(plain(other) == key) ||
                    !(other.vlan() == hot.vlan()) ||
                    (v6 && !(entries_.extra(candidate).key ==
                             entries_.extra(state).key))) {
                  return false;
                }
                others = true;
                if (other.reserved()) other.key.family |= kContestedFamily;
                return false;
              });
  return others;
}

void StateTable::Remove(StateIndex state, FlowEnd end) {
  RemoveHashed(state, HashOf(state), end);
}

void StateTable::RemoveHashed(StateIndex state, const FlowHash& hash,
                              FlowEnd end) {
  if (flows_ != nullptr) [[unlikely]] RecordFlow(state, end);
  StateHot& hot = entries_.hot(state);
  StateCold& cold = entries_.cold(state);
  RemoveSecondKey(state);
  index_.Remove(hash, state);
  wheel_.Unqueue(state);
  if ((hot.more & kMoreHalfOpen) != 0) EndHandshake(&hot);
  if ((hot.flags & kEntryRelated) != 0 && expectations_ != nullptr) {
    if (cold.parent_id == 0) {
      expectations_->ParentGone(cold.family_record, cold.id);
    } else {
      expectations_->ChildGone(cold.family_record, cold.parent_id, cold.id);
    }
  }
  if (hot.has_side() && entries_.side(state).ftp != FtpSessions::kNone)
      [[unlikely]] {
    ftp_->GiveBack(entries_.side(state).ftp);
    entries_.side(state).ftp = FtpSessions::kNone;
  }
  if (sink_ != nullptr) {
    const StateTemplate values = entries_.TemplateOf(state);
    const TrafficDelta traffic = entries_.TakeCounters(state);
    sink_->AddTraffic(hot.key.filter, values, traffic);
    if (hot.has_side()) CountForSource(state, traffic);
    if (hot.has_side()) ForgetSource(state);
    sink_->StateRemoved(hot.key.filter, values);
  } else if (hot.has_side()) {
    ForgetSource(state);
  }
  filters_[hot.key.filter].budget->GiveBack();
  cold.id = 0;
  entries_.GiveBack(state);
  statistics_.removals.Add(1);
  statistics_.states.Add(~uint64_t{0});
}

void StateTable::TieChild(StateIndex state, Tick now) {
  StateHot& hot = entries_.hot(state);
  const StateCold& cold = entries_.cold(state);
  if (options_.tftp_helper && hot.key.proto == protocol::kUdp) {
    hot.flags |= kEntryHelper;
  }
  if (cold.family_record == kNoFamilyRecord) return;
  hot.flags |= kEntryRelated;
  if (expectations_ != nullptr) {
    expectations_->ChildMade(cold.family_record, cold.parent_id, cold.id, now);
  }
}

bool StateTable::IsFtp(StateIndex state) const {
  const Be16 port(kFtpPort);
  return EndsOf(state).port[1] == port.raw() ||
         EndsBeyond(state).port[1] == port.raw();
}

void StateTable::FollowFtp(StateIndex state) {
  StateHot& hot = entries_.hot(state);
  if (ftp_ == nullptr || hot.key.proto != protocol::kTcp ||
      entries_.cold(state).parent_id != 0 ||
      (hot.translated() && Crosses(state)) || !IsFtp(state) ||
      (hot.has_side() &&
       (entries_.side(state).flags & kSideNoHelpers) != 0)) {
    return;
  }
  const uint32_t session = ftp_->Take();
  if (session == FtpSessions::kNone) {
    if (expectations_ != nullptr) {
      expectations_->CountFull(hot.key.filter, protocol::kTcp);
    }
    return;
  }
  if (!hot.has_side()) entries_.side(state) = StateSide{};
  hot.more |= kMoreSide;
  hot.flags |= kEntryHelper;
  entries_.side(state).ftp = static_cast<uint16_t>(session);
}

FtpSession* StateTable::ftp_session(StateIndex state) const {
  if (!entries_.hot(state).has_side()) return nullptr;
  const uint32_t session = entries_.side(state).ftp;
  return session == FtpSessions::kNone ? nullptr : &ftp_->at(session);
}

void StateTable::LeaveFamily(StateIndex state) {
  StateHot& hot = entries_.hot(state);
  const StateCold& cold = entries_.cold(state);
  if ((hot.flags & kEntryRelated) == 0 || cold.parent_id == 0) return;
  if (expectations_ != nullptr) {
    expectations_->ChildGone(cold.family_record, cold.parent_id, cold.id);
  }
  hot.flags &= static_cast<uint16_t>(~kEntryRelated);
}

void StateTable::CloseSctp(StateIndex state, Peer peer, Tick now) {
  StateHot& hot = entries_.hot(state);
  const auto who = static_cast<size_t>(peer);
  constexpr auto kClosing = static_cast<uint8_t>(TcpPhase::kClosing);
  if (hot.key.proto != protocol::kSctp || hot.phase[who] >= kClosing) return;
  hot.phase[who] = kClosing;
  hot.timeout = Timeout::kSctpClosing;
  Requeue(state, now);
}

bool StateTable::AllowsRelated(StateIndex state) const {
  const RuleRecord* const rule =
      sink_ != nullptr ? sink_->RuleOf(entries_.hot(state).key.filter,
                                       entries_.cold(state).rule_slot)
                       : nullptr;
  return rule != nullptr && rule->allow_related;
}

void StateTable::FinishChild(StateIndex state, Tick now) {
  LeaveFamily(state);
  entries_.hot(state).flags |= kEntryFinished;
  Requeue(state, now);
}

void StateTable::SetFamilyRecord(StateIndex state, uint16_t record) {
  entries_.cold(state).family_record = record;
  entries_.hot(state).flags |= kEntryRelated;
}

}  // namespace sluice
