#include "pftable/language/parse_rule.h"

namespace sluice {

bool FilterRuleParser::ParseFilterRule(SourcePlace place, RuleAction action) {
  RuleSyntax rule;
  rule.rule.action = action;
  rule.rule.place = place;
  rule.block_place = place;
  if (action == RuleAction::kBlock && !ParseBlockReturn(rule)) return false;
  if (!heads_.ParseDirectionLogQuick(rule) || !heads_.ParseRuleHead(rule))
    return false;
  rule.options_place = in_.token().place;
  if (!options_.ParseFilterOptions(rule)) return false;
  if (!in_.AtStatementEnd()) return in_.Unexpected("an option of the rule");
  if (!draft_.CheckOrder(Section::kFilter, place)) return false;
  // As pfctl has it: where fragments are put together, so are the streams for
  // who takes packets out of them.
  if (in_.InDialect(Dialect::kOpenBsd) &&
      rule.rule.foreign.divert == DivertKind::kPacket &&
      draft_.policy().options.reassemble != Reassembly::kNo) {
    rule.rule.scrub.reassemble_tcp = true;
  }
  expander_.ApplyStateDefaults(rule);
  if (rule.binat)
    return expander_.ExpandBinat(rule, draft_.Here().rules.filter);
  return expander_.ExpandRule(rule, draft_.Here().rules.filter);
}

bool FilterRuleParser::ParseBlockReturn(RuleSyntax& rule) {
  Rule& r = rule.rule;
  r.block_return = draft_.policy().options.block_policy;
  rule.block_place = in_.token().place;
  if (in_.AcceptWord("drop")) {
    r.block_return = BlockReturn::kDrop;
    return true;
  }
  if (in_.AcceptWord("return")) {
    r.block_return = BlockReturn::kReturn;
    return true;
  }
  if (in_.AcceptWord("return-rst")) {
    r.block_return = BlockReturn::kReturnRst;
    if (!in_.Accept('(')) return true;
    if (!in_.AcceptWord("ttl")) return in_.Unexpected("'ttl'");
    int64_t ttl = 0;
    if (!in_.TakeNumber("ttl", 1, 255, ttl)) return false;
    r.return_rst_ttl = static_cast<uint8_t>(ttl);
    return in_.Expect(')', "after the ttl");
  }
  if (in_.AcceptWord("return-icmp")) {
    r.block_return = BlockReturn::kReturnIcmp;
    if (!in_.Accept('(')) return true;
    if (!options_.ParseIcmpCode("icmp code", 3, Family::kIpv4,
                                r.return_icmp_code)) {
      return false;
    }
    if (in_.Accept(',') || !in_.token().Is(')')) {
      if (!options_.ParseIcmpCode("icmp6 code", 1, Family::kIpv6,
                                  r.return_icmp6_code)) {
        return false;
      }
    }
    return in_.Expect(')', "after an icmp code");
  }
  if (in_.AcceptWord("return-icmp6")) {
    r.block_return = BlockReturn::kReturnIcmp;
    if (!in_.Accept('(')) return true;
    if (!options_.ParseIcmpCode("icmp6 code", 1, Family::kIpv6,
                                r.return_icmp6_code)) {
      return false;
    }
    return in_.Expect(')', "after an icmp6 code");
  }
  return true;
}

}  // namespace sluice
