#include "conntrack/state_table.h"

#include <gtest/gtest.h>

#include <set>

#include "absl/strings/str_cat.h"
#include "tests/unit/conntrack/shard.h"

namespace sluice {
namespace {

std::string Flow(int i) {
  return absl::StrCat("udp $C:", 1000 + i, " > $S:53 data 20");
}
std::string Back(int i) {
  return absl::StrCat("udp $S:53 > $C:", 1000 + i, " data 30");
}

class Table : public testing::TestWithParam<Family> {
 protected:
  Shard shard{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Families, Table,
                         testing::Values(Family::kIpv4, Family::kIpv6));

TEST_P(Table, AForwardedPacketMakesTwoStatesAndItsReplyMeetsBoth) {
  EXPECT_EQ(shard.In(Flow(0)).kind, Outcome::kCreated);
  EXPECT_EQ(shard.Out(Flow(0)).kind, Outcome::kCreated);
  EXPECT_EQ(shard.table->size(), 2u);
  const Outcome in = shard.In(Back(0));
  const Outcome out = shard.Out(Back(0));
  EXPECT_EQ(in.kind, Outcome::kPassed);
  EXPECT_EQ(out.kind, Outcome::kPassed);
  EXPECT_NE(in.state, out.state);
  EXPECT_EQ(shard.Record(in.state).direction, Direction::kOut);
  EXPECT_EQ(shard.Record(out.state).direction, Direction::kIn);
  EXPECT_EQ(shard.table->size(), 2u);
}

TEST_P(Table, FiltersAreApart) {
  Shard two(GetParam(), {.filters = 2});
  const StateIndex first = two.Judge(Flow(0), Direction::kIn, 0).state;
  const Outcome second = two.Judge(Flow(0), Direction::kIn, 1);
  EXPECT_EQ(second.kind, Outcome::kCreated);
  EXPECT_NE(second.state, first);
  EXPECT_EQ(two.Judge(Back(0), Direction::kOut, 1).state, second.state);
  EXPECT_EQ(two.Judge(Back(0), Direction::kOut, 0).state, first);
}

TEST_P(Table, ARecordSaysWhatHappened) {
  shard.values.rule_slot = 7;
  shard.values.anchor_slot = 3;
  shard.values.tag = 12;
  shard.values.match_count = 2;
  shard.values.match_slots = {4, 5};
  shard.values.flags = kStateLogAll | kStateNoSync;
  const StateIndex state =
      shard.Judge(Flow(0), Direction::kOut, 0, 9).state;
  shard.now += 5000;
  EXPECT_TRUE(shard.In(Back(0)).step.log);
  shard.now += 2000;
  const StateRecord record = shard.Record(state);
  EXPECT_EQ(record.family, GetParam());
  EXPECT_EQ(record.proto, protocol::kUdp);
  EXPECT_EQ(record.direction, Direction::kOut);
  EXPECT_EQ(record.interface, 9);
  EXPECT_EQ(ToString(record.address[0]), InFamily(GetParam(), "$C"));
  EXPECT_EQ(ToString(record.address[1]), InFamily(GetParam(), "$S"));
  EXPECT_EQ(record.port[0], 1000);
  EXPECT_EQ(record.port[1], 53);
  EXPECT_EQ(record.packets[0], 1u);
  EXPECT_EQ(record.packets[1], 1u);
  const int headers = GetParam() == Family::kIpv4 ? 28 : 48;
  EXPECT_EQ(record.bytes[0], headers + 20u);
  EXPECT_EQ(record.bytes[1], headers + 30u);
  EXPECT_EQ(record.age, 7000u);
  EXPECT_EQ(record.idle, 2000u);
  EXPECT_EQ(record.timeout, Timeout::kUdpSingle);
  EXPECT_EQ(record.expires_in, 28000u);
  EXPECT_EQ(record.values.rule_slot, 7u);
  EXPECT_EQ(record.values.anchor_slot, 3u);
  EXPECT_EQ(record.values.tag, 12);
  EXPECT_EQ(record.values.match_count, 2);
  EXPECT_EQ(record.values.match_slots[1], 5u);
  EXPECT_EQ(record.values.flags, kStateLogAll | kStateNoSync);
  EXPECT_NE(shard.table->entries().hot(state).flags & kEntryTagged, 0);
  EXPECT_FALSE(record.parent.IsSet());
}

TEST_P(Table, FullRefusesNewStatesAndKeepsTheOld) {
  Shard small(GetParam(), {.capacity = 10});
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(small.In(Flow(i)).kind, Outcome::kCreated);
  }
  const Outcome refused = small.In(Flow(10));
  EXPECT_EQ(refused.kind, Outcome::kRefused);
  EXPECT_EQ(refused.reason, DropReason::kStateLimit);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(small.Out(Back(i)).kind, Outcome::kPassed);
  }
  EXPECT_EQ(small.table->statistics().refused_limit.value(), 1u);
  small.table->Remove(small.Out(Back(4)).state);
  EXPECT_EQ(small.In(Flow(10)).kind, Outcome::kCreated);
  EXPECT_EQ(small.budget.used(), 10u);
}

TEST_P(Table, TheLimitHoldsBelowTheCapacityAndMayShrink) {
  shard.budget.SetLimit(3);
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(shard.In(Flow(i)).kind, Outcome::kCreated);
  }
  EXPECT_EQ(shard.In(Flow(3)).reason, DropReason::kStateLimit);
  shard.budget.SetLimit(1);
  EXPECT_EQ(shard.Out(Back(2)).kind, Outcome::kPassed);
  shard.table->Remove(shard.Out(Back(0)).state);
  shard.table->Remove(shard.Out(Back(1)).state);
  EXPECT_EQ(shard.In(Flow(4)).reason, DropReason::kStateLimit);
  shard.table->Remove(shard.Out(Back(2)).state);
  EXPECT_EQ(shard.In(Flow(4)).kind, Outcome::kCreated);
}

