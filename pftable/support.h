// What of the language the engine does not carry out.
#ifndef SLUICE_PFTABLE_SUPPORT_H_
#define SLUICE_PFTABLE_SUPPORT_H_

#include <string>
#include <vector>

#include "pftable/policy.h"

namespace sluice {

// "file:line:column: " for messages; "" for a place without a line.
std::string PlaceText(const Policy& policy, const SourcePlace& place);

// One message for each use of something that the parser knows and the engine
// does not: it is refused by name, because a rule that is not carried out in
// full is another rule. At most `limit` messages.
std::vector<std::string> FindUnsupported(const Policy& policy, size_t limit);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_SUPPORT_H_
