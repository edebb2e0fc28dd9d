#include "dataplane/base/builder.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <utility>

namespace sluice {

Builder::Builder()
    : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      thread_([this] { Run(); }) {
  pthread_setname_np(thread_.native_handle(), "sluice-builder");
}

Builder::~Builder() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

bool Builder::Submit(absl::AnyInvocable<void()> work,
                     absl::AnyInvocable<void()> finish) {
  if (unfinished_ >= kMaxJobs) return false;
  ++unfinished_;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    queued_.push_back({std::move(work), std::move(finish)});
  }
  wake_.notify_one();
  return true;
}

size_t Builder::Finish() {
  const Clock::time_point began = Clock::now();
  uint64_t count;
  // Nothing to read is fine: a job may have been taken by an earlier call.
  [[maybe_unused]] ssize_t n = ::read(event_.get(), &count, sizeof count);
  size_t finished = 0;
  for (;;) {
    Job job;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      if (built_.empty()) return finished;
      job = std::move(built_.front());
      built_.pop_front();
    }
    --unfinished_;
    ++finished;
    job.finish();
    if (Clock::now() - began < kFinishTime) continue;
    // The others get their turn after whoever else waits for the thread.
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!built_.empty()) WakeUp();
    return finished;
  }
}

void Builder::Run() {
  beacon_.Attach();
  for (;;) {
    Job job;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [this] { return stop_ || !queued_.empty(); });
      if (stop_) return;
      job = std::move(queued_.front());
      queued_.pop_front();
    }
    beacon_.BeginWork();
    job.work();
    beacon_.EndWork();
    {
      std::lock_guard<std::mutex> lock(mutex_);
      built_.push_back(std::move(job));
    }
    WakeUp();
  }
}

void Builder::WakeUp() {
  const uint64_t one = 1;
  [[maybe_unused]] ssize_t n = ::write(event_.get(), &one, sizeof one);
}

}  // namespace sluice
