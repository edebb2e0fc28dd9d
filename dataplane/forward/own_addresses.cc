#include "dataplane/forward/own_addresses.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace sluice {
namespace {

// After somebody else has answered for an address, it is asked for again so
// much later.
constexpr Tick kAskAgain = 5'000;

bool CanBeHost(const Address& address) {
  if (address.family == Family::kIpv4) {
    const uint32_t v4 = address.v4().host();
    const uint32_t top = v4 >> 24;
    return top != 0 && top != 127 && top < 224;
  }
  const std::array<uint8_t, 16>& b = address.bytes;
  if (b[0] == 0xff) return false;
  // Unspecified and loopback.
  return !(std::all_of(b.begin(), b.end() - 1,
                       [](uint8_t byte) { return byte == 0; }) &&
           b[15] <= 1);
}

// The n-th address behind `first`.
Address Advance(Address first, uint64_t n) {
  const int bytes = AddressBits(first.family) / 8;
  for (int i = bytes - 1; i >= 0 && n != 0; --i) {
    n += first.bytes[static_cast<size_t>(i)];
    first.bytes[static_cast<size_t>(i)] = static_cast<uint8_t>(n);
    n >>= 8;
  }
  return first;
}

void AddPrefix(const Prefix& prefix, std::vector<Address>* addresses) {
  const int host_bits = AddressBits(prefix.address.family) - prefix.length;
  if (host_bits >= 11 || uint64_t{1} << host_bits > kMostOfOnePool) return;
  const Address first = prefix.Masked().address;
  for (uint64_t i = 0; i < uint64_t{1} << host_bits; ++i) {
    addresses->push_back(Advance(first, i));
  }
}

void AddRange(const Address& first, const Address& last,
              std::vector<Address>* addresses) {
  const size_t before = addresses->size();
  Address at = first;
  for (uint64_t i = 0; i < kMostOfOnePool; ++i) {
    addresses->push_back(at);
    if (at == last) return;
    at = Advance(at, 1);
  }
  addresses->resize(before);
}

void AddSpace(const PoolSpace& space, std::vector<Address>* addresses) {
  for (const PoolBlock& block : space.blocks) {
    if (block.count > kMostOfOnePool) continue;
    for (uint64_t i = 0; i < block.count; ++i) {
      addresses->push_back(PoolSpace::In(block, i));
    }
  }
}

// A mask of leading bits, or -1.
int LengthOf(const std::array<uint8_t, 16>& mask, int bits) {
  int length = 0;
  while (length < bits && (mask[static_cast<size_t>(length / 8)] >>
                           (7 - length % 8) & 1) != 0) {
    ++length;
  }
  for (int i = length; i < bits; ++i) {
    if ((mask[static_cast<size_t>(i / 8)] >> (7 - i % 8) & 1) != 0) return -1;
  }
  return length;
}

// A condition that says no single address, as `any` or `! 10.0.0.1`, gives none.
void AddCondition(const Generation& generation,
                  const AddressCondition& condition, Family family,
                  std::vector<Address>* addresses) {
  if (condition.negated) return;
  switch (condition.kind) {
    case AddressCondition::Kind::kAny:
    case AddressCondition::Kind::kNever:
    case AddressCondition::Kind::kNoRoute:
    case AddressCondition::Kind::kUrpfFailed:
      return;
    case AddressCondition::Kind::kPrefix: {
      if (family == Family::kNone) return;
      const int length = LengthOf(condition.second, AddressBits(family));
      if (length < 0) return;
      AddPrefix({.address = Address::FromBytes(family, condition.first.data()),
                 .length = static_cast<uint8_t>(length)},
                addresses);
      return;
    }
    case AddressCondition::Kind::kRange:
      if (family == Family::kNone) return;
      AddRange(Address::FromBytes(family, condition.first.data()),
               Address::FromBytes(family, condition.second.data()), addresses);
      return;
    case AddressCondition::Kind::kTable: {
      const GenerationTable& table = generation.table_states[condition.index];
      if (!table.active || table.contents.size() > kMostOfOnePool) return;
      for (const TableEntry& entry : table.contents.Entries()) {
        if (!entry.negated) AddPrefix(entry.prefix, addresses);
      }
      return;
    }
    case AddressCondition::Kind::kList: {
      for (const Prefix& prefix : generation.addresses[condition.index]) {
        AddPrefix(prefix, addresses);
      }
      return;
    }
  }
}

}  // namespace

OwnAddresses::OwnAddresses(std::vector<Address> addresses,
                           const OwnAddresses* before,
                           std::vector<Address> leaving)
    : addresses_(std::move(addresses)),
      leaving_(std::move(leaving)),
      entries_(std::make_unique<Entry[]>(addresses_.size() *
                                         (1 + kMostVlans))) {
  if (before == nullptr) return;
  // A change that a worker makes meanwhile is lost and found again: a VLAN is
  // learnt anew, what is taken is asked for anew, and announced at most once
  // more.
  size_t lanes = 1;
  LinkTags unused;
  while (lanes < before->lanes() && before->TagsOf(lanes, &unused)) {
    const Vlan& known = before->vlans_[lanes - 1];
    vlans_[lanes - 1].number.store(known.number.load());
    vlans_[lanes - 1].tags.store(known.tags.load());
    ++lanes;
  }
  for (size_t i = 0; i < size(); ++i) {
    const size_t place = before->Find(addresses_[i]);
    if (place == kNone) continue;
    for (size_t lane = 0; lane < lanes; ++lane) {
      const Entry& known = before->At(place, lane);
      Entry& entry = At(i, lane);
      entry.standing.store(known.standing.load());
      entry.said.store(known.said.load());
      entry.due.store(known.due.load());
    }
  }
}

