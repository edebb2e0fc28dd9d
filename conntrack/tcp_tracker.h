// The TCP and SCTP machines of a state.
//
// TCP follows pf: phases per peer and the sequence tracking of G. van Rooij,
// "Real Stateful TCP Packet Filtering in IP Filter" (2001). Sequence numbers
// are compared by signed difference (RFC 7323, RFC 9293 section 3.4). Where
// this differs from pf:
// - A connection that is picked up without its SYN has an unknown window scale:
//   the largest, 14, is assumed for both peers, where pf assumes 0 and stalls
//   connections that negotiated one.
// - An inexact RST within the window of an open connection is answered by a
//   challenge ACK as RFC 5961 section 3.2 has it, besides being dropped.
// - Whether a peer was seen is a bit of its own, not a sequence number of 0.
// - The originator's SYN counts as sent at once, so that challenge ACKs name
//   the number that is really expected next; data that came with it does not,
//   because it may come again.
// - Before the responder was heard, a SYN of the originator begins the state
//   anew, whatever its sequence number and options, and a RST has to
//   acknowledge the SYN (RFC 9293 section 3.10.7.3).
// - A RST is exact, too, at the sequence number that the other peer expects,
//   as far as its largest window tells: data behind it may be lost.
#ifndef SLUICE_CONNTRACK_TCP_TRACKER_H_
#define SLUICE_CONNTRACK_TCP_TRACKER_H_

#include <cstdint>
#include <optional>

#include "conntrack/state.h"
#include "conntrack/state_table.h"
#include "conntrack/statistics.h"
#include "packet/packet.h"

namespace sluice {

// How far an acknowledgment may be off: a window without scaling, and pf's
// tolerance.
inline constexpr int32_t kMaxAckWindow = 0xffff + 1500;
// Assumed for connections whose SYN was not seen; the largest that RFC 7323
// section 2.3 allows.
inline constexpr uint8_t kMaxWindowScale = 14;

// The peer's first packet was seen, its window is valid (TCP); its
// verification tag is in its window's low (SCTP). A bit of StateHot::scale.
inline constexpr uint8_t kPeerSeen = 0x40;
// SCTP: its window's high is a tag that its packets will bear once the
// association that is being set up takes the place of the one there is.
inline constexpr uint8_t kPeerRestarts = 0x20;

// Whether sequence number a is at or after b.
constexpr bool SequenceAtLeast(uint32_t a, uint32_t b) {
  return static_cast<int32_t>(a - b) >= 0;
}
constexpr bool SequenceAfter(uint32_t a, uint32_t b) {
  return static_cast<int32_t>(a - b) > 0;
}

struct TrackerResult {
  StepResult step;
  // The packet counts as a sign of life.
  bool refresh = true;
  // An SCTP packet that says what addresses its sender has.
  bool addresses = false;
  // With a verdict other than kPass.
  Mismatch cause = Mismatch::kSequence;
};

// A state's peers after its first packet.
void InitTcp(const PacketInfo& info, const rte_mbuf& mbuf, StateHot* state);

// The timeout that applies in these phases.
Timeout TcpTimeout(const StateHot& state);
// True: the packet says what addresses its sender has.
bool InitSctp(const PacketInfo& info, const rte_mbuf& mbuf, StateHot* state);

// One more packet, sent by `from`. Changes phases and windows and
// StateHot::timeout, no counters and no ticks. kReuse leaves the state to the
// caller to remove.
TrackerResult TrackTcp(const PacketInfo& info, const rte_mbuf& mbuf, Peer from,
                       StateHot* state);
TrackerResult TrackSctp(const PacketInfo& info, const rte_mbuf& mbuf,
                        Peer from, StateHot* state);

// TrackTcp for the common case, an acknowledgment or data within the window of
// an open connection. False: it is something else, and nothing was changed.
inline bool TrackOpenTcp(const PacketInfo& info, uint32_t from,
                         StateHot* state) {
  constexpr uint8_t kOpen = static_cast<uint8_t>(TcpPhase::kEstablished);
  if ((info.tcp_flags & (kTcpSyn | kTcpFin | kTcpRst | kTcpAck)) != kTcpAck ||
      state->phase[0] != kOpen || state->phase[1] != kOpen ||
      (state->flags & kStateSloppy) != 0) {
    return false;
  }
  const uint32_t to = from ^ 1;
  SequenceWindow& mine = state->window[from];
  SequenceWindow& other = state->window[to];
  const uint32_t my_scale = state->scale[from] & kScaleMask;
  const uint32_t other_scale = state->scale[to] & kScaleMask;
  const uint32_t length = info.payload_length();
  // A packet without data says nothing about the sender's position.
  const uint32_t begin = length != 0 ? info.sequence : mine.low;
  const uint32_t end = begin + length;
  const int32_t behind =
      static_cast<int32_t>(other.low - info.acknowledgment);
  const uint32_t reach = uint32_t{state->max_window[to]} << other_scale;
  if (!SequenceAtLeast(mine.high, end) ||
      !SequenceAtLeast(begin, mine.low - reach) || behind < -kMaxAckWindow ||
      behind > kMaxAckWindow << my_scale) {
    return false;
  }
  if (state->max_window[from] < info.window) {
    state->max_window[from] = info.window;
  }
  if (SequenceAfter(end, mine.low)) mine.low = end;
  const uint32_t offered = uint32_t{info.window} << my_scale;
  const uint32_t edge = info.acknowledgment + offered;
  if (SequenceAtLeast(edge, other.high)) {
    other.high = edge + (offered == 0 ? 1 : 0);
  }
  return true;
}

}  // namespace sluice

#endif  // SLUICE_CONNTRACK_TCP_TRACKER_H_
