#include "dataplane/replay/simulation.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <utility>

#include "pftable/store/table_edits.h"

namespace sluice {
namespace {

// How far the clock moves before what is due is looked for: the grain of the
// state table's own timers is finer than pf's seconds in any case.
constexpr uint64_t kStep = 250;
// Beyond it nothing that was sent before is remembered.
constexpr uint64_t kIdleStep = 3'600'000;
// States and expectations looked at in one call.
constexpr uint32_t kBudget = 1024;

ExpectationOptions ExpectedOf(const SimulationOptions& options) {
  ExpectationOptions expected;
  if (options.expectations != 0) expected.capacity = options.expectations;
  return expected;
}

}  // namespace

Simulation::Simulation(const SimulationOptions& options)
    : options_(options),
      filter_(0, {}, &interfaces_, &reclaimer_,
              std::max<uint32_t>(options.state_capacity, 1)),
      expectations_(ExpectedOf(options), HashSecret::FromSeed(options.seed)),
      translations_(HashSecret::FromSeed(options.seed + 1)),
      round_{.now = options.start} {}

Simulation::~Simulation() = default;

absl::StatusOr<std::unique_ptr<Simulation>> Simulation::Build(
    const SimulationOptions& options) {
  std::unique_ptr<Simulation> simulation(new Simulation(options));
  if (absl::Status s = simulation->Start(); !s.ok()) return s;
  return simulation;
}

absl::Status Simulation::Start() {
  topology_ = std::make_unique<Topology>();
  for (uint16_t i = 0; i < options_.ports.size(); ++i) {
    const SimulatedPort& port = options_.ports[i];
    std::vector<InterfaceRegistry::PortAddress> addresses;
    for (const Prefix& prefix : port.addresses) addresses.push_back({prefix});
    absl::StatusOr<InterfaceView> view =
        interfaces_.AddPort(port.name, port.groups, addresses);
    if (!view.ok()) return view.status();
    topology_->ports[i].interface = *view;
    topology_->ports[i].port = i;
    if (port.guard.IsSet()) {
      guards_.push_back(std::make_unique<SpoofGuard>(port.guard));
      topology_->ports[i].guard = guards_.back().get();
    }
  }
  for (const SimulatedWire& wire : options_.wires) {
    topology_->ports[wire.first].peer = wire.second;
    topology_->ports[wire.second].peer = wire.first;
    topology_->ports[wire.first].pass_non_ip = wire.pass_non_ip;
    topology_->ports[wire.second].pass_non_ip = wire.pass_non_ip;
  }
  filter_.plane.serial = 1;
  filter_.plane.status.Enable(/*expect_restore=*/false);
  // The policy that it begins with passes everything.
  filter_.plane.loaded = true;
  filters_.Publish(&filter_.plane);
  if (absl::Status s = translations_.Build(
          std::max<uint32_t>(options_.state_capacity, 1));
      !s.ok()) {
    return s;
  }
  absl::StatusOr<std::unique_ptr<SourceNodes>> sources = SourceNodes::Build(
      {.capacity = options_.source_nodes != 0 ? options_.source_nodes : 16384,
       .secret = HashSecret::FromSeed(options_.seed)},
      &reclaimer_);
  if (!sources.ok()) return sources.status();
  sources_ = *std::move(sources);
  absl::StatusOr<std::unique_ptr<WorkerShard>> shard = WorkerShard::Build(
      {.states = {.capacity = std::max<uint32_t>(options_.state_capacity, 1),
                  .filters = 1,
                  .secret = HashSecret::FromSeed(options_.seed),
                  .sequence_key = {.low = options_.seed, .high = 7},
                  .huge_pages = false,
                  .prefault = false},
       .ports = static_cast<uint16_t>(options_.ports.size()),
       .pipeline = {.parse = options_.parse,
                    .pool = options_.pool,
                    .log = options_.log,
                    .fragments = options_.fragments,
                    .secret = HashSecret::FromSeed(options_.seed),
                    .random_seed = options_.seed,
                    .cookie_key = {.low = options_.seed, .high = 9},
                    .on_verdict = options_.on_verdict,
                    .on_verdict_context = options_.on_verdict_context},
       .flows = options_.flows,
       .all_flows = options_.all_flows},
      &filters_, &expectations_, sources_.get(), &translations_);
  if (!shard.ok()) return shard.status();
  shard_ = *std::move(shard);
  views_.emplace(0, &round_, &filters_, &shard_->states(), 1);
  LookAtFilter();
  return absl::OkStatus();
}

const FilterView& Simulation::LookAtFilter() {
  ++round_.number;
  return views_->See(0);
}

absl::Status Simulation::Load(Policy policy) {
  if (absl::Status s = filter_.store.Load(std::move(policy)); !s.ok()) {
    return s;
  }
  filter_.SetLimits(*filter_.store.policy());
  LookAtFilter();
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
    // When nothing can end, the clock goes at one step as far as it matters
    // to anybody.
    const bool idle = states().size() == 0 && expectations_.empty() &&
                      filter_.sources.nodes.used() == 0 && fragments().empty();
    if (idle) milliseconds = std::min(milliseconds, kIdleStep);
    const uint64_t step = idle ? milliseconds : std::min(milliseconds, kStep);
    milliseconds -= step;
    round_.now += static_cast<Tick>(step);
    while (!states().Expire(round_.now, kBudget)) {
    }
    expectations_.Expire(round_.now, ~uint32_t{0});
    sources_->Purge(round_.now, sources_->capacity());
    shard_->pipeline().ExpireFragments(round_.now, ~uint32_t{0});
  }
}

