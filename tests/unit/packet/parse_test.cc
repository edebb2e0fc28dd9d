#include "packet/parse.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <random>
#include <string>
#include <vector>

#include "packet/answer.h"
#include "packet/checksum.h"
#include "packet/headers.h"
#include "tests/support/plain_mbuf.h"

namespace sluice {
namespace {

using Bytes = std::vector<uint8_t>;

Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
Bytes Word(uint32_t value, int bytes) {
  Bytes out;
  for (int i = bytes - 1; i >= 0; --i) {
    out.push_back(static_cast<uint8_t>(value >> (8 * i)));
  }
  return out;
}
void Put16(Bytes& bytes, size_t at, uint16_t value) {
  bytes.at(at) = static_cast<uint8_t>(value >> 8);
  bytes.at(at + 1) = static_cast<uint8_t>(value);
}

Bytes Ethernet(uint16_t type, const std::vector<uint32_t>& tags = {}) {
  Bytes out = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
  for (const uint32_t tag : tags) out = out + Word(tag, 4);
  return out + Word(type, 2);
}

// Sets the checksum at `at`, after the rest is in its place.
void Seal(Bytes& l4, size_t at, uint64_t pseudo) {
  Put16(l4, at, 0);
  const uint16_t sum = ~FoldSum(pseudo + PartialSum(l4.data(), l4.size()));
  std::memcpy(&l4[at], &sum, 2);
}

const Bytes kSource4 = {10, 0, 0, 2}, kDestination4 = {10, 0, 0, 1};
const Bytes kSource6 = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2};
const Bytes kDestination6 = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0,
                             0,    0, 0,   0,    0, 0, 0, 1};

struct V4 {
  uint8_t proto = protocol::kUdp;
  Bytes options = {};
  uint16_t fragment = 0;
};

Bytes Ipv4(const Bytes& l4, const V4& shape = {}) {
  Bytes ip = {static_cast<uint8_t>(0x45 + shape.options.size() / 4), 0x10};
  ip = ip + Word(20 + shape.options.size() + l4.size(), 2) + Word(7, 2) +
       Word(shape.fragment, 2) + Bytes{61, shape.proto, 0, 0} + kSource4 +
       kDestination4 + shape.options;
  const uint16_t sum = ~FoldSum(PartialSum(ip.data(), ip.size()));
  std::memcpy(&ip[10], &sum, 2);
  return ip + l4;
}
Bytes Ipv6(uint8_t next, const Bytes& payload) {
  return Word(0x61000000, 4) + Word(payload.size(), 2) + Bytes{next, 61} +
         kSource6 + kDestination6 + payload;
}
uint64_t Pseudo(Family family, uint8_t proto, size_t length) {
  return family == Family::kIpv6
             ? PseudoHeaderSum(family, kSource6.data(), kDestination6.data(),
                               proto, length)
             : PseudoHeaderSum(family, kSource4.data(), kDestination4.data(),
                               proto, length);
}
Bytes Udp(Family family, const Bytes& payload) {
  Bytes udp = Word(5000, 2) + Word(69, 2) + Word(8 + payload.size(), 2) +
              Word(0, 2) + payload;
  Seal(udp, 6, Pseudo(family, protocol::kUdp, udp.size()));
  return udp;
}
Bytes Tcp(Family family, uint8_t flags, const Bytes& payload = {},
          const Bytes& options = {}) {
  Bytes tcp = Word(4000, 2) + Word(80, 2) + Word(0x01020304, 4) +
              Word(0x0a0b0c0d, 4) +
              Bytes{static_cast<uint8_t>((5 + options.size() / 4) << 4),
                    flags} +
              Word(512, 2) + Word(0, 4) + options + payload;
  Seal(tcp, 16, Pseudo(family, protocol::kTcp, tcp.size()));
  return tcp;
}

