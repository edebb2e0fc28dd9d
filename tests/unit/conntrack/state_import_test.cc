// States that leave one shard as values and come into another.
#include "conntrack/state_import.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "tests/unit/conntrack/shard.h"

namespace sluice {
namespace {

class StateImportTest : public testing::TestWithParam<Family> {
 protected:
  static StateImport Take(Shard& shard) {
    StateImport import;
    uint32_t cursor = 0;
    const auto add = [&](StateIndex state) {
      import.Add({.record = shard.Record(state)});
    };
    while (shard.table->entries().Visit(&cursor, 16, add)) {
    }
    std::sort(import.states.begin(), import.states.end(),
              [](const auto& a, const auto& b) {
                return a.record.id < b.record.id;
              });
    return import;
  }
  static ReserveResult Reserve(Shard& shard, StateImport* import) {
    ReserveResult result;
    do {
      result = StateIntake(shard.table.get()).Reserve(import, 3);
    } while (result == ReserveResult::kMore);
    return result;
  }
  static void Commit(Shard& shard, StateImport* import) {
    while (!StateIntake(shard.table.get()).Commit(import, shard.now, 3)) {
    }
  }
  static void Cancel(Shard& shard, StateImport* import) {
    while (!StateIntake(shard.table.get()).Cancel(import, 3)) {
    }
  }
  // What has to come through.
  static void ExpectSame(const StateRecord& a, const StateRecord& b) {
    EXPECT_EQ(a.id, b.id);
    EXPECT_EQ(a.family, b.family);
    EXPECT_EQ(a.proto, b.proto);
    EXPECT_EQ(a.direction, b.direction);
    EXPECT_EQ(a.address, b.address);
    EXPECT_EQ(a.port, b.port);
    EXPECT_EQ(a.phase, b.phase);
    for (int i = 0; i < 2; ++i) {
      EXPECT_EQ(a.window[i].low, b.window[i].low);
      EXPECT_EQ(a.window[i].high, b.window[i].high);
    }
    EXPECT_EQ(a.max_window, b.max_window);
    EXPECT_EQ(a.scale, b.scale);
    EXPECT_EQ(a.packets, b.packets);
    EXPECT_EQ(a.bytes, b.bytes);
    EXPECT_EQ(a.timeout, b.timeout);
    EXPECT_EQ(a.age, b.age);
    EXPECT_EQ(a.idle, b.idle);
    EXPECT_EQ(a.expires_in, b.expires_in);
    EXPECT_EQ(a.values.rule_slot, b.values.rule_slot);
    EXPECT_EQ(a.values.tag, b.values.tag);
    EXPECT_EQ(a.values.flags, b.values.flags);
  }
  static void OpenTcp(Shard& shard) {
    shard.In("tcp $C:4000 > $S:80 S seq 1000 win 4000 <wscale 2>");
    shard.Out("tcp $S:80 > $C:4000 SA seq 9000 ack 1001 win 4000 <wscale 3>");
    shard.In("tcp $C:4000 > $S:80 A seq 1001 ack 9001 win 4000");
  }

