// The front of a rule: direction, log, interface, family, protocol,
// addresses. Internal to the language front-end.
#ifndef SLUICE_PFTABLE_LANGUAGE_PARSE_HEAD_H_
#define SLUICE_PFTABLE_LANGUAGE_PARSE_HEAD_H_

#include <string>
#include <vector>

#include "pftable/host/host_facts.h"
#include "pftable/language/check_names.h"
#include "pftable/language/parse_host.h"
#include "pftable/language/parse_pool.h"
#include "pftable/language/parse_port.h"
#include "pftable/language/syntax.h"
#include "pftable/language/token_reader.h"

namespace sluice {

class HeadParser {
 public:
  // All outlive this.
  HeadParser(TokenReader& in, Names& names, const HostFacts& facts,
             HostParser& hosts, PortParser& ports, PoolParser& pools)
      : in_(in),
        names_(names),
        facts_(facts),
        hosts_(hosts),
        ports_(ports),
        pools_(pools) {}

  bool ParseDirectionLogQuick(RuleSyntax& rule);
  bool ParseLogOptions(LogOptions& log);
  bool ParseInterfaces(std::vector<InterfaceItem>& out, bool allow_dynamic);
  // From `on` to the addresses.
  bool ParseRuleHead(RuleSyntax& rule);

 private:
  bool ParseProtocols(std::vector<ProtocolItem>& out);
  bool ParseFromTo(RuleSyntax& rule);
  bool ParseFingerprints(std::vector<std::string>& out);

  TokenReader& in_;
  Names& names_;
  const HostFacts& facts_;
  HostParser& hosts_;
  PortParser& ports_;
  PoolParser& pools_;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_LANGUAGE_PARSE_HEAD_H_
