// Rules that need a router, at ports that have none.
#include "pftable/compile/lint_routes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/unit/pftable/engine/engine_fixture.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class LintRoutesTest : public ::testing::Test {
 protected:
  LintRoutesTest() {
    for (const std::string name : {"wire1", "wire2", "routed"}) {
      const std::vector<std::string> groups = {name == "routed" ? "lan"
                                                                : "vlan"};
      EXPECT_TRUE(interfaces_.AddPort(name, groups).ok());
    }
  }
  std::vector<UnroutedPort> Ports(std::vector<std::string> names) const {
    std::vector<UnroutedPort> ports;
    for (const std::string& name : names) {
      const uint16_t id = interfaces_.Resolve(name).id;
      for (const InterfaceView& view : interfaces_.Views()) {
        if (view.id == id) ports.push_back({name, view});
      }
    }
    return ports;
  }
  // "LINE:COLUMN: message".
  std::vector<std::string> Warned(const std::string& text,
                                  const std::vector<UnroutedPort>& ports,
                                  Dialect dialect = Dialect::kOpenBsd,
                                  size_t limit = 100) const {
    std::vector<std::string> warned;
    for (const Diagnostic& d :
         LintRoutes(Parsed(text, dialect), interfaces_, ports, limit)) {
      EXPECT_EQ(d.severity, Severity::kWarning);
      EXPECT_EQ(d.file, "pf.conf");
      EXPECT_FALSE(d.hint.empty());
      warned.push_back(absl::StrCat(d.line, ": ", d.message));
    }
    return warned;
  }

  InterfaceRegistry interfaces_;
};

TEST_F(LintRoutesTest, WarnsOfWhatIsDroppedThere) {
  EXPECT_THAT(
      Warned("pass in proto tcp\n"
             "pass out proto tcp route-to 10.0.0.1\n"
             "pass in proto udp reply-to 10.0.0.1\n"
             "anchor a {\n"
             "pass in on wire1 inet6 dup-to fd00::1\n"
             "}\n",
             Ports({"wire1", "wire2"})),
      ElementsAre("2: route-to: what this rule passes is dropped (no-route) at "
                  "port wire1 and 1 more, which have no router",
                  "3: reply-to: what this rule passes is dropped (no-route) at "
                  "port wire1 and 1 more, which have no router",
                  "5: dup-to: what this rule passes is dropped (no-route) at "
                  "port wire1, which has no router"));
  EXPECT_THAT(Warned("pass out route-to (wire2 10.0.0.1) inet proto tcp\n",
                     Ports({"wire1"}), Dialect::kFreeBsd),
              ElementsAre(HasSubstr("1: route-to: ")));
}

TEST_F(LintRoutesTest, WarnsOfWhatNeverHoldsThere) {
  EXPECT_THAT(Warned("block in from no-route\n"
                     "block in from urpf-failed\n"
                     "block out to no-route\n",
                     Ports({"wire1"})),
              ElementsAre("1: no-route: this never holds at port wire1, which "
                          "has no router",
                          HasSubstr("2: urpf-failed: this never holds"),
                          HasSubstr("3: no-route: this never holds")));
}

TEST_F(LintRoutesTest, SaysNothingWhereTheRuleIsNotOrRoutesAre) {
  const std::string text =
      "pass out on routed inet route-to 10.0.0.1\n"
      "pass out on lan inet route-to 10.0.0.1\n"
      "pass out on ! vlan inet route-to 10.0.0.1\n"
      "block in on routed from urpf-failed\n";
  EXPECT_THAT(Warned(text, Ports({"wire1", "wire2"})), IsEmpty());
  // No port yet, or routed ones only, of which nobody gives any.
  EXPECT_THAT(Warned("pass out route-to 10.0.0.1\nblock from no-route\n", {}),
              IsEmpty());
  EXPECT_THAT(Warned("pass out on ! routed inet route-to 10.0.0.1\n"
                     "pass out on vlan inet route-to 10.0.0.1\n",
                     Ports({"wire2"})),
              ElementsAre(HasSubstr("1: route-to"), HasSubstr("2: route-to")));
}

// Whoever cannot come to a rule is not spoken of.
TEST_F(LintRoutesTest, AnchorsAndReceivedOn) {
  const std::string rule = "pass out inet route-to 10.0.0.1\n";
  EXPECT_THAT(Warned("anchor a out on routed {\n" + rule + "}\n",
                     Ports({"wire1"})),
              IsEmpty());
  EXPECT_THAT(Warned("anchor a out on routed {\nanchor b {\n" + rule +
                         "}\n}\n",
                     Ports({"wire1"})),
              IsEmpty());
  EXPECT_THAT(Warned("anchor a out {\nanchor b {\n" + rule + "}\n}\n",
                     Ports({"wire1"})),
              ElementsAre(HasSubstr("3: route-to")));
  EXPECT_THAT(Warned("pass out inet received-on routed route-to 10.0.0.1\n",
                     Ports({"wire1"})),
              IsEmpty());
  EXPECT_THAT(Warned("pass out inet received-on wire1 route-to 10.0.0.1\n",
                     Ports({"wire1", "wire2"})),
              testing::SizeIs(1));
}

TEST_F(LintRoutesTest, IsBoundedAndSaysALineOnce) {
  EXPECT_THAT(Warned("pass in inet proto { tcp udp } route-to 10.0.0.1\n",
                     Ports({"wire1"})),
              testing::SizeIs(1));
  EXPECT_THAT(Warned("block in from no-route\nblock out from no-route\n",
                     Ports({"wire1"}), Dialect::kOpenBsd, 1),
              testing::SizeIs(1));
}

}  // namespace
}  // namespace sluice
