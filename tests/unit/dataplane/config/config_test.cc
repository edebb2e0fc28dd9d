#include "dataplane/config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Two ports and a wire; cases add their lines in front or behind.
constexpr char kPorts[] = R"([[port]]
name = "outside"
device = "net_null0"
[[port]]
name = "inside"
device = "net_null1"
)";
constexpr char kWire[] = R"([[wire]]
ports = ["outside", "inside"]
)";

std::string Minimal() { return std::string(kPorts) + kWire; }

TEST(ConfigTest, DefaultsOfASmallFile) {
  const ParsedConfig parsed = ParseConfig(Minimal(), "/etc/sluice/s.toml");
  ASSERT_TRUE(parsed.config) << FormatDiagnostics(parsed.diagnostics);
  EXPECT_THAT(parsed.diagnostics, IsEmpty());
  const Config& config = *parsed.config;
  ASSERT_EQ(config.ports.size(), 2u);
  EXPECT_EQ(config.ports[0].name, "outside");
  EXPECT_EQ(config.ports[1].device, "net_null1");
  EXPECT_EQ(config.ports[0].queues, 0);
  EXPECT_TRUE(config.ports[0].promiscuous);
  ASSERT_EQ(config.wires.size(), 1u);
  EXPECT_THAT(config.wires[0].ports, ElementsAre(0, 1));
  EXPECT_TRUE(config.wires[0].pass_non_ip);
  EXPECT_FALSE(config.wires[0].answer_arp);
  EXPECT_EQ(config.workers.size(), 1);
  EXPECT_EQ(config.eal.hugepages, Hugepages::kAuto);
  EXPECT_FALSE(config.uses_pci());
  EXPECT_EQ(config.policy.ruleset, "/etc/sluice/pf.conf");
  EXPECT_EQ(config.control.mode, 0600);
  EXPECT_TRUE(config.eal.telemetry);
  EXPECT_EQ(config.metrics, MetricsConfig());
  EXPECT_EQ(config.metrics.listen, "");
  EXPECT_EQ(config.web, WebConfig());
  EXPECT_EQ(config.web.listen, "");
  EXPECT_EQ(config.log.level, "info");
  EXPECT_EQ(config.log.file, "");
  EXPECT_EQ(config.log.packets, "");
  EXPECT_EQ(config.log.packet_rate, 10000u);
  EXPECT_FALSE(config.flows.wanted());
  EXPECT_EQ(config.state.directory, "");
  EXPECT_EQ(config.state.interval, 30u);
  // What follows from the states.
  EXPECT_EQ(config.transfer.max_snapshot,
            (uint64_t{256} << 20) + uint64_t{262144} * 256);
  EXPECT_EQ(config.transfer.limits.memory, 2 * config.transfer.max_snapshot);
  EXPECT_EQ(config.restore,
            (RestoreConfig{.give_up = 60, .queue = 1000, .validate = 5000,
                           .commit = 50}));
}

constexpr char kUplink[] = R"([[port]]
name = "uplink"
device = "net_af_packet0,iface=veth0"
mtu = 2000
)";

