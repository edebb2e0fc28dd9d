// Which address family a rule is of, before its lists are expanded. Internal
// to the language front-end.
#ifndef SLUICE_PFTABLE_LANGUAGE_DECIDE_FAMILY_H_
#define SLUICE_PFTABLE_LANGUAGE_DECIDE_FAMILY_H_

#include <vector>

#include "pftable/language/syntax.h"

namespace sluice {

// The family that the rule says, or that its addresses or those of its pools
// make it; kNone if its expanded rules may be of both.
Family DecideFamily(const RuleSyntax& syntax, Dialect dialect);

// Whether there are addresses of both families.
bool IsMixed(const std::vector<HostItem>& hosts);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_LANGUAGE_DECIDE_FAMILY_H_
