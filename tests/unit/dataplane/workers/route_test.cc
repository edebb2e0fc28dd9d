// Ports of a router as workers carry them: the host's rings, restores that are
// awaited, several workers and one that does not run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rte_mbuf.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "dataplane/filters/filter_registry.h"
#include "dataplane/forward/router_exchange.h"
#include "dataplane/routing/routing_tables.h"
#include "dataplane/workers/worker.h"
#include "tests/support/test_plane.h"

namespace sluice {
namespace {

constexpr MacAddress kRouterMac = {2, 0, 0, 0, 0xff, 1};
constexpr MacAddress kHostMac = {2, 0, 0, 0, 0, 9};

// 10.0.0.0/24 is on "in", 192.0.2.0/24 on "out"; the router is .1 of both.
class RouteTest : public ::testing::TestWithParam<uint16_t> {
 protected:
  void Start(const std::string& rules = "pass keep state\n") {
    TestPlaneOptions options;
    options.workers = GetParam();
    plane_ = std::make_unique<TestPlane>(options);
    plane_->engine().LaunchByHand();
    plane_->Load(rules);
    exchange_ = std::make_unique<RouterExchange>(options.workers, 16);
    tables_ = std::make_shared<RoutingTables>(RoutingTables::Options());
    const std::array<Prefix, 2> own = {*ParsePrefix("10.0.0.1/24"),
                                       *ParsePrefix("192.0.2.1/24")};
    for (const uint16_t port : {0, 1}) {
      tables_->SetAddresses(port, std::span(&own[port], 1));
      ASSERT_TRUE(tables_->SetRoute({.prefix = own[port].Masked(),
                                     .hops = {{.port = port}}})
                      .ok());
    }
    Know("192.0.2.9", 1);
    Know("10.0.0.9", 0);
    Route();
  }
  void TearDown() override {
    if (plane_ != nullptr) plane_->plane().router_exchange = nullptr;
  }
  // The present topology with a router in it.
  void Route() {
    Topology& topology = plane_->topology();
    topology = *plane_->plane().topology.load();
    for (const uint16_t port : {0, 1}) {
      topology.ports[port].peer = kNoPort;
      topology.ports[port].router = 0;
      topology.ports[port].mac = kRouterMac;
    }
    topology.routers = {{.ports = {0, 1}, .tables = tables_}};
    ++topology.serial;
    plane_->plane().router_exchange = exchange_.get();
    plane_->plane().topology.store(&topology);
  }
  void Know(const std::string& address, uint16_t port) {
    ASSERT_TRUE(tables_->SetNeighbor(port, *ParseAddress(address),
                                     NeighborState::kKnown, kHostMac)
                    .ok());
  }
  rte_mbuf* Frame(const std::string& text) {
    return plane_->Make(absl::StrCat(text, " ethdst 02:00:00:00:ff:01"));
  }
  void Arrive(uint16_t port, const std::string& text) {
    ASSERT_TRUE(plane_->port(port).Arrive(Frame(text),
                                          next_queue_++ % GetParam()));
  }
  void Rounds() {
    for (int i = 0; i < 8; ++i) plane_->engine().Round();
  }
  void SendByHost(uint16_t port, const std::string& text) {
    rte_mbuf* mbuf = plane_->Make(text);
    mbuf->port = port;
    ASSERT_EQ(exchange_->SendToWorker(0, {&mbuf, 1}), 1u);
  }
  std::vector<rte_mbuf*> ForHost() {
    std::vector<rte_mbuf*> all;
    for (uint16_t worker = 0; worker < GetParam(); ++worker) {
      rte_mbuf* mbuf = nullptr;
      while (exchange_->TakeForHost(worker, {&mbuf, 1}) == 1) {
        all.push_back(mbuf);
      }
    }
    return all;
  }
  size_t CountForHost(uint16_t port) {
    size_t count = 0;
    for (rte_mbuf* mbuf : ForHost()) {
      EXPECT_EQ(mbuf->port, port);
      ++count;
      rte_pktmbuf_free(mbuf);
    }
    return count;
  }
  // Nothing is lost and nothing counted twice.
  void ExpectClosed() {
    EXPECT_EQ(plane_->Sum(&PortCounters::received_packets) +
                  plane_->Sum(&PortCounters::from_host),
              plane_->Sum(&PortCounters::forwarded_packets) +
                  plane_->Sum(&PortCounters::to_host) + plane_->AllDrops());
  }
  // A filter of its own for "out".
  FilterPlane& AddFilter(bool expect_restore) {
    FilterSpec spec = {
        .name = "vm", .ports = {"out"}, .expect_restore = expect_restore};
    spec.ruleset = LoadRequest{};
    spec.ruleset->name = "rules";
    spec.ruleset->text = "pass all\n";
    auto job = plane_->engine().filters().BeginCreateFilter(std::move(spec));
    job->Build();
    const auto created = job->Publish();
    EXPECT_TRUE(created.ok()) << created.status();
    Route();
    return *plane_->plane().filters.at(
        plane_->topology().ports[1].filter);
  }

