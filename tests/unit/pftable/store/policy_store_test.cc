#include "pftable/store/invariants.h"
#include "pftable/store/policy_listing.h"
#include "pftable/store/policy_store.h"
#include "tests/support/table_changes.h"
#include "tests/support/manual_reclaimer.h"

#include <array>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/pftable/engine/engine_fixture.h"

namespace sluice {
namespace {

using testing::HasSubstr;

std::vector<TableEntry> Entries(std::initializer_list<const char*> texts) {
  std::vector<TableEntry> entries;
  for (std::string_view text : texts) {
    TableEntry entry;
    if (text.starts_with('!')) {
      entry.negated = true;
      text.remove_prefix(1);
    }
    entry.prefix = ParsePrefix(text)->Masked();
    entries.push_back(entry);
  }
  return entries;
}

class PolicyStoreTest : public EngineTest {
 protected:
  std::vector<std::string> Show(const TableKey& key) {
    std::vector<std::string> result;
    auto entries = PolicyListing(*store_).Addresses(key);
    if (!entries.ok()) return {"<none>"};
    for (const TableEntry& entry : *entries) {
      result.push_back((entry.negated ? "!" : "") + ToString(entry.prefix));
    }
    return result;
  }
  std::vector<std::string> TableNames() {
    std::vector<std::string> names;
    for (const TableStatus& table : PolicyListing(*store_).Tables()) {
      names.push_back(table.key.name);
    }
    return names;
  }
  void TearDown() override {
    const absl::Status status = CheckInvariants(*store_);
    EXPECT_TRUE(status.ok()) << status.message();
  }

