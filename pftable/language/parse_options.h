// `set ...`. Internal to the language front-end.
#ifndef SLUICE_PFTABLE_LANGUAGE_PARSE_OPTIONS_H_
#define SLUICE_PFTABLE_LANGUAGE_PARSE_OPTIONS_H_

#include <array>
#include <string>
#include <string_view>

#include "pftable/language/check_names.h"
#include "pftable/language/parse_head.h"
#include "pftable/language/parse_state.h"
#include "pftable/language/policy_draft.h"
#include "pftable/language/source_files.h"
#include "pftable/language/token_reader.h"

namespace sluice {

class SetParser {
 public:
  // All outlive this.
  SetParser(TokenReader& in, PolicyDraft& draft, SourceFiles& files,
            Names& names, HeadParser& heads, StateParser& states)
      : in_(in),
        draft_(draft),
        files_(files),
        names_(names),
        heads_(heads),
        states_(states) {}

  // Before the first: the options that the text's are set on top of.
  void TakeOptions(const Options& base);
  bool ParseOption(SourcePlace place);
  // Behind the last: what follows from several of them.
  void FinishOptions();

 private:
  bool ParseSetFingerprints(SourcePlace place);
  bool ParseSetFingerprint();
  bool ParseSetLimit(SourcePlace place);
  bool ParseSetTimeout(SourcePlace place);
  bool ParseSetSkip(SourcePlace place);
  bool ParseSetSyncookies(SourcePlace place);
  bool ParseSetReassemble(SourcePlace place);
  bool ParseOnOff(std::string_view what, bool& value);
  void Given(SourcePlace place, std::string text);
  void ApplyOptimization(Optimization optimization);

  TokenReader& in_;
  PolicyDraft& draft_;
  SourceFiles& files_;
  Names& names_;
  HeadParser& heads_;
  StateParser& states_;
  bool state_defaults_given_ = false;
  std::array<bool, kTimeoutCount> timeout_given_{};
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_LANGUAGE_PARSE_OPTIONS_H_
