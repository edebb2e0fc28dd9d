// FreeBSD's rulesets of their own: scrub, nat, rdr and binat. Internal to the
// language front-end.
#ifndef SLUICE_PFTABLE_LANGUAGE_PARSE_LEGACY_H_
#define SLUICE_PFTABLE_LANGUAGE_PARSE_LEGACY_H_

#include "pftable/language/expand.h"
#include "pftable/language/parse_filter_options.h"
#include "pftable/language/parse_head.h"
#include "pftable/language/parse_pool.h"
#include "pftable/language/policy_draft.h"
#include "pftable/language/token_reader.h"

namespace sluice {

class LegacyRuleParser {
 public:
  // All outlive this.
  LegacyRuleParser(TokenReader& in, PolicyDraft& draft, PoolParser& pools,
                   HeadParser& heads, RuleOptionParser& options,
                   RuleExpander& expander)
      : in_(in),
        draft_(draft),
        pools_(pools),
        heads_(heads),
        options_(options),
        expander_(expander) {}

  bool ParseScrubRule(SourcePlace place, bool no);
  bool ParseTranslationRule(const Token& word, bool no);
  bool ParseBinatRule(SourcePlace place, bool no);

 private:
  bool CheckBinat(RuleSyntax& rule);

  TokenReader& in_;
  PolicyDraft& draft_;
  PoolParser& pools_;
  HeadParser& heads_;
  RuleOptionParser& options_;
  RuleExpander& expander_;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_LANGUAGE_PARSE_LEGACY_H_
