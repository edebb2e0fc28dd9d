// Translated states from one filter to another, with what their pools keep.
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "conntrack/translation_directory.h"
#include "conntrack/translator.h"
#include "restore/snapshot_check.h"
#include "tests/unit/restore/import_node.h"

namespace sluice {
namespace {

// A filter whose only rule translates what goes out.
struct Gateway : ImportNode {
  Gateway(Family family, const std::string& pool, uint8_t workers = 1)
      : ImportNode(family, workers),
        family(family),
        directory(HashSecret::FromSeed(9)) {
    EXPECT_TRUE(directory.Build(4096).ok());
    const bool v4 = family == Family::kIpv4;
    const std::string text = absl::StrCat(
        "pass out ", v4 ? "inet" : "inet6", " proto udp from any to any nat-to ",
        v4 ? "{ 192.0.2.7, 192.0.2.8 }" : "{ 2001:db9::7, 2001:db9::8 }", pool,
        "\n");
    ParseInput input;
    input.text = text;
    input.dialect = Dialect::kFreeBsd;
    ParseResult parsed = ParsePolicy(std::move(input));
    EXPECT_TRUE(parsed.ok()) << FormatDiagnostics(parsed.diagnostics);
    EXPECT_TRUE(store.Load(std::move(parsed.policy)).ok());
    sources = *SourceNodes::Build(
        {.capacity = 4096, .secret = HashSecret::FromSeed(4)}, &reclaimer);
    source_budget.nodes.SetLimit(1000);
    for (const auto& one : shards) {
      one->table->SetTranslations(&directory);
      one->table->SetSourceNodes(sources.get());
      one->table->SetFilter(0, &shards[0]->budget, kDefaultTimeoutProfile,
                            &source_budget);
      translators.push_back(std::make_unique<Translator>(
          *one->table, &directory,
          static_cast<uint8_t>(translators.size()), 77));
    }
  }
  ~Gateway() {
    for (const auto& one : shards) {
      uint32_t cursor = 0;
      one->table->entries().Visit(&cursor, 4096, [&](StateIndex state) {
        one->table->Remove(state);
      });
    }
    EXPECT_EQ(directory.size(), 0u);
    EXPECT_EQ(source_budget.nodes.used(), 0u);
    EXPECT_EQ(sources->unlimited()->nodes.used(), 0u);
  }

  // What its source becomes: "address port"; "" if there is no state.
  // `across`: a rule behind has it go on in the other family.
  std::string Open(std::string_view text, size_t worker = 0,
                   bool across = false) {
    const TestPacket packet(family, text);
    const JudgePoint where{.direction = Direction::kOut};
    Translator& translator = *translators[worker];
    translator.Begin(*packet.mbuf, where, shard().now);
    const TranslatorTurn turn(translator);
    const Generation& generation = *store.generation();
    const CompiledRule& rule = generation.policy->rules[0];
    PacketInfo translated = packet.info;
    if (!translator.Choose(generation, rule, Direction::kOut, &translated)) {
      return "";
    }
    if (across) {
      const bool v4 = family == Family::kIpv4;
      translated.family = v4 ? Family::kIpv6 : Family::kIpv4;
      translated.source =
          ParseAddress(v4 ? "64:ff9b::7" : "198.51.100.7")->bytes;
      translated.destination =
          ParseAddress(v4 ? "64:ff9b::1" : "198.51.100.1")->bytes;
    }
    StateTemplate values;
    values.rule_slot = rule.slot;
    const InsertResult made = shard(worker).table->Insert(
        packet.info, *packet.mbuf, where, values, shard().now, nullptr,
        &translated, translator.holds());
    if (made.state == kNoState) return "";
    return absl::StrCat(ToString(translated.source_address()), " ",
                        translated.source_port.host());
  }
  std::string Sources() const {
    std::string text;
    uint32_t cursor = 0;
    sources->Visit(&cursor, ~0u, 0, [&](const SourceRecord& node) {
      absl::StrAppend(&text, ToString(node.target), " ", node.states, "\n");
    });
    return text;
  }

