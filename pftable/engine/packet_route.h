// Where rules send packets instead of where the routes say: `route-to`,
// `reply-to` and `dup-to`.
#ifndef SLUICE_PFTABLE_ENGINE_PACKET_ROUTE_H_
#define SLUICE_PFTABLE_ENGINE_PACKET_ROUTE_H_

#include <cstdint>
#include <type_traits>

#include "packet/address.h"
#include "pftable/policy/rule.h"

namespace sluice {

struct PacketRoute {
  RouteKind kind = RouteKind::kNone;
  // FreeBSD's `(if gw)`: by that interface (InterfaceView::id; 0: nothing has
  // the name). Else by the one that the route to the gateway leads to.
  bool by_interface = false;
  uint16_t interface = 0;
  // kNone, with an interface only: the destination is on its link.
  Address gateway;

  bool IsSet() const { return kind != RouteKind::kNone; }
  // Whether it says where a packet goes whose state was made in `made`, and
  // which is judged in `judged`: replies are the other way about.
  bool AppliesTo(Direction made, Direction judged) const {
    return kind == RouteKind::kDupTo ||
           (kind == RouteKind::kRouteTo) == (made == judged);
  }
  friend bool operator==(const PacketRoute&, const PacketRoute&) = default;
};
static_assert(std::is_trivially_copyable_v<PacketRoute>);

// The interface to which FreeBSD's pf binds a state that is bound to one and
// that a rule has sent out by another; 0: to none but that of its first packet.
inline uint16_t BoundByRoute(const PacketRoute& route, Direction made) {
  return route.kind == RouteKind::kRouteTo && route.by_interface &&
                 made == Direction::kOut
             ? route.interface
             : 0;
}

}  // namespace sluice

#endif  // SLUICE_PFTABLE_ENGINE_PACKET_ROUTE_H_
