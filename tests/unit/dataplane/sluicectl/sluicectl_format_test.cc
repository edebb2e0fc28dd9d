// The daemon's answers, as fixed JSON, against pfctl's texts.
#include <cstdio>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <time.h>

#include <string>

#include "dataplane/sluicectl/format.h"
#include "nlohmann/json.hpp"

namespace sluice {
namespace {

using nlohmann::json;

constexpr Detail kPlain{};
constexpr Detail kVerbose{.verbose = 1, .debug = false};
constexpr Detail kMore{.verbose = 2, .debug = false};

json TcpState() {
  return json::parse(R"({
    "id": "0123456789abcdef", "creator": "1a2b3c4d", "interface": "all",
    "protocol": 6, "direction": "in",
    "before": {"source": "10.0.0.2", "source_port": 4567,
               "destination": "10.0.0.1", "destination_port": 22},
    "source": {"state": "FIN_WAIT_2", "sequence_low": 100,
               "sequence_high": 350, "sequence_difference": 0,
               "window_scale": 7},
    "destination": {"state": "ESTABLISHED", "sequence_low": 4294967290,
                    "sequence_high": 10, "sequence_difference": 5,
                    "window_scale": 6},
    "age": 3723, "expires": 86399,
    "forward": {"packets": 10, "bytes": 1000},
    "backward": {"packets": 9, "bytes": 20000},
    "rule": 4})");
}

TEST(SluicectlFormat, AStateThatCameIn) {
  EXPECT_EQ(FormatState(TcpState(), kPlain),
            "all tcp 10.0.0.1:22 <- 10.0.0.2:4567       "
            "ESTABLISHED:FIN_WAIT_2\n");
}

TEST(SluicectlFormat, AStateThatWentOut) {
  json state = TcpState();
  state["direction"] = "out";
  state["interface"] = "outside";
  EXPECT_EQ(FormatState(state, kPlain),
            "outside tcp 10.0.0.2:4567 -> 10.0.0.1:22       "
            "FIN_WAIT_2:ESTABLISHED\n");
}

TEST(SluicectlFormat, AStateOfIpv6) {
  json state = TcpState();
  state["protocol"] = 17;
  state["before"] = {{"source", "2001:db8::2"},
                     {"source_port", 53},
                     {"destination", "2001:db8::1"},
                     {"destination_port", 1000}};
  state["source"]["state"] = "SINGLE";
  state["destination"]["state"] = "NO_TRAFFIC";
  EXPECT_EQ(FormatState(state, kPlain),
            "all udp 2001:db8::1[1000] <- 2001:db8::2[53]       "
            "NO_TRAFFIC:SINGLE\n");
}

TEST(SluicectlFormat, StatesWithoutPortsAndOfOtherProtocols) {
  json state = TcpState();
  state["protocol"] = 1;
  state["before"]["destination_port"] = 8;
  state["source"]["state"] = "0";
  state["destination"]["state"] = "0";
  EXPECT_EQ(FormatState(state, kPlain),
            "all icmp 10.0.0.1:8 <- 10.0.0.2:4567       0:0\n");
  state["protocol"] = 58;
  EXPECT_EQ(FormatState(state, kPlain).substr(0, 14), "all ipv6-icmp ");
  state["protocol"] = 253;
  state["before"]["source_port"] = 0;
  state["before"]["destination_port"] = 0;
  EXPECT_EQ(FormatState(state, kPlain),
            "all 253 10.0.0.1 <- 10.0.0.2       0:0\n");
}

TEST(SluicectlFormat, ATranslatedState) {
  json state = TcpState();
  state["after"] = {{"source", "10.0.0.2"},
                    {"source_port", 4567},
                    {"destination", "192.168.1.5"},
                    {"destination_port", 2222}};
  EXPECT_EQ(FormatState(state, kPlain),
            "all tcp 192.168.1.5:2222 (10.0.0.1:22) <- 10.0.0.2:4567       "
            "ESTABLISHED:FIN_WAIT_2\n");
  state["direction"] = "out";
  state["after"] = {{"source", "198.51.100.1"},
                    {"source_port", 50001},
                    {"destination", "10.0.0.1"},
                    {"destination_port", 22}};
  EXPECT_EQ(FormatState(state, kPlain),
            "all tcp 198.51.100.1:50001 (10.0.0.2:4567) -> 10.0.0.1:22       "
            "FIN_WAIT_2:ESTABLISHED\n");
}

TEST(SluicectlFormat, AStateInAVlan) {
  json state = TcpState();
  state["vlan"] = "7.42";
  EXPECT_EQ(FormatState(state, kPlain),
            "all tcp 10.0.0.1:22 <- 10.0.0.2:4567 vlan 7.42       "
            "ESTABLISHED:FIN_WAIT_2\n");
}

// As pf has it: the way that packets go on, with the near end's phase first.
TEST(SluicectlFormat, AStateThatGoesOnInTheOtherFamily) {
  json state = TcpState();
  state["after"] = {{"source", "2001:db8::5"},
                    {"source_port", 50001},
                    {"destination", "64:ff9b::a00:1"},
                    {"destination_port", 22}};
  EXPECT_EQ(FormatState(state, kPlain),
            "all tcp 2001:db8::5[50001] (10.0.0.2:4567) -> "
            "64:ff9b::a00:1[22] (10.0.0.1:22)       "
            "ESTABLISHED:FIN_WAIT_2\n");
}

TEST(SluicectlFormat, AStateInDetail) {
  const std::string first =
      "all tcp 10.0.0.1:22 <- 10.0.0.2:4567       ESTABLISHED:FIN_WAIT_2\n"
      "   [4294967290 + 16](+5) wscale 6  [100 + 250] wscale 7\n"
      "   age 01:02:03, expires in 23:59:59, 10:9 pkts, 1000:20000 bytes, "
      "rule 4\n";
  EXPECT_EQ(FormatState(TcpState(), kVerbose), first);
  EXPECT_EQ(FormatState(TcpState(), kMore),
            first + "   id: 0123456789abcdef creatorid: 1a2b3c4d\n");
  json state = TcpState();
  state["source"]["window_scale"] = 0;
  state.erase("rule");
  state["parent"] = "00000000000000ff";
  EXPECT_EQ(FormatState(state, kMore),
            "all tcp 10.0.0.1:22 <- 10.0.0.2:4567       "
            "ESTABLISHED:FIN_WAIT_2\n"
            "   [4294967290 + 16](+5)  [100 + 250]\n"
            "   age 01:02:03, expires in 23:59:59, 10:9 pkts, 1000:20000 "
            "bytes\n"
            "   id: 0123456789abcdef creatorid: 1a2b3c4d parent: "
            "00000000000000ff\n");
  state = TcpState();
  state["route"] = {{"kind", "route-to"}, {"gateway", "192.0.2.1"}};
  EXPECT_EQ(FormatState(state, kVerbose), first);
  EXPECT_EQ(FormatState(state, kMore),
            first + "   id: 0123456789abcdef creatorid: 1a2b3c4d route-to: "
                    "192.0.2.1\n");
  state["route"]["interface"] = "wan2";
  EXPECT_EQ(FormatState(state, kMore),
            first + "   id: 0123456789abcdef creatorid: 1a2b3c4d route-to: "
                    "192.0.2.1@wan2\n");
}

TEST(SluicectlFormat, ARule) {
  const json rule = json::parse(R"({
    "number": 3, "text": "pass out all", "evaluations": 120,
    "in": {"packets": 0, "bytes": 0}, "out": {"packets": 31, "bytes": 4000},
    "states": 2, "state_creations": 5})");
  EXPECT_EQ(FormatRule(rule, kPlain, 0, 1), "pass out all\n");
  const std::string counters =
      "  [ Evaluations: 120       Packets: 31        Bytes: 4000        "
      "States: 2     ]\n"
      "  [ Inserted: uid 0 pid 99 State Creations: 5     ]\n";
  EXPECT_EQ(FormatRule(rule, kVerbose, 0, 99), "pass out all\n" + counters);
  EXPECT_EQ(FormatRule(rule, kMore, 0, 99), "@3 pass out all\n" + counters);
  json lossy = rule;
  lossy["state_mismatches"] = 12;
  EXPECT_EQ(FormatRule(lossy, kVerbose, 0, 99), "pass out all\n" + counters);
  EXPECT_EQ(FormatRule(lossy, kMore, 0, 99),
            "@3 pass out all\n" + counters + "  [ State Mismatches: 12    ]\n");
}

