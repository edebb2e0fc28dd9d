// Ports over DPDK's virtual devices, in process, without hugepages.
#include "dataplane/ports/ethdev_port.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rte_ethdev.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/mbuf_pool.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class PortTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<Port>> Open(const PortConfig& config,
                                             uint16_t workers) {
    return Port::Open(config,
                      {.workers = workers, .pool = pool_.get()},
                      Steering(workers));
  }

  MbufPool pool_{8191};
};

TEST_F(PortTest, OpensStartsStopsAndReleases) {
  const uint16_t before = rte_eth_dev_count_avail();
  {
    auto port = Open({.name = "a", .device = "net_null7"}, 1);
    ASSERT_TRUE(port.ok()) << port.status();
    EXPECT_EQ((*port)->driver(), "net_null");
    EXPECT_EQ((*port)->rx_queues(), 1);
    EXPECT_EQ((*port)->tx_queues(), 1);
    ASSERT_TRUE((*port)->Start().ok());
    EXPECT_TRUE((*port)->link().up);
    (*port)->Stop();
    EXPECT_FALSE((*port)->link().up);
    ASSERT_TRUE((*port)->Start().ok());
    EXPECT_TRUE((*port)->link().up);
    EXPECT_EQ(rte_eth_dev_count_avail(), before + 1);
  }
  EXPECT_EQ(rte_eth_dev_count_avail(), before);
  EXPECT_EQ(pool_.InUse(), 0u);
}

TEST_F(PortTest, TheSameDeviceCanBeOpenedAgain) {
  for (int i = 0; i < 2; ++i) {
    auto port = Open({.name = "a", .device = "net_null7"}, 1);
    ASSERT_TRUE(port.ok()) << port.status();
  }
}

TEST_F(PortTest, MoreDevicesThanDpdkHasRoomForAreRefusedWithTheReason) {
  std::vector<std::unique_ptr<Port>> ports;
  absl::Status status;
  for (size_t i = rte_eth_dev_count_avail(); i <= kMaxDevices; ++i) {
    auto port = Open({.name = "p" + std::to_string(i),
                      .device = "net_null" + std::to_string(i)},
                     1);
    status = port.status();
    if (!port.ok()) break;
    ports.push_back(*std::move(port));
  }
  EXPECT_EQ(rte_eth_dev_count_avail(), kMaxDevices);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("room for 32 devices at once"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("port remove"));
  ports.pop_back();
  EXPECT_TRUE(Open({.name = "q", .device = "net_null99"}, 1).ok());
}

TEST_F(PortTest, NullDeviceHasAQueueForEachWorker) {
  auto port = Open({.name = "a", .device = "net_null7"}, 4);
  ASSERT_TRUE(port.ok()) << port.status();
  EXPECT_EQ((*port)->rx_queues(), 4);
  EXPECT_EQ((*port)->tx_queues(), 4);
}

TEST_F(PortTest, FewerQueuesThanWorkersAreSaidSo) {
  auto file =
      Open({.name = "b", .device = "net_pcap7,tx_pcap=/dev/null"}, 2);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->rx_queues(), 1);
  EXPECT_EQ((*file)->tx_queues(), 1);
  EXPECT_THAT((*file)->warnings(),
              ::testing::Contains(HasSubstr("1 receive queue(s), not 2")));
  EXPECT_THAT((*file)->warnings(),
              ::testing::Contains(HasSubstr("1 transmit queue(s) for 2")));
}

TEST_F(PortTest, RefusesMoreQueuesThanTheDeviceHas) {
  const auto port = Open(
      {.name = "b", .device = "net_pcap7,tx_pcap=/dev/null", .queues = 2}, 1);
  EXPECT_THAT(port.status().message(),
              HasSubstr("`queues = 2` is more than the 1 receive queue(s)"));
}

// The driver ignores the key when it is configured, and takes it later.
TEST_F(PortTest, RssIsSymmetricAndSpreadsByTheSameTable) {
  constexpr uint16_t kWorkers = 3;
  auto port = Open({.name = "a", .device = "net_null7"}, kWorkers);
  ASSERT_TRUE(port.ok()) << port.status();
  ASSERT_TRUE((*port)->Start().ok());
  EXPECT_TRUE((*port)->rss());
  EXPECT_THAT((*port)->warnings(), IsEmpty());
  std::array<uint8_t, 40> key = {};
  rte_eth_rss_conf conf = {};
  conf.rss_key = key.data();
  conf.rss_key_len = key.size();
  ASSERT_EQ(rte_eth_dev_rss_hash_conf_get((*port)->ethdev(), &conf), 0);
  EXPECT_TRUE(std::equal(key.begin(), key.end(), kSymmetricKey.begin()));
  std::array<rte_eth_rss_reta_entry64, 2> table = {};
  table[0].mask = table[1].mask = ~uint64_t{0};
  ASSERT_EQ(rte_eth_dev_rss_reta_query((*port)->ethdev(), table.data(), 128),
            0);
  const Steering steering(kWorkers);
  for (size_t i = 0; i < 128; ++i) {
    EXPECT_EQ(table[i / 64].reta[i % 64], steering.reta(i)) << i;
  }
}

