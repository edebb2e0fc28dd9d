// Groups of the system by their names.
#ifndef SLUICE_DATAPLANE_BASE_USER_GROUP_H_
#define SLUICE_DATAPLANE_BASE_USER_GROUP_H_

#include <cstdint>
#include <optional>
#include <string>

namespace sluice {

// Of a name, or of a number in decimal, which need not have a name. Nothing:
// this system has no such group.
std::optional<uint32_t> FindGroupId(const std::string& name);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_BASE_USER_GROUP_H_
