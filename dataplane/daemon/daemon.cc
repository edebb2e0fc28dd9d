#include "dataplane/daemon/daemon.h"

#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <fmt/format.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/log.h"
#include "dataplane/base/log_format.h"
#include "dataplane/base/text.h"
#include "dataplane/base/user_group.h"
#include "dataplane/filters/policy_source.h"
#include "dataplane/ports/packet_pool.h"
#include "pftable/store/policy_store.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;

// Often enough for WorkerMonitor's verdicts.
constexpr milliseconds kIdlePoll{kLookInterval};
// While workers have orders or old generations wait to be freed.
constexpr milliseconds kBusyPoll{1};

sigset_t StopSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGHUP);
  sigaddset(&set, SIGUSR1);
  return set;
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

void LogDiagnostics(const std::vector<Diagnostic>& diagnostics) {
  for (const Diagnostic& diagnostic : diagnostics) {
    std::string text = FormatDiagnostic(diagnostic);
    if (!text.empty() && text.back() == '\n') text.pop_back();
    Log(diagnostic.severity == Severity::kError
                    ? LogLevel::kError
                    : LogLevel::kWarning,
                "{}", text);
  }
}

uint64_t Milliseconds() {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<milliseconds>(
          std::chrono::steady_clock::now().time_since_epoch())
          .count());
}

// The preflight has found the groups.
SocketAccess SocketAccessOf(const ControlConfig& control) {
  const std::string& group = control.device_group.empty()
                                 ? control.group
                                 : control.device_group;
  return {.mode = control.device_mode,
          .group = group.empty() ? std::nullopt : FindGroupId(group)};
}

Engine::Options EngineOptionsOf(const Config& config, const EalPlan& plan,
                                rte_mempool* pool,
                                std::function<void()> working) {
  // Without ports, those that orders bring.
  const bool local_peers =
      config.ports.empty() || std::ranges::any_of(config.ports, HasLocalPeers);
  const bool may_sleep = config.workers.idle == IdleMode::kSleep ||
                         (config.workers.idle == IdleMode::kAuto &&
                          (plan.cores_shared || local_peers));
  const auto& helpers = config.policy.helpers;
  return {.workers = config.workers.size(),
          .may_sleep = may_sleep,
          .pool = pool,
          .mbuf_data = config.memory.mbuf_data,
          .may_hold = HoldBudget::ShareOf(plan.mbufs),
          .handoff_ring = config.memory.handoff_ring,
          .states = config.memory.states,
          .rule_slots = config.memory.rule_slots,
          .all_rule_slots = config.memory.all_rule_slots,
          .classifier = config.workers.classifier,
          .expectations = config.memory.expectations,
          .source_nodes = config.memory.source_nodes,
          .huge_pages = plan.hugepages,
          .ftp_helper = std::ranges::find(helpers, "ftp") != helpers.end(),
          .tftp_helper =
              std::ranges::find(helpers, "tftp") != helpers.end(),
          .verify_checksums = config.policy.verify_checksums,
          .dialect = config.policy.dialect,
          .without = config.policy.without,
          .ports = config.ports,
          .wires = config.wires,
          .segments = config.segments,
          .routers = config.routers,
          .run_time_devices = config.control.devices,
          .device_sockets = SocketAccessOf(config.control),
          .packet_log = config.log.packets,
          .packet_rate = config.log.packet_rate,
          .flows = config.flows,
          .restore = {.queue = RestoreTime{config.restore.queue} * 1000,
                      .validate = RestoreTime{config.restore.validate} * 1000,
                      .commit = RestoreTime{config.restore.commit} * 1000,
                      .give_up =
                          RestoreTime{config.restore.give_up} * 1'000'000,
                      .validating = 2},
          .max_snapshot = config.transfer.max_snapshot,
          .transfers = config.transfer.limits,
          .state_directory = config.state.directory,
          .measure_load =
              !config.metrics.listen.empty() || !config.web.listen.empty(),
          .state_interval = uint64_t{config.state.interval} * 1000,
          .working = std::move(working)};
}

