// Changes of a filter's tables and rules: built aside, in force when they are
// published and not before, and built again if something else came between.
#include <poll.h>

#include <memory>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dataplane/engine/engine.h"
#include "pftable/language/parser.h"
#include "tests/support/mbuf_pool.h"
#include "tests/support/test_engine.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

// Without ports, and its worker makes no rounds.
class PublishingTest : public ::testing::Test {
 protected:
  PublishingTest() : engine_(StartTestEngine(TestEngineOptions(pool_.get()))) {}
  void SetUp() override { ASSERT_NE(engine_, nullptr); }

  LiveFilter& main() { return engine_->filters().main(); }
  uint64_t InForce() { return main().store().current()->number; }

  static TableEdit EditOf(TableCommand command,
                          std::initializer_list<const char*> addresses) {
    TableEdit edit;
    edit.command = command;
    edit.table = "bad";
    for (const char* address : addresses) {
      edit.entries.push_back({.prefix = *ParsePrefix(address)});
    }
    return edit;
  }
  TableEditResult Do(TableEdit edit) {
    auto job = main().Tables().BeginTableEdit(std::move(edit));
    job->Build();
    auto result = job->Publish();
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *std::move(result) : TableEditResult{};
  }
  std::vector<TableAddressListing> Listed() {
    auto slice = main().Tables().ListTable("bad", "", "", 100);
    return slice.ok() ? slice->addresses : std::vector<TableAddressListing>{};
  }

  const MbufPool pool_{63};  // starts DPDK, whose clock the plane has
  const std::unique_ptr<Engine> engine_;
};

TEST_F(PublishingTest, AnEditOfATableIsInForceWhenItIsPublished) {
  auto job = main().Tables().BeginTableEdit(
      EditOf(TableCommand::kAdd, {"192.0.2.1", "2001:db8::1"}));
  const uint64_t before = InForce();
  job->Build();
  EXPECT_EQ(InForce(), before) << "the builder published it";
  EXPECT_THAT(main().Tables().ListTables(), SizeIs(0));
  const auto result = job->Publish();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->added, 2u);
  EXPECT_TRUE(result->table_created);
  EXPECT_THAT(Listed(), SizeIs(2));
}

