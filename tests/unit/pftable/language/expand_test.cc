// Memory of expanded rules. Their order and meaning are language_test.cc's.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "pftable/language/parser.h"

namespace sluice {
namespace {

std::vector<Rule> Expanded(std::string text) {
  ParseInput input;
  input.text = std::move(text);
  ParseResult result = ParsePolicy(std::move(input));
  EXPECT_TRUE(result.ok()) << FormatDiagnostics(result.diagnostics);
  return std::move(result.policy.main.rules.filter);
}

std::string List(const std::string& before, int count) {
  std::string text = "{";
  for (int i = 1; i <= count; ++i) text += " " + before + std::to_string(i);
  return text + " }";
}

TEST(Expand, RulesOfAListTakeTheRoomThatTheyNeed) {
  const std::vector<Rule> rules =
      Expanded("block proto tcp from " + List("192.0.2.", 150) + " to port " +
               List("", 10) + "\n");
  EXPECT_EQ(rules.size(), 1500u);
  EXPECT_EQ(rules.capacity(), rules.size());
}

TEST(Expand, NoRoomIsTakenForWhatDoesNotFit) {
  // Two families of addresses: half of the product is no rule.
  const std::vector<Rule> rules =
      Expanded("block from { 192.0.2.0/24 2001:db8::/32 } to " +
               List("2001:db8::", 99) + "\n");
  EXPECT_EQ(rules.size(), 99u);
  EXPECT_EQ(rules.capacity(), rules.size());
}

TEST(Expand, RoomGrowsBySteps) {
  std::string text;
  size_t grown = 0;
  size_t capacity = 0;
  for (int statements = 1; statements <= 256; ++statements) {
    text += "block proto tcp to port { 1 2 3 }\n";
    const std::vector<Rule> rules = Expanded(text);
    ASSERT_EQ(rules.size(), 3u * static_cast<size_t>(statements));
    grown += rules.capacity() != capacity;
    capacity = rules.capacity();
  }
  // Doubling: 3, 6, 12, ... 768.
  EXPECT_EQ(grown, 9u);
}

}  // namespace
}  // namespace sluice
