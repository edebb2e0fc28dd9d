// Commits of filters, of one and of several: what takes them back, and what
// rules and tables are then.
#include "dataplane/filters/commit_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "dataplane/engine/engine.h"
#include "pftable/store/table_edits.h"
#include "tests/support/mbuf_pool.h"
#include "tests/support/test_engine.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;

// The filters main and vm, without ports, and a worker that makes no rounds.
class CommitSetTest : public ::testing::Test {
 protected:
  CommitSetTest() : engine_(StartTestEngine(TestEngineOptions(pool_.get()))) {}
  void SetUp() override {
    ASSERT_NE(engine_, nullptr);
    auto job = registry().BeginCreateFilter({.name = "vm", .ports = {"early"}});
    job->Build();
    const auto made = job->Publish();
    ASSERT_TRUE(made.ok()) << made.status();
  }

  FilterRegistry& registry() { return engine_->filters(); }
  LiveFilter& Of(const std::string& name) {
    return static_cast<LiveFilter&>(*registry().Find(name));
  }

  static LoadRequest Ruleset(std::string text, std::string anchor = "") {
    LoadRequest request;
    request.name = "rules";
    request.text = std::move(text);
    request.anchor = std::move(anchor);
    return request;
  }
  static TableEdit Edit(TableCommand command, const std::string& table,
                        const std::vector<std::string>& addresses) {
    TableEdit edit;
    edit.command = command;
    edit.table = table;
    for (const std::string& address : addresses) {
      edit.entries.push_back({.prefix = *ParsePrefix(address)});
    }
    return edit;
  }
  static void Load(LiveFilter& filter, LoadRequest request) {
    auto job = filter.Rules().BeginLoad(std::move(request));
    job->Build();
    const absl::StatusOr<LoadResult> result = job->Publish();
    ASSERT_TRUE(result.ok()) << result.status();
    ASSERT_FALSE(result->HasErrors())
        << FormatDiagnostics(result->diagnostics);
  }
  // Built for as long as it is outdated, and published.
  static void Finish(BuildJob<CommitSetResult>& job) {
    for (int i = 0; i < 3 && job.Outdated(); ++i) job.Build();
    const absl::StatusOr<CommitSetResult> result = job.Publish();
    ASSERT_TRUE(result.ok()) << result.status();
    for (const FilterOutcome& outcome : result->filters) {
      EXPECT_TRUE(outcome.status.ok()) << outcome.filter << outcome.status;
      EXPECT_FALSE(outcome.load.HasErrors())
          << FormatDiagnostics(outcome.load.diagnostics);
    }
  }
  void Commit(CommitSetRequest request) {
    const auto job = registry().BeginCommit(std::move(request));
    job->Build();
    Finish(*job);
  }
  void RollBack() {
    const auto job =
        registry().BeginRollbackTogether({"main", "vm"}, 0, 0);
    job->Build();
    Finish(*job);
  }
  static void WaitUntil(const std::function<bool()>& holds) {
    for (int i = 0; i < 10'000 && !holds(); ++i) usleep(1000);
    ASSERT_TRUE(holds());
  }

  // The rules of main and of vm.
  std::vector<std::string> Rules() {
    std::vector<std::string> texts;
    for (const char* name : {"main", "vm"}) {
      const auto slice = Of(name).Rules().ListRules({}, "", 100);
      std::string& text = texts.emplace_back();
      if (!slice.ok()) continue;
      for (const RuleListing& rule : slice->rules) {
        absl::StrAppend(&text, text.empty() ? "" : "; ", rule.text);
      }
    }
    return texts;
  }
  std::string LastCommit(const std::string& name) {
    const std::vector<CommitListing> commits = Of(name).Rules().Commits();
    return commits.empty() ? "none" : commits.front().what;
  }
  static std::vector<std::string> Table(LiveFilter& filter,
                                        const std::string& name) {
    const auto slice = filter.Tables().ListTable(name, "", "", 100);
    if (!slice.ok()) return {"no table"};
    std::vector<std::string> texts;
    for (const TableAddressListing& listed : slice->addresses) {
      texts.push_back(ToString(listed.entry.prefix));
    }
    return texts;
  }
  // A packet is the one of each rule with `once`.
  static void EndLives(LiveFilter& filter) {
    for (const CompiledRule& rule : filter.store().current()->rules()) {
      if (rule.once != 0) rule.record->EndLife(rule.once);
    }
  }
  // "+" for each rule with `once` that waits for its packet, "-" for the
  // others, behind the anchor that it is in.
  static std::string Lives(LiveFilter& filter) {
    const CompiledPolicy& policy = *filter.store().current()->policy;
    std::string text;
    for (size_t i = 0; i < policy.rules.size(); ++i) {
      if (policy.rules[i].once == 0) continue;
      absl::StrAppend(&text, policy.listed[i].anchor,
                      policy.rules[i].expired() ? "-" : "+");
    }
    return text;
  }

  const MbufPool pool_{63};  // starts DPDK, whose clock the plane has
  const std::unique_ptr<Engine> engine_;
};

TEST_F(CommitSetTest, ASetThatIsConfirmedWhileItsWayBackIsBuiltStays) {
  ASSERT_TRUE(LoadRules(Of("main"), "pass in\n").ok());
  ASSERT_TRUE(LoadRules(Of("vm"), "pass out\n").ok());
  const auto commit = [this](const std::string& text) {
    CommitSetRequest request;
    for (const char* name : {"main", "vm"}) {
      request.filters.push_back(
          {.filter = name, .rulesets = {Ruleset(text)}});
    }
    request.confirm_within = 1;
    Commit(std::move(request));
  };
  std::shared_ptr<const CommitSet> set;
  const auto overdue = [&] {
    set = Of("main").Rules().OverdueSet();
    return set != nullptr;
  };
  commit("block\n");
  WaitUntil(overdue);
  auto back = BeginRevertSet(set);
  ASSERT_NE(back, nullptr);
  back->Build();
  EXPECT_EQ(BeginRevertSet(set), nullptr) << "it is under way";
  ASSERT_TRUE(Of("vm").Rules().ConfirmCommit().ok());
  EXPECT_FALSE(back->Outdated());
  const auto result = back->Publish();
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(result->filters.size(), 2u);
  for (const FilterOutcome& outcome : result->filters) {
    EXPECT_TRUE(absl::IsCancelled(outcome.status)) << outcome.status;
  }
  back.reset();
  EXPECT_THAT(Rules(), ElementsAre("block drop all", "block drop all"));
  EXPECT_EQ(LastCommit("main"), "load");
  EXPECT_EQ(LastCommit("vm"), "load");
  EXPECT_FALSE(Of("main").Rules().IsOverdue());
  EXPECT_FALSE(Of("main").Rules().ConfirmCommit().ok()) << "nothing waits";

  // The next one, which nobody confirms, goes.
  commit("block in\n");
  EXPECT_THAT(Rules(), ElementsAre("block drop in all", "block drop in all"));
  WaitUntil(overdue);
  back = BeginRevertSet(set);
  ASSERT_NE(back, nullptr);
  back->Build();
  Finish(*back);
  EXPECT_THAT(Rules(), ElementsAre("block drop all", "block drop all"));
  EXPECT_EQ(LastCommit("main"), "not confirmed");
  EXPECT_EQ(LastCommit("vm"), "not confirmed");
}

TEST_F(CommitSetTest, ARulesetThatIsConfirmedWhileItsWayBackIsBuiltStays) {
  LiveFilter& vm = Of("vm");
  ASSERT_TRUE(LoadRules(vm, "pass out\n").ok());
  const auto load = [&](const std::string& text) {
    LoadRequest request = Ruleset(text);
    request.confirm_within = 1;
    Load(vm, std::move(request));
    WaitUntil([&] { return vm.Rules().IsOverdue(); });
  };
  load("block\n");
  auto back = vm.Rules().BeginRevert();
  ASSERT_NE(back, nullptr);
  back->Build();
  EXPECT_EQ(vm.Rules().BeginRevert(), nullptr) << "it is under way";
  ASSERT_TRUE(vm.Rules().ConfirmCommit().ok());
  EXPECT_FALSE(back->Outdated());
  EXPECT_TRUE(absl::IsCancelled(back->Publish().status()));
  back.reset();
  EXPECT_EQ(Rules()[1], "block drop all");
  EXPECT_EQ(LastCommit("vm"), "load");
  EXPECT_FALSE(vm.Rules().ConfirmCommit().ok()) << "nothing waits";

  load("block in\n");
  back = vm.Rules().BeginRevert();
  ASSERT_NE(back, nullptr);
  back->Build();
  const auto result = back->Publish();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(Rules()[1], "block drop all");
  EXPECT_EQ(LastCommit("vm"), "not confirmed");
}

TEST_F(CommitSetTest, EachTextOfACommitBeginsItsLives) {
  LiveFilter& vm = Of("vm");
  const std::string main_text =
      "table <t> { 192.0.2.1 2001:db8::1 }\n"
      "pass in proto udp from <t> once\nanchor \"web\"\n";
  const std::string web_text = "pass in proto tcp once\n";
  const auto commit = [&](std::vector<LoadRequest> rulesets) {
    CommitSetRequest request;
    request.filters.push_back(
        {.filter = "vm", .rulesets = std::move(rulesets)});
    Commit(std::move(request));
  };
  ASSERT_TRUE(LoadRules(vm, "block\n").ok());
  commit({Ruleset(main_text), Ruleset(web_text, "web")});
  EXPECT_EQ(Lives(vm), "+web+");
  EXPECT_THAT(Table(vm, "t"), ElementsAre("192.0.2.1", "2001:db8::1"));
  EndLives(vm);
  EXPECT_EQ(Lives(vm), "-web-");
  commit({Ruleset(main_text), Ruleset(web_text, "web")});
  EXPECT_EQ(Lives(vm), "+web+");
  EndLives(vm);
  commit({Ruleset(web_text, "web"), Ruleset(main_text)});
  EXPECT_EQ(Lives(vm), "+web+");
  // What a load does not have goes on.
  EndLives(vm);
  commit({Ruleset(main_text)});
  EXPECT_EQ(Lives(vm), "+web-");
  EndLives(vm);
  commit({Ruleset(web_text, "web")});
  EXPECT_EQ(Lives(vm), "-web+");
}

TEST_F(CommitSetTest, WhatComesBackBeginsItsLives) {
  LiveFilter& vm = Of("vm");
  const std::string text = "pass in proto udp once\nanchor \"web\"\n";
  Load(vm, Ruleset(text));
  Load(vm, Ruleset("pass in proto tcp once\n", "web"));
  // Of this one the anchor's rules are those in force, and then not any more.
  Load(vm, Ruleset(text));
  EndLives(vm);
  Load(vm, Ruleset("block\nanchor \"web\"\n"));
  EXPECT_EQ(Lives(vm), "web-");
  const auto back = vm.Rules().BeginRollback(1, 0, 0);
  back->Build();
  const auto result = back->Publish();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(Lives(vm), "+web+");

  // The same of a set.
  ASSERT_TRUE(LoadRules(Of("main"), "pass\n").ok());
  Load(vm, Ruleset(text));
  EndLives(vm);
  CommitSetRequest request;
  for (const char* name : {"main", "vm"}) {
    request.filters.push_back(
        {.filter = name,
         .rulesets = {Ruleset("block\nanchor \"web\"\n")}});
  }
  Commit(std::move(request));
  EXPECT_EQ(Lives(vm), "web-");
  RollBack();
  EXPECT_EQ(Lives(vm), "+web+");
}

TEST_F(CommitSetTest, TablesGoBackToWhatTheyWereWhenItWasPublished) {
  LiveFilter& vm = Of("vm");
  ASSERT_TRUE(LoadRules(Of("main"), "pass\n").ok());
  ASSERT_TRUE(LoadRules(vm,
                        "table <bad> persist\ntable <good> { 192.0.2.9 }\n"
                        "block from <bad>\npass from <good>\n"
                        "pass in proto udp once\n")
                  .ok());
  const auto add = [&](const std::string& table, const std::string& address) {
    const TableEdit edit = Edit(TableCommand::kAdd, table, {address});
    auto staged =
        StageOverload(vm.store(), {.anchor = "", .name = table}, edit.entries);
    ASSERT_TRUE(staged.ok()) << staged.status();
    ASSERT_TRUE(vm.store().Publish(std::move(staged->generation)).ok());
  };
  add("bad", "192.0.2.1");
  add("good", "192.0.2.8");
  EndLives(vm);
  CommitSetRequest request;
  request.filters.push_back(
      {.filter = "main", .rulesets = {Ruleset("block\n")}});
  request.filters.push_back(
      {.filter = "vm",
       .tables = {Edit(TableCommand::kReplace, "bad", {"2001:db8::1"})}});
  {
    const auto job = registry().BeginCommit(request);
    job->Build();
    // As `overload` does, which waits for nobody.
    add("bad", "192.0.2.5");
    EXPECT_TRUE(job->Outdated());
    job->Build();
    EXPECT_FALSE(job->Outdated());
    Finish(*job);
  }
  EXPECT_THAT(Table(vm, "bad"), ElementsAre("2001:db8::1"));
  RollBack();
  EXPECT_THAT(Table(vm, "bad"), ElementsAre("192.0.2.1", "192.0.2.5"));
  // No more than this was changed here: other tables keep what they have been
  // given, and rules their lives.
  EXPECT_THAT(Table(vm, "good"), ElementsAre("192.0.2.8", "192.0.2.9"));
  EXPECT_EQ(Lives(vm), "-");
  EXPECT_EQ(Rules()[0], "pass all flags S/SA");

  // With a ruleset that defines the table, too: what it was before that.
  request.filters[1] = {
      .filter = "vm",
      .rulesets = {Ruleset("table <bad> { 192.0.2.7 }\nblock from <bad>\n")},
      .tables = {Edit(TableCommand::kAdd, "bad", {"192.0.2.6"})}};
  Commit(request);
  EXPECT_THAT(Table(vm, "bad"), ElementsAre("192.0.2.6", "192.0.2.7"));
  RollBack();
  EXPECT_THAT(Table(vm, "bad"), ElementsAre("192.0.2.1", "192.0.2.5"));
}

TEST_F(CommitSetTest, ASetGoesBackWhateverItHasAddedToTables) {
  LiveFilter& vm = Of("vm");
  ASSERT_TRUE(LoadRules(Of("main"), "pass\n").ok());
  const std::string text =
      "set limit table-entries 3\n"
      "table <bad> persist { 192.0.2.1 2001:db8::1 }\nblock from <bad>\n";
  ASSERT_TRUE(LoadRules(vm, text).ok());
  for (const bool with_rules : {false, true}) {
    CommitSetRequest request;
    request.filters.push_back(
        {.filter = "main", .rulesets = {Ruleset("block\n")}});
    request.filters.push_back(
        {.filter = "vm",
         .tables = {Edit(TableCommand::kAdd, "bad", {"192.0.2.2"})}});
    if (with_rules) {
      request.filters[1].rulesets.push_back(Ruleset(text + "pass out\n"));
    }
    Commit(std::move(request));
    EXPECT_EQ(Table(vm, "bad").size(), 3u) << with_rules;
    RollBack();
    EXPECT_THAT(Table(vm, "bad"), ElementsAre("192.0.2.1", "2001:db8::1"))
        << with_rules;
  }
}

}  // namespace
}  // namespace sluice
