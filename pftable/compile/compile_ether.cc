#include "pftable/compile/compile_ether.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "pftable/compile/call_checker.h"
#include "pftable/policy/stable_hash.h"
#include "pftable/print/printer.h"

namespace sluice {
namespace {

MacCondition CompileMac(const MacMatch& match) {
  if (!match.is_set) return MacCondition();
  const uint64_t mask = MacNumber(match.mask);
  return {.value = MacNumber(match.address) & mask,
          .mask = mask,
          .negated = match.negated};
}

Family FamilyOf(const AddressMatch& match) {
  return match.kind == AddressKind::kPrefix ? match.address.family
                                            : Family::kNone;
}

}  // namespace

absl::Status RuleCompiler::Compile(const EtherRule& rule,
                                   const std::string& anchor,
                                   CompiledEtherRule* compiled) {
  CompiledEtherRule& c = *compiled;
  c.on = CompileInterface(rule.on);
  c.direction = rule.direction;
  c.type = rule.ether_type;
  c.source = CompileMac(rule.source);
  c.destination = CompileMac(rule.destination);
  c.l3_source_family = FamilyOf(rule.l3_source);
  c.l3_destination_family = FamilyOf(rule.l3_destination);
  for (const auto& [match, condition] :
       {std::pair(&rule.l3_source, &c.l3_source),
        std::pair(&rule.l3_destination, &c.l3_destination)}) {
    absl::Status status = CompileAddress(*match, anchor, condition);
    if (!status.ok()) return status;
  }
  const absl::StatusOr<uint16_t> tagged = TagOf(rule.tagged);
  if (!tagged.ok()) return tagged.status();
  c.tagged = *tagged;
  c.tagged_negated = rule.tagged_negated;
  const absl::StatusOr<uint16_t> tag = TagOf(rule.tag);
  if (!tag.ok()) return tag.status();
  c.tag = *tag;
  c.block = rule.block;
  c.quick = rule.quick;
  c.bridges = rule.bridge_to.IsSet();
  c.bridge_to = CompileInterface(rule.bridge_to).name.id;
  c.is_call = !rule.anchor_call.empty();
  return absl::OkStatus();
}

absl::Status EtherCompiler::Add(const std::string& path, const Anchor& anchor,
                                std::vector<RuleSlotRequest>* requests) {
  CompiledRuleset ruleset;
  ruleset.begin = static_cast<uint32_t>(policy_.ether.size());
  std::unordered_map<std::string, uint32_t> occurrences;
  for (const EtherRule& rule : anchor.rules.ether) {
    place_ = rule.place;
    absl::Status status =
        rules_.Compile(rule, path, &policy_.ether.emplace_back());
    if (!status.ok()) return status;
    RuleSlotRequest& request = requests->emplace_back();
    request.anchor = path;
    request.identity = RuleIdentity(rule, path);
    request.occurrence = occurrences[request.identity]++;
    request.labels = rule.labels;
    policy_.hash = CombineHash(policy_.hash, HashText(request.identity));
    policy_.listed_ether.push_back(
        {.anchor = path,
         .rule = &rule,
         .number =
             static_cast<uint32_t>(policy_.ether.size() - 1 - ruleset.begin)});
  }
  ruleset.end = static_cast<uint32_t>(policy_.ether.size());
  policy_.ether_rulesets.push_back(ruleset);
  return absl::OkStatus();
}

absl::Status EtherCompiler::Link(
    const std::unordered_map<const Anchor*, uint32_t>& indexes) {
  if (policy_.ether.empty()) {
    policy_.ether_rulesets.clear();
    return absl::OkStatus();
  }
  for (size_t i = 0; i < policy_.ether.size(); ++i) {
    const EtherRule& rule = *policy_.listed_ether[i].rule;
    CompiledEtherRule& compiled = policy_.ether[i];
    if (!compiled.is_call) continue;
    compiled.call_begin = static_cast<uint32_t>(policy_.ether_calls.size());
    const Anchor* callee = source_.main.Find(rule.anchor_path);
    if (callee != nullptr && !rule.anchor_wildcard) {
      policy_.ether_calls.push_back(indexes.at(callee));
    } else if (callee != nullptr) {
      for (const Anchor& child : callee->children) {
        policy_.ether_calls.push_back(indexes.at(&child));
      }
    }
    compiled.call_end = static_cast<uint32_t>(policy_.ether_calls.size());
  }
  CallChecker checker(policy_.ether_rulesets, policy_.ether,
                      policy_.ether_calls);
  for (uint32_t i = 0; i < policy_.ether_rulesets.size(); ++i) {
    uint32_t rule = 0;
    if (absl::Status s = checker.Check(i, &rule); !s.ok()) {
      place_ = policy_.listed_ether[rule].rule->place;
      return s;
    }
  }
  return absl::OkStatus();
}

}  // namespace sluice
