// Classes of what is in a packet's headers besides addresses and ports.
#ifndef SLUICE_PFTABLE_CLASSIFY_TRANSPORT_H_
#define SLUICE_PFTABLE_CLASSIFY_TRANSPORT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "packet/packet.h"
#include "pftable/classify/flatten.h"
#include "pftable/classify/lists.h"
#include "pftable/classify/rows.h"

namespace sluice::classify {

// Values are the protocol of fragments, the flags of TCP, the type and code of
// the family's ICMP, and the protocol of all else.
class TransportClasses {
 public:
  // `conditions`: lists of them that all hold, by number; `numbers`: each
  // rule's. An empty list is no condition. False: more classes than numbers.
  bool Build(Family family,
             std::span<const std::vector<TransportCondition>> conditions,
             std::span<const uint32_t> numbers, RowBuilder& rows);

  uint16_t Find(const PacketInfo& packet) const {
    if (packet.has(kFragment)) return fragments_[packet.proto];
    if (packet.proto == protocol::kTcp) return tcp_[packet.tcp_flags];
    if (packet.proto == icmp_protocol_) {
      return icmp_[icmp_pages_[packet.icmp_type] << 8 | packet.icmp_code];
    }
    return others_[packet.proto];
  }

  const HoldBits& holds() const { return holds_; }

 private:
  HoldBits holds_;
  uint8_t icmp_protocol_ = 0;
  std::array<uint16_t, 256> fragments_{};
  std::array<uint16_t, 256> tcp_{};
  std::array<uint16_t, 256> others_{};
  std::array<uint16_t, 256> icmp_pages_{};
  std::vector<uint16_t> icmp_;
};

}  // namespace sluice::classify

#endif  // SLUICE_PFTABLE_CLASSIFY_TRANSPORT_H_
