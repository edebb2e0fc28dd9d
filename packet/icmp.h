// What ICMP and ICMPv6 messages are to each other: which answers which, by what
// identifier, and between which addresses. As in both pfs; RFC 792, 950, 1256,
// 2710, 4443, 4620, 4861.
#ifndef SLUICE_PACKET_ICMP_H_
#define SLUICE_PACKET_ICMP_H_

#include <array>
#include <cstdint>

#include "packet/packet.h"

namespace sluice {

namespace icmp6 {
inline constexpr uint8_t kMldQuery = 130;
inline constexpr uint8_t kMldReport = 131;
inline constexpr uint8_t kNeighborSolicitation = 135;
inline constexpr uint8_t kNeighborAdvertisement = 136;
}  // namespace icmp6

struct IcmpMapping {
  uint8_t virtual_type;  // the request's type
  bool reply;            // an answer to it
};
// Requests and replies meet at the request's type: echo, timestamp,
// information, address mask, router solicitation, the mobile pairs 33 and 35;
// echo, neighbour solicitation, node information and multicast traces of
// ICMPv6. An MLD report is no answer, but has the type of a query. Every other
// type is a request of its own.
IcmpMapping MapIcmp(Family family, uint8_t type);

// ICMPv6 messages whose header goes on with an address: the target of neighbour
// discovery, the group of MLD queries and reports.
constexpr bool HasIcmp6Target(uint8_t type) {
  return type == icmp6::kMldQuery || type == icmp6::kMldReport ||
         type == icmp6::kNeighborSolicitation ||
         type == icmp6::kNeighborAdvertisement;
}
// Bytes of such a message to the end of the address.
inline constexpr uint32_t kIcmp6TargetEnd = 24;

constexpr bool IsNeighborAdvertisement(const PacketInfo& info) {
  return info.proto == protocol::kIcmp6 && info.family == Family::kIpv6 &&
         info.icmp_type == icmp6::kNeighborAdvertisement;
}

// Whether an ICMP or ICMPv6 message asks for or tells something, rather than
// being an error, a redirect or something that nobody knows: only such a one may
// be answered with an error.
constexpr bool IsIcmpInformation(const PacketInfo& info) {
  constexpr uint8_t kRedirect6 = 137;
  if (info.family == Family::kIpv6) {
    return info.icmp_type >= 128 && info.icmp_type != kRedirect6;
  }
  const uint8_t type = info.icmp_type;
  return type == 0 || (type >= 8 && type <= 10) || (type >= 13 && type <= 18);
}

// What tells the query's exchange from others between the same hosts: the
// identifier of those that have one (`id`, as it lies in the header), a digest
// of the target, or 0. `info` has its family, type and offsets.
Be16 IcmpIdentifier(const rte_mbuf& mbuf, const PacketInfo& info, Be16 id);

// The addresses between which the exchange is.
struct IcmpEnds {
  std::array<uint8_t, 16> source;
  std::array<uint8_t, 16> destination;
};
// A solicitation goes to a group that its target listens to, and its answer
// comes from any address of the target: both are with the target. An
// advertisement for all answers a solicitation that had no source.
IcmpEnds NeighborEnds(const rte_mbuf& mbuf, const PacketInfo& info);

constexpr bool IsNeighborMessage(const PacketInfo& info) {
  return info.proto == protocol::kIcmp6 && info.family == Family::kIpv6 &&
         (info.icmp_type == icmp6::kNeighborSolicitation ||
          info.icmp_type == icmp6::kNeighborAdvertisement);
}

// ICMPv6 requests that may be asked of a group and are answered by unicast.
constexpr bool IsAskedOfMany(uint8_t type) {
  return type == 128 || type == 129 || type == 139 || type == 140 ||
         type == 200 || type == 201;
}

// All nodes of a link, ff02::1: what is asked of them each answers from an
// address of its own.
inline constexpr std::array<uint8_t, 16> kAllNodes = {
    0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

}  // namespace sluice

#endif  // SLUICE_PACKET_ICMP_H_
