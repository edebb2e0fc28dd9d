// VLANs of a port and segments, as workers carry them out: with restores that
// are awaited, several workers, and a pool that runs dry.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rte_mbuf.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "dataplane/filters/filter_registry.h"
#include "dataplane/workers/worker.h"
#include "tests/support/test_plane.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

std::string MacText(int host) { return absl::StrCat("00:53:00:00:00:0", host); }

// VLANs v5, v6, ... of the port "in", on the segment "lan".
class SegmentTest : public ::testing::Test {
 protected:
  void Start(uint16_t workers, int ports) {
    TestPlaneOptions options;
    options.workers = workers;
    plane_ = std::make_unique<TestPlane>(options);
    plane_->engine().LaunchByHand();
    plane_->Load("pass all no state\n");
    ASSERT_TRUE(registry().AddSegment({.name = "lan"}).ok());
    for (int i = 0; i < ports; ++i) {
      ASSERT_TRUE(AddPort({.name = absl::StrCat("v", 5 + i),
                           .parent = "in",
                           .vlan = static_cast<uint16_t>(5 + i),
                           .segment = "lan"})
                      .ok());
    }
    Settle();
  }
  FilterRegistry& registry() { return plane_->engine().filters(); }
  absl::Status AddPort(PortSpec spec) {
    auto job = registry().BeginAddPort(std::move(spec));
    job->Build();
    return job->Publish().status();
  }
  void Settle() {
    for (int i = 0; i < 64; ++i) {
      plane_->engine().Round();
      plane_->engine().Poll(0);
    }
  }
  static std::string Text(int from, int to, const std::string& what) {
    return absl::StrCat(what, " ethsrc ", MacText(from), " ethdst ",
                        to == 0 ? "ff:ff:ff:ff:ff:ff" : MacText(to));
  }
  // From the host in VLAN `vlan` to another one, 0: to all.
  void Send(int from, int to, const std::string& what, int vlan,
            uint16_t queue = 0) {
    ASSERT_TRUE(plane_->port(0).Arrive(
        plane_->Make(absl::StrCat(Text(from, to, what), " vlan ", vlan)),
        queue));
  }
  // What has left by the device: the VLANs, and the frames without their tags
  // have to be `expected`.
  std::vector<int> Left(const std::vector<uint8_t>& expected) {
    std::vector<int> vlans;
    const auto workers = static_cast<uint16_t>(plane_->workers().size());
    for (uint16_t queue = 0; queue < workers; ++queue) {
      while (rte_mbuf* mbuf = plane_->port(0).Leave(queue)) {
        const FrameTags tags = ReadTags(*mbuf);
        vlans.push_back(tags.numbers.outer);
        if (tags.numbers.any()) {
          EXPECT_TRUE(PopTags(*mbuf, 1));
        }
        EXPECT_EQ(BytesOf(mbuf), expected);
        rte_pktmbuf_free(mbuf);
      }
    }
    std::sort(vlans.begin(), vlans.end());
    return vlans;
  }
  void Round() { plane_->engine().Round(); }
  // Sends, and says where it has left.
  std::vector<int> Crosses(int from, int to, const std::string& what,
                           int vlan) {
    Send(from, to, what, vlan);
    for (size_t i = 0; i < 2 * plane_->workers().size(); ++i) Round();
    return Left(FrameFromText(Text(from, to, what)));
  }
  // A filter of its own for a port, whose restore is awaited.
  FilterPlane& AddFilter(const std::string& name, const std::string& port,
                         const std::string& rules,
                         bool expect_restore = true) {
    FilterSpec spec = {
        .name = name, .ports = {port}, .expect_restore = expect_restore};
    spec.ruleset = LoadRequest{};
    spec.ruleset->name = "rules";
    spec.ruleset->text = rules;
    FilterTable& filters = plane_->plane().filters;
    std::set<FilterPlane*> before;
    for (uint16_t i = 0; i < filters.end(); ++i) before.insert(filters.at(i));
    auto job = registry().BeginCreateFilter(std::move(spec));
    job->Build();
    const auto created = job->Publish();
    EXPECT_TRUE(created.ok()) << created.status();
    for (uint16_t i = 0; i < filters.end(); ++i) {
      if (!before.contains(filters.at(i))) return *filters.at(i);
    }
    ADD_FAILURE() << "there is no filter " << name;
    std::abort();
  }
  static void Advance(FilterPlane& filter,
                      std::initializer_list<RestoreState> states) {
    FilterStatus status = filter.status.Load();
    for (const RestoreState next : states) {
      ASSERT_TRUE(filter.status.Advance(&status, next)) << Name(next);
    }
  }
  static void Restore(FilterPlane& filter) {
    Advance(filter, {RestoreState::kValidating, RestoreState::kCommitting,
                     RestoreState::kRestored});
  }
  // The VLANs of whatever has left.
  std::vector<int> LeftBy() {
    std::vector<int> vlans;
    while (rte_mbuf* mbuf = plane_->port(0).Leave()) {
      vlans.push_back(ReadTags(*mbuf).numbers.outer);
      rte_pktmbuf_free(mbuf);
    }
    std::sort(vlans.begin(), vlans.end());
    return vlans;
  }
  // Rules of FreeBSD's dialect for the filter of `port`, which is new.
  void AddFreeBsdFilter(const std::string& port, const std::string& rules) {
    FilterSpec spec = {.name = "ether", .ports = {port}};
    spec.ruleset = LoadRequest{
        .name = "rules", .text = rules, .dialect = Dialect::kFreeBsd};
    auto job = registry().BeginCreateFilter(std::move(spec));
    job->Build();
    const auto created = job->Publish();
    ASSERT_TRUE(created.ok()) << created.status();
  }
  // All buffers that there are.
  std::vector<rte_mbuf*> TakeBuffers() {
    std::vector<rte_mbuf*> taken;
    while (rte_mbuf* mbuf = rte_pktmbuf_alloc(plane_->pool().get())) {
      taken.push_back(mbuf);
    }
    return taken;
  }
  void ExpectNothingLeft() {
    EXPECT_EQ(plane_->engine().InFlight(), 0u);
    EXPECT_EQ(plane_->pool().InUse(), 0u);
  }
  uint64_t Received(const std::string& port) {
    for (const PortListing& listing : registry().Ports("", 100)) {
      if (listing.name == port) return listing.received_packets;
    }
    return 0;
  }
  SegmentListing Lan() { return registry().Segments("", 10).at(0); }

