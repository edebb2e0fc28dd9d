#include "dataplane/engine/engine.h"

#include <rte_mempool.h>
#include <rte_rcu_qsbr.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <span>
#include <utility>

#include "dataplane/forward/worker_shard.h"
#include "dataplane/transfer/kept_filter.h"

namespace sluice {
namespace {

// States of each worker. With several, hashes do not deal flows out evenly;
// the budget keeps the sum.
uint32_t ShardCapacity(const Engine::Options& options) {
  const uint32_t workers = options.workers;
  const uint64_t even = (uint64_t{options.states} + workers - 1) / workers;
  return static_cast<uint32_t>(workers == 1 ? even : even + even / 4);
}

// Fragments that a worker may keep, which are mbufs: all workers' are an
// eighth of the pool.
uint32_t FragmentRoom(const Engine::Options& options) {
  constexpr uint32_t kMost = 8192;
  if (options.pool == nullptr) return 0;
  return std::min(kMost, options.pool->size / 8 / options.workers);
}

// `which` sets one use of a seed apart from the others.
HashSecret SecretOf(const Engine::Options& options, uint64_t which) {
  return options.seed.has_value() ? HashSecret::FromSeed(*options.seed + which)
                                  : HashSecret::Random();
}

}  // namespace

void Engine::FreeMemory::operator()(void* memory) const { std::free(memory); }

Engine::Engine(Options options)
    : options_(std::move(options)), rule_budget_(options_.all_rule_slots) {}

Engine::~Engine() {
  Stop([] { return false; });
  Close();
}

// What is called back once workers have come by, or a job is built, reaches
// across the engine and beyond it: none of that may happen while it is being
// taken apart. Nobody waits for it either, so it is dropped, all of it while
// everything that it holds and refers to is still there.
void Engine::Close() {
  if (grace_.has_value()) grace_->Drop();
  builder_.reset();
}

// ---- Making ----------------------------------------------------------------

absl::StatusOr<std::unique_ptr<Engine>> Engine::Make(Options options) {
  std::unique_ptr<Engine> engine(new Engine(std::move(options)));
  if (absl::Status s = engine->MakePlane(); !s.ok()) return s;
  return engine;
}

absl::Status Engine::MakePlane() {
  const uint16_t workers = options_.workers;
  const size_t bytes = (rte_rcu_qsbr_get_memsize(workers) + 127) / 128 * 128;
  quiescence_.reset(
      static_cast<rte_rcu_qsbr*>(std::aligned_alloc(128, bytes)));
  if (quiescence_ == nullptr ||
      rte_rcu_qsbr_init(quiescence_.get(), workers) != 0) {
    return absl::ResourceExhaustedError("no memory for quiescent states");
  }
  reclaimer_.emplace(quiescence_.get());
  expectations_ = std::make_unique<ExpectationTable>(
      ExpectationOptions{.capacity = options_.expectations,
                         .filters = kMaxFilters},
      SecretOf(options_, 1));
  absl::StatusOr<std::unique_ptr<SourceNodes>> sources =
      SourceNodes::Build({.capacity = options_.source_nodes,
                          .secret = SecretOf(options_, 2)},
                         &*reclaimer_);
  if (!sources.ok()) return sources.status();
  sources_ = *std::move(sources);
  if (absl::Status s = MakeExchange(); !s.ok()) return s;
  plane_ = std::make_unique<Plane>(workers, options_.handoff_ring);
  plane_->router_exchange = exchange_.get();
  plane_->quiescence = quiescence_.get();
  plane_->expectations = expectations_.get();
  translations_ =
      std::make_unique<TranslationDirectory>(SecretOf(options_, 2));
  if (absl::Status s = translations_->Build(ShardCapacity(options_) * workers);
      !s.ok()) {
    return s;
  }
  if (workers > 1) {
    translations_->SetHome(
        [](const void* steering, const PacketInfo& info) {
          return static_cast<const Steering*>(steering)->OwnerOfFlow(info);
        },
        &plane_->steering);
  }
  plane_->translations = translations_.get();
  grace_.emplace(&*reclaimer_);
  ports_ = std::make_unique<PortSet>(
      Port::Options{.workers = workers,
                    .pool = options_.pool,
                    .mbuf_data = options_.mbuf_data,
                    .checksum_offload = options_.verify_checksums,
                    .sockets = options_.device_sockets},
      &plane_->topology, &interfaces_, &*grace_);
  return ports_->Declare(options_.ports, options_.wires, options_.segments,
                         options_.routers);
}

absl::Status Engine::Open() {
  if (absl::Status s = ports_->Open(); !s.ok()) return s;
  if (absl::Status s = MakeWorkers(); !s.ok()) return s;
  if (absl::Status s = MakeRouters(); !s.ok()) return s;
  MakeFilters();
  return ReadState();
}

absl::Status Engine::MakeWorkers() {
  if (!options_.packet_log.empty()) {
    packet_log_ = std::make_unique<PacketLog>(
        options_.packet_log, options_.packet_rate, options_.workers,
        [this](const LogRecord& record, PflogContext* context) {
          return filters_->Describe(record, context);
        });
  }
  spoof_log_ = std::make_unique<SpoofLog>(options_.workers);
  if (options_.flows.wanted()) {
    absl::StatusOr<std::unique_ptr<FlowLog>> flows = FlowLog::Open(
        options_.flows, options_.workers, plane_->clock.Now(),
        [this](const FlowRecord& record, SessionContext* context) {
          filters_->Describe(record, context);
        });
    if (!flows.ok()) return flows.status();
    flow_log_ = *std::move(flows);
  }
  const HashSecret secret = SecretOf(options_, 0);
  const HashSecret sequence_secret = SecretOf(options_, 3);
  const HashKey sequence_key = {.low = sequence_secret.words[0],
                                .high = sequence_secret.words[1]};
  const HashSecret cookie_secret = SecretOf(options_, 4);
  const HashKey cookie_key = {.low = cookie_secret.words[0],
                              .high = cookie_secret.words[1]};
  std::random_device random;
  std::vector<std::span<const PortCounters>> counters;
  for (uint16_t i = 0; i < options_.workers; ++i) {
    const uint64_t draws = options_.seed.has_value()
                               ? *options_.seed + i
                               : uint64_t{random()} << 32 | random();
    absl::StatusOr<std::unique_ptr<WorkerShard>> shard = WorkerShard::Build(
        {.states = {.worker = static_cast<uint8_t>(i),
                    .capacity = ShardCapacity(options_),
                    .filters = kMaxFilters,
                    .secret = secret,
                    .sequence_key = sequence_key,
                    .tftp_helper = options_.tftp_helper,
                    .ftp_helper = options_.ftp_helper,
                    .huge_pages = options_.huge_pages,
                    .prefault = options_.huge_pages},
         .pipeline = {.parse = {.verify_checksums = options_.verify_checksums},
                      .pool = options_.pool,
                      .log = packet_log_ != nullptr ? packet_log_->ring(i)
                                                    : nullptr,
                      .spoofs = spoof_log_->ring(i),
                      .fragments = FragmentRoom(options_),
                      .workers = options_.workers,
                      .secret = secret,
                      .random_seed = draws,
                      .neighbors = &neighbors_,
                      .cookie_key = cookie_key},
         .flows = flow_log_ != nullptr ? flow_log_->ring(i) : nullptr,
         .all_flows = flow_log_ != nullptr && flow_log_->wants_all()},
        &plane_->filters, expectations_.get(), sources_.get(),
        translations_.get());
    if (!shard.ok()) return shard.status();
    Working();
    workers_.push_back(std::make_unique<Worker>(
        Worker::Options{.index = i,
                        .may_sleep = options_.may_sleep,
                        .verify_checksums = options_.verify_checksums,
                        .speech = i == 0 ? options_.pool : nullptr,
                        .measure_load = options_.measure_load},
        plane_.get(), *std::move(shard)));
    environment_.workers.push_back(workers_.back().get());
    counters.push_back(workers_.back()->counters());
  }
  ports_->SetCounters(std::move(counters));
  return absl::OkStatus();
}

void Engine::MakeFilters() {
  hold_budget_ = std::make_unique<HoldBudget>(options_.may_hold);
  builder_ = std::make_unique<Builder>();

  RestoreServiceOptions restores;
  for (Worker* worker : environment_.workers) {
    restores.plane.mailboxes.push_back(&worker->mailbox());
  }
  restores.plane.steering = &plane_->steering;
  restores.plane.expectations = expectations_.get();
  restores.plane.sources = sources_.get();
  restores.plane.interfaces = &interfaces_;
  restores.plane.now = [this] { return plane_->clock.Now(); };
  restores.limits = options_.restore;
  restores.max_snapshot = options_.max_snapshot;
  restores.transfers = options_.transfers;
  restores.clock = options_.restore_clock;
  restores_ = std::make_unique<RestoreService>(std::move(restores));

  environment_.interfaces = &interfaces_;
  environment_.reclaimer = &*reclaimer_;
  environment_.plane = plane_.get();
  environment_.ports = ports_.get();
  environment_.routers = routers_.get();
  environment_.hold_budget = hold_budget_.get();
  environment_.store = {.workers = options_.workers,
                        .rule_slots = options_.rule_slots,
                        .table_slots = options_.table_slots,
                        .rule_budget = &rule_budget_,
                        .pool = &policies_,
                        .publication = &plane_->publication,
                        .classifier = options_.classifier,
                        .frees_itself = false};
  environment_.dialect = options_.dialect;
  environment_.without = options_.without;
  environment_.run_time_devices = options_.run_time_devices;
  environment_.state_capacity = options_.states;
  environment_.sources = sources_.get();
  environment_.ftp_helper = options_.ftp_helper;
  environment_.tftp_helper = options_.tftp_helper;
  if (flow_log_ != nullptr) {
    environment_.flow_counters = [log = flow_log_.get()] {
      const FlowLogCounts counts = log->counts();
      return std::vector<NamedCounter>{
          {.name = "records-lost", .value = counts.ring_lost},
          {.name = "sessions", .value = counts.sessions},
          {.name = "sessions-lost", .value = counts.sessions_lost},
          {.name = "exported", .value = counts.exported},
          {.name = "export-lost", .value = counts.export_lost},
          {.name = "export-unfit", .value = counts.unfit}};
    };
  }
  std::random_device random;
  while (environment_.host_id == 0) environment_.host_id = random();
  environment_.restores = restores_.get();
  filters_ = std::make_unique<FilterRegistry>(&environment_, ports_.get(),
                                              &*grace_, builder_.get());
}

absl::Status Engine::Start() {
  if (absl::Status s = ports_->Start(); !s.ok()) return s;
  if (absl::Status s = StartRouters(); !s.ok()) return s;
  filters_->Start(std::move(kept_main_));
  PlugKeptPorts();
  MakeKeptFilters();
  ports_->Publish();
  return absl::OkStatus();
}

// ---- Running ---------------------------------------------------------------

bool Engine::busy() const {
  return filters_->pending_orders() > 0 || !grace_->empty() ||
         filters_->has_old_generations() || restores_->busy() ||
         (flow_log_ != nullptr && flow_log_->more());
}

void Engine::Poll(uint64_t now) {
  const auto part = [this](std::string_view name, const auto& work) {
    const TurnWatch::Part measured(&turns_, name);
    work();
  };
  part("what the builder has made", [&] { builder_->Finish(); });
  part("the liveness of workers", [&] {
    if (monitor_.has_value()) monitor_->Poll(now);
  });
  part("filters", [&] { filters_->Poll(now); });
  part("transfers", [&] { PollTransfers(now); });
  part("what waited for all workers", [&] { grace_->Poll(); });
  part("links of ports", [&] { ports_->PollLinks(now); });
  part("routers", [&] { PollRouters(now); });
  part("hosts of segments", [&] { ports_->AgeMacs(plane_->clock.Now()); });
  part("the logs of packets and flows", [&] { DrainLogs(); });
}

}  // namespace sluice
