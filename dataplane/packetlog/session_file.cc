#include "dataplane/packetlog/session_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "dataplane/base/log.h"
#include "dataplane/base/text.h"

namespace sluice {

SessionFile::SessionFile(std::string path)
    : path_(std::move(path)), thread_([this] { Run(); }) {}

SessionFile::~SessionFile() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void SessionFile::Append(std::string lines, uint64_t count) {
  {
    const std::lock_guard lock(mutex_);
    if (!waiting_.empty() && waiting_.size() + lines.size() > kMaxWaiting) {
      lost_.fetch_add(count, std::memory_order_relaxed);
      return;
    }
    count_ += count;
    if (waiting_.empty()) {
      waiting_ = std::move(lines);
    } else {
      waiting_ += lines;
    }
  }
  wake_.notify_one();
}

void SessionFile::Reopen() {
  const std::lock_guard lock(mutex_);
  reopen_ = true;
}

void SessionFile::Run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stop_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    const bool reopen = std::exchange(reopen_, false);
    const std::string lines = std::exchange(waiting_, std::string());
    const uint64_t count = std::exchange(count_, 0);
    lock.unlock();
    if (reopen) {
      fd_.Reset();
      failed_ = false;
    }
    Write(lines, count);
    lock.lock();
  }
}

void SessionFile::Write(const std::string& lines, uint64_t count) {
  if (!fd_.valid() && !failed_) {
    fd_ = UniqueFd(::open(path_.c_str(),
                          O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    if (!fd_.valid()) Fail(errno);
  }
  if (failed_) {
    lost_.fetch_add(count, std::memory_order_relaxed);
    return;
  }
  const off_t before = ::lseek(fd_.get(), 0, SEEK_END);
  size_t done = 0;
  while (done < lines.size()) {
    const ssize_t n =
        ::write(fd_.get(), lines.data() + done, lines.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    done += static_cast<size_t>(n);
  }
  if (done == lines.size()) {
    written_.fetch_add(count, std::memory_order_relaxed);
    return;
  }
  const int error = errno;
  lost_.fetch_add(count, std::memory_order_relaxed);
  // Half a line is none.
  if (before >= 0) static_cast<void>(!::ftruncate(fd_.get(), before));
  Fail(error);
}

void SessionFile::Fail(int error) {
  fd_.Reset();
  failed_ = true;
  LogError("{}; sessions are lost until the logs are opened again",
           SystemText(path_, error));
}

}  // namespace sluice
