// The parts of StateTable that judge a packet by its state.
#include <rte_mbuf.h>

#include "conntrack/ftp.h"
#include "conntrack/state_table.h"
#include "conntrack/tcp_tracker.h"
#include "packet/inner.h"
#include "packet/sequence.h"

namespace sluice {
namespace {

constexpr uint8_t Raw(DatagramPhase phase) {
  return static_cast<uint8_t>(phase);
}

// UDP, and every protocol without a machine of its own: who has sent, and
// whether that was answered.
void TrackDatagram(uint32_t from, Timeout single, Timeout multiple,
                   StateHot* hot) {
  constexpr uint8_t kDone = Raw(DatagramPhase::kMultiple);
  if (hot->phase[0] == kDone && hot->phase[1] == kDone) [[likely]] return;
  const uint32_t to = from ^ 1;
  if (hot->phase[from] < Raw(DatagramPhase::kSingle)) {
    hot->phase[from] = Raw(DatagramPhase::kSingle);
  }
  if (hot->phase[to] == Raw(DatagramPhase::kSingle)) {
    hot->phase[to] = kDone;
  }
  hot->timeout = hot->phase[0] == kDone && hot->phase[1] == kDone ? multiple
                                                                  : single;
}

}  // namespace

inline void StateTable::Count(StateHot* hot, StateIndex state, uint32_t peer,
                              uint32_t bytes) {
  const uint32_t sum = hot->bytes[peer] + bytes;
  if (sum > kMaxHotBytes) [[unlikely]] Fold(state);
  hot->bytes[peer] += bytes;
  ++hot->packets[peer];
}

void StateTable::Uncount(StateIndex state, Direction direction,
                         uint32_t bytes) {
  StateHot& hot = entries_.hot(state);
  const uint32_t from = direction == hot.direction() ? 0 : 1;
  // Count() hands over what would not fit before it adds.
  --hot.packets[from];
  hot.bytes[from] -= bytes;
}

StepResult StateTable::Refuse(StateIndex state, Mismatch cause,
                              StepResult result) {
  if (sink_ != nullptr) {
    sink_->CountMismatch(entries_.hot(state).key.filter,
                         entries_.cold(state).rule_slot);
  }
  statistics_.mismatches[static_cast<size_t>(cause)].Add(1);
  if (result.verdict == StepVerdict::kChallengeAck) {
    statistics_.challenge_acks.Add(1);
  }
  result.reason = DropReason::kStateMismatch;
  return result;
}

StepResult StateTable::Step(StateIndex state, const PacketInfo& info,
                            const rte_mbuf& mbuf, Direction direction,
                            Tick now) {
  StateHot& hot = entries_.hot(state);
  StepResult result;
  const uint32_t from = direction == hot.direction() ? 0 : 1;
  if ((info.flags & kIpOptions) != 0 &&
      (hot.flags & kStateAllowOptions) == 0) [[unlikely]] {
    result.verdict = StepVerdict::kDrop;
    result.reason = DropReason::kIpOption;
    return result;
  }
  const Timeout before = hot.timeout;
  bool refresh = true;
  switch (info.proto) {
    case protocol::kUdp:
      TrackDatagram(from, Timeout::kUdpSingle, Timeout::kUdpMultiple, &hot);
      break;
    case protocol::kTcp:
    case protocol::kSctp: {
      if ((hot.more & kMoreShift) == 0 && info.proto == protocol::kTcp &&
          TrackOpenTcp(info, from, &hot)) [[likely]] {
        break;
      }
      if ((hot.more & kMoreShift) != 0 &&
          entries_.side(state).proxy != ProxyPhase::kNone) [[unlikely]] {
        result.verdict = StepVerdict::kProxy;
        return result;
      }
      const Peer peer = from == 0 ? Peer::kOriginator : Peer::kResponder;
      TrackerResult tracked;
      if ((hot.more & kMoreShift) != 0) {
        tracked = TrackShifted(state, info, mbuf, peer, now, &result.shift);
      } else {
        tracked = info.proto == protocol::kTcp
                      ? TrackTcp(info, mbuf, peer, &hot)
                      : TrackSctp(info, mbuf, peer, &hot);
        result.addresses = tracked.addresses;
      }
      if (tracked.step.verdict == StepVerdict::kReuse) {
        Remove(state, FlowEnd::kReplaced);
        return tracked.step;
      }
      if (tracked.step.verdict != StepVerdict::kPass) {
        return Refuse(state, tracked.cause, tracked.step);
      }
      refresh = tracked.refresh;
      if ((hot.more & kMoreHalfOpen) != 0 &&
          hot.timeout != Timeout::kTcpFirst &&
          hot.timeout != Timeout::kTcpOpening) {
        EndHandshake(&hot);
      }
      if (hot.has_side() && !CountConnection(state, now)) [[unlikely]] {
        Remove(state, FlowEnd::kLimit);
        result.verdict = StepVerdict::kDrop;
        result.reason = DropReason::kSrcLimit;
        return result;
      }
      break;
    }
    case protocol::kIcmp:
    case protocol::kIcmp6:
      // A query comes the way of the state's first packet, its answer the
      // other way.
      if ((hot.flags & kStateSloppy) == 0 &&
          MapIcmp(info.family, info.icmp_type).reply != (from == 1)) {
        result.verdict = StepVerdict::kDrop;
        return Refuse(state, Mismatch::kIcmpDirection, result);
      }
      hot.timeout = Timeout::kIcmpError;
      break;
    default:
      TrackDatagram(from, Timeout::kOtherSingle, Timeout::kOtherMultiple,
                    &hot);
      break;
  }
  Count(&hot, state, from, info.ip_length);
  if (refresh) [[likely]] hot.last_seen = now;
  if (hot.timeout != before) [[unlikely]] {
    Requeue(state, now);
    if (hot.timeout == Timeout::kTcpFinWait ||
        hot.timeout == Timeout::kTcpClosed) {
      LeaveFamily(state);
    }
  }
  result.helper = (hot.flags & kEntryHelper) != 0 &&
                  filters_[hot.key.filter].helpers;
  result.log = (hot.flags & kStateLogAll) != 0;
  return result;
}

// In the terms of the peers: each knows the other's numbers by the offset only.
TrackerResult StateTable::TrackShifted(StateIndex state,
                                       const PacketInfo& info,
                                       const rte_mbuf& mbuf, Peer peer,
                                       Tick now, SequenceShift* shift) {
  StateHot& hot = entries_.hot(state);
  StateSide& side = entries_.side(state);
  const auto from = static_cast<uint32_t>(peer);
  const uint32_t to = from ^ 1;
  if (side.offset[from] == 0 && (side.flags & kSideModulate) != 0 &&
      (hot.scale[from] & kPeerSeen) == 0 && (info.tcp_flags & kTcpSyn) != 0) {
    side.offset[from] = NewOffset(state, from, info.sequence, now);
  }
  const FtpSession* const ftp = ftp_session(state);
  *shift = {.sequence = side.offset[from] +
                        (ftp != nullptr
                             ? ftp->edits[from].Forward(info.sequence)
                             : 0),
            .acknowledgment =
                InNumbersOf(state, to, info.acknowledgment) -
                info.acknowledgment};
  PacketInfo seen = info;
  seen.acknowledgment += shift->acknowledgment;
  TrackerResult tracked;
  if (!TrackOpenTcp(seen, from, &hot)) tracked = TrackTcp(seen, mbuf, peer, &hot);
  // Answers are in the other peer's name.
  tracked.step.sequence +=
      side.offset[to] + (ftp != nullptr ? ftp->edits[to].total() : 0);
  return tracked;
}

uint32_t StateTable::InNumbersOf(StateIndex state, uint32_t peer,
                                 uint32_t number) const {
  const FtpSession* const ftp = ftp_session(state);
  number -= entries_.side(state).offset[peer];
  return ftp != nullptr ? ftp->edits[peer].Backward(number) : number;
}

void StateTable::Shift(StateIndex state, rte_mbuf& mbuf, PacketInfo* info,
                       Direction direction, const SequenceShift& shift) const {
  const StateHot& hot = entries_.hot(state);
  if (ftp_session(state) == nullptr) {
    if (shift.IsSet()) ShiftSequence(mbuf, *info, shift);
    return;
  }
  // A SACK block may end behind a text that the acknowledgment is before.
  const uint32_t to = direction == hot.direction() ? 1 : 0;
  ShiftSequence(mbuf, *info, shift, [&](uint32_t edge) {
    return InNumbersOf(state, to, edge);
  });
}

IcmpErrorResult StateTable::LookupIcmpError(const PacketInfo& info,
                                            const rte_mbuf& mbuf,
                                            const JudgePoint& where,
                                            PacketInfo* quoted_packet) {
  statistics_.searches.Add(1);
  IcmpErrorResult result;
  const auto refuse = [&](Mismatch cause) {
    statistics_.mismatches[static_cast<size_t>(cause)].Add(1);
    result.verdict = StepVerdict::kDrop;
    return result;
  };
  PacketInfo& inner = *quoted_packet;
  if (!ParseInner(mbuf, info, &inner, &result.reason)) {
    result.verdict = StepVerdict::kDrop;
    return result;
  }
  // CVE-2019-5598: an error goes to whoever sent the packet that it quotes.
  if (inner.source != info.destination) {
    return refuse(Mismatch::kIcmpErrorOuter);
  }
  // The quoted packet went the other way, and an answer to it would come as
  // the error does: on the same side of a translation.
  const JudgePoint quoted = where.Reversed();
  const StateIndex state =
      FindQuoted(inner, mbuf, VlanOf(mbuf, info), where);
  if (state == kNoState) return result;

  StateHot& hot = entries_.hot(state);
  const uint32_t from = quoted.direction == hot.direction() ? 0 : 1;
  if ((hot.more & kMoreShift) != 0) {
    result.inner_shift =
        InNumbersOf(state, from, inner.sequence) - inner.sequence;
    result.inner = inner;
    inner.sequence += result.inner_shift;
  }
  if ((hot.flags & kStateSloppy) == 0) {
    if (inner.proto == protocol::kTcp) {
      const uint32_t reach = uint32_t{hot.max_window[from ^ 1]}
                             << (hot.scale[from ^ 1] & kScaleMask);
      if ((hot.scale[from] & kPeerSeen) == 0 ||
          !SequenceAtLeast(hot.window[from].high, inner.sequence) ||
          !SequenceAtLeast(inner.sequence, hot.window[from].low - reach)) {
        return refuse(Mismatch::kIcmpError);
      }
    } else if (inner.proto == protocol::kSctp) {
      // RFC 9260 section 10: the tag has to be the association's. An INIT has
      // none, and means nothing to one that is open.
      constexpr auto kOpen = static_cast<uint8_t>(TcpPhase::kEstablished);
      const bool init = inner.sequence == 0 && hot.phase[from] < kOpen;
      if (!init && ((hot.scale[from] & kPeerSeen) == 0 ||
                    inner.sequence != hot.window[from].low)) {
        return refuse(Mismatch::kIcmpError);
      }
    } else if (inner.proto == protocol::kIcmp ||
               inner.proto == protocol::kIcmp6) {
      if (MapIcmp(inner.family, inner.icmp_type).reply != (from == 1)) {
        return refuse(Mismatch::kIcmpError);
      }
    }
  }
  if ((info.flags & kIpOptions) != 0 &&
      (hot.flags & kStateAllowOptions) == 0) {
    result.verdict = StepVerdict::kDrop;
    result.reason = DropReason::kIpOption;
    return result;
  }
  // The error itself goes the other way than what it quotes.
  Count(&hot, state, from ^ 1, info.ip_length);
  result.state = state;
  result.log = (hot.flags & kStateLogAll) != 0;
  return result;
}

}  // namespace sluice
