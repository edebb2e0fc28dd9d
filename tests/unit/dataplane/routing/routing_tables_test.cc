#include "dataplane/routing/routing_tables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Address A(const char* text) { return *ParseAddress(text); }
Prefix P(const char* text) { return *ParsePrefix(text); }
Route Via(const char* prefix, uint16_t port, const char* gateway = nullptr) {
  return {.prefix = P(prefix),
          .hops = {{.port = port,
                    .gateway = gateway == nullptr ? Address() : A(gateway)}}};
}

class RoutingTablesTest : public ::testing::Test {
 protected:
  RoutingTablesTest() : tables_({}) {}

  void Set(const Route& route) {
    ASSERT_TRUE(tables_.SetRoute(route).ok()) << ToString(route.prefix);
  }
  // "port gateway-or-destination", or the type.
  std::string Go(const char* destination) {
    const RouteAnswer answer = tables_.Find(A(destination), 0);
    switch (answer.type) {
      case RouteType::kNone:
        return "none";
      case RouteType::kLocal:
        return "local";
      case RouteType::kBlackhole:
        return "blackhole";
      case RouteType::kUnreachable:
        return "unreachable";
      case RouteType::kProhibit:
        return "prohibit";
      case RouteType::kForward:
        return std::to_string(answer.port) + " " + ToString(answer.next_hop);
    }
    return "?";
  }

  RoutingTables tables_;
};

TEST_F(RoutingTablesTest, TheLongestPrefixDecides) {
  for (const Route& route :
       {Via("0.0.0.0/0", 1, "192.0.2.1"), Via("10.0.0.0/8", 2),
        Via("10.1.0.0/16", 3), Via("10.1.2.0/24", 4), Via("10.1.2.3/32", 5),
        Via("10.1.2.128/25", 6), Via("::/0", 1, "fe80::1"),
        Via("2001:db8::/32", 2), Via("2001:db8:1::/48", 3),
        Via("2001:db8:1:2::/64", 4), Via("2001:db8:1:2::3/128", 5)}) {
    Set(route);
  }
  EXPECT_EQ(Go("9.9.9.9"), "1 192.0.2.1");
  EXPECT_EQ(Go("10.9.9.9"), "2 10.9.9.9");
  EXPECT_EQ(Go("10.1.9.9"), "3 10.1.9.9");
  EXPECT_EQ(Go("10.1.2.9"), "4 10.1.2.9");
  EXPECT_EQ(Go("10.1.2.3"), "5 10.1.2.3");
  EXPECT_EQ(Go("10.1.2.200"), "6 10.1.2.200");
  EXPECT_EQ(Go("2002::1"), "1 fe80::1");
  EXPECT_EQ(Go("2001:db8:2::1"), "2 2001:db8:2::1");
  EXPECT_EQ(Go("2001:db8:1::1"), "3 2001:db8:1::1");
  EXPECT_EQ(Go("2001:db8:1:2::1"), "4 2001:db8:1:2::1");
  EXPECT_EQ(Go("2001:db8:1:2::3"), "5 2001:db8:1:2::3");

  // What a removed one covered falls back to the next shorter one.
  EXPECT_TRUE(tables_.RemoveRoute(P("10.1.2.0/24")));
  EXPECT_FALSE(tables_.RemoveRoute(P("10.1.2.0/24")));
  EXPECT_EQ(Go("10.1.2.9"), "3 10.1.2.9");
  EXPECT_EQ(Go("10.1.2.3"), "5 10.1.2.3");
  EXPECT_EQ(Go("10.1.2.200"), "6 10.1.2.200");
  EXPECT_TRUE(tables_.RemoveRoute(P("0.0.0.0/0")));
  EXPECT_EQ(Go("9.9.9.9"), "none");
  EXPECT_TRUE(tables_.RemoveRoute(P("2001:db8:1:2::/64")));
  EXPECT_EQ(Go("2001:db8:1:2::1"), "3 2001:db8:1:2::1");
  EXPECT_TRUE(tables_.RemoveRoute(P("::/0")));
  EXPECT_EQ(Go("2002::1"), "none");
  EXPECT_EQ(tables_.route_count(), 7u);
}

