// What the engine refuses, and that nothing which a rule can say is ignored.
#include "pftable/support.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/pftable/engine_fixture.h"

namespace sluice {
namespace {

using testing::HasSubstr;

struct RefusedCase {
  const char* text;
  const char* name;
  Dialect dialect = Dialect::kOpenBsd;
};

TEST(Support, RefusesByName) {
  const RefusedCase cases[] = {
      {"match out on outside inet nat-to 192.0.2.1\n", "'nat-to'"},
      {"pass in inet proto tcp to any port 80 rdr-to 192.0.2.1\n",
       "'rdr-to'"},
      {"pass in inet6 af-to inet from 192.0.2.1\n", "'af-to'"},
      {"pass proto tcp modulate state\n", "'modulate state'"},
      {"pass in proto tcp synproxy state\n", "'synproxy state'"},
      {"pass keep state (max-src-states 3)\n", "'max-src-states'"},
      {"pass keep state (source-track rule, max-src-nodes 3)\n",
       "'max-src-nodes'"},
      {"pass proto tcp keep state (max-src-conn 3)\n", "'max-src-conn'"},
      {"pass proto tcp keep state (max-src-conn-rate 3/1, overload <o>)\n",
       "'overload'"},
      {"match set prio 3\n", "'set prio'"},
      {"pass prio 3\n", "'prio'"},
      {"match set tos 4\n", "'set tos'"},
      {"match scrub (no-df)\n", "'scrub'"},
      {"pass max-pkt-rate 10/1\n", "'max-pkt-rate'"},
      {"pass in once\n", "'once'"},
      {"pass proto tcp from any os \"Linux\"\n", "'os'"},
      {"set syncookies always\npass\n", "'set syncookies'"},
      {"pass rtable 1\n", "'rtable'"},
  };
  for (const RefusedCase& c : cases) {
    SCOPED_TRACE(c.text);
    ParseInput input;
    input.text = c.text;
    input.dialect = c.dialect;
    ParseResult result = ParsePolicy(std::move(input));
    // The parser may refuse it first, but then by name too.
    std::string messages = FormatDiagnostics(result.diagnostics);
    if (result.ok()) {
      for (const std::string& m : FindUnsupported(result.policy, 100)) {
        messages += m + "\n";
      }
    }
    EXPECT_THAT(messages, HasSubstr(c.name));
  }
}

TEST(Support, AcceptsEverydayRulesets) {
  const Policy policy = Parsed(
      "set skip on lo\n"
      "table <bad> persist { 203.0.113.0/24 }\n"
      "block return log\n"
      "match in all tag SEEN\n"
      "pass in quick on outside inet proto tcp from any to 192.0.2.5 "
      "port { 80 443 } label \"web\" keep state (max 100, tcp.first 5)\n"
      "pass out all allow-opts\n"
      "block in quick from <bad>\n"
      "antispoof for (outside)\n");
  EXPECT_TRUE(FindUnsupported(policy, 100).empty());
}

TEST(Support, MessagesHaveTheirPlaceAndAreBounded) {
  const Policy policy = Parsed("pass\nmatch set tos 4\nmatch set tos 8\n");
  const std::vector<std::string> all = FindUnsupported(policy, 100);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_THAT(all[0], HasSubstr("pf.conf:2:"));
  EXPECT_EQ(FindUnsupported(policy, 1).size(), 1u);
}

}  // namespace
}  // namespace sluice
