// Replaced texts: the packet is the one that would have been sent with them.
#include "packet/payload.h"

#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include <random>
#include <string>

#include "packet/parse.h"
#include "tests/support/mbuf_pool.h"
#include "tests/support/packet_text.h"

namespace sluice {
namespace {

std::string Segment(bool v4, const std::string& payload) {
  return std::string(v4 ? "tcp 10.0.0.2:1025 > 10.0.0.1:21"
                        : "tcp [2001:db8::2]:1025 > [2001:db8::1]:21") +
         " PA seq 1 ack 2 <nop,nop,ts 1 2>" +
         (payload.empty() ? "" : " data \"" + payload + "\"");
}

TEST(PayloadTest, IsAsIfItHadBeenSentSo) {
  MbufPool pool;
  std::mt19937 random(1);
  const auto below = [&](size_t n) { return random() % n; };
  for (int i = 0; i < 2000; ++i) {
    const bool v4 = below(2) == 0;
    std::string payload(below(80), 'a');
    for (char& c : payload) c = static_cast<char>('a' + below(26));
    const size_t offset = below(payload.size() + 1);
    const size_t length = below(payload.size() - offset + 1);
    const std::string with(below(40), 'X');
    std::string wanted = payload;
    wanted.replace(offset, length, with);

    rte_mbuf* mbuf = pool.Make(FrameFromText(Segment(v4, payload)),
                               below(2) == 0 ? 0
                                             : 1 + static_cast<uint32_t>(
                                                       below(40)));
    PacketInfo info;
    ParsePacket(*mbuf, {}, &info);
    ASSERT_TRUE(ReplacePayload(*mbuf, info, static_cast<uint32_t>(offset),
                               static_cast<uint32_t>(length), with));
    const std::vector<uint8_t> frame = FrameFromText(Segment(v4, wanted));
    ASSERT_EQ(BytesOf(mbuf), frame) << payload << " -> " << wanted;
    ASSERT_EQ(mbuf->pkt_len, frame.size());
    uint32_t segments = 0;
    for (const rte_mbuf* s = mbuf; s != nullptr; s = s->next) ++segments;
    ASSERT_EQ(mbuf->nb_segs, segments);
    ASSERT_EQ(info.payload_length(), wanted.size());
    PacketInfo again;
    ParsePacket(*mbuf, {}, &again);
    ASSERT_EQ(again.kind, Kind::kIp);
    ASSERT_EQ(again.ip_length, info.ip_length);
    rte_pktmbuf_free(mbuf);
  }
  EXPECT_EQ(pool.InUse(), 0u);
}

TEST(PayloadTest, WhatDoesNotFitChangesNothing) {
  MbufPool pool;
  const std::string full(1400, 'a');
  const std::vector<uint8_t> frame = FrameFromText(Segment(true, full));
  rte_mbuf* mbuf = pool.Make(frame);
  PacketInfo info;
  ParsePacket(*mbuf, {}, &info);
  const PacketInfo before = info;
  // Beyond its end, longer than a frame may be, put together from fragments.
  EXPECT_FALSE(ReplacePayload(*mbuf, info, 1400, 1, "x"));
  EXPECT_FALSE(ReplacePayload(*mbuf, info, 1401, 0, "x"));
  EXPECT_FALSE(ReplacePayload(*mbuf, info, 0, 0, std::string(60, 'x')));
  info.flags |= kReassembled;
  EXPECT_FALSE(ReplacePayload(*mbuf, info, 0, 1, "x"));
  info.flags = before.flags;
  EXPECT_EQ(BytesOf(mbuf), frame);
  EXPECT_EQ(info.ip_length, before.ip_length);
  EXPECT_TRUE(ReplacePayload(*mbuf, info, 0, 0, std::string(40, 'x')));
  rte_pktmbuf_free(mbuf);
}

}  // namespace
}  // namespace sluice
