#include "dataplane/daemon/daemon.h"

#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_rcu_qsbr.h>
#include <spdlog/spdlog.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/log.h"
#include "dataplane/base/text.h"
#include "dataplane/filters/policy_source.h"
#include "pftable/store/policy_store.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;

// Often enough for WorkerMonitor's verdicts.
constexpr milliseconds kIdlePoll{kLookInterval};
// While workers have orders or old generations wait to be freed.
constexpr milliseconds kBusyPoll{1};
constexpr uint64_t kDrainDeadline = 1000;  // milliseconds
// For a worker to end when it is told to stop.
constexpr uint64_t kStopDeadline = 5000;

constexpr uint16_t kTableSlots = 4096;

sigset_t StopSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGHUP);
  sigaddset(&set, SIGUSR1);
  return set;
}

// States of each worker. With several, hashes do not deal flows out evenly;
// the budget keeps the sum.
uint32_t ShardCapacity(const Config& config) {
  const uint32_t workers = config.workers.size();
  const uint64_t even = (config.memory.states + workers - 1) / workers;
  return static_cast<uint32_t>(workers == 1 ? even : even + even / 4);
}

absl::Status AddPorts(const Config& config, InterfaceRegistry* interfaces) {
  for (const PortConfig& port : config.ports) {
    std::vector<InterfaceRegistry::PortAddress> addresses;
    for (const Prefix& prefix : port.addresses) addresses.push_back({prefix});
    absl::StatusOr<InterfaceView> view =
        interfaces->AddPort(port.name, port.groups, addresses);
    if (!view.ok()) {
      return absl::FailedPreconditionError(absl::StrCat(
          config.file, ": port '", port.name, "': ",
          view.status().message()));
    }
  }
  return absl::OkStatus();
}

PolicyStoreConfig StoreConfig(const Config& config) {
  return {.workers = config.workers.size(),
          .rule_slots = config.memory.rule_slots,
          .table_slots = kTableSlots};
}

void LogDiagnostics(const std::vector<Diagnostic>& diagnostics) {
  for (const Diagnostic& diagnostic : diagnostics) {
    std::string text = FormatDiagnostic(diagnostic);
    if (!text.empty() && text.back() == '\n') text.pop_back();
    spdlog::log(diagnostic.severity == Severity::kError
                    ? spdlog::level::err
                    : spdlog::level::warn,
                "{}", text);
  }
}

}  // namespace

std::vector<Diagnostic> CheckRuleset(const Config& config, uint64_t* rules) {
  *rules = 0;
  const HostFacts facts = FactsOf(config.ports);
  absl::StatusOr<ParseResult> parsed =
      ParseFile(config.policy.ruleset, config.policy.dialect, facts);
  if (!parsed.ok()) {
    Diagnostic diagnostic;
    diagnostic.file = config.policy.ruleset;
    diagnostic.message =
        absl::StrCat("cannot be read: ", parsed.status().message());
    if (config.policy.missing_ruleset == MissingRuleset::kBlock &&
        !std::filesystem::exists(config.policy.ruleset)) {
      diagnostic.severity = Severity::kWarning;
      diagnostic.hint = "everything is blocked until a ruleset is loaded";
    } else {
      diagnostic.hint =
          "set `ruleset` of [policy], or `missing_ruleset = \"block\"` to "
          "start without one and block everything";
    }
    return {std::move(diagnostic)};
  }
  std::vector<Diagnostic> diagnostics = std::move(parsed->diagnostics);
  CheckStateLimit(parsed->policy, config.memory.states, &diagnostics);
  *rules = CountRules(parsed->policy.main);
  const bool bad = std::ranges::any_of(diagnostics, [](const Diagnostic& d) {
    return d.severity == Severity::kError;
  });
  if (bad) return diagnostics;
  InterfaceRegistry interfaces;
  absl::Status status = AddPorts(config, &interfaces);
  if (status.ok()) {
    ImmediateReclaimer reclaimer;
    PolicyStoreConfig store_config = StoreConfig(config);
    store_config.workers = 1;
    PolicyStore store(store_config, &interfaces, &reclaimer);
    status = store.Load(std::move(parsed->policy));
  }
  if (!status.ok()) {
    std::ranges::move(DiagnosticsOf(status, config.policy.ruleset),
                      std::back_inserter(diagnostics));
  }
  return diagnostics;
}

