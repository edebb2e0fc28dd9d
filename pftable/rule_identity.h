// What makes a rule the same rule.
#ifndef SLUICE_PFTABLE_RULE_IDENTITY_H_
#define SLUICE_PFTABLE_RULE_IDENTITY_H_

#include <string>

#include "pftable/rule.h"

namespace sluice {

// All that a rule says, its place in the source aside, as bytes: equal for
// equal rules and different for others, the same in every process. Unlike the
// printed form it does not depend on dialect, names of services or spelling.
std::string RuleIdentity(const Rule& rule);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_RULE_IDENTITY_H_
