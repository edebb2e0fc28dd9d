// Packets that go on in the other family: IPv4 as IPv6 and IPv6 as IPv4, with
// headers as RFC 7915 has them, and the packet that an ICMP error quotes with
// them. What a packet's addresses and ports become is the caller's affair.
//
// Where RFC 7915 leaves a choice:
// - The hop limit goes down by one: to cross is a hop. What has none left is
//   refused.
// - A packet of IPv6 that would have 1260 bytes or less may be fragmented on
//   its way (section 5.1), a larger one says "do not fragment".
// - IPv4 that may be fragmented becomes fragments of 1280 bytes at most
//   (section 4); what says "do not fragment" and is larger than the way out
//   takes is reported as such.
// - Options of IPv4 and extension headers are left out; a source route that is
//   not used up, or an authentication header, cannot be.
// - Extensions of ICMP (RFC 4884) are cut off, since nothing else says where
//   they begin once the quotation has another length.
// - The flow label is zero.
//
// Worker side: no lock, no exception; buffers come from the pool that is given,
// and only where a packet has no room for a longer header, or for fragments.
#ifndef SLUICE_PACKET_FAMILY_H_
#define SLUICE_PACKET_FAMILY_H_

#include <cstdint>

#include "packet/packet.h"
#include "packet/readdress.h"

struct rte_mbuf;
struct rte_mempool;

namespace sluice {

// Whether a packet may cross as it is: no fragment, no ICMP but echo messages,
// no protocol of one family, and of addresses only what is forwarded.
bool MayCross(const PacketInfo& info);

// The other family's number of a protocol.
constexpr uint8_t ProtocolAcross(uint8_t proto) {
  return proto == protocol::kIcmp    ? protocol::kIcmp6
         : proto == protocol::kIcmp6 ? protocol::kIcmp
                                     : proto;
}
// The type of an echo message, or of its answer, in the other family; 0: it is
// neither.
constexpr uint8_t EchoAcross(uint8_t type) {
  switch (type) {
    case 8:
      return 128;
    case 0:
      return 129;
    case 128:
      return 8;
    default:
      return 0;
  }
}
constexpr Family Across(Family family) {
  return family == Family::kIpv4 ? Family::kIpv6 : Family::kIpv4;
}

struct Crossing {
  PacketEnds ends{};     // in the other family
  uint16_t mtu = 1500;   // of the way out: bytes of an IP packet
  uint32_t id = 0;       // of fragments that have none, and of IPv4 packets
  rte_mempool* pool = nullptr;  // may be null: then nothing can be longer
};

enum class CrossResult : uint8_t {
  kDone,
  kRefused,  // the other family has no such packet
  kTooBig,   // ... no such one of this size: its sender should know
  kMemory,   // no buffer
};

// How a packet that has crossed leaves.
struct CrossedForm {
  // The most bytes of data of a fragment, a multiple of 8; 0: it leaves whole.
  // Whatever fragments it came in are no more; MakeFragments() makes new ones.
  uint16_t fragment_data = 0;
  uint32_t id = 0;
};

// Puts the other family's header before a packet that MayCross(). *packet may be
// another mbuf afterwards, and *info is read anew. Unless the result is kDone
// the packet is fit to be dropped, and with kTooBig it is as it was.
CrossResult CrossFamilies(rte_mbuf** packet, PacketInfo* info,
                          const Crossing& crossing, CrossedForm* form);

// The same of an ICMP error (kIcmpError) about a packet that crosses: the packet
// that it quotes (`inner`, as ParseInner() has read it) gets crossing.ends, and
// the error goes to whoever sent that. It comes from the quoted packet's
// destination; a router of IPv4 in between has an address of its own if that
// destination is an IPv4 address behind a prefix.
CrossResult CrossIcmpError(rte_mbuf** packet, PacketInfo* info,
                           const PacketInfo& inner, const Crossing& crossing);

// Makes fragments of a packet that has crossed, in the form that
// FragmentSplitter takes; with form.fragment_data of 0 it is whole again. Null:
// no buffers, and the packet is as it was.
rte_mbuf* MakeFragments(rte_mbuf* packet, const PacketInfo& info,
                        const CrossedForm& form, rte_mempool* pool);

}  // namespace sluice

#endif  // SLUICE_PACKET_FAMILY_H_
