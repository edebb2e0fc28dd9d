// dataplane/ is the process: ports, lcores, the pipeline, the control lcore
// and its socket, and the three programs. It is the only room that does I/O,
// reads a clock or owns a thread.
//
// This header: one worker's pipeline, from a received burst to what has to be
// transmitted. Parse, judge at the port of arrival (direction in), judge at
// the port of departure (direction out), act. It has no I/O, no clock and no
// globals in it: workers, sluice-replay, scenario tests and fuzzers call the
// same code with a Tick passed in. It never allocates (answers come from the
// mempool that it was given), locks, logs or throws.
//
// A pipeline belongs to one worker and is not shared.
#ifndef SLUICE_DATAPLANE_FORWARD_PIPELINE_H_
#define SLUICE_DATAPLANE_FORWARD_PIPELINE_H_

#include <array>
#include <bit>
#include <cstdint>
#include <optional>
#include <span>

#include "conntrack/limiter_gate.h"
#include "conntrack/flow_key.h"
#include "conntrack/fragment_cache.h"
#include "conntrack/keyed_hash.h"
#include "conntrack/state.h"
#include "conntrack/tftp.h"
#include "conntrack/translator.h"
#include "dataplane/forward/burst_result.h"
#include "dataplane/forward/filter_view.h"
#include "dataplane/forward/port_counters.h"
#include "dataplane/forward/port_routes.h"
#include "dataplane/forward/route_wait.h"
#include "dataplane/forward/spoof_guard.h"
#include "dataplane/forward/topology.h"
#include "dataplane/routing/routing_tables.h"
#include "dataplane/forward/trace_record.h"
#include "packet/family.h"
#include "packet/fragment.h"
#include "packet/neighbor.h"
#include "packet/packet.h"
#include "packet/parse.h"
#include "pftable/classify/classify.h"
#include "pftable/engine/evaluate.h"

struct rte_mempool;

namespace sluice {

class ExpectationTable;
class LogRing;
class NeighborTable;
class StateTable;
class TraceTap;
class TranslationDirectory;
struct TranslationMatch;
struct ExpectedChild;
struct ParentReference;
struct ProxyOrder;
struct RouterError;
struct TcpSegment;
struct StepResult;

// Whether Pipeline::Reassemble() has something to do with the burst.
inline bool HasFragments(const PacketBurst& burst) {
  uint16_t flags = 0;
  for (uint32_t i = 0; i < burst.count; ++i) flags |= burst.infos[i].flags;
  return (flags & kFragment) != 0;
}

class Pipeline {
 public:
  struct Config {
    ParseOptions parse;
    // For answers. Null: nothing is answered (counted as answers_lost).
    rte_mempool* pool = nullptr;
    // For packets of `log` rules. Null: none is logged.
    LogRing* log = nullptr;
    // For frames that a port's guard drops. Null: they are not told of.
    SpoofRing* spoofs = nullptr;
    // Fragments that may wait here for the rest of their datagrams.
    uint32_t fragments = 1024;
    // Which share of a filter's `set limit frags` this worker has.
    uint16_t workers = 1;
    HashSecret secret{};
    // `probability` draws from a generator with this seed.
    uint64_t random_seed = 1;
    // All workers'. Null: nobody is asked where redirected packets go.
    NeighborTable* neighbors = nullptr;
    // Of SYN cookies; all workers have the same.
    HashKey cookie_key{};
    // Told of each packet, in order, if set: for replays and tests.
    void (*on_verdict)(void* context, uint32_t index,
                       const PacketVerdict& verdict) = nullptr;
    void* on_verdict_context = nullptr;
  };

  // `states` is this worker's shard, `expectations` and `translations` are all
  // workers'; `counters` has an element for each port that the topology may
  // name. All outlive the pipeline. Without `translations` nothing is
  // translated, and rules that would drop their packets.
  Pipeline(const Config& config, uint8_t worker, StateTable& states,
           ExpectationTable& expectations, TranslationDirectory* translations,
           std::span<PortCounters> counters);
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  // Who is told of packets from now on, at this place; null: nobody any more.
  static constexpr size_t kMaxTaps = 4;
  void SetTap(size_t place, TraceTap* tap);

