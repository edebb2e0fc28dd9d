#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "dataplane/control/methods/call.h"
#include "dataplane/control/methods/method.h"
#include "dataplane/control/methods/operations.h"
#include "dataplane/control/socket/json_rpc.h"
#include "nlohmann/json.hpp"
#include "tests/unit/dataplane/control/control_operations_fixture.h"

namespace sluice {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

TEST_F(ControlOperationsTest, RefusesWhatIsNoRequest) {
  const std::vector<std::pair<std::string, int>> cases = {
      {"garbage", -32700},
      {"{\"jsonrpc\":\"2.0\"", -32700},
      {"\xff\xfe", -32700},
      {"[]", -32600},
      {"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"info.show\"}]", -32600},
      {"7", -32600},
      {"{\"id\":1,\"method\":\"info.show\"}", -32600},
      {"{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"info.show\"}", -32600},
      {"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"info.show\"}", -32600},
      {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":3}", -32600},
      {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"no.such\"}", -32601},
      {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"info.show\",\"params\":[]}",
       -32602},
      {std::string(100, '['), -32600},
  };
  for (const auto& [line, code] : cases) {
    answers_.clear();
    Send(line);
    ASSERT_EQ(answers_.size(), 1u) << line;
    EXPECT_EQ(json::parse(answers_[0])["error"]["code"], code) << line;
    EXPECT_EQ(answers_[0].find('\n'), std::string::npos);
  }
}

TEST_F(ControlOperationsTest, RefusesTooManyValuesBeforeBuildingThem) {
  std::string line = "[0";
  for (int i = 0; i < (1 << 20); ++i) line += ",0";
  Send(line + "]");
  Await(1);
  EXPECT_THAT(answers_[0], HasSubstr("too many"));
  EXPECT_EQ(json::parse(answers_[0])["error"]["code"], -32600);
}

TEST_F(ControlOperationsTest, AnswersWithTheIdOfTheRequest) {
  Request("control.version", json::object(), "my id");
  Await(1);
  const json answer = json::parse(answers_[0]);
  EXPECT_EQ(answer["id"], "my id");
  EXPECT_EQ(answer["jsonrpc"], "2.0");
  EXPECT_EQ(answer["result"]["protocol"], 1);
}

TEST_F(ControlOperationsTest, ANotificationIsDoneWithoutAnAnswer) {
  Send("{\"jsonrpc\":\"2.0\",\"method\":\"filter.enable\"}");
  EXPECT_THAT(answers_, ElementsAre(""));
  EXPECT_TRUE(filter_.enabled);
}

TEST_F(ControlOperationsTest, ParametersAreReadStrictly) {
  filter_.tables["t"] = {};
  EXPECT_EQ(Code("info.show", {{"extra", 1}}), -32602);
  EXPECT_EQ(Code("table.show"), -32602);
  EXPECT_EQ(Code("table.show", {{"table", 1}}), -32602);
  EXPECT_EQ(Code("table.show", {{"table", "a b"}}), -32602);
  EXPECT_EQ(Code("table.show", {{"table", std::string(32, 'a')}}), -32602);
  EXPECT_EQ(Code("table.show", {{"table", "t"}, {"limit", 0}}), -32602);
  EXPECT_EQ(Code("table.show", {{"table", "t"}, {"limit", -1}}), -32602);
  EXPECT_EQ(Code("table.show", {{"table", "t"}, {"cursor", "x"}}), -32602);
  EXPECT_EQ(Code("table.show", {{"table", "t"}}), 0);
  EXPECT_EQ(Code("table.add", {{"table", "t"}, {"addresses", {"10/8"}}}),
            -32602);
  EXPECT_EQ(Code("table.add", {{"table", "t"}, {"addresses", {1}}}), -32602);
  EXPECT_EQ(Code("table.test", {{"table", "t"}, {"addresses", {"::/0"}}}),
            -32602);
  EXPECT_EQ(Code("states.kill", {{"source", "10.0.0.256"}}), -32602);
  EXPECT_EQ(Code("states.kill", {{"id", "xyz"}}), -32602);
  EXPECT_EQ(Code("states.kill", {{"id", ""}}), -32602);
  EXPECT_EQ(Code("states.kill", {{"id", "00000000000000001"}}), -32602);
  EXPECT_EQ(Code("states.kill", {{"source_port", 65536}}), -32602);
  EXPECT_EQ(Code("states.kill", {{"direction", "up"}}), -32602);
  EXPECT_EQ(Code("states.kill", {{"vlan", "4096"}}), -32602);
  EXPECT_EQ(Code("states.kill", {{"vlan", 42}}), -32602);
  EXPECT_EQ(Code("ruleset.load"), -32602);
  EXPECT_EQ(Code("ruleset.load", {{"text", ""}, {"dialect", "linux"}}), -32602);
  EXPECT_EQ(Code("ruleset.load", {{"text", ""}, {"macros", {{"a", 1}}}}),
            -32602);
  EXPECT_EQ(Code("ruleset.load", {{"text", ""}, {"files", {{{"name", "a"}}}}}),
            -32602);
  EXPECT_TRUE(filter_.log.empty()) << "something was begun";
}

TEST_F(ControlOperationsTest, FramesOfATraceAreAskedForStrictly) {
  const auto frames = [&](json inner) {
    return Code("trace.open", {{"frames", std::move(inner)}});
  };
  EXPECT_EQ(frames({{"arriving", false}, {"snap_length", 96},
                    {"program", {6, 0, 0, 4294967295u}}}),
            0);
  const TraceQuery& asked = directory_.traces.last_query;
  ASSERT_TRUE(asked.frames.has_value());
  EXPECT_TRUE(!asked.frames->arriving && asked.frames->leaving);
  EXPECT_EQ(asked.frames->snap_length, 96u);
  EXPECT_EQ(asked.frames->program,
            (std::vector<std::array<uint32_t, 4>>{{6, 0, 0, 4294967295u}}));
  EXPECT_EQ(frames({{"arriving", false}, {"leaving", false}}), -32602);
  EXPECT_EQ(frames({{"snap_length", 0}}), -32602);
  EXPECT_EQ(frames({{"snap_length", 65536}}), -32602);
  EXPECT_EQ(frames({{"program", {6, 0, 0}}}), -32602) << "three of four";
  EXPECT_EQ(frames({{"program", {6, 256, 0, 0}}}), -32602);
  EXPECT_EQ(frames({{"program", {65536, 0, 0, 0}}}), -32602);
  EXPECT_EQ(frames({{"program", {6, 0, 0, -1}}}), -32602);
  EXPECT_EQ(frames({{"program", std::vector<int>(4 * 1025, 6)}}), -32602);
  EXPECT_EQ(frames({{"other", 1}}), -32602);
  EXPECT_EQ(Code("trace.open", {{"frames", true}}), -32602);
}

TEST_F(ControlOperationsTest, LoadsARuleset) {
  const json result = Result(
      "ruleset.load", {{"name", "pf.conf"},
                       {"text", "block all\npass out\n"},
                       {"files", {{{"name", "f"}, {"text", "10.0.0.1"}}}},
                       {"macros", {{"if", "em0"}}},
                       {"dialect", "freebsd"}});
  EXPECT_EQ(result["rules"], 2);
  EXPECT_EQ(result["generation"], 2);
  EXPECT_EQ(filter_.last_load.files.at(0).name, "f");
  EXPECT_EQ(filter_.last_load.files.at(0).text, "10.0.0.1");
  EXPECT_EQ(filter_.last_load.macros.at(0).second, "em0");
  EXPECT_EQ(filter_.last_load.dialect, Dialect::kFreeBsd);
  EXPECT_EQ(filter_.last_load.uid, 8u);
  EXPECT_EQ(filter_.last_load.pid, 7);
  const json rules = Result("rules.show");
  EXPECT_EQ(rules["rules"].size(), 2u);
  EXPECT_EQ(rules["rules"][1]["text"], "pass out");
  EXPECT_EQ(rules["uid"], 8);
}

TEST_F(ControlOperationsTest, ErrorsOfARulesetComeWithTheirPlaces) {
  filter_.rules.resize(3);
  const json answer =
      Ask("ruleset.load",
          {{"name", "pf.conf"}, {"text", "pass\nerror one\n\nerror \tä\n"}});
  EXPECT_EQ(answer["error"]["code"], -32005);
  EXPECT_THAT(answer["error"]["message"].get<std::string>(),
              HasSubstr("nothing was loaded"));
  ASSERT_EQ(answer["error"]["data"].size(), 2u);
  const json& first = answer["error"]["data"][0];
  EXPECT_EQ(first["file"], "pf.conf");
  EXPECT_EQ(first["line"], 2);
  EXPECT_EQ(first["column"], 1);
  EXPECT_EQ(first["message"], "syntax error");
  EXPECT_EQ(first["source_line"], "error one");
  EXPECT_EQ(filter_.rules.size(), 3u);
}

TEST_F(ControlOperationsTest, ADryRunChangesNothing) {
  EXPECT_EQ(
      Result("ruleset.load", {{"text", "pass\n"}, {"dry_run", true}})["rules"],
      1);
  EXPECT_TRUE(filter_.rules.empty());
  EXPECT_EQ(filter_.generation, 1u);
}

TEST_F(ControlOperationsTest, AnswersWhileTheBuilderIsBusy) {
  BuildGate gate;
  filter_.on_build = [&] { gate.Wait(); };
  Request("ruleset.load", {{"text", "pass\n"}});
  Request("info.show", json::object());
  Request("tables.list", json::object());
  // Both were answered on the spot: nobody has called Finish().
  EXPECT_EQ(answers_.size(), 2u);
  EXPECT_TRUE(operations_.busy());
  gate.Open();
  Await(3);
  EXPECT_FALSE(operations_.busy());
}

TEST_F(ControlOperationsTest, ChangesArePublishedInOrderOneAtATime) {
  Request("ruleset.load", {{"name", "a"}, {"text", "pass\n"}});
  Request("table.add", {{"table", "b"}, {"addresses", {"10.0.0.1"}}});
  Request("ruleset.load", {{"name", "c"}, {"text", "block\n"}});
  Await(3);
  EXPECT_THAT(filter_.log, ElementsAre("begin a", "build a", "publish a",
                                       "begin b", "build b", "publish b",
                                       "begin c", "build c", "publish c"));
  EXPECT_EQ(filter_.rules.at(0).text, "block");
}

// What is no change of this lane, a restore or a port that goes, may come
// between: nobody hears of it.
TEST_F(ControlOperationsTest, AChangeIsBuiltAgainWhenSomethingCameBetween) {
  filter_.outdated = 2;
  const json result = Result(
      "table.add", {{"table", "t"}, {"addresses", {"10.0.0.1", "fd00::1"}}});
  EXPECT_EQ(result["added"], 2);
  EXPECT_THAT(filter_.log, ElementsAre("begin t", "build t", "build t",
                                       "build t", "publish t"));
  EXPECT_EQ(Result("table.add", {{"table", "u"}, {"addresses", {"10.0.0.0/8"}}})
                ["table_created"],
            true)
      << "the lane is free again";
}

TEST_F(ControlOperationsTest, RefusesMoreChangesThanMayWait) {
  BuildGate gate;
  filter_.on_build = [&] { gate.Wait(); };
  const size_t total = Operations::kMaxWaitingJobs + 2;
  for (size_t i = 0; i < total; ++i) {
    Request("ruleset.load", {{"text", "pass\n"}});
  }
  ASSERT_EQ(answers_.size(), 1u);
  EXPECT_EQ(json::parse(answers_[0])["error"]["code"], -32004);
  gate.Open();
  Await(total);
  EXPECT_EQ(filter_.generation, total);
}

TEST_F(ControlOperationsTest, ALargeRequestIsDecodedByTheBuilder) {
  json addresses = json::array();
  for (int i = 0; i < 20'000; ++i) {
    addresses.push_back("10.0." + std::to_string(i / 256) + "." +
                        std::to_string(i % 256));
  }
  Request("table.add", {{"table", "t"}, {"addresses", addresses}});
  EXPECT_TRUE(answers_.empty());
  Await(1);
  EXPECT_EQ(json::parse(answers_[0])["result"]["added"], 20'000);
  EXPECT_EQ(filter_.tables["t"].size(), 20'000u);
}

TEST_F(ControlOperationsTest, ParametersMayComeInADescriptor) {
  const std::string params =
      json{{"name", "big"}, {"text", "pass\nblock\n"}}.dump();
  UniqueFd file(::memfd_create("test", MFD_CLOEXEC));
  ASSERT_EQ(::write(file.get(), params.data(), params.size()),
            static_cast<ssize_t>(params.size()));
  const std::string request =
      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ruleset.load\","
      "\"params\":{\"descriptor\":true}}";
  Send(request, std::move(file));
  Await(1);
  EXPECT_EQ(json::parse(answers_[0])["result"]["rules"], 2);

  // Without one, and with one that would have to be waited for.
  Send(request);
  Await(2);
  EXPECT_EQ(json::parse(answers_[1])["error"]["code"], -32602);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  UniqueFd write_end(ends[1]);
  Send(request, UniqueFd(ends[0]));
  Await(3);
  EXPECT_EQ(json::parse(answers_[2])["error"]["code"], -32602);
}

StateListing MakeState(uint64_t id, uint32_t source) {
  StateListing state;
  state.id = id;
  state.protocol = 6;
  state.before = {.source = Address::V4(source),
                  .destination = Address::V4(0x0a000001),
                  .source_port = 4567,
                  .destination_port = 22};
  state.after = state.before;
  state.source.state = "ESTABLISHED";
  state.destination.state = "ESTABLISHED";
  return state;
}

TEST_F(ControlOperationsTest, StatesComeBySlices) {
  for (uint64_t i = 0; i < 1300; ++i) {
    filter_.states.push_back(MakeState(i + 1, 0x0a000100));
  }
  size_t seen = 0;
  int pages = 0;
  json params = json::object();
  for (;;) {
    const json page = Result("states.show", params);
    for (const json& state : page["states"]) {
      ++seen;
      EXPECT_EQ(std::stoull(state["id"].get<std::string>(), nullptr, 16), seen);
    }
    ++pages;
    if (!page.contains("next")) break;
    params["cursor"] = page["next"];
  }
  EXPECT_EQ(seen, 1300u);
  EXPECT_EQ(pages, 3);
}

TEST_F(ControlOperationsTest, StatesMayBeSortedAndCounted) {
  for (uint64_t i = 0; i < 1300; ++i) {
    filter_.states.push_back(MakeState(i + 1, 0x0a000100));
    filter_.states.back().bytes = {i, 0};
  }
  const json page = Result("states.show", {{"sort", "bytes"}, {"limit", 3}});
  ASSERT_EQ(page["states"].size(), 3u);
  EXPECT_EQ(page["states"][0]["id"], "0000000000000514");
  EXPECT_FALSE(page.contains("next"));
  EXPECT_EQ(Result("states.show", {{"sort", "age"}})["states"].size(), 1000u);
  EXPECT_EQ(filter_.last_order, StateOrder::kAge);
  EXPECT_EQ(Code("states.show", {{"sort", "size"}}), -32602);
  EXPECT_EQ(Code("states.show", {{"sort", "age"}, {"cursor", "1"}}), -32602);
  EXPECT_EQ(Code("states.show", {{"limit", 0}}), -32602);
  const json count = Result("states.count", {{"source", "10.0.1.0/24"},
                                             {"host", "2001:db8::1/64"},
                                             {"port", 22},
                                             {"tag", "red"},
                                             {"min_age", 1},
                                             {"max_age", 2}});
  EXPECT_EQ(count["states"], 1300);
  EXPECT_EQ(count["bytes"], 1299 * 650);
  EXPECT_EQ(count["phases"][0]["protocol"], 17);
  EXPECT_EQ(filter_.last_states.host, ParsePrefix("2001:db8::/64"));
  EXPECT_EQ(filter_.last_states.port, 22);
  EXPECT_EQ(filter_.last_states.tag, "red");
  EXPECT_EQ(filter_.last_states.min_age, 1u);
  EXPECT_EQ(filter_.last_states.max_age, 2u);
  // One condition is enough not to be all.
  for (const json& condition :
       {json{{"host", "10.0.0.0/8"}}, json{{"port", 1}}, json{{"tag", "a"}},
        json{{"min_age", 1}}, json{{"max_age", 1}},
        json{{"gateway", "192.0.2.1"}}}) {
    EXPECT_EQ(Code("states.kill", condition), 0) << condition;
  }
}

TEST_F(ControlOperationsTest, StatesSayWhereRulesSendThem) {
  filter_.states = {MakeState(1, 0x0a000100), MakeState(2, 0x0a000101)};
  filter_.states[1].route = {.kind = RouteKind::kReplyTo,
                             .gateway = *ParseAddress("192.0.2.1"),
                             .interface = "wan2"};
  const json shown =
      Result("states.show", {{"gateway", "192.0.2.0/24"}})["states"];
  EXPECT_EQ(filter_.last_states.gateway, ParsePrefix("192.0.2.0/24"));
  EXPECT_FALSE(shown[0].contains("route"));
  EXPECT_EQ(shown[1]["route"], (json{{"kind", "reply-to"},
                                     {"gateway", "192.0.2.1"},
                                     {"interface", "wan2"}}));
}

TEST_F(ControlOperationsTest, CountsWhatBecameOfOrders) {
  Result("ruleset.load", {{"text", "a\nb\n"}});
  Code("ruleset.load", {{"text", "error\n"}});
  Code("states.kill");
  Code("no.such.method");
  Code("no.other.method");
  std::map<std::string, json> orders;
  const json shown = Result("process.show");
  for (const json& order : shown["orders"]) {
    orders[order["method"]] = order;
  }
  EXPECT_EQ(orders["ruleset.load"]["done"], 1);
  EXPECT_EQ(orders["ruleset.load"]["failed"], 1);
  EXPECT_EQ(orders["ruleset.load"]["changes"], 2);
  EXPECT_GE(orders["ruleset.load"]["publish_us"],
            orders["ruleset.load"]["longest_publish_us"]);
  EXPECT_EQ(orders["states.kill"]["failed"], 1);
  EXPECT_EQ(orders["unknown"]["failed"], 2) << "by no name of a stranger's";
  EXPECT_EQ(orders.count("no.such.method"), 0u);
  EXPECT_EQ(Code("log.level", {{"level", "debug"}}), -32000);
  EXPECT_EQ(Code("log.level"), -32602);
}

TEST_F(ControlOperationsTest, ListingsMayLeaveLivingStatesAlone) {
  int collected = 0;
  filter_.on_collect = [&](std::function<void()> done) {
    ++collected;
    done();
  };
  for (const char* method :
       {"info.show", "rules.show", "labels.show", "tables.list"}) {
    collected = 0;
    EXPECT_EQ(Code(method, {{"exact", false}}), 0);
    EXPECT_EQ(collected, 0) << method;
    EXPECT_EQ(Code(method), 0);
    EXPECT_EQ(collected, 1) << method;
  }
  EXPECT_TRUE(Result("info.show").contains("half_open_states"));
  EXPECT_FALSE(Result("info.show", {{"exact", false}})
                   .contains("half_open_states"));
}

TEST_F(ControlOperationsTest, StatesMayComeLater) {
  filter_.states.push_back(MakeState(1, 0x0a000100));
  filter_.hold_states = true;
  Request("states.show", json::object());
  Request("info.show", json::object());
  EXPECT_EQ(answers_.size(), 1u);
  ASSERT_EQ(filter_.held.size(), 1u);
  filter_.held[0]();
  ASSERT_EQ(answers_.size(), 2u);
  EXPECT_EQ(json::parse(answers_[1])["result"]["states"].size(), 1u);
}

TEST_F(ControlOperationsTest, KillsByEveryCondition) {
  EXPECT_EQ(Code("states.kill"), -32602) << "all states need states.flush";
  const json result = Result("states.kill", {{"interface", "inside"},
                                             {"vlan", "7.42"},
                                             {"source", "10.0.1.7/24"},
                                             {"destination", "2001:db8::/32"},
                                             {"source_port", 1},
                                             {"destination_port", 2},
                                             {"protocol", 17},
                                             {"direction", "out"},
                                             {"label", "web"},
                                             {"rule", 3},
                                             {"id", "00ff"},
                                             {"creator", "abcdef01"},
                                             {"tag", "WEB"},
                                             {"min_age", 60},
                                             {"helper", "ftp"}});
  EXPECT_EQ(result["killed"], 0);
  const StateQuery& query = filter_.last_kill;
  EXPECT_EQ(query.vlan, VlanId::Of(7, 42));
  EXPECT_EQ(query.interface, "inside");
  EXPECT_EQ(ToString(*query.source), "10.0.1.0/24");
  EXPECT_EQ(ToString(*query.destination), "2001:db8::/32");
  EXPECT_EQ(query.source_port, 1);
  EXPECT_EQ(query.destination_port, 2);
  EXPECT_EQ(query.protocol, 17);
  EXPECT_EQ(query.direction, Direction::kOut);
  EXPECT_EQ(query.label, "web");
  EXPECT_EQ(query.rule, 3u);
  EXPECT_EQ(query.id, 255u);
  EXPECT_EQ(query.creator_id, 0xabcdef01u);
  EXPECT_EQ(query.tag, "WEB");
  EXPECT_EQ(query.min_age, 60u);
  EXPECT_EQ(query.helper, StateHelper::kFtp);
  EXPECT_EQ(Code("states.kill", {{"helper", "sip"}}), -32602);

  filter_.states = {MakeState(1, 0x0a000100), MakeState(2, 0x0b000100)};
  EXPECT_EQ(Result("states.kill", {{"source", "10.0.0.0/8"}})["killed"], 1);
  EXPECT_EQ(Result("states.flush")["killed"], 1);
  EXPECT_TRUE(filter_.states.empty());
}

TEST_F(ControlOperationsTest, EditsTables) {
  const json entries = {"10.1.2.3/8", "!2001:db8::1"};
  json result = Result("table.add", {{"table", "t"}, {"addresses", entries}});
  EXPECT_EQ(result["added"], 2);
  EXPECT_EQ(result["table_created"], true);
  result = Result("table.show", {{"table", "t"}, {"limit", 1}});
  EXPECT_EQ(result["addresses"][0]["address"], "10.0.0.0/8");
  result = Result("table.show", {{"table", "t"}, {"cursor", result["next"]}});
  EXPECT_EQ(result["addresses"][0]["address"], "!2001:db8::1");
  EXPECT_FALSE(result.contains("next"));
  result = Result("table.test",
                  {{"table", "t"}, {"addresses", {"10.9.9.9", "2001:db8::1"}}});
  EXPECT_EQ(result["results"][0]["match"], true);
  EXPECT_EQ(result["results"][0]["entry"], "10.0.0.0/8");
  EXPECT_EQ(result["results"][1]["match"], false);
  result = Result("table.delete", {{"table", "t"},
                                   {"addresses", {"10.0.0.0/8", "::1"}},
                                   {"feedback", true}});
  EXPECT_EQ(result["deleted"], 1);
  EXPECT_EQ(result["changes"][0]["change"], "deleted");
  EXPECT_EQ(result["changes"][1]["change"], "none");
  result =
      Result("table.replace",
             {{"table", "t"}, {"addresses", {"192.0.2.1"}}, {"dry_run", true}});
  EXPECT_EQ(result["added"], 1);
  EXPECT_EQ(filter_.tables["t"].size(), 1u);
  EXPECT_EQ(Result("table.zero", {{"table", "t"}})["tables_zeroed"], 1);
  EXPECT_EQ(Result("table.flush", {{"table", "t"}})["deleted"], 1);
  EXPECT_EQ(Result("table.kill", {{"table", "t"}})["tables_deleted"], 1);
  EXPECT_EQ(Code("table.show", {{"table", "t"}}), -32006);
  EXPECT_EQ(Code("table.delete", {{"table", "t"}, {"addresses", {"::1"}}}),
            -32006);
  EXPECT_EQ(Result("tables.list")["tables"].size(), 0u);
}

TEST_F(ControlOperationsTest, EnablesAndDisables) {
  EXPECT_EQ(Code("filter.disable"), -32000);
  EXPECT_EQ(Code("filter.enable"), 0);
  EXPECT_EQ(Code("filter.enable"), -32000);
  EXPECT_EQ(Result("info.show")["enabled"], true);
  EXPECT_EQ(Code("filter.disable"), 0);
  EXPECT_FALSE(filter_.enabled);
}

TEST_F(ControlOperationsTest, ShowsSettings) {
  json timeouts = Result("timeouts.show")["timeouts"];
  EXPECT_EQ(timeouts[0],
            json({{"name", "tcp.first"}, {"value", 120}, {"unit", "s"}}));
  EXPECT_EQ(timeouts[1]["unit"], "states");
  json limits = Result("limits.show")["limits"];
  EXPECT_EQ(limits[0]["name"], "states");
  EXPECT_EQ(limits[0]["value"], 100000);
  EXPECT_EQ(Result("interfaces.show")["interfaces"][0]["skip"], true);
  EXPECT_EQ(Code("info.clear"), 0);
  EXPECT_EQ(filter_.info_cleared, 1);
  EXPECT_EQ(Code("rules.zero"), 0);
  EXPECT_EQ(filter_.counters_cleared, 1);
}

TEST_F(ControlOperationsTest, ShowsARuleOnceForEachOfItsLabels) {
  RuleListing plain, labelled;
  labelled.number = 1;
  labelled.labels = {"one", "two"};
  labelled.counters.packets = {3, 4};
  filter_.rules = {plain, labelled};
  const json labels =
      Result("labels.show", {{"interface", "em0"}, {"anchor", "a"}})["labels"];
  ASSERT_EQ(labels.size(), 2u);
  EXPECT_EQ(labels[0]["label"], "one");
  EXPECT_EQ(labels[1]["label"], "two");
  EXPECT_EQ(labels[1]["out"]["packets"], 4);
  EXPECT_EQ(filter_.last_rule_query.interface, "em0");
  EXPECT_EQ(filter_.last_rule_query.anchor, "a");
}

TEST_F(ControlOperationsTest, ControlCharactersAreRefusedAndNotRepeated) {
  const std::string bad = "a\x1b]0;b\n";
  const struct {
    const char* method;
    json params;
  } kRequests[] = {
      {"ruleset.load", {{"text", ""}, {"name", bad}}},
      {"ruleset.load",
       {{"text", ""}, {"files", {{{"name", bad}, {"text", ""}}}}}},
      {"ruleset.load", {{"text", ""}, {"macros", {{bad, "1"}}}}},
      {"rules.show", {{"anchor", bad}}},
      {"rules.show", {{"interface", bad}}},
      {"rules.show", {{"cursor", bad}}},
      {"rules.show", {{bad, 1}}},
      {"states.kill", {{"label", bad}}},
      {"states.kill", {{"label", "\x7f"}}},
      {"table.add", {{"table", bad}, {"addresses", json::array()}}},
      {"filter.create",
       {{"filter", "a"}, {"ports", {"p"}}, {"expect_restore", true},
        {"source", "/" + bad}}},
      {"port.add", {{"port", "p"}, {"device", bad}}},
      {"port.add", {{"port", bad}, {"device", "net_null0"}}},
  };
  for (const auto& [method, params] : kRequests) {
    const json answer = Ask(method, params);
    ASSERT_TRUE(answer.contains("error")) << method << params;
    EXPECT_EQ(answer["error"]["code"], -32602) << answer;
    EXPECT_EQ(answer["error"]["message"].get<std::string>().find('\x1b'),
              std::string::npos)
        << answer;
  }
  const json unknown = Ask(bad);
  EXPECT_THAT(unknown["error"]["message"].get<std::string>(),
              HasSubstr("a\\x1b]0;b\\x0a"));
  // A tab is one that labels have.
  EXPECT_EQ(Code("states.kill", {{"label", "a\tb"}}), 0);
}

TEST_F(ControlOperationsTest, AKeyThatIsGivenTwiceIsRefused) {
  const struct {
    const char* line;
    const char* where;
  } kLines[] = {
      {R"({"jsonrpc":"2.0","id":1,"id":2,"method":"rules.show"})", "id"},
      {R"({"jsonrpc":"2.0","id":1,"method":"rules.show","method":"states.flush"})",
       "method"},
      {R"({"jsonrpc":"2.0","id":1,"method":"states.kill","params":{"source":"10.0.0.1","source":"10.0.0.2"}})",
       "params.source"},
      // The same key, written in another way.
      {R"({"jsonrpc":"2.0","id":1,"method":"states.kill","params":{"label":"a","l\u0061bel":"b"}})",
       "params.label"},
      {R"({"jsonrpc":"2.0","id":1,"method":"ruleset.load","params":{"text":"","macros":{"a":"1","b":"2","a":"1"}}})",
       "params.macros.a"},
      {R"({"jsonrpc":"2.0","id":1,"method":"ruleset.load","params":{"text":"","files":[{"name":"a","text":""},{"name":"b","name":"c","text":""}]}})",
       "params.files.name"},
      // Without an id, too: nobody knows what was meant.
      {R"({"jsonrpc":"2.0","method":"states.flush","params":{"interface":"a","interface":"b"}})",
       "params.interface"},
  };
  for (const auto& [line, where] : kLines) {
    const size_t before = answers_.size();
    Send(line);
    ASSERT_EQ(answers_.size(), before + 1) << line;
    const json answer = json::parse(answers_.back());
    EXPECT_EQ(answer["error"]["code"], -32600) << answer;
    EXPECT_EQ(answer["error"]["message"],
              "\"" + std::string(where) + "\" is given twice");
  }
  EXPECT_EQ(filter_.generation, 1u);
  // The same key in objects beside each other is none twice.
  Send(R"({"jsonrpc":"2.0","id":1,"method":"ruleset.load","params":{"text":"","files":[{"name":"a","text":""},{"name":"b","text":""}]}})");
  Await(answers_.size() + 1);
  Send(R"({"jsonrpc":"2.0","id":1,"method":"control.version","params":{}})");
  EXPECT_THAT(answers_.back(), HasSubstr("result"));
}

TEST_F(ControlOperationsTest, AKeyThatADescriptorHasTwiceIsRefused) {
  UniqueFd fd(::memfd_create("test", MFD_CLOEXEC));
  const std::string text = R"({"text":"pass","text":"block"})";
  ASSERT_EQ(::write(fd.get(), text.data(), text.size()),
            static_cast<ssize_t>(text.size()));
  Send(R"({"jsonrpc":"2.0","id":1,"method":"ruleset.load","params":{"descriptor":true}})",
       std::move(fd));
  Await(1);
  EXPECT_THAT(answers_.back(), HasSubstr("-32602"));
  EXPECT_THAT(answers_.back(), HasSubstr("\\\"text\\\" twice"));
  EXPECT_EQ(filter_.generation, 1u);
}

TEST_F(ControlOperationsTest, TheDocumentNamesEveryMethod) {
  std::ifstream file(SLUICE_SOURCE_ROOT "/docs/control-protocol.md");
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  ASSERT_FALSE(text.empty());
  EXPECT_GE(AllMethods().size(), 38u);
  for (const Method* method : AllMethods()) {
    EXPECT_THAT(text, HasSubstr("`" + std::string(method->name) + "`"));
  }
}

TEST_F(ControlOperationsTest, StopsWithChangesThatWait) {
  BuildGate gate;
  filter_.on_build = [&] { gate.Wait(); };
  Operations* operations = new Operations(&directory_, builder_.get());
  int dropped = 0;
  for (int i = 0; i < 3; ++i) {
    operations->OnMessage(
        {.text = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ruleset.load\","
                 "\"params\":{\"text\":\"pass\"}}",
         .fd = {},
         .peer = {.role = Role::kAdmin}},
        Reply([&](std::optional<std::string> answer) {
          dropped += !answer.has_value();
        }));
  }
  gate.Open();
  builder_.reset();
  delete operations;
  EXPECT_EQ(dropped, 3);
  EXPECT_EQ(filter_.generation, 1u) << "nothing was published";
}

TEST_F(ControlOperationsTest, AddressesOfAnEditMayBeOneText) {
  EXPECT_EQ(Code("table.replace",
                 {{"table", "bad"},
                  {"addresses", "192.0.2.1\n!2001:db8::/32\n\n10.1.2.3/8"}}),
            0);
  ASSERT_EQ(filter_.last_edit.entries.size(), 3u);
  EXPECT_TRUE(filter_.last_edit.entries[1].negated);
  EXPECT_EQ(filter_.last_edit.entries[2].prefix, *ParsePrefix("10.0.0.0/8"));
  const json wrong = Ask("table.add", {{"table", "bad"},
                                       {"addresses", "192.0.2.1\n\nnone\n"}});
  EXPECT_EQ(wrong["error"]["code"], -32602);
  EXPECT_NE(std::string(wrong["error"]["message"]).find("2. is none"),
            std::string::npos);
  EXPECT_EQ(Code("table.add", {{"table", "bad"}, {"addresses", 3}}), -32602);
}

}  // namespace
}  // namespace sluice
