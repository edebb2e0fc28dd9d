#include "dataplane/base/builder.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <utility>

namespace sluice {

Builder::Builder() : shared_(std::make_shared<Shared>()) {
  shared_->event = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  thread_ = std::thread([shared = shared_] { Run(*shared); });
  pthread_setname_np(thread_.native_handle(), "sluice-builder");
}

Builder::~Builder() {
  if (!thread_.joinable()) return;
  Stop(/*abandon=*/false);
  thread_.join();
}

void Builder::Stop(bool abandon) {
  std::deque<Job> dropped;
  {
    std::lock_guard<std::mutex> lock(shared_->mutex);
    shared_->stop = true;
    shared_->abandoned = abandon;
    dropped.swap(shared_->queued);
  }
  shared_->wake.notify_one();
}

void Builder::Interrupt(int signal) {
  if (thread_.joinable()) pthread_kill(thread_.native_handle(), signal);
}

void Builder::Abandon() {
  if (!thread_.joinable()) return;
  Stop(/*abandon=*/true);
  thread_.detach();
  unfinished_ = kMaxJobs;
}

bool Builder::Submit(absl::AnyInvocable<void()> work,
                     absl::AnyInvocable<void()> finish) {
  if (unfinished_ >= kMaxJobs) return false;
  ++unfinished_;
  {
    std::lock_guard<std::mutex> lock(shared_->mutex);
    shared_->queued.push_back({std::move(work), std::move(finish)});
  }
  shared_->wake.notify_one();
  return true;
}

size_t Builder::Finish() {
  const Clock::time_point began = Clock::now();
  uint64_t count;
  // Nothing to read is fine: a job may have been taken by an earlier call.
  [[maybe_unused]] ssize_t n =
      ::read(shared_->event.get(), &count, sizeof count);
  size_t finished = 0;
  for (;;) {
    Job job;
    {
      std::lock_guard<std::mutex> lock(shared_->mutex);
      if (shared_->built.empty()) return finished;
      job = std::move(shared_->built.front());
      shared_->built.pop_front();
    }
    --unfinished_;
    ++finished;
    job.finish();
    if (Clock::now() - began < kFinishTime) continue;
    // The others get their turn after whoever else waits for the thread.
    const std::lock_guard<std::mutex> lock(shared_->mutex);
    if (!shared_->built.empty()) WakeUp(*shared_);
    return finished;
  }
}

void Builder::Run(Shared& shared) {
  shared.beacon.Attach();
  for (;;) {
    Job job;
    {
      std::unique_lock<std::mutex> lock(shared.mutex);
      shared.wake.wait(
          lock, [&shared] { return shared.stop || !shared.queued.empty(); });
      if (shared.stop) return;
      job = std::move(shared.queued.front());
      shared.queued.pop_front();
      // Within the lock: who looks whether it is at work misses no job.
      shared.beacon.BeginWork();
    }
    job.work();
    {
      std::lock_guard<std::mutex> lock(shared.mutex);
      if (shared.abandoned) return;
      shared.built.push_back(std::move(job));
      shared.beacon.EndWork();
    }
    WakeUp(shared);
  }
}

void Builder::WakeUp(Shared& shared) {
  const uint64_t one = 1;
  [[maybe_unused]] ssize_t n = ::write(shared.event.get(), &one, sizeof one);
}

}  // namespace sluice
