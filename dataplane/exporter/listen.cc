// The listening end of the metrics.
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
#include "dataplane/exporter/exporter.h"
#include "packet/address.h"

namespace sluice {
namespace {

constexpr int kBacklog = 16;

absl::Status FailedAt(const MetricsConfig& config, std::string_view what) {
  return SystemError(
      absl::StrCat("[metrics] listen: ", View(what), " ", config.listen), errno);
}

// A file that a dead process has left goes; what somebody serves, or is no
// socket, stays.
absl::Status MakeRoom(const MetricsConfig& config, const sockaddr_un& address) {
  struct stat status;
  if (::lstat(config.listen.c_str(), &status) != 0) return absl::OkStatus();
  if (!S_ISSOCK(status.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat("[metrics] listen: ", config.listen,
                     " is there and is no socket; remove it, or change the "
                     "path"));
  }
  const UniqueFd probe(
      ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address),
                sizeof address) == 0 ||
      errno == EAGAIN) {
    return absl::AlreadyExistsError(
        absl::StrCat("[metrics] listen: ", config.listen,
                     " is served by another process; change the path"));
  }
  if (::unlink(config.listen.c_str()) != 0 && errno != ENOENT) {
    return FailedAt(config, "cannot remove the stale");
  }
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> ListenAtPath(const MetricsConfig& config) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (config.listen.size() >= sizeof address.sun_path) {
    return absl::InvalidArgumentError("[metrics] listen: the path is too long");
  }
  std::memcpy(address.sun_path, config.listen.data(), config.listen.size());
  if (absl::Status made = MakeRoom(config, address); !made.ok()) return made;
  UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!listener.valid() ||
      ::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address),
             sizeof address) != 0) {
    return FailedAt(config, "cannot bind");
  }
  // Nobody can connect before listen().
  if (!config.group.empty()) {
    const std::optional<uint32_t> group = FindGroupId(config.group);
    if (!group) {
      return absl::NotFoundError(absl::StrCat(
          "[metrics] group: no group \"", config.group, "\" on this system"));
    }
    if (::chown(config.listen.c_str(), static_cast<uid_t>(-1), *group) != 0) {
      return FailedAt(config, "cannot give to the group");
    }
  }
  if (::chmod(config.listen.c_str(), config.mode) != 0) {
    return FailedAt(config, "cannot set the mode of");
  }
  if (::listen(listener.get(), kBacklog) != 0) {
    return FailedAt(config, "cannot listen at");
  }
  return listener;
}

absl::StatusOr<UniqueFd> ListenAtPort(const MetricsConfig& config) {
  const bool v6 = config.address.family == Family::kIpv6;
  sockaddr_storage storage{};
  socklen_t size = 0;
  if (v6) {
    auto* address = reinterpret_cast<sockaddr_in6*>(&storage);
    address->sin6_family = AF_INET6;
    address->sin6_port = htons(config.port);
    std::memcpy(&address->sin6_addr, config.address.bytes.data(), 16);
    size = sizeof *address;
  } else {
    auto* address = reinterpret_cast<sockaddr_in*>(&storage);
    address->sin_family = AF_INET;
    address->sin_port = htons(config.port);
    std::memcpy(&address->sin_addr, config.address.bytes.data(), 4);
    size = sizeof *address;
  }
  UniqueFd listener(
      ::socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  if (!listener.valid()) return FailedAt(config, "no socket for");
  ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (v6) ::setsockopt(listener.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&storage),
             size) != 0) {
    return FailedAt(config, "cannot bind");
  }
  if (::listen(listener.get(), kBacklog) != 0) {
    return FailedAt(config, "cannot listen at");
  }
  return listener;
}

}  // namespace

absl::StatusOr<UniqueFd> ListenForMetrics(const MetricsConfig& config) {
  return config.is_unix() ? ListenAtPath(config) : ListenAtPort(config);
}

}  // namespace sluice
