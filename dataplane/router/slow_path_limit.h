// How much of what comes by a port the kernel gets: a flood of one kind must
// not keep it, or this thread, from the others. Pure.
#ifndef SLUICE_DATAPLANE_ROUTER_SLOW_PATH_LIMIT_H_
#define SLUICE_DATAPLANE_ROUTER_SLOW_PATH_LIMIT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "packet/address.h"

namespace sluice {

enum class HostKind : uint8_t {
  kArp,
  kNeighborDiscovery,  // ICMPv6 types 133 to 137
  kOther,              // for the router's own addresses, groups, broadcasts
};
inline constexpr size_t kHostKinds = 3;

// Of a frame's first bytes, with up to two VLAN tags.
HostKind KindOf(std::span<const uint8_t> frame);

// Who makes a neighbour of himself by a frame: he asks for an address, says
// that he is a router or that he looks for one. The kernel makes an entry for
// each that it does not know.
struct Asker {
  Address sender;
  Address target{};  // kNone: for none in particular
};
std::optional<Asker> AskerOf(std::span<const uint8_t> frame);

// Frames a second of each kind, and as many at once.
using HostRates = std::array<uint32_t, kHostKinds>;
inline constexpr HostRates kHostRates = {1000, 1000, 20000};
// Of those that ask for the router and are not known, a second. The kernel has
// room for 1024 neighbours (net.ipv4.neigh.default.gc_thresh3), takes none out
// that is not five seconds old, and finds nobody any more when it is full.
inline constexpr uint32_t kStrangers = 100;

// Of one port.
class SlowPathLimit {
 public:
  explicit SlowPathLimit(const HostRates& rates = kHostRates);

  // Whether one more may pass at `now`, milliseconds.
  bool Take(HostKind kind, uint64_t now);
  // And one of somebody whom the kernel does not know. It has a table for each
  // family.
  bool TakeStranger(HostKind kind, uint64_t now);

 private:
  struct Bucket {
    uint32_t rate = 0;         // a second
    uint64_t thousandths = 0;  // of a frame
    uint64_t filled = 0;       // when

    bool Take(uint64_t now);
  };
  std::array<Bucket, kHostKinds> buckets_{};
  std::array<Bucket, kHostKinds> strangers_{};
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_ROUTER_SLOW_PATH_LIMIT_H_
