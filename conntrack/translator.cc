#include "conntrack/translator.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "conntrack/state_table.h"
#include "conntrack/translation_directory.h"
#include "packet/family.h"
#include "packet/icmp.h"
#include "packet/vlan.h"

namespace sluice {
namespace {

constexpr uint8_t kEchoRequest = 8;
constexpr uint8_t kEchoRequest6 = 128;

// The ports that may be given out, by number.
struct PortRange {
  uint32_t low;
  uint32_t count;
  // Of a MAP-E set: bits before and behind the set's identifier. A port is
  // [block][identifier][place], and with an offset block 0 is not used, which
  // keeps the low ports out.
  bool is_set = false;
  uint32_t offset = 0;
  uint32_t identifier = 0;
  uint32_t place_bits = 0;

  static PortRange Between(uint32_t a, uint32_t b) {
    return {.low = std::min(a, b), .count = std::max(a, b) - std::min(a, b) + 1};
  }
  static PortRange Set(const CompiledPool& pool) {
    PortRange range{.low = 0, .count = 0, .is_set = true};
    range.offset = pool.map_e_offset;
    range.place_bits = 16u - pool.map_e_offset - pool.map_e_length;
    range.identifier = pool.map_e_id & ((1u << pool.map_e_length) - 1);
    const uint32_t blocks =
        pool.map_e_offset == 0 ? 1 : (1u << pool.map_e_offset) - 1;
    range.count = blocks << range.place_bits;
    return range;
  }

