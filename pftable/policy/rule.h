// pftable/ is policy: the pf language, rulesets, anchors and tables, and the
// classifier that judges packets by them. The language front-end (parser.h,
// printer.h) turns text into the plain values of this header and policy.h;
// the engine compiles those into its own form for workers. Control-side code
// makes and owns these values; nothing here is touched by a worker.
//
// This header: one expanded rule. "Expanded" means that no list, macro, host
// name or service name is left in it: a rule of the source with lists is many
// of these, in pf's order.
#ifndef SLUICE_PFTABLE_POLICY_RULE_H_
#define SLUICE_PFTABLE_POLICY_RULE_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "packet/address.h"
#include "packet/packet.h"
#include "pftable/policy/timeouts.h"

namespace sluice {

// Where a construct began. `file` is an index into Policy::files; line and
// column count from 1, the column in bytes.
struct SourcePlace {
  uint32_t file = 0;
  uint32_t line = 0;
  uint32_t column = 0;

  friend bool operator==(const SourcePlace&, const SourcePlace&) = default;
};

enum class RuleAction : uint8_t {
  kPass,
  kBlock,
  kMatch,
  // FreeBSD's separate first-match rulesets, which run before the filter.
  kScrub,
  kNoScrub,
  kNat,
  kNoNat,
  kRdr,
  kNoRdr,
  kBinat,
  kNoBinat,
};

// What a blocked packet is answered with.
enum class BlockReturn : uint8_t {
  kDrop,  // nothing
  // RST for TCP, ICMP unreachable for UDP and others as the dialect says.
  kReturn,
  kReturnRst,   // RST for TCP, nothing for the rest
  kReturnIcmp,  // an ICMP or ICMPv6 error with Rule::return_icmp*
};

// `log (all, matches, user, to pflogN)`.
struct LogOptions {
  bool enabled = false;
  bool all = false;      // every packet, not only the one that makes the state
  bool matches = false;  // also at all later matching rules
  bool user = false;
  uint8_t pflog = 0;  // number of the pflog interface

  friend bool operator==(const LogOptions&, const LogOptions&) = default;
};

// `on`, `received-on`: the name of an interface or of a group, which of them
// is decided where it is used; "any" is every interface but loopback; empty
// is no condition.
struct InterfaceMatch {
  std::string name;
  bool negated = false;

  bool IsSet() const { return !name.empty(); }
  friend bool operator==(const InterfaceMatch&,
                         const InterfaceMatch&) = default;
};

enum class AddressKind : uint8_t {
  kAny,
  kPrefix,            // address and mask, the mask possibly not contiguous
  kRange,             // address .. range_end, both in it
  kTable,             // name
  kDynamicInterface,  // `(name:modifiers)`: follows the interface's addresses
  kNoRoute,           // the address has no route
  kUrpfFailed,        // the way back leads to another interface
  kRouteLabel,        // name
};

// `:network`, `:broadcast`, `:peer`, `:0` of a dynamic interface address.
struct InterfaceModifiers {
  bool network = false;
  bool broadcast = false;
  bool peer = false;
  bool no_alias = false;  // `:0`

  friend bool operator==(const InterfaceModifiers&,
                         const InterfaceModifiers&) = default;
};

// A condition on one address. Any but with kAny, kTable, kNoRoute,
// kUrpfFailed and kDynamicInterface, the family of `address` is that of the
// rule (of the pool's target for translation).
struct AddressMatch {
  AddressKind kind = AddressKind::kAny;
  bool negated = false;
  // kDynamicInterface: `(if)/24`; 255 is a host's mask.
  uint8_t dynamic_prefix = 255;
  InterfaceModifiers modifiers;
  Address address;    // kPrefix, already masked; kRange, the first
  Address mask;       // kPrefix
  Address range_end;  // kRange, the last
  // kTable, kDynamicInterface ("self" for all own addresses), kRouteLabel.
  std::string name;

  friend bool operator==(const AddressMatch&, const AddressMatch&) = default;
};

enum class CompareOperator : uint8_t {
  kNone,
  kEqual,
  kNotEqual,
  kLess,
  kLessOrEqual,
  kGreater,
  kGreaterOrEqual,
  kRange,           // low:high   low <= x <= high
  kExclusiveRange,  // low >< high   low < x < high
  kExceptRange,     // low <> high   x < low or x > high
};

// A condition on a port, in host order.
struct PortMatch {
  CompareOperator op = CompareOperator::kNone;
  uint16_t low = 0;
  uint16_t high = 0;

