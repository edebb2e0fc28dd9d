// Filters and ports by sluicectl.
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "nlohmann/json.hpp"
#include "tests/unit/dataplane/sluicectl/sluicectl_fixture.h"

namespace sluice {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

using SluicectlFiltersTest = SluicectlToolTest;

TEST_F(SluicectlFiltersTest, CreatesAFilter) {
  Write("more.conf", "block all\n");
  const std::string path = Write("vm.conf", "include \"more.conf\"\npass\n");
  ExpectIs(Run({"filter",
                "create",
                "vm-1",
                "--ports",
                "tap1,tap2",
                "--ruleset",
                path,
                "--expect-restore",
                "--source",
                folder_.File("."),
                "--fail",
                "open",
                "--emergency",
                "-",
                "--hold-bypass",
                "no",
                "-D",
                "a=b",
                "--dialect",
                "freebsd"},
               "block\n"),
           0, "", "filter vm-1 created, 2 rules\n");
  const FilterSpec& spec = directory_.last_filter;
  EXPECT_EQ(spec.name, "vm-1");
  EXPECT_THAT(spec.ports, ElementsAre("tap1", "tap2"));
  EXPECT_EQ(spec.ruleset->name, path);
  ASSERT_EQ(spec.ruleset->files.size(), 1u);
  EXPECT_EQ(spec.ruleset->files[0].name, "more.conf");
  EXPECT_EQ(spec.ruleset->macros.at(0).second, "b");
  EXPECT_EQ(spec.ruleset->dialect, Dialect::kFreeBsd);
  EXPECT_EQ(spec.emergency->text, "block\n");
  EXPECT_TRUE(spec.expect_restore);
  // A folder is the daemon's to look at.
  EXPECT_EQ(spec.source, folder_.File("."));
  EXPECT_EQ(spec.snapshot, nullptr);
  EXPECT_EQ(spec.fail_policy, FailPolicy::kOpen);
  EXPECT_FALSE(spec.bypass_hold);
  ExpectIs(Run({"filter", "create", "vm-1", "--ports", "x"}), 1, "",
           "sluicectl: there is a filter \"vm-1\" already\n");
  ExpectIs(Run({"-q", "filter", "create", "vm-2", "--ports", "x"}), 0, "", "");
}

TEST_F(SluicectlFiltersTest, ErrorsOfARulesetSayWhere) {
  ExpectIs(Run({"filter", "create", "a", "--ports", "p", "--ruleset", "-"},
               "pass\nerror here\n"),
           1, "",
           "stdin:2:1: syntax error\nerror here\n^\n"
           "sluicectl: the ruleset has errors; the filter was not made\n");
  EXPECT_TRUE(directory_.made.empty());
  Outcome outcome = Run({"filter", "create", "a", "--ports", "p", "--ruleset",
                         folder_.File("missing")});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("missing: No such file"));
  EXPECT_THAT(outcome.err, HasSubstr("sluicectl: the filter was not made\n"));
  const std::string path =
      Write("x.conf", "table <t> file \"/does/not/exist\"\n");
  outcome = Run({"filter", "create", "a", "--ports", "p", "--fail", "open",
                 "--emergency", path});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("x.conf:1:"));
  EXPECT_THAT(outcome.err, HasSubstr("the filter was not made\n"));
  EXPECT_TRUE(directory_.last_filter.ports.empty() || directory_.made.empty());
}