PacketInfo Parse(const Bytes& frame, bool verify = true) {
  PlainMbuf mbuf(frame);
  PacketBurst burst;
  burst.count = 1;
  burst.mbufs[0] = mbuf.get();
  ParseBurst(burst, {.verify_checksums = verify});
  // The walk must agree with whatever the burst parser made of it, in one
  // segment and in many.
  PacketInfo walked;
  ParsePacket(*mbuf, {.verify_checksums = verify}, &walked);
  EXPECT_EQ(std::memcmp(&walked, &burst.infos[0], sizeof walked), 0);
  const uint32_t pieces[] = {7, 9, 3, 11, 5, 8, 1, 6};
  PlainMbuf split(frame, pieces);
  ParsePacket(*split, {.verify_checksums = verify}, &walked);
  EXPECT_EQ(std::memcmp(&walked, &burst.infos[0], sizeof walked), 0);
  return burst.infos[0];
}

void ExpectDrop(const Bytes& frame, DropReason reason) {
  const PacketInfo info = Parse(frame);
  EXPECT_EQ(info.kind, Kind::kMalformed);
  EXPECT_EQ(Name(info.drop), Name(reason));
}

Bytes UdpFrame(Family family, const Bytes& payload = {1, 2, 3}) {
  return family == Family::kIpv6
             ? Ethernet(0x86dd) + Ipv6(protocol::kUdp, Udp(family, payload))
             : Ethernet(0x0800) + Ipv4(Udp(family, payload));
}
Bytes TcpFrame(Family family, uint8_t flags, const Bytes& payload = {},
               const Bytes& options = {}) {
  const Bytes tcp = Tcp(family, flags, payload, options);
  return family == Family::kIpv6
             ? Ethernet(0x86dd) + Ipv6(protocol::kTcp, tcp)
             : Ethernet(0x0800) + Ipv4(tcp, {.proto = protocol::kTcp});
}

class BothFamilies : public testing::TestWithParam<Family> {};
INSTANTIATE_TEST_SUITE_P(ParseTest, BothFamilies,
                         testing::Values(Family::kIpv4, Family::kIpv6),
                         [](const auto& info) {
                           return info.param == Family::kIpv6 ? "Ipv6"
                                                              : "Ipv4";
                         });

TEST_P(BothFamilies, Udp) {
  const bool v6 = GetParam() == Family::kIpv6;
  const PacketInfo info = Parse(UdpFrame(GetParam()));
  ASSERT_EQ(info.kind, Kind::kIp);
  EXPECT_EQ(info.family, GetParam());
  EXPECT_EQ(ToString(info.source_address()), v6 ? "2001:db8::2" : "10.0.0.2");
  EXPECT_EQ(ToString(info.destination_address()),
            v6 ? "2001:db8::1" : "10.0.0.1");
  EXPECT_EQ(info.source_port.host(), 5000);
  EXPECT_EQ(info.destination_port.host(), 69);
  EXPECT_EQ(info.payload_length(), 3);
  EXPECT_EQ(info.payload_offset(), v6 ? 62 : 42);
  EXPECT_EQ(info.ip_length, v6 ? 51 : 31);
  EXPECT_EQ(info.ttl, 61);
  EXPECT_EQ(info.tos, 0x10);
}

TEST_P(BothFamilies, TcpWithOptionsBehindTwoTags) {
  const bool v6 = GetParam() == Family::kIpv6;
  const Bytes tcp = Tcp(GetParam(), kTcpSyn, {}, {2, 4, 5, 0xb4});
  const Bytes frame =
      Ethernet(v6 ? 0x86dd : 0x0800, {0x88a80002, 0x81000003}) +
      (v6 ? Ipv6(protocol::kTcp, tcp) : Ipv4(tcp, {.proto = protocol::kTcp}));
  const PacketInfo info = Parse(frame);
  ASSERT_EQ(info.kind, Kind::kIp);
  EXPECT_EQ(info.l3_offset, 22);
  EXPECT_TRUE(info.has(kVlanTagged));
  EXPECT_TRUE(info.has(kTcpOptions));
  EXPECT_EQ(info.sequence, 0x01020304u);
  EXPECT_EQ(info.acknowledgment, 0x0a0b0c0du);
  EXPECT_EQ(info.window, 512);
  EXPECT_EQ(info.tcp_flags, kTcpSyn);
  EXPECT_EQ(info.l4_header_length, 24);
}

