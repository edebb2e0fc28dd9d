#include "dataplane/base/thread_watch.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <string_view>

#include "dataplane/base/unique_fd.h"

namespace sluice {
namespace {

// clock_gettime() of the processor time of a thread (clock_getcpuclockid(3)
// does it for processes only): the kernel's encoding of a thread's id.
clockid_t CpuClockOf(int thread) {
  constexpr int kPerThread = 4;
  constexpr int kScheduler = 2;
  return static_cast<clockid_t>(~static_cast<unsigned>(thread) << 3 |
                                kPerThread | kScheduler);
}

}  // namespace

ThreadSample SampleThread(int thread) {
  std::array<char, 64> path;
  std::snprintf(path.data(), path.size(), "/proc/self/task/%d/stat", thread);
  const UniqueFd file(open(path.data(), O_RDONLY | O_CLOEXEC));
  timespec time;
  if (!file.valid() || clock_gettime(CpuClockOf(thread), &time) != 0) {
    return {};
  }
  std::array<char, 128> text;
  const ssize_t size = read(file.get(), text.data(), text.size());
  if (size <= 0) return {};
  // "42 (name) S ...": the name is at most 15 bytes, of any kind.
  const std::string_view line(text.data(), static_cast<size_t>(size));
  const size_t end = line.rfind(") ");
  if (end == std::string_view::npos || end + 2 >= line.size()) return {};
  return {.exists = true,
          .state = line[end + 2],
          .cpu_time = static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 +
                      static_cast<uint64_t>(time.tv_nsec)};
}

bool BuilderWatch::Look(uint64_t work,
                        absl::FunctionRef<ThreadSample()> sample) {
  if (work == 0) {
    work_ = 0;
    lost_ = false;
    return false;
  }
  const ThreadSample seen = sample();
  lost_ = !seen.exists || seen.state == 'Z' || seen.state == 'X';
  if (lost_) return true;
  if (work != work_) {
    work_ = work;
    cpu_before_ = seen.cpu_time;
    ++moves_;
  } else if ((seen.state == 'R' || seen.cpu_time != cpu_last_) &&
             seen.cpu_time - cpu_before_ < kLongestWork) {
    ++moves_;
  }
  cpu_last_ = seen.cpu_time;
  return false;
}

bool BuilderWatch::Look(const ThreadBeacon& beacon) {
  return Look(beacon.work(),
              [&beacon] { return SampleThread(beacon.thread()); });
}

}  // namespace sluice
