// What rtnetlink says, read out of bytes: links, addresses, neighbours, routes,
// next hop objects. Pure functions; what is not well formed, or more than the
// limits here, is no message.
#ifndef SLUICE_DATAPLANE_ROUTER_NETLINK_MESSAGE_H_
#define SLUICE_DATAPLANE_ROUTER_NETLINK_MESSAGE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "packet/address.h"
#include "packet/neighbor.h"

namespace sluice {

using NetlinkBytes = std::span<const uint8_t>;

// Of a route or a next hop group. The kernel's own limit is what fits into a
// message.
inline constexpr size_t kMaxKernelHops = 512;

// A message, and what follows it. `payload` begins behind its header.
struct NetlinkMessage {
  uint16_t type = 0;
  uint16_t flags = 0;
  uint32_t sequence = 0;
  uint32_t port = 0;  // whose request it is about
  NetlinkBytes payload;
};
// Takes the first message off `*bytes`. Nothing: there is no whole one.
std::optional<NetlinkMessage> NextNetlinkMessage(NetlinkBytes* bytes);

// Of NLMSG_ERROR: 0 is an acknowledgment, else an errno.
std::optional<int> ReadNetlinkError(NetlinkBytes payload);

struct LinkNews {
  uint32_t index = 0;
  std::string name;
  uint32_t mtu = 0;
  MacAddress mac{};
  bool switched_on = false;  // IFF_UP
  bool running = false;      // has a carrier

  friend bool operator==(const LinkNews&, const LinkNews&) = default;
};
std::optional<LinkNews> ReadLinkNews(NetlinkBytes payload);

struct AddressNews {
  uint32_t link = 0;
  Prefix address;  // with host bits
  // Not yet sure to be its own (RFC 4862 5.4).
  bool tentative = false;
  bool deprecated = false;

  friend bool operator==(const AddressNews&, const AddressNews&) = default;
};
std::optional<AddressNews> ReadAddressNews(NetlinkBytes payload);

struct NeighborNews {
  uint32_t link = 0;
  Address address;
  uint16_t state = 0;  // NUD_...
  bool proxy = false;
  bool has_mac = false;
  MacAddress mac{};

  friend bool operator==(const NeighborNews&, const NeighborNews&) = default;
};
std::optional<NeighborNews> ReadNeighborNews(NetlinkBytes payload);

struct KernelHop {
  uint32_t link = 0;  // 0: the route has none
  Address gateway{};
  uint16_t weight = 1;
  // Tunnels, MPLS: more than a link and a gateway.
  bool encapsulated = false;

  friend bool operator==(const KernelHop&, const KernelHop&) = default;
};
struct RouteNews {
  Prefix prefix;
  uint32_t table = 0;
  uint8_t type = 0;  // RTN_...
  uint8_t tos = 0;
  bool cloned = false;  // made of another one for a destination
  // From some sources only (IPv6).
  bool by_source = false;
  uint32_t metric = 0;
  uint32_t object = 0;  // the next hop object, 0: none
  std::vector<KernelHop> hops{};

  friend bool operator==(const RouteNews&, const RouteNews&) = default;
};
std::optional<RouteNews> ReadRouteNews(NetlinkBytes payload);

struct NextHopNews {
  uint32_t id = 0;
  bool blackhole = false;
  bool for_bridges = false;  // NHA_FDB
  KernelHop hop;
  // A group of others, with their weights.
  struct Member {
    uint32_t id = 0;
    uint16_t weight = 1;

    friend bool operator==(const Member&, const Member&) = default;
  };
  std::vector<Member> members{};

  friend bool operator==(const NextHopNews&, const NextHopNews&) = default;
};
std::optional<NextHopNews> ReadNextHopNews(NetlinkBytes payload);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_ROUTER_NETLINK_MESSAGE_H_
