// What the dialect decides: the same words with another meaning (S1 to S15)
// and the same meaning in other words (P1 to P8), both dialects beside each
// other. Flags of the tool are in sluicectl_print_test.cc.
#include <gtest/gtest.h>

#include <string>

#include "pftable/compile/compile.h"
#include "pftable/compile/enforce.h"
#include "tests/unit/pftable/language/language_contrast.h"

namespace sluice {
namespace {

constexpr char kOrder[] =
    "2:1: rules must be in order: options, ethernet, normalization, queueing, "
    "translation, filtering\n";
constexpr char kPath33[] =
    "anchor \"1/2/3/4/5/6/7/8/9/1/2/3/4/5/6/7/8/9/1/2/3/4/5/6/7/8/9/1/2/3/4/5/"
    "6\"";
constexpr char kPath65[] =
    "anchor \"1/2/3/4/5/6/7/8/9/1/2/3/4/5/6/7/8/9/1/2/3/4/5/6/7/8/9/1/2/3/4/5/"
    "6/7/8/9/1/2/3/4/5/6/7/8/9/1/2/3/4/5/6/7/8/9/1/2/3/4/5/6/7/8/9/1/2\"";

constexpr Contrast kMeanings[] = {
    {"S2OptionAfterRules", "block\nset limit states 9",
     "set limit states 9\nblock drop all\n", kOrder},
    {"S2OptionsAnywhere",
     "block\nset skip on em0\nset hostid 1\nset state-policy floating\n"
     "set state-defaults no-sync\nset ruleset-optimization none\n"
     "set keepcounters\nset syncookies never\nnat-anchor x",
     "set skip on { em0 }\nset hostid 0x00000001\n"
     "set state-policy floating\nset syncookies never\n"
     "nat-anchor \"x\" all\nblock drop all\n",
     "9:1: rules must be in order: options, ethernet, normalization, queueing, "
     "translation, filtering\n"},
    {"S2TranslationAfterRules", "block\nnat on em0 inet -> 192.0.2.1",
     "nat on em0 inet all -> 192.0.2.1\nblock drop all\n", kOrder},
    {"S2OrderLifted", "set require-order no\nblock\nset skip on em0",
     "set require-order no\nset skip on { em0 }\nblock drop all\n",
     "set require-order no\nset skip on { em0 }\nblock drop all\n"},
    {"S2OrderDemanded", "set require-order yes\nblock\nset limit states 9",
     "3:1: rules must be in order: options, ethernet, normalization, queueing, "
     "translation, filtering\n",
     "3:1: rules must be in order: options, ethernet, normalization, queueing, "
     "translation, filtering\n"},
    {"S4DivertToAddressAndPort",
     "pass in proto tcp divert-to 127.0.0.1 port 700",
     "pass in inet proto tcp all flags S/SA divert-to 127.0.0.1 port 700\n",
     "pass in proto tcp all flags S/SA keep state divert-to 700\n"},
    {"S4DivertToPort", "pass in proto tcp divert-to 700",
     "1:29: divert-to wants an address and a port\n",
     "pass in proto tcp all flags S/SA keep state divert-to 700\n"},
    {"S5QueueOfARule",
     "pass queue std",
     "warning 1:12: queue std is not defined\n"
     "pass all flags S/SA set (queue std)\n",
     "warning 1:12: queue std is not defined\n"
     "pass all flags S/SA keep state queue std\n"},
    {"S5QueueOfAnInterface",
     "queue std on em0 bandwidth 1M",
     "queue std on em0 bandwidth 1M\n",
     "1:7: queue std has no parent\n"},
    {"S5FlowQueue", "queue std on em0 bandwidth 1M min 500K default",
     "queue std on em0 bandwidth 1M, min 500K default\n",
     "1:31: syntax error: 'min' is not an option of an ALTQ queue\n"},
    {"S5AltqQueue", "queue std bandwidth 1Mb priority 3",
     "1:25: syntax error: 'priority' is not an option of a queue\n",
     "1:7: queue std has no parent\n"},
    {"S6DebugOfOpenBsd", "set debug warning", "set debug warning\n",
     "1:11: unknown debug level 'warning'\n"},
    {"S6DebugOfFreeBsd", "set debug misc",
     "1:11: unknown debug level 'misc'\n", "set debug misc\n"},
    {"S8AfToAndRouteTo",
     "pass in inet6 route-to 2001:db8::9 af-to inet from 192.0.2.1",
     "1:52: af-to cannot be combined with route-to or reply-to\n",
     "pass in route-to 2001:db8::9 inet6 all flags S/SA keep state af-to inet "
     "from 192.0.2.1\n"},
    {"S8AfToOutward", "pass out inet6 af-to inet from 192.0.2.1",
     "1:32: af-to can only be used on inbound rules\n",
     "pass out inet6 all flags S/SA keep state af-to inet from 192.0.2.1\n"},
    {"S8AfToInward", "pass in inet6 af-to inet from 192.0.2.1",
     "pass in inet6 all flags S/SA af-to inet from 192.0.2.1\n",
     "pass in inet6 all flags S/SA keep state af-to inet from 192.0.2.1\n"},
    {"S12SynproxyWithoutIn", "pass proto tcp synproxy state",
     "pass proto tcp all flags S/SA synproxy state\n",
     "warning 1:16: synproxy state is used for inbound connections only\n"
     "pass proto tcp all flags S/SA synproxy state\n"},
    {"S12SynproxyIn", "pass in proto tcp synproxy state",
     "pass in proto tcp all flags S/SA synproxy state\n",
     "pass in proto tcp all flags S/SA synproxy state\n"},
    {"S14Depth33", kPath33, "anchor \"1/2/3/4/5/6/7/8/9/1/2/3/4/5/6/7/8/9/1/2/3"
     "/4/5/6/7/8/9/1/2/3/4/5/6\" all\n",
     "1:1: anchors are nested more than 32 deep\n"},
    {"S14Depth65", kPath65, "1:1: anchors are nested more than 64 deep\n",
     "1:1: anchors are nested more than 32 deep\n"},
    {"S15TwoLabels", "block label a label b", "1:21: label is given twice\n",
     "block drop all label \"a\" label \"b\"\n"},
    {"S15SixLabels",
     "block label a label b label c label d label e label f",
     "1:21: label is given twice\n",
     "1:53: too many labels, max 5 per rule\n"},
};
INSTANTIATE_TEST_SUITE_P(Meanings, ContrastTest, testing::ValuesIn(kMeanings),
                         ContrastName);

constexpr Contrast kPrints[] = {
    {"P1KeepState", "pass in proto udp", "pass in proto udp all\n",
     "pass in proto udp all keep state\n"},
    {"P1KeepStateWithOptions", "pass keep state (max 5)",
     "pass all flags S/SA keep state (max 5)\n",
     "pass all flags S/SA keep state (max 5)\n"},
    {"P1NoState", "pass no state", "pass all no state\n",
     "pass all no state\n"},
    {"P2Ports", "pass proto udp from port 27015 to port ssh",
     "pass proto udp from any port = 27015 to any port = 22\n",
     "pass proto udp from any port = game to any port = ssh keep state\n"},
    {"P3SetPrio", "pass set prio 3", "pass all flags S/SA set (prio 3)\n",
     "pass all flags S/SA set ( prio 3 ) keep state\n"},
    {"ScrubOfARule", "match scrub (no-df max-mss 1440)",
     "match all scrub (no-df max-mss 1440)\n",
     "match all scrub( no-df max-mss 1440)\n"},
    {"FragmentScrubAndOptions", "pass fragment allow-opts scrub (no-df)",
     "pass all fragment scrub (no-df) allow-opts\n",
     "pass all keep state allow-opts fragment scrub( no-df)\n"},
    // FreeBSD has one TOS to set, whichever way it is written.
    {"TosOfScrub", "match scrub (set-tos 0x10)",
     "match all scrub (set-tos 0x10)\n", "match all set ( tos 0x10 )\n"},
    {"TosOfScrubAmongOthers", "match set tos 8 scrub (no-df set-tos 0x10)",
     "match all set (tos 0x08) scrub (no-df set-tos 0x10)\n",
     "match all set ( tos 0x10 ) scrub( no-df set-tos 0x10)\n"},
    {"NoneIsNone",
     "pass ridentifier 0 max-pkt-size 0 dnpipe 0 scrub (min-ttl 0, max-mss 0)",
     "pass all flags S/SA\n", "pass all flags S/SA keep state\n"},
    {"P4PoolOfAddresses",
     "pass in inet proto tcp rdr-to { 192.0.2.1 192.0.2.2 }",
     "table <__automatic_0> const { 192.0.2.1 192.0.2.2 }\n"
     "pass in inet proto tcp all flags S/SA rdr-to <__automatic_0> "
     "round-robin\n",
     "pass in inet proto tcp all flags S/SA keep state rdr-to { 192.0.2.1, "
     "192.0.2.2 } round-robin\n"},
    {"P4PoolOfAddressesOfBothFamilies",
     "pass in proto tcp to { 10.0.0.1 2001:db8::1 } rdr-to { 192.0.2.1 "
     "192.0.2.2 2001:db8::2 2001:db8::3 }",
     "1:54: translation spec contains addresses with different address "
     "families\n",
     "pass in inet proto tcp from any to 10.0.0.1 flags S/SA keep state rdr-to "
     "{ 192.0.2.1, 192.0.2.2 } round-robin\n"
     "pass in inet6 proto tcp from any to 2001:db8::1 flags S/SA keep state "
     "rdr-to { 2001:db8::2, 2001:db8::3 } round-robin\n"},
    {"P5BeyondScope", "block return-icmp6 (beyond-unr) inet6",
     "block return-icmp6(beyond-unr) inet6 all\n",
     "block return-icmp6(notnbr-unr) inet6 all\n"},
    {"P5NotANeighbour", "block return-icmp6 (notnbr-unr) inet6",
     "block return-icmp6(beyond-unr) inet6 all\n",
     "block return-icmp6(notnbr-unr) inet6 all\n"},
    {"P5InConditions",
     "block inet6 proto icmp6 icmp6-type unreach code beyond-unr",
     "block drop inet6 proto ipv6-icmp all icmp6-type unreach code "
     "beyond-unr\n",
     "block drop inet6 proto ipv6-icmp all icmp6-type unreach code "
     "notnbr-unr\n"},
    {"P6DivertToIpv6", "pass in proto udp divert-to ::1 port 9",
     "pass in inet6 proto udp all divert-to ::1 port 9\n",
     "pass in proto udp all keep state divert-to 9\n"},
    {"P7NamesOfTheHost", "block out proto udp user joe group wheel",
     "block drop out proto udp all user = 1000 group = 0\n",
     "block drop out proto udp all user = 1000 group = 0\n"},
    {"P8FamilyOfAPool", "pass out inet nat-to 2001:db8::1",
     "1:22: af mismatch: no address of the pool is of the rule's address "
     "family\n",
     "1:22: no routing or translation address with matching address family "
     "found\n"},
};
INSTANTIATE_TEST_SUITE_P(Prints, ContrastTest, testing::ValuesIn(kPrints),
                         ContrastName);

TEST(Dialect, S1Reassembly) {
  const auto of = [](const char* text, Dialect dialect) {
    return ParseText(text, {.dialect = dialect}).policy.options.reassemble;
  };
  EXPECT_EQ(of("", Dialect::kOpenBsd), Reassembly::kYes);
  EXPECT_EQ(of("", Dialect::kFreeBsd), Reassembly::kNo);
  for (const Dialect dialect : {Dialect::kOpenBsd, Dialect::kFreeBsd}) {
    EXPECT_EQ(of("set reassemble yes no-df", dialect), Reassembly::kYesNoDf);
    EXPECT_EQ(of("set reassemble no", dialect), Reassembly::kNo);
  }
}

TEST(Dialect, S13Limits) {
  const auto frags = [](const char* text, Dialect dialect) {
    return ParseText(text, {.dialect = dialect})
        .policy.options.limit(Limit::kFragments);
  };
  EXPECT_EQ(frags("", Dialect::kFreeBsd), 5000u);
  EXPECT_NE(frags("", Dialect::kOpenBsd), 5000u);
  for (const Dialect dialect : {Dialect::kOpenBsd, Dialect::kFreeBsd}) {
    EXPECT_EQ(frags("set limit frags 77", dialect), 77u);
    // Each system's own limits are read in the other dialect, too.
    EXPECT_EQ(Outcome("set limit { tables 9 pktdelay-pkts 8 eth-anchors 7 }",
                      dialect),
              "set limit tables 9\nset limit pktdelay-pkts 8\n"
              "set limit eth-anchors 7\n");
  }
}

// S7, S9, S10 and S11 are of the engine; what it does not do is refused by
// name in both dialects.
TEST(Dialect, S11WhatIsNotEnforcedIsRefusedByName) {
  for (const Dialect dialect : {Dialect::kOpenBsd, Dialect::kFreeBsd}) {
    const ParseResult result = ParseText(
        "pass in inet6 to 2001:db8::/44 af-to inet from 192.0.2.1",
        {.dialect = dialect});
    const auto refused =
        UnenforcedConstructs(result.policy, kEngineCapabilities);
    ASSERT_EQ(refused.size(), 1u);
    EXPECT_EQ(refused[0].message,
              "parsed, not enforced yet: af-to with a prefix of other than 32, "
              "40, 48, 56, 64 or 96 bits");
  }
}

// The form of host facts, word by word.
constexpr char kFacts[] = R"(
[[interface]]
name="em0"
groups=["egress"]
addresses=[{address="10.0.0.1", prefix=24, broadcast="10.0.0.255"}, {address="10.1.0.1", prefix=32, peer="10.1.0.2"}, {address="fe80::1", prefix=64}]
[hosts]
localhost=["127.0.0.1","::1"]
[services]
"ssh/tcp"=2222
[protocols]
tcp=6
[users]
root=0
[groups]
wheel=0
)";

TEST(Facts, DecideWhatARulesetNames) {
  const auto facts = HostFacts::FromToml(kFacts, "facts.toml");
  ASSERT_TRUE(facts.ok()) << facts.status();
  for (const Dialect dialect : {Dialect::kOpenBsd, Dialect::kFreeBsd}) {
    ParseInput input;
    input.dialect = dialect;
    input.facts = &*facts;
    input.text =
        "block on egress from em0:network to em0:broadcast\n"
        "block from em0:peer to em0:0\n"
        "block from localhost to (em0)\n"
        "block from self\n"
        "block proto tcp to port ssh\n"
        "block proto tcp user root group wheel\n";
    const ParseResult result = ParsePolicy(std::move(input));
    ASSERT_TRUE(result.diagnostics.empty())
        << FormatDiagnostics(result.diagnostics);
    const std::string port = dialect == Dialect::kOpenBsd ? "2222" : "ssh";
    EXPECT_EQ(
        PrintPolicy(result.policy, {.dialect = dialect, .facts = &*facts}),
        "block drop on egress inet from 10.0.0.0/24 to 10.0.0.255\n"
        "block drop on egress inet from 10.1.0.1 to 10.0.0.255\n"
        "block drop inet from 10.1.0.2 to 10.0.0.1\n"
        "block drop inet from 127.0.0.1 to (em0)\n"
        "block drop inet6 from ::1 to (em0)\n"
        "block drop inet from 10.0.0.1 to any\n"
        "block drop inet from 10.1.0.1 to any\n"
        "block drop on em0 inet6 from fe80::1 to any\n"
        "block drop proto tcp from any to any port = " + port + "\n"
        "block drop proto tcp all user = 0 group = 0\n");
  }
}

TEST(Facts, AreAllThatIsKnown) {
  const auto facts = HostFacts::FromToml(kFacts, "facts.toml");
  ASSERT_TRUE(facts.ok()) << facts.status();
  // All of them are known to any system.
  EXPECT_FALSE(facts->User("daemon").has_value());
  EXPECT_FALSE(facts->Group("daemon").has_value());
  EXPECT_TRUE(facts->Host("ip6-localhost", /*ask=*/true).empty());
  EXPECT_EQ(facts->FindInterface("lo"), nullptr);
  EXPECT_EQ(facts->Service("ssh"), 2222);
}

struct BadFacts {
  const char* name;
  const char* text;
  const char* error;
};

void PrintTo(const BadFacts& c, std::ostream* out) { *out << c.name; }

constexpr BadFacts kBadFacts[] = {
    {"NotToml", "[hosts\n", "f:1:7: "},
    {"UnknownTable", "[host]\n", "f:1:1: unknown table 'host'"},
    {"InterfaceIsATable", "[interface]\nname=\"a\"\n",
     "f:1:1: write [[interface]]"},
    {"NoName", "[[interface]]\ngroups=[]\n", "f:1:1: an interface has a name"},
    {"UnknownKey", "[[interface]]\nname=\"a\"\ngroup=[\"b\"]\n",
     "f:3:7: unknown key 'group' of an interface"},
    {"GroupsAreAList", "[[interface]]\nname=\"a\"\ngroups=\"b\"\n",
     "f:3:8: 'groups' is a list"},
    {"GroupIsAWord", "[[interface]]\nname=\"a\"\ngroups=[ 1 ]\n",
     "f:3:10: a group's name in quotes is wanted"},
    {"AddressesAreAList", "[[interface]]\nname=\"a\"\naddresses=\"b\"\n",
     "f:3:11: 'addresses' is a list"},
    {"AddressIsATable", "[[interface]]\nname=\"a\"\naddresses=[\"::1\"]\n",
     "f:3:12: an address is {address=\"...\", prefix=N}"},
    {"Address", "[[interface]]\nname=\"a\"\naddresses=[{address=\"10/8\"}]\n",
     "f:3:21: an IPv4 or IPv6 address in quotes is wanted"},
    {"Prefix",
     "[[interface]]\nname=\"a\"\naddresses=[{address=\"::1\", prefix=129}]\n",
     "f:3:12: 'prefix' is a number of bits of the address"},
    {"Peer", "[[interface]]\nname=\"a\"\naddresses=[{address=\"::1\", peer=1}]\n",
     "f:3:33: an IPv4 or IPv6 address in quotes is wanted"},
    {"UnknownKeyOfAnAddress",
     "[[interface]]\nname=\"a\"\naddresses=[{address=\"::1\", mask=1}]\n",
     "f:3:33: unknown key 'mask' of an address"},
    {"HostIsAList", "[hosts]\na=\"::1\"\n",
     "f:2:3: a list of addresses is wanted"},
    {"HostOfWords", "[hosts]\na=[\"b\"]\n",
     "f:2:4: an IPv4 or IPv6 address in quotes is wanted"},
    {"ServiceWithoutTransport", "[services]\nssh=22\n",
     "f:1:1: a service is \"NAME/tcp\", \"NAME/udp\" or \"NAME/sctp\", not "
     "\"ssh\""},
    {"ServiceOutOfRange", "[services]\n\"ssh/tcp\"=65536\n",
     "f:2:11: 'ssh/tcp' wants a number from 0 to 65535"},
    {"ProtocolOutOfRange", "[protocols]\ntcp=256\n",
     "f:2:5: 'tcp' wants a number from 0 to 255"},
    {"UserIsANumber", "[users]\nroot=\"0\"\n",
     "f:2:6: 'root' wants a number from 0 to 4294967294"},
    {"GroupIsPositive", "[groups]\nwheel=-1\n",
     "f:2:7: 'wheel' wants a number from 0 to 4294967294"},
};

class BadFactsTest : public testing::TestWithParam<BadFacts> {};

TEST_P(BadFactsTest, AreRefusedWithThePlace) {
  const auto facts = HostFacts::FromToml(GetParam().text, "f");
  ASSERT_FALSE(facts.ok());
  EXPECT_EQ(std::string(facts.status().message()).rfind(GetParam().error, 0),
            0u)
      << facts.status().message();
}

INSTANTIATE_TEST_SUITE_P(Facts, BadFactsTest, testing::ValuesIn(kBadFacts),
                         [](const auto& info) {
                           return std::string(info.param.name);
                         });

}  // namespace
}  // namespace sluice
