#include "dataplane/base/descriptor_io.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <ctime>

#include "absl/strings/str_cat.h"
#include "dataplane/base/fault_point.h"
#include "dataplane/base/text.h"

namespace sluice {
namespace {

constexpr size_t kPiece = 256 * 1024;
// How often a wait asks its guard, in milliseconds.
constexpr int kAskInterval = 20;

// What a descriptor is decides how it is read without sleeping in it.
enum class Kind : uint8_t { kFile, kPipe, kSocket, kOther };

absl::StatusOr<Kind> KindOf(int fd, struct stat* status) {
  if (::fstat(fd, status) != 0) return SystemError("descriptor", errno);
  if (S_ISREG(status->st_mode)) return Kind::kFile;
  if (S_ISFIFO(status->st_mode)) return Kind::kPipe;
  if (S_ISSOCK(status->st_mode)) return Kind::kSocket;
  return Kind::kOther;
}

absl::Status Ask(const IoGuard& guard, uint64_t moved) {
  return guard == nullptr ? absl::OkStatus() : guard(moved);
}

absl::Status TooLong(size_t max_bytes) {
  return absl::ResourceExhaustedError(absl::StrCat(
      "it is longer than the ", max_bytes, " bytes that are read"));
}

// One wait; an error of the system alone. Whoever calls asks the guard.
absl::StatusOr<bool> IsReady(int fd, short events) {
  pollfd poll = {.fd = fd, .events = events, .revents = 0};
  const int n = ::poll(&poll, 1, kAskInterval);
  if (n < 0 && errno != EINTR) return SystemError("poll", errno);
  return n > 0;
}

// Where poll() says that there is something and there is not: as long.
void Rest() {
  const timespec time = {.tv_sec = 0, .tv_nsec = kAskInterval * 1'000'000L};
  ::nanosleep(&time, nullptr);
}

// By the kernel, or by what a service may call of it.
bool IsNotOffered(int error) {
  return error == EOPNOTSUPP || error == ENOSYS || error == EPERM;
}

// Does not sleep in a pipe even if somebody else has taken what was there,
// where the kernel can do so (6.4 and later; a pipe that was polled first
// sleeps on older ones only then).
ssize_t ReadSome(Kind kind, int fd, uint8_t* to, size_t room) {
  if (kind == Kind::kSocket) return ::recv(fd, to, room, MSG_DONTWAIT);
  if (kind == Kind::kPipe) {
    const iovec piece = {.iov_base = to, .iov_len = room};
    const ssize_t n = ::preadv2(fd, &piece, 1, -1, RWF_NOWAIT);
    if (n >= 0 || !IsNotOffered(errno)) return n;
  }
  return ::read(fd, to, room);
}

ssize_t WriteSome(Kind kind, int fd, std::span<const uint8_t> bytes) {
  const size_t length = std::min(bytes.size(), kPiece);
  if (kind == Kind::kSocket) {
    return ::send(fd, bytes.data(), length, MSG_DONTWAIT | MSG_NOSIGNAL);
  }
  if (kind == Kind::kPipe) {
    const iovec piece = {.iov_base = const_cast<uint8_t*>(bytes.data()),
                         .iov_len = length};
    const ssize_t n = ::pwritev2(fd, &piece, 1, -1, RWF_NOWAIT);
    if (n >= 0 || !IsNotOffered(errno)) return n;
    // A pipe that has room takes so much without waiting.
    return ::write(fd, bytes.data(), std::min<size_t>(length, PIPE_BUF));
  }
  return ::write(fd, bytes.data(), length);
}

}  // namespace

absl::StatusOr<std::vector<uint8_t>> ReadDescriptor(int fd, size_t max_bytes,
                                                    const IoGuard& guard) {
  struct stat status;
  const absl::StatusOr<Kind> kind = KindOf(fd, &status);
  if (!kind.ok()) return kind.status();
  if (*kind == Kind::kOther) {
    return absl::InvalidArgumentError(
        "the descriptor is no file and no pipe");
  }
  std::vector<uint8_t> bytes;
  if (*kind == Kind::kFile) {
    const off_t offset = std::max<off_t>(::lseek(fd, 0, SEEK_CUR), 0);
    const auto size = static_cast<uint64_t>(
        std::max<off_t>(status.st_size - offset, 0));
    if (size > max_bytes) return TooLong(max_bytes);
    // And one piece, in which its end is found.
    bytes.reserve(size + kPiece);
  }
  for (;;) {
    if (absl::Status asked = Ask(guard, bytes.size()); !asked.ok()) {
      return asked;
    }
    if (*kind != Kind::kFile) {
      const absl::StatusOr<bool> ready = IsReady(fd, POLLIN);
      if (!ready.ok()) return ready.status();
      if (!*ready) continue;
    }
    const size_t at = bytes.size();
    // One more than is allowed, to see that there is more.
    const size_t room =
        max_bytes - at < kPiece ? max_bytes - at + 1 : kPiece;
    bytes.resize(at + room);
    const ssize_t n = ReadSome(*kind, fd, bytes.data() + at, room);
    const int error = errno;
    bytes.resize(at + static_cast<size_t>(std::max<ssize_t>(n, 0)));
    if (n == 0) return bytes;
    if (n < 0 && error == EAGAIN) {
      // A file that has nothing now and is not at its end, as some in /proc;
      // or somebody else has read from the pipe, too.
      Rest();
    } else if (n < 0 && error != EINTR) {
      return SystemError("descriptor", error);
    }
    if (bytes.size() > max_bytes) return TooLong(max_bytes);
  }
}

absl::Status WriteDescriptor(int fd, std::span<const uint8_t> bytes,
                             const IoGuard& guard, uint64_t* moved) {
  struct stat status;
  const absl::StatusOr<Kind> kind = KindOf(fd, &status);
  if (!kind.ok()) return kind.status();
  while (!bytes.empty()) {
    if (absl::Status asked = Ask(guard, *moved); !asked.ok()) return asked;
    if (*kind != Kind::kFile) {
      const absl::StatusOr<bool> ready = IsReady(fd, POLLOUT);
      if (!ready.ok()) return ready.status();
      if (!*ready) continue;
    }
    const ssize_t n = WriteSome(*kind, fd, bytes);
    if (n < 0) {
      if (errno == EAGAIN) {
        Rest();
      } else if (errno != EINTR) {
        return SystemError("write", errno);
      }
      continue;
    }
    bytes = bytes.subspan(static_cast<size_t>(n));
    *moved += static_cast<uint64_t>(n);
    FaultPoint("export.partly");
  }
  return Ask(guard, *moved);
}

}  // namespace sluice
