#include "pftable/engine/explain.h"

#include <algorithm>
#include <array>

#include "pftable/engine/explain_pool.h"
#include "pftable/engine/scan.h"
#include "pftable/engine/scratch_counters.h"

namespace sluice {
namespace {

// One condition of a rule alone, in a rule without any other: what does not
// match then is the condition.
struct Alone {
  RuleCondition condition;
  void (*copy)(const CompiledRule& from, CompiledRule& to);
};

constexpr std::array<Alone, 22> kAlone = {{
    {RuleCondition::kForwarded,
     [](const CompiledRule& from, CompiledRule& to) { to.never = from.never; }},
    {RuleCondition::kInterface,
     [](const CompiledRule& from, CompiledRule& to) { to.on = from.on; }},
    {RuleCondition::kDirection,
     [](const CompiledRule& from, CompiledRule& to) {
       to.direction = from.direction;
     }},
    {RuleCondition::kFamily,
     [](const CompiledRule& from, CompiledRule& to) {
       to.family = from.family;
     }},
    {RuleCondition::kProtocol,
     [](const CompiledRule& from, CompiledRule& to) {
       to.any_protocol = from.any_protocol;
       to.protocol = from.protocol;
     }},
    {RuleCondition::kSource,
     [](const CompiledRule& from, CompiledRule& to) {
       to.source = from.source;
     }},
    {RuleCondition::kDestination,
     [](const CompiledRule& from, CompiledRule& to) {
       to.destination = from.destination;
     }},
    {RuleCondition::kSourcePort,
     [](const CompiledRule& from, CompiledRule& to) {
       to.source_port = from.source_port;
     }},
    {RuleCondition::kDestinationPort,
     [](const CompiledRule& from, CompiledRule& to) {
       to.destination_port = from.destination_port;
     }},
    {RuleCondition::kFlags,
     [](const CompiledRule& from, CompiledRule& to) {
       to.flags_set = from.flags_set;
       to.flags_mask = from.flags_mask;
     }},
    {RuleCondition::kIcmpType,
     [](const CompiledRule& from, CompiledRule& to) {
       to.has_icmp_type = from.has_icmp_type;
       to.icmp_type = from.icmp_type;
       to.has_icmp_code = from.has_icmp_code;
       to.icmp_code = from.icmp_code;
     }},
    {RuleCondition::kFragment,
     [](const CompiledRule& from, CompiledRule& to) {
       to.fragments_only = from.fragments_only;
     }},
    {RuleCondition::kOwner,
     [](const CompiledRule& from, CompiledRule& to) { to.owner = from.owner; }},
    {RuleCondition::kReply,
     [](const CompiledRule& from, CompiledRule& to) {
       to.state = from.state;
       to.state_flags = from.state_flags;
     }},
    {RuleCondition::kPriority,
     [](const CompiledRule& from, CompiledRule& to) {
       to.has_priority = from.has_priority;
       to.priority = from.priority;
       to.priority_of_untagged = from.priority_of_untagged;
     }},
    {RuleCondition::kTos,
     [](const CompiledRule& from, CompiledRule& to) {
       to.has_tos = from.has_tos;
       to.tos = from.tos;
     }},
    {RuleCondition::kSystem,
     [](const CompiledRule& from, CompiledRule& to) { to.os = from.os; }},
    {RuleCondition::kProbability,
     [](const CompiledRule& from, CompiledRule& to) {
       to.probability = from.probability;
       to.slot = from.slot;
     }},
    {RuleCondition::kTag,
     [](const CompiledRule& from, CompiledRule& to) {
       to.tagged = from.tagged;
       to.tagged_negated = from.tagged_negated;
     }},
    {RuleCondition::kReceivedOn,
     [](const CompiledRule& from, CompiledRule& to) {
       to.received_on = from.received_on;
     }},
    {RuleCondition::kPacketRate,
     [](const CompiledRule& from, CompiledRule& to) {
       to.rated = from.rated;
       to.record = from.record;
     }},
    {RuleCondition::kOnce,
     [](const CompiledRule& from, CompiledRule& to) {
       to.once = from.once;
       to.record = from.record;
     }},
}};

// The first condition that does not hold, kNone if all do, and whether more
// than that one do not. `input` has the packet as it meets the rule, and `tag` is
// its tag then.
RuleCondition FirstFailed(const Generation& generation,
                          const CompiledRule& rule,
                          const EvaluationInput& input, uint16_t tag,
                          WorkerCounters& counters, bool* several) {
  *several = false;
  EvaluationInput alone = input;
  alone.tag = tag;
  alone.translation = nullptr;
  Verdict verdict;
  Scan scan(generation, alone, counters, verdict);
  if (scan.Matches(rule)) return RuleCondition::kNone;
  RuleCondition failed = RuleCondition::kOther;
  for (const Alone& alone : kAlone) {
    CompiledRule only;
    alone.copy(rule, only);
    if (scan.Matches(only)) continue;
    if (failed != RuleCondition::kOther) {
      *several = true;
      return failed;
    }
    failed = alone.condition;
  }
  return failed;
}

// As LinearScan in evaluate.cc, with notes.
class ExplainedScan {
 public:
  ExplainedScan(const Generation& generation, const EvaluationInput& input,
                size_t most_near, WorkerCounters& counters,
                Explanation* result)
      : generation_(generation),
        policy_(*generation.policy),
        input_(input),
        most_near_(most_near),
        result_(*result),
        counters_(counters),
        tag_(input.tag),
        scan_(generation, input, counters, result->verdict) {}

