// Files of expectations: which packets a statement names, and what is said of
// those that are wrong.
#include "pftable/language/policy_test.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

PolicyTest Read(std::string text, Dialect dialect = Dialect::kOpenBsd) {
  ParseInput input;
  input.file_name = "t";
  input.text = std::move(text);
  input.dialect = dialect;
  return ParsePolicyTest(std::move(input));
}

std::string Told(const ExpectedPacket& p) {
  const PacketInfo& i = p.packet;
  return absl::StrCat(p.direction == Direction::kIn ? "in " : "out ",
                      p.interface, " ", i.proto, " ",
                      ToString(i.source_address()), ":", i.source_port.host(),
                      ">", ToString(i.destination_address()), ":",
                      i.destination_port.host());
}

std::vector<std::string> Packets(const std::string& text) {
  const PolicyTest test = Read(text);
  EXPECT_EQ(FormatDiagnostics(test.diagnostics), "");
  std::vector<std::string> packets;
  for (const Expectation& e : test.expectations) {
    uint64_t count = 0;
    e.ForEachPacket([&](const ExpectedPacket& p) {
      packets.push_back(Told(p));
      ++count;
      return true;
    });
    EXPECT_EQ(count, e.packets) << "what is counted is what is made";
  }
  return packets;
}

std::string FirstError(const std::string& text) {
  const PolicyTest test = Read(text);
  if (test.diagnostics.empty()) return "none";
  EXPECT_FALSE(test.ok());
  const Diagnostic& d = test.diagnostics.front();
  return absl::StrCat(d.line, ":", d.column, ": ", d.message);
}

constexpr char kHead[] = "expect pass in on em0 proto tcp ";

TEST(PolicyTestTest, OnePacket) {
  EXPECT_THAT(Packets("expect pass in on outside proto tcp from 192.0.2.1 to "
                      "10.0.0.5 port 443\n"),
              ElementsAre("in outside 6 192.0.2.1:49152>10.0.0.5:443"));
  const PolicyTest test = Read(
      "# first\nexpect block out on b received-on a inet6 proto udp from "
      "2001:db8::1 port 53 to 2001:db8::2 port domain tagged T reason match\n");
  ASSERT_EQ(test.expectations.size(), 1u);
  const Expectation& e = test.expectations[0];
  EXPECT_FALSE(e.passes);
  EXPECT_EQ(e.place.line, 2u);
  EXPECT_EQ(e.reason, "match");
  EXPECT_THAT(e.text, HasSubstr("expect block out"));
  e.ForEachPacket([](const ExpectedPacket& p) {
    EXPECT_EQ(Told(p), "out b 17 2001:db8::1:53>2001:db8::2:53");
    EXPECT_EQ(p.received_on, "a");
    EXPECT_EQ(p.tagged, "T");
    EXPECT_EQ(p.packet.tcp_flags, 0);
    return true;
  });
}

TEST(PolicyTestTest, ListsMultiplyAndMacrosAreReplaced) {
  EXPECT_THAT(Packets("dns = \"{ 10.0.0.1 2001:db8::1 }\"\n"
                      "expect pass in on { a, b } proto { tcp udp } \\\n"
                      "  from { 192.0.2.1, 2001:db8:1::1 } to $dns port 53\n"),
              ElementsAre("in a 6 192.0.2.1:49152>10.0.0.1:53",
                          "in a 6 2001:db8:1::1:49152>2001:db8::1:53",
                          "in a 17 192.0.2.1:49152>10.0.0.1:53",
                          "in a 17 2001:db8:1::1:49152>2001:db8::1:53",
                          "in b 6 192.0.2.1:49152>10.0.0.1:53",
                          "in b 6 2001:db8:1::1:49152>2001:db8::1:53",
                          "in b 17 192.0.2.1:49152>10.0.0.1:53",
                          "in b 17 2001:db8:1::1:49152>2001:db8::1:53"));
}

TEST(PolicyTestTest, NetworksAndRangesAreEachOfTheirAddresses) {
  const std::string to = " to 10.0.0.1 port 1\n";
  EXPECT_THAT(Packets(absl::StrCat(kHead, "from 192.0.2.255/31", to)),
              ElementsAre("in em0 6 192.0.2.254:49152>10.0.0.1:1",
                          "in em0 6 192.0.2.255:49152>10.0.0.1:1"));
  EXPECT_THAT(Packets(absl::StrCat(kHead, "from 192.0.2.255 - 192.0.3.1", to)),
              ElementsAre("in em0 6 192.0.2.255:49152>10.0.0.1:1",
                          "in em0 6 192.0.3.0:49152>10.0.0.1:1",
                          "in em0 6 192.0.3.1:49152>10.0.0.1:1"));
  EXPECT_EQ(Packets("expect pass in on a proto udp from 2001:db8::ff00/120 to "
                    "2001:db8::1 port 5\n")
                .size(),
            256u);
}

