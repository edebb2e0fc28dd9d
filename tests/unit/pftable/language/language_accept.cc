#include "tests/unit/pftable/language/language_accept.h"

namespace sluice {
namespace {

TEST_P(AcceptTest, PrintsAndReadsBack) {
  const auto& [c, dialect] = GetParam();
  const ParseResult result = ParseText(c.text, {.dialect = dialect});
  ASSERT_TRUE(result.ok()) << FormatDiagnostics(result.diagnostics);
  const std::string printed = PrintText(result, dialect);
  EXPECT_EQ(printed, dialect == Dialect::kFreeBsd && c.freebsd != nullptr
                         ? c.freebsd
                         : c.openbsd);
  const ParseResult again = ParseText(printed, {.dialect = dialect});
  ASSERT_TRUE(again.ok()) << FormatDiagnostics(again.diagnostics);
  EXPECT_EQ(PrintText(again, dialect), printed);
  EXPECT_EQ(RulesetChecksum(again.policy), RulesetChecksum(result.policy));
}

}  // namespace
}  // namespace sluice
