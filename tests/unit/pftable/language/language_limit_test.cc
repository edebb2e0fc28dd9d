// The hard limits of the language: each is reached, and one more is an error
// of its own at its place.
#include <gtest/gtest.h>

#include <map>
#include <ostream>
#include <string>
#include <vector>

#include "tests/unit/pftable/language/language_fixture.h"

namespace sluice {
namespace {

using Files = std::map<std::string, std::string>;

struct Limited {
  std::string name;
  // Differs from `over` by what is above the limit.
  std::string within;
  std::string over;
  uint32_t line = 1;
  uint32_t column = 1;
  std::string message;
  LanguageCase language = {};
  std::string file = "pf.conf";
  Severity severity = Severity::kError;
};

void PrintTo(const Limited& c, std::ostream* out) { *out << c.name; }

std::string Times(size_t count, const std::string& text) {
  std::string out;
  for (size_t i = 0; i < count; ++i) out += text;
  return out;
}

// "1 2 3 ..." in braces.
std::string Numbers(size_t count) {
  std::string out = "{";
  for (size_t i = 1; i <= count; ++i) out += " " + std::to_string(i);
  return out + " }";
}

std::string Nested(size_t depth, const std::string& head) {
  return Times(depth, head + " {\n") + Times(depth, "}\n");
}

std::string Path(size_t depth) {
  std::string out = "1";
  for (size_t i = 2; i <= depth; ++i) out += "/" + std::to_string(i);
  return out;
}

std::string Name(size_t length) { return std::string(length, 'n'); }

// An anchor path of `length` with names that are not too long.
std::string LongPath(size_t length) {
  std::string out;
  while (out.size() + 64 <= length) out += Name(63) + "/";
  return out + Name(length - out.size());
}

std::string LoadAnchors(size_t count) {
  std::string out = "set limit anchors 9999\n";
  for (size_t i = 0; i < count; ++i) {
    out += "load anchor \"a" + std::to_string(i) + "\" from \"f\"\n";
  }
  return out;
}

// The files 1, 2, ... each of which includes the next.
Files Chain(size_t length) {
  Files files;
  for (size_t i = 1; i <= length; ++i) {
    files[std::to_string(i)] =
        i == length ? "pass\n" : "include \"" + std::to_string(i + 1) + "\"\n";
  }
  return files;
}

LanguageCase With(ParseLimits limits, Files files = {}) {
  return {.files = std::move(files), .limits = limits};
}

std::vector<Limited> OfTexts() {
  std::vector<Limited> cases;
  cases.push_back({.name = "File",
                   .within = "block",
                   .over = "block all",
                   .line = 0,
                   .column = 0,
                   .message = "the file is larger than 8 bytes",
                   .language = With({.file_bytes = 8})});
  cases.push_back({.name = "IncludedFile",
                   .within = "include \"a\"",
                   .over = "include \"b\"",
                   .column = 9,
                   .message = "\"b\" is larger than 20 bytes",
                   .language = With({.file_bytes = 20},
                                    {{"a", Times(20, " ")},
                                     {"b", Times(21, " ")}})});
  cases.push_back({.name = "TableFile",
                   .within = "table <t> file \"a\"",
                   .over = "table <t> file \"b\"",
                   .column = 11,
                   .message = "\"b\" is larger than 20 bytes",
                   .language = With({.file_bytes = 20},
                                    {{"a", Times(20, " ")},
                                     {"b", Times(21, " ")}})});
  cases.push_back(
      {.name = "FilesTogether",
       .within = "include \"a\"\ninclude \"a\"\n",
       .over = "include \"a\"\ninclude \"a\"\ninclude \"a\"\n",
       .line = 3,
       .column = 9,
       .message = "the files of the ruleset are larger than 80 bytes together",
       .language = With({.file_bytes = 70, .total_bytes = 80},
                        {{"a", Times(20, " ")}})});
  cases.push_back({.name = "IncludeDepth",
                   .within = "include \"2\"",
                   .over = "include \"1\"",
                   .message = "includes are nested more than 16 deep",
                   .language = With({}, Chain(17)),
                   .file = "16"});
  cases.push_back({.name = "IncludeOfItself",
                   .within = "include \"b\"",
                   .over = "include \"a\"",
                   .line = 2,
                   .column = 9,
                   .message = "\"a\" is included while it is read itself",
                   .language = With({}, {{"a", "pass\ninclude \"a\"\npass\n"},
                                         {"b", "pass\n"}}),
                   .file = "a"});
  cases.push_back({.name = "IncludeCycle",
                   .within = "include \"c\"",
                   .over = "include \"a\"",
                   .column = 11,
                   .message = "\"a\" is included while it is read itself",
                   .language = With({}, {{"a", "include \"b\"\n"},
                                         {"b", "  include \"a\"\n"},
                                         {"c", "include \"d\"\n"},
                                         {"d", "pass\n"}}),
                   .file = "b"});
  cases.push_back({.name = "IncludeOfTheMainFile",
                   .within = "include \"c\"",
                   .over = "include \"pf.conf\"",
                   .column = 9,
                   .message = "\"pf.conf\" is included while it is read itself",
                   .language = With({}, {{"c", "pass\n"},
                                         {"pf.conf", "pass\n"}})});
  cases.push_back({.name = "QuotedString",
                   .within = "x = \"" + Name(8191) + "\"",
                   .over = "x = \"" + Name(8192) + "\"",
                   .column = 5,
                   .message = "string too long, at most 8191 bytes"});
  cases.push_back({.name = "Word",
                   .within = "x = " + Name(8191),
                   .over = "x = " + Name(8192),
                   .column = 5,
                   .message = "string too long, at most 8191 bytes"});
  cases.push_back({.name = "WordThatGoesOnBehindAMacro",
                   .within = "x = " + Name(8000) + "\ny = $x:" + Name(190),
                   .over = "x = " + Name(8000) + "\ny = $x:" + Name(191),
                   .line = 2,
                   .column = 5,
                   .message = "string too long, at most 8191 bytes"});
  cases.push_back({.name = "MacroUse",
                   .within = "pass",
                   .over = "pass on $" + Name(8192),
                   .column = 9,
                   .message = "macro name too long, at most 8191 bytes"});
  cases.push_back({.name = "MacroName",
                   .within = Name(63) + " = x",
                   .over = Name(64) + " = x",
                   .message = "macro name too long, at most 63 characters"});
  cases.push_back({.name = "MacroValue",
                   .within = "x = " + Name(8000) + " " + Name(191),
                   .over = "x = " + Name(8000) + " " + Name(192),
                   .column = 8006,
                   .message = "macro value too long, at most 8192 bytes"});
  cases.push_back({.name = "ListNesting",
                   .within = "pass proto " + Times(16, "{") + " tcp " +
                             Times(16, "}"),
                   .over = "pass proto " + Times(17, "{") + " tcp " +
                           Times(17, "}"),
                   .column = 28,
                   .message = "lists are nested more than 16 deep"});
  cases.push_back({.name = "HostileNesting",
                   .within = "pass",
                   .over = "pass from " + Times(100000, "{"),
                   .column = 27,
                   .message = "lists are nested more than 16 deep"});
  return cases;
}

std::vector<Limited> OfRules() {
  std::vector<Limited> cases;
  const std::string tcp = "pass proto tcp from any port ";
  cases.push_back({.name = "ListProduct",
                   .within = "pass",
                   .over = "block\n" + tcp + Numbers(1001) + " to port " +
                           Numbers(1000),
                   .line = 2,
                   .message = "the lists of this rule make the ruleset larger "
                              "than 1000000 rules"});
  cases.push_back({.name = "ListProductBeyondAnyNumber",
                   .within = "pass",
                   .over = tcp + Numbers(60000) + " to port " +
                           Numbers(60000) + " user " + Numbers(60000) +
                           " group " + Numbers(60000) + " tagged x",
                   .message = "the lists of this rule make the ruleset larger "
                              "than 1000000 rules"});
  cases.push_back({.name = "RulesTogether",
                   .within = "pass proto { tcp udp }\npass",
                   .over = "pass proto { tcp udp }\npass proto { tcp udp }",
                   .line = 2,
                   .message = "the lists of this rule make the ruleset larger "
                              "than 3 rules",
                   .language = With({.rules = 3})});
  cases.push_back({.name = "EtherRules",
                   .within = "ether pass proto { 1 2 3 }",
                   .over = "ether pass proto { 1 2 3 4 }",
                   .message = "the lists of this rule make the ruleset larger "
                              "than 3 rules",
                   .language = With({.rules = 3})});
  cases.push_back({.name = "AntispoofRules",
                   .within = "antispoof for em1",
                   .over = "antispoof for { em1 em0 }",
                   .message = "the lists of this rule make the ruleset larger "
                              "than 3 rules",
                   .language = With({.rules = 3})});
  cases.push_back({.name = "AnchorDepthOpenBsd",
                   .within = Nested(64, "anchor"),
                   .over = Nested(70, "anchor"),
                   .line = 65,
                   .message = "anchors are nested more than 64 deep"});
  cases.push_back({.name = "AnchorDepthFreeBsd",
                   .within = Nested(32, "anchor"),
                   .over = Nested(40, "anchor"),
                   .line = 33,
                   .message = "anchors are nested more than 32 deep",
                   .language = {.dialect = Dialect::kFreeBsd}});
  cases.push_back({.name = "EtherAnchorDepth",
                   .within = Nested(32, "ether anchor"),
                   .over = Nested(40, "ether anchor"),
                   .line = 33,
                   .message = "anchors are nested more than 32 deep",
                   .language = {.dialect = Dialect::kFreeBsd}});
  cases.push_back({.name = "AnchorPathDepth",
                   .within = "anchor \"" + Path(64) + "\"",
                   .over = "anchor \"" + Path(65) + "\"",
                   .message = "anchors are nested more than 64 deep"});
  cases.push_back({.name = "LoadAnchorPathDepth",
                   .within = "load anchor \"" + Path(64) + "\" from \"f\"",
                   .over = "load anchor \"" + Path(65) + "\" from \"f\"",
                   .column = 13,
                   .message = "anchors are nested more than 64 deep",
                   .language = With({}, {{"f", "pass\n"}})});
  // They are one anchor each, and 4 to the power of their depth in print.
  cases.push_back({.name = "AnchorsThatListsCall",
                   .within = "set limit anchors 4000000000\n" +
                             Nested(8, "anchor on { a b c d }"),
                   .over = "set limit anchors 4000000000\n" +
                           Nested(12, "anchor on { a b c d }"),
                   .line = 2,
                   .message = "anchors that lists call make the ruleset larger "
                              "than 1000000 rules"});
  cases.push_back({.name = "AnchorName",
                   .within = "anchor \"" + Name(63) + "\"",
                   .over = "anchor \"" + Name(64) + "\"",
                   .message = "anchor name too long, max 63 chars"});
  cases.push_back({.name = "AnchorPath",
                   .within = "anchor \"" + LongPath(1023) + "\"",
                   .over = "anchor \"" + LongPath(1024) + "\"",
                   .column = 8,
                   .message = "anchor path too long, at most 1023 characters"});
  cases.push_back({.name = "LoadAnchors",
                   .within = LoadAnchors(512),
                   .over = LoadAnchors(513),
                   .line = 514,
                   .column = 25,
                   .message = "too many anchors to load, at most 512",
                   .language = With({}, {{"f", "pass\n"}})});
  cases.push_back({.name = "LoadAnchorOfItself",
                   .within = "load anchor \"/a\" from \"f\"",
                   .over = "load anchor \"/a\" from \"g\"",
                   .column = 23,
                   .message = "too many anchors to load, at most 512",
                   .language = With({}, {{"f", "pass\n"},
                                         {"g", "load anchor \"/a\" from "
                                               "\"g\"\n"}}),
                   .file = "g"});
  return cases;
}

std::vector<Limited> OfNames() {
  std::vector<Limited> cases;
  const auto name = [&](const char* test, const std::string& before,
                        size_t most, const std::string& after,
                        const std::string& message, uint32_t column,
                        Dialect dialect = Dialect::kOpenBsd) {
    cases.push_back({.name = test,
                     .within = before + Name(most) + after,
                     .over = before + Name(most + 1) + after,
                     .column = column,
                     .message = message,
                     .language = {.dialect = dialect}});
  };
  name("Label", "pass label ", 63, "", "rule label too long, max 63 chars", 12);
  name("LabelAfterExpansion", "pass from 192.0.2.100 label \"$srcaddr", 52, "\"",
       "rule label too long after expansion, max 63 chars", 1);
  name("LabelWithANumber", "pass label \"$nr", 60, "\"",
       "rule label too long, max 63 chars", 12);
  name("EtherLabel", "ether pass label ", 63, "",
       "rule label too long, max 63 chars", 18);
  name("Tag", "pass tag ", 63, "", "tag too long, max 63 chars", 10);
  name("TagAfterExpansion", "pass from 192.0.2.100 tag \"$srcaddr", 52, "\"",
       "tag too long after expansion, max 63 chars", 1);
  name("Tagged", "pass ! tagged ", 63, "", "tag too long, max 63 chars", 15);
  name("TableDefinition", "table <", 31, "> persist",
       "table name '" + Name(32) + "' too long, at most 31 characters", 8);
  name("TableUse", "pass from <", 31, ">",
       "table name '" + Name(32) + "' too long, at most 31 characters", 12);
  name("Interface", "block on ", 63, "",
       "an interface name too long, at most 63 characters", 10);
  name("ReceivedOn", "block received-on ", 63, "",
       "an interface name too long, at most 63 characters", 19);
  name("DynamicInterface", "block from (", 63, ")",
       "an interface name too long, at most 63 characters", 13);
  name("RouteLabel", "pass from route ", 63, "",
       "a route label too long, at most 63 characters", 17);
  name("Queue", "queue ", 63, " on em0 bandwidth 1M",
       "a queue name too long, at most 63 characters", 7);
  name("StateLimiter", "state limiter ", 63, " id 1 limit 1",
       "a limiter's name too long, at most 63 characters", 15);
  const std::string queue = "altq on em0 cbq queue { ";
  cases.push_back({.name = "DefinitionText",
                   .within = queue + Times(60, Name(63) + " ") + "}",
                   .over = queue + Times(70, Name(63) + " ") + "}",
                   .message = "definition too long, at most 4096 bytes",
                   .language = {.dialect = Dialect::kFreeBsd}});
  cases.push_back({.name = "Labels",
                   .within = "pass" + Times(5, " label a"),
                   .over = "pass" + Times(6, " label a"),
                   .column = 52,
                   .message = "too many labels, max 5 per rule",
                   .language = {.dialect = Dialect::kFreeBsd}});
  return cases;
}

std::vector<Limited> OfSets() {
  std::vector<Limited> cases;
  const Files list = {{"list", "192.0.2.1\n192.0.2.2\n  192.0.2.3\n"}};
  cases.push_back({.name = "TableEntries",
                   .within = "table <t> { ::1 ::2 }",
                   .over = "table <t> { ::1 ::2 ::3 }",
                   .message = "more than 2 table entries",
                   .language = With({.table_entries = 2})});
  cases.push_back({.name = "TableEntriesTogether",
                   .within = "table <t> { ::1 }\ntable <u> { ::1 }",
                   .over = "table <t> { ::1 }\ntable <u> { ::1 ::2 }",
                   .line = 2,
                   .message = "more than 2 table entries",
                   .language = With({.table_entries = 2})});
  cases.push_back({.name = "TableEntriesOfAFile",
                   .within = "table <t> { ::1 }",
                   .over = "table <t> file \"list\"",
                   .line = 3,
                   .column = 3,
                   .message = "more than 2 table entries",
                   .language = With({.table_entries = 2}, list),
                   .file = "list"});
  cases.push_back({.name = "SetLimitAnchors",
                   .within = "set limit anchors 3\nanchor \"a/b\"\nanchor c",
                   .over = "set limit anchors 3\nanchor \"a/b\"\nanchor c\n"
                           "anchor \"a/c\"\nanchor d",
                   .line = 4,
                   .message = "more than 3 anchors (set limit anchors)"});
  cases.push_back({.name = "SetLimitAnchorsOfALoadedFile",
                   .within = "set limit anchors 2\nanchor \"a\"",
                   .over = "set limit anchors 2\nload anchor \"a\" from \"f\"",
                   .line = 2,
                   .message = "more than 2 anchors (set limit anchors)",
                   .language = With({}, {{"f", "\n  anchor \"b/c\"\n"}}),
                   .file = "f"});
  cases.back().column = 3;
  // Each call is printed with a body.
  cases.push_back({.name = "SetLimitAnchorsOfAList",
                   .within = "set limit anchors 2\nanchor on { em0 em1 } {\n}",
                   .over = "set limit anchors 2\n"
                           "anchor on { em0 em1 ppp0 } {\n}",
                   .line = 2,
                   .message = "more than 2 anchors (set limit anchors)"});
  cases.push_back({.name = "DefaultLimitOfAnchors",
                   .within = Times(512, "anchor {\n}\n"),
                   .over = Times(513, "anchor {\n}\n"),
                   .line = 1025,
                   .message = "more than 512 anchors (set limit anchors)"});
  cases.push_back({.name = "SetLimitTables",
                   .within = "table <a> persist\ntable <b> persist\n"
                             "set limit tables 2",
                   .over = "table <a> persist\ntable <b> persist\n"
                           "anchor x {\n table <a> persist\n}\n"
                           "set limit tables 2",
                   .line = 4,
                   .column = 2,
                   .message = "more than 2 tables (set limit tables)"});
  cases.push_back({.name = "SetLimitTableEntries",
                   .within = "set limit table-entries 2\ntable <a> { ::1 ::2 }",
                   .over = "set limit table-entries 2\ntable <a> { ::1 ::2 }\n"
                           "table <b> file \"list\"",
                   .line = 3,
                   .message = "more than 2 addresses in all tables (set limit "
                              "table-entries)",
                   .language = With({}, list)});
  // These a load refuses.
  for (Limited& c : cases) {
    if (c.message.ends_with(')')) c.severity = Severity::kWarning;
  }
  return cases;
}

class LimitTest : public testing::TestWithParam<Limited> {};

TEST_P(LimitTest, OneMoreIsAnErrorOfItsOwn) {
  const Limited& c = GetParam();
  const ParseResult within = ParseText(c.within, c.language);
  EXPECT_TRUE(within.ok())
      << FormatDiagnostics(within.diagnostics).substr(0, 2000);

  const ParseResult over = ParseText(c.over, c.language);
  ASSERT_EQ(over.diagnostics.size(), 1u)
      << FormatDiagnostics(over.diagnostics).substr(0, 2000);
  const Diagnostic& d = over.diagnostics[0];
  EXPECT_EQ(d.severity, c.severity);
  EXPECT_EQ(over.ok(), c.severity == Severity::kWarning);
  EXPECT_EQ(d.file, c.file);
  EXPECT_EQ(d.line, c.line);
  EXPECT_EQ(d.column, c.column);
  EXPECT_EQ(d.message, c.message);
}

std::string LimitName(const testing::TestParamInfo<Limited>& info) {
  return info.param.name;
}
INSTANTIATE_TEST_SUITE_P(Texts, LimitTest, testing::ValuesIn(OfTexts()),
                         LimitName);
INSTANTIATE_TEST_SUITE_P(Rules, LimitTest, testing::ValuesIn(OfRules()),
                         LimitName);
INSTANTIATE_TEST_SUITE_P(Names, LimitTest, testing::ValuesIn(OfNames()),
                         LimitName);
INSTANTIATE_TEST_SUITE_P(Sets, LimitTest, testing::ValuesIn(OfSets()), LimitName);

TEST(Limit, AListProductIsNotBuilt) {
  const ParseResult result =
      ParseText("pass proto tcp from any port " + Numbers(1001) + " to port " +
                Numbers(1000));
  EXPECT_TRUE(result.policy.main.rules.filter.empty());
}

TEST(Limit, LabelsGrowWithTheNumberOfTheirRule) {
  // `$nr` and 60 characters: 61 as rule 0, 64 as rule 1000.
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "block tagged x" + Name(9) + "\n";
  const std::string rule = "pass label \"$nr" + Name(60) + "\"\n";
  EXPECT_TRUE(ParseText(rule + text).ok());
  const ParseResult result = ParseText(text + rule);
  ASSERT_EQ(result.diagnostics.size(), 1u);
  EXPECT_EQ(result.diagnostics[0].line, 1001u);
  EXPECT_EQ(result.diagnostics[0].message,
            "rule label too long after expansion, max 63 chars");
}

TEST(Limit, FactsOfAHost) {
  const std::string line = "# " + std::string(1021, 'x') + "\n";
  const std::string text = Times(4096, line);
  EXPECT_TRUE(HostFacts::FromToml(text, "facts.toml").ok());
  EXPECT_EQ(HostFacts::FromToml(text + "#", "facts.toml").status().message(),
            "facts.toml: host facts of more than 4 MiB");
}

}  // namespace
}  // namespace sluice
