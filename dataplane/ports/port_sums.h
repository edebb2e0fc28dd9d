// The counters of a port as plain numbers: sums over workers, differences
// between two moments.
#ifndef SLUICE_DATAPLANE_PORTS_PORT_SUMS_H_
#define SLUICE_DATAPLANE_PORTS_PORT_SUMS_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "dataplane/control/api/filter_control.h"
#include "dataplane/forward/port_counters.h"

namespace sluice {

struct PortSums {
  uint64_t received_packets = 0;
  uint64_t received_bytes = 0;
  uint64_t forwarded_packets = 0;
  uint64_t transmitted_packets = 0;
  uint64_t transmitted_bytes = 0;
  uint64_t address_conflicts = 0;
  uint64_t copies = 0;
  uint64_t copies_lost = 0;
  uint64_t to_host = 0;
  uint64_t from_host = 0;
  uint64_t errors_limited = 0;
  std::array<uint64_t, kDropReasonCount> drops{};
  InterfaceTraffic judged;

  // What one worker has counted.
  void Add(const PortCounters& counters);

  PortSums& operator+=(const PortSums& more);
  PortSums& operator-=(const PortSums& less);
  friend PortSums operator-(PortSums a, const PortSums& b) { return a -= b; }
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_PORTS_PORT_SUMS_H_
