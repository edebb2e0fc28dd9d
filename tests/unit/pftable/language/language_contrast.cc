#include "tests/unit/pftable/language/language_contrast.h"

namespace sluice {

std::string Outcome(const std::string& text, Dialect dialect) {
  const ParseResult result = ParseText(text, {.dialect = dialect});
  std::string out;
  for (const Diagnostic& d : result.diagnostics) {
    out += d.severity == Severity::kWarning ? "warning " : "";
    out += std::to_string(d.line) + ":" + std::to_string(d.column) + ": " +
           d.message + "\n";
  }
  if (!result.ok()) return out;
  const std::string printed = PrintText(result, dialect);
  // In its own dialect it reads back to the same.
  const ParseResult again = ParseText(printed, {.dialect = dialect});
  EXPECT_TRUE(again.ok()) << FormatDiagnostics(again.diagnostics);
  EXPECT_EQ(PrintText(again, dialect), printed);
  EXPECT_EQ(RulesetChecksum(again.policy), RulesetChecksum(result.policy));
  return out + printed;
}

namespace {

TEST_P(ContrastTest, IsAsTheDialectHasIt) {
  const Contrast& c = GetParam();
  EXPECT_EQ(Outcome(c.text, Dialect::kOpenBsd), c.openbsd);
  EXPECT_EQ(Outcome(c.text, Dialect::kFreeBsd), c.freebsd);
}

}  // namespace
}  // namespace sluice
