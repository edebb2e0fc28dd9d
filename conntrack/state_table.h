// conntrack/ is state: which flows were let through, what they may do now, and
// when they end. Workers call it for every packet; the control side only
// builds tables and reads counters. It knows rules by their slot numbers
// alone, and touches nothing but its own memory and the packet it is given.
//
// This header: one worker's shard. Everything but Build() belongs to that
// worker: no call allocates, blocks, logs or calls the system, and none may
// come from another thread. Listings, kills and exports are messages to the
// worker, which answers them in slices (StateEntries::Visit); states from
// elsewhere come in by StateIntake.
//
// Layout. The index is an array of buckets, one cache line each: eight tags of
// 16 bits, compared at once, and the slots that they stand for. A bucket that
// is full chains to one from a pool. What lies in a slot: state_entries.h.
//
// Aging. Nothing moves when a packet comes: it leaves its tick in the hot
// line. A wheel of 512 slots of 64 ms holds every state; when its slot comes
// up, a state is removed or queued again, at most 32 s ahead. So each is looked
// at every 32 s at the latest, which makes 32-bit ticks safe and lets adaptive
// timeouts bite. A change to a shorter timeout queues again at once.
//
// One packet, one walk: Lookup() for the burst; for a hit Step(); for a miss
// Find() again (an earlier packet of the burst may have made the state), then
// ExpectationTable::Take(), then the rules, then Insert(). ICMP errors go to
// LookupIcmpError() instead, and to the rules if it knows no state for them.
#ifndef SLUICE_CONNTRACK_STATE_TABLE_H_
#define SLUICE_CONNTRACK_STATE_TABLE_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "conntrack/expectation.h"
#include "conntrack/flow_index.h"
#include "conntrack/flow_key.h"
#include "conntrack/flow_record.h"
#include "conntrack/keyed_hash.h"
#include "conntrack/state.h"
#include "conntrack/state_budget.h"
#include "conntrack/state_entries.h"
#include "conntrack/statistics.h"
#include "conntrack/tcp_open.h"
#include "conntrack/timer_wheel.h"
#include "packet/answer.h"
#include "packet/family.h"
#include "packet/packet.h"
#include "packet/readdress.h"
#include "packet/sequence.h"
#include "pftable/policy/timeouts.h"

