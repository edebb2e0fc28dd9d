#include "pftable/compile/compile_rule.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

PortCondition CompilePort(const PortMatch& match) {
  // Wider than a port, so that bounds may leave the range of ports.
  int low = match.low;
  int high = match.high;
  bool inverted = false;
  switch (match.op) {
    case CompareOperator::kNone:
      return PortCondition();
    case CompareOperator::kNotEqual:
      inverted = true;
      high = low;
      break;
    case CompareOperator::kEqual:
      high = low;
      break;
    case CompareOperator::kLess:
      high = low - 1;
      low = 0;
      break;
    case CompareOperator::kLessOrEqual:
      high = low;
      low = 0;
      break;
    case CompareOperator::kGreater:
      low = low + 1;
      high = 65535;
      break;
    case CompareOperator::kGreaterOrEqual:
      high = 65535;
      break;
    case CompareOperator::kRange:
      break;
    case CompareOperator::kExclusiveRange:
      ++low;
      --high;
      break;
    case CompareOperator::kExceptRange:
      inverted = true;
      break;
  }
  if (low > high || high < 0 || low > 65535) {
    low = 1;
    high = 0;
  }
  return PortCondition{.low = static_cast<uint16_t>(low),
                       .high = static_cast<uint16_t>(high),
                       .inverted = inverted,
                       .is_set = true};
}

// The socket's owner is unknown for every packet that is forwarded, and all
// are: `= unknown` and `!= somebody` hold, all else does not.
bool NeverMatches(const IdMatch& match) {
  if (!match.IsSet()) return false;
  switch (match.op) {
    case CompareOperator::kEqual:
      return match.low != kUnknownId;
    case CompareOperator::kNotEqual:
      return match.low == kUnknownId;
    default:
      return true;
  }
}

uint16_t StateFlags(const Rule& rule) {
  const StateOptions& options = rule.state_options;
  uint16_t flags = 0;
  if (options.sloppy) flags |= kStateSloppy;
  if (options.no_sync) flags |= kStateNoSync;
  if (options.if_bound) flags |= kStateIfBound;
  if (options.max_states != 0) flags |= kStateRuleLimit;
  if (!options.timeouts.empty()) flags |= kStateRuleTimeouts;
  if (rule.allow_opts) flags |= kStateAllowOptions;
  if (rule.log.enabled) flags |= kStateLog;
  if (rule.log.enabled && rule.log.all) flags |= kStateLogAll;
  return flags;
}

// source-hash's key; without one, a new one a load.
std::array<uint64_t, 2> HashKeyOf(const Pool& pool) {
  std::array<uint64_t, 2> key{};
  if (pool.method != PoolMethod::kSourceHash) return key;
  if (pool.hash_key.empty()) {
    std::random_device device;
    for (uint64_t& word : key) word = uint64_t{device()} << 32 | device();
    return key;
  }
  for (int half : {0, 1}) {
    for (int i = 0; i < 16; ++i) {
      const char digit = pool.hash_key[2 + half * 16 + i];
      const int value = digit <= '9' ? digit - '0' : digit - 'a' + 10;
      key[half] = key[half] << 4 | static_cast<uint64_t>(value);
    }
  }
  return key;
}

// FreeBSD's translation rules say theirs by their kind.
Direction DirectionOf(const Rule& rule) {
  switch (rule.action) {
    case RuleAction::kNat:
    case RuleAction::kNoNat:
      return Direction::kOut;
    case RuleAction::kRdr:
    case RuleAction::kNoRdr:
      return Direction::kIn;
    default:
      return rule.direction;
  }
}

// IEEE 802.1p has priorities 0 and 1 the other way round: OpenBSD turns them,
// FreeBSD writes what the rule says.
uint8_t PcpOf(uint8_t priority, Dialect dialect) {
  const bool turned = dialect == Dialect::kOpenBsd && priority <= 1;
  return turned ? priority ^ 1 : priority;
}

// Whether a packet without a tag has this priority. FreeBSD's compares tags
// alone.
bool IsOfUntagged(uint8_t priority, Dialect dialect) {
  return dialect == Dialect::kOpenBsd && priority == 3;
}