  const TableKey t_{.anchor = "", .name = "t"};
};

using Names = std::vector<std::string>;

TEST_F(PolicyStoreTest, StartsWithTheEmptyPolicy) {
  EXPECT_EQ(store_->generation()->number, 1u);
  EXPECT_TRUE(PolicyListing(*store_).AllRules().empty());
  EXPECT_TRUE(Passes(Tcp()));
}

TEST_F(PolicyStoreTest, OnlyTheNewestTicketCommits) {
  const Ticket first = store_->Begin();
  ASSERT_TRUE(store_->Define(first, Parsed("block\n")).ok());
  const Ticket second = store_->Begin();
  ASSERT_TRUE(store_->Define(second, Parsed("block proto udp\n")).ok());
  const uint64_t hash = store_->generation()->hash;

  const absl::Status stale = store_->Commit(first);
  EXPECT_EQ(stale.code(), absl::StatusCode::kAborted);
  EXPECT_THAT(std::string(stale.message()), HasSubstr("generation moved"));
  EXPECT_EQ(store_->generation()->hash, hash);

  EXPECT_EQ(store_->Commit(second + 1).code(), absl::StatusCode::kAborted);
  EXPECT_EQ(store_->Define(second + 1, Policy()).code(),
            absl::StatusCode::kAborted);
  EXPECT_TRUE(store_->Commit(second).ok());
  EXPECT_FALSE(Passes(Udp()));
  EXPECT_TRUE(Passes(Tcp()));

  const uint64_t number = store_->generation()->number;
  EXPECT_EQ(store_->Commit(second).code(), absl::StatusCode::kAborted);
  EXPECT_EQ(store_->generation()->number, number);
}

TEST_F(PolicyStoreTest, RollbackChangesNothing) {
  const uint64_t hash = store_->generation()->hash;
  const Ticket ticket = store_->Begin();
  ASSERT_TRUE(store_->Define(ticket, Parsed("block\n")).ok());
  EXPECT_TRUE(store_->Rollback(ticket).ok());
  EXPECT_EQ(store_->Rollback(ticket).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store_->Commit(ticket).code(), absl::StatusCode::kAborted);
  EXPECT_EQ(store_->generation()->hash, hash);
  store_->Poll();
  store_->Poll();
  EXPECT_EQ(store_->rule_slots().used(), 0u);
}

TEST_F(PolicyStoreTest, CommitWantsADefinition) {
  const Ticket ticket = store_->Begin();
  EXPECT_EQ(store_->Commit(ticket).code(),
            absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(store_->Define(ticket, Parsed("block\n")).ok());
  EXPECT_TRUE(store_->Commit(ticket).ok());
}

TEST_F(PolicyStoreTest, AFailedDefinitionLeavesTheRulesInForce) {
  ASSERT_TRUE(Load("block\n").ok());
  const uint64_t hash = store_->generation()->hash;
  const absl::Status status =
      Load("pass\npass out nat-to 192.0.2.9 rtable 3\nmatch rtable 4\n");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("pf.conf:2:"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("pf.conf:3:"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("rtable"));
  EXPECT_EQ(store_->generation()->hash, hash);
  EXPECT_FALSE(Passes(Tcp()));
}

TEST_F(PolicyStoreTest, CountersOfRulesThatStayAreKept) {
  ASSERT_TRUE(Load("pass proto tcp\nblock proto udp\n").ok());
  Judge(Tcp());
  const uint32_t slot = PolicyListing(*store_).Rules("")->at(0).rule.slot;
  EXPECT_EQ(Counts(0).evaluations, 1u);
  ASSERT_TRUE(Load("block proto icmp\npass proto tcp\n").ok());
  const auto rules = *PolicyListing(*store_).Rules("");
  EXPECT_EQ(rules[1].rule.slot, slot);
  EXPECT_EQ(rules[1].counts.evaluations, 1u);
  EXPECT_EQ(rules[0].counts.evaluations, 0u);
  // The other one has gone, with its counters.
  ASSERT_TRUE(Load("block proto udp\n").ok());
  EXPECT_EQ(Counts(0).evaluations, 0u);
}

TEST_F(PolicyStoreTest, EqualRulesHaveCountersOfTheirOwn) {
  ASSERT_TRUE(Load("match proto tcp\nmatch proto tcp\npass\n").ok());
  const auto rules = *PolicyListing(*store_).Rules("");
  EXPECT_NE(rules[0].rule.slot, rules[1].rule.slot);
}

TEST_F(PolicyStoreTest, TheSameTextTwiceCostsOnce) {
  const std::string text =
      "table <t> persist { 192.0.2.0/24 }\nblock from <t>\npass\n";
  ASSERT_TRUE(Load(text).ok());
  const uint64_t hash = store_->generation()->hash;
  const AddressTable::View view =
      store_->current()->FindTable(t_)->contents.view();
  const uint32_t used = store_->rule_slots().used();
  ASSERT_TRUE(Load(text).ok());
  EXPECT_EQ(store_->generation()->hash, hash);
  EXPECT_EQ(store_->rule_slots().used(), used);
  EXPECT_EQ(store_->current()->FindTable(t_)->contents.view().root4,
            view.root4);
  EXPECT_EQ(store_->live_generations(), 1u);
}

TEST_F(PolicyStoreTest, ARecordStaysWhileStatesDo) {
  ASSERT_TRUE(Load("pass label \"web\"\n").ok());
  const Verdict verdict = Judge(Tcp());
  CountStateCreated(verdict.state, counters());
  ASSERT_TRUE(Load("block\n").ok());
  for (int i = 0; i < 4; ++i) store_->Poll();
  const uint32_t slot = verdict.state.rule_slot;
  ASSERT_TRUE(store_->rule_slots().Info(slot).ok());
  EXPECT_EQ(store_->rule_slots().WithLabel("web"),
            std::vector<uint32_t>{slot});
  EXPECT_EQ(store_->rule_slots().used(), 2u);

  CountStateEnded(verdict.state, counters());
  for (int i = 0; i < 4; ++i) store_->Poll();
  EXPECT_FALSE(store_->rule_slots().Info(slot).ok());
  EXPECT_EQ(store_->rule_slots().used(), 1u);
  // The next rule to get the slot starts at zero.
  ASSERT_TRUE(Load("block\npass proto udp\n").ok());
  EXPECT_EQ(Counts(1).states_created, 0u);
  EXPECT_EQ(Counts(1).evaluations, 0u);
}

TEST_F(PolicyStoreTest, ARuleThatComesBackFindsItsStates) {
  ASSERT_TRUE(Load("pass\n").ok());
  const Verdict verdict = Judge(Tcp());
  CountStateCreated(verdict.state, counters());
  ASSERT_TRUE(Load("block\n").ok());
  for (int i = 0; i < 4; ++i) store_->Poll();
  ASSERT_TRUE(Load("block\npass\n").ok());
  EXPECT_EQ(PolicyListing(*store_).Rules("")->at(1).rule.slot,
            verdict.state.rule_slot);
  EXPECT_EQ(Counts(1).states, 1u);
}

TEST_F(PolicyStoreTest, ZeroingKeepsTheNumberOfStates) {
  ASSERT_TRUE(Load("pass\n").ok());
  const Verdict verdict = Judge(Tcp());
  CountStateCreated(verdict.state, counters());
  ZeroRules(*store_);
  EXPECT_EQ(Counts(0).evaluations, 0u);
  EXPECT_EQ(Counts(0).states_created, 0u);
  EXPECT_EQ(Counts(0).states, 1u);
  CountStateEnded(verdict.state, counters());
  EXPECT_EQ(Counts(0).states, 0u);
}

TEST_F(PolicyStoreTest, SlotsRunOutWithAMessage) {
  PolicyStore small({.workers = 1, .rule_slots = 4, .table_slots = 4},
                    &interfaces_, &reclaimer_);
  ASSERT_TRUE(small.Load(Parsed("pass proto tcp\npass proto udp\n")).ok());
  const uint64_t hash = small.generation()->hash;
  const absl::Status status =
      small.Load(Parsed("block proto tcp\nblock proto udp\n"));
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()),
              testing::HasSubstr("[memory] rule_slots"));
  EXPECT_EQ(small.generation()->hash, hash);
  EXPECT_THAT(
      std::string(small.Load(Parsed("pass proto tcp to port { 1 2 3 4 5 }\n")).message()),
      testing::HasSubstr("[memory] rule_slots"));
  // What is there already needs no room.
  EXPECT_TRUE(small.Load(Parsed("pass proto udp\npass proto tcp\n")).ok());
}

TEST_F(PolicyStoreTest, FiltersShareOneBudgetOfRules) {
  RuleBudget budget(5);
  const auto make = [&] {
    return std::make_unique<PolicyStore>(
        PolicyStoreConfig{.workers = 1, .rule_slots = 64, .table_slots = 4,
                          .rule_budget = &budget},
        &interfaces_, &reclaimer_);
  };
  const auto a = make();
  auto b = make();
  ASSERT_TRUE(a->Load(Parsed("pass proto tcp\npass proto udp\n")).ok());
  ASSERT_TRUE(b->Load(Parsed("pass proto tcp\npass proto udp\n")).ok());
  EXPECT_EQ(budget.used(), 4u);
  const uint64_t hash = a->generation()->hash;
  const absl::Status status = a->Load(Parsed("pass inet\npass inet6\n"));
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()),
              testing::HasSubstr("[memory] all_rule_slots"));
  EXPECT_EQ(a->generation()->hash, hash);
  EXPECT_EQ(budget.used(), 4u);
  // A filter that goes gives back what it had.
  b = nullptr;
  EXPECT_EQ(budget.used(), 2u);
  EXPECT_TRUE(a->Load(Parsed("pass inet\npass inet6\n")).ok());
  a->Poll();
  EXPECT_EQ(budget.used(), 2u);
}

