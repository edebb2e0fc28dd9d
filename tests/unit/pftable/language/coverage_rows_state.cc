#include "tests/unit/pftable/language/coverage_rows.h"

namespace sluice {
namespace {

constexpr char kStates[] = "the state table, for every state";
constexpr char kParser[] = "the packet parser, for every packet";
constexpr char kNothing[] = "nothing yet: fragments are judged one by one";

constexpr CoverageRow kTranslation[] = {
    {"nat-to", "pass out inet nat-to 192.0.2.1 port 1024:2000\n"
     "match out inet nat-to (em0)",
     "pass nat-to 192.0.2.1"},
    {"rdr-to",
     "pass in inet proto tcp to port 80:90 rdr-to 192.0.2.1 port 8080:*",
     "block in rdr-to 192.0.2.1"},
    {"binat-to", "pass on em0 inet from 192.0.2.0/28 binat-to 10.0.0.16/28",
     "pass from 192.0.2.0/24 binat-to 10.1.0.0/25"},
    {"af-to", "pass in inet6 to 64:ff9b::/96 af-to inet from 192.0.2.1",
     "pass in inet af-to inet from 192.0.2.1"},
    {"nat-to and rdr-to in one rule",
     "pass in inet nat-to 192.0.2.1 rdr-to 192.0.2.2",
     "pass in inet nat-to 192.0.2.1 nat-to 192.0.2.2"},
    {"pools: list, network, table, (interface)",
     "pass out inet nat-to { 192.0.2.1 192.0.2.2 }\n"
     "pass out inet nat-to 192.0.2.0/28\npass out inet nat-to <t>\n"
     "pass out inet nat-to (em0)",
     "pass out inet nat-to { <t> any }"},
    {"bitmask", "pass out nat-to 192.0.2.0/28 bitmask",
     "pass out nat-to { 192.0.2.1 192.0.2.2 } bitmask"},
    {"random", "pass out nat-to 192.0.2.0/28 random",
     "pass out nat-to 192.0.2.0/28 random random"},
    {"round-robin", "pass out nat-to 192.0.2.0/28 round-robin",
     "pass out nat-to 192.0.2.0/28 round-robin random"},
    {"source-hash",
     "pass out nat-to 192.0.2.0/28 source-hash "
     "0x0123456789abcdef0123456789abcdef\n"
     "pass out nat-to 192.0.2.0/28 source-hash word",
     "pass out nat-to 192.0.2.0/28 source-hash 0x12"},
    {"least-states", "pass in inet rdr-to { 192.0.2.1 192.0.2.2 } least-states",
     "pass in inet rdr-to { 192.0.2.1 192.0.2.2 } least-state", nullptr, kO},
    {"sticky-address", "pass out inet nat-to <t> sticky-address",
     "pass out inet nat-to <t> sticky-address sticky-address"},
    {"static-port", "pass out nat-to 192.0.2.1 static-port",
     "pass out nat-to 192.0.2.1 port 5 static-port"},
    {"map-e-portset", "pass out nat-to 192.0.2.1 map-e-portset 6/8/52",
     "pass out nat-to 192.0.2.1 map-e-portset 15/5/1"},
    {"endpoint-independent", "pass out nat-to 192.0.2.1 endpoint-independent",
     "pass out nat-to 192.0.2.1 endpoint-independant"},
    {"prefer-ipv6-nexthop",
     "pass in on em0 route-to (em1 192.0.2.2) prefer-ipv6-nexthop inet",
     "pass in on em0 route-to (em1 192.0.2.2) prefer-ipv4-nexthop inet"},
    {"default ports are not printed",
     "pass out nat-to 192.0.2.1 port 50001:65535",
     "pass out nat-to 192.0.2.1 port 0"},
    {"ICMP errors, fragments and SCTP behind translation",
     "pass out inet proto { icmp sctp } nat-to 192.0.2.1",
     "pass out inet proto icmp nat-to 192.0.2.1 port 0"},
};

constexpr CoverageRow kState[] = {
    {"keep state", "pass keep state", "block keep state"},
    {"no state", "pass no state", "pass no state (max 5)"},
    {"modulate state", "pass proto tcp modulate state",
     "pass proto tcp modulate state (sloppy)"},
    {"synproxy state", "pass in proto tcp synproxy state",
     "pass in synproxy state (sloppy)"},
    {"max", "pass keep state (max 5)", "pass keep state (max 4294967296)"},
    {"no-sync", "pass keep state (no-sync)",
     "pass keep state (no-sync, no-sync)"},
    {"timeouts", "pass keep state (udp.single 5, adaptive.start 10, "
     "adaptive.end 20)",
     "pass keep state (adaptive.start 20, adaptive.end 10)"},
    {"sloppy", "pass keep state (sloppy)", "pass keep state (slopy)"},
    {"pflow", "pass keep state (pflow)", "pass keep state (pflow pflow)"},
    {"no-helpers (sluice)", "pass keep state (no-helpers)",
     "pass keep state (no-helper)"},
    {"allow-related", "pass keep state (allow-related)",
     "pass keep state (allow-relatd)"},
    {"source-track", "pass keep state (source-track rule)\n"
     "pass keep state (source-track)",
     "pass keep state (source-track, source-track rule)"},
    {"max-src-nodes, max-src-states",
     "pass keep state (max-src-nodes 5)\npass keep state (max-src-states 5)",
     "pass keep state (source-track global, max-src-nodes 3)"},
    {"max-src-conn, max-src-conn-rate",
     "pass keep state (max-src-conn 5, max-src-conn-rate 5/3)",
     "pass keep state (max-src-conn-rate 5)"},
    {"overload, flush, global",
     "pass keep state (max-src-conn 5, overload <bad> flush global)",
     "pass keep state (overload <bad>)"},
    {"if-bound, floating",
     "pass keep state (if-bound)\npass keep state (floating)",
     "pass keep state (if-bound, floating)"},
    {"TCP window tracking", "pass proto tcp keep state",
     "pass proto tcp keep stat", kStates},
    {"challenge ACK, checked RST", "pass proto tcp flags S/SA keep state",
     "pass proto tcp flags S/F keep state", kStates},
    {"SYN on a closing state makes a new one", "pass proto tcp flags S/SA",
     "pass proto udp flags S/SA", kStates},
    {"ICMP errors belong to their state", "pass proto { udp tcp }",
     "pass inet6 proto icmp", kStates},
    {"UDP, ICMP and other protocols",
     "pass proto udp\npass inet proto icmp\npass proto gre",
     "pass inet proto icmp6", kStates},
    {"SCTP associations", "pass proto sctp to port 38412",
     "pass proto sctp to port 65536", kStates},
    {"states outlive their rule", "pass out keep state",
     "pass out keep state keep state", kStates},
};

constexpr CoverageRow kNormalisation[] = {
    {"reassembly", "set reassemble yes", "set reassembel yes"},
    {"limit of fragments", "set limit frags 100", "set limit frag 100",
     kNothing},
    {"IPv6 fragments with the old maximum size", "pass inet6 fragment",
     "pass inet6 proto tcp to port 1 fragment", kNothing},
    {"short, bad offset, bad flags, bad checksum", "pass",
     "pass proto tcp flags X/SA", kParser},
    {"limit of the header chain, routing header 0", "pass inet6",
     "pass inet6 proto 256", kParser},
    {"router alert of IGMP and MLD without allow-opts", "pass proto igmp",
     "block allow-opts", kParser},
};

constexpr CoverageRow kAnchors[] = {
    {"anchor with conditions", "anchor \"a\" in on em0 proto tcp to port 80",
     "anchor \"a\" keep state"},
    {"inline and unnamed anchors",
     "anchor \"a\" {\nanchor {\npass\n}\n}", "anchor"},
    {"paths: a/b, /a, ../a",
     "anchor \"a/b\"\nanchor \"/a\"\nanchor \"b\" {\nanchor \"../c\"\n}",
     "anchor \"../a\""},
    {"wildcard", "anchor \"a/*\"", "anchor \"a/*\" { pass }"},
    {"load anchor", "anchor \"a\"\nload anchor \"a\" from \"more\"",
     "load anchor \"a\" from \"broken\""},
    {"loops are refused", "anchor \"a\" {\nanchor \"b\"\n}",
     "anchor \"a\" {\nanchor \"_1\"\n}"},
    {"depth: 64", "anchor \"a/b/c\"",
     "anchor \"1/2/3/4/5/6/7/8/9/1/2/3/4/5/6/7/8/9/1/2/3/4/5/6/7/8/9/1/2/3/4/5"
     "/6/7/8/9/1/2/3/4/5/6/7/8/9/1/2/3/4/5/6/7/8/9/1/2/3/4/5/6/7/8/9/1/2/3\"",
     nullptr, kO},
    {"depth: 32", "anchor \"a/b/c\"",
     "anchor \"1/2/3/4/5/6/7/8/9/1/2/3/4/5/6/7/8/9/1/2/3/4/5/6/7/8/9/1/2/3/4/5"
     "/6\"",
     nullptr, kF},
    {"number, name of 63 characters, path below 1024", "set limit anchors 9",
     "anchor "
     "\"0123456789012345678901234567890123456789012345678901234567890123\""},
};

constexpr CoverageSection kStateSections[] = {
    {"Translation and pools", kTranslation},
    {"State", kState},
    {"Normalisation", kNormalisation},
    {"Anchors", kAnchors},
};

}  // namespace

std::span<const CoverageSection> CoverageState() { return kStateSections; }

}  // namespace sluice
