// Commits under readers: each packet is judged by one generation, and what a
// reader holds is not freed.
#include <rte_rcu_qsbr.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "pftable/store/invariants.h"
#include "tests/support/table_changes.h"
#include "tests/unit/pftable/engine/engine_fixture.h"

namespace sluice {
namespace {

constexpr uint32_t kReaders = 2;

class PublicationTest : public testing::Test {
 protected:
  PublicationTest()
      : memory_(std::aligned_alloc(RTE_CACHE_LINE_SIZE,
                                   rte_rcu_qsbr_get_memsize(kReaders)),
                std::free) {
    rcu_ = static_cast<rte_rcu_qsbr*>(memory_.get());
    EXPECT_EQ(rte_rcu_qsbr_init(rcu_, kReaders), 0);
  }

  void Online(uint32_t reader) {
    ASSERT_EQ(rte_rcu_qsbr_thread_register(rcu_, reader), 0);
    rte_rcu_qsbr_thread_online(rcu_, reader);
  }
  void Offline(uint32_t reader) {
    rte_rcu_qsbr_thread_offline(rcu_, reader);
    ASSERT_EQ(rte_rcu_qsbr_thread_unregister(rcu_, reader), 0);
  }

  std::unique_ptr<void, decltype(&std::free)> memory_;
  rte_rcu_qsbr* rcu_ = nullptr;
};

TEST_F(PublicationTest, AGracePeriodWaitsForEachReader) {
  RcuReclaimer reclaimer(rcu_);
  Online(0);
  Online(1);
  const uint64_t period = reclaimer.StartGracePeriod();
  EXPECT_FALSE(reclaimer.HasPassed(period));
  rte_rcu_qsbr_quiescent(rcu_, 0);
  EXPECT_FALSE(reclaimer.HasPassed(period));
  rte_rcu_qsbr_quiescent(rcu_, 1);
  EXPECT_TRUE(reclaimer.HasPassed(period));
  const uint64_t next = reclaimer.StartGracePeriod();
  EXPECT_FALSE(reclaimer.HasPassed(next));
  Offline(0);
  Offline(1);
  EXPECT_TRUE(reclaimer.HasPassed(next));
}

// Under each of the two policies `bad` is blocked and `good` passes, but under
// the rules of one with the table of the other it is the other way round.
constexpr const char* kPolicies[] = {
    "table <t> { 192.0.2.1 2001:db8::1 }\n"
    "pass quick from ! <t> no state\nblock quick from <t>\n",
    "table <t> { 192.0.2.2 2001:db8::2 }\n"
    "block quick from ! <t>\npass quick from <t> no state\n",
};

TEST_F(PublicationTest, EachPacketIsJudgedByOneGeneration) {
  InterfaceRegistry interfaces;
  const InterfaceView port = *interfaces.AddPort("outside");
  RcuReclaimer reclaimer(rcu_);
  PolicyStore store({.workers = kReaders, .rule_slots = 64,
                     .table_slots = 8},
                    &interfaces, &reclaimer);
  const Policy policies[] = {Parsed(kPolicies[0]), Parsed(kPolicies[1])};
  ASSERT_TRUE(store.Load(policies[0]).ok());

  const PacketInfo bad[] = {
      TestPacket{.from = "192.0.2.1"}.Info(),
      TestPacket{.from = "2001:db8::1", .to = "2001:db8::f"}.Info()};
  const PacketInfo good[] = {
      TestPacket{.from = "192.0.2.2"}.Info(),
      TestPacket{.from = "2001:db8::2", .to = "2001:db8::f"}.Info()};

  std::atomic<bool> stop{false};
  std::atomic<uint32_t> started{0};
  std::atomic<uint64_t> judged{0};
  std::atomic<uint64_t> wrong{0};
  for (uint32_t reader = 0; reader < kReaders; ++reader) Online(reader);
  std::vector<std::thread> readers;
  for (uint32_t reader = 0; reader < kReaders; ++reader) {
    readers.emplace_back([&, reader] {
      WorkerCounters& counters = store.worker_counters(reader);
      auto judge = [&](const Generation& generation, const PacketInfo& info) {
        const Verdict verdict =
            Evaluate(generation,
                     {.packet = info, .interface = port, .received_on = port},
                     counters);
        CountPacket(generation, verdict, Direction::kIn, info,
                    verdict.action == VerdictAction::kPass, counters);
        return verdict.action;
      };
      uint64_t count = 0;
      uint64_t errors = 0;
      started.fetch_add(1);
      while (!stop.load(std::memory_order_relaxed)) {
        const Generation* generation = store.current();
        for (int i = 0; i < 16; ++i) {
          errors += judge(*generation, bad[i % 2]) != VerdictAction::kBlock;
          errors += judge(*generation, good[i % 2]) != VerdictAction::kPass;
          count += 2;
        }
        rte_rcu_qsbr_quiescent(rcu_, reader);
      }
      judged.fetch_add(count);
      wrong.fetch_add(errors);
    });
  }

  while (started.load() < kReaders) std::this_thread::yield();
  const TableEntry other = {.prefix = *ParsePrefix("203.0.113.0/24")};
  const TableKey key = {.anchor = "", .name = "t"};
  for (int i = 0; i < 600; ++i) {
    EXPECT_TRUE(store.Load(policies[(i + 1) % 2]).ok());
    EXPECT_TRUE(AddAddresses(store, key, std::span(&other, 1)).ok());
    store.Poll();
  }
  stop.store(true);
  for (std::thread& reader : readers) reader.join();
  for (uint32_t reader = 0; reader < kReaders; ++reader) Offline(reader);
  for (int i = 0; i < 3; ++i) store.Poll();

  EXPECT_EQ(wrong.load(), 0u);
  EXPECT_GT(judged.load(), 0u);
  EXPECT_EQ(store.live_generations(), 1u);
  EXPECT_EQ(store.rule_slots().used(), 2u);
  EXPECT_TRUE(CheckInvariants(store).ok());
}

// Filters at both ends of a wire, whose rules change together and whose tables
// change alone. A packet is judged at both by one of the set.
TEST_F(PublicationTest, ARoundSeesAllOfASetOrNothingOfIt) {
  InterfaceRegistry interfaces;
  const InterfaceView port = *interfaces.AddPort("outside");
  RcuReclaimer reclaimer(rcu_);
  Publication publication;
  PolicyPool pool;
  constexpr size_t kStores = 3;
  std::vector<std::unique_ptr<PolicyStore>> stores;
  for (size_t i = 0; i < kStores; ++i) {
    stores.push_back(std::make_unique<PolicyStore>(
        PolicyStoreConfig{.workers = kReaders, .rule_slots = 64,
                          .table_slots = 8, .pool = &pool,
                          .publication = &publication},
        &interfaces, &reclaimer));
  }
  // The first set passes at each filter, the other one blocks.
  const auto text = [](size_t version) {
    return std::string("table <t> persist\n") +
           (version == 0 ? "pass no state\n" : "block\n");
  };
  constexpr size_t kVersions = 2;
  const auto commit = [&](size_t version) {
    std::vector<StagedCommit> set;
    for (const auto& store : stores) {
      const Ticket ticket = store->Begin();
      ASSERT_TRUE(store->Define(ticket, Parsed(text(version))).ok());
      absl::StatusOr<StagedGeneration> staged = store->StageLoad(ticket);
      ASSERT_TRUE(staged.ok()) << staged.status();
      set.push_back({.store = store.get(), .ticket = ticket,
                     .generation = *std::move(staged)});
    }
    const absl::Status status = PublishTogether(set);
    ASSERT_TRUE(status.ok()) << status;
  };
  commit(0);
  const PacketInfo packet = TestPacket{}.Info();
  const auto version_of = [&](const Generation& generation,
                              WorkerCounters& counters) -> size_t {
    return Evaluate(generation,
                    {.packet = packet, .interface = port, .received_on = port},
                    counters)
                   .action == VerdictAction::kPass
               ? 0
               : 1;
  };

  std::atomic<bool> stop{false};
  std::atomic<uint32_t> started{0};
  std::atomic<uint64_t> mixed{0};
  std::atomic<uint64_t> went_back{0};
  for (uint32_t reader = 0; reader < kReaders; ++reader) Online(reader);
  std::vector<std::thread> readers;
  for (uint32_t reader = 0; reader < kReaders; ++reader) {
    readers.emplace_back([&, reader] {
      uint64_t errors = 0;
      uint64_t older = 0;
      started.fetch_add(1);
      while (!stop.load(std::memory_order_relaxed)) {
        const uint64_t epoch = publication.epoch();
        // Round and round, as bursts of several wires meet the same filters.
        std::array<const Generation*, kStores> seen{};
        size_t version = kVersions;
        for (size_t turn = 0; turn < 4 * kStores; ++turn) {
          const size_t i = turn % kStores;
          const Generation* const generation = stores[i]->At(epoch);
          if (seen[i] == nullptr) seen[i] = generation;
          errors += seen[i] != generation;
          older += generation != stores[i]->current();
          const size_t its =
              version_of(*generation, stores[i]->worker_counters(reader));
          if (version == kVersions) version = its;
          errors += its != version;
          if (turn % kStores == 0) std::this_thread::yield();
        }
        rte_rcu_qsbr_quiescent(rcu_, reader);
      }
      mixed.fetch_add(errors);
      went_back.fetch_add(older);
    });
  }
  while (started.load() < kReaders) std::this_thread::yield();
  const TableEntry entry = {.prefix = *ParsePrefix("203.0.113.0/24")};
  const TableKey key = {.anchor = "", .name = "t"};
  for (size_t i = 0; i < 600; ++i) {
    commit(i % kVersions);
    // One alone builds on a part of the set.
    PolicyStore& one = *stores[i % kStores];
    EXPECT_TRUE((i % 2 == 0 ? AddAddresses(one, key, std::span(&entry, 1))
                            : DeleteAddresses(one, key, std::span(&entry, 1)))
                    .ok());
    for (const auto& store : stores) store->Poll();
  }
  stop.store(true);
  for (std::thread& reader : readers) reader.join();
  for (uint32_t reader = 0; reader < kReaders; ++reader) Offline(reader);
  for (const auto& store : stores) {
    store->Poll();
    EXPECT_EQ(store->live_generations(), 1u);
    EXPECT_TRUE(CheckInvariants(*store).ok());
  }
  EXPECT_EQ(mixed.load(), 0u);
  // Else there was no round that a publication fell into.
  EXPECT_GT(went_back.load(), 0u);
}

}  // namespace
}  // namespace sluice