TEST_P(BothFamilies, UpToEightTags) {
  const bool v6 = GetParam() == Family::kIpv6;
  const Bytes tcp = Tcp(GetParam(), kTcpSyn, {});
  const Bytes packet =
      v6 ? Ipv6(protocol::kTcp, tcp) : Ipv4(tcp, {.proto = protocol::kTcp});
  std::vector<uint32_t> tags = {0x88a80001, 0x81000002};
  for (uint32_t count = 3; count <= 8; ++count) {
    tags.push_back(0x81000000 | count);
    const PacketInfo info =
        Parse(Ethernet(v6 ? 0x86dd : 0x0800, tags) + packet);
    ASSERT_EQ(info.kind, Kind::kIp) << count;
    EXPECT_EQ(info.l3_offset, 14 + 4 * count);
    EXPECT_EQ(info.tcp_flags, kTcpSyn);
  }
  tags.push_back(0x81000009);
  ExpectDrop(Ethernet(v6 ? 0x86dd : 0x0800, tags) + packet,
             DropReason::kNormalize);
}

TEST_P(BothFamilies, PaddingIsNoPayload) {
  const PacketInfo info = Parse(UdpFrame(GetParam()) + Bytes(20, 0xee));
  ASSERT_EQ(info.kind, Kind::kIp);
  EXPECT_EQ(info.payload_length(), 3);
}

TEST_P(BothFamilies, EveryTruncationIsShort) {
  const Bytes frame = TcpFrame(GetParam(), kTcpAck, {1, 2, 3, 4});
  for (size_t length = 0; length < frame.size(); ++length) {
    SCOPED_TRACE(length);
    ExpectDrop(Bytes(frame.begin(), frame.begin() + length),
               DropReason::kShort);
  }
}

TEST_P(BothFamilies, WrongChecksumsAreSeen) {
  for (Bytes frame : {UdpFrame(GetParam()), TcpFrame(GetParam(), kTcpAck, {9}),
                      UdpFrame(GetParam(), Bytes(1400, 7))}) {
    ASSERT_EQ(Parse(frame).kind, Kind::kIp);
    frame.back() ^= 0x40;
    ExpectDrop(frame, DropReason::kProtoCksum);
    EXPECT_EQ(Parse(frame, false).kind, Kind::kIp);
  }
}

TEST_P(BothFamilies, TheNicsWordIsTaken) {
  Bytes frame = UdpFrame(GetParam());
  PlainMbuf good(frame);
  PacketInfo info;
  good.get()->ol_flags = RTE_MBUF_F_RX_L4_CKSUM_BAD;
  ParsePacket(*good, {}, &info);
  EXPECT_EQ(info.kind, Kind::kMalformed);
  frame.back() ^= 1;
  PlainMbuf bad(frame);
  bad.get()->ol_flags =
      RTE_MBUF_F_RX_L4_CKSUM_GOOD | RTE_MBUF_F_RX_IP_CKSUM_GOOD;
  ParsePacket(*bad, {}, &info);
  EXPECT_EQ(info.kind, Kind::kIp);
}

