// Workers round by round, and many at once.
#include "dataplane/workers/worker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "dataplane/base/allocation_guard.h"
#include "dataplane/workers/state_orders.h"
#include "packet/parse.h"
#include "pftable/store/policy_listing.h"
#include "tests/support/test_plane.h"

namespace sluice {
namespace {

constexpr char kPassUdpStateless[] =
    "block all\n"
    "pass in on \"in\" proto udp to port 53\n"
    "pass out on \"out\"\n";

std::string Query(int client) {
  return "udp 10.0.0." + std::to_string(client) + ":1000 > 10.1.0.1:53 data 8";
}
std::string Reply(int client) {
  return "udp 10.1.0.1:53 > 10.0.0." + std::to_string(client) + ":1000 data 8";
}

// A client, 1..250, whose flow worker `owner` owns.
int ClientOf(TestPlane& plane, uint16_t owner) {
  for (int client = 1; client <= 250; ++client) {
    rte_mbuf* mbuf = plane.Make(Query(client));
    PacketInfo info;
    ParsePacket(*mbuf, {}, &info);
    const uint16_t found = plane.plane().steering.Owner(*mbuf, info);
    rte_pktmbuf_free(mbuf);
    if (found == owner) return client;
  }
  ADD_FAILURE() << "no client of worker " << owner;
  return 0;
}

TEST(WorkerTest, ForwardsAnswersAndCounts) {
  TestPlane plane({});
  plane.Load(kPassUdpStateless);
  ASSERT_TRUE(plane.port(0).Arrive(plane.Make(Query(2))));
  ASSERT_TRUE(plane.port(0).Arrive(
      plane.Make("udp 10.0.0.2:1000 > 10.1.0.1:54 data 8")));
  EXPECT_EQ(plane.worker(0).Round(), 2u);
  EXPECT_EQ(plane.port(1).Drain(), 1u);
  ASSERT_TRUE(plane.port(1).Arrive(plane.Make(Reply(2))));
  ASSERT_TRUE(plane.port(1).Arrive(plane.Make(Reply(3))));
  EXPECT_EQ(plane.worker(0).Round(), 2u);
  EXPECT_EQ(plane.port(0).Drain(), 1u);
  EXPECT_EQ(plane.worker(0).Round(), 0u);
  EXPECT_EQ(plane.Sum(&PortCounters::received_packets), 4u);
  EXPECT_EQ(plane.Sum(&PortCounters::forwarded_packets), 2u);
  EXPECT_EQ(plane.Sum(&PortCounters::transmitted_packets), 2u);
  EXPECT_EQ(plane.Drops(DropReason::kMatch), 2u);
  EXPECT_EQ(plane.AllDrops(), 2u);
  EXPECT_EQ(plane.pool().InUse(), 0u);
}

TEST(WorkerTest, ChecksumsLeftToANicAreFilledInBeforeTheyLeave) {
  TestPlane plane({});
  plane.Load("pass all\n");
  for (const char* text :
       {"tcp 10.0.0.2:1 > 10.1.0.1:80 S",
        "udp [2001:db8::2]:1 > [2001:db8::1]:53 data 8"}) {
    rte_mbuf* mbuf = plane.Make(text);
    const std::vector<uint8_t> right = BytesOf(mbuf);
    PacketInfo info;
    ParsePacket(*mbuf, {}, &info);
    const size_t field = info.proto == protocol::kTcp ? 16 : 6;
    *rte_pktmbuf_mtod_offset(mbuf, uint8_t*, info.l4_offset + field) ^= 0xff;
    mbuf->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_NONE;
    ASSERT_TRUE(plane.port(0).Arrive(mbuf));
    EXPECT_EQ(plane.worker(0).Round(), 1u);
    rte_mbuf* left = plane.port(1).Leave();
    ASSERT_NE(left, nullptr) << text;
    EXPECT_EQ(BytesOf(left), right) << text;
    rte_pktmbuf_free(left);
  }
}

// A chain that fits into its first mbuf becomes one; a longer one is dropped.
TEST(WorkerTest, PortsThatTakeNoChainsGetNone) {
  TestPlane plane({});
  plane.Load("pass all\n");
  plane.topology().devices[1].sends_segments = false;
  for (const uint32_t bytes : {600u, 3000u}) {
    const std::vector<uint8_t> frame = FrameFromText(
        "udp 10.0.0.2:1 > 10.1.0.1:53 data " + std::to_string(bytes));
    ASSERT_TRUE(plane.port(0).Arrive(plane.pool().Make(frame, 1500 / 5)));
    EXPECT_EQ(plane.worker(0).Round(), 1u);
    rte_mbuf* left = plane.port(1).Leave();
    ASSERT_EQ(left != nullptr, bytes == 600) << bytes;
    if (left == nullptr) continue;
    EXPECT_EQ(left->nb_segs, 1);
    EXPECT_EQ(BytesOf(left), frame);
    rte_pktmbuf_free(left);
  }
  EXPECT_EQ(plane.Drops(DropReason::kMemory), 1u);
  EXPECT_EQ(plane.AllDrops(), 1u);
  EXPECT_EQ(plane.pool().InUse(), 0u);
}

TEST(WorkerTest, AnswersOfBlockReturnLeaveByThePortOfArrival) {
  TestPlane plane({});
  plane.Load("block return all\n");
  ASSERT_TRUE(
      plane.port(0).Arrive(plane.Make("tcp 10.0.0.2:5 > 10.1.0.1:80 S")));
  EXPECT_EQ(plane.worker(0).Round(), 1u);
  EXPECT_EQ(plane.port(1).Drain(), 0u);
  EXPECT_EQ(plane.port(0).Drain(), 1u);
  EXPECT_EQ(plane.Sum(&PortCounters::answers), 1u);
  EXPECT_EQ(plane.Sum(&PortCounters::forwarded_packets), 0u);
  EXPECT_EQ(plane.pool().InUse(), 0u);
}

TEST(WorkerTest, NothingPassesBeforeARulesetIsLoaded) {
  TestPlane plane({});
  ASSERT_TRUE(plane.port(0).Arrive(plane.Make(Query(2))));
  plane.worker(0).Round();
  EXPECT_EQ(plane.port(1).Drain(), 0u);
  EXPECT_EQ(plane.Drops(DropReason::kMatch), 1u);
  plane.Load("pass all no state\n");
  ASSERT_TRUE(plane.port(0).Arrive(plane.Make(Query(2))));
  plane.worker(0).Round();
  EXPECT_EQ(plane.port(1).Drain(), 1u);
}

TEST(WorkerTest, DisabledPassesEverythingWithoutStates) {
  TestPlane plane({});
  plane.Load("block all\n");
  plane.filter().enabled.store(false);
  ASSERT_TRUE(plane.port(0).Arrive(plane.Make(Query(2))));
  plane.worker(0).Round();
  EXPECT_EQ(plane.port(1).Drain(), 1u);
  EXPECT_EQ(plane.worker(0).states().size(), 0u);
}

TEST(WorkerTest, APortWithoutLinkTakesNothing) {
  TestPlane plane({});
  plane.Load("pass all no state\n");
  plane.topology().ports[1].up = false;
  ASSERT_TRUE(plane.port(0).Arrive(plane.Make(Query(2))));
  plane.worker(0).Round();
  EXPECT_EQ(plane.port(1).Drain(), 0u);
  EXPECT_EQ(plane.Drops(DropReason::kPortDown), 1u);
  EXPECT_EQ(plane.pool().InUse(), 0u);
}

TEST(WorkerTest, WhatThePortDoesNotTakeIsDroppedAndCounted) {
  TestPlane plane({.port_ring = 8});  // which holds seven
  plane.Load("pass all no state\n");
  for (int i = 0; i < 7; ++i) {
    ASSERT_TRUE(plane.port(0).Arrive(plane.Make(Query(2))));
  }
  plane.worker(0).Round();
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(plane.port(0).Arrive(plane.Make(Query(2))));
  }
  plane.worker(0).Round();
  EXPECT_EQ(plane.Drops(DropReason::kTransmitFull), 3u);
  EXPECT_EQ(plane.Sum(&PortCounters::forwarded_packets), 7u);
  EXPECT_EQ(plane.port(1).Drain(), 7u);
  EXPECT_EQ(plane.pool().InUse(), 0u);
}

TEST(WorkerTest, FlowsGoToTheirOwnerInBothDirections) {
  TestPlane plane({.workers = 2});
  plane.Load(kPassUdpStateless);
  const int client = ClientOf(plane, 1);
  // The queue of worker 0 gets both directions.
  ASSERT_TRUE(plane.port(0).Arrive(plane.Make(Query(client))));
  EXPECT_EQ(plane.worker(0).Round(), 1u);
  EXPECT_EQ(plane.port(1).Drain(), 0u);
  EXPECT_EQ(plane.worker(0).totals().handed_out.value(), 1u);
  EXPECT_EQ(plane.worker(1).Round(), 1u);
  EXPECT_EQ(plane.port(1).Drain(), 1u);
  ASSERT_TRUE(plane.port(1).Arrive(plane.Make(Reply(client))));
  EXPECT_EQ(plane.worker(0).Round(), 1u);
  EXPECT_EQ(plane.worker(1).Round(), 1u);
  EXPECT_EQ(plane.port(0).Drain(), 1u);
  EXPECT_EQ(plane.worker(0).states().size(), 0u);
  EXPECT_EQ(plane.worker(1).states().size(), 2u);  // in and out
  EXPECT_EQ(plane.worker(1).totals().handed_in.value(), 2u);
  // Received once each, although two workers parsed them.
  EXPECT_EQ(plane.Sum(&PortCounters::received_packets), 2u);
  EXPECT_EQ(plane.Sum(&PortCounters::forwarded_packets), 2u);
}

TEST(WorkerTest, IcmpErrorsGoToTheOwnerOfWhatTheyComplainAbout) {
  TestPlane plane({.workers = 2});
  plane.Load(kPassUdpStateless);
  const int client = ClientOf(plane, 1);
  ASSERT_TRUE(plane.port(0).Arrive(plane.Make(Query(client))));
  plane.worker(0).Round();
  plane.worker(1).Round();
  ASSERT_EQ(plane.port(1).Drain(), 1u);
  // A router on the way answers; its own tuple is another flow's.
  ASSERT_TRUE(plane.port(1).Arrive(plane.Make(
      "icmp 10.1.0.1 > 10.0.0." + std::to_string(client) +
      " unreach port inner { " + Query(client) + " }")));
  plane.worker(0).Round();
  plane.worker(1).Round();
  EXPECT_EQ(plane.port(0).Drain(), 1u);
}

// Fragments meet at the owner of their addresses; the whole goes to the owner
// of its flow, where its state is, and leaves as the fragments that came.
TEST(WorkerTest, DatagramsInFragmentsGoToTheOwnerOfTheirFlow) {
  TestPlane plane({.workers = 2});
  plane.Load(
      "block all\n"
      "pass in on \"in\" proto udp to port 53\n"
      "pass out on \"out\" proto udp to port 53\n");
  const auto owner_of = [&](const std::string& text) {
    rte_mbuf* mbuf = plane.Make(text);
    PacketInfo info;
    ParsePacket(*mbuf, {}, &info);
    const uint16_t owner = plane.plane().steering.Owner(*mbuf, info);
    rte_pktmbuf_free(mbuf);
    return owner;
  };
  for (const uint16_t owner : {0, 1}) {
    // One whose fragments are the other worker's.
    std::string query, reply;
    for (int port = 1000; query.empty() && port < 1100; ++port) {
      const std::string client = "10.0.0.7:" + std::to_string(port);
      const std::string text = "udp " + client + " > 10.1.0.1:53 data 100";
      if (owner_of(text) != owner ||
          owner_of(text + " part 0 48") == owner) {
        continue;
      }
      query = text;
      reply = "udp 10.1.0.1:53 > " + client + " data 8";
    }
    if (query.empty()) continue;
    const uint32_t states = plane.worker(owner).states().size();
    ASSERT_TRUE(plane.port(0).Arrive(plane.Make(query + " part 48 60"), owner));
    ASSERT_TRUE(plane.port(0).Arrive(plane.Make(query + " part 0 48"), owner));
    for (int round = 0; round < 4; ++round) {
      for (const uint16_t worker : {0, 1}) plane.worker(worker).Round();
    }
    EXPECT_EQ(plane.worker(owner).states().size(), states + 2);
    for (const char* part : {" part 0 48", " part 48 60"}) {
      rte_mbuf* left = plane.port(1).Leave(owner);
      ASSERT_NE(left, nullptr);
      EXPECT_EQ(BytesOf(left), FrameFromText(query + part));
      rte_pktmbuf_free(left);
    }
    ASSERT_TRUE(plane.port(1).Arrive(plane.Make(reply), owner));
    plane.worker(owner).Round();
    EXPECT_EQ(plane.port(0).Drain(), 1u);
    const uint16_t other = owner ^ 1;
    EXPECT_EQ(plane.worker(other).totals().handed_out.value(),
              plane.worker(owner).totals().handed_in.value());
    EXPECT_GE(plane.worker(other).totals().handed_out.value(), 2u);
  }
  EXPECT_EQ(plane.AllDrops(), 0u);
  EXPECT_EQ(plane.Sum(&PortCounters::received_packets),
            plane.Sum(&PortCounters::forwarded_packets));
  EXPECT_EQ(plane.pool().InUse(), 0u);
}

// What waits for other fragments is dropped when its port is switched off.
TEST(WorkerTest, FragmentsDoNotOutliveTheirPort) {
  TestPlane plane({});
  plane.Load("pass all no state\n");
  const std::string text = "udp 10.0.0.7:1 > 10.1.0.1:53 data 100";
  ASSERT_TRUE(plane.port(0).Arrive(plane.Make(text + " part 0 48")));
  ASSERT_TRUE(plane.port(1).Arrive(plane.Make(text + " part 0 48")));
  EXPECT_EQ(plane.worker(0).Round(), 2u);
  EXPECT_EQ(plane.AllDrops(), 0u);
  EXPECT_EQ(plane.pool().InUse(), 2u);
  plane.topology().ports[0].enabled = false;
  ++plane.topology().serial;
  plane.worker(0).Round();
  EXPECT_EQ(plane.Drops(DropReason::kFragment), 1u);
  EXPECT_EQ(plane.pool().InUse(), 1u);
  plane.topology().ports[1].peer = kNoPort;
  ++plane.topology().serial;
  plane.worker(0).Round();
  EXPECT_EQ(plane.Drops(DropReason::kFragment), 2u);
  EXPECT_EQ(plane.pool().InUse(), 0u);
}

TEST(WorkerTest, AFullRingDropsWithItsReason) {
  TestPlane plane({.workers = 2, .handoff_ring = 4});
  plane.Load(kPassUdpStateless);
  const int client = ClientOf(plane, 1);
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(plane.port(0).Arrive(plane.Make(Query(client))));
  }
  plane.worker(0).Round();
  EXPECT_EQ(plane.Drops(DropReason::kHandoffFull), 6u);
  plane.worker(1).Round();
  EXPECT_EQ(plane.port(1).Drain(), 4u);
  EXPECT_EQ(plane.pool().InUse(), 0u);
}