TEST(SluicectlFormat, Limiters) {
  EXPECT_EQ(
      LimiterTitle(false) + FormatLimiter(json::parse(R"({
    "kind": "state", "id": 7, "limit": 100, "rate": 0, "rate_seconds": 0,
    "states": 3, "admitted": 12, "hardlimited": 4, "ratelimited": 0})")),
      " ID      USE/LIMIT     RATE/SECS     ADMIT  HARDLIM  "
      "RATELIM\n"
      "  7        3/100        nil/nil         12        4    "
      "    0\n");
  EXPECT_EQ(
      LimiterTitle(true) + FormatLimiter(json::parse(R"({
    "kind": "source", "id": 255, "limit": 2, "rate": 5, "rate_seconds": 10,
    "states": 3, "entries": 50, "sources": 2, "admitted": 12,
    "addrlimited": 1, "hardlimited": 4, "ratelimited": 6})")),
      " ID      USE/ADDRS    LIMIT  RATE/SECS     ADMIT  "
      "ADDRLIM  HARDLIM  RATELIM\n"
      "255        2/50           2     5/10          12       "
      " 1        4        6\n");
}

TEST(SluicectlFormat, ALabel) {
  EXPECT_EQ(FormatLabel(json::parse(R"({
    "label": "web", "evaluations": 10,
    "in": {"packets": 1, "bytes": 100}, "out": {"packets": 2, "bytes": 300},
    "states": 1, "state_creations": 7})")),
            "web 10 3 400 1 100 2 300 7\n");
}

