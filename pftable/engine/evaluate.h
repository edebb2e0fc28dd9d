// The plain interpreter of rules, with pf's semantics: an ascending scan, the
// last matching pass or block wins, `quick` ends the scan. It is what every
// faster classifier is measured against, so it has no tricks.
//
// Worker side: no allocation, no lock, no exception.
#ifndef SLUICE_PFTABLE_ENGINE_EVALUATE_H_
#define SLUICE_PFTABLE_ENGINE_EVALUATE_H_

#include <array>
#include <cstdint>
#include <type_traits>

#include "packet/drop_reason.h"
#include "packet/packet.h"
#include "pftable/engine/compiled_rule.h"
#include "pftable/engine/counters.h"
#include "pftable/engine/generation.h"
#include "pftable/engine/state_template.h"
#include "pftable/policy/rule.h"

namespace sluice {

class LimiterGate;
class RouteView;
struct Translation;

// Of an evaluation of which nothing comes: no rule counts anything.
enum class Rehearsal : uint8_t {
  kNo,       // it is in earnest
  kYes,      // rates and lives are asked as they are
  kOfState,  // ... of a packet that was judged once: its rule may match again,
             // and no rate is asked
};

struct EvaluationInput {
  const PacketInfo& packet;  // kind is kIp
  Direction direction = Direction::kIn;  // kIn or kOut
  InterfaceView interface;    // of arrival for kIn, of departure for kOut
  InterfaceView received_on;  // of arrival
  uint16_t tag = kNoTag;      // what an earlier judgement left
  Tick now = 0;
  uint64_t random = 0;  // 64 fresh random bits, for `probability`
  // Null: rules that translate leave the packet as it is.
  Translation* translation = nullptr;
  // Null: limiters admit everything.
  LimiterGate* limiters = nullptr;
  // What a SYN looks like, for `os`; null: it is none, or nobody asks.
  const SynSignature* syn = nullptr;
  // Of `interface`; null: it has no router, and nothing there is routed.
  const RouteView* routes = nullptr;
  // What rules count as they are met: `max-pkt-rate` and `once`.
  Rehearsal rehearsal = Rehearsal::kNo;
  uint32_t made_by = kNoRuleSlot;  // kOfState: the state's rule
};

enum class VerdictAction : uint8_t { kPass, kBlock };

// How a blocked packet is answered, with the packet's protocol and the things
// that are never answered (errors, resets, fragments, group addresses)
// already considered.
enum class BlockAnswer : uint8_t {
  kNone,
  kTcpReset,
  kSctpAbort,
  kIcmpUnreachable,  // ICMP type 3 or ICMPv6 type 1, code Verdict::icmp_code
};

// A rule that has a packet logged.
struct LoggedRule {
  uint32_t rule_slot;
  uint32_t anchor_slot;  // of the call that led to it, or kNoRuleSlot
  RuleAction action;
  // Whose `to pflogN` says where: its own, or that of the `log (matches)` rule
  // which takes it along.
  uint32_t log_slot;
};
inline constexpr uint32_t kMaxLoggedRules = 8;

struct Verdict {
  VerdictAction action = VerdictAction::kPass;
  // kBlock: kMatch; kStateLimit when the winner was a pass rule whose states
  // have reached their `max`, or a limiter ended the evaluation, for sources
  // kSrcLimit; kMapFailed when a pool had nothing to give, and
  // kTranslate when the translated packet would have no state.
  DropReason reason = DropReason::kMatch;
  BlockAnswer answer = BlockAnswer::kNone;
  uint8_t rst_ttl = 0;    // 0: the usual one
  uint8_t icmp_code = 0;  // for the packet's family
  bool quick = false;     // the winner is
  // A passed packet without a state is to make one.
  bool keep_state = false;
  // A passed packet with PacketFlag::kIpOptions is dropped with kIpOption
  // unless this is set. Says the same as kStateAllowOptions.
  bool allow_options = false;
  bool log = false;  // the winner or a match rule has `log`
  // The rules that have it logged, in their order: match rules with `log`,
  // those that match after a `log (matches)`, and the winner if it has `log`.
  // More of them than there is room for are not logged.
  uint8_t logged_count = 0;
  std::array<LoggedRule, kMaxLoggedRules> logged;
  // Null: no rule matched; pf's default rule, pass without state. Valid as
  // long as the generation is.
  const CompiledRule* rule = nullptr;
  // rule_slot, anchor_slot, match_slots and tag hold for every verdict, the
  // flags for a passed one.
  StateTemplate state;
};
static_assert(std::is_trivially_copyable_v<Verdict>);

// Judges one packet. Counts evaluations of rules and lookups of tables in
// `counters`, nothing else.
Verdict Evaluate(const Generation& generation, const EvaluationInput& input,
                 WorkerCounters& counters);

// Counts a packet that has no state and makes none, for the rules and tables
// of its verdict, which was reached for `packet`. `passed` may be false for a
// passed verdict that was dropped after all (IP options).
void CountPacket(const Generation& generation, const Verdict& verdict,
                 Direction direction, const PacketInfo& packet, bool passed,
                 WorkerCounters& counters);

// What a state has counted since it was last folded, by Direction, and the
// addresses of its first packet as they were behind its translation.
struct StateTraffic {
  std::array<uint64_t, 2> packets{};
  std::array<uint64_t, 2> bytes{};
  Family family = Family::kNone;
  std::array<uint8_t, 16> source{};
  std::array<uint8_t, 16> destination{};
};
// Adds it to the state's rule, anchor, match rules and tables. `generation` is
// in force now; the rules may be of an older one.
void FoldTraffic(const Generation& generation, const RuleSlots& slots,
                 const StateTemplate& state, const StateTraffic& traffic,
                 WorkerCounters& counters);
// To be called once when a state is inserted and once when it ends, for the
// state's rule, anchor and match rules. The rule's own limit is separate
// (RuleRecord::AcquireState).
void CountStateCreated(const StateTemplate& state, WorkerCounters& counters);
void CountStateEnded(const StateTemplate& state, WorkerCounters& counters);
// Instead of CountStateEnded(): it was created in vain, and is not counted.
void CountStateCancelled(const StateTemplate& state, WorkerCounters& counters);

// How `rule`'s kind of answer applies to this packet; for the fail policy of
// a state that could not be made, too.
struct AnswerChoice {
  BlockAnswer answer = BlockAnswer::kNone;
  uint8_t rst_ttl = 0;
  uint8_t icmp_code = 0;
};
AnswerChoice ResolveAnswer(BlockReturn block_return, uint8_t rst_ttl,
                           uint8_t icmp_code, uint8_t icmp6_code,
                           const EngineOptions& options,
                           const PacketInfo& packet);

// Whether the packet answers a query of ICMP or ICMPv6 that a state pairs it
// with: echo, timestamp, information, address mask. Such a packet makes no
// state of its own.
bool IsIcmpReply(const PacketInfo& packet);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_ENGINE_EVALUATE_H_
