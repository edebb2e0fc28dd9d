#include "conntrack/tcp_tracker.h"

#include <rte_mbuf.h>

#include <algorithm>

#include "packet/tcp_options.h"

namespace sluice {
namespace {

// The scale byte that a SYN's options give its sender: 0 without the option.
uint8_t ReadWindowScale(const PacketInfo& info, const rte_mbuf& mbuf) {
  uint8_t scale = 0;
  ForEachTcpOption(mbuf, info, [&](const TcpOption& option) {
    if (option.kind != kTcpOptionWindowScale || option.value.size() != 1) {
      return true;
    }
    // RFC 7323 section 2.3: larger values count as 14.
    scale = kScaleKnown | std::min(option.value[0], kMaxWindowScale);
    return false;
  });
  return scale;
}

constexpr uint8_t Raw(TcpPhase phase) { return static_cast<uint8_t>(phase); }

bool Below(const StateHot& s, uint32_t peer, TcpPhase phase) {
  return s.phase[peer] < Raw(phase);
}
bool BothAtLeast(const StateHot& s, TcpPhase phase) {
  return !Below(s, 0, phase) && !Below(s, 1, phase);
}
void Raise(StateHot* s, uint32_t peer, TcpPhase phase) {
  if (Below(*s, peer, phase)) s->phase[peer] = Raw(phase);
}

// What the rest of the tracker needs of a segment.
struct Segment {
  uint32_t begin = 0;     // first sequence number, eased for bare segments
  uint32_t data_end = 0;  // behind SYN and data
  uint32_t end = 0;       // behind the FIN too
  uint32_t position = 0;  // what the sender is known to have sent for good
  uint32_t acknowledgment = 0;
  uint32_t window = 0;    // unscaled
  uint8_t my_scale = 0;
  uint8_t other_scale = 0;
};

uint32_t Scaled(uint32_t window, uint8_t scale) { return window << scale; }

// A window of a SYN, which is never scaled, in units of the scale to come.
uint32_t InUnitsOf(uint32_t window, uint8_t scale) {
  return (window + (1u << scale) - 1) >> scale;
}

// The first packet of a peer that did not make the state.
void MeetPeer(const PacketInfo& info, const rte_mbuf& mbuf, uint32_t from,
              StateHot* s, Segment* segment) {
  const uint32_t to = from ^ 1;
  uint8_t& my = s->scale[from];
  uint8_t& other = s->scale[to];
  if ((info.tcp_flags & kTcpSyn) != 0) {
    // Scaling is in force only if both SYNs ask for it.
    my = (other & kScaleKnown) != 0 ? ReadWindowScale(info, mbuf) : 0;
    if ((my & kScaleKnown) != 0) {
      segment->my_scale = my & kScaleMask;
      segment->other_scale = other & kScaleMask;
      segment->window = InUnitsOf(segment->window, segment->my_scale);
    } else {
      s->max_window[to] = static_cast<uint16_t>(std::min<uint32_t>(
          Scaled(s->max_window[to], other & kScaleMask), 0xffff));
      other &= kPeerSeen;
      segment->my_scale = segment->other_scale = 0;
    }
  }
  my |= kPeerSeen;
  Raise(s, from, TcpPhase::kSynSent);
  const uint32_t allowed =
      std::max(Scaled(s->max_window[to], segment->other_scale), 1u);
  s->window[from] = {info.sequence, segment->end + allowed};
}

// Takes over what a segment tells of both windows.
void Advance(const Segment& segment, uint32_t from, StateHot* s) {
  const uint32_t to = from ^ 1;
  s->max_window[from] = static_cast<uint16_t>(std::max<uint32_t>(
      s->max_window[from], std::min<uint32_t>(segment.window, 0xffff)));
  SequenceWindow& mine = s->window[from];
  if (SequenceAfter(segment.position, mine.low)) mine.low = segment.position;
  if ((s->scale[to] & kPeerSeen) == 0) return;
  SequenceWindow& other = s->window[to];
  const uint32_t offered = Scaled(segment.window, segment.my_scale);
  if (SequenceAtLeast(segment.acknowledgment + offered, other.high)) {
    other.high = segment.acknowledgment + std::max(offered, 1u);
  }
}

TrackerResult Refuse(Mismatch cause) {
  TrackerResult result;
  result.step.verdict = StepVerdict::kDrop;
  result.refresh = false;
  result.cause = cause;
  return result;
}

TrackerResult Challenge(const StateHot& s, uint32_t from, Mismatch cause) {
  TrackerResult result = Refuse(cause);
  result.step.verdict = StepVerdict::kChallengeAck;
  result.step.sequence = s.window[from ^ 1].low;
  result.step.acknowledgment = s.window[from].low;
  return result;
}

// TCP without sequence numbers, for rules that see half of the traffic.
TrackerResult TrackSloppy(const PacketInfo& info, uint32_t from,
                          StateHot* s) {
  const uint32_t to = from ^ 1;
  s->scale[from] |= kPeerSeen;
  if ((info.tcp_flags & kTcpSyn) != 0) Raise(s, from, TcpPhase::kSynSent);
  if ((info.tcp_flags & kTcpFin) != 0) Raise(s, from, TcpPhase::kClosing);
  if ((info.tcp_flags & kTcpAck) != 0) {
    if (s->phase[to] == Raw(TcpPhase::kSynSent)) {
      s->phase[to] = Raw(TcpPhase::kEstablished);
    } else if (s->phase[to] == Raw(TcpPhase::kClosing)) {
      s->phase[to] = Raw(TcpPhase::kFinWait2);
    } else if (s->phase[from] == Raw(TcpPhase::kSynSent) &&
               Below(*s, to, TcpPhase::kSynSent)) {
      // The other half goes another way: an ACK after the SYN will do.
      s->phase = {Raw(TcpPhase::kEstablished), Raw(TcpPhase::kEstablished)};
    } else if (s->phase[from] == Raw(TcpPhase::kClosing) &&
               s->phase[to] == Raw(TcpPhase::kEstablished) &&
               (s->scale[to] & kPeerSeen) == 0) {
      // ... and so does its FIN.
      s->phase[to] = Raw(TcpPhase::kClosing);
    }
  }
  if ((info.tcp_flags & kTcpRst) != 0) {
    s->phase = {Raw(TcpPhase::kTimeWait), Raw(TcpPhase::kTimeWait)};
  }
  s->timeout = TcpTimeout(*s);
  return {};
}

// Why a segment is not within the strict bounds, or nothing.
std::optional<Mismatch> OutOfBounds(const StateHot& s,
                                    const PacketInfo& info,
                                    const Segment& segment, uint32_t from) {
  const uint32_t to = from ^ 1;
  const SequenceWindow& mine = s.window[from];
  if (!SequenceAtLeast(mine.high, segment.data_end)) {
    return Mismatch::kSequence;
  }
  const uint32_t reach = Scaled(s.max_window[to], segment.other_scale);
  if (!SequenceAtLeast(segment.begin, mine.low - reach)) {
    return Mismatch::kSequence;
  }
  const auto behind =
      static_cast<int32_t>(s.window[to].low - segment.acknowledgment);
  if (behind < -kMaxAckWindow ||
      behind > kMaxAckWindow << segment.my_scale) {
    return Mismatch::kAcknowledgment;
  }
  if ((info.tcp_flags & kTcpRst) != 0 && info.sequence != mine.low &&
      info.sequence != mine.low + 1 && info.sequence + 1 != mine.low &&
      info.sequence != mine.high - reach) {
    return Mismatch::kReset;
  }
  return std::nullopt;
}

// After the strict bounds failed: packets around the opening and the end of a
// connection are given a window of slack, and do not prolong the state.
bool WithinSlack(const StateHot& s, const Segment& segment, uint32_t from) {
  const uint32_t to = from ^ 1;
  const SequenceWindow& mine = s.window[from];
  return (Below(s, to, TcpPhase::kSynSent) ||
          !Below(s, to, TcpPhase::kFinWait2) ||
          !Below(s, from, TcpPhase::kFinWait2)) &&
         SequenceAtLeast(mine.high + kMaxAckWindow, segment.data_end) &&
         SequenceAtLeast(segment.begin, mine.low - kMaxAckWindow);
}

// Whether a RST of somebody who has said nothing else refuses the SYN of the
// other peer: it has to acknowledge that, or some of the data that came with it
// (RFC 9293 section 3.10.7.3). Of what begins amid a connection nobody knows.
bool RefusesSyn(const StateHot& s, const PacketInfo& info) {
  if ((s.scale[1] & (kPeerSeen | kScaleKnown)) != 0) return true;
  return (info.tcp_flags & kTcpAck) != 0 &&
         SequenceAtLeast(info.acknowledgment, s.window[0].low) &&
         SequenceAfter(s.window[0].high, info.acknowledgment);
}

// A SYN of the originator before anything was heard of the responder.
TrackerResult BeginAgain(const PacketInfo& info, const rte_mbuf& mbuf,
                         StateHot* s) {
  const uint8_t scale = s->scale[0];
  const bool same = s->window[0].low == info.sequence + 1;
  const uint32_t high = s->window[0].high;
  const uint16_t window = s->max_window[0];
  InitTcp(info, mbuf, s);
  // The responder may have got the one or the other: options that a later SYN
  // leaves out count if its answer has them. Data likewise.
  if (same) {
    if ((s->scale[0] & kScaleKnown) == 0 && (scale & kScaleKnown) != 0) {
      s->scale[0] = scale;
      s->max_window[0] = window;
    }
    if (SequenceAfter(high, s->window[0].high)) s->window[0].high = high;
  }
  return {};
}

}  // namespace

Timeout TcpTimeout(const StateHot& s) {
  if (BothAtLeast(s, TcpPhase::kFinWait2)) return Timeout::kTcpClosed;
  if (BothAtLeast(s, TcpPhase::kClosing)) return Timeout::kTcpFinWait;
  if (!BothAtLeast(s, TcpPhase::kEstablished)) return Timeout::kTcpOpening;
  if (!Below(s, 0, TcpPhase::kClosing) || !Below(s, 1, TcpPhase::kClosing)) {
    return Timeout::kTcpClosing;
  }
  return Timeout::kTcpEstablished;
}

void InitTcp(const PacketInfo& info, const rte_mbuf& mbuf, StateHot* s) {
  const bool syn = (info.tcp_flags & kTcpSyn) != 0;
  const bool fin = (info.tcp_flags & kTcpFin) != 0;
  const uint32_t end =
      info.sequence + info.payload_length() + (syn ? 1 : 0) + (fin ? 1 : 0);
  uint32_t window = info.window;
  if (syn) {
    s->scale[0] = ReadWindowScale(info, mbuf);
    // The SYN that this one answers offered a scale that nobody saw.
    if ((info.tcp_flags & kTcpAck) != 0) {
      s->scale[1] = s->scale[0] != 0 ? kScaleKnown | kMaxWindowScale
                                     : kScaleKnown;
    }
    window = InUnitsOf(window, s->scale[0] & kScaleMask);
  } else {
    s->scale[0] = s->scale[1] = kScaleKnown | kMaxWindowScale;
  }
  s->scale[0] |= kPeerSeen;
  s->phase = {Raw(TcpPhase::kSynSent), Raw(TcpPhase::kClosed)};
  // What came with a SYN may have to come again: the answer to the SYN alone
  // may be lost behind the firewall (RFC 7413 section 4.2).
  s->window[0] = {syn ? info.sequence + 1 : end, end + 1};
  s->window[1] = {0, 1};
  s->max_window = {static_cast<uint16_t>(std::max(window, 1u)), 1};
  s->timeout = Timeout::kTcpFirst;
}

TrackerResult TrackTcp(const PacketInfo& info, const rte_mbuf& mbuf, Peer peer,
                       StateHot* s) {
  const auto from = static_cast<uint32_t>(peer);
  const uint32_t to = from ^ 1;
  const uint8_t flags = info.tcp_flags;

  if ((flags & (kTcpSyn | kTcpAck)) == kTcpSyn) {
    if (BothAtLeast(*s, TcpPhase::kFinWait2)) {
      TrackerResult reuse;
      reuse.step.verdict = StepVerdict::kReuse;
      return reuse;
    }
    // A peer that restarted, or somebody who guesses: the answer brings the
    // peers in step or makes the lost one send a RST.
    if (BothAtLeast(*s, TcpPhase::kEstablished)) {
      return Challenge(*s, from, Mismatch::kSynInOpen);
    }
  }
  if ((s->flags & kStateSloppy) != 0) return TrackSloppy(info, from, s);
  if (s->phase[0] == Raw(TcpPhase::kSynSent) &&
      (s->scale[1] & (kPeerSeen | kScaleKnown)) == 0) {
    if (from == 0 && (flags & (kTcpSyn | kTcpAck)) == kTcpSyn) {
      return BeginAgain(info, mbuf, s);
    }
    if (from == 1 && (flags & kTcpRst) != 0 && !RefusesSyn(*s, info)) {
      return Refuse(Mismatch::kReset);
    }
  }

  Segment segment;
  segment.window = info.window;
  segment.begin = info.sequence;
  segment.data_end = info.sequence + info.payload_length() +
                     ((flags & kTcpSyn) != 0 ? 1 : 0);
  segment.end = segment.data_end + ((flags & kTcpFin) != 0 ? 1 : 0);
  segment.position =
      (flags & kTcpSyn) != 0 ? info.sequence + 1 : segment.end;
  if ((flags & kTcpSyn) == 0 && (s->scale[0] & s->scale[1] & kScaleKnown)) {
    segment.my_scale = s->scale[from] & kScaleMask;
    segment.other_scale = s->scale[to] & kScaleMask;
  }
  // What is refused as an answer has told nothing of the other peer either.
  const std::array<uint8_t, 2> scales = s->scale;
  const uint16_t other_window = s->max_window[to];
  if ((s->scale[from] & kPeerSeen) == 0) {
    MeetPeer(info, mbuf, from, s, &segment);
  }

  segment.acknowledgment = info.acknowledgment;
  if ((flags & kTcpAck) == 0 || Below(*s, to, TcpPhase::kSynSent) ||
      (info.acknowledgment == 0 && (flags & kTcpRst) != 0)) {
    // There is nothing to compare it with.
    segment.acknowledgment = s->window[to].low;
  }
  if (segment.begin == segment.end) {
    // A packet without data says nothing about the sender's position.
    segment.begin = segment.data_end = segment.end = segment.position =
        s->window[from].low;
  }

  const std::optional<Mismatch> cause = OutOfBounds(*s, info, segment, from);
  if (!cause.has_value()) {
    Advance(segment, from, s);
    if ((flags & kTcpSyn) != 0) Raise(s, from, TcpPhase::kSynSent);
    if ((flags & kTcpFin) != 0) Raise(s, from, TcpPhase::kClosing);
    if ((flags & kTcpAck) != 0) {
      if (s->phase[to] == Raw(TcpPhase::kSynSent)) {
        s->phase[to] = Raw(TcpPhase::kEstablished);
      } else if (s->phase[to] == Raw(TcpPhase::kClosing)) {
        s->phase[to] = Raw(TcpPhase::kFinWait2);
      }
    }
    if ((flags & kTcpRst) != 0) {
      s->phase = {Raw(TcpPhase::kTimeWait), Raw(TcpPhase::kTimeWait)};
    }
    s->timeout = TcpTimeout(*s);
    return {};
  }

  if (WithinSlack(*s, segment, from)) {
    Advance(segment, from, s);
    if ((flags & kTcpFin) != 0) Raise(s, from, TcpPhase::kClosing);
    if ((flags & kTcpRst) != 0) {
      s->phase = {Raw(TcpPhase::kTimeWait), Raw(TcpPhase::kTimeWait)};
    }
    TrackerResult loose;
    loose.refresh = false;
    return loose;
  }

  if (s->phase[0] == Raw(TcpPhase::kSynSent) &&
      s->phase[1] == Raw(TcpPhase::kSynSent)) {
    // A wrong answer to a SYN, of an earlier connection by all appearance: its
    // sender is told, and what it says next counts as its first word.
    TrackerResult result = Refuse(Mismatch::kHandshake);
    if ((flags & kTcpRst) == 0) {
      result.step.verdict = StepVerdict::kReset;
      result.step.sequence = info.acknowledgment;
    }
    s->window[from] = {0, 1};
    s->max_window[from] = 1;
    s->scale = scales;
    s->scale[from] &= static_cast<uint8_t>(~kPeerSeen);
    s->max_window[to] = other_window;
    return result;
  }
  // A new attempt from the same port, while the answer to the old one is not
  // acknowledged yet: the challenge makes its sender end the old one.
  if ((flags & (kTcpSyn | kTcpAck)) == kTcpSyn &&
      !Below(*s, from, TcpPhase::kEstablished)) {
    return Challenge(*s, from, Mismatch::kSynInOpen);
  }
  if (*cause == Mismatch::kReset &&
      BothAtLeast(*s, TcpPhase::kEstablished) &&
      Below(*s, 0, TcpPhase::kFinWait2) && Below(*s, 1, TcpPhase::kFinWait2)) {
    const SequenceWindow& mine = s->window[from];
    const uint32_t reach = Scaled(s->max_window[to], segment.other_scale);
    if (SequenceAtLeast(mine.high, info.sequence) &&
        SequenceAtLeast(info.sequence, mine.low - reach)) {
      return Challenge(*s, from, Mismatch::kReset);
    }
  }
  return Refuse(*cause);
}

}  // namespace sluice
