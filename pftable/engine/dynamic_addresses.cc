#include "pftable/engine/dynamic_addresses.h"

#include <algorithm>

#include "pftable/engine/route_view.h"

namespace sluice {
namespace {

void AddAll(const DynamicAddress& wanted, const InterfaceRegistry& interfaces,
            std::vector<Prefix>* prefixes) {
  const InterfaceModifiers& modifiers = wanted.modifiers;
  // As pf has it, of links between two only; ports are none.
  if (modifiers.peer) return;
  for (const InterfaceRegistry::PortAddress& port :
       interfaces.Addresses(wanted.name)) {
    const Family family = port.prefix.address.family;
    if (modifiers.no_alias && !port.primary) continue;
    if (modifiers.network && IsOfOneLink(port.prefix.address)) continue;
    const auto bits = static_cast<uint8_t>(AddressBits(family));
    Prefix prefix{.address = port.prefix.address, .length = bits};
    if (modifiers.broadcast) {
      if (family != Family::kIpv4) continue;
      const uint32_t mask = MaskOf(family, port.prefix.length).v4().host();
      prefix.address = Address::V4(prefix.address.v4().host() | ~mask);
    } else if (modifiers.network) {
      prefix.length = port.prefix.length;
    }
    prefix.length = std::min(prefix.length, wanted.length);
    prefixes->push_back(prefix.Masked());
  }
}

}  // namespace

AddressLists Resolve(std::span<const DynamicAddress> wanted,
                     const InterfaceRegistry& interfaces) {
  AddressLists lists;
  lists.ends_.reserve(wanted.size());
  for (const DynamicAddress& one : wanted) {
    AddAll(one, interfaces, &lists.prefixes_);
    lists.ends_.push_back(static_cast<uint32_t>(lists.prefixes_.size()));
  }
  return lists;
}

}  // namespace sluice
