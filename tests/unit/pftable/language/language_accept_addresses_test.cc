// Constructs that are accepted, with what both dialects print for them: addresses.
#include <gtest/gtest.h>

#include "tests/unit/pftable/language/language_accept.h"

namespace sluice {
namespace {

constexpr Accepted kAddressesAccepted[] = {
    {"BlockAll",
     "block all",
     "block drop all\n",
     nullptr},
    {"PassAll",
     "pass",
     "pass all flags S/SA\n",
     "pass all flags S/SA keep state\n"},
    {"NoState",
     "pass out no state",
     "pass out all no state\n",
     nullptr},
    {"Full",
     "block drop in log quick on em0 inet proto tcp from any to 10/8 port 22",
     "block drop in log quick on em0 inet proto tcp from any to 10.0.0.0/8 "
     "port = 22\n",
     "block drop in log quick on em0 inet proto tcp from any to 10.0.0.0/8 "
     "port = ssh\n"},
    {"FamiliesSplit",
     "pass out proto tcp to www.example port 80",
     "pass out inet proto tcp from any to 192.0.2.80 port = 80 flags S/SA\n"
     "pass out inet proto tcp from any to 192.0.2.81 port = 80 flags S/SA\n"
     "pass out inet6 proto tcp from any to 2001:db8::80 port = 80 flags "
     "S/SA\n",
     "pass out inet proto tcp from any to 192.0.2.80 port = http flags S/SA "
     "keep state\n"
     "pass out inet proto tcp from any to 192.0.2.81 port = http flags S/SA "
     "keep state\n"
     "pass out inet6 proto tcp from any to 2001:db8::80 port = http flags "
     "S/SA keep state\n"},
    {"MixedFamiliesAreSkipped",
     "block from { 10.0.0.1 2001:db8::1 } to { 10.0.0.2, 2001:db8::2 }",
     "block drop inet from 10.0.0.1 to 10.0.0.2\n"
     "block drop inet6 from 2001:db8::1 to 2001:db8::2\n",
     nullptr},
    {"ListsInOrder",
     "block in on { em0 em1 } proto { tcp udp } to port { 1 2 }",
     "block drop in on em0 proto tcp from any to any port = 1\n"
     "block drop in on em0 proto tcp from any to any port = 2\n"
     "block drop in on em0 proto udp from any to any port = 1\n"
     "block drop in on em0 proto udp from any to any port = 2\n"
     "block drop in on em1 proto tcp from any to any port = 1\n"
     "block drop in on em1 proto tcp from any to any port = 2\n"
     "block drop in on em1 proto udp from any to any port = 1\n"
     "block drop in on em1 proto udp from any to any port = 2\n",
     nullptr},
    {"NestedLists",
     "block to { { 10.0.0.1 10.0.0.2 } 10.0.0.3 }",
     "block drop inet from any to 10.0.0.1\n"
     "block drop inet from any to 10.0.0.2\n"
     "block drop inet from any to 10.0.0.3\n",
     nullptr},
    {"ListOverLines",
     "block from { 10.0.0.1, # one\n"
     "  10.0.0.2 # two\n"
     "  }",
     "block drop inet from 10.0.0.1 to any\n"
     "block drop inet from 10.0.0.2 to any\n",
     nullptr},
    {"Continuation",
     "block in \\\n"
     "  on em0 \\\n"
     "  from 10.0.0.1",
     "block drop in on em0 inet from 10.0.0.1 to any\n",
     nullptr},
    {"FormFeed",
     "block\f"
     "in\v"
     "all",
     "block drop in all\n",
     nullptr},
    {"Crlf",
     "block in all\r\n"
     "pass out all\r\n",
     "block drop in all\n"
     "pass out all flags S/SA\n",
     "block drop in all\n"
     "pass out all flags S/SA keep state\n"},
    {"Macro",
     "if = \"em0\"\n"
     "ports = \"{ 22, 80 }\"\n"
     "block on $if proto tcp to port $ports",
     "if = \"em0\"\n"
     "ports = \"{ 22, 80 }\"\n"
     "block drop on em0 proto tcp from any to any port = 22\n"
     "block drop on em0 proto tcp from any to any port = 80\n",
     "if = \"em0\"\n"
     "ports = \"{ 22, 80 }\"\n"
     "block drop on em0 proto tcp from any to any port = ssh\n"
     "block drop on em0 proto tcp from any to any port = http\n"},
    {"MacroConcatenated",
     "a = \"10.0.0.1\"\n"
     "b = \"10.0.0.2\"\n"
     "both = \"{\" $a $b \"}\"\n"
     "block from $both",
     "a = \"10.0.0.1\"\n"
     "b = \"10.0.0.2\"\n"
     "both = \"{ 10.0.0.1 10.0.0.2 }\"\n"
     "block drop inet from 10.0.0.1 to any\n"
     "block drop inet from 10.0.0.2 to any\n",
     nullptr},
    {"MacroRedefined",
     "a = 10.0.0.1\n"
     "a = 10.0.0.2\n"
     "block from $a",
     "a = \"10.0.0.1\"\n"
     "a = \"10.0.0.2\"\n"
     "block drop inet from 10.0.0.2 to any\n",
     nullptr},
    {"Antispoof",
     "antispoof quick for em0",
     "block drop in quick on ! em0 inet from 10.0.0.0/24 to any\n"
     "block drop in quick on ! em0 inet from 10.0.0.2 to any\n"
     "block drop in quick on ! em0 inet6 from 2001:db8::/64 to any\n"
     "block drop in quick inet from 10.0.0.1 to any\n"
     "block drop in quick inet from 10.0.0.2 to any\n"
     "block drop in quick inet6 from 2001:db8::1 to any\n"
     "block drop in quick on em0 inet6 from fe80::1 to any\n",
     nullptr},
    {"AntispoofLoopback",
     "antispoof for lo0 inet",
     "block drop in on ! lo0 inet from 127.0.0.0/8 to any\n",
     nullptr},
    {"AntispoofDynamic",
     "antispoof for (em0) inet6",
     "block drop in on ! em0 inet6 from (em0:network) to any\n"
     "block drop in inet6 from (em0) to any\n",
     nullptr},
    {"AntispoofLogLabel",
     "antispoof log for em1 label \"spoof\"",
     "block drop in log on ! em1 inet from 192.168.1.0/24 to any label "
     "\"spoof\"\n"
     "block drop in log inet from 192.168.1.1 to any label \"spoof\"\n",
     nullptr},
    {"BlockPolicy",
     "set block-policy return\n"
     "block\n"
     "block drop",
     "set block-policy return\n"
     "block return all\n"
     "block drop all\n",
     nullptr},
    {"Return",
     "block return",
     "block return all\n",
     nullptr},
    {"ReturnRst",
     "block return-rst proto tcp\n"
     "block return-rst(ttl 5) proto tcp",
     "block return-rst proto tcp all\n"
     "block return-rst(ttl 5) proto tcp all\n",
     nullptr},
    {"ReturnIcmp",
     "block return-icmp\n"
     "block return-icmp(host-unr)\n"
     "block return-icmp(3, 2)\n"
     "block return-icmp inet",
     "block return-icmp(port-unr, port-unr) all\n"
     "block return-icmp(host-unr, port-unr) all\n"
     "block return-icmp(port-unr, beyond-unr) all\n"
     "block return-icmp(port-unr) inet all\n",
     "block return-icmp(port-unr, port-unr) all\n"
     "block return-icmp(host-unr, port-unr) all\n"
     "block return-icmp(port-unr, notnbr-unr) all\n"
     "block return-icmp(port-unr) inet all\n"},
    {"ReturnIcmpFamily",
     "block return-icmp(net-unr) inet proto udp\n"
     "block return-icmp6(addr-unr) inet6 proto udp",
     "block return-icmp(net-unr) inet proto udp all\n"
     "block return-icmp6(addr-unr) inet6 proto udp all\n",
     nullptr},
    {"Match",
     "match in all tag X",
     "match in all tag X\n",
     nullptr},
    {"Log",
     "pass log (all)\n"
     "pass log (all, matches, user, to pflog2)\n"
     "block log",
     "pass log (all) all flags S/SA\n"
     "pass log (all, matches, user, to pflog2) all flags S/SA\n"
     "block drop log all\n",
     "pass log (all) all flags S/SA keep state\n"
     "pass log (all, matches, user, to pflog2) all flags S/SA keep state\n"
     "block drop log all\n"},
    {"Direction",
     "pass in\n"
     "pass out",
     "pass in all flags S/SA\n"
     "pass out all flags S/SA\n",
     "pass in all flags S/SA keep state\n"
     "pass out all flags S/SA keep state\n"},
    {"OnNegated",
     "block on ! em0",
     "block drop on ! em0 all\n",
     nullptr},
    {"OnAny",
     "block on any",
     "block drop on any all\n",
     nullptr},
    {"OnGroup",
     "block on egress",
     "block drop on egress all\n",
     nullptr},
    {"OnRdomain",
     "block on rdomain 3\n"
     "block on ! rdomain 4",
     "block drop on rdomain 3 all\n"
     "block drop on ! rdomain 4 all\n",
     nullptr},
    {"ReceivedOn",
     "pass out received-on em0\n"
     "pass out ! received-on em1",
     "pass out all received-on em0 flags S/SA\n"
     "pass out all !received-on em1 flags S/SA\n",
     "pass out all received-on em0 flags S/SA keep state\n"
     "pass out all !received-on em1 flags S/SA keep state\n"},
    {"Families",
     "block inet\n"
     "block inet6",
     "block drop inet all\n"
     "block drop inet6 all\n",
     nullptr},
    {"Protocols",
     "block proto 47\n"
     "block proto gre\n"
     "block proto { icmp, ipv6-icmp }\n"
     "block proto icmp6\n"
     "block proto 253",
     "block drop proto gre all\n"
     "block drop proto gre all\n"
     "block drop proto icmp all\n"
     "block drop proto ipv6-icmp all\n"
     "block drop proto ipv6-icmp all\n"
     "block drop proto 253 all\n",
     nullptr},
    {"ShortAddresses",
     "block from 10/8\n"
     "block from 10.1/16\n"
     "block from 192.168.1/24\n"
     "block from 10.1\n"
     "block from 172.16",
     "block drop inet from 10.0.0.0/8 to any\n"
     "block drop inet from 10.1.0.0/16 to any\n"
     "block drop inet from 192.168.1.0/24 to any\n"
     "block drop inet from 10.1.0.0/16 to any\n"
     "block drop inet from 172.16.0.0/16 to any\n",
     nullptr},
    {"AddressesMasked",
     "block from 10.1.2.3/8\n"
     "block from 2001:db8::5/32",
     "block drop inet from 10.0.0.0/8 to any\n"
     "block drop inet6 from 2001:db8::/32 to any\n",
     nullptr},
    {"AnyNetwork",
     "block from 0.0.0.0/0\n"
     "block from ::/0",
     "block drop inet all\n"
     "block drop inet6 all\n",
     nullptr},
    {"Range",
     "block from 10.0.0.1 - 10.0.0.9\n"
     "block to 10.0.0.1-10.0.0.9\n"
     "block from 2001:db8::1 - 2001:db8::9",
     "block drop inet from 10.0.0.1 - 10.0.0.9 to any\n"
     "block drop inet from any to 10.0.0.1 - 10.0.0.9\n"
     "block drop inet6 from 2001:db8::1 - 2001:db8::9 to any\n",
     nullptr},
    {"Negated",
     "block from ! 10.0.0.1 to !10.0.0.0/8",
     "block drop inet from ! 10.0.0.1 to ! 10.0.0.0/8\n",
     nullptr},
    {"Table",
     "block from <bad> to ! <good>",
     "block drop from <bad> to ! <good>\n",
     nullptr},
    {"NoRoute",
     "block from no-route\n"
     "block from urpf-failed",
     "block drop from no-route to any\n"
     "block drop from urpf-failed to any\n",
     nullptr},
    {"RouteLabel",
     "block from route \"isp\"",
     "block drop from route \"isp\" to any\n",
     nullptr},
    {"Self",
     "block from self",
     "block drop inet from 10.0.0.1 to any\n"
     "block drop inet from 10.0.0.2 to any\n"
     "block drop inet6 from 2001:db8::1 to any\n"
     "block drop on em0 inet6 from fe80::1 to any\n"
     "block drop inet from 192.168.1.1 to any\n"
     "block drop inet from 10.1.0.1 to any\n"
     "block drop inet from 127.0.0.1 to any\n"
     "block drop inet6 from ::1 to any\n",
     nullptr},
    {"SelfDynamic",
     "block from (self)",
     "block drop from (self) to any\n",
     nullptr},
    {"InterfaceAddress",
     "block from em0",
     "block drop inet from 10.0.0.1 to any\n"
     "block drop inet from 10.0.0.2 to any\n"
     "block drop inet6 from 2001:db8::1 to any\n"
     "block drop on em0 inet6 from fe80::1 to any\n",
     nullptr},
    {"InterfaceModifiers",
     "block from em0:network\n"
     "block to em0:broadcast\n"
     "block from ppp0:peer\n"
     "block from em0:0",
     "block drop inet from 10.0.0.0/24 to any\n"
     "block drop inet from 10.0.0.2 to any\n"
     "block drop inet6 from 2001:db8::/64 to any\n"
     "block drop inet from any to 10.0.0.255\n"
     "block drop inet from 10.1.0.2 to any\n"
     "block drop inet from 10.0.0.1 to any\n"
     "block drop inet6 from 2001:db8::1 to any\n",
     nullptr},
    {"InterfaceMask",
     "block from em1/24",
     "block drop inet from 192.168.1.0/24 to any\n",
     nullptr},
    {"GroupAddress",
     "block from em",
     "block drop inet from 10.0.0.1 to any\n"
     "block drop inet from 10.0.0.2 to any\n"
     "block drop inet6 from 2001:db8::1 to any\n"
     "block drop on em0 inet6 from fe80::1 to any\n"
     "block drop inet from 192.168.1.1 to any\n",
     nullptr},
    {"Dynamic",
     "block from (em0)\n"
     "block from (em0:network)\n"
     "block from (em0:broadcast:0)\n"
     "block inet from (em0)/24",
     "block drop from (em0) to any\n"
     "block drop from (em0:network) to any\n"
     "block drop from (em0:broadcast:0) to any\n"
     "block drop inet from (em0)/24 to any\n",
     nullptr},
    {"LinkLocal",
     "block in on em0 from fe80::1%em0\n"
     "block from fe80::2%em0",
     "block drop in on em0 inet6 from fe80::1 to any\n"
     "block drop on em0 inet6 from fe80::2 to any\n",
     nullptr},
    {"HostName",
     "block from localhost\n"
     "block from v4only",
     "block drop inet from 127.0.0.1 to any\n"
     "block drop inet6 from ::1 to any\n"
     "block drop inet from 192.0.2.1 to any\n",
     nullptr},
    {"Ports",
     "pass proto tcp to port 22\n"
     "pass proto tcp to port = 22\n"
     "pass proto tcp to port != 22\n"
     "pass proto tcp to port < 22\n"
     "pass proto tcp to port <= 22\n"
     "pass proto tcp to port > 22\n"
     "pass proto tcp to port >= 22\n"
     "pass proto tcp to port 22:25\n"
     "pass proto tcp to port 22 >< 25\n"
     "pass proto tcp to port 22 <> 25",
     "pass proto tcp from any to any port = 22 flags S/SA\n"
     "pass proto tcp from any to any port = 22 flags S/SA\n"
     "pass proto tcp from any to any port != 22 flags S/SA\n"
     "pass proto tcp from any to any port < 22 flags S/SA\n"
     "pass proto tcp from any to any port <= 22 flags S/SA\n"
     "pass proto tcp from any to any port > 22 flags S/SA\n"
     "pass proto tcp from any to any port >= 22 flags S/SA\n"
     "pass proto tcp from any to any port 22:25 flags S/SA\n"
     "pass proto tcp from any to any port 22 >< 25 flags S/SA\n"
     "pass proto tcp from any to any port 22 <> 25 flags S/SA\n",
     "pass proto tcp from any to any port = ssh flags S/SA keep state\n"
     "pass proto tcp from any to any port = ssh flags S/SA keep state\n"
     "pass proto tcp from any to any port != ssh flags S/SA keep state\n"
     "pass proto tcp from any to any port < 22 flags S/SA keep state\n"
     "pass proto tcp from any to any port <= 22 flags S/SA keep state\n"
     "pass proto tcp from any to any port > 22 flags S/SA keep state\n"
     "pass proto tcp from any to any port >= 22 flags S/SA keep state\n"
     "pass proto tcp from any to any port 22:25 flags S/SA keep state\n"
     "pass proto tcp from any to any port 22 >< 25 flags S/SA keep state\n"
     "pass proto tcp from any to any port 22 <> 25 flags S/SA keep state\n"},
    {"PortNames",
     "pass proto tcp from port ssh to port { http https }\n"
     "pass proto udp to port game\n"
     "pass proto tcp to port 0x50\n"
     "pass proto sctp to port 5060",
     "pass proto tcp from any port = 22 to any port = 80 flags S/SA\n"
     "pass proto tcp from any port = 22 to any port = 443 flags S/SA\n"
     "pass proto udp from any to any port = 27015\n"
     "pass proto tcp from any to any port = 80 flags S/SA\n"
     "pass proto sctp from any to any port = 5060\n",
     "pass proto tcp from any port = ssh to any port = http flags S/SA keep "
     "state\n"
     "pass proto tcp from any port = ssh to any port = https flags S/SA "
     "keep state\n"
     "pass proto udp from any to any port = game keep state\n"
     "pass proto tcp from any to any port = http flags S/SA keep state\n"
     "pass proto sctp from any to any port = sip keep state\n"},
};

INSTANTIATE_TEST_SUITE_P(Addresses, AcceptTest,
                         testing::Combine(testing::ValuesIn(kAddressesAccepted),
                                          testing::ValuesIn(kDialects)),
                         AcceptTestName);

}  // namespace
}  // namespace sluice
