#include "dataplane/exporter/listen.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/text.h"
#include "dataplane/base/user_group.h"
#include "packet/address.h"

namespace sluice {
namespace {

constexpr int kBacklog = 16;

// What the sections have in common.
struct Place {
  const char* section;
  const std::string& listen;
  const Address& address;
  uint16_t port;
  uint16_t mode;
  const std::string& group;
};

absl::Status FailedAt(const Place& place, std::string_view what) {
  return SystemError(absl::StrCat(place.section, " listen: ", View(what), " ",
                                  place.listen),
                     errno);
}

// A file that a dead process has left goes; what somebody serves, or is no
// socket, stays.
absl::Status MakeRoom(const Place& place, const sockaddr_un& address) {
  struct stat status;
  if (::lstat(place.listen.c_str(), &status) != 0) return absl::OkStatus();
  if (!S_ISSOCK(status.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat(place.section, " listen: ", place.listen,
                     " is there and is no socket; remove it, or change the "
                     "path"));
  }
  const UniqueFd probe(
      ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address),
                sizeof address) == 0 ||
      errno == EAGAIN) {
    return absl::AlreadyExistsError(
        absl::StrCat(place.section, " listen: ", place.listen,
                     " is served by another process; change the path"));
  }
  if (::unlink(place.listen.c_str()) != 0 && errno != ENOENT) {
    return FailedAt(place, "cannot remove the stale");
  }
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> ListenAtPath(const Place& place) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (place.listen.size() >= sizeof address.sun_path) {
    return absl::InvalidArgumentError(
        absl::StrCat(place.section, " listen: the path is too long"));
  }
  std::memcpy(address.sun_path, place.listen.data(), place.listen.size());
  if (absl::Status made = MakeRoom(place, address); !made.ok()) return made;
  UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!listener.valid() ||
      ::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address),
             sizeof address) != 0) {
    return FailedAt(place, "cannot bind");
  }
  // Nobody can connect before listen().
  if (!place.group.empty()) {
    const std::optional<uint32_t> group = FindGroupId(place.group);
    if (!group) {
      return absl::NotFoundError(absl::StrCat(
          place.section, " group: no group \"", place.group,
          "\" on this system"));
    }
    if (::chown(place.listen.c_str(), static_cast<uid_t>(-1), *group) != 0) {
      return FailedAt(place, "cannot give to the group");
    }
  }
  if (::chmod(place.listen.c_str(), place.mode) != 0) {
    return FailedAt(place, "cannot set the mode of");
  }
  if (::listen(listener.get(), kBacklog) != 0) {
    return FailedAt(place, "cannot listen at");
  }
  return listener;
}

absl::StatusOr<UniqueFd> ListenAtPort(const Place& place) {
  const bool v6 = place.address.family == Family::kIpv6;
  sockaddr_storage storage{};
  socklen_t size = 0;
  if (v6) {
    auto* address = reinterpret_cast<sockaddr_in6*>(&storage);
    address->sin6_family = AF_INET6;
    address->sin6_port = htons(place.port);
    std::memcpy(&address->sin6_addr, place.address.bytes.data(), 16);
    size = sizeof *address;
  } else {
    auto* address = reinterpret_cast<sockaddr_in*>(&storage);
    address->sin_family = AF_INET;
    address->sin_port = htons(place.port);
    std::memcpy(&address->sin_addr, place.address.bytes.data(), 4);
    size = sizeof *address;
  }
  UniqueFd listener(
      ::socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  if (!listener.valid()) return FailedAt(place, "no socket for");
  ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (v6) ::setsockopt(listener.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&storage),
             size) != 0) {
    return FailedAt(place, "cannot bind");
  }
  if (::listen(listener.get(), kBacklog) != 0) {
    return FailedAt(place, "cannot listen at");
  }
  return listener;
}

absl::StatusOr<UniqueFd> ListenAt(const Place& place) {
  return place.listen.starts_with('/') ? ListenAtPath(place)
                                        : ListenAtPort(place);
}

template <typename Config>
Place PlaceOf(const char* section, const Config& config) {
  return {.section = section,
          .listen = config.listen,
          .address = config.address,
          .port = config.port,
          .mode = config.mode,
          .group = config.group};
}

}  // namespace

absl::StatusOr<UniqueFd> ListenForMetrics(const MetricsConfig& config) {
  return ListenAt(PlaceOf("[metrics]", config));
}

absl::StatusOr<UniqueFd> ListenForWeb(const WebConfig& config) {
  return ListenAt(PlaceOf("[web]", config));
}

}  // namespace sluice
