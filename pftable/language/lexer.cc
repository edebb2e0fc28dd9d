#include "pftable/language/lexer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace sluice {
namespace {

constexpr int kEof = -1;

constexpr bool IsAlnum(int c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
         (c >= 'A' && c <= 'Z');
}

constexpr bool IsBlank(int c) {
  return c == ' ' || c == '\t' || c == '\f' || c == '\v' || c == '\r';
}

// What may follow the first character of a word: letters, digits and all
// punctuation that is not a token by itself.
constexpr std::array<bool, 256> kWordCharacters = [] {
  std::array<bool, 256> t{};
  for (int c = 33; c < 127; ++c) t[c] = true;
  for (char c : {'(', ')', '{', '}', '<', '>', '!', '=', '/', '#', ','}) {
    t[static_cast<unsigned char>(c)] = false;
  }
  return t;
}();

constexpr bool InWord(int c) { return c > 0 && c < 256 && kWordCharacters[c]; }
constexpr bool StartsWord(int c) {
  return IsAlnum(c) || c == ':' || c == '_';
}

constexpr bool MayFollowString(char c) {
  return c == '\n' || IsBlank(c) || c == ')' || c == '}' || c == '{' ||
         c == '>' || c == ',' || c == '#' || c == '\\';
}

// Digits are a number only before one of these; "10.0.0.1" is a word.
constexpr bool EndsNumber(int c) {
  return c == kEof || c == '\n' || IsBlank(c) || c == ')' || c == ',' ||
         c == '/' || c == '}' || c == '=' || c == '{' || c == '(' ||
         c == '<' || c == '>' || c == '!' || c == '#';
}

}  // namespace

void Lexer::DefineFixed(std::string name, std::string value) {
  macros_[std::move(name)] = {.value = std::move(value), .fixed = true};
}

void Lexer::Define(std::string name, std::string value) {
  Macro& macro = macros_[std::move(name)];
  if (macro.fixed) return;
  macro.value = std::move(value);
  macro.broken = false;
}

void Lexer::DefineBroken(std::string name) {
  macros_.try_emplace(std::move(name), Macro{.broken = true});
}

void Lexer::Restart() {
  sources_.clear();
  expanding_ = false;
  misses_definitions_ = false;
  std::erase_if(macros_, [](const auto& m) { return !m.second.fixed; });
}

std::vector<std::string> Lexer::MacroNames() const {
  std::vector<std::string> names;
  for (const auto& [name, macro] : macros_) {
    if (!macro.broken) names.push_back(name);
  }
  return names;
}

std::vector<uint32_t> Lexer::Files() const {
  std::vector<uint32_t> files;
  for (const auto& source : sources_) files.push_back(source->file);
  return files;
}

void Lexer::Push(uint32_t file, std::string_view text) {
  auto source = std::make_unique<Source>();
  source->file = file;
  source->text = text;
  sources_.push_back(std::move(source));
}

void Lexer::SkipBackslashes(Source& s) {
  while (s.at < s.text.size() && s.text[s.at] == '\\') {
    size_t next = s.at + 1;
    if (next < s.text.size() && s.text[next] == '\r') ++next;
    if (next >= s.text.size() || s.text[next] != '\n') {
      // The next character is taken as it is, another backslash too.
      s.taken = ++s.at;
      return;
    }
    s.at = next + 1;
    ++s.line;
    s.line_start = s.at;
  }
}

int Lexer::Peek() {
  if (expanding_) {
    if (expansion_at_ < expansion_.size()) {
      return static_cast<unsigned char>(expansion_[expansion_at_]);
    }
    // A word goes on behind the macro that begins it: "$ext_if:network".
    expanding_ = false;
  }
  Source& s = *sources_.back();
  if (s.at < s.text.size() && s.text[s.at] == '\\' && s.taken != s.at) {
    SkipBackslashes(s);
  }
  if (s.at >= s.text.size()) return kEof;
  return static_cast<unsigned char>(s.text[s.at]);
}

