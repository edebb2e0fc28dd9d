#include "pftable/engine/explain_pool.h"

#include <algorithm>

#include "packet/embedded_address.h"
#include "packet/family.h"
#include "pftable/engine/pool.h"
#include "pftable/engine/scan.h"

namespace sluice {
namespace {

// Where the search for a port begins that nothing else is said of, as in pf.
constexpr uint16_t kFirstPort = 50001;
constexpr uint8_t kEchoRequest = 8;
constexpr uint8_t kEchoRequest6 = 128;

}  // namespace

bool ExplainPool::Address(const Generation& generation, uint16_t number,
                          Family family, const AddressBytes& original,
                          Chosen* chosen) {
  const PoolSpace& space = generation.pools[number].Of(family);
  if (space.total == 0) return false;
  const PoolBlock& first = space.blocks.front();
  chosen->address = first.first.bytes;
  chosen->length = first.length == 255
                       ? static_cast<uint8_t>(AddressBits(family))
                       : first.length;
  switch (generation.policy->pools[number].method) {
    case PoolMethod::kNone:
      break;
    case PoolMethod::kBitmask: {
      const sluice::Address mask = MaskOf(family, chosen->length);
      for (int i = 0; i < AddressBits(family) / 8; ++i) {
        chosen->address[i] = static_cast<uint8_t>(
            (chosen->address[i] & mask.bytes[i]) |
            (original[i] & ~mask.bytes[i]));
      }
      break;
    }
    case PoolMethod::kRandom:
    case PoolMethod::kSourceHash:
    case PoolMethod::kRoundRobin:
    case PoolMethod::kLeastStates:
      guessed_address_ = guessed_address_ || space.total > 1;
      break;
  }
  return true;
}

void ExplainPool::SourcePort(const CompiledPool& pool, PacketInfo* packet) {
  if (pool.static_port) return;
  switch (packet->proto) {
    case protocol::kTcp:
    case protocol::kUdp:
      if (pool.map_e_length != 0) {
        // Some port of the set: those of block 1, or 0 without an offset.
        const uint32_t block = pool.map_e_offset == 0
                                   ? 0
                                   : 1u << (16 - pool.map_e_offset);
        const uint32_t places = 16u - pool.map_e_offset - pool.map_e_length;
        const uint32_t set = pool.map_e_id & ((1u << pool.map_e_length) - 1);
        packet->source_port =
            Be16(static_cast<uint16_t>(block | set << places));
        guessed_port_ = true;
        return;
      }
      if (pool.port_low == 0 && pool.port_high == 0) {
        packet->source_port = Be16(kFirstPort);
        guessed_port_ = true;
        return;
      }
      packet->source_port = Be16(std::min(pool.port_low, pool.port_high));
      guessed_port_ = guessed_port_ || pool.port_low != pool.port_high;
      return;
    case protocol::kIcmp:
      guessed_port_ = guessed_port_ || packet->icmp_type == kEchoRequest;
      return;
    case protocol::kIcmp6:
      guessed_port_ = guessed_port_ || packet->icmp_type == kEchoRequest6;
      return;
    default:
      return;
  }
}

bool ExplainPool::Across(const Generation& generation,
                         const CompiledRule& rule, PacketInfo* packet) {
  const PacketInfo came = *packet;
  packet->family = rule.af_to;
  packet->proto = ProtocolAcross(came.proto);
  if (packet->proto != came.proto) {
    packet->icmp_type = EchoAcross(came.icmp_type);
  }
  const bool to_ipv4 = rule.af_to == Family::kIpv4;
  Chosen chosen;
  if (rule.rdr != kNoPool) {
    if (!Address(generation, rule.rdr, rule.af_to,
                 HostBitsAcross(came.family, came.destination), &chosen)) {
      return false;
    }
    if (!to_ipv4 && !IsEmbeddingLength(chosen.length)) return false;
    packet->destination =
        to_ipv4 ? TruncateToIpv4(chosen.address, chosen.length,
                                 came.destination)
                : EmbedIpv4(chosen.address, chosen.length, came.destination);
    RedirectPort(generation.policy->pools[rule.rdr], packet);
  } else if (to_ipv4) {
    packet->destination = ExtractIpv4(came.destination, rule.af_prefix);
  }
  if (!Address(generation, rule.nat, rule.af_to,
               HostBitsAcross(came.family, came.source), &chosen)) {
    return false;
  }
  packet->source = chosen.address;
  if (rule.rdr == kNoPool && !to_ipv4) {
    const uint8_t length = std::min<uint8_t>(chosen.length, 96);
    if (!IsEmbeddingLength(length)) return false;
    packet->destination =
        EmbedIpv4(chosen.address, length, came.destination);
  }
  SourcePort(generation.policy->pools[rule.nat], packet);
  return true;
}

bool ExplainPool::Choose(const Generation& generation,
                         const CompiledRule& rule, Direction,
                         PacketInfo* packet) {
  if (rule.af_to != Family::kNone) return Across(generation, rule, packet);
  Chosen chosen;
  if (rule.rdr != kNoPool) {
    if (!Address(generation, rule.rdr, packet->family, packet->destination,
                 &chosen)) {
      return false;
    }
    packet->destination = chosen.address;
    RedirectPort(generation.policy->pools[rule.rdr], packet);
  }
  if (rule.nat == kNoPool) return true;
  if (!Address(generation, rule.nat, packet->family, packet->source,
               &chosen)) {
    return false;
  }
  packet->source = chosen.address;
  SourcePort(generation.policy->pools[rule.nat], packet);
  return true;
}

bool ExplainPool::ChooseRoute(const Generation& generation,
                              const CompiledRule& rule,
                              const PacketInfo& original, Family family,
                              PacketRoute* route) {
  const RouteSpaces spaces =
      RouteSpacesOf(generation, rule.route_pool, family);
  if (spaces.count == 0) return false;
  const Family chosen_family = spaces.families[0];
  Chosen chosen;
  const bool guessed = guessed_address_;
  Address(generation, rule.route_pool, chosen_family, original.source,
          &chosen);
  guessed_address_ = guessed;  // the packet's addresses are its own
  const PoolBlock& block =
      generation.pools[rule.route_pool].Of(chosen_family).blocks.front();
  route->by_interface = block.by_interface;
  route->interface = block.interface;
  if (block.first.family != Family::kNone) {
    route->gateway =
        sluice::Address::FromBytes(chosen_family, chosen.address.data());
  }
  return true;
}

}  // namespace sluice