// Stands in for Operations, which needs a filter, which needs the ports: the
// socket is opened before any of them, so that a second daemon touches none.
class Daemon::Gate final : public MessageHandler {
 public:
  void OnMessage(Message message, Reply reply) override {
    target_->OnMessage(std::move(message), std::move(reply));
  }
  void Open(MessageHandler* target) { target_ = target; }

 private:
  MessageHandler* target_ = nullptr;
};

void Daemon::FreeMemory::operator()(void* memory) const { std::free(memory); }

void Daemon::BlockSignals() {
  const sigset_t set = StopSignals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

Daemon::Daemon(Config config) : config_(std::move(config)) {}

Daemon::~Daemon() {
  StopWorkers();
  server_.reset();
  // Jobs in it refer to the operations and the filters.
  builder_.reset();
  operations_.reset();
  // What waited for workers waits no longer.
  if (grace_.has_value()) grace_->Clear();
  keeper_.reset();
  filters_.reset();
  // Holds filters that workers may still have orders of.
  restores_.reset();
  workers_.clear();
  sinks_.clear();
  ports_.reset();
  grace_.reset();
  plane_.reset();
  if (pool_ != nullptr && rte_mempool_in_use_count(pool_) > 0) {
    spdlog::warn("{} mbufs were never given back",
                 rte_mempool_in_use_count(pool_));
  }
  rte_mempool_free(pool_);
  if (signal_fd_ >= 0) close(signal_fd_);
}

absl::Status Daemon::Start() {
  const sigset_t set = StopSignals();
  signal_fd_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (signal_fd_ < 0) {
    return absl::InternalError(
        absl::StrCat("no descriptor for signals: ", strerror(errno)));
  }
  for (const auto step :
       {&Daemon::StartEal, &Daemon::OpenSocket, &Daemon::MakePlane,
        &Daemon::OpenPorts, &Daemon::MakeWorkers, &Daemon::MakeFilters,
        &Daemon::LoadRuleset, &Daemon::LaunchWorkers}) {
    if (absl::Status status = (this->*step)(); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Daemon::StartEal() {
  absl::StatusOr<EalPlan> plan =
      PlanEal(config_, MachineFacts::FromSystem());
  if (!plan.ok()) return plan.status();
  plan_ = *std::move(plan);
  absl::StatusOr<Eal> eal = Eal::Start(plan_);
  if (!eal.ok()) return eal.status();
  eal_.emplace(*std::move(eal));
  pool_ = rte_pktmbuf_pool_create(
      "packets", plan_.mbufs, config_.memory.mbuf_cache, 0,
      static_cast<uint16_t>(RTE_PKTMBUF_HEADROOM + config_.memory.mbuf_data),
      SOCKET_ID_ANY);
  if (pool_ == nullptr) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "no memory for ", plan_.mbufs, " mbufs of ",
        config_.memory.mbuf_data, " bytes: ", rte_strerror(rte_errno),
        "; lower [memory] mbufs or reserve more hugepages"));
  }
  return absl::OkStatus();
}

absl::Status Daemon::OpenSocket() {
  gate_ = std::make_unique<Gate>();
  absl::StatusOr<std::unique_ptr<ControlServer>> server =
      ControlServer::Start({.path = config_.control.socket,
                            .mode = config_.control.mode,
                            .group = config_.control.group},
                           ServerLimits{}, gate_.get());
  if (!server.ok()) return server.status();
  server_ = *std::move(server);
  return absl::OkStatus();
}

absl::Status Daemon::MakePlane() {
  const uint32_t workers = config_.workers.size();
  const size_t bytes = (rte_rcu_qsbr_get_memsize(workers) + 127) / 128 * 128;
  quiescence_.reset(
      static_cast<rte_rcu_qsbr*>(std::aligned_alloc(128, bytes)));
  if (quiescence_ == nullptr ||
      rte_rcu_qsbr_init(quiescence_.get(), workers) != 0) {
    return absl::ResourceExhaustedError("no memory for quiescent states");
  }
  reclaimer_.emplace(quiescence_.get());
  expectations_ = std::make_unique<ExpectationTable>(
      ExpectationOptions{.capacity = config_.memory.expectations,
                         .filters = kMaxFilters},
      HashSecret::Random());
  const uint16_t worker_count = config_.workers.size();
  plane_ = std::make_unique<Plane>(worker_count, config_.memory.handoff_ring);
  plane_->quiescence = quiescence_.get();
  plane_->expectations = expectations_.get();
  grace_.emplace(&*reclaimer_);
  ports_ = std::make_unique<PortSet>(
      Port::Options{.workers = worker_count,
                    .pool = pool_,
                    .mbuf_data = config_.memory.mbuf_data,
                    .checksum_offload = config_.policy.verify_checksums},
      &plane_->topology, &interfaces_, &*grace_);
  absl::Status status = ports_->Declare(config_.ports, config_.wires);
  if (status.ok()) return status;
  return absl::Status(status.code(),
                      absl::StrCat(config_.file, ": ", status.message()));
}

absl::Status Daemon::OpenPorts() { return ports_->Open(); }

absl::Status Daemon::MakeWorkers() {
  const uint16_t count = config_.workers.size();
  const bool local_peers = std::ranges::any_of(config_.ports, HasLocalPeers);
  const bool may_sleep =
      config_.workers.idle == IdleMode::kSleep ||
      (config_.workers.idle == IdleMode::kAuto &&
       (plan_.cores_shared || local_peers));

  if (!config_.log.packets.empty()) {
    packet_log_ = std::make_unique<PacketLog>(
        config_.log.packets, config_.log.packet_rate, count,
        [this](const LogRecord& record, PflogContext* context) {
          return filters_->Describe(record, context);
        });
  }
  const HashSecret secret = HashSecret::Random();
  std::random_device random;
  for (uint16_t i = 0; i < count; ++i) {
    absl::StatusOr<std::unique_ptr<StateTable>> states = StateTable::Build(
        {.worker = static_cast<uint8_t>(i),
         .capacity = ShardCapacity(config_),
         .filters = kMaxFilters,
         .secret = secret,
         .tftp_helper = std::ranges::find(config_.policy.helpers, "tftp") !=
                        config_.policy.helpers.end(),
         .huge_pages = plan_.hugepages,
         .prefault = plan_.hugepages});
    if (!states.ok()) return states.status();
    Worker::Options options;
    options.index = i;
    options.may_sleep = may_sleep;
    options.verify_checksums = config_.policy.verify_checksums;
    options.pool = pool_;
    if (packet_log_ != nullptr) options.log = packet_log_->ring(i);
    options.random_seed = uint64_t{random()} << 32 | random();
    sinks_.push_back(std::make_unique<RuleSink>(i, &plane_->filters));
    workers_.push_back(std::make_unique<Worker>(
        std::move(options), plane_.get(), *std::move(states),
        sinks_.back().get()));
    environment_.workers.push_back(workers_.back().get());
  }
  return absl::OkStatus();
}

absl::Status Daemon::MakeFilters() {
  std::vector<std::span<const PortCounters>> counters;
  for (const Worker* worker : environment_.workers) {
    counters.push_back(worker->counters());
  }
  ports_->SetCounters(std::move(counters));
  hold_budget_ =
      std::make_unique<HoldBudget>(HoldBudget::ShareOf(plan_.mbufs));
  environment_.interfaces = &interfaces_;
  environment_.reclaimer = &*reclaimer_;
  environment_.plane = plane_.get();
  environment_.ports = ports_.get();
  environment_.hold_budget = hold_budget_.get();
  environment_.store = StoreConfig(config_);
  environment_.store.pool = &policies_;
  environment_.dialect = config_.policy.dialect;
  environment_.state_capacity = config_.memory.states;
  std::random_device random;
  while (environment_.host_id == 0) environment_.host_id = random();
  builder_ = std::make_unique<Builder>();
  MakeRestores();
  filters_ = std::make_unique<FilterRegistry>(&environment_, ports_.get(),
                                              &*grace_, builder_.get());
  return ReadState();
}

absl::Status Daemon::LoadRuleset() {
  if (LoadKeptRuleset()) return absl::OkStatus();
  if (config_.policy.missing_ruleset == MissingRuleset::kBlock &&
      !std::filesystem::exists(config_.policy.ruleset)) {
    spdlog::warn("{} is not there: everything is blocked until a ruleset is "
                 "loaded",
                 config_.policy.ruleset);
    return absl::OkStatus();
  }
  std::unique_ptr<BuildJob<LoadResult>> job =
      filters_->main().Rules().BeginLoadFile(config_.policy.ruleset);
  job->Build();
  absl::StatusOr<LoadResult> result = job->Publish();
  if (!result.ok()) return result.status();
  LogDiagnostics(result->diagnostics);
  if (result->HasErrors()) {
    return absl::InvalidArgumentError(
        absl::StrCat(config_.policy.ruleset, " has errors"));
  }
  rules_ = result->rules;
  spdlog::info("{}: {} rules", config_.policy.ruleset, result->rules);
  return absl::OkStatus();
}

absl::Status Daemon::LaunchWorkers() {
  operations_ = std::make_unique<Operations>(filters_.get(), builder_.get());
  operations_->SetTransfer(restores_.get());
  gate_->Open(operations_.get());
  for (const auto& [fd, callback] :
       {std::pair<int, std::function<void()>>{signal_fd_,
                                              [this] { OnSignal(); }},
        std::pair<int, std::function<void()>>{
            builder_->event_fd(), [this] { builder_->Finish(); }}}) {
    if (absl::Status status = server_->Watch(fd, callback); !status.ok()) {
      return status;
    }
  }
  if (absl::Status status = ports_->Start(); !status.ok()) return status;
  filters_->Start(std::move(kept_main_));
  MakeKeptFilters();
  ports_->Publish();
  for (size_t i = 0; i < workers_.size(); ++i) {
    const int result = rte_eal_remote_launch(
        [](void* worker) {
          static_cast<Worker*>(worker)->Run();
          return 0;
        },
        workers_[i].get(), static_cast<unsigned>(i + 1));
    if (result != 0) {
      return absl::InternalError(absl::StrCat("worker ", i, " does not start: ",
                                              rte_strerror(-result)));
    }
    ++launched_;
  }
  std::vector<Worker*> workers;
  for (const auto& worker : workers_) workers.push_back(worker.get());
  monitor_.emplace(plane_.get(), std::move(workers));
  spdlog::info("{} worker(s) on processor(s) {}{}; control socket {}",
               workers_.size(), fmt::join(plan_.worker_cores, ", "),
               plan_.hugepages ? ", hugepages" : "", config_.control.socket);
  return absl::OkStatus();
}

// ---- Running ---------------------------------------------------------------

absl::Status Daemon::Run() {
  service_.Ready(Summary("running"));
  while (stop_signals_ == 0) {
    const bool busy = filters_->pending_orders() > 0 || !grace_->empty() ||
                      filters_->has_old_generations() || restores_->busy();
    server_->Poll(busy ? kBusyPoll : kIdlePoll);
    const uint64_t now = plane_->clock.Milliseconds();
    monitor_->Poll(now);
    filters_->Poll(now);
    PollRestores(now);
    grace_->Poll();
    ports_->PollLinks(now);
    DrainPacketLog();
    BeginReload();
    service_.Beat(now);
  }
  spdlog::info("stopping");
  service_.Stopping();
  StopWorkers();
  DrainPacketLog();
  return Account();
}

void Daemon::OnSignal() {
  signalfd_siginfo info;
  while (read(signal_fd_, &info, sizeof info) ==
         static_cast<ssize_t>(sizeof info)) {
    switch (info.ssi_signo) {
      case SIGHUP:
        reload_wanted_ = true;
        break;
      case SIGUSR1:
        if (packet_log_ != nullptr) packet_log_->Reopen();
        if (const absl::Status status = ReopenLog(); status.ok()) {
          spdlog::info("SIGUSR1: the log goes on here");
        } else {
          spdlog::error("SIGUSR1: {}; the old file is still written to",
                        Text(status));
        }
        break;
      default:
        ++stop_signals_;
        break;
    }
  }
}

std::string Daemon::Summary(std::string_view doing) const {
  return fmt::format("{}: {} port(s), {} worker(s), {} rules", doing,
                     config_.ports.size(), workers_.size(), rules_);
}

void Daemon::BeginReload() {
  // One change at a time: those of clients go first.
  if (!reload_wanted_ || reloading_ || operations_->busy()) return;
  reload_wanted_ = false;
  spdlog::info("SIGHUP: loading {}", config_.policy.ruleset);
  service_.Reloading();
  std::shared_ptr<BuildJob<LoadResult>> job =
      filters_->main().Rules().BeginLoadFile(config_.policy.ruleset);
  reloading_ = builder_->Submit(
      [job] { job->Build(); },
      [this, job] {
        reloading_ = false;
        const absl::StatusOr<LoadResult> result = job->Publish();
        if (!result.ok()) {
          // A client's load began meanwhile; after it, this one again.
          if (absl::IsAborted(result.status())) {
            reload_wanted_ = true;
            return;
          }
          spdlog::error("reload failed: {}", Text(result.status()));
          service_.Ready(Summary("running; the last reload failed"));
          return;
        }
        LogDiagnostics(result->diagnostics);
        if (result->HasErrors()) {
          spdlog::error("{} has errors; nothing was loaded, the old rules are "
                        "in force",
                        config_.policy.ruleset);
          service_.Ready(Summary("running; the last reload failed"));
        } else {
          rules_ = result->rules;
          service_.Ready(Summary("running"));
          spdlog::info("{}: {} rules, generation {}", config_.policy.ruleset,
                       result->rules, result->generation);
        }
      });
  if (!reloading_) reload_wanted_ = true;
}

void Daemon::DrainPacketLog() {
  if (packet_log_ == nullptr) return;
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  packet_log_->Drain(
      plane_->clock.Now(),
      static_cast<uint64_t>(
          std::chrono::duration_cast<std::chrono::microseconds>(wall)
              .count()));
}

// ---- Stopping --------------------------------------------------------------

void Daemon::StopWorkers() {
  if (launched_ == 0) return;
  plane_->run.store(RunState::kDrain, std::memory_order_release);
  const uint64_t deadline = plane_->clock.Milliseconds() + kDrainDeadline;
  const int signals = stop_signals_;
  // The flags alone would be believed while packets are on their way to a
  // worker that has raised its own; but with all of them up once, nobody
  // receives any more, and then equal sums mean that no packet is left
  // anywhere (tests/models/drain.pml).
  const auto drained = [this] {
    return std::ranges::all_of(workers_,
                               [](const auto& worker) {
                                 return worker->drained();
                               }) &&
           InFlight() == 0;
  };
  while (!drained() && plane_->clock.Milliseconds() < deadline &&
         stop_signals_ == signals) {
    usleep(1000);
    OnSignal();
  }
  if (stop_signals_ == signals) SaveState();
  plane_->run.store(RunState::kStop, std::memory_order_release);
  const uint64_t end = plane_->clock.Milliseconds() + kStopDeadline;
  for (size_t i = 0; i < launched_; ++i) {
    const auto lcore = static_cast<unsigned>(i + 1);
    while (rte_eal_get_lcore_state(lcore) == RUNNING) {
      if (plane_->clock.Milliseconds() > end) {
        // What it uses cannot be freed under it.
        spdlog::critical("worker {} does not stop; ending without it", i);
        spdlog::shutdown();
        std::_Exit(EXIT_FAILURE);
      }
      usleep(1000);
    }
    rte_eal_wait_lcore(lcore);
  }
  launched_ = 0;
}

uint64_t Daemon::InFlight() const {
  uint64_t received = 0, accounted = 0;
  for (const auto& worker : workers_) {
    for (const PortCounters& port : worker->counters()) {
      received += port.received_packets.value();
      accounted += port.forwarded_packets.value();
      for (const Counter& drops : port.drops) accounted += drops.value();
    }
  }
  return received - accounted;
}

absl::Status Daemon::Account() const {
  uint64_t received = 0, forwarded = 0, dropped = 0, answers = 0;
  uint64_t handed_out = 0, handed_in = 0;
  for (const auto& worker : workers_) {
    for (const PortCounters& port : worker->counters()) {
      received += port.received_packets.value();
      forwarded += port.forwarded_packets.value();
      answers += port.answers.value();
      for (const Counter& drops : port.drops) dropped += drops.value();
    }
    handed_out += worker->totals().handed_out.value() +
                  worker->totals().transmit_out.value();
    handed_in += worker->totals().handed_in.value() +
                 worker->totals().transmit_in.value();
  }
  // Left in the rings by a stop that did not wait.
  const uint64_t abandoned = handed_out - handed_in;
  spdlog::info("{} packets received = {} transmitted + {} dropped + {} "
               "abandoned; {} answers made",
               received, forwarded, dropped, abandoned, answers);
  if (received != forwarded + dropped + abandoned) {
    return absl::InternalError("packets are unaccounted for");
  }
  return absl::OkStatus();
}

}  // namespace sluice