  std::unique_ptr<TestPlane> plane_;
};

const std::vector<std::string>& Queries() {
  static const std::vector<std::string> queries = {
      "udp 10.0.0.2:1 > 10.0.0.1:53 data 9",
      "udp [2001:db8::2]:1 > [2001:db8::1]:53 data 9"};
  return queries;
}

// A rule for layer 2 names a port that is no other end of anything, and that
// another worker may have to send by.
TEST_F(SegmentTest, FramesThatAreBridgedLeaveByTheirPort) {
  for (const uint16_t workers : {1, 2}) {
    Start(workers, 2);
    ASSERT_TRUE(
        AddPort({.name = "far", .parent = "in", .vlan = uint16_t{99}}).ok());
    AddFreeBsdFilter("v5", "ether pass in on v5 bridge-to far\nblock\n");
    Settle();
    uint64_t sent = 0;
    for (const std::string& query : Queries()) {
      EXPECT_THAT(Crosses(1, 0, query, 5), ElementsAre(99));
      EXPECT_THAT(Crosses(1, 2, query, 5), ElementsAre(99));
      EXPECT_THAT(Crosses(2, 0, query, 6), IsEmpty());
      sent += 2;
    }
    EXPECT_EQ(Received("v5"), sent);
    EXPECT_EQ(plane_->Drops(DropReason::kPortDown), 0u);
    // Nobody has learnt where they went.
    absl::Status removed = absl::UnknownError("not yet");
    registry().RemovePort("far", [&](absl::Status s) { removed = s; });
    // What a thread beside has to do takes its time.
    for (int i = 0; i < 10'000 && absl::IsUnknown(removed); ++i) {
      Settle();
      usleep(1000);
    }
    ASSERT_TRUE(removed.ok()) << removed;
    EXPECT_THAT(Crosses(1, 0, Queries()[0], 5), IsEmpty());
    EXPECT_EQ(plane_->Drops(DropReason::kPortDown), 1u);
    ExpectNothingLeft();
    plane_.reset();
  }
}

TEST_F(SegmentTest, JoinsVlansOfOneDevice) {
  Start(1, 3);
  for (const std::string& query : Queries()) {
    EXPECT_THAT(Crosses(1, 0, query, 5), ElementsAre(6, 7));
    EXPECT_THAT(Crosses(2, 1, query, 6), ElementsAre(5));
    EXPECT_THAT(Crosses(1, 2, query, 5), ElementsAre(6));
  }
  EXPECT_EQ(Received("v5"), 4u);
  EXPECT_EQ(Received("v6"), 2u);
  EXPECT_EQ(Received("in"), 0u);
  EXPECT_EQ(plane_->Sum(&PortCounters::copies), 2u);
  EXPECT_EQ(plane_->AllDrops(), 0u);
  EXPECT_EQ(plane_->engine().InFlight(), 0u);
  EXPECT_EQ(plane_->pool().InUse(), 0u);
  const auto macs = registry().SegmentMacs("lan", "", 10);
  ASSERT_TRUE(macs.ok());
  ASSERT_EQ(macs->size(), 2u);
  EXPECT_EQ((*macs)[0].mac, MacText(1));
  EXPECT_EQ((*macs)[0].port, "v5");
  EXPECT_EQ((*macs)[1].port, "v6");
  const auto behind = registry().SegmentMacs("lan", MacText(1), 10);
  ASSERT_TRUE(behind.ok());
  ASSERT_EQ(behind->size(), 1u);
  EXPECT_EQ((*behind)[0].mac, MacText(2));
  EXPECT_FALSE(registry().SegmentMacs("lan", "none", 10).ok());
}

