// What is decided about processors, memory and arguments; nothing is started.
#include "dataplane/daemon/eal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace sluice {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

Config TwoPorts() {
  Config config;
  config.file = "s.toml";
  config.eal.file_prefix = "one";
  config.ports = {{.name = "outside", .device = "net_null0"},
                  {.name = "inside", .device = "net_null1"}};
  config.wires = {{.ports = {0, 1}}};
  return config;
}

MachineFacts Machine(std::vector<uint16_t> cores, uint64_t hugepage_mib = 0) {
  return {.cores = std::move(cores),
          .free_hugepage_bytes = hugepage_mib << 20};
}

// The argument behind `name`, or "".
std::string After(const EalPlan& plan, const std::string& name) {
  for (size_t i = 0; i + 1 < plan.args.size(); ++i) {
    if (plan.args[i] == name) return plan.args[i + 1];
  }
  return "";
}

TEST(EalPlanTest, OneWorkerOnTwoProcessors) {
  const auto plan = PlanEal(TwoPorts(), Machine({0, 1}, 4096));
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->control_core, 0);
  EXPECT_THAT(plan->worker_cores, ElementsAre(1));
  EXPECT_FALSE(plan->cores_shared);
  EXPECT_EQ(After(*plan, "--lcores"), "0@0,1@1");
  EXPECT_EQ(After(*plan, "--main-lcore"), "0");
  EXPECT_EQ(After(*plan, "--file-prefix"), "one");
  EXPECT_TRUE(plan->hugepages);
  EXPECT_THAT(plan->args, Contains("--in-memory"));
  EXPECT_THAT(plan->args, Contains("--no-pci"));
  EXPECT_THAT(plan->args, Not(Contains("--no-telemetry")));
  EXPECT_THAT(plan->args, Not(Contains("--no-huge")));
  EXPECT_THAT(plan->warnings, IsEmpty());
}

TEST(EalPlanTest, OneProcessorIsShared) {
  const auto plan = PlanEal(TwoPorts(), Machine({3}, 4096));
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(After(*plan, "--lcores"), "0@3,1@3");
  EXPECT_TRUE(plan->cores_shared);
  EXPECT_THAT(plan->warnings, ElementsAre(HasSubstr("share 1 processor")));
}

TEST(EalPlanTest, TwoWorkersOnTwoProcessorsTakeTheControlLcoresLast) {
  Config config = TwoPorts();
  config.workers.count = 2;
  const auto plan = PlanEal(config, Machine({0, 1}, 4096));
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(plan->worker_cores, ElementsAre(1, 0));
  EXPECT_TRUE(plan->cores_shared);
}

TEST(EalPlanTest, TheControlLcoreKeepsOutOfTheWorkersWay) {
  Config config = TwoPorts();
  config.workers.lcores = {0, 2};
  const auto plan = PlanEal(config, Machine({0, 1, 2, 3}, 4096));
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(After(*plan, "--lcores"), "0@1,1@0,2@2");
  EXPECT_FALSE(plan->cores_shared);
}

TEST(EalPlanTest, NotPinned) {
  Config config = TwoPorts();
  config.workers.pin = false;
  const auto plan = PlanEal(config, Machine({0, 1}, 4096));
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(After(*plan, "--lcores"), "0@(0,1),1@(0,1)");
}

TEST(EalPlanTest, AProcessorThatIsNotAllowed) {
  Config config = TwoPorts();
  config.workers.lcores = {7};
  EXPECT_THAT(PlanEal(config, Machine({0, 1})).status().message(),
              HasSubstr("[workers] lcores: processor 7 is not there or not "
                        "allowed to this process; it may use 0, 1"));
  config.workers.lcores = {1};
  config.workers.control_lcore = 9;
  EXPECT_THAT(PlanEal(config, Machine({0, 1})).status().message(),
              HasSubstr("[workers] control_lcore: processor 9"));
}

TEST(EalPlanTest, AutoGoesWithoutHugepagesAndSaysSo) {
  const auto plan = PlanEal(TwoPorts(), Machine({0, 1}, 16));
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_FALSE(plan->hugepages);
  EXPECT_THAT(plan->args, Contains("--no-huge"));
  EXPECT_THAT(plan->args, Contains("--no-shconf"));
  EXPECT_THAT(plan->args, Not(Contains("--in-memory")));
  EXPECT_EQ(After(*plan, "-m"), std::to_string(plan->memory_bytes >> 20));
  EXPECT_THAT(plan->warnings,
              ElementsAre(HasSubstr("16 MiB of hugepages are free")));
}

TEST(EalPlanTest, YesRefusesWithoutHugepages) {
  Config config = TwoPorts();
  config.eal.hugepages = Hugepages::kYes;
  EXPECT_THAT(PlanEal(config, Machine({0, 1}, 16)).status().message(),
              HasSubstr("vm.nr_hugepages="));
  EXPECT_TRUE(PlanEal(config, Machine({0, 1}, 4096)).ok());
}

TEST(EalPlanTest, NoUsesNoneAndIsQuiet) {
  Config config = TwoPorts();
  config.eal.hugepages = Hugepages::kNo;
  const auto plan = PlanEal(config, Machine({0, 1}, 4096));
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_FALSE(plan->hugepages);
  EXPECT_THAT(plan->warnings, IsEmpty());
}

TEST(EalPlanTest, OnlyTheNamedPciDevicesAreProbed) {
  Config config = TwoPorts();
  config.ports[0].device = "0000:03:00.0,arg=1";
  const auto plan = PlanEal(config, Machine({0, 1}, 4096));
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(plan->args, Not(Contains("--no-pci")));
  EXPECT_EQ(After(*plan, "-a"), "0000:03:00.0,arg=1");
}

TEST(EalPlanTest, OwnArgumentsComeLast) {
  Config config = TwoPorts();
  config.eal.args = {"--iova-mode=va"};
  config.eal.telemetry = false;
  const auto plan = PlanEal(config, Machine({0, 1}, 4096));
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->args.back(), "--iova-mode=va");
  EXPECT_THAT(plan->args, Contains("--no-telemetry"));
}

TEST(EalPlanTest, NoPciIsGivenOnce) {
  Config config = TwoPorts();
  config.eal.args = {"--no-pci"};
  const auto plan = PlanEal(config, Machine({0, 1}, 4096));
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(std::ranges::count(plan->args, "--no-pci"), 1);
}

TEST(EalPlanTest, ThePoolFillsAllRingsTwice) {
  Config config = TwoPorts();
  EXPECT_GE(PoolSize(config), 2u * 2 * 2048);
  const uint32_t one = PoolSize(config);
  config.workers.count = 4;
  EXPECT_GE(PoolSize(config), 4u * 2 * 2 * 2048);
  EXPECT_GT(PoolSize(config), one);
  config.memory.mbufs = 5000;
  EXPECT_EQ(PoolSize(config), 5000u);
}

}  // namespace
}  // namespace sluice
