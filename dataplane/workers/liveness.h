// Whether workers live, that is make rounds: what fail policies key on.
//
// A verdict takes less than 100 ms if it is asked for every kLookInterval,
// and is taken back as soon as the thread moves. Time that a thread has spent
// waiting for a processor is not held against it: its packets wait where they
// are, which is better for them than a fail policy.
//
// The watch is pure: it sees samples and times, and does no I/O.
#ifndef SLUICE_DATAPLANE_WORKERS_LIVENESS_H_
#define SLUICE_DATAPLANE_WORKERS_LIVENESS_H_

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "dataplane/base/thread_watch.h"

namespace sluice {

struct Plane;
class Worker;

// One worker.
class WorkerWatch {
 public:
  // One look. `rounds`: made since the start. `sample` is asked for only
  // without a new round. Returns whether the worker is stalled.
  bool Look(uint64_t rounds, uint64_t now,
            absl::FunctionRef<ThreadSample()> sample);

  bool stalled() const { return stalled_; }
  // Of one that is stalled: it has waited for a processor only.
  bool starved() const { return quiet_ < kStallTime; }

 private:
  bool begun_ = false;
  bool stalled_ = false;
  uint64_t rounds_ = 0;
  uint64_t last_look_ = 0;
  uint64_t quiet_ = 0;   // without a round though it might have made one
  uint64_t waited_ = 0;  // without a processor
  bool sampled_ = false;
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

 private:
  Plane& plane_;
  const std::vector<Worker*> workers_;
  std::vector<WorkerWatch> watches_;
  uint64_t last_look_ = 0;
  uint32_t stalled_ = 0;  // bit i: worker i does not run
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_WORKERS_LIVENESS_H_
