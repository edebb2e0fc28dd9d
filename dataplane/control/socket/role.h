// What a client of the control socket may do. Each role may do what those
// before it may.
#ifndef SLUICE_DATAPLANE_CONTROL_SOCKET_ROLE_H_
#define SLUICE_DATAPLANE_CONTROL_SOCKET_ROLE_H_

#include <cstdint>
#include <string_view>

namespace sluice {

enum class Role : uint8_t {
  kNone,     // may not connect
  kRead,     // is shown things
  kOperate,  // tables, kills, commits of named filters
  kAdmin,    // everything
};

constexpr std::string_view Name(Role role) {
  switch (role) {
    case Role::kNone:
      return "none";
    case Role::kRead:
      return "read";
    case Role::kOperate:
      return "operate";
    case Role::kAdmin:
      return "admin";
  }
  return "";
}

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONTROL_SOCKET_ROLE_H_
