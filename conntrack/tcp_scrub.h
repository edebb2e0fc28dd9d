// `scrub (reassemble tcp)`: what pf does to the timestamps and the TTL of a
// connection that it saw begin.
//
// - TTL: no segment leaves with a lower one than the highest that its sender
//   has shown.
// - Timestamps (RFC 7323) of each side are moved by a number that only the
//   firewall knows, so that they do not tell how long a host has been up; the
//   other side's echoes are moved back.
// - PAWS, extended: a timestamp has to lie between what the other side has
//   echoed and what a clock of at most 1100 Hz may have come to since, and an
//   echo among those that were sent; who has sent data with timestamps goes on
//   to. What is not so is dropped.
#ifndef SLUICE_CONNTRACK_TCP_SCRUB_H_
#define SLUICE_CONNTRACK_TCP_SCRUB_H_

#include <array>
#include <cstdint>

#include "packet/packet.h"

struct rte_mbuf;

namespace sluice {

enum TcpScrubFlag : uint8_t {
  kScrubSeen = 1 << 0,        // it has sent a segment: `ttl` is valid
  kScrubTimestamps = 1 << 1,  // its SYN had timestamps
  kScrubPaws = 1 << 2,        // they were echoed, so that they can be checked
  kScrubIdled = 1 << 3,       // for so long that they may have wrapped around
  kScrubDataHas = 1 << 4,     // its first data had timestamps
  kScrubDataHasNot = 1 << 5,
};
inline constexpr uint8_t kTcpScrubFlags = (1 << 6) - 1;

// Of one peer, as the peer itself means it. Host order.
struct TcpScrubPeer {
  uint32_t modulation = 0;
  uint32_t value = 0;   // the highest timestamp that it has sent
  uint32_t echo = 0;    // the highest that it has echoed
  uint32_t lowest = 0;  // the first that it has sent
  Tick last = 0;        // when it sent the last one
  uint8_t flags = 0;
  uint8_t ttl = 0;

  friend bool operator==(const TcpScrubPeer&, const TcpScrubPeer&) = default;
};

// Of one state, by Peer.
struct TcpScrub {
  std::array<TcpScrubPeer, 2> peers;

  friend bool operator==(const TcpScrub&, const TcpScrub&) = default;
};

// What a segment is judged with.
struct TcpScrubMoment {
  uint32_t from = 0;         // whose segment
  bool established = false;  // both peers are, at least
  uint32_t slack = 30;       // seconds, `timeout tcp.tsdiff`
  uint32_t age = 0;          // ticks since the state was made
  Tick now = 0;
};

// Whether the segment's timestamps are what its sender may send. Changes
// nothing.
bool TimestampsAreSound(const TcpScrub& scrub, const PacketInfo& info,
                        const rte_mbuf& mbuf, const TcpScrubMoment& moment);

// Rewrites a segment that passes, and takes note of it. `modulation` is a fresh
// random number.
void ScrubTcp(TcpScrub& scrub, PacketInfo& info, rte_mbuf& mbuf,
              const TcpScrubMoment& moment, uint32_t modulation);

}  // namespace sluice

#endif  // SLUICE_CONNTRACK_TCP_SCRUB_H_
