// Commands in words on sluicectl's command line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "dataplane/sluicectl/arguments.h"
#include "tests/unit/dataplane/sluicectl/sluicectl_words.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;
using testing::StartsWith;

TEST(SluicectlCommands, FilterCreateHasItsOptions) {
  const Arguments a = Parse({"--json",
                             "filter",
                             "create",
                             "--ports",
                             "tap1,tap2",
                             "vm-1",
                             "--ruleset=vm.conf",
                             "--expect-restore",
                             "--source",
                             "/var/lib/s",
                             "--fail",
                             "open",
                             "--emergency",
                             "-",
                             "--hold-bypass",
                             "no",
                             "-D",
                             "if=tap1",
                             "-Dx=y",
                             "--dialect",
                             "freebsd",
                             "-q",
                             "--socket",
                             "/s"});
  ASSERT_TRUE(a.command.has_value());
  const Command& c = *a.command;
  EXPECT_EQ(c.verb, Verb::kFilterCreate);
  EXPECT_EQ(c.name, "vm-1");
  EXPECT_THAT(c.ports, ElementsAre("tap1", "tap2"));
  EXPECT_EQ(c.ruleset, "vm.conf");
  EXPECT_TRUE(c.expect_restore);
  EXPECT_EQ(c.source, "/var/lib/s");
  EXPECT_TRUE(c.fail_open);
  EXPECT_EQ(c.emergency, "-");
  EXPECT_EQ(c.hold_bypass, false);
  EXPECT_THAT(a.macros, ElementsAre(Pair("if", "tap1"), Pair("x", "y")));
  EXPECT_EQ(a.dialect, Dialect::kFreeBsd);
  EXPECT_TRUE(a.json);
  EXPECT_TRUE(a.quiet);
  EXPECT_EQ(a.socket, "/s");
}

TEST(SluicectlCommands, ARelativeSourceIsFromHere) {
  EXPECT_EQ(Parse({"filter", "create", "a", "--ports", "p", "--expect-restore",
                   "--source", "a.snap"})
                .command->source,
            std::filesystem::current_path() / "a.snap");
}

TEST(SluicectlCommands, ARestoreMayBeOfAnotherFilterAndHasItsOwnTime) {
  const Arguments a =
      Parse({"filter", "create", "a", "--ports", "p", "--expect-restore",
             "--source", "/s", "--from-filter", "b", "--restore-give-up", "90"});
  EXPECT_EQ(a.command->from_filter, "b");
  EXPECT_EQ(a.command->give_up, 90u);
}

TEST(SluicectlCommands, FilterCreateNeedsLittle) {
  const Arguments a = Parse({"filter", "create", "a", "--ports", "p"});
  EXPECT_THAT(a.command->ports, ElementsAre("p"));
  EXPECT_FALSE(a.command->ruleset.has_value());
  EXPECT_FALSE(a.command->hold_bypass.has_value());
  EXPECT_FALSE(a.command->fail_open);
  EXPECT_EQ(Parse({"filter", "create", "a", "--ports", "p", "--fail", "closed",
                   "--hold-bypass", "yes"})
                .command->hold_bypass,
            true);
}

TEST(SluicectlCommands, PortAddHasItsOptions) {
  const Arguments a =
      Parse({"port", "add", "tap1", "--device", "net_vhost0,iface=/s", "--wire",
             "outside", "--groups", "vms,lan", "--addresses",
             "10.0.0.1/24,2001:db8::1", "--queues", "2", "--mtu", "9000",
             "--non-ip", "block", "--disabled"});
  const Command& c = *a.command;
  EXPECT_EQ(c.verb, Verb::kPortAdd);
  EXPECT_EQ(c.name, "tap1");
  EXPECT_EQ(c.device, "net_vhost0,iface=/s");
  EXPECT_EQ(c.wire, "outside");
  EXPECT_THAT(c.groups, ElementsAre("vms", "lan"));
  EXPECT_THAT(c.addresses, ElementsAre("10.0.0.1/24", "2001:db8::1"));
  EXPECT_EQ(c.queues, 2u);
  EXPECT_EQ(c.mtu, 9000u);
  EXPECT_TRUE(c.block_non_ip);
  EXPECT_TRUE(c.disabled);
}