PacketActions Actions(const Rule& rule, Dialect dialect) {
  PacketActions actions;
  const ScrubOptions& scrub = rule.scrub;
  if (scrub.no_df) actions.flags |= PacketActions::kClearDontFragment;
  if (scrub.random_id) actions.flags |= PacketActions::kRandomId;
  if (scrub.reassemble_tcp) actions.flags |= PacketActions::kScrubTcp;
  actions.min_ttl = scrub.min_ttl;
  actions.max_mss = scrub.max_mss;
  // One value for both forms; they are not written together.
  for (const std::optional<uint8_t>& tos : {scrub.set_tos, rule.set_tos}) {
    if (!tos) continue;
    actions.flags |= PacketActions::kSetTos;
    actions.tos = *tos;
  }
  if (rule.set_prio) {
    actions.flags |= PacketActions::kSetPriority;
    for (size_t i = 0; i < 2; ++i) {
      actions.priority[i] = PcpOf((*rule.set_prio)[i], dialect);
    }
  }
  actions.max_packet_size = rule.max_pkt_size;
  return actions;
}

}  // namespace

SourceTracking RuleTracking(const Rule& rule) {
  const StateOptions& options = rule.state_options;
  SourceTracking tracking;
  tracking.enabled = rule.state != StateKind::kNone &&
                     options.source_track != SourceTrack::kNone;
  if (!tracking.enabled) return tracking;
  tracking.by_rule = options.source_track == SourceTrack::kRule;
  tracking.max_nodes = options.max_src_nodes;
  tracking.max_states = options.max_src_states;
  tracking.max_connections = options.max_src_conn;
  tracking.rate = options.max_src_conn_rate;
  tracking.overload = !options.overload_table.empty();
  tracking.flush = options.overload_flush;
  tracking.flush_global = options.overload_flush_global;
  return tracking;
}

TimeoutProfile RuleTimeouts(const Rule& rule) {
  TimeoutProfile profile;
  for (const auto& [timeout, value] : rule.state_options.timeouts) {
    profile[timeout] = value;
  }
  return profile;
}

InterfaceCondition RuleCompiler::CompileInterface(
    const InterfaceMatch& match) const {
  InterfaceCondition condition;
  if (!match.IsSet()) return condition;
  condition.negated = match.negated;
  if (match.name == "any") {
    condition.kind = InterfaceCondition::Kind::kAny;
  } else {
    condition.kind = InterfaceCondition::Kind::kNamed;
    condition.name = context_.interfaces->Resolve(match.name);
  }
  return condition;
}

absl::StatusOr<uint16_t> RuleCompiler::AddressList(const AddressMatch& match) {
  const InterfaceModifiers& modifiers = match.modifiers;
  const auto flags = static_cast<uint8_t>(
      modifiers.network << 0 | modifiers.broadcast << 1 | modifiers.peer << 2 |
      modifiers.no_alias << 3);
  std::vector<DynamicAddress>& all = policy_->dynamic_addresses;
  const auto [known, fresh] = list_indexes_.try_emplace(
      {match.name, flags, static_cast<uint8_t>(match.dynamic_prefix)},
      static_cast<uint16_t>(all.size()));
  if (!fresh) return known->second;
  if (all.size() > std::numeric_limits<uint16_t>::max()) {
    return absl::ResourceExhaustedError(
        "too many different interface addresses in brackets, max 65536");
  }
  all.push_back({.name = match.name,
                 .modifiers = modifiers,
                 .length = match.dynamic_prefix});
  return known->second;
}

absl::StatusOr<uint16_t> RuleCompiler::ReferTo(const std::string& table,
                                               const std::string& anchor) {
  const TableKey key{.anchor = anchor, .name = table};
  const auto [known, fresh] = table_indexes_.try_emplace(
      key, static_cast<uint16_t>(policy_->referenced_tables.size()));
  if (fresh) {
    if (policy_->referenced_tables.size() >=
        context_.table_slots->capacity()) {
      return absl::ResourceExhaustedError(
          absl::StrCat("table <", table, ">: too many tables"));
    }
    policy_->referenced_tables.push_back(key);
    policy_->table_references.push_back(0);
  }
  ++policy_->table_references[known->second];
  return known->second;
}

absl::Status RuleCompiler::CompileAddress(const AddressMatch& match,
                                          const std::string& anchor,
                                          AddressCondition* condition) {
  using Kind = AddressCondition::Kind;
  condition->negated = match.negated;
  switch (match.kind) {
    case AddressKind::kAny:
      condition->kind = Kind::kAny;
      break;
    case AddressKind::kPrefix:
      condition->kind = Kind::kPrefix;
      condition->first = And(match.address, match.mask).bytes;
      condition->second = match.mask.bytes;
      break;
    case AddressKind::kRange:
      condition->kind = Kind::kRange;
      condition->first = match.address.bytes;
      condition->second = match.range_end.bytes;
      break;
    case AddressKind::kTable: {
      condition->kind = Kind::kTable;
      const absl::StatusOr<uint16_t> index = ReferTo(match.name, anchor);
      if (!index.ok()) return index.status();
      condition->index = *index;
      break;
    }
    case AddressKind::kDynamicInterface: {
      condition->kind = Kind::kList;
      const absl::StatusOr<uint16_t> index = AddressList(match);
      if (!index.ok()) return index.status();
      condition->index = *index;
      break;
    }
    case AddressKind::kNoRoute:
      condition->kind = Kind::kNoRoute;
      break;
    case AddressKind::kUrpfFailed:
      condition->kind = Kind::kUrpfFailed;
      break;
    case AddressKind::kRouteLabel:
      condition->kind = Kind::kNever;
      break;
  }
  return absl::OkStatus();
}

