#include "dataplane/replay/simulation.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

// How far the clock moves before what is due is looked for: the grain of the
// state table's own timers is finer than pf's seconds in any case.
constexpr uint64_t kStep = 250;
// States and expectations looked at in one call.
constexpr uint32_t kBudget = 1024;

}  // namespace

Simulation::Simulation(const SimulationOptions& options)
    : options_(options), budget_(0), now_(options.start) {}

Simulation::~Simulation() = default;

absl::StatusOr<std::unique_ptr<Simulation>> Simulation::Build(
    const SimulationOptions& options) {
  std::unique_ptr<Simulation> simulation(new Simulation(options));
  if (absl::Status s = simulation->Start(); !s.ok()) return s;
  return simulation;
}

absl::Status Simulation::Start() {
  topology_ = std::make_unique<Topology>();
  counters_ = std::vector<PortCounters>(options_.ports.size());
  for (uint16_t i = 0; i < options_.ports.size(); ++i) {
    const SimulatedPort& port = options_.ports[i];
    std::vector<InterfaceRegistry::PortAddress> addresses;
    for (const Prefix& prefix : port.addresses) addresses.push_back({prefix});
    absl::StatusOr<InterfaceView> view =
        interfaces_.AddPort(port.name, port.groups, addresses);
    if (!view.ok()) return view.status();
    topology_->ports[i].interface = *view;
    topology_->ports[i].port = i;
  }
  for (const SimulatedWire& wire : options_.wires) {
    topology_->ports[wire.first].peer = wire.second;
    topology_->ports[wire.second].peer = wire.first;
    topology_->ports[wire.first].pass_non_ip = wire.pass_non_ip;
    topology_->ports[wire.second].pass_non_ip = wire.pass_non_ip;
  }
  store_ = std::make_unique<PolicyStore>(PolicyStoreConfig{}, &interfaces_,
                                         &reclaimer_);
  filter_.policy = store_.get();
  filter_.budget = &budget_;
  filters_.Publish(&filter_);
  sink_ = std::make_unique<RuleSink>(0, &filters_);
  const HashSecret secret = HashSecret::FromSeed(options_.seed);
  expectations_ =
      std::make_unique<ExpectationTable>(ExpectationOptions{}, secret);
  absl::StatusOr<std::unique_ptr<StateTable>> states = StateTable::Build(
      {.capacity = std::max<uint32_t>(options_.state_capacity, 1),
       .filters = 1,
       .secret = secret,
       .huge_pages = false,
       .prefault = false});
  if (!states.ok()) return states.status();
  states_ = *std::move(states);
  states_->SetSink(sink_.get());
  states_->SetExpectations(expectations_.get());
  pipeline_ = std::make_unique<Pipeline>(
      Pipeline::Config{.parse = options_.parse,
                       .pool = options_.pool,
                       .log = options_.log,
                       .random_seed = options_.seed,
                       .on_verdict = options_.on_verdict,
                       .on_verdict_context = options_.on_verdict_context},
      *states_, *expectations_, counters_);
  const EngineOptions& initial = store_->current()->options();
  budget_.SetLimit(initial.limit(Limit::kStates));
  states_->SetFilter(0, &budget_, initial.timeouts);
  return absl::OkStatus();
}

absl::Status Simulation::Load(Policy policy) {
  if (absl::Status s = store_->Load(std::move(policy)); !s.ok()) return s;
  const EngineOptions& options = store_->current()->options();
  budget_.SetLimit(options.limit(Limit::kStates));
  states_->SetFilter(0, &budget_, options.timeouts);
  return absl::OkStatus();
}

HostFacts Simulation::Facts() const {
  HostFacts facts;
  for (const SimulatedPort& port : options_.ports) {
    InterfaceFacts interface;
    interface.name = port.name;
    interface.groups = port.groups;
    for (const Prefix& prefix : port.addresses) {
      InterfaceAddress& own = interface.addresses.emplace_back();
      own.address = prefix.address;
      own.prefix = prefix.length;
    }
    facts.AddInterface(std::move(interface));
  }
  return facts;
}

void Simulation::Advance(uint64_t milliseconds) {
  while (milliseconds > 0) {
    // When nothing can end, it makes no difference how much time passes.
    if (states_->size() == 0 && expectations_->empty()) {
      milliseconds = std::min(milliseconds, kStep);
    }
    const uint64_t step = std::min(milliseconds, kStep);
    milliseconds -= step;
    now_ += static_cast<Tick>(step);
    while (!states_->Expire(now_, kBudget)) {
    }
    expectations_->Expire(now_, ~uint32_t{0});
  }
}

void Simulation::Process(uint16_t port, PacketBurst& burst,
                         BurstResult& result) {
  const FilterView filter{.disposition = enabled_ ? Disposition::kJudge
                                                  : Disposition::kUnfiltered,
                          .generation = store_->current(),
                          .counters = &store_->worker_counters(0)};
  pipeline_->Process(port, burst, *topology_, {&filter, &filter}, now_,
                     result);
}

void Simulation::CountSent(uint16_t port, const BurstResult& result) {
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < result.forward_count; ++i) {
    bytes += result.forward[i]->pkt_len;
  }
  PortCounters& arrival = counters_[port];
  arrival.forwarded_packets.Add(result.forward_count);
  arrival.forwarded_bytes.Add(bytes);
  if (const uint16_t to = peer(port); to != kNoPort) {
    counters_[to].transmitted_packets.Add(result.forward_count);
    counters_[to].transmitted_bytes.Add(bytes);
  }
  bytes = 0;
  for (uint32_t i = 0; i < result.answer_count; ++i) {
    bytes += result.answers[i]->pkt_len;
  }
  arrival.transmitted_packets.Add(result.answer_count);
  arrival.transmitted_bytes.Add(bytes);
}

}  // namespace sluice
