// Messages as the kernel writes them, made by hand.
#include "dataplane/router/netlink_message.h"

#include <gtest/gtest.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <cstring>
#include <string>
#include <vector>

#include "dataplane/router/netlink_request.h"

namespace sluice {
namespace {

// The payload of a message, piece by piece.
class Payload {
 public:
  template <typename T>
  explicit Payload(const T& header) {
    Append(header);
  }
  template <typename T>
  Payload& Number(uint16_t type, T value) {
    return Bytes(type, &value, sizeof value);
  }
  Payload& Text(uint16_t type, const std::string& text) {
    return Bytes(type, text.c_str(), text.size() + 1);
  }
  Payload& Ip(uint16_t type, const char* text) {
    const Address address = *ParseAddress(text);
    return Bytes(type, address.bytes.data(), AddressBits(address.family) / 8);
  }
  Payload& Bytes(uint16_t type, const void* data, size_t size) {
    nlattr attribute = {};
    attribute.nla_type = type;
    attribute.nla_len = static_cast<uint16_t>(sizeof attribute + size);
    Append(attribute);
    const auto* const bytes = static_cast<const uint8_t*>(data);
    bytes_.insert(bytes_.end(), bytes, bytes + size);
    bytes_.resize((bytes_.size() + 3) & ~size_t{3});
    return *this;
  }
  Payload& Nested(uint16_t type, const std::vector<uint8_t>& bytes) {
    return Bytes(type, bytes.data(), bytes.size());
  }
  template <typename T>
  void Append(const T& value) {
    const auto* const data = reinterpret_cast<const uint8_t*>(&value);
    bytes_.insert(bytes_.end(), data, data + sizeof value);
    bytes_.resize((bytes_.size() + 3) & ~size_t{3});
  }
  const std::vector<uint8_t>& bytes() const { return bytes_; }

