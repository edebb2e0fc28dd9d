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
#include "conntrack/tcp_open.h"
#include "packet/packet.h"

namespace sluice {

// Assumed for connections whose SYN was not seen; the largest that RFC 7323
// section 2.3 allows.
inline constexpr uint8_t kMaxWindowScale = 14;

// The peer's first packet was seen, its window is valid (TCP); its
// verification tag is in its window's low (SCTP). A bit of StateHot::scale.
inline constexpr uint8_t kPeerSeen = 0x40;
// SCTP: its window's high is a tag that its packets will bear once the
// association that is being set up takes the place of the one there is.
inline constexpr uint8_t kPeerRestarts = 0x20;

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

}  // namespace sluice

#endif  // SLUICE_CONNTRACK_TCP_TRACKER_H_
