// Filters and ports that come and go, over one real worker whose ports are
// DPDK's ring devices: what is sent by one is received by it again.
#include "dataplane/filters/filter_registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "conntrack/state_table.h"
#include "dataplane/engine/engine.h"
#include "dataplane/forward/overload_ring.h"
#include "packet/parse.h"
#include "tests/support/mbuf_pool.h"
#include "tests/support/packet_text.h"
#include "tests/support/test_engine.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kPassAll[] = "pass\n";
constexpr char kBlockAll[] = "block\n";

// Wires a-b and c-d; `b` and `d` have the higher numbers, so that what a packet
// from them became can be fetched before it is received again.
class FilterRegistryTest : public ::testing::Test {
 protected:
  explicit FilterRegistryTest(bool answer_arp = false) {
    spdlog::set_level(spdlog::level::off);
    Engine::Options options = TestEngineOptions(pool_.get());
    for (const char* name : {"a", "b", "c", "d"}) {
      options.ports.push_back({.name = name, .device = DeviceOf(name)});
    }
    options.wires = {{.ports = {0, 1}, .answer_arp = answer_arp},
                     {.ports = {2, 3}}};
    options.run_time_devices = {.drivers = {DeviceOf("b"), "net_ring_fvm"},
                                .directories = {}};
    options.restore_clock = [] { return RestoreTime{1}; };  // none is late
    engine_ = StartTestEngine(std::move(options));
    if (engine_ == nullptr) return;
    registry_ = &engine_->filters();
    ports_ = &engine_->ports();
    worker_ = &engine_->worker(0);
    engine_->LaunchByHand();
  }
  void SetUp() override { ASSERT_NE(engine_, nullptr); }

  static std::string DeviceOf(const std::string& port) {
    return "net_ring_f" + port;
  }
  static rte_ring* RingOf(const std::string& port) {
    return rte_ring_lookup(("ETH_RXTX0_" + DeviceOf(port)).c_str());
  }

  // Rounds and polls until nothing is left to do.
  void Settle() {
    for (int i = 0; i < 64; ++i) {
      engine_->Round();
      engine_->Poll(0);
    }
  }
  // Whether it comes to that, for what the builder's thread has a part in.
  bool Soon(const std::function<bool()>& happens) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    do {
      Settle();
      if (happens()) return true;
    } while (std::chrono::steady_clock::now() < end);
    return false;
  }
  // Whether a packet that arrives by `from` leaves by `to`.
  bool Passes(const std::string& from, const std::string& to,
              const std::string& packet) {
    rte_mbuf* const mbuf = pool_.Make(FrameFromText(packet));
    EXPECT_EQ(rte_ring_enqueue(RingOf(from), mbuf), 0);
    worker_->Round();
    void* left = nullptr;
    if (rte_ring_dequeue(RingOf(to), &left) != 0) return false;
    rte_pktmbuf_free(static_cast<rte_mbuf*>(left));
    return true;
  }
  bool Passes(const std::string& from, const std::string& to) {
    return Passes(from, to, "udp 10.0.0.1:1000 > 10.0.0.2:53") &&
           Passes(from, to, "udp [fd00::1]:1000 > [fd00::2]:53");
  }
  bool Stops(const std::string& from, const std::string& to) {
    return !Passes(from, to, "udp 10.0.0.1:1000 > 10.0.0.2:53") &&
           !Passes(from, to, "udp [fd00::1]:1000 > [fd00::2]:53");
  }

  void LoadMain(const std::string& text) {
    ASSERT_TRUE(LoadRules(registry_->main(), text).ok());
  }
  absl::Status Create(FilterSpec spec) {
    auto job = registry_->BeginCreateFilter(std::move(spec));
    job->Build();
    const auto result = job->Publish();
    if (!result.ok()) return result.status();
    if (result->HasErrors()) return absl::InvalidArgumentError("diagnostics");
    return absl::OkStatus();
  }
  absl::Status Create(const std::string& name,
                      std::vector<std::string> ports,
                      const std::string& rules) {
    return Create({.name = name,
                   .ports = std::move(ports),
                   .ruleset = LoadRequest{.name = "rules", .text = rules}});
  }
  absl::Status Destroy(const std::string& name) {
    absl::Status result = absl::UnknownError("not answered");
    registry_->DestroyFilter(
        name, [&result](absl::Status status) { result = status; });
    Settle();
    return result;
  }
  absl::Status DisablePort(const std::string& name) {
    absl::Status result = absl::UnknownError("not answered");
    registry_->DisablePort(
        name, [&result](absl::Status status) { result = status; });
    Settle();
    return result;
  }
  FilterListing Listing(const std::string& name) {
    const auto listing = registry_->Filter(name);
    EXPECT_TRUE(listing.ok()) << listing.status();
    return listing.ok() ? *listing : FilterListing{};
  }

  MbufPool pool_{8191};
  std::unique_ptr<Engine> engine_;
  FilterRegistry* registry_ = nullptr;
  PortSet* ports_ = nullptr;
  Worker* worker_ = nullptr;
};

TEST_F(FilterRegistryTest, MainJudgesWhatHasNoFilterOfItsOwn) {
  EXPECT_TRUE(Stops("b", "a")) << "nothing is loaded";
  LoadMain(kPassAll);
  EXPECT_TRUE(Passes("b", "a"));
  ASSERT_TRUE(Create("web", {"a", "b"}, kBlockAll).ok());
  EXPECT_TRUE(Stops("b", "a"));
  EXPECT_TRUE(Passes("d", "c"));
  EXPECT_THAT(Listing("web").ports, ElementsAre("a", "b"));
  EXPECT_THAT(Listing("main").ports, ElementsAre("c", "d"));
  EXPECT_EQ(Listing("web").rules, 1u);
  ASSERT_TRUE(Destroy("web").ok());
  EXPECT_TRUE(Passes("b", "a"));
  EXPECT_THAT(Listing("main").ports, ElementsAre("a", "b", "c", "d"));
  EXPECT_EQ(registry_->Find("web"), nullptr);
}