TEST_P(BothFamilies, TcpFlagsThatNoConnectionUses) {
  for (const uint8_t flags :
       {0, +kTcpFin, kTcpPush | kTcpUrg, kTcpSyn | kTcpFin, kTcpSyn | kTcpRst,
        kTcpFin | kTcpPush | kTcpUrg, kTcpRst | kTcpFin}) {
    SCOPED_TRACE(flags);
    ExpectDrop(TcpFrame(GetParam(), static_cast<uint8_t>(flags)),
               DropReason::kNormalize);
  }
  for (const int flags : {+kTcpSyn, kTcpSyn | kTcpAck, +kTcpAck, +kTcpRst,
                          kTcpFin | kTcpAck, kTcpRst | kTcpAck}) {
    EXPECT_EQ(Parse(TcpFrame(GetParam(), static_cast<uint8_t>(flags))).kind,
              Kind::kIp);
  }
}

TEST(ParseTest, TcpHeaderLengths) {
  Bytes frame = TcpFrame(Family::kIpv4, kTcpAck);
  frame[14 + 20 + 12] = 0x40;
  ExpectDrop(frame, DropReason::kNormalize);
  frame[14 + 20 + 12] = 0x60;
  ExpectDrop(frame, DropReason::kShort);
}

TEST(ParseTest, UdpLengthsAndPorts) {
  for (const uint16_t length : {0, 7, 12, 65535}) {
    Bytes frame = UdpFrame(Family::kIpv4);
    Put16(frame, 38, length);
    ExpectDrop(frame, DropReason::kShort);
  }
  Bytes frame = UdpFrame(Family::kIpv4);
  Put16(frame, 36, 0);
  ExpectDrop(frame, DropReason::kShort);
}

// RFC 6935: tunnels in UDP over IPv6 may do without, too.
TEST(ParseTest, UdpMayHaveNoChecksum) {
  Bytes v4 = UdpFrame(Family::kIpv4);
  Put16(v4, 40, 0);
  EXPECT_EQ(Parse(v4).kind, Kind::kIp);
  Bytes v6 = UdpFrame(Family::kIpv6);
  Put16(v6, 60, 0);
  EXPECT_EQ(Parse(v6).kind, Kind::kIp);
}

TEST_P(BothFamilies, NoNicsWordCountsForUdpWithoutChecksum) {
  Bytes frame = UdpFrame(GetParam());
  const size_t at = GetParam() == Family::kIpv6 ? 14 + 40 + 6 : 14 + 20 + 6;
  Put16(frame, at, 0);
  for (const uint64_t word :
       {uint64_t{RTE_MBUF_F_RX_L4_CKSUM_UNKNOWN},
        uint64_t{RTE_MBUF_F_RX_L4_CKSUM_GOOD},
        uint64_t{RTE_MBUF_F_RX_L4_CKSUM_BAD}}) {
    SCOPED_TRACE(word);
    // The walk sees the second one only.
    const uint32_t pieces[] = {20, 20, 20};
    for (const size_t count : {0, 3}) {
      PlainMbuf mbuf(frame, std::span(pieces).first(count));
      mbuf.get()->ol_flags = word;
      PacketBurst burst;
      burst.count = 1;
      burst.mbufs[0] = mbuf.get();
      ParseBurst(burst, {});
      EXPECT_EQ(burst.infos[0].kind, Kind::kIp);
    }
  }
}

TEST(ParseTest, Ipv4Header) {
  const Bytes frame = UdpFrame(Family::kIpv4);
  const auto with = [&](size_t at, uint8_t value) {
    Bytes changed = frame;
    changed.at(14 + at) = value;
    return changed;
  };
  ExpectDrop(with(0, 0x65), DropReason::kNormalize);
  ExpectDrop(with(0, 0x44), DropReason::kShort);
  ExpectDrop(with(3, 19), DropReason::kShort);
  ExpectDrop(with(2, 4), DropReason::kShort);
  ExpectDrop(with(8, 60), DropReason::kProtoCksum);
}

