// Mistakes, with the place and the words of the message.
#include <gtest/gtest.h>

#include <ostream>
#include <string>

#include "tests/unit/pftable/language/language_fixture.h"

namespace sluice {
namespace {

struct Refused {
  const char* name;
  const char* text;
  uint32_t line;
  uint32_t column;
  const char* message;  // a part of it
  Dialect dialect = Dialect::kOpenBsd;
};

void PrintTo(const Refused& c, std::ostream* out) { *out << c.name; }

constexpr Refused kRefused[] = {
    {"UnknownStatement", "pas all", 1, 1, "'pas' does not begin"},
    {"StrayBrace", "pass\n}", 2, 1, "'}' where a statement"},
    {"NotPrintable", "pass \x01", 1, 6, "not printable"},
    {"UnterminatedString", "pass label \"x", 1, 12, "unterminated"},
    {"MacroUndefined", "pass on $nic", 1, 9, "macro 'nic' not defined"},
    {"MacroReserved", "block = \"x\"", 1, 1, "reserved word"},
    {"MacroBraces", "x = { a }", 1, 5, "a macro's value is text"},
    {"MacroEmpty", "x =\n", 1, 4, "a macro's value"},
    {"EmptyList", "pass from { }", 1, 11, "empty list"},
    {"OpenList", "pass from { 10.0.0.1", 1, 11, "'{' without '}'"},
    {"AnyInList", "pass from { 10.0.0.1 any }", 1, 22, "'any' cannot"},
    {"NotAny", "pass from ! any", 1, 13, "matches nothing"},
    {"NotEveryAddress", "pass from ! 0.0.0.0/0", 1, 11, "every address"},
    {"MaskTooLong4", "pass from 10.0.0.0/33", 1, 11, "netmask value /33"},
    {"MaskTooLong6", "pass from 2001:db8::/129", 1, 22, "out of range"},
    {"UnknownHost", "pass from no.such.host", 1, 11, "no IP address found"},
    {"UnknownInterfaceNetwork", "pass from em7:network", 1, 11,
     "no IP address found for em7:network"},
    {"BadModifier", "pass from em0:net", 1, 11, "modifier ':net'"},
    {"ModifierWithMask", "pass from em0:network/24", 1, 11, "own mask"},
    {"ModifierPair", "pass from (em0:network:broadcast)", 1, 12,
     "illegal combination"},
    {"RangeBackwards", "pass from 10.0.0.9 - 10.0.0.1", 1, 22,
     "ends before it begins"},
    {"RangeTwoFamilies", "pass from 10.0.0.9 - ::1", 1, 22, "two families"},
    {"TableNameTooLong",
     "pass from <abcdefghijklmnopqrstuvwxyz0123456>", 1, 12, "too long"},
    {"TableNameCharacters", "pass from <\"b]d\">", 1, 12,
     "cannot name a table"},
    {"FamilyMismatch", "pass inet from ::1", 1, 1, "no valid combination"},
    {"PortTooLarge", "pass proto tcp to port 65536", 1, 24, "illegal port"},
    {"PortUnknown", "pass proto tcp to port nope", 1, 24, "unknown port"},
    {"PortBackwards", "pass proto tcp to port 9:1", 1, 24, "ends before"},
    {"PortWithoutProtocol", "pass to port 80", 1, 14, "only applies to tcp"},
    {"PortWithIcmp", "pass proto icmp to port 80", 1, 25, "only applies"},
    {"PortRangeWithOperator", "pass proto tcp to port > 1:9", 1, 26,
     "no operator"},
    {"ProtocolUnknown", "pass proto tpc", 1, 12, "unknown protocol tpc"},
    {"ProtocolZero", "pass proto 0", 1, 12, "every protocol"},
    {"ProtocolRange", "pass proto 256", 1, 12, "outside range"},
    {"ProtocolFamily", "pass inet6 proto icmp", 1, 18, "doesn't match"},
    {"FlagsLetters", "pass proto tcp flags X/SA", 1, 22, "bad flags"},
    {"FlagsImpossible", "pass proto tcp flags S/A", 1, 22, "no packet"},
    {"FlagsUdp", "pass proto udp flags S/SA", 1, 16, "only apply to tcp"},
    {"OsUdp", "pass proto udp from any os x", 1, 1, "only applies to tcp"},
    {"IcmpTypeUnknown", "pass inet proto icmp icmp-type ping", 1, 32,
     "unknown icmp-type"},
    {"IcmpTypeRange", "pass inet proto icmp icmp-type 256", 1, 32,
     "out of range"},
    {"IcmpTypeTcp", "pass inet proto tcp icmp-type echoreq", 1, 31,
     "mismatch"},
    {"IcmpTypeFamily", "pass proto icmp icmp-type echoreq", 1, 27,
     "must indicate address family"},
    {"IcmpCode", "pass inet proto icmp icmp-type echoreq code x", 1, 45,
     "unknown icmp code"},
    {"Tos", "pass tos 256", 1, 10, "out of range"},
    {"TosName", "pass tos fast", 1, 10, "illegal tos"},
    {"FragmentWithPorts", "block proto udp to port 5 fragment", 1, 27,
     "only on IP header fields"},
    {"ReturnRstUdp", "block return-rst proto udp", 1, 7, "only be applied"},
    {"ReturnTtl", "block return-rst(ttl 256) proto tcp", 1, 22,
     "out of range"},
    {"ReturnIcmpCode", "block return-icmp(nope)", 1, 19, "unknown icmp code"},
    {"AllowOptsBlock", "block allow-opts", 1, 1, "only be specified"},
    {"KeepStateBlock", "block keep state", 1, 7, "doesn't make sense"},
    {"KeepStateMatch", "match keep state", 1, 7, "only for pass"},
    {"StateTwice", "pass keep state no state", 1, 17, "given twice"},
    {"SloppySynproxy", "pass synproxy state (sloppy)", 1, 6, "sloppy"},
    {"StateOption", "pass keep state (maxx 4)", 1, 18, "unknown state opt"},
    {"StateOptionTwice", "pass keep state (max 4, max 5)", 1, 25,
     "multiple definitions"},
    {"MaxZero", "pass keep state (max 0)", 1, 22, "out of range"},
    {"MaxSrcNodesGlobal",
     "pass keep state (source-track global, max-src-nodes 3)", 1, 18,
     "incompatible"},
    {"Overload", "pass keep state (overload <a>)", 1, 18, "requires"},
    {"AdaptiveAlone", "pass keep state (adaptive.start 5)", 1, 6, "together"},
    {"TimeoutPerRule", "pass keep state (interval 5)", 1, 18,
     "cannot be set per rule"},
    {"Probability", "block probability 120%", 1, 19, "out of range"},
    {"ProbabilityText", "block probability often", 1, 19, "invalid"},
    {"Prio", "pass prio 8", 1, 11, "out of range"},
    {"SetPrio", "pass set prio 9", 1, 15, "out of range"},
    {"SetNothing", "pass set ()", 1, 11, "something to set"},
    {"MaxPktRate", "pass max-pkt-rate 5", 1, 20, "'/'"},
    {"MaxPktSize", "pass max-pkt-size 0", 1, 19, "out of range"},
    {"LabelTooLong",
     "pass label \"0123456789012345678901234567890123456789012345678901234"
     "567890123\"",
     1, 12, "label too long"},
    {"LabelTooLongExpanded",
     "pass from 10.0.0.1 label \"$srcaddr $srcaddr $srcaddr $srcaddr $srcaddr "
     "$src\"\npass from 2001:db8:1111:2222:3333:4444:5555:6666 label "
     "\"$srcaddr $srcaddr\"",
     2, 1, "too long after expansion"},
    {"LabelTwice", "pass label a label b", 1, 20, "given twice"},
    {"LabelsSix", "pass label a label b label c label d label e label f", 1,
     52, "max 5", Dialect::kFreeBsd},
    {"TagTooLong",
     "pass tag 0123456789012345678901234567890123456789012345678901234567890"
     "123",
     1, 10, "tag too long"},
    {"OptionOrder", "block flags S/SA proto tcp", 1, 18, "not an option"},
    {"Scrub", "match scrub (fast)", 1, 14, "unknown scrub option"},
    {"ScrubTwice", "match scrub (no-df no-df)", 1, 20, "respecified"},
    {"OnNotAny", "pass on ! any", 1, 9, "no interface"},
    {"ReceivedOn", "pass received-on", 1, 17, "an interface name"},
    {"Once", "match once", 1, 1, "pass and block"},
    {"NatNoState", "pass out no state nat-to 10.0.0.1", 1, 26,
     "require keep state"},
    {"NatNoDirection", "pass nat-to 10.0.0.1", 1, 13, "direction must be"},
    {"NatBlock", "block out nat-to 10.0.0.1", 1, 18, "block rules"},
    {"NatPortAny", "pass out nat-to 10.0.0.1 port 5:*", 1, 31, "rdr only"},
    {"NatStaticPortAndPort",
     "pass out nat-to 10.0.0.1 port 5 static-port", 1, 17, "static-port"},
    {"PoolNegated", "pass out nat-to ! 10.0.0.1", 1, 17, "no '!'"},
    {"PoolBitmaskList", "pass out nat-to { 10.0.0.1 10.0.0.2 } bitmask", 1,
     17, "bitmask"},
    {"PoolTwoMethods", "pass out nat-to 10.0.0.0/24 random round-robin", 1,
     36, "one method"},
    {"PoolFamily", "pass out inet nat-to 2001:db8::1", 1, 22, "af mismatch"},
    {"PoolFamilyFreeBsd", "pass out inet nat-to 2001:db8::1", 1, 22,
     "matching address family", Dialect::kFreeBsd},
    {"PoolEverything", "pass out nat-to 0.0.0.0/0", 1, 17, "every address"},
    {"HashKey", "pass out nat-to 10.0.0.0/24 source-hash 0x12", 1, 41,
     "128 bits"},
    {"LeastStates", "pass out nat-to 10.0.0.0/24 least-states", 1, 17,
     "OpenBSD's", Dialect::kFreeBsd},
    {"MapE", "pass out nat-to 10.0.0.1 map-e-portset 15/5/1", 1, 26, "PSID"},
    {"BinatDirection", "pass in from 10.0.0.1 binat-to 10.0.0.2", 1, 32,
     "direction"},
    {"BinatMask", "pass from 10.0.0.0/24 binat-to 10.1.0.0/25", 1, 32,
     "must be the same"},
    {"BinatTable", "pass from 10.0.0.1 binat-to <t>", 1, 29, "table"},
    {"AfToSame", "pass in inet af-to inet from 10.0.0.1", 1, 30,
     "incorrect address family"},
    {"AfToOut", "pass out inet6 af-to inet from 10.0.0.1", 1, 32, "inbound"},
    {"AfToMatch", "match in inet6 af-to inet from 10.0.0.1", 1, 32,
     "match rules"},
    {"RouteBlock", "block in route-to 10.0.0.1", 1, 19, "block rules"},
    {"RouteNoDirection", "pass route-to 10.0.0.1", 1, 15, "direction"},
    {"RouteMatch", "match in route-to 10.0.0.1", 1, 19, "match rules"},
    {"AnchorUnderscore", "anchor \"_1\"", 1, 8, "reserved"},
    {"AnchorEmpty", "anchor", 1, 1, "without a name"},
    {"AnchorState", "anchor \"a\" keep state", 1, 12, "state options"},
    {"AnchorAbove", "anchor \"../a\"", 1, 1, "above the main"},
    {"AnchorWildcardBody", "anchor \"a/*\" { pass }", 1, 14, "no body"},
    {"AnchorOpen", "anchor \"a\" {\npass", 1, 12, "'{' without '}'"},
    {"AntispoofUnknown", "antispoof for em9", 1, 15, "no IP address"},
    {"AntispoofNegated", "antispoof for ! em0", 1, 15, "without '!'"},
    {"TableEntryTable", "table <a> { <b> }", 1, 13, "cannot be an entry"},
    {"TableEntryDynamic", "table <a> { (em0) }", 1, 13, "dynamic"},
    {"TableEntryNoRoute", "table <a> { no-route }", 1, 13, "cannot be used"},
    {"TableRange", "table <a> { 10.0.0.1 - 10.0.0.2 }", 1, 13, "a range"},
    {"TableWord", "table <a> persistent", 1, 11, "persist, const"},
    {"IncludeMissing", "include \"x.conf\"", 1, 9, "cannot read"},
    {"LoadMissing", "load anchor a from \"x\"", 1, 20, "cannot read"},
    {"SetUnknown", "set block-polcy drop", 1, 5, "unknown option"},
    {"SetBlockPolicy", "set block-policy reject", 1, 18, "drop or return"},
    {"SetTimeout", "set timeout tcp.establishd 5", 1, 13, "unknown timeout"},
    {"SetLimit", "set limit state 5", 1, 11, "unknown limit"},
    {"SetLimitRange", "set limit states -5", 1, 18, "out of range"},
    {"SetHostId", "set hostid 0", 1, 5, "non-zero"},
    {"SetDebug", "set debug loud", 1, 11, "unknown debug level"},
    {"SetDebugFreeBsd", "set debug warning", 1, 11, "unknown debug level",
     Dialect::kFreeBsd},
    {"SetOptimization", "set optimization fast", 1, 18, "unknown optimiz"},
    {"SetSkip", "set skip em0", 1, 10, "'on'"},
    {"SetSyncookies", "set syncookies adaptive (start 10%, end 20%)", 1, 1,
     "must be above"},
    {"SetInAnchor", "anchor \"a\" {\n set block-policy drop\n}", 2, 2,
     "in an anchor"},
    {"OrderFreeBsd", "pass\nset block-policy drop", 2, 1, "must be in order",
     Dialect::kFreeBsd},
    {"ScrubQuick", "scrub in quick", 1, 1, "quick"},
    {"NatNoTarget", "nat on em0 from any to any", 1, 1, "requires a target"},
    {"NoNatTarget", "no nat on em0 -> 10.0.0.1", 1, 15, "do not translate"},
    {"BinatRuleMask", "binat on em0 from 10.0.0.0/24 to any -> 10.1.0.0/25",
     1, 41, "same"},
    {"Mac", "ether pass from 00:11", 1, 17, "not a MAC"},
    {"User", "pass user nobodyhere", 1, 11, "unknown user"},
    {"UserUnknown", "pass user > unknown", 1, 13, "requires operator"},
    {"Pflog", "pass log (to em0)", 1, 14, "not a pflog"},
    {"DivertAddress", "pass divert-to em0 port 5", 1, 16, "divert address"},
    {"QueueWordsOfAltq", "queue std { a", 1, 11, "not an option of a queue"},
    {"QueueBandwidth", "queue std on em0 bandwidth 10Q", 1, 28,
     "invalid bandwidth"},
    {"QueueNoBandwidth", "queue std on em0", 1, 7, "no bandwidth"},
    {"QueueNoParent", "queue a on em0 bandwidth 1M\nqueue b parent c bandwidth 1",
     2, 7, "parent queue c is not defined"},
    {"QueueNowhere", "queue std bandwidth 1M", 1, 7, "neither"},
    {"QueueTwice", "queue a on em0 bandwidth 1\nqueue a on em1 bandwidth 1", 2,
     7, "defined twice"},
    {"QueueBurst", "queue a on em0 bandwidth 1M burst 2M for ever", 1, 42,
     "invalid time"},
    {"AltqScheduler", "altq on em0 bandwidth 1Mb queue { a }", 1, 1,
     "wants a scheduler", Dialect::kFreeBsd},
    {"AltqOption", "queue a bandwidth 10% hfsc(borrow)", 1, 28,
     "not an option of hfsc", Dialect::kFreeBsd},
    {"AltqWordsOfQueue", "queue a on em0 bandwidth 1Mb parent b", 1, 30,
     "not an option of an ALTQ queue", Dialect::kFreeBsd},
    {"LimiterId", "state limiter \"a\" limit 5", 1, 15, "wants an id"},
    {"LimiterEntries", "source limiter \"a\" id 1", 1, 16, "wants entries"},
    {"LimiterWord", "pass state limiter \"a\" (drop)", 1, 25,
     "block or no-match"},
};

class RefuseTest : public testing::TestWithParam<Refused> {};

TEST_P(RefuseTest, NamesThePlaceAndTheReasonOnce) {
  const Refused& c = GetParam();
  const ParseResult result = ParseText(c.text, {.dialect = c.dialect});
  ASSERT_EQ(result.diagnostics.size(), 1u)
      << FormatDiagnostics(result.diagnostics);
  const Diagnostic& d = result.diagnostics[0];
  EXPECT_FALSE(result.ok());
  EXPECT_EQ(d.file, "pf.conf");
  EXPECT_EQ(d.line, c.line) << FormatDiagnostic(d);
  EXPECT_EQ(d.column, c.column) << FormatDiagnostic(d);
  EXPECT_NE(d.message.find(c.message), std::string::npos)
      << FormatDiagnostic(d);
}

INSTANTIATE_TEST_SUITE_P(Language, RefuseTest, testing::ValuesIn(kRefused),
                         [](const auto& info) {
                           return std::string(info.param.name);
                         });

}  // namespace
}  // namespace sluice