TEST_F(FilterRegistryTest, AddressesOfPortsAreFollowedWithoutALoad) {
  LoadMain("pass\nblock in quick on b to (a)\n");
  ASSERT_TRUE(Create("web", {"c", "d"},
                     "pass no state\nblock in from (d:network)\n")
                  .ok());
  EXPECT_TRUE(Passes("b", "a"));
  EXPECT_TRUE(Passes("d", "c"));
  const uint64_t other = registry_->main().store().generation()->number;
  const auto set = [&](std::string port, std::vector<Prefix> addresses) {
    const FilterRegistry::InterfaceAddresses of{std::move(port),
                                                std::move(addresses)};
    return registry_->SetInterfaceAddresses(std::span(&of, 1));
  };
  ASSERT_TRUE(set("d", {{*ParseAddress("10.0.0.254"), 24},
                        {*ParseAddress("fd00::fe"), 64}}).ok());
  EXPECT_TRUE(Soon([&] { return Stops("d", "c"); }));
  EXPECT_GE(registry_->main().store().generation()->number, other);
  ASSERT_TRUE(set("a", {{*ParseAddress("10.0.0.2"), 32},
                        {*ParseAddress("fd00::2"), 128}}).ok());
  EXPECT_TRUE(
      Soon([&] { return !registry_->main().store().HasOldAddresses(); }));
  // Their states go on; nobody else comes in.
  EXPECT_FALSE(Passes("b", "a", "udp 10.0.0.1:2000 > 10.0.0.2:53"));
  EXPECT_FALSE(Passes("b", "a", "udp [fd00::1]:2000 > [fd00::2]:53"));
  // What names it at the next load knows them, too.
  LoadMain("pass\nblock in quick on b to a\n");
  EXPECT_FALSE(Passes("b", "a", "udp 10.0.0.1:2001 > 10.0.0.2:53"));
  ASSERT_TRUE(set("d", {}).ok());
  EXPECT_TRUE(Soon([&] { return Passes("d", "c"); }));
  EXPECT_EQ(set("nowhere", {}).code(), absl::StatusCode::kNotFound);
}

TEST_F(FilterRegistryTest, StatesBelongToTheirFilterAndGoWithIt) {
  LoadMain(kPassAll);
  ASSERT_TRUE(Create("web", {"a", "b"}, kPassAll).ok());
  EXPECT_TRUE(Passes("b", "a"));
  EXPECT_TRUE(Passes("d", "c"));
  // One where it comes in and one where it goes out, in both families.
  EXPECT_EQ(Listing("web").states, 4u);
  EXPECT_EQ(Listing("main").states, 4u);
  EXPECT_EQ(worker_->states().size(), 8u);
  ASSERT_TRUE(Destroy("web").ok());
  EXPECT_EQ(worker_->states().size(), 4u);
  EXPECT_EQ(Listing("main").states, 4u);
}

// A limiter remembers a source for a while after its last state, but not for
// longer than there is the limiter.
TEST_F(FilterRegistryTest, WhatLimitersRememberGoesWithTheirFilter) {
  LoadMain(kPassAll);
  ASSERT_TRUE(Create("web", {"a", "b"},
                     "source limiter \"few\" id 1 entries 10 limit 10\n"
                     "pass in source limiter \"few\" (block)\n"
                     "pass out no state\n")
                  .ok());
  EXPECT_TRUE(Passes("b", "a"));
  const StateBudget& nodes =
      worker_->states().source_nodes()->unlimited()->nodes;
  EXPECT_EQ(nodes.used(), 2u) << "one of each family";
  ASSERT_TRUE(Destroy("web").ok());
  EXPECT_EQ(nodes.used(), 0u);
}

// The ring of orders is full before the control side comes by: who found no room
// is put into the table by its next state.
TEST_F(FilterRegistryTest, ASourceAboveItsLimiterAsksUntilItIsInTheTable) {
  LoadMain(kPassAll);
  ASSERT_TRUE(Create("web", {"a", "b"},
                     "table <busy> persist\n"
                     "source limiter \"few\" id 1 entries 2000 limit 10 "
                     "table <busy> above 1\n"
                     "pass in source limiter \"few\" (block)\n"
                     "pass out no state\n")
                  .ok());
  constexpr uint32_t kSources = OverloadRing::kCapacity + 1;
  const auto send = [this](uint32_t source, int port) {
    return Passes("b", "a",
                  absl::StrCat("udp 10.1.", source / 250, ".",
                               source % 250 + 1, ":", port,
                               " > 10.0.0.2:53"));
  };
  for (uint32_t source = 0; source < kSources; ++source) {
    ASSERT_TRUE(send(source, 1) && send(source, 2)) << source;
  }
  // The builder enters them, some at a time.
  const auto entered = [this](uint32_t count) {
    for (int i = 0; i < 1000 && Listing("web").table_addresses < count; ++i) {
      Settle();
      usleep(1000);
    }
    return Listing("web").table_addresses;
  };
  EXPECT_EQ(entered(kSources - 1), kSources - 1);
  EXPECT_TRUE(send(kSources - 1, 3));
  EXPECT_EQ(entered(kSources), kSources);
}

