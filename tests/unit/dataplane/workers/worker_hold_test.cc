// Workers round by round while a restore is awaited, has failed, or while
// another worker does not run.
#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include <array>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "dataplane/workers/state_orders.h"
#include "dataplane/workers/worker.h"
#include "packet/parse.h"
#include "tests/support/test_plane.h"

namespace sluice {
namespace {

constexpr char kPassUdp[] =
    "block all\n"
    "pass in proto udp to port 53\n"
    "pass out proto udp\n";

// Both families; the length tells packets apart.
std::string Query(Family family, int data) {
  return (family == Family::kIpv4
              ? std::string("udp 10.0.0.2:1000 > 10.1.0.1:53 data ")
              : std::string("udp 2001:db8::2:1000 > 2001:db8:1::1:53 data ")) +
         std::to_string(data);
}

// Another filter of a TestPlane.
class OtherFilter {
 public:
  OtherFilter(TestPlane& plane, uint16_t number, const std::string& rules)
      : filter_(std::make_shared<LiveFilter>(
            &plane.engine().environment(),
            LiveFilter::Options{.name = "other",
                                .number = number,
                                .serial = 100u + number})) {
    (**this).status.Enable(false);
    plane.plane().filters.Publish(&**this);
    EXPECT_TRUE(LoadRules(*filter_, rules).ok());
  }
  FilterPlane& operator*() { return filter_->plane(); }
  FilterPlane* operator->() { return &filter_->plane(); }

