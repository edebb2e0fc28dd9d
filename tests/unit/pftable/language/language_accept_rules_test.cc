// Constructs that are accepted, with what both dialects print for them: rules.
#include <gtest/gtest.h>

#include "tests/unit/pftable/language/language_accept.h"

namespace sluice {
namespace {

constexpr Accepted kRulesAccepted[] = {
    {"Os",
     "pass in proto tcp from any os \"OpenBSD\"",
     "pass in proto tcp from any os \"OpenBSD\" to any flags S/SA\n",
     "pass in proto tcp from any os \"OpenBSD\" to any flags S/SA keep "
     "state\n"},
    {"ProbabilityBeforeTheBracketsOfAState",
     "pass probability 50% keep state (max 5)\n"
     "pass keep state probability 50% (sloppy)\n"
     "pass proto tcp modulate state (no-sync) probability 20%",
     "pass all flags S/SA keep state probability 50% (max 5)\n"
     "pass all flags S/SA keep state probability 50% (sloppy)\n"
     "pass proto tcp all flags S/SA modulate state probability 20% (no-sync)\n",
     "pass all flags S/SA keep state probability 50% (max 5)\n"
     "pass all flags S/SA keep state probability 50% (sloppy)\n"
     "pass proto tcp all flags S/SA modulate state probability 20% "
     "(no-sync)\n"},
    {"TagsOfSeveralWords",
     "source limiter b id 1 entries 5\n"
     "pass tag one \"and two\" label x\n"
     "pass tagged \"in two\"\npass tag a source limiter b tag \"c  d\"",
     "source limiter \"b\" id 1 entries 5\n"
     "pass all flags S/SA label \"x\" tag one and two\n"
     "pass all flags S/SA tagged \"in two\"\n"
     "pass all flags S/SA source limiter \"b\" (no-match) tag \"c  d\"\n",
     "source limiter \"b\" id 1 entries 5\n"
     "pass all flags S/SA keep state label \"x\" tag one and two\n"
     "pass all flags S/SA keep state tagged \"in two\"\n"
     "pass all flags S/SA keep state source limiter \"b\" (no-match) tag "
     "\"c  d\"\n"},
    {"Users",
     "pass out proto tcp user root\n"
     "pass out proto tcp user { joe, > 1000 }\n"
     "pass out proto tcp user 1 >< 5 group wheel\n"
     "pass in proto tcp user != unknown",
     "pass out proto tcp all user = 0 flags S/SA\n"
     "pass out proto tcp all user = 1000 flags S/SA\n"
     "pass out proto tcp all user > 1000 flags S/SA\n"
     "pass out proto tcp all user 1 >< 5 group = 0 flags S/SA\n"
     "pass in proto tcp all user != unknown flags S/SA\n",
     "pass out proto tcp all user = 0 flags S/SA keep state\n"
     "pass out proto tcp all user = 1000 flags S/SA keep state\n"
     "pass out proto tcp all user > 1000 flags S/SA keep state\n"
     "pass out proto tcp all user 1 >< 5 group = 0 flags S/SA keep state\n"
     "pass in proto tcp all user != unknown flags S/SA keep state\n"},
    {"Flags",
     "pass proto tcp flags S/SAFR\n"
     "pass proto tcp flags /SFRA\n"
     "pass proto tcp flags any\n"
     "pass flags any",
     "pass proto tcp all flags S/FSRA\n"
     "pass proto tcp all flags /FSRA\n"
     "pass proto tcp all flags any\n"
     "pass all flags any\n",
     "pass proto tcp all flags S/FSRA keep state\n"
     "pass proto tcp all flags /FSRA keep state\n"
     "pass proto tcp all flags any keep state\n"
     "pass all flags any keep state\n"},
    {"FlagsDefaultOnlyTcp",
     "pass proto { tcp udp }",
     "pass proto tcp all flags S/SA\n"
     "pass proto udp all\n",
     "pass proto tcp all flags S/SA keep state\n"
     "pass proto udp all keep state\n"},
    {"IcmpTypes",
     "pass inet proto icmp icmp-type echoreq\n"
     "pass inet proto icmp icmp-type { unreach code needfrag, 11, 3 code 7 "
     "}\n"
     "pass inet6 proto icmp6 icmp6-type { echoreq neighbrsol toobig }\n"
     "pass inet6 proto icmp6 icmp6-type unreach code 2",
     "pass inet proto icmp all icmp-type echoreq\n"
     "pass inet proto icmp all icmp-type unreach code needfrag\n"
     "pass inet proto icmp all icmp-type timex\n"
     "pass inet proto icmp all icmp-type unreach code host-unk\n"
     "pass inet6 proto ipv6-icmp all icmp6-type echoreq\n"
     "pass inet6 proto ipv6-icmp all icmp6-type neighbrsol\n"
     "pass inet6 proto ipv6-icmp all icmp6-type toobig\n"
     "pass inet6 proto ipv6-icmp all icmp6-type unreach code beyond-unr\n",
     "pass inet proto icmp all icmp-type echoreq keep state\n"
     "pass inet proto icmp all icmp-type unreach code needfrag keep state\n"
     "pass inet proto icmp all icmp-type timex keep state\n"
     "pass inet proto icmp all icmp-type unreach code host-unk keep state\n"
     "pass inet6 proto ipv6-icmp all icmp6-type echoreq keep state\n"
     "pass inet6 proto ipv6-icmp all icmp6-type neighbrsol keep state\n"
     "pass inet6 proto ipv6-icmp all icmp6-type toobig keep state\n"
     "pass inet6 proto ipv6-icmp all icmp6-type unreach code notnbr-unr "
     "keep state\n"},
    {"Tos",
     "block tos lowdelay\n"
     "block tos 0x20\n"
     "block tos 16\n"
     "block tos AF11\n"
     "block tos ef",
     "block drop all tos 0x10\n"
     "block drop all tos 0x20\n"
     "block drop all tos 0x10\n"
     "block drop all tos 0x28\n"
     "block drop all tos 0xb8\n",
     nullptr},
    {"Fragment",
     "block fragment\n"
     "block in proto tcp fragment",
     "block drop all fragment\n"
     "block drop in proto tcp all fragment\n",
     nullptr},
    {"AllowOpts",
     "pass allow-opts",
     "pass all flags S/SA allow-opts\n",
     "pass all flags S/SA keep state allow-opts\n"},
    {"Tags",
     "pass tag A\n"
     "pass tagged A\n"
     "pass ! tagged A\n"
     "block tagged \"two words\"",
     "pass all flags S/SA tag A\n"
     "pass all flags S/SA tagged A\n"
     "pass all flags S/SA ! tagged A\n"
     "block drop all tagged two words\n",
     "pass all flags S/SA keep state tag A\n"
     "pass all flags S/SA keep state tagged A\n"
     "pass all flags S/SA keep state ! tagged A\n"
     "block drop all tagged two words\n"},
    {"Probability",
     "block probability 20%\n"
     "block probability 0.5\n"
     "block probability 33.3333%\n"
     "block probability 100%\n"
     "block probability 0\n"
     "block probability 1",
     "block drop all probability 20%\n"
     "block drop all probability 50%\n"
     "block drop all probability 33.3333%\n"
     "block drop all probability 100%\n"
     "block drop all probability 0%\n"
     "block drop all probability 100%\n",
     nullptr},
    {"WhatPfTakesForNone",
     "pass tos 0\n"
     "pass tos 0x00\n"
     "pass keep state (max 0)\n"
     "pass label \"\"\n"
     "match set tos 0",
     "pass all flags S/SA\n"
     "pass all flags S/SA\n"
     "pass all flags S/SA\n"
     "pass all flags S/SA\n"
     "match all set (tos 0x00)\n",
     "pass all flags S/SA keep state\n"
     "pass all flags S/SA keep state\n"
     "pass all flags S/SA keep state\n"
     "pass all flags S/SA keep state\n"
     "match all set ( tos 0x00 )\n"},
    {"Prio",
     "pass prio 0\n"
     "pass prio 7",
     "pass all flags S/SA prio 0\n"
     "pass all flags S/SA prio 7\n",
     "pass all flags S/SA prio 0 keep state\n"
     "pass all flags S/SA prio 7 keep state\n"},
    {"MaxPktRate",
     "block max-pkt-rate 100/10",
     "block drop all max-pkt-rate 100/10\n",
     nullptr},
    {"MaxPktSize",
     "pass max-pkt-size 1500",
     "pass all flags S/SA max-pkt-size 1500\n",
     "pass all flags S/SA max-pkt-size 1500 keep state\n"},
    {"Once",
     "pass in once",
     "pass in all flags S/SA once\n",
     "pass in all flags S/SA keep state once\n"},
    {"Label",
     "pass label \"x\"\n"
     "pass label x",
     "pass all flags S/SA label \"x\"\n"
     "pass all flags S/SA label \"x\"\n",
     "pass all flags S/SA keep state label \"x\"\n"
     "pass all flags S/SA keep state label \"x\"\n"},
    {"LabelMacros",
     "block in on em0 proto tcp from 10.0.0.0/8 to ! 10.0.0.1 port 22:25 "
     "label \"$if $proto $srcaddr>$dstaddr:$dstport #$nr\"\n"
     "block label \"$if $srcaddr $srcport.\"",
     "block drop in on em0 inet proto tcp from 10.0.0.0/8 to ! 10.0.0.1 "
     "port 22:25 label \"em0 tcp 10.0.0.0/8>! 10.0.0.1: #0\"\n"
     "block drop all label \"any any .\"\n",
     nullptr},
    {"Ridentifier",
     "pass ridentifier 77",
     "pass all flags S/SA ridentifier 77\n",
     "pass all flags S/SA keep state ridentifier 77\n"},
    {"SetPrio",
     "pass set prio 3\n"
     "pass set (prio (2, 5), tos lowdelay)\n"
     "pass set tos 0x10",
     "pass all flags S/SA set (prio 3)\n"
     "pass all flags S/SA set (prio(2, 5), tos 0x10)\n"
     "pass all flags S/SA set (tos 0x10)\n",
     "pass all flags S/SA set ( prio 3 ) keep state\n"
     "pass all flags S/SA set ( prio(2, 5), tos 0x10 ) keep state\n"
     "pass all flags S/SA set ( tos 0x10 ) keep state\n"},
    {"SetQueueDelay",
     "pass set queue std\n"
     "pass set (queue (std, pri), delay 10)",
     "pass all flags S/SA set (queue std)\n"
     "pass all flags S/SA set (queue(std, pri), delay 10)\n",
     "pass all flags S/SA keep state queue std\n"
     "pass all flags S/SA set ( delay 10 ) keep state queue(std, pri)\n"},
    {"Rtable",
     "pass in rtable 2",
     "pass in all flags S/SA rtable 2\n",
     "pass in all flags S/SA keep state rtable 2\n"},
    {"Dummynet",
     "pass in dnpipe 1\n"
     "pass in dnqueue (1, 2)",
     "pass in all flags S/SA dnpipe 1\n"
     "pass in all flags S/SA dnqueue(1, 2)\n",
     "pass in all flags S/SA keep state dnpipe 1\n"
     "pass in all flags S/SA keep state dnqueue(1, 2)\n"},
    {"DivertPacket",
     "pass in proto udp divert-packet port 700",
     "pass in proto udp all scrub (reassemble tcp) divert-packet port 700\n",
     "pass in proto udp all keep state divert-packet port 700\n"},
    {"DivertPacketOfWhatIsNotReassembled",
     "set reassemble no\npass in proto udp divert-packet port 700",
     "set reassemble no \npass in proto udp all divert-packet port 700\n",
     "set reassemble no \n"
     "pass in proto udp all keep state divert-packet port 700\n"},
    {"DivertTo",
     "pass in proto tcp divert-to 127.0.0.1 port 22",
     "pass in inet proto tcp all flags S/SA divert-to 127.0.0.1 port 22\n",
     "pass in proto tcp all flags S/SA keep state divert-to 22\n"},
    {"Scrub",
     "match scrub (no-df)\n"
     "match in scrub (random-id, min-ttl 5, max-mss 1440, reassemble tcp)",
     "match all scrub (no-df)\n"
     "match in all scrub (random-id min-ttl 5 reassemble tcp max-mss 1440)\n",
     "match all scrub( no-df)\n"
     "match in all scrub( random-id min-ttl 5 reassemble tcp max-mss 1440)\n"},
    {"KeepState",
     "pass keep state\n"
     "pass modulate state\n"
     "pass in synproxy state",
     "pass all flags S/SA\n"
     "pass all flags S/SA modulate state\n"
     "pass in all flags S/SA synproxy state\n",
     "pass all flags S/SA keep state\n"
     "pass all flags S/SA modulate state\n"
     "pass in all flags S/SA synproxy state\n"},
    {"StateOptions",
     "pass keep state (max 5, no-sync, sloppy, pflow)\n"
     "pass keep state (if-bound)\n"
     "pass keep state (floating)\n"
     "pass keep state (tcp.established 60, udp.first 5, adaptive.start 10, "
     "adaptive.end 20)",
     "pass all flags S/SA keep state (max 5, no-sync, sloppy, pflow)\n"
     "pass all flags S/SA keep state (if-bound)\n"
     "pass all flags S/SA\n"
     "pass all flags S/SA keep state (tcp.established 60, udp.first 5, "
     "adaptive.start 10, adaptive.end 20)\n",
     "pass all flags S/SA keep state (max 5, no-sync, sloppy, pflow)\n"
     "pass all flags S/SA keep state (if-bound)\n"
     "pass all flags S/SA keep state\n"
     "pass all flags S/SA keep state (tcp.established 60, udp.first 5, "
     "adaptive.start 10, adaptive.end 20)\n"},
    {"SourceTrack",
     "pass keep state (source-track)\n"
     "pass keep state (source-track rule)\n"
     "pass keep state (max-src-states 3)\n"
     "pass keep state (max-src-nodes 3)",
     "pass all flags S/SA keep state (source-track global)\n"
     "pass all flags S/SA keep state (source-track rule)\n"
     "pass all flags S/SA keep state (source-track global, max-src-states "
     "3)\n"
     "pass all flags S/SA keep state (source-track rule, max-src-nodes 3)\n",
     nullptr},
    {"Overload",
     "pass in proto tcp keep state (max-src-conn 10, max-src-conn-rate 5/3, "
     "overload <bad> flush global)\n"
     "pass keep state (max-src-conn-rate 5/30, overload <bad> flush, "
     "src.track 60)",
     "pass in proto tcp all flags S/SA keep state (source-track rule, "
     "max-src-conn 10, max-src-conn-rate 5/3, overload <bad> flush global, "
     "src.track 3)\n"
     "pass all flags S/SA keep state (source-track rule, max-src-conn-rate "
     "5/30, overload <bad> flush, src.track 60)\n",
     nullptr},
    {"StatePolicy",
     "set state-policy if-bound\n"
     "pass\n"
     "pass keep state (floating)",
     "set state-policy if-bound\n"
     "pass all flags S/SA keep state (if-bound)\n"
     "pass all flags S/SA keep state (floating)\n",
     nullptr},
    {"StateDefaults",
     "set state-defaults no-sync, max 5\n"
     "pass\n"
     "pass keep state",
     "pass all flags S/SA keep state (max 5, no-sync)\n"
     "pass all flags S/SA\n",
     "pass all flags S/SA keep state (max 5, no-sync)\n"
     "pass all flags S/SA keep state\n"},
    {"AllowRelated",
     "pass keep state (allow-related)",
     "pass all flags S/SA keep state (allow-related)\n",
     nullptr},
};

INSTANTIATE_TEST_SUITE_P(Rules, AcceptTest,
                         testing::Combine(testing::ValuesIn(kRulesAccepted),
                                          testing::ValuesIn(kDialects)),
                         AcceptTestName);

}  // namespace
}  // namespace sluice