TEST_F(FilterRegistryTest, TheLimitOfOneFilterIsNotThatOfAnother) {
  LoadMain(kPassAll);
  ASSERT_TRUE(
      Create("web", {"a", "b"}, "set limit states 2\npass in\npass out "
                                "no state\n")
          .ok());
  EXPECT_TRUE(Passes("b", "a", "udp 10.0.0.1:1 > 10.0.0.2:53"));
  EXPECT_TRUE(Passes("b", "a", "udp 10.0.0.1:2 > 10.0.0.2:53"));
  EXPECT_FALSE(Passes("b", "a", "udp 10.0.0.1:3 > 10.0.0.2:53"));
  EXPECT_TRUE(Passes("d", "c", "udp 10.0.0.1:3 > 10.0.0.2:53"));
}

TEST_F(FilterRegistryTest, StatesThatComeNearTheirLimitAreCounted) {
  LoadMain(kPassAll);
  ASSERT_TRUE(
      Create("web", {"a", "b"}, "set limit states 10\npass in\npass out "
                                "no state\n")
          .ok());
  const auto alarms = [this](const std::string& name) {
    return registry_->Find(name)->Status().Limits().at(0).alarms;
  };
  uint64_t now = 0;
  const auto send = [&](int from, int to, const std::string& family) {
    for (int port = from; port < to; ++port) {
      const std::string at = std::to_string(port);
      EXPECT_TRUE(Passes("b", "a",
                         family == "4"
                             ? "udp 10.0.0.1:" + at + " > 10.0.0.2:53"
                             : "udp [fd00::1]:" + at + " > [fd00::2]:53"));
    }
    registry_->Poll(now += 1000);
  };
  send(1, 5, "4");
  send(1, 4, "6");
  EXPECT_EQ(alarms("web"), 0u);
  send(4, 5, "6");
  send(5, 6, "6");
  EXPECT_EQ(alarms("web"), 1u);
  EXPECT_EQ(alarms("main"), 0u);
}

TEST_F(FilterRegistryTest, AFilterWithoutRulesBlocks) {
  LoadMain(kPassAll);
  ASSERT_TRUE(Create({.name = "web", .ports = {"a", "b"}}).ok());
  EXPECT_TRUE(Stops("b", "a"));
  EXPECT_FALSE(Listing("web").loaded);
}

TEST_F(FilterRegistryTest, ErrorsMakeNothing) {
  LoadMain(kPassAll);
  EXPECT_FALSE(Create("web", {"a", "new"}, "pass from\n").ok());
  EXPECT_EQ(registry_->Find("web"), nullptr);
  EXPECT_EQ(ports_->Find("new"), nullptr);
  EXPECT_TRUE(Passes("b", "a"));
  EXPECT_THAT(Create("", {"a"}, kPassAll).message(), HasSubstr("name"));
  EXPECT_THAT(Create("main", {"a"}, kPassAll).message(),
              HasSubstr("already"));
  EXPECT_THAT(Create("x y", {"a"}, kPassAll).message(), HasSubstr("name"));
  EXPECT_THAT(Create("web", {}, kPassAll).message(), HasSubstr("needs a port"));
  EXPECT_THAT(Create("web", {"a", "a"}, kPassAll).message(),
              HasSubstr("twice"));
  EXPECT_THAT(Create({.name = "web",
                      .ports = {"a"},
                      .fail_policy = FailPolicy::kOpen})
                  .message(),
              HasSubstr("emergency ruleset"));
  ASSERT_TRUE(Create("web", {"a"}, kPassAll).ok());
  EXPECT_THAT(Create("web2", {"a"}, kPassAll).message(),
              HasSubstr("belongs to filter 'web'"));
  EXPECT_THAT(Destroy("main").message(), HasSubstr("cannot be destroyed"));
  EXPECT_TRUE(absl::IsNotFound(Destroy("none")));
}

TEST_F(FilterRegistryTest, DisabledPortsPassNothingAndHaveIncarnations) {
  LoadMain(kPassAll);
  ASSERT_TRUE(Create("web", {"a", "b"}, kPassAll).ok());
  EXPECT_EQ(Listing("web").status.incarnation, 1u);
  ASSERT_TRUE(DisablePort("a").ok());
  EXPECT_TRUE(Listing("web").status.enabled()) << "b is enabled";
  EXPECT_TRUE(Stops("b", "a"));
  ASSERT_TRUE(DisablePort("b").ok());
  EXPECT_FALSE(Listing("web").status.enabled());
  EXPECT_FALSE(DisablePort("b").ok());
  ASSERT_TRUE(registry_->EnablePort("b").ok());
  EXPECT_TRUE(Listing("web").status.enabled());
  EXPECT_EQ(Listing("web").status.incarnation, 3u);
  EXPECT_TRUE(Stops("b", "a"));
  ASSERT_TRUE(registry_->EnablePort("a").ok());
  EXPECT_FALSE(registry_->EnablePort("a").ok());
  EXPECT_EQ(Listing("web").status.incarnation, 3u);
  EXPECT_TRUE(Passes("b", "a"));
}

TEST_F(FilterRegistryTest, ExcludedPortsAreNotJudged) {
  LoadMain(kBlockAll);
  ASSERT_TRUE(registry_->ExcludePort("a", true).ok());
  EXPECT_TRUE(Stops("b", "a")) << "b still is";
  ASSERT_TRUE(registry_->ExcludePort("b", true).ok());
  EXPECT_TRUE(Passes("b", "a"));
  EXPECT_FALSE(registry_->ExcludePort("b", true).ok());
  ASSERT_TRUE(registry_->ExcludePort("b", false).ok());
  EXPECT_TRUE(Stops("b", "a"));
}