TEST_F(PolicyStoreTest, InterfacesThatComeLaterAreFound) {
  ASSERT_TRUE(Load("block on dmz\nblock on servers\n").ok());
  EXPECT_TRUE(Passes(Tcp()));
  const std::string groups[] = {"servers"};
  const InterfaceView dmz = *interfaces_.AddPort("dmz");
  const InterfaceView farm = *interfaces_.AddPort("farm", groups);
  ASSERT_TRUE(Refresh(*store_).ok());
  EXPECT_EQ(JudgeAt(Tcp(), Direction::kIn, dmz, dmz).action,
            VerdictAction::kBlock);
  EXPECT_EQ(JudgeAt(Tcp(), Direction::kIn, farm, farm).action,
            VerdictAction::kBlock);
  EXPECT_TRUE(Passes(Tcp()));
  const uint64_t number = store_->generation()->number;
  ASSERT_TRUE(Refresh(*store_).ok());
  EXPECT_EQ(store_->generation()->number, number);
}

TEST_F(PolicyStoreTest, AddressesOfInterfacesAreFollowed) {
  ASSERT_TRUE(Load("block to (inside)\nblock from (inside:network)\n").ok());
  EXPECT_TRUE(Passes(Tcp()));
  const InterfaceRegistry::PortAddress addresses[] = {
      {.prefix = {*ParseAddress("198.51.100.2"), 24}},
      {.prefix = {*ParseAddress("2001:db8:1::2"), 64}}};
  ASSERT_TRUE(interfaces_.AddPort("inside", {}, addresses).ok());
  ASSERT_TRUE(Refresh(*store_).ok());
  EXPECT_EQ(Winner(Tcp()), 0);
  EXPECT_EQ(Winner(Tcp6()), 0);
  EXPECT_EQ(Winner({.from = "198.51.100.77", .to = "203.0.113.1"}), 1);
  EXPECT_TRUE(Passes({.from = "203.0.113.1", .to = "198.51.100.3"}));
}

TEST_F(PolicyStoreTest, TicketsSurviveInterfacesThatCome) {
  const Ticket ticket = store_->Begin();
  ASSERT_TRUE(store_->Define(ticket, Parsed("block on dmz\n")).ok());
  const InterfaceView dmz = *interfaces_.AddPort("dmz");
  ASSERT_TRUE(store_->Commit(ticket).ok());
  EXPECT_EQ(JudgeAt(Tcp(), Direction::kIn, dmz, dmz).action,
            VerdictAction::kBlock);
}

// --- tables ---------------------------------------------------------------

TEST_F(PolicyStoreTest, EditsCountAsPfctlDoes) {
  auto change = AddAddresses(
      *store_, t_,
      Entries({"192.0.2.1", "192.0.2.0/24", "192.0.2.1", "!10.0.0.0/8"}));
  ASSERT_TRUE(change.ok());
  EXPECT_TRUE(change->table_created);
  EXPECT_EQ(change->added, 3u);
  EXPECT_EQ(change->total, 4u);
  change = AddAddresses(*store_, t_, Entries({"192.0.2.1", "192.0.2.9"}));
  EXPECT_FALSE(change->table_created);
  EXPECT_EQ(change->added, 1u);
  EXPECT_EQ(change->total, 2u);
  EXPECT_EQ(Show(t_), (Names{"!10.0.0.0/8", "192.0.2.0/24", "192.0.2.1",
                             "192.0.2.9"}));

  change = DeleteAddresses(
      *store_, t_, Entries({"192.0.2.9", "192.0.2.8", "10.0.0.0/8"}));
  EXPECT_EQ(change->deleted, 1u);
  EXPECT_EQ(change->total, 3u);

  change = ReplaceAddresses(
      *store_, t_, Entries({"192.0.2.1", "10.0.0.0/8", "2001:db8::1"}));
  EXPECT_EQ(change->added, 1u);
  EXPECT_EQ(change->changed, 1u);
  EXPECT_EQ(change->deleted, 1u);
  EXPECT_EQ(Show(t_), (Names{"10.0.0.0/8", "192.0.2.1", "2001:db8::1"}));

  change = FlushTable(*store_, t_);
  EXPECT_EQ(change->deleted, 3u);
  EXPECT_TRUE(Show(t_).empty());
}

TEST_F(PolicyStoreTest, DryRunsCountAndChangeNothing) {
  ASSERT_TRUE(AddAddresses(*store_, t_, Entries({"192.0.2.1"})).ok());
  const uint64_t number = store_->generation()->number;
  EXPECT_EQ(AddAddresses(*store_, t_, Entries({"192.0.2.2"}), true)->added,
            1u);
  EXPECT_EQ(DeleteAddresses(*store_, t_, Entries({"192.0.2.1"}), true)->deleted,
            1u);
  EXPECT_EQ(ReplaceAddresses(*store_, t_, {}, true)->deleted, 1u);
  EXPECT_EQ(FlushTable(*store_, t_, true)->deleted, 1u);
  EXPECT_TRUE(AddAddresses(*store_, {.anchor = "", .name = "new"},
                                 Entries({"192.0.2.2"}), true)
                  ->table_created);
  EXPECT_EQ(store_->generation()->number, number);
  EXPECT_EQ(TableNames(), Names{"t"});
}

