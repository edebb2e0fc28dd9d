#include "dataplane/filters/rule_index.h"

#include <memory>

namespace sluice {

const RuleIndex::Entry* RuleIndex::Find(uint32_t slot) {
  const std::shared_ptr<const Generation> generation = store_.generation();
  if (generation_ != generation->number) {
    generation_ = generation->number;
    entries_.clear();
    for (const ListedRule& rule : generation->policy->listed) {
      entries_[rule.slot] = {.number = rule.number,
                             .anchor = rule.anchor,
                             .pflog = rule.rule->log.pflog,
                             .identifier = rule.rule->ridentifier};
    }
  }
  const auto found = entries_.find(slot);
  return found == entries_.end() ? nullptr : &found->second;
}

}  // namespace sluice
