// The targets of nat-to and rdr-to as workers read them.
#ifndef SLUICE_PFTABLE_ENGINE_POOL_H_
#define SLUICE_PFTABLE_ENGINE_POOL_H_

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "packet/address.h"
#include "pftable/engine/compiled_rule.h"
#include "pftable/policy/rule.h"

namespace sluice {

// A network or a range of addresses that a pool may give out.
struct PoolBlock {
  Address first;
  uint64_t before = 0;  // addresses of the blocks before it
  // Of a network with more than 2^40 addresses, its first 2^40: what
  // round-robin comes by.
  uint64_t count = 0;
  uint8_t length = 0;  // of a network; 255: a range
  uint16_t weight = 1;  // least-states
  // Of routes, as PacketRoute's. Without an address `first` has no family.
  bool by_interface = false;
  uint16_t interface = 0;
};

// What a pool has to give out now: in the generation, since tables change.
struct PoolSpace {
  std::vector<PoolBlock> blocks;
  uint64_t total = 0;

  void Add(const Prefix& network, uint16_t weight);
  void Add(const Address& first, const Address& last, uint16_t weight);
  // A network but for others within it, which are disjoint and in order.
  void AddAround(const Prefix& network, std::span<const Prefix> holes,
                 uint16_t weight);
  // Of routes: no address, an interface alone.
  void AddNone();
  // The blocks from the one with this number on lead there.
  void LeadTo(size_t from, uint16_t interface);
  // Once all are added. `search`: Contains() will be asked.
  void Finish(bool search);
  // The address with that number, below `total`.
  Address At(uint64_t number) const {
    const PoolBlock& block = BlockOf(number);
    return In(block, number - block.before);
  }
  const PoolBlock& BlockOf(uint64_t number) const;
  static Address In(const PoolBlock& block, uint64_t number);
  // The number of the address whose turn it is: by weight, if some block has
  // another weight than the others. A weight of n stands for n turns, which do
  // not come one after the other.
  uint64_t Turn(uint64_t number) const;
  // A block that gives the address out, of several the one that goes on for
  // the longest; else the first one. After Finish(true).
  const PoolBlock& BlockWith(const Address& address) const;
  // Whether it gives the address out.
  bool Contains(const Address& address) const;

 private:
  // With weights the blocks are in descending order of them, and a cycle is
  // some rounds over all that weigh at least so much, for each weight.
  struct Level {
    uint64_t rounds;
    uint64_t addresses;  // in a round
  };
  std::vector<Level> levels_;
  uint64_t cycle_ = 0;
  // In the order of `first`: the last address of any block up to here, and
  // which one that is.
  struct Reach {
    Address first;
    Address last;
    uint32_t block;
  };
  // The last one that begins no later than the address; null: it is in none.
  const Reach* ReachOf(const Address& address) const;
  std::vector<Reach> reach_;
};

// Of both families: a pool of a table or an interface may have addresses of
// each, and gives a packet one of its own.
struct PoolSpaces {
  PoolSpace v4;
  PoolSpace v6;

  PoolSpace& Of(Family family) { return family == Family::kIpv4 ? v4 : v6; }
  const PoolSpace& Of(Family family) const {
    return family == Family::kIpv4 ? v4 : v6;
  }
};

struct CompiledPool {
  PoolMethod method = PoolMethod::kNone;
  // The family of what it gives out; kNone: of the packet.
  Family family = Family::kNone;
  // Ports in host order; both 0: none given. As Pool's.
  uint16_t port_low = 0;
  uint16_t port_high = 0;
  // rdr: the first port of the rule's condition, which port_low stands for.
  uint16_t port_base = 0;
  bool static_port = false;
  bool sticky_address = false;
  // UDP: an inside address and port become the same ones for all peers.
  bool endpoint_independent = false;
  // rdr of FreeBSD's dialect: where two flows would become one behind it, the
  // second gets another source port.
  bool moves_source = false;
  std::array<uint64_t, 2> hash_key{};
  // map-e-portset: only ports of this set (RFC 7597, section 5.1); a length of
  // 0: none given.
  uint8_t map_e_offset = 0;
  uint8_t map_e_length = 0;
  uint16_t map_e_id = 0;
  // Ports that each source has for itself, by its number in the rule's network;
  // 0: they share all.
  uint16_t port_block = 0;

  struct Member {
    AddressCondition address;  // kPrefix, kRange, kTable or kList
    Family family = Family::kNone;  // of kPrefix and kRange
    uint16_t weight = 1;
    // Of routes: by which interface; kAny then stands for no address.
    bool by_interface = false;
    uint16_t interface = 0;
  };
  std::vector<Member> members;
  // Routes of IPv4 packets by IPv6 neighbours, if there are any.
  bool prefers_ipv6 = false;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_ENGINE_POOL_H_
