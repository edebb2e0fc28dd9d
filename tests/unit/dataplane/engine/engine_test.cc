// The engine's life: what it goes through, and that it can end anywhere, with
// anything under way. The address sanitizer sees what is used too late.
#include "dataplane/engine/engine.h"

#include <gtest/gtest.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <spdlog/spdlog.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <utility>

#include "packet/address.h"
#include "tests/support/mbuf_pool.h"
#include "tests/support/packet_text.h"
#include "tests/support/test_engine.h"

// Of DPDK, for drivers: something has happened to a device.
extern "C" {
struct rte_eth_dev;
rte_eth_dev* rte_eth_dev_allocated(const char* name);
int rte_eth_dev_callback_process(rte_eth_dev* device, rte_eth_event_type event,
                                 void* result);
}

namespace sluice {
namespace {

constexpr char kRules[] = "table <t> persist { 10.0.0.1 }\npass\n";

// A folder for one test.
class Folder {
 public:
  Folder() { EXPECT_NE(::mkdtemp(path_.data()), nullptr); }
  ~Folder() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_ = "/tmp/sluice-engine.XXXXXX";
};

// A wire, whose ports are DPDK's ring devices.
Engine::Options Wire(rte_mempool* pool) {
  spdlog::set_level(spdlog::level::off);
  Engine::Options options = TestEngineOptions(pool);
  for (const char* name : {"a", "b"}) {
    options.ports.push_back(
        {.name = name, .device = std::string("net_ring_e") + name});
  }
  options.wires = {{.ports = {0, 1}}};
  return options;
}

// As the control socket does it.
template <typename Job>
void Submit(Engine& engine, std::unique_ptr<Job> made,
            std::function<void()> done) {
  std::shared_ptr<Job> job = std::move(made);
  ASSERT_TRUE(engine.builder().Submit([job] { job->Build(); },
                                      [job, done = std::move(done)] {
                                        static_cast<void>(job->Publish());
                                        done();
                                      }));
}

// Something that takes more than one turn of the loop.
struct Order {
  const char* name;
  void (*begin)(Engine& engine, std::function<void()> done);
};
std::ostream& operator<<(std::ostream& out, const Order& order) {
  return out << order.name;
}

const Order kOrders[] = {
    {"RemovePort",
     [](Engine& engine, std::function<void()> done) {
       engine.filters().RemovePort("a", [done](absl::Status) { done(); });
     }},
    {"RemoveBothPorts",
     [](Engine& engine, std::function<void()> done) {
       for (const char* port : {"b", "a"}) {
         engine.filters().RemovePort(port, [done](absl::Status) { done(); });
       }
     }},
    {"DeviceIsTakenOut",
     [](Engine& engine, std::function<void()> done) {
       const PortSet::Entry* const port = engine.ports().Find("a");
       rte_eth_dev_callback_process(rte_eth_dev_allocated("net_ring_ea"),
                                    RTE_ETH_EVENT_INTR_RMV, nullptr);
       engine.Poll(engine.Now());
       EXPECT_EQ(port->device, nullptr);
       done();
     }},
    {"DisablePort",
     [](Engine& engine, std::function<void()> done) {
       for (const char* port : {"b", "a"}) {
         engine.filters().DisablePort(port, [done](absl::Status) { done(); });
       }
     }},
    {"AddPort",
     [](Engine& engine, std::function<void()> done) {
       Submit(engine,
              engine.filters().BeginAddPort(
                  {.name = "c", .device = "net_ring_ec"}),
              done);
     }},
    {"CreateFilter",
     [](Engine& engine, std::function<void()> done) {
       Submit(engine,
              engine.filters().BeginCreateFilter(
                  {.name = "new",
                   .ports = {"b", "c"},
                   .ruleset = LoadRequest{.name = "rules", .text = kRules}}),
              done);
     }},
    {"DestroyFilter",
     [](Engine& engine, std::function<void()> done) {
       engine.filters().DestroyFilter("web",
                                      [done](absl::Status) { done(); });
     }},
    {"DestroyFilterAndItsPort",
     [](Engine& engine, std::function<void()> done) {
       engine.filters().DestroyFilter("web",
                                      [done](absl::Status) { done(); });
       engine.filters().RemovePort("a", [done](absl::Status) { done(); });
     }},
    {"Load",
     [](Engine& engine, std::function<void()> done) {
       LoadRequest request;
       request.name = "rules";
       request.text = kRules;
       Submit(engine, engine.filters().main().Rules().BeginLoad(std::move(request)),
              done);
     }},
    {"EditTable",
     [](Engine& engine, std::function<void()> done) {
       TableEdit edit;
       edit.table = "t";
       edit.entries = {{.prefix = *ParsePrefix("10.0.0.2/32")}};
       Submit(engine,
              engine.filters().main().Tables().BeginTableEdit(std::move(edit)),
              done);
     }},
    {"KillStates",
     [](Engine& engine, std::function<void()> done) {
       engine.filters().main().States().KillStates(
           {}, [done](const absl::StatusOr<uint64_t>&) { done(); });
     }},
    {"Export",
     [](Engine& engine, std::function<void()> done) {
       engine.restores().Export(
           "main", UniqueFd(::memfd_create("out", MFD_CLOEXEC)), {},
           [done](const absl::StatusOr<ExportReport>&) { done(); });
     }},
    {"ExportOfAFilterThatGoes",
     [](Engine& engine, std::function<void()> done) {
       engine.restores().Export(
           "web", UniqueFd(::memfd_create("out", MFD_CLOEXEC)), {},
           [done](const absl::StatusOr<ExportReport>&) { done(); });
       engine.filters().DestroyFilter("web",
                                      [done](absl::Status) { done(); });
     }},
    {"Import",
     [](Engine& engine, std::function<void()> done) {
       ImportRequest request;
       request.filter = "main";
       request.snapshot = UniqueFd(::memfd_create("in", MFD_CLOEXEC));
       engine.restores().Import(
           std::move(request),
           [done](const absl::StatusOr<ImportReport>&) { done(); });
     }},
};

class EngineEndTest : public testing::TestWithParam<Order> {
 protected:
  // Filter web judges at a, main at b, and both have states.
  std::unique_ptr<Engine> Start(const std::string& state_directory) {
    Engine::Options options = Wire(pool_.get());
    options.state_directory = state_directory;
    options.state_interval = 1;
    std::unique_ptr<Engine> engine = StartTestEngine(std::move(options));
    if (engine == nullptr) return nullptr;
    EXPECT_TRUE(LoadRules(engine->filters().main(), kRules).ok());
    FilterSpec web;
    web.name = "web";
    web.ports = {"a"};
    web.ruleset = LoadRequest{.name = "rules", .text = kRules};
    auto job = engine->filters().BeginCreateFilter(std::move(web));
    job->Build();
    EXPECT_TRUE(job->Publish().ok());
    return engine;
  }
  // One packet, by hand.
  void Pass(Engine& engine) {
    rte_ring* const ring = rte_ring_lookup("ETH_RXTX0_net_ring_eb");
    ASSERT_NE(ring, nullptr);
    rte_mbuf* const mbuf =
        pool_.Make(FrameFromText("udp 10.0.0.1:1000 > 10.0.0.2:53"));
    ASSERT_EQ(rte_ring_enqueue(ring, mbuf), 0);
    engine.Round();
  }

