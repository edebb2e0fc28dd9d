// What runs: the plane, ports, workers, filters and transfers of a process,
// put together, started, moved, stopped and taken apart in the right order.
//
// There are no EAL arguments, sockets, signals or service managers in it, and
// its options are plain values: sluiced is this with a configuration before it
// and a control socket beside it, and tests build this and nothing of their
// own. The EAL runs before it is made, and outlives it.
//
//   auto engine = Engine::Make(options);  // touches no device
//   engine->Open();                       // main takes rules from here on
//   engine->Start();                      // the workers may run
//   engine->LaunchOnLcores();
//   while (...) engine->Poll(engine->Now());
//   engine->Stop(hurry);
//
// It may be destroyed in any of these states, with anything under way.
// Belongs to the control lcore.
#ifndef SLUICE_DATAPLANE_ENGINE_ENGINE_H_
#define SLUICE_DATAPLANE_ENGINE_ENGINE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "conntrack/expectation.h"
#include "conntrack/source_nodes.h"
#include "conntrack/translation_directory.h"
#include "dataplane/base/builder.h"
#include "dataplane/base/grace_list.h"
#include "dataplane/base/thread_watch.h"
#include "dataplane/base/turn_watch.h"
#include "dataplane/filters/filter_registry.h"
#include "dataplane/filters/live_filter.h"
#include "dataplane/forward/neighbor_table.h"
#include "dataplane/forward/router_exchange.h"
#include "dataplane/keep/state_keeper.h"
#include "dataplane/packetlog/flow_log.h"
#include "dataplane/packetlog/packet_log.h"
#include "dataplane/ports/port_set.h"
#include "dataplane/ports/run_time_devices.h"
#include "dataplane/ports/spoof_log.h"
#include "dataplane/router/router_host.h"
#include "dataplane/transfer/restore_service.h"
#include "dataplane/workers/liveness.h"
#include "dataplane/workers/worker.h"
#include "pftable/compile/policy_pool.h"
#include "pftable/engine/interface_registry.h"
#include "pftable/engine/reclaimer.h"

struct rte_mempool;
struct rte_rcu_qsbr;

namespace sluice {

class Engine {
 public:
  struct Options {
    uint16_t workers = 1;
    // What workers do when no packets come: sleep a little, or never.
    bool may_sleep = false;
    // Of the ports; outlives the engine.
    rte_mempool* pool = nullptr;
    uint16_t mbuf_data = 2048;     // bytes of frame an mbuf of the pool holds
    uint32_t may_hold = 0;         // mbufs that filters may keep for a restore
    uint32_t handoff_ring = 2048;  // packets between each pair of workers
    uint32_t states = 262144;      // over all workers
    uint32_t rule_slots = 1 << 19;      // rules of a filter, at most
    uint32_t all_rule_slots = 2 << 20;  // of all filters together
    bool classifier = true;        // false: rules are walked one by one
    uint16_t table_slots = 4096;
    uint32_t expectations = 1024;
    uint32_t source_nodes = 65536;
    bool huge_pages = false;  // for states
    bool ftp_helper = false;
    bool tftp_helper = false;
    bool verify_checksums = true;
    Dialect dialect = Dialect::kOpenBsd;
    std::vector<std::string> without{};  // LoadRequest::without of files
    // Of the hashes and of `probability`: equal seeds give equal runs. None:
    // nobody can foresee them.
    std::optional<uint64_t> seed = std::nullopt;

    std::vector<PortConfig> ports{};
    std::vector<WireConfig> wires{};
    std::vector<SegmentConfig> segments{};
    std::vector<RouterConfig> routers{};
    RunTimeDevices run_time_devices{};  // that orders may plug in
    SocketAccess device_sockets{};      // that drivers make

    // The folder for packets of `log` rules; empty: they are not kept.
    std::string packet_log{};
    uint32_t packet_rate = 10000;  // of them a second that are written
    FlowLogOptions flows{};  // who is told of states

    RestoreLimits restore{.validating = 2};
    uint64_t max_snapshot = uint64_t{256} << 20;  // bytes
    TransferLimits transfers{};
    // Of the deadlines of restores. Null: the steady clock.
    std::function<RestoreTime()> restore_clock = nullptr;

    // What is kept for the process after this one. Empty: nothing.
    std::string state_directory{};
    // Whether workers take the time of their rounds.
    bool measure_load = false;
    uint64_t state_interval = 30'000;  // milliseconds between a filter's states

    // Told, again and again, that a start or a stop which takes its time goes
    // on. Null: nobody waits for it.
    std::function<void()> working = nullptr;
  };

  // Errors: ports that cannot be (FailedPrecondition), no memory.
  static absl::StatusOr<std::unique_ptr<Engine>> Make(Options options);
  // Stops the workers as a drain without hurry does, if they run. What is
  // under way is dropped, unanswered.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Opens the devices, makes the workers and main, and reads what the process
  // before has left.
  absl::Status Open();
  // Main's policy of the process before comes into force; false if there is
  // none. Between Open() and Start().
  bool LoadKeptPolicy();
  // Starts the devices, begins main's first incarnation, makes the filters of
  // the process before, and tells the workers of all.
  absl::Status Start();

  // Then one of these three. Worker i runs on lcore i + 1,
  absl::Status LaunchOnLcores();
  // or on a thread of its own, or whenever Round() is called.
  void LaunchOnThreads();
  void LaunchByHand();
  // One round of each worker. Returns packets received.
  uint32_t Round();

