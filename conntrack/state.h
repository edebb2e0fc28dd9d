// What a state is made of: phases, flags, the three parts of an entry, and the
// plain values that go in and out of the table.
#ifndef SLUICE_CONNTRACK_STATE_H_
#define SLUICE_CONNTRACK_STATE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "conntrack/flow_key.h"
#include "conntrack/source_nodes.h"
#include "conntrack/tcp_scrub.h"
#include "packet/address.h"
#include "packet/neighbor.h"
#include "packet/packet.h"
#include "pftable/engine/rule_slots.h"
#include "pftable/engine/state_template.h"
#include "pftable/policy/timeouts.h"

namespace sluice {

// The slot of a state in its shard. Slots are used again: across calls that
// may remove states keep a StateHandle.
using StateIndex = uint32_t;
inline constexpr StateIndex kNoState = 0xffffffff;

// A state's number: a counter and, in the low eight bits, the worker that made
// it. It grows over time within a worker, a child's is above its parent's, and
// zero is no state.
using StateId = uint64_t;
constexpr uint8_t WorkerOf(StateId id) { return static_cast<uint8_t>(id); }

// A reference to a state of any worker. It is never followed by another worker
// than the one that owns it, and a slot whose state has another id by then
// means "gone".
struct StateHandle {
  StateId id = 0;
  StateIndex slot = kNoState;

