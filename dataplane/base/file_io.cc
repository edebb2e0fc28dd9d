#include "dataplane/base/file_io.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/fault_point.h"
#include "dataplane/base/text.h"

namespace sluice {
namespace {

constexpr size_t kFilePiece = 256 * 1024;
// What a file may have that is not on the disk yet: so who waits for a long
// one sees that it goes on, and its end is not one long wait.
constexpr size_t kMostUnsynced = size_t{32} << 20;

}  // namespace

absl::StatusOr<std::vector<uint8_t>> ReadWholeFile(const std::string& path,
                                                   size_t max_bytes,
                                                   const IoGuard& guard) {
  // A name that stands for a pipe must not make anybody wait.
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return SystemError(path, errno);
  struct stat status;
  if (::fstat(fd.get(), &status) != 0) return SystemError(path, errno);
  if (!S_ISREG(status.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is no file"));
  }
  absl::StatusOr<std::vector<uint8_t>> bytes =
      ReadDescriptor(fd.get(), max_bytes, guard);
  if (bytes.ok()) return bytes;
  return absl::Status(bytes.status().code(),
                      absl::StrCat(path, ": ", bytes.status().message()));
}

FileReplacement::FileReplacement(int directory, std::string name)
    : directory_(directory),
      name_(std::move(name)),
      temporary_(absl::StrCat(name_, ".tmp")) {}

FileReplacement::~FileReplacement() {
  if (made_) ::unlinkat(directory_, temporary_.c_str(), 0);
}

absl::Status FileReplacement::Open() {
  FaultPoint("save.begin");
  file_ = UniqueFd(::openat(directory_, temporary_.c_str(),
                            O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC |
                                O_NOFOLLOW,
                            0600));
  if (!file_.valid()) return SystemError(temporary_, errno);
  made_ = true;
  return absl::OkStatus();
}

absl::Status FileReplacement::Write(std::span<const uint8_t> bytes) {
  if (!file_.valid()) {
    if (absl::Status status = Open(); !status.ok()) return status;
  }
  for (bool first = true; !bytes.empty(); first = false) {
    // In two pieces at least, so that half a file can be met.
    const size_t piece = first ? (bytes.size() + 1) / 2 : bytes.size();
    const ssize_t n =
        ::write(file_.get(), bytes.data(), std::min(piece, kFilePiece));
    if (n < 0) {
      if (errno == EINTR) continue;
      return SystemError(temporary_, errno);
    }
    bytes = bytes.subspan(static_cast<size_t>(n));
    unsynced_ += static_cast<size_t>(n);
    FaultPoint("save.written");
  }
  if (unsynced_ >= kMostUnsynced) {
    unsynced_ = 0;
    if (::fdatasync(file_.get()) != 0) return SystemError(temporary_, errno);
  }
  return absl::OkStatus();
}

absl::Status FileReplacement::Commit(bool keep) {
  if (!file_.valid()) {
    if (absl::Status status = Open(); !status.ok()) return status;
  }
  if (::fsync(file_.get()) != 0) return SystemError(temporary_, errno);
  if (::close(file_.Release()) != 0) return SystemError(temporary_, errno);
  FaultPoint("save.synced");
  if (keep) {
    const std::string old = absl::StrCat(name_, ".old");
    // The name itself is there at every moment.
    if (::unlinkat(directory_, old.c_str(), 0) != 0 && errno != ENOENT) {
      return SystemError(old, errno);
    }
    if (::linkat(directory_, name_.c_str(), directory_, old.c_str(), 0) != 0 &&
        errno != ENOENT) {
      return SystemError(old, errno);
    }
    FaultPoint("save.kept");
  }
  if (::renameat(directory_, temporary_.c_str(), directory_, name_.c_str()) !=
      0) {
    return SystemError(name_, errno);
  }
  made_ = false;
  FaultPoint("save.renamed");
  if (::fsync(directory_) != 0) return SystemError(name_, errno);
  FaultPoint("save.done");
  return absl::OkStatus();
}

absl::Status ReplaceFile(int directory, const std::string& name,
                         std::span<const uint8_t> bytes, bool keep) {
  FileReplacement file(directory, name);
  absl::Status status = file.Write(bytes);
  return status.ok() ? file.Commit(keep) : status;
}

}  // namespace sluice
