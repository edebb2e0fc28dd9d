// The rules in force by their slots, which is what states and log records know
// of them.
#ifndef SLUICE_DATAPLANE_FILTERS_RULE_INDEX_H_
#define SLUICE_DATAPLANE_FILTERS_RULE_INDEX_H_

#include <cstdint>
#include <string>
#include <unordered_map>

#include "pftable/store/policy_store.h"

namespace sluice {

// Control lcore.
class RuleIndex {
 public:
  struct Entry {
    uint32_t number = 0;
    std::string anchor;
    uint8_t pflog = 0;
    uint32_t identifier = 0;  // `ridentifier`
  };

  // The store outlives it.
  explicit RuleIndex(const PolicyStore* store) : store_(*store) {}

  // Null if the rule in `slot` is not in force. Good until the next Find().
  const Entry* Find(uint32_t slot);

 private:
  const PolicyStore& store_;
  uint64_t generation_ = 0;
  std::unordered_map<uint32_t, Entry> entries_;  // of that generation
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FILTERS_RULE_INDEX_H_
