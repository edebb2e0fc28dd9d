// What an expanded rule may not combine. Internal to the language front-end.
#ifndef SLUICE_PFTABLE_LANGUAGE_CHECK_H_
#define SLUICE_PFTABLE_LANGUAGE_CHECK_H_

#include "pftable/language/syntax.h"
#include "pftable/language/token_reader.h"

namespace sluice {

class RuleChecker {
 public:
  explicit RuleChecker(TokenReader& in) : in_(in) {}

  bool CheckRule(const Rule& rule, const RuleSyntax& syntax);

 private:
  bool CheckRdr(const Rule& rule, const RuleSyntax& syntax, bool has_ports);
  bool CheckPools(const Rule& rule, const RuleSyntax& syntax);
  bool CheckRuleState(const Rule& rule, const RuleSyntax& syntax);

  TokenReader& in_;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_LANGUAGE_CHECK_H_
