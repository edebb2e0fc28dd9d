// The daemon's messages about parameters, in the words of the command line.
#include "dataplane/sluicectl/wording.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/dataplane/sluicectl/sluicectl_fixture.h"

namespace sluice {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(SluicectlWording, ParametersAreTheOptionsThatGaveThem) {
  const struct {
    const char* method;
    const char* message;
    const char* expected;
  } cases[] = {
      {"filter.create", "parameter \"ports\" must name a port",
       "--ports must name a port"},
      {"filter.create",
       "parameter \"source\" needs \"expect_restore\": nothing else would "
       "read it",
       "--source needs --expect-restore: nothing else would read it"},
      {"filter.create",
       "parameter \"from_filter\" says whose snapshot \"source\" is",
       "--from-filter says whose snapshot \"source\" is"},
      {"filter.create",
       "parameter \"restore_give_up\" needs \"expect_restore\"",
       "--restore-give-up needs --expect-restore"},
      {"filter.create",
       "\"fail\": \"open\" needs \"emergency\", the ruleset that holds then",
       "--fail open needs --emergency, the ruleset that holds then"},
      {"filter.create", "parameter \"emergency\" needs \"fail\": \"open\"",
       "--emergency needs --fail open"},
      {"filter.create",
       "parameter \"ruleset\" has an error: parameter \"text\" is missing",
       "--ruleset has an error: the ruleset is missing"},
      {"port.add", "parameter \"wire\" must name another port",
       "--wire must name another port"},
      {"rules.show", "parameter \"anchor\" has at most 1024 bytes",
       "the anchor of -a has at most 1024 bytes"},
      {"states.kill", "parameter \"label\" has a control character",
       "the label of -k has a control character"},
      {"table.add", "parameter \"addresses\" has at most 5 entries",
       "the list of addresses has at most 5 entries"},
      {"states.show", "parameter \"source_port\" must be a whole number",
       "source port must be a whole number"},
      {"ruleset.load", "there is no parameter \"keep_filter\" here",
       "there is no keep filter here"},
      // Other things in quotes stay.
      {"rules.show", "anchor \"source\" does not exist",
       "anchor \"source\" does not exist"},
      {"rules.show", "anchor \"a_b\" does not exist",
       "anchor \"a_b\" does not exist"},
      {"rules.show", "a \" alone", "a \" alone"},
      {"rules.show", "", ""},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(InWordsOfTheTool(c.method, c.message), c.expected);
  }
}

// Whatever the tool is given, no name of the protocol comes back.
TEST_F(SluicectlToolTest, MessagesNameNoParameters) {
  const std::string long_name(2000, 'a');
  const std::vector<std::vector<std::string>> orders = {
      {"-a", long_name, "-sr"},
      {"-a", long_name, "-F", "rules"},
      {"-i", long_name, "-ss"},
      {"-k", "label", "-k", long_name},
      {"-k", "id", "-k", "xyz"},
      {"-k", "id", "-k", "1/xyz"},
      {"-t", long_name, "-T", "show"},
      {"-t", "a b", "-T", "add", "10.0.0.1"},
      {"--filter", "a b", "-si"},
      {"-x", long_name},
      {"filter", "create", "a b", "--ports", "p"},
      {"filter", "create", "vm", "--ports", "a b"},
      {"port", "remove", "a b"},
  };
  for (const std::vector<std::string>& order : orders) {
    const Outcome outcome = Run(order);
    EXPECT_NE(outcome.status, 0) << order[0] << " " << order[1];
    EXPECT_THAT(outcome.err, Not(HasSubstr("parameter"))) << order[0];
    EXPECT_THAT(outcome.err, Not(ContainsRegex("[a-z]_[a-z]"))) << order[0];
  }
}

}  // namespace
}  // namespace sluice
