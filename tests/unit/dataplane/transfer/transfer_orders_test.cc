#include "dataplane/transfer/transfer_orders.h"

#include <gtest/gtest.h>
#include <rte_cycles.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/conntrack/shard.h"

namespace sluice {
namespace {

class RecordOrderTest : public testing::Test {
 protected:
  static constexpr size_t kStates = 6;

  RecordOrderTest() {
    for (size_t i = 1; i <= kStates; ++i) {
      shard_.In("udp $C:" + std::to_string(1000 + i) + " > $S:53 data 8");
    }
    EXPECT_EQ(shard_.table->size(), kStates);
  }

  // An order for so many states; its chunk comes with Done().
  std::unique_ptr<RecordOrder> Order(size_t states) {
    std::vector<StateRecord> room;
    room.reserve(states);
    return std::make_unique<RecordOrder>(
        RecordOrder::kAllFilters, cursor_, std::move(room),
        [this](RecordOrder::Chunk chunk) { chunk_ = std::move(chunk); });
  }
  bool Step(RecordOrder& order, uint32_t packets) {
    return order.Step({.states = shard_.table.get(), .packets = packets});
  }

  Shard shard_{Family::kIpv4};
  std::shared_ptr<RecordCursor> cursor_ = std::make_shared<RecordCursor>();
  std::optional<RecordOrder::Chunk> chunk_;
};

TEST_F(RecordOrderTest, RestsAfterAStepAsLongAsItsShareSays) {
  const auto order = Order(kStates);
  uint64_t steps_and_rests = 0;
  for (bool done = false; !done;) {
    const uint64_t begun = rte_rdtsc();
    done = Step(*order, 0);
    steps_and_rests += cursor_->rests_until - begun;
  }
  order->Done();
  ASSERT_EQ(chunk_->records.size(), kStates);
  EXPECT_GT(chunk_->time.total, 0u);
  EXPECT_GE(steps_and_rests,
            (RecordOrder::kRest + 1) * chunk_->time.total);
}

TEST_F(RecordOrderTest, ARestIsForPacketsOnly) {
  cursor_->rests_until = UINT64_MAX;
  const auto order = Order(kStates);
  EXPECT_FALSE(Step(*order, 1));
  EXPECT_FALSE(Step(*order, 32));
  EXPECT_EQ(cursor_->slot, 0u);
  // Nothing arrives: nobody loses by it.
  while (!Step(*order, 0)) {
  }
  order->Done();
  EXPECT_EQ(chunk_->records.size(), kStates);
}

TEST_F(RecordOrderTest, AnotherOrderGoesOnAndRestsToo) {
  const auto first = Order(4);
  while (!Step(*first, 0)) {
  }
  first->Done();
  EXPECT_EQ(chunk_->records.size(), 4u);
  EXPECT_TRUE(chunk_->more);
  cursor_->rests_until = UINT64_MAX;
  const auto second = Order(4);
  EXPECT_FALSE(Step(*second, 1));
  while (!Step(*second, 0)) {
  }
  second->Done();
  EXPECT_EQ(chunk_->records.size(), kStates - 4);
  EXPECT_FALSE(chunk_->more);
}

}  // namespace
}  // namespace sluice
