#include "dataplane/daemon.h"

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
#include "dataplane/policy_source.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kIdlePoll{100};
// While workers have orders or old generations wait to be freed.
constexpr milliseconds kBusyPoll{1};
constexpr uint64_t kLinkInterval = 500;   // milliseconds
constexpr uint64_t kDrainDeadline = 1000;  // milliseconds

constexpr uint16_t kTableSlots = 4096;

sigset_t StopSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGHUP);
  return set;
}

// States of each worker. With several, hashes do not deal flows out evenly;
// the budget keeps the sum.
uint32_t ShardCapacity(const Config& config) {
  const uint32_t workers = config.workers.size();
  const uint64_t even = (config.memory.states + workers - 1) / workers;
  return static_cast<uint32_t>(workers == 1 ? even : even + even / 4);
}

absl::Status AddPorts(const Config& config, InterfaceRegistry* interfaces,
                      std::vector<InterfaceView>* views) {
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
    if (views != nullptr) views->push_back(*view);
  }
  return absl::OkStatus();
}

PolicyStoreConfig StoreConfig(const Config& config) {
  return {.workers = config.workers.size(),
          .rule_slots = config.memory.rule_slots,
          .table_slots = kTableSlots};
}

// Debian's absl::string_view is none that spdlog knows.
std::string Text(const absl::Status& status) {
  return std::string(status.message());
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
  const HostFacts facts = FactsOf(config);
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
  absl::Status status = AddPorts(config, &interfaces, nullptr);
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

Daemon::Daemon(Config config)
    : config_(std::move(config)), facts_(FactsOf(config_)) {}

Daemon::~Daemon() {
  StopWorkers();
  server_.reset();
  // Jobs in it refer to the operations and the filter.
  builder_.reset();
  operations_.reset();
  filter_.reset();
  workers_.clear();
  sinks_.clear();
  plane_.reset();
  ports_.clear();
  store_.reset();
  retired_.clear();
  topology_.reset();
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
       {&Daemon::StartEal, &Daemon::OpenSocket, &Daemon::MakePolicy,
        &Daemon::OpenPorts, &Daemon::MakeWorkers, &Daemon::LoadRuleset,
        &Daemon::LaunchWorkers}) {
    if (absl::Status status = (this->*step)(); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Daemon::StartEal() {
  absl::StatusOr<EalPlan> plan =
      PlanEal(config_, MachineFacts::FromSystem());
  if (!plan.ok()) return plan.status();
  plan_ = *std::move(plan);
  for (const std::string& warning : plan_.warnings) {
    spdlog::warn("{}", warning);
  }
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

absl::Status Daemon::MakePolicy() {
  const uint32_t workers = config_.workers.size();
  const size_t bytes = (rte_rcu_qsbr_get_memsize(workers) + 127) / 128 * 128;
  quiescence_.reset(
      static_cast<rte_rcu_qsbr*>(std::aligned_alloc(128, bytes)));
  if (quiescence_ == nullptr ||
      rte_rcu_qsbr_init(quiescence_.get(), workers) != 0) {
    return absl::ResourceExhaustedError("no memory for quiescent states");
  }
  reclaimer_.emplace(quiescence_.get());
  auto topology = std::make_unique<Topology>();
  std::vector<InterfaceView> views;
  if (absl::Status status = AddPorts(config_, &interfaces_, &views);
      !status.ok()) {
    return status;
  }
  for (size_t i = 0; i < views.size(); ++i) {
    topology->ports[i].interface = views[i];
    topology->ports[i].port = static_cast<uint16_t>(i);
  }
  for (const WireConfig& wire : config_.wires) {
    const auto [a, b] = wire.ports;
    topology->ports[a].peer = b;
    topology->ports[b].peer = a;
    topology->ports[a].pass_non_ip = wire.pass_non_ip;
    topology->ports[b].pass_non_ip = wire.pass_non_ip;
  }
  topology_ = std::move(topology);
  store_ = std::make_unique<PolicyStore>(StoreConfig(config_), &interfaces_,
                                         &*reclaimer_);
  budget_.emplace(config_.memory.states);
  expectations_ = std::make_unique<ExpectationTable>(
      ExpectationOptions{.capacity = config_.memory.expectations},
      HashSecret::Random());
  return absl::OkStatus();
}

absl::Status Daemon::OpenPorts() {
  const uint16_t workers = config_.workers.size();
  const Steering steering(workers);
  for (const PortConfig& config : config_.ports) {
    absl::StatusOr<std::unique_ptr<Port>> port = Port::Open(
        config,
        {.workers = workers,
         .pool = pool_,
         .mbuf_data = config_.memory.mbuf_data,
         .checksum_offload = config_.policy.verify_checksums},
        steering);
    if (!port.ok()) return port.status();
    ports_.push_back(*std::move(port));
  }
  return absl::OkStatus();
}

absl::Status Daemon::MakeWorkers() {
  const uint16_t count = config_.workers.size();
  const bool transmit_rings = std::ranges::any_of(
      ports_, [count](const auto& port) { return port->tx_queues() < count; });
  plane_ = std::make_unique<Plane>(count, config_.memory.handoff_ring,
                                   transmit_rings);
  plane_->quiescence = quiescence_.get();
  plane_->expectations = expectations_.get();
  main_.number = kMainFilter;
  main_.policy = store_.get();
  main_.budget = &*budget_;
  plane_->filters.Publish(&main_);
  const bool local_peers = std::ranges::any_of(config_.ports, HasLocalPeers);
  const bool may_sleep =
      config_.workers.idle == IdleMode::kSleep ||
      (config_.workers.idle == IdleMode::kAuto &&
       (plan_.cores_shared || local_peers));

  const HashSecret secret = HashSecret::Random();
  std::random_device random;
  LiveFilter::Parts parts;
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
    options.random_seed = uint64_t{random()} << 32 | random();
    sinks_.push_back(std::make_unique<RuleSink>(i, &plane_->filters));
    workers_.push_back(std::make_unique<Worker>(
        std::move(options), plane_.get(), *std::move(states),
        sinks_.back().get()));
    parts.workers.push_back(workers_.back().get());
  }
  parts.store = store_.get();
  parts.interfaces = &interfaces_;
  parts.budget = &*budget_;
  parts.filter = &main_;
  parts.plane = plane_.get();
  for (const auto& port : ports_) parts.ports.push_back(port.get());
  parts.facts = &facts_;
  parts.dialect = config_.policy.dialect;
  parts.state_capacity = config_.memory.states;
  filter_ = std::make_unique<LiveFilter>(std::move(parts));
  return absl::OkStatus();
}

absl::Status Daemon::LoadRuleset() {
  if (config_.policy.missing_ruleset == MissingRuleset::kBlock &&
      !std::filesystem::exists(config_.policy.ruleset)) {
    spdlog::warn("{} is not there: everything is blocked until a ruleset is "
                 "loaded",
                 config_.policy.ruleset);
    return absl::OkStatus();
  }
  std::unique_ptr<BuildJob<LoadResult>> job =
      filter_->BeginLoadFile(config_.policy.ruleset);
  job->Build();
  absl::StatusOr<LoadResult> result = job->Publish();
  if (!result.ok()) return result.status();
  LogDiagnostics(result->diagnostics);
  if (result->HasErrors()) {
    return absl::InvalidArgumentError(
        absl::StrCat(config_.policy.ruleset, " has errors"));
  }
  spdlog::info("{}: {} rules", config_.policy.ruleset, result->rules);
  return absl::OkStatus();
}

absl::Status Daemon::LaunchWorkers() {
  builder_ = std::make_unique<Builder>();
  operations_ = std::make_unique<Operations>(filter_.get(), builder_.get());
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
  for (const auto& port : ports_) {
    if (absl::Status status = port->Start(); !status.ok()) return status;
    for (const std::string& warning : port->warnings()) {
      spdlog::warn("{}", warning);
    }
    spdlog::info("port {}: {} ({}), {} receive and {} transmit queue(s){}, {}",
                 port->name(), port->config().device_name(), port->driver(),
                 port->rx_queues(), port->tx_queues(),
                 port->rss() ? ", symmetric RSS" : "",
                 port->link().up ? "link up" : "link down");
  }
  main_.status.Enable(/*expect_restore=*/false);
  PublishTopology();
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
  spdlog::info("{} worker(s) on processor(s) {}{}; control socket {}",
               workers_.size(), fmt::join(plan_.worker_cores, ", "),
               plan_.hugepages ? ", hugepages" : "", config_.control.socket);
  return absl::OkStatus();
}

// ---- Running ---------------------------------------------------------------

absl::Status Daemon::Run() {
  while (stop_signals_ == 0) {
    const bool busy = filter_->pending_orders() > 0 || !retired_.empty() ||
                      store_->live_generations() > 1;
    server_->Poll(busy ? kBusyPoll : kIdlePoll);
    filter_->Poll();
    std::erase_if(retired_, [this](const Retired& retired) {
      return reclaimer_->HasPassed(retired.grace_period);
    });
    PollLinks();
    BeginReload();
  }
  spdlog::info("stopping");
  StopWorkers();
  return Account();
}

void Daemon::OnSignal() {
  signalfd_siginfo info;
  while (read(signal_fd_, &info, sizeof info) ==
         static_cast<ssize_t>(sizeof info)) {
    if (info.ssi_signo == SIGHUP) {
      reload_wanted_ = true;
    } else {
      ++stop_signals_;
    }
  }
}

void Daemon::BeginReload() {
  // One change at a time: those of clients go first.
  if (!reload_wanted_ || reloading_ || operations_->busy()) return;
  reload_wanted_ = false;
  spdlog::info("SIGHUP: loading {}", config_.policy.ruleset);
  std::shared_ptr<BuildJob<LoadResult>> job =
      filter_->BeginLoadFile(config_.policy.ruleset);
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
          return;
        }
        LogDiagnostics(result->diagnostics);
        if (result->HasErrors()) {
          spdlog::error("{} has errors; nothing was loaded, the old rules are "
                        "in force",
                        config_.policy.ruleset);
        } else {
          spdlog::info("{}: {} rules, generation {}", config_.policy.ruleset,
                       result->rules, result->generation);
        }
      });
  if (!reloading_) reload_wanted_ = true;
}