TEST_F(RoutingTablesTest, TypesAreAnswered) {
  Set({.prefix = P("10.0.0.0/8"), .type = RouteType::kBlackhole});
  Set({.prefix = P("10.1.0.0/16"), .type = RouteType::kUnreachable});
  Set({.prefix = P("2001:db8::/32"), .type = RouteType::kProhibit});
  Set({.prefix = P("10.2.0.1/32"), .type = RouteType::kLocal});
  EXPECT_EQ(Go("10.9.0.1"), "blackhole");
  EXPECT_EQ(Go("10.1.0.1"), "unreachable");
  EXPECT_EQ(Go("2001:db8::1"), "prohibit");
  EXPECT_EQ(Go("10.2.0.1"), "local");
  EXPECT_TRUE(tables_.IsLocal(A("10.2.0.1")));
  EXPECT_TRUE(tables_.HasRoute(A("10.9.0.1")));
  EXPECT_FALSE(tables_.HasRoute(A("11.0.0.1")));
  EXPECT_FALSE(tables_.HasRoute({}));
  EXPECT_FALSE(tables_.LeadsTo(A("10.9.0.1"), 0));
}

TEST_F(RoutingTablesTest, AllHopsLeadBack) {
  Set({.prefix = P("10.0.0.0/8"),
       .hops = {{.port = 3, .gateway = A("192.0.2.1")},
                {.port = 4, .gateway = A("2001:db8::1")}}});
  EXPECT_TRUE(tables_.LeadsTo(A("10.1.1.1"), 3));
  EXPECT_TRUE(tables_.LeadsTo(A("10.1.1.1"), 4));
  EXPECT_FALSE(tables_.LeadsTo(A("10.1.1.1"), 5));
  EXPECT_FALSE(tables_.LeadsTo(A("11.1.1.1"), 3));
}

TEST_F(RoutingTablesTest, AddressesAreTheRoutersWhateverRoutesSay) {
  const std::vector<Prefix> addresses = {P("192.0.2.1/24"), P("fe80::1/64"),
                                         P("2001:db8::1/64"),
                                         P("198.51.100.1/31")};
  tables_.SetAddresses(7, addresses);
  EXPECT_EQ(Go("192.0.2.1"), "local");
  EXPECT_EQ(Go("192.0.2.255"), "local");
  EXPECT_EQ(Go("192.0.2.2"), "none");
  EXPECT_EQ(Go("198.51.100.0"), "none");
  EXPECT_EQ(Go("2001:db8::1"), "local");
  EXPECT_TRUE(tables_.IsLocal(A("192.0.2.1")));
  EXPECT_FALSE(tables_.IsLocal(A("192.0.2.255")));
  EXPECT_EQ(tables_.SourceAt(7, Family::kIpv4), A("192.0.2.1"));
  EXPECT_EQ(tables_.SourceAt(7, Family::kIpv6), A("2001:db8::1"));
  EXPECT_EQ(tables_.SourceAt(8, Family::kIpv6), Address());
  EXPECT_EQ(tables_.AddressesOf(7), addresses);
  EXPECT_EQ(tables_.route_count(), 0u);

  // A route to one of them is there, and decides when the address has gone.
  Set(Via("192.0.2.1/32", 3));
  EXPECT_EQ(Go("192.0.2.1"), "local");
  tables_.SetAddresses(8, std::vector<Prefix>{P("192.0.2.1/28")});
  tables_.SetAddresses(7, std::vector<Prefix>{P("fe80::1/64")});
  EXPECT_EQ(Go("192.0.2.1"), "local");  // port 8 has it
  EXPECT_EQ(Go("192.0.2.255"), "none");
  EXPECT_EQ(Go("192.0.2.15"), "local");
  EXPECT_EQ(tables_.SourceAt(7, Family::kIpv6), A("fe80::1"));
  EXPECT_EQ(tables_.SourceAt(7, Family::kIpv4), Address());
  tables_.SetAddresses(8, {});
  EXPECT_EQ(Go("192.0.2.1"), "3 192.0.2.1");
  EXPECT_EQ(Go("192.0.2.15"), "none");
  EXPECT_EQ(Go("fe80::1"), "local");
  tables_.SetAddresses(7, {});
  EXPECT_EQ(Go("fe80::1"), "none");
}

