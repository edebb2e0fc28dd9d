#include "dataplane/replay/state_text.h"

#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "conntrack/state_names.h"

namespace sluice {
namespace {

// Of ICMP, which has phases without names, the number.
std::string Phase(uint8_t proto, uint8_t phase) {
  const std::string_view name = PhaseName(proto, phase);
  return name.empty() ? absl::StrCat(phase) : std::string(name);
}

std::string Host(const Address& host, uint16_t port) {
  const std::string address = ToString(host);
  if (port == 0) return address;
  return host.family == Family::kIpv4 ? absl::StrCat(address, ":", port)
                                      : absl::StrCat(address, "[", port, "]");
}

// As it goes on behind the firewall, and in brackets as it came, if that is
// not the same.
std::string Host(const StateRecord& record, size_t peer) {
  const std::string came = Host(record.address[peer], record.port[peer]);
  if (record.translated_family == Family::kNone) return came;
  const std::string went =
      Host(record.translated_address[peer], record.translated_port[peer]);
  return went == came ? came : absl::StrCat(went, " (", came, ")");
}

// Behind what it belongs to, if there is one.
std::string Vlan(VlanId vlan) {
  return vlan.IsSet() ? absl::StrCat(" vlan ", ToString(vlan)) : "";
}

// Without the phases: what names the state. pf has it the way that packets go
// on where that is in another family.
std::string Flow(const StateRecord& record) {
  const bool crosses = record.translated_family != Family::kNone &&
                       record.translated_family != record.family;
  const bool out = record.direction == Direction::kOut || crosses;
  return absl::StrCat("all ", ProtocolName(record.proto), " ",
                      Host(record, out ? 0 : 1), out ? " -> " : " <- ",
                      Host(record, out ? 1 : 0), Vlan(record.vlan));
}

}  // namespace

std::string StateLine(const StateTable& states, const StateRecord& record,
                      Tick now) {
  const bool out = record.direction == Direction::kOut;
  std::string line = Flow(record);
  if (record.proxy != ProxyPhase::kNone) {
    absl::StrAppend(&line, record.proxy == ProxyPhase::kClient ? " PROXY:SRC"
                                                               : " PROXY:DST");
  } else {
    absl::StrAppend(&line, " ", Phase(record.proto, record.phase[out ? 0 : 1]),
                    ":", Phase(record.proto, record.phase[out ? 1 : 0]));
  }
  if (record.parent.IsSet()) {
    const StateIndex parent = states.entries().Resolve(record.parent);
    absl::StrAppend(&line, ", child of ",
                    parent == kNoState ? "nothing"
                                       : Flow(states.Record(parent, now)));
  }
  return line;
}

std::string SourceLine(const SourceRecord& record) {
  Address target = record.target;
  target.family = record.key.family;
  return absl::StrCat(
      ToString(Address::FromBytes(record.key.family,
                                  record.key.address.data())),
      " -> ", ToString(target), Vlan(record.key.vlan), " ( states ",
      record.states,
      ", connections ", record.connections, ", rate ",
      record.rate / kRateUnit, ".", record.rate % kRateUnit / 100, "/",
      record.rate_seconds, "s )");
}

}  // namespace sluice
