// Filters and ports on the control socket.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/control/methods/method.h"
#include "dataplane/control/socket/json_rpc.h"
#include "tests/support/fake_transfer.h"
#include "tests/unit/dataplane/control/control_operations_fixture.h"

namespace sluice {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr int kInvalid = -32602;
constexpr int kRefused = -32000;

class ControlFiltersTest : public ControlOperationsTest {
 protected:
  FakeFilterControl& Made(const std::string& name) {
    return *directory_.made.at(name).filter;
  }
  std::string Message(const std::string& method, json params) {
    const json answer = Ask(method, std::move(params));
    return answer.contains("error")
               ? answer["error"]["message"].get<std::string>()
               : "no error";
  }
};

TEST_F(ControlFiltersTest, MakesAFilterOfAllItsParameters) {
  const json result =
      Result("filter.create", {{"filter", "vm-1"},
                               {"ports", {"tap1", "tap2"}},
                               {"ruleset",
                                {{"name", "vm.conf"},
                                 {"text", "block\npass out\n"},
                                 {"macros", {{"if", "tap1"}}},
                                 {"dialect", "freebsd"}}},
                               {"expect_restore", true},
                               {"source", "/var/lib/sluice"},
                               {"fail", "open"},
                               {"emergency", {{"text", "block in\n"}}},
                               {"bypass_hold", false}});
  EXPECT_EQ(result["rules"], 2);
  EXPECT_EQ(result["diagnostics"], json::array());
  const FilterSpec& spec = directory_.last_filter;
  EXPECT_EQ(spec.name, "vm-1");
  EXPECT_THAT(spec.ports, ElementsAre("tap1", "tap2"));
  EXPECT_EQ(spec.ruleset->name, "vm.conf");
  EXPECT_EQ(spec.ruleset->macros.at(0).second, "tap1");
  EXPECT_EQ(spec.ruleset->dialect, Dialect::kFreeBsd);
  EXPECT_EQ(spec.ruleset->uid, 8u);
  EXPECT_EQ(spec.ruleset->pid, 7);
  EXPECT_EQ(spec.emergency->text, "block in\n");
  EXPECT_EQ(spec.emergency->uid, 8u);
  EXPECT_TRUE(spec.expect_restore);
  EXPECT_EQ(spec.source, "/var/lib/sluice");
  EXPECT_EQ(spec.fail_policy, FailPolicy::kOpen);
  EXPECT_FALSE(spec.bypass_hold);
}

TEST_F(ControlFiltersTest, ChangesWhatIsGivenAndNothingElse) {
  ASSERT_EQ(Code("filter.create", {{"filter", "vm"}, {"ports", {"tap1"}}}), 0);
  EXPECT_EQ(Code("filter.change", {{"filter", "vm"}, {"fail", "open"}}), 0);
  EXPECT_EQ(directory_.last_change.fail_policy, FailPolicy::kOpen);
  EXPECT_FALSE(directory_.last_change.ports.has_value());
  EXPECT_FALSE(directory_.last_change.bypass_hold.has_value());
  EXPECT_EQ(Code("filter.change", {{"filter", "vm"},
                                   {"ports", {"a", "b"}},
                                   {"bypass_hold", false}}),
            0);
  EXPECT_EQ(directory_.last_change.ports,
            (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(directory_.last_change.bypass_hold, false);
  EXPECT_FALSE(directory_.last_change.fail_policy.has_value());
  EXPECT_EQ(Code("filter.change", {{"filter", "vm"}}), -32602);
  EXPECT_EQ(Code("filter.change", {{"filter", "vm"}, {"fail", "ajar"}}),
            -32602);
  EXPECT_EQ(Code("filter.change", {{"filter", "vm"}, {"bypass_hold", 1}}),
            -32602);
  EXPECT_EQ(Code("filter.change", {{"filter", "vm"}, {"source", "/x"}}),
            -32602);
  EXPECT_EQ(Code("filter.change", {{"filter", "nobody"}, {"fail", "open"}}),
            kNotFound);
}

TEST_F(ControlFiltersTest, AFilterNeedsLittle) {
  EXPECT_EQ(Code("filter.create", {{"filter", "a"}, {"ports", {"p"}}}), 0);
  const FilterSpec& spec = directory_.last_filter;
  EXPECT_FALSE(spec.ruleset.has_value());
  EXPECT_FALSE(spec.emergency.has_value());
  EXPECT_FALSE(spec.expect_restore);
  EXPECT_EQ(spec.fail_policy, FailPolicy::kClosed);
  EXPECT_TRUE(spec.bypass_hold);
  EXPECT_EQ(Code("filter.create", {{"filter", "a"}, {"ports", {"q"}}}),
            kRefused);
  EXPECT_EQ(Code("filter.create", {{"filter", "main"}, {"ports", {"q"}}}),
            kRefused);
  EXPECT_EQ(Code("filter.create", {{"filter", "b"}, {"ports", {"p"}}}),
            kRefused);
  EXPECT_EQ(directory_.made.size(), 1u);
}

TEST_F(ControlFiltersTest, ParametersOfFiltersAreReadStrictly) {
  std::vector<std::string> many;
  for (int i = 0; i < 65; ++i) many.push_back("p" + std::to_string(i));
  const json good = {{"filter", "a"}, {"ports", {"p"}}};
  const std::vector<std::pair<std::string, json>> wrong = {
      {"filter", ""},
      {"filter", "a b"},
      {"filter", "../a"},
      {"filter", std::string(32, 'a')},
      {"filter", 1},
      {"ports", json::array()},
      {"ports", "p"},
      {"ports", {"p", "p"}},
      {"ports", {1}},
      {"ports", {""}},
      {"ports", {std::string(16, 'p')}},
      {"ports", many},
      {"ruleset", "pass"},
      {"ruleset", json::object()},
      {"ruleset", {{"text", 1}}},
      {"ruleset", {{"text", ""}, {"dry_run", true}}},
      {"ruleset", {{"text", ""}, {"dialect", "linux"}}},
      {"expect_restore", 1},
      {"source", "/a"},
      {"fail", "ajar"},
      {"fail", true},
      {"fail", "open"},
      {"emergency", {{"text", ""}}},
      {"bypass_hold", "yes"},
      {"hold", true},
  };
  for (const auto& [name, value] : wrong) {
    json params = good;
    params[name] = value;
    EXPECT_EQ(Code("filter.create", params), kInvalid) << name << ": " << value;
  }
  for (const char* missing : {"filter", "ports"}) {
    json params = good;
    params.erase(missing);
    EXPECT_EQ(Code("filter.create", params), kInvalid) << missing;
  }
  json relative = good;
  relative["expect_restore"] = true;
  relative["source"] = "a.snap";
  EXPECT_EQ(Code("filter.create", relative), kInvalid);
  EXPECT_EQ(Code("filter.destroy"), kInvalid);
  EXPECT_EQ(Code("filter.show", {{"filter", 1}}), kInvalid);
  EXPECT_EQ(Code("filter.list", {{"limit", 0}}), kInvalid);
  EXPECT_EQ(Code("filter.list", {{"cursor", "a b"}}), kInvalid);
  EXPECT_TRUE(directory_.last_filter.name.empty()) << "something was begun";
  EXPECT_THAT(
      Message("filter.create", {{"filter", "a"},
                                {"ports", {"p"}},
                                {"ruleset", {{"text", ""}, {"dialect", 1}}}}),
      HasSubstr("\"ruleset\" has an error: parameter \"dialect\""));
}

TEST_F(ControlFiltersTest, ErrorsOfEitherRulesetMakeNothing) {
  const json answer = Ask(
      "filter.create", {{"filter", "a"},
                        {"ports", {"p"}},
                        {"ruleset", {{"name", "r"}, {"text", "pass\nerror"}}},
                        {"fail", "open"},
                        {"emergency", {{"name", "e"}, {"text", "error"}}}});
  EXPECT_EQ(answer["error"]["code"], -32005);
  EXPECT_EQ(answer["error"]["message"],
            "the ruleset has errors; the filter was not made");
  const json& data = answer["error"]["data"];
  ASSERT_EQ(data.size(), 2u);
  EXPECT_EQ(data[0]["file"], "e");
  EXPECT_EQ(data[1]["file"], "r");
  EXPECT_EQ(data[1]["line"], 2);
  EXPECT_TRUE(directory_.made.empty());
}

TEST_F(ControlFiltersTest, EveryMethodAsksTheFilterThatIsNamed) {
  Result("filter.create", {{"filter", "a"}, {"ports", {"p"}}});
  FakeFilterControl& a = Made("a");
  filter_.rules.resize(3);
  filter_.tables["m"] = {};
  EXPECT_EQ(
      Result("ruleset.load", {{"filter", "a"}, {"text", "pass\n"}})["rules"],
      1);
  EXPECT_EQ(a.rules.size(), 1u);
  EXPECT_EQ(filter_.rules.size(), 3u);
  EXPECT_EQ(Result("rules.show", {{"filter", "a"}})["rules"].size(), 1u);
  EXPECT_EQ(Result("rules.show", {{"filter", "main"}})["rules"].size(), 3u);
  EXPECT_EQ(Result("rules.show")["rules"].size(), 3u);
  Result("table.add",
         {{"filter", "a"}, {"table", "t"}, {"addresses", {"10.0.0.1"}}});
  EXPECT_EQ(a.tables.size(), 1u);
  EXPECT_EQ(Code("table.show", {{"filter", "a"}, {"table", "m"}}), kNotFound);
  EXPECT_EQ(Code("table.show", {{"table", "m"}}), 0);
  EXPECT_EQ(Result("tables.list", {{"filter", "a"}})["tables"][0]["name"], "t");
  EXPECT_EQ(Code("filter.enable", {{"filter", "a"}}), 0);
  EXPECT_TRUE(a.enabled);
  EXPECT_FALSE(filter_.enabled);
  EXPECT_EQ(Result("info.show", {{"filter", "a"}})["enabled"], true);
  EXPECT_EQ(Code("info.clear", {{"filter", "a"}}), 0);
  EXPECT_EQ(a.info_cleared, 1);
  EXPECT_EQ(filter_.info_cleared, 0);
  a.states.resize(2);
  EXPECT_EQ(Result("states.show", {{"filter", "a"}})["states"].size(), 2u);
  EXPECT_EQ(Result("states.flush", {{"filter", "a"}})["killed"], 2);
}

TEST_F(ControlFiltersTest, WhatNamesNoFilterIsNotBegun) {
  FakeTransfer transfer;
  operations_.SetTransfer(&transfer);
  for (const Method* of : AllMethods()) {
    const std::string method(of->name);
    const json answer = Ask(method, {{"filter", "nobody"}});
    const int code = answer["error"]["code"].get<int>();
    // Those that have other parameters may miss them first.
    EXPECT_TRUE(code == kNotFound || code == kInvalid) << method << answer;
  }
  EXPECT_THAT(Message("rules.show", {{"filter", "nobody"}}),
              HasSubstr("no filter \"nobody\""));
  // And what can name none.
  for (const char* name : {"", ".", "..", ".a", "-x", ":a", "a b", "a\nb",
                           "a\x1b[2J"}) {
    EXPECT_EQ(Code("rules.show", {{"filter", name}}), kInvalid) << name;
    EXPECT_EQ(Code("filter.create", {{"filter", name}, {"ports", {"p"}}}),
              kInvalid)
        << name;
    EXPECT_EQ(Code("filter.destroy", {{"filter", name}}), kInvalid) << name;
    EXPECT_EQ(Code("restore.status", {{"filter", name}}), kInvalid) << name;
  }
  EXPECT_EQ(Code("rules.show", {{"filter", std::string(32, 'a')}}), kInvalid);
  EXPECT_EQ(Code("control.version", {{"filter", "main"}}), kInvalid);
}

TEST_F(ControlFiltersTest, ListsFiltersByPages) {
  for (const char* name : {"c", "a", "b"}) {
    Result("filter.create", {{"filter", name}, {"ports", {name}}});
  }
  std::vector<std::string> names;
  json params = {{"limit", 1}};
  for (;;) {
    const json page = Result("filter.list", params);
    ASSERT_EQ(page["filters"].size(), 1u);
    names.push_back(page["filters"][0]["name"]);
    if (!page.contains("next")) break;
    params["cursor"] = page["next"];
  }
  EXPECT_THAT(names, ElementsAre("main", "a", "b", "c"));
  EXPECT_EQ(Result("filter.list")["filters"].size(), 4u);
  // Where a cursor's filter has gone, the list goes on after its place.
  EXPECT_EQ(Result("filter.list", {{"cursor", "aa"}})["filters"].size(), 2u);
}

TEST_F(ControlFiltersTest, ShowsAllOfAFilter) {
  Result("filter.create", {{"filter", "a"},
                           {"ports", {"p"}},
                           {"expect_restore", true},
                           {"source", "/s"}});
  FilterListing& listing = directory_.made["a"].listing;
  listing.macs = {"02:00:00:00:00:01"};
  listing.hash = "abcd";
  listing.created = 5;
  listing.last_purge = 7;
  listing.table_addresses = 9;
  listing.hold = {.held = 1,
                  .waiting = 2,
                  .replayed = 3,
                  .bypassed = 4,
                  .dropped = 5,
                  .refused = 6,
                  .longest = 7};
  RestoreAnswer answer;
  answer.code = RestoreCode::kFailed;
  answer.status = {.incarnation = 3,
                   .state = RestoreState::kFailed,
                   .attempt = 2,
                   .flags = kFilterEnabled | kFilterExpects};
  answer.snapshot[15] = 0xab;
  answer.failure = RestoreFailure::kRefused;
  answer.detail = "checksum";
  answer.report.states_imported = 11;
  listing.restore = answer;
  const json shown = Result("filter.show", {{"filter", "a"}});
  EXPECT_EQ(shown["name"], "a");
  EXPECT_EQ(shown["ports"], json({"p"}));
  EXPECT_EQ(shown["macs"][0], "02:00:00:00:00:01");
  EXPECT_EQ(shown["state"], "expects restore");
  EXPECT_EQ(shown["restore_state"], "EXPECT");
  EXPECT_EQ(shown["incarnation"], 1);
  EXPECT_EQ(shown["source"], "/s");
  EXPECT_EQ(shown["fail"], "closed");
  EXPECT_EQ(shown["hash"], "abcd");
  EXPECT_EQ(shown["created"], 5);
  EXPECT_EQ(shown["last_purge"], 7);
  EXPECT_EQ(shown["table_addresses"], 9);
  EXPECT_EQ(shown["hold"], json({{"held", 1},
                                 {"waiting", 2},
                                 {"replayed", 3},
                                 {"bypassed", 4},
                                 {"dropped", 5},
                                 {"refused", 6},
                                 {"longest_ms", 7}}));
  EXPECT_EQ(shown["restore"]["code"], "failed");
  EXPECT_EQ(shown["restore"]["failure"], "snapshot refused");
  EXPECT_EQ(shown["restore"]["detail"], "checksum");
  EXPECT_EQ(shown["restore"]["attempt"], 2);
  EXPECT_EQ(shown["restore"]["snapshot"], "000000000000000000000000000000ab");
  EXPECT_EQ(shown["restore"]["report"]["states_imported"], 11);
  const json main = Result("filter.show");
  EXPECT_EQ(main["name"], "main");
  EXPECT_FALSE(main.contains("restore"));
  EXPECT_FALSE(main.contains("source"));
}

TEST_F(ControlFiltersTest, SumsTheStateOfAFilterUpInWords) {
  FilterListing& main = directory_.main_listing;
  const auto state = [&] { return Result("filter.show")["state"]; };
  EXPECT_EQ(state(), "active");
  main.loaded = false;
  EXPECT_EQ(state(), "no ruleset, blocking");
  main.enabled = false;
  EXPECT_EQ(state(), "disabled");
  main.status.flags |= kFilterExpects;
  main.status.state = RestoreState::kValidating;
  EXPECT_EQ(state(), "restoring");
  main.status.state = RestoreState::kExpect;
  EXPECT_EQ(state(), "expects restore");
  main.failed = true;
  EXPECT_EQ(state(), "failed, blocking");
  main.fail_policy = FailPolicy::kOpen;
  EXPECT_EQ(state(), "failed, emergency rules");
  main.status.flags = 0;
  EXPECT_EQ(state(), "ports disabled");
}

TEST_F(ControlFiltersTest, DestroyAnswersWhenItIsDone) {
  Result("filter.create", {{"filter", "a"}, {"ports", {"p"}}});
  EXPECT_EQ(Code("filter.destroy", {{"filter", "main"}}), kRefused);
  EXPECT_EQ(Code("filter.destroy", {{"filter", "b"}}), kNotFound);
  directory_.hold_done = true;
  answers_.clear();
  Request("filter.destroy", {{"filter", "a"}});
  EXPECT_TRUE(answers_.empty());
  ASSERT_EQ(directory_.held.size(), 1u);
  directory_.held[0]();
  EXPECT_EQ(answers_.size(), 1u);
  EXPECT_EQ(Code("filter.show", {{"filter", "a"}}), kNotFound);
}

TEST_F(ControlFiltersTest, ChangesOfAFilterThatGoesEndCleanly) {
  Result("filter.create", {{"filter", "a"}, {"ports", {"p"}}});
  BuildGate gate;
  Made("a").on_build = [&] { gate.Wait(); };
  answers_.clear();
  // One is being built, two wait for their turn, one is of another filter.
  Request("ruleset.load", {{"filter", "a"}, {"text", "pass\n"}}, 1);
  Request("ruleset.load", {{"filter", "a"}, {"text", "pass\n"}}, 2);
  Request("table.add",
          {{"filter", "a"}, {"table", "t"}, {"addresses", {"::1"}}}, 3);
  Request("ruleset.load", {{"text", "block\n"}}, 4);
  Request("filter.destroy", {{"filter", "a"}}, 5);
  ASSERT_EQ(answers_.size(), 1u) << "to destroy waits for no change";
  gate.Open();
  Await(5);
  EXPECT_FALSE(operations_.busy());
  std::map<int, json> by_id;
  for (const std::string& line : answers_) {
    json answer = json::parse(line);
    by_id[answer["id"]] = answer;
  }
  for (int id : {1, 2, 3}) {
    EXPECT_EQ(by_id[id]["error"]["code"], kNotFound) << by_id[id];
  }
  EXPECT_EQ(by_id[4]["result"]["rules"], 1);
  EXPECT_TRUE(by_id[5].contains("result"));
  EXPECT_EQ(filter_.rules.size(), 1u);
}

TEST_F(ControlFiltersTest, AListingOfAFilterThatGoesEndsCleanly) {
  Result("filter.create", {{"filter", "a"}, {"ports", {"p"}}});
  std::vector<std::function<void()>> collected;
  Made("a").on_collect = [&](std::function<void()> done) {
    collected.push_back(std::move(done));
  };
  answers_.clear();
  for (const char* method :
       {"info.show", "tables.list", "rules.show", "labels.show"}) {
    Request(method, {{"filter", "a"}});
  }
  ASSERT_EQ(collected.size(), 4u);
  Request("filter.destroy", {{"filter", "a"}});
  for (const auto& done : collected) done();
  ASSERT_EQ(answers_.size(), 5u);
  for (size_t i = 1; i < 5; ++i) {
    EXPECT_EQ(json::parse(answers_[i])["error"]["code"], kNotFound);
  }
}

TEST_F(ControlFiltersTest, ToCreateWaitsForItsTurn) {
  BuildGate gate;
  filter_.on_build = [&] { gate.Wait(); };
  Request("ruleset.load", {{"text", "pass\n"}}, 1);
  Request("filter.create", {{"filter", "a"}, {"ports", {"p"}}}, 2);
  // Of a filter that is not there yet: what it names has to be there when the
  // request comes.
  Request("rules.show", {{"filter", "a"}}, 3);
  EXPECT_EQ(answers_.size(), 1u);
  EXPECT_TRUE(directory_.last_filter.name.empty());
  gate.Open();
  Await(3);
  EXPECT_EQ(json::parse(answers_[0])["error"]["code"], kNotFound);
  EXPECT_EQ(json::parse(answers_[2])["id"], 2);
  EXPECT_EQ(directory_.made.count("a"), 1u);
}

TEST_F(ControlFiltersTest, ListsPorts) {
  Result("filter.create", {{"filter", "a"}, {"ports", {"later"}}});
  const json ports = Result("port.list")["ports"];
  ASSERT_EQ(ports.size(), 3u);
  EXPECT_EQ(ports[0]["name"], "inside");
  EXPECT_EQ(ports[0]["filter"], "main");
  EXPECT_EQ(ports[0]["wire"], "outside");
  EXPECT_EQ(ports[0]["present"], true);
  EXPECT_EQ(ports[0]["driver"], "net_null");
  EXPECT_EQ(ports[0]["mac"], "00:00:5e:00:53:01");
  EXPECT_EQ(ports[0]["link_up"], true);
  EXPECT_EQ(ports[0]["speed"], 10000);
  EXPECT_EQ(ports[1]["name"], "later");
  EXPECT_EQ(ports[1]["filter"], "a");
  EXPECT_EQ(ports[1]["present"], false);
  EXPECT_FALSE(ports[1].contains("device"));
  const json page = Result("port.list", {{"cursor", "inside"}, {"limit", 1}});
  EXPECT_EQ(page["ports"][0]["name"], "later");
  EXPECT_EQ(page["next"], "later");
}

TEST_F(ControlFiltersTest, AddsAPortOfAllItsParameters) {
  const json port =
      Result("port.add", {{"port", "tap1"},
                          {"device", "net_vhost0,iface=/tmp/a"},
                          {"wire", "outside"},
                          {"groups", {"vms", "lan"}},
                          {"addresses", {"10.0.0.1/24", "2001:db8::1/64"}},
                          {"queues", 2},
                          {"mtu", 9000},
                          {"non_ip", "block"},
                          {"disabled", true}});
  EXPECT_EQ(port["name"], "tap1");
  EXPECT_EQ(port["enabled"], false);
  const PortSpec& spec = directory_.last_port;
  EXPECT_EQ(spec.device, "net_vhost0,iface=/tmp/a");
  EXPECT_EQ(spec.wire, "outside");
  EXPECT_THAT(spec.groups, ElementsAre("vms", "lan"));
  ASSERT_EQ(spec.addresses.size(), 2u);
  EXPECT_EQ(ToString(spec.addresses[0]), "10.0.0.1/24");
  EXPECT_EQ(ToString(spec.addresses[1]), "2001:db8::1/64");
  EXPECT_EQ(spec.queues, 2);
  EXPECT_EQ(spec.mtu, 9000);
  EXPECT_FALSE(spec.pass_non_ip);
  EXPECT_TRUE(spec.disabled);

  EXPECT_EQ(Code("port.add", {{"port", "p"}, {"device", "net_null1"}}), 0);
  EXPECT_EQ(directory_.last_port.wire, "");
  EXPECT_EQ(directory_.last_port.mtu, 0);  // what is usual
  EXPECT_TRUE(directory_.last_port.pass_non_ip);
  EXPECT_FALSE(directory_.last_port.disabled);
  EXPECT_EQ(Code("port.add", {{"port", "p"}, {"device", "net_null2"}}),
            kRefused);
}

TEST_F(ControlFiltersTest, AddsTheSocketOfAMachine) {
  const json good = {{"port", "vm1"}, {"vhost", "/run/sluice/vm1"}};
  json all = good;
  all["vhost_client"] = true;
  EXPECT_EQ(Code("port.add", all), 0);
  EXPECT_EQ(directory_.last_port.vhost, "/run/sluice/vm1");
  EXPECT_TRUE(directory_.last_port.vhost_client);
  for (const auto& [name, value] :
       std::vector<std::pair<std::string, json>>{{"device", "net_null1"},
                                                 {"parent", "outside"},
                                                 {"queues", 2},
                                                 {"vhost", ""},
                                                 {"vhost_client", 1}}) {
    json params = good;
    params["port"] = "vm2";
    params[name] = value;
    EXPECT_EQ(Code("port.add", params), kInvalid) << name << ": " << value;
  }
}

TEST_F(ControlFiltersTest, AddsAVlanOfAPort) {
  const json good = {{"port", "vm1"}, {"parent", "outside"}, {"vlan", 5}};
  json all = good;
  all["inner_vlan"] = 6;
  all["segment"] = "lan";
  EXPECT_EQ(Code("port.add", all), 0);
  const PortSpec& spec = directory_.last_port;
  EXPECT_EQ(spec.parent, "outside");
  EXPECT_EQ(spec.vlan, 5);
  EXPECT_EQ(spec.inner_vlan, 6);
  EXPECT_EQ(spec.segment, "lan");
  EXPECT_EQ(spec.device, "");
  const std::vector<std::pair<std::string, json>> wrong = {
      {"vlan", 0},         {"vlan", 4095},     {"inner_vlan", 4095},
      {"parent", "a/b"},   {"device", "net_null1"},
      {"queues", 2},       {"segment", "a b"}};
  for (const auto& [name, value] : wrong) {
    json params = good;
    params["port"] = "vm2";
    params[name] = value;
    EXPECT_EQ(Code("port.add", params), kInvalid) << name << ": " << value;
  }
  for (const char* missing : {"parent", "vlan"}) {
    json params = good;
    params.erase(missing);
    EXPECT_EQ(Code("port.add", params), kInvalid) << missing;
  }
  json routed = good;
  routed["port"] = "vm3";
  routed["router"] = "edge";
  routed["tap"] = "vm3-0";
  EXPECT_EQ(Code("port.add", routed), 0);
  EXPECT_EQ(directory_.last_port.router, "edge");
  EXPECT_EQ(directory_.last_port.tap, "vm3-0");
  routed["port"] = "vm4";
  routed["segment"] = "lan";
  EXPECT_EQ(Code("port.add", routed), kInvalid);
  routed.erase("segment");
  routed.erase("router");
  EXPECT_EQ(Code("port.add", routed), kInvalid);  // a tap alone
  json both = good;
  both["wire"] = "inside";
  both["segment"] = "lan";
  EXPECT_EQ(Code("port.add", both), kInvalid);
}

TEST_F(ControlFiltersTest, MakesAndChangesSegments) {
  EXPECT_EQ(Code("segment.add", {{"segment", "lan"},
                                 {"ports", {"a", "b"}},
                                 {"non_ip", "block"},
                                 {"flood", {{"unknown", false}}},
                                 {"macs", 64},
                                 {"macs_per_port", 3},
                                 {"age", 60}}),
            0);
  const SegmentSpec& spec = directory_.segments.at("lan");
  EXPECT_THAT(spec.ports, ElementsAre("a", "b"));
  EXPECT_FALSE(spec.pass_non_ip);
  EXPECT_FALSE(spec.flood_unknown);
  EXPECT_TRUE(spec.flood_broadcast);
  EXPECT_EQ(spec.macs, 64u);
  EXPECT_EQ(spec.macs_per_port, 3u);
  EXPECT_EQ(spec.age, 60u);
  EXPECT_EQ(Code("segment.add", {{"segment", "lan"}}), kRefused);
  EXPECT_EQ(Code("segment.attach", {{"segment", "lan"}, {"port", "c"}}), 0);
  EXPECT_EQ(Code("segment.detach", {{"segment", "lan"}, {"port", "a"}}), 0);
  const std::string mac = "00:53:00:00:00:01";
  EXPECT_EQ(Code("segment.fix",
                 {{"segment", "lan"}, {"mac", mac}, {"port", "c"}}),
            0);
  const json list = Result("segment.list")["segments"];
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0]["ports"], (json{"b", "c"}));
  EXPECT_EQ(list[0]["flood"], (json{"multicast", "broadcast"}));
  EXPECT_EQ(list[0]["non_ip"], "block");
  EXPECT_EQ(list[0]["macs"], 1);
  const json macs = Result("segment.macs", {{"segment", "lan"}})["macs"];
  ASSERT_EQ(macs.size(), 1u);
  EXPECT_EQ(macs[0]["mac"], mac);
  EXPECT_EQ(macs[0]["port"], "c");
  EXPECT_EQ(macs[0]["fixed"], true);
  EXPECT_EQ(Code("segment.free", {{"segment", "lan"}, {"mac", mac}}), 0);
  EXPECT_TRUE(spec.fixed.empty());
  EXPECT_EQ(Code("segment.flush", {{"segment", "lan"}}), 0);
  EXPECT_EQ(Code("segment.remove", {{"segment", "lan"}}), 0);
  for (const char* method : {"segment.flush", "segment.macs",
                             "segment.remove"}) {
    EXPECT_EQ(Code(method, {{"segment", "lan"}}), kNotFound) << method;
    EXPECT_EQ(Code(method), kInvalid) << method;
  }
  for (const auto& [name, value] :
       std::vector<std::pair<std::string, json>>{{"macs", 7},
                                                 {"macs", 1 << 21},
                                                 {"age", 0},
                                                 {"non_ip", "drop"},
                                                 {"flood", {{"all", true}}},
                                                 {"ports", {"a", "a"}}}) {
    EXPECT_EQ(Code("segment.add", {{"segment", "x"}, {name, value}}), kInvalid)
        << name;
  }
}

TEST_F(ControlFiltersTest, ShowsRouters) {
  directory_.routers["edge"] = {
      .name = "edge",
      .netns = "blue",
      .routes = 2,
      .max_routes = 10,
      .neighbors = 1,
      .max_neighbors = 20,
      .memory = 1000,
      .synced = true,
      .questions = 3,
      .dumps = 4,
      .lost_events = 5,
      .skipped = 15,
      .refused = 6,
      .ports = {{.port = "lan",
                 .tap = "lan0",
                 .present = true,
                 .addresses = {"192.0.2.1/24"},
                 .to_host = 7,
                 .from_host = 8,
                 .limited_arp = 9,
                 .limited_discovery = 10,
                 .limited_other = 11,
                 .refused = 12,
                 .lost = 13,
                 .taken_away = 14}}};
  directory_.routers["other"].name = "other";
  directory_.routes = {
      {.prefix = "0.0.0.0/0",
       .type = "forward",
       .hops = {{.port = "lan", .gateway = "192.0.2.9", .weight = 2}}},
      {.prefix = "192.0.2.0/24", .type = "forward", .hops = {{.port = "lan", .gateway = ""}}},
      {.prefix = "2001:db8::/32", .type = "blackhole"}};
  directory_.router_neighbors = {{.port = "lan",
                                  .address = "192.0.2.9",
                                  .state = "known",
                                  .mac = "00:53:00:00:00:01"},
                                 {.port = "lan",
                                  .address = "192.0.2.8",
                                  .state = "failed",
                                  .mac = ""}};
  const json edge = Result("router.show", {{"router", "edge"}});
  EXPECT_EQ(edge, json::parse(R"({
      "name": "edge", "netns": "blue", "routes": 2, "max_routes": 10,
      "neighbors": 1, "max_neighbors": 20, "memory": 1000, "synced": true,
      "questions": 3, "dumps": 4, "lost_events": 5, "skipped": 15,
      "refused": 6, "ports": [
        {"port": "lan", "tap": "lan0", "present": true, "carrier": false,
         "addresses": ["192.0.2.1/24"], "to_host": 7, "from_host": 8,
         "limited": {"arp": 9, "discovery": 10, "other": 11},
         "refused": 12, "lost": 13, "taken_away": 14}]})"));
  const json first = Result("router.list", {{"limit", 1}});
  EXPECT_EQ(first["routers"], json::array({edge}));
  EXPECT_EQ(first["next"], "edge");
  const json second = Result("router.list", {{"cursor", "edge"}});
  EXPECT_EQ(second["routers"][0]["name"], "other");
  EXPECT_FALSE(second["routers"][0].contains("netns"));
  EXPECT_FALSE(second.contains("next"));
  json page = Result("router.routes", {{"router", "edge"}});
  EXPECT_EQ(page, json::parse(R"({"next": "0.0.0.0/0", "routes": [
      {"prefix": "0.0.0.0/0", "type": "forward",
       "hops": [{"port": "lan", "gateway": "192.0.2.9", "weight": 2}]}]})"));
  page = Result("router.routes", {{"router", "edge"},
                                  {"cursor", "0.0.0.0/0"},
                                  {"family", "inet6"},
                                  {"prefix", "2001:db8::/32"}});
  EXPECT_EQ(page["routes"].size(), 2u);
  EXPECT_EQ(page["routes"][0]["hops"],
            json::parse(R"([{"port": "lan", "weight": 1}])"));
  const RouteQuery& query = directory_.route_queries.back();
  EXPECT_EQ(query.after, "0.0.0.0/0");
  EXPECT_EQ(query.family, Family::kIpv6);
  EXPECT_EQ(query.overlaps, ParsePrefix("2001:db8::/32"));
  EXPECT_EQ(Result("router.neighbors", {{"router", "edge"}}),
            json::parse(R"({"neighbors": [
      {"port": "lan", "address": "192.0.2.9", "state": "known",
       "mac": "00:53:00:00:00:01"},
      {"port": "lan", "address": "192.0.2.8", "state": "failed"}]})"));
  for (const char* method :
       {"router.show", "router.routes", "router.neighbors"}) {
    EXPECT_EQ(Code(method, {{"router", "none"}}), kNotFound) << method;
    EXPECT_EQ(Code(method), kInvalid) << method;
  }
  EXPECT_EQ(Code("router.routes", {{"router", "edge"}, {"family", "ip"}}),
            kInvalid);
  EXPECT_EQ(Code("router.routes", {{"router", "edge"}, {"prefix", "x"}}),
            kInvalid);
}

