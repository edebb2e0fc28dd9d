// The start of DPDK's environment abstraction layer from a configuration.
//
// What is decided (which processors, which memory, which arguments) is apart
// from what is done, so that it can be tested on any machine.
#ifndef SLUICE_DATAPLANE_DAEMON_EAL_H_
#define SLUICE_DATAPLANE_DAEMON_EAL_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/base/log.h"
#include "dataplane/config/config.h"

namespace sluice {

// What the plan has to know of the machine.
struct MachineFacts {
  std::vector<uint16_t> cores;       // that the process may use, ascending
  uint64_t free_hugepage_bytes = 0;  // of all sizes together

  static MachineFacts FromSystem();
};

// The control lcore is EAL's main lcore, number 0; worker i is lcore i + 1.
struct EalPlan {
  std::vector<std::string> args;  // for rte_eal_init, the program's name first
  uint16_t control_core = 0;
  std::vector<uint16_t> worker_cores;  // by worker; with pinning
  // Whether a worker shares its processor with another lcore of ours.
  bool cores_shared = false;
  bool hugepages = false;
  uint64_t memory_bytes = 0;  // of the packet pool, with what DPDK adds
  uint32_t mbufs = 0;         // in the pool
  std::vector<std::string> warnings;
};

// How many mbufs the pool gets: the configuration's number, or enough for all
// rings to be full and as much again in the workers' hands.
uint32_t PoolSize(const Config& config);

// Errors name the key of the configuration to change: a processor that the
// process may not use; hugepages wanted and not free.
absl::StatusOr<EalPlan> PlanEal(const Config& config,
                                const MachineFacts& machine);

// The running EAL; at most one a process, and it cannot be started again.
// Its messages go to the log, prefixed with "EAL: ".
class Eal {
 public:
  // The calling thread becomes the main lcore and is bound as the plan says.
  // An error holds DPDK's last words.
  static absl::StatusOr<Eal> Start(const EalPlan& plan);

  Eal(Eal&& other) noexcept
      : running_(std::exchange(other.running_, false)),
        folder_(std::move(other.folder_)) {}
  Eal& operator=(Eal&&) = delete;
  ~Eal();

 private:
  explicit Eal(std::string folder) : folder_(std::move(folder)) {}
  bool running_ = true;
  std::string folder_;  // of its run-time files, if nobody shares it
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_DAEMON_EAL_H_