TEST(ParseTest, Ipv4Options) {
  const auto options = [](Bytes bytes, uint8_t proto = protocol::kUdp) {
    return Parse(Ethernet(0x0800) +
                 Ipv4(Udp(Family::kIpv4, {}),
                      {.proto = proto, .options = std::move(bytes)}));
  };
  EXPECT_TRUE(options({7, 4, 4, 0}).has(kIpOptions));
  EXPECT_TRUE(options({148, 4, 0, 0}).has(kIpOptions));
  EXPECT_FALSE(options({148, 4, 0, 0}, protocol::kIgmp).has(kIpOptions));
  EXPECT_EQ(options({7, 4, 4, 0}).source_port.host(), 5000);
  EXPECT_EQ(options({7, 1, 0, 0}).drop, DropReason::kIpOption);
  EXPECT_EQ(options({7, 5, 0, 0}).drop, DropReason::kIpOption);
  EXPECT_EQ(options({1, 1, 1, 7}).drop, DropReason::kIpOption);
}

TEST(ParseTest, Ipv4Fragments) {
  const auto fragment = [](uint16_t bits, size_t length) {
    return Ethernet(0x0800) + Ipv4(Bytes(length, 1), {.fragment = bits});
  };
  PacketInfo info = Parse(fragment(0x2000, 16));
  EXPECT_TRUE(info.has(kFragment) && info.has(kFirstFragment) &&
              info.has(kMoreFragments));
  EXPECT_EQ(info.source_port, Be16(0));
  info = Parse(fragment(0x0003, 13));
  EXPECT_EQ(info.kind, Kind::kIp);
  EXPECT_TRUE(info.has(kFragment) && !info.has(kFirstFragment));
  ExpectDrop(fragment(0x2000, 13), DropReason::kFragment);
  ExpectDrop(fragment(0x2000, 0), DropReason::kFragment);
  ExpectDrop(fragment(0x1fff, 16), DropReason::kBadOffset);
  EXPECT_TRUE(Parse(fragment(0x4000, 0)).has(kDontFragment));
}

Bytes Extension(uint8_t next, const Bytes& body) {
  return Bytes{next, static_cast<uint8_t>((body.size() + 2) / 8 - 1)} + body;
}

TEST(ParseTest, Ipv6ExtensionChains) {
  const Bytes udp = Udp(Family::kIpv6, {5});
  const Bytes pad = {1, 4, 0, 0, 0, 0};
  const auto parse = [&](uint8_t first, const Bytes& rest) {
    return Parse(Ethernet(0x86dd) + Ipv6(first, rest));
  };
  PacketInfo info = parse(
      protocol::kHopByHop,
      Extension(protocol::kDestinationOptions, pad) +
          Extension(protocol::kUdp, pad) + udp);
  ASSERT_EQ(info.kind, Kind::kIp);
  EXPECT_EQ(info.proto, protocol::kUdp);
  EXPECT_TRUE(info.has(kIpOptions));
  EXPECT_EQ(info.destination_port.host(), 69);

  // Hop-by-hop options that are not first, or come twice.
  EXPECT_EQ(parse(protocol::kDestinationOptions,
                  Extension(protocol::kHopByHop, pad) +
                      Extension(protocol::kUdp, pad) + udp)
                .drop,
            DropReason::kIpOption);
  // Routing header types 2 and 0.
  info = parse(protocol::kRouting, Bytes{17, 0, 2, 0, 0, 0, 0, 0} + udp);
  EXPECT_EQ(info.kind, Kind::kIp);
  EXPECT_FALSE(info.has(kIpOptions));
  info = parse(protocol::kRouting, Bytes{17, 0, 0, 1, 0, 0, 0, 0} + udp);
  EXPECT_EQ(info.kind, Kind::kMalformed);
  EXPECT_EQ(info.drop, DropReason::kIpOption);
  // A jumbogram, and an option that runs over its header.
  EXPECT_EQ(parse(protocol::kHopByHop,
                  Extension(protocol::kUdp, {0xc2, 4, 0, 1, 0, 0}) + udp)
                .kind,
            Kind::kMalformed);
  EXPECT_EQ(parse(protocol::kHopByHop,
                  Extension(protocol::kUdp, {1, 5, 0, 0, 0, 0}) + udp)
                .kind,
            Kind::kMalformed);
  // Nineteen headers are walked, as by pf, one more is not.
  Bytes chain = Extension(protocol::kUdp, pad) + udp;
  for (int i = 2; i < kMaxExtensionHeaders; ++i) {
    chain = Extension(protocol::kDestinationOptions, pad) + chain;
  }
  EXPECT_EQ(parse(protocol::kDestinationOptions, chain).kind, Kind::kIp);
  chain = Extension(protocol::kDestinationOptions, pad) + chain;
  EXPECT_EQ(parse(protocol::kDestinationOptions, chain).kind,
            Kind::kMalformed);
  // A header that says it is longer than the packet.
  EXPECT_EQ(parse(protocol::kDestinationOptions,
                  Bytes{17, 200, 0, 0, 0, 0, 0, 0} + udp)
                .drop,
            DropReason::kShort);
}

