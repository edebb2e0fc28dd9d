#include "pftable/engine/evaluate.h"

#include "packet/icmp.h"
#include "pftable/engine/scan.h"

namespace sluice {
namespace {

// The ascending scan. True: it is over. CompilePolicy() bounds the depth.
class LinearScan {
 public:
  LinearScan(const Generation& generation, const EvaluationInput& input,
             WorkerCounters& counters, Verdict& verdict)
      : policy_(*generation.policy),
        counters_(counters),
        scan_(generation, input, counters, verdict) {}

  void Run() {
    RunRuleset(policy_.rulesets[0], kNoRuleSlot);
    scan_.Decide();
  }

 private:
  bool RunRuleset(const CompiledRuleset& ruleset, uint32_t anchor_slot) {
    for (uint32_t i = ruleset.begin; i < ruleset.end; ++i) {
      const CompiledRule& rule = policy_.rules[i];
      if (scan_.IsExpired(rule)) [[unlikely]] continue;
      counters_.evaluations(rule.slot).Add(1);
      if (!scan_.Matches(rule)) {
        if (scan_.is_over()) [[unlikely]] return true;
        continue;
      }
      scan_.Take(rule, anchor_slot);
      if (rule.is_call ? RunCall(rule) : rule.quick) return true;
    }
    return false;
  }

  bool RunCall(const CompiledRule& call) {
    const uint32_t decisions_before = scan_.decisions();
    for (uint32_t c = call.call_begin; c < call.call_end; ++c) {
      if (RunRuleset(policy_.rulesets[policy_.calls[c]], call.slot)) {
        return true;
      }
    }
    return call.quick && scan_.decisions() != decisions_before;
  }

