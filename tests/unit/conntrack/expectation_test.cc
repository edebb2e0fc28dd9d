#include "conntrack/expectation.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "tests/unit/conntrack/shard.h"

namespace sluice {
namespace {

class Expectations : public testing::TestWithParam<Family> {
 protected:
  // A client's request, judged in, as a parent of its own.
  ExpectResult Arm(ExpectationTable& table, uint16_t client_port, StateId id,
                   Tick now, uint16_t* record, const char* client = "$C",
                   uint16_t filter = 0) {
    const TestPacket request(
        GetParam(), std::string("udp ") + client + ":" +
                        std::to_string(client_port) + " > $S:69 data 4");
    ParentReference parent;
    parent.handle = {id, 1};
    parent.record = *record;
    parent.filter = filter;
    if (GetParam() == Family::kIpv4) {
      return table.Arm(MakeKey4(request.info, Direction::kIn, 0), 1, parent,
                       {}, now, record);
    }
    return table.Arm(MakeKey6(request.info, Direction::kIn, 0), 1, parent, {},
                     now, record);
  }
  PacketInfo Answer(uint16_t client_port, uint16_t server_port = 3000,
                    const char* client = "$C") {
    return TestPacket(GetParam(),
                      "udp $S:" + std::to_string(server_port) + " > " +
                          client + ":" + std::to_string(client_port) +
                          " data 4").info;
  }
  static constexpr JudgePoint kOut = {.direction = Direction::kOut};
  const HashSecret secret = HashSecret::FromSeed(1);
};
INSTANTIATE_TEST_SUITE_P(Families, Expectations,
                         testing::Values(Family::kIpv4, Family::kIpv6));

TEST_P(Expectations, TheParentsOwnPortNeverMatches) {
  ExpectationTable table({}, secret);
  uint16_t record = kNoFamilyRecord;
  ASSERT_EQ(Arm(table, 5000, 0x100, 0, &record), ExpectResult::kArmed);
  ExpectedChild child;
  EXPECT_FALSE(table.Take(Answer(5000, 69), kOut, 1, &child));
  EXPECT_FALSE(table.Take(Answer(5000), {}, 1, &child));  // judged in
  EXPECT_FALSE(table.Take(Answer(5001), kOut, 1, &child));
  EXPECT_FALSE(table.Take(
      Answer(5000), {.direction = Direction::kOut, .filter = 1}, 1, &child));
  ASSERT_TRUE(table.Take(Answer(5000), kOut, 1, &child));
  EXPECT_EQ(child.parent.handle.id, 0x100u);
  EXPECT_FALSE(table.Take(Answer(5000), kOut, 1, &child));
  EXPECT_TRUE(table.empty());
}

TEST_P(Expectations, TheTableIsBounded) {
  ExpectationTable table({.capacity = 10, .per_source = 100}, secret);
  for (uint16_t i = 0; i < 10; ++i) {
    uint16_t record = kNoFamilyRecord;
    ASSERT_EQ(Arm(table, 1000 + i, 0x100u + i, 0, &record),
              ExpectResult::kArmed);
  }
  uint16_t record = kNoFamilyRecord;
  EXPECT_EQ(Arm(table, 2000, 0x900, 0, &record), ExpectResult::kFull);
  EXPECT_EQ(table.statistics().refused_full, 1u);
  table.Expire(30000, 3);
  EXPECT_EQ(table.size(), 7u);
  table.Expire(30000, 100);
  EXPECT_EQ(table.size(), 0u);
  for (uint16_t i = 0; i < 10; ++i) {
    uint16_t again = kNoFamilyRecord;
    EXPECT_EQ(Arm(table, 1000 + i, 0x200u + i, 40000, &again),
              ExpectResult::kArmed);
  }
}

// However many filters take all that they get, another one finds room.
TEST_P(Expectations, FiltersLeaveRoomForEachOther) {
  ExpectationTable table({.capacity = 60, .filters = 8, .per_source = 1000},
                         secret);
  StateId id = 0x100;
  std::vector<uint32_t> taken;
  for (uint16_t filter = 0; filter < 5; ++filter) {
    uint32_t count = 0;
    uint16_t record = kNoFamilyRecord;
    while (Arm(table, static_cast<uint16_t>(1000 + count), id++, 0, &record,
               "$C", filter) == ExpectResult::kArmed) {
      record = kNoFamilyRecord;
      ASSERT_LT(++count, 200u);
    }
    taken.push_back(count);
  }
  EXPECT_EQ(taken, (std::vector<uint32_t>{60, 30, 15, 8, 4}));
  // What one gives back others may have.
  table.Expire(30000, 1000);
  EXPECT_TRUE(table.empty());
  uint16_t record = kNoFamilyRecord;
  for (uint16_t i = 0; i < 60; ++i) {
    record = kNoFamilyRecord;
    ASSERT_EQ(Arm(table, 1000 + i, id++, 0, &record, "$C", 7),
              ExpectResult::kArmed);
  }
  record = kNoFamilyRecord;
  EXPECT_EQ(Arm(table, 2000, id++, 0, &record, "$C", 7), ExpectResult::kFull);
  EXPECT_EQ(Arm(table, 2000, id++, 0, &record, "$C", 8), ExpectResult::kFull);
}

TEST_P(Expectations, FamiliesOfFiltersLeaveRoomForEachOther) {
  ExpectationTable table({.capacity = 8, .filters = 2, .per_source = 1000},
                         secret);
  std::vector<uint32_t> taken;
  StateId id = 0x100;
  for (uint16_t filter = 0; filter < 2; ++filter) {
    uint32_t count = 0;
    for (;; ++count) {
      uint16_t record = kNoFamilyRecord;
      if (Arm(table, static_cast<uint16_t>(1000 + count), id++, 0, &record,
              "$C", filter) != ExpectResult::kArmed) {
        break;
      }
      ExpectedChild child;
      ASSERT_TRUE(table.Take(
          Answer(static_cast<uint16_t>(1000 + count)),
          {.direction = Direction::kOut, .filter = filter}, 1, &child));
    }
    taken.push_back(count);
  }
  EXPECT_EQ(taken, (std::vector<uint32_t>{16, 8}));
}

// Parents whose children live keep a record; those run out before the ids do.
TEST_P(Expectations, RecordsOfLiveFamiliesAreBounded) {
  ExpectationTable table({.capacity = 4, .per_source = 100}, secret);
  std::vector<uint16_t> records;
  for (uint16_t i = 0; i < 8; ++i) {
    uint16_t record = kNoFamilyRecord;
    ASSERT_EQ(Arm(table, 1000 + i, 0x100u + i, 0, &record),
              ExpectResult::kArmed);
    ExpectedChild child;
    ASSERT_TRUE(table.Take(Answer(1000 + i), kOut, 1, &child));
    records.push_back(record);
  }
  uint16_t record = kNoFamilyRecord;
  EXPECT_EQ(Arm(table, 3000, 0x900, 0, &record), ExpectResult::kFull);
  table.ParentGone(records[3], 0x103);
  EXPECT_EQ(Arm(table, 3000, 0x900, 0, &record), ExpectResult::kFull);
  table.ChildGone(records[3], 0x103);
  EXPECT_EQ(Arm(table, 3000, 0x900, 0, &record), ExpectResult::kArmed);
  // Somebody else's record by now.
  EXPECT_EQ(record, records[3]);
  table.ChildGone(records[3], 0x103);
  table.ParentGone(records[3], 0x103);
  table.Disarm(records[3], 0x103);
  EXPECT_EQ(table.size(), 1u);
  table.ParentGone(record, 0x900);
  EXPECT_TRUE(table.empty());
}

TEST_P(Expectations, SourcesAreCountedApart) {
  ExpectationTable table({.capacity = 100, .per_source = 2}, secret);
  for (uint16_t i = 0; i < 3; ++i) {
    for (const char* client : {"$A", "$B"}) {
      uint16_t record = kNoFamilyRecord;
      EXPECT_EQ(Arm(table, 1000 + i, 0x100u + i + (client[1] == 'A' ? 0 : 50),
                    0, &record, client),
                i < 2 ? ExpectResult::kArmed : ExpectResult::kSourceLimit);
    }
  }
  ExpectedChild child;
  ASSERT_TRUE(table.Take(Answer(1000, 3000, "$A"), kOut, 1, &child));
  uint16_t record = kNoFamilyRecord;
  EXPECT_EQ(Arm(table, 1002, 0x102, 0, &record, "$A"), ExpectResult::kArmed);
  record = kNoFamilyRecord;
  EXPECT_EQ(Arm(table, 1002, 0x152, 0, &record, "$B"),
            ExpectResult::kSourceLimit);
}

TEST_P(Expectations, RearmingStartsTheTimeAgain) {
  ExpectationTable table({}, secret);
  uint16_t first = kNoFamilyRecord, second = kNoFamilyRecord;
  Arm(table, 1000, 0x100, 0, &first);
  Arm(table, 1001, 0x101, 10000, &second);
  EXPECT_EQ(Arm(table, 1000, 0x100, 20000, &first), ExpectResult::kRearmed);
  table.Expire(40000, 100);
  EXPECT_EQ(table.size(), 1u);
  table.Expire(49999, 100);
  EXPECT_EQ(table.size(), 1u);
  table.Expire(50000, 100);
  EXPECT_TRUE(table.empty());
}

TEST_P(Expectations, WrongParentsAreRefused) {
  ExpectationTable table({}, secret);
  const TestPacket request(GetParam(), "tcp $C:1 > $S:21 S");
  FlowKey6 key = {};
  key.proto = protocol::kTcp;
  uint16_t record = kNoFamilyRecord;
  ParentReference parent{.handle = {0x100, 1}};
  EXPECT_EQ(table.Arm(key, 1, parent, {}, 0, &record),
            ExpectResult::kBadParent);
  key.proto = protocol::kUdp;
  EXPECT_EQ(table.Arm(key, 1, ParentReference{}, {}, 0, &record),
            ExpectResult::kBadParent);
  parent.has_parent = true;
  EXPECT_EQ(table.Arm(key, 1, parent, {}, 0, &record),
            ExpectResult::kGrandchild);
  EXPECT_EQ(table.statistics().refused_parent, 2u);
  EXPECT_EQ(table.statistics().refused_grandchild, 1u);
}

// Several workers arm, take, end and sweep at once; every one that was armed
// is accounted for, and the table is empty in the end.
TEST_P(Expectations, WorkersDoNotGetInEachOthersWay) {
  ExpectationTable table({.capacity = 64, .per_source = 1000}, secret);
  constexpr int kWorkers = 4;
  constexpr uint32_t kRounds = 3000;
  std::vector<PacketInfo> answers;
  for (uint16_t i = 0; i < 32; ++i) answers.push_back(Answer(1000 + i));
  std::array<uint64_t, kWorkers> taken{};
  std::vector<std::thread> workers;
  for (int w = 0; w < kWorkers; ++w) {
    workers.emplace_back([&, w] {
      for (uint32_t round = 0; round < kRounds; ++round) {
        const StateId id = (round + 1) * 256u + static_cast<uint32_t>(w);
        uint16_t record = kNoFamilyRecord;
        const uint16_t port = static_cast<uint16_t>(1000 + round % 32);
        const ExpectResult armed = Arm(table, port, id, round, &record);
        ExpectedChild child;
        if (table.Take(answers[(round + 7u * w) % 32], kOut, round, &child)) {
          ++taken[w];
          // I2 and I4: a handle that is set, whoever made it.
          ASSERT_NE(child.parent.handle.id, 0u);
          table.ChildGone(child.parent.record, child.parent.handle.id);
        }
        if (armed == ExpectResult::kArmed) {
          if (round % 3 == 0) table.Disarm(record, id);
          table.ParentGone(record, id);
        }
        if (round % 64 == 0) table.Expire(round, 8);
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  EXPECT_TRUE(table.empty());
  const ExpectationStatistics s = table.statistics();
  uint64_t all = 0;
  for (const uint64_t n : taken) all += n;
  EXPECT_EQ(s.matched, all);
  EXPECT_EQ(s.armed,
            s.matched + s.expired + s.dropped_early + s.parent_gone);
}

}  // namespace
}  // namespace sluice
