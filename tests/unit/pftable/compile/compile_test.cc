// What the engine refuses, and that nothing which a rule can say is ignored.
#include "pftable/compile/compile.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pftable/compile/enforce.h"
#include "pftable/print/printer.h"
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
      {"pass in inet6 to 2001:db8::/44 af-to inet from 192.0.2.1\n",
       "af-to with a prefix of other than 32, 40, 48, 56, 64 or 96 bits"},
      {"pass in inet6 af-to inet from 192.0.2.0/24 round-robin sticky-address\n",
       "af-to with sticky-address, least-states or endpoint-independent"},
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

TEST_F(CompileTest, WhatChangesNoVerdictIsLoadedAndKnown) {
  const absl::Status status = Load(
      "set debug err\n"
      "queue std on outside bandwidth 10M default\n"
      "pass out set queue std\npass out set delay 5\n");
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_THAT(store_->generation()->policy->not_carried_out,
              testing::ElementsAre("set debug: changes no verdict",
                                   "queue: changes no verdict",
                                   "set delay: changes no verdict"));
  ASSERT_TRUE(Load("pass\n").ok());
  EXPECT_TRUE(store_->generation()->policy->not_carried_out.empty());
}

struct WithoutCase {
  const char* text;
  std::vector<std::string> names;
  const char* left;  // printed
  const char* warning;
};

// Options of rules go; rules whose condition it is go whole.
TEST_F(CompileTest, LeavesOutWhatIsNamed) {
  const WithoutCase cases[] = {
      {"block in\npass in proto tcp divert-to 127.0.0.1 port 700\n",
       {"divert-to"},
       "block drop in all\npass in inet proto tcp all flags S/SA\n",
       "left out as asked: divert-to: rules with it are loaded without it"},
      {"block in\npass in rtable 1\nanchor \"a\" { pass rtable 2 }\n",
       {"rtable"},
       "block drop in all\npass in all flags S/SA\nanchor \"a\" all {\n"
       "  pass all flags S/SA\n}\n",
       "left out as asked: rtable: rules with it are loaded without it"},
      {"pass in on rdomain 2\nblock on rdomain 3\npass out\n",
       {"on-rdomain"},
       "pass out all flags S/SA\n",
       "left out as asked: on rdomain: rules with it are left out"},
      {"set debug err\npass proto tcp\n",
       {"set debug"},
       "pass proto tcp all flags S/SA\n",
       "left out as asked: set debug: the setting is left out"},
  };
  for (const WithoutCase& c : cases) {
    SCOPED_TRACE(c.text);
    Policy policy = Parsed(c.text);
    const std::vector<Diagnostic> diagnostics =
        CheckEnforced(&policy, c.names, kEngineCapabilities);
    ASSERT_FALSE(diagnostics.empty());
    for (const Diagnostic& d : diagnostics) {
      EXPECT_EQ(d.severity, Severity::kWarning) << d.message;
    }
    EXPECT_EQ(diagnostics[0].message, c.warning);
    EXPECT_EQ(PrintPolicy(policy, {}), c.left);
    const absl::Status status = store_->Load(std::move(policy));
    EXPECT_TRUE(status.ok()) << status.message();
    EXPECT_FALSE(store_->generation()->policy->not_carried_out.empty());
  }
  // What is not named is refused as before; a name for nothing is said.
  Policy policy = Parsed("pass in rtable 1\n");
  const std::vector<std::string> other = {"divert-to"};
  const std::vector<Diagnostic> diagnostics =
      CheckEnforced(&policy, other, kEngineCapabilities);
  ASSERT_EQ(diagnostics.size(), 2u);
  EXPECT_EQ(diagnostics[0].message, "nothing to leave out: divert-to");
  EXPECT_EQ(diagnostics[1].message, "parsed, not enforced yet: rtable");
  EXPECT_EQ(diagnostics[1].severity, Severity::kError);
}

TEST_F(CompileTest, AllErrorsHaveTheirPlaces) {
  const absl::Status status =
      Load("pass\nmatch rtable 4\npass\nmatch rtable 8\n");
  const std::string message(status.message());
  EXPECT_THAT(message, HasSubstr("pf.conf:2:"));
  EXPECT_THAT(message, HasSubstr("pf.conf:4:"));
  EXPECT_THAT(message, Not(HasSubstr("pf.conf:1:")));
}

TEST_F(CompileTest, ErrorsShowTheLineAndACaret) {
  EXPECT_EQ(Load("pass\n  match rtable 4\n").message(),
            "pf.conf:2:3: parsed, not enforced yet: rtable\n"
            "  match rtable 4\n  ^\n"
            "hint: with --without \"rtable\" rules with it are loaded without "
            "it");
  // Found while compiling, after the constructs are known to be enforced.
  EXPECT_EQ(LoadWithLimit(Limit::kTableEntries, 1,
                          "pass\n  table <t> { 192.0.2.1 198.51.100.1 }\n")
                .message(),
            "pf.conf:2:3: table <t>: more than 1 addresses in all tables "
            "(set limit table-entries)\n"
            "  table <t> { 192.0.2.1 198.51.100.1 }\n  ^");
}

// Else a filter could not have more than 65536 rules with one.
TEST_F(CompileTest, RulesThatNameOneInterfaceInBracketsShareItsAddresses) {
  std::string text;
  for (int i = 0; i < 100; ++i) {
    text += "pass in proto tcp to (outside) port " + std::to_string(1000 + i) +
            "\npass in proto tcp from (outside:network) port " +
            std::to_string(1000 + i) + "\n";
  }
  ASSERT_TRUE(Load(text.c_str()).ok());
  const CompiledPolicy& policy = *store_->current()->policy;
  EXPECT_EQ(policy.rules.size(), 200u);
  ASSERT_EQ(policy.dynamic_addresses.size(), 2u);
  EXPECT_EQ(policy.rules[0].destination.index,
            policy.rules[198].destination.index);
  EXPECT_NE(policy.rules[0].destination.index, policy.rules[1].source.index);
}

}  // namespace
}  // namespace sluice
