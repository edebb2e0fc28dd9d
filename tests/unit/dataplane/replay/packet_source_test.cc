#include "dataplane/replay/packet_source.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/packet_text.h"
#include "tests/unit/dataplane/replay/capture_bytes.h"

namespace sluice {
namespace {

class PacketSourceTest : public testing::Test {
 protected:
  PacketSourceTest() {
    char name[] = "/tmp/sluice-source-XXXXXX";
    folder_ = mkdtemp(name);
  }
  ~PacketSourceTest() override { std::filesystem::remove_all(folder_); }

  // A capture with a packet at each of these microseconds, holding its name.
  std::string Write(const std::string& name, std::vector<uint32_t> times) {
    PcapBytes pcap;
    std::string bytes = pcap.Header();
    for (const uint32_t time : times) {
      bytes += pcap.Packet(100 + time / 1000000, time % 1000000, name);
    }
    const std::string path = folder_ + "/" + name;
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }

  // "name@clock name@clock ..." of all packets.
  static std::string Order(PacketSource& source) {
    std::string order;
    for (;;) {
      SourcedPacket packet;
      const absl::StatusOr<bool> more = source.Next(packet);
      EXPECT_TRUE(more.ok()) << more.status();
      if (!more.ok() || !*more) return order;
      order += std::string(packet.frame.begin(), packet.frame.end()) + "@" +
               std::to_string(packet.clock) + " ";
    }
  }

  std::string folder_;
};

TEST_F(PacketSourceTest, MergesByTimestampAndKeepsOrderOnTies) {
  PacketSource source;
  ASSERT_TRUE(source.Add(Write("b", {1000, 5000, 5000, 9000}), 0).ok());
  ASSERT_TRUE(source.Add(Write("a", {0, 5000, 7000}), 1).ok());
  EXPECT_EQ(Order(source), "a@0 b@1 b@5 b@5 a@5 a@7 b@9 ");
  EXPECT_EQ(source.clamped(), 0u);
}

TEST_F(PacketSourceTest, TheClockDoesNotGoBack) {
  PacketSource source;
  ASSERT_TRUE(source.Add(Write("a", {5000, 9000, 1000, 8000, 10000}), 0).ok());
  EXPECT_EQ(Order(source), "a@0 a@4 a@4 a@4 a@5 ");
  EXPECT_EQ(source.clamped(), 2u);
  EXPECT_EQ(source.first(), 100'005'000'000u);
  EXPECT_EQ(source.last(), 100'010'000'000u);
}

TEST_F(PacketSourceTest, FractionsOfMillisecondsAddUp) {
  PacketSource source;
  ASSERT_TRUE(source.Add(Write("a", {0, 900, 1800, 2700}), 0).ok());
  EXPECT_EQ(Order(source), "a@0 a@0 a@1 a@2 ");
}

TEST_F(PacketSourceTest, ErrorsAreTheReaders) {
  PacketSource source;
  EXPECT_FALSE(source.Add(folder_ + "/none", 0).ok());
  const std::string path = Write("cut", {0, 1});
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
  ASSERT_TRUE(source.Add(path, 0).ok());
  SourcedPacket packet;
  EXPECT_TRUE(source.Next(packet).ok());
  EXPECT_NE(source.Next(packet).status().message().find("cut: packet 2: "),
            std::string::npos);
}

TEST(SidesByAddress, TheSourceDecides) {
  const SidesByAddress sides{
      .inside_nets = {*ParsePrefix("10.0.0.0/8"), *ParsePrefix("fd00::/8")},
      .inside = 1,
      .outside = 0};
  const struct {
    const char* packet;
    uint16_t port;
  } kCases[] = {
      {"udp 10.1.2.3:1 > 192.0.2.1:2", 1},
      {"udp 192.0.2.1:2 > 10.1.2.3:1", 0},
      {"udp [fd00::1]:1 > [2001:db8::1]:2", 1},
      {"udp [2001:db8::1]:1 > [fd00::1]:2", 0},
      {"udp 10.1.2.3:1 > 192.0.2.1:2 vlan 5", 1},
      {"udp 10.1.2.3:1 > 192.0.2.1:2 vlan 5 qinq 6", 1},
      {"arp request 10.1.2.3 > 10.0.0.1", 1},
      {"arp reply 192.0.2.1 > 10.0.0.1", 0},
      {"eth 0x88cc data 20", 0},
      {"udp 10.1.2.3:1 > 192.0.2.1:2 cut 29", 0},
      {"hex 00", 0},
  };
  for (const auto& [packet, port] : kCases) {
    EXPECT_EQ(sides.PortOf(FrameFromText(packet)), port) << packet;
  }
}

}  // namespace
}  // namespace sluice