TEST_F(PortTest, OneQueueNeedsNoRss) {
  auto port = Open({.name = "a", .device = "net_null7"}, 1);
  ASSERT_TRUE(port.ok()) << port.status();
  ASSERT_TRUE((*port)->Start().ok());
  EXPECT_FALSE((*port)->rss());
}

TEST_F(PortTest, RefusesADriverThatIsNotThere) {
  const auto port = Open({.name = "a", .device = "net_nosuch0"}, 1);
  EXPECT_THAT(port.status().message(),
              HasSubstr("port 'a' (net_nosuch0): the device does not start"));
}

TEST_F(PortTest, RefusesAPciDeviceThatIsNotThere) {
  const auto port = Open({.name = "a", .device = "0000:ff:1f.7"}, 1);
  EXPECT_THAT(port.status().message(),
              HasSubstr("there is no such PCI device"));
}

TEST_F(PortTest, RefusesFramesThatDoNotFit) {
  const auto port =
      Open({.name = "a", .device = "net_null7", .mtu = 9000}, 1);
  EXPECT_THAT(port.status().message(),
              HasSubstr("frames of 9022 bytes do not fit in buffers of 2048"));
}

TEST_F(PortTest, CountsWhatTheDeviceSends) {
  auto port = Open({.name = "a", .device = "net_null7"}, 1);
  ASSERT_TRUE(port.ok()) << port.status();
  ASSERT_TRUE((*port)->Start().ok());
  const std::array<uint8_t, 60> frame = {};
  rte_mbuf* mbuf = pool_.Make(frame);
  ASSERT_EQ(rte_eth_tx_burst((*port)->ethdev(), 0, &mbuf, 1), 1);
  EXPECT_EQ((*port)->Statistics().transmitted_packets, 1u);
  bool found = false;
  for (const auto& [name, value] : (*port)->ExtendedStatistics()) {
    if (name == "tx_good_packets") {
      found = true;
      EXPECT_EQ(value, 1u);
    }
  }
  EXPECT_TRUE(found);
}

TEST(DeviceArgumentsTest, AfPacketGetsAPairOfQueuesAWorker) {
  const PortConfig config{.name = "a",
                          .device = "net_af_packet0,iface=veth0"};
  EXPECT_EQ(DeviceArguments(config, 1), "net_af_packet0,iface=veth0");
  EXPECT_EQ(DeviceArguments(config, 3),
            "net_af_packet0,iface=veth0,qpairs=3");
  PortConfig own = config;
  own.device += ",qpairs=2";
  EXPECT_EQ(DeviceArguments(own, 3), own.device);
  PortConfig limited = config;
  limited.queues = 2;
  EXPECT_EQ(DeviceArguments(limited, 3),
            "net_af_packet0,iface=veth0,qpairs=2");
  EXPECT_EQ(DeviceArguments({.name = "a", .device = "net_null0"}, 3),
            "net_null0");
}

TEST(LocalPeersTest, AreThoseOfTheKernelAndOtherProcesses) {
  const auto local = [](const char* device) {
    return HasLocalPeers({.name = "a", .device = device});
  };
  EXPECT_TRUE(local("net_af_packet0,iface=veth0"));
  EXPECT_TRUE(local("net_pcap0,iface=veth0"));
  EXPECT_TRUE(local("virtio_user0,path=/dev/vhost-net"));
  EXPECT_FALSE(local("net_pcap0,rx_pcap=a.pcap,tx_pcap=b.pcap"));
  EXPECT_FALSE(local("0000:03:00.0"));
}

std::vector<int> Pollers(uint16_t rx_queues, uint16_t workers,
                         size_t* turn) {
  const auto pollers = PollersOf(rx_queues, workers, turn);
  return {pollers.begin(), pollers.begin() + rx_queues};
}

TEST(PollersTest, OneQueueAWorker) {
  size_t turn = 1;
  EXPECT_THAT(Pollers(2, 2, &turn), ElementsAre(0, 1));
  EXPECT_THAT(Pollers(2, 2, &turn), ElementsAre(0, 1));
  EXPECT_EQ(turn, 1u);
}

TEST(PollersTest, FewerQueuesThanWorkersAreDealtOut) {
  size_t turn = 0;
  EXPECT_THAT(Pollers(1, 2, &turn), ElementsAre(0));
  EXPECT_THAT(Pollers(1, 2, &turn), ElementsAre(1));
  EXPECT_THAT(Pollers(1, 2, &turn), ElementsAre(0));
}

TEST(PollersTest, MoreQueuesThanWorkersAreAllPolled) {
  size_t turn = 0;
  EXPECT_THAT(Pollers(4, 2, &turn), ElementsAre(0, 1, 0, 1));
}

}  // namespace
}  // namespace sluice
