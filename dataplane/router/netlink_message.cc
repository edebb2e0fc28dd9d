#include "dataplane/router/netlink_message.h"

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace sluice {
namespace {

constexpr size_t Aligned(size_t length) { return (length + 3) & ~size_t{3}; }

// A structure at the beginning of the bytes.
template <typename T>
bool ReadStruct(NetlinkBytes bytes, T* value) {
  if (bytes.size() < sizeof(T)) return false;
  std::memcpy(value, bytes.data(), sizeof(T));
  return true;
}
NetlinkBytes Behind(NetlinkBytes bytes, size_t length) {
  return bytes.subspan(std::min(bytes.size(), Aligned(length)));
}

template <typename T>
bool ReadNumber(NetlinkBytes value, T* number) {
  if (value.size() != sizeof(T)) return false;
  std::memcpy(number, value.data(), sizeof(T));
  return true;
}

Family FamilyFrom(uint8_t number) {
  return number == AF_INET    ? Family::kIpv4
         : number == AF_INET6 ? Family::kIpv6
                              : Family::kNone;
}
bool ReadAddress(NetlinkBytes value, Family family, Address* address) {
  const auto length = static_cast<size_t>(AddressBits(family) / 8);
  if (length == 0 || value.size() != length) return false;
  *address = Address::FromBytes(family, value.data());
  return true;
}
bool ReadMac(NetlinkBytes value, MacAddress* mac) {
  if (value.size() != mac->size()) return false;
  std::copy(value.begin(), value.end(), mac->begin());
  return true;
}

// Calls f(type, value) for each attribute, until it says that one is not well
// formed. False then, and for attributes that overlap the end.
template <typename F>
bool EachAttribute(NetlinkBytes bytes, F&& f) {
  while (bytes.size() >= sizeof(nlattr)) {
    nlattr attribute;
    std::memcpy(&attribute, bytes.data(), sizeof attribute);
    if (attribute.nla_len < sizeof attribute ||
        attribute.nla_len > bytes.size()) {
      return false;
    }
    const auto type =
        static_cast<uint16_t>(attribute.nla_type & NLA_TYPE_MASK);
    if (!f(type, bytes.subspan(sizeof attribute,
                               attribute.nla_len - sizeof attribute))) {
      return false;
    }
    bytes = Behind(bytes, attribute.nla_len);
  }
  return bytes.empty();
}

// A gateway of any family.
bool ReadVia(NetlinkBytes value, Address* gateway) {
  uint16_t family;
  if (value.size() < sizeof family) return false;
  std::memcpy(&family, value.data(), sizeof family);
  if (family > 0xff) return false;
  return ReadAddress(value.subspan(sizeof family),
                     FamilyFrom(static_cast<uint8_t>(family)), gateway);
}

// What of an attribute is the same of routes and of one of several hops.
bool ReadHopAttribute(uint16_t type, NetlinkBytes value, Family family,
                      KernelHop* hop) {
  switch (type) {
    case RTA_GATEWAY:
      return ReadAddress(value, family, &hop->gateway);
    case RTA_VIA:
      return ReadVia(value, &hop->gateway);
    case RTA_ENCAP:
    case RTA_NEWDST:
      hop->encapsulated = true;
      return true;
    default:
      return true;
  }
}

bool ReadHops(NetlinkBytes bytes, Family family,
              std::vector<KernelHop>* hops) {
  while (!bytes.empty()) {
    rtnexthop header;
    if (!ReadStruct(bytes, &header) || header.rtnh_len < sizeof header ||
        header.rtnh_len > bytes.size() || hops->size() == kMaxKernelHops) {
      return false;
    }
    KernelHop hop = {
        .link = static_cast<uint32_t>(header.rtnh_ifindex),
        .weight = static_cast<uint16_t>(header.rtnh_hops + 1)};
    const NetlinkBytes attributes =
        bytes.subspan(sizeof header, header.rtnh_len - sizeof header);
    if (!EachAttribute(attributes, [&](uint16_t type, NetlinkBytes value) {
          return ReadHopAttribute(type, value, family, &hop);
        })) {
      return false;
    }
    hops->push_back(hop);
    bytes = Behind(bytes, header.rtnh_len);
  }
  return true;
}

bool HasMember(const NextHopNews& news, uint32_t id) {
  return std::any_of(
      news.members.begin(), news.members.end(),
      [id](const NextHopNews::Member& member) { return member.id == id; });
}

}  // namespace

std::optional<NetlinkMessage> NextNetlinkMessage(NetlinkBytes* bytes) {
  nlmsghdr header;
  if (!ReadStruct(*bytes, &header) || header.nlmsg_len < sizeof header ||
      header.nlmsg_len > bytes->size()) {
    return std::nullopt;
  }
  const NetlinkMessage message = {
      .type = header.nlmsg_type,
      .flags = header.nlmsg_flags,
      .sequence = header.nlmsg_seq,
      .port = header.nlmsg_pid,
      .payload =
          bytes->subspan(sizeof header, header.nlmsg_len - sizeof header)};
  *bytes = Behind(*bytes, header.nlmsg_len);
  return message;
}

std::optional<int> ReadNetlinkError(NetlinkBytes payload) {
  int32_t error;
  if (!ReadStruct(payload, &error) || error > 0 || error < -4095) {
    return std::nullopt;
  }
  return -error;
}

std::optional<LinkNews> ReadLinkNews(NetlinkBytes payload) {
  ifinfomsg header;
  if (!ReadStruct(payload, &header) || header.ifi_index <= 0 ||
      header.ifi_family == AF_BRIDGE) {
    return std::nullopt;
  }
  LinkNews news;
  news.index = static_cast<uint32_t>(header.ifi_index);
  news.switched_on = (header.ifi_flags & IFF_UP) != 0;
  news.running = (header.ifi_flags & IFF_RUNNING) != 0;
  const bool good = EachAttribute(
      Behind(payload, sizeof header), [&](uint16_t type, NetlinkBytes value) {
        switch (type) {
          case IFLA_IFNAME: {
            const auto end = std::find(value.begin(), value.end(), 0);
            if (end == value.begin() || end - value.begin() >= IFNAMSIZ) {
              return false;
            }
            news.name.assign(value.begin(), end);
            return true;
          }
          case IFLA_MTU:
            return ReadNumber(value, &news.mtu);
          case IFLA_ADDRESS:
            // Other lengths are those of other kinds of links.
            ReadMac(value, &news.mac);
            return true;
          default:
            return true;
        }
      });
  if (!good || news.name.empty()) return std::nullopt;
  return news;
}

std::optional<AddressNews> ReadAddressNews(NetlinkBytes payload) {
  ifaddrmsg header;
  if (!ReadStruct(payload, &header) || header.ifa_index == 0) {
    return std::nullopt;
  }
  const Family family = FamilyFrom(header.ifa_family);
  AddressNews news;
  news.link = header.ifa_index;
  news.address.length = header.ifa_prefixlen;
  uint32_t flags = header.ifa_flags;
  Address local, other;
  const bool good = EachAttribute(
      Behind(payload, sizeof header), [&](uint16_t type, NetlinkBytes value) {
        switch (type) {
          case IFA_LOCAL:
            return ReadAddress(value, family, &local);
          case IFA_ADDRESS:
            return ReadAddress(value, family, &other);
          case IFA_FLAGS:
            return ReadNumber(value, &flags);
          default:
            return true;
        }
      });
  // Of a link between two, IFA_ADDRESS is the other end.
  news.address.address = local.family != Family::kNone ? local : other;
  if (!good || news.address.address.family == Family::kNone ||
      header.ifa_prefixlen > AddressBits(family)) {
    return std::nullopt;
  }
  news.tentative = (flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) != 0 &&
                   (flags & IFA_F_OPTIMISTIC) == 0;
  news.deprecated = (flags & IFA_F_DEPRECATED) != 0;
  return news;
}

std::optional<NeighborNews> ReadNeighborNews(NetlinkBytes payload) {
  ndmsg header;
  if (!ReadStruct(payload, &header) || header.ndm_ifindex <= 0) {
    return std::nullopt;
  }
  const Family family = FamilyFrom(header.ndm_family);
  NeighborNews news;
  news.link = static_cast<uint32_t>(header.ndm_ifindex);
  news.state = header.ndm_state;
  news.proxy = (header.ndm_flags & NTF_PROXY) != 0;
  const bool good = EachAttribute(
      Behind(payload, sizeof header), [&](uint16_t type, NetlinkBytes value) {
        if (type == NDA_DST) return ReadAddress(value, family, &news.address);
        if (type == NDA_LLADDR) news.has_mac = ReadMac(value, &news.mac);
        return true;
      });
  if (!good || news.address.family == Family::kNone) return std::nullopt;
  return news;
}

std::optional<RouteNews> ReadRouteNews(NetlinkBytes payload) {
  rtmsg header;
  if (!ReadStruct(payload, &header)) return std::nullopt;
  const Family family = FamilyFrom(header.rtm_family);
  if (header.rtm_dst_len > AddressBits(family) || family == Family::kNone) {
    return std::nullopt;
  }
  RouteNews news;
  news.prefix.address.family = family;
  news.prefix.length = header.rtm_dst_len;
  news.table = header.rtm_table;
  news.type = header.rtm_type;
  news.tos = header.rtm_tos;
  news.cloned = (header.rtm_flags & RTM_F_CLONED) != 0;
  news.by_source = header.rtm_src_len != 0;
  KernelHop single;
  bool has_destination = false, has_hops = false;
  const bool good = EachAttribute(
      Behind(payload, sizeof header), [&](uint16_t type, NetlinkBytes value) {
        switch (type) {
          case RTA_DST:
            has_destination = true;
            return ReadAddress(value, family, &news.prefix.address);
          case RTA_TABLE:
            return ReadNumber(value, &news.table);
          case RTA_PRIORITY:
            return ReadNumber(value, &news.metric);
          case RTA_OIF:
            return ReadNumber(value, &single.link);
          case RTA_NH_ID:
            return ReadNumber(value, &news.object);
          case RTA_MULTIPATH:
            // Only once: each may be as long as a message.
            if (std::exchange(has_hops, true)) return false;
            return ReadHops(value, family, &news.hops);
          default:
            return ReadHopAttribute(type, value, family, &single);
        }
      });
  if (!good || (header.rtm_dst_len > 0 && !has_destination) ||
      news.prefix.Masked() != news.prefix) {
    return std::nullopt;
  }
  if (news.hops.empty() &&
      (single.link != 0 || single.gateway.family != Family::kNone)) {
    news.hops.push_back(single);
  } else if (single.encapsulated) {
    for (KernelHop& hop : news.hops) hop.encapsulated = true;
  }
  return news;
}

std::optional<NextHopNews> ReadNextHopNews(NetlinkBytes payload) {
  nhmsg header;
  if (!ReadStruct(payload, &header)) return std::nullopt;
  const Family family = FamilyFrom(header.nh_family);
  NextHopNews news;
  const bool good = EachAttribute(
      Behind(payload, sizeof header), [&](uint16_t type, NetlinkBytes value) {
        switch (type) {
          case NHA_ID:
            return ReadNumber(value, &news.id);
          case NHA_BLACKHOLE:
            news.blackhole = true;
            return true;
          case NHA_FDB:
            news.for_bridges = true;
            return true;
          case NHA_OIF:
            return ReadNumber(value, &news.hop.link);
          case NHA_GATEWAY:
            return ReadAddress(value, family, &news.hop.gateway);
          case NHA_ENCAP:
            news.hop.encapsulated = true;
            return true;
          case NHA_GROUP: {
            const size_t count = value.size() / sizeof(nexthop_grp);
            if (value.size() % sizeof(nexthop_grp) != 0 ||
                count > kMaxKernelHops || !news.members.empty()) {
              return false;
            }
            for (size_t i = 0; i < count; ++i) {
              nexthop_grp member;
              std::memcpy(&member, value.data() + i * sizeof member,
                          sizeof member);
              if (HasMember(news, member.id)) return false;
              // Newer kernels have the upper byte of weights where older ones
              // have nothing.
              const uint32_t weight =
                  (uint32_t{member.resvd1} << 8 | member.weight) + 1u;
              news.members.push_back(
                  {.id = member.id,
                   .weight = static_cast<uint16_t>(
                       std::min<uint32_t>(weight, 0xffff))});
            }
            return true;
          }
          default:
            return true;
        }
      });
  if (!good || news.id == 0) return std::nullopt;
  return news;
}

}  // namespace sluice
