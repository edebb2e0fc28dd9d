// The parts of BurstJudge for ports of segments.
#include <rte_mbuf.h>

#include <algorithm>

#include "dataplane/forward/segment_switch.h"
#include "dataplane/workers/burst_judge.h"
#include "dataplane/workers/plane.h"

namespace sluice {

// The switch is this call's own: what is released on the way may come by here,
// too.
void BurstJudge::Switch(uint16_t port, bool orphans, PacketBurst& burst) {
  const PortContext& arrival = round_.topology->ports[port];
  // Nobody is learnt there.
  if (!arrival.enabled) [[unlikely]] {
    pipeline_.Refuse(port, burst, DropReason::kPortDown, round_.now, result_);
    return;
  }
  SegmentSwitch ways;
  if (ways.Sort(arrival, *round_.topology, round_.now,
                /*held=*/releasing_, burst)) [[likely]] {
    Dispatch(port, ways.way(), orphans, burst);
    return;
  }
  while (ways.Next()) Dispatch(port, ways.way(), orphans, ways.group());
}

void BurstJudge::Dispatch(uint16_t port, const SegmentWay& way, bool orphans,
                          PacketBurst& burst) {
  switch (way.kind) {
    case SegmentWay::Kind::kPort: {
      const Way crossing = {.from = port, .to = way.port};
      orphans ? CrossOrphans(crossing, burst) : Cross(crossing, burst);
      break;
    }
    case SegmentWay::Kind::kFlood:
      if (orphans) {
        FloodOrphans(port, burst);
      } else {
        Cross({.from = port, .flood = true}, burst);
      }
      break;
    case SegmentWay::Kind::kDrop:
      pipeline_.Refuse(port, burst, way.reason, round_.now, result_);
      break;
  }
}

void BurstJudge::FloodBy(const FilterView& in, uint16_t port,
                         PacketBurst& burst) {
  const Topology& topology = *round_.topology;
  const PortContext& arrival = topology.ports[port];
  if (HasFragments(burst)) [[unlikely]] {
    const FilterEnds filters = {&in, &in};
    pipeline_.ReassembleTo(port, port, burst, topology, filters, round_.now);
    if (plane_.steering.workers() > 1) PassOn(port, 0, burst);
  }
  FloodTargets targets(topology, arrival);
  if (targets.count() == 0) {
    pipeline_.Refuse(port, burst, DropReason::kSegmentLocal, round_.now,
                     result_);
    return;
  }
  const std::vector<uint16_t>& ports =
      topology.segments[arrival.segment].ports;
  // Which ports wait for a restore is settled first: what waits there may be
  // released on the way.
  FloodTargets waiting = targets;
  for (size_t place = 0; place < ports.size(); ++place) {
    if (!targets.Has(place)) continue;
    const bool waits =
        Gated(views_.See(topology.ports[ports[place]].filter));
    (waits ? targets : waiting).Take(place);
  }
  // A copy that has to wait is judged whole when it need not any more, as any
  // packet that is held: at this port once more, and at that one.
  for (size_t place = 0; waiting.count() > 0; ++place) {
    if (!waiting.Take(place)) continue;
    const Way crossing = {.from = port,
                          .to = ports[place],
                          .held_for = HeldFor(ports[place])};
    if (waiting.count() == 0 && targets.count() == 0) {
      Cross(crossing, burst);
      return;
    }
    PacketBurst copies;
    pipeline_.CopyBurst(port, burst, round_.now, copies);
    Cross(crossing, copies);
  }
  pipeline_.BeginFlood(port, burst, topology, in, round_.now, result_);
  SendResult(port, kNoPort);
  for (size_t place = 0; targets.count() > 0; ++place) {
    if (!targets.Take(place)) continue;
    const uint16_t to = ports[place];
    pipeline_.FloodTo(to, targets.count() == 0,
                      views_.See(topology.ports[to].filter), result_);
    SendResult(port, to);
  }
}

// Each port gets its own, judged as on a wire.
void BurstJudge::FloodOrphans(uint16_t port, PacketBurst& burst) {
  const Topology& topology = *round_.topology;
  const PortContext& arrival = topology.ports[port];
  FloodTargets targets(topology, arrival);
  if (targets.count() == 0) {
    pipeline_.Refuse(port, burst, DropReason::kSegmentLocal, round_.now,
                     result_);
    return;
  }
  const std::vector<uint16_t>& ports =
      topology.segments[arrival.segment].ports;
  for (size_t place = 0; targets.count() > 0; ++place) {
    if (!targets.Take(place)) continue;
    const Way crossing = {.from = port, .to = ports[place]};
    if (targets.count() == 0) {
      CrossOrphans(crossing, burst);
      return;
    }
    PacketBurst copies;
    pipeline_.CopyBurst(port, burst, round_.now, copies);
    CrossOrphans(crossing, copies);
  }
}

}  // namespace sluice