namespace sluice {

// Packets that no state has by their own addresses and ports.
inline constexpr uint16_t kNotLookedUp = kFragment | kIcmpError;

// Ticks that a child whose transfer is over stays for: as long as servers wait
// before they send their last block again.
inline constexpr uint32_t kFinishedLife = 10000;

struct StateTableOptions {
  uint8_t worker = 0;
  uint32_t capacity = 100000;  // states of this worker, 1 to 2^30
  uint16_t filters = 1;        // filter numbers are below this
  HashSecret secret{};
  // Of the sequence numbers that `modulate state` and `synproxy state` give.
  HashKey sequence_key{};
  // Whether UDP flows to port 69 are followed (tftp.h).
  bool tftp_helper = true;
  // Whether TCP connections to port 21 are followed (ftp.h), and how many of
  // them at once.
  bool ftp_helper = true;
  uint32_t ftp_sessions = 1024;
  bool huge_pages = true;      // ordinary ones if there are none
  // Touch all memory now instead of at first use.
  bool prefault = true;
};

enum class StepVerdict : uint8_t {
  kPass,
  kDrop,          // for `reason`
  kReuse,         // the state is gone: go on as with a miss
  kChallengeAck,  // drop, and answer the sender with a bare ACK (RFC 5961)
  kReset,         // drop, and answer the sender with a RST
  kProxy,         // ask RunProxy()
};

// What becomes of a packet of a handshake that is under way.
struct ProxyOrder {
  DropReason reason = DropReason::kSynproxy;  // if it does not go on
  // Goes back to the sender.
  std::optional<TcpSegment> answer;
  // Goes on in place of the packet.
  std::optional<TcpSegment> onward;
};

struct StepResult {
  StepVerdict verdict = StepVerdict::kPass;
  DropReason reason = DropReason::kStateMismatch;
  // The state has a helper that wants to see this packet.
  bool helper = false;
  // `log (all)`.
  bool log = false;
  // SCTP: it says what addresses its sender has.
  bool addresses = false;
  // With kPass: the packet goes on with these numbers (ShiftSequence).
  SequenceShift shift;
  // Of the answer with kChallengeAck and kReset, host order; a RST has no ACK.
  uint32_t sequence = 0;
  uint32_t acknowledgment = 0;
};

struct InsertResult {
  StateIndex state = kNoState;
  // Without a state: kStateLimit or kStateInsert.
  DropReason reason = DropReason::kStateLimit;
  // With a state: as in StepResult.
  bool addresses = false;
  // With a state: the packet goes on with these numbers,
  SequenceShift shift;
  // or it is a SYN that is answered instead.
  std::optional<TcpSegment> answer;
};

struct IcmpErrorResult {
  // kNoState with kPass: nobody's; the rules decide.
  StateIndex state = kNoState;
  StepVerdict verdict = StepVerdict::kPass;  // kPass or kDrop
  DropReason reason = DropReason::kStateMismatch;
  bool log = false;  // `log (all)`
  // What is added to the quoted segment's sequence number, which its sender
  // knows as another one; the segment.
  uint32_t inner_shift = 0;
  PacketInfo inner;
};

// The two ends of a state, by Peer; ports raw.
struct StateEnds {
  Family family = Family::kNone;
  std::array<std::array<uint8_t, 16>, 2> address{};
  std::array<uint16_t, 2> port{};
};

// What becomes of a wish to link a child to its parent.
enum class LinkResult : uint8_t {
  kLinked,
  kNoParent,       // the handle is empty
  kSelf,
  kNotOlder,       // the parent's id is not below the child's
  kAlreadyLinked,
  kGrandchild,     // the parent is a child
  kOtherFilter,
};

// The only function that ties a child to a parent. `child` is not yet
// published. Refuses whatever would not keep ids ascending and depth at one.
LinkResult LinkToParent(StateCold* child, uint16_t child_filter,
                        const ParentReference& parent);

class FtpSessions;
struct FtpSession;
class TranslationDirectory;
struct TrackerResult;

class StateTable {
 public:
  // Errors: options out of range; no memory (the message says how much).
  static absl::StatusOr<std::unique_ptr<StateTable>> Build(
      const StateTableOptions& options);
  ~StateTable();
  StateTable(const StateTable&) = delete;
  StateTable& operator=(const StateTable&) = delete;

  // A filter's limit, shared by all workers and outliving the table, and its
  // timeouts (copied; call again when `set timeout` changes, living states
  // follow). States of a filter that was not set are refused (kStateInsert).
  // Without `sources` no source of it is tracked.
  void SetFilter(uint16_t filter, StateBudget* budget,
                 const TimeoutProfile& timeouts,
                 SourceBudget* sources = nullptr,
                 HandshakeLoad* handshakes = nullptr,
                 bool counts_handshakes = false);
  // Whether states of the filter are followed by helpers; at first they are.
  void SetHelpers(uint16_t filter, bool follow) {
    if (filter < filters_.size()) filters_[filter].helpers = follow;
  }
  // Optional; both outlive the table. Without a sink rules have no limits or
  // timeouts of their own and count nothing.
  void SetSink(StateSink* sink) { sink_ = sink; }
  void SetExpectations(ExpectationTable* expectations) {
    expectations_ = expectations;
  }
  // All workers'; outlives the table. Without it no state is translated.
  void SetTranslations(TranslationDirectory* translations) {
    translations_ = translations;
  }
  // All workers'; outlives the table. Without it no source is tracked.
  void SetSourceNodes(SourceNodes* nodes) { source_nodes_ = nodes; }
  SourceNodes* source_nodes() const { return source_nodes_; }
  // Who is told of states; outlives the table. Null, as at first: nobody is.
  // `all`: of each, when it is made and when it ends, and not only of the end
  // of those with kSidePflow. Of states from elsewhere only the end is told.
  void SetFlows(FlowRecorder* flows, bool all) {
    flows_ = flows;
    all_flows_ = all;
  }
  // Of a filter; null: it has none.
  Limiters* LimitersOf(uint16_t filter) const {
    return sink_ != nullptr ? sink_->LimitersOf(filter) : nullptr;
  }
  // Whose limits the sources count for that a rule's pools bind.
  SourceOwner OwnerOfSticky(uint16_t filter, uint32_t rule_slot) const;