TEST(ParseTest, RouterAlertOfMldNeedsNoAllowOpts) {
  Bytes mld = {131, 0, 0, 0, 0, 0, 0, 0};
  mld = mld + Bytes(16, 0);
  Seal(mld, 2, Pseudo(Family::kIpv6, protocol::kIcmp6, mld.size()));
  const Bytes alert = {5, 2, 0, 0, 1, 0};
  EXPECT_FALSE(Parse(Ethernet(0x86dd) +
                     Ipv6(protocol::kHopByHop,
                          Extension(protocol::kIcmp6, alert) + mld))
                   .has(kIpOptions));
  EXPECT_TRUE(Parse(Ethernet(0x86dd) +
                    Ipv6(protocol::kHopByHop,
                         Extension(protocol::kUdp, alert) +
                             Udp(Family::kIpv6, {})))
                  .has(kIpOptions));
}

TEST(ParseTest, Ipv6Fragments) {
  const Bytes udp = Udp(Family::kIpv6, Bytes(8, 1));
  const auto parse = [&](uint16_t bits, const Bytes& rest) {
    return Parse(Ethernet(0x86dd) +
                 Ipv6(protocol::kIpv6Fragment,
                      Bytes{17, 0} + Word(bits, 2) + Word(1, 4) + rest));
  };
  EXPECT_FALSE(parse(0, udp).has(kFragment)) << "atomic fragment";
  EXPECT_EQ(parse(0, udp).source_port.host(), 5000);
  EXPECT_TRUE(parse(1, udp).has(kFirstFragment));
  EXPECT_EQ(parse(1, udp).proto, protocol::kUdp);
  EXPECT_TRUE(parse(0x80, {1, 2, 3}).has(kFragment));
  EXPECT_EQ(parse(0x81, {1, 2, 3}).kind, Kind::kMalformed);
  EXPECT_EQ(parse(0xfff8, Bytes(16, 0)).drop, DropReason::kBadOffset);
  const PacketInfo twice =
      Parse(Ethernet(0x86dd) +
            Ipv6(protocol::kIpv6Fragment,
                 Bytes{44, 0, 0, 0, 0, 0, 0, 1} +
                     Bytes{17, 0, 0, 0, 0, 0, 0, 1} + udp));
  EXPECT_EQ(twice.drop, DropReason::kFragment);
}