// Compiles the policy as the filter main would, and says what it is.
absl::StatusOr<uint64_t> CompiledHash(const Config& config, Policy policy) {
  InterfaceRegistry interfaces;
  if (absl::Status s = AddPorts(config, &interfaces); !s.ok()) return s;
  ImmediateReclaimer reclaimer;
  PolicyStore store({.workers = 1,
                     .rule_slots = config.memory.rule_slots,
                     .table_slots = Engine::Options{}.table_slots},
                    &interfaces, &reclaimer);
  if (absl::Status s = store.Load(std::move(policy)); !s.ok()) return s;
  return store.generation()->policy->hash;
}

absl::StatusOr<uint64_t> HashOfFile(const Config& config) {
  absl::StatusOr<ParseResult> parsed = ParseFile(
      config.policy.ruleset, config.policy.dialect, FactsOf(config.ports));
  if (!parsed.ok()) return parsed.status();
  if (!parsed->ok()) return absl::InvalidArgumentError("it has errors");
  return CompiledHash(config, std::move(parsed->policy));
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
  std::ranges::move(CheckEnforced(&parsed->policy, config.policy.without,
                                  kEngineCapabilities),
                    std::back_inserter(diagnostics));
  *rules = CountRules(parsed->policy.main);
  const bool bad = std::ranges::any_of(diagnostics, [](const Diagnostic& d) {
    return d.severity == Severity::kError;
  });
  if (bad) return diagnostics;
  const absl::Status status =
      CompiledHash(config, std::move(parsed->policy)).status();
  if (!status.ok()) {
    std::ranges::move(DiagnosticsOf(status, config.policy.ruleset),
                      std::back_inserter(diagnostics));
  }
  return diagnostics;
}

void Daemon::FreePool::operator()(rte_mempool* pool) const {
  if (rte_mempool_in_use_count(pool) > 0) {
    LogWarning("{} mbufs were never given back",
                 rte_mempool_in_use_count(pool));
  }
  rte_mempool_free(pool);
}

void Daemon::BlockSignals() {
  const sigset_t set = StopSignals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

Daemon::Daemon(Config config) : config_(std::move(config)) {}

Daemon::~Daemon() {
  exporter_.reset();
  if (engine_ != nullptr) Stop();
  server_.reset();
  if (engine_ != nullptr && !engine_->kept().ok() && !engine_->EndSaving()) {
    // What it writes is nobody's file yet, so it can be left.
    LogCritical("the state directory does not take what is written; ending "
                "without it");
    EndLog();
    std::_Exit(EXIT_FAILURE);
  }
  // What is under way refers to the operations.
  if (engine_ != nullptr) engine_->Close();
  operations_.reset();
  engine_.reset();
  pool_.reset();
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
       {&Daemon::StartEal, &Daemon::OpenSocket, &Daemon::MakeEngine,
        &Daemon::LoadRuleset, &Daemon::Launch}) {
    Working();
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
  // With routers a thread gives mbufs back that does not have a processor to
  // itself.
  pool_.reset(MakePacketPool("packets",
                             {.mbufs = plan_.mbufs,
                              .cache = config_.memory.mbuf_cache,
                              .data_room = config_.memory.mbuf_data,
                              .shared = !config_.routers.empty()}));
  if (pool_ == nullptr) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "no memory for ", plan_.mbufs, " mbufs of ",
        config_.memory.mbuf_data, " bytes: ", rte_strerror(rte_errno),
        "; lower [memory] mbufs or reserve more hugepages"));
  }
  return absl::OkStatus();
}

absl::Status Daemon::OpenSocket() {
  absl::StatusOr<std::unique_ptr<ControlServer>> server =
      ControlServer::Start({.path = config_.control.socket,
                            .mode = config_.control.mode,
                            .group = config_.control.group,
                            .read_group = config_.control.read_group,
                            .operate_group = config_.control.operate_group,
                            .admin_group = config_.control.admin_group},
                           ServerLimits{}, nullptr);
  if (!server.ok()) return server.status();
  server_ = *std::move(server);
  return absl::OkStatus();
}