// Large tables are indexed by the builder once they are in force, and again when
// edits have left too many of them behind.
TEST_F(PublishingTest, ManyTablesAreIndexedAside) {
  ParseInput input;
  input.text = "set limit table-entries 100000\n";
  for (int t = 0; t < 10; ++t) {
    input.text += "table <t" + std::to_string(t) + "> {";
    for (int i = 0; i < 4000; ++i) {
      input.text += " 10." + std::to_string(t) + "." +
                    std::to_string(i / 250) + "." + std::to_string(i % 250);
    }
    input.text += " }\nblock in from <t" + std::to_string(t) + ">\n";
  }
  ParseResult parsed = ParsePolicy(std::move(input));
  ASSERT_TRUE(parsed.ok());
  const PolicyStore& store = main().store();
  ASSERT_TRUE(main().store().Load(std::move(parsed.policy)).ok());
  ASSERT_TRUE(store.WantsIndex());
  uint64_t now = 0;
  const auto wait = [&] {
    while (store.WantsIndex()) {
      engine_->filters().Poll(now += 100'000);
      pollfd waiting = {engine_->builder().event_fd(), POLLIN, 0};
      ASSERT_EQ(poll(&waiting, 1, 60'000), 1);
      engine_->builder().Finish();
    }
  };
  const uint64_t number = InForce();
  wait();
  EXPECT_EQ(InForce(), number) << "the policy is the same";
  for (const TableView& table : store.current()->tables) {
    EXPECT_NE(table.bit, TableIndex::kNoBit);
  }
  const IndexedTables* const first = store.current()->index.get();
  for (int t = 0; t < 4; ++t) {
    TableEdit edit = EditOf(TableCommand::kAdd, {"192.0.2.1"});
    edit.table = "t" + std::to_string(t);
    EXPECT_EQ(Do(std::move(edit)).added, 1u);
  }
  EXPECT_EQ(store.current()->index.get(), first);
  ASSERT_TRUE(store.WantsIndex());
  wait();
  EXPECT_NE(store.current()->index.get(), first);
}

TEST_F(PublishingTest, WeightsOfAddressesAreListed) {
  ParseInput input;
  input.text =
      "table <bad> persist { 192.0.2.1 weight 3 192.0.2.2 2001:db8::1 weight 9 "
      "}\n";
  ParseResult parsed = ParsePolicy(std::move(input));
  ASSERT_TRUE(parsed.ok());
  ASSERT_TRUE(main().store().Load(std::move(parsed.policy)).ok());
  EXPECT_EQ(Do(EditOf(TableCommand::kAdd, {"192.0.2.3"})).added, 1u);
  std::vector<uint16_t> weights;
  for (const TableAddressListing& listed : Listed()) {
    weights.push_back(listed.entry.weight);
  }
  EXPECT_THAT(weights, ElementsAre(3, 0, 0, 9));
}

// Counters of addresses: `zero` takes the named ones or all, `reset` those that
// have counted.
TEST_F(PublishingTest, CountersOfAddressesAreZeroed) {
  ParseInput input;
  input.text =
      "table <bad> persist counters { 192.0.2.1 192.0.2.2 2001:db8::1 }\n";
  ParseResult parsed = ParsePolicy(std::move(input));
  ASSERT_TRUE(parsed.ok());
  ASSERT_TRUE(main().store().Load(std::move(parsed.policy)).ok());
  EXPECT_TRUE(main().Tables().CountsByAddress("bad", ""));
  EXPECT_FALSE(main().Tables().CountsByAddress("good", ""));
  const auto count = [this] {
    const auto generation = main().store().generation();
    const GenerationTable* const table =
        generation->FindTable({.anchor = "", .name = "bad"});
    for (const char* address : {"192.0.2.1", "2001:db8::1"}) {
      table->entries->Count(0, *ParsePrefix(address), 1, TableOp::kBlock, 2,
                            120);
    }
  };
  const auto packets = [this] {
    std::vector<uint64_t> of;
    for (const TableAddressListing& listed : Listed()) {
      of.push_back(listed.traffic->packets[1][static_cast<size_t>(
          TableCounter::kBlock)]);
    }
    return of;
  };
  count();
  EXPECT_THAT(packets(), ElementsAre(2, 0, 2));
  TableEdit edit = EditOf(TableCommand::kZero, {"192.0.2.1", "192.0.2.9"});
  edit.feedback = true;
  edit.dry_run = true;
  EXPECT_EQ(Do(edit).addresses_zeroed, 1u);
  EXPECT_THAT(packets(), ElementsAre(2, 0, 2));
  edit.dry_run = false;
  TableEditResult result = Do(edit);
  EXPECT_EQ(result.addresses_zeroed, 1u);
  ASSERT_THAT(result.changes, SizeIs(2));
  EXPECT_EQ(result.changes[0].second, TableFeedback::kCleared);
  EXPECT_EQ(result.changes[1].second, TableFeedback::kNone);
  EXPECT_THAT(packets(), ElementsAre(0, 0, 2));
  count();
  result = Do(EditOf(TableCommand::kReset, {}));
  EXPECT_EQ(result.addresses_zeroed, 2u);
  EXPECT_EQ(result.addresses, 3u);
  EXPECT_THAT(packets(), ElementsAre(0, 0, 0));
  EXPECT_EQ(Do(EditOf(TableCommand::kReset, {})).addresses_zeroed, 0u);
  count();
  EXPECT_EQ(Do(EditOf(TableCommand::kZero, {})).tables_zeroed, 1u);
  EXPECT_THAT(packets(), ElementsAre(0, 0, 0));
}

TEST_F(PublishingTest, EachCommandWaitsForThat) {
  for (const TableCommand command :
       {TableCommand::kAdd, TableCommand::kDelete, TableCommand::kReplace,
        TableCommand::kFlush, TableCommand::kKill}) {
    Do(EditOf(TableCommand::kReplace, {"192.0.2.1", "2001:db8::1"}));
    auto job = main().Tables().BeginTableEdit(
        command == TableCommand::kDelete
            ? EditOf(command, {"192.0.2.1"})
            : EditOf(command, {"192.0.2.1", "192.0.2.2"}));
    const uint64_t before = InForce();
    job->Build();
    EXPECT_EQ(InForce(), before) << static_cast<int>(command);
    EXPECT_THAT(Listed(), SizeIs(2));
    ASSERT_TRUE(job->Publish().ok());
    EXPECT_NE(InForce(), before) << static_cast<int>(command);
  }
  Do(EditOf(TableCommand::kAdd, {"192.0.2.1"}));
  auto job = main().Tables().BeginFlushTables("", false);
  job->Build();
  EXPECT_THAT(main().Tables().ListTables(), SizeIs(1));
  const auto killed = job->Publish();
  ASSERT_TRUE(killed.ok());
  EXPECT_EQ(*killed, 1u);
  EXPECT_THAT(main().Tables().ListTables(), SizeIs(0));
}

// A restore, or a port that goes, is not in the lane of the changes.
TEST_F(PublishingTest, WhatCameBetweenMakesAnEditOutdated) {
  Do(EditOf(TableCommand::kAdd, {"192.0.2.1"}));
  auto edit = main().Tables().BeginTableEdit(
      EditOf(TableCommand::kAdd, {"192.0.2.1", "2001:db8::1"}));
  auto flush = main().Tables().BeginFlushTables("", false);
  edit->Build();
  flush->Build();
  EXPECT_FALSE(edit->Outdated());
  Do(EditOf(TableCommand::kDelete, {"192.0.2.1"}));
  ASSERT_TRUE(edit->Outdated());
  ASSERT_TRUE(flush->Outdated());
  edit->Build();
  ASSERT_FALSE(edit->Outdated());
  const auto result = edit->Publish();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->added, 2u) << "neither is there any more";
  EXPECT_THAT(Listed(), SizeIs(2));
  EXPECT_TRUE(absl::IsAborted(flush->Publish().status()));
  EXPECT_THAT(Listed(), SizeIs(2));
}

TEST_F(PublishingTest, ATrialIsNeverOutdatedAndChangesNothing) {
  Do(EditOf(TableCommand::kAdd, {"192.0.2.1"}));
  TableEdit trial = EditOf(TableCommand::kReplace, {"2001:db8::1"});
  trial.dry_run = true;
  trial.feedback = true;
  auto job = main().Tables().BeginTableEdit(trial);
  job->Build();
  Do(EditOf(TableCommand::kAdd, {"192.0.2.2"}));
  EXPECT_FALSE(job->Outdated());
  const uint64_t before = InForce();
  const auto result = job->Publish();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->deleted, 1u);
  EXPECT_THAT(result->changes, SizeIs(2));
  EXPECT_EQ(InForce(), before);
}

TEST_F(PublishingTest, AnEditOfADestroyedFilterEndsWithAnError) {
  auto edit = main().Tables().BeginTableEdit(
      EditOf(TableCommand::kAdd, {"192.0.2.1"}));
  edit->Build();
  main().MarkDestroyed();
  EXPECT_TRUE(absl::IsNotFound(edit->Publish().status()));
  EXPECT_THAT(Listed(), SizeIs(0));
}

// What rules call a port of has changed: they are compiled aside too.
TEST_F(PublishingTest, RulesFollowThePortsOnTheControlLcore) {
  ASSERT_TRUE(engine_->ports().Name("later").ok());
  const uint64_t before = InForce();
  engine_->filters().RefreshRules();
  pollfd built = {.fd = engine_->builder().event_fd(), .events = POLLIN, .revents = 0};
  ASSERT_EQ(::poll(&built, 1, 10'000), 1);
  EXPECT_EQ(InForce(), before) << "the builder published them";
  engine_->builder().Finish();
  EXPECT_NE(InForce(), before);
}

// Else it would let through nothing of a port that came after it.
TEST_F(PublishingTest, AnEmergencyRulesetFollowsThePortsToo) {
  auto job = engine_->filters().BeginCreateFilter(
      {.name = "web",
       .ports = {"early"},
       .fail_policy = FailPolicy::kOpen,
       .emergency = LoadRequest{.name = "rules", .text = "pass on later\n"}});
  job->Build();
  ASSERT_TRUE(job->Publish().ok());
  LiveFilter* const emergency =
      static_cast<LiveFilter*>(engine_->filters().Find("web"))->emergency();
  ASSERT_NE(emergency, nullptr);
  const uint64_t old = emergency->store().current()->policy->interface_version;
  ASSERT_TRUE(engine_->ports().Name("later").ok());
  engine_->filters().RefreshRules();
  pollfd built = {.fd = engine_->builder().event_fd(), .events = POLLIN, .revents = 0};
  while (emergency->store().current()->policy->interface_version == old) {
    ASSERT_EQ(::poll(&built, 1, 10'000), 1) << "nobody compiles it";
    engine_->builder().Finish();
  }
}

TEST_F(PublishingTest, RulesThatCannotBePublishedFollowThePortsAllTheSame) {
  ASSERT_TRUE(engine_->ports().Name("later").ok());
  engine_->filters().RefreshRules();
  pollfd built = {.fd = engine_->builder().event_fd(), .events = POLLIN, .revents = 0};
  ASSERT_EQ(::poll(&built, 1, 10'000), 1);
  Do(EditOf(TableCommand::kAdd, {"192.0.2.1"}));
  const uint64_t old = main().store().current()->policy->interface_version;
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(::poll(&built, 1, 10'000), 1);
    engine_->builder().Finish();
  }
  EXPECT_GT(main().store().current()->policy->interface_version, old);
  EXPECT_THAT(Listed(), SizeIs(1)) << "and the edit stays";
}

}  // namespace
}  // namespace sluice
