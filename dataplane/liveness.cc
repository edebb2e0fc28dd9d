#include "dataplane/liveness.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdio>
#include <string_view>
#include <utility>

#include "dataplane/control/unique_fd.h"
#include "dataplane/worker.h"

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

// What lies between two looks, as far as it counts.
uint64_t Gap(uint64_t* last_look, uint64_t now) {
  const uint64_t gap = now - std::exchange(*last_look, now);
  return std::min(gap, kLongestGap);
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

bool WorkerWatch::Look(uint64_t rounds, uint64_t now,
                       absl::FunctionRef<ThreadSample()> sample) {
  const uint64_t gap = begun_ ? Gap(&last_look_, now) : 0;
  if (!begun_ || rounds != rounds_) {
    *this = {};
    begun_ = true;
    rounds_ = rounds;
    last_look_ = now;
    return false;
  }
  const ThreadSample seen = sample();
  if (sampled_ && seen.state == 'R' && seen == last_) {
    starved_ += gap;
  } else {
    quiet_ += gap;
  }
  sampled_ = true;
  last_ = seen;
  stalled_ = quiet_ >= kStallTime || starved_ >= kStarvedTime;
  return stalled_;
}

bool BuilderWatch::Look(uint64_t work, uint64_t now,
                        absl::FunctionRef<ThreadSample()> sample) {
  const uint64_t gap = Gap(&last_look_, now);
  if (work == 0 || work != work_) {
    work_ = work;
    quiet_ = 0;
    last_ = {};
    lost_ = false;
    return false;
  }
  const ThreadSample seen = sample();
  if (!seen.exists || seen.state == 'Z' || seen.state == 'X') {
    lost_ = true;
    return true;
  }
  const bool moves = seen.state == 'R' || seen.state == 'D' ||
                     seen.cpu_time != last_.cpu_time;
  quiet_ = moves ? 0 : quiet_ + gap;
  last_ = seen;
  lost_ = quiet_ >= kStallTime;
  return lost_;
}

bool BuilderWatch::Look(const ThreadBeacon& beacon, uint64_t now) {
  return Look(beacon.work(), now,
              [&beacon] { return SampleThread(beacon.thread()); });
}

WorkerMonitor::WorkerMonitor(Plane* plane, std::vector<Worker*> workers)
    : plane_(*plane),
      workers_(std::move(workers)),
      watches_(workers_.size()) {}

void WorkerMonitor::Poll(uint64_t now) {
  if (now - last_look_ < kLookInterval) return;
  last_look_ = now;
  uint32_t stalled = 0;
  for (size_t i = 0; i < workers_.size(); ++i) {
    const int thread = workers_[i]->thread_id();
    if (thread == 0) continue;
    const bool is = watches_[i].Look(workers_[i]->totals().rounds.value(), now,
                                     [thread] { return SampleThread(thread); });
    if (is) stalled |= 1u << i;
  }
  for (uint32_t changed = stalled ^ stalled_; changed != 0;
       changed &= changed - 1) {
    const int i = std::countr_zero(changed);
    if ((stalled & 1u << i) == 0) {
      spdlog::warn("worker {} runs again", i);
    } else if (workers_.size() == 1) {
      spdlog::error("worker {} does not run: no packet passes", i);
    } else {
      spdlog::error("worker {} does not run: others poll its queues, and its "
                    "flows are judged by the fail policy of their filters",
                    i);
    }
  }
  if (stalled == stalled_) return;
  stalled_ = stalled;
  plane_.stalled.store(stalled, std::memory_order_release);
}

}  // namespace sluice
