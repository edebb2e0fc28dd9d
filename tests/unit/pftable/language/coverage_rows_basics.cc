#include "tests/unit/pftable/language/coverage_rows.h"

namespace sluice {
namespace {

constexpr char kText[] = "the reading of the text";
constexpr char kShown[] = "shown by -si";

constexpr CoverageRow kSyntax[] = {
    {"comments with #", "pass # all\nblock from { # one\n10.0.0.1 }",
     "pass /* all */", kText},
    {"comments with ; in table files", "table <t> file \"list\"",
     "pass ; all", kText},
    {"continuation lines", "pass in \\\n  proto udp",
     "pass in \\\n  proto udq", kText},
    {"form feeds as white space", "pass\fin", "pass\fon", kText},
    {"quoted strings", "pass tag \"two words\"", "pass tag \"two words",
     kText},
    {"macros", "web = \"80\"\npass proto tcp to port $web", "pass on $nic",
     kText},
    {"macros from -D", "pass on $given", "given =", kText},
    {"lists", "pass proto { tcp, udp } to port { 53 853 }", "pass from { }",
     kText},
    {"include", "include \"more\"", "include \"broken\"", kText},
    {"order of statements", "set require-order no\npass\nset block-policy drop",
     "pass\nset block-policy drop", kText, kF},
    {"all errors, each with its line", "pass", "pas\npass\nblok", kText},
};

constexpr CoverageRow kLabels[] = {
    {"label macros",
     "pass on em0 inet proto tcp from any to 10.0.0.1 port 80 label "
     "\"$if $srcaddr $dstaddr $srcport $dstport $proto $nr\"",
     "pass from 2001:db8:1111:2222:3333:4444:5555:6666 label "
     "\"$srcaddr $srcaddr\""},
    {"label of at most 63 characters", "pass label \"web\"",
     "pass label "
     "\"0123456789012345678901234567890123456789012345678901234567890123\""},
    {"several labels", "pass label a label b label c label d label e",
     "pass label a label b label c label d label e label f", nullptr, kF},
    {"tag of at most 63 characters", "pass tag A",
     "pass tag "
     "0123456789012345678901234567890123456789012345678901234567890123"},
};

constexpr CoverageRow kTables[] = {
    {"table of addresses, networks, names, interfaces and self",
     "table <t> { 192.0.2.0/24 ! 192.0.2.7 www.example em1 self }",
     "table <a_name_that_is_longer_than_31_chars> { 192.0.2.1 }"},
    {"persist", "table <t> persist", "table <t> persistent"},
    {"const", "table <t> const { 192.0.2.1 }", "table <t> konst { 192.0.2.1 }"},
    {"counters", "table <t> counters { 192.0.2.1 }", "table <t> counter"},
    {"file", "table <t> file \"list\" file \"list\"",
     "table <t> file \"missing\""},
    {"no list keeps, an empty one empties",
     "table <t> persist\ntable <u> { }", "table <t> { } }"},
    {"weight", "table <t> { 192.0.2.1 weight 3 }",
     "table <t> { 192.0.2.1 weight 0 }",
     "taken; only pools look at it"},
    {"the longest prefix decides, with negation",
     "table <t> { 192.0.2.0/24 ! 192.0.2.0/25 192.0.2.1 }",
     "table <t> { ! ! 192.0.2.1 }"},
    {"table in an anchor",
     "anchor \"a\" {\ntable <t> { 192.0.2.1 }\npass from <t>\n}",
     "anchor \"a\" {\ntable <t> { any }\n}"},
    {"table that only rules name", "pass from <nobody>", "pass from <>"},
    {"automatic tables",
     "block from { 192.0.2.1 192.0.2.3 192.0.2.5 192.0.2.7 192.0.2.9 "
     "192.0.2.11 }",
     "block from { 192.0.2.1 192.0.2.3 192.0.2.5 192.0.2.7 192.0.2.9 "
     "192.0.2.999 }"},
    {"what a table cannot hold", "table <t> { 192.0.2.0/24 }",
     "table <t> { <u> }\ntable <v> { (em0) }\ntable <w> { no-route }"},
};

constexpr CoverageRow kOptions[] = {
    {"block-policy", "set block-policy return", "set block-policy reject"},
    {"fail-policy", "set fail-policy return", "set fail-policy never"},
    {"debug", "set debug notice", "set debug loud", kShown, kO},
    {"debug", "set debug loud", "set debug notice", kShown, kF},
    {"fingerprints", "set fingerprints \"pf.os\"", "set fingerprints"},
    {"hostid", "set hostid 7", "set hostid 0", kShown},
    {"limit states, src-nodes, frags, table-entries, anchors",
     "set limit { states 9000 src-nodes 5 frags 5 table-entries 9 anchors 9 }",
     "set limit state 5"},
    {"limit tables, pktdelay-pkts",
     "set limit { tables 50 pktdelay-pkts 5 }", "set limit tables -1",
     "tables; no packet is delayed"},
    {"limit eth-anchors", "set limit eth-anchors 5", "set limit eth-anchor 5"},
    {"loginterface", "set loginterface em0\nset loginterface none",
     "set loginterface", kShown},
    {"optimization", "set optimization satellite", "set optimization fast"},
    {"reassemble", "set reassemble no", "set reassemble never",
     "nothing is put together then"},
    {"reassemble yes", "set reassemble yes no-df", "set reassemble maybe"},
    {"require-order", "set require-order no", "set require-order maybe",
     kText},
    {"ruleset-optimization", "set ruleset-optimization profile\nblock\nblock",
     "set ruleset-optimization more", "the optimiser, before a load"},
    {"skip on", "set skip on { lo em1 }", "set skip on ! em1"},
    {"state-defaults", "set state-defaults sloppy, max 5\npass",
     "set state-defaults sloppyy"},
    {"state-policy", "set state-policy if-bound\npass",
     "set state-policy bound"},
    {"syncookies never", "set syncookies never", "set syncookies sometimes",
     "there are none"},
    {"syncookies", "set syncookies adaptive (start 25%, end 12%)",
     "set syncookies adaptive (start 10%, end 20%)"},
    {"timeout", "set timeout { tcp.first 60 udp.single 10 }",
     "set timeout tcp.frist 60"},
    {"keepcounters", "set keepcounters", "set keepcounters yes"},
    {"helpers (sluice)", "set helpers no", "set helpers"},
};

constexpr CoverageRow kTimeouts[] = {
    {"tcp.first, opening, established, closing, finwait, closed",
     "set timeout { tcp.first 9 tcp.opening 9 tcp.established 9 tcp.closing 9 "
     "tcp.finwait 9 tcp.closed 9 }",
     "set timeout tcp.last 9"},
    {"tcp.tsdiff", "set timeout tcp.tsdiff 9", "set timeout tcp.tsdiff x",
     "kept; timestamps are not looked at"},
    {"sctp.first, opening, established, closing, closed",
     "set timeout { sctp.first 9 sctp.opening 9 sctp.established 9 "
     "sctp.closing 9 sctp.closed 9 }",
     "set timeout sctp.finwait 9"},
    {"udp.first, single, multiple",
     "set timeout { udp.first 9 udp.single 9 udp.multiple 9 }",
     "set timeout udp.singel 9"},
    {"icmp.first, icmp.error", "set timeout { icmp.first 9 icmp.error 9 }",
     "set timeout icmp.frist 9"},
    {"other.first, single, multiple",
     "set timeout { other.first 9 other.single 9 other.multiple 9 }",
     "set timeout other.multipl 9"},
    {"frag", "set timeout frag 9", "pass keep state (frag 9)",
     "kept; no fragment waits"},
    {"interval", "set timeout interval 9", "pass keep state (interval 9)"},
    {"src.track", "set timeout src.track 9", "set timeout src.trak 9",
     "kept; there are no source nodes"},
    {"adaptive.start, adaptive.end",
     "set timeout { adaptive.start 600 adaptive.end 1200 }",
     "pass keep state (adaptive.start 9)"},
    {"per rule", "pass keep state (tcp.established 60)",
     "pass keep state (tcp.established 60, tcp.established 61)"},
};

constexpr CoverageSection kBasicsSections[] = {
    {"File syntax", kSyntax},     {"Labels and tags", kLabels},
    {"Tables", kTables},          {"Options", kOptions},
    {"Timeouts and limits", kTimeouts},
};

}  // namespace

std::span<const CoverageSection> CoverageBasics() { return kBasicsSections; }

}  // namespace sluice
