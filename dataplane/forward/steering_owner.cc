#include "dataplane/forward/steering.h"
#include "packet/inner.h"

namespace sluice {

uint16_t Steering::Owner(const rte_mbuf& mbuf, const PacketInfo& info) const {
  if (info.has(kIcmpError)) {
    PacketInfo inner{};
    DropReason reason;
    if (ParseInner(mbuf, info, &inner, &reason)) {
      return reta_[SymmetricHash(inner) % kRetaSize];
    }
  }
  return reta_[SymmetricHash(info) % kRetaSize];
}

}  // namespace sluice