  // Parses burst.mbufs[0, count) into burst.infos. Counts them as received.
  void Parse(uint16_t port, PacketBurst& burst);

  // Puts fragments of a parsed burst together, where a filter that judges them
  // wants that: what waits for other fragments, or is dropped, is kTaken
  // afterwards; a datagram that is whole stands, parsed, in the place of the
  // fragment that came last. For bursts that have fragments at all.
  void Reassemble(uint16_t port, PacketBurst& burst, const Topology& topology,
                  const FilterEnds& filters, Tick now) {
    ReassembleTo(port, topology.ports[port].peer, burst, topology, filters,
                 now);
  }
  // The same of frames that leave by the port `to`; of those that a segment
  // floods, with the port of arrival in its place, only that end is asked.
  // `which`: bit i, of packet i.
  void ReassembleTo(uint16_t port, uint16_t to, PacketBurst& burst,
                    const Topology& topology, const FilterEnds& filters,
                    Tick now, uint32_t which = ~uint32_t{0});
  // Those that have waited for too long are dropped; looks at `budget`.
  void ExpireFragments(Tick now, uint32_t budget) {
    fragments_.Expire(now, budget);
  }
  // Drops all that wait.
  void ClearFragments() {
    while (!fragments_.Clear(kMaxBurst)) {
    }
  }
  // Drops those that wait where nothing can be judged any more: their port is
  // gone or disabled, or has another filter.
  void ClearFragmentsOf(const Topology& topology);
  const FragmentCache& fragments() const { return fragments_; }

  // Packets that wait for a neighbour's answer (pipeline_wire.cc): whether
  // there are any, the port of some that need wait no longer (kNoPort: none),
  // and those of them, judged at the port where they leave. If the rules at
  // either end are others by then than when they were let in, they are dropped.
  bool has_waiting() const { return waiting_count_ != 0 || !hops_.empty(); }
  // As so many packets as they came.
  uint32_t waiting() const;
  uint16_t PortOfReady(Tick now);
  void Resume(uint16_t port, PacketBurst& burst, const Topology& topology,
              const FilterEnds& filters, Tick now, BurstResult& result);
  // Drops all that wait, or those that arrived at that port.
  void ClearWaiting();
  void ClearWaiting(uint16_t port);

  // Judges a parsed burst that arrived at `port` and takes its mbufs: each is
  // in `result` afterwards, or freed and counted. What a filter holds or drops
  // has been taken out before (RestoreGate).
  void Judge(uint16_t port, PacketBurst& burst, const Topology& topology,
             const FilterEnds& filters, Tick now, BurstResult& result) {
    JudgeTo(port, topology.ports[port].peer, burst, topology, filters, now,
            result);
  }
  // The same of frames that leave by the port `to`, of a segment.
  void JudgeTo(uint16_t port, uint16_t to, PacketBurst& burst,
               const Topology& topology, const FilterEnds& filters, Tick now,
               BurstResult& result);

  // Of frames that leave by several ports (pipeline_flood.cc). First this one:
  // judged at the port of arrival, once. Those that pass wait for FloodTo().
  void BeginFlood(uint16_t port, PacketBurst& burst, const Topology& topology,
                  const FilterView& filter, Tick now, BurstResult& result);
  // Then for each port: copies of them are judged there, the last time they
  // themselves. `burst` and what was given before are still there, `filter` of
  // BeginFlood() too.
  void FloodTo(uint16_t to, bool last, const FilterView& filter,
               BurstResult& result);
  // Copies of all packets of a parsed burst that arrived at `port`. What has no
  // copy is kTaken in `copies`.
  void CopyBurst(uint16_t port, const PacketBurst& burst, Tick now,
                 PacketBurst& copies);
  // Drops a parsed burst, or says of what is malformed why it is.
  void Refuse(uint16_t port, PacketBurst& burst, DropReason reason, Tick now,
              BurstResult& result);