TEST(SluicectlCommands, PortAddTakesTheSocketOfAMachine) {
  const Arguments a = Parse({"port", "add", "vm1", "--vhost", "/run/vm1",
                             "--vhost-client", "--segment", "lan"});
  EXPECT_EQ(a.command->vhost, "/run/vm1");
  EXPECT_TRUE(a.command->vhost_client);
  EXPECT_THAT(ErrorOf({"port", "add", "vm1", "--device", "net_null0",
                       "--vhost-client"}),
              HasSubstr("--vhost-client needs --vhost"));
  EXPECT_THAT(ErrorOf({"port", "add", "vm1", "--device", "net_null0",
                       "--vhost", "/run/vm1"}),
              HasSubstr("not several"));
}

TEST(SluicectlCommands, PortAddTakesAVlanOfAPort) {
  const Arguments a =
      Parse({"port", "add", "vm1", "--parent", "uplink", "--vlan", "5",
             "--inner-vlan", "6", "--segment", "lan"});
  const Command& c = *a.command;
  EXPECT_EQ(c.parent, "uplink");
  EXPECT_EQ(c.vlan, 5u);
  EXPECT_EQ(c.inner_vlan, 6u);
  EXPECT_EQ(c.segment, "lan");
  EXPECT_THAT(ErrorOf({"port", "add", "vm1"}),
              HasSubstr("needs --device, or --parent and --vlan"));
  EXPECT_THAT(ErrorOf({"port", "add", "vm1", "--parent", "uplink"}),
              HasSubstr("--parent and --vlan need each other"));
  EXPECT_THAT(ErrorOf({"port", "add", "vm1", "--device", "net_null0", "--vlan",
                       "5"}),
              HasSubstr("--parent and --vlan need each other"));
  EXPECT_THAT(ErrorOf({"port", "add", "vm1", "--device", "net_null0",
                       "--parent", "uplink", "--vlan", "5"}),
              HasSubstr("not several"));
  EXPECT_THAT(ErrorOf({"port", "add", "vm1", "--device", "net_null0", "--wire",
                       "a", "--segment", "lan"}),
              HasSubstr("not on both"));
  EXPECT_THAT(ErrorOf({"port", "add", "vm1", "--parent", "uplink", "--vlan",
                       "5", "--queues", "2"}),
              HasSubstr("--queues is for"));
}

TEST(SluicectlCommands, RoutersHaveTheirOptions) {
  const Arguments a = Parse({"port", "add", "lan", "--device", "net_null0",
                             "--router", "edge", "--tap", "lan0"});
  EXPECT_EQ(a.command->router, "edge");
  EXPECT_EQ(a.command->tap, "lan0");
  EXPECT_THAT(ErrorOf({"port", "add", "lan", "--device", "net_null0", "--tap",
                       "lan0"}),
              HasSubstr("--tap needs --router"));
  for (const char* other : {"--wire", "--segment"}) {
    EXPECT_THAT(ErrorOf({"port", "add", "lan", "--device", "net_null0",
                         "--router", "edge", other, "x"}),
                HasSubstr("a port of a --router is on no"));
  }
  const Arguments routes = Parse({"router", "routes", "edge", "--family",
                                  "inet6", "2001:db8::/32"});
  EXPECT_EQ(routes.command->verb, Verb::kRouterRoutes);
  EXPECT_EQ(routes.command->name, "edge");
  EXPECT_EQ(routes.command->prefix, "2001:db8::/32");
  EXPECT_EQ(routes.command->family, "inet6");
  EXPECT_THAT(ErrorOf({"router", "routes", "edge", "--family", "ip"}),
              HasSubstr("inet"));
  EXPECT_THAT(ErrorOf({"router", "routes", "edge", "::/0", "x"}),
              HasSubstr("argument: x"));
  EXPECT_THAT(ErrorOf({"router", "list", "edge"}), HasSubstr("argument: edge"));
}

