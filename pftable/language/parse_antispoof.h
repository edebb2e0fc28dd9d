// `antispoof`, which stands for rules about interfaces' own networks. Internal
// to the language front-end.
#ifndef SLUICE_PFTABLE_LANGUAGE_PARSE_ANTISPOOF_H_
#define SLUICE_PFTABLE_LANGUAGE_PARSE_ANTISPOOF_H_

#include <vector>

#include "pftable/host/host_facts.h"
#include "pftable/language/check_names.h"
#include "pftable/language/expand.h"
#include "pftable/language/parse_filter_options.h"
#include "pftable/language/parse_head.h"
#include "pftable/language/parse_host.h"
#include "pftable/language/policy_draft.h"
#include "pftable/language/token_reader.h"

namespace sluice {

class AntispoofParser {
 public:
  // All outlive this.
  AntispoofParser(TokenReader& in, PolicyDraft& draft, Names& names,
                  const HostFacts& facts, HostParser& hosts,
                  HeadParser& heads, RuleOptionParser& options,
                  RuleExpander& expander)
      : in_(in),
        draft_(draft),
        names_(names),
        facts_(facts),
        hosts_(hosts),
        heads_(heads),
        options_(options),
        expander_(expander) {}

  bool ParseAntispoof(SourcePlace place);

 private:
  std::vector<HostItem> AddressesOf(const InterfaceItem& interface,
                                    const InterfaceModifiers& modifiers);
  void WarnOfNothing(const InterfaceItem& interface);

  TokenReader& in_;
  PolicyDraft& draft_;
  Names& names_;
  const HostFacts& facts_;
  HostParser& hosts_;
  HeadParser& heads_;
  RuleOptionParser& options_;
  RuleExpander& expander_;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_LANGUAGE_PARSE_ANTISPOOF_H_
