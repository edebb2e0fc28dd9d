#include "conntrack/state_names.h"

#include <array>

#include "absl/strings/str_cat.h"
#include "packet/packet.h"

namespace sluice {
namespace {

// By TcpPhase, and by DatagramPhase.
constexpr std::array<std::string_view, 11> kTcpPhaseNames = {
    "CLOSED",      "LISTEN",     "SYN_SENT",   "SYN_RCVD",
    "ESTABLISHED", "CLOSE_WAIT", "FIN_WAIT_1", "CLOSING",
    "LAST_ACK",    "FIN_WAIT_2", "TIME_WAIT"};
constexpr std::array<std::string_view, 3> kDatagramPhaseNames = {
    "NO_TRAFFIC", "SINGLE", "MULTIPLE"};

}  // namespace

std::string ProtocolName(uint8_t proto) {
  switch (proto) {
    case protocol::kTcp: return "tcp";
    case protocol::kUdp: return "udp";
    case protocol::kIcmp: return "icmp";
    case protocol::kIcmp6: return "ipv6-icmp";
    case protocol::kSctp: return "sctp";
    default: return absl::StrCat(proto);
  }
}

std::string_view PhaseName(uint8_t proto, uint8_t phase) {
  switch (proto) {
    case protocol::kIcmp:
    case protocol::kIcmp6:
      return {};
    case protocol::kTcp:
    case protocol::kSctp:
      return phase < kTcpPhaseNames.size() ? kTcpPhaseNames[phase]
                                           : std::string_view();
    default:
      return phase < kDatagramPhaseNames.size() ? kDatagramPhaseNames[phase]
                                                : std::string_view();
  }
}

}  // namespace sluice
