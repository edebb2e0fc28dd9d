// From the rules for layer 2 of a policy to their compiled form. For
// compile.cc only.
#ifndef SLUICE_PFTABLE_COMPILE_COMPILE_ETHER_H_
#define SLUICE_PFTABLE_COMPILE_COMPILE_ETHER_H_

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "pftable/compile/compile_rule.h"
#include "pftable/engine/generation.h"
#include "pftable/engine/rule_slots.h"
#include "pftable/policy/policy.h"

namespace sluice {

// Takes the anchors in the order of CompiledPolicy::rulesets. Fills `ether`,
// its rulesets, calls and listing; slots are the caller's.
class EtherCompiler {
 public:
  EtherCompiler(const Policy& source, RuleCompiler* rules,
                CompiledPolicy* policy)
      : source_(source), rules_(*rules), policy_(*policy) {}

  // Compiles the anchor's rules; adds a request for each.
  absl::Status Add(const std::string& path, const Anchor& anchor,
                   std::vector<RuleSlotRequest>* requests);
  // After all anchors. `indexes` is the place of each. InvalidArgument for
  // loops and calls that nest too deep.
  absl::Status Link(
      const std::unordered_map<const Anchor*, uint32_t>& indexes);
  // Of the rule that the last error is about.
  SourcePlace place() const { return place_; }

 private:
  const Policy& source_;
  RuleCompiler& rules_;
  CompiledPolicy& policy_;
  SourcePlace place_;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_COMPILE_COMPILE_ETHER_H_
