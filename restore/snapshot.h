// A snapshot as plain values: the policy and the states of one filter, without
// pointers, slots or anything else that means something in one process only.
// Rules are named by their identity, a hash of anchor and canonical text that
// is the same everywhere; times are milliseconds that remain or have passed.
#ifndef SLUICE_RESTORE_SNAPSHOT_H_
#define SLUICE_RESTORE_SNAPSHOT_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "conntrack/state.h"
#include "conntrack/tcp_scrub.h"
#include "packet/address.h"
#include "packet/packet.h"
#include "packet/vlan.h"
#include "pftable/engine/packet_actions.h"
#include "pftable/policy/policy.h"
#include "pftable/policy/timeouts.h"
#include "restore/restore_job.h"

namespace sluice {

// A rule's identity, the first 64 bits of RuleIdentity(). Zero is the default
// rule's, and "none".
using RuleId = uint64_t;

struct SnapshotHeader {
  SnapshotId id{};                      // not all zero
  std::array<uint8_t, 16> filter_id{};  // of the filter that was exported
  uint32_t incarnation = 0;             // of that filter
  uint64_t generation = 0;              // of its policy
  uint64_t policy_hash = 0;
  int64_t wall_time = 0;       // microseconds since 1970
  uint64_t monotonic_time = 0;  // microseconds of the exporter's clock

  friend bool operator==(const SnapshotHeader&,
                         const SnapshotHeader&) = default;
};

struct SnapshotMeta {
  std::string filter;   // name, 1 to 31 of [A-Za-z0-9_.:-]
  std::string creator;  // program and version, the same
  // Whose language the texts are in, and whose defaults hold; nothing: it was
  // written before minor version 2.
  std::optional<Dialect> dialect{};

  friend bool operator==(const SnapshotMeta&, const SnapshotMeta&) = default;
};

// `set limit` (codes 0 to 7, by Limit) and `set timeout` (256 and up, by
// Timeout) as they were in force.
inline constexpr uint16_t kTimeoutLimitCode = 256;
struct SnapshotLimit {
  uint16_t code = 0;
  uint32_t value = 0;

  friend bool operator==(const SnapshotLimit&, const SnapshotLimit&) = default;
};

enum SnapshotTableFlag : uint16_t {
  kSnapshotTablePersist = 1 << 0,
  kSnapshotTableConst = 1 << 1,
  kSnapshotTableCounters = 1 << 2,
  kSnapshotTableActive = 1 << 3,
};
enum SnapshotEntryFlag : uint8_t {
  kSnapshotEntryNegated = 1 << 0,
  kSnapshotEntryRunTime = 1 << 1,  // added after the load
};
struct SnapshotTableEntry {
  Prefix prefix;  // masked
  uint8_t flags = 0;
  uint16_t weight = 0;

  friend bool operator==(const SnapshotTableEntry&,
                         const SnapshotTableEntry&) = default;
};
struct SnapshotTable {
  std::string anchor;  // path, "" for the main ruleset
  std::string name;
  uint16_t flags = 0;
  // Ascending: IPv4 first, then by address, then by length.
  std::vector<SnapshotTableEntry> entries;

  friend bool operator==(const SnapshotTable&, const SnapshotTable&) = default;
};

enum class SnapshotRuleKind : uint16_t {
  kFilter,
  kScrub,
  kNat,
  kRdr,
  kBinat,
  kEther,
};
inline constexpr uint16_t kSnapshotRuleKinds = 6;
struct SnapshotRule {
  SnapshotRuleKind kind = SnapshotRuleKind::kFilter;
  RuleId id = 0;
  std::string text;  // canonical

  friend bool operator==(const SnapshotRule&, const SnapshotRule&) = default;
};
struct SnapshotRuleset {
  std::string anchor;
  std::vector<std::string> options;  // canonical text, in the file's order
  // Ascending by kind, and within it in the order of evaluation.
  std::vector<SnapshotRule> rules;

