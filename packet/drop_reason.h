// Why a packet was dropped. Every drop has exactly one reason, and every
// worker one counter a reason: there is no "other".
#ifndef SLUICE_PACKET_DROP_REASON_H_
#define SLUICE_PACKET_DROP_REASON_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sluice {

// The first eighteen are pf's, in the order and with the names of
// `pfctl -si`; the others are sluice's own.
enum class DropReason : uint8_t {
  kMatch,          // a block rule decided
  kBadOffset,      // a fragment that would end beyond 65535 bytes
  kFragment,       // a fragment that may not pass or could not be kept
  kShort,          // a header or a length that the bytes do not hold
  kNormalize,      // a header that contradicts itself
  kMemory,         // no buffer for an answer or a copy
  kBadTimestamp,   // RFC 7323 timestamps out of order
  kCongestion,     // shed because the firewall is overloaded
  kIpOption,       // IP options without allow-opts
  kProtoCksum,     // a wrong checksum
  kStateMismatch,  // outside of what its state allows
  kStateInsert,    // the state could not be inserted
  kStateLimit,     // the state table, or the rule's share of it, is full
  kSrcLimit,       // the source has too many states or connections
  kSynproxy,       // the SYN proxy answered instead
  kMapFailed,      // no translation address or port was free
  kTranslate,      // the packet could not be rewritten
  kNoRoute,        // there is no way to the destination
  kNonIp,          // not IP, and the wire blocks such frames
  kNoWire,         // the port of arrival belongs to no wire
  kPortDown,       // the port of departure has no link or is disabled
  kHandoffFull,    // the ring to the worker that owns the flow was full
  kTransmitFull,   // the port of departure did not take it
  kHeld,           // waited for a restore that did not let it through
  kStalled,        // its worker does not run, and its filter fails closed
  kUnknownVlan,    // no logical port has its tags, and the parent has no way
  kSegmentUnknown,  // nobody knows where the destination is, and the segment
                    // does not flood
  kSegmentLocal,   // the destination is where it came from, or it is for
                   // bridges alone, or nobody else is on the segment
  kSegmentSource,  // the sender is a group, or an address fixed elsewhere
  kNeighbor,       // ARP or neighbour discovery for the firewall itself
  kSpoofed,        // it claims a source that its port is not bound to
  kTtlExceeded,    // a router was the last that it might reach
  kTooBig,         // larger than the port of departure takes, and whole for
                   // ever
  kNoNeighbor,     // the next hop has not said where it is
  kHostFull,       // the ring to the host was full
  kOtherHost,      // the frame is not to the router, which is no switch
};

inline constexpr size_t kDropReasonCount =
    static_cast<size_t>(DropReason::kOtherHost) + 1;

inline constexpr std::array<std::string_view, kDropReasonCount>
    kDropReasonNames = {
        "match",          "bad-offset",   "fragment",      "short",
        "normalize",      "memory",       "bad-timestamp", "congestion",
        "ip-option",      "proto-cksum",  "state-mismatch", "state-insert",
        "state-limit",    "src-limit",    "synproxy",      "map-failed",
        "translate",      "no-route",     "non-ip",        "no-wire",
        "port-down",      "handoff-full", "transmit-full", "held",
        "stalled",        "unknown-vlan", "segment-unknown", "segment-local",
        "segment-source", "neighbor", "spoofed",       "ttl-exceeded",
        "too-big",        "no-neighbor",  "host-full",     "other-host",
};

// None: no reason has the name.
constexpr std::optional<DropReason> DropReasonNamed(std::string_view name) {
  for (size_t i = 0; i < kDropReasonCount; ++i) {
    if (kDropReasonNames[i] == name) return static_cast<DropReason>(i);
  }
  return std::nullopt;
}

constexpr std::string_view Name(DropReason reason) {
  return kDropReasonNames[static_cast<size_t>(reason)];
}

}  // namespace sluice

#endif  // SLUICE_PACKET_DROP_REASON_H_