// One whose wire leads to a port that is to come gets that port.
TEST_F(SegmentTest, TakesNoPortThatAWireWaitsFor) {
  Start(1, 1);
  ASSERT_TRUE(AddPort({.name = "v8",
                       .parent = "in",
                       .vlan = 8,
                       .wire = "late",
                       .kept = true})
                  .ok());
  const absl::Status refused = AddPort(
      {.name = "late", .parent = "in", .vlan = 9, .segment = "lan"});
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("v8"));
  EXPECT_EQ(plane_->engine().ports().Find("late"), nullptr);
  EXPECT_TRUE(AddPort({.name = "late", .parent = "in", .vlan = 9}).ok());
  EXPECT_EQ(plane_->engine().ports().Find("late")->wire, "v8");
}

// Whoever owns the flow: frames are handed over without their tags, and learnt
// by whoever judges them.
TEST_F(SegmentTest, ManyWorkersShareWhatIsKnown) {
  Start(3, 3);
  EXPECT_THAT(Crosses(2, 0, Queries()[0], 6), ElementsAre(5, 7));
  for (int i = 0; i < 40; ++i) {
    const std::string query = absl::StrCat("udp 10.0.0.2:", 1000 + i,
                                           " > 10.0.0.1:53 data 9");
    EXPECT_THAT(Crosses(1, 2, query, 5), ElementsAre(6)) << i;
  }
  EXPECT_EQ(plane_->AllDrops(), 0u);
  EXPECT_EQ(plane_->engine().InFlight(), 0u);
  EXPECT_EQ(plane_->pool().InUse(), 0u);
}

// Who says that he is another does not get what is for that one.
TEST_F(SegmentTest, WhatIsSpoofedIsNotLearnt) {
  Start(1, 2);
  ASSERT_TRUE(AddPort({.name = "v9",
                       .parent = "in",
                       .vlan = 9,
                       .segment = "lan",
                       .bindings = {MacText(3)}})
                  .ok());
  Settle();
  for (const std::string& query : Queries()) {
    EXPECT_THAT(Crosses(1, 0, query, 5), ElementsAre(6, 9));
    EXPECT_THAT(Crosses(1, 0, query, 9), IsEmpty());
    EXPECT_THAT(Crosses(4, 0, query, 9), IsEmpty());
    EXPECT_THAT(Crosses(2, 1, query, 6), ElementsAre(5));
  }
  EXPECT_EQ(plane_->Drops(DropReason::kSpoofed), 4u);
  EXPECT_EQ(Lan().known, 2u);
  EXPECT_THAT(Crosses(3, 1, Queries()[0], 9), ElementsAre(5));
  EXPECT_EQ(Lan().known, 3u);
  EXPECT_EQ(plane_->engine().InFlight(), 0u);
  EXPECT_EQ(plane_->pool().InUse(), 0u);
}

TEST_F(SegmentTest, PortsComeAndGo) {
  Start(1, 3);
  const std::string query = Queries()[0];
  EXPECT_THAT(Crosses(2, 0, query, 6), ElementsAre(5, 7));
  bool done = false;
  registry().RemovePort("v6", [&](absl::Status s) { done = s.ok(); });
  Settle();
  for (int i = 0; i < 100 && !done; ++i) {
    usleep(1000);
    Settle();
  }
  EXPECT_TRUE(done);
  // Its host is nowhere, and its tag nobody's.
  EXPECT_THAT(Crosses(1, 2, query, 5), ElementsAre(7));
  EXPECT_THAT(Lan().spec.ports, ElementsAre("v5", "v7"));
  EXPECT_EQ(Lan().known, 1u);
  // It may come back, with the number that another had.
  ASSERT_TRUE(AddPort({.name = "v6", .parent = "in", .vlan = 6}).ok());
  Settle();
  EXPECT_THAT(Crosses(2, 1, query, 6), IsEmpty());
  EXPECT_EQ(plane_->Drops(DropReason::kNoWire), 1u);
  ASSERT_TRUE(registry().AttachPort("lan", "v6").ok());
  EXPECT_THAT(Crosses(2, 1, query, 6), ElementsAre(5));
  ASSERT_TRUE(registry().DetachPort("lan", "v5").ok());
  Settle();
  EXPECT_THAT(Crosses(2, 1, query, 6), ElementsAre(7));
  ASSERT_TRUE(registry().RemoveSegment("lan").ok());
  Settle();
  EXPECT_THAT(Crosses(2, 1, query, 6), IsEmpty());
  EXPECT_EQ(plane_->engine().InFlight(), 0u);
}