  // For each i of `indices`: states[i] = the state of burst.infos[i], which is
  // kIp, or kNoState. Fragments and ICMP errors have none. `states` has room
  // for the burst.
  void Lookup(const PacketBurst& burst, std::span<const uint8_t> indices,
              const JudgePoint& where, std::span<StateIndex> states);
  // The same for one packet.
  StateIndex Find(const PacketInfo& info, const rte_mbuf& mbuf,
                  const JudgePoint& where);

  // What a packet of this state, judged in this direction, does to it and what
  // becomes of the packet. Counts it if it passes.
  StepResult Step(StateIndex state, const PacketInfo& info,
                  const rte_mbuf& mbuf, Direction direction, Tick now);

  // Step() of a packet that an open flow expects, which does no more than to
  // count it. False: it is not surely such a one, and nothing was changed.
  bool StepOpen(StateIndex state, const PacketInfo& info, Direction direction,
                Tick now) {
    StateHot& hot = entries_.hot(state);
    const uint32_t from = direction == hot.direction() ? 0 : 1;
    const uint32_t sum = hot.bytes[from] + info.ip_length;
    if (sum > kMaxHotBytes || info.has(kIpOptions)) return false;
    if (info.proto == protocol::kUdp) {
      constexpr auto kSingle = static_cast<uint8_t>(DatagramPhase::kSingle);
      constexpr auto kDone = static_cast<uint8_t>(DatagramPhase::kMultiple);
      // Both have sent and were answered, or nobody answers.
      const bool done = hot.phase[0] == kDone && hot.phase[1] == kDone;
      if (!done &&
          (hot.timeout != Timeout::kUdpSingle || hot.phase[from] < kSingle ||
           hot.phase[from ^ 1] == kSingle)) {
        return false;
      }
    } else if (info.proto != protocol::kTcp || !TrackOpenTcp(info, from, &hot)) {
      return false;
    }
    hot.bytes[from] = sum;
    ++hot.packets[from];
    hot.last_seen = now;
    return true;
  }

  // Makes the state of a packet that no state has and the rules (or an
  // expectation: `child`) let through, and counts the packet. The id of a
  // child is above its parent's. Never removes other states. `translated`: the
  // packet as it goes on (its family, protocol and ends), if these are others.
  // `holds`: what its pools keep of it; a state that is made has taken it.
  InsertResult Insert(const PacketInfo& info, const rte_mbuf& mbuf,
                      const JudgePoint& where, const StateTemplate& values,
                      Tick now, const ExpectedChild* child = nullptr,
                      const PacketInfo* translated = nullptr,
                      PoolHolds* holds = nullptr);
  // Whether a state may be made that has `translated` as its packet on the
  // other side of the translation: nobody has that flow, on any worker.
  bool IsFree(const PacketInfo& translated, const rte_mbuf& mbuf,
              const JudgePoint& where) const;

  // The ends of a state as its first packet came, and as it went on: the same
  // unless it is translated.
  StateEnds EndsOf(StateIndex state) const;
  StateEnds EndsBeyond(StateIndex state) const;

  // Rewrites a packet that passes by a translated state, as it leaves the
  // other side.
  void Translate(StateIndex state, rte_mbuf& mbuf, PacketInfo* info,
                 Direction direction) const;
  // The same of an ICMP error and the packet that it quotes.
  void TranslateError(StateIndex state, rte_mbuf& mbuf, PacketInfo* info,
                      const PacketInfo& inner, Direction direction) const;

  // Whether packets of a translated state go on in the other family: then these
  // two stand for the two above. Of `crossing` all but the ends is given.
  bool Crosses(StateIndex state) const {
    return entries_.SecondFamily(state) != entries_.hot(state).family();
  }
  CrossResult Cross(StateIndex state, rte_mbuf** packet, PacketInfo* info,
                    Direction direction, Crossing crossing,
                    CrossedForm* form) const;
  CrossResult CrossError(StateIndex state, rte_mbuf** packet, PacketInfo* info,
                         const PacketInfo& inner, Direction direction,
                         Crossing crossing) const;

