// Anchors at run time: what is loaded into them, what stays of it, what is
// flushed; and parts of a file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "dataplane/engine/engine.h"
#include "tests/support/mbuf_pool.h"
#include "tests/support/test_engine.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class AnchorsTest : public ::testing::Test {
 protected:
  AnchorsTest() : engine_(StartTestEngine(TestEngineOptions(pool_.get()))) {}
  void SetUp() override { ASSERT_NE(engine_, nullptr); }

  LiveFilter& main() { return engine_->filters().main(); }

  LoadResult Load(LoadRequest request) {
    request.name = "pf.conf";
    auto job = main().Rules().BeginLoad(std::move(request));
    job->Build();
    auto result = job->Publish();
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *std::move(result) : LoadResult{};
  }
  void MustLoad(std::string text, std::string anchor = "") {
    const LoadResult result =
        Load({.text = std::move(text), .anchor = std::move(anchor)});
    EXPECT_FALSE(result.HasErrors()) << FormatDiagnostics(result.diagnostics);
  }
  void Flush(PolicyFlush flush) {
    auto job = main().Rules().BeginFlushRules(std::move(flush));
    job->Build();
    const auto result = job->Publish();
    EXPECT_TRUE(result.ok()) << result.status();
  }
  // "!" for an anchor that is not there.
  std::vector<std::string> Rules(const std::string& anchor = "") {
    const auto slice =
        main().Rules().ListRules({.anchor = anchor, .interface = {}}, "", 100);
    if (!slice.ok()) return {"!"};
    std::vector<std::string> texts;
    for (const RuleListing& rule : slice->rules) texts.push_back(rule.text);
    return texts;
  }
  std::vector<std::string> Anchors(const std::string& anchor = "",
                                   bool below = true) {
    const auto paths = main().Rules().ListAnchors(anchor, below);
    return paths.ok() ? *paths : std::vector<std::string>{"!"};
  }
  std::vector<std::string> Table(const std::string& name,
                                 const std::string& anchor = "") {
    const auto slice = main().Tables().ListTable(name, anchor, "", 100);
    if (!slice.ok()) return {"!"};
    std::vector<std::string> texts;
    for (const TableAddressListing& a : slice->addresses) {
      texts.push_back(ToString(a.entry.prefix));
    }
    return texts;
  }
  void Add(const std::string& table, const std::string& anchor,
           const char* address) {
    TableEdit edit;
    edit.table = table;
    edit.anchor = anchor;
    edit.entries = {{.prefix = *ParsePrefix(address)}};
    auto job = main().Tables().BeginTableEdit(std::move(edit));
    job->Build();
    const auto result = job->Publish();
    EXPECT_TRUE(result.ok()) << result.status();
  }

  const MbufPool pool_{63};
  const std::unique_ptr<Engine> engine_;
};

TEST_F(AnchorsTest, ALoadIntoOneReplacesItAloneAndALoadOfMainKeepsIt) {
  MustLoad("table <m> persist { 192.0.2.1 }\nblock in\nanchor \"a/*\"\n");
  Add("m", "", "192.0.2.2");
  MustLoad("table <t> persist { 198.51.100.1 }\npass in from <t>\n", "a/x");
  MustLoad("pass out\n", "a/y");
  EXPECT_THAT(Rules(), ElementsAre("block drop in all", "anchor \"a/*\" all"));
  EXPECT_THAT(Rules("a/x"), ElementsAre("pass in from <t> to any flags S/SA"));
  EXPECT_THAT(Rules("a/y"), ElementsAre("pass out all flags S/SA"));
  EXPECT_THAT(Rules("b"), ElementsAre("!"));
  // Tables of main and of other anchors are what they were.
  EXPECT_THAT(Table("m"), ElementsAre("192.0.2.1", "192.0.2.2"));
  Add("t", "a/x", "198.51.100.2");
  MustLoad("block out\n", "a/y");
  EXPECT_THAT(Table("t", "a/x"), ElementsAre("198.51.100.1", "198.51.100.2"));
  // What the text of main does not have stays.
  MustLoad("table <m> persist { 192.0.2.9 }\npass in\nanchor \"a/*\"\n");
  EXPECT_THAT(Table("m"), ElementsAre("192.0.2.9"));
  EXPECT_THAT(Rules("a/x"), ElementsAre("pass in from <t> to any flags S/SA"));
  EXPECT_THAT(Table("t", "a/x"), ElementsAre("198.51.100.1", "198.51.100.2"));
  EXPECT_THAT(Anchors(), ElementsAre("a", "a/x", "a/y"));
  EXPECT_THAT(Anchors("a", false), ElementsAre("a/x", "a/y"));
  EXPECT_THAT(Anchors("none"), ElementsAre("!"));
}