void Simulation::Process(uint16_t port, PacketBurst& burst,
                         BurstResult& result) {
  const FilterView& filter = LookAtFilter();
  shard_->pipeline().Process(port, burst, *topology_, {&filter, &filter},
                             round_.now, result);
  CarryOutOverloads();
}

void Simulation::CarryOutOverloads() {
  OverloadOrder order;
  while (shard_->overloads().Pop(&order)) {
    if (order.limiter != 0) {
      LimitSource(order);
      continue;
    }
    const absl::StatusOr<RuleSlotInfo> rule =
        store().rule_slots().Info(order.rule_slot);
    if (!rule.ok()) continue;
    const auto bits =
        static_cast<uint8_t>(AddressBits(order.source.family));
    const TableEntry entry = {
        .prefix = {.address = order.source, .length = bits}};
    absl::StatusOr<StagedEdit> edit = StageOverload(
        store(), {.anchor = rule->anchor, .name = rule->overload_table},
        {&entry, 1});
    if (edit.ok()) {
      static_cast<void>(store().Publish(std::move(edit->generation)));
    }
    const SourceTracking& tracking =
        store().rule_slots().record(order.rule_slot).tracking;
    if (tracking.flush_global) {
      FlushSource(order.source, std::nullopt);
    } else if (tracking.flush) {
      FlushSource(order.source, order.rule_slot);
    }
  }
}

void Simulation::LimitSource(const OverloadOrder& order) {
  const std::optional<LimiterTable> what =
      TableOfLimiter(*store().generation(), order.limiter, order.source);
  if (!what.has_value()) return;
  absl::StatusOr<StagedEdit> edit =
      order.above ? StageOverload(store(), what->table, {&what->entry, 1})
                  : StageUnload(store(), what->table, {&what->entry, 1});
  if (edit.ok()) {
    static_cast<void>(store().Publish(std::move(edit->generation)));
  }
}

void Simulation::FlushSource(const Address& source,
                             std::optional<uint32_t> rule_slot) {
  uint32_t cursor = 0;
  bool more = true;
  while (more) {
    more = states().entries().Visit(&cursor, kBudget, [&](StateIndex state) {
      const StateRecord record = states().Record(state, round_.now);
      if (record.address[0] == source &&
          (!rule_slot || record.values.rule_slot == *rule_slot)) {
        states().Remove(state);
      }
    });
  }
}

void Simulation::Send(uint16_t port, BurstResult& result,
                      const std::function<void(uint16_t, rte_mbuf*)>& take) {
  const std::span<PortCounters> counters = shard_->counters();
  PortCounters& arrival = counters[port];
  const uint16_t to = peer(port);
  ForEachDeparture(result, [&](std::span<rte_mbuf*> mbufs) {
    for (rte_mbuf* mbuf : mbufs) {
      arrival.forwarded_packets.Add(1);
      arrival.forwarded_bytes.Add(mbuf->pkt_len);
      if (to != kNoPort) {
        counters[to].transmitted_packets.Add(1);
        counters[to].transmitted_bytes.Add(mbuf->pkt_len);
      }
      take(to, mbuf);
    }
  });
  for (uint32_t i = 0; i < result.answer_count; ++i) {
    arrival.transmitted_packets.Add(1);
    arrival.transmitted_bytes.Add(result.answers[i]->pkt_len);
    take(port, result.answers[i]);
  }
}

}  // namespace sluice
