// The likely causes that messages name, each with its place.
#include <gtest/gtest.h>

#include <ostream>
#include <string>

#include "tests/unit/pftable/language/language_fixture.h"

namespace sluice {
namespace {

constexpr Dialect kOpenBsd = Dialect::kOpenBsd;
constexpr Dialect kFreeBsd = Dialect::kFreeBsd;
constexpr Severity kWarning = Severity::kWarning;

struct Hinted {
  const char* name;
  const char* text;
  uint32_t line;
  uint32_t column;
  const char* message;
  const char* hint;
  Dialect dialect = kOpenBsd;
  Severity severity = Severity::kError;
};

void PrintTo(const Hinted& c, std::ostream* out) { *out << c.name; }

class HintTest : public testing::TestWithParam<Hinted> {};

TEST_P(HintTest, IsGivenAtThePlaceOfTheMistake) {
  const Hinted& c = GetParam();
  const ParseResult result = ParseText(c.text, {.dialect = c.dialect});
  ASSERT_EQ(result.diagnostics.size(), 1u)
      << FormatDiagnostics(result.diagnostics);
  const Diagnostic& d = result.diagnostics[0];
  EXPECT_EQ(d.severity, c.severity);
  EXPECT_EQ(result.ok(), c.severity == kWarning);
  EXPECT_EQ(d.line, c.line) << FormatDiagnostic(d);
  EXPECT_EQ(d.column, c.column) << FormatDiagnostic(d);
  EXPECT_EQ(d.message, c.message);
  EXPECT_EQ(d.hint, c.hint);
}

std::string HintName(const testing::TestParamInfo<Hinted>& info) {
  return info.param.name;
}

// Words of pf that are misspelled, wherever a word is wanted.
constexpr Hinted kMisspelled[] = {
    {"Statement", "pass\nblok all", 2, 1,
     "syntax error: 'blok' does not begin a statement",
     "did you mean 'block'?"},
    {"AfterNo", "no natt on em0", 1, 4,
     "syntax error: 'no' is followed by nat, rdr, binat or scrub",
     "did you mean 'nat'?"},
    {"RuleOption", "pass in quik", 1, 9,
     "syntax error: 'quik' is not an option of a rule",
     "did you mean 'quick'?"},
    {"RuleOptionInTheWrongPlace", "pass flags S/SA proto tcp", 1, 17,
     "syntax error: 'proto' is not an option of a rule",
     "the order is: action, direction, log, quick, on, family, proto, from, "
     "to, options"},
    {"State", "pass keep stat", 1, 11,
     "syntax error: 'stat' where 'state' is wanted", "did you mean 'state'?"},
    {"StateOption", "pass keep state (slopy)", 1, 18,
     "unknown state option 'slopy'", "did you mean 'sloppy'?"},
    {"StateTimeout", "pass keep state (udp.singel 5)", 1, 18,
     "unknown state option 'udp.singel'", "did you mean 'udp.single'?"},
    {"LogOption", "pass log (matchs)", 1, 11,
     "syntax error: 'matchs' where a log option is wanted",
     "did you mean 'matches'?"},
    {"Set", "pass set prioo 3", 1, 10,
     "syntax error: 'prioo' where prio, tos, queue or delay is wanted",
     "did you mean 'prio'?"},
    {"Scrub", "match scrub (no-fd)", 1, 14, "unknown scrub option 'no-fd'",
     "did you mean 'no-df'?"},
    {"ScrubFarOff", "match scrub (everything)", 1, 14,
     "unknown scrub option 'everything'",
     "the options are no-df, random-id, min-ttl N, max-mss N, set-tos N and "
     "reassemble tcp"},
    {"ScrubRule", "scrub in all max-msss 9", 1, 14,
     "unknown scrub option 'max-msss'", "did you mean 'max-mss'?"},
    {"Protocol", "pass proto tpc", 1, 12, "unknown protocol tpc",
     "did you mean 'tcp'?"},
    {"Service", "pass proto tcp to port htps", 1, 24, "unknown port htps",
     "did you mean 'https'?"},
    {"ServiceOfTheHost", "pass proto udp to port gmae", 1, 24,
     "unknown port gmae", "did you mean 'game'?"},
    {"IcmpType", "pass inet proto icmp icmp-type echorq", 1, 32,
     "unknown icmp-type echorq", "did you mean 'echoreq'?"},
    {"Icmp6Type", "pass inet6 proto icmp6 icmp6-type neighbrsoll", 1, 35,
     "unknown icmp6-type neighbrsoll", "did you mean 'neighbrsol'?"},
    {"IcmpCode", "pass inet proto icmp icmp-type unreach code needfrog", 1, 45,
     "unknown icmp code needfrog", "did you mean 'needfrag'?"},
    {"Tos", "block tos lowdely", 1, 11, "illegal tos value lowdely",
     "did you mean 'lowdelay'?"},
    {"Flags", "pass proto tcp flags X/SA", 1, 22, "bad flags X",
     "flags are of F S R P A U E W, as in S/SA"},
    {"User", "pass proto tcp user rot", 1, 21, "unknown user rot",
     "did you mean 'root'?"},
    {"Group", "pass proto tcp group wheell", 1, 22, "unknown group wheell",
     "did you mean 'wheel'?"},
    {"Host", "pass to www.exmple", 1, 9, "no IP address found for www.exmple",
     "did you mean 'www.example'?"},
    {"Modifier", "pass from em0:netwrok", 1, 11,
     "illegal interface modifier ':netwrok'", "did you mean ':network'?"},
    {"DynamicModifier", "pass from (em0:brodcast)", 1, 12,
     "illegal interface modifier ':brodcast'", "did you mean ':broadcast'?"},
    {"ModifierFarOff", "pass from em0:all", 1, 11,
     "illegal interface modifier ':all'",
     "the modifiers are :network, :broadcast, :peer and :0"},
    {"Macro", "web = \"80\"\npass proto tcp to port $wbe", 2, 24,
     "macro 'wbe' not defined", "did you mean $web?"},
    {"Option", "set block-polcy drop", 1, 5, "unknown option 'block-polcy'",
     "did you mean 'block-policy'?"},
    {"BlockPolicy", "set block-policy retrun", 1, 18,
     "syntax error: 'retrun' where drop or return is wanted",
     "did you mean 'return'?"},
    {"StatePolicy", "set state-policy if-bond", 1, 18,
     "syntax error: 'if-bond' where if-bound or floating is wanted",
     "did you mean 'if-bound'?"},
    {"Optimization", "set optimization agressive", 1, 18,
     "unknown optimization 'agressive'", "did you mean 'aggressive'?"},
    {"RulesetOptimization", "set ruleset-optimization profil", 1, 26,
     "syntax error: 'profil' where none, basic or profile is wanted",
     "did you mean 'profile'?"},
    {"Limit", "set limit { states 5, table-entrys 9 }", 1, 23,
     "unknown limit 'table-entrys'", "did you mean 'table-entries'?"},
    {"Timeout", "set timeout tcp.establishd 5", 1, 13,
     "unknown timeout 'tcp.establishd'", "did you mean 'tcp.established'?"},
    {"Syncookies", "set syncookies alwys", 1, 16,
     "syntax error: 'alwys' where never, always or adaptive is wanted",
     "did you mean 'always'?"},
    {"YesOrNo", "set reassemble yess", 1, 16,
     "syntax error: 'yess' where yes or no after 'reassemble' is wanted",
     "did you mean 'yes'?"},
    {"TableOption", "table <t> persit", 1, 11,
     "syntax error: 'persit' where persist, const, counters, file or '{' is "
     "wanted",
     "did you mean 'persist'?"},
    {"Ether", "ether blok", 1, 7,
     "syntax error: 'blok' where pass, block or anchor is wanted",
     "did you mean 'block'?"},
    {"Queue", "queue a on em0 bandwith 1M", 1, 16,
     "syntax error: 'bandwith' where an option of the queue is wanted",
     "did you mean 'bandwidth'?"},
    {"Altq", "altq on em0 hfsc bandwith 1Mb queue { a }", 1, 18,
     "syntax error: 'bandwith' where an option of the queue is wanted",
     "did you mean 'bandwidth'?", kFreeBsd},
    {"Limiter", "state limiter \"a\" id 1 limt 5", 1, 24,
     "syntax error: 'limt' where an option of the limiter is wanted",
     "did you mean 'limit'?"},
    {"Antispoof", "antispoof for em1 lable x", 1, 19,
     "syntax error: 'lable' where label, rtable or the end of the statement is "
     "wanted",
     "did you mean 'label'?"},
};
INSTANTIATE_TEST_SUITE_P(Misspelled, HintTest, testing::ValuesIn(kMisspelled),
                         HintName);

// Words that the other system's pf has, or has otherwise.
constexpr Hinted kOtherDialect[] = {
    {"DebugOfFreeBsd", "set debug urgent", 1, 11,
     "unknown debug level 'urgent'",
     "that is a level of the other dialect; the levels are emerg alert crit "
     "err warning notice info debug"},
    {"DebugOfOpenBsd", "set debug notice", 1, 11,
     "unknown debug level 'notice'",
     "that is a level of the other dialect; the levels are none urgent misc "
     "loud",
     kFreeBsd},
    {"DebugOfNone", "set debug shout", 1, 11, "unknown debug level 'shout'",
     "the levels are none urgent misc loud", kFreeBsd},
    {"QueueOfAltq", "queue std on em0 bandwidth 1M priority 3", 1, 31,
     "syntax error: 'priority' is not an option of a queue",
     "that is FreeBSD's ALTQ: --dialect freebsd"},
    {"AltqOfQueue", "queue std on em0 bandwidth 1Mb parent up", 1, 32,
     "syntax error: 'parent' is not an option of an ALTQ queue",
     "that is OpenBSD's: --dialect openbsd", kFreeBsd},
    {"BandwidthOfAltq", "queue std on em0 bandwidth 20%", 1, 28,
     "invalid bandwidth '20%'", "write a number with K, M or G, or none"},
    {"DivertOfFreeBsd", "pass divert-to 700", 1, 16,
     "divert-to wants an address and a port",
     "write `divert-to ADDRESS port N`; FreeBSD's pf has the port alone: "
     "--dialect freebsd"},
    {"SecondLabel", "pass label a label b", 1, 20, "label is given twice",
     "FreeBSD's pf takes up to five: --dialect freebsd"},
    {"AfToOutward", "pass out inet6 af-to inet from 192.0.2.1", 1, 32,
     "af-to can only be used on inbound rules",
     "FreeBSD's pf has it on outbound rules too: --dialect freebsd"},
    {"AfToAndRoute",
     "pass in inet6 af-to inet from 192.0.2.1 route-to 2001:db8::9", 1, 31,
     "af-to cannot be combined with route-to or reply-to",
     "FreeBSD's pf can: --dialect freebsd"},
    {"LeastStates", "pass in inet rdr-to { 192.0.2.1 192.0.2.2 } least-states",
     1, 21, "least-states is OpenBSD's; FreeBSD's pf has no such pool",
     "round-robin, or --dialect openbsd", kFreeBsd},
    {"Order", "pass\nset limit states 9", 2, 1,
     "rules must be in order: options, ethernet, normalization, queueing, "
     "translation, filtering",
     "move it, or write `set require-order no` first", kFreeBsd},
};
INSTANTIATE_TEST_SUITE_P(OtherDialect, HintTest,
                         testing::ValuesIn(kOtherDialect), HintName);

// Names that nothing has. pf lets tables and interfaces come later, so there
// these are warnings.
constexpr Hinted kNames[] = {
    {"Table", "table <abusers> persist\nblock from <abuser>", 2, 12,
     "table <abuser> is not defined", "did you mean <abusers>?", kOpenBsd,
     kWarning},
    {"NegatedTableOfAnAnchor",
     "anchor \"a\" {\n table <clients> { 192.0.2.1 }\n"
     " pass from ! <cleints>\n}",
     3, 14, "table <cleints> is not defined", "did you mean <clients>?",
     kFreeBsd, kWarning},
    {"OverloadTable",
     "table <bruteforce> persist\n"
     "pass proto tcp keep state (max-src-conn 5, overload <brutforce>)",
     2, 53, "table <brutforce> is not defined", "did you mean <bruteforce>?",
     kOpenBsd, kWarning},
    {"PoolTable", "table <web> const { 192.0.2.1 }\npass in rdr-to <wbe>", 2,
     16, "table <wbe> is not defined", "did you mean <web>?", kOpenBsd,
     kWarning},
    {"Interface", "pass in on { em1 ppp1 }", 1, 18,
     "no interface or group is named 'ppp1'", "did you mean 'ppp0'?", kOpenBsd,
     kWarning},
    {"NegatedInterface", "pass in on ! pp0", 1, 14,
     "no interface or group is named 'pp0'", "did you mean 'ppp0'?", kFreeBsd,
     kWarning},
    {"Group", "pass out on egres", 1, 13,
     "no interface or group is named 'egres'", "did you mean 'egress'?",
     kOpenBsd, kWarning},
    {"InterfaceFarOff", "pass in on outside", 1, 12,
     "no interface or group is named 'outside'",
     "there are egress, em, em0, em1, lo, lo0, ppp0", kOpenBsd, kWarning},
    {"ReceivedOn", "pass out received-on pppp0", 1, 22,
     "no interface or group is named 'pppp0'", "did you mean 'ppp0'?",
     kOpenBsd, kWarning},
    {"NotReceivedOn", "pass out ! received-on pppp0", 1, 24,
     "no interface or group is named 'pppp0'", "did you mean 'ppp0'?",
     kOpenBsd, kWarning},
    {"DynamicAddress", "pass to (pppo:0)", 1, 10,
     "no interface or group is named 'pppo'", "did you mean 'ppp0'?", kOpenBsd,
     kWarning},
    {"SkipOn", "set skip on { lo egres }", 1, 18,
     "no interface or group is named 'egres'", "did you mean 'egress'?",
     kOpenBsd, kWarning},
    {"LogInterface", "set loginterface pppp0", 1, 18,
     "no interface or group is named 'pppp0'", "did you mean 'ppp0'?",
     kOpenBsd, kWarning},
    {"RouteInterface", "pass in route-to (pppo 192.0.2.1) inet", 1, 19,
     "no interface or group is named 'pppo'", "did you mean 'ppp0'?",
     kFreeBsd, kWarning},
    {"EtherInterface", "ether pass on egres", 1, 15,
     "no interface or group is named 'egres'", "did you mean 'egress'?",
     kFreeBsd, kWarning},
    {"AddressOfAnInterface", "pass from egres:network", 1, 11,
     "no IP address found for egres:network",
     "no interface or group is named 'egres'; did you mean 'egress'?"},
    {"AddressOfAnInterfaceFarOff", "pass from outside:network", 1, 11,
     "no IP address found for outside:network",
     "no interface or group is named 'outside'; there are egress, em, em0, "
     "em1, lo, lo0, ppp0"},
    {"AddressOfAWord", "pass from egres", 1, 11,
     "no IP address found for egres", "did you mean 'egress'?"},
    {"AddressOfNothing", "pass from nowhere.at.all", 1, 11,
     "no IP address found for nowhere.at.all",
     "neither an interface, nor a group, nor a known host"},
    {"AntispoofInterface", "antispoof for ppp1", 1, 15,
     "no interface or group is named 'ppp1': antispoof makes no rule of it",
     "did you mean 'ppp0'?", kOpenBsd, kWarning},
    {"AntispoofFarOff", "antispoof for outside", 1, 15,
     "no interface or group is named 'outside': antispoof makes no rule of it",
     "(outside) follows an interface that comes later", kOpenBsd, kWarning},
    {"ParentQueue", "queue main on em0 bandwidth 9M\n"
     "queue std parent mian bandwidth 1M",
     2, 7, "parent queue mian is not defined", "did you mean 'main'?"},
    {"RuleQueue", "queue std on em0 bandwidth 9M\npass set queue sdt", 2, 16,
     "queue sdt is not defined", "did you mean 'std'?", kOpenBsd, kWarning},
    {"SecondQueueOfARule",
     "altq on em0 cbq queue { std }\nqueue std\npass queue (std, pir)", 3, 18,
     "queue pir is not defined", "", kFreeBsd, kWarning},
    {"QueueWithoutAny", "pass set queue std", 1, 16,
     "queue std is not defined", "", kOpenBsd, kWarning},
    {"QueueWithChildren",
     "queue main on em0 bandwidth 9M\nqueue std parent main bandwidth 1M\n"
     "pass set queue main",
     3, 16,
     "queue main has children: packets are assigned to leaf queues only", ""},
};
INSTANTIATE_TEST_SUITE_P(Names, HintTest, testing::ValuesIn(kNames), HintName);

// What to write instead.
constexpr Hinted kAdvice[] = {
    {"MacroValue", "web = { 80 }", 1, 7,
     "syntax error: a macro's value is text, in quotes unless it is one word",
     "write web = \"...\""},
    {"PortNeedsProtocol", "pass to port 80", 1, 14,
     "port only applies to tcp, udp and sctp", "add proto { tcp udp }"},
    {"ReturnRst", "block return-rst", 1, 7,
     "return-rst can only be applied to TCP rules",
     "add proto tcp, or use return"},
    {"TranslationDirection", "pass nat-to 192.0.2.1", 1, 13,
     "direction must be explicit with rules that specify translation",
     "write `out` for nat-to, `in` for rdr-to"},
    {"Icmp6Family", "pass proto icmp6 icmp6-type echoreq", 1, 29,
     "must indicate address family with icmp-type/code", "write inet6"},
    {"NoCombination", "pass inet from ::1", 1, 1,
     "rule expands to no valid combination",
     "its address families or interfaces exclude each other"},
    {"ScrubQuick", "scrub in quick", 1, 1,
     "scrub rules do not support quick processing",
     "the first scrub rule that matches is the one that counts"},
    {"TableRange", "table <t> { 192.0.2.1 - 192.0.2.9 }", 1, 13,
     "a range cannot be an entry of a table", "write its networks"},
    {"TableDynamic", "table <t> { (em0) }", 1, 13,
     "a dynamic address cannot be an entry of a table",
     "write the interface without brackets"},
    {"TableName", "table <\"a b\"> persist", 1, 8, "'a b' cannot name a table",
     "use letters, digits and _ . : -"},
    {"AnchorWithoutAnything", "anchor", 1, 1,
     "anchor without a name and without a body",
     "write anchor \"name\" or anchor { ... }"},
    {"QueueBandwidth", "queue std on em0", 1, 7, "queue std has no bandwidth",
     "write bandwidth or flows"},
    {"Mac", "ether pass from 00:11", 1, 17, "'00:11' is not a MAC address",
     "write 00:11:22:33:44:55, with /bits or &mask"},
    {"Pflog", "pass log (to em0)", 1, 14, "'em0' is not a pflog interface",
     "write pflog0 to pflog255"},
    {"DivertPort", "pass divert-to sssh", 1, 16, "unknown port sssh",
     "did you mean 'ssh'?", kFreeBsd},
    {"Probability", "block probability often", 1, 19,
     "invalid probability: often",
     "write a percentage such as 20%, or a number from 0 to 1"},
};
INSTANTIATE_TEST_SUITE_P(Advice, HintTest, testing::ValuesIn(kAdvice), HintName);

// The system that a ruleset is checked on need not be the firewall: what it
// has not is no slip.
TEST(Hint, InterfacesOfTheSystemAreNotAllThereAre) {
  HostFacts facts;
  facts.AddInterface({.name = "eth0", .groups = {}, .addresses = {}});
  ParseInput input;
  input.text = "pass in on eth1\n";
  input.facts = &facts;
  EXPECT_TRUE(ParsePolicy(input).diagnostics.empty());
  facts.set_names_all_interfaces();
  EXPECT_EQ(ParsePolicy(input).diagnostics.size(), 1u);
}

TEST(Hint, OneWarningForAName) {
  const ParseResult result = ParseText(
      "table <web> persist\npass in on em7 from <wbe>\n"
      "pass out on em7 to <wbe>\nblock on lo7\npass on any\nset skip on lo\n");
  ASSERT_EQ(result.diagnostics.size(), 2u)
      << FormatDiagnostics(result.diagnostics);
  EXPECT_EQ(result.diagnostics[0].line, 2u);
  EXPECT_EQ(result.diagnostics[1].line, 2u);
}

TEST(Hint, NoWarningBesideErrors) {
  const ParseResult result =
      ParseText("table <web> persist\npass on em7 from <wbe>\nwrong");
  ASSERT_EQ(result.diagnostics.size(), 1u);
  EXPECT_EQ(result.diagnostics[0].line, 3u);
}

TEST(Hint, TextForAnAnchorMayUseQueuesAndTablesOfTheMainRuleset) {
  EXPECT_TRUE(ParseText("table <web> persist\npass from <wbe> set queue std",
                        {.anchor = "a"})
                  .diagnostics.empty());
}

}  // namespace
}  // namespace sluice
