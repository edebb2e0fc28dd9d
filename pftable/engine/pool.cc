#include "pftable/engine/pool.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <tuple>

namespace sluice {
namespace {

constexpr uint64_t kMostOfBlock = uint64_t{1} << 40;
constexpr uint64_t kNoCycle = uint64_t{1} << 62;

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

// The address before, none of which is zero.
Address Before(Address address) {
  for (int i = AddressBits(address.family) / 8 - 1; i >= 0; --i) {
    if (address.bytes[i]-- != 0) break;
  }
  return address;
}

Address LastOf(const Prefix& network) {
  Address last = network.Masked().address;
  const Address mask = MaskOf(last.family, network.length);
  for (int i = 0; i < AddressBits(last.family) / 8; ++i) {
    last.bytes[i] |= static_cast<uint8_t>(~mask.bytes[i]);
  }
  return last;
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

void PoolSpace::AddAround(const Prefix& network, std::span<const Prefix> holes,
                          uint16_t weight) {
  if (holes.empty()) return Add(network, weight);
  Address next = network.Masked().address;
  const Address last = LastOf(network);
  for (const Prefix& hole : holes) {
    const Address begin = hole.Masked().address;
    if (next < begin) Add(next, Before(begin), weight);
    const Address end = LastOf(hole);
    if (end == last) return;
    next = Plus(end, 1);
  }
  Add(next, last, weight);
}

void PoolSpace::AddNone() {
  blocks.push_back({.first = Address(),
                    .before = total,
                    .count = 1,
                    .length = 0,
                    .weight = 1});
  ++total;
}

void PoolSpace::LeadTo(size_t from, uint16_t interface) {
  for (size_t i = from; i < blocks.size(); ++i) {
    blocks[i].by_interface = true;
    blocks[i].interface = interface;
  }
}

void PoolSpace::Finish(bool search) {
  const bool weighted = std::any_of(
      blocks.begin(), blocks.end(), [this](const PoolBlock& block) {
        return block.weight != blocks.front().weight;
      });
  if (weighted) {
    std::stable_sort(blocks.begin(), blocks.end(),
                     [](const PoolBlock& a, const PoolBlock& b) {
                       return a.weight > b.weight;
                     });
    uint64_t before = 0;
    for (PoolBlock& block : blocks) {
      block.before = before;
      before += block.count;
    }
    for (size_t i = 0; i < blocks.size(); ++i) {
      const bool last = i + 1 == blocks.size();
      const uint16_t next = last ? 0 : blocks[i + 1].weight;
      if (next == blocks[i].weight) continue;
      const uint64_t rounds = blocks[i].weight - next;
      const uint64_t addresses = blocks[i].before + blocks[i].count;
      // Networks so large that a cycle has no number have no weights.
      if (addresses > (kNoCycle - cycle_) / rounds) {
        levels_.clear();
        cycle_ = 0;
        break;
      }
      levels_.push_back({.rounds = rounds, .addresses = addresses});
      cycle_ += rounds * addresses;
    }
  }
  if (!search) return;
  for (size_t i = 0; i < blocks.size(); ++i) {
    const PoolBlock& block = blocks[i];
    Address last = block.first;
    if (block.length == 255) {
      last = Plus(block.first, block.count - 1);
    } else {
      last = LastOf({.address = block.first, .length = block.length});
    }
    reach_.push_back({.first = block.first,
                      .last = last,
                      .block = static_cast<uint32_t>(i)});
  }
  std::sort(reach_.begin(), reach_.end(), [](const Reach& a, const Reach& b) {
    return std::tie(a.first, a.block) < std::tie(b.first, b.block);
  });
  for (size_t i = 1; i < reach_.size(); ++i) {
    const Reach& before = reach_[i - 1];
    if (before.last < reach_[i].last) continue;
    reach_[i].last = before.last;
    reach_[i].block = before.block;
  }
}

const PoolBlock& PoolSpace::BlockOf(uint64_t number) const {
  const auto after = std::upper_bound(
      blocks.begin(), blocks.end(), number,
      [](uint64_t n, const PoolBlock& block) { return n < block.before; });
  return *(after - 1);
}

Address PoolSpace::In(const PoolBlock& block, uint64_t number) {
  return Plus(block.first, number);
}

uint64_t PoolSpace::Turn(uint64_t number) const {
  if (levels_.empty()) return number % total;
  number %= cycle_;
  // The last level has the lowest weight, whose rounds are over all.
  for (const Level& level : levels_) {
    if (number < level.rounds * level.addresses) {
      return number % level.addresses;
    }
    number -= level.rounds * level.addresses;
  }
  return 0;
}

const PoolSpace::Reach* PoolSpace::ReachOf(const Address& address) const {
  const auto after = std::upper_bound(
      reach_.begin(), reach_.end(), address,
      [](const Address& a, const Reach& reach) { return a < reach.first; });
  if (after == reach_.begin() || (after - 1)->last < address) return nullptr;
  return &*(after - 1);
}

const PoolBlock& PoolSpace::BlockWith(const Address& address) const {
  const Reach* const reach = ReachOf(address);
  return reach == nullptr ? blocks.front() : blocks[reach->block];
}

bool PoolSpace::Contains(const Address& address) const {
  return ReachOf(address) != nullptr;
}

}  // namespace sluice