TEST(PolicyTestTest, PortsAsRulesWriteThem) {
  const auto count = [](const std::string& ports) {
    return Packets(absl::StrCat(kHead, "from 10.0.0.1 to 10.0.0.2 port ", ports,
                                "\n"))
        .size();
  };
  EXPECT_EQ(count("80:89"), 10u);
  EXPECT_EQ(count("{ 80, 443 1000:1001 }"), 4u);
  EXPECT_EQ(count("10 >< 13"), 2u);
  EXPECT_EQ(count("< 3"), 3u);
  EXPECT_EQ(count(">= 65535"), 1u);
  EXPECT_EQ(count("!= 80"), 65535u);
  EXPECT_EQ(count("1 <> 65534"), 2u);
  EXPECT_EQ(count("https"), 1u);
}

TEST(PolicyTestTest, FlagsTypesAndTheRest) {
  const PolicyTest test = Read(absl::StrCat(
      kHead, "from 10.0.0.1 to 10.0.0.2 port 1\n", kHead,
      "from 10.0.0.1 to 10.0.0.2 port 1 flags SA/SAFR tos ef ip-options tag T "
      "label \"a b\" rule 3 anchor \"x/y\" keep state rdr-to 10.0.0.9 port 8080 "
      "nat-to 10.0.0.8\n"
      "expect pass in on a proto { icmp, icmp6 } from { 10.0.0.1 ::1 } to "
      "{ 10.0.0.2 ::2 }\n"
      "expect pass in on a proto icmp from 10.0.0.1 to 10.0.0.2 icmp-type "
      "{ unreach code needfrag, 13 }\n"
      "expect pass in on a proto tcp from 10.0.0.1 to 10.0.0.2 fragment\n"));
  EXPECT_EQ(FormatDiagnostics(test.diagnostics), "");
  ASSERT_EQ(test.expectations.size(), 5u);
  const auto all = [&](size_t i) {
    std::vector<PacketInfo> packets;
    test.expectations[i].ForEachPacket([&](const ExpectedPacket& p) {
      packets.push_back(p.packet);
      return true;
    });
    return packets;
  };
  EXPECT_EQ(all(0)[0].tcp_flags, kTcpSyn);
  EXPECT_EQ(all(1)[0].tcp_flags, kTcpSyn | kTcpAck);
  EXPECT_EQ(all(1)[0].tos, 0xb8);
  EXPECT_TRUE(all(1)[0].has(kIpOptions));
  const Expectation& e = test.expectations[1];
  EXPECT_EQ(e.tag, "T");
  EXPECT_EQ(e.label, "a b");
  EXPECT_EQ(e.rule, 3u);
  EXPECT_EQ(e.anchor, "x/y");
  EXPECT_EQ(e.keeps_state, true);
  EXPECT_EQ(e.rdr_to, ParseAddress("10.0.0.9"));
  EXPECT_EQ(e.rdr_port, 8080);
  EXPECT_EQ(e.nat_to, ParseAddress("10.0.0.8"));
  ASSERT_EQ(all(2).size(), 2u) << "ICMP is of one family";
  EXPECT_EQ(all(2)[0].icmp_type, 8);
  EXPECT_EQ(all(2)[1].icmp_type, 128);
  ASSERT_EQ(all(3).size(), 2u);
  EXPECT_EQ(all(3)[0].icmp_code, 4);
  EXPECT_EQ(all(3)[1].icmp_type, 13);
  EXPECT_TRUE(all(4)[0].has(kFragment));
}

