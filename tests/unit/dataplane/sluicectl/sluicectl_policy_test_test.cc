// test by sluicectl: of a ruleset without a daemon, and of a filter's rules.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "nlohmann/json.hpp"
#include "tests/unit/dataplane/sluicectl/sluicectl_fixture.h"

namespace sluice {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

constexpr char kTestedFacts[] =
    "[[interface]]\nname = \"outside\"\ngroups = [\"egress\"]\n"
    "addresses = [{address=\"192.0.2.254\", prefix=24}]\n"
    "[[interface]]\nname = \"inside\"\n";

class SluicectlPolicyTestTest : public SluicectlToolTest {
 protected:
  // Of these rules, without a daemon to ask: the socket is not there.
  Outcome Test(const std::string& rules, const std::string& expectations,
               std::vector<std::string> more = {}) {
    std::vector<std::string> words = {
        "test", Write("t", expectations), "-f", Write("rules.conf", rules),
        "--facts", Write("facts.toml", kTestedFacts)};
    words.insert(words.end(), more.begin(), more.end());
    absl::StatusOr<Arguments> arguments = ParseArguments(words);
    EXPECT_TRUE(arguments.ok()) << arguments.status();
    std::istringstream in;
    std::ostringstream out, err;
    SocketCaller caller(folder_.File("nobody.sock"));
    Outcome outcome;
    outcome.status = Tool(*arguments, &caller, in, out, err).Run();
    outcome.out = out.str();
    outcome.err = err.str();
    return outcome;
  }
  static std::string Expect(const std::string& what, const std::string& to,
                            const std::string& more = "") {
    return "expect " + what + " proto tcp from 192.0.2.1 to " + to + " " +
           more + "\n";
  }
};

TEST_F(SluicectlPolicyTestTest, WhatHoldsAndWhatDoesNot) {
  const std::string rules =
      "table <bad> { 192.0.2.66 }\nblock in quick from <bad>\nblock return\n"
      "pass in on egress proto tcp to 10.0.0.5 port { 80 443 } tag WEB label "
      "\"web\"\npass out on inside tagged WEB\n";
  ExpectIs(Test(rules,
                Expect("pass in on outside", "10.0.0.5 port { 80 443 }",
                       "tag WEB label web keep state") +
                    Expect("block in on inside", "10.0.0.5 port 443",
                           "reason match rule 1") +
                    "expect pass out on inside received-on outside proto tcp "
                    "from 192.0.2.1 to 10.0.0.5 port 443 tagged WEB\n"),
           0, "3 expectations held, 0 failed (4 packets)\n", "");
  const Outcome failed =
      Test(rules, Expect("pass in on outside", "10.0.0.5 port 79:81") +
                      Expect("block in on outside", "10.0.0.5 port 443"));
  EXPECT_EQ(failed.status, 1);
  EXPECT_THAT(
      failed.out,
      HasSubstr("t:1:1: this does not hold for 2 of 3 packets\nexpect pass"));
  EXPECT_THAT(failed.out,
              HasSubstr("  in on outside, tcp 192.0.2.1:49152 > 10.0.0.5:79 S: "
                        "it is dropped, match\n    @1 block return all\n"));
  EXPECT_THAT(failed.out, HasSubstr("10.0.0.5:443 S: it passes\n"));
  EXPECT_THAT(failed.out,
              HasSubstr("0 expectations held, 2 failed (4 packets)\n"));
}

TEST_F(SluicectlPolicyTestTest, EachThingThatIsExpected) {
  const std::string rules =
      "block\npass in tag T label \"l\"\n"
      "anchor \"a\" {\n pass in proto tcp to port 99 no state\n}\n";
  const struct {
    const char* more;
    const char* wrong;
  } kCases[] = {
      {"port 1 rule 0", "rule @1 decides, not 0"},
      {"port 1 label m", "which has no label \"m\""},
      {"port 1 tag U", "its tag is T, not U"},
      {"port 1 no state", "it makes a state"},
      {"port 99 keep state", "it makes no state"},
      {"port 99 anchor b", "rule a@0 decides, which is not in anchor \"b\""},
      {"port 1 nat-to 10.0.0.1", "it is not translated"},
      {"port 1 tag T rule 1 label l keep state", ""},
      {"port 99 anchor a rule 0 no state", ""},
  };
  for (const auto& c : kCases) {
    const Outcome outcome =
        Test(rules, Expect("pass in on outside", "10.0.0.5", c.more));
    EXPECT_EQ(outcome.status, *c.wrong == '\0' ? 0 : 1) << c.more;
    EXPECT_THAT(outcome.out, HasSubstr(c.wrong)) << c.more;
  }
}

TEST_F(SluicectlPolicyTestTest, TranslationAsTheRulesBehindItSeeIt) {
  // OpenBSD: the pass rule behind a match rule sees the new address.
  const std::string rules =
      "block\nmatch in on egress proto tcp to 192.0.2.80 port 80 rdr-to "
      "10.0.0.5 port 8080\nmatch out on egress from 10.0.0.0/8 nat-to "
      "192.0.2.254\npass in to 10.0.0.5\npass out on outside from "
      "192.0.2.254\n";
  EXPECT_EQ(Test(rules,
                 Expect("pass in on outside", "192.0.2.80 port 80",
                        "rdr-to 10.0.0.5 port 8080 rule 3") +
                     Expect("block in on inside", "192.0.2.80 port 80") +
                     "expect pass out on outside proto udp from 10.1.2.3 to "
                     "192.0.2.9 port 53 nat-to 192.0.2.254\n")
                .out,
            "3 expectations held, 0 failed (3 packets)\n");
  EXPECT_THAT(Test(rules, Expect("pass in on outside", "192.0.2.80 port 80",
                                 "rdr-to 10.0.0.6"))
                  .out,
              HasSubstr("it is translated to 10.0.0.5, and not rdr-to"));
  // FreeBSD: rules of their own, before the filter's.
  const std::string freebsd =
      "nat on outside from 10.0.0.0/8 to any -> 192.0.2.254\n"
      "rdr on outside proto tcp to 192.0.2.80 port 80 -> 10.0.0.5 port 8080\n"
      "rdr pass on inside proto tcp to 192.0.2.81 -> 10.0.0.7\n"
      "block\npass in proto tcp to 10.0.0.5 port 8080\npass out from "
      "192.0.2.254\n";
  const Outcome outcome =
      Test(freebsd,
           Expect("pass in on outside", "192.0.2.80 port 80",
                  "rdr-to 10.0.0.5 port 8080") +
               Expect("block in on outside", "10.0.0.5 port 80") +
               Expect("pass in on inside", "192.0.2.81 port 9",
                      "rdr-to 10.0.0.7 port 9") +
               "expect pass out on outside proto udp from 10.1.2.3 to "
               "192.0.2.9 port 53 nat-to 192.0.2.254\n",
           {"--dialect", "freebsd"});
  EXPECT_EQ(outcome.out, "4 expectations held, 0 failed (4 packets)\n")
      << outcome.err;
}

TEST_F(SluicectlPolicyTestTest, WhatIsChosenByChanceIsNotPromised) {
  const std::string rules =
      "pass out on outside from 10.0.0.0/8 nat-to { 192.0.2.3, 192.0.2.4 } "
      "round-robin\n";
  const std::string head =
      "expect pass out on outside proto udp from 10.0.0.1 to 192.0.2.9 port 1 ";
  EXPECT_EQ(Test(rules, head + "\n").status, 0);
  const Outcome outcome = Test(rules, head + "nat-to 192.0.2.3\n");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.out, HasSubstr("which address of its pool it gets is "
                                     "not known"));
  EXPECT_THAT(Test("pass out nat-to 192.0.2.3\n",
                   head + "nat-to 192.0.2.3 port 50001\n")
                  .out,
              HasSubstr("which port it gets is not known"));
}

