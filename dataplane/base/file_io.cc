#include "dataplane/base/file_io.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "dataplane/base/fault_point.h"
#include "dataplane/base/text.h"
#include "dataplane/base/unique_fd.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr size_t kPiece = 256 * 1024;
// How often a wait looks whether it is to stop, in milliseconds.
constexpr int64_t kStopInterval = 50;

bool IsStream(mode_t mode) { return S_ISFIFO(mode) || S_ISSOCK(mode); }

absl::Status TooLong(size_t max_bytes) {
  return absl::ResourceExhaustedError(
      absl::StrCat("it is longer than the ", max_bytes, " bytes that are read"));
}

// Ready, or the deadline has passed (false).
absl::StatusOr<bool> WaitFor(int fd, short events, Clock::time_point until,
                             const std::atomic<bool>* stop) {
  for (;;) {
    const auto left = std::chrono::ceil<milliseconds>(until - Clock::now());
    pollfd poll = {.fd = fd, .events = events, .revents = 0};
    const int n =
        ::poll(&poll, 1,
               static_cast<int>(std::clamp<int64_t>(left.count(), 0,
                                                    kStopInterval)));
    if (n > 0) return true;
    if (n < 0 && errno != EINTR) return SystemError("poll", errno);
    if (stop != nullptr && stop->load(std::memory_order_relaxed)) {
      return absl::CancelledError("stopped");
    }
    if (Clock::now() >= until) return false;
  }
}

