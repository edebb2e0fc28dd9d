// The key under which a packet finds its state.
//
// As in pf a key is not a sorted tuple: it is what the two ends of a
// connection look like from the side on which a packet is judged. A packet
// that comes `in` has its source at end 0; one that goes `out` has its
// destination there. So a request judged in and its reply judged out on the
// same port share one key, while a forwarded packet, judged in at one port and
// out at the other, makes two states with mirrored keys.
//
// For ICMP and ICMPv6 queries the requester's port is the query's identifier
// and the responder's port is the request's type, so that an echo reply maps
// to the key of its request. Neighbour solicitations and advertisements are
// between the querier and the target (packet/icmp.h).
//
// The VLAN belongs to the key and does not lie in it, for want of room: a bit of
// the key says that there is one, and who compares keys compares its number
// then (VlanId), which a state has elsewhere. So packets without a tag pay
// nothing for it.
#ifndef SLUICE_CONNTRACK_FLOW_KEY_H_
#define SLUICE_CONNTRACK_FLOW_KEY_H_

#include <array>
#include <cstdint>
#include <cstring>

#include "packet/icmp.h"
#include "packet/packet.h"
#include "packet/vlan.h"

namespace sluice {

// Where a packet is judged: which way, by which policy instance, at which
// port. Interfaces are numbered by the caller; they matter to if-bound states
// only.
struct JudgePoint {
  Direction direction = Direction::kIn;
  uint16_t filter = 0;
  uint16_t interface = 0;
  // Whether a neighbour advertisement belongs to the solicitation's state, as
  // in FreeBSD's pf, or is left to the rules, as in OpenBSD's.
  bool pairs_neighbors = false;

  // The same place for what goes the other way.
  JudgePoint Reversed() const {
    JudgePoint reversed = *this;
    reversed.direction = Opposite(direction);
    return reversed;
  }
};

// In the family of the key of a packet in a VLAN.
inline constexpr uint8_t kVlanFamily = 0x10;

// Ports and addresses in network order.
struct alignas(16) FlowKey4 {
  uint32_t end0 = 0;
  uint32_t end1 = 0;
  uint16_t port0 = 0;
  uint16_t port1 = 0;
  uint8_t proto = 0;
  // Family::kIpv4 in a key, and perhaps kVlanFamily; in a hot line kIpv6 marks a
  // state whose addresses are elsewhere, and 0 a slot that holds none.
  uint8_t family = static_cast<uint8_t>(Family::kIpv4);
  uint16_t filter = 0;

  bool has_vlan() const { return (family & kVlanFamily) != 0; }
  friend bool operator==(const FlowKey4&, const FlowKey4&) = default;
};
static_assert(sizeof(FlowKey4) == 16);

struct alignas(8) FlowKey6 {
  std::array<uint8_t, 16> end0{};
  std::array<uint8_t, 16> end1{};
  uint16_t port0 = 0;
  uint16_t port1 = 0;
  uint8_t proto = 0;
  uint8_t family = static_cast<uint8_t>(Family::kIpv6);
  uint16_t filter = 0;

  bool has_vlan() const { return (family & kVlanFamily) != 0; }
  friend bool operator==(const FlowKey6&, const FlowKey6&) = default;
};
static_assert(sizeof(FlowKey6) == 40);

// The secret that keys the hash: a table that strangers can fill must not let
// them choose its buckets. Taken from the system's generator at start; fixed
// where runs have to repeat.
struct HashSecret {
  std::array<uint64_t, 3> words{};

