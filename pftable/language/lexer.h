// From ruleset text to tokens: macros, comments, continuation lines, included
// files. Internal to the language front-end.
#ifndef SLUICE_PFTABLE_LANGUAGE_LEXER_H_
#define SLUICE_PFTABLE_LANGUAGE_LEXER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pftable/policy/rule.h"

namespace sluice {

enum class TokenKind : uint8_t {
  kEnd,
  kNewline,
  kWord,    // may be a keyword
  kQuoted,  // never a keyword
  kNumber,
  kCharacter,       // one character of punctuation: text[0]
  kNotEqual,        // !=
  kLessOrEqual,     // <=
  kGreaterOrEqual,  // >=
  kExclusiveRange,  // ><
  kExceptRange,     // <>
  kArrow,           // ->
  kError,           // text is the message; empty if it has been given
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string text;
  int64_t number = 0;
  SourcePlace place;
  // No white space before it: "a/b" is not "a / b".
  bool adjacent = false;

  bool Is(char c) const {
    return kind == TokenKind::kCharacter && text[0] == c;
  }
  bool IsWord(std::string_view w) const {
    return kind == TokenKind::kWord && text == w;
  }
  // A word or a quoted string.
  bool IsString() const {
    return kind == TokenKind::kWord || kind == TokenKind::kQuoted;
  }
};

// pf's limit for a token.
inline constexpr size_t kMaxTokenBytes = 8192;

class Lexer {
 public:
  // Macros that a file cannot change: -D.
  void DefineFixed(std::string name, std::string value);
  void Define(std::string name, std::string value);
  // A macro whose definition has a mistake: where it is used, kError without
  // a message comes, because the mistake is reported already.
  void DefineBroken(std::string name);
  // Definitions are missing: macros that are not known are taken for broken.
  void MissDefinitions() { misses_definitions_ = true; }
  // Forgets the sources and all macros but the fixed ones.
  void Restart();

  // Begins to read `text`, which must outlive the reading; what was being read
  // goes on after its end. `file` is the number that places carry.
  void Push(uint32_t file, std::string_view text);
  size_t depth() const { return sources_.size(); }
  // The files that are being read, outermost first.
  std::vector<uint32_t> Files() const;

  // At the end of a pushed text it yields kNewline and goes on with the one
  // below it; kEnd comes after the first.
  Token Next();

  // The names of the macros that are defined, for hints.
  std::vector<std::string> MacroNames() const;

 private:
  struct Source {
    uint32_t file = 0;
    std::string_view text;
    size_t at = 0;
    uint32_t line = 1;
    size_t line_start = 0;
    // Where a character stands whose backslash has been dropped.
    size_t taken = static_cast<size_t>(-1);
  };
  struct Macro {
    std::string value = {};
    bool fixed = false;
    bool broken = false;
  };

  int Get();
  int Peek();
  // Outside of quotes: a backslash and a newline are nothing, and any other
  // backslash is dropped.
  void SkipBackslashes(Source& s);
  void SkipBlanks(bool& skipped);
  Token Quoted(int quote, Token token);
  bool BeginMacro(Token& token);
  Token Punctuation(int c, Token token);
  Token Word(int first, Token token);
  SourcePlace Here() const;

  std::vector<std::unique_ptr<Source>> sources_;
  std::map<std::string, Macro, std::less<>> macros_;
  bool misses_definitions_ = false;
  // The value of the macro that is being read.
  std::string expansion_;
  size_t expansion_at_ = 0;
  bool expanding_ = false;
  SourcePlace expansion_place_;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_LANGUAGE_LEXER_H_
