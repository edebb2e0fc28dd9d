// The parts of StateTable that do the handshakes of `synproxy state`: first
// with the client, and when that has shown that it is there, with the server.
// Neither is offered a window scale, selective acknowledgments or timestamps,
// because nobody knows yet what the other one can do.
#include <algorithm>

#include "conntrack/state_table.h"
#include "conntrack/tcp_tracker.h"

namespace sluice {
namespace {

// The client may send nothing before the server is there.
TcpSegment SynAck(const StateSide& side) {
  return {.flags = kTcpSyn | kTcpAck,
          .sequence = side.proxy_sequence,
          .acknowledgment = side.client_sequence + 1,
          .window = 0,
          .mss = side.client_mss};
}

TcpSegment SynOnward(const StateSide& side) {
  return {.flags = kTcpSyn,
          .sequence = side.client_sequence + side.offset[0],
          .window = side.client_window,
          .mss = side.client_mss,
          .onward = true};
}

}  // namespace

TcpSegment StateTable::BeginProxy(StateIndex state, const PacketInfo& syn,
                                  uint16_t mss, Tick now) {
  StateHot& hot = entries_.hot(state);
  StateSide& side = entries_.side(state);
  hot.more |= kMoreShift;
  side.proxy = ProxyPhase::kClient;
  side.client_sequence = syn.sequence;
  side.client_mss = mss;
  side.proxy_sequence = NewOffset(state, 1, 0, now);
  side.offset[0] = NewOffset(state, 0, syn.sequence, now);
  return SynAck(side);
}

InsertResult StateTable::InsertProxied(
    const PacketInfo& syn, const PacketInfo& info, const rte_mbuf& mbuf,
    const JudgePoint& where, const StateTemplate& values,
    uint32_t proxy_sequence, uint16_t mss, Tick now,
    const PacketInfo* translated, PoolHolds* holds) {
  StateTemplate proxied = values;
  proxied.side |= kSideSynproxy;
  InsertResult result =
      Insert(syn, mbuf, where, proxied, now, nullptr, translated, holds);
  if (result.state == kNoState) return result;
  StateSide& side = entries_.side(result.state);
  side.client_mss = mss;
  side.proxy_sequence = proxy_sequence;
  side.client_window = std::max<uint16_t>(info.window, 1);
  return result;
}

ProxyOrder StateTable::RunProxy(StateIndex state, const PacketInfo& info,
                                Direction direction, Tick now) {
  StateHot& hot = entries_.hot(state);
  StateSide& side = entries_.side(state);
  ProxyOrder order;
  const bool client = direction == hot.direction();
  const uint8_t flags =
      info.tcp_flags & (kTcpSyn | kTcpAck | kTcpRst | kTcpFin);
  if (client) {
    if (side.proxy == ProxyPhase::kClient && flags == kTcpSyn) {
      // Again, or another attempt from the same port.
      if (info.sequence != side.client_sequence) {
        side.client_sequence = info.sequence;
        side.offset[0] = NewOffset(state, 0, info.sequence, now);
      }
      order.answer = SynAck(side);
      return order;
    }
    // A host that probes our window of zero goes back by one.
    if (flags != kTcpAck ||
        info.acknowledgment != side.proxy_sequence + 1 ||
        (info.sequence != side.client_sequence + 1 &&
         info.sequence != side.client_sequence)) {
      return order;
    }
    if (side.proxy == ProxyPhase::kClient) {
      if (!CountOpened(state, now)) {
        Remove(state, FlowEnd::kLimit);
        order.reason = DropReason::kSrcLimit;
        return order;
      }
      side.proxy = ProxyPhase::kServer;
    }
    side.client_window = std::max<uint16_t>(info.window, 1);
    hot.last_seen = now;
    order.onward = SynOnward(side);
    return order;
  }

  const uint32_t asked = side.client_sequence + side.offset[0];
  if (side.proxy != ProxyPhase::kServer || (flags & kTcpAck) == 0 ||
      info.acknowledgment != asked + 1) {
    return order;
  }
  hot.more &= static_cast<uint8_t>(~kMoreShift);
  if ((flags & kTcpRst) != 0) {
    order.onward = TcpSegment{.flags = kTcpRst | kTcpAck,
                              .sequence = side.proxy_sequence + 1,
                              .acknowledgment = side.client_sequence + 1,
                              .onward = true};
    hot.phase.fill(static_cast<uint8_t>(TcpPhase::kTimeWait));
  } else if (flags == (kTcpSyn | kTcpAck)) {
    const uint16_t server_window = std::max<uint16_t>(info.window, 1);
    const uint32_t client_next = side.client_sequence + 1;
    const uint32_t server_next = info.sequence + 1;
    side.offset[1] = side.proxy_sequence - info.sequence;
    hot.more |= kMoreShift;
    hot.window = {{{client_next, client_next + server_window},
                   {server_next, server_next + side.client_window}}};
    hot.max_window = {side.client_window, server_window};
    hot.scale = {kPeerSeen, kPeerSeen};
    hot.phase.fill(static_cast<uint8_t>(TcpPhase::kEstablished));
    order.answer = TcpSegment{.flags = kTcpAck,
                              .sequence = asked + 1,
                              .acknowledgment = server_next,
                              .window = side.client_window};
    order.onward = TcpSegment{.flags = kTcpAck,
                              .sequence = side.proxy_sequence + 1,
                              .acknowledgment = client_next,
                              .window = server_window,
                              .onward = true};
  } else {
    hot.more |= kMoreShift;
    return order;
  }
  side.proxy = ProxyPhase::kNone;
  if ((hot.more & kMoreHalfOpen) != 0) EndHandshake(&hot);
  hot.timeout = TcpTimeout(hot);
  hot.last_seen = now;
  Requeue(state, now);
  return order;
}

void StateTable::EndHandshake(StateHot* hot) {
  hot->more &= static_cast<uint8_t>(~kMoreHalfOpen);
  filters_[hot->key.filter].handshakes->half_open.fetch_sub(
      1, std::memory_order_relaxed);
}

}  // namespace sluice
