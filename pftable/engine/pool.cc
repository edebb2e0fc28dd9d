#include "pftable/engine/pool.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace sluice {
namespace {

constexpr uint64_t kMostOfBlock = uint64_t{1} << 40;

// Adds `number` to an address, in network order.
Address Plus(Address address, uint64_t number) {
  for (int i = AddressBits(address.family) / 8 - 1; i >= 0 && number != 0;
       --i) {
    number += address.bytes[i];
    address.bytes[i] = static_cast<uint8_t>(number);
    number >>= 8;
  }
  return address;
}

// last - first, at most kMostOfBlock - 1.
uint64_t Distance(const Address& first, const Address& last) {
  unsigned __int128 distance = 0;
  for (int i = 0; i < AddressBits(first.family) / 8; ++i) {
    distance = distance * 256 + last.bytes[i] - first.bytes[i];
  }
  return distance >= kMostOfBlock ? kMostOfBlock - 1
                                  : static_cast<uint64_t>(distance);
}

}  // namespace

void PoolSpace::Add(const Prefix& network, uint16_t weight) {
  const int host_bits = AddressBits(network.address.family) - network.length;
  blocks.push_back({.first = network.Masked().address,
                    .before = total,
                    .count = host_bits >= 40 ? kMostOfBlock
                                             : uint64_t{1} << host_bits,
                    .length = network.length,
                    .weight = weight});
  total += blocks.back().count;
}

void PoolSpace::Add(const Address& first, const Address& last,
                    uint16_t weight) {
  blocks.push_back({.first = first,
                    .before = total,
                    .count = Distance(first, last) + 1,
                    .length = 255,
                    .weight = weight});
  total += blocks.back().count;
}

const PoolBlock& PoolSpace::BlockOf(uint64_t number) const {
  const auto after = std::upper_bound(
      blocks.begin(), blocks.end(), number,
      [](uint64_t n, const PoolBlock& block) { return n < block.before; });
  return *(after - 1);
}

Address PoolSpace::At(uint64_t number) const {
  const PoolBlock& block = BlockOf(number);
  return Plus(block.first, number - block.before);
}

}  // namespace sluice