absl::Status RuleCompiler::CompilePool(const Pool& pool, const Rule& rule,
                                       const std::string& anchor,
                                       uint16_t* index) {
  if (policy_->pools.size() >= kNoPool) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "too many rules that translate or route, max ", kNoPool));
  }
  CompiledPool compiled;
  compiled.method = pool.method;
  compiled.family = rule.af_to != Family::kNone ? rule.af_to : rule.family;
  compiled.port_low = pool.port_low;
  compiled.port_high = pool.port_high;
  // What `port 1024:*` counts from; of `><` the first one that it allows.
  compiled.port_base = rule.destination.port.low;
  compiled.static_port = pool.static_port;
  compiled.sticky_address = pool.sticky_address;
  compiled.endpoint_independent = pool.endpoint_independent;
  const bool is_nat = rule.nat.has_value() && &pool == &*rule.nat;
  const bool is_route = rule.route_pool.has_value() && &pool == &*rule.route_pool;
  compiled.prefers_ipv6 = pool.prefer_ipv6_nexthop;
  // What goes on in another family, or may, takes what there is of that.
  if (is_route && (rule.af_to != Family::kNone || pool.prefer_ipv6_nexthop)) {
    compiled.family = Family::kNone;
  }
  compiled.moves_source =
      policy_->source->options.dialect == Dialect::kFreeBsd && !is_nat &&
      rule.action != RuleAction::kBinat;
  compiled.hash_key = HashKeyOf(pool);
  compiled.map_e_offset = pool.map_e_offset;
  compiled.map_e_length = pool.map_e_length;
  compiled.map_e_id = pool.map_e_id;
  compiled.port_block = pool.port_block;
  for (const PoolAddress& member : pool.addresses) {
    CompiledPool::Member& made = compiled.members.emplace_back();
    made.weight = std::max<uint16_t>(member.weight, 1);
    if (absl::Status s = CompileAddress(member.address, anchor, &made.address);
        !s.ok()) {
      return s;
    }
    if (member.address.kind == AddressKind::kPrefix ||
        member.address.kind == AddressKind::kRange) {
      made.family = member.address.address.family;
      if (compiled.family == Family::kNone && !is_route) {
        compiled.family = made.family;
      }
    }
    if (!member.interface.empty()) {
      made.by_interface = true;
      made.interface = context_.interfaces->Resolve(member.interface).id;
    }
  }
  *index = static_cast<uint16_t>(policy_->pools.size());
  policy_->pools.push_back(std::move(compiled));
  return absl::OkStatus();
}

absl::StatusOr<uint16_t> RuleCompiler::TagOf(const std::string& name) {
  if (name.empty()) return kNoTag;
  return context_.tags->Intern(name);
}

namespace {

// As in both pfs: 96 bits where the rule names no network of 32 or more.
uint8_t PrefixOfDestination(const Rule& rule) {
  const AddressMatch& address = rule.destination.address;
  int length = 0;
  if (address.kind == AddressKind::kPrefix) {
    while (length < AddressBits(address.mask.family) &&
           address.mask.bit(length)) {
      ++length;
    }
  }
  return static_cast<uint8_t>(length < 32 ? 96 : length);
}

}  // namespace