int Lexer::Get() {
  const int c = Peek();
  if (expanding_) {
    ++expansion_at_;
    return c;
  }
  if (c == kEof) return c;
  Source& s = *sources_.back();
  ++s.at;
  if (c == '\n') {
    ++s.line;
    s.line_start = s.at;
  }
  return c;
}

SourcePlace Lexer::Here() const {
  if (expanding_) return expansion_place_;
  const Source& s = *sources_.back();
  return {.file = s.file,
          .line = s.line,
          .column = static_cast<uint32_t>(s.at - s.line_start + 1)};
}

void Lexer::SkipBlanks(bool& skipped) {
  while (IsBlank(Peek())) {
    Get();
    skipped = true;
  }
}

Token Lexer::Next() {
  if (sources_.empty()) return {};
  bool adjacent = true;
  for (;;) {
    Token token;
    bool skipped = false;
    SkipBlanks(skipped);
    adjacent = adjacent && !skipped;
    token.place = Here();
    token.adjacent = adjacent;
    const int c = Get();
    if (c == '#') {
      // As in pf, a comment that ends in a backslash goes on in the next
      // line. A comment in a macro's value ends with the value.
      const bool in_macro = expanding_;
      for (int next = Peek(); expanding_ == in_macro && next != '\n' &&
                              next != kEof;
           next = Peek()) {
        Get();
      }
      adjacent = false;
      continue;
    }
    if (c == '$' && !expanding_) {
      if (!BeginMacro(token)) return token;
      continue;
    }
    return Punctuation(c, std::move(token));
  }
}

// The token that begins with `c`, which has been read.
Token Lexer::Punctuation(int c, Token token) {
  switch (c) {
    case kEof: {
      if (sources_.size() == 1) return token;
      sources_.pop_back();
      token.kind = TokenKind::kNewline;
      return token;
    }
    case '\n':
      token.kind = TokenKind::kNewline;
      return token;
    case '"':
    case '\'':
      return Quoted(c, std::move(token));
    case '!':
      if (Peek() == '=') {
        Get();
        token.kind = TokenKind::kNotEqual;
        token.text = "!=";
        return token;
      }
      break;
    case '<':
      if (Peek() == '>' || Peek() == '=') {
        token.kind = Get() == '>' ? TokenKind::kExceptRange
                                  : TokenKind::kLessOrEqual;
        token.text = token.kind == TokenKind::kExceptRange ? "<>" : "<=";
        return token;
      }
      break;
    case '>':
      if (Peek() == '<' || Peek() == '=') {
        token.kind = Get() == '<' ? TokenKind::kExclusiveRange
                                  : TokenKind::kGreaterOrEqual;
        token.text = token.kind == TokenKind::kExclusiveRange ? "><" : ">=";
        return token;
      }
      break;
    case '-':
      if (Peek() == '>') {
        Get();
        token.kind = TokenKind::kArrow;
        token.text = "->";
        return token;
      }
      if (Peek() >= '0' && Peek() <= '9') return Word(c, std::move(token));
      break;
    default:
      if (StartsWord(c)) return Word(c, std::move(token));
      break;
  }
  if (c < ' ' || c > '~') {
    token.kind = TokenKind::kError;
    token.text = "a byte that is not printable ASCII";
    return token;
  }
  token.kind = TokenKind::kCharacter;
  token.text = static_cast<char>(c);
  return token;
}

