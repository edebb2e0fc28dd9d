// Sources without states, and their rates, from one filter to another.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "conntrack/translation_directory.h"
#include "conntrack/translator.h"
#include "pftable/store/policy_listing.h"
#include "restore/snapshot_check.h"
#include "restore/snapshot_format.h"
#include "tests/unit/restore/import_node.h"
#include "tests/unit/restore/snapshot_samples.h"

namespace sluice {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr uint32_t kLife = 60'000;

// A rule that counts connections, one with a pool that remembers.
struct Tracked : ImportNode {
  explicit Tracked(Family family, const char* rate = "3/10",
                   uint32_t limit = 100)
      : ImportNode(family),
        family(family),
        directory(HashSecret::FromSeed(9)),
        nodes(*SourceNodes::Build(
            {.capacity = 256, .secret = HashSecret::FromSeed(4)},
            &reclaimer)) {
    EXPECT_TRUE(directory.Build(4096).ok());
    const bool v4 = family == Family::kIpv4;
    ParseInput input;
    input.dialect = Dialect::kFreeBsd;
    input.text = absl::StrCat(
        "pass in proto udp from any to any keep state (source-track rule, "
        "max-src-conn-rate ",
        rate, ", src.track 60)\npass out ", v4 ? "inet" : "inet6",
        " proto udp from any to any nat-to ",
        v4 ? "{ 192.0.2.7, 192.0.2.8 }" : "{ 2001:db9::7, 2001:db9::8 }",
        " random sticky-address keep state (src.track 60)\n");
    // Only TCP's connections are opened; whose they are is all the same here.
    const size_t udp = input.text.find("udp");
    input.text.replace(udp, 3, "tcp");
    ParseResult parsed = ParsePolicy(std::move(input));
    EXPECT_TRUE(parsed.ok()) << FormatDiagnostics(parsed.diagnostics);
    EXPECT_TRUE(store.Load(std::move(parsed.policy)).ok());
    budget.nodes.SetLimit(limit);
    source_nodes = nodes.get();
    node_budget = &budget;
    shard().table->SetTranslations(&directory);
    shard().table->SetSourceNodes(nodes.get());
    shard().table->SetFilter(0, &shard().budget, kDefaultTimeoutProfile,
                             &budget);
    translator = std::make_unique<Translator>(*shard().table, &directory,
                                              uint8_t{0}, 77);
  }
  ~Tracked() {
    RemoveStates();
    nodes->RemoveAllOf(0);
    EXPECT_EQ(budget.nodes.used(), 0u);
    for (const RuleStatus& rule : PolicyListing(store).AllRules()) {
      EXPECT_EQ(store.rule_slots().record(rule.rule.slot).source_nodes, 0u);
    }
  }