TEST(SluicectlCommands, SegmentsHaveTheirOptions) {
  const Arguments a =
      Parse({"segment", "add", "lan", "--ports", "a,b", "--flood",
             "unknown,broadcast", "--macs", "64", "--macs-per-port", "4",
             "--age", "60", "--non-ip", "block"});
  const Command& c = *a.command;
  EXPECT_EQ(c.verb, Verb::kSegmentAdd);
  EXPECT_THAT(c.ports, ElementsAre("a", "b"));
  EXPECT_THAT(*c.flood, ElementsAre("unknown", "broadcast"));
  EXPECT_EQ(c.macs, 64u);
  EXPECT_EQ(c.macs_per_port, 4u);
  EXPECT_EQ(c.age, 60u);
  EXPECT_TRUE(c.block_non_ip);
  EXPECT_TRUE(
      Parse({"segment", "add", "lan", "--flood", "none"}).command->flood
          ->empty());
  EXPECT_THAT(ErrorOf({"segment", "add", "lan", "--flood", "all"}),
              HasSubstr("say none, or any of"));
  const Arguments fix = Parse({"segment", "fix", "lan", "--mac",
                               "00:53:00:00:00:01", "--port", "a"});
  EXPECT_EQ(fix.command->mac, "00:53:00:00:00:01");
  EXPECT_EQ(fix.command->port, "a");
  EXPECT_THAT(ErrorOf({"segment", "fix", "lan", "--port", "a"}),
              HasSubstr("needs --mac"));
  EXPECT_THAT(ErrorOf({"segment", "attach", "lan"}), HasSubstr("needs --port"));
  EXPECT_THAT(ErrorOf({"segment", "free", "lan"}), HasSubstr("needs --mac"));
}

TEST(SluicectlCommands, TheOthersNameOneOrNothing) {
  const std::vector<std::pair<std::vector<std::string>, Verb>> named = {
      {{"filter", "destroy"}, Verb::kFilterDestroy},
      {{"filter", "show"}, Verb::kFilterShow},
      {{"port", "remove"}, Verb::kPortRemove},
      {{"port", "enable"}, Verb::kPortEnable},
      {{"port", "disable"}, Verb::kPortDisable},
      {{"port", "exclude"}, Verb::kPortExclude},
      {{"port", "include"}, Verb::kPortInclude},
      {{"port", "stats"}, Verb::kPortStats},
      {{"port", "bind"}, Verb::kPortBind},
      {{"port", "bindings"}, Verb::kPortBindings},
      {{"port", "unbind"}, Verb::kPortUnbind},
      {{"router", "neighbors"}, Verb::kRouterNeighbors},
      {{"router", "show"}, Verb::kRouterShow},
      {{"segment", "flush"}, Verb::kSegmentFlush},
      {{"segment", "macs"}, Verb::kSegmentMacs},
      {{"segment", "remove"}, Verb::kSegmentRemove},
  };
  for (auto [words, verb] : named) {
    if (verb != Verb::kFilterShow) {
      EXPECT_THAT(ErrorOf(words), HasSubstr("needs a name")) << words[1];
    }
    words.push_back("a");
    EXPECT_EQ(Parse(words).command->verb, verb);
    EXPECT_EQ(Parse(words).command->name, "a");
    words.push_back("b");
    EXPECT_THAT(ErrorOf(words), HasSubstr("argument: b")) << words[1];
  }
  EXPECT_EQ(Parse({"filter", "show"}).command->name, "");
  EXPECT_EQ(Parse({"filter", "list"}).command->verb, Verb::kFilterList);
  EXPECT_EQ(Parse({"port", "list", "--json"}).command->verb, Verb::kPortList);
  EXPECT_THAT(ErrorOf({"filter", "list", "a"}), HasSubstr("argument: a"));
  EXPECT_EQ(Parse({"filter", "show", "--", "-x"}).command->name, "-x");
}