TEST(ConfigTest, VlansAndSegments) {
  const ParsedConfig parsed = ParseConfig(std::string(R"([[port]]
name = "vm1"
parent = "uplink"
vlan = 5
inner_vlan = 6
groups = ["guests"]
)") + kUplink + R"([[port]]
name = "vm2"
parent = "uplink"
vlan = 5
mtu = 1400
[[segment]]
name = "lan"
ports = ["vm1", "vm2"]
flood = ["broadcast"]
macs = 100
macs_per_port = 3
age = 60
fixed = ["00:53:00:00:00:01 vm1"]
non_ip = "block"
[[segment]]
name = "later"
ports = []
)", "s.toml");
  ASSERT_TRUE(parsed.config.has_value())
      << FormatDiagnostics(parsed.diagnostics);
  const Config& config = *parsed.config;
  ASSERT_EQ(config.ports.size(), 3u);
  EXPECT_EQ(config.devices(), 1u);
  EXPECT_EQ(config.ports[0].parent, "uplink");
  EXPECT_EQ(config.ports[0].tags, (VlanTags{.outer = 5, .inner = 6}));
  EXPECT_EQ(config.ports[0].mtu, 2000);
  EXPECT_THAT(config.ports[0].groups, ElementsAre("guests", "vlan"));
  EXPECT_EQ(config.ports[2].tags, (VlanTags{.outer = 5}));
  EXPECT_EQ(config.ports[2].mtu, 1400);
  const SegmentConfig lan = {
      .name = "lan",
      .ports = {"vm1", "vm2"},
      .pass_non_ip = false,
      .flood_unknown = false,
      .flood_multicast = false,
      .macs = 100,
      .macs_per_port = 3,
      .age = 60,
      .fixed = {{.mac = *ParseLinkAddress("00:53:00:00:00:01"),
                 .port = "vm1"}}};
  EXPECT_THAT(config.segments,
              ElementsAre(lan, SegmentConfig{.name = "later"}));
}

TEST(ConfigTest, VlansAndSegmentsThatCannotBe) {
  const auto errors = [](const std::string& more) {
    const ParsedConfig parsed = ParseConfig(kUplink + more, "s.toml");
    EXPECT_FALSE(parsed.config.has_value()) << more;
    std::string all;
    for (const Diagnostic& diagnostic : parsed.diagnostics) {
      all += std::to_string(diagnostic.line) + ": " + diagnostic.message + "\n";
    }
    return all;
  };
  const std::string vm1 =
      "[[port]]\nname = \"vm1\"\nparent = \"uplink\"\nvlan = 5\n";
  const auto vm2 = [](const std::string& parent, const std::string& vlan) {
    return "[[port]]\nname = \"vm2\"\nparent = \"" + parent + "\"\n" + vlan +
           "\n";
  };
  EXPECT_EQ(errors(vm1 + vm2("uplink", "vlan = 5")),
            "10: port 'vm1' already has VLAN 5 of 'uplink'\n");
  EXPECT_EQ(errors(vm2("nowhere", "vlan = 5")),
            "6: port 'vm2': there is no port 'nowhere' that could be its "
            "parent\n");
  EXPECT_EQ(errors(vm1 + vm2("vm1", "vlan = 6")),
            "10: port 'vm2': its parent 'vm1' is a VLAN itself\n");
  EXPECT_EQ(errors(vm2("uplink", "")),
            "7: a port with a 'parent' needs a 'vlan'\n");
  EXPECT_NE(errors(vm2("uplink", "vlan = 4095")).find("8: "),
            std::string::npos);
  EXPECT_EQ(errors(vm2("uplink", "vlan = 7\nqueues = 2")),
            "9: a port with a 'parent' cannot have 'queues'\n");
  EXPECT_EQ(errors(vm2("uplink", "vlan = 7\nmtu = 3000")),
            "6: port 'vm2' has an mtu of 3000, and its parent one of 2000\n");
  EXPECT_EQ(errors("[[port]]\nname = \"x\"\ndevice = \"net_null0\"\nvlan = 5\n"),
            "8: 'vlan' needs a 'parent'\n");
  EXPECT_EQ(errors(vm1 + "[[port]]\nname = \"vlan\"\ndevice = "
                         "\"net_null0\"\n"),
            "10: a port has the name of the group of all VLANs, 'vlan'\n");
  const std::string lan = vm1 + "[[segment]]\nname = \"lan\"\n";
  EXPECT_EQ(errors(lan + "ports = [\"vm1\", \"vm1\"]\n"),
            "11: port 'vm1' is already on segment lan\n");
  EXPECT_EQ(errors(lan + "ports = [\"vm3\"]\n"),
            "11: there is no port 'vm3'\n");
  EXPECT_EQ(errors(vm1 + "[[wire]]\nports = [\"vm1\", \"uplink\"]\n" +
                   "[[segment]]\nname = \"lan\"\nports = [\"vm1\"]\n"),
            "13: port 'vm1' is already on a wire\n");
  EXPECT_EQ(errors(lan + "ports = []\n[[segment]]\nname = \"lan\"\nports = "
                         "[]\n"),
            "13: there are two segments named 'lan'\n");
  EXPECT_EQ(errors(lan), "9: [[segment]] has no 'ports'\n");
  EXPECT_EQ(errors(lan + "ports = []\nflood = [\"all\"]\n"),
            "12: nobody floods \"all\"\n");
  EXPECT_EQ(errors(lan + "ports = [\"vm1\"]\nfixed = "
                         "[\"01:53:00:00:00:01 vm1\"]\n"),
            "12: '01:53:00:00:00:01 vm1' begins with no address of a host\n");
  EXPECT_EQ(errors(lan + "ports = [\"vm1\"]\nfixed = "
                         "[\"00:53:00:00:00:01 vm2\"]\n"),
            "12: 'vm2' is no port of this segment\n");
}

constexpr char kRouted[] = R"([[port]]
name = "lan"
device = "net_null0"
[[port]]
name = "wan"
device = "net_null1"
tap = "wan0"
[[port]]
name = "dmz"
parent = "wan"
vlan = 5
)";

TEST(ConfigTest, Routers) {
  const ParsedConfig parsed = ParseConfig(std::string(kRouted) + R"(
[[router]]
name = "edge"
ports = ["lan", "wan"]
netns = "blue"
max_routes = 1000
max_neighbors = 100
[[router]]
name = "inner"
ports = ["dmz"]
[[router]]
name = "later"
ports = []
netns = "/proc/1/ns/net"
)", "s.toml");
  ASSERT_TRUE(parsed.config.has_value())
      << FormatDiagnostics(parsed.diagnostics);
  const Config& config = *parsed.config;
  EXPECT_EQ(config.ports[0].tap_name(), "lan");
  EXPECT_EQ(config.ports[1].tap_name(), "wan0");
  EXPECT_THAT(
      config.routers,
      ElementsAre(RouterConfig{.name = "edge",
                               .ports = {"lan", "wan"},
                               .netns = "blue",
                               .max_routes = 1000,
                               .max_neighbors = 100},
                  RouterConfig{.name = "inner", .ports = {"dmz"}},
                  RouterConfig{.name = "later", .netns = "/proc/1/ns/net"}));
  EXPECT_EQ(NetnsPath("blue"), "/run/netns/blue");
  EXPECT_EQ(NetnsPath("/proc/1/ns/net"), "/proc/1/ns/net");
}

