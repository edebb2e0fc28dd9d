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

}  // namespace
}  // namespace sluice
