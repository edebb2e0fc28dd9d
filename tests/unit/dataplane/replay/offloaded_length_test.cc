#include "dataplane/replay/offloaded_length.h"

#include <gtest/gtest.h>

#include "packet/parse.h"
#include "tests/support/packet_text.h"
#include "tests/support/plain_mbuf.h"

namespace sluice {
namespace {

PacketInfo Parsed(std::span<const uint8_t> frame) {
  PlainMbuf mbuf(frame);
  PacketInfo info;
  ParsePacket(*mbuf, {}, &info);
  return info;
}

// Where the IP length lies, and the checksum of IPv4.
struct Case {
  const char* packet;
  size_t length;
  size_t checksum;  // 0: none
};

constexpr Case kCases[] = {
    {"tcp 10.0.0.2:1025 > 10.0.0.1:80 A data 3000", 16, 24},
    {"tcp 10.0.0.2:1025 > 10.0.0.1:80 A data 3000 vlan 5", 20, 28},
    {"udp 10.0.0.2:1025 > 10.0.0.1:80 data 9", 16, 24},
    {"tcp [2001:db8::2]:1 > [2001:db8::1]:2 A data 3001", 18, 0},
    {"udp [2001:db8::2]:1 > [2001:db8::1]:2 data 8 vlan 7", 22, 0},
};

TEST(OffloadedLength, WhatTheNicWasToFillInIsFilledIn) {
  for (const auto& [packet, length, checksum] : kCases) {
    const std::vector<uint8_t> right = FrameFromText(packet);
    ASSERT_EQ(Parsed(right).kind, Kind::kIp) << packet;
    std::vector<uint8_t> filled;
    EXPECT_FALSE(FillOffloadedLength(right, filled)) << packet;
    std::vector<uint8_t> frame = right;
    frame[length] = frame[length + 1] = 0;
    if (checksum != 0) frame[checksum] ^= 0x55;
    EXPECT_NE(Parsed(frame).kind, Kind::kIp) << packet;
    ASSERT_TRUE(FillOffloadedLength(frame, filled)) << packet;
    EXPECT_EQ(filled, right) << packet;
    // Too little for its headers is too little.
    for (size_t cut = 0; cut < length + 16; ++cut) {
      filled.clear();
      if (FillOffloadedLength(std::span(frame).first(cut), filled)) {
        EXPECT_EQ(filled.size(), cut);
      }
    }
  }
}

TEST(OffloadedLength, OthersHaveNoLengthForAReason) {
  std::vector<uint8_t> filled;
  // Longer than a length can say.
  std::vector<uint8_t> frame = FrameFromText(kCases[0].packet);
  frame[16] = frame[17] = 0;
  frame.resize(14 + 65536);
  EXPECT_FALSE(FillOffloadedLength(frame, filled));
  frame.resize(14 + 65535);
  EXPECT_TRUE(FillOffloadedLength(frame, filled));
  // An IPv6 header and nothing behind it, but the link layer's padding.
  frame = FrameFromText("ip 2001:db8::2 > 2001:db8::1 proto 59");
  frame.resize(60);
  EXPECT_FALSE(FillOffloadedLength(frame, filled));
  EXPECT_FALSE(FillOffloadedLength(FrameFromText("eth 0x88cc data 20"),
                                   filled));
}

}  // namespace
}  // namespace sluice