// FreeBSD's rulesets one by one, in the main ruleset and in anchors.
TEST_F(AnchorsTest, EtherAndTranslationRulesAreShownAndFlushed) {
  LoadRequest request;
  request.dialect = Dialect::kFreeBsd;
  request.text =
      "ether pass in quick\nether anchor \"e\" { ether block out }\n"
      "nat on p inet all -> 192.0.2.1\nblock in\n";
  EXPECT_FALSE(Load(std::move(request)).HasErrors());
  const auto ether = [this](const std::string& anchor) {
    RuleQuery query;
    query.anchor = anchor;
    query.ether = true;
    const auto slice = main().Rules().ListRules(query, "", 100);
    std::vector<std::string> texts;
    if (!slice.ok()) return std::vector<std::string>{"!"};
    for (const RuleListing& rule : slice->rules) {
      texts.push_back(rule.text + (rule.calls.empty() ? "" : " " + rule.calls));
    }
    return texts;
  };
  const auto nat = [this] {
    RuleQuery query;
    query.translation = true;
    return main().Rules().ListRules(query, "", 100)->rules.size();
  };
  EXPECT_THAT(ether(""), ElementsAre("ether pass in quick l3 all",
                                     "ether anchor \"e\" l3 all e"));
  EXPECT_THAT(ether("e"), ElementsAre("ether block out l3 all"));
  EXPECT_THAT(ether("none"), ElementsAre("!"));
  EXPECT_THAT(Rules(), ElementsAre("block drop in all"));
  EXPECT_EQ(nat(), 1u);
  PolicyFlush flush;
  flush.ether = flush.filter = false;
  Flush(flush);
  EXPECT_EQ(nat(), 0u);
  EXPECT_THAT(ether(""), SizeIs(2));
  EXPECT_THAT(Rules(), SizeIs(1));
  flush = PolicyFlush();
  flush.anchor = "e";
  flush.translation = flush.filter = false;
  Flush(flush);
  EXPECT_THAT(ether("e"), IsEmpty());
  EXPECT_THAT(ether(""), SizeIs(2));
  flush.anchor = "";
  Flush(flush);
  EXPECT_THAT(ether(""), IsEmpty());
  EXPECT_THAT(Rules(), SizeIs(1));
}

TEST_F(AnchorsTest, AMistakeInOneChangesNothing) {
  MustLoad("anchor \"a\"\n");
  MustLoad("pass in\n", "a");
  const LoadResult refused =
      Load({.text = "pass in rtable 1\n", .anchor = "a"});
  EXPECT_TRUE(refused.HasErrors());
  EXPECT_THAT(Rules("a"), ElementsAre("pass in all flags S/SA"));
  EXPECT_TRUE(Load({.text = "pass\n", .anchor = "a//b"}).HasErrors());
  // It sets no options.
  MustLoad("set limit states 7\nblock\n", "a");
  EXPECT_NE(main().store().policy()->options.limit(Limit::kStates), 7u);
}

TEST_F(AnchorsTest, FlushesTakeWhatTheyAreAskedFor) {
  const auto load = [&] {
    MustLoad(
        "set limit states 4000\ntable <m> persist { 192.0.2.1 }\n"
        "block in\nanchor \"a\"\n");
    MustLoad(
        "table <t> persist { 198.51.100.1 }\npass in from <t>\n"
        "anchor \"b\"\n",
        "a");
    MustLoad("pass out\n", "a/b");
  };
  load();
  Flush({.anchor = "a"});
  EXPECT_THAT(Rules("a"), IsEmpty());
  EXPECT_THAT(Rules("a/b"), ElementsAre("pass out all flags S/SA"));
  EXPECT_THAT(Table("t", "a"), ElementsAre("198.51.100.1"));
  load();
  Flush({});
  EXPECT_THAT(Rules(), IsEmpty());
  EXPECT_THAT(Rules("a/b"), ElementsAre("pass out all flags S/SA"));
  EXPECT_EQ(main().store().policy()->options.limit(Limit::kStates), 4000u);
  load();
  Flush({.anchor = {}, .below = true});
  EXPECT_THAT(Rules(), IsEmpty());
  EXPECT_THAT(Rules("a/b"), ElementsAre("!"));
  EXPECT_THAT(Table("m"), ElementsAre("192.0.2.1"));
  Flush({.anchor = {}, .rules = false, .options = true});
  EXPECT_EQ(main().store().policy()->options.limit(Limit::kStates), 100000u);
  auto job = main().Tables().BeginFlushTables("", true);
  job->Build();
  EXPECT_EQ(*job->Publish(), 2u);
  EXPECT_THAT(Anchors(), IsEmpty());
}

