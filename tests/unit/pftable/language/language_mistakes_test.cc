// Files with many mistakes: each is named once, at its place, and none of
// them makes another one out of what is right.
#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

#include "tests/unit/pftable/language/language_fixture.h"

namespace sluice {
namespace {

// "file:line:column: message", a line each.
std::string Messages(const ParseResult& result) {
  std::string out;
  for (const Diagnostic& d : result.diagnostics) {
    out += d.file + ":" + std::to_string(d.line) + ":" +
           std::to_string(d.column) + ": " + d.message + "\n";
  }
  return out;
}

TEST(Mistakes, AllOfAFileAtOnce) {
  const ParseResult result = ParseText(
      "web = { 80 443 }\n"                              // 1
      "set block-policy refuse\n"                       // 2
      "set timeout { tcp.first 60, tcp.frist 60 }\n"    // 3
      "table <good> { 192.0.2.0/24, 192.0.2.999,\n"     // 4
      "  192.0.2.7 }\n"                                 // 5
      "table <too_long_a_name_for_any_table_in_pf> persist\n"  // 6
      "blok in all\n"                                   // 7
      "block in from { 192.0.2.1\n"                     // 8
      "  192.0.2.1/99\n"                                // 9
      "  192.0.2.3 }\n"                                 // 10
      "pass in proto tcp to port $web\n"                // 11
      "pass out proto tcp to port $wbe\n"               // 12
      "pass in proto { tcp upd } to port 53\n"          // 13
      "pass in proto tcp flags S/A\n"                   // 14
      "pass out nat-to 192.0.2.1 port 5 static-port\n"  // 15
      "anchor \"a\" keep state {\n"                     // 16
      "  pass in to port 80\n"                          // 17
      "  anchor {\n"                                    // 18
      "    pass label \"unterminated\n"                 // 19
      "    block return-rst proto udp\n"                // 20
      "  }\n"                                           // 21
      "}\n"                                             // 22
      "anchor \"b/*\" {\n"                              // 23
      "  pass\n"                                        // 24
      "}\n"                                             // 25
      "include \"missing\"\n"                           // 26
      "pass in on $from_the_missing_file\n"             // 27
      "pass inet6 from 192.0.2.1\n"                     // 28
      "queue a on em0 bandwidth none\n"                 // 29
      "queue b parent a bandwidth 1M\n"                 // 30
      "pass set queue b\n"                              // 31
      "pass in keep state (max 5, max 6)\n"             // 32
      "}\n"                                             // 33
      "pass out on em0\n");                             // 34
  EXPECT_EQ(
      Messages(result),
      "pf.conf:1:7: syntax error: a macro's value is text, in quotes unless it "
      "is one word\n"
      "pf.conf:2:18: syntax error: 'refuse' where drop or return is wanted\n"
      "pf.conf:3:29: unknown timeout 'tcp.frist'\n"
      "pf.conf:4:30: no IP address found for 192.0.2.999\n"
      "pf.conf:6:8: table name 'too_long_a_name_for_any_table_in_pf' too long, "
      "at most 31 characters\n"
      "pf.conf:7:1: syntax error: 'blok' does not begin a statement\n"
      "pf.conf:9:3: illegal netmask value /99 for an IPv4 address\n"
      "pf.conf:12:28: macro 'wbe' not defined\n"
      "pf.conf:13:21: unknown protocol upd\n"
      "pf.conf:14:25: no packet can have these flags: S is not in the mask A\n"
      "pf.conf:15:17: the 'static-port' option can't be used when specifying a "
      "port range\n"
      "pf.conf:16:12: state options cannot be used on an anchor\n"
      "pf.conf:17:19: port only applies to tcp, udp and sctp\n"
      "pf.conf:19:16: unterminated quoted string\n"
      "pf.conf:20:11: return-rst can only be applied to TCP rules\n"
      "pf.conf:23:14: a wildcard anchor has no body\n"
      "pf.conf:26:9: cannot read \"missing\": no such file\n"
      "pf.conf:28:1: rule expands to no valid combination\n"
      "pf.conf:29:26: invalid bandwidth 'none'\n"
      "pf.conf:32:28: state option 'max' multiple definitions\n"
      "pf.conf:33:1: syntax error: '}' where a statement is wanted\n");
  // What is right has been read.
  ASSERT_FALSE(result.policy.main.rules.filter.empty());
  EXPECT_EQ(result.policy.main.rules.filter.back().on.name, "em0");
}

TEST(Mistakes, OfSemanticsHaveTheirPlaceInIncludedAndLoadedFiles) {
  const ParseResult result = ParseText(
      "nic = \"em0\"\ninclude \"sub\"\npass proto udp flags S/SA\n"
      "anchor \"guests\"\nload anchor \"guests\" from \"guests.conf\"\n",
      {.files = {
           {"sub", "pass on $nic\n\ninclude \"sub.sub\"\n"
                   "  block return-rst on $nic proto udp\n"},
           {"sub.sub", "pass inet from ::1\n\tpass out inet \\\n"
                       "\t  nat-to 2001:db8::1\n"},
           {"guests.conf", "anchor \"inner\" {\n  pass to port 80\n}\n"
                           "include \"sub.conf\"\n"},
           {"sub.conf", "set skip on em0\nblock keep state\n"
                        "table <t> file \"list\"\n"
                        "pass label \"$nr"
                        "0123456789012345678901234567890123456789012345678901"
                        "23456789\"\n"},
           {"list", "192.0.2.1\n 192.0.2.1/64\n"}}});
  EXPECT_EQ(Messages(result),
            "sub.sub:1:1: rule expands to no valid combination\n"
            "sub.sub:3:11: af mismatch: no address of the pool is of the "
            "rule's address family\n"
            "sub:4:9: return-rst can only be applied to TCP rules\n"
            "pf.conf:3:16: flags only apply to tcp\n"
            "guests.conf:2:16: port only applies to tcp, udp and sctp\n"
            "sub.conf:1:1: options cannot be set in an anchor\n"
            "sub.conf:2:7: keep state on block rules doesn't make sense\n"
            "list:2:2: illegal netmask value /64 for an IPv4 address\n");
  EXPECT_EQ(result.diagnostics[1].source_line, "\t  nat-to 2001:db8::1");
}

TEST(Mistakes, OfAllRulesTogetherHaveTheirPlaceInALoadedFile) {
  const ParseResult result = ParseText(
      "load anchor \"a\" from \"f\"",
      {.files = {{"f", "queue std on em0 bandwidth 1M\n"
                       "include \"g\"\npass set queue sdt\n"},
                 {"g", "set limit anchors 1\n"}}});
  EXPECT_EQ(Messages(result),
            "g:1:1: options cannot be set in an anchor\n"
            "f:3:16: queue sdt is not defined\n");

  std::string rules;
  for (int i = 0; i < 1000; ++i) rules += "block label x\n";
  const ParseResult numbered = ParseText(
      "load anchor \"a\" from \"f\"",
      {.files = {{"f", rules + "include \"g\"\n"},
                 {"g", "\n\n pass label \"$nr" + std::string(60, 'n') +
                           "\"\n"}}});
  EXPECT_EQ(Messages(numbered),
            "g:3:2: rule label too long after expansion, max 63 chars\n");
}

struct Single {
  const char* name;
  const char* text;
  const char* messages;
  Dialect dialect = Dialect::kOpenBsd;
};

void PrintTo(const Single& c, std::ostream* out) { *out << c.name; }

// One mistake and much that depends on it.
constexpr Single kSingle[] = {
    {"BrokenMacro",
     "nic = (em0)\npass on $nic\nblock on ! $nic\nset skip on { lo $nic }\n"
     "table <t> { $nic }\nx = $nic\npass on $x",
     "pf.conf:1:7: syntax error: a macro's value is text, in quotes unless it "
     "is one word\n"},
    {"ReservedMacro", "pass = \"em0\"\npass on $pass",
     "pf.conf:1:1: 'pass' is a reserved word, not a macro's name\n"},
    {"BrokenMacroDefinedOnceMore", "x = { }\nx = em0\npass on $x\nblock on $y",
     "pf.conf:1:5: syntax error: a macro's value is text, in quotes unless it "
     "is one word\npf.conf:4:10: macro 'y' not defined\n"},
    {"BrokenMacroBesideAMistake", "x = { }\npass proto tpc $x",
     "pf.conf:1:5: syntax error: a macro's value is text, in quotes unless it "
     "is one word\npf.conf:2:12: unknown protocol tpc\n"},
    {"MissingInclude",
     "include \"macros\"\npass on $nic\npass on em0 set queue std",
     "pf.conf:1:9: cannot read \"macros\": no such file\n"},
    {"BrokenQueue",
     "queue main on em0 bandwith 5M\nqueue std parent main bandwidth 1M\n"
     "pass set queue std\npass set queue main",
     "pf.conf:1:19: syntax error: 'bandwith' where an option of the queue is "
     "wanted\npf.conf:4:16: queue main has children: packets are assigned to "
     "leaf queues only\n"},
    {"BrokenAltqQueue",
     "altq on em0 hfsc bandwidth 9Mb queue { a b }\nqueue a bandwidht 1Mb\n"
     "queue b bandwidth 1Mb\npass queue (a, b)",
     "pf.conf:2:9: syntax error: 'bandwidht' where an option of the queue is "
     "wanted\n",
     Dialect::kFreeBsd},
    {"UndefinedQueueOfManyRules",
     "queue std on em0 bandwidth 5M\npass in set queue sdt\n"
     "pass out set queue sdt\npass on em0 set queue (std, sdt)",
     "pf.conf:2:19: queue sdt is not defined\n"},
    {"OrderOfASection",
     "block\nset limit states 9\nset debug misc\nnat on em0 -> 192.0.2.1\n"
     "rdr on em0 -> 192.0.2.1\nblock\npass",
     "pf.conf:2:1: rules must be in order: options, ethernet, normalization, "
     "queueing, translation, filtering\n",
     Dialect::kFreeBsd},
    {"OrderTwice", "block\nset limit states 9\nblock\nset debug misc\n",
     "pf.conf:2:1: rules must be in order: options, ethernet, normalization, "
     "queueing, translation, filtering\n"
     "pf.conf:4:1: rules must be in order: options, ethernet, normalization, "
     "queueing, translation, filtering\n",
     Dialect::kFreeBsd},
    {"ListOverLines", "pass from {\n 192.0.2.1\n 192.0.2.999\n 192.0.2.3\n}\n"
     "block",
     "pf.conf:3:2: no IP address found for 192.0.2.999\n"},
    {"ListWithoutEnd", "pass from { 192.0.2.1\nblock in\n",
     "pf.conf:2:1: no IP address found for block\n"},
    {"StringWithoutEnd", "pass label \"x\nblock in\npass out\n",
     "pf.conf:1:12: unterminated quoted string\n"},
    {"StringThatEndsAtTheNextOne",
     "pass label \"x\nanchor \"b/*\"\npass tag \"y\"\ninclude \"sub\"\n",
     "pf.conf:1:12: unterminated quoted string\n"
     "pf.conf:4:9: cannot read \"sub\": no such file\n"},
    {"StringsOverLines", "x = \"em0\n\"\npass on $x\ny = 'em1\n'\nblok on $y",
     "pf.conf:6:1: syntax error: 'blok' does not begin a statement\n"},
    {"AnchorHeadWithAList",
     "anchor \"a\" prto { tcp udp } {\n pass\n anchor {\n  block\n }\n}\npass",
     "pf.conf:1:12: syntax error: 'prto' is not an option of a rule\n"},
    {"AnchorHeadInOneLine", "anchor \"a\" prto tcp { pass }\npass",
     "pf.conf:1:12: syntax error: 'prto' is not an option of a rule\n"},
    {"ReservedAnchorName", "anchor \"_1\" {\n pass\n}\npass",
     "pf.conf:1:8: anchor names beginning with '_' are reserved for unnamed "
     "anchors\n"},
    {"AnchorAboveTheMainRuleset", "anchor \"../a\" {\n pass\n}\npass",
     "pf.conf:1:1: anchor path '../a' leads above the main ruleset\n"},
    {"EtherAnchorHead", "ether anchor \"a\" lgo {\n ether pass\n}\nether pass",
     "pf.conf:1:18: syntax error: 'lgo' where an option of an ether rule is "
     "wanted\n"},
    {"TranslationAnchorWithABody",
     "nat-anchor \"a\" {\n nat on em0 -> 192.0.2.1\n}\npass",
     "pf.conf:1:16: syntax error: '{' where the end of the statement is "
     "wanted\n"},
    {"BodyOnItsOwnLine", "anchor \"a\"\n{\n pass\n}\npass",
     "pf.conf:2:1: syntax error: '{' where a statement is wanted\n"},
    {"BodyWithoutEnd", "anchor \"a\" {\n anchor \"b\" {\n pass\n }\npass\n",
     "pf.conf:1:12: '{' without '}'\n"},
    {"ManyRulesOfOneStatement",
     "pass inet proto { tcp udp } from { 192.0.2.1 192.0.2.2 } flags S/SA "
     "icmp-type echoreq",
     "pf.conf:1:79: icmp-type mismatch: the rule's protocol is not icmp\n"},
};

class SingleMistakeTest : public testing::TestWithParam<Single> {};

TEST_P(SingleMistakeTest, IsNamedOnce) {
  const Single& c = GetParam();
  EXPECT_EQ(Messages(ParseText(c.text, {.dialect = c.dialect})), c.messages);
}

INSTANTIATE_TEST_SUITE_P(Mistakes, SingleMistakeTest,
                         testing::ValuesIn(kSingle), [](const auto& info) {
                           return std::string(info.param.name);
                         });

std::string DifferentMistakes(size_t count) {
  std::string text;
  for (size_t i = 1; i <= count; ++i) {
    text += "pass on em0\npass proto nothing" + std::to_string(i) + "\n";
  }
  return text;
}

TEST(Mistakes, HundredAreNamedAndTheRestIsNotLookedFor) {
  const ParseResult hundred = ParseText(DifferentMistakes(100));
  EXPECT_EQ(hundred.diagnostics.size(), 100u);
  EXPECT_FALSE(hundred.truncated);

  const ParseResult more = ParseText(DifferentMistakes(150));
  ASSERT_EQ(more.diagnostics.size(), 100u);
  EXPECT_TRUE(more.truncated);
  for (size_t i = 0; i < 100; ++i) {
    EXPECT_EQ(more.diagnostics[i].line, 2 * (i + 1));
    EXPECT_EQ(more.diagnostics[i].message,
              "unknown protocol nothing" + std::to_string(i + 1));
  }
}

TEST(Mistakes, OfATableFileAreAmongTheHundred) {
  std::string list;
  for (int i = 0; i < 150; ++i) list += "192.0.2." + std::to_string(i) + "/99\n";
  const ParseResult result =
      ParseText("pas\ntable <t> file \"list\"\npas\npas\n",
                {.files = {{"list", list}}});
  EXPECT_EQ(result.diagnostics.size(), 100u);
  EXPECT_TRUE(result.truncated);
  EXPECT_EQ(result.diagnostics[99].line, 99u);
}

TEST(Mistakes, HundredWarningsStopNothing) {
  std::string text;
  for (int i = 0; i < 150; ++i) {
    text += "pass out on if" + std::to_string(i) + "\n";
  }
  const ParseResult result = ParseText(text);
  EXPECT_TRUE(result.ok());
  EXPECT_EQ(result.diagnostics.size(), 100u);
  EXPECT_FALSE(result.truncated);
  EXPECT_EQ(result.policy.main.rules.filter.size(), 150u);
}

}  // namespace
}  // namespace sluice
