// What the engine refuses, and that nothing which a rule can say is ignored.
#include "pftable/compile/compile.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/pftable/engine/engine_fixture.h"

namespace sluice {
namespace {

using testing::HasSubstr;
using testing::Not;

class CompileTest : public EngineTest {};

struct RefusedCase {
  const char* text;
  const char* name;
};

TEST_F(CompileTest, RefusesByName) {
  const RefusedCase cases[] = {
      {"match out on outside inet nat-to 192.0.2.1\n", "nat-to"},
      {"pass in inet proto tcp to any port 80 rdr-to 192.0.2.1\n",
       "rdr-to"},
      {"pass in inet6 af-to inet from 192.0.2.1\n", "af-to"},
      {"match set prio 3\n", "set prio"},
      {"pass prio 3\n", "prio"},
      {"match set tos 4\n", "set tos"},
      {"match scrub (no-df)\n", "scrub"},
      {"pass max-pkt-rate 10/1\n", "max-pkt-rate"},
      {"pass in once\n", "once"},
      {"pass proto tcp from any os \"Linux\"\n", "os"},
      {"pass rtable 1\n", "rtable"},
  };
  for (const RefusedCase& c : cases) {
    SCOPED_TRACE(c.text);
    const uint64_t hash = store_->generation()->hash;
    const absl::Status status = Load(c.text);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()),
                HasSubstr(std::string("not enforced yet: ") + c.name));
    EXPECT_EQ(store_->generation()->hash, hash);
  }
}

TEST_F(CompileTest, AcceptsEverydayRulesets) {
  const absl::Status status = Load(
      "set skip on lo\n"
      "table <bad> persist { 203.0.113.0/24 }\n"
      "block return log\n"
      "match in all tag SEEN\n"
      "pass in quick on outside inet proto tcp from any to 192.0.2.5 "
      "port { 80 443 } label \"web\" keep state (max 100, tcp.first 5)\n"
      "pass out all allow-opts\n"
      "block in quick from <bad>\n"
      "antispoof for (outside)\n");
  EXPECT_TRUE(status.ok()) << status.message();
}

TEST_F(CompileTest, AllErrorsHaveTheirPlaces) {
  const absl::Status status =
      Load("pass\nmatch set tos 4\npass\nmatch set tos 8\n");
  const std::string message(status.message());
  EXPECT_THAT(message, HasSubstr("pf.conf:2:"));
  EXPECT_THAT(message, HasSubstr("pf.conf:4:"));
  EXPECT_THAT(message, Not(HasSubstr("pf.conf:1:")));
}

TEST_F(CompileTest, ErrorsShowTheLineAndACaret) {
  EXPECT_EQ(Load("pass\n  match set tos 4\n").message(),
            "pf.conf:2:3: parsed, not enforced yet: set tos\n"
            "  match set tos 4\n  ^");
  // Found while compiling, after the constructs are known to be enforced.
  EXPECT_EQ(LoadWithLimit(Limit::kTableEntries, 1,
                          "pass\n  table <t> { 192.0.2.1 198.51.100.1 }\n")
                .message(),
            "pf.conf:2:3: table <t>: more than 1 addresses in all tables "
            "(set limit table-entries)\n"
            "  table <t> { 192.0.2.1 198.51.100.1 }\n  ^");
}

}  // namespace
}  // namespace sluice
