// How long states live: pf's timeouts, their names and defaults, and the
// scaling that shortens them when the state table fills.
#ifndef SLUICE_PFTABLE_POLICY_TIMEOUTS_H_
#define SLUICE_PFTABLE_POLICY_TIMEOUTS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "packet/packet.h"

namespace sluice {

// pf's timeouts in the order in which it lists them. Seconds, except for
// kAdaptiveStart and kAdaptiveEnd, which are numbers of states.
enum class Timeout : uint8_t {
  kTcpFirst,
  kTcpOpening,
  kTcpEstablished,
  kTcpClosing,
  kTcpFinWait,
  kTcpClosed,
  kTcpTsDiff,
  kSctpFirst,
  kSctpOpening,
  kSctpEstablished,
  kSctpClosing,
  kSctpClosed,
  kUdpFirst,
  kUdpSingle,
  kUdpMultiple,
  kIcmpFirst,
  kIcmpError,
  kOtherFirst,
  kOtherSingle,
  kOtherMultiple,
  kFragment,
  kInterval,
  kAdaptiveStart,
  kAdaptiveEnd,
  kSourceTrack,
};
inline constexpr size_t kTimeoutCount = 25;

// "tcp.first" and so on, by value of the enumeration.
inline constexpr std::array<std::string_view, kTimeoutCount> kTimeoutNames = {
    "tcp.first",        "tcp.opening",    "tcp.established",
    "tcp.closing",      "tcp.finwait",    "tcp.closed",
    "tcp.tsdiff",       "sctp.first",     "sctp.opening",
    "sctp.established", "sctp.closing",   "sctp.closed",
    "udp.first",        "udp.single",     "udp.multiple",
    "icmp.first",       "icmp.error",     "other.first",
    "other.single",     "other.multiple", "frag",
    "interval",         "adaptive.start", "adaptive.end",
    "src.track",
};

// In the same order; SCTP's are TCP's, as FreeBSD has them. The adaptive ones
// are 60 % and 120 % of the default limit of 100000 states.
inline constexpr std::array<uint32_t, kTimeoutCount> kDefaultTimeouts = {
    120, 30, 86400, 900, 45, 90, 30, 120, 30,    86400,  900, 90, 60,
    30,  60, 20,    10,  60, 30, 60, 60,  10, 60000, 120000, 0,
};

// A value for each timeout. In the profile of a filter all of them count; in
// that of a rule (`keep state (udp.first 5)`) zero means that the rule does
// not say and the filter's value holds.
struct TimeoutProfile {
  std::array<uint32_t, kTimeoutCount> values{};

  constexpr uint32_t operator[](Timeout t) const {
    return values[static_cast<size_t>(t)];
  }
  constexpr uint32_t& operator[](Timeout t) {
    return values[static_cast<size_t>(t)];
  }
  friend bool operator==(const TimeoutProfile&,
                         const TimeoutProfile&) = default;
};

inline constexpr TimeoutProfile kDefaultTimeoutProfile{kDefaultTimeouts};

// The longest time that is given out, so that signed differences of ticks
// stay meaningful: about twelve days. Longer timeouts are cut to it.
inline constexpr uint32_t kMaxTimeoutTicks = uint32_t{1} << 30;

// What a state that has just seen a packet may still live, in ticks
// (milliseconds), not above kMaxTimeoutTicks. Zero: it expires at once.
//
// `rule` is the profile of the state's rule or null if that sets none.
// Between adaptive.start and adaptive.end states the time shrinks linearly, at
// the end it is zero. A rule that sets adaptive.start counts `rule_states`, its
// own, otherwise `filter_states` count. Start and end of zero, or an end not
// above the start, switch the scaling off.
uint32_t TimeoutTicks(const TimeoutProfile& filter, const TimeoutProfile* rule,
                      Timeout timeout, uint32_t filter_states,
                      uint32_t rule_states);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_POLICY_TIMEOUTS_H_