  // After StepVerdict::kProxy. May end the state.
  ProxyOrder RunProxy(StateIndex state, const PacketInfo& info,
                      Direction direction, Tick now);
  // The state of a handshake that was done with a cookie, of which `syn` is
  // made and `info` the last packet; `proxy_sequence` was ours.
  InsertResult InsertProxied(const PacketInfo& syn, const PacketInfo& info,
                             const rte_mbuf& mbuf, const JudgePoint& where,
                             const StateTemplate& values,
                             uint32_t proxy_sequence, uint16_t mss, Tick now,
                             const PacketInfo* translated = nullptr,
                             PoolHolds* holds = nullptr);

  // The state that an ICMP error (PacketFlag kIcmpError) belongs to: its inner
  // packet must be one that the state would have let through the other way,
  // TCP within the window, and be sent by the address that the error goes to.
  // A hit counts the packet and does not prolong the state.
  // *inner: the packet that it quotes.
  IcmpErrorResult LookupIcmpError(const PacketInfo& info,
                                  const rte_mbuf& mbuf,
                                  const JudgePoint& where, PacketInfo* inner);

  void Remove(StateIndex state, FlowEnd end = FlowEnd::kRemoved);

  // Looks at no more than `budget` states that may be due and removes those
  // that are. False: there is more to do at this tick.
  bool Expire(Tick now, uint32_t budget);

  // The states as they are, to walk and to read.
  const StateEntries& entries() const { return entries_; }
  // For what the caller keeps of a state: StateEntries::scrub().
  StateEntries& mutable_entries() { return entries_; }
  StateRecord Record(StateIndex state, Tick now) const;
  // Seconds of one timeout as it holds for the state, adaptive ones apart.
  uint32_t TimeoutOf(StateIndex state, Timeout timeout) const;
  // Hands the sink what a state has counted since the last time.
  void Fold(StateIndex state);

  // Ties the state to its record in the expectation table.
  void SetFamilyRecord(StateIndex state, uint16_t record);

  // For helpers. A child's transfer is over: it is its parent's child only by
  // name, and ends `kFinishedLife` after its last packet.
  void FinishChild(StateIndex state, Tick now);
  // Null: it is not followed.
  FtpSession* ftp_session(StateIndex state) const;
  // A helper has changed what a peer sends: its numbers are others from now on.
  void ShiftFromNowOn(StateIndex state) {
    entries_.hot(state).more |= kMoreShift;
  }
  // Changes the numbers of a segment that passes, as Step() has said.
  void Shift(StateIndex state, rte_mbuf& mbuf, PacketInfo* info,
             Direction direction, const SequenceShift& shift) const;
  // An SCTP peer has given up the address that it has in this state.
  void CloseSctp(StateIndex state, Peer peer, Tick now);
  // Its rule has `allow-related`.
  bool AllowsRelated(StateIndex state) const;
  // The last packet was none that prolongs the state.
  void SetLastSeen(StateIndex state, Tick when) {
    entries_.hot(state).last_seen = when;
  }
  // What a helper keeps of a UDP state's progress: its window, which is TCP's
  // alone else.
  void SetHelperData(StateIndex state,
                     const std::array<SequenceWindow, 2>& data) {
    entries_.hot(state).window = data;
  }
  // Of a packet of a state with actions, which is judged in that direction:
  // false: its rule has a `max-pkt-rate`, which it is above. The rules decide
  // then, of which that one does not match.
  bool CountForRate(StateIndex state, Direction direction, Tick now) const;
  // Takes the last packet of the state back, which Step() has counted.
  void Uncount(StateIndex state, Direction direction, uint32_t bytes);

  uint32_t size() const {
    return static_cast<uint32_t>(statistics_.states.value());
  }
  // Bytes of memory that a table of `capacity` states takes, before its parts
  // are rounded to whole pages.
  static size_t BytesFor(uint32_t capacity);
  // Bytes of memory in all.
  size_t memory() const { return entries_.memory() + index_.memory(); }
  const StateStatistics& statistics() const { return statistics_; }

 private:
  friend class StateIntake;

  struct Filter {
    StateBudget* budget = nullptr;
    TimeoutProfile timeouts;
    SourceBudget* sources = nullptr;
    HandshakeLoad* handshakes = nullptr;
    bool counts_handshakes = false;
    bool helpers = true;
  };

  explicit StateTable(const StateTableOptions& options);