  // Of a parsed burst that arrived at a port of a router (pipeline_route.cc).
  // First this: what a router has nothing to do with is malformed afterwards;
  // of the others LikelyDeparture() says where they go if nobody rewrites them.
  void ReceiveRouted(uint16_t port, PacketBurst& burst,
                     const Topology& topology);
  // kNoPort: by none, it is for the host, or nothing that a router forwards.
  uint16_t LikelyDeparture(uint32_t i) const {
    return route_.answers[i].type == RouteType::kForward
               ? route_.answers[i].port
               : kNoPort;
  }
  // Then they are judged where they arrived, once. In `result` is what goes to
  // the host, and what is said to those who have sent what goes nowhere.
  void BeginRoute(uint16_t port, PacketBurst& burst, const Topology& topology,
                  const FilterView& filter, Tick now, BurstResult& result);
  // The port by which the next of those leave that are left, or kNoPort.
  uint16_t NextDeparture() const;
  // They are judged there, and leave or wait. `burst` and what was given before
  // are still there, and nothing else was judged since.
  void RouteTo(uint16_t to, const FilterView& filter, BurstResult& result);
  // Or they are dropped.
  void DropRouted(uint16_t to, DropReason reason, BurstResult& result);

  // What the host sends by a port of a router: parsed, and counted as such;
  // then judged where it leaves. In result.host are the answers to it.
  void ParseFromHost(uint16_t port, PacketBurst& burst);
  void JudgeFromHost(uint16_t port, PacketBurst& burst,
                     const Topology& topology, const FilterView& filter,
                     Tick now, BurstResult& result);

  // Of what went there.
  void CountForHost(uint16_t port, uint32_t packets) {
    counters_[port].to_host.Add(packets);
  }

  // Packets that wait for a next hop to say where it is: those that need not
  // any longer leave, by the port `to`, or are dropped. False: there is none.
  bool waits_for_hops() const { return !hops_.empty(); }
  bool ResumeRouted(const Topology& topology, Tick now, uint16_t* port,
                    uint16_t* to, BurstResult& result);
  // What is to be asked for them. False: nothing more.
  bool NextQuestion(uint16_t* port, Address* address) {
    return hops_.NextQuestion(port, address);
  }

  // Behind Parse(), where the port of arrival has a guard: frames that claim what
  // they may not are malformed from then on.
  void CheckSources(uint16_t port, SpoofGuard& guard, PacketBurst& burst);

  // All three.
  void Process(uint16_t port, PacketBurst& burst, const Topology& topology,
               const FilterEnds& filters, Tick now, BurstResult& result) {
    Parse(port, burst);
    if (SpoofGuard* const guard = topology.ports[port].guard) {
      CheckSources(port, *guard, burst);
    }
    if (HasFragments(burst)) Reassemble(port, burst, topology, filters, now);
    Judge(port, burst, topology, filters, now, result);
  }

 private:
  using Mask = uint32_t;  // bit i: the packet at index i
  static_assert(kMaxBurst == 32);
  static constexpr Mask Bit(uint32_t i) { return 1u << i; }
  // Calls use(i) for each packet of the mask, ascending.
  template <typename Use>
  static void ForEach(Mask mask, Use use) {
    for (; mask != 0; mask &= mask - 1) {
      use(static_cast<uint32_t>(std::countr_zero(mask)));
    }
  }

  // A judgement in progress.
  struct Judgement {
    const PortContext& at;
    const PortContext& arrival;
    const PortContext& departure;
    const FilterView& filter;
    JudgePoint where;
    Tick now;
    const RouteView* routes;  // null: nothing is routed there
  };

