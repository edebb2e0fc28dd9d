// The daemon: everything of the process put together, started, run, stopped.
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
#include "conntrack/expectation.h"
#include "dataplane/config/config.h"
#include "dataplane/base/builder.h"
#include "dataplane/control/methods/operations.h"
#include "dataplane/control/socket/server.h"
#include "dataplane/daemon/eal.h"
#include "dataplane/filters/filter_registry.h"
#include "dataplane/base/grace_list.h"
#include "dataplane/filters/live_filter.h"
#include "dataplane/workers/liveness.h"
#include "dataplane/packetlog/packet_log.h"
#include "dataplane/ports/port_set.h"
#include "dataplane/transfer/restore_service.h"
#include "dataplane/forward/rule_sink.h"
#include "dataplane/daemon/service_manager.h"
#include "dataplane/keep/state_directory.h"
#include "dataplane/keep/state_keeper.h"
#include "dataplane/workers/worker.h"
#include "pftable/engine/interface_registry.h"
#include "pftable/compile/policy_pool.h"
#include "pftable/engine/reclaimer.h"

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
  // Messages that come before there is a filter wait in the socket: the
  // server is not polled yet.
  class Gate;

  struct FreeMemory {
    void operator()(void* memory) const;
  };

  absl::Status StartEal();
  absl::Status MakePlane();
  absl::Status OpenSocket();
  absl::Status OpenPorts();
  absl::Status MakeWorkers();
  absl::Status MakeFilters();
  void MakeRestores();
  void PollRestores(uint64_t milliseconds);
  absl::Status ReadState();
  // Main's policy of the process before; false if there is none.
  bool LoadKeptRuleset();
  void MakeKeptFilters();
  absl::Status LoadRuleset();
  absl::Status LaunchWorkers();
  void OnSignal();
  void BeginReload();
  void DrainPacketLog();
  // What the service manager shows: "running: 2 port(s), ...".
  std::string Summary(std::string_view doing) const;
  void StopWorkers();
  // Everything that is to be on the disk, while workers still take orders.
  void SaveState();
  // Packets that were received and are neither sent on nor dropped yet. Exact
  // when no worker receives.
  uint64_t InFlight() const;
  absl::Status Account() const;

  const Config config_;
  int signal_fd_ = -1;
  int stop_signals_ = 0;
  bool reload_wanted_ = false;
  ServiceManager service_ = ServiceManager::FromEnvironment();
  uint64_t rules_ = 0;  // that the last good load had, for the status line
  bool reloading_ = false;

  // In the order in which they are made; destroyed in reverse.
  EalPlan plan_;
  std::optional<Eal> eal_;
  rte_mempool* pool_ = nullptr;
  std::unique_ptr<rte_rcu_qsbr, FreeMemory> quiescence_;
  std::optional<RcuReclaimer> reclaimer_;
  InterfaceRegistry interfaces_;
  std::unique_ptr<ExpectationTable> expectations_;
  std::unique_ptr<Plane> plane_;
  std::optional<GraceList> grace_;
  std::unique_ptr<PortSet> ports_;
  std::unique_ptr<HoldBudget> hold_budget_;
  std::unique_ptr<PacketLog> packet_log_;
  std::vector<std::unique_ptr<RuleSink>> sinks_;
  std::vector<std::unique_ptr<Worker>> workers_;
  size_t launched_ = 0;
  std::optional<WorkerMonitor> monitor_;
  PolicyPool policies_;  // outlives all filters
  FilterEnvironment environment_;
  std::unique_ptr<Builder> builder_;
  std::unique_ptr<RestoreService> restores_;
  std::unique_ptr<FilterRegistry> filters_;
  std::vector<ManifestEntry> manifest_;  // of the process before
  std::shared_ptr<KeptFilter> kept_main_;
  std::unique_ptr<StateKeeper> keeper_;
  std::unique_ptr<Gate> gate_;
  std::unique_ptr<Operations> operations_;
  std::unique_ptr<ControlServer> server_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_DAEMON_DAEMON_H_