TEST(PolicyTestTest, MistakesAndTheirPlaces) {
  const struct {
    const char* text;
    const char* error;
  } kCases[] = {
      {"expect pas in on a", "1:8: syntax error"},
      {"pass in on a proto tcp from 10.0.0.1 to 10.0.0.2 port 1",
       "1:1: syntax error: 'pass' does not begin a statement"},
      {"expect pass on a", "1:13: syntax error"},
      {"expect pass in proto tcp", "1:16: syntax error"},
      {"expect pass in on any proto tcp", "1:19: 'any' is a condition"},
      {"expect pass in on a proto tpc from", "1:27: unknown protocol tpc"},
      {"expect pass in on a proto tcp from any to 10.0.0.1 port 1",
       "1:36: 'any' is a condition"},
      {"expect pass in on a proto tcp from !10.0.0.1 to 10.0.0.2 port 1",
       "1:36: syntax error: '!' where an address"},
      {"expect pass in on a proto tcp from <t> to 10.0.0.2 port 1",
       "1:36: syntax error: '<' where an address"},
      {"expect pass in on a proto tcp from 10.0.0.300 to 10.0.0.2 port 1",
       "1:36: '10.0.0.300' is no address"},
      {"expect pass in on a proto tcp from 10.0.0.0/8 to 10.0.0.2 port 1",
       "1:36: more addresses than can be tried"},
      {"expect pass in on a proto tcp from 10.0.0.9 - 10.0.0.1 to ::1 port 1",
       "1:36: the range of addresses ends before it begins"},
      {"expect pass in on a proto tcp from 10.0.0.0/24 to 10.1.0.0/23 port 1",
       "1:1: more packets than can be tried"},
      {"expect pass in on a proto tcp from 10.0.0.1 to 10.0.0.2",
       "1:1: the port is missing"},
      {"expect pass in on a proto icmp from 10.0.0.1 to 10.0.0.2 port 1",
       "1:1: port only applies"},
      {"expect pass in on a proto udp from 10.0.0.1 to 10.0.0.2 port 1 flags S",
       "1:1: flags only apply to tcp"},
      {"expect pass in on a proto tcp from 10.0.0.1 to ::2 port 1",
       "1:1: no packet is like that"},
      {"expect pass in on a inet6 proto tcp from 10.0.0.1 to 10.0.0.2 port 1",
       "1:1: no packet is like that"},
      {"expect pass in on a proto tcp from 10.0.0.1 to 10.0.0.2 port 1 tag T "
       "tag U",
       "1:70: 'tag' is given twice"},
      {"expect block in on a proto tcp from 10.0.0.1 to 10.0.0.2 port 1 reason "
       "macht",
       "1:72: unknown reason macht"},
      {"expect pass in on a proto tcp from 10.0.0.1 to 10.0.0.2 port 1 reason "
       "match",
       "1:71: a packet that passes has no reason"},
      {"expect block in on a proto tcp from 10.0.0.1 to 10.0.0.2 port 1 keep "
       "state",
       "1:1: a packet that is blocked"},
      {"expect pass in on a received-on b proto tcp",
       "1:21: 'received-on' is of packets that go out"},
      {"expect pass in on a proto tcp from 10.0.0.1 to 10.0.0.2 port 1 quick",
       "1:64: syntax error"},
      {"expect pass in on a proto tcp from $nobody to 10.0.0.2 port 1",
       "1:36: macro 'nobody' not defined"},
      {"expect pass in on a proto tcp from { 10.0.0.1", "1:36: '{' without"},
      {"pass = 3", "1:1: 'pass' is a reserved word"},
      {"expect pass in on a proto tcp from 10.0.0.1 to 10.0.0.2 port 1 flags "
       "SA/S",
       "1:73: no packet can have these flags"},
      {"expect pass in on a proto tcp from 10.0.0.1 to 10.0.0.2 port < 0",
       "1:62: there is no such port"},
  };
  for (const auto& c : kCases) {
    EXPECT_THAT(FirstError(absl::StrCat(c.text, "\n")), HasSubstr(c.error))
        << c.text;
  }
}

TEST(PolicyTestTest, AllMistakesOfAFileAreSeenAtOnce) {
  const PolicyTest test =
      Read("expect pass in on any\nexpect { \n bad }\n"
           "expect pass in on a proto tcp from ::1 to ::2 port 1\n"
           "expect maybe\n");
  EXPECT_EQ(test.expectations.size(), 1u);
  ASSERT_EQ(test.diagnostics.size(), 3u)
      << FormatDiagnostics(test.diagnostics);
  EXPECT_EQ(test.diagnostics[2].line, 5u);
}

TEST(PolicyTestTest, PacketsOfAFileAreBounded) {
  std::string text;
  for (int i = 0; i < 16; ++i) {
    absl::StrAppend(&text, kHead,
                    "from 10.0.0.1 to 10.0.0.2 port 0:65535\n");
  }
  EXPECT_THAT(FirstError(text), HasSubstr("16:1: more packets in all"));
}

}  // namespace
}  // namespace sluice