json Info() {
  return json::parse(R"({
    "enabled": true, "since": 62, "debug": "err", "host_id": "1a2b3c4d",
    "checksum": "00112233445566778899aabbccddeeff", "states": 12,
    "half_open_states": 3, "source_nodes": 1,
    "state_counters": [{"name": "searches", "value": 620},
                       {"name": "inserts", "value": 31},
                       {"name": "removals", "value": 0}],
    "source_counters": [{"name": "searches", "value": 5}],
    "drop_counters": [{"name": "match", "value": 124},
                      {"name": "no-wire", "value": 0}],
    "limit_counters": [{"name": "max states per rule", "value": 4}]})");
}

TEST(SluicectlFormat, Status) {
  EXPECT_EQ(FormatInfo(Info(), kPlain),
            "Status: Enabled for 0 days 00:01:02              Debug: err\n"
            "\n"
            "State Table                          Total             Rate\n"
            "  current entries                       12               \n"
            "  half-open tcp                          3               \n"
            "  searches                             620           10.0/s\n"
            "  inserts                               31            0.5/s\n"
            "  removals                               0            0.0/s\n"
            "Counters\n"
            "  match                                124            2.0/s\n"
            "  no-wire                                0            0.0/s\n");
}

TEST(SluicectlFormat, StatusInDetail) {
  json info = Info();
  info["enabled"] = false;
  info["since"] = 2 * 86400 + 3 * 3600;
  info["fragment_counters"] = json::parse(R"([
    {"name": "held", "value": 2}, {"name": "reassembled", "value": 9}])");
  EXPECT_EQ(FormatInfo(info, kVerbose),
            "Status: Disabled for 2 days 03:00:00             Debug: err\n"
            "\n"
            "Hostid:   0x1a2b3c4d\n"
            "Checksum: 0x00112233445566778899aabbccddeeff\n"
            "\n"
            "State Table                          Total             Rate\n"
            "  current entries                       12               \n"
            "  half-open tcp                          3               \n"
            "  searches                             620            0.0/s\n"
            "  inserts                               31            0.0/s\n"
            "  removals                               0            0.0/s\n"
            "Source Tracking Table\n"
            "  current entries                        1               \n"
            "  searches                               5            0.0/s\n"
            "Counters\n"
            "  match                                124            0.0/s\n"
            "  no-wire                                0            0.0/s\n"
            "Fragments\n"
            "  held                                   2               \n"
            "  reassembled                            9            0.0/s\n"
            "Limit Counters\n"
            "  max states per rule                    4            0.0/s\n");
}

