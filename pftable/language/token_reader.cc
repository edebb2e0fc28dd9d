#include "pftable/language/token_reader.h"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pftable/language/words.h"
#include "pftable/policy/reserved_words.h"

namespace sluice {

TokenReader::TokenReader(const ParseInput& input, Messages& messages)
    : limits_(input.limits),
      dialect_(input.dialect),
      bare_names_(input.unnamed_by_number),
      messages_(messages) {
  for (const auto& [name, value] : input.macros) {
    lexer_.DefineFixed(name, value);
  }
}

void TokenReader::Begin(uint32_t file) {
  lexer_.Push(file, messages_.text(file));
  token_ = lexer_.Next();
}

void TokenReader::Restart(uint32_t file) {
  lexer_.Restart();
  Begin(file);
}

void TokenReader::Include(uint32_t file) {
  // The line's end has been read; the file goes behind it.
  token_.kind = TokenKind::kNewline;
  lexer_.Push(file, messages_.text(file));
}

Token TokenReader::Take() {
  Token taken = std::move(token_);
  token_ = lexer_.Next();
  return taken;
}

bool TokenReader::Accept(char c) {
  if (!token_.Is(c)) return false;
  if (c == '{') ++brace_depth_;
  if (c == '}') --brace_depth_;
  Take();
  return true;
}

bool TokenReader::AcceptWord(std::string_view word) {
  if (!token_.IsWord(word)) return false;
  Take();
  return true;
}

bool TokenReader::Expect(char c, std::string_view after) {
  if (Accept(c)) return true;
  return Unexpected("'" + std::string(1, c) + "' " + std::string(after));
}

void TokenReader::SkipNewlines() {
  while (token_.kind == TokenKind::kNewline) Take();
}

bool TokenReader::AtStatementEnd() const {
  return token_.kind == TokenKind::kNewline || token_.kind == TokenKind::kEnd ||
         (token_.Is('}') && in_body() && brace_depth_ == 0);
}

bool TokenReader::ParseList(const std::function<bool()>& item, size_t depth) {
  if (!token_.Is('{')) return item();
  if (depth >= limits_.list_nesting) {
    return Error(token_.place, "lists are nested more than " +
                                   std::to_string(limits_.list_nesting) +
                                   " deep");
  }
  const SourcePlace opened = token_.place;
  Accept('{');
  SkipNewlines();
  if (token_.Is('}')) return Error(opened, "empty list");
  for (;;) {
    if (!ParseList(item, depth + 1)) return false;
    SkipNewlines();
    const SourcePlace comma = token_.place;
    if (Accept(',')) {
      SkipNewlines();
      if (token_.Is('}')) {
        return Error(comma, "syntax error: a list ends with a comma");
      }
    }
    if (Accept('}')) return true;
    if (token_.kind == TokenKind::kEnd) {
      return Error(opened, "'{' without '}'");
    }
  }
}

bool TokenReader::IsName() const {
  return token_.kind == TokenKind::kQuoted ||
         (token_.kind == TokenKind::kWord &&
          !IsReservedWord(token_.text, dialect_));
}

bool TokenReader::TakeName(std::string_view what, std::string& out,
                           size_t max_bytes) {
  if (!IsName() && !bare_names_) {
    const bool quotable =
        token_.kind == TokenKind::kWord || token_.kind == TokenKind::kNumber;
    if (!quotable) return Unexpected(what);
    return Error(token_.place,
                 "syntax error: '" + token_.text.substr(0, 64) + "' where " +
                     std::string(what) + " is wanted",
                 token_.kind == TokenKind::kNumber
                     ? "a number is none without quotes"
                     : "that is a word of the language: quotes make it a name");
  }
  return TakeString(what, out, max_bytes);
}

bool TokenReader::TakeInterface(std::string& name) {
  if (AcceptWord("any")) {
    name = "any";
    return true;
  }
  return TakeName("an interface name", name, kMaxInterfaceName);
}

bool TokenReader::TakeString(std::string_view what, std::string& out,
                             size_t max_bytes) {
  if (!token_.IsString() && token_.kind != TokenKind::kNumber) {
    return Unexpected(what);
  }
  if (token_.text.size() > max_bytes) {
    return Error(token_.place, std::string(what) + " too long, at most " +
                                   std::to_string(max_bytes) + " characters");
  }
  // Rules with one in a name could not be written into a snapshot.
  if (token_.text.find('\t') != std::string::npos) {
    return Error(token_.place, std::string(what) + " with a tab in it",
                 "write a space");
  }
  out = Take().text;
  return true;
}

bool TokenReader::TakeMacroValue(std::string& value) {
  value.clear();
  size_t parts = 0;
  while (IsName() || token_.kind == TokenKind::kNumber) {
    if (parts++ != 0) value += ' ';
    value += token_.text;
    if (value.size() > kMaxTokenBytes) {
      return Error(token_.place, "macro value too long, at most 8192 bytes");
    }
    Take();
  }
  return parts != 0 || Unexpected("a macro's value");
}

bool TokenReader::TakeNumber(std::string_view what, int64_t low, int64_t high,
                             int64_t& out) {
  int64_t value = token_.number;
  if (token_.kind != TokenKind::kNumber) {
    const auto number = token_.kind == TokenKind::kWord
                            ? ParseUnsigned(token_.text)
                            : std::nullopt;
    if (!number || *number > 0xffffffffffff) {
      return Unexpected("a number for " + std::string(what));
    }
    value = static_cast<int64_t>(*number);
  }
  if (value < low || value > high) {
    return Error(token_.place, std::string(what) + " " +
                                   std::to_string(value) +
                                   " is out of range, " + std::to_string(low) +
                                   " to " + std::to_string(high));
  }
  out = value;
  Take();
  return true;
}

bool TokenReader::ParseRate(std::string_view what, RateLimit& rate) {
  int64_t count = 0;
  int64_t seconds = 0;
  if (!TakeNumber(what, 1, kMaxUint32, count) ||
      !Expect('/', "between a number and its seconds") ||
      !TakeNumber("the seconds of a rate", 1, kMaxUint32, seconds)) {
    return false;
  }
  rate.count = static_cast<uint32_t>(count);
  rate.seconds = static_cast<uint32_t>(seconds);
  return true;
}

bool TokenReader::Error(SourcePlace place, std::string message,
                        std::string hint) {
  // What a broken macro would have been is not known.
  if (token_.kind == TokenKind::kError && token_.text.empty() &&
      place == token_.place) {
    return false;
  }
  messages_.Report(Severity::kError, place, std::move(message),
                   std::move(hint));
  return false;
}

void TokenReader::Warning(SourcePlace place, std::string message,
                          std::string hint) {
  messages_.Report(Severity::kWarning, place, std::move(message),
                   std::move(hint));
}

bool TokenReader::Unexpected(std::string_view wanted,
                             std::initializer_list<std::string_view> words) {
  const SourcePlace place = token_.place;
  std::string got;
  std::string hint;
  switch (token_.kind) {
    case TokenKind::kError:
      if (token_.text.rfind("macro '", 0) == 0) {
        const std::vector<std::string> names = lexer_.MacroNames();
        const std::string nearest = NearestWord(
            std::string_view(token_.text)
                .substr(7, token_.text.rfind('\'') - 7),
            {names.begin(), names.end()});
        if (!nearest.empty()) hint = "did you mean $" + nearest + "?";
      }
      return Error(place, token_.text, std::move(hint));
    case TokenKind::kEnd:
      got = "the end of the file";
      break;
    case TokenKind::kNewline:
      got = "the end of the line";
      break;
    case TokenKind::kQuoted:
      got = "\"" + token_.text.substr(0, 64) + "\"";
      break;
    default:
      got = "'" + token_.text.substr(0, 64) + "'";
      break;
  }
  if (token_.kind == TokenKind::kWord && words.size() != 0) {
    hint = DidYouMean(token_.text, words);
  } else if (token_.kind == TokenKind::kWord && !IsReservedWord(token_.text)) {
    hint = DidYouMean(token_.text, ReservedWords());
  }
  return Error(place,
               "syntax error: " + got + " where " + std::string(wanted) +
                   " is wanted",
               std::move(hint));
}

void TokenReader::SkipBody() {
  size_t depth = 1;
  while (token_.kind != TokenKind::kEnd) {
    const Token token = Take();
    if (token.Is('{')) ++depth;
    if (token.Is('}') && --depth == 0) return;
  }
}

std::optional<SourcePlace> TokenReader::SkipToBody() {
  while (!AtStatementEnd()) {
    const Token token = Take();
    if (!token.Is('{')) continue;
    // Lists stand within a line as a rule, and bodies do not.
    if (token_.kind == TokenKind::kNewline) return token.place;
    SkipBody();
  }
  return std::nullopt;
}

bool TokenReader::GiveUpBody() {
  if (SkipToBody()) SkipBody();
  return false;
}

void TokenReader::LeaveBody() {
  --bodies_;
  brace_depth_ = 0;
}

size_t TokenReader::LeaveLists() {
  const int open = std::max(brace_depth_, 0);
  brace_depth_ = 0;
  return static_cast<size_t>(open);
}

}  // namespace sluice