TEST_F(ControlFiltersTest, ParametersOfPortsAreReadStrictly) {
  const json good = {{"port", "p"}, {"device", "net_null1"}};
  json many = json::array(), groups = json::array();
  for (int i = 0; i < 65; ++i) many.push_back("10.0.0." + std::to_string(i));
  for (int i = 0; i < 17; ++i) groups.push_back("g" + std::to_string(i));
  const std::vector<std::pair<std::string, json>> wrong = {
      {"port", ""},
      {"port", "a/b"},
      {"port", std::string(16, 'p')},
      {"device", 1},
      {"device", std::string(1025, 'd')},
      {"wire", "p"},
      {"wire", ""},
      {"groups", {"a", "a"}},
      {"groups", groups},
      {"addresses", {"10.0.0"}},
      {"addresses", many},
      {"queues", 0},
      {"queues", 33},
      {"queues", -1},
      {"mtu", 575},
      {"mtu", 9217},
      {"non_ip", "drop"},
      {"disabled", "no"},
      {"filter", "main"},
  };
  for (const auto& [name, value] : wrong) {
    json params = good;
    params[name] = value;
    EXPECT_EQ(Code("port.add", params), kInvalid) << name << ": " << value;
  }
  for (const char* missing : {"port", "device"}) {
    json params = good;
    params.erase(missing);
    EXPECT_EQ(Code("port.add", params), kInvalid) << missing;
  }
  for (const char* method : {"port.remove", "port.enable", "port.disable",
                             "port.exclude", "port.include", "port.stats",
                             "port.bindings", "port.unbind"}) {
    EXPECT_EQ(Code(method), kInvalid) << method;
    EXPECT_EQ(Code(method, {{"port", "p q"}}), kInvalid) << method;
    EXPECT_EQ(Code(method, {{"port", "nobody"}}), kNotFound) << method;
  }
  EXPECT_TRUE(directory_.last_port.name.empty()) << "something was begun";
}

