#include "pftable/language/parse_ether.h"

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pftable/language/words.h"
#include "pftable/policy/reserved_words.h"

namespace sluice {

bool EtherParser::ParseMac(MacMatch& mac) {
  mac.is_set = true;
  mac.negated = in_.Accept('!');
  const Token word = in_.token();
  if (word.kind != TokenKind::kWord) return in_.Unexpected("a MAC address");
  in_.Take();
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
    return in_.Error(word.place,
                     "'" + word.text.substr(0, 64) + "' is not a MAC address",
                     "write 00:11:22:33:44:55, with /bits or &mask");
  }
  if (ampersand == std::string::npos && in_.Accept('/')) {
    int64_t bits = 0;
    if (!in_.TakeNumber("MAC mask", 0, 48, bits)) return false;
    for (int64_t i = 0; i < 48; ++i) {
      // pf counts the bits of a byte from its least.
      if (i >= bits) {
        mac.mask[static_cast<size_t>(i / 8)] &=
            static_cast<uint8_t>(~(1 << (i % 8)));
      }
    }
  }
  return true;
}

bool EtherParser::ParseEther(SourcePlace place) {
  const bool is_anchor = in_.token().IsWord("anchor");
  bool in_body = false;
  if (ParseEtherRule(place, in_body)) return true;
  return is_anchor && !in_body ? in_.GiveUpBody() : false;
}