  bool IsSet() const { return op != CompareOperator::kNone; }
  friend bool operator==(const PortMatch&, const PortMatch&) = default;
};

// One side of `from ... to ...`.
struct Endpoint {
  AddressMatch address;
  PortMatch port;

  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

// A condition on a user or group of the local socket. kUnknownId is the
// `unknown` of forwarded packets.
inline constexpr uint32_t kUnknownId = 0xffffffff;
struct IdMatch {
  CompareOperator op = CompareOperator::kNone;
  uint32_t low = 0;
  uint32_t high = 0;

  bool IsSet() const { return op != CompareOperator::kNone; }
  friend bool operator==(const IdMatch&, const IdMatch&) = default;
};

// `count` events in `seconds`; a count of 0 is no limit.
struct RateLimit {
  uint32_t count = 0;
  uint32_t seconds = 0;

  bool IsSet() const { return count != 0; }
  friend bool operator==(const RateLimit&, const RateLimit&) = default;
};

// TCP flags as in the header's byte: FIN 1, SYN 2, RST 4, PSH 8, ACK 16,
// URG 32, ECE 64, CWR 128. A packet matches when (its flags & mask) == set.
// A mask of 0 is no condition.
struct TcpFlagsMatch {
  uint8_t set = 0;
  uint8_t mask = 0;

  friend bool operator==(const TcpFlagsMatch&, const TcpFlagsMatch&) = default;
};

enum class StateKind : uint8_t { kNone, kKeep, kModulate, kSynproxy };

enum class SourceTrack : uint8_t { kNone, kGlobal, kRule };

// What stands in the brackets after `keep state`. Zero is "not given".
struct StateOptions {
  uint32_t max_states = 0;
  uint32_t max_src_nodes = 0;
  uint32_t max_src_states = 0;
  uint32_t max_src_conn = 0;
  RateLimit max_src_conn_rate;
  std::string overload_table;
  bool overload_flush = false;         // kill the source's states of the rule
  bool overload_flush_global = false;  // ... of all rules
  SourceTrack source_track = SourceTrack::kNone;
  bool no_sync = false;
  bool sloppy = false;
  bool pflow = false;
  bool no_helpers = false;  // sluice's own word
  bool allow_related = false;
  bool if_bound = false;  // already decided from `set state-policy`
  // `floating` against a `set state-policy if-bound`: printed, else no more
  // than the absence of if_bound.
  bool floating_given = false;
  // A bare `keep state` against a `set state-defaults`: it takes none of them.
  bool keep_given = false;
  std::vector<std::pair<Timeout, uint32_t>> timeouts;

  friend bool operator==(const StateOptions&, const StateOptions&) = default;
};

enum class PoolMethod : uint8_t {
  kNone,
  kBitmask,
  kRandom,
  kRoundRobin,
  kSourceHash,
  kLeastStates,
};

// One member of a pool. kAny stands for no address: a route by `interface`
// alone.
struct PoolAddress {
  AddressMatch address;
  std::string interface;  // FreeBSD's `(if gw)` in routes
  uint16_t weight = 0;

  friend bool operator==(const PoolAddress&, const PoolAddress&) = default;
};

// The target of nat-to, rdr-to, af-to or of a route.
struct Pool {
  std::vector<PoolAddress> addresses;
  PoolMethod method = PoolMethod::kNone;
  std::string hash_key;  // source-hash: "0x" and 32 digits, or empty
  // Ports, host order; both 0: not given. rdr `port 80`: low 80, high 0.
  uint16_t port_low = 0;
  uint16_t port_high = 0;
  bool sticky_address = false;
  bool static_port = false;
  bool endpoint_independent = false;
  bool prefer_ipv6_nexthop = false;
  // map-e-portset offset/length/id; set when the length is not 0.
  uint8_t map_e_offset = 0;
  uint8_t map_e_length = 0;
  uint16_t map_e_id = 0;
  // `port-block`, a word of sluice's own: ports that each source has for
  // itself; 0: not given.
  uint16_t port_block = 0;

  friend bool operator==(const Pool&, const Pool&) = default;
};

enum class RouteKind : uint8_t { kNone, kRouteTo, kReplyTo, kDupTo };

// `scrub (...)` of a rule and the options of a scrub rule.
struct ScrubOptions {
  bool no_df = false;
  bool random_id = false;
  bool reassemble_tcp = false;
  uint8_t min_ttl = 0;   // 0: not given
  uint16_t max_mss = 0;  // 0: not given
  std::optional<uint8_t> set_tos;
  // Scrub rules only: `fragment reassemble` (their default) or
  // `fragment no reassemble`.
  bool no_fragment_reassembly = false;

