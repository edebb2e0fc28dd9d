// explain by sluicectl.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "tests/unit/dataplane/sluicectl/sluicectl_fixture.h"

namespace sluice {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class SluicectlExplainTest : public SluicectlToolTest {
 protected:
  std::vector<std::string> With(std::vector<std::string> more,
                                std::string to = "192.0.2.1:80") {
    std::vector<std::string> words = {"explain", "--in",   "inside", "--proto",
                                      "tcp",     "--from", "10.0.0.1:1234",
                                      "--to",    std::move(to)};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
};

TEST_F(SluicectlExplainTest, TellsBothEndsOfTheWire) {
  ExpectIs(Run(With({"--flags", "SA", "--tag", "T", "-v"})), 0,
           "in on inside, filter main: passes, makes a state, tag T\n"
           "  matches  @0 block drop all\n"
           "  decides    web@3 pass in from <good> to any flags S/SA\n"
           "           source in <good>: 10.0.0.0/8\n"
           "  misses   @4 pass out all flags S/SA  # direction\n"
           "  and 2 more that miss one condition\n"
           "out on outside, filter main: passes, makes a state, tag T\n"
           "  matches  @0 block drop all\n"
           "  decides    web@3 pass in from <good> to any flags S/SA\n"
           "           source in <good>: 10.0.0.0/8\n"
           "  misses   @4 pass out all flags S/SA  # direction\n"
           "  and 2 more that miss one condition\n",
           "");
  ASSERT_EQ(filter_.explained.size(), 2u);
  const ExplainRequest& in = filter_.explained[0];
  EXPECT_EQ(in.direction, Direction::kIn);
  EXPECT_EQ(in.interface, "inside");
  EXPECT_EQ(in.packet.source_address(), *ParseAddress("10.0.0.1"));
  EXPECT_EQ(in.packet.destination_address(), *ParseAddress("192.0.2.1"));
  EXPECT_EQ(in.packet.source_port.host(), 1234);
  EXPECT_EQ(in.packet.destination_port.host(), 80);
  EXPECT_EQ(in.packet.tcp_flags, kTcpSyn | kTcpAck);
  EXPECT_EQ(in.near, 20u);
  const ExplainRequest& out = filter_.explained[1];
  EXPECT_EQ(out.direction, Direction::kOut);
  EXPECT_EQ(out.interface, "outside");
  EXPECT_EQ(out.received_on, "inside");
  EXPECT_EQ(out.tag, "T");
}

TEST_F(SluicectlExplainTest, WhatIsDroppedDoesNotLeave) {
  const Outcome outcome = Run(With({}, "192.0.2.1:23"));
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.out,
            "in on inside, filter main: dropped, match\n"
            "  decides  @0 block drop all\n");
  EXPECT_EQ(filter_.explained.size(), 1u);
  EXPECT_EQ(filter_.explained[0].packet.tcp_flags, kTcpSyn);
}

TEST_F(SluicectlExplainTest, AsksTheRulesOfAFile) {
  const std::string path = Write("new.conf", "block\n");
  const Outcome outcome = Run(With({"-f", path, "--json"}));
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  ASSERT_EQ(filter_.explained.size(), 2u);
  ASSERT_TRUE(filter_.explained[0].ruleset.has_value());
  EXPECT_EQ(filter_.explained[0].ruleset->text, "block\n");
  EXPECT_EQ(filter_.generation, 1u) << "nothing is loaded";
  const json told = json::parse(outcome.out);
  EXPECT_EQ(told["explain"][1]["port"], "outside");
  EXPECT_EQ(told["explain"][0]["rules"][1]["tables"][0]["entry"],
            "10.0.0.0/8");
}

TEST_F(SluicectlExplainTest, AStateDecides) {
  StateListing state;
  state.protocol = protocol::kTcp;
  state.before = {.source = *ParseAddress("10.0.0.1"),
                  .destination = *ParseAddress("192.0.2.1"),
                  .source_port = 1234,
                  .destination_port = 80};
  state.after = state.before;
  filter_.states = {state};
  const Outcome outcome = Run(With({}));
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out,
              HasSubstr("in on inside, filter main: a state decides\n  "));
  EXPECT_THAT(outcome.out, HasSubstr("without it: passes, makes a state\n"));
}

TEST_F(SluicectlExplainTest, AnExcludedPortJudgesNothing) {
  directory_.ports["inside"].excluded = true;
  EXPECT_THAT(Run(With({})).out,
              HasSubstr("in on inside, filter main: passes, nothing is judged "
                        "here (port exclude)\n"));
}

// What a router says, without the rules.
std::vector<std::string> WaysOf(const std::string& text) {
  std::vector<std::string> ways;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.find("router ") != line.npos || line.find(" on ") < 4) {
      ways.push_back(line);
    }
  }
  return ways;
}

