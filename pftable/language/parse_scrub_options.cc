// `scrub (...)`, and what FreeBSD's scrub rules have of it.
#include "pftable/language/parse_filter_options.h"

#include <string>
#include <utility>

#include "pftable/language/words.h"

namespace sluice {

// In a filter rule the options stand in brackets; a scrub rule has them bare.
bool RuleOptionParser::ParseScrubOptions(ScrubOptions& scrub, bool in_rule) {
  if (in_rule && !in_.Expect('(', "after 'scrub'")) return false;
  if (in_rule && in_.token().Is(')')) return in_.Unexpected("a scrub option");
  while (in_rule ? !in_.Accept(')') : !in_.AtStatementEnd()) {
    const Token word = in_.token();
    if (word.kind != TokenKind::kWord) return in_.Unexpected("a scrub option");
    in_.Take();
    bool known = false;
    if (!ParseScrubOption(scrub, word, known)) return false;
    if (!known) {
      std::string hint =
          DidYouMean(word.text, {"no-df", "random-id", "min-ttl", "max-mss",
                                 "set-tos", "reassemble"});
      if (hint.empty()) {
        hint = "the options are no-df, random-id, min-ttl N, max-mss N, "
               "set-tos N and reassemble tcp";
      }
      return in_.Error(word.place,
                       "unknown scrub option '" + word.text.substr(0, 64) + "'",
                       std::move(hint));
    }
    in_.Accept(',');
  }
  return true;
}

bool RuleOptionParser::ParseScrubOption(ScrubOptions& scrub, const Token& word,
                                        bool& known) {
  const std::string& w = word.text;
  int64_t number = 0;
  const auto twice = [&] {
    return in_.Error(word.place, w + " cannot be respecified");
  };
  known = true;
  if (w == "no-df") {
    if (scrub.no_df) return twice();
    scrub.no_df = true;
    return true;
  }
  if (w == "random-id") {
    if (scrub.random_id) return twice();
    scrub.random_id = true;
    return true;
  }
  if (w == "min-ttl") {
    if (scrub.min_ttl != 0) return twice();
    if (!in_.TakeNumber("min-ttl", 0, 255, number)) return false;
    scrub.min_ttl = static_cast<uint8_t>(number);
    return true;
  }
  if (w == "max-mss") {
    if (scrub.max_mss != 0) return twice();
    if (!in_.TakeNumber("max-mss", 0, 65535, number)) return false;
    scrub.max_mss = static_cast<uint16_t>(number);
    return true;
  }
  if (w == "set-tos") {
    if (scrub.set_tos) return twice();
    scrub.set_tos.emplace(0);
    return ParseTos(*scrub.set_tos);
  }
  if (w == "reassemble") {
    if (scrub.reassemble_tcp) return twice();
    if (!in_.AcceptWord("tcp")) {
      return in_.Error(in_.token().place, "scrub reassemble supports only tcp");
    }
    scrub.reassemble_tcp = true;
    return true;
  }
  known = false;
  return true;
}

}  // namespace sluice
