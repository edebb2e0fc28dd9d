// Packets that have crossed are those that a sender in the other family would
// have sent, to the last byte, however they lie in buffers.
#include "packet/family.h"

#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include <random>
#include <string>
#include <vector>

#include "packet/checksum.h"
#include "packet/embedded_address.h"
#include "packet/fragment.h"
#include "packet/icmp_family.h"
#include "packet/inner.h"
#include "packet/parse.h"
#include "tests/support/mbuf_pool.h"
#include "tests/support/packet_text.h"

namespace sluice {
namespace {

AddressBytes Bytes(const char* text) { return ParseAddress(text)->bytes; }

TEST(EmbeddedAddressTest, LengthsOfRfc6052) {
  const struct {
    uint8_t length;
    const char* prefix;
    const char* address;
  } cases[] = {
      {32, "2001:db8::", "2001:db8:c000:221::"},
      {40, "2001:db8:100::", "2001:db8:1c0:2:21::"},
      {48, "2001:db8:122::", "2001:db8:122:c000:2:2100::"},
      {56, "2001:db8:122:300::", "2001:db8:122:3c0:0:221::"},
      {64, "2001:db8:122:344::", "2001:db8:122:344:c0:2:2100::"},
      {96, "2001:db8:122:344::", "2001:db8:122:344::c000:221"},
  };
  const AddressBytes host = Bytes("192.0.2.33");
  for (const auto& c : cases) {
    SCOPED_TRACE(int{c.length});
    EXPECT_EQ(EmbedIpv4(Bytes(c.prefix), c.length, host), Bytes(c.address));
    EXPECT_EQ(ExtractIpv4(Bytes(c.address), c.length), host);
    EXPECT_EQ(FindEmbedding(Bytes(c.address), host), c.length);
    // What lies behind the prefix, the eight bits in the middle included, goes.
    AddressBytes full = Bytes(c.prefix);
    for (size_t i = c.length / 8; i < full.size(); ++i) full[i] = 0xff;
    EXPECT_EQ(EmbedIpv4(full, c.length, host), Bytes(c.address));
  }
  EXPECT_EQ(FindEmbedding(Bytes("2001:db8::1"), host), 0);
}

TEST(EmbeddedAddressTest, LongerPrefixesKeepTheirOwnBits) {
  const AddressBytes host = Bytes("192.0.2.33");
  EXPECT_EQ(EmbedIpv4(Bytes("2001:db8::a00:0"), 104, host),
            Bytes("2001:db8::a00:221"));
  EXPECT_EQ(EmbedIpv4(Bytes("2001:db8::7"), 128, host), Bytes("2001:db8::7"));
  EXPECT_EQ(EmbedIpv4(Bytes("2001:db8::"), 125, host), Bytes("2001:db8::1"));
  EXPECT_EQ(ExtractIpv4(Bytes("2001:db8::a00:221"), 120), Bytes("10.0.2.33"));
  for (int length = 0; length <= 128; ++length) {
    EXPECT_EQ(IsEmbeddingLength(static_cast<uint8_t>(length)),
              length >= 96 || (length >= 32 && length <= 64 &&
                               length % 8 == 0))
        << length;
  }
}

TEST(EmbeddedAddressTest, TruncatedAddressesKeepTheNetwork) {
  const AddressBytes from = Bytes("2001:db8::c000:221");
  EXPECT_EQ(TruncateToIpv4(Bytes("10.1.2.3"), 32, from), Bytes("10.1.2.3"));
  EXPECT_EQ(TruncateToIpv4(Bytes("10.1.2.3"), 0, from), Bytes("192.0.2.33"));
  EXPECT_EQ(TruncateToIpv4(Bytes("10.1.2.3"), 20, from), Bytes("10.1.2.33"));
}

wire::Icmp Message(uint8_t type, uint8_t code, uint32_t word) {
  return {.type = type,
          .code = code,
          .checksum = Be16(0),
          .id = Be16(static_cast<uint16_t>(word >> 16)),
          .sequence = Be16(static_cast<uint16_t>(word))};
}

struct IcmpCase {
  uint8_t type, code;
  uint32_t word;
  int to_type;  // -1: there is none
  uint8_t to_code;
  uint32_t to_word;
};

void Check(Family from, const IcmpCase& c, uint32_t quoted = 1500) {
  SCOPED_TRACE(testing::Message() << int{c.type} << " " << int{c.code} << " "
                                  << c.word);
  wire::Icmp icmp = Message(c.type, c.code, c.word);
  const bool known = TranslateIcmp(from, quoted, &icmp);
  ASSERT_EQ(known, c.to_type >= 0);
  if (!known) return;
  EXPECT_EQ(icmp.type, c.to_type);
  EXPECT_EQ(icmp.code, c.to_code);
  EXPECT_EQ(uint32_t{icmp.id.host()} << 16 | icmp.sequence.host(), c.to_word);
}

TEST(IcmpFamilyTest, MessagesOfIpv4) {
  const IcmpCase cases[] = {
      {8, 0, 0x70003, 128, 0, 0x70003},
      {0, 0, 0x70003, 129, 0, 0x70003},
      {3, 0, 0, 1, 0, 0},
      {3, 1, 0, 1, 0, 0},
      {3, 2, 0, 4, 1, 6},
      {3, 3, 0, 1, 4, 0},
      {3, 4, 1400, 2, 0, 1420},
      {3, 4, 100, 2, 0, 1280},
      // Of a router that says no MTU: the next plateau below 1500.
      {3, 4, 0, 2, 0, 1512},
      {3, 5, 0, 1, 0, 0},
      {3, 6, 0, 1, 0, 0},
      {3, 7, 0, 1, 0, 0},
      {3, 8, 0, 1, 0, 0},
      {3, 9, 0, 1, 1, 0},
      {3, 10, 0, 1, 1, 0},
      {3, 11, 0, 1, 0, 0},
      {3, 12, 0, 1, 0, 0},
      {3, 13, 0, 1, 1, 0},
      {3, 14, 0, -1, 0, 0},
      {3, 15, 0, 1, 1, 0},
      {3, 16, 0, -1, 0, 0},
      {3, 255, 0, -1, 0, 0},
      {11, 0, 0, 3, 0, 0},
      {11, 1, 0, 3, 1, 0},
      {12, 1, 0, -1, 0, 0},
      {12, 3, 0, -1, 0, 0},
      {4, 0, 0, -1, 0, 0},
      {5, 0, 0, -1, 0, 0},
      {13, 0, 0, -1, 0, 0},
  };
  for (const IcmpCase& c : cases) Check(Family::kIpv4, c);
  // The length of extensions, beside the MTU, is no part of it.
  Check(Family::kIpv4, {3, 3, 0x00200000, 1, 4, 0});
  const int pointers[] = {0,  1,  4,  4,  -1, -1, -1, -1, 7,  6, -1,
                          -1, 8,  8,  8,  8,  24, 24, 24, 24, -1, -1};
  for (uint32_t i = 0; i < std::size(pointers); ++i) {
    for (const uint8_t code : {0, 2}) {
      Check(Family::kIpv4,
            {12, code, i << 24, pointers[i] < 0 ? -1 : 4, 0,
             static_cast<uint32_t>(pointers[i])});
    }
  }
  const struct {
    uint32_t quoted, mtu;
  } plateaus[] = {{65535, 32020}, {2000, 1512}, {1492, 1280}, {60, 1280},
                  {4353, 4372}};
  for (const auto& p : plateaus) {
    Check(Family::kIpv4, {3, 4, 0, 2, 0, p.mtu}, p.quoted);
  }
}

TEST(IcmpFamilyTest, MessagesOfIpv6) {
  const IcmpCase cases[] = {
      {128, 0, 0x70003, 8, 0, 0x70003},
      {129, 0, 0x70003, 0, 0, 0x70003},
      {1, 0, 0, 3, 1, 0},
      {1, 1, 0, 3, 10, 0},
      {1, 2, 0, 3, 1, 0},
      {1, 3, 0, 3, 1, 0},
      {1, 4, 0, 3, 3, 0},
      {1, 5, 0, -1, 0, 0},
      {2, 0, 1280, 3, 4, 1260},
      {2, 0, 9000, 3, 4, 8980},
      {2, 0, 7, 3, 4, 68},
      {2, 0, 0xffffffff, 3, 4, 65535},
      {3, 0, 0, 11, 0, 0},
      {3, 1, 0, 11, 1, 0},
      {4, 1, 6, 3, 2, 0},
      {4, 2, 0, -1, 0, 0},
      {130, 0, 0, -1, 0, 0},
      {135, 0, 0, -1, 0, 0},
  };
  for (const IcmpCase& c : cases) Check(Family::kIpv6, c);
  for (uint32_t i = 0; i < 50; ++i) {
    const int pointer = i == 0 || i == 1 ? static_cast<int>(i)
                        : i < 4          ? -1
                        : i < 6          ? 2
                        : i == 6         ? 9
                        : i == 7         ? 8
                        : i < 24         ? 12
                        : i < 40         ? 16
                                         : -1;
    Check(Family::kIpv6, {4, 0, i, pointer < 0 ? -1 : 12, 0,
                          static_cast<uint32_t>(pointer) << 24});
  }
}

class FamilyTest : public testing::Test {
 protected:
  static MbufPool& pool() {
    static MbufPool pool(2047);
    return pool;
  }

