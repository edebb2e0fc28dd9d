// What the files of Pipeline for ports of routers share.
#ifndef SLUICE_DATAPLANE_FORWARD_PIPELINE_HOPS_H_
#define SLUICE_DATAPLANE_FORWARD_PIPELINE_HOPS_H_

#include <bit>
#include <cstdint>

#include "packet/address.h"
#include "packet/answer.h"
#include "packet/packet.h"

namespace sluice {

template <typename Use>
void ForEachIn(uint32_t mask, Use use) {
  for (; mask != 0; mask &= mask - 1) {
    use(static_cast<uint32_t>(std::countr_zero(mask)));
  }
}

// In both families; of each the code that is not the other's, and why.
struct Told {
  RouterError v4;
  RouterError v6;

  const RouterError& For(Family family) const {
    return family == Family::kIpv6 ? v6 : v4;
  }
};
inline constexpr Told kNetUnreachable = {.v4 = {.type = 3, .code = 0},
                                  .v6 = {.type = 1, .code = 0}};
inline constexpr Told kHostUnreachable = {.v4 = {.type = 3, .code = 1},
                                   .v6 = {.type = 1, .code = 3}};
inline constexpr Told kUnreachableRoute = {.v4 = {.type = 3, .code = 1},
                                    .v6 = {.type = 1, .code = 0}};
inline constexpr Told kProhibited = {.v4 = {.type = 3, .code = 13},
                              .v6 = {.type = 1, .code = 1}};
inline constexpr Told kTimeExceeded = {.v4 = {.type = 11, .code = 0},
                                .v6 = {.type = 3, .code = 0}};
inline constexpr Told kPacketTooBig = {.v4 = {.type = 3, .code = 4},
                                .v6 = {.type = 2, .code = 0}};

inline Address DestinationOf(const PacketInfo& info) {
  return {.family = info.family, .bytes = info.destination};
}

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FORWARD_PIPELINE_HOPS_H_