 private:
  const std::shared_ptr<LiveFilter> filter_;
};

void Advance(FilterPlane& filter, std::initializer_list<RestoreState> states) {
  FilterStatus status = filter.status.Load();
  for (const RestoreState next : states) {
    ASSERT_TRUE(filter.status.Advance(&status, next)) << Name(next);
  }
}
void Restore(FilterPlane& filter) {
  Advance(filter, {RestoreState::kValidating, RestoreState::kCommitting,
                   RestoreState::kRestored});
}

class WorkerHoldTest : public testing::TestWithParam<Family> {
 protected:
  void Arrive(TestPlane& plane, int data, uint16_t queue = 0) {
    ASSERT_TRUE(plane.port(0).Arrive(plane.Make(Query(GetParam(), data)),
                                     queue));
  }
  // Payload lengths of what has left, in order.
  std::vector<uint32_t> Left(TestPlane& plane) {
    const uint32_t headers = GetParam() == Family::kIpv4 ? 42 : 62;
    std::vector<uint32_t> lengths;
    while (rte_mbuf* mbuf = plane.port(1).Leave()) {
      lengths.push_back(mbuf->pkt_len - headers);
      rte_pktmbuf_free(mbuf);
    }
    return lengths;
  }
  static void ExpectClosed(TestPlane& plane, uint32_t held) {
    EXPECT_EQ(plane.Sum(&PortCounters::received_packets),
              plane.Sum(&PortCounters::forwarded_packets) +
                  plane.AllDrops() + held);
  }
};
INSTANTIATE_TEST_SUITE_P(Families, WorkerHoldTest,
                         testing::Values(Family::kIpv4, Family::kIpv6),
                         [](const auto& param) {
                           return param.param == Family::kIpv4 ? "IPv4"
                                                               : "IPv6";
                         });

TEST_P(WorkerHoldTest, ReplaysInOrderBeforeWhatArrives) {
  TestPlane plane({});
  plane.Load("block all\n");
  plane.filter().status.Enable(true);
  std::vector<uint32_t> sent;
  // More than a burst, in rounds of their own.
  for (int i = 0; i < 70; ++i) {
    Arrive(plane, 20 + i);
    sent.push_back(static_cast<uint32_t>(20 + i));
    if (i % 10 == 0) plane.worker(0).Round();
  }
  while (plane.worker(0).Round() > 0) {
  }
  EXPECT_EQ(plane.filter().status.Load().state, RestoreState::kQueued);
  EXPECT_EQ(Left(plane), std::vector<uint32_t>{});
  EXPECT_EQ(plane.AllDrops(), 0u);
  ExpectClosed(plane, 70);

  // The snapshot has other rules: those hold.
  plane.Load(kPassUdp);
  Restore(plane.filter());
  Arrive(plane, 200);
  sent.push_back(200);
  plane.worker(0).Round();
  EXPECT_EQ(Left(plane), sent);
  EXPECT_EQ(plane.AllDrops(), 0u);
  EXPECT_TRUE(plane.filter().holds[0]->empty());
  ExpectClosed(plane, 0);
  EXPECT_EQ(plane.worker(0).states().size(), 2u);
  EXPECT_EQ(plane.hold_budget().used(), 0u);
}

TEST_P(WorkerHoldTest, WithoutArrivalsToo) {
  TestPlane plane({});
  plane.Load(kPassUdp);
  plane.filter().status.Enable(true);
  Arrive(plane, 20);
  plane.worker(0).Round();
  Restore(plane.filter());
  EXPECT_EQ(plane.worker(0).Round(), 1u);
  EXPECT_EQ(Left(plane), std::vector<uint32_t>{20});
}

TEST_P(WorkerHoldTest, SkippedJudgesByTheRulesInForce) {
  TestPlane plane({});
  plane.Load("block all\n");
  plane.filter().status.Enable(true);
  Arrive(plane, 20);
  plane.worker(0).Round();
  Advance(plane.filter(), {RestoreState::kSkipped});
  plane.worker(0).Round();
  EXPECT_EQ(Left(plane), std::vector<uint32_t>{});
  EXPECT_EQ(plane.Drops(DropReason::kMatch), 1u);
}

TEST_P(WorkerHoldTest, FailedClosedDropsAndCounts) {
  TestPlane plane({});
  plane.Load("pass all\n");
  plane.filter().status.Enable(true);
  Arrive(plane, 20);
  plane.worker(0).Round();
  Advance(plane.filter(), {RestoreState::kFailed});
  Arrive(plane, 21);
  plane.worker(0).Round();
  EXPECT_EQ(Left(plane), std::vector<uint32_t>{});
  EXPECT_EQ(plane.Drops(DropReason::kHeld), 2u);
  EXPECT_EQ(plane.worker(0).states().size(), 0u);
  EXPECT_EQ(plane.pool().InUse(), 0u);
}

TEST_P(WorkerHoldTest, FailedOpenIsTheEmergencyRulesetWithItsOwnStates) {
  TestPlane plane({});
  plane.Load("block all\n");
  OtherFilter emergency(plane, 2, kPassUdp);
  plane.filter().fail_policy = FailPolicy::kOpen;
  plane.filter().emergency = &*emergency;
  plane.filter().status.Enable(true);
  Arrive(plane, 20);
  plane.worker(0).Round();
  EXPECT_EQ(Left(plane), std::vector<uint32_t>{}) << "it has not failed yet";
  Advance(plane.filter(), {RestoreState::kFailed});
  Arrive(plane, 21);
  plane.worker(0).Round();
  EXPECT_EQ(Left(plane), (std::vector<uint32_t>{20, 21}));
  EXPECT_EQ(plane.budget().used(), 0u);
  EXPECT_EQ(emergency->budget->used(), 2u);
  // The next life has the filter's own rules again.
  plane.filter().status.Disable();
  plane.filter().status.Enable(false);
  Arrive(plane, 22);
  plane.worker(0).Round();
  EXPECT_EQ(Left(plane), std::vector<uint32_t>{});
  EXPECT_EQ(plane.Drops(DropReason::kMatch), 1u);
}

TEST_P(WorkerHoldTest, ADisabledFilterDropsWhatItHolds) {
  TestPlane plane({});
  plane.Load("pass all\n");
  plane.filter().status.Enable(true);
  Arrive(plane, 20);
  plane.worker(0).Round();
  plane.filter().status.Disable();
  Arrive(plane, 21);
  plane.worker(0).Round();
  EXPECT_EQ(plane.Drops(DropReason::kHeld), 1u);
  EXPECT_EQ(plane.Drops(DropReason::kPortDown), 1u);
  EXPECT_EQ(plane.pool().InUse(), 0u);
}

TEST_P(WorkerHoldTest, WhatWaitsTooLongIsDropped) {
  TestPlane plane({});
  plane.Load("pass all\n");
  plane.filter().status.Enable(true);
  Arrive(plane, 20);
  const Tick began = plane.plane().clock.Now();
  plane.worker(0).Round();
  while (plane.Drops(DropReason::kHeld) == 0) plane.worker(0).Round();
  EXPECT_GE(TickDiff(plane.plane().clock.Now(), began),
            static_cast<int32_t>(kMaxHoldTime));
  EXPECT_EQ(plane.pool().InUse(), 0u);
}

TEST_P(WorkerHoldTest, NeighbourDiscoveryPassesUnjudged) {
  TestPlane plane({});
  plane.Load("block all\n");
  plane.filter().status.Enable(true);
  const std::string packet =
      GetParam() == Family::kIpv4
          ? "arp request 10.0.0.2 > 10.1.0.1"
          : "icmp fe80::1 > ff02::1:ff00:1 neighbrsol ttl 255 "
            "data 0x20010db8000000000000000000000001";
  ASSERT_TRUE(plane.port(0).Arrive(plane.Make(packet)));
  plane.worker(0).Round();
  EXPECT_EQ(plane.port(1).Drain(), 1u);
  EXPECT_EQ(plane.filter().status.Load().state, RestoreState::kQueued)
      << "it asks all the same";
  // Not if the filter does not want it.
  plane.filter().bypass_hold = false;
  ASSERT_TRUE(plane.port(0).Arrive(plane.Make(packet)));
  plane.worker(0).Round();
  EXPECT_EQ(plane.port(1).Drain(), 0u);
  Advance(plane.filter(), {RestoreState::kFailed});
  plane.worker(0).Round();
  ExpectClosed(plane, 0);
}

TEST_P(WorkerHoldTest, WaitsForTheFilterOfTheOtherEndToo) {
  TestPlane plane({});
  plane.Load(kPassUdp);
  OtherFilter other(plane, 1, kPassUdp);
  plane.topology().ports[1].filter = 1;
  plane.filter().status.Enable(true);
  other->status.Enable(true);
  Arrive(plane, 20);
  Arrive(plane, 21);
  plane.worker(0).Round();
  EXPECT_EQ(plane.filter().status.Load().state, RestoreState::kQueued);
  EXPECT_EQ(other->status.Load().state, RestoreState::kExpect)
      << "nothing has got there yet";
  Restore(plane.filter());
  plane.worker(0).Round();
  EXPECT_EQ(Left(plane), std::vector<uint32_t>{});
  EXPECT_EQ(other->status.Load().state, RestoreState::kQueued);
  EXPECT_EQ(other->holds[0]->size(), 2u);
  EXPECT_EQ(plane.worker(0).states().size(), 0u) << "judged by half";
  Restore(*other);
  plane.worker(0).Round();
  EXPECT_EQ(Left(plane), (std::vector<uint32_t>{20, 21}));
  EXPECT_EQ(plane.worker(0).states().size(), 2u);
  ExpectClosed(plane, 0);
}

TEST_P(WorkerHoldTest, WhereNothingIsJudgedNothingWaits) {
  TestPlane plane({});
  plane.Load("block all\n");
  plane.topology().ports[0].excluded = true;
  plane.topology().ports[1].excluded = true;
  plane.filter().status.Enable(true);
  Arrive(plane, 20);
  plane.worker(0).Round();
  EXPECT_EQ(Left(plane), std::vector<uint32_t>{20});
  EXPECT_EQ(plane.filter().status.Load().state, RestoreState::kExpect);
}

TEST_P(WorkerHoldTest, AWorkerThatStopsDropsWhatItHolds) {
  TestPlane plane({.workers = 2});
  plane.Load("pass all\n");
  plane.filter().status.Enable(true);
  Arrive(plane, 20, 0);
  Arrive(plane, 21, 1);
  for (Worker* worker : plane.workers()) worker->Round();
  for (Worker* worker : plane.workers()) worker->Round();
  ExpectClosed(plane, 2);
  // What a fold order counts closes on the worker that holds, and on the
  // other.
  for (Worker* worker : plane.workers()) {
    WorkerSnapshot snapshot;
    worker->mailbox().Post(std::make_unique<FoldOrder>(
        0, [&](const WorkerSnapshot& taken) { snapshot = taken; }));
    while (worker->mailbox().pending() > 0) {
      worker->Round();
      worker->mailbox().Collect();
    }
    EXPECT_EQ(snapshot.unaccounted(), 0);
  }
  std::vector<std::thread> threads;
  for (Worker* worker : plane.workers()) {
    threads.emplace_back([worker] { worker->Run(); });
  }
  plane.plane().run.store(RunState::kDrain);
  for (Worker* worker : plane.workers()) {
    while (!worker->drained()) std::this_thread::yield();
  }
  EXPECT_EQ(plane.Drops(DropReason::kHeld), 2u);
  plane.plane().run.store(RunState::kStop);
  for (std::thread& thread : threads) thread.join();
  ExpectClosed(plane, 0);
  EXPECT_EQ(plane.pool().InUse(), 0u);
}

TEST_P(WorkerHoldTest, AStopWithoutDrainLeavesNothing) {
  TestPlane plane({});
  plane.Load("pass all\n");
  plane.filter().status.Enable(true);
  Arrive(plane, 20);
  plane.worker(0).Round();
  plane.plane().run.store(RunState::kStop);
  std::thread([&] { plane.worker(0).Run(); }).join();
  EXPECT_EQ(plane.Drops(DropReason::kHeld), 1u);
  EXPECT_EQ(plane.pool().InUse(), 0u);
}

// ---- A worker that does not run --------------------------------------------

// Of a flow that worker `owner` owns: the destination port, which the rules
// let through.
std::string FlowOf(TestPlane& plane, Family family, uint16_t owner) {
  for (int host = 2; host < 250; ++host) {
    const std::string text =
        (family == Family::kIpv4 ? "udp 10.0.0." : "udp 2001:db8::") +
        std::to_string(host) +
        (family == Family::kIpv4 ? ":1000 > 10.1.0.1:53 data 8"
                                 : ":1000 > 2001:db8:1::1:53 data 8");
    rte_mbuf* mbuf = plane.Make(text);
    PacketInfo info;
    ParsePacket(*mbuf, {}, &info);
    const uint16_t found = plane.plane().steering.Owner(*mbuf, info);
    rte_pktmbuf_free(mbuf);
    if (found == owner) return text;
  }
  ADD_FAILURE() << "no flow of worker " << owner;
  return "";
}

TEST_P(WorkerHoldTest, AnotherWorkerTakesTheQueuesAndTheFailPolicyHolds) {
  TestPlane plane({.workers = 3});
  plane.Load(kPassUdp);
  const std::string own = FlowOf(plane, GetParam(), 2);
  const std::string orphan = FlowOf(plane, GetParam(), 1);
  plane.plane().stalled.store(1u << 1);
  // Both arrive by the queue of worker 1; worker 2 stands in for it.
  ASSERT_TRUE(plane.port(0).Arrive(plane.Make(own), 1));
  ASSERT_TRUE(plane.port(0).Arrive(plane.Make(orphan), 1));
  EXPECT_EQ(plane.worker(0).Round(), 0u);
  EXPECT_EQ(plane.worker(2).Round(), 2u);
  EXPECT_EQ(plane.port(1).Drain(), 1u);
  EXPECT_EQ(plane.Drops(DropReason::kStalled), 1u);
  EXPECT_EQ(plane.worker(2).totals().orphans.value(), 1u);
  // By another queue it is handed to the one that stands in.
  ASSERT_TRUE(plane.port(0).Arrive(plane.Make(orphan), 0));
  EXPECT_EQ(plane.worker(0).Round(), 1u);
  EXPECT_EQ(plane.Drops(DropReason::kStalled), 1u);
  EXPECT_EQ(plane.worker(2).Round(), 1u);
  EXPECT_EQ(plane.Drops(DropReason::kStalled), 2u);
  ExpectClosed(plane, 0);
  // It is back.
  plane.plane().stalled.store(0);
  ASSERT_TRUE(plane.port(0).Arrive(plane.Make(orphan), 1));
  EXPECT_EQ(plane.worker(2).Round(), 0u);
  EXPECT_EQ(plane.worker(1).Round(), 1u);
  EXPECT_EQ(plane.port(1).Drain(), 1u);
}

TEST_P(WorkerHoldTest, OrphansOfFailOpenFiltersMeetTheEmergencyRuleset) {
  TestPlane plane({.workers = 2});
  plane.Load("block all\n");
  OtherFilter emergency(plane, 2, kPassUdp);
  plane.filter().fail_policy = FailPolicy::kOpen;
  plane.filter().emergency = &*emergency;
  plane.plane().stalled.store(1u << 1);
  ASSERT_TRUE(
      plane.port(0).Arrive(plane.Make(FlowOf(plane, GetParam(), 1)), 1));
  ASSERT_TRUE(
      plane.port(0).Arrive(plane.Make(FlowOf(plane, GetParam(), 0)), 1));
  plane.worker(0).Round();
  EXPECT_EQ(plane.port(1).Drain(), 1u);
  EXPECT_EQ(emergency->budget->used(), 2u);
  // The filter itself is in force for flows whose worker runs.
  EXPECT_EQ(plane.Drops(DropReason::kMatch), 1u);
  EXPECT_EQ(plane.Drops(DropReason::kStalled), 0u);

  // One closed end is enough to close the wire.
  OtherFilter closed(plane, 1, "pass all\n");
  plane.topology().ports[1].filter = 1;
  ASSERT_TRUE(
      plane.port(0).Arrive(plane.Make(FlowOf(plane, GetParam(), 1)), 0));
  plane.worker(0).Round();
  EXPECT_EQ(plane.Drops(DropReason::kStalled), 1u);
}

TEST_P(WorkerHoldTest, AQueueIsNobodysWhileItsWorkerSleepsInIt) {
  TestPlane plane({.workers = 2});
  plane.Load(kPassUdp);
  QueueToken* token = plane.plane().receive_tokens->at(0, 1);
  ASSERT_TRUE(token->TryTake(1));
  plane.plane().stalled.store(1u << 1);
  ASSERT_TRUE(
      plane.port(0).Arrive(plane.Make(FlowOf(plane, GetParam(), 0)), 1));
  EXPECT_EQ(plane.worker(0).Round(), 0u);
  // It wakes, leaves the queue, and sleeps again.
  token->Release();
  EXPECT_EQ(plane.worker(0).Round(), 1u);
  EXPECT_EQ(plane.port(1).Drain(), 1u);
}

TEST_P(WorkerHoldTest, AnotherWorkerTransmitsForOneThatDoesNotRun) {
  TestPlane plane({.workers = 3, .tx_queues = 1});
  plane.Load(kPassUdp);
  plane.plane().stalled.store(1u << 0);
  ASSERT_TRUE(
      plane.port(0).Arrive(plane.Make(FlowOf(plane, GetParam(), 2)), 2));
  EXPECT_EQ(plane.worker(2).Round(), 1u);
  EXPECT_EQ(plane.port(1).Drain(), 0u);
  EXPECT_EQ(plane.worker(1).Round(), 1u);
  EXPECT_EQ(plane.port(1).Drain(), 1u);
  // Unless it sleeps in the driver.
  QueueToken* token = plane.plane().transmit_tokens->at(1, 0);
  ASSERT_TRUE(token->TryTake(0));
  ASSERT_TRUE(
      plane.port(0).Arrive(plane.Make(FlowOf(plane, GetParam(), 1)), 1));
  EXPECT_EQ(plane.worker(1).Round(), 1u);
  EXPECT_EQ(plane.Drops(DropReason::kTransmitFull), 1u);
  token->Release();
  ExpectClosed(plane, 0);
}

TEST(SubstituteTest, IsTheNextThatRuns) {
  EXPECT_EQ(SubstituteOf(0, 4, 0b0001), 1);
  EXPECT_EQ(SubstituteOf(3, 4, 0b1001), 1);
  EXPECT_EQ(SubstituteOf(1, 4, 0b1110), 0);
  EXPECT_EQ(SubstituteOf(0, 1, 0b1), 0) << "nobody is left";
}

}  // namespace
}  // namespace sluice
