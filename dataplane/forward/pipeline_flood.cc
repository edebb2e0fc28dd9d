// The parts of the pipeline for frames of segments: what leaves by several
// ports, and what leaves by none.
//
// A frame that is flooded is judged in once, where it arrived, and out at each
// port that gets it, by that port's filter: what the first judgement has made of
// it (its headers, a tag, who translated it) is where each of the others begins.
#include <rte_mbuf.h>

#include <algorithm>
#include <bit>

#include "dataplane/forward/pipeline.h"
#include "dataplane/forward/trace_tap.h"
#include "packet/copy.h"

namespace sluice {
namespace {

// Copies that a worker makes in a millisecond: some millions a second, so that a
// storm cannot take all buffers from what is not flooded.
constexpr uint32_t kCopiesATick = 16384;

}  // namespace

rte_mbuf* Pipeline::Copy(const rte_mbuf& mbuf, Tick now) {
  if (now != copies_in_) {
    copies_in_ = now;
    copies_made_ = 0;
  }
  rte_mbuf* const copy = copies_made_ < kCopiesATick
                             ? CopyPacket(mbuf, config_.pool)
                             : nullptr;
  const uint32_t packets = CountFragments(mbuf);
  if (copy == nullptr) {
    port_->copies_lost.Add(packets);
    return nullptr;
  }
  ++copies_made_;
  port_->copies.Add(packets);
  return copy;
}

void Pipeline::CopyBurst(uint16_t port, const PacketBurst& burst, Tick now,
                         PacketBurst& copies) {
  port_ = &counters_[port];
  copies.count = burst.count;
  std::copy_n(burst.infos.begin(), burst.count, copies.infos.begin());
  for (uint32_t i = 0; i < burst.count; ++i) {
    copies.mbufs[i] = nullptr;
    if (burst.infos[i].kind == Kind::kTaken) continue;
    copies.mbufs[i] = Copy(*burst.mbufs[i], now);
    if (copies.mbufs[i] == nullptr) copies.infos[i].kind = Kind::kTaken;
  }
}

void Pipeline::BeginFlood(uint16_t port, PacketBurst& burst,
                          const Topology& topology, const FilterView& filter,
                          Tick now, BurstResult& result) {
  const PortContext& arrival = topology.ports[port];
  Begin(port, burst, result);
  flood_.burst = &burst;
  flood_.topology = &topology;
  flood_.port = port;
  flood_.now = now;
  flood_.filter = &filter;
  if (!arrival.enabled) {
    Refuse(port, burst, DropReason::kPortDown, now, result);
    flood_.alive = flood_.passed = 0;
    return;
  }
  const FilterEnds filters = {&filter, &filter};
  filters_ = &filters;
  // The other end is not one port; what is asked of it here is its MTU.
  Passage passage{.topology = topology,
                  .arrival = arrival,
                  .departure = arrival,
                  .now = now};
  Admit(passage);
  JudgeEnd(Direction::kIn, filter, passage);
  filters_ = nullptr;
  flood_.alive = passage.alive;
  flood_.passed = passage.passed;
  flood_.flags = passage.flags;
  flood_.tags = tags_;
  flood_.translated = translated_;
  flood_.translated_by = translated_by_;
  flood_.crossed = crossed_;
  flood_.forms = forms_;
  flood_.judged = judged_;
  if (config_.on_verdict != nullptr || taps_in_use_) [[unlikely]] {
    flood_.rules = rules_;
    // Those that are dropped already: the others are told of port by port.
    const Mask left = passage.alive | passage.passed;
    showing_flood_ = taps_in_use_;
    if (taps_in_use_) ShowFlooded(port, left, now);
    Tell(port, port, left, now, ~left);
  }
}

void Pipeline::FloodTo(uint16_t to, bool last, const FilterView& filter,
                       BurstResult& result) {
  const Topology& topology = *flood_.topology;
  PacketBurst& original = *flood_.burst;
  PacketBurst& burst = last ? original : flood_.copies;
  const PortContext& arrival = topology.ports[flood_.port];
  Begin(flood_.port, burst, result);
  const Tick now = flood_.now;
  Passage passage{.topology = topology,
                    .arrival = arrival,
                    .departure = topology.ports[to],
                    .now = now,
                    .alive = flood_.alive,
                    .passed = flood_.passed,
                    .flags = flood_.flags};
  if (!last) {
    burst.count = original.count;
    for (Mask left = flood_.alive | flood_.passed; left != 0;
         left &= left - 1) {
      const auto i = static_cast<uint32_t>(std::countr_zero(left));
      burst.infos[i] = original.infos[i];
      burst.mbufs[i] = Copy(*original.mbufs[i], now);
      if (burst.mbufs[i] != nullptr) continue;
      passage.alive &= ~Bit(i);
      passage.passed &= ~Bit(i);
    }
  }
  const Mask there = passage.alive | passage.passed;
  if (there == 0) {
    if (last && showing_flood_) [[unlikely]] EndShowingFlood();
    return;
  }
  tags_ = flood_.tags;
  translated_ = flood_.translated;
  translated_by_ = flood_.translated_by;
  crossed_ = flood_.crossed & there;
  forms_ = flood_.forms;
  judged_ = flood_.judged;
  const FilterEnds filters = {flood_.filter, &filter};
  filters_ = &filters;
  const bool telling = config_.on_verdict != nullptr || taps_in_use_;
  // What the judgement at the port before has put there is none of this one's.
  if (telling) [[unlikely]] rules_ = flood_.rules;
  JudgeEnd(Direction::kOut, filter, passage);
  filters_ = nullptr;
  Depart(passage);
  Leave(passage);
  if (telling) [[unlikely]] {
    Tell(flood_.port, to, passage.passed, now, there);
    if (last && showing_flood_) EndShowingFlood();
  }
}

void Pipeline::Refuse(uint16_t port, PacketBurst& burst, DropReason reason,
                      Tick now, BurstResult& result) {
  Begin(port, burst, result);
  judged_ = {};
  if (config_.on_verdict != nullptr || taps_in_use_) [[unlikely]] {
    rules_.fill(nullptr);
    std::copy_n(burst.infos.begin(), burst.count, arrived_.begin());
    if (taps_in_use_) ShowArrival(port, burst);
  }
  DropAll(burst.count == kMaxBurst ? ~Mask{0} : Bit(burst.count) - 1, reason);
  if (config_.on_verdict != nullptr || taps_in_use_) [[unlikely]] {
    Tell(port, port, 0, now);
  }
}

}  // namespace sluice
