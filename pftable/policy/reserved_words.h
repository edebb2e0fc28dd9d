// The words of the pf language that cannot stand for a name without quotes.
#ifndef SLUICE_PFTABLE_POLICY_RESERVED_WORDS_H_
#define SLUICE_PFTABLE_POLICY_RESERVED_WORDS_H_

#include <string_view>
#include <vector>

#include "pftable/policy/policy.h"

namespace sluice {

// Of one dialect or the other, and of `dialect`.
bool IsReservedWord(std::string_view word);
bool IsReservedWord(std::string_view word, Dialect dialect);
const std::vector<std::string_view>& ReservedWords();

// Whether a word behind a tag without quotes is no more of it.
inline bool EndsTag(std::string_view word) {
  return IsReservedWord(word) || word == "source";  // limiter
}

}  // namespace sluice

#endif  // SLUICE_PFTABLE_POLICY_RESERVED_WORDS_H_