TEST(ParseTest, IcmpQueriesAndErrors) {
  Bytes echo = {8, 0, 0, 0, 0x12, 0x34, 0, 1};
  Seal(echo, 2, 0);
  PacketInfo info =
      Parse(Ethernet(0x0800) + Ipv4(echo, {.proto = protocol::kIcmp}));
  ASSERT_EQ(info.kind, Kind::kIp);
  EXPECT_EQ(info.icmp_type, 8);
  EXPECT_EQ(info.source_port.host(), 0x1234);
  Bytes error = Bytes{3, 3, 0, 0, 0, 0, 0, 0} + Bytes(28, 0);
  Seal(error, 2, 0);
  info = Parse(Ethernet(0x0800) + Ipv4(error, {.proto = protocol::kIcmp}));
  EXPECT_TRUE(info.has(kIcmpError));
  EXPECT_EQ(info.source_port, Be16(0));
  Bytes echo6 = {128, 0, 0, 0, 0x12, 0x34, 0, 1};
  Seal(echo6, 2, Pseudo(Family::kIpv6, protocol::kIcmp6, 8));
  info = Parse(Ethernet(0x86dd) + Ipv6(protocol::kIcmp6, echo6));
  ASSERT_EQ(info.kind, Kind::kIp);
  EXPECT_EQ(info.source_port.host(), 0x1234);
}

TEST(ParseTest, Sctp) {
  Bytes sctp = Word(7, 2) + Word(9, 2) + Word(0xcafe, 4) + Word(0, 4) +
               Bytes{1, 0, 0, 20} + Bytes(16, 3);
  const uint32_t crc = ~Crc32c(0xffffffff, sctp.data(), sctp.size());
  std::memcpy(&sctp[8], &crc, 4);
  const Bytes frame =
      Ethernet(0x0800) + Ipv4(sctp, {.proto = protocol::kSctp});
  const PacketInfo info = Parse(frame);
  ASSERT_EQ(info.kind, Kind::kIp);
  EXPECT_EQ(info.sequence, 0xcafeu);
  EXPECT_EQ(info.destination_port.host(), 9);
  Bytes wrong = frame;
  wrong.back() ^= 1;
  ExpectDrop(wrong, DropReason::kProtoCksum);
}

TEST(ParseTest, Crc32cOfTheStandardsExample) {
  // RFC 3720, appendix B.4: 32 bytes of zeroes.
  EXPECT_EQ(~Crc32c(0xffffffff, Bytes(32, 0).data(), 32), 0x8a9136aau);
}

TEST(ParseTest, OtherEthertypesAreNotIp) {
  EXPECT_EQ(Parse(Ethernet(0x0806) + Bytes(28, 0)).kind, Kind::kNonIp);
  EXPECT_EQ(Parse(Ethernet(0x0026) + Bytes(38, 0)).kind, Kind::kNonIp);
  EXPECT_EQ(Parse(Ethernet(0x0806, {0x81000001}) + Bytes(28, 0)).kind,
            Kind::kNonIp);
}

// Bit flips and cuts over all shapes: the two ways to parse agree, and what is
// said to be there is there.
TEST(ParseTest, MutationsStayInside) {
  const std::vector<Bytes> seeds = {
      UdpFrame(Family::kIpv4), UdpFrame(Family::kIpv6),
      TcpFrame(Family::kIpv4, kTcpSyn, {1}, {2, 4, 5, 0xb4}),
      TcpFrame(Family::kIpv6, kTcpAck, Bytes(30, 2))};
  std::mt19937 random(20260101);
  for (int round = 0; round < 20000; ++round) {
    Bytes frame = seeds[random() % seeds.size()];
    for (int flips = random() % 4; flips > 0; --flips) {
      frame[12 + random() % (frame.size() - 12)] ^= 1 << (random() % 8);
    }
    if (random() % 4 == 0) frame.resize(random() % frame.size());
    const PacketInfo info = Parse(frame, random() % 2);
    if (info.kind != Kind::kIp) continue;
    ASSERT_LE(info.l4_offset + info.l4_length, frame.size());
    ASSERT_LE(info.l4_header_length, info.l4_length);
  }
}

