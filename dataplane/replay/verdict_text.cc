#include "dataplane/replay/verdict_text.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "conntrack/state_names.h"
#include "dataplane/base/text.h"

namespace sluice {
namespace {

std::string End(const PacketInfo& info, const Address& address, Be16 port) {
  const bool ports = info.proto == protocol::kTcp ||
                     info.proto == protocol::kUdp ||
                     info.proto == protocol::kSctp;
  // Without its transport header nothing is known of a packet's ports.
  if (!ports || info.l4_header_length == 0) return ToString(address);
  return info.family == Family::kIpv4
             ? absl::StrCat(ToString(address), ":", port.host())
             : absl::StrCat(ToString(address), "[", port.host(), "]");
}

bool HasAddresses(const PacketInfo& info) {
  const auto set = [](uint8_t byte) { return byte != 0; };
  return info.kind == Kind::kIp ||
         (info.kind == Kind::kMalformed &&
          (std::any_of(info.source.begin(), info.source.end(), set) ||
           std::any_of(info.destination.begin(), info.destination.end(),
                       set)));
}

}  // namespace

std::string VerdictText(const VerdictLine& line) {
  std::string text = absl::StrCat(
      line.number, " ", View(line.arrival), line.passed ? " pass "
                                                 : line.held ? " hold "
                                                             : " drop ",
      line.passed || line.held ? "-" : View(line.reason), " ",
      line.rule ? absl::StrCat(*line.rule) : "-", " ",
      line.judged ? absl::StrCat(
                        *line.judged == Direction::kIn ? "in@" : "out@",
                        View(line.judged_at))
                  : "-");
  const PacketInfo* info = line.info;
  if (info == nullptr || !HasAddresses(*info)) {
    absl::StrAppend(&text, " - - -");
    return text;
  }
  absl::StrAppend(&text, " ", ProtocolName(info->proto), " ",
                  End(*info, info->source_address(), info->source_port), " ",
                  End(*info, info->destination_address(),
                      info->destination_port));
  return text;
}

}  // namespace sluice
