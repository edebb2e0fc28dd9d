// What `sluicectl -n -f` prints under each flag, in each dialect's sense.
#include <gmock/gmock.h>

#include <ostream>
#include <string>
#include <vector>

#include "dataplane/sluicectl/format.h"
#include "dataplane/sluicectl/ruleset_file.h"
#include "nlohmann/json.hpp"
#include "tests/unit/dataplane/sluicectl/sluicectl_fixture.h"

namespace sluice {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr char kOpenBsdText[] =
    "nic = \"em0\"\n"
    "set block-policy return\n"
    "table <t> persist { 192.0.2.1 2001:db8::1 }\n"
    "queue std on em0 bandwidth 1M\n"
    "block in on $nic\n"
    "anchor in on em0 {\n"
    "  pass proto tcp from <t> to port { ssh 8081 }\n"
    "  anchor \"deep\" {\n"
    "    block inet6\n"
    "  }\n"
    "}\n"
    "pass out proto udp to port = 53\n";

constexpr char kFreeBsdText[] =
    "nic = \"em0\"\n"
    "set block-policy return\n"
    "table <t> persist { 192.0.2.1 2001:db8::1 }\n"
    "ether block in on em0\n"
    "scrub in on em0 all no-df\n"
    "altq on em0 priq bandwidth 1Mb queue { std }\n"
    "queue std priority 3\n"
    "nat on $nic inet from 10.0.0.0/8 to any -> 192.0.2.9\n"
    "rdr on em0 inet6 proto tcp to port 80 -> 2001:db8::9 port 8081\n"
    "block in on em0\n"
    "anchor in on em0 {\n"
    "  pass proto tcp from <t> to port { ssh 8081 }\n"
    "}\n"
    "pass out proto udp to port = 53\n";

// Parts of what is printed of them.
const std::string kMacro = "nic = \"em0\"\n";
const std::string kOption = "set block-policy return\n";
const std::string kTable = "table <t> persist { 192.0.2.1 2001:db8::1 }\n";
const std::string kEther = "ether block in on em0 l3 all\n";
const std::string kScrub = "scrub in on em0 all no-df fragment reassemble\n";
const std::string kQueues =
    "altq on em0 priq bandwidth 1Mb tbrsize 1500 queue { std }\n"
    "queue std priority 3 \n";
const std::string kTranslation =
    "nat on em0 inet from 10.0.0.0/8 to any -> 192.0.2.9\n"
    "rdr on em0 inet6 proto tcp from any to any port = http -> 2001:db8::9 "
    "port 8081\n";

// FreeBSD's filter rules with the names or numbers of ports.
std::string Filter(const std::string& ssh, const std::string& domain,
                   const std::string& anchor = "anchor") {
  return "block return in on em0 all\n" + anchor +
         " in on em0 all {\n"
         "  pass proto tcp from <t> to any port = " + ssh +
         " flags S/SA keep state\n"
         "  pass proto tcp from <t> to any port = 8081 flags S/SA keep state\n"
         "}\n"
         "pass out proto udp from any to any port = " + domain +
         " keep state\n";
}

std::string OpenBsd(const std::string& ssh, const std::string& domain,
                    const std::string& anchor = "anchor") {
  return kMacro + kOption + kTable +
         "queue std on em0 bandwidth 1M\n"
         "block return in on em0 all\n" + anchor +
         " in on em0 all {\n"
         "  pass proto tcp from <t> to any port = " + ssh +
         " flags S/SA\n"
         "  pass proto tcp from <t> to any port = 8081 flags S/SA\n"
         "  anchor \"deep\" all {\n"
         "    block return inet6 all\n"
         "  }\n"
         "}\n"
         "pass out proto udp from any to any port = " + domain + "\n";
}

struct Printed {
  const char* name;
  Dialect dialect;
  std::vector<std::string> flags;
  std::string out;
};

void PrintTo(const Printed& c, std::ostream* out) { *out << c.name; }

std::vector<Printed> Cases() {
  constexpr Dialect kO = Dialect::kOpenBsd;
  constexpr Dialect kF = Dialect::kFreeBsd;
  const std::string all = kMacro + kOption + kTable + kQueues + kEther +
                          kScrub + kTranslation;
  return {
      {"NothingOnOpenBsd", kO, {}, ""},
      {"NothingOnFreeBsd", kF, {}, ""},
      {"QuietOnOpenBsd", kO, {"-q"}, ""},
      {"QuietOnFreeBsd", kF, {"-q"}, ""},
      {"VerboseOnOpenBsd", kO, {"-v"}, OpenBsd("22", "53")},
      {"VerboseOnFreeBsd", kF, {"-v"}, all + Filter("ssh", "domain")},
      // Only messages are kept from who asks for quiet.
      {"QuietAndVerboseOnOpenBsd", kO, {"-qv"}, OpenBsd("22", "53")},
      {"QuietAndVerboseOnFreeBsd", kF, {"-q", "-v"},
       all + Filter("ssh", "domain")},
      {"PortNamesOnOpenBsd", kO, {"-vP"}, OpenBsd("ssh", "domain")},
      {"PortNumbersOnFreeBsd", kF, {"-RvP"},
       kMacro + kScrub + Filter("22", "53")},
      {"AnchorNamesOnOpenBsd", kO, {"-vg"},
       OpenBsd("22", "53", "anchor \"_1\"")},
      {"AnchorNamesOnFreeBsd", kF, {"-gRv"},
       kMacro + kScrub + Filter("ssh", "domain", "anchor \"_1\"")},
      // Numbers of rules, at the left edge and anew in each anchor.
      {"VeryVerboseOnOpenBsd", kO, {"-vv"},
       kMacro + kOption + kTable +
           "queue std on em0 bandwidth 1M\n"
           "@0 block return in on em0 all\n"
           "@1 anchor in on em0 all {\n"
           "@0 pass proto tcp from <t:0> to any port = 22 flags S/SA\n"
           "@1 pass proto tcp from <t:0> to any port = 8081 flags S/SA\n"
           "@2 anchor \"deep\" all {\n"
           "@0 block return inet6 all\n"
           "  }\n"
           "}\n"
           "@2 pass out proto udp from any to any port = 53\n"},
      {"VeryVerboseOnFreeBsd", kF, {"-v", "-NvR"},
       kMacro +
           "@0 scrub in on em0 all no-df fragment reassemble\n"
           "@0 nat on em0 inet from 10.0.0.0/8 to any -> 192.0.2.9\n"
           "@0 rdr on em0 inet6 proto tcp from any to any port = http -> "
           "2001:db8::9 port 8081\n"
           "@0 block return in on em0 all\n"
           "@1 anchor in on em0 all {\n"
           "@0 pass proto tcp from <t:0> to any port = ssh flags S/SA keep "
           "state\n"
           "@1 pass proto tcp from <t:0> to any port = 8081 flags S/SA keep "
           "state\n"
           "}\n"
           "@2 pass out proto udp from any to any port = domain keep state\n"},
      {"QueuesOnFreeBsd", kF, {"-vA"}, kMacro + kQueues},
      {"TranslationOnFreeBsd", kF, {"-vN"}, kMacro + kTranslation},
      {"OptionsOnFreeBsd", kF, {"-vO"}, kMacro + kOption},
      {"FilterRulesOnFreeBsd", kF, {"-vR"},
       kMacro + kScrub + Filter("ssh", "domain")},
      {"TablesOnFreeBsd", kF, {"-v", "-T", "load"}, kMacro + kTable},
      {"PartsOnFreeBsd", kF, {"-vAO", "-N"},
       kMacro + kOption + kQueues + kTranslation},
      {"NoNamesOnOpenBsd", kO, {"-vN"}, OpenBsd("22", "53")},
      {"NoNamesOnFreeBsd", kF, {"-vSR"},
       kMacro + kScrub + Filter("ssh", "domain")},
  };
}

constexpr char kFacts[] =
    "[[interface]]\nname = \"em0\"\n"
    "[hosts]\nserver = [\"192.0.2.7\", \"2001:db8::7\"]\n";

class SluicectlPrintTest : public SluicectlToolTest,
                           public testing::WithParamInterface<Printed> {};

TEST_P(SluicectlPrintTest, PrintsWhatTheFlagsAskFor) {
  const Printed& c = GetParam();
  const bool freebsd = c.dialect == Dialect::kFreeBsd;
  std::vector<std::string> words = {"--dialect",
                                    freebsd ? "freebsd" : "openbsd", "-n",
                                    "--facts", Write("facts.toml", kFacts)};
  words.insert(words.end(), c.flags.begin(), c.flags.end());
  words.insert(words.end(), {"-f", "-"});
  const Outcome outcome = Run(words, freebsd ? kFreeBsdText : kOpenBsdText);
  EXPECT_EQ(outcome.out, c.out);
  // What a load would say is said whatever is printed.
  EXPECT_THAT(outcome.err,
              HasSubstr("changes no verdict, not carried out: queue"));
}

INSTANTIATE_TEST_SUITE_P(Flags, SluicectlPrintTest, testing::ValuesIn(Cases()),
                         [](const auto& info) {
                           return std::string(info.param.name);
                         });

TEST_F(SluicectlToolTest, PartsOfAFileAreFreeBsds) {
  // In OpenBSD's pfctl -N asks no resolver and -R is the number of a rule.
  const std::string path = Write("pf.conf", "pass to localhost\n");
  EXPECT_EQ(Run({"-nf", path}).status, 0);
  const Outcome refused = Run({"-nNf", path});
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("no IP address found for localhost"));
  const std::string freebsd = "--dialect=freebsd";
  EXPECT_EQ(Run({"-nNf", path, freebsd}).status, 0);
  EXPECT_EQ(Run({"-nSf", path, freebsd}).status, 1);
}

