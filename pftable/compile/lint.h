// Rules that can do nothing. What is said is proved from the rules' conditions
// alone: a warning is never wrong, and what cannot be proved is not said.
#ifndef SLUICE_PFTABLE_COMPILE_LINT_H_
#define SLUICE_PFTABLE_COMPILE_LINT_H_

#include <cstddef>
#include <span>
#include <vector>

#include "pftable/engine/generation.h"
#include "pftable/policy/diagnostic.h"

namespace sluice {

// Whether every packet that the `inner` rule matches matches `outer`, too, of
// rules that are asked one after the other.
bool Covers(const CompiledRule& outer, const CompiledRule& inner);

// Warnings, with places and an example: rules behind a quick one that covers
// them, rules that a later one always overrules, and tables that no rule names
// and nobody can use. `limit`: how many. Takes time by the square of the rules
// of an anchor, up to some ten thousand; of more, by their candidates.
std::vector<Diagnostic> LintPolicy(const CompiledPolicy& policy,
                                   std::span<const InterfaceView> interfaces,
                                   size_t limit);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_COMPILE_LINT_H_
