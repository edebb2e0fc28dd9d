// Which states `-s states` asks for.
#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "nlohmann/json.hpp"
#include "tests/unit/dataplane/sluicectl/sluicectl_fixture.h"
#include "tests/unit/dataplane/sluicectl/sluicectl_words.h"

namespace sluice {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

class SluicectlStatesTest : public SluicectlToolTest {
 protected:
  void Add(uint64_t id, const char* source, uint64_t bytes) {
    StateListing state;
    state.id = id;
    state.protocol = 17;
    state.before = {.source = *ParseAddress(source),
                    .destination = *ParseAddress("10.0.0.1"),
                    .source_port = 1000,
                    .destination_port = 53};
    state.after = state.before;
    state.source.state = "SINGLE";
    state.destination.state = "NO_TRAFFIC";
    state.packets = {2, 1};
    state.bytes = {bytes, 1};
    filter_.states.push_back(state);
  }
};

TEST_F(SluicectlStatesTest, EveryConditionReachesTheDaemon) {
  const Outcome done =
      Run({"-s", "states", "--host", "2001:db8::1/64", "--port", "53",
           "--proto", "udp", "--label", "web", "--rule", "7", "--interface",
           "inside", "--age", "5m-2h", "--tag", "red", "--direction", "out"});
  EXPECT_EQ(done.status, 0) << done.err;
  const StateQuery& query = filter_.last_states;
  EXPECT_EQ(query.host, ParsePrefix("2001:db8::/64"));
  EXPECT_EQ(query.port, 53);
  EXPECT_EQ(query.protocol, 17);
  EXPECT_EQ(query.label, "web");
  EXPECT_EQ(query.rule, 7u);
  EXPECT_EQ(query.interface, "inside");
  EXPECT_EQ(query.tag, "red");
  EXPECT_EQ(query.min_age, 300u);
  EXPECT_EQ(query.max_age, 7200u);
  EXPECT_EQ(query.direction, Direction::kOut);
  EXPECT_FALSE(filter_.last_order.has_value());
  EXPECT_EQ(Run({"-ss", "--age", "-1d"}).status, 0);
  EXPECT_FALSE(filter_.last_states.min_age.has_value());
  EXPECT_EQ(filter_.last_states.max_age, 86400u);
}

TEST_F(SluicectlStatesTest, SortsLimitsAndCounts) {
  for (int i = 1; i <= 700; ++i) {
    Add(static_cast<uint64_t>(i), "10.0.0.2", static_cast<uint64_t>(i));
  }
  Add(1000, "10.9.0.2", 5000);
  json listed = json::parse(
      Run({"-ss", "--sort", "bytes", "--limit", "2", "--json"}).out)["states"];
  ASSERT_EQ(listed.size(), 2u);
  EXPECT_EQ(listed[0]["id"], "00000000000003e8");
  EXPECT_EQ(listed[1]["id"], "00000000000002bc");
  EXPECT_EQ(filter_.last_order, StateOrder::kBytes);
  EXPECT_EQ(json::parse(Run({"-ss", "--sort", "rate", "--json"}).out)["states"]
                .size(),
            100u);
  EXPECT_EQ(filter_.last_order, StateOrder::kRate);
  // Without an order the first that come, over pages.
  EXPECT_EQ(
      json::parse(Run({"-ss", "--limit", "600", "--json"}).out)["states"].size(),
      600u);
  EXPECT_EQ(Run({"-ss", "--limit", "1"}).out,
            "all udp 10.0.0.1:53 <- 10.0.0.2:1000       NO_TRAFFIC:SINGLE\n");
  EXPECT_EQ(Run({"-ss", "--count"}).out,
            "701 states, 2103 packets, 251051 bytes\n"
            "  udp        SINGLE                  701\n");
  const json count =
      json::parse(Run({"-ss", "--count", "--json"}).out)["states_count"];
  EXPECT_EQ(count["states"], 701);
  EXPECT_EQ(count["phases"][0]["phase"], "SINGLE");
}

TEST_F(SluicectlStatesTest, FiltersAreChanged) {
  EXPECT_EQ(Run({"filter", "create", "vm", "--ports", "tap1"}).status, 0);
  const Outcome done = Run({"filter", "change", "vm", "--ports", "tap1,tap2",
                            "--fail", "closed", "--hold-bypass", "no"});
  EXPECT_EQ(done.status, 0) << done.err;
  EXPECT_EQ(done.err, "filter vm changed\n");
  EXPECT_EQ(directory_.last_change.ports,
            (std::vector<std::string>{"tap1", "tap2"}));
  EXPECT_EQ(directory_.last_change.fail_policy, FailPolicy::kClosed);
  EXPECT_EQ(directory_.last_change.bypass_hold, false);
  EXPECT_THAT(ErrorOf({"filter", "change", "vm"}), HasSubstr("needs --ports"));
  EXPECT_THAT(ErrorOf({"filter", "change", "vm", "--ruleset", "x"}),
              HasSubstr("unknown option --ruleset"));
  EXPECT_THAT(ErrorOf({"log", "--module", "x"}), HasSubstr("needs --level"));
  EXPECT_THAT(ErrorOf({"log", "--level", "info", "--write", "f"}),
              HasSubstr("follows nothing"));
}

TEST(SluicectlStateArgumentsTest, WhatIsWrongIsSaid) {
  const std::pair<std::vector<std::string>, const char*> cases[] = {
      {{"--host", "10.0.0.256"}, "--host 10.0.0.256: say an address or"},
      {{"--host", "www.example"}, "--host www.example: say an address or"},
      {{"--port", "65536"}, "--port 65536: say a number from 0 to 65535"},
      {{"--port", "http"}, "--port http"},
      {{"--proto", "nonsense"}, "no protocol"},
      {{"--rule", "-1"}, "--rule -1"},
      {{"--age", "5m-"}, "--age 5m-: say"},
      {{"--age", "2h-1h"}, "--age 2h-1h: say"},
      {{"--age", "1y"}, "--age 1y: say"},
      {{"--age", "-"}, "--age -: say"},
      {{"--age", "50000d"}, "--age 50000d: say"},
      {{"--sort", "size"}, "say bytes, packets, age or rate"},
      {{"--limit", "0"}, "--limit 0: say a number from 1"},
      {{"--sort", "age", "--limit", "1001"}, "at most 1000"},
      {{"--count", "--sort", "age"}, "do not go with it"},
      {{"--direction", "up"}, "say in or out"},
      {{"-i", "a", "--interface", "b"}, "say it once"},
  };
  for (const auto& [words, error] : cases) {
    std::vector<std::string> all = {"-s", "states"};
    all.insert(all.end(), words.begin(), words.end());
    EXPECT_THAT(ErrorOf(all), HasSubstr(error));
  }
  EXPECT_THAT(ErrorOf({"-sr", "--host", "10.0.0.1"}),
              HasSubstr("go with -s states"));
  EXPECT_THAT(ErrorOf({"filter", "list", "--host", "10.0.0.1"}),
              HasSubstr("unknown option --host"));
}

}  // namespace
}  // namespace sluice