  const Family family;
  TranslationDirectory directory;
  SourceBudget source_budget;
  std::unique_ptr<SourceNodes> sources;
  std::vector<std::unique_ptr<Translator>> translators;
};

class ImportTranslationTest : public testing::TestWithParam<Family> {};

INSTANTIATE_TEST_SUITE_P(Families, ImportTranslationTest,
                         testing::Values(Family::kIpv4, Family::kIpv6),
                         [](const auto& info) {
                           return info.param == Family::kIpv4 ? "v4" : "v6";
                         });

std::string AddressOf(const std::string& end) {
  return end.substr(0, end.find(' '));
}

TEST_P(ImportTranslationTest, ASourceStaysBound) {
  Gateway from(GetParam(), " random sticky-address");
  const std::string first = from.Open("udp $C:1 > $S:53");
  ASSERT_NE(first, "");
  for (int i = 2; i < 5; ++i) {
    ASSERT_EQ(AddressOf(from.Open(absl::StrCat("udp $C:", i, " > $S:53"))),
              AddressOf(first));
  }
  const Snapshot snapshot = from.Export();
  ASSERT_EQ(snapshot.parents.size(), 4u);
  EXPECT_EQ(snapshot.parents[0].pool_marks, 1 << kStickySource);
  EXPECT_EQ(snapshot.parents[0].sticky_rules[0],
            snapshot.parents[0].binding.rule);
  EXPECT_EQ(snapshot.parents[0].sticky_rules[1], 0u);
  Gateway to(GetParam(), " random sticky-address");
  const auto report = to.Import(snapshot, WithPolicy(false));
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(to.Sources(), absl::StrCat(AddressOf(first), " 4\n"));
  for (int i = 10; i < 30; ++i) {
    ASSERT_EQ(AddressOf(to.Open(absl::StrCat("udp $C:", i, " > $S:53"))),
              AddressOf(first));
  }
  EXPECT_EQ(to.Export().parents[0].pool_marks, 1 << kStickySource);
}

// What the pool gave it shows no more behind a rule that changes the family.
TEST_P(ImportTranslationTest, AcrossFamiliesNobodyIsBoundAgain) {
  Gateway from(GetParam(), " random sticky-address");
  ASSERT_NE(from.Open("udp $C:1 > $S:53", 0, /*across=*/true), "");
  const Snapshot snapshot = from.Export();
  ASSERT_EQ(snapshot.parents.size(), 1u);
  ASSERT_TRUE(snapshot.parents[0].translates_family());
  EXPECT_EQ(WhatIsWrong(snapshot.parents[0]), nullptr);
  Gateway to(GetParam(), " random sticky-address");
  const auto report = to.Import(snapshot, WithPolicy(false));
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(to.states(), 1u);
  EXPECT_EQ(to.Sources(), "");
}

// Who is bound to another address here stays so; the state goes on.
TEST_P(ImportTranslationTest, WhoIsBoundHereStaysSo) {
  Gateway from(GetParam(), " round-robin sticky-address");
  const std::string there = from.Open("udp $C:1 > $S:53");
  Gateway to(GetParam(), " round-robin sticky-address");
  ASSERT_NE(to.Open("udp $X:1 > $B:53"), "");
  const std::string here = to.Open("udp $C:9 > $A:53");
  ASSERT_NE(AddressOf(here), AddressOf(there));
  ASSERT_TRUE(to.Import(from.Export(), WithPolicy(false)).ok());
  EXPECT_EQ(to.states(), 3u);
  EXPECT_EQ(AddressOf(to.Open("udp $C:10 > $S:53")), AddressOf(here));
}

TEST_P(ImportTranslationTest, WhereItsHostsAreComesAlong) {
  const LinkPeers links = {.mac = {{{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}}},
                           .known = {true, true},
                           .returns = {false, true}};
  Gateway from(GetParam(), " round-robin");
  ASSERT_NE(from.Open("udp $C:1 > $S:53"), "");
  StateTable& table = *from.shard().table;
  uint32_t cursor = 0;
  table.entries().Visit(&cursor, 4096, [&](StateIndex state) {
    table.mutable_entries().SetLinks(state, links);
  });
  const Snapshot snapshot = from.Export();
  ASSERT_EQ(snapshot.parents.size(), 1u);
  EXPECT_EQ(snapshot.parents[0].links, links);
  Gateway to(GetParam(), " round-robin");
  ASSERT_TRUE(to.Import(snapshot, WithPolicy(false)).ok());
  const Snapshot again = to.Export();
  ASSERT_EQ(again.parents.size(), 1u);
  EXPECT_EQ(again.parents[0].links, links);
}

TEST_P(ImportTranslationTest, AMappingGoesOn) {
  Gateway from(GetParam(), " endpoint-independent");
  const std::string outside = from.Open("udp $C:7 > $S:53");
  ASSERT_EQ(from.Open("udp $C:7 > $X:53"), outside);
  const Snapshot snapshot = from.Export();
  EXPECT_EQ(snapshot.parents[0].pool_marks,
            1 << kMappedInside | 1 << kMappedOutside);
  Gateway to(GetParam(), " endpoint-independent");
  ASSERT_TRUE(to.Import(snapshot, WithPolicy(false)).ok());
  EXPECT_EQ(to.sources->unlimited()->nodes.used(), 2u);
  EXPECT_EQ(to.Open("udp $C:7 > $A:53"), outside);
}

// Two workers, one of which has given out by then what the snapshot's state
// has: nothing of the import is there afterwards.
TEST_P(ImportTranslationTest, AFlowThatIsGivenOutIsRefusedAsAWhole) {
  Gateway from(GetParam(), " port 2000 round-robin");
  ASSERT_NE(from.Open("udp $C:1 > $S:53"), "");
  ASSERT_NE(from.Open("udp $C:2 > $X:53"), "");
  const Snapshot snapshot = from.Export();
  ASSERT_EQ(snapshot.parents.size(), 2u);
  Gateway to(GetParam(), " port 2000 round-robin", 2);
  // The other inside, the same outside and peer, on the other worker.
  ASSERT_EQ(to.Open("udp $A:1 > $S:53", 1),
            absl::StrCat(ToString(snapshot.parents[0].translated[0]),
                         " 2000"));
  const Snapshot before = to.Export();
  const auto report = to.Import(snapshot, WithPolicy(false));
  EXPECT_FALSE(report.ok());
  EXPECT_EQ(to.Export(), before);
  EXPECT_EQ(to.states(), 1u);
  EXPECT_EQ(to.directory.size(), 1u);
  // Once that has ended there is room.
  uint32_t cursor = 0;
  StateTable& table = *to.shard(1).table;
  table.entries().Visit(&cursor, 4096,
                        [&](StateIndex state) { table.Remove(state); });
  ASSERT_TRUE(to.Import(snapshot, WithPolicy(false)).ok());
  EXPECT_EQ(to.states(), 2u);
  EXPECT_EQ(to.directory.size(), 2u);
}

}  // namespace
}  // namespace sluice
