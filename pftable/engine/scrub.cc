#include "pftable/engine/scrub.h"

#include "pftable/engine/scan.h"

namespace sluice {
namespace {

class ScrubScan {
 public:
  ScrubScan(const Generation& generation, const EvaluationInput& input,
            WorkerCounters& counters)
      : policy_(*generation.policy),
        counters_(counters),
        scan_(generation, input, counters, unused_),
        wants_tcp_(input.packet.proto == protocol::kTcp &&
                   !input.packet.has(kFragment)) {}

  // True: no later rule matters.
  bool Run(uint32_t ruleset) {
    const CompiledRuleset& rules = policy_.scrub_rulesets[ruleset];
    for (uint32_t i = rules.begin; i < rules.end; ++i) {
      const CompiledRule& rule = policy_.rules[i];
      counters_.evaluations(rule.slot).Add(1);
      if (!scan_.NetworkMatches(rule)) continue;
      if (rule.is_call) {
        for (uint32_t c = rule.call_begin; c < rule.call_end; ++c) {
          if (Run(policy_.calls[c])) return true;
        }
        continue;
      }
      if (ip_ == nullptr) ip_ = &rule;
      if (wants_tcp_ && tcp_ == nullptr && scan_.PortsMatch(rule)) {
        tcp_ = &rule;
      }
      if (!wants_tcp_ || tcp_ != nullptr) return true;
    }
    return false;
  }

  const CompiledRule* ip() const { return ip_; }
  const CompiledRule* tcp() const { return tcp_; }

 private:
  const CompiledPolicy& policy_;
  WorkerCounters& counters_;
  Verdict unused_;
  Scan scan_;
  const bool wants_tcp_;
  const CompiledRule* ip_ = nullptr;
  const CompiledRule* tcp_ = nullptr;
};

}  // namespace

ScrubVerdict EvaluateScrub(const Generation& generation,
                           const EvaluationInput& input, bool count,
                           WorkerCounters& counters) {
  ScrubScan scan(generation, input, counters);
  scan.Run(0);
  ScrubVerdict verdict;
  if (scan.ip() == nullptr) return verdict;
  if (count) {
    RuleCounters& rule = counters.rule(scan.ip()->slot);
    const auto way = static_cast<size_t>(input.direction);
    rule.packets[way].Add(1);
    rule.bytes[way].Add(input.packet.ip_length);
  }
  if (scan.ip()->action == RuleAction::kScrub) {
    verdict.ip = scan.ip();
    verdict.actions = scan.ip()->actions;
  }
  constexpr uint8_t kOfTcp = PacketActions::kScrubTcp;
  verdict.actions.max_mss = 0;
  verdict.actions.flags &= static_cast<uint8_t>(~kOfTcp);
  if (scan.tcp() != nullptr && scan.tcp()->action == RuleAction::kScrub) {
    verdict.actions.max_mss = scan.tcp()->actions.max_mss;
    verdict.actions.flags |= scan.tcp()->actions.flags & kOfTcp;
  }
  return verdict;
}

}  // namespace sluice
