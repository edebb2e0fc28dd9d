// A policy goes with its snapshot whatever language it came from: dialect,
// level of the optimiser, tables that it made, facts about another host,
// options that a load had merged. Where it goes to knows none of these.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "pftable/host/host_facts.h"
#include "pftable/print/printer.h"
#include "pftable/store/policy_listing.h"
#include "tests/unit/restore/import_node.h"

namespace sluice {
namespace {

constexpr char kFacts[] = R"(
[[interface]]
name = "em0"
groups = ["egress"]
addresses = [{address="10.0.0.1", prefix=24, broadcast="10.0.0.255"},
             {address="10.1.0.1", prefix=32, peer="10.1.0.2"},
             {address="2001:db8::1", prefix=64}]
[[interface]]
name = "lo0"
addresses = [{address="127.0.0.1", prefix=8}, {address="::1", prefix=128}]
[hosts]
www = ["192.0.2.80", "2001:db8::80"]
mail = ["192.0.2.25", "2001:db8::25"]
[services]
"web/tcp" = 8080
[protocols]
myproto = 99
)";

// Options, tables and rules of every kind that is enforced. Names, services
// and interfaces are those of the facts.
constexpr char kRules[] =
    "set limit states 500\n"
    "set block-policy return\n"
    "set skip on lo0\n"
    "set timeout { tcp.first 33, udp.single 7 }\n"
    "set state-policy if-bound\n"
    "web = \"{ 80 443 web }\"\n"
    "table <bad> persist counters { 10.9.0.0/16 ! 10.9.1.0/24 www }\n"
    "table <none> persist\n"
    "table <const> const { self em0:network }\n"
    "ether anchor \"frames\" in on em0 {\n"
    "  ether block from 02:00:00:00:00:00/24 l3 from <bad> to any\n"
    "  ether anchor { ether pass quick proto 0x0806 label \"arp\" }\n"
    "}\n"
    "ether pass out to ! 02:00:00:00:00:01&ff:ff:ff:ff:ff:0f tag FRAME\n"
    "ether block in quick on ! em0 tagged FRAME\n"
    "antispoof quick for em0 label \"spoof$nr\"\n"
    "block log (all)\n"
    "block drop in quick from <bad>\n"
    "block drop in quick from <bad> to www\n"
    "block return-rst in proto tcp to mail port 25\n"
    "block return-icmp (host-unr, admin-unr) in proto udp from ! <const>\n"
    "match in on egress proto tcp to port $web tag WEB\n"
    "pass in inet proto icmp icmp-type echoreq code 0\n"
    "pass in inet6 proto icmp6 icmp6-type { echoreq, neighbrsol }\n"
    "pass in proto tcp from any to (em0) port $web flags S/SA tagged WEB "
    "keep state (tcp.established 600, sloppy)\n"
    "pass out on ! lo0 proto { tcp udp myproto } from self to www\n"
    "pass out proto tcp from any port 1024:65535 to 10/8 port != 22 no state\n"
    "pass out inet from 10.0.0.1 - 10.0.0.9 received-on em0 allow-opts\n"
    "pass in tos lowdelay keep state (max 10, floating)\n"
    "anchor \"a\" in on em0 {\n"
    "  table <inner> { mail }\n"
    "  pass proto udp from <inner> to port domain label \"$if:$nr\"\n"
    "  anchor quick { block from <bad>\nblock from <bad> to 10/8\n }\n"
    "}\n"
    "anchor \"x/*\"\n"
    "anchor \"a\" out\n"
    "pass in proto tcp from { 10.0.0.1 10.0.0.3 10.0.0.5 10.0.0.7 10.0.0.9 "
    "10.9/16 } to port ssh\n"
    "pass in proto tcp from { ::1 ::3 ::5 ::7 ::9 ::11 2001:db8::/32 } to port "
    "ssh\n";

ParseResult Parse(const char* text, Dialect dialect,
                  std::optional<RulesetOptimization> level,
                  const Options* base = nullptr) {
  static const HostFacts& facts =
      *new HostFacts(*HostFacts::FromToml(kFacts, "facts"));
  ParseInput input;
  input.text = text;
  input.dialect = dialect;
  input.facts = &facts;
  input.base_options = base;
  input.optimize = true;
  input.optimization = level;
  input.profile = [](const Rule& rule, std::string_view) {
    return rule.destination.port.low;
  };
  input.table_naming = TableNaming::kByContents;
  return ParsePolicy(std::move(input));
}

std::string DialectName(Dialect dialect) {
  return dialect == Dialect::kOpenBsd ? "OpenBsd" : "FreeBsd";
}

std::unique_ptr<ImportNode> MakeNode() {
  auto node = std::make_unique<ImportNode>(Family::kIpv4);
  for (const char* name : {"em0", "lo0"}) {
    const std::string groups[] = {"egress"};
    EXPECT_TRUE(node->interfaces.AddPort(name, groups).ok());
  }
  return node;
}

// What is enforced, and in whose words.
std::string Printed(const ImportNode& node) {
  const std::shared_ptr<const Policy> policy = node.store.policy();
  std::string text = DialectName(policy->options.dialect) + "\n";
  for (const Options::Given& given : policy->options.given) {
    text += given.text + "\n";
  }
  for (const RuleStatus& rule : PolicyListing(node.store).AllRules()) {
    text += rule.rule.anchor + ": " +
            PrintRule(*rule.rule.rule,
                      {.dialect = policy->options.dialect}) +
            "\n";
  }
  for (const ListedEtherRule& rule :
       node.store.generation()->policy->listed_ether) {
    text += rule.anchor + ": " + PrintEtherRule(*rule.rule) + "\n";
  }
  return text;
}

// Dialect, level (nothing: the ruleset's own), dialect of where it goes to.
using Param =
    std::tuple<Dialect, std::optional<RulesetOptimization>, Dialect>;

class ImportLanguage : public testing::TestWithParam<Param> {};

TEST_P(ImportLanguage, PolicyIsTheSame) {
  const auto& [dialect, level, receiver] = GetParam();
  ParseResult parsed = Parse(kRules, dialect, level);
  ASSERT_TRUE(parsed.ok()) << FormatDiagnostics(parsed.diagnostics);
  size_t automatic = 0;
  for (const TableDefinition& table : parsed.policy.main.tables) {
    automatic += table.name.starts_with(kAutomaticPrefix);
  }
  EXPECT_EQ(automatic, level == RulesetOptimization::kNone ? 0u : 2u);
  const auto from = MakeNode();
  const absl::Status loaded = from->store.Load(std::move(parsed.policy));
  ASSERT_TRUE(loaded.ok()) << loaded;
  const Snapshot snapshot = from->Export();

  const auto to = MakeNode();
  ImportOptions options = WithPolicy(true);
  options.dialect = receiver;
  const auto report = to->Import(snapshot, options);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(Printed(*to), Printed(*from));
  EXPECT_EQ(to->store.generation()->hash, from->store.generation()->hash);
  EXPECT_EQ(RulesetChecksum(*to->store.policy()),
            RulesetChecksum(*from->store.policy()));
  // Whoever gets it from there has the same again.
  Snapshot again = to->Export();
  EXPECT_EQ(again.header.policy_hash, snapshot.header.policy_hash);
  again.header = snapshot.header;
  EXPECT_EQ(again, snapshot);
}

INSTANTIATE_TEST_SUITE_P(
    All, ImportLanguage,
    testing::Combine(
        testing::Values(Dialect::kOpenBsd, Dialect::kFreeBsd),
        testing::Values(std::nullopt, RulesetOptimization::kNone,
                        RulesetOptimization::kBasic,
                        RulesetOptimization::kProfile),
        testing::Values(Dialect::kOpenBsd, Dialect::kFreeBsd)),
    [](const auto& info) {
      const auto level = std::get<1>(info.param);
      return DialectName(std::get<0>(info.param)) + "_" +
             (level ? std::string(Name(*level)) : "own") + "_to_" +
             DialectName(std::get<2>(info.param));
    });

TEST(ImportLanguageTest, MergedOptionsAreThere) {
  const Policy before =
      Parse("set timeout udp.first 9\nset limit states 700\n",
            Dialect::kFreeBsd, {})
          .policy;
  ParseResult merged = Parse("set limit states 800\npass\n", Dialect::kFreeBsd,
                             {}, &before.options);
  ASSERT_TRUE(merged.ok()) << FormatDiagnostics(merged.diagnostics);
  const auto from = MakeNode();
  ASSERT_TRUE(from->store.Load(std::move(merged.policy)).ok());
  const auto to = MakeNode();
  const auto report = to->Import(from->Export(), WithPolicy(true));
  ASSERT_TRUE(report.ok()) << report.status();
  const Options& options = to->store.policy()->options;
  EXPECT_EQ(options.limit(Limit::kStates), 800u);
  EXPECT_EQ(options.timeout(Timeout::kUdpFirst), 9u);
  EXPECT_EQ(to->store.generation()->hash, from->store.generation()->hash);
}

// What was written before snapshots said their dialect.
TEST(ImportLanguageTest, WithoutADialectItIsTheReceivers) {
  const auto from = MakeNode();
  ASSERT_TRUE(
      from->store.Load(Parse(kRules, Dialect::kFreeBsd, {}).policy).ok());
  Snapshot snapshot = from->Export();
  snapshot.meta.dialect.reset();
  for (const Dialect dialect : {Dialect::kOpenBsd, Dialect::kFreeBsd}) {
    ImportOptions options = WithPolicy(true);
    options.dialect = dialect;
    const auto to = MakeNode();
    const auto report = to->Import(snapshot, options);
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_EQ(to->store.policy()->options.dialect, dialect);
    EXPECT_EQ(
        to->store.generation()->hash == from->store.generation()->hash,
        dialect == Dialect::kFreeBsd);
  }
}

// What can be loaded can be moved: names are refused, or go through.
TEST(ImportLanguageTest, NamesOfAllKinds) {
  size_t moved = 0, refused = 0;
  for (const std::string name :
       {"plain", "two words", "tab\tin it", "dots.and:colons-1", "quote\\\"d",
        "back\\\\slash", "{brace}", "#hash", "p%r$nr", "'single'", "<a>",
        "(b)", "1", "pass"}) {
    for (const char* rule :
         {"block label \"@\"\n", "match tag \"@\"\nblock tagged \"@\"\n",
          "pass on \"@\"\n", "table <\"@\"> { ::1 }\nblock from <\"@\">\n",
          "anchor \"@\" {\nblock\n}\n", "anchor \"a\" {\nanchor \"@\" {\n"
          "table <t> { ::1 }\nblock from <t>\n}\n}\n",
          "pass received-on \"@\"\n", "anchor \"@\"\n", "anchor \"a/@/*\"\n"}) {
      std::string text = rule;
      for (size_t at = text.find('@'); at != text.npos;
           at = text.find('@', at + name.size())) {
        text.replace(at, 1, name);
      }
      const auto from = MakeNode();
      if (!LoadText(from->store, text).ok()) {
        ++refused;
        continue;
      }
      const auto to = MakeNode();
      const auto report = to->Import(from->Export(), WithPolicy(true));
      EXPECT_TRUE(report.ok()) << text << report.status();
      EXPECT_EQ(to->store.generation()->hash, from->store.generation()->hash)
          << text;
      ++moved;
    }
  }
  EXPECT_GT(moved, 50u);
  EXPECT_GT(refused, 20u);
}

// The dialects differ in what a ruleset without a word about it means.
TEST(ImportLanguageTest, DefaultsAreThoseOfItsDialect) {
  const auto from = MakeNode();
  ASSERT_TRUE(
      from->store.Load(Parse("block\n", Dialect::kFreeBsd, {}).policy).ok());
  const auto to = MakeNode();
  ASSERT_TRUE(to->Import(from->Export(), WithPolicy(true)).ok());
  const Options& options = to->store.policy()->options;
  EXPECT_EQ(options.dialect, Dialect::kFreeBsd);
  EXPECT_EQ(options.reassemble, Reassembly::kNo);
  EXPECT_EQ(options.limits, from->store.policy()->options.limits);
}

}  // namespace
}  // namespace sluice
