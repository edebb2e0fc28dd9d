// What the daemon says of an order, in the words of who gave it: it names
// parameters of the control protocol, which nobody who typed a command has
// seen.
#ifndef SLUICE_DATAPLANE_SLUICECTL_WORDING_H_
#define SLUICE_DATAPLANE_SLUICECTL_WORDING_H_

#include <string>
#include <string_view>

namespace sluice {

// `method` is what was asked for, "filter.create". Where the message names a
// parameter, the result names the option that gave it.
std::string InWordsOfTheTool(std::string_view method,
                             std::string_view message);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_SLUICECTL_WORDING_H_