TEST_F(FilterRegistryTest, PortsAreRemovedAndPluggedInAgain) {
  LoadMain(kPassAll);
  ASSERT_TRUE(Create("web", {"a", "b"}, kPassAll).ok());
  EXPECT_TRUE(Passes("b", "a"));
  absl::Status removed = absl::UnknownError("not answered");
  registry_->RemovePort("b",
                        [&removed](absl::Status status) { removed = status; });
  for (int i = 0; i < 1000 && !removed.ok(); ++i) {
    Settle();
    usleep(1000);
  }
  ASSERT_TRUE(removed.ok()) << removed;
  EXPECT_EQ(RingOf("b"), nullptr) << "the device has been released";
  EXPECT_THAT(Listing("web").ports, ElementsAre("a", "b"))
      << "the filter waits for it";

  auto job = registry_->BeginAddPort(
      {.name = "b", .device = DeviceOf("b"), .wire = "a"});
  job->Build();
  const auto listing = job->Publish();
  ASSERT_TRUE(listing.ok()) << listing.status();
  EXPECT_EQ(listing->filter, "web");
  EXPECT_EQ(listing->received_packets, 0u);
  EXPECT_TRUE(Passes("b", "a"));
  EXPECT_EQ(Listing("main").states, 0u);

  auto again = registry_->BeginAddPort({.name = "b", .device = "net_null9"});
  again->Build();
  EXPECT_TRUE(absl::IsAlreadyExists(again->Publish().status()));
}

TEST_F(FilterRegistryTest, MainCountsTheFragmentsOfAll) {
  LoadMain(kPassAll);
  ASSERT_TRUE(Create("web", {"a", "b"}, kPassAll).ok());
  const auto counters = [&](LiveFilter& filter) {
    std::vector<uint64_t> values;
    for (const NamedCounter& counter :
         filter.Status().Info().fragment_counters) {
      values.push_back(counter.value);
    }
    return values;
  };
  EXPECT_THAT(counters(registry_->main()), ElementsAre(0, 0, 0, 0, 0));
  const std::string datagram = "udp 10.0.0.1:1 > 10.0.0.2:53 data 100 part ";
  EXPECT_FALSE(Passes("b", "a", datagram + "0 48"));
  EXPECT_THAT(counters(registry_->main()), ElementsAre(1, 0, 0, 0, 0));
  EXPECT_TRUE(Passes("b", "a", datagram + "48 60"));
  EXPECT_THAT(counters(registry_->main()), ElementsAre(0, 1, 0, 0, 0));
  void* second = nullptr;
  ASSERT_EQ(rte_ring_dequeue(RingOf("a"), &second), 0);
  rte_pktmbuf_free(static_cast<rte_mbuf*>(second));
  EXPECT_TRUE(
      counters(static_cast<LiveFilter&>(*registry_->Find("web"))).empty());
  registry_->main().Status().ClearInfo();
  EXPECT_THAT(counters(registry_->main()), ElementsAre(0, 0, 0, 0, 0));
}

TEST_F(FilterRegistryTest, ANumberIsGivenBackWhenNobodyRemembersIt) {
  LoadMain("block on guests\npass on vm0\n");
  auto job = registry_->BeginAddPort(
      {.name = "vm0", .device = DeviceOf("vm0"), .groups = {"guests"}});
  job->Build();
  ASSERT_TRUE(job->Publish().ok());
  InterfaceRegistry& interfaces = engine_->interfaces();
  const uint16_t number = interfaces.Resolve("vm0").id;
  ASSERT_NE(number, 0);
  // The worker meets the filter.
  EXPECT_TRUE(Passes("b", "a"));
  rte_mbuf* const mbuf =
      pool_.Make(FrameFromText("udp 10.0.0.1:1 > 10.0.0.2:53"));
  PacketInfo info;
  ParsePacket(*mbuf, {}, &info);
  // Nothing of the worker runs meanwhile.
  auto& states = const_cast<StateTable&>(worker_->states());
  const StateIndex state =
      states
          .Insert(info, *mbuf,
                  {.direction = Direction::kIn,
                   .filter = kMainFilter,
                   .interface = number},
                  {}, engine_->plane().clock.Now())
          .state;
  rte_pktmbuf_free(mbuf);
  ASSERT_NE(state, kNoState);

  absl::Status removed = absl::UnknownError("not answered");
  registry_->RemovePort("vm0",
                        [&removed](absl::Status status) { removed = status; });
  for (int i = 0; i < 5000 && (!removed.ok() || interfaces.Gone().empty());
       ++i) {
    Settle();
    usleep(1000);
  }
  ASSERT_TRUE(removed.ok()) << removed;
  EXPECT_EQ(interfaces.Resolve("guests").groups, 0u);
  ASSERT_EQ(interfaces.Gone().size(), 1u) << "rules still know it";
  const auto name_after = [&](size_t least) {
    registry_->ForgetInterfaces(least);
    Settle();
    return interfaces.NameOf(number);
  };
  EXPECT_EQ(name_after(1), "vm0") << "a state remembers it";
  states.Remove(state);
  EXPECT_EQ(name_after(2), "vm0") << "not worth a look";
  EXPECT_EQ(name_after(1), "");
  EXPECT_EQ(interfaces.gone_count(), 0u);
}