TEST_F(SegmentTest, EachPortHasItsFilter) {
  Start(1, 3);
  FilterSpec spec = {.name = "six", .ports = {"v6"}};
  spec.ruleset = LoadRequest{};
  spec.ruleset->name = "rules";
  spec.ruleset->text =
      "block all\n"
      "pass out proto udp to port 53\n"
      "pass in proto udp from port 53 no state\n";
  auto job = registry().BeginCreateFilter(std::move(spec));
  job->Build();
  ASSERT_TRUE(job->Publish().ok());
  for (const std::string& query : Queries()) {
    EXPECT_THAT(Crosses(1, 0, query, 5), ElementsAre(6, 7));
  }
  EXPECT_THAT(Crosses(1, 0, "udp 10.0.0.2:1 > 10.0.0.1:54 data 9", 5),
              ElementsAre(7));
  EXPECT_EQ(plane_->Drops(DropReason::kMatch), 1u);
  EXPECT_THAT(Crosses(2, 1, "udp 10.0.0.1:54 > 10.0.0.2:1 data 9", 6),
              IsEmpty());
  EXPECT_EQ(plane_->engine().InFlight(), 0u);
  EXPECT_EQ(plane_->pool().InUse(), 0u);
}

// A flooded frame goes on at once to who is ready, and waits for who is not,
// once: what is released goes to nobody else.
TEST_F(SegmentTest, ACopyWaitsForARestore) {
  Start(1, 3);
  FilterSpec spec = {.name = "six", .ports = {"v6"}, .expect_restore = true};
  spec.ruleset = LoadRequest{};
  spec.ruleset->name = "rules";
  spec.ruleset->text = "pass all no state\n";
  auto job = registry().BeginCreateFilter(std::move(spec));
  job->Build();
  ASSERT_TRUE(job->Publish().ok());
  FilterPlane* six = nullptr;
  for (uint16_t i = 1; i < plane_->plane().filters.end(); ++i) {
    if (plane_->plane().filters.at(i) != nullptr) {
      six = plane_->plane().filters.at(i);
    }
  }
  ASSERT_NE(six, nullptr);
  for (const std::string& query : Queries()) {
    EXPECT_THAT(Crosses(1, 0, query, 5), ElementsAre(7));
  }
  // And ARP passes meanwhile.
  EXPECT_THAT(Crosses(1, 0, "arp request 10.0.0.2 > 10.0.0.1", 5),
              ElementsAre(6, 7));
  EXPECT_EQ(six->holds[0]->size(), 2u);
  // What is sent by it waits whole.
  EXPECT_THAT(Crosses(2, 0, Queries()[0], 6), IsEmpty());
  EXPECT_EQ(six->holds[0]->size(), 3u);
  // Hosts learnt meanwhile change nothing about copies.
  EXPECT_EQ(plane_->engine().InFlight(), 3u);
  FilterStatus status = six->status.Load();
  for (const RestoreState next :
       {RestoreState::kValidating, RestoreState::kCommitting,
        RestoreState::kRestored}) {
    ASSERT_TRUE(six->status.Advance(&status, next)) << Name(next);
  }
  std::multiset<int> released;
  for (int i = 0; i < 4; ++i) Round();
  while (rte_mbuf* mbuf = plane_->port(0).Leave()) {
    released.insert(ReadTags(*mbuf).numbers.outer);
    rte_pktmbuf_free(mbuf);
  }
  // Two copies to v6, and the one from there to both others.
  EXPECT_THAT(released, UnorderedElementsAre(6, 6, 5, 7));
  EXPECT_EQ(plane_->AllDrops(), 0u);
  EXPECT_EQ(plane_->engine().InFlight(), 0u);
  EXPECT_EQ(plane_->pool().InUse(), 0u);
}

// What may pass while all ports wait is flooded past each of their gates.
TEST_F(SegmentTest, WhatPassesAGateIsFloodedPastTheOthers) {
  Start(1, 3);
  std::vector<FilterPlane*> filters;
  for (int vlan : {5, 6, 7}) {
    filters.push_back(&AddFilter(absl::StrCat("f", vlan),
                                 absl::StrCat("v", vlan),
                                 "pass all no state\n"));
  }
  for (const std::string& passes :
       {std::string("arp request 10.0.0.2 > 10.0.0.1"),
        std::string("udp [2001:db8::2]:546 > [ff02::1:2]:547 data 9")}) {
    EXPECT_THAT(Crosses(1, 0, passes, 5), ElementsAre(6, 7)) << passes;
    // Several in a burst, and one that waits where it came.
    Send(1, 0, passes, 5);
    Send(1, 0, Queries()[0], 5);
    Send(1, 0, passes, 5);
    Round();
    EXPECT_THAT(Left(FrameFromText(Text(1, 0, passes))),
                ElementsAre(6, 6, 7, 7));
  }
  EXPECT_EQ(plane_->AllDrops(), 0u);
  EXPECT_EQ(filters[0]->holds[0]->size(), 2u);
  EXPECT_EQ(filters[1]->holds[0]->size(), 0u);
  EXPECT_EQ(plane_->pool().InUse(), 2u);
  for (FilterPlane* filter : filters) Restore(*filter);
  for (int i = 0; i < 4; ++i) Round();
  EXPECT_THAT(LeftBy(), ElementsAre(6, 6, 7, 7));
  ExpectNothingLeft();
}