TEST_F(RoutingTablesTest, GroupsAreTheRouters) {
  Set(Via("0.0.0.0/0", 1));
  Set(Via("224.0.0.0/4", 1));
  Set(Via("239.1.0.0/16", 1));
  Set(Via("ff00::/8", 1));
  Set(Via("ff02::/16", 1));
  tables_.SetAddresses(1, std::vector<Prefix>{P("0.0.0.1/0")});
  tables_.SetAddresses(1, {});
  for (const char* const group :
       {"224.0.0.1", "239.1.2.3", "255.255.255.255", "ff02::1", "ff3e::1"}) {
    EXPECT_EQ(Go(group), "local") << group;
    EXPECT_FALSE(tables_.IsLocal(A(group))) << group;
  }
  EXPECT_EQ(Go("240.0.0.1"), "1 240.0.0.1");
  EXPECT_TRUE(tables_.RemoveRoute(P("224.0.0.0/4")));
  EXPECT_TRUE(tables_.RemoveRoute(P("ff02::/16")));
  EXPECT_EQ(Go("224.0.0.1"), "local");
  EXPECT_EQ(Go("ff02::1"), "local");
  EXPECT_EQ(tables_.route_count(), 3u);
}

TEST_F(RoutingTablesTest, ListsInOrder) {
  for (const char* const prefix :
       {"2001:db8::/32", "10.1.0.0/16", "10.0.0.0/16", "10.0.0.0/8",
        "9.0.0.0/8", "::/0", "10.0.0.0/24"}) {
    Set(Via(prefix, 1));
  }
  const auto named = [](const std::vector<Route>& routes) {
    std::vector<std::string> names;
    for (const Route& route : routes) names.push_back(ToString(route.prefix));
    return names;
  };
  EXPECT_THAT(named(tables_.Routes(0, 100)),
              ElementsAre("9.0.0.0/8", "10.0.0.0/8", "10.0.0.0/16",
                          "10.0.0.0/24", "10.1.0.0/16", "::/0",
                          "2001:db8::/32"));
  EXPECT_THAT(named(tables_.Routes(3, 3)),
              ElementsAre("10.0.0.0/24", "10.1.0.0/16", "::/0"));
  EXPECT_THAT(named(tables_.RoutesAfter(P("10.0.0.0/16"), 2)),
              ElementsAre("10.0.0.0/24", "10.1.0.0/16"));
  EXPECT_THAT(named(tables_.RoutesAfter(P("10.0.7.0/24"), 1)),
              ElementsAre("10.1.0.0/16"));
  EXPECT_THAT(named(tables_.RoutesAfter(P("::/0"), 5)),
              ElementsAre("2001:db8::/32"));
  EXPECT_THAT(named(tables_.RoutesAfter({}, 1)), ElementsAre("9.0.0.0/8"));
  EXPECT_TRUE(tables_.Routes(7, 5).empty());
  EXPECT_EQ(tables_.RouteOf(P("9.0.0.0/8")), Via("9.0.0.0/8", 1));
  EXPECT_EQ(tables_.RouteOf(P("9.0.0.0/9")), std::nullopt);
}

