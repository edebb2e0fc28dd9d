// The ports, how they are joined, and how workers reach them.
#ifndef SLUICE_DATAPLANE_FORWARD_TOPOLOGY_H_
#define SLUICE_DATAPLANE_FORWARD_TOPOLOGY_H_

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/base/build_limits.h"
#include "packet/frame_tags.h"
#include "packet/neighbor.h"
#include "pftable/engine/interface_registry.h"

namespace sluice {

class OwnAddresses;
class RoutingTables;

inline constexpr uint16_t kNoPort = 0xffff;
inline constexpr uint16_t kNoSegment = 0xffff;
inline constexpr uint16_t kNoRouter = 0xffff;

class LogicalPorts;

class SpoofGuard;

// What the pipeline knows of a port.
struct PortContext {
  // How rules see it: `on outside`, and the groups it is in.
  InterfaceView interface;
  // The other end of its wire, or kNoPort: then all that arrives is dropped as
  // kNoWire.
  uint16_t peer = kNoPort;
  // Its own number: counters are indexed by it.
  uint16_t port = 0;
  // The number of the filter that judges what passes this port.
  uint16_t filter = 0;
  // Bytes of the largest IP packet that leaves by it.
  uint16_t mtu = 1500;
  // Frames that are not IP cross the wire unjudged, or are dropped (kNonIp).
  bool pass_non_ip = true;
  // What leaves by it is dropped as kPortDown while this is false.
  bool up = true;
  // The same, and what arrives by it too.
  bool enabled = true;
  // Nothing is judged at it, as with `set skip on`.
  bool excluded = false;
  // The segment that it is in, or kNoSegment; it has no peer then.
  uint16_t segment = kNoSegment;
  // The router that it belongs to, or kNoRouter; it has neither a peer nor a
  // segment then.
  uint16_t router = kNoRouter;
  // Of a logical port: the port whose device it shares, and the tags of its
  // frames there. Between the two it is judged and forwarded without them.
  uint16_t parent = kNoPort;
  VlanTags tags = {};
  // The logical ports on this one's device; null: none. The topology's.
  const LogicalPorts* children = nullptr;

  bool is_logical() const { return parent != kNoPort; }
  // What the firewall answers for at both ends of this wire (answer_arp); null:
  // for nothing, and then frames keep their MAC addresses.
  OwnAddresses* own = nullptr;
  MacAddress mac{};  // with `own`, and of a port of a router
  // What it may claim to be; null: anything. Outlives the topology.
  SpoofGuard* guard = nullptr;
};

// How workers reach a port.
struct PortDevice {
  uint16_t ethdev = kNoPort;  // none: it is not there
  uint16_t rx_queues = 0;
  uint16_t tx_queues = 0;
  // Whether it takes packets of several mbufs.
  bool sends_segments = true;
  // By receive queue, the worker that polls it.
  std::array<uint8_t, kMaxWorkers> pollers{};
};

class VhostChannel;

// The same of a vhost port, whose one pair of rings one worker polls and fills.
struct VhostDevice {
  VhostChannel* channel = nullptr;  // none: it is not there
  uint16_t poller = 0;
};

class MacTable;

// Ports that are joined as by a switch, which learns where its hosts are.
struct Segment {
  std::vector<uint16_t> ports;  // their numbers
  // Workers share it; none if no port was ever in it.
  std::shared_ptr<MacTable> macs;
  // Whether frames leave by all other ports: to hosts that nobody knows where
  // they are, to groups, to everybody.
  bool flood_unknown = true;
  bool flood_multicast = true;
  bool flood_broadcast = true;
};

// Ports between which packets go by their IP addresses.
struct Router {
  std::vector<uint16_t> ports;  // their numbers
  // Workers read it; who copies the kernel's routes writes it.
  std::shared_ptr<RoutingTables> tables;
};

// All ports. Immutable once the workers have it: a change is a new one,
// published like a generation.
struct Topology {
  std::array<PortContext, kMaxPorts> ports;
  std::array<PortDevice, kMaxDevicePorts> devices;
  // By number, from kMaxDevicePorts on; few if any are there.
  std::array<VhostDevice, kMaxVhostPorts> vhosts;
  std::vector<Segment> segments;  // by number
  std::vector<Router> routers;    // by number
  // What `children` of ports point to.
  std::vector<std::shared_ptr<const LogicalPorts>> logical_ports;
  // Numbers in use are below it.
  uint16_t end = kMaxDevicePorts;
  // Never given out twice.
  uint64_t serial = 1;

  const VhostDevice* VhostAt(uint16_t port) const {
    return port >= kMaxDevicePorts && port < kFirstLogicalPort
               ? &vhosts[port - kMaxDevicePorts]
               : nullptr;
  }
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FORWARD_TOPOLOGY_H_
