// Words of a ruleset: the numbers in them, and what a wrong one may have been.
// Internal to the language front-end.
#ifndef SLUICE_PFTABLE_LANGUAGE_WORDS_H_
#define SLUICE_PFTABLE_LANGUAGE_WORDS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

// Decimal, 0x hexadecimal or 0 octal, as strtoul with base 0 reads them,
// nothing after.
std::optional<uint64_t> ParseUnsigned(std::string_view text);
// The known word that is nearest to `word`, or empty: for "did you mean".
std::string NearestWord(std::string_view word,
                        const std::vector<std::string_view>& known);
// "did you mean 'x'?" with the nearest, or nothing.
std::string DidYouMean(std::string_view word,
                       const std::vector<std::string_view>& known);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_LANGUAGE_WORDS_H_