size_t OwnAddresses::lanes() const {
  size_t lanes = 1;
  for (const Vlan& vlan : vlans_) {
    if (vlan.number.load(std::memory_order_acquire) == 0) break;
    ++lanes;
  }
  return lanes;
}

size_t OwnAddresses::LaneOfTagged(const rte_mbuf& frame,
                                  const PacketInfo& info) {
  const VlanId vlan = ReadVlan(frame, info);
  if (!vlan.IsSet()) return kUntagged;
  for (size_t i = 0; i < vlans_.size(); ++i) {
    uint32_t number = vlans_[i].number.load(std::memory_order_acquire);
    if (number == 0) {
      LinkTags tags = ReadLinkTags(frame, info);
      uint64_t bytes = 0;
      // More than two are not told apart by their numbers either.
      if (tags.length == 0 || tags.length > sizeof bytes) return kUntagged;
      // Without their priorities.
      for (size_t at = 2; at < tags.length; at += 4) tags.bytes[at] &= 0x0f;
      std::memcpy(&bytes, tags.bytes.data(), tags.length);
      if (vlans_[i].number.compare_exchange_strong(
              number, vlan.value, std::memory_order_acq_rel)) {
        vlans_[i].tags.store(bytes, std::memory_order_release);
        return i + 1;
      }
      // Another worker was faster, perhaps with the same one.
    }
    if (number == vlan.value) return i + 1;
  }
  return kUntagged;
}

bool OwnAddresses::TagsOf(size_t lane, LinkTags* tags) const {
  tags->length = 0;
  if (lane == kUntagged) return true;
  const uint64_t bytes =
      vlans_[lane - 1].tags.load(std::memory_order_acquire);
  std::memcpy(tags->bytes.data(), &bytes, sizeof bytes);
  // The second one's type is not zero.
  tags->length = tags->bytes[4] != 0 || tags->bytes[5] != 0 ? 8 : 4;
  return bytes != 0;
}

bool OwnAddresses::HasStanding(size_t place, Standing wanted) const {
  const size_t all = lanes();
  for (size_t lane = 0; lane < all; ++lane) {
    if (standing(place, lane) == wanted) return true;
  }
  return false;
}

size_t OwnAddresses::Find(const Address& address) const {
  const auto found =
      std::lower_bound(addresses_.begin(), addresses_.end(), address);
  if (found == addresses_.end() || *found != address) return kNone;
  return static_cast<size_t>(found - addresses_.begin());
}

bool OwnAddresses::NoteTaken(size_t place, size_t lane, Tick now) {
  Entry& entry = At(place, lane);
  entry.due.store(now + kAskAgain, std::memory_order_relaxed);
  entry.said.store(0, std::memory_order_relaxed);
  return entry.standing.exchange(Standing::kTaken, std::memory_order_relaxed) !=
         Standing::kTaken;
}

void OwnAddresses::TakeAll() {
  for (size_t i = 0; i < size() * (1 + kMostVlans); ++i) {
    entries_[i].standing.store(Standing::kOurs, std::memory_order_relaxed);
  }
}

void AddTranslationAddresses(const Generation& generation,
                             InterfaceView first, InterfaceView second,
                             std::vector<Address>* addresses) {
  const CompiledPolicy& policy = *generation.policy;
  for (const CompiledRule& rule : policy.rules) {
    if (!rule.translates() && rule.af_to == Family::kNone) continue;
    if (!rule.on.Matches(first) && !rule.on.Matches(second)) continue;
    if (rule.nat != kNoPool) {
      const Family family = policy.pools[rule.nat].family;
      const PoolSpaces& spaces = generation.pools[rule.nat];
      if (family != Family::kIpv6) AddSpace(spaces.v4, addresses);
      if (family != Family::kIpv4) AddSpace(spaces.v6, addresses);
    }
    // What is redirected, or crosses: its destination is nobody else's.
    if (rule.rdr != kNoPool || rule.af_to != Family::kNone) {
      AddCondition(generation, rule.destination, rule.family, addresses);
    }
  }
}

bool TidyOwnAddresses(std::vector<Address>* addresses) {
  std::erase_if(*addresses,
                [](const Address& address) { return !CanBeHost(address); });
  std::sort(addresses->begin(), addresses->end());
  addresses->erase(std::unique(addresses->begin(), addresses->end()),
                   addresses->end());
  if (addresses->size() <= kMostOfOneWire) return true;
  addresses->resize(kMostOfOneWire);
  return false;
}

}  // namespace sluice