TEST_F(SluicectlToolTest, NothingIsAskedOfTheSystemBesideFacts) {
  const std::string facts = Write("facts.toml", kFacts);
  const auto check = [&](const std::string& text) {
    return Run({"-nvf", "-", "--facts", facts}, text);
  };
  ExpectIs(check("block to server\n"), 0,
           "block drop inet from any to 192.0.2.7\n"
           "block drop inet6 from any to 2001:db8::7\n",
           "");
  for (const char* text :
       {"block to localhost\n", "block proto tcp user root\n",
        "block proto tcp group root\n", "block to lo\n"}) {
    EXPECT_EQ(check(text).status, 1) << text;
    EXPECT_EQ(Run({"-nf", "-"}, text).status, 0) << text;
  }
}

TEST_F(SluicectlToolTest, WithoutFactsTheSystemAndTheDaemonsPortsAreKnown) {
  const std::string configuration = Write(
      "sluice.toml",
      "[[port]]\nname = \"uplink\"\ngroups = [\"egress\", 7]\n"
      "addresses = [\"192.0.2.1/24\", \"2001:db8::1/64\", \"nothing\"]\n"
      "device = \"0000:01:00.0\"\n[[port]]\nname = \"downlink\"\n"
      "[[port]]\ngroups = [\"nameless\"]\n[workers]\ncount = 1\n");
  const auto facts = ReadFacts(Arguments(), configuration);
  ASSERT_TRUE(facts.ok()) << facts.status();
  ASSERT_NE(facts->FindInterface("lo"), nullptr);
  const InterfaceFacts* uplink = facts->FindInterface("uplink");
  ASSERT_NE(uplink, nullptr);
  EXPECT_EQ(uplink->groups, std::vector<std::string>{"egress"});
  ASSERT_EQ(uplink->addresses.size(), 2u);
  EXPECT_EQ(uplink->addresses[0].prefix, 24);
  EXPECT_EQ(uplink->addresses[0].broadcast, ParseAddress("192.0.2.255"));
  EXPECT_EQ(uplink->addresses[1].address, *ParseAddress("2001:db8::1"));
  EXPECT_NE(facts->FindInterface("downlink"), nullptr);
  EXPECT_TRUE(facts->Resolve("nameless").empty());
  EXPECT_TRUE(facts->names_all_interfaces());
  EXPECT_EQ(facts->User("root"), 0u);

  for (const std::string& path :
       {Write("broken.toml", "[[port\n"), Write("other.toml", "port = 1\n"),
        folder_.File("none.toml")}) {
    const auto system = ReadFacts(Arguments(), path);
    ASSERT_TRUE(system.ok()) << path;
    EXPECT_FALSE(system->names_all_interfaces());
  }
  // With --facts the configuration is not looked at.
  Arguments arguments;
  arguments.facts = Write("facts.toml", kFacts);
  const auto given = ReadFacts(arguments, configuration);
  ASSERT_TRUE(given.ok()) << given.status();
  EXPECT_EQ(given->FindInterface("uplink"), nullptr);
}

