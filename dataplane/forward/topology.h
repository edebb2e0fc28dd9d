// The ports, how they are joined, and how workers reach them.
#ifndef SLUICE_DATAPLANE_FORWARD_TOPOLOGY_H_
#define SLUICE_DATAPLANE_FORWARD_TOPOLOGY_H_

#include <array>
#include <cstdint>

#include "dataplane/base/build_limits.h"
#include "pftable/engine/interface_registry.h"

namespace sluice {

inline constexpr uint16_t kNoPort = 0xffff;

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

// All ports. Immutable once the workers have it: a change is a new one,
// published like a generation.
struct Topology {
  std::array<PortContext, kMaxPorts> ports;
  std::array<PortDevice, kMaxPorts> devices;
  // Never given out twice.
  uint64_t serial = 1;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FORWARD_TOPOLOGY_H_