TEST_F(FilterRegistryTest, TagsThatNobodyUsesAreForgotten) {
  for (int i = 1; i <= 1100;) {
    std::string some;
    for (int rule = 0; rule < 50; ++rule, ++i) {
      const std::string n = std::to_string(i);
      some += "match in proto udp to port " + n + " tag t" + n + "\n";
    }
    LoadMain(some + "pass\n");
    Settle();
  }
  LoadMain("pass tag kept\n");
  EXPECT_TRUE(Passes("b", "a"));
  LoadMain(kPassAll);
  LiveFilter& main = registry_->main();
  TagRegistry& tags = main.store().tags();
  for (int i = 0; i < 5000 && tags.Idle().size() < 1101; ++i) {
    Settle();
    usleep(1000);
  }
  EXPECT_NE(tags.Find("t7"), kNoTag);
  ASSERT_TRUE(tags.IsWorthALook());
  registry_->ForgetTags(main.shared_from_this());
  Settle();
  EXPECT_EQ(tags.Find("t7"), kNoTag);
  EXPECT_EQ(tags.Find("t1100"), kNoTag);
  const uint16_t kept = tags.Find("kept");
  ASSERT_NE(kept, kNoTag) << "states have it";
  EXPECT_EQ(tags.NameOf(kept), "kept");
  EXPECT_FALSE(tags.IsWorthALook());
}

TEST_F(FilterRegistryTest, AFilterMayComeBeforeItsPort) {
  LoadMain(kPassAll);
  ASSERT_TRUE(Create("vm", {"vm0"}, "block on vm0\n").ok());
  EXPECT_TRUE(Listing("vm").status.enabled());
  auto job = registry_->BeginAddPort(
      {.name = "vm0", .device = DeviceOf("vm0")});
  job->Build();
  ASSERT_TRUE(job->Publish().ok());
  EXPECT_EQ(Listing("vm").macs.size(), 1u);
  EXPECT_NE(Listing("vm").macs[0], "");
}

TEST_F(FilterRegistryTest, AFilterThatExpectsARestoreKeepsNobodyBusy) {
  FilterSpec spec;
  spec.name = "web";
  spec.ports = {"a"};
  spec.expect_restore = true;
  auto create = registry_->BeginCreateFilter(spec);
  create->Build();
  ASSERT_TRUE(create->Publish().ok());
  create.reset();
  Settle();
  ASSERT_TRUE(Listing("web").status.expects());
  EXPECT_FALSE(engine_->busy()) << "nothing is under way";
}

TEST_F(FilterRegistryTest, ALoadIsBuiltAgainWherePortsHaveChanged) {
  auto* const main = static_cast<LiveFilter*>(registry_->Find("main"));
  auto load = main->Rules().BeginLoad({.name = "rules", .text = "block on b\n"});
  load->Build();
  EXPECT_FALSE(load->Outdated());
  // A port of that name comes; who compiles again is the builder.
  auto add = registry_->BeginAddPort({.name = "e", .device = "net_null6"});
  add->Build();
  ASSERT_TRUE(add->Publish().ok());
  EXPECT_TRUE(load->Outdated());
  load->Build();
  EXPECT_FALSE(load->Outdated());
  const auto loaded = load->Publish();
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->rules, 1u);
  // What is refused or only tried is not built again.
  auto bad = main->Rules().BeginLoad({.name = "rules", .text = "nonsense\n"});
  bad->Build();
  auto more = registry_->BeginAddPort({.name = "f", .device = "net_null5"});
  more->Build();
  ASSERT_TRUE(more->Publish().ok());
  EXPECT_FALSE(bad->Outdated());
}

TEST_F(FilterRegistryTest, WorkThatIsUnderWayWhenItsFilterGoesEndsWithAnError) {
  ASSERT_TRUE(Create("web", {"a"}, kPassAll).ok());
  auto* const web = static_cast<LiveFilter*>(registry_->Find("web"));
  auto load = web->Rules().BeginLoad({.name = "rules", .text = kBlockAll});
  auto flush = web->Rules().BeginFlushRules({});
  ASSERT_TRUE(Destroy("web").ok());
  // The filter is gone for everybody but these.
  load->Build();
  flush->Build();
  EXPECT_TRUE(absl::IsNotFound(load->Publish().status()));
  EXPECT_TRUE(absl::IsNotFound(flush->Publish().status()));
}

TEST_F(FilterRegistryTest, APortMayGoWhileAFilterIsMadeForIt) {
  LoadMain(kPassAll);
  FilterSpec spec;
  spec.name = "web";
  spec.ports = {"b"};
  absl::Status removed = absl::UnknownError("not answered");
  registry_->RemovePort("b",
                        [&removed](absl::Status status) { removed = status; });
  auto create = registry_->BeginCreateFilter(spec);
  for (int i = 0; i < 1000 && !removed.ok(); ++i) {
    Settle();
    usleep(1000);
  }
  ASSERT_TRUE(removed.ok()) << removed;
  create->Build();
  ASSERT_TRUE(create->Publish().ok());
  create.reset();
  EXPECT_THAT(Listing("web").ports, ElementsAre("b"));
  ASSERT_TRUE(Destroy("web").ok());
  EXPECT_EQ(ports_->Find("b"), nullptr) << "nobody names it any more";
  // One that is given up forgets the names that it has brought.
  spec.ports = {"new"};
  create = registry_->BeginCreateFilter(spec);
  EXPECT_NE(ports_->Find("new"), nullptr);
  create.reset();
  EXPECT_EQ(ports_->Find("new"), nullptr);
}