  const CompiledPolicy& policy_;
  WorkerCounters& counters_;
  Scan scan_;
};

// Group and unspecified addresses: no error may be sent because of a packet
// to or from them (RFC 1122, 3.2.2; RFC 4443, 2.4 e).
bool IsHostAddress(Family family, const std::array<uint8_t, 16>& address) {
  if (family == Family::kIpv4) return address[0] != 0 && address[0] < 224;
  static constexpr std::array<uint8_t, 16> kUnspecified{};
  return address[0] != 0xff && address != kUnspecified;
}

void CountRulePacket(uint32_t slot, size_t direction, uint64_t packets,
                     uint64_t bytes, WorkerCounters& counters) {
  RuleCounters& rule = counters.rule(slot);
  rule.packets[direction].Add(packets);
  rule.bytes[direction].Add(bytes);
}

// Packets of one flow in one direction, as tables count them.
struct TablePackets {
  Family family = Family::kNone;
  const uint8_t* source = nullptr;
  const uint8_t* destination = nullptr;
  size_t direction = 0;
  uint64_t packets = 0;
  uint64_t bytes = 0;
};

// Counts for one table that a rule names. As in pf, what counts for an entry is
// decided by what the table holds now.
void CountForTable(const TableView& table, const uint8_t* address,
                   bool negated, TableOp op, const TablePackets& of,
                   WorkerCounters& counters) {
  Prefix entry;
  bool entry_negated = false;
  const bool found =
      table.addresses.Longest(of.family, address, &entry, &entry_negated);
  if ((found && !entry_negated) == negated) op = TableOp::kXPass;
  TableCounters& sums = counters.table(table.slot);
  sums.packets[of.direction][static_cast<size_t>(op)].Add(of.packets);
  sums.bytes[of.direction][static_cast<size_t>(op)].Add(of.bytes);
  if (found && op != TableOp::kXPass && table.entries != nullptr) {
    table.entries->Count(counters.worker(), entry, of.direction, op,
                         of.packets, of.bytes);
  }
}

// For the tables that the rule in `slot` names, by their counters' places.
void CountForTables(const Generation& generation, const RuleRecord& record,
                    TableOp op, const TablePackets& of,
                    WorkerCounters& counters) {
  const auto count = [&](uint16_t slot, bool negated,
                         const uint8_t* address) {
    if (slot == kNoTableSlot) return;
    const TableView* const table = generation.TableOfSlot(slot);
    if (table == nullptr) return;
    CountForTable(*table, address, negated, op, of, counters);
  };
  count(record.source_table.load(std::memory_order_relaxed),
        record.source_negated.load(std::memory_order_relaxed), of.source);
  count(record.destination_table.load(std::memory_order_relaxed),
        record.destination_negated.load(std::memory_order_relaxed),
        of.destination);
}

// Calls `f` with each slot that a packet or state counts for.
template <typename F>
void ForEachSlot(const StateTemplate& state, F&& f) {
  f(state.rule_slot);
  if (state.anchor_slot != kNoRuleSlot) f(state.anchor_slot);
  for (uint32_t i = 0; i < state.match_count; ++i) f(state.match_slots[i]);
}

}  // namespace

Verdict Evaluate(const Generation& generation, const EvaluationInput& input,
                 WorkerCounters& counters) {
  Verdict verdict;  // what it has room for but does not use stays unwritten
  LinearScan(generation, input, counters, verdict).Run();
  return verdict;
}

void CountPacket(const Generation& generation, const Verdict& verdict,
                 Direction direction, const PacketInfo& packet, bool passed,
                 WorkerCounters& counters) {
  const size_t way = static_cast<size_t>(direction);
  ForEachSlot(verdict.state, [&](uint32_t slot) {
    CountRulePacket(slot, way, 1, packet.ip_length, counters);
  });
  const TablePackets one = {.family = packet.family,
                            .source = packet.source.data(),
                            .destination = packet.destination.data(),
                            .direction = way,
                            .packets = 1,
                            .bytes = packet.ip_length};
  const TableOp op = passed ? TableOp::kPass : TableOp::kBlock;
  if (generation.options().counts_stateless_matches) {
    for (uint32_t i = 0; i < verdict.state.match_count; ++i) {
      const RuleSlots& slots = *generation.policy->slots.owner();
      CountForTables(generation, slots.record(verdict.state.match_slots[i]),
                     passed ? TableOp::kMatch : op, one, counters);
    }
  }
  if (verdict.rule == nullptr) return;
  const auto count = [&](const AddressCondition& condition,
                         const uint8_t* address) {
    if (condition.kind != AddressCondition::Kind::kTable) return;
    const TableView& table = generation.tables[condition.index];
    if (table.slot == kNoTableSlot) return;
    CountForTable(table, address, condition.negated, op, one, counters);
  };
  count(verdict.rule->source, one.source);
  count(verdict.rule->destination, one.destination);
}

void FoldTraffic(const Generation& generation, const RuleSlots& slots,
                 const StateTemplate& state, const StateTraffic& traffic,
                 WorkerCounters& counters) {
  for (size_t way = 0; way < 2; ++way) {
    const uint64_t packets = traffic.packets[way];
    const uint64_t bytes = traffic.bytes[way];
    if (packets == 0 && bytes == 0) continue;
    ForEachSlot(state, [&](uint32_t slot) {
      CountRulePacket(slot, way, packets, bytes, counters);
    });
    const TablePackets some = {.family = traffic.family,
                               .source = traffic.source.data(),
                               .destination = traffic.destination.data(),
                               .direction = way,
                               .packets = packets,
                               .bytes = bytes};
    CountForTables(generation, slots.record(state.rule_slot), TableOp::kPass,
                   some, counters);
    for (uint32_t i = 0; i < state.match_count; ++i) {
      CountForTables(generation, slots.record(state.match_slots[i]),
                     TableOp::kMatch, some, counters);
    }
  }
}

void CountStateCreated(const StateTemplate& state, WorkerCounters& counters) {
  ForEachSlot(state, [&](uint32_t slot) {
    counters.rule(slot).states_created.Add(1);
  });
}

void CountStateCancelled(const StateTemplate& state,
                         WorkerCounters& counters) {
  std::atomic_thread_fence(std::memory_order_release);
  ForEachSlot(state, [&](uint32_t slot) {
    counters.rule(slot).states_created.TakeBack(1);
  });
}

void CountStateEnded(const StateTemplate& state, WorkerCounters& counters) {
  // Read by the control side as a release of the slot.
  std::atomic_thread_fence(std::memory_order_release);
  ForEachSlot(state, [&](uint32_t slot) {
    counters.rule(slot).states_ended.Add(1);
  });
}

AnswerChoice ResolveAnswer(BlockReturn block_return, uint8_t rst_ttl,
                           uint8_t icmp_code, uint8_t icmp6_code,
                           const EngineOptions& options,
                           const PacketInfo& packet) {
  AnswerChoice choice;
  if (block_return == BlockReturn::kDrop || packet.has(kFragment) ||
      packet.has(kIcmpError) ||
      (IsIcmp(packet) &&
       !(options.answers_icmp && IsIcmpInformation(packet))) ||
      !IsHostAddress(packet.family, packet.source) ||
      !IsHostAddress(packet.family, packet.destination)) {
    return choice;
  }
  if (packet.proto == protocol::kTcp) {
    if ((packet.tcp_flags & kTcpRst) != 0) return choice;
    if (block_return != BlockReturn::kReturnIcmp) {
      choice.answer = BlockAnswer::kTcpReset;
      choice.rst_ttl = rst_ttl;
      return choice;
    }
  } else if (block_return == BlockReturn::kReturnRst) {
    return choice;
  }
  if (packet.proto == protocol::kSctp && options.aborts_sctp &&
      block_return == BlockReturn::kReturn) {
    choice.answer = BlockAnswer::kSctpAbort;
    return choice;
  }
  choice.answer = BlockAnswer::kIcmpUnreachable;
  choice.icmp_code = packet.family == Family::kIpv4 ? icmp_code : icmp6_code;
  return choice;
}

bool IsIcmpReply(const PacketInfo& packet) {
  // A neighbour's advertisement may come unasked: rules take it, but no state
  // comes from it (Pipeline::ApplyRules).
  return IsIcmp(packet) &&
         MapIcmp(packet.family, packet.icmp_type).reply &&
         !IsNeighborAdvertisement(packet);
}

}  // namespace sluice
