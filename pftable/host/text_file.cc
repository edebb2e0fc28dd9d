#include "pftable/host/text_file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;

absl::Status Failed(int error) {
  const char* const text = std::strerror(error);
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return absl::NotFoundError(text);
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError(text);
    default:
      return absl::UnavailableError(text);
  }
}

// Until there is something to read, or the end.
absl::Status Await(int fd, milliseconds patience, const char* gave_up) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point until = Clock::now() + patience;
  for (;;) {
    const auto left = std::chrono::ceil<milliseconds>(until - Clock::now());
    if (left.count() <= 0) {
      return absl::DeadlineExceededError(
          absl::StrCat(gave_up, " for ", patience.count() / 1000, " s"));
    }
    pollfd input = {.fd = fd, .events = POLLIN, .revents = 0};
    const int ready = ::poll(&input, 1, static_cast<int>(left.count()));
    if (ready > 0) return absl::OkStatus();
    if (ready < 0 && errno != EINTR) return Failed(errno);
  }
}

bool IsPipe(int fd) {
  struct stat status;
  return ::fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode);
}

}  // namespace

absl::StatusOr<int> OpenInput(const std::string& path, milliseconds patience) {
  // Not to wait in open(2) for somebody who writes.
  const int fd =
      ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (fd < 0) return Failed(errno);
  if (IsPipe(fd)) {
    absl::Status status =
        Await(fd, patience, "it is a pipe, and nobody wrote to it");
    if (!status.ok()) {
      ::close(fd);
      return status;
    }
  }
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK);
  return fd;
}

absl::StatusOr<std::string> ReadInput(int fd, size_t max_bytes,
                                      milliseconds patience) {
  const bool pipe = IsPipe(fd);
  std::string text;
  std::array<char, 65536> chunk;
  for (;;) {
    if (pipe) {
      absl::Status status =
          Await(fd, patience, "it is a pipe, and nothing came by it");
      if (!status.ok()) return status;
    }
    const ssize_t count = ::read(fd, chunk.data(), chunk.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Failed(errno);
    if (count == 0) return text;
    if (static_cast<size_t>(count) > max_bytes - text.size()) {
      return absl::ResourceExhaustedError(
          absl::StrCat("more than ", max_bytes, " bytes"));
    }
    text.append(chunk.data(), static_cast<size_t>(count));
  }
}

absl::StatusOr<std::string> ReadTextFile(const std::string& path,
                                         size_t max_bytes,
                                         milliseconds patience) {
  const absl::StatusOr<int> fd = OpenInput(path, patience);
  if (!fd.ok()) return fd.status();
  absl::StatusOr<std::string> text = ReadInput(*fd, max_bytes, patience);
  ::close(*fd);
  return text;
}

}  // namespace sluice