  // Whether there are rules for layer 2 at that end.
  static bool JudgesFrames(const FilterView& filter, InterfaceView interface);
  // A burst on its way from one port to another.
  struct Passage {
    const Topology& topology;
    const PortContext& arrival;
    const PortContext& departure;
    Tick now;
    Mask alive = 0;   // to be judged
    Mask passed = 0;  // not to be judged
    uint16_t flags = 0;  // of all packets that are to be judged
  };
  void Begin(uint16_t port, PacketBurst& burst, BurstResult& result);
  // Drops what nobody judges, and sorts out the rest.
  void Admit(Passage& passage);
  void RefuseMalformed(Mask malformed, const Passage& passage);
  void JudgeEnd(Direction direction, const FilterView& filter,
                Passage& passage);
  void Depart(Passage& passage);
  void Leave(const Passage& passage);
  // A copy; null, and counted, if there is none.
  rte_mbuf* Copy(const rte_mbuf& mbuf, Tick now);

  // Each returns the packets of `alive` that passed.
  Mask JudgeFrames(Mask frames, const Judgement& judgement,
                   const Topology& topology);
  // `bridge-to`: it leaves by that interface's port, as it is.
  void Bridge(uint32_t i, uint16_t interface, const Topology& topology);
  // kNoPort: no port is that interface (InterfaceView::id).
  uint16_t PortOfInterface(uint16_t interface, const Topology& topology);
  Mask Clean(Mask alive, const Judgement& judgement);
  Mask JudgeAt(Mask alive, const Judgement& judgement);
  bool JudgeHit(uint32_t i, StateIndex state, const Judgement& judgement);
  // Of a packet, or of a state, for which there is more to do than to count.
  bool JudgeBusyHit(uint32_t i, StateIndex state, const Judgement& judgement);
  bool JudgeMiss(uint32_t i, const Judgement& judgement);
  // For those that will probably ask the rules.
  void FindCandidates(Mask misses, const Judgement& judgement);
  Verdict AskRules(uint32_t i, const Judgement& judgement,
                   Translation* translation);
  // Remembers who translates a packet on its way in.
  void NoteTranslation(StateIndex state, uint32_t i,
                       const Judgement& judgement);
  Verdict AskAll(uint32_t i, const TranslationMatch& match,
                 const Judgement& judgement, Translation* translation);
  // Rewrites a packet that passes by a translated state. False: it cannot go on
  // in the other family, and has been dropped.
  bool TranslateBy(StateIndex state, uint32_t i, const Judgement& judgement);
  // Gives an answer to a packet that was translated on its way in the ends
  // that its sender knows. False: that state has gone.
  bool UndoTranslation(uint32_t i, rte_mbuf** answer);
  // Of routed packets (pipeline_route.cc).
  const RoutingTables& TablesOf(const PortContext& arrival) const {
    return *route_.topology->routers[arrival.router].tables;
  }
  static void UntagRouted(rte_mbuf& mbuf, PacketInfo& info);
  static RouteAnswer LookUp(const PacketInfo& info, const PortContext& arrival,
                            const RoutingTables& tables);
  static void Amend(const PacketInfo& info, const PortContext& arrival,
                    const RoutingTables& tables, RouteAnswer* answer);
  // Where a packet goes that was judged in.
  RouteAnswer ChooseRoute(uint32_t i, const PortContext& arrival);
  bool SortOne(uint32_t i, const PortContext& arrival);
  // Whether it goes on, and is not the host's after all.
  bool AnswersAcross(uint32_t i, const PortContext& arrival,
                     RouteAnswer* answer);
  // False: it has been dropped.
  bool TakeForHost(uint32_t i);
  // An error of ours about a packet as it was sent; null if there is none.
  rte_mbuf* MakeError(uint32_t i, const RouterError& error,
                      const PortContext& arrival);
  bool MaySendError(Tick now);
  void SendError(rte_mbuf* error);
  void TellSender(uint32_t i, const RouterError& error,
                  const PortContext& arrival);
  // Takes those that leave by this port out of those that are left.
  Mask TakeGroup(uint16_t to);
  // Before they are judged out: which of them do not fit, and where next hops
  // are. Errors that may be due are made now, while packets are as they came.
  void PrepareHops(Mask group, const Passage& passage);
  bool FitsInParts(uint32_t i, uint32_t mtu) const;
  // Behind the judgement: of those that passed, those are left that leave now.
  void TakeHops(Passage& passage);
  bool FollowDestination(uint32_t i, const Passage& passage);
  bool Fragment(uint32_t i, uint32_t mtu);
  void WaitForHop(uint32_t i, const Passage& passage);
  static void WriteLink(rte_mbuf& mbuf, const MacAddress& to,
                        const MacAddress& from);
  void DropWaitingHop(const WaitingHop& one, DropReason reason);
  // Those that arrived at that port or wait to leave by it; kNoPort: all.
  void ClearHops(uint16_t port);

