// Several next hops: shares by weight, and flows that stay where they are.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "dataplane/routing/routing_tables.h"

namespace sluice {
namespace {

const Prefix kPrefix = *ParsePrefix("10.0.0.0/8");
const Address kDestination = *ParseAddress("10.1.1.1");
constexpr size_t kFlows = 100'000;

NextHop Hop(uint16_t port, uint8_t weight = 1) {
  return {.port = port,
          .gateway = Address::V4(0xc0000200u + port),
          .weight = weight};
}

// The port of each flow.
std::vector<uint16_t> PortsOf(const std::vector<NextHop>& hops) {
  RoutingTables tables({});
  EXPECT_TRUE(tables.SetRoute({.prefix = kPrefix, .hops = hops}).ok());
  std::mt19937 random(1);
  std::vector<uint16_t> ports;
  for (size_t i = 0; i < kFlows; ++i) {
    const RouteAnswer answer =
        tables.Find(kDestination, static_cast<uint32_t>(random()));
    EXPECT_EQ(answer.type, RouteType::kForward);
    EXPECT_EQ(answer.next_hop, Address::V4(0xc0000200u + answer.port));
    ports.push_back(answer.port);
  }
  return ports;
}

double ShareOf(const std::vector<uint16_t>& ports, uint16_t port) {
  return static_cast<double>(std::count(ports.begin(), ports.end(), port)) /
         static_cast<double>(ports.size());
}

TEST(EqualCostTest, SharesFollowWeights) {
  const auto two = PortsOf({Hop(1), Hop(2)});
  EXPECT_NEAR(ShareOf(two, 1), 0.5, 0.05);
  EXPECT_NEAR(ShareOf(two, 2), 0.5, 0.05);
  const auto heavy = PortsOf({Hop(1, 3), Hop(2, 1)});
  EXPECT_NEAR(ShareOf(heavy, 1), 0.75, 0.05);
  std::vector<NextHop> all;
  for (uint16_t port = 0; port < RoutingTables::kMaxHops; ++port) {
    all.push_back(Hop(port));
  }
  const auto many = PortsOf(all);
  for (uint16_t port = 0; port < RoutingTables::kMaxHops; ++port) {
    EXPECT_NEAR(ShareOf(many, port), 1.0 / 32, 0.02) << port;
  }
}

TEST(EqualCostTest, FlowsStayWhenOthersComeAndGo) {
  const auto three = PortsOf({Hop(1), Hop(2), Hop(3)});
  const auto without = PortsOf({Hop(1), Hop(3)});
  const auto other_order = PortsOf({Hop(3), Hop(1), Hop(2)});
  const auto more = PortsOf({Hop(1), Hop(2), Hop(3), Hop(4)});
  size_t moved = 0;
  for (size_t i = 0; i < kFlows; ++i) {
    EXPECT_EQ(three[i], other_order[i]);
    if (three[i] != 2) {
      ASSERT_EQ(without[i], three[i]) << i;
    }
    if (more[i] == 4) {
      ++moved;
    } else {
      ASSERT_EQ(more[i], three[i]) << i;
    }
  }
  EXPECT_NEAR(static_cast<double>(moved) / kFlows, 0.25, 0.05);
}

TEST(EqualCostTest, AHeavierHopTakesFromTheOthersOnly) {
  const auto before = PortsOf({Hop(1), Hop(2), Hop(3)});
  const auto after = PortsOf({Hop(1), Hop(2, 2), Hop(3)});
  for (size_t i = 0; i < kFlows; ++i) {
    if (after[i] != 2) {
      ASSERT_EQ(after[i], before[i]);
    }
    if (before[i] == 2) {
      ASSERT_EQ(after[i], 2);
    }
  }
  EXPECT_NEAR(ShareOf(after, 2), 0.5, 0.05);
}

// What the hashes of a worker's flows have in common is no matter: those whose
// low seven bits name the worker, or whose high ones do.
TEST(EqualCostTest, HashesWithSomethingInCommonAreShared) {
  RoutingTables tables({});
  ASSERT_TRUE(
      tables.SetRoute({.prefix = kPrefix, .hops = {Hop(1), Hop(2)}}).ok());
  for (const bool low : {false, true}) {
    size_t first = 0;
    for (uint32_t i = 0; i < 10'000; ++i) {
      const uint32_t hash = low ? i << 7 | 5 : 5u << 25 | i;
      first += tables.Find(kDestination, hash).port == 1 ? 1 : 0;
    }
    EXPECT_NEAR(static_cast<double>(first) / 10'000, 0.5, 0.06) << low;
  }
}

}  // namespace
}  // namespace sluice
