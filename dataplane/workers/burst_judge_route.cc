// The parts of BurstJudge for ports of routers.
#include <rte_mbuf.h>

#include <algorithm>
#include <bit>

#include "dataplane/forward/router_exchange.h"
#include "dataplane/workers/burst_judge.h"
#include "dataplane/workers/plane.h"

namespace sluice {
namespace {

// At an end where nothing is judged.
constexpr FilterView kNothing = {.disposition = Disposition::kUnfiltered};

}  // namespace

// Where a packet leaves is known when it has been judged in, and it is judged
// as a whole or not at all: while the filter at its likely port of departure
// waits for a restore, it waits there before either judgement.
void BurstJudge::RouteBurst(uint16_t port, PacketBurst& burst) {
  const Topology& topology = *round_.topology;
  pipeline_.ReceiveRouted(port, burst, topology);
  const FilterView& in = views_.See(topology.ports[port].filter);
  bool gated = Gated(in);
  uint16_t seen = kNoPort;
  for (uint32_t i = 0; i < burst.count && !gated; ++i) {
    const uint16_t to = pipeline_.LikelyDeparture(i);
    if (to == seen || to >= kMaxPorts) continue;
    seen = to;
    gated = Gated(views_.See(topology.ports[to].filter));
  }
  if (!gated) [[likely]] {
    RouteBy({&in, &kNothing}, {.from = port, .routed = true}, /*found=*/true,
            burst);
    return;
  }
  // One likely way after the other; what is released before them may come by
  // here, too.
  std::array<uint16_t, kMaxBurst> ways;
  for (uint32_t i = 0; i < burst.count; ++i) {
    ways[i] = pipeline_.LikelyDeparture(i);
    if (ways[i] >= kMaxPorts) ways[i] = kNoPort;
  }
  uint32_t left = burst.count == kMaxBurst ? ~0u : (1u << burst.count) - 1;
  while (left != 0) {
    const uint16_t to = ways[static_cast<size_t>(std::countr_zero(left))];
    PacketBurst group;
    for (uint32_t rest = left; rest != 0; rest &= rest - 1) {
      const auto i = static_cast<uint32_t>(std::countr_zero(rest));
      if (ways[i] != to) continue;
      left &= ~(1u << i);
      group.mbufs[group.count] = burst.mbufs[i];
      group.infos[group.count++] = burst.infos[i];
    }
    Cross({.from = port, .to = to, .routed = true}, group);
  }
}

// `way.to`, if there is one: at that port the second of the filters judges.
// `found`: the routes of this very burst have just been looked for.
void BurstJudge::RouteBy(const FilterEnds& filters, const Way& way, bool found,
                         PacketBurst& burst) {
  const Topology& topology = *round_.topology;
  const uint16_t port = way.from;
  if (HasFragments(burst)) [[unlikely]] {
    ReassembleRouted(*filters[0], port, burst);
  } else if (!found) {
    pipeline_.ReceiveRouted(port, burst, topology);
  }
  pipeline_.BeginRoute(port, burst, topology, *filters[0], round_.now,
                       result_);
  SendRouted(port, kNoPort);
  uint16_t to;
  while ((to = pipeline_.NextDeparture()) != kNoPort) {
    // Those that were translated go another way than was likely.
    const FilterView* const out =
        way.to == to ? filters[1] : SeeDeparture(to, /*in_place=*/nullptr);
    if (out == nullptr) [[unlikely]] continue;
    pipeline_.RouteTo(to, *out, result_);
    SendRouted(port, to);
  }
  AskForHops();
}

// Fragments that leave by one port likely are put together if the filter there
// wants it, or the one here.
void BurstJudge::ReassembleRouted(const FilterView& in, uint16_t port,
                                  PacketBurst& burst) {
  const Topology& topology = *round_.topology;
  pipeline_.ReceiveRouted(port, burst, topology);
  std::array<uint16_t, kMaxBurst> ways;
  uint32_t left = 0;
  for (uint32_t i = 0; i < burst.count; ++i) {
    if (burst.infos[i].kind != Kind::kIp || !burst.infos[i].has(kFragment)) {
      continue;
    }
    const uint16_t to = pipeline_.LikelyDeparture(i);
    ways[i] = to < kMaxPorts ? to : kNoPort;
    left |= 1u << i;
  }
  while (left != 0) {
    const uint16_t to = ways[static_cast<size_t>(std::countr_zero(left))];
    uint32_t group = 0;
    for (uint32_t rest = left; rest != 0; rest &= rest - 1) {
      const int i = std::countr_zero(rest);
      if (ways[static_cast<size_t>(i)] == to) group |= 1u << i;
    }
    left &= ~group;
    const FilterView& out =
        to != kNoPort ? views_.See(topology.ports[to].filter) : kNothing;
    pipeline_.ReassembleTo(port, to != kNoPort ? to : port, burst, topology,
                           {&in, &out}, round_.now, group);
  }
  if (plane_.steering.workers() > 1) PassOn(port, 0, burst);
  // A datagram has ports, and so another route perhaps.
  pipeline_.ReceiveRouted(port, burst, topology);
}

void BurstJudge::RouteOrphans(uint16_t port, PacketBurst& burst) {
  const Topology& topology = *round_.topology;
  FilterView in = kNothing;
  if (!JudgeInPlace(topology.ports[port], &in)) {
    DropAll(port, burst, DropReason::kStalled);
    return;
  }
  pipeline_.ReceiveRouted(port, burst, topology);
  if (HasFragments(burst)) ReassembleRouted(in, port, burst);
  pipeline_.BeginRoute(port, burst, topology, in, round_.now, result_);
  SendRouted(port, kNoPort);
  uint16_t to;
  while ((to = pipeline_.NextDeparture()) != kNoPort) {
    FilterView in_place;
    const FilterView* const out = SeeDeparture(to, &in_place);
    if (out == nullptr) continue;
    pipeline_.RouteTo(to, *out, result_);
    SendRouted(port, to);
  }
  AskForHops();
}

void BurstJudge::SendRouted(uint16_t port, uint16_t to) {
  if (result_.host_count > 0) {
    ForEachForHost(result_, [&](std::span<rte_mbuf*> mbufs) {
      SendToHost(port, mbufs);
    });
  }
  if (result_.forward_count > 0) {
    ForEachDeparture(result_, [&](std::span<rte_mbuf*> mbufs) {
      // By the port of arrival, too: that is no answer.
      port == to ? transmitter_.Return(port, mbufs)
                 : transmitter_.Send(port, to, mbufs);
    });
  }
  if (result_.answer_count > 0) {
    transmitter_.Send(port, port,
                      std::span(result_.answers).first(result_.answer_count));
  }
  if (result_.bridged_count > 0) [[unlikely]] SendBridged(port);
}

void BurstJudge::SendToHost(uint16_t port, std::span<rte_mbuf*> mbufs) {
  for (rte_mbuf* mbuf : mbufs) mbuf->port = port;
  const uint32_t sent = plane_.router_exchange != nullptr
                            ? plane_.router_exchange->ToHost(worker_, mbufs)
                            : 0;
  pipeline_.CountForHost(port, sent);
  if (sent < mbufs.size()) {
    transmitter_.Drop(port, mbufs.subspan(sent), DropReason::kHostFull);
  }
}

void BurstJudge::AskForHops() {
  uint16_t port;
  Address address;
  while (pipeline_.NextQuestion(&port, &address)) [[unlikely]] {
    if (plane_.router_exchange != nullptr) {
      plane_.router_exchange->Ask(worker_, {.port = port, .address = address});
    }
  }
}

void BurstJudge::ResumeRouted() {
  // What a neighbour says is looked at once a tick.
  if (round_.now == resumed_) return;
  resumed_ = round_.now;
  uint16_t port;
  uint16_t to;
  while (pipeline_.ResumeRouted(*round_.topology, round_.now, &port, &to,
                                result_)) {
    SendRouted(port, to);
  }
  AskForHops();
}

void BurstJudge::JudgeFromHost(uint16_t port, PacketBurst& burst) {
  if (round_.topology->ports[port].router == kNoRouter) {
    DropAll(port, burst, DropReason::kNoRoute);
    return;
  }
  const FilterView& out = views_.See(round_.topology->ports[port].filter);
  const Way way = {.from = port, .to = port, .from_host = true};
  const FilterEnds filters = {&kNothing, &out};
  if (Gated(out)) [[unlikely]] {
    PassGate(way, filters, burst);
    if (burst.count == 0) return;
  }
  JudgeBy(filters, way, burst);
}

void BurstJudge::HostOrphans(uint16_t port, PacketBurst& burst) {
  FilterView out = kNothing;
  if (!JudgeInPlace(round_.topology->ports[port], &out)) {
    DropAll(port, burst, DropReason::kStalled);
    return;
  }
  HostBy(out, port, /*orphans=*/true, burst);
}

// Of a burst that the host sends by that port, where `out` judges.
void BurstJudge::HostBy(const FilterView& out, uint16_t port, bool orphans,
                        PacketBurst& burst) {
  const Topology& topology = *round_.topology;
  if (HasFragments(burst)) [[unlikely]] {
    pipeline_.ReassembleTo(port, port, burst, topology, {&kNothing, &out},
                           round_.now);
    if (plane_.steering.workers() > 1) PassOn(port, kFromHostPort, burst);
  }
  pipeline_.JudgeFromHost(port, burst, topology, out, round_.now, result_);
  ForEachDeparture(result_, [&](std::span<rte_mbuf*> mbufs) {
    transmitter_.Return(port, mbufs);
  });
  SendBridged(port);
  AnswerHost(port);
  // What rules send another way than the host wanted.
  uint16_t to;
  while ((to = pipeline_.NextDeparture()) != kNoPort) [[unlikely]] {
    FilterView in_place;
    const FilterView* const other =
        to == port ? &out : SeeDeparture(to, orphans ? &in_place : nullptr);
    if (other == nullptr) continue;
    pipeline_.RouteTo(to, *other, result_);
    AnswerHost(port);
    SendRouted(port, to);
  }
  AskForHops();
}

// Answers to what the host has sent. They never arrived, so that they are none
// of those that are forwarded to it.
void BurstJudge::AnswerHost(uint16_t port) {
  const std::span<rte_mbuf*> answers =
      std::span(result_.host).first(result_.host_count);
  result_.host_count = 0;
  for (rte_mbuf* mbuf : answers) mbuf->port = port;
  const uint32_t sent = plane_.router_exchange != nullptr
                            ? plane_.router_exchange->ToHost(worker_, answers)
                            : 0;
  if (sent < answers.size()) transmitter_.LoseAnswers(port, answers.subspan(sent));
}

// What judges at a port of departure that was not known before. Of orphans,
// with `in_place`, it is made there. Null: nothing leaves by that port, and what
// would have has been dropped.
const FilterView* BurstJudge::SeeDeparture(uint16_t to, FilterView* in_place) {
  const PortContext& at = round_.topology->ports[to];
  if (in_place != nullptr) [[unlikely]] {
    *in_place = kNothing;
    if (JudgeInPlace(at, in_place)) return in_place;
    pipeline_.DropRouted(to, DropReason::kStalled, result_);
    return nullptr;
  }
  const FilterView& view = views_.See(at.filter);
  if (view.open()) [[likely]] return &view;
  // Where nothing is judged no restore is awaited either.
  if (at.excluded || !at.enabled) return &kNothing;
  RequestRestore(at);
  pipeline_.DropRouted(to, DropReason::kHeld, result_);
  return nullptr;
}

// What cannot wait asks all the same, for those behind it.
void BurstJudge::RequestRestore(const PortContext& at) {
  FilterView& view = views_.See(at.filter);
  if (view.filter == nullptr ||
      DispositionOf(view.status) != FilterDisposition::kRequest) {
    return;
  }
  view.filter->status.RequestRestore();
  view.status.state = RestoreState::kQueued;
}

// A filter whose worker does not run, as its fail policy has it: in *view what
// judges at that port in its place. False: nothing passes.
bool BurstJudge::JudgeInPlace(const PortContext& at, FilterView* view) {
  if (at.excluded || !at.enabled) return true;
  *view = views_.See(at.filter);
  const FilterPlane* const filter = view->filter;
  if (filter == nullptr || view->disposition == Disposition::kUnfiltered) {
    return true;
  }
  if (filter->fail_policy != FailPolicy::kOpen ||
      filter->emergency == nullptr) {
    return false;
  }
  view->JudgeBy(views_.See(filter->emergency->number));
  return true;
}

void BurstJudge::DropAll(uint16_t port, PacketBurst& burst,
                         DropReason reason) {
  for (uint32_t k = 0; k < burst.count; ++k) {
    if (burst.infos[k].kind == Kind::kTaken) continue;
    transmitter_.Drop(port, std::span(&burst.mbufs[k], 1), reason);
  }
}

}  // namespace sluice
