// What a thread shows of itself to who watches whether it lives.
#ifndef SLUICE_DATAPLANE_BASE_THREAD_BEACON_H_
#define SLUICE_DATAPLANE_BASE_THREAD_BEACON_H_

#include <unistd.h>

#include <atomic>
#include <cstdint>

namespace sluice {

// Written by the thread, read by the control lcore.
class ThreadBeacon {
 public:
  // The thread, at its beginning.
  void Attach() { thread_.store(gettid(), std::memory_order_release); }
  // Around each piece of work: between them it may sleep as long as it likes.
  void BeginWork() { Count(); }
  void EndWork() { Count(); }

  // For /proc; 0 before the thread runs.
  int thread() const { return thread_.load(std::memory_order_acquire); }
  // The number of the piece of work that it is at, 0: none.
  uint64_t work() const {
    const uint64_t steps = steps_.load(std::memory_order_acquire);
    return steps % 2 == 1 ? steps : 0;
  }

 private:
  void Count() {
    steps_.store(steps_.load(std::memory_order_relaxed) + 1,
                 std::memory_order_release);
  }

  std::atomic<int> thread_{0};
  std::atomic<uint64_t> steps_{0};
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_BASE_THREAD_BEACON_H_