void Daemon::PollLinks() {
  const uint64_t now = plane_->clock.Milliseconds();
  const bool all = now - last_link_poll_ >= kLinkInterval;
  bool any_changed = false;
  for (const auto& port : ports_) {
    if (!port->TakeLinkInterrupt() && !all) continue;
    bool changed = false;
    const LinkState link = port->PollLink(&changed);
    if (!changed) continue;
    any_changed = true;
    spdlog::info("port {}: link {}{}", port->name(), link.up ? "up" : "down",
                 link.up && link.speed > 0
                     ? fmt::format(", {} Mbit/s", link.speed)
                     : "");
  }
  if (all) last_link_poll_ = now;
  if (any_changed) PublishTopology();
}

void Daemon::PublishTopology() {
  auto next = std::make_unique<Topology>(*topology_);
  next->serial = topology_->serial + 1;
  std::vector<uint16_t> rx_queues;
  for (const auto& port : ports_) rx_queues.push_back(port->rx_queues());
  const auto assignments =
      AssignQueues(rx_queues, config_.workers.size());
  for (size_t i = 0; i < ports_.size(); ++i) {
    next->ports[i].up = ports_[i]->link().up;
    PortDevice& device = next->devices[i];
    device.ethdev = ports_[i]->ethdev();
    device.rx_queues = ports_[i]->rx_queues();
    device.tx_queues = ports_[i]->tx_queues();
  }
  for (size_t worker = 0; worker < assignments.size(); ++worker) {
    for (const QueueAssignment& queue : assignments[worker]) {
      next->devices[queue.port].pollers[queue.queue] =
          static_cast<uint8_t>(worker);
    }
  }
  plane_->topology.store(next.get(), std::memory_order_release);
  retired_.push_back({.grace_period = reclaimer_->StartGracePeriod(),
                      .topology = std::move(topology_)});
  topology_ = std::move(next);
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
  plane_->run.store(RunState::kStop, std::memory_order_release);
  for (size_t i = 0; i < launched_; ++i) {
    rte_eal_wait_lcore(static_cast<unsigned>(i + 1));
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
