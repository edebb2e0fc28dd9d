// A rule for layer 2 as workers read it.
#ifndef SLUICE_PFTABLE_ENGINE_COMPILED_ETHER_H_
#define SLUICE_PFTABLE_ENGINE_COMPILED_ETHER_H_

#include <array>
#include <cstdint>

#include "pftable/engine/compiled_rule.h"

namespace sluice {

// A MAC address as a number, its first byte lowest.
inline uint64_t MacNumber(const std::array<uint8_t, 6>& mac) {
  uint64_t number = 0;
  for (size_t i = 0; i < mac.size(); ++i) {
    number |= uint64_t{mac[i]} << (8 * i);
  }
  return number;
}

struct MacCondition {
  uint64_t value = 0;  // under the mask
  uint64_t mask = 0;   // 0: any
  bool negated = false;

  bool Matches(uint64_t mac) const {
    return ((mac & mask) == value) != negated;
  }
};

struct CompiledEtherRule {
  InterfaceCondition on;
  Direction direction = Direction::kBoth;
  uint16_t type = 0;  // ethertype; 0: any
  MacCondition source;
  MacCondition destination;
  AddressCondition l3_source;
  AddressCondition l3_destination;
  Family l3_source_family = Family::kNone;  // kNone: both
  Family l3_destination_family = Family::kNone;
  uint16_t tagged = kNoTag;  // kNoTag: no condition
  bool tagged_negated = false;

  bool block = false;
  bool quick = false;
  // What passes leaves by that interface and by no other (InterfaceView::id; 0:
  // nothing has the name).
  bool bridges = false;
  uint16_t bridge_to = 0;
  uint16_t tag = kNoTag;
  uint32_t slot = kDefaultRuleSlot;

  // An anchor call: CompiledPolicy::ether_calls[call_begin, call_end) are the
  // rulesets that it evaluates in turn.
  bool is_call = false;
  uint32_t call_begin = 0;
  uint32_t call_end = 0;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_ENGINE_COMPILED_ETHER_H_
