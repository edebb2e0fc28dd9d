// The shapes of the words in a configuration.
#ifndef SLUICE_DATAPLANE_CONFIG_WORDS_H_
#define SLUICE_DATAPLANE_CONFIG_WORDS_H_

#include <string>
#include <string_view>

namespace sluice {

// A letter, digit, '_', '-' or '.'.
bool IsNameByte(char c);
// A letter, then name bytes, at most kMaxPortName of them.
bool IsPortName(std::string_view name);
// The same, but no digit at the end: pf tells groups from units by that.
bool IsGroupName(std::string_view name);
// "0000:03:00.0" or "03:00.0".
bool IsPciAddress(std::string_view text);
// Brings a device that begins with a PCI address of either form to the form
// that the kernel writes: with its domain, in lower case. Arguments behind a
// comma stay as they are.
void NormalisePciAddress(std::string* device);
// The name of a virtual device: "net_af_packet0".
bool IsVdevName(std::string_view text);

// If sluiced sets this EAL argument itself: what to say instead. Else null.
const char* InsteadOfEalArgument(std::string_view argument);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONFIG_WORDS_H_