  void RemoveStates() {
    uint32_t cursor = 0;
    shard().table->entries().Visit(&cursor, 4096, [&](StateIndex state) {
      shard().table->Remove(state);
    });
  }
  uint32_t Slot(size_t rule) {
    return PolicyListing(store).AllRules().at(rule).rule.slot;
  }
  SourceKey Key() {
    const TestPacket packet(family, "udp $C:1 > $S:53");
    return {.address = packet.info.source,
            .rule_slot = Slot(0),
            .family = family};
  }
  // So many connections of the client's at once; whether the last was too much.
  bool Connect(int count, uint32_t life = kLife) {
    SourceOwner owner = {
        .budget = &budget,
        .rule_nodes = &store.rule_slots().record(Slot(0)).source_nodes};
    bool too_fast = false;
    for (int i = 0; i < count; ++i) {
      const SourceNodeIndex node =
          nodes->Take(Key(), owner, 0, shard().now).node;
      too_fast = nodes
                     ->AddConnection(node, 0, {.count = 3, .seconds = 10},
                                     shard().now)
                     .too_fast;
      nodes->AddTraffic(node, 1, 100);
      nodes->Release(node, /*connection=*/true, life, shard().now);
    }
    return too_fast;
  }
  // The pool's address for a new flow of the client's.
  std::string Open(int port) {
    const TestPacket packet(family,
                            absl::StrCat("udp $C:", port, " > $S:53"));
    const JudgePoint where{.direction = Direction::kOut};
    translator->Begin(*packet.mbuf, where, shard().now);
    const TranslatorTurn turn(*translator);
    const Generation& generation = *store.generation();
    const CompiledRule& rule = generation.policy->rules[1];
    PacketInfo translated = packet.info;
    if (!translator->Choose(generation, rule, Direction::kOut, &translated)) {
      return "";
    }
    StateTemplate values;
    values.rule_slot = rule.slot;
    if (shard()
            .table
            ->Insert(packet.info, *packet.mbuf, where, values, shard().now,
                     nullptr, &translated, translator->holds())
            .state == kNoState) {
      return "";
    }
    return ToString(translated.source_address());
  }
  std::vector<SourceRecord> Sources() {
    std::vector<SourceRecord> all;
    uint32_t cursor = 0;
    nodes->Visit(&cursor, ~0u, shard().now, [&](const SourceRecord& node) {
      all.push_back(node);
    });
    return all;
  }

