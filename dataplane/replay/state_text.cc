#include "dataplane/replay/state_text.h"

#include <array>
#include <string_view>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

constexpr std::array<std::string_view, 11> kTcpNames = {
    "CLOSED",     "LISTEN",     "SYN_SENT",   "SYN_RCVD",
    "ESTABLISHED", "CLOSE_WAIT", "FIN_WAIT_1", "CLOSING",
    "LAST_ACK",   "FIN_WAIT_2", "TIME_WAIT"};
constexpr std::array<std::string_view, 3> kOtherNames = {
    "NO_TRAFFIC", "SINGLE", "MULTIPLE"};

std::string ProtocolName(uint8_t proto) {
  switch (proto) {
    case protocol::kTcp:
      return "tcp";
    case protocol::kUdp:
      return "udp";
    case protocol::kIcmp:
      return "icmp";
    case protocol::kIcmp6:
      return "ipv6-icmp";
    case protocol::kSctp:
      return "sctp";
  }
  return absl::StrCat(proto);
}

std::string PhaseName(uint8_t proto, uint8_t phase) {
  if (proto == protocol::kIcmp || proto == protocol::kIcmp6) {
    return absl::StrCat(phase);
  }
  const bool tcp = proto == protocol::kTcp || proto == protocol::kSctp;
  const std::string_view name =
      tcp ? (phase < kTcpNames.size() ? kTcpNames[phase] : "?")
          : (phase < kOtherNames.size() ? kOtherNames[phase] : "?");
  return std::string(name);
}

std::string Host(const StateRecord& record, size_t peer) {
  const std::string address = ToString(record.address[peer]);
  if (record.port[peer] == 0) return address;
  return record.family == Family::kIpv4
             ? absl::StrCat(address, ":", record.port[peer])
             : absl::StrCat(address, "[", record.port[peer], "]");
}

// Without the phases: what names the state.
std::string Flow(const StateRecord& record) {
  const bool out = record.direction == Direction::kOut;
  return absl::StrCat("all ", ProtocolName(record.proto), " ",
                      Host(record, out ? 0 : 1), out ? " -> " : " <- ",
                      Host(record, out ? 1 : 0));
}

}  // namespace

std::string StateLine(const StateTable& states, const StateRecord& record,
                      Tick now) {
  const bool out = record.direction == Direction::kOut;
  std::string line = absl::StrCat(
      Flow(record), " ", PhaseName(record.proto, record.phase[out ? 0 : 1]),
      ":", PhaseName(record.proto, record.phase[out ? 1 : 0]));
  if (record.parent.IsSet()) {
    const StateIndex parent = states.entries().Resolve(record.parent);
    absl::StrAppend(&line, ", child of ",
                    parent == kNoState ? "nothing"
                                       : Flow(states.Record(parent, now)));
  }
  return line;
}

}  // namespace sluice
