// The tokens of a ruleset as the parsers of its parts take them, with the
// errors and hints about them: what all of these parsers have in common.
// Internal to the language front-end.
//
// Conventions: Parse...() of any of them returns false after it has reported
// an error; the statement is then given up and reading goes on with the next
// one, so that one mistake makes one message.
#ifndef SLUICE_PFTABLE_LANGUAGE_TOKEN_READER_H_
#define SLUICE_PFTABLE_LANGUAGE_TOKEN_READER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "pftable/language/lexer.h"
#include "pftable/language/messages.h"
#include "pftable/language/parser.h"
#include "pftable/policy/rule.h"

namespace sluice {

inline constexpr size_t kMaxInterfaceName = 63;
inline constexpr int64_t kMaxUint32 = 0xffffffff;

class TokenReader {
 public:
  // Both outlive this.
  TokenReader(const ParseInput& input, Messages& messages);

  // Begins to read a file that Messages has.
  void Begin(uint32_t file);
  // The same, and the macros of what was read before are forgotten.
  void Restart(uint32_t file);
  // At the end of a statement: the file is read before what follows it.
  void Include(uint32_t file);

  const Token& token() const { return token_; }
  Token Take();
  bool Accept(char c);
  bool AcceptWord(std::string_view word);
  bool Expect(char c, std::string_view after);
  // Newlines may stand between the items of a list.
  void SkipNewlines();
  bool AtStatementEnd() const;
  bool TakeString(std::string_view what, std::string& out, size_t max_bytes);
  // The same of what is no number and, unless it is quoted, no word of the
  // language: pf's STRING.
  bool TakeName(std::string_view what, std::string& out, size_t max_bytes);
  bool IsName() const;
  // The name of an interface or of a group, or `any`.
  bool TakeInterface(std::string& name);
  bool TakeNumber(std::string_view what, int64_t low, int64_t high,
                  int64_t& out);
  // "COUNT/SECONDS"
  bool ParseRate(std::string_view what, RateLimit& rate);
  // What a macro stands for: words and numbers, up to something else.
  bool TakeMacroValue(std::string& value);
  // Parses `item` or `{ item, item ... }`, nested up to the limit.
  bool ParseList(const std::function<bool()>& item, size_t depth = 0);

  // Reports `message` at `place` unless the same was just said; false.
  bool Error(SourcePlace place, std::string message, std::string hint = "");
  // About the present token; the hint is the nearest of `words`, or of all
  // reserved words if there are none.
  bool Unexpected(std::string_view wanted,
                  std::initializer_list<std::string_view> words = {});
  void Warning(SourcePlace place, std::string message, std::string hint = "");

  // After the '{' of a body whose head has a mistake: to behind its '}'.
  void SkipBody();
  // After a mistake in the head of an anchor: to behind the '{' of its body,
  // which is the place; nothing if it has none.
  std::optional<SourcePlace> SkipToBody();
  // Both; false.
  bool GiveUpBody();

  // A '}' outside of lists ends a statement where the body of an anchor is
  // being read.
  void EnterBody() { ++bodies_; }
  void LeaveBody();
  bool in_body() const { return bodies_ > 0; }
  // Forgets the lists that the statement has opened: so many.
  size_t LeaveLists();

  Dialect dialect() const { return dialect_; }
  bool InDialect(Dialect d) const { return dialect_ == d; }
  Lexer& lexer() { return lexer_; }
  Messages& messages() { return messages_; }
  const Messages& messages() const { return messages_; }

 private:
  const ParseLimits& limits_;
  const Dialect dialect_;
  // Snapshots of older versions have names bare that need quotes now.
  const bool bare_names_;
  Messages& messages_;
  Lexer lexer_;
  Token token_;
  int brace_depth_ = 0;  // of lists in the present statement
  size_t bodies_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_LANGUAGE_TOKEN_READER_H_
