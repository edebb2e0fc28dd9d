// Commits by sluicectl: confirmed, listed, taken back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/dataplane/sluicectl/sluicectl_fixture.h"

namespace sluice {
namespace {

using testing::HasSubstr;

using SluicectlCommitsTest = SluicectlToolTest;

TEST_F(SluicectlCommitsTest, LoadsUntilItIsConfirmed) {
  ExpectIs(Run({"-f", "-", "--confirm", "60", "--only-if", "7"}, "pass\n"), 0,
           "",
           "unless --confirm-commit follows within 60 seconds, the rules "
           "before come back\n");
  EXPECT_EQ(filter_.last_load.confirm_within, 60u);
  EXPECT_EQ(filter_.last_load.only_if, 7u);
  Run({"-f", "-"}, "pass\n");
  EXPECT_EQ(filter_.last_load.confirm_within, 0u);
  EXPECT_EQ(filter_.last_load.only_if, std::nullopt);
}

TEST_F(SluicectlCommitsTest, Confirms) {
  filter_.confirm_left = 9;
  ExpectIs(Run({"--confirm-commit"}), 0, "", "the ruleset is confirmed\n");
  EXPECT_EQ(filter_.confirm_left, std::nullopt);
  ExpectIs(Run({"--confirm-commit"}), 1, "",
           "sluicectl: no commit waits to be confirmed\n");
}

TEST_F(SluicectlCommitsTest, GoesBack) {
  filter_.commits.resize(3);
  ExpectIs(Run({"--rollback", "2"}), 0, "",
           "the ruleset of 2 commits ago is in force again, 0 rules, "
           "generation 2\n");
  EXPECT_EQ(filter_.rolled_back, 2u);
  EXPECT_EQ(Run({"--rollback=9"}).status, 1);
}

TEST_F(SluicectlCommitsTest, ListsThem) {
  CommitListing commit;
  commit.generation = 12;
  commit.what = "load";
  commit.uid = 1000;
  commit.hash = "00ff";
  commit.rules = 34;
  commit.build_ms = 56;
  commit.is_kept = true;
  filter_.commits = {commit, commit};
  filter_.commits[1].is_kept = false;
  filter_.confirm_left = 8;
  const std::string text = Run({"-s", "commits"}).out;
  EXPECT_THAT(text, HasSubstr("within 8 seconds\n"));
  EXPECT_THAT(text, HasSubstr("\n   0         12  "));
  EXPECT_THAT(text, HasSubstr("\n   -         12  "));
  EXPECT_THAT(text, HasSubstr("load               34       56     1000  00ff"));
}

TEST_F(SluicectlCommitsTest, SaysWhatContradicts) {
  const std::vector<std::string> kWrong[] = {
      {"--confirm", "60"},
      {"-n", "-f", "-", "--confirm", "60"},
      {"-f", "-", "--confirm", "0"},
      {"-f", "-", "--confirm", "x"},
      {"-f", "-", "--rollback", "1"},
      {"--rollback", "1", "--confirm-commit"},
      {"--rollback", "0"},
      {"--diff"},
      {"--kill-blocked"},
      {"-n", "-f", "-", "--show-blocked"},
      {"-f", "-", "--diff", "--confirm", "5"},
      {"-f", "-", "--diff", "--kill-blocked"},
      {"filter", "list", "--rollback", "1"}};
  for (const auto& words : kWrong) {
    EXPECT_FALSE(ParseArguments(words).ok()) << words.back();
  }
}

TEST_F(SluicectlCommitsTest, SeveralFiltersAreOneCommit) {
  const std::string a = Write("a.conf", "pass\n");
  const std::string web = Write("web.conf", "block\n");
  const std::string bad = Write("bad.txt", "192.0.2.1\n!2001:db8::/32\n");
  CommitSetResult result;
  result.filters.push_back({.filter = "a", .load = {.diagnostics = {},
                                                    .generation = 8,
                                                    .rules = 2}});
  directory_.set_result = result;
  ExpectIs(Run({"--confirm", "30", "--filter", "a", "-f", a, "--only-if", "7",
                "--filter", "b", "-t", "bad", "-T", "replace", "-f", bad,
                "--filter", "a", "-a", "web", "-f", web}),
           0, "",
           "filter a: 2 rules, generation 8\n"
           "unless --confirm-commit follows within 30 seconds, the rules "
           "before come back at all of them\n");
  const CommitSetRequest& asked = directory_.last_set;
  ASSERT_EQ(asked.filters.size(), 2u);
  EXPECT_EQ(asked.confirm_within, 30u);
  EXPECT_EQ(asked.filters[0].filter, "a");
  EXPECT_EQ(asked.filters[0].only_if, 7u);
  ASSERT_EQ(asked.filters[0].rulesets.size(), 2u);
  EXPECT_EQ(asked.filters[0].rulesets[0].text, "pass\n");
  EXPECT_EQ(asked.filters[0].rulesets[0].anchor, "");
  EXPECT_EQ(asked.filters[0].rulesets[1].anchor, "web");
  EXPECT_EQ(asked.filters[1].filter, "b");
  ASSERT_EQ(asked.filters[1].tables.size(), 1u);
  EXPECT_EQ(asked.filters[1].tables[0].entries.size(), 2u);

  EXPECT_EQ(Run({"--filter", "a", "--filter", "b", "--rollback", "1"}).status,
            0);
  EXPECT_EQ(directory_.rolled_back, (std::vector<std::string>{"a", "b"}));
  // -n asks nobody.
  directory_.last_set = {};
  EXPECT_EQ(Run({"-n", "--filter", "a", "-f", a, "--filter", "b", "-f", web})
                .status,
            0);
  EXPECT_TRUE(directory_.last_set.filters.empty());
  // What cannot be read changes nothing.
  const Outcome failed =
      Run({"--filter", "a", "-f", a, "--filter", "b", "-f", "/none"});
  EXPECT_EQ(failed.status, 1);
  EXPECT_THAT(failed.err, HasSubstr("nothing was changed"));
  EXPECT_TRUE(directory_.last_set.filters.empty());
}

TEST(SluicectlSetArgumentsTest, WhatDoesNotGoWithSeveralFilters) {
  const auto refusal = [](std::vector<std::string> words) {
    std::vector<std::string> all = {"--filter", "a", "-f", "x",
                                    "--filter", "b"};
    all.insert(all.end(), words.begin(), words.end());
    const auto arguments = ParseArguments(all);
    return arguments.ok() ? std::string("none")
                          : std::string(arguments.status().message());
  };
  EXPECT_EQ(refusal({"-f", "y"}), "none");
  EXPECT_THAT(refusal({}), HasSubstr("filter b: there is no -f"));
  EXPECT_THAT(refusal({"-f", "y", "-s", "rules"}), HasSubstr("one commit"));
  EXPECT_THAT(refusal({"-f", "y", "-d"}), HasSubstr("one commit"));
  EXPECT_THAT(refusal({"-f", "y", "-t", "t", "-T", "flush"}),
              HasSubstr("-T add"));
  EXPECT_THAT(refusal({"-f", "y", "-t", "t"}), HasSubstr("-T needs"));
  EXPECT_THAT(refusal({"--rollback", "1"}), HasSubstr("contradict"));
  EXPECT_THAT(refusal({"-f", "y", "-n", "--confirm", "3"}), HasSubstr("-n"));
  EXPECT_THAT(refusal({"-f", "-", "--filter", "c", "-f", "-"}),
              HasSubstr("standard input"));
}

}  // namespace
}  // namespace sluice
