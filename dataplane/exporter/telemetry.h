// DPDK's telemetry socket: /sluice/info, /sluice/filters and their like, for
// dpdk-telemetry.py and what reads that socket anyway.
#ifndef SLUICE_DATAPLANE_EXPORTER_TELEMETRY_H_
#define SLUICE_DATAPLANE_EXPORTER_TELEMETRY_H_

#include "dataplane/metrics/caller.h"

namespace sluice {

// Registers the commands, which DPDK keeps as long as the process lives. They
// are answered, on DPDK's own threads, while there is one of these; there is
// at most one.
class Telemetry {
 public:
  // `caller` is used until the destructor.
  explicit Telemetry(Caller* caller);
  // Waits for a command that is being answered.
  ~Telemetry();
  Telemetry(const Telemetry&) = delete;
  Telemetry& operator=(const Telemetry&) = delete;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_EXPORTER_TELEMETRY_H_