TEST(WorkerTest, WithoutATransmitQueueAnotherWorkerTransmits) {
  TestPlane plane({.workers = 2, .tx_queues = 1});
  plane.Load(kPassUdpStateless);
  const int client = ClientOf(plane, 1);
  ASSERT_TRUE(plane.port(0).Arrive(plane.Make(Query(client)), 1));
  EXPECT_EQ(plane.worker(1).Round(), 1u);
  EXPECT_EQ(plane.port(1).Drain(), 0u);
  EXPECT_EQ(plane.worker(1).totals().transmit_out.value(), 1u);
  EXPECT_EQ(plane.worker(0).Round(), 1u);
  EXPECT_EQ(plane.port(1).Drain(), 1u);
  EXPECT_EQ(plane.Sum(&PortCounters::forwarded_packets), 1u);
  EXPECT_EQ(plane.worker(0).totals().transmit_in.value(), 1u);
}

// ---- Orders ----------------------------------------------------------------

TEST(WorkerOrderTest, ListsFoldsAndKills) {
  TestPlane plane({});
  plane.Load(kPassUdpStateless);
  for (int client = 2; client < 42; ++client) {
    ASSERT_TRUE(plane.port(0).Arrive(plane.Make(Query(client))));
  }
  while (plane.worker(0).Round() > 0) {
  }
  ASSERT_EQ(plane.worker(0).states().size(), 80u);
  Mailbox& mailbox = plane.worker(0).mailbox();
  const auto run = [&] {
    while (mailbox.pending() > 0) {
      plane.worker(0).Round();
      mailbox.Collect();
    }
  };

  // Pages of seven hold every state once.
  auto all = std::make_shared<StateMatcher>();
  std::set<StateId> ids;
  std::optional<uint32_t> cursor = 0;
  while (cursor) {
    mailbox.Post(std::make_unique<ListOrder>(
        all, *cursor, 7, [&](auto next, std::vector<StateRecord> states) {
          EXPECT_LE(states.size(), 7u);
          for (const StateRecord& state : states) {
            EXPECT_TRUE(ids.insert(state.id).second) << state.id;
          }
          cursor = next;
        }));
    run();
  }
  EXPECT_EQ(ids.size(), 80u);

  WorkerSnapshot snapshot;
  mailbox.Post(std::make_unique<FoldOrder>(
            kMainFilter, [&](const WorkerSnapshot& taken) { snapshot = taken; }));
  run();
  EXPECT_EQ(snapshot.received, 40u);
  EXPECT_EQ(snapshot.forwarded, 40u);
  EXPECT_EQ(snapshot.unaccounted(), 0);
  const auto rules = PolicyListing(plane.store()).Rules("");
  ASSERT_TRUE(rules.ok());
  EXPECT_EQ((*rules)[1].counts.packets[0], 40u);

  auto one = std::make_shared<StateMatcher>();
  one->query.source = ParsePrefix("10.0.0.8/31");
  uint64_t killed = 0;
  mailbox.Post(
      std::make_unique<KillOrder>(
          one, [&](uint64_t n, std::vector<StateId>) { killed = n; }));
  run();
  EXPECT_EQ(killed, 4u);
  EXPECT_EQ(plane.worker(0).states().size(), 76u);
}