  struct Crossed {
    CrossResult result;
    std::vector<std::vector<uint8_t>> frames;
  };

  // The packet `from` as one with the ends, and in the family, of `to`.
  Crossed Cross(const std::vector<uint8_t>& from,
                const std::vector<uint8_t>& to, uint32_t segment,
                uint16_t mtu = 1500, uint32_t id = 1) {
    rte_mbuf* wanted = pool().Make(to);
    PacketInfo other;
    ParsePacket(*wanted, {}, &other);
    rte_pktmbuf_free(wanted);
    rte_mbuf* mbuf = pool().Make(from, segment);
    PacketInfo info;
    ParsePacket(*mbuf, {}, &info);
    EXPECT_EQ(info.kind, Kind::kIp);
    CrossedForm form;
    Crossed crossed;
    crossed.result = CrossFamilies(
        &mbuf, &info,
        {.ends = EndsOf(other), .mtu = mtu, .id = id, .pool = pool().get()},
        &form);
    if (crossed.result != CrossResult::kDone) {
      rte_pktmbuf_free(mbuf);
      return crossed;
    }
    EXPECT_TRUE(TransportChecksumIsRight(*mbuf, info));
    PacketInfo again;
    ParsePacket(*mbuf, {}, &again);
    EXPECT_EQ(again.kind, Kind::kIp);
    EXPECT_EQ(EndsOf(again), EndsOf(info));
    EXPECT_EQ(EndsOf(again), EndsOf(other));
    mbuf = MakeFragments(mbuf, info, form, pool().get());
    if (form.fragment_data == 0) {
      crossed.frames.push_back(BytesOf(mbuf));
      rte_pktmbuf_free(mbuf);
      return crossed;
    }
    FragmentSplitter fragments(mbuf);
    while (rte_mbuf* fragment = fragments.Next()) {
      crossed.frames.push_back(BytesOf(fragment));
      rte_pktmbuf_free(fragment);
    }
    return crossed;
  }