absl::Status RuleCompiler::Compile(const Rule& rule, const std::string& anchor,
                                   CompiledRule* compiled) {
  CompiledRule& c = *compiled;
  c.direction = DirectionOf(rule);
  const Dialect dialect = policy_->source->options.dialect;
  c.family = rule.family;
  c.any_protocol = rule.protocol == 0;
  c.protocol = rule.protocol;
  c.fragments_only = rule.fragment;
  c.flags_set = rule.flags.set;
  c.flags_mask = rule.flags.mask;
  c.has_icmp_type = rule.icmp_type.has_value();
  c.icmp_type = rule.icmp_type.value_or(0);
  c.has_icmp_code = rule.icmp_code.has_value();
  c.icmp_code = rule.icmp_code.value_or(0);
  c.has_tos = rule.tos.has_value();
  c.tos = rule.tos.value_or(0);
  if (rule.prio) {
    c.has_priority = true;
    c.priority = PcpOf(*rule.prio, dialect);
    c.priority_of_untagged = IsOfUntagged(*rule.prio, dialect);
  }
  c.never = NeverMatches(rule.user) || NeverMatches(rule.group);
  c.owner = rule.user.IsSet() || rule.group.IsSet();
  c.probability = rule.probability;
  c.source_port = CompilePort(rule.source.port);
  c.destination_port = CompilePort(rule.destination.port);
  c.on = CompileInterface(rule.on);
  c.received_on = CompileInterface(rule.received_on);
  if (absl::Status s =
          CompileAddress(rule.source.address, anchor, &c.source);
      !s.ok()) {
    return s;
  }
  if (absl::Status s =
          CompileAddress(rule.destination.address, anchor, &c.destination);
      !s.ok()) {
    return s;
  }
  const absl::StatusOr<uint16_t> tagged = TagOf(rule.tagged);
  if (!tagged.ok()) return tagged.status();
  c.tagged = *tagged;
  c.tagged_negated = rule.tagged_negated;
  const absl::StatusOr<uint16_t> tag = TagOf(rule.tag);
  if (!tag.ok()) return tag.status();
  c.tag = *tag;

  if (rule.nat.has_value()) {
    if (absl::Status s = CompilePool(*rule.nat, rule, anchor, &c.nat);
        !s.ok()) {
      return s;
    }
  }
  if (rule.action == RuleAction::kBinat && rule.nat.has_value()) {
    // Outward the external network with the host's bits, inward the reverse.
    CompiledPool& external = policy_->pools[c.nat];
    external.method = PoolMethod::kBitmask;
    external.static_port = true;
    Pool internal;
    internal.method = PoolMethod::kBitmask;
    internal.addresses.emplace_back().address = rule.source.address;
    internal.addresses[0].address.negated = false;
    if (absl::Status s = CompilePool(internal, rule, anchor, &c.rdr);
        !s.ok()) {
      return s;
    }
  }
  c.af_to = rule.af_to;
  if (c.af_to == Family::kIpv4) c.af_prefix = PrefixOfDestination(rule);
  c.translation_pass = rule.translation_pass;
  if (rule.rdr.has_value()) {
    if (absl::Status s = CompilePool(*rule.rdr, rule, anchor, &c.rdr);
        !s.ok()) {
      return s;
    }
  }

  if (rule.route_pool.has_value()) {
    c.route = rule.route;
    if (absl::Status s = CompilePool(*rule.route_pool, rule, anchor,
                                     &c.route_pool);
        !s.ok()) {
      return s;
    }
  }

  c.action = rule.action;
  c.no_reassembly = rule.scrub.no_fragment_reassembly;
  c.quick = rule.quick;
  c.block_return = rule.block_return;
  c.rst_ttl = rule.return_rst_ttl;
  c.icmp_return_code = rule.return_icmp_code;
  c.icmp6_return_code = rule.return_icmp6_code;
  c.allow_options = rule.allow_opts;
  c.log = rule.log.enabled;
  c.log_all = rule.log.enabled && rule.log.all;
  c.log_matches = rule.log.enabled && rule.log.matches;
  c.state = rule.state;
  c.state_flags = StateFlags(rule);
  if (RuleTracking(rule).enabled) c.side_flags |= kSideSource;
  if (rule.state_options.pflow) c.side_flags |= kSidePflow;
  if (rule.state_options.no_helpers) c.side_flags |= kSideNoHelpers;
  if (rule.state == StateKind::kModulate) c.side_flags |= kSideModulate;
  if (rule.state == StateKind::kSynproxy) c.side_flags |= kSideSynproxy;
  if (!rule.state_options.overload_table.empty()) {
    const absl::StatusOr<uint16_t> table =
        ReferTo(rule.state_options.overload_table, anchor);
    if (!table.ok()) return table.status();
  }
  c.actions = Actions(rule, dialect);
  if (c.route != RouteKind::kNone) c.actions.flags |= PacketActions::kRoute;
  // FreeBSD cannot know yet by which interface the answers will come.
  if (c.route == RouteKind::kReplyTo && dialect == Dialect::kFreeBsd) {
    c.state_flags &= static_cast<uint16_t>(~kStateIfBound);
  }
  c.rated = rule.max_pkt_rate.IsSet();
  // Only the rule that decides counts its states' packets.
  if (c.rated && rule.action == RuleAction::kPass) {
    c.actions.flags |= PacketActions::kPacketRate;
  }
  if (absl::Status s = CompileSystem(rule, compiled); !s.ok()) return s;
  return CompileLimiters(rule, compiled);
}

}  // namespace sluice
