// pf's grammar case by case in both dialects.
// Options, queues, tables, antispoof, the order in which lists are expanded,
// state options and ether rules.
#include "tests/unit/pftable/language/language_contrast.h"

namespace sluice {
namespace {

constexpr Contrast kGrammarOptions[] = {
    {"QueueOnSeveralInterfaces",
     "queue q on { em0 em1 } bandwidth 10M default",
     "queue q on em0 bandwidth 10M default\n"
     "queue q on em1 bandwidth 10M default\n",
     "1:38: syntax error: 'default' where an option of the queue "
     "is wanted\n"},
    {"QueueInTwoParents",
     "queue a on em0 bandwidth 9M\n"
     "queue b on em1 bandwidth 9M\n"
     "queue c parent a bandwidth 1M default\n"
     "queue c parent b bandwidth 1M default\n"
     "pass set queue c",
     "queue a on em0 bandwidth 9M\n"
     "queue c parent a bandwidth 1M default\n"
     "queue b on em1 bandwidth 9M\n"
     "queue c parent b bandwidth 1M default\n"
     "pass all flags S/SA set (queue c)\n",
     "1:7: queue a has no parent\n"
     "2:7: queue b has no parent\n"
     "3:9: syntax error: 'parent' is not an option of an ALTQ queue\n"
     "4:9: syntax error: 'parent' is not an option of an ALTQ queue\n"},
    {"QueueTwiceInAParent",
     "queue a on em0 bandwidth 9M\n"
     "queue c parent a bandwidth 1M\n"
     "queue c parent a bandwidth 1M",
     "3:7: queue c is defined twice\n",
     "1:7: queue a has no parent\n"
     "2:9: syntax error: 'parent' is not an option of an ALTQ queue\n"
     "3:9: syntax error: 'parent' is not an option of an ALTQ queue\n"},
    {"AltqOnSeveralInterfaces",
     "altq on { em0 em1 } priq bandwidth 10Mb queue { a }\n"
     "queue a on em0 priq(default)\n"
     "queue a on em1 priq(default)",
     "2:16: syntax error: 'priq' is not an option of a queue\n"
     "3:16: syntax error: 'priq' is not an option of a queue\n",
     "altq on em0 priq bandwidth 10Mb tbrsize 6000 queue { a }\n"
     "altq on em1 priq bandwidth 10Mb tbrsize 6000 queue { a }\n"
     "queue a on em0 priq( default ) \n"
     "queue a on em1 priq( default ) \n"},
    {"AltqSchedulers",
     "altq on em0 priq bandwidth 10Mb queue { a b c d }\n"
     "queue a cbq\n"
     "queue b bandwidth 1Mb\n"
     "queue c { e }\n"
     "queue d priority 16\n"
     "queue e",
     "2:9: syntax error: 'cbq' is not an option of a queue\n"
     "3:7: queue b has neither a parent nor an interface\n"
     "4:9: syntax error: '{' is not an option of a queue\n"
     "5:9: syntax error: 'priority' is not an option of a queue\n"
     "6:7: queue e has no bandwidth\n",
     "2:7: exactly one scheduler type per interface allowed\n"
     "3:7: priq doesn't take bandwidth\n"
     "4:7: priq queues cannot have child queues\n"
     "5:7: priority out of range: max 15\n"
     "6:7: queue e has no parent\n"},
    {"AltqPriorities",
     "altq on em0 priq bandwidth 10Mb queue { a b }\n"
     "queue a priority 2\n"
     "queue b priority 2\n"
     "altq on em1 cbq bandwidth 10Mb queue { c }\n"
     "queue c priority 8 { c }",
     "2:9: syntax error: 'priority' is not an option of a queue\n"
     "3:9: syntax error: 'priority' is not an option of a queue\n"
     "5:9: syntax error: 'priority' is not an option of a queue\n",
     "3:7: b does not have a unique priority on interface em0\n"
     "5:7: priority out of range: max 7\n"},
    // Among the options and tables, in front of all rules.
    {"AltqAmongStatements",
     "set skip on lo0\n"
     "table <a> persist\n"
     "altq on em0 priq bandwidth 10Mb queue { q }\n"
     "queue q priq(default)\n"
     "table <b> persist\n"
     "nat on em0 inet -> 192.0.2.1",
     "4:9: syntax error: 'priq' is not an option of a queue\n",
     "set skip on { lo0 }\n"
     "table <a> persist\n"
     "altq on em0 priq bandwidth 10Mb tbrsize 6000 queue { q }\n"
     "queue q priq( default ) \n"
     "table <b> persist\n"
     "nat on em0 inet all -> 192.0.2.1\n"},
    {"AltqBehindNat",
     "nat on em0 inet -> 192.0.2.1\n"
     "altq on em0 priq bandwidth 10Mb queue { q }",
     "altq on em0 priq bandwidth 10Mb tbrsize 6000 queue { q }\n"
     "nat on em0 inet all -> 192.0.2.1\n",
     "2:1: rules must be in order: options, ethernet, normalization, "
     "queueing, translation, filtering\n"},
    {"OptionBehindAltq",
     "altq on em0 priq bandwidth 10Mb queue { q }\n"
     "set limit states 9",
     "set limit states 9\n"
     "altq on em0 priq bandwidth 10Mb tbrsize 6000 queue { q }\n",
     "2:1: rules must be in order: options, ethernet, normalization, "
     "queueing, translation, filtering\n"},
    {"AltqBehindScrub",
     "table <a> persist\n"
     "scrub in\n"
     "altq on em0 priq bandwidth 10Mb queue { q }\n"
     "queue q priq(default)\n"
     "table <b> persist\n"
     "nat on em0 inet -> 192.0.2.1",
     "4:9: syntax error: 'priq' is not an option of a queue\n",
     "table <a> persist\n"
     "altq on em0 priq bandwidth 10Mb tbrsize 6000 queue { q }\n"
     "queue q priq( default ) \n"
     "table <b> persist\n"
     "scrub in all fragment reassemble\n"
     "nat on em0 inet all -> 192.0.2.1\n"},
    {"AltqQueueTwice",
     "altq on em0 priq bandwidth 10Mb queue { a }\n"
     "queue a priq(default)\n"
     "queue a on em0 priq(default)",
     "2:9: syntax error: 'priq' is not an option of a queue\n"
     "3:16: syntax error: 'priq' is not an option of a queue\n",
     "3:7: queue a is defined twice\n"},
    {"SkipAnywhere",
     "block\n"
     "set skip on em0",
     "set skip on { em0 }\n"
     "block drop all\n",
     "set skip on { em0 }\n"
     "block drop all\n"},
    {"StateDefaultsTwice",
     "set state-defaults no-sync\n"
     "set state-defaults no-sync",
     "2:5: cannot redefine state-defaults\n",
     "2:5: cannot redefine state-defaults\n"},
    {"SkipNone",
     "set skip on em0\n"
     "set skip on none",
     "set skip on { em0 }\n"
     "set skip on none\n",
     "set skip on { em0 }\n"
     "set skip on none\n"},
    {"SyncookiesDefaults",
     "set syncookies adaptive",
     "set syncookies adaptive\n",
     "set syncookies adaptive (start 25%, end 12%)\n"},
    {"SyncookiesStartAlone",
     "set syncookies adaptive (start 30%)\nset syncookies adaptive",
     "set syncookies adaptive (start 30%, end 15%)\n"
     "set syncookies adaptive (start 30%, end 15%)\n",
     "set syncookies adaptive (start 30%, end 15%)\n"
     "set syncookies adaptive (start 30%, end 15%)\n"},
    {"NamesHaveNoCase",
     "set timeout { TCP.First 5 frag 010 }\nset limit Frags 7\n"
     "set optimization Aggressive",
     "set timeout TCP.First 5\nset timeout frag 10\nset limit Frags 7\n"
     "set optimization Aggressive\n",
     "set timeout TCP.First 5\nset timeout frag 10\nset limit Frags 7\n"
     "set optimization Aggressive\n"},
    {"NumbersAreDecimal",
     "m = 010\npass proto tcp to port 010\npass proto tcp to port \"010\"",
     "m = \"10\"\npass proto tcp from any to any port = 10 flags S/SA\n"
     "pass proto tcp from any to any port = 8 flags S/SA\n",
     "m = \"10\"\n"
     "pass proto tcp from any to any port = 10 flags S/SA keep state\n"
     "pass proto tcp from any to any port = 8 flags S/SA keep state\n"},
    {"SyncookiesWatermarksOfNone",
     "set syncookies never (start 20%, end 10%)",
     "1:22: syncookies start/end only apply to adaptive\n",
     "1:22: syncookies start/end only apply to adaptive\n"},
    {"TimeoutAfterRules",
     "block\n"
     "set timeout tcp.first 5",
     "set timeout tcp.first 5\n"
     "block drop all\n",
     "2:1: rules must be in order: options, ethernet, "
     "normalization, queueing, translation, filtering\n"},
    {"LimitAfterRules",
     "block\n"
     "set limit states 5",
     "set limit states 5\n"
     "block drop all\n",
     "2:1: rules must be in order: options, ethernet, "
     "normalization, queueing, translation, filtering\n"},
    {"MatchAllowOpts",
     "match proto icmp allow-opts",
     "1:1: allow-opts can only be specified for pass rules\n",
     "match proto icmp all allow-opts\n"},
    {"BlockAllowOpts",
     "block allow-opts",
     "1:1: allow-opts can only be specified for pass rules\n",
     "1:1: allow-opts can only be specified for pass rules\n"},
    {"AntispoofWithoutInterface",
     "antispoof for em9",
     "warning 1:15: no interface or group is named 'em9': "
     "antispoof makes no rule of it\n",
     "warning 1:15: no interface or group is named 'em9': "
     "antispoof makes no rule of it\n"},
    {"AntispoofOfTheNext",
     "antispoof for { em9 em1 }",
     "warning 1:17: no interface or group is named 'em9': "
     "antispoof makes no rule of it\n"
     "block drop in on ! em1 inet from 192.168.1.0/24 to any\n"
     "block drop in inet from 192.168.1.1 to any\n",
     "warning 1:17: no interface or group is named 'em9': "
     "antispoof makes no rule of it\n"
     "block drop in on ! em1 inet from 192.168.1.0/24 to any\n"
     "block drop in inet from 192.168.1.1 to any\n"},
    {"AntispoofOtherFamily",
     "antispoof for em1 inet6",
     "1:1: rule expands to no valid combination\n",
     "1:1: rule expands to no valid combination\n"},
    {"Fastroute",
     "pass in on em0 fastroute inet",
     "1:16: syntax error: 'fastroute' is not an option of a rule\n",
     "pass in on em0 inet all flags S/SA keep state\n"},
    {"OrderOfPortsAndHosts",
     "block proto tcp from 10.1.0.0/16 port { 1024:4999, 5000 } to "
     "{ 192.0.2.1 192.0.2.2 }",
     "block drop inet proto tcp from 10.1.0.0/16 port 1024:4999 to "
     "192.0.2.1\n"
     "block drop inet proto tcp from 10.1.0.0/16 port = 5000 to "
     "192.0.2.1\n"
     "block drop inet proto tcp from 10.1.0.0/16 port 1024:4999 to "
     "192.0.2.2\n"
     "block drop inet proto tcp from 10.1.0.0/16 port = 5000 to "
     "192.0.2.2\n",
     "block drop inet proto tcp from 10.1.0.0/16 port 1024:4999 to "
     "192.0.2.1\n"
     "block drop inet proto tcp from 10.1.0.0/16 port = 5000 to "
     "192.0.2.1\n"
     "block drop inet proto tcp from 10.1.0.0/16 port 1024:4999 to "
     "192.0.2.2\n"
     "block drop inet proto tcp from 10.1.0.0/16 port = 5000 to "
     "192.0.2.2\n"},
    {"OrderOfAll",
     "block on { em0 em1 } proto { tcp udp } from any port { 1 2 }",
     "block drop on em0 proto tcp from any port = 1 to any\n"
     "block drop on em0 proto tcp from any port = 2 to any\n"
     "block drop on em0 proto udp from any port = 1 to any\n"
     "block drop on em0 proto udp from any port = 2 to any\n"
     "block drop on em1 proto tcp from any port = 1 to any\n"
     "block drop on em1 proto tcp from any port = 2 to any\n"
     "block drop on em1 proto udp from any port = 1 to any\n"
     "block drop on em1 proto udp from any port = 2 to any\n",
     "block drop on em0 proto tcp from any port = 1 to any\n"
     "block drop on em0 proto tcp from any port = 2 to any\n"
     "block drop on em0 proto udp from any port = 1 to any\n"
     "block drop on em0 proto udp from any port = 2 to any\n"
     "block drop on em1 proto tcp from any port = 1 to any\n"
     "block drop on em1 proto tcp from any port = 2 to any\n"
     "block drop on em1 proto udp from any port = 1 to any\n"
     "block drop on em1 proto udp from any port = 2 to any\n"},
    {"OrderOfNumbers",
     "block proto tcp from { 10.0.0.1 10.0.0.2 } port { 1 2 } to { "
     "10.0.0.3 10.0.0.4 } label \"$nr\"",
     "block drop inet proto tcp from 10.0.0.1 port = 1 to 10.0.0.3 "
     "label \"0\"\n"
     "block drop inet proto tcp from 10.0.0.1 port = 2 to 10.0.0.3 "
     "label \"1\"\n"
     "block drop inet proto tcp from 10.0.0.1 port = 1 to 10.0.0.4 "
     "label \"2\"\n"
     "block drop inet proto tcp from 10.0.0.1 port = 2 to 10.0.0.4 "
     "label \"3\"\n"
     "block drop inet proto tcp from 10.0.0.2 port = 1 to 10.0.0.3 "
     "label \"4\"\n"
     "block drop inet proto tcp from 10.0.0.2 port = 2 to 10.0.0.3 "
     "label \"5\"\n"
     "block drop inet proto tcp from 10.0.0.2 port = 1 to 10.0.0.4 "
     "label \"6\"\n"
     "block drop inet proto tcp from 10.0.0.2 port = 2 to 10.0.0.4 "
     "label \"7\"\n",
     "block drop inet proto tcp from 10.0.0.1 port = 1 to 10.0.0.3 "
     "label \"0\"\n"
     "block drop inet proto tcp from 10.0.0.1 port = 2 to 10.0.0.3 "
     "label \"1\"\n"
     "block drop inet proto tcp from 10.0.0.1 port = 1 to 10.0.0.4 "
     "label \"2\"\n"
     "block drop inet proto tcp from 10.0.0.1 port = 2 to 10.0.0.4 "
     "label \"3\"\n"
     "block drop inet proto tcp from 10.0.0.2 port = 1 to 10.0.0.3 "
     "label \"4\"\n"
     "block drop inet proto tcp from 10.0.0.2 port = 2 to 10.0.0.3 "
     "label \"5\"\n"
     "block drop inet proto tcp from 10.0.0.2 port = 1 to 10.0.0.4 "
     "label \"6\"\n"
     "block drop inet proto tcp from 10.0.0.2 port = 2 to 10.0.0.4 "
     "label \"7\"\n"},
    {"UsersAgain",
     "pass out proto tcp user root user { joe 5 } group wheel group 7",
     "pass out proto tcp all user = 1000 group = 7 flags S/SA\n"
     "pass out proto tcp all user = 1000 group = 0 flags S/SA\n"
     "pass out proto tcp all user = 5 group = 7 flags S/SA\n"
     "pass out proto tcp all user = 5 group = 0 flags S/SA\n"
     "pass out proto tcp all user = 0 group = 7 flags S/SA\n"
     "pass out proto tcp all user = 0 group = 0 flags S/SA\n",
     "pass out proto tcp all user = 1000 group = 7 flags S/SA keep state\n"
     "pass out proto tcp all user = 1000 group = 0 flags S/SA keep state\n"
     "pass out proto tcp all user = 5 group = 7 flags S/SA keep state\n"
     "pass out proto tcp all user = 5 group = 0 flags S/SA keep state\n"
     "pass out proto tcp all user = 0 group = 7 flags S/SA keep state\n"
     "pass out proto tcp all user = 0 group = 0 flags S/SA keep state\n"},
    {"IcmpTypeAgain",
     "pass inet proto icmp icmp-type echoreq icmp-type echorep",
     "1:40: 'icmp-type' is given twice\n",
     "1:40: 'icmp-type' is given twice\n"},
    {"ModulateOfSeveral",
     "pass in proto { tcp udp } modulate state",
     "pass in proto tcp all flags S/SA modulate state\n"
     "pass in proto udp all\n",
     "pass in proto tcp all flags S/SA modulate state\n"
     "pass in proto udp all keep state\n"},
    {"SynproxyOfSeveral",
     "pass in proto { tcp icmp } synproxy state",
     "pass in proto tcp all flags S/SA synproxy state\n"
     "pass in proto icmp all\n",
     "pass in proto tcp all flags S/SA synproxy state\n"
     "pass in proto icmp all keep state\n"},
    {"ModulateOfAny",
     "pass in modulate state",
     "pass in all flags S/SA modulate state\n",
     "pass in all flags S/SA modulate state\n"},
    {"AdaptiveOfMax",
     "pass keep state (max 100)",
     "pass all flags S/SA keep state (max 100, adaptive.start 60, "
     "adaptive.end 120)\n",
     "pass all flags S/SA keep state (max 100, adaptive.start 60, "
     "adaptive.end 120)\n"},
    {"AdaptiveOfASmallMax",
     "pass keep state (max 9)",
     "pass all flags S/SA keep state (max 9)\n",
     "pass all flags S/SA keep state (max 9)\n"},
    {"AdaptiveGiven",
     "pass keep state (max 100, adaptive.start 10, adaptive.end 20)",
     "pass all flags S/SA keep state (max 100, adaptive.start 10, "
     "adaptive.end 20)\n",
     "pass all flags S/SA keep state (max 100, adaptive.start 10, "
     "adaptive.end 20)\n"},
    {"AdaptiveOfDefaults",
     "set state-defaults max 50\n"
     "pass",
     "pass all flags S/SA keep state (max 50, adaptive.start 30, "
     "adaptive.end 60)\n",
     "pass all flags S/SA keep state (max 50, adaptive.start 30, "
     "adaptive.end 60)\n"},
    {"BareSourceTrack",
     "pass keep state (source-track, max-src-nodes 5)",
     "pass all flags S/SA keep state (source-track rule, "
     "max-src-nodes 5)\n",
     "pass all flags S/SA keep state (source-track rule, "
     "max-src-nodes 5)\n"},
    {"BareSourceTrackAlone",
     "pass keep state (source-track)",
     "pass all flags S/SA keep state (source-track global)\n",
     "pass all flags S/SA keep state (source-track global)\n"},
    {"BareSourceTrackConn",
     "pass proto tcp keep state (source-track, max-src-conn 5)",
     "pass proto tcp all flags S/SA keep state (source-track rule, "
     "max-src-conn 5)\n",
     "pass proto tcp all flags S/SA keep state (source-track rule, "
     "max-src-conn 5)\n"},
    {"GlobalSourceTrack",
     "pass keep state (source-track global, max-src-nodes 5)",
     "1:18: 'max-src-nodes' is incompatible with 'source-track global'\n",
     "1:18: 'max-src-nodes' is incompatible with 'source-track global'\n"},
    {"TimeoutOfNothing",
     "pass keep state (tcp.first 0)",
     "pass all flags S/SA\n",
     "pass all flags S/SA keep state\n"},
    {"OrderOfTimeouts",
     "pass keep state (tcp.tsdiff 5, src.track 6, udp.first 7, "
     "sctp.first 8)",
     "pass all flags S/SA keep state (udp.first 7, src.track 6, "
     "tcp.tsdiff 5, sctp.first 8)\n",
     "pass all flags S/SA keep state (udp.first 7, src.track 6, "
     "tcp.tsdiff 5, sctp.first 8)\n"},
    {"TableLists",
     "table <t> { 10.0.0.1 } { 10.0.0.2 10.0.0.1 }",
     "table <t> { 10.0.0.1 10.0.0.2 10.0.0.1 }\n",
     "table <t> { 10.0.0.1 10.0.0.2 10.0.0.1 }\n"},
    {"TableListsAndFiles",
     "table <t> { 10.0.0.1 } { 10.0.0.1 10.0.0.2 } { }",
     "table <t> { 10.0.0.1 10.0.0.1 10.0.0.2 }\n",
     "table <t> { 10.0.0.1 10.0.0.1 10.0.0.2 }\n"},
    {"TableWeights",
     "table <t> { 10.0.0.1 weight 3 }",
     "table <t> { 10.0.0.1 }\n",
     "table <t> { 10.0.0.1 }\n"},
    {"EtherWithoutAddresses",
     "ether pass in quick on em0",
     "ether pass in quick on em0 l3 all\n",
     "ether pass in quick on em0 l3 all\n"},
    {"EtherMacs",
     "ether block from 00:11:22:33:44:55/44 to ! "
     "aa:bb:cc:dd:ee:ff&ff:ff:ff:f0:00:00",
     "ether block from 00:11:22:33:44:55/44 to ! "
     "aa:bb:cc:dd:ee:ff&ff:ff:ff:f0:00:00 l3 all\n",
     "ether block from 00:11:22:33:44:55/44 to ! "
     "aa:bb:cc:dd:ee:ff&ff:ff:ff:f0:00:00 l3 all\n"},
    {"EtherLayer3",
     "ether pass l3 from 10.0.0.1 to <t>",
     "ether pass proto 0x0800 l3 from 10.0.0.1 to <t>\n",
     "ether pass proto 0x0800 l3 from 10.0.0.1 to <t>\n"},
    {"EtherLayer3Dynamic",
     "ether pass l3 from (em0)",
     "1:12: from must be an address or table\n",
     "1:12: from must be an address or table\n"},
    {"SilentOptions",
     "set ruleset-optimization none\n"
     "set keepcounters\n"
     "set state-defaults no-sync\n"
     "pass",
     "pass all flags S/SA keep state (no-sync)\n",
     "pass all flags S/SA keep state (no-sync)\n"},
    {"PortLabels",
     "block proto tcp from port 5 to port 1:9 label \"$srcport-$dstport\"",
     "block drop proto tcp from any port = 5 to any port 1:9 label "
     "\"5-\"\n",
     "block drop proto tcp from any port = 5 to any port 1:9 label "
     "\"5-\"\n"},
    {"AddressLabels",
     "block inet from (em0:network) to 10.0.0.1 - 10.0.0.9 label "
     "\"$srcaddr $dstaddr\"",
     "block drop inet from (em0:network) to 10.0.0.1 - 10.0.0.9 "
     "label \"(em0) ?\"\n",
     "block drop inet from (em0:network) to 10.0.0.1 - 10.0.0.9 "
     "label \"(em0) ?\"\n"},
    {"ScrubOptionsOfIpv6",
     "match in inet6 scrub (no-df)",
     "1:1: address family inet6 does not support scrub options "
     "no-df, random-id\n",
     "match in inet6 all scrub( no-df)\n"},
    {"ReassembleTcpDirection",
     "scrub in reassemble tcp",
     "1:1: reassemble tcp rules can not specify direction\n",
     "1:1: reassemble tcp rules can not specify direction\n"},
    {"TagAgain",
     "pass tag A tag B",
     "pass all flags S/SA tag B\n",
     "pass all flags S/SA keep state tag B\n"},
};
INSTANTIATE_TEST_SUITE_P(GrammarOptions, ContrastTest,
                         testing::ValuesIn(kGrammarOptions), ContrastName);

}  // namespace
}  // namespace sluice
