// The tie between a child and its parent: one function, ids that ascend,
// handles that go stale.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "absl/strings/str_cat.h"
#include "tests/unit/conntrack/shard.h"

namespace sluice {
namespace {

TEST(LinkToParent, RefusesWhateverIsNotAnOlderParentOfTheSameFilter) {
  const ParentReference parent{.handle = {0x500, 7}, .filter = 2,
                               .record = 3};
  const auto link = [](StateId child, const ParentReference& to,
                       uint16_t filter = 2) {
    StateCold cold{};
    cold.id = child;
    const LinkResult result = LinkToParent(&cold, filter, to);
    EXPECT_EQ(cold.parent_id != 0, result == LinkResult::kLinked);
    return result;
  };
  EXPECT_EQ(link(0x600, parent), LinkResult::kLinked);
  EXPECT_EQ(link(0x600, ParentReference{.filter = 2}),
            LinkResult::kNoParent);
  EXPECT_EQ(link(0x500, parent), LinkResult::kSelf);
  EXPECT_EQ(link(0x4ff, parent), LinkResult::kNotOlder);
  EXPECT_EQ(link(0x600, parent, 1), LinkResult::kOtherFilter);
  ParentReference child_itself = parent;
  child_itself.has_parent = true;
  EXPECT_EQ(link(0x600, child_itself), LinkResult::kGrandchild);
  StateCold linked{};
  linked.id = 0x600;
  ASSERT_EQ(LinkToParent(&linked, 2, parent), LinkResult::kLinked);
  EXPECT_EQ(linked.parent_slot, 7u);
  EXPECT_EQ(linked.family_record, 3);
  ParentReference second = parent;
  second.handle.id = 0x400;
  EXPECT_EQ(LinkToParent(&linked, 2, second), LinkResult::kAlreadyLinked);
  EXPECT_EQ(linked.parent_id, 0x500u);
}

class Parent : public testing::TestWithParam<Family> {};
INSTANTIATE_TEST_SUITE_P(Families, Parent,
                         testing::Values(Family::kIpv4, Family::kIpv6));

// The child's worker has counted less far than the parent's.
TEST_P(Parent, AChildOfAnotherWorkersStateIsYounger) {
  Shard first(GetParam(), {.worker = 5});
  Shard second(GetParam(), {.worker = 1});
  second.Share(first.expectations);
  for (int i = 0; i < 50; ++i) {
    first.In(absl::StrCat("udp $A:", 1000 + i, " > $S:53 data 4"));
  }
  const StateIndex parent =
      first.In("udp $C:5000 > $S:69 tftp rrq \"f\" octet").state;
  const StateId parent_id = first.table->entries().HandleOf(parent).id;
  const Outcome child =
      second.Out("udp $S:3000 > $C:5000 tftp data 1 512");
  ASSERT_EQ(child.kind, Outcome::kChild);
  const StateRecord record = second.Record(child.state);
  EXPECT_EQ(record.parent.id, parent_id);
  EXPECT_GT(record.id, parent_id);
  EXPECT_EQ(WorkerOf(record.id), 1);
  EXPECT_EQ(WorkerOf(record.parent.id), 5);
  // Another worker's handle means nothing here.
  EXPECT_EQ(second.table->entries().Resolve(record.parent), kNoState);
  EXPECT_EQ(first.table->entries().Resolve(record.parent), parent);
  first.table->Remove(parent);
  EXPECT_EQ(first.table->entries().Resolve(record.parent), kNoState);
  // T11: the child goes on, is listed, and ends.
  EXPECT_EQ(second.In("udp $C:5000 > $S:3000 tftp ack 1").state, child.state);
  EXPECT_EQ(second.Record(child.state).parent.id, parent_id);
  second.table->Remove(child.state);
  EXPECT_EQ(second.table->size(), 0u);
}

TEST_P(Parent, T11AChildOutlivesItsParent) {
  Shard shard(GetParam());
  shard.In("udp $C:5000 > $S:69 tftp rrq \"f\" octet");
  const StateIndex child =
      shard.Out("udp $S:3000 > $C:5000 tftp data 1 512").state;
  const StateHandle parent = shard.Record(child).parent;
  for (int i = 0; i < 20; ++i) {
    shard.Advance(20000);
    ASSERT_EQ(shard.In("udp $C:5000 > $S:3000 tftp ack 1").state, child);
    ASSERT_EQ(shard.Out("udp $S:3000 > $C:5000 tftp data 2 512").state,
              child);
  }
  // The child's traffic has not prolonged its parent.
  EXPECT_EQ(shard.table->size(), 1u);
  EXPECT_EQ(shard.table->entries().Resolve(parent), kNoState);
  EXPECT_EQ(shard.Record(child).parent, parent);
  shard.table->Remove(child);
  EXPECT_EQ(shard.table->size(), 0u);
}

// Requests, answers, kills and the clock at random: whatever happens, links
// go from younger to older and never further than one step, no handle leads
// to a state that is not the one it names, and all is given back.
TEST_P(Parent, RandomFamiliesStayTrees) {
  for (uint32_t seed = 1; seed <= 5; ++seed) {
    std::mt19937 random(seed);
    Shard shard(GetParam(), {.capacity = 60, .filters = 2},
                {.capacity = 16, .per_source = 12});
    std::map<StateId, StateId> parents;  // as told at creation
    uint64_t children = 0;
    for (int step = 0; step < 6000; ++step) {
      const auto filter = static_cast<uint16_t>(random() % 2);
      const std::string client = random() % 2 ? "$C:" : "$S:";
      const std::string server = client == "$C:" ? "$S:" : "$C:";
      const std::string port = std::to_string(random() % 4 ? 69 : 68 +
                                              random() % 3);
      const std::string other = std::to_string(67 + random() % 4);
      const auto way = random() % 2 ? Direction::kIn : Direction::kOut;
      switch (random() % 8) {
        case 0:
        case 1:
        case 2:
          shard.Judge("udp " + client + other + " > " + server + port +
                          " tftp rrq \"f\" octet", way, filter);
          break;
        case 3:
        case 4:
          shard.Judge("udp " + server + other + " > " + client + port +
                          " tftp data 1 10", way, filter);
          break;
        case 5:
          shard.Judge("udp " + server + "69 > " + client + port +
                          " tftp error 1 \"x\"", way, filter);
          break;
        case 6: {
          uint32_t cursor = random() % 60;
          shard.table->entries().Visit(&cursor, 1, [&](StateIndex s) {
            shard.table->Remove(s);
          });
          break;
        }
        default:
          shard.Advance(random() % 5000);
          break;
      }
      std::set<StateId> alive;
      uint32_t cursor = 0;
      shard.table->entries().Visit(&cursor, 1000, [&](StateIndex s) {
        const StateRecord r = shard.Record(s);
        ASSERT_TRUE(alive.insert(r.id).second);
        const auto [told, fresh] = parents.emplace(r.id, r.parent.id);
        ASSERT_EQ(told->second, r.parent.id);  // I1: never changes
        if (r.parent.id == 0) return;
        children += fresh ? 1 : 0;
        ASSERT_LT(r.parent.id, r.id);  // I2
        ASSERT_EQ(parents.at(r.parent.id), 0u);  // I3
        const StateIndex p = shard.table->entries().Resolve(r.parent);
        if (p == kNoState) return;
        ASSERT_EQ(shard.table->entries().HandleOf(p).id, r.parent.id);  // I4
        ASSERT_EQ(shard.Record(p).filter, r.filter);  // I5
      });
      ASSERT_EQ(alive.size(), shard.table->size());
    }
    EXPECT_GT(children, 50u);
    EXPECT_EQ(shard.table->statistics().links_refused.value(), 0u);
    uint32_t cursor = 0;
    shard.table->entries().Visit(&cursor, 1000,
                       [&](StateIndex s) { shard.table->Remove(s); });
    EXPECT_EQ(shard.table->size(), 0u);
    EXPECT_EQ(shard.budget.used(), 0u);
    EXPECT_TRUE(shard.expectations->empty());
  }
}

}  // namespace
}  // namespace sluice