bool EtherParser::ParseEtherRule(SourcePlace place, bool& in_body) {
  EtherRule rule;
  rule.place = place;
  bool is_anchor = false;
  if (in_.AcceptWord("block")) {
    rule.block = true;
  } else if (in_.AcceptWord("anchor")) {
    const SourcePlace name_place = in_.token().place;
    const bool named = in_.token().kind == TokenKind::kQuoted ||
                       (in_.token().kind == TokenKind::kWord &&
                        !IsReservedWord(in_.token().text));
    if (named &&
        !anchors_.ParseAnchorName(rule.anchor_call, rule.anchor_wildcard)) {
      return false;
    }
    if (named &&
        !anchors_.AnchorPath(rule.anchor_call, name_place, rule.anchor_path)) {
      return false;
    }
    is_anchor = true;
  } else if (!in_.AcceptWord("pass")) {
    return in_.Unexpected("pass, block or anchor", {"pass", "block", "anchor"});
  }
  RuleSyntax head;
  if (!heads_.ParseDirectionLogQuick(head)) return false;
  if (head.rule.log.enabled) {
    return in_.Error(place, "'log' cannot be used on ether rules");
  }
  rule.direction = head.rule.direction;
  rule.quick = head.rule.quick;
  std::vector<InterfaceItem> interfaces;
  if (in_.AcceptWord("on") && !heads_.ParseInterfaces(interfaces, false))
    return false;
  if (in_.AcceptWord("bridge-to") &&
      !in_.TakeName("an interface name", rule.bridge_to.name,
                    kMaxInterfaceName)) {
    return false;
  }
  std::vector<uint16_t> types;
  if (in_.AcceptWord("proto") && !in_.ParseList([&] {
        int64_t type = 0;
        if (!in_.TakeNumber("ethertype", 1, 65535, type)) return false;
        types.push_back(static_cast<uint16_t>(type));
        return true;
      })) {
    return false;
  }
  std::vector<MacMatch> sources;
  std::vector<MacMatch> destinations;
  const auto macs = [&](std::vector<MacMatch>& out) {
    return in_.ParseList([&] { return ParseMac(out.emplace_back()); });
  };
  if (!in_.AcceptWord("all")) {
    if (in_.AcceptWord("from") && !macs(sources)) return false;
    if (in_.AcceptWord("to") && !macs(destinations)) return false;
  }
  const SourcePlace l3_place = in_.token().place;
  if (in_.AcceptWord("l3")) {
    if (in_.AcceptWord("all")) {
      // no condition
    } else {
      if (in_.AcceptWord("from") &&
          !hosts_.ParseHosts(head.source.hosts, HostContext::kRule)) {
        return false;
      }
      if (in_.AcceptWord("to") &&
          !hosts_.ParseHosts(head.destination.hosts, HostContext::kRule)) {
        return false;
      }
    }
  }
  for (const auto* hosts : {&head.source.hosts, &head.destination.hosts}) {
    for (const HostItem& host : *hosts) {
      if (host.match.kind == AddressKind::kPrefix ||
          host.match.kind == AddressKind::kTable ||
          host.match.kind == AddressKind::kAny) {
        continue;
      }
      return in_.Error(l3_place, std::string(hosts == &head.source.hosts
                                                 ? "from"
                                                 : "to") +
                                     " must be an address or table");
    }
  }
  while (!in_.AtStatementEnd() && !(is_anchor && in_.token().Is('{'))) {
    const Token word = in_.token();
    if (in_.Accept('!')) {
      rule.tagged_negated = true;
      if (!in_.AcceptWord("tagged")) return in_.Unexpected("'tagged'");
      if (!options_.ParseTag("tag", rule.tagged)) return false;
    } else if (in_.AcceptWord("tagged")) {
      if (!options_.ParseTag("tag", rule.tagged)) return false;
    } else if (in_.AcceptWord("tag")) {
      if (!options_.ParseTag("tag", rule.tag)) return false;
    } else if (in_.AcceptWord("label")) {
      if (!options_.ParseLabel(rule.labels)) return false;
    } else if (in_.AcceptWord("ridentifier")) {
      int64_t number = 0;
      if (!in_.TakeNumber("ridentifier", 1, 0xffffffff, number)) return false;
      rule.ridentifier = static_cast<uint32_t>(number);
    } else if (word.IsWord("queue") || word.IsWord("dnpipe") ||
               word.IsWord("dnqueue")) {
      in_.Take();
      bool known = false;
      if (!options_.ParseForeignOption(head, word, known)) return false;
    } else {
      return in_.Unexpected("an option of an ether rule",
                            {"tag", "tagged", "label", "ridentifier", "queue",
                             "dnpipe", "dnqueue", "l3", "from", "to", "proto"});
    }
  }
  rule.foreign = head.rule.foreign;
  if (!draft_.CheckOrder(Section::kEther, place)) return false;
  const bool has_body = is_anchor && in_.token().Is('{');
  if (is_anchor && rule.anchor_call.empty()) {
    if (!has_body) {
      return in_.Error(place, "ether anchor without a name and without a body");
    }
    rule.anchor_call = "_" + std::to_string(draft_.NextUnnamed());
    if (!anchors_.AnchorPath(rule.anchor_call, place, rule.anchor_path))
      return false;
  }
  if (has_body && rule.anchor_wildcard) {
    return in_.Error(in_.token().place, "a wildcard anchor has no body");
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
    if (product > draft_.input().limits.rules) break;
    product *= n;
  }
  if (product > draft_.rules_left()) {
    return in_.Error(
        place, "the lists of this rule make the ruleset larger than " +
                   std::to_string(draft_.input().limits.rules) + " rules");
  }
  std::vector<EtherRule>& out = draft_.Here().rules.ether;
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
              // The addresses say which type of frame it is about.
              const Family family = l3_source.family != Family::kNone
                                        ? l3_source.family
                                        : l3_destination.family;
              r.ether_type = type != 0                   ? type
                             : family == Family::kIpv4   ? 0x0800
                             : family == Family::kIpv6   ? 0x86dd
                                                         : 0;
              r.source = source;
              r.destination = destination;
              r.l3_source = l3_source.match;
              r.l3_destination = l3_destination.match;
              draft_.CountRule();
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
bool EtherParser::ParseEtherBody(const std::string& path) {
  const SourcePlace opened = in_.token().place;
  in_.Take();
  if (!draft_.input().anchor.empty()) {
    in_.Error(opened, "an ether anchor with a body is for main rulesets");
    in_.SkipBody();
    return false;
  }
  draft_.MakeAnchor(path, opened);
  return anchors_.ParseBody(path, opened);
}

}  // namespace sluice
