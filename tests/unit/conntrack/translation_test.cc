// Ports that are given out, by one worker and by several.
#include "conntrack/translator.h"

#include <gtest/gtest.h>

#include <map>
#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "conntrack/state_import.h"
#include "conntrack/translation_directory.h"
#include "pftable/engine/generation.h"
#include "tests/unit/conntrack/shard.h"

namespace sluice {
namespace {

// A policy of one rule with one pool, as the compiler makes it.
struct OnePool {
  explicit OnePool(const Prefix& network) {
    auto policy = std::make_shared<CompiledPolicy>();
    CompiledPool& pool = policy->pools.emplace_back();
    pool.family = network.address.family;
    policy->pool_cursors = std::make_unique<std::atomic<uint64_t>[]>(1);
    compiled = policy;
    generation.policy = policy;
    generation.pools.resize(1);
    generation.pools[0].Of(network.address.family).Add(network, 1);
    generation.pools[0].Of(network.address.family).Finish(/*search=*/true);
    rule.nat = 0;
    rule.slot = 5;
  }
  CompiledPool& pool() { return compiled->pools[0]; }

  std::shared_ptr<CompiledPolicy> compiled;
  Generation generation;
  CompiledRule rule;
};

// Workers that own flows by the lowest bits of both ports.
class Workers {
 public:
  Workers(Family family, uint8_t count, uint32_t flows = 4096)
      : family_(family), directory(HashSecret::FromSeed(9)), count_(count) {
    EXPECT_TRUE(directory.Build(flows).ok());
    if (count > 1) directory.SetHome(&Workers::HomeOf, this);
    for (uint8_t i = 0; i < count; ++i) {
      shards.push_back(std::make_unique<Shard>(
          family, StateTableOptions{.worker = i, .capacity = flows}));
      shards.back()->table->SetTranslations(&directory);
      translators.push_back(std::make_unique<Translator>(
          *shards.back()->table, &directory, i, 77 + i));
    }
  }

  static uint16_t HomeOf(const void* context, const PacketInfo& info) {
    const auto& workers = *static_cast<const Workers*>(context);
    if (info.proto != protocol::kTcp && info.proto != protocol::kUdp) return 0;
    return static_cast<uint16_t>(
        (info.source_port.host() ^ info.destination_port.host()) %
        workers.count_);
  }

  // With sources that all workers share.
  void TrackSources() {
    sources = *SourceNodes::Build(
        {.capacity = 4096, .secret = HashSecret::FromSeed(4)}, &reclaimer);
    source_budget.nodes.SetLimit(4096);
    for (const auto& shard : shards) {
      shard->table->SetSourceNodes(sources.get());
      shard->table->SetFilter(0, &shard->budget, kDefaultTimeoutProfile,
                              &source_budget);
    }
  }
  std::map<std::string, uint32_t> StatesOfSources() const {
    std::map<std::string, uint32_t> states;
    uint32_t cursor = 0;
    sources->Visit(&cursor, ~0u, 0, [&](const SourceRecord& node) {
      states[ToString(node.target)] += node.states;
    });
    return states;
  }
  void RemoveAll() {
    for (const auto& shard : shards) {
      uint32_t cursor = 0;
      StateTable& table = *shard->table;
      table.entries().Visit(&cursor, 4096,
                            [&](StateIndex state) { table.Remove(state); });
    }
  }

  // The source port behind the translation, 0: there was none.
  uint16_t Open(uint8_t worker, std::string_view text, OnePool& pool,
                Address* source = nullptr) {
    TestPacket packet(family_, text);
    const JudgePoint where{.direction = Direction::kOut};
    Translator& translator = *translators[worker];
    translator.Begin(*packet.mbuf, where, 0);
    const TranslatorTurn turn(translator);
    PacketInfo translated = packet.info;
    if (!translator.Choose(pool.generation, pool.rule, Direction::kOut,
                           &translated)) {
      return 0;
    }
    const InsertResult made = shards[worker]->table->Insert(
        packet.info, *packet.mbuf, where, {}, shards[worker]->now, nullptr,
        &translated, translator.holds());
    if (source != nullptr) *source = translated.source_address();
    return made.state == kNoState ? 0 : translated.source_port.host();
  }