// A fragment that waits for others is nobody's at the gates of the ports that
// get the whole, whether those wait or have failed.
TEST_F(SegmentTest, FragmentsThatWaitPassNoGate) {
  for (const int ports : {2, 3}) {
    SCOPED_TRACE(ports);
    Start(1, ports);
    plane_->Load("set reassemble yes\nblock all\npass proto udp to port 53\n");
    FilterPlane& six = AddFilter("six", "v6", "pass all no state\n");
    uint32_t wholes = 0;
    for (const bool failed : {false, true}) {
      SCOPED_TRACE(failed);
      if (failed) {
        Advance(six, {RestoreState::kValidating, RestoreState::kFailed});
        for (int i = 0; i < 4; ++i) Round();
        EXPECT_EQ(six.holds[0]->size(), 0u);
      }
      for (const std::string& whole :
           {std::string("udp 10.0.0.2:1 > 10.0.0.1:53 ipid 7 data 2000"),
            std::string(
                "udp [2001:db8::2]:1 > [2001:db8::1]:53 ipid 7 data 2000")}) {
        Send(1, 0, whole + " part 0 1000", 5);
        Round();
        EXPECT_THAT(LeftBy(), IsEmpty());
        Send(1, 0, whole + " part 1000 1008", 5);
        Round();
        if (ports == 3) {
          EXPECT_THAT(LeftBy(), ElementsAre(7, 7));
        } else {
          EXPECT_THAT(LeftBy(), IsEmpty());
        }
        if (!failed) ++wholes;
        EXPECT_EQ(six.holds[0]->size(), failed ? 0u : wholes);
      }
    }
    EXPECT_GT(plane_->Drops(DropReason::kHeld), 0u);
    EXPECT_EQ(plane_->AllDrops(), plane_->Drops(DropReason::kHeld));
    ExpectNothingLeft();
  }
}

// The whole is the worker's that owns its flow: whoever has put it together has
// nothing of it any more when it comes to a gate.
TEST_F(SegmentTest, DatagramsOfOtherWorkersPassNoGateHere) {
  constexpr int kDatagrams = 12;
  for (const int ports : {2, 3}) {
    SCOPED_TRACE(ports);
    Start(3, ports);
    plane_->Load("set reassemble yes\nblock all\npass proto udp to port 53\n");
    FilterPlane& six = AddFilter("six", "v6", "pass all no state\n");
    Settle();
    for (int i = 0; i < kDatagrams; ++i) {
      const std::string whole =
          i % 2 == 0
              ? absl::StrCat("udp 10.0.0.2:", 1000 + i,
                             " > 10.0.0.1:53 ipid 7 data 2000")
              : absl::StrCat("udp [2001:db8::2]:", 1000 + i,
                             " > [2001:db8::1]:53 ipid 7 data 2000");
      Send(1, 0, whole + " part 0 1000", 5);
      Send(1, 0, whole + " part 1000 1008", 5);
      for (int round = 0; round < 6; ++round) Round();
    }
    uint64_t held = 0;
    uint64_t holders = 0;
    for (const auto& queue : six.holds) {
      held += queue->size();
      holders += queue->size() > 0 ? 1 : 0;
    }
    EXPECT_EQ(held, static_cast<uint64_t>(kDatagrams));
    EXPECT_GT(holders, 1u) << "flows of one worker only";
    EXPECT_EQ(plane_->port(0).Drain(), ports == 3 ? 2u * kDatagrams : 0u);
    Restore(six);
    for (int round = 0; round < 8; ++round) Round();
    EXPECT_EQ(plane_->port(0).Drain(), 2u * kDatagrams);
    EXPECT_EQ(plane_->AllDrops(), 0u);
    ExpectNothingLeft();
  }
}

TEST_F(SegmentTest, ACopyThatCannotBeMadeDoesNotWait) {
  Start(1, 3);
  FilterPlane& six = AddFilter("six", "v6", "pass all no state\n");
  std::vector<rte_mbuf*> frames;
  for (const std::string& query : Queries()) {
    frames.push_back(
        plane_->Make(absl::StrCat(Text(1, 0, query), " vlan 5")));
  }
  const std::vector<rte_mbuf*> taken = TakeBuffers();
  for (rte_mbuf* frame : frames) ASSERT_TRUE(plane_->port(0).Arrive(frame));
  Round();
  EXPECT_THAT(LeftBy(), ElementsAre(7, 7));
  EXPECT_EQ(plane_->Sum(&PortCounters::copies_lost), 2u);
  EXPECT_EQ(six.holds[0]->size(), 0u);
  for (rte_mbuf* mbuf : taken) rte_pktmbuf_free(mbuf);
  ExpectNothingLeft();
}

