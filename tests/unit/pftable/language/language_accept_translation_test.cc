// Constructs that are accepted, with what both dialects print for them: translation.
#include <gtest/gtest.h>

#include "tests/unit/pftable/language/language_accept.h"

namespace sluice {
namespace {

constexpr Accepted kTranslationAccepted[] = {
    {"NatTo",
     "match out on em0 inet from 192.168.1.0/24 nat-to (em0)\n"
     "pass out nat-to 10.0.0.1\n"
     "pass out inet nat-to 10.0.0.1 port 1024:2000\n"
     "pass out nat-to 10.0.0.1 static-port\n"
     "pass out nat-to 10.0.0.1 port 50001:65535",
     "match out on em0 inet from 192.168.1.0/24 to any nat-to (em0) "
     "round-robin\n"
     "pass out inet all flags S/SA nat-to 10.0.0.1\n"
     "pass out inet all flags S/SA nat-to 10.0.0.1 port 1024:2000\n"
     "pass out inet all flags S/SA nat-to 10.0.0.1 static-port\n"
     "pass out inet all flags S/SA nat-to 10.0.0.1\n",
     "match out on em0 inet from 192.168.1.0/24 to any nat-to (em0) "
     "round-robin\n"
     "pass out inet all flags S/SA keep state nat-to 10.0.0.1\n"
     "pass out inet all flags S/SA keep state nat-to 10.0.0.1 port "
     "1024:2000\n"
     "pass out inet all flags S/SA keep state nat-to 10.0.0.1 static-port\n"
     "pass out inet all flags S/SA keep state nat-to 10.0.0.1\n"},
    {"RdrTo",
     "pass in proto tcp to port 80 rdr-to 192.168.1.2\n"
     "pass in proto tcp to port 80 rdr-to 192.168.1.2 port 8080\n"
     "pass in proto tcp to port 80:90 rdr-to 192.168.1.2 port 8080:*\n"
     "pass in proto tcp to port 80 rdr-to 192.168.1.2 port 1:9",
     "pass in inet proto tcp from any to any port = 80 flags S/SA rdr-to "
     "192.168.1.2\n"
     "pass in inet proto tcp from any to any port = 80 flags S/SA rdr-to "
     "192.168.1.2 port 8080\n"
     "pass in inet proto tcp from any to any port 80:90 flags S/SA rdr-to "
     "192.168.1.2 port 8080:8090\n"
     "pass in inet proto tcp from any to any port = 80 flags S/SA rdr-to "
     "192.168.1.2 port 1:9\n",
     "pass in inet proto tcp from any to any port = http flags S/SA keep "
     "state rdr-to 192.168.1.2\n"
     "pass in inet proto tcp from any to any port = http flags S/SA keep "
     "state rdr-to 192.168.1.2 port 8080\n"
     "pass in inet proto tcp from any to any port 80:90 flags S/SA keep "
     "state rdr-to 192.168.1.2 port 8080:8090\n"
     "pass in inet proto tcp from any to any port = http flags S/SA keep "
     "state rdr-to 192.168.1.2 port 1:9\n"},
    {"NatAndRdr",
     "pass in inet proto tcp to port 80 rdr-to 192.168.1.2 nat-to 192.168.1.1",
     "pass in inet proto tcp from any to any port = 80 flags S/SA nat-to "
     "192.168.1.1 rdr-to 192.168.1.2\n",
     "pass in inet proto tcp from any to any port = http flags S/SA keep "
     "state nat-to 192.168.1.1 rdr-to 192.168.1.2\n"},
    {"BinatTo",
     "pass on em0 inet from 192.168.1.5 to any binat-to 10.0.0.5\n"
     "match on em0 from 192.168.2.0/24 to any binat-to 10.9.0.0/24",
     "pass out on em0 inet from 192.168.1.5 to any flags S/SA nat-to "
     "10.0.0.5 static-port\n"
     "pass in on em0 inet from any to 10.0.0.5 flags S/SA rdr-to "
     "192.168.1.5\n"
     "match out on em0 inet from 192.168.2.0/24 to any nat-to 10.9.0.0/24 "
     "static-port\n"
     "match in on em0 inet from any to 10.9.0.0/24 rdr-to 192.168.2.0/24\n",
     "pass out on em0 inet from 192.168.1.5 to any flags S/SA keep state "
     "nat-to 10.0.0.5 static-port\n"
     "pass in on em0 inet from any to 10.0.0.5 flags S/SA keep state rdr-to "
     "192.168.1.5\n"
     "match out on em0 inet from 192.168.2.0/24 to any nat-to 10.9.0.0/24 "
     "static-port\n"
     "match in on em0 inet from any to 10.9.0.0/24 rdr-to 192.168.2.0/24\n"},
    {"AfTo",
     "pass in inet6 from any to 64:ff9b::/96 af-to inet from 192.0.2.1\n"
     "pass in inet af-to inet6 from 2001:db8::1 to 2001:db8:1::/96",
     "pass in inet6 from any to 64:ff9b::/96 flags S/SA af-to inet from "
     "192.0.2.1\n"
     "pass in inet all flags S/SA af-to inet6 from 2001:db8::1 to "
     "2001:db8:1::/96\n",
     "pass in inet6 from any to 64:ff9b::/96 flags S/SA keep state af-to "
     "inet from 192.0.2.1\n"
     "pass in inet all flags S/SA keep state af-to inet6 from 2001:db8::1 "
     "to 2001:db8:1::/96\n"},
    {"Pools",
     "pass out inet nat-to { 10.0.0.1, 10.0.0.2 }\n"
     "pass out inet nat-to <pool> sticky-address\n"
     "pass out nat-to 10.0.0.0/24 bitmask\n"
     "pass out nat-to 10.0.0.0/24 random\n"
     "pass out inet nat-to { 10.0.0.1 10.0.0.2 } source-hash\n"
     "pass out nat-to 10.0.0.0/24 source-hash "
     "0x0123456789ABCDEF0123456789abcdef\n"
     "pass out nat-to 10.0.0.0/24 source-hash \"abc\"",
     "table <__automatic_0> const { 10.0.0.1 10.0.0.2 }\n"
     "table <__automatic_1> const { 10.0.0.1 10.0.0.2 }\n"
     "pass out inet all flags S/SA nat-to <__automatic_0> round-robin\n"
     "pass out inet all flags S/SA nat-to <pool> round-robin sticky-address\n"
     "pass out inet all flags S/SA nat-to 10.0.0.0/24 bitmask\n"
     "pass out inet all flags S/SA nat-to 10.0.0.0/24 random\n"
     "pass out inet all flags S/SA nat-to <__automatic_1> source-hash\n"
     "pass out inet all flags S/SA nat-to 10.0.0.0/24 source-hash "
     "0x0123456789abcdef0123456789abcdef\n"
     "pass out inet all flags S/SA nat-to 10.0.0.0/24 source-hash "
     "0x900150983cd24fb0d6963f7d28e17f72\n",
     "pass out inet all flags S/SA keep state nat-to { 10.0.0.1, 10.0.0.2 } "
     "round-robin\n"
     "pass out inet all flags S/SA keep state nat-to <pool> round-robin "
     "sticky-address\n"
     "pass out inet all flags S/SA keep state nat-to 10.0.0.0/24 bitmask\n"
     "pass out inet all flags S/SA keep state nat-to 10.0.0.0/24 random\n"
     "pass out inet all flags S/SA keep state nat-to { 10.0.0.1, 10.0.0.2 } "
     "source-hash\n"
     "pass out inet all flags S/SA keep state nat-to 10.0.0.0/24 "
     "source-hash 0x0123456789abcdef0123456789abcdef\n"
     "pass out inet all flags S/SA keep state nat-to 10.0.0.0/24 "
     "source-hash 0x900150983cd24fb0d6963f7d28e17f72\n"},
    {"PoolsFreeBsd",
     "pass out inet nat-to 10.0.0.1 map-e-portset 6/8/0x34\n"
     "pass out nat-to 10.0.0.1 endpoint-independent",
     "pass out inet all flags S/SA nat-to 10.0.0.1 map-e-portset 6/8/52\n"
     "pass out inet all flags S/SA nat-to 10.0.0.1 endpoint-independent\n",
     "pass out inet all flags S/SA keep state nat-to 10.0.0.1 map-e-portset "
     "6/8/52\n"
     "pass out inet all flags S/SA keep state nat-to 10.0.0.1 "
     "endpoint-independent\n"},
    // Sluice's own.
    {"PoolBlocks",
     "match out inet from 10.0.0.0/28 nat-to 192.0.2.1 port-block 512\n"
     "match out inet6 from 2001:db8::/120 nat-to 2001:db9::/124 port "
     "1024:65535 port-block 0x3f0",
     "match out inet from 10.0.0.0/28 to any nat-to 192.0.2.1 port-block "
     "512\n"
     "match out inet6 from 2001:db8::/120 to any nat-to 2001:db9::/124 port "
     "1024:65535 port-block 1008\n",
     "match out inet from 10.0.0.0/28 to any nat-to 192.0.2.1 port-block "
     "512\n"
     "match out inet6 from 2001:db8::/120 to any nat-to 2001:db9::/124 port "
     "1024:65535 port-block 1008\n"},
    {"PoolFamilies",
     "pass in inet rdr-to localhost\n"
     "pass in inet6 rdr-to localhost",
     "pass in inet all flags S/SA rdr-to 127.0.0.1\n"
     "pass in inet6 all flags S/SA rdr-to ::1\n",
     "pass in inet all flags S/SA keep state rdr-to 127.0.0.1\n"
     "pass in inet6 all flags S/SA keep state rdr-to ::1\n"},
    {"Route",
     "pass in route-to 10.0.0.254\n"
     "pass in inet reply-to 10.0.0.254\n"
     "pass out dup-to 2001:db8::9\n"
     "pass in inet route-to { 10.0.0.1 10.0.0.2 } round-robin sticky-address",
     "table <__automatic_0> const { 10.0.0.1 10.0.0.2 }\n"
     "pass in inet all flags S/SA route-to 10.0.0.254\n"
     "pass in inet all flags S/SA reply-to 10.0.0.254\n"
     "pass out inet6 all flags S/SA dup-to 2001:db8::9\n"
     "pass in inet all flags S/SA route-to <__automatic_0> round-robin "
     "sticky-address\n",
     "pass in route-to 10.0.0.254 inet all flags S/SA keep state\n"
     "pass in reply-to 10.0.0.254 inet all flags S/SA keep state\n"
     "pass out dup-to 2001:db8::9 inet6 all flags S/SA keep state\n"
     "pass in route-to { 10.0.0.1, 10.0.0.2 } round-robin sticky-address "
     "inet all flags S/SA keep state\n"},
    {"RouteFreeBsd",
     "pass in on em0 route-to (em1 10.0.0.254) inet from any to any\n"
     "pass in on em0 route-to { (em1 10.0.0.254), (em0 10.0.0.253) } "
     "round-robin inet",
     "pass in on em0 inet all flags S/SA route-to (em1 10.0.0.254)\n"
     "pass in on em0 inet all flags S/SA route-to { (em1 10.0.0.254), (em0 "
     "10.0.0.253) } round-robin\n",
     "pass in on em0 route-to (em1 10.0.0.254) inet all flags S/SA keep "
     "state\n"
     "pass in on em0 route-to { (em1 10.0.0.254), (em0 10.0.0.253) } "
     "round-robin inet all flags S/SA keep state\n"},
    {"Anchor",
     "anchor \"a\"\n"
     "anchor \"a/b\"\n"
     "anchor \"x/*\"\n"
     "anchor in quick on em0 inet proto tcp from any to port 80 tagged Y {\n"
     "  pass\n"
     "}",
     "anchor \"a\" all\n"
     "anchor \"a/b\" all\n"
     "anchor \"x/*\" all\n"
     "anchor in quick on em0 inet proto tcp from any to any port = 80 "
     "tagged Y {\n"
     "  pass all flags S/SA\n"
     "}\n",
     "anchor \"a\" all\n"
     "anchor \"a/b\" all\n"
     "anchor \"x/*\" all\n"
     "anchor in quick on em0 inet proto tcp from any to any port = http "
     "tagged Y {\n"
     "  pass all flags S/SA keep state\n"
     "}\n"},
    {"AnchorNamedBody",
     "anchor \"web\" in on em0 {\n"
     "  block\n"
     "  anchor \"inner\" { pass }\n"
     "}\n"
     "pass",
     "anchor \"web\" in on em0 all {\n"
     "  block drop all\n"
     "  anchor \"inner\" all {\n"
     "    pass all flags S/SA\n"
     "  }\n"
     "}\n"
     "pass all flags S/SA\n",
     "anchor \"web\" in on em0 all {\n"
     "  block drop all\n"
     "  anchor \"inner\" all {\n"
     "    pass all flags S/SA keep state\n"
     "  }\n"
     "}\n"
     "pass all flags S/SA keep state\n"},
    {"AnchorUnnamedNested",
     "anchor {\n"
     " anchor {\n"
     "  pass in\n"
     " }\n"
     "}",
     "anchor all {\n"
     "  anchor all {\n"
     "    pass in all flags S/SA\n"
     "  }\n"
     "}\n",
     "anchor all {\n"
     "  anchor all {\n"
     "    pass in all flags S/SA keep state\n"
     "  }\n"
     "}\n"},
    {"AnchorAbsolute",
     "anchor \"a\" {\n"
     " anchor \"/b\"\n"
     " anchor \"../c\"\n"
     "}",
     "anchor \"a\" all {\n"
     "  anchor \"/b\" all\n"
     "  anchor \"../c\" all\n"
     "}\n",
     nullptr},
    {"AnchorTable",
     "anchor \"a\" {\n"
     " table <t> { 10.0.0.1 }\n"
     " block from <t>\n"
     "}",
     "anchor \"a\" all {\n"
     "  table <t> { 10.0.0.1 }\n"
     "  block drop from <t> to any\n"
     "}\n",
     nullptr},
    {"TableInline",
     "table <a> { 10.0.0.1, 10/8 !10.1.0.0/16 2001:db8::/32 }\n"
     "table <b> persist\n"
     "table <c> const persist counters { }\n"
     "table <d> { self em1:network v4only }",
     "table <a> { 10.0.0.1 10.0.0.0/8 !10.1.0.0/16 2001:db8::/32 }\n"
     "table <b> persist\n"
     "table <c> const persist counters { }\n"
     "table <d> { 10.0.0.1 10.0.0.2 2001:db8::1 fe80::1 192.168.1.1 "
     "10.1.0.1 127.0.0.1 ::1 192.168.1.0/24 192.0.2.1 }\n",
     nullptr},
    {"TableWeight",
     "table <w> { 10.0.0.1 weight 3, 10.0.0.2 }",
     "table <w> { 10.0.0.1 10.0.0.2 }\n",
     nullptr},
    {"Options",
     "set block-policy drop\n"
     "set skip on { lo0 em }\n"
     "set skip on lo\n"
     "set timeout tcp.first 10\n"
     "set timeout { udp.first 5, icmp.error 6 frag 3 }\n"
     "set limit states 500\n"
     "set limit { frags 10, src-nodes 20 }\n"
     "set optimization aggressive\n"
     "set ruleset-optimization none\n"
     "set hostid 0x10\n"
     "set loginterface em0\n"
     "set loginterface none\n"
     "set state-policy floating\n"
     "set reassemble yes no-df\n"
     "set fingerprints \"/etc/pf.os\"\n"
     "set syncookies adaptive (start 29%, end 15%)\n"
     "set syncookies never",
     "set block-policy drop\n"
     "set skip on { lo0 em }\n"
     "set skip on { lo }\n"
     "set timeout tcp.first 10\n"
     "set timeout udp.first 5\n"
     "set timeout icmp.error 6\n"
     "set timeout frag 3\n"
     "set limit states 500\n"
     "set limit frags 10\n"
     "set limit src-nodes 20\n"
     "set optimization aggressive\n"
     "set hostid 0x00000010\n"
     "set loginterface em0\n"
     "set loginterface none\n"
     "set state-policy floating\n"
     "set reassemble yes no-df\n"
     "set fingerprints \"/etc/pf.os\"\n"
     "set syncookies adaptive (start 29%, end 15%)\n"
     "set syncookies never\n",
     nullptr},
    {"OptionsFreeBsd",
     "set require-order no\n"
     "set fail-policy return\n"
     "set keepcounters",
     "set require-order no\n"
     "set fail-policy return\n",
     nullptr},
    {"ScrubRule",
     "scrub on em0 all no-df random-id min-ttl 5 max-mss 1440 set-tos "
     "lowdelay reassemble tcp\n"
     "scrub out fragment no reassemble\n"
     "no scrub from 10.0.0.1",
     "scrub on em0 all no-df random-id min-ttl 5 max-mss 1440 set-tos "
     "0x10 reassemble tcp fragment reassemble\n"
     "scrub out all fragment no reassemble\n"
     "no scrub inet from 10.0.0.1 to any\n",
     nullptr},
    {"NatRules",
     "nat on em0 inet from 192.168.1.0/24 to any -> (em0)\n"
     "nat pass log on em0 proto tcp from 192.168.1.1 to any port 80 -> "
     "10.0.0.1 static-port\n"
     "no nat on em0 from 10.0.0.1 to any",
     "nat on em0 inet from 192.168.1.0/24 to any -> (em0) round-robin\n"
     "nat pass log on em0 inet proto tcp from 192.168.1.1 to any port = 80 "
     "-> 10.0.0.1 static-port\n"
     "no nat on em0 inet from 10.0.0.1 to any\n",
     "nat on em0 inet from 192.168.1.0/24 to any -> (em0) round-robin\n"
     "nat pass log on em0 inet proto tcp from 192.168.1.1 to any port = "
     "http -> 10.0.0.1 static-port\n"
     "no nat on em0 inet from 10.0.0.1 to any\n"},
    {"RdrRules",
     "rdr on em0 inet proto tcp from any to any port 80 -> 192.168.1.2 port "
     "8080\n"
     "rdr pass on em0 proto udp to port 1:9 -> 192.168.1.2 port 1:*\n"
     "no rdr on em0 proto tcp from 10.0.0.9",
     "rdr on em0 inet proto tcp from any to any port = 80 -> 192.168.1.2 "
     "port 8080\n"
     "rdr pass on em0 inet proto udp from any to any port 1:9 -> "
     "192.168.1.2 port 1:9\n"
     "no rdr on em0 inet proto tcp from 10.0.0.9 to any\n",
     "rdr on em0 inet proto tcp from any to any port = http -> 192.168.1.2 "
     "port 8080\n"
     "rdr pass on em0 inet proto udp from any to any port 1:9 -> "
     "192.168.1.2 port 1:9\n"
     "no rdr on em0 inet proto tcp from 10.0.0.9 to any\n"},
    {"BinatRules",
     "binat on em0 from 192.168.1.2 to any -> 10.0.0.9\n"
     "no binat on em0 from 192.168.1.3 to any",
     "binat on em0 inet from 192.168.1.2 to any -> 10.0.0.9\n"
     "no binat on em0 inet from 192.168.1.3 to any\n",
     nullptr},
    {"TranslationAnchors",
     "nat-anchor \"n/*\"\n"
     "rdr-anchor \"r\" on em0\n"
     "binat-anchor \"b\"",
     "nat-anchor \"n/*\" all\n"
     "rdr-anchor \"r\" on em0 all\n"
     "binat-anchor \"b\" all\n",
     nullptr},
    {"Ether",
     "ether block in on em0 proto 0x88cc\n"
     "ether pass out quick from 00:11:22:33:44:55 to "
     "ff:ff:ff:ff:ff:ff&01:00:00:00:00:00\n"
     "ether pass from 00:11:22:00:00:00/24 l3 from 10.0.0.1 to any tag T\n"
     "ether pass on em0 bridge-to em1",
     "ether block in on em0 proto 0x88cc l3 all\n"
     "ether pass out quick from 00:11:22:33:44:55 to "
     "ff:ff:ff:ff:ff:ff/1 l3 all\n"
     "ether pass proto 0x0800 from 00:11:22:00:00:00/24 l3 from 10.0.0.1 to "
     "any tag T\n"
     "ether pass on em0 bridge-to em1 l3 all\n",
     nullptr},
    {"Quoting",
     "block label 'single \"quoted\"'\n"
     "block label \"a\\\"b\"",
     "block drop all label \"single \\\"quoted\\\"\"\n"
     "block drop all label \"a\\\"b\"\n",
     nullptr},
};

INSTANTIATE_TEST_SUITE_P(Translation, AcceptTest,
                         testing::Combine(testing::ValuesIn(kTranslationAccepted),
                                          testing::ValuesIn(kDialects)),
                         AcceptTestName);

}  // namespace
}  // namespace sluice
