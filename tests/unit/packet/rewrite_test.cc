// Rewritten headers: the checksums that come out are those that the whole
// packet would be given anew.
#include "packet/rewrite.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "packet/parse.h"
#include "tests/support/packet_text.h"
#include "tests/support/plain_mbuf.h"

namespace sluice {
namespace {

constexpr std::array<uint32_t, 4> kPieces = {13, 9, 17, 11};

// Calls change(mbuf, info) on `before`, in one segment and in many, and wants
// `after`, with an info that a parser would have made of it.
template <typename Change>
void ExpectRewritten(const std::string& before, const std::string& after,
                     Change change) {
  SCOPED_TRACE(before);
  const std::vector<uint8_t> wanted = FrameFromText(after);
  for (const std::span<const uint32_t> pieces :
       {std::span<const uint32_t>(), std::span<const uint32_t>(kPieces)}) {
    PlainMbuf mbuf(FrameFromText(before), pieces);
    PacketInfo info;
    ParsePacket(*mbuf, {}, &info);
    ASSERT_EQ(info.kind, Kind::kIp);
    change(*mbuf.get(), info);
    // The notation makes MAC addresses of IP addresses.
    std::vector<uint8_t> got = mbuf.bytes();
    ASSERT_EQ(got.size(), wanted.size());
    std::copy_n(wanted.begin(), 12, got.begin());
    EXPECT_EQ(got, wanted);
    PacketInfo anew;
    ParsePacket(*mbuf, {}, &anew);
    ASSERT_EQ(anew.kind, Kind::kIp);
    EXPECT_EQ(anew.flags, info.flags & ~kPrioritySet);
    EXPECT_EQ(anew.tos, info.tos);
    EXPECT_EQ(anew.ttl, info.ttl);
    EXPECT_EQ(anew.source, info.source);
    EXPECT_EQ(anew.destination, info.destination);
  }
}

TEST(RewriteTest, HeadersOfBothFamilies) {
  for (const std::string ends :
       {"udp 10.0.0.2:5000 > 10.0.0.1:53",
        "udp [2001:db8::2]:5000 > [2001:db8::1]:53"}) {
    ExpectRewritten(ends + " ttl 3 data 20", ends + " ttl 64 data 20",
                    [](rte_mbuf& m, PacketInfo& i) { SetTtl(m, i, 64); });
    ExpectRewritten(ends + " tos 0x03 data 20", ends + " tos 0xb9 data 20",
                    [](rte_mbuf& m, PacketInfo& i) { SetTos(m, i, 0xb9); });
    ExpectRewritten(ends + " vlan 7 data 20", ends + " vlan 7 data 20",
                    [](rte_mbuf& m, PacketInfo& i) {
                      SetVlanPriority(m, i, 5);
                      EXPECT_EQ(i.vlan_priority(), 5);
                      PacketInfo anew;
                      ParsePacket(m, {}, &anew);
                      EXPECT_EQ(anew.vlan_priority(), 5);
                      SetVlanPriority(m, i, 0);
                    });
    ExpectRewritten(ends + " data 20", ends + " data 20",
                    [](rte_mbuf& m, PacketInfo& i) {
                      // Nothing to write it to; the packet has it all the same.
                      SetVlanPriority(m, i, 5);
                      EXPECT_EQ(i.vlan_priority(), 5);
                      EXPECT_TRUE(i.has(kPrioritySet));
                      i.SetVlanPriority(0);
                    });
  }
}

TEST(RewriteTest, Ipv4Only) {
  const std::string ends = "udp 10.0.0.2:5000 > 10.0.0.1:53";
  ExpectRewritten(ends + " df data 20", ends + " data 20",
                  [](rte_mbuf& m, PacketInfo& i) { ClearDontFragment(m, i); });
  ExpectRewritten(ends + " ipid 1 data 20", ends + " ipid 0xfffe data 20",
                  [](rte_mbuf& m, PacketInfo& i) {
                    SetIpId(m, i, Be16(0xfffe));
                  });
}

TEST(RewriteTest, AddressesAndPorts) {
  const std::array<uint8_t, 4> v4 = {192, 0, 2, 77};
  std::array<uint8_t, 16> v6{};
  v6[0] = 0x20;
  v6[1] = 0x01;
  v6[15] = 0x99;
  const auto move = [&](rte_mbuf& m, PacketInfo& i) {
    SetAddress(m, i, AddressEnd::kSource,
               i.family == Family::kIpv4 ? v4.data() : v6.data());
    const Be16 port(1);
    ReplaceInTransport(m, i, 2, &port, sizeof port);
  };
  for (const std::string rest : {"data 21", "data 0"}) {
    ExpectRewritten("udp 10.0.0.2:5000 > 10.0.0.1:53 " + rest,
                    "udp 192.0.2.77:5000 > 10.0.0.1:1 " + rest, move);
    ExpectRewritten("udp [2001:db8::2]:5000 > [2001:db8::1]:53 " + rest,
                    "udp [2001::99]:5000 > [2001:db8::1]:1 " + rest, move);
    ExpectRewritten("tcp 10.0.0.2:5000 > 10.0.0.1:53 S " + rest,
                    "tcp 192.0.2.77:5000 > 10.0.0.1:1 S " + rest, move);
    ExpectRewritten("tcp [2001:db8::2]:5000 > [2001:db8::1]:53 S " + rest,
                    "tcp [2001::99]:5000 > [2001:db8::1]:1 S " + rest, move);
  }
}

TEST(RewriteTest, NoChecksumStaysNone) {
  ExpectRewritten("udp 10.0.0.2:5000 > 10.0.0.1:53 cksum 0 data 4",
                  "udp 10.0.0.2:5000 > 10.0.0.1:1 cksum 0 data 4",
                  [](rte_mbuf& m, PacketInfo& i) {
                    const Be16 port(1);
                    ReplaceInTransport(m, i, 2, &port, sizeof port);
                  });
}

TEST(RewriteTest, MssIsLoweredWhereverItStands) {
  const auto clamp = [](rte_mbuf& m, PacketInfo& i) { ClampMss(m, i, 1300); };
  for (const std::string ends : {"tcp 10.0.0.2:1 > 10.0.0.1:80",
                                 "tcp [2001:db8::2]:1 > [2001:db8::1]:80"}) {
    ExpectRewritten(ends + " S <mss 1460,wscale 7>",
                    ends + " S <mss 1300,wscale 7>", clamp);
    ExpectRewritten(ends + " SA ack 1 <nop,mss 1460>",
                    ends + " SA ack 1 <nop,mss 1300>", clamp);
    ExpectRewritten(ends + " S <mss 1200>", ends + " S <mss 1200>", clamp);
    ExpectRewritten(ends + " A ack 1 <mss 1460>", ends + " A ack 1 <mss 1460>",
                    clamp);
  }
}

// Any bytes at any place, compared with the sum over the whole.
TEST(RewriteTest, SumsAreThoseOfTheWhole) {
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    std::vector<uint8_t> frame =
        FrameFromText("udp 10.0.0.2:5000 > 10.0.0.1:53 data 61");
    PlainMbuf mbuf(frame, round % 2 == 0 ? std::span<const uint32_t>()
                                         : std::span<const uint32_t>(kPieces));
    PacketInfo info;
    ParsePacket(*mbuf, {}, &info);
    std::array<uint8_t, 24> bytes;
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    const uint32_t offset = 8 + random() % 30;
    const uint32_t length = 1 + random() % bytes.size();
    ReplaceInTransport(*mbuf.get(), info, offset, bytes.data(),
                       length % 2 == 0 ? length : length - 1);
    ASSERT_TRUE(TransportChecksumIsRight(*mbuf, info));
  }
}

}  // namespace
}  // namespace sluice
