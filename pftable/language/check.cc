#include "pftable/language/check.h"

#include <optional>
#include <string>

namespace sluice {
namespace {

constexpr uint8_t kIcmp = 1;
constexpr uint8_t kUdp = 17;
constexpr uint8_t kIcmp6 = 58;
constexpr uint8_t kSctp = 132;

bool IsFilter(RuleAction action) {
  return action == RuleAction::kPass || action == RuleAction::kBlock ||
         action == RuleAction::kMatch;
}

bool IsNat(RuleAction action) {
  return action == RuleAction::kNat || action == RuleAction::kNoNat ||
         action == RuleAction::kBinat || action == RuleAction::kNoBinat;
}

bool IsRdr(RuleAction action) {
  return action == RuleAction::kRdr || action == RuleAction::kNoRdr;
}

}  // namespace

bool RuleChecker::CheckRdr(const Rule& rule, const RuleSyntax& syntax,
                           bool has_ports) {
  if (rule.rdr && rule.rdr->port_low != 0 && !has_ports) {
    return in_.Error(syntax.rdr->place,
                     "rpool port only applies to tcp, udp and sctp",
                     rule.protocol == 0 ? "add proto { tcp udp }" : "");
  }
  const CompareOperator op = rule.destination.port.op;
  if (op != CompareOperator::kNone && op != CompareOperator::kEqual &&
      op != CompareOperator::kRange) {
    return in_.Error(syntax.destination.ports[0].place,
                     "invalid port operator for rdr destination port",
                     "write a port or a range, as in 1024:2048");
  }
  return true;
}

bool RuleChecker::CheckRule(const Rule& rule, const RuleSyntax& syntax) {
  const SourcePlace place = rule.place;
  const auto port_place = [&] {
    for (const auto* ports : {&syntax.source.ports,
                              &syntax.destination.ports}) {
      for (const PortItem& p : *ports) {
        if (p.match.IsSet()) return p.place;
      }
    }
    return place;
  };
  const bool ports =
      rule.source.port.IsSet() || rule.destination.port.IsSet();
  // FreeBSD's nat and binat rules are not looked at here.
  if (IsNat(rule.action)) return true;
  const bool has_ports = rule.protocol == protocol::kTcp ||
                         rule.protocol == kUdp || rule.protocol == kSctp;
  if (ports && !has_ports) {
    return in_.Error(port_place(), "port only applies to tcp, udp and sctp",
                     rule.protocol == 0 ? "add proto { tcp udp }" : "");
  }
  if (IsRdr(rule.action)) return CheckRdr(rule, syntax, has_ports);
  if (syntax.flags_given && syntax.rule.flags.mask != 0 &&
      rule.protocol != protocol::kTcp) {
    bool any_tcp = rule.protocol == 0;
    for (const ProtocolItem& p : syntax.protocols) {
      any_tcp = any_tcp || p.number == protocol::kTcp;
    }
    if (!any_tcp) {
      return in_.Error(syntax.flags_place, "flags only apply to tcp");
    }
  }
  if (in_.InDialect(Dialect::kOpenBsd)) {
    const bool socket =
        rule.protocol == protocol::kTcp || rule.protocol == kUdp;
    if ((rule.user.IsSet() || rule.group.IsSet()) && !socket) {
      return in_.Error(place, std::string(rule.user.IsSet() ? "user" : "group") +
                                  " only applies to tcp/udp",
                       rule.protocol == 0 ? "add proto { tcp udp }" : "");
    }
    if (!rule.os.empty() && rule.protocol != protocol::kTcp) {
      return in_.Error(place, "os only applies to tcp",
                       rule.protocol == 0 ? "add proto tcp" : "");
    }
    if (rule.family == Family::kIpv6 &&
        (rule.scrub.no_df || rule.scrub.random_id)) {
      return in_.Error(place,
                       "address family inet6 does not support scrub options "
                       "no-df, random-id");
    }
  }
  if (!rule.os.empty()) {
    bool any_tcp = rule.protocol == 0 || rule.protocol == protocol::kTcp;
    for (const ProtocolItem& p : syntax.protocols) {
      any_tcp = any_tcp || p.number == protocol::kTcp;
    }
    if (!any_tcp) {
      return in_.Error(place, "OS fingerprinting only applies to tcp");
    }
  }
  if ((rule.protocol == kIcmp && rule.family == Family::kIpv6) ||
      (rule.protocol == kIcmp6 && rule.family == Family::kIpv4)) {
    SourcePlace at = place;
    for (const ProtocolItem& p : syntax.protocols) {
      if (p.number == rule.protocol) at = p.place;
    }
    return in_.Error(at, std::string("proto ") +
                             (rule.protocol == kIcmp ? "icmp" : "icmp6") +
                             " doesn't match address family " +
                             (rule.family == Family::kIpv6 ? "inet6" : "inet"));
  }
  if (!IsFilter(rule.action)) return CheckPools(rule, syntax);
  if (rule.fragment && (ports || rule.flags.mask != 0 || rule.icmp_type)) {
    return in_.Error(syntax.fragment_place,
                     "fragments can be filtered only on IP header fields");
  }
  if (rule.action == RuleAction::kBlock &&
      rule.block_return == BlockReturn::kReturnRst &&
      rule.protocol != protocol::kTcp) {
    return in_.Error(syntax.block_place,
                     "return-rst can only be applied to TCP rules",
                     "add proto tcp, or use return");
  }
  const bool match_options = rule.action == RuleAction::kMatch &&
                             in_.InDialect(Dialect::kFreeBsd);
  if (rule.allow_opts && rule.action != RuleAction::kPass && !match_options) {
    return in_.Error(place, "allow-opts can only be specified for pass rules");
  }
  if (rule.once && (rule.IsAnchorCall() ||
                    rule.action == RuleAction::kMatch)) {
    return in_.Error(place, "'once' is for pass and block rules");
  }
  return CheckRuleState(rule, syntax) && CheckPools(rule, syntax);
}

bool RuleChecker::CheckRuleState(const Rule& rule, const RuleSyntax& syntax) {
  if (rule.action != RuleAction::kPass && rule.state != StateKind::kNone) {
    return in_.Error(syntax.state_place,
                     rule.action == RuleAction::kBlock
                         ? "keep state on block rules doesn't make sense"
                         : "keep state is only for pass rules");
  }
  const StateOptions& o = rule.state_options;
  if (o.sloppy && (rule.state == StateKind::kModulate ||
                   rule.state == StateKind::kSynproxy)) {
    return in_.Error(
        syntax.state_place,
        "sloppy state matching cannot be used with synproxy state or "
        "modulate state");
  }
  if (o.max_src_nodes != 0 && o.source_track != SourceTrack::kRule) {
    return in_.Error(syntax.state_place,
                     "'max-src-nodes' requires 'source-track rule'");
  }
  if (rule.state == StateKind::kSynproxy && rule.direction != Direction::kIn &&
      in_.InDialect(Dialect::kFreeBsd)) {
    in_.Warning(syntax.state_place,
                "synproxy state is used for inbound connections only");
  }
  const auto timeout = [&](Timeout which) -> std::optional<uint32_t> {
    for (const auto& [t, value] : o.timeouts) {
      if (t == which) return value;
    }
    return std::nullopt;
  };
  const auto start = timeout(Timeout::kAdaptiveStart);
  const auto end = timeout(Timeout::kAdaptiveEnd);
  if (start.has_value() != end.has_value()) {
    return in_.Error(syntax.state_place,
                     "adaptive.start and adaptive.end are given together");
  }
  if (start && *start != 0 && *end <= *start) {
    return in_.Error(syntax.state_place,
                     "adaptive.end must be above adaptive.start");
  }
  return true;
}

bool RuleChecker::CheckPools(const Rule& rule, const RuleSyntax& syntax) {
  const bool translates = rule.nat || rule.rdr;
  if (!IsFilter(rule.action)) return true;
  const SourcePlace pool_place = syntax.nat     ? syntax.nat->place
                                 : syntax.rdr   ? syntax.rdr->place
                                 : syntax.route ? syntax.route->place
                                                : rule.place;
  if (rule.action == RuleAction::kBlock) {
    if (translates) {
      return in_.Error(pool_place, "translation cannot be used on block rules");
    }
    if (rule.route != RouteKind::kNone) {
      return in_.Error(pool_place,
                       "route-to, reply-to and dup-to cannot be used "
                       "on block rules");
    }
  }
  if (rule.action == RuleAction::kMatch) {
    if (rule.route != RouteKind::kNone) {
      return in_.Error(pool_place,
                       "route-to, reply-to and dup-to are not "
                       "supported on match rules");
    }
    if (rule.af_to != Family::kNone) {
      return in_.Error(pool_place, "af-to is not supported on match rules");
    }
    if (rule.foreign.divert != DivertKind::kNone) {
      return in_.Error(rule.place, "divert is not supported on match rules");
    }
  }
  if (translates && rule.action == RuleAction::kPass &&
      rule.state == StateKind::kNone) {
    return in_.Error(pool_place, "nat-to and rdr-to require keep state");
  }
  if (translates && rule.direction == Direction::kBoth) {
    return in_.Error(pool_place,
                     "direction must be explicit with rules that "
                     "specify translation",
                     "write `out` for nat-to, `in` for rdr-to");
  }
  const bool openbsd = in_.InDialect(Dialect::kOpenBsd);
  if (rule.route != RouteKind::kNone) {
    if (rule.direction == Direction::kBoth &&
        !(openbsd && rule.route == RouteKind::kDupTo)) {
      return in_.Error(pool_place,
                       "direction must be explicit with rules that "
                       "specify routing");
    }
    if (openbsd && rule.state == StateKind::kNone) {
      return in_.Error(pool_place,
                       "route-to, reply-to and dup-to require keep state");
    }
  }
  if (rule.af_to != Family::kNone) {
    if (rule.direction != Direction::kIn && in_.InDialect(Dialect::kOpenBsd)) {
      return in_.Error(pool_place, "af-to can only be used on inbound rules",
                       "FreeBSD's pf has it on outbound rules too: --dialect "
                       "freebsd");
    }
    if (rule.family == rule.af_to) {
      return in_.Error(
          pool_place,
          "incorrect address family translation: the rule is of the "
          "family it translates to");
    }
    if (rule.route != RouteKind::kNone && in_.InDialect(Dialect::kOpenBsd)) {
      return in_.Error(pool_place,
                       "af-to cannot be combined with route-to or reply-to",
                       "FreeBSD's pf can: --dialect freebsd");
    }
  }
  for (const std::optional<Pool>* pool :
       {&rule.nat, &rule.rdr, &rule.route_pool}) {
    if (!pool->has_value()) continue;
    const bool least = (*pool)->method == PoolMethod::kLeastStates;
    if (least && in_.InDialect(Dialect::kFreeBsd)) {
      return in_.Error(
          pool_place,
          "least-states is OpenBSD's; FreeBSD's pf has no such pool",
          "round-robin, or --dialect openbsd");
    }
  }
  return true;
}

}  // namespace sluice