absl::Status Daemon::MakeEngine() {
  absl::StatusOr<std::unique_ptr<Engine>> engine =
      Engine::Make(EngineOptionsOf(config_, plan_, pool_.get(),
                                   [this] { Working(); }));
  if (!engine.ok()) {
    return absl::Status(
        engine.status().code(),
        absl::StrCat(config_.file, ": ", engine.status().message()));
  }
  engine_ = *std::move(engine);
  return engine_->Open();
}

absl::Status Daemon::LoadRuleset() {
  if (engine_->LoadKeptPolicy()) {
    LogInfo("the ruleset that was committed last is in force; SIGHUP "
                 "loads {}",
                 config_.policy.ruleset);
    CompareWithFile();
    return absl::OkStatus();
  }
  if (config_.policy.missing_ruleset == MissingRuleset::kBlock &&
      !std::filesystem::exists(config_.policy.ruleset)) {
    LogWarning("{} is not there: everything is blocked until a ruleset is "
                 "loaded",
                 config_.policy.ruleset);
    return absl::OkStatus();
  }
  std::unique_ptr<BuildJob<LoadResult>> job =
      engine_->filters().main().Rules().BeginLoadFile(config_.policy.ruleset);
  job->Build();
  absl::StatusOr<LoadResult> result = job->Publish();
  if (!result.ok()) return result.status();
  LogDiagnostics(result->diagnostics);
  if (result->HasErrors()) {
    return absl::InvalidArgumentError(
        absl::StrCat(config_.policy.ruleset, " has errors"));
  }
  rules_ = result->rules;
  LogInfo("{}: {} rules", config_.policy.ruleset, result->rules);
  return absl::OkStatus();
}

// Who has edited the file since, or before it was ever loaded, may believe that
// it is in force.
void Daemon::CompareWithFile() {
  const Generation& kept = *engine_->filters().main().store().generation();
  const absl::StatusOr<uint64_t> file = HashOfFile(config_);
  if (file.ok() && *file == kept.policy->hash) return;
  LogWarning("{} {}: what was committed last is in force, and not that file; "
             "`sluicectl -s rules` shows it, SIGHUP (systemctl reload) or "
             "`sluicectl -f` loads the file",
             config_.policy.ruleset,
             file.ok() ? "differs from the ruleset in force"
                       : "cannot be compared with the ruleset in force");
}

absl::Status Daemon::Launch() {
  Builder& builder = engine_->builder();
  operations_ = std::make_unique<Operations>(&engine_->filters(), &builder);
  operations_->SetTransfer(&engine_->restores());
  if (engine_->packet_log() != nullptr) {
    operations_->SetLog(&engine_->packet_log()->followers());
  }
  process_.emplace(engine_.get());
  operations_->SetProcess(&*process_);
  operations_->SetTurns(&engine_->turns());
  server_->SetTurns(&engine_->turns());
  server_->SetHandler(operations_.get());
  for (const auto& [fd, callback] :
       {std::pair<int, std::function<void()>>{signal_fd_,
                                              [this] { OnSignal(); }},
        std::pair<int, std::function<void()>>{
            builder.event_fd(), [&builder] { builder.Finish(); }}}) {
    if (absl::Status status = server_->Watch(fd, callback); !status.ok()) {
      return status;
    }
  }
  if (absl::Status s = StartExporter(); !s.ok()) return s;
  if (absl::Status status = engine_->Start(); !status.ok()) return status;
  if (absl::Status s = engine_->LaunchOnLcores(); !s.ok()) return s;
  LogInfo("{} worker(s) on processor(s) {}{}; control socket {}",
               engine_->worker_count(), fmt::join(plan_.worker_cores, ", "),
               plan_.hugepages ? ", hugepages" : "", config_.control.socket);
  return absl::OkStatus();
}