  // Freed last, so that what is in its rings is freed first.
  std::unique_ptr<TestPlane> plane_;
  std::unique_ptr<RouterExchange> exchange_;
  std::shared_ptr<RoutingTables> tables_;
  uint32_t next_queue_ = 0;
};

INSTANTIATE_TEST_SUITE_P(Workers, RouteTest, ::testing::Values(1, 2, 4));

// With others that stand in for one.
class RouteWithOthersTest : public RouteTest {};
INSTANTIATE_TEST_SUITE_P(Workers, RouteWithOthersTest,
                         ::testing::Values(2, 4));

TEST_P(RouteTest, FlowsCrossBothWaysAtWhateverQueueTheyArrive) {
  Start();
  for (int flow = 0; flow < 40; ++flow) {
    Arrive(0, absl::StrCat("udp 10.0.0.9:", 1000 + flow,
                           " > 192.0.2.9:53 data 4"));
  }
  Rounds();
  EXPECT_EQ(plane_->port(1).Drain(), 40u);
  for (int flow = 0; flow < 40; ++flow) {
    Arrive(1, absl::StrCat("udp 192.0.2.9:53 > 10.0.0.9:", 1000 + flow,
                           " data 4"));
  }
  Rounds();
  // Each by the states of its question, in at one port and out at the other.
  EXPECT_EQ(plane_->port(0).Drain(), 40u);
  uint64_t states = 0;
  for (const Worker* worker : plane_->workers()) {
    states += worker->states().size();
  }
  EXPECT_EQ(states, 80u);
  ExpectClosed();
}

TEST_P(RouteTest, TheHostGetsWhatIsForItAndNoMoreThanItsRingHolds) {
  Start();
  Arrive(0, "udp 10.0.0.9:5 > 10.0.0.1:53 data 4");
  Arrive(0, "udp 10.0.0.9:5 > 192.0.2.1:53 data 4");
  Rounds();
  EXPECT_EQ(CountForHost(0), 2u);
  EXPECT_EQ(plane_->port(1).Drain(), 0u);
  for (int i = 0; i < 20; ++i) {
    Arrive(0, "udp 10.0.0.9:5 > 10.0.0.1:53 data 4");
  }
  Rounds();
  EXPECT_EQ(CountForHost(0), 16u) << "one flow, one worker's ring";
  EXPECT_EQ(plane_->Drops(DropReason::kHostFull), 4u);
  ExpectClosed();
}

TEST_P(RouteTest, WhatTheHostSendsIsJudgedByTheOwnerOfItsFlow) {
  Start("block in\npass out proto udp keep state\nblock return out proto tcp\n");
  const uint16_t worker = GetParam() - 1;
  for (int flow = 0; flow < 8; ++flow) {
    rte_mbuf* mbuf = plane_->Make(absl::StrCat(
        "udp 192.0.2.1:", 4000 + flow, " > 192.0.2.9:53 data 4"));
    mbuf->port = 1;
    ASSERT_EQ(exchange_->SendToWorker(worker, {&mbuf, 1}), 1u);
  }
  Rounds();
  EXPECT_EQ(plane_->port(1).Drain(), 8u);
  // Its answers pass by the states that this made.
  for (int flow = 0; flow < 8; ++flow) {
    Arrive(1, absl::StrCat("udp 192.0.2.9:53 > 192.0.2.1:", 4000 + flow,
                           " data 4"));
  }
  Rounds();
  EXPECT_EQ(CountForHost(1), 8u);
  // And who is refused hears of it.
  rte_mbuf* refused = plane_->Make("tcp 192.0.2.1:4000 > 192.0.2.9:80 S");
  refused->port = 1;
  ASSERT_EQ(exchange_->SendToWorker(worker, {&refused, 1}), 1u);
  Rounds();
  EXPECT_EQ(CountForHost(1), 1u);
  EXPECT_EQ(plane_->port(1).Drain(), 0u);
  ExpectClosed();
}

TEST_P(RouteTest, WaitsForANextHopAndAsksForIt) {
  Start();
  Arrive(0, "udp 10.0.0.9:5 > 192.0.2.77:53 data 4");
  Rounds();
  EXPECT_EQ(plane_->port(1).Drain(), 0u);
  NeighborQuestion question;
  bool asked = false;
  for (uint16_t worker = 0; worker < GetParam() && !asked; ++worker) {
    asked = exchange_->NextQuestion(worker, &question);
  }
  ASSERT_TRUE(asked);
  EXPECT_EQ(question.port, 1);
  EXPECT_EQ(ToString(question.address), "192.0.2.77");
  Know("192.0.2.77", 1);
  usleep(3000);
  Rounds();
  EXPECT_EQ(plane_->port(1).Drain(), 1u);
  ExpectClosed();
}

// It waits where it would leave, before it is judged at all.
TEST_P(RouteTest, WaitsForTheRestoreOfTheFilterWhereItLeaves) {
  Start();
  FilterPlane& filter = AddFilter(/*expect_restore=*/true);
  Arrive(0, "udp 10.0.0.9:5 > 192.0.2.9:53 data 4");
  Arrive(0, "udp 10.0.0.9:5 > 10.0.0.1:53 data 4");
  Rounds();
  EXPECT_EQ(plane_->port(1).Drain(), 0u);
  EXPECT_EQ(CountForHost(0), 1u) << "that is judged in alone";
  uint64_t states = 0;
  for (const Worker* worker : plane_->workers()) {
    states += worker->states().size();
  }
  EXPECT_EQ(states, 1u);
  // What the host sends there waits behind it.
  rte_mbuf* mbuf = plane_->Make("udp 192.0.2.1:5 > 192.0.2.9:53 data 4");
  mbuf->port = 1;
  ASSERT_EQ(exchange_->SendToWorker(0, {&mbuf, 1}), 1u);
  Rounds();
  EXPECT_EQ(plane_->port(1).Drain(), 0u);
  FilterStatus status = filter.status.Load();
  for (const RestoreState next :
       {RestoreState::kValidating, RestoreState::kCommitting,
        RestoreState::kRestored}) {
    ASSERT_TRUE(filter.status.Advance(&status, next)) << Name(next);
  }
  Rounds();
  EXPECT_EQ(plane_->port(1).Drain(), 2u);
  ExpectClosed();
}

// A rule sends it there, which nobody knew before it was judged.
TEST_P(RouteTest, WhatWasJudgedInDoesNotWaitForARestore) {
  Start("match in on \"in\" inet proto udp to 10.0.0.1 port 99 "
        "rdr-to 192.0.2.9\npass keep state\n");
  FilterPlane& filter = AddFilter(/*expect_restore=*/true);
  Arrive(0, "udp 10.0.0.9:5 > 10.0.0.1:99 data 4");
  Rounds();
  EXPECT_EQ(plane_->Drops(DropReason::kHeld), 1u);
  EXPECT_EQ(CountForHost(0), 0u);
  EXPECT_EQ(filter.status.Load().state, RestoreState::kQueued)
      << "but asks for it";
  ExpectClosed();
}

// Nothing is judged there, so that nobody has to wait.
TEST_P(RouteTest, AnExcludedPortOfDepartureAwaitsNoRestore) {
  Start("match in on \"in\" inet proto udp to 10.0.0.1 port 99 "
        "rdr-to 192.0.2.9\npass keep state\n");
  AddFilter(/*expect_restore=*/true);
  plane_->topology().ports[1].excluded = true;
  Arrive(0, "udp 10.0.0.9:5 > 10.0.0.1:99 data 4");
  Rounds();
  EXPECT_EQ(plane_->Drops(DropReason::kHeld), 0u);
  EXPECT_EQ(plane_->port(1).Drain(), 1u);
  ExpectClosed();
}

// Rules send it by another port than the host meant.
TEST_P(RouteTest, WhatTheHostSendsElsewhereAsksForTheRestoreThere) {
  Start("pass\npass out on \"in\" inet proto udp keep state "
        "(if-bound) route-to 192.0.2.9\n");
  FilterPlane& filter = AddFilter(/*expect_restore=*/true);
  SendByHost(0, "udp 10.0.0.1:5 > 10.0.0.9:53 data 4");
  Rounds();
  EXPECT_EQ(plane_->Drops(DropReason::kHeld), 1u);
  EXPECT_EQ(filter.status.Load().state, RestoreState::kQueued);
  EXPECT_EQ(plane_->port(0).Drain() + plane_->port(1).Drain(), 0u);
  ExpectClosed();
}

TEST_P(RouteTest, AnswersToTheHostAreNotAmongWhatIsForwardedToIt) {
  Start("pass\npass out on \"in\" inet proto tcp keep state "
        "(if-bound) route-to 192.0.2.9\n"
        "block return out on \"out\" proto tcp\n");
  SendByHost(0, "tcp 10.0.0.1:5 > 10.0.0.9:80 S");
  Rounds();
  EXPECT_EQ(CountForHost(0), 1u);
  EXPECT_EQ(plane_->Sum(&PortCounters::to_host), 0u);
  EXPECT_EQ(plane_->AllDrops(), 1u);
  EXPECT_EQ(plane_->port(0).Drain() + plane_->port(1).Drain(), 0u);
  ExpectClosed();
}

// Who has sent it is no neighbour of the port that it would leave by.
TEST_P(RouteTest, WhatTheHostSendsAndNobodyTakesIsNoErrorOnTheWire) {
  Start("pass\npass out on \"in\" inet proto udp keep state "
        "(if-bound) route-to 192.0.2.77\n");
  SendByHost(0, "udp 10.0.0.1:5 > 10.0.0.9:53 data 4");
  Rounds();
  ASSERT_TRUE(tables_
                  ->SetNeighbor(1, *ParseAddress("192.0.2.77"),
                                NeighborState::kFailed, MacAddress{})
                  .ok());
  usleep(200'000);
  Rounds();
  EXPECT_EQ(plane_->Drops(DropReason::kNoNeighbor), 1u);
  EXPECT_EQ(plane_->port(0).Drain() + plane_->port(1).Drain(), 0u);
  ExpectClosed();
}

// In the other family, and an answer is for an address of the router's. The state
// that knows better is of the filter at the other port.
TEST_P(RouteTest, AnswersInTheOtherFamilyFindTheWorkerOfTheirState) {
  Start("pass in quick on \"in\" inet6 to 64:ff9b::/96 "
        "af-to inet from 192.0.2.1 static-port\npass\n");
  ASSERT_TRUE(tables_->SetRoute({.prefix = *ParsePrefix("2001:db8::/64"),
                                 .hops = {{.port = 0}}})
                  .ok());
  Know("2001:db8::9", 0);
  AddFilter(/*expect_restore=*/false);
  for (int flow = 0; flow < 40; ++flow) {
    Arrive(0, absl::StrCat("udp [2001:db8::9]:", 1000 + flow,
                           " > [64:ff9b::c000:209]:53 data 4"));
  }
  Rounds();
  EXPECT_EQ(plane_->port(1).Drain(), 40u);
  for (int flow = 0; flow < 40; ++flow) {
    Arrive(1, absl::StrCat("udp 192.0.2.9:53 > 192.0.2.1:", 1000 + flow,
                           " data 4"));
  }
  Rounds();
  EXPECT_EQ(plane_->port(0).Drain(), 40u);
  EXPECT_EQ(CountForHost(1), 0u);
  ExpectClosed();
}

TEST_P(RouteWithOthersTest,
       AWorkerThatDoesNotRunHasItsFlowsJudgedByTheFailPolicy) {
  Start();
  plane_->plane().stalled.store(1u << (GetParam() - 1));
  for (int flow = 0; flow < 40; ++flow) {
    ASSERT_TRUE(plane_->port(0).Arrive(Frame(
        absl::StrCat("udp 10.0.0.9:", 1000 + flow, " > 192.0.2.9:53"))));
  }
  for (int i = 0; i < 8; ++i) {
    for (size_t worker = 0; worker + 1 < GetParam(); ++worker) {
      plane_->worker(worker).Round();
    }
  }
  const uint64_t stalled = plane_->Drops(DropReason::kStalled);
  EXPECT_GT(stalled, 0u);
  EXPECT_LT(stalled, 40u);
  EXPECT_EQ(plane_->port(1).Drain(), 40 - stalled);
  ExpectClosed();
}

}  // namespace
}  // namespace sluice
