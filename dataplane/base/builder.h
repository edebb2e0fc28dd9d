// The thread for everything slow that an order needs: parsing, compiling,
// decoding. It only builds; what it has built is published on the control
// lcore, in the order of submission.
#ifndef SLUICE_DATAPLANE_BASE_BUILDER_H_
#define SLUICE_DATAPLANE_BASE_BUILDER_H_

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>

#include "absl/functional/any_invocable.h"
#include "dataplane/base/thread_beacon.h"
#include "dataplane/base/unique_fd.h"

namespace sluice {

class Builder {
 public:
  // Jobs waiting, running or not yet finished: more are refused.
  static constexpr size_t kMaxJobs = 256;
  static constexpr std::chrono::milliseconds kFinishTime{20};

  Builder();
  // Waits for the job that is running; the others are dropped unbuilt and
  // unpublished.
  ~Builder();
  Builder(const Builder&) = delete;
  Builder& operator=(const Builder&) = delete;

  // Control lcore. `work` runs on the builder thread, then `finish` in
  // Finish() on the control lcore; both go away there. False, and both are
  // dropped, if there are kMaxJobs.
  bool Submit(absl::AnyInvocable<void()> work,
              absl::AnyInvocable<void()> finish);

  // Control lcore: runs `finish` of the jobs that are built, but after
  // kFinishTime no further one. Returns how many.
  size_t Finish();

  // Of its thread.
  const ThreadBeacon& beacon() const { return shared_->beacon; }
  // Whether its thread is at a job.
  bool at_work() const { return shared_->beacon.work() != 0; }

  // Sends a signal to its thread, which ends a system call that sleeps if the
  // signal has a handler without SA_RESTART.
  void Interrupt(int signal);
  // Instead of waiting for a thread that sleeps for good: the builder may be
  // destroyed, and its thread ends when it comes back. Jobs that wait are
  // dropped; the one that is running must refer to nothing but what it owns,
  // and is dropped on that thread. Nothing can be submitted afterwards.
  void Abandon();

  // Readable while Finish() has something to do.
  int event_fd() const { return shared_->event.get(); }

 private:
  struct Job {
    absl::AnyInvocable<void()> work;
    absl::AnyInvocable<void()> finish;
  };

  using Clock = std::chrono::steady_clock;

  // What the thread has, too, for as long as it lives.
  struct Shared {
    UniqueFd event;
    ThreadBeacon beacon;
    std::mutex mutex;
    std::condition_variable wake;
    bool stop = false;       // guarded by mutex
    bool abandoned = false;  // guarded by mutex
    std::deque<Job> queued;  // guarded by mutex
    std::deque<Job> built;   // guarded by mutex
  };

  static void Run(Shared& shared);
  static void WakeUp(Shared& shared);
  void Stop(bool abandon);

  const std::shared_ptr<Shared> shared_;
  size_t unfinished_ = 0;  // control lcore only
  std::thread thread_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_BASE_BUILDER_H_
