// What shells offer, and what `help` and mistyped words are answered with.
#include <gmock/gmock.h>

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/sluicectl/complete.h"
#include "nlohmann/json.hpp"
#include "tests/unit/dataplane/sluicectl/sluicectl_words.h"

namespace sluice {
namespace {

using nlohmann::json;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::Not;
using ::testing::StartsWith;

class NamesCaller final : public Caller {
 public:
  std::unique_ptr<json> Call(const std::string& method, json params,
                             CallError*) override {
    asked.push_back(method);
    filter = params.value("filter", "");
    json result = json::object();
    if (method == "filter.list") {
      // Two pages.
      const bool first = !params.contains("cursor");
      result["filters"] = {{{"name", first ? "main" : "vm:1"}}};
      if (first) result["next"] = "main";
    } else if (method == "port.list") {
      result["ports"] = {{{"name", "inside"}}, {{"name", "outside"}}};
    } else if (method == "router.list") {
      result["routers"] = {{{"name", "edge"}}};
    } else if (method == "tables.list") {
      result["tables"] = {{{"name", "bad"}}, {{"name", "good"}},
                          {{"name", "bad"}, {"anchor", "x"}}};
    } else if (method == "labels.show") {
      result["labels"] = {{{"label", "web server"}}, {{"label", "ssh"}}};
    } else if (method == "anchors.show") {
      result["anchors"] = {"guests", "guests/inner"};
    } else {
      return nullptr;
    }
    return std::make_unique<json>(std::move(result));
  }
  std::vector<std::string> asked;
  std::string filter;
};

std::vector<std::string> Offered(const std::vector<std::string>& words) {
  NamesCaller caller;
  return Complete(words, &caller);
}

TEST(SluicectlCompleteTest, CommandsVerbsAndOptions) {
  EXPECT_THAT(Offered({""}),
              IsSupersetOf({"filter", "port", "metrics", "explain", "trace",
                            "log", "nic", "state", "snapshot", "restore",
                            "help"}));
  EXPECT_THAT(Offered({"s"}), ElementsAre("segment", "snapshot", "state"));
  EXPECT_THAT(Offered({"filter", ""}), IsSupersetOf({"create", "destroy",
                                                     "list", "show"}));
  EXPECT_THAT(Offered({"port", "ex"}), ElementsAre("exclude"));
  EXPECT_THAT(Offered({"router", ""}),
              ElementsAre("list", "neighbors", "routes", "show"));
  EXPECT_THAT(Offered({"router", "routes", ""}), ElementsAre("edge"));
  EXPECT_THAT(Offered({"router", "routes", "edge", "--family", ""}),
              ElementsAre("inet", "inet6"));
  EXPECT_THAT(Offered({"port", "add", "p", "--router", ""}),
              ElementsAre("edge"));
  EXPECT_THAT(Offered({"snapshot", ""}), ElementsAre("show", "verify"));
  EXPECT_THAT(Offered({"nic", "b"}), ElementsAre("bind"));
  EXPECT_THAT(Offered({"filter", "create", "vm", "--f"}),
              ElementsAre("--fail", "--from-filter"));
  EXPECT_THAT(Offered({"filter", "create", "vm", "--fail", ""}),
              ElementsAre("closed", "open"));
  EXPECT_THAT(Offered({"port", "add", "p", "--non-ip", ""}),
              ElementsAre("block", "pass"));
  EXPECT_THAT(Offered({"filter", "create", "vm", "--ruleset", ""}),
              ElementsAre(":files"));
  EXPECT_THAT(Offered({"state", "import", "--orphans", ""}),
              ElementsAre("drop", "keep"));
  EXPECT_THAT(Offered({"state", "import", ""}), ElementsAre(":files"));
  EXPECT_THAT(Offered({"log", "--level", "e"}), ElementsAre("error"));
  EXPECT_THAT(Offered({"trace", "--reason", "proto"}),
              ElementsAre("proto-cksum"));
  EXPECT_THAT(Offered({"--conf"}), ElementsAre("--confirm", "--confirm-commit"));
  EXPECT_THAT(Offered({"filter", "list", "--so"}), ElementsAre("--socket"));
  EXPECT_THAT(Offered({"help", "fil"}), ElementsAre("filter"));
  EXPECT_THAT(Offered({"nonsense", "more", ""}), Not(Contains("create")));
  EXPECT_THAT(Offered({}), Not(IsEmpty()));
}

TEST(SluicectlCompleteTest, FlagsHaveTheWordsOfTheUsage) {
  EXPECT_THAT(Offered({"-s", ""}),
              IsSupersetOf({"rules", "states", "Anchors", "LimiterSrcs", "all"}));
  EXPECT_THAT(Offered({"-vs", "st"}), ElementsAre("states"));
  EXPECT_THAT(Offered({"-F", "R"}), ElementsAre("Reset"));
  EXPECT_THAT(Offered({"-t", "bad", "-T", "re"}),
              ElementsAre("replace", "reset"));
  EXPECT_THAT(Offered({"-o", ""}), ElementsAre("basic", "none", "profile"));
  EXPECT_THAT(Offered({"-f", "pf"}), ElementsAre(":files"));
  EXPECT_THAT(Offered({"-s", "states", "--sort", ""}),
              ElementsAre("age", "bytes", "packets", "rate"));
  EXPECT_THAT(Offered({"--dialect="}),
              ElementsAre("--dialect=freebsd", "--dialect=openbsd"));
}

TEST(SluicectlCompleteTest, NamesAreTheDaemons) {
  EXPECT_THAT(Offered({"filter", "destroy", ""}), ElementsAre("main", "vm:1"));
  EXPECT_THAT(Offered({"filter", "destroy", "vm:1", ""}), IsEmpty());
  EXPECT_THAT(Offered({"port", "enable", "o"}), ElementsAre("outside"));
  EXPECT_THAT(Offered({"filter", "create", "x", "--ports", "inside,o"}),
              ElementsAre("inside,outside"));
  EXPECT_THAT(Offered({"-t", ""}), ElementsAre("bad", "good"));
  EXPECT_THAT(Offered({"-a", "guests/"}), ElementsAre("guests/inner"));
  EXPECT_THAT(Offered({"-k", "label", "-k", ""}),
              ElementsAre("ssh", "web server"));
  EXPECT_THAT(Offered({"-k", ""}), Contains("label"));
  EXPECT_THAT(Offered({"-s", "states", "--label", "s"}), ElementsAre("ssh"));
  EXPECT_THAT(Offered({"explain", "--in", "i"}), ElementsAre("inside"));
  NamesCaller caller;
  const std::vector<std::string> words = {"--filter", "vm:1", "-t", ""};
  Complete(words, &caller);
  EXPECT_EQ(caller.filter, "vm:1");
  // What is not asked for costs no question.
  NamesCaller quiet;
  const std::vector<std::string> verbs = {"filter", ""};
  Complete(verbs, &quiet);
  EXPECT_THAT(quiet.asked, IsEmpty());
}

// What the usage names, the program takes: an option with a value that is
// missing says so, and is not unknown.
TEST(SluicectlCompleteTest, EveryOptionOfTheUsageIsKnown) {
  size_t options = 0;
  for (const UsageCommand& command : UsageCommands()) {
    for (const std::string_view elsewhere :
         {"nic", "state", "snapshot", "restore", "help"}) {
      if (command.noun == elsewhere) goto next;
    }
    for (const UsageOption& option : command.options) {
      ++options;
      std::vector<std::string> words;
      if (!command.noun.empty()) words.push_back(command.noun);
      if (!command.verb.empty()) words.push_back(command.verb);
      words.push_back(option.name);
      EXPECT_THAT(ErrorOf(words), Not(HasSubstr("unknown option")))
          << command.noun << " " << command.verb;
      // A value is wanted where the usage has one.
      EXPECT_EQ(ErrorOf(words).find("requires an argument") !=
                    std::string::npos,
                !option.values.empty())
          << option.name << ": " << ErrorOf(words);
    }
  next:;
  }
  EXPECT_GT(options, 40u);
}

std::string HelpOf(const std::vector<std::string>& words) {
  const absl::StatusOr<std::string> help = HelpFor(words);
  return help.ok() ? *help : "error: " + std::string(help.status().message());
}

TEST(SluicectlHelpTest, OfACommandAFlagATopic) {
  const std::string create = HelpOf({"filter", "create"});
  EXPECT_THAT(create, StartsWith("usage: sluicectl filter create"));
  EXPECT_THAT(create, HasSubstr("--expect-restore   nothing is judged"));
  EXPECT_THAT(create, Not(HasSubstr("filter list          all filters")));
  EXPECT_THAT(HelpOf({"filter"}), HasSubstr("filter list          all filters"));
  EXPECT_THAT(HelpOf({"-s"}), HasSubstr("ether nat rules"));
  EXPECT_THAT(HelpOf({"commits"}), HasSubstr("--rollback N"));
  EXPECT_THAT(HelpOf({"trace"}), HasSubstr("packets as they pass"));
  EXPECT_THAT(HelpOf({}), HasSubstr("EXIT STATUS"));
  EXPECT_THAT(HelpOf({"filtre"}), HasSubstr("did you mean filter?"));
  EXPECT_THAT(HelpOf({"xyzzy"}), StartsWith("error: there is no help"));
  EXPECT_THAT(HelpOf({"-Q"}), StartsWith("error: "));
}

TEST(SluicectlHelpTest, MistypedOptionsHaveNeighbours) {
  EXPECT_THAT(ErrorOf({"--jsn", "-sr"}), HasSubstr("did you mean --json?"));
  EXPECT_THAT(ErrorOf({"-ss", "--hots", "10.0.0.1"}),
              HasSubstr("did you mean --host?"));
  EXPECT_THAT(ErrorOf({"filter", "create", "a", "--port", "b"}),
              HasSubstr("did you mean --ports?"));
  EXPECT_THAT(ErrorOf({"filter", "create", "a", "--rulset", "b"}),
              HasSubstr("did you mean --ruleset?"));
  EXPECT_THAT(ErrorOf({"--qqqqqqqq"}), Not(HasSubstr("did you mean")));
}

}  // namespace
}  // namespace sluice
