#include "pftable/language/parse_statement.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pftable/language/words.h"
#include "pftable/policy/reserved_words.h"

namespace sluice {
namespace {

constexpr size_t kMaxMacroName = 63;

// Words with which a statement begins. After a mistake inside of braces,
// reading goes on at the first line that begins with one of them.
constexpr std::array<std::string_view, 23> kStatementWords = {
    "altq",  "anchor",     "antispoof", "binat", "binat-anchor", "block",
    "ether", "include",    "load",      "match", "nat",          "nat-anchor",
    "no",    "pass",       "queue",     "rdr",   "rdr-anchor",   "scrub",
    "set",   "scrub-anchor", "source",  "state", "table",
};

}  // namespace

StatementParser::StatementParser(TokenReader& in, PolicyDraft& draft,
                                 SourceFiles& files, const HostFacts& facts)
    : in_(in),
      draft_(draft),
      files_(files),
      names_(in, draft, facts),
      ports_(in, facts),
      hosts_(in, names_, facts, draft.input().no_dns),
      pools_(in, hosts_, ports_),
      states_(in, names_, hosts_),
      heads_(in, names_, facts, hosts_, ports_, pools_),
      options_(in, names_, facts, hosts_, ports_, pools_, states_),
      expander_(in, draft, facts, pools_),
      rules_(in, draft, heads_, options_, expander_),
      settings_(in, draft, files, names_, heads_, states_),
      tables_(in, draft, files, hosts_, facts),
      anchors_(in, draft, heads_, options_, expander_,
               [this] { ParseStatements(/*in_anchor=*/true); }),
      antispoof_(in, draft, names_, facts, hosts_, heads_, options_, expander_),
      legacy_(in, draft, pools_, heads_, options_, expander_),
      ether_(in, draft, hosts_, heads_, options_, anchors_),
      queues_(in, draft, names_, hosts_) {}

void StatementParser::ParseStatements(bool in_anchor) {
  const size_t depth = in_.lexer().depth();
  for (;;) {
    if (in_.messages().truncated()) return;
    in_.SkipNewlines();
    if (in_.token().kind == TokenKind::kEnd) return;
    if (in_.token().Is('}') && in_anchor) {
      if (in_.lexer().depth() != depth) {
        in_.Error(in_.token().place, "this '}' ends an anchor of another file");
      }
      return;
    }
    in_.LeaveLists();
    if (!ParseStatement() || !EndStatement()) RecoverStatement();
  }
}

bool StatementParser::EndStatement() {
  if (in_.token().kind == TokenKind::kNewline) {
    in_.Take();
    return true;
  }
  if (in_.AtStatementEnd()) return true;
  if (in_.token().Is('}')) {
    return in_.Error(in_.token().place, "'}' without '{'");
  }
  return in_.Unexpected("the end of the statement");
}

void StatementParser::RecoverStatement() {
  size_t depth = in_.LeaveLists();
  for (;;) {
    if (in_.token().kind == TokenKind::kEnd) return;
    if (in_.token().kind == TokenKind::kNewline) {
      in_.Take();
      if (depth == 0) return;
      if (in_.token().kind == TokenKind::kWord &&
          std::find(kStatementWords.begin(), kStatementWords.end(),
                    in_.token().text) != kStatementWords.end()) {
        return;
      }
      continue;
    }
    if (in_.token().Is('{')) {
      ++depth;
    } else if (in_.token().Is('}')) {
      if (depth == 0 && in_.in_body()) return;
      if (depth > 0) --depth;
    }
    in_.Take();
  }
}

bool StatementParser::ParseStatement() {
  if (in_.token().kind != TokenKind::kWord &&
      in_.token().kind != TokenKind::kNumber) {
    if (!in_.token().Is('{')) return in_.Unexpected("a statement");
    in_.Error(in_.token().place,
              "syntax error: '{' where a statement is wanted",
              "the '{' of an anchor stands on the line of its head");
    in_.Take();
    in_.SkipBody();
    return false;
  }
  const Token word = in_.Take();
  if (in_.token().Is('=')) return ParseMacro(word);
  const std::string& w = word.text;
  const SourcePlace place = word.place;
  if (w == "pass") return rules_.ParseFilterRule(place, RuleAction::kPass);
  if (w == "block") return rules_.ParseFilterRule(place, RuleAction::kBlock);
  if (w == "match") return rules_.ParseFilterRule(place, RuleAction::kMatch);
  if (w == "table") return tables_.ParseTable(place);
  if (w == "anchor") return anchors_.ParseAnchor(place);
  if (w == "antispoof") return antispoof_.ParseAntispoof(place);
  if (w == "set") return settings_.ParseOption(place);
  if (w == "include") return ParseInclude(place);
  if (w == "load") return anchors_.ParseLoadAnchor(place);
  if (w == "scrub") return legacy_.ParseScrubRule(place, false);
  if (w == "nat" || w == "rdr")
    return legacy_.ParseTranslationRule(word, false);
  if (w == "binat") return legacy_.ParseBinatRule(place, false);
  if (w == "no") {
    Token kind = in_.Take();
    if (kind.IsWord("scrub")) return legacy_.ParseScrubRule(place, true);
    if (kind.IsWord("nat") || kind.IsWord("rdr")) {
      kind.place = place;
      return legacy_.ParseTranslationRule(kind, true);
    }
    if (kind.IsWord("binat")) return legacy_.ParseBinatRule(place, true);
    return in_.Error(
        kind.place,
        "syntax error: 'no' is followed by nat, rdr, binat or scrub",
        DidYouMean(kind.text, {"nat", "rdr", "binat", "scrub"}));
  }
  if (w == "nat-anchor" || w == "rdr-anchor" || w == "binat-anchor" ||
      w == "scrub-anchor") {
    return anchors_.ParseTranslationAnchor(word) || in_.GiveUpBody();
  }
  if (w == "ether") return ether_.ParseEther(place);
  if (w == "altq") return queues_.ParseAltq(word);
  if (w == "queue") {
    return in_.InDialect(Dialect::kOpenBsd) ? queues_.ParseQueue(word)
                                            : queues_.ParseAltq(word);
  }
  if (w == "state" || w == "source") return queues_.ParseLimiter(word);
  static const std::vector<std::string_view>& words =
      *new std::vector<std::string_view>(kStatementWords.begin(),
                                         kStatementWords.end());
  return in_.Error(
      place,
      "syntax error: '" + w.substr(0, 64) + "' does not begin a statement",
      DidYouMean(w, words));
}

bool StatementParser::ParseMacro(const Token& name) {
  if (ParseMacroDefinition(name)) return true;
  in_.lexer().DefineBroken(name.text);
  return false;
}

bool StatementParser::ParseMacroDefinition(const Token& name) {
  if (IsReservedWord(name.text, in_.dialect())) {
    return in_.Error(
        name.place,
        "'" + name.text + "' is a reserved word, not a macro's name");
  }
  if (name.text.size() > kMaxMacroName) {
    return in_.Error(name.place, "macro name too long, at most 63 characters");
  }
  for (char c : name.text) {
    const bool fits = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                      (c >= 'A' && c <= 'Z') || c == '_';
    if (!fits) {
      return in_.Error(name.place,
                       "a macro's name has letters, digits and '_' only");
    }
  }
  in_.Accept('=');
  if (in_.token().Is('{') || in_.token().Is('<') || in_.token().Is('(') ||
      in_.token().Is('!')) {
    return in_.Error(
        in_.token().place,
        "syntax error: a macro's value is text, in quotes unless it "
        "is one word",
        "write " + name.text + " = \"...\"");
  }
  std::string value;
  if (!in_.TakeMacroValue(value)) return false;
  if (!in_.AtStatementEnd()) {
    return in_.Unexpected("the end of the macro's value");
  }
  draft_.policy().macros.push_back({.name = name.text,
                                    .value = value,
                                    .place = name.place,
                                    .order = draft_.NextOrder()});
  in_.lexer().Define(name.text, std::move(value));
  return true;
}

bool StatementParser::ParseInclude(SourcePlace place) {
  const SourcePlace at = in_.token().place;
  std::string path;
  if (!in_.TakeName("a file name", path, kMaxTokenBytes)) return false;
  if (!in_.AtStatementEnd()) return in_.Unexpected("the end of the statement");
  for (const uint32_t file : in_.lexer().Files()) {
    if (in_.messages().file_name(file) != path) continue;
    return in_.Error(at, "\"" + path.substr(0, 64) +
                             "\" is included while it is read itself");
  }
  const auto missing = [&] {
    in_.lexer().MissDefinitions();
    names_.MissDefinitions();
    return false;
  };
  if (in_.lexer().depth() > draft_.input().limits.include_depth) {
    in_.Error(place,
              "includes are nested more than " +
                  std::to_string(draft_.input().limits.include_depth) + " deep",
              "a file may include itself under another name");
    return missing();
  }
  std::string text;
  if (!files_.Read(path, at, text)) return missing();
  if (in_.token().Is('}')) {
    return in_.Error(in_.token().place,
                     "syntax error: 'include' is a line of its own");
  }
  in_.Include(in_.messages().AddFile(path, std::move(text)));
  return true;
}

}  // namespace sluice