TEST_P(Table, ARulesOwnLimitRefuses) {
  shard.sink.max_states = 1;
  shard.values.rule_slot = 5;
  ASSERT_EQ(shard.In(Flow(0)).kind, Outcome::kCreated);
  const Outcome refused = shard.In(Flow(1));
  EXPECT_EQ(refused.reason, DropReason::kStateLimit);
  EXPECT_EQ(shard.table->size(), 1u);
  EXPECT_EQ(shard.budget.used(), 1u);
  // Nothing of the refused one is left in the index.
  EXPECT_EQ(shard.In(Flow(1)).reason, DropReason::kStateLimit);
  shard.values.rule_slot = 6;
  EXPECT_EQ(shard.In(Flow(1)).kind, Outcome::kCreated);
}

TEST_P(Table, AFilterThatWasNotSetRefuses) {
  Shard two(GetParam(), {.filters = 2});
  two.table->SetFilter(1, nullptr, kDefaultTimeoutProfile);
  EXPECT_EQ(two.Judge(Flow(0), Direction::kIn, 1).reason,
            DropReason::kStateInsert);
  EXPECT_EQ(two.Judge(Flow(0), Direction::kIn, 2).reason,
            DropReason::kStateInsert);
}

TEST_P(Table, AKeyIsTakenOnce) {
  TestPacket packet(GetParam(), Flow(0));
  const JudgePoint where{};
  ASSERT_NE(shard.table->Insert(packet.info, *packet.mbuf, where,
                                shard.values, shard.now).state, kNoState);
  const InsertResult again = shard.table->Insert(
      packet.info, *packet.mbuf, where, shard.values, shard.now);
  EXPECT_EQ(again.state, kNoState);
  EXPECT_EQ(again.reason, DropReason::kStateInsert);
  EXPECT_EQ(shard.budget.used(), 1u);
  EXPECT_EQ(shard.table->size(), 1u);
}

TEST_P(Table, IfBoundStatesAreOfOneInterface) {
  shard.values.flags = kStateIfBound;
  const StateIndex one = shard.Judge(Flow(0), Direction::kIn, 0, 1).state;
  EXPECT_EQ(shard.Judge(Back(0), Direction::kOut, 0, 1).state, one);
  const Outcome other = shard.Judge(Flow(0), Direction::kIn, 0, 2);
  EXPECT_EQ(other.kind, Outcome::kCreated);
  EXPECT_EQ(shard.Judge(Back(0), Direction::kOut, 0, 2).state, other.state);
  EXPECT_EQ(shard.Judge(Back(0), Direction::kOut, 0, 1).state, one);
}

