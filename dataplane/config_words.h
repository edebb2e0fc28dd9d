// The shapes of the words in a configuration.
#ifndef SLUICE_DATAPLANE_CONFIG_WORDS_H_
#define SLUICE_DATAPLANE_CONFIG_WORDS_H_

#include <string_view>

namespace sluice {

// A letter, digit, '_', '-' or '.'.
bool IsNameByte(char c);
// A letter, then name bytes, at most kMaxPortName of them.
bool IsPortName(std::string_view name);
// The same, but no digit at the end: pf tells groups from units by that.
bool IsGroupName(std::string_view name);
// Names with a meaning in rules, which no port may have: "any", "self", ...
bool IsReservedName(std::string_view name);
// The name of a virtual device: "net_af_packet0".
bool IsVdevName(std::string_view text);

// If sluiced sets this EAL argument itself: what to say instead. Else null.
const char* InsteadOfEalArgument(std::string_view argument);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONFIG_WORDS_H_
