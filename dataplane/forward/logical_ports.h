// The logical ports of a device: which one a frame's tags lead to.
//
// Built by the control lcore for each parent, immutable once the workers have
// it (Topology).
#ifndef SLUICE_DATAPLANE_FORWARD_LOGICAL_PORTS_H_
#define SLUICE_DATAPLANE_FORWARD_LOGICAL_PORTS_H_

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/forward/topology.h"
#include "packet/frame_tags.h"

namespace sluice {

class LogicalPorts {
 public:
  struct Child {
    VlanTags tags;
    uint16_t port = kNoPort;

    friend bool operator==(const Child&, const Child&) = default;
  };

  // No two have the same tags.
  explicit LogicalPorts(std::span<const Child> children);

  struct Found {
    uint16_t port = kNoPort;  // none has these tags
    uint8_t pop = 0;          // of the tags, those that are the port's own
  };
  // A port with a pair comes before the one with its outer tag alone, which
  // gets all other frames with that tag, as they are behind it.
  Found Find(VlanTags tags) const {
    if (!tags.any()) return {};
    if (tags.inner != 0 && !pairs_.empty()) {
      const uint16_t port = FindPair(tags);
      if (port != kNoPort) return {.port = port, .pop = 2};
    }
    return {.port = single_[tags.outer], .pop = 1};
  }

 private:
  static constexpr size_t kNumbers = 4096;
  struct Pair {
    uint32_t key = 0;  // never that of a pair
    uint16_t port = kNoPort;
  };
  static uint32_t KeyOf(VlanTags tags) {
    return uint32_t{tags.outer} << 12 | tags.inner;
  }
  size_t PlaceOf(uint32_t key) const {
    return (key * 0x9e3779b1u) >> shift_;
  }
  uint16_t FindPair(VlanTags tags) const;

  std::array<uint16_t, kNumbers> single_;  // by outer number
  // Open addressing with a power of two of places, half of them empty.
  std::vector<Pair> pairs_;
  uint32_t shift_ = 31;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FORWARD_LOGICAL_PORTS_H_
