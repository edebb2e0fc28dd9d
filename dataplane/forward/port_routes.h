// What the rules of a port may ask of the routes of its router.
#ifndef SLUICE_DATAPLANE_FORWARD_PORT_ROUTES_H_
#define SLUICE_DATAPLANE_FORWARD_PORT_ROUTES_H_

#include "dataplane/forward/topology.h"
#include "dataplane/routing/routing_tables.h"
#include "pftable/engine/route_view.h"

namespace sluice {

// One worker's; it turns to a port before that is judged at.
class PortRoutes final : public RouteView {
 public:
  // Null if the port has no router: nothing is routed there.
  const RouteView* At(const Topology& topology, const PortContext& at) {
    if (at.router == kNoRouter) [[likely]] return nullptr;
    tables_ = topology.routers[at.router].tables.get();
    port_ = at.port;
    return this;
  }

  bool HasRoute(const Address& address) const override {
    return tables_->HasRoute(address);
  }
  bool LeadsBack(const Address& address) const override {
    return tables_->LeadsTo(address, port_);
  }

 private:
  const RoutingTables* tables_ = nullptr;
  uint16_t port_ = kNoPort;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FORWARD_PORT_ROUTES_H_
