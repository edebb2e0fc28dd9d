// Commits under readers: each packet is judged by one generation, and what a
// reader holds is not freed.
#include <rte_rcu_qsbr.h>

#include <atomic>
#include <cstdlib>
#include <memory>
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

}  // namespace
}  // namespace sluice