  const Family family;
  TranslationDirectory directory;
  SourceBudget budget;
  std::unique_ptr<SourceNodes> nodes;
  std::unique_ptr<Translator> translator;
};

class ImportSourcesTest : public testing::TestWithParam<Family> {};

INSTANTIATE_TEST_SUITE_P(Families, ImportSourcesTest,
                         testing::Values(Family::kIpv4, Family::kIpv6),
                         [](const auto& info) {
                           return info.param == Family::kIpv4 ? "v4" : "v6";
                         });

TEST_P(ImportSourcesTest, WhoHasNoStateStaysBound) {
  Tracked from(GetParam());
  const std::string bound = from.Open(1);
  from.RemoveStates();
  from.shard().now += 10'000;
  const Snapshot snapshot = from.Export();
  ASSERT_THAT(snapshot.source_nodes, SizeIs(1));
  EXPECT_EQ(ToString(snapshot.source_nodes[0].target), bound);
  EXPECT_EQ(snapshot.source_nodes[0].remaining, kLife - 10'000);
  EXPECT_EQ(snapshot.source_nodes[0].age, 10'000u);
  EXPECT_THAT(snapshot.parents, IsEmpty());
  for (const bool policy : {false, true}) {
    Tracked to(GetParam());
    to.shard().now = 77'000;
    const auto report = to.Import(snapshot, WithPolicy(policy));
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_EQ(report->sources_imported, 1u);
    EXPECT_EQ(report->sources_left_out, 0u);
    EXPECT_EQ(to.Export().source_nodes, snapshot.source_nodes);
    for (int i = 10; i < 30; ++i) ASSERT_EQ(to.Open(i), bound);
    EXPECT_EQ(to.budget.nodes.used(), 1u);
  }
  // Nobody is bound for longer than he would have been.
  Tracked to(GetParam());
  ASSERT_TRUE(to.Import(snapshot).ok());
  to.shard().now += kLife - 10'000;
  to.nodes->Purge(to.shard().now, 256);
  EXPECT_THAT(to.Sources(), IsEmpty());
  EXPECT_EQ(to.budget.nodes.used(), 0u);
}

TEST_P(ImportSourcesTest, ARateGoesOn) {
  Tracked from(GetParam());
  ASSERT_FALSE(from.Connect(3));
  const Snapshot snapshot = from.Export();
  ASSERT_THAT(snapshot.source_nodes, SizeIs(1));
  EXPECT_EQ(snapshot.source_nodes[0].rate, 3'000u);
  EXPECT_EQ(snapshot.source_nodes[0].rate_seconds, 10u);
  EXPECT_EQ(snapshot.source_nodes[0].packets, 3u);
  Tracked to(GetParam());
  ASSERT_TRUE(to.Import(snapshot).ok());
  EXPECT_TRUE(to.Connect(1));
  // What has worn off has.
  Tracked later(GetParam());
  ASSERT_TRUE(later.Import(snapshot).ok());
  later.shard().now += 10'000;
  EXPECT_FALSE(later.Connect(2));
}

// The state comes, and makes the source; its rate is known by the source alone.
TEST_P(ImportSourcesTest, ARateOfASourceWithStates) {
  Tracked from(GetParam());
  from.shard().values.rule_slot = from.Slot(0);
  from.shard().values.side = kSideSource;
  ASSERT_EQ(from.shard().In("udp $C:1 > $S:53").kind, Outcome::kCreated);
  EXPECT_THAT(from.Export().source_nodes, IsEmpty());
  ASSERT_FALSE(from.Connect(3));
  const Snapshot snapshot = from.Export();
  ASSERT_THAT(snapshot.source_nodes, SizeIs(1));
  EXPECT_TRUE(snapshot.source_nodes[0].has_states);
  Tracked to(GetParam());
  const auto report = to.Import(snapshot);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->sources_imported, 1u);
  ASSERT_THAT(to.Sources(), SizeIs(1));
  EXPECT_EQ(to.Sources()[0].states, 1u);
  EXPECT_TRUE(to.Connect(1));
  // Without its states there is nobody whose rate it would be.
  Snapshot alone = snapshot;
  alone.parents.clear();
  Tracked bare(GetParam());
  const auto left_out = bare.Import(alone);
  ASSERT_TRUE(left_out.ok()) << left_out.status();
  EXPECT_EQ(left_out->sources_left_out, 1u);
  EXPECT_THAT(bare.Sources(), IsEmpty());
}

TEST_P(ImportSourcesTest, WhoseRuleIsNotThereIsLeftOut) {
  Tracked from(GetParam());
  from.Connect(2);
  from.Open(1);
  from.RemoveStates();
  const Snapshot snapshot = from.Export();
  ASSERT_THAT(snapshot.source_nodes, SizeIs(2));
  Tracked to(GetParam(), "4/10");
  const auto report = to.Import(snapshot);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->sources_imported, 1u);
  EXPECT_EQ(report->sources_left_out, 1u);
  ASSERT_THAT(to.Sources(), SizeIs(1));
  EXPECT_EQ(to.Sources()[0].key.use, SourceUse::kNat);
  // With the policy the rule comes, too.
  Tracked whole(GetParam(), "4/10");
  const auto all = whole.Import(snapshot, WithPolicy(true));
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ(all->sources_imported, 2u);
}

TEST_P(ImportSourcesTest, WithoutRoomNothingComes) {
  Tracked from(GetParam());
  from.Connect(2);
  from.Open(1);
  from.RemoveStates();
  ASSERT_NE(from.Open(2), "");
  from.Connect(1);
  Snapshot snapshot = from.Export();
  ASSERT_THAT(snapshot.parents, SizeIs(1));
  SnapshotSourceNode other = snapshot.source_nodes.at(0);
  other.source.bytes[3] ^= 1;
  snapshot.source_nodes.push_back(other);
  std::sort(snapshot.source_nodes.begin(), snapshot.source_nodes.end(),
            [](const SnapshotSourceNode& a, const SnapshotSourceNode& b) {
              return IsBefore(a, b);
            });
  Tracked to(GetParam(), "3/10", /*limit=*/1);
  const auto report = to.Import(snapshot);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(report.status().message()),
              HasSubstr("limit src-nodes 1"));
  EXPECT_EQ(to.states(), 0u);
  EXPECT_THAT(to.Sources(), IsEmpty());
  EXPECT_EQ(to.budget.nodes.used(), 0u);
}

TEST_P(ImportSourcesTest, WhatIsPreparedIsNobodysAndGoesBack) {
  Tracked from(GetParam());
  from.Connect(2);
  const auto bytes = WriteSnapshot(from.Export());
  ASSERT_TRUE(bytes.ok());
  Tracked to(GetParam());
  StateImporter importer(to.Target(), {});
  ASSERT_TRUE(importer.Prepare(std::span<const uint8_t>(*bytes)).ok());
  ASSERT_TRUE(to.Validate(&importer).ok());
  EXPECT_EQ(to.budget.nodes.used(), 1u);
  EXPECT_THAT(to.Sources(), IsEmpty());
  EXPECT_EQ(to.nodes->Find(to.Key()), kNoSourceNode);
  to.nodes->Purge(to.shard().now, 256);
  to.Cancel(&importer);
  EXPECT_EQ(to.budget.nodes.used(), 0u);
  // Its place is free again.
  to.Connect(1);
  EXPECT_THAT(to.Sources(), SizeIs(1));
}

// So many at a step, and no more, on their way in and back.
TEST_P(ImportSourcesTest, ManyTakeSomeSteps) {
  Tracked from(GetParam());
  from.Connect(2);
  Snapshot snapshot = from.Export();
  ASSERT_THAT(snapshot.source_nodes, SizeIs(1));
  for (uint8_t i = 1; i < 10; ++i) {
    SnapshotSourceNode other = snapshot.source_nodes[0];
    other.source.bytes[3] ^= i;
    snapshot.source_nodes.push_back(other);
  }
  std::sort(snapshot.source_nodes.begin(), snapshot.source_nodes.end(),
            [](const SnapshotSourceNode& a, const SnapshotSourceNode& b) {
              return IsBefore(a, b);
            });
  const auto bytes = WriteSnapshot(snapshot);
  ASSERT_TRUE(bytes.ok());
  Tracked to(GetParam());
  {
    StateImporter importer(to.Target(), {});
    ASSERT_TRUE(importer.Prepare(std::span<const uint8_t>(*bytes)).ok());
    ASSERT_TRUE(to.Validate(&importer).ok());
    EXPECT_EQ(to.budget.nodes.used(), 10u);
    for (const uint32_t left : {6u, 2u}) {
      EXPECT_FALSE(importer.Discard(4));
      EXPECT_EQ(to.budget.nodes.used(), left);
    }
    EXPECT_TRUE(importer.Discard(4));
    EXPECT_EQ(to.budget.nodes.used(), 0u);
    to.Cancel(&importer);
    EXPECT_EQ(to.budget.nodes.used(), 0u);
  }
  {
    StateImporter importer(to.Target(), {});
    ASSERT_TRUE(importer.Prepare(std::span<const uint8_t>(*bytes)).ok());
    ASSERT_TRUE(to.Validate(&importer).ok());
    ASSERT_TRUE(importer.PublishPolicy().ok());
    EXPECT_FALSE(importer.StepFinish(to.shard().now, 4));
    EXPECT_THAT(to.Sources(), SizeIs(4));
    // Called off on its way: what is not there yet goes back.
    to.Cancel(&importer);
    EXPECT_THAT(to.Sources(), SizeIs(4));
    EXPECT_EQ(to.budget.nodes.used(), 4u);
  }
  StateImporter importer(to.Target(), {});
  ASSERT_TRUE(importer.Prepare(std::span<const uint8_t>(*bytes)).ok());
  ASSERT_TRUE(to.Validate(&importer).ok());
  ASSERT_TRUE(importer.PublishPolicy().ok());
  EXPECT_FALSE(importer.StepFinish(to.shard().now, 4));
  EXPECT_FALSE(importer.StepFinish(to.shard().now, 4));
  EXPECT_TRUE(importer.StepFinish(to.shard().now, 4));
  EXPECT_THAT(to.Sources(), SizeIs(10));
  const RestoreReport report = importer.Finish(to.shard().now);
  EXPECT_EQ(report.sources_imported, 10u);
  EXPECT_EQ(report.sources_left_out, 0u);
  EXPECT_EQ(to.budget.nodes.used(), 10u);
}

TEST_P(ImportSourcesTest, TwiceIsOnceAndWhoIsHereStays) {
  Tracked from(GetParam());
  from.Connect(3);
  const std::string there = from.Open(1);
  from.RemoveStates();
  const Snapshot snapshot = from.Export();
  Tracked to(GetParam());
  // Bound to the other address here, and seen less.
  std::string here;
  do {
    to.RemoveStates();
    to.nodes->RemoveAllOf(0);
    here = to.Open(1);
  } while (here == there);
  to.RemoveStates();
  to.Connect(1, /*life=*/5'000);
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(to.Import(snapshot).ok());
    const std::vector<SourceRecord> sources = to.Sources();
    ASSERT_THAT(sources, SizeIs(2));
    for (const SourceRecord& source : sources) {
      EXPECT_EQ(source.expires_in, kLife);
      if (source.key.use == SourceUse::kNat) {
        EXPECT_EQ(ToString(source.target), here);
      } else {
        EXPECT_EQ(source.rate, 3'000u);
        EXPECT_EQ(source.packets, 3u);
      }
    }
    EXPECT_EQ(to.budget.nodes.used(), 2u);
  }
}

TEST(SnapshotSourcesTest, WhatIsNotSoundIsRefused) {
  const Snapshot sound = SourcesSnapshot();
  ASSERT_TRUE(ReadSnapshot(WriteUnchecked(sound)).ok());
  struct Case {
    const char* what;
    void (*spoil)(std::vector<SnapshotSourceNode>&);
  };
  using Nodes = std::vector<SnapshotSourceNode>;
  const Case cases[] = {
      {"twice", [](Nodes& n) { n.insert(n.begin(), n[0]); }},
      {"out of order", [](Nodes& n) { std::swap(n[0], n[1]); }},
      {"a pool of no rule", [](Nodes& n) { n.erase(n.begin(), n.begin() + 3);
                                           n[0].rule = 0; }},
      {"an attribute of another form",
       [](Nodes& n) { n[3].target = *ParseAddress("2001:db9::7"); }},
      {"another family, or none", [](Nodes& n) { n[3].target = {}; }},
      {"an attribute of another form",
       [](Nodes& n) {
         n[6].source = *ParseAddress("2001:db8::2");
         n[6].target = *ParseAddress("192.0.2.7");
       }},
      {"without a pool", [](Nodes& n) { n[0].target = n[0].source; }},
      {"half a rate", [](Nodes& n) { n[1].rate_seconds = 0; }},
      {"says nothing", [](Nodes& n) { n[2].rate = n[2].rate_seconds = 0; }},
      {"with states that ends", [](Nodes& n) { n[2].remaining = 1; }},
      {"with states that ends", [](Nodes& n) { n[0].remaining = 0; }},
      {"a pool's source with states",
       [](Nodes& n) { n[3].has_states = true; n[3].remaining = 0; }},
      {"a rate of a pool",
       [](Nodes& n) { n[3].rate = n[3].rate_seconds = 1; }},
      {"too long", [](Nodes& n) { n[0].remaining = 0x80000000; }},
      {"too large", [](Nodes& n) { n[0].bytes = UINT64_MAX; }},
      {"does not exist",
       [](Nodes& n) { n[5].use = static_cast<SnapshotSourceUse>(4); }},
  };
  for (const Case& one : cases) {
    Snapshot spoiled = sound;
    one.spoil(spoiled.source_nodes);
    const auto read = ReadSnapshot(WriteUnchecked(spoiled));
    ASSERT_FALSE(read.ok()) << one.what;
    EXPECT_THAT(std::string(read.status().message()), HasSubstr(one.what));
  }
  SnapshotLimits limits;
  limits.source_nodes = 5;
  EXPECT_EQ(ReadSnapshot(WriteUnchecked(sound), limits).status().code(),
            absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace sluice
