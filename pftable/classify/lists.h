// Lists of rules by class: most rules of a large policy pick few of the values
// of some dimension, an address above all. Such a rule stands in the lists of
// the classes of that dimension which it picks, with its other conditions in a
// record that is compared at once.
#ifndef SLUICE_PFTABLE_CLASSIFY_LISTS_H_
#define SLUICE_PFTABLE_CLASSIFY_LISTS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "pftable/classify/flatten.h"

namespace sluice::classify {

// What records are compared with: the intervals of source and destination,
// the ports.
inline constexpr size_t kCompared = 4;

struct alignas(16) Record {
  std::array<uint32_t, kCompared> low;
  std::array<uint32_t, kCompared> high;  // within it
  uint32_t entry;
  uint16_t transport;  // numbers of FlatRule's
  uint16_t link;
  std::array<uint32_t, 2> unused;
};
static_assert(sizeof(Record) == 48);

// Of one dimension; ascending by entry.
struct Lists {
  std::vector<uint32_t> offsets;  // by class, and the end of the last one
  std::vector<Record> records;

  bool empty() const { return records.empty(); }
  std::span<const Record> list(uint32_t number) const {
    return {records.data() + offsets[number],
            records.data() + offsets[number + 1]};
  }
  size_t MemoryUse() const {
    return offsets.capacity() * sizeof(uint32_t) +
           records.capacity() * sizeof(Record);
  }
};

// Which conditions hold for which classes of a dimension: a bit each.
class HoldBits {
 public:
  void Start(size_t conditions) { words_ = (conditions + 63) / 64; }
  // Of the next class.
  void Add(const std::vector<bool>& holds) {
    const size_t first = bits_.size();
    bits_.resize(first + words_);
    for (size_t i = 0; i < holds.size(); ++i) {
      bits_[first + i / 64] |= uint64_t{holds[i]} << (i % 64);
    }
  }
  bool Get(uint32_t number, uint32_t condition) const {
    return (bits_[number * words_ + condition / 64] >> (condition % 64) & 1) !=
           0;
  }

 private:
  size_t words_ = 0;
  std::vector<uint64_t> bits_;
};

}  // namespace sluice::classify

#endif  // SLUICE_PFTABLE_CLASSIFY_LISTS_H_