// The first path of an SCTP association says who it is, so that the others can
// go with it, on whatever worker they are.
TEST(WorkerOrderTest, KillsTellOfAssociations) {
  TestPlane plane({});
  plane.Load("pass\n");
  ASSERT_TRUE(plane.port(0).Arrive(
      plane.Make("sctp 10.0.0.8:1 > 10.1.0.1:2 data 0x01000004")));
  ASSERT_TRUE(plane.port(0).Arrive(plane.Make(Query(8))));
  while (plane.worker(0).Round() > 0) {
  }
  ASSERT_EQ(plane.worker(0).states().size(), 4u);
  auto all = std::make_shared<StateMatcher>();
  std::vector<StateId> told;
  Mailbox& mailbox = plane.worker(0).mailbox();
  mailbox.Post(std::make_unique<KillOrder>(
      all, [&](uint64_t n, std::vector<StateId> associations) {
        EXPECT_EQ(n, 4u);
        told = std::move(associations);
      }));
  while (mailbox.pending() > 0) {
    plane.worker(0).Round();
    mailbox.Collect();
  }
  ASSERT_EQ(told.size(), 2u);

  StateMatcher others;
  others.by_association = true;
  others.associations = told;
  StateRecord path;
  path.proto = protocol::kSctp;
  EXPECT_FALSE(others.Matches(path));
  path.parent.id = told[1];
  EXPECT_TRUE(others.Matches(path));
  path.parent.id = told[1] + 1;
  EXPECT_FALSE(others.Matches(path));
  path.parent.id = told[1];
  path.proto = protocol::kUdp;
  EXPECT_FALSE(others.Matches(path));
}

