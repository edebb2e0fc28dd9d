// Words of a configuration that EAL would take, too.
#ifndef SLUICE_DATAPLANE_CONFIG_CONFIG_WORDS_H_
#define SLUICE_DATAPLANE_CONFIG_CONFIG_WORDS_H_

#include <string_view>

namespace sluice {

// If sluiced sets this EAL argument itself: what to say instead. Else null.
const char* InsteadOfEalArgument(std::string_view argument);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONFIG_CONFIG_WORDS_H_