  bool IsSet() const { return id != 0; }
  friend bool operator==(const StateHandle&, const StateHandle&) = default;
};

// Which of a state's two sides. kOriginator sent the packet that made it.
enum class Peer : uint8_t { kOriginator = 0, kResponder = 1 };

// The phases of one TCP peer, with pf's use of BSD's names: a peer is in
// kSynSent once its SYN was seen, kEstablished once that was acknowledged,
// kClosing once its FIN was seen, kFinWait2 once that was acknowledged, and
// both are in kTimeWait after a RST. The others keep the numbers that programs
// know from pf.
enum class TcpPhase : uint8_t {
  kClosed = 0,
  kListen = 1,
  kSynSent = 2,
  kSynReceived = 3,
  kEstablished = 4,
  kCloseWait = 5,
  kFinWait1 = 6,
  kClosing = 7,
  kLastAck = 8,
  kFinWait2 = 9,
  kTimeWait = 10,
};

// The phases of a peer of any protocol but TCP and SCTP. SCTP uses TcpPhase.
enum class DatagramPhase : uint8_t {
  kNoTraffic = 0,  // has sent nothing
  kSingle = 1,     // has sent
  kMultiple = 2,   // has sent and was answered
};

// Bits of StateHot::flags above those of StateTemplate::flags, which stand
// there as the rule gave them.
enum EntryFlag : uint16_t {
  kEntryInUse = 1 << 9,
  // Made by a packet that was judged out.
  kEntryOut = 1 << 10,
  // A helper wants to see its packets: RunTftpHelper, RunFtpHelper.
  kEntryHelper = 1 << 11,
  // A parent or a child: StateCold::family_record is valid.
  kEntryRelated = 1 << 12,
  // Part of its counters has been handed to its rule already.
  kEntryFolded = 1 << 13,
  // Its packets bear StateCold::tag.
  kEntryTagged = 1 << 14,
  // A child whose transfer is over: it lives on for what may have been lost of
  // its end (StateTable::Finish), and is not tied to its parent any more.
  kEntryFinished = 1 << 15,
};
inline constexpr uint16_t kTemplateFlags = kEntryInUse - 1;
static_assert((kStateLogMatches & kTemplateFlags) != 0);

// One TCP peer's sequence space, host order: pf's seqlo and seqhi.
struct SequenceWindow {
  uint32_t low = 0;   // the highest sequence number sent
  uint32_t high = 0;  // the highest that the other side allows
};

// Bits of a peer's window scale byte.
inline constexpr uint8_t kScaleMask = 0x0f;
inline constexpr uint8_t kScaleKnown = 0x80;  // its SYN had the option

// What StateHot::more holds beside the number of match rules.
inline constexpr uint8_t kMatchCountMask = 0x0f;
static_assert(kMaxMatchRules <= kMatchCountMask);
enum MoreFlag : uint8_t {
  kMoreSide = 1 << 4,  // StateSide is valid
  // ... and is asked for each packet: its offset is not all zero, or the
  // handshakes are under way (StateSide::proxy).
  kMoreShift = 1 << 5,
  // It is translated: StateExtra has a second key.
  kMoreSecond = 1 << 6,
  kMoreHalfOpen = 1 << 7,  // counted in HandshakeLoad::half_open
};

// Marks in the family of a slot that waits for its import's commit
// (state_import.h): it is no key of a packet, and whether another state with
// its flow was made beside it. Until then `last_seen` is the time that remains
// and StateCold::created the age.
inline constexpr uint8_t kReservedFamily = 0x80;
inline constexpr uint8_t kContestedFamily = 0x40;
inline constexpr uint8_t kFamilyMask = 0x0f;
// Of the key, without these marks.
inline constexpr uint8_t kKeyFamilyMask = kFamilyMask | kVlanFamily;

// Of StateHot::packets: the number is below, a number of the VLAN above. The
// bytes, of which a packet has 20 at least, are handed over before there are
// more packets than that.
inline constexpr int kHotPacketBits = 20;
inline constexpr uint32_t kHotPacketMask = (1u << kHotPacketBits) - 1;
inline constexpr uint32_t kMaxHotBytes = (1u << 24) - 1;
static_assert(kHotPacketBits + kVlanBits == 32);
static_assert(kMaxHotBytes / 20 < kHotPacketMask);

// What every packet of a flow reads or writes, one line. An IPv6 state keeps
// its addresses in StateExtra; here `key` then holds ports, protocol, filter
// and the family.
struct alignas(64) StateHot {
  FlowKey4 key;
  Tick last_seen;  // in a free slot: the next free slot
  // By Peer, what is not yet in StateCold. Of the packets in the low bits:
  // above them is the VLAN, whose outer number is in the first.
  std::array<uint32_t, 2> packets;
  std::array<uint32_t, 2> bytes;  // IP bytes
  std::array<SequenceWindow, 2> window;  // TCP, by Peer
  std::array<uint16_t, 2> max_window;    // TCP, unscaled
  std::array<uint8_t, 2> phase;  // TcpPhase or DatagramPhase
  std::array<uint8_t, 2> scale;
  uint16_t flags;     // StateFlag and EntryFlag bits
  Timeout timeout : 5;     // the one that now applies
  uint8_t action_set : 3;  // StateEntries::ActionsOf(); 0: none
  uint8_t more;       // the number of StateExtra::match_slots and MoreFlag bits

  Direction direction() const {
    return (flags & kEntryOut) != 0 ? Direction::kOut : Direction::kIn;
  }
  Family family() const {
    return static_cast<Family>(key.family & kFamilyMask);
  }
  VlanId vlan() const {
    return {packets[0] >> kHotPacketBits |
            packets[1] >> kHotPacketBits << kVlanBits};
  }
  // Before anything is counted.
  void SetVlan(VlanId vlan) {
    packets = {uint32_t{vlan.outer()} << kHotPacketBits,
               uint32_t{vlan.inner()} << kHotPacketBits};
  }
  uint32_t packet_count(size_t peer) const {
    return packets[peer] & kHotPacketMask;
  }
  // The last four members at once, for who asks for several of them: `flags`,
  // and from the masks below what else packets are asked for.
  uint32_t marks() const {
    uint32_t marks;
    std::memcpy(&marks, reinterpret_cast<const char*>(this) + kMarksOffset,
                sizeof marks);
    return marks;
  }
  static constexpr size_t kMarksOffset = 60;