TEST(SluicectlCommands, MetricsNeedsNoVerb) {
  EXPECT_EQ(Parse({"metrics"}).command->verb, Verb::kMetrics);
  const Arguments a = Parse({"-q", "metrics", "--json", "-p", "/s"});
  EXPECT_EQ(a.command->verb, Verb::kMetrics);
  EXPECT_TRUE(a.json);
  EXPECT_EQ(a.socket, "/s");
  EXPECT_EQ(ErrorOf({"metrics", "a"}), "unknown command line argument: a");
  EXPECT_THAT(ErrorOf({"-sr", "metrics"}), StartsWith("metrics goes with"));
  EXPECT_THAT(ErrorOf({"--filter", "a", "metrics"}),
              HasSubstr("names its filter itself"));
  EXPECT_TRUE(Parse({"metrics", "--help"}).help);
}

TEST(SluicectlCommands, SaysWhatIsWrong) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"filter"}, "filter needs a verb; there are change, create, destroy, list"},
      {{"port"}, "port needs a verb"},
      {{"filter", "make"}, "unknown command: filter make; there are change, create"},
      {{"filter", "create", "a"}, "needs --ports"},
      {{"filter", "create", "--ports", "p"}, "needs a name"},
      {{"filter", "create", "a", "--ports"}, "requires an argument -- ports"},
      {{"filter", "create", "a", "--ports="}, "requires an argument"},
      {{"filter", "create", "a", "--ports", "p,,q"}, "--ports: a list has an"},
      {{"filter", "create", "a", "--ports", "p", "--fail", "ajar"},
       "--fail: 'ajar': say closed or open"},
      {{"filter", "create", "a", "--ports", "p", "--fail", "open"},
       "needs --emergency"},
      {{"filter", "create", "a", "--ports", "p", "--emergency", "x"},
       "needs --fail open"},
      {{"filter", "create", "a", "--ports", "p", "--source", "x"},
       "needs --expect-restore"},
      {{"filter", "create", "a", "--ports", "p", "--expect-restore",
        "--from-filter", "b"},
       "--from-filter says whose snapshot --source is"},
      {{"filter", "create", "a", "--ports", "p", "--restore-give-up", "5"},
       "--restore-give-up needs --expect-restore"},
      {{"filter", "create", "a", "--ports", "p", "--expect-restore",
        "--restore-give-up", "soon"},
       "'soon' is not a number"},
      {{"filter", "create", "a", "--ports", "p", "--expect-restore=yes"},
       "takes no value"},
      {{"filter", "create", "a", "--ports", "p", "--hold-bypass", "on"},
       "say no or yes"},
      {{"filter", "create", "a", "--ports", "p", "--ruleset", "-", "--fail",
        "open", "--emergency", "-"},
       "standard input"},
      {{"filter", "create", "a", "--ports", "p", "-D", "x=y"},
       "need a ruleset"},
      {{"filter", "create", "a", "--ports", "p", "--device", "d"},
       "unknown option --device"},
      {{"filter", "show", "-sr"}, "filter show goes with"},
      {{"-sr", "filter", "list"}, "filter list goes with"},
      {{"-n", "port", "list"}, "port list goes with"},
      {{"--filter", "a", "filter", "show"}, "names its filter itself"},
      {{"port", "add", "p"}, "needs --device"},
      {{"port", "add", "p", "--device", "d", "--mtu", "x"}, "not a number"},
      {{"port", "add", "p", "--device", "d", "--queues", "-1"}, "not a number"},
      {{"port", "add", "p", "--device", "d", "--mtu", "4294967296"},
       "not a number"},
      {{"port", "add", "p", "--device", "d", "--non-ip", "drop"},
       "say pass or block"},
      {{"port", "remove", ""}, "a name cannot be empty"},
  };
  for (const auto& [words, error] : cases) {
    EXPECT_THAT(ErrorOf(words), HasSubstr(error))
        << testing::PrintToString(words);
  }
}

TEST(SluicectlCommands, FlagsMayAskAnotherFilter) {
  EXPECT_EQ(Parse({"--filter", "vm-1", "-sr"}).filter, "vm-1");
  EXPECT_EQ(Parse({"--filter=vm-1", "-t", "bad", "-T", "add", "::1"}).filter,
            "vm-1");
  EXPECT_THAT(ErrorOf({"-sr", "--filter"}), HasSubstr("requires an argument"));
  EXPECT_THAT(ErrorOf({"--filter", "a"}), HasSubstr("nothing to do"));
  // A table's address is none of the commands.
  EXPECT_FALSE(Parse({"-t", "x", "-Tadd", "filter"}).command.has_value());
}

