#include "pftable/language/parse_legacy.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pftable/language/decide_family.h"

#include "pftable/language/words.h"

namespace sluice {

bool LegacyRuleParser::ParseScrubRule(SourcePlace place, bool no) {
  RuleSyntax rule;
  rule.rule.place = place;
  rule.rule.action = no ? RuleAction::kNoScrub : RuleAction::kScrub;
  if (!heads_.ParseDirectionLogQuick(rule)) return false;
  if (rule.rule.quick) {
    return in_.Error(
        place, "scrub rules do not support quick processing",
        "the first scrub rule that matches is the one that counts");
  }
  if (!heads_.ParseRuleHead(rule)) return false;
  if (rule.route)
    return in_.Error(rule.route->place, "scrub rules do not route");
  while (!in_.AtStatementEnd()) {
    if (in_.token().Is('!')) {
      in_.Take();
      if (!in_.AcceptWord("tagged")) return in_.Unexpected("'tagged'");
      rule.rule.tagged_negated = true;
      if (!options_.ParseTag("tag", rule.rule.tagged)) return false;
      continue;
    }
    const Token word = in_.token();
    if (word.kind != TokenKind::kWord) return in_.Unexpected("a scrub option");
    in_.Take();
    if (word.text == "tagged") {
      if (!options_.ParseTag("tag", rule.rule.tagged)) return false;
    } else if (word.text == "label") {
      if (!options_.ParseLabel(rule.rule.labels)) return false;
    } else if (word.text == "fragment") {
      // What is given last counts, as in pf.
      rule.rule.scrub.no_fragment_reassembly = in_.AcceptWord("no");
      if (!in_.AcceptWord("reassemble") && !in_.AcceptWord("crop") &&
          !in_.AcceptWord("drop-ovl")) {
        return in_.Unexpected("'reassemble'");
      }
    } else {
      bool known = false;
      if (!options_.ParseForeignOption(rule, word, known)) return false;
      if (!known && !options_.ParseScrubOption(rule.rule.scrub, word, known)) {
        return false;
      }
      if (!known) {
        std::string hint = DidYouMean(
            word.text, {"no-df", "random-id", "min-ttl", "max-mss", "set-tos",
                        "reassemble", "fragment", "label", "tagged"});
        if (hint.empty()) {
          hint = "the options are no-df, random-id, min-ttl N, max-mss N, "
                 "set-tos N, reassemble tcp and fragment reassemble";
        }
        return in_.Error(
            word.place,
            "unknown scrub option '" + word.text.substr(0, 64) + "'",
            std::move(hint));
      }
    }
    in_.Accept(',');
  }
  if (rule.rule.scrub.reassemble_tcp &&
      rule.rule.direction != Direction::kBoth) {
    return in_.Error(place, "reassemble tcp rules can not specify direction");
  }
  if (!draft_.CheckOrder(Section::kScrub, place)) return false;
  return expander_.ExpandRule(rule, draft_.Here().rules.scrub);
}

bool LegacyRuleParser::ParseTranslationRule(const Token& word, bool no) {
  RuleSyntax rule;
  const bool is_rdr = word.text == "rdr";
  rule.rule.place = word.place;
  rule.rule.action = is_rdr ? (no ? RuleAction::kNoRdr : RuleAction::kRdr)
                            : (no ? RuleAction::kNoNat : RuleAction::kNat);
  const SourcePlace pass_place = in_.token().place;
  if (in_.AcceptWord("pass")) {
    if (no) return in_.Error(pass_place, "\"pass\" not valid with \"no\"");
    rule.rule.translation_pass = true;
  }
  if (in_.AcceptWord("log") && !heads_.ParseLogOptions(rule.rule.log))
    return false;
  if (!heads_.ParseRuleHead(rule)) return false;
  if (rule.route) {
    return in_.Error(rule.route->place, "translation rules do not route");
  }
  while (!in_.AtStatementEnd() && in_.token().kind != TokenKind::kArrow) {
    const Token option = in_.token();
    if (in_.Accept('!')) {
      rule.rule.tagged_negated = true;
      if (!in_.AcceptWord("tagged")) return in_.Unexpected("'tagged'");
      if (!options_.ParseTag("tag", rule.rule.tagged)) return false;
    } else if (in_.AcceptWord("tag")) {
      if (!options_.ParseTag("tag", rule.rule.tag)) return false;
    } else if (in_.AcceptWord("tagged")) {
      if (!options_.ParseTag("tag", rule.rule.tagged)) return false;
    } else if (in_.token().IsWord("rtable")) {
      in_.Take();
      bool known = false;
      if (!options_.ParseForeignOption(rule, option, known)) return false;
    } else {
      return in_.Unexpected("tag, tagged, rtable or '->'",
                            {"tag", "tagged", "rtable"});
    }
  }
  if (in_.token().kind == TokenKind::kArrow) {
    if (no) return in_.Error(in_.token().place, "'no' rules do not translate");
    in_.Take();
    if (!pools_.ParsePool(is_rdr ? rule.rdr : rule.nat, is_rdr)) return false;
    if (!in_.AtStatementEnd())
      return in_.Unexpected("the end of the statement");
  } else if (!no) {
    return in_.Error(word.place,
                     word.text + " rule requires a target: '-> ADDRESS'");
  }
  if (!draft_.CheckOrder(Section::kNat, word.place)) return false;
  return expander_.ExpandRule(
      rule, is_rdr ? draft_.Here().rules.rdr : draft_.Here().rules.nat);
}

bool LegacyRuleParser::ParseBinatRule(SourcePlace place, bool no) {
  RuleSyntax rule;
  rule.rule.place = place;
  rule.rule.action = no ? RuleAction::kNoBinat : RuleAction::kBinat;
  const SourcePlace pass_place = in_.token().place;
  if (in_.AcceptWord("pass")) {
    if (no) return in_.Error(pass_place, "\"pass\" not valid with \"no\"");
    rule.rule.translation_pass = true;
  }
  if (in_.AcceptWord("log") && !heads_.ParseLogOptions(rule.rule.log))
    return false;
  if (!heads_.ParseRuleHead(rule)) return false;
  if (rule.route) {
    return in_.Error(rule.route->place, "translation rules do not route");
  }
  while (!in_.AtStatementEnd() && in_.token().kind != TokenKind::kArrow) {
    const Token option = in_.token();
    if (in_.Accept('!')) {
      rule.rule.tagged_negated = true;
      if (!in_.AcceptWord("tagged")) return in_.Unexpected("'tagged'");
      if (!options_.ParseTag("tag", rule.rule.tagged)) return false;
    } else if (in_.AcceptWord("tag")) {
      if (!options_.ParseTag("tag", rule.rule.tag)) return false;
    } else if (in_.AcceptWord("tagged")) {
      if (!options_.ParseTag("tag", rule.rule.tagged)) return false;
    } else if (in_.AcceptWord("rtable")) {
      bool known = false;
      if (!options_.ParseForeignOption(rule, option, known)) return false;
    } else {
      return in_.Unexpected("tag, tagged, rtable or '->'",
                            {"tag", "tagged", "rtable"});
    }
  }
  if (in_.token().kind == TokenKind::kArrow) {
    if (no) return in_.Error(in_.token().place, "'no' rules do not translate");
    in_.Take();
    if (!pools_.ParsePool(rule.nat, false)) return false;
    if (!in_.AtStatementEnd())
      return in_.Unexpected("the end of the statement");
  } else if (!no) {
    return in_.Error(place, "binat rule requires a target: '-> ADDRESS'");
  }
  if (!rule.source.ports.empty() || !rule.destination.ports.empty()) {
    return in_.Error(place, "binat has no ports");
  }
  if (!CheckBinat(rule)) return false;
  if (!draft_.CheckOrder(Section::kNat, place)) return false;
  return expander_.ExpandRule(rule, draft_.Here().rules.binat);
}

// binat maps one address or network to another: no lists, and nothing whose
// addresses may be several.
bool LegacyRuleParser::CheckBinat(RuleSyntax& rule) {
  const SourcePlace place = rule.nat ? rule.nat->place : rule.rule.place;
  const Family family = DecideFamily(rule, in_.dialect());
  if (family == Family::kNone) {
    return in_.Error(place, "address family (inet/inet6) undefined",
                     "write inet or inet6");
  }
  rule.rule.family = family;
  constexpr char kOfABinatRule[] = " address of a binat rule";
  const auto check = [&](const std::vector<HostItem>& hosts,
                         std::string_view what) {
    for (const HostItem& host : hosts) {
      if (host.match.kind == AddressKind::kTable) {
        return in_.Error(host.place, "invalid use of table <" +
                                         host.match.name + ">" +
                                         std::string(what) + kOfABinatRule);
      }
      if (IsDynamicSet(host.match)) {
        return in_.Error(host.place, "invalid use of interface (" +
                                         host.match.name + ")" + std::string(what) +
                                         kOfABinatRule,
                         "write (" + host.match.name + ":0)");
      }
    }
    return true;
  };
  if (!check(rule.source.hosts, " as the source")) return false;
  if (rule.source.hosts.size() > 1 || rule.destination.hosts.size() > 1) {
    return in_.Error(place, "multiple binat ip addresses");
  }
  for (const auto* hosts : {&rule.source.hosts, &rule.destination.hosts}) {
    if (!hosts->empty() && (*hosts)[0].family != Family::kNone &&
        (*hosts)[0].family != family) {
      return in_.Error((*hosts)[0].place, "binat ip versions must match");
    }
  }
  if (!rule.nat) return true;
  if (!check(rule.nat->hosts, " as the redirect")) return false;
  std::erase_if(rule.nat->hosts, [&](const HostItem& host) {
    return host.family != Family::kNone && host.family != family;
  });
  if (rule.nat->hosts.size() > 1) {
    return in_.Error(place, "binat rule must redirect to a single address");
  }
  if (rule.nat->hosts.empty() || rule.source.hosts.empty()) return true;
  const AddressMatch& from = rule.source.hosts[0].match;
  const AddressMatch& to = rule.nat->hosts[0].match;
  if (from.kind == AddressKind::kPrefix && to.kind == AddressKind::kPrefix &&
      from.mask != to.mask) {
    return in_.Error(place,
                     "'binat' source mask and redirect mask must be the same");
  }
  return true;
}

}  // namespace sluice