  // Packets, and errors about them, that go on in the other family
  // (pipeline_families.cc).
  bool CrossBy(StateIndex state, uint32_t i, const Judgement& judgement);
  bool CrossErrorBy(StateIndex state, uint32_t i, const PacketInfo& inner,
                    const Judgement& judgement);
  // What interfaces count of one is what came, whatever becomes of it.
  void NoteHowItCame(uint32_t i);
  bool FinishCrossing(uint32_t i, StateIndex state, CrossResult result,
                      const Judgement& judgement);
  // Of a packet that now counts as `now` fragments and has counted as `before`.
  void CountRefragmented(uint32_t before, uint32_t now);
  // Those of `crossed` that were not dropped: as fragments, where they need it.
  Mask FragmentCrossed(Mask crossed);
  // Of packets that rules send another way (pipeline_words.cc): the route of one
  // whose state was made in that direction, or that has none.
  void NoteRoute(uint32_t i, const PacketRoute& route, Direction made,
                 const Judgement& judgement);
  void NoteRouteOf(StateIndex state, uint32_t i, const Judgement& judgement);
  // There is no router that would: these are dropped.
  Mask DropUnrouted(Mask passed);
  // By the last judgement; null: by the router's routes, as all others.
  const PacketRoute* RouteOf(uint32_t i) const {
    return (routed_ & Bit(i)) != 0 ? &packet_routes_[i] : nullptr;
  }
  // Behind a judgement where they leave: those of whom it says so leave by
  // another next hop, or are left for another port, or have a copy.
  void Reroute(Passage& passage);
  // The same of what the host sends.
  void RerouteFromHost(PacketBurst& burst, const Topology& topology,
                       const FilterView& filter, Passage& passage);
  void FindHop(uint32_t i);
  // A copy, if it leads anywhere. `hop`: it counts as one.
  void Duplicate(uint32_t i, const PacketRoute& route, bool hop);
  // Before a burst is routed, and when nothing of it is left.
  void ForgetRerouting();
  void TurnToCopies();
  const PortContext& RoutedArrival() const {
    return route_.from_host ? host_ : route_.topology->ports[route_.port];
  }
  // As the router's tables would say it; kNone: that leads nowhere.
  static RouteAnswer AnswerOf(const PacketRoute& route, const PacketInfo& info,
                              const Topology& topology, uint16_t router);
  // What a packet gets from its state besides its way: tag and log record.
  void PassByState(uint32_t i, StateIndex state, bool log,
                   const Judgement& judgement);
  bool StatesHaveChanged() const;
  // Carries out what rules do to a packet that they let through. False: it is
  // larger than they allow, and has been dropped.
  bool Act(uint32_t i, const PacketActions& actions);
  // The same of what its scrub rule and its rules, or its state, say together.
  bool Finish(uint32_t i, const PacketActions& actions);
  bool FinishByState(uint32_t i, StateIndex state, const Judgement& judgement);
  // With `scrub (reassemble tcp)`: what a segment is judged with.
  TcpScrubMoment MomentOf(StateIndex state, const Judgement& judgement) const;
  // 32 bits that nobody can foresee.
  uint32_t SecretBits();
  // Finds the scrub rules of packets.
  void Scrub(Mask alive, const Judgement& judgement);
  Verdict AskTranslated(uint32_t i, const Judgement& judgement,
                        Translation* translation);
  bool ApplyRules(uint32_t i, const Judgement& judgement);
  bool CarryOut(uint32_t i, const Verdict& verdict,
                const PacketInfo* translated, const Judgement& judgement);
  // Handshakes that are done in the name of the hosts (pipeline_proxy.cc).
  bool Proxy(uint32_t i, const ProxyOrder& order, const Judgement& judgement);
  // A packet of ours to the sender of packet i, which its port's own state
  // sees, too.
  void AnswerArrival(uint32_t i, const TcpSegment& segment,
                     const Judgement& judgement);
  // Whether a packet that no state has was a SYN that got a cookie, or brings
  // one back; then *passed says what became of it.
  bool TrySyncookie(uint32_t i, const Judgement& judgement, bool* passed);
  bool GivesCookies(const Judgement& judgement);
  bool AdmitCookie(uint32_t i, uint16_t mss, const Judgement& judgement);
  void RefuseState(uint32_t i, const StateTemplate& values, DropReason reason,
                   const Judgement& judgement);
  // Makes the packet's state, and does to it what the state does to all that
  // follow.
  bool Admit(uint32_t i, const StateTemplate& values,
             const ExpectedChild* child, const PacketInfo* translated,
             const Judgement& judgement);

