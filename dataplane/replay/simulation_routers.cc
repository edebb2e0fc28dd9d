// Ports of routers in the simulation, and what the host sends by them.
#include <rte_mbuf.h>

#include <array>
#include <memory>
#include <utility>

#include "dataplane/replay/simulation.h"

namespace sluice {

void Simulation::JoinRouters() {
  for (const SimulatedRouter& router : options_.routers) {
    Router& made = topology_->routers.emplace_back();
    made.ports = router.ports;
    made.tables = std::make_shared<RoutingTables>(RoutingTables::Options());
    for (const uint16_t port : router.ports) {
      PortContext& at = topology_->ports[port];
      at.router = static_cast<uint16_t>(topology_->routers.size() - 1);
      at.mac = MacOf(port);
    }
  }
}

// As BurstJudge does it.
void Simulation::RouteAt(uint16_t port, PacketBurst& burst, const Take& take) {
  const FilterView& filter = LookAtFilter();
  Pipeline& pipeline = shard_->pipeline();
  const PortContext& at = topology_->ports[port];
  BurstResult result;
  pipeline.Parse(port, burst);
  if (at.guard != nullptr) pipeline.CheckSources(port, *at.guard, burst);
  pipeline.ReceiveRouted(port, burst, *topology_);
  if (HasFragments(burst)) {
    ReassembleRouted(port, burst);
    pipeline.ReceiveRouted(port, burst, *topology_);
  }
  pipeline.BeginRoute(port, burst, *topology_, filter, round_.now, result);
  Depart(port, kNoPort, result, take);
  uint16_t to;
  while ((to = pipeline.NextDeparture()) != kNoPort) {
    pipeline.RouteTo(to, filter, result);
    Depart(port, to, result, take);
  }
  AskForHops();
}

void Simulation::ReassembleRouted(uint16_t port, PacketBurst& burst) {
  const FilterView& filter = LookAtFilter();
  constexpr FilterView kNothing = {.disposition = Disposition::kUnfiltered};
  Pipeline& pipeline = shard_->pipeline();
  std::array<uint16_t, kMaxBurst> ways;
  for (uint32_t i = 0; i < burst.count; ++i) {
    ways[i] = pipeline.LikelyDeparture(i);
  }
  for (uint32_t i = 0; i < burst.count; ++i) {
    if (burst.infos[i].kind != Kind::kIp || !burst.infos[i].has(kFragment)) {
      continue;
    }
    const bool leaves = ways[i] < kMaxPorts;
    pipeline.ReassembleTo(port, leaves ? ways[i] : port, burst, *topology_,
                          {&filter, leaves ? &filter : &kNothing}, round_.now,
                          1u << i);
  }
}

void Simulation::AskForHops() {
  NeighborQuestion question;
  while (shard_->pipeline().NextQuestion(&question.port, &question.address)) {
    questions_.push_back(question);
  }
}

void Simulation::DeliverFromHost(uint16_t port, PacketBurst& burst,
                                 const Take& take) {
  const FilterView& filter = LookAtFilter();
  constexpr FilterView kNothing = {.disposition = Disposition::kUnfiltered};
  Pipeline& pipeline = shard_->pipeline();
  arrivals_.fill(port);
  BurstResult result;
  pipeline.ParseFromHost(port, burst);
  if (HasFragments(burst)) {
    pipeline.ReassembleTo(port, port, burst, *topology_, {&kNothing, &filter},
                          round_.now);
  }
  pipeline.JudgeFromHost(port, burst, *topology_, filter, round_.now, result);
  // Answers to it, which have never arrived.
  const auto answer_host = [&] {
    const uint32_t answers = std::exchange(result.host_count, 0);
    for (uint32_t i = 0; i < answers; ++i) {
      result.host[i]->port = port;
      ++answers_to_host_;
      take(kHost, result.host[i]);
    }
  };
  answer_host();
  Depart(port, port, result, take);
  uint16_t to;
  while ((to = pipeline.NextDeparture()) != kNoPort) {
    pipeline.RouteTo(to, filter, result);
    answer_host();
    Depart(port, to, result, take);
  }
  AskForHops();
  CarryOutOverloads();
}

void Simulation::ResumeRouted(const Take& take) {
  uint16_t port;
  uint16_t to;
  BurstResult result;
  while (shard_->pipeline().ResumeRouted(*topology_, round_.now, &port, &to,
                                         result)) {
    Depart(port, to, result, take);
  }
  AskForHops();
}

}  // namespace sluice