 private:
  std::vector<uint8_t> bytes_;
};

rtmsg RouteHeader(uint8_t family, uint8_t length) {
  rtmsg header = {};
  header.rtm_family = family;
  header.rtm_dst_len = length;
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_type = RTN_UNICAST;
  return header;
}

std::vector<uint8_t> Hop(int link, uint8_t weight, const Payload* attributes) {
  rtnexthop header = {};
  header.rtnh_ifindex = link;
  header.rtnh_hops = weight;
  const std::vector<uint8_t> rest =
      attributes == nullptr ? std::vector<uint8_t>() : attributes->bytes();
  header.rtnh_len = static_cast<uint16_t>(sizeof header + rest.size());
  std::vector<uint8_t> bytes(sizeof header);
  std::memcpy(bytes.data(), &header, sizeof header);
  bytes.insert(bytes.end(), rest.begin(), rest.end());
  return bytes;
}

struct NoHeader {};

TEST(NetlinkMessageTest, TakesMessagesApart) {
  std::vector<uint8_t> bytes = DumpRequest(RTM_GETLINK, Family::kNone, 7);
  const std::vector<uint8_t> second =
      DumpRequest(RTM_GETROUTE, Family::kIpv6, 8);
  bytes.insert(bytes.end(), second.begin(), second.end());
  bytes.insert(bytes.end(), {1, 2, 3});
  NetlinkBytes rest = bytes;
  auto message = NextNetlinkMessage(&rest);
  ASSERT_TRUE(message.has_value());
  EXPECT_EQ(message->type, RTM_GETLINK);
  EXPECT_EQ(message->flags, NLM_F_REQUEST | NLM_F_DUMP);
  EXPECT_EQ(message->sequence, 7u);
  EXPECT_EQ(message->payload.size(), sizeof(ifinfomsg));
  message = NextNetlinkMessage(&rest);
  ASSERT_TRUE(message.has_value());
  EXPECT_EQ(message->sequence, 8u);
  EXPECT_EQ(message->payload.size(), sizeof(rtmsg));
  EXPECT_EQ(message->payload[0], AF_INET6);
  EXPECT_FALSE(NextNetlinkMessage(&rest).has_value());
  EXPECT_EQ(rest.size(), 3u);

  // A length that is longer than what there is, and one that is too short.
  bytes[0] = 0xff;
  bytes[1] = 0xff;
  rest = bytes;
  EXPECT_FALSE(NextNetlinkMessage(&rest).has_value());
  bytes[0] = 15;
  bytes[1] = 0;
  rest = bytes;
  EXPECT_FALSE(NextNetlinkMessage(&rest).has_value());
}

TEST(NetlinkMessageTest, Errors) {
  const auto read = [](int32_t error) {
    uint8_t bytes[4];
    std::memcpy(bytes, &error, sizeof bytes);
    return ReadNetlinkError(bytes);
  };
  EXPECT_EQ(read(0), 0);
  EXPECT_EQ(read(-16), 16);
  EXPECT_EQ(read(5), std::nullopt);
  EXPECT_EQ(read(INT32_MIN), std::nullopt);
  EXPECT_EQ(ReadNetlinkError({}), std::nullopt);
}

TEST(NetlinkMessageTest, Links) {
  ifinfomsg header = {};
  header.ifi_index = 5;
  header.ifi_flags = IFF_UP | IFF_RUNNING;
  const uint8_t mac[] = {2, 0, 0, 0, 0, 9};
  const Payload good = Payload(header)
                           .Text(IFLA_IFNAME, "lan")
                           .Number(IFLA_MTU, uint32_t{1400})
                           .Bytes(IFLA_ADDRESS, mac, 6);
  EXPECT_EQ(ReadLinkNews(good.bytes()),
            (LinkNews{.index = 5, .name = "lan", .mtu = 1400,
                      .mac = {2, 0, 0, 0, 0, 9}, .switched_on = true,
                      .running = true}));
  // Of another kind of link the address has another length.
  const uint8_t wide[20] = {};
  header.ifi_flags = IFF_UP;
  const auto other = ReadLinkNews(Payload(header)
                                      .Text(IFLA_IFNAME, "ib0")
                                      .Bytes(IFLA_ADDRESS, wide, 20)
                                      .bytes());
  ASSERT_TRUE(other.has_value());
  EXPECT_FALSE(other->running);
  EXPECT_FALSE(ReadLinkNews(Payload(header).bytes()).has_value());
  EXPECT_FALSE(ReadLinkNews(Payload(header)
                                .Text(IFLA_IFNAME, "a-name-of-16-byte")
                                .bytes())
                   .has_value());
  EXPECT_FALSE(ReadLinkNews(Payload(header)
                                .Text(IFLA_IFNAME, "lan")
                                .Number(IFLA_MTU, uint16_t{1400})
                                .bytes())
                   .has_value());
  header.ifi_index = 0;
  EXPECT_FALSE(
      ReadLinkNews(Payload(header).Text(IFLA_IFNAME, "lan").bytes())
          .has_value());
}

TEST(NetlinkMessageTest, Addresses) {
  ifaddrmsg header = {};
  header.ifa_family = AF_INET;
  header.ifa_prefixlen = 32;
  header.ifa_index = 4;
  // The other end is no address of ours.
  EXPECT_EQ(ReadAddressNews(Payload(header)
                                .Ip(IFA_ADDRESS, "192.0.2.2")
                                .Ip(IFA_LOCAL, "192.0.2.1")
                                .bytes()),
            (AddressNews{.link = 4, .address = *ParsePrefix("192.0.2.1/32")}));
  header.ifa_family = AF_INET6;
  header.ifa_prefixlen = 64;
  header.ifa_flags = 0;
  const auto six = [&](uint32_t flags) {
    return ReadAddressNews(Payload(header)
                               .Ip(IFA_ADDRESS, "2001:db8::1")
                               .Number(IFA_FLAGS, flags)
                               .bytes());
  };
  EXPECT_EQ(six(0), (AddressNews{.link = 4,
                                 .address = *ParsePrefix("2001:db8::1/64")}));
  EXPECT_TRUE(six(IFA_F_TENTATIVE)->tentative);
  EXPECT_FALSE(six(IFA_F_TENTATIVE | IFA_F_OPTIMISTIC)->tentative);
  EXPECT_TRUE(six(IFA_F_DEPRECATED)->deprecated);
  EXPECT_FALSE(ReadAddressNews(Payload(header).bytes()).has_value());
  EXPECT_FALSE(
      ReadAddressNews(Payload(header).Ip(IFA_ADDRESS, "192.0.2.1").bytes())
          .has_value());
  header.ifa_prefixlen = 129;
  EXPECT_FALSE(six(0).has_value());
}

TEST(NetlinkMessageTest, Neighbors) {
  ndmsg header = {};
  header.ndm_family = AF_INET6;
  header.ndm_ifindex = 3;
  header.ndm_state = NUD_STALE;
  const uint8_t mac[] = {2, 0, 0, 0, 0, 9};
  EXPECT_EQ(ReadNeighborNews(Payload(header)
                                 .Ip(NDA_DST, "fe80::1")
                                 .Bytes(NDA_LLADDR, mac, 6)
                                 .bytes()),
            (NeighborNews{.link = 3, .address = *ParseAddress("fe80::1"),
                          .state = NUD_STALE, .has_mac = true,
                          .mac = {2, 0, 0, 0, 0, 9}}));
  header.ndm_flags = NTF_PROXY;
  EXPECT_TRUE(
      ReadNeighborNews(Payload(header).Ip(NDA_DST, "fe80::1").bytes())->proxy);
  header.ndm_family = AF_BRIDGE;
  EXPECT_FALSE(
      ReadNeighborNews(Payload(header).Ip(NDA_DST, "fe80::1").bytes())
          .has_value());
}

TEST(NetlinkMessageTest, Routes) {
  const auto simple = ReadRouteNews(Payload(RouteHeader(AF_INET, 8))
                                        .Ip(RTA_DST, "10.0.0.0")
                                        .Number(RTA_TABLE, uint32_t{1000})
                                        .Number(RTA_PRIORITY, uint32_t{20})
                                        .Ip(RTA_GATEWAY, "192.0.2.1")
                                        .Number(RTA_OIF, uint32_t{3})
                                        .bytes());
  EXPECT_EQ(simple,
            (RouteNews{.prefix = *ParsePrefix("10.0.0.0/8"),
                       .table = 1000,
                       .type = RTN_UNICAST,
                       .metric = 20,
                       .hops = {{.link = 3,
                                 .gateway = *ParseAddress("192.0.2.1")}}}));
  // A default route has no destination; its gateway may be of another family.
  std::vector<uint8_t> via = {AF_INET6, 0};
  const Address gateway = *ParseAddress("fe80::1");
  via.insert(via.end(), gateway.bytes.begin(), gateway.bytes.end());
  const auto other = ReadRouteNews(Payload(RouteHeader(AF_INET, 0))
                                       .Nested(RTA_VIA, via)
                                       .Number(RTA_OIF, uint32_t{3})
                                       .bytes());
  ASSERT_TRUE(other.has_value());
  EXPECT_EQ(other->prefix, *ParsePrefix("0.0.0.0/0"));
  EXPECT_EQ(other->hops,
            (std::vector<KernelHop>{{.link = 3, .gateway = gateway}}));
  via[1] = 1;
  EXPECT_FALSE(ReadRouteNews(Payload(RouteHeader(AF_INET, 0))
                                 .Nested(RTA_VIA, via)
                                 .bytes())
                   .has_value());
  // One that is unreachable has no hop.
  EXPECT_TRUE(ReadRouteNews(Payload(RouteHeader(AF_INET, 0)).bytes())
                  ->hops.empty());
}

TEST(NetlinkMessageTest, RoutesOfSeveralHops) {
  const Payload gateway =
      std::move(Payload(NoHeader()).Ip(RTA_GATEWAY, "192.0.2.1"));
  std::vector<uint8_t> gateway_bytes(gateway.bytes().begin() + 4,
                                     gateway.bytes().end());
  std::vector<uint8_t> hops;
  for (int link = 1; link <= 3; ++link) {
    std::vector<uint8_t> hop = Hop(link, static_cast<uint8_t>(link - 1),
                                   nullptr);
    if (link == 2) {
      hop.insert(hop.end(), gateway_bytes.begin(), gateway_bytes.end());
      hop[0] = static_cast<uint8_t>(hop.size());
    }
    hops.insert(hops.end(), hop.begin(), hop.end());
  }
  const auto read = [](const std::vector<uint8_t>& multipath) {
    return ReadRouteNews(Payload(RouteHeader(AF_INET, 0))
                             .Nested(RTA_MULTIPATH, multipath)
                             .bytes());
  };
  const auto news = read(hops);
  ASSERT_TRUE(news.has_value());
  EXPECT_EQ(news->hops,
            (std::vector<KernelHop>{
                {.link = 1},
                {.link = 2, .gateway = *ParseAddress("192.0.2.1"), .weight = 2},
                {.link = 3, .weight = 3}}));
  std::vector<uint8_t> cut = hops;
  cut.resize(cut.size() - 4);
  EXPECT_FALSE(read(cut).has_value());
  std::vector<uint8_t> none = hops;
  none[0] = 0;  // a hop without a length would be read for ever
  EXPECT_FALSE(read(none).has_value());
  std::vector<uint8_t> many;
  for (size_t i = 0; i <= kMaxKernelHops; ++i) {
    const auto hop = Hop(1, 0, nullptr);
    many.insert(many.end(), hop.begin(), hop.end());
    EXPECT_EQ(read(many).has_value(), i < kMaxKernelHops);
    if (i < kMaxKernelHops - 2) {
      i = kMaxKernelHops - 2;
      while (many.size() < (i + 1) * hop.size()) {
        many.insert(many.end(), hop.begin(), hop.end());
      }
    }
  }
}

TEST(NetlinkMessageTest, RoutesThatAreNotWellFormed) {
  // Host bits, no destination, one of another family, too many bits.
  EXPECT_FALSE(ReadRouteNews(Payload(RouteHeader(AF_INET, 8))
                                 .Ip(RTA_DST, "10.0.0.1")
                                 .bytes())
                   .has_value());
  EXPECT_FALSE(
      ReadRouteNews(Payload(RouteHeader(AF_INET, 8)).bytes()).has_value());
  EXPECT_FALSE(ReadRouteNews(Payload(RouteHeader(AF_INET6, 8))
                                 .Ip(RTA_DST, "10.0.0.0")
                                 .bytes())
                   .has_value());
  EXPECT_FALSE(ReadRouteNews(Payload(RouteHeader(AF_INET, 33))
                                 .Ip(RTA_DST, "10.0.0.0")
                                 .bytes())
                   .has_value());
  EXPECT_FALSE(
      ReadRouteNews(Payload(RouteHeader(AF_MPLS, 0)).bytes()).has_value());
  rtmsg header = RouteHeader(AF_INET6, 0);
  header.rtm_src_len = 64;
  header.rtm_flags = RTM_F_CLONED;
  const auto odd = ReadRouteNews(Payload(header).bytes());
  ASSERT_TRUE(odd.has_value());
  EXPECT_TRUE(odd->by_source);
  EXPECT_TRUE(odd->cloned);
}

TEST(NetlinkMessageTest, NextHopObjects) {
  nhmsg header = {};
  header.nh_family = AF_INET;
  EXPECT_EQ(ReadNextHopNews(Payload(header)
                                .Number(NHA_ID, uint32_t{7})
                                .Number(NHA_OIF, uint32_t{3})
                                .Ip(NHA_GATEWAY, "192.0.2.1")
                                .bytes()),
            (NextHopNews{.id = 7,
                         .hop = {.link = 3,
                                 .gateway = *ParseAddress("192.0.2.1")}}));
  header.nh_family = AF_UNSPEC;
  const nexthop_grp members[] = {{.id = 7, .weight = 0, .resvd1 = 0,
                                  .resvd2 = 0},
                                 {.id = 8, .weight = 4, .resvd1 = 0,
                                  .resvd2 = 0}};
  const auto group = ReadNextHopNews(
      Payload(header)
          .Number(NHA_ID, uint32_t{9})
          .Bytes(NHA_GROUP, members, sizeof members)
          .bytes());
  ASSERT_TRUE(group.has_value());
  EXPECT_EQ(group->members,
            (std::vector<NextHopNews::Member>{{.id = 7, .weight = 1},
                                              {.id = 8, .weight = 5}}));
  EXPECT_TRUE(ReadNextHopNews(Payload(header)
                                  .Number(NHA_ID, uint32_t{9})
                                  .Bytes(NHA_BLACKHOLE, nullptr, 0)
                                  .bytes())
                  ->blackhole);
  EXPECT_FALSE(ReadNextHopNews(Payload(header).bytes()).has_value());
  EXPECT_FALSE(ReadNextHopNews(Payload(header)
                                   .Number(NHA_ID, uint32_t{9})
                                   .Bytes(NHA_GROUP, members, 9)
                                   .bytes())
                   .has_value());
}

}  // namespace
}  // namespace sluice