TEST_F(FilterRegistryTest, WordsOfPortsAreThoseOfTheConfiguration) {
  PortSpec good;
  good.name = "p";
  good.device = "net_null7";
  const auto message = [this](const PortSpec& spec) {
    auto job = registry_->BeginAddPort(spec);
    job->Build();
    return std::string(job->Publish().status().message());
  };
  const auto with = [&good](auto change) {
    PortSpec spec = good;
    change(spec);
    return spec;
  };
  for (const char* name : {"", "9p", "p:1", "all", "self", "any", "p q"}) {
    EXPECT_THAT(message(with([&](PortSpec& s) { s.name = name; })),
                HasSubstr("cannot be named"))
        << name;
    EXPECT_THAT(Create("web", {name}, kPassAll).message(),
                HasSubstr("cannot be named"))
        << name;
  }
  for (const char* device : {"", "eth 0", "../x", "Net_null"}) {
    EXPECT_THAT(message(with([&](PortSpec& s) { s.device = device; })),
                HasSubstr("is no device"))
        << device;
  }
  EXPECT_THAT(message(with([](PortSpec& s) { s.groups = {"vm1"}; })),
              HasSubstr("group cannot be named"));
  EXPECT_THAT(message(with([](PortSpec& s) { s.groups = {"a"}; })),
              HasSubstr("could not tell them apart"));
  EXPECT_THAT(message(with([&](PortSpec& s) { s.device = DeviceOf("a"); })),
              HasSubstr("port a already has device"));
  EXPECT_THAT(message(with([](PortSpec& s) { s.wire = "a"; })),
              HasSubstr("port a has a wire to b"));
  EXPECT_THAT(message(with([](PortSpec& s) { s.wire = "p"; })),
              HasSubstr("leads back to itself"));
  EXPECT_THAT(message(with([](PortSpec& s) { s.wire = "all"; })),
              HasSubstr("cannot be named"));
  EXPECT_THAT(message(with([](PortSpec& s) { s.device = "net_nothing7"; })),
              HasSubstr("may not use the driver net_nothing"));
  EXPECT_EQ(ports_->entries().size(), 4u);
}

TEST_F(FilterRegistryTest, AWireHasTwoEnds) {
  const auto add = [this](const std::string& name, const std::string& device,
                          const std::string& wire) {
    PortSpec spec;
    spec.name = name;
    spec.device = device;
    spec.wire = wire;
    auto job = registry_->BeginAddPort(std::move(spec));
    job->Build();
    return job->Publish();
  };
  // A name that no port has is a mistake more often than a plan.
  EXPECT_THAT(add("left", "net_null7", "right").status().message(),
              HasSubstr("there is no port right"));
  const auto first = add("left", "net_null7", "");
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->wire, "");
  const auto second = add("right", "net_null8", "left");
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->wire, "left");
  EXPECT_THAT(add("third", "net_null9", "left").status().message(),
              HasSubstr("port left has a wire to right"));
}

// The wire a-b answers for translation addresses.
class AnsweringWireTest : public FilterRegistryTest {
 protected:
  AnsweringWireTest() : FilterRegistryTest(/*answer_arp=*/true) {}

  void Remove(const std::string& name) {
    absl::Status removed = absl::UnknownError("not answered");
    registry_->RemovePort(
        name, [&removed](absl::Status status) { removed = status; });
    for (int i = 0; i < 1000 && !removed.ok(); ++i) {
      Settle();
      usleep(1000);
    }
    ASSERT_TRUE(removed.ok()) << name << ": " << removed;
  }
  void Add(const std::string& name, const std::string& device,
           const std::string& wire) {
    PortSpec spec;
    spec.name = name;
    spec.device = device;
    spec.wire = wire;
    auto job = registry_->BeginAddPort(std::move(spec));
    job->Build();
    const auto added = job->Publish();
    ASSERT_TRUE(added.ok()) << name << ": " << added.status();
    Settle();
  }
  // Whether it answers at that port for what the rules below translate to.
  bool Answers(const std::string& name) {
    const PortSet::Entry* const port = ports_->Find(name);
    if (port == nullptr || port->own == nullptr) return false;
    for (const Address& one : port->own->addresses()) {
      if (ToString(one) == "192.0.2.1") return port->answer_arp;
    }
    return false;
  }
  static constexpr char kRules[] =
      "pass\nmatch out proto udp from 10.0.0.0/24 nat-to 192.0.2.1\n";
};

TEST_F(AnsweringWireTest, AnswersAgainWhenBothItsPortsAreBack) {
  LoadMain(kRules);
  Settle();
  EXPECT_TRUE(Answers("a") && Answers("b"));
  EXPECT_FALSE(Answers("c"));
  Remove("b");
  EXPECT_FALSE(Answers("a"));
  Add("b", DeviceOf("b"), "a");
  EXPECT_TRUE(Answers("a") && Answers("b"));
  Remove("b");
  Remove("a");
  Add("a", "net_null7", "");
  EXPECT_FALSE(Answers("a"));
  Add("b", "net_null8", "a");
  EXPECT_TRUE(Answers("a") && Answers("b"));
}

TEST_F(AnsweringWireTest, AnotherPortAnswersOnlyInPlaceOfOneEnd) {
  LoadMain(kRules);
  Settle();
  Remove("b");
  Add("third", "net_null7", "a");
  EXPECT_TRUE(Answers("a") && Answers("third"));
  Remove("third");
  Remove("a");
  Add("a", "net_null8", "");
  Add("fourth", "net_null9", "a");
  EXPECT_FALSE(Answers("a") || Answers("fourth"));
}

