// A transfer in its middle goes from one shard to another: parent, child, and
// what the parent still expects.
#include <gtest/gtest.h>

#include <vector>

#include "conntrack/state_import.h"
#include "tests/unit/conntrack/shard.h"

namespace sluice {
namespace {

class FamilyImportTest : public testing::TestWithParam<Family> {
 protected:
  FamilyImportTest() : from_(GetParam()), to_(GetParam()) {
    // The first server port has a child, the repeated request expects another.
    from_.In(kRequest);
    from_.Out("udp $S:3000 > $C:5000 tftp oack blksize 1024");
    from_.In(kRequest);
    from_.Advance(2000);
    to_.now = from_.now + 1000000;
  }

  static std::vector<ExpectationRecord> List(Shard& shard) {
    std::vector<ExpectationRecord> records;
    uint32_t cursor = 0;
    while (shard.expectations->List(&cursor, 100, shard.now, &records)) {
    }
    return records;
  }
  // Parent first.
  void Reserve() {
    uint32_t cursor = 0;
    from_.table->entries().Visit(&cursor, 100, [&](StateIndex state) {
      import_.Add({.record = from_.Record(state)});
    });
    ASSERT_EQ(import_.states.size(), 2u);
    ASSERT_EQ(StateIntake(to_.table.get()).Reserve(&import_, 100),
              ReserveResult::kReady);
    StateRecord& parent = import_.states[0].record;
    handle_ = {parent.id, parent.slot};
    ASSERT_EQ(to_.expectations->ReserveFamily(
                  {.handle = handle_, .direction = parent.direction},
                  protocol::kUdp, 1, &record_),
              ExpectResult::kArmed);
    for (ExpectationRecord expected : List(from_)) {
      expected.parent = handle_;
      EXPECT_EQ(to_.expectations->ReserveExpectation(expected, record_),
                ExpectResult::kArmed);
    }
    import_.Tie(0, {}, record_);
    import_.Tie(1, handle_, record_);
  }
  void Commit() {
    ASSERT_TRUE(StateIntake(to_.table.get()).Commit(&import_, to_.now, 100));
    to_.expectations->CommitFamily(record_, handle_.id, to_.now);
  }
  // The record that was freed last is the next one's.
  bool RecordIsFree() {
    const ParentReference other = {.handle = {.id = 7 << 8, .slot = 0}};
    uint16_t record = kNoFamilyRecord;
    EXPECT_EQ(to_.expectations->ReserveFamily(other, protocol::kUdp, 1,
                                              &record),
              ExpectResult::kArmed);
    to_.expectations->CancelFamily(record, other.handle.id);
    return record == record_;
  }

  static constexpr const char* kRequest =
      "udp $C:5000 > $S:69 tftp rrq \"f\" octet";
  static constexpr const char* kSecond =
      "udp $S:3001 > $C:5000 tftp data 1 512";
  Shard from_;
  Shard to_;
  StateImport import_;
  StateHandle handle_;
  uint16_t record_ = kNoFamilyRecord;
};

INSTANTIATE_TEST_SUITE_P(Families, FamilyImportTest,
                         testing::Values(Family::kIpv4, Family::kIpv6),
                         [](const auto& info) {
                           return info.param == Family::kIpv4 ? "v4" : "v6";
                         });

TEST_P(FamilyImportTest, ListsWhatIsExpected) {
  const std::vector<ExpectationRecord> records = List(from_);
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].client_port, 5000);
  EXPECT_EQ(records[0].server_port, 69);
  EXPECT_EQ(records[0].client.family, GetParam());
  EXPECT_EQ(records[0].expires_in, 28000u);
  EXPECT_EQ(records[0].parent, from_.Record(1).parent);
  // Gone, it leaves its place.
  from_.Out(kSecond);
  EXPECT_TRUE(List(from_).empty());
}

