// What is wrong with a ruleset, and where.
#ifndef SLUICE_PFTABLE_POLICY_DIAGNOSTIC_H_
#define SLUICE_PFTABLE_POLICY_DIAGNOSTIC_H_

#include <cstdint>
#include <string>
#include <vector>

namespace sluice {

enum class Severity : uint8_t { kError, kWarning };

struct Diagnostic {
  Severity severity = Severity::kError;
  std::string file;
  uint32_t line = 0;    // from 1; 0: the file as a whole
  uint32_t column = 0;  // from 1, in bytes
  std::string message;  // without the place, no full stop
  std::string source_line;  // the line's text, cut to a sane length
  std::string hint;         // a likely cause or what to do; may be empty

  friend bool operator==(const Diagnostic&, const Diagnostic&) = default;
};

// "file:line:column: message", the line, a caret below the column, and
// "hint: ..." if there is one. Control characters of the line are printed as
// '?'; tabs keep the caret in place. Ends with a newline.
std::string FormatDiagnostic(const Diagnostic& diagnostic);
// All of them, one after the other.
std::string FormatDiagnostics(const std::vector<Diagnostic>& diagnostics);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_POLICY_DIAGNOSTIC_H_