TEST_P(Table, OptionsNeedToBeAllowed) {
  TestPacket packet(GetParam(), Flow(0));
  packet.info.flags |= kIpOptions;
  ASSERT_EQ(shard.In(Flow(0)).kind, Outcome::kCreated);
  const Outcome refused = shard.Judge(packet, {});
  EXPECT_EQ(refused.kind, Outcome::kRefused);
  EXPECT_EQ(refused.reason, DropReason::kIpOption);
  EXPECT_EQ(shard.Record(refused.state).packets[0], 1u);

  Shard lenient(GetParam());
  lenient.values.flags = kStateAllowOptions;
  ASSERT_EQ(lenient.In(Flow(0)).kind, Outcome::kCreated);
  EXPECT_EQ(lenient.Judge(packet, {}).kind, Outcome::kPassed);
}

TEST_P(Table, FragmentsHaveNoState) {
  ASSERT_EQ(shard.In(Flow(0)).kind, Outcome::kCreated);
  TestPacket packet(GetParam(), Flow(0));
  packet.info.flags |= kFragment;
  EXPECT_EQ(shard.Lookup(packet, {}), kNoState);
  EXPECT_EQ(shard.Judge(packet, {}).reason, DropReason::kStateInsert);
}

TEST_P(Table, CountersReachTheRuleOnceByDirection) {
  shard.values.rule_slot = 2;
  const StateIndex state = shard.Out(Flow(0)).state;
  shard.In(Back(0));
  shard.In(Back(0));
  shard.table->Fold(state);
  TrafficDelta& sum = shard.sink.traffic[2];
  EXPECT_EQ(sum.packets[1], 1u);
  EXPECT_EQ(sum.packets[0], 2u);
  shard.In(Back(0));
  EXPECT_EQ(shard.Record(state).packets[1], 3u);
  EXPECT_EQ(shard.sink.states[2], 1u);
  shard.table->Remove(state);
  const unsigned headers = GetParam() == Family::kIpv4 ? 28 : 48;
  EXPECT_EQ(sum.packets[1], 1u);
  EXPECT_EQ(sum.packets[0], 3u);
  EXPECT_EQ(sum.bytes[1], headers + 20);
  EXPECT_EQ(sum.bytes[0], 3 * (headers + 30));
  EXPECT_EQ(shard.sink.states[2], 0u);
}

TEST_P(Table, BytesBeyond32BitsAreNotLost) {
  shard.values.rule_slot = 2;
  TestPacket big(GetParam(), Flow(0));
  big.info.ip_length = 65535;
  const StateIndex state = shard.Judge(big, {}).state;
  uint64_t sum = 65535;
  for (int i = 0; i < 70000; ++i) {
    shard.table->Step(state, big.info, *big.mbuf, Direction::kIn, shard.now);
    sum += 65535;
  }
  ASSERT_GT(sum, uint64_t{1} << 32);
  EXPECT_EQ(shard.Record(state).bytes[0], sum);
  EXPECT_EQ(shard.Record(state).packets[0], 70001u);
  shard.table->Remove(state);
  EXPECT_EQ(shard.sink.traffic[2].bytes[0], sum);
  EXPECT_EQ(shard.sink.traffic[2].packets[0], 70001u);
}

TEST_P(Table, HandlesGoStaleWithTheirState) {
  const StateIndex state = shard.In(Flow(0)).state;
  const StateHandle handle = shard.table->entries().HandleOf(state);
  EXPECT_EQ(shard.table->entries().Resolve(handle), state);
  shard.table->Remove(state);
  EXPECT_EQ(shard.table->entries().Resolve(handle), kNoState);
  const StateIndex next = shard.In(Flow(1)).state;
  EXPECT_EQ(next, state);  // the slot is used again
  EXPECT_EQ(shard.table->entries().Resolve(handle), kNoState);
  EXPECT_GT(shard.table->entries().HandleOf(next).id, handle.id);
  EXPECT_EQ(shard.table->entries().Resolve({}), kNoState);
  EXPECT_EQ(shard.table->entries().Resolve({handle.id, 1u << 30}), kNoState);
  EXPECT_EQ(shard.table->entries().Resolve({handle.id | 1, state}), kNoState);
}