  Family family() const { return GetParam(); }
};

INSTANTIATE_TEST_SUITE_P(Families, StateImportTest,
                         testing::Values(Family::kIpv4, Family::kIpv6),
                         [](const auto& info) {
                           return info.param == Family::kIpv4 ? "v4" : "v6";
                         });

TEST_P(StateImportTest, WhatWasListedIsThereAgain) {
  Shard from(family());
  from.values = {.rule_slot = 7, .tag = 3, .flags = kStateSloppy};
  OpenTcp(from);
  from.In("udp $C:5000 > $S:53");
  from.Out("udp $S:53 > $C:5000");
  from.Out("udp $S:6000 > $X:6001");
  from.Advance(5000);
  Shard to(family());
  to.now = from.now + 123456;
  StateImport import = Take(from);
  ASSERT_EQ(import.states.size(), 3u);
  ASSERT_EQ(Reserve(to, &import), ReserveResult::kReady);
  // Nothing of it is seen before the commit.
  EXPECT_EQ(to.table->size(), 0u);
  EXPECT_TRUE(Take(to).states.empty());
  EXPECT_EQ(to.budget.used(), 3u);
  Commit(to, &import);
  EXPECT_EQ(import.inserted, 3u);
  const StateImport again = Take(to);
  ASSERT_EQ(again.states.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    SCOPED_TRACE(i);
    ExpectSame(again.states[i].record, import.states[i].record);
  }
  EXPECT_EQ(to.sink.states[7], 3u);
  // Its packets find it, and the next id is above.
  EXPECT_EQ(to.Out("udp $S:53 > $C:5000").kind, Outcome::kPassed);
  EXPECT_EQ(to.In("udp $X:6001 > $S:6000").kind, Outcome::kPassed);
  const Outcome fresh = to.In("udp $A:1 > $B:2");
  EXPECT_GT(to.Record(fresh.state).id, import.states[2].record.id);
  // Counters that came along are not counted for the rule again.
  for (StateIndex i = 0; i < 3; ++i) to.table->Fold(i);
  EXPECT_EQ(to.sink.traffic[7].packets[0] + to.sink.traffic[7].packets[1],
            2u);
}

TEST_P(StateImportTest, ItEndsWhenItWouldHave) {
  Shard from(family());
  from.In("udp $C:5000 > $S:53");  // udp.first: 60 s
  from.Advance(45000);
  Shard to(family());
  StateImport import = Take(from);
  ASSERT_EQ(Reserve(to, &import), ReserveResult::kReady);
  Commit(to, &import);
  to.Advance(14000);
  EXPECT_EQ(to.table->size(), 1u);
  to.Advance(1200);
  EXPECT_EQ(to.table->size(), 0u);
  EXPECT_EQ(to.budget.used(), 0u);
}

TEST_P(StateImportTest, CancelledItLeavesNothing) {
  Shard from(family());
  for (int i = 0; i < 20; ++i) {
    from.In(absl::StrCat("udp $C:", 5000 + i, " > $S:53"));
  }
  Shard to(family(), {.capacity = 20});
  for (int round = 0; round < 5; ++round) {
    StateImport import = Take(from);
    for (ImportedState& state : import.states) {
      state.record.id += StateIntake(to.table.get()).last_id() << 8;
    }
    ASSERT_EQ(Reserve(to, &import), ReserveResult::kReady);
    // All slots are taken.
    EXPECT_EQ(to.In("udp $A:1 > $B:2").state, kNoState);
    Cancel(to, &import);
    EXPECT_EQ(to.budget.used(), 0u);
    EXPECT_EQ(to.sink.states[0], 0u);
    EXPECT_EQ(to.In("udp $C:5000 > $S:53").kind, Outcome::kCreated);
    to.table->Remove(to.In("udp $C:5000 > $S:53").state);
  }
}

TEST_P(StateImportTest, AllOrNothing) {
  Shard from(family());
  for (int i = 0; i < 20; ++i) {
    from.In(absl::StrCat("udp $C:", 5000 + i, " > $S:53"));
  }
  const StateImport whole = Take(from);
  const auto reserve = [&](Shard& to, StateImport import) {
    const ReserveResult result = Reserve(to, &import);
    Cancel(to, &import);
    EXPECT_EQ(to.budget.used(), 0u);
    EXPECT_EQ(to.sink.states[0], 0u);
    return result;
  };
  Shard small(family(), {.capacity = 19});
  EXPECT_EQ(reserve(small, whole), ReserveResult::kSlots);
  Shard limited(family());
  limited.budget.SetLimit(19);
  EXPECT_EQ(reserve(limited, whole), ReserveResult::kStateLimit);
  Shard ruled(family());
  ruled.sink.max_states = 19;
  EXPECT_EQ(reserve(ruled, whole), ReserveResult::kRuleLimit);
  Shard other(family());
  StateImport wrong = whole;
  wrong.filter = 1;
  EXPECT_EQ(reserve(other, wrong), ReserveResult::kFilter);
  Shard worker(family(), {.worker = 1});
  EXPECT_EQ(reserve(worker, whole), ReserveResult::kIds);
  wrong = whole;
  wrong.states[4].record.id = wrong.states[3].record.id;
  EXPECT_EQ(reserve(other, wrong), ReserveResult::kIds);
  wrong = whole;
  wrong.states[19].record.id = kMaxImportedCount << 8;
  EXPECT_EQ(reserve(other, wrong), ReserveResult::kIds);
  Shard busy(family());
  busy.table->Remove(busy.In("udp $A:1 > $B:2").state);
  EXPECT_EQ(reserve(busy, whole), ReserveResult::kIds);
}

TEST_P(StateImportTest, LiveWins) {
  Shard from(family());
  from.values.rule_slot = 7;
  from.In("udp $C:5000 > $S:53");
  from.In("udp $C:5001 > $S:53");
  from.Out("udp $S:53 > $C:5001");
  Shard to(family());
  StateImport import = Take(from);
  ASSERT_EQ(Reserve(to, &import), ReserveResult::kReady);
  // Born between the two steps.
  const StateIndex equal = to.In("udp $C:5000 > $S:53").state;
  const StateIndex behind = to.In("udp $C:5001 > $S:53").state;
  const StateId id = to.Record(equal).id;
  EXPECT_GT(id, import.states.back().record.id);
  Commit(to, &import);
  EXPECT_EQ(import.inserted, 0u);
  EXPECT_EQ(import.merged, 2u);
  EXPECT_EQ(import.advanced, 1u);
  EXPECT_EQ(to.table->size(), 2u);
  EXPECT_EQ(to.budget.used(), 2u);
  EXPECT_EQ(to.sink.states[7], 0u);
  EXPECT_EQ(to.Record(equal).id, id);
  EXPECT_EQ(to.Record(equal).values.rule_slot, 0u);
  EXPECT_EQ(to.Record(equal).timeout, Timeout::kUdpFirst);
  EXPECT_EQ(to.Record(behind).timeout, Timeout::kUdpSingle);
  EXPECT_EQ(to.Record(behind).phase, import.states[1].record.phase);
}

TEST_P(StateImportTest, LiveBeforeAndGoneSince) {
  Shard from(family());
  from.values.rule_slot = 7;
  from.In("udp $C:5000 > $S:53");
  from.In("udp $C:5001 > $S:53");
  StateImport import = Take(from);
  for (ImportedState& state : import.states) state.record.id += 0x1000;
  Shard to(family());
  const StateIndex stays = to.In("udp $C:5000 > $S:53").state;
  const StateIndex goes = to.In("udp $C:5001 > $S:53").state;
  ASSERT_EQ(Reserve(to, &import), ReserveResult::kReady);
  to.table->Remove(goes);
  Commit(to, &import);
  EXPECT_EQ(import.merged, 1u);
  EXPECT_EQ(import.inserted, 1u);
  EXPECT_EQ(to.table->size(), 2u);
  EXPECT_EQ(to.budget.used(), 2u);
  EXPECT_EQ(to.Record(stays).values.rule_slot, 0u);
  const Outcome second = to.In("udp $C:5001 > $S:53");
  EXPECT_EQ(second.kind, Outcome::kPassed);
  EXPECT_EQ(to.Record(second.state).values.rule_slot, 7u);
}

TEST_P(StateImportTest, OfTwoImportsTheFirstCommittedWins) {
  Shard from(family());
  OpenTcp(from);
  from.In("udp $C:5000 > $S:53");
  StateImport first = Take(from);
  StateImport second = first;
  for (ImportedState& state : second.states) state.record.id += 0x1000;
  Shard to(family());
  ASSERT_EQ(Reserve(to, &first), ReserveResult::kReady);
  ASSERT_EQ(Reserve(to, &second), ReserveResult::kReady);
  EXPECT_EQ(to.table->size(), 0u);
  EXPECT_EQ(to.budget.used(), 4u);
  Commit(to, &second);
  EXPECT_EQ(second.inserted, 2u);
  Commit(to, &first);
  EXPECT_EQ(first.inserted, 0u);
  EXPECT_EQ(first.merged, 2u);
  EXPECT_EQ(to.table->size(), 2u);
  EXPECT_EQ(to.budget.used(), 2u);
  EXPECT_EQ(to.sink.states[0], 2u);
  // Of a third, cancelled, nothing is left to contest.
  StateImport third = first;
  third.begun = false;
  third.reserved = third.done = 0;
  for (ImportedState& state : third.states) state.record.id += 0x2000;
  ASSERT_EQ(Reserve(to, &third), ReserveResult::kReady);
  Cancel(to, &third);
  EXPECT_EQ(to.budget.used(), 2u);
  EXPECT_EQ(Take(to).states.size(), 2u);
}

TEST_P(StateImportTest, NobodySeesWhatIsReserved) {
  Shard from(family());
  from.In("udp $C:5000 > $S:53");
  StateImport import = Take(from);
  Shard to(family());
  ASSERT_EQ(Reserve(to, &import), ReserveResult::kReady);
  const StateHandle handle = {import.states[0].record.id,
                              import.states[0].record.slot};
  EXPECT_EQ(to.table->entries().Resolve(handle), kNoState);
  // The time of its flow passes only once it is a state.
  to.Advance(100000);
  EXPECT_EQ(to.budget.used(), 1u);
  Commit(to, &import);
  EXPECT_EQ(to.table->entries().Resolve(handle), handle.slot);
  EXPECT_EQ(to.Record(handle.slot).expires_in, 60000u);
  to.Advance(60100);
  EXPECT_EQ(to.table->entries().Resolve(handle), kNoState);
  EXPECT_EQ(to.budget.used(), 0u);
}

TEST_P(StateImportTest, TcpNeverMovesBackwards) {
  Shard from(family());
  OpenTcp(from);
  Shard to(family());
  StateImport import = Take(from);
  ASSERT_EQ(Reserve(to, &import), ReserveResult::kReady);
  OpenTcp(to);
  to.In("tcp $C:4000 > $S:80 AF seq 1001 ack 9001 win 4000");
  const StateRecord before = Take(to).states.at(0).record;
  ASSERT_EQ(before.phase[0], static_cast<uint8_t>(TcpPhase::kClosing));
  Commit(to, &import);
  EXPECT_EQ(import.merged, 1u);
  EXPECT_EQ(import.advanced, 0u);
  ExpectSame(Take(to).states.at(0).record, before);
}

TEST_P(StateImportTest, TcpMovesForwards) {
  Shard from(family());
  OpenTcp(from);
  Shard to(family());
  StateImport import = Take(from);
  ASSERT_EQ(Reserve(to, &import), ReserveResult::kReady);
  to.In("tcp $C:4000 > $S:80 S seq 1000 win 4000 <wscale 2>");
  Commit(to, &import);
  EXPECT_EQ(import.advanced, 1u);
  const StateRecord merged = Take(to).states.at(0).record;
  const StateRecord& imported = import.states[0].record;
  EXPECT_EQ(merged.phase, imported.phase);
  EXPECT_EQ(merged.window[1].low, imported.window[1].low);
  EXPECT_EQ(merged.scale, imported.scale);
  EXPECT_EQ(merged.timeout, Timeout::kTcpEstablished);
  EXPECT_EQ(to.In("tcp $C:4000 > $S:80 AP seq 1001 ack 9001 win 4000 data 10")
                .kind,
            Outcome::kPassed);
}

}  // namespace
}  // namespace sluice