  MbufPool pool_{4095};
};
INSTANTIATE_TEST_SUITE_P(Orders, EngineEndTest, testing::ValuesIn(kOrders),
                         [](const auto& param) { return param.param.name; });

// In the turn in which the order came, and in each of those that it takes.
TEST_P(EngineEndTest, AnOrderMayBeUnderWay) {
  for (int turns = 0; turns < 10; ++turns) {
    auto answers = std::make_unique<int>(0);
    const Folder folder;
    std::unique_ptr<Engine> engine =
        Start(turns % 2 == 0 ? std::string() : folder.path());
    ASSERT_NE(engine, nullptr);
    engine->LaunchByHand();
    Pass(*engine);
    GetParam().begin(*engine, [count = answers.get()] { ++*count; });
    for (int i = 0; i < turns; ++i) {
      engine->Round();
      engine->Poll(engine->Now());
    }
    engine->Stop([] { return true; });
    engine->Close();
    // Nobody is called back any more.
    answers.reset();
    engine.reset();
    EXPECT_EQ(rte_ring_lookup("ETH_RXTX0_net_ring_ea"), nullptr)
        << "the devices are released";
    EXPECT_EQ(rte_ring_lookup("ETH_RXTX0_net_ring_ec"), nullptr);
  }
}

TEST_P(EngineEndTest, WorkersMayRun) {
  for (const bool patient : {true, false}) {
    const Folder folder;
    std::unique_ptr<Engine> engine = Start(folder.path());
    ASSERT_NE(engine, nullptr);
    engine->LaunchOnThreads();
    int answers = 0;
    GetParam().begin(*engine, [&answers] { ++answers; });
    for (int i = 0; patient && answers == 0 && i < 1000; ++i) {
      engine->Poll(engine->Now());
      usleep(100);
    }
    EXPECT_TRUE(!patient || answers > 0);
    engine.reset();
  }
}

TEST(EngineTest, EndsFromEachStep) {
  MbufPool pool;
  for (int steps = 0; steps < 6; ++steps) {
    auto made = Engine::Make(Wire(pool.get()));
    ASSERT_TRUE(made.ok()) << made.status();
    Engine& engine = **made;
    EXPECT_TRUE(steps < 1 || engine.Open().ok());
    EXPECT_TRUE(steps < 2 || engine.Start().ok());
    if (steps > 2) engine.LaunchOnThreads();
    if (steps > 3) engine.Stop([] { return false; });
    if (steps > 4) engine.Close();
  }
}

TEST(EngineTest, ADeviceThatDoesNotOpenUndoesWhatWasBegun) {
  MbufPool pool;
  Engine::Options options = Wire(pool.get());
  options.ports[1].device = "net_nothing7";
  {
    auto made = Engine::Make(options);
    ASSERT_TRUE(made.ok()) << made.status();
    EXPECT_FALSE((*made)->Open().ok());
  }
  EXPECT_EQ(rte_ring_lookup("ETH_RXTX0_net_ring_ea"), nullptr);
}

TEST(EngineTest, IsBusyUntilAnOrderIsDone) {
  MbufPool pool;
  std::unique_ptr<Engine> engine = StartTestEngine(Wire(pool.get()));
  ASSERT_NE(engine, nullptr);
  engine->LaunchByHand();
  for (int i = 0; i < 10; ++i) {
    engine->Round();
    engine->Poll(engine->Now());
  }
  EXPECT_FALSE(engine->busy());
  bool done = false;
  engine->filters().DisablePort("a", [&done](absl::Status) { done = true; });
  EXPECT_TRUE(engine->busy());
  engine->Poll(engine->Now());
  EXPECT_FALSE(done) << "no worker has come by";
  EXPECT_TRUE(engine->busy());
  engine->Round();
  engine->Poll(engine->Now());
  EXPECT_TRUE(done);
  EXPECT_FALSE(engine->busy());
}

TEST(EngineTest, DrainsAndAccounts) {
  MbufPool pool;
  Engine::Options options = Wire(pool.get());
  options.workers = 2;
  std::unique_ptr<Engine> engine = StartTestEngine(std::move(options));
  ASSERT_NE(engine, nullptr);
  ASSERT_TRUE(LoadRules(engine->filters().main(), "pass\n").ok());
  rte_ring* const ring = rte_ring_lookup("ETH_RXTX0_net_ring_eb");
  ASSERT_NE(ring, nullptr);
  for (int life = 0; life < 2; ++life) {
    for (int i = 0; i < 100; ++i) {
      const std::string port = std::to_string(1000 + i);
      rte_mbuf* const mbuf = pool.Make(
          FrameFromText("udp 10.0.0.1:" + port + " > 10.0.0.2:53"));
      ASSERT_EQ(rte_ring_enqueue(ring, mbuf), 0);
    }
    engine->LaunchOnThreads();
    usleep(20'000);
    engine->Stop([] { return false; });
    EXPECT_EQ(engine->InFlight(), 0u);
    EXPECT_TRUE(engine->Account().ok());
  }
}

// What the process before had is what the next one has.
TEST(EngineTest, ComesBackAsItWas) {
  MbufPool pool;
  const Folder folder;
  Engine::Options options = Wire(pool.get());
  options.state_directory = folder.path();
  for (const bool again : {false, true}) {
    auto made = Engine::Make(options);
    ASSERT_TRUE(made.ok()) << made.status();
    Engine& engine = **made;
    ASSERT_TRUE(engine.Open().ok());
    EXPECT_EQ(engine.LoadKeptPolicy(), again);
    ASSERT_TRUE(engine.Start().ok());
    EXPECT_EQ(engine.filters().Find("web") != nullptr, again);
    if (!again) {
      ASSERT_TRUE(LoadRules(engine.filters().main(), kRules).ok());
      auto job = engine.filters().BeginCreateFilter(
          {.name = "web",
           .ports = {"a"},
           .ruleset = LoadRequest{.name = "rules", .text = kRules}});
      job->Build();
      ASSERT_TRUE(job->Publish().ok());
    }
    engine.LaunchOnThreads();
    engine.Stop([] { return false; });
    EXPECT_TRUE(engine.kept().ok()) << engine.kept();
  }
}

// A disk that takes no more: what was kept before stays, and what is missing
// is said.
TEST(EngineTest, AStopSaysWhatItCouldNotKeep) {
  MbufPool pool;
  const Folder folder;
  Engine::Options options = Wire(pool.get());
  options.state_directory = folder.path();
  int told = 0;
  options.working = [&told] { ++told; };
  std::filesystem::create_directory(folder.path() + "/main.policy.tmp");
  auto made = Engine::Make(options);
  ASSERT_TRUE(made.ok()) << made.status();
  Engine& engine = **made;
  ASSERT_TRUE(engine.Open().ok());
  ASSERT_TRUE(engine.Start().ok());
  EXPECT_GT(told, 0);
  ASSERT_TRUE(LoadRules(engine.filters().main(), kRules).ok());
  engine.LaunchOnThreads();
  told = 0;
  engine.Stop([] { return false; });
  EXPECT_GT(told, 0);
  EXPECT_NE(engine.kept().ToString().find("the policy of filter main ("),
            std::string::npos)
      << engine.kept();
  EXPECT_EQ(engine.kept().ToString().find("the states"), std::string::npos);
  EXPECT_TRUE(std::filesystem::exists(folder.path() + "/main.snap"));
  const KeepMetrics& metrics = engine.restores().keep_metrics();
  EXPECT_GT(metrics.policies_failed, 0u);
  EXPECT_EQ(metrics.policies_saved, 0u);
  EXPECT_EQ(metrics.states_saved, 1u);
  EXPECT_EQ(metrics.states_failed, 0u);
}

// Who is told twice does not wait, and hears what that costs.
TEST(EngineTest, AStopInAHurrySaysWhatItDidNotKeep) {
  MbufPool pool;
  const Folder folder;
  Engine::Options options = Wire(pool.get());
  options.state_directory = folder.path();
  auto made = Engine::Make(options);
  ASSERT_TRUE(made.ok()) << made.status();
  Engine& engine = **made;
  ASSERT_TRUE(engine.Open().ok());
  ASSERT_TRUE(engine.Start().ok());
  ASSERT_TRUE(LoadRules(engine.filters().main(), kRules).ok());
  engine.LaunchByHand();
  engine.Stop([] { return true; });
  EXPECT_NE(engine.kept().ToString().find("(not in time)"), std::string::npos)
      << engine.kept();
}

}  // namespace
}  // namespace sluice
