#include "dataplane/replay/simulation.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <utility>

#include "dataplane/forward/segment_switch.h"
#include "dataplane/forward/tag_sorter.h"
#include "packet/frame_tags.h"
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
    topology_->ports[i].mtu = port.mtu;
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
    for (const uint16_t port : {wire.first, wire.second}) {
      topology_->ports[port].mac = MacOf(port);
    }
  }
  Join();
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
                    .neighbors = &neighbors_,
                    .cookie_key = {.low = options_.seed, .high = 9},
                    .on_verdict = options_.on_verdict != nullptr
                                      ? &Simulation::OnVerdict
                                      : nullptr,
                    .on_verdict_context = this},
       .flows = options_.flows,
       .all_flows = options_.all_flows},
      &filters_, &expectations_, sources_.get(), &translations_);
  if (!shard.ok()) return shard.status();
  shard_ = *std::move(shard);
  views_.emplace(0, &round_, &filters_, &shard_->states(), 1);
  LookAtFilter();
  return absl::OkStatus();
}

// Logical ports and segments.
void Simulation::Join() {
  std::map<uint16_t, std::vector<LogicalPorts::Child>> children;
  for (uint16_t i = 0; i < options_.ports.size(); ++i) {
    const SimulatedPort& port = options_.ports[i];
    if (!port.parent) continue;
    topology_->ports[i].parent = *port.parent;
    topology_->ports[i].tags = port.tags;
    children[*port.parent].push_back({.tags = port.tags, .port = i});
  }
  for (const auto& [parent, all] : children) {
    topology_->logical_ports.push_back(
        std::make_shared<const LogicalPorts>(all));
    topology_->ports[parent].children = topology_->logical_ports.back().get();
  }
  for (const SimulatedSegment& segment : options_.segments) {
    Segment& made = topology_->segments.emplace_back();
    made.ports = segment.ports;
    made.macs = std::make_shared<MacTable>(segment.macs);
    made.flood_unknown = segment.flood_unknown;
    made.flood_multicast = segment.flood_multicast;
    made.flood_broadcast = segment.flood_broadcast;
    for (const uint16_t port : segment.ports) {
      topology_->ports[port].segment =
          static_cast<uint16_t>(topology_->segments.size() - 1);
    }
    for (const auto& [mac, port] : segment.fixed) made.macs->Fix(mac, port);
  }
  JoinRouters();
}

const FilterView& Simulation::LookAtFilter() {
  ++round_.number;
  const FilterView& view = views_->See(0);
  if (view.generation != nullptr && view.generation->number != answers_for_) {
    answers_for_ = view.generation->number;
    AnswerForTranslations();
  }
  return view;
}

absl::Status Simulation::Load(Policy policy) {
  if (absl::Status s = filter_.store.Load(std::move(policy)); !s.ok()) {
    return s;
  }
  filter_.SetLimits(*filter_.store.policy());
  LookAtFilter();
  return absl::OkStatus();
}

