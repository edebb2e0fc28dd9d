#include "dataplane/router/route_store.h"

#include <gtest/gtest.h>
#include <linux/rtnetlink.h>

#include <string>
#include <vector>

namespace sluice {
namespace {

const Prefix kFour = *ParsePrefix("10.0.0.0/8");
const Prefix kSix = *ParsePrefix("2001:db8::/32");

KernelPath Via(const char* gateway, uint32_t metric, bool local = false) {
  KernelPath path = {.local_table = local, .type = RTN_UNICAST,
                     .metric = metric};
  path.hops.push_back({.link = 1, .gateway = *ParseAddress(gateway)});
  return path;
}

class RouteStoreTest : public ::testing::Test {
 protected:
  // The metric and the last byte of each hop, "10:1,2 20:3".
  std::string Of(const Prefix& prefix) {
    std::string text;
    for (const uint32_t number : store_.Of(prefix)) {
      const KernelPath& path = paths_[number];
      if (!text.empty()) text += " ";
      text += std::to_string(path.metric);
      const char* separator = ":";
      for (const KernelHop& hop : path.hops) {
        const bool is4 = hop.gateway.family == Family::kIpv4;
        text += separator + std::to_string(hop.gateway.bytes[is4 ? 3 : 15]);
        separator = ",";
      }
    }
    return text;
  }

  KernelPaths paths_;
  RouteStore store_{100, &paths_};
};

using Place = RouteStore::Place;

TEST_F(RouteStoreTest, OrderIsTableThenMetricThenPlace) {
  EXPECT_TRUE(store_.Add(kFour, Via("192.0.2.1", 20), Place::kFirst));
  EXPECT_TRUE(store_.Add(kFour, Via("192.0.2.2", 10), Place::kFirst));
  EXPECT_TRUE(store_.Add(kFour, Via("192.0.2.3", 10), Place::kLast));
  EXPECT_TRUE(store_.Add(kFour, Via("192.0.2.4", 10), Place::kFirst));
  EXPECT_TRUE(store_.Add(kFour, Via("192.0.2.5", 99, true), Place::kLast));
  EXPECT_EQ(Of(kFour), "99:5 10:4 10:2 10:3 20:1");
  // What is there stays where it is; what is replaced is the first.
  EXPECT_TRUE(store_.Add(kFour, Via("192.0.2.3", 10), Place::kFirst));
  EXPECT_EQ(Of(kFour), "99:5 10:4 10:2 10:3 20:1");
  EXPECT_TRUE(store_.Add(kFour, Via("192.0.2.6", 10), Place::kReplace));
  EXPECT_TRUE(store_.Add(kFour, Via("192.0.2.7", 15), Place::kReplace));
  EXPECT_EQ(Of(kFour), "99:5 10:6 10:2 10:3 15:7 20:1");
  store_.Remove(kFour, Via("192.0.2.2", 10));
  store_.Remove(kFour, Via("192.0.2.5", 99, true));
  store_.Remove(kFour, Via("192.0.2.9", 20));  // another gateway
  EXPECT_EQ(Of(kFour), "10:6 10:3 15:7 20:1");
  EXPECT_EQ(store_.size(), 1u);
}

TEST_F(RouteStoreTest, Ipv6HopsJoin) {
  EXPECT_TRUE(store_.Add(kSix, Via("fe80::1", 10), Place::kFirst));
  EXPECT_TRUE(store_.Add(kSix, Via("fe80::2", 10), Place::kLast));
  KernelPath both = Via("fe80::2", 10);
  both.hops.push_back({.link = 1, .gateway = *ParseAddress("fe80::3")});
  EXPECT_TRUE(store_.Add(kSix, both, Place::kLast));
  EXPECT_EQ(Of(kSix), "10:1,2,3");
  store_.Remove(kSix, Via("fe80::2", 10));
  EXPECT_EQ(Of(kSix), "10:1,3");
  both.hops[0].gateway = *ParseAddress("fe80::1");
  store_.Remove(kSix, both);
  EXPECT_EQ(Of(kSix), "");
  // Without a gateway they stand beside each other.
  KernelPath link = Via("fe80::1", 10);
  link.hops[0].gateway = {};
  EXPECT_TRUE(store_.Add(kSix, link, Place::kFirst));
  link.hops[0].link = 2;
  EXPECT_TRUE(store_.Add(kSix, link, Place::kFirst));
  EXPECT_EQ(store_.Of(kSix).size(), 2u);
}

TEST_F(RouteStoreTest, IsBounded) {
  for (uint32_t i = 0; i < RouteStore::kMaxOfPrefix; ++i) {
    EXPECT_TRUE(store_.Add(kFour, Via("192.0.2.1", i), Place::kLast));
  }
  EXPECT_FALSE(store_.Add(kFour, Via("192.0.2.1", 1000), Place::kLast));
  bool refused = false;
  for (uint32_t i = 0; i < 250 && !refused; ++i) {
    refused = !store_.Add({Address::V4(0x0b000000 + i), 32},
                          Via("192.0.2.1", 1), Place::kLast);
  }
  EXPECT_TRUE(refused);
  EXPECT_GE(store_.size(), 100u);
}

TEST_F(RouteStoreTest, PathsAreSharedAndGo) {
  {
    RouteStore other(100, &paths_);
    ASSERT_TRUE(store_.Add(kFour, Via("192.0.2.1", 1), Place::kLast));
    ASSERT_TRUE(other.Add(kFour, Via("192.0.2.2", 1), Place::kLast));
    ASSERT_TRUE(other.Add(kFour, Via("192.0.2.3", 2), Place::kLast));
    ASSERT_TRUE(other.Add(kSix, Via("fe80::1", 2), Place::kLast));
    ASSERT_TRUE(store_.CopyFrom(other, kFour));
  }
  EXPECT_EQ(Of(kFour), "1:2 2:3");
  size_t count = 0;
  paths_.Each([&](const KernelPath&, ResolvedPath*) { ++count; });
  EXPECT_EQ(count, 2u);
  RouteStore nothing(100, &paths_);
  ASSERT_TRUE(store_.CopyFrom(nothing, kFour));
  EXPECT_EQ(Of(kFour), "");
  EXPECT_EQ(store_.size(), 0u);
}

TEST_F(RouteStoreTest, GoesThroughPiecesOfBothFamilies) {
  for (uint32_t i = 0; i < 5; ++i) {
    ASSERT_TRUE(store_.Add({Address::V4(i << 24), 8}, Via("192.0.2.1", 1),
                           Place::kLast));
  }
  ASSERT_TRUE(store_.Add(kSix, Via("fe80::1", 2), Place::kLast));
  store_.Mark(kSix, true);
  EXPECT_TRUE(store_.IsMarked(kSix));
  for (size_t piece = 1; piece <= 7; ++piece) {
    std::vector<std::string> seen;
    size_t marked = 0;
    Prefix after;
    do {
      after = store_.Each(after, piece, [&](const Prefix& prefix, bool mark) {
        seen.push_back(ToString(prefix));
        marked += mark ? 1 : 0;
        return true;
      });
    } while (after.address.family != Family::kNone && seen.size() < 100);
    EXPECT_EQ(seen, (std::vector<std::string>{"0.0.0.0/8", "1.0.0.0/8",
                                              "2.0.0.0/8", "3.0.0.0/8",
                                              "4.0.0.0/8", "2001:db8::/32"}))
        << piece;
    EXPECT_EQ(marked, 1u);
  }
}

}  // namespace
}  // namespace sluice