TEST(ConfigTest, RoutersThatCannotBe) {
  const auto errors = [](const std::string& more) {
    const ParsedConfig parsed = ParseConfig(kRouted + more, "s.toml");
    EXPECT_FALSE(parsed.config.has_value()) << more;
    std::string all;
    for (const Diagnostic& diagnostic : parsed.diagnostics) {
      EXPECT_FALSE(diagnostic.hint.empty()) << diagnostic.message;
      all += std::to_string(diagnostic.line) + ": " + diagnostic.message + "\n";
    }
    return all;
  };
  const auto router = [](const std::string& name, const std::string& rest) {
    return "[[router]]\nname = \"" + name + "\"\n" + rest + "\n";
  };
  const std::string edge = router("edge", "ports = [\"lan\", \"wan\"]");
  EXPECT_EQ(errors(""), "7: port 'wan' has a 'tap' and belongs to no router\n");
  EXPECT_EQ(errors(router("edge", "ports = [\"wan\", \"wan\"]")),
            "14: port 'wan' is already on router edge\n");
  EXPECT_EQ(errors(router("edge", "ports = [\"wan\", \"vm3\"]")),
            "14: there is no port 'vm3'\n");
  EXPECT_EQ(errors("[[wire]]\nports = [\"lan\", \"dmz\"]\n" + edge),
            "16: port 'lan' is already on a wire\n");
  EXPECT_EQ(errors("[[segment]]\nname = \"s\"\nports = [\"lan\"]\n" + edge),
            "17: port 'lan' is already on segment s\n");
  EXPECT_EQ(errors(edge + router("other", "netns = \"a\"\nports = [\"lan\"]")),
            "18: port 'lan' is already on router edge\n");
  EXPECT_EQ(errors(edge + router("other", "ports = [\"dmz\"]")),
            "15: router 'edge' already has the routes of this machine\n");
  EXPECT_EQ(errors(edge + router("edge", "netns = \"a\"\nports = []")),
            "16: there are two routers named 'edge'\n");
  EXPECT_EQ(errors(router("a", "netns = \"n\"\nports = [\"wan\"]") +
                   router("b", "netns = \"n\"\nports = []")),
            "18: router 'a' already has the routes of network namespace 'n'\n");
  EXPECT_EQ(errors(router("a", "netns = \"n n\"\nports = [\"wan\"]")),
            "14: a network namespace cannot be named \"n n\"\n");
  EXPECT_EQ(errors(router("1", "ports = [\"wan\"]")),
            "13: a router cannot be named \"1\"\n");
  EXPECT_EQ(errors(router("a", "ports = [\"wan\"]\nmax_routes = 0")),
            "15: 'max_routes' is 0, outside of 1 to 8000000\n");
  EXPECT_EQ(errors("[[port]]\nname = \"x\"\ndevice = \"net_null2\"\n"
                   "tap = \"more-than-15-bytes\"\n" +
                   router("a", "ports = [\"wan\", \"x\"]")),
            "15: the kernel's interface cannot be named "
            "\"more-than-15-bytes\"\n");
  EXPECT_EQ(errors("[[port]]\nname = \"wan0\"\ndevice = \"net_null2\"\n" +
                   router("a", "ports = [\"wan0\", \"wan\"]")),
            "7: port 'wan' and port 'wan0' would be one interface of the "
            "kernel, 'wan0'\n");
  const std::string lan = "[[port]]\nname = \"x\"\ndevice = \"net_null2\"\n";
  EXPECT_EQ(errors(lan + "[[router]]\nname = \"a\"\n"),
            "7: port 'wan' has a 'tap' and belongs to no router\n"
            "15: [[router]] has no 'ports'\n");
}

