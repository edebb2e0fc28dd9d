// From a parsed burst whose flows are this worker's to what leaves: the gate
// where a restore is awaited, the pipeline, the transmitter. What waits at the
// gate comes back by here too.
#ifndef SLUICE_DATAPLANE_WORKERS_BURST_JUDGE_H_
#define SLUICE_DATAPLANE_WORKERS_BURST_JUDGE_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/forward/filter_view.h"
#include "dataplane/forward/pipeline.h"
#include "dataplane/forward/restore_gate.h"
#include "dataplane/forward/filter_views.h"
#include "dataplane/forward/round_context.h"
#include "dataplane/forward/segment_switch.h"
#include "dataplane/workers/transmitter.h"
#include "dataplane/workers/worker_totals.h"
#include "packet/parse.h"

namespace sluice {

struct Plane;

class BurstJudge {
 public:
  // All outlive it.
  BurstJudge(uint16_t worker, const ParseOptions& parse,
             const RoundContext* round, FilterViews* views,
             Pipeline* pipeline, Transmitter* transmitter,
             WorkerTotals* totals, Plane* plane)
      : worker_(worker),
        plane_(*plane),
        parse_(parse),
        round_(*round),
        views_(*views),
        pipeline_(*pipeline),
        transmitter_(*transmitter),
        totals_(*totals),
        gate_(worker) {}
  BurstJudge(const BurstJudge&) = delete;
  BurstJudge& operator=(const BurstJudge&) = delete;

  // Takes the packets of a burst that has arrived at `port`.
  void Judge(uint16_t port, PacketBurst& burst);
  // The same for packets of a worker that does not run: by the fail policies
  // of the filters.
  void JudgeOrphans(uint16_t port, PacketBurst& burst);
  // Of a burst that was handed over, or held, with marks beside its port
  // (kOrphanPort, kFromHostPort).
  void JudgeMarked(uint16_t port, PacketBurst& burst);
  // What the host sends by a port of a router.
  void JudgeFromHost(uint16_t port, PacketBurst& burst);

  // Some of those that have waited for a neighbour and need not any longer.
  void ResumeWaiting();

  // Packets that wait for a restore.
  bool holds_any() const { return !gate_.holding().empty(); }
  uint32_t held() const { return gate_.held(); }
  // Judges or drops those that need not wait any longer, before new ones,
  // which would overtake them. Returns how many.
  uint32_t ReleaseHeld();
  // The worker stops: drops some of them. Returns how many.
  uint32_t AbandonHeld(const FilterTable& filters);

 private:
  // Where frames go on their way from a port.
  struct Way {
    uint16_t from = kNoPort;
    uint16_t to = kNoPort;  // none: nowhere, or they are flooded
    bool flood = false;     // to all others of the segment
    bool routed = false;    // and `to` is where they go likely
    bool from_host = false;  // and `from` is where they leave
    uint16_t held_for = 0;  // if they have to wait: HeldFor()
  };
  // The filters at the ends at which a packet is judged; null where none is. Of
  // frames that are flooded there is the first end only.
  GateEnds JudgingEnds(const Way& way);
  // By the filters at both ends, and past their gates.
  void Cross(const Way& way, PacketBurst& burst);
  void JudgeBy(const FilterEnds& filters, const Way& way, PacketBurst& burst);
  // The same of frames that are flooded (burst_judge_segment.cc).
  void FloodBy(const FilterView& in, uint16_t port, PacketBurst& burst);
  // Of a burst that arrived at a port of a segment.
  void Switch(uint16_t port, bool orphans, PacketBurst& burst);
  void Dispatch(uint16_t port, const SegmentWay& way, bool orphans,
                PacketBurst& burst);
  void FloodOrphans(uint16_t port, PacketBurst& burst);
  void CrossOrphans(const Way& way, PacketBurst& burst);
  void SendResult(uint16_t port, uint16_t to);
  // ... and of it what rules for layer 2 send by ports of their own.
  void SendBridged(uint16_t port);
  // Of a burst of a router (burst_judge_route.cc).
  void RouteBurst(uint16_t port, PacketBurst& burst);
  void RouteBy(const FilterEnds& filters, const Way& way, bool found,
               PacketBurst& burst);
  void ReassembleRouted(const FilterView& in, uint16_t port,
                        PacketBurst& burst);
  void RouteOrphans(uint16_t port, PacketBurst& burst);
  void SendRouted(uint16_t port, uint16_t to);
  void SendToHost(uint16_t port, std::span<rte_mbuf*> mbufs);
  void AskForHops();
  void ResumeRouted();
  void HostBy(const FilterView& out, uint16_t port, bool orphans,
              PacketBurst& burst);
  void AnswerHost(uint16_t port);
  void HostOrphans(uint16_t port, PacketBurst& burst);
  void RequestRestore(const PortContext& at);
  bool JudgeInPlace(const PortContext& at, FilterView* view);
  const FilterView* SeeDeparture(uint16_t to, FilterView* in_place);
  void DropAll(uint16_t port, PacketBurst& burst, DropReason reason);
  // Hands over datagrams that were put together here and are another's, with
  // that mark.
  void PassOn(uint16_t port, uint16_t mark, PacketBurst& burst);
  // Whether its packets need the gate: they do not go on, or some wait there.
  bool Gated(const FilterView& view) const {
    return !view.open() || (holds_any() && view.filter != nullptr &&
                            gate_.Holds(view.filter->number));
  }
  void PassGate(const Way& way, const FilterEnds& filters, PacketBurst& burst);
  uint32_t ReleaseFilter(uint16_t number);
  void Replay(std::span<rte_mbuf*> mbufs);
  void DropHeld(std::span<rte_mbuf*> mbufs);

  const uint16_t worker_;
  Plane& plane_;
  const ParseOptions parse_;
  const RoundContext& round_;
  FilterViews& views_;
  Pipeline& pipeline_;
  Transmitter& transmitter_;
  WorkerTotals& totals_;
  BurstResult result_;
  RestoreGate gate_;
  size_t next_held_ = 0;  // of the gate's list, the one to begin with
  bool releasing_ = false;
  Tick resumed_ = 0;  // when hops were looked at last
  GateResult gate_result_;
  PacketBurst held_burst_;  // replayed
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_WORKERS_BURST_JUDGE_H_