  // One turn of the control loop, at Now(): carries on with everything, and
  // calls back.
  void Poll(uint64_t now);
  // Whether something waits that Poll() moves: it is to be called every
  // millisecond or so then, otherwise every kLookInterval.
  bool busy() const;
  // Of the thread that calls Poll(), which begins and ends its turns.
  TurnWatch& turns() { return turns_; }
  // Milliseconds of the workers' clock.
  uint64_t Now() const { return plane_->clock.Milliseconds(); }

  // Lets the workers drain, saves what is to be kept, and ends them; does
  // nothing if none runs. `hurry` is asked every moment: with true, it
  // waits neither for the one nor for the other. A worker that does not end
  // takes the process with it: what it uses cannot be freed.
  void Stop(absl::FunctionRef<bool()> hurry);
  // Packets that were received and are neither sent on nor dropped yet. Exact
  // when no worker receives.
  uint64_t InFlight() const;
  // After Stop(): logs what became of the packets. Fails if any is
  // unaccounted for.
  absl::Status Account() const;
  // After Stop(): an error says what the state directory was to have and has
  // not.
  const absl::Status& kept() const { return kept_; }
  // After Stop(): whether the thread that writes the state directory comes back
  // within a moment. If not, the disk does not take what it writes, and to
  // destroy the engine would wait for that.
  bool EndSaving();
  // Drops everything that is under way, without an answer: what is called
  // back may go then. Only to be destroyed afterwards. No worker runs.
  void Close();

  const Options& options() const { return options_; }
  Plane& plane() { return *plane_; }
  InterfaceRegistry& interfaces() { return interfaces_; }
  ExpectationTable& expectations() { return *expectations_; }
  PortSet& ports() { return *ports_; }
  GraceList& grace() { return *grace_; }
  // From Open() on.
  HoldBudget& hold_budget() { return *hold_budget_; }
  PacketLog* packet_log() { return packet_log_.get(); }  // null: none is kept
  FlowLog* flow_log() { return flow_log_.get(); }  // null: nobody is told
  size_t worker_count() const { return workers_.size(); }
  Worker& worker(size_t i) { return *workers_[i]; }
  const FilterEnvironment& environment() const { return environment_; }
  FilterRegistry& filters() { return *filters_; }
  RestoreService& restores() { return *restores_; }
  // Its event_fd() tells when Poll() has something to finish.
  Builder& builder() { return *builder_; }

 private:
  struct FreeMemory {
    void operator()(void* memory) const;
  };
  struct FreePool {
    void operator()(rte_mempool* pool) const;
  };
  // Where workers run.
  enum class Place : uint8_t { kNowhere, kLcores, kThreads, kByHand };
  struct WorkerThread {
    std::atomic<bool> ended{false};
    std::thread thread;
  };

  explicit Engine(Options options);
  absl::Status MakePlane();
  absl::Status MakeWorkers();
  void MakeFilters();
  // Routers (engine_routers.cc).
  absl::Status MakeExchange();
  absl::Status MakeRouters();
  absl::Status StartRouters();
  void PollRouters(uint64_t now);
  // The state directory, in engine_state.cc.
  absl::Status ReadState();
  void MakeKeptFilters();
  void PlugKeptPorts();
  void PollTransfers(uint64_t now);
  void SaveState(absl::FunctionRef<bool()> hurry);
  void DrainLogs();
  void Watch();
  void Working() {
    if (options_.working != nullptr) options_.working();
  }
  // A moment in which workers make progress.
  void Wait();
  bool Drained() const;
  bool Runs(size_t worker) const;
  void Join(size_t worker);

  const Options options_;
  TurnWatch turns_;

  // In the order in which they are made; they go in reverse.
  std::unique_ptr<rte_rcu_qsbr, FreeMemory> quiescence_;
  std::optional<RcuReclaimer> reclaimer_;
  InterfaceRegistry interfaces_;
  std::unique_ptr<ExpectationTable> expectations_;
  std::unique_ptr<TranslationDirectory> translations_;
  std::unique_ptr<SourceNodes> sources_;
  NeighborTable neighbors_;
  // Null, all three, if there are no routers.
  std::unique_ptr<rte_mempool, FreePool> router_pool_;
  std::unique_ptr<RouterExchange> exchange_;
  std::unique_ptr<Plane> plane_;
  std::optional<GraceList> grace_;
  std::unique_ptr<PortSet> ports_;
  std::unique_ptr<RouterHost> routers_;
  BuilderWatch router_watch_;
  uint64_t router_work_ = 0;       // that its thread was at at the last look
  uint64_t router_work_since_ = 0;
  bool router_slow_told_ = false;  // that it does not get on with that
  bool router_end_told_ = false;   // that it is gone
  std::map<uint64_t, bool> carriers_;  // by serial of the port, as said to it
  std::unique_ptr<HoldBudget> hold_budget_;
  std::unique_ptr<PacketLog> packet_log_;
  std::unique_ptr<FlowLog> flow_log_;
  std::unique_ptr<SpoofLog> spoof_log_;
  // Orders that workers were given keep filters alive, which use these two.
  PolicyPool policies_;
  RuleBudget rule_budget_;
  FilterEnvironment environment_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<Builder> builder_;
  // Keeps filters too, for threads and workers that were at them.
  std::unique_ptr<RestoreService> restores_;
  std::unique_ptr<FilterRegistry> filters_;
  std::unique_ptr<StateKeeper> keeper_;
  std::vector<ManifestEntry> manifest_;  // of the process before
  std::vector<PortSpec> kept_ports_;     // the same, by orders
  std::vector<SegmentSpec> kept_segments_;
  std::shared_ptr<KeptFilter> kept_main_;
  absl::Status kept_;

  Place place_ = Place::kNowhere;
  size_t launched_ = 0;
  std::vector<std::unique_ptr<WorkerThread>> threads_;
  std::optional<WorkerMonitor> monitor_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_ENGINE_ENGINE_H_
