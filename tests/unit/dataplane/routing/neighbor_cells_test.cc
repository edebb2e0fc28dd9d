// Neighbours through RoutingTables, as workers and the mirror use them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "dataplane/routing/routing_tables.h"

namespace sluice {
namespace {

Address Ip(const char* text) { return *ParseAddress(text); }
MacAddress Mac(uint8_t last) { return {2, 0, 0, 0, 0, last}; }

TEST(NeighborCellsTest, ArePortsOwn) {
  RoutingTables tables({});
  MacAddress mac{};
  const Address four = Ip("192.0.2.1"), six = Ip("fe80::1");
  EXPECT_EQ(tables.FindNeighbor(1, four, &mac), NeighborState::kUnknown);
  ASSERT_TRUE(tables.SetNeighbor(1, four, NeighborState::kKnown, Mac(1)).ok());
  ASSERT_TRUE(tables.SetNeighbor(2, four, NeighborState::kKnown, Mac(2)).ok());
  ASSERT_TRUE(tables.SetNeighbor(1, six, NeighborState::kPending, {}).ok());
  ASSERT_TRUE(tables.SetNeighbor(2, six, NeighborState::kFailed, {}).ok());
  EXPECT_EQ(tables.FindNeighbor(1, four, &mac), NeighborState::kKnown);
  EXPECT_EQ(mac, Mac(1));
  EXPECT_EQ(tables.FindNeighbor(2, four, &mac), NeighborState::kKnown);
  EXPECT_EQ(mac, Mac(2));
  EXPECT_EQ(tables.FindNeighbor(1, six, &mac), NeighborState::kPending);
  EXPECT_EQ(tables.FindNeighbor(2, six, &mac), NeighborState::kFailed);
  EXPECT_EQ(tables.FindNeighbor(3, six, &mac), NeighborState::kUnknown);
  EXPECT_EQ(mac, Mac(2));  // only known ones say where they are

  EXPECT_TRUE(tables.RemoveNeighbor(2, four));
  EXPECT_FALSE(tables.RemoveNeighbor(2, four));
  EXPECT_EQ(tables.FindNeighbor(2, four, &mac), NeighborState::kUnknown);
  EXPECT_EQ(tables.FindNeighbor(1, four, &mac), NeighborState::kKnown);
  EXPECT_EQ(tables.neighbor_count(), 3u);
  const auto list = tables.Neighbors(1, 5);
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0], (RoutingTables::Neighbor{
                         .port = 1, .address = six,
                         .state = NeighborState::kPending, .mac = {}}));
  EXPECT_EQ(list[1].state, NeighborState::kFailed);
}

TEST(NeighborCellsTest, AnswersNameTheirGateways) {
  RoutingTables tables({});
  const Address gateway = Ip("192.0.2.1");
  ASSERT_TRUE(tables
                  .SetRoute({.prefix = *ParsePrefix("10.0.0.0/8"),
                             .hops = {{.port = 4, .gateway = gateway}}})
                  .ok());
  RouteAnswer answer = tables.Find(Ip("10.1.1.1"), 0);
  MacAddress mac{};
  ASSERT_NE(answer.neighbor, 0u);
  EXPECT_EQ(tables.FindNeighbor(answer, &mac), NeighborState::kUnknown);
  EXPECT_EQ(tables.neighbor_count(), 0u);
  ASSERT_TRUE(
      tables.SetNeighbor(4, gateway, NeighborState::kKnown, Mac(9)).ok());
  EXPECT_EQ(tables.FindNeighbor(answer, &mac), NeighborState::kKnown);
  EXPECT_EQ(mac, Mac(9));
  // Its place outlives the neighbour, as long as there is the route, and the
  // neighbour outlives the route.
  EXPECT_TRUE(tables.RemoveNeighbor(4, gateway));
  EXPECT_EQ(tables.FindNeighbor(answer, &mac), NeighborState::kUnknown);
  ASSERT_TRUE(
      tables.SetNeighbor(4, gateway, NeighborState::kKnown, Mac(8)).ok());
  EXPECT_EQ(tables.Find(Ip("10.1.1.1"), 0).neighbor, answer.neighbor);
  EXPECT_TRUE(tables.RemoveRoute(*ParsePrefix("10.0.0.0/8")));
  EXPECT_EQ(tables.FindNeighbor(4, gateway, &mac), NeighborState::kKnown);
  EXPECT_EQ(mac, Mac(8));

  // On the link: found by its address.
  ASSERT_TRUE(tables
                  .SetRoute({.prefix = *ParsePrefix("192.0.2.0/24"),
                             .hops = {{.port = 4}}})
                  .ok());
  answer = tables.Find(gateway, 0);
  EXPECT_EQ(answer.neighbor, 0u);
  EXPECT_EQ(tables.FindNeighbor(answer, &mac), NeighborState::kKnown);
}

TEST(NeighborCellsTest, AsManyAsThereMayBe) {
  constexpr uint32_t kMax = 20'000;
  RoutingTables tables({.max_neighbors = kMax});
  for (uint32_t i = 0; i < kMax; ++i) {
    const absl::Status set = tables.SetNeighbor(
        i % 3, Address::V4(0x0a000000 + i), NeighborState::kKnown,
        {2, 0, 0, static_cast<uint8_t>(i >> 16), static_cast<uint8_t>(i >> 8),
         static_cast<uint8_t>(i)});
    ASSERT_TRUE(set.ok()) << i << ": " << set.message();
  }
  const absl::Status more =
      tables.SetNeighbor(1, Ip("192.0.2.1"), NeighborState::kPending, {});
  EXPECT_EQ(more.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(more.message(),
              ::testing::HasSubstr("192.0.2.1: there are 20000 already: raise "
                        "max_neighbors"));
  for (uint32_t i = 0; i < kMax; ++i) {
    MacAddress mac{};
    ASSERT_EQ(tables.FindNeighbor(i % 3, Address::V4(0x0a000000 + i), &mac),
              NeighborState::kKnown);
    ASSERT_EQ(mac[5], static_cast<uint8_t>(i));
    ASSERT_EQ(mac[4], static_cast<uint8_t>(i >> 8));
  }
  // Many times as many come and go.
  for (uint32_t i = 0; i < 5 * kMax; ++i) {
    ASSERT_TRUE(tables.RemoveNeighbor((i % kMax) % 3,
                                      Address::V4(0x0a000000 + i % kMax)));
    ASSERT_TRUE(tables
                    .SetNeighbor((i % kMax) % 3,
                                 Address::V4(0x0a000000 + i % kMax),
                                 NeighborState::kPending, {})
                    .ok());
  }
  EXPECT_EQ(tables.neighbor_count(), kMax);
}

}  // namespace
}  // namespace sluice