  // From a fixed number, for replays and tests.
  static HashSecret FromSeed(uint64_t seed);
  // From the system's random generator.
  static HashSecret Random();
};

// A key's hash. `value` is the same for a key and its mirror image, so that
// both keys of one forwarded packet fall into one bucket; `order` tells them
// apart.
struct FlowHash {
  uint64_t value;
  bool order;
};

namespace internal {

inline uint64_t Mix(uint64_t a, uint64_t b) {
  const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

template <typename Key>
uint64_t KeyTail(const Key& key, VlanId vlan) {
  return static_cast<uint64_t>(key.proto) |
         static_cast<uint64_t>(key.filter) << 16 |
         static_cast<uint64_t>(vlan.value) << 32;
}

constexpr uint8_t KeyFamily(Family family, VlanId vlan) {
  return static_cast<uint8_t>(static_cast<uint8_t>(family) |
                              (vlan.IsSet() ? kVlanFamily : 0));
}

}  // namespace internal

inline FlowHash Hash(const FlowKey4& key, const HashSecret& secret,
                     VlanId vlan = {}) {
  const uint64_t a = static_cast<uint64_t>(key.end0) << 16 | key.port0;
  const uint64_t b = static_cast<uint64_t>(key.end1) << 16 | key.port1;
  const bool order = a > b;
  const uint64_t low = order ? b : a;
  const uint64_t high = order ? a : b;
  const uint64_t ends =
      internal::Mix(low ^ secret.words[0], high ^ secret.words[1]);
  return {internal::Mix(ends ^ internal::KeyTail(key, vlan), secret.words[2]),
          order};
}

inline FlowHash Hash(const FlowKey6& key, const HashSecret& secret,
                     VlanId vlan = {}) {
  // Each end is digested with its port before the two are added: a sum of
  // linear digests would let ports be traded between the ends.
  auto digest = [&secret](const std::array<uint8_t, 16>& address,
                          uint16_t port) {
    uint64_t words[2];
    std::memcpy(words, address.data(), sizeof words);
    const uint64_t d = internal::Mix(words[0] ^ secret.words[0],
                                     words[1] ^ secret.words[1]);
    return internal::Mix(d ^ port, secret.words[2]);
  };
  const uint64_t a = digest(key.end0, key.port0);
  const uint64_t b = digest(key.end1, key.port1);
  return {internal::Mix((a + b) ^ internal::KeyTail(key, vlan),
                        secret.words[0] | 1),
          a > b};
}

namespace internal {

// The source's and the destination's port of a packet's key.
struct KeyPorts {
  uint16_t source;
  uint16_t destination;
};
KeyPorts IcmpKeyPorts(const PacketInfo& info);

inline KeyPorts PortsOf(const PacketInfo& info) {
  if (info.proto == protocol::kIcmp || info.proto == protocol::kIcmp6)
      [[unlikely]] {
    return IcmpKeyPorts(info);
  }
  return {info.source_port.raw(), info.destination_port.raw()};
}

}  // namespace internal

// The key of an IPv4 or IPv6 packet that is neither a fragment nor an ICMP
// error, and which is in this VLAN. The caller knows the family.
inline FlowKey4 MakeKey4(const PacketInfo& info, Direction direction,
                         uint16_t filter, VlanId vlan = {}) {
  const internal::KeyPorts ports = internal::PortsOf(info);
  uint32_t source;
  uint32_t destination;
  std::memcpy(&source, info.source.data(), sizeof source);
  std::memcpy(&destination, info.destination.data(), sizeof destination);
  const bool in = direction == Direction::kIn;
  FlowKey4 key;
  key.end0 = in ? source : destination;
  key.end1 = in ? destination : source;
  key.port0 = in ? ports.source : ports.destination;
  key.port1 = in ? ports.destination : ports.source;
  key.proto = info.proto;
  key.family = internal::KeyFamily(Family::kIpv4, vlan);
  key.filter = filter;
  return key;
}

inline FlowKey6 MakeKey6(const PacketInfo& info, const rte_mbuf& mbuf,
                         Direction direction, uint16_t filter,
                         VlanId vlan = {}) {
  const internal::KeyPorts ports = internal::PortsOf(info);
  const bool in = direction == Direction::kIn;
  FlowKey6 key;
  if (IsNeighborMessage(info)) [[unlikely]] {
    const IcmpEnds ends = NeighborEnds(mbuf, info);
    key.end0 = in ? ends.source : ends.destination;
    key.end1 = in ? ends.destination : ends.source;
  } else {
    key.end0 = in ? info.source : info.destination;
    key.end1 = in ? info.destination : info.source;
  }
  key.port0 = in ? ports.source : ports.destination;
  key.port1 = in ? ports.destination : ports.source;
  key.proto = info.proto;
  key.family = internal::KeyFamily(Family::kIpv6, vlan);
  key.filter = filter;
  return key;
}

}  // namespace sluice

#endif  // SLUICE_CONNTRACK_FLOW_KEY_H_