TEST_F(RoutingTablesTest, WhatIsWrongIsRefusedAndChangesNothing) {
  Set(Via("10.0.0.0/8", 1));
  const auto error = [&](const Route& route) {
    const absl::Status status = tables_.SetRoute(route);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  EXPECT_THAT(error(Via("10.0.0.1/8", 2)),
              HasSubstr("route 10.0.0.1/8: it has host bits: write 10.0.0.0/8"));
  EXPECT_THAT(error({.prefix = P("10.0.0.0/8")}), HasSubstr("no next hop"));
  EXPECT_THAT(error({.prefix = P("10.0.0.0/8"),
                     .hops = std::vector<NextHop>(33)}),
              HasSubstr("33 next hops, of which there may be 32"));
  EXPECT_THAT(error({.prefix = P("10.0.0.0/8"), .hops = {{.weight = 0}}}),
              HasSubstr("weight"));
  EXPECT_THAT(error({.prefix = P("10.0.0.0/8"),
                     .type = RouteType::kBlackhole,
                     .hops = {{}}}),
              HasSubstr("no next hops"));
  EXPECT_THAT(error({}), HasSubstr("no prefix"));
  EXPECT_EQ(Go("10.1.1.1"), "1 10.1.1.1");
}

TEST(RoutingLimitsTest, AreNamedByWhatRaisesThem) {
  RoutingTables tables({.max_routes = 2, .max_neighbors = 2});
  EXPECT_TRUE(tables.SetRoute(Via("10.0.0.0/8", 1, "192.0.2.1")).ok());
  EXPECT_TRUE(tables.SetRoute(Via("::/0", 1, "192.0.2.2")).ok());
  absl::Status status = tables.SetRoute(Via("11.0.0.0/8", 1));
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(status.message(),
              HasSubstr("11.0.0.0/8: there are 2 already: raise max_routes"));
  // Replacing takes up no more room.
  EXPECT_TRUE(tables.SetRoute(Via("10.0.0.0/8", 1, "192.0.2.2")).ok());
  EXPECT_TRUE(tables.SetRoute(Via("10.0.0.0/8", 1, "192.0.2.1")).ok());
  status = tables.SetRoute({.prefix = P("10.0.0.0/8"),
                            .hops = {{.port = 1, .gateway = A("192.0.2.1")},
                                     {.port = 1, .gateway = A("192.0.2.3")}}});
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(status.message(), HasSubstr("raise max_neighbors"));
  EXPECT_EQ(tables.Find(A("10.1.1.1"), 0).next_hop, A("192.0.2.1"));
  // What was taken for the refused one was given back.
  EXPECT_TRUE(tables.RemoveRoute(P("::/0")));
  EXPECT_TRUE(tables
                  .SetRoute({.prefix = P("10.0.0.0/8"),
                             .hops = {{.port = 1, .gateway = A("192.0.2.1")},
                                      {.port = 1, .gateway = A("192.0.2.3")}}})
                  .ok());
}

TEST(RoutingRetireTest, NothingIsUsedAgainBeforeItMayBe) {
  std::vector<std::function<void()>> waiting;
  RoutingTables tables({.retire = [&](std::function<void()> free) {
    waiting.push_back(std::move(free));
  }});
  const auto flap = [&] {
    for (int i = 0; i < 2000; ++i) {
      const Route route = Via("10.1.2.0/24", static_cast<uint16_t>(i % 100));
      ASSERT_TRUE(tables.SetRoute(route).ok());
      ASSERT_TRUE(tables.RemoveRoute(route.prefix));
    }
  };
  flap();
  // One batch is out at a time.
  ASSERT_LE(waiting.size(), 1u);
  const size_t grown = tables.memory();
  flap();
  EXPECT_GT(tables.memory(), grown + 10'000);
  ASSERT_EQ(waiting.size(), 1u);
  size_t before = 0;
  for (int round = 0; round < 4; ++round) {
    while (!waiting.empty()) {
      const auto free = std::move(waiting.back());
      waiting.pop_back();
      free();
    }
    before = tables.memory();
    for (int i = 0; i < 100; ++i) {
      ASSERT_TRUE(tables.SetRoute(Via("10.1.2.0/24", 1)).ok());
      ASSERT_TRUE(tables.RemoveRoute(P("10.1.2.0/24")));
      while (!waiting.empty()) {
        const auto free = std::move(waiting.back());
        waiting.pop_back();
        free();
      }
    }
  }
  EXPECT_EQ(tables.memory(), before);
}

TEST(RoutingRetireTest, MayBeCalledBackAfterTheTablesHaveGone) {
  std::vector<std::function<void()>> waiting;
  {
    RoutingTables tables({.retire = [&](std::function<void()> free) {
      waiting.push_back(std::move(free));
    }});
    ASSERT_TRUE(tables.SetRoute(Via("10.1.2.0/24", 1)).ok());
    ASSERT_TRUE(tables.RemoveRoute(P("10.1.2.0/24")));
  }
  ASSERT_FALSE(waiting.empty());
  for (const auto& free : waiting) free();
}

TEST_F(RoutingTablesTest, ManyAreFoundAsEachIs) {
  Set(Via("0.0.0.0/0", 1, "192.0.2.1"));
  Set(Via("10.1.2.0/24", 2));
  Set(Via("2001:db8::/64", 3));
  Set({.prefix = P("10.2.0.0/16"), .type = RouteType::kBlackhole});
  const char* const some[] = {"10.1.2.3", "2001:db8::5", "10.2.1.1",
                              "9.9.9.9",  "2001::1",     "224.0.0.1"};
  std::vector<Address> destinations;
  for (int i = 0; i < 70; ++i) {
    destinations.push_back(i == 50 ? Address() : A(some[i % 6]));
  }
  const std::vector<uint32_t> hashes(destinations.size(), 7);
  std::vector<RouteAnswer> answers(destinations.size());
  tables_.Find(destinations, hashes, answers);
  for (size_t i = 0; i < destinations.size(); ++i) {
    const RouteAnswer one = tables_.Find(destinations[i], 7);
    EXPECT_EQ(answers[i].type, one.type) << i;
    EXPECT_EQ(answers[i].port, one.port) << i;
    EXPECT_EQ(answers[i].next_hop, one.next_hop) << i;
    EXPECT_EQ(answers[i].neighbor, one.neighbor) << i;
  }
}

}  // namespace
}  // namespace sluice