TEST_F(FilterRegistryTest, MainTakesOverWhereItHadNoPortThatIsEnabled) {
  LoadMain(kPassAll);
  ASSERT_TRUE(Create("web", {"a", "b"}, kBlockAll).ok());
  for (const char* port : {"c", "d"}) {
    ASSERT_TRUE(DisablePort(port).ok());
  }
  EXPECT_FALSE(Listing("main").status.enabled());
  ASSERT_TRUE(Destroy("web").ok());
  EXPECT_TRUE(Listing("main").status.enabled());
  EXPECT_TRUE(Passes("b", "a"));
  EXPECT_TRUE(Stops("d", "c"));
}

// Whatever the restore service answers: the order is answered, and the name
// is free again.
TEST_F(FilterRegistryTest, AFilterThatTheRestoreServiceDoesNotKnowGoes) {
  RestoreService& service = engine_->restores();
  for (const bool known : {true, false}) {
    ASSERT_TRUE(Create("web", {"a", "b"}, kPassAll).ok());
    EXPECT_TRUE(Passes("b", "a"));
    bool removed = known;
    if (!known) {
      // Disabled first, as the registry would do it.
      service.Disable("web", [](const absl::StatusOr<FilterStatus>&) {});
      ASSERT_TRUE(
          service.RemoveFilter("web", [&removed] { removed = true; }).ok());
      service.Poll();
    }
    ASSERT_TRUE(removed);
    absl::Status result = absl::UnknownError("not answered");
    registry_->DestroyFilter(
        "web", [&result](absl::Status status) { result = status; });
    Settle();
    EXPECT_TRUE(result.ok()) << known << ": " << result;
    EXPECT_EQ(worker_->states().size(), 0u);
  }
  ASSERT_TRUE(Create("web", {"a", "b"}, kPassAll).ok());
  ASSERT_TRUE(registry_->Filter("web").ok());
}

TEST_F(FilterRegistryTest, ManyComeAndGo) {
  LoadMain(kPassAll);
  for (int i = 0; i < 300; ++i) {
    const std::string name = "web" + std::to_string(i % 3);
    ASSERT_TRUE(Create(name, {"a", "b"}, i % 2 == 0 ? kPassAll : kBlockAll)
                    .ok());
    EXPECT_EQ(Passes("b", "a", "udp 10.0.0.1:1 > 10.0.0.2:53"), i % 2 == 0);
    EXPECT_TRUE(Passes("d", "c", "udp 10.0.0.1:1 > 10.0.0.2:53"));
    ASSERT_TRUE(Destroy(name).ok());
  }
  EXPECT_EQ(registry_->Filters("", SIZE_MAX).size(), 1u);
  EXPECT_EQ(Listing("main").states, 2u);
  EXPECT_EQ(worker_->states().size(), 2u);
  EXPECT_EQ(pool_.InUse(), 0u);
}

// Orders that come while a commit of their filter is being published. Whatever
// is ordered then: in the end the filter is what its ports are listed as, in an
// incarnation that the orders have begun. The parameter: whether incarnations
// of the filter that is made, web, expect a restore.
class OrdersDuringACommitTest : public FilterRegistryTest,
                                public ::testing::WithParamInterface<bool> {
 protected:
  OrdersDuringACommitTest() { LoadMain(kPassAll); }

  // A turn of everything but restores.
  void TurnWithoutRestores() {
    engine_->Round();
    engine_->builder().Finish();
    registry_->Poll(0);
    engine_->grace().Poll();
  }
  void TurnUntil(const std::function<bool()>& holds) {
    for (int i = 0; i < 2'000 && !holds(); ++i) {
      Settle();
      usleep(50);
    }
    ASSERT_TRUE(holds());
  }
  FilterStatus Status() { return Listing(name_).status; }

  void MakeWeb(std::vector<std::string> ports) {
    ASSERT_TRUE(Create({.name = "web",
                        .ports = std::move(ports),
                        .ruleset = LoadRequest{.name = "rules",
                                               .text = kPassAll},
                        .expect_restore = GetParam()})
                    .ok());
    Export();
  }
  // A snapshot of the policy, without states.
  void Export() {
    bool exported = false;
    class Sink final : public ExportSink {
     public:
      explicit Sink(std::vector<uint8_t>* all) : all_(*all) { all_.clear(); }
      absl::Status Write(std::span<const uint8_t> bytes) override {
        all_.insert(all_.end(), bytes.begin(), bytes.end());
        return absl::OkStatus();
      }

     private:
      std::vector<uint8_t>& all_;
    };
    const auto done = [&exported](const absl::StatusOr<ExportReport>& report) {
      exported = report.ok();
    };
    Builder builder;
    ASSERT_TRUE(restores_
                    ->BeginExport(name_, &builder,
                                  {.content = ExportContent::kPolicy,
                                   .sink = std::make_shared<Sink>(&snapshot_)},
                                  done)
                    .ok());
    TurnUntil([&] {
      builder.Finish();
      return exported;
    });
  }
  void Submit() {
    restored_ = false;
    const RestoreAnswer answer = restores_->Submit(
        name_,
        {.snapshot_source =
             std::make_shared<MemorySource>(snapshot_, ImportChoice{})},
        [this](const RestoreAnswer& end) {
          restored_ = end.code == RestoreCode::kRestored;
        });
    EXPECT_EQ(answer.code, RestoreCode::kStarted);
  }
  // The filter's restore is in the midst of its commit: the worker has yet to
  // do what it was sent.
  void BeginCommit() {
    Submit();
    const auto committing = [this] {
      return Status().state == RestoreState::kCommitting;
    };
    for (int i = 0; i < 20'000 && !committing(); ++i) {
      restores_->Poll();
      if (committing()) break;
      worker_->Round();
      usleep(50);
    }
    ASSERT_TRUE(committing());
    incarnation_ = Status().incarnation;
  }
  void OrderDisable(const std::string& port) {
    registry_->DisablePort(port, [this, port](const absl::Status& status) {
      answers_ += status.ok() ? port : "?";
    });
  }
  // Ends the commit, and with it all orders. Those answers come before it that
  // need not wait for the end of the incarnation.
  void EndCommit(const std::string& early) {
    for (int i = 0; i < 64; ++i) TurnWithoutRestores();
    EXPECT_EQ(Status().state, RestoreState::kCommitting);
    EXPECT_EQ(answers_, early);
    for (int i = 0; i < 100; ++i) Settle();
    EXPECT_TRUE(restored_);
  }
  void ExpectEnabled(bool expects = GetParam()) {
    EXPECT_TRUE(Status().enabled());
    EXPECT_EQ(Status().incarnation, incarnation_ + 2);
    EXPECT_EQ(Status().expects(), expects);
    EXPECT_EQ(Status().state,
              expects ? RestoreState::kExpect : RestoreState::kNone);
    // It is a life like any other.
    Submit();
    TurnUntil([this] { return restored_; });
    EXPECT_TRUE(Passes("b", "a"));
  }

  RestoreService* const restores_ = &engine_->restores();
  std::string name_ = "web";
  std::vector<uint8_t> snapshot_;
  bool restored_ = false;
  uint32_t incarnation_ = 0;  // that of the commit
  std::string answers_;
};

