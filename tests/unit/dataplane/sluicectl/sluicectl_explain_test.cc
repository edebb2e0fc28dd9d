// explain by sluicectl.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

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
