// The files that packets of `log` rules are written to, one for each pflog
// number, by a thread of its own: a slow disk costs records, not time of
// anybody else's.
#ifndef SLUICE_DATAPLANE_PACKETLOG_LOG_FILES_H_
#define SLUICE_DATAPLANE_PACKETLOG_LOG_FILES_H_

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

#include "dataplane/base/unique_fd.h"

namespace sluice {

class LogFiles {
 public:
  static constexpr size_t kFiles = 256;
  // Bytes that wait to be written; what comes beyond them is lost.
  static constexpr size_t kMaxWaiting = 8u << 20;

  // `folder`/pflogN. Each is made with the first record for it.
  explicit LogFiles(std::string folder);
  // Writes what waits.
  ~LogFiles();
  LogFiles(const LogFiles&) = delete;
  LogFiles& operator=(const LogFiles&) = delete;

  // Whole records for pflog`number`. Never waits.
  void Append(uint8_t number, std::string records, uint64_t count);
  // The files are opened anew with the next record: after a rotation.
  void Reopen();

  uint64_t written() const { return written_.load(std::memory_order_relaxed); }
  // Records that found no room, or that the disk did not take.
  uint64_t lost() const { return lost_.load(std::memory_order_relaxed); }

 private:
  struct Waiting {
    std::string records;
    uint64_t count = 0;
  };
  struct File {
    UniqueFd fd;
    bool failed = false;  // said so; nothing is tried before a Reopen()
  };

  void Run();
  void Write(uint8_t number, const Waiting& waiting);
  // False: it cannot be had.
  bool Open(uint8_t number);
  void Fail(uint8_t number, const char* what);

  const std::string folder_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::array<Waiting, kFiles> waiting_;  // guarded by mutex_
  size_t bytes_ = 0;                     // guarded by mutex_
  bool reopen_ = false;                  // guarded by mutex_
  bool stop_ = false;                    // guarded by mutex_
  std::array<File, kFiles> files_;       // the thread's
  std::atomic<uint64_t> written_{0};
  std::atomic<uint64_t> lost_{0};
  std::thread thread_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_PACKETLOG_LOG_FILES_H_