  uint16_t At(uint32_t number) const {
    if (!is_set) return static_cast<uint16_t>(low + number);
    const uint32_t block = (number >> place_bits) + (offset == 0 ? 0 : 1);
    const uint32_t place = number & ((1u << place_bits) - 1);
    return static_cast<uint16_t>((offset == 0 ? 0 : block << (16 - offset)) |
                                 identifier << place_bits | place);
  }
};

// The ports of a pool that gives out blocks, or any.
PortRange PortsOf(const CompiledPool& pool) {
  return pool.port_low == 0 && pool.port_high == 0
             ? PortRange::Between(kFirstNatPort, kLastNatPort)
             : PortRange::Between(pool.port_low, pool.port_high);
}

// Which ports a pass of the search looks at: those whose answers come home, the
// others, or all, where ports make no difference to that.
enum class Ports : uint8_t { kHome, kAway, kAll };

}  // namespace

// xorshift64*: no secret is drawn from it; what a port is worth guessing is
// the state's sequence window behind it.
uint64_t Translator::Random() {
  random_ ^= random_ >> 12;
  random_ ^= random_ << 25;
  random_ ^= random_ >> 27;
  return random_ * 0x2545f4914f6cdd1dULL;
}

bool Translator::IsFree(const PacketInfo& packet) const {
  return states_.IsFree(packet, *mbuf_, where_);
}

bool Translator::Accepts(const PacketInfo& packet) {
  return IsFree(packet) &&
         (mapped_ == nullptr ||
          TakeMapping(*states_.source_nodes(),
                      {.inside = mapped_->source_address(),
                       .outside = packet.source_address(),
                       .inside_port = mapped_->source_port.host(),
                       .outside_port = packet.source_port.host(),
                       .vlan = VlanOf(*mbuf_, *mapped_)},
                      where_.filter, now_, &holds_));
}

void Translator::End() {
  if (holds_.any) [[unlikely]] {
    GiveBack(*states_.source_nodes(), now_, &holds_);
  }
}

bool Translator::Redirect(const Generation& generation,
                          const CompiledRule& rule, PacketInfo* packet) {
  const CompiledPool& pool = generation.policy->pools[rule.rdr];
  std::array<uint8_t, 16> address;
  bool bound;
  if (!ChooseEnd(generation, rule, SourceUse::kRedirect, *packet, 0, &address,
                 &bound)) {
    return false;
  }
  if (pool.sticky_address && !bound &&
      !Stick(StickyKey(rule, SourceUse::kRedirect, *packet), kStickyTarget,
             packet->family, &address)) {
    return false;
  }
  packet->destination = address;
  RedirectPort(pool, packet);
  return true;
}

bool Translator::ChoosePort(const CompiledPool& pool, PacketInfo* packet,
                            uint32_t block) {
  PortRange range{};
  switch (packet->proto) {
    case protocol::kTcp:
    case protocol::kUdp:
      if (pool.static_port) return Accepts(*packet);
      range = pool.map_e_length != 0 ? PortRange::Set(pool)
                                     : PortsOf(pool);
      break;
    case protocol::kIcmp:
    case protocol::kIcmp6: {
      const uint8_t echo = packet->family == Family::kIpv4 ? kEchoRequest
                                                           : kEchoRequest6;
      if (packet->icmp_type != echo || pool.static_port) {
        return Accepts(*packet);
      }
      range = pool.map_e_length != 0 ? PortRange::Set(pool)
              : pool.port_block != 0 ? PortsOf(pool)
                                     : PortRange::Between(1, 65535);
      break;
    }
    default:
      return Accepts(*packet);
  }
  if (pool.port_block != 0) {
    range.low += block * pool.port_block;
    range.count = pool.port_block;
  }
  const uint32_t count = range.count;
  // A step that is prime to the count comes by every port once.
  const uint64_t draw = Random();
  const uint32_t start = static_cast<uint32_t>(draw >> 32) % count;
  uint32_t step = 1 + static_cast<uint32_t>(draw) % count;
  while (std::gcd(step, count) != 1) ++step;
  // Ports of other workers cost next to nothing and do not count; only where
  // there are none of this worker's, its answers have to be brought home.
  const bool icmp = packet->proto != protocol::kTcp &&
                    packet->proto != protocol::kUdp;
  for (const Ports pass : {icmp ? Ports::kAll : Ports::kHome, Ports::kAway}) {
    uint32_t tries = 0;
    uint32_t port = start;
    for (uint32_t i = 0; i < count && tries < kMaxPortTries; ++i) {
      packet->source_port = Be16(range.At(port));
      port = static_cast<uint32_t>((uint64_t{port} + step) % count);
      if (pass != Ports::kAll &&
          directory_->IsHome(*packet, worker_) != (pass == Ports::kHome)) {
        continue;
      }
      ++tries;
      if (Accepts(*packet)) return true;
    }
    if (pass == Ports::kAll) break;
  }
  return false;
}

bool Translator::JoinMapping(const CompiledRule& rule,
                             const CompiledPool& pool,
                             const PacketInfo& original,
                             const PacketInfo& packet) {
  if (pool.method == PoolMethod::kLeastStates &&
      !CountLoad(kLoadOfSource, packet.source_address())) {
    return false;
  }
  if (!pool.sticky_address) return true;
  std::array<uint8_t, 16> address = packet.source;
  if (!Stick(StickyKey(rule, SourceUse::kNat, original), kStickySource,
             original.family, &address)) {
    return false;
  }
  if (address != packet.source) {
    // The mapping is older than what the source is bound to by now: this flow
    // is none that goes there.
    states_.source_nodes()->GiveBack(
        std::exchange(holds_.nodes[kStickySource], kNoSourceNode), now_);
  }
  return true;
}

bool Translator::ChooseInBlock(const Generation& generation,
                               const CompiledRule& rule, PacketInfo* packet) {
  const CompiledPool& pool = generation.policy->pools[rule.nat];
  const PoolSpace& space = generation.pools[rule.nat].Of(packet->family);
  const uint32_t blocks = PortsOf(pool).count / pool.port_block;
  // The bits behind the network's: 24 at most (the language's checks).
  uint32_t number = 0;
  const int bytes = AddressBits(packet->family) / 8;
  for (int i = bytes - 4; i < bytes; ++i) {
    number = number << 8 | (packet->source[i] & ~rule.source.second[i] & 0xff);
  }
  if (blocks == 0 || number / blocks >= space.total) return false;
  packet->source = space.At(number / blocks).bytes;
  return ChoosePort(pool, packet, number % blocks);
}

bool Translator::ChooseSource(const Generation& generation,
                              const CompiledRule& rule, PacketInfo* packet) {
  const CompiledPool& pool = generation.policy->pools[rule.nat];
  if (pool.port_block != 0) return ChooseInBlock(generation, rule, packet);
  const PacketInfo original = *packet;
  const bool maps =
      pool.endpoint_independent && packet->proto == protocol::kUdp;
  if (maps && states_.source_nodes() == nullptr) return false;
  if (maps) {
    PoolMapping mapping;
    mapping.inside = original.source_address();
    mapping.inside_port = original.source_port.host();
    mapping.vlan = VlanOf(*mbuf_, original);
    if (FindMapping(*states_.source_nodes(), where_.filter, now_, &mapping,
                    &holds_)) {
      packet->source = mapping.outside.bytes;
      packet->source_port = Be16(mapping.outside_port);
      return IsFree(*packet) && JoinMapping(rule, pool, original, *packet);
    }
  }
  mapped_ = maps ? &original : nullptr;
  bool chosen = false;
  for (uint32_t attempt = 0; attempt < kMaxAddressTries && !chosen;
       ++attempt) {
    bool bound;
    if (!ChooseEnd(generation, rule, SourceUse::kNat, original, attempt,
                   &packet->source, &bound)) {
      break;
    }
    packet->source_port = original.source_port;
    chosen = ChoosePort(pool, packet);
    if (bound) break;
    if (!chosen || !pool.sticky_address) continue;
    std::array<uint8_t, 16> address = packet->source;
    if (!Stick(StickyKey(rule, SourceUse::kNat, original), kStickySource,
               original.family, &address)) {
      chosen = false;
      break;
    }
    if (address == packet->source) break;
    // Another worker was first: the source has its choice.
    packet->source = address;
    packet->source_port = original.source_port;
    chosen = (pool.method != PoolMethod::kLeastStates ||
              CountLoad(kLoadOfSource, packet->source_address())) &&
             ChoosePort(pool, packet);
    break;
  }
  mapped_ = nullptr;
  return chosen;
}

bool Translator::ChooseSourceAcross(const Generation& generation,
                                    uint16_t number, const Wish& wish,
                                    const AddressBytes* behind,
                                    PacketInfo* packet) {
  const CompiledPool& pool = generation.policy->pools[number];
  const Be16 original_port = packet->source_port;
  for (uint32_t attempt = 0; attempt < kMaxAddressTries; ++attempt) {
    ChosenAddress chosen;
    if (!ChooseAddress(generation, number, packet->family, wish, attempt,
                       &chosen)) {
      return false;
    }
    packet->source = chosen.address;
    packet->source_port = original_port;
    if (behind != nullptr) {
      // As in both pfs a source without a network has one of 96 bits.
      const uint8_t length = std::min<uint8_t>(chosen.length, 96);
      if (!IsEmbeddingLength(length)) return false;
      packet->destination = EmbedIpv4(chosen.address, length, *behind);
    }
    if (ChoosePort(pool, packet)) return true;
  }
  return false;
}

bool Translator::Follow(const ExpectedEnds& after, PacketInfo* packet) {
  if (directory_ == nullptr || mbuf_ == nullptr) return false;
  const bool moved = packet->source != after.source;
  packet->source = after.source;
  packet->destination = after.destination;
  packet->destination_port = Be16::FromRaw(after.destination_port);
  return IsFree(*packet) || (moved && ChoosePort(CompiledPool(), packet));
}

bool Translator::ChooseAcross(const Generation& generation,
                              const CompiledRule& rule, PacketInfo* packet) {
  const PacketInfo came = *packet;
  const Wish source_wish = {
      .source = came.source,
      .original = HostBitsAcross(came.family, came.source)};
  packet->family = rule.af_to;
  packet->proto = ProtocolAcross(came.proto);
  if (packet->proto != came.proto) {
    packet->icmp_type = EchoAcross(came.icmp_type);
  }
  const bool to_ipv4 = rule.af_to == Family::kIpv4;
  const AddressBytes* behind = nullptr;
  if (rule.rdr != kNoPool) {
    ChosenAddress chosen;
    if (!ChooseAddress(
            generation, rule.rdr, rule.af_to,
            {.source = came.source,
             .original = HostBitsAcross(came.family, came.destination)},
            0, &chosen)) {
      return false;
    }
    if (to_ipv4) {
      packet->destination =
          TruncateToIpv4(chosen.address, chosen.length, came.destination);
    } else {
      if (!IsEmbeddingLength(chosen.length)) return false;
      packet->destination =
          EmbedIpv4(chosen.address, chosen.length, came.destination);
    }
    RedirectPort(generation.policy->pools[rule.rdr], packet);
  } else if (to_ipv4) {
    packet->destination = ExtractIpv4(came.destination, rule.af_prefix);
  } else {
    behind = &came.destination;
  }
  return ChooseSourceAcross(generation, rule.nat, source_wish, behind,
                            packet);
}

bool Translator::Choose(const Generation& generation, const CompiledRule& rule,
                        Direction direction, PacketInfo* packet) {
  if (directory_ == nullptr || mbuf_ == nullptr ||
      direction != where_.direction) {
    return false;
  }
  if (rule.af_to != Family::kNone) {
    return ChooseAcross(generation, rule, packet);
  }
  // The source's port has to be free with the destination that it will have.
  if (rule.rdr != kNoPool && !Redirect(generation, rule, packet)) return false;
  if (rule.nat != kNoPool) return ChooseSource(generation, rule, packet);
  const CompiledPool& target = generation.policy->pools[rule.rdr];
  const bool has_ports =
      packet->proto == protocol::kTcp || packet->proto == protocol::kUdp;
  if (!target.moves_source || !has_ports || IsFree(*packet)) return true;
  return ChoosePort(CompiledPool(), packet);
}

bool Translator::ChooseRoute(const Generation& generation,
                             const CompiledRule& rule,
                             const PacketInfo& original, Family family,
                             PacketRoute* route) {
  if (mbuf_ == nullptr) return false;
  const CompiledPool& pool = generation.policy->pools[rule.route_pool];
  const RouteSpaces spaces =
      RouteSpacesOf(generation, rule.route_pool, family);
  const bool remembers =
      pool.sticky_address || pool.method == PoolMethod::kLeastStates;
  if (remembers && states_.source_nodes() == nullptr) return false;
  for (uint32_t i = 0; i < spaces.count; ++i) {
    const Family of = spaces.families[i];
    const PoolSpace& space = generation.pools[rule.route_pool].Of(of);
    const SourceKey key = StickyKey(rule, SourceUse::kRoute, original);
    const PoolBlock* block = nullptr;
    std::array<uint8_t, 16> address;
    const bool bound =
        pool.sticky_address && FindSticky(key, space, kStickyRoute, &address);
    if (!bound) {
      ChosenAddress chosen;
      if (!ChooseAddress(generation, rule.route_pool, of,
                         {.source = original.source,
                          .original = original.source},
                         0, &chosen)) {
        continue;
      }
      address = chosen.address;
      block = chosen.block;
      const Address before = Address::FromBytes(of, address.data());
      if (pool.sticky_address && block->first.family != Family::kNone &&
          !Stick(key, kStickyRoute, of, &address)) {
        return false;
      }
      // Another worker may have been first.
      if (Address::FromBytes(of, address.data()) != before) block = nullptr;
    }
    const Address gateway = Address::FromBytes(of, address.data());
    if (block == nullptr) block = &space.BlockWith(gateway);
    route->by_interface = block->by_interface;
    route->interface = block->interface;
    route->gateway =
        block->first.family != Family::kNone ? gateway : Address();
    return pool.method != PoolMethod::kLeastStates ||
           CountLoad(kLoadOfRoute, gateway);
  }
  return false;
}

}  // namespace sluice
