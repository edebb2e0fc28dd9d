// `(if)`: addresses of interfaces that may change while rules are in force.
#ifndef SLUICE_PFTABLE_ENGINE_DYNAMIC_ADDRESSES_H_
#define SLUICE_PFTABLE_ENGINE_DYNAMIC_ADDRESSES_H_

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "packet/address.h"
#include "pftable/engine/interface_registry.h"
#include "pftable/policy/rule.h"
#include "pftable/tables/address_table.h"

namespace sluice {

// What rules ask for.
struct DynamicAddress {
  std::string name;  // of an interface or a group, or "self"
  InterfaceModifiers modifiers{};
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
  // Whether a prefix of that list has the address: `self` of a machine with
  // thousands of ports is a long one, and packets ask for each rule.
  bool Contains(size_t i, Family family,
                const std::array<uint8_t, 16>& address) const;
  friend bool operator==(const AddressLists& a, const AddressLists& b) {
    return a.ends_ == b.ends_ && a.prefixes_ == b.prefixes_;
  }

 private:
  friend AddressLists Resolve(std::span<const DynamicAddress> wanted,
                              const InterfaceRegistry& interfaces);
  // Lists of more are tries as well.
  static constexpr size_t kShort = 8;
  std::vector<uint32_t> ends_;
  std::vector<Prefix> prefixes_;
  std::vector<AddressTable> tables_;  // of the long lists
  std::vector<uint32_t> table_of_;    // by list: a place there, if it is long
};

// As it is now. Throws std::bad_alloc.
AddressLists Resolve(std::span<const DynamicAddress> wanted,
                     const InterfaceRegistry& interfaces);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_ENGINE_DYNAMIC_ADDRESSES_H_
