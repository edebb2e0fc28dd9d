#include "pftable/language/expand.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pftable/print/printer.h"

namespace sluice {
namespace {

constexpr size_t kMaxLabelBytes = 63;

// The families of a pool's addresses if they are all of one.
Family PoolFamily(const PoolSyntax& pool) {
  Family family = Family::kNone;
  for (const HostItem& host : pool.hosts) {
    if (host.family == Family::kNone) return Family::kNone;
    if (family != Family::kNone && family != host.family) {
      return Family::kNone;
    }
    family = host.family;
  }
  return family;
}

bool Fits(Family a, Family b) {
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

}  // namespace

void RuleExpander::ApplyStateDefaults(RuleSyntax& rule) {
  Rule& r = rule.rule;
  const Options& options = draft_.policy().options;
  if (r.action == RuleAction::kPass && !rule.state_given) {
    r.state = StateKind::kKeep;
    if (options.state_defaults) {
      r.state_options = *options.state_defaults;
      return;
    }
  }
  if (r.state == StateKind::kNone) return;
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
      return std::string(match.negated ? "! " : "") +
             AddressText(match, in_.dialect());
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

bool RuleExpander::ExpandRule(RuleSyntax& syntax, std::vector<Rule>& out) {
  // An empty list is one item that says nothing.
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
  const bool icmp_given = !syntax.icmp.empty();
  fill(syntax.icmp);

  // The product is known before any of it is made.
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
  if (product > draft_.rules_left()) {
    return in_.Error(syntax.rule.place,
                     "the lists of this rule make the ruleset larger than " +
                         std::to_string(draft_.input().limits.rules) + " rules",
                     "put the addresses into a table");
  }

  // Translation to addresses of one family makes the rule one of it.
  Family family = syntax.rule.family;
  if (family == Family::kNone && syntax.rule.af_to == Family::kNone) {
    for (const auto* pool : {&syntax.nat, &syntax.rdr, &syntax.route}) {
      if (family == Family::kNone && pool->has_value()) {
        family = PoolFamily(**pool);
      }
    }
  }
  if (syntax.rule.af_to != Family::kNone && family == Family::kNone) {
    family = syntax.rule.af_to == Family::kIpv4 ? Family::kIpv6
                                                : Family::kIpv4;
  }

  const auto fits = [&](const InterfaceItem& on, const HostItem& source,
                        const HostItem& destination) {
    return Fits(family, source.family) && Fits(family, destination.family) &&
           Fits(source.family, destination.family) &&
           FitsScope(source, on, facts_) &&
           FitsScope(destination, on, facts_) &&
           (source.scope.empty() || destination.scope.empty() ||
            source.scope == destination.scope);
  };
  size_t combinations = 0;
  for (const InterfaceItem& on : syntax.interfaces) {
    for (const HostItem& source : syntax.source.hosts) {
      for (const HostItem& destination : syntax.destination.hosts) {
        if (fits(on, source, destination)) ++combinations;
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
    if (!fits(on, source, destination)) return;
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
    r.os = os;
    r.user = user;
    r.group = group;
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
    if (good && syntax.nat) {
      const Family to =
          r.af_to != Family::kNone ? r.af_to : r.family;
      good = pools_.FillPool(*syntax.nat, to, r.nat);
    }
    if (good && syntax.rdr) {
      const Family to =
          r.af_to != Family::kNone ? r.af_to : r.family;
      good = pools_.FillPool(*syntax.rdr, to, r.rdr);
    }
    if (good && syntax.route) {
      good = pools_.FillPool(*syntax.route, r.family, r.route_pool);
    }
    good = good && checker_.CheckRule(r, syntax) && ExpandLabels(r);
    ++added;
    if (!good) {
      failed = true;
      out.pop_back();
      return;
    }
    draft_.CountRule();
  };

  for (const InterfaceItem& on : syntax.interfaces) {
    for (const ProtocolItem& protocol : syntax.protocols) {
      for (const IcmpItem& icmp : syntax.icmp) {
        for (const HostItem& source : syntax.source.hosts) {
          for (const PortItem& source_port : syntax.source.ports) {
            for (const std::string& os : syntax.source.fingerprints) {
              for (const HostItem& destination : syntax.destination.hosts) {
                for (const PortItem& port : syntax.destination.ports) {
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
  if (added == 0) {
    return in_.Error(syntax.rule.place, "rule expands to no valid combination",
                     "its address families or interfaces exclude each other");
  }
  return true;
}

// binat-to is nat-to with static ports outward and rdr-to inward.
bool RuleExpander::ExpandBinat(RuleSyntax& syntax, std::vector<Rule>& out) {
  const PoolSyntax& target = *syntax.binat;
  if (syntax.rule.direction != Direction::kBoth) {
    return in_.Error(
        target.place,
        "binat-to cannot be used with a direction: it is for both");
  }
  if (syntax.source.hosts.size() != 1) {
    return in_.Error(target.place, "binat-to wants one source address");
  }
  if (target.hosts.size() != 1) {
    return in_.Error(target.place, "binat-to wants one target address");
  }
  if (target.pool.port_low != 0) {
    return in_.Error(target.place, "binat-to has no ports");
  }
  const AddressMatch& inside = syntax.source.hosts[0].match;
  const AddressMatch& outside = target.hosts[0].match;
  if (inside.kind == AddressKind::kTable ||
      outside.kind == AddressKind::kTable) {
    return in_.Error(target.place, "a table cannot be used with binat-to");
  }
  if (inside.negated || inside.kind == AddressKind::kAny) {
    return in_.Error(target.place, "binat-to wants one source address");
  }
  if (inside.kind == AddressKind::kPrefix &&
      outside.kind == AddressKind::kPrefix && inside.mask != outside.mask) {
    return in_.Error(target.place,
                     "binat-to: the source's mask and the target's must be the "
                     "same");
  }
  const bool network =
      outside.kind == AddressKind::kPrefix &&
      outside.mask != MaskOf(outside.mask.family,
                             AddressBits(outside.mask.family));
  RuleSyntax outward = syntax;
  outward.rule.direction = Direction::kOut;
  outward.nat = target;
  outward.nat->pool.static_port = true;
  if (network) outward.nat->pool.method = PoolMethod::kBitmask;
  outward.binat.reset();
  RuleSyntax inward = syntax;
  inward.rule.direction = Direction::kIn;
  inward.rdr = target;
  inward.rdr->hosts = syntax.source.hosts;
  if (network) inward.rdr->pool.method = PoolMethod::kBitmask;
  inward.source = syntax.destination;
  inward.source.fingerprints.clear();
  inward.destination.hosts = target.hosts;
  inward.destination.ports = syntax.source.ports;
  inward.binat.reset();
  return ExpandRule(outward, out) && ExpandRule(inward, out);
}

}  // namespace sluice
