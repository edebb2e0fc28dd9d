#include "dataplane/base/user_group.h"

#include <grp.h>

#include <vector>

#include "absl/strings/numbers.h"

namespace sluice {

std::optional<uint32_t> FindGroupId(const std::string& name) {
  uint32_t number;
  if (absl::SimpleAtoi(name, &number)) return number;
  std::vector<char> buffer(16384);
  group entry;
  group* found = nullptr;
  if (::getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(),
                   &found) != 0 ||
      found == nullptr) {
    return std::nullopt;
  }
  return found->gr_gid;
}

}  // namespace sluice
