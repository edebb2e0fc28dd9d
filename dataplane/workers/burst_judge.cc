#include "dataplane/workers/burst_judge.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <array>

#include "dataplane/forward/topology.h"
#include "dataplane/workers/plane.h"
#include "packet/fragment.h"

namespace sluice {
namespace {

// Work of one round beside its bursts: filters looked at, packets released.
// Those of a filter that gets packets are released before them in any case.
constexpr size_t kHeldFilters = 64;
constexpr uint32_t kReleaseBudget = kMaxHeldPackets;

// In the place of a filter that a packet passes unjudged.
constexpr FilterView kUnfiltered = {.disposition = Disposition::kUnfiltered};

}  // namespace

void BurstJudge::Judge(uint16_t port, PacketBurst& burst) {
  const PortContext& arrival = round_.topology->ports[port];
  // One test for both.
  static_assert(kNoSegment == kNoRouter);
  if ((arrival.segment & arrival.router) != kNoSegment) [[unlikely]] {
    if (arrival.router != kNoRouter) {
      RouteBurst(port, burst);
    } else {
      Switch(port, /*orphans=*/false, burst);
    }
    return;
  }
  Cross({.from = port, .to = arrival.peer}, burst);
}

void BurstJudge::Cross(const Way& way, PacketBurst& burst) {
  const FilterView& in = views_.See(round_.topology->ports[way.from].filter);
  const FilterView& out =
      way.to != kNoPort ? views_.See(round_.topology->ports[way.to].filter)
                        : in;
  const FilterEnds filters = {&in, &out};
  if (Gated(in) || Gated(out)) [[unlikely]] {
    PassGate(way, filters, burst);
    if (burst.count == 0) return;
  }
  JudgeBy(filters, way, burst);
}

void BurstJudge::JudgeBy(const FilterEnds& filters, const Way& way,
                         PacketBurst& burst) {
  if (way.flood || way.routed || way.from_host) [[unlikely]] {
    if (way.flood) {
      FloodBy(*filters[0], way.from, burst);
    } else if (way.routed) {
      RouteBy(filters, way, /*found=*/false, burst);
    } else {
      HostBy(*filters[1], way.from, /*orphans=*/false, burst);
    }
    return;
  }
  if (HasFragments(burst)) [[unlikely]] {
    pipeline_.ReassembleTo(way.from, way.to, burst, *round_.topology, filters,
                           round_.now);
    if (plane_.steering.workers() > 1) PassOn(way.from, 0, burst);
  }
  pipeline_.JudgeTo(way.from, way.to, burst, *round_.topology, filters,
                    round_.now, result_);
  SendResult(way.from, way.to);
}

void BurstJudge::SendResult(uint16_t port, uint16_t to) {
  if (result_.forward_count > 0) {
    ForEachDeparture(result_, [&](std::span<rte_mbuf*> mbufs) {
      transmitter_.Send(port, to, mbufs);
    });
  }
  if (result_.answer_count > 0) {
    transmitter_.Send(port, port,
                      std::span(result_.answers).first(result_.answer_count));
  }
  if (result_.return_count > 0) [[unlikely]] {
    ForEachReturn(result_, [&](std::span<rte_mbuf*> mbufs) {
      transmitter_.Return(port, mbufs);
    });
  }
  if (result_.question_count > 0) [[unlikely]] {
    transmitter_.Send(
        to, to, std::span(result_.questions).first(result_.question_count));
  }
  if (result_.bridged_count > 0) [[unlikely]] SendBridged(port);
}

void BurstJudge::SendBridged(uint16_t port) {
  ForEachBridged(result_, [&](uint16_t to, std::span<rte_mbuf*> mbufs) {
    port == to ? transmitter_.Return(port, mbufs)
               : transmitter_.Send(port, to, mbufs);
  });
}

void BurstJudge::ResumeWaiting() {
  if (pipeline_.waits_for_hops()) ResumeRouted();
  const uint16_t port = pipeline_.PortOfReady(round_.now);
  if (port == kNoPort) return;
  const PortContext& arrival = round_.topology->ports[port];
  const FilterView& in = views_.See(arrival.filter);
  const FilterView& out =
      arrival.peer != kNoPort
          ? views_.See(round_.topology->ports[arrival.peer].filter)
          : in;
  if (!in.open() || !out.open()) {
    // Nothing of one of them goes on now; others' packets wait still.
    pipeline_.ClearWaiting(port);
    return;
  }
  PacketBurst burst;
  pipeline_.Resume(port, burst, *round_.topology, {&in, &out}, round_.now,
                   result_);
  SendResult(port, arrival.peer);
}

// Fragments find each other by their addresses; the whole has ports, and so
// another owner perhaps.
void BurstJudge::PassOn(uint16_t port, uint16_t mark, PacketBurst& burst) {
  const auto marked = static_cast<uint16_t>(port | mark);
  for (uint32_t i = 0; i < burst.count; ++i) {
    PacketInfo& info = burst.infos[i];
    if (info.kind != Kind::kIp || !info.has(kReassembled)) continue;
    rte_mbuf* mbuf = burst.mbufs[i];
    uint16_t owner = plane_.steering.Owner(*mbuf, info);
    mbuf->port = marked;
    if (owner != worker_ && (round_.stalled & 1u << owner) != 0) {
      // Whoever stands in for it judges by the filters' fail policies.
      owner = SubstituteOf(owner, plane_.steering.workers(),
                           round_.stalled & ~(1u << worker_));
      mbuf->port = static_cast<uint16_t>(marked | kOrphanPort);
    }
    if (owner == worker_ && mbuf->port == marked) continue;
    info.kind = Kind::kTaken;
    burst.mbufs[i] = nullptr;
    const uint32_t fragments = CountFragments(*mbuf);
    if (owner == worker_) {
      PacketBurst orphan;
      orphan.count = 1;
      orphan.mbufs[0] = mbuf;
      ParseBurst(orphan, parse_);
      JudgeMarked(mbuf->port, orphan);
    } else if (plane_.handoff->Send(worker_, owner, std::span(&mbuf, 1)) == 1) {
      totals_.handed_out.Add(fragments);
    } else {
      transmitter_.Drop(port, std::span(&mbuf, 1), DropReason::kHandoffFull);
    }
  }
}

GateEnds BurstJudge::JudgingEnds(const Way& way) {
  const PortContext& arrival = round_.topology->ports[way.from];
  GateEnds ends{};
  // The pipeline drops what comes here.
  if (!arrival.enabled ||
      (way.to == kNoPort && !way.flood && !way.routed)) {
    return ends;
  }
  if (!arrival.excluded && !way.from_host) {
    ends[0] = &views_.See(arrival.filter);
  }
  if (way.flood || way.to == kNoPort) return ends;
  const PortContext& departure = round_.topology->ports[way.to];
  if (!departure.excluded && departure.enabled) {
    ends[1] = &views_.See(departure.filter);
  }
  return ends;
}

void BurstJudge::PassGate(const Way& way, const FilterEnds& filters,
                          PacketBurst& burst) {
  const uint16_t port = way.from;
  const GateEnds ends = JudgingEnds(way);
  for (const FilterView* view : ends) {
    // What it holds comes first, unless this is it.
    if (releasing_ || view == nullptr || view->filter == nullptr) continue;
    const uint16_t number = view->filter->number;
    if (!gate_.Holds(number)) continue;
    while (ReleaseFilter(number) > 0) {
    }
  }
  const PortContext& arrival = round_.topology->ports[port];
  // What waits again is still for whom it was.
  if (arrival.segment != kNoSegment && (!releasing_ || way.held_for != 0)) {
    for (uint32_t i = 0; i < burst.count; ++i) {
      if (burst.infos[i].kind == Kind::kTaken) continue;
      burst.mbufs[i]->vlan_tci_outer = way.held_for;
    }
  }
  gate_.Admit(way.from_host ? static_cast<uint16_t>(port | kFromHostPort)
                            : port,
              arrival.pass_non_ip, ends, round_.now, burst,
              gate_result_);
  for (uint32_t i = 0; i < gate_result_.drop_count; ++i) {
    transmitter_.Drop(port, std::span(&gate_result_.drops[i], 1),
                      gate_result_.reasons[i]);
  }
  if (gate_result_.bypass.count > 0) {
    FilterEnds others = filters;
    for (size_t i = 0; i < ends.size(); ++i) {
      const bool bypassed = (gate_result_.bypassed & 1u << i) != 0;
      if (bypassed || ends[i] == nullptr) others[i] = &kUnfiltered;
    }
    // Flooded frames come by here once more, port by port: what is judged must
    // not be the gate's own then.
    PacketBurst bypass;
    bypass.count = gate_result_.bypass.count;
    std::copy_n(gate_result_.bypass.mbufs.begin(), bypass.count,
                bypass.mbufs.begin());
    std::copy_n(gate_result_.bypass.infos.begin(), bypass.count,
                bypass.infos.begin());
    JudgeBy(others, way, bypass);
  }
}

uint32_t BurstJudge::ReleaseHeld() {
  uint32_t packets = 0;
  const std::span<const uint16_t> holding = gate_.holding();
  const size_t count = std::min(holding.size(), kHeldFilters);
  // Copied, because the list changes on the way.
  std::array<uint16_t, kHeldFilters> filters;
  for (size_t i = 0; i < count; ++i) {
    filters[i] = holding[(next_held_ + i) % holding.size()];
  }
  next_held_ += count;
  for (size_t i = 0; i < count && packets < kReleaseBudget; ++i) {
    uint32_t released;
    do {
      released = ReleaseFilter(filters[i]);
      packets += released;
    } while (released > 0);
  }
  return packets;
}

// One burst of what the filter holds, if it is not to wait. Returns how many.
uint32_t BurstJudge::ReleaseFilter(uint16_t number) {
  std::array<rte_mbuf*, kMaxBurst> mbufs;
  uint32_t count = 0;
  const FilterView& view = views_.See(number);
  // A filter that is gone has been emptied before.
  const HoldEnd end = view.filter != nullptr
                          ? gate_.Release(view, round_.now, mbufs, &count)
                          : HoldEnd::kWait;
  if (count == 0) {
    if (view.filter == nullptr || gate_.IsEmpty(*view.filter)) {
      gate_.Forget(number);
    }
    return 0;
  }
  const std::span<rte_mbuf*> taken = std::span(mbufs).first(count);
  if (end == HoldEnd::kDrop) {
    DropHeld(taken);
  } else {
    Replay(taken);
  }
  return count;
}

// In the order of their arrival, by runs of one port.
void BurstJudge::Replay(std::span<rte_mbuf*> mbufs) {
  releasing_ = true;
  for (size_t begin = 0; begin < mbufs.size();) {
    const uint16_t port = mbufs[begin]->port;
    held_burst_.count = 0;
    size_t end = begin;
    for (; end < mbufs.size() && mbufs[end]->port == port; ++end) {
      held_burst_.mbufs[held_burst_.count++] = mbufs[end];
    }
    ParseBurst(held_burst_, parse_);
    JudgeMarked(port, held_burst_);
    begin = end;
  }
  releasing_ = false;
}

void BurstJudge::DropHeld(std::span<rte_mbuf*> mbufs) {
  for (rte_mbuf*& mbuf : mbufs) {
    transmitter_.Drop(static_cast<uint16_t>(mbuf->port & ~kFromHostPort),
                      std::span(&mbuf, 1), DropReason::kHeld);
  }
}

uint32_t BurstJudge::AbandonHeld(const FilterTable& filters) {
  std::array<rte_mbuf*, kMaxBurst> mbufs;
  while (!gate_.holding().empty()) {
    const uint16_t number = gate_.holding().front();
    FilterPlane* filter = filters.at(number);
    const uint32_t count =
        filter != nullptr ? gate_.Abandon(*filter, round_.now, mbufs) : 0;
    if (count > 0) {
      DropHeld(std::span(mbufs).first(count));
      return count;
    }
    gate_.Forget(number);
  }
  return 0;
}

void BurstJudge::JudgeOrphans(uint16_t port, PacketBurst& burst) {
  totals_.orphans.Add(burst.count);
  const PortContext& arrival = round_.topology->ports[port];
  if (arrival.segment != kNoSegment) [[unlikely]] {
    Switch(port, /*orphans=*/true, burst);
    return;
  }
  if (arrival.router != kNoRouter) [[unlikely]] {
    RouteOrphans(port, burst);
    return;
  }
  CrossOrphans({.from = port, .to = arrival.peer}, burst);
}

void BurstJudge::JudgeMarked(uint16_t port, PacketBurst& burst) {
  const auto bare =
      static_cast<uint16_t>(port & ~(kOrphanPort | kFromHostPort));
  const bool orphans = (port & kOrphanPort) != 0;
  if ((port & kFromHostPort) == 0) [[likely]] {
    orphans ? JudgeOrphans(bare, burst) : Judge(bare, burst);
  } else if (orphans) {
    totals_.orphans.Add(burst.count);
    HostOrphans(bare, burst);
  } else {
    JudgeFromHost(bare, burst);
  }
}

void BurstJudge::CrossOrphans(const Way& way, PacketBurst& burst) {
  const uint16_t port = way.from;
  const GateEnds ends = JudgingEnds(way);
  std::array<FilterView, 2> views = {kUnfiltered, kUnfiltered};
  FilterEnds filters = {&views[0], &views[1]};
  for (size_t i = 0; i < ends.size(); ++i) {
    if (ends[i] == nullptr) continue;
    FilterView& view = views[i];
    view = *ends[i];
    const FilterPlane* filter = view.filter;
    if (filter == nullptr || view.disposition == Disposition::kUnfiltered) {
      continue;
    }
    if (filter->fail_policy != FailPolicy::kOpen ||
        filter->emergency == nullptr) {
      for (uint32_t k = 0; k < burst.count; ++k) {
        // A copy that could not be made is none.
        if (burst.infos[k].kind == Kind::kTaken) continue;
        transmitter_.Drop(port, std::span(&burst.mbufs[k], 1),
                          DropReason::kStalled);
      }
      return;
    }
    view.JudgeBy(views_.See(filter->emergency->number));
  }
  JudgeBy(filters, way, burst);
}

}  // namespace sluice
