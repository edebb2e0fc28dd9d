#include "pftable/engine/interface_registry.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(InterfaceRegistry, NamesStandForPortsAndGroups) {
  InterfaceRegistry registry;
  const std::vector<std::string> groups = {"lan", "all"};
  const InterfaceView a = *registry.AddPort("a", groups);
  const InterfaceView b = *registry.AddPort("b", std::vector<std::string>{
                                                     "all"});
  EXPECT_NE(a.id, 0);
  EXPECT_NE(a.id, b.id);
  EXPECT_TRUE(registry.Resolve("a").Matches(a));
  EXPECT_FALSE(registry.Resolve("a").Matches(b));
  EXPECT_TRUE(registry.Resolve("all").Matches(b));
  EXPECT_FALSE(registry.Resolve("lan").Matches(b));
  EXPECT_FALSE(registry.Resolve("c").Matches(a));
  EXPECT_FALSE(registry.Resolve("c").Matches(InterfaceView()));
  EXPECT_EQ(registry.NameOf(a.id), "a");
  EXPECT_EQ(registry.NameOf(0), "");
}

TEST(InterfaceRegistry, ANumberBelongsToItsName) {
  InterfaceRegistry registry;
  const InterfaceView a = *registry.AddPort("a");
  ASSERT_TRUE(registry.AddPort("b").ok());
  const uint64_t version = registry.version();
  ASSERT_TRUE(registry.RemovePort("a").ok());
  EXPECT_GT(registry.version(), version);
  EXPECT_FALSE(registry.Resolve("a").Matches(a));
  EXPECT_EQ(registry.RemovePort("a").code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(registry.AddPort("a")->id, a.id);
}

TEST(InterfaceRegistry, RefusesNamesThatMeanSomethingElse) {
  InterfaceRegistry registry;
  const uint64_t version = registry.version();
  const std::string too_long(InterfaceRegistry::kMaxNameLength + 1, 'x');
  for (const std::string& name : {std::string(), std::string("any"),
                                  std::string("self"), too_long}) {
    EXPECT_EQ(registry.AddPort(name).status().code(),
              absl::StatusCode::kInvalidArgument);
    const std::vector<std::string> groups = {name};
    EXPECT_EQ(registry.AddPort("port", groups).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(registry.version(), version);
  EXPECT_EQ(registry.Resolve("port").id, 0);
}

TEST(InterfaceRegistry, GroupsAreBounded) {
  InterfaceRegistry registry;
  std::vector<std::string> groups;
  for (size_t i = 0; i <= InterfaceRegistry::kMaxGroups; ++i) {
    groups.push_back("g" + std::to_string(i));
  }
  EXPECT_EQ(registry.AddPort("a", groups).status().code(),
            absl::StatusCode::kResourceExhausted);
  groups.pop_back();
  groups.push_back(groups.front());  // twice is once
  EXPECT_TRUE(registry.AddPort("a", groups).ok());
  EXPECT_EQ(registry.AddPort("b", std::vector<std::string>{"more"})
                .status()
                .code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(InterfaceRegistry, AddressesOfPortsGroupsAndSelf) {
  InterfaceRegistry registry;
  using PortAddress = InterfaceRegistry::PortAddress;
  const std::vector<std::string> lan = {"lan"};
  const PortAddress first{.prefix = *ParsePrefix("192.0.2.1/24")};
  const PortAddress second{.prefix = *ParsePrefix("2001:db8::1/64")};
  ASSERT_TRUE(registry.AddPort("a", lan, std::span(&first, 1)).ok());
  ASSERT_TRUE(registry.AddPort("b", lan, std::span(&second, 1)).ok());
  ASSERT_TRUE(registry.AddPort("c", {}, std::span(&first, 1)).ok());
  EXPECT_EQ(registry.Addresses("a").size(), 1u);
  EXPECT_EQ(registry.Addresses("lan").size(), 2u);
  EXPECT_EQ(registry.Addresses("self").size(), 2u);
  EXPECT_EQ(registry.Addresses("a")[0].prefix, first.prefix);
  EXPECT_TRUE(registry.Addresses("nowhere").empty());
}

}  // namespace
}  // namespace sluice
