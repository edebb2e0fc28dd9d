// What the grammars say of anchors and of what stands in them.
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/pftable/language/language_fixture.h"

namespace sluice {
namespace {

// What is printed, or the first error.
std::string AnchorOutcome(const std::string& text, Dialect dialect,
                          const std::string& anchor = "") {
  const ParseResult result = ParseText(
      text,
      {.dialect = dialect, .files = {{"more", "pass\n"}}, .anchor = anchor});
  if (!result.ok()) return result.diagnostics[0].message;
  return PrintText(result, dialect);
}

struct AnchorCase {
  const char* text;
  const char* outcome;
};

TEST(GrammarAnchors, BothDialects) {
  const AnchorCase cases[] = {
      {"anchor \"a/b\" {\nblock\n}\n",
       "anchor paths containing '/' cannot be used for inline anchors"},
      {"anchor \"/a\" {\nblock\n}\n",
       "anchor paths containing '/' cannot be used for inline anchors"},
      {"anchor \"a\" {\nblock\n}\nanchor \"a\" {\nblock\n}\n",
       "inline anchor 'a' already exists"},
      {"anchor \"a\" {\nblock in\n}\nanchor \"b\" {\nanchor \"a\" {\nblock "
       "out\n}\n}\nanchor \"a\"\n",
       "anchor \"a\" all {\n  block drop in all\n}\nanchor \"b\" all {\n"
       "  anchor \"a\" all {\n    block drop out all\n  }\n}\nanchor \"a\" "
       "all\n"},
      {"anchor {\nblock in\n}\nanchor {\nblock out\n}\n",
       "anchor all {\n  block drop in all\n}\nanchor all {\n"
       "  block drop out all\n}\n"},
      {"anchor \"a\" {\nset skip on lo\n}\n",
       "options cannot be set in an anchor"},
  };
  for (const AnchorCase& c : cases) {
    for (const Dialect dialect : {Dialect::kOpenBsd, Dialect::kFreeBsd}) {
      SCOPED_TRACE(c.text);
      EXPECT_EQ(AnchorOutcome(c.text, dialect), c.outcome);
    }
  }
}

TEST(GrammarAnchors, QueuesBelongInTheMainRuleset) {
  const std::string queue = "queue q on em0 bandwidth 1M default\n";
  EXPECT_EQ(
      AnchorOutcome("anchor \"a\" {\n" + queue + "}\n", Dialect::kOpenBsd),
      "queue definitions in an anchor");
  EXPECT_EQ(AnchorOutcome(queue, Dialect::kOpenBsd, "a"),
            "queue definitions in an anchor");
  // FreeBSD's pfctl does not look at them in the file of an anchor.
  EXPECT_EQ(AnchorOutcome("altq on em0 priq bandwidth 1Mb queue { q }\nblock\n",
                          Dialect::kFreeBsd, "a"),
            "block drop all\n");
}

TEST(GrammarAnchors, PathsOfLoadedOnesHaveNoBraces) {
  const ParseResult result =
      ParseText("anchor \"a/b\"\nload anchor \"a/b\" from \"more\"\n",
                {.files = {{"more", "block\n"}}});
  ASSERT_TRUE(result.ok()) << FormatDiagnostics(result.diagnostics);
  EXPECT_EQ(PrintPolicy(result.policy,
                        {.facts = &TestFacts(), .loaded_anchors = true}),
            "anchor \"a/b\" all\nblock drop all\n");
}

// A path that only begins with the same letters is another anchor.
TEST(GrammarAnchors, AnAnchorsFileStaysInIt) {
  const ParseResult result =
      ParseText("anchor \"/ab/c\"\nanchor \"/a/c\"\n", {.anchor = "a"});
  ASSERT_TRUE(result.ok()) << FormatDiagnostics(result.diagnostics);
  ASSERT_EQ(result.policy.main.children.size(), 1u);
  EXPECT_EQ(result.policy.main.children[0].name, "c");
}

TEST(GrammarAnchors, ReassembleNoNoDf) {
  for (const Dialect dialect : {Dialect::kOpenBsd, Dialect::kFreeBsd}) {
    EXPECT_EQ(AnchorOutcome("set reassemble no no-df\n", dialect),
              "set reassemble no no-df\n");
  }
}

}  // namespace
}  // namespace sluice
