// Statements: what they begin with, where they end, and how reading goes on
// after a mistake.
#include <algorithm>
#include <array>

#include "pftable/language/parser_internal.h"

namespace sluice {
namespace {

constexpr size_t kMaxMacroName = 63;

// Words with which a statement begins. After a mistake inside of braces,
// reading goes on at the first line that begins with one of them.
constexpr std::array<std::string_view, 23> kStatementWords = {
    "altq",  "anchor",      "antispoof",    "binat", "binat-anchor", "block",
    "ether", "include",     "load",         "match", "nat",          "nat-anchor",
    "no",    "pass",        "queue",        "rdr",   "rdr-anchor",   "scrub",
    "set",   "scrub-anchor", "source",      "state", "table",
};

}  // namespace

void Parser::ParseStatements(bool in_anchor) {
  const size_t depth = lexer_.depth();
  for (;;) {
    if (result_.truncated) return;
    SkipNewlines();
    if (token_.kind == TokenKind::kEnd) return;
    if (token_.Is('}') && in_anchor) {
      if (lexer_.depth() != depth) {
        Error(token_.place, "this '}' ends an anchor of another file");
      }
      return;
    }
    brace_depth_ = 0;
    if (!ParseStatement() || !EndStatement()) RecoverStatement();
  }
}

bool Parser::EndStatement() {
  if (token_.kind == TokenKind::kNewline) {
    Take();
    return true;
  }
  if (AtStatementEnd()) return true;
  if (token_.Is('}')) {
    return Error(token_.place, "'}' without '{'");
  }
  return Unexpected("the end of the statement");
}

void Parser::RecoverStatement() {
  int depth = std::max(brace_depth_, 0);
  brace_depth_ = 0;
  for (;;) {
    if (token_.kind == TokenKind::kEnd) return;
    if (token_.kind == TokenKind::kNewline) {
      Take();
      if (depth == 0) return;
      if (token_.kind == TokenKind::kWord &&
          std::find(kStatementWords.begin(), kStatementWords.end(),
                    token_.text) != kStatementWords.end()) {
        return;
      }
      continue;
    }
    if (token_.Is('{')) {
      ++depth;
    } else if (token_.Is('}')) {
      if (depth == 0 && anchors_.size() > 1) return;
      if (depth > 0) --depth;
    }
    Take();
  }
}

void Parser::SkipBody() {
  size_t depth = 1;
  while (token_.kind != TokenKind::kEnd) {
    const Token token = Take();
    if (token.Is('{')) ++depth;
    if (token.Is('}') && --depth == 0) return;
  }
}

std::optional<SourcePlace> Parser::SkipToBody() {
  while (!AtStatementEnd()) {
    const Token token = Take();
    if (!token.Is('{')) continue;
    // Lists stand within a line as a rule, and bodies do not.
    if (token_.kind == TokenKind::kNewline) return token.place;
    SkipBody();
  }
  return std::nullopt;
}

bool Parser::GiveUpBody() {
  if (SkipToBody()) SkipBody();
  return false;
}

bool Parser::CheckOrder(Section section, SourcePlace place) {
  const bool wrong = result_.policy.options.require_order &&
                     anchors_.size() == 1 && section < section_;
  // After a mistake the order begins anew there: what follows in its section
  // is of the same mistake.
  if (wrong || section > section_) section_ = section;
  if (!wrong) return true;
  return Error(place,
               "rules must be in order: options, ethernet, normalization, "
               "queueing, translation, filtering",
               "move it, or write `set require-order no` first");
}

bool Parser::ParseStatement() {
  if (token_.kind != TokenKind::kWord && token_.kind != TokenKind::kNumber) {
    if (!token_.Is('{')) return Unexpected("a statement");
    Error(token_.place, "syntax error: '{' where a statement is wanted",
          "the '{' of an anchor stands on the line of its head");
    Take();
    SkipBody();
    return false;
  }
  const Token word = Take();
  if (token_.Is('=')) return ParseMacro(word);
  const std::string& w = word.text;
  const SourcePlace place = word.place;
  if (w == "pass") return ParseFilterRule(place, RuleAction::kPass);
  if (w == "block") return ParseFilterRule(place, RuleAction::kBlock);
  if (w == "match") return ParseFilterRule(place, RuleAction::kMatch);
  if (w == "table") return ParseTable(place);
  if (w == "anchor") return ParseAnchor(place);
  if (w == "antispoof") return ParseAntispoof(place);
  if (w == "set") return ParseOption(place);
  if (w == "include") return ParseInclude(place);
  if (w == "load") return ParseLoadAnchor(place);
  if (w == "scrub") return ParseScrubRule(place, false);
  if (w == "nat" || w == "rdr") return ParseTranslationRule(word, false);
  if (w == "binat") return ParseBinatRule(place, false);
  if (w == "no") {
    Token kind = Take();
    if (kind.IsWord("scrub")) return ParseScrubRule(place, true);
    if (kind.IsWord("nat") || kind.IsWord("rdr")) {
      kind.place = place;
      return ParseTranslationRule(kind, true);
    }
    if (kind.IsWord("binat")) return ParseBinatRule(place, true);
    return Error(kind.place,
                 "syntax error: 'no' is followed by nat, rdr, binat or scrub",
                 DidYouMean(kind.text, {"nat", "rdr", "binat", "scrub"}));
  }
  if (w == "nat-anchor" || w == "rdr-anchor" || w == "binat-anchor" ||
      w == "scrub-anchor") {
    return ParseTranslationAnchor(word) || GiveUpBody();
  }
  if (w == "ether") return ParseEther(place);
  if (w == "altq") return ParseAltq(word);
  if (w == "queue") {
    return InDialect(Dialect::kOpenBsd) ? ParseQueue(word) : ParseAltq(word);
  }
  if (w == "state" || w == "source") return ParseLimiter(word);
  static const std::vector<std::string_view>& words =
      *new std::vector<std::string_view>(kStatementWords.begin(),
                                         kStatementWords.end());
  return Error(place, "syntax error: '" + w.substr(0, 64) +
                          "' does not begin a statement",
               DidYouMean(w, words));
}

bool Parser::ParseMacro(const Token& name) {
  if (ParseMacroDefinition(name)) return true;
  lexer_.DefineBroken(name.text);
  return false;
}

bool Parser::ParseMacroDefinition(const Token& name) {
  if (IsReservedWord(name.text)) {
    return Error(name.place,
                 "'" + name.text + "' is a reserved word, not a macro's name");
  }
  if (name.text.size() > kMaxMacroName) {
    return Error(name.place, "macro name too long, at most 63 characters");
  }
  for (char c : name.text) {
    const bool fits = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                      (c >= 'A' && c <= 'Z') || c == '_';
    if (!fits) {
      return Error(name.place,
                   "a macro's name has letters, digits and '_' only");
    }
  }
  Accept('=');
  if (token_.Is('{') || token_.Is('<') || token_.Is('(') || token_.Is('!')) {
    return Error(token_.place,
                 "syntax error: a macro's value is text, in quotes unless it "
                 "is one word",
                 "write " + name.text + " = \"...\"");
  }
  std::string value;
  size_t parts = 0;
  while (token_.IsString() || token_.kind == TokenKind::kNumber) {
    if (parts++ != 0) value += ' ';
    value += token_.text;
    if (value.size() > kMaxTokenBytes) {
      return Error(token_.place, "macro value too long, at most 8192 bytes");
    }
    Take();
  }
  if (parts == 0) return Unexpected("a macro's value");
  if (!AtStatementEnd()) {
    return Unexpected("the end of the macro's value");
  }
  result_.policy.macros.push_back(
      {.name = name.text,
       .value = value,
       .place = name.place,
       .order = ++order_});
  lexer_.Define(name.text, std::move(value));
  return true;
}

bool Parser::ParseInclude(SourcePlace place) {
  const SourcePlace at = token_.place;
  std::string path;
  if (!TakeString("a file name", path, kMaxTokenBytes)) return false;
  if (!AtStatementEnd()) return Unexpected("the end of the statement");
  for (const uint32_t file : lexer_.Files()) {
    if (result_.policy.files[file] != path) continue;
    return Error(at, "\"" + path.substr(0, 64) +
                         "\" is included while it is read itself");
  }
  const auto missing = [&] {
    lexer_.MissDefinitions();
    misses_definitions_ = true;
    return false;
  };
  if (lexer_.depth() > input_.limits.include_depth) {
    Error(place, "includes are nested more than " +
                     std::to_string(input_.limits.include_depth) + " deep",
          "a file may include itself under another name");
    return missing();
  }
  std::string text;
  if (!ReadFile(path, at, text)) return missing();
  if (token_.Is('}')) {
    return Error(token_.place, "syntax error: 'include' is a line of its own");
  }
  // The line's end has been read; the file goes behind it.
  token_.kind = TokenKind::kNewline;
  const uint32_t file = AddFile(path, std::move(text));
  lexer_.Push(file, texts_[file].text);
  return true;
}

}  // namespace sluice