TEST(ConfigTest, EveryKey) {
  const ParsedConfig parsed = ParseConfig(R"(
[eal]
args = ["--log-level=pmd:8", "--iova-mode=va"]
hugepages = "no"
file_prefix = "one"
telemetry = false
[[port]]
name = "outside"
device = "03:00.0,arg=1"
groups = ["egress", "wan"]
addresses = ["192.0.2.1/24", "2001:db8::1/64"]
queues = 4
rx_descriptors = 512
tx_descriptors = 256
mtu = 9000
promiscuous = false
bindings = ["02:00:00:00:00:01 10.0.0.2", "2001:db8::/64 vlan 42"]
learn_bindings = 3
[[port]]
name = "inside"
device = "net_af_packet0,iface=veth0"
[[wire]]
ports = ["inside", "outside"]
non_ip = "block"
answer_arp = "translation"
[workers]
lcores = [2, 4]
control_lcore = 1
pin = false
idle = "poll"
[memory]
mbufs = 100000
mbuf_cache = 128
mbuf_data = 9728
handoff_ring = 2048
states = 500000
rule_slots = 1000
all_rule_slots = 3000
expectations = 64
[control]
socket = "run/s.sock"
mode = "0660"
group = "wheel"
read_group = "watchers"
operate_group = "100"
admin_group = "admins"
device_group = "guests"
device_mode = "0640"
allow_devices = ["net_tap"]
device_dirs = ["/run/vm/", "sockets"]
[log]
level = "debug"
file = "/var/log/sluice.log"
packets = "packets"
packet_rate = 500
sessions = "sessions.log"
sessions_format = "text"
format = "json"
audit = "audit.log"
[pflow]
collector = "[2001:db8::1]:4739"
source = "2001:db8::2"
protocol = 5
domain = 7
[metrics]
listen = "run/m.sock"
mode = "0640"
group = "watchers"
clients = 3
filters = 7
labels = 0
tables = 9
[web]
listen = "run/w.sock"
mode = "0660"
group = "lookers"
clients = 5
remote = true
hosts = ["FW.example.net", "fw"]
[policy]
ruleset = "/etc/rules"
dialect = "freebsd"
missing_ruleset = "block"
helpers = ["tftp"]
verify_checksums = false
[state]
dir = "kept"
interval = 5
[transfer]
max_snapshot = 2000
memory = 3000
parallel = 9
per_client = 7
per_filter = 5
min_rate = 100
patience = 20
total_time = 300
[restore]
restore_give_up = 7
queue_deadline = 2000
validate_deadline = 9000
commit_deadline = 80
)",
                                          "/etc/sluice.toml");
  ASSERT_TRUE(parsed.config) << FormatDiagnostics(parsed.diagnostics);
  Config expected;
  expected.file = "/etc/sluice.toml";
  expected.eal = {.args = {"--log-level=pmd:8", "--iova-mode=va"},
                  .hugepages = Hugepages::kNo,
                  .file_prefix = "one",
                  .telemetry = false};
  expected.ports = {
      {.name = "outside",
       .device = "0000:03:00.0,arg=1",
       .groups = {"egress", "wan"},
       .addresses = {*ParsePrefix("192.0.2.1/24"),
                     *ParsePrefix("2001:db8::1/64")},
       .queues = 4,
       .rx_descriptors = 512,
       .tx_descriptors = 256,
       .mtu = 9000,
       .promiscuous = false,
       .guard = {.bindings = {*ParseSpoofBinding("02:00:00:00:00:01 10.0.0.2"),
                              *ParseSpoofBinding("2001:db8::/64 vlan 42")},
                 .learn = 3}},
      {.name = "inside", .device = "net_af_packet0,iface=veth0"}};
  expected.wires = {
      {.ports = {1, 0}, .pass_non_ip = false, .answer_arp = true}};
  expected.workers = {
      .lcores = {2, 4}, .control_lcore = 1, .pin = false,
      .idle = IdleMode::kPoll};
  expected.memory = {.mbufs = 100000,
                     .mbuf_cache = 128,
                     .mbuf_data = 9728,
                     .handoff_ring = 2048,
                     .states = 500000,
                     .rule_slots = 1000,
                     .all_rule_slots = 3000,
                     .expectations = 64};
  expected.control = {
      .socket = "/etc/run/s.sock",
      .mode = 0660,
      .group = "wheel",
      .read_group = "watchers",
      .operate_group = "100",
      .admin_group = "admins",
                      .device_group = "guests",
                      .device_mode = 0640,
      .devices = {.drivers = {"net_tap"},
                  .directories = {"/run/vm", "/etc/sockets"}}};
  expected.log = {.level = "debug",
                  .file = "/var/log/sluice.log",
                  .packets = "/etc/packets",
                  .packet_rate = 500,
                  .json = true,
                  .audit = "/etc/audit.log"};
  expected.flows = {.sessions = "/etc/sessions.log",
                    .form = SessionForm::kText,
                    .collector = {.address = *ParseAddress("2001:db8::1"),
                                  .port = 4739},
                    .source = {.address = *ParseAddress("2001:db8::2")},
                    .protocol = 5,
                    .domain = 7};
  expected.metrics = {.listen = "/etc/run/m.sock",
                      .mode = 0640,
                      .group = "watchers",
                      .clients = 3,
                      .filters = 7,
                      .labels = 0,
                      .tables = 9};
  expected.web = {.listen = "/etc/run/w.sock",
                  .mode = 0660,
                  .group = "lookers",
                  .clients = 5,
                  .remote = true,
                  .hosts = {"fw.example.net", "fw"}};
  expected.state = {.directory = "/etc/kept", .interval = 5};
  expected.transfer = {.max_snapshot = uint64_t{2000} << 20,
                       .limits = {.parallel = 9,
                                  .per_client = 7,
                                  .per_filter = 5,
                                  .min_rate = 100 << 10,
                                  .patience = 20'000,
                                  .total_time = 300'000,
                                  .memory = uint64_t{3000} << 20}};
  expected.restore = {
      .give_up = 7, .queue = 2000, .validate = 9000, .commit = 80};
  expected.policy = {.ruleset = "/etc/rules",
                     .dialect = Dialect::kFreeBsd,
                     .missing_ruleset = MissingRuleset::kBlock,
                     .helpers = {"tftp"},
                     .verify_checksums = false};
  EXPECT_EQ(*parsed.config, expected);
  EXPECT_TRUE(parsed.config->uses_pci());
  EXPECT_EQ(parsed.config->ports[0].device_name(), "0000:03:00.0");
  EXPECT_EQ(parsed.config->workers.size(), 2);
}

struct BadCase {
  std::string_view description;
  std::string text;
  // "line:column: message", one for each error, in order.
  std::vector<std::string> errors;
};

// Lines behind the ports and the wire begin at 9.
std::string With(const std::string& lines) { return Minimal() + lines; }

