// `(if)`: addresses of interfaces that may change while rules are in force.
#ifndef SLUICE_PFTABLE_ENGINE_DYNAMIC_ADDRESSES_H_
#define SLUICE_PFTABLE_ENGINE_DYNAMIC_ADDRESSES_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "packet/address.h"
#include "pftable/engine/interface_registry.h"
#include "pftable/policy/rule.h"

namespace sluice {

// What rules ask for.
struct DynamicAddress {
  std::string name;  // of an interface or a group, or "self"
  InterfaceModifiers modifiers;
  uint8_t length = 255;  // `/24`: of networks at most so long

  friend bool operator==(const DynamicAddress&,
                         const DynamicAddress&) = default;
};

// What that stands for. Plain memory, for workers too.
class AddressLists {
 public:
  // Of DynamicAddress by its place.
  std::span<const Prefix> operator[](size_t i) const {
    return std::span(prefixes_).subspan(i == 0 ? 0 : ends_[i - 1],
                                        ends_[i] - (i == 0 ? 0 : ends_[i - 1]));
  }
  size_t size() const { return ends_.size(); }
  friend bool operator==(const AddressLists&, const AddressLists&) = default;

 private:
  friend AddressLists Resolve(std::span<const DynamicAddress> wanted,
                              const InterfaceRegistry& interfaces);
  std::vector<uint32_t> ends_;
  std::vector<Prefix> prefixes_;
};

// As it is now. Throws std::bad_alloc.
AddressLists Resolve(std::span<const DynamicAddress> wanted,
                     const InterfaceRegistry& interfaces);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_ENGINE_DYNAMIC_ADDRESSES_H_
