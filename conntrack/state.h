// What a state is made of: phases, flags, the three parts of an entry, and the
// plain values that go in and out of the table.
#ifndef SLUICE_CONNTRACK_STATE_H_
#define SLUICE_CONNTRACK_STATE_H_

#include <array>
#include <cstdint>

#include "conntrack/flow_key.h"
#include "packet/address.h"
#include "packet/packet.h"
#include "pftable/timeouts.h"

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

// Bits of StateHot::flags.
enum StateFlag : uint16_t {
  kStateInUse = 1 << 0,
  // Made by a packet that was judged out.
  kStateOut = 1 << 1,
  // TCP without sequence checks, ICMP without direction checks.
  kStateSloppy = 1 << 2,
  // Packets with IP options may pass.
  kStateAllowOptions = 1 << 3,
  // Every packet is logged (`log (all)`).
  kStateLogAll = 1 << 4,
  // Only packets at the interface of its first packet are its own.
  kStateIfBound = 1 << 5,
  // A helper wants to see its packets: RunTftpHelper.
  kStateHelper = 1 << 6,
  // It has a second key (translation).
  kStateTwoKeys = 1 << 7,
  // Its expectations or a child's tie are kept in the expectation table.
  kStateRelated = 1 << 8,
  // Part of its counters has been handed to its rule already.
  kStateFolded = 1 << 9,
  // Has a rule's own timeouts.
  kStateRuleTimeouts = 1 << 10,
};

// One TCP peer's sequence space, host order: pf's seqlo and seqhi.
struct SequenceWindow {
  uint32_t low = 0;   // the highest sequence number sent
  uint32_t high = 0;  // the highest that the other side allows
};

// Bits of a peer's window scale byte.
inline constexpr uint8_t kScaleMask = 0x0f;
inline constexpr uint8_t kScaleKnown = 0x80;  // its SYN had the option

// What every packet of a flow reads or writes, one line. An IPv6 state keeps
// its addresses in StateExtra; here `key` then holds ports, protocol, filter
// and the family.
struct alignas(64) StateHot {
  FlowKey4 key;
  Tick last_seen;  // in a free slot: the next free slot
  std::array<uint32_t, 2> packets;  // by Peer; what is not yet in StateCold
  std::array<uint32_t, 2> bytes;    // IP bytes
  std::array<SequenceWindow, 2> window;  // TCP, by Peer
  std::array<uint16_t, 2> max_window;    // TCP, unscaled
  std::array<uint8_t, 2> phase;  // TcpPhase or DatagramPhase
  std::array<uint8_t, 2> scale;
  uint16_t flags;     // StateFlag bits
  Timeout timeout;    // the one that now applies
  uint8_t reserved;

  Direction direction() const {
    return (flags & kStateOut) != 0 ? Direction::kOut : Direction::kIn;
  }
  Family family() const { return static_cast<Family>(key.family); }
  bool in_use() const { return (flags & kStateInUse) != 0; }
};
static_assert(sizeof(StateHot) == 64);

// What is needed when a state is made, queued again, listed or ended.
struct alignas(64) StateCold {
  StateId id;
  StateId parent_id;  // 0: none. Written once, before publication.
  StateIndex parent_slot;
  Tick created;
  StateIndex wheel_next;
  StateIndex wheel_previous;
  uint32_t rule;  // rule slot of the winner
  uint16_t wheel_slot;
  uint16_t interface;
  uint16_t tag;       // 0: none
  uint16_t timeouts;  // interned rule profile, valid with kStateRuleTimeouts
  uint16_t family_record;  // in the expectation table, with kStateRelated
  uint8_t log;             // 0: none, else 1 + number of the pflog interface
  uint8_t match_rule_count;
  std::array<uint64_t, 2> folded_bytes;  // valid with kStateFolded
};
static_assert(sizeof(StateCold) == 64);

inline constexpr size_t kMaxMatchRules = 4;

// IPv6 addresses, the key of the translated side, and what few states have.
struct alignas(64) StateExtra {
  FlowKey6 key;  // family kIpv6
  std::array<uint32_t, kMaxMatchRules> match_rules;  // slots
  std::array<uint32_t, 2> sequence_shift;  // by Peer, of modulated sequences
  // The second key with kStateTwoKeys; an IPv4 one lies in the first four
  // bytes of the addresses.
  FlowKey6 second;
  std::array<uint64_t, 2> folded_packets;  // valid with kStateFolded
  uint64_t reserved;
};
static_assert(sizeof(StateExtra) == 128);

// What a state copies from the rule that made it. Everything is taken by
// value at creation, `timeouts` too: the rule may go while the state lives.
struct StateTemplate {
  uint32_t rule = 0;  // rule slot
  // kStateSloppy, kStateAllowOptions, kStateLogAll, kStateIfBound.
  uint16_t flags = 0;
  uint16_t tag = 0;
  uint8_t log = 0;  // as in StateCold
  uint8_t match_rule_count = 0;
  std::array<uint32_t, kMaxMatchRules> match_rules{};
  // The rule's own timeouts, or null if it sets none.
  const TimeoutProfile* timeouts = nullptr;
};

// Why a state ended.
enum class RemoveReason : uint8_t {
  kExpired,
  kKilled,    // by an order
  kReused,    // a new connection took over its addresses and ports
  kReplaced,  // by an import
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
  uint16_t flags = 0;
  // By Peer. For ICMP the originator's port is the query's identifier and the
  // responder's the request's type.
  std::array<Address, 2> address;
  std::array<uint16_t, 2> port{};
  std::array<uint8_t, 2> phase{};
  std::array<SequenceWindow, 2> window{};
  std::array<uint16_t, 2> max_window{};
  std::array<uint8_t, 2> scale{};
  std::array<uint64_t, 2> packets{};
  std::array<uint64_t, 2> bytes{};
  Timeout timeout = Timeout::kTcpFirst;
  uint32_t age = 0;         // ticks
  uint32_t idle = 0;        // ticks
  uint32_t expires_in = 0;  // ticks, 0 when it is due
  uint32_t rule = 0;
  std::array<uint32_t, kMaxMatchRules> match_rules{};
  uint8_t match_rule_count = 0;
  uint8_t log = 0;
  uint16_t tag = 0;
  StateHandle parent;
};

// What a state leaves to its rule: everything since the last time.
struct CounterDelta {
  uint32_t rule = 0;
  uint16_t filter = 0;
  Direction direction = Direction::kIn;
  uint8_t match_rule_count = 0;
  std::array<uint32_t, kMaxMatchRules> match_rules{};
  std::array<uint64_t, 2> packets{};  // by Peer
  std::array<uint64_t, 2> bytes{};
};

// Told by a shard of what concerns rules. One a worker, called by that worker
// only; implementations neither allocate nor block, and do not call the table.
class StateSink {
 public:
  virtual ~StateSink() = default;
  // A state of that rule was made.
  virtual void StateInserted(const CounterDelta& state) = 0;
  // Counters of a living state, or of one that ends.
  virtual void AddCounters(const CounterDelta& delta) = 0;
  // After its last AddCounters.
  virtual void StateRemoved(const CounterDelta& state, RemoveReason reason) = 0;
  // States of a rule on all workers now, for adaptive timeouts of rules that
  // count their own.
  virtual uint32_t RuleStates(uint32_t rule) const = 0;
};

}  // namespace sluice

#endif  // SLUICE_CONNTRACK_STATE_H_