// The same of what another worker, that does not run, would have judged.
TEST_F(SegmentTest, ACopyOfAnOrphanThatCannotBeMadeIsNotDropped) {
  Start(2, 3);
  plane_->plane().stalled.store(1u << 1);
  std::vector<rte_mbuf*> frames;
  for (int i = 0; i < 16; ++i) {
    frames.push_back(plane_->Make(absl::StrCat(
        Text(1, 0,
             absl::StrCat(i % 2 == 0 ? "udp 10.0.0.2:" : "udp 2001:db8::2:",
                          1000 + i,
                          i % 2 == 0 ? " > 10.0.0.1:53 data 9"
                                     : " > 2001:db8::1:53 data 9")),
        " vlan 5")));
  }
  const std::vector<rte_mbuf*> taken = TakeBuffers();
  for (rte_mbuf* frame : frames) {
    ASSERT_TRUE(plane_->port(0).Arrive(frame, 1));
  }
  for (int i = 0; i < 4; ++i) plane_->worker(0).Round();
  plane_->port(0).Drain();
  const uint64_t orphans = plane_->worker(0).totals().orphans.value();
  EXPECT_GT(orphans, 0u);
  EXPECT_EQ(plane_->Drops(DropReason::kStalled), orphans);
  EXPECT_EQ(plane_->AllDrops(), orphans);
  // What is dropped gives others its buffers.
  EXPECT_GE(plane_->Sum(&PortCounters::copies_lost), orphans);
  plane_->plane().stalled.store(0);
  for (rte_mbuf* mbuf : taken) rte_pktmbuf_free(mbuf);
  ExpectNothingLeft();
}

// Whoever a copy is for, as is known since: he had one of his own.
TEST_F(SegmentTest, ACopyThatHasWaitedGoesToNobodyElse) {
  Start(1, 3);
  FilterPlane& six = AddFilter("six", "v6", "pass all no state\n");
  for (const std::string& query : Queries()) {
    EXPECT_THAT(Crosses(1, 2, query, 5), ElementsAre(7));
    EXPECT_THAT(Crosses(1, 3, query, 5), ElementsAre(7));
  }
  EXPECT_EQ(six.holds[0]->size(), 4u);
  // One host turns out to be at v7, the other where copies wait.
  EXPECT_THAT(Crosses(2, 1, Queries()[0], 7), ElementsAre(5));
  EXPECT_THAT(Crosses(3, 1, Queries()[0], 6), IsEmpty());
  Restore(six);
  for (int i = 0; i < 4; ++i) Round();
  EXPECT_THAT(LeftBy(), ElementsAre(5, 6, 6));
  EXPECT_EQ(plane_->Drops(DropReason::kSegmentLocal), 2u);
  EXPECT_EQ(plane_->AllDrops(), 2u);
  ExpectNothingLeft();
}

TEST_F(SegmentTest, NobodyIsLearntAtAPortThatIsDisabled) {
  Start(1, 3);
  EXPECT_THAT(Crosses(2, 0, Queries()[0], 6), ElementsAre(5, 7));
  const Topology* const enabled = plane_->plane().topology.load();
  Topology disabled = *enabled;
  for (PortContext& port : disabled.ports) {
    if (port.segment != kNoSegment && port.tags.outer == 7) {
      port.enabled = false;
    }
  }
  plane_->plane().topology.store(&disabled);
  for (const std::string& query : Queries()) {
    // Not even that the host of v6 is there now.
    EXPECT_THAT(Crosses(2, 1, query, 7), IsEmpty());
    EXPECT_THAT(Crosses(4, 0, query, 7), IsEmpty());
    EXPECT_THAT(Crosses(1, 2, query, 5), ElementsAre(6));
  }
  EXPECT_EQ(plane_->Drops(DropReason::kPortDown), 4u);
  EXPECT_EQ(plane_->AllDrops(), 4u);
  EXPECT_EQ(Lan().known, 2u);
  plane_->plane().topology.store(enabled);
  Settle();
  ExpectNothingLeft();
}