TEST_F(ControlFiltersTest, SwitchesPorts) {
  const PortListing& inside = directory_.ports["inside"];
  EXPECT_EQ(Code("port.enable", {{"port", "inside"}}), kRefused);
  EXPECT_EQ(Code("port.disable", {{"port", "inside"}}), 0);
  EXPECT_FALSE(inside.enabled);
  EXPECT_EQ(inside.incarnation, 2u);
  EXPECT_EQ(Code("port.disable", {{"port", "inside"}}), kRefused);
  EXPECT_EQ(Code("port.enable", {{"port", "inside"}}), 0);
  EXPECT_TRUE(inside.enabled);
  EXPECT_EQ(Code("port.exclude", {{"port", "inside"}}), 0);
  EXPECT_TRUE(inside.excluded);
  EXPECT_EQ(Code("port.exclude", {{"port", "inside"}}), kRefused);
  EXPECT_EQ(Code("port.include", {{"port", "inside"}}), 0);
  EXPECT_FALSE(inside.excluded);
  EXPECT_EQ(Code("port.bind", {{"port", "inside"}}), kInvalid);
  EXPECT_EQ(Code("port.bind", {{"port", "inside"}, {"learn", 17}}), kInvalid);
  EXPECT_EQ(Code("port.bind", {{"port", "nobody"}, {"learn", 1}}), kNotFound);
  EXPECT_EQ(Code("port.bind", {{"port", "inside"},
                               {"bindings", {"10.0.0.2"}},
                               {"learn", 3}}),
            0);
  EXPECT_TRUE(inside.guarded);
  EXPECT_EQ(Result("port.bindings", {{"port", "inside"}}),
            json({{"bindings", {"10.0.0.2"}},
                  {"learn", 3},
                  {"learned", json::array()},
                  {"spoofed", 0}}));
  EXPECT_EQ(Code("port.unbind", {{"port", "inside"}}), 0);
  EXPECT_FALSE(inside.guarded);
  const json stats = Result("port.stats", {{"port", "inside"}});
  EXPECT_EQ(stats["counters"][1],
            json({{"name", "tx_good_packets"}, {"value", 9}}));

  directory_.hold_done = true;
  answers_.clear();
  Request("port.disable", {{"port", "inside"}});
  Request("port.remove", {{"port", "outside"}});
  EXPECT_TRUE(answers_.empty());
  for (const auto& done : directory_.held) done();
  EXPECT_EQ(answers_.size(), 2u);
  EXPECT_EQ(Result("port.list")["ports"].size(), 1u);
}

