// What may follow the addresses of a rule, in any order. Internal to the
// language front-end.
#ifndef SLUICE_PFTABLE_LANGUAGE_PARSE_FILTER_OPTIONS_H_
#define SLUICE_PFTABLE_LANGUAGE_PARSE_FILTER_OPTIONS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pftable/host/host_facts.h"
#include "pftable/language/check_names.h"
#include "pftable/language/parse_pool.h"
#include "pftable/language/parse_port.h"
#include "pftable/language/parse_state.h"
#include "pftable/language/syntax.h"
#include "pftable/language/token_reader.h"

namespace sluice {

class RuleOptionParser {
 public:
  // All outlive this.
  RuleOptionParser(TokenReader& in, Names& names, const HostFacts& facts,
                   HostParser& hosts, PortParser& ports, PoolParser& pools,
                   StateParser& states)
      : in_(in),
        names_(names),
        facts_(facts),
        hosts_(hosts),
        ports_(ports),
        pools_(pools),
        states_(states) {}

  // All that a rule has, up to the end of its statement or a '{'.
  bool ParseFilterOptions(RuleSyntax& rule);
  // Single ones, which other statements have too. `known` stays false where
  // `word`, which has been taken, does not begin one.
  bool ParseForeignOption(RuleSyntax& rule, const Token& word, bool& known);
  bool ParseScrubOption(ScrubOptions& scrub, const Token& word, bool& known);
  bool ParseLabel(std::vector<std::string>& labels);
  bool ParseTag(std::string_view what, std::string& tag);
  bool ParseIcmpCode(std::string_view what, uint8_t type, Family family,
                     uint8_t& code);

 private:
  bool ParseFilterOption(RuleSyntax& rule, const Token& word);
  bool ParseFlags(RuleSyntax& rule);
  bool ParseIcmpTypes(RuleSyntax& rule, Family family);
  bool ParseIds(std::vector<IdMatch>& out, bool users);
  bool ParseIdValue(const Token& token, bool users, uint32_t& id);
  bool ParseTos(uint8_t& tos);
  bool ParseSet(RuleSyntax& rule);
  bool ParseSetItem(RuleSyntax& rule);
  bool ParseScrubOptions(ScrubOptions& scrub, bool in_rule);
  bool ParseProbability(uint32_t& probability);
  bool ParseDivert(RuleSyntax& rule, const Token& word);

  TokenReader& in_;
  Names& names_;
  const HostFacts& facts_;
  HostParser& hosts_;
  PortParser& ports_;
  PoolParser& pools_;
  StateParser& states_;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_LANGUAGE_PARSE_FILTER_OPTIONS_H_
