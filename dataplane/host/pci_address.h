// How PCI addresses are written.
#ifndef SLUICE_DATAPLANE_HOST_PCI_ADDRESS_H_
#define SLUICE_DATAPLANE_HOST_PCI_ADDRESS_H_

#include <string>
#include <string_view>

namespace sluice {

// "0000:03:00.0" or "03:00.0".
bool IsPciAddress(std::string_view text);
// Brings a device that begins with a PCI address of either form to the form
// that the kernel writes: with its domain, in lower case. Arguments behind a
// comma stay as they are.
void NormalisePciAddress(std::string* device);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_HOST_PCI_ADDRESS_H_
