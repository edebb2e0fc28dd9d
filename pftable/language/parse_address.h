// Addresses as a ruleset writes them, and those that interfaces have: what
// HostParser resolves names with. Internal to the language front-end.
#ifndef SLUICE_PFTABLE_LANGUAGE_PARSE_ADDRESS_H_
#define SLUICE_PFTABLE_LANGUAGE_PARSE_ADDRESS_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pftable/host/host_facts.h"
#include "pftable/language/syntax.h"

namespace sluice {

AddressMatch PrefixMatch(const Address& address, int bits);

// "10", "10.1", "192.168.1": fewer than four numbers are the front of a
// network. Its length, if none is given, comes from the address's class, but
// is at least as long as what is written.
struct ShortAddress {
  Address address;
  int bits = 0;
};
std::optional<ShortAddress> ParseShortIpv4(std::string_view text);

bool IsLinkLocal(const Address& a);

// Splits "em0:network:0". False if a modifier is unknown.
bool SplitModifiers(std::string_view text, std::string& name,
                    InterfaceModifiers& modifiers, std::string& unknown);
std::string ModifierHint(std::string_view modifier);

// The addresses that an interface or group has under the modifiers, as pf
// picks them.
std::vector<HostItem> InterfaceAddresses(
    const std::vector<const InterfaceFacts*>& interfaces,
    const InterfaceModifiers& modifiers);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_LANGUAGE_PARSE_ADDRESS_H_
