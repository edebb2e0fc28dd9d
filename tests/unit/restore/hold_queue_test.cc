#include "restore/hold_queue.h"

#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include <array>
#include <string_view>
#include <vector>

#include "packet/parse.h"
#include "tests/support/packet_text.h"
#include "tests/support/plain_mbuf.h"

namespace sluice {
namespace {

constexpr FilterStatus Status(RestoreState state, uint32_t incarnation = 1) {
  return {.incarnation = incarnation,
          .state = state,
          .flags = kFilterEnabled | kFilterExpects};
}

class HoldQueueTest : public ::testing::Test {
 protected:
  HoldBudget budget_{1000};
  HoldQueue queue_{&budget_};
  std::array<rte_mbuf, kMaxHeldPackets + 1> mbufs_{};
  std::array<rte_mbuf*, 32> out_{};
};

TEST_F(HoldQueueTest, ReplaysInOrderAroundTheEndOfItsRing) {
  size_t next_in = 0;
  size_t next_out = 0;
  for (int round = 0; round < 40; ++round) {
    for (int i = 0; i < 20; ++i) {
      ASSERT_TRUE(queue_.Hold(&mbufs_[next_in++ % mbufs_.size()], 1, 5));
    }
    const uint32_t taken = queue_.TakeReplayed(std::span(out_).first(20), 7);
    ASSERT_EQ(taken, 20u);
    for (uint32_t i = 0; i < taken; ++i) {
      EXPECT_EQ(out_[i], &mbufs_[next_out++ % mbufs_.size()]);
    }
  }
  EXPECT_TRUE(queue_.empty());
  EXPECT_EQ(budget_.used(), 0u);
  EXPECT_EQ(queue_.statistics().held, 800u);
  EXPECT_EQ(queue_.statistics().replayed, 800u);
  EXPECT_EQ(queue_.statistics().longest, 2u);
}

TEST_F(HoldQueueTest, FullRefusesTheNewest) {
  for (uint32_t i = 0; i < kMaxHeldPackets; ++i) {
    ASSERT_TRUE(queue_.Hold(&mbufs_[i], 1, 0));
  }
  EXPECT_FALSE(queue_.Hold(&mbufs_[kMaxHeldPackets], 1, 0));
  EXPECT_EQ(queue_.statistics().refused_full, 1u);
  ASSERT_EQ(queue_.TakeReplayed(out_, 1), 32u);
  EXPECT_EQ(out_[0], &mbufs_[0]);
  EXPECT_TRUE(queue_.Hold(&mbufs_[kMaxHeldPackets], 1, 1));
}

TEST_F(HoldQueueTest, AllPortsShareOneBudget) {
  HoldBudget budget(3);
  HoldQueue first(&budget);
  HoldQueue second(&budget);
  EXPECT_TRUE(first.Hold(&mbufs_[0], 1, 0));
  EXPECT_TRUE(first.Hold(&mbufs_[1], 1, 0));
  EXPECT_TRUE(second.Hold(&mbufs_[2], 1, 0));
  EXPECT_FALSE(second.Hold(&mbufs_[3], 1, 0));
  EXPECT_EQ(second.statistics().refused_budget, 1u);
  EXPECT_EQ(budget.used(), 3u);
  EXPECT_EQ(first.TakeDropped(Status(RestoreState::kFailed), out_, 0), 2u);
  EXPECT_TRUE(second.Hold(&mbufs_[3], 1, 0));
  EXPECT_EQ(second.TakeReplayed(out_, 0), 2u);
  EXPECT_EQ(budget.used(), 0u);
  EXPECT_EQ(HoldBudget::ShareOf(8192), 409u);
  EXPECT_EQ(HoldBudget::ShareOf(1), 1u);
}

TEST_F(HoldQueueTest, OnlyWhatWaitedTooLongExpires) {
  // Across the wrap of the tick.
  const Tick start = 0xffffffffu - 50;
  ASSERT_TRUE(queue_.Hold(&mbufs_[0], 1, start));
  ASSERT_TRUE(queue_.Hold(&mbufs_[1], 1, start + 100));
  EXPECT_EQ(queue_.TakeExpired(out_, start + kMaxHoldTime - 1), 0u);
  EXPECT_EQ(queue_.TakeExpired(out_, start + kMaxHoldTime), 1u);
  EXPECT_EQ(out_[0], &mbufs_[0]);
  EXPECT_EQ(queue_.size(), 1u);
  EXPECT_EQ(queue_.TakeExpired(out_, start + 100 + kMaxHoldTime), 1u);
  EXPECT_EQ(queue_.statistics().dropped_expired, 2u);
}

TEST_F(HoldQueueTest, TheStatusDecidesTheEnd) {
  using enum RestoreState;
  EXPECT_EQ(queue_.EndOf(Status(kRestored), false), HoldEnd::kWait);
  ASSERT_TRUE(queue_.Hold(&mbufs_[0], 1, 0));
  for (const RestoreState state : {kExpect, kQueued, kValidating,
                                   kCommitting}) {
    EXPECT_EQ(queue_.EndOf(Status(state), true), HoldEnd::kWait);
  }
  EXPECT_EQ(queue_.EndOf(Status(kRestored), false), HoldEnd::kReplay);
  EXPECT_EQ(queue_.EndOf(Status(kSkipped), false), HoldEnd::kReplay);
  EXPECT_EQ(queue_.EndOf(Status(kFailed), false), HoldEnd::kDrop);
  EXPECT_EQ(queue_.EndOf(Status(kFailed), true), HoldEnd::kEmergency);
  // Another life of the filter, whatever has become of it.
  EXPECT_EQ(queue_.EndOf(Status(kRestored, 3), true), HoldEnd::kDrop);
  EXPECT_EQ(queue_.EndOf({.incarnation = 2, .state = kCancelled}, true),
            HoldEnd::kDrop);
  EXPECT_EQ(queue_.TakeDropped({.incarnation = 2, .state = kCancelled}, out_,
                               0),
            1u);
  EXPECT_EQ(queue_.statistics().dropped_cancelled, 1u);
  EXPECT_EQ(queue_.statistics().dropped_failed, 0u);
}

bool Bypasses(std::string_view text) {
  const std::vector<uint8_t> frame = FrameFromText(text);
  PlainMbuf mbuf(frame);
  PacketInfo info;
  ParsePacket(*mbuf, {}, &info);
  return MayBypassHold(info, *mbuf);
}

TEST(HoldBypassTest, WhatANeighbourNeeds) {
  for (const std::string_view text :
       {"arp request 10.0.0.2 > 10.0.0.1",
        "udp 10.0.0.2:68 > 10.0.0.1:67 data 300",
        "udp 10.0.0.1:67 > 10.0.0.2:68 data 300",
        "udp [fe80::1]:546 > [ff02::1:2]:547 data 20",
        "udp [fe80::2]:547 > [fe80::1]:546 data 20"}) {
    EXPECT_TRUE(Bypasses(text)) << text;
  }
  for (const std::string_view text :
       {"tcp 10.0.0.2:1 > 10.0.0.1:2 S", "udp 10.0.0.2:68 > 10.0.0.1:69",
        "udp 10.0.0.2:5353 > 10.0.0.1:67", "eth 0x88cc data 0x0207",
        "icmp 10.0.0.1 > 10.0.0.2 echo id 7 seq 1 data 5",
        "icmp 2001:db8::1 > 2001:db8::2 echo id 7 seq 1 data 5",
        "udp [fe80::1]:67 > [fe80::2]:68"}) {
    EXPECT_FALSE(Bypasses(text)) << text;
  }
}

TEST(HoldBypassTest, NeighbourDiscoveryIsOneHopAway) {
  PlainMbuf mbuf(std::vector<uint8_t>(64));
  PacketInfo info = {};
  info.kind = Kind::kIp;
  info.family = Family::kIpv6;
  info.proto = protocol::kIcmp6;
  for (int type = 0; type < 256; ++type) {
    info.icmp_type = static_cast<uint8_t>(type);
    info.ttl = 255;
    EXPECT_EQ(MayBypassHold(info, *mbuf), type >= 133 && type <= 137) << type;
    info.ttl = 254;
    EXPECT_FALSE(MayBypassHold(info, *mbuf)) << type;
  }
}

TEST(HoldBypassTest, ArpBehindVlanTags) {
  for (const std::string_view tags : {"", "81000001", "88a8000181000001",
                                      "88a800018100000181000001"}) {
    std::vector<uint8_t> frame(12, 2);
    for (size_t i = 0; i < tags.size(); i += 2) {
      frame.push_back(static_cast<uint8_t>(
          std::stoi(std::string(tags.substr(i, 2)), nullptr, 16)));
    }
    frame.insert(frame.end(), {0x08, 0x06});
    PlainMbuf mbuf(frame);
    PacketInfo info = {};
    info.kind = Kind::kNonIp;
    EXPECT_TRUE(MayBypassHold(info, *mbuf)) << tags;
    frame.pop_back();
    PlainMbuf cut(frame);
    EXPECT_FALSE(MayBypassHold(info, *cut)) << tags;
  }
}

}  // namespace
}  // namespace sluice