void Simulation::AnswerForTranslations() {
  own_.clear();
  for (const SimulatedWire& wire : options_.wires) {
    if (!wire.answer_arp) continue;
    PortContext& first = topology_->ports[wire.first];
    PortContext& second = topology_->ports[wire.second];
    std::vector<Address> addresses;
    AddTranslationAddresses(*filter_.store.generation(), first.interface,
                            second.interface, &addresses);
    TidyOwnAddresses(&addresses);
    own_.push_back(std::make_unique<OwnAddresses>(std::move(addresses)));
    own_.back()->TakeAll();
    first.own = second.own = own_.back().get();
  }
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

void Simulation::Advance(uint64_t milliseconds, const Take& take) {
  const Take leave = take ? take : [](uint16_t, rte_mbuf* mbuf) {
    rte_pktmbuf_free(mbuf);
  };
  while (milliseconds > 0) {
    // When nothing can end, the clock goes at one step as far as it matters
    // to anybody.
    const bool idle = states().size() == 0 && expectations_.empty() &&
                      filter_.sources.nodes.used() == 0 && fragments().empty() &&
                      waiting() == 0;
    if (idle) milliseconds = std::min(milliseconds, kIdleStep);
    const uint64_t step = idle ? milliseconds : std::min(milliseconds, kStep);
    milliseconds -= step;
    round_.now += static_cast<Tick>(step);
    while (!states().Expire(round_.now, kBudget)) {
    }
    expectations_.Expire(round_.now, ~uint32_t{0});
    sources_->Purge(round_.now, sources_->capacity());
    shard_->pipeline().ExpireFragments(round_.now, ~uint32_t{0});
    for (const Segment& segment : topology_->segments) {
      segment.macs->Age(round_.now, ~uint32_t{0}, &age_cursor_);
    }
    SendReady(leave);
    if (shard_->pipeline().waits_for_hops()) ResumeRouted(leave);
  }
}

void Simulation::Process(uint16_t port, PacketBurst& burst,
                         BurstResult& result) {
  const FilterView& filter = LookAtFilter();
  shard_->pipeline().Process(port, burst, *topology_, {&filter, &filter},
                             round_.now, result);
  CarryOutOverloads();
}

void Simulation::OnVerdict(void* simulation, uint32_t index,
                           const PacketVerdict& verdict) {
  const auto& self = *static_cast<const Simulation*>(simulation);
  // What has waited is none of the burst that is being told of, but for a drop.
  if (self.sending_ready_ && verdict.passed) return;
  self.options_.on_verdict(
      self.options_.on_verdict_context,
      self.places_ != nullptr ? (*self.places_)[index] : index, verdict);
}

void Simulation::Deliver(uint16_t port, PacketBurst& burst, const Take& take) {
  Places places;
  for (uint32_t i = 0; i < kMaxBurst; ++i) places[i] = i;
  arrivals_.fill(port);
  const PortContext& at = topology_->ports[port];
  if (at.children != nullptr) {
    TagSorter tags;
    // What it drops nobody is told of there.
    const uint32_t count = burst.count;
    uint32_t there = 0;
    tags.Sort(at, shard_->counters(), burst);
    for (uint32_t i = 0; i < burst.count; ++i) {
      there |= 1u << tags.own_place(i);
    }
    uint16_t child;
    while (tags.Next(&child)) {
      for (uint32_t i = 0; i < tags.group().count; ++i) {
        places[i] = tags.place(i);
        arrivals_[places[i]] = child;
        there |= 1u << places[i];
      }
      DeliverAt(child, tags.group(), places, take);
    }
    for (uint32_t i = 0; i < count && options_.on_verdict != nullptr; ++i) {
      if ((there >> i & 1) != 0) continue;
      options_.on_verdict(options_.on_verdict_context, i,
                          {.info = nullptr,
                           .passed = false,
                           .reason = DropReason::kUnknownVlan,
                           .held = false,
                           .rule = kNoRule,
                           .rule_slot = kNoRuleSlot,
                           .judged = std::nullopt});
    }
    if (burst.count == 0) return;
    for (uint32_t i = 0; i < burst.count; ++i) places[i] = tags.own_place(i);
  }
  DeliverAt(port, burst, places, take);
}

void Simulation::DeliverAt(uint16_t port, PacketBurst& burst,
                           const Places& places, const Take& take) {
  places_ = &places;
  const PortContext& at = topology_->ports[port];
  if (at.router != kNoRouter) {
    RouteAt(port, burst, take);
    places_ = nullptr;
    CarryOutOverloads();
    return;
  }
  BurstResult result;
  if (at.segment == kNoSegment) {
    Process(port, burst, result);
    Depart(port, at.peer, result, take);
    places_ = nullptr;
    SendReady(take);
    return;
  }
  const FilterView& filter = LookAtFilter();
  const FilterEnds filters = {&filter, &filter};
  Pipeline& pipeline = shard_->pipeline();
  pipeline.Parse(port, burst);
  if (at.guard != nullptr) pipeline.CheckSources(port, *at.guard, burst);
  SegmentSwitch ways;
  const auto dispatch = [&](PacketBurst& some) {
    const SegmentWay& way = ways.way();
    switch (way.kind) {
      case SegmentWay::Kind::kPort:
        if (HasFragments(some)) {
          pipeline.ReassembleTo(port, way.port, some, *topology_, filters,
                                round_.now);
        }
        pipeline.JudgeTo(port, way.port, some, *topology_, filters, round_.now,
                         result);
        Depart(port, way.port, result, take);
        break;
      case SegmentWay::Kind::kFlood:
        Flood(port, some, take);
        break;
      case SegmentWay::Kind::kDrop:
        pipeline.Refuse(port, some, way.reason, round_.now, result);
        break;
    }
  };
  if (!at.enabled) {
    pipeline.Refuse(port, burst, DropReason::kPortDown, round_.now, result);
  } else if (ways.Sort(at, *topology_, round_.now, /*held=*/false, burst)) {
    dispatch(burst);
  } else {
    while (ways.Next()) {
      Places of_group;
      for (uint32_t i = 0; i < ways.group().count; ++i) {
        of_group[i] = places[ways.place(i)];
      }
      places_ = &of_group;
      dispatch(ways.group());
    }
  }
  places_ = nullptr;
  CarryOutOverloads();
}

void Simulation::Flood(uint16_t port, PacketBurst& burst, const Take& take) {
  const FilterView& filter = LookAtFilter();
  const FilterEnds filters = {&filter, &filter};
  Pipeline& pipeline = shard_->pipeline();
  BurstResult result;
  if (HasFragments(burst)) {
    pipeline.ReassembleTo(port, port, burst, *topology_, filters, round_.now);
  }
  const PortContext& at = topology_->ports[port];
  FloodTargets targets(*topology_, at);
  if (targets.count() == 0) {
    pipeline.Refuse(port, burst, DropReason::kSegmentLocal, round_.now,
                    result);
    return;
  }
  pipeline.BeginFlood(port, burst, *topology_, filter, round_.now, result);
  Depart(port, kNoPort, result, take);
  const std::vector<uint16_t>& ports = topology_->segments[at.segment].ports;
  for (size_t place = 0; targets.count() > 0; ++place) {
    if (!targets.Take(place)) continue;
    pipeline.FloodTo(ports[place], targets.count() == 0, filter, result);
    Depart(port, ports[place], result, take);
  }
}

// As the transmitter of a worker does it.
void Simulation::Depart(uint16_t port, uint16_t to, BurstResult& result,
                        const Take& take) {
  const std::span<PortCounters> counters = shard_->counters();
  PortCounters& arrival = counters[port];
  const auto leave = [&](uint16_t by, rte_mbuf* mbuf) {
    counters[by].transmitted_packets.Add(1);
    counters[by].transmitted_bytes.Add(mbuf->pkt_len);
    const VlanTags tags = topology_->ports[by].tags;
    if (tags.any() && !PushTags(*mbuf, tags)) std::abort();
    take(by, mbuf);
  };
  ForEachDeparture(result, [&](std::span<rte_mbuf*> mbufs) {
    for (rte_mbuf* mbuf : mbufs) {
      arrival.forwarded_packets.Add(1);
      arrival.forwarded_bytes.Add(mbuf->pkt_len);
      leave(to, mbuf);
    }
  });
  ForEachForHost(result, [&](std::span<rte_mbuf*> mbufs) {
    arrival.to_host.Add(mbufs.size());
    for (rte_mbuf* mbuf : mbufs) {
      mbuf->port = port;
      take(kHost, mbuf);
    }
  });
  for (uint32_t i = 0; i < result.answer_count; ++i) {
    leave(port, result.answers[i]);
  }
  ForEachReturn(result, [&](std::span<rte_mbuf*> mbufs) {
    for (rte_mbuf* mbuf : mbufs) {
      arrival.forwarded_packets.Add(1);
      arrival.returned_packets.Add(1);
      arrival.forwarded_bytes.Add(mbuf->pkt_len);
      leave(port, mbuf);
    }
  });
  ForEachBridged(result, [&](uint16_t by, std::span<rte_mbuf*> mbufs) {
    for (rte_mbuf* mbuf : mbufs) {
      ++bridged_;
      arrival.forwarded_packets.Add(1);
      if (by == port) arrival.returned_packets.Add(1);
      arrival.forwarded_bytes.Add(mbuf->pkt_len);
      leave(by, mbuf);
    }
  });
  for (uint32_t i = 0; i < result.question_count; ++i) {
    leave(to, result.questions[i]);
  }
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

void Simulation::Send(uint16_t port, BurstResult& result, const Take& take) {
  Depart(port, peer(port), result, take);
  SendReady(take);
}

void Simulation::SendReady(
    const std::function<void(uint16_t, rte_mbuf*)>& take) {
  Pipeline& pipeline = shard_->pipeline();
  const uint16_t port = pipeline.has_waiting()
                            ? pipeline.PortOfReady(round_.now)
                            : kNoPort;
  if (port == kNoPort) return;
  PacketBurst burst;
  BurstResult result;
  const FilterView& filter = LookAtFilter();
  sending_ready_ = true;
  pipeline.Resume(port, burst, *topology_, {&filter, &filter}, round_.now,
                  result);
  sending_ready_ = false;
  Send(port, result, take);
}

}  // namespace sluice