  void Run() {
    RunRuleset(policy_.rulesets[0], kNoRuleSlot, 0);
    scan_.Decide();
  }

 private:
  bool RunRuleset(const CompiledRuleset& ruleset, uint32_t anchor_slot,
                  uint32_t depth) {
    for (uint32_t i = ruleset.begin; i < ruleset.end; ++i) {
      const CompiledRule& rule = policy_.rules[i];
      ++result_.met;
      const bool matches = scan_.Matches(rule);
      if (!matches) {
        NoteNear(i, depth);
        continue;
      }
      const PacketInfo met = scan_.packet();  // which the rule may translate
      scan_.Take(rule, anchor_slot);
      if (rule.tag != kNoTag) tag_ = rule.tag;
      Note(i, depth, RuleCondition::kNone, met);
      if (rule.is_call ? RunCall(rule, depth) : rule.quick) return true;
    }
    return false;
  }

  bool RunCall(const CompiledRule& call, uint32_t depth) {
    const uint32_t decisions_before = scan_.decisions();
    for (uint32_t c = call.call_begin; c < call.call_end; ++c) {
      if (RunRuleset(policy_.rulesets[policy_.calls[c]], call.slot,
                     depth + 1)) {
        return true;
      }
    }
    return call.quick && scan_.decisions() != decisions_before;
  }

  void NoteNear(uint32_t index, uint32_t depth) {
    if (most_near_ == 0) return;
    bool several = false;
    const EvaluationInput now{.packet = scan_.packet(),
                              .direction = input_.direction,
                              .interface = input_.interface,
                              .received_on = input_.received_on,
                              .now = input_.now,
                              .random = input_.random,
                              .syn = input_.syn,
                              .routes = input_.routes,
                              .rehearsal = input_.rehearsal};
    const RuleCondition failed = FirstFailed(
        generation_, policy_.rules[index], now, tag_, counters_, &several);
    if (several) return;
    if (near_ == most_near_) {
      ++result_.left_out;
      return;
    }
    ++near_;
    Note(index, depth, failed, scan_.packet());
  }

  void Note(uint32_t index, uint32_t depth, RuleCondition failed,
            const PacketInfo& packet) {
    ExplainedRule& note = result_.rules.emplace_back();
    note.rule = index;
    note.depth = depth;
    note.failed = failed;
    note.tag = tag_;
    const CompiledRule& rule = policy_.rules[index];
    NoteTable(rule.source, packet.source_address(), true, note);
    NoteTable(rule.destination, packet.destination_address(), false, note);
  }