const BadCase kBadCases[] = {
    {"not TOML", "[eal\n", {"1:5: "}},
    {"key twice", "[log]\nlevel = \"info\"\nlevel = \"info\"\n", {"3:9: "}},
    {"mode of devices that everybody may write to",
     With("[control]\ndevice_mode = \"0666\"\n"),
     {"10:15: 'device_mode' \"0666\" lets every user into the guests'"}},
    {"metrics at a name", With("[metrics]\nlisten = \"localhost:9469\"\n"),
     {"10:10: 'listen' cannot be \"localhost:9469\""}},
    {"metrics without a port", With("[metrics]\nlisten = \"127.0.0.1\"\n"),
     {"10:10: 'listen' cannot be \"127.0.0.1\""}},
    {"metrics at port 0", With("[metrics]\nlisten = \"127.0.0.1:0\"\n"),
     {"10:10: 'listen' cannot be \"127.0.0.1:0\""}},
    {"IPv6 without brackets", With("[metrics]\nlisten = \"::1:9469\"\n"),
     {"10:10: 'listen' cannot be \"::1:9469\""}},
    {"a mode of a port",
     With("[metrics]\nlisten = \"[::1]:9469\"\nmode = \"0660\"\n"),
     {"11:8: 'mode' is of a Unix socket"}},
    {"metrics that everybody may ask for",
     With("[metrics]\nlisten = \"/run/m\"\nmode = \"0666\"\n"),
     {"11:8: 'mode' \"0666\" lets every user ask"}},
    {"a page that everybody may look at",
     With("[web]\nlisten = \"/run/w\"\nmode = \"0606\"\n"),
     {"11:8: 'mode' \"0606\" lets every user look"}},
    {"a page at a name", With("[web]\nlisten = \"localhost:8469\"\n"),
     {"10:10: 'listen' cannot be \"localhost:8469\""}},
    {"a page with a port's group",
     With("[web]\nlisten = \"127.0.0.1:8469\"\ngroup = \"g\"\n"),
     {"11:9: 'group' is of a Unix socket"}},
    {"a page for other machines",
     With("[web]\nlisten = \"0.0.0.0:8469\"\n"),
     {"10:10: other machines could look at \"0.0.0.0:8469\""}},
    {"a page for other machines by IPv6",
     With("[web]\nlisten = \"[::]:8469\"\nremote = false\n"),
     {"10:10: other machines could look at \"[::]:8469\""}},
    {"hosts that are none",
     With("[web]\nlisten = \"/w\"\nhosts = [\"a:80\", \"\", \"*\", \"b\"]\n"),
     {"11:10: \"a:80\" is no host's name", "11:18: \"\" is no host's name",
      "11:22: \"*\" is no host's name"}},
    {"a key of [metrics] in [web]",
     With("[web]\nlabels = 5\n"),
     {"10:1: unknown key 'labels' in [web]"}},
    {"unknown section", With("[worker]\ncount = 1\n"),
     {"9:2: unknown key 'worker' in the file"}},
    {"unknown key", With("[workers]\ncuont = 1\n"),
     {"10:1: unknown key 'cuont' in [workers]"}},
    {"section that is no table", "eal = 3\n" + Minimal(),
     {"1:7: 'eal' is an integer, not a table"}},
    {"one port table instead of a list",
     "[port]\nname = \"a\"\n",
     {"1:1: 'port' is a table, not a list of tables"}},
    {"ports that are no tables", "port = [1]\n",
     {"1:9: 'port' holds an integer, not tables"}},
    {"port without name and device", "[[port]]\n" + Minimal(),
     {"1:1: [[port]] has no 'name'", "1:1: [[port]] has no 'device'"}},
    {"port's name too long",
     "[[port]]\nname = \"sixteen-bytes-xx\"\ndevice = \"net_null2\"\n" +
         Minimal(),
     {"2:8: a port cannot be named \"sixteen-bytes-xx\""}},
    {"port's name begins with a digit",
     "[[port]]\nname = \"0a\"\ndevice = \"net_null2\"\n" + Minimal(),
     {"2:8: a port cannot be named \"0a\""}},
    {"port's name with a meaning",
     "[[port]]\nname = \"self\"\ndevice = \"net_null2\"\n" + Minimal(),
     {"2:8: a port cannot be named \"self\", which has a meaning in rules"}},
    {"two ports of one name",
     "[[port]]\nname = \"inside\"\ndevice = \"net_null2\"\n" + Minimal(),
     {"8:8: there are two ports named 'inside'"}},
    {"two ports of one device",
     "[[port]]\nname = \"c\"\ndevice = \"net_null1,copy=1\"\n" + Minimal(),
     {"9:10: port 'c' already has device net_null1"}},
    {"one PCI device in two spellings",
     "[[port]]\nname = \"c\"\ndevice = \"0000:AF:00.1\"\n"
     "[[port]]\nname = \"d\"\ndevice = \"af:00.1,queues=2\"\n" + Minimal(),
     {"6:10: port 'c' already has device 0000:af:00.1"}},
    {"two devices on one interface",
     "[[port]]\nname = \"c\"\ndevice = \"net_af_packet0,iface=eth1\"\n"
     "[[port]]\nname = \"d\"\ndevice = \"net_pcap0,snaplen=9,iface=eth1\"\n" +
         Minimal(),
     {"6:10: port 'c' already has interface eth1"}},
    {"device of no kind",
     "[[port]]\nname = \"c\"\ndevice = \"/dev/eth0\"\n" + Minimal(),
     {"3:10: 'device' cannot be \"/dev/eth0\""}},
    {"PCI address with a function that cannot be",
     "[[port]]\nname = \"c\"\ndevice = \"0000:03:00.8\"\n" + Minimal(),
     {"3:10: 'device' cannot be \"0000:03:00.8\""}},
    {"group with the name of a port",
     "[[port]]\nname = \"c\"\ndevice = \"net_null2\"\ngroups=[\"inside\"]\n" +
         Minimal(),
     {"4:9: group 'inside' has the name of a port"}},
    {"group that ends in a digit",
     "[[port]]\nname = \"c\"\ndevice = \"net_null2\"\ngroups=[\"lan1\"]\n" +
         Minimal(),
     {"4:9: a group cannot be named \"lan1\""}},
    {"bad addresses",
     "[[port]]\nname = \"c\"\ndevice = \"net_null2\"\n"
     "addresses = [\"10.0.0.256\", \"::1/129\"]\n" + Minimal(),
     {"4:14: '10.0.0.256' is not an address",
      "4:28: '::1/129' is not an address"}},
    {"numbers out of range",
     "[[port]]\nname = \"c\"\ndevice = \"net_null2\"\nqueues = 0\n"
     "mtu = 100\nrx_descriptors = 1\ntx_descriptors = 65536\n" + Minimal(),
     {"4:10: 'queues' is 0, outside of 1 to 32",
      "5:7: 'mtu' is 100, outside of 576 to 9216",
      "6:18: 'rx_descriptors' is 1, outside of 32 to 32768",
      "7:18: 'tx_descriptors' is 65536, outside of 32 to 32768"}},
    {"a string where a boolean belongs",
     "[[port]]\nname = \"c\"\ndevice = \"net_null2\"\n"
     "promiscuous = \"yes\"\n" + Minimal(),
     {"4:15: 'promiscuous' is a string, not a boolean"}},
    {"wire with an unknown port",
     std::string(kPorts) + "[[wire]]\nports = [\"outside\", \"insid\"]\n",
     {"8:21: there is no port 'insid'"}},
    {"wire with one port",
     std::string(kPorts) + "[[wire]]\nports = [\"outside\"]\n",
     {"8:9: a wire needs two ports"}},
    {"wire without ports", std::string(kPorts) + "[[wire]]\n",
     {"7:1: a wire needs two ports"}},
    {"wire from a port to itself",
     std::string(kPorts) + "[[wire]]\nports = [\"inside\", \"inside\"]\n",
     {"8:20: port 'inside' is already on a wire"}},
    {"port on two wires", With(kWire),
     {"10:10: port 'outside' is already on a wire",
      "10:21: port 'inside' is already on a wire"}},
    {"word of no choice", With("[workers]\nidle = \"lazy\"\n"),
     {"10:8: 'idle' cannot be \"lazy\""}},
    {"lcores twice and count",
     With("[workers]\nlcores = [1, 1]\ncount = 2\n"),
     {"10:14: lcore 1 is listed twice",
      "11:9: both 'lcores' and 'count' are given"}},
    {"no lcores", With("[workers]\nlcores = []\n"),
     {"10:10: 'lcores' is empty"}},
    {"lcores that are no list", With("[workers]\nlcores = \"1-2\"\n"),
     {"10:10: 'lcores' is a string, not a list"}},
    {"EAL arguments that are ours",
     With("[eal]\nargs = [\"-l\", \"--vdev=net_null7\", \"-a0:1.0\", 3]\n"),
     {"10:9: EAL argument '-l' is set by sluiced itself",
      "10:15: EAL argument '--vdev=net_null7' is set by sluiced itself",
      "10:35: EAL argument '-a0:1.0' is set by sluiced itself",
      "10:46: 'args' holds an integer, not strings"}},
    {"no PCI, and a PCI port",
     "[eal]\nargs = [\"--no-pci\"]\n[[port]]\nname = \"c\"\n"
     "device = \"0000:03:00.0\"\n" + Minimal(),
     {"2:9: EAL argument '--no-pci' hides the PCI device of a port"}},
    {"prefix that is a path", With("[eal]\nfile_prefix = \"../x/y\"\n"),
     {"10:15: 'file_prefix' cannot be \"../x/y\""}},
    {"too few mbufs for the rings", With("[memory]\nmbufs = 4000\n"),
     {"10:9: 'mbufs' is 4000, fewer than the 4224 that the ports' rings"}},
    {"mode that is not octal", With("[control]\nmode = \"0689\"\n"),
     {"10:8: 'mode' cannot be \"0689\""}},
    {"mode for everybody", With("[control]\nmode = \"0666\"\n"),
     {"10:8: 'mode' \"0666\" lets every user change the rules"}},
    {"socket path too long",
     With("[control]\nsocket = \"/" + std::string(107, 's') + "\"\n"),
     {"10:10: the path of the control socket has 108 bytes"}},
    {"a device for a driver", With("[control]\nallow_devices = [\"net_tap0\"]\n"),
     {"10:18: there is no driver 'net_tap0'"}},
    {"all the file system", With("[control]\ndevice_dirs = [\"/\"]\n"),
     {"10:16: 'device_dirs' cannot hold \"/\""}},
    {"control character", With("[control]\ngroup = \"a\\nb\"\n"),
     {"10:9: 'group' has a control character"}},
    {"helper of no kind", With("[policy]\nhelpers = [\"sip\"]\n"),
     {"10:12: there is no helper 'sip'"}},
    {"empty ruleset path", With("[policy]\nruleset = \"\"\n"),
     {"10:11: 'ruleset' is empty"}},
    {"log that is none",
     With("[log]\nlevel = 1\nfile = [\"a\"]\npackets = 5\n"
          "packet_rate = 0\nrate = 1\n"),
     {"10:9: 'level' is an integer", "11:8: 'file' is a list",
      "12:11: 'packets' is an integer", "13:15: 'packet_rate' is 0",
      "14:1: unknown key 'rate' in [log]"}},
    {"sessions of no form",
     With("[log]\nsessions = 5\nsessions_format = \"xml\"\n"),
     {"10:12: 'sessions' is an integer",
      "11:19: 'sessions_format' cannot be \"xml\""}},
    {"flows to nobody", With("[pflow]\nprotocol = 10\n"),
     {"9:1: [pflow] has no 'collector'"}},
    {"flows to a name", With("[pflow]\ncollector = \"host:4739\"\n"),
     {"10:13: 'collector' cannot be \"host:4739\""}},
    {"flows between families",
     With("[pflow]\ncollector = \"192.0.2.1:4739\"\nsource = \"::1\"\n"),
     {"11:10: 'source' and 'collector' are of two families"}},
    {"flows of no protocol",
     With("[pflow]\ncollector = \"[::1]:4739\"\nprotocol = 9\n"),
     {"11:12: 'protocol' is 9"}},
    {"an engine of NetFlow with a large number",
     With("[pflow]\ncollector = \"[::1]:4739\"\nprotocol = 5\n"
          "domain = 256\n"),
     {"12:10: 'domain' is 256"}},
    {"log of too many packets", With("[log]\npacket_rate = 1000001\n"),
     {"10:15: 'packet_rate' is 1000001"}},
    {"log with a path of two lines", With("[log]\npackets = \"a\\nb\"\n"),
     {"10:11: 'packets' has a control character"}},
    {"state that is none",
     With("[state]\ndir = true\ninterval = \"5\"\nfile = \"x\"\n"),
     {"10:7: 'dir' is a boolean", "11:12: 'interval' is a string",
      "12:1: unknown key 'file' in [state]"}},
    {"less memory than for one snapshot",
     With("[transfer]\nmax_snapshot = 100\nmemory = 99\n"),
     {"11:10: 'memory' is 99 MiB, and one snapshot may take 100"}},
    {"transfers that are none",
     With("[transfer]\nparallel = 0\nmax_snapshot = 0\nrate = 1\n"),
     {"10:12: 'parallel' is 0", "11:16: 'max_snapshot' is 0",
      "12:1: unknown key 'rate' in [transfer]"}},
    {"a deadline of nothing", With("[restore]\ncommit_deadline = 0\n"),
     {"10:19: 'commit_deadline' is 0"}},
    {"giving up after more than a day",
     With("[restore]\nrestore_give_up = 86401\n"),
     {"10:19: 'restore_give_up' is 86401"}},
    {"interval of never", With("[state]\ninterval = 0\n"),
     {"10:12: 'interval' is 0"}},
    {"interval of more than a day", With("[state]\ninterval = 86401\n"),
     {"10:12: 'interval' is 86401"}},
    {"interval between two seconds", With("[state]\ninterval = 1.5\n"),
     {"10:12: 'interval' is a"}},
    {"several sections at once",
     With("[log]\nlevel = \"loud\"\n[policy]\ndialect = \"netbsd\"\n"),
     {"10:9: 'level' cannot be \"loud\"",
      "12:11: 'dialect' cannot be \"netbsd\""}},
};

