// `set limit` for what a ruleset itself has. Internal to the language
// front-end.
#ifndef SLUICE_PFTABLE_LANGUAGE_CHECK_LIMITS_H_
#define SLUICE_PFTABLE_LANGUAGE_CHECK_LIMITS_H_

#include "pftable/language/policy_draft.h"
#include "pftable/language/token_reader.h"

namespace sluice {

// At the end of a ruleset: anchors, tables and their entries.
void CheckLimits(const PolicyDraft& draft, TokenReader& in);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_LANGUAGE_CHECK_LIMITS_H_