TEST_F(SluicectlToolTest, QuietKeepsErrorsAndWarnings) {
  EXPECT_EQ(Run({"-e"}).err, "pf enabled\n");
  EXPECT_EQ(Run({"-qd"}).err, "");
  EXPECT_THAT(Run({"-qnf", "-"}, "pas\n").err, HasSubstr("stdin:1:1:"));
  EXPECT_THAT(Run({"-qnf", "-"}, "pass rtable 1\n").err,
              HasSubstr("not enforced yet: rtable"));
}

TEST(SluicectlDialect, CountersOfMatchRules) {
  const auto count = [](int packets) {
    return json{{"packets", packets}, {"bytes", packets * 100}};
  };
  const json way = {{"block", count(1)},
                    {"match", count(2)},
                    {"pass", count(4)},
                    {"xpass", count(8)}};
  const json table = {{"name", "t"},
                      {"active", true},
                      {"traffic", {{"in", way}, {"out", way}}}};
  const std::string openbsd = FormatTable(table, {.verbose = 2});
  EXPECT_THAT(openbsd, HasSubstr("\tIn/Match:    [ Packets: 2 "));
  EXPECT_THAT(openbsd, HasSubstr("\tIn/Pass:     [ Packets: 4 "));
  EXPECT_THAT(openbsd, HasSubstr("\tOut/Match:   [ Packets: 2 "));
  const std::string freebsd =
      FormatTable(table, {.verbose = 2, .dialect = Dialect::kFreeBsd});
  EXPECT_THAT(freebsd, testing::Not(HasSubstr("Match:  ")));
  EXPECT_THAT(freebsd, HasSubstr("\tIn/Block:    [ Packets: 1 "));
  EXPECT_THAT(freebsd, HasSubstr("\tIn/Pass:     [ Packets: 6 "));
  EXPECT_THAT(freebsd, HasSubstr("\tOut/Pass:    [ Packets: 6 "));
  EXPECT_THAT(freebsd, HasSubstr("Bytes: 600 "));
}

}  // namespace
}  // namespace sluice
