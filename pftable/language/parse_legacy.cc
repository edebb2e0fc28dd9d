// FreeBSD's rulesets of their own: scrub, nat, rdr and binat.
#include <string>
#include <utility>

#include "pftable/language/parser_internal.h"

namespace sluice {

bool Parser::ParseScrubRule(SourcePlace place, bool no) {
  RuleSyntax rule;
  rule.rule.place = place;
  rule.rule.action = no ? RuleAction::kNoScrub : RuleAction::kScrub;
  if (!ParseDirectionLogQuick(rule)) return false;
  if (rule.rule.quick) {
    return Error(place, "scrub rules do not support quick processing",
                 "the first scrub rule that matches is the one that counts");
  }
  if (!ParseRuleHead(rule)) return false;
  if (rule.route) return Error(rule.route->place, "scrub rules do not route");
  while (!AtStatementEnd()) {
    if (token_.Is('!')) {
      Take();
      if (!AcceptWord("tagged")) return Unexpected("'tagged'");
      rule.rule.tagged_negated = true;
      if (!ParseTag("tag", rule.rule.tagged)) return false;
      continue;
    }
    const Token word = token_;
    if (word.kind != TokenKind::kWord) return Unexpected("a scrub option");
    Take();
    if (word.text == "tagged") {
      if (!ParseTag("tag", rule.rule.tagged)) return false;
    } else if (word.text == "label") {
      if (!ParseLabel(rule.rule.labels)) return false;
    } else if (word.text == "fragment") {
      if (AcceptWord("no")) rule.rule.scrub.no_fragment_reassembly = true;
      if (!AcceptWord("reassemble") && !AcceptWord("crop") &&
          !AcceptWord("drop-ovl")) {
        return Unexpected("'reassemble'");
      }
    } else {
      bool known = false;
      if (!ParseForeignOption(rule, word, known)) return false;
      if (!known &&
          !ParseScrubOption(rule.rule.scrub, word, known)) {
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
        return Error(word.place,
                     "unknown scrub option '" + word.text.substr(0, 64) + "'",
                     std::move(hint));
      }
    }
    Accept(',');
  }
  if (!CheckOrder(Section::kScrub, place)) return false;
  return ExpandRule(rule, Here().rules.scrub);
}

bool Parser::ParseTranslationRule(const Token& word, bool no) {
  RuleSyntax rule;
  const bool is_rdr = word.text == "rdr";
  rule.rule.place = word.place;
  rule.rule.action = is_rdr ? (no ? RuleAction::kNoRdr : RuleAction::kRdr)
                            : (no ? RuleAction::kNoNat : RuleAction::kNat);
  const SourcePlace pass_place = token_.place;
  if (AcceptWord("pass")) {
    if (no) return Error(pass_place, "\"pass\" not valid with \"no\"");
    rule.rule.translation_pass = true;
  }
  if (AcceptWord("log") && !ParseLogOptions(rule.rule.log)) return false;
  if (!ParseRuleHead(rule)) return false;
  if (rule.route) {
    return Error(rule.route->place, "translation rules do not route");
  }
  while (!AtStatementEnd() && token_.kind != TokenKind::kArrow) {
    const Token option = token_;
    if (Accept('!')) {
      rule.rule.tagged_negated = true;
      if (!AcceptWord("tagged")) return Unexpected("'tagged'");
      if (!ParseTag("tag", rule.rule.tagged)) return false;
    } else if (AcceptWord("tag")) {
      if (!ParseTag("tag", rule.rule.tag)) return false;
    } else if (AcceptWord("tagged")) {
      if (!ParseTag("tag", rule.rule.tagged)) return false;
    } else if (token_.IsWord("rtable")) {
      Take();
      bool known = false;
      if (!ParseForeignOption(rule, option, known)) return false;
    } else {
      return Unexpected("tag, tagged, rtable or '->'",
                        {"tag", "tagged", "rtable"});
    }
  }
  if (token_.kind == TokenKind::kArrow) {
    if (no) return Error(token_.place, "'no' rules do not translate");
    Take();
    if (!ParsePool(is_rdr ? rule.rdr : rule.nat, is_rdr)) return false;
    if (!AtStatementEnd()) return Unexpected("the end of the statement");
  } else if (!no) {
    return Error(word.place,
                 word.text + " rule requires a target: '-> ADDRESS'");
  }
  if (!CheckOrder(Section::kNat, word.place)) return false;
  return ExpandRule(rule, is_rdr ? Here().rules.rdr : Here().rules.nat);
}

bool Parser::ParseBinatRule(SourcePlace place, bool no) {
  RuleSyntax rule;
  rule.rule.place = place;
  rule.rule.action = no ? RuleAction::kNoBinat : RuleAction::kBinat;
  const SourcePlace pass_place = token_.place;
  if (AcceptWord("pass")) {
    if (no) return Error(pass_place, "\"pass\" not valid with \"no\"");
    rule.rule.translation_pass = true;
  }
  if (AcceptWord("log") && !ParseLogOptions(rule.rule.log)) return false;
  if (!ParseRuleHead(rule)) return false;
  while (!AtStatementEnd() && token_.kind != TokenKind::kArrow) {
    if (AcceptWord("tag")) {
      if (!ParseTag("tag", rule.rule.tag)) return false;
    } else if (AcceptWord("tagged")) {
      if (!ParseTag("tag", rule.rule.tagged)) return false;
    } else {
      return Unexpected("tag, tagged or '->'");
    }
  }
  if (token_.kind == TokenKind::kArrow) {
    if (no) return Error(token_.place, "'no' rules do not translate");
    Take();
    if (!ParsePool(rule.nat, false)) return false;
    if (!AtStatementEnd()) return Unexpected("the end of the statement");
  } else if (!no) {
    return Error(place, "binat rule requires a target: '-> ADDRESS'");
  }
  if (!no) {
    if (rule.source.hosts.size() != 1 || rule.nat->hosts.size() != 1) {
      return Error(rule.nat->place,
                   "binat wants one source address and one target address");
    }
    const AddressMatch& from = rule.source.hosts[0].match;
    const AddressMatch& to = rule.nat->hosts[0].match;
    if (from.kind == AddressKind::kTable || to.kind == AddressKind::kTable) {
      return Error(rule.nat->place, "a table cannot be used with binat");
    }
    if (from.kind == AddressKind::kPrefix && to.kind == AddressKind::kPrefix &&
        from.mask != to.mask) {
      return Error(rule.nat->place, "'binat' source mask and redirect mask "
                                    "must be the same");
    }
  }
  if (!rule.source.ports.empty() || !rule.destination.ports.empty()) {
    return Error(place, "binat has no ports");
  }
  if (!CheckOrder(Section::kNat, place)) return false;
  return ExpandRule(rule, Here().rules.binat);
}

}  // namespace sluice