// ---- Several filters at once -----------------------------------------------

TEST_F(ControlFiltersTest, ACommitCarriesRulesetsAndTablesOfEach) {
  CommitSetResult result;
  result.filters.push_back({.filter = "a", .load = {.diagnostics = {},
                                                    .generation = 8,
                                                    .rules = 2}});
  result.filters.push_back({.filter = "b", .load = {.diagnostics = {},
                                                    .generation = 9,
                                                    .rules = 1}});
  directory_.set_result = result;
  const json answer = Result(
      "commit.load",
      {{"filters",
        {{{"filter", "a"},
          {"only_if", 7},
          {"rulesets",
           {{{"text", "pass"}}, {{"text", "block"}, {"anchor", "web"}}}}},
         {{"filter", "b"},
          {"tables",
           {{{"table", "bad"}, {"do", "replace"}, {"anchor", "x"},
             {"addresses", {"192.0.2.1", "!2001:db8::/32"}}},
            {{"table", "good"}, {"do", "delete"},
             {"addresses", json::array()}}}}}}},
       {"confirm_within", 30}});
  ASSERT_TRUE(answer.contains("filters")) << answer;
  EXPECT_EQ(answer["filters"][0]["filter"], "a");
  EXPECT_EQ(answer["filters"][1]["generation"], 9);
  const CommitSetRequest& asked = directory_.last_set;
  ASSERT_EQ(asked.filters.size(), 2u);
  EXPECT_EQ(asked.confirm_within, 30u);
  EXPECT_EQ(asked.uid, 8u);
  EXPECT_EQ(asked.filters[0].only_if, 7u);
  ASSERT_EQ(asked.filters[0].rulesets.size(), 2u);
  EXPECT_EQ(asked.filters[0].rulesets[1].anchor, "web");
  ASSERT_EQ(asked.filters[1].tables.size(), 2u);
  EXPECT_EQ(asked.filters[1].tables[0].command, TableCommand::kReplace);
  EXPECT_EQ(asked.filters[1].tables[0].entries.size(), 2u);
  EXPECT_EQ(asked.filters[1].tables[1].command, TableCommand::kDelete);
}