  // Expects the other paths of an SCTP association, of whose addresses a packet
  // that passed by this state has told (pipeline_sctp.cc).
  void FollowSctp(StateIndex state, uint32_t i, const Judgement& judgement);
  bool ArmSctp(const PacketInfo& path, StateIndex state, uint32_t i,
               const std::array<uint32_t, 2>& tag, ParentReference* parent,
               const Judgement& judgement);
  // What the rules let such a path have. False: nothing.
  bool AskForPath(const PacketInfo& path, uint32_t i,
                  const Judgement& judgement, StateTemplate* values);

  // Shows a packet that passed to the helper of its state.
  HelperVerdict Help(StateIndex state, uint32_t i, const Judgement& judgement);

  // On wires that answer for translation addresses (pipeline_wire.cc). Takes
  // out questions for such addresses and answers them, and learns.
  void HearNeighbors(const PortContext& arrival, const PortContext& other,
                     Tick now);
  // Who of `alive` is addressed to the firewall and was translated goes to its
  // destination's MAC address from here on; who leaves by the port of arrival
  // is in returning_ afterwards, who waits or is dropped in neither.
  Mask Route(Mask alive, const PortContext& arrival, const PortContext& other,
             Tick now);
  bool RouteOne(uint32_t i, const PortContext& arrival,
                const PortContext& other, Tick now);
  void Ask(uint32_t i, const Address& target, const PortContext& arrival,
           const PortContext& other);
  void Wait(uint32_t i, const PortContext& arrival, const Address& target,
            VlanId vlan, Tick now);
  // Judges what returns, and puts it into the result.
  Mask JudgeReturning(const PortContext& arrival, const FilterView& filter,
                      const Topology& topology, Tick now);
  // What a translated packet tells of its sender's link.
  void NoteLinks(StateIndex state, uint32_t i, const Judgement& judgement);

  // Drops it before it is judged.
  void TakeFragment(uint32_t i, DropReason reason);
  static void DropFragment(void* pipeline, rte_mbuf* mbuf);