  template <Direction kDirection>
  void LookupToward(const PacketBurst& burst,
                    std::span<const uint8_t> indices, const JudgePoint& where,
                    std::span<StateIndex> states);
  template <typename Key>
  StateIndex FindKey(const Key& key, VlanId vlan,
                     const JudgePoint& where) const;
  StateIndex Find4(const FlowKey4& key, VlanId vlan,
                   const JudgePoint& where) const;
  StateIndex Find6(const FlowKey6& key, VlanId vlan,
                   const JudgePoint& where) const;
  // Of a packet that an error quotes which is judged here.
  StateIndex FindQuoted(const PacketInfo& inner, const rte_mbuf& mbuf,
                        VlanId vlan, const JudgePoint& where) const;
  // Of an ICMPv6 answer with this key: the state of a question to all nodes.
  StateIndex FindAskedOfAll(const PacketInfo& info, FlowKey6 key,
                            VlanId vlan, const JudgePoint& where) const;
  // Whether a state is bound to an interface, and not to this one. FreeBSD's
  // pf binds what a rule sends out by another interface to that, and meets it
  // where it was made, too: each of its packets comes by there first.
  bool IsElsewhere(StateIndex state, const JudgePoint& where) const {
    const StateHot& hot = entries_.hot(state);
    if ((hot.flags & kStateIfBound) == 0 ||
        entries_.cold(state).interface == where.interface) {
      return false;
    }
    return !entries_.IsRouted(state) ||
           BoundByRoute(entries_.route(state).route, hot.direction()) !=
               where.interface;
  }
  // Whether a state that has the key is not meant all the same: it is bound to
  // another interface, or translated, and the key is that of the other side.
  bool NotMeant(StateIndex state, const JudgePoint& where) const {
    const StateHot& hot = entries_.hot(state);
    return IsElsewhere(state, where) ||
           (hot.translated() && hot.direction() != where.direction);
  }
  // Of a state whose second key it is: whether answers come this way.
  bool MeansSecond(StateIndex state, const JudgePoint& where) const {
    const StateHot& hot = entries_.hot(state);
    return !hot.reserved() && hot.direction() != where.direction &&
           !IsElsewhere(state, where);
  }
  // Whether a state that has the key is in its VLAN, too.
  template <typename Key>
  bool IsInVlan(StateIndex state, const Key& key, VlanId vlan) const {
    return !key.has_vlan() || entries_.hot(state).vlan() == vlan;
  }
  // Whether the index's entry is that of the state that `key` is looked for.
  bool IsWanted(uint32_t entry, const FlowKey4& key, VlanId vlan,
                const JudgePoint& where) const;
  bool IsWanted(uint32_t entry, const FlowKey6& key, VlanId vlan,
                const JudgePoint& where) const;
  FlowHash HashOf(StateIndex state) const;
  FlowHash HashOfSecond(StateIndex state) const;
  // Of a new state whose first key is in place: gives it the second one, in
  // the index and in the directory. False: somebody has it.
  bool AddSecondKey(StateIndex state, const PacketInfo& translated,
                    const rte_mbuf& mbuf, const JudgePoint& where);
  // The same, once the key is written.
  bool PlaceSecondKey(StateIndex state, const PacketInfo& translated,
                      const JudgePoint& where);
  // Takes it out of both again, if there is one.
  void RemoveSecondKey(StateIndex state);
  // The ends of a packet of this state that is judged in `direction`, on the
  // other side of the translation from `side`.
  PacketEnds EndsAcross(StateIndex state, Direction side,
                        Direction direction) const;

