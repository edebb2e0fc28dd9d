#include "pftable/engine/scan.h"
#include "pftable/engine/translation.h"

namespace sluice {
namespace {

bool IsNo(RuleAction action) {
  return action == RuleAction::kNoNat || action == RuleAction::kNoRdr ||
         action == RuleAction::kNoBinat;
}

// The first rule of a kind that matches.
class FirstMatch {
 public:
  FirstMatch(const Generation& generation, const EvaluationInput& input,
             TranslationKind kind, WorkerCounters& counters)
      : generation_(generation),
        policy_(*generation.policy),
        input_(input),
        kind_(kind),
        counters_(counters),
        scan_(generation, input, counters, verdict_) {}

  TranslationMatch Run() {
    const auto& rulesets = policy_.translations[static_cast<size_t>(kind_)];
    if (!rulesets.empty()) RunRuleset(rulesets[0], kNoRuleSlot);
    match_.tag = scan_.tag();
    return match_;
  }

 private:
  // True: it is over.
  bool RunRuleset(const CompiledRuleset& ruleset, uint32_t anchor_slot) {
    for (uint32_t i = ruleset.begin; i < ruleset.end; ++i) {
      const CompiledRule& rule = policy_.rules[i];
      counters_.evaluations(rule.slot).Add(1);
      if (!Matches(rule)) continue;
      scan_.Take(rule, anchor_slot);
      if (rule.is_call) {
        for (uint32_t c = rule.call_begin; c < rule.call_end; ++c) {
          if (RunRuleset(policy_.translations[static_cast<size_t>(kind_)]
                                             [policy_.calls[c]],
                         rule.slot)) {
            return true;
          }
        }
        continue;
      }
      match_.rule = &rule;
      match_.anchor_slot = anchor_slot;
      return true;
    }
    return false;
  }

  // A binat rule is meant from both sides: what comes in has its destination
  // among the external addresses, and its source is the rule's `to`.
  bool Matches(const CompiledRule& rule) {
    if (kind_ != TranslationKind::kBinat || rule.is_call ||
        input_.direction == Direction::kOut) {
      return scan_.Matches(rule);
    }
    CompiledRule turned = rule;
    turned.source = rule.destination;
    turned.destination = AddressCondition();
    return scan_.Matches(turned) &&
           (rule.nat == kNoPool
                ? scan_.AddressMatches(rule.source, scan_.packet().destination)
                : IsExternal(rule.nat));
  }

  bool IsExternal(uint16_t pool) const {
    const PacketInfo& packet = scan_.packet();
    for (const PoolBlock& block :
         generation_.pools[pool].Of(packet.family).blocks) {
      if (Prefix{.address = block.first, .length = block.length}.Contains(
              packet.destination_address())) {
        return true;
      }
    }
    return false;
  }

  const Generation& generation_;
  const CompiledPolicy& policy_;
  const EvaluationInput& input_;
  const TranslationKind kind_;
  WorkerCounters& counters_;
  Verdict verdict_;
  Scan scan_;
  TranslationMatch match_;
};

}  // namespace

RouteSpaces RouteSpacesOf(const Generation& generation, uint16_t number,
                          Family family) {
  const PoolSpaces& spaces = generation.pools[number];
  RouteSpaces result;
  const auto add = [&](Family candidate) {
    if (spaces.Of(candidate).total != 0) {
      result.families[result.count++] = candidate;
    }
  };
  if (family == Family::kIpv4 &&
      generation.policy->pools[number].prefers_ipv6) {
    add(Family::kIpv6);
  }
  add(family);
  return result;
}

void RedirectPort(const CompiledPool& pool, PacketInfo* packet) {
  if (pool.port_low == 0 || !HasPorts(*packet)) return;
  uint32_t port = pool.port_low;
  if (pool.port_high != 0) {
    const uint32_t count = pool.port_high - pool.port_low + 1u;
    const uint32_t place = static_cast<uint16_t>(
        packet->destination_port.host() - pool.port_base);
    port = pool.port_low + place % count;
  }
  packet->destination_port = Be16(static_cast<uint16_t>(port));
}

Verdict VerdictOfTranslation(const Generation& generation,
                             const TranslationMatch& match,
                             const EvaluationInput& input) {
  // As a pass rule of the filter that keeps state.
  const CompiledRule& rule = *match.rule;
  Verdict verdict;
  verdict.rule = &rule;
  verdict.state.rule_slot = rule.slot;
  verdict.state.anchor_slot = match.anchor_slot;
  verdict.state.tag = match.tag;
  verdict.allow_options = rule.allow_options;
  verdict.keep_state =
      !input.packet.has(kFragment) && !input.packet.has(kIcmpError);
  verdict.log = rule.log;
  if (rule.log) {
    verdict.logged[verdict.logged_count++] = {.rule_slot = rule.slot,
                                              .anchor_slot = match.anchor_slot,
                                              .action = RuleAction::kPass,
                                              .log_slot = rule.slot};
    verdict.state.flags |= kStateLog;
    if (rule.log_all) verdict.state.flags |= kStateLogAll;
  }
  if (generation.policy->options.if_bound_states) {
    verdict.state.flags |= kStateIfBound;
  }
  if (!verdict.keep_state) {
    verdict.action = VerdictAction::kBlock;
    verdict.reason = DropReason::kTranslate;
  }
  return verdict;
}

TranslationMatch ApplyTranslationRules(const Generation& generation,
                                       const EvaluationInput& input,
                                       WorkerCounters& counters) {
  const bool out = input.direction == Direction::kOut;
  TranslationKind kind = out ? TranslationKind::kBinat : TranslationKind::kRdr;
  TranslationMatch match =
      FirstMatch(generation, input, kind, counters).Run();
  if (match.rule == nullptr) {
    EvaluationInput tagged = input;
    tagged.tag = match.tag;
    kind = out ? TranslationKind::kNat : TranslationKind::kBinat;
    match = FirstMatch(generation, tagged, kind, counters).Run();
  }
  if (match.rule == nullptr || IsNo(match.rule->action)) {
    match.rule = nullptr;
    return match;
  }
  Translation& translation = *input.translation;
  translation.packet = input.packet;
  translation.translated = true;
  translation.by_rule = true;
  // Of a fragment or an error without a state nothing can be chosen.
  if (input.packet.has(kFragment) || input.packet.has(kIcmpError)) {
    return match;
  }
  CompiledRule rule = *match.rule;
  if (kind == TranslationKind::kBinat) {
    (out ? rule.rdr : rule.nat) = kNoPool;
  }
  translation.failed = !translation.chooser->Choose(
      generation, rule, input.direction, &translation.packet);
  return match;
}

}  // namespace sluice