TEST(SluicectlFormat, StatusOfTheClassifier) {
  json info = Info();
  info["classifier"] = json::parse(R"({
    "compiled": true, "counters": [{"name": "rules", "value": 21}],
    "parts": [{"direction": "in", "family": "inet", "compiled": true},
              {"direction": "in", "family": "inet6", "compiled": false,
               "why": "few rules", "slow": false},
              {"direction": "out", "family": "inet6", "compiled": false,
               "why": "too many overlapping conditions", "slow": true}]})");
  EXPECT_THAT(FormatInfo(info, kVerbose),
              testing::HasSubstr(
                  "Classifier\n"
                  "  rules                                 21               \n"
                  "  out inet6: walked one by one: too many overlapping "
                  "conditions\n"
                  "Limit Counters\n"));
  info["classifier"] = {{"compiled", false}};
  EXPECT_THAT(
      FormatInfo(info, kVerbose),
      testing::HasSubstr("Classifier\n  off, rules are walked one by one\n"));
  EXPECT_THAT(FormatInfo(info, kPlain),
              testing::Not(testing::HasSubstr("Classifier")));
}

TEST(SluicectlFormat, StatusBeforeItWasEverEnabled) {
  json info = Info();
  info["enabled"] = false;
  info.erase("since");
  const std::string text = FormatInfo(info, kPlain);
  EXPECT_EQ(text.substr(0, text.find('\n')),
            "Status: Disabled                                 Debug: err");
  EXPECT_NE(text.find("  searches                             620 "
                      "              \n"),
            std::string::npos);
}

TEST(SluicectlFormat, StatusWithAnInterface) {
  json info = Info();
  info["log_interface"] = json::parse(R"({
    "name": "outside", "traffic": {
      "inet": {"in": {"pass": {"packets": 1, "bytes": 100},
                      "block": {"packets": 2, "bytes": 50}},
               "out": {"pass": {"packets": 3, "bytes": 7},
                       "block": {"packets": 4, "bytes": 0}}},
      "inet6": {"in": {"pass": {"packets": 5, "bytes": 9},
                       "block": {"packets": 6, "bytes": 0}},
                "out": {"pass": {"packets": 7, "bytes": 8},
                        "block": {"packets": 8, "bytes": 0}}}}})");
  const std::string text = FormatInfo(info, kPlain);
  EXPECT_NE(
      text.find("Interface Stats for outside           IPv4             IPv6\n"
                "  Bytes In                             150                9\n"
                "  Bytes Out                              7                8\n"
                "  Packets In\n"
                "    Passed                               1                5\n"
                "    Blocked                              2                6\n"
                "  Packets Out\n"
                "    Passed                               3                7\n"
                "    Blocked                              4                8\n"
                "\n"
                "State Table"),
      std::string::npos)
      << text;
}

TEST(SluicectlFormat, TimeoutsAndLimits) {
  EXPECT_EQ(FormatTimeout(
                {{"name", "tcp.established"}, {"value", 86400}, {"unit", "s"}}),
            "tcp.established           86400s\n");
  EXPECT_EQ(
      FormatTimeout(
          {{"name", "adaptive.start"}, {"value", 60000}, {"unit", "states"}}),
      "adaptive.start            60000 states\n");
  EXPECT_EQ(FormatLimit({{"name", "states"}, {"value", 100000}}),
            "states        hard limit   100000\n");
  EXPECT_EQ(FormatLimit({{"name", "tables"}, {"value", UINT32_MAX}}),
            "tables        unlimited\n");
}

class SluicectlFormatTime : public testing::Test {
 protected:
  void SetUp() override {
    ::setenv("TZ", "UTC", 1);
    ::tzset();
  }
};

