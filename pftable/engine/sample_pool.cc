#include "pftable/engine/sample_pool.h"

#include <algorithm>

#include "packet/embedded_address.h"
#include "packet/family.h"
#include "pftable/engine/generation.h"

namespace sluice {
namespace {

// pf's, for nat-to without `port`.
constexpr uint16_t kFirstSourcePort = 50001;
constexpr uint8_t kEcho = 8;
constexpr uint8_t kEcho6 = 128;

// The last 32 bits of an address, where the other family has them.
std::array<uint8_t, 16> HostBits(Family from,
                                 const std::array<uint8_t, 16>& address) {
  std::array<uint8_t, 16> bits{};
  if (from == Family::kIpv4) {
    std::copy_n(address.begin(), 4, bits.begin() + 12);
  } else {
    std::copy_n(address.begin() + 12, 4, bits.begin());
  }
  return bits;
}

void MoveDestinationPort(const CompiledPool& pool, PacketInfo* packet) {
  const bool ports = packet->proto == protocol::kTcp ||
                     packet->proto == protocol::kUdp ||
                     packet->proto == protocol::kSctp;
  if (pool.port_low == 0 || !ports) return;
  uint32_t port = pool.port_low;
  if (pool.port_high != 0) {
    const uint32_t count = pool.port_high - pool.port_low + 1u;
    port += static_cast<uint16_t>(packet->destination_port.host() -
                                  pool.port_base) %
            count;
  }
  packet->destination_port = Be16(static_cast<uint16_t>(port));
}

}  // namespace

bool SamplePool::Pick(const Generation& generation, uint16_t number,
                      Family family, const std::array<uint8_t, 16>& host,
                      Address* address, uint8_t* length) {
  const PoolSpace& space = generation.pools[number].Of(family);
  if (space.total == 0) return false;
  const PoolBlock& first = space.blocks.front();
  const int bits = AddressBits(family);
  *length = first.length == 255 ? static_cast<uint8_t>(bits) : first.length;
  *address = first.first;
  switch (generation.policy->pools[number].method) {
    case PoolMethod::kNone:
      return true;
    case PoolMethod::kBitmask: {
      const Address mask = MaskOf(family, *length);
      for (int i = 0; i < bits / 8; ++i) {
        address->bytes[i] = static_cast<uint8_t>(
            (address->bytes[i] & mask.bytes[i]) | (host[i] & ~mask.bytes[i]));
      }
      return true;
    }
    default:
      *address = space.At(0);
      one_of_several_ |= space.total > 1;
      return true;
  }
}

void SamplePool::PickPort(const CompiledPool& pool, PacketInfo* packet) {
  if (pool.static_port) return;
  switch (packet->proto) {
    case protocol::kTcp:
    case protocol::kUdp:
      break;
    case protocol::kIcmp:
    case protocol::kIcmp6:
      // Its identifier may be another one.
      one_of_several_ |=
          packet->icmp_type ==
          (packet->family == Family::kIpv4 ? kEcho : kEcho6);
      return;
    default:
      return;
  }
  const bool given = pool.port_low != 0 || pool.port_high != 0;
  const uint16_t low = std::min(pool.port_low, pool.port_high);
  const bool is_set = pool.map_e_length != 0;
  packet->source_port =
      Be16(given && !is_set ? (low == 0 ? pool.port_low : low)
                            : kFirstSourcePort);
  one_of_several_ |= !given || is_set || pool.port_low != pool.port_high;
}

bool SamplePool::Cross(const Generation& generation, const CompiledRule& rule,
                       PacketInfo* packet) {
  const PacketInfo came = *packet;
  packet->family = rule.af_to;
  packet->proto = ProtocolAcross(came.proto);
  if (packet->proto != came.proto) {
    const bool to_v6 = rule.af_to == Family::kIpv6;
    const bool query = came.icmp_type == (to_v6 ? kEcho : kEcho6);
    packet->icmp_type = static_cast<uint8_t>(
        (to_v6 ? kEcho6 : 0) + (query ? (to_v6 ? 0 : kEcho) : to_v6 ? 1 : 0));
  }
  const bool to_ipv4 = rule.af_to == Family::kIpv4;
  Address address;
  uint8_t length = 0;
  if (rule.rdr != kNoPool) {
    if (!Pick(generation, rule.rdr, rule.af_to,
              HostBits(came.family, came.destination), &address, &length)) {
      return false;
    }
    if (to_ipv4) {
      packet->destination =
          TruncateToIpv4(address.bytes, length, came.destination);
    } else {
      if (!IsEmbeddingLength(length)) return false;
      packet->destination = EmbedIpv4(address.bytes, length, came.destination);
    }
    MoveDestinationPort(generation.policy->pools[rule.rdr], packet);
  } else if (to_ipv4) {
    packet->destination = ExtractIpv4(came.destination, rule.af_prefix);
  }
  if (!Pick(generation, rule.nat, rule.af_to,
            HostBits(came.family, came.source), &address, &length)) {
    return false;
  }
  packet->source = address.bytes;
  if (rule.rdr == kNoPool && !to_ipv4) {
    const uint8_t behind = std::min<uint8_t>(length, 96);
    if (!IsEmbeddingLength(behind)) return false;
    packet->destination = EmbedIpv4(address.bytes, behind, came.destination);
  }
  PickPort(generation.policy->pools[rule.nat], packet);
  return true;
}

bool SamplePool::Choose(const Generation& generation, const CompiledRule& rule,
                        Direction, PacketInfo* packet) {
  if (rule.af_to != Family::kNone) return Cross(generation, rule, packet);
  Address address;
  uint8_t length = 0;
  if (rule.rdr != kNoPool) {
    if (!Pick(generation, rule.rdr, packet->family, packet->destination,
              &address, &length)) {
      return false;
    }
    packet->destination = address.bytes;
    MoveDestinationPort(generation.policy->pools[rule.rdr], packet);
  }
  if (rule.nat != kNoPool) {
    if (!Pick(generation, rule.nat, packet->family, packet->source, &address,
              &length)) {
      return false;
    }
    packet->source = address.bytes;
    PickPort(generation.policy->pools[rule.nat], packet);
  }
  return true;
}

}  // namespace sluice