// -k nat: what the ends are behind the translation; a state without one has
// none there, whatever its own ends.
TEST(StateMatcherTest, TagsAgesAndHelpers) {
  StateRecord state;
  state.proto = protocol::kTcp;
  state.age = 59'999;
  state.values.tag = 7;
  StateMatcher matcher;
  matcher.by_tag = true;
  matcher.tag = 7;
  EXPECT_TRUE(matcher.Matches(state));
  matcher.tag = 8;
  EXPECT_FALSE(matcher.Matches(state));
  // A name that nobody uses is not "no tag".
  matcher.tag = kNoTag;
  state.values.tag = kNoTag;
  EXPECT_FALSE(matcher.Matches(state));
  matcher.by_tag = false;
  matcher.query.min_age = 59;
  EXPECT_TRUE(matcher.Matches(state));
  matcher.query.min_age = 60;
  EXPECT_FALSE(matcher.Matches(state));
  matcher.query.min_age.reset();
  matcher.query.helper = StateHelper::kFtp;
  EXPECT_FALSE(matcher.Matches(state));
  state.flags = kEntryHelper;
  EXPECT_TRUE(matcher.Matches(state));
  matcher.query.helper = StateHelper::kTftp;
  EXPECT_FALSE(matcher.Matches(state));
  state.proto = protocol::kUdp;
  EXPECT_TRUE(matcher.Matches(state));
  state.flags = 0;
  EXPECT_FALSE(matcher.Matches(state));
  state.parent = {.id = 0x100, .slot = 1};
  EXPECT_TRUE(matcher.Matches(state));
}