TEST_P(OrdersDuringACommitTest, DisableAndEnable) {
  MakeWeb({"a", "b"});
  BeginCommit();
  OrderDisable("a");
  OrderDisable("b");
  EXPECT_TRUE(registry_->EnablePort("a").ok());
  EXPECT_TRUE(registry_->EnablePort("b").ok());
  EndCommit("a");
  EXPECT_EQ(answers_, "ab");
  ExpectEnabled();
}

TEST_P(OrdersDuringACommitTest, DisableEnableAndDisable) {
  MakeWeb({"a", "b"});
  ASSERT_TRUE(DisablePort("a").ok());
  BeginCommit();
  OrderDisable("b");
  EXPECT_TRUE(registry_->EnablePort("b").ok());
  OrderDisable("b");
  EndCommit("");
  EXPECT_EQ(answers_, "bb");
  EXPECT_FALSE(Status().enabled());
  EXPECT_EQ(Status().incarnation, incarnation_ + 1);
  // What is ordered afterwards is done at once.
  EXPECT_TRUE(registry_->EnablePort("a").ok());
  EXPECT_TRUE(registry_->EnablePort("b").ok());
  ExpectEnabled();
}

TEST_P(OrdersDuringACommitTest, AnotherPortIsEnabled) {
  MakeWeb({"a", "b"});
  ASSERT_TRUE(DisablePort("b").ok());
  BeginCommit();
  OrderDisable("a");
  EXPECT_TRUE(registry_->EnablePort("b").ok());
  EndCommit("");
  EXPECT_EQ(answers_, "a");
  EXPECT_TRUE(Status().enabled()) << "b is";
  EXPECT_TRUE(registry_->EnablePort("a").ok());
  ExpectEnabled();
}

// Into main, which has a port for each name that nobody has claimed.
TEST_P(OrdersDuringACommitTest, APortIsPluggedIn) {
  name_ = "main";
  Export();
  BeginCommit();
  for (const char* port : {"a", "b", "c", "d"}) OrderDisable(port);
  auto job = registry_->BeginAddPort({.name = "e", .device = "net_null6"});
  job->Build();
  const absl::StatusOr<PortListing> listing = job->Publish();
  ASSERT_TRUE(listing.ok()) << listing.status();
  EXPECT_TRUE(listing->enabled);
  EndCommit("abc");
  EXPECT_EQ(answers_, "abcd");
  EXPECT_TRUE(Status().enabled()) << "e is";
  EXPECT_TRUE(registry_->EnablePort("a").ok());
  EXPECT_TRUE(registry_->EnablePort("b").ok());
  ExpectEnabled(/*expects=*/false);
}

TEST_P(OrdersDuringACommitTest, TheFilterIsDestroyed) {
  for (const bool enabled : {true, false}) {
    MakeWeb({"a", "b"});
    BeginCommit();
    for (const char* port : {"a", "b"}) {
      registry_->DisablePort(port, [this, port](const absl::Status& status) {
        answers_ += status.ok() ? port : "?";
      });
    }
    if (enabled) {
      EXPECT_TRUE(registry_->EnablePort("a").ok());
      EXPECT_TRUE(registry_->EnablePort("b").ok());
    }
    absl::Status destroyed = absl::UnknownError("not answered");
    registry_->DestroyFilter("web", [&](const absl::Status& status) {
      destroyed = status;
    });
    for (int i = 0; i < 100; ++i) Settle();
    EXPECT_TRUE(restored_);
    EXPECT_TRUE(destroyed.ok()) << destroyed;
    EXPECT_EQ(registry_->Find("web"), nullptr);
    if (!enabled) {
      EXPECT_TRUE(registry_->EnablePort("a").ok());
      EXPECT_TRUE(registry_->EnablePort("b").ok());
    }
    EXPECT_TRUE(Passes("b", "a"));
  }
  EXPECT_EQ(answers_, "abab");
}

INSTANTIATE_TEST_SUITE_P(Expecting, OrdersDuringACommitTest,
                         ::testing::Bool());

}  // namespace
}  // namespace sluice