TEST(SluicectlUsage, IsOfTheCommandAtHandOnly) {
  const auto usage = [](std::vector<std::string> words) {
    return UsageFor(words);
  };
  const std::string create = usage({"filter", "create", "--prots"});
  EXPECT_THAT(create, StartsWith("usage: sluicectl filter create name"));
  EXPECT_THAT(create, HasSubstr("--hold-bypass"));
  EXPECT_THAT(create, Not(HasSubstr("port add")));
  EXPECT_THAT(create, Not(HasSubstr("filter destroy")));
  EXPECT_EQ(usage({"--json", "filter", "show", "a", "b"}),
            "usage: sluicectl filter destroy name | list | show [name]\n");
  // A verb that is none: all of the noun.
  const std::string filter = usage({"filter", "ls"});
  EXPECT_THAT(filter, HasSubstr("filter create"));
  EXPECT_THAT(filter, HasSubstr("filter destroy"));
  EXPECT_THAT(filter, Not(HasSubstr("port add")));
  EXPECT_EQ(usage({"metrics", "x"}), "usage: sluicectl metrics\n");
  const std::string flags = usage({"-s", "x"});
  EXPECT_THAT(flags, StartsWith("usage: sluicectl [-"));
  EXPECT_THAT(flags, HasSubstr("  -s  ether nat rules states"));
  EXPECT_THAT(flags, Not(HasSubstr("filter create")));
}

TEST(SluicectlUsage, SaysNoMoreThanTheMistakeNeeds) {
  const auto usage = [](std::vector<std::string> words, std::string error) {
    return UsageFor(words, error);
  };
  EXPECT_EQ(usage({"-s", "rulez"}, ErrorOf({"-s", "rulez"})),
            "  -s  ether nat rules states Sources info Interfaces labels "
            "timeouts memory\n      Tables osfp commits Anchors Running "
            "LimiterStates LimiterSrcs all\n");
  EXPECT_EQ(usage({"fliter", "list"}, ErrorOf({"fliter", "list"})), "");
}

TEST(SluicectlUsage, SaysWhatMayHaveBeenMeant) {
  EXPECT_EQ(ErrorOf({"filter", "ls"}),
            "unknown command: filter ls; did you mean filter list?");
  EXPECT_EQ(ErrorOf({"port", "rmove", "a"}),
            "unknown command: port rmove; did you mean port remove?");
  EXPECT_EQ(ErrorOf({"fliter", "list"}),
            "unknown command line argument: fliter; did you mean filter?");
}

TEST(SluicectlCommands, HelpNamesEveryCommandAndOption) {
  EXPECT_TRUE(Parse({"filter", "--help"}).help);
  EXPECT_TRUE(Parse({"port", "add", "--help"}).help);
  const std::string help(Help());
  for (const char* text : {"filter create NAME",
                           "filter destroy NAME",
                           "filter list",
                           "filter show [NAME]",
                           "port list",
                           "port add NAME",
                           "port remove NAME",
                           "port disable NAME",
                           "port enable NAME",
                           "port exclude NAME",
                           "port include NAME",
                           "port stats NAME",
                           "port bind NAME",
                           "port bindings NAME",
                           "port unbind NAME",
                           "--bindings",
                           "--learn-bindings",
                           "metrics ",
                           "--ports",
                           "--ruleset",
                           "--expect-restore",
                           "--source",
                           "--fail",
                           "--emergency",
                           "--hold-bypass",
                           "--device",
                           "--wire",
                           "--groups",
                           "--addresses",
                           "--queues",
                           "--mtu",
                           "--non-ip",
                           "--disabled",
                           "--filter",
                           "EXIT STATUS"}) {
    EXPECT_THAT(help, HasSubstr(text));
  }
  EXPECT_THAT(std::string(Usage()), StartsWith("usage: sluicectl"));
}

}  // namespace
}  // namespace sluice
