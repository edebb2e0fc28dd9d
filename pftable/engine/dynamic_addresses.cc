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
  lists.table_of_.resize(wanted.size());
  for (const DynamicAddress& one : wanted) {
    AddAll(one, interfaces, &lists.prefixes_);
    lists.ends_.push_back(static_cast<uint32_t>(lists.prefixes_.size()));
    const size_t place = lists.ends_.size() - 1;
    const std::span<const Prefix> list = lists[place];
    if (list.size() <= AddressLists::kShort) continue;
    std::vector<AddressTable::Edit> edits;
    edits.reserve(list.size());
    for (const Prefix& prefix : list) edits.push_back({.prefix = prefix});
    lists.table_of_[place] = static_cast<uint32_t>(lists.tables_.size());
    lists.tables_.push_back(AddressTable().With(edits));
  }
  return lists;
}

bool AddressLists::Contains(size_t i, Family family,
                            const std::array<uint8_t, 16>& address) const {
  const std::span<const Prefix> list = (*this)[i];
  if (list.size() > kShort) {
    return tables_[table_of_[i]].view().Contains(family, address.data());
  }
  const Address a = Address::FromBytes(family, address.data());
  return std::ranges::any_of(
      list, [&](const Prefix& prefix) { return prefix.Contains(a); });
}

}  // namespace sluice
