// FreeBSD's rules for layer 2. Internal to the language front-end.
#ifndef SLUICE_PFTABLE_LANGUAGE_PARSE_ETHER_H_
#define SLUICE_PFTABLE_LANGUAGE_PARSE_ETHER_H_

#include <string>

#include "pftable/language/parse_anchors.h"
#include "pftable/language/parse_filter_options.h"
#include "pftable/language/parse_head.h"
#include "pftable/language/parse_host.h"
#include "pftable/language/policy_draft.h"
#include "pftable/language/token_reader.h"

namespace sluice {

class EtherParser {
 public:
  // All outlive this.
  EtherParser(TokenReader& in, PolicyDraft& draft, HostParser& hosts,
              HeadParser& heads, RuleOptionParser& options,
              AnchorParser& anchors)
      : in_(in),
        draft_(draft),
        hosts_(hosts),
        heads_(heads),
        options_(options),
        anchors_(anchors) {}

  bool ParseEther(SourcePlace place);

 private:
  // `in_body` becomes true where the braces behind the rule are being read.
  bool ParseEtherRule(SourcePlace place, bool& in_body);
  bool ParseEtherBody(const std::string& path);
  bool ParseMac(MacMatch& mac);

  TokenReader& in_;
  PolicyDraft& draft_;
  HostParser& hosts_;
  HeadParser& heads_;
  RuleOptionParser& options_;
  AnchorParser& anchors_;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_LANGUAGE_PARSE_ETHER_H_