  bool in_use() const { return (flags & kEntryInUse) != 0; }
  uint32_t match_count() const { return more & kMatchCountMask; }
  bool has_side() const { return (more & kMoreSide) != 0; }
  bool reserved() const { return (key.family & kReservedFamily) != 0; }
  bool translated() const { return (more & kMoreSecond) != 0; }
};
static_assert(sizeof(StateHot) == 64);
static_assert(offsetof(StateHot, flags) == StateHot::kMarksOffset);
static_assert(offsetof(StateHot, more) == StateHot::kMarksOffset + 3);
static_assert(kTimeoutCount <= 1 << 5);

// In StateHot::marks(): action_set, and bits of `more`.
inline constexpr uint32_t kActionMarks = 7u << 21;
constexpr uint32_t MoreMarks(uint32_t more) { return more << 24; }
// A packet with such a key is not always one of the state.
inline constexpr uint32_t kChoosyMarks =
    kStateIfBound | MoreMarks(kMoreSecond);
// A packet of the state is not just counted and let through.
inline constexpr uint32_t kBusyMarks = kEntryHelper | kEntryTagged |
                                       kStateLogAll | kActionMarks |
                                       MoreMarks(kMoreShift | kMoreSecond);

// What is needed when a state is made, queued again, listed or ended.
struct alignas(64) StateCold {
  StateId id;         // 0 in a free slot
  StateId parent_id;  // 0: none. Written once, before publication.
  StateIndex parent_slot;
  Tick created;
  StateIndex wheel_next;
  StateIndex wheel_previous;
  uint32_t rule_slot;
  uint32_t anchor_slot;
  uint16_t wheel_slot;
  uint16_t interface;
  uint16_t tag;
  uint16_t family_record;  // in the expectation table, with kEntryRelated
  std::array<uint64_t, 2> folded_bytes;  // valid with kEntryFolded
};
static_assert(sizeof(StateCold) == 64);

// IPv6 addresses, and what few states have.
struct alignas(64) StateExtra {
  // Of IPv6 states; of translated IPv4 ones its family is that of the second key,
  // so that their packets need no more of all this than its first line.
  FlowKey6 key;
  // What the flow of a translated state is on the other side of the
  // translation: `key` is as its first packet came, this as it went on. Its
  // index entry has the top bit of the slot set. Answers have this key, and
  // only packets of the first one's direction have `key`. Its family may be the
  // other one (af-to). Of IPv4, the first bytes are a FlowKey4: SecondKey4().
  FlowKey6 second_key;

