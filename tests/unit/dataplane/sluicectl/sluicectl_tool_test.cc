#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

#include "nlohmann/json.hpp"
#include "tests/unit/dataplane/sluicectl/sluicectl_fixture.h"

namespace sluice {
namespace {

using nlohmann::json;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

TEST_F(SluicectlToolTest, LoadsAFileWithAllThatItRefersTo) {
  Write("more.conf", "block all\n");
  Write("bad.txt", "10.0.0.1\n");
  const std::string path =
      Write("pf.conf",
            "include \"more.conf\"\ntable <bad> file \"bad.txt\"\n"
            "block from <bad>\n");
  ExpectIs(Run({"-f", path, "-D", "a=b", "--dialect", "freebsd"}), 0, "", "");
  const LoadRequest& load = filter_.last_load;
  EXPECT_EQ(load.name, path);
  EXPECT_THAT(load.text, StartsWith("include"));
  ASSERT_EQ(load.files.size(), 2u);
  EXPECT_EQ(load.files[0].name, "bad.txt");
  EXPECT_EQ(load.files[0].text, "10.0.0.1\n");
  EXPECT_EQ(load.files[1].name, "more.conf");
  EXPECT_EQ(load.files[1].text, "block all\n");
  EXPECT_EQ(load.macros.at(0).first, "a");
  EXPECT_EQ(load.dialect, Dialect::kFreeBsd);
}

TEST_F(SluicectlToolTest, LoadsStandardInputAndShowsIt) {
  ExpectIs(Run({"-vf", "-"}, "pass all\nblock all\n"), 0,
           "pass all\nblock all\n", "");
  EXPECT_EQ(filter_.last_load.name, "stdin");
  ExpectIs(Run({"-sr"}), 0, "pass all\nblock all\n", "");
}

TEST_F(SluicectlToolTest, ALoadWithErrorsSaysWhereAndThatNothingChanged) {
  Run({"-f", "-"}, "pass all\n");
  const Outcome outcome = Run({"-f", "-"}, "pass\nerror here\n");
  ExpectIs(outcome, 1, "",
           "stdin:2:1: syntax error\nerror here\n^\n"
           "sluicectl: the ruleset has errors; nothing was loaded, the old "
           "rules are in force\n");
  ExpectIs(Run({"-sr"}), 0, "pass all\n", "");
}

TEST_F(SluicectlToolTest, AFileThatCannotBeReadStopsTheLoad) {
  Outcome outcome = Run({"-f", folder_.File("missing")});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("missing: No such file"));
  EXPECT_THAT(outcome.err, EndsWith("nothing was loaded, the old rules stay "
                                    "in force\n"));
  outcome = Run({"-f", "-"}, "include \"/nonexistent/x\"\n");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, StartsWith("stdin:1:"));
  EXPECT_THAT(filter_.log, IsEmpty());
}

TEST_F(SluicectlToolTest, ALargeRulesetGoesThroughAMemfd) {
  std::string text;
  while (text.size() < (10u << 20)) {
    text += "# " + std::string(4000, 'x') + "\n";
  }
  ExpectIs(Run({"-f", "-"}, text), 0, "", "");
  EXPECT_EQ(filter_.last_load.text.size(), text.size());
}

