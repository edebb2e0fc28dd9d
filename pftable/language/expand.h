// From a rule with lists to the rules that it stands for. Internal to the
// language front-end.
#ifndef SLUICE_PFTABLE_LANGUAGE_EXPAND_H_
#define SLUICE_PFTABLE_LANGUAGE_EXPAND_H_

#include <string>
#include <string_view>
#include <vector>

#include "pftable/host/host_facts.h"
#include "pftable/language/check.h"
#include "pftable/language/parse_pool.h"
#include "pftable/language/policy_draft.h"
#include "pftable/language/syntax.h"
#include "pftable/language/token_reader.h"

namespace sluice {

class RuleExpander {
 public:
  // All outlive this.
  RuleExpander(TokenReader& in, PolicyDraft& draft, const HostFacts& facts,
               PoolParser& pools)
      : in_(in), draft_(draft), facts_(facts), pools_(pools), checker_(in) {}

  bool ExpandRule(RuleSyntax& rule, std::vector<Rule>& out);
  bool ExpandBinat(RuleSyntax& rule, std::vector<Rule>& out);
  void ApplyStateDefaults(RuleSyntax& rule);
  // `$nr`, when the numbers are known.
  void NumberLabels(Anchor& anchor);

 private:
  static void Fill(RuleSyntax& syntax);
  uint64_t Product(const RuleSyntax& syntax) const;
  bool CheckProduct(const RuleSyntax& syntax);
  bool NoCombination(const RuleSyntax& syntax);
  bool Fits(Family family, const HostItem& source, const HostItem& destination,
            const InterfaceItem& on) const;
  bool ExpandLabels(Rule& rule);
  bool CheckMasks(const HostItem& source, const HostItem& destination);
  bool CheckPoolFamilies(const RuleSyntax& syntax, Family family);
  bool ResolveDivert(RuleSyntax& syntax, Family& family);
  bool FillPools(const RuleSyntax& syntax, Rule& rule);
  bool CheckBlocks(const RuleSyntax& syntax, const Rule& rule);
  bool CheckBinat(const RuleSyntax& syntax, const HostItem& inside,
                  const HostItem& outside);
  bool CheckLabelLength(const std::string& text, std::string_view what,
                        SourcePlace place);

  TokenReader& in_;
  PolicyDraft& draft_;
  const HostFacts& facts_;
  PoolParser& pools_;
  RuleChecker checker_;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_LANGUAGE_EXPAND_H_
