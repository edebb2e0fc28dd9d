#include "conntrack/expectation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "conntrack/expectation_shares.h"
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
    return table.Arm(MakeKey6(request.info, *request.mbuf, Direction::kIn, 0), 1, parent, {},
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
  EXPECT_FALSE(table.Take(Answer(5000, 69), {}, kOut, 1, &child));
  EXPECT_FALSE(table.Take(Answer(5000), {}, {}, 1, &child));  // judged in
  EXPECT_FALSE(table.Take(Answer(5001), {}, kOut, 1, &child));
  EXPECT_FALSE(table.Take(
      Answer(5000), {}, {.direction = Direction::kOut, .filter = 1}, 1, &child));
  ASSERT_TRUE(table.Take(Answer(5000), {}, kOut, 1, &child));
  EXPECT_EQ(child.parent.handle.id, 0x100u);
  EXPECT_FALSE(table.Take(Answer(5000), {}, kOut, 1, &child));
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
    const uint32_t before = table.size();
    // Until it gets no more, or only for its own.
    for (uint32_t count = 1;; ++count) {
      uint16_t record = kNoFamilyRecord;
      Arm(table, static_cast<uint16_t>(1000 + count), id++, 0, &record, "$C",
          filter);
      if (table.size() != before + count) break;
    }
    taken.push_back(table.size() - before);
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
          Answer(static_cast<uint16_t>(1000 + count)), {},
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
    ASSERT_TRUE(table.Take(Answer(1000 + i), {}, kOut, 1, &child));
    records.push_back(record);
  }
  uint16_t record = kNoFamilyRecord;
  EXPECT_EQ(Arm(table, 3000, 0x900, 0, &record), ExpectResult::kFull);
  table.ParentGone(records[3], 0x103);
  EXPECT_EQ(Arm(table, 3000, 0x900, 0, &record), ExpectResult::kFull);
  table.ChildGone(records[3], 0x103, 0);
  EXPECT_EQ(Arm(table, 3000, 0x900, 0, &record), ExpectResult::kArmed);
  // Somebody else's record by now.
  EXPECT_EQ(record, records[3]);
  table.ChildGone(records[3], 0x103, 0);
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
  ASSERT_TRUE(table.Take(Answer(1000, 3000, "$A"), {}, kOut, 1, &child));
  uint16_t record = kNoFamilyRecord;
  EXPECT_EQ(Arm(table, 1002, 0x102, 0, &record, "$A"), ExpectResult::kArmed);
  record = kNoFamilyRecord;
  EXPECT_EQ(Arm(table, 1002, 0x152, 0, &record, "$B"),
            ExpectResult::kSourceLimit);
}

// A flood from many addresses, each of which asks once, takes the oldest of
// itself; whoever asks meanwhile is served in time.
TEST_P(Expectations, AFloodFromEverywhereShutsNobodyOut) {
  ExpectationTable table({.capacity = 100, .per_source = 4}, secret);
  StateId id = 0x100;
  const auto flood = [&](int i) {
    uint16_t record = kNoFamilyRecord;
    const std::string from =
        GetParam() == Family::kIpv4
            ? "172.16." + std::to_string(i / 250) + "." +
                  std::to_string(i % 250 + 1)
            : "2001:db8:" + std::to_string(i + 1) + "::1";
    const TestPacket request(
        GetParam(),
        "udp " + (GetParam() == Family::kIpv4 ? from : "[" + from + "]") +
            ":7 > $S:69 data 4");
    const ParentReference parent{.handle = {id++, 1}};
    return GetParam() == Family::kIpv4
               ? table.Arm(MakeKey4(request.info, Direction::kIn, 0), 1,
                           parent, {}, 0, &record)
               : table.Arm(MakeKey6(request.info, *request.mbuf, Direction::kIn, 0), 1,
                           parent, {}, 0, &record);
  };
  int next = 0;
  for (; next < 150; ++next) ASSERT_EQ(flood(next), ExpectResult::kArmed);
  EXPECT_EQ(table.size(), 100u);
  EXPECT_EQ(table.statistics().displaced, 50u);
  for (uint16_t round = 0; round < 20; ++round) {
    for (uint16_t port = 5000; port < 5004; ++port) {
      uint16_t record = kNoFamilyRecord;
      ASSERT_EQ(Arm(table, port, id++, 0, &record), ExpectResult::kArmed);
    }
    for (int i = 0; i < 90; ++i) ASSERT_EQ(flood(next++), ExpectResult::kArmed);
    for (uint16_t port = 5000; port < 5004; ++port) {
      ExpectedChild child;
      ASSERT_TRUE(table.Take(Answer(port), {}, kOut, 1, &child));
      table.ChildGone(child.parent.record, child.parent.handle.id, 0);
    }
  }
  EXPECT_EQ(table.statistics().refused_full, 0u);
}