TEST_F(SluicectlExplainTest, FollowsTheRouteToAnotherPort) {
  filter_.ways["in inside"] = {.router = "core",
                               .by = "routes",
                               .type = "forward",
                               .prefix = "192.0.2.0/24",
                               .port = "outside",
                               .next_hop = "203.0.113.1",
                               .gateway = true,
                               .neighbor = "known",
                               .mac = "02:00:00:00:00:01"};
  filter_.copies["in inside"] = {.router = "core",
                                 .by = "dup-to",
                                 .type = "none",
                                 .reason = "no-route"};
  const Outcome outcome = Run(With({"--ttl", "1"}));
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(
      WaysOf(outcome.out),
      testing::ElementsAre(
          "in on inside, filter main: passes, makes a state",
          "  router core: route 192.0.2.0/24, by outside to gateway "
          "203.0.113.1 (02:00:00:00:00:01)",
          "  a copy, router core: by dup-to, there is no route, dropped, "
          "no-route",
          "out on outside, filter main: passes, makes a state"));
  ASSERT_EQ(filter_.explained.size(), 2u);
  EXPECT_EQ(filter_.explained[0].packet.ttl, 1);
  EXPECT_EQ(filter_.explained[0].next_hop, std::nullopt);
  EXPECT_EQ(filter_.explained[1].received_on, "inside");
  EXPECT_EQ(filter_.explained[1].next_hop, ParseAddress("203.0.113.1"));
  const json told = json::parse(Run(With({"--json"})).out);
  EXPECT_EQ(told["explain"][0]["way"]["prefix"], "192.0.2.0/24");
  EXPECT_EQ(told["explain"][0]["way"]["neighbor"], "known");
  EXPECT_EQ(told["explain"][0]["copy"]["reason"], "no-route");
  EXPECT_FALSE(told["explain"][1].contains("way"));
  EXPECT_EQ(filter_.explained.back().direction, Direction::kOut);
}

TEST_F(SluicectlExplainTest, WhatTheRouterKeepsOrDropsDoesNotLeave) {
  const struct {
    ExplainedWayListing way;
    const char* told;
  } kWays[] = {
      {{.type = "local"}, "for the router itself, to the kernel"},
      {{.type = "none", .reason = "no-route"},
       "there is no route, dropped, no-route"},
      {{.type = "blackhole", .prefix = "192.0.2.0/25", .reason = "no-route"},
       "route 192.0.2.0/25, blackhole, dropped, no-route"},
      {{.type = "forward",
        .prefix = "0.0.0.0/0",
        .port = "outside",
        .next_hop = "192.0.2.1",
        .neighbor = "failed",
        .reason = "ttl-exceeded"},
       "route 0.0.0.0/0, by outside to 192.0.2.1 (which has not answered), "
       "dropped, ttl-exceeded"},
  };
  for (const auto& [way, told] : kWays) {
    ExplainedWayListing& at = filter_.ways["in inside"] = way;
    at.router = "core";
    at.by = "routes";
    filter_.explained.clear();
    EXPECT_THAT(
        WaysOf(Run(With({})).out),
        testing::ElementsAre("in on inside, filter main: passes, makes a state",
                             absl::StrCat("  router core: ", told)));
    EXPECT_EQ(filter_.explained.size(), 1u) << told;
  }
  // A packet that the rules drop goes no way.
  EXPECT_THAT(WaysOf(Run(With({}, "192.0.2.1:23")).out),
              testing::ElementsAre("in on inside, filter main: dropped, match"));
}

TEST_F(SluicectlExplainTest, ANewStateDecidesWhereItMovesTo) {
  const ExplainedWayListing way = {.router = "core",
                                   .by = "route-to",
                                   .type = "forward",
                                   .port = "outside",
                                   .next_hop = "203.0.113.1",
                                   .neighbor = "pending"};
  filter_.ways["in inside"] = way;
  filter_.ways["out outside"] = way;
  std::string told = Run(With({})).out;
  EXPECT_EQ(filter_.explained.size(), 2u) << "it stays there";
  EXPECT_THAT(told, HasSubstr("  router core: by route-to, by outside to "
                              "203.0.113.1 (it waits until that answers)\n"));
  filter_.explained.clear();
  filter_.ways["out outside"].port = "inside";
  filter_.ways["out inside"] = way;
  told = Run(With({})).out;
  EXPECT_EQ(filter_.explained.size(), 2u);
  EXPECT_EQ(WaysOf(told).back(),
            "  router core: by route-to, by inside to 203.0.113.1 (it waits "
            "until that answers)");
}

TEST_F(SluicectlExplainTest, WritesIpv6Ends) {
  Run({"explain", "--in", "inside", "--proto", "udp", "--from",
       "[2001:db8::1]:53", "--to", "2001:db8::2"});
  ASSERT_FALSE(filter_.explained.empty());
  const PacketInfo& packet = filter_.explained[0].packet;
  EXPECT_EQ(packet.family, Family::kIpv6);
  EXPECT_EQ(packet.source_address(), *ParseAddress("2001:db8::1"));
  EXPECT_EQ(packet.source_port.host(), 53);
  EXPECT_EQ(packet.proto, protocol::kUdp);
  EXPECT_EQ(packet.tcp_flags, 0);
}

TEST_F(SluicectlExplainTest, SaysWhatIsWrong) {
  const struct {
    std::vector<std::string> words;
    const char* message;
  } kWrong[] = {
      {With({}, "192.0.2.1:70000"), "--to: '192.0.2.1:70000'"},
      {With({}, "2001:db8::1"), "addresses of one family"},
      {With({"--flags", "X"}), "letters of FSRPAUEW"},
      {With({"--icmp-type", "8"}), "--icmp-type and --icmp-code"},
      {{"explain", "--in", "nowhere", "--proto", "tcp", "--from", "10.0.0.1",
        "--to", "10.0.0.2"},
       "there is no port 'nowhere'"},
      {{"explain", "--in", "inside", "--proto", "tpc", "--from", "10.0.0.1",
        "--to", "10.0.0.2"},
       "'tpc' is no protocol"},
  };
  for (const auto& [words, message] : kWrong) {
    const Outcome outcome = Run(words);
    EXPECT_EQ(outcome.status, 1) << message;
    EXPECT_THAT(outcome.err, HasSubstr(message));
  }
  const std::vector<std::string> too_few = {"explain", "--in", "inside"};
  EXPECT_FALSE(ParseArguments(too_few).ok());
}

}  // namespace
}  // namespace sluice
