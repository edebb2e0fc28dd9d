// What top shows of the daemon's answers.
#include "dataplane/sluicectl/top_view.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice {
namespace {

using nlohmann::json;

json State(const std::string& id, const std::string& source, uint64_t bytes,
           uint64_t age) {
  return {{"id", id},
          {"creator", "1"},
          {"interface", "outside"},
          {"protocol", 6},
          {"direction", "in"},
          {"before",
           {{"source", source},
            {"source_port", 1000},
            {"destination", "10.0.0.1"},
            {"destination_port", 80}}},
          {"age", age},
          {"expires", 30},
          {"forward", {{"packets", 3}, {"bytes", bytes}}},
          {"backward", {{"packets", 2}, {"bytes", 0}}}};
}

std::vector<std::string> Sources(const TopModel& model, const char* order,
                                 bool reverse = false,
                                 std::string_view match = "",
                                 size_t limit = 10) {
  std::vector<std::string> sources;
  for (const TopRow& row :
       model.Sorted(*TopOrderNamed(TopView::kStates, order), reverse, match,
                    limit)) {
    sources.push_back(row.cells[2]);
  }
  return sources;
}

TEST(TopView, SortsFiltersAndCuts) {
  TopModel model;
  model.Take(TopView::kStates,
             json::array({State("a", "192.0.2.1", 1000, 100),
                          State("b", "192.0.2.2", 500, 1),
                          State("c", "2001:db8::3", 9000, 3000)}),
             1000);
  using Texts = std::vector<std::string>;
  EXPECT_EQ(Sources(model, "bytes"),
            (Texts{"[2001:db8::3]:1000", "192.0.2.1:1000", "192.0.2.2:1000"}));
  EXPECT_EQ(Sources(model, "rate"),
            (Texts{"192.0.2.2:1000", "192.0.2.1:1000", "[2001:db8::3]:1000"}))
      << "by its own age, at the first look";
  EXPECT_EQ(Sources(model, "age", true),
            (Texts{"192.0.2.2:1000", "192.0.2.1:1000", "[2001:db8::3]:1000"}));
  EXPECT_EQ(Sources(model, "source"),
            (Texts{"192.0.2.1:1000", "192.0.2.2:1000", "[2001:db8::3]:1000"}));
  EXPECT_EQ(Sources(model, "bytes", false, "192.0.2"),
            (Texts{"192.0.2.1:1000", "192.0.2.2:1000"}));
  EXPECT_EQ(Sources(model, "bytes", false, "", 1),
            (Texts{"[2001:db8::3]:1000"}));
  EXPECT_EQ(Sources(model, "bytes", false, "nothing"), Texts{});
}

TEST(TopView, RatesAreOfTheTimeBetweenTwoLooks) {
  TopModel model;
  model.Take(TopView::kStates,
             json::array({State("a", "192.0.2.1", 1000, 10),
                          State("b", "192.0.2.2", 9000, 10)}),
             1000);
  model.Take(TopView::kStates,
             json::array({State("a", "192.0.2.1", 5000, 12),
                          State("b", "192.0.2.2", 9000, 12),
                          State("n", "192.0.2.3", 600, 0)}),
             3000);
  const auto rows = model.Sorted(0, false, "", 10);
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].numbers.at("rate"), 2000u);
  EXPECT_EQ(rows[1].numbers.at("rate"), 600u) << "a new one's own";
  EXPECT_EQ(rows[2].numbers.at("rate"), 0u);
  // Counters that went back were zeroed; another view begins anew.
  model.Take(TopView::kStates,
             json::array({State("a", "192.0.2.1", 300, 12)}), 4000);
  EXPECT_EQ(model.Sorted(0, false, "", 1)[0].numbers.at("rate"), 300u);
  const json drops = json::array({{{"name", "match"}, {"value", 70}}});
  model.Take(TopView::kReasons, drops, 5000);
  EXPECT_EQ(model.Sorted(0, false, "", 1)[0].numbers.at("rate"), 0u);
  model.Take(TopView::kReasons,
             json::array({{{"name", "match"}, {"value", 100}}}), 7000);
  EXPECT_EQ(model.Sorted(0, false, "", 1)[0].numbers.at("rate"), 15u);
}