  // Marks all reserved slots with the flow that `state` has. Whether there is
  // any other slot with it.
  bool Contest(StateIndex state, const FlowHash& hash);
  void InsertState(const PacketInfo& info, const rte_mbuf& mbuf,
                   const JudgePoint& where, const StateTemplate& values,
                   Tick now, const ExpectedChild* child,
                   const PacketInfo* translated, PoolHolds* holds,
                   InsertResult* made);
  // Looks at up to `most` states that may be due; how many there were.
  uint32_t Sweep(Tick now, uint32_t most);
  bool QueueAgain(StateIndex state, Tick now);
  // Remove(), of a state whose first key has this hash.
  void RemoveHashed(StateIndex state, const FlowHash& hash, FlowEnd end);
  // Gives a state the side that its template asks for, and its source a state
  // more. False: the source has as many as it may have, and nothing was taken.
  // What a helper expects is its parent's doing, not of its own source: of its
  // rules' wishes a child has those of kChildSide alone.
  bool GiveSide(StateIndex state, const StateTemplate& values, Tick now,
                bool child);
  bool TrackSource(StateIndex state, Tick now, bool enforce);
  // The source of a state that comes from elsewhere, whatever it has already.
  void TrackAgain(StateIndex state, Tick now);
  // Counts a state that is about to be made for its limiters, in *side. False:
  // one has no room, for *reason, and nothing was taken.
  bool TakeLimits(StateIndex state, const StateTemplate& values, Tick now,
                  bool enforce, StateSide* side, DropReason* reason);
  void GiveBackLimits(StateIndex state, const StateSide& side);
  void HoldLimits(StateIndex state, const StateSide& limits);
  void LimitAgain(StateIndex state, Tick now);
  void HoldPools(StateIndex state, PoolHolds* holds);
  // Of a child the parent's, which may go the other way.
  void GiveRoute(StateIndex state, const PacketRoute& route,
                 const ExpectedChild* child, PoolHolds* holds);
  void HoldPoolsAgain(StateIndex state, Tick now);
  void ForgetSource(StateIndex state);
  void CountForSource(StateIndex state, const TrafficDelta& traffic);
  Address OriginatorOf(StateIndex state) const;
  // The state's handshake is done: false if its source has too many by now.
  bool CountConnection(StateIndex state, Tick now);
  bool CountOpened(StateIndex state, Tick now);
  // Other numbers for a peer whose first one is `sequence`.
  uint32_t NewOffset(StateIndex state, uint32_t peer, uint32_t sequence,
                     Tick now) const;
  // Takes over the handshake of a state that has just been made; the answer to
  // its SYN.
  TcpSegment BeginProxy(StateIndex state, const PacketInfo& syn, uint16_t mss,
                        Tick now);
  // Whether one of its ends, before or behind its translation, is FTP's.
  bool IsFtp(StateIndex state) const;
  // Has the FTP helper see the packets of a state, if it is one that it
  // follows and there is a place for it.
  void FollowFtp(StateIndex state);
  // A child that is closing gives its place in the family back.
  void LeaveFamily(StateIndex state);
  // A child that was linked to its parent: its helper, and its place there.
  void TieChild(StateIndex state, Tick now);
  StateId NextId(StateId above);
  void Count(StateHot* hot, StateIndex state, uint32_t peer, uint32_t bytes);
  // Tells of a state that has been made (kNone) or is about to go.
  void RecordFlow(StateIndex state, FlowEnd end);
  static FlowEnd EndOfAged(const StateHot& hot);
  // What the state may live after its last packet, in ticks.
  uint32_t Lifetime(const StateHot& hot, const StateCold& cold) const;
  // Ticks since the last packet.
  static uint32_t Idle(const StateHot& hot, Tick now);
  // After a change of StateHot::timeout.
  void Requeue(StateIndex state, Tick now);
  StepResult Refuse(StateIndex state, Mismatch cause, StepResult result);
  void EndHandshake(StateHot* hot);
  // What a host acknowledges to that peer, in the peer's own numbers.
  uint32_t InNumbersOf(StateIndex state, uint32_t peer, uint32_t number) const;
  TrackerResult TrackShifted(StateIndex state, const PacketInfo& info,
                             const rte_mbuf& mbuf, Peer peer, Tick now,
                             SequenceShift* shift);

  StateTableOptions options_;
  StateEntries entries_;
  FlowIndex index_;
  TimerWheel wheel_;
  uint64_t last_id_ = 0;  // without the worker
  uint32_t reserved_ = 0;  // slots that wait for a commit
  std::vector<Filter> filters_;
  StateSink* sink_ = nullptr;
  ExpectationTable* expectations_ = nullptr;
  TranslationDirectory* translations_ = nullptr;
  uint32_t second_keys_ = 0;  // in the index
  SourceNodes* source_nodes_ = nullptr;
  FlowRecorder* flows_ = nullptr;
  bool all_flows_ = false;
  std::unique_ptr<FtpSessions> ftp_;
  Tick now_ = 0;  // of the last state that was made, or sweep
  StateStatistics statistics_;
};

}  // namespace sluice

#endif  // SLUICE_CONNTRACK_STATE_TABLE_H_