TEST_F(SluicectlPolicyTestTest, BothFamiliesAndTheOtherOne) {
  EXPECT_EQ(Test("block\npass in inet6 proto { udp icmp6 }\n",
                 "expect pass in on outside proto { udp } from 2001:db8::1 to "
                 "2001:db8::2 port 9\n"
                 "expect pass in on outside proto icmp6 from 2001:db8::1 to "
                 "2001:db8::2 icmp6-type echoreq\n"
                 "expect block in on outside proto udp from 10.0.0.1 to "
                 "10.0.0.2 port 9\n")
                .status,
            0);
  EXPECT_EQ(Test("block\npass in on inside inet6 from any to 64:ff9b::/96 "
                 "af-to inet from 192.0.2.254\n",
                 "expect pass in on inside proto tcp from 2001:db8::1 to "
                 "64:ff9b::10.0.0.7 port 80 nat-to 192.0.2.254 rdr-to "
                 "10.0.0.7\n")
                .out,
            "1 expectation held, 0 failed (1 packet)\n");
}

TEST_F(SluicectlPolicyTestTest, WhatCannotBeRunIsStatus2) {
  const std::string good = Expect("pass in on outside", "10.0.0.5 port 1");
  const Outcome rules = Test("pass in on\n", good);
  EXPECT_EQ(rules.status, 2);
  EXPECT_THAT(rules.err, HasSubstr("rules.conf:1:11: "));
  EXPECT_THAT(rules.err, HasSubstr("nothing was tested"));
  const Outcome file = Test("pass\n", good + "expect pass out\n");
  EXPECT_EQ(file.status, 2);
  EXPECT_THAT(file.err, HasSubstr("t:2:"));
  EXPECT_EQ(file.out, "");
  EXPECT_EQ(Test("pass\n", "# nothing\n").status, 2);
  EXPECT_EQ(Test("pass\n", Expect("pass in on outsde", "10.0.0.5 port 1"))
                .status,
            2)
      << "the facts name all interfaces";
  EXPECT_EQ(Run({"test", "/nowhere/at/all"}).status, 2);
}

