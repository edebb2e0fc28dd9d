// How much of what comes by a port the kernel gets: a flood of one kind must
// not keep it, or this thread, from the others. Pure.
#ifndef SLUICE_DATAPLANE_ROUTER_SLOW_PATH_LIMIT_H_
#define SLUICE_DATAPLANE_ROUTER_SLOW_PATH_LIMIT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace sluice {

enum class HostKind : uint8_t {
  kArp,
  kNeighborDiscovery,  // ICMPv6 types 133 to 137
  kOther,              // for the router's own addresses, groups, broadcasts
};
inline constexpr size_t kHostKinds = 3;

// Of a frame's first bytes, with up to two VLAN tags.
HostKind KindOf(std::span<const uint8_t> frame);

// Frames a second of each kind, and as many at once.
using HostRates = std::array<uint32_t, kHostKinds>;
inline constexpr HostRates kHostRates = {1000, 1000, 20000};

// Of one port.
class SlowPathLimit {
 public:
  explicit SlowPathLimit(const HostRates& rates = kHostRates);

  // Whether one more may pass at `now`, milliseconds.
  bool Take(HostKind kind, uint64_t now);

 private:
  struct Bucket {
    uint64_t thousandths = 0;  // of a frame
    uint64_t filled = 0;       // when
  };
  HostRates rates_;
  std::array<Bucket, kHostKinds> buckets_{};
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_ROUTER_SLOW_PATH_LIMIT_H_
