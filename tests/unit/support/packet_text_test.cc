#include "tests/support/packet_text.h"

#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "packet/parse.h"
#include "tests/support/mbuf_pool.h"

namespace sluice {
namespace {

std::string Hex(std::span<const uint8_t> bytes) {
  return absl::BytesToHexString(absl::string_view(
      reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

// What the firewall's own parser makes of it.
PacketInfo Parsed(std::string_view text) {
  static MbufPool pool(63);
  const std::vector<uint8_t> frame = FrameFromText(text);
  rte_mbuf* mbuf = pool.Make(frame, 30);
  PacketInfo info;
  ParsePacket(*mbuf, {}, &info);
  rte_pktmbuf_free(mbuf);
  return info;
}

TEST(PacketText, TcpIsTheBytesThatScapyMakes) {
  EXPECT_EQ(Hex(FrameFromText("tcp 10.0.0.2:1025 > 10.0.0.1:80 S seq 100 "
                              "win 1024 <mss 1460>")),
            "02040a000001"
            "02040a000002"
            "0800"
            "4500002c00010000400666c90a0000020a000001"
            "040100500000006400000000600204007b6f0000020405b4");
}

TEST(PacketText, Ipv6UdpIsTheBytesThatScapyMakes) {
  EXPECT_EQ(Hex(FrameFromText("udp [2001:db8::2]:53 > 2001:db8::1:5000 "
                              "data \"ab\"")),
            "020600000001"
            "020600000002"
            "86dd"
            "60000000000a1140"
            "20010db8000000000000000000000002"
            "20010db8000000000000000000000001"
            "00351388000a2f466162");
}

TEST(PacketText, EveryKindIsSoundForTheParser) {
  for (const char* text : {
           "tcp 10.0.0.2:1 > 10.0.0.1:2 SA seq 1 ack 2 <ts 1 2,sackok>",
           "udp 10.0.0.2:1 > 10.0.0.1:2 tftp rrq \"a\" octet blksize 512",
           "udp [2001:db8::1]:1 > [2001:db8::2]:2 data 7 ext { hopopts }",
           "sctp 10.0.0.2:1 > 10.0.0.1:2 vtag 7 data 20",
           "sctp [2001:db8::1]:1 > [2001:db8::2]:2 vtag 7 data 20",
           "icmp 10.0.0.2 > 10.0.0.1 echo id 7 seq 1 data 5",
           "icmp 2001:db8::1 > 2001:db8::2 echo id 7 seq 1 data 5",
           "icmp 10.0.0.1 > 10.0.0.2 unreach port inner { udp 10.0.0.2:1 > "
           "10.0.0.1:2 data 20 cut 28 }",
           "icmp 2001:db8::1 > 2001:db8::2 toobig mtu 1280 inner { tcp "
           "[2001:db8::2]:1 > [2001:db8::1]:2 S }",
           "ip 10.0.0.2 > 10.0.0.1 proto 47 data 20",
           "ip 10.0.0.2 > 10.0.0.1 proto 2 ipopts { ra } data 8",
           "udp 10.0.0.2:1 > 10.0.0.1:2 vlan 7 qinq 9 pcp 3 pad 20",
           "udp 10.0.0.2:1 > 10.0.0.1:2 data 100 part 0 48",
           "udp [2001:db8::1]:1 > [2001:db8::2]:2 data 100 part 48 100 "
           "ext { hopopts | dstopts }",
       }) {
    const PacketInfo info = Parsed(text);
    EXPECT_EQ(info.kind, Kind::kIp) << text << ": " << Name(info.drop);
  }
}

TEST(PacketText, WrongOnPurpose) {
  const struct {
    const char* text;
    DropReason reason;
  } kCases[] = {
      {"udp 10.0.0.2:1 > 10.0.0.1:2 cksum bad", DropReason::kProtoCksum},
      {"udp 10.0.0.2:1 > 10.0.0.1:2 ipcksum bad", DropReason::kProtoCksum},
      {"udp 10.0.0.2:1 > 10.0.0.1:2 udplen +1", DropReason::kShort},
      {"udp 10.0.0.2:1 > 10.0.0.1:2 iplen +1", DropReason::kShort},
      {"udp 10.0.0.2:1 > 10.0.0.1:2 cut -1", DropReason::kShort},
      {"udp 10.0.0.2:1 > 10.0.0.1:2 version 5", DropReason::kNormalize},
      {"udp [::1]:1 > [::2]:2 version 4", DropReason::kNormalize},
      {"udp [::1]:1 > [::2]:2 cksum 1", DropReason::kProtoCksum},
      {"tcp 10.0.0.2:1 > 10.0.0.1:2 SF", DropReason::kNormalize},
      {"tcp 10.0.0.2:1 > 10.0.0.1:2 S doff 4", DropReason::kNormalize},
      {"ip 10.0.0.2 > 10.0.0.1 proto 17 frag 65528 data 100",
       DropReason::kBadOffset},
      {"udp [::1]:1 > [::2]:2 ext { routing0 }", DropReason::kIpOption},
      {"udp [::1]:1 > [::2]:2 ext { dstopts*21 }", DropReason::kIpOption},
  };
  for (const auto& [text, reason] : kCases) {
    const PacketInfo info = Parsed(text);
    ASSERT_EQ(info.kind, Kind::kMalformed) << text;
    EXPECT_EQ(info.drop, reason) << text << ": " << Name(info.drop);
  }
}

TEST(PacketText, PartsAddUpToTheWhole) {
  const std::vector<uint8_t> whole =
      FrameFromText("udp 10.0.0.2:1 > 10.0.0.1:2 data 60");
  std::vector<uint8_t> payload;
  for (const char* part : {"part 0 24", "part 24 24", "part 48 24"}) {
    const std::vector<uint8_t> frame = FrameFromText(
        absl::StrCat("udp 10.0.0.2:1 > 10.0.0.1:2 data 60 ", part));
    payload.insert(payload.end(), frame.begin() + 34, frame.end());
  }
  EXPECT_EQ(Hex(payload), Hex(std::span(whole).subspan(34)));
}

TEST(PacketText, WildcardsCopyFromTheReceivedAndSumsFollow) {
  const std::vector<uint8_t> received = FrameFromText(
      "tcp 10.0.0.1:2 > 10.0.0.2:1 RA ack 9 ipid 777 ttl 3 seq 5");
  const auto spec =
      ParsePacketText("tcp 10.0.0.1:2 > 10.0.0.2:1 RA ack 9 ipid * ttl * "
                      "seq *");
  ASSERT_TRUE(spec.ok()) << spec.status();
  const auto expected = BuildFrame(*spec, received);
  ASSERT_TRUE(expected.ok());
  EXPECT_EQ(Hex(*expected), Hex(received));
  const std::vector<uint8_t> other = FrameFromText(
      "tcp 10.0.0.1:2 > 10.0.0.2:1 RA ack 8 ipid 777 ttl 3 seq 5");
  EXPECT_NE(Hex(*BuildFrame(*spec, other)), Hex(other));
}

TEST(PacketText, SameIsThePacketBeforeWithChanges) {
  const auto before = ParsePacketText("udp 10.0.0.2:1 > 10.0.0.1:2 data 3");
  const auto after = ParsePacketText("same ttl 63", &*before);
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ(Hex(*BuildFrame(*after)),
            Hex(FrameFromText("udp 10.0.0.2:1 > 10.0.0.1:2 data 3 ttl 63")));
}

TEST(PacketText, WhatIsNotUnderstoodIsSaidByName) {
  for (const char* text : {
           "", "tpc 10.0.0.2:1 > 10.0.0.1:2 S", "tcp 10.0.0.2:1 > 10.0.0.1:2",
           "udp 10.0.0.2 > 10.0.0.1", "udp 10.0.0.2:1 < 10.0.0.1:2",
           "udp 10.0.0.2:1 > 10.0.0.1:2 tll 3",
           "udp 10.0.0.2:1 > 10.0.0.1:2 ttl", "same",
           "udp 10.0.0.2:1 > 10.0.0.1:70000",
           "icmp 10.0.0.2 > 10.0.0.1 nonsense",
           "icmp 10.0.0.2 > 10.0.0.1 unreach port inner { udp",
           "udp 10.0.0.2:1 > 10.0.0.1:2 data \"x",
           "tcp 10.0.0.2:1 > 10.0.0.1:2 S <mss>",
       }) {
    EXPECT_FALSE(ParsePacketText(text).ok()) << text;
  }
  EXPECT_FALSE(
      BuildFrame(*ParsePacketText("udp 10.0.0.2:1 > [::1]:2")).ok());
}

}  // namespace
}  // namespace sluice