TEST_P(BothFamilies, ResetAnswersASyn) {
  const Bytes frame = TcpFrame(GetParam(), kTcpSyn, {}, {2, 4, 5, 0xb4});
  const PacketInfo asked = Parse(frame);
  PlainMbuf question(frame), answer(Bytes{}, {}, 200);
  ASSERT_TRUE(BuildTcpReset(*question, asked, 0, answer.get()));
  const PacketInfo info = Parse(answer.bytes());
  ASSERT_EQ(info.kind, Kind::kIp);
  EXPECT_EQ(info.source_address(), asked.destination_address());
  EXPECT_EQ(info.destination_address(), asked.source_address());
  EXPECT_EQ(info.source_port, asked.destination_port);
  EXPECT_EQ(info.destination_port, asked.source_port);
  EXPECT_EQ(info.tcp_flags, kTcpRst | kTcpAck);
  EXPECT_EQ(info.acknowledgment, asked.sequence + 1);
  EXPECT_EQ(info.sequence, 0u);
  EXPECT_EQ(info.ttl, kDefaultTtl);
  EXPECT_EQ(answer.bytes()[0], 2);
  EXPECT_EQ(answer.bytes()[5], 2) << "addressed to the sender";
}

TEST_P(BothFamilies, NoResetForAResetAndNoneWithoutRoom) {
  const Bytes frame = TcpFrame(GetParam(), kTcpRst);
  PlainMbuf question(frame), answer(Bytes{}, {}, 200), small(Bytes{}, {}, 20);
  EXPECT_FALSE(BuildTcpReset(*question, Parse(frame), 0, answer.get()));
  const Bytes data = TcpFrame(GetParam(), kTcpAck, {1, 2});
  PlainMbuf segment(data);
  EXPECT_FALSE(BuildTcpReset(*segment, Parse(data), 0, small.get()));
  EXPECT_EQ(small.bytes().size(), 0u);
  ASSERT_TRUE(BuildTcpReset(*segment, Parse(data), 9, answer.get()));
  const PacketInfo info = Parse(answer.bytes());
  EXPECT_EQ(info.sequence, 0x0a0b0c0du);
  EXPECT_EQ(info.acknowledgment, 0x01020306u);
  EXPECT_EQ(info.ttl, 9);
}

TEST_P(BothFamilies, UnreachableQuotesThePacket) {
  const bool v6 = GetParam() == Family::kIpv6;
  const Bytes frame = UdpFrame(GetParam(), Bytes(1400, 0x55));
  const PacketInfo asked = Parse(frame);
  PlainMbuf question(frame), answer(Bytes{}, {}, 2000);
  ASSERT_TRUE(
      BuildUnreachable(*question, asked, v6 ? 4 : 3, answer.get()));
  const Bytes bytes = answer.bytes();
  const PacketInfo info = Parse(bytes);
  ASSERT_EQ(info.kind, Kind::kIp);
  EXPECT_TRUE(info.has(kIcmpError));
  EXPECT_EQ(info.icmp_type, v6 ? 1 : 3);
  EXPECT_EQ(info.icmp_code, v6 ? 4 : 3);
  EXPECT_EQ(info.ip_length, v6 ? 1280 : 20 + 8 + 28);
  EXPECT_TRUE(std::equal(bytes.begin() + info.payload_offset(), bytes.end(),
                         frame.begin() + asked.l3_offset));
}

TEST(AnswerTest, NothingIsSaidToIcmpErrorsGroupsAndLaterFragments) {
  PlainMbuf answer(Bytes{}, {}, 2000);
  Bytes redirect = {5, 0, 0, 0, 0x12, 0x34, 0, 1};
  Seal(redirect, 2, 0);
  const Bytes error = Ethernet(0x0800) + Ipv4(redirect, {.proto = 1});
  const Bytes later =
      Ethernet(0x0800) + Ipv4(Bytes(16, 1), {.fragment = 0x0003});
  Bytes group = UdpFrame(Family::kIpv4);
  group[0] = 0xff;
  for (const Bytes& frame : {error, later, group}) {
    PlainMbuf question(frame);
    EXPECT_FALSE(BuildUnreachable(*question, Parse(frame), 3, answer.get()));
  }
}

}  // namespace
}  // namespace sluice
