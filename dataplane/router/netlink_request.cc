#include "dataplane/router/netlink_request.h"

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cstring>

namespace sluice {
namespace {

uint8_t NumberOf(Family family) {
  return family == Family::kIpv4   ? AF_INET
         : family == Family::kIpv6 ? AF_INET6
                                   : AF_UNSPEC;
}

template <typename T>
void Append(std::vector<uint8_t>* bytes, const T& value) {
  const auto* const data = reinterpret_cast<const uint8_t*>(&value);
  bytes->insert(bytes->end(), data, data + sizeof value);
  bytes->resize((bytes->size() + 3) & ~size_t{3});
}

template <typename Body>
std::vector<uint8_t> Request(uint16_t type, uint16_t flags, uint32_t sequence,
                             const Body& body) {
  nlmsghdr header = {};
  header.nlmsg_type = type;
  header.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
  header.nlmsg_seq = sequence;
  std::vector<uint8_t> bytes;
  Append(&bytes, header);
  Append(&bytes, body);
  return bytes;
}

std::vector<uint8_t> Finished(std::vector<uint8_t> bytes) {
  const auto length = static_cast<uint32_t>(bytes.size());
  std::memcpy(bytes.data(), &length, sizeof length);
  return bytes;
}

std::vector<uint8_t> NeighborRequest(uint16_t type, uint16_t flags,
                                     uint8_t neighbor_flags, uint32_t link,
                                     const Address& address,
                                     uint32_t sequence) {
  ndmsg body = {};
  body.ndm_family = NumberOf(address.family);
  body.ndm_ifindex = static_cast<int>(link);
  body.ndm_flags = neighbor_flags;
  std::vector<uint8_t> bytes = Request(type, flags, sequence, body);
  const auto length = static_cast<size_t>(AddressBits(address.family) / 8);
  nlattr attribute = {};
  attribute.nla_type = NDA_DST;
  attribute.nla_len = static_cast<uint16_t>(sizeof attribute + length);
  Append(&bytes, attribute);
  bytes.insert(bytes.end(), address.bytes.begin(),
               address.bytes.begin() + static_cast<ptrdiff_t>(length));
  return Finished(std::move(bytes));
}

}  // namespace

std::vector<uint8_t> DumpRequest(uint16_t type, Family family,
                                 uint32_t sequence) {
  const uint8_t number = NumberOf(family);
  switch (type) {
    case RTM_GETLINK: {
      ifinfomsg body = {};
      body.ifi_family = number;
      return Finished(Request(type, NLM_F_DUMP, sequence, body));
    }
    case RTM_GETADDR: {
      ifaddrmsg body = {};
      body.ifa_family = number;
      return Finished(Request(type, NLM_F_DUMP, sequence, body));
    }
    case RTM_GETNEIGH: {
      ndmsg body = {};
      body.ndm_family = number;
      return Finished(Request(type, NLM_F_DUMP, sequence, body));
    }
    case RTM_GETNEXTHOP: {
      nhmsg body = {};
      body.nh_family = number;
      return Finished(Request(type, NLM_F_DUMP, sequence, body));
    }
    default: {
      rtmsg body = {};
      body.rtm_family = number;
      return Finished(Request(type, NLM_F_DUMP, sequence, body));
    }
  }
}

std::vector<uint8_t> NeighborUseRequest(uint32_t link, const Address& address,
                                        uint32_t sequence) {
  return NeighborRequest(RTM_NEWNEIGH, NLM_F_CREATE, NTF_USE, link, address,
                         sequence);
}

std::vector<uint8_t> NeighborEndRequest(uint32_t link, const Address& address,
                                        uint32_t sequence) {
  return NeighborRequest(RTM_DELNEIGH, 0, 0, link, address, sequence);
}

std::vector<uint8_t> NeighborGetRequest(uint32_t link, const Address& address,
                                        uint32_t sequence) {
  return NeighborRequest(RTM_GETNEIGH, 0, 0, link, address, sequence);
}

}  // namespace sluice
