// Workers round by round on a wire that answers for translation addresses:
// packets that go back by their port of arrival, or wait for a neighbour.
#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include <string>
#include <vector>

#include "dataplane/forward/own_addresses.h"
#include "dataplane/workers/worker.h"
#include "packet/parse.h"
#include "tests/support/test_plane.h"

namespace sluice {
namespace {

constexpr char kHairpin[] =
    "pass\n"
    "match in on \"in\" proto udp to 192.0.2.7 port 53 rdr-to 10.0.0.1\n";
constexpr char kServerIsThere[] =
    "arp reply 10.0.0.1 > 0.0.0.0 ethsrc 02:00:00:00:00:05 "
    "ethdst 02:00:00:00:ff:00";

std::string ToVirtual(int client) {
  return "udp 10.0.0." + std::to_string(client) +
         ":1000 > 192.0.2.7:53 ethdst 02:00:00:00:ff:00 data 8";
}

void RoundAll(TestPlane& plane) {
  const size_t workers = plane.workers().size();
  for (size_t i = 0; i < 3 * workers; ++i) plane.worker(i % workers).Round();
}

// The wire answers for translation addresses, of which it has none. Afterwards
// the workers know where the server is, and one packet has gone back to it.
void BeginHairpins(TestPlane& plane, OwnAddresses* own) {
  for (uint8_t port = 0; port < 2; ++port) {
    PortContext& context = plane.topology().ports[port];
    context.own = own;
    context.mac = {2, 0, 0, 0, 0xff, port};
  }
  plane.Load(kHairpin);
  ASSERT_TRUE(plane.port(0).Arrive(plane.Make(ToVirtual(1))));
  RoundAll(plane);
  ASSERT_EQ(plane.engine().InFlight(), 1u) << "it waits";
  ASSERT_EQ(plane.port(0).Drain(), 1u) << "the question";
  ASSERT_EQ(plane.port(1).Drain(), 1u);
  ASSERT_TRUE(plane.port(0).Arrive(plane.Make(kServerIsThere)));
  RoundAll(plane);
  ASSERT_EQ(plane.Drops(DropReason::kNeighbor), 1u);
  ASSERT_EQ(plane.engine().InFlight(), 0u);
  ASSERT_EQ(plane.Sum(&PortCounters::returned_packets), 1u);
  ASSERT_EQ(plane.port(0).Drain(), 1u);
}

TEST(WorkerWireTest, HairpinsThatThePortDoesNotTakeAreDropped) {
  OwnAddresses own({});
  TestPlane plane({.port_ring = 8});  // which holds seven
  BeginHairpins(plane, &own);
  for (const int packets : {7, 3}) {
    for (int i = 0; i < packets; ++i) {
      ASSERT_TRUE(plane.port(0).Arrive(plane.Make(ToVirtual(2))));
    }
    plane.worker(0).Round();
  }
  EXPECT_EQ(plane.Sum(&PortCounters::forwarded_packets), 8u);
  EXPECT_EQ(plane.Sum(&PortCounters::returned_packets), 8u);
  EXPECT_EQ(plane.Sum(&PortCounters::answers_lost), 0u);
  EXPECT_EQ(plane.Drops(DropReason::kTransmitFull), 3u);
  EXPECT_EQ(plane.AllDrops(), 4u);
  EXPECT_EQ(plane.engine().InFlight(), 0u);
  EXPECT_EQ(plane.port(1).Drain(), 0u);
  EXPECT_EQ(plane.port(0).Drain(), 7u);
  EXPECT_EQ(plane.pool().InUse(), 0u);
}

TEST(WorkerWireTest, HairpinsThatAPortCannotSendWholeAreDropped) {
  OwnAddresses own({});
  TestPlane plane({});
  BeginHairpins(plane, &own);
  plane.topology().devices[0].sends_segments = false;
  ++plane.topology().serial;
  const std::vector<uint8_t> frame = FrameFromText(
      "udp 10.0.0.2:1000 > 192.0.2.7:53 ethdst 02:00:00:00:ff:00 data 3000");
  ASSERT_TRUE(plane.port(0).Arrive(plane.pool().Make(frame, 1500 / 5)));
  EXPECT_EQ(plane.worker(0).Round(), 1u);
  EXPECT_EQ(plane.Sum(&PortCounters::forwarded_packets), 1u);
  EXPECT_EQ(plane.Sum(&PortCounters::returned_packets), 1u);
  EXPECT_EQ(plane.Drops(DropReason::kMemory), 1u);
  EXPECT_EQ(plane.engine().InFlight(), 0u);
  EXPECT_EQ(plane.port(0).Drain(), 0u);
  EXPECT_EQ(plane.pool().InUse(), 0u);
}

TEST(WorkerWireTest, HairpinsAreCountedByTheWorkerThatTransmits) {
  OwnAddresses own({});
  TestPlane plane({.workers = 2, .tx_queues = 1});
  BeginHairpins(plane, &own);
  const uint64_t out = plane.worker(1).totals().transmit_out.value();
  const uint64_t in = plane.worker(0).totals().transmit_in.value();
  int client = 2;
  for (;; ++client) {
    ASSERT_LT(client, 250) << "no client of worker 1";
    rte_mbuf* const mbuf = plane.Make(ToVirtual(client));
    PacketInfo info;
    ParsePacket(*mbuf, {}, &info);
    const uint16_t owner = plane.plane().steering.Owner(*mbuf, info);
    rte_pktmbuf_free(mbuf);
    if (owner == 1) break;
  }
  ASSERT_TRUE(plane.port(0).Arrive(plane.Make(ToVirtual(client)), 1));
  EXPECT_EQ(plane.worker(1).Round(), 1u);
  EXPECT_EQ(plane.port(0).Drain(), 0u);
  EXPECT_EQ(plane.Sum(&PortCounters::forwarded_packets), 1u) << "not yet sent";
  EXPECT_EQ(plane.worker(1).totals().transmit_out.value(), out + 1);
  EXPECT_EQ(plane.worker(0).Round(), 1u);
  EXPECT_EQ(plane.port(0).Drain(), 1u);
  EXPECT_EQ(plane.worker(0).totals().transmit_in.value(), in + 1);
  EXPECT_EQ(plane.Sum(&PortCounters::forwarded_packets), 2u);
  EXPECT_EQ(plane.Sum(&PortCounters::returned_packets), 2u);
  EXPECT_EQ(plane.engine().InFlight(), 0u);
  EXPECT_EQ(plane.pool().InUse(), 0u);
}

// VLANs are known by a question, a claim, or a packet that is translated.
TEST(WorkerWireTest, VlansThatUseTheAddressesAreNoted) {
  OwnAddresses none({});
  TestPlane plane({});
  BeginHairpins(plane, &none);
  OwnAddresses own({*ParseAddress("192.0.2.7")});
  for (uint8_t port = 0; port < 2; ++port) {
    plane.topology().ports[port].own = &own;
  }
  ++plane.topology().serial;
  // Whether the firewall took it for itself, or let it through.
  const auto taken = [&](const char* text) {
    const uint64_t before = plane.Drops(DropReason::kNeighbor);
    EXPECT_TRUE(plane.port(0).Arrive(plane.Make(text)));
    RoundAll(plane);
    plane.port(0).Drain();
    plane.port(1).Drain();
    return plane.Drops(DropReason::kNeighbor) != before;
  };
  ASSERT_EQ(own.lanes(), 1u);
  // Others' addresses are nobody's matter.
  EXPECT_FALSE(taken("arp request 10.0.0.9 > 10.0.0.8 vlan 5"));
  EXPECT_EQ(own.lanes(), 1u);
  EXPECT_FALSE(taken("arp request 10.0.0.9 > 192.0.2.7 vlan 7"));
  ASSERT_EQ(own.lanes(), 2u);
  EXPECT_EQ(own.vlan(1), VlanId::Of(7));
  EXPECT_FALSE(taken(
      "arp reply 192.0.2.7 > 10.0.0.9 ethsrc 02:00:00:00:00:66 vlan 8"));
  ASSERT_EQ(own.lanes(), 3u);
  EXPECT_EQ(own.standing(0, 2), OwnAddresses::Standing::kTaken);
  EXPECT_EQ(own.standing(0, 1), OwnAddresses::Standing::kAsking);
  EXPECT_EQ(own.standing(0), OwnAddresses::Standing::kAsking);
  EXPECT_FALSE(taken(
      "udp 10.0.0.2:1000 > 192.0.2.7:53 vlan 9 ethdst 02:00:00:00:ff:00"));
  ASSERT_EQ(own.lanes(), 4u);
  EXPECT_EQ(own.vlan(3), VlanId::Of(9));
  // In each of them the answer goes by its standing.
  own.TakeAll();
  EXPECT_TRUE(own.NoteTaken(0, 1, 0));
  EXPECT_FALSE(taken("arp request 10.0.0.9 > 192.0.2.7 vlan 7"));
  EXPECT_TRUE(taken("arp request 10.0.0.9 > 192.0.2.7 vlan 9"));
  EXPECT_TRUE(taken("arp request 10.0.0.9 > 192.0.2.7"));
}

TEST(WorkerWireTest, ADatagramWaitsForANeighborAsThePacketsThatItCameAs) {
  OwnAddresses own({});
  TestPlane plane({});
  BeginHairpins(plane, &own);
  plane.Load(
      "pass\n"
      "match in on \"in\" proto udp to 192.0.2.7 port 53 rdr-to 10.0.0.3\n");
  for (const char* part : {"part 0 48", "part 48 60"}) {
    ASSERT_TRUE(plane.port(0).Arrive(plane.Make(
        std::string("udp 10.0.0.2:1000 > 192.0.2.7:53 "
                    "ethdst 02:00:00:00:ff:00 data 100 ") +
        part)));
  }
  EXPECT_EQ(plane.worker(0).Round(), 2u);
  EXPECT_EQ(plane.engine().InFlight(), 2u);
  // The questions for it.
  EXPECT_EQ(plane.port(0).Drain(), 1u);
  EXPECT_EQ(plane.port(1).Drain(), 1u);
  plane.Load("pass\n");
  ASSERT_TRUE(plane.port(0).Arrive(plane.Make(
      "arp reply 10.0.0.3 > 0.0.0.0 ethsrc 02:00:00:00:00:06 "
      "ethdst 02:00:00:00:ff:00")));
  for (int i = 0; i < 3; ++i) plane.worker(0).Round();
  EXPECT_EQ(plane.Drops(DropReason::kNoRoute), 2u)
      << "the rules that let it in are gone";
  EXPECT_EQ(plane.engine().InFlight(), 0u);
  EXPECT_EQ(plane.port(0).Drain(), 0u);
  EXPECT_EQ(plane.pool().InUse(), 0u);
}

// Two wait, one at each port; the first one's neighbour answers while nothing
// of the filter goes on.
TEST(WorkerWireTest, AFilterThatWaitsForARestoreDropsWhatNeedNotWaitThere) {
  OwnAddresses own({});
  TestPlane plane({});
  BeginHairpins(plane, &own);
  plane.Load(
      "pass\n"
      "match in on \"in\" proto udp to 192.0.2.7 port 53 rdr-to 10.0.0.3\n"
      "match in on \"out\" proto udp to 192.0.2.8 port 53 rdr-to 10.0.0.4\n");
  ASSERT_TRUE(plane.port(0).Arrive(plane.Make(ToVirtual(2))));
  ASSERT_TRUE(plane.port(1).Arrive(plane.Make(
      "udp 10.1.0.9:1000 > 192.0.2.8:53 ethdst 02:00:00:00:ff:01 data 8")));
  RoundAll(plane);
  ASSERT_EQ(plane.engine().InFlight(), 2u);
  EXPECT_EQ(plane.port(0).Drain(), 2u);
  EXPECT_EQ(plane.port(1).Drain(), 2u);
  plane.filter().status.Enable(/*expect_restore=*/true);
  ASSERT_TRUE(plane.port(0).Arrive(plane.Make(
      "arp reply 10.0.0.3 > 0.0.0.0 ethsrc 02:00:00:00:00:06 "
      "ethdst 02:00:00:00:ff:00")));
  RoundAll(plane);
  EXPECT_EQ(plane.Drops(DropReason::kNoRoute), 1u);
  EXPECT_EQ(plane.engine().InFlight(), 1u) << "the other one waits still";
  ASSERT_TRUE(plane.port(0).Arrive(plane.Make(
      "arp reply 10.0.0.4 > 0.0.0.0 ethsrc 02:00:00:00:00:07 "
      "ethdst 02:00:00:00:ff:00")));
  RoundAll(plane);
  EXPECT_EQ(plane.Drops(DropReason::kNoRoute), 2u);
  EXPECT_EQ(plane.engine().InFlight(), 0u);
  EXPECT_EQ(plane.port(0).Drain() + plane.port(1).Drain(), 0u);
  EXPECT_EQ(plane.pool().InUse(), 0u);
}

}  // namespace
}  // namespace sluice
