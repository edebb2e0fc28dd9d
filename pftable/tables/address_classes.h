// From an address to its class: sorted intervals and how they are searched.
// Built by the control side; Find() is for workers.
#ifndef SLUICE_PFTABLE_TABLES_ADDRESS_CLASSES_H_
#define SLUICE_PFTABLE_TABLES_ADDRESS_CLASSES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "packet/packet.h"
#include "pftable/tables/vectors.h"

namespace sluice::search {

// An address or a port in host order.
using Number = unsigned __int128;

// Interval i goes from starts[i] to before starts[i + 1]; starts[0] is 0.
// Neighbours are of different classes.
struct Intervals {
  std::vector<Number> starts;
  std::vector<uint32_t> classes;
};

// Sixteen 32-bit numbers a node.
class Search32 {
 public:
  using Node = Node32;

  void Build(std::span<const uint32_t> starts,
             Vectors vectors = BestVectors());
  // The interval that each key is in. `out` may not be `keys`.
  void Find(const uint32_t* keys, uint32_t count, uint32_t* out) const {
    find_(nodes_.data(), levels_, keys, count, out);
  }
  size_t MemoryUse() const { return nodes_.capacity() * sizeof(Node); }

 private:
  std::vector<Node> nodes_;
  std::vector<SearchLevel> levels_;
  Find32 find_ = Find32By(Vectors::kNone);
};

// The same for 64-bit numbers, eight a node.
class Search64 {
 public:
  using Node = Node64;

  void Build(std::span<const uint64_t> starts,
             Vectors vectors = BestVectors());
  void Find(const uint64_t* keys, uint32_t count, uint32_t* out) const {
    find_(nodes_.data(), levels_, keys, count, out);
  }
  size_t MemoryUse() const { return nodes_.capacity() * sizeof(Node); }

 private:
  std::vector<Node> nodes_;
  std::vector<SearchLevel> levels_;
  Find64 find_ = Find64By(Vectors::kNone);
};

// Classes of addresses of one family.
class AddressClasses {
 public:
  void Build(Family family, const Intervals& intervals);
  // The interval of each. `addresses`: network order, as PacketInfo has them.
  void Find(const std::array<uint8_t, 16>* const* addresses, uint32_t count,
            uint32_t* intervals) const;
  uint32_t ClassOf(uint32_t interval) const { return classes_[interval]; }
  // Of one address, class and all.
  uint32_t FindClass(const std::array<uint8_t, 16>& address) const {
    const std::array<uint8_t, 16>* const one = &address;
    uint32_t interval;
    Find(&one, 1, &interval);
    return classes_[interval];
  }
  size_t MemoryUse() const;

 private:
  void FindV4(const std::array<uint8_t, 16>* const* addresses,
              uint32_t count, uint32_t* intervals) const;
  void FindV6(const std::array<uint8_t, 16>* const* addresses,
              uint32_t count, uint32_t* intervals) const;

  Family family_ = Family::kNone;
  std::vector<uint32_t> classes_;  // by interval
  Search32 search32_;
  // IPv6: the upper halves, each once; of the i-th, lows_[firsts_[i],
  // firsts_[i + 1]) are the lower halves of the starts that have it.
  Search64 search64_;
  std::vector<uint64_t> highs_;
  std::vector<uint32_t> firsts_;
  std::vector<uint64_t> lows_;  // by interval
};

}  // namespace sluice::search

#endif  // SLUICE_PFTABLE_TABLES_ADDRESS_CLASSES_H_
