// The conditions of rules as values that can be hashed and compared: equal
// ones, and those of which one contains another. Internal to the optimiser.
#ifndef SLUICE_PFTABLE_OPTIMIZE_RULE_KEYS_H_
#define SLUICE_PFTABLE_OPTIMIZE_RULE_KEYS_H_

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "pftable/policy/rule.h"

namespace sluice {

// What of a rule's conditions goes into a key; what does not is `any`. An
// address of a network may be cut to fewer bits.
struct RuleShape {
  bool on = true;
  bool direction = true;
  bool family = true;
  bool protocol = true;
  bool flags = true;
  bool source_port = true;
  bool destination_port = true;
  // Bits of the network; kWhole: the address as it is, kNothing: any.
  int source = kWhole;
  int destination = kWhole;

  static constexpr int kWhole = -1;
  static constexpr int kNothing = -2;
  static constexpr int kNegated = -3;

  friend bool operator==(const RuleShape&, const RuleShape&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const RuleShape& s) {
    return H::combine(std::move(h), s.on, s.direction, s.family, s.protocol,
                      s.flags, s.source_port, s.destination_port, s.source,
                      s.destination);
  }
};

struct AddressKey {
  std::array<uint8_t, 16> bytes{};  // of a network, the rest of them zero
  uint32_t other = 0;               // the number of what is no network
  Family family = Family::kNone;    // of a network; all zero: any address
  uint8_t length = 0;

  friend bool operator==(const AddressKey&, const AddressKey&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const AddressKey& k) {
    return H::combine(std::move(h), k.bytes, k.other, k.family, k.length);
  }
};

// A rule's conditions. Two rules of one block with equal keys match the same
// packets; what a rule does not look at is zero.
struct RuleKey {
  uint32_t on = 0;    // numbers of texts
  uint32_t rest = 0;  // of all that is not here
  AddressKey source;
  AddressKey destination;
  PortMatch source_port;
  PortMatch destination_port;
  TcpFlagsMatch flags;
  Direction direction = Direction::kBoth;
  Family family = Family::kNone;
  uint8_t protocol = 0;

  friend bool operator==(const RuleKey&, const RuleKey&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const RuleKey& k) {
    return H::combine(std::move(h), k.on, k.rest, k.source, k.destination,
                      k.source_port.op, k.source_port.low, k.source_port.high,
                      k.destination_port.op, k.destination_port.low,
                      k.destination_port.high, k.flags.set, k.flags.mask,
                      k.direction, k.family, k.protocol);
  }
};

// The keys of rules; only those of one call can be compared.
std::vector<RuleKey> KeysOf(const std::vector<Rule>& rules);

// What is left of a key that a shape does not have is none.
RuleKey Cut(RuleKey key, const RuleShape& shape);
// All that a rule looks at.
RuleShape ShapeOf(const Rule& rule);
// Whether a rule of shape `super` may contain one of shape `sub`.
bool MayContain(const RuleShape& super, const RuleShape& sub);

// Of the network that an address is; -1 if it is none.
int NetworkLength(const AddressMatch& match);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_OPTIMIZE_RULE_KEYS_H_