class BadConfigTest : public ::testing::TestWithParam<BadCase> {};

TEST_P(BadConfigTest, IsRefusedWithPlaceAndMessage) {
  const BadCase& bad = GetParam();
  SCOPED_TRACE(bad.description);
  const ParsedConfig parsed = ParseConfig(bad.text, "s.toml");
  EXPECT_FALSE(parsed.config);
  std::vector<std::string> found;
  for (const Diagnostic& diagnostic : parsed.diagnostics) {
    EXPECT_EQ(diagnostic.file, "s.toml");
    EXPECT_FALSE(diagnostic.hint.empty()) << diagnostic.message;
    found.push_back(std::to_string(diagnostic.line) + ":" +
                    std::to_string(diagnostic.column) + ": " +
                    diagnostic.message);
  }
  ASSERT_EQ(found.size(), bad.errors.size())
      << FormatDiagnostics(parsed.diagnostics);
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].substr(0, bad.errors[i].size()), bad.errors[i]);
  }
}

INSTANTIATE_TEST_SUITE_P(All, BadConfigTest, ::testing::ValuesIn(kBadCases));

TEST(ConfigTest, MetricsAtAnAddressAndAPort) {
  for (const auto& [text, address] :
       {std::pair("127.0.0.1:9469", "127.0.0.1"),
        std::pair("[::1]:9469", "::1")}) {
    const ParsedConfig parsed = ParseConfig(
        With("[metrics]\nlisten = \"" + std::string(text) + "\"\n"), "s.toml");
    ASSERT_TRUE(parsed.config) << FormatDiagnostics(parsed.diagnostics);
    EXPECT_FALSE(parsed.config->metrics.is_unix());
    EXPECT_EQ(parsed.config->metrics.address, ParseAddress(address));
    EXPECT_EQ(parsed.config->metrics.port, 9469);
  }
}

