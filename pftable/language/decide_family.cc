#include "pftable/language/decide_family.h"

namespace sluice {
namespace {

// The family that all have; tables and dynamic addresses have none.
Family Common(const std::vector<HostItem>& hosts) {
  if (hosts.empty()) return Family::kNone;
  for (const HostItem& host : hosts) {
    if (host.family != hosts[0].family) return Family::kNone;
  }
  return hosts[0].family;
}

Family First(const std::vector<HostItem>& hosts) {
  for (const HostItem& host : hosts) {
    if (host.family != Family::kNone) return host.family;
  }
  return Family::kNone;
}

bool IsTranslationRule(RuleAction action) {
  return action == RuleAction::kNat || action == RuleAction::kNoNat ||
         action == RuleAction::kRdr || action == RuleAction::kNoRdr ||
         action == RuleAction::kBinat || action == RuleAction::kNoBinat;
}

}  // namespace

bool IsMixed(const std::vector<HostItem>& hosts) {
  const Family first = First(hosts);
  for (const HostItem& host : hosts) {
    if (host.family != Family::kNone && host.family != first) return true;
  }
  return false;
}

Family DecideFamily(const RuleSyntax& syntax, Dialect dialect) {
  const Rule& rule = syntax.rule;
  if (rule.family != Family::kNone) return rule.family;
  Family family = Family::kNone;
  const auto decide = [&](Family by) {
    if (family == Family::kNone) family = by;
  };
  // FreeBSD's translation rules are of the family of the first address that
  // has one, whatever comes behind it.
  const auto pool = [&](const std::optional<PoolSyntax>& p) {
    if (p) decide(First(p->hosts));
  };
  if (IsTranslationRule(rule.action) && !rule.IsAnchorCall()) {
    for (const auto* hosts : {&syntax.source.hosts, &syntax.destination.hosts}) {
      if (!hosts->empty() && (*hosts)[0].scope.empty()) {
        decide((*hosts)[0].family);
      }
    }
    pool(syntax.nat);
    pool(syntax.rdr);
    return family;
  }
  decide(Common(syntax.source.hosts));
  decide(Common(syntax.destination.hosts));
  if (rule.af_to != Family::kNone) {
    decide(rule.af_to == Family::kIpv4 ? Family::kIpv6 : Family::kIpv4);
  }
  // Lists with both families are left for CheckPoolFamilies(); in FreeBSD's
  // routes the first one counts.
  for (const auto* p : {&syntax.rdr, &syntax.nat, &syntax.binat}) {
    if (*p && !IsMixed((*p)->hosts)) pool(*p);
  }
  if (syntax.route && (dialect == Dialect::kFreeBsd ||
                       !IsMixed(syntax.route->hosts))) {
    if (!syntax.route->pool.prefer_ipv6_nexthop) pool(syntax.route);
  }
  return family;
}

}  // namespace sluice