  Family family_;
  TranslationDirectory directory;
  uint8_t count_;
  std::vector<std::unique_ptr<Shard>> shards;
  std::vector<std::unique_ptr<Translator>> translators;
  ImmediateReclaimer reclaimer;
  SourceBudget source_budget;
  std::unique_ptr<SourceNodes> sources;
};

class TranslationTest : public testing::TestWithParam<Family> {
 protected:
  Prefix Host() const {
    return *ParsePrefix(GetParam() == Family::kIpv4 ? "192.0.2.7"
                                                    : "2001:db9::7");
  }
};

TEST_P(TranslationTest, DefaultPortsArePfs) {
  Workers workers(GetParam(), 1);
  OnePool pool(Host());
  std::set<uint16_t> ports;
  for (int i = 1; i <= 500; ++i) {
    const uint16_t port =
        workers.Open(0, "udp $C:" + std::to_string(i) + " > $S:53", pool);
    ASSERT_GE(port, kFirstNatPort);
    ASSERT_TRUE(ports.insert(port).second) << port;
  }
  // Not one after the other: 500 random ones of 15535 span most of them.
  EXPECT_GT(*ports.rbegin() - *ports.begin(), 12000);
  EXPECT_EQ(workers.directory.size(), 500u);
}

// All of a range is given out before anything is refused, and again once it
// has come back.
TEST_P(TranslationTest, ARangeIsUsedUpAndComesBack) {
  Workers workers(GetParam(), 1);
  OnePool pool(Host());
  pool.pool().port_low = 2000;
  pool.pool().port_high = 2099;
  for (int round = 0; round < 3; ++round) {
    std::set<uint16_t> ports;
    for (int i = 1; i <= 100; ++i) {
      const uint16_t port =
          workers.Open(0, "udp $C:" + std::to_string(i) + " > $S:53", pool);
      ASSERT_TRUE(port >= 2000 && port <= 2099) << port;
      ASSERT_TRUE(ports.insert(port).second);
    }
    EXPECT_EQ(workers.Open(0, "udp $C:999 > $S:53", pool), 0);
    // For another peer they are all free.
    EXPECT_NE(workers.Open(0, "udp $C:999 > $X:53", pool), 0);
    uint32_t cursor = 0;
    StateTable& table = *workers.shards[0]->table;
    table.entries().Visit(&cursor, 4096,
                          [&](StateIndex state) { table.Remove(state); });
    EXPECT_EQ(workers.directory.size(), 0u);
  }
}

// 4 bits, 8 bits with 0x34, 4 bits: RFC 7597's example, sixteen ports for each
// value of the upper four bits but zero.
TEST_P(TranslationTest, APortSetIsUsedUp) {
  Workers workers(GetParam(), 1);
  OnePool pool(Host());
  pool.pool().map_e_offset = 4;
  pool.pool().map_e_length = 8;
  pool.pool().map_e_id = 0x34;
  std::set<uint16_t> ports;
  for (int i = 1; i <= 15 * 16; ++i) {
    const uint16_t port =
        workers.Open(0, "udp $C:" + std::to_string(i) + " > $S:53", pool);
    ASSERT_EQ(port >> 4 & 0xff, 0x34) << port;
    ASSERT_NE(port >> 12, 0);
    ASSERT_TRUE(ports.insert(port).second);
  }
  EXPECT_EQ(workers.Open(0, "udp $C:999 > $S:53", pool), 0);
}

// The third address of its network has the third block, on whichever worker.
TEST_P(TranslationTest, ABlockIsItsSourcesOwn) {
  Workers workers(GetParam(), 2);
  OnePool pool(Host());
  pool.pool().port_low = 2063;
  pool.pool().port_high = 2000;
  pool.pool().port_block = 8;
  pool.rule.source.kind = AddressCondition::Kind::kPrefix;
  pool.rule.source.second =
      MaskOf(GetParam(), AddressBits(GetParam()) - 3).bytes;
  std::set<uint16_t> ports;
  for (int i = 0; i < 8; ++i) {
    const uint16_t port = workers.Open(
        static_cast<uint8_t>(i % 2), "udp $C:" + std::to_string(100 + i) +
                                         " > $S:53", pool);
    ASSERT_GE(port, 2016) << i;
    ASSERT_LE(port, 2023) << i;
    ASSERT_TRUE(ports.insert(port).second) << port;
  }
  EXPECT_EQ(workers.Open(0, "udp $C:99 > $S:53", pool), 0);
  // Another peer, and another source.
  EXPECT_NE(workers.Open(0, "udp $C:99 > $S:54", pool), 0);
  const uint16_t other = workers.Open(0, "udp $S:99 > $C:53", pool);
  EXPECT_GE(other, 2008);
  EXPECT_LE(other, 2015);
  workers.RemoveAll();
  EXPECT_EQ(workers.directory.size(), 0u);
}

TEST_P(TranslationTest, WorkersNeverGiveOutOneFlowTwice) {
  constexpr uint8_t kWorkers = 4;
  Workers workers(GetParam(), kWorkers);
  OnePool pool(Host());
  pool.pool().port_low = 2000;
  pool.pool().port_high = 2399;
  std::set<uint16_t> ports;
  for (int i = 0; i < 400; ++i) {
    const auto worker = static_cast<uint8_t>(i % kWorkers);
    const uint16_t port = workers.Open(
        worker, "udp $C:" + std::to_string(1000 + i) + " > $S:53", pool);
    ASSERT_NE(port, 0) << i;
    ASSERT_TRUE(ports.insert(port).second) << port;
    // Answers come to the worker by themselves.
    ASSERT_EQ((port ^ 53) % kWorkers, worker);
  }
  EXPECT_FALSE(workers.directory.has_strays());
  EXPECT_EQ(workers.Open(2, "udp $C:9 > $S:53", pool), 0);
}

// af-to: what comes home is of the other family.
TEST_P(TranslationTest, AnswersOfTheOtherFamilyComeHome) {
  constexpr uint8_t kWorkers = 4;
  Workers workers(GetParam(), kWorkers);
  const bool v4 = GetParam() == Family::kIpv4;
  OnePool pool(*ParsePrefix(v4 ? "2001:db9::7" : "192.0.2.7"));
  pool.rule.af_to = v4 ? Family::kIpv6 : Family::kIpv4;
  pool.rule.af_prefix = 96;
  pool.pool().port_low = 2000;
  pool.pool().port_high = 2399;
  const char* const peer = v4 ? "10.0.0.1:53" : "[64:ff9b::a00:1]:53";
  const char* const answering = v4 ? "[2001:db9::a00:1]:53" : "10.0.0.1:53";
  const char* const given = v4 ? "[2001:db9::7]:" : "192.0.2.7:";
  std::set<uint16_t> ports;
  for (int i = 0; i < 400; ++i) {
    const auto worker = static_cast<uint8_t>(i % kWorkers);
    const uint16_t port = workers.Open(
        worker, "udp $C:" + std::to_string(1000 + i) + " > " + peer, pool);
    ASSERT_NE(port, 0) << i;
    ASSERT_TRUE(ports.insert(port).second) << port;
    ASSERT_EQ((port ^ 53) % kWorkers, worker);
    TestPacket answer(GetParam(), std::string("udp ") + answering + " > " +
                                      given + std::to_string(port));
    StateTable& table = *workers.shards[worker]->table;
    const StateIndex state =
        table.Find(answer.info, *answer.mbuf, {.direction = Direction::kIn});
    ASSERT_NE(state, kNoState);
    ASSERT_TRUE(table.Crosses(state));
    const StateRecord record = table.Record(state, 0);
    ASSERT_EQ(record.family, GetParam());
    ASSERT_EQ(record.translated_family, pool.rule.af_to);
    ASSERT_EQ(record.translated_port[0], port);
    // Only as an answer.
    ASSERT_EQ(table.Find(answer.info, *answer.mbuf,
                         {.direction = Direction::kOut}),
              kNoState);
  }
  EXPECT_FALSE(workers.directory.has_strays());
  EXPECT_EQ(workers.Open(2, std::string("udp $C:9 > ") + peer, pool), 0);
  for (const auto& shard : workers.shards) {
    uint32_t cursor = 0;
    StateTable& table = *shard->table;
    table.entries().Visit(&cursor, 4096,
                          [&](StateIndex state) { table.Remove(state); });
  }
  EXPECT_EQ(workers.directory.size(), 0u);
}

// What was exported is found by its answers where it was imported.
TEST_P(TranslationTest, ImportedStatesAreFoundByTheirAnswers) {
  for (const Family to : {Family::kIpv4, Family::kIpv6}) {
    Workers from(GetParam(), 1);
    const bool v4 = GetParam() == Family::kIpv4;
    const bool to4 = to == Family::kIpv4;
    OnePool pool(*ParsePrefix(to4 ? "192.0.2.7" : "2001:db9::7"));
    pool.pool().port_low = pool.pool().port_high = 2000;
    if (to != GetParam()) pool.rule.af_to = to;
    pool.rule.af_prefix = 96;
    const std::string peer = v4 ? "10.0.0.1:53" : "[64:ff9b::a00:1]:53";
    ASSERT_EQ(from.Open(0, "udp $C:7 > " + peer, pool), 2000);
    StateImport import;
    uint32_t cursor = 0;
    from.shards[0]->table->entries().Visit(
        &cursor, 4096, [&](StateIndex state) {
          import.Add({.record = from.shards[0]->Record(state)});
        });
    ASSERT_EQ(import.states.size(), 1u);

    Workers into(GetParam(), 1);
    Shard& shard = *into.shards[0];
    StateIntake intake(shard.table.get());
    ASSERT_EQ(intake.Reserve(&import, 9), ReserveResult::kReady);
    ASSERT_TRUE(intake.Commit(&import, shard.now, 9));
    const std::string answering = to == GetParam() ? peer
                                  : to4            ? "10.0.0.1:53"
                                        : "[2001:db9::a00:1]:53";
    TestPacket answer(GetParam(), "udp " + answering + " > " +
                                      (to4 ? "192.0.2.7:2000"
                                           : "[2001:db9::7]:2000"));
    const StateIndex state = shard.table->Find(
        answer.info, *answer.mbuf, {.direction = Direction::kIn});
    ASSERT_NE(state, kNoState);
    EXPECT_EQ(shard.table->Crosses(state), to != GetParam());
    const StateRecord record = shard.table->Record(state, shard.now);
    EXPECT_EQ(record.translated_address,
              import.states[0].record.translated_address);
    EXPECT_EQ(into.directory.size(), 1u);
    shard.table->Remove(state);
    EXPECT_EQ(into.directory.size(), 0u);
    EXPECT_EQ(shard.table->Find(answer.info, *answer.mbuf,
                                {.direction = Direction::kIn}),
              kNoState);
  }
}

// Where a worker has no port of its own, its answers are strays.
TEST_P(TranslationTest, StraysAreFoundInTheDirectory) {
  Workers workers(GetParam(), 2);
  OnePool pool(Host());
  pool.pool().port_low = pool.pool().port_high = 2000;
  // 2000 ^ 53 is odd: worker 1 owns the answers.
  ASSERT_EQ(workers.Open(0, "udp $C:7 > $S:53", pool), 2000);
  EXPECT_TRUE(workers.directory.has_strays());
  TestPacket answer(GetParam(), GetParam() == Family::kIpv4
                                    ? "udp 10.0.0.1:53 > 192.0.2.7:2000"
                                    : "udp [2001:db8::1]:53 > "
                                      "[2001:db9::7]:2000");
  const TranslatedFlow flow =
      workers.directory.FlowOf(answer.info, *answer.mbuf, 0, {});
  EXPECT_EQ(workers.directory.Find(flow), 0);
  // And nobody else gets it.
  EXPECT_EQ(workers.Open(1, "udp $C:8 > $S:53", pool), 0);
  uint32_t cursor = 0;
  StateTable& table = *workers.shards[0]->table;
  table.entries().Visit(&cursor, 4096,
                        [&](StateIndex state) { table.Remove(state); });
  EXPECT_FALSE(workers.directory.has_strays());
  EXPECT_EQ(workers.directory.Find(flow), TranslationDirectory::kNobody);
  EXPECT_EQ(workers.Open(1, "udp $C:8 > $S:53", pool), 2000);
}

// A flow that is there untranslated is not given out.
TEST_P(TranslationTest, AFlowThatIsThereIsNotGivenOut) {
  Workers workers(GetParam(), 1);
  OnePool pool(Host());
  pool.pool().port_low = pool.pool().port_high = 2000;
  ASSERT_EQ(workers.shards[0]
                ->Judge(GetParam() == Family::kIpv4
                            ? "udp 10.0.0.1:53 > 192.0.2.7:2000"
                            : "udp [2001:db8::1]:53 > [2001:db9::7]:2000",
                        Direction::kIn)
                .kind,
            Outcome::kCreated);
  EXPECT_EQ(workers.Open(0, "udp $C:7 > $S:53", pool), 0);
}

Prefix Network(Family family) {
  return *ParsePrefix(family == Family::kIpv4 ? "192.0.2.0/29"
                                              : "2001:db8::80/125");
}

TEST_P(TranslationTest, WorkersBindASourceToOneAddress) {
  constexpr uint8_t kWorkers = 4;
  Workers workers(GetParam(), kWorkers);
  workers.TrackSources();
  OnePool pool(Network(GetParam()));
  pool.pool().method = PoolMethod::kRandom;
  pool.pool().sticky_address = true;
  std::set<Address> addresses;
  for (const char* host : {"$C", "$X", "$A", "$B"}) {
    Address first;
    for (int i = 0; i < 40; ++i) {
      Address source;
      ASSERT_NE(workers.Open(static_cast<uint8_t>(i % kWorkers),
                             absl::StrCat("udp ", host, ":", i + 1,
                                          " > $S:53"),
                             pool, &source),
                0);
      if (i == 0) first = source;
      ASSERT_EQ(source, first);
    }
    addresses.insert(first);
  }
  EXPECT_GT(addresses.size(), 1u);
  uint32_t states = 0;
  for (const auto& [target, count] : workers.StatesOfSources()) {
    states += count;
  }
  EXPECT_EQ(states, 160u);
  workers.RemoveAll();
  EXPECT_EQ(workers.source_budget.nodes.used(), 0u);
}

TEST_P(TranslationTest, WorkersSpreadByLeastStates) {
  constexpr uint8_t kWorkers = 4;
  Workers workers(GetParam(), kWorkers);
  workers.TrackSources();
  OnePool pool(Network(GetParam()));
  pool.pool().method = PoolMethod::kLeastStates;
  std::map<Address, int> given;
  for (int i = 0; i < 80; ++i) {
    Address source;
    ASSERT_NE(workers.Open(static_cast<uint8_t>(i % kWorkers),
                           absl::StrCat("udp $C:", i + 1, " > $S:53"), pool,
                           &source),
              0);
    ++given[source];
  }
  ASSERT_EQ(given.size(), 8u);
  for (const auto& [address, count] : given) EXPECT_EQ(count, 10);
  workers.RemoveAll();
  EXPECT_EQ(workers.sources->unlimited()->nodes.used(), 0u);
}

TEST_P(TranslationTest, WorkersKeepAMappingForAllPeers) {
  constexpr uint8_t kWorkers = 4;
  Workers workers(GetParam(), kWorkers);
  workers.TrackSources();
  OnePool pool(Host());
  pool.pool().endpoint_independent = true;
  pool.pool().port_low = 2000;
  pool.pool().port_high = 2009;
  std::set<uint16_t> ports;
  for (int inside = 1; inside <= 10; ++inside) {
    uint16_t first = 0;
    for (int peer = 0; peer < 8; ++peer) {
      const uint16_t port = workers.Open(
          static_cast<uint8_t>((inside + peer) % kWorkers),
          absl::StrCat("udp $C:", inside, " > $S:", 50 + peer), pool);
      ASSERT_NE(port, 0);
      if (peer == 0) first = port;
      ASSERT_EQ(port, first);
    }
    // Nobody else's, for whomever.
    ASSERT_TRUE(ports.insert(first).second);
  }
  EXPECT_EQ(workers.Open(0, "udp $C:99 > $X:9", pool), 0);
  // Two nodes a mapping, and none of them is a source.
  EXPECT_EQ(workers.sources->unlimited()->nodes.used(), 20u);
  EXPECT_TRUE(workers.StatesOfSources().empty());
  workers.RemoveAll();
  EXPECT_EQ(workers.sources->unlimited()->nodes.used(), 0u);
  EXPECT_NE(workers.Open(0, "udp $C:99 > $X:9", pool), 0);
}

// In each VLAN one, with the same address and port behind the translation.
TEST_P(TranslationTest, WhatWasImportedIsFoundFromBothSides) {
  const std::string host =
      GetParam() == Family::kIpv4 ? "192.0.2.7" : "[2001:db9::7]";
  const std::vector<std::string> vlans = {"", " vlan 5", " qinq 7 vlan 5"};
  OnePool pool(Host());
  pool.pool().port_low = pool.pool().port_high = 4000;
  Workers from(GetParam(), 1);
  StateImport import;
  for (const std::string& vlan : vlans) {
    ASSERT_EQ(from.Open(0, "udp $C:1000 > $S:53" + vlan, pool), 4000) << vlan;
    ASSERT_EQ(from.Open(0, "udp $C:1001 > $S:53" + vlan, pool), 0) << vlan;
  }
  Shard& old = *from.shards[0];
  uint32_t cursor = 0;
  old.table->entries().Visit(&cursor, UINT32_MAX, [&](StateIndex state) {
    import.Add({.record = old.Record(state)});
  });
  ASSERT_EQ(import.states.size(), vlans.size());
  std::sort(import.states.begin(), import.states.end(),
            [](const auto& a, const auto& b) {
              return a.record.id < b.record.id;
            });

  Workers to(GetParam(), 1);
  Shard& shard = *to.shards[0];
  StateIntake intake(shard.table.get());
  ReserveResult reserved;
  while ((reserved = intake.Reserve(&import, 2)) == ReserveResult::kMore) {
  }
  ASSERT_EQ(reserved, ReserveResult::kReady);
  const auto find = [&](const std::string& text, Direction direction) {
    TestPacket packet(GetParam(), text);
    return shard.Lookup(packet, {.direction = direction});
  };
  const std::string answer = "udp $S:53 > " + host + ":4000";
  EXPECT_EQ(find(answer, Direction::kIn), kNoState) << "reserved only";
  while (!intake.Commit(&import, shard.now, 2)) {
  }
  std::set<StateIndex> states;
  for (const std::string& vlan : vlans) {
    const StateIndex state = find("udp $C:1000 > $S:53" + vlan,
                                  Direction::kOut);
    ASSERT_NE(state, kNoState) << vlan;
    EXPECT_EQ(find(answer + vlan, Direction::kIn), state) << vlan;
    EXPECT_EQ(to.Open(0, "udp $C:1001 > $S:53" + vlan, pool), 0) << vlan;
    states.insert(state);
  }
  EXPECT_EQ(states.size(), vlans.size());
  EXPECT_EQ(find(answer + " vlan 7", Direction::kIn), kNoState);
  for (const StateIndex state : states) shard.table->Remove(state);
  EXPECT_EQ(to.directory.size(), 0u);
  EXPECT_EQ(find(answer, Direction::kIn), kNoState);
  EXPECT_EQ(to.Open(0, "udp $C:1001 > $S:53 vlan 5", pool), 4000);
}

TEST(TranslationDirectoryTest, TakesAsMuchAsItHasRoomFor) {
  TranslationDirectory directory(HashSecret::FromSeed(3));
  ASSERT_TRUE(directory.Build(10000).ok());
  std::vector<TranslatedFlow> taken;
  for (uint32_t i = 0; i < 10000; ++i) {
    FlowKey4 key;
    key.end0 = i;
    key.end1 = 7;
    const TranslatedFlow flow = directory.FlowOf(key, {});
    ASSERT_TRUE(directory.Take(flow, i % 32, i % 2 == 0)) << i;
    ASSERT_FALSE(directory.Take(flow, 1, false));
    taken.push_back(flow);
  }
  EXPECT_EQ(directory.size(), 10000u);
  for (uint32_t i = 0; i < 10000; ++i) {
    ASSERT_EQ(directory.Find(taken[i]), static_cast<int>(i % 32));
    directory.GiveBack(taken[i]);
    ASSERT_EQ(directory.Find(taken[i]), TranslationDirectory::kNobody);
  }
  EXPECT_EQ(directory.size(), 0u);
  EXPECT_FALSE(directory.has_strays());
}

INSTANTIATE_TEST_SUITE_P(Families, TranslationTest,
                         testing::Values(Family::kIpv4, Family::kIpv6),
                         [](const auto& info) {
                           return info.param == Family::kIpv4 ? "Ipv4"
                                                              : "Ipv6";
                         });

}  // namespace
}  // namespace sluice
