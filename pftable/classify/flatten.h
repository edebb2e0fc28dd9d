// The rules of a policy as one list for packets of one direction and family,
// anchors written out where they are called. Control side.
#ifndef SLUICE_PFTABLE_CLASSIFY_FLATTEN_H_
#define SLUICE_PFTABLE_CLASSIFY_FLATTEN_H_

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "packet/packet.h"
#include "pftable/classify/interval_set.h"
#include "pftable/classify/rows.h"
#include "pftable/engine/generation.h"

namespace sluice::classify {

// An address in network order, as PacketInfo has it.
inline Number NumberOf(Family family, const std::array<uint8_t, 16>& bytes) {
  Number number = 0;
  for (int i = 0; i < AddressBits(family) / 8; ++i) {
    number = number << 8 | bytes[i];
  }
  return number;
}

// What rules ask of the protocol and of its header, ports apart.
struct TransportCondition {
  bool any_protocol = true;
  uint8_t protocol = 0;
  bool fragments_only = false;
  uint8_t flags_set = 0;
  uint8_t flags_mask = 0;
  std::optional<uint8_t> icmp_type;
  std::optional<uint8_t> icmp_code;
  bool ports = false;     // for protocols that have ports only
  bool owner = false;
  bool keeps_state = false;  // and is not sloppy: replies make none

  static TransportCondition Of(const CompiledRule& rule);
  friend auto operator<=>(const TransportCondition&,
                          const TransportCondition&) = default;
};

// One rule where evaluation meets it.
struct FlatRule {
  uint32_t rule = 0;  // of CompiledPolicy::rules
  uint32_t call = kNoIndex;  // the innermost around it, as `rule`
  // A call, kept because it does something of its own: the position after the
  // last rule that it leads to.
  uint32_t end = kNoIndex;
  // Sets of the rule and of all calls around it.
  IntervalSet source, destination, source_port, destination_port;
  // Lists of them, by number.
  uint32_t transport = 0;
  uint32_t link = 0;
  // The rule has conditions that are in none of the sets.
  bool verify = false;
  // The innermost call around it that has such; into FlatRules::guards.
  uint32_t guard = kNoIndex;

  bool is_call() const { return end != kNoIndex; }
};

// A call with conditions to be verified.
struct Guard {
  uint32_t rule = 0;
  uint32_t outer = kNoIndex;  // the next such call around it
};

struct FlatRules {
  std::vector<FlatRule> rules;
  std::vector<Guard> guards;
  // What FlatRule::transport and link count: conditions that all hold.
  std::vector<std::vector<TransportCondition>> transports;
  std::vector<std::vector<InterfaceCondition>> links;
  // Rules have to be met in their order: tags, match rules, quick calls, and
  // what counts when it is met. If
  // not, no call is in `rules`, and a quick rule that matches wins over all,
  // the first one; else the last one that matches wins.
  bool in_order = false;
};

// Why rules are walked one by one.
enum class WalkReason : uint8_t {
  kNone,          // they are not
  kFew,           // that is faster
  kAnchors,       // written out, anchors are more rules than the bound
  kUnknownField,  // of a match rule; see rule_fields.h
  kClasses,       // more classes than the bounds have room for
};
// As an operator reads it; "" for kNone.
std::string_view Explain(WalkReason reason);

// Nothing, and the reason, if anchors multiply to more than `most` rules, or if
// a match rule has a field that rule_fields.cc does not know.
std::optional<FlatRules> Flatten(const CompiledPolicy& policy,
                                 Direction direction, Family family,
                                 size_t most, WalkReason* reason);

}  // namespace sluice::classify

#endif  // SLUICE_PFTABLE_CLASSIFY_FLATTEN_H_