// Each copy is told of with the rule of the port where it was judged last, and
// a capture has the frame once, with the first reason for which it is wanted.
TEST_F(SegmentTest, TracesNameTheRuleOfThePortOfDeparture) {
  Start(1, 3);
  plane_->Load("pass out all no state\npass in all no state\n");
  AddFilter("six", "v6",
            "pass all no state\n"
            "anchor \"deep\" {\n"
            "  pass out proto tcp\n"
            "  pass out proto icmp\n"
            "  block drop out proto udp\n"
            "}\n",
            /*expect_restore=*/false);
  Settle();
  TraceControl& traces = registry().Traces();
  const auto open = [&](std::optional<bool> passed, bool frames) {
    TraceQuery query;
    query.passed = passed;
    if (frames) query.frames.emplace().leaving = false;
    const absl::StatusOr<uint64_t> trace = traces.OpenTrace(query);
    EXPECT_TRUE(trace.ok()) << trace.status();
    return *trace;
  };
  const uint64_t all = open(std::nullopt, false);
  const uint64_t captured = open(std::nullopt, true);
  const uint64_t dropped = open(false, true);
  Settle();
  for (const std::string& query : Queries()) {
    EXPECT_THAT(Crosses(1, 0, query, 5), ElementsAre(7));
    const auto told = traces.ReadTrace(all, 10);
    ASSERT_TRUE(told.ok());
    ASSERT_EQ(told->packets.size(), 2u);
    const bool first = !told->packets[0].passed;
    const TracedPacket& lost = told->packets[first ? 0 : 1];
    const TracedPacket& went = told->packets[first ? 1 : 0];
    EXPECT_EQ(lost.reason, "match");
    EXPECT_EQ(lost.judged, Direction::kOut);
    EXPECT_EQ(lost.anchor, "deep");
    EXPECT_NE(lost.rule, went.rule);
    EXPECT_TRUE(went.passed);
    EXPECT_EQ(went.judged, Direction::kOut);
    EXPECT_EQ(went.rule, 0u);
    EXPECT_EQ(went.anchor, "");

    const std::vector<uint8_t> frame = FrameFromText(Text(1, 0, query));
    const std::string bytes(frame.begin(), frame.end());
    for (const uint64_t trace : {captured, dropped}) {
      const auto shown = traces.ReadTrace(trace, 10);
      ASSERT_TRUE(shown.ok());
      ASSERT_EQ(shown->packets.size(), 1u);
      const TracedPacket& one = shown->packets[0];
      EXPECT_EQ(one.port, "v5");
      EXPECT_EQ(one.passed, trace == captured);
      EXPECT_EQ(one.reason, trace == captured ? "" : "match");
      EXPECT_EQ(one.anchor, trace == captured ? "" : "deep");
      ASSERT_TRUE(one.frame.has_value());
      EXPECT_FALSE(one.frame->leaving);
      EXPECT_EQ(one.frame->bytes, bytes);
    }
  }
  for (const uint64_t trace : {all, captured, dropped}) {
    EXPECT_TRUE(traces.CloseTrace(trace).ok());
  }
  Settle();
  ExpectNothingLeft();
}

// Who finds no buffer for a copy counts it; the frame itself has its way.
TEST_F(SegmentTest, WithoutBuffersThereAreNoCopies) {
  Start(1, 4);
  std::vector<rte_mbuf*> taken;
  rte_mbuf* const frame = plane_->Make(
      absl::StrCat(Text(1, 0, Queries()[0]), " vlan 5"));
  while (rte_mbuf* mbuf = rte_pktmbuf_alloc(plane_->pool().get())) {
    taken.push_back(mbuf);
  }
  ASSERT_TRUE(plane_->port(0).Arrive(frame));
  Round();
  EXPECT_THAT(Left(FrameFromText(Text(1, 0, Queries()[0]))), ElementsAre(8));
  EXPECT_EQ(plane_->Sum(&PortCounters::copies), 0u);
  EXPECT_EQ(plane_->Sum(&PortCounters::copies_lost), 2u);
  for (rte_mbuf* mbuf : taken) rte_pktmbuf_free(mbuf);
  EXPECT_EQ(plane_->engine().InFlight(), 0u);
}

// Fragments of a datagram that is flooded are put together once and leave by
// each port as they came.
TEST_F(SegmentTest, FloodsDatagramsThatCameInFragments) {
  Start(1, 3);
  plane_->Load("block all\npass proto udp to port 53\n");
  for (const std::string& whole :
       {std::string("udp 10.0.0.2:1 > 10.0.0.1:53 ipid 7 data 2000"),
        std::string("udp [2001:db8::2]:1 > [2001:db8::1]:53 ipid 7 data "
                    "2000")}) {
    const std::vector<std::string> parts = {whole + " part 0 1000",
                                            whole + " part 1000 1008"};
    Send(1, 0, parts[0], 5);
    Round();
    EXPECT_EQ(plane_->port(0).Drain(), 0u);
    Send(1, 0, parts[1], 5);
    Round();
    std::map<int, std::vector<std::vector<uint8_t>>> left;
    while (rte_mbuf* mbuf = plane_->port(0).Leave()) {
      const int vlan = ReadTags(*mbuf).numbers.outer;
      ASSERT_TRUE(PopTags(*mbuf, 1));
      left[vlan].push_back(BytesOf(mbuf));
      rte_pktmbuf_free(mbuf);
    }
    const std::vector<std::vector<uint8_t>> sent = {
        FrameFromText(Text(1, 0, parts[0])),
        FrameFromText(Text(1, 0, parts[1]))};
    EXPECT_EQ(left.size(), 2u);
    EXPECT_EQ(left[6], sent);
    EXPECT_EQ(left[7], sent);
  }
  EXPECT_EQ(plane_->engine().InFlight(), 0u);
  EXPECT_EQ(plane_->pool().InUse(), 0u);
}

