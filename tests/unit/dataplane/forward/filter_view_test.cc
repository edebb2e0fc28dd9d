// What a worker makes of a filter's status, its switch and its fail policy.
#include "dataplane/forward/filter_view.h"

#include <gtest/gtest.h>

#include <vector>

#include "dataplane/forward/filter_plane.h"
#include "pftable/store/policy_store.h"
#include "tests/support/manual_reclaimer.h"

namespace sluice {
namespace {

using enum Disposition;

class FilterViewTest : public testing::Test {
 protected:
  FilterViewTest() {
    filter_.number = 3;
    emergency_.number = 9;
  }

  // Enables the filter and takes its restore that way.
  void Go(const std::vector<RestoreState>& way) {
    FilterStatus status = filter_.status.Enable(true);
    for (const RestoreState next : way) {
      ASSERT_TRUE(filter_.status.Advance(&status, next)) << Name(next);
    }
  }
  Disposition Seen() { return ReadStatus(filter_).disposition; }

  FilterPlane filter_;
  FilterPlane emergency_;
};

TEST_F(FilterViewTest, TheStatusSaysWhatBecomesOfPackets) {
  EXPECT_EQ(Seen(), kDrop) << "no port of it was enabled yet";
  EXPECT_EQ(ReadStatus(filter_).drop_reason, DropReason::kPortDown);
  filter_.status.Enable(false);
  EXPECT_EQ(Seen(), kJudge);
  Go({});
  EXPECT_EQ(Seen(), kHold);
  Go({RestoreState::kQueued});
  EXPECT_EQ(Seen(), kHold);
  Go({RestoreState::kQueued, RestoreState::kValidating,
      RestoreState::kCommitting, RestoreState::kRestored});
  EXPECT_EQ(Seen(), kJudge);
  Go({RestoreState::kQueued, RestoreState::kFailed});
  EXPECT_EQ(Seen(), kDrop);
  EXPECT_EQ(ReadStatus(filter_).drop_reason, DropReason::kHeld);
  EXPECT_EQ(ReadStatus(filter_).filter, &filter_);
  EXPECT_EQ(ReadStatus(filter_).status, filter_.status.Load());
}

TEST_F(FilterViewTest, SwitchedOffItNeitherJudgesNorHoldsNorDrops) {
  filter_.enabled = false;
  EXPECT_EQ(Seen(), kUnfiltered);
  Go({});
  EXPECT_EQ(Seen(), kUnfiltered);
  Go({RestoreState::kQueued, RestoreState::kFailed});
  EXPECT_EQ(Seen(), kUnfiltered);
  EXPECT_TRUE(ReadStatus(filter_).open());
}

TEST_F(FilterViewTest, TheEmergencyRulesetStandsInAfterAFailureOnly) {
  filter_.fail_policy = FailPolicy::kOpen;
  filter_.emergency = &emergency_;
  Go({RestoreState::kQueued});
  EXPECT_EQ(Seen(), kHold);
  Go({RestoreState::kQueued, RestoreState::kFailed});
  EXPECT_EQ(Seen(), kEmergency);
  // Closed, or without a ruleset, there is none.
  filter_.fail_policy = FailPolicy::kClosed;
  EXPECT_EQ(Seen(), kDrop);
  filter_.fail_policy = FailPolicy::kOpen;
  filter_.emergency = nullptr;
  EXPECT_EQ(Seen(), kDrop);
}

TEST_F(FilterViewTest, WhoStandsInJudgesWithItsOwnPolicyAndSwitch) {
  filter_.fail_policy = FailPolicy::kOpen;
  filter_.emergency = &emergency_;
  Go({RestoreState::kQueued, RestoreState::kFailed});
  emergency_.status.Enable(false);
  FilterView view = ReadStatus(filter_);
  view.JudgeBy(ReadStatus(emergency_));
  EXPECT_EQ(view.number, emergency_.number) << "states are its own";
  EXPECT_EQ(view.filter, &filter_) << "what is held is the filter's";
  EXPECT_EQ(view.disposition, kEmergency);
  emergency_.enabled = false;
  view.JudgeBy(ReadStatus(emergency_));
  EXPECT_EQ(view.disposition, kUnfiltered);
}

// A round has one epoch of all policies. What the control lcore says of later
// ones after it began is for the next round.
TEST_F(FilterViewTest, ARoundBelievesNoStatusOfPoliciesThatItDoesNotSee) {
  InterfaceRegistry interfaces;
  ManualReclaimer reclaimer;  // the round is not over: what it read stays
  Publication publication;
  PolicyStore store({.workers = 1, .rule_slots = 16, .table_slots = 8,
                     .publication = &publication},
                    &interfaces, &reclaimer);
  filter_.policy = &store;
  filter_.status.Enable(false);
  const uint64_t first = publication.epoch();
  const auto read = [&](uint64_t epoch) {
    return ReadFilter(filter_, /*worker=*/0, epoch);
  };
  EXPECT_EQ(read(first).generation, nullptr) << "nothing was loaded";
  ASSERT_TRUE(store.Load(Policy()).ok());
  filter_.NoteLoaded(store.current()->epoch);
  // The empty policy would let everything pass.
  EXPECT_EQ(read(first).generation, nullptr);
  EXPECT_EQ(read(publication.epoch()).generation, store.current());

  Go({RestoreState::kQueued, RestoreState::kValidating,
      RestoreState::kCommitting});
  const uint64_t second = publication.epoch();
  ASSERT_TRUE(store.Load(Policy()).ok());
  const uint64_t third = publication.epoch();
  ASSERT_GT(third, second);
  filter_.restored_from = third;
  FilterStatus status = filter_.status.Load();
  ASSERT_TRUE(filter_.status.Advance(&status, RestoreState::kRestored));
  const FilterView before = read(second);
  EXPECT_EQ(before.disposition, kHold);
  EXPECT_EQ(before.status.state, RestoreState::kCommitting);
  EXPECT_EQ(read(third).disposition, kJudge);
  EXPECT_EQ(read(third).generation, store.current());
  // A later load makes nobody wait that the restore has let go on.
  ASSERT_TRUE(store.Load(Policy()).ok());
  EXPECT_EQ(read(third).disposition, kJudge);
}

}  // namespace
}  // namespace sluice
