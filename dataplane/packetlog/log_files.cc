#include "dataplane/packetlog/log_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "dataplane/base/log.h"
#include "dataplane/packetlog/pflog.h"

namespace sluice {
namespace {

// All of it, or how much before the error in errno.
size_t WriteAll(int fd, const std::string& bytes) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::write(fd, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    done += static_cast<size_t>(n);
  }
  return done;
}

}  // namespace

LogFiles::LogFiles(std::string folder)
    : folder_(std::move(folder)), thread_([this] { Run(); }) {}

LogFiles::~LogFiles() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void LogFiles::Append(uint8_t number, std::string records, uint64_t count) {
  {
    const std::lock_guard lock(mutex_);
    if (bytes_ + records.size() > kMaxWaiting) {
      lost_.fetch_add(count, std::memory_order_relaxed);
      return;
    }
    bytes_ += records.size();
    Waiting& waiting = waiting_[number];
    waiting.count += count;
    if (waiting.records.empty()) {
      waiting.records = std::move(records);
    } else {
      waiting.records += records;
    }
  }
  wake_.notify_one();
}

void LogFiles::Reopen() {
  const std::lock_guard lock(mutex_);
  reopen_ = true;
}

void LogFiles::Run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stop_ || bytes_ > 0; });
    if (bytes_ == 0) return;
    const bool reopen = std::exchange(reopen_, false);
    std::array<Waiting, kFiles> taken;
    std::swap(taken, waiting_);
    bytes_ = 0;
    lock.unlock();
    if (reopen) {
      for (File& file : files_) file = {};
    }
    for (size_t number = 0; number < kFiles; ++number) {
      if (taken[number].count == 0) continue;
      Write(static_cast<uint8_t>(number), taken[number]);
    }
    lock.lock();
  }
}

void LogFiles::Write(uint8_t number, const Waiting& waiting) {
  File& file = files_[number];
  if (!file.fd.valid() && !Open(number)) {
    lost_.fetch_add(waiting.count, std::memory_order_relaxed);
    return;
  }
  const off_t before = ::lseek(file.fd.get(), 0, SEEK_END);
  if (WriteAll(file.fd.get(), waiting.records) == waiting.records.size()) {
    written_.fetch_add(waiting.count, std::memory_order_relaxed);
    return;
  }
  const int error = errno;
  lost_.fetch_add(waiting.count, std::memory_order_relaxed);
  // Half a record would make the rest of the file unreadable.
  if (before >= 0) static_cast<void>(!::ftruncate(file.fd.get(), before));
  Fail(number, std::strerror(error));
}

bool LogFiles::Open(uint8_t number) {
  File& file = files_[number];
  if (file.failed) return false;
  const std::string path = folder_ + "/pflog" + std::to_string(number);
  file.fd = UniqueFd(::open(path.c_str(),
                            O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  struct stat status;
  if (!file.fd.valid() || ::fstat(file.fd.get(), &status) != 0) {
    Fail(number, std::strerror(errno));
    return false;
  }
  const std::string header = PflogFileHeader();
  if (status.st_size == 0) {
    if (WriteAll(file.fd.get(), header) == header.size()) return true;
    const int error = errno;
    static_cast<void>(!::ftruncate(file.fd.get(), 0));
    Fail(number, std::strerror(error));
    return false;
  }
  std::string found(header.size(), '\0');
  if (::pread(file.fd.get(), found.data(), found.size(), 0) ==
          static_cast<ssize_t>(found.size()) &&
      found == header) {
    return true;
  }
  Fail(number, "it is there already and is no packet log; move it away");
  return false;
}

void LogFiles::Fail(uint8_t number, const char* what) {
  files_[number].fd.Reset();
  files_[number].failed = true;
  LogError("{}/pflog{}: {}; packets for it are lost until the logs are "
                "opened again",
                folder_, number, what);
}

}  // namespace sluice