  friend bool operator==(const SnapshotRuleset&,
                         const SnapshotRuleset&) = default;
};

enum SnapshotStateFlag : uint32_t {
  kSnapshotStateSloppy = 1 << 0,
  kSnapshotStateAllowOptions = 1 << 1,
  kSnapshotStateLog = 1 << 2,
  kSnapshotStateLogAll = 1 << 3,
  kSnapshotStateLogMatches = 1 << 4,
  kSnapshotStateRuleLimit = 1 << 5,  // counts for its rule's `max`
  kSnapshotStateNoSync = 1 << 6,     // in a snapshot that is not for others
};
inline constexpr uint32_t kSnapshotStateFlags = (1 << 7) - 1;

// Bits of SnapshotBinding::marks.
enum SnapshotMark : uint8_t {
  kSnapshotMarkPflow = 1 << 0,  // its end is told
  kSnapshotMarkNoHelpers = 1 << 1,
};
inline constexpr uint8_t kSnapshotMarks = (1 << 2) - 1;

// States have the first two only; the others' parents are known by their ports
// and protocols.
enum class SnapshotHelper : uint8_t { kNone = 0, kTftp = 1, kFtp = 2, kSctp = 3 };

struct SnapshotTimeout {
  Timeout timeout = Timeout::kTcpFirst;
  uint32_t value = 0;

  friend bool operator==(const SnapshotTimeout&,
                         const SnapshotTimeout&) = default;
};

// `route-to`, `reply-to`, `dup-to`.
struct SnapshotRoute {
  RouteKind kind = RouteKind::kNone;
  std::string interface{};  // empty: by the one that leads to the gateway
  Address gateway{};        // kNone, with an interface: the destination itself
  RuleId sticky_rule = 0;  // of states: it is bound to it by that rule's pool

  friend bool operator==(const SnapshotRoute&, const SnapshotRoute&) = default;
};

// What a state or an expectation has from its rules.
struct SnapshotBinding {
  RuleId rule = 0;
  RuleId anchor_rule = 0;
  uint32_t flags = 0;     // SnapshotStateFlag bits
  uint8_t marks = 0;      // SnapshotMark bits
  std::string tag;        // empty: none
  std::vector<RuleId> match_rules;
  std::vector<SnapshotTimeout> timeouts;  // ascending; of the rule itself
  PacketActions actions;  // empty: nothing is done to its packets
  // Of a TCP state whose actions have kScrubTcp, `last` as ms ago.
  std::optional<TcpScrub> scrub;
  std::optional<SnapshotRoute> route{};

  friend bool operator==(const SnapshotBinding&,
                         const SnapshotBinding&) = default;
};

// One side of a state. Host order.
struct SnapshotPeer {
  uint64_t packets = 0;
  uint64_t bytes = 0;
  // TCP only: pf's seqlo, seqhi and max_win, and the window scale in its four
  // low bits, with bit 7 if the SYN had the option.
  uint32_t sequence_low = 0;
  uint32_t sequence_high = 0;
  uint16_t max_window = 0;
  uint8_t scale = 0;
  uint8_t phase = 0;  // TcpPhase for TCP and SCTP, else DatagramPhase
  // For ICMP the originator's is the query's identifier and the responder's
  // the request's type.
  uint16_t port = 0;
  Address address;

  friend bool operator==(const SnapshotPeer&, const SnapshotPeer&) = default;
};

struct SnapshotState {
  uint64_t id = 0;
  uint64_t parent = 0;  // 0: none; of UDP (TFTP), TCP (FTP) and SCTP
  uint64_t age = 0;     // ms since it was made
  uint32_t remaining = 0;  // ms until it ends if no packet comes
  uint32_t idle = 0;       // ms since its last packet
  uint8_t proto = 0;
  Direction direction = Direction::kIn;
  Timeout timeout = Timeout::kTcpFirst;  // the one that applies now
  SnapshotHelper helper = SnapshotHelper::kNone;
  uint8_t log = 0;  // 0, or 1 + number of the pflog interface
  std::array<SnapshotPeer, 2> peers;  // originator, responder
  // TCP: what is added to a peer's sequence numbers on their way to the other.
  std::array<uint32_t, 2> sequence_offset{};
  std::string interface;  // not empty: bound to it
  VlanId vlan;
  LinkPeers links;  // of translated states only
  // Of a translated state, the same ends as they are behind the translation;
  // a family of kNone: it has none.
  std::array<Address, 2> translated;
  std::array<uint16_t, 2> translated_port{};
  // What its pools keep of it, a bit for each PoolNode, and the rules that have
  // bound its source by nat-to and rdr-to, 0 without kSticky*.
  uint8_t pool_marks = 0;
  std::array<RuleId, 2> sticky_rules{};
  // Ids of the limiters that count it, 0: none.
  uint8_t state_limiter = 0;
  uint8_t source_limiter = 0;
  SnapshotBinding binding;

