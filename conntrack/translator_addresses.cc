// The addresses of pools: which one a packet gets, and what a pool remembers of
// sources and of its addresses.
#include <algorithm>
#include <cstring>

#include "conntrack/state_table.h"
#include "conntrack/translator.h"
#include "packet/family.h"
#include "packet/vlan.h"

namespace sluice {
namespace {

// A network's bits in front, the other's behind them.
Address Combine(const PoolBlock& network,
                const std::array<uint8_t, 16>& host) {
  Address address = network.first;
  const Address mask = MaskOf(address.family, network.length);
  for (int i = 0; i < AddressBits(address.family) / 8; ++i) {
    address.bytes[i] = static_cast<uint8_t>(
        (address.bytes[i] & mask.bytes[i]) | (host[i] & ~mask.bytes[i]));
  }
  return address;
}

uint64_t HashSource(const std::array<uint8_t, 16>& source,
                    const std::array<uint64_t, 2>& key) {
  uint64_t words[2];
  std::memcpy(words, source.data(), sizeof words);
  const uint64_t once =
      internal::Mix(words[0] ^ key[0], words[1] ^ key[1] ^ 0x9e3779b97f4a7c15);
  return internal::Mix(once ^ key[1], key[0] ^ 0xd6e8feb86659fd93);
}

}  // namespace

bool Translator::ChooseAddress(const Generation& generation, uint16_t number,
                               Family family, const Wish& wish,
                               uint32_t attempt, ChosenAddress* chosen) {
  const PoolSpace& space = generation.pools[number].Of(family);
  const CompiledPool& pool = generation.policy->pools[number];
  if (space.total == 0) return false;
  const PoolBlock& first = space.blocks.front();
  const bool one_network = space.blocks.size() == 1 && first.length != 255;
  const auto length_of = [&](const PoolBlock& block) {
    return block.length == 255 ? static_cast<uint8_t>(AddressBits(family))
                               : block.length;
  };
  const auto take = [&](uint64_t place) {
    const PoolBlock& block = space.BlockOf(place);
    chosen->address = PoolSpace::In(block, place - block.before).bytes;
    chosen->length = length_of(block);
    chosen->block = &block;
    return true;
  };
  chosen->length = length_of(first);
  chosen->block = &first;
  switch (pool.method) {
    case PoolMethod::kNone:
      if (attempt > 0) return false;
      chosen->address = first.first.bytes;
      return true;
    case PoolMethod::kBitmask:
      if (attempt > 0) return false;
      chosen->address = Combine(first, wish.original).bytes;
      return true;
    case PoolMethod::kRandom: {
      if (!one_network) return take(Random() % space.total);
      std::array<uint8_t, 16> bits;
      const uint64_t words[2] = {Random(), Random()};
      std::memcpy(bits.data(), words, sizeof words);
      chosen->address = Combine(first, bits).bytes;
      return true;
    }
    case PoolMethod::kSourceHash: {
      if (attempt > 0) return false;
      const uint64_t hash = HashSource(wish.source, pool.hash_key);
      if (!one_network) return take(hash % space.total);
      std::array<uint8_t, 16> bits;
      const uint64_t words[2] = {hash, internal::Mix(hash, pool.hash_key[0] |
                                                               1)};
      std::memcpy(bits.data(), words, sizeof words);
      chosen->address = Combine(first, bits).bytes;
      return true;
    }
    case PoolMethod::kRoundRobin:
    case PoolMethod::kLeastStates: {
      if (attempt >= space.total) return false;
      const uint64_t next =
          generation.policy->pool_cursors[number].fetch_add(
              1, std::memory_order_relaxed);
      // One that has no port left is followed by whichever comes next.
      const bool least = pool.method == PoolMethod::kLeastStates &&
                         attempt == 0 && states_.source_nodes() != nullptr;
      return take(least ? LeastLoaded(space, next) : space.Turn(next));
    }
  }
  return false;
}

SourceKey Translator::StickyKey(const CompiledRule& rule, SourceUse use,
                                const PacketInfo& original) const {
  return {.address = original.source,
          .vlan = VlanOf(*mbuf_, original),
          .rule_slot = rule.slot,
          .filter = where_.filter,
          .family = original.family,
          .use = use};
}

bool Translator::FindSticky(const SourceKey& key, const PoolSpace& space,
                            PoolNode which,
                            std::array<uint8_t, 16>* address) {
  SourceNodes& nodes = *states_.source_nodes();
  const SourceNodeIndex node = nodes.Find(key);
  if (node == kNoSourceNode) return false;
  const Address target = nodes.target(node);
  if (space.Contains(target)) {
    Hold(nodes, which, node, now_, &holds_);
    *address = target.bytes;
    return true;
  }
  // The pool does not have it any more.
  nodes.Retire(node);
  nodes.GiveBack(node, now_);
  return false;
}

bool Translator::Stick(const SourceKey& key, PoolNode which, Family family,
                       std::array<uint8_t, 16>* address) {
  SourceNodes& nodes = *states_.source_nodes();
  const Address target = Address::FromBytes(family, address->data());
  const SourceNodeIndex node =
      nodes
          .Take(key, states_.OwnerOfSticky(where_.filter, key.rule_slot), 0,
                now_, &target)
          .node;
  if (node == kNoSourceNode) return false;
  Hold(nodes, which, node, now_, &holds_);
  *address = nodes.target(node).bytes;
  return true;
}

uint64_t Translator::LeastLoaded(const PoolSpace& space,
                                 uint64_t start) const {
  const SourceNodes& nodes = *states_.source_nodes();
  const uint64_t count = std::min<uint64_t>(space.total, kMaxLoadsCompared);
  uint64_t best = 0;
  uint64_t least = ~uint64_t{0};
  for (uint64_t i = 0; i < count && least != 0; ++i) {
    const uint64_t number = (start + i) % space.total;
    const PoolBlock& block = space.BlockOf(number);
    const Address address = PoolSpace::In(block, number - block.before);
    const uint64_t load =
        (uint64_t{nodes.StatesOf(LoadKey(where_.filter, address))} << 16) /
        block.weight;
    if (load >= least) continue;
    least = load;
    best = number;
  }
  return best;
}

bool Translator::CountLoad(PoolNode which, const Address& address) {
  SourceNodes& nodes = *states_.source_nodes();
  const SourceNodeIndex node =
      nodes
          .Take(LoadKey(where_.filter, address),
                {.budget = nodes.unlimited()}, 0, now_)
          .node;
  if (node == kNoSourceNode) return false;
  Hold(nodes, which, node, now_, &holds_);
  return true;
}

bool Translator::ChooseEnd(const Generation& generation,
                           const CompiledRule& rule, SourceUse use,
                           const PacketInfo& original, uint32_t attempt,
                           std::array<uint8_t, 16>* address, bool* bound) {
  const bool is_source = use == SourceUse::kNat;
  const uint16_t number = is_source ? rule.nat : rule.rdr;
  const CompiledPool& pool = generation.policy->pools[number];
  const bool remembers =
      pool.sticky_address || pool.method == PoolMethod::kLeastStates;
  *bound = false;
  if (remembers && states_.source_nodes() == nullptr) return false;
  const PoolNode sticky = is_source ? kStickySource : kStickyTarget;
  if (pool.sticky_address && attempt == 0) {
    *bound = FindSticky(StickyKey(rule, use, original),
                        generation.pools[number].Of(original.family), sticky,
                        address);
  }
  if (!*bound) {
    ChosenAddress chosen;
    if (!ChooseAddress(
            generation, number, original.family,
            {.source = original.source,
             .original = is_source ? original.source : original.destination},
            attempt, &chosen)) {
      return false;
    }
    *address = chosen.address;
  }
  return pool.method != PoolMethod::kLeastStates ||
         CountLoad(is_source ? kLoadOfSource : kLoadOfTarget,
                   Address::FromBytes(original.family, address->data()));
}

}  // namespace sluice