TEST_F(SegmentTest, RefusesWhatCannotBe) {
  Start(1, 2);
  const auto message = [&](PortSpec spec) {
    return std::string(AddPort(std::move(spec)).message());
  };
  EXPECT_THAT(message({.name = "x", .parent = "in", .vlan = 5}),
              HasSubstr("port v5 already has VLAN 5 of in"));
  EXPECT_THAT(message({.name = "x", .parent = "nowhere", .vlan = 9}),
              HasSubstr("there is no port 'nowhere'"));
  EXPECT_THAT(message({.name = "x", .parent = "v5", .vlan = 9}),
              HasSubstr("its parent v5 is a VLAN itself"));
  EXPECT_THAT(message({.name = "x", .parent = "in", .vlan = 4095}),
              HasSubstr("from 1 to 4094"));
  EXPECT_THAT(message({.name = "x", .parent = "in", .vlan = 9, .mtu = 9000}),
              HasSubstr("above its parent's"));
  EXPECT_THAT(
      message({.name = "x", .parent = "in", .vlan = 9, .segment = "wan"}),
      HasSubstr("there is no segment 'wan'"));
  EXPECT_THAT(message({.name = "x", .parent = "in", .vlan = 9, .wire = "v5"}),
              HasSubstr("port v5 is on segment lan"));
  const auto text = [](const absl::Status& status) {
    return std::string(status.message());
  };
  EXPECT_THAT(text(registry().AddSegment({.name = "lan"})),
              HasSubstr("there is a segment lan already"));
  EXPECT_THAT(text(registry().AddSegment({.name = "b", .ports = {"v5"}})),
              HasSubstr("port v5 is on segment lan already"));
  EXPECT_THAT(text(registry().AddSegment({.name = "b", .ports = {"in"}})),
              HasSubstr("on a wire to out"));
  EXPECT_THAT(text(registry().AddSegment({.name = "b", .ports = {"zz"}})),
              HasSubstr("there is no port zz"));
  EXPECT_THAT(text(registry().AddSegment({.name = "5b"})),
              HasSubstr("cannot be named"));
  ASSERT_TRUE(AddPort({.name = "y", .parent = "in", .vlan = 10}).ok());
  EXPECT_THAT(text(registry().AddSegment({.name = "b", .ports = {"y", "y"}})),
              HasSubstr("port y is named twice"));
  EXPECT_EQ(registry().Segments("", 10).size(), 1u);
  EXPECT_THAT(text(registry().AttachPort("lan", "v5")),
              HasSubstr("is on segment lan already"));
  EXPECT_THAT(text(registry().DetachPort("lan", "out")),
              HasSubstr("is not on it"));
  EXPECT_THAT(text(registry().FixMac("lan", "01:00:00:00:00:00", "v5")),
              HasSubstr("no address of a host"));
  EXPECT_THAT(text(registry().FixMac("lan", MacText(1), "out")),
              HasSubstr("is not on it"));
  EXPECT_THAT(text(registry().FixMac("lan", MacText(1), "")),
              HasSubstr("is not fixed"));
  absl::Status removed;
  registry().RemovePort("in", [&](absl::Status s) { removed = s; });
  EXPECT_THAT(text(removed), HasSubstr("is the parent of 3 port(s)"));
  // Nothing of all that has changed anything.
  EXPECT_THAT(Crosses(1, 0, Queries()[0], 5), ElementsAre(6));
}

TEST_F(SegmentTest, FixedAddressesAreNotLearntElsewhere) {
  Start(1, 3);
  ASSERT_TRUE(registry().FixMac("lan", MacText(2), "v6").ok());
  EXPECT_THAT(Crosses(1, 2, Queries()[0], 5), ElementsAre(6));
  EXPECT_THAT(Crosses(2, 1, Queries()[0], 7), IsEmpty());
  EXPECT_EQ(plane_->Drops(DropReason::kSegmentSource), 1u);
  EXPECT_EQ(Lan().refused_fixed, 1u);
  ASSERT_TRUE(registry().FixMac("lan", MacText(2), "").ok());
  EXPECT_THAT(Crosses(2, 1, Queries()[0], 7), ElementsAre(5));
  // With its port gone and back it is where it was said to be.
  ASSERT_TRUE(registry().FixMac("lan", MacText(2), "v6").ok());
  ASSERT_TRUE(registry().DetachPort("lan", "v6").ok());
  Settle();
  ASSERT_TRUE(registry().AttachPort("lan", "v6").ok());
  EXPECT_THAT(Crosses(1, 2, Queries()[0], 5), ElementsAre(6));
}

}  // namespace
}  // namespace sluice
