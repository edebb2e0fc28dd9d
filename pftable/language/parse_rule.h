// pass, block and match. Internal to the language front-end.
#ifndef SLUICE_PFTABLE_LANGUAGE_PARSE_RULE_H_
#define SLUICE_PFTABLE_LANGUAGE_PARSE_RULE_H_

#include "pftable/language/expand.h"
#include "pftable/language/parse_filter_options.h"
#include "pftable/language/parse_head.h"
#include "pftable/language/policy_draft.h"
#include "pftable/language/syntax.h"
#include "pftable/language/token_reader.h"

namespace sluice {

class FilterRuleParser {
 public:
  // All outlive this.
  FilterRuleParser(TokenReader& in, PolicyDraft& draft, HeadParser& heads,
                   RuleOptionParser& options, RuleExpander& expander)
      : in_(in),
        draft_(draft),
        heads_(heads),
        options_(options),
        expander_(expander) {}

  bool ParseFilterRule(SourcePlace place, RuleAction action);

 private:
  bool ParseBlockReturn(RuleSyntax& rule);

  TokenReader& in_;
  PolicyDraft& draft_;
  HeadParser& heads_;
  RuleOptionParser& options_;
  RuleExpander& expander_;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_LANGUAGE_PARSE_RULE_H_
