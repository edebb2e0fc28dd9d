// Sizes that are fixed when sluice is built. Everything from outside is checked
// against them before anything is allocated for it.
#ifndef SLUICE_DATAPLANE_BASE_BUILD_LIMITS_H_
#define SLUICE_DATAPLANE_BASE_BUILD_LIMITS_H_

#include <cstddef>
#include <cstdint>

namespace sluice {

inline constexpr size_t kMaxWorkers = 32;
inline constexpr size_t kMaxQueues = kMaxWorkers;
// Ports are numbered 0..kMaxPorts-1; their numbers index a Topology. Those
// that have a device of their own are below kMaxDevicePorts, the sockets of
// virtual machines (vhost-user) come next, and then logical ones. Of devices
// DPDK has room for kMaxDevices at once.
inline constexpr uint16_t kMaxPorts = 8192;
inline constexpr uint16_t kMaxDevicePorts = 256;
// DPDK's vhost library waits at 1024 descriptors, two of each socket.
inline constexpr uint16_t kMaxVhostPorts = 500;
inline constexpr uint16_t kFirstLogicalPort = kMaxDevicePorts + kMaxVhostPorts;
inline constexpr uint16_t kMaxLogicalPorts = kMaxPorts - kFirstLogicalPort;
// RTE_MAX_ETHPORTS in Debian's packages.
inline constexpr size_t kMaxDevices = 32;
// Filters are numbered 0..kMaxFilters-1.
inline constexpr uint16_t kMaxFilters = 8192;

// Segments are numbered 0..kMaxSegments-1.
inline constexpr uint16_t kMaxSegments = 1024;
inline constexpr uint32_t kMaxSegmentMacs = 1 << 20;
inline constexpr size_t kMaxFixedMacs = 4096;  // of a segment

// Routers are numbered 0..kMaxRouters-1.
inline constexpr uint16_t kMaxRouters = 64;
inline constexpr uint32_t kMaxRoutes = 8'000'000;  // of a router
inline constexpr uint32_t kMaxNeighbors = 1 << 20;
// Mbufs for what the kernel sends by ports of routers, beside the pool's.
inline constexpr uint32_t kRouterMbufs = 4095;
// The kernel's names of interfaces end in a NUL within 16 bytes.
inline constexpr size_t kMaxTapName = 15;
inline constexpr size_t kMaxNetns = 255;

// pf's interface names end in a NUL within 16 bytes.
inline constexpr size_t kMaxPortName = 15;
inline constexpr size_t kMaxGroupsPerPort = 16;
inline constexpr size_t kMaxAddressesPerPort = 64;
// Bytes of a string of the configuration, or of a device on the control
// socket.
inline constexpr size_t kMaxConfigString = 1024;

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_BASE_BUILD_LIMITS_H_
