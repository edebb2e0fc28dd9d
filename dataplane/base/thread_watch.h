// Whether a thread that does pieces of work gets on with them, from what the
// kernel says of it. Watches are pure: they see samples and times.
#ifndef SLUICE_DATAPLANE_BASE_THREAD_WATCH_H_
#define SLUICE_DATAPLANE_BASE_THREAD_WATCH_H_

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/functional/function_ref.h"
#include "dataplane/base/thread_beacon.h"

namespace sluice {

// Milliseconds.
inline constexpr uint64_t kLookInterval = 20;
// So long without a sign of life, and a thread is taken for dead.
inline constexpr uint64_t kStallTime = 60;
// A thread that gets no processor for so long is no better than a dead one.
inline constexpr uint64_t kStarvedTime = 1000;
// The most that lies between two looks counts for: if nobody has looked for
// long, it was not the thread that was late.
inline constexpr uint64_t kLongestGap = 2 * kLookInterval;

// What the kernel knows of a thread.
struct ThreadSample {
  bool exists = false;
  char state = '?';        // as in /proc: R, S, D, T, t, Z, ...
  uint64_t cpu_time = 0;   // nanoseconds

  friend bool operator==(const ThreadSample&, const ThreadSample&) = default;
};

// Of a thread of this process. Two system calls and a small file.
ThreadSample SampleThread(int thread);

// What lies between two looks, as far as it counts.
inline uint64_t GapSince(uint64_t* last_look, uint64_t now) {
  const uint64_t gap = now - std::exchange(*last_look, now);
  return std::min(gap, kLongestGap);
}

// One thread that does pieces of work. One that sleeps amid its work is not
// lost: it may wait for a lock, for a disk, or for who has stopped it, and the
// deadlines of its work are for that.
class BuilderWatch {
 public:
  // Of processor time for one piece of work. What takes longer may well never
  // end, and counts as moving no more.
  static constexpr uint64_t kLongestWork = 120'000'000'000;  // nanoseconds

  // One look. `work`: as ThreadBeacon::work(). Returns whether the thread is
  // gone.
  bool Look(uint64_t work, absl::FunctionRef<ThreadSample()> sample);
  bool Look(const ThreadBeacon& beacon);

  bool lost() const { return lost_; }
  // Looks that found it computing, or waiting for a processor.
  uint64_t moves() const { return moves_; }

 private:
  bool lost_ = false;
  uint64_t moves_ = 0;
  uint64_t work_ = 0;
  uint64_t cpu_before_ = 0;  // of its work
  uint64_t cpu_last_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_BASE_THREAD_WATCH_H_
