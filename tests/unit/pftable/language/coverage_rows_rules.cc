#include "tests/unit/pftable/language/coverage_rows.h"

namespace sluice {
namespace {

constexpr char kLogged[] = "yes; `user` is printed and adds nothing";
constexpr char kNoRoutes[] = "never holds: on a wire no address has a route";
constexpr char kNoSockets[] = "never holds: no packet has a local socket";

constexpr CoverageRow kActions[] = {
    {"pass", "pass in", "pas in"},
    {"block, block drop", "block in\nblock drop out", "block dorp"},
    {"block return", "block return in", "block return return"},
    {"block return-rst", "block return-rst(ttl 9) proto tcp",
     "block return-rst proto udp"},
    {"block return-icmp, return-icmp6",
     "block return-icmp(host-unr, admin-unr)\n"
     "block return-icmp6(addr-unr) inet6",
     "block return-icmp(nope)"},
    {"match", "match in tag A", "match keep state"},
    {"antispoof",
     "antispoof log quick for em1 inet label spoof\nantispoof for (em0)",
     "antispoof for ! em0"},
    {"scrub rules", "scrub in on em0 all no-df max-mss 1440\nno scrub in",
     "scrub in quick"},
    {"nat rules",
     "no nat on em0 inet from 192.0.2.9 to any\n"
     "nat pass log on em0 inet from 192.0.2.0/24 to any -> (em0)",
     "nat on em0 from any to any"},
    {"rdr rules",
     "no rdr on em0 proto tcp to port 22\n"
     "rdr pass on em0 inet proto tcp to port 80 -> 192.0.2.1 port 8080",
     "no rdr on em0 -> 192.0.2.1"},
    {"binat rules", "binat on em0 inet from 192.0.2.1 to any -> 198.51.100.1",
     "binat on em0 from 192.0.2.0/24 to any -> 198.51.100.0/25"},
    {"nat-anchor, rdr-anchor, binat-anchor",
     "nat-anchor \"n\"\nrdr-anchor \"r/*\"\nbinat-anchor \"b\"",
     "nat-anchor"},
    {"ether pass, ether block", "ether block in quick on em0 proto 0x0806",
     "ether drop in"},
    {"ether anchor",
     "ether anchor \"l2\" {\nether pass out\nether anchor {\nether block\n"
     "}\n}\nether anchor \"other\" out on em0",
     "ether anchor"},
    {"altq and its queues",
     "altq on em0 hfsc bandwidth 10Mb queue { std }\n"
     "queue std bandwidth 90% hfsc(default)",
     "altq on em0 bandwidth 10Mb queue { std }", nullptr, kF},
    {"queue",
     "queue main on em0 bandwidth 10M\n"
     "queue std parent main bandwidth 5M min 1M default",
     "queue std parent none bandwidth 5M", nullptr, kO},
    {"state limiter, source limiter",
     "state limiter \"a\" id 1 limit 9 rate 5/1\n"
     "source limiter \"b\" id 1 entries 9 inet mask 24\n"
     "pass in state limiter a (block)\npass in source limiter b (no-match)",
     "pass in state limiter a (drop)"},
    {"no rule matches: pass", "", "}"},
};

constexpr CoverageRow kConditions[] = {
    {"in, out", "pass in\npass out", "pass in out"},
    {"quick", "block quick", "block quick quick"},
    {"on interface, group, any, !", "pass on em0\npass on ! em1\npass on any",
     "pass on ! any"},
    {"on rdomain", "pass on rdomain 2", "pass on rdomain 256"},
    {"received-on", "pass out received-on em0\npass out ! received-on em1",
     "pass out received-on"},
    {"inet, inet6", "pass inet\npass inet6", "pass inet inet6"},
    {"proto", "pass proto { tcp 89 }", "pass proto tpc"},
    {"from, to: any, address, network, host name",
     "pass from any to 10/8\npass from 2001:db8::/32 to www.example",
     "pass from 10.0.0.0/33"},
    {"range of addresses", "pass from 192.0.2.1 - 192.0.2.9",
     "pass from 192.0.2.9 - 192.0.2.1"},
    {"negated address, table", "pass from ! 192.0.2.1 to ! <t>",
     "pass from ! any"},
    {"table", "table <t> { 192.0.2.1 }\npass from <t>", "pass from <t"},
    {"no-route", "block from no-route", "block from no-rout", kNoRoutes},
    {"urpf-failed", "block from urpf-failed", "block to urpf-failed",
     kNoRoutes},
    {"route label", "pass to route \"peer\"", "pass to route"},
    {"self, (self)", "pass to self\npass to (self)", "pass to self:net"},
    {"interface, (interface)", "pass to em1\npass to (em1)/24",
     "pass to em9:0"},
    {"modifiers :network :broadcast :peer :0",
     "pass from em1:network to em1:broadcast\npass to ppp0:peer\n"
     "pass to em1:0",
     "pass from (em0:network:broadcast)"},
    {"ports",
     "pass proto udp to port { = 53 != 54 < 10 <= 11 > 60000 >= 60001 5:9 5 "
     ">< 9 5 <> 9 }",
     "pass to port 80"},
    {"os", "pass in proto tcp from any os \"OpenBSD\"",
     "pass proto udp from any os x"},
    {"user, group", "pass out proto tcp user root group { wheel, > 9 }",
     "pass user nobodyhere", kNoSockets},
    {"flags", "pass proto tcp flags S/SAFR\npass proto tcp flags any\n"
     "block proto tcp flags /SFRA",
     "pass proto tcp flags S/A"},
    {"icmp-type, icmp6-type, code",
     "pass inet proto icmp icmp-type { echoreq, unreach code needfrag }\n"
     "pass inet6 proto icmp6 icmp6-type echoreq",
     "pass inet proto icmp icmp-type echorq"},
    {"tos", "block tos lowdelay\nblock tos af11\nblock tos 0x20",
     "block tos fast"},
    {"fragment", "block fragment", "block proto udp to port 5 fragment"},
    {"allow-opts", "pass allow-opts", "block allow-opts"},
    {"tagged", "pass tagged A\npass ! tagged B", "pass tagged 5"},
    {"probability", "block probability 20%", "block probability 120%"},
    {"prio", "pass prio 3", "pass prio 8"},
    {"max-pkt-rate", "pass max-pkt-rate 100/10", "pass max-pkt-rate 100"},
    {"max-pkt-size", "pass max-pkt-size 1500", "pass max-pkt-size 65536"},
    {"once", "pass in once", "match in once"},
    {"ether: proto, MAC, l3, tagged, bridge-to",
     "ether pass in on em0 bridge-to em1 proto { 0x0800 } from "
     "00:11:22:33:44:55&ff:ff:ff:00:00:00 to ! 00:11:22:33:44:00/40 l3 from "
     "192.0.2.1 to any tagged A tag B",
     "ether pass from 00:11"},
};

constexpr CoverageRow kParameters[] = {
    {"log", "block log (all, matches, user, to pflog1)",
     "block log (to em0)", kLogged},
    {"label, ridentifier", "pass label a ridentifier 77",
     "pass ridentifier 4294967296"},
    {"tag", "pass in tag A", "pass in tag"},
    {"set prio", "pass set prio (2, 5)", "pass set prio 9"},
    {"set tos", "pass set tos ef", "pass set tos 256"},
    {"set queue, queue",
     "pass set queue (std, pri)",
     "pass set queue (std, )"},
    {"set delay", "pass set delay 100", "pass set delay 65536"},
    {"dnpipe, dnqueue", "pass in dnpipe (1, 2)\npass in dnqueue 3",
     "pass in dnpipe 65536"},
    {"rtable", "pass in rtable 2", "pass in rtable 256"},
    {"divert-to, divert-packet",
     "pass in proto tcp divert-to 127.0.0.1 port 700\n"
     "pass in divert-packet port 700",
     "pass in divert-to 127.0.0.1 port 0"},
    {"divert-reply (OpenBSD)", "pass out divert-reply", "pass in divert-reply",
     nullptr, Only::kOpenBsd},
    {"scrub (no-df)", "match scrub (no-df)", "match scrub (no-df no-df)"},
    {"scrub (min-ttl)", "match scrub (min-ttl 9)", "match scrub (min-ttl 256)"},
    {"scrub (max-mss)", "match scrub (max-mss 1440)",
     "match scrub (max-mss 65536)"},
    {"scrub (random-id)", "match scrub (random-id)", "match scrub (random)"},
    {"scrub (reassemble tcp)", "match scrub (reassemble tcp)",
     "match scrub (reassemble udp)"},
    {"set-tos", "scrub in all set-tos ef\nmatch scrub (set-tos 0x10)",
     "match scrub (set-tos fast)"},
    {"fragment reassemble, no reassemble",
     "scrub in all fragment reassemble\nscrub out all fragment no reassemble",
     "scrub in all fragment keep"},
    {"route-to, reply-to, dup-to",
     "pass in inet route-to 192.0.2.1\npass in inet reply-to 192.0.2.1\n"
     "pass out inet dup-to 192.0.2.1\n"
     "pass in on em0 route-to (em1 192.0.2.2) inet",
     "block in route-to 192.0.2.1"},
};

constexpr CoverageSection kRulesSections[] = {
    {"Rule actions", kActions},
    {"Rule conditions", kConditions},
    {"Rule parameters that act", kParameters},
};

}  // namespace

std::span<const CoverageSection> CoverageRules() { return kRulesSections; }

}  // namespace sluice