  void NoteTable(const AddressCondition& condition, const Address& address,
                 bool is_source, ExplainedRule& note) {
    if (condition.kind != AddressCondition::Kind::kTable) return;
    // A name of an anchor may stand for the main table: it is the one whose
    // nodes workers have.
    ExplainedTable told;
    told.is_source = is_source;
    told.table = condition.index;
    const uint16_t slot = generation_.tables[condition.index].slot;
    for (uint32_t i = 0;
         slot != kNoTableSlot && i < generation_.table_states.size(); ++i) {
      const GenerationTable& table = generation_.table_states[i];
      if (table.handle == nullptr || table.handle->slot() != slot) continue;
      told.table = i;
      told.entry = table.contents.Longest(address);
      break;
    }
    note.tables.push_back(told);
  }

  const Generation& generation_;
  const CompiledPolicy& policy_;
  const EvaluationInput& input_;
  const size_t most_near_;
  Explanation& result_;
  WorkerCounters& counters_;
  uint16_t tag_;
  size_t near_ = 0;
  Scan scan_;
};

}  // namespace

std::string_view Name(RuleCondition condition) {
  switch (condition) {
    case RuleCondition::kNone:
      return "";
    case RuleCondition::kForwarded:
      return "what forwarded packets cannot have";
    case RuleCondition::kInterface:
      return "on";
    case RuleCondition::kDirection:
      return "direction";
    case RuleCondition::kFamily:
      return "address family";
    case RuleCondition::kProtocol:
      return "proto";
    case RuleCondition::kSource:
      return "from";
    case RuleCondition::kDestination:
      return "to";
    case RuleCondition::kSourcePort:
      return "from port";
    case RuleCondition::kDestinationPort:
      return "to port";
    case RuleCondition::kFlags:
      return "flags";
    case RuleCondition::kIcmpType:
      return "icmp-type";
    case RuleCondition::kFragment:
      return "fragment";
    case RuleCondition::kOwner:
      return "user or group";
    case RuleCondition::kReply:
      return "keep state, by an ICMP reply";
    case RuleCondition::kPriority:
      return "prio";
    case RuleCondition::kTos:
      return "tos";
    case RuleCondition::kSystem:
      return "os";
    case RuleCondition::kProbability:
      return "probability";
    case RuleCondition::kTag:
      return "tagged";
    case RuleCondition::kReceivedOn:
      return "received-on";
    case RuleCondition::kPacketRate:
      return "max-pkt-rate";
    case RuleCondition::kOnce:
      return "once, which has expired";
    case RuleCondition::kOther:
      return "another condition";
  }
  return "";
}

Explanation Explain(const Generation& generation, const EvaluationInput& input,
                    size_t most_near) {
  Explanation result;
  ScratchCounters scratch(generation);
  ExplainPool pools;
  Translation translation;
  translation.chooser = &pools;
  EvaluationInput given = input;
  given.translation = &translation;
  given.limiters = nullptr;
  given.rehearsal = Rehearsal::kYes;
  TranslationMatch match;
  match.tag = input.tag;
  if (!generation.policy->translations[0].empty()) {
    match = ApplyTranslationRules(generation, given, scratch.get());
    if (match.rule != nullptr) {
      ExplainedRule& note = result.rules.emplace_back();
      note.rule =
          static_cast<uint32_t>(match.rule - generation.policy->rules.data());
      note.tag = match.tag;
      ++result.met;
    }
  }
  const EvaluationInput behind{
      .packet = translation.translated ? translation.packet : input.packet,
      .direction = input.direction,
      .interface = input.interface,
      .received_on = input.received_on,
      .tag = match.tag,
      .now = input.now,
      .random = input.random,
      .translation = &translation,
      .syn = input.syn,
      .routes = input.routes,
      .rehearsal = Rehearsal::kYes};
  if (translation.failed) {
    result.verdict.action = VerdictAction::kBlock;
    result.verdict.reason = DropReason::kMapFailed;
    result.verdict.state.tag = match.tag;
  } else if (match.rule != nullptr && match.rule->translation_pass) {
    result.verdict = VerdictOfTranslation(generation, match, behind);
  } else {
    ExplainedScan(generation, behind, most_near, scratch.get(), &result).Run();
  }
  result.translated = translation.translated && !translation.failed;
  result.guessed_address = result.translated && pools.guessed_address();
  result.guessed_port = result.translated && pools.guessed_port();
  if (result.translated) result.packet = translation.packet;
  return result;
}

}  // namespace sluice
