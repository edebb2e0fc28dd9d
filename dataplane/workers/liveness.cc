#include "dataplane/workers/liveness.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "dataplane/base/log.h"
#include "dataplane/workers/worker.h"

namespace sluice {

bool WorkerWatch::Look(uint64_t rounds, uint64_t now,
                       absl::FunctionRef<ThreadSample()> sample) {
  const uint64_t gap = begun_ ? GapSince(&last_look_, now) : 0;
  if (!begun_ || rounds != rounds_) {
    *this = {};
    begun_ = true;
    rounds_ = rounds;
    last_look_ = now;
    return false;
  }
  const ThreadSample seen = sample();
  uint64_t had = gap;
  if (seen.state == 'R') {
    // It runs, or would if it were let: what it may be blamed for is the time
    // that it had a processor. How much of the first gap that was nobody
    // knows.
    constexpr uint64_t kMillisecond = 1'000'000;
    const uint64_t ran = sampled_ ? seen.cpu_time - last_.cpu_time : 0;
    had = std::min(gap, (ran + kMillisecond / 2) / kMillisecond);
  }
  quiet_ += had;
  waited_ += gap - had;
  sampled_ = true;
  last_ = seen;
  stalled_ = quiet_ >= kStallTime || waited_ >= kStarvedTime;
  return stalled_;
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
      LogWarning("worker {} runs again", i);
    } else {
      LogError("worker {} {}: {}", i,
               watches_[i].starved() ? "gets no processor" : "does not run",
               workers_.size() == 1
                   ? "no packet passes"
                   : "others poll its queues, and its flows are judged by the "
                     "fail policy of their filters");
    }
  }
  if (stalled == stalled_) return;
  stalled_ = stalled;
  plane_.stalled.store(stalled, std::memory_order_release);
}

}  // namespace sluice