TEST_F(SluicectlToolTest, ChecksWithoutADaemon) {
  server_->Poll(std::chrono::milliseconds(0));
  SocketCaller nobody(folder_.File("no-such-socket"));
  const auto run = [&](const std::vector<std::string>& words,
                       const std::string& input) {
    Outcome outcome;
    std::istringstream in(input);
    std::ostringstream out, err;
    outcome.status = Tool(*ParseArguments(words), &nobody, in, out, err).Run();
    outcome.out = out.str();
    outcome.err = err.str();
    return outcome;
  };
  ExpectIs(run({"-nf", "-"}, "pass all\n"), 0, "", "");
  EXPECT_THAT(run({"-nvf", "-", "-Dx=80"}, "pass proto tcp to port $x\n").out,
              HasSubstr("port = 80"));
  const Outcome bad = run({"-nf", "-"}, "pass in\npas out\nblok\n");
  EXPECT_EQ(bad.status, 1);
  EXPECT_THAT(bad.err, HasSubstr("stdin:2:1:"));
  EXPECT_THAT(bad.err, HasSubstr("stdin:3:1:"));
  EXPECT_THAT(bad.err, HasSubstr("2 errors"));
  // A check says what a load would say, and prints what the text is.
  const std::string unenforced =
      "anchor { pass in received-on any }\npass in rtable 1\n";
  const std::string printed =
      "anchor all {\n  pass in all received-on any flags S/SA\n}\n";
  ExpectIs(run({"-nvf", "-"}, unenforced), 1,
           printed + "pass in all flags S/SA rtable 1\n",
           "stdin:2:1: parsed, not enforced yet: rtable\n"
           "pass in rtable 1\n^\n"
           "hint: with --without \"rtable\" rules with it are loaded "
           "without it\n"
           "sluicectl: stdin: the language is right, but a load would be "
           "refused (--language-only: do not ask)\n");
  ExpectIs(run({"-nvf", "-", "--language-only"}, unenforced), 0,
           printed + "pass in all flags S/SA rtable 1\n", "");
  ExpectIs(run({"-nvf", "-", "--without", "rtable"}, unenforced), 0,
           printed + "pass in all flags S/SA\n",
           "stdin: warning: left out as asked: rtable: rules with it "
           "are loaded without it\n");
  // What only a load finds: limits, anchors that call themselves.
  EXPECT_EQ(run({"-nf", "-"}, "anchor \"a\" { anchor \"/a\" }\n").status, 1);
  EXPECT_EQ(run({"-nf", "-", "--language-only"},
                "anchor \"a\" { anchor \"/a\" }\n")
                .status,
            0);
  const json refused =
      json::parse(run({"-nf", "-", "--json"}, "pass rtable 1\n").out);
  EXPECT_EQ(refused["check"]["ok"], false);
  EXPECT_EQ(refused["check"]["diagnostics"][0]["severity"], "error");
  const json warned = json::parse(
      run({"-nf", "-", "--json"}, "queue q on em0 bandwidth 1M default\n").out);
  EXPECT_EQ(warned["check"]["ok"], true);
  EXPECT_EQ(warned["check"]["diagnostics"][0]["severity"], "warning");
  const json parsed = json::parse(run({"-nf", "-", "--json"}, "pas\n").out);
  EXPECT_EQ(parsed["check"]["ok"], false);
  EXPECT_EQ(parsed["check"]["diagnostics"][0]["line"], 1);
  const Outcome none = run({"-sr"}, "");
  EXPECT_EQ(none.status, 1);
  EXPECT_THAT(none.err, HasSubstr("is sluiced running?"));
}

TEST_F(SluicectlToolTest, ChecksWithTheOptimiserAndPartsOfAFile) {
  const std::string text =
      "x = \"80\"\nset block-policy return\ntable <t> { 192.0.2.1 }\n"
      "altq on em0 priq bandwidth 1Mb queue { q }\n"
      "nat on em0 inet from 192.0.2.0/24 to any -> 198.51.100.1\n"
      "block in proto tcp to port $x\nblock in proto tcp to port 80\n";
  const auto print = [&](const std::vector<std::string>& flags) {
    std::vector<std::string> words = {"--dialect", "freebsd", "-nvf", "-"};
    words.insert(words.begin() + 2, flags.begin(), flags.end());
    words.push_back("--language-only");
    const Outcome outcome = Run(words, text);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return outcome.out;
  };
  const std::string macro = "x = \"80\"\n";
  const std::string option = "set block-policy return\n";
  const std::string table = "table <t> { 192.0.2.1 }\n";
  const std::string queue =
      "altq on em0 priq bandwidth 1Mb tbrsize 1500 queue { q }\n";
  const std::string nat =
      "nat on em0 inet from 192.0.2.0/24 to any -> 198.51.100.1\n";
  const std::string rule =
      "block return in proto tcp from any to any port = http\n";
  EXPECT_EQ(print({}), macro + option + table + queue + nat + rule);
  EXPECT_EQ(print({"-o", "none"}),
            macro + option + table + queue + nat + rule + rule);
  EXPECT_EQ(print({"-A"}), macro + queue);
  EXPECT_EQ(print({"-N"}), macro + nat);
  EXPECT_EQ(print({"-O"}), macro + option);
  EXPECT_EQ(print({"-R"}), macro + rule);
  EXPECT_EQ(print({"-RN"}), macro + nat + rule);
  EXPECT_EQ(print({"-Tload"}), macro + table);
  EXPECT_EQ(print({"-PR"}), macro + "block return in proto tcp from any to "
                                    "any port = 80\n");
  EXPECT_EQ(print({"-vR"}), macro + "@0 " + rule);
}

