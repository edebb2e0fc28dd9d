// Macros, files, limits, anchors and what else is not a table of cases.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "pftable/compile/enforce.h"
#include "tests/unit/pftable/language/language_fixture.h"

namespace sluice {
namespace {

std::string Rules(const ParseResult& result) {
  EXPECT_TRUE(result.ok()) << FormatDiagnostics(result.diagnostics);
  return PrintRuleset(result.policy.main, {}, true);
}

TEST(Language, CommandLineMacroWins) {
  EXPECT_EQ(Rules(ParseText("a = 10.0.0.1\nblock from $a",
                            {.macros = {{"a", "10.0.0.2"}}})),
            "block drop inet from 10.0.0.2 to any\n");
}

TEST(Language, MacroIsNotReadInQuotes) {
  const ParseResult result =
      ParseText("a = x\nb = \"$a\"\nblock label \"$a\"");
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result.policy.macros[1].value, "$a");
  EXPECT_EQ(result.policy.main.rules.filter[0].labels[0], "$a");
}

TEST(Language, MacroMistakeIsAtItsUse) {
  const ParseResult result = ParseText("p = \"1 99999\"\n"
                                       "pass proto tcp to port { $p }");
  ASSERT_EQ(result.diagnostics.size(), 1u);
  EXPECT_EQ(result.diagnostics[0].line, 2u);
  EXPECT_EQ(result.diagnostics[0].column, 26u);
}

TEST(Language, IncludeReadsInPlace) {
  EXPECT_EQ(Rules(ParseText("a = em0\ninclude \"sub.conf\"\nblock on $b",
                            {.files = {{"sub.conf",
                                        "pass on $a\nb = em1"}}})),
            "pass on em0 all flags S/SA\nblock drop on em1 all\n");
}

TEST(Language, IncludeMistakesNameTheirFile) {
  const ParseResult result =
      ParseText("include \"sub.conf\"\npasss",
                {.files = {{"sub.conf", "pass\n  blok all\n"}}});
  ASSERT_EQ(result.diagnostics.size(), 2u);
  EXPECT_EQ(FormatDiagnostic(result.diagnostics[0]),
            "sub.conf:2:3: syntax error: 'blok' does not begin a statement\n"
            "  blok all\n"
            "  ^\n"
            "hint: did you mean 'block'?\n");
  EXPECT_EQ(result.diagnostics[1].file, "pf.conf");
  EXPECT_EQ(result.diagnostics[1].line, 2u);
}

TEST(Language, MistakeInAListIsOneMessage) {
  const ParseResult result = ParseText(
      "pass from { 10.0.0.1,\n  10.0.0.999,\n  10.0.0.3 }\npass on em0\n"
      "bad\n");
  ASSERT_EQ(result.diagnostics.size(), 2u)
      << FormatDiagnostics(result.diagnostics);
  EXPECT_EQ(result.diagnostics[0].line, 2u);
  EXPECT_EQ(result.diagnostics[1].line, 5u);
  EXPECT_EQ(result.policy.main.rules.filter.size(), 1u);
}

TEST(Language, AnchorWithABadHeadStillShowsItsBodysMistakes) {
  const ParseResult result = ParseText(
      "anchor \"a\" keep state {\n  pass\n  wrong\n}\npass\n");
  ASSERT_EQ(result.diagnostics.size(), 2u)
      << FormatDiagnostics(result.diagnostics);
  EXPECT_EQ(result.diagnostics[1].line, 3u);
}

TEST(Language, NoFilesWithoutALoader) {
  ParseInput input;
  input.text = "include \"/etc/passwd\"";
  const ParseResult result = ParsePolicy(std::move(input));
  ASSERT_EQ(result.diagnostics.size(), 1u);
  EXPECT_EQ(result.diagnostics[0].file, "stdin");
  EXPECT_NE(result.diagnostics[0].message.find("files may not be read"),
            std::string::npos);
}

TEST(Language, TableFile) {
  const ParseResult result = ParseText(
      "table <t> const file \"list\" { 192.0.2.9 }",
      {.files = {{"list",
                  "# comment\n10.0.0.1 10.0.0.0/8, ! 10.1.0.0/16 ; other\n"
                  "localhost\n!2001:db8::/32 # more\n10.0.0.1\n"}}});
  ASSERT_TRUE(result.ok()) << FormatDiagnostics(result.diagnostics);
  const TableDefinition& table = result.policy.main.tables[0];
  EXPECT_EQ(PrintTable(table), "table <t> const file \"list\" { 192.0.2.9 }");
  TableDefinition contents = table;
  contents.parts.clear();
  EXPECT_EQ(PrintTable(contents),
            "table <t> const { 10.0.0.1 10.0.0.0/8 !10.1.0.0/16 127.0.0.1 "
            "::1 !2001:db8::/32 192.0.2.9 }");
  ASSERT_EQ(table.parts.size(), 2u);
  EXPECT_EQ(table.parts[0].file, "list");
}

// Macros, options and tables in the order of the text, as pfctl shows them.
TEST(Language, StatementsPrintInTheirOrder) {
  const ParseResult result = ParseText(
      "table <a> persist\nx = \"em0\"\ninclude \"more\"\n"
      "set limit frags 9\npass on $x\ntable <b> { 192.0.2.1 }\n",
      {.files = {{"more", "set reassemble no\ny = \"1\"\n"
                          "table <c> file \"list\"\n"},
                 {"list", "192.0.2.7\n"}}});
  ASSERT_TRUE(result.ok()) << FormatDiagnostics(result.diagnostics);
  EXPECT_EQ(PrintText(result, Dialect::kOpenBsd),
            "table <a> persist\nx = \"em0\"\nset reassemble no \n"
            "y = \"1\"\ntable <c> file \"list\"\nset limit frags 9\n"
            "table <b> { 192.0.2.1 }\npass on em0 all flags S/SA\n");
}

TEST(Language, TableFileMistakesHaveTheirPlace) {
  const ParseResult result =
      ParseText("table <t> file \"list\"",
                {.files = {{"list", "10.0.0.1\n  10.0.0.1/40\n1.2.3.4;}\n"
                                    "no.such.host\n"}}});
  ASSERT_EQ(result.diagnostics.size(), 2u)
      << FormatDiagnostics(result.diagnostics);
  EXPECT_EQ(result.diagnostics[0].file, "list");
  EXPECT_EQ(result.diagnostics[0].line, 2u);
  EXPECT_EQ(result.diagnostics[0].column, 3u);
  EXPECT_EQ(result.diagnostics[1].line, 4u);
}

TEST(Language, TableDefaultsTellListsApart) {
  const ParseResult result =
      ParseText("table <a>\ntable <b> { }\ntable <c> persist");
  ASSERT_TRUE(result.ok());
  EXPECT_FALSE(result.policy.main.tables[0].has_contents);
  EXPECT_TRUE(result.policy.main.tables[1].has_contents);
  EXPECT_FALSE(result.policy.main.tables[2].has_contents);
}

TEST(Language, LoadAnchorHasItsOwnMacros) {
  const ParseResult result = ParseText(
      "nic = em0\nanchor \"a/b\"\nload anchor \"a/b\" from \"f\"\n",
      {.files = {{"f", "nic = em1\ntable <t> { 10.0.0.1 }\nblock on $nic\n"
                       "anchor \"c\" { pass }\n"}}});
  ASSERT_TRUE(result.ok()) << FormatDiagnostics(result.diagnostics);
  const Anchor* anchor = result.policy.main.Find("a/b");
  ASSERT_NE(anchor, nullptr);
  EXPECT_EQ(PrintRuleset(*anchor, {}, true),
            "block drop on em1 all\nanchor \"c\" all {\n"
            "  pass all flags S/SA\n}\n");
  EXPECT_EQ(anchor->tables.size(), 1u);
  EXPECT_NE(result.policy.main.Find("a/b/c"), nullptr);
}

TEST(Language, LoadAnchorDoesNotSeeMacrosOfTheMainFile) {
  const ParseResult result =
      ParseText("nic = em0\nload anchor a from \"f\"",
                {.files = {{"f", "block on $nic\n"}}});
  ASSERT_EQ(result.diagnostics.size(), 1u);
  EXPECT_EQ(result.diagnostics[0].file, "f");
}

TEST(Language, AnchorPaths) {
  const ParseResult result = ParseText(
      "anchor \"a\" {\n anchor \"b\"\n anchor \"/c\"\n anchor \"../d/*\"\n}");
  ASSERT_TRUE(result.ok()) << FormatDiagnostics(result.diagnostics);
  const std::vector<Rule>& rules =
      result.policy.main.Find("a")->rules.filter;
  ASSERT_EQ(rules.size(), 3u);
  EXPECT_EQ(rules[0].anchor_path, "a/b");
  EXPECT_EQ(rules[1].anchor_path, "c");
  EXPECT_EQ(rules[2].anchor_path, "d");
  EXPECT_TRUE(rules[2].anchor_wildcard);
}

TEST(Language, TextForAnAnchor) {
  const ParseResult result =
      ParseText("anchor \"x\" { pass }", {.anchor = "outer"});
  ASSERT_TRUE(result.ok()) << FormatDiagnostics(result.diagnostics);
  EXPECT_EQ(result.policy.main.rules.filter[0].anchor_path, "outer/x");
  EXPECT_NE(result.policy.main.Find("x"), nullptr);
}

TEST(Language, AdaptiveTimeoutsFollowTheLimit) {
  const ParseResult result = ParseText("set limit states 1000");
  EXPECT_EQ(result.policy.options.timeout(Timeout::kAdaptiveStart), 600u);
  EXPECT_EQ(result.policy.options.timeout(Timeout::kAdaptiveEnd), 1200u);
}

TEST(Language, TimeoutWinsOverOptimization) {
  const ParseResult result = ParseText(
      "set timeout tcp.first 7\nset optimization aggressive\n");
  EXPECT_EQ(result.policy.options.timeout(Timeout::kTcpFirst), 7u);
  EXPECT_EQ(result.policy.options.timeout(Timeout::kTcpOpening), 5u);
}

TEST(Language, DefaultsOfTheDialects) {
  EXPECT_EQ(Options(Dialect::kOpenBsd).reassemble, Reassembly::kYes);
  EXPECT_EQ(Options(Dialect::kFreeBsd).reassemble, Reassembly::kNo);
  EXPECT_EQ(Options(Dialect::kFreeBsd).limit(Limit::kFragments), 5000u);
  EXPECT_EQ(Options().limit(Limit::kStates), 100000u);
  EXPECT_EQ(Options().timeout(Timeout::kTcpEstablished), 86400u);
}

TEST(Language, TextHashTellsRulesApart) {
  const ParseResult a = ParseText("pass proto tcp to port 22\nblock");
  const std::vector<Rule>& rules = a.policy.main.rules.filter;
  EXPECT_NE(RuleIdentity(rules[0]), RuleIdentity(rules[1]));
  EXPECT_NE(RuleIdentity(rules[0]), RuleIdentity(rules[0], "anchor"));
  const ParseResult b = ParseText("# moved\n\n  pass proto tcp to port ssh");
  EXPECT_EQ(RuleIdentity(rules[0]),
            RuleIdentity(b.policy.main.rules.filter[0]));
}

TEST(Language, UnenforcedConstructsAreNamed) {
  const ParseResult result = ParseText(
      "pass in proto tcp to port { 80 443 } rdr-to 10.0.0.9\n"
      "pass out on em0\nqueue std on em0 bandwidth 1M\n"
      "match scrub (no-df)\npass in synproxy state rtable 3\n");
  ASSERT_TRUE(result.ok()) << FormatDiagnostics(result.diagnostics);
  std::string names;
  for (const Diagnostic& d : UnenforcedConstructs(result.policy, {})) {
    names += std::to_string(d.line) + ":" + d.message + "\n";
  }
  EXPECT_EQ(names,
            "3:changes no verdict, not carried out: queue\n"
            "1:parsed, not enforced yet: rdr-to\n"
            "4:parsed, not enforced yet: scrub\n"
            "5:parsed, not enforced yet: synproxy state\n"
            "5:parsed, not enforced yet: rtable\n");
  EXPECT_TRUE(UnenforcedConstructs(ParseText("pass").policy, {}).empty());
}

TEST(Language, UnenforcedConstructsShowTheirLines) {
  const ParseResult result =
      ParseText("pass\ninclude \"more.conf\"\npass in synproxy state\n",
                {.files = {{"more.conf", "pass\n\tmatch scrub (no-df)\r\n"}}});
  ASSERT_TRUE(result.ok()) << FormatDiagnostics(result.diagnostics);
  EXPECT_EQ(FormatDiagnostics(UnenforcedConstructs(result.policy, {})),
            "more.conf:2:2: parsed, not enforced yet: scrub\n"
            "\tmatch scrub (no-df)\n\t^\n"
            "hint: with --without \"scrub\" rules with it are loaded without "
            "it\n"
            "pf.conf:3:1: parsed, not enforced yet: synproxy state\n"
            "pass in synproxy state\n^\n"
            "hint: with --without \"synproxy state\" rules with it are loaded "
            "without it\n");
}

TEST(Language, PrintVariants) {
  const ParseResult result = ParseText(
      "pass proto tcp to port 22\nanchor { pass }");
  const HostFacts* facts = &TestFacts();
  const Rule& rule = result.policy.main.rules.filter[0];
  EXPECT_EQ(PrintRule(rule, {.facts = facts, .rule_numbers = true}, 7),
            "@7 pass proto tcp from any to any port = 22 flags S/SA");
  EXPECT_EQ(PrintRule(rule, {.facts = facts, .flip_port_names = true}),
            "pass proto tcp from any to any port = ssh flags S/SA");
  EXPECT_EQ(PrintRule(rule, {.dialect = Dialect::kFreeBsd,
                             .facts = facts,
                             .flip_port_names = true}),
            "pass proto tcp from any to any port = 22 flags S/SA keep state");
  EXPECT_EQ(PrintRule(result.policy.main.rules.filter[1],
                      {.anchor_names = true}),
            "anchor \"_1\" all");
}

TEST(HostFacts, RefusesWithThePlace) {
  const auto bad = HostFacts::FromToml("[services]\n\"ssh\" = 22\n", "f");
  ASSERT_FALSE(bad.ok());
  EXPECT_NE(bad.status().message().find("f:"), absl::string_view::npos);
  EXPECT_FALSE(HostFacts::FromToml("[hosts\n", "f").ok());
  EXPECT_FALSE(HostFacts::FromToml("[nothing]\n", "f").ok());
  EXPECT_FALSE(
      HostFacts::FromToml("[[interface]]\nname = 5\n", "f").ok());
  EXPECT_FALSE(HostFacts::FromToml(
                   "[[interface]]\nname = \"a\"\n"
                   "addresses = [{address=\"10.0.0.1\", prefix=33}]\n",
                   "f")
                   .ok());
}

TEST(HostFacts, SystemKnowsItsLoopback) {
  const auto facts = HostFacts::FromSystem();
  ASSERT_TRUE(facts.ok()) << facts.status();
  const InterfaceFacts* lo = facts->FindInterface("lo");
  ASSERT_NE(lo, nullptr);
  EXPECT_TRUE(lo->loopback);
  EXPECT_EQ(facts->Service("https"), 443);
  EXPECT_EQ(facts->Protocol("tcp"), 6);
  EXPECT_EQ(facts->User("root"), 0u);
}

}  // namespace
}  // namespace sluice
