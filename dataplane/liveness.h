// Whether workers and builder threads live: what fail policies key on.
//
// A worker lives if it makes rounds, a builder thread if it gets on with its
// work. A verdict takes less than 100 ms if it is asked for every kLookInterval,
// and is taken back as soon as the thread moves. Time that a thread has spent
// waiting for a processor is not held against it: its packets wait where they
// are, which is better for them than a fail policy.
//
// The watches are pure: they see samples and times, and do no I/O.
#ifndef SLUICE_DATAPLANE_LIVENESS_H_
#define SLUICE_DATAPLANE_LIVENESS_H_

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "dataplane/thread_beacon.h"

namespace sluice {

struct Plane;
class Worker;

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

// One worker.
class WorkerWatch {
 public:
  // One look. `rounds`: made since the start. `sample` is asked for only
  // without a new round. Returns whether the worker is stalled.
  bool Look(uint64_t rounds, uint64_t now,
            absl::FunctionRef<ThreadSample()> sample);

  bool stalled() const { return stalled_; }

 private:
  bool begun_ = false;
  bool stalled_ = false;
  uint64_t rounds_ = 0;
  uint64_t last_look_ = 0;
  uint64_t quiet_ = 0;    // without a round though it might have made one
  uint64_t starved_ = 0;  // without a processor
  bool sampled_ = false;
  ThreadSample last_;
};

// One thread that does pieces of work.
class BuilderWatch {
 public:
  // One look. `work`: as ThreadBeacon::work(). Returns whether the thread is
  // lost: gone, or asleep amid its work. A thread that waits for a disk is
  // not; deadlines are for that.
  bool Look(uint64_t work, uint64_t now,
            absl::FunctionRef<ThreadSample()> sample);
  bool Look(const ThreadBeacon& beacon, uint64_t now);

  bool lost() const { return lost_; }

 private:
  bool lost_ = false;
  uint64_t work_ = 0;
  uint64_t last_look_ = 0;
  uint64_t quiet_ = 0;
  ThreadSample last_;
};

// All workers of the process. Belongs to the control lcore.
class WorkerMonitor {
 public:
  // Both outlive the monitor.
  WorkerMonitor(Plane* plane, std::vector<Worker*> workers);

  // To be called every kLookInterval; more often does no harm. Tells the
  // workers who of them is stalled, and the log.
  void Poll(uint64_t now);
  // Bit i: worker i does not run.
  uint32_t stalled() const { return stalled_; }

 private:
  Plane& plane_;
  const std::vector<Worker*> workers_;
  std::vector<WorkerWatch> watches_;
  uint64_t last_look_ = 0;
  uint32_t stalled_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_LIVENESS_H_