TEST(StateMatcherTest, TranslatedEnds) {
  const auto with_ends = [](const char* inside, const char* outside,
                            const char* peer) {
    StateRecord state;
    state.filter = kMainFilter;
    state.proto = 17;
    state.address = {ParsePrefix(inside)->address, ParsePrefix(peer)->address};
    state.port = {1024, 53};
    state.family = state.address[0].family;
    if (outside != nullptr) {
      state.translated_address = {ParsePrefix(outside)->address,
                                  state.address[1]};
      state.translated_port = {50001, 53};
      state.translated_family = state.translated_address[0].family;
    }
    return state;
  };
  for (const auto& [inside, outside, peer] :
       {std::array{"10.0.0.8", "192.0.2.1", "198.51.100.1"},
        std::array{"fd00::8", "2001:db8::1", "2001:db8:1::1"}}) {
    const StateRecord translated = with_ends(inside, outside, peer);
    const StateRecord plain = with_ends(outside, nullptr, peer);
    StateMatcher matcher;
    matcher.filter = kMainFilter;
    matcher.query.source = ParsePrefix(outside);
    EXPECT_FALSE(matcher.Matches(translated)) << inside;
    EXPECT_TRUE(matcher.Matches(plain)) << inside;
    matcher.query.translated = true;
    EXPECT_TRUE(matcher.Matches(translated)) << inside;
    EXPECT_FALSE(matcher.Matches(plain)) << inside;
    matcher.query.destination = ParsePrefix(peer);
    matcher.query.source_port = 50001;
    EXPECT_TRUE(matcher.Matches(translated)) << inside;
    matcher.query.source_port = 1024;
    EXPECT_FALSE(matcher.Matches(translated)) << inside;
  }
}