TEST_F(AnchorsTest, ATableMayBeThereBeforeItsAnchor) {
  Add("t", "new/one", "192.0.2.1");
  EXPECT_THAT(Table("t", "new/one"), ElementsAre("192.0.2.1"));
  EXPECT_THAT(Anchors(), ElementsAre("new", "new/one"));
}

TEST_F(AnchorsTest, PartsOfAFile) {
  MustLoad("table <t> persist { 192.0.2.1 }\nblock in\n");
  const LoadResult result =
      Load({.text = "table <t> persist { 192.0.2.7 }\npass in\n",
            .parts = {.options = false,
                      .queues = false,
                      .ether = false,
                      .translation = false,
                      .filter = false}});
  EXPECT_FALSE(result.HasErrors());
  EXPECT_THAT(Rules(), ElementsAre("block drop in all"));
  EXPECT_THAT(Table("t"), ElementsAre("192.0.2.7"));
}

TEST_F(AnchorsTest, WhatIsLeftOutAndWhatChangesNothingIsKnown) {
  const LoadResult result =
      Load({.text = "queue q on em0 bandwidth 10M default\npass in rtable 1\n",
            .without = {"rtable"}});
  EXPECT_FALSE(result.HasErrors()) << FormatDiagnostics(result.diagnostics);
  EXPECT_EQ(result.diagnostics.size(), 2u);
  EXPECT_THAT(Rules(), ElementsAre("pass in all flags S/SA"));
  EXPECT_THAT(main().Status().Info().not_carried_out,
              ElementsAre("rtable: rules with it are loaded without it",
                          "queue: changes no verdict"));
}

TEST_F(AnchorsTest, PrintsWhatItLoads) {
  const LoadResult result =
      Load({.text = "set limit states 4000\nblock in\nanchor \"a\" { pass }\n",
            .print = 1});
  EXPECT_EQ(result.text,
            "set limit states 4000\nblock drop in all\nanchor \"a\" all {\n"
            "  pass all flags S/SA\n}\n");
  EXPECT_EQ(Load({.text = "set limit states 4000\nblock in\n",
                  .anchor = "a",
                  .print = 2})
                .text,
            "@0 block drop in all\n");
}

TEST_F(AnchorsTest, NamesOfHostsComeWithTheText) {
  EXPECT_TRUE(Load({.text = "block to www.sluice.invalid\n"}).HasErrors());
  const LoadResult result =
      Load({.text = "block to www.sluice.invalid\n",
            .hosts = {{"www.sluice.invalid",
                       {*ParseAddress("192.0.2.80"),
                        *ParseAddress("2001:db8::80")}}}});
  EXPECT_FALSE(result.HasErrors()) << FormatDiagnostics(result.diagnostics);
  EXPECT_THAT(Rules(),
              ElementsAre("block drop inet from any to 192.0.2.80",
                          "block drop inet6 from any to 2001:db8::80"));
}

TEST_F(AnchorsTest, VerboseRulesSayHowManyAddressesTablesHave) {
  MustLoad(
      "table <t> persist { 192.0.2.1 192.0.2.2 }\n"
      "block in from <t> to <absent>\nanchor \"a\"\n");
  MustLoad("table <t> persist { 192.0.2.1 }\npass in from <t>\n", "a");
  const auto text = [&](const std::string& anchor) {
    const auto slice = main().Rules().ListRules(
        {.anchor = anchor, .interface = {}, .members = true}, "", 1);
    return slice.ok() ? slice->rules.at(0).text : "";
  };
  EXPECT_EQ(text(""), "block drop in from <t:2> to <absent:*>");
  EXPECT_EQ(text("a"), "pass in from <t:1> to any flags S/SA");
}

TEST_F(AnchorsTest, DebugLevels) {
  Flush({.anchor = {}, .rules = false, .debug = "notice"});
  EXPECT_EQ(main().Status().Info().debug, "notice");
  auto job = main().Rules().BeginFlushRules({.anchor = {}, .rules = false, .debug = "loud"});
  job->Build();
  EXPECT_FALSE(job->Publish().ok()) << "a word of the other dialect";
}

}  // namespace
}  // namespace sluice
