// What the pipeline says of a burst: which mbufs leave and how, and, to who has
// asked, what became of each packet.
#ifndef SLUICE_DATAPLANE_FORWARD_BURST_RESULT_H_
#define SLUICE_DATAPLANE_FORWARD_BURST_RESULT_H_

#include <rte_mbuf.h>

#include <array>
#include <bit>
#include <cstdint>
#include <optional>
#include <span>

#include "packet/fragment.h"
#include "packet/packet.h"

namespace sluice {

// What a verdict hook is told of one packet.
struct PacketVerdict {
  const PacketInfo* info;
  bool passed;
  DropReason reason;   // when it did not pass
  bool held;           // nor was it dropped: it waits for other fragments
  // Of the last judgement: the number of the rule that decided, as in
  // `sluicectl -vv -s rules`, or kNoRule (a state, the default rule, none).
  uint32_t rule;
  // Its place among all rules, which says more where there are anchors.
  uint32_t rule_slot;
  // The judgement that it fell in, or the last one that it passed; nothing
  // when it was judged at neither port.
  std::optional<Direction> judged;
};
inline constexpr uint32_t kNoRule = 0xffffffff;

// What is left of a burst: mbufs that the caller now owns. All others have
// been freed and counted.
struct BurstResult {
  // To leave by the peer of the port of arrival, in order.
  uint32_t forward_count = 0;
  std::array<rte_mbuf*, kMaxBurst> forward;
  // Bit k: forward[k] is a datagram that leaves as the fragments in which it
  // came. ForEachDeparture() takes it apart.
  uint32_t reassembled = 0;
  // Made by the firewall, to leave by the port of arrival.
  uint32_t answer_count = 0;
  std::array<rte_mbuf*, kMaxBurst> answers;
  // What goes back there behind them, because its destination is on that side
  // (a hairpin), and which of it leaves as fragments. ForEachReturn().
  uint32_t return_count = 0;
  uint32_t returns_reassembled = 0;
  std::array<rte_mbuf*, kMaxBurst> returns;
  // Made by the firewall, to leave by the peer: questions for neighbours.
  uint32_t question_count = 0;
  std::array<rte_mbuf*, kMaxBurst> questions;
  // To leave by the ports that rules for layer 2 name (`bridge-to`).
  // ForEachBridged().
  uint32_t bridged_count = 0;
  std::array<rte_mbuf*, kMaxBurst> bridged;
  std::array<uint16_t, kMaxBurst> bridged_to;
  // Of ports of routers: for the host, as they arrived, and which of them go
  // there as fragments. ForEachForHost().
  uint32_t host_count = 0;
  uint32_t host_reassembled = 0;
  std::array<rte_mbuf*, kMaxBurst> host;
};

// Calls send(std::span<rte_mbuf*>) with all of them, in order; bit k of
// `reassembled`: all[k] is to be taken apart.
template <typename Send>
void SendInParts(std::span<rte_mbuf*> all, uint32_t reassembled, Send send) {
  uint32_t begin = 0;
  for (uint32_t left = reassembled; left != 0; left &= left - 1) [[unlikely]] {
    const auto k = static_cast<uint32_t>(std::countr_zero(left));
    if (k > begin) send(all.subspan(begin, k - begin));
    begin = k + 1;
    FragmentSplitter fragments(all[k]);
    std::array<rte_mbuf*, kMaxBurst> some;
    uint32_t count = 0;
    while (rte_mbuf* fragment = fragments.Next()) {
      some[count++] = fragment;
      if (count < some.size()) continue;
      send(std::span<rte_mbuf*>(some));
      count = 0;
    }
    if (count > 0) send(std::span(some).first(count));
  }
  if (begin < all.size()) send(all.subspan(begin));
}
// With what is to leave by the peer.
template <typename Send>
void ForEachDeparture(BurstResult& result, Send send) {
  SendInParts(std::span(result.forward).first(result.forward_count),
              result.reassembled, send);
}
// With what goes back by the port of arrival.
template <typename Send>
void ForEachReturn(BurstResult& result, Send send) {
  SendInParts(std::span(result.returns).first(result.return_count),
              result.returns_reassembled, send);
}

// Calls send(uint16_t port, std::span<rte_mbuf*>) with what rules for layer 2
// send by a port of their own.
template <typename Send>
void ForEachBridged(BurstResult& result, Send send) {
  for (uint32_t k = 0; k < result.bridged_count; ++k) {
    const bool parts = (result.bridged[k]->ol_flags & kFragmentMark) != 0;
    SendInParts(std::span(result.bridged).subspan(k, 1), parts ? 1 : 0,
                [&](std::span<rte_mbuf*> mbufs) {
                  send(result.bridged_to[k], mbufs);
                });
  }
}

// With what is for the host.
template <typename Send>
void ForEachForHost(BurstResult& result, Send send) {
  SendInParts(std::span(result.host).first(result.host_count),
              result.host_reassembled, send);
}

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FORWARD_BURST_RESULT_H_
