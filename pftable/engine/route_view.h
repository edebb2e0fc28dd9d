// What rules may ask of routes: `no-route` and `urpf-failed`.
//
// Worker side: implementations neither allocate, lock nor throw.
#ifndef SLUICE_PFTABLE_ENGINE_ROUTE_VIEW_H_
#define SLUICE_PFTABLE_ENGINE_ROUTE_VIEW_H_

#include "packet/address.h"

namespace sluice {

// The routes of the router that an interface belongs to, as they are seen from
// there. An interface without a router has no view, and both conditions never
// hold at it.
class RouteView {
 public:
  virtual ~RouteView() = default;
  // Whether there is a route to the address at all, blackholes included.
  virtual bool HasRoute(const Address& address) const = 0;
  // Whether a route to the address, any next hop considered, leads out by the
  // interface (RFC 3704, strict).
  virtual bool LeadsBack(const Address& address) const = 0;
};

// As in both pfs, addresses that are good on one link only have a route and
// come from where they should, whatever the table says: IPv6 link-local ones,
// and groups of that or a smaller scope (RFC 4291, 2.5.6 and 2.7).
inline bool IsOfOneLink(const Address& address) {
  if (address.family != Family::kIpv6) return false;
  const uint8_t second = address.bytes[1];
  if (address.bytes[0] == 0xff) return (second & 0x0f) <= 2;
  return address.bytes[0] == 0xfe && (second & 0xc0) == 0x80;
}

}  // namespace sluice

#endif  // SLUICE_PFTABLE_ENGINE_ROUTE_VIEW_H_
