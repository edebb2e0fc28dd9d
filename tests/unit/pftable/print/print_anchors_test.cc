// Bodies of anchors: printed so that the text reads back to the same rules,
// however often and from wherever an anchor is called.
#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <utility>

#include "pftable/language/parser.h"
#include "pftable/print/printer.h"

namespace sluice {
namespace {

struct Case {
  const char* name;
  const char* text;
  const char* printed;  // null: any text that reads back
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

constexpr Case kCases[] = {
    {"CalledTwice", "anchor \"a\" {\nblock in\n}\nanchor \"a\" in\n",
     "anchor \"a\" all {\n  block drop in all\n}\nanchor \"a\" in all\n"},
    {"CalledBefore", "anchor \"a\" in\nanchor \"a\" {\nblock in\n}\n",
     "anchor \"a\" in all {\n  block drop in all\n}\nanchor \"a\" all\n"},
    {"FromInsideAndOutside",
     "anchor \"a\" {\nanchor \"b\" {\nblock in\n}\n}\nanchor \"a/b\"\n",
     "anchor \"a\" all {\n  anchor \"b\" all {\n    block drop in all\n  }\n}\n"
     "anchor \"a/b\" all\n"},
    {"WithTables",
     "anchor \"a\" {\ntable <t> { ::1 }\nblock from <t>\n}\nanchor \"a\"\n",
     "anchor \"a\" all {\n  table <t> { ::1 }\n"
     "  block drop from <t> to any\n}\nanchor \"a\" all\n"},
    {"UnnamedAlways", "anchor {\nblock in\n}\nanchor {\nblock in\n}\n",
     "anchor all {\n  block drop in all\n}\nanchor all {\n  block drop in all\n"
     "}\n"},
    {"EtherCalledTwice",
     "ether anchor \"a\" {\nether block\n}\nether anchor \"a\"\n",
     nullptr},
    {"EtherAndPackets",
     "ether anchor \"a\" {\nether block\n}\nanchor \"a\" {\npass no state\n}\n"
     "anchor \"a\" out\n",
     nullptr},
    {"EtherInTheBody",
     "anchor \"a\" {\nether block\nblock\n}\nanchor \"a\"\n", nullptr},
};

class PrintAnchors : public testing::TestWithParam<Case> {};

ParseResult Parse(std::string text) {
  ParseInput input;
  input.text = std::move(text);
  return ParsePolicy(std::move(input));
}

TEST_P(PrintAnchors, ReadsBackToTheSame) {
  const ParseResult parsed = Parse(GetParam().text);
  ASSERT_TRUE(parsed.ok()) << FormatDiagnostics(parsed.diagnostics);
  const std::string printed = PrintPolicy(parsed.policy, {});
  if (GetParam().printed != nullptr) {
    EXPECT_EQ(printed, GetParam().printed);
  }
  const ParseResult again = Parse(printed);
  ASSERT_TRUE(again.ok()) << FormatDiagnostics(again.diagnostics);
  EXPECT_EQ(PrintPolicy(again.policy, {}), printed);
  EXPECT_EQ(RulesetChecksum(again.policy), RulesetChecksum(parsed.policy));
}

INSTANTIATE_TEST_SUITE_P(Anchors, PrintAnchors, testing::ValuesIn(kCases),
                         [](const auto& info) { return info.param.name; });

// The text of snapshots and identities stays what it has been, whatever pfctl
// prints.
TEST(PrintRule, HasAFormOfItsOwnForWhatIsKept) {
  const ParseResult parsed = Parse(
      "pass keep state (sloppy) probability 50% tag \"one two\" "
      "tagged \"in two\"\n");
  ASSERT_TRUE(parsed.ok()) << FormatDiagnostics(parsed.diagnostics);
  const Rule& rule = parsed.policy.main.rules.filter[0];
  EXPECT_EQ(PrintRule(rule),
            "pass all flags S/SA keep state (sloppy) probability 50% "
            "tag \"one two\" tagged \"in two\"");
  EXPECT_EQ(PrintRule(rule, {.as_pfctl = true}),
            "pass all flags S/SA keep state probability 50% (sloppy) "
            "tag one two tagged \"in two\"");
}

}  // namespace
}  // namespace sluice