  // A packet's record for one rule. `reason` is kMatch for one that passes.
  void Log(uint32_t i, const LoggedRule& rule, DropReason reason,
           const Judgement& judgement);
  // Those of a verdict; the last one says what became of the packet.
  void LogVerdict(uint32_t i, const Verdict& verdict, bool passed,
                  DropReason reason, const Judgement& judgement);
  void Drop(uint32_t i, DropReason reason);
  void DropAll(Mask packets, DropReason reason);
  // Of those of `whom`. What passed leaves by the port `to`.
  void Tell(uint16_t port, uint16_t to, Mask passed, Tick now,
            Mask whom = ~Mask{0});
  // Their frames, for whoever captures them: before they are judged and after.
  void ShowArrival(uint16_t port, const PacketBurst& burst);
  void ShowLeaving(uint16_t port, uint16_t to, Mask passed);
  void ShowFlooded(uint16_t port, Mask left, Tick now);
  void EndShowingFlood();
  // Builds an answer to packet i with build(mbuf) and queues it for the port of
  // arrival.
  template <typename Build>
  void Answer(uint32_t i, Build build);
  void AnswerBlocked(uint32_t i, const AnswerChoice& choice);
  void AnswerState(uint32_t i, const StepResult& step);
  uint64_t Random();

  const Config config_;
  StateTable& states_;
  ExpectationTable& expectations_;
  const std::span<PortCounters> counters_;
  uint64_t random_;
  Translator translator_;
  StateLimiterGate limiters_;
  PortRoutes routes_;
  FragmentCache fragments_;
  uint64_t secrets_ = 0;  // given out

  // Of the burst that is being judged.
  PacketBurst* burst_ = nullptr;
  PortCounters* port_ = nullptr;
  BurstResult* result_ = nullptr;
  const FilterEnds* filters_ = nullptr;
  uint64_t changes_at_lookup_ = 0;  // states made and ended until then
  std::array<uint16_t, kMaxBurst> tags_;
  std::array<DropReason, kMaxBurst> reasons_;
  // In its place, of packets that are not dropped.
  static constexpr auto kNotDropped = static_cast<DropReason>(kDropReasonCount);
  std::array<const CompiledRule*, kMaxBurst> rules_;
  std::array<TraceTap*, kMaxTaps> taps_{};
  bool taps_in_use_ = false;
  bool showing_flood_ = false;  // its last port is still to come
  // If anybody is to be told.
  std::array<PacketInfo, kMaxBurst> arrived_;
  std::array<TraceRecord, kMaxBurst> told_;
  // Packets that were translated when they were judged in, and the states that
  // did it.
  Mask translated_ = 0;
  std::array<StateHandle, kMaxBurst> translated_by_;
  // This wire answers for translation addresses.
  bool routing_ = false;
  Mask returning_ = 0;
  // IP packets that were sent to the port's own address, which is this one.
  Mask addressed_ = 0;
  MacAddress own_mac_{};
  // The rules that a packet meets at one end.
  struct JudgedBy {
    uint64_t serial = 0;      // of the filter
    uint64_t generation = 0;  // its number
    uint16_t number = 0;      // of the filter, or of what judges in its place