TEST(ConfigTest, ThePageAtAnAddressAndAPort) {
  for (const char* where :
       {"listen = \"127.0.0.1:8469\"", "listen = \"[::1]:8469\"",
        "listen = \"127.9.9.9:8469\"",
        "listen = \"192.0.2.1:8469\"\nremote = true"}) {
    const ParsedConfig parsed =
        ParseConfig(With("[web]\n" + std::string(where) + "\n"), "s.toml");
    ASSERT_TRUE(parsed.config) << FormatDiagnostics(parsed.diagnostics);
    EXPECT_FALSE(parsed.config->web.is_unix());
    EXPECT_EQ(parsed.config->web.port, 8469);
  }
}

TEST(ConfigTest, PortsAndWiresMayComeLater) {
  const ParsedConfig none = ParseConfig("", "/etc/s.toml");
  ASSERT_TRUE(none.config) << FormatDiagnostics(none.diagnostics);
  EXPECT_TRUE(none.config->ports.empty());
  EXPECT_EQ(none.config->control.device_mode, 0660);
  const ParsedConfig no_wire = ParseConfig(kPorts, "/etc/s.toml");
  ASSERT_TRUE(no_wire.config) << FormatDiagnostics(no_wire.diagnostics);
  EXPECT_EQ(no_wire.config->ports.size(), 2u);
  EXPECT_TRUE(no_wire.config->wires.empty());
}

