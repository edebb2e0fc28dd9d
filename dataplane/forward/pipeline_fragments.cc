// The parts of the pipeline that normalise before anything is judged: fragments
// are put together, and scrub rules looked for.
#include <rte_mbuf.h>

#include <algorithm>
#include <bit>

#include "dataplane/forward/pipeline.h"
#include "packet/rewrite.h"
#include "pftable/engine/generation.h"
#include "pftable/engine/scrub.h"

namespace sluice {
namespace {

// What a filter wants done with fragments at a port.
struct FragmentWish {
  bool judges = false;  // it looks at packets there at all
  bool reassembles = false;
  bool no_df = false;   // takes those that say "do not fragment", too
  bool drops_df = false;
  uint32_t limit = 0;
  uint32_t life = 0;
};

FragmentWish WishOf(const FilterView& filter, const PortContext& at) {
  FragmentWish wish;
  if (at.excluded || !at.enabled || filter.generation == nullptr ||
      filter.disposition == Disposition::kUnfiltered ||
      filter.generation->Skips(at.interface)) {
    return wish;
  }
  const EngineOptions& options = filter.generation->options();
  wish.judges = true;
  wish.reassembles = options.reassemble != Reassembly::kNo;
  wish.no_df = options.reassemble == Reassembly::kYesNoDf;
  wish.drops_df = !wish.no_df &&
                  (wish.reassembles || options.drops_unfragmentable);
  wish.limit = options.limit(Limit::kFragments);
  const uint32_t seconds =
      options.timeouts.values[static_cast<size_t>(Timeout::kFragment)];
  // Within what differences of ticks can say.
  wish.life = std::min<uint32_t>(seconds, 1'000'000) * 1000;
  return wish;
}

}  // namespace

void Pipeline::DropFragment(void* pipeline, rte_mbuf* mbuf) {
  PortCounters& port = static_cast<Pipeline*>(pipeline)->counters_[mbuf->port];
  port.drops[static_cast<size_t>(DropReason::kFragment)].Add(1);
  rte_pktmbuf_free(mbuf);
}

void Pipeline::Scrub(Mask alive, const Judgement& judgement) {
  for (; alive != 0; alive &= alive - 1) {
    const auto i = static_cast<uint32_t>(std::countr_zero(alive));
    const PacketInfo& info = burst_->infos[i];
    scrubs_[i] =
        EvaluateScrub(*judgement.filter.generation,
                      {.packet = info,
                       .direction = judgement.where.direction,
                       .interface = judgement.at.interface,
                       .received_on = judgement.arrival.interface,
                       .tag = tags_[i],
                       .now = judgement.now,
                       .routes = judgement.routes},
                      /*count=*/true,
                      *judgement.filter.counters)
            .actions;
  }
}

void Pipeline::ReassembleTo(uint16_t port, uint16_t to, PacketBurst& burst,
                            const Topology& topology,
                            const FilterEnds& filters, Tick now,
                            uint32_t which) {
  const PortContext& arrival = topology.ports[port];
  // Judge() says why these are dropped.
  if (!arrival.enabled || to == kNoPort) return;
  const std::array<const PortContext*, 2> ends = {&arrival,
                                                  &topology.ports[to]};
  const std::array<FragmentWish, 2> usual = {WishOf(*filters[0], *ends[0]),
                                             WishOf(*filters[1], *ends[1])};
  burst_ = &burst;
  port_ = &counters_[port];
  for (uint32_t i = 0; i < burst.count; ++i) {
    PacketInfo& info = burst.infos[i];
    if (info.kind != Kind::kIp || !info.has(kFragment) ||
        (which & Bit(i)) == 0) {
      continue;
    }
    std::array<FragmentWish, 2> wishes = usual;
    for (size_t end = 0; end < wishes.size(); ++end) {
      const FilterView& filter = *filters[end];
      if (!usual[end].judges || !filter.generation->policy->has_scrub) continue;
      // Where there are scrub rules, they alone decide.
      const ScrubVerdict scrub =
          EvaluateScrub(*filter.generation,
                        {.packet = info,
                         .direction = static_cast<Direction>(end),
                         .interface = ends[end]->interface,
                         .received_on = arrival.interface,
                         .now = now,
                         .routes = routes_.At(topology, *ends[end])},
                        /*count=*/false, *filter.counters);
      FragmentWish& wish = wishes[end];
      wish.reassembles = scrub.ip != nullptr && !scrub.ip->no_reassembly;
      wish.no_df = scrub.actions.has(PacketActions::kClearDontFragment);
      wish.drops_df = scrub.ip != nullptr && !wish.no_df;
    }
    const bool first = wishes[0].reassembles;
    // Whole for both ends, if one of them wants it so.
    const bool reassembles = first || wishes[1].reassembles;
    const FragmentWish& wish = wishes[first ? 0 : 1];
    if (info.has(kDontFragment)) {
      if (wishes[0].drops_df || wishes[1].drops_df) {
        TakeFragment(i, DropReason::kFragment);
        continue;
      }
      if (reassembles) ClearDontFragment(*burst.mbufs[i], info);
    }
    if (!reassembles) continue;
    const FragmentPlace place = {
        .port = port,
        .filter = filters[first ? 0 : 1]->number,
        .limit = std::max<uint32_t>(wish.limit / config_.workers, 1),
        .life = wish.life};
    const FragmentResult result =
        fragments_.Add(burst.mbufs[i], info, place, now);
    switch (result.kind) {
      case FragmentResult::Kind::kHeld:
        info.kind = Kind::kTaken;
        burst.mbufs[i] = nullptr;
        reasons_[i] = kNotDropped;
        break;
      case FragmentResult::Kind::kDropped:
        TakeFragment(i, result.reason);
        break;
      case FragmentResult::Kind::kWhole:
        burst.mbufs[i] = result.whole;
        ParsePacket(*result.whole, config_.parse, &info);
        break;
    }
  }
}

void Pipeline::ClearFragmentsOf(const Topology& topology) {
  fragments_.ClearGone([&](uint16_t port, uint16_t filter) {
    const PortContext& at = topology.ports[port];
    if (at.segment != kNoSegment) {
      return !at.enabled ||
             std::ranges::none_of(
                 topology.segments[at.segment].ports, [&](uint16_t other) {
                   return topology.ports[other].filter == filter;
                 });
    }
    if (at.router != kNoRouter) {
      return !at.enabled ||
             std::ranges::none_of(
                 topology.routers[at.router].ports, [&](uint16_t other) {
                   return topology.ports[other].filter == filter;
                 });
    }
    return !at.enabled || at.peer == kNoPort ||
           (at.filter != filter && topology.ports[at.peer].filter != filter);
  });
}

void Pipeline::TakeFragment(uint32_t i, DropReason reason) {
  Drop(i, reason);
  burst_->infos[i].kind = Kind::kTaken;
}

}  // namespace sluice