  bool is_translated() const { return translated[0].family != Family::kNone; }
  // To the other family (af-to).
  bool translates_family() const {
    return is_translated() && translated[0].family != family();
  }
  Family family() const { return peers[0].address.family; }
  friend bool operator==(const SnapshotState&, const SnapshotState&) = default;
};

// A flow from the server's address, any port, to the client's: of TFTP's. FTP's
// "client" is whoever has named a port, and the other one is the "server".
// SCTP's are the two ends of another path, whoever sends first: the client's is
// the one at which the state would be met that was made inwards.
struct SnapshotExpectation {
  uint64_t parent = 0;
  uint32_t remaining = 0;  // ms
  uint8_t proto = 0;
  SnapshotHelper helper = SnapshotHelper::kNone;
  uint16_t client_port = 0;
  Address client;
  Address server;
  // FTP: where its first packet is judged.
  Direction direction = Direction::kIn;
  uint16_t server_port = 0;        // SCTP
  std::array<uint32_t, 2> tag{};   // SCTP, 0: not known
  uint16_t port_behind = 0;  // FTP: the client's behind its parent's translation
  std::string interface;  // not empty: it is met there only
  SnapshotBinding binding;

  friend bool operator==(const SnapshotExpectation&,
                         const SnapshotExpectation&) = default;
};

// Arrays by Direction, and [direction][passed].
struct SnapshotRuleCounters {
  RuleId rule = 0;
  uint32_t occurrence = 0;  // among rules with that identity, from 0
  uint64_t evaluations = 0;
  std::array<uint64_t, 2> packets{};
  std::array<uint64_t, 2> bytes{};
  uint64_t states_created = 0;
  // Since 1.6. Of `max-pkt-rate`: packets that have not worn off yet, in
  // thousandths; and of `once`, that a packet has been its one.
  uint32_t packet_rate = 0;
  bool expired = false;

  friend bool operator==(const SnapshotRuleCounters&,
                         const SnapshotRuleCounters&) = default;
};
struct SnapshotTableCounters {
  std::string anchor;
  std::string name;
  uint64_t match = 0;
  uint64_t no_match = 0;
  std::array<uint64_t, 4> packets{};
  std::array<uint64_t, 4> bytes{};
  int64_t cleared_at = 0;  // seconds since 1970

  friend bool operator==(const SnapshotTableCounters&,
                         const SnapshotTableCounters&) = default;
};

// A source as pf's source nodes have it.
enum class SnapshotSourceUse : uint8_t { kFilter, kNat, kRedirect, kRoute };
inline constexpr uint8_t kSnapshotSourceUses = 4;
struct SnapshotSourceNode {
  RuleId rule = 0;  // 0: of all rules that share; of pools never
  SnapshotSourceUse use = SnapshotSourceUse::kFilter;
  VlanId vlan;
  Address source;
  bool has_states = false;  // which are in the snapshot and make it themselves
  uint32_t remaining = 0;   // ms until it ends, 0 with states
  uint32_t age = 0;         // ms
  uint64_t packets = 0;
  uint64_t bytes = 0;
  Address target;  // what its pool has given it; of pools only
  // Connections that have not worn off yet, in thousandths, and the seconds of
  // `max-src-conn-rate`; of the filter's only, both or none.
  uint32_t rate = 0;
  uint32_t rate_seconds = 0;

  friend bool operator==(const SnapshotSourceNode&,
                         const SnapshotSourceNode&) = default;
};

struct Snapshot {
  SnapshotHeader header;
  SnapshotMeta meta;
  std::vector<SnapshotLimit> limits;       // ascending by code
  std::vector<SnapshotTable> tables;       // ascending by anchor and name
  std::vector<SnapshotRuleset> rulesets;   // ascending by anchor
  // Ascending by id each. TFTP's children, of which a parent has a few, stand
  // apart; FTP's and SCTP's are among those that have no parent.
  std::vector<SnapshotState> parents;
  std::vector<SnapshotState> children;
  // TFTP's, ascending by parent and client port, then the others', ascending by
  // parent, direction, server, client and client port.
  std::vector<SnapshotExpectation> expectations;
  // Ascending by rule, use, VLAN and source, each once.
  std::vector<SnapshotSourceNode> source_nodes;
  std::vector<SnapshotRuleCounters> rule_counters;    // by rule, occurrence
  std::vector<SnapshotTableCounters> table_counters;  // by anchor and name

  friend bool operator==(const Snapshot&, const Snapshot&) = default;
};

}  // namespace sluice

#endif  // SLUICE_RESTORE_SNAPSHOT_H_
