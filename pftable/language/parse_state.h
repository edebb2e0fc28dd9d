// `keep state (...)` and `set state-defaults`. Internal to the language
// front-end.
#ifndef SLUICE_PFTABLE_LANGUAGE_PARSE_STATE_H_
#define SLUICE_PFTABLE_LANGUAGE_PARSE_STATE_H_

#include "pftable/language/check_names.h"
#include "pftable/language/parse_host.h"
#include "pftable/language/syntax.h"
#include "pftable/language/token_reader.h"

namespace sluice {

class StateParser {
 public:
  // All outlive this.
  StateParser(TokenReader& in, Names& names, HostParser& hosts)
      : in_(in), names_(names), hosts_(hosts) {}

  bool ParseState(RuleSyntax& rule, StateKind kind);
  // "(max 5, ...)" behind it, or behind a `probability` behind it.
  bool ParseBrackets(RuleSyntax& rule);
  // Up to a ')' or the end of the statement.
  bool ParseStateOptions(StateOptions& options, bool& lock_given);

 private:
  bool ParseStateOption(StateOptions& options, bool& lock_given);

  TokenReader& in_;
  Names& names_;
  HostParser& hosts_;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_LANGUAGE_PARSE_STATE_H_