TEST_F(SluicectlFiltersTest, FlagsAskTheFilterThatIsNamed) {
  Make("a", "p");
  ExpectIs(Run({"--filter", "a", "-f", "-"}, "pass\n"), 0, "", "");
  ExpectIs(Run({"--filter", "a", "-sr"}), 0, "pass\n", "");
  ExpectIs(Run({"-sr"}), 0, "", "");
  Run({"--filter", "a", "-t", "bad", "-T", "add", "10.0.0.1"});
  EXPECT_EQ(directory_.made["a"].filter->tables.size(), 1u);
  EXPECT_TRUE(filter_.tables.empty());
  ExpectIs(Run({"--filter", "a", "-e"}), 0, "", "pf enabled\n");
  EXPECT_FALSE(filter_.enabled);
  const Outcome outcome = Run({"--filter", "b", "-sr"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("there is no filter \"b\""));
}

TEST_F(SluicectlFiltersTest, ASnapshotIsPassedAndNotNamed) {
  const std::string path = Write("a.snap", "what it has");
  ExpectIs(Run({"filter", "create", "vm-1", "--ports", "p",
                "--expect-restore", "--source", path, "--no-wait"}),
           0, "", "filter vm-1 created, 0 rules\n");
  const FilterSpec& spec = directory_.last_filter;
  EXPECT_EQ(spec.source, "");
  EXPECT_EQ(spec.snapshot_name, path);
  ASSERT_NE(spec.snapshot, nullptr);
  char bytes[32] = {};
  EXPECT_EQ(::pread(spec.snapshot->get(), bytes, sizeof bytes, 0), 11);
  EXPECT_STREQ(bytes, "what it has");
  const Outcome none =
      Run({"filter", "create", "vm-2", "--ports", "q", "--expect-restore",
           "--source", folder_.File("none")});
  EXPECT_EQ(none.status, 1);
  EXPECT_THAT(none.err, HasSubstr("No such file"));
  EXPECT_THAT(none.err, HasSubstr("the filter was not made"));
  EXPECT_EQ(directory_.made.count("vm-2"), 0u);
}

TEST_F(SluicectlFiltersTest, ListsFilters) {
  Make("vm-1", "tap1");
  directory_.main_listing.ports = {"inside", "outside"};
  directory_.main_listing.states = 12;
  directory_.main_listing.rules = 3;
  ExpectIs(Run({"filter", "list"}), 0,
           "FILTER           STATE                    STATES  RULES TABLES  "
           "PORTS\n"
           "main             active                       12      3      0  "
           "inside,outside\n"
           "vm-1             no ruleset, blocking          0      0      0  "
           "tap1\n",
           "");
  // On a terminal of 80 columns.
  directory_.main_listing.ports = {"a-long-port-01", "a-long-port-02", "x"};
  const std::string text = Run({"filter", "list"}).out;
  EXPECT_THAT(text, HasSubstr("  a-long-port-01,\n" + std::string(64, ' ') +
                              "a-long-port-02,\n" + std::string(64, ' ') +
                              "x\n"));
  const json listed = json::parse(Run({"--json", "filter", "list"}).out);
  ASSERT_EQ(listed["filters"].size(), 2u);
  EXPECT_EQ(listed["filters"][1]["name"], "vm-1");
}

TEST_F(SluicectlFiltersTest, ListsMoreFiltersThanAPageHolds) {
  MakeFilters(300);
  const json listed = json::parse(Run({"filter", "list", "--json"}).out);
  EXPECT_EQ(listed["filters"].size(), 301u);
}

TEST_F(SluicectlFiltersTest, ShowsAFilter) {
  Make("vm-1", "tap1");
  FilterListing& listing = directory_.made["vm-1"].listing;
  listing.macs = {"02:00:00:00:00:01"};
  listing.hash = "00ff";
  listing.loaded = true;
  listing.table_addresses = 5;
  listing.hold.held = 9;
  listing.hold.replayed = 7;
  listing.hold.dropped = 2;
  listing.hold.longest = 150;
  listing.hold.bypassed = 1;
  RestoreAnswer answer;
  answer.code = RestoreCode::kFailed;
  answer.status.incarnation = 1;
  answer.failure = RestoreFailure::kRefused;
  answer.detail = "checksum of TABLES";
  answer.report.states_imported = 3;
  listing.restore = answer;
  listing.status.state = RestoreState::kFailed;
  listing.status.attempt = 2;
  listing.status.flags |= kFilterExpects;
  listing.failed = true;
  ExpectIs(Run({"filter", "show", "vm-1"}), 0,
           "filter vm-1\n"
           "  State:         failed, blocking\n"
           "  Ports:         tap1\n"
           "  MAC:           02:00:00:00:00:01\n"
           "  Incarnation:   1\n"
           "  Restore:       FAILED, attempt 2, expected\n"
           "  Last restore:  failed, incarnation 1, snapshot refused: checksum "
           "of TABLES\n"
           "  Restored:      3 states, 0 merged, 0 orphaned, 0 refused, 0 "
           "tables, 0 rules\n"
           "  Fail policy:   closed\n"
           "  States:        0\n"
           "  Rules:         0\n"
           "  Tables:        0 with 5 addresses\n"
           "  Generation:    1\n"
           "  Hash:          00ff\n"
           "  Created:       never\n"
           "  Last purge:    never\n"
           "  Held:          9 packets, 0 waiting, 7 replayed, 2 dropped, "
           "longest 150 ms\n"
           "  Not held:      1 bypassed, 0 without room\n",
           "");
  listing.last_purge = 1'700'000'000;
  EXPECT_THAT(Run({"filter", "show", "vm-1"}).out, HasSubstr(" 2023\n"));
  EXPECT_THAT(Run({"filter", "show"}).out, HasSubstr("filter main\n"));
  const json shown = json::parse(Run({"filter", "show", "vm-1", "--json"}).out);
  EXPECT_EQ(shown["filter"]["restore"]["detail"], "checksum of TABLES");
  const Outcome missing = Run({"filter", "show", "b"});
  EXPECT_EQ(missing.status, 1);
  EXPECT_THAT(missing.err, HasSubstr("there is no filter \"b\""));
}

TEST_F(SluicectlFiltersTest, DestroysAFilter) {
  Make("a", "p");
  ExpectIs(Run({"filter", "destroy", "a"}), 0, "", "filter a destroyed\n");
  EXPECT_TRUE(directory_.made.empty());
  ExpectIs(Run({"filter", "destroy", "a"}), 1, "",
           "sluicectl: there is no such filter\n");
  const json answer =
      json::parse(Run({"--json", "filter", "destroy", "main"}).out);
  EXPECT_EQ(answer["error"]["code"], -32000);
}

TEST_F(SluicectlFiltersTest, AddsAndListsPorts) {
  Make("vm-1", "tap1");
  ExpectIs(
      Run({"port", "add", "tap2", "--device", "net_null7", "--wire", "inside",
           "--groups", "a,b", "--addresses", "10.0.0.1/24,::1", "--queues", "2",
           "--mtu", "9000", "--non-ip", "block", "--disabled"}),
      0, "", "port tap2 added, net_null7 (net_null)\n");
  const PortSpec& spec = directory_.last_port;
  EXPECT_EQ(spec.wire, "inside");
  EXPECT_THAT(spec.groups, ElementsAre("a", "b"));
  EXPECT_EQ(spec.addresses.size(), 2u);
  EXPECT_EQ(spec.queues, 2);
  EXPECT_EQ(spec.mtu, 9000);
  EXPECT_FALSE(spec.pass_non_ip);
  EXPECT_TRUE(spec.disabled);
  directory_.ports["outside"].excluded = true;
  directory_.ports["outside"].link_up = false;
  ExpectIs(Run({"port", "list"}), 0,
           "PORT            FILTER       WIRE            STATE    LINK INC.  "
           "DEVICE\n"
           "inside          main         outside         enabled  up      1  "
           "net_null_inside\n"
           "outside         main         inside          excluded down    1  "
           "net_null_outside\n"
           "tap1            vm-1         -               enabled  -       0  "
           "-\n"
           "tap2            main         inside          disabled up      1  "
           "net_null7\n",
           "");
  EXPECT_EQ(json::parse(Run({"port", "list", "--json"}).out)["ports"].size(),
            4u);
  const Outcome outcome =
      Run({"port", "add", "tap3", "--device", "d", "--mtu", "100"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("--mtu must be at least 576"));
}

TEST_F(SluicectlFiltersTest, SwitchesPorts) {
  const PortListing& inside = directory_.ports["inside"];
  ExpectIs(Run({"port", "disable", "inside"}), 0, "", "port inside disabled\n");
  EXPECT_FALSE(inside.enabled);
  ExpectIs(Run({"port", "disable", "inside"}), 1, "",
           "sluicectl: the port is not enabled\n");
  ExpectIs(Run({"port", "enable", "inside"}), 0, "", "port inside enabled\n");
  ExpectIs(Run({"port", "exclude", "inside"}), 0, "", "port inside excluded\n");
  EXPECT_TRUE(inside.excluded);
  ExpectIs(Run({"port", "include", "inside"}), 0, "", "port inside included\n");
  ExpectIs(Run({"port", "bind", "inside", "--bindings",
                "02:00:00:00:00:01 10.0.0.2,2001:db8::2 vlan 42",
                "--learn-bindings", "2"}),
           0, "", "port inside bound\n");
  EXPECT_TRUE(inside.guarded);
  directory_.bound["inside"].learned = {"02:00:00:00:00:01 10.0.0.3"};
  directory_.bound["inside"].spoofed = 9;
  ExpectIs(Run({"port", "bindings", "inside"}), 0,
           "port inside\n"
           "  02:00:00:00:00:01 10.0.0.2\n"
           "  2001:db8::2 vlan 42\n"
           "  02:00:00:00:00:01 10.0.0.3 (learned)\n"
           "  up to 2 addresses of each family are learned\n"
           "  9 frames dropped as spoofed\n",
           "");
  ExpectIs(Run({"port", "unbind", "inside"}), 0, "",
           "port inside not bound any more\n");
  EXPECT_FALSE(inside.guarded);
  EXPECT_THAT(Run({"port", "bind", "inside"}).err,
              HasSubstr("say \"bindings\" or \"learn\""));
  ExpectIs(Run({"port", "stats", "inside"}), 0,
           "port inside\n"
           "  rx_good_packets                               7\n"
           "  tx_good_packets                               9\n",
           "");
  ExpectIs(Run({"port", "remove", "inside"}), 0, "", "port inside removed\n");
  EXPECT_EQ(directory_.ports.size(), 1u);
  ExpectIs(Run({"port", "enable", "nobody"}), 1, "",
           "sluicectl: there is no port \"nobody\"\n");
}

}  // namespace
}  // namespace sluice