TEST_F(SluicectlToolTest, TakesFactsFromAFile) {
  const std::string facts = Write("facts.toml",
                                  "[[interface]]\nname = \"em7\"\n"
                                  "groups = [\"egress\"]\n"
                                  "addresses = [{address=\"192.0.2.7\", "
                                  "prefix=24}]\n");
  const Outcome outcome =
      Run({"-nvf", "-", "--facts", facts}, "pass in from em7:network\n");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("from 192.0.2.0/24"));
}

StateListing MakeState(uint64_t id, const char* source) {
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
  return state;
}

TEST_F(SluicectlToolTest, ShowsStatesOfAllPages) {
  std::string expected;
  for (int i = 0; i < 1200; ++i) {
    filter_.states.push_back(MakeState(static_cast<uint64_t>(i), "10.0.0.2"));
    expected +=
        "all udp 10.0.0.1:53 <- 10.0.0.2:1000       NO_TRAFFIC:SINGLE\n";
  }
  ExpectIs(Run({"-ss"}), 0, expected, "");
  const json all = json::parse(Run({"-ss", "--json"}).out);
  ASSERT_EQ(all["states"].size(), 1200u);
  EXPECT_EQ(all["states"][1199]["id"], "00000000000004af");
  ExpectIs(Run({"-ss", "-i", "none"}), 0, "", "");
}

TEST_F(SluicectlToolTest, KillsStates) {
  filter_.states = {MakeState(1, "10.0.0.2"), MakeState(2, "10.9.0.2"),
                    MakeState(0xff, "10.8.0.2")};
  ExpectIs(Run({"-k", "10.0.0.0/16"}), 0, "",
           "killed 1 states from 1 sources and 0 destinations\n");
  ExpectIs(Run({"-k", "0.0.0.0/0", "-k", "10.0.0.2"}), 0, "",
           "killed 0 states from 1 sources and 1 destinations\n");
  ExpectIs(Run({"-k", "id", "-k", "ff/1a2b3c4d"}), 0, "", "killed 1 states\n");
  EXPECT_EQ(filter_.last_kill.creator_id, 0x1a2b3c4du);
  Run({"-k", "label", "-k", "web"});
  EXPECT_EQ(filter_.last_kill.label, "web");
  Run({"-k", "vlan", "-k", "7.42"});
  EXPECT_EQ(filter_.last_kill.vlan, VlanId::Of(7, 42));
  EXPECT_FALSE(filter_.last_kill.source.has_value());
  EXPECT_THAT(Run({"-k", "vlan", "-k", "4096"}).err, HasSubstr("7.42"));
  // A key names one state: without a VLAN, the one that is in none.
  Run({"-k", "tag", "-k", "WEB"});
  EXPECT_EQ(filter_.last_kill.tag, "WEB");
  Run({"-k", "age", "-k", "3600"});
  EXPECT_EQ(filter_.last_kill.min_age, 3600u);
  EXPECT_THAT(Run({"-k", "age", "-k", "1h"}).err, HasSubstr("write seconds"));
  Run({"-k", "helper", "-k", "tftp"});
  EXPECT_EQ(filter_.last_kill.helper, StateHelper::kTftp);
  EXPECT_THAT(Run({"-k", "helper", "-k", "sip"}).err,
              HasSubstr("\"ftp\" or \"tftp\""));
  Run({"-k", "key", "-k", "udp 10.0.0.1:53 <- 10.0.0.2:1000 vlan 5"});
  EXPECT_EQ(filter_.last_kill.vlan, VlanId::Of(5));
  Run({"-k", "key", "-k", "udp 10.0.0.1:53 <- 10.0.0.2:1000"});
  EXPECT_EQ(filter_.last_kill.vlan, VlanId());
  const Outcome unknown = Run({"-N", "-k", "no.such.host.invalid"});
  EXPECT_EQ(unknown.status, 1);
  EXPECT_THAT(unknown.err, HasSubstr("no.such.host.invalid"));
}

