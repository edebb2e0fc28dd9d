// Packets that wait for next hops, and which of them no longer do.
#include "dataplane/forward/route_wait.h"

#include <gtest/gtest.h>

#include <set>

namespace sluice {
namespace {

WaitingHop One(uint32_t hop, uint16_t from, Tick since = 0) {
  return {.next_hop = Address::V4(hop), .since = since, .port = from, .to = 1};
}

std::multiset<uint32_t> Asked(RouteWait& wait) {
  std::multiset<uint32_t> hops;
  uint16_t port;
  Address address;
  while (wait.NextQuestion(&port, &address)) {
    EXPECT_EQ(port, 1);
    for (uint32_t hop = 0; hop < 1000; ++hop) {
      if (Address::V4(hop) == address) hops.insert(hop);
    }
  }
  return hops;
}

TEST(RouteWait, FourForOneHopAndTheOldestOfThemGoes) {
  RouteWait wait;
  WaitingHop displaced;
  EXPECT_FALSE(wait.Add(One(7, 10), &displaced));
  for (uint16_t k = 0; k < RouteWait::kForOne; ++k) {
    EXPECT_FALSE(wait.Add(One(8, k), &displaced));
  }
  EXPECT_TRUE(wait.Add(One(8, 4), &displaced));
  EXPECT_EQ(displaced.port, 0) << "not the one for another hop";
  EXPECT_EQ(wait.count(), 1 + RouteWait::kForOne);
  EXPECT_EQ(Asked(wait), (std::multiset<uint32_t>{7, 8}));
}

// As when somebody scans a network: who comes behind that is asked for too, and
// waits.
TEST(RouteWait, ANewHopIsAskedForHoweverManyWait) {
  RouteWait wait;
  WaitingHop displaced;
  for (uint16_t k = 0; k < RouteWait::kRoom; ++k) {
    EXPECT_FALSE(wait.Add(One(k, k), &displaced));
  }
  EXPECT_EQ(Asked(wait).size(), RouteWait::kRoom);
  for (uint16_t k = 0; k < 2; ++k) {
    EXPECT_TRUE(wait.Add(One(500u + k, 99), &displaced));
    EXPECT_EQ(displaced.port, k) << "the oldest";
    EXPECT_EQ(wait.count(), RouteWait::kRoom);
    EXPECT_EQ(wait.at(RouteWait::kRoom - 1).next_hop, Address::V4(500u + k));
    EXPECT_EQ(Asked(wait), (std::multiset<uint32_t>{500u + k}));
  }
  // One more for a hop that some wait for asks for nothing.
  EXPECT_TRUE(wait.Add(One(500, 98), &displaced));
  EXPECT_EQ(displaced.port, 2);
  EXPECT_TRUE(Asked(wait).empty());
}

}  // namespace
}  // namespace sluice