TEST_F(PolicyStoreTest, TestsHosts) {
  ASSERT_TRUE(
      AddAddresses(*store_, t_, Entries({"192.0.2.0/24", "!192.0.2.7"})).ok());
  const Prefix hosts[] = {*ParsePrefix("192.0.2.1"), *ParsePrefix("192.0.2.7"),
                          *ParsePrefix("2001:db8::1")};
  const auto result = *PolicyListing(*store_).Match(t_, hosts);
  EXPECT_EQ(result.total, 3u);
  EXPECT_EQ(result.matched, 1u);
  EXPECT_EQ(result.matches, (std::vector<bool>{true, false, false}));
  const Prefix network[] = {*ParsePrefix("192.0.2.0/24")};
  EXPECT_EQ(PolicyListing(*store_).Match(t_, network).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(PolicyStoreTest, RefusesWhatIsNotThere) {
  EXPECT_EQ(DeleteAddresses(*store_, t_, {}).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(FlushTable(*store_, t_).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(KillTable(*store_, t_).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(PolicyListing(*store_).Addresses(t_).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(ZeroTable(*store_, t_).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(AddAddresses(*store_, {.anchor = "no//path", .name = "t"}, {})
                .status()
                .code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(AddAddresses(*store_, {.anchor = "", .name = std::string(32, 'x')},
                               {})
                .status()
                .code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(TableNames().empty());
}

TEST_F(PolicyStoreTest, ConstTablesChangeByLoadsOnly) {
  ASSERT_TRUE(Load("table <t> const persist { 192.0.2.1 }\n").ok());
  for (const absl::Status& status :
       {AddAddresses(*store_, t_, Entries({"192.0.2.2"})).status(),
        DeleteAddresses(*store_, t_, Entries({"192.0.2.1"})).status(),
        ReplaceAddresses(*store_, t_, {}).status(),
        FlushTable(*store_, t_).status(), KillTable(*store_, t_)}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  }
  EXPECT_EQ(*KillTables(*store_, ""), 0u);
  EXPECT_EQ(Show(t_), Names{"192.0.2.1"});
  ASSERT_TRUE(Load("table <t> persist { 192.0.2.3 }\n").ok());
  EXPECT_EQ(Show(t_), Names{"192.0.2.3"});
  EXPECT_TRUE(AddAddresses(*store_, t_, Entries({"192.0.2.2"})).ok());
}

TEST_F(PolicyStoreTest, ADefinitionWithoutAListKeepsTheContents) {
  ASSERT_TRUE(Load("table <t> persist { 192.0.2.1 }\n").ok());
  ASSERT_TRUE(AddAddresses(*store_, t_, Entries({"192.0.2.2"})).ok());
  ASSERT_TRUE(Load("table <t> persist\n").ok());
  EXPECT_EQ(Show(t_), (Names{"192.0.2.1", "192.0.2.2"}));
  ASSERT_TRUE(Load("table <t> persist { 192.0.2.5 }\n").ok());
  EXPECT_EQ(Show(t_), Names{"192.0.2.5"});
  ASSERT_TRUE(Load("table <t> persist { }\n").ok());
  EXPECT_TRUE(Show(t_).empty());
}

TEST_F(PolicyStoreTest, ATableGoesWithItsLastRuleUnlessItPersists) {
  ASSERT_TRUE(Load("table <t> { 192.0.2.1 }\n"
                   "table <p> persist { 192.0.2.1 }\n"
                   "table <unused> { 192.0.2.1 }\n"
                   "block from <t>\nblock to <p>\n")
                  .ok());
  EXPECT_EQ(TableNames(), (Names{"p", "t"}));
  EXPECT_EQ(PolicyListing(*store_).Tables()[1].references, 1u);
  // Named by a rule still: stays, though nothing defines it.
  ASSERT_TRUE(Load("block from <t>\n").ok());
  EXPECT_EQ(TableNames(), (Names{"p", "t"}));
  EXPECT_EQ(Show(t_), Names{"192.0.2.1"});
  EXPECT_EQ(PolicyListing(*store_).Tables()[0].references, 0u);
  ASSERT_TRUE(Load("block\n").ok());
  EXPECT_EQ(TableNames(), Names{"p"});
}

TEST_F(PolicyStoreTest, ATableThatIsOnlyNamedIsInactive) {
  ASSERT_TRUE(Load("block from <t>\n").ok());
  const TableStatus status = PolicyListing(*store_).Tables().at(0);
  EXPECT_FALSE(status.active);
  EXPECT_EQ(status.references, 1u);
  EXPECT_EQ(Show(t_), Names{"<none>"});
  EXPECT_TRUE(Passes(Tcp()));
  ASSERT_TRUE(AddAddresses(*store_, t_, Entries({"192.0.2.1"})).ok());
  EXPECT_FALSE(Passes(Tcp()));
  EXPECT_TRUE(PolicyListing(*store_).Tables().at(0).persist);
  ASSERT_TRUE(KillTable(*store_, t_).ok());
  EXPECT_TRUE(Passes(Tcp()));
  EXPECT_EQ(TableNames(), Names{"t"});
  ASSERT_TRUE(Load("pass\n").ok());
  EXPECT_TRUE(TableNames().empty());
}

TEST_F(PolicyStoreTest, EditsShareTheRules) {
  ASSERT_TRUE(Load("table <t> persist\nblock from <t>\n").ok());
  const CompiledPolicy* policy = store_->current()->policy.get();
  ASSERT_TRUE(AddAddresses(*store_, t_, Entries({"192.0.2.1"})).ok());
  EXPECT_EQ(store_->current()->policy.get(), policy);
  EXPECT_FALSE(Passes(Tcp()));
}

TEST_F(PolicyStoreTest, EntriesAreLimitedOldAndNewTogether) {
  ASSERT_TRUE(Load("set limit table-entries 5\n"
                   "table <t> persist { 10.0.0.1 10.0.0.2 10.0.0.3 }\n")
                  .ok());
  const uint64_t hash = store_->generation()->hash;
  EXPECT_EQ(AddAddresses(*store_, t_, Entries({"10.0.0.4", "10.0.0.5",
                                            "10.0.0.6"}))
                .status()
                .code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReplaceAddresses(*store_, t_, Entries({"10.0.1.1", "10.0.1.2",
                                                "10.0.1.3"}))
                .status()
                .code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Load("set limit table-entries 5\n"
                 "table <t> persist { 10.1.0.1 10.1.0.2 10.1.0.3 }\n")
                .code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(LoadWithLimit(Limit::kTableEntries, 2,
                          "table <u> persist { 10.1.0.1 10.1.0.2 10.1.0.3 }\n")
                .code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(store_->generation()->hash, hash);
  EXPECT_TRUE(
      ReplaceAddresses(*store_, t_, Entries({"10.0.1.1", "10.0.1.2"})).ok());
  // What stays as it is counts once.
  EXPECT_TRUE(Load("set limit table-entries 3\n"
                   "table <t> persist { 10.0.1.1 10.0.1.2 }\n")
                  .ok());
}

TEST_F(PolicyStoreTest, TablesAreLimited) {
  ASSERT_TRUE(Load("set limit tables 1\n").ok());
  ASSERT_TRUE(AddAddresses(*store_, t_, {}).ok());
  EXPECT_EQ(AddAddresses(*store_, {.anchor = "", .name = "u"}, {})
                .status()
                .code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Load("set limit tables 1\ntable <u> persist\n").code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(TableNames(), Names{"t"});
}

TEST_F(PolicyStoreTest, TableCountersSurviveCommitsAndEdits) {
  const std::string text = "table <t> persist\nblock from <t>\n";
  ASSERT_TRUE(Load(text).ok());
  Judge(Tcp());
  ASSERT_TRUE(AddAddresses(*store_, t_, Entries({"192.0.2.1"})).ok());
  Judge(Tcp());
  ASSERT_TRUE(Load(text + "pass\n").ok());
  TableCounts counts = PolicyListing(*store_).Tables().at(0).counts;
  EXPECT_EQ(counts.no_match, 1u);
  EXPECT_EQ(counts.match, 1u);
  ASSERT_TRUE(ZeroTable(*store_, t_).ok());
  counts = PolicyListing(*store_).Tables().at(0).counts;
  EXPECT_EQ(counts, TableCounts());
}

// --- two steps ------------------------------------------------------------

TEST_F(PolicyStoreTest, WhatIsStagedIsNotInForce) {
  ASSERT_TRUE(Load("table <t> persist\nblock from <t>\n").ok());
  const Generation* const before = store_->current();
  absl::StatusOr<StagedEdit> edit =
      StageAddAddresses(*store_, t_, Entries({"192.0.2.1", "2001:db8::1"}));
  ASSERT_TRUE(edit.ok());
  EXPECT_EQ(edit->change.added, 2u);
  EXPECT_EQ(store_->current(), before);
  EXPECT_TRUE(Passes(Tcp()));
  EXPECT_TRUE(Passes(Tcp6()));
  ASSERT_TRUE(store_->Publish(std::move(edit->generation)).ok());
  EXPECT_FALSE(Passes(Tcp()));
  EXPECT_FALSE(Passes(Tcp6()));
  // One that is dropped leaves no trace.
  const uint16_t used = store_->table_slots().used();
  edit = StageAddAddresses(*store_, {.anchor = "", .name = "new"}, {});
  EXPECT_EQ(store_->table_slots().used(), used + 1);
  edit = absl::UnknownError("dropped");
  EXPECT_EQ(store_->table_slots().used(), used);
  EXPECT_EQ(TableNames(), Names{"t"});
}

TEST_F(PolicyStoreTest, WhatWasBuiltOnAnotherGenerationIsRefused) {
  const std::string text = "table <t> persist { 192.0.2.1 }\nblock from <t>\n";
  ASSERT_TRUE(Load(text).ok());
  absl::StatusOr<StagedEdit> edit =
      StageDeleteAddresses(*store_, t_, Entries({"192.0.2.1"}));
  absl::StatusOr<StagedEdit> other =
      StageAddAddresses(*store_, t_, Entries({"2001:db8::1"}));
  ASSERT_TRUE(edit.ok() && other.ok());
  EXPECT_TRUE(store_->IsUpToDate(edit->generation));
  ASSERT_TRUE(store_->Publish(std::move(other->generation)).ok());
  EXPECT_FALSE(store_->IsUpToDate(edit->generation));
  const absl::Status refused = store_->Publish(std::move(edit->generation));
  EXPECT_EQ(refused.code(), absl::StatusCode::kAborted);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("generation moved"));
  EXPECT_EQ(Show(t_), (Names{"192.0.2.1", "2001:db8::1"}));
  // A load comes between as well, even one of the same text.
  edit = StageFlushTable(*store_, t_);
  ASSERT_TRUE(Load(text).ok());
  EXPECT_EQ(store_->Publish(std::move(edit->generation)).code(),
            absl::StatusCode::kAborted);
}

TEST_F(PolicyStoreTest, ARefreshOfOldRulesIsRefused) {
  ASSERT_TRUE(Load("block on dmz\n").ok());
  ASSERT_TRUE(interfaces_.AddPort("dmz").ok());
  absl::StatusOr<StagedGeneration> refresh = store_->StageRefresh();
  ASSERT_TRUE(refresh.ok());
  ASSERT_TRUE(Load("pass\n").ok());
  EXPECT_EQ(store_->Publish(*std::move(refresh)).code(),
            absl::StatusCode::kAborted);
  EXPECT_EQ(PolicyListing(*store_).AllRules().size(), 1u);
  refresh = store_->StageRefresh();
  ASSERT_TRUE(refresh.ok());
  EXPECT_EQ(refresh->next, nullptr) << "the new rules know the interface";
  EXPECT_TRUE(store_->Publish(*std::move(refresh)).ok());
}

TEST_F(PolicyStoreTest, AListingStaysWhatItWas) {
  ASSERT_TRUE(Load("table <t> persist { 192.0.2.1 }\nblock from <t>\n").ok());
  const PolicyListing listing(*store_);
  ASSERT_TRUE(Load("pass\npass\n").ok());
  ASSERT_TRUE(KillTable(*store_, t_).ok());
  EXPECT_EQ(listing.AllRules().size(), 1u);
  EXPECT_EQ(listing.AllRules()[0].rule.rule->action, RuleAction::kBlock);
  EXPECT_EQ(listing.Addresses(t_)->size(), 1u);
  EXPECT_EQ(store_->live_generations(), 1u) << "nobody waits for it";
}

TEST_F(PolicyStoreTest, GenerationsWaitForTheirGracePeriod) {
  ManualReclaimer reclaimer;
  PolicyStore store({.workers = 1, .rule_slots = 64, .table_slots = 8},
                    &interfaces_, &reclaimer);
  ASSERT_TRUE(store.Load(Parsed("block\n")).ok());
  const Generation* old = store.current();
  const uint64_t hash = old->hash;
  ASSERT_TRUE(store.Load(Parsed("pass\n")).ok());
  ASSERT_TRUE(AddAddresses(store, t_, Entries({"192.0.2.1"})).ok());
  store.Poll();
  // The first, empty one, and the two that were replaced.
  EXPECT_EQ(store.live_generations(), 4u);
  EXPECT_EQ(old->hash, hash);
  EXPECT_EQ(store.rule_slots().used(), 2u);
  reclaimer.PassAll();
  store.Poll();
  EXPECT_EQ(store.live_generations(), 1u);
  // Its rule's slot waits for another one, however often one asks.
  store.Poll();
  store.Poll();
  EXPECT_EQ(store.rule_slots().used(), 2u);
  reclaimer.PassAll();
  store.Poll();
  EXPECT_EQ(store.rule_slots().used(), 1u);
}

// What a rule means by a group's bit, no other group gets while a worker may
// still read the rule.
TEST_F(PolicyStoreTest, GroupsAreGivenBackWithThePoliciesThatKnewThem) {
  ManualReclaimer reclaimer;
  InterfaceRegistry interfaces;
  PolicyStore store({.workers = 1, .rule_slots = 64, .table_slots = 8},
                    &interfaces, &reclaimer);
  const auto add = [&](const std::string& port, const std::string& group) {
    return interfaces.AddPort(port, std::vector<std::string>{group});
  };
  uint64_t dmz = 0;
  for (size_t i = 0; i < InterfaceRegistry::kMaxGroups; ++i) {
    const std::string n = std::to_string(i);
    dmz = add("p" + n, i == 63 ? "dmz" : "g" + n + "x")->groups;
  }
  ASSERT_TRUE(store.Load(Parsed("block on dmz\npass on other\n")).ok());
  const auto refresh = [&] {
    absl::StatusOr<StagedGeneration> staged = store.StageRefresh();
    ASSERT_TRUE(staged.ok());
    ASSERT_NE(staged->next, nullptr);
    ASSERT_TRUE(store.Publish(*std::move(staged)).ok());
  };
  ASSERT_TRUE(interfaces.RemovePort("p63").ok());
  EXPECT_FALSE(add("q", "other").ok()) << "the rules in force know dmz";
  refresh();
  store.Poll();
  EXPECT_FALSE(add("q", "other").ok()) << "a worker may read the old ones";
  reclaimer.PassAll();
  store.Poll();
  const auto view = add("q", "other");
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_EQ(view->groups, dmz);
  // To the rules in force `dmz` is nothing, and `other` not yet anything.
  for (const CompiledRule& rule : store.current()->policy->rules) {
    EXPECT_FALSE(rule.on.name.Matches(*view));
  }
}

// ---- Ways back -------------------------------------------------------------

// What a commit has added to a table is gone with the commit: it takes no room
// from what was there before.
TEST_F(PolicyStoreTest, TablesGoBackWhateverHasBeenAdded) {
  const TableKey u{.anchor = "", .name = "u"};
  ASSERT_TRUE(LoadWithLimit(Limit::kTableEntries, 4,
                            "table <t> persist\ntable <u> persist\n"
                            "block from <t>\n")
                  .ok());
  ASSERT_TRUE(
      AddAddresses(*store_, t_, Entries({"192.0.2.1", "2001:db8::1"})).ok());
  const auto publish = [&](StagedGeneration staged) {
    return store_->Publish(std::move(staged));
  };
  const std::vector<TableBefore> before = {
      TableNow(*store_->generation(), t_), TableNow(*store_->generation(), u),
      TableNow(*store_->generation(), {.anchor = "", .name = "none"})};
  const auto more = Entries({"192.0.2.2"});
  const StagedTableEdit edits[] = {
      {.kind = TableEditKind::kAdd, .key = t_, .entries = more},
      {.kind = TableEditKind::kAdd, .key = u, .entries = more}};
  StagedGeneration staged(*store_->generation());
  ASSERT_TRUE(EditStaged(*store_, &staged, edits).ok());
  ASSERT_TRUE(publish(std::move(staged)).ok());
  EXPECT_EQ(Show(t_).size() + Show(u).size(), 4u);
  // Nobody else has room for as much.
  EXPECT_EQ(ReplaceAddresses(*store_, t_, Entries({"192.0.2.1", "2001:db8::1"}))
                .status()
                .code(),
            absl::StatusCode::kResourceExhausted);
  StagedGeneration back(*store_->generation());
  const absl::Status status = PutBack(*store_, &back, before);
  ASSERT_TRUE(status.ok()) << status;
  ASSERT_TRUE(publish(std::move(back)).ok());
  EXPECT_EQ(Show(t_), (Names{"192.0.2.1", "2001:db8::1"}));
  EXPECT_EQ(Show(u), Names{});
  EXPECT_EQ(TableNames(), (Names{"t", "u"}));
}

TEST_F(PolicyStoreTest, APolicyGoesBackWhateverHasBeenAdded) {
  Policy policy = Parsed("table <t> persist { 192.0.2.1 2001:db8::1 }\n"
                         "block from <t>\n");
  policy.options.limits[static_cast<size_t>(Limit::kTableEntries)] = 3;
  ASSERT_TRUE(store_->Load(policy).ok());
  ASSERT_TRUE(AddAddresses(*store_, t_, Entries({"192.0.2.2"})).ok());
  // As a load of it there is no room: old and new together.
  EXPECT_EQ(store_->Load(policy).code(), absl::StatusCode::kResourceExhausted);
  {
    const Ticket ticket = store_->Begin(/*comes_back=*/true);
    ASSERT_TRUE(store_->Define(ticket, policy).ok());
    const auto staged = store_->StageLoad(ticket);
    EXPECT_TRUE(staged.ok()) << staged.status();
    const absl::Status status = store_->Commit(ticket);
    EXPECT_TRUE(status.ok()) << status;
  }
  EXPECT_EQ(Show(t_), (Names{"192.0.2.1", "2001:db8::1"}));
}

// Whoever wants to know what was there before asks what it was built on, and
// not what was in force when it looked.
TEST_F(PolicyStoreTest, AStagedLoadSaysWhatItWasBuiltOn) {
  ASSERT_TRUE(Load("table <t> persist\nblock from <t>\n").ok());
  const Ticket ticket = store_->Begin();
  ASSERT_TRUE(
      store_->Define(ticket, Parsed("table <t> persist { 192.0.2.9 }\n"
                                    "pass from <t>\n"))
          .ok());
  const uint64_t looked = store_->generation()->number;
  ASSERT_TRUE(
      AddAddresses(*store_, t_, Entries({"192.0.2.1", "2001:db8::1"})).ok());
  std::shared_ptr<const Generation> base;
  const auto staged = store_->StageLoad(ticket, &base);
  ASSERT_TRUE(staged.ok()) << staged.status();
  ASSERT_NE(base, nullptr);
  EXPECT_EQ(base->number, staged->base);
  EXPECT_EQ(base->number, looked + 1);
  // And before the text defines it anew.
  const TableBefore before = TableNow(*base, t_);
  ASSERT_TRUE(before.contents.has_value());
  EXPECT_EQ(before.contents->Entries(),
            Entries({"192.0.2.1", "2001:db8::1"}));
  EXPECT_EQ(TableNow(*staged->next, t_).contents->size(), 1u);
  base = nullptr;
  ASSERT_TRUE(store_->Rollback(ticket).ok());
}

// ---- Several stores at once ------------------------------------------------

class PolicySetTest : public testing::Test {
 protected:
  PolicySetTest() {
    for (auto& store : stores_) {
      store = std::make_unique<PolicyStore>(
          PolicyStoreConfig{.workers = 1, .rule_slots = 64, .table_slots = 8,
                            .publication = &publication_},
          &interfaces_, &reclaimer_);
    }
  }
  StagedCommit Stage(size_t i, const std::string& text) {
    const Ticket ticket = stores_[i]->Begin();
    EXPECT_TRUE(stores_[i]->Define(ticket, Parsed(text)).ok());
    auto staged = stores_[i]->StageLoad(ticket);
    EXPECT_TRUE(staged.ok()) << staged.status();
    return {.store = stores_[i].get(), .ticket = ticket,
            .generation = *std::move(staged)};
  }
  std::array<uint64_t, 2> Hashes() const {
    return {stores_[0]->generation()->hash, stores_[1]->generation()->hash};
  }

  InterfaceRegistry interfaces_;
  ManualReclaimer reclaimer_;
  Publication publication_;
  std::array<std::unique_ptr<PolicyStore>, 2> stores_;
};

TEST_F(PolicySetTest, AnEarlierEpochHasNothingOfASet) {
  const uint64_t before = publication_.epoch();
  const std::array old = {stores_[0]->current(), stores_[1]->current()};
  std::vector<StagedCommit> set;
  set.push_back(Stage(1, "block\n"));
  set.push_back(Stage(0, "block in\n"));
  ASSERT_TRUE(PublishTogether(set).ok());
  EXPECT_EQ(publication_.epoch(), before + 1);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(stores_[i]->At(before), old[i]);
    EXPECT_EQ(stores_[i]->At(before + 1), stores_[i]->current());
    EXPECT_NE(stores_[i]->current(), old[i]);
    EXPECT_EQ(stores_[i]->live_generations(), 2u);
  }
  // What is published on top of it alone is not seen either.
  ASSERT_TRUE(stores_[0]->Load(Parsed("pass in\n")).ok());
  EXPECT_EQ(stores_[0]->At(before), old[0]);
  EXPECT_NE(stores_[0]->At(before + 1), stores_[0]->current());
  EXPECT_EQ(stores_[1]->At(before + 2), stores_[1]->current());
  reclaimer_.PassAll();
  for (const auto& store : stores_) {
    store->Poll();
    EXPECT_EQ(store->live_generations(), 1u);
    EXPECT_TRUE(CheckInvariants(*store).ok());
  }
}

TEST_F(PolicySetTest, OneThatIsRefusedRefusesAll) {
  const auto hashes = Hashes();
  const uint64_t epoch = publication_.epoch();
  const auto refused = [&](std::vector<StagedCommit> set, size_t who,
                           const std::string& why) {
    size_t culprit = 99;
    const absl::Status status = PublishTogether(set, &culprit);
    EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
    EXPECT_THAT(std::string(status.message()), HasSubstr(why));
    EXPECT_EQ(culprit, who);
    EXPECT_EQ(Hashes(), hashes);
    EXPECT_EQ(publication_.epoch(), epoch);
  };
  {  // A ticket that is not the newest any more.
    std::vector<StagedCommit> set;
    set.push_back(Stage(0, "block\n"));
    set.push_back(Stage(1, "block\n"));
    stores_[1]->Begin();
    refused(std::move(set), 1, "is not the newest");
  }
  {  // One that has ended.
    std::vector<StagedCommit> set;
    set.push_back(Stage(1, "block\n"));
    set.push_back(Stage(0, "block\n"));
    ASSERT_TRUE(stores_[0]->Rollback(set[1].ticket).ok());
    refused(std::move(set), 1, "has ended");
  }
  {  // Another text under the same ticket.
    std::vector<StagedCommit> set;
    set.push_back(Stage(0, "block\n"));
    ASSERT_TRUE(stores_[0]->Define(set[0].ticket, Parsed("pass\n")).ok());
    refused(std::move(set), 0, "generation moved");
  }
  // What is in force is another one by now.
  std::vector<StagedCommit> set;
  set.push_back(Stage(0, "block\n"));
  set.push_back(Stage(1, "block\n"));
  const auto entry = Entries({"192.0.2.1"});
  ASSERT_TRUE(
      AddAddresses(*stores_[1], {.anchor = "", .name = "x"}, entry).ok());
  size_t culprit = 99;
  EXPECT_EQ(PublishTogether(set, &culprit).code(), absl::StatusCode::kAborted);
  EXPECT_EQ(culprit, 1u);
  EXPECT_EQ(Hashes()[0], hashes[0]);
  // Built again it does.
  set[0] = Stage(0, "block\n");
  set[1] = Stage(1, "block\n");
  EXPECT_TRUE(PublishTogether(set).ok());
  EXPECT_EQ(stores_[0]->Commit(set[0].ticket).code(),
            absl::StatusCode::kAborted)
      << "the ticket has ended with it";
}

TEST_F(PolicySetTest, EditsOfTablesGoWithTheRules) {
  const TableKey bad = {.anchor = "", .name = "bad"};
  const auto entries = Entries({"192.0.2.1", "2001:db8::1"});
  ASSERT_TRUE(AddAddresses(*stores_[1], bad, entries).ok());
  std::vector<StagedCommit> set;
  set.push_back(Stage(0, "block from <bad>\n"));
  set.push_back({.store = stores_[1].get(), .ticket = 0,
                 .generation =
                     StagedGeneration(*stores_[1]->generation())});
  const auto others = Entries({"192.0.2.2", "!2001:db8::/64"});
  const StagedTableEdit make = {
      .kind = TableEditKind::kReplace, .key = bad, .entries = others};
  ASSERT_TRUE(EditStaged(*stores_[0], &set[0].generation,
                         std::span(&make, 1)).ok());
  const StagedTableEdit edits[] = {
      {.kind = TableEditKind::kAdd, .key = bad, .entries = others},
      {.kind = TableEditKind::kDelete, .key = bad, .entries = entries}};
  ASSERT_TRUE(EditStaged(*stores_[1], &set[1].generation, edits).ok());
  ASSERT_TRUE(PublishTogether(set).ok());
  for (const auto& store : stores_) {
    const auto now = PolicyListing(*store).Addresses(bad);
    ASSERT_TRUE(now.ok()) << now.status();
    EXPECT_EQ(*now, others);
    EXPECT_TRUE(CheckInvariants(*store).ok());
  }
  StagedGeneration none(*stores_[0]->generation());
  const StagedTableEdit wrong = {.kind = TableEditKind::kDelete,
                                 .key = {.anchor = "", .name = "none"},
                                 .entries = others};
  EXPECT_EQ(EditStaged(*stores_[0], &none, std::span(&wrong, 1)).code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace sluice
