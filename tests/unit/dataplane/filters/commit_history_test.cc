// Which rulesets a filter can go back to, and when it has to.
#include "dataplane/filters/commit_history.h"

#include <gtest/gtest.h>

#include <memory>

#include "dataplane/filters/commit_set.h"

namespace sluice {
namespace {

using PolicyPtr = std::shared_ptr<const Policy>;

PolicyPtr Some() { return std::make_shared<const Policy>(); }
CommitListing Commit(uint64_t rules) {
  CommitListing commit;
  commit.rules = rules;
  return commit;
}

TEST(CommitHistoryTest, GoesBackToEarlierOnes) {
  CommitHistory history;
  EXPECT_EQ(history.Before(1).status().code(),
            absl::StatusCode::kOutOfRange);
  const PolicyPtr a = Some(), b = Some(), c = Some();
  history.Add(Commit(1), a);
  EXPECT_FALSE(history.Before(1).ok());
  history.Add(Commit(2), b);
  history.Add(Commit(3), c);
  EXPECT_EQ(*history.Before(1), b);
  EXPECT_EQ(*history.Before(2), a);
  EXPECT_FALSE(history.Before(3).ok());
  EXPECT_FALSE(history.Before(0).ok());
  ASSERT_EQ(history.List().size(), 3u);
  EXPECT_EQ(history.List()[0].rules, 3u);
  EXPECT_TRUE(history.List()[2].is_kept);
}

TEST(CommitHistoryTest, KeepsSoManyRulesAndTheLastInAnyCase) {
  CommitHistory history;
  const PolicyPtr large = Some(), small = Some();
  history.Add(Commit(1), small);
  history.Add(Commit(CommitHistory::kKeptRules + 1), large);
  history.Add(Commit(1), small);
  EXPECT_EQ(*history.Before(1), large);
  EXPECT_FALSE(history.Before(2).ok());
  EXPECT_FALSE(history.List()[2].is_kept);
  history.Add(Commit(1), small);
  EXPECT_EQ(*history.Before(1), small);
  EXPECT_FALSE(history.Before(2).ok());
  EXPECT_EQ(large.use_count(), 1);
  for (size_t i = 0; i < 2 * CommitHistory::kListed; ++i) {
    history.Add(Commit(1), small);
  }
  EXPECT_EQ(history.List().size(), CommitHistory::kListed);
}

TEST(CommitHistoryTest, WhatIsNotConfirmedIsOverdue) {
  CommitHistory history;
  const PolicyPtr before = Some();
  EXPECT_FALSE(history.Confirm());
  history.Expect(1000, 5, before);
  EXPECT_EQ(history.Left(1000), 5u);
  EXPECT_EQ(history.Left(5001), 1u);
  EXPECT_EQ(history.Overdue(5999), nullptr);
  EXPECT_EQ(history.Overdue(6000), before);
  EXPECT_EQ(history.Overdue(9000), before) << "until it has come back";
  EXPECT_TRUE(history.Confirm());
  EXPECT_EQ(history.Overdue(9000), nullptr);
  EXPECT_EQ(history.Left(9000), std::nullopt);
}

// A second attempt gives more time, and does not make the first one trusted.
TEST(CommitHistoryTest, TheFirstFallbackStays) {
  CommitHistory history;
  const PolicyPtr before = Some();
  history.Expect(0, 5, before);
  history.Expect(4000, 10, Some());
  EXPECT_EQ(history.Overdue(6000), nullptr);
  EXPECT_EQ(history.Overdue(14000), before);
}

TEST(CommitHistorySetTest, WhileASetWaitsNothingChangesAlone) {
  const auto policy = std::make_shared<const Policy>();
  auto set = std::make_shared<CommitSet>();
  set->members.resize(2);
  set->members[0].filter = "a";
  set->members[1].filter = "b";
  CommitHistory history;
  EXPECT_TRUE(history.CheckAlone().ok());
  history.Expect(1000, 10, policy, set);
  history.Add({.what = "load"}, policy, set);
  EXPECT_EQ(history.last_set(), set);
  EXPECT_EQ(history.pending_set(), set);
  const absl::Status alone = history.CheckAlone();
  EXPECT_EQ(alone.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(alone.message().find("a, b waits"), absl::string_view::npos);
  EXPECT_TRUE(history.Confirm());
  EXPECT_TRUE(history.CheckAlone().ok());
  EXPECT_EQ(history.pending_set(), nullptr);
  EXPECT_EQ(history.last_set(), set) << "it can be taken back still";
  history.Add({.what = "load"}, policy);
  EXPECT_EQ(history.last_set(), nullptr);
}

}  // namespace
}  // namespace sluice
