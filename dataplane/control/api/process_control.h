// What there is of the process and of no filter: workers, buffers, logs.
#ifndef SLUICE_DATAPLANE_CONTROL_API_PROCESS_CONTROL_H_
#define SLUICE_DATAPLANE_CONTROL_API_PROCESS_CONTROL_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/control/api/state_control.h"

namespace sluice {

struct WorkerListing {
  uint16_t worker = 0;
  bool stalled = false;
  uint64_t rounds = 0;
  uint64_t idle_rounds = 0;  // that found no packet
  uint64_t received = 0;     // packets, from ports
  uint64_t handed_out = 0;
  uint64_t handed_in = 0;
  uint64_t orphans = 0;
  uint64_t states = 0;
  // Microseconds of its rounds, and of those with packets; none: not measured.
  std::optional<uint64_t> time;
  std::optional<uint64_t> busy;
};

struct ProcessListing {
  std::vector<WorkerListing> workers;
  uint64_t mbufs = 0;
  uint64_t mbufs_in_use = 0;
  // Of `log` rules' packets; none: they are not kept.
  struct LogCounts {
    uint64_t written = 0;
    uint64_t suppressed = 0;
    uint64_t lost = 0;
  };
  std::optional<LogCounts> packet_log;
  // Of all filters, without those of workers that do not run.
  std::vector<StateCount::OfPhase> phases;
};

class ProcessControl {
 public:
  template <typename T>
  using Done = std::function<void(absl::StatusOr<T>)>;

  virtual ~ProcessControl() = default;

  // Looks at all states, and brings what they have counted to their rules and
  // tables. `done` is called once, on the control lcore, now or later.
  virtual void Show(Done<ProcessListing> done) = 0;
  // The least level that is logged, of [log] level's words. With a module: of
  // what DPDK's log types of that pattern say ("pmd.net.virtio*"). NotFound:
  // there is none.
  virtual absl::Status SetLogLevel(const std::string& level,
                                   const std::string& module) = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONTROL_API_PROCESS_CONTROL_H_
