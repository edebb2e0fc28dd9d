// The file of the session log, written by a thread of its own: a slow disk
// costs lines, not time of anybody else's.
#ifndef SLUICE_DATAPLANE_PACKETLOG_SESSION_FILE_H_
#define SLUICE_DATAPLANE_PACKETLOG_SESSION_FILE_H_

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

#include "dataplane/base/unique_fd.h"

namespace sluice {

class SessionFile {
 public:
  // Bytes that wait to be written; what comes beyond them is lost, unless
  // nothing waits.
  static constexpr size_t kMaxWaiting = 16u << 20;

  explicit SessionFile(std::string path);
  // Writes what waits.
  ~SessionFile();
  SessionFile(const SessionFile&) = delete;
  SessionFile& operator=(const SessionFile&) = delete;

  // Whole lines, `count` of them. Never waits.
  void Append(std::string lines, uint64_t count);
  // The file is opened anew with the next line: after a rotation.
  void Reopen();

  uint64_t written() const { return written_.load(std::memory_order_relaxed); }
  // Lines that found no room, or that the disk did not take.
  uint64_t lost() const { return lost_.load(std::memory_order_relaxed); }

 private:
  void Run();
  void Write(const std::string& lines, uint64_t count);
  void Fail(int error);

  const std::string path_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::string waiting_;    // guarded by mutex_
  uint64_t count_ = 0;     // guarded by mutex_
  bool reopen_ = false;    // guarded by mutex_
  bool stop_ = false;      // guarded by mutex_
  UniqueFd fd_;            // the thread's
  bool failed_ = false;    // the thread's: nothing is tried before a Reopen()
  std::atomic<uint64_t> written_{0};
  std::atomic<uint64_t> lost_{0};
  std::thread thread_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_PACKETLOG_SESSION_FILE_H_
