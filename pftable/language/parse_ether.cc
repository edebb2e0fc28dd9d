// FreeBSD's rules for layer 2.
#include <string>
#include <utility>

#include "pftable/language/parser_internal.h"

namespace sluice {
bool Parser::ParseMac(MacMatch& mac) {
  mac.is_set = true;
  mac.negated = Accept('!');
  const Token word = token_;
  if (word.kind != TokenKind::kWord) return Unexpected("a MAC address");
  Take();
  const auto parse = [&](std::string_view text, std::array<uint8_t, 6>& out) {
    if (text.size() != 17) return false;
    for (size_t i = 0; i < 6; ++i) {
      const auto byte =
          ParseUnsigned("0x" + std::string(text.substr(i * 3, 2)));
      if (!byte || (i < 5 && text[i * 3 + 2] != ':')) return false;
      out[i] = static_cast<uint8_t>(*byte);
    }
    return true;
  };
  const size_t ampersand = word.text.find('&');
  mac.mask.fill(0xff);
  if (!parse(std::string_view(word.text).substr(0, ampersand),
             mac.address) ||
      (ampersand != std::string::npos &&
       !parse(std::string_view(word.text).substr(ampersand + 1), mac.mask))) {
    return Error(word.place, "'" + word.text.substr(0, 64) +
                                 "' is not a MAC address",
                 "write 00:11:22:33:44:55, with /bits or &mask");
  }
  if (ampersand == std::string::npos && Accept('/')) {
    int64_t bits = 0;
    if (!TakeNumber("MAC mask", 0, 48, bits)) return false;
    for (int64_t i = 0; i < 48; ++i) {
      if (i >= bits) {
        mac.mask[static_cast<size_t>(i / 8)] &=
            static_cast<uint8_t>(~(0x80 >> (i % 8)));
      }
    }
  }
  for (size_t i = 0; i < 6; ++i) mac.address[i] &= mac.mask[i];
  return true;
}

bool Parser::ParseEther(SourcePlace place) {
  const bool is_anchor = token_.IsWord("anchor");
  bool in_body = false;
  if (ParseEtherRule(place, in_body)) return true;
  return is_anchor && !in_body ? GiveUpBody() : false;
}

bool Parser::ParseEtherRule(SourcePlace place, bool& in_body) {
  EtherRule rule;
  rule.place = place;
  bool is_anchor = false;
  if (AcceptWord("block")) {
    rule.block = true;
  } else if (AcceptWord("anchor")) {
    const SourcePlace name_place = token_.place;
    const bool named =
        token_.kind == TokenKind::kQuoted ||
        (token_.kind == TokenKind::kWord && !IsReservedWord(token_.text));
    if (named && !ParseAnchorName(rule.anchor_call, rule.anchor_wildcard)) {
      return false;
    }
    if (named &&
        !AnchorPath(rule.anchor_call, name_place, rule.anchor_path)) {
      return false;
    }
    is_anchor = true;
  } else if (!AcceptWord("pass")) {
    return Unexpected("pass, block or anchor", {"pass", "block", "anchor"});
  }
  RuleSyntax head;
  if (!ParseDirectionLogQuick(head)) return false;
  if (head.rule.log.enabled) {
    return Error(place, "'log' cannot be used on ether rules");
  }
  rule.direction = head.rule.direction;
  rule.quick = head.rule.quick;
  std::vector<InterfaceItem> interfaces;
  if (AcceptWord("on") && !ParseInterfaces(interfaces, false)) return false;
  if (AcceptWord("bridge-to") &&
      !TakeString("an interface name", rule.bridge_to.name,
                  kMaxInterfaceName)) {
    return false;
  }
  std::vector<uint16_t> types;
  if (AcceptWord("proto") && !ParseList([&] {
        int64_t type = 0;
        if (!TakeNumber("ethertype", 1, 65535, type)) return false;
        types.push_back(static_cast<uint16_t>(type));
        return true;
      })) {
    return false;
  }
  std::vector<MacMatch> sources;
  std::vector<MacMatch> destinations;
  const auto macs = [&](std::vector<MacMatch>& out) {
    return ParseList([&] { return ParseMac(out.emplace_back()); });
  };
  if (AcceptWord("from") && !macs(sources)) return false;
  if (AcceptWord("to") && !macs(destinations)) return false;
  if (AcceptWord("l3")) {
    if (AcceptWord("all")) {
      // no condition
    } else {
      if (AcceptWord("from") &&
          !ParseHosts(head.source.hosts, HostContext::kRule)) {
        return false;
      }
      if (AcceptWord("to") &&
          !ParseHosts(head.destination.hosts, HostContext::kRule)) {
        return false;
      }
    }
  }
  while (!AtStatementEnd() && !(is_anchor && token_.Is('{'))) {
    const Token word = token_;
    if (Accept('!')) {
      rule.tagged_negated = true;
      if (!AcceptWord("tagged")) return Unexpected("'tagged'");
      if (!ParseTag("tag", rule.tagged)) return false;
    } else if (AcceptWord("tagged")) {
      if (!ParseTag("tag", rule.tagged)) return false;
    } else if (AcceptWord("tag")) {
      if (!ParseTag("tag", rule.tag)) return false;
    } else if (AcceptWord("label")) {
      if (!ParseLabel(rule.labels)) return false;
    } else if (AcceptWord("ridentifier")) {
      int64_t number = 0;
      if (!TakeNumber("ridentifier", 1, 0xffffffff, number)) return false;
      rule.ridentifier = static_cast<uint32_t>(number);
    } else if (word.IsWord("queue") || word.IsWord("dnpipe") ||
               word.IsWord("dnqueue")) {
      Take();
      bool known = false;
      if (!ParseForeignOption(head, word, known)) return false;
    } else {
      return Unexpected("an option of an ether rule",
                        {"tag", "tagged", "label", "ridentifier", "queue",
                         "dnpipe", "dnqueue", "l3", "from", "to", "proto"});
    }
  }
  rule.foreign = head.rule.foreign;
  if (!CheckOrder(Section::kEther, place)) return false;
  const bool has_body = is_anchor && token_.Is('{');
  if (is_anchor && rule.anchor_call.empty()) {
    if (!has_body) {
      return Error(place, "ether anchor without a name and without a body");
    }
    rule.anchor_call = "_" + std::to_string(anchors_.back().next_unnamed++);
    if (!AnchorPath(rule.anchor_call, place, rule.anchor_path)) return false;
  }
  if (has_body && rule.anchor_wildcard) {
    return Error(token_.place, "a wildcard anchor has no body");
  }

  if (interfaces.empty()) interfaces.emplace_back();
  if (types.empty()) types.push_back(0);
  if (sources.empty()) sources.emplace_back();
  if (destinations.empty()) destinations.emplace_back();
  if (head.source.hosts.empty()) head.source.hosts.emplace_back();
  if (head.destination.hosts.empty()) head.destination.hosts.emplace_back();
  uint64_t product = 1;
  for (const size_t n :
       {interfaces.size(), types.size(), sources.size(), destinations.size(),
        head.source.hosts.size(), head.destination.hosts.size()}) {
    if (product > input_.limits.rules) break;
    product *= n;
  }
  if (product > input_.limits.rules - rule_count_) {
    return Error(place, "the lists of this rule make the ruleset larger than " +
                            std::to_string(input_.limits.rules) + " rules");
  }
  std::vector<EtherRule>& out = Here().rules.ether;
  for (const InterfaceItem& on : interfaces) {
    for (const uint16_t type : types) {
      for (const MacMatch& source : sources) {
        for (const MacMatch& destination : destinations) {
          for (const HostItem& l3_source : head.source.hosts) {
            for (const HostItem& l3_destination : head.destination.hosts) {
              if (l3_source.family != Family::kNone &&
                  l3_destination.family != Family::kNone &&
                  l3_source.family != l3_destination.family) {
                continue;
              }
              EtherRule& r = out.emplace_back(rule);
              r.on = on.match;
              r.ether_type = type;
              r.source = source;
              r.destination = destination;
              r.l3_source = l3_source.match;
              r.l3_destination = l3_destination.match;
              ++rule_count_;
            }
          }
        }
      }
    }
  }
  in_body = has_body;
  return !has_body || ParseEtherBody(rule.anchor_path);
}

// The braces behind an `ether anchor`; its other rules are of the anchor with
// the same name.
bool Parser::ParseEtherBody(const std::string& path) {
  const SourcePlace opened = token_.place;
  Take();
  if (!input_.anchor.empty()) {
    Error(opened, "an ether anchor with a body is for main rulesets");
    SkipBody();
    return false;
  }
  MakeAnchor(path, opened);
  anchors_.push_back(
      {.path = path, .next_unnamed = 1, .lexer_depth = lexer_.depth()});
  ParseStatements(/*in_anchor=*/true);
  anchors_.pop_back();
  brace_depth_ = 0;
  if (!token_.Is('}')) return Error(opened, "'{' without '}'");
  Take();
  return true;
}

}  // namespace sluice
