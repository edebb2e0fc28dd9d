#include "restore/snapshot_check.h"

#include <algorithm>
#include <array>
#include <span>
#include <tuple>

#include "conntrack/expectation.h"
#include "conntrack/ftp.h"
#include "conntrack/source_nodes.h"
#include "conntrack/state.h"
#include "packet/family.h"
#include "pftable/policy/name.h"
#include "pftable/policy/policy.h"
#include "restore/snapshot_format.h"

namespace sluice {
namespace {

constexpr uint8_t kMaxScale = 14;  // RFC 7323, section 2.3

bool IsUnspecified(const Address& address) {
  return std::all_of(address.bytes.begin(), address.bytes.end(),
                     [](uint8_t byte) { return byte == 0; });
}

bool IsMulticast(const Address& address) {
  return address.family == Family::kIpv4 ? (address.bytes[0] & 0xf0) == 0xe0
                                         : address.bytes[0] == 0xff;
}

bool IsBroadcast(const Address& address) {
  return address.family == Family::kIpv4 &&
         address.v4().host() == 0xffffffff;
}

// An IPv4 address leaves the rest zero.
bool IsSound(const Address& address) {
  if (address.family == Family::kIpv6) return true;
  return address.family == Family::kIpv4 &&
         std::all_of(address.bytes.begin() + 4, address.bytes.end(),
                     [](uint8_t byte) { return byte == 0; });
}

// Which timeouts may apply to a state of that protocol.
bool TimeoutFits(uint8_t proto, Timeout timeout) {
  const auto within = [timeout](Timeout first, Timeout last) {
    return timeout >= first && timeout <= last;
  };
  switch (proto) {
    case protocol::kTcp:
      return within(Timeout::kTcpFirst, Timeout::kTcpClosed);
    case protocol::kSctp:
      return within(Timeout::kSctpFirst, Timeout::kSctpClosed);
    case protocol::kUdp:
      return within(Timeout::kUdpFirst, Timeout::kUdpMultiple);
    case protocol::kIcmp:
    case protocol::kIcmp6:
      return within(Timeout::kIcmpFirst, Timeout::kIcmpError);
    default:
      return within(Timeout::kOtherFirst, Timeout::kOtherMultiple);
  }
}

bool HasPorts(uint8_t proto) {
  return proto == protocol::kTcp || proto == protocol::kUdp ||
         proto == protocol::kSctp;
}

const char* WhatIsWrongWithPeer(const SnapshotPeer& peer, uint8_t proto) {
  const bool tcp = proto == protocol::kTcp;
  const uint8_t last_phase = static_cast<uint8_t>(
      tcp || proto == protocol::kSctp
          ? static_cast<uint8_t>(TcpPhase::kTimeWait)
          : static_cast<uint8_t>(DatagramPhase::kMultiple));
  if (peer.phase > last_phase) return "a phase that does not exist";
  if ((peer.scale & ~(kScaleMask | kScaleKnown)) != 0 ||
      (peer.scale & kScaleMask) > kMaxScale) {
    return "a window scale above 14";
  }
  if (!tcp && (peer.sequence_low != 0 || peer.sequence_high != 0 ||
               peer.max_window != 0 || peer.scale != 0)) {
    return "a TCP window without TCP";
  }
  if (!HasPorts(proto) && proto != protocol::kIcmp &&
      proto != protocol::kIcmp6 && peer.port != 0) {
    return "a port without a protocol that has ports";
  }
  return IsSound(peer.address) ? nullptr : "an address of no family";
}

constexpr const char* kTooLarge = "a counter that is too large";

// They have room to count on.
bool AreCounts(std::span<const uint64_t> values) {
  return std::all_of(values.begin(), values.end(), [](uint64_t value) {
    return value <= kMaxSnapshotCounter;
  });
}

}  // namespace

bool IsSnapshotName(std::string_view text) {
  return IsName(text, kMaxNameBytes);
}

bool IsSnapshotText(std::string_view text, size_t longest) {
  return !text.empty() && text.size() <= longest &&
         std::all_of(text.begin(), text.end(), [](char c) {
           const auto byte = static_cast<uint8_t>(c);
           return byte >= 0x20 && byte != 0x7f;
         });
}

const char* WhatIsWrong(const SnapshotLimit& limit) {
  const bool known = limit.code < kLimitCount ||
                     (limit.code >= kTimeoutLimitCode &&
                      limit.code < kTimeoutLimitCode + kTimeoutCount);
  return known ? nullptr : "a limit that does not exist";
}

const char* WhatIsWrong(const SnapshotTable& table) {
  if (!IsSnapshotName(table.name)) return "a table's name is not allowed";
  if (!IsAnchorPath(table.anchor)) return "an anchor's path is not allowed";
  constexpr uint16_t kKnown = kSnapshotTablePersist | kSnapshotTableConst |
                              kSnapshotTableCounters | kSnapshotTableActive;
  return (table.flags & ~kKnown) == 0 ? nullptr : "unknown flags of a table";
}

const char* WhatIsWrong(const SnapshotTableEntry& entry) {
  const Prefix& prefix = entry.prefix;
  if (!IsSound(prefix.address)) return "an address of no family";
  if (prefix.length > AddressBits(prefix.address.family)) {
    return "a prefix that is longer than its address";
  }
  if (!(prefix.Masked() == prefix)) return "a prefix with host bits";
  constexpr uint8_t kKnown = kSnapshotEntryNegated | kSnapshotEntryRunTime;
  return (entry.flags & ~kKnown) == 0 ? nullptr : "unknown flags of an entry";
}

const char* WhatIsWrong(const SnapshotRule& rule) {
  if (static_cast<uint16_t>(rule.kind) >= kSnapshotRuleKinds) {
    return "a kind of rule that does not exist";
  }
  if (rule.id == 0) return "a rule without an identity";
  return IsSnapshotText(rule.text, kMaxRecordBytes)
             ? nullptr
             : "a rule's text with control characters, or none";
}

// What is not used is zero, so that one meaning has one form.
const char* WhatIsWrong(const PacketActions& actions) {
  constexpr uint8_t kKnown =
      PacketActions::kClearDontFragment | PacketActions::kRandomId |
      PacketActions::kSetTos | PacketActions::kSetPriority |
      PacketActions::kScrubTcp;
  if ((actions.flags & ~kKnown) != 0) return "unknown actions";
  if (!actions.has(PacketActions::kSetTos) && actions.tos != 0) {
    return "a type of service that is not set";
  }
  for (const uint8_t priority : actions.priority) {
    if (priority > 7 ||
        (priority != 0 && !actions.has(PacketActions::kSetPriority))) {
      return "a priority that does not exist or is not set";
    }
  }
  return nullptr;
}

const char* WhatIsWrong(const SnapshotBinding& binding) {
  if ((binding.flags & ~kSnapshotStateFlags) != 0 ||
      (binding.marks & ~kSnapshotMarks) != 0) {
    return "unknown flags";
  }
  if (!binding.tag.empty() && !IsSnapshotText(binding.tag, kMaxTagBytes)) {
    return "a tag that is not allowed";
  }
  if (binding.match_rules.size() > kMaxMatchRulesOfState) {
    return "too many match rules";
  }
  for (const RuleId id : binding.match_rules) {
    if (id == 0) return "a match rule without an identity";
  }
  for (size_t i = 0; i < binding.timeouts.size(); ++i) {
    const SnapshotTimeout& timeout = binding.timeouts[i];
    if (static_cast<size_t>(timeout.timeout) >= kTimeoutCount) {
      return "a timeout that does not exist";
    }
    if (i > 0 && timeout.timeout <= binding.timeouts[i - 1].timeout) {
      return "timeouts out of order";
    }
    // Zero stands for a timeout that the rule does not set.
    if (timeout.value == 0) return "a timeout of zero";
  }
  if (binding.scrub) {
    for (const TcpScrubPeer& peer : binding.scrub->peers) {
      if ((peer.flags & ~kTcpScrubFlags) != 0) return "unknown flags of a scrub";
      if (peer.last > kMaxTimeoutTicks) return "a time that is too long";
    }
  }
  if (binding.route) {
    const SnapshotRoute& route = *binding.route;
    if (route.kind < RouteKind::kRouteTo || route.kind > RouteKind::kDupTo) {
      return "a route of no kind";
    }
    const bool none = route.gateway.family == Family::kNone;
    if (none ? route.interface.empty() : !IsSound(route.gateway)) {
      return "a route that leads nowhere";
    }
    if (none && route.sticky_rule != 0) return "bound to no gateway";
    if (!route.interface.empty() && !IsSnapshotName(route.interface)) {
      return "an interface that is not allowed";
    }
  }
  return WhatIsWrong(binding.actions);
}

namespace {

const char* WhatIsWrongWithTranslation(const SnapshotState& state) {
  for (size_t peer = 0; peer < 2; ++peer) {
    const bool known = state.links.known[peer];
    if (known ? !IsHost(state.links.mac[peer])
              : state.links.mac[peer] != MacAddress{}) {
      return "a MAC address that no host has";
    }
  }
  if (!state.is_translated()) {
    return state.links.any() ? "links without a translation" : nullptr;
  }
  for (const Address& address : state.translated) {
    if (!IsSound(address) || address.family != state.translated[0].family) {
      return "a translation to two families";
    }
  }
  if (state.translates_family()) {
    if (state.helper != SnapshotHelper::kNone) return "a helper across families";
    if (state.pool_marks != 0) return "marks of pools across families";
    const bool v4 = state.family() == Family::kIpv4;
    const uint8_t icmp = v4 ? protocol::kIcmp : protocol::kIcmp6;
    if (state.proto == ProtocolAcross(icmp)) {
      return "a protocol of the other family";
    }
    // Echo requests, by whose type the responder's port is named.
    if (state.proto == icmp &&
        (state.peers[1].port != (v4 ? 8 : 128) ||
         state.translated_port[1] != (v4 ? 128 : 8))) {
      return "a message that the other family does not have";
    }
  }
  if (state.translated[0] == state.translated[1] &&
      state.translated_port[0] == state.translated_port[1]) {
    return "a translation to a flow to itself";
  }
  if (state.translated[0] == state.peers[0].address &&
      state.translated[1] == state.peers[1].address &&
      state.translated_port[0] == state.peers[0].port &&
      state.translated_port[1] == state.peers[1].port) {
    return "a translation that changes nothing";
  }
  const bool has_ports = state.proto == protocol::kTcp ||
                         state.proto == protocol::kUdp ||
                         state.proto == protocol::kSctp ||
                         state.proto == protocol::kIcmp ||
                         state.proto == protocol::kIcmp6;
  if (!has_ports && state.translated_port != std::array<uint16_t, 2>{}) {
    return "ports of a protocol without ports";
  }
  return nullptr;
}

const char* WhatIsWrongWithPools(const SnapshotState& state) {
  static_assert(kPoolNodes == 8 * sizeof(state.pool_marks));
  const auto marked = [&state](PoolNode which) {
    return (state.pool_marks >> which & 1) != 0;
  };
  for (const PoolNode sticky : {kStickySource, kStickyTarget}) {
    if (marked(sticky) != (state.sticky_rules[sticky] != 0)) {
      return "a source bound by no rule, or not bound by one";
    }
  }
  const std::optional<SnapshotRoute>& route = state.binding.route;
  const bool sticks = route && route->sticky_rule != 0;
  if (marked(kStickyRoute) != sticks ||
      (marked(kLoadOfRoute) &&
       (!route || route->gateway.family == Family::kNone))) {
    return "marks of a route that it does not have";
  }
  if (marked(kMappedInside) != marked(kMappedOutside) ||
      (marked(kMappedInside) && state.proto != protocol::kUdp)) {
    return "half a mapping, or one that is not UDP's";
  }
  return nullptr;
}

}  // namespace

const char* WhatIsWrong(const SnapshotState& state) {
  if (state.id == 0) return "an id of zero";
  if (const char* wrong = WhatIsWrongWithPools(state); wrong != nullptr) {
    return wrong;
  }
  const bool scrubbed = state.proto == protocol::kTcp &&
                        state.binding.actions.has(PacketActions::kScrubTcp);
  if (scrubbed != state.binding.scrub.has_value()) {
    return "a scrub of what is not scrubbed, or none";
  }
  if (state.direction != Direction::kIn &&
      state.direction != Direction::kOut) {
    return "a direction that does not exist";
  }
  if (!TimeoutFits(state.proto, state.timeout)) {
    return "a timeout that does not fit the protocol";
  }
  if (state.remaining > kMaxTimeoutTicks || state.idle > kMaxTimeoutTicks) {
    return "a time that is too long";
  }
  if (state.idle > state.age) return "idle for longer than it exists";
  if (state.proto != protocol::kTcp &&
      (state.sequence_offset[0] | state.sequence_offset[1]) != 0) {
    return "sequence offsets of another protocol";
  }
  const SnapshotPeer& originator = state.peers[0];
  const SnapshotPeer& responder = state.peers[1];
  for (const SnapshotPeer& peer : state.peers) {
    if (const char* wrong = WhatIsWrongWithPeer(peer, state.proto)) {
      return wrong;
    }
  }
  if (originator.address.family != responder.address.family) {
    return "addresses of two families";
  }
  if (originator.address == responder.address &&
      originator.port == responder.port) {
    return "a flow to itself";
  }
  // Of what a host may send before it has an address (DHCP, duplicate address
  // detection) there may be states; of what none can send there is none.
  if (IsMulticast(originator.address) || IsBroadcast(originator.address) ||
      IsUnspecified(responder.address)) {
    return "an address that no packet has there";
  }
  switch (state.helper) {
    case SnapshotHelper::kNone: break;
    case SnapshotHelper::kTftp:
      if (state.proto != protocol::kUdp) return "a helper of another protocol";
      break;
    default: return "a helper that does not exist";
  }
  if (!state.interface.empty() && !IsSnapshotName(state.interface)) {
    return "an interface's name is not allowed";
  }
  if (const char* wrong = WhatIsWrongWithTranslation(state)) return wrong;
  return WhatIsWrong(state.binding);
}

const char* WhatIsWrong(const SnapshotExpectation& expectation) {
  if (expectation.binding.scrub) return "a scrub of what is not scrubbed";
  if (expectation.binding.route && expectation.binding.route->sticky_rule != 0) {
    return "an expectation that is bound to a gateway";
  }
  if (expectation.parent == 0) return "no parent";
  const bool ftp = expectation.helper == SnapshotHelper::kFtp;
  const bool sctp = expectation.helper == SnapshotHelper::kSctp;
  if (!ftp && !sctp && expectation.helper != SnapshotHelper::kTftp) {
    return "a helper that does not exist";
  }
  if (expectation.proto != (ftp    ? protocol::kTcp
                            : sctp ? protocol::kSctp
                                   : protocol::kUdp)) {
    return "a helper of another protocol";
  }
  if (expectation.direction != Direction::kIn &&
      (!ftp || expectation.direction != Direction::kOut)) {
    return "a direction that does not exist";
  }
  if (sctp == (expectation.server_port == 0) ||
      (!ftp && expectation.port_behind != 0) ||
      (!sctp && (expectation.tag[0] | expectation.tag[1]) != 0)) {
    return "a port or a tag of another helper";
  }
  if (expectation.remaining > kMaxTimeoutTicks) {
    return "a time that is too long";
  }
  if (expectation.client_port == 0) return "no client port";
  if (!IsSound(expectation.client) || !IsSound(expectation.server)) {
    return "an address of no family";
  }
  if (!expectation.interface.empty() &&
      !IsSnapshotName(expectation.interface)) {
    return "an interface's name is not allowed";
  }
  return WhatIsWrong(expectation.binding);
}

const char* WhatIsWrong(const SnapshotSourceNode& node) {
  if (static_cast<uint8_t>(node.use) >= kSnapshotSourceUses) {
    return "a use of a source that does not exist";
  }
  if (!IsSound(node.source)) return "an address of no family";
  if (node.remaining > kMaxTimeoutTicks || node.age > INT32_MAX) {
    return "a time that is too long";
  }
  if (node.has_states != (node.remaining == 0)) {
    return "a source with states that ends, or one without that does not";
  }
  const std::array counts = {node.packets, node.bytes};
  if (!AreCounts(counts)) return kTooLarge;
  if ((node.rate == 0) != (node.rate_seconds == 0)) return "half a rate";
  if (node.use == SnapshotSourceUse::kFilter) {
    if (node.target != Address{}) return "a pool's address without a pool";
    // Its states would bring everything else.
    return node.has_states && node.rate == 0 ? "a source that says nothing"
                                             : nullptr;
  }
  if (node.rule == 0) return "a pool of no rule";
  if (node.has_states) return "a pool's source with states";
  if (node.rate != 0) return "a rate of a pool";
  // Routes of IPv4 packets may go by IPv6 neighbours.
  const bool across = node.use == SnapshotSourceUse::kRoute &&
                      node.source.family == Family::kIpv4 &&
                      node.target.family == Family::kIpv6;
  return IsSound(node.target) &&
                 (across || node.target.family == node.source.family)
             ? nullptr
             : "a pool's address of another family, or none";
}

bool IsBefore(const SnapshotSourceNode& a, const SnapshotSourceNode& b) {
  const auto key = [](const SnapshotSourceNode& node) {
    return std::tie(node.rule, node.use, node.vlan.value, node.source);
  };
  return key(a) < key(b);
}

const char* WhatIsWrong(const SnapshotRuleCounters& counters) {
  const std::array others = {counters.evaluations, counters.states_created};
  return AreCounts(others) && AreCounts(counters.packets) &&
                 AreCounts(counters.bytes)
             ? nullptr
             : kTooLarge;
}

const char* WhatIsWrong(const SnapshotTableCounters& counters) {
  const std::array others = {counters.match, counters.no_match};
  return AreCounts(others) && AreCounts(counters.packets) &&
                 AreCounts(counters.bytes)
             ? nullptr
             : kTooLarge;
}

bool IsHostAddress(const Address& address) {
  return !IsMulticast(address) && !IsBroadcast(address) &&
         !IsUnspecified(address);
}

bool IsBefore(const SnapshotExpectation& a, const SnapshotExpectation& b) {
  const auto key = [](const SnapshotExpectation& e) {
    const bool tftp = e.helper == SnapshotHelper::kTftp;
    return std::tuple(!tftp, e.parent, tftp ? Direction::kIn : e.direction,
                      tftp ? Address{} : e.server,
                      tftp ? Address{} : e.client, e.client_port);
  };
  return key(a) < key(b);
}

uint32_t MostExpected(const SnapshotExpectation& expectation) {
  switch (expectation.helper) {
    case SnapshotHelper::kFtp: return kMaxFtpExpected;
    case SnapshotHelper::kSctp: return kMaxSctpPaths;
    default: return UINT32_MAX;
  }
}

const SnapshotState* FindState(const std::vector<SnapshotState>& states,
                               uint64_t id) {
  const auto at = std::lower_bound(
      states.begin(), states.end(), id,
      [](const SnapshotState& state, uint64_t wanted) {
        return state.id < wanted;
      });
  return at != states.end() && at->id == id ? &*at : nullptr;
}

}  // namespace sluice
