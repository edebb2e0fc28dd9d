// What rules do to the headers of the packets that they let through: `scrub
// (...)`, `set tos`, `set prio`, and the size that `max-pkt-size` allows.
#ifndef SLUICE_PFTABLE_ENGINE_PACKET_ACTIONS_H_
#define SLUICE_PFTABLE_ENGINE_PACKET_ACTIONS_H_

#include <array>
#include <cstdint>
#include <type_traits>

namespace sluice {

struct PacketActions {
  enum Flag : uint8_t {
    kClearDontFragment = 1 << 0,  // no-df
    kRandomId = 1 << 1,
    kSetTos = 1 << 2,
    kSetPriority = 1 << 3,
    kScrubTcp = 1 << 4,  // reassemble tcp; of packets that have a state
    // Of states: their packets count for their rule's `max-pkt-rate`.
    kPacketRate = 1 << 5,
    // Rules say where they go: StateTemplate::route.
    kRoute = 1 << 6,
  };

  uint8_t flags = 0;
  uint8_t min_ttl = 0;  // 0: as it is
  uint8_t tos = 0;      // with kSetTos; the packet keeps its ECN bits
  // VLAN priorities (PCP), with kSetPriority; the second is for packets that
  // ask for low delay and for TCP acknowledgments without data.
  std::array<uint8_t, 2> priority{};
  uint8_t reserved = 0;
  uint16_t max_mss = 0;          // 0: as it is
  uint16_t max_packet_size = 0;  // 0: any; bytes of the IP packet

  bool has(Flag flag) const { return (flags & flag) != 0; }
  // `tos` and `priority` mean nothing without their flags.
  bool empty() const {
    return flags == 0 && min_ttl == 0 && max_mss == 0 && max_packet_size == 0;
  }
  // What a later rule says holds, all else stays (pf's sticky parameters).
  void Add(const PacketActions& later) {
    if (later.empty()) [[likely]] return;
    flags |= later.flags;
    if (later.min_ttl != 0) min_ttl = later.min_ttl;
    if (later.has(kSetTos)) tos = later.tos;
    if (later.has(kSetPriority)) priority = later.priority;
    if (later.max_mss != 0) max_mss = later.max_mss;
    if (later.max_packet_size != 0) max_packet_size = later.max_packet_size;
  }

  friend bool operator==(const PacketActions&, const PacketActions&) = default;
};
static_assert(sizeof(PacketActions) == 10);
static_assert(std::is_trivially_copyable_v<PacketActions>);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_ENGINE_PACKET_ACTIONS_H_