// There may be thousands of filters, and the answer of each there at once.
TEST_F(ControlFiltersTest, ACommitOfManyFiltersTakesNoMoreStack) {
  const json params = {
      {"filters",
       {{{"filter", "a"}, {"rulesets", {{{"text", "pass"}}}}}}}};
  const auto answer_with = [this](size_t many, const std::string& filter) {
    CommitSetResult result;
    for (size_t i = 0; i < many; ++i) {
      result.filters.push_back({.filter = filter});
    }
    directory_.set_result = std::move(result);
  };
  constexpr size_t kMany = 500;
  answer_with(kMany, "main");
  std::vector<uintptr_t> frames;
  filter_.on_collect = [&](const std::function<void()>& done) {
    frames.push_back(
        reinterpret_cast<uintptr_t>(__builtin_frame_address(0)));
    done();
  };
  EXPECT_EQ(Result("commit.load", params)["filters"].size(), kMany);
  ASSERT_EQ(frames.size(), kMany);
  const auto [low, high] = std::minmax_element(frames.begin(), frames.end());
  EXPECT_LT(*high - *low, 16u * 1024);
  EXPECT_EQ(filter_.loads_cleared, static_cast<int>(kMany));
  // The same of a trial, with what is blocked and without, and of filters that
  // are not there any more.
  constexpr size_t kTooMany = 20'000;
  for (const char* name : {"main", "gone"}) {
    answer_with(kTooMany, name);
    for (const char* blocked : {"", "show"}) {
      json trial = params;
      trial["dry_run"] = true;
      if (*blocked != 0) trial["blocked"] = blocked;
      EXPECT_EQ(Result("commit.load", trial)["filters"].size(), kTooMany)
          << name << blocked;
    }
  }
  EXPECT_EQ(frames.size(), kMany);
}

