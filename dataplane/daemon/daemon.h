// The daemon: a configuration in, an engine, a control socket for it, signals
// and the service manager.
//
// Start order: configuration and ruleset are checked, then EAL, the control
// socket, the ports, the workers with the ruleset in force. Any failure undoes
// what was begun.
#ifndef SLUICE_DATAPLANE_DAEMON_DAEMON_H_
#define SLUICE_DATAPLANE_DAEMON_DAEMON_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/config/config.h"
#include "dataplane/control/methods/operations.h"
#include "dataplane/control/socket/server.h"
#include "dataplane/daemon/eal.h"
#include "dataplane/daemon/service_manager.h"
#include "dataplane/engine/engine.h"
#include "dataplane/engine/process_status.h"
#include "dataplane/exporter/exporter.h"

struct rte_mempool;

namespace sluice {

// Parses and compiles the configured ruleset beside everything, as
// `sluiced --check` does and every start does first. Fills `*rules`. No
// diagnostic is an error if and only if the daemon could load it.
std::vector<Diagnostic> CheckRuleset(const Config& config, uint64_t* rules);

class Daemon {
 public:
  // Blocks the signals that Run() waits for; call it before the process has
  // any other thread.
  static void BlockSignals();

  explicit Daemon(Config config);
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // All of it, up to running workers. Afterwards packets flow.
  absl::Status Start();
  // The control lcore's loop: until SIGTERM or SIGINT, then drains and stops
  // the workers. A second signal does not wait for the rings to be empty.
  // Fails if packets are unaccounted for.
  absl::Status Run();

 private:
  struct FreePool {
    void operator()(rte_mempool* pool) const;
  };

  absl::Status StartEal();
  absl::Status OpenSocket();
  absl::Status MakeEngine();
  absl::Status LoadRuleset();
  void CompareWithFile();
  absl::Status Launch();
  absl::Status StartExporter();
  void OnSignal();
  void BeginReload();
  // What the service manager shows: "running: 2 port(s), ...".
  std::string Summary(std::string_view doing) const;
  void Stop();
  // A start or a stop goes on.
  void Working();

  const Config config_;
  int signal_fd_ = -1;
  int stop_signals_ = 0;
  bool reload_wanted_ = false;
  ServiceManager service_ = ServiceManager::FromEnvironment();
  uint64_t rules_ = 0;  // that the last good load had, for the status line
  bool reloading_ = false;

  // In the order in which they are made; they go in reverse.
  EalPlan plan_;
  std::optional<Eal> eal_;
  std::unique_ptr<rte_mempool, FreePool> pool_;
  std::unique_ptr<Engine> engine_;
  std::optional<ProcessStatus> process_;
  std::unique_ptr<Operations> operations_;
  // Its threads ask the operations.
  std::unique_ptr<Exporter> exporter_;
  // Opened before any port, so that a second daemon touches none; what comes
  // before there is a filter waits in it.
  std::unique_ptr<ControlServer> server_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_DAEMON_DAEMON_H_
