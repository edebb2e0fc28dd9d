#include "dataplane/router/neighbor_watch.h"

#include <gtest/gtest.h>
#include <linux/neighbour.h>

#include <set>

namespace sluice {
namespace {

constexpr uint16_t kWatched = 3;
constexpr uint32_t kWatchedLink = 7;

class NeighborWatchTest : public ::testing::Test {
 protected:
  NeighborWatchTest() {
    links_.Set({.index = kWatchedLink,
                .name = "lan",
                .mtu = 1500,
                .mac = {},
                .switched_on = true,
                .running = true});
    links_.SetPort(kWatchedLink, kWatched);
  }

  // The n-th address that nobody has.
  static Address Nobody(uint32_t n) { return Address::V4(0x0a000000 + n); }
  NeighborNews News(const Address& address, uint16_t state) const {
    return {.link = kWatchedLink,
            .address = address,
            .state = state,
            .has_mac = state != NUD_FAILED && state != NUD_INCOMPLETE,
            .mac = {2, 0, 0, 0, 0, 1}};
  }
  NeighborState StateOf(const Address& address) const {
    MacAddress mac;
    return tables_.FindNeighbor(kWatched, address, &mac);
  }

  RoutingTables tables_{{.max_routes = 100, .max_neighbors = 1000}};
  LinkList links_;
  // What the kernel is at.
  std::set<Address> asked_;
  NeighborWatch watch_{&tables_, &links_,
                       [this](uint32_t, const Address& address) {
                         asked_.insert(address);
                         return true;
                       },
                       [this](uint32_t, const Address& address) {
                         return asked_.erase(address) == 1;
                       }};
};

TEST_F(NeighborWatchTest, AScanMakesWayForWhoMayBeThere) {
  constexpr auto kMax = static_cast<uint32_t>(NeighborWatch::kMaxOpen);
  for (uint32_t n = 0; n < kMax; ++n) {
    ASSERT_TRUE(watch_.Ask(kWatched, Nobody(n), 1000 + (n > 1 ? 1 : 0)));
  }
  // All have the time for an answer.
  const uint64_t soon = 1000 + NeighborWatch::kTimeToAnswer - 1;
  EXPECT_FALSE(watch_.Ask(kWatched, Nobody(kMax), soon));
  EXPECT_EQ(asked_.size(), kMax);
  EXPECT_EQ(watch_.questions_refused(), 1);
  // One that has answered is no question any more, nor does it give way.
  watch_.Set(News(Nobody(0), NUD_REACHABLE), soon);
  EXPECT_TRUE(watch_.Ask(kWatched, Nobody(kMax), soon));
  EXPECT_FALSE(watch_.Ask(kWatched, Nobody(kMax + 1), soon));
  // The first one asked does, and the kernel is told.
  EXPECT_TRUE(watch_.Ask(kWatched, Nobody(kMax + 1), soon + 1));
  EXPECT_TRUE(asked_.contains(Nobody(0)));
  EXPECT_FALSE(asked_.contains(Nobody(1)));
  EXPECT_TRUE(asked_.contains(Nobody(kMax + 1)));
  EXPECT_EQ(StateOf(Nobody(0)), NeighborState::kKnown);
  EXPECT_NE(StateOf(Nobody(1)), NeighborState::kPending);
  EXPECT_EQ(StateOf(Nobody(kMax + 1)), NeighborState::kPending);
  // As many as have been asked long enough ago.
  uint32_t more = 0;
  while (more < 10'000 &&
         watch_.Ask(kWatched, Nobody(10'000 + more), soon + 100)) {
    ++more;
  }
  EXPECT_EQ(more, kMax - 2);
}

TEST_F(NeighborWatchTest, KnowsWhoIsThereAndWhoWasAskedFor) {
  EXPECT_FALSE(watch_.Knows(kWatched, Nobody(1)));
  watch_.Ask(kWatched, Nobody(1), 1000);
  watch_.Set(News(Nobody(2), NUD_STALE), 1000);
  EXPECT_TRUE(watch_.Knows(kWatched, Nobody(1)));
  EXPECT_TRUE(watch_.Knows(kWatched, Nobody(2)));
  EXPECT_FALSE(watch_.Knows(kWatched + 1, Nobody(2)));
  watch_.Remove(News(Nobody(2), 0));
  EXPECT_FALSE(watch_.Knows(kWatched, Nobody(2)));
}

}  // namespace
}  // namespace sluice
