// Rewritten packets are those that a sender with the other ends would have
// made, to the last byte.
#include "packet/readdress.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "packet/inner.h"
#include "packet/parse.h"
#include "tests/support/packet_text.h"
#include "tests/support/plain_mbuf.h"

namespace sluice {
namespace {

constexpr size_t kMacBytes = 12;

struct EndsCase {
  std::string from;
  std::string to;
};

// With segments that begin anywhere.
std::vector<uint32_t> RandomSegments(std::mt19937& random) {
  std::vector<uint32_t> lengths;
  for (int i = 0; i < 8; ++i) lengths.push_back(1 + random() % 40);
  return lengths;
}

std::vector<uint8_t> FrameOf(const std::string& text,
                             const std::vector<uint8_t>& macs) {
  std::vector<uint8_t> frame = FrameFromText(text);
  std::copy_n(macs.begin(), kMacBytes, frame.begin());
  return frame;
}

TEST(ReaddressTest, PacketsAreWhatTheOtherEndsWouldHaveSent) {
  const EndsCase cases[] = {
      {"tcp 10.0.0.2:1025 > 10.0.0.1:80 PA seq 1 ack 2 data \"odd\"",
       "tcp 192.0.2.7:50001 > 198.51.100.1:8080 PA seq 1 ack 2 data \"odd\""},
      {"udp 10.0.0.2:1025 > 10.0.0.1:53 data \"abcd\"",
       "udp 192.0.2.7:2 > 10.0.0.1:53 data \"abcd\""},
      {"udp 10.0.0.2:1025 > 10.0.0.1:53 cksum 0 data \"abcd\"",
       "udp 192.0.2.7:2 > 10.0.0.1:53 cksum 0 data \"abcd\""},
      {"icmp 10.0.0.2 > 10.0.0.1 echo id 7 seq 1 data 21",
       "icmp 192.0.2.7 > 10.0.0.1 echo id 40000 seq 1 data 21"},
      {"sctp 10.0.0.2:5 > 10.0.0.1:7 data 0x01000004",
       "sctp 192.0.2.7:6 > 10.0.0.1:7 data 0x01000004"},
      {"ip 10.0.0.2 > 10.0.0.1 proto 47 data 20",
       "ip 192.0.2.7 > 10.0.0.1 proto 47 data 20"},
      {"tcp [2001:db8::2]:1025 > [2001:db8::1]:80 S seq 1",
       "tcp [2001:db9::7]:50001 > [2001:db8::1]:8080 S seq 1"},
      {"udp [2001:db8::2]:1025 > [2001:db8::1]:53 data 3",
       "udp [2001:db9::7]:1 > [2001:db9::9]:53 data 3"},
      {"icmp 2001:db8::2 > 2001:db8::1 echo id 7 seq 1 data 20",
       "icmp 2001:db9::7 > 2001:db8::1 echo id 9 seq 1 data 20"},
      {"udp [2001:db8::2]:1 > [2001:db8::1]:53 ext { hopopts } data 3",
       "udp [2001:db9::7]:1 > [2001:db9::9]:53 ext { hopopts } data 3"},
  };
  std::mt19937 random(1);
  for (const EndsCase& c : cases) {
    SCOPED_TRACE(c.from);
    const std::vector<uint8_t> sent = FrameFromText(c.from);
    const std::vector<uint8_t> wanted = FrameOf(c.to, sent);
    for (int i = 0; i < 50; ++i) {
      const auto segments =
          i == 0 ? std::vector<uint32_t>() : RandomSegments(random);
      PlainMbuf mbuf(sent, segments);
      PacketInfo info;
      ParsePacket(*mbuf, {}, &info);
      ASSERT_EQ(info.kind, Kind::kIp);
      PlainMbuf other(wanted);
      PacketInfo expected;
      ParsePacket(*other, {}, &expected);
      RewritePacket(*mbuf.get(), &info, EndsOf(expected));
      ASSERT_EQ(mbuf.bytes(), wanted);
      ASSERT_EQ(EndsOf(info), EndsOf(expected));
    }
  }
}

// A UDP sum that comes out as zero is written as 0xffff (RFC 768).
TEST(ReaddressTest, EveryPortGivesARightUdpChecksum) {
  const std::vector<uint8_t> sent =
      FrameFromText("udp 10.0.0.2:1025 > 10.0.0.1:53 data \"x\"");
  PlainMbuf mbuf(sent);
  PacketInfo info;
  ParsePacket(*mbuf, {}, &info);
  for (uint32_t port = 1; port < 65536; ++port) {
    PacketEnds ends = EndsOf(info);
    ends.source_port = Be16(static_cast<uint16_t>(port));
    RewritePacket(*mbuf.get(), &info, ends);
    PacketInfo again;
    ParsePacket(*mbuf, {}, &again);
    ASSERT_EQ(again.kind, Kind::kIp) << port;
    const std::vector<uint8_t> bytes = mbuf.bytes();
    ASSERT_FALSE(bytes[40] == 0 && bytes[41] == 0) << port;
  }
}

TEST(ReaddressTest, ErrorsQuoteWhatWasSent) {
  struct ErrorCase {
    std::string from;
    std::string quoted;  // a packet with the ends that the quotation gets
    std::string to;
  };
  const ErrorCase cases[] = {
      // From a router: its own address stays.
      {"icmp 10.0.0.9 > 192.0.2.7 timex inner { udp 192.0.2.7:2000 > "
       "10.0.0.1:53 data 20 }",
       "udp 10.0.0.2:1025 > 10.0.0.1:53",
       "icmp 10.0.0.9 > 10.0.0.2 timex inner { udp 10.0.0.2:1025 > 10.0.0.1:53 "
       "data 20 }"},
      // From the target of a redirection.
      {"icmp 10.0.0.1 > 10.0.0.2 unreach port inner { udp 10.0.0.2:1 > "
       "10.0.0.1:8080 data 20 }",
       "udp 10.0.0.2:1 > 192.0.2.7:80",
       "icmp 192.0.2.7 > 10.0.0.2 unreach port inner { udp 10.0.0.2:1 > "
       "192.0.2.7:80 data 20 }"},
      {"icmp 2001:db8::9 > 2001:db9::7 timex inner { udp [2001:db9::7]:2000 > "
       "[2001:db8::1]:53 data 20 }",
       "udp [2001:db8::2]:1025 > [2001:db8::1]:53",
       "icmp 2001:db8::9 > 2001:db8::2 timex inner { udp [2001:db8::2]:1025 > "
       "[2001:db8::1]:53 data 20 }"},
      {"icmp 10.0.0.9 > 192.0.2.7 timex inner { icmp 192.0.2.7 > 10.0.0.1 echo "
       "id 9 seq 1 data 8 }",
       "icmp 10.0.0.2 > 10.0.0.1 echo id 7 seq 1 data 8",
       "icmp 10.0.0.9 > 10.0.0.2 timex inner { icmp 10.0.0.2 > 10.0.0.1 echo "
       "id 7 seq 1 data 8 }"},
  };
  std::mt19937 random(1);
  for (const ErrorCase& c : cases) {
    SCOPED_TRACE(c.from);
    const std::vector<uint8_t> sent = FrameFromText(c.from);
    const std::vector<uint8_t> wanted = FrameOf(c.to, sent);
    PlainMbuf like(FrameFromText(c.quoted));
    PacketInfo quoted;
    ParsePacket(*like, {}, &quoted);
    for (int i = 0; i < 50; ++i) {
      PlainMbuf mbuf(sent, i == 0 ? std::vector<uint32_t>()
                                  : RandomSegments(random));
      PacketInfo info, inner;
      DropReason reason;
      ParsePacket(*mbuf, {}, &info);
      ASSERT_TRUE(ParseInner(*mbuf, info, &inner, &reason));
      RewriteIcmpError(*mbuf.get(), &info, inner, EndsOf(quoted));
      ASSERT_EQ(mbuf.bytes(), wanted);
    }
  }
}

// However much of the packet is quoted, the error's own checksum is right.
TEST(ReaddressTest, ACutQuotationHasNoChecksumToAdjust) {
  for (int cut = 28; cut <= 48; ++cut) {
    const std::vector<uint8_t> sent = FrameFromText(
        "icmp 10.0.0.9 > 192.0.2.7 timex inner { tcp 192.0.2.7:2000 > "
        "10.0.0.1:53 S seq 5 data 20 cut " +
        std::to_string(cut) + " }");
    PlainMbuf mbuf(sent);
    PacketInfo info, inner;
    DropReason reason;
    ParsePacket(*mbuf, {}, &info);
    ASSERT_TRUE(ParseInner(*mbuf, info, &inner, &reason)) << cut;
    PacketEnds ends = EndsOf(inner);
    ends.source = Address::V4(0x0a000002).bytes;
    ends.source_port = Be16(1025);
    RewriteIcmpError(*mbuf.get(), &info, inner, ends);
    PacketInfo again;
    ParsePacket(*mbuf, {}, &again);
    EXPECT_EQ(again.kind, Kind::kIp) << cut;
    EXPECT_EQ(ToString(again.destination_address()), "10.0.0.2");
    EXPECT_EQ(mbuf.bytes().size(), sent.size());
  }
}

}  // namespace
}  // namespace sluice
