// Who may do what: every method with every role, and the table of them in the
// documentation.
#include <gmock/gmock.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "dataplane/base/text.h"
#include "dataplane/control/methods/method.h"
#include "tests/support/fake_transfer.h"
#include "tests/unit/dataplane/control/control_operations_fixture.h"

namespace sluice {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

constexpr int kNotAllowed = -32003;

class ControlRolesTest : public ControlOperationsTest {
 protected:
  ControlRolesTest() { operations_.SetTransfer(&transfer_); }

  int CodeAs(Role role, std::string_view method, const json& params) {
    role_ = role;
    return Code(std::string(method), params);
  }

  FakeTransfer transfer_;
};

// By hand: what somebody who only looks, and somebody who only operates, may
// do. Whatever is in neither is the administrator's.
const std::set<std::string_view> kForReaders = {
    "commits.show", "control.version", "filter.list",     "filter.show",  "info.show",
    "fingerprints.show",
    "anchors.show",
    "interfaces.show", "labels.show",     "limiters.show", "limits.show",  "port.list",
    "port.bindings",
    "port.stats",      "process.show", "restore.metrics", "restore.status", "router.list",
    "router.neighbors", "router.routes", "router.show", "rules.explain",
    "rules.show",      "segment.list", "segment.macs", "sources.show",
    "states.count", "states.show",    "table.show",
    "table.test",      "tables.list",     "timeouts.show"};
// Of commits of several filters it is asked for each.
const std::set<std::string_view> kForOperators = {
    "commit.load",  "commit.rollback",
    "info.clear",   "rules.zero",    "ruleset.explain", "sources.flush",
    "sources.kill",
    "state.export", "states.flush",
    "states.kill",  "table.add",     "table.delete", "table.flush",
    "table.expire",
    "table.kill",   "table.replace", "table.reset",  "table.zero",
    "tables.flush",
    "trace.close",  "trace.open",    "trace.read",
    "log.close",    "log.open",      "log.read"};
// The operator's too, but not in main.
const std::set<std::string_view> kCommits = {
    "debug.set", "ruleset.confirm", "ruleset.flush", "ruleset.load", "ruleset.rollback",
    "state.import"};

TEST_F(ControlRolesTest, EveryMethodWithEveryRole) {
  for (const Method* method : AllMethods()) {
    const std::string_view name = method->name;
    for (const Role role :
         {Role::kNone, Role::kRead, Role::kOperate, Role::kAdmin}) {
      for (const char* filter : {"main", "main:emergency", "vm"}) {
        json params = json::object();
        if (method->asks_filter) params["filter"] = filter;
        const bool named = std::string_view(filter) == "vm";
        const bool allowed =
            role == Role::kAdmin ||
            (role >= Role::kRead && kForReaders.contains(name)) ||
            (role == Role::kOperate &&
             (kForOperators.contains(name) ||
              (kCommits.contains(name) && named)));
        const int code = CodeAs(role, name, params);
        EXPECT_EQ(code != kNotAllowed, allowed)
            << name << " of " << filter << " as " << Name(role) << ": " << code;
      }
    }
  }
}

TEST_F(ControlRolesTest, WhatIsRefusedDoesNothingAndSaysWhatWouldHelp) {
  const bool enabled = filter_.enabled = true;
  role_ = Role::kRead;
  const json answer = Ask("table.add", {{"table", "bad"},
                                        {"addresses", {"192.0.2.1"}}});
  EXPECT_EQ(answer["error"]["code"], kNotAllowed);
  const std::string message = answer["error"]["message"];
  EXPECT_EQ(message.find("table.add"), std::string::npos);
  EXPECT_THAT(message, HasSubstr("role operate"));
  EXPECT_THAT(message, HasSubstr("user 8 has read"));
  EXPECT_THAT(message, HasSubstr("operate_group"));
  EXPECT_EQ(filter_.generation, 1u);
  // Parameters of what is refused are not looked at, in whatever form.
  EXPECT_EQ(Code("table.add", {{"nonsense", true}}), kNotAllowed);
  EXPECT_EQ(Code("table.add", {{"descriptor", true}}), kNotAllowed);
  // A notification is refused without an answer.
  const size_t before = answers_.size();
  Send(R"({"jsonrpc":"2.0","method":"filter.disable","params":{}})");
  EXPECT_EQ(answers_.size(), before + 1);
  EXPECT_EQ(answers_.back(), "");
  EXPECT_EQ(filter_.enabled, enabled);
}

TEST_F(ControlRolesTest, AnOperatorCommitsToNamedFiltersOnly) {
  role_ = Role::kAdmin;
  ASSERT_EQ(Code("filter.create", {{"filter", "vm"}, {"ports", {"p"}}}), 0);
  role_ = Role::kOperate;
  EXPECT_EQ(Code("ruleset.load", {{"filter", "vm"}, {"text", "pass"}}), 0);
  EXPECT_EQ(Code("ruleset.load", {{"text", "pass"}}), kNotAllowed);
  EXPECT_EQ(Code("ruleset.load", {{"filter", "main"}, {"text", "pass"}}),
            kNotAllowed);
  EXPECT_EQ(filter_.generation, 1u);
}

TEST_F(ControlRolesTest, ACommitOfSeveralNeedsTheRoleForEach) {
  const auto load = [](std::vector<std::string> names) {
    json filters = json::array();
    for (const std::string& name : names) {
      filters.push_back({{"filter", name}, {"rulesets", {{{"text", "pass"}}}}});
    }
    return json{{"filters", std::move(filters)}};
  };
  role_ = Role::kOperate;
  EXPECT_EQ(Code("commit.load", load({"vm", "other"})), 0);
  directory_.last_set = {};
  EXPECT_EQ(Code("commit.load", load({"vm", "main"})), kNotAllowed);
  EXPECT_EQ(Code("commit.load", load({"main:emergency"})), kNotAllowed);
  EXPECT_EQ(Code("commit.rollback", {{"filters", {"vm", "main"}}}),
            kNotAllowed);
  EXPECT_TRUE(directory_.last_set.filters.empty());
  EXPECT_TRUE(directory_.rolled_back.empty());
  role_ = Role::kAdmin;
  EXPECT_EQ(Code("commit.load", load({"vm", "main"})), 0);
  EXPECT_EQ(Code("commit.rollback", {{"filters", {"vm", "main"}}}), 0);
}

TEST(RefusalLogTest, ManyRefusalsAreFewLines) {
  RefusalLog log;
  RefusalLog::Clock::time_point now{};
  for (uint32_t i = 0; i < RefusalLog::kLines; ++i) {
    EXPECT_TRUE(log.Add(now).log);
  }
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(log.Add(now).log);
  now += RefusalLog::kWindow;
  const RefusalLog::Verdict next = log.Add(now);
  EXPECT_TRUE(next.log);
  EXPECT_EQ(next.left_out, 1000u);
  EXPECT_THAT(next.Suffix(), HasSubstr("1000 more"));
  EXPECT_EQ(log.Add(now).Suffix(), "");
}

std::string RolesAsTable() {
  std::string table =
      "| method | read | operate | admin |\n|---|---|---|---|\n";
  for (const Method* method : AllMethods()) {
    const char* operate = "yes";
    if (method->access == Access::kAdmin) operate = "-";
    if (method->access == Access::kCommit) operate = "but for `main`";
    absl::StrAppend(&table, "| `", View(method->name), "` | ",
                    method->access == Access::kRead ? "yes" : "-", " | ",
                    operate, " | yes |\n");
  }
  return table;
}

TEST(RolesDocumentTest, ShowsTheTableOfTheMethods) {
  std::ifstream file(SLUICE_SOURCE_ROOT "/docs/control-protocol.md");
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  EXPECT_NE(text.find("\n\n" + RolesAsTable() + "\n"), std::string::npos)
      << "docs/control-protocol.md has to have this table:\n"
      << RolesAsTable();
}

}  // namespace
}  // namespace sluice
