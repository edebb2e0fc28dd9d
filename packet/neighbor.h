// Who has an IP address on a link: messages of ARP (RFC 826, RFC 5227) and of
// neighbour discovery (RFC 4861), as they are read and made. Both say the same
// things and are one kind of message here. VLAN tags are kept: what is asked in
// one is answered in it.
//
// Worker side: no allocation, no lock, no exception.
#ifndef SLUICE_PACKET_NEIGHBOR_H_
#define SLUICE_PACKET_NEIGHBOR_H_

#include <array>
#include <cstdint>
#include <span>

#include "packet/packet.h"

struct rte_mbuf;

namespace sluice {

using MacAddress = std::array<uint8_t, 6>;

struct NeighborMessage {
  // Whether it asks for `target`; else it says that `target` is at `link`.
  bool asks = false;
  Address target;
  // Of a question: who asks, kNone if that one has no address yet (a probe).
  Address sender;
  // Of the sender, or of the target that is told of.
  MacAddress link{};
};

// Reads a message out of a parsed frame, which may be any. False: it is none
// that says something of an address, or not a well-formed one. Of ARP, a packet
// that names its sender as its target says where that is.
bool ReadNeighborMessage(const rte_mbuf& frame, const PacketInfo& info,
                         NeighborMessage* message);

// The bytes of a frame between its MAC addresses and what it carries, without
// the last two, which are a type: its VLAN tags. None for an untagged one.
inline constexpr size_t kLinkTagBytes = 4 * kMaxVlanTags;
struct LinkTags {
  std::array<uint8_t, kLinkTagBytes> bytes;
  uint8_t length = 0;

  std::span<const uint8_t> span() const { return {bytes.data(), length}; }
};
LinkTags ReadLinkTags(const rte_mbuf& frame, const PacketInfo& info);

// All of these fill an empty mbuf of one segment. False, with the mbuf
// unchanged: it has no room.

// That `message.target`, which the frame asks for, is at `own`.
bool BuildNeighborAnswer(const rte_mbuf& frame, const PacketInfo& info,
                         const NeighborMessage& message, const MacAddress& own,
                         rte_mbuf* answer);
// Who has `target`? Asked by one who has no address, so that nobody learns a
// wrong one by it: an ARP probe, a solicitation from the unspecified address.
// Whoever has the address answers these, too (RFC 5227 section 2.1.1, RFC 4862
// section 5.4.3).
bool BuildNeighborProbe(const Address& target, const MacAddress& own,
                        const LinkTags& tags, rte_mbuf* probe);
// That `address` is at `own`, to everybody in a VLAN: an ARP announcement, an
// unsolicited advertisement that overrides what was known.
bool BuildNeighborAnnouncement(const Address& address, const MacAddress& own,
                               const LinkTags& tags, rte_mbuf* announcement);

// The link's addresses of a frame, which has at least these bytes.
MacAddress LinkSource(const rte_mbuf& frame);
MacAddress LinkDestination(const rte_mbuf& frame);
void SetLinkSource(rte_mbuf& frame, const MacAddress& address);
void SetLinkDestination(rte_mbuf& frame, const MacAddress& address);

// Of one host: neither a group's nor all zero.
constexpr bool IsHost(const MacAddress& address) {
  uint8_t any = 0;
  for (const uint8_t byte : address) any |= byte;
  return any != 0 && (address[0] & 1) == 0;
}

}  // namespace sluice

#endif  // SLUICE_PACKET_NEIGHBOR_H_