  static std::vector<uint8_t> FrameOf(const std::string& text,
                                      const std::vector<uint8_t>& macs) {
    std::vector<uint8_t> frame = FrameFromText(text);
    std::copy_n(macs.begin(), 12, frame.begin());
    return frame;
  }
};

constexpr uint32_t kSegments[] = {0, 1, 7, 13, 35, 54, 60};

TEST_F(FamilyTest, PacketsAreWhatTheOtherFamilyWouldHaveSent) {
  const struct {
    std::string from, to;
  } cases[] = {
      {"tcp 10.0.0.2:1025 > 192.0.2.1:80 PA seq 1 ack 2 data \"odd\" tos 7",
       "tcp [2001:db8::2]:50001 > [2001:db8::1]:8080 PA seq 1 ack 2 data "
       "\"odd\" tos 7 ttl 63"},
      {"udp 10.0.0.2:1025 > 192.0.2.1:53 data \"abcd\" vlan 7 pcp 3",
       "udp [2001:db8::2]:1025 > [2001:db8::1]:53 data \"abcd\" ttl 63 vlan 7 "
       "pcp 3"},
      {"udp 10.0.0.2:1025 > 192.0.2.1:53 cksum 0 data 33 qinq 9 vlan 7",
       "udp [2001:db8::2]:1025 > [2001:db8::1]:53 data 33 ttl 63 qinq 9 vlan 7"},
      {"icmp 10.0.0.2 > 192.0.2.1 echo id 7 seq 1 data 21 ttl 2",
       "icmp 2001:db8::2 > 2001:db8::1 echo id 40000 seq 1 data 21 ttl 1"},
      {"icmp 10.0.0.2 > 192.0.2.1 echoreply id 7 seq 1",
       "icmp 2001:db8::2 > 2001:db8::1 echoreply id 9 seq 1 ttl 63"},
      {"sctp 10.0.0.2:5 > 192.0.2.1:7 data 0x01000004",
       "sctp [2001:db8::2]:6 > [2001:db8::1]:7 data 0x01000004 ttl 63"},
      {"ip 10.0.0.2 > 192.0.2.1 proto 47 data 20",
       "ip 2001:db8::2 > 2001:db8::1 proto 47 data 20 ttl 63"},
      {"udp 10.0.0.2:1025 > 192.0.2.1:53 data 3 pad 9",
       "udp [2001:db8::2]:1025 > [2001:db8::1]:53 data 3 ttl 63"},
      {"tcp [2001:db8::2]:1025 > [2001:db8::1]:80 S seq 1 <mss 1440> tos 0xff",
       "tcp 10.0.0.2:1026 > 192.0.2.1:81 S seq 1 <mss 1440> tos 0xff ttl 63"},
      {"udp [2001:db8::2]:1025 > [2001:db8::1]:53 data 3",
       "udp 10.0.0.2:1026 > 192.0.2.1:81 data 3 ttl 63"},
      {"icmp 2001:db8::2 > 2001:db8::1 echo id 7 seq 1 data 20",
       "icmp 10.0.0.2 > 192.0.2.1 echo id 8 seq 1 data 20 ttl 63"},
      {"icmp 2001:db8::2 > 2001:db8::1 echoreply id 7 seq 1 data 1",
       "icmp 10.0.0.2 > 192.0.2.1 echoreply id 7 seq 1 data 1 ttl 63"},
      {"udp [2001:db8::2]:1 > [2001:db8::1]:53 ext { hopopts dstopts } data 3",
       "udp 10.0.0.2:1 > 192.0.2.1:53 data 3 ttl 63"},
      {"udp [2001:db8::2]:1 > [2001:db8::1]:53 data 1233",
       "udp 10.0.0.2:1 > 192.0.2.1:53 data 1233 ttl 63 ipid 0 df"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.from);
    const std::vector<uint8_t> sent = FrameFromText(c.from);
    const std::vector<uint8_t> wanted = FrameOf(c.to, sent);
    for (const uint32_t segment : kSegments) {
      const Crossed crossed = Cross(sent, wanted, segment);
      ASSERT_EQ(crossed.result, CrossResult::kDone) << segment;
      ASSERT_EQ(crossed.frames.size(), 1u);
      ASSERT_EQ(crossed.frames[0], wanted) << segment;
    }
  }
  EXPECT_EQ(pool().InUse(), 0u);
}

TEST_F(FamilyTest, WhatCannotCrossIsRefused) {
  const std::string to4 = "udp 10.0.0.2:1 > 192.0.2.1:53";
  const std::string to6 = "udp [2001:db8::2]:1 > [2001:db8::1]:53";
  const struct {
    std::string from;
    CrossResult result;
  } cases[] = {
      {"udp 10.0.0.2:1 > 192.0.2.1:53 ttl 1", CrossResult::kRefused},
      {"udp [2001:db8::2]:1 > [2001:db8::1]:53 ttl 1", CrossResult::kRefused},
      {"udp 10.0.0.2:1 > 192.0.2.1:53 ipopts { ssrr }", CrossResult::kRefused},
      {"ip 10.0.0.2 > 192.0.2.1 proto 2 data 8", CrossResult::kRefused},
      {"udp 127.0.0.1:1 > 192.0.2.1:53", CrossResult::kRefused},
      {"udp 10.0.0.2:1 > 224.0.0.9:53", CrossResult::kRefused},
      {"udp [fe80::2]:1 > [2001:db8::1]:53", CrossResult::kRefused},
      {"udp [2001:db8::2]:1 > [ff0e::1]:53", CrossResult::kRefused},
      {"icmp 10.0.0.2 > 192.0.2.1 17 data 4", CrossResult::kRefused},
      {"icmp 10.0.0.2 > 192.0.2.1 timex inner { udp 192.0.2.1:1 > 10.0.0.2:2 }",
       CrossResult::kRefused},
      {"udp 10.0.0.2:1 > 192.0.2.1:53 data 1453 df", CrossResult::kTooBig},
      {"udp [2001:db8::2]:1 > [2001:db8::1]:53 data 1473",
       CrossResult::kTooBig},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.from);
    const std::vector<uint8_t> sent = FrameFromText(c.from);
    const bool v4 = sent[12] == 8;
    const Crossed crossed = Cross(sent, FrameFromText(v4 ? to6 : to4), 0);
    EXPECT_EQ(crossed.result, c.result);
  }
  EXPECT_EQ(pool().InUse(), 0u);
}

TEST_F(FamilyTest, LargeOnesOfIpv4LeaveAsFragments) {
  for (const uint32_t data : {1233u, 1300u, 1472u, 4000u, 30000u}) {
    for (const uint32_t segment : {0u, 700u}) {
      const std::string ends = " data " + std::to_string(data);
      const std::vector<uint8_t> sent =
          FrameFromText("udp 10.0.0.2:1 > 192.0.2.1:53 ipid 0x1234" + ends);
      const std::string whole =
          "udp [2001:db8::2]:1 > [2001:db8::1]:53 ttl 63 ipid 0x1234" + ends;
      const Crossed crossed =
          Cross(sent, FrameOf(whole, sent), segment, 1500, 99);
      ASSERT_EQ(crossed.result, CrossResult::kDone);
      uint32_t at = 0;
      for (const std::vector<uint8_t>& frame : crossed.frames) {
        const uint32_t length = std::min(1232u, data + 8 - at);
        ASSERT_EQ(frame,
                  FrameOf(whole + " part " + std::to_string(at) + " " +
                              std::to_string(length),
                          sent));
        at += length;
      }
      EXPECT_EQ(at, data + 8);
    }
  }
  EXPECT_EQ(pool().InUse(), 0u);
}

TEST_F(FamilyTest, WithoutBuffersNothingIsLost) {
  // No room before the header, none behind it.
  const std::vector<uint8_t> sent =
      FrameFromText("udp 10.0.0.2:1 > 192.0.2.1:53 data 1980 df");
  rte_mbuf* mbuf = pool().Make(sent);
  // Into the buffer's start.
  auto* base = static_cast<uint8_t*>(mbuf->buf_addr);
  std::memmove(base, rte_pktmbuf_mtod(mbuf, void*), mbuf->data_len);
  mbuf->data_off = 0;
  const uint16_t room = mbuf->buf_len;
  mbuf->buf_len = mbuf->data_len;
  PacketInfo info;
  ParsePacket(*mbuf, {}, &info);
  CrossedForm form;
  PacketEnds ends = {.source = Bytes("2001:db8::2"),
                     .destination = Bytes("2001:db8::1"),
                     .source_port = Be16(1),
                     .destination_port = Be16(53)};
  EXPECT_EQ(CrossFamilies(&mbuf, &info, {.ends = ends, .mtu = 9000}, &form),
            CrossResult::kMemory);
  mbuf->buf_len = room;
  rte_pktmbuf_free(mbuf);

  // With a pool it gets another buffer.
  mbuf = pool().Make(sent);
  std::memmove(mbuf->buf_addr, rte_pktmbuf_mtod(mbuf, void*), mbuf->data_len);
  mbuf->data_off = 0;
  rte_mbuf* const first = mbuf;
  mbuf->buf_len = mbuf->data_len;
  ParsePacket(*mbuf, {}, &info);
  EXPECT_EQ(CrossFamilies(
                &mbuf, &info,
                {.ends = ends, .mtu = 9000, .pool = pool().get()}, &form),
            CrossResult::kDone);
  EXPECT_NE(mbuf, first);
  EXPECT_EQ(mbuf->nb_segs, 2);
  EXPECT_EQ(BytesOf(mbuf),
            FrameOf("udp [2001:db8::2]:1 > [2001:db8::1]:53 data 1980 ttl 63",
                    sent));
  first->buf_len = room;
  rte_pktmbuf_free(mbuf);
  EXPECT_EQ(pool().InUse(), 0u);
}

TEST_F(FamilyTest, ErrorsQuoteWhatWasSent) {
  const struct {
    std::string from;
    std::string quoted;  // has the ends that the quotation gets
    std::string to;
  } cases[] = {
      {"icmp 203.0.113.9 > 192.0.2.1 timex inner { udp 192.0.2.1:2000 > "
       "198.51.100.7:53 data 20 }",
       "udp [2001:db8::2]:1025 > [64:ff9b::c633:6407]:53",
       "icmp 64:ff9b::cb00:7109 > 2001:db8::2 timex ttl 63 inner { udp "
       "[2001:db8::2]:1025 > [64:ff9b::c633:6407]:53 data 20 }"},
      // Cut amid the transport header: there is no checksum to write.
      {"icmp 203.0.113.9 > 192.0.2.1 timex inner { tcp 192.0.2.1:2000 > "
       "198.51.100.7:80 S seq 7 cut 28 }",
       "tcp [2001:db8::2]:1025 > [2001:db8::9]:80 S",
       "icmp 2001:db8::9 > 2001:db8::2 timex ttl 63 inner { tcp "
       "[2001:db8::2]:1025 > [2001:db8::9]:80 S seq 7 cut 48 }"},
      {"icmp 2001:db8::9 > 64:ff9b::c633:6407 unreach port inner { udp "
       "[64:ff9b::c633:6407]:53 > [2001:db8::2]:1025 data 1100 }",
       "udp 198.51.100.7:53 > 192.0.2.1:2000",
       "icmp 192.0.2.1 > 198.51.100.7 unreach port ttl 63 ipid 1 inner { udp "
       "198.51.100.7:53 > 192.0.2.1:2000 data 1100 ipid 0 }"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.from);
    const std::vector<uint8_t> sent = FrameFromText(c.from);
    const std::vector<uint8_t> wanted = FrameOf(c.to, sent);
    rte_mbuf* other = pool().Make(FrameFromText(c.quoted));
    PacketInfo expected;
    ParsePacket(*other, {}, &expected);
    rte_pktmbuf_free(other);
    for (const uint32_t segment : kSegments) {
      rte_mbuf* mbuf = pool().Make(sent, segment);
      PacketInfo info, inner;
      DropReason reason;
      ParsePacket(*mbuf, {}, &info);
      ASSERT_TRUE(ParseInner(*mbuf, info, &inner, &reason));
      ASSERT_EQ(CrossIcmpError(&mbuf, &info, inner,
                               {.ends = EndsOf(expected),
                                .id = 1,
                                .pool = pool().get()}),
                CrossResult::kDone);
      ASSERT_EQ(BytesOf(mbuf), wanted) << segment;
      rte_pktmbuf_free(mbuf);
    }
  }
  EXPECT_EQ(pool().InUse(), 0u);
}

// An error of ICMPv6 has 1280 bytes at most, and no extensions of ICMP stay
// behind a quotation of another length (RFC 4884).
TEST_F(FamilyTest, ErrorsEndWhereTheQuotationDoes) {
  std::vector<uint8_t> sent = FrameFromText(
      "icmp 203.0.113.9 > 192.0.2.1 timex inner { udp 192.0.2.1:2000 > "
      "198.51.100.7:53 data 1400 }");
  const PacketEnds ends = {.source = Bytes("2001:db8::2"),
                           .destination = Bytes("64:ff9b::c633:6407"),
                           .source_port = Be16(1025),
                           .destination_port = Be16(53)};
  for (const uint8_t words : {0, 32}) {
    sent[34 + 5] = words;
    rte_mbuf* mbuf = pool().Make(sent);
    PacketInfo info, inner;
    DropReason reason;
    ParsePacket(*mbuf, {.verify_checksums = false}, &info);
    ASSERT_TRUE(ParseInner(*mbuf, info, &inner, &reason));
    ASSERT_EQ(CrossIcmpError(&mbuf, &info, inner,
                             {.ends = ends, .pool = pool().get()}),
              CrossResult::kDone);
    EXPECT_EQ(info.ip_length, words == 0 ? 1280 : 40 + 8 + 40 + 128 - 20);
    EXPECT_EQ(mbuf->pkt_len, 14u + info.ip_length);
    PacketInfo again;
    ParsePacket(*mbuf, {}, &again);
    EXPECT_EQ(again.kind, Kind::kIp);
    ASSERT_TRUE(ParseInner(*mbuf, again, &inner, &reason));
    EXPECT_EQ(EndsOf(inner), ends);
    EXPECT_EQ(inner.ip_length, 40 + 8 + 1400);
    rte_pktmbuf_free(mbuf);
  }
}

}  // namespace
}  // namespace sluice