TEST_F(SluicectlToolTest, KillsStatesByTheirTranslation) {
  StateListing translated = MakeState(1, "10.0.0.2");
  translated.after = translated.before;
  translated.after.source = *ParseAddress("192.0.2.1");
  filter_.states = {translated, MakeState(2, "192.0.2.1")};
  ExpectIs(Run({"-k", "nat", "-k", "10.0.0.2"}), 0, "",
           "killed 0 states from 1 sources and 0 destinations\n");
  ExpectIs(Run({"-k", "nat", "-k", "192.0.2.1", "-k", "203.0.113.0/24"}), 0, "",
           "killed 0 states from 1 sources and 1 destinations\n");
  EXPECT_TRUE(filter_.last_kill.translated);
  ExpectIs(Run({"-k", "nat", "-k", "192.0.2.0/24"}), 0, "",
           "killed 1 states from 1 sources and 0 destinations\n");
  EXPECT_EQ(filter_.states.size(), 1u);
  // A key as it is printed: what an end was stands behind it in brackets.
  Run({"-k", "key", "-k", "udp 192.0.2.1:50001 (10.0.0.2:1000) -> 10.0.0.1:53"});
  EXPECT_EQ(filter_.last_kill.source, ParsePrefix("10.0.0.2"));
  EXPECT_EQ(filter_.last_kill.source_port, 1000);
  EXPECT_EQ(filter_.last_kill.destination, ParsePrefix("10.0.0.1"));
  EXPECT_EQ(Run({"-k", "key", "-k", "udp 192.0.2.1:1 (10.0.0.2:2)"}).status, 1);
}

TEST_F(SluicectlToolTest, EditsTables) {
  ExpectIs(Run({"-t", "t", "-T", "add", "10.0.0.1", "10.0.0.0/8"}), 0, "",
           "1 table created.\n2/2 addresses added.\n");
  ExpectIs(Run({"-t", "t", "-vTa", "10.0.0.1", "!10.0.0.9"}), 0,
           "A !10.0.0.9\n", "1/2 addresses added.\n");
  ExpectIs(Run({"-t", "t", "-Ts"}), 0,
           "   10.0.0.0/8\n   10.0.0.1\n  !10.0.0.9\n", "");
  ExpectIs(Run({"-t", "t", "-Tt", "10.0.0.1"}), 0, "",
           "1/1 addresses match.\n");
  ExpectIs(Run({"-t", "t", "-vTt", "10.0.0.1", "10.0.0.9"}), 2, "M  10.0.0.1\n",
           "1/2 addresses match.\n");
  EXPECT_EQ(Run({"-t", "t", "-Tt", "10.0.0.0/8"}).status, 1);
  ExpectIs(Run({"-t", "t", "-nTd", "10.0.0.1"}), 0, "",
           "1/1 addresses deleted (dummy).\n");
  ExpectIs(Run({"-t", "t", "-Td", "10.0.0.1", "10.0.0.2"}), 0, "",
           "1/2 addresses deleted.\n");
  const std::string file = Write("list", "10.3.0.1 # one\n10.3.0.2\n");
  ExpectIs(Run({"-t", "t", "-Tr", "-f", file}), 0, "",
           "2 addresses added.\n2 addresses deleted.\n");
  ExpectIs(Run({"-q", "-t", "t", "-Tr", "-f", "-"}, "10.3.0.1"), 0, "", "");
  ExpectIs(Run({"-t", "t", "-Tz"}), 0, "", "1 table/stats cleared.\n");
  ExpectIs(Run({"-sT"}), 0, "t\n", "");
  ExpectIs(Run({"-t", "t", "-Tf"}), 0, "", "1 addresses deleted.\n");
  ExpectIs(Run({"-t", "t", "-Tk"}), 0, "", "1 table deleted.\n");
  ExpectIs(Run({"-t", "t", "-Ts"}), 1, "", "sluicectl: no such table\n");
  const Outcome bad = Run({"-t", "t", "-Ta", "10.0.0.0/40"});
  EXPECT_EQ(bad.status, 1);
  EXPECT_TRUE(filter_.tables.empty());
}

