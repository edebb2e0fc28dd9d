// What the optimiser makes of rules, by name and number.
#include "pftable/optimize/optimize.h"

#include <gtest/gtest.h>

#include <ostream>
#include <string>

#include "tests/unit/pftable/language/language_fixture.h"

namespace sluice {
namespace {

struct Optimised {
  const char* name;
  const char* text;
  const char* expected;
};

void PrintTo(const Optimised& c, std::ostream* out) { *out << c.name; }

constexpr Optimised kOptimised[] = {
    {"Duplicate", "block in on em0\nblock in on em0",
     "block drop in on em0 all\n"},
    {"DuplicateBehindAnother", "block in on em0\npass\nblock in on em0",
     "block drop in on em0 all\npass all flags S/SA\n"
     "block drop in on em0 all\n"},
    {"SubsetOfInterface", "block in proto udp\nblock in on em0 proto udp",
     "block drop in proto udp all\n"},
    {"SubsetBefore", "block in from 10.0.0.1\nblock in from 10/8",
     "block drop in inet from 10.0.0.0/8 to any\n"},
    {"SubsetOfDirectionProtocolPort",
     "block proto tcp to port 25\nblock in proto tcp from 10.0.0.1 to port 25",
     "block drop proto tcp from any to any port = 25\n"},
    {"SubsetOfFamily", "block in\nblock in inet6 from 2001:db8::/32",
     "block drop in all\n"},
    {"SubsetOfFlags", "block proto tcp\nblock proto tcp flags S/SA",
     "block drop proto tcp all\n"},
    {"NotOfAnotherNetwork", "block from 10/8\nblock from 11.0.0.1",
     "block drop inet from 10.0.0.0/8 to any\n"
     "block drop inet from 11.0.0.1 to any\n"},
    {"NotOfNegation", "block on em0\nblock on ! em1",
     "block drop on em0 all\nblock drop on ! em1 all\n"},
    {"NotQuickAndPlain", "block in\nblock in quick on em0",
     "block drop in all\nblock drop in quick on em0 all\n"},
    {"NotAnotherAnswer", "block in\nblock return in on em0",
     "block drop in all\nblock return in on em0 all\n"},
    {"NotAnotherCode", "block return-icmp(1) inet\nblock return-icmp(2) inet",
     "block return-icmp(host-unr) inet all\n"
     "block return-icmp(proto-unr) inet all\n"},
    {"NotAnotherTimeout",
     "pass keep state (tcp.first 5)\npass in keep state (tcp.first 9)",
     "pass all flags S/SA keep state (tcp.first 5)\n"
     "pass in all flags S/SA keep state (tcp.first 9)\n"},
    {"NotAnotherTag", "match tag A\nmatch in tag B",
     "match all tag A\nmatch in all tag B\n"},
    {"NotWithLabel", "block in\nblock in label x",
     "block drop in all\nblock drop in all label \"x\"\n"},
    {"NotWithLimit", "pass\npass keep state (max 5)",
     "pass all flags S/SA\npass all flags S/SA keep state (max 5)\n"},
    {"NotOnce", "pass in once\npass in once",
     "pass in all flags S/SA once\npass in all flags S/SA once\n"},
    {"NotRates", "pass in max-pkt-rate 5/1\npass in max-pkt-rate 5/1",
     "pass in all flags S/SA max-pkt-rate 5/1\n"
     "pass in all flags S/SA max-pkt-rate 5/1\n"},
    {"NotProbability", "block probability 50%\nblock probability 50%",
     "block drop all probability 50%\nblock drop all probability 50%\n"},
    {"FiveSources", "block from { 10.0.0.1 10.0.0.3 10.0.0.5 10.0.0.7 10.0.0.9 }",
     "block drop inet from 10.0.0.1 to any\n"
     "block drop inet from 10.0.0.3 to any\n"
     "block drop inet from 10.0.0.5 to any\n"
     "block drop inet from 10.0.0.7 to any\n"
     "block drop inet from 10.0.0.9 to any\n"},
    {"SixSources",
     "block from { 10.0.0.1 10.0.0.3 10.0.0.5 10.0.0.7 10.0.0.9 10.9/16 }",
     "table <__automatic_0> const { 10.0.0.1 10.0.0.3 10.0.0.5 10.0.0.7 "
     "10.0.0.9 10.9.0.0/16 }\n"
     "block drop inet from <__automatic_0> to any\n"},
    {"SixDestinationsBothFamilies",
     "pass out proto tcp to { ::1 ::3 ::5 ::7 ::9 ::11 10.0.0.1 10.0.0.2 "
     "10.0.0.3 10.0.0.4 10.0.0.5 10.0.0.6 } port 80",
     "table <__automatic_0> const { ::1 ::3 ::5 ::7 ::9 ::11 }\n"
     "table <__automatic_1> const { 10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 "
     "10.0.0.5 10.0.0.6 }\n"
     "pass out inet6 proto tcp from any to <__automatic_0> port = 80 flags "
     "S/SA\n"
     "pass out inet proto tcp from any to <__automatic_1> port = 80 flags "
     "S/SA\n"},
    {"NegatedAreNoTable",
     "block from ! 10.0.0.1\nblock from ! 10.0.0.2\nblock from ! 10.0.0.3\n"
     "block from ! 10.0.0.4\nblock from ! 10.0.0.5\nblock from ! 10.0.0.6",
     "block drop inet from ! 10.0.0.1 to any\n"
     "block drop inet from ! 10.0.0.2 to any\n"
     "block drop inet from ! 10.0.0.3 to any\n"
     "block drop inet from ! 10.0.0.4 to any\n"
     "block drop inet from ! 10.0.0.5 to any\n"
     "block drop inet from ! 10.0.0.6 to any\n"},
    {"NameThatIsTaken",
     "table <__automatic_0> { 10.1.0.1 }\n"
     "block from { 10.0.0.1 10.0.0.3 10.0.0.5 10.0.0.7 10.0.0.9 10.9/16 }",
     "table <__automatic_0> { 10.1.0.1 }\n"
     "table <__automatic_1> const { 10.0.0.1 10.0.0.3 10.0.0.5 10.0.0.7 "
     "10.0.0.9 10.9.0.0/16 }\n"
     "block drop inet from <__automatic_1> to any\n"},
    {"CommonFieldsTogether",
     "block in on em0 proto tcp to port 1\n"
     "block out on em1 proto udp to port 2\n"
     "block in on em0 proto udp to port 3\n"
     "block out on em1 proto tcp to port 4\n"
     "block in on em0 proto tcp to port 5",
     "block drop in on em0 proto tcp from any to any port = 1\n"
     "block drop in on em0 proto tcp from any to any port = 5\n"
     "block drop in on em0 proto udp from any to any port = 3\n"
     "block drop out on em1 proto udp from any to any port = 2\n"
     "block drop out on em1 proto tcp from any to any port = 4\n"},
    {"OfEqualGroupsTheFirstThatWasFull",
     "block on em0 proto tcp to port 1\n"
     "block on em1 proto tcp to port 2\n"
     "block on em1 proto tcp to port 3\n"
     "block on em0 proto tcp to port 4",
     "block drop on em1 proto tcp from any to any port = 2\n"
     "block drop on em1 proto tcp from any to any port = 3\n"
     "block drop on em0 proto tcp from any to any port = 1\n"
     "block drop on em0 proto tcp from any to any port = 4\n"},
    {"RangesOfPortsAreAField",
     "block in proto tcp from 10.0.0.1 to port 1:5\n"
     "block in proto tcp from 10.0.0.2 to port 7\n"
     "block in proto tcp from 10.0.0.3 to port 1:5",
     "block drop in inet proto tcp from 10.0.0.1 to any port 1:5\n"
     "block drop in inet proto tcp from 10.0.0.3 to any port 1:5\n"
     "block drop in inet proto tcp from 10.0.0.2 to any port = 7\n"},
    {"RangesOfAddressesAreNone",
     "block in from 10.0.0.1 - 10.0.0.9 to 10.1.0.1\n"
     "block in from 10.0.0.2 to 10.1.0.2\n"
     "block in from 10.0.0.1 - 10.0.0.9 to 10.1.0.3",
     "block drop in inet from 10.0.0.1 - 10.0.0.9 to 10.1.0.1\n"
     "block drop in inet from 10.0.0.2 to 10.1.0.2\n"
     "block drop in inet from 10.0.0.1 - 10.0.0.9 to 10.1.0.3\n"},
    {"ModifiersOfInterfacesAreNone",
     "block in from (em0) to 10.1.0.1\n"
     "block in from (em1) to 10.1.0.2\n"
     "block in from (em0:network) to 10.1.0.3",
     "block drop in inet from (em0) to 10.1.0.1\n"
     "block drop in inet from (em0:network) to 10.1.0.3\n"
     "block drop in inet from (em1) to 10.1.0.2\n"},
    {"NegatedIsNoPartOfAny", "block proto tcp\nblock proto tcp from ! <t>",
     "block drop proto tcp all\nblock drop proto tcp from ! <t> to any\n"},
    {"NumbersOfTablesThatCameToNothing",
     "block from { 10.0.0.1 10.0.0.2 }\n"
     "pass from { 10.0.0.1 10.0.0.3 10.0.0.5 10.0.0.7 10.0.0.9 10.9/16 }",
     "table <__automatic_1> const { 10.0.0.1 10.0.0.3 10.0.0.5 10.0.0.7 "
     "10.0.0.9 10.9.0.0/16 }\n"
     "block drop inet from 10.0.0.1 to any\n"
     "block drop inet from 10.0.0.2 to any\n"
     "pass inet from <__automatic_1> to any flags S/SA\n"},
    {"OnePoolOfSeveralRules",
     "match out from { 10.0.0.1 10.0.0.3 10.0.0.5 10.0.0.7 10.0.0.9 10.9/16 } "
     "nat-to 192.0.2.1\nmatch out from 10.0.0.1 nat-to 192.0.2.2",
     "table <__automatic_0> const { 10.0.0.1 10.0.0.3 10.0.0.5 10.0.0.7 "
     "10.0.0.9 10.9.0.0/16 }\n"
     "match out inet from <__automatic_0> to any nat-to 192.0.2.1\n"
     "match out inet from 10.0.0.1 to any nat-to 192.0.2.2\n"},
    {"NotWithKeysOfTheirOwn",
     "match out nat-to 192.0.2.0/24 source-hash\n"
     "match out nat-to 192.0.2.0/24 source-hash",
     "match out inet all nat-to 192.0.2.0/24 source-hash\n"
     "match out inet all nat-to 192.0.2.0/24 source-hash\n"},
    {"TablesOfAnchorsAreNumberedAtTheirCalls",
     "anchor \"b\" {\npass out nat-to { 192.0.2.1 192.0.2.3 }\n}\n"
     "anchor \"a\" {\npass out nat-to { 192.0.2.5 192.0.2.7 }\n}\n"
     "pass out nat-to { 192.0.2.9 192.0.2.11 }",
     "table <__automatic_0> const { 192.0.2.1 192.0.2.3 }\n"
     "table <__automatic_1> const { 192.0.2.5 192.0.2.7 }\n"
     "table <__automatic_2> const { 192.0.2.9 192.0.2.11 }\n"
     "anchor \"b\" all {\n"
     "  pass out inet all flags S/SA nat-to <__automatic_0> round-robin\n}\n"
     "anchor \"a\" all {\n"
     "  pass out inet all flags S/SA nat-to <__automatic_1> round-robin\n}\n"
     "pass out inet all flags S/SA nat-to <__automatic_2> round-robin\n"},
    {"LabelKeepsItsPlace",
     "block in on em0 proto tcp to port 1\n"
     "block out on em1 proto tcp to port 2 label \"$nr\"\n"
     "block in on em0 proto tcp to port 3",
     "block drop in on em0 proto tcp from any to any port = 1\n"
     "block drop out on em1 proto tcp from any to any port = 2 label \"1\"\n"
     "block drop in on em0 proto tcp from any to any port = 3\n"},
    {"NumberOfLabelIsTheOptimised",
     "block in on em0\nblock in on em0\npass label \"$nr\"",
     "block drop in on em0 all\npass all flags S/SA label \"1\"\n"},
    {"GroupsStayApart",
     "block in on egress proto tcp to port 1\n"
     "block in on em0 proto tcp to port 2\n"
     "block in on egress proto tcp to port 3",
     "block drop in on egress proto tcp from any to any port = 1\n"
     "block drop in on em0 proto tcp from any to any port = 2\n"
     "block drop in on egress proto tcp from any to any port = 3\n"},
    {"AnchorsAreDoneThemselves",
     "anchor \"a\" {\nblock in\nblock in\npass from { 10.0.0.1 10.0.0.3 "
     "10.0.0.5 10.0.0.7 10.0.0.9 10.9/16 }\n}\nblock in",
     "table <__automatic_0> const { 10.0.0.1 10.0.0.3 10.0.0.5 10.0.0.7 "
     "10.0.0.9 10.9.0.0/16 }\n"
     "anchor \"a\" all {\n  block drop in all\n"
     "  pass inet from <__automatic_0> to any flags S/SA\n}\n"
     "block drop in all\n"},
    {"None", "set ruleset-optimization none\nblock in\nblock in",
     "block drop in all\nblock drop in all\n"},
    {"LimitOfEntries",
     "set limit table-entries 9\n"
     "block from { 10.0.0.1 10.0.0.3 10.0.0.5 10.0.0.7 10.0.0.9 10.9/16 }",
     "set limit table-entries 9\n"
     "block drop inet from 10.0.0.1 to any\n"
     "block drop inet from 10.0.0.3 to any\n"
     "block drop inet from 10.0.0.5 to any\n"
     "block drop inet from 10.0.0.7 to any\n"
     "block drop inet from 10.0.0.9 to any\n"
     "block drop inet from 10.9.0.0/16 to any\n"},
};

class OptimizeTest : public testing::TestWithParam<Optimised> {};

TEST_P(OptimizeTest, MakesTheseRules) {
  const ParseResult result = ParseText(GetParam().text, {.optimize = true});
  ASSERT_TRUE(result.ok()) << FormatDiagnostics(result.diagnostics);
  const std::string printed = PrintText(result, Dialect::kOpenBsd);
  EXPECT_EQ(printed, GetParam().expected);
  // What is optimised stays as it is; where nothing is to be, the text no longer
  // says so.
  const bool none = result.policy.options.ruleset_optimization ==
                    RulesetOptimization::kNone;
  const ParseResult again = ParseText(printed, {.optimize = !none});
  ASSERT_TRUE(again.ok()) << FormatDiagnostics(again.diagnostics);
  EXPECT_EQ(PrintText(again, Dialect::kOpenBsd), printed);
}

INSTANTIATE_TEST_SUITE_P(Rules, OptimizeTest, testing::ValuesIn(kOptimised),
                         [](const auto& info) {
                           return std::string(info.param.name);
                         });

constexpr std::string_view kQuick =
    "block in quick proto tcp to port 1\n"
    "block in quick proto tcp to port 2\n"
    "block in quick proto tcp to port 3\n"
    "block in proto tcp to port 4\n"
    "block in proto tcp to port 5\n";

TEST(Optimize, ProfilePutsTheBusiestQuickRulesFirst) {
  ParseInput input;
  input.text = kQuick;
  input.optimize = true;
  input.optimization = RulesetOptimization::kProfile;
  input.profile = [](const Rule& rule, std::string_view path) -> uint64_t {
    EXPECT_EQ(path, "");
    EXPECT_TRUE(rule.quick);
    return rule.destination.port.low == 3 ? 9 : 1;
  };
  const ParseResult result = ParsePolicy(std::move(input));
  EXPECT_EQ(PrintRuleset(result.policy.main, {.rule_numbers = true}, true),
            "@0 block drop in quick proto tcp from any to any port = 3\n"
            "@1 block drop in quick proto tcp from any to any port = 1\n"
            "@2 block drop in quick proto tcp from any to any port = 2\n"
            "@3 block drop in proto tcp from any to any port = 4\n"
            "@4 block drop in proto tcp from any to any port = 5\n");
}

TEST(Optimize, TheLevelGivenBesidesTheTextWins) {
  for (const auto level :
       {RulesetOptimization::kNone, RulesetOptimization::kBasic}) {
    ParseInput input;
    input.text = "set ruleset-optimization basic\nblock in\nblock in\n";
    input.optimize = true;
    input.optimization = level;
    const ParseResult result = ParsePolicy(std::move(input));
    EXPECT_EQ(result.policy.main.rules.filter.size(),
              level == RulesetOptimization::kNone ? 2u : 1u);
  }
}

TEST(Optimize, NamesByContentsOutliveOtherChanges) {
  const auto name = [](const std::string& before) {
    ParseInput input;
    input.text = before +
                 "block from { 10.0.0.1 10.0.0.3 10.0.0.5 10.0.0.7 10.0.0.9 "
                 "10.9/16 }\n";
    input.optimize = true;
    input.table_naming = TableNaming::kByContents;
    const ParseResult result = ParsePolicy(std::move(input));
    return result.policy.main.tables.back().name;
  };
  const std::string first = name("");
  EXPECT_TRUE(first.starts_with("__automatic_")) << first;
  EXPECT_TRUE(first.ends_with("_0")) << first;
  EXPECT_LE(first.size(), 31u);
  EXPECT_EQ(name("block to { 10.1.0.1 10.1.0.2 10.1.0.3 10.1.0.4 10.1.0.5 "
                 "10.1.0.6 }\n"),
            first);
}

// Neither many rules that differ in one address nor many shapes of rules take
// more than time in proportion to their number: no assertion on time, but a
// quadratic pass would not end within the test's limit.
TEST(Optimize, ManyRulesOfOneBlock) {
  std::string text;
  for (int i = 0; i < 60000; ++i) {
    const std::string quad = std::to_string(i / 250) + "." +
                             std::to_string(i % 250) + ".1";
    text += "block in from 10." + quad + " to 192.168.0." +
            std::to_string(i % 2 ? 1 : i % 200) + "\n";
  }
  const ParseResult result = ParseText(text, {.optimize = true});
  ASSERT_TRUE(result.ok());
  EXPECT_LT(result.policy.main.rules.filter.size(), 30000u);
}

}  // namespace
}  // namespace sluice