TEST(MailboxTest, MoreOrdersThanItHoldsWaitTheirTurn) {
  TestPlane plane({});
  plane.Load(kPassUdpStateless);
  Mailbox& mailbox = plane.worker(0).mailbox();
  std::vector<size_t> done;
  for (size_t i = 0; i < 3 * Mailbox::kCapacity; ++i) {
    mailbox.Post(std::make_unique<FoldOrder>(
            kMainFilter, [&done, i](const WorkerSnapshot&) { done.push_back(i); }));
  }
  while (mailbox.pending() > 0) {
    plane.worker(0).Round();
    mailbox.Collect();
  }
  ASSERT_EQ(done.size(), 3 * Mailbox::kCapacity);
  EXPECT_TRUE(std::ranges::is_sorted(done));
}

// ---- Many at once ----------------------------------------------------------

// Two workers at full speed while rulesets come and go: all of them pass the
// same traffic, so that nothing may be lost, and each packet is accounted for.
TEST(WorkerThreadsTest, CommitsUnderTrafficLoseNothing) {
  TestPlane plane({.workers = 2, .tx_queues = 1, .handoff_ring = 1024});
  plane.Load(kPassUdpStateless);
  std::vector<std::thread> threads;
  for (Worker* worker : plane.workers()) {
    threads.emplace_back([worker] { worker->Run(); });
  }
  constexpr uint32_t kPackets = 3000;
  uint32_t sent = 0, returned = 0, commits = 0;
  WorkerSnapshot last;
  while (returned < kPackets) {
    // Few enough at a time that no ring is ever full.
    while (sent < kPackets && sent - returned < 64) {
      const auto client = static_cast<int>(2 + sent % 200);
      ASSERT_TRUE(plane.port(0).Arrive(plane.Make(Query(client)),
                                       static_cast<uint16_t>(sent % 2)));
      ++sent;
    }
    returned += plane.port(1).Drain();
    if (commits < 100) {
      plane.Load(std::string(kPassUdpStateless) + "pass in proto tcp to port " +
                 std::to_string(1 + commits) + "\n");
      ++commits;
    }
    for (Worker* worker : plane.workers()) {
      if (worker->mailbox().pending() == 0) {
        worker->mailbox().Post(std::make_unique<FoldOrder>(
            kMainFilter, [&last](const WorkerSnapshot& snapshot) {
              EXPECT_EQ(snapshot.unaccounted(), 0);
              last = snapshot;
            }));
      }
      worker->mailbox().Collect();
    }
    plane.store().TakeGarbage();
    std::this_thread::yield();
  }
  plane.plane().run.store(RunState::kDrain);
  while (!plane.worker(0).drained() || !plane.worker(1).drained()) {
    std::this_thread::yield();
  }
  plane.plane().run.store(RunState::kStop);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(plane.Sum(&PortCounters::received_packets), kPackets);
  EXPECT_EQ(plane.Sum(&PortCounters::forwarded_packets), kPackets);
  EXPECT_EQ(plane.AllDrops(), 0u);
  EXPECT_EQ(plane.pool().InUse(), 0u);
  plane.store().TakeGarbage();
  EXPECT_EQ(plane.store().live_generations(), 1u);
}

// ---- The guard -------------------------------------------------------------

TEST(AllocationGuardDeathTest, EndsAWorkerThatAllocates) {
  // Before and after a guarded part anyone may.
  { const ForbidAllocations guard; }
  std::vector<int> after(1000);
  EXPECT_EQ(after.size(), 1000u);
  const auto allocate = [] {
    const ForbidAllocations guard;
    std::vector<int> values(1000);
    asm volatile("" : : "r"(values.data()) : "memory");
  };
  if (kAllocationsGuarded) {
    EXPECT_DEATH(allocate(), "a worker allocated memory");
  } else {
    allocate();  // costs nothing in a build that does not look
  }
}

}  // namespace
}  // namespace sluice
