#include "pftable/policy/merge_policy.h"

#include <gtest/gtest.h>

#include <string>

#include "pftable/print/printer.h"
#include "tests/unit/pftable/language/language_fixture.h"

namespace sluice {
namespace {

Policy ReadPolicy(const std::string& text, const std::string& anchor = "") {
  ParseResult result = ParseText(text, {.anchor = anchor});
  EXPECT_TRUE(result.ok()) << FormatDiagnostics(result.diagnostics);
  return std::move(result.policy);
}

// Each anchor with its rules and tables, and '*' before those in force.
void DescribePolicy(const Anchor& anchor, const std::string& path,
                    std::string* text) {
  *text += "[" + path + "]";
  for (const Rule& rule : anchor.rules.filter) {
    *text += " " + PrintRule(rule, {}) + ";";
  }
  for (const TableDefinition& table : anchor.tables) {
    *text += (table.in_force ? " *<" : " <") + table.name + ">";
  }
  *text += "\n";
  for (const Anchor& child : anchor.children) {
    DescribePolicy(child, path.empty() ? child.name : path + "/" + child.name,
                   text);
  }
}
std::string DescribePolicy(const Policy& policy) {
  std::string text;
  DescribePolicy(policy.main, "", &text);
  return text;
}

TEST(MergePolicy, ALoadOfTheMainRulesetKeepsWhatIsInAnchors) {
  const Policy main = ReadPolicy("anchor \"a/*\"\nblock in\n");
  Policy policy =
      ReadPolicy("table <t> { 192.0.2.1 }\npass in from <t>\n", "a/x");
  KeepAnchors(&policy, main, "a/x");
  EXPECT_EQ(DescribePolicy(policy),
            "[] anchor \"a/*\" all; block drop in all;\n[a]\n"
            "[a/x] pass in from <t> to any flags S/SA; <t>\n");
  // With another text, which calls it or not.
  Policy next = ReadPolicy("block out\n");
  KeepAnchors(&next, policy, "");
  EXPECT_EQ(DescribePolicy(next),
            "[] block drop out all;\n[a]\n"
            "[a/x] pass in from <t> to any flags S/SA; *<t>\n");
  // A body in the text replaces it, an empty one too.
  Policy body = ReadPolicy("anchor \"a\" { anchor \"x\" { pass out }\n}\n");
  KeepAnchors(&body, next, "");
  EXPECT_EQ(DescribePolicy(body),
            "[] anchor \"a\" all;\n[a] anchor \"x\" all;\n"
            "[a/x] pass out all flags S/SA;\n");
  Policy empty = ReadPolicy("anchor \"a\" { anchor \"x\" { }\n}\n");
  KeepAnchors(&empty, body, "");
  EXPECT_EQ(DescribePolicy(empty),
            "[] anchor \"a\" all;\n[a] anchor \"x\" all;\n[a/x]\n");
  // Still called by a rule that stays.
  Policy gone = ReadPolicy("pass\n");
  KeepAnchors(&gone, empty, "");
  EXPECT_EQ(DescribePolicy(gone),
            "[] pass all flags S/SA;\n[a] anchor \"x\" all;\n[a/x]\n");
  // Empty and not called: gone.
  EXPECT_EQ(DescribePolicy(Flushed(gone, {.anchor = "a"})),
            "[] pass all flags S/SA;\n");
}

TEST(MergePolicy, UnnamedAnchorsGoWithTheirRules) {
  const Policy old =
      ReadPolicy("anchor { block in }\nanchor \"a\" { pass out }\n");
  Policy next = ReadPolicy("anchor \"a\"\nanchor { pass in }\n");
  KeepAnchors(&next, old, "");
  EXPECT_EQ(DescribePolicy(next),
            "[] anchor \"a\" all; anchor all;\n[_1] pass in all flags S/SA;\n"
            "[a] pass out all flags S/SA;\n");
}

TEST(MergePolicy, AnAnchorsTextSetsNoOptions) {
  const Policy old = ReadPolicy("set limit states 700\nanchor \"a\"\n");
  Policy next = ReadPolicy("pass\n", "a");
  KeepAnchors(&next, old, "a");
  EXPECT_EQ(next.options.limit(Limit::kStates), 700u);
  EXPECT_EQ(next.options.given.size(), 1u);
}

TEST(MergePolicy, Flushes) {
  const Policy old = ReadPolicy(
      "set limit states 700\ntable <t> persist { 192.0.2.1 }\nblock in\n"
      "anchor \"a\" { table <u> { 192.0.2.2 }\npass in from <u>\n"
      "anchor \"b\" { pass out }\n}\n");
  const std::string b = "[a/b] pass out all flags S/SA;\n";
  EXPECT_EQ(DescribePolicy(Flushed(old, {})),
            "[] *<t>\n[a] pass in from <u> to any flags S/SA; anchor \"b\" "
            "all; *<u>\n" +
                b);
  EXPECT_EQ(Flushed(old, {}).options.limit(Limit::kStates), 700u);
  EXPECT_EQ(DescribePolicy(Flushed(old, {.anchor = "a"})),
            "[] block drop in all; anchor \"a\" all; *<t>\n[a] *<u>\n" + b);
  EXPECT_EQ(DescribePolicy(Flushed(old, {.anchor = {}, .below = true})),
            "[] *<t>\n[a] *<u>\n");
  EXPECT_EQ(Flushed(old, {.anchor = {}, .rules = false, .options = true})
                .options.limit(Limit::kStates),
            100000u);
  EXPECT_EQ(DescribePolicy(Flushed(old, {.anchor = "none"})),
            DescribePolicy(Flushed(old, {.anchor = {}, .rules = false})));
}

// '+' before each anchor whose rules are in force.
void DescribeStanding(const Anchor& anchor, std::string* text) {
  *text += (anchor.rules_in_force ? "+" : "") + ("[" + anchor.name + "]");
  for (const TableDefinition& table : anchor.tables) {
    *text += (table.in_force ? "*<" : "<") + table.name + ">";
  }
  for (const Anchor& child : anchor.children) DescribeStanding(child, text);
}
std::string DescribeStanding(const Policy& policy) {
  std::string text;
  DescribeStanding(policy.main, &text);
  return text;
}

// What one text of a commit has made is not in force when the next one is
// loaded over it.
TEST(MergePolicy, WhatIsInTheMakingIsNotInForce) {
  const Policy old = ReadPolicy(
      "table <t> { 192.0.2.1 }\nblock from <t>\nanchor \"a\" {\n"
      "table <u> { 192.0.2.2 }\npass from <u> once\n}\n"
      "anchor \"b\" { pass once }\n");
  const std::string text =
      "table <t> { 192.0.2.9 }\npass in from <t> once\n"
      "anchor \"a\"\nanchor \"b\"\n";
  Policy main = ReadPolicy(text);
  KeepAnchors(&main, old, "");
  EXPECT_EQ(DescribeStanding(main), "[]<t>+[a]*<u>+[b]");
  Policy b = ReadPolicy("pass once\n", "b");
  KeepAnchors(&b, main, "b", Standing::kInTheMaking);
  EXPECT_EQ(DescribeStanding(b), "[]<t>+[a]*<u>[b]");
  // The other way round.
  b = ReadPolicy("pass once\n", "b");
  KeepAnchors(&b, old, "b");
  EXPECT_EQ(DescribeStanding(b), "+[]*<t>+[a]*<u>[b]");
  main = ReadPolicy(text);
  KeepAnchors(&main, b, "", Standing::kInTheMaking);
  EXPECT_EQ(DescribeStanding(main), "[]<t>+[a]*<u>[b]");
  // And with parts of a text.
  const LoadParts tables = {.options = false,
                            .queues = false,
                            .ether = false,
                            .translation = false,
                            .filter = false};
  Policy part = ReadPolicy("table <t> { 192.0.2.7 }\n");
  KeepParts(&part, main, tables, Standing::kInTheMaking);
  KeepAnchors(&part, main, "", Standing::kInTheMaking);
  EXPECT_EQ(DescribeStanding(part), "[]<t>+[a]*<u>[b]");
  part = ReadPolicy("table <v> { 192.0.2.7 }\n");
  KeepParts(&part, main, tables);
  KeepAnchors(&part, main, "");
  EXPECT_EQ(DescribeStanding(part), "+[]<v>*<t>+[a]*<u>+[b]");
}

TEST(MergePolicy, AnEarlierPolicyIsLoadedAnew) {
  const Policy first = ReadPolicy(
      "block in\nanchor \"a\" {\ntable <u> { 192.0.2.2 }\n"
      "table <v> { 192.0.2.3 }\npass from <u> once\n"
      "anchor \"x\" { pass from <v> once }\n}\n");
  Policy earlier = ReadPolicy("block out\nanchor \"a\"\n");
  KeepAnchors(&earlier, first, "");
  ASSERT_EQ(DescribeStanding(earlier), "[]+[a]*<u>*<v>+[x]");
  Policy back = earlier;
  LoadAnew(&back, earlier);
  EXPECT_EQ(DescribeStanding(back), "[][a]*<u>*<v>[x]");
  // A table that has gone since is what the text says.
  const Policy now = ReadPolicy("anchor \"a\" { table <v> { 192.0.2.9 }\n}\n");
  back = earlier;
  LoadAnew(&back, now);
  EXPECT_EQ(DescribeStanding(back), "[][a]<u>*<v>[x]");
  back = earlier;
  LoadAnew(&back, Policy());
  EXPECT_EQ(DescribeStanding(back), "[][a]<u><v>[x]");
}

// FreeBSD's pfctl has an order each for rules, nat and ethernet.
TEST(MergePolicy, FlushesOneKindOfRules) {
  ParseInput input;
  input.dialect = Dialect::kFreeBsd;
  input.text =
      "ether pass\nether anchor { ether block }\n"
      "scrub in all\n"
      "nat on em0 inet all -> 192.0.2.1\n"
      "rdr on em0 inet all -> 192.0.2.2\n"
      "anchor { block in }\npass out\n";
  ParseResult parsed = ParsePolicy(std::move(input));
  ASSERT_TRUE(parsed.ok()) << FormatDiagnostics(parsed.diagnostics);
  const Policy old = std::move(parsed.policy);
  const auto sizes = [](const Policy& policy) {
    const Ruleset& rules = policy.main.rules;
    return std::vector<size_t>{rules.ether.size(), rules.nat.size(),
                               rules.rdr.size(),   rules.scrub.size(),
                               rules.filter.size(),
                               policy.main.children.size()};
  };
  using Sizes = std::vector<size_t>;
  EXPECT_EQ(sizes(old), (Sizes{2, 1, 1, 1, 2, 2}));
  PolicyFlush flush;
  flush.filter = flush.ether = false;
  EXPECT_EQ(sizes(Flushed(old, flush)), (Sizes{2, 0, 0, 1, 2, 2}));
  flush = PolicyFlush();
  flush.translation = flush.ether = false;
  EXPECT_EQ(sizes(Flushed(old, flush)), (Sizes{2, 1, 1, 0, 0, 1}));
  flush = PolicyFlush();
  flush.translation = flush.filter = false;
  EXPECT_EQ(sizes(Flushed(old, flush)), (Sizes{0, 1, 1, 1, 2, 1}));
  EXPECT_EQ(sizes(Flushed(old, {})), (Sizes{0, 0, 0, 0, 0, 0}));
}

TEST(MergePolicy, PartsOfAText) {
  const Policy old = ReadPolicy(
      "set limit states 700\ntable <t> persist { 192.0.2.1 }\n"
      "table <u> persist { 192.0.2.2 }\nblock in\n");
  Policy tables =
      ReadPolicy("set limit states 9\ntable <t> { 192.0.2.9 }\npass\n");
  KeepParts(&tables, old,
            {.options = false,
             .queues = false,
             .ether = false,
             .translation = false,
             .filter = false});
  EXPECT_EQ(DescribePolicy(tables), "[] block drop in all; <t> *<u>\n");
  EXPECT_EQ(tables.options.limit(Limit::kStates), 700u);
  Policy rules =
      ReadPolicy("set limit states 9\ntable <t> { 192.0.2.9 }\npass\n");
  KeepParts(&rules, old,
            {.options = false,
             .tables = false,
             .queues = false,
             .ether = false,
             .translation = false});
  EXPECT_EQ(DescribePolicy(rules), "[] pass all flags S/SA; *<t> *<u>\n");
  Policy options = ReadPolicy("set limit states 9\npass\n");
  KeepParts(&options, old,
            {.tables = false,
             .queues = false,
             .ether = false,
             .translation = false,
             .filter = false});
  EXPECT_EQ(DescribePolicy(options), "[] block drop in all; *<t> *<u>\n");
  EXPECT_EQ(options.options.limit(Limit::kStates), 9u);
}

}  // namespace
}  // namespace sluice