TEST(TopView, FitsIntoEightyColumns) {
  TopModel model;
  model.Take(TopView::kStates,
             json::array({State("a", "2001:db8:1111:2222:3333:4444:5555:6666",
                                uint64_t{1} << 60, 90'000'000),
                          State("b", "192.0.2.1\n\x1b[2J", 1, 1)}),
             1);
  for (const size_t width : {80u, 60u, 200u}) {
    const auto lines = LayOut(TopView::kStates, model.titles(),
                              model.Sorted(1, false, "", 10), width);
    ASSERT_EQ(lines.size(), 3u);
    for (const std::string& line : lines) {
      EXPECT_LE(line.size(), width);
      EXPECT_EQ(line.find('\x1b'), std::string::npos);
      EXPECT_EQ(line.find('\n'), std::string::npos);
    }
    EXPECT_TRUE(lines[0].starts_with("PROT DIR SOURCE"));
    EXPECT_TRUE(lines[0].ends_with("RATE")) << width;
    EXPECT_EQ(lines[1].find('~') != std::string::npos, width < 100);
  }
  // Nothing there is no trouble, and less room than for anything neither.
  EXPECT_EQ(LayOut(TopView::kPorts, {}, {}, 80).size(), 1u);
  EXPECT_LE(LayOut(TopView::kStates, model.titles(),
                   model.Sorted(0, false, "", 1), 5)[1]
                .size(),
            5u);
}

TEST(TopView, OtherViews) {
  TopModel model;
  model.Take(TopView::kPorts,
             json::array({{{"name", "outside"},
                           {"wire", "inside"},
                           {"filter", "main"},
                           {"present", true},
                           {"enabled", true},
                           {"link_up", false},
                           {"received", {{"packets", 5}, {"bytes", 700}}},
                           {"transmitted", {{"packets", 6}, {"bytes", 800}}},
                           {"missed", 1},
                           {"errors", 2}}}),
             1);
  EXPECT_EQ(model.Sorted(0, false, "", 1)[0].cells,
            (std::vector<std::string>{"outside", "inside", "main", "down", "5",
                                      "700", "6", "800", "3", "0", "0"}));
  model.Take(TopView::kRules,
             json::array({{{"number", 3},
                           {"text", "pass out all"},
                           {"evaluations", 10},
                           {"states", 2},
                           {"state_creations", 4},
                           {"in", {{"packets", 1}, {"bytes", 100}}},
                           {"out", {{"packets", 2}, {"bytes", 200}}}}}),
             1);
  EXPECT_EQ(model.Sorted(0, false, "", 1)[0].cells,
            (std::vector<std::string>{"@3", "10", "2", "4", "3", "300", "0",
                                      "pass out all"}));
  model.Take(TopView::kFilters,
             json::array({{{"name", "vm"},
                           {"state", "active"},
                           {"ports", {"a", "b"}},
                           {"states", 7},
                           {"rules", 8},
                           {"tables", 9},
                           {"generation", 10}}}),
             1);
  EXPECT_EQ(model.Sorted(0, false, "", 1)[0].cells,
            (std::vector<std::string>{"vm", "active", "2", "7", "8", "9",
                                      "10"}));
}

TEST(TopView, WorkersAreBusyByTheirRoundsBetweenTwoLooks) {
  const auto worker = [](uint64_t number, uint64_t rounds, uint64_t idle,
                         uint64_t received) {
    return json{{"worker", number},      {"stalled", number == 1},
                {"rounds", rounds},      {"idle_rounds", idle},
                {"received", received},  {"handed_in", 3},
                {"handed_out", 4},       {"states", 5}};
  };
  TopModel model;
  model.Take(TopView::kWorkers,
             json::array({worker(0, 1000, 900, 10), worker(1, 10, 10, 0)}), 1);
  EXPECT_EQ(model.Sorted(0, false, "", 2)[0].numbers.at("busy"), 10u);
  model.Take(TopView::kWorkers,
             json::array({worker(0, 2000, 1150, 2010), worker(1, 10, 10, 0)}),
             2001);
  const auto rows = model.Sorted(0, false, "", 2);
  EXPECT_EQ(rows[0].cells,
            (std::vector<std::string>{"0", "runs", "75%", "2010", "3", "4",
                                      "5", "1000"}));
  EXPECT_EQ(rows[1].cells[1], "STALLED");
  EXPECT_EQ(rows[1].numbers.at("busy"), 0u);
}

TEST(TopView, NamesKeysAndShortNumbers) {
  EXPECT_EQ(TopViewNamed("rea"), TopView::kReasons);
  EXPECT_FALSE(TopViewNamed("").has_value());
  EXPECT_EQ(TopViewNamed("workers"), TopView::kWorkers);
  EXPECT_FALSE(TopViewNamed("tables").has_value());
  EXPECT_EQ(TopOrderOfKey(TopView::kStates, 'A'), 3u);
  EXPECT_FALSE(TopOrderOfKey(TopView::kReasons, 'A').has_value());
  EXPECT_EQ(Short(99'999), "99999");
  EXPECT_EQ(Short(100'000), "100K");
  EXPECT_EQ(Short(12'345'678), "12.3M");
  EXPECT_EQ(Short(~uint64_t{0}), "18.4E");
  EXPECT_EQ(ShortTime(59), "59s");
  EXPECT_EQ(ShortTime(3 * 3600 + 300), "3h05");
  EXPECT_EQ(ShortTime(86400 * 5), "5d");
}

}  // namespace
}  // namespace sluice