TEST_F(SluicectlPolicyTestTest, TellsPrograms) {
  const Outcome outcome =
      Test("block\n", Expect("pass in on outside", "10.0.0.5 port 1:9"),
           {"--json"});
  EXPECT_EQ(outcome.status, 1);
  const json told = json::parse(outcome.out)["test"];
  EXPECT_EQ(told["failed"], 1);
  EXPECT_EQ(told["packets"], 9);
  const json& result = told["results"][0];
  EXPECT_EQ(result["line"], 1);
  EXPECT_EQ(result["wrong_packets"], 9);
  ASSERT_EQ(result["failures"].size(), 5u) << "no more than five are told";
  EXPECT_EQ(result["failures"][0]["destination_port"], 1);
  EXPECT_EQ(result["failures"][0]["answer"]["reason"], "match");
  const Outcome broken = Test("pass in on\n", "x\n", {"--json"});
  EXPECT_EQ(broken.status, 2);
  EXPECT_TRUE(json::parse(broken.out)["error"].is_object());
}

TEST_F(SluicectlPolicyTestTest, AsksTheRulesOfAFilter) {
  const std::string path =
      Write("t", Expect("pass in on outside", "10.0.0.5 port 80", "flags SA") +
                     Expect("block in on outside", "10.0.0.5 port 23"));
  const Outcome outcome = Run({"test", path, "-v"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("t:1: holds, 1 packet\n"));
  ASSERT_EQ(filter_.explained.size(), 2u);
  EXPECT_EQ(filter_.explained[0].packet.tcp_flags, kTcpSyn | kTcpAck);
  EXPECT_EQ(filter_.explained[0].interface, "outside");
  EXPECT_FALSE(filter_.explained[0].ruleset.has_value());
  EXPECT_EQ(Run({"test", path, "--filter", "nobody"}).status, 2);
}

TEST_F(SluicectlPolicyTestTest, MacrosOfTheCommandLine) {
  EXPECT_EQ(Test("block\npass in to $web\n",
                 Expect("pass in on outside", "$web port 1"),
                 {"-D", "web=10.0.0.77"})
                .status,
            0);
}

}  // namespace
}  // namespace sluice