    friend bool operator==(const JudgedBy&, const JudgedBy&) = default;
  };
  static std::array<JudgedBy, 2> JudgesOf(const FilterEnds& filters);
  // Packets that have been judged in and wait to hear where their destination
  // is. In the order of their arrival.
  struct Waiting {
    rte_mbuf* mbuf = nullptr;
    StateHandle state;
    Address target;
    VlanId vlan;
    Tick since = 0;
    uint16_t port = 0;
    uint16_t peer = 0;
    uint16_t tag = kNoTag;
    uint16_t pieces = 1;  // CountFragments()
    std::array<JudgedBy, 2> by;
  };
  void DropWaiting(const Waiting& one);
  static constexpr uint32_t kMaxWaiting = 64;
  std::array<Waiting, kMaxWaiting> waiting_;
  uint32_t waiting_count_ = 0;
  bool resuming_ = false;
  Mask stale_ = 0;  // while resuming_: their rules are others now
  std::array<Tick, kMaxBurst> waits_since_;  // while resuming_
  // Packets that have changed their family, and how they leave.
  Mask crossed_ = 0;
  // Those for which that was tried at this judgement, and the IP bytes that
  // they had.
  Mask crossed_here_ = 0;
  std::array<uint16_t, kMaxBurst> came_with_;
  std::array<CrossedForm, kMaxBurst> forms_;
  // Of this judgement: what its rules have, so that nobody looks for it packet
  // by packet.
  bool translating_ = false;
  bool limiting_ = false;
  bool fingerprinting_ = false;
  bool using_cookies_ = false;
  // ... whether there are scrub rules, and what they say.
  bool scrubbing_ = false;
  std::array<PacketActions, kMaxBurst> scrubs_;
  // By the judgement: who goes where rules say, and where that is.
  Mask routed_ = 0;
  std::array<PacketRoute, kMaxBurst> packet_routes_;
  // Who leaves by a port that a rule for layer 2 names, and by which.
  Mask bridged_ = 0;
  std::array<uint16_t, kMaxBurst> bridged_to_;
  struct FoundPort {
    uint64_t serial = 0;  // of the topology in which it was found
    uint16_t interface = 0;
    uint16_t port = kNoPort;
  };
  std::array<FoundPort, 16> found_ports_;
  // By direction: who was judged in it.
  std::array<Mask, 2> judged_;
  // Of frames that are flooded: what judging them once came to, for all ports.
  struct Flood {
    PacketBurst* burst = nullptr;
    const Topology* topology = nullptr;
    const FilterView* filter = nullptr;  // of the port of arrival
    uint16_t port = 0;
    Tick now = 0;
    Mask alive = 0;
    Mask passed = 0;
    uint16_t flags = 0;
    std::array<uint16_t, kMaxBurst> tags;
    Mask translated = 0;
    std::array<StateHandle, kMaxBurst> translated_by;
    Mask crossed = 0;
    std::array<CrossedForm, kMaxBurst> forms;
    std::array<const CompiledRule*, kMaxBurst> rules;
    std::array<Mask, 2> judged;
    PacketBurst copies;
  };
  Flood flood_;
  // Of routed frames: what judging them once, and looking for their routes,
  // came to.
  struct Routing {
    PacketBurst* burst = nullptr;
    const Topology* topology = nullptr;
    const FilterView* filter = nullptr;  // of the port of arrival
    uint16_t port = 0;
    Tick now = 0;
    uint16_t flags = 0;
    Mask left = 0;    // have been judged in and are to leave
    Mask groups = 0;  // were sent to all hosts of the link, or to some
    std::array<RouteAnswer, kMaxBurst> answers;
    // Of the port of departure.
    Mask big = 0;         // do not fit
    Mask on_link = 0;     // the next hop is the destination
    Mask unresolved = 0;  // nobody knows where the next hop is
    std::array<MacAddress, kMaxBurst> macs;
    Mask with_error = 0;  // for which there is one, in case
    std::array<rte_mbuf*, kMaxBurst> errors;
    // Of those that rules send elsewhere (pipeline_words.cc): who is not judged
    // where it leaves, and at how many other ports each was.
    Mask settled = 0;
    Mask moved = 0;
    std::array<uint8_t, kMaxBurst> moves;
    bool from_host = false;  // they came by no port: host_
    bool copies = false;     // of dup-to
  };
  Routing route_;
  PortContext host_;
  // Copies that leave when all others have.
  struct Duplicates {
    PacketBurst burst;
    std::array<RouteAnswer, kMaxBurst> answers;
    Mask left = 0;
  };
  Duplicates duplicates_;
  RouteWait hops_;
  // Errors that may be sent at once, and since when.
  uint32_t error_tokens_ = kErrorBurst;
  Tick errors_since_ = 0;
  static constexpr uint32_t kErrorBurst = 100;
  bool showing_more_ = false;  // of the burst others are still to be told of

  Tick copies_in_ = 0;  // the millisecond in which there were so many:
  uint32_t copies_made_ = 0;
  // Of this judgement: which packets have candidates.
  Mask classified_ = 0;
  std::array<Candidates, kMaxBurst> candidates_;
  VerdictCache verdict_cache_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FORWARD_PIPELINE_H_
