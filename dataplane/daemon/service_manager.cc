#include "dataplane/daemon/service_manager.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

// Milliseconds between two extensions.
constexpr uint64_t kExtensionInterval = 2'000;

std::string StatusLine(std::string_view status) {
  std::string line = "STATUS=";
  for (const char c : status) {
    line += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  }
  return line;
}

}  // namespace

ServiceManager ServiceManager::FromEnvironment() {
  ServiceManager manager;
  const char* const path = std::getenv("NOTIFY_SOCKET");
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const size_t length = path == nullptr ? 0 : std::strlen(path);
  // A path, or a name in the abstract space.
  if (length < 2 || length >= sizeof address.sun_path ||
      (path[0] != '/' && path[0] != '@')) {
    return manager;
  }
  std::memcpy(address.sun_path, path, length);
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
  UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket.valid() ||
      ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address),
                static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) +
                                       length)) != 0) {
    return manager;
  }
  manager.socket_ = std::move(socket);
  const char* const watched = std::getenv("WATCHDOG_PID");
  uint64_t process = 0;
  uint64_t microseconds = 0;
  const char* const limit = std::getenv("WATCHDOG_USEC");
  const bool ours = watched == nullptr ||
                    (absl::SimpleAtoi(watched, &process) &&
                     process == static_cast<uint64_t>(getpid()));
  if (ours && limit != nullptr && absl::SimpleAtoi(limit, &microseconds) &&
      microseconds > 0) {
    manager.interval_ = std::max<uint64_t>(1, microseconds / 2000);
  }
  return manager;
}

void ServiceManager::Send(const std::string& text) {
  if (!socket_.valid()) return;
  // Not to be waited for: a daemon must not hang on its supervisor.
  (void)!::send(socket_.get(), text.data(), text.size(),
                MSG_NOSIGNAL | MSG_DONTWAIT);
}

void ServiceManager::Ready(std::string_view status) {
  Send(absl::StrCat("READY=1\n", StatusLine(status)));
}

void ServiceManager::Reloading() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  Send(absl::StrCat("RELOADING=1\nMONOTONIC_USEC=",
                    uint64_t{1000000} * static_cast<uint64_t>(now.tv_sec) +
                        static_cast<uint64_t>(now.tv_nsec) / 1000));
}

void ServiceManager::Stopping() {
  Send("STOPPING=1\nSTATUS=stopping");
  next_extension_ = 0;
}

void ServiceManager::Extend(uint64_t now) {
  if (now < next_extension_) return;
  next_extension_ = now + kExtensionInterval;
  Send(absl::StrCat("EXTEND_TIMEOUT_USEC=", kExtension * 1000));
}

void ServiceManager::Beat(uint64_t now) {
  if (interval_ == 0 || now < next_beat_) return;
  next_beat_ = now + interval_;
  Send("WATCHDOG=1");
}

}  // namespace sluice