// In a full table, where all have little, a client's second request takes the
// place of its first, which was all that its family had.
TEST_P(Expectations, AFamilyGivesWayToItself) {
  ExpectationTable table({.capacity = 16, .per_source = 100}, secret);
  uint16_t own = kNoFamilyRecord;
  ASSERT_EQ(Arm(table, 1000, 0x100, 0, &own), ExpectResult::kArmed);
  for (uint16_t i = 0; i < 15; ++i) {
    const std::string from = GetParam() == Family::kIpv4
                                 ? absl::StrCat("172.16.0.", i + 1)
                                 : absl::StrCat("[2001:db8:", i + 1, "::1]");
    uint16_t record = kNoFamilyRecord;
    ASSERT_EQ(Arm(table, 1, 0x200u + i, 0, &record, from.c_str()),
              ExpectResult::kArmed);
  }
  ASSERT_EQ(Arm(table, 1001, 0x100, 0, &own), ExpectResult::kArmed);
  EXPECT_EQ(table.statistics().displaced, 1u);
  EXPECT_EQ(table.statistics().families, 16u);
  ExpectedChild child;
  EXPECT_FALSE(table.Take(Answer(1000), {}, kOut, 1, &child));
  ASSERT_TRUE(table.Take(Answer(1001), {}, kOut, 1, &child));
  EXPECT_EQ(child.parent.handle.id, 0x100u);
  // The child has its place in the family, and then nobody has.
  ASSERT_EQ(Arm(table, 1002, 0x100, 2, &own), ExpectResult::kArmed);
  table.ParentGone(own, 0x100);
  EXPECT_EQ(table.size(), 15u);
  EXPECT_EQ(table.statistics().families, 16u);
  table.ChildGone(own, 0x100, 0);
  EXPECT_EQ(table.statistics().families, 15u);
  table.Expire(100000, 100);
  EXPECT_TRUE(table.empty());
  EXPECT_EQ(table.statistics().families, 0u);
}

// The first asks for few, the second for all: the second pays.
TEST_P(Expectations, WhoHasMostGivesWay) {
  ExpectationTable table({.capacity = 20, .per_source = 100}, secret);
  StateId id = 0x100;
  const auto arm = [&](const char* client, uint16_t port) {
    uint16_t record = kNoFamilyRecord;
    return Arm(table, port, id++, 0, &record, client);
  };
  const char* flooder = GetParam() == Family::kIpv4 ? "$X" : "[fd00::1]";
  const auto other = [&](uint16_t port) {
    uint16_t record = kNoFamilyRecord;
    return Arm(table, port, id++, 0, &record, flooder);
  };
  for (uint16_t port = 1; port <= 5; ++port) {
    ASSERT_EQ(arm("$C", port), ExpectResult::kArmed);
  }
  for (uint16_t port = 1; port <= 15; ++port) {
    ASSERT_EQ(other(port), ExpectResult::kArmed);
  }
  EXPECT_EQ(other(16), ExpectResult::kFull);
  for (uint16_t port = 6; port <= 10; ++port) {
    ASSERT_EQ(arm("$C", port), ExpectResult::kArmed);
  }
  // Both have ten. From here on each takes from the other.
  ASSERT_EQ(arm("$C", 11), ExpectResult::kArmed);
  ASSERT_EQ(arm("$C", 12), ExpectResult::kFull);
  for (uint16_t port = 2; port <= 11; ++port) {
    ExpectedChild child;
    ASSERT_TRUE(table.Take(Answer(port), {}, kOut, 1, &child)) << port;
  }
  const ExpectationStatistics s = table.statistics();
  EXPECT_EQ(s.displaced, 6u);
  EXPECT_EQ(s.refused_full, 2u);
}