TEST_P(FamilyImportTest, TheTransferGoesOn) {
  Reserve();
  // Not before the commit: neither listed nor met.
  EXPECT_TRUE(to_.expectations->empty());
  EXPECT_TRUE(List(to_).empty());
  Commit();
  EXPECT_EQ(to_.expectations->size(), 1u);
  ASSERT_EQ(List(to_).size(), 1u);
  EXPECT_EQ(List(to_)[0].expires_in, 28000u);
  EXPECT_EQ(to_.In("udp $C:5000 > $S:3000 tftp ack 0").kind,
            Outcome::kPassed);
  const Outcome second = to_.Out(kSecond);
  EXPECT_EQ(second.kind, Outcome::kChild);
  EXPECT_EQ(to_.Record(second.state).parent, handle_);
  EXPECT_GT(to_.Record(second.state).id, handle_.id);
  EXPECT_TRUE(to_.expectations->empty());
  // All of the family can go, in any order, and leaves nothing.
  for (StateIndex state = 0; state < 3; ++state) to_.table->Remove(state);
  EXPECT_TRUE(RecordIsFree());
}

TEST_P(FamilyImportTest, TheExpectationEndsInTime) {
  Reserve();
  Commit();
  to_.Advance(27999, 100);
  EXPECT_EQ(to_.expectations->size(), 1u);
  to_.Advance(2);
  EXPECT_EQ(to_.expectations->size(), 0u);
  EXPECT_NE(to_.Out(kSecond).kind, Outcome::kChild);
}

TEST_P(FamilyImportTest, ByAgeAmongOthers) {
  Reserve();
  to_.In("udp $A:1 > $S:69 tftp rrq \"f\" octet");
  to_.Advance(10000);
  Commit();  // ends after the other, which has 20 s left
  to_.In("udp $A:2 > $S:69 tftp rrq \"f\" octet");
  to_.Advance(20001);
  EXPECT_EQ(to_.expectations->size(), 2u);
  to_.Advance(8000);
  EXPECT_EQ(to_.expectations->size(), 1u);
  to_.Advance(2000);
  EXPECT_EQ(to_.expectations->size(), 0u);
}

TEST_P(FamilyImportTest, CancelledItLeavesNothing) {
  Reserve();
  to_.expectations->CancelFamily(record_, handle_.id);
  ASSERT_TRUE(StateIntake(to_.table.get()).Cancel(&import_, 100));
  EXPECT_TRUE(RecordIsFree());
  EXPECT_TRUE(to_.expectations->empty());
  to_.expectations->CommitFamily(record_, handle_.id, to_.now);
  EXPECT_TRUE(to_.expectations->empty());
  EXPECT_EQ(to_.budget.used(), 0u);
}

TEST_P(FamilyImportTest, ALiveParentKeepsItsOwnFamily) {
  Reserve();
  const StateIndex live = to_.In(kRequest).state;
  Commit();
  EXPECT_EQ(import_.merged, 1u);
  EXPECT_EQ(import_.inserted, 1u);
  // The live one's own expectation is the only one.
  ASSERT_EQ(List(to_).size(), 1u);
  EXPECT_EQ(List(to_)[0].parent, to_.table->entries().HandleOf(live));
  EXPECT_EQ(to_.In("udp $C:5000 > $S:3000 tftp ack 0").kind,
            Outcome::kPassed);
}

TEST_P(FamilyImportTest, RefusesWhatHasNoPlace) {
  Reserve();
  uint16_t record;
  EXPECT_EQ(to_.expectations->ReserveFamily({}, protocol::kUdp, 1, &record),
            ExpectResult::kBadParent);
  EXPECT_EQ(to_.expectations->ReserveFamily(
                {.handle = handle_, .has_parent = true}, protocol::kUdp, 1,
                &record),
            ExpectResult::kGrandchild);
  EXPECT_EQ(to_.expectations->ReserveFamily({.handle = handle_}, protocol::kUdp,
                                              5, &record),
            ExpectResult::kChildLimit);
  ExpectationRecord expected = List(from_).at(0);
  expected.parent = {handle_.id + 0x100, handle_.slot};
  EXPECT_EQ(to_.expectations->ReserveExpectation(expected, record_),
            ExpectResult::kBadParent);
  expected.parent = handle_;
  EXPECT_EQ(to_.expectations->ReserveExpectation(expected, record_),
            ExpectResult::kRearmed);
}

}  // namespace
}  // namespace sluice
