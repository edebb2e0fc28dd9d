// Where a router sends a packet, and why: what the pipeline does at routed ports
// once more, with notes. For who explains it; nothing is counted or changed.
#ifndef SLUICE_DATAPLANE_FORWARD_EXPLAIN_WAY_H_
#define SLUICE_DATAPLANE_FORWARD_EXPLAIN_WAY_H_

#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/forward/topology.h"
#include "dataplane/routing/routing_tables.h"
#include "packet/drop_reason.h"
#include "packet/packet.h"
#include "pftable/engine/packet_route.h"

namespace sluice {

// A port of the router.
struct WayPort {
  uint16_t number = kNoPort;
  uint16_t interface = 0;  // InterfaceView::id
};

struct WayRequest {
  // As it is behind the judgement, `ttl` as it came.
  const PacketInfo& packet;
  uint16_t arrival = kNoPort;
  std::span<const WayPort> ports;
  // Of the rule that has passed it, if that says something there; else null.
  const PacketRoute* route = nullptr;
  // The judgement has made the other family of it.
  bool crosses = false;
};

struct ExplainedWay {
  RouteAnswer answer;
  // Of the route that was taken; none: a rule's `(if gw)`, an address of the
  // router's own, or there is none.
  std::optional<Prefix> prefix;
  NeighborState neighbor = NeighborState::kUnknown;  // of the next hop
  MacAddress mac{};                                  // with kKnown
  std::optional<DropReason> drop;
};

// Behind the judgement in. With a dup-to: of the packet itself.
ExplainedWay WayIn(const RoutingTables& tables, const WayRequest& request);
// Behind a judgement out whose rule has a route-to: leads perhaps to another
// port, where the packet is judged again.
ExplainedWay WayMoved(const RoutingTables& tables, const WayRequest& request);
// Of the copy that a dup-to makes. `hop`: behind the judgement in.
ExplainedWay WayOfCopy(const RoutingTables& tables, const WayRequest& request,
                       bool hop);
// Behind a judgement out that has given another destination to a packet that
// was to go to its destination itself: it stays on that link.
ExplainedWay WayFollowed(const RoutingTables& tables,
                         const WayRequest& request, uint16_t departure);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FORWARD_EXPLAIN_WAY_H_