TEST(ConfigTest, SocketsOfVirtualMachines) {
  const auto vm = [](const std::string& more) {
    return "[[port]]\nname = \"vm1\"\n" + more;
  };
  const std::string path = "vhost = \"/run/sluice/vm1.sock\"\n";
  const ParsedConfig good = ParseConfig(
      vm(path + "vhost_group = \"kvm\"\nvhost_mode = \"0600\"\nmtu = 9000\n"),
      "s.toml");
  ASSERT_TRUE(good.config) << FormatDiagnostics(good.diagnostics);
  const PortConfig& port = good.config->ports[0];
  EXPECT_TRUE(port.is_vhost());
  EXPECT_FALSE(port.has_ethdev());
  EXPECT_EQ(port.vhost, (VhostConfig{.path = "/run/sluice/vm1.sock",
                                     .client = false,
                                     .group = "kvm",
                                     .mode = 0600}));
  EXPECT_EQ(port.mtu, 9000);
  EXPECT_EQ(good.config->devices(), 0u);
  EXPECT_EQ(good.config->vhosts(), 1u);
  for (const auto& [text, error] :
       std::vector<std::pair<std::string, std::string>>{
           {vm(path + "device = \"net_null0\"\n"),
            "a port with a 'vhost' cannot have 'device'"},
           {vm(path + "queues = 2\n"),
            "a port with a 'vhost' cannot have 'queues'"},
           {vm(path + "parent = \"up\"\nvlan = 5\n"),
            "a port with a 'parent' cannot have 'vhost'"},
           {vm("device = \"net_null0\"\nvhost_client = true\n"),
            "'vhost_client' needs a 'vhost'"},
           {vm("vhost = \"vm1.sock\"\n"), "absolute path"},
           {vm("vhost = \"/" + std::string(107, 'x') + "\"\n"),
            "at most 107 bytes"},
           {vm(path + "vhost_client = true\nvhost_mode = \"0600\"\n"),
            "'vhost_mode' says nothing"},
           {vm(path + "vhost_mode = \"0666\"\n"), "lets every user"},
           {vm(path) + "[[port]]\nname = \"vm2\"\n" + path,
            "port 'vm1' already has socket /run/sluice/vm1.sock"}}) {
    const ParsedConfig parsed = ParseConfig(text, "s.toml");
    EXPECT_FALSE(parsed.config);
    EXPECT_THAT(FormatDiagnostics(parsed.diagnostics), HasSubstr(error));
  }
  std::string many;
  for (size_t i = 0; i <= kMaxVhostPorts; ++i) {
    const std::string number = std::to_string(i);
    many += "[[port]]\nname = \"p" + number + "\"\nvhost = \"/run/" +
            number + "\"\n";
  }
  EXPECT_THAT(FormatDiagnostics(ParseConfig(many, "s.toml").diagnostics),
              HasSubstr("more than 500 [[port]] with a 'vhost'"));
}

TEST(ConfigTest, TooManyPortsAreRefusedAtTheFirstTooMany) {
  std::string text;
  for (size_t i = 0; i <= kMaxDevices; ++i) {
    text += "[[port]]\nname = \"p" + std::to_string(i) +
            "\"\ndevice = \"net_null" + std::to_string(i) + "\"\n";
  }
  const ParsedConfig parsed = ParseConfig(text, "s.toml");
  ASSERT_EQ(parsed.diagnostics.size(), 1u);
  EXPECT_EQ(parsed.diagnostics[0].message, "more than 32 [[port]] with a device");
  EXPECT_EQ(parsed.diagnostics[0].line, 3 * kMaxDevices + 1);
  EXPECT_NE(parsed.diagnostics[0].hint.find("has room for 32 devices"),
            std::string::npos);
}

TEST(ConfigTest, ShowsTheLine) {
  const ParsedConfig parsed = ParseConfig(With("[log]\nlevel = 7\n"), "s.toml");
  EXPECT_THAT(FormatDiagnostics(parsed.diagnostics),
              HasSubstr("s.toml:10:9: 'level' is an integer, not a string\n"));
  EXPECT_THAT(FormatDiagnostics(parsed.diagnostics), HasSubstr("level = 7\n"));
}

class ConfigFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char folder[] = "/tmp/sluice_config_XXXXXX";
    ASSERT_NE(mkdtemp(folder), nullptr);
    folder_ = folder;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path folder_;
};

TEST_F(ConfigFileTest, IsLoaded) {
  const std::string path = folder_ / "sluice.toml";
  std::ofstream(path) << Minimal();
  const ParsedConfig parsed = LoadConfig(path);
  ASSERT_TRUE(parsed.config) << FormatDiagnostics(parsed.diagnostics);
  EXPECT_EQ(parsed.config->policy.ruleset, folder_ / "pf.conf");
}

TEST_F(ConfigFileTest, MissingFile) {
  const ParsedConfig parsed = LoadConfig(folder_ / "none.toml");
  ASSERT_EQ(parsed.diagnostics.size(), 1u);
  EXPECT_THAT(parsed.diagnostics[0].message,
              HasSubstr("No such file or directory"));
}

TEST_F(ConfigFileTest, FolderInsteadOfFile) {
  const ParsedConfig parsed = LoadConfig(folder_);
  ASSERT_EQ(parsed.diagnostics.size(), 1u);
  EXPECT_EQ(parsed.diagnostics[0].message, "cannot be read: Is a directory");
}

TEST_F(ConfigFileTest, TooLargeFile) {
  const std::string path = folder_ / "large.toml";
  std::ofstream(path) << Minimal() << std::string(kMaxConfigBytes, '#');
  const ParsedConfig parsed = LoadConfig(path);
  ASSERT_EQ(parsed.diagnostics.size(), 1u);
  EXPECT_THAT(parsed.diagnostics[0].message, HasSubstr("more than"));
}

}  // namespace
}  // namespace sluice