absl::Status WriteFully(int fd, const std::string& name,
                        std::span<const uint8_t> bytes) {
  for (bool first = true; !bytes.empty(); first = false) {
    // In two pieces at least, so that half a file can be met.
    const size_t piece = first ? (bytes.size() + 1) / 2 : bytes.size();
    const ssize_t n = ::write(fd, bytes.data(), std::min(piece, kPiece));
    if (n < 0) {
      if (errno == EINTR) continue;
      return SystemError(name, errno);
    }
    bytes = bytes.subspan(static_cast<size_t>(n));
    FaultPoint("save.written");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<uint8_t>> ReadDescriptor(int fd, size_t max_bytes,
                                                    milliseconds wait,
                                                    const std::atomic<bool>*
                                                        stop) {
  struct stat status;
  if (::fstat(fd, &status) != 0) return SystemError("descriptor", errno);
  const bool stream = IsStream(status.st_mode);
  if (!stream && !S_ISREG(status.st_mode)) {
    return absl::InvalidArgumentError(
        "the descriptor is no file and no pipe");
  }
  std::vector<uint8_t> bytes;
  if (!stream) {
    const off_t offset = std::max<off_t>(::lseek(fd, 0, SEEK_CUR), 0);
    const auto size = static_cast<uint64_t>(
        std::max<off_t>(status.st_size - offset, 0));
    if (size > max_bytes) return TooLong(max_bytes);
    bytes.reserve(size);
  }
  const Clock::time_point until = Clock::now() + wait;
  for (;;) {
    if (stream) {
      const absl::StatusOr<bool> ready = WaitFor(fd, POLLIN, until, stop);
      if (!ready.ok()) return ready.status();
      if (!*ready) {
        return absl::DeadlineExceededError(absl::StrCat(
            "it did not end within ", wait.count(), " ms"));
      }
    }
    const size_t at = bytes.size();
    // One more than is allowed, to see that there is more.
    const size_t room = std::min(kPiece, max_bytes + 1 - at);
    bytes.resize(at + room);
    const ssize_t n = ::read(fd, bytes.data() + at, room);
    bytes.resize(at + static_cast<size_t>(std::max<ssize_t>(n, 0)));
    if (n == 0) return bytes;
    if (n < 0 && errno != EINTR && errno != EAGAIN) {
      return SystemError("descriptor", errno);
    }
    if (bytes.size() > max_bytes) return TooLong(max_bytes);
  }
}

absl::StatusOr<std::vector<uint8_t>> ReadWholeFile(const std::string& path,
                                                   size_t max_bytes) {
  // A name that stands for a pipe must not make anybody wait.
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return SystemError(path, errno);
  struct stat status;
  if (::fstat(fd.get(), &status) != 0) return SystemError(path, errno);
  if (!S_ISREG(status.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is no file"));
  }
  absl::StatusOr<std::vector<uint8_t>> bytes =
      ReadDescriptor(fd.get(), max_bytes, milliseconds(0));
  if (bytes.ok()) return bytes;
  return absl::Status(bytes.status().code(),
                      absl::StrCat(path, ": ", bytes.status().message()));
}

absl::Status WriteDescriptor(int fd, std::span<const uint8_t> bytes,
                             milliseconds patience,
                             const std::atomic<bool>* stop) {
  struct stat status;
  if (::fstat(fd, &status) != 0) return SystemError("descriptor", errno);
  const bool stream = IsStream(status.st_mode);
  const size_t whole = bytes.size();
  const auto failed = [&](const absl::Status& why) {
    return absl::Status(
        why.code(),
        absl::StrCat(why.message(), ", after ", whole - bytes.size(), " of ",
                     whole,
                     " bytes; what was written is no whole snapshot and every "
                     "import refuses it"));
  };
  while (!bytes.empty()) {
    if (stream) {
      const absl::StatusOr<bool> ready =
          WaitFor(fd, POLLOUT, Clock::now() + patience, stop);
      if (!ready.ok()) return failed(ready.status());
      if (!*ready) {
        return failed(absl::DeadlineExceededError(absl::StrCat(
            "the reader took nothing for ", patience.count(), " ms")));
      }
    }
    // A pipe that has room takes so much without waiting.
    const size_t piece = std::min(bytes.size(), stream ? PIPE_BUF : kPiece);
    const ssize_t n = ::write(fd, bytes.data(), piece);
    if (n < 0) {
      if (errno == EINTR || errno == EAGAIN) continue;
      return failed(SystemError("write", errno));
    }
    bytes = bytes.subspan(static_cast<size_t>(n));
    FaultPoint("export.partly");
  }
  return absl::OkStatus();
}

absl::Status ReplaceFile(int directory, const std::string& name,
                         std::span<const uint8_t> bytes, bool keep) {
  FaultPoint("save.begin");
  const std::string temporary = absl::StrCat(name, ".tmp");
  const auto failed = [&](const absl::Status& status) {
    ::unlinkat(directory, temporary.c_str(), 0);
    return status;
  };
  UniqueFd fd(::openat(directory, temporary.c_str(),
                       O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
                       0600));
  if (!fd.valid()) return SystemError(temporary, errno);
  absl::Status status = WriteFully(fd.get(), temporary, bytes);
  if (!status.ok()) return failed(status);
  if (::fsync(fd.get()) != 0) return failed(SystemError(temporary, errno));
  if (::close(fd.Release()) != 0) {
    return failed(SystemError(temporary, errno));
  }
  FaultPoint("save.synced");
  if (keep) {
    const std::string old = absl::StrCat(name, ".old");
    // The name itself is there at every moment.
    if (::unlinkat(directory, old.c_str(), 0) != 0 && errno != ENOENT) {
      return failed(SystemError(old, errno));
    }
    if (::linkat(directory, name.c_str(), directory, old.c_str(), 0) != 0 &&
        errno != ENOENT) {
      return failed(SystemError(old, errno));
    }
    FaultPoint("save.kept");
  }
  if (::renameat(directory, temporary.c_str(), directory, name.c_str()) != 0) {
    return failed(SystemError(name, errno));
  }
  FaultPoint("save.renamed");
  if (::fsync(directory) != 0) return SystemError(name, errno);
  FaultPoint("save.done");
  return absl::OkStatus();
}

}  // namespace sluice