  FlowKey4 SecondKey4() const {
    FlowKey4 second;
    std::memcpy(static_cast<void*>(&second), &second_key, sizeof second);
    return second;
  }
  // `first` is the family of the state's first key.
  void SetSecondKey4(Family first, const FlowKey4& second) {
    std::memcpy(static_cast<void*>(&second_key), &second, sizeof second);
    second_key.family = second.family;
    if (first == Family::kIpv4) key.family = second.family;
  }
  void SetSecondKey6(Family first, const FlowKey6& second) {
    second_key = second;
    if (first == Family::kIpv4) key.family = second.family;
  }
  std::array<uint64_t, 2> folded_packets;  // valid with kEntryFolded
  std::array<uint32_t, kMaxMatchRules> match_slots;
};
static_assert(sizeof(StateExtra) == 128);
// A FlowKey4 leaves the second key's family alone.
static_assert(offsetof(FlowKey6, family) >= sizeof(FlowKey4));

// In an entry of the index: the slot's second key.
inline constexpr uint32_t kSecondKeyEntry = 0x80000000;
// What a child, too, has of StateTemplate::side.
inline constexpr uint32_t kChildSide = kSidePflow;

// How far a state with kSideSynproxy has come.
enum class ProxyPhase : uint8_t {
  kNone,
  kClient,  // the originator has a SYN-ACK of ours to acknowledge
  kServer,  // it has; the responder has a SYN of ours to answer
};

inline constexpr std::array<SourceNodeIndex, kSidePoolNodes> kNoSidePools = {
    kNoSourceNode, kNoSourceNode, kNoSourceNode,
    kNoSourceNode, kNoSourceNode, kNoSourceNode};

// What only few states have, in memory of its own that is taken when one is
// first written: the others do not pay for it.
struct alignas(64) StateSide {
  uint16_t flags = 0;     // StateSideFlag bits
  uint16_t ftp = 0xffff;  // FTP control connection: its place in FtpSessions
  // Of the rule's source tracking, and with kSidePools of the pools that gave
  // the state its addresses: by PoolNode.
  SourceNodeIndex source = kNoSourceNode;
  std::array<SourceNodeIndex, kSidePoolNodes> pools = kNoSidePools;
  // By Peer: what is added to its TCP sequence numbers on their way to the
  // other one. Windows are in the peer's own.
  std::array<uint32_t, 2> offset{};
  // While `proxy` is not kNone. The originator's first number and ours to it, its MSS and
  // its window, unscaled.
  uint32_t client_sequence = 0;
  uint32_t proxy_sequence = 0;
  uint16_t client_mss = 0;
  uint16_t client_window = 0;
  ProxyPhase proxy = ProxyPhase::kNone;
  // With kSideLimited: the limiters that count it, the node of its source, and
  // in which life of the state limiter that is.
  uint8_t state_limiter = 0;
  uint8_t source_limiter = 0;
  SourceNodeIndex limited_source = kNoSourceNode;
  uint32_t limiter_life = 0;
};
static_assert(sizeof(StateSide) == 64);

// Where the hosts of a translated flow are on their links, on wires that answer
// for translation addresses. By Peer, as its last packet told.
struct LinkPeers {
  std::array<MacAddress, 2> mac{};
  std::array<bool, 2> known{};
  // Packets to that peer leave by the port that they come by (a hairpin).
  std::array<bool, 2> returns{};