TEST_F(ControlFiltersTest, ACommitWaitsForThoseThatAnswerLater) {
  CommitSetResult result;
  for (const char* name : {"gone", "main", "gone too", "main", "last"}) {
    result.filters.push_back({.filter = name});
  }
  directory_.set_result = result;
  std::vector<std::function<void()>> held;
  filter_.on_collect = [&](std::function<void()> done) {
    held.push_back(std::move(done));
  };
  Request("commit.load",
          {{"filters",
            {{{"filter", "a"}, {"rulesets", {{{"text", "pass"}}}}}}}});
  for (int i = 0; i < 2; ++i) {
    while (held.empty()) {
      pollfd event = {
          .fd = builder_->event_fd(), .events = POLLIN, .revents = 0};
      ASSERT_EQ(::poll(&event, 1, 20'000), 1) << "nobody was asked";
      builder_->Finish();
    }
    ASSERT_EQ(held.size(), 1u);
    EXPECT_TRUE(answers_.empty());
    const std::function<void()> done = std::move(held[0]);
    held.clear();
    done();
  }
  ASSERT_EQ(answers_.size(), 1u);
  const json filters = json::parse(answers_[0])["result"]["filters"];
  ASSERT_EQ(filters.size(), 5u);
  EXPECT_EQ(filters[0]["filter"], "gone");
  EXPECT_EQ(filters[3]["filter"], "main");
  EXPECT_EQ(filters[4]["filter"], "last");
}

TEST_F(ControlFiltersTest, ARefusedCommitSaysWhichFilterWhereAndWhat) {
  CommitSetResult result;
  result.filters.push_back({.filter = "a"});
  Diagnostic error;
  error.file = "b.conf";
  error.line = 3;
  error.message = "syntax error";
  result.filters.push_back({.filter = "b"});
  result.filters[1].load.diagnostics.push_back(error);
  result.filters.push_back(
      {.filter = "c",
       .status = absl::FailedPreconditionError("generation 5 is in force")});
  directory_.set_result = result;
  const json params = {
      {"filters",
       {{{"filter", "a"}, {"rulesets", {{{"text", "pass"}}}}}}}};
  json answer = Ask("commit.load", params);
  EXPECT_EQ(answer["error"]["code"], -32005);
  EXPECT_THAT(std::string(answer["error"]["message"]),
              HasSubstr("nothing was changed"));
  const std::string data = answer["error"]["data"].dump();
  EXPECT_THAT(data, HasSubstr("filter b: b.conf"));
  EXPECT_THAT(data, HasSubstr("filter c"));
  result.filters[1].load = {};
  directory_.set_result = result;
  answer = Ask("commit.load", params);
  EXPECT_THAT(std::string(answer["error"]["message"]),
              HasSubstr("filter c: generation 5 is in force"));
  // Before anybody is asked.
  directory_.last_set = {};
  const auto wrong = [&](json filters) {
    return Code("commit.load", {{"filters", std::move(filters)}});
  };
  constexpr int kInvalid = -32602;
  EXPECT_EQ(wrong(json::array()), kInvalid);
  EXPECT_EQ(wrong({{{"filter", "a"}}}), kInvalid);
  EXPECT_EQ(wrong({{{"filter", "a"},
                    {"tables", {{{"table", "t"}, {"do", "flush"},
                                 {"addresses", json::array()}}}}}}),
            kInvalid);
  EXPECT_EQ(wrong({{{"filter", "a"},
                    {"rulesets", {{{"text", "pass"}, {"typo", 1}}}}}}),
            kInvalid);
  EXPECT_TRUE(directory_.last_set.filters.empty());
}

}  // namespace
}  // namespace sluice
