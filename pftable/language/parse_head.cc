#include "pftable/language/parse_head.h"

#include <string>
#include <utility>
#include <vector>

#include "pftable/language/words.h"

namespace sluice {
namespace {

constexpr size_t kMaxFingerprint = 63;

}  // namespace

bool HeadParser::ParseLogOptions(LogOptions& log) {
  log.enabled = true;
  if (!in_.Accept('(')) return true;
  do {
    if (in_.AcceptWord("all")) {
      log.all = true;
    } else if (in_.AcceptWord("matches")) {
      log.matches = true;
    } else if (in_.AcceptWord("user")) {
      log.user = true;
    } else if (in_.AcceptWord("to")) {
      const Token name = in_.token();
      std::string text;
      if (!in_.TakeName("a pflog interface", text, kMaxInterfaceName)) {
        return false;
      }
      const auto number = text.rfind("pflog", 0) == 0
                              ? ParseUnsigned(text.substr(5))
                              : std::nullopt;
      if (!number || *number > 255) {
        return in_.Error(name.place, "'" + text + "' is not a pflog interface",
                         "write pflog0 to pflog255");
      }
      log.pflog = static_cast<uint8_t>(*number);
    } else {
      return in_.Unexpected("a log option", {"all", "matches", "user", "to"});
    }
  } while (in_.Accept(',') || !in_.token().Is(')'));
  return in_.Accept(')');
}

bool HeadParser::ParseDirectionLogQuick(RuleSyntax& rule) {
  if (in_.AcceptWord("in")) {
    rule.rule.direction = Direction::kIn;
  } else if (in_.AcceptWord("out")) {
    rule.rule.direction = Direction::kOut;
  }
  for (;;) {
    const SourcePlace place = in_.token().place;
    if (in_.AcceptWord("log")) {
      if (rule.rule.log.enabled) {
        return in_.Error(place, "'log' is given twice");
      }
      if (!ParseLogOptions(rule.rule.log)) return false;
    } else if (in_.AcceptWord("quick")) {
      if (rule.rule.quick) return in_.Error(place, "'quick' is given twice");
      rule.rule.quick = true;
    } else {
      return true;
    }
  }
}

bool HeadParser::ParseInterfaces(std::vector<InterfaceItem>& out,
                                 bool allow_dynamic) {
  return in_.ParseList([&] {
    InterfaceItem item;
    item.place = in_.token().place;
    item.match.negated = in_.Accept('!');
    if (in_.AcceptWord("rdomain")) {
      int64_t number = 0;
      if (!in_.TakeNumber("rdomain", 0, 255, number)) return false;
      item.rdomain = static_cast<int32_t>(number);
      out.push_back(std::move(item));
      return true;
    }
    const bool dynamic = allow_dynamic && in_.Accept('(');
    item.dynamic = dynamic;
    if (in_.token().IsWord("any") && item.match.negated) {
      return in_.Error(item.place, "'! any' matches no interface");
    }
    const SourcePlace place = in_.token().place;
    if (!in_.TakeInterface(item.match.name)) return false;
    if (item.match.name.empty()) {
      return in_.Error(place, "empty interface name");
    }
    if (dynamic && !in_.Expect(')', "after an interface name")) return false;
    names_.UseInterface(item.match.name, place);
    out.push_back(std::move(item));
    return true;
  });
}

bool HeadParser::ParseProtocols(std::vector<ProtocolItem>& out) {
  return in_.ParseList([&] {
    ProtocolItem item;
    item.place = in_.token().place;
    if (!in_.token().IsString() && in_.token().kind != TokenKind::kNumber) {
      return in_.Unexpected("a protocol");
    }
    const Token word = in_.Take();
    if (const auto number = ParseUnsigned(word.text)) {
      if (*number > 255) {
        return in_.Error(word.place, "protocol outside range 0 to 255");
      }
      item.number = static_cast<uint8_t>(*number);
    } else if (const auto known = facts_.Protocol(word.text)) {
      item.number = *known;
    } else {
      return in_.Error(word.place,
                       "unknown protocol " + word.text.substr(0, 64),
                       DidYouMean(word.text, facts_.ProtocolNames()));
    }
    if (item.number == 0) {
      return in_.Error(word.place,
                       "protocol 0 cannot be filtered: it is every protocol");
    }
    out.push_back(item);
    return true;
  });
}

bool HeadParser::ParseFingerprints(std::vector<std::string>& out) {
  return in_.ParseList([&] {
    std::string name;
    if (!in_.TakeName("an operating system", name, kMaxFingerprint)) {
      return false;
    }
    out.push_back(std::move(name));
    return true;
  });
}

bool HeadParser::ParseFromTo(RuleSyntax& rule) {
  if (in_.AcceptWord("all")) return true;
  if (in_.AcceptWord("from")) {
    if (!in_.token().IsWord("port") &&
        !hosts_.ParseHosts(rule.source.hosts, HostContext::kRule)) {
      return false;
    }
    if (in_.AcceptWord("port") && !ports_.ParsePorts(rule.source.ports))
      return false;
    if (in_.AcceptWord("os") && !ParseFingerprints(rule.source.fingerprints)) {
      return false;
    }
  } else if (in_.AcceptWord("os")) {
    if (!ParseFingerprints(rule.source.fingerprints)) return false;
  }
  if (in_.AcceptWord("to")) {
    const SourcePlace place = in_.token().place;
    if (!in_.token().IsWord("port") &&
        !hosts_.ParseHosts(rule.destination.hosts, HostContext::kRule)) {
      return false;
    }
    for (const HostItem& host : rule.destination.hosts) {
      if (host.match.kind != AddressKind::kUrpfFailed) continue;
      return in_.Error(place, "\"urpf-failed\" is not permitted in a "
                              "destination address");
    }
    if (in_.AcceptWord("port") && !ports_.ParsePorts(rule.destination.ports)) {
      return false;
    }
  }
  return true;
}

bool HeadParser::ParseRuleHead(RuleSyntax& rule) {
  if (in_.AcceptWord("on")) {
    if (!ParseInterfaces(rule.interfaces, false)) return false;
  }
  // FreeBSD has the route before the family; `fastroute` is of old and none.
  if (in_.InDialect(Dialect::kFreeBsd)) in_.AcceptWord("fastroute");
  for (;;) {
    RouteKind kind = RouteKind::kNone;
    if (in_.token().IsWord("route-to")) kind = RouteKind::kRouteTo;
    if (in_.token().IsWord("reply-to")) kind = RouteKind::kReplyTo;
    if (in_.token().IsWord("dup-to")) kind = RouteKind::kDupTo;
    if (kind == RouteKind::kNone) break;
    in_.Take();
    if (!pools_.ParseRoute(rule, kind)) return false;
  }
  if (!hosts_.ParseFamily(rule.rule.family)) return false;
  if (in_.AcceptWord("proto") && !ParseProtocols(rule.protocols)) return false;
  return ParseFromTo(rule);
}

}  // namespace sluice
