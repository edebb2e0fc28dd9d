// The thread for everything slow that an order needs: parsing, compiling,
// decoding. It only builds; what it has built is published on the control
// lcore, in the order of submission.
#ifndef SLUICE_DATAPLANE_BASE_BUILDER_H_
#define SLUICE_DATAPLANE_BASE_BUILDER_H_

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
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
  const ThreadBeacon& beacon() const { return beacon_; }

  // Readable while Finish() has something to do.
  int event_fd() const { return event_.get(); }

 private:
  struct Job {
    absl::AnyInvocable<void()> work;
    absl::AnyInvocable<void()> finish;
  };

  using Clock = std::chrono::steady_clock;

  void Run();
  void WakeUp();

  UniqueFd event_;
  ThreadBeacon beacon_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;       // guarded by mutex_
  size_t unfinished_ = 0;   // control lcore only
  std::deque<Job> queued_;  // guarded by mutex_
  std::deque<Job> built_;   // guarded by mutex_
  std::thread thread_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_BASE_BUILDER_H_
