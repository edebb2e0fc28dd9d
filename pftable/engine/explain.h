// Why the rules say what they say of a packet: the interpreter once more, with
// notes. Control side: it allocates, and takes as long as there are rules. It
// counts nothing of what it reads, and takes nothing of any pool: where several
// addresses or ports could come out, it goes on with one of them and says so.
#ifndef SLUICE_PFTABLE_ENGINE_EXPLAIN_H_
#define SLUICE_PFTABLE_ENGINE_EXPLAIN_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "pftable/engine/evaluate.h"
#include "pftable/engine/generation.h"
#include "pftable/policy/policy.h"

namespace sluice {

// A condition of a rule, in the order in which they are named.
enum class RuleCondition : uint8_t {
  kNone,
  kForwarded,  // it asks for what no forwarded packet has
  kInterface,
  kDirection,
  kFamily,
  kProtocol,
  kSource,
  kDestination,
  kSourcePort,
  kDestinationPort,
  kFlags,
  kIcmpType,
  kFragment,
  kOwner,
  kReply,  // no state comes from an answer
  kPriority,
  kTos,
  kSystem,
  kProbability,
  kTag,
  kReceivedOn,
  kPacketRate,
  kOnce,  // a packet was its one already
  kOther,  // none of these alone
};
// As rules are written: "on", "from", "to ... port".
std::string_view Name(RuleCondition condition);

// What a table that a rule names says of the packet.
struct ExplainedTable {
  bool is_source = false;           // of the packet's two addresses
  uint32_t table = 0;               // of Generation::table_states
  std::optional<TableEntry> entry;  // the longest one that covers it
};

struct ExplainedRule {
  uint32_t rule = 0;  // of CompiledPolicy::rules
  uint32_t depth = 0;  // of anchors
  // kNone: it matched. Else the first that did not hold.
  RuleCondition failed = RuleCondition::kNone;
  uint16_t tag = kNoTag;  // of the packet after it
  std::vector<ExplainedTable> tables;
};

struct Explanation {
  Verdict verdict;
  // In the order in which they were met, FreeBSD's translation rule, if one
  // applies, before the filter's: those that matched, and those of which
  // all but one condition held.
  std::vector<ExplainedRule> rules;
  // Some rule has translated it: `packet` is how it goes on.
  bool translated = false;
  // Another address, or another source port, could come out.
  bool guessed_address = false;
  bool guessed_port = false;
  PacketInfo packet{};
  uint64_t met = 0;       // rules in all
  uint64_t left_out = 0;  // near ones for which there was no room
};

// `most_near`: how many rules that nearly matched are told. What `input` says of
// translation and limiters does not matter: rules translate, and no limiter is
// asked.
Explanation Explain(const Generation& generation, const EvaluationInput& input,
                    size_t most_near);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_ENGINE_EXPLAIN_H_
