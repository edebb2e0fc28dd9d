// -a in all its forms, and the verbs that are asked for by words.
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/unit/dataplane/sluicectl/sluicectl_fixture.h"

namespace sluice {
namespace {

using testing::HasSubstr;

absl::StatusOr<Arguments> ArgumentsOf(std::vector<std::string> words) {
  return ParseArguments(words);
}

TEST(SluicectlAnchors, ThePathAndWhatIsBelow) {
  struct Case {
    const char* written;
    const char* path;
    bool below, children;
  };
  for (const Case& c : std::vector<Case>{{"a", "a", false, false},
                                         {"/a/b", "a/b", false, false},
                                         {"a/*", "a", true, true},
                                         {"*", "", true, false},
                                         {"/*", "", true, true}}) {
    const auto a = ArgumentsOf({"-a", c.written, "-sr"});
    ASSERT_TRUE(a.ok()) << c.written;
    EXPECT_EQ(a->anchor, c.path) << c.written;
    EXPECT_EQ(a->below, c.below) << c.written;
    EXPECT_EQ(a->children, c.children) << c.written;
  }
}

TEST(SluicectlAnchors, WhatGoesTogether) {
  for (const auto& words : std::vector<std::vector<std::string>>{
           {"-a", "x", "-f", "-"},
           {"-a", "x", "-nf", "-"},
           {"-a", "x", "-F", "rules"},
           {"-a", "x", "-F", "Tables"},
           {"-a", "*", "-F", "all"},
           {"-a", "x", "-sA"},
           {"-a", "_1", "-sr"},
           {"-x", "notice"},
           {"-k", "key", "-k", "udp 10.0.0.1:1 -> 10.0.0.2:2"},
           {"-k", "vlan", "-k", "7.42"},
           {"-M", "-k", "10.0.0.1"},
           {"-F", "Reset"},
           {"-s", "Running"},
           {"-t", "x", "-T", "expire", "60"},
           {"--without", "divert-to,rtable", "-f", "-"}}) {
    const auto a = ArgumentsOf(words);
    EXPECT_TRUE(a.ok()) << words[0] << " " << words[1] << ": " << a.status();
  }
  for (const auto& words : std::vector<std::vector<std::string>>{
           {"-a", "x", "-e"},
           {"-a", "x", "-F", "states"},
           {"-a", "_1", "-F", "rules"},
           {"-a", "x/_1", "-f", "-"},
           {"-M", "-sr"},
           {"-k", "key"},
           {"-k", "gateway"},
           {"-k", "vlan"},
           {"-k", "tag"},
           {"-k", "age"},
           {"-k", "helper"},
           {"--without", "rtable", "-sr"},
           {"--language-only", "-f", "-"}}) {
    EXPECT_FALSE(ArgumentsOf(words).ok()) << words[0] << " " << words[1];
  }
}

TEST_F(SluicectlToolTest, KillsWhatGoesByAGateway) {
  Run({"-k", "gateway", "-k", "192.0.2.1"});
  ASSERT_TRUE(filter_.last_kill.gateway.has_value());
  EXPECT_EQ(ToString(*filter_.last_kill.gateway), "192.0.2.1");
  EXPECT_FALSE(filter_.last_kill.source.has_value());
  Run({"-k", "gateway", "-k", "2001:db8::/32"});
  EXPECT_EQ(ToString(*filter_.last_kill.gateway), "2001:db8::/32");
}

TEST_F(SluicectlToolTest, LoadsIntoAnchorsAndFlushesThem) {
  Run({"-a", "a/b", "-f", "-"}, "pass all\n");
  EXPECT_EQ(filter_.last_load.anchor, "a/b");
  Run({"-f", "-", "--without", "divert-to,rtable"}, "pass all\n");
  EXPECT_EQ(filter_.last_load.anchor, "");
  EXPECT_THAT(filter_.last_load.without,
              testing::ElementsAre("divert-to", "rtable"));
  EXPECT_EQ(Run({"-a", "a/b", "-F", "rules"}).err, "rules cleared\n");
  EXPECT_EQ(filter_.last_flush.anchor, "a/b");
  EXPECT_FALSE(filter_.last_flush.below);
  EXPECT_FALSE(filter_.last_flush.options);
  EXPECT_TRUE(filter_.last_flush.filter);
  EXPECT_FALSE(filter_.last_flush.translation);
  EXPECT_FALSE(filter_.last_flush.ether);
  EXPECT_EQ(Run({"-a", "a/b", "-F", "nat"}).err, "nat cleared\n");
  EXPECT_EQ(filter_.last_flush.anchor, "a/b");
  EXPECT_TRUE(filter_.last_flush.translation);
  EXPECT_FALSE(filter_.last_flush.filter);
  EXPECT_EQ(Run({"-F", "eth"}).err, "Ethernet rules cleared\n");
  EXPECT_TRUE(filter_.last_flush.ether);
  EXPECT_FALSE(filter_.last_flush.translation);
  Run({"-F", "all"});
  EXPECT_TRUE(filter_.last_flush.ether && filter_.last_flush.translation &&
              filter_.last_flush.filter);
  Run({"-a", "a/b", "-s", "ether"});
  EXPECT_TRUE(filter_.last_rule_query.ether);
  EXPECT_EQ(filter_.last_rule_query.anchor, "a/b");
  filter_.anchors = {"a", "a/b"};
  EXPECT_EQ(Run({"-a", "*", "-F", "rules"}).out,
            "Removing:\n  /\n  a\n  a/b\n");
  EXPECT_TRUE(filter_.last_flush.below);
  EXPECT_EQ(Run({"-s", "Anchors"}).out, "  a\n  a/b\n");
  Run({"-F", "Reset"});
  EXPECT_TRUE(filter_.last_flush.options);
  EXPECT_FALSE(filter_.last_flush.rules);
}

TEST_F(SluicectlToolTest, UnnamedAnchorsStandWithTheirRules) {
  // The fake has the same rules in each: one call, which would go on for ever.
  RuleListing call;
  call.text = "anchor all";
  call.calls = "_1";
  call.calls_unnamed = true;
  filter_.rules = {call};
  const Outcome outcome = Run({"-sr"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.out, HasSubstr("anchor all {\n  anchor all {\n"));
  EXPECT_THAT(outcome.err, HasSubstr("nested more than 64 deep"));
  // A named one stands alone unless all below is asked for.
  filter_.rules[0].text = "anchor \"a\" all";
  filter_.rules[0].calls_unnamed = false;
  EXPECT_EQ(Run({"-sr"}).out, "anchor \"a\" all\n");
  EXPECT_THAT(Run({"-a", "*", "-sr"}).out, HasSubstr("anchor \"a\" all {\n"));
}

TEST_F(SluicectlToolTest, NamesOfHostsAreLookedUpHere) {
  const Outcome outcome = Run({"-vf", "-"}, "pass to localhost\n");
  EXPECT_THAT(outcome.err, HasSubstr("localhost:"));
  ASSERT_EQ(filter_.last_load.hosts.size(), 1u);
  EXPECT_EQ(filter_.last_load.hosts[0].first, "localhost");
  EXPECT_FALSE(filter_.last_load.hosts[0].second.empty());
  Run({"-Nf", "-"}, "pass to localhost\n");
  EXPECT_TRUE(filter_.last_load.hosts.empty());
}

TEST(SluicectlAnchors, WordsAndTimesAsPfctlPrintsThem) {
  nlohmann::json status = {{"enabled", true}, {"debug", "urgent"}};
  EXPECT_THAT(FormatInfo(status, Detail()), HasSubstr("Debug: Urgent\n"));
  status["debug"] = "err";
  EXPECT_THAT(FormatInfo(status, Detail()), HasSubstr("Debug: err\n"));
  status["decided"] = 42;
  status["not_carried_out"] = {"queue: changes no verdict"};
  status["drop_counters"] = nlohmann::json::array(
      {nlohmann::json{{"name", "match"}, {"value", 7}}});
  const std::string info = FormatInfo(status, Detail());
  EXPECT_THAT(info, testing::ContainsRegex("match +42"));
  EXPECT_THAT(info, HasSubstr("Not Carried Out\n  queue: changes no verdict\n"));
  const nlohmann::json table = {{"name", "t"}, {"active", true}};
  EXPECT_THAT(FormatTable(table, {.verbose = 2}),
              testing::Not(HasSubstr("Cleared:")));
}

}  // namespace
}  // namespace sluice
