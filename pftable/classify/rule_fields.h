// Which fields of a rule the classifier has been told about. A rule with any
// other is verified as the interpreter does it, and where even that would not
// be enough its policy is walked: a new field is slow until it stands here,
// never wrong. Control side.
#ifndef SLUICE_PFTABLE_CLASSIFY_RULE_FIELDS_H_
#define SLUICE_PFTABLE_CLASSIFY_RULE_FIELDS_H_

#include "pftable/engine/compiled_rule.h"

namespace sluice::classify {

struct RuleFields {
  // Conditions that no dimension has: that the packet is of the rule's classes
  // does not say that the rule matches.
  bool verified = false;
  // Conditions that count when they are asked, or that end the evaluation: the
  // rule has to be met where the interpreter meets it, and nowhere else.
  bool counted = false;
  // A field that is in neither list of rule_fields.cc. It may be a condition,
  // and it may be something that the rule does where evaluation meets it.
  bool unknown = false;
};

RuleFields FieldsOf(const CompiledRule& rule);

}  // namespace sluice::classify

#endif  // SLUICE_PFTABLE_CLASSIFY_RULE_FIELDS_H_