// Against a model that looks at everything.
TEST(ExpectationShares, TheVictimIsTheOneThatHasMost) {
  using internal::ExpectationShares;
  constexpr ptrdiff_t kFloor = 5;
  ExpectationShares shares(64, 2, kFloor, HashSecret::FromSeed(3));
  struct Item {
    ExpectationShares::Owner owner;
    uint64_t age;
  };
  std::map<uint32_t, Item> items;
  uint64_t random = 1, clock = 0;
  const auto draw = [&](uint32_t below) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>(random >> 33) % below;
  };
  const auto prefix = [](ExpectationShares::Owner owner) {
    if (owner.family == Family::kIpv6) {
      std::fill(owner.address.begin() + 8, owner.address.end(), 0);
    }
    return owner;
  };
  for (int step = 0; step < 50000; ++step) {
    ExpectationShares::Owner owner;
    owner.family = draw(2) == 0 ? Family::kIpv4 : Family::kIpv6;
    owner.filter = static_cast<uint16_t>(draw(2));
    owner.address[0] = static_cast<uint8_t>(draw(3));
    if (owner.family == Family::kIpv6) {
      owner.address[15] = static_cast<uint8_t>(draw(3));
    }
    const auto share = [&](const ExpectationShares::Owner& of) {
      return std::count_if(items.begin(), items.end(), [&](const auto& item) {
        return prefix(item.second.owner) == prefix(of);
      });
    };
    const auto oldest = [&](const ExpectationShares::Owner& of) {
      uint32_t found = ExpectationShares::kNone;
      for (const auto& [number, item] : items) {
        if (prefix(item.owner) == prefix(of) &&
            (found == ExpectationShares::kNone ||
             item.age < items[found].age)) {
          found = number;
        }
      }
      return found;
    };
    ptrdiff_t most = 0;  // of the other sources of the filter
    uint32_t filter_oldest = ExpectationShares::kNone;
    for (const auto& [number, item] : items) {
      if (item.owner.filter != owner.filter) continue;
      if (filter_oldest == ExpectationShares::kNone ||
          item.age < items[filter_oldest].age) {
        filter_oldest = number;
      }
      if (!(prefix(item.owner) == prefix(owner))) {
        most = std::max(most, share(item.owner));
      }
    }
    const ptrdiff_t own = share(owner);
    const uint32_t victim = shares.Victim(owner);
    if (own < kFloor && most <= kFloor) {
      ASSERT_EQ(victim, filter_oldest);
    } else if (victim == ExpectationShares::kNone) {
      ASSERT_TRUE(most < own && items[oldest(owner)].owner == owner);
    } else {
      const ExpectationShares::Owner loser = items.at(victim).owner;
      ASSERT_EQ(victim, oldest(loser));
      if (prefix(loser) == prefix(owner)) {
        ASSERT_LT(most, own);
        ASSERT_FALSE(loser == owner);
      } else {
        ASSERT_EQ(share(loser), most);
        ASSERT_GE(most, own);
      }
    }
    const uint32_t number = draw(64);
    const auto found = items.find(number);
    if (found == items.end()) {
      if (draw(3) == 0) continue;
      shares.Add(number, owner);
      items[number] = {owner, clock++};
    } else if (draw(3) == 0) {
      shares.Renew(number);
      found->second.age = clock++;
    } else {
      shares.Remove(number);
      items.erase(found);
    }
  }
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
        if (table.Take(answers[(round + 7u * w) % 32], {}, kOut, round, &child)) {
          ++taken[w];
          // I2 and I4: a handle that is set, whoever made it.
          ASSERT_NE(child.parent.handle.id, 0u);
          table.ChildGone(child.parent.record, child.parent.handle.id, 0);
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
            s.matched + s.expired + s.dropped_early + s.parent_gone +
                s.displaced);
}

}  // namespace
}  // namespace sluice
