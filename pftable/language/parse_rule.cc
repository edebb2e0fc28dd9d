// The front of a rule: action, direction, log, interface, family, protocol,
// addresses.
#include <string>
#include <utility>

#include "pftable/policy/names.h"
#include "pftable/language/parser_internal.h"

namespace sluice {
namespace {

constexpr size_t kMaxFingerprint = 63;

}  // namespace

bool Parser::ParseFilterRule(SourcePlace place, RuleAction action) {
  RuleSyntax rule;
  rule.rule.action = action;
  rule.rule.place = place;
  rule.block_place = place;
  if (action == RuleAction::kBlock && !ParseBlockReturn(rule)) return false;
  if (!ParseDirectionLogQuick(rule) || !ParseRuleHead(rule)) return false;
  rule.options_place = token_.place;
  if (!ParseFilterOptions(rule)) return false;
  if (!AtStatementEnd()) return Unexpected("an option of the rule");
  if (!CheckOrder(Section::kFilter, place)) return false;
  ApplyStateDefaults(rule);
  if (rule.binat) return ExpandBinat(rule, Here().rules.filter);
  return ExpandRule(rule, Here().rules.filter);
}

bool Parser::ParseIcmpCode(std::string_view what, uint8_t type, Family family,
                           uint8_t& code) {
  const Token word = token_;
  if (word.kind == TokenKind::kNumber || ParseUnsigned(word.text)) {
    int64_t number = 0;
    if (!TakeNumber(what, 0, 255, number)) return false;
    code = static_cast<uint8_t>(number);
    return true;
  }
  if (!word.IsString()) return Unexpected(what);
  const auto known = IcmpCodeByName(word.text, type, family);
  if (!known) {
    std::vector<std::string_view> names;
    for (const IcmpCodeName& c : IcmpCodeNames(family)) {
      if (c.type == type) names.push_back(c.name);
    }
    return Error(word.place,
                 "unknown " + std::string(what) + " " +
                     word.text.substr(0, 64),
                 DidYouMean(word.text, names));
  }
  Take();
  code = *known;
  return true;
}

bool Parser::ParseBlockReturn(RuleSyntax& rule) {
  Rule& r = rule.rule;
  r.block_return = result_.policy.options.block_policy;
  rule.block_place = token_.place;
  if (AcceptWord("drop")) {
    r.block_return = BlockReturn::kDrop;
    return true;
  }
  if (AcceptWord("return")) {
    r.block_return = BlockReturn::kReturn;
    return true;
  }
  if (AcceptWord("return-rst")) {
    r.block_return = BlockReturn::kReturnRst;
    if (!Accept('(')) return true;
    if (!AcceptWord("ttl")) return Unexpected("'ttl'");
    int64_t ttl = 0;
    if (!TakeNumber("ttl", 1, 255, ttl)) return false;
    r.return_rst_ttl = static_cast<uint8_t>(ttl);
    return Expect(')', "after the ttl");
  }
  if (AcceptWord("return-icmp")) {
    r.block_return = BlockReturn::kReturnIcmp;
    if (!Accept('(')) return true;
    if (!ParseIcmpCode("icmp code", 3, Family::kIpv4, r.return_icmp_code)) {
      return false;
    }
    if (Accept(',') || !token_.Is(')')) {
      if (!ParseIcmpCode("icmp6 code", 1, Family::kIpv6,
                         r.return_icmp6_code)) {
        return false;
      }
    }
    return Expect(')', "after an icmp code");
  }
  if (AcceptWord("return-icmp6")) {
    r.block_return = BlockReturn::kReturnIcmp;
    if (!Accept('(')) return true;
    if (!ParseIcmpCode("icmp6 code", 1, Family::kIpv6, r.return_icmp6_code)) {
      return false;
    }
    return Expect(')', "after an icmp6 code");
  }
  return true;
}

bool Parser::ParseLogOptions(LogOptions& log) {
  log.enabled = true;
  if (!Accept('(')) return true;
  while (!Accept(')')) {
    if (AcceptWord("all")) {
      log.all = true;
    } else if (AcceptWord("matches")) {
      log.matches = true;
    } else if (AcceptWord("user")) {
      log.user = true;
    } else if (AcceptWord("to")) {
      const Token name = token_;
      std::string text;
      if (!TakeString("a pflog interface", text, kMaxInterfaceName)) {
        return false;
      }
      const auto number = text.rfind("pflog", 0) == 0
                              ? ParseUnsigned(text.substr(5))
                              : std::nullopt;
      if (!number || *number > 255) {
        return Error(name.place, "'" + text + "' is not a pflog interface",
                     "write pflog0 to pflog255");
      }
      log.pflog = static_cast<uint8_t>(*number);
    } else {
      return Unexpected("a log option", {"all", "matches", "user", "to"});
    }
    Accept(',');
  }
  return true;
}

bool Parser::ParseDirectionLogQuick(RuleSyntax& rule) {
  if (AcceptWord("in")) {
    rule.rule.direction = Direction::kIn;
  } else if (AcceptWord("out")) {
    rule.rule.direction = Direction::kOut;
  }
  for (;;) {
    const SourcePlace place = token_.place;
    if (AcceptWord("log")) {
      if (rule.rule.log.enabled) {
        return Error(place, "'log' is given twice");
      }
      if (!ParseLogOptions(rule.rule.log)) return false;
    } else if (AcceptWord("quick")) {
      if (rule.rule.quick) return Error(place, "'quick' is given twice");
      rule.rule.quick = true;
    } else {
      return true;
    }
  }
}

bool Parser::ParseInterfaces(std::vector<InterfaceItem>& out,
                             bool allow_dynamic) {
  return ParseList([&] {
    InterfaceItem item;
    item.place = token_.place;
    item.match.negated = Accept('!');
    if (AcceptWord("rdomain")) {
      int64_t number = 0;
      if (!TakeNumber("rdomain", 0, 255, number)) return false;
      item.rdomain = static_cast<int32_t>(number);
      out.push_back(std::move(item));
      return true;
    }
    const bool dynamic = allow_dynamic && Accept('(');
    item.dynamic = dynamic;
    if (token_.IsWord("any") && item.match.negated) {
      return Error(item.place, "'! any' matches no interface");
    }
    const SourcePlace place = token_.place;
    if (!TakeString("an interface name", item.match.name,
                    kMaxInterfaceName)) {
      return false;
    }
    if (item.match.name.empty()) {
      return Error(place, "empty interface name");
    }
    if (dynamic && !Expect(')', "after an interface name")) return false;
    UseInterface(item.match.name, place);
    out.push_back(std::move(item));
    return true;
  });
}

bool Parser::ParseFamily(Family& family) {
  if (AcceptWord("inet")) {
    family = Family::kIpv4;
  } else if (AcceptWord("inet6")) {
    family = Family::kIpv6;
  }
  return true;
}

bool Parser::ParseProtocols(std::vector<ProtocolItem>& out) {
  return ParseList([&] {
    ProtocolItem item;
    item.place = token_.place;
    if (!token_.IsString() && token_.kind != TokenKind::kNumber) {
      return Unexpected("a protocol");
    }
    const Token word = Take();
    if (const auto number = ParseUnsigned(word.text)) {
      if (*number > 255) {
        return Error(word.place, "protocol outside range 0 to 255");
      }
      item.number = static_cast<uint8_t>(*number);
    } else if (const auto known = facts_.Protocol(word.text)) {
      item.number = *known;
    } else {
      return Error(word.place,
                   "unknown protocol " + word.text.substr(0, 64),
                   DidYouMean(word.text, facts_.ProtocolNames()));
    }
    if (item.number == 0) {
      return Error(word.place,
                   "protocol 0 cannot be filtered: it is every protocol");
    }
    out.push_back(item);
    return true;
  });
}

bool Parser::ParseFingerprints(std::vector<std::string>& out) {
  return ParseList([&] {
    std::string name;
    if (!TakeString("an operating system", name, kMaxFingerprint)) {
      return false;
    }
    out.push_back(std::move(name));
    return true;
  });
}

bool Parser::ParseFromTo(RuleSyntax& rule) {
  if (AcceptWord("all")) return true;
  if (AcceptWord("from")) {
    if (!token_.IsWord("port") &&
        !ParseHosts(rule.source.hosts, HostContext::kRule)) {
      return false;
    }
    if (AcceptWord("port") && !ParsePorts(rule.source.ports)) return false;
    if (AcceptWord("os") && !ParseFingerprints(rule.source.fingerprints)) {
      return false;
    }
  } else if (AcceptWord("os")) {
    if (!ParseFingerprints(rule.source.fingerprints)) return false;
  }
  if (AcceptWord("to")) {
    if (!token_.IsWord("port") &&
        !ParseHosts(rule.destination.hosts, HostContext::kRule)) {
      return false;
    }
    if (AcceptWord("port") && !ParsePorts(rule.destination.ports)) {
      return false;
    }
  }
  return true;
}

bool Parser::ParseRuleHead(RuleSyntax& rule) {
  if (AcceptWord("on")) {
    if (!ParseInterfaces(rule.interfaces, false)) return false;
  }
  // FreeBSD has the route before the family.
  for (;;) {
    RouteKind kind = RouteKind::kNone;
    if (token_.IsWord("route-to")) kind = RouteKind::kRouteTo;
    if (token_.IsWord("reply-to")) kind = RouteKind::kReplyTo;
    if (token_.IsWord("dup-to")) kind = RouteKind::kDupTo;
    if (kind == RouteKind::kNone) break;
    Take();
    if (!ParseRoute(rule, kind)) return false;
  }
  if (!ParseFamily(rule.rule.family)) return false;
  if (AcceptWord("proto") && !ParseProtocols(rule.protocols)) return false;
  return ParseFromTo(rule);
}

}  // namespace sluice
