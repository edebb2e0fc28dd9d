#include "pftable/engine/ether.h"

#include <rte_mbuf.h>

#include "packet/headers.h"
#include "pftable/engine/address_match.h"

namespace sluice {
namespace {

class EtherScan {
 public:
  EtherScan(const Generation& generation, const EtherInput& input,
            WorkerCounters& counters)
      : generation_(generation),
        policy_(*generation.policy),
        input_(input),
        counters_(counters),
        tag_(input.tag) {}

  EtherVerdict Run() {
    RunRuleset(policy_.ether_rulesets[0]);
    EtherVerdict verdict{.pass = true, .tag = input_.tag};
    if (winner_ == nullptr) return verdict;
    RuleCounters& rule = counters_.rule(winner_->slot);
    const size_t way = static_cast<size_t>(input_.direction);
    rule.packets[way].Add(1);
    rule.bytes[way].Add(input_.bytes);
    verdict.pass = !winner_->block;
    if (verdict.pass) {
      verdict.tag = tag_;
      verdict.bridges = winner_->bridges;
      verdict.bridge_to = winner_->bridge_to;
    }
    return verdict;
  }

 private:
  // True: it is over. The compiler bounds the depth.
  bool RunRuleset(const CompiledRuleset& ruleset) {
    for (uint32_t i = ruleset.begin; i < ruleset.end; ++i) {
      const CompiledEtherRule& rule = policy_.ether[i];
      counters_.evaluations(rule.slot).Add(1);
      if (!Matches(rule)) continue;
      if (rule.tag != kNoTag) tag_ = rule.tag;
      if (rule.is_call) {
        const uint32_t before = decisions_;
        for (uint32_t c = rule.call_begin; c < rule.call_end; ++c) {
          if (RunRuleset(policy_.ether_rulesets[policy_.ether_calls[c]])) {
            return true;
          }
        }
        if (rule.quick && decisions_ != before) return true;
        continue;
      }
      winner_ = &rule;
      ++decisions_;
      if (rule.quick) return true;
    }
    return false;
  }

  bool Matches(const CompiledEtherRule& rule) {
    if (!rule.on.Matches(input_.interface)) return false;
    if (rule.direction != Direction::kBoth &&
        rule.direction != input_.direction) {
      return false;
    }
    if (rule.type != 0 && rule.type != input_.outer_type &&
        rule.type != input_.inner_type) {
      return false;
    }
    if (!rule.source.Matches(input_.source) ||
        !rule.destination.Matches(input_.destination)) {
      return false;
    }
    // As in pf, what a frame does not have cannot be wrong.
    if (input_.packet != nullptr) {
      const PacketInfo& packet = *input_.packet;
      if (!AddressOf(rule.l3_source, rule.l3_source_family, packet.source) ||
          !AddressOf(rule.l3_destination, rule.l3_destination_family,
                     packet.destination)) {
        return false;
      }
    }
    return rule.tagged == kNoTag ||
           (rule.tagged == tag_) != rule.tagged_negated;
  }

  bool AddressOf(const AddressCondition& condition, Family family,
                 const std::array<uint8_t, 16>& address) {
    const Family own = input_.packet->family;
    if (family != Family::kNone && family != own) return condition.negated;
    return AddressMatches(generation_, condition, own, address, nullptr,
                          counters_);
  }

  const Generation& generation_;
  const CompiledPolicy& policy_;
  const EtherInput& input_;
  WorkerCounters& counters_;
  uint16_t tag_;
  const CompiledEtherRule* winner_ = nullptr;
  uint32_t decisions_ = 0;
};

}  // namespace

EtherVerdict EvaluateEther(const Generation& generation,
                           const EtherInput& input, WorkerCounters& counters) {
  return EtherScan(generation, input, counters).Run();
}

bool ReadFrame(const rte_mbuf& frame, const PacketInfo& info,
               EtherInput* input) {
  wire::Ethernet copy;
  const void* at = rte_pktmbuf_read(&frame, 0, sizeof copy, &copy);
  if (at == nullptr) return false;
  if (at != &copy) std::memcpy(&copy, at, sizeof copy);
  input->source = MacNumber(copy.source);
  input->destination = MacNumber(copy.destination);
  input->outer_type = copy.type.host();
  input->inner_type = input->outer_type;
  input->bytes = frame.pkt_len;
  if (info.has(kVlanTagged)) {
    wire::Vlan tag;
    const uint32_t last = info.l3_offset - static_cast<uint32_t>(sizeof tag);
    const void* vlan = rte_pktmbuf_read(&frame, last, sizeof tag, &tag);
    if (vlan != nullptr) {
      if (vlan != &tag) std::memcpy(&tag, vlan, sizeof tag);
      input->inner_type = tag.type.host();
    }
  }
  if (info.kind == Kind::kIp) input->packet = &info;
  return true;
}

}  // namespace sluice
