// binat-to, which is nat-to with static ports outward and rdr-to inward.
#include <string>
#include <utility>
#include <vector>

#include "pftable/language/decide_family.h"
#include "pftable/language/expand.h"

namespace sluice {
namespace {

template <typename Item>
std::vector<Item> From(const std::vector<Item>& list, size_t first) {
  return {list.begin() + static_cast<ptrdiff_t>(first), list.end()};
}

// Addresses of one family, and those that have none of their own.
std::vector<HostItem> OfFamily(const std::vector<HostItem>& hosts,
                               Family family) {
  std::vector<HostItem> out;
  for (const HostItem& host : hosts) {
    if (family == Family::kNone || host.family == Family::kNone ||
        host.family == family) {
      out.push_back(host);
    }
  }
  return out;
}

}  // namespace

bool RuleExpander::CheckBinat(const RuleSyntax& syntax, const HostItem& inside,
                              const HostItem& outside) {
  const SourcePlace place = syntax.binat->place;
  for (const HostItem* host : {&inside, &outside}) {
    const AddressMatch& m = host->match;
    if (m.kind == AddressKind::kTable) {
      return in_.Error(place, "invalid use of table <" + m.name +
                                  "> in a binat-to rule");
    }
    if (IsDynamicSet(m)) {
      return in_.Error(
          place, "dynamic interfaces must be used with :0 in a binat-to rule",
          "write (" + m.name + ":0)");
    }
    if (m.kind == AddressKind::kAny) {
      return in_.Error(place,
                       "source and redir addresses must have a matching "
                       "network mask in a binat-to rule",
                       "binat-to wants an address or a network on both sides");
    }
    if (m.kind != AddressKind::kPrefix &&
        m.kind != AddressKind::kDynamicInterface) {
      return in_.Error(place,
                       "binat-to requires a specified source and redirect "
                       "address");
    }
  }
  if (inside.match.kind == AddressKind::kPrefix &&
      outside.match.kind == AddressKind::kPrefix &&
      inside.match.mask != outside.match.mask) {
    return in_.Error(place,
                     "binat-to: the source's mask and the target's must be the "
                     "same");
  }
  return true;
}

bool RuleExpander::ExpandBinat(RuleSyntax& syntax, std::vector<Rule>& out) {
  const PoolSyntax& target = *syntax.binat;
  if (syntax.rule.direction != Direction::kBoth) {
    return in_.Error(
        target.place,
        "binat-to cannot be used with a direction: it is for both");
  }
  if (target.pool.port_low != 0) {
    return in_.Error(target.place, "binat-to has no ports");
  }
  const Family family = DecideFamily(syntax, in_.dialect());
  const std::vector<HostItem> outside = OfFamily(target.hosts, family);
  if (outside.size() != 1) {
    return in_.Error(target.place, "binat-to wants one target address");
  }
  Fill(syntax);
  if (!CheckProduct(syntax)) return false;
  // One rule outward for each combination and behind it what answers it. As
  // in pfctl, that is expanded with what stands behind the present item in
  // each list, so that some rules come twice.
  size_t added = 0;
  const auto one = [&](size_t on, size_t protocol, size_t icmp,
                       const HostItem& source, size_t destination,
                       size_t source_port, size_t port, size_t os, size_t user,
                       size_t group) {
    const HostItem& to = syntax.destination.hosts[destination];
    if (!Fits(family, source, to, syntax.interfaces[on])) return true;
    if (!CheckBinat(syntax, source, outside[0])) return false;
    ++added;
    RuleSyntax outward = syntax;
    outward.binat.reset();
    outward.rule.family = family;
    outward.rule.direction = Direction::kOut;
    outward.interfaces = {syntax.interfaces[on]};
    outward.protocols = {syntax.protocols[protocol]};
    outward.icmp = {syntax.icmp[icmp]};
    outward.source.hosts = {source};
    outward.source.ports = {syntax.source.ports[source_port]};
    outward.source.fingerprints = {syntax.source.fingerprints[os]};
    outward.destination.hosts = {to};
    outward.destination.ports = {syntax.destination.ports[port]};
    outward.users = {syntax.users[user]};
    outward.groups = {syntax.groups[group]};
    outward.nat = target;
    outward.nat->hosts = outside;
    outward.nat->pool.static_port = true;

    RuleSyntax inward = syntax;
    inward.binat.reset();
    inward.rule.family = family;
    inward.rule.direction = Direction::kIn;
    inward.interfaces = From(syntax.interfaces, on);
    inward.protocols = From(syntax.protocols, protocol);
    inward.icmp = From(syntax.icmp, icmp);
    inward.source.hosts = From(syntax.destination.hosts, destination);
    inward.source.ports = From(syntax.destination.ports, port);
    inward.source.fingerprints = From(syntax.source.fingerprints, os);
    inward.destination.hosts = outside;
    inward.destination.ports = From(syntax.source.ports, source_port);
    inward.users = From(syntax.users, user);
    inward.groups = From(syntax.groups, group);
    inward.rdr = target;
    inward.rdr->hosts = {source};
    inward.rdr->hosts[0].match.negated = false;
    return ExpandRule(outward, out) && ExpandRule(inward, out);
  };
  for (size_t on = 0; on < syntax.interfaces.size(); ++on) {
    for (size_t p = 0; p < syntax.protocols.size(); ++p) {
      for (size_t icmp = 0; icmp < syntax.icmp.size(); ++icmp) {
        for (const HostItem& source : syntax.source.hosts) {
          for (size_t to = 0; to < syntax.destination.hosts.size(); ++to) {
            for (size_t s = 0; s < syntax.source.ports.size(); ++s) {
              for (size_t d = 0; d < syntax.destination.ports.size(); ++d) {
                for (size_t o = 0; o < syntax.source.fingerprints.size();
                     ++o) {
                  for (size_t u = 0; u < syntax.users.size(); ++u) {
                    for (size_t g = 0; g < syntax.groups.size(); ++g) {
                      if (!one(on, p, icmp, source, to, s, d, o, u, g)) {
                        return false;
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
  }
  return added != 0 || NoCombination(syntax);
}

}  // namespace sluice
