// What plays the others in the incident as a load: a builder on a thread of
// its own that succeeds, fails and stalls, and who counts what comes of it.
#ifndef SLUICE_TESTS_UNIT_RESTORE_STRESS_PARTS_H_
#define SLUICE_TESTS_UNIT_RESTORE_STRESS_PARTS_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <thread>
#include <utility>

#include "restore/restore_job.h"

namespace sluice {

inline uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

inline RestoreTime Now() {
  return static_cast<RestoreTime>(
      std::chrono::duration_cast<std::chrono::microseconds>(
          std::chrono::steady_clock::now().time_since_epoch())
          .count());
}

inline void Pause() { std::this_thread::sleep_for(std::chrono::microseconds(20)); }

// One job at a time, on its own thread, in chunks between which it looks
// whether the job is dead.
class ThreadedValidator : public RestoreValidator {
 public:
  ThreadedValidator() : thread_([this] { Run(); }) {}
  ~ThreadedValidator() override {
    stop_.store(true);
    thread_.join();
  }

  bool Start(const RestoreJob& job) override {
    const std::lock_guard lock(mutex_);
    if (busy_) return false;
    busy_ = true;
    job_ = job;
    result_ = {};
    fresh_ = true;
    return true;
  }
  ValidateResult Poll(const RestoreJob& job) override {
    const std::lock_guard lock(mutex_);
    if (!busy_ || job_.filter != job.filter ||
        job_.incarnation != job.incarnation) {
      ++strangers;
      return {ValidateOutcome::kRefused, {}, ""};
    }
    const ValidateResult result = result_;
    if (result.outcome != ValidateOutcome::kRunning) busy_ = false;
    return result;
  }
  void Abandon(const RestoreJob& job) override {
    const std::lock_guard lock(mutex_);
    if (busy_ && job_.filter == job.filter &&
        job_.incarnation == job.incarnation) {
      abandoned_ = working_;
      busy_ = working_;
      fresh_ = false;
    }
  }

  uint64_t strangers = 0;
  std::atomic<uint64_t> given_up{0};

 private:
  void Run() {
    std::mt19937_64 random(7);
    while (!stop_.load()) {
      RestoreJob job;
      {
        const std::lock_guard lock(mutex_);
        if (busy_ && fresh_) {
          fresh_ = false;
          working_ = true;
          abandoned_ = false;
          job = job_;
        }
      }
      if (job.word == nullptr) {
        Pause();
        continue;
      }
      ValidateResult result = {ValidateOutcome::kReady, {1}, ""};
      const uint64_t fate = random() % 16;
      if (fate == 0) result.outcome = ValidateOutcome::kTransient;
      if (fate == 1) result.outcome = ValidateOutcome::kRefused;
      if (fate == 2) result.outcome = ValidateOutcome::kAbsent;
      for (uint64_t chunks = random() % 8; chunks > 0; --chunks) {
        if (job.IsDead()) {
          given_up.fetch_add(1);
          result.outcome = ValidateOutcome::kRefused;
          break;
        }
        std::this_thread::yield();
      }
      const std::lock_guard lock(mutex_);
      working_ = false;
      if (abandoned_) {
        busy_ = false;
      } else {
        result_ = result;
      }
    }
  }

  std::mutex mutex_;
  bool busy_ = false;
  bool fresh_ = false;    // not yet seen by the thread
  bool working_ = false;  // seen and not done
  bool abandoned_ = false;
  RestoreJob job_;
  ValidateResult result_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

class CountingCommitter : public RestoreCommitter {
 public:
  CommitResult Step(const RestoreJob& job) override {
    // Two steps each, so that disables fall between them.
    if (++steps_ % 2 == 1) return {};
    if (job.IsDead()) ++into_dead;
    ++commits[{job.filter, job.incarnation}];
    return {.done = true, .report = {}};
  }
  void Abandon(const RestoreJob&) override { steps_ += steps_ % 2; }
  uint64_t Generation(RestoreFilterId) override { return 1; }

  std::map<std::pair<RestoreFilterId, uint32_t>, int> commits;
  uint64_t into_dead = 0;

 private:
  uint64_t steps_ = 0;
};

class CountingListener : public RestoreListener {
 public:
  int retries = 0;

  void Answer(RestoreWaiter waiter, const RestoreAnswer& answer) override {
    ++answers[waiter];
    cancelled += answer.code == RestoreCode::kCancelled;
  }
  void Retried(RestoreFilterId, const FilterStatus&, RestoreFailure,
               const std::string&) override {
    ++retries;
  }
  void Ended(RestoreFilterId, const RestoreAnswer&) override { ++ends; }
  void Disabled(RestoreFilterId, const FilterStatus&) override {
    ++late_disables;
  }
  void Enabled(RestoreFilterId filter, const FilterStatus& status) override {
    late_lives.insert({filter, status.incarnation});
  }

  std::map<RestoreWaiter, int> answers;
  uint64_t cancelled = 0;
  uint64_t ends = 0;
  uint64_t late_disables = 0;
  // Incarnations that had to wait for a commit in the one before.
  std::set<std::pair<RestoreFilterId, uint32_t>> late_lives;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_UNIT_RESTORE_STRESS_PARTS_H_