  bool any() const { return known[0] || known[1]; }
  friend bool operator==(const LinkPeers&, const LinkPeers&) = default;
};
// In memory of its own that is taken when one is first written. It is that of
// the state with this id, so that a slot which is used again need not be
// cleared.
struct StateLinks {
  StateId id = 0;
  LinkPeers peers;
};

// Where the packets of a state go that has PacketActions::kRoute. In memory of
// its own, as StateLinks.
struct StateRoute {
  PacketRoute route;
  // What its pool keeps of it, from kStickyRoute on.
  std::array<SourceNodeIndex, kRouteNodes> nodes = {kNoSourceNode,
                                                    kNoSourceNode};
};

// A state as values, for listings, orders and exports. Host order.
struct StateRecord {
  StateId id = 0;
  StateIndex slot = kNoState;
  Family family = Family::kNone;
  uint8_t proto = 0;
  Direction direction = Direction::kIn;
  uint16_t filter = 0;
  uint16_t interface = 0;
  VlanId vlan;
  uint16_t flags = 0;  // StateFlag and EntryFlag bits
  // By Peer. For ICMP the originator's port is the query's identifier and the
  // responder's the request's type.
  std::array<Address, 2> address;
  std::array<uint16_t, 2> port{};
  // The same after its translation; kNone: it has none.
  Family translated_family = Family::kNone;
  std::array<Address, 2> translated_address;
  std::array<uint16_t, 2> translated_port{};
  std::array<uint8_t, 2> phase{};
  std::array<SequenceWindow, 2> window{};
  std::array<uint16_t, 2> max_window{};
  std::array<uint8_t, 2> scale{};
  std::array<uint32_t, 2> offset{};  // StateSide::offset
  LinkPeers links;
  // The rules whose pools have bound its source, of nat-to and of rdr-to.
  std::array<uint32_t, 2> sticky_rules = {kNoRuleSlot, kNoRuleSlot};
  uint32_t sticky_route_rule = kNoRuleSlot;  // the same of its route
  ProxyPhase proxy = ProxyPhase::kNone;
  std::array<uint64_t, 2> packets{};
  std::array<uint64_t, 2> bytes{};
  Timeout timeout = Timeout::kTcpFirst;
  uint32_t age = 0;         // ticks
  uint32_t idle = 0;        // ticks
  uint32_t expires_in = 0;  // ticks, 0 when it is due
  StateTemplate values;  // what it copied from its rules
  // With PacketActions::kScrubTcp; `last` is how long ago that was, in ticks.
  TcpScrub scrub;
  StateHandle parent;
};

// What a state leaves to its rules, by Direction of the packets.
struct TrafficDelta {
  std::array<uint64_t, 2> packets{};
  std::array<uint64_t, 2> bytes{};
  // Of the originator's packets, as they are behind the state's translation,
  // but before it if that leads into the other family.
  Family family = Family::kNone;
  std::array<uint8_t, 16> source{};
  std::array<uint8_t, 16> destination{};
};

// How a shard reaches the rules of its states. One a worker, called by that
// worker only; implementations neither allocate nor block, and do not call the
// table. The process above implements it over its policies (RuleSink).
class StateSink {
 public:
  virtual ~StateSink() = default;
  // A state is about to be made. False: the rule has as many as it may have,
  // and the packet is dropped for kStateLimit.
  virtual bool StateInserted(uint16_t filter, const StateTemplate& values) = 0;
  // Counters of a living state, or of one that ends.
  virtual void AddTraffic(uint16_t filter, const StateTemplate& values,
                          const TrafficDelta& traffic) = 0;
  // The last that is heard of a state for which StateInserted returned true.
  virtual void StateRemoved(uint16_t filter, const StateTemplate& values) = 0;
  // The same, of one that was only reserved (state_import.h): nothing of it is
  // to be seen afterwards.
  virtual void StateCancelled(uint16_t filter,
                              const StateTemplate& values) = 0;
  // The rule of a state with kSideSource. Null: it has none.
  virtual const RuleRecord* RuleOf(uint16_t filter, uint32_t rule_slot) const {
    static_cast<void>(filter);
    static_cast<void>(rule_slot);
    return nullptr;
  }
  // Null: the filter has never had any.
  virtual Limiters* LimitersOf(uint16_t filter) const {
    static_cast<void>(filter);
    return nullptr;
  }
  // A source limiter's table is to have the source, or not any more; false:
  // there is no room to say so now.
  virtual bool LimitSource(uint16_t filter, uint8_t limiter,
                           const Address& source, bool above) {
    static_cast<void>(filter);
    static_cast<void>(limiter);
    static_cast<void>(source);
    static_cast<void>(above);
    return true;
  }
  // A packet of a rule's state that is dropped for kStateMismatch.
  virtual void CountMismatch(uint16_t filter, uint32_t rule_slot) {
    static_cast<void>(filter);
    static_cast<void>(rule_slot);
  }
  virtual void CountLimit(uint16_t filter, LimitCounter which) {
    static_cast<void>(filter);
    static_cast<void>(which);
  }
  // A source has opened more connections than its rule wants, or faster:
  // `overload` and `flush` are to be carried out.
  virtual void Overload(uint16_t filter, uint32_t rule_slot,
                        const Address& source) {
    static_cast<void>(filter);
    static_cast<void>(rule_slot);
    static_cast<void>(source);
  }
  // The rule's own timeouts, for states with kStateRuleTimeouts.
  virtual const TimeoutProfile* RuleTimeouts(uint16_t filter,
                                             uint32_t rule_slot) const = 0;
  // States of a rule on all workers now, for rules whose adaptive timeouts
  // count their own.
  virtual uint32_t RuleStates(uint16_t filter, uint32_t rule_slot) const = 0;
};

}  // namespace sluice

#endif  // SLUICE_CONNTRACK_STATE_H_