  bool IsSet() const {
    return no_df || random_id || reassemble_tcp || min_ttl || max_mss ||
           set_tos.has_value();
  }
  friend bool operator==(const ScrubOptions&, const ScrubOptions&) = default;
};

enum class DivertKind : uint8_t { kNone, kTo, kReply, kPacket };

// Where a rule hands packets to, of which a dataplane has nothing: parsed to
// be printed and refused by name.
struct ForeignOptions {
  int32_t on_rdomain = -1;
  int32_t rtable = -1;
  DivertKind divert = DivertKind::kNone;
  std::optional<Address> divert_address;
  uint16_t divert_port = 0;
  std::string queue;           // `set queue` (OpenBSD), `queue` (FreeBSD)
  std::string priority_queue;  // the second name of `(a, b)`
  uint16_t delay = 0;          // ms
  uint16_t dummynet_pipe = 0;
  uint16_t dummynet_return_pipe = 0;
  bool dummynet_is_queue = false;
  // `state limiter NAME`, `source limiter NAME`; `_blocks`: packets above the
  // limit are blocked, where else the rule does not match.
  std::string state_limiter;
  std::string source_limiter;
  bool state_limiter_blocks = false;
  bool source_limiter_blocks = false;

  friend bool operator==(const ForeignOptions&,
                         const ForeignOptions&) = default;
};

// One expanded rule, or one call of an anchor (IsAnchorCall()).
struct Rule {
  RuleAction action = RuleAction::kPass;
  BlockReturn block_return = BlockReturn::kDrop;
  uint8_t return_rst_ttl = 0;  // 0: the stack's default
  uint8_t return_icmp_code = 3;   // type 3; port-unr
  uint8_t return_icmp6_code = 4;  // type 1; port-unr
  Direction direction = Direction::kBoth;
  LogOptions log;
  bool quick = false;
  InterfaceMatch on;
  Family family = Family::kNone;  // kNone: both
  // The first upper protocol; 0 is no condition (pf cannot name protocol 0).
  uint8_t protocol = 0;
  Endpoint source;
  Endpoint destination;
  std::string os;  // fingerprint of the source, empty: any
  InterfaceMatch received_on;
  IdMatch user;
  IdMatch group;
  TcpFlagsMatch flags;  // already with pf's default of S/SA
  // ICMP for kIpv4, ICMPv6 for kIpv6.
  std::optional<uint8_t> icmp_type;
  std::optional<uint8_t> icmp_code;
  std::optional<uint8_t> tos;
  std::optional<uint8_t> prio;  // 0..7
  RateLimit max_pkt_rate;
  uint16_t max_pkt_size = 0;
  bool fragment = false;
  bool allow_opts = false;
  bool once = false;
  std::string tag;
  std::string tagged;
  bool tagged_negated = false;
  // 0: always matches; else it matches with probability / 2^32.
  uint32_t probability = 0;
  std::vector<std::string> labels;  // label macros already replaced
  uint32_t ridentifier = 0;

  // Decided from the rule and the defaults: kKeep for a `pass` without more.
  StateKind state = StateKind::kNone;
  StateOptions state_options;

  // `set prio (a, b)`: the second for lowdelay packets and empty ACKs.
  std::optional<std::array<uint8_t, 2>> set_prio;
  std::optional<uint8_t> set_tos;
  ScrubOptions scrub;

  // In line (nat-to, rdr-to, af-to) or as FreeBSD's translation rules, whose
  // target is in `nat` for nat and in `rdr` for rdr; binat's external address
  // is in `nat`. binat-to has been expanded to its two rules.
  std::optional<Pool> nat;
  std::optional<Pool> rdr;
  // af-to: the family that packets leave with; `nat` is its `from`, `rdr` its
  // `to`. kNone: no af-to.
  Family af_to = Family::kNone;
  // FreeBSD's translation rules: `pass` skips the filter.
  bool translation_pass = false;

  RouteKind route = RouteKind::kNone;
  std::optional<Pool> route_pool;

  ForeignOptions foreign;

  // The call as it was written: "name", "a/b", "/abs", "../up", "name/*", or
  // "_1" for an unnamed one. Empty: this rule is not a call.
  std::string anchor_call;
  // The absolute path without a leading slash and without "/*".
  std::string anchor_path;
  bool anchor_wildcard = false;  // calls all direct children in name order

  SourcePlace place;

  bool IsAnchorCall() const { return !anchor_call.empty(); }
  friend bool operator==(const Rule&, const Rule&) = default;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_POLICY_RULE_H_