TEST_F(SluicectlFormatTime, ATable) {
  const json table = json::parse(R"({
    "name": "bad", "const": false, "persist": true, "active": true,
    "referenced": true, "counters": true, "addresses": 2, "rules": 3,
    "cleared": 86400, "match": 7, "no_match": 8,
    "traffic": {"in": {"block": {"packets": 1, "bytes": 60}}}})");
  EXPECT_EQ(FormatTable(table, kPlain), "bad\n");
  EXPECT_EQ(FormatTable(table, kVerbose), "-pa-r-C\tbad\n");
  EXPECT_EQ(FormatTable(table, kMore),
            "-pa-r-C\tbad\n"
            "\tAddresses:   2\n"
            "\tCleared:     Fri Jan  2 00:00:00 1970\n"
            "\tReferences:  [ Anchors: 0                  Rules: 3"
            "                  ]\n"
            "\tEvaluations: [ NoMatch: 8                  Match: 7"
            "                  ]\n"
            "\tIn/Block:    [ Packets: 1                  Bytes: 60"
            "                 ]\n"
            "\tIn/Match:    [ Packets: 0                  Bytes: 0"
            "                  ]\n"
            "\tIn/Pass:     [ Packets: 0                  Bytes: 0"
            "                  ]\n"
            "\tIn/XPass:    [ Packets: 0                  Bytes: 0"
            "                  ]\n"
            "\tOut/Block:   [ Packets: 0                  Bytes: 0"
            "                  ]\n"
            "\tOut/Match:   [ Packets: 0                  Bytes: 0"
            "                  ]\n"
            "\tOut/Pass:    [ Packets: 0                  Bytes: 0"
            "                  ]\n"
            "\tOut/XPass:   [ Packets: 0                  Bytes: 0"
            "                  ]\n");
  json other = table;
  other["const"] = true;
  other["persist"] = other["active"] = other["counters"] = false;
  other["anchor"] = "a/b";
  EXPECT_EQ(FormatTable(other, kVerbose), "");
  EXPECT_EQ(FormatTable(other, {.verbose = 1, .debug = true}),
            "c---r--\tbad\ta/b\n");
}

TEST_F(SluicectlFormatTime, AddressesOfATable) {
  EXPECT_EQ(FormatTableAddress({{"address", "10.0.0.1"}}, kPlain),
            "   10.0.0.1\n");
  EXPECT_EQ(FormatTableAddress({{"address", "!10.0.0.0/8"}}, kPlain),
            "  !10.0.0.0/8\n");
  const json weighty = {
      {"address", "2001:db8::1"}, {"weight", 3}, {"cleared", 86400}};
  EXPECT_EQ(FormatTableAddress(weighty, kPlain), "   2001:db8::1\n");
  EXPECT_EQ(FormatTableAddress(weighty, kVerbose),
            "   2001:db8::1\n\tCleared:     Fri Jan  2 00:00:00 1970\n"
            "\tWeight:             3\n");
  EXPECT_EQ(FormatTableAddress({{"address", "10.0.0.1"}, {"cleared", 86400}},
                               kVerbose),
            "   10.0.0.1\n\tCleared:     Fri Jan  2 00:00:00 1970\n");
  EXPECT_EQ(FormatTableChange({{"address", "10.0.0.1"}, {"change", "added"}}),
            "A  10.0.0.1\n");
  EXPECT_EQ(FormatTableChange({{"address", "10.0.0.1"}, {"change", "cleared"}}),
            "Z  10.0.0.1\n");
  EXPECT_EQ(
      FormatTableChange({{"address", "!10.0.0.1"}, {"change", "deleted"}}),
      "D !10.0.0.1\n");
}