// Inside quotes a backslash protects a quote or a blank, and is itself
// otherwise; newlines are dropped, with or without a backslash before them.
Token Lexer::Quoted(int quote, Token token) {
  token.kind = TokenKind::kQuoted;
  Source& s = *sources_.back();
  const std::string_view text =
      expanding_ ? std::string_view(expansion_) : s.text;
  size_t& at = expanding_ ? expansion_at_ : s.at;
  // Where to go on after an error: the end of the line that it is in.
  const Source start = {.file = s.file,
                        .text = {},
                        .at = s.at,
                        .line = s.line,
                        .line_start = s.line_start};
  const auto fail = [&](std::string_view message) {
    if (!expanding_) {
      s.at = std::min(text.find('\n', start.at), text.size());
      s.line = start.line;
      s.line_start = start.line_start;
    }
    token.kind = TokenKind::kError;
    token.text = message;
    return token;
  };
  while (at < text.size()) {
    char c = text[at++];
    if (c == '\n') {
      ++s.line;
      s.line_start = at;
      continue;
    }
    if (c == '\\' && at < text.size()) {
      const char next = text[at];
      if (next == '\n' || (next == '\r' && text.substr(at, 2) == "\r\n")) {
        continue;
      }
      if (next == quote || next == ' ' || next == '\t') {
        c = next;
        ++at;
      }
    } else if (c == quote) {
      // A string may go on over lines, but where text follows at once it is
      // rather the next string's first quote.
      if (s.line != start.line && at < text.size() &&
          !MayFollowString(text[at])) {
        return fail("unterminated quoted string");
      }
      if (!token.text.empty() && token.text.back() == '\\') {
        return fail("string ends in a backslash");
      }
      return token;
    }
    if (c == '\r') continue;
    // Bytes above ASCII are of names in other languages, whatever their
    // encoding, and stay as they are.
    if (c != '\t' && ((c >= '\0' && c < ' ') || c == '\x7f')) {
      return fail("string with a control character");
    }
    if (token.text.size() >= kMaxTokenBytes - 1) {
      return fail("string too long, at most 8191 bytes");
    }
    token.text += c;
  }
  return fail("unterminated quoted string");
}

// Goes on reading in the value of the macro whose name follows. False: there
// is none, and `token` says so.
bool Lexer::BeginMacro(Token& token) {
  std::string name;
  while (IsAlnum(Peek()) || Peek() == '_') {
    if (name.size() >= kMaxTokenBytes - 1) {
      token.kind = TokenKind::kError;
      token.text = "macro name too long, at most 8191 bytes";
      return false;
    }
    name += static_cast<char>(Get());
  }
  const auto macro = macros_.find(name);
  if (macro == macros_.end() || macro->second.broken) {
    token.kind = TokenKind::kError;
    if (macro == macros_.end() && !misses_definitions_) {
      token.text = "macro '" + name + "' not defined";
    }
    return false;
  }
  expansion_ = macro->second.value;
  expansion_at_ = 0;
  expansion_place_ = token.place;
  expanding_ = true;
  return true;
}

Token Lexer::Word(int first, Token token) {
  token.text = static_cast<char>(first);
  bool digits = (first >= '0' && first <= '9') || first == '-';
  for (;;) {
    if (!expanding_) {
      // Most of a word in one step.
      Source& s = *sources_.back();
      const size_t begin = s.at;
      const size_t end =
          std::min(s.text.size(),
                   begin + kMaxTokenBytes - 1 - token.text.size());
      size_t at = begin;
      while (at < end && InWord(static_cast<unsigned char>(s.text[at])) &&
             s.text[at] != '\\') {
        digits = digits && s.text[at] >= '0' && s.text[at] <= '9';
        ++at;
      }
      token.text.append(s.text, begin, at - begin);
      s.at = at;
    }
    const int c = Peek();
    if (!InWord(c)) break;
    if (token.text.size() >= kMaxTokenBytes - 1) {
      token.kind = TokenKind::kError;
      token.text = "string too long, at most 8191 bytes";
      return token;
    }
    token.text += static_cast<char>(Get());
    digits = digits && c >= '0' && c <= '9';
  }
  token.kind = TokenKind::kWord;
  if (digits && token.text != "-" && EndsNumber(Peek())) {
    const char* end = token.text.data() + token.text.size();
    const auto [stop, error] =
        std::from_chars(token.text.data(), end, token.number);
    // Digits too many for a number are a word, as in a label.
    if (error != std::errc() || stop != end) return token;
    token.kind = TokenKind::kNumber;
    token.text = std::to_string(token.number);  // 010 is ten
  }
  return token;
}

}  // namespace sluice