absl::Status Daemon::StartExporter() {
  absl::StatusOr<std::unique_ptr<Exporter>> exporter = Exporter::Start(
      config_.metrics, config_.web, config_.eal.telemetry, operations_.get());
  if (!exporter.ok()) {
    return absl::Status(exporter.status().code(),
                        absl::StrCat(config_.file, ": ",
                                     exporter.status().message()));
  }
  exporter_ = *std::move(exporter);
  if (!config_.metrics.listen.empty()) {
    LogInfo("metrics at {}", config_.metrics.listen);
  }
  if (!config_.web.listen.empty()) {
    LogInfo("web page at {}", config_.web.listen);
  }
  return server_->Watch(exporter_->event_fd(),
                        [this] { exporter_->Serve(); });
}

// ---- Running ---------------------------------------------------------------

absl::Status Daemon::Run() {
  service_.Ready(Summary("running"));
  while (stop_signals_ == 0) {
    server_->Poll(engine_->busy() ? kBusyPoll : kIdlePoll);
    const uint64_t now = engine_->Now();
    engine_->Poll(now);
    BeginReload();
    service_.Beat(Milliseconds());
    engine_->turns().End();
  }
  LogInfo("stopping");
  service_.Stopping();
  Working();
  // Nobody answers its threads any more.
  exporter_.reset();
  Stop();
  const absl::Status accounted = engine_->Account();
  if (!engine_->kept().ok()) {
    if (!accounted.ok()) LogCritical("{}", Text(accounted));
    return engine_->kept();
  }
  return accounted;
}

void Daemon::Working() {
  const uint64_t now = Milliseconds();
  service_.Extend(now);
  service_.Beat(now);
}

// A second signal does not wait.
void Daemon::Stop() {
  engine_->Stop([this, signals = stop_signals_] {
    OnSignal();
    return stop_signals_ != signals;
  });
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
        if (PacketLog* const packets = engine_->packet_log()) {
          packets->Reopen();
        }
        if (FlowLog* const flows = engine_->flow_log()) flows->Reopen();
        if (const absl::Status status = ReopenLog(); status.ok()) {
          LogInfo("SIGUSR1: the log goes on here");
        } else {
          LogError("SIGUSR1: {}; the old file is still written to",
                        Text(status));
        }
        if (const absl::Status status = ReopenAuditLog(); !status.ok()) {
          LogError("SIGUSR1: {}; the old file is still written to",
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
                     config_.ports.size(), engine_->worker_count(), rules_);
}

void Daemon::BeginReload() {
  // One change at a time: those of clients go first.
  if (!reload_wanted_ || reloading_ || operations_->busy()) return;
  reload_wanted_ = false;
  LogInfo("SIGHUP: loading {}", config_.policy.ruleset);
  service_.Reloading();
  std::shared_ptr<BuildJob<LoadResult>> job =
      engine_->filters().main().Rules().BeginLoadFile(config_.policy.ruleset);
  reloading_ = engine_->builder().Submit(
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
          LogError("reload failed: {}", Text(result.status()));
          service_.Ready(Summary("running; the last reload failed"));
          return;
        }
        LogDiagnostics(result->diagnostics);
        if (result->HasErrors()) {
          LogError("{} has errors; nothing was loaded, the old rules are "
                        "in force",
                        config_.policy.ruleset);
          service_.Ready(Summary("running; the last reload failed"));
        } else {
          rules_ = result->rules;
          LiveFilter& main = engine_->filters().main();
          main.States().CollectCounters(
              [&main] { main.Rules().ClearLoadedCounters(); });
          service_.Ready(Summary("running"));
          LogChange(
              std::vector<LogField>{
                  {.name = "command", .value = "SIGHUP"},
                  {.name = "filter", .value = std::string(kMainFilterName)},
                  {.name = "generation_after",
                   .value = std::to_string(result->generation),
                   .is_number = true},
                  {.name = "outcome", .value = "done"}},
              fmt::format("{}: {} rules, generation {}", config_.policy.ruleset,
                          result->rules, result->generation));
        }
      });
  if (!reloading_) reload_wanted_ = true;
}

}  // namespace sluice