// Each pf's lines, without XPass; OpenBSD's has none for an address that has
// counted nothing.
TEST_F(SluicectlFormatTime, CountersOfAnAddress) {
  const auto line = [](const char* name, int packets, int bytes) {
    char text[96];
    std::snprintf(text, sizeof text, "\t%-12s [ Packets: %-18d Bytes: %-18d ]\n",
                  name, packets, bytes);
    return std::string(text);
  };
  json address = json::parse(R"({
    "address": "10.0.0.1", "cleared": 86400,
    "traffic": {"in": {"block": {"packets": 1, "bytes": 60},
                       "match": {"packets": 4, "bytes": 400},
                       "pass": {"packets": 2, "bytes": 200},
                       "xpass": {"packets": 9, "bytes": 900}}}})");
  const std::string head =
      "   10.0.0.1\n\tCleared:     Fri Jan  2 00:00:00 1970\n";
  EXPECT_EQ(FormatTableAddress(address, kPlain), "   10.0.0.1\n");
  EXPECT_EQ(FormatTableAddress(address, kVerbose),
            head + line("In/Block:", 1, 60) + line("In/Match:", 4, 400) +
                line("In/Pass:", 2, 200) + line("Out/Block:", 0, 0) +
                line("Out/Match:", 0, 0) + line("Out/Pass:", 0, 0));
  const Detail freebsd = {.verbose = 1, .dialect = Dialect::kFreeBsd};
  EXPECT_EQ(FormatTableAddress(address, freebsd),
            head + line("In/Block:", 1, 60) + line("In/Pass:", 6, 600) +
                line("Out/Block:", 0, 0) + line("Out/Pass:", 0, 0));
  address["traffic"] = json::object();
  EXPECT_EQ(FormatTableAddress(address, kVerbose), head);
  EXPECT_EQ(FormatTableAddress(address, freebsd),
            head + line("In/Block:", 0, 0) + line("In/Pass:", 0, 0) +
                line("Out/Block:", 0, 0) + line("Out/Pass:", 0, 0));
}

TEST_F(SluicectlFormatTime, TestsOfATable) {
  const json match = {
      {"address", "10.0.0.1"}, {"match", true}, {"entry", "10.0.0.0/8"}};
  const json miss = {
      {"address", "10.1.0.1"}, {"match", false}, {"entry", "!10.1.0.0/16"}};
  EXPECT_EQ(FormatTableTest(match, kPlain), "");
  EXPECT_EQ(FormatTableTest(match, kVerbose), "M  10.0.0.1\n");
  EXPECT_EQ(FormatTableTest(miss, kVerbose), "");
  EXPECT_EQ(FormatTableTest(match, kMore), "M  10.0.0.1\t 10.0.0.0/8\n");
  EXPECT_EQ(FormatTableTest(miss, kMore), "   10.1.0.1\t!10.1.0.0/16\n");
}

TEST_F(SluicectlFormatTime, AnInterface) {
  const json interface = json::parse(R"({
    "name": "outside", "groups": [], "skip": true, "link_up": false,
    "cleared": 0, "states": 1, "rules": 2, "traffic": {
      "inet6": {"out": {"block": {"packets": 3, "bytes": 4}}}}})");
  EXPECT_EQ(FormatInterface(interface, kPlain), "outside\n");
  EXPECT_EQ(FormatInterface(interface, kVerbose), "outside (skip) (no link)\n");
  const std::string text = FormatInterface(interface, kMore);
  EXPECT_NE(text.find("\tReferences:  [ States:  1                  Rules: 2"
                      "                  ]\n"
                      "\tIn4/Pass:    [ Packets: 0 "),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("\tOut6/Block:  [ Packets: 3                  Bytes: 4"
                      "                  ]\n"),
            std::string::npos)
      << text;
}

TEST(SluicectlFormat, ADaemonOfAnotherVersionDoesNotCrashIt) {
  for (const json& odd :
       {json(), json(7), json::array({1}), json{{"before", 3}, {"in", "x"}},
        json{{"cleared", 4e300}, {"cleared", -1}, {"age", "x"}}}) {
    for (const Detail& detail : {kPlain, kVerbose, kMore}) {
      FormatRule(odd, detail, 0, 0);
      FormatState(odd, detail);
      FormatInfo(odd, detail);
      FormatInterface(odd, detail);
      FormatTable(odd, {.verbose = detail.verbose, .debug = true});
      FormatTableAddress(odd, detail);
      FormatTableTest(odd, detail);
    }
    FormatLabel(odd);
    FormatTimeout(odd);
    FormatLimit(odd);
    FormatTableChange(odd);
  }
}

}  // namespace
}  // namespace sluice
