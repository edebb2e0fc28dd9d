// The classes of a dimension, one interval after the other; those of ports as
// they are looked up (those of addresses: address_classes.h).
#ifndef SLUICE_PFTABLE_CLASSIFY_INTERVALS_H_
#define SLUICE_PFTABLE_CLASSIFY_INTERVALS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "pftable/classify/cuts.h"
#include "pftable/classify/interval_set.h"
#include "pftable/classify/rows.h"
#include "pftable/tables/address_classes.h"

namespace sluice::classify {

using search::AddressClasses;
using search::Intervals;

// Rules of all values are taken for wild. *numbers: by interval of the cuts,
// which of `intervals` it is in. With `most` below what rows would store:
// nothing, and `rows` is of no use then.
bool Sweep(const Cuts& cuts, size_t most, RowBuilder& rows,
           Intervals* intervals, std::vector<uint32_t>* numbers);

// Classes of ports: pages of 256, equal ones stored once.
class PortClasses {
 public:
  void Build(const Intervals& intervals);
  uint16_t Find(uint16_t port) const {
    return classes_[pages_[port >> 8] << 8 | (port & 255)];
  }
  size_t MemoryUse() const { return classes_.capacity() * sizeof(uint16_t); }

 private:
  std::array<uint16_t, 256> pages_{};
  std::vector<uint16_t> classes_;
};

}  // namespace sluice::classify

#endif  // SLUICE_PFTABLE_CLASSIFY_INTERVALS_H_