TEST_P(Table, VisitSeesEachStateOnceInBoundedSlices) {
  for (int i = 0; i < 100; ++i) shard.In(Flow(i));
  shard.table->Remove(shard.Out(Back(50)).state);
  std::multiset<uint16_t> seen;
  uint32_t cursor = 0;
  int slices = 0;
  uint32_t before = 0;
  bool more = true;
  while (more) {
    more = shard.table->entries().Visit(&cursor, 7, [&](StateIndex state) {
      seen.insert(shard.Record(state).port[0]);
      // May end the state that it is shown.
      if (shard.Record(state).port[0] % 2 == 0) shard.table->Remove(state);
    });
    EXPECT_LE(cursor - before, 7u);
    before = cursor;
    ++slices;
  }
  EXPECT_EQ(slices, 15);
  EXPECT_EQ(seen.size(), 99u);
  EXPECT_EQ(std::set<uint16_t>(seen.begin(), seen.end()).size(), 99u);
  EXPECT_EQ(shard.table->size(), 50u);
}

TEST_P(Table, ABurstOfMixedFamiliesIsLookedUpInPlace) {
  Shard both(GetParam());
  const Family other =
      GetParam() == Family::kIpv4 ? Family::kIpv6 : Family::kIpv4;
  std::vector<std::unique_ptr<TestPacket>> packets;
  PacketBurst burst;
  burst.count = kMaxBurst;
  std::vector<uint8_t> indices;
  std::array<StateIndex, kMaxBurst> expected;
  expected.fill(12345);
  for (uint32_t i = 0; i < kMaxBurst; ++i) {
    packets.push_back(std::make_unique<TestPacket>(
        i % 3 == 0 ? other : GetParam(), Flow(static_cast<int>(i))));
    burst.infos[i] = packets[i]->info;
    burst.mbufs[i] = packets[i]->mbuf.get();
    if (i % 5 == 4) continue;  // not asked for
    indices.push_back(static_cast<uint8_t>(i));
    expected[i] = i % 7 == 6 ? kNoState : both.Judge(*packets[i], {}).state;
  }
  std::array<StateIndex, kMaxBurst> states;
  states.fill(12345);
  both.table->Lookup(burst, indices, {}, states);
  EXPECT_EQ(states, expected);
}

TEST(StateTableBuild, RefusesSizesOutOfRange) {
  EXPECT_FALSE(StateTable::Build({.capacity = 0}).ok());
  EXPECT_FALSE(StateTable::Build({.capacity = (1u << 30) + 1}).ok());
  EXPECT_FALSE(StateTable::Build({.filters = 0}).ok());
  const auto table = StateTable::Build({.capacity = 1000});
  ASSERT_TRUE(table.ok());
  EXPECT_GE((*table)->memory(), 1000 * 256u);
  EXPECT_GE((*table)->memory(), StateTable::BytesFor(1000));
  // Four parts, each in whole pages.
  EXPECT_LT((*table)->memory(), StateTable::BytesFor(1000) + 4 * 4096);
}

TEST(TableMemory, IsZeroedAndSaysHowMuchIsMissing) {
  for (const bool prefault : {false, true}) {
    const auto memory = TableMemory::Allocate(5 << 20, true, prefault);
    ASSERT_TRUE(memory.ok());
    ASSERT_GE(memory->size(), size_t{5} << 20);
    const auto* bytes = static_cast<const uint8_t*>(memory->data());
    EXPECT_TRUE(std::all_of(bytes, bytes + memory->size(),
                            [](uint8_t b) { return b == 0; }));
  }
  const auto none = TableMemory::Allocate(size_t{1} << 60, true, true);
  ASSERT_FALSE(none.ok());
  EXPECT_NE(none.status().message().find("1152921504606846976 bytes"),
            absl::string_view::npos);
}

}  // namespace
}  // namespace sluice
