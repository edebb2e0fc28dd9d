// A rule as workers read it: plain data, conditions first, without pointers
// to anything but its record.
#ifndef SLUICE_PFTABLE_ENGINE_COMPILED_RULE_H_
#define SLUICE_PFTABLE_ENGINE_COMPILED_RULE_H_

#include <array>
#include <cstdint>
#include <type_traits>

#include "packet/address.h"
#include "pftable/engine/interface_registry.h"
#include "pftable/engine/packet_actions.h"
#include "pftable/engine/rule_slots.h"
#include "pftable/engine/state_template.h"
#include "pftable/engine/tag_registry.h"
#include "pftable/policy/rule.h"

namespace sluice {

// `on`, `received-on`, `set skip on`.
struct InterfaceCondition {
  enum class Kind : uint8_t { kNone, kAny, kNamed };
  Kind kind = Kind::kNone;
  bool negated = false;
  InterfaceName name;

  // A packet without an interface (id 0) is on none, so that only a negated
  // name matches it.
  bool Matches(InterfaceView port) const {
    if (kind == Kind::kNone) return true;
    const bool on = kind == Kind::kAny ? port.id != 0 : name.Matches(port);
    return on != negated;
  }
  friend bool operator==(const InterfaceCondition&,
                         const InterfaceCondition&) = default;
};

struct AddressCondition {
  enum class Kind : uint8_t {
    kAny,
    kPrefix,  // (packet & second) == first
    kRange,   // first <= packet <= second, in network order
    kTable,   // Generation::tables[index]
    kList,    // Generation::addresses[index]
    kNever,   // holds for nothing
    kNoRoute,     // RouteView says so; for nothing where there is none
    kUrpfFailed,  // the same
  };
  Kind kind = Kind::kAny;
  bool negated = false;
  uint16_t index = 0;
  std::array<uint8_t, 16> first{};
  std::array<uint8_t, 16> second{};

  friend bool operator==(const AddressCondition&,
                         const AddressCondition&) = default;
};

// Every operator as (low <= port <= high) != inverted, in host order. An
// empty range has low above high.
struct PortCondition {
  uint16_t low = 0;
  uint16_t high = 65535;
  bool inverted = false;
  bool is_set = false;

  bool Matches(uint16_t port) const {
    return (port >= low && port <= high) != inverted;
  }
  friend bool operator==(const PortCondition&, const PortCondition&) = default;
};

inline constexpr uint16_t kNoPool = 0xffff;

// A new field is verified rule by rule, and keeps match rules that have it from
// being classified, until pftable/classify/rule_fields.cc says what it is.
struct alignas(64) CompiledRule {
  // Conditions.
  Direction direction = Direction::kBoth;
  Family family = Family::kNone;  // kNone: both
  bool any_protocol = true;
  uint8_t protocol = 0;
  bool fragments_only = false;
  uint8_t flags_set = 0;   // TCP: (flags & mask) == set
  uint8_t flags_mask = 0;  // 0: any
  bool has_icmp_type = false;
  bool has_icmp_code = false;
  uint8_t icmp_type = 0;
  uint8_t icmp_code = 0;
  bool has_tos = false;
  uint8_t tos = 0;
  bool tagged_negated = false;
  uint16_t tagged = kNoTag;  // kNoTag: no condition
  // `prio`: a tagged packet's PCP, and whether an untagged one has it.
  bool has_priority = false;
  uint8_t priority = 0;
  bool priority_of_untagged = false;
  bool never = false;  // a condition that forwarded packets cannot meet
  uint16_t os = 0;  // of CompiledPolicy::os_sets, from 1; 0: no condition
  bool owner = false;  // `user` or `group`: never matches fragments
  PortCondition source_port;
  PortCondition destination_port;
  InterfaceCondition on;
  InterfaceCondition received_on;
  AddressCondition source;
  AddressCondition destination;
  uint32_t probability = 0;  // of 2^32; 0: always
  // Conditions that count where evaluation meets the rule and all others hold,
  // whichever rule wins: `max-pkt-rate` (RuleRecord::packet_rate), and `once`,
  // the life that a packet can end; 0: it has no `once`.
  bool rated = false;
  uint32_t once = 0;

  // What the rule does.
  // kPass, kBlock or kMatch; of scrub rules kScrub or kNoScrub.
  RuleAction action = RuleAction::kPass;
  bool no_reassembly = false;  // scrub rules: `fragment no reassemble`
  bool quick = false;
  uint16_t tag = kNoTag;
  BlockReturn block_return = BlockReturn::kDrop;
  uint8_t rst_ttl = 0;
  uint8_t icmp_return_code = 3;
  uint8_t icmp6_return_code = 4;
  bool allow_options = false;
  bool log = false;
  bool log_all = false;
  bool log_matches = false;
  StateKind state = StateKind::kNone;
  uint16_t state_flags = 0;  // StateFlag bits
  uint32_t side_flags = 0;   // StateSideFlag bits
  // nat-to and rdr-to: CompiledPolicy::pools; kNoPool: none.
  uint16_t nat = kNoPool;
  uint16_t rdr = kNoPool;
  RouteKind route = RouteKind::kNone;  // with `route_pool`
  uint16_t route_pool = kNoPool;
  // af-to: the family that packets go on in; kNone: none. `nat` is its `from`
  // and `rdr` its `to`.
  Family af_to = Family::kNone;
  // Without `to`, the length of the prefix behind which an IPv6 destination has
  // the IPv4 one.
  uint8_t af_prefix = 0;
  bool translation_pass = false;  // of FreeBSD's rules: the filter is skipped
  PacketActions actions;
  uint32_t slot = kDefaultRuleSlot;
  uint32_t number = 0;  // in its ruleset, from 0
  const RuleRecord* record = nullptr;

  // An anchor call: CompiledPolicy::calls[call_begin, call_end) are the
  // rulesets that it evaluates in turn.
  bool is_call = false;
  uint32_t call_begin = 0;
  uint32_t call_end = 0;

  // Numbers of the limiters that it asks (limiters.h), 0: none; and whether one
  // that does not admit ends the evaluation, where else the rule does not match.
  uint8_t state_limiter = 0;
  uint8_t source_limiter = 0;
  bool state_limiter_blocks = false;
  bool source_limiter_blocks = false;

  bool counts_when_met() const { return rated || once != 0; }
  // A packet has been its one.
  bool expired() const { return once != 0 && record->HasEnded(once); }
  bool is_limited() const { return (state_limiter | source_limiter) != 0; }
  bool translates() const { return nat != kNoPool || rdr != kNoPool; }
  friend bool operator==(const CompiledRule&, const CompiledRule&) = default;
};
static_assert(std::is_trivially_copyable_v<CompiledRule>);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_ENGINE_COMPILED_RULE_H_
