// Filters and ports that change while workers still have what was before, and
// while other orders are under way.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/filters/filter_registry.h"
#include "dataplane/forward/spoof_guard.h"
#include "dataplane/transfer/kept_filter.h"
#include "tests/support/test_plane.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kPassEverything[] = "pass all no state\n";

// VLANs v5, v6 and v7 of the port "in", main's at first. No worker comes by but
// in Settle().
class FilterChangeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    plane_ = std::make_unique<TestPlane>(TestPlaneOptions());
    plane_->engine().LaunchByHand();
    plane_->Load(kPassEverything);
    for (const uint16_t vlan : {5, 6, 7}) {
      auto job = registry().BeginAddPort({.name = "v" + std::to_string(vlan),
                                          .parent = "in",
                                          .vlan = vlan,
                                          .bindings = {"10.0.0.2"}});
      job->Build();
      ASSERT_TRUE(job->Publish().ok());
    }
    Settle();
  }
  FilterRegistry& registry() { return plane_->engine().filters(); }
  PortSet& ports() { return plane_->engine().ports(); }
  void Settle() {
    for (int i = 0; i < 64; ++i) {
      plane_->engine().Round();
      plane_->engine().Poll(0);
    }
  }
  std::unique_ptr<BuildJob<LoadResult>> Begin(const std::string& name,
                                              std::vector<std::string> ports) {
    return registry().BeginCreateFilter(
        {.name = name,
         .ports = std::move(ports),
         .ruleset = LoadRequest{.name = "rules", .text = kPassEverything}});
  }
  absl::Status Finish(std::unique_ptr<BuildJob<LoadResult>> job) {
    job->Build();
    return job->Publish().status();
  }
  // None: not answered yet.
  std::shared_ptr<std::optional<absl::Status>> Change(FilterChange change) {
    auto answer = std::make_shared<std::optional<absl::Status>>();
    registry().ChangeFilter(
        change, [answer](absl::Status status) { *answer = status; });
    return answer;
  }
  std::shared_ptr<std::optional<absl::Status>> ChangePorts(
      const std::string& name, std::vector<std::string> ports) {
    FilterChange change = {.name = name};
    change.ports = std::move(ports);
    return Change(std::move(change));
  }
  FilterListing Listing(const std::string& name) {
    const auto listing = registry().Filter(name);
    EXPECT_TRUE(listing.ok()) << listing.status();
    return listing.ok() ? *listing : FilterListing{};
  }

  std::unique_ptr<TestPlane> plane_;
};

// The name of a port is forgotten with its filter, before workers have heard
// that the port has gone.
TEST_F(FilterChangeTest, AGuardStaysWhileWorkersMayAskIt) {
  ASSERT_TRUE(Finish(Begin("web", {"v5"})).ok());
  Settle();
  const Topology* const before = plane_->plane().topology.load();
  SpoofGuard* const guard = before->ports[ports().Find("v5")->number].guard;
  ASSERT_NE(guard, nullptr);
  registry().RemovePort("v5", [](absl::Status) {});
  registry().DestroyFilter("web", [](absl::Status) {});
  ASSERT_EQ(ports().Find("v5"), nullptr);
  ASSERT_EQ(guard->settings().bindings.size(), 1u);
  EXPECT_EQ(ToString(guard->settings().bindings[0]), "10.0.0.2");
  Settle();
  EXPECT_EQ(registry().Find("web"), nullptr);
}

TEST_F(FilterChangeTest, PortsOfAFilterInTheMakingAreNotTaken) {
  ASSERT_TRUE(Finish(Begin("one", {"v5"})).ok());
  auto job = Begin("two", {"v6"});
  const auto refused = ChangePorts("one", {"v5", "v6"});
  ASSERT_TRUE(refused->has_value());
  EXPECT_TRUE(absl::IsFailedPrecondition(**refused));
  EXPECT_THAT((*refused)->message(), HasSubstr("v6"));
  ASSERT_TRUE(Finish(std::move(job)).ok());
  Settle();
  EXPECT_THAT(Listing("one").ports, ElementsAre("v5"));
  EXPECT_THAT(Listing("two").ports, ElementsAre("v6"));
  const auto taken = ChangePorts("one", {"v5", "v7"});
  Settle();
  ASSERT_TRUE(taken->has_value());
  EXPECT_TRUE((*taken)->ok()) << **taken;
}

TEST_F(FilterChangeTest, OfTwoInTheMakingTheSecondIsRefused) {
  auto first = Begin("one", {"v5"});
  auto second = Begin("two", {"v5"});
  auto alike = Begin("one", {"v6"});
  ASSERT_TRUE(Finish(std::move(first)).ok());
  EXPECT_THAT(Finish(std::move(second)).message(),
              HasSubstr("belongs to filter 'one'"));
  EXPECT_TRUE(absl::IsAlreadyExists(Finish(std::move(alike))));
  Settle();
  EXPECT_THAT(Listing("one").ports, ElementsAre("v5"));
  EXPECT_EQ(registry().Find("two"), nullptr);
}

// What leaves it is judged by main once workers have heard of it, and by the
// filter until then, which therefore stays enabled.
TEST_F(FilterChangeTest, WithoutPortsItEndsWhenNoWorkerJudgesByIt) {
  ASSERT_TRUE(Finish(Begin("web", {"v5", "v6"})).ok());
  registry().DisablePort("v6", [](absl::Status) {});
  Settle();
  ASSERT_TRUE(Listing("web").status.enabled());
  const auto left = ChangePorts("web", {"v6"});
  EXPECT_FALSE(left->has_value());
  EXPECT_TRUE(Listing("web").status.enabled());
  Settle();
  ASSERT_TRUE(left->has_value());
  EXPECT_TRUE((*left)->ok()) << **left;
  EXPECT_FALSE(Listing("web").status.enabled());
  // Given another one before that, it goes on.
  const auto back = ChangePorts("web", {"v5", "v6"});
  const auto again = ChangePorts("web", {"v6"});
  const auto other = ChangePorts("web", {"v6", "v7"});
  Settle();
  for (const auto& answer : {back, again, other}) {
    ASSERT_TRUE(answer->has_value());
    EXPECT_TRUE((*answer)->ok()) << **answer;
  }
  EXPECT_TRUE(Listing("web").status.enabled());
}

// One of the process before, which had been told to fail closed.
TEST_F(FilterChangeTest, AKeptFilterMayFailOpenAgain) {
  FilterSpec spec = {
      .name = "web",
      .ports = {"v5"},
      .ruleset = LoadRequest{.name = "rules", .text = kPassEverything},
      .fail_policy = FailPolicy::kClosed,
      .emergency = LoadRequest{.name = "emergency", .text = "block\n"}};
  EXPECT_THAT(Finish(registry().BeginCreateFilter(spec)).message(),
              HasSubstr("fails open"));
  spec.kept = std::make_shared<KeptFilter>();
  ASSERT_TRUE(Finish(registry().BeginCreateFilter(std::move(spec))).ok());
  EXPECT_EQ(Listing("web").fail_policy, FailPolicy::kClosed);
  const auto open = Change({.name = "web", .fail_policy = FailPolicy::kOpen});
  Settle();
  ASSERT_TRUE(open->has_value());
  EXPECT_TRUE((*open)->ok()) << **open;
  EXPECT_EQ(Listing("web").fail_policy, FailPolicy::kOpen);
}

}  // namespace
}  // namespace sluice
