#include "dataplane/forward/steering.h"
#include "packet/icmp.h"
#include "packet/inner.h"

namespace sluice {

namespace {

uint32_t HashOf(const rte_mbuf& mbuf, const PacketInfo& info) {
  if (info.proto != protocol::kIcmp6 || info.family != Family::kIpv6 ||
      info.has(kFragment)) {
    return SymmetricHash(info);
  }
  if (IsNeighborMessage(info)) {
    const IcmpEnds ends = NeighborEnds(mbuf, info);
    return SymmetricHash(Address::FromBytes(Family::kIpv6, ends.source.data()),
                         Address::FromBytes(Family::kIpv6,
                                            ends.destination.data()),
                         Be16(0), Be16(0));
  }
  if (!IsAskedOfMany(info.icmp_type)) return SymmetricHash(info);
  return HashOfQuerier(MapIcmp(Family::kIpv6, info.icmp_type).reply
                           ? info.destination_address()
                           : info.source_address());
}

}  // namespace

uint32_t HashOfQuerier(const Address& querier) {
  return SymmetricHash(querier, Address{.family = Family::kIpv6, .bytes = {}},
                       Be16(0), Be16(0));
}

uint16_t Steering::Owner(const rte_mbuf& mbuf, const PacketInfo& info) const {
  if (info.has(kIcmpError)) {
    PacketInfo inner{};
    DropReason reason;
    if (ParseInner(mbuf, info, &inner, &reason)) {
      return reta_[HashOf(mbuf, inner) % kRetaSize];
    }
  }
  return reta_[HashOf(mbuf, info) % kRetaSize];
}

}  // namespace sluice
