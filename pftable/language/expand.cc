#include "pftable/language/expand.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pftable/language/decide_family.h"
#include "pftable/print/printer.h"

namespace sluice {
namespace {

constexpr size_t kMaxLabelBytes = 63;

bool FamiliesFit(Family a, Family b) {
  return a == Family::kNone || b == Family::kNone || a == b;
}

// A link-local address fits only rules on its own interface.
bool FitsScope(const HostItem& host, const InterfaceItem& on,
               const HostFacts& facts) {
  if (host.scope.empty() || on.match.name.empty() ||
      host.scope == on.match.name) {
    return true;
  }
  for (const InterfaceFacts* member : facts.Resolve(on.match.name)) {
    if (member->name == host.scope) return true;
  }
  return false;
}

// Room for as many rules more. A rule is large: to grow in steps would move
// the rules made so far and touch twice the memory that they need.
void MakeRoom(std::vector<Rule>& rules, size_t more) {
  const size_t wanted = rules.size() + more;
  if (wanted <= rules.capacity()) return;
  // Many statements that add a few rules each still cost linear time.
  rules.reserve(std::max(wanted, 2 * rules.capacity()));
}

void ReplaceAll(std::string& text, std::string_view what,
                const std::string& with) {
  for (size_t at = text.find(what); at != std::string::npos;
       at = text.find(what, at + with.size())) {
    text.replace(at, what.size(), with);
  }
}

// A rule with a limit of its own has adaptive timeouts of its own: 60 and 120 %
// of it, counted in tens.
void AddAdaptiveTimeouts(StateOptions& options) {
  if (options.max_states < 10) return;
  for (const auto& [timeout, value] : options.timeouts) {
    if (timeout == Timeout::kAdaptiveStart ||
        timeout == Timeout::kAdaptiveEnd) {
      return;
    }
  }
  const uint64_t tens = options.max_states / 10;
  options.timeouts.emplace_back(Timeout::kAdaptiveStart,
                                static_cast<uint32_t>(tens * 6));
  options.timeouts.emplace_back(
      Timeout::kAdaptiveEnd,
      static_cast<uint32_t>(std::min<uint64_t>(tens * 12, 0xffffffff)));
  std::sort(options.timeouts.begin(), options.timeouts.end());
}

// pf's ports for nat-to without `port`.
constexpr uint16_t kNatPorts = 65535 - 50001 + 1;

// Of one address or network the bits behind its mask, or -1: it is none.
int HostBits(const AddressMatch& match) {
  if (match.kind != AddressKind::kPrefix) return -1;
  const int bits = AddressBits(match.address.family);
  int length = 0;
  while (length < bits && match.mask.bit(length)) ++length;
  for (int i = length; i < bits; ++i) {
    if (match.mask.bit(i)) return -1;
  }
  return bits - length;
}

}  // namespace

void RuleExpander::ApplyStateDefaults(RuleSyntax& rule) {
  Rule& r = rule.rule;
  const Options& options = draft_.policy().options;
  if (r.action == RuleAction::kPass && !rule.state_given) {
    r.state = StateKind::kKeep;
    if (options.state_defaults) {
      r.state_options = *options.state_defaults;
      if (!draft_.input().unnamed_by_number) {
        AddAdaptiveTimeouts(r.state_options);
      }
      return;
    }
  }
  if (r.state == StateKind::kNone) return;
  // Rules of snapshots have all that they say.
  if (!draft_.input().unnamed_by_number) AddAdaptiveTimeouts(r.state_options);
  r.state_options.keep_given = options.state_defaults.has_value();
  if (!rule.state_lock_given) {
    r.state_options.if_bound = options.state_policy_if_bound;
  } else if (!r.state_options.if_bound) {
    r.state_options.floating_given = options.state_policy_if_bound;
  }
}

bool RuleExpander::ExpandLabels(Rule& rule) {
  const auto expand = [&](std::string& text, std::string_view what) {
    if (text.find('$') == std::string::npos) return true;
    ReplaceAll(text, "$if", rule.on.IsSet() ? rule.on.name : "any");
    const auto address = [&](const AddressMatch& match) {
      // What pf has no word for in labels is "?".
      std::string text;
      switch (match.kind) {
        case AddressKind::kDynamicInterface:
          text = "(" + match.name + ")";
          break;
        case AddressKind::kTable:
          text = "<" + match.name + ">";
          break;
        case AddressKind::kRange:
        case AddressKind::kRouteLabel:
          text = "?";
          break;
        default:
          text = AddressText(match);
          break;
      }
      return (match.negated ? "! " : "") + text;
    };
    ReplaceAll(text, "$srcaddr", address(rule.source.address));
    ReplaceAll(text, "$dstaddr", address(rule.destination.address));
    ReplaceAll(text, "$srcport", PortLabelText(rule.source.port));
    ReplaceAll(text, "$dstport", PortLabelText(rule.destination.port));
    ReplaceAll(text, "$proto",
               rule.protocol == 0
                   ? "ip"
                   : facts_.ProtocolName(rule.protocol)
                         .value_or(std::to_string(rule.protocol)));
    return CheckLabelLength(text, what, rule.place);
  };
  for (std::string& label : rule.labels) {
    if (!expand(label, "rule label")) return false;
  }
  return expand(rule.tag, "tag") && expand(rule.tagged, "tag");
}

bool RuleExpander::CheckLabelLength(const std::string& text,
                                    std::string_view what, SourcePlace place) {
  if (text.size() <= kMaxLabelBytes) return true;
  return in_.Error(
      place, std::string(what) + " too long after expansion, max 63 chars");
}

void RuleExpander::NumberLabels(Anchor& anchor) {
  for (std::vector<Rule>* list :
       {&anchor.rules.filter, &anchor.rules.scrub, &anchor.rules.nat,
        &anchor.rules.rdr, &anchor.rules.binat}) {
    for (size_t i = 0; i < list->size(); ++i) {
      Rule& rule = (*list)[i];
      const auto number = [&](std::string& text, std::string_view what) {
        if (text.find("$nr") == std::string::npos) return;
        ReplaceAll(text, "$nr", std::to_string(i));
        CheckLabelLength(text, what, rule.place);
      };
      for (std::string& label : rule.labels) number(label, "rule label");
      number(rule.tag, "tag");
      number(rule.tagged, "tag");
    }
  }
  for (Anchor& child : anchor.children) NumberLabels(child);
}

bool RuleExpander::CheckMasks(const HostItem& source,
                              const HostItem& destination) {
  for (const HostItem* host : {&source, &destination}) {
    if (host->excess_mask == 0) continue;
    return in_.Error(host->place,
                     "netmask " + std::to_string(host->excess_mask) +
                         " invalid for IPv4 address");
  }
  return true;
}

// Each source has a block of its own, by its number in the rule's network.
bool RuleExpander::CheckBlocks(const RuleSyntax& syntax, const Rule& rule) {
  const SourcePlace place = syntax.nat->place;
  const AddressMatch& source = rule.source.address;
  const Pool& pool = *rule.nat;
  if (rule.af_to != Family::kNone) {
    return in_.Error(place, "port-block is not for af-to");
  }
  const int host_bits = HostBits(source);
  if (source.negated || host_bits < 0 || syntax.source.hosts.size() != 1) {
    return in_.Error(place,
                     "port-block needs one address or network as the rule's "
                     "source",
                     "write from 100.64.0.0/24");
  }
  const uint64_t ports =
      pool.port_low == 0
          ? kNatPorts
          : uint64_t{std::max(pool.port_low, pool.port_high)} -
                std::min(pool.port_low, pool.port_high) + 1;
  const int pool_bits = HostBits(pool.addresses.front().address);
  const uint64_t blocks = ports / pool.port_block;
  // Above it nothing could be told apart any more.
  constexpr int kMostBits = 24;
  if (pool_bits < 0 || pool_bits > kMostBits || host_bits > kMostBits ||
      blocks << pool_bits < uint64_t{1} << host_bits) {
    return in_.Error(
        place,
        "port-block: the pool has fewer blocks than the source addresses",
        "a smaller block, more ports or a larger pool");
  }
  return true;
}

bool RuleExpander::FillPools(const RuleSyntax& syntax, Rule& rule) {
  PoolParser::Use use;
  use.family = rule.af_to != Family::kNone ? rule.af_to : rule.family;
  use.port = rule.destination.port;
  if (syntax.nat && !pools_.FillPool(*syntax.nat, use, rule.nat)) return false;
  if (rule.nat && rule.nat->port_block != 0 && !CheckBlocks(syntax, rule)) {
    return false;
  }
  if (syntax.rdr && !pools_.FillPool(*syntax.rdr, use, rule.rdr)) return false;
  if (!syntax.route) return true;
  use.family = rule.family;
  use.is_route = true;
  // What is translated leaves as another family; and IPv4 may go by a
  // neighbour of IPv6.
  use.any_family = rule.af_to != Family::kNone ||
                   syntax.route->pool.prefer_ipv6_nexthop;
  return pools_.FillPool(*syntax.route, use, rule.route_pool);
}

// An empty list is one item that says nothing.
void RuleExpander::Fill(RuleSyntax& syntax) {
  const auto fill = [](auto& list) {
    if (list.empty()) list.emplace_back();
  };
  fill(syntax.interfaces);
  fill(syntax.protocols);
  fill(syntax.source.hosts);
  fill(syntax.source.ports);
  fill(syntax.source.fingerprints);
  fill(syntax.destination.hosts);
  fill(syntax.destination.ports);
  fill(syntax.users);
  fill(syntax.groups);
  fill(syntax.icmp);
}

// The product is known before any of it is made.
uint64_t RuleExpander::Product(const RuleSyntax& syntax) const {
  uint64_t product = 1;
  for (const size_t n :
       {syntax.interfaces.size(), syntax.protocols.size(), syntax.icmp.size(),
        syntax.source.hosts.size(), syntax.source.ports.size(),
        syntax.source.fingerprints.size(), syntax.destination.hosts.size(),
        syntax.destination.ports.size(), syntax.users.size(),
        syntax.groups.size()}) {
    if (product > draft_.input().limits.rules) break;
    product *= n;
  }
  return product;
}

bool RuleExpander::CheckProduct(const RuleSyntax& syntax) {
  if (Product(syntax) <= draft_.rules_left()) return true;
  return in_.Error(syntax.rule.place,
                   "the lists of this rule make the ruleset larger than " +
                       std::to_string(draft_.input().limits.rules) + " rules",
                   "put the addresses into a table");
}

bool RuleExpander::NoCombination(const RuleSyntax& syntax) {
  return in_.Error(syntax.rule.place, "rule expands to no valid combination",
                   "its address families or interfaces exclude each other");
}

bool RuleExpander::Fits(Family family, const HostItem& source,
                        const HostItem& destination,
                        const InterfaceItem& on) const {
  return FamiliesFit(family, source.family) &&
         FamiliesFit(family, destination.family) &&
         FamiliesFit(source.family, destination.family) &&
         FitsScope(source, on, facts_) && FitsScope(destination, on, facts_) &&
         (source.scope.empty() || destination.scope.empty() ||
          source.scope == destination.scope);
}

// Translation and routing to both families is for no rule that is of both.
bool RuleExpander::CheckPoolFamilies(const RuleSyntax& syntax, Family family) {
  const Rule& rule = syntax.rule;
  const bool filter = rule.action == RuleAction::kPass ||
                      rule.action == RuleAction::kBlock ||
                      rule.action == RuleAction::kMatch;
  if (!filter || family != Family::kNone || in_.InDialect(Dialect::kFreeBsd)) {
    return true;
  }
  for (const auto* pool : {&syntax.rdr, &syntax.nat, &syntax.route}) {
    if (!*pool || !IsMixed((*pool)->hosts)) continue;
    if ((*pool)->pool.prefer_ipv6_nexthop) continue;
    return in_.Error((*pool)->place,
                     std::string(pool == &syntax.route ? "routing"
                                                       : "translation") +
                         " spec contains addresses with different address "
                         "families",
                     "write inet or inet6");
  }
  return true;
}

// divert-to makes a rule of no family one of its address's, and no other.
bool RuleExpander::ResolveDivert(RuleSyntax& syntax, Family& family) {
  ForeignOptions& foreign = syntax.rule.foreign;
  const SourcePlace place = syntax.divert_place;
  if (syntax.rule.IsAnchorCall() || in_.InDialect(Dialect::kFreeBsd)) {
    return true;
  }
  if (foreign.divert == DivertKind::kReply &&
      syntax.rule.direction == Direction::kIn) {
    return in_.Error(place, "divert-reply used with incoming rule");
  }
  if (foreign.divert != DivertKind::kTo) return true;
  if (syntax.rule.direction == Direction::kOut) {
    return in_.Error(place, "divert-to used with outgoing rule");
  }
  for (const HostItem& host : syntax.divert) {
    if (family != Family::kNone && host.family != family) continue;
    family = host.family;
    foreign.divert_address = host.match.address;
    return true;
  }
  return syntax.divert.empty() ||
         in_.Error(place, "divert-to address family mismatch");
}

bool RuleExpander::ExpandRule(RuleSyntax& syntax, std::vector<Rule>& out) {
  // `icmp` may be filled already, with an item that says nothing.
  const bool icmp_given = !syntax.icmp.empty() && syntax.icmp[0].is_set;
  Fill(syntax);
  if (!CheckProduct(syntax)) return false;
  const uint64_t product = Product(syntax);

  Family family = DecideFamily(syntax, in_.dialect());
  if (!CheckPoolFamilies(syntax, family)) return false;
  if (!ResolveDivert(syntax, family)) return false;

  size_t combinations = 0;
  for (const InterfaceItem& on : syntax.interfaces) {
    for (const HostItem& source : syntax.source.hosts) {
      for (const HostItem& destination : syntax.destination.hosts) {
        if (Fits(family, source, destination, on)) ++combinations;
      }
    }
  }
  MakeRoom(out, product /
                    (syntax.interfaces.size() * syntax.source.hosts.size() *
                     syntax.destination.hosts.size()) *
                    combinations);

  size_t added = 0;
  bool failed = false;
  const auto one = [&](const InterfaceItem& on, const ProtocolItem& protocol,
                       const IcmpItem& icmp, const HostItem& source,
                       const PortItem& source_port, const std::string& os,
                       const HostItem& destination,
                       const PortItem& destination_port, const IdMatch& user,
                       const IdMatch& group) {
    if (!Fits(family, source, destination, on)) return;
    Rule& r = out.emplace_back(syntax.rule);
    r.family = family != Family::kNone          ? family
               : source.family != Family::kNone ? source.family
                                                : destination.family;
    r.on = on.match;
    if (!r.on.IsSet() && on.rdomain < 0) {
      r.on.name = source.scope.empty() ? destination.scope : source.scope;
    }
    r.foreign.on_rdomain = on.rdomain;
    r.protocol = protocol.number;
    r.source = {.address = source.match, .port = source_port.match};
    r.destination = {.address = destination.match,
                     .port = destination_port.match};
    // More bits than an address has are all of it.
    if (r.family == Family::kIpv4) {
      for (AddressMatch* m : {&r.source.address, &r.destination.address}) {
        if (m->dynamic_prefix >= 32) m->dynamic_prefix = 255;
      }
    }
    r.os = os;
    r.user = user;
    r.group = group;
    // There is nothing to modulate but TCP's sequence numbers.
    if ((r.state == StateKind::kModulate ||
         r.state == StateKind::kSynproxy) &&
        r.protocol != 0 && r.protocol != protocol::kTcp) {
      r.state = StateKind::kKeep;
    }
    bool good = true;
    if (icmp_given) {
      const uint8_t wanted = icmp.family == Family::kIpv6 ? 58 : 1;
      if (r.protocol == wanted) {
        r.icmp_type = icmp.type;
        r.icmp_code = icmp.code;
        if (r.family == Family::kNone) {
          good = in_.Error(
              icmp.place, "must indicate address family with icmp-type/code",
              icmp.family == Family::kIpv6 ? "write inet6" : "write inet");
        }
      } else {
        good = in_.Error(icmp.place,
                         "icmp-type mismatch: the rule's protocol is not " +
                             std::string(wanted == 1 ? "icmp" : "ipv6-icmp"));
      }
    }
    // pf's default: only a connection's first packet makes a state.
    const bool tcp = r.protocol == 0 || r.protocol == protocol::kTcp;
    if (!syntax.flags_given && r.action == RuleAction::kPass && tcp &&
        r.state != StateKind::kNone && !r.fragment && !r.IsAnchorCall()) {
      r.flags = {.set = 0x02, .mask = 0x12};
    } else if (!tcp) {
      r.flags = {};
    }
    good = good && CheckMasks(source, destination) && FillPools(syntax, r);
    good = good && checker_.CheckRule(r, syntax) && ExpandLabels(r);
    ++added;
    if (!good) {
      failed = true;
      out.pop_back();
      return;
    }
    draft_.CountRule();
  };

  // As pfctl nests them: `$nr` and all that counts rules depends on it.
  for (const InterfaceItem& on : syntax.interfaces) {
    for (const ProtocolItem& protocol : syntax.protocols) {
      for (const IcmpItem& icmp : syntax.icmp) {
        for (const HostItem& source : syntax.source.hosts) {
          for (const HostItem& destination : syntax.destination.hosts) {
            for (const PortItem& source_port : syntax.source.ports) {
              for (const PortItem& port : syntax.destination.ports) {
                for (const std::string& os : syntax.source.fingerprints) {
                  for (const IdMatch& user : syntax.users) {
                    for (const IdMatch& group : syntax.groups) {
                      if (failed) return false;
                      one(on, protocol, icmp, source, source_port, os,
                          destination, port, user, group);
                    }
                  }
                }
              }
            }
          }
        }
      }
    }
  }
  if (failed) return false;
  return added != 0 || NoCombination(syntax);
}

}  // namespace sluice
