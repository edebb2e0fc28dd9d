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

TEST(InterfaceRegistry, NumbersOfForgottenPortsAreGivenBack) {
  InterfaceRegistry registry(2);
  const InterfaceView a = *registry.AddPort("a");
  ASSERT_TRUE(registry.AddPort("b").ok());
  std::shared_ptr<const Epoch> before = registry.Hold();
  ASSERT_TRUE(registry.RemovePort("a").ok());
  EXPECT_EQ(registry.gone_count(), 1u);
  EXPECT_EQ(registry.AddPort("c").status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(registry.Gone().empty()) << "somebody may mean it";
  before.reset();
  std::vector<InterfaceRegistry::GonePort> gone = registry.Gone();
  ASSERT_EQ(gone.size(), 1u);
  EXPECT_EQ(gone[0].id, a.id);
  // One that has come back keeps it, even if it is gone again.
  ASSERT_EQ(registry.AddPort("a")->id, a.id);
  registry.Forget(gone);
  ASSERT_TRUE(registry.RemovePort("a").ok());
  registry.Forget(gone);
  EXPECT_EQ(registry.NameOf(a.id), "a");
  gone = {{.id = a.id, .since = registry.version()}};
  registry.Forget(gone);
  EXPECT_EQ(registry.NameOf(a.id), "");
  EXPECT_EQ(registry.gone_count(), 0u);
  const InterfaceView c = *registry.AddPort("c");
  EXPECT_EQ(c.id, a.id);
  EXPECT_EQ(registry.NameOf(c.id), "c");
  EXPECT_FALSE(registry.Resolve("a").Matches(c));
  EXPECT_EQ(registry.AddPort("a").status().code(),
            absl::StatusCode::kResourceExhausted);
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

TEST(InterfaceRegistry, GroupsAreGivenBackOnceNobodyCanMeanThem) {
  InterfaceRegistry registry;
  const auto add = [&](const std::string& port, const std::string& group) {
    return registry.AddPort(port, std::vector<std::string>{group});
  };
  // One after the other, many more than there is room for.
  for (size_t i = 0; i < 10 * InterfaceRegistry::kMaxGroups; ++i) {
    const std::string name = "g" + std::to_string(i) + "x";
    ASSERT_TRUE(add("vm", name).ok()) << i;
    EXPECT_NE(registry.Resolve(name).groups, 0u);
  }
  ASSERT_TRUE(registry.RemovePort("vm").ok());

  // As long as somebody may mean it, what stood for one stands for no other.
  InterfaceRegistry busy;
  std::vector<uint64_t> bits;
  const auto join = [&](const std::string& port, const std::string& group) {
    return busy.AddPort(port, std::vector<std::string>{group});
  };
  for (size_t i = 0; i < InterfaceRegistry::kMaxGroups; ++i) {
    const std::string n = std::to_string(i);
    const auto view = join("p" + n, "a" + n);
    ASSERT_TRUE(view.ok());
    bits.push_back(view->groups);
  }
  std::shared_ptr<const Epoch> policy = busy.Hold();
  EXPECT_EQ(busy.Hold(), policy) << "one for all that began at one version";
  ASSERT_TRUE(busy.RemovePort("p7").ok());
  EXPECT_EQ(busy.Resolve("a7").groups, 0u);
  const absl::Status full = join("q", "other").status();
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_NE(full.message().find("with 1 that no port"), std::string::npos)
      << full;
  // The group itself comes back as what it was.
  const auto back = join("p7", "a7");
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->groups, bits[7]);
  ASSERT_TRUE(busy.RemovePort("p7").ok());
  // Whoever began later does not know it.
  const std::shared_ptr<const Epoch> later = busy.Hold();
  EXPECT_FALSE(join("q", "other").ok());
  policy.reset();
  const auto taken = join("q", "other");
  ASSERT_TRUE(taken.ok()) << taken.status();
  EXPECT_EQ(taken->groups, bits[7]);
  EXPECT_EQ(busy.Resolve("a7").groups, 0u);
  EXPECT_EQ(join("p7", "a7").status().code(),
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
