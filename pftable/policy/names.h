// The words that pf has for numbers: ICMP types and codes, TCP flags, TOS
// values, and the common protocols and services for machines without
// /etc/protocols and /etc/services.
#ifndef SLUICE_PFTABLE_POLICY_NAMES_H_
#define SLUICE_PFTABLE_POLICY_NAMES_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "packet/address.h"
#include "pftable/policy/policy.h"

namespace sluice {

struct IcmpTypeName {
  std::string_view name;
  uint8_t type;
};
struct IcmpCodeName {
  std::string_view name;
  uint8_t type;
  uint8_t code;
};

// By family: kIpv6 for ICMPv6, all else ICMP.
std::span<const IcmpTypeName> IcmpTypeNames(Family family);
std::span<const IcmpCodeName> IcmpCodeNames(Family family);
std::optional<uint8_t> IcmpTypeByName(std::string_view name, Family family);
std::optional<uint8_t> IcmpCodeByName(std::string_view name, uint8_t type,
                                      Family family);
// The name, or the number in decimal. The dialects differ in the name of
// ICMPv6 unreachable code 2.
std::string IcmpTypeText(uint8_t type, Family family);
std::string IcmpCodeText(uint8_t type, uint8_t code, Family family,
                         Dialect dialect);

// "SA" to 0x12; nothing for other letters. The empty text is 0.
std::optional<uint8_t> ParseTcpFlags(std::string_view text);
std::string TcpFlagsText(uint8_t flags);

// "lowdelay", "af11", "cs3", "ef", ... to the TOS byte.
std::optional<uint8_t> TosByName(std::string_view name);
std::vector<std::string_view> TosNames();

struct NumberName {
  std::string_view name;
  uint16_t number;
};
// Canonical names of the protocols every host knows.
std::span<const NumberName> CommonProtocols();
// Services with the same number for TCP and UDP.
std::span<const NumberName> CommonServices();

// As rules have it: "route-to"; "" for kNone.
std::string_view Name(RouteKind kind);

// The dialect's words for `set debug`.
std::span<const std::string_view> DebugWords(Dialect dialect);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_POLICY_NAMES_H_
