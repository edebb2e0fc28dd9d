// Checksums that the sender left to a NIC, filled in by software.
#include "packet/checksum.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "packet/parse.h"
#include "tests/support/packet_text.h"
#include "tests/support/plain_mbuf.h"

namespace sluice {
namespace {

struct Case {
  const char* name;
  const char* packet;
  uint32_t field;   // of the transport checksum, from the transport header
  uint32_t length;  // of the field
};

constexpr std::array<Case, 7> kCases = {{
    {"TcpOverIpv4", "tcp 10.0.0.2:1025 > 10.0.0.1:80 PA seq 1 ack 2 data 301",
     16, 2},
    {"TcpOverIpv6",
     "tcp [2001:db8::2]:1025 > [2001:db8::1]:80 PA seq 1 ack 2 data 301", 16,
     2},
    {"UdpOverIpv4", "udp 10.0.0.2:5000 > 10.0.0.1:53 data 40", 6, 2},
    {"UdpOverIpv6", "udp [2001:db8::2]:5000 > [2001:db8::1]:53 data 40", 6, 2},
    {"SctpOverIpv4", "sctp 10.0.0.2:5000 > 10.0.0.1:53 data 33", 8, 4},
    {"SctpOverIpv6", "sctp [2001:db8::2]:5000 > [2001:db8::1]:53 data 33", 8,
     4},
    {"TaggedTcp", "tcp 10.0.0.2:1 > 10.0.0.1:80 S vlan 7", 16, 2},
}};

class CompleteChecksumsTest : public testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(All, CompleteChecksumsTest,
                         testing::ValuesIn(kCases), [](const auto& info) {
                           return info.param.name;
                         });

TEST_P(CompleteChecksumsTest, WritesWhatTheSenderLeftOut) {
  const std::vector<uint8_t> right = FrameFromText(GetParam().packet);
  PacketInfo info;
  {
    PlainMbuf mbuf(right);
    ParsePacket(*mbuf, {}, &info);
    ASSERT_EQ(info.kind, Kind::kIp);
  }
  // What lies in the field until then is nobody's business.
  std::vector<uint8_t> partial = right;
  for (uint32_t i = 0; i < GetParam().length; ++i) {
    partial[info.l4_offset + GetParam().field + i] ^= 0x5a;
  }
  constexpr std::array<uint32_t, 3> kPieces = {51, 1, 7};
  for (const std::span<const uint32_t> pieces :
       {std::span<const uint32_t>(), std::span<const uint32_t>(kPieces)}) {
    PlainMbuf mbuf(partial, pieces);
    mbuf.get()->ol_flags = RTE_MBUF_F_RX_L4_CKSUM_NONE;
    PacketInfo seen;
    ParsePacket(*mbuf, {}, &seen);
    ASSERT_EQ(seen.kind, Kind::kIp);
    CompleteChecksums(*mbuf.get(), seen);
    EXPECT_EQ(mbuf.bytes(), right);
    EXPECT_EQ((*mbuf).ol_flags, RTE_MBUF_F_RX_L4_CKSUM_GOOD);
  }
}

TEST_P(CompleteChecksumsTest, LeavesAllOthersAlone) {
  std::vector<uint8_t> wrong = FrameFromText(GetParam().packet);
  PacketInfo info;
  PlainMbuf right(wrong);
  ParsePacket(*right, {}, &info);
  wrong[info.l4_offset + GetParam().field] ^= 1;
  for (const uint64_t flags : {uint64_t{0},
                               uint64_t{RTE_MBUF_F_RX_L4_CKSUM_GOOD},
                               uint64_t{RTE_MBUF_F_RX_L4_CKSUM_BAD}}) {
    PlainMbuf mbuf(wrong);
    mbuf.get()->ol_flags = flags;
    CompleteChecksums(*mbuf.get(), info);
    EXPECT_EQ(mbuf.bytes(), wrong);
    EXPECT_EQ((*mbuf).ol_flags, flags);
  }
}

TEST(ChecksumTest, Ipv4Header) {
  const std::vector<uint8_t> right = FrameFromText(kCases[2].packet);
  std::vector<uint8_t> partial = right;
  partial[14 + 10] ^= 0xff;
  PlainMbuf mbuf(partial);
  mbuf.get()->ol_flags = RTE_MBUF_F_RX_IP_CKSUM_NONE;
  PacketInfo info;
  ParsePacket(*mbuf, {}, &info);
  ASSERT_EQ(info.kind, Kind::kIp);
  CompleteChecksums(*mbuf.get(), info);
  EXPECT_EQ(mbuf.bytes(), right);
}

TEST(ChecksumTest, AUdpSumOfZeroIsWrittenAsOnes) {
  // The payload's last word makes the sum come out as zero.
  std::vector<uint8_t> frame =
      FrameFromText("udp 10.0.0.2:5000 > 10.0.0.1:53 data 0x0000");
  PlainMbuf first(frame);
  PacketInfo info;
  ParsePacket(*first, {}, &info);
  uint16_t sum;
  std::memcpy(&sum, &frame[info.l4_offset + 6], sizeof sum);
  std::memcpy(&frame[info.l4_offset + 8], &sum, sizeof sum);
  frame[info.l4_offset + 6] = frame[info.l4_offset + 7] = 0x11;
  PlainMbuf mbuf(frame);
  mbuf.get()->ol_flags = RTE_MBUF_F_RX_L4_CKSUM_NONE;
  CompleteChecksums(*mbuf.get(), info);
  EXPECT_EQ(mbuf.bytes()[info.l4_offset + 6], 0xff);
  EXPECT_EQ(mbuf.bytes()[info.l4_offset + 7], 0xff);
  EXPECT_TRUE(TransportChecksumIsRight(*mbuf, info));
}

}  // namespace
}  // namespace sluice
