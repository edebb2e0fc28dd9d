// What a state copies from the rules that made it, so that it can outlive
// them.
#ifndef SLUICE_PFTABLE_ENGINE_STATE_TEMPLATE_H_
#define SLUICE_PFTABLE_ENGINE_STATE_TEMPLATE_H_

#include <array>
#include <cstdint>
#include <type_traits>

#include "pftable/engine/counters.h"
#include "pftable/engine/packet_actions.h"
#include "pftable/engine/packet_route.h"
#include "pftable/engine/tag_registry.h"

namespace sluice {

// Bits of StateTemplate::flags and CompiledRule::state_flags.
enum StateFlag : uint16_t {
  kStateSloppy = 1 << 0,      // no sequence checks
  kStateAllowOptions = 1 << 1,  // later packets may have IP options
  kStateLog = 1 << 2,         // the packet that makes the state is logged
  kStateLogAll = 1 << 3,      // and all later ones
  kStateNoSync = 1 << 4,      // not to be exported to peers
  kStateIfBound = 1 << 5,     // valid on the interface that made it only
  kStateRuleTimeouts = 1 << 6,  // RuleRecord::timeouts has values
  kStateRuleLimit = 1 << 7,   // RuleRecord::AcquireState() applies
  kStateLogMatches = 1 << 8,  // a `log (matches)` rule matched
};

// Bits of StateTemplate::side and CompiledRule::side_flags: what few states
// have. A state with any of them has a StateSide (conntrack/state.h).
enum StateSideFlag : uint32_t {
  kSideSource = 1 << 0,      // RuleRecord::tracking applies
  kSideConnection = 1 << 1,  // its source's node counts it as a connection
  kSideModulate = 1 << 2,    // TCP peers see other sequence numbers
  kSideSynproxy = 1 << 3,    // each TCP peer's handshake is with us
  // Pools keep something of it among the sources, by PoolNode
  // (conntrack/source_nodes.h). Which of them is told by the bits above.
  kSidePools = 1 << 4,
  kSideLimited = 1 << 5,  // counts for a limiter
  kSidePflow = 1 << 6,    // its end is told (`pflow`)
  // No helper follows it. A state has it where its ports would not say so.
  kSideNoHelpers = 1 << 7,
  kSideFirstPool = 1 << 8,  // and seven more: StateSide has 16 bits for them
};

// The match rules whose counters a packet or state takes part in.
inline constexpr uint32_t kMaxMatchRules = 8;

struct StateTemplate {
  uint32_t rule_slot = kDefaultRuleSlot;
  uint32_t anchor_slot = kNoRuleSlot;  // the innermost anchor call around it
  std::array<uint32_t, kMaxMatchRules> match_slots{};
  uint8_t match_count = 0;
  uint16_t tag = kNoTag;
  uint16_t flags = 0;  // StateFlag bits
  uint32_t side = 0;   // StateSideFlag bits
  uint8_t state_limiter = 0;   // that it counts for, 0: none
  uint8_t source_limiter = 0;
  PacketActions actions{};
  PacketRoute route{};  // with PacketActions::kRoute

  bool has(StateFlag flag) const { return (flags & flag) != 0; }
};
static_assert(std::is_trivially_copyable_v<StateTemplate>);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_ENGINE_STATE_TEMPLATE_H_
