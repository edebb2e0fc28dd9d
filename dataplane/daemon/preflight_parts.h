// The parts of Preflight(), by what they look at.
#ifndef SLUICE_DATAPLANE_DAEMON_PREFLIGHT_PARTS_H_
#define SLUICE_DATAPLANE_DAEMON_PREFLIGHT_PARTS_H_

#include <string>
#include <vector>

#include "dataplane/daemon/preflight.h"

namespace sluice {

// What the checks of ports know besides: the plan of the EAL, without regard
// to whether there are hugepages enough for it.
struct PreflightContext {
  const Config& config;
  const PreflightInput& input;
  const EalPlan& plan;
  std::vector<Finding>* findings;

  void Add(FindingLevel level, std::string where, std::string what,
           std::string advice) const {
    findings->push_back({level, std::move(where), std::move(what),
                         std::move(advice)});
  }
};

// NUMA nodes with processors; fewer than two: placement does not matter.
std::vector<int> NumaNodes(const HostFiles& host);
// -1: unknown.
int NodeOfCore(const HostFiles& host, uint16_t core);

void CheckFiles(const PreflightContext& context);
void CheckGroups(const PreflightContext& context);
void CheckMemory(const PreflightContext& context);
void CheckProcessors(const PreflightContext& context);
// vfio itself, if a port needs it.
void CheckVfio(const PreflightContext& context);
// What the kernel's interfaces of routers need.
void CheckRouters(const PreflightContext& context);
void CheckPciPort(const PreflightContext& context, const PortConfig& port);
void CheckVirtualPort(const PreflightContext& context,
                      const PortConfig& port);
void CheckVhostPort(const PreflightContext& context, const PortConfig& port);
// Descriptors for the sockets of virtual machines.
void CheckDescriptors(const PreflightContext& context);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_DAEMON_PREFLIGHT_PARTS_H_
