// pf's grammar case by case in both dialects.
// Translation and routes: targets, their families, methods and ports.
#include "tests/unit/pftable/language/language_contrast.h"

namespace sluice {
namespace {

constexpr Contrast kGrammarTranslation[] = {
    {"RouteNoState",
     "pass in route-to 10.0.0.9 no state",
     "1:18: route-to, reply-to and dup-to require keep state\n",
     "pass in route-to 10.0.0.9 inet all no state\n"},
    {"RouteOfFreeBsd",
     "pass in route-to (em0 10.0.0.9) inet no state",
     "1:18: route-to, reply-to and dup-to require keep state\n",
     "pass in route-to (em0 10.0.0.9) inet all no state\n"},
    {"DupToWithoutDirection",
     "pass dup-to 10.0.0.9",
     "pass inet all flags S/SA dup-to 10.0.0.9\n",
     "1:13: direction must be explicit with rules that specify routing\n"},
    {"RouteDynamic",
     "pass in inet route-to (em0)",
     "1:23: route spec requires :peer with dynamic interface addresses\n",
     "pass in route-to (em0) round-robin inet all flags S/SA keep state\n"},
    {"RoutePeer",
     "pass in inet route-to (em0:peer)",
     "pass in inet all flags S/SA route-to (em0:peer) round-robin\n",
     "pass in route-to (em0:peer) round-robin inet all flags S/SA "
     "keep state\n"},
    {"TableInAPool",
     "pass out inet nat-to { 192.0.2.1, <t> }",
     "pass out inet all flags S/SA nat-to { 192.0.2.1, <t> } round-robin\n",
     "pass out inet all flags S/SA keep state nat-to { 192.0.2.1, "
     "<t> } round-robin\n"},
    {"DynamicInAPool",
     "pass out inet nat-to { 192.0.2.1, (em1) }",
     "pass out inet all flags S/SA nat-to { 192.0.2.1, (em1) } "
     "round-robin\n",
     "pass out inet all flags S/SA keep state nat-to { 192.0.2.1, "
     "(em1) } round-robin\n"},
    {"TwoTablesInAPool",
     "pass out inet nat-to { 192.0.2.1, <t>, <u> }",
     "1:22: multiple tables or dynamic interfaces not supported "
     "for translation or routing\n",
     "pass out inet all flags S/SA keep state nat-to { 192.0.2.1, "
     "<t>, <u> } round-robin\n"},
    {"TableFirstInAPool",
     "pass out inet nat-to { <t>, 192.0.2.1 }",
     "1:22: only addresses can be listed for redirection pools\n",
     "pass out inet all flags S/SA keep state nat-to { <t>, "
     "192.0.2.1 } round-robin\n"},
    {"TablesInATarget",
     "nat on em0 inet -> { <t>, (em1), 192.0.2.1 }",
     "1:20: only addresses can be listed for redirection pools\n",
     "nat on em0 inet all -> { <t>, (em1), 192.0.2.1 } round-robin\n"},
    {"StickyOneAddress",
     "pass out inet nat-to 192.0.2.1 sticky-address",
     "pass out inet all flags S/SA nat-to 192.0.2.1 sticky-address\n",
     "pass out inet all flags S/SA keep state nat-to 192.0.2.1 "
     "sticky-address\n"},
    {"StaticPortOfRdr",
     "pass in inet proto tcp rdr-to 192.0.2.1 static-port",
     "1:31: the 'static-port' option is only valid with nat rules\n",
     "1:31: the 'static-port' option is only valid with nat rules\n"},
    {"StaticPortOfARoute",
     "pass in route-to 192.0.2.1 static-port",
     "1:18: the 'static-port' option is only valid with nat rules\n",
     "1:18: the 'static-port' option is only valid with nat rules\n"},
    {"MapEOfRdr",
     "rdr on em0 inet -> 192.0.2.1 map-e-portset 6/8/52",
     "1:20: the 'map-e-portset' option is only valid with nat rules\n",
     "1:20: the 'map-e-portset' option is only valid with nat rules\n"},
    {"RouteOfAnotherFamily",
     "pass in route-to (em0 2001:db8::9) inet6 to 64:ff9b::/96 "
     "af-to inet from 192.0.2.1",
     "1:74: af-to cannot be combined with route-to or reply-to\n",
     "pass in route-to (em0 2001:db8::9) inet6 from any to "
     "64:ff9b::/96 flags S/SA keep state af-to inet from 192.0.2.1\n"},
    {"RouteToIpv4WithAfTo",
     "pass in inet6 to 64:ff9b::/96 af-to inet from 192.0.2.1 "
     "route-to 10.0.0.9",
     "1:47: af-to cannot be combined with route-to or reply-to\n",
     "pass in route-to 10.0.0.9 inet6 from any to 64:ff9b::/96 "
     "flags S/SA keep state af-to inet from 192.0.2.1\n"},
    {"NextHopOfIpv6",
     "pass in route-to { (em0 2001:db8::9) } prefer-ipv6-nexthop inet",
     "pass in inet all flags S/SA route-to (em0 2001:db8::9) "
     "prefer-ipv6-nexthop\n",
     "pass in route-to (em0 2001:db8::9) prefer-ipv6-nexthop inet "
     "all flags S/SA keep state\n"},
    {"BinatToInterface",
     "pass inet from 10.5.0.5 binat-to em1",
     "pass out inet from 10.5.0.5 to any flags S/SA nat-to "
     "192.168.1.1 static-port\n"
     "pass in inet from any to 192.168.1.1 flags S/SA rdr-to 10.5.0.5\n",
     "pass out inet from 10.5.0.5 to any flags S/SA keep state "
     "nat-to 192.168.1.1 static-port\n"
     "pass in inet from any to 192.168.1.1 flags S/SA keep state "
     "rdr-to 10.5.0.5\n"},
    {"BinatToInterfaceOfSeveral",
     "pass inet from 10.5.0.5 binat-to em0",
     "1:34: binat-to wants one target address\n",
     "1:34: binat-to wants one target address\n"},
    {"BinatFromAny",
     "binat on em0 from any to 192.0.2.0/24 -> 198.51.100.0/24",
     "binat on em0 inet from any to 192.0.2.0/24 -> 198.51.100.0/24\n",
     "binat on em0 inet from any to 192.0.2.0/24 -> 198.51.100.0/24\n"},
    {"BinatToSeveralSources",
     "pass on em0 inet from { 10.5.0.5 10.5.0.6 } binat-to 192.0.2.1",
     "pass out on em0 inet from 10.5.0.5 to any flags S/SA nat-to "
     "192.0.2.1 static-port\n"
     "pass in on em0 inet from any to 192.0.2.1 flags S/SA rdr-to "
     "10.5.0.5\n"
     "pass out on em0 inet from 10.5.0.6 to any flags S/SA nat-to "
     "192.0.2.1 static-port\n"
     "pass in on em0 inet from any to 192.0.2.1 flags S/SA rdr-to "
     "10.5.0.6\n",
     "pass out on em0 inet from 10.5.0.5 to any flags S/SA keep "
     "state nat-to 192.0.2.1 static-port\n"
     "pass in on em0 inet from any to 192.0.2.1 flags S/SA keep "
     "state rdr-to 10.5.0.5\n"
     "pass out on em0 inet from 10.5.0.6 to any flags S/SA keep "
     "state nat-to 192.0.2.1 static-port\n"
     "pass in on em0 inet from any to 192.0.2.1 flags S/SA keep "
     "state rdr-to 10.5.0.6\n"},
    {"BinatToNegated",
     "pass on em0 inet from ! 10.5.0.5 binat-to 192.0.2.1",
     "pass out on em0 inet from ! 10.5.0.5 to any flags S/SA "
     "nat-to 192.0.2.1 static-port\n"
     "pass in on em0 inet from any to 192.0.2.1 flags S/SA rdr-to "
     "10.5.0.5\n",
     "pass out on em0 inet from ! 10.5.0.5 to any flags S/SA keep "
     "state nat-to 192.0.2.1 static-port\n"
     "pass in on em0 inet from any to 192.0.2.1 flags S/SA keep "
     "state rdr-to 10.5.0.5\n"},
    {"BinatToDynamic",
     "pass on em0 inet from (em1) binat-to 192.0.2.1",
     "1:38: dynamic interfaces must be used with :0 in a binat-to rule\n",
     "1:38: dynamic interfaces must be used with :0 in a binat-to rule\n"},
    {"BinatToDynamicTarget",
     "pass on em0 inet from 10.5.0.5 binat-to (em1)",
     "1:41: dynamic interfaces must be used with :0 in a binat-to rule\n",
     "1:41: dynamic interfaces must be used with :0 in a binat-to rule\n"},
    {"BinatToDynamicOfOne",
     "pass on em0 inet from (em1:0) binat-to (em0:0)",
     "pass out on em0 inet from (em1:0) to any flags S/SA nat-to "
     "(em0:0) static-port\n"
     "pass in on em0 inet from any to (em0:0) flags S/SA rdr-to (em1:0)\n",
     "pass out on em0 inet from (em1:0) to any flags S/SA keep "
     "state nat-to (em0:0) static-port\n"
     "pass in on em0 inet from any to (em0:0) flags S/SA keep "
     "state rdr-to (em1:0)\n"},
    {"BinatToNoRoute",
     "pass on em0 inet from no-route binat-to 192.0.2.1",
     "1:41: binat-to requires a specified source and redirect address\n",
     "1:41: binat-to requires a specified source and redirect address\n"},
    {"BinatToOfAny",
     "pass on em0 inet from any binat-to 192.0.2.1",
     "1:36: source and redir addresses must have a matching "
     "network mask in a binat-to rule\n",
     "1:36: source and redir addresses must have a matching "
     "network mask in a binat-to rule\n"},
    {"BinatToProtocols",
     "pass on em0 inet proto { tcp udp } from 10.5.0.5 binat-to 192.0.2.1",
     "pass out on em0 inet proto tcp from 10.5.0.5 to any flags "
     "S/SA nat-to 192.0.2.1 static-port\n"
     "pass in on em0 inet proto tcp from any to 192.0.2.1 flags "
     "S/SA rdr-to 10.5.0.5\n"
     "pass in on em0 inet proto udp from any to 192.0.2.1 rdr-to "
     "10.5.0.5\n"
     "pass out on em0 inet proto udp from 10.5.0.5 to any nat-to "
     "192.0.2.1 static-port\n"
     "pass in on em0 inet proto udp from any to 192.0.2.1 rdr-to "
     "10.5.0.5\n",
     "pass out on em0 inet proto tcp from 10.5.0.5 to any flags "
     "S/SA keep state nat-to 192.0.2.1 static-port\n"
     "pass in on em0 inet proto tcp from any to 192.0.2.1 flags "
     "S/SA keep state rdr-to 10.5.0.5\n"
     "pass in on em0 inet proto udp from any to 192.0.2.1 keep "
     "state rdr-to 10.5.0.5\n"
     "pass out on em0 inet proto udp from 10.5.0.5 to any keep "
     "state nat-to 192.0.2.1 static-port\n"
     "pass in on em0 inet proto udp from any to 192.0.2.1 keep "
     "state rdr-to 10.5.0.5\n"},
    {"BinatDynamic",
     "binat on em0 inet from 10.5.0.5 to any -> (em0)",
     "1:43: invalid use of interface (em0) as the redirect address "
     "of a binat rule\n",
     "1:43: invalid use of interface (em0) as the redirect address "
     "of a binat rule\n"},
    {"BinatDynamicOfOne",
     "binat on em0 inet from (em1:0) to any -> (em0:0)",
     "binat on em0 inet from (em1:0) to any -> (em0:0)\n",
     "binat on em0 inet from (em1:0) to any -> (em0:0)\n"},
    {"BinatWithoutFamily",
     "binat on em0 from any to any -> (em0:0)",
     "1:33: address family (inet/inet6) undefined\n",
     "1:33: address family (inet/inet6) undefined\n"},
    {"BinatSeveral",
     "binat on em0 from { 10.5.0.5 10.5.0.6 } to any -> 192.0.2.1",
     "1:51: multiple binat ip addresses\n",
     "1:51: multiple binat ip addresses\n"},
    {"TargetPortsOfARange",
     "pass in inet proto tcp to port 3000:3004 rdr-to 192.0.2.1 port 700:*",
     "pass in inet proto tcp from any to any port 3000:3004 flags "
     "S/SA rdr-to 192.0.2.1 port 700:704\n",
     "pass in inet proto tcp from any to any port 3000:3004 flags "
     "S/SA keep state rdr-to 192.0.2.1 port 700:704\n"},
    {"TargetPortsOfTwo",
     "pass in inet proto tcp to port { 3000:3004 80 } rdr-to "
     "192.0.2.1 port 700:*",
     "pass in inet proto tcp from any to any port 3000:3004 flags "
     "S/SA rdr-to 192.0.2.1 port 700:704\n"
     "pass in inet proto tcp from any to any port = 80 flags S/SA "
     "rdr-to 192.0.2.1 port 700\n",
     "pass in inet proto tcp from any to any port 3000:3004 flags "
     "S/SA keep state rdr-to 192.0.2.1 port 700:704\n"
     "pass in inet proto tcp from any to any port = http flags "
     "S/SA keep state rdr-to 192.0.2.1 port 700\n"},
    {"TargetPortsOfARdrRule",
     "rdr on em0 inet proto tcp to port 3000:3004 -> 192.0.2.1 port 700:*",
     "rdr on em0 inet proto tcp from any to any port 3000:3004 -> "
     "192.0.2.1 port 700:704\n",
     "rdr on em0 inet proto tcp from any to any port 3000:3004 -> "
     "192.0.2.1 port 700:704\n"},
    {"TargetPortsAboveAll",
     "pass in inet proto tcp to port 1:600 rdr-to 192.0.2.1 port 65000:*",
     "1:45: the target's ports end above 65535\n",
     "1:45: the target's ports end above 65535\n"},
    {"NatPortsBackward",
     "pass out inet nat-to 192.0.2.1 port 40000:30000",
     "pass out inet all flags S/SA nat-to 192.0.2.1 port 40000:30000\n",
     "pass out inet all flags S/SA keep state nat-to 192.0.2.1 "
     "port 40000:30000\n"},
    {"NatPortStar",
     "pass out inet nat-to 192.0.2.1 port 5:*",
     "pass out inet all flags S/SA nat-to 192.0.2.1 port 5\n",
     "pass out inet all flags S/SA keep state nat-to 192.0.2.1 port 5\n"},
    {"PortRangeOfOne",
     "block proto tcp to port 80:80",
     "block drop proto tcp from any to any port = 80\n",
     "block drop proto tcp from any to any port = http\n"},
    {"MethodOfOneDynamic",
     "pass out inet nat-to (em0:0)\n"
     "pass out inet nat-to (em:0)",
     "pass out inet all flags S/SA nat-to (em0:0)\n"
     "pass out inet all flags S/SA nat-to (em:0) round-robin\n",
     "pass out inet all flags S/SA keep state nat-to (em0:0)\n"
     "pass out inet all flags S/SA keep state nat-to (em:0) round-robin\n"},
    {"MethodOfBinatTo",
     "match on em0 inet from 10.5.0.0/28 binat-to 192.0.2.0/28",
     "match out on em0 inet from 10.5.0.0/28 to any nat-to "
     "192.0.2.0/28 static-port\n"
     "match in on em0 inet from any to 192.0.2.0/28 rdr-to 10.5.0.0/28\n",
     "match out on em0 inet from 10.5.0.0/28 to any nat-to "
     "192.0.2.0/28 static-port\n"
     "match in on em0 inet from any to 192.0.2.0/28 rdr-to 10.5.0.0/28\n"},
    {"NatFamilies",
     "nat on em0 from { 10.0.0.1 2001:db8::5 } to any -> em0",
     "nat on em0 inet from 10.0.0.1 to any -> { 10.0.0.1, 10.0.0.2 "
     "} round-robin\n",
     "nat on em0 inet from 10.0.0.1 to any -> { 10.0.0.1, 10.0.0.2 "
     "} round-robin\n"},
    {"NatToFamilies",
     "pass out nat-to { 192.0.2.1 2001:db8::5 }",
     "1:17: translation spec contains addresses with different "
     "address families\n",
     "pass out all flags S/SA keep state nat-to { 192.0.2.1, "
     "2001:db8::5 } round-robin\n"},
};
INSTANTIATE_TEST_SUITE_P(GrammarTranslation, ContrastTest,
                         testing::ValuesIn(kGrammarTranslation), ContrastName);

}  // namespace
}  // namespace sluice
