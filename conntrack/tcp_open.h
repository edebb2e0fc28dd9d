// The common case of the TCP machine, for who judges a burst: a segment of an
// open connection, of which nothing but the windows changes.
#ifndef SLUICE_CONNTRACK_TCP_OPEN_H_
#define SLUICE_CONNTRACK_TCP_OPEN_H_

#include <cstdint>

#include "conntrack/state.h"
#include "packet/packet.h"

namespace sluice {

// How far an acknowledgment may be off: a window without scaling, and pf's
// tolerance.
inline constexpr int32_t kMaxAckWindow = 0xffff + 1500;
// Whether sequence number a is at or after b.
constexpr bool SequenceAtLeast(uint32_t a, uint32_t b) {
  return static_cast<int32_t>(a - b) >= 0;
}
constexpr bool SequenceAfter(uint32_t a, uint32_t b) {
  return static_cast<int32_t>(a - b) > 0;
}

// TrackTcp() for the common case, an acknowledgment or data within the window of
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

#endif  // SLUICE_CONNTRACK_TCP_OPEN_H_