TEST_F(SluicectlToolTest, FlushesAndSwitches) {
  filter_.rules.resize(2);
  filter_.states = {MakeState(1, "10.0.0.2")};
  filter_.tables["t"] = {};
  ExpectIs(Run({"-Fa"}), 0, "",
           "1 tables deleted.\nrules cleared\n1 states cleared\n"
           "source tracking entries cleared\npf: statistics cleared\n"
           "pf: interface flags reset\n");
  EXPECT_TRUE(filter_.rules.empty());
  EXPECT_TRUE(filter_.last_flush.options);
  // FreeBSD's pfctl has another order.
  ExpectIs(Run({"-Fa", "--dialect=freebsd"}), 0, "",
           "rules cleared\n0 tables deleted.\n0 states cleared\n"
           "source tracking entries cleared\npf: statistics cleared\n"
           "pf: interface flags reset\n");
  ExpectIs(Run({"-e"}), 0, "", "pf enabled\n");
  ExpectIs(Run({"-e"}), 1, "", "sluicectl: pf already enabled\n");
  ExpectIs(Run({"-d"}), 0, "", "pf disabled\n");
  ExpectIs(Run({"-d"}), 1, "", "sluicectl: pf not enabled\n");
  ExpectIs(Run({"-qz"}), 0, "", "");
  EXPECT_EQ(filter_.counters_cleared, 1);
  EXPECT_EQ(filter_.info_cleared, 2);
  // With -n nothing is changed.
  filter_.rules.resize(2);
  ExpectIs(Run({"-nFr"}), 0, "", "");
  EXPECT_EQ(filter_.rules.size(), 2u);
}

TEST_F(SluicectlToolTest, ShowsTheRest) {
  EXPECT_THAT(Run({"-si"}).out,
              StartsWith("Status: Disabled for 0 days 00:01:02"));
  ExpectIs(Run({"-st"}), 0,
           "tcp.first                   120s\n"
           "adaptive.start            60000 states\n",
           "");
  ExpectIs(Run({"-sm"}), 0,
           "states        hard limit   100000\ntables        unlimited\n", "");
  ExpectIs(Run({"-vsI"}), 0, "inside (skip)\noutside (no link)\n", "");
  ExpectIs(Run({"-sI", "-i", "lan"}), 0, "inside\n", "");
  RuleListing rule;
  rule.text = "pass all label \"x\"";
  rule.labels = {"x"};
  filter_.rules = {rule};
  ExpectIs(Run({"-sl"}), 0, "x 0 0 0 0 0 0 0 0\n", "");
  const std::string all = Run({"-sa"}).out;
  size_t at = 0;
  for (const char* title :
       {"FILTER RULES:\npass all", "\nSTATES:\n",
        "\nINFO:\nStatus:", "\nLABEL COUNTERS:\nx 0", "\nTIMEOUTS:\ntcp.first",
        "\nLIMITS:\nstates", "\nTABLES:\n"}) {
    const size_t found = all.find(title, at);
    EXPECT_NE(found, std::string::npos) << title;
    if (found != std::string::npos) at = found;
  }
  // FreeBSD's translation rules, where there are any.
  RuleListing nat;
  nat.text = "nat on em0 inet all -> 192.0.2.1";
  filter_.translation_rules = {nat};
  ExpectIs(Run({"-sn"}), 0, "nat on em0 inet all -> 192.0.2.1\n", "");
  EXPECT_THAT(Run({"-sa"}).out,
              StartsWith("TRANSLATION RULES:\nnat on em0 inet all -> "
                         "192.0.2.1\n\nFILTER RULES:\npass all"));
  filter_.translation_rules.clear();
  const json object = json::parse(Run({"-sa", "--json"}).out);
  EXPECT_EQ(object["rules"].size(), 1u);
  EXPECT_EQ(object["info"]["enabled"], false);
  EXPECT_EQ(object["limits"].size(), 2u);
}

}  // namespace
}  // namespace sluice
