// Which VLAN a frame is in. Hosts of two VLANs have nothing to do with each
// other, whatever their addresses are: all that is remembered of packets
// (states, expectations, fragments, sources) is remembered by VLAN.
//
// What counts are the numbers of the two outermost tags. 802.1Q and 802.1ad
// tags with one number are the same (drivers turn one into the other), and
// number 0 is a priority without a VLAN: such a tag names none.
#ifndef SLUICE_PACKET_VLAN_H_
#define SLUICE_PACKET_VLAN_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "packet/packet.h"

namespace sluice {

inline constexpr int kVlanBits = 12;
inline constexpr uint16_t kVlanMask = (1 << kVlanBits) - 1;

// The outer number, above it the inner one of two. 0: no VLAN.
struct VlanId {
  uint32_t value = 0;

  static constexpr VlanId Of(uint16_t outer, uint16_t inner = 0) {
    const uint32_t first = outer & kVlanMask;
    const uint32_t second = inner & kVlanMask;
    return first != 0 ? VlanId{first | second << kVlanBits} : VlanId{second};
  }
  constexpr uint16_t outer() const { return value & kVlanMask; }
  constexpr uint16_t inner() const {
    return static_cast<uint16_t>(value >> kVlanBits);
  }
  constexpr bool IsSet() const { return value != 0; }
  friend bool operator==(VlanId, VlanId) = default;
};

// Of a frame with a tag at all.
VlanId ReadVlan(const rte_mbuf& mbuf, const PacketInfo& info);

// `info` describes `mbuf`.
inline VlanId VlanOf(const rte_mbuf& mbuf, const PacketInfo& info) {
  return info.has(kVlanTagged) ? ReadVlan(mbuf, info) : VlanId();
}

// "42", of two tags "7.42" with the outer one first, "0" for no VLAN.
std::string ToString(VlanId vlan);
// The same, numbers up to 4095. Nothing if it is none.
std::optional<VlanId> ParseVlan(std::string_view text);

}  // namespace sluice

#endif  // SLUICE_PACKET_VLAN_H_
